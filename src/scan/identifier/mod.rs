//! # identifier: numbers and addresses that point at a person, a code or a payment
//!
//! One file each: a linear-time pattern, a validator, the words beside it that count, and examples that run as tests.
//! To add one: a file with a `pub(super) const IDENTIFIER`, and a line in [`ALL`].
//!
//! Must not be here: names (`person`), health terms (dictionaries), any decision (`combine`).

mod aba;
mod account;
mod address;
mod amount;
mod card;
mod cpt;
mod date;
mod dea;
mod device;
mod email;
mod hcpcs;
mod hicn;
mod iban;
mod icd10;
mod icd9;
mod ip;
mod itin;
mod lab_value;
mod labelled;
mod license;
mod loinc;
mod mbi;
mod medicaid;
mod member;
mod mrn;
mod ndc;
mod npi;
mod pcs;
mod phone;
mod ssn;
mod url;
mod vin;

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::OnceLock;

use regex::Regex;

use super::dictionary::{Cue, Meaning, Scanner};
use super::findings::Kind;
use super::page::{Page, Shape};

/// One thing to look for.
pub(super) struct Identifier {
    /// Linear-time pattern; every match is shown to `check`.
    pub pattern: &'static str,
    /// Whether the pattern can match in a stretch at all, told from counts alone. May say yes too often, never no.
    pub worth: fn(&Stretch) -> bool,
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
    label: OnceCell<Option<(Vec<Cue>, usize)>>,
}

impl<'c> Candidate<'c> {
    /// The nearest label before, at most 44 bytes away, or the one of the column: its cues, and how far away.
    pub fn label(&self) -> Option<&(Vec<Cue>, usize)> {
        self.label.get_or_init(|| self.page.label_before(self.start, 44)).as_ref()
    }

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
    &device::UDI,
    &iban::IDENTIFIER,
    &mbi::IDENTIFIER,
    &vin::IDENTIFIER,
    &ndc::IDENTIFIER,
    &amount::IDENTIFIER,
    &date::IDENTIFIER,
    &hicn::IDENTIFIER,
    &ssn::IDENTIFIER,
    &itin::IDENTIFIER,
    &card::IDENTIFIER,
    &npi::IDENTIFIER,
    &dea::IDENTIFIER,
    &aba::IDENTIFIER,
    &phone::IDENTIFIER,
    &icd10::IDENTIFIER,
    &icd9::IDENTIFIER,
    &pcs::IDENTIFIER,
    &loinc::IDENTIFIER,
    &hcpcs::IDENTIFIER,
    &cpt::IDENTIFIER,
    // Numbers told apart by their label share one pattern, which then runs once.
    &mrn::IDENTIFIER,
    &medicaid::IDENTIFIER,
    &member::IDENTIFIER,
    &license::IDENTIFIER,
    &device::SERIAL,
    &account::IDENTIFIER,
    &mrn::BEHIND_DATE,
    &lab_value::IDENTIFIER,
];

/// The first two need no digit and look for their own sign; the others are tried around digits only.
const WITHOUT_DIGITS: usize = 2;

/// Patterns that look far around a number.
const WIDE: [&str; 2] = [address::STREET.pattern, address::PLACE.pattern];

/// A stretch of text around digits, and what it holds: counted once, so that most patterns need not look.
pub(super) struct Stretch {
    span: Range<usize>,
    /// Digits in one run.
    pub run: usize,
    /// Digits with at most two signs or blanks between them, as in "(415) 822-3224".
    pub cluster: usize,
    /// Letters and digits in one run.
    pub word: usize,
    /// Groups of digits.
    pub groups: usize,
    pub dots: usize,
    pub colons: usize,
    /// A digit, a dash, a digit.
    pub has_dash: bool,
    pub has_slash: bool,
    pub has_dollar: bool,
    /// A letter right before a digit, a capital, two of them.
    pub letter_digit: bool,
    pub capitals_digit: bool,
    /// A letter right behind a digit.
    pub digit_letter: bool,
    /// A digit, a blank, and a capital; or any letter or percent sign, perhaps without the blank.
    pub digit_capital: bool,
    pub digit_unit: bool,
    /// A test is named in it or shortly before, an insurer.
    pub has_lab: bool,
    pub has_insurer: bool,
    /// A blank or line end and five digits, perhaps more.
    pub zip: bool,
    /// The same, and no more.
    pub zip_alone: bool,
    /// A digit and a blank before what begins an amount's unit.
    pub digit_money: bool,
    /// A digit, a dash, a letter.
    pub digit_dash_letter: bool,
    /// A digit and a letter that a clinical unit begins with, perhaps a blank between.
    pub digit_measure: bool,
    /// A number behind what a word for blood pressure ends in.
    pub pressure: bool,
    /// Two digits and no more in a run.
    pub pair: bool,
    /// A sign that dates have between two digits, twice.
    pub joints: usize,
    /// A word that begins like a month.
    pub month: bool,
    /// A bracket right before a digit.
    pub bracket_digit: bool,
    /// A sign that parts cells, in it or shortly before.
    pub has_bar: bool,
    /// Letters or digits of other scripts: signs counted above may be missing.
    pub is_foreign: bool,
    /// Cues in it, in the 60 bytes before, and in the column headers above it.
    labels: u64,
}

