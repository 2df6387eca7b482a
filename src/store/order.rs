use super::bodies::Written;
use super::{Commit, CopyRow, Damaged, Depth, Error, LogEntry, ParcelRow, TlsSessions, TokenRow, UserRow};
use crate::mail::{BodyId, CopyId, Domain, ParcelId, QueueId, Timestamp};
use crate::policy::Lane;
use crate::secret::{Pseudonym, Sealed};

/// One intention that changes the store. Done whole or not at all.
#[derive(Debug)]
pub enum Order {
    /// Bodies above the limit come as files that are already written and synced, but not yet under their names.
    Commit {
        commit: Box<Commit>,
        files: Vec<Written>,
    },
    Claim {
        lane: Lane,
        now: Timestamp,
        max: usize,
    },
    CountTry {
        parcel: ParcelId,
        at: Timestamp,
    },
    GiveBackTry {
        parcel: ParcelId,
    },
    VoidCodes,
    PutUser(Box<UserRow>),
    RemoveUser {
        name: String,
    },
    NoteUse {
        name: String,
        at: Timestamp,
        peer: String,
    },
    PutToken(Box<TokenRow>),
    RemoveToken {
        name: String,
    },
    NoteTokenUse {
        name: String,
        at: Timestamp,
        peer: String,
    },
    PutSts {
        domain: Domain,
        policy: Sealed,
    },
    NoteStarttls {
        domain: Domain,
        at: Timestamp,
    },
    /// Keeps what a look at a domain showed, and forgets what is older than `keep_from`.
    NoteCheck {
        domain: Domain,
        at: Timestamp,
        sealed: Sealed,
        keep_from: Timestamp,
    },
    NoteStanding {
        domain: Domain,
        standing: &'static str,
        at: Timestamp,
    },
    /// Whether a domain's falling short is to be told: once in `every_ms`.
    NoteAlarm {
        domain: Domain,
        at: Timestamp,
        every_ms: i64,
    },
    SignHead {
        at: Timestamp,
    },
    /// Marks rows that can no longer be read, so that they stop nobody.
    SetAside {
        rows: Vec<Damaged>,
        at: Timestamp,
    },
}

/// What an order gave.
#[derive(Debug)]
pub enum Answer {
    Done,
    Claimed(Vec<CopyRow>),
    /// Number of the try; `None`: the code is void.
    Try(Option<u32>),
    Removed(bool),
    /// Whether the alarm is to be told.
    Alarm(bool),
    Voided(u64),
    Head(String),
}

/// Why a batch came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The disk is full; nothing was written and the store is as before.
    Full,
    /// A write or sync failed: what is on the disk is unknown until it is read again from the start.
    Broken(String),
    /// The store met bytes that nobody wrote; the text names the file and the way out.
    Damaged(String),
}

/// What came of one batch.
#[derive(Debug)]
pub struct Outcome {
    /// One for each order, in their order. Nothing of a refused order was kept.
    pub answers: Vec<Result<Answer, Error>>,
    /// Copies were left queued, so that somebody should look for due ones.
    pub has_queued: bool,
}

/// A store that changes. Blocking; owned by the one writer thread.
pub trait Store: Send {
    /// Carries out all orders in one transaction and syncs once.
    ///
    /// # Errors
    /// [`Failure`]: nothing of the batch may be believed.
    fn carry_out(&mut self, orders: &[Order]) -> Result<Outcome, Failure>;

    /// Work that is due between batches and keeps the store small and quick.
    ///
    /// # Errors
    /// [`Failure`].
    fn tend(&mut self) -> Result<(), Failure>;
}

/// A view of the store as of the last commit. Blocking.
pub trait Read: Send {
    /// # Errors
    /// All of these: [`Error::Refused`] if the store cannot be read or a row is damaged.
    fn body(&mut self, id: BodyId) -> Result<Option<Sealed>, Error>;
    fn copy(&mut self, id: CopyId) -> Result<Option<CopyRow>, Error>;
    fn copies_of(&mut self, message: QueueId) -> Result<Vec<CopyRow>, Error>;
    fn copies_by_message_id(&mut self, id: &Pseudonym) -> Result<Vec<CopyRow>, Error>;
    fn copies(&mut self, open_only: bool, max: usize) -> Result<Vec<CopyRow>, Error>;
    fn held_since(&mut self, at: Timestamp, max: usize) -> Result<Vec<CopyRow>, Error>;
    fn next_due(&mut self, lane: Lane) -> Result<Option<Timestamp>, Error>;
    fn depth(&mut self) -> Result<Depth, Error>;
    fn parcel(&mut self, id: ParcelId) -> Result<Option<ParcelRow>, Error>;
    fn parcel_by_number(&mut self, number_hash: [u8; 32]) -> Result<Option<ParcelRow>, Error>;
    fn parcels(&mut self, open_only: bool, max: usize) -> Result<Vec<ParcelRow>, Error>;
    fn parcels_ended(&mut self, expired: Timestamp, opened: Timestamp, max: usize) -> Result<Vec<ParcelRow>, Error>;
    fn parcels_tried_out(&mut self, max: usize) -> Result<Vec<ParcelId>, Error>;
    fn parcel_content(&mut self, id: ParcelId) -> Result<Option<(Sealed, Sealed)>, Error>;
    /// Domains with unread parcels that may be sent by mail after all.
    fn domains_waiting(&mut self, now: Timestamp) -> Result<Vec<Domain>, Error>;
    /// Those parcels of one domain, oldest first.
    fn parcels_waiting(&mut self, domain: &Domain, now: Timestamp, max: usize) -> Result<Vec<ParcelRow>, Error>;
    /// Looks at a domain since then, oldest first.
    fn checks(&mut self, domain: &Domain, since: Timestamp) -> Result<Vec<(Timestamp, Sealed)>, Error>;
    fn standing(&mut self, domain: &Domain) -> Result<Option<(String, Timestamp)>, Error>;
    fn live_codes(&mut self) -> Result<Vec<[u8; 32]>, Error>;
    fn is_live_code(&mut self, spoken_hash: [u8; 32]) -> Result<bool, Error>;
    fn user(&mut self, name: &str) -> Result<Option<UserRow>, Error>;
    fn users(&mut self) -> Result<Vec<UserRow>, Error>;
    fn tokens(&mut self) -> Result<Vec<TokenRow>, Error>;
    /// The entry of the log that tells of the last delivery to a domain whose host proved itself.
    fn contact(&mut self, domain: &Domain) -> Result<Option<LogEntry>, Error>;
    fn sts(&mut self, domain: &Domain) -> Result<Option<Sealed>, Error>;
    fn starttls_seen(&mut self, domain: &Domain) -> Result<Option<Timestamp>, Error>;
    fn tls_sessions(&mut self, through_day: i64, max: usize) -> Result<Vec<(TlsSessions, i64)>, Error>;
    fn log(&mut self, from_seq: u64, max: usize) -> Result<Vec<LogEntry>, Error>;
    fn log_of(&mut self, message: QueueId) -> Result<Vec<LogEntry>, Error>;
    fn heads(&mut self) -> Result<Vec<String>, Error>;
    /// Rows that were set aside, oldest first.
    fn damaged(&mut self) -> Result<Vec<Damaged>, Error>;
    /// Rows that listings passed over since this was asked last, because they cannot be read.
    fn take_damaged(&mut self) -> Vec<Damaged>;
}
