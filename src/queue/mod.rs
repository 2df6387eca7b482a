//! # queue: the life of one recipient's copy as a table
//!
//! `(state, outcome) → state`, the retry schedule, and the time budget before the portal. Pure.
//! `docs/QUEUE.md` has the table and what a crash leaves at each point.
//!
//! Must not be here: the store, the clock, sockets.
//!
//! Reading order: `item` → `transition` → `schedule`. Standards: RFC 5321 section 4.5.4, RFC 3464 section 2.3.

mod item;
pub mod pack;
mod schedule;
mod transition;

pub use item::{CopyFacts, CopyKind, CopyState, Outcome};
pub use schedule::{DICE_EVEN, STEP_MAX_MS, Schedule};
pub use transition::{AfterHold, Claim, Judgement, Next, Portal, after_hold};
