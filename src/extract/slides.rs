//! PowerPoint before 2007: the text atoms of its records (MS-PPT).

use std::io::Read;

use super::little::{Little, wide_text};
use super::{AttachmentText, Fuel, TextKind, UnreadableWhy, archive};

const TEXT_WIDE: u16 = 4000;
const TEXT_NARROW: u16 = 4008;
/// Names, titles, addresses of links.
const STRING: u16 = 4026;
/// An embedded file, packed or not.
const EMBEDDED: u16 = 4113;
const ENCRYPTION: u16 = 12052;

/// Reads all records in order; containers are stepped into, so there is nothing to nest.
pub(super) fn read(document: &[u8], fuel: &mut Fuel, out: &mut AttachmentText) {
    let mut text = String::new();
    let mut input = Little(document);
    while !input.0.is_empty() {
        let Some((head, kind, length)) = (|| Some((input.u16()?, input.u16()?, input.size()?)))() else {
            out.unreadable.push(UnreadableWhy::Damaged);
            break;
        };
        if head & 0xf == 0xf {
            if kind == ENCRYPTION {
                out.unreadable.push(UnreadableWhy::Encrypted);
                break;
            }
            continue;
        }
        let Some(value) = input.take(length) else {
            out.unreadable.push(UnreadableWhy::Damaged);
            break;
        };
        match kind {
            TEXT_WIDE | STRING => line(&wide_text(value), &mut text),
            // The low bytes of UTF-16.
            TEXT_NARROW => line(&value.iter().map(|b| char::from(*b)).collect::<String>(), &mut text),
            EMBEDDED => embedded(head >> 4 == 1, value, fuel, out),
            ENCRYPTION => {
                out.unreadable.push(UnreadableWhy::Encrypted);
                break;
            }
            _ => {}
        }
    }
    if !fuel.burn(text.len()) {
        out.unreadable.push(UnreadableWhy::TooLarge);
    }
    if !text.trim().is_empty() {
        out.texts.push((TextKind::Content, text));
    }
}

fn line(value: &str, out: &mut String) {
    out.extend(value.chars().map(|c| if matches!(c, '\r' | '\u{b}') { '\n' } else { c }));
    out.push('\n');
}

/// A compound file, behind its length and packed by zlib where the record says so.
fn embedded(is_packed: bool, value: &[u8], fuel: &mut Fuel, out: &mut AttachmentText) {
    if !is_packed {
        return archive::burned_member("", value, fuel, out);
    }
    let mut content = Vec::new();
    let packed = value.get(4..).unwrap_or_default();
    let end = flate2::bufread::ZlibDecoder::new(packed).take(fuel.bytes.saturating_add(1)).read_to_end(&mut content);
    if end.is_err() {
        out.unreadable.push(UnreadableWhy::Damaged);
    }
    archive::burned_member("", &content, fuel, out);
}
