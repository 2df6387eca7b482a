//! Forms of mail: parts, charsets, encodings, header fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Takes::{Any, Ascii, Line};
use super::{Carrier, carrier};
use crate::disguise::{attached, html, mail, quoted_printable};

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { Some(0xfeff) } else { None };
    mark.into_iter()
        .chain(text.encode_utf16())
        .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
        .collect()
}

fn multipart(kind: &str, parts: &[String]) -> Vec<u8> {
    let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
    mail(&format!("Subject: x\nContent-Type: multipart/{kind}; boundary=b"), &format!("{parts}--b--"))
}

const PLAIN: &str = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n";
const HTML: &str = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n";

fn plain(text: &str) -> String {
    format!("{PLAIN}{text}")
}

/// A body with any header, its bytes as they are.
fn bytes(header: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("From: a@practice.example\nTo: b@other.example\nSubject: x\nMIME-Version: 1.0\n{header}\n\n")
        .replace('\n', "\r\n")
        .into_bytes();
    out.extend_from_slice(body);
    out
}

/// Lines of at most 60 characters, a blank at the end of each that goes on, cut inside words (RFC 3676, DelSp=yes).
fn flowed(text: &str) -> String {
    let mut out = String::new();
    for line in text.split('\n') {
        let letters: Vec<char> = line.chars().collect();
        let pieces: Vec<String> = letters.chunks(14).map(|piece| piece.iter().collect()).collect();
        out.push_str(&pieces.join(" \n"));
        out.push('\n');
    }
    out
}

/// Everything as escapes in small letters, blanks behind the soft breaks.
fn odd_quoted_printable(text: &str) -> String {
    let escapes: Vec<String> = text.bytes().map(|byte| format!("={byte:02x}")).collect();
    escapes.chunks(9).map(|line| line.concat()).collect::<Vec<_>>().join("= \t\n")
}

fn encoded_words(text: &str) -> String {
    text.as_bytes().chunks(7).map(|piece| format!("=?UTF-8?B?{}?=", BASE64.encode(piece))).collect::<Vec<_>>().join("\n ")
}

fn q_words(text: &str) -> String {
    text.chars()
        .collect::<Vec<_>>()
        .chunks(5)
        .map(|piece| {
            let piece: String = piece.iter().collect();
            let escaped: String = piece
                .bytes()
                .map(|b| {
                    if b == b' ' {
                        "_".to_owned()
                    } else if b.is_ascii_alphanumeric() {
                        char::from(b).to_string()
                    } else {
                        format!("={b:02X}")
                    }
                })
                .collect();
            format!("=?utf-8*en?q?{escaped}?=")
        })
        .collect::<Vec<_>>()
        .join("\n\t")
}

fn continued_name(text: &str) -> String {
    let name = format!("{}.txt", text.replace('/', "-"));
    let encoded: String =
        name.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect();
    let mut pieces = Vec::new();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let mut end = rest.len().min(20);
        while end < rest.len() && rest[end.saturating_sub(2)..end].contains('%') {
            end += 1;
        }
        pieces.push(&rest[..end]);
        rest = &rest[end..];
    }
    pieces
        .iter()
        .enumerate()
        .map(|(at, piece)| format!("\n filename*{at}*={}{piece}", if at == 0 { "utf-8''" } else { "" }))
        .collect::<Vec<_>>()
        .join(";")
}

/// UTF-7 (RFC 2152), every character shifted.
fn utf7(text: &str) -> String {
    text.split(' ')
        .map(|word| {
            let units: Vec<u8> = word.encode_utf16().flat_map(u16::to_be_bytes).collect();
            format!("+{}-", BASE64.encode(units).trim_end_matches('='))
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn folded(line: &str) -> String {
    let letters: Vec<char> = line.chars().collect();
    letters.chunks(11).map(|piece| piece.iter().collect::<String>()).collect::<Vec<_>>().join("\r\n ")
}

fn calendar(body: &str) -> Vec<u8> {
    let text = format!("BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\n{body}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    bytes(
        "Content-Type: text/calendar; method=REQUEST; charset=utf-8\nContent-Transfer-Encoding: base64",
        BASE64.encode(text).as_bytes(),
    )
}

/// S/MIME, opaque: content inside a signature (RFC 5652), all lengths of two bytes.
fn signed(content: &[u8]) -> Vec<u8> {
    let tlv = |tag: u8, value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], length.as_slice(), value].concat()
    };
    let kind = |last: u8| tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, last]);
    let inner = tlv(0x30, &[kind(1), tlv(0xa0, &tlv(4, content))].concat());
    let data = tlv(0x30, &[tlv(2, &[1]), tlv(0x31, &[]), inner, tlv(0x31, &[])].concat());
    tlv(0x30, &[kind(2), tlv(0xa0, &data)].concat())
}

