//! Medical record, chart and hospital numbers: five places or more, under a label or a column that says so.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: labelled::PATTERN,
    worth: |s| labelled::WORTH(s) && s.may_be(Cue::LabelMrn),
    check: |c| labelled::is_under(c, Cue::LabelMrn).then_some((Kind::Mrn, 90)),
    hits: &[
        ("MRN: 00680602", Kind::Mrn),
        ("(MRN MRN177292) came", Kind::Mrn),
        ("chart number 4471-22", Kind::Mrn),
        ("Patient\tMRN\nX\t1101457", Kind::Mrn),
        ("Patient ; DOB ; MRN\nBAKER, ANNA ; 11/6/74 ; MRN155964", Kind::Mrn),
    ],
    misses: &[("published in 2024", Kind::Mrn), ("order 00680602", Kind::Mrn), ("MRN: ask", Kind::Mrn), ("MRN 2024", Kind::Mrn)],
};

/// "WILSON, ANNA | 06/20/2010 | 00329187": in a record line the number behind a date is the record number.
pub(in crate::scan) const BEHIND_DATE: Identifier = Identifier {
    pattern: labelled::PATTERN,
    worth: |s| labelled::WORTH(s) && s.has_bar,
    check: |c| (labelled::is_number(c) && is_behind_date(c)).then_some((Kind::Mrn, 60)),
    hits: &[("BAKER, ANNA | 06/20/2010 | 00329187", Kind::Mrn)],
    misses: &[("on 06/20/2010 we got 00329187", Kind::Mrn)],
};

fn is_behind_date(c: &Candidate<'_>) -> bool {
    let before = c.page.slice(c.start.saturating_sub(16)..c.start);
    let date = before.trim_end_matches([' ', '|', ';', ',', '/', '-', '\t']);
    let is_separated = before.len() > date.len() && before.get(date.len()..).is_some_and(|gap| gap.contains(['|', ';', '\t']));
    let is_date = date.len() >= 8 && date.bytes().rev().take(8).filter(|b| b.is_ascii_digit()).count() >= 6;
    is_separated && is_date && c.text().len() >= 6
}
