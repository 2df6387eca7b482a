//! The HTTPS host of MTA-STS policies (RFC 8461, section 3.3): one listener for all domains, told apart by SNI and Host.
//! What is posted to it (RFC 8460, section 5.4) is kept.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::ca::provider;
use super::{Error, Leaf};

/// What one policy host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsAnswer {
    /// The text of a policy, as `text/plain`.
    Policy(String),
    /// 301 to this URL, which RFC 8461 forbids to follow.
    Redirect(String),
    /// A valid beginning and so many octets in all.
    Oversize(usize),
    /// The policy, called `text/html`.
    WrongType(String),
    NotFound,
    /// Another status with an empty body.
    Status(u16),
    /// The request is read and never answered.
    Hang,
    /// The connection ends in the middle of the body.
    Cut(String),
}

/// The listener. It stops when this is dropped.
pub struct StsHost {
    state: Arc<State>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    hosts: Mutex<HashMap<String, Site>>,
}

#[derive(Debug)]
struct Site {
    key: Arc<CertifiedKey>,
    answer: StsAnswer,
    fetches: usize,
    posts: Vec<Posted>,
}

/// What was posted to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub path: String,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// An `enforce` policy for these MX patterns.
#[must_use]
pub fn enforce(mx: &[&str]) -> String {
    policy("enforce", mx, 86_400)
}

/// A policy as text.
#[must_use]
pub fn policy(mode: &str, mx: &[&str], max_age_secs: u64) -> String {
    let hosts: String = mx.iter().map(|pattern| format!("mx: {pattern}\r\n")).collect();
    format!("version: STSv1\r\nmode: {mode}\r\n{hosts}max_age: {max_age_secs}\r\n")
}

impl StsHost {
    /// # Errors
    /// When the listener has no address or TLS cannot be set up.
    pub fn serve(listener: TcpListener) -> Result<Self, Error> {
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(BySni(Arc::clone(&state))));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&state)));
        Ok(Self { state, address, _tasks: tasks })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows `leaf` to those who ask for `host` (`mta-sts.good.example`) and gives this answer. Replaces an earlier one.
    ///
    /// # Errors
    /// When the provider refuses the key.
    pub fn set(&self, host: &str, leaf: &Leaf, answer: StsAnswer) -> Result<(), Error> {
        let key = Arc::new(leaf.certified_key()?);
        let mut hosts = self.state.hosts();
        let host = host.to_ascii_lowercase();
        let fetches = hosts.get(&host).map_or(0, |site| site.fetches);
        let posts = hosts.get_mut(&host).map(|site| std::mem::take(&mut site.posts)).unwrap_or_default();
        hosts.insert(host, Site { key, answer, fetches, posts });
        Ok(())
    }

    /// Changes the answer of a host that is known.
    pub fn answer(&self, host: &str, answer: StsAnswer) {
        if let Some(site) = self.state.hosts().get_mut(host) {
            site.answer = answer;
        }
    }

    /// What was posted to this host, accepted or not.
    #[must_use]
    pub fn posts(&self, host: &str) -> Vec<Posted> {
        self.state.hosts().get(host).map(|site| site.posts.clone()).unwrap_or_default()
    }

    /// How often the policy of this host was asked for.
    #[must_use]
    pub fn fetches(&self, host: &str) -> usize {
        self.state.hosts().get(host).map_or(0, |site| site.fetches)
    }
}

impl std::fmt::Debug for StsHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StsHost").field("address", &self.address).finish_non_exhaustive()
    }
}

impl State {
    fn hosts(&self) -> MutexGuard<'_, HashMap<String, Site>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct BySni(Arc<State>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name()?.to_ascii_lowercase();
        self.0.hosts().get(&host).map(|site| Arc::clone(&site.key))
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        sessions.spawn(serve(stream, acceptor.clone(), Arc::clone(&state)));
        while sessions.try_join_next().is_some() {}
    }
}

/// One request, one answer, `Connection: close`.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let mut head: Vec<u8> = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let room = (HEAD_MAX - head.len()) as u64;
        if room == 0 || (&mut stream).take(room).read_until(b'\n', &mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let request = head.split("\r\n").next().unwrap_or_default();
    let field = |name: &str| {
        let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let host = field("host").split(':').next().unwrap_or_default().to_ascii_lowercase();
    let answer = if let Some(path) = request.strip_prefix("POST ").and_then(|rest| rest.split(' ').next()) {
        let length: u64 = field("content-length").parse().unwrap_or(0);
        let mut body = Vec::new();
        (&mut stream).take(length.min(POST_MAX)).read_to_end(&mut body).await?;
        match state.hosts().get_mut(&host) {
            Some(site) => {
                site.posts.push(Posted { path: path.to_owned(), content_type: field("content-type"), body });
                match &site.answer {
                    StsAnswer::Policy(_) => StsAnswer::Status(201),
                    other => other.clone(),
                }
            }
            None => StsAnswer::NotFound,
        }
    } else if request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.") {
        match state.hosts().get_mut(&host) {
            Some(site) => {
                site.fetches += 1;
                site.answer.clone()
            }
            None => StsAnswer::NotFound,
        }
    } else {
        StsAnswer::NotFound
    };
    let response = match answer {
        StsAnswer::Policy(text) => response("200 OK", "text/plain", "", text.as_bytes()),
        StsAnswer::WrongType(text) => response("200 OK", "text/html", "", text.as_bytes()),
        StsAnswer::Redirect(to) => response("301 Moved Permanently", "text/plain", &format!("Location: {to}\r\n"), b""),
        StsAnswer::NotFound => response("404 Not Found", "text/plain", "", b"not here\r\n"),
        StsAnswer::Status(status) => response(&format!("{status} -"), "text/plain", "", b""),
        StsAnswer::Oversize(octets) => {
            let mut body = enforce(&["*.example"]).into_bytes();
            body.resize(octets, b'\n');
            response("200 OK", "text/plain", "", &body)
        }
        StsAnswer::Cut(text) => {
            let mut whole = response("200 OK", "text/plain", "", text.as_bytes());
            whole.truncate(whole.len().saturating_sub(text.len() / 2 + 1));
            whole
        }
        StsAnswer::Hang => {
            // Until the client has had enough.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            return Ok(());
        }
    };
    let stream = stream.get_mut();
    stream.write_all(&response).await?;
    stream.shutdown().await
}

fn response(status: &str, media_type: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The longest report that is taken.
const POST_MAX: u64 = 4 << 20;
/// No request of ours is longer.
const HEAD_MAX: usize = 16 * 1024;
