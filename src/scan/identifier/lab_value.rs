//! Measured values: a number with a clinical unit, or a number right behind the name of a test.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"(?i)\b\d{2,3}/\d{2,3}\b|[<>]?\b\d{1,6}(?:\.\d{1,3})? ?(?:mg/dl|mg/l|mg/g|mmol/l|umol/l|nmol/l|pmol/l|meq/l|ng/ml|ng/dl|pg/ml|ug/ml|ug/dl|mcg/dl|g/dl|g/l|u/l|iu/l|iu/ml|miu/l|miu/ml|uiu/ml|mm/hr|ml/min|cells/ul|cells/mm3|copies/ml|k/ul|m/ul|x10e3/ul|10\^3/ul|mosm/kg|mmhg|bpm|fl|pg|%)|[<>]?\b\d{1,6}(?:\.\d{1,3})?\b",
    worth: |s| s.has_lab || s.digit_measure || s.has_slash && s.pressure || s.is_foreign && (s.digit_unit || s.has_slash),
    check,
    hits: &[
        ("triglycerides 401 mg/dL.", Kind::LabValue),
        ("your eGFR was 22 mL/min", Kind::LabValue),
        ("BP 168/90", Kind::LabValue),
        ("INR 3.2", Kind::LabValue),
        ("HbA1c of 9.1%", Kind::LabValue),
    ],
    misses: &[("volume up 12 %", Kind::LabValue), ("79 chairs", Kind::LabValue), ("on 10/03 we met", Kind::LabValue)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    use crate::scan::dictionary::Meaning;
    let text = c.text();
    if !c.stands_alone() && !text.ends_with('%') {
        return None;
    }
    // The nearest test named shortly before.
    let before = c.page.terms.partition_point(|term| term.end <= c.start);
    let behind_test = before
        .checked_sub(1)
        .and_then(|i| c.page.terms.get(i))
        .is_some_and(|term| matches!(term.meaning, Meaning::Lab(_)) && is_link(c.page.slice(term.end..c.start)));
    if text.contains('/') && text.bytes().all(|b| b.is_ascii_digit() || b == b'/') {
        let lead = c.page.slice(c.start.saturating_sub(24)..c.start).to_ascii_lowercase();
        let is_pressure =
            ["bp ", "bp: ", "b/p ", "blood pressure ", "pressure was ", "pressure of "].iter().any(|word| lead.ends_with(word));
        return is_pressure.then_some((Kind::LabValue, 90));
    }
    let has_unit = text.bytes().any(|b| b.is_ascii_alphabetic());
    (has_unit || behind_test).then_some((Kind::LabValue, if behind_test { 95 } else { 80 }))
}

/// Words that may stand between a test and its value.
fn is_link(between: &str) -> bool {
    between.len() <= 24
        && between.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).all(|word| {
            matches!(
                word.to_ascii_lowercase().as_str(),
                "was"
                    | "is"
                    | "of"
                    | "at"
                    | "now"
                    | "came"
                    | "back"
                    | "level"
                    | "result"
                    | "value"
                    | "today"
                    | "up"
                    | "to"
                    | "down"
            )
        })
}
