//! Every kind of disguise in every carrier: statements about patients must be found in at least nine of ten of each pair,
//! and the table printed here stands in `docs/DETECTION.md`.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use wardpost::extract::{Fuel, InProcess, read};
use wardpost::message::parse;
use wardpost::scan::{Scanner, scan};
use wardpost::secret::Plaintext;

/// What is disguised: person and health in one line, in several ways.
pub(crate) const STATEMENTS: [&str; 10] = [
    "Patient Eleanor Whitcomb has diabetes",
    "Gerald Pomeroy, DOB 04/17/1962, takes metformin 500 mg",
    "SSN 405-19-0261 was treated for syphilis",
    "Nadia Castellanos tested positive for hepatitis C",
    "MRN 4471209 admitted with pneumonia",
    "Patient: Walter Haines, diagnosis: prostate cancer",
    "Mrs. Ostrowski had a miscarriage, date of birth 02/14/1980",
    "Member ID W334918820 was denied dialysis",
    "Harold Nakamura was admitted with alcohol withdrawal",
    "Patient Vincent Delgado needs chemotherapy",
];

pub(crate) fn insert(text: &str, sign: &str) -> String {
    text.split(' ')
        .map(|word| {
            let middle = word.char_indices().nth(word.chars().count() / 2).map_or(0, |(at, _)| at);
            if word.len() > 3 { format!("{}{sign}{}", &word[..middle], &word[middle..]) } else { word.to_owned() }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

pub(crate) fn map(text: &str, change: impl Fn(char) -> String) -> String {
    text.chars().map(change).collect()
}

/// Name, what it does to a text, and whether it is one of mark-up only.
#[allow(clippy::type_complexity)]
pub(crate) fn disguises() -> Vec<(&'static str, bool, fn(&str) -> String)> {
    vec![
        ("none", false, |t| t.to_owned()),
        ("zero-width", false, |t| insert(t, "\u{200b}")),
        ("soft hyphen", false, |t| insert(t, "\u{ad}")),
        ("word joiner", false, |t| insert(t, "\u{2060}")),
        ("homoglyphs", false, |t| {
            map(t, |c| match c {
                'a' => "\u{430}".into(),
                'e' => "\u{435}".into(),
                'o' => "\u{43e}".into(),
                'i' => "\u{456}".into(),
                'c' => "\u{441}".into(),
                'p' => "\u{440}".into(),
                c => c.to_string(),
            })
        }),
        ("letter spacing", false, |t| {
            t.chars().filter(|c| *c != ' ').map(|c| format!("{c} ")).collect::<String>().trim_end().into()
        }),
        ("letters and words spaced", false, |t| {
            t.split(' ').map(|w| map(w, |c| format!("{c} "))).collect::<Vec<_>>().join("\u{a0} ")
        }),
        ("dots between letters", false, |t| {
            t.split(' ')
                .map(|w| {
                    if w.len() > 5 && w.chars().all(|c| c.is_ascii_alphabetic()) {
                        w.chars().map(String::from).collect::<Vec<_>>().join(".")
                    } else {
                        w.to_owned()
                    }
                })
                .collect::<Vec<_>>()
                .join(" ")
        }),
        ("Unicode dashes", false, |t| t.replace('-', "\u{2011}").replace(' ', "\u{a0}")),
        ("Unicode digits", false, |t| {
            map(t, |c| c.to_digit(10).and_then(|d| char::from_u32(0xff10 + d)).unwrap_or(c).to_string())
        }),
        ("fullwidth", false, |t| {
            map(t, |c| if c.is_ascii_graphic() { char::from_u32(c as u32 + 0xfee0).unwrap().to_string() } else { c.to_string() })
        }),
        ("mathematical letters", false, |t| {
            map(t, |c| match c {
                'a'..='z' => char::from_u32(0x1d41a + c as u32 - 'a' as u32).unwrap().to_string(),
                'A'..='Z' => char::from_u32(0x1d400 + c as u32 - 'A' as u32).unwrap().to_string(),
                c => c.to_string(),
            })
        }),
        ("upper case", false, |t| t.to_uppercase()),
        ("diacritics", false, |t| {
            map(t, |c| match c {
                'a' => "\u{e1}".into(),
                'e' => "\u{e9}".into(),
                'o' => "\u{f6}".into(),
                'n' => "\u{f1}".into(),
                c => c.to_string(),
            })
        }),
        ("decomposed (NFD)", false, |t| map(t, |c| if "aeou".contains(c) { format!("{c}\u{301}") } else { c.to_string() })),
        ("narrow lines", false, |t| {
            t.split(' ').fold(String::new(), |text, word| {
                let width = text.rsplit('\n').next().unwrap_or_default().len();
                if width + word.len() > 22 { format!("{text}\n{word}") } else { format!("{text} {word}").trim_start().to_owned() }
            })
        }),
        ("one word a line", false, |t| t.replace(' ', "\n")),
        ("one letter a line", false, |t| t.chars().filter(|c| *c != ' ').map(|c| format!("{c}\n")).collect::<String>()),
        ("right to left", false, |t| {
            t.split('\n')
                .map(|line| format!("\u{202e}{}\u{202c}", line.chars().rev().collect::<String>()))
                .collect::<Vec<_>>()
                .join("\n")
        }),
        ("combining marks", false, |t| {
            map(t, |c| if c.is_ascii_alphabetic() { format!("{c}\u{336}\u{307}") } else { c.to_string() })
        }),
        ("Unicode tags", false, |t| insert(t, "\u{e0061}\u{e007f}")),
        ("variation selectors", false, |t| {
            map(t, |c| if c.is_ascii_alphabetic() { format!("{c}\u{fe0f}") } else { c.to_string() })
        }),
        ("superscript and modifier letters", false, |t| {
            map(t, |c| match c {
                'a' => "\u{1d43}".into(),
                'e' => "\u{1d49}".into(),
                'o' => "\u{1d52}".into(),
                'i' => "\u{2071}".into(),
                'n' => "\u{207f}".into(),
                's' => "\u{2e2}".into(),
                c => c.to_string(),
            })
        }),
        ("small capitals", false, |t| {
            map(t, |c| match c {
                'a' => "\u{1d00}".into(),
                'b' => "\u{299}".into(),
                'c' => "\u{1d04}".into(),
                'd' => "\u{1d05}".into(),
                'e' => "\u{1d07}".into(),
                'h' => "\u{29c}".into(),
                'i' => "\u{26a}".into(),
                'l' => "\u{29f}".into(),
                'm' => "\u{1d0d}".into(),
                'n' => "\u{274}".into(),
                'o' => "\u{1d0f}".into(),
                'p' => "\u{1d18}".into(),
                'r' => "\u{280}".into(),
                't' => "\u{1d1b}".into(),
                'u' => "\u{1d1c}".into(),
                c => c.to_string(),
            })
        }),
        ("circled letters", false, |t| {
            map(t, |c| {
                if c.is_ascii_lowercase() {
                    char::from_u32(0x24d0 + c as u32 - 'a' as u32).unwrap().to_string()
                } else {
                    c.to_string()
                }
            })
        }),
        ("entities", true, |t| map(t, |c| if c.is_ascii_alphanumeric() { format!("&#{};", c as u32) } else { c.to_string() })),
        ("hex entities", true, |t| {
            map(t, |c| if c.is_ascii_alphanumeric() { format!("&#x{:x};", c as u32) } else { c.to_string() })
        }),
        ("split tags", true, |t| insert(t, "<b></b>")),
        ("comments", true, |t| insert(t, "<!-- x -->")),
        ("letters in tags", true, |t| map(t, |c| if c == ' ' { " ".into() } else { format!("<span>{c}</span>") })),
        ("white on white", true, |t| format!("<span style=\"color:#fff;font-size:1px\">{t}</span>")),
    ]
}

pub(crate) fn html(text: &str) -> String {
    format!("<html><body><p>Hello,</p><p>{text}.</p></body></html>")
}

pub(crate) fn mail(header: &str, body: &str) -> Vec<u8> {
    format!("From: a@practice.example\nTo: b@other.example\nMIME-Version: 1.0\n{header}\n\n{body}\n")
        .replace('\n', "\r\n")
        .into_bytes()
}

pub(crate) fn attached(name: &str, kind: &str, content: &[u8]) -> Vec<u8> {
    let encoded: Vec<String> =
        BASE64.encode(content).as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    mail(
        "Subject: file\nContent-Type: multipart/mixed; boundary=x",
        &format!(
            "--x\nContent-Type: text/plain\n\nSee the file.\n--x\nContent-Type: {kind}; name=\"{name}\"\nContent-Disposition: attachment; filename=\"{name}\"\nContent-Transfer-Encoding: base64\n\n{}\n--x--",
            encoded.join("\n")
        ),
    )
}

pub(crate) fn zipped(entries: &[(&str, String)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn word(text: &str) -> String {
    let runs: String = text
        .split('\n')
        .map(|line| format!("<w:p><w:r><w:t xml:space=\"preserve\">{}</w:t></w:r></w:p>", escaped(line)))
        .collect();
    format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body>{runs}</w:body></w:document>"
    )
}

pub(crate) fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for byte in text.bytes() {
        let piece = if byte == b'\n' {
            "\n".to_owned()
        } else if byte.is_ascii_alphanumeric() || byte == b' ' {
            char::from(byte).to_string()
        } else {
            format!("={byte:02X}")
        };
        column = if byte == b'\n' { 0 } else { column + piece.len() };
        if column > 20 {
            out.push_str("=\n");
            column = piece.len();
        }
        out.push_str(&piece);
    }
    out
}

/// Name, whether it is mark-up, and the message that carries a text.
#[allow(clippy::type_complexity)]
fn carriers() -> Vec<(&'static str, bool, fn(&str) -> Vec<u8>)> {
    const PLAIN: &str = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding:";
    vec![
        ("subject", false, |t| {
            mail(&format!("Subject: =?utf-8?B?{}?=\nContent-Type: text/plain", BASE64.encode(t.replace('\n', " "))), "See above.")
        }),
        ("header", false, |t| {
            mail(
                &format!("Subject: x\nComments: =?utf-8?B?{}?=\nContent-Type: text/plain", BASE64.encode(t.replace('\n', " "))),
                "See above.",
            )
        }),
        ("body, 8bit", false, |t| mail(&format!("Subject: x\n{PLAIN} 8bit"), t)),
        ("body, soft breaks", false, |t| mail(&format!("Subject: x\n{PLAIN} quoted-printable"), &quoted_printable(t))),
        ("body, base64", false, |t| mail(&format!("Subject: x\n{PLAIN} base64"), &BASE64.encode(t))),
        ("html", true, |t| mail("Subject: x\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit", &html(t))),
        ("html alternative", true, |t| {
            mail(
                "Subject: x\nContent-Type: multipart/alternative; boundary=y",
                &format!(
                    "--y\nContent-Type: text/plain\n\nHello.\n--y\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}\n--y--",
                    html(t)
                ),
            )
        }),
        ("html attached", true, |t| attached("page.html", "text/html; charset=utf-8", html(t).as_bytes())),
        ("text attached", false, |t| attached("note.txt", "text/plain; charset=utf-8", t.as_bytes())),
        ("csv attached", false, |t| {
            attached("list.csv", "text/csv; charset=utf-8", format!("No,Note\n1,\"{}\"\n", t.replace('\n', " ")).as_bytes())
        }),
        ("attachment name", false, |t| {
            let name = format!("=?utf-8?B?{}?=", BASE64.encode(format!("{}.txt", t.replace('\n', " ").replace('/', "-"))));
            attached(&name, "text/plain", b"empty")
        }),
        ("docx", false, |t| {
            attached(
                "a.docx",
                "application/octet-stream",
                &zipped(&[("[Content_Types].xml", "<Types/>".into()), ("word/document.xml", word(t))]),
            )
        }),
        ("zip", false, |t| attached("a.zip", "application/zip", &zipped(&[("note.txt", t.to_owned())]))),
        ("rtf", false, |t| {
            let body = map(t, |c| {
                if c.is_ascii() {
                    c.to_string().replace('\n', "\\par ")
                } else {
                    let mut units = [0u16; 2];
                    c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{}?", *unit as i16)).collect()
                }
            });
            attached("a.rtf", "application/rtf", format!("{{\\rtf1\\ansi {body}}}").as_bytes())
        }),
        ("calendar", false, |t| {
            let line = t.replace('\n', " ").replace(',', "\\,");
            attached(
                "a.ics",
                "text/calendar; charset=utf-8",
                format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:{line}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n").as_bytes(),
            )
        }),
        ("message in message", false, |t| {
            let inner = String::from_utf8(mail(&format!("Subject: x\n{PLAIN} 8bit"), t)).unwrap().replace("\r\n", "\n");
            mail(
                "Subject: fwd\nContent-Type: multipart/mixed; boundary=z",
                &format!("--z\nContent-Type: message/rfc822\n\n{inner}\n--z--"),
            )
        }),
    ]
}

pub(crate) fn is_found(content: Vec<u8>) -> bool {
    let message = parse(Plaintext::new(content));
    let extracted = read(&message, &InProcess, Fuel::default());
    scan(Scanner::shared(), &message, &extracted).phi.is_some()
}

#[test]
fn no_disguise_hides_in_any_carrier() {
    let mut low = Vec::new();
    let disguises = disguises();
    for (disguise, is_markup, change) in &disguises {
        let mut row = format!("| {disguise} |");
        for (carrier, takes_markup, carry) in carriers() {
            if *is_markup && !takes_markup {
                row.push_str(" |");
                continue;
            }
            let missed: Vec<&str> = STATEMENTS.iter().copied().filter(|statement| !is_found(carry(&change(statement)))).collect();
            let share = 1.0 - missed.len() as f64 / STATEMENTS.len() as f64;
            row.push_str(&format!(" {share:.1} |"));
            if share < 0.9 {
                low.push(format!("{disguise} in {carrier}: {share:.1}, e.g. {:?}", missed.first()));
            }
        }
        println!("{row}");
    }
    println!("| | {} |", carriers().iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(" | "));
    assert!(low.is_empty(), "{low:#?}");
}
