//! Files made to hurt whoever reads them: each ends within the limits and is never clean.

use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine as _;
use wardpost::extract::{Extracted, Fuel, read};
use wardpost::message::parse;
use wardpost::sandbox::{Pool, Settings};
use wardpost::secret::Plaintext;

/// What a file must come to.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// Cannot be read, for whatever reason.
    Unreadable,
    /// Cannot be read, and passes a limit that ordinary mail does not come near.
    Beyond,
    /// Harmless: these words are found.
    Reads(&'static str),
}
use Verdict::{Beyond, Reads, Unreadable};

/// The end of everything: a final reply comes within half a minute.
const DEADLINE: Duration = Duration::from_secs(30);

fn pool() -> Pool {
    let mut settings = Settings::own().unwrap();
    settings.program = env!("CARGO_BIN_EXE_wardpost").into();
    Pool::start(settings).unwrap()
}

fn attached(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"From: a@practice.example\r\nTo: b@other.example\r\nContent-Type: application/octet-stream\r\n\
        Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    for line in encoded.as_bytes().chunks(76) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn docx(body: &str) -> Vec<u8> {
    zip(&[("[Content_Types].xml", b"<x/>"), ("word/document.xml", body.as_bytes())])
}

/// A directory that names one packed file again and again.
fn overlapping_zip(entries: u16, has_names: bool) -> Vec<u8> {
    let whole = zip(&[("zeros.txt", &vec![b'0'; 1 << 20])]);
    let start = memchr::memmem::find(&whole, b"PK\x01\x02").unwrap();
    let end = memchr::memmem::rfind(&whole, b"PK\x05\x06").unwrap();
    let (body, entry) = (&whole[..start], &whole[start..end]);
    let mut directory = entry.repeat(usize::from(entries));
    for (n, entry) in directory.chunks_exact_mut(entry.len()).enumerate().filter(|_| has_names) {
        entry[46..55].copy_from_slice(format!("{n:09}").as_bytes());
    }
    let mut out = [body, &directory].concat();
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(entries.to_le_bytes());
    out.extend(entries.to_le_bytes());
    out.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    out.extend(u32::try_from(start).unwrap().to_le_bytes());
    out.extend([0, 0]);
    out
}

/// A compound file of one stream: `table` says what follows each of its sectors, the first being the directory.
fn compound(name: &str, size: u32, right: u32, table: &[u32], content: &[u8]) -> Vec<u8> {
    let mut out = vec![0u8; 512];
    out[..8].copy_from_slice(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
    out[26..34].copy_from_slice(&[3, 0, 0xfe, 0xff, 9, 0, 6, 0]);
    for (at, value) in [(44, 1u32), (48, 1), (56, 0), (60, 0xffff_fffe), (68, 0xffff_fffe)] {
        out[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    out[76..512].fill(0xff);
    out[76..80].copy_from_slice(&0u32.to_le_bytes());
    let mut sector: Vec<u8> = table.iter().flat_map(|next| next.to_le_bytes()).collect();
    sector.resize(512, 0xff);
    out.extend(sector);
    let entry = |name: &str, kind: u8, right: u32, child: u32, start: u32, size: u32| {
        let mut entry = vec![0u8; 128];
        let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        entry[..wide.len()].copy_from_slice(&wide);
        entry[64] = wide.len() as u8 + 2;
        entry[66] = kind;
        for (at, value) in [(68, u32::MAX), (72, right), (76, child), (116, start), (120, size)] {
            entry[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        entry
    };
    out.extend(entry("Root Entry", 5, u32::MAX, 1, 0xffff_fffe, 0));
    out.extend(entry(name, 2, right, u32::MAX, 2, size));
    out.resize(512 * 3, 0);
    out.extend(content);
    out
}

fn tnef(attributes: &[u8]) -> Vec<u8> {
    [&0x223e_9f78u32.to_le_bytes(), &[1, 0][..], attributes].concat()
}

fn tnef_attribute(name: u32, value: &[u8]) -> Vec<u8> {
    let sum = value.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    let length = u32::try_from(value.len()).unwrap();
    [&[1], name.to_le_bytes().as_slice(), &length.to_le_bytes(), value, &sum.to_le_bytes()].concat()
}

fn pdf(objects: &[&str]) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        places.push(out.len());
        out.extend(format!("{} 0 obj\n{object}\nendobj\n", at + 1).into_bytes());
    }
    let start = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).into_bytes());
    for place in places {
        out.extend(format!("{place:010} 00000 n \n").into_bytes());
    }
    out.extend(format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1).into_bytes());
    out
}

