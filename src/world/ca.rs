//! A private certificate authority and the certificates that mail hosts show, good and bad.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::FromDer;

use super::Error;

/// A root with its key: leaves chain to it, and its PEM is what a gateway is told to trust.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// An end-entity certificate with its key and the certificates sent along with it.
pub struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

/// The versions of TLS that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Versions {
    #[default]
    Both,
    Only12,
    Only13,
}

/// A TLSA record (RFC 6698, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    pub usage: u8,
    pub selector: u8,
    pub matching: u8,
    pub association: Vec<u8>,
}

impl Ca {
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self, Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        valid_for(&mut params, SystemTime::now(), Duration::from_secs(3600), 3650 * DAY);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The bundle a gateway is configured with.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// A valid certificate for these host names (a `*.` wildcard is one too).
    ///
    /// # Errors
    /// When a name is not a host name.
    pub fn leaf(&self, names: &[&str]) -> Result<Leaf, Error> {
        let mut params = leaf_params(names)?;
        valid_for(&mut params, SystemTime::now(), Duration::from_secs(3600), 365 * DAY);
        self.issue(&params)
    }

    /// A certificate that ended yesterday.
    ///
    /// # Errors
    /// As [`Ca::leaf`].
    pub fn expired_leaf(&self, names: &[&str]) -> Result<Leaf, Error> {
        let mut params = leaf_params(names)?;
        valid_for(&mut params, SystemTime::now() - DAY, 30 * DAY, Duration::ZERO);
        self.issue(&params)
    }

    /// A valid certificate that sends this authority along: the form DANE-TA(2) needs (RFC 7672, section 3.1.2).
    ///
    /// # Errors
    /// As [`Ca::leaf`].
    pub fn leaf_with_anchor(&self, names: &[&str]) -> Result<Leaf, Error> {
        let mut leaf = self.leaf(names)?;
        leaf.chain.push(self.der().clone());
        Ok(leaf)
    }

    /// As [`Ca::leaf_with_anchor`], but ended yesterday.
    ///
    /// # Errors
    /// As [`Ca::leaf`].
    pub fn expired_leaf_with_anchor(&self, names: &[&str]) -> Result<Leaf, Error> {
        let mut leaf = self.expired_leaf(names)?;
        leaf.chain.push(self.der().clone());
        Ok(leaf)
    }

    fn issue(&self, params: &CertificateParams) -> Result<Leaf, Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { chain: vec![certificate.der().clone()], key: PrivatePkcs8KeyDer::from(key.serialize_der()) })
    }
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

impl Leaf {
    /// A certificate nobody vouches for.
    ///
    /// # Errors
    /// When a name is not a host name.
    pub fn self_signed(names: &[&str]) -> Result<Self, Error> {
        let mut params = leaf_params(names)?;
        valid_for(&mut params, SystemTime::now(), Duration::from_secs(3600), 365 * DAY);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { chain: vec![certificate.der().clone()], key: PrivatePkcs8KeyDer::from(key.serialize_der()) })
    }

    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The end-entity certificate.
    ///
    /// # Errors
    /// Never for a leaf made here.
    pub fn der(&self) -> Result<&CertificateDer<'static>, Error> {
        self.chain.first().ok_or(Error::Certificate("an empty chain"))
    }

    /// SHA-256 of the end-entity certificate: what a pin compares.
    ///
    /// # Errors
    /// Never for a leaf made here.
    pub fn sha256(&self) -> Result<[u8; 32], Error> {
        let hash = digest::digest(&digest::SHA256, self.der()?);
        hash.as_ref().try_into().map_err(|_| Error::Certificate("a hash of another length"))
    }

    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    #[must_use]
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key.secret_pkcs8_der())
    }

    /// The record that matches this certificate (usages 1 and 3) or the last one of its chain (usages 0 and 2).
    ///
    /// # Errors
    /// For a selector or matching type that RFC 6698 does not define.
    pub fn tlsa(&self, usage: u8, selector: u8, matching: u8) -> Result<Tlsa, Error> {
        let certificate = match usage {
            0 | 2 => self.chain.last(),
            _ => self.chain.first(),
        }
        .ok_or(Error::Certificate("an empty chain"))?;
        let selected = match selector {
            0 => certificate.to_vec(),
            1 => {
                let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate)
                    .map_err(|_| Error::Certificate("a certificate that cannot be read back"))?;
                parsed.tbs_certificate.subject_pki.raw.to_vec()
            }
            _ => return Err(Error::Certificate("an unknown TLSA selector")),
        };
        let association = match matching {
            0 => selected,
            1 => digest::digest(&digest::SHA256, &selected).as_ref().to_vec(),
            2 => digest::digest(&digest::SHA512, &selected).as_ref().to_vec(),
            _ => return Err(Error::Certificate("an unknown TLSA matching type")),
        };
        Ok(Tlsa { usage, selector, matching, association })
    }

    /// The same record with one bit of the association turned.
    ///
    /// # Errors
    /// As [`Leaf::tlsa`].
    pub fn tlsa_mismatch(&self, usage: u8, selector: u8, matching: u8) -> Result<Tlsa, Error> {
        let mut record = self.tlsa(usage, selector, matching)?;
        if let Some(last) = record.association.last_mut() {
            *last ^= 1;
        }
        Ok(record)
    }

    /// # Errors
    /// When the provider refuses the key.
    pub fn certified_key(&self) -> Result<CertifiedKey, Error> {
        Ok(CertifiedKey::from_der(self.chain.clone(), PrivateKeyDer::Pkcs8(self.key.clone_key()), &provider())?)
    }

    /// A server that shows this certificate to everybody. Sessions can be resumed, each configuration has a store of its own.
    ///
    /// # Errors
    /// When the provider refuses the key.
    pub fn server_config(&self, versions: Versions) -> Result<Arc<ServerConfig>, Error> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions.as_slice())?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), PrivateKeyDer::Pkcs8(self.key.clone_key()))?;
        Ok(Arc::new(config))
    }
}

impl Versions {
    pub(super) fn as_slice(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        static ONLY_12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
        static ONLY_13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
        match self {
            Versions::Both => rustls::ALL_VERSIONS,
            Versions::Only12 => ONLY_12,
            Versions::Only13 => ONLY_13,
        }
    }
}

/// The one provider of the program, passed explicitly so that no process-wide default decides.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn leaf_params(names: &[&str]) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names.iter().map(|name| name.trim_end_matches('.').to_owned()).collect::<Vec<_>>())?;
    if let Some(first) = names.first() {
        params.distinguished_name.push(DnType::CommonName, *first);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn valid_for(params: &mut CertificateParams, at: SystemTime, before: Duration, after: Duration) {
    params.not_before = (at - before).into();
    params.not_after = (at + after).into();
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        let _ = writeln!(out, "{line}");
        rest = more;
    }
    let _ = writeln!(out, "-----END {label}-----");
    out
}

const DAY: Duration = Duration::from_secs(86_400);
