//! What a text holds in another writing, wherever it stands: addresses with words as numbers (RFC 3986, section 2.1), base64
//! (RFC 4648) pasted in, yEnc and BinHex (RFC 1741). What comes out counts only if it is text, or begins as a known format does;
//! keys, hashes and signatures are left alone. One pass over the text for each.

use super::format;
use super::uuencode::Enclosed;

/// Shorter runs hold no person and finding.
const BASE64_MIN: usize = 24;
/// A line of base64 that goes on in the next one is longer than a word.
const LINE_MIN: usize = 20;
/// Safe-link services wrap an address into one of theirs, some twice.
const WRAPPED_MAX: usize = 3;

/// Every file in a text.
pub(super) fn files(text: &str) -> Vec<Enclosed> {
    let mut out = base64_runs(text);
    // Packed ones are found as base64.
    let plain = data_addresses(text).filter(|address| address.contains('%')).filter_map(data_address);
    out.extend(plain.map(|(_, bytes)| Enclosed { name: String::new(), bytes, is_damaged: false }));
    if text.contains("=ybegin ") {
        out.extend(yenc(text));
    }
    if let Some((_, after)) = text.split_once("(This file must be converted with BinHex") {
        out.push(binhex(after));
    }
    out
}

/// Files whose bytes as they came are needed: yEnc uses all of them.
pub(super) fn is_yenc(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"=ybegin ").is_some()
}

/// `data:` addresses in a text, each up to a quote or blank; none inside another.
pub(super) fn data_addresses(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = memchr::memmem::find(rest.as_bytes(), b"data:")?;
        let address = rest.get(at..)?;
        let end = address.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '>')).unwrap_or(address.len());
        let (address, after) = address.split_at(end);
        rest = after;
        Some(address)
    })
}

/// A `data:` address as a file (RFC 2397).
pub(super) fn data_address(address: &str) -> Option<(String, Vec<u8>)> {
    let (kind, content) = address.get(5..)?.split_once(',')?;
    let is_base64 = kind.trim_end().to_ascii_lowercase().ends_with(";base64");
    let bytes = if content.contains('%') { percent(content, false) } else { content.as_bytes().to_vec() };
    let media_type = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some((media_type, if is_base64 { decoded_base64(&bytes) } else { bytes }))
}

/// The words in a text's addresses, a line for each part; empty where there are none.
pub(super) fn addresses(text: &str) -> String {
    let mut out = String::new();
    if !text.contains('%') && !text.contains("://") && !text.contains("mailto:") {
        return out;
    }
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')) {
        let has_numbers = word.split('%').skip(1).any(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2);
        let has_question =
            || word.contains(['?', '&']) && word.contains('+') && (word.contains("://") || word.contains("mailto:"));
        if has_numbers || has_question() {
            let said = said(word);
            if said.contains(' ') {
                out.push_str(&said);
                out.push('\n');
            }
        }
    }
    out
}

/// An address in words: what stands behind `?`, `&` and `#` on lines of its own.
fn said(address: &str) -> String {
    let mut text = address.to_owned();
    for _ in 0..WRAPPED_MAX {
        let lines: Vec<String> = text
            .split('\n')
            .flat_map(|line| line.split(['?', '&', '#']))
            .enumerate()
            .map(|(at, part)| {
                let decoded = percent(part, at > 0);
                let decoded = String::from_utf8(decoded).unwrap_or_else(|error| format::decode(error.as_bytes()));
                // "body=…" reads as "body: …".
                match decoded.split_once('=') {
                    Some((name, value)) if at > 0 && !name.contains(' ') => format!("{name}: {value}"),
                    _ => decoded,
                }
            })
            .collect();
        let next = lines.join("\n");
        if !next.contains('%') || next == text {
            return next;
        }
        text = next;
    }
    text
}

/// `%41` as the byte it stands for; a plus sign as a blank behind a question mark.
fn percent(text: &str, has_plus: bool) -> Vec<u8> {
    if has_plus && text.contains('+') {
        // A plus sign written as a number stays one.
        return signed_hex(&text.replace('+', "%20"), b'%');
    }
    signed_hex(text, b'%')
}

