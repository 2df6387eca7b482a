//! # identifier: numbers and addresses that point at a person, a code or a payment
//!
//! One file each: a linear-time pattern, a validator, the words beside it that count, and examples that run as tests.
//! To add one: a file with a `pub(super) const IDENTIFIER`, and a line in [`ALL`].
//!
//! Must not be here: names (`person`), health terms (dictionaries), any decision (`combine`).

mod address;
mod amount;
mod card;
mod cpt;
mod date;
mod dea;
mod email;
mod hcpcs;
mod iban;
mod icd10;
mod ip;
mod lab_value;
mod labelled;
mod loinc;
mod mbi;
mod ndc;
mod npi;
mod phone;
mod ssn;
mod url;
mod vin;

use std::ops::Range;
use std::sync::OnceLock;

use regex::Regex;

use super::dictionary::{Cue, Scanner};
use super::findings::Kind;
use super::page::Page;

/// One thing to look for.
pub(super) struct Identifier {
    /// Linear-time pattern; every match is shown to `check`.
    pub pattern: &'static str,
    /// Says what a match is and how sure that is (0 to 100), or nothing.
    pub check: fn(&Candidate<'_>) -> Option<(Kind, u8)>,
    /// Texts in which something of this kind is found ...
    #[cfg_attr(not(test), allow(dead_code))]
    pub hits: &'static [(&'static str, Kind)],
    /// ... and texts in which it is not.
    #[cfg_attr(not(test), allow(dead_code))]
    pub misses: &'static [(&'static str, Kind)],
}

/// A match of a pattern, in its surroundings.
pub(super) struct Candidate<'c> {
    pub page: &'c Page<'c>,
    pub scanner: &'c Scanner,
    pub start: usize,
    pub end: usize,
}

impl<'c> Candidate<'c> {
    pub fn text(&self) -> &'c str {
        self.page.slice(self.start..self.end)
    }

    pub fn digits(&self) -> String {
        self.text().chars().filter(char::is_ascii_digit).collect()
    }

    /// Whether a label of the class stands within 60 bytes before, or above in the table.
    pub fn labelled(&self, cue: Cue) -> bool {
        self.page.is_labelled(self.start, 60, cue)
    }

    /// Whether the nearest label before is of the class.
    pub fn nearest_is(&self, cue: Cue) -> bool {
        self.page.label_before(self.start, 60).is_some_and(|(cues, _)| cues.contains(&cue))
    }

    /// Whether the match is a word of its own: no letter, digit, or joining sign at its ends.
    pub fn stands_alone(&self) -> bool {
        let before = self.page.slice(0..self.start).bytes().next_back();
        let after = self.page.text.as_bytes().get(self.end).copied();
        let then = self.page.text.as_bytes().get(self.end + 1).copied();
        let joins = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
        let continues = |b: u8| matches!(b, b'-' | b'.' | b'/') && then.is_some_and(|t| t.is_ascii_digit());
        !before.is_some_and(|b| joins(b) || b == b'-' || b == b'.' && self.text().starts_with(|c: char| c.is_ascii_digit()))
            && !after.is_some_and(|b| joins(b) || continues(b))
    }
}

/// What was found in the normalised text.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    pub kind: Kind,
    pub span: Range<usize>,
    pub score: u8,
}

/// The order is the precedence: a place taken by an earlier one is not given to a later one.
const ALL: &[&Identifier] = &[
    &email::IDENTIFIER,
    &url::IDENTIFIER,
    &ip::IDENTIFIER,
    &address::STREET,
    &address::PLACE,
    &iban::IDENTIFIER,
    &mbi::IDENTIFIER,
    &vin::IDENTIFIER,
    &ndc::IDENTIFIER,
    &amount::IDENTIFIER,
    &date::IDENTIFIER,
    &ssn::IDENTIFIER,
    &card::IDENTIFIER,
    &npi::IDENTIFIER,
    &dea::IDENTIFIER,
    &phone::IDENTIFIER,
    &icd10::IDENTIFIER,
    &loinc::IDENTIFIER,
    &hcpcs::IDENTIFIER,
    &cpt::IDENTIFIER,
    &labelled::IDENTIFIER,
    &lab_value::IDENTIFIER,
];

/// The first two need no digit and look for their own sign; the others are tried around digits only.
const WITHOUT_DIGITS: usize = 2;

