//! CPT codes by shape and context only: the list belongs to the American Medical Association.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b\d{4}[0-9FTU](?:-\d{2})?\b",
    worth: |s| s.run >= 4 && (s.bracket_digit || s.may_be(Cue::LabelCpt)),
    check,
    hits: &[("CPT 87491", Kind::Cpt), ("Service: 95810 embryo transfer", Kind::Cpt), ("mammogram (27447)", Kind::Cpt)],
    misses: &[("Brentwood, CA 94513", Kind::Cpt), ("order 87491 chairs", Kind::Cpt)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    use crate::scan::dictionary::Meaning;
    let is_labelled = c.page.is_labelled(c.start, 40, Cue::LabelCpt);
    // In brackets behind the name of what was done.
    let is_after_procedure = c.page.slice(0..c.start).ends_with('(')
        && c.page
            .terms_in(c.start.saturating_sub(4)..c.start)
            .any(|term| matches!(term.meaning, Meaning::Procedure(_) | Meaning::Lab(_)));
    (c.stands_alone() && (is_labelled || is_after_procedure)).then_some((Kind::Cpt, 80))
}
