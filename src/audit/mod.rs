//! # audit: the decision log as values
//!
//! One [`Record`] for each thing that happened to one recipient's copy, hash-chained, with signed heads.
//! The bytes are written down in `docs/AUDIT-FORMAT.md`; `deploy/verify.py` checks them without this program.
//!
//! Must not be here: addresses, subjects or matched texts in clear (pseudonyms and sealed fields only), files, clock.
//!
//! Reading order: `record` → `chain` → `verify`.

mod record;

pub use record::{Event, FindingCount, Proven, Record};
