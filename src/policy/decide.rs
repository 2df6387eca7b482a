use std::collections::BTreeMap;

use super::rule::{LevelName, Policy, Rule};
use super::{Action, Audience, Class, Decision, Held, Verdict};
use crate::mail::{Envelope, Mailbox};
use crate::transport::{Level, Requirement};

/// What is known about a message when the rules are asked. Holds no text of the message but its subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFacts {
    /// Score of the best combination of person and health, if there is one.
    pub phi_score: Option<u32>,
    /// Score of the best combination, also of one that is not enough to be PHI.
    pub score: u32,
    /// How often each kind was found.
    pub found: BTreeMap<&'static str, u32>,
    /// Closed words: what could not be read, one for each part.
    pub unreadable: Vec<&'static str>,
    pub limits_exceeded: bool,
    pub has_picture: bool,
    pub has_scanned_page: bool,
    pub recipients_inside: bool,
    pub subject: String,
    pub recipients: usize,
    /// For each recipient, in the order of the envelope: whose data a known patient would get.
    pub other_patient: Vec<OtherPatient>,
}

/// Whether a recipient is a patient of the practice's own list, and the message speaks of another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OtherPatient {
    /// The recipient is no known patient, or nobody else is in the message.
    #[default]
    None,
    /// Somebody else who shares phone, address or mailbox with the recipient.
    OfHousehold,
    /// Somebody else.
    Stranger,
}

/// The facts for one recipient's copy.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub message: &'a MessageFacts,
    pub recipient: &'a Mailbox,
    /// Place of the recipient in the envelope.
    pub index: usize,
}

impl Facts<'_> {
    pub(super) fn other_patient(&self) -> OtherPatient {
        self.message.other_patient.get(self.index).copied().unwrap_or_default()
    }
}

/// Decides for every recipient of the envelope. Pure: same policy and facts, same decision.
#[must_use]
pub fn decide(policy: &Policy, envelope: &Envelope, message: &MessageFacts) -> Decision {
    let verdicts = envelope
        .to
        .iter()
        .enumerate()
        .map(|(recipient, to)| {
            let facts = Facts { message, recipient: &to.mailbox, index: recipient };
            let mut verdict = verdict(&policy.rules, policy.level, policy.phi_level, &facts);
            verdict.recipient = recipient;
            verdict.requirement.require_tls = envelope.params.require_tls;
            verdict.audience = audience(policy, &to.mailbox);
            verdict
        })
        .collect();
    Decision { policy_version: policy.version.clone(), verdicts }
}

/// The strictest of all rules that match; never less than the portal where something could not be read.
fn verdict(rules: &[Rule], base: Level, phi_level: Level, facts: &Facts<'_>) -> Verdict {
    let because: Vec<&Rule> = rules.iter().filter(|rule| rule.when.holds(facts)).collect();
    // A part we could not read may hold anything: it is never treated as clean, whatever the rules say.
    let floor = if facts.message.limits_exceeded {
        Action::Hold
    } else if facts.message.unreadable.is_empty() {
        Action::Deliver
    } else {
        Action::Escrow
    };
    let after_floor =
        if facts.message.unreadable.is_empty() && !facts.message.limits_exceeded { Action::Deliver } else { Action::Escrow };
    let action = because.iter().map(|rule| rule.action).fold(floor, Action::max);
    let after_hold =
        because.iter().map(|rule| rule.action).filter(|action| *action != Action::Hold).fold(after_floor, Action::max);
    // Only mail in which nothing was found may be lowered below a certificate that fits, whatever the rules say.
    let has_findings = facts.message.phi_score.is_some()
        || facts.message.has_picture
        || facts.message.limits_exceeded
        || facts.message.found.contains_key("own_patient")
        || !facts.message.unreadable.is_empty();
    let base = if has_findings { base.max(Level::Verified) } else { base };
    let level = because.iter().filter_map(|rule| rule.level).map(|name| name.resolve(phi_level)).fold(base, Level::max);
    let class = because.iter().filter_map(|rule| rule.class).min().unwrap_or(Class::Normal);
    Verdict {
        recipient: 0,
        action,
        requirement: Requirement { level, require_tls: false },
        after_hold,
        class,
        audience: Audience::Alone,
        held_by: because.iter().filter(|_| action == Action::Hold).find(|rule| rule.action == Action::Hold).map(|rule| Held {
            rule: rule.id.clone(),
            // The question of one rule is enough: whoever answers it looks at the message.
            ask: because.iter().filter(|rule| rule.action == Action::Hold).find_map(|rule| rule.ask.clone()),
        }),
        rules: because.iter().map(|rule| rule.id.clone()).collect(),
    }
}

