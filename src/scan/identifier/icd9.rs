//! ICD-9-CM codes, still met in old records: the shape, and a label of a diagnosis close by.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b(?:\d{3}\.\d{1,2}|V\d{2}\.\d{1,2}|E\d{3}\.\d)\b",
    worth: |s| s.dots >= 1 && s.may_be(Cue::LabelIcd),
    check,
    hits: &[("ICD-9: 250.00", Kind::Icd9), ("dx 401.9", Kind::Icd9), ("diagnosis code V58.61", Kind::Icd9)],
    misses: &[("weight 150.5", Kind::Icd9), ("invoice 250.00", Kind::Icd9), ("ICD-9: 250.000", Kind::Icd9)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let label = c.page.label_before(c.start, 32)?;
    // A price or a measure is no code.
    let is_other = c.page.text.as_bytes().get(c.end).is_some_and(|b| *b == b'%') || c.page.slice(0..c.start).ends_with('$');
    (c.stands_alone() && label.0.contains(&Cue::LabelIcd) && label.1 <= 12 && !is_other).then_some((Kind::Icd9, 85))
}
