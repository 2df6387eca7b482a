//! # queue: the life of one recipient's copy as a table
//!
//! `(state, outcome) → state`, the retry schedule, and the time budget before the portal. Pure.
//!
//! Must not be here: the store, the clock, sockets.
//!
//! Reading order: `item` → `transition` → `schedule`. Standards: RFC 5321 section 4.5.4, RFC 3464 section 2.3.

mod item;
pub mod pack;

pub use item::{CopyFacts, CopyKind, CopyState, Outcome};
