//! What a compound file is, and its reader: Word, PowerPoint and Excel before 2007, Outlook's saved messages, and the
//! objects embedded in any of them.

use std::borrow::Cow;

use super::compound::{self, Compound, Kind, Member};
use super::little::{Little, u32_at};
use super::mapi::{self, BINARY, OBJECT, Property, STRING8, UNICODE};
use super::read::spoken;
use super::{AttachmentText, Fuel, TextKind, UnreadableWhy, archive, format, image, office, slides, word};

/// Storages inside storages: a message in a message in a message takes two for each.
const DEPTH_MAX: usize = 12;
/// Pictures looked for in one stream.
const PICTURES_MAX: usize = 64;

pub(super) fn read(bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    if fuel.depth == 0 {
        return AttachmentText::unreadable(UnreadableWhy::TooDeep);
    }
    let Some(file) = Compound::open(bytes) else { return AttachmentText::unreadable(UnreadableWhy::Damaged) };
    let mut reader = Reader { file: &file, visited: Vec::new(), out: AttachmentText::default() };
    reader.storage(0, 0, fuel);
    let mut out = reader.out;
    out.unreadable.sort();
    out.unreadable.dedup();
    out
}

struct Reader<'a> {
    file: &'a Compound<'a>,
    /// Storages read already: a tree names each once.
    visited: Vec<usize>,
    out: AttachmentText,
}

