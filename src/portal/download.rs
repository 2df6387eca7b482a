//! Names and kinds of what leaves the portal as a file.

/// Longest file name offered, in characters; what names of files on common systems allow, with room for "(1)".
const NAME_CHARS_MAX: usize = 120;

/// A foreign file name made safe to save: last path component only, no control, bidirectional or reserved characters,
/// no leading dot, bounded with its extension kept.
pub fn safe_name(name: Option<&str>, fallback: &str) -> String {
    let last = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .map(|c| if matches!(c, '"' | '\'' | '<' | '>' | ':' | '|' | '?' | '*' | ';' | '%') { '_' } else { c })
        .collect();
    let kept = kept.trim_matches(|c: char| c == '.' || c.is_whitespace());
    if kept.is_empty() {
        return fallback.to_owned();
    }
    let count = kept.chars().count();
    if count <= NAME_CHARS_MAX {
        return kept.to_owned();
    }
    let extension = kept.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| extension.chars().count() <= 10);
    match extension {
        Some(extension) => {
            let stem: String = kept.chars().take(NAME_CHARS_MAX - 1 - extension.chars().count()).collect();
            format!("{stem}.{extension}")
        }
        None => kept.chars().take(NAME_CHARS_MAX).collect(),
    }
}

/// Marks that reorder or hide what follows: `exe.fdp` would read as `pdf.exe` the other way round.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}')
}

/// A Content-Disposition for a name made by [`safe_name`] (RFC 6266; `filename*` by RFC 8187).
pub fn disposition(name: &str) -> String {
    let ascii: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    if ascii == name {
        return format!("attachment; filename=\"{ascii}\"");
    }
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

/// The media type of a raster picture that browsers draw without running anything, by its first bytes. SVG is none.
pub fn raster_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some("image/gif")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

/// Size for people: `13 KB`.
pub fn size_text(bytes: usize) -> String {
    match bytes {
        0..=999 => format!("{bytes} bytes"),
        1_000..=999_999 => format!("{} KB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_plain_ones() {
        for (name, expected) in [
            (Some("report.pdf"), "report.pdf"),
            (Some("../../etc/passwd"), "passwd"),
            (Some("C:\\Users\\x\\a.doc"), "a.doc"),
            (Some("a\r\nSet-Cookie: x=1.pdf"), "aSet-Cookie_ x=1.pdf"),
            (Some("say \"hi\".txt"), "say _hi_.txt"),
            (Some("gnp.\u{202e}fdp.exe"), "gnp.fdp.exe"),
            (Some(".htaccess"), "htaccess"),
            (Some("name. . "), "name"),
            (Some(".."), "file"),
            (Some(""), "file"),
            (None, "file"),
            (Some("Befund Müller.pdf"), "Befund Müller.pdf"),
        ] {
            assert_eq!(safe_name(name, "file"), expected, "{name:?}");
        }
        let long = format!("{}.pdf", "ä".repeat(300));
        let safe = safe_name(Some(&long), "file");
        assert_eq!(safe.chars().count(), NAME_CHARS_MAX);
        assert!(safe.ends_with(".pdf"));
        assert_eq!(safe_name(Some(&"x".repeat(300)), "file").len(), NAME_CHARS_MAX);
    }

    #[test]
    fn a_disposition_is_one_ascii_line_with_both_names() {
        assert_eq!(disposition("report.pdf"), "attachment; filename=\"report.pdf\"");
        assert_eq!(disposition("Grün 1.pdf"), "attachment; filename=\"Gr_n 1.pdf\"; filename*=UTF-8''Gr%C3%BCn%201.pdf");
        for name in ["a\r\nb\".pdf", "\u{202e}x", "🏥 x;y.pdf", "a\\b"] {
            let line = disposition(&safe_name(Some(name), "file"));
            assert!(line.is_ascii() && !line.contains(['\r', '\n']), "{line}");
            assert_eq!(line.split("; filename*").next().unwrap().matches('"').count(), 2);
        }
    }

    #[test]
    fn only_raster_pictures_are_pictures() {
        assert_eq!(raster_type(b"\x89PNG\r\n\x1a\nrest"), Some("image/png"));
        assert_eq!(raster_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(raster_type(b"GIF89a.."), Some("image/gif"));
        assert_eq!(raster_type(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        for other in [&b"<svg xmlns='http://www.w3.org/2000/svg'>"[..], b"<html>", b"", b"RIFF\0\0\0\0WAVE", b"%PDF-1.4"] {
            assert_eq!(raster_type(other), None);
        }
    }
}
