//! Rich Text Format: control words out, text in its code page in; cells parted by tabs. Pictures and embedded files stand
//! in it as hexadecimal digits.

use super::little::Little;
use super::{AttachmentText, Fuel, TextKind, UnreadableWhy, archive, compound, format, image};

/// Destinations whose text no reader shows in the letter.
const SILENT: [&str; 14] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "listtable",
    "listoverridetable",
    "pict",
    "themedata",
    "datastore",
    "latentstyles",
    "generator",
    "rsidtbl",
    "xmlnstbl",
    "objdata",
    "sn",
];

/// Destinations that stand apart from the text around them.
const APART: [&str; 20] = [
    "header",
    "headerl",
    "headerr",
    "headerf",
    "footer",
    "footerl",
    "footerr",
    "footerf",
    "footnote",
    "annotation",
    "shptxt",
    "sv",
    "fldinst",
    "title",
    "subject",
    "author",
    "keywords",
    "doccomm",
    "info",
    "hlinkbase",
];

/// Properties of a shape that hold words: what stands for it, and WordArt. The others are numbers.
fn is_telling(before: &[u8]) -> bool {
    let near = before.get(before.len().saturating_sub(40)..).unwrap_or_default();
    [&b"wzDescription"[..], b"gtextUNICODE"].iter().any(|name| format::find(near, name).is_some())
}

#[derive(Clone, Copy)]
struct Group {
    silent: bool,
    /// Whether its text is no part of the line around it.
    is_apart: bool,
    /// What its hexadecimal digits are.
    holds: Option<Held>,
    /// Characters to drop after a `\u` (its plain-text stand-in).
    skip: usize,
}

/// What a group can hold beside text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Picture,
    Object,
}

/// Groups inside groups; real files have about ten.
const DEPTH_MAX: usize = 1_000;

/// Text, pictures, and what is embedded.
pub(super) fn read(bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    let (text, held) = parts(bytes);
    let mut out = AttachmentText { texts: vec![(TextKind::Content, text)], ..AttachmentText::default() };
    for (kind, content) in held {
        match kind {
            Held::Picture => out.images.push(image::picture(&content)),
            Held::Object if fuel.depth == 0 => out.unreadable.push(UnreadableWhy::TooDeep),
            Held::Object => match object(&content) {
                Some((name, inside)) => archive::burned_member(&name, inside, fuel, &mut out),
                None => out.unreadable.push(UnreadableWhy::UnknownFormat),
            },
        }
        if out.unreadable.contains(&UnreadableWhy::TooLarge) {
            break;
        }
    }
    out
}

/// The file inside an embedded object (MS-OLEDS 2.2.5): a compound file, or the name and bytes of any other.
fn object(content: &[u8]) -> Option<(String, &[u8])> {
    let mut input = Little(content);
    input.u32()?;
    if input.u32()? != 2 {
        return None;
    }
    let length = input.size()?;
    let class = input.take(length)?.to_vec();
    for _ in 0..2 {
        let length = input.size()?;
        input.take(length)?;
    }
    let length = input.size()?;
    let native = input.0.get(..length).unwrap_or(input.0);
    if native.starts_with(&compound::MAGIC) {
        return Some((String::new(), native));
    }
    if !class.starts_with(b"Package") {
        return None;
    }
    let mut input = Little(native);
    input.u16()?;
    let name = format::decode(input.until_zero()?);
    input.until_zero()?;
    input.u32()?;
    let length = input.size()?;
    input.take(length)?;
    let length = input.size()?;
    Some((name, input.take(length)?))
}

/// Pictures and objects in one file; more is no letter.
const HELD_MAX: usize = 1_000;

#[cfg(test)]
fn text(bytes: &[u8]) -> String {
    parts(bytes).0
}

