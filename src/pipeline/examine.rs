use super::stations;
use crate::extract::{self, Extracted, ReadAttachment};
use crate::mail::{Domain, Envelope};
use crate::message::{Message, Problem};
use crate::patients::Patients;
use crate::policy::{self, Decision, MessageFacts, Policy};
use crate::scan::{self, Findings, Scanner};

/// What a message is read, searched and judged with. The corridor and whoever explains it use the same one.
pub struct Examiner<'a> {
    pub scanner: &'a Scanner,
    pub rules: &'a Policy,
    pub patients: Option<&'a Patients>,
    pub attachments: &'a dyn ReadAttachment,
    pub own_domains: &'a [Domain],
}

/// What is known of a message before anything is kept.
pub struct Examined {
    pub text: Extracted,
    pub findings: Findings,
    pub facts: MessageFacts,
    pub decision: Decision,
}

impl Examiner<'_> {
    /// Reads, searches, judges.
    #[must_use]
    pub fn examine(&self, message: &Message, envelope: &Envelope) -> Examined {
        let text = extract::read(message, self.attachments, extract::Fuel::default());
        self.judge(message, envelope, text)
    }

    /// As [`Examiner::examine`], with texts that were read before.
    #[must_use]
    pub fn judge(&self, message: &Message, envelope: &Envelope, text: Extracted) -> Examined {
        let findings = scan::scan_with(self.scanner, self.patients, message, &text);
        let mut facts = stations::facts(message, &text, &findings, envelope);
        if let Some(patients) = self.patients {
            let is_own = |domain: &Domain| self.own_domains.contains(domain);
            facts.other_patient = stations::other_patients(patients, &findings, envelope, is_own);
        }
        let decision = policy::decide(self.rules, envelope, &facts);
        Examined { text, findings, facts, decision }
    }
}

/// Why the message would be refused in the dialogue, whatever is in it.
#[must_use]
pub fn refusal(message: &Message) -> Option<&'static str> {
    message.problems().iter().find_map(Problem::refuses)
}
