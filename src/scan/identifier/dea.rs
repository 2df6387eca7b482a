//! DEA registration number of a prescriber: two letters (or a letter and 9), six digits and a check digit.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[A-HJ-MPRSTUX][A-Z9]\d{7}\b",
    worth: |s| s.run >= 7 && s.letter_digit || s.capitals_digit,
    check,
    hits: &[("DEA AH8417215", Kind::Dea), ("prescriber MM4924191", Kind::Dea)],
    misses: &[("DEA AH8417216", Kind::Dea), ("NN4924191", Kind::Dea)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let d: Vec<u32> = c.text().bytes().skip(2).map(|b| u32::from(b.wrapping_sub(b'0'))).collect();
    let [a, b, e, f, g, h, last] = d[..] else { return None };
    let is_valid = (a + e + g + 2 * (b + f + h)) % 10 == last;
    let is_other = c.nearest_is(Cue::LabelAccount) || c.nearest_is(Cue::LabelMrn) || c.nearest_is(Cue::LabelPlan);
    (c.stands_alone() && is_valid && !is_other).then_some((Kind::Dea, if c.labelled(Cue::LabelDea) { 99 } else { 80 }))
}
