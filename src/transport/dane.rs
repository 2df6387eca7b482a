use aws_lc_rs::digest::{SHA256, SHA512, digest};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::TlsaRecord;

/// DANE-TA: the record names a trust anchor of the peer's chain.
pub const TRUST_ANCHOR: u8 = 2;
/// DANE-EE: the record names the peer's own certificate or key.
pub const END_ENTITY: u8 = 3;

const WHOLE_CERTIFICATE: u8 = 0;
const PUBLIC_KEY: u8 = 1;

const VERBATIM: u8 = 0;
const BY_SHA256: u8 = 1;
const BY_SHA512: u8 = 2;

/// Whether a record can be matched at all in SMTP (RFC 7672, section 3.1; RFC 7671, section 5).
///
/// Usages 0 and 1 are unusable: an SMTP client cannot know which public CAs the publisher had in mind
/// (RFC 7672, section 3.1.3). So are unknown selectors and matching types, and associations that no
/// certificate could produce: a digest of the wrong length, or bytes that are no certificate or key.
#[must_use]
pub fn usable(record: &TlsaRecord) -> bool {
    let association = record.association.as_slice();
    matches!(record.usage, TRUST_ANCHOR | END_ENTITY)
        && match (record.matching, record.selector) {
            (BY_SHA256, WHOLE_CERTIFICATE | PUBLIC_KEY) => association.len() == 32,
            (BY_SHA512, WHOLE_CERTIFICATE | PUBLIC_KEY) => association.len() == 64,
            (VERBATIM, WHOLE_CERTIFICATE) => public_key(association).is_some(),
            (VERBATIM, PUBLIC_KEY) => SubjectPublicKeyInfo::from_der(association).is_ok_and(|(rest, _)| rest.is_empty()),
            _ => false,
        }
}

/// The records a handshake is judged by: usable, without repetition, in a fixed order, and where one usage and
/// selector is published under both digests only the stronger (digest agility, RFC 7671, section 9).
#[must_use]
pub fn effective(records: &[TlsaRecord]) -> Vec<TlsaRecord> {
    let mut kept: Vec<TlsaRecord> = records.iter().filter(|record| usable(record)).cloned().collect();
    kept.sort();
    kept.dedup();
    let stronger: Vec<(u8, u8)> =
        kept.iter().filter(|record| record.matching == BY_SHA512).map(|record| (record.usage, record.selector)).collect();
    kept.retain(|record| record.matching != BY_SHA256 || !stronger.contains(&(record.usage, record.selector)));
    kept
}

/// Whether `certificate` (DER) is what the record names. The usage says where in the chain to ask and is not
/// looked at here.
#[must_use]
pub fn matches(record: &TlsaRecord, certificate: &[u8]) -> bool {
    let selected = match record.selector {
        WHOLE_CERTIFICATE => Some(certificate),
        PUBLIC_KEY => public_key(certificate),
        _ => None,
    };
    let Some(selected) = selected else { return false };
    match record.matching {
        VERBATIM => selected == record.association,
        BY_SHA256 => digest(&SHA256, selected).as_ref() == record.association,
        BY_SHA512 => digest(&SHA512, selected).as_ref() == record.association,
        _ => false,
    }
}

/// The certificate that a record carries whole, so that a chain may end at it without presenting it.
#[must_use]
pub fn carried_certificate(record: &TlsaRecord) -> Option<&[u8]> {
    (record.matching == VERBATIM && record.selector == WHOLE_CERTIFICATE).then_some(&record.association)
}

/// The public key that a record carries whole.
#[must_use]
pub fn carried_key(record: &TlsaRecord) -> Option<&[u8]> {
    (record.matching == VERBATIM && record.selector == PUBLIC_KEY).then_some(&record.association)
}

