//! Archives, tables, records of machines, and other files that are text.

use std::io::Write;

use super::Takes::{Any, Ascii, Line};
use super::{Carrier, carrier};
use crate::disguise::{attached, escaped, map, zipped};

fn zip_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

pub fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0u8; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend(content);
    block.resize(block.len().div_ceil(512) * 512 + 1024, 0);
    block
}

fn file(name: &str, content: &str) -> Vec<u8> {
    attached(name, "application/octet-stream", content.as_bytes())
}

fn json_string(text: &str) -> String {
    let escaped = map(text, |c| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
    });
    format!("\"{escaped}\"")
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

const PEOPLE: [(&str, &str, &str); 4] = [
    ("WHITCOMB", "ELEANOR", "E11.9"),
    ("POMEROY", "GERALD", "C61"),
    ("CASTELLANOS", "NADIA", "B18.2"),
    ("OSTROWSKI", "MARTA", "O03.9"),
];

/// The person that stands for a statement in a record that has no room for sentences.
fn person(statement: &str) -> (&'static str, &'static str, &'static str) {
    PEOPLE[statement.len() % PEOPLE.len()]
}

fn spoken(code: &str) -> &'static str {
    match code {
        "E11.9" => "Type 2 diabetes mellitus without complications",
        "C61" => "Malignant neoplasm of prostate",
        "B18.2" => "Chronic viral hepatitis C",
        _ => "Complete or unspecified spontaneous abortion",
    }
}

fn hl7(family: &str, given: &str, code: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|X|EHR|Y|20260101||ADT^A01|1|P|2.5\rPID|1||4471209^^^X^MR||{family}^{given}||19620417|F\rDG1|1||{code}^{}^I10\r",
        spoken(code)
    )
}

fn fhir(statement: &str) -> String {
    let (family, given, code) = person(statement);
    format!(
        "{{\"resourceType\":\"Bundle\",\"entry\":[{{\"resource\":{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"{family}\",\"given\":[\"{given}\"]}}],\"birthDate\":\"1962-04-17\"}}}},{{\"resource\":{{\"resourceType\":\"Condition\",\"code\":{{\"coding\":[{{\"system\":\"http://hl7.org/fhir/sid/icd-10-cm\",\"code\":\"{code}\",\"display\":\"{}\"}}]}}}}}}]}}",
        spoken(code)
    )
}

fn fhir_xml(statement: &str) -> String {
    let (family, given, code) = person(statement);
    format!(
        "<?xml version=\"1.0\"?><Bundle xmlns=\"http://hl7.org/fhir\"><entry><resource><Patient><name><family value=\"{family}\"/><given value=\"{given}\"/></name><birthDate value=\"1962-04-17\"/></Patient></resource></entry><entry><resource><Condition><code><coding><code value=\"{code}\"/><display value=\"{}\"/></coding></code></Condition></resource></entry></Bundle>",
        spoken(code)
    )
}

fn ccda(statement: &str) -> String {
    let (family, given, code) = person(statement);
    format!(
        "<?xml version=\"1.0\"?><ClinicalDocument xmlns=\"urn:hl7-org:v3\"><recordTarget><patientRole><id root=\"2.16\" extension=\"4471209\"/><patient><name><given>{given}</given><family>{family}</family></name><birthTime value=\"19620417\"/></patient></patientRole></recordTarget><component><observation><value code=\"{code}\" displayName=\"{}\"/></observation></component></ClinicalDocument>",
        spoken(code)
    )
}

fn claim(statement: &str) -> String {
    let (family, given, code) = person(statement);
    let code = code.replace('.', "");
    format!(
        "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260101*1200*^*00501*000000001*0*P*:~GS*HC*S*R*20260101*1200*1*X*005010X222A1~ST*837*0001~NM1*IL*1*{family}*{given}****MI*W334918820~N3*12 ELM ST~DMG*D8*19620417*F~CLM*A1*150***11:B:1*Y*A*Y*Y~HI*ABK:{code}~SV1*HC:99213*150*UN*1***1~SE*9*0001~GE*1*1~IEA*1*000000001~"
    )
}

fn vcard(version: &str, note: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:{version}\r\nN:Office;The\r\nFN:The Office\r\n{note}\r\nEND:VCARD\r\n")
}

