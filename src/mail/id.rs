use std::fmt;

use super::Timestamp;

/// Crockford's base32, lower case: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a Wardpost id; ids are 16 or 26 characters of 0-9 and a-z without i, l, o, u")]
pub struct IdError;

fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
    }
    if held > 0 {
        out.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
    }
    out
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    if text.len() != (N * 8).div_ceil(5) {
        return Err(IdError);
    }
    let mut out = [0u8; N];
    let (mut bits, mut held, mut at) = (0u32, 0u32, 0);
    for byte in text.bytes() {
        let value = ALPHABET.iter().position(|a| *a == byte.to_ascii_lowercase()).ok_or(IdError)?;
        bits = (bits << 5) | value as u32;
        held += 5;
        if held >= 8 {
            held -= 8;
            if let Some(slot) = out.get_mut(at) {
                *slot = (bits >> held & 255) as u8;
            }
            at += 1;
        }
    }
    Ok(out)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Parses what [`fmt::Display`] prints; case does not matter.
            ///
            /// # Errors
            /// [`IdError`] for any other text.
            pub fn parse(text: &str) -> Result<$name, IdError> {
                decode::<$bytes>(text).map($name)
            }

            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), encode(&self.0))
            }
        }
    };
}

/// How much of an id is its time: 40 bits of milliseconds, which go round in 34 years.
const TIME_BYTES: usize = 5;

macro_rules! timed {
    ($name:ident, $random:literal) => {
        impl $name {
            /// A fresh id: the time it was made, then random bytes. Ids of one moment are neighbours in an index, so that a
            /// batch of them changes a few pages of it and not one for each.
            #[must_use]
            pub fn new(at: Timestamp, random: [u8; $random]) -> $name {
                let mut id = [0; TIME_BYTES + $random];
                for (slot, byte) in id.iter_mut().zip(at.0.to_be_bytes().into_iter().skip(8 - TIME_BYTES).chain(random)) {
                    *slot = byte;
                }
                $name(id)
            }
        }
    };
}

id!(
    /// One accepted submission: 16 characters. The reference that peers, reports and records name.
    QueueId, 10
);
id!(
    /// One recipient's copy of a message.
    CopyId, 16
);
id!(
    /// One stored body, shared by the copies of one set of edits.
    BodyId, 16
);
timed!(QueueId, 5);
timed!(CopyId, 11);
id!(
    /// One parcel in the portal; also its locator in the link (128 bits, a locator and no secret).
    ParcelId, 16
);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_later_id_sorts_behind_an_earlier_one() {
        let id = |at| QueueId::new(Timestamp(at), [9; 5]);
        assert!(id(1_700_000_000_000) < id(1_700_000_000_001));
        assert_eq!(&CopyId::new(Timestamp(0x0102_0304_0506), [7; 11]).0, &[2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
    }

    #[test]
    fn an_id_prints_and_parses_back() {
        for seed in 0..=255u8 {
            let id = CopyId(std::array::from_fn(|i| seed.wrapping_mul(31).wrapping_add(i as u8 * 7)));
            assert_eq!(CopyId::parse(&id.to_string()), Ok(id));
            assert_eq!(id.to_string().len(), 26);
        }
        assert_eq!(QueueId([255; 10]).to_string(), "zzzzzzzzzzzzzzzz");
        assert_eq!(QueueId::parse("short"), Err(IdError));
        assert_eq!(QueueId::parse("iiiiiiiiiiiiiiii"), Err(IdError));
    }
}
