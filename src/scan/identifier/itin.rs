//! Individual taxpayer numbers: nine digits from 900 on, with groups that the IRS gives out, for people without an SSN.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b9\d{2}(?:-\d{2}-|\.\d{2}\.| \d{2} |\d{2})\d{4}\b",
    worth: |s| s.cluster >= 9 && (s.is_foreign || (s.run >= 9 || s.pair) && (s.has_dash || s.may_be(Cue::LabelSsn))),
    check,
    hits: &[("ITIN 912-70-1234", Kind::Ssn), ("tax id 912 94 1234", Kind::Ssn), ("on file: 999-88-1234", Kind::Ssn)],
    misses: &[("ITIN 912-40-1234", Kind::Ssn), ("order 912701234", Kind::Ssn), ("ITIN 912-70-0000", Kind::Ssn)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let digits = c.digits();
    let group: u16 = digits.get(3..5)?.parse().ok()?;
    let is_valid = matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99) && digits.get(5..) != Some("0000");
    if !is_valid || !c.stands_alone() || all_same(&digits) {
        return None;
    }
    match (c.labelled(Cue::LabelSsn), c.text().contains('-')) {
        (true, _) => Some((Kind::Ssn, 99)),
        (false, true) => Some((Kind::Ssn, 80)),
        (false, false) => None,
    }
}
