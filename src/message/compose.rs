//! Header fields of our own: folding (RFC 5322, section 2.2.3), display names, encoded words (RFC 2047).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::mail::Mailbox;

/// Preferred line length (RFC 5322, section 2.1.1).
const LINE_MAX: usize = 78;
/// Bytes of text in one encoded word: 45 make 60 base64 characters, the word stays within 75.
const WORD_BYTES: usize = 45;
/// A display name beyond this is no name.
const NAME_CHARS_MAX: usize = 100;

/// Appends a field, folded at its spaces. Line breaks and other control characters in `body` become spaces, so no
/// value can start a field of its own.
pub(super) fn field(out: &mut Vec<u8>, name: &str, body: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = name.len() + 1;
    for word in body.split(|c: char| c == ' ' || c.is_control()).filter(|word| !word.is_empty()) {
        if column + 1 + word.len() > LINE_MAX && column > name.len() + 1 {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
        column += 1 + word.len();
    }
    out.extend_from_slice(b"\r\n");
}

/// `Name <address>`, or the address alone if there is no name that may be shown.
pub(super) fn mailbox(name: Option<&str>, mailbox: &Mailbox) -> String {
    match name.and_then(phrase) {
        Some(phrase) => format!("{phrase} <{mailbox}>"),
        None => mailbox.to_string(),
    }
}

/// Whether a display name shows an address, which may be somebody else's.
pub(super) fn holds_address(name: &str) -> bool {
    name.contains(['@', '\u{ff20}', '\u{fe6b}'])
}

/// A display name as RFC 5322 writes it. `None` if it holds an address, which may be somebody else's.
fn phrase(name: &str) -> Option<String> {
    let name = name.trim();
    if name.is_empty() || holds_address(name) || name.chars().any(char::is_control) || name.chars().count() > NAME_CHARS_MAX {
        return None;
    }
    let is_atoms = name.bytes().all(|b| b.is_ascii_alphanumeric() || b" !#$%&'*+-/^_`{|}~".contains(&b));
    if is_atoms && !name.contains("  ") {
        Some(name.to_owned())
    } else if name.is_ascii() && !name.contains("=?") && !name.contains("  ") {
        Some(format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")))
    } else {
        Some(encoded_words(name))
    }
}

/// UTF-8 in base64, cut between characters.
fn encoded_words(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut held = String::new();
    for c in text.chars() {
        if held.len() + c.len_utf8() > WORD_BYTES {
            words.push(std::mem::take(&mut held));
        }
        held.push(c);
    }
    words.push(held);
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::addresses;
    use super::*;

    #[test]
    fn no_value_can_start_a_field_of_its_own() {
        let mut out = Vec::new();
        field(&mut out, "Received", "from x\r\nBcc: a@b.example\r\n by y");
        assert_eq!(out, b"Received: from x Bcc: a@b.example by y\r\n");
    }

    #[test]
    fn long_fields_fold_and_keep_their_words() {
        let mut out = Vec::new();
        let body = vec!["word"; 60].join(" ");
        field(&mut out, "Subject", &body);
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.len() <= LINE_MAX));
        assert_eq!(text.replace("\r\n", ""), format!("Subject: {body}"));
    }

    #[test]
    fn a_written_name_reads_back_the_same() {
        let ann = Mailbox::parse("a@b.example").unwrap();
        let long = "Überlänge ".repeat(9);
        for name in
            ["Ann", "Dr. Ann O'Hara", "Doe, \"J\" John \\", "Jürgen Müller", "=?utf-8?q?x?= y", "李", "a;b:c<d>(e)", &long]
        {
            let list = addresses::parse(&mailbox(Some(name), &ann));
            assert_eq!(list.broken, 0, "{name}");
            let read = &list.mailboxes[0];
            assert_eq!((read.name.as_deref(), &read.mailbox), (Some(name.trim()), &ann), "{name}");
        }
        for name in ["bob@x.example", "Ann (bob＠x.example)", "a\nb", "", &"x".repeat(101)] {
            assert_eq!(mailbox(Some(name), &ann), "a@b.example", "{name}");
        }
    }
}
