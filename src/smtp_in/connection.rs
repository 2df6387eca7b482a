//! Moves octets between one client and its [`Session`]: one buffer in, one buffer out, replies flushed together.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::auth::{Exchange, Mechanism, Turn, wrong};
use super::certificate::{Pinned, Shown};
use super::guard::{Accounts, Login};
use super::inbox::Inbox;
use super::input::{Input, Pace};
use super::listener::{Gate, Standing};
use super::network::{Caller, Network, Quota};
use super::refusal::{reply_for, reply_to_content};
use super::session::{Next, Session, Step};
use super::{Legacy, ListenerKind, Settings};
use crate::mail::{EnhancedCode, PrincipalKind, Reply, Timestamp};
use crate::observe::{Event, log, metrics};
use crate::pipeline::{Door, Refused, Submission};
use crate::smtp::{CommandError, ContentFault, ContentReader, Secret, command, reply};

/// Read buffer of one that has sent a message: a TLS record.
const BUFFER_BUSY_BYTES: usize = 16 * 1024;
/// Read buffer within a large message.
const BUFFER_CONTENT_BYTES: usize = 64 * 1024;
/// A client that says nothing for so long keeps no large buffer.
const PAUSE: Duration = Duration::from_secs(1);
/// Octets that are still on their way when we end a session; read, so that the close does not overtake the last reply.
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// Replies that wait for more input are sent at this size.
const REPLIES_BYTES_MAX: usize = 16 * 1024;
/// A line that is still not ended here ends the session.
const SKIPPED_LINE_BYTES_MAX: usize = 64 * 1024;

/// A certificate that ends this soon is told of: time enough to make a new one.
const EXPIRY_WARNING_DAYS: i64 = 30;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Quit,
    /// The client went away.
    Closed,
    Timeout,
    TooSlow,
    TooManyErrors,
    /// Something was said after which nobody can tell commands from content.
    Unframed,
    /// Octets in clear behind STARTTLS.
    Injection,
    TlsFailed,
    Stopped,
}

impl End {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            End::Quit => "quit",
            End::Closed => "closed",
            End::Timeout => "timeout",
            End::TooSlow => "too-slow",
            End::TooManyErrors => "too-many-errors",
            End::Unframed => "unframed",
            End::Injection => "injection",
            End::TlsFailed => "tls-failed",
            End::Stopped => "stopped",
        }
    }
}

/// Why `dialogue` came back.
enum Pause {
    StartTls,
    End(End),
}

/// Speaks with one client until one of both ends it.
pub(super) async fn serve_client<S, D, A>(
    gate: &Gate<D, A>,
    standing: &Standing,
    mut stream: S,
    peer: IpAddr,
    (kind, fence): (ListenerKind, Option<&Legacy>),
    stop: watch::Receiver<bool>,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Door,
    A: Accounts,
{
    let mut connection = Connection::new(gate, standing, peer, (kind, fence), stop);
    if kind != ListenerKind::Submissions {
        connection.say(connection.session.greeting());
        match connection.dialogue(&mut stream).await {
            Pause::End(end) => return connection.close(&mut stream, end).await,
            Pause::StartTls => {}
        }
    }
    let acceptor = tokio_rustls::TlsAcceptor::from(gate.tls.current(kind));
    let Ok(Ok(mut stream)) = timeout(connection.settings.limits.handshake, acceptor.accept(stream)).await else {
        metrics().tls("server", "failed");
        log(&Event::TlsHandshakeFailed { peer });
        return End::TlsFailed;
    };
    let version = match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    metrics().tls("server", version);
    connection.session.tls_started(version);
    if let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()) {
        let shown = Shown::of(certificate);
        connection.certified(shown).await;
    }
    if kind == ListenerKind::Submissions {
        connection.say(connection.session.greeting());
    }
    match connection.dialogue(&mut stream).await {
        Pause::End(end) => connection.close(&mut stream, end).await,
        // The session offers STARTTLS only in clear.
        Pause::StartTls => End::Closed,
    }
}

