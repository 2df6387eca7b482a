//! Drives the real program: 50 sessions of 10 KB messages, STARTTLS in, proven TLS out, scan, seal and sync on, into a
//! sink, and prints what it cost. With Postfix installed the same traffic goes through a stock Postfix (no scan, no
//! sealing) in turn, so that the two stand side by side. Run with `cargo bench --bench relay`; `docs/BENCHMARKS.md`
//! says how to read it. Nothing here asserts: it prints figures.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wardpost::server;
use wardpost::world::{Ca, Leaf, Sink, SinkSettings, Versions};

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Load {
    messages: usize,
    sessions: usize,
    body: String,
}

/// What one run through one relay gave.
struct Run {
    accepted_per_s: f64,
    delivered_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_s_per_1000: f64,
    peak_mb: f64,
}

fn main() -> Result<(), Failure> {
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let load = Load { messages: number("MESSAGES", 3000), sessions: number("SESSIONS", 50), body: body(number("BYTES", 10_000)) };
    let rounds = number("ROUNDS", 3);
    println!(
        "{} messages of {} bytes over {} sessions, one recipient each, {rounds} rounds",
        load.messages,
        load.body.len(),
        load.sessions
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let has_postfix = Path::new("/usr/sbin/postfix").exists() && std::env::var_os("NO_POSTFIX").is_none();
    let mut table: Vec<(&str, Vec<Run>)> = vec![("wardpost", vec![])];
    if has_postfix {
        table.push(("postfix", vec![]));
    } else {
        println!("Postfix is not installed (or NO_POSTFIX is set): its line is left out");
    }
    for round in 0..rounds {
        for (name, runs) in &mut table {
            let run = runtime.block_on(async {
                if *name == "wardpost" { through_wardpost(&load).await } else { through_postfix(&load).await }
            })?;
            println!(
                "round {} {name:<9} accepted {:>6.0}/s  delivered {:>6.0}/s  reply p50 {:>6.1} ms p99 {:>6.1} ms  CPU {:>6.3} s per 1,000  peak {:>6.1} MB",
                round + 1,
                run.accepted_per_s,
                run.delivered_per_s,
                run.p50_ms,
                run.p99_ms,
                run.cpu_s_per_1000,
                run.peak_mb
            );
            runs.push(run);
        }
    }
    let median = |runs: &[Run], value: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    if let [(_, ours), (_, theirs)] = table.as_slice() {
        println!(
            "medians, ours to Postfix's: accepted {:.2}, delivered {:.2}, CPU {:.3} (Postfix scans and seals nothing)",
            median(ours, |run| run.accepted_per_s) / median(theirs, |run| run.accepted_per_s),
            median(ours, |run| run.delivered_per_s) / median(theirs, |run| run.delivered_per_s),
            median(ours, |run| run.cpu_s_per_1000) / median(theirs, |run| run.cpu_s_per_1000),
        );
    }
    Ok(())
}

/// Office prose without identifiers, in lines, about so long.
fn body(bytes: usize) -> String {
    let lines = [
        "the meeting about the new parking places is moved to Thursday after lunch,",
        "please bring the plan of the second floor and the list of spare keys.",
        "The printer on the left side of the hall needs paper and a new drum;",
        "whoever has the invoice for the carpet may hand it in at the front desk.",
    ];
    lines.iter().cycle().take(bytes / 72 + 1).map(|line| format!("{line}\r\n")).collect()
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Scratch, Failure> {
        let path = std::env::temp_dir().join(format!("wardpost-bench-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Bed {
    scratch: Scratch,
    leaf: Leaf,
    ca_pem: String,
    sink: Sink,
    port: u16,
}

async fn bed(name: &str) -> Result<Bed, Failure> {
    let ca = Ca::new("Benchmark CA")?;
    let leaf = ca.leaf(&["localhost", "sink.example"])?;
    let scratch = Scratch::new(name)?;
    for (file, text) in [("ca.pem", ca.pem()), ("cert.pem", leaf.chain_pem()), ("key.pem", leaf.key_pem())] {
        std::fs::write(scratch.0.join(file), text)?;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let settings = SinkSettings {
        host: "sink.example".into(),
        tls: Some(leaf.server_config(Versions::Both)?),
        only_count: true,
        ..SinkSettings::default()
    };
    let sink = Sink::serve(listener, settings)?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok(Bed { scratch, leaf, ca_pem: ca.pem(), sink, port })
}

async fn through_wardpost(load: &Load) -> Result<Run, Failure> {
    let bed = bed("wardpost").await?;
    let folder = &bed.scratch.0;
    std::fs::write(
        folder.join("wardpost.toml"),
        format!(
            "[server]\nname = \"localhost\"\nown_domains = [\"bench.example\"]\n[smtp]\nrelay = [\"127.0.0.1:{}\"]\nsubmission = []\nsubmissions = []\n\
             certificate = \"cert.pem\"\nkey = \"key.pem\"\n[[network]]\nname = \"bench\"\naddresses = [\"127.0.0.1/32\"]\nsender_domains = [\"bench.example\"]\n\
             [transport]\nca_bundle = \"ca.pem\"\n[next_hop]\nhost = \"sink.example\"\naddress = \"127.0.0.1\"\nport = {}\ncertificate_name = \"sink.example\"\n\
             [portal]\nlisten = [\"127.0.0.1:0\"]\n[metrics]\nlisten = \"127.0.0.1:0\"\n",
            bed.port,
            bed.sink.address().port()
        ),
    )?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_wardpost"))
        .args(["serve", "--config"])
        .arg(folder.join("wardpost.toml"))
        .env("WARDPOST_LOG", "error")
        .stdout(Stdio::null())
        .spawn()?;
    let run = measure(&bed, load, &mut child).await;
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let _ = child.wait();
    run
}

async fn through_postfix(load: &Load) -> Result<Run, Failure> {
    let bed = bed("postfix").await?;
    let folder = &bed.scratch.0;
    for name in ["conf", "queue", "data"] {
        std::fs::create_dir(folder.join(name))?;
    }
    let shell = |command: &str| Command::new("sh").arg("-c").arg(command).current_dir(folder).status();
    shell("chmod 755 . conf queue; chown postfix data")?;
    let path = folder.display();
    std::fs::write(
        folder.join("conf/main.cf"),
        format!(
            "compatibility_level = 3.6\nqueue_directory = {path}/queue\ncommand_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             data_directory = {path}/data\nmail_owner = postfix\nsetgid_group = postdrop\nmaillog_file = {path}/maillog\nmaillog_file_prefixes = /tmp, /var\n\
             myhostname = localhost\nmydestination =\nlocal_recipient_maps =\nmynetworks = 127.0.0.0/8\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_peername_lookup = no\nsmtp_dns_support_level = disabled\nrelayhost = [127.0.0.1]:{}\n\
             alias_maps =\nsmtpd_tls_security_level = may\nsmtpd_tls_chain_files = {path}/key.pem, {path}/cert.pem\nsmtp_tls_security_level = encrypt\nsmtp_tls_CAfile = {path}/ca.pem\n",
            bed.sink.address().port()
        ),
    )?;
    std::fs::write(folder.join("conf/master.cf"), MASTER.replace("PORT", &bed.port.to_string()))?;
    let mut child = Command::new("postfix")
        .args(["-c", &format!("{path}/conf"), "start-fg"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let run = measure(&bed, load, &mut child).await;
    let _ = Command::new("postfix")
        .args(["-c", &format!("{path}/conf"), "stop"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = child.wait();
    run
}

const MASTER: &str = "127.0.0.1:PORT inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\nsmtp unix - - n - - smtp\nrelay unix - - n - - smtp\n\
showq unix n - n - - showq\nerror unix - - n - - error\nretry unix - - n - - error\ndiscard unix - - n - - discard\nanvil unix - - n - 1 anvil\n\
scache unix - - n - 1 scache\ntlsproxy unix - - n - 0 tlsproxy\npostlog unix-dgram n - n - 1 postlogd\n";

async fn measure(bed: &Bed, load: &Load, child: &mut Child) -> Result<Run, Failure> {
    let connector = server::connector_that_trusts(bed.ca_pem.as_bytes())?;
    let _ = &bed.leaf;
    let started = Instant::now();
    // Ready is when the first message is taken: a scanner may still be loading.
    while one_session(bed.port, &connector, &load.body, &AtomicUsize::new(0), 1).await.map_or(true, |times| times.is_empty()) {
        if started.elapsed() > Duration::from_secs(60) {
            return Err("the relay does not take messages".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let warm = Arc::new(AtomicUsize::new(0));
    sessions(bed.port, &connector, load, warm, 200.min(load.messages)).await?;
    let before_count = wait_until_quiet(&bed.sink).await;

    let before = cpu_seconds(child.id());
    let begun = Instant::now();
    let times = sessions(bed.port, &connector, load, Arc::new(AtomicUsize::new(0)), load.messages).await?;
    let accepted_in = begun.elapsed();
    let accepted = times.len();
    while bed.sink.message_count() < before_count + accepted as u64 && begun.elapsed() < Duration::from_secs(180) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let delivered_in = begun.elapsed();
    let delivered = bed.sink.message_count() - before_count;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let cpu = cpu_seconds(child.id()) - before;
    if delivered != accepted as u64 {
        println!("  {accepted} accepted, {delivered} delivered");
    }
    let mut ms: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    ms.sort_by(f64::total_cmp);
    let at =
        |share: f64| ms.get(((ms.len() as f64 * share) as usize).min(ms.len().saturating_sub(1))).copied().unwrap_or(f64::NAN);
    Ok(Run {
        accepted_per_s: accepted as f64 / accepted_in.as_secs_f64(),
        delivered_per_s: delivered as f64 / delivered_in.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        cpu_s_per_1000: cpu * 1000.0 / accepted as f64,
        peak_mb: memory_mb(child.id()),
    })
}

async fn wait_until_quiet(sink: &Sink) -> u64 {
    let mut last = sink.message_count();
    loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let now = sink.message_count();
        if now == last {
            return now;
        }
        last = now;
    }
}

async fn sessions(
    port: u16,
    connector: &TlsConnector,
    load: &Load,
    taken: Arc<AtomicUsize>,
    messages: usize,
) -> Result<Vec<Duration>, Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..load.sessions {
        let (connector, taken, body) = (connector.clone(), taken.clone(), load.body.clone());
        tasks.spawn(async move { one_session(port, &connector, &body, &taken, messages).await });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(times)
}

/// One connection with STARTTLS that sends messages until all are taken; the times from the last byte to the reply.
async fn one_session(
    port: u16,
    connector: &TlsConnector,
    body: &str,
    taken: &AtomicUsize,
    messages: usize,
) -> Result<Vec<Duration>, Failure> {
    let mut clear = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    reply(&mut clear).await?;
    say(&mut clear, "EHLO bench.example\r\n").await?;
    say(&mut clear, "STARTTLS\r\n").await?;
    let name = rustls::pki_types::ServerName::try_from("localhost")?;
    let mut tls = BufReader::new(connector.connect(name, clear.into_inner()).await?);
    say(&mut tls, "EHLO bench.example\r\n").await?;
    let mut times = Vec::new();
    loop {
        let id = taken.fetch_add(1, Ordering::Relaxed);
        if id >= messages {
            break;
        }
        say(&mut tls, "MAIL FROM:<ann@bench.example>\r\n").await?;
        say(&mut tls, &format!("RCPT TO:<pat{}@sink.example>\r\n", id % 100)).await?;
        say(&mut tls, "DATA\r\n").await?;
        let message = format!(
            "From: Ann <ann@bench.example>\r\nTo: Pat <pat{}@sink.example>\r\nSubject: note {id}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}@bench.example>\r\n\r\n{body}.\r\n",
            id % 100
        );
        tls.write_all(message.as_bytes()).await?;
        tls.flush().await?;
        let sent = Instant::now();
        if reply(&mut tls).await?.starts_with('2') {
            times.push(sent.elapsed());
        }
    }
    let _ = tls.write_all(b"QUIT\r\n").await;
    Ok(times)
}

async fn say<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    line: &str,
) -> Result<String, Failure> {
    stream.write_all(line.as_bytes()).await?;
    stream.flush().await?;
    let reply = reply(stream).await?;
    if reply.starts_with(['4', '5']) { Err(format!("{}: {reply}", line.trim()).into()) } else { Ok(reply) }
}

async fn reply<S: tokio::io::AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<String, Failure> {
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

/// User and system time of a process, its living descendants, and those it has waited for.
fn cpu_seconds(pid: u32) -> f64 {
    let mut ticks = 0.0;
    for pid in family(pid) {
        if let Some(fields) = stat(pid) {
            // utime, stime, cutime, cstime (proc(5)).
            ticks += [11, 12, 13, 14].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum::<f64>();
        }
    }
    ticks / 100.0
}

fn memory_mb(pid: u32) -> f64 {
    let proportional = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        text.lines().find(|line| line.starts_with("Pss:"))?.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    family(pid).into_iter().filter_map(proportional).sum::<f64>() / 1024.0
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn family(root: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok())
        {
            parents.push((pid, parent));
        }
    }
    let mut all = vec![root];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        all.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        at += 1;
    }
    all
}
