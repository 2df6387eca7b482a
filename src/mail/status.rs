use std::fmt;

/// `class.subject.detail` of RFC 3463.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    Transient,
    Permanent,
}

/// An SMTP reply (RFC 5321, section 4.2), ours or a peer's.
///
/// The text of a peer's reply may hold anything: it is shown only through `message::mask_reply_text`.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub enhanced: Option<EnhancedCode>,
    pub lines: Vec<String>,
}

impl Reply {
    /// A reply of one line.
    #[must_use]
    pub fn new(code: u16, enhanced: EnhancedCode, line: impl Into<String>) -> Reply {
        Reply { code, enhanced: Some(enhanced), lines: vec![line.into()] }
    }

    /// A reply without enhanced code (greeting, EHLO, 354, AUTH challenges).
    #[must_use]
    pub fn plain(code: u16, line: impl Into<String>) -> Reply {
        Reply { code, enhanced: None, lines: vec![line.into()] }
    }

    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// `None` for a positive reply.
    #[must_use]
    pub fn persistence(&self) -> Option<Persistence> {
        match self.code {
            0..=399 => None,
            400..=499 => Some(Persistence::Transient),
            _ => Some(Persistence::Permanent),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.enhanced {
            Some(code) => write!(f, "Reply({} {code})", self.code),
            None => write!(f, "Reply({})", self.code),
        }
    }
}
