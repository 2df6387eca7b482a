//! One session of a receiving host: lines in, replies out.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::sink::{Received, Recipient, SinkSettings, State, Step, TlsFacts, When};

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, id: u64, state: &Arc<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let settings = state.settings();
    let mut session = Session::new(BufReader::with_capacity(BUFFER, stream), id, state, &settings, None);
    if !session.greet().await? || session.run().await? == Next::Close {
        return Ok(());
    }
    let step = state.step(|when| *when == When::Handshake);
    if let Some(Step::AnswerHello(octets)) = &step {
        session.reader.fill_buf().await?;
        session.reader.get_mut().write_all(octets).await?;
        state.note(id, |connection| connection.handshake_failed = true);
        return session.reader.get_mut().shutdown().await;
    }
    if session.play(step, "").await? == Played::Close {
        return Ok(());
    }
    session.flush().await?;
    let (reader, tls) = (session.reader, settings.tls.clone());
    // What was sent in the same breath as STARTTLS was sent in clear and must not count as said inside TLS
    // (RFC 3207, section 6; CVE-2011-0411).
    if !reader.buffer().is_empty() {
        let early = reader.buffer().to_vec();
        state.note(id, |connection| connection.clear.extend_from_slice(&early));
        return Ok(());
    }
    let Some(tls) = tls else { return Ok(()) };
    let stream = match TlsAcceptor::from(tls).accept(reader.into_inner()).await {
        Ok(stream) => stream,
        Err(error) => {
            state.note(id, |connection| connection.handshake_failed = true);
            return Err(error);
        }
    };
    let facts = TlsFacts::of(stream.get_ref().1);
    state.shaken(id, &facts);
    let mut session = Session::new(BufReader::with_capacity(BUFFER, stream), id, state, &settings, Some(facts));
    session.run().await?;
    session.reader.get_mut().shutdown().await
}

/// What a command leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Go,
    StartTls,
    Close,
}

/// How a point of the dialogue went: as usual (or scripted to the same effect), refused, or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Played {
    Yes,
    No,
    Close,
}

impl Played {
    fn next(self) -> Next {
        match self {
            Played::Yes | Played::No => Next::Go,
            Played::Close => Next::Close,
        }
    }
}

