use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::chain::{HEAD_FORMAT, Head, SignedHead, head_message, hex, key_id, sha256};
use super::export::{EXPORT_FORMAT, Line, Seal, Start, export_message};
use super::{BEFORE_THE_FIRST, entry_hash};

/// What is wrong with an export or head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("this is no export of a Wardpost log, or its end is missing")]
    NotAnExport,
    #[error("line {line} is not as an export has it")]
    Line { line: usize },
    #[error("line {line} has entry {found} where {expected} belongs")]
    Sequence { line: usize, expected: u64, found: u64 },
    #[error("entry {seq} does not match its hash: it, or one before it, was changed")]
    Hash { seq: u64 },
    #[error("the signature of the head does not fit")]
    HeadSignature,
    #[error("the head speaks of {head} entries, the export ends with entry {last}")]
    NotTheEnd { head: u64, last: u64 },
    #[error("the last entry is not the one that the head speaks of")]
    NotTheHeadsEntry,
    #[error("the signature over the whole export does not fit")]
    ExportSignature,
    #[error("it is signed by key {found}, not by the expected key {expected}")]
    OtherKey { found: String, expected: String },
    #[error("the export does not contain what the head you hold speaks of")]
    NotTheHeldHead,
    #[error("the head you hold is no signed head of a Wardpost log, or it was changed")]
    HeldHead,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Entries that were checked, first and last.
    pub from: u64,
    pub to: u64,
    pub head: Option<Head>,
    /// Whether the key was compared with one the checker brought along.
    pub is_key_compared: bool,
    /// Whether a head kept elsewhere was compared.
    pub is_held_head_compared: bool,
    pub problems: Vec<Problem>,
}

impl Report {
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_good() {
            writeln!(f, "NOT GOOD")?;
            return self.problems.iter().try_for_each(|problem| writeln!(f, "- {problem}"));
        }
        if self.to < self.from {
            writeln!(f, "good: there are no entries, and the head in this file says the same")?;
        } else {
            writeln!(f, "good: entries {} to {} are unchanged and complete up to the head in this file", self.from, self.to)?;
        }
        if self.from > 1 {
            writeln!(f, "entries before {} are not in this file and were not checked", self.from)?;
        }
        if let Some(head) = &self.head {
            writeln!(f, "head: {} entries at {}, signed by key {}", head.size, head.at, head.key_id)?;
        }
        if !self.is_key_compared {
            writeln!(f, "the key was not compared: give the one you know with --key, or anybody may have signed this")?;
        }
        if !self.is_held_head_compared {
            writeln!(f, "no head kept elsewhere was compared: give one with --head")?;
        }
        writeln!(f, "nothing is proven against the holder of the signing key about what came after the head you hold")
    }
}

/// Checks a whole export. Any changed bit, missing, added or moved line is found.
///
/// `expected_key` is the raw Ed25519 key that the checker knows to be the gateway's.
#[must_use]
pub fn verify_export(text: &str, expected_key: Option<&[u8]>) -> Report {
    verify_export_and_head(text, expected_key, None)
}

/// As [`verify_export`], and compares with a signed head that was kept elsewhere.
#[must_use]
pub fn verify_export_and_head(text: &str, expected_key: Option<&[u8]>, held_head: Option<&str>) -> Report {
    let mut report = Report {
        from: 0,
        to: 0,
        head: None,
        // A held head is signed, so it brings its key along.
        is_key_compared: expected_key.is_some() || held_head.is_some(),
        is_held_head_compared: held_head.is_some(),
        problems: Vec::new(),
    };
    if let Err(problem) = check(text, expected_key, held_head, &mut report) {
        report.problems.push(problem);
    }
    report
}

