use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Error, Settings};
use crate::mail::Domain;
use crate::transport::is_public;

/// One address; the next may do.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ADDRESSES_MAX: usize = 4;
/// What a receiver of a report may say of it; nobody reads it.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Why nothing came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpsFailure {
    /// No address, none that may be reached, or none that answered as HTTP.
    Unreachable,
    /// The certificate is not good for the name.
    NotTrusted,
    /// Another status than the one that was hoped for, redirects included.
    Refused(u16),
}

/// Asks hosts that strangers name, over HTTPS with a verified certificate: one request, no redirects.
pub(super) struct Https {
    tls: TlsConnector,
    allow_private: bool,
    own_addresses: Vec<IpAddr>,
}

impl Https {
    pub fn new(settings: &Settings) -> Result<Https, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|_| Error::Tls)?
            .with_root_certificates(Arc::clone(&settings.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.enable_early_data = false;
        // A resumed handshake would not look at the certificate that the host shows today.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Https {
            tls: TlsConnector::from(Arc::new(config)),
            allow_private: settings.allow_private_sts,
            own_addresses: settings.own_addresses.clone(),
        })
    }

    /// A TLS connection whose peer has proven `host`.
    pub async fn open(&self, addresses: &[IpAddr], port: u16, host: &Domain) -> Result<TlsStream<TcpStream>, HttpsFailure> {
        let name = ServerName::try_from(host.as_str().to_owned()).map_err(|_| HttpsFailure::Unreachable)?;
        let tcp = self.connect(addresses, port).await.ok_or(HttpsFailure::Unreachable)?;
        self.tls.connect(name, tcp).await.map_err(|error| {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match tls {
                Some(rustls::Error::InvalidCertificate(_)) => HttpsFailure::NotTrusted,
                Some(_) | None => HttpsFailure::Unreachable,
            }
        })
    }

    pub async fn get(&self, stream: TlsStream<TcpStream>, host: &Domain, path: &str) -> Option<Exchange> {
        let request = Request::get(path)
            .header(HOST, host.as_str())
            .header(USER_AGENT, "wardpost")
            .body(Empty::<Bytes>::new().boxed())
            .ok()?;
        exchange(stream, request).await
    }

    /// Hands something over; any 2xx is a yes.
    pub async fn post(
        &self,
        stream: TlsStream<TcpStream>,
        authority: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), HttpsFailure> {
        let request = Request::post(path)
            .header(HOST, authority)
            .header(USER_AGENT, "wardpost")
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(body)).boxed())
            .map_err(|_| HttpsFailure::Unreachable)?;
        let Exchange { response, connection: _connection } = exchange(stream, request).await.ok_or(HttpsFailure::Unreachable)?;
        let status = response.status();
        // Read, so that the host does not see its answer cut off.
        let _ = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        if status.is_success() { Ok(()) } else { Err(HttpsFailure::Refused(status.as_u16())) }
    }

    /// An attacker who names the addresses must not make us talk to machines that only we can reach.
    fn may_reach(&self, address: IpAddr) -> bool {
        !self.own_addresses.contains(&address) && (self.allow_private || is_public(address))
    }

    async fn connect(&self, addresses: &[IpAddr], port: u16) -> Option<TcpStream> {
        for address in addresses.iter().copied().filter(|address| self.may_reach(*address)).take(ADDRESSES_MAX) {
            if let Ok(Ok(stream)) = timeout(CONNECT_MAX, TcpStream::connect(SocketAddr::new(address, port))).await {
                return Some(stream);
            }
        }
        None
    }
}

/// An answer, and the connection that its body still comes over.
pub(super) struct Exchange {
    pub response: Response<Incoming>,
    /// Ends with this value, whatever the server still sends.
    pub connection: JoinSet<hyper::Result<()>>,
}

type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

async fn exchange(stream: TlsStream<TcpStream>, request: Request<Body>) -> Option<Exchange> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut running = JoinSet::new();
    running.spawn(connection);
    let response = sender.send_request(request).await.ok()?;
    Some(Exchange { response, connection: running })
}
