//! National Provider Identifier: ten digits, Luhn with the prefix 80840 (45 CFR 162.406). Names a provider, not a patient.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[12]\d{9}\b",
    worth: |s| s.run >= 10 && s.may_be(Cue::LabelNpi),
    check,
    hits: &[("NPI 1234567893", Kind::Npi), ("Dr. Curry\nNPI: 2506383308", Kind::Npi)],
    // Every tenth number of ten digits passes the check, and telephone numbers have ten: the label is needed.
    misses: &[("NPI 1234567890", Kind::Npi), ("call 1234567893", Kind::Npi)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    (c.stands_alone() && c.labelled(Cue::LabelNpi) && luhn(&format!("80840{}", c.text()))).then_some((Kind::Npi, 99))
}