pub fn carriers() -> Vec<Carrier> {
    vec![
        carrier("alternative, in the plain part only", Any, |t| {
            multipart("alternative", &[plain(t), format!("{HTML}<p>See below</p>")])
        }),
        carrier("alternative, in a third form only", Any, |t| {
            multipart(
                "alternative",
                &[
                    plain("See below"),
                    format!("{HTML}<p>See below</p>"),
                    format!("Content-Type: text/x-amp-html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}", html(t)),
                ],
            )
        }),
        carrier("text/enriched", Any, |t| {
            bytes("Content-Type: text/enriched; charset=utf-8", format!("<bold>{t}</bold>").as_bytes())
        }),
        carrier("related", Any, |t| multipart("related", &[format!("{HTML}{}", html(t))])),
        carrier("preamble", Any, |t| {
            mail("Subject: x\nContent-Type: multipart/mixed; boundary=b", &format!("{t}\n\n--b\n{PLAIN}hello\n--b--"))
        }),
        carrier("epilogue", Any, |t| {
            mail("Subject: x\nContent-Type: multipart/mixed; boundary=b", &format!("--b\n{PLAIN}hello\n--b--\n\n{t}"))
        }),
        carrier("digest", Any, |t| multipart("digest", &[format!("\nSubject: y\n{PLAIN}{t}")])),
        carrier("report, the returned message", Any, |t| {
            multipart(
                "report",
                &[
                    plain("Returned."),
                    "Content-Type: message/delivery-status\n\nReporting-MTA: dns; x".into(),
                    format!("Content-Type: message/rfc822\n\nSubject: y\n{PLAIN}{t}"),
                ],
            )
        }),
        carrier("report, the returned header", Line, |t| {
            multipart(
                "report",
                &[
                    plain("Returned."),
                    format!("Content-Type: text/rfc822-headers\n\nFrom: a@b.example\nSubject: {}", encoded_words(t)),
                ],
            )
        }),
        carrier("report, what the other server said", Line, |t| {
            multipart(
                "report",
                &[
                    plain("Returned."),
                    format!(
                        "Content-Type: message/delivery-status; charset=utf-8\n\nReporting-MTA: dns; x\n\nDiagnostic-Code: smtp; 550 {t}"
                    ),
                ],
            )
        }),
        carrier("message in message in message", Any, |t| {
            multipart(
                "mixed",
                &[format!("Content-Type: message/rfc822\n\nSubject: y\nContent-Type: message/rfc822\n\nSubject: z\n{PLAIN}{t}")],
            )
        }),
        carrier("subject of the message inside", Line, |t| {
            multipart("mixed", &[format!("Content-Type: message/rfc822\n\nSubject: {}\n{PLAIN}See below", encoded_words(t))])
        }),
        carrier("message as a file", Any, |t| {
            attached("fwd.eml", "application/octet-stream", &mail(&format!("Subject: y\n{}", PLAIN.trim_end()), t))
        }),
        carrier("message as a file, base64 inside", Any, |t| {
            attached(
                "fwd.eml",
                "application/octet-stream",
                &mail(
                    "Subject: y\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64",
                    &BASE64.encode(t),
                ),
            )
        }),
        carrier("message as a file without a name", Any, |t| {
            attached(
                "",
                "application/octet-stream",
                &mail(
                    "Subject: y\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64",
                    &BASE64.encode(t),
                ),
            )
        }),
        carrier("message/rfc822 in base64", Any, |t| {
            attached(
                "fwd",
                "message/rfc822",
                &mail(
                    "Subject: y\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64",
                    &BASE64.encode(t),
                ),
            )
        }),
        carrier("mbox", Any, |t| {
            let one = |body: &str| {
                format!(
                    "From a@b.example Tue Dec  1 12:00:00 2026\nFrom: a@b.example\nSubject: y\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n{}\n\n",
                    BASE64.encode(body)
                )
            };
            attached("sent.mbox", "application/octet-stream", format!("{}{}", one("See below"), one(t)).as_bytes())
        }),
        carrier("page saved as MHTML", Any, |t| {
            let page = format!(
                "From: <Saved by Blink>\nSubject: y\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=q\n\n--q\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n{}\n--q--\n",
                quoted_printable(&html(t))
            );
            attached("page.mhtml", "application/octet-stream", page.as_bytes())
        }),
        carrier("Apple double", Any, |t| {
            let fork = BASE64.encode([0, 5, 0x16, 7, 0, 2, 0, 0]);
            multipart(
                "mixed",
                &[format!(
                    "Content-Type: multipart/appledouble; boundary=c\n\n--c\nContent-Type: application/applefile; name=\"a.txt\"\nContent-Transfer-Encoding: base64\n\n{fork}\n--c\n{PLAIN}{t}\n--c--"
                )],
            )
        }),
        carrier("S/MIME, signed with the content inside", Any, |t| {
            attached(
                "smime.p7m",
                "application/pkcs7-mime; smime-type=signed-data",
                &signed(format!("{PLAIN}{t}").replace('\n', "\r\n").as_bytes()),
            )
        }),
        carrier("signed beside", Any, |t| {
            multipart("signed", &[plain(t), "Content-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----".into()])
        }),
        carrier("PGP, clear-signed", Any, |t| {
            mail(
                &format!("Subject: x\n{}", PLAIN.trim_end()),
                &format!(
                    "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{t}\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----"
                ),
            )
        }),
        carrier("external body, what is said of it", Line, |t| {
            multipart(
                "mixed",
                &[format!(
                    "Content-Type: message/external-body; access-type=URL; URL=\"https://a.example/\"\n\nContent-Type: text/plain\nContent-Description: {}\n\n",
                    encoded_words(t)
                )],
            )
        }),
        carrier("format=flowed, DelSp=yes", Any, |t| {
            mail(
                "Subject: x\nContent-Type: text/plain; charset=utf-8; format=flowed; DelSp=yes\nContent-Transfer-Encoding: 8bit",
                &flowed(t),
            )
        }),
        carrier("quoted-printable, everything escaped", Any, |t| {
            mail(
                "Subject: x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable",
                &odd_quoted_printable(t),
            )
        }),
        carrier("base64 cut at odd places", Any, |t| {
            let encoded = BASE64.encode(t);
            let lines: Vec<&str> = encoded.as_bytes().chunks(7).map(|line| std::str::from_utf8(line).unwrap()).collect();
            mail("Subject: x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: BASE64", &lines.join("\n \n"))
        }),
        carrier("ISO-8859-1", Ascii, |t| {
            mail(
                "Subject: x\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable",
                &format!("Z=FCrich=A0{}", t.replace(' ', "=A0")),
            )
        }),
        carrier("windows-1252", Ascii, |t| {
            mail(
                "Subject: x\nContent-Type: text/plain; charset=windows-1252\nContent-Transfer-Encoding: quoted-printable",
                &format!("=93{}=94=85", t.replace('-', "=96").replace(' ', "=A0")),
            )
        }),
        carrier("windows-1252, nothing declared", Ascii, |t| {
            bytes(
                "Content-Type: text/plain",
                format!("\u{1}{t}")
                    .replace('\u{1}', "")
                    .bytes()
                    .flat_map(|b| if b == b' ' { vec![0xa0] } else { vec![b] })
                    .collect::<Vec<u8>>()
                    .as_slice(),
            )
        }),
        carrier("UTF-16, declared", Any, |t| {
            bytes(
                "Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64",
                BASE64.encode(utf16(t, false, true)).as_bytes(),
            )
        }),
        carrier("UTF-16LE, declared", Any, |t| {
            bytes(
                "Content-Type: text/plain; charset=utf-16le\nContent-Transfer-Encoding: base64",
                BASE64.encode(utf16(t, true, false)).as_bytes(),
            )
        }),
        carrier("UTF-16, a file with a mark", Any, |t| attached("a.txt", "text/plain", &utf16(t, true, true))),
        carrier("UTF-16, a file without a mark", Any, |t| attached("a.txt", "application/octet-stream", &utf16(t, true, false))),
        carrier("UTF-16 big-endian, a file without a mark", Any, |t| {
            attached("a.dat", "application/octet-stream", &utf16(t, false, false))
        }),
        carrier("UTF-32, a file with a mark", Any, |t| {
            attached(
                "a.txt",
                "text/plain",
                &std::iter::once('\u{feff}').chain(t.chars()).flat_map(|c| (c as u32).to_le_bytes()).collect::<Vec<u8>>(),
            )
        }),
        carrier("UTF-7", Line, |t| mail("Subject: x\nContent-Type: text/plain; charset=utf-7", &utf7(t))),
        carrier("UTF-7 subject", Line, |t| {
            mail(&format!("Subject: =?utf-7?Q?{}?=\nContent-Type: text/plain", utf7(t).replace(' ', "_")), "See below")
        }),
        carrier("GB18030", Any, |t| {
            bytes(
                "Content-Type: text/plain; charset=gb18030\nContent-Transfer-Encoding: base64",
                BASE64.encode(encoding_rs::GB18030.encode(t).0).as_bytes(),
            )
        }),
        carrier("ISO-2022-JP", Ascii, |t| {
            let wide: String =
                t.chars().map(|c| if c.is_ascii_graphic() { char::from_u32(c as u32 + 0xfee0).unwrap() } else { c }).collect();
            bytes("Content-Type: text/plain; charset=iso-2022-jp", &encoding_rs::ISO_2022_JP.encode(&wide).0)
        }),
        carrier("charset declared wrong", Ascii, |t| {
            bytes("Content-Type: text/plain; charset=iso-8859-1", format!("\u{fc} {t}").as_bytes())
        }),
        carrier("charset unknown", Any, |t| bytes("Content-Type: text/plain; charset=x-practice", t.as_bytes())),
        carrier("octet-stream without a name", Any, |t| attached("", "application/octet-stream", t.as_bytes())),
        carrier("text said to be a picture", Any, |t| attached("scan.png", "image/png", t.as_bytes())),
        carrier("text said to be a PDF", Any, |t| attached("a.pdf", "application/pdf", t.as_bytes())),
        carrier("text said to be sound", Any, |t| attached("a.mp3", "audio/mpeg", t.as_bytes())),
        carrier("page said to be text", Any, |t| attached("a.txt", "text/plain", html(t).as_bytes())),
        carrier("page said to be a document", Any, |t| attached("a.doc", "application/msword", html(t).as_bytes())),
        carrier("zip said to be a picture", Any, |t| {
            attached("a.jpg", "image/jpeg", &crate::disguise::zipped(&[("n.txt", t.to_owned())]))
        }),
        carrier("subject in many short words", Line, |t| {
            mail(&format!("Subject: {}\nContent-Type: text/plain", encoded_words(t)), "See below")
        }),
        carrier("subject in Q words", Line, |t| mail(&format!("Subject: {}\nContent-Type: text/plain", q_words(t)), "See below")),
        carrier("subject of the wrong charset", Ascii, |t| {
            mail(&format!("Subject: =?iso-8859-1?B?{}?=\nContent-Type: text/plain", BASE64.encode(t)), "See below")
        }),
        carrier("subject in raw UTF-8", Line, |t| mail(&format!("Subject: {t}\nContent-Type: text/plain"), "See below")),
        carrier("subject folded inside a sentence", Ascii, |t| {
            mail(&format!("Subject: {}\nContent-Type: text/plain", t.replace(' ', "\n ")), "See below")
        }),
        carrier("keywords", Line, |t| {
            mail(&format!("Subject: x\nKeywords: {}\nContent-Type: text/plain", encoded_words(t)), "See below")
        }),
        carrier("thread topic", Line, |t| {
            mail(&format!("Subject: x\nThread-Topic: {}\nContent-Type: text/plain", encoded_words(t)), "See below")
        }),
        carrier("description of a part", Line, |t| {
            multipart("mixed", &[format!("Content-Description: {}\n{}", encoded_words(t), plain("See below"))])
        }),
        carrier("attachment name in pieces (RFC 2231)", Line, |t| {
            multipart(
                "mixed",
                &[
                    plain("See below"),
                    format!(
                        "Content-Type: application/octet-stream\nContent-Disposition: attachment;{}\n\nSee below",
                        continued_name(t)
                    ),
                ],
            )
        }),
        carrier("attachment name, in the type only", Line, |t| {
            multipart(
                "mixed",
                &[
                    plain("See below"),
                    format!("Content-Type: text/plain; name=\"{}.txt\"\n\nSee below", t.replace('/', "-").replace(' ', "_")),
                ],
            )
        }),
        carrier("attachment name, two that differ", Line, |t| {
            multipart(
                "mixed",
                &[
                    plain("See below"),
                    format!(
                        "Content-Type: text/plain; name=\"{}.txt\"\nContent-Disposition: attachment; filename=a.txt\n\nSee below",
                        t.replace('/', "-")
                    ),
                ],
            )
        }),
        carrier("base64 pasted into a letter", Any, |t| {
            mail(&format!("Subject: x\n{}", PLAIN.trim_end()), &format!("See below, decode this:\n\n{}\n\nBye", BASE64.encode(t)))
        }),
        carrier("mailto link in a letter", Ascii, |t| {
            mail(
                "Subject: x\nContent-Type: text/plain",
                &format!(
                    "Reply here: mailto:b@other.example?subject=Re&body={}",
                    t.replace(' ', "%20").replace(',', "%2C").replace(':', "%3A")
                ),
            )
        }),
        carrier("link in a letter", Ascii, |t| {
            mail(
                "Subject: x\nContent-Type: text/plain",
                &format!(
                    "See https://a.example/f?note={}&x=1",
                    t.replace(' ', "+").replace(',', "%2C").replace(':', "%3A").replace('/', "%2F")
                ),
            )
        }),
        carrier("uuencode in a letter", Any, |t| {
            mail("Subject: x\nContent-Type: text/plain", &format!("See below\n\n{}", uuencoded(t.as_bytes())))
        }),
        carrier("uuencoded file", Any, |t| attached("a.uu", "application/octet-stream", uuencoded(t.as_bytes()).as_bytes())),
        carrier("x-uuencode", Any, |t| {
            mail(
                "Subject: x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: x-uuencode",
                &uuencoded(t.as_bytes()),
            )
        }),
        carrier("yEnc in a letter", Any, |t| bytes("Content-Type: text/plain", &yencoded(t.as_bytes()))),
        carrier("yEnc as a file", Any, |t| attached("a.ync", "application/octet-stream", &yencoded(t.as_bytes()))),
        carrier("BinHex", Any, |t| bytes("Content-Type: application/mac-binhex40", binhex(t.as_bytes()).as_bytes())),
        carrier("invitation, description folded", Line, |t| calendar(&folded(&format!("DESCRIPTION:{}", t.replace(',', "\\,"))))),
        carrier("invitation, over several lines", Any, |t| {
            calendar(&format!("DESCRIPTION:See below\\n{}", t.replace(',', "\\,").replace('\n', "\\n")))
        }),
        carrier("invitation, as a page", Line, |t| calendar(&folded(&format!("X-ALT-DESC;FMTTYPE=text/html:{}", html(t))))),
        carrier("invitation, alternative description", Ascii, |t| {
            calendar(&folded(&format!("SUMMARY;ALTREP=\"data:text/plain,{}\":Visit", t.replace(' ', "%20"))))
        }),
        carrier("invitation, attachment", Any, |t| {
            calendar(&folded(&format!("ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:{}", BASE64.encode(t))))
        }),
        carrier("invitation, location and contact", Line, |t| {
            calendar(&folded(&format!("LOCATION:Room 2\r\nCONTACT:{}", t.replace(',', "\\,"))))
        }),
    ]
}

