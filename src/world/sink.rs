//! A receiving mail host (RFC 5321) that writes down everything it is told.
//!
//! It speaks STARTTLS, PIPELINING, 8BITMIME, SMTPUTF8, CHUNKING, SIZE, DSN and REQUIRETLS as far as it is told to offer
//! them, accepts every recipient, and can be scripted: a reply, a closed connection or a wait at any point.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::smtp;

/// What EHLO offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    pub pipelining: bool,
    pub eight_bit_mime: bool,
    pub smtp_utf8: bool,
    pub chunking: bool,
    pub dsn: bool,
    pub enhanced_codes: bool,
    /// Only inside TLS, as RFC 8689 asks.
    pub require_tls: bool,
    /// The largest message in octets; larger ones are answered 552.
    pub size: Option<u64>,
}

impl Default for Offers {
    fn default() -> Self {
        Self {
            pipelining: true,
            eight_bit_mime: true,
            smtp_utf8: true,
            chunking: true,
            dsn: true,
            enhanced_codes: true,
            require_tls: false,
            size: Some(64 << 20),
        }
    }
}

/// A point of the dialogue at which a [`Step`] is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Instead of the banner.
    Connect,
    Ehlo,
    /// The EHLO inside TLS only.
    EhloInside,
    StartTls,
    /// After the 220 to STARTTLS: the handshake waits or never comes. A reply here is one that an attacker slips in.
    Handshake,
    Mail,
    /// For one recipient, compared without regard to case; `None` for each.
    Rcpt(Option<String>),
    /// Instead of the 354.
    Data,
    /// When the content is there, before its reply; for a message with this recipient, or for each.
    Content(Option<String>),
    Rset,
    Quit,
}

/// What happens there.
#[derive(Clone, Debug)]
pub enum Step {
    /// A complete reply without its CRLF (`451 4.3.0 later`; lines of a longer one are joined with CRLF).
    /// A message whose content meets another reply than a 2xx is not kept.
    Reply(String),
    /// The connection is closed without a word.
    Drop,
    /// The usual reply, but not before this.
    Wait(Arc<Notify>),
    Delay(Duration),
    /// A message is kept, and then the connection is closed without a reply: nobody knows.
    KeepAndDrop,
    /// These octets instead of the reply, again and again, until the client has had enough.
    Flood(String),
    /// At [`When::Handshake`]: the client's hello is read and answered with these octets, whatever TLS they are.
    AnswerHello(Vec<u8>),
}

/// How the connection was protected when a message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    pub version: Option<ProtocolVersion>,
    pub cipher: Option<rustls::CipherSuite>,
    pub resumed: bool,
    pub sni: Option<String>,
}

/// One connection from its first byte to its end.
#[derive(Clone, Debug)]
pub struct Connection {
    pub id: u64,
    pub peer: SocketAddr,
    /// Every byte that came before TLS, or all of them when there was none.
    pub clear: Vec<u8>,
    pub tls: Option<TlsFacts>,
    /// A handshake was begun and did not end well.
    pub handshake_failed: bool,
    /// Command lines inside TLS, without CRLF.
    pub commands: Vec<String>,
    pub is_open: bool,
}

/// One message that was answered 250 (or kept without an answer).
#[derive(Clone, Debug)]
pub struct Received {
    pub connection: u64,
    /// The reverse-path without brackets; empty for `<>`.
    pub from: String,
    /// The parameters of MAIL as sent.
    pub mail_parameters: String,
    pub recipients: Vec<Recipient>,
    /// The content as it was before dot-stuffing; empty if the sink only counts.
    pub content: Vec<u8>,
    pub size: u64,
    /// `None`: it came in clear.
    pub tls: Option<TlsFacts>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub address: String,
    pub parameters: String,
}

/// How a host starts.
#[derive(Clone, Debug, Default)]
pub struct SinkSettings {
    /// The name in banner and EHLO.
    pub host: String,
    /// `None`: STARTTLS is not offered and not known.
    pub tls: Option<Arc<ServerConfig>>,
    pub offers: Offers,
    /// Keep no contents and no transcripts: for benchmarks.
    pub only_count: bool,
}

/// A host that is listening. It stops when this is dropped.
pub struct Sink {
    state: Arc<State>,
    address: SocketAddr,
    tasks: Mutex<JoinSet<()>>,
}

/// What the sessions share.
pub(super) struct State {
    settings: Mutex<SinkSettings>,
    script: Mutex<Vec<(When, Option<usize>, Step)>>,
    connections: Mutex<Vec<Connection>>,
    messages: Mutex<Vec<Received>>,
    counts: Counts,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    handshakes: AtomicU64,
    resumed: AtomicU64,
    messages: AtomicU64,
    recipients: AtomicU64,
    octets: AtomicU64,
}

