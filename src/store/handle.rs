use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::bodies::{Bodies, Written, name_of_body, name_of_parcel};
use super::folder::{open_folder, unwritable};
use super::order::{Answer, Order, Read, Store};
use super::sqlite::SqliteStore;
use super::writer::{Job, Shared, run};
use super::{Commit, CopyRow, Damaged, ParcelRow, TlsSessions};
use crate::audit::{Pseudonyms, Record};
use crate::mail::{BodyId, CopyId, Domain, ParcelId, QueueId, Timestamp};
use crate::policy::Lane;
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
    /// The database is not what was written: nothing in it is believed any more.
    #[error(
        "{} is damaged ({what}); mail that was answered may lie in it: stop the gateway, copy the whole data folder to \
         another disk before anything else, look at this disk, then rescue what is readable with `sqlite3 wardpost.db \
         .recover` or restore the data folder from its backup, and start once with `wardpost serve --restored` \
         (docs/OPERATIONS.md, \"When wardpost.db is damaged\")", file.display()
    )]
    Damaged { file: PathBuf, what: String },
    /// Commits that were synced and not yet moved into the database cannot be read.
    #[error(
        "{} is damaged ({what}); mail that was answered since the last checkpoint lies in it: copy the whole data folder \
         to another disk before anything else, look at this disk, then put the backup of the data folder in place and start \
         once with `wardpost serve --restored`, or move only this file away and lose what is in it \
         (docs/OPERATIONS.md, \"When wardpost.db is damaged\")", file.display()
    )]
    DamagedLog { file: PathBuf, what: String },
    #[error("{0}")]
    Refused(String),
}

/// Space kept free for what was accepted already: one and a half times the largest message (50 MiB).
const FREE_BYTES_MIN: u64 = 75 * 1024 * 1024;
/// Connections that read beside the writer.
const READERS: usize = 4;
/// Jobs that may wait for the writer before callers wait themselves.
const JOBS_WAITING_MAX: usize = 1024;
/// Entries read at once for an export.
const EXPORT_PAGE: usize = 500;
/// Above so many numbers in one message all live codes are read at once.
const ASK_EACH_MAX: usize = 200;
/// How long a start waits for a process that is just ending.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// The only async wrapper around the blocking store. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    bodies: Bodies,
    body_file_bytes: usize,
    free_bytes_min: Arc<AtomicU64>,
    /// Bytes of bodies that are being written as files.
    coming: Arc<AtomicU64>,
}

/// A share of the bytes being written, for as long as it lives.
struct Coming {
    counter: Arc<AtomicU64>,
    own: u64,
    /// With everybody's.
    all: u64,
}

impl Coming {
    fn of(counter: &Arc<AtomicU64>, own: u64) -> Coming {
        let all = counter.fetch_add(own, Ordering::SeqCst).saturating_add(own);
        Coming { counter: Arc::clone(counter), own, all }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.own, Ordering::SeqCst);
    }
}

/// Idle reading connections; as many permits as connections.
struct Readers {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Box<dyn Read>>>,
    is_closed: AtomicBool,
}

/// A connection in use; it goes back when the use ends, by a panic too.
struct Lent {
    reader: Option<Box<dyn Read>>,
    readers: Arc<Readers>,
    /// Goes after the connection is back, also when whoever asked has gone before.
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    fn lend(self: &Arc<Readers>, permit: OwnedSemaphorePermit) -> Option<Lent> {
        let reader = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Lent { reader: Some(reader), readers: Arc::clone(self), _permit: permit })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut idle = self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.readers.is_closed.load(Ordering::SeqCst) {
            idle.extend(self.reader.take());
        }
    }
}

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

/// Who may ask over HTTP.
#[derive(Clone, Debug)]
pub struct TokenRow {
    pub name: String,
    /// Keyed hash of the token.
    pub hash: [u8; 32],
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub last_peer: Option<String>,
}

/// One chained entry of the decision log as stored.
#[derive(Clone, Debug)]
pub struct LogEntry {
    pub seq: u64,
    /// The record as JSON, with its pseudonyms.
    pub bytes: Vec<u8>,
    pub hash: [u8; 32],
    /// The bytes that are hashed: the record with commitments in place of pseudonyms.
    pub chained: String,
    pub pseudonyms: Pseudonyms,
}

