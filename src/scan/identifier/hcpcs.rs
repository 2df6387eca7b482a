//! HCPCS Level II codes that exist in the list of CMS.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[A-V]\d{4}\b",
    worth: |s| s.letter_digit && s.run >= 4,
    check,
    hits: &[("HCPCS J0592", Kind::Hcpcs), ("billed with E2383", Kind::Hcpcs)],
    misses: &[("J0000", Kind::Hcpcs), ("flat J0592 upstairs", Kind::Hcpcs)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let is_near = c.labelled(Cue::LabelCpt) || c.labelled(Cue::LabelIcd) || c.labelled(Cue::Payment);
    let is_column = c.page.column(c.start).any(|cue| cue == Cue::LabelCpt);
    (c.stands_alone() && c.scanner.is_hcpcs(c.text()) && (is_near || is_column || is_code_beside(c))).then_some((Kind::Hcpcs, 85))
}

/// Coders write codes in a row: "64483 with E2383".
fn is_code_beside(c: &Candidate<'_>) -> bool {
    let before = c.page.slice(c.start.saturating_sub(24)..c.start);
    ["report", "code", "with"].iter().any(|word| before.contains(word)) && before.bytes().any(|b| b.is_ascii_digit())
}
