//! # store: durable state
//!
//! A trait of intentions, each one transaction: many [`Commit`]s become one transaction and one sync
//! (group commit). What goes in is sealed bytes, pseudonyms and states.
//!
//! Must not be here: readable content, keys that open it, decisions.
//!
//! Reading order: this file → `order` (the traits) → `handle` (the only async wrapper), `folder` → `writer` → `sqlite`, `bodies`.

use std::sync::Arc;

use crate::audit::Record;
use crate::mail::{BodyId, CopyId, Domain, ParcelId, QueueId, Timestamp};
use crate::policy::Class;
use crate::queue::{CopyKind, CopyState};
use crate::secret::{Pseudonym, Sealed, Wrapped};

/// A sealed body on its way into the store. Bodies above a size go to files of their own, synced before the row.
#[derive(Clone, Debug)]
pub struct NewBody {
    pub id: BodyId,
    pub sealed: Arc<Sealed>,
}

/// One recipient's copy: header section, facts and keys, all sealed; the body is referred to.
#[derive(Clone, Debug)]
pub struct NewCopy {
    pub id: CopyId,
    pub message: QueueId,
    pub kind: CopyKind,
    pub body: BodyId,
    /// Pseudonym of the recipient, for finding all copies to one mailbox.
    pub recipient: Pseudonym,
    /// Pseudonym of the Message-ID.
    pub message_id: Pseudonym,
    pub domain: Domain,
    pub class: Class,
    pub header: Sealed,
    /// `queue::CopyFacts` as JSON.
    pub facts: Sealed,
    /// Body key and copy key, wrapped by the vault; deleting it erases the copy.
    pub wrap: Wrapped,
    pub state: CopyState,
    pub received_at: Timestamp,
    /// Parcel that a notice or slip speaks of.
    pub parcel: Option<ParcelId>,
    /// Size of the message in bytes (header section and body).
    pub size_bytes: u64,
}

/// A copy as it stands in the store.
#[derive(Clone, Debug)]
pub struct CopyRow {
    pub copy: NewCopy,
    pub attempts: u32,
    /// Grows with every claim; a settlement with an older one is refused.
    pub generation: u64,
    /// Stable reason code of the last attempt.
    pub last_reason: Option<String>,
    pub changed_at: Timestamp,
    /// Host that was sent the final dot and did not answer it: it may have the message.
    pub uncertain_host: Option<Domain>,
    /// The sender has been told that the copy is late.
    pub delay_told: bool,
    /// The sealed body when it is still in memory (warm hand-over).
    pub warm_body: Option<Arc<Sealed>>,
}

/// A row that can no longer be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// `copy`, `parcel` or `user`.
    pub kind: &'static str,
    /// Its key as it stands.
    pub id: Vec<u8>,
    /// Which column does not read.
    pub what: String,
}

/// A parcel: header section and body sealed anew under the parcel's own key.
#[derive(Clone, Debug)]
pub struct NewParcel {
    pub id: ParcelId,
    /// Keyed hash of the 8-character message number.
    pub number_hash: [u8; 32],
    pub copy: CopyId,
    pub message: QueueId,
    pub recipient: Pseudonym,
    pub message_id: Pseudonym,
    pub domain: Domain,
    pub body: Sealed,
    pub header: Sealed,
    /// Recipient, sender, subject, Message-ID, number: JSON sealed under the parcel's key.
    pub facts: Sealed,
    /// Argon2 salt of the code, and the parcel key wrapped under host secret and code. `None`: no code issued yet.
    pub code: Option<CodeWrap>,
    /// The parcel key wrapped under the reissue key.
    pub recovery: Wrapped,
    pub reason: String,
    /// Least level at which it may be sent by mail after all, as a word; `None`: it stays.
    pub later_level: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub size_bytes: u64,
}

/// Salt and wrap of one issued code.
#[derive(Clone, Debug)]
pub struct CodeWrap {
    pub salt: [u8; 16],
    pub wrap: Wrapped,
    /// Keyed hash of the code's digits, so that outgoing mail can be searched for it.
    pub spoken_hash: [u8; 32],
}

