//! Bytes to text by declared charset (the labels of the WHATWG encoding standard, by encoding_rs).

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::ProblemKind;

/// Names that old mailers wrote when they did not know the charset; they mean "none declared".
const NO_CHARSET: [&str; 9] =
    ["", "unknown", "unknown-8bit", "x-unknown", "default", "default_charset", "none", "x-user-defined", "8bit"];

/// Text of `bytes`; with a problem there is still the best reading, for the scanner.
pub(super) fn decode(declared: Option<&str>, bytes: Cow<'_, [u8]>) -> Result<String, (ProblemKind, String)> {
    let label = declared.unwrap_or_default().trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    if NO_CHARSET.contains(&label.as_str()) || matches!(label.as_str(), "us-ascii" | "ascii" | "ansi_x3.4-1968") {
        return Ok(guess(bytes.into_owned()));
    }
    if matches!(label.as_str(), "utf-7" | "utf7" | "unicode-1-1-utf-7" | "x-unicode-1-1-utf-7") {
        // Some readers show it undone, others as it is.
        return Err((ProblemKind::CharsetUnknown, utf7(&bytes)));
    }
    let Some(encoding) = by_label(&label) else {
        return Err((ProblemKind::CharsetUnknown, guess(bytes.into_owned())));
    };
    let encoding = if label == "utf-16" { utf16_order(&bytes) } else { encoding };
    // ASCII declared UTF-16 decodes to Chinese without an error, and many readers show the ASCII. A byte order mark
    // of another encoding wins over the declaration in some readers and not in others.
    let is_utf16 = encoding == UTF_16LE || encoding == UTF_16BE;
    let is_plain_ascii = is_utf16 && !bytes.is_empty() && bytes.is_ascii() && !bytes.contains(&0);
    let has_foreign_mark = Encoding::for_bom(&bytes).is_some_and(|(marked, _)| marked != encoding);
    if is_plain_ascii || has_foreign_mark {
        return Err((ProblemKind::CharsetContradicted, guess(bytes.into_owned())));
    }
    let bytes = match bytes {
        // What is UTF-8 already is not copied.
        Cow::Owned(bytes) if encoding == UTF_8 && !bytes.starts_with(&[0xEF, 0xBB, 0xBF]) => match String::from_utf8(bytes) {
            Ok(text) => return Ok(text),
            Err(error) => Cow::Owned(error.into_bytes()),
        },
        other => other,
    };
    let (text, had_errors) = encoding.decode_with_bom_removal(&bytes);
    if had_errors { Err((ProblemKind::CharsetContradicted, text.into_owned())) } else { Ok(text.into_owned()) }
}

/// UTF-7 (RFC 2152): base64 of UTF-16 between a plus sign and a minus sign, or whatever else is no base64.
fn utf7(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'+', rest) {
        let (plain, shifted) = rest.split_at(at);
        out.push_str(&guess(plain.to_vec()));
        let shifted = shifted.get(1..).unwrap_or_default();
        let is_sign = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
        let end = shifted.iter().position(|b| !is_sign(b)).unwrap_or(shifted.len());
        let (signs, after) = shifted.split_at(end);
        if signs.is_empty() {
            out.push('+');
        }
        let wide = super::transfer::base64(signs).bytes;
        let (wide, _) = wide.as_chunks::<2>();
        let units: Vec<u16> = wide.iter().map(|two| u16::from_be_bytes(*two)).collect();
        out.push_str(&String::from_utf16_lossy(&units));
        rest = after.strip_prefix(b"-").unwrap_or(after);
    }
    out + &guess(rest.to_vec())
}

fn by_label(label: &str) -> Option<&'static Encoding> {
    let alias = match label {
        "cp1250" => "windows-1250",
        "cp-1252" | "windows1252" | "ansi" | "iso8859_1" | "iso_8859_1" | "iso-8859-1-windows-3.1-latin-1" => "windows-1252",
        "utf_8" | "utf-8n" | "unicode-1-1-utf-8" => "utf-8",
        "cp936" => "gbk",
        other => other,
    };
    Encoding::for_label_no_replacement(alias.as_bytes())
}

