use super::{Action, Audience, Decision, Verdict};

/// Recipients that share one set of edits, and so one stored body.
///
/// Today every edit touches header fields only, so a message has one `Outgoing`; edits of parts will open more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<'d> {
    pub verdicts: Vec<&'d Verdict>,
}

/// Which copies are kept at all: refused ones leave no copy, only a record and a report.
#[must_use]
pub fn split(decision: &Decision) -> Vec<Outgoing<'_>> {
    let kept: Vec<&Verdict> = decision
        .verdicts
        .iter()
        .filter(|verdict| match verdict.action {
            Action::Deliver | Action::Escrow | Action::Hold => true,
            Action::Reject => false,
        })
        .collect();
    if kept.is_empty() { Vec::new() } else { vec![Outgoing { verdicts: kept }] }
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