/// Two digits behind a sign as the byte they stand for.
pub(super) fn signed_hex(text: &str, sign: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (first, [high, low, after @ ..]) if *first == sign && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                after
            }
            _ => {
                out.push(*first);
                after
            }
        };
    }
    out
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or(0)
}

/// Runs of base64 in one line or over several of one length.
fn base64_runs(text: &str) -> Vec<Enclosed> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = run_end(bytes, at);
        if end - at < BASE64_MIN {
            at = end + 1;
            continue;
        }
        let (run, last, after) = whole_run(bytes, at, end);
        // The last line may be a word of the letter.
        let lengths = [run.len(), run.len() - last];
        let contents = lengths.iter().filter_map(|length| run.get(..*length)).filter(|run| run.len() >= BASE64_MIN);
        if let Some(content) = contents.map(decoded_base64).find(|content| format::is_known(content)) {
            out.push(Enclosed { name: String::new(), bytes: content, is_damaged: false });
        }
        at = after + 1;
    }
    out
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn run_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| !is_base64(*b)).unwrap_or(rest.len())
}

/// The run at `at`, with the lines that go on with it; the length of the last of them, and where it ends.
fn whole_run(bytes: &[u8], at: usize, end: usize) -> (Vec<u8>, usize, usize) {
    let mut last = 0;
    let mut run = bytes.get(at..end).unwrap_or_default().to_vec();
    let (mut length, mut end) = (end - at, end);
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        // The line ends here, and the next one is of base64 alone.
        let gap = rest.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n')).unwrap_or(rest.len());
        let lines = rest.get(..gap).unwrap_or_default().iter().filter(|b| **b == b'\n').count();
        if length < LINE_MIN || lines != 1 {
            return (run, last, end);
        }
        let next = run_end(bytes, end + gap);
        let is_line = bytes.get(next).is_none_or(|b| matches!(b, b'\r' | b'\n' | b'=' | b'<' | b' ' | b'\t'));
        let added = next - (end + gap);
        if added == 0 || added > length && run.len() > length || !is_line || bytes.get(next) == Some(&b' ') {
            return (run, last, end);
        }
        run.extend_from_slice(bytes.get(end + gap..next).unwrap_or_default());
        (length, last, end) = (added, added, next);
    }
}

/// As far as it goes, in either alphabet, white space passed over.
fn decoded_base64(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0u32, 0u8);
    for byte in encoded {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    out
}

/// Lines between `=ybegin` and `=yend`: each byte 42 less, escapes 64 less before. Text that came as windows-1252 or
/// ISO-8859-1 is bytes again.
fn yenc(text: &str) -> Vec<Enclosed> {
    let mut out = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_prefix("=ybegin ") else { continue };
        let name = head.split_once("name=").map(|(_, name)| name.trim().to_owned()).unwrap_or_default();
        let mut file = Enclosed { name, bytes: Vec::new(), is_damaged: true };
        for line in lines.by_ref() {
            if line.starts_with("=yend") {
                file.is_damaged = false;
                break;
            }
            if !line.starts_with("=ypart") {
                yenc_line(line, &mut file.bytes);
            }
        }
        out.push(file);
    }
    out
}

fn yenc_line(line: &str, out: &mut Vec<u8>) {
    let mut is_escaped = false;
    for c in line.chars() {
        let byte = match u8::try_from(c) {
            Ok(byte) => byte,
            Err(_) => {
                let mut place = [0; 4];
                let (bytes, ..) = encoding_rs::WINDOWS_1252.encode(c.encode_utf8(&mut place));
                bytes.first().copied().unwrap_or(b'?')
            }
        };
        if byte == b'=' && !is_escaped {
            is_escaped = true;
            continue;
        }
        out.push(byte.wrapping_sub(if is_escaped { 106 } else { 42 }));
        is_escaped = false;
    }
}

