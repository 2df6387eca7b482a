//! PDF text. The library panics on bad files, so this runs in the sandboxed child or behind a catch.

use std::collections::BTreeSet;

use pdf_extract::{Dictionary, Document, Object, Stream};

use super::read::spoken;
use super::{
    AttachmentText, Fuel, PAGE_PIXELS, Picture, TextKind, UnreadableWhy, archive, format, held, html, image, office_data,
    pdf_pages,
};

/// Text of all pages, what is filled into forms, notes, and attached files; pages without any are scanned, a picture.
pub(super) fn read(bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    let Ok(mut document) = Document::load_mem(bytes) else {
        let is_locked = format::find(bytes, b"/Encrypt").is_some();
        return AttachmentText::unreadable(if is_locked { UnreadableWhy::Encrypted } else { UnreadableWhy::Damaged });
    };
    // One whose user password is empty opens for everybody.
    let is_locked = document.trailer.get(b"Encrypt").is_ok();
    if is_locked && document.decrypt("").is_err() {
        return AttachmentText::unreadable(UnreadableWhy::Encrypted);
    }
    let Some(pages) = pdf_pages::read(&mut document) else { return AttachmentText::unreadable(UnreadableWhy::Damaged) };
    let mut out = AttachmentText::default();
    if !fuel.burn(pages.text.len()) {
        return AttachmentText::unreadable(UnreadableWhy::TooLarge);
    }
    if !pages.text.chars().any(char::is_alphanumeric) || pages.hides_text() {
        out.images.push(image::pages(bytes));
    }
    if pages.text.chars().any(char::is_alphanumeric) {
        out.texts.push((TextKind::Content, pages.text));
    }
    Beside { document: &document, seen: BTreeSet::new(), lines: String::new() }.read(fuel, &mut out);
    out
}

/// What stands beside the text of the pages.
struct Beside<'a> {
    document: &'a Document,
    /// Files attached at several places.
    seen: BTreeSet<(u32, u16)>,
    lines: String,
}

/// Strings that readers show: notes, titles, what stands for a picture, what a form's field is for, addresses, scripts.
const SHOWN: [&[u8]; 16] = [
    b"Contents",
    b"RC",
    b"Title",
    b"Subject",
    b"Author",
    b"Keywords",
    b"Subj",
    b"Alt",
    b"ActualText",
    b"TU",
    b"DV",
    b"CA",
    b"URI",
    b"JS",
    b"Desc",
    b"E",
];

impl<'a> Beside<'a> {
    fn read(mut self, fuel: &mut Fuel, out: &mut AttachmentText) {
        let mut open: Vec<&'a Object> = self.document.objects.values().collect();
        while let Some(object) = open.pop() {
            let dictionary = match object {
                Object::Array(items) => {
                    open.extend(items);
                    continue;
                }
                Object::Dictionary(dictionary) => dictionary,
                Object::Stream(stream) => {
                    self.picture(stream, out);
                    self.metadata(stream, fuel);
                    &stream.dict
                }
                _ => continue,
            };
            open.extend(dictionary.iter().map(|(_, value)| value));
            self.dictionary(dictionary, fuel, out);
        }
        // Whoever fills in the properties may add some of their own.
        if let Ok(properties) = self.document.trailer.get_deref(b"Info", self.document).and_then(Object::as_dict) {
            for (key, value) in properties.iter().filter(|(key, _)| !matches!(key.as_slice(), b"Producer" | b"Creator")) {
                if let Some(text) = string(value).filter(|_| !SHOWN.contains(&key.as_slice())) {
                    self.lines.push_str(&format!("{}: {text}\n", String::from_utf8_lossy(key)));
                }
            }
        }
        if !fuel.burn(self.lines.len()) {
            out.unreadable.push(UnreadableWhy::TooLarge);
        }
        let said = held::addresses(&self.lines);
        if !said.is_empty() && fuel.burn(said.len()) {
            out.texts.push((TextKind::Content, said));
        }
        if !self.lines.trim().is_empty() {
            out.texts.push((TextKind::Content, self.lines));
        }
    }

