//! Dates in the forms of American and international offices; with a word of birth beside it, a birth date.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"(?i)\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\b\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})\b|\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}\b|\b\d{1,2}(?:st|nd|rd|th)?[ -](?:of )?(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?,?[ -](?:\d{4}|\d{2})\b|\b(?:19|20)\d{6}\b",
    worth: |s| s.groups >= 2 && (s.joints >= 2 || s.month || s.is_foreign) || s.run >= 8,
    check,
    hits: &[
        ("DOB: 12/5/48", Kind::Dob),
        ("born 1957-06-05", Kind::Dob),
        ("date of birth February 26, 1959.", Kind::Dob),
        ("Birthday: 3 Mar 1988", Kind::Dob),
        ("DOB 19880303", Kind::Dob),
        ("D.O.B. 03-Mar-1988", Kind::Dob),
        ("DOB on file 04/12/1961", Kind::Dob),
        ("birth date in our records is 04/12/1961", Kind::Dob),
        ("seen on 10/03/2024", Kind::Date),
        ("Patient\tDOB\tPhone\nX\t10/03/1984\t1", Kind::Dob),
    ],
    misses: &[
        ("DOB: 13/45/48", Kind::Dob),
        ("on 10/03/2024", Kind::Dob),
        ("DOB 99/99/9999", Kind::Dob),
        ("order 20240101", Kind::Date),
        ("DOB in chart. Seen 10/03/2024", Kind::Dob),
        ("DOB corrected on 10/03/2024", Kind::Dob),
    ],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let text = c.text();
    let is_compact = text.bytes().all(|b| b.is_ascii_digit());
    let numbers: Vec<u32> =
        text.split(|x: char| !x.is_ascii_digit()).filter(|n| !n.is_empty()).filter_map(|n| n.parse().ok()).collect();
    let is_valid = match numbers[..] {
        _ if is_compact => {
            let part = |range| text.get(range).and_then(|n: &str| n.parse::<u32>().ok()).unwrap_or(0);
            (1..=12).contains(&part(4..6)) && (1..=31).contains(&part(6..8))
        }
        [year, month, day] if year > 31 => (1900..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day),
        [a, b, year] => {
            let is_month_day =
                ((1..=12).contains(&a) && (1..=31).contains(&b)) || ((1..=31).contains(&a) && (1..=12).contains(&b));
            is_month_day && (year < 100 || (1900..2100).contains(&year))
        }
        [day, year] => (1..=31).contains(&day) && (year < 100 || (1900..2100).contains(&year)),
        _ => false,
    };
    if !is_valid || !c.stands_alone() {
        return None;
    }
    if is_birth(c) {
        return Some((Kind::Dob, 98));
    }
    (!is_compact).then_some((Kind::Date, 70))
}

/// A word of birth is the nearest label before; "12/5/48 (DOB)" counts too.
fn is_birth(c: &Candidate<'_>) -> bool {
    let before = c.page.label_before(c.start, 40).is_some_and(|(cues, distance)| cues.contains(&Cue::LabelDob) && distance <= 28);
    before || is_filed(c) || c.page.cues_in(c.end..c.end + 8).any(|hit| hit.cue == Cue::LabelDob)
}

/// "DOB on file 04/12/1961": other labels may stand between, but no other number and no word of another date.
fn is_filed(c: &Candidate<'_>) -> bool {
    const REACH: usize = 40;
    let near = || c.page.cues_in(c.start.saturating_sub(REACH)..c.start).filter(|hit| hit.end <= c.start);
    near().filter(|hit| hit.cue == Cue::LabelDob).last().is_some_and(|birth| {
        let between = c.page.slice(birth.end..c.start);
        !between.contains(|x: char| x.is_ascii_digit() || matches!(x, '\n' | '\t' | ';' | '|'))
            && !between.contains(". ")
            && !near().any(|hit| {
                // The "on" of "on file" is no label; that of "on 04/12" is.
                let is_label = hit.end - hit.start > 2 || hit.end + 2 >= c.start;
                hit.cue == Cue::LabelDate && hit.start >= birth.end && is_label
            })
    })
}
