//! Office documents: Word, PowerPoint, OpenDocument by their XML, spreadsheets row by row.

use std::io::{Cursor, Read};

use calamine::{Data, Reader as _};
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use zip::ZipArchive;

use super::{AttachmentText, Format, Fuel, TextKind, UnreadableWhy, image, office_data};

/// Endings of pictures in a package; drawings can hold words like any other.
const PICTURES: [&str; 12] = [".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".emf", ".wmf", ".wdp", ".heic"];

/// Cells in one row that are written; more is no table a person reads.
const COLUMNS_MAX: usize = 1_024;

/// Text of a document: main part, headers, notes, comments and properties; files and pictures inside it too.
pub(super) fn read(format: Format, bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else {
        return AttachmentText::unreadable(UnreadableWhy::Damaged);
    };
    let mut out = AttachmentText::default();
    if super::archive::names_twice(bytes, archive.len()) {
        out.unreadable.push(UnreadableWhy::Damaged);
    }
    let names = super::archive::names(&mut archive);
    let mut seen_main = false;
    for (index, name) in names {
        let kind = inside(format, &name);
        if kind == Inside::Skip {
            continue;
        }
        let content = match super::archive::entry(&mut archive, index, fuel) {
            Ok(content) => content,
            Err(why) => {
                out.unreadable.push(why);
                continue;
            }
        };
        match kind {
            Inside::Text => {
                seen_main |= is_main(format, &name);
                match xml_text(&content) {
                    Some(text) => push(text, &mut out),
                    None => out.unreadable.push(UnreadableWhy::Damaged),
                }
            }
            Inside::Data => match office_data::text(&content) {
                Some(text) => data(text, fuel, &mut out),
                None => out.unreadable.push(UnreadableWhy::Damaged),
            },
            Inside::Picture => out.images.push(image::picture(&content)),
            Inside::File => super::archive::member(&name, &content, fuel, &mut out),
            Inside::Skip => {}
        }
    }
    if !seen_main && out.unreadable.is_empty() {
        out.unreadable.push(UnreadableWhy::Damaged);
    }
    out
}

/// Text behind the pages, and what its addresses say.
fn data(text: String, fuel: &mut Fuel, out: &mut AttachmentText) {
    let said = super::held::addresses(&text);
    if fuel.burn(said.len()) {
        push(said, out);
    }
    push(text, out);
}

fn push(text: String, out: &mut AttachmentText) {
    if !text.trim().is_empty() {
        out.texts.push((TextKind::Content, text));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Text,
    /// What stands behind the pages: values of forms, addresses of links, records kept.
    Data,
    Picture,
    File,
    Skip,
}

/// What a member of the package is.
fn inside(format: Format, name: &str) -> Inside {
    let lower = name.to_ascii_lowercase();
    let is_xml = lower.ends_with(".xml");
    let starts = |starts: &[&str]| starts.iter().any(|start| lower.starts_with(start));
    let is_text = match format {
        Format::Docx => {
            is_xml
                && starts(&[
                    "word/document",
                    "word/header",
                    "word/footer",
                    "word/footnotes",
                    "word/endnotes",
                    "word/comments",
                    "word/glossary/document",
                ])
        }
        Format::Pptx => {
            is_xml
                && starts(&[
                    "ppt/slides/slide",
                    "ppt/notesslides/",
                    "ppt/comments",
                    "ppt/slidemasters/",
                    "ppt/slidelayouts/",
                    "ppt/notesmasters/",
                    "ppt/handoutmasters/",
                ])
        }
        Format::Xlsx => {
            is_xml && (starts(&["xl/comments"]) || lower.contains("/drawings/drawing") || lower.contains("threadedcomment"))
        }
        _ => lower.ends_with("content.xml") || lower.ends_with("styles.xml"),
    } || matches!(lower.as_str(), "docprops/core.xml" | "docprops/custom.xml" | "docprops/app.xml" | "meta.xml")
        || (is_xml && (lower.contains("/charts/") || lower.contains("/diagrams/data")));
    // Of a document's relations only the addresses outside it.
    let is_data = lower.ends_with(".rels")
        || lower == "word/settings.xml"
        || is_xml
            && starts(&[
                "customxml/item",
                "xl/pivotcache/",
                "xl/externallinks/",
                "xl/worksheets/",
                "xl/tables/",
                "xl/sharedstrings",
            ]);
    let is_picture = PICTURES.iter().any(|end| lower.ends_with(end));
    if is_text {
        Inside::Text
    } else if is_data {
        Inside::Data
    } else if is_picture && !lower.starts_with("thumbnails/") && !lower.starts_with("docprops/") {
        Inside::Picture
    } else if (lower.contains("/embeddings/") || lower.starts_with("word/afchunk")) && !name.ends_with('/') {
        Inside::File
    } else {
        Inside::Skip
    }
}

fn is_main(format: Format, name: &str) -> bool {
    match format {
        Format::Docx => name.starts_with("word/document"),
        Format::Pptx => name.starts_with("ppt/slides/"),
        _ => name == "content.xml",
    }
}

/// Text of WordprocessingML, DrawingML and OpenDocument: paragraphs end lines, cells are parted by tabs.
pub(super) fn xml_text(content: &[u8]) -> Option<String> {
    let text = super::format::decode(content);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = false;
    let mut out = String::with_capacity(content.len() / 4);
    // What is shown elsewhere, or when asked for.
    let mut aside = String::new();
    // Inside a cell a paragraph does not end the line.
    let mut cells = 0usize;
    // Styles and properties hold text of their own; only these elements' text is shown.
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                office_data::attributes(&start, &mut aside);
                match start.local_name().as_ref() {
                    "tc" | "table-cell" => cells += 1,
                    "tab" | "s" if start.name().as_ref() != "w:s" => out.push(' '),
                    name if APART.contains(&name) => line(cells, &mut out),
                    _ => {}
                }
            }
            Event::Empty(empty) => {
                office_data::attributes(&empty, &mut aside);
                match empty.local_name().as_ref() {
                    "tab" => out.push('\t'),
                    "br" | "line-break" | "cr" => out.push(if cells > 0 { ' ' } else { '\n' }),
                    "s" | "noBreakHyphen" => out.push(if empty.local_name().as_ref() == "s" { ' ' } else { '-' }),
                    "table-cell" => out.push('\t'),
                    _ => {}
                }
            }
            Event::End(end) => match end.local_name().as_ref() {
                "p" | "h" if cells == 0 => out.push('\n'),
                "p" | "h" => out.push(' '),
                "tc" | "table-cell" => {
                    cells = cells.saturating_sub(1);
                    while out.ends_with(' ') {
                        out.pop();
                    }
                    out.push('\t');
                }
                "tr" | "table-row" => {
                    while out.ends_with('\t') {
                        out.pop();
                    }
                    out.push('\n');
                }
                "title" | "subject" | "creator" | "keywords" | "description" | "lastModifiedBy" | "initial-creator" | "v"
                | "lpwstr" | "Company" | "Manager" => out.push('\n'),
                name if APART.contains(&name) => line(cells, &mut out),
                _ => {}
            },
            Event::Text(inner) => {
                let inner = unescaped(&inner);
                if !(inner.trim().is_empty() && inner.contains('\n')) {
                    out.push_str(&inner);
                }
            }
            Event::CData(inner) => out.push_str(&inner),
            Event::GeneralRef(inner) => out.push_str(&reference(&inner)),
            Event::Eof => return Some(out + &aside),
            // An entity of one's own could stand for any text, or for a great deal of it.
            Event::DocType(declared) if declares_entities(&declared) => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// Elements whose text is no part of the line around them: notes, comments, what stands for a picture, boxes, field codes.
const APART: [&str; 16] = [
    "annotation",
    "note",
    "desc",
    "title",
    "txbxContent",
    "txBody",
    "footnote",
    "endnote",
    "comment",
    "instrText",
    "hint",
    "deletion",
    "notes",
    "header",
    "footer",
    "text-box",
];

fn line(cells: usize, out: &mut String) {
    if cells > 0 {
        out.push(' ');
    } else if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Whether a document type says what `&name;` stands for.
pub(super) fn declares_entities(declared: &str) -> bool {
    declared.contains("<!ENTITY")
}

/// Text of an event; references come as events of their own.
pub(super) fn unescaped(text: &quick_xml::events::BytesText<'_>) -> String {
    text.xml10_content().into_owned()
}

/// The text of `&amp;`, `&#228;` and their like; unknown ones stay as they are, none is expanded.
pub(super) fn reference(reference: &quick_xml::events::BytesRef<'_>) -> String {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return c.to_string();
    }
    match reference.as_ref() {
        "amp" => "&".to_owned(),
        "lt" => "<".to_owned(),
        "gt" => ">".to_owned(),
        "quot" => "\"".to_owned(),
        "apos" => "'".to_owned(),
        other => format!("&{other};"),
    }
}

/// A spreadsheet as tab-separated rows, one text a sheet.
pub(super) fn sheets(format: Format, bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    let mut out = AttachmentText::default();
    if format == Format::Xlsx {
        // The reader unpacks without a limit of its own, so the limit is checked first.
        if let Err(why) = super::archive::measure(bytes, fuel) {
            return AttachmentText::unreadable(why);
        }
        beside_the_sheets(bytes, fuel, &mut out);
    }
    let Ok(mut book) = calamine::open_workbook_auto_from_rs(Cursor::new(bytes)) else {
        out.unreadable.push(UnreadableWhy::Damaged);
        return out;
    };
    for name in book.sheet_names() {
        let Ok(range) = book.worksheet_range(&name) else {
            out.unreadable.push(UnreadableWhy::Damaged);
            continue;
        };
        let mut text = String::new();
        for row in range.rows() {
            for (at, cell) in row.iter().take(COLUMNS_MAX).enumerate() {
                if at > 0 {
                    text.push('\t');
                }
                push_cell(cell, &mut text);
            }
            while text.ends_with('\t') {
                text.pop();
            }
            text.push('\n');
            if text.len() as u64 > fuel.bytes {
                break;
            }
        }
        if !fuel.burn(text.len()) {
            out.unreadable.push(UnreadableWhy::TooLarge);
        }
        out.texts.push((TextKind::Name, name));
        if !text.trim().is_empty() {
            out.texts.push((TextKind::Content, text));
        }
    }
    out
}

/// Comments, text boxes, pictures, properties of a workbook, and what it keeps without showing it.
fn beside_the_sheets(bytes: &[u8], fuel: &mut Fuel, out: &mut AttachmentText) {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else { return };
    let names = super::archive::names(&mut archive);
    for (index, name) in names {
        let kind = inside(Format::Xlsx, &name);
        if kind == Inside::Skip {
            continue;
        }
        let content = match super::archive::entry(&mut archive, index, fuel) {
            Ok(content) => content,
            Err(why) => {
                out.unreadable.push(why);
                continue;
            }
        };
        match kind {
            Inside::Text => xml_text(&content).into_iter().for_each(|text| push(text, out)),
            Inside::Data => office_data::text(&content).into_iter().for_each(|text| data(text, fuel, out)),
            Inside::Picture => out.images.push(image::picture(&content)),
            Inside::File => super::archive::member(&name, &content, fuel, out),
            Inside::Skip => {}
        }
    }
}

fn push_cell(cell: &Data, out: &mut String) {
    match cell {
        Data::Empty => {}
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => {
            out.extend(text.chars().map(|c| if matches!(c, '\t' | '\n' | '\r') { ' ' } else { c }));
        }
        Data::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => out.push_str(&format!("{number:.0}")),
        Data::Float(number) => out.push_str(&number.to_string()),
        Data::Int(number) => out.push_str(&number.to_string()),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::DateTime(date) => {
            let (year, month, day, ..) = date.to_ymd_hms_milli();
            out.push_str(&format!("{year:04}-{month:02}-{day:02}"));
        }
        Data::Error(_) => {}
        #[allow(unreachable_patterns)]
        _ => {}
    }
}

/// Reads a member to its end, at most `limit` bytes and one more to tell that it was longer.
pub(super) fn read_limited(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut out)?;
    Ok(out)
}