    fn dictionary(&mut self, dictionary: &'a Dictionary, fuel: &mut Fuel, out: &mut AttachmentText) {
        for key in SHOWN {
            let value = dictionary.get_deref(key, self.document);
            let text = match value {
                Ok(Object::Stream(stream)) if key == b"JS" => burned(stream, fuel).map(|script| format::decode(&script)),
                Ok(value) => string(value),
                Err(_) => None,
            };
            if let Some(text) = text {
                self.lines.push_str(&if key == b"RC" { html::text(&text).shown } else { text });
                self.lines.push('\n');
            }
        }
        // Choices of a list: what is shown, or what is sent and what is shown.
        if let Ok(choices) = dictionary.get_deref(b"Opt", self.document).and_then(Object::as_array) {
            for choice in choices {
                let both = choice.as_array().map_or(std::slice::from_ref(choice), Vec::as_slice);
                both.iter().filter_map(string).for_each(|text| self.lines.push_str(&(text + "\n")));
            }
        }
        // A field of a form: its name and what was filled in.
        if let Ok(value) = dictionary.get_deref(b"V", self.document) {
            let value = match value {
                Object::Array(items) => items.iter().filter_map(string).collect::<Vec<_>>().join(", "),
                Object::Stream(stream) => format::decode(&content(stream)),
                other => string(other).unwrap_or_default(),
            };
            let name = dictionary.get_deref(b"T", self.document).ok().and_then(string).unwrap_or_default();
            if !value.trim().is_empty() {
                self.lines.push_str(&format!("{name}: {value}\n"));
            }
        }
        if let Ok(files) = dictionary.get_deref(b"EF", self.document).and_then(Object::as_dict) {
            let named = |key: &[u8]| dictionary.get_deref(key, self.document).ok().and_then(string);
            let name = named(b"UF").or_else(|| named(b"F")).unwrap_or_default();
            for (_, file) in files.iter() {
                self.file(&name, file, fuel, out);
            }
        }
        if let Ok(forms) = dictionary.get_deref(b"XFA", self.document) {
            let parts: Vec<&Object> = match forms {
                Object::Array(items) => items.iter().collect(),
                other => vec![other],
            };
            let streams = parts.into_iter().filter_map(|part| self.document.dereference(part).ok()?.1.as_stream().ok());
            let whole: Vec<u8> = streams.flat_map(content).collect();
            if fuel.burn(whole.len()) {
                out.texts.push((TextKind::Content, super::xml::text(&format::decode(&whole))));
            } else {
                out.unreadable.push(UnreadableWhy::TooLarge);
            }
        }
    }

    fn file(&mut self, name: &str, file: &'a Object, fuel: &mut Fuel, out: &mut AttachmentText) {
        if file.as_reference().is_ok_and(|id| !self.seen.insert(id)) {
            return;
        }
        match self.document.dereference(file).and_then(|(_, object)| object.as_stream()) {
            Ok(stream) if fuel.depth > 0 => archive::burned_member(&spoken(name), &content(stream), fuel, out),
            Ok(_) => out.unreadable.push(UnreadableWhy::TooDeep),
            Err(_) => out.unreadable.push(UnreadableWhy::Damaged),
        }
    }

    /// What the file says of itself a second time (XMP).
    fn metadata(&mut self, stream: &Stream, fuel: &mut Fuel) {
        let is_metadata = stream.dict.get(b"Type").and_then(Object::as_name).is_ok_and(|name| name == b"Metadata");
        if is_metadata && let Some(text) = burned(stream, fuel).and_then(|content| office_data::text(&content)) {
            self.lines.push_str(&text);
        }
    }

    /// A picture as large as a page; smaller ones are letterheads.
    fn picture(&self, stream: &Stream, out: &mut AttachmentText) {
        let side = |key: &[u8]| {
            let value = stream.dict.get_deref(key, self.document).and_then(Object::as_i64).unwrap_or(0);
            u64::try_from(value).unwrap_or(0)
        };
        let is_picture = stream.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|name| name == b"Image");
        let pixels = side(b"Width").saturating_mul(side(b"Height"));
        if is_picture && pixels >= PAGE_PIXELS {
            out.images.push(Picture { pixels: Some(pixels), ..image::picture(&stream.content) });
        }
    }
}

/// A stream's content taken off the fuel: many places may name one stream. `None` when there was not enough.
fn burned(stream: &Stream, fuel: &mut Fuel) -> Option<Vec<u8>> {
    (fuel.bytes > 0).then(|| content(stream)).filter(|content| fuel.burn(content.len()))
}

fn content(stream: &Stream) -> Vec<u8> {
    stream.decompressed_content().unwrap_or_else(|_| stream.content.clone())
}

/// A text string: UTF-16 or UTF-8 by its mark, else the library's 8-bit encoding.
fn string(object: &Object) -> Option<String> {
    let Object::String(bytes, _) = object else { return None };
    let text = format::decode(bytes);
    (!text.trim().is_empty()).then_some(text)
}
