//! # server: builds the rooms, starts them, stops them in order
//!
//! Must not be here: decisions. What a room can do by itself stays in the room.
//!
//! Reading order: this file → `start` → `tasks` → `continuity` → `rules` → `dkim` → `housekeeping` → `patients` → `canary`, `resolver` →
//! `control` → `access` → `check` → `partners` → `proof` → `admin_api`.

mod access;
mod admin_api;
mod canary;
pub mod check;
mod continuity;
mod control;
mod dkim;
mod housekeeping;
mod observation;
mod partners;
mod patients;
mod proof;
mod resolver;
mod rules;
mod start;
mod tasks;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use continuity::{accept_restored, kept_head};
pub use control::{Answer, Parts, Request, SOCKET, answer};
pub use dkim::{Published, name as dkim_name, published};
pub use partners::Review;
pub use patients::kept_patients;
pub use rules::{examine, load_rules, scanner};
pub use start::{DEMO_MARK, Source, first_domains, refuse_demo_folder, start, start_meant, start_with};

use tokio::sync::watch;

use crate::config::Settings;
use crate::mail::Timestamp;
use crate::observe::{self, Event};
use crate::pipeline::Gate;

/// Why the gateway did not start or a command could not be carried out.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long tasks may take to end after they were told.
const STOP_MAX: Duration = Duration::from_secs(9);

/// Each waits up to two seconds for the store's lock.
const OPEN_TRIES: u32 = 2;

/// The system's clock, read here and handed down as a value.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A started gateway.
pub struct Running {
    parts: Parts,
    gate: Arc<Gate>,
    listening: Vec<(&'static str, SocketAddr)>,
    stop: watch::Sender<bool>,
    tasks: tasks::Tasks,
    deliver: crate::deliver::Running,
    reload: start::Reload,
    /// Becomes `Some` when something ended that must not end.
    broken: watch::Receiver<Option<String>>,
    ready: watch::Receiver<bool>,
    /// The first credential, made at this start.
    first: Option<(String, String)>,
}

impl Running {
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What is known of the ways out, to look at or to have asked anew.
    #[must_use]
    pub fn lookup(&self) -> &crate::lookup::Lookup {
        &self.reload.lookup
    }

    /// What listens where.
    #[must_use]
    pub fn listening(&self) -> &[(&'static str, SocketAddr)] {
        &self.listening
    }

    #[must_use]
    pub fn address(&self, what: &str) -> Option<SocketAddr> {
        self.listening.iter().find(|(name, _)| *name == what).map(|(_, address)| *address)
    }

    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.parts.settings.portal.public_url
    }

    /// User and password of the credential made at the first start, once.
    pub fn take_first_credential(&mut self) -> Option<(String, String)> {
        self.first.take()
    }

    /// The certificate of the SMTP listeners, PEM, for clients that have to be told whom to trust.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn own_certificate(&self) -> std::io::Result<Vec<u8>> {
        std::fs::read(&self.reload.smtp_chain)
    }

    /// Waits until messages can be taken: scanner and rules are loaded. Returns at once if that failed.
    pub async fn until_ready(&self) {
        let (mut ready, mut broken) = (self.ready.clone(), self.broken.clone());
        tokio::select! {
            _ = ready.wait_for(|ready| *ready) => {}
            _ = broken.wait_for(Option::is_some) => {}
        }
    }

