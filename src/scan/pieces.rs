//! Large texts in pieces, so that a scan holds the words of one piece and not of fifty megabytes.
//!
//! A piece ends where a paragraph or at least a line does. It begins with the header row of the table it goes on with and
//! with the end of the piece before, so that what stands on both sides of a cut is still read together; what was told of
//! that end is not told again.

use std::ops::Range;

use super::page::Page;

/// Texts up to this many bytes are read as one.
pub(super) const WHOLE_MAX: usize = 256 * 1024;
/// Bytes of all texts of a message that are read as one each; what comes behind is read in pieces whatever its size.
pub(super) const WHOLE_TOTAL_MAX: usize = 2 * 1024 * 1024;
/// What is new in a piece, in bytes.
const PIECE: usize = if cfg!(test) { 4 * 1024 } else { 128 * 1024 };
/// So far before its end the best place for a cut is looked for.
const CUT_WITHIN: usize = 2 * 1024;
/// So much of the piece before is read again, in bytes: as far as "she" refers.
const AGAIN: usize = 1024;
/// Longest header row that goes with every piece.
const HEADER_MAX: usize = 2 * 1024;

/// A piece as it is read.
pub(super) struct Piece {
    pub text: String,
    /// Bytes of the header row and its line end, which stand elsewhere in the original.
    header: usize,
    /// Up to here in `text` everything was told before.
    pub told: usize,
    /// Where in the original what follows the header begins.
    start: usize,
    pub is_last: bool,
}

impl Piece {
    /// Where in the original it begins.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The span in the original.
    pub(super) fn original(&self, span: &Range<usize>) -> Range<usize> {
        let place = |at: usize| self.start + at.saturating_sub(self.header);
        place(span.start)..place(span.end)
    }
}

/// Cuts a text. The header of each piece is known when the one before has been read.
pub(super) struct Pieces<'t> {
    text: &'t str,
    next: usize,
    header: String,
}

impl<'t> Pieces<'t> {
    pub(super) fn of(text: &'t str) -> Pieces<'t> {
        Pieces { text, next: 0, header: String::new() }
    }

    pub(super) fn next(&mut self) -> Option<Piece> {
        if self.next >= self.text.len() {
            return None;
        }
        let end = cut(self.text, self.next);
        let start = again(self.text, self.next);
        let mut text = String::with_capacity(self.header.len() + 1 + end - start);
        if !self.header.is_empty() {
            text.push_str(&self.header);
            text.push('\n');
        }
        let header = text.len();
        text.push_str(self.text.get(start..end).unwrap_or_default());
        let piece = Piece { told: header + self.next - start, text, header, start, is_last: end == self.text.len() };
        self.next = end;
        Some(piece)
    }

    /// The next piece goes on with the table that this page ends in, if it does.
    pub(super) fn goes_on(&mut self, page: &Page<'_>) {
        self.header.clear();
        let header = page.last_header().filter(|header| header.len() <= HEADER_MAX);
        self.header.push_str(header.unwrap_or_default());
    }
}

/// Where the piece that begins at `from` ends.
fn cut(text: &str, from: usize) -> usize {
    if text.len() - from <= PIECE {
        return text.len();
    }
    let end = boundary(text, from + PIECE);
    let tail = text.get(boundary(text, end - CUT_WITHIN)..end).unwrap_or_default();
    let place = ["\n\n", "\n\r\n", "\n", " "].iter().find_map(|sign| tail.rfind(sign).map(|at| at + sign.len()));
    place.map_or(end, |at| end - tail.len() + at)
}

/// Where reading begins again before a cut: at a line or word.
fn again(text: &str, cut: usize) -> usize {
    let from = boundary(text, cut.saturating_sub(AGAIN));
    if from == 0 {
        return from;
    }
    let tail = text.get(from..cut).unwrap_or_default();
    tail.find('\n').or_else(|| tail.find(' ')).map_or(cut, |at| from + at + 1)
}

/// The nearest beginning of a character at or before a place.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
