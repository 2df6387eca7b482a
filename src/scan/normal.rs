use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

/// A text as its reader sees it: compatibility forms folded (NFKC), look-alike letters made Latin, marks and invisible
/// characters gone, dashes and quotes plain, runs of blanks one blank. Spans map back to the original.
pub struct Normal<'a> {
    pub text: Cow<'a, str>,
    /// (place in `text`, place in the original), rising, one entry wherever the distance changes; between entries both run alike.
    pub(super) shifts: Vec<(usize, usize)>,
    pub(super) original: &'a str,
}

/// Normalises `original`. Linear, and free of copies when nothing has to change.
#[must_use]
pub fn normalise(original: &str) -> Normal<'_> {
    if is_normal(original) {
        return Normal { text: Cow::Borrowed(original), shifts: Vec::new(), original };
    }
    let mut text = String::with_capacity(original.len());
    let mut shifts: Vec<(usize, usize)> = Vec::new();
    let mut blank = Blank::default();
    let bytes = original.as_bytes();
    let mut in_spaced = false;
    let mut next = 0;
    while let Some(c) = original.get(next..).and_then(|rest| rest.chars().next()) {
        let at = next;
        if starts_word(&blank, &text)
            && let Some((letters, end)) = spaced(original, at, if in_spaced { 1 } else { SPACED_MIN })
        {
            blank.flush(&mut text, &mut shifts);
            for (letter, place) in letters {
                let from = text.len();
                fold(letter, &mut text);
                if text.len() > from {
                    note(&mut shifts, from, place);
                }
            }
            in_spaced = true;
            next = end;
            continue;
        }
        if c.is_ascii_graphic() {
            in_spaced = false;
            // A run of plain characters goes over as it is.
            next = plain_end(bytes, at);
            blank.flush(&mut text, &mut shifts);
            note(&mut shifts, text.len(), at);
            text.push_str(original.get(at..next).unwrap_or_default());
            continue;
        }
        next = at + c.len_utf8();
        if is_invisible(c) {
            continue;
        }
        if c.is_whitespace() || c.is_control() {
            blank.take(c, at);
            continue;
        }
        blank.flush(&mut text, &mut shifts);
        let from = text.len();
        fold(c, &mut text);
        if text.len() > from {
            note(&mut shifts, from, at);
        }
    }
    Normal { text: Cow::Owned(text), shifts, original }
}

/// Where a run of plain words with single blanks ends that goes over as it is. It ends before a lone letter, which may begin
/// a word with air in it.
fn plain_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        at += rest.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len());
        let goes_on = bytes.get(at) == Some(&b' ')
            && bytes.get(at + 1).is_some_and(u8::is_ascii_graphic)
            && bytes.get(at + 2).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b',' | b';' | b')'));
        if !goes_on {
            return at;
        }
        at += 1;
    }
}

/// From this many letters on, "d i a b e t e s" is a word with air in it and no row of initials.
const SPACED_MIN: usize = 4;

/// A number with air in it has a dash or slash and at least so many places.
const SPACED_NUMBER_MIN: usize = 8;

/// Most letters taken at once; what follows is looked at anew, so that no text costs its square.
const SPACED_MAX: usize = 40;

/// As above with signs between: "d.i.a.b.e.t.e.s"; abbreviations such as "d.o.b." stay.
const DOTTED_MIN: usize = 5;

fn starts_word(blank: &Blank, text: &str) -> bool {
    blank.any || text.is_empty()
}

