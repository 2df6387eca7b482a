//! What a password is worth. Limits come first, then what was right a moment ago, then Argon2 in two slots.
//! An unknown account costs exactly what a known one costs, so neither answer nor effort tells them apart.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use tokio::sync::{OnceCell, Semaphore};

use super::auth::Credentials;
use super::certificate::{Issued, Shown};
use super::network::{Caller, source_of};
use crate::mail::{AddressPattern, Mailbox, Principal, PrincipalKind, Timestamp};
use crate::store::{Handle, UserRow};
use crate::vault::Vault;

/// How many passwords are checked at once: each takes 19 MiB and most of a tenth of a second of one core.
const SLOTS: usize = 2;
/// How many sessions may wait for a slot; beyond it they are told to come back (about three seconds of work).
const WAITING_MAX: usize = 64;
/// Wrong passwords in a row for one account from one address before neither is tried for a while. The owner
/// elsewhere is not locked out.
const FAILURES_MAX: u32 = 10;
/// How long "for a while" is, counted from the last failure.
const BRAKE: Duration = Duration::from_secs(900);
/// Wrong passwords from one address within [`TRIES_WINDOW`], whatever the account.
const TRIES_MAX: usize = 20;
const TRIES_WINDOW: Duration = Duration::from_secs(60);
/// How long a right password is remembered, as an HMAC under a key that lives as long as the process.
const MEMORY: Duration = Duration::from_secs(900);
/// How long an open session may go on sending after its account was revoked.
const RECHECK: Duration = Duration::from_secs(5);
/// Bound of each table; strangers can lengthen them.
const ENTRIES_MAX: usize = 20_000;

/// The accounts cannot be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// Where credentials are kept.
pub trait Accounts: Send + Sync + 'static {
    fn find(&self, name: &str) -> impl Future<Output = Result<Option<UserRow>, Unavailable>> + Send;
    /// Notes that a password was checked and held.
    fn note_use(&self, name: &str, at: Timestamp, peer: IpAddr) -> impl Future<Output = ()> + Send;
    /// Argon2; blocks.
    fn check_password(&self, verifier: &str, password: &[u8]) -> bool;
    /// A verifier of a password nobody knows, as costly as the real ones; blocks.
    fn dummy_verifier(&self) -> String;
}

/// The accounts of the store.
#[derive(Clone)]
pub struct Stored {
    pub store: Handle,
    pub vault: Arc<Vault>,
}

impl Accounts for Stored {
    async fn find(&self, name: &str) -> Result<Option<UserRow>, Unavailable> {
        self.store.user(name).await.map_err(|_| Unavailable)
    }

    async fn note_use(&self, name: &str, at: Timestamp, peer: IpAddr) {
        // Last use is a convenience; a store that fails says so where it matters.
        let _ = self.store.note_use(name, at, peer.to_string()).await;
    }

    fn check_password(&self, verifier: &str, password: &[u8]) -> bool {
        self.vault.check_password(verifier, password)
    }

    fn dummy_verifier(&self) -> String {
        self.vault.password_verifier(&self.vault.random::<20>())
    }
}

/// What came of a credential.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Login {
    Welcome(Principal),
    Wrong,
    /// Too many failures: not looked at.
    Braked,
    /// All slots and places to wait are taken, or the accounts cannot be asked.
    Busy,
}

type Tag = [u8; 32];

pub(super) struct Guard<A> {
    accounts: Arc<A>,
    key: hmac::Key,
    dummy: OnceCell<String>,
    slots: Semaphore,
    waiting: AtomicUsize,
    ledger: Mutex<Ledger>,
    /// One lock for each credential being checked: fifty sessions that log in at once with the same one cost one check.
    flights: Mutex<HashMap<Tag, Arc<tokio::sync::Mutex<()>>>>,
}

impl<A: Accounts> Guard<A> {
    pub(super) fn new(accounts: A) -> Guard<A> {
        Guard {
            accounts: Arc::new(accounts),
            key: process_key(),
            dummy: OnceCell::new(),
            slots: Semaphore::new(SLOTS),
            waiting: AtomicUsize::new(0),
            ledger: Mutex::default(),
            flights: Mutex::default(),
        }
    }

    /// Makes the verifier for unknown accounts before the first client needs it.
    pub(super) async fn warm(&self) {
        self.dummy().await;
    }

