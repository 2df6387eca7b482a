use std::io::Write;

use super::compound::{Member, write};
use super::*;
use crate::message::parse;
use crate::secret::Plaintext;

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn read_file(bytes: &[u8], format: Format) -> AttachmentText {
    assert_eq!(Format::of(bytes, "application/octet-stream", "x.dat"), format);
    InProcess.read(format, bytes, Fuel::default())
}

fn all(read: &AttachmentText) -> String {
    read.texts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
}

// winmail.dat

fn attribute(level: u8, name: u32, value: &[u8]) -> Vec<u8> {
    let sum = value.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    let length = u32::try_from(value.len()).unwrap();
    [&[level], name.to_le_bytes().as_slice(), &length.to_le_bytes(), value, &sum.to_le_bytes()].concat()
}

fn tnef(attributes: &[Vec<u8>]) -> Vec<u8> {
    [&super::tnef::SIGNATURE, &[1, 0][..], &attributes.concat()].concat()
}

fn property(id: u16, kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = [kind.to_le_bytes(), id.to_le_bytes()].concat();
    if id >= 0x8000 {
        out.extend([9; 16]);
        out.extend([0; 8]);
    }
    if matches!(kind, 0x1e | 0x1f | 0x0d | 0x102) {
        out.extend(1u32.to_le_bytes());
        out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    }
    out.extend(value);
    out.resize(out.len().div_ceil(4) * 4, 0);
    out
}

fn properties(list: &[Vec<u8>]) -> Vec<u8> {
    [u32::try_from(list.len()).unwrap().to_le_bytes().as_slice(), &list.concat()].concat()
}

/// RTF kept plain inside its envelope.
fn plain_rtf(rtf: &str) -> Vec<u8> {
    let size = u32::try_from(rtf.len()).unwrap();
    [(size + 12).to_le_bytes(), size.to_le_bytes(), 0x414c_454du32.to_le_bytes(), [0; 4]]
        .concat()
        .into_iter()
        .chain(rtf.bytes())
        .collect()
}

fn winmail() -> Vec<u8> {
    let inner = tnef(&[attribute(1, 0x0002_800c, b"forwarded words\0")]);
    let object = [&[7; 16], inner.as_slice()].concat();
    tnef(&[
        attribute(1, 0x0006_9007, &1251u32.to_le_bytes()),
        attribute(1, 0x0001_8004, b"subject words\0"),
        attribute(1, 0x0002_800c, b"body \xcf words\0"),
        attribute(
            1,
            0x0006_9003,
            &properties(&[
                property(0x0002, 0x000b, &[1, 0]),
                property(0x1000, 0x1f, &wide("unicode body\0")),
                property(0x1013, 0x102, b"<p>html <b>bo</b>dy</p>"),
                property(0x1009, 0x102, &plain_rtf(r"{\rtf1 rtf body}")),
                property(0x8123, 0x1e, b"own field\0"),
                property(0x007d, 0x1e, b"transport words\0"),
            ]),
        ),
        attribute(2, 0x0006_9002, &[0; 14]),
        attribute(2, 0x0001_8010, b"ANNA_B~1.TXT\0"),
        attribute(2, 0x0006_800f, b"attached words"),
        attribute(2, 0x0006_9005, &properties(&[property(0x3707, 0x1f, &wide("Anna_Baker.txt\0"))])),
        attribute(2, 0x0006_9002, &[0; 14]),
        attribute(2, 0x0006_9005, &properties(&[property(0x3701, 0x0d, &object)])),
    ])
}

#[test]
fn winmail_dat_shows_bodies_names_and_what_is_attached() {
    let read = read_file(&winmail(), Format::Tnef);
    assert_eq!(read.unreadable, []);
    let text = all(&read);
    for expected in [
        "subject words",
        "body П words",
        "unicode body",
        "html body",
        "rtf body",
        "own field",
        "ANNA B~1.TXT",
        "Anna Baker.txt",
        "attached words",
        "forwarded words",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("transport words"));
}