pub fn carriers() -> Vec<Carrier> {
    let mut all = archives();
    all.extend(tables());
    all.extend(texts());
    all.extend(records());
    all
}

fn archives() -> Vec<Carrier> {
    vec![
        carrier("zip in zip in zip", Any, |t| {
            attached("a.zip", "application/zip", &zip_of("b.zip", &zip_of("c.zip", &zip_of("n.txt", t.as_bytes()))))
        }),
        carrier("name of a file in a zip", Line, |t| {
            attached("a.zip", "application/zip", &zip_of(&format!("{}.txt", t.replace('/', "-")), b"x"))
        }),
        carrier("name of a folder in a zip", Line, |t| {
            attached("a.zip", "application/zip", &zip_of(&format!("{}/a.txt", t.replace('/', "-").replace(' ', "_")), b"x"))
        }),
        carrier("comment of a zip", Line, |t| {
            let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            writer.set_comment(t).unwrap();
            writer.start_file("a.txt", zip::write::SimpleFileOptions::default()).unwrap();
            attached("a.zip", "application/zip", &writer.finish().unwrap().into_inner())
        }),
        carrier("gzip", Any, |t| attached("a.txt.gz", "application/gzip", &gzipped(t.as_bytes()))),
        carrier("tar", Any, |t| attached("a.tar", "application/x-tar", &tar("n.txt", t.as_bytes()))),
        carrier("tar in gzip", Any, |t| attached("a.tgz", "application/octet-stream", &gzipped(&tar("n.txt", t.as_bytes())))),
        carrier("zip in tar", Any, |t| {
            attached("a.tar", "application/octet-stream", &tar("a.zip", &zipped(&[("n.txt", t.to_owned())])))
        }),
        carrier("message in zip", Any, |t| {
            attached("a.zip", "application/zip", &zip_of("a.eml", format!("Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n{}\n", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, t)).as_bytes()))
        }),
        carrier("winmail.dat", Any, |t| attached("winmail.dat", "application/ms-tnef", &winmail(t, false))),
        carrier("winmail.dat, attachment", Any, |t| attached("winmail.dat", "application/ms-tnef", &winmail(t, true))),
    ]
}

/// A body in Unicode, or an attached text (MS-OXTNEF).
fn winmail(text: &str, is_attached: bool) -> Vec<u8> {
    let attribute = |level: u8, name: u32, value: &[u8]| {
        let sum = value.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        [&[level], name.to_le_bytes().as_slice(), &(value.len() as u32).to_le_bytes(), value, &sum.to_le_bytes()].concat()
    };
    let inside = if is_attached {
        [attribute(2, 0x0006_9002, &[0; 14]), attribute(2, 0x0001_8010, b"a.txt\0"), attribute(2, 0x0006_800f, text.as_bytes())]
            .concat()
    } else {
        let mut wide: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let length = wide.len() as u32;
        wide.resize(wide.len().div_ceil(4) * 4, 0);
        attribute(
            1,
            0x0006_9003,
            &[&1u32.to_le_bytes()[..], &[0x1f, 0, 0, 0x10], &1u32.to_le_bytes(), &length.to_le_bytes(), &wide].concat(),
        )
    };
    [&[0x78, 0x9f, 0x3e, 0x22, 1, 0][..], &inside].concat()
}

fn tables() -> Vec<Carrier> {
    vec![
        carrier("CSV, semicolons", Any, |t| file("a.csv", &format!("No;Note\n1;\"{t}\"\n"))),
        carrier("CSV, tabs", Line, |t| file("a.tsv", &format!("No\tNote\n1\t{t}\n"))),
        carrier("CSV, bars", Line, |t| file("a.txt", &format!("No|Note\n1|{t}\n"))),
        carrier("CSV, one word a cell", Ascii, |t| file("a.csv", &format!("{}\n", t.replace(',', "").replace(' ', ",")))),
        carrier("CSV, one word a cell, quoted", Ascii, |t| file("a.csv", &format!("\"{}\"\n", t.replace(' ', "\";\"")))),
        carrier("CSV in UTF-16 (Excel)", Any, |t| {
            attached(
                "a.csv",
                "text/csv",
                &std::iter::once(0xfeff)
                    .chain(format!("No\tNote\n1\t\"{t}\"\n").encode_utf16())
                    .flat_map(u16::to_le_bytes)
                    .collect::<Vec<u8>>(),
            )
        }),
        carrier("Markdown table", Line, |t| file("a.md", &format!("| No | Note |\n|---|---|\n| 1 | {t} |\n"))),
        carrier("SQL", Line, |t| file("a.sql", &format!("INSERT INTO notes VALUES (1, '{}');\n", t.replace('\'', "''")))),
        carrier("SYLK", Line, |t| file("a.slk", &format!("ID;PWXL;N;E\nC;Y1;X1;K\"{t}\"\nE\n"))),
        carrier("LDIF in base64", Any, |t| {
            file(
                "a.ldif",
                &format!("dn: cn=x\ndescription:: {}\n", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, t)),
            )
        }),
    ]
}

