use std::fmt;

use zeroize::Zeroizing;

/// Digits of a code: short enough to be read over the telephone, 29.9 bits, which holds against guessing
/// because ten wrong tries void it.
const DIGITS: usize = 9;

/// Kind under which the vault makes the keyed hash of [`Code::digits`], so that outgoing mail can be searched for it.
pub const SPOKEN_HASH: &str = "spoken code";

/// Most sequences that [`spoken_forms`] names for one text. A code mailed by mistake stands in groups of its own,
/// and those come first; the windows of long rows of digits fill what is left.
pub const SPOKEN_FORMS_MAX: usize = 200_000;

/// Marks that people and mail programs put between digits of one number.
const SEPARATORS_MAX: usize = 8;

/// The secret that opens one parcel: nine digits, told by telephone or on paper, never mailed to the recipient.
/// Wiped on drop; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<[u8; DIGITS]>);

/// Why a text is no code. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has nine digits")]
pub struct CodeError;

impl Code {
    /// A code from eight random bytes. 2^64 is no multiple of 10^9: the favoured codes are favoured by less than one
    /// part in 10^10, far below what guessing could use.
    #[must_use]
    pub fn from_random(random: [u8; 8]) -> Code {
        let mut rest = u64::from_be_bytes(random) % 1_000_000_000;
        let mut digits = Zeroizing::new([b'0'; DIGITS]);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Code(digits)
    }

    /// Parses what a person types: nine digits of any script's common keyboards, with spaces, dashes or dots anywhere.
    ///
    /// # Errors
    /// [`CodeError`] for fewer or more digits and any other character.
    pub fn parse(text: &str) -> Result<Code, CodeError> {
        let mut digits = Zeroizing::new([b'0'; DIGITS]);
        let mut count = 0;
        for c in text.chars() {
            match digit_of(c) {
                Some(digit) => {
                    *digits.get_mut(count).ok_or(CodeError)? = digit;
                    count += 1;
                }
                None if is_separator(c) => {}
                None => return Err(CodeError),
            }
        }
        if count == DIGITS { Ok(Code(digits)) } else { Err(CodeError) }
    }

    /// The nine digits without spaces: what the key is derived from, and what [`SPOKEN_HASH`] is made over.
    #[must_use]
    pub fn digits(&self) -> &str {
        // Always ASCII digits, by both constructors.
        std::str::from_utf8(&self.0[..]).unwrap_or_default()
    }
}

/// `482 903 157`: the form in which it is written on a slip and read out.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && index % 3 == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// The ASCII digit that a character stands for: keyboards for Arabic, Persian, Hindi and Japanese type their own.
fn digit_of(c: char) -> Option<u8> {
    let zero = match c {
        '0'..='9' => '0',
        '\u{0660}'..='\u{0669}' => '\u{0660}',
        '\u{06f0}'..='\u{06f9}' => '\u{06f0}',
        '\u{0966}'..='\u{096f}' => '\u{0966}',
        '\u{ff10}'..='\u{ff19}' => '\u{ff10}',
        _ => return None,
    };
    u8::try_from(c as u32 - zero as u32).ok().map(|value| b'0' + value)
}

/// What may stand between the digits of one number.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '-' | '.' | ',' | '/' | '_' | '*' | '\'' | '·' | '(' | ')' | '>' | '|' | ':' | ';' | '=')
        // Hyphens and dashes; zero-width space, joiners and marks; word joiner; minus; byte order mark; soft hyphen.
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{2212}' | '\u{feff}' | '\u{ad}')
}

/// Every sequence of nine digits in a text that could be a code told in writing: spaces, dashes and the like between
/// digits are skipped, and of longer rows of digits every window of nine counts. At most [`SPOKEN_FORMS_MAX`], rows of
/// exactly nine first.
#[must_use]
pub fn spoken_forms(text: &str) -> Vec<Code> {
    spoken_in(std::iter::once(text))
}

