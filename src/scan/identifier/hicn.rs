//! Medicare's number before 2018 (HICN): an SSN and a letter, perhaps a digit, that says who is insured through whom.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b\d{3}-?\d{2}-?\d{4}-?(?:[A-DF-HJKMT][0-9A-Z]?|W[0-9A-Z]?)\b",
    worth: |s| s.cluster >= 9 && (s.digit_letter || s.digit_dash_letter || s.is_foreign) && s.may_be(Cue::LabelPlan),
    check,
    hits: &[
        ("Medicare number 405-19-0261A", Kind::Mbi),
        ("HICN 405190261B1", Kind::Mbi),
        ("medicare no 405-19-0261-D", Kind::Mbi),
    ],
    misses: &[("part 405190261A", Kind::Mbi), ("HICN 000-19-0261A", Kind::Mbi), ("HICN 405-19-0261Q", Kind::Mbi)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let digits = c.digits();
    (c.stands_alone() && c.labelled(Cue::LabelPlan) && digits.get(..9).is_some_and(ssn::is_valid)).then_some((Kind::Mbi, 90))
}
