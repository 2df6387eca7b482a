//! Takes due copies to their attempts and writes down what came of them.
//!
//! Copies come warm from the pipeline, or are claimed from the store when their time has come. They wait in lanes, one
//! for each recipient domain, so that a domain that hangs keeps only its own lane waiting. Outcomes are committed with
//! everything they entail in one transaction; they share the sync of whatever else is being committed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::attempt::{AskWay, Attempts};
use super::fallback::Parcels;
use super::finish::{Finish, ROOM_EVERY, store_failed, with_room};
use super::history::History;
use super::later::{self, Later};
use super::pool::{Pool, bulk_share};
use super::settings::Settings;
use super::tally::Tally;
use super::weather::Weather;
use crate::mail::{CopyId, Domain, Timestamp};
use crate::observe;
use crate::policy::Lane;
use crate::store::{Commit, CopyRow, Handle, Settle};
use crate::vault::Vault;

/// Copies that wait in memory for one domain; more of them wait in the store.
const LANE_MAX: usize = 64;
/// Copies claimed at a time.
const CLAIM_MAX: usize = 64;
/// Bodies up to this size stay in memory while their copies wait in a lane.
const WARM_BODY_OCTETS_MAX: usize = 256 * 1024;
/// The store is asked at least this often, whatever signals say.
const ASK_AT_LEAST: Duration = Duration::from_secs(30);
/// How long a copy that found its lane full waits in the store.
const LANE_FULL_WAIT: Duration = Duration::from_secs(2);
/// How long a copy whose attempt panicked waits: if the copy is the cause, it must not keep us busy.
const PANIC_WAIT: Duration = Duration::from_secs(300);
/// One place in so many is a run's, even if others wait.
const BULK_TURN: u32 = 8;
/// How long a stop waits for attempts that were cut short, and for farewells to hosts.
const CUT_WITHIN: Duration = Duration::from_millis(500);

/// Starts the room.
pub struct Deliver;

/// The running room. Dropping it leaves attempts to end by themselves; [`Running::stop`] waits for them.
pub struct Running {
    first: mpsc::Sender<CopyRow>,
    bulk: mpsc::Sender<CopyRow>,
    stop: watch::Sender<bool>,
    /// Attempts that still run are to end where they are.
    cut: watch::Sender<bool>,
    dispatcher: JoinHandle<()>,
    later: JoinHandle<()>,
    /// Closed once `later` has ended, well or by a panic.
    looks: watch::Receiver<()>,
    pub(super) shared: Arc<Shared>,
}

/// What dispatcher and attempts share.
pub(super) struct Shared {
    settings: Arc<Settings>,
    store: Handle,
    finish: Finish,
    pool: Arc<Pool>,
    tally: Arc<Tally>,
    fast: Arc<Semaphore>,
    /// The part of `fast` that runs of many may take.
    bulk: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    /// A slow attempt has given up its fast place.
    freed: Notify,
    cut: watch::Receiver<bool>,
}

/// An attempt is over.
struct Done {
    lane: Lane,
    domain: Domain,
    /// When the copy is due again, if it is.
    next_at: Option<Timestamp>,
}

