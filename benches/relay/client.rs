//! The load: sessions that send messages as fast as they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Failure;

/// How messages come in.
#[derive(Clone)]
pub struct Load {
    pub port: u16,
    /// STARTTLS; `None`: in clear.
    pub tls: Option<TlsConnector>,
    pub sessions: usize,
    pub messages: usize,
    /// Messages of one connection.
    pub per_connection: usize,
    pub recipients: usize,
    /// Domain of all recipients; `None`: twenty in turn.
    pub domain: Option<&'static str>,
    /// Header fields of the content type, and the body in lines.
    pub content: Arc<str>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}
type Lines = BufReader<Box<dyn Stream>>;

/// Sends all messages; the times from the last byte of each accepted one to its reply.
pub async fn send(load: &Load) -> Result<Vec<Duration>, Failure> {
    let taken = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..load.sessions {
        let (load, taken) = (load.clone(), Arc::clone(&taken));
        tasks.spawn(async move { session(&load, &taken).await });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(times)
}

/// One client: connections with messages until all are taken.
async fn session(load: &Load, taken: &AtomicUsize) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::new();
    let mut next = taken.fetch_add(1, Ordering::Relaxed);
    while next < load.messages {
        let mut lines = open(load.port, load.tls.as_ref()).await?;
        for _ in 0..load.per_connection {
            if let Some(time) = message(&mut lines, load, next).await? {
                times.push(time);
            }
            next = taken.fetch_add(1, Ordering::Relaxed);
            if next >= load.messages {
                break;
            }
        }
        lines.write_all(b"QUIT\r\n").await?;
        lines.flush().await?;
        let _ = reply(&mut lines).await;
    }
    Ok(times)
}

/// A connection that has said EHLO.
async fn open(port: u16, tls: Option<&TlsConnector>) -> Result<Lines, Failure> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    tcp.set_nodelay(true)?;
    let mut clear = BufReader::new(tcp);
    reply(&mut clear).await?;
    say(&mut clear, "EHLO bench.example\r\n").await?;
    let Some(tls) = tls else { return Ok(BufReader::new(Box::new(clear.into_inner()))) };
    say(&mut clear, "STARTTLS\r\n").await?;
    let name = rustls::pki_types::ServerName::try_from("localhost")?;
    let stream: Box<dyn Stream> = Box::new(tls.connect(name, clear.into_inner()).await?);
    let mut lines = BufReader::new(stream);
    say(&mut lines, "EHLO bench.example\r\n").await?;
    Ok(lines)
}

/// Connects and waits for the greeting, as an idle client does.
pub async fn idle(port: u16) -> Result<(TcpStream, Duration), Failure> {
    let begun = Instant::now();
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut lines = BufReader::new(tcp);
    reply(&mut lines).await?;
    Ok((lines.into_inner(), begun.elapsed()))
}

async fn message(lines: &mut Lines, load: &Load, id: usize) -> Result<Option<Duration>, Failure> {
    // As clients do that see PIPELINING: the envelope in one go (RFC 2920).
    let recipient = |n: usize| match load.domain {
        Some(domain) => format!("pat{id}x{n}@{domain}"),
        None => format!("pat{id}x{n}@d{}.example", (id + n) % 20),
    };
    let mut envelope = String::from("MAIL FROM:<ann@bench.example>\r\n");
    for n in 0..load.recipients {
        envelope.push_str(&format!("RCPT TO:<{}>\r\n", recipient(n)));
    }
    envelope.push_str("DATA\r\n");
    lines.write_all(envelope.as_bytes()).await?;
    lines.flush().await?;
    for _ in 0..load.recipients + 2 {
        accepted(&envelope, reply(lines).await?)?;
    }
    let head = format!(
        "From: Ann <ann@bench.example>\r\nTo: Pat <{}>\r\nSubject: note {id}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}@bench.example>\r\n",
        recipient(0)
    );
    lines.write_all(head.as_bytes()).await?;
    lines.write_all(load.content.as_bytes()).await?;
    lines.write_all(b".\r\n").await?;
    lines.flush().await?;
    let sent = Instant::now();
    Ok(reply(lines).await?.starts_with('2').then(|| sent.elapsed()))
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, line: &str) -> Result<String, Failure> {
    stream.write_all(line.as_bytes()).await?;
    stream.flush().await?;
    accepted(line, reply(stream).await?)
}

fn accepted(command: &str, reply: String) -> Result<String, Failure> {
    let first = command.lines().next().unwrap_or_default();
    if reply.starts_with(['4', '5']) { Err(format!("{first}: {reply}").into()) } else { Ok(reply) }
}

async fn reply<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<String, Failure> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err("the relay closed the connection".into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

/// Office prose without identifiers, in lines, about so long, with the header's end before it.
pub fn text(bytes: usize) -> Arc<str> {
    let lines = [
        "the meeting about the new parking places is moved to Thursday after lunch,",
        "please bring the plan of the second floor and the list of spare keys.",
        "The printer on the left side of the hall needs paper and a new drum;",
        "whoever has the invoice for the carpet may hand it in at the front desk.",
    ];
    let body: String = lines.iter().cycle().take(bytes / 72 + 1).map(|line| format!("{line}\r\n")).collect();
    format!("\r\n{body}").into()
}

/// A short text and a CSV attachment in base64 that makes the message so long: what a practice sends when it is large.
pub fn with_attachment(bytes: usize) -> Arc<str> {
    use base64::Engine as _;
    let row = "floor,room,item,pieces,ordered by,remarks\nsecond,214,office chair,4,front desk,blue if there is a choice\n";
    let table: String = row.chars().cycle().take(bytes / 4 * 3 / 78 * 77).collect();
    let mut coded = String::with_capacity(bytes);
    for line in table.as_bytes().chunks(57) {
        base64::engine::general_purpose::STANDARD.encode_string(line, &mut coded);
        coded.push_str("\r\n");
    }
    format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nThe list is attached.\r\n\
         --b1\r\nContent-Type: text/csv; name=list.csv\r\nContent-Disposition: attachment; filename=list.csv\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         {coded}--b1--\r\n"
    )
    .into()
}