impl Stretch {
    /// Whether a label of the class may stand before a number in here.
    pub fn may_be(&self, cue: Cue) -> bool {
        self.labels & cue.bit() != 0
    }

    fn of(page: &Page<'_>, span: Range<usize>, has_bars: bool) -> Stretch {
        let mut stretch = Stretch {
            run: 0,
            cluster: 0,
            word: 0,
            groups: 0,
            dots: 0,
            colons: 0,
            has_dash: false,
            has_slash: false,
            has_dollar: false,
            letter_digit: false,
            capitals_digit: false,
            digit_letter: false,
            digit_capital: false,
            digit_unit: false,
            has_lab: false,
            has_insurer: false,
            zip: false,
            zip_alone: false,
            digit_money: false,
            digit_dash_letter: false,
            digit_measure: false,
            pressure: false,
            pair: false,
            joints: 0,
            month: false,
            bracket_digit: false,
            has_bar: has_bars
                && page
                    .text
                    .as_bytes()
                    .get(span.start.saturating_sub(16)..span.end)
                    .is_some_and(|bytes| bytes.iter().copied().any(is_bar)),
            is_foreign: false,
            labels: page.cue_bits(60, span.clone()),
            span: span.clone(),
        };
        for term in page.terms_in(span.start.saturating_sub(40)..span.end) {
            stretch.has_lab |= matches!(term.meaning, Meaning::Lab(_));
            stretch.has_insurer |= term.meaning == Meaning::Insurer;
        }
        let (mut run, mut cluster, mut word, mut gap) = (0usize, 0usize, 0usize, 0usize);
        // The two bytes before.
        let (mut last, mut earlier) = (b' ', b' ');
        let bytes = page.slice(span).as_bytes();
        for (at, byte) in bytes.iter().copied().enumerate() {
            if byte.is_ascii_digit() {
                if run == 0 {
                    stretch.groups += 1;
                    stretch.bracket_digit |= last == b'(';
                    stretch.pressure |=
                        last == b' ' && matches!(earlier, b'p' | b'P' | b':' | b'e' | b'E' | b's' | b'S' | b'f' | b'F');
                    stretch.joints += usize::from(matches!(last, b'-' | b'/' | b'.') && earlier.is_ascii_digit());
                    if gap > 2 {
                        cluster = 0;
                    }
                }
                gap = 0;
                run += 1;
                cluster += 1;
                stretch.run = stretch.run.max(run);
                stretch.cluster = stretch.cluster.max(cluster);
                stretch.letter_digit |= last.is_ascii_alphabetic();
                stretch.capitals_digit |= last.is_ascii_uppercase() && earlier.is_ascii_uppercase();
                stretch.has_dash |= last == b'-' && earlier.is_ascii_digit();
                let is_zip = run == 5 && at >= 5 && bytes.get(at - 5).is_some_and(|b| matches!(b, b' ' | b'\n'));
                stretch.zip |= is_zip;
                stretch.zip_alone |= is_zip && !bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
            } else {
                stretch.pair |= run == 2;
                run = 0;
                gap += 1;
                let is_letter = byte.is_ascii_alphabetic();
                let is_behind = last.is_ascii_digit() || (last == b' ' && earlier.is_ascii_digit());
                match byte {
                    b'.' => stretch.dots += 1,
                    b':' => stretch.colons += 1,
                    b'/' => stretch.has_slash = true,
                    b'$' => stretch.has_dollar = true,
                    b'%' => stretch.digit_unit |= is_behind,
                    // "10^3/ul"
                    b'^' => stretch.digit_measure |= is_behind,
                    _ if is_letter => {
                        // What holds letters is no number any more.
                        gap = gap.max(3);
                        stretch.digit_letter |= last.is_ascii_digit();
                        stretch.digit_dash_letter |= last == b'-' && earlier.is_ascii_digit();
                        stretch.digit_money |= last == b' ' && is_behind && matches!(byte, b'd' | b'U');
                        stretch.month |= !last.is_ascii_alphabetic() && begins_month(bytes.get(at..at + 3).unwrap_or_default());
                        stretch.digit_unit |= is_behind;
                        stretch.digit_measure |= is_behind && begins_unit(byte);
                        stretch.digit_capital |= last != b'.' && is_behind && byte.is_ascii_uppercase();
                    }
                    _ => stretch.is_foreign |= byte >= 0x80,
                }
            }
            word = if byte.is_ascii_alphanumeric() { word + 1 } else { 0 };
            stretch.word = stretch.word.max(word);
            (earlier, last) = (last, byte);
        }
        stretch.pair |= run == 2;
        stretch
    }
}

