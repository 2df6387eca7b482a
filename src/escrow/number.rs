use std::fmt;

/// Crockford's base32, upper case: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Kind under which the vault makes the keyed hash of [`Number::as_bytes`] by which a parcel is found.
pub const NUMBER_HASH: &str = "message number";

/// The number of a parcel, for people who type the address themselves instead of following a link: `R4TM-9KQ2`.
/// A locator of 40 bits and no secret; it stands in the notice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number([u8; 8]);

/// Why a text is no number. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message number has eight letters and digits")]
pub struct NumberError;

impl Number {
    /// A number from five random bytes, five bits a character.
    #[must_use]
    pub fn from_random(random: [u8; 5]) -> Number {
        let bits = random.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        Number(std::array::from_fn(|index| ALPHABET[(bits >> (35 - 5 * index) & 31) as usize]))
    }

    /// Parses what a person types: case does not matter, spaces and dashes are skipped, O counts as 0, I and L as 1.
    ///
    /// # Errors
    /// [`NumberError`] for another length or character.
    pub fn parse(text: &str) -> Result<Number, NumberError> {
        let mut out = [b'0'; 8];
        let mut count = 0;
        for c in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}')) {
            let c = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let byte = u8::try_from(c).ok().filter(|byte| ALPHABET.contains(byte)).ok_or(NumberError)?;
            *out.get_mut(count).ok_or(NumberError)? = byte;
            count += 1;
        }
        if count == out.len() { Ok(Number(out)) } else { Err(NumberError) }
    }

    /// The eight characters without the dash, upper case: what [`NUMBER_HASH`] is made over.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if index == 4 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*byte))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_prints_and_parses_back_however_it_is_typed() {
        assert_eq!(Number::from_random([0; 5]).to_string(), "0000-0000");
        assert_eq!(Number::from_random([255; 5]).to_string(), "ZZZZ-ZZZZ");
        for seed in 0..=255u8 {
            let number =
                Number::from_random(std::array::from_fn(|i| seed.wrapping_mul(37).wrapping_add((i as u8).wrapping_mul(91))));
            assert_eq!(Number::parse(&number.to_string()), Ok(number));
        }
        let number = Number::parse("R4TM-9KQ2").unwrap();
        for typed in ["r4tm9kq2", " R4TM 9KQ2 ", "r4tm–9kq2"] {
            assert_eq!(Number::parse(typed), Ok(number), "{typed}");
        }
        assert_eq!(Number::parse("OIL0-1111"), Number::parse("0110-1111"));
        for typed in ["", "R4TM-9KQ", "R4TM-9KQ22", "R4TM-9KU2", "R4TM_9KQ2", "Ｒ4TM9KQ2"] {
            assert_eq!(Number::parse(typed), Err(NumberError), "{typed}");
        }
    }
}