/// A word whose letters stand apart: one character, one blank (or always one and the same sign), one character and so on. Its
/// characters with their places, and where it ends.
fn spaced(original: &str, at: usize, least: usize) -> Option<(Vec<(char, usize)>, usize)> {
    let is_mark = |c: char| c.is_alphanumeric() || matches!(c, '-' | '/' | '@' | ':');
    let mut chars = original.get(at..)?.char_indices().filter(|(_, c)| !is_invisible(*c)).peekable();
    let (_, first) = chars.next()?;
    let (_, gap) = *chars.peek()?;
    let is_blank = gap.is_whitespace() && !matches!(gap, '\n' | '\r' | '\t');
    if !is_mark(first) || !(is_blank || matches!(gap, '.' | '-' | '_' | '*')) {
        return None;
    }
    let mut out = vec![(first, at)];
    let mut end = at + first.len_utf8();
    let is_gap = |c: char| if is_blank { c.is_whitespace() && !matches!(c, '\n' | '\r' | '\t') } else { c == gap };
    while out.len() < SPACED_MAX && chars.next_if(|(_, c)| is_gap(*c)).is_some() {
        let Some((place, c)) = chars.next_if(|(_, c)| is_mark(*c)) else { break };
        // Not the first letter of an ordinary word.
        if chars.peek().is_some_and(|(_, next)| next.is_alphanumeric()) {
            break;
        }
        out.push((c, at + place));
        end = at + place + c.len_utf8();
    }
    let letters = out.iter().filter(|(c, _)| c.is_alphabetic()).count();
    // "M R N  4 4 7 1": more of its kind follows behind a wider gap.
    let goes_on = || {
        let rest: Vec<char> = original.get(end..).unwrap_or_default().chars().filter(|c| !is_invisible(*c)).take(5).collect();
        matches!(rest[..], [a, b, c, d, e] if is_gap(a) && is_gap(b) && is_mark(c) && is_gap(d) && is_mark(e))
    };
    let is_word = if is_blank {
        let is_number = letters == 0 && out.len() >= SPACED_NUMBER_MIN && out.iter().any(|(c, _)| !c.is_alphanumeric());
        out.len() > least && least < SPACED_MIN
            || (letters >= least && letters * 2 > out.len())
            || is_number
            || (out.len() >= 2 && goes_on())
    } else {
        letters >= DOTTED_MIN
    };
    (is_word && out.len() > 1).then_some((out, end))
}

impl Normal<'_> {
    /// The span in the original that a span of the normalised text came from.
    #[must_use]
    pub fn original(&self, span: &Range<usize>) -> Range<usize> {
        if self.shifts.is_empty() {
            return span.clone();
        }
        let mut start = self.place(span.start);
        while !self.original.is_char_boundary(start) {
            start -= 1;
        }
        // The end is where the last character inside began, plus its length.
        let mut end = if span.end > span.start { self.place(span.end - 1) + 1 } else { start };
        while end < self.original.len() && !self.original.is_char_boundary(end) {
            end += 1;
        }
        start..end.min(self.original.len()).max(start)
    }

    fn place(&self, at: usize) -> usize {
        let index = self.shifts.partition_point(|(normal, _)| *normal <= at);
        match index.checked_sub(1).and_then(|i| self.shifts.get(i)) {
            Some((normal, original)) => {
                let limit = self.shifts.get(index).map_or(self.original.len(), |(_, next)| *next);
                (original + (at - normal)).min(limit.saturating_sub(1).max(*original))
            }
            None => at,
        }
    }
}

/// Remembers a place if it does not follow from the one before.
pub(super) fn note(shifts: &mut Vec<(usize, usize)>, normal: usize, original: usize) {
    let follows = match shifts.last() {
        Some((n, o)) => original.checked_sub(*o) == normal.checked_sub(*n),
        None => normal == original,
    };
    if !follows || shifts.is_empty() {
        shifts.push((normal, original));
    }
}

/// A run of white space: tabs are kept one for one (they separate cells), else line ends (one or two), else one blank.
#[derive(Default)]
struct Blank {
    tabs: usize,
    lines: usize,
    any: bool,
    at: usize,
}

impl Blank {
    fn take(&mut self, c: char, at: usize) {
        if !self.any {
            self.any = true;
            self.at = at;
        }
        match c {
            '\t' => self.tabs += 1,
            '\n' | '\u{2028}' | '\u{2029}' | '\u{0c}' | '\u{0b}' => self.lines += 1,
            _ => {}
        }
    }