fn xlsx(sheet: &str) -> Vec<u8> {
    let types = "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>";
    let book = "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"><sheets><sheet name=\"A\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>";
    let relations = "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>";
    zip(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", relations.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

const HEAD: &str = "From: a@practice.example\r\nTo: b@other.example\r\nMIME-Version: 1.0\r\n";

fn check(pool: &Pool, name: &str, message: Vec<u8>, verdict: Verdict) {
    let began = Instant::now();
    let message = parse(Plaintext::new(message));
    let found: Extracted = read(&message, pool, Fuel::default());
    assert!(began.elapsed() < DEADLINE, "{name}: {:?}", began.elapsed());
    let is_unreadable = !found.unreadable.is_empty();
    match verdict {
        Unreadable => assert!(is_unreadable, "{name}: {found:?}"),
        Beyond => assert!(is_unreadable && found.limits_exceeded, "{name}: {found:?}"),
        Reads(words) => {
            assert!(found.texts.iter().any(|text| text.content.contains(words)), "{name}: {found:?}");
        }
    }
}

#[test]
fn messages_made_to_hurt_end_within_the_limits() {
    let pool = pool();
    let levels = |count: usize| {
        let mut out = HEAD.to_owned();
        for n in 0..count {
            out.push_str(&format!("Content-Type: multipart/mixed; boundary=\"b{n}x\"\r\n\r\n--b{n}x\r\n"));
        }
        out + "\r\nwords at the bottom\r\n"
    };
    let nested = HEAD.to_owned() + &"Content-Type: message/rfc822\r\n\r\n".repeat(20_000) + "\r\nwords\r\n";
    let parts = format!(
        "{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(100_000)
    );
    let line = format!("{HEAD}Subject: lupus {}\r\n\r\nwords\r\n", "x".repeat(1 << 20));
    let fields = format!("{HEAD}{}\r\nwords\r\n", "X-Field: y\r\n".repeat(20_000));
    let parameters = format!("{HEAD}Content-Type: text/plain; {}\r\n\r\nparameter words\r\n", "a*0=x; ".repeat(20_000));
    let files = format!("{HEAD}\r\nwords\r\n{}", "begin 644 a\r\n#0V%T\r\n`\r\nend\r\n".repeat(10_000));
    let comments = format!("{HEAD}Content-Type: text/html\r\n\r\n{}deep words", "<div><!--".repeat(100_000));
    let tags = format!("{HEAD}Content-Type: text/html\r\n\r\n{}deep words", "<b>".repeat(500_000));
    let json = format!("{HEAD}Content-Type: application/json\r\n\r\n{} json words", "[".repeat(500_000));
    let words = format!("{HEAD}Subject: {} end words\r\n\r\nx\r\n", "=?utf-8?Q?=41?= ".repeat(50_000));
    for (name, message, verdict) in [
        ("20,000 levels of multiparts", levels(20_000), Beyond),
        ("20,000 levels of messages", nested, Beyond),
        ("100,000 parts", parts, Beyond),
        ("a line of a megabyte in the header section", line, Reads("lupus")),
        ("20,000 fields", fields, Beyond),
        ("20,000 parameters", parameters, Reads("parameter words")),
        ("10,000 files in a text", files, Beyond),
        ("100,000 comments in HTML", comments, Reads("<!--")),
        ("500,000 open tags", tags, Reads("deep words")),
        ("500,000 open lists in JSON", json, Reads("json words")),
        ("50,000 encoded words", words, Reads("end words")),
    ] {
        check(&pool, name, message.into_bytes(), verdict);
    }
}

#[test]
fn archives_made_to_hurt_end_within_the_limits() {
    let pool = pool();
    let zeros = vec![b'0'; 1 << 20];
    let mut wide = zip(&[("zeros.txt", &zeros)]);
    for _ in 0..5 {
        let names: Vec<String> = (0..16).map(|n| format!("{n}.zip")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), wide.as_slice())).collect();
        wide = zip(&files);
    }
    let mut deep = zip(&[("words.txt", b"words")]);
    for _ in 0..200 {
        deep = zip(&[("deeper.zip", &deep)]);
    }
    let mut gzips = gzip(b"words");
    for _ in 0..200 {
        gzips = gzip(&gzips);
    }
    let mut letters = b"Subject: inner\r\n\r\nwords\r\n".to_vec();
    for _ in 0..12 {
        let packed = String::from_utf8(attached(&letters)).unwrap();
        letters = packed.replace("application/octet-stream", "message/rfc822").into_bytes();
    }
    let letters = zip(&[("letters.eml", &letters)]);
    let lying_tar = {
        let mut block = vec![0u8; 512];
        block[..5].copy_from_slice(b"a.txt");
        block[124..135].copy_from_slice(b"77777777777");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        block
    };
    for (name, bytes, verdict) in [
        ("zips in zips, 16 wide, a terabyte", wide, Beyond),
        ("200 zips in each other", deep, Beyond),
        ("200 gzips in each other", gzips, Beyond),
        ("one packed file under one name 3,000 times", overlapping_zip(3_000, false), Unreadable),
        // By fuel or by the clock, whichever is first.
        ("one packed file under 3,000 names", overlapping_zip(3_000, true), Unreadable),
        ("256 MiB in gzip", gzip(&zeros).repeat(256), Beyond),
        ("twelve letters in each other, each encoded", letters, Beyond),
        ("a tar that claims eight gigabytes", lying_tar, Unreadable),
        ("half a zip", overlapping_zip(1, false)[..200].to_vec(), Unreadable),
        ("a seven-zip", b"7z\xbc\xaf\x27\x1c\0\x04....".to_vec(), Unreadable),
        ("a rar", b"Rar!\x1a\x07\x01\0....".to_vec(), Unreadable),
    ] {
        check(&pool, name, attached(&bytes), verdict);
    }
}

