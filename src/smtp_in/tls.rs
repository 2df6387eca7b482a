use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use super::ListenerKind;
use super::certificate::authority_name_der;

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Some devices break off when they are asked.
    Nobody,
    /// Mail programs and servers, for one of the built-in authority: programs that have none of it do not bother
    /// their user.
    ForOurs,
    /// For any: a pinned one may be signed by anybody.
    ForAny,
}

/// One certificate, with and without the question for the client's.
#[derive(Clone)]
pub struct TlsConfigs {
    /// On the ports for mail programs.
    pub programs: Arc<ServerConfig>,
    /// On the port for mail servers.
    pub servers: Arc<ServerConfig>,
}

/// The certificate in force. Sessions take it when they start TLS, so a reload cuts none.
pub struct TlsAcceptorSource {
    current: RwLock<TlsConfigs>,
}

impl TlsAcceptorSource {
    #[must_use]
    pub fn new(configs: TlsConfigs) -> TlsAcceptorSource {
        TlsAcceptorSource { current: RwLock::new(configs) }
    }

    #[must_use]
    pub fn current(&self, kind: ListenerKind) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        match kind {
            ListenerKind::Relay => Arc::clone(&current.servers),
            ListenerKind::Submission | ListenerKind::Submissions | ListenerKind::Legacy => Arc::clone(&current.programs),
        }
    }

    pub fn replace(&self, configs: TlsConfigs) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = configs;
    }
}

/// TLS 1.2 and 1.3 with the suites of rustls (all with forward secrecy), tickets for resumption, no early data.
///
/// # Errors
/// If key and certificate do not belong together or are of a kind that is not supported.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    ask: Ask,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let hints = match ask {
        Ask::Nobody => None,
        Ask::ForOurs => Some(vec![DistinguishedName::from(authority_name_der())]),
        Ask::ForAny => Some(Vec::new()),
    };
    let builder = match hints {
        None => builder.with_no_client_auth(),
        Some(hints) => builder.with_client_cert_verifier(Arc::new(HoldsItsKey { provider, hints })),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    // One ticket for each connection is what a client that sends mail can use.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Takes any certificate whose key the client holds, and clients without one. What it is worth is looked up by its hash
/// after the handshake, resumed ones included, so that a revocation counts at once.
#[derive(Debug)]
struct HoldsItsKey {
    provider: Arc<CryptoProvider>,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for HoldsItsKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
