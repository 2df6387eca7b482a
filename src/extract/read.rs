use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    AttachmentText, Extracted, Format, Fuel, HeaderField, Image, Picture, Place, ReadAttachment, Text, TextKind, Unreadable,
    UnreadableWhy, archive, cms, delimited, format, gzip, held, html, image, office, ole, pdf, rtf, structured, tar, tnef,
    uuencode, xml,
};
use crate::message::{Message, Part, PartPath};

/// Pictures of one message on which text is looked for: each takes seconds.
const RECOGNISED_MAX: u32 = 3;
/// Smaller pictures have no room for a name and a finding.
const WORDS_PIXELS: u64 = 20_000;

/// Reads every text of a message. Pure: the same bytes and fuel give the same result, given a reader that does.
#[must_use]
pub fn read(message: &Message, attachments: &dyn ReadAttachment, fuel: Fuel) -> Extracted {
    let mut fuel = fuel;
    read_with(message, attachments, &mut fuel)
}

fn read_with(message: &Message, attachments: &dyn ReadAttachment, fuel: &mut Fuel) -> Extracted {
    let mut out = Extracted::default();
    for problem in message.problems() {
        if problem.makes_unreadable() {
            out.unreadable.push(Unreadable { part: problem.part.clone(), why: UnreadableWhy::MimeProblem });
        }
        out.limits_exceeded |= problem.kind.exceeds_limits();
    }
    let cids = Cids::of(message);
    for part in message.parts() {
        headers(part, &mut out);
        if part.children.is_empty() {
            leaf(message, part, attachments, &cids, fuel, &mut out);
        }
    }
    for gap in message.gaps() {
        let bytes = message.raw().get(gap).unwrap_or_default();
        if bytes.iter().any(|b| b.is_ascii_alphanumeric()) && fuel.burn(bytes.len()) {
            out.texts.push(Text { place: Place::Gap, content: format::decode(bytes) });
        }
    }
    out.limits_exceeded |= out.unreadable.iter().any(|unreadable| unreadable.why.exceeds_limits());
    out
}

/// Fields whose text people read. The others are for machines and do not leave (the rewrite keeps a short list).
fn headers(part: &Part, out: &mut Extracted) {
    for field in part.header.fields() {
        let kind = match field.name.to_ascii_lowercase().as_str() {
            // These say what the message is about, too.
            "subject" | "comments" | "keywords" | "thread-topic" | "summary" | "content-description" => HeaderField::Subject,
            "from" => HeaderField::From,
            "to" => HeaderField::To,
            "cc" => HeaderField::Cc,
            "reply-to" | "sender" | "organization" => HeaderField::Other,
            "content-type" | "content-transfer-encoding" | "content-disposition" | "content-id" => continue,
            // The rewrite lets all of these leave.
            other if other.starts_with("content-") => HeaderField::Other,
            _ => continue,
        };
        let content = field.decoded();
        if !content.trim().is_empty() {
            out.texts.push(Text { place: Place::Header(part.path.clone(), kind), content });
        }
    }
    for name in part.file_name.iter().chain(&part.further_names) {
        out.texts.push(Text { place: Place::FileName(part.path.clone()), content: spoken(name) });
    }
}

/// A file's name as words: `Anna_Baker-MRI.pdf` says as much as "Anna Baker MRI".
pub(super) fn spoken(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '_' | '+' | '/' | '\\') { ' ' } else { c }).collect()
}

/// Content-IDs that a letter shows inside its text.
struct Cids(Vec<String>);

impl Cids {
    fn of(message: &Message) -> Cids {
        let mut ids = Vec::new();
        for part in message.leaves().into_iter().filter(|part| part.media_type == "text/html") {
            let Ok(text) = part.text(message) else { continue };
            let mut rest = text.as_str();
            while let Some((_, after)) = rest.split_once("cid:") {
                let id = after.split(['"', '\'', '>', ' ', ')']).next().unwrap_or_default();
                ids.push(id.to_owned());
                rest = after;
            }
        }
        Cids(ids)
    }

    fn shows(&self, part: &Part) -> bool {
        part.content_id.as_ref().is_some_and(|id| self.0.contains(id))
    }
}