impl Deliver {
    /// Starts delivering: what is queued already, what becomes due, and what comes warm.
    #[must_use]
    pub fn start(settings: Settings, ask: Arc<dyn AskWay>, store: Handle, vault: Arc<Vault>) -> Running {
        let settings = Arc::new(settings);
        let pool = Arc::new(Pool::new(settings.pool.clone()));
        let tally = Arc::new(Tally::new(settings.tls_reports, settings.mx_port != 25));
        let parcels = Arc::new(Parcels::new(Arc::clone(&settings), store.clone(), Arc::clone(&vault)));
        let attempts = Arc::new(Attempts {
            settings: Arc::clone(&settings),
            ask,
            pool: Arc::clone(&pool),
            weather: Arc::new(Weather::new(settings.weather)),
            tally: Arc::clone(&tally),
            dice: {
                let vault = Arc::clone(&vault);
                Arc::new(move || u64::from_be_bytes(vault.random()))
            },
        });
        let history = Arc::new(History::new(Arc::clone(&settings), store.clone()));
        let later = Arc::new(Later {
            settings: Arc::clone(&settings),
            store: store.clone(),
            vault: Arc::clone(&vault),
            attempts: Arc::clone(&attempts),
            history: Arc::clone(&history),
            sends: Semaphore::new(1),
        });
        let finish = Finish::new(Arc::clone(&settings), store.clone(), vault, parcels, attempts, history);
        let (cut, is_cut) = watch::channel(false);
        let shared = Arc::new(Shared {
            cut: is_cut,
            fast: Arc::new(Semaphore::new(settings.attempts_max)),
            bulk: Arc::new(Semaphore::new(bulk_share(settings.attempts_max))),
            slow: Arc::new(Semaphore::new(settings.slow_max)),
            freed: Notify::new(),
            settings,
            store,
            finish,
            pool,
            tally,
        });
        let (first, first_rows) = mpsc::channel(shared.settings.warm_max.max(1));
        let (bulk, bulk_rows) = mpsc::channel(shared.settings.warm_max.max(1));
        let (stop, stopped) = watch::channel(false);
        let (is_looking, looks) = watch::channel(());
        let (until, work) = (stopped.clone(), later);
        let later = tokio::spawn(async move {
            later::run(work, until).await;
            drop(is_looking);
        });
        let dispatcher = tokio::spawn(dispatch(Arc::clone(&shared), first_rows, bulk_rows, stopped));
        Running { first, bulk, stop, cut, dispatcher, later, looks, shared }
    }
}

impl Running {
    /// Where the pipeline hands over copies that it has just committed as in flight. It takes a permit before the
    /// commit, so that a copy is either handed over or left queued in the store.
    #[must_use]
    pub fn warm(&self, lane: Lane) -> mpsc::Sender<CopyRow> {
        match lane {
            Lane::First => self.first.clone(),
            Lane::Bulk => self.bulk.clone(),
        }
    }

    /// Returns when nobody looks any more whether parcels can be sent after all.
    pub fn later_ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut looks = self.looks.clone();
        async move { while looks.changed().await.is_ok() {} }
    }

    /// The maker of parcels, for releases and new codes.
    #[must_use]
    pub fn parcels(&self) -> Arc<Parcels> {
        self.shared.finish.parcels()
    }

    /// What is counted for reports about TLS.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.shared.tally)
    }

    /// Takes on nothing new, and waits a while for the attempts under way. What does not end in time is cut short
    /// before the store closes; its copies stay in flight and are claimed again at the next start.
    pub async fn stop(mut self) {
        // The receiver is gone only if the dispatcher has ended already.
        let _ = self.stop.send(true);
        let _ = self.dispatcher.await;
        let shared = &self.shared;
        let idle = || async {
            let _fast = shared.fast.acquire_many(shared.settings.attempts_max as u32).await;
            let _slow = shared.slow.acquire_many(shared.settings.slow_max as u32).await;
        };
        let all = async {
            idle().await;
            let _ = (&mut self.later).await;
        };
        if tokio::time::timeout(shared.settings.stop_within, all).await.is_err() {
            self.later.abort();
            self.cut.send_replace(true);
            let _ = tokio::time::timeout(CUT_WITHIN, idle()).await;
        }
        let _ = tokio::time::timeout(CUT_WITHIN, shared.pool.close()).await;
        shared.tally.flush(&shared.store).await;
    }
}

/// The copies that wait for one domain.
#[derive(Default)]
struct Waiting {
    running: usize,
    waiting: VecDeque<CopyRow>,
}

/// All lanes, and the order in which those with work and room take their turns.
#[derive(Default)]
struct ByDomain {
    lanes: HashMap<Domain, Waiting>,
    turns: VecDeque<Domain>,
    waiting: usize,
}