fn parts(bytes: &[u8]) -> (String, Vec<(Held, Vec<u8>)>) {
    let mut held: Vec<(Held, Vec<u8>)> = Vec::new();
    let mut half: Option<u8> = None;
    let mut out = String::with_capacity(bytes.len() / 2);
    let mut groups: Vec<Group> = Vec::new();
    let mut here = Group { silent: false, is_apart: false, holds: None, skip: 1 };
    let mut encoding = encoding_rs::WINDOWS_1252;
    let mut pending: Vec<u8> = Vec::new();
    let mut drop = 0usize;
    let mut high: Option<u32> = None;
    let mut at = 0;
    let mut star = false;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match byte {
            b'{' => {
                flush(&mut pending, encoding, &mut out);
                if groups.len() < DEPTH_MAX {
                    groups.push(here);
                }
            }
            b'}' => {
                flush(&mut pending, encoding, &mut out);
                if let Some(outer) = groups.pop() {
                    if here.is_apart && !outer.is_apart && !out.is_empty() && !out.ends_with('\n') {
                        out.push('\n');
                    }
                    here = outer;
                    half = None;
                }
            }
            b'\\' => match bytes.get(at).copied() {
                Some(b'\'') => {
                    let hex = bytes
                        .get(at + 1..at + 3)
                        .and_then(|h| std::str::from_utf8(h).ok())
                        .and_then(|h| u8::from_str_radix(h, 16).ok());
                    at += 3;
                    if drop > 0 {
                        drop -= 1;
                    } else if let Some(value) = hex.filter(|_| !here.silent) {
                        pending.push(value);
                    }
                }
                Some(letter) if letter.is_ascii_alphabetic() => {
                    let (word, number, next) = control(bytes, at);
                    at = next;
                    flush(&mut pending, encoding, &mut out);
                    if APART.contains(&word) {
                        here.is_apart = true;
                        if !out.is_empty() && !out.ends_with('\n') {
                            out.push('\n');
                        }
                    }
                    if (star && !APART.contains(&word) && word != "shpinst")
                        || SILENT.contains(&word)
                        || word == "sv" && !is_telling(bytes.get(..at).unwrap_or_default())
                    {
                        here.silent = true;
                    }
                    star = false;
                    let holds = match word {
                        "pict" => Some(Held::Picture),
                        "objdata" => Some(Held::Object),
                        _ => None,
                    };
                    if let Some(kind) = holds.filter(|_| held.len() < HELD_MAX) {
                        here.holds = Some(kind);
                        held.push((kind, Vec::new()));
                    }
                    match (word, number) {
                        ("ansicpg", Some(page)) => encoding = code_page(page),
                        ("uc", Some(count)) => here.skip = usize::try_from(count).unwrap_or(1).min(16),
                        ("u", Some(value)) if !here.silent => {
                            let unit = u32::try_from(if value < 0 { value + 65_536 } else { value }).unwrap_or(0);
                            match (high.take(), unit) {
                                // Characters beyond 16 bits come as two halves.
                                (Some(first), 0xdc00..=0xdfff) => {
                                    let whole = 0x1_0000 + ((first - 0xd800) << 10) + (unit - 0xdc00);
                                    out.push(char::from_u32(whole).unwrap_or('\u{fffd}'));
                                }
                                (_, 0xd800..=0xdbff) => high = Some(unit),
                                _ => out.push(char::from_u32(unit).unwrap_or('\u{fffd}')),
                            }
                            drop = here.skip;
                        }
                        ("par" | "line" | "sect" | "page" | "row", _) if !here.silent => out.push('\n'),
                        ("tab" | "cell", _) if !here.silent => out.push('\t'),
                        ("emdash" | "endash", _) if !here.silent => out.push('-'),
                        ("lquote" | "rquote", _) if !here.silent => out.push('\''),
                        ("ldblquote" | "rdblquote", _) if !here.silent => out.push('"'),
                        ("bin", Some(length)) => {
                            let end = at.saturating_add(usize::try_from(length).unwrap_or(0));
                            if let (Some(_), Some((_, content))) = (here.holds, held.last_mut()) {
                                content.extend_from_slice(bytes.get(at..end.min(bytes.len())).unwrap_or_default());
                            }
                            at = end;
                        }
                        _ => {}
                    }
                }
                Some(b'*') => {
                    star = true;
                    at += 1;
                }
                Some(symbol) => {
                    at += 1;
                    if !here.silent {
                        match symbol {
                            b'~' => pending.push(b' '),
                            b'_' => pending.push(b'-'),
                            b'\n' | b'\r' => pending.push(b'\n'),
                            b'\\' | b'{' | b'}' => pending.push(symbol),
                            _ => {}
                        }
                    }
                }
                None => {}
            },
            b'\r' | b'\n' => {}
            _ if drop > 0 => drop -= 1,
            digit if here.holds.is_some() && digit.is_ascii_hexdigit() => {
                let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or_default();
                match half.take() {
                    None => half = Some(value),
                    Some(high) => held.iter_mut().last().into_iter().for_each(|(_, content)| content.push(high << 4 | value)),
                }
            }
            _ if here.silent => {}
            other => pending.push(other),
        }
    }
    flush(&mut pending, encoding, &mut out);
    (out, held)
}