fn texts() -> Vec<Carrier> {
    vec![
        carrier("JSON", Line, |t| file("a.json", &format!("{{\"a\": [{{\"note\": \"{t}\"}}]}}"))),
        carrier("JSON in escapes", Any, |t| file("a.json", &format!("{{\"note\": {}}}", json_string(t)))),
        carrier("JSON lines in escapes", Any, |t| file("a.jsonl", &format!("{{\"no\": 1}}\n{{\"note\": {}}}\n", json_string(t)))),
        carrier("JSON cut off, in escapes", Any, |t| file("a.json", &format!("{{\"note\": {}, \"b", json_string(t)))),
        carrier("JSON, name of a key", Line, |t| file("a.json", &format!("{{\"{t}\": 1}}"))),
        carrier("JSON, page inside", Line, |t| {
            file("a.json", &format!("{{\"note\": \"<p>{}</p>\"}}", crate::disguise::insert(t, "<b></b>")))
        }),
        carrier("JSON, base64 inside", Any, |t| {
            file(
                "a.json",
                &format!(
                    "{{\"contentType\": \"text/plain\", \"data\": \"{}\"}}",
                    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, t)
                ),
            )
        }),
        carrier("YAML", Line, |t| file("a.yaml", &format!("note: \"{t}\"\n"))),
        carrier("YAML, folded", Line, |t| {
            file("a.yaml", &format!("note: >-\n{}\n", t.split(' ').map(|word| format!("  {word}\n")).collect::<String>()))
        }),
        carrier("Markdown", Any, |t| file("a.md", &format!("# Note\n\n{t}\n"))),
        carrier("INI", Line, |t| file("a.ini", &format!("[note]\ntext={t}\n"))),
        carrier("log", Line, |t| file("a.log", &format!("2026-12-01T12:00:00Z INFO note=\"{t}\"\n"))),
        carrier("XML", Any, |t| file("a.xml", &format!("<?xml version=\"1.0\"?><a><note>{}</note></a>", escaped(t)))),
        carrier("XML, attribute", Line, |t| file("a.xml", &format!("<?xml version=\"1.0\"?><a note=\"{}\"/>", escaped(t)))),
        carrier("XML, numbers", Any, |t| {
            file("a.xml", &format!("<?xml version=\"1.0\"?><a><note>{}</note></a>", map(t, |c| format!("&#x{:x};", c as u32))))
        }),
        carrier("XML, attribute in numbers", Line, |t| {
            file("a.xml", &format!("<?xml version=\"1.0\"?><a note=\"{}\"/>", map(t, |c| format!("&#{};", c as u32))))
        }),
        carrier("XML, CDATA", Any, |t| file("a.xml", &format!("<?xml version=\"1.0\"?><a><note><![CDATA[{t}]]></note></a>"))),
        carrier("XML, page inside", Any, |t| {
            file(
                "a.xml",
                &format!(
                    "<?xml version=\"1.0\"?><rss><description>&lt;p&gt;{}&lt;/p&gt;</description></rss>",
                    escaped(&crate::disguise::insert(t, "&lt;b&gt;&lt;/b&gt;"))
                        .replace("&amp;lt;", "&lt;")
                        .replace("&amp;gt;", "&gt;")
                ),
            )
        }),
        carrier("XML, comment", Any, |t| {
            file("a.xml", &format!("<?xml version=\"1.0\"?><a><!-- {} --></a>", t.replace("--", "- -")))
        }),
        carrier("XML, one word an element", Ascii, |t| {
            file(
                "a.xml",
                &format!(
                    "<?xml version=\"1.0\"?><a>{}</a>",
                    t.split(' ').map(|word| format!("<w>{word}</w>")).collect::<String>()
                ),
            )
        }),
        carrier("XML without a declaration, in numbers", Any, |t| {
            file("a.dat", &format!("<record><note>{}</note></record>", map(t, |c| format!("&#x{:x};", c as u32))))
        }),
        carrier("XML in ISO-8859-1", Ascii, |t| {
            attached(
                "a.xml",
                "text/xml",
                &[
                    b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xfc ".to_vec(),
                    t.bytes().flat_map(|b| if b == b' ' { vec![0xa0] } else { vec![b] }).collect(),
                    b"</a>".to_vec(),
                ]
                .concat(),
            )
        }),
        carrier("SVG", Any, |t| {
            file("a.svg", &format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text>{}</text></svg>", escaped(t)))
        }),
        carrier("SVG, one word an element", Ascii, |t| {
            file(
                "a.svg",
                &format!(
                    "<svg xmlns=\"http://www.w3.org/2000/svg\"><text>{}</text></svg>",
                    t.split(' ').map(|word| format!("<tspan x=\"1\">{word}</tspan>")).collect::<String>()
                ),
            )
        }),
        carrier("SVG packed", Any, |t| {
            attached(
                "a.svgz",
                "image/svg+xml",
                &gzipped(format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text>{}</text></svg>", escaped(t)).as_bytes()),
            )
        }),
        carrier("PostScript", Ascii, |t| {
            file("a.ps", &format!("%!PS\n/Helvetica findfont 12 scalefont setfont 72 700 moveto ({t}) show\nshowpage\n"))
        }),
        carrier("LaTeX", Line, |t| file("a.tex", &format!("\\begin{{document}}{t}\\end{{document}}\n"))),
        carrier("subtitles", Line, |t| file("a.srt", &format!("1\n00:00:01,000 --> 00:00:02,000\n{t}\n"))),
        carrier("RTF, hex escapes", Ascii, |t| {
            file("a.rtf", &format!("{{\\rtf1\\ansi {}}}", t.bytes().map(|b| format!("\\'{b:02x}")).collect::<String>()))
        }),
        carrier("RTF, header", Ascii, |t| file("a.rtf", &format!("{{\\rtf1\\ansi {{\\header {t}}}See below}}"))),
        carrier("RTF, comment", Ascii, |t| file("a.rtf", &format!("{{\\rtf1\\ansi See below{{\\*\\annotation {t}}}}}"))),
        carrier("RTF, hidden", Ascii, |t| file("a.rtf", &format!("{{\\rtf1\\ansi See below {{\\v {t}}}}}"))),
        carrier("RTF, table, one word a cell", Ascii, |t| {
            file(
                "a.rtf",
                &format!(
                    "{{\\rtf1\\ansi \\trowd {}\\row}}",
                    t.split(' ').map(|word| format!("{word}\\cell ")).collect::<String>()
                ),
            )
        }),
        carrier("RTF, title", Ascii, |t| file("a.rtf", &format!("{{\\rtf1\\ansi {{\\info{{\\title {t}}}}}See below}}"))),
        carrier("RTF, shape", Ascii, |t| {
            file(
                "a.rtf",
                &format!(
                    "{{\\rtf1\\ansi See below{{\\shp{{\\*\\shpinst{{\\sp{{\\sn wzDescription}}{{\\sv {t}}}}}{{\\shptxt x}}}}}}}}"
                ),
            )
        }),
        carrier("RTF, field", Ascii, |t| {
            file("a.rtf", &format!("{{\\rtf1\\ansi {{\\field{{\\*\\fldinst QUOTE \"x\"}}{{\\fldrslt {t}}}}}}}"))
        }),
        carrier("contact card, note", Line, |t| file("a.vcf", &vcard("3.0", &format!("NOTE:{}", t.replace(',', "\\,"))))),
        carrier("contact card, note folded", Line, |t| {
            file(
                "a.vcf",
                &vcard(
                    "4.0",
                    &format!(
                        "NOTE:{}",
                        t.chars()
                            .collect::<Vec<_>>()
                            .chunks(9)
                            .map(|piece| piece.iter().collect::<String>())
                            .collect::<Vec<_>>()
                            .join("\r\n ")
                    ),
                ),
            )
        }),
        carrier("contact card 2.1, quoted-printable", Any, |t| {
            file(
                "a.vcf",
                &vcard(
                    "2.1",
                    &format!(
                        "NOTE;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{}",
                        t.bytes()
                            .map(|b| format!("={b:02X}"))
                            .collect::<Vec<_>>()
                            .chunks(20)
                            .map(<[String]>::concat)
                            .collect::<Vec<_>>()
                            .join("=\r\n")
                    ),
                ),
            )
        }),
        carrier("contact card, base64", Any, |t| {
            file(
                "a.vcf",
                &vcard(
                    "3.0",
                    &format!("NOTE;ENCODING=b:{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, t)),
                ),
            )
        }),
        carrier("calendar, over two events", Line, |t| {
            file(
                "a.ics",
                &format!(
                    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Visit\nEND:VEVENT\nBEGIN:VTODO\nX-NOTE;X-A=\"b:c\":{}\nEND:VTODO\nEND:VCALENDAR\n",
                    one_line(t).replace(',', "\\,")
                ),
            )
        }),
        carrier("link file", Ascii, |t| {
            file(
                "a.url",
                &format!(
                    "[InternetShortcut]\nURL=https://a.example/?note={}\n",
                    t.replace(' ', "%20").replace(',', "%2C").replace(':', "%3A").replace('/', "%2F")
                ),
            )
        }),
        carrier("base64 in a text file", Any, |t| {
            file("a.b64", &format!("{}\n", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, t)))
        }),
        carrier("PEM around base64", Any, |t| {
            file(
                "a.pem",
                &format!(
                    "-----BEGIN NOTE-----\n{}\n-----END NOTE-----\n",
                    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, t)
                ),
            )
        }),
    ]
}

