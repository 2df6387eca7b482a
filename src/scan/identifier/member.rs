//! Member, subscriber and policy numbers of health plans: under a label, or right behind an insurer's name.
use super::*;
use crate::scan::dictionary::Meaning;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: labelled::PATTERN,
    worth: |s| labelled::WORTH(s) && (s.has_insurer || s.may_be(Cue::LabelPlan)),
    check,
    hits: &[
        ("member ID HPX809994540", Kind::HealthPlan),
        ("Subscriber no. XQH882014459", Kind::HealthPlan),
        ("Aetna 30487502018", Kind::HealthPlan),
        ("the Aetna card ABC948025285", Kind::HealthPlan),
    ],
    misses: &[("member since 2019", Kind::HealthPlan), ("a member of the board, as said before, 4155550144", Kind::HealthPlan)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    if labelled::is_under(c, Cue::LabelPlan) {
        return Some((Kind::HealthPlan, 90));
    }
    // An insurer's name right before a number makes it the number of a member.
    let behind = c.page.terms.partition_point(|term| term.end <= c.start);
    let insurer = behind.checked_sub(1).and_then(|index| c.page.terms.get(index))?;
    (labelled::is_number(c)
        && c.text().len() >= 7
        && insurer.meaning == Meaning::Insurer
        && is_link(c.page.slice(insurer.end..c.start)))
    .then_some((Kind::HealthPlan, 85))
}

/// Words that may stand between an insurer and a number of its card.
fn is_link(gap: &str) -> bool {
    const LINKS: [&str; 12] = ["card", "plan", "id", "no", "number", "policy", "member", "gold", "plus", "ppo", "hmo", "is"];
    gap.len() <= 20
        && gap
            .split(|x: char| !x.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .all(|word| LINKS.iter().chain(&["with"]).any(|link| link.eq_ignore_ascii_case(word)))
}
