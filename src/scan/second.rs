//! Second readings: letters that stand apart with nothing but single gaps, and words that stand one a line.
//!
//! "J o h n S m i t h h a s g o u t" has lost where its words end; it is told again by the dictionaries, as the division
//! into known words that costs least. Such a reading stands beside the first one, so nothing is lost when it is wrong.
//! Ordinary text is looked at once, in steps, and has none.

use std::borrow::Cow;

use super::dictionary::Scanner;
use super::lexicon::Hash;
use super::normal::{Normal, fold, is_invisible, note};

/// So many letters in a row make a stretch; fewer are initials, options, sizes.
const LETTERS_MIN: usize = 6;
/// So many lines of one word each are a text set narrow; fewer are a list or a name.
const LINES_MIN: usize = 4;
/// Longest word on a line of its own.
const LINE_MAX: usize = 40;
/// Longest word that is looked up.
const WORD_MAX: usize = 22;
/// Longest ending of a file's name, behind its stop.
const ENDING_MAX: usize = 4;
/// Letters of one text that are divided by dictionary; what lies behind stays as it is.
const DIVIDED_MAX: usize = 200_000;

/// The text read again in every way that it may be read. Linear. `first` is the usual reading.
pub(super) fn readings<'t>(
    original: &'t str,
    first: &Normal<'_>,
    scanner: &Scanner,
) -> impl Iterator<Item = Normal<'t>> + use<'t> {
    // A text may hold both, in two places.
    super::reversed::reading(original).into_iter().chain(reading(original, first, scanner))
}

/// The text read again, if letters or words stand apart in it.
fn reading<'t>(original: &'t str, first: &Normal<'_>, scanner: &Scanner) -> Option<Normal<'t>> {
    let letters = match first.text {
        Cow::Borrowed(text) => may_stand_apart(text.as_bytes()),
        Cow::Owned(_) => stands_apart(original),
    };
    let lines = has_narrow_lines(original);
    if !letters && !lines {
        return None;
    }
    let mut writer =
        Writer { original, text: String::with_capacity(original.len()), shifts: Vec::new(), done: 0, changed: false };
    if letters {
        let mut left = DIVIDED_MAX;
        for stretch in Stretches::of(original) {
            if let Some(rest) = left.checked_sub(stretch.len()) {
                left = rest;
                stretch_again(&stretch, scanner, &mut writer);
            }
        }
    }
    if writer.changed {
        // A text has the one or the other.
        return Some(writer.finish());
    }
    if lines {
        join_lines(original, &mut writer);
    }
    writer.changed.then(|| writer.finish())
}

/// Builds a text out of pieces of the original.
struct Writer<'t> {
    original: &'t str,
    text: String,
    shifts: Vec<(usize, usize)>,
    /// Up to here the original is written.
    done: usize,
    changed: bool,
}

impl<'t> Writer<'t> {
    fn copy_to(&mut self, end: usize) {
        let piece = self.original.get(self.done..end).unwrap_or_default();
        if !piece.is_empty() {
            note(&mut self.shifts, self.text.len(), self.done);
            self.text.push_str(piece);
        }
        self.done = end.max(self.done);
    }

    fn push(&mut self, c: char, at: usize) {
        note(&mut self.shifts, self.text.len(), at);
        self.text.push(c);
    }

    fn finish(mut self) -> Normal<'t> {
        self.copy_to(self.original.len());
        Normal { text: Cow::Owned(self.text), shifts: self.shifts, original: self.original }
    }
}

// --- words one a line ------------------------------------------------------------------------------------------------

/// Lines in a row with one word each, at least [`LINES_MIN`]; one empty line may stand between two.
fn has_narrow_lines(text: &str) -> bool {
    let mut run = 0;
    let mut last = 0;
    let mut empty = 0;
    for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain(std::iter::once(text.len())) {
        let is_short = end - last <= LINE_MAX;
        match is_short.then(|| words_of(text.get(last..end).unwrap_or_default())) {
            Some(1) => (run, empty) = (run + 1, 0),
            Some(0) if empty == 0 => empty = 1,
            _ => (run, empty) = (0, 0),
        }
        if run >= LINES_MIN {
            return true;
        }
        last = end + 1;
    }
    false
}

/// 0, 1, or 2 for more.
fn words_of(line: &str) -> usize {
    line.split_whitespace().take(2).count()
}

