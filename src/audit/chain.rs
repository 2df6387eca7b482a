use std::fmt::Write;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Record;
use crate::mail::Timestamp;
use crate::secret::Pseudonym;

/// What the first entry follows on.
pub const BEFORE_THE_FIRST: [u8; 32] = [0; 32];

/// The end of a chain: how many entries it has and the hash of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub size: u64,
    pub hash: [u8; 32],
}

impl End {
    /// The end of a chain without entries.
    pub const EMPTY: End = End { size: 0, hash: BEFORE_THE_FIRST };

    /// The end after one more entry.
    #[must_use]
    pub fn then(self, chained: &[u8]) -> End {
        let seq = self.size.saturating_add(1);
        End { size: seq, hash: entry_hash(&self.hash, seq, chained) }
    }
}

/// SHA-256 over a fixed word, the previous hash, the sequence number and the entry's bytes. All parts before the
/// bytes have a fixed length, so that no two entries hash the same input.
#[must_use]
pub fn entry_hash(previous: &[u8; 32], seq: u64, chained: &[u8]) -> [u8; 32] {
    sha256(&[b"wardpost audit entry 1\n", previous, &seq.to_be_bytes(), chained])
}

/// The pseudonyms of a record. They stay outside the chained bytes, which only commit to them, so that an export
/// can name people differently each time without breaking a hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pseudonyms {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Pseudonym>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Pseudonym>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Pseudonym>,
}

impl Pseudonyms {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.message_id.is_none() && self.principal.is_none() && self.recipient.is_none()
    }

    /// The same with every pseudonym replaced, e.g. by one keyed for an export.
    #[must_use]
    pub fn map(&self, mut with: impl FnMut(&'static str, &Pseudonym) -> Pseudonym) -> Pseudonyms {
        let mut each = |field, value: &Option<Pseudonym>| value.as_ref().map(|pseudonym| with(field, pseudonym));
        Pseudonyms {
            message_id: each("message_id", &self.message_id),
            principal: each("principal", &self.principal),
            recipient: each("recipient", &self.recipient),
        }
    }
}

/// Splits a record into the bytes that are chained, with a commitment in place of each pseudonym, and the
/// pseudonyms. `salt` is secret and differs for each entry.
#[must_use]
pub fn commit(mut record: Record, salt: &[u8; 32]) -> (String, Pseudonyms) {
    let pseudonyms = Pseudonyms {
        message_id: record.message_id.take(),
        principal: record.principal.take(),
        recipient: record.recipient.take(),
    };
    let committed = pseudonyms.map(|field, pseudonym| Pseudonym::of(commitment(&field_salt(salt, field), field, pseudonym)));
    (reveal(record, &committed), pseudonyms)
}

/// The record's bytes with these pseudonyms in their places.
#[must_use]
pub fn reveal(mut record: Record, pseudonyms: &Pseudonyms) -> String {
    record.message_id.clone_from(&pseudonyms.message_id);
    record.principal.clone_from(&pseudonyms.principal);
    record.recipient.clone_from(&pseudonyms.recipient);
    // Strings, numbers and closed enums only: serialising cannot fail.
    serde_json::to_string(&record).unwrap_or_default()
}

/// The salt of one field of one entry; showing it to an auditor opens this field and no other.
#[must_use]
pub fn field_salt(salt: &[u8; 32], field: &str) -> [u8; 32] {
    sha256(&[b"wardpost audit field salt 1\n", salt, field.as_bytes()])
}

/// What stands in the chained bytes for a pseudonym: SHA-256 over a fixed word, the salt, the field's name, a line
/// feed and the pseudonym, in hexadecimal.
#[must_use]
pub fn commitment(field_salt: &[u8; 32], field: &str, pseudonym: &Pseudonym) -> String {
    let parts = [&b"wardpost audit pseudonym 1\n"[..], field_salt, field.as_bytes(), b"\n", pseudonym.as_str().as_bytes()];
    hex(&sha256(&parts))
}

/// The state of the log at one moment. Whoever keeps a signed one elsewhere can tell later whether anything before
/// it was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Always [`HEAD_FORMAT`].
    pub format: String,
    pub size: u64,
    /// Hexadecimal.
    pub last_hash: String,
    /// SHA-256 of the signed head before this one as text, hexadecimal; 64 zeros in the first.
    pub previous_head: String,
    pub at: Timestamp,
    /// First 16 hexadecimal digits of the SHA-256 of the verifying key.
    pub key_id: String,
}

pub const HEAD_FORMAT: &str = "wardpost-head-1";

/// A head as it is kept and exported: the signed text itself, key and signature in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// [`Head`] as JSON; these very bytes are signed.
    pub head: String,
    /// Raw Ed25519 public key.
    pub public_key: String,
    pub signature: String,
}

/// Signs the end of the log; returns the signed head as one line of JSON.
pub fn sign_head(
    end: End,
    previous: Option<&str>,
    at: Timestamp,
    public_key: &[u8],
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let head = Head {
        format: HEAD_FORMAT.to_owned(),
        size: end.size,
        last_hash: hex(&end.hash),
        previous_head: hex(&previous.map_or(BEFORE_THE_FIRST, |text| sha256(&[text.as_bytes()]))),
        at,
        key_id: key_id(public_key),
    };
    let head = serde_json::to_string(&head).unwrap_or_default();
    let signature = STANDARD.encode(sign(&head_message(&head)));
    serde_json::to_string(&SignedHead { head, public_key: STANDARD.encode(public_key), signature }).unwrap_or_default()
}

/// The bytes under a head's signature.
#[must_use]
pub fn head_message(head: &str) -> Vec<u8> {
    [b"wardpost audit head 1\n", head.as_bytes()].concat()
}

/// Short name of a verifying key.
#[must_use]
pub fn key_id(public_key: &[u8]) -> String {
    let mut id = hex(&sha256(&[public_key]));
    id.truncate(16);
    id
}

pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