impl LevelName {
    fn resolve(self, phi: Level) -> Level {
        match self {
            LevelName::Encrypted => Level::Encrypted,
            LevelName::Verified => Level::Verified,
            LevelName::Authenticated => Level::Authenticated,
            LevelName::Phi => phi,
        }
    }
}

fn audience(policy: &Policy, recipient: &Mailbox) -> Audience {
    policy
        .groups
        .iter()
        .find(|group| group.members.iter().any(|member| member.matches(recipient)))
        .map_or(Audience::Alone, |group| Audience::Group(group.name.clone()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::policy::Condition;

    fn rule(id: &str, when: Condition, action: Action, level: Option<LevelName>) -> Rule {
        Rule {
            id: id.into(),
            why: String::new(),
            when,
            action,
            level,
            class: None,
            ask: None,
            must_hit: vec![],
            must_miss: vec![],
        }
    }

    fn rules() -> Vec<Rule> {
        vec![
            rule("phi", Condition::Phi(true), Action::Deliver, Some(LevelName::Phi)),
            rule("ssn", Condition::Found(vec!["ssn".into()]), Action::Hold, None),
            rule("tag", Condition::SubjectContains("[secure]".into()), Action::Escrow, None),
        ]
    }

    fn decided(message: &MessageFacts) -> Verdict {
        let recipient = Mailbox::parse("ann@b.example").unwrap();
        verdict(&rules(), Level::Verified, Level::Authenticated, &Facts { message, recipient: &recipient, index: 0 })
    }

    #[test]
    fn the_strictest_match_wins_and_unread_is_never_clean() {
        let ssn = BTreeMap::from([("ssn", 1)]);
        let cases = [
            // what it shows, facts, action, after a release, level
            ("nothing found", MessageFacts::default(), Action::Deliver, Action::Deliver, Level::Verified),
            (
                "phi asks for more proof",
                MessageFacts { phi_score: Some(80), ..Default::default() },
                Action::Deliver,
                Action::Deliver,
                Level::Authenticated,
            ),
            (
                "the tag, in any case",
                MessageFacts { subject: "Re: [SECURE] hi".into(), ..Default::default() },
                Action::Escrow,
                Action::Escrow,
                Level::Verified,
            ),
            (
                "two rules: the stricter",
                MessageFacts { phi_score: Some(80), found: ssn.clone(), ..Default::default() },
                Action::Hold,
                Action::Deliver,
                Level::Authenticated,
            ),
            (
                "a release keeps the portal",
                MessageFacts { found: ssn, subject: "[secure]".into(), ..Default::default() },
                Action::Hold,
                Action::Escrow,
                Level::Verified,
            ),
            (
                "a locked attachment",
                MessageFacts { unreadable: vec!["encrypted"], ..Default::default() },
                Action::Escrow,
                Action::Escrow,
                Level::Verified,
            ),
            (
                "a bomb",
                MessageFacts { limits_exceeded: true, ..Default::default() },
                Action::Hold,
                Action::Escrow,
                Level::Verified,
            ),
        ];
        for (name, facts, action, after_hold, level) in cases {
            let verdict = decided(&facts);
            assert_eq!((verdict.action, verdict.after_hold, verdict.requirement.level), (action, after_hold, level), "{name}");
        }
    }

    #[test]
    fn a_rule_that_asks_is_named_and_household_is_no_stranger() {
        let recipient = Mailbox::parse("ann@b.example").unwrap();
        let mut guard = rule("wrong-patient", Condition::WrongPatient(true), Action::Hold, None);
        guard.ask = Some("meant so?".into());
        let rules = [rule("tag", Condition::SubjectContains("x".into()), Action::Hold, None), guard];
        let held = |other: Vec<OtherPatient>, subject: &str| {
            let message = MessageFacts { other_patient: other, subject: subject.into(), ..Default::default() };
            let facts = Facts { message: &message, recipient: &recipient, index: 1 };
            verdict(&rules, Level::Verified, Level::Verified, &facts).held_by.map(|held| (held.rule, held.ask))
        };
        use OtherPatient::{None as Nobody, OfHousehold, Stranger};
        assert_eq!(held(vec![Nobody, Stranger], ""), Some(("wrong-patient".into(), Some("meant so?".into()))));
        assert_eq!(held(vec![Nobody, Stranger], "x"), Some(("tag".into(), Some("meant so?".into()))));
        assert_eq!(held(vec![Stranger, Nobody], ""), None);
        assert_eq!(held(vec![Stranger, OfHousehold], ""), None);
        assert_eq!(held(vec![], ""), None);
    }

    #[test]
    fn a_score_below_phi_can_be_asked_for() {
        let recipient = Mailbox::parse("ann@b.example").unwrap();
        let careful = [rule("doubtful", Condition::PhiScoreAtLeast(60), Action::Escrow, None)];
        let action = |score| {
            let message = MessageFacts { score, ..Default::default() };
            verdict(&careful, Level::Verified, Level::Verified, &Facts { message: &message, recipient: &recipient, index: 0 })
                .action
        };
        assert_eq!((action(59), action(60), action(100)), (Action::Deliver, Action::Escrow, Action::Escrow));
    }

    #[test]
    fn only_mail_without_findings_may_be_lowered() {
        let recipient = Mailbox::parse("ann@b.example").unwrap();
        let level = |message: &MessageFacts| {
            verdict(&[], Level::Encrypted, Level::Verified, &Facts { message, recipient: &recipient, index: 0 }).requirement.level
        };
        assert_eq!(level(&MessageFacts::default()), Level::Encrypted);
        for message in [
            MessageFacts { phi_score: Some(50), ..Default::default() },
            MessageFacts { has_picture: true, ..Default::default() },
            MessageFacts { found: BTreeMap::from([("own_patient", 1)]), ..Default::default() },
            MessageFacts { limits_exceeded: true, ..Default::default() },
            MessageFacts { unreadable: vec!["encrypted"], ..Default::default() },
        ] {
            assert_eq!(level(&message), Level::Verified, "{message:?}");
        }
    }

    #[test]
    fn more_findings_or_more_rules_never_lower_anything() {
        // Every subset of facts against every superset with one more.
        let build = |bits: u32| MessageFacts {
            phi_score: (bits & 1 != 0).then_some(50),
            found: if bits & 2 != 0 { BTreeMap::from([("ssn", 1)]) } else { BTreeMap::new() },
            subject: if bits & 4 != 0 { "[secure]".into() } else { String::new() },
            unreadable: if bits & 8 != 0 { vec!["damaged"] } else { vec![] },
            limits_exceeded: bits & 16 != 0,
            ..Default::default()
        };
        for bits in 0..32u32 {
            for more in (0..5).map(|bit| bits | 1 << bit) {
                let (less, more) = (decided(&build(bits)), decided(&build(more)));
                assert!(more.action >= less.action && more.after_hold >= less.after_hold);
                assert!(more.requirement.level >= less.requirement.level);
            }
        }
    }
}
