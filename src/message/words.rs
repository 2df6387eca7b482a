//! Encoded words (RFC 2047).

use super::{charset, transfer};

pub(super) struct Decoded {
    pub text: String,
    /// A word had a charset that is unknown or that its bytes contradict.
    pub has_unreadable: bool,
}

struct Word<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
    /// Where the text goes on.
    end: usize,
}

/// Decodes every encoded word of an unfolded value. White space between two words goes (section 6.2), and words of
/// one charset are joined as bytes first: senders cut them inside a character.
pub(super) fn decode(value: &str) -> Decoded {
    if !value.contains("=?") {
        return Decoded { text: value.to_owned(), has_unreadable: false };
    }
    let mut out = Decoded { text: String::with_capacity(value.len()), has_unreadable: false };
    let mut pending: Option<(String, Vec<u8>)> = None;
    let mut at = 0;
    while let Some(found) = value.get(at..).and_then(|rest| rest.find("=?")) {
        let start = at + found;
        let before = value.get(at..start).unwrap_or_default();
        let Some(word) = word_at(value, start) else {
            flush(&mut pending, &mut out);
            out.text.push_str(before);
            out.text.push_str("=?");
            at = start + 2;
            continue;
        };
        let follows_word = pending.is_some() && before.bytes().all(|b| matches!(b, b' ' | b'\t'));
        if !follows_word {
            flush(&mut pending, &mut out);
            out.text.push_str(before);
        }
        pending = match pending.take() {
            Some((label, mut bytes)) if label.eq_ignore_ascii_case(word.charset) => {
                bytes.extend_from_slice(&word.bytes);
                Some((label, bytes))
            }
            mut other => {
                flush(&mut other, &mut out);
                Some((word.charset.to_owned(), word.bytes))
            }
        };
        at = word.end;
    }
    flush(&mut pending, &mut out);
    out.text.push_str(value.get(at..).unwrap_or_default());
    out
}

fn flush(pending: &mut Option<(String, Vec<u8>)>, out: &mut Decoded) {
    if let Some((label, bytes)) = pending.take() {
        match charset::decode(Some(&label), bytes.as_slice().into()) {
            Ok(text) => out.text.push_str(&text),
            Err((_, text)) => {
                out.has_unreadable = true;
                out.text.push_str(&text);
            }
        }
    }
}

/// `=?charset*language?B-or-Q?text?=` at `start`. Blanks inside the text are accepted: readers do.
fn word_at(value: &str, start: usize) -> Option<Word<'_>> {
    let rest = value.get(start + 2..)?;
    let charset_end = rest.bytes().position(|b| matches!(b, b'?' | b' ' | b'\t' | b'='))?;
    let (charset, rest) = rest.split_at_checked(charset_end)?;
    let charset = charset.split_once('*').map_or(charset, |(name, _language)| name);
    let mut bytes = rest.bytes();
    if charset.is_empty() || bytes.next() != Some(b'?') {
        return None;
    }
    let kind = bytes.next()?.to_ascii_lowercase();
    if bytes.next() != Some(b'?') {
        return None;
    }
    let text = rest.get(3..)?;
    let length = memchr::memchr(b'?', text.as_bytes())?;
    if text.as_bytes().get(length + 1) != Some(&b'=') {
        return None;
    }
    let encoded = text.get(..length)?.as_bytes();
    let bytes = match kind {
        b'b' => transfer::base64(encoded).bytes,
        b'q' => {
            let spaced: Vec<u8> = encoded.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
            transfer::quoted_words(&spaced)
        }
        _ => return None,
    };
    let end = start + 2 + charset_end + 3 + length + 2;
    Some(Word { charset, bytes, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_read_as_one_text() {
        for (value, expected) in [
            ("plain", "plain"),
            ("=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
            ("=?UTF-8?q?Gr=C3=BC=C3=9Fe_x?= y", "Grüße x y"),
            ("a =?utf-8?Q?b?= =?utf-8?Q?c?= d", "a bc d"),
            ("=?utf-8?Q?=C3?= =?utf-8?Q?=BC?=", "ü"),
            ("=?utf-8?B?w7w=?=\t=?iso-8859-1?Q?=FC?=", "üü"),
            ("=?iso-8859-1*de?Q?=FC?=", "ü"),
            ("=?utf-8?Q?with blank?=", "with blank"),
            ("=?utf-8?X?abc?= =?utf-8?Q?never closed", "=?utf-8?X?abc?= =?utf-8?Q?never closed"),
            ("=?=?utf-8?Q?x?=", "=?x"),
            ("\"=?utf-8?Q?x?=\"", "\"x\""),
            ("=?utf-8?Q??=", ""),
        ] {
            let read = decode(value);
            assert_eq!((read.text.as_str(), read.has_unreadable), (expected, false), "{value}");
        }
    }

    #[test]
    fn an_unknown_or_contradicted_charset_is_noted() {
        for value in ["=?utf-7?Q?+AGE-?=", "=?utf-8?Q?=FF?=", "=?nosuch?B?aGk=?="] {
            assert!(decode(value).has_unreadable, "{value}");
        }
    }
}
