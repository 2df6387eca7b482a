//! winmail.dat: what Outlook sends as Rich Text (MS-OXTNEF).

use std::borrow::Cow;

use super::little::{Little, u32_at};
use super::mapi::{self, BINARY, OBJECT, Property, STRING8, UNICODE, eight_bit};
use super::read::spoken;
use super::{AttachmentText, Fuel, TextKind, UnreadableWhy, archive};

pub(super) const SIGNATURE: [u8; 4] = 0x223e_9f78u32.to_le_bytes();

// Attributes (section 2.1.3.3); the high half is the type of the value, the low half the name.
const ATTACH_DATA: u32 = 0x0006_800f;
const ATTACH_TITLE: u32 = 0x0001_8010;
const ATTACH_TRANSPORT_NAME: u32 = 0x0006_9001;
const ATTACH_RENDER: u32 = 0x0006_9002;
const ATTACH_PROPERTIES: u32 = 0x0006_9005;
const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
const RECIPIENTS: u32 = 0x0006_9004;
const CODE_PAGE: u32 = 0x0006_9007;
const MESSAGE_CLASS: u32 = 0x0007_8008;
const MESSAGE_ID: u32 = 0x0001_8009;
const FROM: u32 = 0x0000_8000;
/// Types whose values are text: a string, and a long one.
const TEXTS: [u32; 2] = [1, 2];

/// Subject, body in all its forms, names and contents of what is attached.
pub(super) fn read(bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    if fuel.depth == 0 {
        return AttachmentText::unreadable(UnreadableWhy::TooDeep);
    }
    let mut out = AttachmentText::default();
    let mut input = Little(bytes);
    let (signature, _key) = (input.take(4), input.u16());
    if signature != Some(&SIGNATURE) {
        return AttachmentText::unreadable(UnreadableWhy::Damaged);
    }
    let mut reader = Reader { page: None, title: String::new() };
    let mut count = 0;
    while !input.0.is_empty() {
        let Some((name, value, is_intact)) = attribute(&mut input) else {
            out.unreadable.push(UnreadableWhy::Damaged);
            break;
        };
        count += 1;
        if !is_intact {
            out.unreadable.push(UnreadableWhy::Damaged);
        }
        reader.attribute(name, value, fuel, &mut out);
        if out.unreadable.contains(&UnreadableWhy::TooLarge) {
            break;
        }
    }
    if count == 0 {
        out.unreadable.push(UnreadableWhy::Damaged);
    }
    out.unreadable.sort();
    out.unreadable.dedup();
    out
}

/// Name, value, and whether the checksum is right.
fn attribute<'a>(input: &mut Little<'a>) -> Option<(u32, &'a [u8], bool)> {
    let level = input.u8()?;
    let name = input.u32()?;
    let length = input.size()?;
    let value = input.take(length)?;
    let checksum = input.u16()?;
    let sum = value.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    matches!(level, 1 | 2).then_some((name, value, sum == checksum))
}

struct Reader {
    page: Option<u32>,
    /// The name of the attachment whose content comes next.
    title: String,
}

impl Reader {
    fn attribute(&mut self, name: u32, value: &[u8], fuel: &mut Fuel, out: &mut AttachmentText) {
        match name {
            CODE_PAGE => self.page = u32_at(value, 0),
            ATTACH_RENDER => self.title.clear(),
            ATTACH_TITLE | ATTACH_TRANSPORT_NAME => {
                self.title = eight_bit(value, self.page);
                self.text(TextKind::Name, spoken(&self.title), fuel, out);
            }
            ATTACH_DATA => archive::burned_member(&self.title, value, fuel, out),
            MESSAGE_PROPERTIES | ATTACH_PROPERTIES => {
                let mut input = Little(value);
                self.properties(&mut input, fuel, out);
            }
            RECIPIENTS => {
                let mut input = Little(value);
                for _ in 0..input.u32().unwrap_or(0) {
                    if input.0.is_empty() {
                        out.unreadable.push(UnreadableWhy::Damaged);
                        break;
                    }
                    self.properties(&mut input, fuel, out);
                }
            }
            MESSAGE_CLASS | MESSAGE_ID => {}
            // A structure of four numbers, then name and address.
            FROM => {
                let text = eight_bit(value.get(8..).unwrap_or_default(), self.page).replace('\0', " ");
                self.text(TextKind::Content, text, fuel, out);
            }
            other if TEXTS.contains(&(other >> 16)) => {
                let text = eight_bit(value, self.page);
                self.text(TextKind::Content, text, fuel, out);
            }
            _ => {}
        }
    }

    fn text(&self, kind: TextKind, text: String, fuel: &mut Fuel, out: &mut AttachmentText) {
        if !fuel.burn(text.len()) {
            out.unreadable.push(UnreadableWhy::TooLarge);
        } else if !text.trim().is_empty() {
            out.texts.push((kind, text));
        }
    }

    fn properties(&self, input: &mut Little<'_>, fuel: &mut Fuel, out: &mut AttachmentText) {
        let Some(count) = input.u32() else {
            out.unreadable.push(UnreadableWhy::Damaged);
            // What is left is no set of properties, for however many more there are said to be.
            input.0 = &[];
            return;
        };
        let mut properties = Vec::new();
        for _ in 0..count {
            if property(input, &mut properties).is_none() {
                out.unreadable.push(UnreadableWhy::Damaged);
                // Nothing after it can be found.
                input.0 = &[];
                break;
            }
        }
        mapi::read(&properties, self.page, fuel, out);
    }
}

/// One property (section 2.1.3.4), its several values each as one of its own.
fn property<'a>(input: &mut Little<'a>, out: &mut Vec<Property<'a>>) -> Option<()> {
    let kind = input.u16()?;
    let id = input.u16()?;
    if id >= 0x8000 {
        input.take(16)?;
        if input.u32()? == 0 {
            input.u32()?;
        } else {
            // The name of a property that a person may have given.
            let length = input.size()?;
            let name = padded(input, length)?;
            out.push(Property { id, kind: UNICODE, value: Cow::Borrowed(name) });
        }
    }
    let single = kind & !0x1000;
    let has_several = kind & 0x1000 != 0;
    let is_long = matches!(single, STRING8 | UNICODE | OBJECT | BINARY);
    let count = if has_several || is_long { input.u32()? } else { 1 };
    for _ in 0..count {
        let length = if is_long { input.size()? } else { width(single)? };
        // Values that take no room could be counted for ever.
        if length == 0 && !is_long {
            break;
        }
        let value = padded(input, length)?;
        out.push(Property { id, kind: single, value: Cow::Borrowed(value) });
    }
    Some(())
}

/// Bytes of a value of a fixed kind.
fn width(kind: u16) -> Option<usize> {
    match kind {
        0x0000 | 0x0001 => Some(0),
        0x0002 | 0x000b => Some(2),
        0x0003 | 0x0004 | 0x000a => Some(4),
        0x0005..=0x0007 | 0x0014 | 0x0040 => Some(8),
        0x0048 => Some(16),
        _ => None,
    }
}

/// Values are filled up to four bytes.
fn padded<'a>(input: &mut Little<'a>, length: usize) -> Option<&'a [u8]> {
    let value = input.take(length)?;
    let fill = (4 - length % 4) % 4;
    // The last one's filling is often left out.
    input.take(fill.min(input.0.len()))?;
    Some(value)
}
