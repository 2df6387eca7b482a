//! How a copy is sealed: which key, which role, which id. Keys and dice are passed in.

use super::CopyFacts;
use crate::mail::{BodyId, CopyId};
use crate::secret::{Context, Key, Nonce, OpenError, Plaintext, Role, Sealed, open, seal};

/// Seals a body once for all copies of one set of edits. `key` must be fresh.
#[must_use]
pub fn seal_body(key: &Key, nonce: Nonce, id: BodyId, body: &[u8]) -> Sealed {
    seal(key, nonce, Context { role: Role::Body, id: id.as_bytes() }, body)
}

/// # Errors
/// [`OpenError`] if it is not the body that was sealed under this key and id.
pub fn open_body(key: &Key, id: BodyId, sealed: &Sealed) -> Result<Plaintext, OpenError> {
    open(key, Context { role: Role::Body, id: id.as_bytes() }, &sealed.0)
}

/// A copy's header section, bound to its body: neither can be paired with another's.
#[must_use]
pub fn seal_header(copy_key: &Key, nonce: Nonce, copy: CopyId, body: BodyId, header: &[u8]) -> Sealed {
    let key = copy_key.derive(copy.as_bytes(), "header section");
    seal(&key, nonce, Context { role: Role::Header, id: &pair(copy, body) }, header)
}

/// # Errors
/// As [`open_body`].
pub fn open_header(copy_key: &Key, copy: CopyId, body: BodyId, sealed: &Sealed) -> Result<Plaintext, OpenError> {
    let key = copy_key.derive(copy.as_bytes(), "header section");
    open(&key, Context { role: Role::Header, id: &pair(copy, body) }, &sealed.0)
}

#[must_use]
pub fn seal_facts(copy_key: &Key, nonce: Nonce, copy: CopyId, body: BodyId, facts: &CopyFacts) -> Sealed {
    let key = copy_key.derive(copy.as_bytes(), "facts");
    // Strings, numbers and closed enums only: serialising cannot fail.
    let json = Plaintext::new(serde_json::to_vec(facts).unwrap_or_default());
    seal(&key, nonce, Context { role: Role::Facts, id: &pair(copy, body) }, json.expose())
}

/// # Errors
/// As [`open_body`]; [`OpenError::Format`] if the facts are of a version this program does not read.
pub fn open_facts(copy_key: &Key, copy: CopyId, body: BodyId, sealed: &Sealed) -> Result<CopyFacts, OpenError> {
    let key = copy_key.derive(copy.as_bytes(), "facts");
    let json = open(&key, Context { role: Role::Facts, id: &pair(copy, body) }, &sealed.0)?;
    serde_json::from_slice(json.expose()).map_err(|_| OpenError::Format)
}

fn pair(copy: CopyId, body: BodyId) -> Vec<u8> {
    [copy.as_bytes(), body.as_bytes()].concat()
}
