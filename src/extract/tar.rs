//! Plain tar archives (POSIX.1-1988 ustar, GNU and pax names).

use super::read::spoken;
use super::{AttachmentText, Fuel, TextKind, UnreadableWhy, archive};

const BLOCK: usize = 512;

/// A first block whose checksum is right: old archives have no other mark.
pub(super) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(..BLOCK).is_some_and(|block| block.first() != Some(&0) && has_checksum(block))
}

fn has_checksum(block: &[u8]) -> bool {
    let Some(declared) = block.get(148..156).and_then(number) else { return false };
    let sum: u64 = block.iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { 32 } else { u64::from(*b) }).sum();
    sum == declared
}

/// Octal, or binary behind a set first bit.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|first| *first & 0x80 != 0) {
        let (head, tail) = field.split_at_checked(field.len().checked_sub(8)?)?;
        let is_small = head.iter().enumerate().all(|(at, b)| if at == 0 { *b == 0x80 } else { *b == 0 });
        return is_small.then(|| tail.iter().fold(0u64, |value, b| value << 8 | u64::from(*b)));
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

fn text(field: &[u8]) -> String {
    let end = memchr::memchr(0, field).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

/// Every member: its name, and what it holds.
pub(super) fn read(bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    if fuel.depth == 0 {
        return AttachmentText::unreadable(UnreadableWhy::TooDeep);
    }
    let mut out = AttachmentText::default();
    if bytes.is_empty() {
        out.unreadable.push(UnreadableWhy::Damaged);
    }
    let mut rest = bytes;
    // A longer name for the member that follows.
    let mut long_name: Option<String> = None;
    loop {
        let Some((block, after)) = rest.split_at_checked(BLOCK) else {
            if rest.iter().any(|b| *b != 0) {
                out.unreadable.push(UnreadableWhy::Damaged);
            }
            break;
        };
        if block.iter().all(|b| *b == 0) {
            // The end. What stands behind it no program shows, but some would.
            if after.iter().any(|b| *b != 0) {
                out.unreadable.push(UnreadableWhy::Damaged);
            }
            break;
        }
        let size = block.get(124..136).and_then(number).and_then(|size| usize::try_from(size).ok());
        let Some(size) = size.filter(|_| has_checksum(block)) else {
            out.unreadable.push(UnreadableWhy::Damaged);
            break;
        };
        let kind = block.get(156).copied().unwrap_or_default();
        let size = if matches!(kind, b'1'..=b'6') { 0 } else { size };
        let Some((content, after)) = after.split_at_checked(size) else {
            out.unreadable.push(UnreadableWhy::Damaged);
            break;
        };
        rest = after.get((BLOCK - size % BLOCK) % BLOCK..).unwrap_or_default();
        let name = || {
            let (prefix, name) = (text(block.get(345..500).unwrap_or_default()), text(block.get(..100).unwrap_or_default()));
            let is_ustar = block.get(257..262) == Some(b"ustar");
            if is_ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
        };
        match kind {
            0 | b'0' | b'7' => {
                let name = long_name.take().unwrap_or_else(name);
                archive::burned_member(&name, content, fuel, &mut out);
            }
            b'1'..=b'6' => {
                let name = long_name.take().unwrap_or_else(name);
                out.texts.push((TextKind::Name, spoken(&name)));
                let link = text(block.get(157..257).unwrap_or_default());
                if !link.is_empty() {
                    out.texts.push((TextKind::Name, spoken(&link)));
                }
            }
            b'L' => long_name = Some(text(content)),
            b'K' => out.texts.push((TextKind::Name, spoken(&text(content)))),
            b'x' | b'g' => long_name = pax_path(content).or(long_name),
            _ => out.unreadable.push(UnreadableWhy::UnknownFormat),
        }
        if out.unreadable.contains(&UnreadableWhy::TooLarge) {
            break;
        }
    }
    out
}

/// The `path` record of a pax header: `LENGTH path=VALUE` and a line end.
fn pax_path(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    text.lines().find_map(|line| Some(line.split_once(' ')?.1.strip_prefix("path=")?.to_owned()))
}
