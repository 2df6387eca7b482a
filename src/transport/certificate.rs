//! What a certificate says of itself, for people who ask why. Nothing here proves anything.

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::mail::Timestamp;

/// Names that are shown of one certificate; some carry hundreds.
const NAMES_MAX: usize = 50;
/// Longest name that is shown. Whoever made the certificate chose it.
const NAME_CHARS_MAX: usize = 253;

/// One certificate of a chain as a host presented it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    /// DNS names of its subjectAltName.
    pub names: Vec<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub sha256: [u8; 32],
}

impl Certificate {
    /// Reads DER; `None` if it is no certificate.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Certificate> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let names = match parsed.subject_alternative_name() {
            Ok(Some(names)) => names
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(printable(name)),
                    _ => None,
                })
                .take(NAMES_MAX)
                .collect(),
            Ok(None) | Err(_) => Vec::new(),
        };
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, der).as_ref());
        Some(Certificate {
            subject: printable(&parsed.subject().to_string()),
            issuer: printable(&parsed.issuer().to_string()),
            names,
            not_before: Timestamp::from_secs(parsed.validity().not_before.timestamp()),
            not_after: Timestamp::from_secs(parsed.validity().not_after.timestamp()),
            sha256,
        })
    }

    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

/// Printable ASCII of limited length: the text is a stranger's and goes to a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_names_and_dates_and_nothing_that_a_terminal_obeys() {
        let made = rcgen::generate_simple_self_signed(vec!["mx.example".to_owned(), "*.example".to_owned()]).unwrap();
        let read = Certificate::read(made.cert.der()).unwrap();
        assert_eq!(read.names, ["mx.example", "*.example"]);
        assert!(read.is_self_issued() && read.not_before < read.not_after);
        assert_eq!(read.sha256, digest(&SHA256, made.cert.der()).as_ref());
        assert_eq!(Certificate::read(b"nonsense"), None);
        assert_eq!(printable("a\u{1b}[31m\u{202e}b c"), "a?[31m?b c");
    }
}
