//! Proof of one delivery for somebody outside: who asks whether a message left protected gets one signed line that
//! says how, and the entries of the log behind it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::chain::{commitment, entry_hash, hex, key_id};
use super::verify::{bytes_of, is_signed};
use super::{Event, Proven, Record};
use crate::mail::Timestamp;
use crate::secret::Pseudonym;

pub const PROOF_FORMAT: &str = "wardpost-proof-1";

/// What every proof says of itself.
pub const PROOF_LIMITS: &str = "This proves the hop to that mail server only: not the mailbox behind it, and not that \
anybody read the message. It is the gateway's own statement: compare the entry's number and hash with an export of the \
log, and the key with the one you know.";

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Always [`PROOF_FORMAT`].
    pub format: String,
    /// When the proof was made.
    pub at: Timestamp,
    /// The facts below as a sentence.
    pub sentence: String,
    /// Always [`PROOF_LIMITS`].
    pub limits: String,
    /// The address, in clear: whoever asks knows it.
    pub recipient: String,
    pub message: String,
    pub delivered_at: Timestamp,
    /// The level of proof that policy asked for.
    pub required: String,
    pub shown: Proven,
    /// Entries of the log about this recipient: what was decided, and last the delivery.
    pub entries: Vec<ProofEntry>,
    /// First 16 hexadecimal digits of the SHA-256 of the verifying key.
    pub key_id: String,
}

/// An entry of the log with what opens its commitment to the recipient, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofEntry {
    pub seq: u64,
    /// Hexadecimal.
    pub previous_hash: String,
    /// The chained bytes as a string.
    pub record: String,
    /// Hexadecimal.
    pub hash: String,
    /// Salt of the field `recipient`, hexadecimal.
    pub recipient_salt: String,
    pub recipient_pseudonym: Pseudonym,
}

/// A proof as it is given away: one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedProof {
    /// [`Statement`] as JSON; these very bytes are signed.
    pub proof: String,
    /// Raw Ed25519 public key.
    pub public_key: String,
    pub signature: String,
}

/// What is wrong with a proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofProblem {
    #[error("this is no proof of a Wardpost delivery, or it is not written in the one way there is")]
    NotAProof,
    #[error("the signature does not fit: the proof was changed, or is another key's")]
    Signature,
    #[error("it is signed by key {found}, not by the expected key {expected}")]
    OtherKey { found: String, expected: String },
    #[error("entry {seq} does not match its hash")]
    Hash { seq: u64 },
    #[error("entry {seq} does not speak of this recipient and message")]
    OtherRecipient { seq: u64 },
    #[error("the statement is not what the entries say")]
    OtherFacts,
    #[error("entry {seq} does not stand in the log with this hash")]
    NotInTheLog { seq: u64 },
}

/// The facts of a delivery; `None` if these entries prove none.
#[must_use]
pub fn statement(recipient: &str, entries: Vec<ProofEntry>, at: Timestamp, public_key: &[u8]) -> Option<Statement> {
    let last: Record = serde_json::from_str(&entries.last()?.record).ok()?;
    let (Event::Delivered, Some(shown), Some(required), Some(message)) = (last.event, last.proof, last.required, last.message)
    else {
        return None;
    };
    Some(Statement {
        format: PROOF_FORMAT.to_owned(),
        at,
        sentence: sentence(recipient, &message, last.at, &required, &shown),
        limits: PROOF_LIMITS.to_owned(),
        recipient: recipient.to_owned(),
        message,
        delivered_at: last.at,
        required,
        shown,
        entries,
        key_id: key_id(public_key),
    })
}

/// Signs a statement; returns the line with its end.
#[must_use]
pub fn sign_proof(statement: &Statement, public_key: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    // Strings, numbers and closed enums only: serialising cannot fail.
    let proof = serde_json::to_string(statement).unwrap_or_default();
    let signature = STANDARD.encode(sign(&proof_message(&proof)));
    let signed = SignedProof { proof, public_key: STANDARD.encode(public_key), signature };
    serde_json::to_string(&signed).unwrap_or_default() + "\n"
}

/// The bytes under a proof's signature.
#[must_use]
pub fn proof_message(proof: &str) -> Vec<u8> {
    [b"wardpost audit proof 1\n", proof.as_bytes()].concat()
}

