//! `main; name=value; …`: Content-Type and Content-Disposition with RFC 2231 parameters.

use super::{charset, transfer, words};

/// A structured MIME field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameterised {
    /// Lower case: `text/plain`, `attachment`.
    pub main: String,
    /// Names in lower case. A name in an RFC 2231 form keeps one `*`: `filename*`.
    pub params: Vec<(String, String)>,
    /// A parameter twice, a gap in its pieces, or a comment where many readers know none.
    pub has_conflict: bool,
    /// Something that is no parameter.
    pub is_malformed: bool,
    /// The boundary was written with escapes.
    pub has_escaped_boundary: bool,
}

impl Parameterised {
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One numbered piece of an RFC 2231 parameter.
struct Piece {
    base: String,
    index: u32,
    is_encoded: bool,
    value: String,
}

pub(super) fn parse(value: &str) -> Parameterised {
    let mut out = Parameterised::default();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = Cursor { text: value, at: 0 };
    let (main, has_comment) = rest.until(&[';']);
    let main = main.trim();
    out.has_conflict |= has_comment && main.to_ascii_lowercase().starts_with("multipart");
    let mut tokens = main.split_whitespace();
    out.main = tokens.next().unwrap_or_default().to_ascii_lowercase();
    out.is_malformed = tokens.next().is_some();
    while !rest.is_at_end() {
        rest.step();
        let (name, _) = rest.until(&['=', ';']);
        let name = name.trim().to_ascii_lowercase();
        if rest.peek() != Some('=') {
            out.is_malformed |= !name.is_empty();
            continue;
        }
        rest.step();
        let read = rest.value();
        out.is_malformed |= read.has_junk || name.is_empty() || name.contains(char::is_whitespace);
        out.has_escaped_boundary |= read.has_escape && name == "boundary";
        out.has_conflict |= read.has_comment && name == "boundary";
        match name.split_once('*') {
            None => {
                out.has_conflict |= out.params.iter().any(|(known, _)| *known == name);
                out.params.push((name, read.text));
            }
            Some((base, form)) => {
                let (digits, is_encoded) = form.strip_suffix('*').map_or((form, form.is_empty()), |digits| (digits, true));
                match if digits.is_empty() { Ok(0) } else { digits.parse::<u32>() } {
                    Ok(index) => pieces.push(Piece { base: base.to_owned(), index, is_encoded, value: read.text }),
                    Err(_) => out.is_malformed = true,
                }
            }
        }
        if out.params.len() + pieces.len() > PARAMS_MAX {
            out.has_conflict = true;
            break;
        }
    }
    join(pieces, &mut out);
    // Readers that do not know RFC 2231 see another boundary or charset.
    out.has_conflict |= out.param("boundary*").is_some() || out.param("charset*").is_some();
    out
}

/// More parameters than any mailer writes; the comparison of each with all stays cheap.
const PARAMS_MAX: usize = 100;

fn join(mut pieces: Vec<Piece>, out: &mut Parameterised) {
    pieces.sort_by(|a, b| (&a.base, a.index).cmp(&(&b.base, b.index)));
    for group in pieces.chunk_by(|a, b| a.base == b.base) {
        out.has_conflict |= group.iter().zip(0u32..).any(|(piece, expected)| piece.index != expected);
        let mut label = String::from("utf-8");
        let mut bytes: Vec<u8> = Vec::new();
        for (position, piece) in group.iter().enumerate() {
            let mut text = piece.value.as_str();
            if piece.is_encoded && position == 0 {
                let mut parts = text.splitn(3, '\'');
                if let (Some(charset), Some(_language), Some(value)) = (parts.next(), parts.next(), parts.next()) {
                    if !charset.is_empty() {
                        charset.clone_into(&mut label);
                    }
                    text = value;
                }
            }
            if piece.is_encoded { percent(text, &mut bytes) } else { bytes.extend_from_slice(text.as_bytes()) }
        }
        let Some(first) = group.first() else { continue };
        let decoded = charset::decode(Some(&label), bytes.as_slice().into()).unwrap_or_else(|(_, text)| {
            out.has_conflict = true;
            text
        });
        out.params.push((format!("{}*", first.base), decoded));
    }
}

fn percent(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(transfer::hex(*high) << 4 | transfer::hex(*low));
                after
            }
            _ => {
                out.push(*first);
                after
            }
        };
    }
}