struct Session<'a, S> {
    reader: BufReader<S>,
    id: u64,
    state: &'a Arc<State>,
    settings: &'a SinkSettings,
    tls: Option<TlsFacts>,
    /// Replies that wait for the end of a pipelined group.
    out: Vec<u8>,
    line: Vec<u8>,
    is_greeted: bool,
    mail: Option<(String, String)>,
    recipients: Vec<Recipient>,
    /// Content of the BDAT chunks so far.
    chunks: Vec<u8>,
    in_chunks: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    fn new(reader: BufReader<S>, id: u64, state: &'a Arc<State>, settings: &'a SinkSettings, tls: Option<TlsFacts>) -> Self {
        Self {
            reader,
            id,
            state,
            settings,
            tls,
            out: Vec::new(),
            line: Vec::new(),
            is_greeted: false,
            mail: None,
            recipients: Vec::new(),
            chunks: Vec::new(),
            in_chunks: false,
        }
    }

    /// The banner; false when there will be no session.
    async fn greet(&mut self) -> std::io::Result<bool> {
        let banner = format!("220 {} ESMTP", self.settings.host);
        let played = self.say_or(&banner, |when| *when == When::Connect).await?;
        self.flush().await?;
        Ok(played != Played::Close)
    }

    async fn run(&mut self) -> std::io::Result<Next> {
        loop {
            // RFC 2920: replies to a group may leave together, but none may wait while the client does.
            if self.reader.buffer().is_empty() {
                self.flush().await?;
            }
            self.line.clear();
            let read = (&mut self.reader).take(LINE_MAX).read_until(b'\n', &mut self.line).await?;
            if read == 0 {
                return Ok(Next::Close);
            }
            self.heard(Heard::Line);
            let Some(command) = self.line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()) else {
                self.say("500 5.5.2 a command is a line that ends with CRLF");
                if read as u64 == LINE_MAX {
                    self.flush().await?;
                    return Ok(Next::Close);
                }
                continue;
            };
            let command = command.to_owned();
            match self.command(&command).await? {
                Next::Go => {}
                end @ (Next::StartTls | Next::Close) => {
                    self.flush().await?;
                    return Ok(end);
                }
            }
        }
    }

    async fn command(&mut self, line: &str) -> std::io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if rest.trim().is_empty() => self.refuse("501 5.5.4 say your name"),
            "EHLO" => {
                self.reset();
                self.is_greeted = true;
                let (offers, is_inside) = (self.offers(), self.tls.is_some());
                let is_here = |when: &When| *when == When::Ehlo || (is_inside && *when == When::EhloInside);
                Ok(self.say_or(&offers, is_here).await?.next())
            }
            "HELO" => {
                self.reset();
                self.is_greeted = true;
                let greeting = format!("250 {}", self.settings.host);
                Ok(self.say_or(&greeting, |when| *when == When::Ehlo).await?.next())
            }
            "STARTTLS" => self.start_tls(rest).await,
            "MAIL" => self.mail(rest).await,
            "RCPT" => self.rcpt(rest).await,
            "DATA" => self.data().await,
            "BDAT" => self.bdat(rest).await,
            "RSET" => {
                self.reset();
                Ok(self.say_or("250 2.0.0 ok", |when| *when == When::Rset).await?.next())
            }
            "NOOP" => self.refuse("250 2.0.0 ok"),
            "VRFY" => self.refuse("252 2.5.0 send it and see"),
            "QUIT" => {
                self.say_or("221 2.0.0 bye", |when| *when == When::Quit).await?;
                Ok(Next::Close)
            }
            _ => self.refuse("500 5.5.1 not a command here"),
        }
    }

    fn offers(&self) -> String {
        let offers = &self.settings.offers;
        let mut lines = vec![format!("{} at your service", self.settings.host)];
        let size = offers.size.map(|size| format!("SIZE {size}")).unwrap_or_default();
        for (is_offered, keyword) in [
            (offers.pipelining, "PIPELINING"),
            (offers.eight_bit_mime, "8BITMIME"),
            (offers.smtp_utf8, "SMTPUTF8"),
            (offers.chunking, "CHUNKING"),
            (offers.dsn, "DSN"),
            (offers.enhanced_codes, "ENHANCEDSTATUSCODES"),
            (offers.require_tls && self.tls.is_some(), "REQUIRETLS"),
            (offers.size.is_some(), size.as_str()),
            (self.settings.tls.is_some() && self.tls.is_none(), "STARTTLS"),
        ] {
            if is_offered {
                lines.push(keyword.to_owned());
            }
        }
        let last = lines.len() - 1;
        let lines: Vec<String> =
            lines.iter().enumerate().map(|(at, line)| format!("250{}{line}", if at == last { ' ' } else { '-' })).collect();
        lines.join("\r\n")
    }

    async fn start_tls(&mut self, rest: &str) -> std::io::Result<Next> {
        if !rest.is_empty() {
            return self.refuse("501 5.5.4 STARTTLS takes no parameter");
        }
        if self.tls.is_some() || self.settings.tls.is_none() {
            return self.refuse("502 5.5.1 not offered");
        }
        Ok(match self.say_or("220 2.0.0 go ahead", |when| *when == When::StartTls).await? {
            Played::Yes => Next::StartTls,
            Played::No => Next::Go,
            Played::Close => Next::Close,
        })
    }

    async fn mail(&mut self, rest: &str) -> std::io::Result<Next> {
        if !self.is_greeted || self.mail.is_some() {
            return self.refuse("503 5.5.1 bad sequence of commands");
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return self.refuse("501 5.5.4 MAIL FROM:<reverse-path>");
        };
        if let Some(refusal) = self.unknown_parameter(parameters, true) {
            return self.refuse(&refusal);
        }
        let size = parameters.split(' ').find_map(|parameter| {
            let (keyword, value) = parameter.split_once('=')?;
            keyword.eq_ignore_ascii_case("SIZE").then(|| value.parse::<u64>().unwrap_or(u64::MAX))
        });
        if size.zip(self.settings.offers.size).is_some_and(|(size, max)| size > max) {
            return self.refuse("552 5.3.4 too large");
        }
        let (from, parameters) = (from.to_owned(), parameters.to_owned());
        let played = self.say_or("250 2.1.0 ok", |when| *when == When::Mail).await?;
        if played == Played::Yes {
            self.mail = Some((from, parameters));
        }
        Ok(played.next())
    }

    async fn rcpt(&mut self, rest: &str) -> std::io::Result<Next> {
        if self.mail.is_none() || self.in_chunks {
            return self.refuse("503 5.5.1 bad sequence of commands");
        }
        let Some((address, parameters)) = path(rest, "TO:").filter(|(address, _)| !address.is_empty()) else {
            return self.refuse("501 5.5.4 RCPT TO:<forward-path>");
        };
        if let Some(refusal) = self.unknown_parameter(parameters, false) {
            return self.refuse(&refusal);
        }
        let recipient = Recipient { address: address.to_owned(), parameters: parameters.to_owned() };
        let played = self
            .say_or("250 2.1.5 ok", |when| {
                matches!(when, When::Rcpt(only) if only.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(&recipient.address)))
            })
            .await?;
        if played == Played::Yes {
            self.recipients.push(recipient);
        }
        Ok(played.next())
    }

    /// RFC 5321, section 4.1.1.11: a parameter that was not offered is 555.
    fn unknown_parameter(&self, parameters: &str, is_mail: bool) -> Option<String> {
        let offers = &self.settings.offers;
        for parameter in parameters.split(' ').filter(|parameter| !parameter.is_empty()) {
            let keyword = parameter.split('=').next().unwrap_or_default().to_ascii_uppercase();
            let is_known = match (is_mail, keyword.as_str()) {
                (true, "SIZE") => offers.size.is_some(),
                (true, "BODY") => offers.eight_bit_mime,
                (true, "SMTPUTF8") => offers.smtp_utf8,
                (true, "RET" | "ENVID") | (false, "NOTIFY" | "ORCPT") => offers.dsn,
                (true, "REQUIRETLS") => offers.require_tls && self.tls.is_some(),
                _ => false,
            };
            if !is_known {
                return Some(format!("555 5.5.4 {keyword} is not offered"));
            }
        }
        None
    }

    async fn data(&mut self) -> std::io::Result<Next> {
        if self.mail.is_none() || self.recipients.is_empty() || self.in_chunks {
            let reply = if self.mail.is_some() && !self.in_chunks {
                "554 5.5.1 no valid recipients"
            } else {
                "503 5.5.1 bad sequence of commands"
            };
            return self.refuse(reply);
        }
        let played = self.say_or("354 go ahead", |when| *when == When::Data).await?;
        if played != Played::Yes {
            return Ok(played.next());
        }
        self.flush().await?;
        let mut content = Vec::new();
        let mut size: u64 = 0;
        let mut follows_crlf = true;
        loop {
            self.line.clear();
            if self.reader.read_until(b'\n', &mut self.line).await? == 0 {
                return Ok(Next::Close);
            }
            self.heard(Heard::Content);
            if follows_crlf && self.line == b".\r\n" {
                break;
            }
            let line = match self.line.strip_prefix(b".") {
                Some(unstuffed) if follows_crlf => unstuffed,
                _ => self.line.as_slice(),
            };
            size += line.len() as u64;
            if self.settings.offers.size.is_none_or(|max| size <= max) && !self.settings.only_count {
                content.extend_from_slice(line);
            }
            follows_crlf = self.line.ends_with(b"\r\n");
        }
        self.accept(content, size).await
    }

    /// RFC 3030. The chunk is read whatever comes of it, so that the dialogue stays in step.
    async fn bdat(&mut self, rest: &str) -> std::io::Result<Next> {
        let mut words = rest.split_ascii_whitespace();
        let size = words.next().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let last = words.next();
        let is_last = last.is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let Some(size) = size.and_then(|digits| digits.parse::<u64>().ok()).filter(|_| last.is_none() || is_last) else {
            // Without a size nobody knows where the next command begins.
            self.say("501 5.5.4 BDAT size [LAST]");
            return Ok(Next::Close);
        };
        let room = self.settings.offers.size.unwrap_or(u64::MAX).saturating_sub(self.chunks.len() as u64);
        let fits = size <= room && self.settings.offers.chunking && !self.recipients.is_empty();
        let mut chunk = Vec::new();
        if fits {
            let read = (&mut self.reader).take(size).read_to_end(&mut chunk).await?;
            if read as u64 != size {
                return Ok(Next::Close);
            }
        } else {
            let mut skipped = (&mut self.reader).take(size);
            if tokio::io::copy(&mut skipped, &mut tokio::io::sink()).await? != size {
                return Ok(Next::Close);
            }
        }
        if self.tls.is_none() {
            self.state.note(self.id, |connection| connection.clear.extend_from_slice(&chunk));
        }
        if !self.settings.offers.chunking {
            return self.refuse("502 5.5.1 not offered");
        }
        if self.mail.is_none() || self.recipients.is_empty() {
            return self.refuse("503 5.5.1 bad sequence of commands");
        }
        if !fits {
            self.reset();
            return self.refuse("552 5.3.4 too large");
        }
        self.in_chunks = true;
        self.chunks.append(&mut chunk);
        if !is_last {
            return self.refuse("250 2.0.0 more");
        }
        let content = std::mem::take(&mut self.chunks);
        let size = content.len() as u64;
        self.accept(content, size).await
    }

    async fn accept(&mut self, content: Vec<u8>, size: u64) -> std::io::Result<Next> {
        let (from, mail_parameters) = self.mail.take().unwrap_or_default();
        let recipients = std::mem::take(&mut self.recipients);
        self.reset();
        if self.settings.offers.size.is_some_and(|max| size > max) {
            return self.refuse("552 5.3.4 too large");
        }
        let step = self.state.step(|when| match when {
            When::Content(Some(only)) => recipients.iter().any(|recipient| recipient.address.eq_ignore_ascii_case(only)),
            When::Content(None) => true,
            _ => false,
        });
        let message = Received { connection: self.id, from, mail_parameters, recipients, content, size, tls: self.tls.clone() };
        if matches!(step, Some(Step::KeepAndDrop)) {
            self.state.keep(message);
            return Ok(Next::Close);
        }
        let played = self.play(step, "250 2.0.0 kept").await?;
        if played == Played::Yes {
            self.state.keep(message);
        }
        Ok(played.next())
    }

    /// The usual reply (an empty one is silence), unless the script has a step for this point.
    async fn say_or(&mut self, usual: &str, is_here: impl Fn(&When) -> bool) -> std::io::Result<Played> {
        let step = self.state.step(is_here);
        self.play(step, usual).await
    }

    async fn play(&mut self, step: Option<Step>, usual: &str) -> std::io::Result<Played> {
        match step {
            None => {}
            Some(Step::Reply(reply)) => {
                self.say(&reply);
                return Ok(if reply.starts_with("421") {
                    Played::Close
                } else if reply.as_bytes().first() == usual.as_bytes().first() {
                    Played::Yes
                } else {
                    Played::No
                });
            }
            Some(Step::Flood(octets)) => {
                self.flush().await?;
                loop {
                    self.reader.get_mut().write_all(octets.as_bytes()).await?;
                    self.reader.get_mut().flush().await?;
                }
            }
            Some(Step::Drop | Step::KeepAndDrop | Step::AnswerHello(_)) => {
                self.out.clear();
                return Ok(Played::Close);
            }
            Some(Step::Wait(notify)) => {
                self.flush().await?;
                notify.notified().await;
            }
            Some(Step::Delay(delay)) => {
                self.flush().await?;
                tokio::time::sleep(delay).await;
            }
        }
        if !usual.is_empty() {
            self.say(usual);
        }
        Ok(Played::Yes)
    }

    fn refuse(&mut self, reply: &str) -> std::io::Result<Next> {
        self.say(reply);
        Ok(Next::Go)
    }

    fn say(&mut self, reply: &str) {
        self.out.extend_from_slice(reply.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn reset(&mut self) {
        self.mail = None;
        self.recipients.clear();
        self.chunks.clear();
        self.in_chunks = false;
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        if !self.out.is_empty() {
            self.reader.get_mut().write_all(&self.out).await?;
            self.reader.get_mut().flush().await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Writes down what just came: in clear every byte, inside TLS the commands.
    fn heard(&self, heard: Heard) {
        if self.settings.only_count {
            return;
        }
        match (self.tls.is_some(), heard) {
            (false, Heard::Line | Heard::Content) => {
                self.state.note(self.id, |connection| connection.clear.extend_from_slice(&self.line));
            }
            (true, Heard::Line) => {
                let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
                self.state.note(self.id, |connection| connection.commands.push(line));
            }
            (true, Heard::Content) => {}
        }
    }
}

#[derive(Clone, Copy)]
enum Heard {
    Line,
    Content,
}

/// `FROM:<a@b> SIZE=3` into path and parameters.
fn path<'l>(rest: &'l str, keyword: &str) -> Option<(&'l str, &'l str)> {
    let (head, rest) = rest.split_at_checked(keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest.strip_prefix('<')?;
    // A quoted local part may hold a closing bracket.
    let mut is_quoted = false;
    let mut is_escaped = false;
    let end = rest.char_indices().find_map(|(at, letter)| {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '>' if !is_quoted => return Some(at),
            _ => {}
        }
        None
    })?;
    let (path, after) = rest.split_at_checked(end)?;
    let after = after.strip_prefix('>')?;
    match after.strip_prefix(' ') {
        Some(parameters) => Some((path, parameters.trim())),
        None => after.is_empty().then_some((path, "")),
    }
}

/// One read of the socket.
const BUFFER: usize = 64 * 1024;
/// Longer than RFC 5321, section 4.5.3.1.4 and all offered extensions allow.
const LINE_MAX: u64 = 16 * 1024;
