use serde::{Deserialize, Serialize};

use crate::mail::Timestamp;
use crate::secret::Pseudonym;

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// What policy decided when the message came in.
    Decided,
    /// The whole message was refused in the dialogue.
    Refused,
    Delivered,
    Delayed,
    Escrowed,
    Bounced,
    NoticeSent,
    NoticeFailed,
    SlipSent,
    ReportSent,
    /// A parcel was opened with a right code.
    Opened,
    /// A wrong code was typed.
    TryFailed,
    /// Ten wrong tries: the code is void.
    CodeVoided,
    CodeIssued,
    /// A parcel's key is opened without its code, to send it by mail after all.
    RecoveryOpened,
    AttachmentTaken,
    Released,
    Expired,
    Recalled,
    /// A pseudonym was resolved, or sealed fields opened, for an auditor.
    Resolved,
    /// An account or a client certificate was made; `sealed` names it and what it may send as.
    AccessGranted,
    AccessRevoked,
    Started,
    /// A program asked what would become of mail to a domain.
    Asked,
}

/// How often a kind was found; kinds are words of the scanner, never matched text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingCount {
    pub kind: String,
    pub count: u32,
}

/// What a delivery showed of its peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// `encrypted`, `verified` or `authenticated`.
    pub level: String,
    /// `dane`, `mta-sts`, `webpki`, `pin` or `none`.
    pub method: String,
    pub host: String,
    /// `TLSv1.3` or `TLSv1.2`.
    pub tls: String,
    pub cipher: String,
    /// SHA-256 over the certificate chain as presented, hexadecimal.
    pub chain_sha256: String,
    /// Hash of the plan that held, hexadecimal.
    pub plan_sha256: String,
}

/// One entry of the decision log. Serialised as JSON with the fields in this order; absent fields are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub at: Timestamp,
    pub event: Event,
    /// `QueueId` of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `CopyId` of the recipient's copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// Keyed pseudonym of the Message-ID, so that `audit show` finds a message by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Pseudonym>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Pseudonym>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Pseudonym>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// `deliver`, `escrow`, `hold` or `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Level that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingCount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// Stable reason code, e.g. `starttls-not-supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proven>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Which attempt this was, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// HMAC-SHA-256 of the copy under the message's own key; it dies with the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hmac: Option<String>,
    /// Fields that name people or texts, sealed by the vault, base64 (Role::Record): JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

impl Record {
    /// A record that says only what and when; the caller fills in what is known.
    #[must_use]
    pub fn of(event: Event, at: Timestamp) -> Record {
        Record {
            at,
            event,
            message: None,
            copy: None,
            message_id: None,
            principal: None,
            recipient: None,
            domain: None,
            action: None,
            required: None,
            rules: Vec::new(),
            findings: Vec::new(),
            unreadable: Vec::new(),
            reason: None,
            proof: None,
            policy: None,
            attempt: None,
            content_hmac: None,
            sealed: None,
        }
    }
}
