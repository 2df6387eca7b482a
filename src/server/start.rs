//! From settings to a running gateway: listeners first, so that the banner comes at once; the scanner behind them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::tasks::{Broken, Tasks};
use super::{
    Failure, Parts, Running, access, admin_api, canary, continuity, control, dkim, housekeeping, now, observation, partners,
    patients, resolver, rules,
};
use crate::config::{DkimKey, Ocr, Settings, files, throwaway};
use crate::deliver::{self, Deliver, Tally};
use crate::lookup::Lookup;
use crate::observe::{self, Event};
use crate::pipeline::{Gate, Signers, Warm};
use crate::policy::Lane;
use crate::portal::Portal;
use crate::sandbox;
use crate::smtp_in::{self, Ask, ListenerKind, TlsAcceptorSource, TlsConfigs};
use crate::store;
use crate::tlsrpt::{self, Reporter};
use crate::vault::{self, Vault};
use crate::web;

/// Where the configuration comes from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    BuiltIn,
    File(&'a Path),
}

/// File that marks a data folder as a demo's.
pub const DEMO_MARK: &str = "demo";

/// What a reload can change without cutting a session.
pub(super) struct Reload {
    file: Option<PathBuf>,
    pub(super) smtp_chain: PathBuf,
    smtp_tls: Arc<TlsAcceptorSource>,
    portal_tls: watch::Sender<Arc<ServerConfig>>,
    admin_tls: Option<watch::Sender<Arc<ServerConfig>>>,
    smtp_in: Arc<smtp_in::Gate<Arc<Gate>, smtp_in::Stored>>,
    pub(super) lookup: Arc<Lookup>,
    dkim: watch::Sender<Vec<DkimKey>>,
}

/// Opens keys and store; makes them at a first start.
pub(super) async fn open(settings: &Settings) -> Result<(Arc<Vault>, store::Handle), Failure> {
    let (vault, store) = open_any(settings)?;
    if let Err(error) = continuity::check(&settings.keys, &store, &vault).await {
        store.close().await;
        return Err(error);
    }
    Ok((vault, store))
}

/// As [`open`], also a store that is older than the head kept with the keys.
pub(super) fn open_any(settings: &Settings) -> Result<(Arc<Vault>, store::Handle), Failure> {
    let vault = Arc::new(vault::open_or_create(&settings.keys, store::is_empty(&settings.store.folder))?);
    let store = store::Handle::open(settings.store.clone(), vault.clone())?;
    Ok((vault, store))
}

/// Starts everything and returns when all listeners are open.
///
/// # Errors
/// With place, problem and way out; nothing listens then.
pub async fn start(source: Source<'_>) -> Result<Running, Failure> {
    start_with(source, sandbox::Settings::own()?).await
}

/// As [`start`], with another program that reads attachments: for gateways inside a test program.
///
/// # Errors
/// As [`start`].
pub async fn start_with(source: Source<'_>, readers: sandbox::Settings) -> Result<Running, Failure> {
    match source {
        Source::BuiltIn => start_meant(Settings::built_in()?, None, readers).await,
        Source::File(path) => start_meant(Settings::load(path)?, Some(path), readers).await,
    }
}

