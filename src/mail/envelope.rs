use super::{Mailbox, ReversePath};

/// `BODY=` of MAIL (RFC 6152; BINARYMIME is not offered).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum BodyKind {
    #[default]
    SevenBit,
    EightBitMime,
}

/// `RET=` of MAIL (RFC 3461, section 4.3): how much of the message a failure report returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Ret {
    Full,
    Headers,
}

/// Parameters of MAIL FROM.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MailParams {
    /// Declared size in bytes (RFC 1870).
    pub size_bytes: Option<u64>,
    pub body: BodyKind,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 8689: the message may travel only over verified TLS to servers that promise the same.
    pub require_tls: bool,
    pub ret: Option<Ret>,
    /// RFC 3461, section 4.4, as the client wrote it (xtext, at most 100 characters).
    pub envid: Option<String>,
    /// `AUTH=` of RFC 4954, section 5; accepted and not acted on.
    pub auth: Option<String>,
}

/// `NOTIFY=` of RCPT (RFC 3461, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Notify {
    pub never: bool,
    pub success: bool,
    pub failure: bool,
    pub delay: bool,
}

impl Default for Notify {
    /// Without `NOTIFY` failures and delays are reported.
    fn default() -> Notify {
        Notify { never: false, success: false, failure: true, delay: true }
    }
}

/// Parameters of RCPT TO.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RcptParams {
    pub notify: Notify,
    /// `type;address` as the client wrote it (xtext).
    pub orcpt: Option<String>,
}

/// One recipient of the envelope (RFC 5321, section 4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardPath {
    pub mailbox: Mailbox,
    pub params: RcptParams,
}

/// Sender and recipients of one mail transaction (RFC 5321, section 2.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub from: ReversePath,
    pub params: MailParams,
    pub to: Vec<ForwardPath>,
}