    pub(super) async fn check(&self, credentials: Credentials, peer: IpAddr) -> Login {
        let source = source_of(peer);
        let account = self.tag(&[b"account", credentials.name.as_bytes()]);
        if !self.ledger(|ledger| ledger.may_try(account, source, Instant::now())) {
            return Login::Braked;
        }
        let Some(dummy) = self.dummy().await else { return Login::Busy };
        let Ok(user) = self.accounts.find(&credentials.name).await else { return Login::Busy };
        // A certificate's row has no password, and must cost what an unknown account costs.
        let user = user.filter(|user| Issued::parse(&user.verifier).is_none());
        let verifier = user.as_ref().map_or(dummy, |user| user.verifier.as_str()).to_owned();
        // The verifier is part of it, so a changed or revoked password is forgotten with its row.
        let tag = self.tag(&[b"right", credentials.name.as_bytes(), verifier.as_bytes(), credentials.password.as_slice()]);
        if !self.is_remembered(&tag) {
            let Some(_place) = Place::take(&self.waiting) else { return Login::Busy };
            let flight = Arc::clone(lock(&self.flights).entry(tag).or_default());
            let held = flight.lock().await;
            let outcome = if self.is_remembered(&tag) {
                Ok(true)
            } else {
                self.check_slowly(&credentials, verifier, (account, source), tag).await
            };
            drop(held);
            lock(&self.flights).retain(|_, other| !Arc::ptr_eq(other, &flight) || Arc::strong_count(other) > 2);
            match outcome {
                Ok(true) => {}
                Ok(false) => return Login::Wrong,
                Err(login) => return login,
            }
        }
        // The credential printed at the first start opens the door only on the machine itself.
        match user {
            Some(user) if !user.is_first || peer.to_canonical().is_loopback() => {
                self.ledger(|ledger| ledger.succeeded(account, source, false));
                Login::Welcome(principal(&user))
            }
            _ => Login::Wrong,
        }
    }