/// As [`start_with`], with settings that were changed after they were read: for gateways inside a test program.
///
/// # Errors
/// As [`start`].
pub async fn start_meant(settings: Settings, file: Option<&Path>, readers: sandbox::Settings) -> Result<Running, Failure> {
    for note in &settings.notes {
        observe::log(note);
    }
    // A start that cannot listen must not leave keys and an empty store behind, perhaps in a folder chosen by mistake.
    if store::is_empty(&settings.store.folder) {
        can_listen(&settings)?;
    }
    let (vault, store) = open(&settings).await?;
    store.keep_free(settings.smtp_in.max_message_bytes.saturating_mul(3) / 2);
    let first = access::first_credential(&first_domains(&settings), &store, &vault, now()).await?;
    let (stop, stopped) = watch::channel(false);
    let settings = Arc::new(settings);
    let parts = Parts {
        store: store.clone(),
        vault: vault.clone(),
        settings: settings.clone(),
        reports: Arc::default(),
        patients: Arc::default(),
    };
    patients::start(&parts);
    let (broken_sender, broken) = watch::channel(None);
    let broken_sender = Arc::new(broken_sender);
    let mut tasks = Tasks::new(broken_sender.clone(), stopped.clone());
    // Before the listeners: who sees a listener may give commands.
    let commands = control::bind(&settings.store.folder)?;
    tasks.keep("the socket for commands", control::serve(commands, parts.clone(), stopped.clone()));
    if settings.deliver.portal.notice_address.is_none() && settings.is_configured {
        observe::log(&Event::SettingsNote {
            what: "portal.notice_address is not set: recipients of parcels hear nothing by mail".into(),
        });
    }

    let lookup = Arc::new(Lookup::new(settings.lookup.clone(), store.clone(), vault.clone())?);
    let deliver = Deliver::start(settings.deliver.clone(), lookup.clone(), store.clone(), vault.clone());
    let ocr = readers.ocr.or_else(|| if settings.ocr == Ocr::Auto { sandbox::tesseract() } else { None });
    let attachments = Box::new(attachment_readers(sandbox::Settings { ocr, ..readers })?);
    let warm = Warm { first: deliver.warm(Lane::First), bulk: deliver.warm(Lane::Bulk) };
    let gate = Gate::new(settings.gate.clone(), vault.clone(), store.clone(), attachments, Some(warm));
    let (asking, keys) = (settings.clone(), vault.clone());
    let letter = move |row: &store::CopyRow, ask: &str| deliver::ask_sender(&keys, &asking.deliver, row, ask);
    let gate = Arc::new(gate.with(parts.patients.clone(), Box::new(letter)));

    let mut listening = Vec::new();

    // The way in.
    let names = own_names(&settings);
    let (smtp_chain, smtp_key) = certificate(settings.smtp_certificate.as_ref(), &settings.keys, &names)?;
    let smtp_tls = Arc::new(TlsAcceptorSource::new(smtp_configs(&settings, &smtp_chain, &smtp_key)?));
    let door = Arc::new(gate.clone());
    let smtp_in = smtp_in::Gate::new(
        settings.smtp_in.clone(),
        door,
        smtp_tls.clone(),
        smtp_in::Stored { store: store.clone(), vault: vault.clone() },
    );
    for (kind, address) in &settings.listeners {
        let (listener, bound) = bind(*address).await?;
        listening.push((kind.as_str(), bound));
        tasks.keep("a listener for mail", smtp_in::serve(listener, *kind, smtp_in.clone(), stopped.clone()));
    }

    for fence in &settings.legacy {
        let (listener, bound) = bind(fence.listen).await?;
        listening.push((ListenerKind::Legacy.as_str(), bound));
        let serving = smtp_in::serve_legacy(listener, fence.clone(), smtp_in.clone(), stopped.clone());
        tasks.keep("a legacy listener", serving);
    }

    // The pages.
    let (portal_chain, portal_key) = certificate(settings.portal_certificate.as_ref(), &settings.keys, &names)?;
    let (portal_tls, portal_tls_source) = watch::channel(portal_config(&portal_chain, &portal_key)?);
    let (incidents, incident_list) = tokio::sync::mpsc::channel(64);
    let mut portal_settings = settings.portal.clone();
    portal_settings.incidents = Some(incidents);
    let portal = Arc::new(Portal::new(portal_settings, store.clone(), vault.clone()));
    for address in &settings.portal_listen {
        let (listener, bound) = bind(*address).await?;
        listening.push(("portal", bound));
        let (site, router) = (portal.site(), portal.router());
        tasks.keep(
            "the portal's listener",
            web::serve_tls(listener, portal_tls_source.clone(), site, web::Limits::default(), router, stopped.clone()),
        );
    }

    let (ready_sender, ready) = watch::channel(false);
    let (listener, bound) = bind(settings.metrics_listen).await?;
    listening.push(("metrics", bound));
    let (site, router) = observation::site(&settings, bound, gate.clone(), store.clone());
    tasks.keep("the listener for metrics", web::serve_plain(listener, site, web::Limits::default(), router, stopped.clone()));

    let mut admin_tls = None;
    if let Some(admin) = &settings.admin {
        let (listener, bound) = bind(admin.listen).await?;
        listening.push(("admin", bound));
        let (site, router) = admin_api::site(admin, bound, parts.clone());
        match &admin.certificate {
            Some((chain, key)) => {
                let (sender, tls) = watch::channel(portal_config(chain, key)?);
                admin_tls = Some(sender);
                tasks.keep(
                    "the admin listener",
                    web::serve_tls(listener, tls, site, admin_api::limits(), router, stopped.clone()),
                );
            }
            None => {
                tasks.keep("the admin listener", web::serve_plain(listener, site, admin_api::limits(), router, stopped.clone()));
            }
        }
    }

    // The SMTP listeners say so themselves.
    for (what, address) in listening.iter().filter(|(what, _)| ["portal", "metrics", "admin"].contains(what)) {
        observe::log(&Event::Listening { what, address: *address });
    }

    // Behind the listeners.
    let (dkim, dkim_keys) = watch::channel(parts.settings.dkim.clone());
    let reload = Reload {
        file: file.map(Path::to_owned),
        smtp_chain,
        smtp_tls,
        portal_tls,
        admin_tls,
        smtp_in,
        lookup: lookup.clone(),
        dkim,
    };
    if let Some(tlsrpt) = settings.tlsrpt.clone() {
        let in_force = gate.clone();
        let reporter = reporter(tlsrpt, &parts, &lookup, Some(deliver.tally()), move || in_force.signers());
        tasks.keep("the reporter about TLS", reporter.keep(now, stopped.clone()));
    }
    tasks.once(make_ready(gate.clone(), parts.clone(), lookup.clone(), ready_sender, broken_sender));
    tasks.keep("the keeper of DKIM keys", dkim::keep(gate.clone(), dkim_keys, lookup.clone(), stopped.clone()));
    if parts.settings.is_configured {
        tasks.keep("the watch over the resolver", resolver::watch(lookup, stopped.clone()));
    }
    tasks.keep("the watch over partners", partners::watch(settings.clone(), stopped.clone()));
    tasks.keep("the canary", canary::keep(parts.clone(), stopped.clone()));
    let warm = deliver.warm(Lane::First);
    tasks.keep("delivery", async move { warm.closed().await });
    tasks.keep("the look at parcels", deliver.later_ended());
    tasks.keep("the housekeeping", housekeeping::keep(parts.clone(), deliver.parcels(), incident_list, stopped.clone()));
    Ok(Running { parts, gate, listening, stop, tasks, deliver, reload, broken, ready, first })
}