/// As [`spoken_forms`] for all texts of one message: rows of exactly nine of all of them come before any window, so that
/// a table of numbers hides no code that stands behind it.
#[must_use]
pub fn spoken_in<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<Code> {
    let mut seen = std::collections::HashSet::new();
    let mut out = Vec::new();
    let rows: Vec<Zeroizing<Vec<u8>>> = texts.flat_map(rows_of_digits).collect();
    for is_exact in [true, false] {
        for row in rows.iter().filter(|row| (row.len() == DIGITS) == is_exact) {
            for window in row.windows(DIGITS) {
                if out.len() == SPOKEN_FORMS_MAX {
                    return out;
                }
                if let Ok(digits) = <[u8; DIGITS]>::try_from(window)
                    && seen.insert(digits)
                {
                    out.push(Code(Zeroizing::new(digits)));
                }
            }
        }
    }
    out
}

/// Digits that follow one another with at most a few separators between them.
fn rows_of_digits(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut rows = Vec::new();
    let mut row = Zeroizing::new(Vec::new());
    let mut gap = 0;
    let mut end = |row: &mut Zeroizing<Vec<u8>>| {
        if row.len() >= DIGITS {
            rows.push(std::mem::replace(row, Zeroizing::new(Vec::new())));
        } else {
            row.clear();
        }
    };
    // Most of a text is far from any digit: outside of a row only what could begin one is looked at.
    let may_begin = |byte: u8| byte.is_ascii_digit() || !byte.is_ascii();
    let mut rest = text;
    while let Some(begin) = rest.bytes().position(may_begin) {
        let mut left = rest.get(begin..).unwrap_or_default().chars();
        for c in left.by_ref() {
            if let Some(digit) = digit_of(c) {
                row.push(digit);
                gap = 0;
            } else {
                gap += 1;
                if row.is_empty() || !is_separator(c) || gap > SEPARATORS_MAX {
                    break;
                }
            }
        }
        end(&mut row);
        rest = left.as_str();
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_code_prints_in_groups_and_parses_back_however_it_is_typed() {
        let code = Code::from_random(482_903_157u64.to_be_bytes());
        assert_eq!(code.to_string(), "482 903 157");
        assert_eq!(code.digits(), "482903157");
        for typed in [
            "482903157",
            "482 903 157",
            " 482-903-157 ",
            "482\u{a0}903\u{a0}157",
            "482.903.157",
            "４８２９０３１５７",
            "٤٨٢٩٠٣١٥٧",
        ] {
            assert_eq!(Code::parse(typed).unwrap(), code, "{typed}");
        }
        for typed in ["", "48290315", "4829031570", "482903l57", "482 903 15x", "+482903157"] {
            assert_eq!(Code::parse(typed), Err(CodeError), "{typed}");
        }
        assert_eq!(format!("{code:?}"), "Code(..)");
    }

    #[test]
    fn small_and_large_dice_give_nine_digits() {
        assert_eq!(Code::from_random([0; 8]).digits(), "000000000");
        assert_eq!(Code::from_random(7u64.to_be_bytes()).digits(), "000000007");
        assert_eq!(Code::from_random([255; 8]).digits().len(), 9);
        assert_eq!(Code::from_random(1_000_000_001u64.to_be_bytes()).digits(), "000000001");
    }

    #[test]
    fn codes_in_a_text_are_found_however_they_are_written() {
        let has = |text: &str| spoken_forms(text).iter().any(|code| code.digits() == "482903157");
        for text in [
            "Your code is 482 903 157.",
            "code:482903157!",
            "482-903-157",
            "4 8 2 9 0 3 1 5 7",
            "482\u{a0}903\u{202f}157",
            "482 – 903 – 157",
            "482\r\n903\r\n157",
            "tel 0049482903157000",
            "> 482 903\u{200b} 157",
            "**482** 903 157",
            "> code: 482 903\r\n> > 157",
        ] {
            assert!(has(text), "{text:?}");
        }
        for text in ["", "482 903 15", "482 and 903 and 157", "482          903 157", "482a903b157"] {
            assert!(!has(text), "{text:?}");
        }
    }

    #[test]
    fn a_flood_of_digits_is_bounded_and_does_not_hide_a_code_of_its_own() {
        let mut text: String =
            (0..300_000u32).map(|i| char::from(b'0' + (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 10)).collect();
        text.push_str(" or 482 903 157 or");
        let found = spoken_forms(&text);
        assert!(found.len() <= SPOKEN_FORMS_MAX);
        assert!(found.iter().any(|code| code.digits() == "482903157"));
    }
}