/// Records of machines: a person and a code in the places that the standard has for them.
fn records() -> Vec<Carrier> {
    vec![
        carrier("HL7 v2, coded", Ascii, |t| {
            let (family, given, code) = person(t);
            file("a.hl7", &hl7(family, given, code))
        }),
        carrier("HL7 v2 in its frame (MLLP)", Ascii, |t| {
            let (family, given, code) = person(t);
            file("a.dat", &format!("\x0b{}\x1c\r", hl7(family, given, code)))
        }),
        carrier("HL7 v2, batch", Ascii, |t| {
            let (family, given, code) = person(t);
            file("a.dat", &format!("FHS|^~\\&|X\rBHS|^~\\&|X\r{}BTS|1\rFTS|1\r", hl7(family, given, code)))
        }),
        carrier("HL7 v2, note", Line, |t| {
            file("a.hl7", &format!("MSH|^~\\&|LAB|X|EHR|Y|20260101||ORU^R01|1|P|2.5\rNTE|1||{t}\r"))
        }),
        carrier("HL7 v2, document in base64", Any, |t| {
            file(
                "a.hl7",
                &format!(
                    "MSH|^~\\&|LAB|X|EHR|Y|20260101||MDM^T02|1|P|2.5\rOBX|1|ED|PDF^Doc||^TEXT^PLAIN^Base64^{}||||||F\r",
                    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, t)
                ),
            )
        }),
        carrier("FHIR, JSON", Ascii, |t| file("a.json", &fhir(t))),
        carrier("FHIR, XML", Ascii, |t| file("a.xml", &fhir_xml(t))),
        carrier("FHIR, narrative", Line, |t| {
            file("a.json", &format!("{{\"resourceType\": \"Patient\", \"text\": {{\"div\": \"<div>{t}</div>\"}}}}"))
        }),
        carrier("C-CDA", Ascii, |t| file("a.xml", &ccda(t))),
        carrier("C-CDA, narrative", Line, |t| {
            file(
                "a.xml",
                &format!(
                    "<?xml version=\"1.0\"?><ClinicalDocument xmlns=\"urn:hl7-org:v3\"><section><text><paragraph>{}</paragraph></text></section></ClinicalDocument>",
                    escaped(t)
                ),
            )
        }),
        carrier("X12 claim", Ascii, |t| file("a.837", &claim(t))),
        carrier("X12 claim, a segment a line", Ascii, |t| file("a.txt", &claim(t).replace('~', "~\n"))),
    ]
}