struct Value {
    text: String,
    has_escape: bool,
    has_comment: bool,
    has_junk: bool,
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    fn step(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Text before one of `stops`, without comments.
    fn until(&mut self, stops: &[char]) -> (String, bool) {
        let (mut text, mut has_comment) = (String::new(), false);
        while let Some(c) = self.peek() {
            if stops.contains(&c) {
                break;
            }
            self.step();
            if c == '(' {
                has_comment = true;
                self.comment();
            } else {
                text.push(c);
            }
        }
        (text, has_comment)
    }

    fn comment(&mut self) {
        let mut depth = 1usize;
        while let Some(c) = self.step() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                '\\' => {
                    self.step();
                }
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// The value behind `=`, up to and without the next `;`.
    fn value(&mut self) -> Value {
        let mut value = Value { text: String::new(), has_escape: false, has_comment: false, has_junk: false };
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.step();
        }
        if self.peek() == Some('"') {
            self.step();
            let mut is_closed = false;
            while let Some(c) = self.step() {
                match c {
                    '"' => {
                        is_closed = true;
                        break;
                    }
                    '\\' => {
                        value.has_escape = true;
                        value.text.extend(self.step());
                    }
                    c => value.text.push(c),
                }
            }
            let (behind, has_comment) = self.until(&[';']);
            value.has_comment = has_comment;
            value.has_junk = !is_closed || !behind.trim().is_empty();
        } else {
            // File names with blanks and brackets come without quotes: the text up to the next `;` is taken, and a
            // comment is one only behind a blank.
            let rest = self.text.get(self.at..).unwrap_or_default();
            let length = rest.find(';').unwrap_or(rest.len());
            let text = rest.get(..length).unwrap_or_default();
            self.at += length;
            let bare = text.find(" (").map_or(text, |at| text.get(..at).unwrap_or_default());
            value.has_comment = bare.len() != text.len();
            value.text = bare.trim().to_owned();
            value.has_junk = value.text.contains([' ', '\t', '"']);
        }
        value
    }
}

/// A file name as its reader shows it: encoded words occur in quoted strings too, against RFC 2047.
pub(super) fn file_name(text: &str) -> String {
    words::decode(text).text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_read_in_every_form_that_occurs() {
        let cases: &[(&str, &str, &str, Option<&str>)] = &[
            ("text/plain; charset=utf-8", "text/plain", "charset", Some("utf-8")),
            ("TEXT/Plain;CHARSET = \"UTF-8\" ;", "text/plain", "charset", Some("UTF-8")),
            ("text/plain; charset=us-ascii (Plain text)", "text/plain", "charset", Some("us-ascii")),
            ("multipart/mixed; boundary=----=_Part_1", "multipart/mixed", "boundary", Some("----=_Part_1")),
            ("multipart/mixed; boundary=\"a;b\\\"c\"", "multipart/mixed", "boundary", Some("a;b\"c")),
            ("attachment; filename*=UTF-8''J%C3%BCrgen%20R.pdf", "attachment", "filename*", Some("Jürgen R.pdf")),
            ("attachment; filename*0=\"long \"; filename*1=name.pdf", "attachment", "filename*", Some("long name.pdf")),
            (
                "attachment; filename*1*=%20b; filename*0*=iso-8859-1'en'%e4; filename*2=c",
                "attachment",
                "filename*",
                Some("ä bc"),
            ),
            ("attachment; filename=My file.pdf", "attachment", "filename", Some("My file.pdf")),
            ("text/plain", "text/plain", "charset", None),
            ("", "", "charset", None),
        ];
        for (value, main, name, expected) in cases {
            let read = parse(value);
            assert_eq!((read.main.as_str(), read.param(name)), (*main, *expected), "{value}");
            assert!(!read.has_conflict, "{value}");
        }
    }

    #[test]
    fn what_readers_take_differently_is_a_conflict() {
        for value in [
            "text/plain; charset=utf-8; charset=utf-7",
            "multipart/mixed; boundary=a; boundary=b",
            "multipart/mixed; boundary*=utf-8''a",
            "multipart/mixed; boundary*0=a; boundary*1=b",
            "multipart/mixed (boundary=x); boundary=a",
            "attachment; filename*0=a; filename*2=b",
            "attachment; filename*=no-such-charset''%ff",
        ] {
            assert!(parse(value).has_conflict, "{value}");
        }
        for value in ["text/plain charset=utf-8", "text/plain; charset", "text/plain; =x", "text/plain; name=\"never closed"] {
            assert!(parse(value).is_malformed, "{value}");
        }
    }
}
