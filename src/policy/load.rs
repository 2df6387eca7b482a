use std::fmt::Write as _;

use serde::Deserialize;

use super::Action;
use super::decide::{Facts, MessageFacts};
use super::rule::{Policy, Rule};
use crate::mail::{Domain, Mailbox};
use crate::transport::Level;

/// A message in a few words, for `must_hit` and `must_miss`. Synthetic always.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    #[serde(default)]
    pub subject: String,
    #[serde(default)]
    pub body: String,
    /// Recipient; `someone@elsewhere.example` without it.
    #[serde(default)]
    pub to: Option<String>,
    /// Name and content of one attachment.
    #[serde(default)]
    pub attachment: Option<ExampleAttachment>,
    /// Further recipients of the same message.
    #[serde(default)]
    pub also_to: Vec<String>,
    /// The list of own patients while this example runs.
    #[serde(default)]
    pub patients: Vec<ExamplePatient>,
}

/// One invented patient of an example's list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExamplePatient {
    pub name: String,
    pub dob: String,
    pub mrn: String,
    pub email: String,
    pub phone: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleAttachment {
    pub name: String,
    /// Content as text, or
    #[serde(default)]
    pub text: Option<String>,
    /// as base64, or
    #[serde(default)]
    pub base64: Option<String>,
    /// made by the program.
    #[serde(default)]
    pub made: Option<Made>,
}

/// Attachments that are tedious to write down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Made {
    /// Messages within messages, deeper than anyone forwards.
    TooDeep,
}

/// The levels that `transport.default` and `transport.phi` name.
#[derive(Clone, Copy, Debug)]
pub struct NamedLevels {
    pub default: Level,
    pub phi: Level,
}

