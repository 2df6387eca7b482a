//! What nobody here can open is unreadable, whatever it calls itself: never clean.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use wardpost::extract::{Extracted, Fuel, InProcess, read};
use wardpost::message::parse;
use wardpost::secret::Plaintext;

use super::files::gzipped;
use super::letters::{binhex, uuencoded};
use super::pdf::{Pdf, without_a_map};
use crate::disguise::{attached, mail, zipped};

fn extracted(message: Vec<u8>) -> Extracted {
    read(&parse(Plaintext::new(message)), &InProcess, Fuel::default())
}

/// Bytes without a pattern.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn behind(magic: &[u8]) -> Vec<u8> {
    [magic, &noise(600)].concat()
}

fn zip() -> Vec<u8> {
    zipped(&[("a.txt", "Patient Eleanor Whitcomb has diabetes".to_owned())])
}

/// A zip whose member says that it is packed in another way, or locked.
fn zip_with(flags: u8, method: u16) -> Vec<u8> {
    let mut out = zip();
    let directory = out.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    for (flag_at, method_at) in [(6, 8), (directory + 8, directory + 10)] {
        out[flag_at] |= flags;
        if method != 0 {
            out[method_at..method_at + 2].copy_from_slice(&method.to_le_bytes());
        }
    }
    out
}

fn pdf(trailer: &str) -> Vec<u8> {
    let content = b"<< /Length 44 >>\nstream\nBT /F1 12 Tf 72 700 Td (See below, please.) Tj ET\nendstream".to_vec();
    Pdf::of(content, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", "", "").file(trailer)
}

/// A sealed file of CMS: the type's identifier ends in 3, and 23 where a checksum goes with it.
fn sealed(kind: &[u8]) -> Vec<u8> {
    let tlv = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()], value].concat();
    tlv(0x30, &[tlv(6, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01], kind].concat()), tlv(0xa0, &noise(60))].concat())
}