/// The first letters of the units of `lab_value`.
fn begins_unit(byte: u8) -> bool {
    matches!(byte.to_ascii_lowercase(), b'm' | b'u' | b'n' | b'p' | b'g' | b'i' | b'c' | b'k' | b'x' | b'b' | b'f')
}

fn begins_month(word: &[u8]) -> bool {
    let Ok(letters) = <[u8; 3]>::try_from(word) else { return false };
    matches!(
        &letters.map(|b| b.to_ascii_lowercase()),
        b"jan" | b"feb" | b"mar" | b"apr" | b"may" | b"jun" | b"jul" | b"aug" | b"sep" | b"oct" | b"nov" | b"dec"
    )
}

/// Neighbours with one pattern.
fn groups() -> impl Iterator<Item = &'static [&'static Identifier]> {
    ALL.chunk_by(|a, b| a.pattern == b.pattern)
}

fn compiled() -> &'static [Regex] {
    static COMPILED: OnceLock<Vec<Regex>> = OnceLock::new();
    #[allow(clippy::expect_used)]
    COMPILED.get_or_init(|| {
        let patterns = groups().filter_map(|group| group.first()).map(|identifier| identifier.pattern);
        patterns.map(|pattern| Regex::new(pattern).expect("the patterns are constants that tests compile")).collect()
    })
}

/// Most identifiers kept from one text.
pub(super) const HITS_MAX: usize = 20_000;

/// Finds all identifiers in a page, sorted by place, without overlaps.
pub(super) fn find(page: &Page<'_>, scanner: &Scanner) -> Vec<Hit> {
    let mut out: Vec<Hit> = Vec::new();
    let mut taken: Vec<Range<usize>> = Vec::new();
    let has_bars = memchr::memchr3(b'|', b';', b'\t', page.text.as_bytes()).is_some();
    // An address goes on for lines behind its number; everything else stands close around its digits and in one cell.
    let narrow: Vec<Stretch> = digit_windows(page, 11, 8, 0)
        .into_iter()
        .flat_map(|span| cells(page, span))
        .map(|span| Stretch::of(page, span, has_bars))
        .collect();
    let wide = around_addresses(page, &narrow, has_bars);
    let tried = if narrow.is_empty() { WITHOUT_DIGITS } else { ALL.len() };
    for (index, (group, pattern)) in groups().zip(compiled()).enumerate().take(tried) {
        let mut fresh: Vec<Range<usize>> = Vec::new();
        let mut try_in = |window: Range<usize>| {
            for found in pattern.find_iter(page.slice(window.clone())) {
                let (start, end) = (window.start + found.start(), window.start + found.end());
                if is_taken(&taken, &(start..end)) || out.len() >= HITS_MAX {
                    continue;
                }
                let candidate = Candidate { page, scanner, start, end, label: OnceCell::new() };
                if let Some((kind, score)) = group.iter().find_map(|identifier| (identifier.check)(&candidate)) {
                    out.push(Hit { kind, span: start..end, score });
                    fresh.push(start..end);
                }
            }
        };
        if index < WITHOUT_DIGITS {
            let bytes = page.text.as_bytes();
            let holds = |sign: &str| memchr::memmem::find(bytes, sign.as_bytes()).is_some();
            let sign = if index == 0 { holds("@") } else { holds("://") || holds("www.") };
            if sign {
                try_in(0..page.text.len());
            }
        } else {
            let worth = |stretch: &&Stretch| group.iter().any(|identifier| (identifier.worth)(stretch));
            let is_address = group.iter().any(|identifier| WIDE.contains(&identifier.pattern));
            let stretches = if is_address { &wide } else { &narrow };
            stretches.iter().filter(worth).for_each(|stretch| try_in(stretch.span.clone()));
        }
        if !fresh.is_empty() {
            taken.extend(fresh);
            taken.sort_unstable_by_key(|span| span.start);
        }
    }
    out.sort_unstable_by_key(|hit| hit.span.start);
    out
}