/// A parcel as it stands in the store, without body and header section.
#[derive(Clone, Debug)]
pub struct ParcelRow {
    pub id: ParcelId,
    pub copy: CopyId,
    pub message: QueueId,
    pub recipient: Pseudonym,
    pub message_id: Pseudonym,
    pub domain: Domain,
    pub facts: Sealed,
    pub code: Option<CodeWrap>,
    pub recovery: Wrapped,
    /// Wrong or unfinished tries against the code in force; at ten it is void.
    pub tries: u32,
    pub last_try_at: Option<Timestamp>,
    pub reason: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub first_opened_at: Option<Timestamp>,
    pub is_closed: bool,
    pub notice_sent_at: Option<Timestamp>,
    pub notice_failed: bool,
    pub size_bytes: u64,
    /// As in [`NewParcel`].
    pub later_level: Option<String>,
    /// It was sent by mail after all.
    pub delivered_at: Option<Timestamp>,
}

/// Change of a copy's state, guarded by the generation of the claim.
#[derive(Clone, Debug)]
pub struct Settle {
    pub copy: CopyId,
    pub generation: u64,
    pub to: CopyState,
    pub at: Timestamp,
    pub reason: Option<String>,
}

/// Change of a parcel.
#[derive(Clone, Debug)]
pub enum ParcelChange {
    /// A new code replaces the old one and resets the tries.
    Code(ParcelId, CodeWrap),
    /// Ten tries were used: salt and wrap go, and nobody can open it before a new code is issued.
    CodeVoid(ParcelId),
    /// [`Error::Conflict`] while it is being sent.
    Opened(ParcelId, Timestamp),
    NoticeSent(ParcelId, Timestamp),
    NoticeFailed(ParcelId),
    /// Keys, body and header section are deleted; the row stays as a fact. [`Error::Conflict`] while it is being sent.
    Closed(ParcelId, Timestamp),
    /// It is going to be sent by mail: from here on nobody opens it. [`Error::Conflict`] if it was opened, a code was
    /// tried a moment ago, it ended, or somebody is at it already. A restart takes this back.
    Sending(ParcelId, Timestamp),
    /// It was not sent and stays as it is. `again`: it may be tried another time.
    Stays {
        parcel: ParcelId,
        again: bool,
    },
    /// It was sent by mail: as [`ParcelChange::Closed`], and whatever became of it in the meantime.
    Delivered(ParcelId, Timestamp),
}

/// TLS sessions of one day with one domain that ended alike (RFC 8460).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TlsSessions {
    /// Days since 1970, in UTC.
    pub day: i64,
    pub domain: Domain,
    /// The `policy` object of the report, JSON.
    pub policy: String,
    /// A `result-type`; empty for success, and then all that follows is empty.
    pub result: String,
    pub host: String,
    pub sending_ip: String,
    pub receiving_ip: String,
    pub reason: String,
}

/// Everything that has to become true at once. All commits waiting are written in one transaction, each of them
/// whole or not at all, and synced once before any is answered.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub bodies: Vec<NewBody>,
    pub copies: Vec<NewCopy>,
    pub parcels: Vec<NewParcel>,
    pub settles: Vec<Settle>,
    /// Hosts that may have a copy, because they did not answer its final dot.
    pub uncertain: Vec<(CopyId, Domain)>,
    pub parcel_changes: Vec<ParcelChange>,
    pub records: Vec<Record>,
    /// Counts to add; negative ones take away what has been reported.
    pub tls_sessions: Vec<(TlsSessions, i64)>,
    /// Copies whose senders are told by this commit that they are late.
    pub delay_told: Vec<CopyId>,
}

impl Damaged {
    /// The key in hexadecimal.
    #[must_use]
    pub fn name(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

mod bodies;
mod folder;
mod handle;
mod order;
mod sqlite;
mod writer;

pub use bodies::Written;
pub use folder::is_empty;
pub use handle::{Depth, Error, Handle, LogEntry, Settings, TokenRow, UserRow};
pub use order::{Answer, Failure, Order, Outcome, Read, Store};

/// The salt that opens one field of one entry of the log to an auditor, and nothing else.
#[must_use]
pub fn field_salt(vault: &crate::vault::Vault, seq: u64, field: &str) -> [u8; 32] {
    crate::audit::field_salt(&vault.keyed_hash(sqlite::write::SALT_KIND, &seq.to_be_bytes()), field)
}

#[cfg(test)]
mod corrupt_tests;
#[cfg(test)]
mod export_tests;
#[cfg(test)]
mod tests;