impl ByDomain {
    /// Takes a row in, or gives it back if its lane is full.
    fn push(&mut self, mut row: CopyRow, per_domain_max: usize) -> Option<CopyRow> {
        let domain = row.copy.domain.clone();
        let lane = self.lanes.entry(domain.clone()).or_default();
        if lane.waiting.len() >= LANE_MAX {
            return Some(row);
        }
        if row.warm_body.as_ref().is_some_and(|body| body.0.len() > WARM_BODY_OCTETS_MAX) {
            row.warm_body = None;
        }
        lane.waiting.push_back(row);
        self.waiting += 1;
        if lane.waiting.len() == 1 && lane.running < per_domain_max {
            self.turns.push_back(domain);
        }
        None
    }

    /// The next copy whose lane has room.
    fn pop(&mut self, per_domain_max: usize) -> Option<CopyRow> {
        while let Some(domain) = self.turns.pop_front() {
            let Some(lane) = self.lanes.get_mut(&domain) else { continue };
            if lane.running >= per_domain_max {
                continue;
            }
            let Some(row) = lane.waiting.pop_front() else { continue };
            self.waiting -= 1;
            lane.running += 1;
            if !lane.waiting.is_empty() && lane.running < per_domain_max {
                self.turns.push_back(domain);
            }
            return Some(row);
        }
        None
    }

    fn done(&mut self, domain: &Domain, per_domain_max: usize) {
        let Some(lane) = self.lanes.get_mut(domain) else { return };
        // A lane at its limit had no turn; one below it still has.
        let had_no_turn = lane.running == per_domain_max;
        lane.running = lane.running.saturating_sub(1);
        if !lane.waiting.is_empty() && had_no_turn {
            self.turns.push_back(domain.clone());
        } else if lane.waiting.is_empty() && lane.running == 0 {
            self.lanes.remove(domain);
        }
    }

    /// Everything that waits, for a stop.
    fn drain(&mut self) -> Vec<CopyRow> {
        self.turns.clear();
        self.waiting = 0;
        self.lanes.drain().flat_map(|(_, lane)| lane.waiting).collect()
    }
}

/// What waits of one lane: in memory, on its way from the pipeline, and in the store from `ask_at` on.
struct Side {
    lane: Lane,
    /// Attempts for one domain at a time.
    per_domain_max: usize,
    waiting_max: usize,
    lanes: ByDomain,
    warm: mpsc::Receiver<CopyRow>,
    ask_at: Instant,
}

impl Side {
    fn of(lane: Lane, settings: &Settings, warm: mpsc::Receiver<CopyRow>) -> Side {
        let per_domain_max = match lane {
            Lane::First => settings.per_domain_max,
            Lane::Bulk => bulk_share(settings.per_domain_max),
        };
        let waiting_max = settings.attempts_max.saturating_mul(4).max(CLAIM_MAX);
        Side { lane, per_domain_max, waiting_max, lanes: ByDomain::default(), warm, ask_at: Instant::now() }
    }

    fn has_room(&self) -> bool {
        self.lanes.waiting < self.waiting_max
    }

    fn pop(&mut self) -> Option<CopyRow> {
        self.lanes.pop(self.per_domain_max)
    }

    fn take_in(&mut self, shared: &Shared, row: CopyRow) {
        if let Some(row) = self.lanes.push(row, self.per_domain_max) {
            give_back(shared, vec![row]);
        }
    }

    /// Claims what is due; sets when to ask again.
    async fn claim(&mut self, shared: &Shared) {
        let max = self.waiting_max.saturating_sub(self.lanes.waiting).min(CLAIM_MAX);
        let rows = match shared.store.claim_of(self.lane, now(), max).await {
            Ok(rows) => rows,
            Err(error) => {
                store_failed(&error);
                self.ask_at = Instant::now() + ASK_AT_LEAST;
                return;
            }
        };
        let is_full = rows.len() >= max;
        let per_domain_max = self.per_domain_max;
        let back: Vec<CopyRow> = rows.into_iter().filter_map(|row| self.lanes.push(row, per_domain_max)).collect();
        if !back.is_empty() {
            give_back(shared, back);
        }
        self.ask_at = if is_full {
            Instant::now()
        } else {
            let latest = Instant::now() + ASK_AT_LEAST;
            match shared.store.next_due(self.lane).await {
                Ok(Some(next_at)) => latest.min(instant_of(next_at)),
                Ok(None) | Err(_) => latest,
            }
        };
    }

