//! S/MIME as it is on the wire (RFC 5652): what is signed can be read, what is sealed cannot.

/// What a CMS file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cms {
    /// Signed; with its content unless the signature came detached.
    Signed(Option<Vec<u8>>),
    /// Sealed for its recipients.
    Sealed,
    /// Another kind: packed, hashed.
    Other,
}

/// Object identifiers behind `1.2.840.113549.1.`.
const PREFIX: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];
const PREFIX_9: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09];
/// Pieces inside pieces of a string: no writer nests them.
const DEPTH_MAX: usize = 4;

/// Reads the outside of a file; `None` if it is no CMS.
pub(super) fn read(bytes: &[u8]) -> Option<Cms> {
    let mut outer = Ber(bytes).inside(SEQUENCE)?;
    let kind = outer.value(OBJECT_IDENTIFIER)?;
    if kind.starts_with(&PREFIX_9) {
        // Packed (16.1.9), or sealed with a checksum (16.1.23).
        return Some(if kind.ends_with(&[16, 1, 23]) { Cms::Sealed } else { Cms::Other });
    }
    match kind.strip_prefix(&PREFIX)? {
        [2] => Some(Cms::Signed(content(&mut outer)?)),
        [3 | 4 | 6] => Some(Cms::Sealed),
        _ => Some(Cms::Other),
    }
}

/// The content inside what is signed; `Some(None)` where there is none.
fn content(outer: &mut Ber<'_>) -> Option<Option<Vec<u8>>> {
    let mut signed = outer.inside(EXPLICIT_0)?.inside(SEQUENCE)?;
    signed.value(INTEGER)?;
    signed.skip(SET)?;
    let mut inner = signed.inside(SEQUENCE)?;
    inner.value(OBJECT_IDENTIFIER)?;
    let Some(mut held) = inner.inside(EXPLICIT_0) else { return Some(None) };
    let mut out = Vec::new();
    held.octets(&mut out, 0)?;
    Some(Some(out))
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OCTET_PIECES: u8 = 0x24;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xa0;

/// BER: lengths may be missing, and then the value ends with two zeros (X.690, section 8.1.3.6).
#[derive(Clone, Copy)]
struct Ber<'a>(&'a [u8]);

impl<'a> Ber<'a> {
    /// Tag and length of the next value; the length is `None` where it is not told.
    fn head(&mut self) -> Option<(u8, Option<usize>)> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0x80 => (None, rest),
            short if *short < 0x80 => (Some(usize::from(*short)), rest),
            long => {
                let count = usize::from(long & 0x7f);
                let (digits, rest) = rest.split_at_checked(count)?;
                if count > 8 {
                    return None;
                }
                let length = digits.iter().fold(0u64, |value, digit| value << 8 | u64::from(*digit));
                (Some(usize::try_from(length).ok()?), rest)
            }
        };
        self.0 = rest;
        Some((*tag, length))
    }

    /// Steps into a value. One whose length is not told reaches as far as what is around it.
    fn inside(&mut self, tag: u8) -> Option<Ber<'a>> {
        let mut ahead = *self;
        let (found, length) = ahead.head()?;
        if found != tag {
            return None;
        }
        let Some(length) = length else {
            self.0 = &[];
            return Some(ahead);
        };
        let (value, rest) = ahead.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Ber(value))
    }

    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (found, length) = ahead.head()?;
        let (value, rest) = ahead.0.split_at_checked(length?)?;
        self.0 = rest;
        (found == tag).then_some(value)
    }

    /// Passes over a value, also one whose length is not told.
    fn skip(&mut self, tag: u8) -> Option<()> {
        let (found, length) = self.head()?;
        if found != tag {
            return None;
        }
        let mut open = usize::from(length.is_none());
        self.0 = self.0.get(length.unwrap_or(0)..)?;
        while open > 0 {
            match self.head()? {
                (0, Some(0)) => open -= 1,
                (_, None) => open += 1,
                (_, Some(length)) => self.0 = self.0.get(length..)?,
            }
        }
        Some(())
    }

    /// A string, whole or in pieces.
    fn octets(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        let (tag, length) = self.head()?;
        match (tag, length) {
            (OCTET_STRING, Some(length)) => {
                let (value, rest) = self.0.split_at_checked(length)?;
                out.extend_from_slice(value);
                self.0 = rest;
            }
            (OCTET_PIECES, length) if depth < DEPTH_MAX => {
                let mut pieces = match length {
                    Some(length) => Ber(self.0.get(..length)?),
                    None => *self,
                };
                while !(pieces.0.is_empty() || length.is_none() && pieces.0.starts_with(&[0, 0])) {
                    pieces.octets(out, depth + 1)?;
                }
                if length.is_none() && pieces.0.is_empty() {
                    return None;
                }
                self.0 = match length {
                    Some(length) => self.0.get(length..)?,
                    None => pieces.0.get(2..)?,
                };
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], length.as_slice(), value].concat()
    }

    fn open(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, 0x80], value, &[0, 0]].concat()
    }

    fn kind(last: u8) -> Vec<u8> {
        tlv(OBJECT_IDENTIFIER, &[PREFIX.as_slice(), &[last]].concat())
    }

    #[test]
    fn what_is_signed_is_read_however_it_is_written() {
        let words = b"Content-Type: text/plain\r\n\r\nlupus";
        let (first, second) = words.split_at(9);
        let whole = tlv(OCTET_STRING, words);
        let pieces = open(OCTET_PIECES, &[tlv(OCTET_STRING, first), tlv(OCTET_STRING, second)].concat());
        type Wrap = fn(u8, &[u8]) -> Vec<u8>;
        for (wrap, octets) in [(tlv as Wrap, &whole), (open as Wrap, &pieces), (tlv as Wrap, &pieces), (open as Wrap, &whole)] {
            let inner = wrap(SEQUENCE, &[kind(1), wrap(EXPLICIT_0, octets)].concat());
            let signed = wrap(SEQUENCE, &[tlv(INTEGER, &[1]), wrap(SET, &[]), inner].concat());
            let file = wrap(SEQUENCE, &[kind(2), wrap(EXPLICIT_0, &signed)].concat());
            assert_eq!(read(&file), Some(Cms::Signed(Some(words.to_vec()))));
            for cut in 0..file.len() {
                let _ = read(&file[..cut]);
            }
        }
        let inner = tlv(SEQUENCE, &kind(1));
        let signed = tlv(SEQUENCE, &[tlv(INTEGER, &[1]), tlv(SET, &[]), inner].concat());
        assert_eq!(read(&tlv(SEQUENCE, &[kind(2), tlv(EXPLICIT_0, &signed)].concat())), Some(Cms::Signed(None)));
    }

    #[test]
    fn what_is_sealed_is_told_from_what_only_begins_alike() {
        assert_eq!(read(&tlv(SEQUENCE, &[kind(3), tlv(EXPLICIT_0, b"x")].concat())), Some(Cms::Sealed));
        assert_eq!(read(b"0 patient was seen today, lupus"), None);
        assert_eq!(read(&tlv(SEQUENCE, &kind(2))), None);
    }
}
