//! # policy: the decision
//!
//! Rules and facts in, one [`Verdict`] a recipient out. Pure: the same rules and facts give the same verdict.
//!
//! Must not be here: reading rule files (`config`), scanning, any way for a rule to weaken another.
//!
//! Reading order: `rule` → `load` → `decide` → `split`.

mod verdict;

pub use verdict::{Action, Audience, Class, Decision, Verdict};
