use super::{cms, compound, gzip, tar, tnef, x12};

/// What a file is, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Text,
    Delimited,
    Html,
    Json,
    Xml,
    Hl7,
    Calendar,
    Card,
    Rtf,
    Docx,
    Xlsx,
    Pptx,
    /// Text, spreadsheet or presentation of OpenDocument.
    OpenDocument,
    /// A compound file: Office before 2007, Outlook's saved messages.
    Ole,
    /// Outlook's winmail.dat.
    Tnef,
    Pdf,
    Zip,
    Gzip,
    Tar,
    Image,
    /// A message as a file.
    Message,
    /// S/MIME: signed or sealed.
    Cms,
    /// Said to be sealed for the recipient.
    Sealed,
    Unknown,
}

impl Format {
    pub const ALL: [Format; 24] = [
        Format::Text,
        Format::Delimited,
        Format::Html,
        Format::Json,
        Format::Xml,
        Format::Hl7,
        Format::Calendar,
        Format::Card,
        Format::Rtf,
        Format::Docx,
        Format::Xlsx,
        Format::Pptx,
        Format::OpenDocument,
        Format::Ole,
        Format::Tnef,
        Format::Pdf,
        Format::Zip,
        Format::Gzip,
        Format::Tar,
        Format::Image,
        Format::Message,
        Format::Cms,
        Format::Sealed,
        Format::Unknown,
    ];

    /// Whether its reader is complex enough to belong into the sandbox.
    #[must_use]
    pub fn is_document(self) -> bool {
        matches!(
            self,
            Format::Rtf
                | Format::Docx
                | Format::Xlsx
                | Format::Pptx
                | Format::OpenDocument
                | Format::Ole
                | Format::Tnef
                | Format::Pdf
                | Format::Zip
                | Format::Gzip
                | Format::Tar
        )
    }

    /// Tells the format from the first bytes; `hint` is the declared media type or a file's name, and decides only
    /// between kinds of text and signatures.
    #[must_use]
    pub fn of(bytes: &[u8], media_type: &str, file_name: &str) -> Format {
        let extension = file_name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
        if let Some(format) = by_magic(bytes) {
            return format;
        }
        if bytes.first() == Some(&0x30) && cms::read(bytes).is_some() {
            return Format::Cms;
        }
        if media_type.ends_with("pkcs7-mime") || media_type == "application/pgp-encrypted" && !is_text(bytes) {
            return Format::Sealed;
        }
        if !is_text(bytes) {
            return Format::Unknown;
        }
        by_text(bytes, media_type, &extension)
    }
}

/// Where the magic number may begin: readers forgive some bytes in front of a PDF.
const PDF_LEAD: usize = 1024;

fn by_magic(bytes: &[u8]) -> Option<Format> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        return Some(in_zip(bytes));
    }
    if bytes.get(..bytes.len().min(PDF_LEAD)).is_some_and(|head| find(head, b"%PDF-").is_some()) {
        return Some(Format::Pdf);
    }
    if starts(b"{\\rtf") {
        return Some(Format::Rtf);
    }
    if starts(&compound::MAGIC) {
        return Some(Format::Ole);
    }
    if starts(&tnef::SIGNATURE) {
        return Some(Format::Tnef);
    }
    if starts(&gzip::MAGIC) {
        return Some(Format::Gzip);
    }
    if tar::is_tar(bytes) {
        return Some(Format::Tar);
    }
    let is_image = starts(b"\x89PNG\r\n\x1a\n")
        || starts(b"\xff\xd8\xff")
        || starts(b"GIF87a")
        || starts(b"GIF89a")
        || starts(b"II*\0")
        || starts(b"MM\0*")
        || starts(b"\xd7\xcd\xc6\x9a")
        || (starts(b"\x01\0\0\0") && bytes.get(40..44) == Some(b" EMF"))
        || (starts(b"BM") && bytes.len() > 26 && !is_text(bytes))
        || (starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"))
        || (bytes.get(4..8) == Some(b"ftyp")
            && bytes.get(8..12).is_some_and(|b| matches!(b, b"heic" | b"heix" | b"mif1" | b"avif")));
    is_image.then_some(Format::Image)
}