impl Sink {
    /// Serves on a listener that is already bound.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn serve(listener: TcpListener, settings: SinkSettings) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            settings: Mutex::new(settings),
            script: Mutex::default(),
            connections: Mutex::default(),
            messages: Mutex::default(),
            counts: Counts::default(),
            changed: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { state, address, tasks: Mutex::new(tasks) })
    }

    /// Closes every connection and refuses new ones until [`Sink::resume`].
    pub async fn pause(&self) {
        let mut tasks = std::mem::take(&mut *locked(&self.tasks));
        tasks.shutdown().await;
        for connection in locked(&self.state.connections).iter_mut() {
            connection.is_open = false;
        }
        self.state.changed.notify_waiters();
    }

    /// Listens again at the same address.
    ///
    /// # Errors
    /// When somebody else took it.
    pub async fn resume(&self) -> std::io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        locked(&self.tasks).spawn(accept(listener, Arc::clone(&self.state)));
        Ok(())
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name in banner and EHLO.
    #[must_use]
    pub fn host(&self) -> String {
        locked(&self.state.settings).host.clone()
    }

    /// Connections from now on meet this certificate, or no STARTTLS at all.
    pub fn set_tls(&self, tls: Option<Arc<ServerConfig>>) {
        locked(&self.state.settings).tls = tls;
    }

    pub fn set_offers(&self, offers: Offers) {
        locked(&self.state.settings).offers = offers;
    }

    /// Takes `step` at each such point from now on.
    pub fn always(&self, when: When, step: Step) {
        locked(&self.state.script).push((when, None, step));
    }

    /// Takes `step` the next so many times. Steps are looked for in the order in which they were added.
    pub fn times(&self, times: usize, when: When, step: Step) {
        locked(&self.state.script).push((when, Some(times), step));
    }

    pub fn clear_script(&self) {
        locked(&self.state.script).clear();
    }

    #[must_use]
    pub fn messages(&self) -> Vec<Received> {
        locked(&self.state.messages).clone()
    }

    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        locked(&self.state.connections).clone()
    }

    /// Every byte that came without TLS, all connections together.
    #[must_use]
    pub fn clear_bytes(&self) -> Vec<u8> {
        locked(&self.state.connections).iter().flat_map(|connection| connection.clear.iter().copied()).collect()
    }

    #[must_use]
    pub fn connection_count(&self) -> u64 {
        self.state.counts.connections.load(Ordering::Acquire)
    }

    /// Complete handshakes, resumed ones included.
    #[must_use]
    pub fn handshake_count(&self) -> u64 {
        self.state.counts.handshakes.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn resumed_count(&self) -> u64 {
        self.state.counts.resumed.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn message_count(&self) -> u64 {
        self.state.counts.messages.load(Ordering::Acquire)
    }

    /// Recipients of the messages taken.
    #[must_use]
    pub fn recipient_count(&self) -> u64 {
        self.state.counts.recipients.load(Ordering::Acquire)
    }

    /// Octets of content taken.
    #[must_use]
    pub fn octet_count(&self) -> u64 {
        self.state.counts.octets.load(Ordering::Acquire)
    }

    /// Returns once so many messages have been taken in all. Has no end of its own: wrap it in a time-out.
    pub async fn wait_for_messages(&self, count: u64) -> Vec<Received> {
        self.wait_until(|sink| sink.message_count() >= count).await;
        self.messages()
    }

    /// Returns once so many connections have come in all.
    pub async fn wait_for_connections(&self, count: u64) {
        self.wait_until(|sink| sink.connection_count() >= count).await;
    }

    /// Returns once every connection that came has ended.
    pub async fn wait_for_silence(&self) {
        self.wait_until(|sink| locked(&sink.state.connections).iter().all(|connection| !connection.is_open)).await;
    }

    async fn wait_until(&self, done: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.state.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if done(self) {
                return;
            }
            changed.await;
        }
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("host", &self.host()).field("address", &self.address).finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn settings(&self) -> SinkSettings {
        locked(&self.settings).clone()
    }

    /// The step for a point of the dialogue, if one is left.
    pub(super) fn step(&self, is_here: impl Fn(&When) -> bool) -> Option<Step> {
        let mut script = locked(&self.script);
        let (_, left, step) = script.iter_mut().find(|(when, left, _)| *left != Some(0) && is_here(when))?;
        if let Some(left) = left {
            *left -= 1;
        }
        Some(step.clone())
    }

    pub(super) fn opened(&self, peer: SocketAddr) -> u64 {
        let id = self.counts.connections.fetch_add(1, Ordering::AcqRel);
        if !locked(&self.settings).only_count {
            locked(&self.connections).push(Connection {
                id,
                peer,
                clear: Vec::new(),
                tls: None,
                handshake_failed: false,
                commands: Vec::new(),
                is_open: true,
            });
        }
        self.changed.notify_waiters();
        id
    }

    /// Notes something about a connection; nothing where the sink only counts.
    pub(super) fn note(&self, id: u64, note: impl FnOnce(&mut Connection)) {
        let mut connections = locked(&self.connections);
        let at = usize::try_from(id).unwrap_or(usize::MAX);
        if let Some(connection) = connections.get_mut(at) {
            note(connection);
        }
    }

    pub(super) fn shaken(&self, id: u64, facts: &TlsFacts) {
        self.counts.handshakes.fetch_add(1, Ordering::AcqRel);
        if facts.resumed {
            self.counts.resumed.fetch_add(1, Ordering::AcqRel);
        }
        self.note(id, |connection| connection.tls = Some(facts.clone()));
    }

    pub(super) fn closed(&self, id: u64) {
        self.note(id, |connection| connection.is_open = false);
        self.changed.notify_waiters();
    }

    pub(super) fn keep(&self, message: Received) {
        self.counts.recipients.fetch_add(u64::try_from(message.recipients.len()).unwrap_or(0), Ordering::AcqRel);
        self.counts.octets.fetch_add(message.size, Ordering::AcqRel);
        if !locked(&self.settings).only_count {
            locked(&self.messages).push(message);
        }
        self.counts.messages.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

impl TlsFacts {
    pub(super) fn of(connection: &rustls::ServerConnection) -> Self {
        Self {
            version: connection.protocol_version(),
            cipher: connection.negotiated_cipher_suite().map(|suite| suite.suite()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            sni: connection.server_name().map(str::to_owned),
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut sessions = JoinSet::new();
    while let Ok((stream, peer)) = listener.accept().await {
        let state = Arc::clone(&state);
        let id = state.opened(peer);
        sessions.spawn(async move {
            // A client that goes away in the middle is what a mail host sees every day.
            let _ = smtp::serve(stream, id, &state).await;
            state.closed(id);
        });
        while sessions.try_join_next().is_some() {}
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
