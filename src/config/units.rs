use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;

/// A length of time as typed: `250ms`, `30s`, `60m`, `72h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A size as typed: `64KiB`, `50MiB`, `1GiB`, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_span(&text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no length of time; write for example \"30s\", \"60m\", \"72h\" or \"30d\""))
        })
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Typed {
            Number(u64),
            Text(String),
        }
        match Typed::deserialize(deserializer)? {
            Typed::Number(bytes) => Ok(Bytes(bytes)),
            Typed::Text(text) => parse_bytes(&text).ok_or_else(|| {
                D::Error::custom(format!("`{text}` is no size; write for example \"64KiB\", \"50MiB\" or a number of bytes"))
            }),
        }
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..at].parse().ok()?, text[at..].trim_start()))
}

fn parse_span(text: &str) -> Option<Span> {
    let (number, unit) = number_and_unit(text)?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Span(Duration::from_millis(number.checked_mul(ms)?)))
}

fn parse_bytes(text: &str) -> Option<Bytes> {
    let (number, unit) = number_and_unit(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    Some(Bytes(number.checked_mul(factor)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_as_people_write_them() {
        for (text, ms) in [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("60m", Some(3_600_000)),
            ("30d", Some(2_592_000_000)),
            ("30", None),
            ("x", None),
            ("1w", None),
            ("", None),
        ] {
            assert_eq!(parse_span(text).map(|span| span.0.as_millis() as u64), ms, "{text}");
        }
        for (text, bytes) in [
            ("64KiB", Some(65_536)),
            ("50MiB", Some(52_428_800)),
            ("1 GiB", Some(1 << 30)),
            ("5MB", None),
            ("99999999999999GiB", None),
        ] {
            assert_eq!(parse_bytes(text).map(|bytes| bytes.0), bytes, "{text}");
        }
    }
}
