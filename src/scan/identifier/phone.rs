//! Telephone and fax numbers of the North American plan; 555-0100 to 555-0199 are fiction and count too.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"(?:\+?1[-. \n]?)?(?:\(\d{3}\)[ \n]?|\b\d{3}[-. /\n]?)\d{3}[-. \n]?\d{4}\b",
    worth: |s| s.cluster >= 10,
    check,
    hits: &[
        ("call 804.660.7476", Kind::Phone),
        ("Please call +1 520 695 9149.", Kind::Phone),
        ("(775) 508-5209", Kind::Phone),
        ("Fax: (315) 693-9959", Kind::Fax),
        ("phone 7755085209", Kind::Phone),
    ],
    misses: &[
        ("call 199-660-7476", Kind::Phone),
        ("804-911-7476", Kind::Phone),
        ("order 7755085209", Kind::Phone),
        ("MRN 7755085209", Kind::Phone),
        ("9775-508-5209", Kind::Phone),
    ],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let digits = c.digits();
    let ten = digits.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(&digits);
    let (Some(area), Some(exchange)) = (ten.get(0..3), ten.get(3..6)) else { return None };
    let is_exchange = exchange.starts_with(|d: char| ('2'..='9').contains(&d)) && !exchange.ends_with("11");
    if ten.len() != 10 || !c.stands_alone() || !is_exchange || !area.starts_with(|d: char| ('2'..='9').contains(&d)) {
        return None;
    }
    let is_formatted = c.text().bytes().any(|b| !b.is_ascii_digit());
    let is_known = c.scanner.is_area_code(area);
    let label = c.page.label_before(c.start, 40);
    let nearest = |cue| label.as_ref().is_some_and(|(cues, _)| cues.contains(&cue));
    let kind = if nearest(Cue::LabelFax) { Kind::Fax } else { Kind::Phone };
    let is_labelled = nearest(Cue::LabelPhone) || nearest(Cue::LabelFax);
    match (is_formatted, is_labelled, is_known) {
        (true, true, _) => Some((kind, 95)),
        (true, false, true) => Some((kind, 85)),
        (true, false, false) => c.text().bytes().any(|b| matches!(b, b'(' | b'-' | b'.' | b'+')).then_some((kind, 60)),
        (false, true, true) => Some((kind, 80)),
        (false, _, _) => None,
    }
}
