//! # tlsrpt: reports about TLS to the domains that ask for them (RFC 8460)
//!
//! Once a day each recipient domain that publishes `_smtp._tls.DOMAIN` is told how TLS sessions with it went: how many
//! kept its policy, how many did not and why. `deliver` counts, `store` keeps the counts, this room reports them by
//! HTTPS, or by mail at the level that the receiving domain proves. RFC 8460 would have such mail sent even where TLS
//! fails; here nothing leaves below its level, so a report that cannot go is dropped and counted.
//!
//! Must not be here: anything about a message. A report says domains, hosts, addresses of mail servers and numbers.
//!
//! Reading order: `record` → `report` → `reporter`.

mod record;
mod report;
mod reporter;

pub use record::{Endpoint, chosen, endpoints};
pub use report::{Range, TlsReport};
pub use reporter::{Keys, Outcome, Reporter, Sent, Settings};
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
