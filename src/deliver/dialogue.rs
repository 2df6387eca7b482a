//! One SMTP dialogue as the client (RFC 5321): commands out, replies in, each within its time.
//!
//! Wraps mail-send's [`SmtpClient`] for the socket and the TLS upgrade. Replies are read here, because what arrives
//! behind a reply must neither be lost (pipelining) nor trusted (text injected before TLS), and content is written
//! here, because it must leave byte for byte.

use std::time::Duration;

use mail_send::SmtpClient;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::content::{Content, LineLaw};
use crate::mail::{Mailbox, Notify, Reply};
use crate::policy::Lane;
use crate::smtp::data::DataWriter;
use crate::smtp::reply::ReplyReader;
use crate::transport::Reason;

/// How long each phase may take (RFC 5321, section 4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// The 220 after connecting.
    pub greeting: Duration,
    /// EHLO, STARTTLS, AUTH.
    pub hello: Duration,
    pub tls: Duration,
    pub mail: Duration,
    pub rcpt: Duration,
    /// The 354 after DATA.
    pub data_start: Duration,
    /// Each block of content.
    pub data_block: Duration,
    /// The reply to the whole content.
    pub data_end: Duration,
    /// The answer to RSET on a kept connection.
    pub reset: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Timeouts {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            hello: minutes(5),
            tls: minutes(1),
            mail: minutes(5),
            rcpt: minutes(5),
            data_start: minutes(2),
            data_block: minutes(3),
            data_end: minutes(10),
            reset: Duration::from_secs(5),
        }
    }
}

/// Content up to this size is pipelined behind RCPT when BDAT allows it.
const PIPELINED_OCTETS_MAX: u64 = 128 * 1024;
/// Content is written in blocks of this size, each within its time.
const BLOCK_OCTETS: usize = 64 * 1024;
/// Readable bytes of one BDAT chunk.
const BDAT_OCTETS_MAX: usize = 512 * 1024;

/// What the peer offered in its last EHLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    pub starttls: bool,
    pub pipelining: bool,
    pub chunking: bool,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub dsn: bool,
    pub require_tls: bool,
    pub auth_plain: bool,
    pub size: bool,
    /// `None`: no fixed limit.
    pub size_max: Option<u64>,
}

impl Offers {
    fn of(reply: &Reply) -> Offers {
        let mut offers = Offers::default();
        // The first line is the host's name and greeting, no keyword.
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                "STARTTLS" => offers.starttls = true,
                "PIPELINING" => offers.pipelining = true,
                "CHUNKING" => offers.chunking = true,
                "8BITMIME" => offers.eight_bit_mime = true,
                "SMTPUTF8" => offers.smtputf8 = true,
                "DSN" => offers.dsn = true,
                "REQUIRETLS" => offers.require_tls = true,
                "AUTH" => offers.auth_plain = words.any(|mechanism| mechanism.eq_ignore_ascii_case("PLAIN")),
                "SIZE" => {
                    offers.size = true;
                    offers.size_max = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                }
                _ => {}
            }
        }
        offers
    }
}

/// Whether the next host has to promise what REQUIRETLS asks (RFC 8689).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequireTls {
    No,
    /// Reports on a message that asked for it: they ask for it too, and being redacted they are not lost where nobody
    /// offers it (section 5).
    IfOffered,
    Yes,
}

/// One mail transaction: one reverse-path, one recipient.
#[derive(Clone, Debug)]
pub struct Transaction<'a> {
    pub lane: Lane,
    /// `None`: the null reverse-path.
    pub reverse_path: Option<&'a Mailbox>,
    pub recipient: &'a Mailbox,
    pub smtputf8: bool,
    pub require_tls: RequireTls,
    pub notify: Notify,
    /// The client's ORCPT, which names this recipient (RFC 3461, section 4.2).
    pub orcpt: Option<&'a str>,
    /// Our own random envelope id: the client's could tell recipients apart or link them.
    pub envid: &'a str,
}

/// Where in a transaction a reply was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Mail,
    Rcpt,
    Content,
}

