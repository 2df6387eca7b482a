use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context, SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, Der, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Authentication, CaSet, Level, PlanHash, Reason, TlsPlan, TlsaRecord, dane};
use crate::mail::Domain;

/// Sessions kept for resumption per plan: a plan names one host, and a few connections to it suffice.
const SESSIONS_MAX: usize = 8;

/// The TLS client of one plan. Configuration, verifier and store of sessions belong to this plan alone: resumption
/// skips the verifier, so a session must never be found under a plan it was not made under.
#[derive(Clone, Debug)]
pub struct TlsClient {
    pub config: Arc<ClientConfig>,
    /// What is sent as SNI: the first reference name (RFC 7672, section 8.1; RFC 8461, section 4.1).
    pub server_name: ServerName<'static>,
    plan: TlsPlan,
    hash: PlanHash,
    judge: Arc<Judge>,
}

/// Makes the client of one plan. The time of a judgement is the clock's, but never before `now`.
///
/// # Errors
/// [`Reason::CertificateNotTrusted`] without any root to trust, [`Reason::TlsFailed`] for a host name TLS cannot name.
pub fn tls_client(plan: &TlsPlan, roots: &Arc<RootCertStore>, now: UnixTime) -> Result<TlsClient, Reason> {
    let provider = provider();
    let judge = Arc::new(Judge { authentication: plan.authentication.clone(), roots: roots_of(plan, roots)?, provider });
    let time = Arc::new(NotBefore(now));
    let mut config = ClientConfig::builder_with_details(Arc::clone(&judge.provider), time)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| Reason::TlsFailed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Judge>::clone(&judge))
        .with_no_client_auth();
    config.enable_early_data = false;
    config.resumption = match plan.gives {
        Level::Encrypted => Resumption::disabled(),
        Level::Verified | Level::Authenticated => Resumption::in_memory_sessions(SESSIONS_MAX),
    };
    let first = reference_names(&plan.authentication).first().unwrap_or(&plan.host);
    let server_name = server_name(first).ok_or(Reason::TlsFailed)?;
    Ok(TlsClient { config: Arc::new(config), server_name, hash: plan.digest(), plan: plan.clone(), judge })
}

impl TlsClient {
    /// What the finished handshake proves. The peer's chain is judged here once more, because in a resumed handshake
    /// the verifier has not seen it.
    ///
    /// # Errors
    /// Why the chain does not satisfy the plan; [`Reason::TlsFailed`] before the handshake is done.
    pub fn prove(&self, connection: &ClientConnection) -> Result<Proof, Reason> {
        if connection.is_handshaking() {
            return Err(Reason::TlsFailed);
        }
        let chain = connection.peer_certificates().ok_or(Reason::TlsFailed)?;
        let (end_entity, intermediates) = chain.split_first().ok_or(Reason::TlsFailed)?;
        let now = self.config.time_provider.current_time().ok_or(Reason::CertificateExpired)?;
        self.judge.judge(end_entity, intermediates, now)?;
        let tls = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => return Err(Reason::TlsFailed),
        };
        let cipher = connection.negotiated_cipher_suite().ok_or(Reason::TlsFailed)?.suite().as_str().unwrap_or("unnamed");
        Ok(Proof {
            level: self.plan.gives,
            host: self.plan.host.clone(),
            tls,
            cipher,
            chain_sha256: chain_sha256(chain),
            method: method(&self.plan),
            plan: self.hash,
        })
    }

    #[must_use]
    pub fn plan(&self) -> &TlsPlan {
        &self.plan
    }

    #[must_use]
    pub fn hash(&self) -> PlanHash {
        self.hash
    }

    /// Why a handshake failed, from the error TLS gave.
    #[must_use]
    pub fn reason_of(error: &rustls::Error) -> Reason {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref::<NotProven>().map_or(Reason::TlsFailed, |not_proven| not_proven.0)
            }
            other => reason_of_certificate(other),
        }
    }
}

/// What a handshake showed of its peer. Only [`TlsClient::prove`] makes one:
///
/// ```
/// # use wardpost::transport::{Proof, Reason, TlsClient};
/// fn prove(client: &TlsClient, connection: &rustls::ClientConnection) -> Result<Proof, Reason> {
///     client.prove(connection)
/// }
/// ```
/// ```compile_fail,E0451
/// # use wardpost::transport::{Level, Proof, Reason, TlsClient};
/// fn prove(client: &TlsClient, connection: &rustls::ClientConnection) -> Result<Proof, Reason> {
///     Ok(Proof { level: Level::Authenticated, host: client.plan().host.clone(), tls: "", cipher: "",
///         chain_sha256: [0; 32], method: "", plan: client.hash() })
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    level: Level,
    host: Domain,
    tls: &'static str,
    cipher: &'static str,
    chain_sha256: [u8; 32],
    method: &'static str,
    plan: PlanHash,
}

