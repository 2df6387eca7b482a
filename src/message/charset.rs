//! Bytes to text by declared charset (the labels of the WHATWG encoding standard, by encoding_rs).

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::ProblemKind;

/// Names that old mailers wrote when they did not know the charset; they mean "none declared".
const NO_CHARSET: [&str; 9] =
    ["", "unknown", "unknown-8bit", "x-unknown", "default", "default_charset", "none", "x-user-defined", "8bit"];

/// Text of `bytes`; with a problem there is still the best reading, for the scanner.
pub(super) fn decode(declared: Option<&str>, bytes: &[u8]) -> Result<String, (ProblemKind, String)> {
    let label = declared.unwrap_or_default().trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    if NO_CHARSET.contains(&label.as_str()) || matches!(label.as_str(), "us-ascii" | "ascii" | "ansi_x3.4-1968") {
        return Ok(guess(bytes.to_vec()));
    }
    let Some(encoding) = by_label(&label) else {
        return Err((ProblemKind::CharsetUnknown, guess(bytes.to_vec())));
    };
    let encoding = if label == "utf-16" { utf16_order(bytes) } else { encoding };
    let (text, had_errors) = encoding.decode_with_bom_removal(bytes);
    if had_errors { Err((ProblemKind::CharsetContradicted, text.into_owned())) } else { Ok(text.into_owned()) }
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

/// Text without a declared charset: UTF-8 if it is that, else windows-1252, as readers do.
pub(super) fn guess(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
        Err(error) => WINDOWS_1252.decode_without_bom_handling(error.as_bytes()).0.into_owned(),
    }
}