/// Which office format a ZIP holds, by the names in its directory: a document inside an archive makes no document of
/// the archive.
fn in_zip(bytes: &[u8]) -> Format {
    if bytes.get(30..38) == Some(b"mimetype") && find(bytes, b"application/vnd.oasis.opendocument.").is_some() {
        return Format::OpenDocument;
    }
    let names = directory(bytes);
    let has = |name: &[u8]| names.contains(&name);
    // Word calls its main part "document2.xml" now and then.
    let has_document = || names.iter().any(|name| name.starts_with(b"word/document") && name.ends_with(b".xml"));
    if has(b"word/document.xml") || has_document() {
        Format::Docx
    } else if has(b"xl/workbook.xml") || has(b"xl/workbook.bin") {
        Format::Xlsx
    } else if has(b"ppt/presentation.xml") {
        Format::Pptx
    } else {
        Format::Zip
    }
}

/// Names in the central directory (APPNOTE.TXT 4.3.12); empty if there is none where the end record says.
pub(super) fn directory(bytes: &[u8]) -> Vec<&[u8]> {
    /// Bytes of the end record without its comment, and the longest comment.
    const END: usize = 22;
    const COMMENT_MAX: usize = 65_535;
    /// More members than an office file has.
    const NAMES_MAX: usize = 20_000;
    let number = |at: usize, size: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(size)?)?;
        Some(field.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte)))
    };
    let from = bytes.len().saturating_sub(END + COMMENT_MAX);
    let end = bytes.get(from..).unwrap_or_default().windows(4).rposition(|four| four == b"PK\x05\x06").map(|at| from + at);
    let Some(mut at) = end.and_then(|end| number(end + 16, 4)) else { return Vec::new() };
    let mut names = Vec::new();
    while names.len() < NAMES_MAX && bytes.get(at..).is_some_and(|rest| rest.starts_with(b"PK\x01\x02")) {
        let (Some(name), Some(extra), Some(comment)) = (number(at + 28, 2), number(at + 30, 2), number(at + 32, 2)) else {
            break;
        };
        names.extend(bytes.get(at + 46..at + 46 + name));
        at += 46 + name + extra + comment;
    }
    names
}

fn by_text(bytes: &[u8], media_type: &str, extension: &str) -> Format {
    let text = decode(bytes);
    let start = text.trim_start();
    let head: String = start.chars().take(512).collect::<String>().to_ascii_lowercase();
    if head.starts_with("msh|") || head.starts_with("fhs|") || head.starts_with("bhs|") || x12::is_x12(start) {
        Format::Hl7
    } else if head.starts_with("begin:vcalendar") {
        Format::Calendar
    } else if head.starts_with("begin:vcard") {
        Format::Card
    } else if is_message(start, media_type, extension) {
        Format::Message
    } else if head.starts_with("<!doctype html")
        || head.starts_with("<html")
        || head.contains("<body")
        || head.starts_with("<svg")
        || media_type == "text/html"
        || media_type == "text/x-amp-html"
        || media_type == "text/enriched"
        || matches!(extension, "htm" | "html" | "xhtml" | "svg")
    {
        Format::Html
    } else if head.starts_with("<?xml") || extension == "xml" {
        if head.contains("<svg") { Format::Html } else { Format::Xml }
    } else if is_marked_up(&head, start) {
        if PAGE_TAGS.iter().any(|tag| head.starts_with(tag)) { Format::Html } else { Format::Xml }
    } else if is_json(start, extension) {
        Format::Json
    } else if media_type == "text/csv" || media_type == "text/tab-separated-values" || matches!(extension, "csv" | "tsv") {
        Format::Delimited
    } else {
        Format::Text
    }
}

/// Elements that pieces of pages begin with.
const PAGE_TAGS: [&str; 14] =
    ["<p", "<div", "<table", "<span", "<br", "<center", "<font", "<meta", "<style", "<ul", "<ol", "<b>", "<h", "<title"];

/// Whether a text is one element, declared or not.
fn is_marked_up(head: &str, text: &str) -> bool {
    head.strip_prefix('<').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        && text.trim_end().ends_with('>')
}