    /// Runs until SIGTERM, SIGINT, or something breaks. SIGHUP reloads.
    pub async fn until_told(mut self) -> ExitCode {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            eprintln!("wardpost: signals cannot be received");
            return ExitCode::FAILURE;
        };
        let mut broken = self.broken.clone();
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => self.reload_and_say().await,
                () = self.parts.store.failed() => {
                    observe::log(&Event::StoreFailed { what: "the store failed; the gateway ends, and the supervisor starts it again".into() });
                    self.stop().await;
                    return ExitCode::FAILURE;
                }
                why = wait_for_break(&mut broken) => {
                    eprintln!("wardpost: {why}");
                    self.stop().await;
                    return ExitCode::FAILURE;
                }
            }
        }
        self.stop().await
    }

    /// Reads the configuration again; a bad one leaves everything as it is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn reload(&mut self) -> Result<(), Failure> {
        self.reload.again(&self.gate).await
    }

    async fn reload_and_say(&mut self) {
        match self.reload().await {
            Ok(()) => observe::log(&Event::SettingsNote { what: "the configuration was read again: certificates, networks, limits, rules, groups and DKIM keys are in force; the rest with the next start".into() }),
            Err(error) => observe::log(&Event::SettingsNote {
                what: format!("the reload was refused, the old configuration stays: {error}"),
            }),
        }
    }

    /// No new connections; what is under way is finished; the store is closed last.
    pub async fn stop(mut self) -> ExitCode {
        observe::log(&Event::Stopping);
        let _ = self.stop.send(true);
        // Side by side: what comes in meanwhile is left queued, and both together stay within the supervisor's patience.
        let _ = tokio::join!(tokio::time::timeout(STOP_MAX, self.tasks.all_ended()), self.deliver.stop());
        self.tasks.abort_all();
        self.parts.store.close().await;
        ExitCode::SUCCESS
    }
}

/// Why the gateway cannot go on, once it cannot.
async fn wait_for_break(broken: &mut watch::Receiver<Option<String>>) -> String {
    loop {
        if let Some(why) = broken.borrow_and_update().clone() {
            return why;
        }
        if broken.changed().await.is_err() {
            // The loader has ended well; nothing else reports here.
            std::future::pending::<()>().await;
        }
    }
}

/// Answers a command: by the running gateway, or in this process while none runs.
///
/// # Errors
/// If the configuration is bad, or the store cannot be opened.
pub async fn ask(config: Option<&Path>, request: Request) -> Result<Answer, Failure> {
    let settings = match config {
        Some(path) => Settings::load(path)?,
        None => Settings::built_in()?,
    };
    // A gateway that is just starting or ending holds the store without answering yet.
    let mut tries = 0;
    let (vault, store) = loop {
        if let Some(answered) = control::ask(&settings.store.folder, &request).await {
            return Ok(answered?);
        }
        // A question must not make keys and an empty store where somebody happens to stand.
        if crate::store::is_empty(&settings.store.folder) {
            let way_out = match config {
                Some(_) => "start it once with `wardpost serve` and this configuration",
                None => {
                    "name its configuration with --config FILE, or run the command in the folder where `wardpost serve` was started"
                }
            };
            return Err(format!("there is no gateway's data in {}; {way_out}", settings.store.folder.display()).into());
        }
        match start::open(&settings).await {
            Ok(opened) => break opened,
            Err(error) if tries >= OPEN_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    };
    let parts =
        Parts { store: store.clone(), vault, settings: Arc::new(settings), reports: Arc::default(), patients: Arc::default() };
    if matches!(request, Request::TlsrptShow | Request::TlsrptSend { .. })
        && let Some(tlsrpt) = parts.settings.tlsrpt.clone()
    {
        let lookup = Arc::new(crate::lookup::Lookup::new(parts.settings.lookup.clone(), store.clone(), parts.vault.clone())?);
        let signers = dkim::signers(&parts.settings.dkim, &lookup, &crate::pipeline::Signers::new(), true).await;
        let signers = Arc::new(signers);
        start::reporter(tlsrpt, &parts, &lookup, None, move || signers.clone());
    }
    let answer = control::answer(&parts, request, now()).await;
    store.close().await;
    Ok(answer)
}

/// Asks the gateway that runs with these settings; `None` if there is none.
pub async fn ask_running(settings: &Settings, request: &Request) -> Option<std::io::Result<Answer>> {
    control::ask(&settings.store.folder, request).await
}

/// A TLS connector that trusts one certificate file, for clients of a gateway with a throw-away certificate.
///
/// # Errors
/// If the PEM holds no certificate.
pub fn connector_that_trusts(pem: &[u8]) -> Result<tokio_rustls::TlsConnector, Failure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}
