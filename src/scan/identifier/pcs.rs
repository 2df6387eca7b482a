//! ICD-10-PCS: seven places without O and I, and a label that says it is one.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[0-9BCDFGHX][0-9A-HJ-NP-Z]{6}\b",
    worth: |s| s.word >= 7 && s.may_be(Cue::LabelPcs),
    check,
    hits: &[("ICD-10-PCS 0DTJ4ZZ", Kind::Pcs), ("PCS code: 02703ZZ", Kind::Pcs)],
    misses: &[("part 0DTJ4ZZ", Kind::Pcs), ("PCS code: 0DTJ4OZ", Kind::Pcs), ("ICD-10-PCS CHAPTER", Kind::Pcs)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let has_digit = c.text().bytes().any(|b| b.is_ascii_digit());
    (has_digit && c.stands_alone() && c.nearest_is(Cue::LabelPcs)).then_some((Kind::Pcs, 90))
}
