//! gzip (RFC 1952): one file, its members one after the other.

use std::io::Read;

use super::{AttachmentText, Fuel, UnreadableWhy, archive};

pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// What is inside, by its content.
pub(super) fn read(bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    if fuel.depth == 0 {
        return AttachmentText::unreadable(UnreadableWhy::TooDeep);
    }
    let mut content = Vec::new();
    // What came out before an error is read too: a program may show it.
    let end = flate2::bufread::MultiGzDecoder::new(bytes).take(fuel.bytes.saturating_add(1)).read_to_end(&mut content);
    let mut out = AttachmentText::default();
    if content.len() as u64 > fuel.bytes {
        fuel.bytes = 0;
        out.unreadable.push(UnreadableWhy::TooLarge);
        return out;
    }
    archive::burned_member(&name(bytes), &content, fuel, &mut out);
    if end.is_err() {
        out.unreadable.push(UnreadableWhy::Damaged);
    }
    out
}

/// The name in the first member's header.
fn name(bytes: &[u8]) -> String {
    let header = flate2::bufread::GzDecoder::new(bytes);
    let name = header.header().and_then(flate2::GzHeader::filename).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
