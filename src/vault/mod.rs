//! # vault: keys: made, loaded, used, destroyed
//!
//! The one room that holds the master key, the host secret of the portal, the reissue key, the pepper, the
//! signing key of the log and the key of pseudonyms. Others hand in what to wrap and get back what may be stored.
//!
//! Must not be here: mail, the store.

use std::path::Path;

use crate::mail::ParcelId;
use crate::secret::{Context, Key, Nonce, OpenError, Plaintext, Pseudonym, Role, Sealed, Wrapped};

pub struct Vault {}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Other(String),
}

#[allow(unused_variables, clippy::todo)]
impl Vault {
    /// Makes all keys in a new folder (0700, files 0600, O_EXCL, synced with the folder).
    pub fn create(folder: &Path) -> Result<Vault, Error> {
        todo!()
    }
    /// Loads them; refuses links, foreign owners and modes others can read.
    pub fn load(folder: &Path) -> Result<Vault, Error> {
        todo!()
    }
    /// A vault that lives in memory only, for tests.
    pub fn ephemeral() -> Vault {
        todo!()
    }

    /// Fresh random bytes from the operating system.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        todo!()
    }
    pub fn new_key(&self) -> Key {
        Key::of(self.random())
    }
    pub fn nonce(&self) -> Nonce {
        Nonce(self.random())
    }

    /// Wraps keys under HKDF(master key, 256 random bits of salt kept in the wrap), bound to `id`.
    pub fn wrap(&self, id: &[u8], keys: &[&Key]) -> Wrapped {
        todo!()
    }
    pub fn unwrap(&self, id: &[u8], wrapped: &Wrapped) -> Result<Vec<Key>, OpenError> {
        todo!()
    }
    /// Recovery wrap of a parcel's key under the reissue key (threats.md 24 b).
    pub fn wrap_recovery(&self, parcel: ParcelId, key: &Key) -> Wrapped {
        todo!()
    }
    pub fn unwrap_recovery(&self, parcel: ParcelId, wrapped: &Wrapped) -> Result<Key, OpenError> {
        todo!()
    }
    /// Argon2id(code digits, salt, 64 MiB, t=3, p=1, pepper), then HKDF with the host secret and the parcel's id:
    /// the key that wraps the parcel's key. Takes most of a second: call it on the pool for passwords.
    pub fn code_key(&self, code_digits: &str, salt: &[u8; 16], parcel: ParcelId) -> Key {
        todo!()
    }
    pub fn wrap_with_code(&self, code_key: &Key, parcel: ParcelId, key: &Key) -> Wrapped {
        todo!()
    }
    pub fn unwrap_with_code(&self, code_key: &Key, parcel: ParcelId, wrapped: &Wrapped) -> Result<Key, OpenError> {
        todo!()
    }

    /// Seals a small thing (STS cache row, record's fields) under a key of its own derived from the master key.
    pub fn seal_small(&self, role: Role, id: &[u8], plain: &[u8]) -> Sealed {
        todo!()
    }
    pub fn open_small(&self, role: Role, id: &[u8], sealed: &Sealed) -> Result<Plaintext, OpenError> {
        todo!()
    }

    /// Keyed pseudonym; `kind` keeps e.g. mailboxes and Message-IDs apart.
    pub fn pseudonym(&self, kind: &str, value: &str) -> Pseudonym {
        todo!()
    }
    /// HMAC-SHA-256 under the key of pseudonyms, for lookups (message numbers, spoken codes).
    pub fn keyed_hash(&self, kind: &str, value: &[u8]) -> [u8; 32] {
        todo!()
    }
    /// Ed25519 over a head of the decision log.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        todo!()
    }
    /// Raw 32-byte Ed25519 public key.
    pub fn verifying_key(&self) -> Vec<u8> {
        todo!()
    }
    /// Verifies an Argon2id PHC string of a credential, and makes one (19 MiB, t=2).
    pub fn check_password(&self, verifier: &str, password: &[u8]) -> bool {
        todo!()
    }
    pub fn password_verifier(&self, password: &[u8]) -> String {
        todo!()
    }
}
#[allow(unused)]
fn uses(_: Context<'_>) {}
