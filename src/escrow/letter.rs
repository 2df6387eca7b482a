use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::mail::{Mailbox, Timestamp};
use crate::secret::Plaintext;

/// Header field that marks a slip, so that one can never leave for outside: outgoing mail is searched for it.
pub const SLIP_MARKER: &str = "X-Wardpost-Slip";

/// Text lines stay below the 78 characters of RFC 5322, section 2.1.1.
const LINE_MAX: usize = 72;
/// Longest text that is taken into a header field or sentence from the configuration.
const NAME_MAX: usize = 100;

/// A finished letter of ours. The copy that leaves is header section, an empty line, body.
pub struct Letter {
    /// Header section including the last field's CRLF, without the empty line.
    pub header: Plaintext,
    pub body: Plaintext,
}

impl Letter {
    /// The whole message as it leaves.
    #[must_use]
    pub fn bytes(&self) -> Plaintext {
        Plaintext::new([self.header.expose(), b"\r\n", self.body.expose()].concat())
    }
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({} bytes)", self.header.len() + self.body.len())
    }
}

/// What every letter of ours has. `extra` fields are ASCII constants or checked before.
pub(super) struct Draft<'a> {
    pub from_name: &'a str,
    pub from: &'a Mailbox,
    pub to: &'a Mailbox,
    pub subject: &'a str,
    pub at: Timestamp,
    pub random: [u8; 16],
    pub extra: Vec<(&'static str, String)>,
    pub paragraphs: Vec<String>,
}

impl Draft<'_> {
    pub fn finish(self) -> Letter {
        let mut text = String::new();
        for (index, paragraph) in self.paragraphs.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            fill(paragraph, &mut text);
        }
        let is_ascii = text.is_ascii();
        let body = if is_ascii { text } else { in_lines_of_76(&STANDARD.encode(&text)) };
        let id: String = self.random.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = phrase(&one_line(self.from_name));
        let mut header = format!(
            "Date: {}\r\nFrom: {}{}<{}>\r\nTo: {}\r\nMessage-ID: <{id}@{}>\r\nSubject: {}\r\n",
            self.at.rfc5322(),
            name,
            if name.len() + self.from.to_string().len() > LINE_MAX { "\r\n " } else { " " },
            self.from,
            self.to,
            self.from.domain(),
            unstructured(&one_line(self.subject)),
        );
        for (name, value) in &self.extra {
            header.push_str(&format!("{name}: {value}\r\n"));
        }
        header.push_str(&format!(
            "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset={}\r\n\
             Content-Transfer-Encoding: {}\r\n",
            if is_ascii { "us-ascii" } else { "utf-8" },
            if is_ascii { "7bit" } else { "base64" },
        ));
        Letter { header: Plaintext::new(header.into_bytes()), body: Plaintext::new(body.into_bytes()) }
    }
}

/// A configured or foreign text made harmless for one line: no control or bidirectional characters, bounded.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| {
            !c.is_control()
                && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        })
        .take(NAME_MAX)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// A display name as a quoted string or encoded word (RFC 5322, section 3.2.5; RFC 2047).
fn phrase(name: &str) -> String {
    if name.is_ascii() { format!("\"{}\"", name.replace('\\', "").replace('"', "'")) } else { encoded_words(name) }
}

fn unstructured(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { encoded_words(text) }
}

/// Encoded words of at most 75 characters each, folded (RFC 2047, section 2).
fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        // 39 bytes become 52 characters of base64, 12 more around them, and the field's name before the first.
        if piece.len() + c.len_utf8() > 39 {
            words.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    words.push(piece);
    words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect::<Vec<_>>().join("\r\n ")
}

/// Appends a paragraph in lines of at most [`LINE_MAX`] characters; a longer word (a link) gets a line of its own.
fn fill(paragraph: &str, out: &mut String) {
    let mut column = 0;
    for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > LINE_MAX {
            out.push_str("\r\n");
            column = 0;
        }
        if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push_str("\r\n");
}

fn in_lines_of_76(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 38);
    for (index, c) in text.chars().enumerate() {
        if index > 0 && index % 76 == 0 {
            out.push_str("\r\n");
        }
        out.push(c);
    }
    out.push_str("\r\n");
    out
}

/// `14 November 2023`, for people.
#[must_use]
pub fn long_date(at: Timestamp) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (year, month, day, ..) = at.civil();
    format!("{day} {} {year}", MONTHS.get(month as usize - 1).copied().unwrap_or_default())
}

/// A foreign Message-ID that may stand in In-Reply-To: one `<...>` of printable ASCII, bounded.
pub(super) fn safe_message_id(text: &str) -> Option<&str> {
    let text = text.trim();
    let inner = text.strip_prefix('<')?.strip_suffix('>')?;
    let is_safe =
        !inner.is_empty() && inner.len() <= 250 && inner.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b'<' && b != b'>');
    is_safe.then_some(text)
}
