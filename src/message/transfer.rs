//! Content transfer encodings (RFC 2045, section 6).

/// base64 undone as far as it goes.
pub(super) struct Base64 {
    pub bytes: Vec<u8>,
    /// Readers would not agree: a character outside the alphabet inside the data, padding in the wrong place, or a
    /// last group of one character.
    pub is_broken: bool,
}

/// Skips white space and goes on behind padding, so that two encoded texts in a row are both seen.
pub(super) fn base64(encoded: &[u8]) -> Base64 {
    let mut out = Base64 { bytes: Vec::with_capacity(encoded.len() / 4 * 3 + 3), is_broken: false };
    let (mut bits, mut held, mut padding) = (0u32, 0u8, 0u8);
    // What comes after proper padding is often a mailing list's footer in plain text.
    let mut is_past_end = false;
    let mut rest = encoded;
    loop {
        // Most of it are whole groups without anything between.
        while held == 0
            && padding == 0
            && let [a, b, c, d, behind @ ..] = rest
            && let [a, b, c, d] = [value(*a), value(*b), value(*c), value(*d)]
            && (a | b | c | d) < 64
        {
            out.bytes.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
            rest = behind;
        }
        let [byte, behind @ ..] = rest else { break };
        rest = behind;
        let value = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => value(*byte),
            b'=' => {
                padding = padding.saturating_add(1);
                match (held, padding) {
                    (2, 1) => {}
                    (2, 2) | (3, 1) => {
                        finish(bits, held, &mut out.bytes);
                        (bits, held, padding, is_past_end) = (0, 0, 0, true);
                    }
                    _ => {
                        out.is_broken |= !is_past_end;
                        padding = 0;
                    }
                }
                continue;
            }
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => {
                out.is_broken |= !is_past_end;
                continue;
            }
        };
        if padding > 0 {
            out.is_broken |= !is_past_end;
            finish(bits, held, &mut out.bytes);
            (bits, held, padding) = (0, 0, 0);
        }
        bits = (bits << 6) | u32::from(value);
        held += 1;
        if held == 4 {
            let [_, a, b, c] = bits.to_be_bytes();
            out.bytes.extend_from_slice(&[a, b, c]);
            (bits, held) = (0, 0);
        }
    }
    out.is_broken |= held == 1 && !is_past_end;
    finish(bits, held, &mut out.bytes);
    out
}

/// What a character of the alphabet stands for; 64 and more for others.
fn value(byte: u8) -> u8 {
    const VALUES: [u8; 256] = {
        let mut values = [0xff; 256];
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut at = 0;
        while at < alphabet.len() {
            values[alphabet[at] as usize] = at as u8;
            at += 1;
        }
        values
    };
    VALUES.get(usize::from(byte)).copied().unwrap_or(0xff)
}

/// The bytes of a group of two or three characters.
fn finish(bits: u32, held: u8, out: &mut Vec<u8>) {
    match held {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
}

/// quoted-printable with its soft line breaks. What is no escape stays as it is, as readers show it.
pub(super) fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    for line in encoded.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n").map_or(line, |l| l.strip_suffix(b"\r").unwrap_or(l));
        let ending = line.get(text.len()..).unwrap_or_default();
        // White space at the end of a line was added on the way (rule 3).
        let text = text.trim_ascii_end();
        match text.strip_suffix(b"=") {
            // A soft break also ends the whole body in sloppy mail.
            Some(text) => escapes(text, &mut out),
            None => {
                escapes(text, &mut out);
                out.extend_from_slice(ending);
            }
        }
    }
    out
}

/// The Q encoding of RFC 2047 knows no lines.
pub(super) fn quoted_words(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    escapes(encoded, &mut out);
    out
}

fn escapes(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'=', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match escape {
            [_, high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest
            }
            [equals, rest @ ..] => {
                out.push(*equals);
                rest
            }
            [] => &[],
        };
    }
    out.extend_from_slice(rest);
}

pub(super) fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_reads_over_white_space_and_short_lines() {
        for (encoded, expected) in [
            (&b"aGVsbG8="[..], &b"hello"[..]),
            (b"a\r\nG\r\nV\r\nsbG8 =\r\n", b"hello"),
            (b"aGVsbG8", b"hello"),
            (b"aGVsbG8=d29ybGQ=", b"helloworld"),
            (b"aA==\r\naQ==\r\n", b"hi"),
            (b"", b""),
            (b"aGVsbG8gd29ybGQ=\r\n", b"hello world"),
        ] {
            let read = base64(encoded);
            assert_eq!((read.bytes.as_slice(), read.is_broken), (expected, false), "{encoded:?}");
        }
    }

    #[test]
    fn base64_on_which_readers_disagree_is_broken_and_recovered_as_far_as_it_goes() {
        for (encoded, expected) in [
            (&b"aGV*sbG8="[..], &b"hello"[..]),
            (b"aG=VsbG8=", b"h"),
            (b"a", b""),
            (b"=aGVsbG8=", b"hello"),
            (b"aGVs-bG8_", b"hello"),
        ] {
            let read = base64(encoded);
            assert!(read.is_broken, "{encoded:?}");
            assert!(read.bytes.starts_with(expected), "{encoded:?} {:?}", read.bytes);
        }
    }

    #[test]
    fn quoted_printable_reads_as_mail_in_the_wild_writes_it() {
        for (encoded, expected) in [
            (&b"Gr=C3=BC=c3=9fe"[..], "Grüße"),
            (b"one=\r\n two", "one two"),
            (b"one= \t\r\ntwo", "onetwo"),
            (b"one=\ntwo", "onetwo"),
            (b"trailing  \r\nnext", "trailing\r\nnext"),
            (b"1+1=2 =zz =", "1+1=2 =zz "),
            (b"=3D=3D=", "=="),
            (b"SSN 12=\r\n3-45=\r\n-6789", "SSN 123-45-6789"),
            (b"", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&quoted_printable(encoded)), expected, "{encoded:?}");
        }
    }
}