/// The children that read documents; says so if the kernel cannot wall them in.
fn attachment_readers(settings: sandbox::Settings) -> Result<sandbox::Pool, Failure> {
    let readers =
        sandbox::Pool::start(settings).map_err(|error| format!("the reader of attachments could not be started: {error}"))?;
    let walls = readers.protection();
    for (name, stands) in [("Landlock", walls.landlock), ("seccomp", walls.seccomp)] {
        if !stands {
            observe::log(&Event::SettingsNote {
                what: format!("this kernel has no {name}: documents are read with fewer walls around the reader"),
            });
        }
    }
    Ok(readers)
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = TcpListener::bind(address).await.map_err(|error| cannot_listen(address, &error))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Place, problem, way out.
fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let way_out = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program, perhaps another gateway, listens there; stop it or configure another port"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE, as deploy/systemd/wardpost.service gives it"
        }
        std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address; `0.0.0.0` stands for all it has",
        _ => "configure another address",
    };
    format!("cannot listen on {address}: {error}; {way_out}").into()
}

/// Tries every address and lets it go again: nothing is answered before the keys are on the disk.
fn can_listen(settings: &Settings) -> Result<(), Failure> {
    let smtp = settings.listeners.iter().map(|(_, address)| *address);
    let smtp = smtp.chain(settings.legacy.iter().map(|fence| fence.listen));
    for address in smtp
        .chain(settings.portal_listen.iter().copied())
        .chain([settings.metrics_listen])
        .chain(settings.admin.iter().map(|admin| admin.listen))
    {
        drop(std::net::TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?);
    }
    Ok(())
}

/// Names for throw-away certificates.
fn own_names(settings: &Settings) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), settings.server_name.as_str().to_owned()];
    names.push(settings.portal.host().split(':').next().unwrap_or_default().to_ascii_lowercase());
    names.sort();
    names.dedup();
    names
}

fn certificate(configured: Option<&(PathBuf, PathBuf)>, keys: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), Failure> {
    match configured {
        Some(pair) => Ok(pair.clone()),
        None => Ok(throwaway::certificate(keys, names)?),
    }
}

fn smtp_configs(settings: &Settings, chain: &Path, key: &Path) -> Result<TlsConfigs, Failure> {
    let has_authority = access::has_authority(&settings.keys);
    // Nobody is asked for what nobody has: some devices break off when they are.
    let (programs, servers) = match (has_authority, settings.smtp_in.pinned.is_empty()) {
        (false, true) => (Ask::Nobody, Ask::Nobody),
        (_, false) => (Ask::ForOurs, Ask::ForAny),
        (true, true) => (Ask::ForOurs, Ask::ForOurs),
    };
    let config = |ask| -> Result<Arc<ServerConfig>, Failure> {
        let identity = files::identity(chain, key)?;
        Ok(smtp_in::server_config(identity.chain, identity.key, ask)
            .map_err(|error| format!("{} and {} do not belong together: {error}", chain.display(), key.display()))?)
    };
    Ok(TlsConfigs { programs: config(programs)?, servers: config(servers)? })
}

