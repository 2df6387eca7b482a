//! # observe: what can be seen from outside
//!
//! Log events ([`Event`], fixed fields, never message content), Prometheus metrics with closed label sets,
//! health. Each `warn` and `error` has a line in `docs/OPERATIONS.md`.
//!
//! Must not be here: addresses, subjects, anything a sender typed.

mod log;
mod metrics;
mod panic;

pub use log::{Event, Severity, log};
pub use metrics::{Metrics, metrics};
pub use panic::{Panics, watch_panics};
