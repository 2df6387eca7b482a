//! # secret: what is readable and what is sealed
//!
//! Bytes a person could read live in [`Plaintext`]; bytes that may lie on a disk live in [`Sealed`];
//! what may stand in a log is a [`Pseudonym`].
//!
//! Must not be here: mail, files, sockets, a random source. Keys and dice are passed in.
//!
//! Reading order: `plaintext` → `sealed` → `redacted`.

mod plaintext;
mod redacted;
mod sealed;

pub use plaintext::Plaintext;
pub use redacted::Pseudonym;
pub use sealed::{CHUNK_BYTES, Context, Key, Nonce, OpenError, Role, Sealed, Wrapped, open, open_stream, seal};
