//! # Wardpost: a mail gateway for medical practices
//!
//! Every room with one sentence, from the values at the bottom to the program at the top.
//! `tests/it/tidy.rs` holds who may import whom.

// Level 0: words
/// The vocabulary of RFC 5321, 5322 and 3463: addresses, envelope, replies, ids, time.
pub mod mail;
/// What is readable and what is sealed.
pub mod secret;

// Level 1: decisions (no socket, file, clock, randomness)
/// The decision log as values: records, hash chain, signed heads, offline check.
pub mod audit;
/// The parcel kept for pick-up: code, number, sealing, who may try, notice and slip.
pub mod escrow;
/// Attachment bytes to text, with fuel.
pub mod extract;
/// RFC 5322 and MIME messages as values: parse, rewrite, sign, report.
pub mod message;
/// The practice's own patients as keyed hashes: rows in, a set out that recognises and does not tell.
pub mod patients;
/// The decision: rules and facts in, one verdict a recipient out.
pub mod policy;
/// The life of one recipient's copy as a table, and how it is sealed.
pub mod queue;
/// Text to findings: dictionaries, validated identifiers, what belongs together.
pub mod scan;
/// Wire grammar of SMTP, both directions.
pub mod smtp;
/// What must be proven before content may go to a host.
pub mod transport;

// Level 2: the outside
/// DNS, DNSSEC and MTA-STS: evidence about the way to a domain.
pub mod lookup;
/// What can be seen from outside: log events, metrics.
pub mod observe;
/// The child process that reads documents.
pub mod sandbox;
/// Durable state: group commit into SQLite.
pub mod store;
/// Keys: made, loaded, used, destroyed.
pub mod vault;
/// What portal and metrics share: TLS serving, headers, cookies, forms.
pub mod web;

// Level 3: the way of a message
/// Attempts, connections kept, and the fallback to the portal.
pub mod deliver;
/// The corridor: every station of a message in order.
pub mod pipeline;
/// The recipient's pages.
pub mod portal;
/// Listeners, sessions, credentials.
pub mod smtp_in;
/// Reports about TLS to the domains that ask for them.
pub mod tlsrpt;

// Level 4: the program
/// The commands.
pub mod cli;
/// Files as typed become settings as meant.
pub mod config;
/// Builds the rooms, starts and stops them, answers administrators.
pub mod server;
/// A small mail world on loopback for `demo` and tests: zones, certificates, receiving servers.
pub mod world;