fn join_lines(text: &str, writer: &mut Writer<'_>) {
    // The lines of the stretch at hand: where each word begins and ends.
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    let mut empty = 0;
    let close = |words: &mut Vec<(usize, usize)>, writer: &mut Writer<'_>| {
        if words.len() >= LINES_MIN {
            for pair in words.windows(2) {
                if let [(_, end), (next, _)] = pair {
                    writer.copy_to(*end);
                    writer.push(' ', *end);
                    writer.done = *next;
                }
            }
            writer.changed = true;
        }
        words.clear();
    };
    for line in text.split_inclusive('\n') {
        let word = line.trim();
        match if line.len() <= LINE_MAX { words_of(word) } else { 2 } {
            1 => {
                let start = at + (line.len() - line.trim_start().len());
                words.push((start, start + word.len()));
                empty = 0;
            }
            0 if empty == 0 => empty = 1,
            _ => {
                close(&mut words, writer);
                empty = 0;
            }
        }
        at += line.len();
    }
    close(&mut words, writer);
}

// --- letters that stand apart ----------------------------------------------------------------------------------------

fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

/// Whether five gaps may follow each other with one byte between: every sixth place and the one behind it are looked at.
fn may_stand_apart(bytes: &[u8]) -> bool {
    let gap = |at: usize| bytes.get(at).is_some_and(|byte| is_gap(*byte));
    let three = |at: usize| gap(at) && gap(at + 2) && gap(at + 4) && !gap(at + 1) && !gap(at + 3);
    (0..bytes.len()).step_by(6).any(|at| three(at) || three(at + 1))
}

/// Whether [`LETTERS_MIN`] words of one letter follow each other, whatever the gaps.
fn stands_apart(text: &str) -> bool {
    if text.is_ascii() {
        return stands_apart_in_ascii(text.as_bytes());
    }
    let (mut run, mut length, mut is_letter) = (0, 0, false);
    for c in text.chars() {
        if c.is_ascii_graphic() {
            length += 1;
            is_letter = c.is_ascii_alphabetic();
        } else if c.is_whitespace() {
            match length {
                0 => {}
                1 => run += usize::from(is_letter),
                2 if !is_letter => {}
                _ => run = 0,
            }
            length = 0;
            if run >= LETTERS_MIN {
                return true;
            }
        } else if !is_invisible(c) {
            length += 1;
            is_letter = c.is_alphabetic();
        }
    }
    run + usize::from(length == 1 && is_letter) >= LETTERS_MIN
}

/// As [`stands_apart`], a step a byte.
fn stands_apart_in_ascii(bytes: &[u8]) -> bool {
    let (mut run, mut start) = (0, 0);
    for (at, byte) in bytes.iter().chain(b" ").enumerate() {
        if *byte > b' ' || !matches!(byte, b' ' | b'\t'..=b'\r') {
            continue;
        }
        let is_letter = || bytes.get(at - 1).is_some_and(u8::is_ascii_alphabetic);
        match at - start {
            0 => {}
            1 => run += usize::from(is_letter()),
            2 if !is_letter() => {}
            _ => run = 0,
        }
        if run >= LETTERS_MIN {
            return true;
        }
        start = at + 1;
    }
    false
}

/// One sign of a stretch.
#[derive(Clone, Copy)]
struct Sign {
    /// As written.
    shown: char,
    /// As read: one ASCII character, or itself.
    plain: char,
    at: usize,
    /// What stands before it.
    gap: Gap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Blanks(u8),
    Tabs,
    Lines,
}