fn leaf(message: &Message, part: &Part, attachments: &dyn ReadAttachment, cids: &Cids, fuel: &mut Fuel, out: &mut Extracted) {
    let unreadable = |out: &mut Extracted, why| {
        let entry = Unreadable { part: part.path.clone(), why };
        if !out.unreadable.contains(&entry) {
            out.unreadable.push(entry);
        }
    };
    let (mut bytes, undecoded) = match part.decode(message) {
        Ok(bytes) => (bytes, None),
        Err(problem) => {
            unreadable(out, UnreadableWhy::MimeProblem);
            (Cow::Owned(problem.recovered), Some(problem.kind))
        }
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return;
    }
    let format = Format::of(&bytes, &part.media_type, part.file_name.as_deref().unwrap_or_default());
    let is_attachment = part.is_attachment() && part.media_type != "text/calendar";
    let place = if is_attachment { Place::Attachment(part.path.clone()) } else { Place::Body(part.path.clone()) };
    if format == Format::Image {
        let picture = image::picture(&bytes);
        let inline = cids.shows(part);
        let is_worth_it = out.recognised < RECOGNISED_MAX && picture.pixels.is_none_or(|pixels| pixels >= WORDS_PIXELS);
        if is_worth_it && let Some(content) = attachments.recognise(&bytes).filter(|text| fuel.burn(text.len())) {
            out.texts.push(Text { place: Place::Attachment(part.path.clone()), content });
        }
        out.recognised += u32::from(is_worth_it);
        out.images.push(with_place(picture, &part.path, inline));
        return;
    }
    if !fuel.burn(bytes.len()) {
        unreadable(out, UnreadableWhy::TooLarge);
        return;
    }
    if format.is_document() {
        take(by_reader(format, &bytes, attachments, fuel), part, &place, out);
        return;
    }
    // Text of whatever kind: in the charset the part declares, when it is one that readers show as text.
    let is_declared = part.media_type.starts_with("text/") && part.charset.is_some();
    if format == Format::Unknown && !is_declared {
        take(AttachmentText::unreadable(unknown(&bytes)), part, &place, out);
        return;
    }
    let text = if is_declared {
        // A large text is there once: nobody asks for its bytes.
        let bytes = if format == Format::Text { std::mem::take(&mut bytes) } else { Cow::Borrowed(bytes.as_ref()) };
        match part.text_of(bytes, undecoded) {
            Ok(text) => text,
            Err(problem) => {
                unreadable(out, UnreadableWhy::MimeProblem);
                problem.text()
            }
        }
    } else {
        if format::is_guesswork(&bytes) && !held::is_yenc(&bytes) {
            unreadable(out, UnreadableWhy::UnknownFormat);
        }
        format::decode(&bytes)
    };
    let unflowed = part.param("delsp").is_some_and(|value| value.eq_ignore_ascii_case("yes")).then(|| unflowed(&text));
    let mut read = textual(format, with_line_feeds(text), &bytes, attachments, fuel);
    if let Some(text) = unflowed {
        push_burned(text, fuel, &mut read);
    }
    take(read, part, &place, out);
}