/// How a transaction ended that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Accepted(Reply),
    Refused { step: Step, reply: Reply },
}

/// Why a dialogue broke off.
#[derive(Debug)]
pub enum Failure {
    Connect,
    Timeout,
    /// The connection ended, or the peer said what no reply is.
    Broken,
    /// A well-formed reply that does not fit: greeting, EHLO, STARTTLS, AUTH, 421.
    Unfitting(Reply),
    /// STARTTLS is not offered.
    NoStartTls,
    /// The handshake did not show what the plan asks for.
    Tls(Reason),
    /// The handshake was as it should be, and the EHLO inside TLS went wrong.
    Inside(Box<Failure>),
    /// The proof of this channel is not the one that the clearance asks for.
    NotAdmitted,
    /// The host lacks an extension that this message needs; nothing was sent.
    Lacks(Reason),
    /// The content was written whole and the final reply never came: the host may have it.
    Unanswered,
    /// The content on our side was not readable or not lawful; nothing that counts was sent.
    Content,
}

impl Failure {
    /// The stable code for records.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Failure::Connect => Reason::ConnectFailed,
            Failure::Timeout | Failure::Unanswered => Reason::Timeout,
            Failure::Broken | Failure::Content => Reason::ProtocolError,
            Failure::Unfitting(reply) if reply.code == 421 || reply.code / 100 == 4 => Reason::TemporaryReply,
            Failure::Unfitting(_) => Reason::GreetingRefused,
            Failure::NoStartTls => Reason::StarttlsNotSupported,
            Failure::Tls(reason) | Failure::Lacks(reason) => *reason,
            Failure::Inside(failure) => failure.reason(),
            Failure::NotAdmitted => Reason::LevelNotReachable,
        }
    }
}

