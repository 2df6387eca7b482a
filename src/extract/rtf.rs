//! Rich Text Format: control words out, text in its code page in; cells parted by tabs.

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
    "fldinst",
    "objdata",
];

#[derive(Clone, Copy)]
struct Group {
    silent: bool,
    /// Characters to drop after a `\u` (its plain-text stand-in).
    skip: usize,
}

/// Groups inside groups; real files have about ten.
const DEPTH_MAX: usize = 1_000;

#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() / 2);
    let mut groups: Vec<Group> = Vec::new();
    let mut here = Group { silent: false, skip: 1 };
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
                    here = outer;
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
                    if (star && !matches!(word, "shptxt" | "annotation")) || SILENT.contains(&word) {
                        here.silent = true;
                    }
                    star = false;
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
                        ("bin", Some(length)) => at = at.saturating_add(usize::try_from(length).unwrap_or(0)),
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
            _ if here.silent => {}
            other => pending.push(other),
        }
    }
    flush(&mut pending, encoding, &mut out);
    out
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

fn code_page(page: i32) -> &'static encoding_rs::Encoding {
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
    fn broken_files_end() {
        for rtf in ["{\\rtf1\\", "{\\rtf1\\'f", "}}}}", "{\\rtf1\\bin999999999 x", "\\u-"] {
            let _ = text(rtf.as_bytes());
        }
        assert!(text(("{".repeat(100_000) + "lupus").as_bytes()).contains("lupus"));
    }
}
