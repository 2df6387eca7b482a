//! Numbers without a shape of their own: what they are is said by the label before them or by the column above. The
//! kinds that share this pattern each have a file that says which labels count and what the number must look like.
use super::*;

pub(in crate::scan) const PATTERN: &str = r"\b[A-Za-z]{0,5}-?\d[0-9A-Za-z]*(?:-[0-9A-Za-z]+)*\b";

pub(in crate::scan) const WORTH: fn(&Stretch) -> bool = |s| s.cluster >= 4 || s.word >= 5 || s.groups >= 4;

/// Whether the match is a number of its own under a label of the class, with no other number, no end of a sentence and
/// few words between.
pub(in crate::scan) fn is_under(c: &Candidate<'_>, cue: Cue) -> bool {
    is_number(c)
        && c.text().len() > 4
        && c.label().is_some_and(|(cues, distance)| {
            // "Member no. 12": the stop belongs to the label.
            let between = c.page.slice(c.start - distance..c.start);
            let between = between.strip_prefix('.').unwrap_or(between);
            let parted =
                *distance > 0 && (between.bytes().any(|b| b.is_ascii_digit()) || between.contains(". ") || words(between) > 4);
            !parted && cues.contains(&cue)
        })
}

/// At least four digits, five to twenty letters and digits.
pub(in crate::scan) fn is_number(c: &Candidate<'_>) -> bool {
    c.text().bytes().filter(u8::is_ascii_digit).count() >= 4 && (5..=20).contains(&c.text().len()) && c.stands_alone()
}

fn words(text: &str) -> usize {
    text.split_ascii_whitespace().filter(|word| word.bytes().any(|b| b.is_ascii_alphanumeric())).count()
}

/// The text as a shape: 9 for a digit, A for a letter, dashes left out.
pub(in crate::scan) fn shape(text: &str) -> String {
    text.bytes()
        .filter(|b| *b != b'-')
        .map(|b| match b {
            b if b.is_ascii_digit() => '9',
            b if b.is_ascii_alphabetic() => 'A',
            _ => '?',
        })
        .collect()
}
