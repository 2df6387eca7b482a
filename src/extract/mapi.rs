//! MAPI properties, as winmail.dat and Outlook's saved messages carry them (MS-OXPROPS).

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::little::wide_text;
use super::read::{document, spoken};
use super::{AttachmentText, Format, Fuel, TextKind, UnreadableWhy, archive, format, lzfu, rtf};

pub(super) const STRING8: u16 = 0x001e;
pub(super) const UNICODE: u16 = 0x001f;
pub(super) const OBJECT: u16 = 0x000d;
pub(super) const BINARY: u16 = 0x0102;

/// PidTagRtfCompressed, PidTagBodyHtml (text or bytes), PidTagAttachDataBinary or -Object.
const RTF_COMPRESSED: u16 = 0x1009;
const BODY_HTML: u16 = 0x1013;
pub(super) const ATTACH_DATA: u16 = 0x3701;
/// Names of an attachment: long, short, and their paths.
const NAMES: [u16; 4] = [0x3707, 0x3704, 0x370d, 0x3708];
/// The code page of 8-bit strings: of the message, and the one its body was written in.
pub(super) const CODE_PAGES: [u16; 2] = [0x3ffd, 0x3fde];
/// Texts for machines: classes, kinds of address, message identifiers, media types, the header section of the way here.
const UNSHOWN: [u16; 14] =
    [0x001a, 0x007d, 0x0064, 0x0075, 0x0077, 0x0c1e, 0x3002, 0x1035, 0x1039, 0x1042, 0x3703, 0x370e, 0x3712, 0x0e28];

pub(super) struct Property<'a> {
    pub id: u16,
    pub kind: u16,
    pub value: Cow<'a, [u8]>,
}

impl Property<'_> {
    pub fn number(&self) -> Option<u32> {
        super::little::u32_at(&self.value, 0)
    }

    fn text(&self, page: Option<u32>) -> Option<String> {
        match self.kind {
            UNICODE => Some(wide_text(&self.value)),
            STRING8 => Some(eight_bit(&self.value, page)),
            _ => None,
        }
    }
}

/// An 8-bit string in the code page its file declares.
pub(super) fn eight_bit(bytes: &[u8], page: Option<u32>) -> String {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    match page.and_then(|page| i32::try_from(page).ok()) {
        Some(page) if !bytes.is_ascii() => rtf::code_page(page).decode_without_bom_handling(bytes).0.into_owned(),
        _ => format::decode(bytes),
    }
}

/// Every text of one object's properties, its body in each form it has, and the file it carries.
pub(super) fn read(properties: &[Property<'_>], page: Option<u32>, fuel: &mut Fuel, out: &mut AttachmentText) {
    let own = properties.iter().filter(|p| CODE_PAGES.contains(&p.id)).find_map(Property::number);
    let page = own.or(page);
    let name = NAMES.iter().find_map(|id| properties.iter().find(|p| p.id == *id)?.text(page)).unwrap_or_default();
    // Outlook writes a subject three times.
    let mut seen = BTreeSet::new();
    for property in properties {
        match property.id {
            RTF_COMPRESSED => match lzfu::unpack(&property.value, fuel.bytes) {
                Ok(body) if fuel.burn(body.len()) => {
                    let mut inner = rtf::read(&body, fuel);
                    out.texts.append(&mut inner.texts);
                    out.unreadable.append(&mut inner.unreadable);
                    out.images.append(&mut inner.images);
                }
                Ok(_) => out.unreadable.push(UnreadableWhy::TooLarge),
                Err(why) => out.unreadable.push(why),
            },
            BODY_HTML => {
                let source = property.text(page).unwrap_or_else(|| eight_bit(&property.value, page));
                if fuel.burn(source.len()) {
                    let mut page = document(Format::Html, source.as_bytes(), fuel);
                    out.texts.append(&mut page.texts);
                    out.unreadable.append(&mut page.unreadable);
                    out.images.append(&mut page.images);
                } else {
                    out.unreadable.push(UnreadableWhy::TooLarge);
                }
            }
            ATTACH_DATA if property.kind == OBJECT || property.kind == BINARY => file(&name, property, fuel, out),
            id if UNSHOWN.contains(&id) => {}
            id => {
                let Some(text) = property.text(page) else { continue };
                if !fuel.burn(text.len()) {
                    out.unreadable.push(UnreadableWhy::TooLarge);
                    return;
                }
                if NAMES.contains(&id) {
                    push(TextKind::Name, spoken(&text), out);
                } else if seen.insert(text.clone()) {
                    push(TextKind::Content, text, out);
                }
            }
        }
    }
}

fn push(kind: TextKind, text: String, out: &mut AttachmentText) {
    if !text.trim().is_empty() {
        out.texts.push((kind, text));
    }
}

/// A file as a property. An object has the 16 bytes of its interface in front, then a winmail.dat or an OLE file.
fn file(name: &str, property: &Property<'_>, fuel: &mut Fuel, out: &mut AttachmentText) {
    let content = match property.kind {
        OBJECT => property.value.get(16..).unwrap_or_default(),
        _ => &property.value,
    };
    archive::burned_member(name, content, fuel, out);
}