    fn flush(&mut self, text: &mut String, shifts: &mut Vec<(usize, usize)>) {
        if !self.any {
            return;
        }
        note(shifts, text.len(), self.at);
        if self.lines > 0 {
            text.push_str(if self.lines > 1 { "\n\n" } else { "\n" });
            for _ in 0..self.tabs.min(1) {
                text.push('\t');
            }
        } else if self.tabs > 0 {
            for _ in 0..self.tabs.min(64) {
                text.push('\t');
            }
        } else if !text.is_empty() {
            text.push(' ');
        }
        *self = Blank::default();
    }
}

/// ASCII, and no white space that folding would change.
fn is_normal(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut before = b'\n';
    let mut lines = 0u8;
    // Letters that stand alone, one behind the other, with blanks or signs between.
    let mut alone = 0;
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let run = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let Some(byte) = rest.get(run) else { return true };
        if run > 0 {
            (before, lines) = (b'a', 0);
        }
        if matches!(byte, b' ' | b'.' | b'-' | b'_' | b'*') {
            alone = if run == 1 { alone + 1 } else { 0 };
            if alone >= SPACED_MIN - 1 {
                return false;
            }
        }
        match byte {
            b' ' if matches!(before, b' ' | b'\n' | b'\t') => return false,
            b'\t' if before == b' ' => return false,
            b'\n' if matches!(before, b' ' | b'\t') => return false,
            b'\n' => {
                lines += 1;
                if lines > 2 {
                    return false;
                }
            }
            b' ' | b'\t' => {}
            0x21..=0x7e => lines = 0,
            _ => return false,
        }
        before = *byte;
        at += run + 1;
    }
}

/// Characters that take no room on the screen and can hide inside words.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

pub(super) fn fold(c: char, out: &mut String) {
    if let Some(plain) = plain(c) {
        out.push_str(plain);
        return;
    }
    if let Some(latin) = look_alike(c) {
        out.push(latin);
        return;
    }
    for part in std::iter::once(c).nfkd() {
        if unicode_normalization::char::is_combining_mark(part) || is_invisible(part) {
            continue;
        }
        match plain(part) {
            Some(text) => out.push_str(text),
            None => out.push(look_alike(part).unwrap_or(part)),
        }
    }
}

/// Punctuation with many shapes, and letters that NFKD leaves alone.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' | '\u{2043}' => "-",
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' | '\u{2032}' | '\u{ff07}' | '\u{b4}' | '\u{2bc}' => "'",
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{2033}' | '\u{ff02}' => "\"",
        '\u{2022}' | '\u{25cf}' | '\u{25aa}' | '\u{b7}' => "*",
        'ß' => "ss",
        'æ' => "ae",
        'Æ' => "Ae",
        'œ' => "oe",
        'Œ' => "Oe",
        'ø' => "o",
        'Ø' => "O",
        'ł' => "l",
        'Ł' => "L",
        'đ' => "d",
        'Đ' => "D",
        'þ' => "th",
        'ð' => "d",
        _ => return None,
    })
}

