//! # mail: the vocabulary of RFC 5321, 5322 and 3463
//!
//! A [`Domain`] or [`Mailbox`] is valid because it exists. Nothing here does more than parse and print.
//!
//! Must not be here: behaviour, sockets, a clock.
//!
//! Reading order: `address` → `envelope` → `principal` → `status` → `id` → `time`.

mod address;
mod envelope;
mod id;
mod principal;
mod status;
mod time;

pub use address::{AddressError, Domain, LocalPart, Mailbox, ReversePath};
pub use envelope::{BodyKind, Envelope, ForwardPath, MailParams, Notify, RcptParams, Ret};
pub use id::{BodyId, CopyId, IdError, ParcelId, QueueId};
pub use principal::{AddressPattern, Principal, PrincipalKind, Tenancy};
pub use status::{EnhancedCode, Persistence, Reply};
pub use time::Timestamp;
