use serde::{Deserialize, Serialize};

use crate::transport::Requirement;

/// What happens to one recipient's copy, from lenient to strict. Two rules combine by `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Deliver,
    Escrow,
    Hold,
    Reject,
}

impl Action {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Deliver => "deliver",
            Action::Escrow => "escrow",
            Action::Hold => "hold",
            Action::Reject => "reject",
        }
    }
}

/// How urgent a copy is; selects retry budget and lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Urgent,
    Normal,
    /// One of many: it waits behind everything else.
    Bulk,
}

/// What never waits for the other: messages one by one, and runs of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    First,
    Bulk,
}

impl Class {
    /// As part of a run of many.
    #[must_use]
    pub fn in_a_run(self) -> Class {
        match self {
            Class::Urgent => Class::Urgent,
            Class::Normal | Class::Bulk => Class::Bulk,
        }
    }

    #[must_use]
    pub fn lane(self) -> Lane {
        match self {
            Class::Urgent | Class::Normal => Lane::First,
            Class::Bulk => Lane::Bulk,
        }
    }
}

/// Whom the copy's To field shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// This recipient alone.
    Alone,
    /// The members of a configured group (care team, own domains), by its name.
    Group(String),
}

/// What was decided for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Index into the envelope's recipients.
    pub recipient: usize,
    pub action: Action,
    pub requirement: Requirement,
    /// The strictest matched action other than hold: what a release does, never less.
    pub after_hold: Action,
    pub class: Class,
    pub audience: Audience,
    /// Which rule holds it, if one does.
    pub held_by: Option<Held>,
    /// Ids of the rules that matched, in the order of the files.
    pub rules: Vec<String>,
}

/// Why a copy waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The first of the rules that hold it.
    pub rule: String,
    /// What the sender is asked. A copy that was asked about and not released is refused, never put into the portal.
    pub ask: Option<String>,
}

/// What was decided for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// First 16 hexadecimal digits of the SHA-256 over all rule files and dictionaries' versions.
    pub policy_version: String,
    pub verdicts: Vec<Verdict>,
}

impl Decision {
    /// Whether every recipient is refused, so that the client can be told in the dialogue.
    #[must_use]
    pub fn rejects_all(&self) -> bool {
        !self.verdicts.is_empty() && self.verdicts.iter().all(|verdict| verdict.action == Action::Reject)
    }
}
