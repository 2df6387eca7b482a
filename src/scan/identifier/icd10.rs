//! ICD-10-CM: the shape, and the code must be in the list of the current release.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[A-TV-Za-tv-zU]\d[0-9ABab](?:\.[0-9A-Za-z]{1,4}|[0-9A-Za-z]{1,4})?\b",
    worth: |s| s.letter_digit,
    check,
    hits: &[
        ("anemia (D59.8)", Kind::Icd10),
        ("dx B02.9", Kind::Icd10),
        ("diagnosis code E119", Kind::Icd10),
        ("Diagnosis: I10", Kind::Icd10),
        ("U07.1", Kind::Icd10),
        ("S52.501A was coded", Kind::Icd10),
    ],
    misses: &[
        ("Take I95 north", Kind::Icd10),
        ("room E11", Kind::Icd10),
        ("version B02.97", Kind::Icd10),
        ("paper size A10", Kind::Icd10),
    ],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    if !c.stands_alone() || !c.scanner.is_icd10(c.text()) {
        return None;
    }
    let has_dot = c.text().contains('.');
    let is_labelled = c.page.is_labelled(c.start, 40, Cue::LabelIcd);
    match (has_dot, is_labelled) {
        (true, true) => Some((Kind::Icd10, 99)),
        (true, false) => Some((Kind::Icd10, 90)),
        // Short codes are also roads, rooms and paper sizes.
        (false, true) if c.text().bytes().all(|b| !b.is_ascii_lowercase()) => Some((Kind::Icd10, 85)),
        (false, _) => None,
    }
}