    fn left(&mut self) -> Vec<CopyRow> {
        self.warm.close();
        let mut left = self.lanes.drain();
        while let Ok(row) = self.warm.try_recv() {
            left.push(row);
        }
        left
    }
}

/// Which lane goes next: always the first, but for every eighth place, so that runs go on whatever comes.
fn next_of(
    first: &mut Side,
    bulk: &mut Side,
    places: &Arc<Semaphore>,
    turn: &mut u32,
) -> Option<(CopyRow, Option<OwnedSemaphorePermit>)> {
    let is_bulks_turn = *turn % BULK_TURN == BULK_TURN - 1;
    if !is_bulks_turn && let Some(row) = first.pop() {
        *turn = turn.wrapping_add(1);
        return Some((row, None));
    }
    if let Ok(place) = Arc::clone(places).try_acquire_owned()
        && let Some(row) = bulk.pop()
    {
        *turn = 0;
        return Some((row, Some(place)));
    }
    first.pop().map(|row| (row, None))
}

async fn dispatch(
    shared: Arc<Shared>,
    first: mpsc::Receiver<CopyRow>,
    bulk: mpsc::Receiver<CopyRow>,
    mut stopped: watch::Receiver<bool>,
) {
    let settings = Arc::clone(&shared.settings);
    let mut first = Side::of(Lane::First, &settings, first);
    let mut bulk = Side::of(Lane::Bulk, &settings, bulk);
    let due = shared.store.due_signal();
    let (done, mut over) = mpsc::unbounded_channel::<Done>();
    let mut sweep_at = Instant::now() + settings.pool.idle_max;
    let mut turn = 0;
    loop {
        while let Ok(place) = Arc::clone(&shared.fast).try_acquire_owned() {
            let Some((row, bulk_place)) = next_of(&mut first, &mut bulk, &shared.bulk, &mut turn) else { break };
            tokio::spawn(attempt(Arc::clone(&shared), row, (place, bulk_place), done.clone()));
        }
        tokio::select! {
            biased;
            changed = stopped.changed() => {
                if changed.is_err() || *stopped.borrow() {
                    break;
                }
            }
            Some(done) = over.recv() => {
                let side = if done.lane == Lane::Bulk { &mut bulk } else { &mut first };
                side.lanes.done(&done.domain, side.per_domain_max);
                if let Some(next_at) = done.next_at {
                    side.ask_at = side.ask_at.min(instant_of(next_at));
                }
            }
            () = shared.freed.notified() => {}
            row = first.warm.recv(), if first.has_room() => match row {
                Some(row) => first.take_in(&shared, row),
                // Every sender is gone: so is `Running`.
                None => break,
            },
            () = due.notified() => (first.ask_at, bulk.ask_at) = (Instant::now(), Instant::now()),
            () = tokio::time::sleep_until(first.ask_at), if first.has_room() => first.claim(&shared).await,
            row = bulk.warm.recv(), if bulk.has_room() => match row {
                Some(row) => bulk.take_in(&shared, row),
                None => break,
            },
            () = tokio::time::sleep_until(bulk.ask_at), if bulk.has_room() => bulk.claim(&shared).await,
            () = tokio::time::sleep_until(sweep_at) => {
                shared.pool.sweep();
                sweep_at = Instant::now() + settings.pool.idle_max;
            }
        }
    }
    let mut left = first.left();
    left.extend(bulk.left());
    release(&shared.store, left).await;
}

