//! Complaints put together from a part of the body and what is wrong with it: "her eye is crusted shut", "knee gave out".
//! No list holds them all, but every one names the part and the change.

use std::ops::Range;

use super::dictionary::Cue;
use super::page::{CueHit, Page};

/// A part of the body, and how far behind and before it the change is looked for, in bytes.
const BEHIND: usize = 40;
const BEFORE: usize = 24;

/// What a composed complaint is worth: as much as a plain symptom.
const PLAIN: i32 = 26;
/// As much, a little less: the change is an everyday word, and only an owner of the part makes it bodily.
const OWNED: i32 = 24;

/// A complaint and what it is worth as a statement on health, in order of place.
pub(super) fn complaints(page: &Page<'_>) -> Vec<(Range<usize>, i32)> {
    let mut out: Vec<(Range<usize>, i32)> = Vec::new();
    if !page.holds(Cue::BadState) && !page.holds(Cue::ChangeState) {
        return out;
    }
    for (index, part) in page.cues.iter().enumerate().filter(|(_, hit)| hit.cue == Cue::Body) {
        if out.last().is_some_and(|(span, _)| span.end >= part.end) {
            continue;
        }
        let sentence = page.sentence_span(page.sentence_at(part.start));
        let (from, to) = (sentence.start.max(part.start.saturating_sub(BEFORE)), sentence.end.min(part.end + BEHIND));
        let owned = is_owned(page, part.start);
        let near = |hit: &CueHit| {
            let parted = if hit.start >= part.end {
                page.slice(part.end..hit.start)
            } else if hit.end <= part.start {
                page.slice(hit.end..part.start)
            } else {
                return None;
            };
            if parted.contains(['\n', ';', '\t', '|', '(']) {
                return None;
            }
            match hit.cue {
                Cue::BadState => Some(PLAIN),
                // "Back up", "hands down": an everyday word goes with the part behind it only.
                Cue::ChangeState if owned && hit.start > part.start => Some(OWNED),
                _ => None,
            }
        };
        let before = page.cues.get(..index).unwrap_or_default().iter().rev().take(24).take_while(|hit| hit.start + 60 > from);
        let behind = page.cues.get(index + 1..).unwrap_or_default().iter().take(24).take_while(|hit| hit.start < to);
        let best = before
            .filter(|hit| hit.start >= from)
            .chain(behind)
            .filter_map(|hit| near(hit).map(|worth| (worth, hit)))
            .max_by_key(|(worth, _)| *worth);
        if let Some((worth, state)) = best {
            out.push((part.start.min(state.start)..part.end.max(state.end), worth));
        }
    }
    out
}

/// Somebody's: "her", "my", "'s", or a side, right before the part or one word before.
fn is_owned(page: &Page<'_>, at: usize) -> bool {
    let index = page.words.partition_point(|word| word.start < at);
    (1..=2).any(|back| {
        index.checked_sub(back).is_some_and(|index| {
            let word = page.word_text(index);
            let gap = page.words.get(index).map_or("", |word| page.slice(word.end..at));
            !gap.contains(['.', '\n', ',', ';', '/'])
                && (["his", "her", "my", "your", "their", "both", "left", "right", "l", "r", "lt", "rt", "bilateral"]
                    .iter()
                    .any(|owner| owner.eq_ignore_ascii_case(word))
                    || gap.starts_with("'s"))
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scan::dictionary::Scanner;

    fn found(text: &str) -> Vec<i32> {
        complaints(&Page::of(text, Scanner::shared())).into_iter().map(|(_, worth)| worth).collect()
    }

    #[test]
    fn a_part_of_the_body_and_what_is_wrong_with_it_make_a_complaint() {
        for text in [
            "Her eye is crusted shut.",
            "swollen ankle since noon",
            "his left knee gave out on the stairs",
            "throbbing in the big toe",
        ] {
            assert_eq!(found(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn everyday_words_and_parts_are_none() {
        for text in [
            "The back office is open again.",
            "Please hand in the form, the heart of the matter is growing.",
            "On the other hand the numbers went up.",
            "We are head and shoulders above. The door is broken.",
        ] {
            assert_eq!(found(text), Vec::<i32>::new(), "{text}");
        }
    }
}
