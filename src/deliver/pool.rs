//! Connections that are kept, and what is known of hosts that do not answer.
//!
//! A connection is found again only under the same host, port, TLS plan and account: whoever changes the plan, by a
//! new TLSA record or policy, never meets a connection that was judged under the old one. TLS tickets live with the
//! [`TlsClient`] of one plan value and go with it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::channel::{Channel, Proven};
use crate::mail::Domain;
use crate::policy::Lane;
use crate::transport::{PlanHash, Reason, TlsClient};

/// How connections are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Messages over one connection; some hosts count and refuse beyond theirs.
    pub messages_max: u32,
    /// A connection unused for longer is closed; most hosts wait longer than this.
    pub idle_max: Duration,
    /// Unused connections in all.
    pub idle_count_max: usize,
    /// Connections to one host at a time.
    pub per_host_max: usize,
    /// How long a delivery waits for one of them before it is put off.
    pub wait_max: Duration,
    /// How long an address that did not answer is left alone.
    pub dead_for: Duration,
    /// TLS clients (with their tickets) kept, and for how long; evidence is asked anew well within this time.
    pub tls_count_max: usize,
    pub tls_age_max: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            messages_max: 100,
            idle_max: Duration::from_secs(30),
            idle_count_max: 200,
            per_host_max: 20,
            wait_max: Duration::from_secs(20),
            dead_for: Duration::from_secs(60),
            tls_count_max: 500,
            tls_age_max: Duration::from_secs(3600),
        }
    }
}

/// What two deliveries must share to share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub host: Domain,
    pub port: u16,
    pub plan: PlanHash,
    /// User name on a fixed route.
    pub account: Option<String>,
}

struct Parked {
    channel: Channel<Proven>,
    since: Instant,
}

#[derive(Default)]
struct State {
    idle: HashMap<Key, Vec<Parked>>,
    idle_count: usize,
    slots: HashMap<(Domain, u16), Slots>,
    dead: HashMap<SocketAddr, (Instant, Reason)>,
    tls: HashMap<PlanHash, (Arc<TlsClient>, Instant, Instant)>,
}