/// SubjectPublicKeyInfo of a certificate, as encoded.
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let (rest, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    rest.is_empty().then_some(parsed.tbs_certificate.subject_pki.raw)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn record(usage: u8, selector: u8, matching: u8, association: &[u8]) -> TlsaRecord {
        TlsaRecord { usage, selector, matching, association: association.to_vec() }
    }

    fn certificate() -> Vec<u8> {
        rcgen::generate_simple_self_signed(vec!["mx.example".to_owned()]).unwrap().cert.der().to_vec()
    }

    #[test]
    fn only_records_that_a_certificate_could_match_are_usable() {
        let cert = certificate();
        let key = public_key(&cert).unwrap().to_vec();
        let cases: &[(&str, TlsaRecord, bool)] = &[
            ("3 1 1", record(3, 1, 1, &[7; 32]), true),
            ("3 0 1", record(3, 0, 1, &[7; 32]), true),
            ("2 0 1", record(2, 0, 1, &[7; 32]), true),
            ("2 1 2", record(2, 1, 2, &[7; 64]), true),
            ("3 1 2", record(3, 1, 2, &[7; 64]), true),
            ("2 0 0 with a certificate", record(2, 0, 0, &cert), true),
            ("3 1 0 with a key", record(3, 1, 0, &key), true),
            ("0 1 1: public CAs are not agreed on", record(0, 1, 1, &[7; 32]), false),
            ("1 1 1", record(1, 1, 1, &[7; 32]), false),
            ("4 1 1", record(4, 1, 1, &[7; 32]), false),
            ("255 1 1", record(255, 1, 1, &[7; 32]), false),
            ("3 2 1: unknown selector", record(3, 2, 1, &[7; 32]), false),
            ("3 1 3: unknown matching type", record(3, 1, 3, &[7; 32]), false),
            ("3 1 1 with 31 octets", record(3, 1, 1, &[7; 31]), false),
            ("3 1 1 with 64 octets", record(3, 1, 1, &[7; 64]), false),
            ("3 1 2 with 32 octets", record(3, 1, 2, &[7; 32]), false),
            ("3 1 1 empty", record(3, 1, 1, &[]), false),
            ("3 0 0 that is no certificate", record(3, 0, 0, b"nonsense"), false),
            ("3 0 0 with a key instead", record(3, 0, 0, &key), false),
            ("3 1 0 with a certificate instead", record(3, 1, 0, &cert), false),
            ("3 0 0 empty", record(3, 0, 0, &[]), false),
        ];
        for (name, record, expected) in cases {
            assert_eq!(usable(record), *expected, "{name}");
        }
    }

    #[test]
    fn each_selector_and_matching_type_finds_its_certificate_and_no_other() {
        let (cert, other) = (certificate(), certificate());
        let key = public_key(&cert).unwrap();
        for selected in [(0, cert.as_slice()), (1, key)] {
            let (selector, bytes) = selected;
            for (matching, association) in [
                (0, bytes.to_vec()),
                (1, digest(&SHA256, bytes).as_ref().to_vec()),
                (2, digest(&SHA512, bytes).as_ref().to_vec()),
            ] {
                let record = record(3, selector, matching, &association);
                assert!(usable(&record) && matches(&record, &cert), "3 {selector} {matching}");
                assert!(!matches(&record, &other), "3 {selector} {matching} of another certificate");
                assert!(!matches(&record, b"nonsense"), "3 {selector} {matching} of nonsense");
            }
        }
    }

    #[test]
    fn the_stronger_digest_of_a_pair_is_the_one_that_counts() {
        let (weak, strong) = (record(3, 1, 1, &[1; 32]), record(3, 1, 2, &[2; 64]));
        let (anchor, broken) = (record(2, 1, 1, &[3; 32]), record(2, 1, 2, &[4; 63]));
        let set = [weak.clone(), strong.clone(), anchor.clone(), broken.clone(), strong.clone()];
        assert_eq!(effective(&set), [anchor, strong]);
        assert_eq!(effective(std::slice::from_ref(&weak)), std::slice::from_ref(&weak));
        assert_eq!(effective(&[broken]), []);
    }
}
