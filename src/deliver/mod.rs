//! # deliver: queued copies on their way out
//!
//! Takes due copies, asks for the evidence of each recipient's domain, and either sends the message over a channel
//! that is proven as the plan demands, or tries later, or turns the copy into a parcel in the portal, or reports.
//!
//! Must not be here: judgements about evidence (`transport`), DNS (`lookup`), what a parcel looks like (`escrow`), and
//! any way for a message into a channel whose peer is not proven: [`Channel<Clear>`] and [`Channel<Encrypted>`] carry
//! nothing but a notice.
//!
//! Reading order: `settings` → `worker` → `finish` → `attempt` → `channel` (→ `dialogue`, `content`) → `judge` →
//! `pool` → `fallback` → `bounce` → `weather` → `tally` → `probe` → `history` → `standing` → `later`.

mod attempt;
mod bounce;
mod channel;
mod content;
mod copy;
mod dialogue;
mod fallback;
mod finish;
mod history;
mod judge;
mod later;
pub mod pool;
mod probe;
mod settings;
mod standing;
mod tally;
pub mod weather;
mod worker;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod attempt_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod testing;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod worker_tests;

pub use attempt::{AskWay, Attempted, Attempts, Contents, Dice, Way};
pub use bounce::ask_sender;
pub use channel::{Channel, Clear, Encrypted, Proven, Security, TlsShown};
pub use content::{Content, LineLaw, Unlawful};
pub use copy::{Internal, OpenCopy, seal_internal};
pub use dialogue::{End, Failure, Offers, RequireTls, Step, Timeouts, Transaction};
pub use fallback::{Error as PortalError, Parcels, Reissued, issue_code, may_notify, notice_of, record_of};
pub use finish::refuse;
pub use judge::HopEnd;
pub use probe::{AtLevel, Probe, Seen, Tried, Via, Would};
pub use settings::{FixedRoute, Login, NoticeMode, Portal, RouteProof, Settings};
pub use standing::{Check, Found, Ground, ground};
pub use tally::{Failed, Tally};
pub use worker::{Deliver, Running};
