//! # pipeline: the corridor
//!
//! Every station of a message in order, from [`Submission`] to the queue.

use std::future::Future;
use std::net::IpAddr;

use crate::mail::{Envelope, Principal, QueueId, Timestamp};
use crate::secret::Plaintext;

/// A message as a client handed it over (RFC 6409), complete and framed, not yet read.
#[derive(Debug)]
pub struct Submission {
    pub envelope: Envelope,
    pub principal: Principal,
    pub peer: IpAddr,
    /// `TLSv1.3` or `TLSv1.2`; `None` only for a listed network with `tls = "optional"`.
    pub tls: Option<&'static str>,
    pub content: Plaintext,
    pub received_at: Timestamp,
}

/// The message is on stable storage; 250 may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub message: QueueId,
}

/// Why a submission was not taken. `smtp_in` turns it into a reply in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Every recipient was refused by policy.
    Policy { message: QueueId },
    /// From or Sender is not the principal's.
    FromNotAllowed,
    /// The header section breaks RFC 5322 in a way that could hide content or recipients.
    HeaderInvalid { what: &'static str },
    /// Another recipient's address stands in the finished header section.
    RecipientInHeader,
    /// A pick-up code or slip was about to leave by e-mail.
    CodeInMail,
    /// Too many Received fields, or our own hop field: a loop.
    Loop,
    /// The scanner is not ready yet.
    NotReady,
    /// Memory for messages in flight is used up.
    Busy,
    /// Free space is too small.
    DiskFull,
    /// The store failed; nothing was kept.
    StoreFailed,
}

/// The only door into the gateway.
pub trait Door: Send + Sync + 'static {
    /// Takes responsibility for the message, or says why not.
    fn accept(&self, submission: Submission) -> impl Future<Output = Result<Accepted, Refused>> + Send;
}
