//! The pages of a PDF as lines. What the library's reader passes over is made plain first: two filters, the operators that
//! show a string on the next line, and how fields and stamps look, each of which becomes a page of its own.

use std::collections::BTreeSet;

use pdf_extract::content::{Content, Operation};
use pdf_extract::{Dictionary, Document, MediaBox, Object, ObjectId, OutputDev, OutputError, Stream, Transform, output_doc};

/// Fields, stamps and notes whose looks are read.
const LOOKS_MAX: usize = 5_000;
/// A run of 128 bytes takes two: ordinary contents grow much less.
const GROWTH_MAX: usize = 32;

/// Bytes of contents that are looked through for rare operators; real files have a tenth.
const CONTENTS_MAX: usize = 64 << 20;

pub(super) struct Pages {
    pub text: String,
    /// Signs shown, and those of them that nothing gives a letter: a person reads them, a program cannot.
    pub signs: usize,
    pub nameless: usize,
}

impl Pages {
    /// Whether what the program reads is not what a person sees.
    pub fn hides_text(&self) -> bool {
        self.nameless * 4 > self.signs
    }
}

/// Text of all pages; `None` where there are none or they cannot be read.
pub(super) fn read(document: &mut Document) -> Option<Pages> {
    unfilter(document);
    spell_out(document);
    show_looks(document);
    let mut writer = Writer::default();
    output_doc(document, &mut writer).ok()?;
    (writer.pages > 0).then_some(Pages { text: writer.text, signs: writer.signs, nameless: writer.nameless })
}

/// Undoes the filters that the library does not know, in streams that are no pictures.
fn unfilter(document: &mut Document) {
    for object in document.objects.values_mut() {
        let Object::Stream(stream) = object else { continue };
        let filters: Vec<Vec<u8>> =
            stream.filters().map(|all| all.iter().map(|name| name.to_vec()).collect()).unwrap_or_default();
        let is_ours = |name: &Vec<u8>| matches!(name.as_slice(), b"ASCIIHexDecode" | b"AHx" | b"RunLengthDecode" | b"RL");
        let is_picture = stream.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|name| name == b"Image");
        if is_picture || !filters.iter().any(is_ours) {
            continue;
        }
        if let Some(content) = filters.iter().try_fold(stream.content.clone(), |content, filter| unpacked(content, filter)) {
            stream.dict.remove(b"Filter");
            stream.dict.remove(b"DecodeParms");
            stream.set_content(content);
        }
    }
}

fn unpacked(content: Vec<u8>, filter: &[u8]) -> Option<Vec<u8>> {
    match filter {
        b"ASCIIHexDecode" | b"AHx" => Some(hex(&content)),
        b"RunLengthDecode" | b"RL" => runs(&content),
        other => {
            let mut dictionary = Dictionary::new();
            dictionary.set("Filter", Object::Name(other.to_vec()));
            Stream::new(dictionary, content).decompressed_content().ok()
        }
    }
}

fn hex(content: &[u8]) -> Vec<u8> {
    let digits = content.iter().take_while(|b| **b != b'>').filter_map(|b| char::from(*b).to_digit(16));
    let digits: Vec<u8> = digits.filter_map(|digit| u8::try_from(digit).ok()).collect();
    digits.chunks(2).map(|two| two.iter().fold(0, |byte, digit| byte << 4 | digit) << (4 * (2 - two.len()))).collect()
}

fn runs(content: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = content;
    while let [length, after @ ..] = rest {
        rest = match (*length, after) {
            (128, _) => break,
            (count @ 0..128, _) => {
                let (run, after) = after.split_at(after.len().min(usize::from(count) + 1));
                out.extend_from_slice(run);
                after
            }
            (count, [byte, after @ ..]) => {
                out.extend(std::iter::repeat_n(*byte, 257 - usize::from(count)));
                after
            }
            (_, []) => break,
        };
        if out.len() > content.len().saturating_mul(GROWTH_MAX) + 4096 {
            return None;
        }
    }
    Some(out)
}

/// `'` and `"` show a string on the next line; written as the operators they stand for (ISO 32000-1, table 109).
fn spell_out(document: &mut Document) {
    let mut shown: BTreeSet<ObjectId> = document.page_iter().flat_map(|page| document.get_page_contents(page)).collect();
    let is_form = |object: &Object| {
        let stream = object.as_stream();
        stream.and_then(|stream| stream.dict.get(b"Subtype")).and_then(Object::as_name).is_ok_and(|name| name == b"Form")
    };
    shown.extend(document.objects.iter().filter(|(_, object)| is_form(object)).map(|(id, _)| *id));
    let mut left = CONTENTS_MAX;
    for id in shown {
        let Ok(Object::Stream(stream)) = document.get_object_mut(id) else { continue };
        let Ok(content) = stream.decompressed_content() else { continue };
        let Some(rest) = left.checked_sub(content.len()) else { return };
        left = rest;
        if !has_quote_operator(&content) {
            continue;
        }
        let Ok(content) = Content::decode(&content) else { continue };
        let operations: Vec<Operation> = content.operations.into_iter().flat_map(spelled).collect();
        if let Ok(plain) = (Content { operations }).encode() {
            stream.dict.remove(b"Filter");
            stream.dict.remove(b"DecodeParms");
            stream.set_content(plain);
        }
    }
}

