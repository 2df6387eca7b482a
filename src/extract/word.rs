//! Word before 2007: the text by its piece table (MS-DOC, section 2.4.1).

use super::UnreadableWhy;
use super::little::{Little, u16_at, u32_at};

/// Where the base of every Word file says what it is.
const IDENT: [u16; 2] = [0xa5ec, 0xa5dc];
/// The first version with a piece table at this place (Word 97).
const PIECES_SINCE: u16 = 0x00c1;

/// All text: letter, notes, headers, comments and text boxes follow each other. `table` gives the named stream.
pub(super) fn text(
    document: &[u8],
    table: impl FnOnce(&str) -> Result<Vec<u8>, UnreadableWhy>,
    limit: u64,
) -> Result<String, UnreadableWhy> {
    let damaged = UnreadableWhy::Damaged;
    let ident = u16_at(document, 0).ok_or(damaged)?;
    let version = u16_at(document, 2).ok_or(damaged)?;
    let flags = u16_at(document, 10).ok_or(damaged)?;
    if !IDENT.contains(&ident) {
        return Err(damaged);
    }
    if flags & 0x0100 != 0 {
        return Err(UnreadableWhy::Encrypted);
    }
    if version < PIECES_SINCE {
        return old(document, flags);
    }
    let table = table(if flags & 0x0200 != 0 { "1Table" } else { "0Table" })?;
    let (at, length) = (u32_at(document, 0x01a2).ok_or(damaged)?, u32_at(document, 0x01a6).ok_or(damaged)?);
    let pieces = part(&table, at, length).and_then(piece_table).ok_or(damaged)?;
    let mut out = String::new();
    for (from, to, place) in pieces {
        let count = usize::try_from(to.checked_sub(from).ok_or(damaged)?).map_err(|_| damaged)?;
        let is_narrow = place & 0x4000_0000 != 0;
        let place = usize::try_from(place & 0x3fff_ffff).map_err(|_| damaged)?;
        let (start, length) = if is_narrow { (place / 2, count) } else { (place, count.checked_mul(2).ok_or(damaged)?) };
        let bytes = start.checked_add(length).and_then(|end| document.get(start..end)).ok_or(damaged)?;
        // Pieces may name the same bytes again and again.
        if (out.len() + bytes.len()) as u64 > limit {
            return Err(UnreadableWhy::TooLarge);
        }
        if is_narrow {
            shown(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0, &mut out);
        } else {
            shown(&encoding_rs::UTF_16LE.decode_without_bom_handling(bytes).0, &mut out);
        }
    }
    Ok(out)
}

/// Word 6 and 95: one run of 8-bit text, unless it was saved in pieces.
fn old(document: &[u8], flags: u16) -> Result<String, UnreadableWhy> {
    if flags & 0x0004 != 0 {
        return Err(UnreadableWhy::UnknownFormat);
    }
    let number = |at| u32_at(document, at).and_then(|n| usize::try_from(n).ok()).ok_or(UnreadableWhy::Damaged);
    let bytes = document.get(number(0x18)?..number(0x1c)?).ok_or(UnreadableWhy::Damaged)?;
    let mut out = String::new();
    shown(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0, &mut out);
    Ok(out)
}

fn part(bytes: &[u8], at: u32, length: u32) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    bytes.get(at..at.checked_add(usize::try_from(length).ok()?)?)
}

/// First and last character, and place, of every piece.
fn piece_table(bytes: &[u8]) -> Option<Vec<(u32, u32, u32)>> {
    let mut input = Little(bytes);
    loop {
        match input.u8()? {
            1 => {
                let length = usize::from(input.u16()?);
                input.take(length)?;
            }
            2 => break,
            _ => return None,
        }
    }
    let length = input.size()?;
    let table = input.take(length)?;
    let count = length.checked_sub(4)? / 12;
    let places = table.get((count + 1) * 4..)?;
    (0..count).map(|n| Some((u32_at(table, n * 4)?, u32_at(table, n * 4 + 4)?, u32_at(places, n * 8 + 2)?))).collect()
}

/// Word's marks as what they look like: ends of paragraphs and pages, cells, hyphens.
fn shown(text: &str, out: &mut String) {
    let mut was_cell = false;
    for c in text.chars() {
        match c {
            // A row ends with a mark of its own behind that of its last cell.
            '\u{7}' if was_cell => {
                while out.ends_with('\t') {
                    out.pop();
                }
                out.push('\n');
            }
            '\u{7}' => out.push('\t'),
            '\r' | '\u{b}' | '\u{c}' | '\u{e}' => out.push('\n'),
            '\u{1e}' => out.push('-'),
            '\t' | '\n' => out.push(c),
            // Begin, middle and end of a field.
            '\u{13}'..='\u{15}' => out.push(' '),
            c if c < ' ' => {}
            c => out.push(c),
        }
        was_cell = c == '\u{7}' && !was_cell;
    }
}
