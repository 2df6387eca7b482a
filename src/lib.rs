//! # Wardpost: a mail gateway for medical practices
//!
//! Every room with one sentence, from the values at the bottom to the program at the top.
//! `tests/it/tidy.rs` holds who may import whom.

// Level 0: words
pub mod mail;
pub mod secret;
// Level 1: decisions (no socket, file, clock, randomness)
pub mod extract;
pub mod message;
pub mod scan;
pub mod audit;
pub mod policy;
pub mod queue;
pub mod transport;
// Level 2: the outside
pub mod observe;
pub mod sandbox;
pub mod store;
pub mod vault;
// Level 3: the way of a message
pub mod pipeline;
// Level 4: the program
pub mod cli;
