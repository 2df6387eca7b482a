//! # smtp_in: the way in
//!
//! Listens, speaks SMTP with clients and hands complete messages to `pipeline::Door`. `250` after a message is
//! said only when the door has said that it is kept.
//!
//! Must not be here: what happens to a message. And no way for anyone to send who is neither a listed network nor
//! authenticated inside TLS, by a password or a certificate, nor a device behind the fence of a legacy listener.
//!
//! Reading order: this file → `session` (the dialogue, pure) → `connection` (moves octets) → `input` (the read buffer)
//! → `inbox` (one message in memory) → `auth` (SASL exchange, pure) → `guard` (passwords) → `certificate` → `network`
//! → `sources` (who connects how often) → `listener`.

mod auth;
mod certificate;
mod connection;
mod guard;
mod inbox;
mod input;
mod listener;
mod network;
mod refusal;
mod session;
mod sources;
mod tls;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::mail::{Domain, Mailbox};

pub use certificate::{AUTHORITY_NAME, Issued, Pinned, Shown};
pub use guard::{Accounts, Stored, Unavailable};
pub use listener::{Gate, serve, serve_legacy};
pub use network::{Caller, Cidr, CidrError, Legacy, Network, Quota};
pub use refusal::reply_for;
pub use tls::{Ask, TlsAcceptorSource, TlsConfigs, server_config};

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// For servers of the practice (listed networks); STARTTLS.
    Relay,
    /// For mail programs (RFC 6409); STARTTLS.
    Submission,
    /// For mail programs; TLS from the first octet (RFC 8314).
    Submissions,
    /// For devices without TLS, fenced in; no STARTTLS and no AUTH.
    Legacy,
}

impl ListenerKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ListenerKind::Relay => "relay",
            ListenerKind::Submission => "submission",
            ListenerKind::Submissions => "submissions",
            ListenerKind::Legacy => "legacy",
        }
    }
}

/// How the gateway receives mail.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Own host name: greeting and EHLO.
    pub name: Domain,
    /// Who gets mail to `<postmaster>` without a domain; without it, postmaster at `name`.
    pub postmaster: Option<Mailbox>,
    /// Largest message in bytes, announced by SIZE.
    pub max_message_bytes: u64,
    /// Most recipients of one message (RFC 5321, section 4.5.3.1.8 asks for 100 at least).
    pub max_recipients: usize,
    /// Networks whose hosts may send without a password. Empty by default: not even loopback is special.
    pub networks: Vec<Network>,
    /// Clients known by their certificate.
    pub pinned: Vec<Pinned>,
    /// Memory for messages between their first octet and the answer, in bytes; beyond it 452.
    pub memory_in_flight_bytes: usize,
    pub limits: Limits,
}

impl Default for Settings {
    #[allow(clippy::expect_used)] // a constant
    fn default() -> Settings {
        Settings {
            name: Domain::parse("localhost").expect("a host name"),
            postmaster: None,
            max_message_bytes: 50 << 20,
            max_recipients: 1000,
            networks: Vec::new(),
            pinned: Vec::new(),
            memory_in_flight_bytes: 256 << 20,
            limits: Limits::default(),
        }
    }
}

/// What a client may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connections_max: usize,
    pub connections_per_source_max: usize,
    /// New connections from one address within a minute; those that turn out to be somebody's are not counted.
    pub connections_per_minute: usize,
    /// Wait for the next command (RFC 5321, section 4.5.3.2.7).
    pub idle: Duration,
    /// Longest session, whatever happens in it.
    pub session: Duration,
    pub handshake: Duration,
    /// Wait for a client to take our replies.
    pub write: Duration,
    /// How long a session that we end still reads what the client has on its way.
    pub linger: Duration,
    /// In each of these windows a client must send `rate_bytes_min` of a message, or it is cut: a client that
    /// sends one octet a minute would hold memory for ever.
    pub rate_window: Duration,
    pub rate_bytes_min: u64,
    /// Refused commands before the session is ended.
    pub errors_max: u32,
    /// How long a message in DATA may still take when the server stops.
    pub stop_grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 1000,
            connections_per_source_max: 100,
            connections_per_minute: 1200,
            idle: Duration::from_secs(300),
            session: Duration::from_secs(1800),
            handshake: Duration::from_secs(30),
            write: Duration::from_secs(60),
            linger: Duration::from_secs(1),
            rate_window: Duration::from_secs(60),
            rate_bytes_min: 60_000,
            errors_max: 20,
            stop_grace: Duration::from_secs(6),
        }
    }
}