#[test]
fn winmail_dat_that_is_cut_or_changed_is_damaged() {
    let good = winmail();
    let ends: Vec<usize> = (0..good.len())
        .filter(|end| {
            let read = InProcess.read(Format::Tnef, &good[..*end], Fuel::default());
            assert!(read.unreadable.iter().all(|why| *why == UnreadableWhy::Damaged), "{end} {:?}", read.unreadable);
            read.unreadable.is_empty()
        })
        .collect();
    // Only between two attributes it may end.
    assert!(ends.len() < 12, "{ends:?}");
    let mut changed = good.clone();
    let at = format::find(&good, b"attached words").unwrap();
    changed[at] = b'X';
    assert_eq!(read_file(&changed, Format::Tnef).unreadable, [UnreadableWhy::Damaged]);
    // Four thousand million recipients, of whom one is there, and two bytes more: it ends with them.
    let recipients = [&u32::MAX.to_le_bytes()[..], &[0; 4], &[0xff; 2]].concat();
    let crowd = InProcess.read(Format::Tnef, &tnef(&[attribute(1, 0x0006_9004, &recipients)]), Fuel::default());
    assert_eq!(crowd.unreadable, [UnreadableWhy::Damaged]);
    let lies = tnef(&[attribute(1, 0x0006_9003, &[0xff; 12])]);
    assert_eq!(read_file(&lies, Format::Tnef).unreadable, [UnreadableWhy::Damaged]);
    let mut deep = tnef(&[attribute(1, 0x0002_800c, b"x")]);
    for _ in 0..10 {
        deep = tnef(&[attribute(2, 0x0006_800f, &deep)]);
    }
    assert_eq!(read_file(&deep, Format::Tnef).unreadable, [UnreadableWhy::TooDeep]);
}

// Compound files

/// A Word file with one piece of narrow and one of wide text.
fn word(flags: u16, narrow: &str, wide_part: &str) -> (Vec<u8>, Vec<u8>) {
    let mut document = vec![0u8; 0x400];
    document[..2].copy_from_slice(&0xa5ecu16.to_le_bytes());
    document[2..4].copy_from_slice(&0x00c1u16.to_le_bytes());
    document[10..12].copy_from_slice(&flags.to_le_bytes());
    let narrow_at = document.len() as u32;
    document.extend(narrow.bytes());
    document.resize(document.len().div_ceil(2) * 2, 0);
    let wide_at = document.len() as u32;
    document.extend(wide(wide_part));
    let (first, second) = (narrow.len() as u32, wide_part.encode_utf16().count() as u32);
    let mut table = vec![1, 2, 0, 7, 7, 2];
    let pieces: Vec<u8> = [
        [0, first, first + second].into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>(),
        [&[0, 0], ((narrow_at * 2) | 0x4000_0000).to_le_bytes().as_slice(), &[0, 0]].concat(),
        [&[0, 0], wide_at.to_le_bytes().as_slice(), &[0, 0]].concat(),
    ]
    .concat();
    table.extend(u32::try_from(pieces.len()).unwrap().to_le_bytes());
    table.extend(pieces);
    document[0x01a2..0x01a6].copy_from_slice(&0u32.to_le_bytes());
    document[0x01a6..0x01aa].copy_from_slice(&u32::try_from(table.len()).unwrap().to_le_bytes());
    (document, table)
}

#[test]
fn word_before_2007_is_read_by_its_pieces() {
    let (document, table) = word(0x0200, "Patient\u{7}DOB\u{7}\u{7}Anna\u{7}1960\u{7}\u{7}", "Größe\rlupus");
    let bytes = write(&[Member::Stream("WordDocument", &document), Member::Stream("1Table", &table)]);
    let read = read_file(&bytes, Format::Ole);
    assert_eq!((all(&read).as_str(), read.unreadable.as_slice()), ("Patient\tDOB\nAnna\t1960\nGröße\nlupus", &[][..]));
    let (document, table) = word(0x0300, "x", "y");
    let locked = write(&[Member::Stream("WordDocument", &document), Member::Stream("1Table", &table)]);
    assert_eq!(read_file(&locked, Format::Ole).unreadable, [UnreadableWhy::Encrypted]);
    let (document, _) = word(0x0200, "x", "y");
    let halved = write(&[Member::Stream("WordDocument", &document)]);
    assert_eq!(read_file(&halved, Format::Ole).unreadable, [UnreadableWhy::Damaged]);
}