/// Checks a proof. Any changed bit is found.
///
/// # Errors
/// [`ProofProblem`], the first one.
pub fn verify_proof(text: &str, expected_key: Option<&[u8]>) -> Result<Statement, ProofProblem> {
    let line = text.strip_suffix('\n').ok_or(ProofProblem::NotAProof)?;
    let signed: SignedProof = serde_json::from_str(line).map_err(|_| ProofProblem::NotAProof)?;
    // The outer object is not under the signature, so it must be written in the one way there is.
    if serde_json::to_string(&signed).ok().as_deref() != Some(line) {
        return Err(ProofProblem::NotAProof);
    }
    let key = STANDARD.decode(&signed.public_key).map_err(|_| ProofProblem::Signature)?;
    let signature = STANDARD.decode(&signed.signature).map_err(|_| ProofProblem::Signature)?;
    if !is_signed(&key, &proof_message(&signed.proof), &signature) {
        return Err(ProofProblem::Signature);
    }
    if let Some(expected) = expected_key
        && expected != key
    {
        return Err(ProofProblem::OtherKey { found: key_id(&key), expected: key_id(expected) });
    }
    let stated: Statement = serde_json::from_str(&signed.proof).map_err(|_| ProofProblem::NotAProof)?;
    for entry in &stated.entries {
        let seq = entry.seq;
        let previous = bytes_of(&entry.previous_hash).ok_or(ProofProblem::Hash { seq })?;
        if hex(&entry_hash(&previous, seq, entry.record.as_bytes())) != entry.hash {
            return Err(ProofProblem::Hash { seq });
        }
        let other = ProofProblem::OtherRecipient { seq };
        let Ok(record) = serde_json::from_str::<Record>(&entry.record) else { return Err(other) };
        let Some(salt) = bytes_of(&entry.recipient_salt) else { return Err(other) };
        let opened = commitment(&salt, "recipient", &entry.recipient_pseudonym);
        let is_first = stated.entries.first().is_some_and(|first| first.recipient_pseudonym == entry.recipient_pseudonym);
        let is_his = record.recipient.as_ref().map(Pseudonym::as_str) == Some(opened.as_str()) && is_first;
        if !is_his || record.message.as_deref() != Some(stated.message.as_str()) {
            return Err(other);
        }
    }
    // The rest of the statement follows from the entries.
    match statement(&stated.recipient, stated.entries.clone(), stated.at, &key) {
        Some(made) if made == stated => Ok(stated),
        Some(_) | None => Err(ProofProblem::OtherFacts),
    }
}

impl Statement {
    /// Whether every entry stands in an export of the log, which the caller has verified.
    ///
    /// # Errors
    /// [`ProofProblem::NotInTheLog`] with the first that does not.
    pub fn is_in(&self, export: &str) -> Result<(), ProofProblem> {
        let lines: Vec<super::Line> = export.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        for entry in &self.entries {
            if !lines.iter().any(|line| line.seq == entry.seq && line.hash == entry.hash && line.record == entry.record) {
                return Err(ProofProblem::NotInTheLog { seq: entry.seq });
            }
        }
        Ok(())
    }
}

fn sentence(recipient: &str, message: &str, at: Timestamp, required: &str, shown: &Proven) -> String {
    let how = match shown.method.as_str() {
        "dane" => "its certificate matched the TLSA record that the recipient's domain publishes in a signed zone (DANE)",
        "mta-sts" => "the MTA-STS policy of the recipient's domain named it, and its certificate was valid",
        "webpki" => "its certificate was valid for its name; the name itself came from DNS",
        "pin" => "it proved to be the server that the administrator had named",
        _ => "nobody was authenticated",
    };
    format!(
        "On {at} message {message} for {recipient} was delivered to the mail server {} over {} with {}: {how}. \
         Policy asked for the level {required}; {} was shown.",
        shown.host, shown.tls, shown.cipher, shown.level
    )
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.sentence)?;
        writeln!(f, "{}", self.limits)?;
        writeln!(f)?;
        let shown = &self.shown;
        for (label, value) in [
            ("recipient", self.recipient.as_str()),
            ("message", self.message.as_str()),
            ("delivered at", self.delivered_at.to_string().as_str()),
            ("mail server", shown.host.as_str()),
            ("TLS", shown.tls.as_str()),
            ("cipher", shown.cipher.as_str()),
            ("chain SHA-256", shown.chain_sha256.as_str()),
            ("policy held", shown.method.as_str()),
            ("plan SHA-256", shown.plan_sha256.as_str()),
            ("level required", self.required.as_str()),
            ("level shown", shown.level.as_str()),
        ] {
            writeln!(f, "{label:<15} {value}")?;
        }
        for entry in &self.entries {
            writeln!(f, "{:<15} {} {}", "log entry", entry.seq, entry.hash)?;
        }
        writeln!(f, "{:<15} {}", "signing key", self.key_id)
    }
}
