//! PDF text. The library panics on bad files, so this runs in the sandboxed child or behind a catch.

use super::{AttachmentText, Fuel, TextKind, UnreadableWhy, format, image};

/// Text of all pages; without any it is scanned pages, a picture.
pub(super) fn read(bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    match pdf_extract::extract_text_from_mem(bytes) {
        Ok(text) if text.chars().any(char::is_alphanumeric) => {
            if !fuel.burn(text.len()) {
                return AttachmentText::unreadable(UnreadableWhy::TooLarge);
            }
            let mut out = AttachmentText { texts: vec![(TextKind::Content, text)], ..AttachmentText::default() };
            // Attached files and pictures of pages are not read by the library.
            if format::find(bytes, b"/EmbeddedFile").is_some() {
                out.unreadable.push(UnreadableWhy::UnknownFormat);
            }
            out
        }
        Ok(_) => AttachmentText { images: vec![image::pages(bytes)], ..AttachmentText::default() },
        Err(_) if format::find(bytes, b"/Encrypt").is_some() => AttachmentText::unreadable(UnreadableWhy::Encrypted),
        Err(_) => AttachmentText::unreadable(UnreadableWhy::Damaged),
    }
}