/// A string's end with a quote behind it.
fn has_quote_operator(content: &[u8]) -> bool {
    let mut rest = content;
    while let Some(at) = memchr::memchr2(b'\'', b'"', rest) {
        let (before, after) = rest.split_at(at);
        let ends = before.trim_ascii_end().last().is_some_and(|b| matches!(b, b')' | b'>'));
        if ends && after.get(1).is_none_or(u8::is_ascii_whitespace) {
            return true;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    false
}

fn spelled(operation: Operation) -> Vec<Operation> {
    match operation.operator.as_str() {
        "'" | "\"" => {
            let string = operation.operands.into_iter().next_back().into_iter().collect();
            vec![Operation::new("T*", Vec::new()), Operation::new("Tj", string)]
        }
        _ => vec![operation],
    }
}

/// How fields, stamps and notes look (ISO 32000-1, section 12.5.5) as pages behind the others.
fn show_looks(document: &mut Document) {
    let looks = looks(document);
    let Ok(root) = document.catalog().and_then(|catalog| catalog.get(b"Pages")).and_then(Object::as_reference) else { return };
    let shared = shared_resources(document);
    let mut kids = Vec::new();
    for look in looks {
        let own = document.get_object(look).and_then(Object::as_stream).and_then(|stream| stream.dict.get(b"Resources")).ok();
        let Some(resources) = own.cloned().or_else(|| shared.clone()) else { continue };
        let mut page = Dictionary::new();
        page.set("Type", Object::Name(b"Page".to_vec()));
        page.set("Parent", Object::Reference(root));
        page.set("MediaBox", Object::Array([0, 0, 612, 792].map(Object::Integer).to_vec()));
        page.set("Resources", resources);
        page.set("Contents", Object::Reference(look));
        kids.push(Object::Reference(document.add_object(page)));
    }
    let Ok(pages) = document.get_dictionary_mut(root) else { return };
    let count = pages.get(b"Count").and_then(Object::as_i64).unwrap_or(0);
    pages.set("Count", Object::Integer(count.saturating_add(i64::try_from(kids.len()).unwrap_or(0))));
    match pages.get_mut(b"Kids").and_then(Object::as_array_mut) {
        Ok(all) => all.extend(kids),
        // A list that is an object of its own.
        Err(_) => {
            let list = pages.get(b"Kids").and_then(Object::as_reference);
            let list = list.and_then(|list| document.get_object_mut(list)).and_then(Object::as_array_mut);
            if let Ok(all) = list {
                all.extend(kids);
            }
        }
    }
}

/// Resources that fields share.
fn shared_resources(document: &Document) -> Option<Object> {
    let form = document.catalog().ok()?.get_deref(b"AcroForm", document).and_then(Object::as_dict).ok()?;
    form.get(b"DR").ok().cloned()
}

/// The normal looks of everything on a page, each once.
fn looks(document: &Document) -> BTreeSet<ObjectId> {
    let mut out = BTreeSet::new();
    for object in document.objects.values() {
        let Ok(dictionary) = object.as_dict() else { continue };
        let Ok(normal) = dictionary.get_deref(b"AP", document).and_then(Object::as_dict).and_then(|looks| looks.get(b"N")) else {
            continue;
        };
        let states = document.dereference(normal).and_then(|(_, states)| states.as_dict());
        let states = states.into_iter().flat_map(|states| states.iter().map(|(_, look)| look));
        for look in std::iter::once(normal).chain(states).filter_map(|look| look.as_reference().ok()) {
            if out.len() < LOOKS_MAX && document.get_object(look).is_ok_and(|object| object.as_stream().is_ok()) {
                out.insert(look);
            }
        }
    }
    out
}

/// Signs as lines and words, by where they stand.
#[derive(Default)]
struct Writer {
    text: String,
    pages: usize,
    signs: usize,
    nameless: usize,
    /// The page's height.
    top: f64,
    last_y: f64,
    last_end: f64,
    starts_string: bool,
}

impl OutputDev for Writer {
    fn begin_page(&mut self, _number: u32, media: &MediaBox, _art: Option<(f64, f64, f64, f64)>) -> Result<(), OutputError> {
        if self.pages > 0 {
            self.text.push_str("\n\n");
        }
        self.pages += 1;
        self.top = media.ury - media.lly;
        (self.last_y, self.last_end) = (0.0, f64::MAX);
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        place: &Transform,
        width: f64,
        _spacing: f64,
        size: f64,
        sign: &str,
    ) -> Result<(), OutputError> {
        // The side of a square as large as one em.
        let size = ((place.m11 + place.m21) * size * (place.m12 + place.m22) * size).abs().sqrt();
        let (x, y) = (place.m31, self.top - place.m32);
        if self.starts_string {
            let down = (y - self.last_y).abs();
            if down > size * 1.5 || x < self.last_end && down > size * 0.5 {
                self.text.push('\n');
            }
            if x > self.last_end + size * 0.1 {
                self.text.push(' ');
            }
        }
        self.signs += 1;
        self.nameless += usize::from(sign.is_empty() || sign.contains(is_nameless));
        self.text.push_str(sign);
        self.starts_string = false;
        self.last_y = y;
        self.last_end = x + width * size;
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        self.starts_string = true;
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}

/// Private or control characters stand for a glyph without a name.
fn is_nameless(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffd}') || c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_old_are_undone() {
        assert_eq!(hex(b"6c 75\n7>"), b"lup");
        assert_eq!(runs(&[2, b'l', b'u', b'p', 254, b's', 128, 9]).as_deref(), Some(&b"lupsss"[..]));
        assert_eq!(runs(&[5, b'l']).as_deref(), Some(&b"l"[..]));
        assert!(runs(&[129, 0].repeat(1 << 10)).is_none());
    }

    #[test]
    fn strings_of_the_next_line_are_told_from_apostrophes() {
        for (content, expected) in
            [(&b"(a) '"[..], true), (b"1 2 <61>\"\n", true), (b"(it's) Tj", false), (b"(a)'b", false), (b"", false)]
        {
            assert_eq!(has_quote_operator(content), expected, "{content:?}");
        }
    }
}