/// Lines that end in CRLF end in LF: what is scanned then needs no folding.
fn with_line_feeds(text: String) -> String {
    if memchr::memchr(b'\r', text.as_bytes()).is_none() {
        return text;
    }
    let mut bytes = text.into_bytes();
    bytes.dedup_by(|this, before| {
        let is_pair = *before == b'\r' && *this == b'\n';
        if is_pair {
            *before = b'\n';
        }
        is_pair
    });
    // Whole characters went, so nothing is replaced.
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Lines joined that end in a blank, the blank gone (RFC 3676, section 4.5): they may be cut inside words.
fn unflowed(text: &str) -> String {
    text.replace(" \r\n", "").replace(" \n", "")
}

fn by_reader(format: Format, bytes: &[u8], attachments: &dyn ReadAttachment, fuel: &mut Fuel) -> AttachmentText {
    let read = attachments.read(format, bytes, *fuel);
    if let Some(left) = read.fuel_left {
        *fuel = left;
    }
    read
}

fn take(read: AttachmentText, part: &Part, place: &Place, out: &mut Extracted) {
    for (kind, content) in read.texts {
        let place = match kind {
            TextKind::Content => place.clone(),
            TextKind::Name => Place::FileName(part.path.clone()),
        };
        out.texts.push(Text { place, content });
    }
    for why in read.unreadable {
        let entry = Unreadable { part: part.path.clone(), why };
        if !out.unreadable.contains(&entry) {
            out.unreadable.push(entry);
        }
    }
    out.images.extend(read.images.into_iter().map(|picture| with_place(picture, &part.path, false)));
}

fn with_place(picture: Picture, part: &PartPath, inline: bool) -> Image {
    Image {
        part: part.clone(),
        inline,
        size_bytes: picture.size_bytes,
        pixels: picture.pixels,
        sha256: picture.sha256,
        is_document: picture.is_document,
    }
}

/// The formats that are text already, or that hold a message; with what is written in them in another writing.
fn textual(format: Format, text: String, bytes: &[u8], attachments: &dyn ReadAttachment, fuel: &mut Fuel) -> AttachmentText {
    let mut out = itself(format, text, bytes, attachments, fuel);
    if !matches!(format, Format::Message | Format::Cms) {
        inside(&mut out, attachments, fuel);
    }
    out
}

/// Files and addresses in the texts of `out`.
fn inside(out: &mut AttachmentText, attachments: &dyn ReadAttachment, fuel: &mut Fuel) {
    let contents = out.texts.iter().filter(|(kind, _)| *kind == TextKind::Content);
    let (files, addresses): (Vec<_>, Vec<_>) = contents.map(|(_, text)| (held::files(text), held::addresses(text))).unzip();
    for said in addresses.into_iter().filter(|said| !said.is_empty()) {
        push_burned(said, fuel, out);
    }
    for file in files.into_iter().flatten() {
        if !enclosed(&file, "", attachments, fuel, out) {
            break;
        }
    }
}

/// A text that is not taken off the fuel yet.
fn push_burned(text: String, fuel: &mut Fuel, out: &mut AttachmentText) {
    if fuel.burn(text.len()) {
        out.texts.push((TextKind::Content, text));
    } else {
        out.unreadable.push(UnreadableWhy::TooLarge);
    }
}

fn page(text: &str, attachments: &dyn ReadAttachment, fuel: &mut Fuel) -> AttachmentText {
    let read = html::text(text);
    let texts = [read.shown, read.aside].into_iter().filter(|text| !text.trim().is_empty());
    let mut out = AttachmentText { texts: texts.map(|text| (TextKind::Content, text)).collect(), ..AttachmentText::default() };
    for address in &read.files {
        let Some((media_type, bytes)) = held::data_address(address) else { continue };
        let file = uuencode::Enclosed { name: String::new(), bytes, is_damaged: false };
        if !enclosed(&file, &media_type, attachments, fuel, &mut out) {
            break;
        }
    }
    out
}

/// One format's own text.
fn itself(format: Format, text: String, bytes: &[u8], attachments: &dyn ReadAttachment, fuel: &mut Fuel) -> AttachmentText {
    let content = match format {
        Format::Html => return page(&text, attachments, fuel),
        Format::Text => return plain(text, attachments, fuel),
        Format::Delimited => delimited::text(&text),
        Format::Json => structured::json(&text),
        Format::Xml if is_office(&text) => match office::xml_text(bytes) {
            Some(text) => text,
            None => {
                return AttachmentText {
                    unreadable: vec![UnreadableWhy::Damaged],
                    texts: vec![(TextKind::Content, xml::text(&text))],
                    ..AttachmentText::default()
                };
            }
        },
        Format::Xml => {
            // Entities of the file's own are not expanded here, but are by whoever shows it.
            let why = office::declares_entities(&text).then_some(UnreadableWhy::Damaged);
            return AttachmentText {
                texts: vec![(TextKind::Content, xml::text(&text))],
                unreadable: why.into_iter().collect(),
                ..AttachmentText::default()
            };
        }
        Format::Hl7 => structured::hl7(&text),
        Format::Calendar | Format::Card => structured::folded_lines(&text),
        Format::Message => return messages(bytes, attachments, fuel),
        Format::Cms => {
            return match cms::read(bytes) {
                Some(cms::Cms::Signed(Some(inside))) => message_file(&inside, attachments, fuel),
                // A signature: bytes about a letter, no text.
                Some(cms::Cms::Signed(None)) => AttachmentText::default(),
                Some(cms::Cms::Sealed) => AttachmentText::unreadable(UnreadableWhy::Encrypted),
                Some(cms::Cms::Other) | None => AttachmentText::unreadable(UnreadableWhy::UnknownFormat),
            };
        }
        Format::Sealed => return AttachmentText::unreadable(UnreadableWhy::Encrypted),
        Format::Unknown => return AttachmentText::unreadable(unknown(bytes)),
        Format::Image => return AttachmentText { images: vec![image::picture(bytes)], ..AttachmentText::default() },
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
        | Format::Tar => {
            return AttachmentText::unreadable(UnreadableWhy::UnknownFormat);
        }
    };
    AttachmentText { texts: vec![(TextKind::Content, content)], ..AttachmentText::default() }
}

/// Lines that begin a text sealed for its recipient (RFC 9580, section 6.2; RFC 7468, section 10; age).
const SEALS: [&str; 4] =
    ["-----BEGIN PGP MESSAGE-----", "-----BEGIN CMS-----", "-----BEGIN PKCS7-----", "-----BEGIN AGE ENCRYPTED FILE-----"];

/// A text, and the files that programs find in it.
fn plain(text: String, attachments: &dyn ReadAttachment, fuel: &mut Fuel) -> AttachmentText {
    let mut out = AttachmentText::default();
    if text.starts_with("$ANSIBLE_VAULT;")
        || text.contains("-----BEGIN ") && text.lines().any(|line| SEALS.contains(&line.trim()))
    {
        out.unreadable.push(UnreadableWhy::Encrypted);
    }
    // PostScript is a program: what it paints is seen by whoever runs it.
    if text.starts_with("%!PS") {
        out.unreadable.push(UnreadableWhy::UnknownFormat);
    }
    let files = uuencode::files(&text);
    out.texts.push((TextKind::Content, text));
    for file in files {
        if !enclosed(&file, "", attachments, fuel, &mut out) {
            break;
        }
    }
    out
}

/// A file found in a text; `false` when there is no fuel for more.
fn enclosed(
    file: &uuencode::Enclosed,
    media_type: &str,
    attachments: &dyn ReadAttachment,
    fuel: &mut Fuel,
    out: &mut AttachmentText,
) -> bool {
    if file.is_damaged {
        out.unreadable.push(UnreadableWhy::Damaged);
    }
    let (Some(parts), Some(depth)) = (fuel.parts.checked_sub(1), fuel.depth.checked_sub(1)) else {
        out.unreadable.push(if fuel.parts == 0 { UnreadableWhy::TooLarge } else { UnreadableWhy::TooDeep });
        return false;
    };
    if !fuel.burn(file.bytes.len()) {
        out.unreadable.push(UnreadableWhy::TooLarge);
        return false;
    }
    if !file.name.is_empty() {
        out.texts.push((TextKind::Name, spoken(&file.name)));
    }
    if file.bytes.is_empty() {
        return true;
    }
    (fuel.parts, fuel.depth) = (parts, depth);
    let format = Format::of(&file.bytes, media_type, &file.name);
    let mut inner = if format.is_document() {
        by_reader(format, &file.bytes, attachments, fuel)
    } else {
        textual(format, with_line_feeds(format::decode(&file.bytes)), &file.bytes, attachments, fuel)
    };
    fuel.depth = depth + 1;
    out.texts.append(&mut inner.texts);
    out.unreadable.append(&mut inner.unreadable);
    out.images.append(&mut inner.images);
    true
}

/// Why a file of an unknown format stays unread: some say themselves that they are locked.
fn unknown(bytes: &[u8]) -> UnreadableWhy {
    // RAR 5: a first block of kind 4 means that even the names are encrypted (after checksum and size).
    let is_locked_rar = bytes.starts_with(b"Rar!\x1a\x07\x01\0") && bytes.get(13) == Some(&4);
    // RAR 4: the main block's flag for encrypted headers.
    let is_locked_old_rar = bytes.starts_with(b"Rar!\x1a\x07\0") && bytes.get(10).is_some_and(|flags| flags & 0x80 != 0);
    // OpenPGP, binary: a session key for a key or a pass phrase comes first (RFC 9580, section 4.3).
    let is_pgp = matches!(bytes, [0x84 | 0x85, _, _, 2 | 3 | 6, ..] | [0xc1 | 0xc3, ..] | [0x8c, _, 4, ..]);
    if is_locked_rar || is_locked_old_rar || is_pgp || bytes.starts_with(b"age-encryption.org/") {
        UnreadableWhy::Encrypted
    } else {
        UnreadableWhy::UnknownFormat
    }
}

/// Whether XML is an office document in one file: its text stands in runs, not in elements.
fn is_office(text: &str) -> bool {
    let head: String = text.chars().take(2048).collect();
    ["<w:wordDocument", "<pkg:package", "<office:document", "<w:document"].iter().any(|root| head.contains(root))
}

/// Messages of one file: all of an mbox (RFC 4155), each behind its `From ` line.
fn messages(bytes: &[u8], attachments: &dyn ReadAttachment, fuel: &mut Fuel) -> AttachmentText {
    if !bytes.starts_with(b"From ") {
        return message_file(bytes, attachments, fuel);
    }
    let mut out = AttachmentText::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let body = rest.get(line..).unwrap_or_default();
        let end = memchr::memmem::find(body, b"\nFrom ").map_or(body.len(), |at| at + 1);
        let mut read = message_file(body.get(..end).unwrap_or_default(), attachments, fuel);
        out.texts.append(&mut read.texts);
        out.unreadable.append(&mut read.unreadable);
        out.images.append(&mut read.images);
        if fuel.parts == 0 {
            out.unreadable.push(UnreadableWhy::TooLarge);
            break;
        }
        rest = body.get(end..).unwrap_or_default();
    }
    out
}