/// JSON, a value a line, or the beginning of it.
fn is_json(text: &str, extension: &str) -> bool {
    if !text.starts_with(['{', '[']) {
        return false;
    }
    matches!(extension, "json" | "jsonl" | "ndjson" | "geojson")
        || serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>().next().is_some_and(|first| first.is_ok())
        || text.contains("\\u00")
}

/// Whether a file is a message, or several: by its name and kind, or by a header section that no letter begins with. What is
/// shown as text is none, whatever it begins with.
fn is_message(text: &str, media_type: &str, extension: &str) -> bool {
    if matches!(media_type, "message/rfc822" | "message/external-body" | "text/rfc822-headers")
        || matches!(extension, "eml" | "mht" | "mhtml" | "mbox" | "mbx")
    {
        return true;
    }
    if media_type.starts_with("text/") && extension.is_empty() {
        return false;
    }
    let lines = text.lines().skip_while(|line| line.starts_with("From ")).take(200).take_while(|line| !line.is_empty());
    let names: Vec<String> = lines
        .filter(|line| !line.starts_with([' ', '\t']))
        .map_while(|line| line.split_once(':').map(|(name, _)| name.to_ascii_lowercase()))
        .collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    (has("mime-version") || has("content-type") || has("received") || has("message-id")) && (has("from") || has("subject"))
}

/// Beginnings of files that nobody here opens: 7-Zip, RAR, xz, Zstandard, bzip2, cabinets, OpenSSL's and age's.
const SEALED_OR_PACKED: [&[u8]; 8] = [
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"BZh9",
    b"MSCF\0\0",
    b"Salted__",
    b"age-encryption.org/",
];

/// Whether text without a charset is a guess: neither UTF-8 nor mostly ASCII, so its alphabet could be any.
pub(super) fn is_guesswork(bytes: &[u8]) -> bool {
    let high = bytes.iter().filter(|b| **b >= 0x80).count();
    high * 3 > bytes.len() && wide_order(bytes).is_none() && std::str::from_utf8(bytes).is_err()
}

/// Whether bytes found somewhere are a file at all: a known format, or text without a doubt.
pub(super) fn is_known(bytes: &[u8]) -> bool {
    let is_plain = |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{c}'));
    by_magic(bytes).is_some()
        || SEALED_OR_PACKED.iter().any(|magic| bytes.starts_with(magic))
        || std::str::from_utf8(bytes).is_ok_and(is_plain)
}

/// Text has no control characters but white space; UTF-16 is told by its mark or by every second byte being zero.
fn is_text(bytes: &[u8]) -> bool {
    if wide_order(bytes).is_some() {
        return true;
    }
    // The frame of a message between systems.
    let bytes = bytes.strip_prefix(b"\x0b").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\x1c\r").unwrap_or(bytes);
    let odd = bytes.iter().filter(|b| matches!(b, 0..=8 | 14..=26 | 28..=31 | 127)).count();
    odd == 0 || (odd * 200 < bytes.len() && !bytes.contains(&0))
}

#[derive(Clone, Copy)]
enum Wide {
    Little,
    Big,
    /// UTF-32, which some exports are in.
    Widest,
}

fn wide_order(bytes: &[u8]) -> Option<Wide> {
    if bytes.starts_with(b"\xff\xfe\0\0") && widest(bytes).is_some() {
        return Some(Wide::Widest);
    }
    if bytes.starts_with(b"\xff\xfe") {
        return Some(Wide::Little);
    }
    if bytes.starts_with(b"\xfe\xff") {
        return Some(Wide::Big);
    }
    let head = bytes.get(..bytes.len().min(256))?;
    if head.len() < 8 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let zeros = |offset: usize| head.iter().skip(offset).step_by(2).filter(|b| **b == 0).count() * 10 > head.len() / 2 * 8;
    match (zeros(0), zeros(1)) {
        (false, true) => Some(Wide::Little),
        (true, false) => Some(Wide::Big),
        // Letters of other scripts between: then all of it must be text.
        _ if is_all_text(encoding_rs::UTF_16LE, bytes) => Some(Wide::Little),
        _ if is_all_text(encoding_rs::UTF_16BE, bytes) => Some(Wide::Big),
        _ => None,
    }
}

