use super::{Audience, Decision, Verdict};

/// Recipients that share one set of edits, and so one stored body.
///
/// Today every edit touches header fields only, so a message has one `Outgoing`; edits of parts will open more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<'d> {
    pub verdicts: Vec<&'d Verdict>,
}

/// Which copies are made. A refused one is made, too, when others are served: from it the sender is told, and then it
/// is erased.
#[must_use]
pub fn split(decision: &Decision) -> Vec<Outgoing<'_>> {
    let verdicts: Vec<&Verdict> = decision.verdicts.iter().collect();
    if verdicts.is_empty() { Vec::new() } else { vec![Outgoing { verdicts }] }
}

impl Verdict {
    /// Name of the group whose members this copy may show.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match &self.audience {
            Audience::Alone => None,
            Audience::Group(name) => Some(name),
        }
    }
}