    async fn check_slowly(
        &self,
        credentials: &Credentials,
        verifier: String,
        (account, source): (Tag, IpAddr),
        tag: Tag,
    ) -> Result<bool, Login> {
        let Ok(_slot) = self.slots.acquire().await else { return Err(Login::Busy) };
        // Counted as a failure before it is looked at, so that many guesses at once count as many.
        if !self.ledger(|ledger| ledger.take_try(account, source, Instant::now())) {
            return Err(Login::Braked);
        }
        let (accounts, password) = (Arc::clone(&self.accounts), credentials.password.clone());
        let is_right = tokio::task::spawn_blocking(move || accounts.check_password(&verifier, &password)).await;
        match is_right {
            Ok(true) => {
                self.ledger(|ledger| {
                    ledger.succeeded(account, source, true);
                    ledger.remember(tag, Instant::now());
                });
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(_) => Err(Login::Busy),
        }
    }

    /// Who shows this certificate of the built-in authority, if it is not revoked.
    pub(super) async fn issued(&self, shown: &Shown) -> Option<Caller> {
        let row = self.accounts.find(&Issued::row_name(&shown.name)).await.ok()??;
        Issued::caller(&row, shown)
    }

    /// Whether the account is still there: sessions live longer than a revocation may take. Accounts that cannot be asked
    /// are believed; the store that holds them takes no message then either.
    pub(super) async fn is_still_there(&self, name: &str) -> bool {
        let tag = self.tag(&[b"there", name.as_bytes()]);
        if self.ledger(|ledger| ledger.is_fresh(&tag, Instant::now(), RECHECK)) {
            return true;
        }
        match self.accounts.find(name).await {
            Ok(None) => false,
            Ok(Some(_)) => {
                self.ledger(|ledger| ledger.remember(tag, Instant::now()));
                true
            }
            Err(Unavailable) => true,
        }
    }

    /// Whether this was not said within the last minutes.
    pub(super) fn is_news(&self, what: &str, name: &str) -> bool {
        let tag = self.tag(&[b"news", what.as_bytes(), name.as_bytes()]);
        self.ledger(|ledger| {
            let is_news = !ledger.is_remembered(&tag, Instant::now());
            if is_news {
                ledger.remember(tag, Instant::now());
            }
            is_news
        })
    }

    /// Notes a use that was checked; sessions that follow within minutes are not worth a write each, unless they come
    /// from elsewhere.
    pub(super) async fn note_use(&self, name: &str, at: Timestamp, peer: IpAddr) {
        let use_tag = self.tag(&[b"use", name.as_bytes(), peer.to_string().as_bytes()]);
        if !self.is_remembered(&use_tag) {
            self.ledger(|ledger| ledger.remember(use_tag, Instant::now()));
            self.accounts.note_use(name, at, peer).await;
        }
    }

    async fn dummy(&self) -> Option<&str> {
        let accounts = Arc::clone(&self.accounts);
        let made =
            self.dummy.get_or_try_init(|| async { tokio::task::spawn_blocking(move || accounts.dummy_verifier()).await }).await;
        made.ok().map(String::as_str)
    }

    fn is_remembered(&self, tag: &Tag) -> bool {
        self.ledger(|ledger| ledger.is_remembered(tag, Instant::now()))
    }

    fn ledger<T>(&self, act: impl FnOnce(&mut Ledger) -> T) -> T {
        act(&mut lock(&self.ledger))
    }

    /// HMAC over the fields, each with its length before it.
    fn tag(&self, fields: &[&[u8]]) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for field in fields {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        let mut tag = [0; 32];
        for (slot, byte) in tag.iter_mut().zip(context.sign().as_ref()) {
            *slot = *byte;
        }
        tag
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A key that lives as long as the process.
#[allow(clippy::expect_used)] // without randomness from the system there is no TLS either
fn process_key() -> hmac::Key {
    let mut bytes = zeroize::Zeroizing::new([0u8; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).expect("the system gives random bytes");
    hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice())
}

/// Entries that no longer parse give no right.
pub(super) fn principal(user: &UserRow) -> Principal {
    Principal {
        name: user.name.clone(),
        kind: PrincipalKind::User,
        may_send_as: user.may_send_as.iter().filter_map(|text| AddressPattern::parse(text).ok()).collect(),
        bound_address: user.bound_address.as_deref().and_then(|text| Mailbox::parse(text).ok()),
        tenancy: Vec::new(),
    }
}

/// One place in the queue for a slot.
struct Place<'g>(&'g AtomicUsize);

impl<'g> Place<'g> {
    fn take(waiting: &'g AtomicUsize) -> Option<Place<'g>> {
        let place = Place(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < SLOTS + WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy)]
struct Streak {
    failures: u32,
    last: Instant,
}

/// Failures and what was right. Times are handed in.
#[derive(Default)]
struct Ledger {
    streaks: HashMap<(Tag, IpAddr), Streak>,
    tries: HashMap<IpAddr, VecDeque<Instant>>,
    right: HashMap<Tag, Instant>,
}

impl Ledger {
    fn may_try(&mut self, account: Tag, source: IpAddr, now: Instant) -> bool {
        let is_braked = self
            .streaks
            .get(&(account, source))
            .is_some_and(|streak| streak.failures >= FAILURES_MAX && now.duration_since(streak.last) < BRAKE);
        let tries = self.tries.get(&source).map_or(0, |times| times.iter().filter(|at| is_recent(**at, now)).count());
        !is_braked && tries < TRIES_MAX
    }

    /// Counts a try as failed, if one is still allowed.
    fn take_try(&mut self, account: Tag, source: IpAddr, now: Instant) -> bool {
        if !self.may_try(account, source, now) {
            return false;
        }
        self.make_room(now);
        let streak = self.streaks.entry((account, source)).or_insert(Streak { failures: 0, last: now });
        if now.duration_since(streak.last) >= BRAKE {
            streak.failures = 0;
        }
        streak.failures += 1;
        streak.last = now;
        let times = self.tries.entry(source).or_default();
        while times.front().is_some_and(|at| !is_recent(*at, now)) {
            times.pop_front();
        }
        times.push_back(now);
        true
    }

    /// A right password ends the streak; if it took a try, that was none.
    fn succeeded(&mut self, account: Tag, source: IpAddr, took_try: bool) {
        self.streaks.remove(&(account, source));
        if took_try && let Some(times) = self.tries.get_mut(&source) {
            times.pop_back();
        }
    }

    fn remember(&mut self, tag: Tag, now: Instant) {
        self.make_room(now);
        self.right.insert(tag, now);
    }

    fn is_fresh(&self, tag: &Tag, now: Instant, within: Duration) -> bool {
        self.right.get(tag).is_some_and(|since| now.duration_since(*since) < within)
    }

    fn is_remembered(&self, tag: &Tag, now: Instant) -> bool {
        self.is_fresh(tag, now, MEMORY)
    }

    /// Keeps the tables bounded: what has expired goes first, then single failures, then all.
    fn make_room(&mut self, now: Instant) {
        if self.right.len() >= ENTRIES_MAX {
            self.right.retain(|_, since| now.duration_since(*since) < MEMORY);
        }
        if self.right.len() >= ENTRIES_MAX {
            self.right.clear();
        }
        if self.tries.len() >= ENTRIES_MAX {
            self.tries.retain(|_, times| times.back().is_some_and(|at| is_recent(*at, now)));
        }
        if self.tries.len() >= ENTRIES_MAX {
            self.tries.clear();
        }
        for failures_min in [1, 3, FAILURES_MAX, u32::MAX] {
            if self.streaks.len() >= ENTRIES_MAX {
                self.streaks.retain(|_, s| s.failures >= failures_min && now.duration_since(s.last) < BRAKE);
            }
        }
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.duration_since(at) < TRIES_WINDOW
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
#[path = "guard_tests.rs"]
mod tests;
