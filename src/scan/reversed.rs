//! Text that a sign turns round: what stands between U+202E and U+202C is shown from right to left, so letters written
//! backwards read forwards on the screen (Unicode Annex 9, section 2.2).

use std::borrow::Cow;

use super::normal::{Normal, note};

const OVERRIDE: char = '\u{202e}';
/// Ends of what an override covers: its own sign, and the end of a paragraph.
const ENDS: [char; 3] = ['\u{202c}', '\n', '\u{2029}'];

/// The text as the screen shows it, if anything in it is turned round. Linear. Places in a stretch lead to where it begins.
pub(super) fn reading(original: &str) -> Option<Normal<'_>> {
    memchr::memmem::find(original.as_bytes(), "\u{202e}".as_bytes())?;
    let mut text = String::with_capacity(original.len());
    let mut shifts = Vec::new();
    let mut at = 0;
    while let Some(found) = original.get(at..).and_then(|rest| rest.find(OVERRIDE)) {
        let start = at + found;
        copy(original, at, start, &mut text, &mut shifts);
        let inside = start + OVERRIDE.len_utf8();
        let rest = original.get(inside..).unwrap_or_default();
        let length = rest.find(ENDS).unwrap_or(rest.len());
        for c in rest.get(..length).unwrap_or_default().chars().rev() {
            note(&mut shifts, text.len(), start);
            text.push(c);
        }
        at = inside + length;
    }
    copy(original, at, original.len(), &mut text, &mut shifts);
    Some(Normal { text: Cow::Owned(text), shifts, original })
}

fn copy(original: &str, from: usize, to: usize, text: &mut String, shifts: &mut Vec<(usize, usize)>) {
    if from < to {
        note(shifts, text.len(), from);
        text.push_str(original.get(from..to).unwrap_or_default());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_turned_round_reads_as_the_screen_shows_it() {
        for (written, read) in [
            ("a \u{202e}supul\u{202c} b", "a lupus\u{202c} b"),
            ("\u{202e}supul", "lupus"),
            ("\u{202e}supul\nb", "lupus\nb"),
            ("\u{202e}\u{202e}", "\u{202e}"),
        ] {
            assert_eq!(reading(written).unwrap().text, read, "{written:?}");
        }
        assert!(reading("lupus").is_none());
        let turned = reading("ä \u{202e}supul\u{202c} b").unwrap();
        assert_eq!(turned.original(&(4..8)).start, 3);
    }
}
