//! # transport: what must be proven before content may go to a host
//!
//! Turns a [`Requirement`] (from policy) and [`DomainEvidence`] (from `lookup`) into a [`Route`] whose every
//! [`Hop`] carries a [`TlsPlan`], or into a [`Refusal`] that says why not. A handshake under a plan yields a
//! [`Proof`]; a message goes over it only with a [`Clearance`] of its own domain that admits the proof.
//!
//! Must not be here: DNS or HTTPS queries (`lookup`), sockets (`deliver`), and any path from
//! [`Evidence::Unknown`] to a hop. "We could not find out" is never "there is none".
//!
//! Reading order: `level` → `evidence` → `dane`, `mta_sts` → `plan` → `clearance` → `verify` → `certificate` → `tlsrpt`.
//! Standards: RFC 7672 (DANE for SMTP), RFC 8461 (MTA-STS), RFC 8460 (reports). Where both apply, DANE wins.

pub mod dane;
pub mod mta_sts;
pub mod tlsrpt;

mod certificate;
mod clearance;
mod evidence;
mod level;
mod plan;
mod refusal;
mod verify;

pub use certificate::{Certificate, printable};
pub use clearance::{Clearance, PlanHash, clear};
pub use evidence::{Denial, DomainEvidence, Evidence, MxHost, Pin, Security, StsMode, StsPolicy, TlsaRecord, TlsaSet, Why};
pub use level::{Level, Requirement};
pub use plan::{Authentication, CaSet, Hop, Route, TlsPlan, hidden_policy, is_public, plan};
pub use refusal::{Reason, Refusal, RefusalKind};
pub use verify::{Proof, TlsClient, is_named, tls_client, web_pki};

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod verify_tests;