/// How many copies wait, by state, and how old the oldest is.
#[derive(Clone, Debug, Default)]
pub struct Depth {
    pub queued: u64,
    pub in_flight: u64,
    pub held: u64,
    /// Rows that cannot be read any more.
    pub damaged: u64,
    pub escrowed_open: u64,
    pub oldest_queued_at: Option<Timestamp>,
}

impl Handle {
    /// Opens or creates the store, takes the lock, recovers: in-flight copies become queued, files without a row go.
    ///
    /// # Errors
    /// [`Error::Refused`] says who holds the folder, or what is wrong with store or keys.
    #[allow(clippy::needless_pass_by_value)] // the settings are the store's from here on
    pub fn open(settings: Settings, vault: Arc<crate::vault::Vault>) -> Result<Handle, Error> {
        Handle::open_within(&settings, vault, LOCK_WAIT)
    }

    /// As [`Handle::open`]; a process that is just ending is waited for.
    pub(super) fn open_within(settings: &Settings, vault: Arc<crate::vault::Vault>, wait: Duration) -> Result<Handle, Error> {
        let lock = open_folder(&settings.folder, wait)?;
        let bodies = Bodies::open(&settings.folder).map_err(|error| unwritable(&settings.folder, &error))?;
        let free_bytes_min = Arc::new(AtomicU64::new(FREE_BYTES_MIN));
        let store =
            SqliteStore::open(&settings.folder, bodies.clone(), vault, settings.body_file_bytes, Arc::clone(&free_bytes_min))?;
        let idle =
            (0..READERS).map(|_| SqliteStore::reader(&settings.folder, bodies.clone())).collect::<Result<Vec<_>, Error>>()?;
        Handle::start(Box::new(store), idle, bodies, settings.body_file_bytes, free_bytes_min, lock)
    }

