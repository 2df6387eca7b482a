use serde::{Deserialize, Serialize};

use crate::mail::{BodyKind, Notify, ParcelId, Ret, Timestamp};
use crate::policy::{Action, Class};
use crate::transport::{Reason, RefusalKind, Requirement};

/// What a copy is. Only [`CopyKind::Message`] can become a parcel; only [`CopyKind::Notice`] may leave in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyKind {
    /// A client's message for one recipient.
    Message,
    /// "You have a message": template only, to the recipient of a parcel.
    Notice,
    /// The code for the sender, by a fixed route only.
    Slip,
    /// A delivery status report to the sender, by a fixed route only.
    Report,
    /// A report about TLS to a domain that asks for it (RFC 8460), at the level that domain proves.
    #[serde(rename = "tls-report")]
    TlsReport,
}

/// Where a copy stands. Terminal states keep no content and no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CopyState {
    /// Waits for its next attempt.
    Queued {
        next_at: Timestamp,
    },
    /// Claimed by a delivery worker; back to `Queued` at a restart.
    InFlight,
    /// Waits for a person.
    Held,
    Delivered,
    /// In the portal.
    Escrowed(ParcelId),
    /// Not delivered; the sender has been told, or there is nobody to tell.
    Bounced,
    /// Refused by policy while other recipients were served.
    Refused,
}

impl CopyState {
    /// Closed word for rows, listings and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CopyState::Queued { .. } => "queued",
            CopyState::InFlight => "in-flight",
            CopyState::Held => "held",
            CopyState::Delivered => "delivered",
            CopyState::Escrowed(_) => "escrowed",
            CopyState::Bounced => "bounced",
            CopyState::Refused => "refused",
        }
    }

    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            CopyState::Queued { .. } | CopyState::InFlight | CopyState::Held => false,
            CopyState::Delivered | CopyState::Escrowed(_) | CopyState::Bounced | CopyState::Refused => true,
        }
    }
}

/// How one delivery attempt ended (RFC 3464, section 2.3.3: delivered, delayed, failed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// The final reply never came after the last dot: the host may have it (RFC 5321, section 4.5.3.2.6).
    Uncertain,
    /// Try again later.
    Delayed {
        kind: RefusalKind,
        reason: Reason,
    },
    /// No host of the domain can take it at the level asked, and waiting will not help.
    CannotReachLevel {
        kind: RefusalKind,
        reason: Reason,
    },
    /// No such domain or recipient, or refused for good over a proven channel.
    Failed {
        reason: Reason,
    },
}

/// All that a copy needs to be delivered, reported on or turned into a parcel; kept sealed beside the header
/// section, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyFacts {
    pub kind: CopyKind,
    /// As it goes into RCPT TO.
    pub recipient: String,
    /// As it goes into MAIL FROM; empty for the null reverse-path.
    pub reverse_path: String,
    /// Name of the principal that submitted it.
    pub principal: String,
    /// Where reports go: the reverse-path, if the principal may send as it and it lies in an own domain.
    pub report_to: Option<String>,
    /// Where slips go: the principal's bound address in an own domain, never the reverse-path or From.
    pub slip_to: Option<String>,
    /// The Message-ID field's value, for `escrow list` and reports.
    pub message_id: String,
    /// The decoded Subject; shown masked in reports, whole in the portal.
    pub subject: String,
    pub body: BodyKind,
    pub smtputf8: bool,
    pub requirement: Requirement,
    pub action: Action,
    pub class: Class,
    pub rules: Vec<String>,
    /// The rule that holds the copy, if one does.
    #[serde(default)]
    pub held_by: Option<String>,
    /// The sender was asked: without an answer the copy is refused, never put into the portal.
    #[serde(default)]
    pub is_asked: bool,
    pub notify: Notify,
    pub orcpt: Option<String>,
    pub ret: Option<Ret>,
    pub envid: Option<String>,
    /// For notices and slips: the parcel they speak of.
    pub parcel: Option<String>,
}
