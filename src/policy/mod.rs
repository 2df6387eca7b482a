//! # policy: the decision
//!
//! Rules and facts in, one [`Verdict`] a recipient out. Pure: the same rules and facts give the same verdict.
//!
//! Must not be here: reading rule files (`config`), scanning, any way for a rule to weaken another.
//!
//! Reading order: `rule` → `load` → `decide` → `split` → `verdict`.

mod decide;
mod load;
mod rule;
mod split;
mod verdict;

pub use decide::{Facts, MessageFacts, OtherPatient, decide};
pub use load::{Example, ExampleAttachment, ExamplePatient, LoadError, Made, NamedLevels, load};
pub use rule::{Condition, Group, LevelName, Policy, Rule};
pub use split::{Outgoing, split};
pub use verdict::{Action, Audience, Class, Decision, Held, Lane, Verdict};
