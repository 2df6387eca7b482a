//! One form for each value however it is written: the same on the side of the list and on the side of the text.

use unicode_normalization::UnicodeNormalization;

/// What a hash speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// First and last name together.
    Name,
    Birth,
    Mrn,
    Member,
    Ssn,
    Phone,
    Email,
    Address,
}

impl Field {
    pub const ALL: [Field; 8] =
        [Field::Name, Field::Birth, Field::Mrn, Field::Member, Field::Ssn, Field::Phone, Field::Email, Field::Address];

    /// Closed word for the status; also keeps the hashes of different fields apart.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Field::Name => "name",
            Field::Birth => "birth-date",
            Field::Mrn => "record-number",
            Field::Member => "member-id",
            Field::Ssn => "ssn",
            Field::Phone => "phone",
            Field::Email => "e-mail",
            Field::Address => "address",
        }
    }
}

/// Which of two numbers is the month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    MonthFirst,
    DayFirst,
    /// Nobody knows: both readings count.
    Either,
}

/// Most names that one person is listed under.
const NAMES_MAX: usize = 12;

/// Without case and diacritics.
pub(super) fn fold(text: &str) -> String {
    text.nfkd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

fn letters(text: &str) -> String {
    fold(text).chars().filter(|c| c.is_alphabetic()).collect()
}

/// One first and one last name. `None` where one of them is no name.
#[must_use]
pub fn name(first: &str, last: &str) -> Option<String> {
    let (first, last) = (letters(first), letters(last));
    (first.chars().count() >= 2 && last.chars().count() >= 2).then(|| format!("{first} {last}"))
}

/// Every name that a person may be written under: each given name with each part of the last name, and with all of it.
#[must_use]
pub fn names(first: &str, last: &str) -> Vec<String> {
    let parts = |text: &str| -> Vec<String> {
        text.split(|c: char| c.is_whitespace() || ",.-'\u{2019}/".contains(c))
            .map(letters)
            .filter(|part| part.chars().count() >= 2 && !is_no_name(part))
            .collect()
    };
    let given = parts(first);
    let mut family = parts(last);
    if family.len() > 1 || last.contains(['-', '\'', '\u{2019}', ' ']) {
        family.push(letters(last));
    }
    let mut out: Vec<String> = Vec::new();
    for last in family.iter().rev() {
        for first in &given {
            out.push(format!("{first} {last}"));
        }
    }
    out.sort();
    out.dedup();
    out.truncate(NAMES_MAX);
    out
}

/// Titles, suffixes and the small words of last names.
fn is_no_name(part: &str) -> bool {
    matches!(
        part,
        "mr" | "mrs"
            | "ms"
            | "miss"
            | "dr"
            | "sr"
            | "sra"
            | "srta"
            | "don"
            | "jr"
            | "ii"
            | "iii"
            | "iv"
            | "md"
            | "de"
            | "del"
            | "la"
            | "las"
            | "los"
            | "van"
            | "von"
            | "der"
            | "den"
            | "di"
            | "da"
            | "dos"
            | "du"
            | "le"
    )
}

/// Every day that a text may mean, as `YYYYMMDD`; a year of two digits means two.
#[must_use]
pub fn birth(text: &str, order: Order) -> Vec<String> {
    let folded = fold(text);
    // "1961-04-12 00:00:00" and "1961-04-12T00:00:00Z", as data bases write them.
    let day = match folded.find(':') {
        Some(at) => {
            folded.get(..at).unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['t', ' '])
        }
        None => folded.trim(),
    };
    let words: Vec<&str> = day
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !matches!(*word, "de" | "del" | "of" | "the"))
        .collect();
    let mut out = Vec::new();
    let mut add = |year: &str, month: Option<u32>, day: Option<u32>| {
        let (Some(month), Some(day)) = (month, day) else { return };
        let years: Vec<u32> = match (year.len(), year.parse::<u32>()) {
            (4, Ok(year)) => vec![year],
            (2, Ok(year)) => vec![1900 + year, 2000 + year],
            _ => return,
        };
        for year in years {
            if (1880..2100).contains(&year) && (1..=12).contains(&month) && (1..=days(year, month)).contains(&day) {
                out.push(format!("{year:04}{month:02}{day:02}"));
            }
        }
    };
    let number = |word: &str| word.trim_end_matches(|c: char| c.is_alphabetic()).parse::<u32>().ok();
    match words[..] {
        [one] if one.len() == 8 && one.bytes().all(|b| b.is_ascii_digit()) => {
            let part = |from: usize, to: usize| one.get(from..to).unwrap_or_default();
            add(part(0, 4), number(part(4, 6)), number(part(6, 8)));
            if order != Order::DayFirst {
                add(part(4, 8), number(part(0, 2)), number(part(2, 4)));
            }
            if order != Order::MonthFirst {
                add(part(4, 8), number(part(2, 4)), number(part(0, 2)));
            }
        }
        [a, b, c] => match (month(a), month(b)) {
            (Some(named), _) => add(c, Some(named), number(b)),
            (None, Some(named)) if a.len() == 4 => add(a, Some(named), number(c)),
            (None, Some(named)) => add(c, Some(named), number(a)),
            (None, None) if a.len() == 4 => add(a, number(b), number(c)),
            (None, None) => {
                if order != Order::DayFirst {
                    add(c, number(a), number(b));
                }
                if order != Order::MonthFirst {
                    add(c, number(b), number(a));
                }
            }
        },
        _ => {}
    }
    out.sort();
    out.dedup();
    out
}