#[test]
fn documents_made_to_hurt_end_within_the_limits() {
    let pool = pool();
    let entities = {
        let mut declared = "<!ENTITY l0 \"lol\">".to_owned();
        for n in 1..12 {
            declared.push_str(&format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10)));
        }
        format!(
            "<?xml version=\"1.0\"?><!DOCTYPE x [{declared}]><w:document xmlns:w=\"w\"><w:p><w:t>&l11;</w:t></w:p></w:document>"
        )
    };
    let end = 0xffff_fffe;
    let catalog = "<< /Type /Catalog /Pages 2 0 R >>";
    let sheet = |cells: &str| {
        format!(
            "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><dimension ref=\"A1:XFD1048576\"/><sheetData>{cells}</sheetData></worksheet>"
        )
    };
    let corners = sheet("<row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"1048576\"><c r=\"XFD1048576\"><v>2</v></c></row>");
    let beyond = sheet("<row r=\"1\"><c r=\"A1\" t=\"s\"><v>4294967295</v></c></row>");
    let mut tnefs = tnef(&tnef_attribute(0x0002_800c, b"words"));
    for _ in 0..200 {
        tnefs = tnef(&tnef_attribute(0x0006_800f, &tnefs));
    }
    let packed = {
        let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..300 {
            writer.write_all(&vec![b' '; 1 << 20]).unwrap();
        }
        writer.finish().unwrap()
    };
    let flate_bomb = {
        let stream = format!("<< /Length {} /Filter /FlateDecode >>\nstream\n", packed.len());
        let mut out = pdf(&[
            catalog,
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>",
            "null",
        ]);
        let at = memchr::memmem::find(&out, b"null").unwrap();
        out.splice(at..at + 4, [stream.as_bytes(), &packed, b"\nendstream"].concat());
        out
    };
    for (name, bytes, verdict) in [
        ("XML entities, a billion", docx(&entities), Unreadable),
        ("the same as a file", entities.clone().into_bytes(), Unreadable),
        ("100 MiB of text in a document", docx(&format!("<w:t>{}</w:t>", "x".repeat(100 << 20))), Beyond),
        ("a document of 100,000 levels", docx(&format!("{}<w:t>deep words</w:t>", "<w:p>".repeat(100_000))), Reads("deep words")),
        ("a sheet from corner to corner", xlsx(&corners), Unreadable),
        ("a string that is not there", xlsx(&beyond), Unreadable),
        ("a chain that turns back", compound("WordDocument", 900, u32::MAX, &[0xffff_fffd, end, 2], &[0; 1024]), Unreadable),
        ("a directory that turns back", compound("WordDocument", 900, u32::MAX, &[0xffff_fffd, 1, end], &[0; 1024]), Unreadable),
        ("an entry beside itself", compound("WordDocument", 900, 1, &[0xffff_fffd, end, end], &[0; 1024]), Unreadable),
        (
            "a stream of four gigabytes",
            compound("WordDocument", u32::MAX, u32::MAX, &[0xffff_fffd, end, end], &[0; 1024]),
            Unreadable,
        ),
        (
            "slides that are cut",
            compound("PowerPoint Document", 512, u32::MAX, &[0xffff_fffd, end, end], &[0xee; 512]),
            Unreadable,
        ),
        ("a sheet that is none", compound("Workbook", 512, u32::MAX, &[0xffff_fffd, end, end], &[0xee; 512]), Unreadable),
        ("winmail.dat with a huge length", tnef(&[1, 0x0c, 0x80, 2, 0, 0xff, 0xff, 0xff, 0xff, b'x']), Unreadable),
        ("winmail.dat with a huge count", tnef(&tnef_attribute(0x0006_9003, &[0xff; 64])), Unreadable),
        (
            "winmail.dat with a million empty values",
            {
                let mut value = [1, 0, 0, 0, 0x1f, 0x10, 2, 0, 0xff, 0xff, 0xff, 0x7f].to_vec();
                value.resize(4 << 20, 0);
                tnef(&tnef_attribute(0x0006_9003, &value))
            },
            Unreadable,
        ),
        ("200 winmail.dat in each other", tnefs, Beyond),
        (
            "rich text of a million groups",
            [b"{\\rtf1".as_slice(), &b"{".repeat(1_000_000), b" deep words"].concat(),
            Reads("deep words"),
        ),
        ("pages that hold themselves", pdf(&[catalog, "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"]), Unreadable),
        (
            "pages that hold each other",
            pdf(&[catalog, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"]),
            Unreadable,
        ),
        (
            "a content that is itself",
            pdf(&[
                catalog,
                "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
                "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>",
                "4 0 R",
            ]),
            Unreadable,
        ),
        ("100,000 lists in each other", pdf(&[catalog, &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))]), Unreadable),
        ("300 MiB of page in a stream", flate_bomb, Unreadable),
        ("half a PDF", b"%PDF-1.7\n1 0 obj\n<< /Length 99999999999 >>\nstream\n".to_vec(), Unreadable),
        ("binary", (0..=255).collect(), Unreadable),
    ] {
        check(&pool, name, attached(&bytes), verdict);
    }
    check(
        &pool,
        "an ordinary letter afterwards",
        attached(&docx("<w:document><w:p><w:t>ordinary words</w:t></w:p></w:document>")),
        Reads("ordinary words"),
    );
}