impl Proof {
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The MX host as the plan names it.
    #[must_use]
    pub fn host(&self) -> &Domain {
        &self.host
    }

    /// `TLSv1.3` or `TLSv1.2`.
    #[must_use]
    pub fn tls(&self) -> &'static str {
        self.tls
    }

    #[must_use]
    pub fn cipher(&self) -> &'static str {
        self.cipher
    }

    /// Over the certificates as presented, each with its length before it.
    #[must_use]
    pub fn chain_sha256(&self) -> [u8; 32] {
        self.chain_sha256
    }

    /// `dane`, `mta-sts`, `webpki`, `pin` or `none`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    #[must_use]
    pub fn plan(&self) -> PlanHash {
        self.plan
    }
}

/// The clock of TLS, which never goes back before the plan was made: a clock set back must not revive a certificate.
#[derive(Debug)]
struct NotBefore(UnixTime);

impl TimeProvider for NotBefore {
    fn current_time(&self) -> Option<UnixTime> {
        DefaultTimeProvider.current_time().map(|clock| if clock.as_secs() < self.0.as_secs() { self.0 } else { clock })
    }
}

/// Judges chains under one plan; the verifier of its configuration.
#[derive(Debug)]
struct Judge {
    authentication: Authentication,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

/// Carries our reason through the error type of TLS.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.as_str())]
struct NotProven(Reason);

impl Judge {
    fn judge(&self, end_entity: &CertificateDer<'_>, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Reason> {
        match &self.authentication {
            Authentication::Dane { records, names } => self.dane(records, names, end_entity, chain, now),
            Authentication::WebPki { names, .. } => self.path(&self.roots, names, end_entity, chain, now),
            Authentication::Certificate { sha256 } => {
                let found = digest(&SHA256, end_entity);
                if sha256.iter().any(|pinned| pinned == found.as_ref()) { Ok(()) } else { Err(Reason::PinMismatch) }
            }
            Authentication::None => Ok(()),
        }
    }

    fn dane(
        &self,
        records: &[TlsaRecord],
        names: &[Domain],
        end_entity: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Reason> {
        // Usage 3 binds name and life time to the record itself: neither name nor dates of the certificate count
        // (RFC 7672, section 3.1.1).
        if records.iter().any(|record| record.usage == dane::END_ENTITY && dane::matches(record, end_entity)) {
            return Ok(());
        }
        let mut anchors = RootCertStore::empty();
        for record in records.iter().filter(|record| record.usage == dane::TRUST_ANCHOR) {
            for certificate in chain.iter().filter(|certificate| dane::matches(record, certificate)) {
                let _ = anchors.add(certificate.clone().into_owned());
            }
            // An anchor that the record carries whole need not be presented (RFC 7671, section 5.2.2).
            if let Some(certificate) = dane::carried_certificate(record) {
                let _ = anchors.add(CertificateDer::from(certificate.to_vec()));
            }
            if let Some(key) = dane::carried_key(record).and_then(spki_contents) {
                let presented = std::iter::once(end_entity).chain(chain);
                anchors.roots.extend(presented.filter_map(|certificate| bare_anchor(certificate, key)));
            }
        }
        if anchors.is_empty() {
            return Err(Reason::TlsaInvalid);
        }
        // Usage 3 records may have stood beside it; what is left is the anchor's verdict.
        self.path(&anchors, names, end_entity, chain, now).map_err(|reason| match reason {
            Reason::CertificateNotTrusted => Reason::TlsaInvalid,
            other => other,
        })
    }

    /// A chain to one of the roots, within the dates, for one of the names (SAN only, RFC 9525).
    fn path(
        &self,
        roots: &RootCertStore,
        names: &[Domain],
        end_entity: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Reason> {
        let certificate = ParsedCertificate::try_from(end_entity).map_err(|error| reason_of_certificate(&error))?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, chain, now, algorithms)
            .map_err(|error| reason_of_certificate(&error))?;
        let is_named = names.iter().filter_map(server_name).any(|name| verify_server_name(&certificate, &name).is_ok());
        if is_named { Ok(()) } else { Err(Reason::CertificateHostMismatch) }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.judge(end_entity, intermediates, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(reason) => {
                Err(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NotProven(reason))))))
            }
        }
    }

    // Whatever the plan, the peer has to hold the key of the certificate it shows.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a chain is worth for one host by the configured authorities alone, whatever plan it was shown under. For