/// English and Spanish, whole or shortened.
fn month(word: &str) -> Option<u32> {
    const NAMES: [(&str, u32); 24] = [
        ("january", 1),
        ("enero", 1),
        ("february", 2),
        ("febrero", 2),
        ("march", 3),
        ("marzo", 3),
        ("april", 4),
        ("abril", 4),
        ("may", 5),
        ("mayo", 5),
        ("june", 6),
        ("junio", 6),
        ("july", 7),
        ("julio", 7),
        ("august", 8),
        ("agosto", 8),
        ("september", 9),
        ("septiembre", 9),
        ("setiembre", 9),
        ("october", 10),
        ("octubre", 10),
        ("november", 11),
        ("noviembre", 11),
        ("december", 12),
    ];
    let is_word = word.len() >= 3 && word.bytes().all(|b| b.is_ascii_alphabetic());
    if is_word && "diciembre".starts_with(word) {
        return Some(12);
    }
    NAMES.iter().find(|(name, _)| is_word && name.starts_with(word)).map(|(_, number)| *number)
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A record or member number: as it is without its punctuation, and its digits alone. Leading zeros do not count.
#[must_use]
pub fn number(text: &str) -> Vec<String> {
    let plain: String = fold(text).chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    let digits: String = plain.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    let mut out = Vec::new();
    if !(4..=24).contains(&plain.len()) || digits.is_empty() {
        return out;
    }
    let is_digits = plain.bytes().all(|b| b.is_ascii_digit());
    if !is_digits {
        out.push(plain);
    }
    if digits.len() >= if is_digits { 4 } else { 5 } {
        out.push(digits.to_owned());
    }
    out
}

/// Nine digits that are no placeholder.
#[must_use]
pub fn ssn(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let is_all_same = digits.bytes().all(|b| Some(b) == digits.bytes().next());
    (digits.len() == 9 && !is_all_same && digits != "123456789").then_some(digits)
}

/// The ten digits of the North American plan, or the digits of an international number.
#[must_use]
pub fn phone(text: &str) -> Option<String> {
    // An extension is no part of the number.
    let folded = fold(text);
    let end = folded.find("ext").or_else(|| folded.rfind('x')).unwrap_or(folded.len());
    let digits: String = folded.get(..end)?.chars().filter(char::is_ascii_digit).collect();
    let digits = match digits.strip_prefix('1') {
        Some(rest) if rest.len() == 10 => rest.to_owned(),
        _ => digits,
    };
    let is_all_same = digits.bytes().skip(3).all(|b| digits.as_bytes().get(3) == Some(&b));
    ((10..=15).contains(&digits.len()) && !is_all_same).then_some(digits)
}

#[must_use]
pub fn email(text: &str) -> Option<String> {
    let text = fold(text.trim().trim_matches(['<', '>']));
    let (local, domain) = text.rsplit_once('@')?;
    let is_address = !local.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace);
    is_address.then_some(text)
}

