//! The child that reads documents, as the gateway starts it.

use std::time::Duration;

use wardpost::extract::{AttachmentText, Format, Fuel, InProcess, ReadAttachment, TextKind, UnreadableWhy};
use wardpost::sandbox::{Pool, Settings};

fn pool() -> Pool {
    let mut settings = Settings::own().unwrap();
    settings.program = env!("CARGO_BIN_EXE_wardpost").into();
    settings.deadline = Duration::from_secs(30);
    Pool::start(settings).unwrap()
}

/// A ZIP with stored entries, made by hand so that the test does not trust the library under test.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in entries {
        let offset = out.len() as u32;
        let mut common = Vec::new();
        common.extend_from_slice(&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x5a]);
        common.extend_from_slice(&crc32(content).to_le_bytes());
        common.extend_from_slice(&(content.len() as u32).to_le_bytes());
        common.extend_from_slice(&(content.len() as u32).to_le_bytes());
        common.extend_from_slice(&(name.len() as u16).to_le_bytes());
        common.extend_from_slice(&[0, 0]);
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (start, size) = (out.len() as u32, directory.len() as u32);
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

fn docx(text: &str) -> Vec<u8> {
    let document = format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
    );
    let types = "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"xml\" ContentType=\"application/xml\"/></Types>";
    zip(&[("[Content_Types].xml", types.as_bytes()), ("word/document.xml", document.as_bytes())])
}

fn format_of(bytes: &[u8]) -> Format {
    Format::of(bytes, "application/octet-stream", "file")
}

fn content(read: &AttachmentText) -> String {
    read.texts.iter().filter(|(kind, _)| *kind == TextKind::Content).map(|(_, text)| text.as_str()).collect()
}

#[test]
fn the_child_reads_what_the_gateway_itself_would_read() {
    let pool = pool();
    let document = docx("Marisol Quintero has type 2 diabetes");
    let inside = zip(&[("letters/one.txt", b"the quince letter"), ("two.docx", &document)]);
    for (format, bytes) in [(format_of(&document), &document), (format_of(&inside), &inside)] {
        let (child, own) = (pool.read(format, bytes, Fuel::default()), InProcess.read(format, bytes, Fuel::default()));
        assert_eq!(child.texts, own.texts);
        assert!(child.unreadable.is_empty(), "{format:?}: {:?}, in process {:?}", child.unreadable, own.unreadable);
        assert!(content(&child).contains("Marisol Quintero"));
    }
}

#[test]
fn a_document_that_kills_or_stalls_its_reader_is_unreadable_and_the_next_one_is_read() {
    let pool = pool();
    let document = docx("after the storm");
    for damaged in [
        &document[..document.len() / 2],
        b"PK\x03\x04".as_slice(),
        b"%PDF-1.7\n1 0 obj\n<< /Length 99999999999 >>\nstream\n".as_slice(),
    ] {
        let read = pool.read(format_of(damaged), damaged, Fuel::default());
        assert!(!read.unreadable.is_empty() && content(&read).is_empty(), "{read:?}");
    }
    let starved = pool.read(format_of(&document), &document, Fuel { bytes: 3, parts: 1, depth: 1 });
    assert!(starved.unreadable.contains(&UnreadableWhy::TooLarge), "{starved:?}");
    assert!(content(&pool.read(format_of(&document), &document, Fuel::default())).contains("after the storm"));
}

/// The kernel itself says what stands around the child.
#[test]
fn the_child_runs_behind_seccomp_without_new_rights_or_descriptors() {
    let pool = pool();
    let me = std::process::id().to_string();
    let mut seen = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned()).unwrap_or_default()
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if field("PPid:") != me || !String::from_utf8_lossy(&command).contains("extract-worker") {
            continue;
        }
        seen += 1;
        assert_eq!(field("NoNewPrivs:"), "1");
        if pool.protection().seccomp {
            assert_eq!(field("Seccomp:"), "2", "a filter is in force");
        }
        let limits = std::fs::read_to_string(entry.path().join("limits")).unwrap();
        let limit = |name: &str| {
            limits
                .lines()
                .find(|line| line.starts_with(name))
                .map(|line| line[name.len()..].split_whitespace().next().unwrap_or_default().to_owned())
                .unwrap_or_default()
        };
        assert_eq!(limit("Max core file size"), "0");
        assert_ne!(limit("Max address space"), "unlimited");
        assert_ne!(limit("Max cpu time"), "unlimited");
    }
    assert!(seen > 0, "no child was found");
}

/// A black-and-white BMP with one word, each dot of a letter `DOT` pixels wide.
fn picture_of(word: &str) -> Vec<u8> {
    const DOT: usize = 9;
    // Seven rows of five dots for each letter.
    let rows = |letter: char| match letter {
        'L' => [16, 16, 16, 16, 16, 16, 31],
        'U' => [17, 17, 17, 17, 17, 17, 14],
        'P' => [30, 17, 17, 30, 16, 16, 16],
        'S' => [15, 16, 16, 14, 1, 1, 30],
        _ => [0; 7],
    };
    let (width, height) = ((word.len() * 7 + 8) * DOT, 15 * DOT);
    let letters: Vec<[u8; 7]> = word.chars().map(rows).collect();
    let is_ink = |x: usize, y: usize| {
        let (x, y) = ((x / DOT).wrapping_sub(4), (y / DOT).wrapping_sub(4));
        letters.get(x / 7).and_then(|rows| rows.get(y)).is_some_and(|row| x % 7 < 5 && row >> (4 - x % 7) & 1 == 1)
    };
    let mut pixels = Vec::new();
    for y in (0..height).rev() {
        for x in 0..width {
            pixels.extend([if is_ink(x, y) { 0 } else { 255 }; 3]);
        }
        pixels.resize(pixels.len().div_ceil(4) * 4, 0);
    }
    let mut out = b"BM".to_vec();
    out.extend((pixels.len() as u32 + 54).to_le_bytes());
    out.extend([0; 4]);
    out.extend(54u32.to_le_bytes());
    out.extend(40u32.to_le_bytes());
    out.extend((width as u32).to_le_bytes());
    out.extend((height as u32).to_le_bytes());
    out.extend([1, 0, 24, 0]);
    out.extend([0; 24]);
    out.extend(pixels);
    out
}

#[test]
fn text_on_a_picture_is_read_where_tesseract_is_installed_and_the_picture_stays_one() {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(picture_of("LUPUS"));
    let text = format!(
        "From: a@practice.example\r\nTo: b@other.example\r\nContent-Type: image/bmp\r\nContent-Disposition: attachment\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n"
    );
    let read = |ocr: Option<std::path::PathBuf>| {
        let mut settings = Settings::own().unwrap();
        settings.program = env!("CARGO_BIN_EXE_wardpost").into();
        settings.ocr = ocr;
        let pool = Pool::start(settings).unwrap();
        let message = wardpost::message::parse(wardpost::secret::Plaintext::new(text.clone().into_bytes()));
        let found = wardpost::extract::read(&message, &pool, Fuel::default());
        assert_eq!((found.images.len(), found.unreadable.len()), (1, 0));
        found.texts.iter().map(|text| text.content.clone()).collect::<String>()
    };
    assert!(!read(None).contains("LUPUS"));
    assert!(!read(Some("/nonexistent/tesseract".into())).contains("LUPUS"), "a program that is gone does no harm");
    if let Some(tesseract) = wardpost::sandbox::tesseract() {
        let found = read(Some(tesseract));
        assert!(found.contains("LUPUS"), "{found}");
    }
}
