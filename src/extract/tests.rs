use std::io::Write;

use super::compound::Member;
use super::*;
use crate::message::parse;
use crate::secret::Plaintext;

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn document(format: Format, bytes: &[u8]) -> AttachmentText {
    InProcess.read(format, bytes, Fuel::default())
}

fn content(read: &AttachmentText) -> String {
    read.texts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
}

const DOCX: &str = "<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body><w:p><w:r><w:t>Max &amp; Co</w:t></w:r><w:r><w:t>mpany</w:t></w:r></w:p>\
    <w:tbl><w:tr><w:tc><w:p><w:r><w:t>Patient</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>DOB</w:t></w:r></w:p></w:tc></w:tr>\
    <w:tr><w:tc><w:p><w:r><w:t>Baker, Anna</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>1/2/1960</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body></w:document>";

#[test]
fn word_documents_come_as_lines_and_cells() {
    let bytes = zip(&[
        ("[Content_Types].xml", b"<x/>"),
        ("word/document.xml", DOCX.as_bytes()),
        ("word/media/image1.png", b"\x89PNG\r\n\x1a\n"),
    ]);
    assert_eq!(Format::of(&bytes, "", ""), Format::Docx);
    let read = document(Format::Docx, &bytes);
    assert_eq!(content(&read), "Max & Company\nPatient\tDOB\nBaker, Anna\t1/2/1960\n");
    assert_eq!(read.images.len(), 1);
    assert_eq!(read.unreadable, []);
}

#[test]
fn slides_and_open_documents_are_read_too() {
    let slide = "<p:sld xmlns:p=\"p\" xmlns:a=\"a\"><a:p><a:r><a:t>lupus</a:t></a:r></a:p></p:sld>";
    let bytes = zip(&[("ppt/presentation.xml", b"<x/>"), ("ppt/slides/slide1.xml", slide.as_bytes())]);
    assert_eq!(Format::of(&bytes, "", ""), Format::Pptx);
    assert_eq!(content(&document(Format::Pptx, &bytes)), "lupus\n");
    let odt = "<office:document-content xmlns:office=\"o\" xmlns:text=\"t\"><text:p>Anna<text:s/>Baker</text:p></office:document-content>";
    let bytes = zip(&[("mimetype", b"application/vnd.oasis.opendocument.text"), ("content.xml", odt.as_bytes())]);
    assert_eq!(document(Format::OpenDocument, &bytes).texts.first().map(|(_, text)| text.as_str()), Some("Anna Baker\n"));
}

#[test]
fn archives_show_names_and_contents_to_their_depth() {
    let inner = zip(&[("Anna_Baker.csv", b"a,b\n1,2\n")]);
    let bytes = zip(&[("inner.zip", &inner), ("notes.txt", b"lupus")]);
    let read = document(Format::Zip, &bytes);
    let all = content(&read);
    for expected in ["inner.zip", "Anna Baker.csv", "a\tb\n1\t2\n", "lupus"] {
        assert!(all.contains(expected), "{expected}: {all}");
    }
    let shallow = InProcess.read(Format::Zip, &bytes, Fuel { depth: 1, ..Fuel::default() });
    assert_eq!(shallow.unreadable, [UnreadableWhy::TooDeep]);
    assert!(content(&shallow).contains("lupus"), "what lies above the limit is read");
}