/// House number and first word of the street: what all ways to write an address have in common.
#[must_use]
pub fn address(text: &str) -> Option<String> {
    let folded = fold(text);
    let mut words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let house = words.find(|word| word.bytes().all(|b| b.is_ascii_digit()) && word.len() <= 6)?;
    let street = words.take(4).find(|word| {
        word.len() >= 3
            && word.bytes().any(|b| b.is_ascii_alphabetic())
            && !matches!(*word, "north" | "south" | "east" | "west" | "apt" | "ste" | "the")
    })?;
    Some(format!("{house} {street}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_day_is_the_same_day() {
        for text in [
            "1961-04-12",
            "04/12/1961",
            "4/12/1961",
            "4.12.1961",
            "April 12, 1961",
            "Apr 12th 1961",
            "12 Apr 1961",
            "12-APR-1961",
            "12 de abril de 1961",
            "19610412",
            "1961-04-12 00:00:00",
            "1961-04-12T00:00:00Z",
            "1961-04-12T7:30:00",
        ] {
            assert_eq!(birth(text, Order::MonthFirst), ["19610412"], "{text}");
        }
        assert_eq!(birth("12/04/1961", Order::DayFirst), ["19610412"]);
        assert_eq!(birth("12/04/1961", Order::Either), ["19610412", "19611204"]);
        assert_eq!(birth("4/12/61", Order::MonthFirst), ["19610412", "20610412"]);
        assert_eq!(birth("29 Feb 2024", Order::Either), ["20240229"]);
        for text in ["", "soon", "13/13/1961", "29 Feb 2023", "1961", "4/1961", "99999999"] {
            assert!(birth(text, Order::Either).is_empty(), "{text}");
        }
    }

    #[test]
    fn names_meet_whatever_their_case_accents_and_parts() {
        let listed = names("Mar\u{ed}a Elena", "Garc\u{ed}a-L\u{f3}pez");
        for (first, last) in [("MARIA", "GARCIA"), ("maria", "Lopez"), ("Elena", "garc\u{ed}a"), ("Maria", "Garcia-Lopez")] {
            assert!(listed.contains(&name(first, last).unwrap()), "{first} {last}: {listed:?}");
        }
        assert!(names("Sean", "O'Brien").contains(&name("SEAN", "OBRIEN").unwrap()));
        assert!(names("Ana", "de la Cruz").contains(&name("Ana", "Cruz").unwrap()));
        assert_eq!(name("A", "Baker"), None);
    }

    #[test]
    fn numbers_phones_and_addresses_have_one_form() {
        assert_eq!(number("00482913"), ["482913"]);
        assert_eq!(number("482-913"), ["482913"]);
        assert_eq!(number("MRN155964"), ["MRN155964", "155964"]);
        assert!(number("12").is_empty() && number("0000").is_empty());
        for text in ["(804) 555-0142", "+1 804.555.0142", "8045550142", "1-804-555-0142 ext. 12"] {
            assert_eq!(phone(text).unwrap(), "8045550142", "{text}");
        }
        assert!(phone("000-000-0000").is_none() && phone("999-999-9999").is_none() && phone("555-0142").is_none());
        assert_eq!(address("12 N. Maple St., Apt 4").unwrap(), address("12 North MAPLE Street #4, Richmond").unwrap());
        assert_eq!(email(" <Pat.Doe@Mail.Example> ").unwrap(), "pat.doe@mail.example");
        assert_eq!(ssn("405-19-0261").unwrap(), "405190261");
        assert!(ssn("000-00-0000").is_none());
    }
}