/// A control word, its number, and where what follows begins (one blank belongs to it).
fn control(bytes: &[u8], from: usize) -> (&str, Option<i32>, usize) {
    let rest = bytes.get(from..).unwrap_or_default();
    let letters = rest.iter().take(32).take_while(|b| b.is_ascii_alphabetic()).count();
    let word = rest.get(..letters).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default();
    let sign = usize::from(rest.get(letters) == Some(&b'-'));
    let digits = rest.get(letters + sign..).unwrap_or_default().iter().take(9).take_while(|b| b.is_ascii_digit()).count();
    let number = (digits > 0)
        .then(|| rest.get(letters..letters + sign + digits))
        .flatten()
        .and_then(|n| std::str::from_utf8(n).ok())
        .and_then(|n| n.parse().ok());
    let mut next = from + letters + if digits > 0 { sign + digits } else { 0 };
    if bytes.get(next) == Some(&b' ') {
        next += 1;
    }
    (word, number, next)
}

fn flush(pending: &mut Vec<u8>, encoding: &'static encoding_rs::Encoding, out: &mut String) {
    if !pending.is_empty() {
        out.push_str(&encoding.decode_without_bom_handling(pending).0);
        pending.clear();
    }
}

pub(super) fn code_page(page: i32) -> &'static encoding_rs::Encoding {
    match page {
        1250 => encoding_rs::WINDOWS_1250,
        1251 => encoding_rs::WINDOWS_1251,
        1253 => encoding_rs::WINDOWS_1253,
        1254 => encoding_rs::WINDOWS_1254,
        1255 => encoding_rs::WINDOWS_1255,
        1256 => encoding_rs::WINDOWS_1256,
        1257 => encoding_rs::WINDOWS_1257,
        1258 => encoding_rs::WINDOWS_1258,
        932 => encoding_rs::SHIFT_JIS,
        936 => encoding_rs::GBK,
        949 => encoding_rs::EUC_KR,
        950 => encoding_rs::BIG5,
        65_001 => encoding_rs::UTF_8,
        _ => encoding_rs::WINDOWS_1252,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_out_and_control_words_do_not() {
        for (rtf, expected) in [
            (r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}Patient: Anna\par DOB 1\tab 2}", "Patient: Anna\nDOB 1\t2"),
            (r"{\rtf1 K\'fchn \u252?x \{y\}}", "Kühn üx {y}"),
            (r"{\rtf1{\*\generator Word;}a\cell b\cell\row}", "a\tb\t\n"),
            (r"{\rtf1 {\b lu}pus", "lupus"),
        ] {
            assert_eq!(text(rtf.as_bytes()), expected, "{rtf}");
        }
    }

    #[test]
    fn pictures_and_embedded_files_are_found() {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let name = |text: &str| [u32::try_from(text.len()).unwrap_or(0).to_le_bytes().as_slice(), text.as_bytes()].concat();
        let package = [&[2, 0][..], b"notes.txt\0C:\\notes.txt\0", &[0, 0, 3, 0], &name("x\0"), &name("lupus words")].concat();
        let native = [&1u32.to_le_bytes(), &2u32.to_le_bytes()[..], &name("Package\0"), &name(""), &name("")].concat();
        let native = [native, u32::try_from(package.len()).unwrap_or(0).to_le_bytes().to_vec(), package].concat();
        let file = format!(
            "{{\\rtf1 before{{\\pict\\pngblip 8950 4e47\n}}{{\\object{{\\*\\objdata {}}}}}after{{\\object{{\\*\\objdata 01}}}}}}",
            hex(&native)
        );
        let read = read(file.as_bytes(), &mut Fuel::default());
        let texts: Vec<&str> = read.texts.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["beforeafter", "notes.txt", "lupus words"]);
        assert_eq!(read.images.iter().map(|picture| picture.size_bytes).collect::<Vec<_>>(), [4]);
        assert_eq!(read.unreadable, [UnreadableWhy::UnknownFormat]);
    }

    #[test]
    fn broken_files_end() {
        for rtf in ["{\\rtf1\\", "{\\rtf1\\'f", "}}}}", "{\\rtf1\\bin999999999 x", "\\u-"] {
            let _ = text(rtf.as_bytes());
        }
        assert!(text(("{".repeat(100_000) + "lupus").as_bytes()).contains("lupus"));
    }
}
