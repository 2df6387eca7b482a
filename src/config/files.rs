//! Files that the configuration names: read here, judged where they are used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;

/// Certificate chain and key of one listener.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// Paths in a configuration are relative to the folder of the file.
#[must_use]
pub fn beside(base: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { base.join(path) }
}

/// # Errors
/// [`Error::Unreadable`] with the path.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

/// # Errors
/// As [`read`]; and if it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?).map_err(|_| Error::file(path, "is not UTF-8 text"))
}

/// A secret on the first line of a file.
///
/// # Errors
/// As [`read_text`]; and if the file is empty.
pub fn read_secret(path: &Path) -> Result<String, Error> {
    let text = read_text(path)?;
    match text.lines().next().map(str::trim) {
        Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
        _ => Err(Error::file(path, "is empty; write the secret on its first line")),
    }
}

/// Certificate chain and private key, PEM.
///
/// # Errors
/// [`Error::File`] that says which of the two is wrong and how.
pub fn identity(chain: &Path, key: &Path) -> Result<Identity, Error> {
    let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::file(chain, format!("is no PEM certificate chain ({error})")))?;
    if certificates.is_empty() {
        return Err(Error::file(chain, "holds no certificate; expected PEM, the server's own first"));
    }
    let key_der = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| Error::file(key, format!("is no PEM private key ({error})")))?;
    Ok(Identity { chain: certificates, key: key_der })
}

/// The certificates of a PEM bundle as roots.
///
/// # Errors
/// [`Error::File`] if there is none or one cannot be read.
pub fn roots(path: &Path) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
        let certificate = certificate.map_err(|error| Error::file(path, format!("is no PEM bundle ({error})")))?;
        roots
            .add(certificate)
            .map_err(|error| Error::file(path, format!("holds a certificate that is no authority ({error})")))?;
    }
    if roots.is_empty() {
        return Err(Error::file(path, "holds no certificate"));
    }
    Ok(Arc::new(roots))
}

/// The system's bundle. Empty on a machine without one: then nothing verifies, and `check-config` says so.
#[must_use]
pub fn system_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // A bundle may hold authorities that webpki cannot use; the others still count.
        let _ = roots.add(certificate);
    }
    Arc::new(roots)
}

/// DNS names of a certificate's subjectAltName.
///
/// # Errors
/// [`Error::File`] if the certificate cannot be read.
pub fn names(path: &Path, identity: &Identity) -> Result<Vec<String>, Error> {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
    let first = identity.chain.first().ok_or_else(|| Error::file(path, "holds no certificate"))?;
    let (_, certificate) =
        X509Certificate::from_der(first).map_err(|error| Error::file(path, format!("is no certificate ({error})")))?;
    let names = certificate.subject_alternative_name().ok().flatten();
    Ok(names
        .map(|names| {
            names
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                    GeneralName::IPAddress(bytes) => match bytes.len() {
                        4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
                        _ => <[u8; 16]>::try_from(*bytes).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
                    },
                    _ => None,
                })
                .collect()
        })
        .unwrap_or_default())
}

/// Until when the first certificate is valid, in seconds since 1970.
#[must_use]
pub fn valid_until(identity: &Identity) -> Option<i64> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(identity.chain.first()?).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Whether a certificate's names cover a host; `*` stands for one label.
#[must_use]
pub fn covers(names: &[String], host: &str) -> bool {
    names.iter().any(|name| match name.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(_, parent)| parent == rest),
        None => name == host,
    })
}