impl Reader<'_> {
    fn fail(&mut self, why: UnreadableWhy) {
        self.out.unreadable.push(why);
    }

    fn stream(&mut self, index: usize, fuel: &mut Fuel) -> Option<Vec<u8>> {
        match self.file.stream(index, fuel) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                self.fail(why);
                None
            }
        }
    }

    /// One document: the file's own, or one embedded in it.
    fn storage(&mut self, at: usize, depth: usize, fuel: &mut Fuel) {
        if self.out.unreadable.contains(&UnreadableWhy::TooLarge) {
            return;
        }
        if depth > DEPTH_MAX {
            return self.fail(UnreadableWhy::TooDeep);
        }
        let members = self.file.members(at).filter(|_| !self.visited.contains(&at));
        let Some(members) = members else { return self.fail(UnreadableWhy::Damaged) };
        self.visited.push(at);
        let Some(parts) = fuel.parts.checked_sub(1) else { return self.fail(UnreadableWhy::TooLarge) };
        fuel.parts = parts;
        let named: Vec<(usize, Kind, String)> =
            members.iter().filter_map(|i| self.file.entry(*i).map(|e| (*i, e.kind, e.name.clone()))).collect();
        let find = |name: &str| named.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(name)).map(|(i, ..)| *i);
        if find("EncryptedPackage").is_some() || find("\u{9}DRMContent").is_some() || find("EncryptedSummary").is_some() {
            self.fail(UnreadableWhy::Encrypted);
        } else if let Some(document) = find("WordDocument") {
            self.word(document, |name| find(name), fuel);
        } else if let Some(document) = find("PowerPoint Document") {
            if let Some(document) = self.stream(document, fuel) {
                slides::read(&document, fuel, &mut self.out);
            }
            self.pictures(find("Pictures"), fuel);
        } else if let Some(book) = find("Workbook").or_else(|| find("Book")) {
            self.workbook(book, fuel);
        } else if find("__properties_version1.0").is_some() {
            return self.message(at, &named, None, depth, fuel);
        } else if let Some(native) = find("\u{1}Ole10Native") {
            if let Some(native) = self.stream(native, fuel) {
                self.native(&native, fuel);
            }
        } else if let Some(content) = find("Package").or_else(|| find("CONTENTS")) {
            if let Some(content) = self.stream(content, fuel) {
                archive::member("", &content, fuel, &mut self.out);
            }
        } else if depth == 0 {
            self.fail(UnreadableWhy::UnknownFormat);
        }
        for name in ["\u{5}SummaryInformation", "\u{5}DocumentSummaryInformation"] {
            if let Some(summary) = find(name).and_then(|at| self.stream(at, fuel)) {
                let text = summary_text(&summary);
                if !text.is_empty() {
                    self.out.texts.push((TextKind::Content, text));
                }
            }
        }
        // Embedded objects lie in storages of their own; those of programs (macros, signatures) show nothing.
        for (index, kind, name) in &named {
            let is_program = matches!(name.as_str(), "Macros" | "_VBA_PROJECT_CUR" | "VBA" | "_xmlsignatures" | "MsoDataStore");
            if *kind == Kind::Storage && !is_program {
                self.storage(*index, depth + 1, fuel);
            }
        }
    }

    fn word(&mut self, document: usize, find: impl Fn(&str) -> Option<usize>, fuel: &mut Fuel) {
        let Some(document) = self.stream(document, fuel) else { return };
        let limit = fuel.bytes;
        let file = self.file;
        let table = |name: &str| file.stream(find(name).ok_or(UnreadableWhy::Damaged)?, fuel);
        match word::text(&document, table, limit) {
            Ok(text) if fuel.burn(text.len()) => self.out.texts.push((TextKind::Content, text)),
            Ok(_) => self.fail(UnreadableWhy::TooLarge),
            Err(why) => self.fail(why),
        }
        self.pictures(find("Data"), fuel);
    }

    /// Rows and cells, by a file that holds this workbook alone: the reader of sheets trusts chains more than we do.
    fn workbook(&mut self, book: usize, fuel: &mut Fuel) {
        let Some(mut book) = self.stream(book, fuel) else { return };
        if is_locked(&book) {
            return self.fail(UnreadableWhy::Encrypted);
        }
        self.found_pictures(&book);
        // Shorter streams are looked for in a mini stream. Records of kind zero mean nothing.
        book.resize(book.len().max(4096), 0);
        let alone = compound::write(&[Member::Stream("Workbook", &book)]);
        let mut read = office::sheets(format::Format::Ole, &alone, fuel);
        self.out.texts.append(&mut read.texts);
        self.out.unreadable.append(&mut read.unreadable);
    }

    fn pictures(&mut self, stream: Option<usize>, fuel: &mut Fuel) {
        if let Some(bytes) = stream.and_then(|at| self.stream(at, fuel)) {
            self.found_pictures(&bytes);
        }
    }

    /// Pictures by their first bytes, wherever the records around them put them.
    fn found_pictures(&mut self, bytes: &[u8]) {
        let mut left = PICTURES_MAX;
        for magic in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1"] {
            for at in memchr::memmem::find_iter(bytes, magic).take(left) {
                left -= 1;
                self.out.images.push(image::picture(bytes.get(at..).unwrap_or_default()));
            }
        }
    }

    /// A file put into a document as it is: label, names, then its bytes.
    fn native(&mut self, bytes: &[u8], fuel: &mut Fuel) {
        let mut input = Little(bytes);
        let read = (|| {
            input.u32()?;
            input.u16()?;
            let label = input.until_zero()?;
            input.until_zero()?;
            input.u32()?;
            let length = input.size()?;
            input.take(length)?;
            let length = input.size()?;
            Some((label, input.take(length)?))
        })();
        match read {
            Some((label, content)) => {
                let name = mapi::eight_bit(label, None);
                archive::member(&name, content, fuel, &mut self.out);
            }
            None => self.fail(UnreadableWhy::Damaged),
        }
    }

    /// A message, a recipient or an attachment (MS-OXMSG): its properties are streams.
    fn message(&mut self, at: usize, named: &[(usize, Kind, String)], page: Option<u32>, depth: usize, fuel: &mut Fuel) {
        if depth > DEPTH_MAX {
            return self.fail(UnreadableWhy::TooDeep);
        }
        let mut properties: Vec<Property<'_>> = Vec::new();
        let mut inner: Vec<usize> = Vec::new();
        let mut page = page;
        for (index, kind, name) in named {
            if name == "__properties_version1.0" {
                let Some(fixed) = self.stream(*index, fuel) else { continue };
                page = code_page(&fixed, at == 0).or(page);
                continue;
            }
            // The names of properties: nothing a person typed but names of fields.
            if name == "__nameid_version1.0" {
                continue;
            }
            let tag = name.strip_prefix("__substg1.0_").and_then(|rest| u32::from_str_radix(rest.get(..8)?, 16).ok());
            let Some(tag) = tag else {
                if *kind == Kind::Storage {
                    inner.push(*index);
                }
                continue;
            };
            let (id, value_kind) = ((tag >> 16) as u16, (tag & 0xefff) as u16);
            match kind {
                // An attached message, or an object of another program.
                Kind::Storage => inner.push(*index),
                Kind::Stream if matches!(value_kind, STRING8 | UNICODE | BINARY | OBJECT) => {
                    let is_read = value_kind != BINARY || matches!(id, 0x1009 | 0x1013 | mapi::ATTACH_DATA);
                    if let Some(value) = is_read.then(|| self.stream(*index, fuel)).flatten() {
                        properties.push(Property { id, kind: value_kind, value: Cow::Owned(value) });
                    }
                }
                Kind::Stream => {}
            }
        }
        mapi::read(&properties, page, fuel, &mut self.out);
        for index in inner {
            let Some(members) = self.file.members(index) else {
                self.fail(UnreadableWhy::Damaged);
                continue;
            };
            let named: Vec<(usize, Kind, String)> =
                members.iter().filter_map(|i| self.file.entry(*i).map(|e| (*i, e.kind, e.name.clone()))).collect();
            if !named.iter().any(|(_, _, name)| name == "__properties_version1.0") {
                self.storage(index, depth + 1, fuel);
                continue;
            }
            let parts = fuel.parts.checked_sub(1).filter(|_| !self.visited.contains(&index));
            let Some(parts) = parts else {
                self.fail(if fuel.parts == 0 { UnreadableWhy::TooLarge } else { UnreadableWhy::Damaged });
                return;
            };
            fuel.parts = parts;
            self.visited.push(index);
            self.message(index, &named, page, depth + 1, fuel);
        }
    }
}