/// Letters of other scripts that look like Latin ones (a part of Unicode TR 39's confusables).
fn look_alike(c: char) -> Option<char> {
    Some(match c {
        'а' | 'α' | 'ɑ' => 'a',
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'в' => 'b',
        'с' | 'ϲ' => 'c',
        'С' | 'Ϲ' => 'C',
        'ԁ' => 'd',
        'е' | 'ε' | 'ҽ' => 'e',
        'Е' | 'Ε' => 'E',
        'ɡ' => 'g',
        'һ' | 'հ' => 'h',
        'Н' | 'Η' => 'H',
        'н' => 'h',
        'і' | 'ι' | 'ı' | 'ӏ' => 'i',
        'І' | 'Ι' | 'Ӏ' => 'I',
        'ј' | 'ϳ' => 'j',
        'Ј' => 'J',
        'к' | 'κ' => 'k',
        'К' | 'Κ' => 'K',
        'ⅼ' | 'ℓ' => 'l',
        'М' | 'Μ' => 'M',
        'м' => 'm',
        'Ν' => 'N',
        'ո' | 'η' => 'n',
        'о' | 'ο' | 'օ' => 'o',
        'О' | 'Ο' | 'Օ' => 'O',
        'р' | 'ρ' => 'p',
        'Р' | 'Ρ' => 'P',
        'ԛ' => 'q',
        'ѕ' => 's',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'ԝ' => 'w',
        'х' | 'χ' => 'x',
        'Х' | 'Χ' => 'X',
        'у' | 'ү' => 'y',
        'У' | 'Υ' => 'Y',
        'Ζ' => 'Z',
        // Small capitals.
        'ᴀ' => 'a',
        'ʙ' => 'b',
        'ᴄ' => 'c',
        'ᴅ' => 'd',
        'ᴇ' => 'e',
        'ꜰ' => 'f',
        'ɢ' => 'g',
        'ʜ' => 'h',
        'ɪ' => 'i',
        'ᴊ' => 'j',
        'ᴋ' => 'k',
        'ʟ' => 'l',
        'ᴍ' => 'm',
        'ɴ' => 'n',
        'ᴏ' => 'o',
        'ᴘ' => 'p',
        'ʀ' => 'r',
        'ꜱ' => 's',
        'ᴛ' => 't',
        'ᴜ' => 'u',
        'ᴠ' => 'v',
        'ᴡ' => 'w',
        'ʏ' => 'y',
        'ᴢ' => 'z',
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_disguised_word_reads_as_it_looks() {
        for (written, read) in [
            ("dia\u{200b}betes", "diabetes"),
            ("dia\u{ad}betes", "diabetes"),
            ("canc\u{435}r", "cancer"),
            ("K\u{fc}hnert", "Kuhnert"),
            ("\u{ff21}\u{ff29}\u{ff24}\u{ff33}", "AIDS"),
            ("Eugene\u{a0} Jackson", "Eugene Jackson"),
            ("123\u{2011}45\u{2013}6789", "123-45-6789"),
            ("a\r\nb\r\n\r\n\r\nc", "a\nb\n\nc"),
            ("a\t\tb", "a\t\tb"),
            ("  lead", "lead"),
            ("d i a b e t e s", "diabetes"),
            ("has  d i a b e t e s  m e  now", "has diabetes me now"),
            ("1 2 3 4 5 6 7 8 9 0 1", "1 2 3 4 5 6 7 8 9 0 1"),
            ("d.i.a.b.e.t.e.s", "diabetes"),
            ("D. O. B. 1 2 3", "D. O. B. 1 2 3"),
            ("A B C", "A B C"),
            ("S S N  4 0 5 - 1 9 - 0 2 6 1", "SSN 405-19-0261"),
            ("d\u{2009}i\u{2009}a\u{2009}b\u{2009}e\u{2009}t\u{2009}e\u{2009}s", "diabetes"),
        ] {
            assert_eq!(normalise(written).text, read, "{written:?}");
        }
    }

    #[test]
    fn spans_lead_back_to_the_original() {
        for original in ["x \u{200b}dia\u{200b}betes y", "K\u{fc}hnert, A.\r\n\r\n  diabetes", "\u{ff21} diabetes", "diabetes"] {
            let normal = normalise(original);
            let start = normal.text.find("diabetes").unwrap();
            let back = normal.original(&(start..start + 8));
            let text: String = original[back].chars().filter(|c| *c != '\u{200b}').collect();
            assert_eq!(text, "diabetes", "{original:?}");
        }
    }

    #[test]
    fn a_span_that_ends_in_a_folded_letter_covers_the_whole_letter() {
        let original = "BAD\u{cd}A, NO\u{c9} x";
        let normal = normalise(original);
        assert_eq!(&original[normal.original(&(0..10))], "BAD\u{cd}A, NO\u{c9}");
        // A letter read as two, cut in its middle.
        let original = "stra\u{df}e \u{200b}x";
        let normal = normalise(original);
        assert_eq!(&original[normal.original(&(5..7))], "\u{df}e");
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(normalise("plain text\nof two lines").text, Cow::Borrowed(_)));
    }
}