fn locked() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("zip, password", "a.zip", zip_with(1, 0)),
        ("zip, password, AES", "a.zip", zip_with(1, 99)),
        ("zip, Deflate64", "a.zip", zip_with(0, 9)),
        ("zip, LZMA", "a.zip", zip_with(0, 14)),
        ("zip, Zstandard", "a.zip", zip_with(0, 93)),
        ("zip, cut off", "a.zip", zip()[..60].to_vec()),
        ("zip behind a program", "a.exe", [b"MZ\x90\0\x03\0\0\0".repeat(20), zip()].concat()),
        ("locked zip inside a zip", "a.zip", {
            let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            writer.start_file("b.zip", zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut writer, &zip_with(1, 0)).unwrap();
            writer.finish().unwrap().into_inner()
        }),
        (
            "PDF, password",
            "a.pdf",
            pdf(
                "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <0011223344556677889900112233445566778899001122334455667788990011> /U <0011223344556677889900112233445566778899001122334455667788990011> >> /ID [<00112233> <00112233>]",
            ),
        ),
        ("PDF, lock nobody knows", "a.pdf", pdf("/Encrypt << /Filter /Acme /V 9 >> /ID [<00> <00>]")),
        ("PDF, cut off", "a.pdf", pdf("")[..200].to_vec()),
        (
            "PDF without its table of places",
            "a.pdf",
            String::from_utf8_lossy(&pdf("")).replace("startxref\n", "startxref\n1").into_bytes(),
        ),
        ("PDF, glyphs without letters", "a.pdf", without_a_map("Patient Eleanor Whitcomb has diabetes")),
        ("Office, locked", "a.docx", behind(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
        ("Word, a main part that is no XML", "a.docx", zipped(&[("word/document.xml", "<w:document><w:p".into())])),
        (
            "Word, entities of its own",
            "a.docx",
            zipped(&[("word/document.xml", "<!DOCTYPE a [<!ENTITY p \"Eleanor Whitcomb\">]><a>&p;</a>".into())]),
        ),
        (
            "XML, entities of its own",
            "a.xml",
            b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY p \"Eleanor Whitcomb\">]><a>&p; has diabetes</a>".to_vec(),
        ),
        ("7-Zip", "a.7z", behind(b"7z\xbc\xaf\x27\x1c")),
        ("RAR 4", "a.rar", behind(b"Rar!\x1a\x07\0")),
        ("RAR 5", "a.rar", behind(b"Rar!\x1a\x07\x01\0")),
        ("xz", "a.xz", behind(b"\xfd7zXZ\0")),
        ("bzip2", "a.bz2", behind(b"BZh91AY&SY")),
        ("Zstandard", "a.zst", behind(b"\x28\xb5\x2f\xfd")),
        ("lzip", "a.lz", behind(b"LZIP\x01")),
        ("compress", "a.Z", behind(b"\x1f\x9d\x90")),
        ("cabinet", "a.cab", behind(b"MSCF\0\0\0\0")),
        ("LHA", "a.lzh", behind(b"\x20\x80-lh5-")),
        ("gzip, cut off", "a.gz", gzipped(&b"Patient Eleanor Whitcomb has diabetes".repeat(50))[..40].to_vec()),
        ("gzip around noise", "a.gz", gzipped(&noise(500))),
        ("disc image", "a.iso", [vec![0; 32_769], b"CD001\x01\0".to_vec(), noise(100)].concat()),
        ("SQLite", "a.db", behind(b"SQLite format 3\0")),
        ("Access", "a.mdb", behind(b"\0\x01\0\0Standard Jet DB\0")),
        ("Outlook store", "a.pst", behind(b"!BDN")),
        ("DICOM", "a.dcm", [vec![0; 128], b"DICM".to_vec(), noise(300)].concat()),
        ("OneNote", "a.one", behind(b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d")),
        ("WordPerfect", "a.wpd", behind(b"\xffWPC\x10\0\0\0")),
        ("Lotus 1-2-3", "a.wk1", behind(b"\0\0\x02\0\x06\x04")),
        ("Pages", "a.pages", {
            let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            writer.start_file("Index/Document.iwa", zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut writer, &behind(b"\0\x51\x02\0")).unwrap();
            writer.finish().unwrap().into_inner()
        }),
        ("PostScript", "a.ps", b"%!PS-Adobe-3.0\n/F 12 selectfont 72 700 moveto /P glyphshow /a glyphshow\n".to_vec()),
        ("program", "a.exe", behind(b"MZ\x90\0\x03\0\0\0")),
        ("dictation, MP3", "a.mp3", behind(b"ID3\x04\0\0\0\0\0\0")),
        ("dictation, WAV", "a.wav", behind(b"RIFF\x24\x08\0\0WAVEfmt ")),
        ("dictation, M4A", "a.m4a", behind(b"\0\0\0\x20ftypM4A ")),
        ("dictation, Ogg", "a.ogg", behind(b"OggS\0\x02")),
        ("film, MP4", "a.mp4", behind(b"\0\0\0\x20ftypisom")),
        ("film, WebM", "a.webm", behind(b"\x1a\x45\xdf\xa3")),
        ("PGP, binary", "a.gpg", behind(b"\x85\x01\x0c\x03")),
        ("PGP, pass phrase", "a.gpg", behind(b"\x8c\x0d\x04\x09\x03\x02")),
        ("age", "a.age", behind(b"age-encryption.org/v1\n-> X25519 ")),
        ("OpenSSL", "a.enc", behind(b"Salted__")),
        ("KeePass", "a.kdbx", behind(b"\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5")),
        ("noise", "a.dat", noise(800)),
        ("noise said to be text", "a.txt", noise(800)),
        ("noise said to be a picture", "a.png", noise(800)),
        (
            "signs of no alphabet we can tell",
            "a.txt",
            b"Patient Eleanor Whitcomb has diabetes".iter().map(|b| b ^ 0x80).collect(),
        ),
        ("S/MIME, sealed", "smime.p7m", sealed(&[7, 3])),
        ("S/MIME, sealed with a checksum", "smime.p7m", sealed(&[9, 16, 1, 23])),
        ("S/MIME, packed", "smime.p7z", sealed(&[9, 16, 1, 9])),
        ("keys and certificates", "a.p12", behind(b"\x30\x82\x0a\x10\x02\x01\x03")),
        ("PGP, in letters", "a.asc", b"-----BEGIN PGP MESSAGE-----\n\nhQEMA+Zn\n=abcd\n-----END PGP MESSAGE-----\n".to_vec()),
        (
            "Ansible vault",
            "a.yml",
            b"$ANSIBLE_VAULT;1.1;AES256\n66386439653236336462626566653063336164663966303231363934653561363964363833313662\n"
                .to_vec(),
        ),
        (
            "locked zip in a data: address",
            "a.html",
            format!("<a href=\"data:application/zip;base64,{}\">x</a>", BASE64.encode(zip_with(1, 0))).into_bytes(),
        ),
        ("7-Zip in base64", "a.txt", format!("see\n{}\n", BASE64.encode(behind(b"7z\xbc\xaf\x27\x1c"))).into_bytes()),
        ("OpenSSL in base64", "a.txt", format!("see\n{}\n", BASE64.encode(behind(b"Salted__"))).into_bytes()),
        ("locked zip, uuencoded", "a.uu", uuencoded(&zip_with(1, 0)).into_bytes()),
        ("uuencode, cut off", "a.uu", uuencoded(&zip()).lines().take(2).collect::<Vec<_>>().join("\n").into_bytes()),
        ("BinHex, cut off", "a.hqx", binhex(&zip()).chars().take(120).collect::<String>().into_bytes()),
        ("attachment inside a PDF, locked", "a.pdf", {
            let mut file = b"<< /Type /EmbeddedFile /Length ".to_vec();
            let inner = zip_with(1, 0);
            file.extend(format!("{} >>\nstream\n", inner.len()).bytes());
            file.extend(inner);
            file.extend(b"\nendstream");
            Pdf::hello(
                "",
                "/Names << /EmbeddedFiles << /Names [(a) 6 0 R] >> >>",
                vec![b"<< /Type /Filespec /F (a.zip) /EF << /F 7 0 R >> >>".to_vec(), file],
            )
            .file("")
        }),
    ]
}

fn is_clean(extracted: &Extracted) -> bool {
    extracted.unreadable.is_empty() && extracted.images.is_empty()
}

#[test]
fn what_cannot_be_opened_is_never_clean() {
    let mut clean = Vec::new();
    for (what, name, content) in locked() {
        for kind in ["application/octet-stream", "text/plain", "image/png", "application/pdf"] {
            if is_clean(&extracted(attached(name, kind, &content))) {
                clean.push(format!("{what} as {kind}"));
            }
        }
        println!("| {what} | {:?} |", extracted(attached(name, "application/octet-stream", &content)).unreadable);
    }
    assert!(clean.is_empty(), "{clean:#?}");
}

#[test]
fn forms_of_mail_that_nobody_here_can_undo_are_never_clean() {
    let plain = "Content-Type: text/plain";
    let cases = [
        ("a fragment", mail("Subject: x\nContent-Type: message/partial; id=a; number=1; total=2", "half of it")),
        ("an encoding nobody knows", mail(&format!("Subject: x\n{plain}\nContent-Transfer-Encoding: x-secret"), "abc")),
        ("base64 that is broken", mail(&format!("Subject: x\n{plain}\nContent-Transfer-Encoding: base64"), "UGF0a*WVud")),
        ("a charset nobody knows", mail("Subject: x\nContent-Type: text/plain; charset=x-practice", "abc")),
        (
            "EBCDIC",
            mail("Subject: x\nContent-Type: text/plain; charset=cp037\nContent-Transfer-Encoding: base64", "15ejgYmFlaM="),
        ),
        ("UTF-7", mail("Subject: x\nContent-Type: text/plain; charset=utf-7", "+AFAAYQB0-")),
        ("a subject in a charset nobody knows", mail("Subject: =?x-practice?B?YWJj?=\nContent-Type: text/plain", "abc")),
        ("a multipart without a boundary", mail("Subject: x\nContent-Type: multipart/mixed", "--a\n\nabc\n--a--")),
        ("two types", mail("Subject: x\nContent-Type: text/plain\nContent-Type: text/html", "abc")),
        (
            "PGP in the letter",
            mail(&format!("Subject: x\n{plain}"), "-----BEGIN PGP MESSAGE-----\n\nhQEMA+Zn\n-----END PGP MESSAGE-----"),
        ),
        (
            "PGP/MIME",
            mail(
                "Subject: x\nContent-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b",
                "--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n\nhQEMA+Zn\n-----END PGP MESSAGE-----\n--b--",
            ),
        ),
    ];
    for (what, message) in cases {
        assert!(!extracted(message).unreadable.is_empty(), "{what}");
    }
}
