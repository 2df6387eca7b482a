//! Client certificates. Which one a client may use is known by hash, so no chain is judged: the handshake has proven
//! that the client holds the key, and a certificate nobody pinned or issued gives no right, whoever signed it.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::network::{Caller, Quota};
use crate::mail::{AddressPattern, Mailbox, Principal, PrincipalKind};
use crate::store::UserRow;

/// Issued certificates are rows among the accounts under names that no account can have.
const PREFIX: &str = "cert:";
/// First word of such a row's verifier, where an account has its Argon2 string.
const FORMAT: &str = "x509-sha256";
/// Longest name in a certificate that is looked up.
const NAME_OCTETS_MAX: usize = 64;

/// What of a certificate decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// SHA-256 of the certificate.
    pub sha256: [u8; 32],
    /// SHA-256 of its SubjectPublicKeyInfo, which a renewal with the same key keeps.
    pub key_sha256: [u8; 32],
    /// The common name: where to look, never a proof.
    pub name: String,
    pub not_before_s: i64,
    pub not_after_s: i64,
}

impl Shown {
    /// Reads DER; `None` if it is no certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Shown> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
        Some(Shown {
            sha256: sha256(der),
            key_sha256: sha256(parsed.public_key().raw),
            name: if name.len() <= NAME_OCTETS_MAX { name.to_owned() } else { String::new() },
            not_before_s: parsed.validity().not_before.timestamp(),
            not_after_s: parsed.validity().not_after.timestamp(),
        })
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// A client that the configuration names by hash.
#[derive(Clone, Debug)]
pub struct Pinned {
    pub name: String,
    /// Of certificates or of their public keys.
    pub sha256: Vec<[u8; 32]>,
    pub may_send_as: Vec<AddressPattern>,
    pub bound_address: Option<Mailbox>,
    pub quota: Quota,
}

impl Pinned {
    /// The pinned client that a certificate belongs to.
    #[must_use]
    pub fn of<'p>(pinned: &'p [Pinned], shown: &Shown) -> Option<&'p Pinned> {
        pinned.iter().find(|pin| pin.sha256.contains(&shown.sha256) || pin.sha256.contains(&shown.key_sha256))
    }

    pub(super) fn caller(&self) -> Caller {
        Caller::of(
            Principal {
                name: self.name.clone(),
                kind: PrincipalKind::Network,
                may_send_as: self.may_send_as.clone(),
                bound_address: self.bound_address.clone(),
                tenancy: Vec::new(),
            },
            self.quota,
        )
    }
}

/// A certificate of the built-in authority, as it stands in the verifier of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    pub sha256: [u8; 32],
    pub not_after_s: i64,
    pub messages_per_hour: Option<u32>,
}

impl fmt::Display for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMAT} ")?;
        for byte in self.sha256 {
            write!(f, "{byte:02x}")?;
        }
        write!(f, " {} {}", self.not_after_s, self.messages_per_hour.unwrap_or(0))
    }
}

impl Issued {
    /// What [`Issued::to_string`] wrote; `None` for the verifier of a password.
    #[must_use]
    pub fn parse(verifier: &str) -> Option<Issued> {
        let mut words = verifier.split(' ');
        let (FORMAT, digits, not_after, quota, None) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next())
        else {
            return None;
        };
        let mut sha256 = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (i, byte) in sha256.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        let quota: u32 = quota.parse().ok()?;
        Some(Issued { sha256, not_after_s: not_after.parse().ok()?, messages_per_hour: (quota > 0).then_some(quota) })
    }

    /// Name of the row of the certificate called `name`.
    #[must_use]
    pub fn row_name(name: &str) -> String {
        format!("{PREFIX}{name}")
    }

    /// The certificate's name, if the row is one's.
    #[must_use]
    pub fn name_of(row: &UserRow) -> Option<&str> {
        row.name.strip_prefix(PREFIX)
    }

    /// Who shows this certificate, if the row is its.
    pub(super) fn caller(row: &UserRow, shown: &Shown) -> Option<Caller> {
        let issued = Issued::parse(&row.verifier)?;
        if issued.sha256 != shown.sha256 {
            return None;
        }
        let quota = Quota { messages_per_hour: issued.messages_per_hour, ..Quota::default() };
        Some(Caller::of(super::guard::principal(row), quota))
    }
}

/// Distinguished name of the built-in authority, DER: told to clients, so that they know which certificate is meant.
pub const AUTHORITY_NAME: &str = "Wardpost clients";

/// `AUTHORITY_NAME` as the one common name of a distinguished name.
pub(super) fn authority_name_der() -> Vec<u8> {
    let name = AUTHORITY_NAME.as_bytes();
    let wrap = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let attribute = [wrap(0x06, &[0x55, 0x04, 0x03]), wrap(0x0c, name)].concat();
    wrap(0x30, &wrap(0x31, &wrap(0x30, &attribute)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_of_a_certificate_reads_back_and_no_password_is_one() {
        for messages_per_hour in [None, Some(7)] {
            let issued = Issued { sha256: [0xa5; 32], not_after_s: 1_800_000_000, messages_per_hour };
            assert_eq!(Issued::parse(&issued.to_string()), Some(issued));
        }
        for text in ["", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", "x509-sha256 00 1 0", "x509-sha256", "verifies right"] {
            assert_eq!(Issued::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_authority_is_named_as_its_certificate_names_it() {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, AUTHORITY_NAME);
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(made.der()).unwrap();
        assert_eq!(parsed.subject().as_raw(), authority_name_der());
        let shown = Shown::of(made.der()).unwrap();
        assert_eq!(shown.name, AUTHORITY_NAME);
        assert_eq!(shown.key_sha256, sha256(parsed.public_key().raw));
        assert_eq!(Shown::of(b"0\x03\x02\x01\x01"), None);
        assert_eq!(Shown::of(&[made.der().as_ref(), b"x"].concat()), None, "octets behind the certificate");
    }
}