/// Whether bytes are text of a wide encoding without a doubt: no stray halves, no control characters, a sixth of it ASCII, and
/// blanks in it. Told by its beginning in most cases.
fn is_all_text(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> bool {
    const HEAD: usize = 256;
    let is_text = |bytes: &[u8]| {
        let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) else { return false };
        let (mut ascii, mut blanks, mut all) = (0usize, 0usize, 0usize);
        for c in text.chars() {
            if c.is_control() && !c.is_whitespace() || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffe}' | '\u{ffff}') {
                return false;
            }
            all += 1;
            ascii += usize::from(c.is_ascii());
            blanks += usize::from(c.is_whitespace());
        }
        ascii * 6 > all && blanks > 0
    };
    let head = bytes.get(..bytes.len().min(HEAD)).unwrap_or_default();
    head.contains(&0) && is_text(head) && (bytes.len() <= HEAD || is_text(bytes))
}

/// UTF-32, little-endian with a mark; `None` if it is not that.
fn widest(bytes: &[u8]) -> Option<String> {
    let (fours, rest) = bytes.as_chunks::<4>();
    let text: Option<String> = fours.iter().skip(1).map(|four| char::from_u32(u32::from_le_bytes(*four))).collect();
    text.filter(|_| rest.is_empty())
}

/// Text of a file that says nothing about its charset: UTF-16 by its mark, UTF-8 if it is that, else windows-1252.
#[must_use]
pub(super) fn decode(bytes: &[u8]) -> String {
    match wide_order(bytes) {
        Some(Wide::Little) => return encoding_rs::UTF_16LE.decode_with_bom_removal(bytes).0.into_owned(),
        Some(Wide::Widest) => return widest(bytes).unwrap_or_default(),
        Some(Wide::Big) => return encoding_rs::UTF_16BE.decode_with_bom_removal(bytes).0.into_owned(),
        None => {}
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

pub(super) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut at = 0;
    while let Some(next) = hay.get(at..)?.iter().position(|b| *b == first) {
        at += next;
        if hay.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The directory of an archive with one member, and the end record that points to it.
    fn zip_of(name: &[u8]) -> Vec<u8> {
        let mut out = b"PK\x03\x04".to_vec();
        let start = out.len() as u32;
        out.extend_from_slice(b"PK\x01\x02");
        out.extend_from_slice(&[0; 24]);
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(name);
        out.extend_from_slice(b"PK\x05\x06");
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&start.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out
    }

    #[test]
    fn content_decides_and_not_the_name() {
        for (bytes, media_type, name, format) in [
            (&b"%PDF-1.4 x"[..], "text/plain", "a.txt", Format::Pdf),
            (b"{\\rtf1 x}", "application/msword", "a.doc", Format::Rtf),
            (b"\x89PNG\r\n\x1a\n....", "application/pdf", "a.pdf", Format::Image),
            (b"<html><body>x", "application/octet-stream", "a.dat", Format::Html),
            (b"MSH|^~\\&|A", "application/octet-stream", "x", Format::Hl7),
            (b"BEGIN:VCALENDAR\r\n", "text/plain", "", Format::Calendar),
            (b"{\"a\": 1}", "application/octet-stream", "", Format::Json),
            (b"a,b\n1,2", "text/csv", "x.csv", Format::Delimited),
            (b"plain words", "application/octet-stream", "x.bin", Format::Text),
            (b"\x00\x01\x02\x03binary\x00\x00", "text/plain", "x.txt", Format::Unknown),
            (b"\xff\xfea\0b\0", "text/plain", "x.txt", Format::Text),
            (&zip_of(b"word/document.xml"), "", "x.zip", Format::Docx),
            (&zip_of(b"letters/word/document.xml"), "", "x.docx", Format::Zip),
            (b"PK\x03\x04 word/document.xml", "", "x.docx", Format::Zip),
            (b"PK\x03\x04 other", "", "x.docx", Format::Zip),
            (b"", "text/plain", "", Format::Text),
        ] {
            assert_eq!(Format::of(bytes, media_type, name), format, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
