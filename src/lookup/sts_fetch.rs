use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::{Error, Settings};
use crate::mail::Domain;
use crate::transport::mta_sts::{POLICY_BYTES_MAX, parse_policy};
use crate::transport::{StsPolicy, is_public};

/// RFC 8461, section 3.3: "a timeout of one minute".
pub(super) const FETCH_MAX: Duration = Duration::from_secs(60);
/// One address; the next may do.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ADDRESSES_MAX: usize = 4;

/// Fetches policies over HTTPS as RFC 8461, section 3.3, asks: one certificate for the policy host, no redirects,
/// 64 KiB, plain text.
pub(super) struct Fetcher {
    tls: TlsConnector,
    port: u16,
    allow_private: bool,
    own_addresses: Vec<IpAddr>,
}

impl Fetcher {
    pub fn new(settings: &Settings) -> Result<Fetcher, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|_| Error::Tls)?
            .with_root_certificates(Arc::clone(&settings.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.enable_early_data = false;
        Ok(Fetcher {
            tls: TlsConnector::from(Arc::new(config)),
            port: settings.sts_port,
            allow_private: settings.allow_private_sts,
            own_addresses: settings.own_addresses.clone(),
        })
    }

    /// The policy of `domain` from one of the addresses of its policy host; `None` for anything that is no policy.
    pub async fn fetch(&self, domain: &Domain, addresses: &[IpAddr], id: &str, deadline: Instant) -> Option<StsPolicy> {
        let host = policy_host(domain)?;
        let deadline = deadline.min(Instant::now() + FETCH_MAX);
        let tcp = timeout_at(deadline, self.connect(addresses)).await.ok()??;
        let body = timeout_at(deadline, self.get(tcp, &host)).await.ok()??;
        parse_policy(&body, id).ok()
    }

    /// An attacker who names the addresses must not make us talk to machines that only we can reach.
    fn may_reach(&self, address: IpAddr) -> bool {
        !self.own_addresses.contains(&address) && (self.allow_private || is_public(address))
    }

    async fn connect(&self, addresses: &[IpAddr]) -> Option<TcpStream> {
        for address in addresses.iter().copied().filter(|address| self.may_reach(*address)).take(ADDRESSES_MAX) {
            if let Ok(Ok(stream)) = timeout(CONNECT_MAX, TcpStream::connect(SocketAddr::new(address, self.port))).await {
                return Some(stream);
            }
        }
        None
    }

    async fn get(&self, tcp: TcpStream, host: &Domain) -> Option<Bytes> {
        let name = ServerName::try_from(host.as_str().to_owned()).ok()?;
        let tls = self.tls.connect(name, tcp).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.ok()?;
        // Ends with this function, whatever the server still sends.
        let mut exchange = JoinSet::new();
        exchange.spawn(connection);
        let request = Request::get("/.well-known/mta-sts.txt")
            .header(HOST, host.as_str())
            .header(USER_AGENT, "wardpost")
            .body(Empty::<Bytes>::new())
            .ok()?;
        let response = sender.send_request(request).await.ok()?;
        // Redirects too: RFC 8461, section 3.3, forbids to follow them.
        if response.status() != StatusCode::OK || !is_plain_text(response.headers().get(CONTENT_TYPE)?.as_bytes()) {
            return None;
        }
        let body = Limited::new(response.into_body(), POLICY_BYTES_MAX).collect().await.ok()?;
        Some(body.to_bytes())
    }
}

pub(super) fn policy_host(domain: &Domain) -> Option<Domain> {
    Domain::parse(&format!("mta-sts.{domain}")).ok()
}

/// `text/plain`, whatever its parameters (RFC 8461, section 3.2).
fn is_plain_text(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|b| *b == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"text/plain")
}
