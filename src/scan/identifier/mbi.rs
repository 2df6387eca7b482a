//! Medicare Beneficiary Identifier: eleven places with fixed classes, no S L O I B Z (CMS); no check digit.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"(?i)\b[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]-?[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]-?[AC-HJKMNP-RT-Y]{2}[0-9]{2}\b",
    worth: |s| s.digit_letter && s.letter_digit,
    check,
    hits: &[("MBI 4AF9HA2XE70", Kind::Mbi), ("1EG4-TE5-MK73", Kind::Mbi), ("medicare number 1eg4te5mk73", Kind::Mbi)],
    misses: &[("MBI 0AF9HA2XE70", Kind::Mbi), ("MBI 1SG4TE5MK73", Kind::Mbi), ("x1EG4TE5MK73", Kind::Mbi)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let is_upper = !c.text().bytes().any(|b| b.is_ascii_lowercase());
    let is_labelled = c.labelled(Cue::LabelPlan);
    (c.stands_alone() && (is_upper || is_labelled)).then_some((Kind::Mbi, if is_labelled { 99 } else { 90 }))
}