/// UTF-16 without a byte order mark is big-endian by RFC 2781 and little-endian in what Windows sends: the zero
/// bytes of the ASCII characters tell.
fn utf16_order(bytes: &[u8]) -> &'static Encoding {
    match bytes {
        [0xFE, 0xFF, ..] => UTF_16BE,
        [0xFF, 0xFE, ..] => UTF_16LE,
        _ => {
            let high_first = bytes.chunks_exact(2).filter(|pair| pair.first() == Some(&0)).count();
            let low_first = bytes.chunks_exact(2).filter(|pair| pair.last() == Some(&0)).count();
            if high_first > low_first { UTF_16BE } else { UTF_16LE }
        }
    }
}

/// Text without a declared charset: by its byte order mark, UTF-8 if it is that, else windows-1252, as readers do.
/// Windows' text files in UTF-16 come without any declaration.
pub(super) fn guess(bytes: Vec<u8>) -> String {
    if let Some((marked, _)) = Encoding::for_bom(&bytes) {
        return marked.decode_with_bom_removal(&bytes).0.into_owned();
    }
    let zeros = memchr::memchr_iter(0, &bytes).count();
    if zeros > 0 && zeros >= bytes.len() / 3 {
        return utf16_order(&bytes).decode_without_bom_handling(&bytes).0.into_owned();
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => WINDOWS_1252.decode_without_bom_handling(error.as_bytes()).0.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_in_the_charset_they_are_in() {
        let cases: &[(Option<&str>, &[u8], &str)] = &[
            (None, b"plain", "plain"),
            (None, "Grüße".as_bytes(), "Grüße"),
            (None, b"Gr\xfc\xdfe", "Grüße"),
            (None, b"\xef\xbb\xbfx", "x"),
            (None, b"\xff\xfeh\0i\0", "hi"),
            (None, b"h\0i\0", "hi"),
            (Some("us-ascii"), b"Gr\xfc\xdfe", "Grüße"),
            (Some("\"UTF-8\""), "Grüße".as_bytes(), "Grüße"),
            (Some("utf-8"), b"\xef\xbb\xbfx", "x"),
            (Some("iso-8859-15"), b"\xa4", "€"),
            (Some("windows-1251"), b"\xcf", "П"),
            (Some("utf-16"), b"\xfe\xff\0h\0i", "hi"),
            (Some("utf-16"), b"\0h\0i", "hi"),
            (Some("utf-16"), b"h\0i\0", "hi"),
            (Some("utf-16le"), b"h\0i\0", "hi"),
            (Some("utf-16be"), b"\0h\0i", "hi"),
            (Some("shift_jis"), b"\x83\x65", "テ"),
            (Some("unknown-8bit"), b"\xfc", "ü"),
        ];
        for (declared, bytes, expected) in cases {
            assert_eq!(decode(*declared, Cow::Borrowed(bytes)), Ok((*expected).to_owned()), "{declared:?} {bytes:?}");
        }
    }

    #[test]
    fn a_charset_unknown_or_contradicted_is_a_problem_and_the_text_is_kept_for_the_scanner() {
        for (declared, bytes, kind, text) in [
            ("utf-7", &b"+AGE-bc+-d +AGI"[..], ProblemKind::CharsetUnknown, "abc+d b"),
            ("x-ebcdic", b"abc", ProblemKind::CharsetUnknown, "abc"),
            ("iso-2022-kr", b"abc", ProblemKind::CharsetUnknown, "abc"),
            ("utf-8", b"a\xfcb", ProblemKind::CharsetContradicted, "a\u{fffd}b"),
            ("utf-16", b"SSN 123", ProblemKind::CharsetContradicted, "SSN 123"),
            ("iso-8859-1", b"\xff\xfeh\0i\0", ProblemKind::CharsetContradicted, "hi"),
        ] {
            assert_eq!(decode(Some(declared), bytes.into()), Err((kind, text.to_owned())), "{declared}");
        }
    }
}