/// A message saved as a file: read like a message, its attachments by the same reader.
fn message_file(bytes: &[u8], attachments: &dyn ReadAttachment, fuel: &mut Fuel) -> AttachmentText {
    let Some(depth) = fuel.depth.checked_sub(1) else { return AttachmentText::unreadable(UnreadableWhy::TooDeep) };
    let Some(parts) = fuel.parts.checked_sub(1) else { return AttachmentText::unreadable(UnreadableWhy::TooLarge) };
    (fuel.depth, fuel.parts) = (depth, parts);
    let message = crate::message::parse(crate::secret::Plaintext::new(bytes.to_vec()));
    let read = read_with(&message, attachments, fuel);
    fuel.depth = depth + 1;
    let is_beyond = read.limits_exceeded && !read.unreadable.iter().any(|unreadable| unreadable.why.exceeds_limits());
    let beyond = is_beyond.then_some(UnreadableWhy::TooDeep);
    AttachmentText {
        texts: read
            .texts
            .into_iter()
            .map(|text| (if matches!(text.place, Place::FileName(_)) { TextKind::Name } else { TextKind::Content }, text.content))
            .collect(),
        unreadable: read.unreadable.into_iter().map(|unreadable| unreadable.why).chain(beyond).collect(),
        images: read
            .images
            .into_iter()
            .map(|image| Picture {
                size_bytes: image.size_bytes,
                pixels: image.pixels,
                sha256: image.sha256,
                is_document: image.is_document,
            })
            .collect(),
        fuel_left: None,
    }
}

