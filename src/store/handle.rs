use std::path::PathBuf;
use std::sync::Arc;

use super::{Commit, CopyRow, ParcelRow};
use crate::audit::Record;
use crate::mail::{BodyId, CopyId, Domain, ParcelId, QueueId, Timestamp};
use crate::secret::{Pseudonym, Sealed};

/// Where the store lies and how it behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Data folder; locked while open.
    pub folder: PathBuf,
    /// Sealed bodies above this many bytes become files of their own.
    pub body_file_bytes: usize,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the copy was claimed anew or settled in the meantime")]
    Conflict,
    #[error("the disk has too little free space; free some or move data.path")]
    Full,
    #[error("the store failed and is closed until the next start")]
    Closed,
    #[error("{0}")]
    Refused(String),
}

/// The only async wrapper around the blocking store. Cheap to clone.
#[derive(Clone)]
pub struct Handle {}

/// A stored credential.
#[derive(Clone, Debug)]
pub struct UserRow {
    pub name: String,
    /// Argon2id PHC string.
    pub verifier: String,
    /// `AddressPattern`s as text, comma separated.
    pub may_send_as: Vec<String>,
    pub bound_address: Option<String>,
    /// The credential printed at the first start: loopback only, gone with the first `user add`.
    pub is_first: bool,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub last_peer: Option<String>,
}

/// One chained entry of the decision log as stored.
#[derive(Clone, Debug)]
pub struct LogEntry {
    pub seq: u64,
    pub bytes: Vec<u8>,
    pub hash: [u8; 32],
}

/// How many copies wait, by state, and how old the oldest is.
#[derive(Clone, Debug, Default)]
pub struct Depth {
    pub queued: u64,
    pub in_flight: u64,
    pub held: u64,
    pub escrowed_open: u64,
    pub oldest_queued_at: Option<Timestamp>,
}

#[allow(unused_variables, clippy::todo, clippy::unused_async)]
impl Handle {
    /// Opens or creates the store, takes the lock, recovers: in-flight copies become queued, files without a row go.
    pub fn open(settings: Settings, vault: Arc<crate::vault::Vault>) -> Result<Handle, Error> {
        todo!()
    }
    /// Writes the commit together with all others waiting; returns when it is synced.
    pub async fn commit(&self, commit: Commit) -> Result<(), Error> {
        todo!()
    }
    /// Notified when a commit left copies queued for now.
    pub fn due_signal(&self) -> Arc<tokio::sync::Notify> {
        todo!()
    }
    /// Claims up to `max` copies whose time has come: state in-flight, generation + 1.
    pub async fn claim(&self, now: Timestamp, max: usize) -> Result<Vec<CopyRow>, Error> {
        todo!()
    }
    /// When the next queued copy is due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        todo!()
    }
    pub async fn body(&self, id: BodyId) -> Result<Option<Arc<Sealed>>, Error> {
        todo!()
    }
    pub async fn copy(&self, id: CopyId) -> Result<Option<CopyRow>, Error> {
        todo!()
    }
    pub async fn copies_of(&self, message: QueueId) -> Result<Vec<CopyRow>, Error> {
        todo!()
    }
    pub async fn copies_by_message_id(&self, id: Pseudonym) -> Result<Vec<CopyRow>, Error> {
        todo!()
    }
    /// Newest first; `open_only` leaves out terminal states.
    pub async fn copies(&self, open_only: bool, max: usize) -> Result<Vec<CopyRow>, Error> {
        todo!()
    }
    pub async fn parcel(&self, id: ParcelId) -> Result<Option<ParcelRow>, Error> {
        todo!()
    }
    pub async fn parcel_by_number(&self, number_hash: [u8; 32]) -> Result<Option<ParcelRow>, Error> {
        todo!()
    }
    pub async fn parcels(&self, open_only: bool, max: usize) -> Result<Vec<ParcelRow>, Error> {
        todo!()
    }
    /// (header section, body), sealed under the parcel's key.
    pub async fn parcel_content(&self, id: ParcelId) -> Result<Option<(Sealed, Sealed)>, Error> {
        todo!()
    }
    /// Counts one try against the code in force: committed and synced before this returns. `None`: ten were
    /// used, the code is void. `Some(n)`: this is try number n. Resets with a new code only.
    pub async fn count_try(&self, id: ParcelId, at: Timestamp) -> Result<Option<u32>, Error> {
        todo!()
    }
    /// Gives back the tries after a right code.
    pub async fn clear_tries(&self, id: ParcelId) -> Result<(), Error> {
        todo!()
    }
    /// Whether any live code has this keyed hash (threats.md 28).
    pub async fn is_live_code(&self, spoken_hash: [u8; 32]) -> Result<bool, Error> {
        todo!()
    }
    pub async fn user(&self, name: &str) -> Result<Option<UserRow>, Error> {
        todo!()
    }
    pub async fn users(&self) -> Result<Vec<UserRow>, Error> {
        todo!()
    }
    /// Adds or replaces; a user other than the first removes the first credential.
    pub async fn put_user(&self, user: UserRow) -> Result<(), Error> {
        todo!()
    }
    pub async fn remove_user(&self, name: &str) -> Result<bool, Error> {
        todo!()
    }
    pub async fn note_use(&self, name: &str, at: Timestamp, peer: String) -> Result<(), Error> {
        todo!()
    }
    /// Cached MTA-STS policy, sealed (authenticated) by the vault.
    pub async fn sts(&self, domain: &Domain) -> Result<Option<Sealed>, Error> {
        todo!()
    }
    pub async fn put_sts(&self, domain: &Domain, policy: Sealed) -> Result<(), Error> {
        todo!()
    }
    pub async fn starttls_seen(&self, domain: &Domain) -> Result<Option<Timestamp>, Error> {
        todo!()
    }
    pub async fn note_starttls(&self, domain: &Domain, at: Timestamp) -> Result<(), Error> {
        todo!()
    }
    pub async fn log(&self, from_seq: u64, max: usize) -> Result<Vec<LogEntry>, Error> {
        todo!()
    }
    /// Entries that carry this message's id, oldest first.
    pub async fn log_of(&self, message: QueueId) -> Result<Vec<LogEntry>, Error> {
        todo!()
    }
    /// Signs the current end of the log and keeps the head; returns its JSON.
    pub async fn sign_head(&self, at: Timestamp) -> Result<String, Error> {
        todo!()
    }
    pub async fn heads(&self) -> Result<Vec<String>, Error> {
        todo!()
    }
    pub async fn append(&self, records: Vec<Record>) -> Result<(), Error> {
        self.commit(Commit { records, ..Commit::default() }).await
    }
    pub async fn depth(&self) -> Result<Depth, Error> {
        todo!()
    }
    /// Free bytes on the data folder's file system, for the 452 before the disk is full.
    pub fn free_bytes(&self) -> Option<u64> {
        todo!()
    }
    /// Finishes what waits and closes.
    pub async fn close(&self) {
        todo!()
    }
}
