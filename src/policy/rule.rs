use serde::Deserialize;

use super::decide::{Facts, OtherPatient};
use super::load::Example;
use super::{Action, Class};
use crate::mail::AddressPattern;
use crate::transport::Level;

/// All rules in force, in the order of their files.
#[derive(Clone, Debug)]
pub struct Policy {
    /// First 16 hexadecimal digits of the SHA-256 over rule files, dictionaries and named levels.
    pub version: String,
    pub rules: Vec<Rule>,
    pub groups: Vec<Group>,
    /// Level for mail in which nothing was found.
    pub level: Level,
    /// What rules mean by `level = "phi"`. Beside the rules, so that a reload changes both or none, and a record's
    /// policy version tells of both.
    pub phi_level: Level,
}

impl Policy {
    /// No rules: what holds until the real ones are loaded and while nothing is accepted.
    #[must_use]
    pub fn none() -> Policy {
        Policy {
            version: String::new(),
            rules: Vec::new(),
            groups: Vec::new(),
            level: Level::Verified,
            phi_level: Level::Authenticated,
        }
    }
}

/// People who may see each other in To and Cc: a care team, the own domains.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub members: Vec<AddressPattern>,
}

/// One rule of a policy file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Short name: letters, digits, hyphens. Stands in records and metrics.
    pub id: String,
    /// One sentence for people.
    pub why: String,
    pub when: Condition,
    /// What happens; rules combine by the strictest.
    #[serde(rename = "then")]
    pub action: Action,
    /// Least proof on the way out; combines by the strictest.
    #[serde(default)]
    pub level: Option<LevelName>,
    #[serde(default)]
    pub class: Option<Class>,
    /// Only with `then = "hold"`: one sentence for the sender, who is asked whether the message was meant so.
    #[serde(default)]
    pub ask: Option<String>,
    /// Examples that must match; the file does not load without one.
    #[serde(default)]
    pub must_hit: Vec<Example>,
    /// Examples that must not match; the file does not load without one, unless the rule matches always.
    #[serde(default)]
    pub must_miss: Vec<Example>,
}

/// A level by name, or the one that `transport.phi` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LevelName {
    Encrypted,
    Verified,
    Authenticated,
    /// What `transport.phi` says.
    Phi,
}

/// When a rule matches. Each condition is one key in the file, e.g. `{ found = ["ssn"] }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// All of these.
    All(Vec<Condition>),
    /// At least one of these.
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// `true`: every message.
    Always(bool),
    /// A person's identifier together with health, care or payment for care.
    Phi(bool),
    /// Person and health together scored at least this much (0 to 100), be it enough for PHI or not.
    PhiScoreAtLeast(u32),
    /// At least one of these kinds was found (`ssn`, `mbi`, `icd10`, ...).
    Found(Vec<String>),
    /// Something could not be read.
    Unreadable(bool),
    /// Size, depth or count limits were exceeded, as hostile files do.
    LimitsExceeded(bool),
    /// A picture that is no small inline logo.
    Picture(bool),
    /// A scanned page: half a megapixel and more, or a PDF without text.
    ScannedPage(bool),
    /// The subject contains this text; case does not matter. It can only add protection.
    SubjectContains(String),
    /// The recipient's domain is one of these or lies below one.
    RecipientDomain(Vec<String>),
    /// At least this many recipients.
    RecipientsAtLeast(usize),
    /// Another recipient's address stands inside a part of the message.
    RecipientsInside(bool),
    /// The recipient is a patient of the own list, and the message identifies another one of another household.
    WrongPatient(bool),
    /// As `wrong_patient`, with somebody of the recipient's own household.
    HouseholdPatient(bool),
}

impl Condition {
    /// Whether it holds for one recipient's copy.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Condition::All(conditions) => conditions.iter().all(|condition| condition.holds(facts)),
            Condition::Any(conditions) => conditions.iter().any(|condition| condition.holds(facts)),
            Condition::Not(condition) => !condition.holds(facts),
            Condition::Always(always) => *always,
            Condition::Phi(wanted) => facts.message.phi_score.is_some() == *wanted,
            Condition::PhiScoreAtLeast(least) => facts.message.score >= *least,
            Condition::Found(kinds) => kinds.iter().any(|kind| facts.message.found.contains_key(kind.as_str())),
            Condition::Unreadable(wanted) => facts.message.unreadable.is_empty() != *wanted,
            Condition::LimitsExceeded(wanted) => facts.message.limits_exceeded == *wanted,
            Condition::Picture(wanted) => facts.message.has_picture == *wanted,
            Condition::ScannedPage(wanted) => facts.message.has_scanned_page == *wanted,
            Condition::SubjectContains(text) => facts.message.subject.to_lowercase().contains(&text.to_lowercase()),
            Condition::RecipientDomain(domains) => domains
                .iter()
                .any(|domain| crate::mail::Domain::parse(domain).is_ok_and(|domain| facts.recipient.domain().is_within(&domain))),
            Condition::RecipientsAtLeast(least) => facts.message.recipients >= *least,
            Condition::RecipientsInside(wanted) => facts.message.recipients_inside == *wanted,
            Condition::WrongPatient(wanted) => (facts.other_patient() == OtherPatient::Stranger) == *wanted,
            Condition::HouseholdPatient(wanted) => (facts.other_patient() == OtherPatient::OfHousehold) == *wanted,
        }
    }

    /// Whether the condition looks at nothing and always holds.
    pub(super) fn is_always(&self) -> bool {
        matches!(self, Condition::Always(true))
    }

    /// The kinds it names, so that a misspelt one is found at load.
    pub(super) fn kinds(&self) -> Vec<&str> {
        match self {
            Condition::All(conditions) | Condition::Any(conditions) => conditions.iter().flat_map(Condition::kinds).collect(),
            Condition::Not(condition) => condition.kinds(),
            Condition::Found(kinds) => kinds.iter().map(String::as_str).collect(),
            Condition::Always(_)
            | Condition::Phi(_)
            | Condition::PhiScoreAtLeast(_)
            | Condition::Unreadable(_)
            | Condition::LimitsExceeded(_)
            | Condition::Picture(_)
            | Condition::ScannedPage(_)
            | Condition::SubjectContains(_)
            | Condition::RecipientDomain(_)
            | Condition::RecipientsAtLeast(_)
            | Condition::RecipientsInside(_)
            | Condition::WrongPatient(_)
            | Condition::HouseholdPatient(_) => Vec::new(),
        }
    }

    pub(super) fn domains(&self) -> Vec<&str> {
        match self {
            Condition::All(conditions) | Condition::Any(conditions) => conditions.iter().flat_map(Condition::domains).collect(),
            Condition::Not(condition) => condition.domains(),
            Condition::RecipientDomain(domains) => domains.iter().map(String::as_str).collect(),
            Condition::Always(_)
            | Condition::Found(_)
            | Condition::Phi(_)
            | Condition::PhiScoreAtLeast(_)
            | Condition::Unreadable(_)
            | Condition::LimitsExceeded(_)
            | Condition::Picture(_)
            | Condition::ScannedPage(_)
            | Condition::SubjectContains(_)
            | Condition::RecipientsAtLeast(_)
            | Condition::RecipientsInside(_)
            | Condition::WrongPatient(_)
            | Condition::HouseholdPatient(_) => Vec::new(),
        }
    }
}
