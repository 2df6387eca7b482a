//! How long a client may take (RFC 5321, section 4.5.3.2, and what a hostile one makes of it), on real sockets: the
//! gateway says 421 where there is somebody to say it to, closes, and the place of the session is free again. The gateway
//! has one place for each address, so that the next connection is greeted only then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wardpost::observe::metrics;
use wardpost::server;
use wardpost::world::World;

use crate::support::{Gateway, PATIENCE};

/// Long enough for a busy machine to say the next command in.
const SHORT: Duration = Duration::from_millis(600);
/// Longer than all that a case does before the time-out it is about.
const SESSION: Duration = Duration::from_secs(4);
/// Octets that a client has to send of a message within `SHORT`.
const PACE: u64 = 2000;
/// How often a client that stays just below or above a limit says something.
const DRIP: Duration = Duration::from_millis(20);

async fn gateway() -> Gateway {
    let network =
        "[[network]]\nname = \"n\"\naddresses = [\"127.0.0.1\"]\nsender_domains = [\"practice.example\"]\ntls = \"optional\"\n";
    Gateway::start_meant(
        World::start().await.unwrap(),
        |config| config + network,
        |settings| {
            let limits = &mut Arc::make_mut(&mut settings.smtp_in).limits;
            (limits.idle, limits.handshake, limits.write, limits.rate_window) = (SHORT, SHORT, SHORT, SHORT);
            (limits.session, limits.rate_bytes_min, limits.linger) = (SESSION, PACE, SHORT);
            limits.connections_per_source_max = 1;
        },
    )
    .await
}

fn address(gateway: &Gateway, listener: &str) -> SocketAddr {
    gateway.running.address(listener).unwrap()
}

/// A connection that was greeted: the place of the one before is free.
async fn greeted(gateway: &Gateway) -> BufReader<TcpStream> {
    let connect = async {
        loop {
            let mut client = BufReader::new(TcpStream::connect(address(gateway, "relay")).await.unwrap());
            if line(&mut client).await.is_some_and(|line| line.starts_with("220 ")) {
                return client;
            }
        }
    };
    timeout(PATIENCE, connect).await.expect("there is a place again")
}