/// A sign that parts cells.
fn is_bar(byte: u8) -> bool {
    matches!(byte, b'|' | b';' | b'\t')
}

/// Wide stretches around the narrow ones that may belong to an address: what says so lies close to the digits, except in
/// texts with letters of other scripts.
fn around_addresses(page: &Page<'_>, narrow: &[Stretch], has_bars: bool) -> Vec<Stretch> {
    if !narrow.iter().any(|s| s.digit_capital || s.zip_alone || s.is_foreign && s.run >= 5) {
        return Vec::new();
    }
    let is_plain = page.text.is_ascii();
    let mut hints = narrow.iter().filter(|s| s.digit_capital || s.zip_alone).map(|s| s.span.start).peekable();
    let mut holds_hint = |window: &Range<usize>| {
        while hints.next_if(|hint| *hint < window.start).is_some() {}
        hints.peek().is_some_and(|hint| *hint < window.end)
    };
    let windows = digit_windows(page, 24, 24, 64).into_iter();
    windows.filter(|window| !is_plain || holds_hint(window)).map(|window| Stretch::of(page, window, has_bars)).collect()
}

/// The parts of a stretch that signs between cells leave, those without a digit left out: only addresses and links, which
/// are not looked for in here, hold such a sign.
fn cells<'p>(page: &Page<'p>, span: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<'p> {
    let mut start = span.start;
    page.slice(span).split(['\t', '|', ';']).filter_map(move |cell| {
        let part = start..start + cell.len();
        start = part.end + 1;
        cell.bytes().any(|b| b.is_ascii_digit() || b >= 0x80).then_some(part)
    })
}

fn is_taken(taken: &[Range<usize>], span: &Range<usize>) -> bool {
    let after = taken.partition_point(|t| t.start < span.end);
    after.checked_sub(1).and_then(|i| taken.get(i)).is_some_and(|t| t.end > span.start)
}

/// Stretches around digits, cut at white space, joined when near: most prose has none, so most patterns see little text.
fn digit_windows(page: &Page<'_>, before: usize, after: usize, join: usize) -> Vec<Range<usize>> {
    let (text, bytes) = (page.text, page.text.as_bytes());
    let mut out: Vec<Range<usize>> = Vec::new();
    for digit in digit_runs(page) {
        let mut start = digit.saturating_sub(before);
        while start > 0 && !bytes.get(start - 1).is_some_and(u8::is_ascii_whitespace) && digit - start < 120 {
            start -= 1;
        }
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = (digit + after).min(bytes.len());
        while end < bytes.len() && !bytes.get(end).is_some_and(u8::is_ascii_whitespace) && end - digit < 120 {
            end += 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        match out.last_mut() {
            Some(last) if last.end + join >= start => last.end = last.end.max(end),
            _ => out.push(start..end),
        }
    }
    out
}

/// Where each run of digits begins: all stand in words that hold a digit.
fn digit_runs<'p>(page: &'p Page<'_>) -> impl Iterator<Item = usize> + use<'p> {
    let bytes = page.text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let numbers = page.words.iter().filter(|word| word.shape == Shape::Number);
    numbers
        .flat_map(move |word| (word.start..word.end).filter(move |at| is_digit(*at) && (*at == word.start || !is_digit(at - 1))))
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
