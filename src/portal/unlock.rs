//! From a typed number and code to an opened key, or to one of the answers that tell a stranger nothing.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Incident, Inner};
use crate::audit::{Event, Record};
use crate::escrow::{Access, Code, NUMBER_HASH, Number, TRIES_MAX, access, effective_expiry};
use crate::mail::{ParcelId, Timestamp};
use crate::observe::metrics;
use crate::secret::Key;
use crate::store::{CodeWrap, Commit, Error, ParcelChange, ParcelRow};

/// Key derivations at once: each takes 64 MiB and most of a second of one core.
const DERIVATIONS: usize = 2;
/// Tries that may wait for one of them.
const WAITING_MAX: usize = 16;

/// The pool of key derivations with its bounded queue.
pub struct Derivations {
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    #[cfg(test)]
    pub done: std::sync::atomic::AtomicU64,
}

impl Derivations {
    pub fn new() -> Derivations {
        Derivations {
            places: Arc::new(Semaphore::new(DERIVATIONS + WAITING_MAX)),
            running: Arc::new(Semaphore::new(DERIVATIONS)),
            #[cfg(test)]
            done: std::sync::atomic::AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
impl Derivations {
    /// Every place of the queue, as if as many tries were waiting.
    pub fn take_all(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.places.clone().try_acquire_many_owned((DERIVATIONS + WAITING_MAX) as u32).ok()
    }
}

/// Which message somebody wants to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Number(Number),
    Locator(ParcelId),
}

/// What came of a try.
pub enum Unlocked {
    /// The code fits: the parcel and its key.
    Open {
        row: Box<ParcelRow>,
        key: Key,
    },
    /// The code fits, but the time is over.
    Expired {
        on: Timestamp,
    },
    Wrong {
        tries_left: u32,
    },
    Locked,
    Wait {
        secs: i64,
    },
    /// Too many tries from this source, at the portal, or in the queue.
    Busy,
    /// The store failed; nothing was tried.
    Failed,
}

/// A message as far as a stranger may tell: found with a code in force, or not.
enum Found {
    Parcel(Box<ParcelRow>, CodeWrap),
    /// Its code was tried out and is gone.
    TriedOut,
    Nothing([u8; 32]),
}

impl Inner {
    /// One try. Known and unknown messages take the same steps: look up, count and sync, derive, record.
    pub async fn unlock(&self, which: Which, code: Code) -> Unlocked {
        let Ok(place) = self.derivations.places.clone().try_acquire_owned() else { return Unlocked::Busy };
        let outcome = match self.find(which).await {
            Ok(Found::Parcel(row, wrap)) => self.try_parcel(*row, wrap, code).await,
            Ok(Found::TriedOut) => Ok(Unlocked::Locked),
            Ok(Found::Nothing(number)) => self.try_nothing(number, code).await,
            Err(_) => Ok(Unlocked::Failed),
        };
        drop(place);
        let outcome = outcome.unwrap_or(Unlocked::Failed);
        metrics().portal(match outcome {
            Unlocked::Open { .. } => "opened",
            Unlocked::Expired { .. } => "expired",
            Unlocked::Wrong { .. } => "wrong-code",
            Unlocked::Locked => "locked",
            Unlocked::Wait { .. } => "wait",
            Unlocked::Busy => "busy",
            Unlocked::Failed => "failed",
        });
        outcome
    }

    async fn find(&self, which: Which) -> Result<Found, Error> {
        let (row, name) = match which {
            Which::Number(number) => {
                let hash = self.vault.keyed_hash(NUMBER_HASH, number.as_bytes());
                (self.store.parcel_by_number(hash).await?, hash)
            }
            Which::Locator(id) => (self.store.parcel(id).await?, self.vault.keyed_hash("locator", id.as_bytes())),
        };
        Ok(match row {
            Some(mut row) if !row.is_closed => match row.code.take() {
                Some(wrap) => Found::Parcel(Box::new(row), wrap),
                None if row.tries >= TRIES_MAX => Found::TriedOut,
                None => Found::Nothing(name),
            },
            _ => Found::Nothing(name),
        })
    }

    async fn try_parcel(&self, row: ParcelRow, wrap: CodeWrap, code: Code) -> Result<Unlocked, Error> {
        let now = self.now();
        let ends = effective_expiry(row.expires_at, row.first_opened_at);
        let is_expired = match access(row.tries, row.last_try_at, ends, row.is_closed, now) {
            Access::Open { .. } => false,
            Access::Expired { .. } => true,
            Access::Wait { until } => return Ok(wait(until, now)),
            Access::Locked | Access::Closed => return Ok(Unlocked::Locked),
        };
        // Counted, committed and synced first: a power cut between guess and answer gives no guess back.
        let Some(tries) = self.store.count_try(row.id, now).await? else { return Ok(Unlocked::Locked) };
        let code_key = self.derive(code, wrap.salt, row.id).await?;
        match self.vault.unwrap_with_code(&code_key, row.id, &wrap.wrap) {
            Ok(_) if is_expired => {
                self.store.append(vec![self.record(Event::TryFailed, &row, Some("expired"))]).await?;
                Ok(Unlocked::Expired { on: ends })
            }
            Ok(key) => {
                let commit = Commit {
                    parcel_changes: vec![ParcelChange::Opened(row.id, now)],
                    records: vec![self.record(Event::Opened, &row, None)],
                    ..Commit::default()
                };
                self.store.commit(commit).await?;
                self.store.give_back_try(row.id).await?;
                self.tell(Incident::Opened(row.id));
                Ok(Unlocked::Open { row: Box::new(row), key })
            }
            Err(_) if tries >= TRIES_MAX => {
                let records = vec![self.record(Event::TryFailed, &row, None), self.record(Event::CodeVoided, &row, None)];
                self.store.append(records).await?;
                self.tell(Incident::CodeVoided(row.id));
                Ok(Unlocked::Locked)
            }
            Err(_) => {
                self.store.append(vec![self.record(Event::TryFailed, &row, None)]).await?;
                Ok(Unlocked::Wrong { tries_left: TRIES_MAX - tries })
            }
        }
    }

    /// The same steps for a message that is not there.
    async fn try_nothing(&self, number: [u8; 32], code: Code) -> Result<Unlocked, Error> {
        let now = self.now();
        match self.limits.unknown_access(number, now) {
            Access::Open { .. } => {}
            Access::Wait { until } => return Ok(wait(until, now)),
            Access::Locked | Access::Closed | Access::Expired { .. } => return Ok(Unlocked::Locked),
        }
        let tries = self.limits.count_unknown(number, now);
        let nobody = ParcelId(self.vault.random());
        // Counts nothing, and takes the same way through the store's writer.
        let _ = self.store.count_try(nobody, now).await;
        self.derive(code, self.vault.random(), nobody).await?;
        let mut record = Record::of(Event::TryFailed, now);
        record.reason = Some("unknown-number".to_owned());
        self.store.append(vec![record]).await?;
        Ok(if tries >= TRIES_MAX { Unlocked::Locked } else { Unlocked::Wrong { tries_left: TRIES_MAX - tries } })
    }

    async fn derive(&self, code: Code, salt: [u8; 16], id: ParcelId) -> Result<Key, Error> {
        let _slot = self.derivations.running.acquire().await.map_err(|_| Error::Closed)?;
        #[cfg(test)]
        self.derivations.done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let vault = self.vault.clone();
        tokio::task::spawn_blocking(move || vault.code_key(code.digits(), &salt, id)).await.map_err(|_| Error::Closed)
    }
}

fn wait(until: Timestamp, now: Timestamp) -> Unlocked {
    Unlocked::Wait { secs: until.since_ms(now).div_euclid(1000) + 1 }
}
