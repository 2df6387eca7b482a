//! Implants and devices: serial numbers under a label, and the GS1 form of the unique device identifier, whose 14 digits
//! behind (01) end in a check digit (21 CFR 801; GS1 General Specifications 7.9).
use super::*;

pub(in crate::scan) const SERIAL: Identifier = Identifier {
    pattern: labelled::PATTERN,
    worth: |s| labelled::WORTH(s) && s.may_be(Cue::LabelDevice),
    check: |c| labelled::is_under(c, Cue::LabelDevice).then_some((Kind::Device, 90)),
    hits: &[("pacemaker serial number SNA62803007", Kind::Device)],
    misses: &[("printer SNA62803007", Kind::Device)],
};

pub(in crate::scan) const UDI: Identifier = Identifier {
    pattern: r"\(01\) ?\d{14}(?: ?\(\d{2}\) ?[0-9A-Za-z-]{1,20}){0,4}",
    worth: |s| s.run >= 14,
    check: |c| c.text().get(4..).is_some_and(is_gtin).then_some((Kind::Device, 95)),
    hits: &[("implanted (01)00844588003288(17)141120(21)10987654d321", Kind::Device), ("(01) 00844588003288", Kind::Device)],
    misses: &[("(01)00844588003289", Kind::Device), ("(02)00844588003288", Kind::Device)],
};

/// Fourteen digits whose weighted sum (3, 1, 3, ...) is a multiple of ten.
fn is_gtin(text: &str) -> bool {
    let digits: Vec<u32> =
        text.trim_start().bytes().take(14).map(|b| u32::from(b.wrapping_sub(b'0'))).filter(|digit| *digit < 10).collect();
    let sum: u32 = digits.iter().enumerate().map(|(at, digit)| if at % 2 == 0 { digit * 3 } else { *digit }).sum();
    digits.len() == 14 && sum.is_multiple_of(10) && sum > 0
}
