//! # Wardpost: a mail gateway for medical practices
//!
//! Every room with one sentence, from the values at the bottom to the program at the top.
//! `tests/it/tidy.rs` holds who may import whom.

// Level 0: words
pub mod mail;
pub mod secret;
// Level 1: decisions (no socket, file, clock, randomness)
pub mod audit;
pub mod escrow;
pub mod message;
pub mod policy;
pub mod queue;
pub mod smtp;
pub mod transport;
// Level 2: the outside
pub mod lookup;
pub mod observe;
pub mod store;
pub mod vault;
pub mod web;
// Level 3: the way of a message
pub mod deliver;
pub mod pipeline;
pub mod smtp_in;
// Level 4: a mail world for `demo` and tests
pub mod world;
pub mod portal;
