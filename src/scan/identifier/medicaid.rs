//! Medicaid numbers: under a label of Medicaid. The shapes of the larger states raise the score; other states' numbers
//! count by their label alone.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: labelled::PATTERN,
    worth: |s| labelled::WORTH(s) && s.may_be(Cue::LabelMedicaid),
    check,
    hits: &[
        ("Medicaid # GH61317F", Kind::Medicaid),
        ("Medi-Cal CIN 91234567A", Kind::Medicaid),
        ("Medicaid ID 123456789", Kind::Medicaid),
    ],
    misses: &[("GH61317F was shipped", Kind::Medicaid), ("the Medicaid budget of 2024", Kind::Medicaid)],
};

/// State, and its numbers: 9 a digit, A a letter.
const SHAPES: [(&str, &str); 24] = [
    ("CA", "99999999A"),
    ("CA", "999999999A9999"),
    ("NY", "AA99999A"),
    ("TX", "999999999"),
    ("FL", "9999999999"),
    ("OH", "999999999999"),
    ("PA", "9999999999"),
    ("IL", "999999999"),
    ("MI", "9999999999"),
    ("NJ", "999999999999"),
    ("MA", "999999999999"),
    ("NC", "999999999A"),
    ("WA", "999999999AA"),
    ("AZ", "A99999999"),
    ("CO", "A999999"),
    ("IN", "999999999999"),
    ("LA", "9999999999999"),
    ("MD", "99999999999"),
    ("MN", "99999999"),
    ("MO", "99999999"),
    ("VA", "999999999999"),
    ("WI", "9999999999"),
    ("SC", "9999999999"),
    ("CT", "999999999"),
];

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    if !labelled::is_under(c, Cue::LabelMedicaid) {
        return None;
    }
    let shape = labelled::shape(c.text());
    let is_known = SHAPES.iter().any(|(_, known)| *known == shape);
    Some((Kind::Medicaid, if is_known { 95 } else { 85 }))
}
