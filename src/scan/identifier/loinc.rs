//! LOINC codes by shape and check digit; the table itself is not shipped (its terms forbid it).
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b\d{3,5}-\d\b",
    worth: |s| s.has_dash,
    check,
    hits: &[("LOINC 4548-4", Kind::Loinc), ("serum creatinine 2160-0", Kind::Loinc)],
    misses: &[("LOINC 4548-5", Kind::Loinc), ("pages 4548-4", Kind::Loinc)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    use crate::scan::dictionary::Meaning;
    let is_lab_near =
        || c.page.terms_in(c.start.saturating_sub(80)..c.end + 80).any(|term| matches!(term.meaning, Meaning::Lab(_)));
    (c.stands_alone() && luhn(&c.digits()) && (c.labelled(Cue::LabelLoinc) || is_lab_near())).then_some((Kind::Loinc, 85))
}