/// The data fork of a BinHex 4.0 file between its colons.
fn binhex(after: &str) -> Enclosed {
    const SIGNS: &[u8; 64] = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";
    let damaged = Enclosed { name: String::new(), bytes: Vec::new(), is_damaged: true };
    let Some((_, encoded)) = after.split_once(':') else { return damaged };
    let (encoded, is_whole) = encoded.split_once(':').map_or((encoded, false), |(encoded, _)| (encoded, true));
    let (mut raw, mut bits, mut held) = (Vec::with_capacity(encoded.len()), 0u32, 0u8);
    for byte in encoded.bytes().filter(|b| !b.is_ascii_whitespace()) {
        let Some(value) = SIGNS.iter().position(|sign| *sign == byte) else { return damaged };
        bits = bits << 6 | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            raw.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    let Some(whole) = runs_undone(&raw) else { return damaged };
    forks(&whole).map_or(damaged, |(name, bytes)| Enclosed { name, bytes, is_damaged: !is_whole })
}

/// `90 n`: the byte before stands `n` times; a run of none is the byte 90 itself. `None` if that would be a bomb.
fn runs_undone(raw: &[u8]) -> Option<Vec<u8>> {
    const RUN: u8 = 0x90;
    /// A run of 255 takes three bytes: ordinary files come nowhere near.
    const GROWTH_MAX: usize = 16;
    let mut out: Vec<u8> = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        match (*byte, if *byte == RUN { bytes.next() } else { None }) {
            (RUN, Some(0)) => out.push(RUN),
            (RUN, Some(count)) => {
                let last = *out.last()?;
                out.extend(std::iter::repeat_n(last, usize::from(*count).saturating_sub(1)));
            }
            (byte, _) => out.push(byte),
        }
        if out.len() > raw.len().saturating_mul(GROWTH_MAX) + 1024 {
            return None;
        }
    }
    Some(out)
}

/// Name and data fork: length of the name, name, 0, kind, maker, flags, two lengths, checksum, data. A resource fork
/// behind it has no text that another system shows.
fn forks(whole: &[u8]) -> Option<(String, Vec<u8>)> {
    let (length, rest) = whole.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let size = rest.get(11..15)?.iter().fold(0usize, |size, b| size << 8 | usize::from(*b));
    let data = rest.get(21..21usize.checked_add(size)?)?;
    Some((String::from_utf8_lossy(name).into_owned(), data.to_vec()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_what_their_numbers_spell() {
        for (text, expected) in [
            ("see https://a.example/?q=lupus+now&x=1 ok", "https://a.example/\nq: lupus now\nx: 1\n"),
            ("mailto:a@b.example?body=It%20is%20lupus", "mailto:a@b.example\nbody: It is lupus\n"),
            ("https://safe.example/?url=https%3A%2F%2Fa.example%2F%3Fq%3Dlupus%2520now", "lupus now"),
            ("100% of it, 5 %, https://a.example/plain", ""),
        ] {
            let found = addresses(text);
            assert!(if expected.is_empty() { found.is_empty() } else { found.contains(expected) }, "{text}: {found}");
        }
    }

    #[test]
    fn pasted_base64_is_a_file_and_keys_are_none() {
        let words = "VGhlIHBhdGllbnQgaGFzIGx1cHVzIGFuZCBpcyB0cmVhdGVkLg==";
        for text in [format!("note: {words}"), format!("\n{}\n{}\n", &words[..28], &words[28..])] {
            let found = files(&text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].bytes, b"The patient has lupus and is treated.");
        }
        for text in [
            "5d41402abc4b2a76b9719d911017c592aabbccddeeff00112233445566778899",
            "------------------------------------------------",
            "internationalization_of_a_long_identifier_with_parts",
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo",
        ] {
            assert!(files(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn many_lines_cost_linear_work() {
        let text = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVph\n".repeat(100_000);
        assert_eq!(files(&text).len(), 1);
    }
}