fn check(text: &str, expected_key: Option<&[u8]>, held_head: Option<&str>, report: &mut Report) -> Result<(), Problem> {
    let lines: Vec<&str> = text.strip_suffix('\n').ok_or(Problem::NotAnExport)?.split('\n').collect();
    let (Some((first, rest)), lines_count) = (lines.split_first(), lines.len()) else { return Err(Problem::NotAnExport) };
    let [entries @ .., head_line, seal_line] = rest else { return Err(Problem::NotAnExport) };
    let start: Start = serde_json::from_str(first).map_err(|_| Problem::NotAnExport)?;
    if start.format != EXPORT_FORMAT {
        return Err(Problem::NotAnExport);
    }

    // The signature first: once it holds, everything before it is as it was written.
    let (head, key) = open_head(head_line).map_err(|problem| match problem {
        Problem::NotAnExport => Problem::Line { line: lines_count - 1 },
        other => other,
    })?;
    let seal: Seal = serde_json::from_str(seal_line).map_err(|_| Problem::Line { line: lines_count })?;
    // The last line is not under its own signature, so it must be written in the one way there is.
    if serde_json::to_string(&seal).ok().as_deref() != Some(seal_line) {
        return Err(Problem::Line { line: lines_count });
    }
    let signed = text.len().checked_sub(seal_line.len() + 1).and_then(|end| text.get(..end)).ok_or(Problem::NotAnExport)?;
    let signature = STANDARD.decode(&seal.export_signature).map_err(|_| Problem::ExportSignature)?;
    if !is_signed(&key, &export_message(&sha256(&[signed.as_bytes()])), &signature) {
        report.problems.push(Problem::ExportSignature);
    }
    if let Some(expected) = expected_key
        && expected != key
    {
        report.problems.push(Problem::OtherKey { found: key_id(&key), expected: key_id(expected) });
    }

    let held = match held_head {
        Some(text) => {
            let (held, held_key) = open_head(text.trim_end()).map_err(|_| Problem::HeldHead)?;
            if held_key != key {
                return Err(Problem::OtherKey { found: key_id(&key), expected: key_id(&held_key) });
            }
            Some(held)
        }
        None => None,
    };
    let mut hash = bytes_of(&start.previous_hash).ok_or(Problem::Line { line: 1 })?;
    if start.from == 0 || (start.from == 1 && hash != BEFORE_THE_FIRST) {
        return Err(Problem::Line { line: 1 });
    }
    let mut last = start.from - 1;
    (report.from, report.to) = (start.from, last);
    let mut is_held_seen = held.as_ref().is_none_or(|held| held.size == last && held.last_hash == hex(&hash));
    for (line, text) in (2..).zip(entries) {
        let entry: Line = serde_json::from_str(text).map_err(|_| Problem::Line { line })?;
        let expected = last.checked_add(1).ok_or(Problem::Line { line })?;
        if entry.seq != expected {
            return Err(Problem::Sequence { line, expected, found: entry.seq });
        }
        hash = entry_hash(&hash, entry.seq, entry.record.as_bytes());
        if entry.hash != hex(&hash) {
            return Err(Problem::Hash { seq: entry.seq });
        }
        last = entry.seq;
        report.to = last;
        is_held_seen |= held.as_ref().is_some_and(|held| held.size == last && held.last_hash == entry.hash);
    }
    if head.size != last {
        report.problems.push(Problem::NotTheEnd { head: head.size, last });
    } else if head.last_hash != hex(&hash) {
        report.problems.push(Problem::NotTheHeadsEntry);
    }
    if !is_held_seen {
        report.problems.push(Problem::NotTheHeldHead);
    }
    report.head = Some(head);
    Ok(())
}

/// Parses a signed head and checks its signature under the key it names; returns both.
///
/// # Errors
/// [`Problem::NotAnExport`] if it is no head, [`Problem::HeadSignature`] if it was changed.
pub fn open_head(text: &str) -> Result<(Head, Vec<u8>), Problem> {
    let signed: SignedHead = serde_json::from_str(text).map_err(|_| Problem::NotAnExport)?;
    let head: Head = serde_json::from_str(&signed.head).map_err(|_| Problem::NotAnExport)?;
    let key = STANDARD.decode(&signed.public_key).map_err(|_| Problem::HeadSignature)?;
    let signature = STANDARD.decode(&signed.signature).map_err(|_| Problem::HeadSignature)?;
    let is_right =
        head.format == HEAD_FORMAT && head.key_id == key_id(&key) && is_signed(&key, &head_message(&signed.head), &signature);
    if is_right { Ok((head, key)) } else { Err(Problem::HeadSignature) }
}

pub(super) fn is_signed(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// 64 lower-case hexadecimal digits.
pub(super) fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != out.len() || !rest.is_empty() {
        return None;
    }
    for (slot, [high, low]) in out.iter_mut().zip(pairs) {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        *slot = digit(high)? << 4 | digit(low)?;
    }
    Some(out)
}
