use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificate in force. Sessions take it when they start TLS, so a reload cuts none.
pub struct TlsAcceptorSource {
    current: RwLock<Arc<ServerConfig>>,
}

impl TlsAcceptorSource {
    #[must_use]
    pub fn new(config: Arc<ServerConfig>) -> TlsAcceptorSource {
        TlsAcceptorSource { current: RwLock::new(config) }
    }

    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// TLS 1.2 and 1.3 with the suites of rustls (all with forward secrecy), tickets for resumption, no early data.
///
/// # Errors
/// If key and certificate do not belong together or are of a kind that is not supported.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    // One ticket for each connection is what a client that sends mail can use.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}
