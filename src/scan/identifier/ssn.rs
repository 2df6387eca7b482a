//! Social security number: area, group and serial rules of the SSA; no check digit exists.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b\d{3}(?:-\d{2}-|\.\d{2}\.| \d{2} |\d{2})\d{4}\b",
    worth: |s| s.cluster >= 9 && (s.is_foreign || (s.run >= 9 || s.pair) && (s.has_dash || s.may_be(Cue::LabelSsn))),
    check,
    hits: &[
        ("SSN: 405-19-0261", Kind::Ssn),
        ("number 405-19-0261 on file", Kind::Ssn),
        ("Social Security 405 19 0261", Kind::Ssn),
        ("(SSN 680386982, group)", Kind::Ssn),
        ("SSN 405\u{2011}19\u{2013}0261", Kind::Ssn),
    ],
    misses: &[
        ("SSN 000-12-3456", Kind::Ssn),
        ("SSN 666-12-3456", Kind::Ssn),
        ("SSN 123-00-3456", Kind::Ssn),
        ("SSN 078-05-1120", Kind::Ssn),
        ("order 680386982", Kind::Ssn),
        ("part 405-19-0261-7", Kind::Ssn),
    ],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let digits = c.digits();
    if !c.stands_alone() || !is_valid(&digits) {
        return None;
    }
    let is_dashed = c.text().contains('-');
    match (c.labelled(Cue::LabelSsn), is_dashed) {
        (true, _) => Some((Kind::Ssn, 99)),
        (false, true) => Some((Kind::Ssn, 85)),
        (false, false) => None,
    }
}

pub(super) fn is_valid(digits: &str) -> bool {
    let (Some(area), Some(group), Some(serial)) = (number(digits, 0..3), number(digits, 3..5), number(digits, 5..9)) else {
        return false;
    };
    // Numbers once printed in advertisements and forms.
    let is_known_sample = matches!(digits, "078051120" | "219099999") || digits.starts_with("98765432");
    area != 0 && area != 666 && area < 900 && group != 0 && serial != 0 && !is_known_sample && !all_same(digits)
}

fn number(digits: &str, range: Range<usize>) -> Option<u16> {
    digits.get(range)?.parse().ok()
}