/// Gives claimed copies back to the store, untried, because their lane is full. Beside the dispatcher: a full disk
/// must not keep it from what it has in memory.
fn give_back(shared: &Shared, rows: Vec<CopyRow>) {
    let store = shared.store.clone();
    tokio::spawn(async move {
        for row in &rows {
            let commit = || store.commit(untried(row, LANE_FULL_WAIT));
            if let Err(error) = with_room(ROOM_EVERY, commit).await {
                store_failed(&error);
            }
        }
    });
}

/// At a stop. What cannot be written is claimed again at the next start.
async fn release(store: &Handle, rows: Vec<CopyRow>) {
    for row in rows {
        // One commit each: a conflict with one says nothing of the others. They share a sync.
        if let Err(error) = store.commit(untried(&row, Duration::ZERO)).await {
            store_failed(&error);
        }
    }
}

fn untried(row: &CopyRow, wait: Duration) -> Commit {
    let at = now();
    let next_at = at.plus_ms(wait.as_millis() as i64);
    let settle = Settle {
        copy: row.copy.id,
        generation: row.generation,
        to: crate::queue::CopyState::Queued { next_at },
        at,
        reason: row.last_reason.clone(),
    };
    Commit { settles: vec![settle], ..Commit::default() }
}

/// Runs one attempt in a task of its own, so that a panic costs that attempt and no more.
async fn attempt(
    shared: Arc<Shared>,
    row: CopyRow,
    places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
    done: mpsc::UnboundedSender<Done>,
) {
    let (lane, domain) = (row.copy.class.lane(), row.copy.domain.clone());
    let (copy, generation, reason) = (row.copy.id, row.generation, row.last_reason.clone());
    let mut work = tokio::spawn({
        let shared = Arc::clone(&shared);
        async move { shared.finish.run(row).await }
    });
    let mut permit = (Some(places.0), places.1);
    let mut cut = shared.cut.clone();
    let mut slow_at = Some(Instant::now() + shared.settings.slow_after);
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended,
            // An end of the sender is no cut: attempts then end by themselves.
            true = is_cut(&mut cut) => {
                work.abort();
                let _ = (&mut work).await;
                return;
            }
            () = tokio::time::sleep_until(slow_at.unwrap_or_else(Instant::now)), if slow_at.is_some() => {
                slow_at = None;
                // A host that takes its time must not keep others from theirs.
                if let Ok(slow) = Arc::clone(&shared.slow).try_acquire_owned() {
                    permit = (Some(slow), None);
                    shared.freed.notify_one();
                }
            }
        }
    };
    let next_at = match ended {
        Ok(next_at) => next_at,
        Err(_) => {
            observe::metrics().panics.inc();
            observe::log(&observe::Event::SessionPanicked);
            Some(requeue(&shared, copy, generation, reason).await)
        }
    };
    drop(permit);
    // The dispatcher has ended only at a stop.
    let _ = done.send(Done { lane, domain, next_at });
}

/// Whether a stop cuts attempts short; false if nobody is left to do so.
async fn is_cut(cut: &mut watch::Receiver<bool>) -> bool {
    cut.wait_for(|cut| *cut).await.is_ok()
}

/// Puts a copy back whose attempt ended without an outcome.
async fn requeue(shared: &Shared, copy: CopyId, generation: u64, reason: Option<String>) -> Timestamp {
    let at = now();
    let next_at = at.plus_ms(PANIC_WAIT.as_millis() as i64);
    let settle = Settle { copy, generation, to: crate::queue::CopyState::Queued { next_at }, at, reason };
    let commit = Commit { settles: vec![settle], ..Commit::default() };
    if let Err(error) = with_room(ROOM_EVERY, || shared.store.commit(commit.clone())).await {
        store_failed(&error);
    }
    next_at
}

/// The clock of this room.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn instant_of(at: Timestamp) -> Instant {
    let ms = u64::try_from(at.since_ms(now())).unwrap_or(0);
    Instant::now() + Duration::from_millis(ms).min(ASK_AT_LEAST)
}