#[test]
fn a_bomb_stops_at_the_fuel_and_says_so() {
    let bytes = zip(&[("zeros.txt", &vec![b'0'; 8 << 20])]);
    assert!(bytes.len() < 64 << 10);
    for format in [Format::Zip, Format::Xlsx] {
        let read = InProcess.read(format, &bytes, Fuel { bytes: 1 << 20, ..Fuel::default() });
        assert_eq!(read.unreadable, [UnreadableWhy::TooLarge], "{format:?}");
    }
    let many: Vec<(String, &[u8])> = (0..40).map(|n| (format!("{n}.txt"), &b"x"[..])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let read = InProcess.read(Format::Zip, &zip(&many), Fuel { parts: 10, ..Fuel::default() });
    assert_eq!(read.unreadable, [UnreadableWhy::TooLarge]);
}

#[test]
fn a_locked_archive_is_never_clean() {
    let mut bytes = zip(&[("notes.txt", b"lupus lupus lupus")]);
    // The flag of encryption, in the local header and in the directory (APPNOTE 4.4.4).
    let directory = format::find(&bytes, b"PK\x01\x02").unwrap();
    bytes[6] |= 1;
    bytes[directory + 8] |= 1;
    let read = document(Format::Zip, &bytes);
    assert_eq!(read.unreadable, [UnreadableWhy::Encrypted]);
    assert!(content(&read).contains("notes.txt"), "names stand in the open");
    let ole = compound::write(&[Member::Stream("EncryptedPackage", b"sealed"), Member::Stream("EncryptionInfo", b"how")]);
    assert_eq!(document(Format::of(&ole, "", "x.docx"), &ole).unreadable, [UnreadableWhy::Encrypted]);
}

#[test]
fn damaged_documents_are_unreadable_and_nothing_panics() {
    let good = zip(&[("word/document.xml", DOCX.as_bytes())]);
    for format in Format::ALL.into_iter().filter(|format| format.is_document() && *format != Format::Rtf) {
        assert!(!document(format, b"not a document").unreadable.is_empty(), "{format:?}");
        for cut in (0..good.len()).step_by(17) {
            let read = document(format, &good[..cut]);
            assert!(!read.unreadable.is_empty(), "{format:?} cut at {cut}");
        }
    }
}

fn message(parts: &str) -> Extracted {
    let text = format!(
        "From: a@practice.example\nTo: Anna Baker <b@other.example>\nSubject: =?utf-8?Q?your_results?=\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=\"b1\"\n\npreamble words\n{parts}--b1--\nepilogue words\n"
    );
    let message = parse(Plaintext::new(text.replace('\n', "\r\n").into_bytes()));
    read(&message, &InProcess, Fuel::default())
}

fn has(extracted: &Extracted, content: &str, place: impl Fn(&Place) -> bool) -> bool {
    extracted.texts.iter().any(|text| text.content.contains(content) && place(&text.place))
}

#[test]
fn every_text_of_a_message_is_found_with_its_place() {
    let read = message(
        "--b1\nContent-Type: text/html; charset=utf-8\n\n<p>lu<b>pus</b></p><img src=\"cid:logo\">\n\
         --b1\nContent-Type: application/octet-stream; name=\"Anna_Baker.txt\"\nContent-Disposition: attachment; filename=\"Anna_Baker.txt\"\n\nasthma\n\
         --b1\nContent-Type: message/rfc822\n\nSubject: inner subject\n\ninner words\n\
         --b1\nContent-Type: image/png\nContent-ID: <logo>\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n\
         --b1\nContent-Type: image/png\nContent-Disposition: attachment\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n",
    );
    assert_eq!(read.unreadable, []);
    assert!(has(&read, "your results", |place| matches!(place, Place::Header(_, HeaderField::Subject))));
    assert!(has(&read, "Anna Baker", |place| matches!(place, Place::Header(_, HeaderField::To))));
    assert!(has(&read, "lupus", |place| matches!(place, Place::Body(_))));
    assert!(has(&read, "Anna Baker.txt", |place| matches!(place, Place::FileName(_))));
    assert!(has(&read, "asthma", |place| matches!(place, Place::Attachment(_))));
    assert!(has(&read, "inner subject", |place| matches!(place, Place::Header(_, HeaderField::Subject))));
    assert!(has(&read, "inner words", |place| matches!(place, Place::Body(_))));
    assert!(
        has(&read, "preamble words", |place| *place == Place::Gap) && has(&read, "epilogue words", |place| *place == Place::Gap)
    );
    assert_eq!(read.images.iter().map(|image| image.inline).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn what_cannot_be_read_is_said_with_its_part() {
    let read = message(
        "--b1\nContent-Type: text/plain; charset=x-unheard-of\n\nwords\n\
         --b1\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\nAAECAwQFBgcICQ==\n\
         --b1\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\nMIIBAAYJ\n",
    );
    let found: Vec<(String, UnreadableWhy)> =
        read.unreadable.iter().map(|unreadable| (unreadable.part.to_string(), unreadable.why)).collect();
    assert!(found.contains(&("1.1".into(), UnreadableWhy::MimeProblem)), "{found:?}");
    assert!(found.contains(&("1.2".into(), UnreadableWhy::UnknownFormat)), "{found:?}");
    assert!(found.contains(&("1.3".into(), UnreadableWhy::Encrypted)), "{found:?}");
    assert!(has(&read, "words", |place| matches!(place, Place::Body(_))), "what was recovered is scanned all the same");
}

#[test]
fn a_message_past_the_fuel_is_unreadable_and_exceeds_limits() {
    let text = format!("From: a@b.example\r\nTo: c@d.example\r\n\r\n{}\r\n", "words ".repeat(1_000));
    let message = parse(Plaintext::new(text.into_bytes()));
    let read = read(&message, &InProcess, Fuel { bytes: 100, ..Fuel::default() });
    assert!(read.limits_exceeded);
    assert_eq!(read.unreadable.first().map(|unreadable| unreadable.why), Some(UnreadableWhy::TooLarge));
}

#[test]
fn printing_an_extract_shows_no_text() {
    let shown = format!("{:?}", message("--b1\nContent-Type: text/plain\n\nlupus\n"));
    assert!(!shown.contains("lupus") && !shown.contains("Anna"), "{shown}");
}