#[test]
fn slides_before_2007_are_read_by_their_atoms() {
    let record = |head: u16, kind: u16, value: &[u8]| {
        [&head.to_le_bytes(), &kind.to_le_bytes(), u32::try_from(value.len()).unwrap().to_le_bytes().as_slice(), value].concat()
    };
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&write(&[Member::Stream("CONTENTS", b"embedded words")])).unwrap();
    let packed = [&[0; 4], packed.finish().unwrap().as_slice()].concat();
    let inner = [record(0, 4000, &wide("wide\rwords")), record(0, 4008, b"narrow words")].concat();
    let document = [record(0xf, 1000, &inner), record(0x10, 4113, &packed)].concat();
    let bytes = write(&[Member::Stream("PowerPoint Document", &document), Member::Stream("Pictures", b"..\x89PNG\r\n\x1a\n..")]);
    let read = read_file(&bytes, Format::Ole);
    assert_eq!((all(&read).as_str(), read.unreadable.as_slice()), ("embedded words\nwide\nwords\nnarrow words\n", &[][..]));
    assert_eq!(read.images.len(), 1);
    let cut = write(&[Member::Stream("PowerPoint Document", &document[..document.len() - 1])]);
    assert_eq!(read_file(&cut, Format::Ole).unreadable, [UnreadableWhy::Damaged]);
}