/// Why a policy was refused. Names the file, the rule and the way out.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{file}: {message}")]
    Syntax { file: String, message: String },
    #[error("{file}: two rules are called `{id}`; give one of them another id")]
    Twice { file: String, id: String },
    #[error("{file}: the id `{id}` may have only lower-case letters, digits and hyphens, at most 40 characters")]
    BadId { file: String, id: String },
    #[error("{file}: rule `{id}` names the kind `{kind}`, which the scanner does not know; known kinds: {known}")]
    UnknownKind { file: String, id: String, kind: String, known: String },
    #[error("{file}: rule `{id}` names `{domain}`, which is no domain")]
    BadDomain { file: String, id: String, domain: String },
    #[error("{file}: rule `{id}` asks the sender something, but holds nothing; `ask` needs then = \"hold\"")]
    AskWithoutHold { file: String, id: String },
    #[error("{file}: rule `{id}` has no {which} example; add a [[rule.{which}]] with synthetic text")]
    NoExample { file: String, id: String, which: &'static str },
    #[error("{file}: rule `{id}` does not match its must_hit example number {number}; change the rule or the example")]
    Missed { file: String, id: String, number: usize },
    #[error("{file}: rule `{id}` matches its must_miss example number {number}; change the rule or the example")]
    Hit { file: String, id: String, number: usize },
    #[error("{file}: in example number {number} of rule `{id}`: {message}")]
    BadExample { file: String, id: String, number: usize, message: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Rule>,
}

/// Reads rule files and runs every rule's own examples; `read` turns an example into facts with the real scanner.
///
/// # Errors
/// [`LoadError`] at the first rule that cannot be trusted. The policy in force stays.
pub fn load(
    files: &[(String, String)],
    levels: NamedLevels,
    known_kinds: &[&'static str],
    version: String,
    read: &dyn Fn(&Example) -> Result<MessageFacts, String>,
) -> Result<Policy, LoadError> {
    let mut rules: Vec<Rule> = Vec::new();
    for (file, text) in files {
        let parsed: File =
            toml::from_str(text).map_err(|error| LoadError::Syntax { file: file.clone(), message: error.to_string() })?;
        for rule in parsed.rule {
            check(file, &rule, &rules, known_kinds)?;
            run_examples(file, &rule, read)?;
            rules.push(rule);
        }
    }
    Ok(Policy { version, rules, groups: Vec::new(), level: levels.default, phi_level: levels.phi })
}

fn check(file: &str, rule: &Rule, earlier: &[Rule], known_kinds: &[&'static str]) -> Result<(), LoadError> {
    let (file, id) = (file.to_owned(), rule.id.clone());
    let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || id.len() > 40 || !id.chars().all(is_id) {
        return Err(LoadError::BadId { file, id });
    }
    if earlier.iter().any(|other| other.id == id) {
        return Err(LoadError::Twice { file, id });
    }
    if rule.ask.is_some() && rule.action != Action::Hold {
        return Err(LoadError::AskWithoutHold { file, id });
    }
    if let Some(kind) = rule.when.kinds().into_iter().find(|kind| !known_kinds.contains(kind)) {
        let mut known = String::new();
        for (i, kind) in known_kinds.iter().enumerate() {
            let _ = write!(known, "{}{kind}", if i == 0 { "" } else { ", " });
        }
        return Err(LoadError::UnknownKind { file, id, kind: kind.to_owned(), known });
    }
    if let Some(domain) = rule.when.domains().into_iter().find(|domain| Domain::parse(domain).is_err()) {
        return Err(LoadError::BadDomain { file, id, domain: domain.to_owned() });
    }
    Ok(())
}

fn run_examples(file: &str, rule: &Rule, read: &dyn Fn(&Example) -> Result<MessageFacts, String>) -> Result<(), LoadError> {
    let (file, id) = (file.to_owned(), rule.id.clone());
    if rule.must_hit.is_empty() {
        return Err(LoadError::NoExample { file, id, which: "must_hit" });
    }
    if rule.must_miss.is_empty() && !rule.when.is_always() {
        return Err(LoadError::NoExample { file, id, which: "must_miss" });
    }
    for (examples, wanted) in [(&rule.must_hit, true), (&rule.must_miss, false)] {
        for (number, example) in (1..).zip(examples) {
            let bad = |message: String| LoadError::BadExample { file: file.clone(), id: id.clone(), number, message };
            let message = read(example).map_err(bad)?;
            let to = example.to.as_deref().unwrap_or("someone@elsewhere.example");
            let recipient = Mailbox::parse(to).map_err(|error| bad(error.to_string()))?;
            let holds = rule.when.holds(&Facts { message: &message, recipient: &recipient, index: 0 });
            match (holds, wanted) {
                (false, true) => return Err(LoadError::Missed { file, id, number }),
                (true, false) => return Err(LoadError::Hit { file, id, number }),
                (true, true) | (false, false) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const LEVELS: NamedLevels = NamedLevels { default: Level::Verified, phi: Level::Verified };

    fn load_text(text: &str) -> Result<Policy, LoadError> {
        load(&[("a.toml".into(), text.into())], LEVELS, &["ssn"], "v".into(), &|example| {
            Ok(MessageFacts { subject: example.subject.clone(), ..Default::default() })
        })
    }

    const GOOD: &str = r#"
        [[rule]]
        id = "tag"
        why = "the sender asks for the portal"
        when = { subject_contains = "[secure]" }
        then = "escrow"
        [[rule.must_hit]]
        subject = "[Secure] x"
        [[rule.must_miss]]
        subject = "secure"
    "#;

    #[test]
    fn a_rule_that_keeps_its_examples_loads() {
        assert_eq!(load_text(GOOD).unwrap().rules.len(), 1);
    }

    #[test]
    fn a_rule_that_breaks_an_example_or_has_none_does_not_load() {
        let cases: [(&str, String); 6] = [
            ("Missed", GOOD.replace("[Secure] x", "x")),
            ("Hit", GOOD.replace("\"secure\"", "\"[secure]\"")),
            ("NoExample", GOOD.replace("[[rule.must_miss]]\n        subject = \"secure\"", "")),
            ("Twice", format!("{GOOD}{GOOD}")),
            ("UnknownKind", GOOD.replace("{ subject_contains = \"[secure]\" }", "{ found = [\"snn\"] }")),
            ("Syntax", GOOD.replace("then =", "thn =")),
        ];
        for (variant, text) in cases {
            let error = load_text(&text).unwrap_err();
            assert!(format!("{error:?}").starts_with(variant), "{variant}: {error:?}");
        }
    }
}