fn compiled() -> &'static [Regex] {
    static COMPILED: OnceLock<Vec<Regex>> = OnceLock::new();
    #[allow(clippy::expect_used)]
    COMPILED.get_or_init(|| {
        ALL.iter().map(|id| Regex::new(id.pattern).expect("the patterns are constants that tests compile")).collect()
    })
}

/// Most identifiers kept from one text.
pub(super) const HITS_MAX: usize = 20_000;

/// Finds all identifiers in a page, sorted by place, without overlaps.
pub(super) fn find(page: &Page<'_>, scanner: &Scanner) -> Vec<Hit> {
    let mut out: Vec<Hit> = Vec::new();
    let mut taken: Vec<Range<usize>> = Vec::new();
    let windows = digit_windows(page.text);
    for (index, (identifier, pattern)) in ALL.iter().zip(compiled()).enumerate() {
        let mut fresh: Vec<Range<usize>> = Vec::new();
        let mut try_in = |window: Range<usize>| {
            for found in pattern.find_iter(page.slice(window.clone())) {
                let candidate = Candidate { page, scanner, start: window.start + found.start(), end: window.start + found.end() };
                let span = candidate.start..candidate.end;
                if is_taken(&taken, &span) || out.len() >= HITS_MAX {
                    continue;
                }
                if let Some((kind, score)) = (identifier.check)(&candidate) {
                    out.push(Hit { kind, span: span.clone(), score });
                    fresh.push(span);
                }
            }
        };
        if index < WITHOUT_DIGITS {
            let sign = if index == 0 { page.text.contains('@') } else { page.text.contains("://") || page.text.contains("www.") };
            if sign {
                try_in(0..page.text.len());
            }
        } else {
            windows.iter().for_each(|window| try_in(window.clone()));
        }
        if !fresh.is_empty() {
            taken.extend(fresh);
            taken.sort_unstable_by_key(|span| span.start);
        }
    }
    out.sort_unstable_by_key(|hit| hit.span.start);
    out
}

fn is_taken(taken: &[Range<usize>], span: &Range<usize>) -> bool {
    let after = taken.partition_point(|t| t.start < span.end);
    after.checked_sub(1).and_then(|i| taken.get(i)).is_some_and(|t| t.end > span.start)
}

/// Stretches around digits, cut at white space, joined when near: most prose has none, so most patterns see little text.
fn digit_windows(text: &str) -> Vec<Range<usize>> {
    const BEFORE: usize = 24;
    const AFTER: usize = 24;
    const JOIN: usize = 64;
    let bytes = text.as_bytes();
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let digit = at + found;
        let mut start = digit.saturating_sub(BEFORE);
        while start > 0 && !bytes.get(start - 1).is_some_and(u8::is_ascii_whitespace) && digit - start < 120 {
            start -= 1;
        }
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = (digit + AFTER).min(bytes.len());
        while end < bytes.len() && !bytes.get(end).is_some_and(u8::is_ascii_whitespace) && end - digit < 120 {
            end += 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        match out.last_mut() {
            Some(last) if last.end + JOIN >= start => last.end = last.end.max(end),
            _ => out.push(start..end),
        }
        at = digit + 1;
        // A digit run is one digit here.
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
    }
    out
}

/// Luhn's check over decimal digits, the last one being the check digit (ISO/IEC 7812-1).
pub(super) fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, b)| {
            let digit = u32::from(b.wrapping_sub(b'0'));
            match at % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn all_same(digits: &str) -> bool {
    digits.bytes().all(|b| Some(b) == digits.bytes().next())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::scan::normal::normalise;

    fn kinds(text: &str) -> Vec<Kind> {
        let normal = normalise(text);
        let page = Page::of(&normal.text, Scanner::shared());
        find(&page, Scanner::shared()).into_iter().map(|hit| hit.kind).collect()
    }

    #[test]
    fn every_identifier_finds_its_examples_and_leaves_the_others() {
        for identifier in ALL {
            assert!(!identifier.hits.is_empty() && !identifier.misses.is_empty(), "{}", identifier.pattern);
            for (text, kind) in identifier.hits {
                assert!(kinds(text).contains(kind), "{kind:?} not found in {text:?}: {:?}", kinds(text));
            }
            for (text, kind) in identifier.misses {
                assert!(!kinds(text).contains(kind), "{kind:?} found in {text:?}");
            }
        }
    }

    #[test]
    fn a_wall_of_digits_costs_linear_work_and_bounded_memory() {
        let wall = "1 ".repeat(50_000) + &"9".repeat(100_000);
        assert!(kinds(&wall).len() <= HITS_MAX);
    }
}
