//! # message: RFC 5322 and MIME messages as values
//!
//! [`parse`] turns bytes into a [`Message`]: header sections in their order, a tree of parts with ranges into the
//! original bytes, and a list of [`Problem`]s. It never fails and never panics. Where two readers could disagree
//! about what a message says, that is a problem which makes it unreadable: what we scan must be what will be seen.
//!
//! [`rewrite`] makes one recipient's header section; the body is never changed. [`dkim`] signs, [`report`] tells
//! the sender what became of a message.
//!
//! Must not be here: attachments' formats (`extract`), findings (`scan`), a clock, a socket, a random source.
//!
//! Reading order: `parse` → `part` → `header` → `fields`, `words`, `addresses` → `transfer`, `charset` →
//! `rewrite` → `last_look` → `dkim` → `report`, `tls_report`.

mod addresses;
mod charset;
mod compose;
pub mod dkim;
mod fields;
mod header;
mod last_look;
mod parse;
mod part;
mod problem;
mod report;
mod rewrite;
mod tls_report;
mod transfer;
mod words;

pub use addresses::{AddressList, NamedMailbox};
pub use header::{Field, Header};
pub use last_look::{Inside, LastLook, other_recipients_inside};
pub use parse::{DEPTH_MAX, FIELDS_MAX, Message, PARTS_MAX, parse};
pub use part::{DecodeProblem, Part, PartPath, TransferEncoding};
pub use problem::{Problem, ProblemKind};
pub use report::{Report, ReportKind, ReportedRecipient, mask_reply_text, report};
pub use rewrite::{Audience, HOP_FIELD, RewriteFacts, RewriteRefusal, Rewritten, rewrite};
pub use tls_report::{TlsReportLetter, tls_report};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod parse_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod rewrite_tests;
