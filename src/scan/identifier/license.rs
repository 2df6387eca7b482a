//! Driver licences: the shapes of the states, and always a label, as a whole word.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: labelled::PATTERN,
    worth: |s| labelled::WORTH(s) && s.may_be(Cue::LabelLicense),
    check: |c| (labelled::is_under(c, Cue::LabelLicense) && is_shaped(c.text())).then_some((Kind::License, 90)),
    hits: &[
        ("the driver's license (57928450) for", Kind::License),
        ("driver license D4471892", Kind::License),
        ("DL# AB123456", Kind::License),
    ],
    misses: &[("public 57928450", Kind::License), ("driver's license ABCDE12345", Kind::License), ("57928450", Kind::License)],
};

/// Six to thirteen digits, one letter and six to fourteen, or two or three letters and five to nine; Washington's twelve.
fn is_shaped(text: &str) -> bool {
    let plain: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let letters = plain.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let digits = plain.iter().skip(letters).take_while(|b| b.is_ascii_digit()).count();
    let is_plain = letters + digits == plain.len();
    match letters {
        0 => is_plain && (6..=13).contains(&digits),
        1 => is_plain && (6..=14).contains(&digits),
        2 | 3 => is_plain && (5..=9).contains(&digits),
        _ => plain.len() == 12 && text.starts_with("WDL"),
    }
}