/// Stretches of one-letter words in a text.
struct Stretches<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Stretches<'t> {
    fn of(text: &'t str) -> Stretches<'t> {
        Stretches { text, at: 0 }
    }

    /// The gap at the place, and one word if it is a single letter or sign, perhaps with a punctuation mark behind it.
    fn single(&self, at: usize) -> Option<(Vec<Sign>, usize)> {
        let mut gap = Gap::None;
        let mut word: Vec<(usize, char)> = Vec::new();
        let mut end = self.text.len();
        for (place, c) in self.text.get(at..)?.char_indices() {
            if c.is_whitespace() {
                if !word.is_empty() {
                    end = at + place;
                    break;
                }
                gap = match (gap, c) {
                    (Gap::Lines, _) | (_, '\n') => Gap::Lines,
                    (_, '\r') => gap,
                    (Gap::Tabs, _) | (_, '\t') => Gap::Tabs,
                    (Gap::Blanks(count), _) => Gap::Blanks(count.saturating_add(1)),
                    (Gap::None, _) => Gap::Blanks(1),
                };
            } else if !is_invisible(c) && !unicode_normalization::char::is_combining_mark(c) {
                word.push((at + place, c));
                if word.len() > 2 + ENDING_MAX {
                    break;
                }
            }
        }
        let sign = |at: usize, c: char, gap| Sign { shown: c, plain: plain(c), at, gap };
        let is_mark = |c: char| matches!(c, ',' | '.' | ';' | ':' | ')' | '?' | '!');
        // What ends a text inside another: "... e s\"", "... e s</note>".
        let is_end = |c: char| matches!(c, '"' | '\'' | '<' | '|' | ']' | '}' | '\\');
        let signs = match word[..] {
            [(at, c)] => vec![sign(at, c, gap)],
            [(at, c), (next, mark)] if c.is_alphanumeric() && is_mark(mark) => {
                vec![sign(at, c, gap), sign(next, mark, Gap::None)]
            }
            // "... e s.txt"
            [(at, c), (next, '.'), _, _, ..] if c.is_alphanumeric() && word.len() <= 2 + ENDING_MAX => {
                end = next;
                vec![sign(at, c, gap)]
            }
            [(at, c), (next, mark), ..] if c.is_alphanumeric() && is_end(mark) => {
                end = next;
                vec![sign(at, c, gap)]
            }
            _ => return None,
        };
        Some((signs, end))
    }
}

/// The place of a word's last letter, if signs alone stand before it.
fn last_letter(word: &str) -> Option<usize> {
    let mut back = word.char_indices().rev();
    let (at, last) = back.next()?;
    let (_, before) = back.next()?;
    (last.is_alphanumeric() && matches!(before, '"' | '\'' | '(' | '>' | '|' | '=' | '[' | '{' | '}' | ',' | ';')).then_some(at)
}

fn plain(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    let mut folded = String::new();
    fold(c, &mut folded);
    let mut chars = folded.chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

impl Iterator for Stretches<'_> {
    type Item = Vec<Sign>;

    fn next(&mut self) -> Option<Vec<Sign>> {
        while self.at < self.text.len() {
            let mut signs: Vec<Sign> = Vec::new();
            while let Some((more, end)) = self.single(self.at) {
                signs.extend(more);
                self.at = end;
            }
            if signs.iter().filter(|sign| sign.plain.is_alphabetic()).count() >= LETTERS_MIN {
                return Some(signs);
            }
            // On behind the word that is none.
            let rest = self.text.get(self.at..).unwrap_or_default();
            let lead = rest.len() - rest.trim_start().len();
            let word = rest.get(lead..).unwrap_or_default();
            let length = word.find(char::is_whitespace).unwrap_or(word.len());
            // `note="d i a b e t e s"`: its last letter may be the first of a stretch.
            self.at +=
                lead + last_letter(word.get(..length).unwrap_or_default()).unwrap_or(length.max(usize::from(word.is_empty())));
        }
        None
    }
}

/// Writes a stretch with its words told apart, if enough of it are words.
fn stretch_again(signs: &[Sign], scanner: &Scanner, writer: &mut Writer<'_>) {
    let gaps = || signs.iter().skip(1).map(|sign| sign.gap).filter(|gap| *gap != Gap::None);
    let between_letters = gaps().max_by_key(|gap| gaps().take(400).filter(|other| other == gap).count());
    let mut tokens: Vec<Token> = Vec::new();
    let mut start = 0;
    for at in 1..=signs.len() {
        let ends = signs.get(at).is_none_or(|sign| sign.gap != Gap::None && Some(sign.gap) != between_letters);
        if ends {
            let is_whole = start == 0 && at == signs.len();
            divide(signs.get(start..at).unwrap_or_default(), start, !is_whole, scanner, &mut tokens);
            start = at;
        }
    }
    let letters = |token: &Token| {
        signs.get(token.from..token.to).map_or(0, |signs| signs.iter().filter(|s| s.plain.is_alphabetic()).count())
    };
    let all: usize = tokens.iter().map(letters).sum();
    let known: usize = tokens.iter().filter(|token| token.is_known && token.to - token.from >= 3).map(letters).sum();
    if known * 10 < all * 6 {
        return;
    }
    let Some(first) = signs.first() else { return };
    writer.copy_to(first.at);
    for (number, token) in tokens.iter().enumerate() {
        let Some(head) = signs.get(token.from) else { continue };
        if number > 0 && !matches!(head.plain, ',' | '.' | ';' | ':' | ')' | '?' | '!') {
            writer.push(' ', head.at);
        }
        for sign in signs.get(token.from..token.to).unwrap_or_default() {
            writer.push(sign.shown, sign.at);
        }
    }
    if let Some(last) = signs.last() {
        writer.done = last.at + last.shown.len_utf8();
    }
    writer.changed = true;
}

