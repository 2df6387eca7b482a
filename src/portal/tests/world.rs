use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::{Body, Bytes};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::client::TlsStream;

use crate::audit::{Event, Record};
use crate::escrow::{Code, NUMBER_HASH, Number, ParcelFacts, SPOKEN_HASH, default_expiry, seal_parcel};
use crate::mail::{CopyId, Domain, ParcelId, QueueId, Timestamp};
use crate::portal::{Incident, Portal, Settings};
use crate::store::{self, CodeWrap, Commit, Handle, NewParcel, ParcelRow};
use crate::transport::{Reason, RefusalKind};
use crate::vault::Vault;
use crate::web;

pub const HOST: &str = "portal.practice.example";
pub const ORIGIN: &str = "https://portal.practice.example";
pub const NOW: Timestamp = Timestamp(1_700_000_000_000);
pub const OFFICE: &str = "Maple Street Office";

pub struct World {
    pub portal: Portal,
    pub store: Handle,
    pub vault: Arc<Vault>,
    pub incidents: mpsc::Receiver<Incident>,
    clock: Arc<AtomicI64>,
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    _stop: watch::Sender<bool>,
    folder: PathBuf,
}

/// A parcel with what its sender was told.
pub struct Made {
    pub id: ParcelId,
    pub number: Number,
    pub code: Code,
}

impl World {
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> World {
        let vault = Arc::new(Vault::ephemeral());
        let name: String = vault.random::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = std::env::temp_dir().join(format!("wardpost-portal-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let store = Handle::open(store::Settings { folder: folder.clone(), body_file_bytes: 64 * 1024 }, vault.clone()).unwrap();
        let clock = Arc::new(AtomicI64::new(NOW.0));
        let (sender, incidents) = mpsc::channel(64);
        let mut settings = Settings::new(ORIGIN, OFFICE);
        settings.tries_per_minute = 1000;
        settings.incidents = Some(sender);
        let shown = clock.clone();
        settings.clock = Arc::new(move || Timestamp(shown.load(Ordering::SeqCst)));
        change(&mut settings);
        let portal = Portal::new(settings, store.clone(), vault.clone());

        let certified = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let server = web::server_config(vec![certificate.clone()], key).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let (_, source) = watch::channel(server);
        tokio::spawn(web::serve_tls(listener, source, portal.site(), web::Limits::default(), portal.router(), stopped));
        World { portal, store, vault, incidents, clock, address, tls: Arc::new(tls), _stop: stop, folder }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    pub fn pass_secs(&self, secs: i64) {
        self.clock.fetch_add(secs * 1000, Ordering::SeqCst);
    }

    /// Makes a parcel of a whole message, as delivery's fall-back does.
    pub async fn parcel(&self, message: &[u8]) -> Made {
        let at = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let (header, body) = (&message[..at + 2], &message[at + 4..]);
        let id = ParcelId(self.vault.random());
        let number = Number::from_random(self.vault.random());
        let code = Code::from_random(self.vault.random());
        let key = self.vault.new_key();
        let parsed = crate::message::parse(crate::secret::Plaintext::new(message.to_vec()));
        let facts = ParcelFacts {
            later: None,
            recipient: "pat@patient.example".into(),
            sender_name: Some("Dr. Grün".into()),
            sender: "gruen@practice.example".into(),
            subject: parsed.header().first("subject").map(|field| field.decoded()).unwrap_or_default(),
            message_id: "<1@practice.example>".into(),
            number: number.to_string(),
            slip_to: Some("gruen@practice.example".into()),
            received_at: self.now(),
            kind: Some(RefusalKind::CannotEncrypt),
            reason: Some(Reason::StarttlsNotSupported),
        };
        let nonces = [self.vault.nonce(), self.vault.nonce(), self.vault.nonce()];
        let sealed = seal_parcel(&key, nonces, id, header, body, &facts);
        let salt = self.vault.random();
        let (vault, digits) = (self.vault.clone(), code.clone());
        let code_key = tokio::task::spawn_blocking(move || vault.code_key(digits.digits(), &salt, id)).await.unwrap();
        let parcel = NewParcel {
            later_level: Some("verified".into()),
            id,
            number_hash: self.vault.keyed_hash(NUMBER_HASH, number.as_bytes()),
            copy: CopyId(self.vault.random()),
            message: QueueId(self.vault.random()),
            recipient: self.vault.pseudonym("mailbox", "pat@patient.example"),
            message_id: self.vault.pseudonym("message-id", "<1@practice.example>"),
            domain: Domain::parse("patient.example").unwrap(),
            body: sealed.body,
            header: sealed.header,
            facts: sealed.facts,
            code: Some(CodeWrap {
                salt,
                wrap: self.vault.wrap_with_code(&code_key, id, &key),
                spoken_hash: self.vault.keyed_hash(SPOKEN_HASH, code.digits().as_bytes()),
            }),
            recovery: self.vault.wrap_recovery(id, &key),
            reason: "starttls-not-supported".into(),
            created_at: self.now(),
            expires_at: default_expiry(self.now()),
            size_bytes: message.len() as u64,
        };
        self.store.commit(Commit { parcels: vec![parcel], ..Commit::default() }).await.unwrap();
        Made { id, number, code }
    }

    pub async fn row(&self, id: ParcelId) -> ParcelRow {
        self.store.parcel(id).await.unwrap().unwrap()
    }

    /// Events of the log, in order.
    pub async fn events(&self) -> Vec<Event> {
        self.records().await.into_iter().map(|record| record.event).collect()
    }

    pub async fn records(&self) -> Vec<Record> {
        let entries = self.store.log(0, 10_000).await.unwrap();
        entries.iter().filter_map(|entry| record_of(&entry.bytes)).collect()
    }

    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, stream).await.unwrap()
    }

    /// Sends bytes as they are and returns what comes until the end.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // A peer that has heard enough answers and closes before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut out = Vec::new();
        // A peer that closes without a TLS goodbye has still answered.
        let _ = stream.read_to_end(&mut out).await;
        String::from_utf8_lossy(&out).into_owned()
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser { world: self, cookies: BTreeMap::new() }
    }
}