/// One reply line; `None`: the gateway has closed.
async fn line<S: AsyncRead + Unpin>(client: &mut BufReader<S>) -> Option<String> {
    let mut line = String::new();
    match timeout(PATIENCE, client.read_line(&mut line)).await.expect("the gateway says something") {
        Ok(octets) if octets > 0 => Some(line),
        _ => None,
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(client: &mut BufReader<S>, text: &str, code: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    loop {
        let line = line(client).await.unwrap_or_else(|| panic!("{text}: closed"));
        assert!(line.starts_with(code), "{text}: {line}");
        if line.as_bytes()[3] == b' ' {
            return;
        }
    }
}

/// Nothing but this reply, and the end.
async fn is_cut<S: AsyncRead + Unpin>(client: &mut BufReader<S>, what: &str, reply: &str) {
    let last = line(client).await.unwrap_or_else(|| panic!("{what}: closed without a word"));
    assert!(last.starts_with(reply), "{what}: {last}");
    assert_eq!(line(client).await, None, "{what}");
}

/// Says `drop` again and again while it waits to be cut.
async fn drips_until_cut(client: BufReader<TcpStream>, what: &str, drop: &[u8], reply: &str) {
    let (read, mut write) = tokio::io::split(client.into_inner());
    let mut read = BufReader::new(read);
    let mut every = tokio::time::interval(DRIP);
    let drip = async {
        loop {
            every.tick().await;
            if write.write_all(drop).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = drip => {}
        () = is_cut(&mut read, what, reply) => {}
    }
}

/// How many sessions have ended in this way, from what the metrics print.
fn ended(listener: &str, end: &str) -> u64 {
    let text = metrics().render();
    let of = |line: &&str| {
        line.starts_with("wardpost_smtp_sessions_total{")
            && [format!("\"{listener}\""), format!("\"{end}\"")].iter().all(|label| line.contains(label))
    };
    text.lines().find(of).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

const MAIL: &str = "MAIL FROM:<ann@practice.example>\r\n";
const RCPT: &str = "RCPT TO:<pat@verified.example>\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_or_an_octet_at_a_time_is_told_and_cut() {
    let gateway = gateway().await;
    let before = ended("relay", "timeout");
    is_cut(&mut greeted(&gateway).await, "silent from the greeting", "421 4.4.2 ").await;
    let mut client = greeted(&gateway).await;
    say(&mut client, "EHLO x\r\n", "250").await;
    is_cut(&mut client, "silent after EHLO", "421 4.4.2 ").await;
    let mut client = greeted(&gateway).await;
    for command in ["EHLO x\r\n", MAIL, RCPT] {
        say(&mut client, command, "250").await;
    }
    is_cut(&mut client, "silent before DATA", "421 4.4.2 ").await;
    drips_until_cut(greeted(&gateway).await, "an octet at a time", b"N", "421 4.4.2 ").await;
    // Every command in time, and for ever.
    let mut client = greeted(&gateway).await;
    let endless = async {
        loop {
            client.write_all(b"NOOP\r\n").await.unwrap();
            let line = line(&mut client).await.expect("a word before the end");
            if !line.starts_with("250 ") {
                return line;
            }
        }
    };
    let last = timeout(PATIENCE, endless).await.expect("a session has an end");
    assert!(last.starts_with("421 4.4.2 "), "{last}");
    drop(client);
    greeted(&gateway).await;
    assert!(ended("relay", "timeout") >= before + 5);
    gateway.stop().await;
}

/// Until the message ends there is no 250, and nothing of it goes anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_stops_or_crawls_is_cut_and_nothing_of_it_is_kept() {
    let gateway = gateway().await;
    let begin = async |content: &str, code: &str| {
        let mut client = greeted(&gateway).await;
        for command in ["EHLO x\r\n", MAIL, RCPT] {
            say(&mut client, command, "250").await;
        }
        if code.is_empty() {
            client.write_all(content.as_bytes()).await.unwrap();
        } else {
            say(&mut client, content, code).await;
        }
        client
    };
    let before = ended("relay", "too-slow");
    is_cut(&mut begin("DATA\r\n", "354").await, "nothing after 354", "421 4.4.2 ").await;
    let mut client = begin("DATA\r\n", "354").await;
    client.write_all(b"From: ann@practice.example\r\n\r\nhello\r\n.").await.unwrap();
    is_cut(&mut client, "half of the final dot", "421 4.4.2 ").await;
    drips_until_cut(begin("DATA\r\n", "354").await, "a line now and then", b"x\r\n", "421 4.4.2 ").await;
    is_cut(&mut begin("BDAT 100\r\nabc", "").await, "half a chunk", "421 4.4.2 ").await;
    // Fast enough, and for ever: the session's time is over before.
    let line = [&[b'x'; 510][..], b"\r\n"].concat();
    drips_until_cut(begin("DATA\r\n", "354").await, "an endless message", &line, "421 4.4.2 ").await;
    drop(greeted(&gateway).await);
    assert!(ended("relay", "too-slow") >= before + 4);
    assert_eq!(gateway.rows(server::Request::QueueList { all: true }).await.len(), 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_stalls_gives_its_place_back() {
    let gateway = gateway().await;
    // A record that says it is longer than what comes.
    let half = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let before = ended("relay", "tls-failed");
    for sent in [&[][..], &half] {
        let failed = ended("submissions", "tls-failed");
        let stall = async {
            // Without a place a connection is closed at once, and by itself says nothing about handshakes.
            while ended("submissions", "tls-failed") == failed {
                let mut client = TcpStream::connect(address(&gateway, "submissions")).await.unwrap();
                let _ = client.write_all(sent).await;
                // Nobody is there yet who could be told; an alert may come.
                let _ = client.read_to_end(&mut Vec::new()).await;
            }
        };
        timeout(PATIENCE, stall).await.expect("it is closed");
        let mut client = greeted(&gateway).await;
        say(&mut client, "EHLO x\r\n", "250").await;
        say(&mut client, "STARTTLS\r\n", "220").await;
        client.write_all(sent).await.unwrap();
        let _ = timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await.expect("it is closed");
    }
    drop(greeted(&gateway).await);
    assert!(ended("relay", "tls-failed") >= before + 2);
    gateway.stop().await;
}

/// Inside TLS, in the middle of a log-in, and with a message under way.
#[tokio::test(flavor = "multi_thread")]
async fn inside_tls_the_same_holds() {
    let gateway = gateway().await;
    let trust = server::connector_that_trusts(&gateway.running.own_certificate().unwrap()).unwrap();
    for (what, commands) in [
        ("silent", &[][..]),
        ("silent in a log-in", &[("EHLO x\r\n", "250"), ("AUTH LOGIN\r\n", "334")]),
        ("silent in the second turn", &[("EHLO x\r\n", "250"), ("AUTH LOGIN\r\n", "334"), ("YW5u\r\n", "334")]),
    ] {
        drop(greeted(&gateway).await);
        let mut client = loop {
            let stream = TcpStream::connect(address(&gateway, "submissions")).await.unwrap();
            // Without a place the connection is closed at once.
            if let Ok(stream) = trust.connect("localhost".try_into().unwrap(), stream).await {
                break BufReader::new(stream);
            }
        };
        let greeting = line(&mut client).await.unwrap();
        assert!(greeting.starts_with("220 "), "{greeting}");
        for (command, code) in commands {
            say(&mut client, command, code).await;
        }
        is_cut(&mut client, what, "421 4.4.2 ").await;
    }
    drop(greeted(&gateway).await);
    gateway.stop().await;
}

/// Its replies fill every buffer on the way; whoever does not read them holds no place either.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_cut() {
    let gateway = gateway().await;
    let mut client = greeted(&gateway).await.into_inner();
    let commands = "EHLO x\r\n".repeat(1000);
    let endless = async { while client.write_all(commands.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, endless).await.expect("the connection is reset");
    drop(greeted(&gateway).await);
    gateway.stop().await;
}
