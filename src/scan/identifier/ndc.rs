//! National Drug Code by its shapes; the FDA's list is not shipped. Says something about health, nothing about a person.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b(?:\d{4}-\d{4}-\d{2}|\d{5}-\d{3}-\d{2}|\d{5}-\d{4}-\d{1,2}|\d{11})\b",
    worth: |s| s.run >= 11 && (s.is_foreign || s.may_be(Cue::LabelNdc)) || (s.has_dash && s.cluster >= 9),
    check,
    hits: &[("NDC: 01195-0291-93", Kind::Ndc), ("(NDC 09353-254-07)", Kind::Ndc), ("NDC 01195029193", Kind::Ndc)],
    misses: &[("01195029193", Kind::Ndc), ("2024-0102-03-04", Kind::Ndc)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let is_labelled = c.labelled(Cue::LabelNdc);
    let is_dashed = c.text().contains('-');
    (c.stands_alone() && (is_labelled || is_dashed)).then_some((Kind::Ndc, if is_labelled { 99 } else { 70 }))
}
