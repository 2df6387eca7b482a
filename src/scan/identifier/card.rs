//! Payment cards: brand by prefix and length, and Luhn's check.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b\d(?:[ -]?\d){12,18}\b",
    worth: |s| s.cluster >= 13,
    check,
    hits: &[
        ("card 6011-0610-1314-6580.", Kind::CreditCard),
        ("declined: 4111111111111111", Kind::CreditCard),
        ("3782 822463 10005", Kind::CreditCard),
    ],
    misses: &[
        ("4111111111111112", Kind::CreditCard),
        ("0000000000000000", Kind::CreditCard),
        ("9111111111111111", Kind::CreditCard),
    ],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let digits = c.digits();
    (c.stands_alone() && is_brand(&digits) && luhn(&digits) && !all_same(&digits)).then_some((Kind::CreditCard, 95))
}

fn is_brand(digits: &str) -> bool {
    let prefix = |n: usize| digits.get(..n).and_then(|p| p.parse::<u32>().ok()).unwrap_or(0);
    match digits.len() {
        13 | 19 if prefix(1) == 4 => true,
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 35 | 65)
                || matches!(prefix(4), 2221..=2720 | 6011)
                || matches!(prefix(3), 644..=649)
        }
        15 => matches!(prefix(2), 34 | 37),
        14 => matches!(prefix(2), 36 | 38) || matches!(prefix(3), 300..=305),
        _ => false,
    }
}