/// How many may talk to one host at a time, in all and of runs.
#[derive(Clone)]
struct Slots {
    all: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

impl Slots {
    fn of(max: usize) -> Slots {
        Slots { all: Arc::new(Semaphore::new(max)), bulk: Arc::new(Semaphore::new(bulk_share(max))) }
    }
}

/// The part of so many places that runs of many may take: the rest is free for what comes one by one.
pub(super) fn bulk_share(max: usize) -> usize {
    (max - max / 4).min(max.saturating_sub(1)).max(1)
}

/// A host's slot, free again when dropped.
pub struct Slot {
    _all: OwnedSemaphorePermit,
    _bulk: Option<OwnedSemaphorePermit>,
}

pub struct Pool {
    settings: Settings,
    state: Mutex<State>,
}

/// Hosts remembered for their slots or silence; beyond it, those without use are forgotten.
const HOSTS_MAX: usize = 10_000;

impl Pool {
    #[must_use]
    pub fn new(settings: Settings) -> Pool {
        Pool { settings, state: Mutex::new(State::default()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; if it did, the maps are still maps.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for one of the host's slots; `None` if they stay taken too long. Runs of many leave a quarter of them free.
    pub async fn slot(&self, host: &Domain, port: u16, lane: Lane) -> Option<Slot> {
        let Slots { all, bulk } = {
            let mut state = self.state();
            if state.slots.len() > HOSTS_MAX {
                let full = self.settings.per_host_max;
                state.slots.retain(|_, slots| slots.all.available_permits() < full);
            }
            let slots = state.slots.entry((host.clone(), port)).or_insert_with(|| Slots::of(self.settings.per_host_max));
            slots.clone()
        };
        let take = async {
            let bulk = match lane {
                Lane::First => None,
                Lane::Bulk => Some(bulk.acquire_owned().await.ok()?),
            };
            Some(Slot { _all: all.acquire_owned().await.ok()?, _bulk: bulk })
        };
        tokio::time::timeout(self.settings.wait_max, take).await.ok()?
    }

    /// A kept connection that the peer has confirmed to be clean. Others that are found on the way are closed.
    pub async fn take(&self, key: &Key) -> Option<Channel<Proven>> {
        loop {
            let parked = {
                let mut state = self.state();
                let parked = state.idle.get_mut(key)?.pop();
                match parked {
                    Some(parked) => {
                        state.idle_count -= 1;
                        parked
                    }
                    None => {
                        state.idle.remove(key);
                        return None;
                    }
                }
            };
            let mut channel = parked.channel;
            if parked.since.elapsed() < self.settings.idle_max && channel.is_reset().await {
                return Some(channel);
            }
        }
    }

    /// Lays a connection aside for the next message, or closes it when it has served its time.
    pub async fn park(&self, key: Key, mut channel: Channel<Proven>) {
        let is_kept = channel.is_reusable() && channel.messages() < self.settings.messages_max;
        if !is_kept {
            tokio::spawn(channel.quit());
            return;
        }
        if channel.ask_reset().await.is_err() {
            return;
        }
        let closing = {
            let mut state = self.state();
            let closing =
                if state.idle_count >= self.settings.idle_count_max { state.sweep(self.settings.idle_max) } else { Vec::new() };
            if state.idle_count < self.settings.idle_count_max {
                state.idle.entry(key).or_default().push(Parked { channel, since: Instant::now() });
                state.idle_count += 1;
            }
            closing
        };
        for channel in closing {
            tokio::spawn(channel.quit());
        }
    }

    /// Closes connections that were not used for long; called now and then.
    pub fn sweep(&self) {
        let closing = self.state().sweep(self.settings.idle_max);
        for channel in closing {
            tokio::spawn(channel.quit());
        }
    }

    /// Closes all of them.
    pub async fn close(&self) {
        let closing = self.state().sweep(Duration::ZERO);
        for channel in closing {
            channel.quit().await;
        }
    }

    /// Why an address is left alone for now.
    #[must_use]
    pub fn is_dead(&self, address: SocketAddr) -> Option<Reason> {
        let state = self.state();
        state.dead.get(&address).filter(|(until, _)| *until > Instant::now()).map(|(_, reason)| *reason)
    }

    pub fn note_dead(&self, address: SocketAddr, reason: Reason) {
        let mut state = self.state();
        let now = Instant::now();
        if state.dead.len() > HOSTS_MAX {
            state.dead.retain(|_, (until, _)| *until > now);
        }
        state.dead.insert(address, (now + self.settings.dead_for, reason));
    }

    pub fn note_alive(&self, address: SocketAddr) {
        self.state().dead.remove(&address);
    }

    /// The TLS client of one plan value: made once, never changed, dropped with its tickets when it is old or others
    /// are used more.
    ///
    /// # Errors
    /// What `make` says.
    pub fn tls<E>(&self, plan: PlanHash, make: impl FnOnce() -> Result<TlsClient, E>) -> Result<Arc<TlsClient>, E> {
        let now = Instant::now();
        {
            let mut state = self.state();
            if let Some((client, made, used)) = state.tls.get_mut(&plan) {
                if now.duration_since(*made) < self.settings.tls_age_max {
                    *used = now;
                    return Ok(Arc::clone(client));
                }
                state.tls.remove(&plan);
            }
        }
        let client = Arc::new(make()?);
        let mut state = self.state();
        if state.tls.len() >= self.settings.tls_count_max {
            let oldest = state.tls.iter().min_by_key(|(_, (_, _, used))| *used).map(|(hash, _)| *hash);
            if let Some(oldest) = oldest {
                state.tls.remove(&oldest);
            }
        }
        state.tls.insert(plan, (Arc::clone(&client), now, now));
        Ok(client)
    }
}

impl State {
    fn sweep(&mut self, idle_max: Duration) -> Vec<Channel<Proven>> {
        let mut closing = Vec::new();
        for parked in self.idle.values_mut() {
            let (old, kept): (Vec<Parked>, Vec<Parked>) =
                std::mem::take(parked).into_iter().partition(|parked| parked.since.elapsed() >= idle_max);
            closing.extend(old.into_iter().map(|parked| parked.channel));
            *parked = kept;
        }
        self.idle.retain(|_, parked| !parked.is_empty());
        self.idle_count -= closing.len().min(self.idle_count);
        closing
    }
}