    pub(super) fn start(
        store: Box<dyn Store>,
        idle: Vec<Box<dyn Read>>,
        bodies: Bodies,
        body_file_bytes: usize,
        free_bytes_min: Arc<AtomicU64>,
        lock: File,
    ) -> Result<Handle, Error> {
        let (jobs, waiting) = mpsc::channel(JOBS_WAITING_MAX);
        let shared = Arc::new(Shared {
            is_closed: AtomicBool::new(false),
            failed: watch::Sender::new(false),
            due: Arc::new(Notify::new()),
        });
        let for_writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || run(store, waiting, &for_writer, lock))
            .map_err(|error| Error::Refused(format!("cannot start a thread: {error}")))?;
        let readers =
            Readers { permits: Arc::new(Semaphore::new(idle.len())), idle: Mutex::new(idle), is_closed: AtomicBool::new(false) };
        Ok(Handle { jobs, shared, readers: Arc::new(readers), bodies, body_file_bytes, free_bytes_min, coming: Arc::default() })
    }

    /// Writes the commit together with all others waiting; returns when it is synced.
    ///
    /// # Errors
    /// [`Error`] says why nothing of it was kept. After [`Error::Closed`] that is unknown until the next start.
    pub async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let files = self.write_files(&commit).await?;
        self.done(Order::Commit { commit: Box::new(commit), files }).await
    }

    /// Large bodies are written and synced here, beside the writer, so that they hold nobody up.
    async fn write_files(&self, commit: &Commit) -> Result<Vec<Written>, Error> {
        let mut large = Vec::new();
        for body in &commit.bodies {
            if body.sealed.0.len() > self.body_file_bytes {
                large.push((name_of_body(body.id), Arc::clone(&body.sealed)));
            }
        }
        for parcel in &commit.parcels {
            if parcel.body.0.len() > self.body_file_bytes {
                large.push((name_of_parcel(parcel.id), Arc::new(parcel.body.clone())));
            }
        }
        if large.is_empty() {
            return Ok(Vec::new());
        }
        let brings_mail = commit.settles.is_empty() && commit.parcels.is_empty();
        if self.shared.is_closed.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        // What others are just writing is not on the disk yet and will be.
        let size = large.iter().fold(0u64, |sum, (_, sealed)| sum.saturating_add(sealed.0.len() as u64));
        let coming = Coming::of(&self.coming, size);
        let least = self.free_bytes_min.load(Ordering::Relaxed).saturating_add(coming.all);
        if brings_mail && self.free_bytes().is_some_and(|free| free < least) {
            return Err(Error::Full);
        }
        let bodies = self.bodies.clone();
        let written = tokio::task::spawn_blocking(move || {
            large.into_iter().map(|(name, sealed)| bodies.write(name, &sealed)).collect::<std::io::Result<Vec<_>>>()
        })
        .await;
        match written {
            Ok(Ok(files)) => Ok(files),
            Ok(Err(error)) => match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Err(Error::Full),
                _ => {
                    self.fail(format!("cannot write a body: {error}")).await;
                    Err(Error::Closed)
                }
            },
            // Only when the runtime is shutting down.
            Err(_) => Err(Error::Closed),
        }
    }

    /// From here on nothing is taken, and the writer stops.
    async fn fail(&self, what: String) {
        self.shared.fail(&what);
        let _ = self.jobs.send(Job::Broken(what)).await;
    }

    async fn order(&self, order: Order) -> Result<Answer, Error> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Order(order, answer)).await.map_err(|_| Error::Closed)?;
        answered.await.unwrap_or(Err(Error::Closed))
    }

    async fn done(&self, order: Order) -> Result<(), Error> {
        self.order(order).await.map(|_| ())
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        with: impl FnOnce(&mut dyn Read) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.readers.permits).acquire_owned().await.map_err(|_| Error::Closed)?;
        let readers = Arc::clone(&self.readers);
        let task = tokio::task::spawn_blocking(move || {
            let mut lent = readers.lend(permit).ok_or(Error::Closed)?;
            let reader = lent.reader.as_deref_mut().ok_or(Error::Closed)?;
            let result = with(reader);
            Ok((result, reader.take_damaged()))
        });
        let (result, damaged) = task.await.unwrap_or(Err(Error::Closed))?;
        if let Err(error @ Error::Damaged { .. }) = &result {
            // Mail must not be added to a file that does not keep it.
            self.fail(error.to_string()).await;
        }
        if !damaged.is_empty() {
            // Nobody waits for it: a listing that finds them again says so again.
            let (answer, _) = oneshot::channel();
            let _ = self.jobs.try_send(Job::Order(Order::SetAside { rows: damaged, at: clock() }, answer));
        }
        result
    }

    /// Rows that cannot be read any more and were set aside.
    pub async fn damaged(&self) -> Result<Vec<Damaged>, Error> {
        self.read(|store| store.damaged()).await
    }

    /// Notified when a commit left copies queued for now.
    #[must_use]
    pub fn due_signal(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.due)
    }

    /// Claims up to `max` copies of a lane whose time has come: state in-flight, generation + 1.
    ///
    /// # Errors
    /// Here and below: [`Error::Closed`] after a failure or [`Handle::close`]; [`Error::Refused`] if a row is damaged.
    pub async fn claim_of(&self, lane: Lane, now: Timestamp, max: usize) -> Result<Vec<CopyRow>, Error> {
        match self.order(Order::Claim { lane, now, max }).await? {
            Answer::Claimed(rows) => Ok(rows),
            _ => Err(mixed_up()),
        }
    }

    /// As [`Handle::claim_of`], of the lane that goes first.
    pub async fn claim(&self, now: Timestamp, max: usize) -> Result<Vec<CopyRow>, Error> {
        self.claim_of(Lane::First, now, max).await
    }

    /// When the next queued copy of a lane is due.
    pub async fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>, Error> {
        self.read(move |store| store.next_due(lane)).await
    }
    pub async fn body(&self, id: BodyId) -> Result<Option<Arc<Sealed>>, Error> {
        self.read(move |store| Ok(store.body(id)?.map(Arc::new))).await
    }
    pub async fn copy(&self, id: CopyId) -> Result<Option<CopyRow>, Error> {
        self.read(move |store| store.copy(id)).await
    }
    pub async fn copies_of(&self, message: QueueId) -> Result<Vec<CopyRow>, Error> {
        self.read(move |store| store.copies_of(message)).await
    }
    pub async fn copies_by_message_id(&self, id: Pseudonym) -> Result<Vec<CopyRow>, Error> {
        self.read(move |store| store.copies_by_message_id(&id)).await
    }
    /// Newest first; `open_only` leaves out terminal states.
    pub async fn copies(&self, open_only: bool, max: usize) -> Result<Vec<CopyRow>, Error> {
        self.read(move |store| store.copies(open_only, max)).await
    }
    /// Held copies received at or before `at`, oldest first.
    pub async fn held_since(&self, at: Timestamp, max: usize) -> Result<Vec<CopyRow>, Error> {
        self.read(move |store| store.held_since(at, max)).await
    }
    pub async fn parcel(&self, id: ParcelId) -> Result<Option<ParcelRow>, Error> {
        self.read(move |store| store.parcel(id)).await
    }
    pub async fn parcel_by_number(&self, number_hash: [u8; 32]) -> Result<Option<ParcelRow>, Error> {
        self.read(move |store| store.parcel_by_number(number_hash)).await
    }
    pub async fn parcels(&self, open_only: bool, max: usize) -> Result<Vec<ParcelRow>, Error> {
        self.read(move |store| store.parcels(open_only, max)).await
    }
    /// Parcels still open that ended by `expired` and, if they were opened, were first opened by `opened`; oldest first.
    pub async fn parcels_ended(&self, expired: Timestamp, opened: Timestamp, max: usize) -> Result<Vec<ParcelRow>, Error> {
        self.read(move |store| store.parcels_ended(expired, opened, max)).await
    }
    /// Open parcels whose code was tried ten times and still lies here: nobody was told yet.
    pub async fn parcels_tried_out(&self, max: usize) -> Result<Vec<ParcelId>, Error> {
        self.read(move |store| store.parcels_tried_out(max)).await
    }
    /// (header section, body), sealed under the parcel's key.
    pub async fn parcel_content(&self, id: ParcelId) -> Result<Option<(Sealed, Sealed)>, Error> {
        self.read(move |store| store.parcel_content(id)).await
    }
    /// Counts one try against the code in force: committed and synced before this returns. `None`: ten were
    /// used, the code is void. `Some(n)`: this is try number n. Resets with a new code only.
    pub async fn count_try(&self, id: ParcelId, at: Timestamp) -> Result<Option<u32>, Error> {
        match self.order(Order::CountTry { parcel: id, at }).await? {
            Answer::Try(number) => Ok(number),
            _ => Err(mixed_up()),
        }
    }
    /// Gives back the one try that was a right code. Wrong ones stay counted for as long as the code lives: a reader
    /// who comes often must not give a stranger new tries each time.
    pub async fn give_back_try(&self, id: ParcelId) -> Result<(), Error> {
        self.done(Order::GiveBackTry { parcel: id }).await
    }
    /// Voids every code in force, as after restoring a backup: tries made since would otherwise be given back.
    pub async fn void_codes(&self) -> Result<u64, Error> {
        match self.order(Order::VoidCodes).await? {
            Answer::Voided(count) => Ok(count),
            _ => Err(mixed_up()),
        }
    }
    /// Whether the code in force of any open parcel has this keyed hash, so that it never leaves by e-mail.
    pub async fn is_live_code(&self, spoken_hash: [u8; 32]) -> Result<bool, Error> {
        self.read(move |store| store.is_live_code(spoken_hash)).await
    }
    /// Whether any of these is the keyed hash of a live code; one read for all.
    pub async fn is_any_live_code(&self, spoken_hashes: Vec<[u8; 32]>) -> Result<bool, Error> {
        self.read(move |store| {
            if spoken_hashes.len() > ASK_EACH_MAX {
                let asked: std::collections::HashSet<[u8; 32]> = spoken_hashes.into_iter().collect();
                return Ok(store.live_codes()?.iter().any(|live| asked.contains(live)));
            }
            for hash in spoken_hashes {
                if store.is_live_code(hash)? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }
    pub async fn user(&self, name: &str) -> Result<Option<UserRow>, Error> {
        let name = name.to_owned();
        self.read(move |store| store.user(&name)).await
    }
    pub async fn users(&self) -> Result<Vec<UserRow>, Error> {
        self.read(|store| store.users()).await
    }
    /// Adds or replaces; a user other than the first removes the first credential.
    pub async fn put_user(&self, user: UserRow) -> Result<(), Error> {
        self.done(Order::PutUser(Box::new(user))).await
    }
    pub async fn remove_user(&self, name: &str) -> Result<bool, Error> {
        match self.order(Order::RemoveUser { name: name.to_owned() }).await? {
            Answer::Removed(was_there) => Ok(was_there),
            _ => Err(mixed_up()),
        }
    }
    pub async fn note_use(&self, name: &str, at: Timestamp, peer: String) -> Result<(), Error> {
        self.done(Order::NoteUse { name: name.to_owned(), at, peer }).await
    }
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        self.read(|store| store.tokens()).await
    }
    /// [`Error::Refused`] if there is one of that name.
    pub async fn put_token(&self, token: TokenRow) -> Result<(), Error> {
        self.done(Order::PutToken(Box::new(token))).await
    }
    pub async fn remove_token(&self, name: &str) -> Result<bool, Error> {
        match self.order(Order::RemoveToken { name: name.to_owned() }).await? {
            Answer::Removed(was_there) => Ok(was_there),
            _ => Err(mixed_up()),
        }
    }
    pub async fn note_token_use(&self, name: &str, at: Timestamp, peer: String) -> Result<(), Error> {
        self.done(Order::NoteTokenUse { name: name.to_owned(), at, peer }).await
    }
    /// The entry of the log that tells of the last delivery to a domain whose host proved itself.
    pub async fn contact(&self, domain: &Domain) -> Result<Option<LogEntry>, Error> {
        let domain = domain.clone();
        self.read(move |store| store.contact(&domain)).await
    }
    /// Cached MTA-STS policy, sealed (authenticated) by the vault.
    pub async fn sts(&self, domain: &Domain) -> Result<Option<Sealed>, Error> {
        let domain = domain.clone();
        self.read(move |store| store.sts(&domain)).await
    }
    pub async fn put_sts(&self, domain: &Domain, policy: Sealed) -> Result<(), Error> {
        self.done(Order::PutSts { domain: domain.clone(), policy }).await
    }
    pub async fn starttls_seen(&self, domain: &Domain) -> Result<Option<Timestamp>, Error> {
        let domain = domain.clone();
        self.read(move |store| store.starttls_seen(&domain)).await
    }
    pub async fn note_starttls(&self, domain: &Domain, at: Timestamp) -> Result<(), Error> {
        self.done(Order::NoteStarttls { domain: domain.clone(), at }).await
    }
    /// Counts of TLS sessions of this day and earlier ones, by day and domain.
    pub async fn tls_sessions(&self, through_day: i64, max: usize) -> Result<Vec<(TlsSessions, i64)>, Error> {
        self.read(move |store| store.tls_sessions(through_day, max)).await
    }
    /// Domains with unread parcels that may be sent by mail after all.
    pub async fn domains_waiting(&self, now: Timestamp) -> Result<Vec<Domain>, Error> {
        self.read(move |store| store.domains_waiting(now)).await
    }
    /// Those parcels of one domain, oldest first.
    pub async fn parcels_waiting(&self, domain: &Domain, now: Timestamp, max: usize) -> Result<Vec<ParcelRow>, Error> {
        let domain = domain.clone();
        self.read(move |store| store.parcels_waiting(&domain, now, max)).await
    }
    /// Looks at a domain since then, oldest first, sealed (authenticated) by the vault.
    pub async fn checks(&self, domain: &Domain, since: Timestamp) -> Result<Vec<(Timestamp, Sealed)>, Error> {
        let domain = domain.clone();
        self.read(move |store| store.checks(&domain, since)).await
    }
    /// Keeps what a look at a domain showed, and forgets what is older than `keep_from`.
    pub async fn note_check(&self, domain: &Domain, at: Timestamp, sealed: Sealed, keep_from: Timestamp) -> Result<(), Error> {
        self.done(Order::NoteCheck { domain: domain.clone(), at, sealed, keep_from }).await
    }
    /// The best that a domain showed lately, and when.
    pub async fn standing(&self, domain: &Domain) -> Result<Option<(String, Timestamp)>, Error> {
        let domain = domain.clone();
        self.read(move |store| store.standing(&domain)).await
    }
    pub async fn note_standing(&self, domain: &Domain, standing: &'static str, at: Timestamp) -> Result<(), Error> {
        self.done(Order::NoteStanding { domain: domain.clone(), standing, at }).await
    }
    /// Whether it is to be told that a domain with a standing falls short of it: once in `every_ms`.
    pub async fn note_alarm(&self, domain: &Domain, at: Timestamp, every_ms: i64) -> Result<bool, Error> {
        match self.order(Order::NoteAlarm { domain: domain.clone(), at, every_ms }).await? {
            Answer::Alarm(is_told) => Ok(is_told),
            _ => Err(mixed_up()),
        }
    }
    pub async fn log(&self, from_seq: u64, max: usize) -> Result<Vec<LogEntry>, Error> {
        self.read(move |store| store.log(from_seq, max)).await
    }
    /// Entries that carry this message's id, oldest first.
    pub async fn log_of(&self, message: QueueId) -> Result<Vec<LogEntry>, Error> {
        self.read(move |store| store.log_of(message)).await
    }
    /// Signs the current end of the log and keeps the head; returns its JSON.
    pub async fn sign_head(&self, at: Timestamp) -> Result<String, Error> {
        match self.order(Order::SignHead { at }).await? {
            Answer::Head(signed) => Ok(signed),
            _ => Err(mixed_up()),
        }
    }
    pub async fn heads(&self) -> Result<Vec<String>, Error> {
        self.read(|store| store.heads()).await
    }
    /// Signs a head and writes the log from `from_seq` up to it as an export, piece by piece, with pseudonyms keyed
    /// for this export. `audit::verify_export` and `deploy/verify.py` check it.
    ///
    /// # Errors
    /// As the others; [`Error::Refused`] too if there is no entry `from_seq` or `sink` fails.
    pub async fn export(
        &self,
        vault: &crate::vault::Vault,
        from_seq: u64,
        at: Timestamp,
        mut sink: impl FnMut(&str) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let mut put = |text: &str| sink(text).map_err(|error| Error::Refused(format!("cannot write the export: {error}")));
        let signed_head = self.sign_head(at).await?;
        let (head, _) = crate::audit::open_head(&signed_head).map_err(|problem| Error::Refused(problem.to_string()))?;
        let previous = match from_seq.saturating_sub(1) {
            0 => crate::audit::BEFORE_THE_FIRST,
            before => match self.log(before, 1).await?.first() {
                Some(entry) if entry.seq == before => entry.hash,
                _ => return Err(Error::Refused(format!("the log has no entry {before}"))),
            },
        };
        let id = QueueId(vault.random()).to_string();
        let mut next = from_seq.max(1);
        let (mut export, line) = crate::audit::Export::start(&id, next, &previous, at);
        put(&line)?;
        while next <= head.size {
            let page = self.log(next, EXPORT_PAGE).await?;
            if page.is_empty() {
                return Err(Error::Refused(format!("the log has no entry {next}")));
            }
            for entry in page.iter().take_while(|entry| entry.seq <= head.size) {
                let pseudonyms = entry.pseudonyms.map(|field, pseudonym| vault.export_pseudonym(&id, field, pseudonym));
                put(&export.entry(entry.seq, &entry.chained, pseudonyms, &entry.hash))?;
                next = entry.seq.saturating_add(1);
            }
        }
        put(&export.finish(&signed_head, |bytes| vault.sign(bytes)))
    }

    pub async fn append(&self, records: Vec<Record>) -> Result<(), Error> {
        self.commit(Commit { records, ..Commit::default() }).await
    }
    pub async fn depth(&self) -> Result<Depth, Error> {
        self.read(|store| store.depth()).await
    }

    /// Free bytes on the data folder's file system, for the 452 before the disk is full.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.bodies.free_bytes()
    }

    /// Sets the free space below which new mail gets [`Error::Full`].
    pub fn keep_free(&self, bytes: u64) {
        self.free_bytes_min.store(bytes, Ordering::Relaxed);
    }

    /// Whether new mail may be taken: the store is open and there is space.
    #[must_use]
    pub fn takes_mail(&self) -> bool {
        !self.shared.is_closed.load(Ordering::SeqCst)
            && self.free_bytes().is_none_or(|free| free >= self.free_bytes_min.load(Ordering::Relaxed))
    }

    /// Whether so many octets more fit above the space that is kept free.
    #[must_use]
    pub fn has_space(&self, octets: u64) -> bool {
        let least = self.free_bytes_min.load(Ordering::Relaxed).saturating_add(octets);
        self.free_bytes().is_none_or(|free| free >= least)
    }

    /// Returns once a write or sync has failed. The store is closed then; the process should end with an error, so
    /// that its supervisor starts it anew and what is on the disk is read again.
    pub async fn failed(&self) {
        let mut failed = self.shared.failed.subscribe();
        if failed.wait_for(|is_failed| *is_failed).await.is_err() {
            // The sender lives in `self`, so this cannot be; waiting for ever says "it has not failed".
            std::future::pending::<()>().await;
        }
    }

    /// Finishes what waits and closes.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        self.readers.is_closed.store(true, Ordering::SeqCst);
        self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if self.jobs.send(Job::Close(answer)).await.is_ok() {
            let _ = answered.await;
        }
    }
}

/// When something was found that nobody asked for at a time.
fn clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn mixed_up() -> Error {
    Error::Refused("the store answered another question".into())
}
