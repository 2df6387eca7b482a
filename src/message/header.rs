use std::ops::Range;

use super::{AddressList, NamedMailbox, addresses, words};

/// One header field as it stands in the message.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// Name without white space before the colon; empty for a line that is no field.
    pub name: String,
    /// The whole field: name, colon, folding and line end.
    pub raw: Vec<u8>,
    value_at: usize,
    pub(super) has_odd_name: bool,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Field({}, {} bytes)", self.name, self.raw.len())
    }
}

impl Field {
    /// What follows the colon, folding included, without white space at either end.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.raw.get(self.value_at..).unwrap_or_default().trim_ascii()
    }

    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value unfolded (RFC 5322, section 2.2.3), encoded words decoded (RFC 2047).
    #[must_use]
    pub fn decoded(&self) -> String {
        words::decode(&self.unfolded()).text
    }

    /// The value as one line; bytes that are no UTF-8 read as windows-1252.
    #[must_use]
    pub fn unfolded(&self) -> String {
        let bytes: Vec<u8> = self.value().iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        super::charset::guess(bytes)
    }

    /// The mailboxes of an address field; entries that are no mailbox are left out.
    #[must_use]
    pub fn mailboxes(&self) -> Vec<NamedMailbox> {
        self.addresses().mailboxes
    }

    /// As [`Self::mailboxes`], with the number of entries that are no mailbox.
    #[must_use]
    pub fn addresses(&self) -> AddressList {
        addresses::parse(&self.unfolded())
    }
}

/// A header section, its fields in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    fields: Vec<Field>,
    range: Range<usize>,
}

impl Header {
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All fields of a name, in any case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.is(name))
    }

    /// Where it stands in the message, with the empty line that ends it.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

/// What is wrong with a header section as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flaws {
    pub no_field: bool,
    pub folded_empty_line: bool,
    pub too_many: bool,
}

/// Whose header section it is: a nested message may begin with the `From ` line of an mbox file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Message,
    Part,
    Nested,
}

/// Reads the header section at the start of `range`; the body begins where its range ends.
pub(super) fn split(raw: &[u8], range: Range<usize>, of: Of, fields_left: &mut usize) -> (Header, Flaws) {
    let mut flaws = Flaws::default();
    let mut fields: Vec<Field> = Vec::new();
    let mut at = range.start;
    // Where the field being read began; it ends where a line begins that is no continuation.
    let mut open: Option<usize> = None;
    let mut close = |from: usize, to: usize, flaws: &mut Flaws| {
        if *fields_left == 0 {
            flaws.too_many = true;
            return;
        }
        *fields_left -= 1;
        fields.push(field(raw.get(from..to).unwrap_or_default(), from == range.start && of == Of::Nested, flaws));
    };
    while at < range.end {
        let rest = raw.get(at..range.end).unwrap_or_default();
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
        let line = rest.get(..length).unwrap_or_default();
        let text = line.strip_suffix(b"\n").map_or(line, |l| l.strip_suffix(b"\r").unwrap_or(l));
        if text.is_empty() {
            if let Some(from) = open.take() {
                close(from, at, &mut flaws);
            }
            at += length;
            return (Header { fields, range: range.start..at }, flaws);
        }
        if matches!(text.first(), Some(b' ' | b'\t')) {
            flaws.folded_empty_line |= text.iter().all(|b| matches!(b, b' ' | b'\t'));
            if open.is_none() {
                flaws.no_field = true;
                open = Some(at);
            }
        } else if let Some(from) = open.replace(at) {
            close(from, at, &mut flaws);
        }
        at += length;
    }
    if let Some(from) = open {
        close(from, range.end, &mut flaws);
    }
    (Header { fields, range: range.start..range.end }, flaws)
}

fn field(raw: &[u8], may_be_mbox_line: bool, flaws: &mut Flaws) -> Field {
    let colon = memchr::memchr(b':', raw);
    let written = colon.and_then(|at| raw.get(..at)).unwrap_or_default();
    let name = written.trim_ascii_end();
    // RFC 5322, section 3.6.8: printable ASCII without the colon.
    let is_name = !name.is_empty() && name.iter().all(|b| (33..=126).contains(b));
    match colon {
        Some(at) if is_name => Field {
            name: name.iter().copied().map(char::from).collect(),
            raw: raw.to_vec(),
            value_at: at + 1,
            has_odd_name: name.len() != written.len(),
        },
        _ => {
            let is_mbox_line = may_be_mbox_line && (raw.starts_with(b"From ") || raw.starts_with(b">From "));
            flaws.no_field |= !is_mbox_line;
            Field { name: String::new(), raw: raw.to_vec(), value_at: 0, has_odd_name: false }
        }
    }
}
