#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use super::connection::{End, serve_client};
use super::listener::Standing;
use super::*;
use crate::mail::{AddressPattern, Envelope, Principal, QueueId, Timestamp};
use crate::observe::metrics;
use crate::pipeline::{Accepted, Door, Refused, Submission};
use crate::store::UserRow;

mod dialogue;
mod letter;
mod limits;

/// Accounts in memory. Checking a password is comparing it, and counted.
#[derive(Default)]
pub(super) struct Book {
    rows: Mutex<HashMap<String, UserRow>>,
    checks: AtomicUsize,
    pub uses: AtomicUsize,
    fails: AtomicBool,
}

impl Book {
    pub fn put(&self, row: UserRow) {
        self.rows.lock().unwrap().insert(row.name.clone(), row);
    }
    pub fn remove(&self, name: &str) {
        self.rows.lock().unwrap().remove(name);
    }
    pub fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}

impl Accounts for Arc<Book> {
    async fn find(&self, name: &str) -> Result<Option<UserRow>, Unavailable> {
        if self.fails.load(Ordering::SeqCst) { Err(Unavailable) } else { Ok(self.rows.lock().unwrap().get(name).cloned()) }
    }
    async fn note_use(&self, _: &str, _: Timestamp, _: IpAddr) {
        self.uses.fetch_add(1, Ordering::SeqCst);
    }
    fn check_password(&self, verifier: &str, password: &[u8]) -> bool {
        self.checks.fetch_add(1, Ordering::SeqCst);
        verifier.as_bytes() == [b"verifies ", password].concat()
    }
    fn dummy_verifier(&self) -> String {
        "verifies nothing".into()
    }
}

pub(super) fn user_row(name: &str, password: &str) -> UserRow {
    UserRow {
        name: name.into(),
        verifier: format!("verifies {password}"),
        may_send_as: vec!["@practice.example".into()],
        bound_address: Some("ann@practice.example".into()),
        is_first: false,
        created_at: Timestamp(0),
        last_used_at: None,
        last_peer: None,
    }
}

/// What came through the door.
struct Taken {
    envelope: Envelope,
    principal: Principal,
    tls: Option<&'static str>,
    content: Vec<u8>,
}

/// A door that keeps what it is handed, or answers as told.
struct Desk {
    space: AtomicU64,
    taken: Mutex<Vec<Taken>>,
    answers: Mutex<VecDeque<Refused>>,
}

impl Default for Desk {
    fn default() -> Desk {
        Desk { space: AtomicU64::new(u64::MAX), taken: Mutex::default(), answers: Mutex::default() }
    }
}

impl Desk {
    fn taken(&self) -> Vec<Taken> {
        std::mem::take(&mut self.taken.lock().unwrap())
    }
}

impl Door for Desk {
    async fn accept(&self, submission: Submission) -> Result<Accepted, Refused> {
        let content = submission.content.expose().to_vec();
        assert!(!content.starts_with(b"PANIC"), "a bug behind the door, on purpose");
        if let Some(refused) = self.answers.lock().unwrap().pop_front() {
            return Err(refused);
        }
        let Submission { envelope, principal, tls, .. } = submission;
        self.taken.lock().unwrap().push(Taken { envelope, principal, tls, content });
        Ok(Accepted { message: QueueId([1; 10]) })
    }
    fn has_space(&self, octets: u64) -> bool {
        octets <= self.space.load(Ordering::SeqCst)
    }
}

type TestGate = Gate<Desk, Arc<Book>>;

/// A gateway with a certificate of its own, two accounts and one network that may send in clear (192.0.2.0/24).
struct World {
    gate: Arc<TestGate>,
    desk: Arc<Desk>,
    book: Arc<Book>,
    tls: Arc<TlsAcceptorSource>,
    certificate: CertificateDer<'static>,
    stop: watch::Sender<bool>,
}

fn certificate() -> (CertificateDer<'static>, Arc<rustls::ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
    let der = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    (der.clone(), server_config(vec![der], key, Ask::ForAny).unwrap())
}

impl World {
    fn new(limits: Limits) -> World {
        World::with(Settings { limits, ..Settings::default() })
    }