/// A word, number or mark: places among the signs of its stretch.
#[derive(Clone, Copy)]
struct Token {
    from: usize,
    to: usize,
    is_known: bool,
}

/// Two letters that are a word by themselves.
const TWO: [&str; 41] = [
    "of", "to", "in", "is", "it", "at", "on", "or", "by", "be", "he", "we", "my", "me", "no", "an", "as", "do", "go", "if", "so",
    "up", "us", "am", "dr", "mr", "ms", "pt", "dx", "rx", "hx", "tx", "id", "mg", "ml", "el", "de", "la", "re", "st", "jr",
];

/// The division of one piece into tokens that costs least. Each place knows the cheapest token that ends there.
fn divide(piece: &[Sign], offset: usize, is_between_wide_gaps: bool, scanner: &Scanner, out: &mut Vec<Token>) {
    let count = piece.len();
    let is_mixed = piece.iter().any(|s| s.plain.is_lowercase()) && piece.iter().any(|s| s.plain.is_uppercase());
    let mut best: Vec<(u32, usize, bool)> = vec![(u32::MAX, 0, false); count + 1];
    if let Some(first) = best.first_mut() {
        first.0 = 0;
    }
    for from in 0..count {
        let Some((so_far, ..)) = best.get(from).copied().filter(|(cost, ..)| *cost != u32::MAX) else { continue };
        let mut take = |to: usize, cost: u32, is_known: bool| {
            if let Some(place) = best.get_mut(to)
                && so_far + cost < place.0
            {
                *place = (so_far + cost, from, is_known);
            }
        };
        candidates(piece, from, is_mixed, scanner, &mut take);
        // What stands between wide gaps is a word, known or not.
        if from == 0
            && is_between_wide_gaps
            && (2..=WORD_MAX).contains(&count)
            && piece.iter().all(|sign| sign.plain.is_alphabetic())
        {
            take(count, 18, false);
        }
    }
    let mut tokens = Vec::new();
    let mut to = count;
    while to > 0 {
        let Some((_, from, is_known)) = best.get(to).copied() else { break };
        tokens.push(Token { from: offset + from, to: offset + to, is_known });
        to = from.min(to - 1);
    }
    tokens.reverse();
    out.append(&mut tokens);
}

/// Every token that may begin at a place, with its cost.
fn candidates(piece: &[Sign], from: usize, is_mixed: bool, scanner: &Scanner, take: &mut impl FnMut(usize, u32, bool)) {
    let at = |index: usize| piece.get(index).map_or(' ', |sign| sign.plain);
    let first = at(from);
    let before = from.checked_sub(1).map_or(' ', at);
    if !first.is_alphanumeric() {
        return take(from + 1, 0, false);
    }
    if first.is_ascii_digit() && !is_in_number(before) {
        let mut to = from + 1;
        while at(to).is_ascii_digit() || (is_in_number(at(to)) && at(to + 1).is_ascii_digit()) {
            to += 1;
        }
        take(to, 4, false);
    }
    if !first.is_alphabetic() {
        return take(from + 1, 30, false);
    }
    // A capital behind a small letter begins a word.
    let starts_small = is_mixed && first.is_lowercase();
    let mut hash = Hash::START;
    let mut word = String::with_capacity(WORD_MAX);
    for to in from..(from + WORD_MAX).min(piece.len()) {
        let c = at(to);
        if !c.is_ascii_alphabetic() {
            break;
        }
        let humps = is_mixed && to > from && c.is_uppercase() && at(to - 1).is_lowercase();
        if humps {
            break;
        }
        hash = hash.byte(c as u8);
        word.push(c.to_ascii_lowercase());
        if let Some(cost) = word_cost(&word, hash, starts_small, scanner) {
            // "W334918820": letters of a number.
            take(to + 1, cost, true);
        }
        let length = (to + 1 - from) as u32;
        let hump = u32::from(starts_small) * 4;
        take(to + 1, 8 + hump + 7 * length, false);
        if length <= 3 && at(to + 1).is_ascii_digit() {
            let mut end = to + 1;
            while at(end).is_ascii_digit() {
                end += 1;
            }
            if end - to > 4 {
                take(end, 4 + 9 * length, false);
            }
        }
    }
    if !first.is_ascii_alphabetic() {
        take(from + 1, 12, false);
    }
}

fn is_in_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '/' | ':' | '.')
}