#[test]
fn outlooks_saved_messages_are_read_with_what_is_attached() {
    let fixed = [0; 32];
    let subject = wide("saved subject");
    let inner_body = wide("inner body");
    let inner = vec![Member::Stream("__properties_version1.0", &fixed), Member::Stream("__substg1.0_1000001F", &inner_body)];
    let name = wide("Anna_Baker.txt");
    let bytes = write(&[
        Member::Stream("__properties_version1.0", &fixed),
        Member::Stream("__substg1.0_0037001F", &subject),
        Member::Stream("__substg1.0_1000001E", b"saved body"),
        Member::Storage(
            "__recip_version1.0_#00000000",
            vec![Member::Stream("__properties_version1.0", &fixed), Member::Stream("__substg1.0_3001001E", b"Anna Baker")],
        ),
        Member::Storage(
            "__attach_version1.0_#00000000",
            vec![
                Member::Stream("__properties_version1.0", &fixed),
                Member::Stream("__substg1.0_3707001F", &name),
                Member::Stream("__substg1.0_37010102", b"attached words"),
            ],
        ),
        Member::Storage(
            "__attach_version1.0_#00000001",
            vec![Member::Stream("__properties_version1.0", &fixed), Member::Storage("__substg1.0_3701000D", inner)],
        ),
    ]);
    let read = read_file(&bytes, Format::Ole);
    assert_eq!(read.unreadable, []);
    let text = all(&read);
    for expected in ["saved subject", "saved body", "Anna Baker", "Anna Baker.txt", "attached words", "inner body"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn compound_files_of_other_programs_are_unknown_and_locked_workbooks_encrypted() {
    assert_eq!(read_file(&write(&[Member::Stream("x", b"y")]), Format::Ole).unreadable, [UnreadableWhy::UnknownFormat]);
    let book = [&[9u8, 8, 4, 0, 0, 6, 5, 0, 0x2f, 0, 6, 0][..], &[0; 6]].concat();
    assert_eq!(read_file(&write(&[Member::Stream("Workbook", &book)]), Format::Ole).unreadable, [UnreadableWhy::Encrypted]);
    assert_eq!(read_file(&write(&[Member::Stream("Workbook", b"no book")]), Format::Ole).unreadable, [UnreadableWhy::Damaged]);
}

// Archives

fn gzip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = flate2::GzBuilder::new().filename(name).write(Vec::new(), flate2::Compression::fast());
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn tar_member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[156] = kind;
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend(content);
    block.resize(block.len().div_ceil(512) * 512, 0);
    block
}

#[test]
fn packed_archives_are_read_to_their_members() {
    let tar = [
        tar_member("././@LongLink", b'L', b"folder/Anna_Baker_MRI.txt\0"),
        tar_member("short.txt", b'0', b"first words"),
        tar_member("folder", b'5', b""),
        tar_member("b.csv", b'0', b"a,b\n1,2\n"),
        vec![0; 1024],
    ]
    .concat();
    let read = read_file(&gzip("x.tar", &tar), Format::Gzip);
    assert_eq!(read.unreadable, []);
    for expected in ["x.tar", "folder Anna Baker MRI.txt", "first words", "b.csv", "a\tb\n1\t2\n"] {
        assert!(all(&read).contains(expected), "{expected}: {}", all(&read));
    }
    let two = [gzip("", b"one words "), gzip("", b"two words")].concat();
    assert!(all(&read_file(&two, Format::Gzip)).contains("one words two words"));
    assert_eq!(read_file(&tar, Format::Tar).unreadable, []);
    let behind = [tar.as_slice(), b"behind the end"].concat();
    assert_eq!(read_file(&behind, Format::Tar).unreadable, [UnreadableWhy::Damaged]);
    let cut = gzip("", b"one words two words");
    let read = read_file(&cut[..cut.len() - 4], Format::Gzip);
    assert_eq!(read.unreadable, [UnreadableWhy::Damaged]);
    assert!(all(&read).contains("one words"), "what came out is read");
}

// In a letter

fn letter(body: &str) -> Extracted {
    let text = format!("From: a@practice.example\nTo: b@other.example\n{body}").replace('\n', "\r\n");
    read(&parse(Plaintext::new(text.into_bytes())), &InProcess, Fuel::default())
}

#[test]
fn a_file_in_the_text_of_a_letter_is_read_and_the_text_stays() {
    let packed: String = {
        let bytes = gzip("", b"packed words");
        bytes
            .chunks(45)
            .map(|line| {
                let six = |at: usize, shift: u32| {
                    let byte = |at: usize| u32::from(line.get(at).copied().unwrap_or(0));
                    let bits = byte(at) << 16 | byte(at + 1) << 8 | byte(at + 2);
                    char::from_u32((bits >> shift & 63) + 32).map(|c| if c == ' ' { '`' } else { c }).unwrap()
                };
                let groups: String =
                    (0..line.len()).step_by(3).flat_map(|at| [18, 12, 6, 0].map(|shift| six(at, shift))).collect();
                format!("{}{groups}\n", char::from(line.len() as u8 + 32))
            })
            .collect()
    };
    let read = letter(&format!("\nSee below.\nbegin 644 Anna_Baker.gz\n{packed}`\nend\nRegards\n"));
    assert_eq!(read.unreadable, []);
    let has = |text: &str| read.texts.iter().any(|t| t.content.contains(text));
    assert!(has("See below.") && has("Regards") && has("packed words") && has("Anna Baker.gz"));
}

#[test]
fn what_is_sealed_says_so_wherever_it_stands() {
    for body in [
        "\nHello,\n-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n",
        "Content-Type: multipart/encrypted; boundary=b; protocol=\"application/pgp-encrypted\"\n\n--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n--b--\n",
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\nMIIBAAYJ\n",
    ] {
        assert_eq!(letter(body).unreadable.first().map(|u| u.why), Some(UnreadableWhy::Encrypted), "{body}");
    }
    // "0 patients" as a signature: the media type is no reason to look away.
    let read = letter("Content-Type: application/pkcs7-signature; name=smime.p7s\n\n0 patients but Anna, lupus\n");
    assert!(read.texts.iter().any(|text| text.content.contains("lupus")));
}

#[test]
fn a_saved_message_spends_the_fuel_of_the_letter_around_it() {
    let body = "Content-Type: application/octet-stream; name=a.eml\n\nSubject: inner\n\nwords words words\n";
    let text = format!("From: a@practice.example\nTo: b@other.example\n{body}").replace('\n', "\r\n");
    let message = parse(Plaintext::new(text.into_bytes()));
    let all = read(&message, &InProcess, Fuel { bytes: 1_000, ..Fuel::default() });
    assert_eq!(all.unreadable, []);
    let short = read(&message, &InProcess, Fuel { bytes: 50, ..Fuel::default() });
    assert_eq!(short.unreadable.first().map(|u| u.why), Some(UnreadableWhy::TooLarge));
}
