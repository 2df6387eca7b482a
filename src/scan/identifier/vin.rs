//! Vehicle identification number: 17 places, check digit in the ninth (49 CFR 565.15).
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[A-HJ-NPR-Z0-9]{17}\b",
    worth: |s| s.word >= 17,
    check,
    hits: &[("VIN 1M8GDM9AXKP042788", Kind::Vin), ("seen after the crash of 1M8GDM9AXKP042788", Kind::Vin)],
    misses: &[("1M8GDM9A1KP042788", Kind::Vin), ("11111111111111111", Kind::Vin)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let value = |b: u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        b'A' | b'J' => 1,
        b'B' | b'K' | b'S' => 2,
        b'C' | b'L' | b'T' => 3,
        b'D' | b'M' | b'U' => 4,
        b'E' | b'N' | b'V' => 5,
        b'F' | b'W' => 6,
        b'G' | b'P' | b'X' => 7,
        b'H' | b'Y' => 8,
        _ => 9,
    };
    let sum: u32 = c.text().bytes().zip(WEIGHTS).map(|(b, weight)| value(b) * weight).sum();
    let check = c.text().as_bytes().get(8).copied()?;
    let is_valid = if sum % 11 == 10 { check == b'X' } else { u32::from(check.wrapping_sub(b'0')) == sum % 11 };
    let has_both = c.text().bytes().any(|b| b.is_ascii_digit()) && c.text().bytes().any(|b| b.is_ascii_alphabetic());
    (is_valid && has_both && c.stands_alone()).then_some((Kind::Vin, 95))
}