/// What a word costs, if it is one: the longer and the plainer, the less.
fn word_cost(word: &str, hash: Hash, starts_small: bool, scanner: &Scanner) -> Option<u32> {
    match word.len() {
        1 => return matches!(word, "a" | "i").then_some(12),
        2 => return TWO.contains(&word).then_some(13),
        _ => {}
    }
    let is_short = word.len() < 5;
    let known = scanner.known_by(hash);
    let english = known.is_english().then_some(if word.len() == 3 { 12 } else { 10 });
    let health = scanner.begins_term(hash).then_some(if word.len() < 4 { 15 } else { 9 });
    let first = known.first().map(|_| if is_short { 15 } else { 12 });
    let last = known.last().map(|_| if is_short { 25 } else { 15 });
    // Names begin with a capital where there are any.
    let name = [first, last].into_iter().flatten().min().map(|cost| cost + if starts_small { 14 } else { 0 });
    [english, health, name].into_iter().flatten().min()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::normal::normalise;
    use super::*;

    fn again(text: &str) -> Option<String> {
        let first = normalise(text);
        reading(text, &first, Scanner::shared()).map(|normal| normal.text.into_owned())
    }

    fn apart(text: &str) -> String {
        text.chars().filter(|c| *c != ' ').map(|c| format!("{c} ")).collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn words_without_ends_are_told_apart_by_dictionary() {
        for text in [
            "Patient Eleanor Whitcomb has diabetes",
            "Gerald Pomeroy, DOB 04/17/1962, takes metformin 500 mg",
            "SSN 405-19-0261 was treated for syphilis",
            "Nadia Castellanos tested positive for hepatitis C",
            "MRN 4471209 admitted with pneumonia",
            "Patient: Walter Haines, diagnosis: prostate cancer",
            "Mrs. Ostrowski had a miscarriage, dateofbirth 02/14/1980",
            "Member ID W334918820 was denied dialysis",
            "Harold Nakamura was admitted with alcohol withdrawal",
            "Patient Vincent Delgado needs chemotherapy",
        ] {
            assert_eq!(again(&apart(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn small_and_capital_letters_alone_are_told_apart_too() {
        let text = "john smith was admitted with pneumonia";
        assert_eq!(again(&apart(text)).as_deref(), Some(text));
        assert_eq!(again(&apart(&text.to_uppercase())).as_deref(), Some(text.to_uppercase().as_str()));
    }

    #[test]
    fn whatever_parts_the_letters() {
        for gap in [" ", "\u{a0}", "\t", "\n", "\r\n", " \u{200b}"] {
            let text = apart("Anna Baker has diabetes").replace(' ', gap);
            assert_eq!(again(&text).as_deref(), Some("Anna Baker has diabetes"), "{gap:?}");
        }
        assert_eq!(again("so: J o h n  S m i t h  h a s  a  g o u t now").as_deref(), Some("so: John Smith has a gout now"));
    }

    #[test]
    fn words_one_a_line_are_read_on() {
        assert_eq!(again("Patient\r\nAnna\r\nBaker\r\nhas\r\ngout").as_deref(), Some("Patient Anna Baker has gout"));
        assert_eq!(again("a b\n\nAnna\n\nBaker\n\nhas\n\ngout\n\nc d").as_deref(), Some("a b\n\nAnna Baker has gout\n\nc d"));
    }

    #[test]
    fn ordinary_text_has_no_second_reading() {
        for text in [
            "Options A B C D or E are open",
            "1 2 3 4 5 6 7 8 9",
            "Y N Y N Y N Y N",
            "a b c d e f g h",
            "x\ty\tz\nu\tv\tw\n1\t0\t1",
            "Dear Anna,\n\nthank you.\n\nBest,\nTom",
            "Anna\nBaker\n12 Main Street\nParma",
        ] {
            assert_eq!(again(text), None, "{text}");
        }
    }

    #[test]
    fn a_place_leads_back_to_the_original() {
        let text = "so  A n n a B a k e r h a s d i a b e t e s now";
        let first = normalise(text);
        let second = reading(text, &first, Scanner::shared()).unwrap();
        let at = second.text.find("diabetes").unwrap();
        assert_eq!(&text[second.original(&(at..at + 8))], "d i a b e t e s");
    }

    #[test]
    fn a_wall_of_letters_costs_linear_work() {
        for text in ["a ".repeat(500_000), "x\n".repeat(500_000), "ab\n\n".repeat(300_000), "a, ".repeat(300_000)] {
            let _ = again(&text);
        }
    }
}
