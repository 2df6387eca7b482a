//! # transport: what must be proven before content may go to a host
//!
//! Turns a [`Requirement`] (from policy) and [`DomainEvidence`] (from `lookup`) into a [`Route`] whose every
//! [`Hop`] carries a [`TlsPlan`], or into a [`Refusal`] that says why not.
//!
//! Must not be here: DNS or HTTPS queries (`lookup`), sockets (`deliver`), and any path from
//! [`Evidence::Unknown`] to a hop. "We could not find out" is never "there is none".
//!
//! Reading order: `level` → `evidence` → `dane`, `mta_sts` → `plan` → `verify`.
//! Standards: RFC 7672 (DANE for SMTP), RFC 8461 (MTA-STS). Where both apply, DANE wins.

mod evidence;
mod level;
mod plan;

pub use evidence::{Denial, DomainEvidence, Evidence, MxHost, Pin, Security, StsMode, StsPolicy, TlsaRecord, TlsaSet, Why};
pub use level::{Level, Requirement};
pub use plan::{Authentication, CaSet, Hop, PlanHash, Reason, Refusal, RefusalKind, Route, TlsPlan};
