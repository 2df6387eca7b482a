//! Street addresses, and places with a ZIP code that belongs to the state.
use super::*;

pub(super) const STREET: Identifier = Identifier {
    pattern: r"\b\d{1,6} (?:[NSEW]\.? )?(?:[A-Z][A-Za-z'.]+ ){1,4}(?:[A-Z][a-z]+\.?)?(?:,? ?(?:Apt|Suite|Ste|Unit|No|#)\.? ?#?\w{1,6})?(?:[,\n]\s?[A-Z][A-Za-z'. ]{1,28},?[ \n][A-Z]{2},?[ \n]\d{5}(?:-\d{4})?)",
    worth: |s| s.digit_capital && s.run >= 5 && (s.zip || s.is_foreign),
    check: check_full,
    hits: &[
        ("lives at 8487 Jennifer Locks Apt. 323, Rochester, NY 14614 now", Kind::Address),
        ("Home address 83783 Robert Lights Apt. 663, Scott City,\nKS 67871.", Kind::Address),
    ],
    misses: &[("8487 Jennifer Locks, Rochester, NY 00001", Kind::Address)],
};

pub(super) const PLACE: Identifier = Identifier {
    pattern: r"\b\d{1,6} (?:[NSEW]\.? )?(?:[A-Z][A-Za-z'.]+ ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Drive|Dr|Lane|Ln|Boulevard|Blvd|Court|Ct|Place|Pl|Way|Circle|Cir|Terrace|Ter|Parkway|Pkwy|Highway|Hwy|Trail|Square|Loop|Ridge|Gateway|Alley|Pike)\b\.?(?:,? ?(?:Apt|Suite|Ste|Unit|#)\.? ?#?\w{1,6})?|\b[A-Z][A-Za-z'.]+(?: [A-Z][A-Za-z'.]+){0,2},?[ \n][A-Z]{2},?[ \n]\d{5}(?:-\d{4})?\b",
    worth: |s| s.digit_capital || s.zip_alone || s.is_foreign && s.run >= 5,
    check: check_part,
    hits: &[("at 12 Old Mill Road", Kind::Address), ("moved to Parma, MI 49269", Kind::Address)],
    misses: &[("Parma, NY 49269", Kind::Address), ("bring 12 Long Ladders", Kind::Address)],
};

fn check_full(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    is_zip(c.text(), c.scanner).then_some((Kind::Address, 95))
}

fn check_part(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    if c.text().starts_with(|x: char| x.is_ascii_digit()) {
        return Some((Kind::Address, 75));
    }
    is_zip(c.text(), c.scanner).then_some((Kind::Address, 80))
}

/// Whether the text ends in a state and one of its ZIP codes.
fn is_zip(text: &str, scanner: &Scanner) -> bool {
    let mut words = text.rsplit([' ', '\n', ',']).filter(|word| !word.is_empty());
    let (Some(zip), Some(state)) = (words.next(), words.next()) else { return false };
    zip.get(..5).is_some_and(|zip| scanner.is_zip_of(zip, state))
}