/// The record inside a chained entry, however the entry wraps it.
fn record_of(bytes: &[u8]) -> Option<Record> {
    if let Ok(record) = serde_json::from_slice(bytes) {
        return Some(record);
    }
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    serde_json::from_value(value.get("record")?.clone()).ok()
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Keeps cookies like a browser; one connection for each request.
pub struct Browser<'w> {
    pub world: &'w World,
    pub cookies: BTreeMap<String, String>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of the form's hidden token.
    pub fn token(&self) -> String {
        self.between("name=\"token\" value=\"", "\"")
    }

    pub fn between(&self, from: &str, to: &str) -> String {
        let text = self.text();
        let at = text.find(from).unwrap_or_else(|| panic!("{from} is not in the page")) + from.len();
        text[at..].split(to).next().unwrap().to_owned()
    }

    /// Name of the session in the addresses of the message page.
    pub fn view(&self) -> String {
        self.between("href=\"/message/", "/")
    }
}

impl Browser<'_> {
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let stream = self.world.connect().await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(header::HOST, HOST);
        }
        if !self.cookies.is_empty() {
            let line = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            request = request.header(header::COOKIE, line);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            self.keep(cookie);
        }
        Answer { status: parts.status, headers: parts.headers, bytes: body.collect().await.unwrap().to_bytes() }
    }

    fn keep(&mut self, cookie: &HeaderValue) {
        let text = cookie.to_str().unwrap();
        let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
        if text.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Posts a form the way our own page does.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&");
        let headers = [("origin", ORIGIN), ("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &headers, &body).await
    }

    /// Types a number and a code at the front page.
    pub async fn try_code(&mut self, number: &str, code: &str) -> Answer {
        let token = self.get("/").await.token();
        self.post("/open", &[("token", &token), ("number", number), ("code", code)]).await
    }

    /// Opens a parcel and returns the message page.
    pub async fn open(&mut self, made: &Made) -> Answer {
        let answer = self.try_code(&made.number.to_string(), &made.code.to_string()).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        assert_eq!(answer.header("location"), "/message");
        self.get("/message").await
    }
}

pub fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// A code that is not this one.
pub fn wrong(code: &Code) -> String {
    let first = if code.digits().starts_with('1') { '2' } else { '1' };
    format!("{first}{}", &code.digits()[1..])
}