struct Connection<'g, D, A> {
    gate: &'g Gate<D, A>,
    standing: &'g Standing,
    settings: Arc<Settings>,
    peer: IpAddr,
    kind: ListenerKind,
    session: Session,
    input: Input,
    replies: Vec<u8>,
    /// The message whose chunks are coming in.
    chunks: Option<Inbox>,
    /// Word for the metric of replies.
    verb: &'static str,
    ends_at: Instant,
    stop: watch::Receiver<bool>,
}

impl<'g, D: Door, A: Accounts> Connection<'g, D, A> {
    fn new(
        gate: &'g Gate<D, A>,
        standing: &'g Standing,
        peer: IpAddr,
        (kind, fence): (ListenerKind, Option<&Legacy>),
        stop: watch::Receiver<bool>,
    ) -> Connection<'g, D, A> {
        let settings = gate.settings();
        let network = match (kind, fence) {
            (ListenerKind::Legacy, fence) => fence.and_then(|fence| fence.caller(peer)),
            _ => Network::of(&settings.networks, peer).map(Network::caller),
        };
        let session = Session::new(Arc::clone(&settings), kind, network);
        let ends_at = Instant::now() + settings.limits.session;
        Connection {
            gate,
            standing,
            settings,
            peer,
            kind,
            session,
            input: Input::new(),
            replies: Vec::new(),
            chunks: None,
            verb: "connect",
            ends_at,
            stop,
        }
    }

    /// What the certificate that the client has shown is worth.
    async fn certified(&mut self, shown: Option<Shown>) {
        let now_s = now().secs();
        let refuse = |why| log(&Event::ClientCertificateRefused { peer: self.peer, why });
        let Some(shown) = shown else { return refuse("unreadable") };
        let caller = match Pinned::of(&self.settings.pinned, &shown) {
            Some(pinned) => Some(pinned.caller()),
            None => self.gate.guard.issued(&shown).await,
        };
        let Some(caller) = caller else { return refuse("unknown") };
        if now_s < shown.not_before_s || now_s >= shown.not_after_s {
            return refuse("expired");
        }
        let name = &caller.principal.name;
        let days = (shown.not_after_s - now_s) / 86_400;
        if days <= EXPIRY_WARNING_DAYS && self.gate.guard.is_news("expiry", name) {
            log(&Event::CertificateExpires { name: name.clone(), days });
        }
        self.gate.guard.note_use(name, now(), self.peer).await;
        self.gate.welcome(self.standing, self.peer);
        self.session.certified(caller);
    }

    /// What only the gate knows at MAIL: whether the account is still there, and what is left of its hour. The reply that
    /// goes out in place of 250, if either says no.
    async fn may_begin(&mut self) -> Option<Reply> {
        let caller = self.session.caller()?;
        let name = &caller.principal.name;
        let is_account = caller.principal.kind == PrincipalKind::User;
        if is_account && !self.gate.guard.is_still_there(name).await {
            self.session.forget_caller();
            return Some(Reply::new(530, EnhancedCode(5, 7, 0), "Authentication required"));
        }
        if !self.gate.has_quota(name, caller.quota, Instant::now()) {
            if self.gate.guard.is_news("quota", name) {
                log(&Event::QuotaUsedUp { name: name.clone() });
            }
            let _ = self.session.finish();
            return Some(quota_used_up());
        }
        // Said before the content is on its way (RFC 1870, section 6.1), not after the client has sent all of it.
        if !self.gate.door.has_space(self.session.declared_bytes().unwrap_or(0)) {
            let _ = self.session.finish();
            return Some(reply_for(&Refused::DiskFull));
        }
        None
    }

    async fn dialogue<S: AsyncRead + AsyncWrite + Unpin + Send>(&mut self, stream: &mut S) -> Pause {
        loop {
            match self.exchange(stream).await {
                Ok(None) => {}
                Ok(Some(pause)) => return pause,
                Err(end) => return Pause::End(end),
            }
        }
    }

    /// One line in, what it asks for done, its reply put aside.
    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send>(&mut self, stream: &mut S) -> Result<Option<Pause>, End> {
        let Step { reply, next, denied } = match self.line(stream, command::line_octets_max).await? {
            Some(line) => {
                let text = self.input.front(line);
                self.verb = verb(text);
                let step = self.session.on(command::parse(text));
                self.input.consume(line);
                step
            }
            None => {
                self.verb = "other";
                self.session.on(Err(CommandError::TooLong))
            }
        };
        let reply = match reply {
            Some(reply) if self.verb == "mail" && reply.is_positive() => Some(self.may_begin().await.unwrap_or(reply)),
            reply => reply,
        };
        if denied {
            log(&Event::RelayDenied { peer: self.peer });
        }
        if !self.session.is_in_chunks() {
            self.chunks = None;
        }
        match next {
            Next::Command => self.say_all(reply),
            Next::Close => {
                let end = if reply.as_ref().is_some_and(Reply::is_positive) { End::Quit } else { End::Unframed };
                self.say_all(reply);
                return Ok(Some(Pause::End(end)));
            }
            // What came in clear behind the line may be somebody else's: nothing of it crosses into TLS (CVE-2011-0411).
            Next::StartTls if !self.input.is_empty() => {
                self.say(Reply::new(554, EnhancedCode(5, 5, 1), "Nothing may follow STARTTLS before TLS"));
                return Ok(Some(Pause::End(End::Injection)));
            }
            Next::StartTls => {
                self.say_all(reply);
                self.flush(stream).await?;
                self.input = Input::new();
                return Ok(Some(Pause::StartTls));
            }
            Next::Auth(mechanism, initial) => self.authenticate(stream, mechanism, initial).await?,
            Next::Data => self.data(stream).await?,
            Next::Chunk { size, last } => self.chunk(stream, size, last).await?,
            Next::SkipChunk { size } => {
                self.skip(stream, size).await?;
                self.say_all(reply);
            }
        }
        if self.session.has_too_many_errors() {
            self.say(Reply::new(421, EnhancedCode(4, 7, 0), "Too many errors"));
            return Err(End::TooManyErrors);
        }
        Ok(None)
    }

    async fn data<S: AsyncRead + AsyncWrite + Unpin + Send>(&mut self, stream: &mut S) -> Result<(), End> {
        let reader = ContentReader::data(self.session.message_bytes_max());
        let Some(mut inbox) = Inbox::open(reader, self.session.declared_bytes(), &self.gate.memory) else {
            self.say(reply_for(&Refused::Busy));
            return Ok(());
        };
        self.say(Reply::plain(354, "End with CRLF.CRLF"));
        let mut pace = Pace::new(&self.settings);
        loop {
            if self.input.is_empty() {
                self.read_content(stream, &mut pace).await?;
            }
            let fed = inbox.feed(self.input.pending());
            self.input.consume(fed.consumed);
            if fed.done {
                break;
            }
        }
        self.message(inbox).await;
        Ok(())
    }

    async fn chunk<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &mut self,
        stream: &mut S,
        size: u64,
        last: bool,
    ) -> Result<(), End> {
        let opened = self.chunks.take().or_else(|| {
            let reader = ContentReader::chunks(self.session.message_bytes_max());
            Inbox::open(reader, self.session.declared_bytes(), &self.gate.memory)
        });
        let Some(mut inbox) = opened else {
            self.skip(stream, size).await?;
            let _ = self.session.finish();
            self.say(reply_for(&Refused::Busy));
            return Ok(());
        };
        let mut pace = Pace::new(&self.settings);
        let mut left = size;
        while left > 0 {
            if self.input.is_empty() {
                self.read_content(stream, &mut pace).await?;
            }
            let pending = self.input.pending();
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(pending.len());
            inbox.feed(pending.get(..now).unwrap_or_default());
            self.input.consume(now);
            left -= now as u64;
        }
        if last {
            inbox.finish_chunks();
            self.message(inbox).await;
        } else if let Some(fault) = inbox.fault() {
            // The transaction is over; chunks that are already on their way are read and refused (RFC 3030, section 2).
            let _ = self.session.finish();
            self.say(reply_to_content(fault));
        } else {
            self.chunks = Some(inbox);
            self.say(Reply::new(250, EnhancedCode(2, 0, 0), format!("{size} octets received")));
        }
        Ok(())
    }

    async fn skip<S: AsyncRead + AsyncWrite + Unpin + Send>(&mut self, stream: &mut S, size: u64) -> Result<(), End> {
        let mut pace = Pace::new(&self.settings);
        let mut left = size;
        while left > 0 {
            if self.input.is_empty() {
                self.read_content(stream, &mut pace).await?;
            }
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.pending().len());
            self.input.consume(now);
            left -= now as u64;
        }
        Ok(())
    }

    /// The message is complete: hands it on, and answers for it.
    async fn message(&mut self, inbox: Inbox) {
        let started = Instant::now();
        self.verb = "content";
        let fault = inbox.fault();
        let quota = self.session.caller().map(|caller| caller.quota).unwrap_or_default();
        let Some((principal, envelope)) = self.session.finish() else {
            return self.say(reply_to_content(fault.unwrap_or(ContentFault::NoMemory)));
        };
        if let Some(fault) = fault {
            return self.say(reply_to_content(fault));
        }
        if !self.gate.take_quota(&principal.name, quota, Instant::now()) {
            return self.say(quota_used_up());
        }
        let (content, room) = inbox.close();
        let (recipients, size_bytes) = (envelope.to.len(), content.len() as u64);
        if self.session.tls().is_none() {
            metrics().tls("server", "none");
        }
        if self.kind == ListenerKind::Legacy {
            metrics().legacy_messages.inc();
            log(&Event::LegacyMessage { name: principal.name.clone(), peer: self.peer });
        }
        let submission =
            Submission { envelope, principal, peer: self.peer, tls: self.session.tls(), content, received_at: now() };
        let outcome = self.gate.door.accept(submission).await;
        drop(room);
        let answer = match outcome {
            Ok(accepted) => {
                metrics().messages_accepted.inc();
                log(&Event::Accepted { message: accepted.message, recipients, size_bytes });
                Reply::new(250, EnhancedCode(2, 0, 0), format!("Kept as {}", accepted.message))
            }
            Err(refused) => {
                let answer = reply_for(&refused);
                if let Refused::Policy { message } = refused {
                    log(&Event::RefusedInDialogue { message, code: answer.code });
                }
                answer
            }
        };
        metrics().accept_seconds.observe(started.elapsed().as_secs_f64());
        self.say(answer);
    }

    async fn authenticate<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &mut self,
        stream: &mut S,
        mechanism: Mechanism,
        initial: Option<Secret>,
    ) -> Result<(), End> {
        let mut turn = Exchange::start(mechanism, initial);
        let credentials = loop {
            turn = match turn {
                Turn::Ask(text, exchange) => {
                    self.say(Reply::plain(334, text));
                    let Some(line) = self.line(stream, |_| command::AUTH_OCTETS_MAX).await? else {
                        self.session.auth_failed();
                        self.say(Reply::new(500, EnhancedCode(5, 5, 6), "Response too long"));
                        return Ok(());
                    };
                    let turn = match command::whole_line(self.input.front(line)) {
                        Ok(text) => exchange.on(text),
                        Err(_) => {
                            self.say(Reply::new(501, EnhancedCode(5, 5, 2), "Lines end with CRLF"));
                            return Err(End::Unframed);
                        }
                    };
                    self.input.consume(line);
                    turn
                }
                Turn::Check(credentials) => break credentials,
                Turn::Certificate(name) => {
                    let answer = self.session.authenticated_by_certificate(&name);
                    self.say(answer);
                    return Ok(());
                }
                Turn::Refuse(reply) => {
                    self.session.auth_failed();
                    self.say(reply);
                    return Ok(());
                }
            };
        };
        let name = credentials.name.clone();
        let answer = match self.gate.guard.check(credentials, self.peer).await {
            Login::Welcome(user) => {
                self.gate.welcome(self.standing, self.peer);
                self.gate.guard.note_use(&name, now(), self.peer).await;
                self.session.authenticated(Caller::of(user, Quota::default()))
            }
            Login::Wrong => {
                log(&Event::AuthFailed { peer: self.peer });
                self.session.auth_failed();
                wrong()
            }
            Login::Braked => {
                self.session.auth_failed();
                Reply::new(454, EnhancedCode(4, 7, 0), "Too many failed attempts; please try again later")
            }
            Login::Busy => Reply::new(454, EnhancedCode(4, 7, 0), "Temporary authentication failure; please try again"),
        };
        self.say(answer);
        Ok(())
    }

    /// Length of the next whole line in the buffer; `None` for one that was too long and is gone.
    async fn line<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &mut self,
        stream: &mut S,
        octets_max: fn(&[u8]) -> usize,
    ) -> Result<Option<usize>, End> {
        let mut searched = 0;
        // For the whole line: an octet a minute holds a place as well as silence does.
        let until = self.ends_at.min(Instant::now() + self.settings.limits.idle);
        loop {
            let pending = self.input.pending();
            if let Some(end) = memchr::memchr(b'\n', pending.get(searched..).unwrap_or_default()) {
                return Ok(Some(searched + end + 1));
            }
            searched = pending.len();
            if searched >= octets_max(pending) {
                return self.skip_line(stream, until).await.map(|()| None);
            }
            self.read_line(stream, until).await?;
        }
    }

    async fn skip_line<S: AsyncRead + AsyncWrite + Unpin + Send>(&mut self, stream: &mut S, until: Instant) -> Result<(), End> {
        let mut skipped = 0;
        loop {
            let pending = self.input.pending();
            let end = memchr::memchr(b'\n', pending).map(|end| end + 1);
            let octets = end.unwrap_or(pending.len());
            self.input.consume(octets);
            skipped += octets;
            if end.is_some() {
                return Ok(());
            }
            if skipped > SKIPPED_LINE_BYTES_MAX {
                self.say(Reply::new(421, EnhancedCode(4, 7, 0), "Line too long"));
                return Err(End::TooManyErrors);
            }
            self.read_line(stream, until).await?;
        }
    }

    /// Waits for more of a line. What was said before is sent first; a stop of the server is heard only here, so a
    /// message that has been sent is always answered.
    async fn read_line<S: AsyncRead + AsyncWrite + Unpin + Send>(&mut self, stream: &mut S, until: Instant) -> Result<(), End> {
        self.flush(stream).await?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait = if self.input.is_large() { left.min(PAUSE) } else { left };
            let read = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => {
                    self.say(Reply::new(421, EnhancedCode(4, 3, 2), "The gateway is stopping; please try again"));
                    return Err(End::Stopped);
                }
                read = timeout(wait, stream.read(self.input.space(BUFFER_BUSY_BYTES))) => read,
            };
            match read {
                Ok(Ok(octets)) if octets > 0 => {
                    self.input.filled(octets);
                    return Ok(());
                }
                Ok(_) => return Err(End::Closed),
                Err(_) if Instant::now() < until => {
                    self.input.rest();
                    self.replies = Vec::new();
                }
                Err(_) => {
                    self.say(Reply::new(421, EnhancedCode(4, 4, 2), "Timeout"));
                    return Err(End::Timeout);
                }
            }
        }
    }

    /// Waits for more of a message, as long as its pace holds.
    async fn read_content<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &mut self,
        stream: &mut S,
        pace: &mut Pace,
    ) -> Result<(), End> {
        self.flush(stream).await?;
        loop {
            let wait = pace.left().min(self.ends_at.saturating_duration_since(Instant::now()));
            let read = tokio::select! {
                biased;
                () = stopped(&mut self.stop), if !pace.is_stopping => {
                    pace.is_stopping = true;
                    self.ends_at = self.ends_at.min(Instant::now() + self.settings.limits.stop_grace);
                    continue;
                }
                read = timeout(wait, stream.read(self.input.space(BUFFER_CONTENT_BYTES))) => read,
            };
            match read {
                Ok(Ok(octets)) if octets > 0 => {
                    self.input.filled(octets);
                    pace.took(octets);
                    return Ok(());
                }
                Ok(_) => return Err(End::Closed),
                Err(_) if Instant::now() >= self.ends_at => {
                    self.say(Reply::new(421, EnhancedCode(4, 4, 2), "Out of time"));
                    return Err(if pace.is_stopping { End::Stopped } else { End::Timeout });
                }
                Err(_) if pace.holds() => pace.next_window(),
                Err(_) => {
                    self.say(Reply::new(421, EnhancedCode(4, 4, 2), "Too slow"));
                    return Err(End::TooSlow);
                }
            }
        }
    }

    fn say(&mut self, answer: Reply) {
        metrics().reply(self.verb, class(answer.code));
        reply::write(&answer, &mut self.replies);
    }

    fn say_all(&mut self, answer: Option<Reply>) {
        if let Some(answer) = answer {
            self.say(answer);
        }
    }

    async fn flush<S: AsyncRead + AsyncWrite + Unpin + Send>(&mut self, stream: &mut S) -> Result<(), End> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let sent = timeout(self.settings.limits.write, async {
            stream.write_all(&self.replies).await?;
            stream.flush().await
        })
        .await;
        if self.replies.capacity() > REPLIES_BYTES_MAX {
            self.replies = Vec::new();
        }
        self.replies.clear();
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Closed),
            Err(_) => Err(End::Timeout),
        }
    }

    /// Says what is left to say, and goodbye to TLS.
    async fn close<S: AsyncRead + AsyncWrite + Unpin + Send>(&mut self, stream: &mut S, end: End) -> End {
        if self.flush(stream).await.is_ok() {
            let _ = timeout(self.settings.limits.write, stream.shutdown()).await;
            if !matches!(end, End::Quit | End::Closed) {
                let _ = timeout(self.settings.limits.linger, self.drain(stream)).await;
            }
        }
        end
    }

    /// Reads what is nobody's command any more.
    async fn drain<S: AsyncRead + Unpin>(&mut self, stream: &mut S) {
        let mut drained = 0;
        while drained < LINGER_BYTES_MAX {
            self.input = Input::new();
            match stream.read(self.input.space(BUFFER_BUSY_BYTES)).await {
                Ok(octets) if octets > 0 => drained += octets,
                _ => return,
            }
        }
    }
}

fn quota_used_up() -> Reply {
    Reply::new(451, EnhancedCode(4, 7, 1), "Too many messages within an hour; please try again later")
}

/// Returns when the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Closed words for the metric of replies.
fn verb(line: &[u8]) -> &'static str {
    const VERBS: [(&str, &str); 14] = [
        ("MAIL", "mail"),
        ("RCPT", "rcpt"),
        ("DATA", "data"),
        ("BDAT", "bdat"),
        ("EHLO", "ehlo"),
        ("HELO", "helo"),
        ("QUIT", "quit"),
        ("RSET", "rset"),
        ("AUTH", "auth"),
        ("STAR", "starttls"),
        ("NOOP", "noop"),
        ("VRFY", "vrfy"),
        ("EXPN", "expn"),
        ("HELP", "help"),
    ];
    let start = line.get(..4).unwrap_or_default();
    VERBS.iter().find(|(verb, _)| start.eq_ignore_ascii_case(verb.as_bytes())).map_or("other", |(_, word)| word)
}

fn class(code: u16) -> &'static str {
    match code {
        ..300 => "2",
        300..400 => "3",
        400..500 => "4",
        500.. => "5",
    }
}
