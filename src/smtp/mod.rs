//! # smtp: the wire grammar, both directions
//!
//! Lines become [`Command`]s, replies become bytes and back, and the octets of DATA and BDAT become a message
//! whose every line ends with CRLF.
//!
//! Must not be here: sockets, clocks, who may do what (`smtp_in`, `deliver`). Nothing here accepts a second way
//! to end a line or a message: two servers that disagree about it let a sender forge mail ("SMTP smuggling").
//!
//! Reading order: `command` → `path` → `reply` → `data` → `extension`.
//! Standards: RFC 5321, 1870, 2034, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 8689.

pub mod command;
pub mod data;
pub mod extension;
mod path;
pub mod reply;

pub use command::{Command, CommandError, Recipient, Secret};
pub use data::{BareLineEnd, ContentFault, ContentReader, DataWriter, Fed};
pub use extension::{Offer, Offered};
pub use reply::{ReplyFault, ReplyReader};