pub fn uuencoded(bytes: &[u8]) -> String {
    let sign = |six: u32| char::from(if six & 63 == 0 { b'`' } else { b' ' + (six & 63) as u8 });
    let lines: String = bytes
        .chunks(45)
        .map(|line| {
            let groups: String = line
                .chunks(3)
                .flat_map(|three| {
                    let bits =
                        [0, 1, 2].iter().fold(0u32, |bits, at| bits << 8 | u32::from(three.get(*at).copied().unwrap_or(0)));
                    [sign(bits >> 18), sign(bits >> 12), sign(bits >> 6), sign(bits)]
                })
                .collect();
            format!("{}{groups}\n", sign(line.len() as u32))
        })
        .collect();
    format!("begin 644 a.txt\n{lines}`\nend\n")
}

pub fn yencoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("=ybegin line=128 size={} name=a.txt\r\n", bytes.len()).into_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let shifted = byte.wrapping_add(42);
        if matches!(shifted, 0 | b'\n' | b'\r' | b'=') {
            out.extend([b'=', shifted.wrapping_add(64)]);
        } else {
            out.push(shifted);
        }
        if at % 128 == 127 {
            out.extend(b"\r\n");
        }
    }
    out.extend(format!("\r\n=yend size={}\r\n", bytes.len()).into_bytes());
    out
}

/// BinHex 4.0 (RFC 1741) without runs; checksums are left zero.
pub fn binhex(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";
    let mut raw = b"\x05a.txt\0TEXTttxt\0\0".to_vec();
    raw.extend((bytes.len() as u32).to_be_bytes());
    raw.extend([0; 6]);
    raw.extend(bytes);
    raw.extend([0; 4]);
    let raw: Vec<u8> = raw.into_iter().flat_map(|b| if b == 0x90 { vec![0x90, 0] } else { vec![b] }).collect();
    let mut encoded = String::new();
    for three in raw.chunks(3) {
        let bits = [0, 1, 2].iter().fold(0u32, |bits, at| bits << 8 | u32::from(three.get(*at).copied().unwrap_or(0)));
        for shift in [18, 12, 6, 0].iter().take(three.len() + 1) {
            encoded.push(char::from(SIGNS[(bits >> shift & 63) as usize]));
        }
    }
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("(This file must be converted with BinHex 4.0)\r\n\r\n:{}:\r\n", lines.join("\r\n"))
}