fn portal_config(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, Failure> {
    let identity = files::identity(chain, key)?;
    Ok(web::server_config(identity.chain, identity.key)
        .map_err(|error| format!("{} and {} do not belong together: {error}", chain.display(), key.display()))?)
}

/// The domains that the first credential may send for: the own ones, or an invented one where none is configured.
#[must_use]
pub fn first_domains(settings: &Settings) -> Vec<String> {
    match settings.own_domains.as_slice() {
        [] => vec!["practice.example".to_owned()],
        own => own.iter().map(ToString::to_string).collect(),
    }
}

/// Loads scanner and rules and asks which DKIM keys are published, then opens the gate.
async fn make_ready(gate: Arc<Gate>, parts: Parts, lookup: Arc<Lookup>, ready: watch::Sender<bool>, broken: Broken) {
    let loading = parts.settings.clone();
    let loaded = tokio::task::spawn_blocking(move || {
        let scanner = rules::scanner(&loading)?;
        let policy = rules::load_rules(&loading, &scanner)?;
        Ok::<_, Failure>((scanner, policy))
    });
    // Beside each other: what is accepted is to be signed from the first message on.
    let before = Signers::new();
    let (loaded, signers) = tokio::join!(loaded, dkim::signers(&parts.settings.dkim, &lookup, &before, true));
    gate.set_signers(signers);
    match loaded {
        Ok(Ok((scanner, policy))) => {
            gate.set_rules(scanner, Arc::new(policy));
            let _ = ready.send(true);
        }
        Ok(Err(error)) => {
            broken.send_replace(Some(error.to_string()));
        }
        Err(error) => {
            broken.send_replace(Some(error.to_string()));
        }
    }
}

/// The reporter about TLS, told to the commands; it signs with the keys in force.
pub(super) fn reporter(
    settings: tlsrpt::Settings,
    parts: &Parts,
    lookup: &Arc<Lookup>,
    tally: Option<Arc<Tally>>,
    signers: impl Fn() -> Arc<Signers> + Send + Sync + 'static,
) -> Arc<Reporter> {
    let domain = settings.contact.domain().clone();
    let keys = Box::new(move || {
        let signers = signers();
        let keys = signers.get(&domain);
        keys.into_iter().flatten().map(|key| (key.selector.clone(), key.signer.clone())).collect()
    });
    let make = || Arc::new(Reporter::new(settings, lookup.clone(), parts.store.clone(), parts.vault.clone(), tally, keys));
    parts.reports.get_or_init(make).clone()
}

impl Reload {
    pub(super) async fn again(&self, gate: &Arc<Gate>) -> Result<(), Failure> {
        let Some(file) = &self.file else { return Err("there is no configuration file to read".into()) };
        let settings = Settings::load(file)?;
        let names = own_names(&settings);
        let (chain, key) = certificate(settings.smtp_certificate.as_ref(), &settings.keys, &names)?;
        let smtp = smtp_configs(&settings, &chain, &key)?;
        let (chain, key) = certificate(settings.portal_certificate.as_ref(), &settings.keys, &names)?;
        let portal = portal_config(&chain, &key)?;
        let admin = settings.admin.as_ref().and_then(|admin| admin.certificate.as_ref());
        let admin = admin.map(|(chain, key)| portal_config(chain, key)).transpose()?;
        let (settings, scanner, policy) = tokio::task::spawn_blocking(move || {
            let scanner = rules::scanner(&settings)?;
            let policy = rules::load_rules(&settings, &scanner)?;
            Ok::<_, Failure>((settings, scanner, policy))
        })
        .await??;
        // From here on nothing can be refused any more.
        gate.set_rules(scanner, Arc::new(policy));
        gate.set_signers(dkim::signers(&settings.dkim, &self.lookup, &gate.signers(), true).await);
        let _ = self.dkim.send(settings.dkim.clone());
        self.smtp_tls.replace(smtp);
        let _ = self.portal_tls.send(portal);
        if let (Some(sender), Some(admin)) = (&self.admin_tls, admin) {
            let _ = sender.send(admin);
        }
        self.smtp_in.replace_settings(settings.smtp_in.clone());
        Ok(())
    }
}

/// A demo's folder is never served: its anchor and authority are nobody's.
///
/// # Errors
/// If the data folder carries the mark of a demo.
pub fn refuse_demo_folder(settings: &Settings) -> Result<(), Failure> {
    if settings.store.folder.join(DEMO_MARK).exists() {
        return Err(format!("{} was made by `wardpost demo`; choose another data.path", settings.store.folder.display()).into());
    }
    Ok(())
}