/// Reads document formats in this process: inside the sandboxed child, in tests and for the command line.
/// A panic of a parser is caught and means damaged.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

impl ReadAttachment for InProcess {
    fn read(&self, format: Format, bytes: &[u8], fuel: Fuel) -> AttachmentText {
        let mut left = fuel;
        let read = catch_unwind(AssertUnwindSafe(|| document(format, bytes, &mut left)));
        match read {
            Ok(mut text) => {
                text.fuel_left = Some(left);
                text
            }
            Err(_) => AttachmentText { fuel_left: Some(left), ..AttachmentText::unreadable(UnreadableWhy::Crashed) },
        }
    }
}

/// One file of any format, those inside it included.
pub(super) fn document(format: Format, bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    match format {
        Format::Rtf => rtf::read(bytes, fuel),
        Format::Docx | Format::Pptx | Format::OpenDocument => office::read(format, bytes, fuel),
        Format::Xlsx => office::sheets(format, bytes, fuel),
        Format::Ole => ole::read(bytes, fuel),
        Format::Tnef => tnef::read(bytes, fuel),
        Format::Pdf => pdf::read(bytes, fuel),
        Format::Zip => archive::read(bytes, fuel),
        Format::Gzip => gzip::read(bytes, fuel),
        Format::Tar => tar::read(bytes, fuel),
        Format::Text
        | Format::Delimited
        | Format::Html
        | Format::Json
        | Format::Xml
        | Format::Hl7
        | Format::Calendar
        | Format::Card
        | Format::Image
        | Format::Message
        | Format::Cms
        | Format::Sealed
        | Format::Unknown => {
            let mut out = textual(format, with_line_feeds(format::decode(bytes)), bytes, &InProcess, fuel);
            if format == Format::Text && format::is_guesswork(bytes) {
                out.unreadable.push(UnreadableWhy::UnknownFormat);
            }
            out
        }
    }
}