    fn with(mut settings: Settings) -> World {
        settings.limits.linger = Duration::ZERO;
        crate::observe::watch_panics(true);
        let (certificate, config) = certificate();
        let tls = Arc::new(TlsAcceptorSource::new(TlsConfigs { programs: Arc::clone(&config), servers: config }));
        let (desk, book) = (Arc::new(Desk::default()), Arc::new(Book::default()));
        book.put(user_row("ann", "right"));
        let scanner = Network {
            name: "scanner".into(),
            addresses: vec![Cidr::parse("192.0.2.0/24").unwrap()],
            may_send_as: vec![AddressPattern::parse("@practice.example").unwrap()],
            bound_address: None,
            tls_optional: true,
            quota: Quota::default(),
            tenancy: vec![],
        };
        let settings = Settings { name: Domain::parse("gate.example").unwrap(), networks: vec![scanner], ..settings };
        let gate = Gate::new(Arc::new(settings), Arc::clone(&desk), Arc::clone(&tls), Arc::clone(&book));
        let (stop, _) = watch::channel(false);
        World { gate, desk, book, tls, certificate, stop }
    }

    /// A client in clear; the greeting is still to be read.
    fn connect(&self, kind: ListenerKind, peer: &str) -> Client<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (gate, peer, stop) = (Arc::clone(&self.gate), peer.parse().unwrap(), self.stop.subscribe());
        let session =
            tokio::spawn(async move { serve_client(&gate, &Standing::known(), theirs, peer, (kind, None), stop).await });
        Client { stream: ours, input: Vec::new(), session: Some(session) }
    }

    /// The scanner of the listed network, greeted, EHLO said.
    async fn scanner(&self) -> Client<DuplexStream> {
        let mut client = self.connect(ListenerKind::Relay, "192.0.2.1");
        client.expect(220).await;
        client.ask("EHLO scanner", 250).await;
        client
    }

    async fn start_tls<S: AsyncRead + AsyncWrite + Unpin>(&self, client: Client<S>) -> Client<TlsStream<S>> {
        self.handshake(client, &[&rustls::version::TLS13, &rustls::version::TLS12]).await.unwrap()
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        client: Client<S>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> std::io::Result<Client<TlsStream<S>>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        assert!(client.input.is_empty(), "octets in clear were left over");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from("gate.example").unwrap(), client.stream).await?;
        Ok(Client { stream, input: Vec::new(), session: client.session })
    }

    /// A client inside TLS on the submission port, EHLO said again, not yet authenticated.
    async fn mail_program(&self) -> Client<TlsStream<DuplexStream>> {
        let mut client = self.connect(ListenerKind::Submission, "198.51.100.7");
        client.expect(220).await;
        client.ask("EHLO pc", 250).await;
        client.ask("STARTTLS", 220).await;
        let mut client = self.start_tls(client).await;
        client.ask("EHLO pc", 250).await;
        client
    }

    async fn ann(&self) -> Client<TlsStream<DuplexStream>> {
        let mut client = self.mail_program().await;
        client.ask(&format!("AUTH PLAIN {}", STANDARD.encode("\0ann\0right")), 235).await;
        client
    }
}

struct Client<S> {
    stream: S,
    input: Vec<u8>,
    session: Option<JoinHandle<End>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next reply as text, or `None` at the end of the connection.
    async fn reply(&mut self) -> Option<String> {
        let mut reply = String::new();
        loop {
            while let Some(end) = self.input.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).collect();
                let line = String::from_utf8(line).unwrap();
                reply.push_str(&line);
                if line.as_bytes().get(3) == Some(&b' ') {
                    return Some(reply);
                }
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece).await {
                Ok(octets) if octets > 0 => self.input.extend_from_slice(&piece[..octets]),
                _ => return None,
            }
        }
    }

    async fn expect(&mut self, code: u16) -> String {
        let reply = self.reply().await.unwrap_or_else(|| panic!("closed instead of {code}"));
        assert!(reply.starts_with(&code.to_string()), "{reply} instead of {code}");
        reply
    }

    async fn ask(&mut self, line: &str, code: u16) -> String {
        self.send(format!("{line}\r\n")).await;
        let reply = self.reply().await.unwrap_or_else(|| panic!("closed after {line}"));
        assert!(reply.starts_with(&code.to_string()), "{line}: {reply} instead of {code}");
        reply
    }

    /// That nothing more comes, and how the session ended.
    async fn end(&mut self) -> End {
        assert_eq!(self.reply().await, None);
        self.session.take().unwrap().await.unwrap()
    }
}
