//! International bank account numbers: length by country, remainder 1 modulo 97 (ISO 13616).
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[A-Z]{2}\d{2}(?: ?[0-9A-Z]{2,4}){3,8}\b",
    worth: |s| s.capitals_digit && s.groups >= 1,
    check,
    hits: &[("transfer to GB52NIUH24835436012803.", Kind::Iban), ("DE89 3704 0044 0532 0130 00", Kind::Iban)],
    misses: &[("GB53NIUH24835436012803", Kind::Iban), ("DE89 3704 0044 0532", Kind::Iban)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let plain: String = c.text().chars().filter(|x| *x != ' ').collect();
    let length = match plain.get(0..2)? {
        "NO" => 15,
        "BE" => 16,
        "DK" | "FI" | "NL" => 18,
        "AT" | "LU" => 20,
        "CH" => 21,
        "DE" | "GB" | "IE" => 22,
        "ES" | "SE" | "CZ" => 24,
        "PT" => 25,
        "FR" | "IT" => 27,
        "PL" | "HU" | "CY" => 28,
        _ => plain.len().clamp(15, 34),
    };
    let rest = format!("{}{}", plain.get(4..)?, plain.get(..4)?);
    let remainder = rest.bytes().fold(0u32, |r, b| match b {
        b'0'..=b'9' => (r * 10 + u32::from(b - b'0')) % 97,
        other => (r * 100 + u32::from(other.wrapping_sub(b'A')) + 10) % 97,
    });
    (plain.len() == length && remainder == 1 && c.stands_alone()).then_some((Kind::Iban, 98))
}
