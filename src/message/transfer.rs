//! Content transfer encodings (RFC 2045, section 6).

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// base64 undone as far as it goes.
pub(super) struct Base64 {
    pub bytes: Vec<u8>,
    /// Readers would not agree: a character outside the alphabet inside the data, padding in the wrong place, or a
    /// last group of one character.
    pub is_broken: bool,
}

/// Skips white space and goes on behind padding, so that two encoded texts in a row are both seen.
pub(super) fn base64(encoded: &[u8]) -> Base64 {
    let mut groups = Groups::default();
    groups.out.reserve(encoded.len() / 4 * 3 + 3);
    for line in encoded.split_inclusive(|byte| *byte == b'\n') {
        if !groups.take_whole(line.trim_ascii_end()) {
            groups.take(line);
        }
    }
    groups.is_broken |= groups.held == 1 && !groups.is_past_end;
    finish(groups.bits, groups.held, &mut groups.out);
    Base64 { bytes: groups.out, is_broken: groups.is_broken }
}

/// Where reading stands between one character and the next.
#[derive(Default)]
struct Groups {
    out: Vec<u8>,
    bits: u32,
    /// Characters of the group at hand.
    held: u8,
    padding: u8,
    /// What comes after proper padding is often a mailing list's footer in plain text.
    is_past_end: bool,
    is_broken: bool,
}

/// Whole groups without padding: nearly every line of nearly every attachment.
const WHOLE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, NO_PAD);

impl Groups {
    /// Takes a line of whole groups at once; `false` if it is none, and then nothing of it is taken.
    fn take_whole(&mut self, line: &[u8]) -> bool {
        if self.held != 0 || self.padding != 0 || line.is_empty() || !line.len().is_multiple_of(4) {
            return false;
        }
        let before = self.out.len();
        self.out.resize(before + line.len() / 4 * 3, 0);
        let is_whole = self.out.get_mut(before..).is_some_and(|room| WHOLE.decode_slice(line, room) == Ok(room.len()));
        if !is_whole {
            self.out.truncate(before);
        }
        is_whole
    }

    fn take(&mut self, encoded: &[u8]) {
        for byte in encoded {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' => {
                    self.pad();
                    continue;
                }
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                _ => {
                    self.is_broken |= !self.is_past_end;
                    continue;
                }
            };
            if self.padding > 0 {
                self.is_broken |= !self.is_past_end;
                finish(self.bits, self.held, &mut self.out);
                (self.bits, self.held, self.padding) = (0, 0, 0);
            }
            self.bits = (self.bits << 6) | u32::from(value);
            self.held += 1;
            if self.held == 4 {
                let [_, a, b, c] = self.bits.to_be_bytes();
                self.out.extend_from_slice(&[a, b, c]);
                (self.bits, self.held) = (0, 0);
            }
        }
    }

    fn pad(&mut self) {
        self.padding = self.padding.saturating_add(1);
        match (self.held, self.padding) {
            (2, 1) => {}
            (2, 2) | (3, 1) => {
                finish(self.bits, self.held, &mut self.out);
                (self.bits, self.held, self.padding, self.is_past_end) = (0, 0, 0, true);
            }
            _ => {
                self.is_broken |= !self.is_past_end;
                self.padding = 0;
            }
        }
    }
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
            (b"aGVs\r\nbG8h\r\naGVsbG8=\r\n", b"hello!hello"),
            (b"aGVsb\r\nG8haGVs\r\nbG8=\r\n", b"hello!hello"),
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
