//! Account, claim, encounter and authorisation numbers: under a label.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: labelled::PATTERN,
    worth: |s| labelled::WORTH(s) && s.may_be(Cue::LabelAccount),
    check: |c| labelled::is_under(c, Cue::LabelAccount).then_some((Kind::Account, 90)),
    hits: &[("Acct: A6210561", Kind::Account), ("Claim 5786214765", Kind::Account)],
    misses: &[("A6210561 chairs", Kind::Account), ("account opened in 2019", Kind::Account)],
};