/// The dialogue over one stream.
pub(super) struct Dialogue<T: AsyncRead + AsyncWrite> {
    client: SmtpClient<T>,
    /// Read from the socket and not yet consumed.
    unread: Vec<u8>,
    pub(super) offers: Offers,
    pub(super) timeouts: Timeouts,
    /// No further transaction may start here: one is open, or its replies do not say that it is over.
    is_spent: bool,
    /// Something was not read or written; nothing heals that.
    is_broken: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Dialogue<T> {
    pub(super) fn over(client: SmtpClient<T>, timeouts: Timeouts) -> Dialogue<T> {
        Dialogue { client, unread: Vec::new(), offers: Offers::default(), timeouts, is_spent: false, is_broken: false }
    }

    pub(super) fn is_reusable(&self) -> bool {
        !self.is_spent && !self.is_broken
    }

    pub(super) fn client(&self) -> &SmtpClient<T> {
        &self.client
    }

    /// Gives up the stream for the TLS upgrade; refuses if anything came in clear behind the reply to STARTTLS,
    /// which could otherwise pass for the first reply under TLS (CVE-2011-0411, seen from the client).
    pub(super) fn into_client(self) -> Result<SmtpClient<T>, Failure> {
        if self.unread.is_empty() { Ok(self.client) } else { Err(Failure::Broken) }
    }

    pub(super) async fn greeting(&mut self) -> Result<(), Failure> {
        let reply = self.reply(self.timeouts.greeting).await?;
        self.expect(reply, 220)
    }

    /// Says EHLO; the offers of an earlier EHLO are forgotten.
    pub(super) async fn hello(&mut self, name: &str) -> Result<(), Failure> {
        self.offers = Offers::default();
        let reply = self.command(&format!("EHLO {name}\r\n"), self.timeouts.hello).await?;
        if reply.code != 250 {
            return Err(Failure::Unfitting(reply));
        }
        self.offers = Offers::of(&reply);
        Ok(())
    }

    pub(super) fn expect(&mut self, reply: Reply, code: u16) -> Result<(), Failure> {
        if reply.code == code {
            return Ok(());
        }
        self.is_spent = true;
        Err(Failure::Unfitting(reply))
    }

    pub(super) async fn command(&mut self, line: &str, within: Duration) -> Result<Reply, Failure> {
        self.write(line.as_bytes(), within).await?;
        self.flush(within).await?;
        self.reply(within).await
    }

    /// Asks for a clean state now; the answer is read by [`Dialogue::is_reset`] when the connection is used again.
    pub(super) async fn ask_reset(&mut self) -> Result<(), Failure> {
        self.write(b"RSET\r\n", self.timeouts.reset).await?;
        self.flush(self.timeouts.reset).await
    }

    /// Whether RSET was answered 250 and nothing else has arrived.
    pub(super) async fn is_reset(&mut self) -> bool {
        let answered = matches!(self.reply(self.timeouts.reset).await, Ok(reply) if reply.code == 250);
        answered && self.unread.is_empty() && !self.has_more().await
    }

    /// Whether bytes or an end of the stream wait to be read; a peer with nothing to say shows neither.
    async fn has_more(&mut self) -> bool {
        let mut byte = [0u8; 1];
        let read = self.client.stream.read(&mut byte);
        tokio::select! {
            biased;
            _ = read => true,
            () = std::future::ready(()) => false,
        }
    }

    /// Says goodbye without waiting for an answer.
    pub(super) async fn quit(mut self) {
        let polite = async {
            self.client.stream.write_all(b"QUIT\r\n").await?;
            self.client.stream.flush().await?;
            self.client.stream.shutdown().await
        };
        // The transaction is over; whether the goodbye arrives changes nothing.
        let _ = tokio::time::timeout(Duration::from_secs(2), polite).await;
    }

    /// Runs one transaction with content. The caller has checked that the channel may carry it.
    pub(super) async fn transact(&mut self, transaction: &Transaction<'_>, content: Content) -> Result<End, Failure> {
        let mail = self.mail_line(transaction, &content)?;
        let rcpt = self.rcpt_line(transaction);
        // Anything that breaks off from here on leaves the dialogue in an unknown state.
        self.is_spent = true;
        let end = if self.offers.chunking {
            let pipelined = self.offers.pipelining && content.size_bytes <= PIPELINED_OCTETS_MAX;
            self.transact_bdat(&mail, &rcpt, content, pipelined).await?
        } else {
            self.transact_data(&mail, &rcpt, content).await?
        };
        let (End::Accepted(reply) | End::Refused { reply, .. }) = &end;
        if reply.code == 421 {
            self.is_spent = true;
        }
        Ok(end)
    }

    /// The fixed dialogue of a notice: no parameter that could tell one message from another.
    pub(super) async fn transact_plain(&mut self, from: &Mailbox, to: &Mailbox, content: Content) -> Result<End, Failure> {
        if to.needs_smtputf8() && !self.offers.smtputf8 {
            return Err(Failure::Lacks(Reason::SmtpUtf8NotOffered));
        }
        let utf8 = if to.needs_smtputf8() { " SMTPUTF8" } else { "" };
        self.is_spent = true;
        let mail = format!("MAIL FROM:<{}>{utf8}\r\n", path(from));
        let rcpt = format!("RCPT TO:<{}>\r\n", path(to));
        self.transact_data(&mail, &rcpt, content).await
    }

    fn mail_line(&self, transaction: &Transaction<'_>, content: &Content) -> Result<String, Failure> {
        let from = transaction.reverse_path.map(path).unwrap_or_default();
        let mut line = format!("MAIL FROM:<{from}>");
        if self.offers.size {
            if self.offers.size_max.is_some_and(|max| content.size_bytes > max) {
                return Err(Failure::Lacks(Reason::SizeExceeded));
            }
            line.push_str(&format!(" SIZE={}", content.size_bytes));
        }
        if content.is_eight_bit {
            if !self.offers.eight_bit_mime {
                return Err(Failure::Lacks(Reason::EightBitMimeNotOffered));
            }
            line.push_str(" BODY=8BITMIME");
        }
        let utf8_path = transaction.recipient.needs_smtputf8()
            || transaction.reverse_path.is_some_and(Mailbox::needs_smtputf8)
            || (transaction.smtputf8 && content.has_eight_bit_header);
        if utf8_path {
            if !self.offers.smtputf8 {
                return Err(Failure::Lacks(Reason::SmtpUtf8NotOffered));
            }
            line.push_str(" SMTPUTF8");
        }
        match transaction.require_tls {
            RequireTls::Yes if !self.offers.require_tls => return Err(Failure::Lacks(Reason::RequireTlsNotOffered)),
            RequireTls::Yes => line.push_str(" REQUIRETLS"),
            RequireTls::IfOffered if self.offers.require_tls => line.push_str(" REQUIRETLS"),
            RequireTls::IfOffered | RequireTls::No => {}
        }
        if self.offers.dsn {
            // Whatever the client asked for: a report from outside must not carry the message back in clear.
            line.push_str(&format!(" RET=HDRS ENVID={}", transaction.envid));
        }
        line.push_str("\r\n");
        Ok(line)
    }

    fn rcpt_line(&self, transaction: &Transaction<'_>) -> String {
        let mut line = format!("RCPT TO:<{}>", path(transaction.recipient));
        if self.offers.dsn {
            let notify = transaction.notify;
            if notify.never {
                line.push_str(" NOTIFY=NEVER");
            } else if notify != Notify::default() {
                // What was not asked for is not asked for in somebody's name (RFC 3461, section 5.2.1).
                let words: Vec<&str> = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")]
                    .into_iter()
                    .filter_map(|(is_asked, word)| is_asked.then_some(word))
                    .collect();
                if !words.is_empty() {
                    line.push_str(&format!(" NOTIFY={}", words.join(",")));
                }
            }
            if let Some(orcpt) = transaction.orcpt.filter(|text| is_esmtp_value(text)) {
                line.push_str(&format!(" ORCPT={orcpt}"));
            }
        }
        line.push_str("\r\n");
        line
    }

    async fn transact_bdat(&mut self, mail: &str, rcpt: &str, mut content: Content, pipelined: bool) -> Result<End, Failure> {
        let t = self.timeouts;
        if !pipelined {
            if let Some(refused) = self.open_transaction(mail, rcpt).await? {
                self.is_spent = false;
                return Ok(refused);
            }
            return self.chunks(&mut content).await;
        }
        let mut law = LineLaw::default();
        let mut whole = Vec::with_capacity(content.size_bytes as usize + 256);
        whole.extend_from_slice(mail.as_bytes());
        whole.extend_from_slice(rcpt.as_bytes());
        whole.extend_from_slice(format!("BDAT {} LAST\r\n", content.size_bytes).as_bytes());
        let head = whole.len();
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|_| Failure::Content)?;
            law.check(piece.expose()).map_err(|_| Failure::Content)?;
            whole.extend_from_slice(piece.expose());
        }
        let whole = zeroize::Zeroizing::new(whole);
        law.end().map_err(|_| Failure::Content)?;
        if (whole.len() - head) as u64 != content.size_bytes {
            return Err(Failure::Content);
        }
        if self.write_blocks(&whole).await.is_err() {
            return self.last_words().await;
        }
        // From here on the host may have all of it, unless it says that it wants none.
        let refused = self.two_replies().await.map_err(unanswered)?.err();
        if let Some(refused) = refused {
            // The chunk is consumed and refused too (RFC 3030, section 3); only then is the dialogue in step again.
            if let Ok(reply) = self.reply(t.data_block).await {
                self.is_spent = reply.is_positive();
            }
            return Ok(refused);
        }
        let reply = self.reply(t.data_end).await.map_err(unanswered)?;
        self.final_reply(reply)
    }

    async fn chunks(&mut self, content: &mut Content) -> Result<End, Failure> {
        let t = self.timeouts;
        let mut law = LineLaw::default();
        let mut left = content.size_bytes;
        let mut held: Option<zeroize::Zeroizing<Vec<u8>>> = None;
        loop {
            // One chunk is held back, so that the last one is known to be the last, and whole, when it is announced.
            let mut chunk = zeroize::Zeroizing::new(Vec::new());
            while chunk.len() < BDAT_OCTETS_MAX {
                let Some(piece) = content.next().await else { break };
                let piece = piece.map_err(|_| Failure::Content)?;
                law.check(piece.expose()).map_err(|_| Failure::Content)?;
                chunk.extend_from_slice(piece.expose());
            }
            left = left.checked_sub(chunk.len() as u64).ok_or(Failure::Content)?;
            let is_end = chunk.is_empty();
            let Some(now) = (if is_end { held.take() } else { held.replace(chunk) }) else {
                if is_end {
                    return Err(Failure::Content);
                }
                continue;
            };
            if is_end {
                law.end().map_err(|_| Failure::Content)?;
                if left != 0 {
                    return Err(Failure::Content);
                }
            }
            let last = if is_end { " LAST" } else { "" };
            let head = format!("BDAT {}{last}\r\n", now.len());
            if self.write(head.as_bytes(), t.data_block).await.is_err() || self.write_blocks(&now).await.is_err() {
                return self.last_words().await;
            }
            if is_end {
                let reply = self.reply(t.data_end).await.map_err(unanswered)?;
                return self.final_reply(reply);
            }
            let reply = self.reply(t.data_block).await?;
            if reply.code != 250 {
                // A refused chunk ends the transaction; the connection is not used again.
                return if reply.is_positive() { Err(Failure::Broken) } else { Ok(End::Refused { step: Step::Content, reply }) };
            }
        }
    }

    async fn transact_data(&mut self, mail: &str, rcpt: &str, mut content: Content) -> Result<End, Failure> {
        let t = self.timeouts;
        let start = if self.offers.pipelining {
            self.write(format!("{mail}{rcpt}DATA\r\n").as_bytes(), t.mail).await?;
            self.flush(t.mail).await?;
            let replies = self.two_replies().await?;
            let start = self.reply(t.data_start).await;
            if let Err(refused) = replies {
                let Ok(start) = start else { return Ok(refused) };
                if start.code == 354 {
                    // It would take content for nobody: an empty message ends that (RFC 2920, section 3.1).
                    self.write(b".\r\n", t.data_block).await?;
                    self.flush(t.data_block).await?;
                    // The refusal stands, whatever the host makes of an empty message.
                    let _ = self.reply(t.data_end).await;
                } else {
                    self.is_spent = start.is_positive();
                }
                return Ok(refused);
            }
            start?
        } else {
            if let Some(refused) = self.open_transaction(mail, rcpt).await? {
                self.is_spent = false;
                return Ok(refused);
            }
            self.command("DATA\r\n", t.data_start).await?
        };
        if start.code != 354 {
            if start.is_positive() {
                return Err(Failure::Broken);
            }
            self.is_spent = false;
            return Ok(End::Refused { step: Step::Content, reply: start });
        }
        let mut writer = DataWriter::new();
        let mut stuffed = zeroize::Zeroizing::new(Vec::new());
        while let Some(piece) = content.next().await {
            // An unlawful or unreadable piece leaves the content without its end: the host must not take it.
            let piece = piece.map_err(|_| Failure::Content)?;
            writer.push(piece.expose(), &mut stuffed).map_err(|_| Failure::Content)?;
            if stuffed.len() >= BLOCK_OCTETS {
                if self.write_blocks(&stuffed).await.is_err() {
                    return self.last_words().await;
                }
                stuffed.clear();
            }
        }
        writer.finish(&mut stuffed).map_err(|_| Failure::Content)?;
        if self.write_blocks(&stuffed).await.is_err() {
            return self.last_words().await;
        }
        let reply = self.reply(t.data_end).await.map_err(unanswered)?;
        self.final_reply(reply)
    }

    /// The replies to a pipelined MAIL and RCPT: a refusal counts even if nothing comes after it.
    async fn two_replies(&mut self) -> Result<Result<(), End>, Failure> {
        let reply = self.reply(self.timeouts.mail).await?;
        if reply.code / 100 != 2 {
            if reply.code != 421 {
                // It refuses RCPT too; what matters is that the reply is out of the way.
                let _ = self.reply(self.timeouts.rcpt).await;
            }
            return Ok(Err(End::Refused { step: Step::Mail, reply }));
        }
        let reply = self.reply(self.timeouts.rcpt).await?;
        if reply.code / 100 != 2 {
            return Ok(Err(End::Refused { step: Step::Rcpt, reply }));
        }
        Ok(Ok(()))
    }

    /// MAIL and RCPT; `Some` if one was refused.
    async fn open_transaction(&mut self, mail: &str, rcpt: &str) -> Result<Option<End>, Failure> {
        let t = self.timeouts;
        if self.offers.pipelining {
            self.write(format!("{mail}{rcpt}").as_bytes(), t.mail).await?;
            self.flush(t.mail).await?;
            return Ok(self.two_replies().await?.err());
        }
        let reply = self.command(mail, t.mail).await?;
        if reply.code / 100 != 2 {
            return Ok(Some(End::Refused { step: Step::Mail, reply }));
        }
        let reply = self.command(rcpt, t.rcpt).await?;
        if reply.code / 100 != 2 {
            return Ok(Some(End::Refused { step: Step::Rcpt, reply }));
        }
        Ok(None)
    }

    fn final_reply(&mut self, reply: Reply) -> Result<End, Failure> {
        match reply.code / 100 {
            2 => {
                self.is_spent = false;
                Ok(End::Accepted(reply))
            }
            4 | 5 => {
                self.is_spent = false;
                Ok(End::Refused { step: Step::Content, reply })
            }
            // A 354 here means that the two of us do not agree where the content ended.
            _ => Err(Failure::Unanswered),
        }
    }

    /// The connection broke while content was being written: a refusal may still wait to be read.
    async fn last_words(&mut self) -> Result<End, Failure> {
        for _ in 0..3 {
            match self.reply(self.timeouts.reset).await {
                Ok(reply) if !reply.is_positive() => return Ok(End::Refused { step: Step::Content, reply }),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Err(Failure::Broken)
    }

    async fn write(&mut self, bytes: &[u8], within: Duration) -> Result<(), Failure> {
        let written = tokio::time::timeout(within, self.client.stream.write_all(bytes)).await;
        self.judged(written.map(|done| done.map_err(|_| Failure::Broken)))
    }

    async fn flush(&mut self, within: Duration) -> Result<(), Failure> {
        let flushed = tokio::time::timeout(within, self.client.stream.flush()).await;
        self.judged(flushed.map(|done| done.map_err(|_| Failure::Broken)))
    }

    fn judged<V>(&mut self, done: Result<Result<V, Failure>, tokio::time::error::Elapsed>) -> Result<V, Failure> {
        let done = done.unwrap_or(Err(Failure::Timeout));
        self.is_broken |= done.is_err();
        done
    }

    async fn write_blocks(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for block in bytes.chunks(BLOCK_OCTETS) {
            self.write(block, self.timeouts.data_block).await?;
        }
        self.flush(self.timeouts.data_block).await
    }

    async fn reply(&mut self, within: Duration) -> Result<Reply, Failure> {
        let read = tokio::time::timeout(within, self.read_reply()).await;
        self.judged(read)
    }

    async fn read_reply(&mut self) -> Result<Reply, Failure> {
        let mut reader = ReplyReader::new();
        loop {
            let (used, reply) = reader.feed(&self.unread).map_err(|_| Failure::Broken)?;
            self.unread.drain(..used);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            let mut block = [0u8; 2048];
            match self.client.stream.read(&mut block).await {
                Ok(0) | Err(_) => return Err(Failure::Broken),
                Ok(n) => self.unread.extend_from_slice(block.get(..n).unwrap_or_default()),
            }
        }
    }
}

/// The address as it goes between `<` and `>`: by its type without line breaks, the domain as A-labels.
fn path(mailbox: &Mailbox) -> String {
    format!("{}@{}", mailbox.local().as_str(), mailbox.domain().as_str())
}

/// `esmtp-value` (RFC 5321, section 4.1.2): what the client wrote must not become a parameter or command of its own.
fn is_esmtp_value(text: &str) -> bool {
    !text.is_empty() && text.len() <= 500 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
}

/// After the last octet of content was written, silence means that nobody knows.
fn unanswered(_: Failure) -> Failure {
    Failure::Unanswered
}
