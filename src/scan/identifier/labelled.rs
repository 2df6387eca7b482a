//! Numbers without a shape of their own: what they are is said by the label before them or the column above.
use super::*;
use crate::scan::dictionary::Meaning;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[A-Za-z]{0,5}-?\d[0-9A-Za-z]*(?:-[0-9A-Za-z]+)*\b",
    worth: |s| s.cluster >= 4 || s.word >= 5 || s.groups >= 4,
    check,
    hits: &[
        ("MRN: 00680602", Kind::Mrn),
        ("(MRN MRN177292) came", Kind::Mrn),
        ("chart number 4471-22", Kind::Mrn),
        ("Patient\tMRN\nX\t1101457", Kind::Mrn),
        ("member ID HPX809994540", Kind::HealthPlan),
        ("Aetna 30487502018", Kind::HealthPlan),
        ("the Aetna card ABC948025285", Kind::HealthPlan),
        ("Patient ; DOB ; MRN\nBAKER, ANNA ; 11/6/74 ; MRN155964", Kind::Mrn),
        ("BAKER, ANNA | 06/20/2010 | 00329187", Kind::Mrn),
        ("Medicaid # GH61317F", Kind::Medicaid),
        ("Acct: A6210561", Kind::Account),
        ("Claim 5786214765", Kind::Account),
        ("the driver's license (57928450) for", Kind::License),
        ("pacemaker serial number SNA62803007", Kind::Device),
    ],
    misses: &[
        ("published in 2024", Kind::Mrn),
        ("order 00680602", Kind::Mrn),
        ("MRN: ask", Kind::Mrn),
        ("public 57928450", Kind::License),
        ("member since 2019", Kind::HealthPlan),
    ],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let text = c.text();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits < 4 || !(5..=20).contains(&text.len()) || !c.stands_alone() {
        return None;
    }
    // An insurer's name right before a number makes it the number of a member.
    let behind = c.page.terms.partition_point(|term| term.end <= c.start);
    let insurer = behind.checked_sub(1).and_then(|index| c.page.terms.get(index));
    let is_insurers = |gap: &str| {
        gap.len() <= 20
            && gap.split(|x: char| !x.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).all(|word| {
                matches!(
                    word.to_ascii_lowercase().as_str(),
                    "card"
                        | "plan"
                        | "id"
                        | "no"
                        | "number"
                        | "policy"
                        | "member"
                        | "gold"
                        | "plus"
                        | "ppo"
                        | "hmo"
                        | "is"
                        | "with"
                )
            })
    };
    if insurer
        .is_some_and(|term| term.meaning == Meaning::Insurer && is_insurers(c.page.slice(term.end..c.start)) && text.len() >= 7)
    {
        let is_medicaid = c.nearest_is(Cue::LabelMedicaid);
        return Some((if is_medicaid { Kind::Medicaid } else { Kind::HealthPlan }, 85));
    }
    let Some((cues, distance)) = c.page.label_before(c.start, 44) else { return behind_birth_date(c) };
    let between = c.page.slice(c.start - distance..c.start);
    // Another number, or the end of a sentence, between label and number: the label is not for this one.
    if distance > 0 && (between.bytes().any(|b| b.is_ascii_digit()) || between.contains(". ") || words(between) > 4) {
        return behind_birth_date(c);
    }
    let is_year = text.len() == 4;
    let kind = cues.iter().find_map(|cue| match cue {
        Cue::LabelMrn => Some(Kind::Mrn),
        Cue::LabelMedicaid => Some(Kind::Medicaid),
        Cue::LabelPlan => Some(Kind::HealthPlan),
        Cue::LabelLicense => Some(Kind::License),
        Cue::LabelDevice => Some(Kind::Device),
        Cue::LabelAccount => Some(Kind::Account),
        _ => None,
    });
    match kind {
        Some(kind) if !is_year => Some((kind, 90)),
        Some(_) | None => behind_birth_date(c),
    }
}

fn words(text: &str) -> usize {
    text.split_ascii_whitespace().filter(|word| word.bytes().any(|b| b.is_ascii_alphanumeric())).count()
}

/// "WILSON, ANNA | 06/20/2010 | 00329187": in a record line the number behind a date is the record number.
fn behind_birth_date(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    let before = c.page.slice(c.start.saturating_sub(16)..c.start);
    let date = before.trim_end_matches([' ', '|', ';', ',', '/', '-', '\t']);
    let is_separated = before.len() > date.len() && before.get(date.len()..).is_some_and(|gap| gap.contains(['|', ';', '\t']));
    let is_date = date.len() >= 8 && date.bytes().rev().take(8).filter(|b| b.is_ascii_digit()).count() >= 6;
    (is_separated && is_date && c.text().len() >= 6).then_some((Kind::Mrn, 60))
}