/// The code page among the properties of fixed length, 16 bytes each behind a head.
fn code_page(fixed: &[u8], is_top: bool) -> Option<u32> {
    let head = if is_top { 32 } else { 24 };
    fixed.get(head..)?.chunks_exact(16).find_map(|entry| {
        let tag = u32_at(entry, 0)?;
        mapi::CODE_PAGES.contains(&((tag >> 16) as u16)).then(|| u32_at(entry, 8))?
    })
}

/// Whether a workbook's records behind the first are encrypted: a record FILEPASS comes right after it (MS-XLS 2.4.117).
fn is_locked(book: &[u8]) -> bool {
    const FILE_PASS: u16 = 0x002f;
    let mut input = Little(book);
    for _ in 0..8 {
        let Some((kind, length)) = (|| Some((input.u16()?, input.u16()?)))() else { return false };
        if kind == FILE_PASS {
            return true;
        }
        if input.take(usize::from(length)).is_none() {
            return false;
        }
    }
    false
}

/// Title, subject, author, comments and the properties people add: strings of a property set (MS-OLEPS).
fn summary_text(bytes: &[u8]) -> String {
    /// Properties in a set; office writes about thirty.
    const PROPERTIES_MAX: usize = 1_000;
    let mut out = String::new();
    let sets = u32_at(bytes, 24).unwrap_or(0).min(2);
    for set in 0..usize::try_from(sets).unwrap_or(0) {
        let Some(start) = u32_at(bytes, 28 + set * 20 + 16).and_then(|at| usize::try_from(at).ok()) else { continue };
        let Some(section) = bytes.get(start..) else { continue };
        let count = u32_at(section, 4).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(PROPERTIES_MAX);
        for n in 0..count {
            let (Some(id), Some(at)) = (u32_at(section, 8 + n * 8), u32_at(section, 12 + n * 8)) else { break };
            let value = usize::try_from(at).ok().and_then(|at| section.get(at..));
            // Identifier 0 is a dictionary; 18 names the program.
            let Some(text) = value.filter(|_| id != 0 && id != 18).and_then(string) else { continue };
            if out.len() > bytes.len() {
                return out;
            }
            if !text.trim().is_empty() {
                out.push_str(&spoken(text.trim()));
                out.push('\n');
            }
        }
    }
    out
}

fn string(value: &[u8]) -> Option<String> {
    let mut input = Little(value);
    let kind = input.u32()?;
    let length = input.size()?;
    match kind {
        0x1e => Some(mapi::eight_bit(input.take(length)?, None).trim_end_matches('\0').to_owned()),
        0x1f => Some(super::little::wide_text(input.take(length.checked_mul(2)?)?)),
        _ => None,
    }
}
