use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::{Header, Message, ProblemKind, charset, transfer};

/// Where a part stands in the tree: the message's own part is `1`, its children `1.1`, `1.2`, and the message
/// inside part `1.2` is `1.2.1`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PartPath(Vec<u16>);

impl PartPath {
    #[must_use]
    pub fn root() -> PartPath {
        PartPath(vec![1])
    }

    /// The `number`-th child, counted from 1.
    #[must_use]
    pub fn child(&self, number: u16) -> PartPath {
        let mut numbers = self.0.clone();
        numbers.push(number);
        PartPath(numbers)
    }

    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for PartPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, number) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(".")?;
            }
            write!(f, "{number}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PartPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartPath({self})")
    }
}

/// Content-Transfer-Encoding (RFC 2045, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary, or none declared.
    Identity,
    QuotedPrintable,
    Base64,
    Unknown,
}

/// One MIME entity.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    pub path: PartPath,
    /// Type and subtype in lower case; `text/plain` where none is declared.
    pub media_type: String,
    /// Parameters of Content-Type, names in lower case; RFC 2231 forms as `name*`.
    pub params: Vec<(String, String)>,
    /// Declared charset in lower case.
    pub charset: Option<String>,
    /// `inline`, `attachment` or another, in lower case.
    pub disposition: Option<String>,
    /// From Content-Disposition, else from Content-Type; decoded.
    pub file_name: Option<String>,
    /// What other fields and forms call it: some programs show these.
    pub further_names: Vec<String>,
    /// Content-ID without its angle brackets.
    pub content_id: Option<String>,
    pub encoding: TransferEncoding,
    pub header: Header,
    /// Its body in [`Message::raw`].
    pub raw: Range<usize>,
    pub children: Vec<Part>,
    /// Whether it is the root of a message inside the message.
    pub nested: bool,
}

/// Lengths and kinds only: names of files are as telling as their content.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} {} {:?} {:?})", self.path, self.media_type, self.raw, self.children)
    }
}

/// A body that could not be decoded the one right way. What was recovered is for the scanner.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeProblem {
    pub kind: ProblemKind,
    /// The best reading: bytes from [`Part::decode`], UTF-8 text from [`Part::text`].
    pub recovered: Vec<u8>,
}

impl DecodeProblem {
    #[must_use]
    pub fn text(&self) -> String {
        charset::guess(self.recovered.clone())
    }
}

impl fmt::Debug for DecodeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeProblem({:?}, {} bytes)", self.kind, self.recovered.len())
    }
}

impl Part {
    /// A leaf that a reader offers as a file rather than showing it as text.
    #[must_use]
    pub fn is_attachment(&self) -> bool {
        self.children.is_empty()
            && (self.disposition.as_deref() == Some("attachment")
                || self.file_name.is_some()
                || !self.media_type.starts_with("text/"))
    }

    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.media_type.starts_with("multipart/")
    }

    /// A parameter of Content-Type by its lower-case name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as it stands in the message.
    #[must_use]
    pub fn body<'a>(&self, message: &'a Message) -> &'a [u8] {
        message.raw().get(self.raw.clone()).unwrap_or_default()
    }

    /// The body with its transfer encoding undone.
    ///
    /// # Errors
    /// [`DecodeProblem`] with what could be recovered, if readers would not agree on the bytes.
    pub fn decode<'a>(&self, message: &'a Message) -> Result<Cow<'a, [u8]>, DecodeProblem> {
        let body = self.body(message);
        match self.encoding {
            TransferEncoding::Identity => Ok(Cow::Borrowed(body)),
            TransferEncoding::QuotedPrintable => Ok(Cow::Owned(transfer::quoted_printable(body))),
            TransferEncoding::Base64 => {
                let decoded = transfer::base64(body);
                if decoded.is_broken {
                    Err(DecodeProblem { kind: ProblemKind::Base64Broken, recovered: decoded.bytes })
                } else {
                    Ok(Cow::Owned(decoded.bytes))
                }
            }
            TransferEncoding::Unknown => {
                Err(DecodeProblem { kind: ProblemKind::TransferEncodingUnknown, recovered: body.to_vec() })
            }
        }
    }

    /// The body as text: transfer encoding undone, read in its charset. Without a declared charset UTF-8 if the
    /// bytes are that, else windows-1252.
    ///
    /// # Errors
    /// As [`Self::decode`], and for a charset that is unknown or that the bytes contradict.
    pub fn text(&self, message: &Message) -> Result<String, DecodeProblem> {
        let (bytes, undecoded) = match self.decode(message) {
            Ok(bytes) => (bytes, None),
            Err(problem) => (Cow::Owned(problem.recovered), Some(problem.kind)),
        };
        self.text_of(bytes, undecoded)
    }

    /// As [`Self::text`], from what [`Self::decode`] gave and the problem it had.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn text_of(&self, bytes: Cow<'_, [u8]>, undecoded: Option<ProblemKind>) -> Result<String, DecodeProblem> {
        let (text, misread) = match charset::decode(self.charset.as_deref(), bytes) {
            Ok(text) => (text, None),
            Err((kind, text)) => (text, Some(kind)),
        };
        match undecoded.or(misread) {
            None => Ok(text),
            Some(kind) => Err(DecodeProblem { kind, recovered: text.into_bytes() }),
        }
    }
}
