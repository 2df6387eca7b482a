use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::chain::{Pseudonyms, hex};
use crate::mail::Timestamp;

pub const EXPORT_FORMAT: &str = "wardpost-export-1";

/// First line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Always [`EXPORT_FORMAT`].
    pub format: String,
    /// Random id of this export; its pseudonyms are keyed by it.
    pub export: String,
    /// Sequence number of the first entry.
    pub from: u64,
    /// Hash of the entry before it, hexadecimal; 64 zeros before entry 1.
    pub previous_hash: String,
    pub at: Timestamp,
}

/// One line for each entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub seq: u64,
    /// The chained bytes as a string: a record with commitments in place of pseudonyms.
    pub record: String,
    /// Pseudonyms keyed for this export only.
    #[serde(default, skip_serializing_if = "Pseudonyms::is_empty")]
    pub pseudonyms: Pseudonyms,
    /// Hexadecimal.
    pub hash: String,
}

/// Last line: Ed25519 over all bytes before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    pub export_signature: String,
}

/// Writes an export line by line: start, entries in order, the signed head, the signature over it all.
pub struct Export {
    hash: Context,
}

impl Export {
    /// Returns the first line. `previous` is the hash of the entry before `from`.
    #[must_use]
    pub fn start(id: &str, from: u64, previous: &[u8; 32], at: Timestamp) -> (Export, String) {
        let mut export = Export { hash: Context::new(&SHA256) };
        let line = export.line(&Start {
            format: EXPORT_FORMAT.to_owned(),
            export: id.to_owned(),
            from,
            previous_hash: hex(previous),
            at,
        });
        (export, line)
    }

    /// The line of one entry; `pseudonyms` already keyed for this export.
    #[must_use]
    pub fn entry(&mut self, seq: u64, chained: &str, pseudonyms: Pseudonyms, hash: &[u8; 32]) -> String {
        self.line(&Line { seq, record: chained.to_owned(), pseudonyms, hash: hex(hash) })
    }

    /// The last two lines. `signed_head` must be a head over exactly the entries written.
    #[must_use]
    pub fn finish(mut self, signed_head: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let head = format!("{signed_head}\n");
        self.hash.update(head.as_bytes());
        let mut all = [0; 32];
        all.copy_from_slice(self.hash.finish().as_ref());
        let seal = Seal { export_signature: STANDARD.encode(sign(&export_message(&all))) };
        head + &to_line(&seal)
    }

    fn line(&mut self, value: &impl Serialize) -> String {
        let line = to_line(value);
        self.hash.update(line.as_bytes());
        line
    }
}

/// One entry as [`export_lines`] takes it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub seq: u64,
    pub chained: String,
    pub pseudonyms: Pseudonyms,
    pub hash: [u8; 32],
}

/// A whole export as text, from entries that are at hand. See [`Export`] for writing a long one piece by piece.
#[must_use]
pub fn export_lines(
    id: &str,
    previous: &[u8; 32],
    entries: &[Entry],
    signed_head: &str,
    at: Timestamp,
    mut rekey: impl FnMut(&'static str, &crate::secret::Pseudonym) -> crate::secret::Pseudonym,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let from = entries.first().map_or(1, |entry| entry.seq);
    let (mut export, mut text) = Export::start(id, from, previous, at);
    for entry in entries {
        text += &export.entry(entry.seq, &entry.chained, entry.pseudonyms.map(&mut rekey), &entry.hash);
    }
    text + &export.finish(signed_head, sign)
}

/// The bytes under an export's signature: a fixed word and the SHA-256 of every line before the last.
#[must_use]
pub fn export_message(hash: &[u8; 32]) -> Vec<u8> {
    [&b"wardpost audit export 1\n"[..], hash].concat()
}

fn to_line(value: &impl Serialize) -> String {
    // Strings and numbers only: serialising cannot fail.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}
