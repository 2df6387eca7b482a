//! Routing numbers of banks (ABA): nine digits, weights 3-7-1, a district of the Federal Reserve in front, and a label.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b\d{9}\b",
    worth: |s| s.run >= 9 && s.may_be(Cue::LabelRouting),
    check,
    hits: &[("routing number 021000021", Kind::Routing), ("ABA 011401533", Kind::Routing)],
    misses: &[
        ("routing number 021000022", Kind::Routing),
        ("021000021 envelopes", Kind::Routing),
        ("routing 991000021", Kind::Routing),
    ],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    const WEIGHTS: [u32; 9] = [3, 7, 1, 3, 7, 1, 3, 7, 1];
    let sum: u32 = c.text().bytes().zip(WEIGHTS).map(|(b, weight)| u32::from(b.wrapping_sub(b'0')) * weight).sum();
    let district: u32 = c.text().get(..2)?.parse().ok()?;
    let is_district = matches!(district, 1..=12 | 21..=32 | 61..=72 | 80);
    (sum.is_multiple_of(10) && is_district && c.stands_alone() && c.nearest_is(Cue::LabelRouting)).then_some((Kind::Routing, 95))
}