/// people who ask why: no message goes out on the strength of this.
///
/// # Errors
/// Why the authorities do not vouch for it.
pub fn web_pki(chain: &[CertificateDer<'_>], host: &Domain, roots: &Arc<RootCertStore>, now: UnixTime) -> Result<(), Reason> {
    let (end_entity, intermediates) = chain.split_first().ok_or(Reason::TlsFailed)?;
    let names = vec![host.clone()];
    let authentication = Authentication::WebPki { names: names.clone(), roots: CaSet::Configured, sts: None };
    let judge = Judge { authentication, roots: Arc::clone(roots), provider: provider() };
    judge.path(roots, &names, end_entity, intermediates, now)
}

/// Whether a certificate is for a host, by its subjectAltName.
#[must_use]
pub fn is_named(certificate: &CertificateDer<'_>, host: &Domain) -> bool {
    let (Ok(certificate), Some(name)) = (ParsedCertificate::try_from(certificate), server_name(host)) else { return false };
    verify_server_name(&certificate, &name).is_ok()
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

/// The roots a plan's chains may end at; none where the plan does not ask for any.
fn roots_of(plan: &TlsPlan, configured: &Arc<RootCertStore>) -> Result<Arc<RootCertStore>, Reason> {
    let roots = match &plan.authentication {
        Authentication::WebPki { roots: CaSet::Configured, .. } => Arc::clone(configured),
        Authentication::WebPki { roots: CaSet::Pinned(pem), .. } => {
            let mut pinned = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| Reason::CertificateNotTrusted)?;
                pinned.add(certificate).map_err(|_| Reason::CertificateNotTrusted)?;
            }
            Arc::new(pinned)
        }
        Authentication::Dane { .. } | Authentication::Certificate { .. } | Authentication::None => {
            return Ok(Arc::new(RootCertStore::empty()));
        }
    };
    if roots.is_empty() { Err(Reason::CertificateNotTrusted) } else { Ok(roots) }
}

fn reference_names(authentication: &Authentication) -> &[Domain] {
    match authentication {
        Authentication::Dane { names, .. } | Authentication::WebPki { names, .. } => names,
        Authentication::Certificate { .. } | Authentication::None => &[],
    }
}

fn server_name(domain: &Domain) -> Option<ServerName<'static>> {
    ServerName::try_from(domain.as_str().to_owned()).ok()
}

/// A trust anchor made of a bare key: it signs for whoever the presented certificate calls its issuer.
fn bare_anchor(certificate: &CertificateDer<'_>, key: &[u8]) -> Option<TrustAnchor<'static>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let issuer = der_contents(parsed.tbs_certificate.issuer.as_raw())?;
    Some(TrustAnchor {
        subject: Der::from(issuer.to_vec()),
        subject_public_key_info: Der::from(key.to_vec()),
        name_constraints: None,
    })
}

fn spki_contents(key: &[u8]) -> Option<&[u8]> {
    SubjectPublicKeyInfo::from_der(key).ok()?;
    der_contents(key)
}

/// What stands inside the outer SEQUENCE.
fn der_contents(der: &[u8]) -> Option<&[u8]> {
    let (_, any) = x509_parser::der_parser::asn1_rs::Any::from_der(der).ok()?;
    Some(any.data)
}

fn method(plan: &TlsPlan) -> &'static str {
    match &plan.authentication {
        Authentication::Dane { .. } => "dane",
        Authentication::WebPki { sts: Some(_), .. } => "mta-sts",
        Authentication::WebPki { roots: CaSet::Pinned(_), .. } | Authentication::Certificate { .. } => "pin",
        // Without MTA-STS only fixed hosts make more of a WebPKI certificate.
        Authentication::WebPki { roots: CaSet::Configured, sts: None, .. } if plan.gives == Level::Authenticated => "pin",
        Authentication::WebPki { .. } => "webpki",
        Authentication::None => "none",
    }
}

fn chain_sha256(chain: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for certificate in chain {
        context.update(&(certificate.len() as u64).to_be_bytes());
        context.update(certificate);
    }
    let mut out = [0u8; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The reason behind an error of chain building or of TLS itself.
fn reason_of_certificate(error: &rustls::Error) -> Reason {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return Reason::TlsFailed;
    };
    match certificate {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Reason::CertificateExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Reason::CertificateHostMismatch,
        // Not ours: all the many ways in which a chain is no good.
        _ => Reason::CertificateNotTrusted,
    }
}
