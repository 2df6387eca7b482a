//! Amounts of money in dollars.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"(?:US ?)?\$ ?\d{1,3}(?:,\d{3})*(?:\.\d{2})?|\$ ?\d+(?:\.\d{2})?|\b\d{1,6}(?:\.\d{2})? (?:dollars|USD)\b",
    worth: |s| s.has_dollar || s.digit_money || s.is_foreign && s.digit_unit,
    check: |_| Some((Kind::Amount, 90)),
    hits: &[("your balance is $4,377.76.", Kind::Amount), ("$20", Kind::Amount), ("40 dollars", Kind::Amount)],
    misses: &[("4,377.76", Kind::Amount), ("$HOME", Kind::Amount)],
};
