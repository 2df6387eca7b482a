use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::connection::serve_client;
use super::guard::{Accounts, Guard};
use super::network::{Legacy, Network, Quota, source_of};
use super::sources::Sources;
use super::{ListenerKind, Settings, TlsAcceptorSource};
use crate::observe::{Event, log, metrics};
use crate::pipeline::Door;

const HOUR: Duration = Duration::from_secs(3600);
/// Pause after the system had no more files or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a stopping listener waits beyond `Limits::stop_grace` for answers to messages already complete.
const STOP_EXTRA: Duration = Duration::from_secs(2);

/// What all listeners share: the door, the certificate, and every limit that counts over all of them.
pub struct Gate<D, A> {
    settings: RwLock<Arc<Settings>>,
    pub(super) door: Arc<D>,
    pub(super) tls: Arc<TlsAcceptorSource>,
    pub(super) guard: Guard<A>,
    pub(super) memory: Arc<Semaphore>,
    open: AtomicUsize,
    /// Those of `open` of whom nobody knows yet who they are.
    strangers: AtomicUsize,
    sources: Mutex<Sources>,
    /// When messages of callers with an hourly quota were taken; names are the configuration's and bound it.
    hourly: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl<D: Door, A: Accounts> Gate<D, A> {
    #[must_use]
    pub fn new(settings: Arc<Settings>, door: Arc<D>, tls: Arc<TlsAcceptorSource>, accounts: A) -> Arc<Gate<D, A>> {
        for network in settings.networks.iter().filter(|network| network.tls_optional) {
            log(&Event::TlsOptionalNetwork { name: network.name.clone() });
        }
        Arc::new(Gate {
            memory: Arc::new(Semaphore::new(settings.memory_in_flight_bytes.min(Semaphore::MAX_PERMITS))),
            settings: RwLock::new(settings),
            door,
            tls,
            guard: Guard::new(accounts),
            open: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
            sources: Mutex::default(),
            hourly: Mutex::default(),
        })
    }

    /// Settings for sessions that start from now on; the memory budget stays as it was at the start.
    pub fn replace_settings(&self, settings: Arc<Settings>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_quota(&self, name: &str, quota: Quota, now: Instant) -> bool {
        self.within_quota(name, quota, now, false)
    }

    /// Counts one message against the caller's hour, if there is room for it.
    pub(super) fn take_quota(&self, name: &str, quota: Quota, now: Instant) -> bool {
        self.within_quota(name, quota, now, true)
    }

    fn within_quota(&self, name: &str, quota: Quota, now: Instant, takes: bool) -> bool {
        let Some(most) = quota.messages_per_hour else { return true };
        let mut hourly = self.hourly.lock().unwrap_or_else(PoisonError::into_inner);
        let times = hourly.entry(name.to_owned()).or_default();
        while times.front().is_some_and(|at| now.duration_since(*at) >= HOUR) {
            times.pop_front();
        }
        let has_room = times.len() < usize::try_from(most).unwrap_or(usize::MAX);
        if has_room && takes {
            times.push_back(now);
        }
        has_room
    }

    /// A place for one more connection, or `None` at a cap.
    fn admit(self: &Arc<Self>, peer: IpAddr, is_listed: bool) -> Option<Seat<D, A>> {
        let limits = &self.settings().limits;
        let source = source_of(peer);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // A tenth of all places is for those who may send: a flood of strangers never fills the house.
        let strangers_max = limits.connections_max - limits.connections_max / 10;
        let is_full = self.open.load(Ordering::Relaxed) >= limits.connections_max
            || (!is_listed && !sources.is_known(source, now) && self.strangers.load(Ordering::Relaxed) >= strangers_max);
        if is_full || !sources.enter(source, is_listed, limits, now) {
            return None;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        if !is_listed {
            self.strangers.fetch_add(1, Ordering::Relaxed);
        }
        metrics().connections_open.inc();
        Some(Seat { gate: Arc::clone(self), source, standing: Standing(AtomicBool::new(is_listed)) })
    }

    /// The client has shown who it is: it is no stranger any more, and its connection counts against no rate.
    pub(super) fn welcome(&self, standing: &Standing, peer: IpAddr) {
        if !standing.0.swap(true, Ordering::Relaxed) {
            self.strangers.fetch_sub(1, Ordering::Relaxed);
            let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            sources.welcome(source_of(peer), Instant::now());
        }
    }
}

/// Whether it is known who sits there.
pub(super) struct Standing(AtomicBool);

impl Standing {
    #[cfg(test)]
    pub(super) fn known() -> Standing {
        Standing(AtomicBool::new(true))
    }
}

/// One open connection; gives its place back however the session ends.
struct Seat<D, A> {
    gate: Arc<Gate<D, A>>,
    source: IpAddr,
    standing: Standing,
}

impl<D, A> Drop for Seat<D, A> {
    fn drop(&mut self) {
        let mut sources = self.gate.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.leave(self.source);
        if !self.standing.0.load(Ordering::Relaxed) {
            self.gate.strangers.fetch_sub(1, Ordering::Relaxed);
        }
        self.gate.open.fetch_sub(1, Ordering::Relaxed);
        metrics().connections_open.dec();
    }
}

/// Takes connections until `stop` turns true (or its sender is gone), then lets sessions finish what they have
/// begun. Returns when the last has ended, at the latest some seconds after the stop.
pub async fn serve<D: Door, A: Accounts>(
    listener: TcpListener,
    kind: ListenerKind,
    gate: Arc<Gate<D, A>>,
    stop: watch::Receiver<bool>,
) {
    take_all(listener, kind, None, gate, stop).await;
}

/// As [`serve`], in clear, for the devices behind this fence.
pub async fn serve_legacy<D: Door, A: Accounts>(
    listener: TcpListener,
    fence: Arc<Legacy>,
    gate: Arc<Gate<D, A>>,
    stop: watch::Receiver<bool>,
) {
    if let Ok(address) = listener.local_addr() {
        log(&Event::LegacyListener { name: fence.name.clone(), address });
    }
    take_all(listener, ListenerKind::Legacy, Some(fence), gate, stop).await;
}

async fn take_all<D: Door, A: Accounts>(
    listener: TcpListener,
    kind: ListenerKind,
    fence: Option<Arc<Legacy>>,
    gate: Arc<Gate<D, A>>,
    mut stop: watch::Receiver<bool>,
) {
    if let Ok(address) = listener.local_addr() {
        log(&Event::Listening { what: kind.as_str(), address });
    }
    let mut sessions = JoinSet::new();
    let warm = Arc::clone(&gate);
    sessions.spawn(async move { warm.guard.warm().await });
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(done) = sessions.join_next(), if !sessions.is_empty() => {
                note_panic(done, kind);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => take(stream, peer, (kind, &fence), &gate, &stop, &mut sessions).await,
            // The connection is gone again, or the system has no room: neither ends the listener.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    let last = gate.settings().limits.stop_grace + STOP_EXTRA;
    let _ = timeout(last, async {
        while let Some(done) = sessions.join_next().await {
            note_panic(done, kind);
        }
    })
    .await;
    sessions.shutdown().await;
}

async fn take<D: Door, A: Accounts>(
    stream: TcpStream,
    peer: SocketAddr,
    (kind, fence): (ListenerKind, &Option<Arc<Legacy>>),
    gate: &Arc<Gate<D, A>>,
    stop: &watch::Receiver<bool>,
    sessions: &mut JoinSet<()>,
) {
    let is_listed = match fence {
        Some(fence) => fence.caller(peer.ip()).is_some(),
        None => Network::of(&gate.settings().networks, peer.ip()).is_some(),
    };
    let Some(seat) = gate.admit(peer.ip(), is_listed) else {
        metrics().session(kind.as_str(), "refused");
        refuse(stream, kind, b"421 4.7.0 Too many connections\r\n");
        return;
    };
    // Replies are sent whole; waiting for more to fill a segment would only cost time.
    let _ = stream.set_nodelay(true);
    let stream = if kind == ListenerKind::Submissions {
        stream
    } else {
        match has_talked(stream) {
            Ok((stream, false)) => stream,
            // Nobody who speaks SMTP talks before the greeting (RFC 5321, section 3.1).
            Ok((stream, true)) => {
                metrics().session(kind.as_str(), "early-talker");
                refuse(stream, kind, b"554 5.5.1 You talked before the greeting\r\n");
                return;
            }
            Err(_) => return,
        }
    };
    let (stop, fence) = (stop.clone(), fence.clone());
    let peer = peer.ip().to_canonical();
    sessions.spawn(async move {
        let end = serve_client(&seat.gate, &seat.standing, stream, peer, (kind, fence.as_deref()), stop).await;
        metrics().session(kind.as_str(), end.as_str());
    });
}

/// Whether octets are waiting already.
fn has_talked(stream: TcpStream) -> io::Result<(TcpStream, bool)> {
    // The runtime knows of readiness only later; the system knows now.
    let stream = stream.into_std()?;
    let has_talked = matches!(stream.peek(&mut [0]), Ok(octets) if octets > 0);
    Ok((TcpStream::from_std(stream)?, has_talked))
}

/// One line and goodbye, without waiting: a fresh socket has room for it. Inside TLS there is nothing to say.
fn refuse(stream: TcpStream, kind: ListenerKind, line: &'static [u8]) {
    if kind != ListenerKind::Submissions
        && let Ok(mut stream) = stream.into_std()
    {
        let _ = io::Write::write(&mut stream, line);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // Octets nobody read would turn the close into a reset that overtakes the line.
        let _ = io::Read::read(&mut stream, &mut [0; 4096]);
    }
}

fn note_panic(done: Result<(), JoinError>, kind: ListenerKind) {
    if done.is_err_and(|error| error.is_panic()) {
        metrics().panics.inc();
        metrics().session(kind.as_str(), "panic");
        log(&Event::SessionPanicked);
    }
}
