//! Drives the real program through scenarios (plain and TLS in, verified TLS out; scan, seal and sync always on), with a
//! sink behind it, and prints what they cost. Where Postfix is installed, a stock one (no scan, no sealing) carries the
//! same traffic in turn, so that the two stand side by side. What the machine can do without a relay is measured in the
//! same run. `cargo bench --bench relay`; `docs/BENCHMARKS.md` says how to read it. Nothing here asserts: it prints.

mod client;
mod machine;
mod process;
mod relays;

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::Load;
use relays::{ALONE, Kind, Relay};
use wardpost::server;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Scenario {
    name: &'static str,
    what: &'static str,
    is_tls_in: bool,
    sessions: usize,
    messages: usize,
    per_connection: usize,
    recipients: usize,
    content: fn() -> Arc<str>,
}

/// The usual case; the others differ in a few fields.
const USUAL: Scenario = Scenario {
    name: "tls",
    what: "STARTTLS in, 10 KB, 1 recipient, 50 sessions",
    is_tls_in: true,
    sessions: 50,
    messages: 3_000,
    per_connection: usize::MAX,
    recipients: 1,
    content: || client::text(10_000),
};

const SCENARIOS: [Scenario; 6] = [
    USUAL,
    Scenario { name: "plain", what: "in clear in, 10 KB, 1 recipient, 50 sessions", is_tls_in: false, ..USUAL },
    Scenario {
        name: "split",
        what: "20 recipients in 20 domains, a copy each, 10 sessions",
        sessions: 10,
        messages: 150,
        recipients: 20,
        ..USUAL
    },
    Scenario {
        name: "connect",
        what: "a new STARTTLS connection for each message, 50 at once",
        messages: 1_500,
        per_connection: 1,
        ..USUAL
    },
    Scenario {
        name: "large",
        what: "10 MB with an attachment, 4 sessions",
        sessions: 4,
        messages: 24,
        content: || client::with_attachment(10_000_000),
        ..USUAL
    },
    Scenario { name: "single", what: "one session, in clear in: latency", is_tls_in: false, sessions: 1, messages: 200, ..USUAL },
];

/// Recipients of the run of `bulk`, and of each message in it.
const RUN: usize = 9_000;
const RUN_EACH: usize = 1_000;
/// Messages that are sent alone while the run is in the queue, at most.
const ALONE_MAX: usize = 100;

/// What one run through one relay gave.
struct Run {
    accepted_per_s: f64,
    copies_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_s_per_1000: f64,
    peak_mb: f64,
}

fn main() -> Result<(), Failure> {
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let rounds = number("ROUNDS", 3);
    let scale = number("SCALE_PERCENT", 100);
    let idle = number("IDLE", 1_000);
    let wanted = std::env::var("SCENARIOS").ok();
    let is_wanted = |name: &str| wanted.as_deref().is_none_or(|names| names.split(',').any(|wanted| wanted == name));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut relays = vec![Kind::Wardpost];
    if Kind::Postfix.is_installed() && std::env::var_os("NO_POSTFIX").is_none() {
        relays.push(Kind::Postfix);
    } else {
        println!("Postfix is not installed (or NO_POSTFIX is set): its lines are left out");
    }
    if is_wanted("machine") {
        runtime.block_on(machine::limits())?;
        machine::stations()?;
    }
    for scenario in SCENARIOS.iter().filter(|scenario| is_wanted(scenario.name)) {
        let scenario = Scenario { messages: (scenario.messages * scale / 100).max(1), ..*scenario };
        println!("\n{}: {}; {} messages, {rounds} rounds", scenario.name, scenario.what, scenario.messages);
        let mut table: Vec<(Kind, Vec<Run>)> = relays.iter().map(|kind| (*kind, vec![])).collect();
        for _ in 0..rounds {
            for (kind, runs) in &mut table {
                runs.push(runtime.block_on(through(*kind, &scenario))?);
            }
        }
        report(&table);
    }
    if is_wanted("bulk") {
        println!("\nbulk: a run of {RUN} recipients, {RUN_EACH} a message, in the queue, and messages that come alone");
        for kind in &relays {
            runtime.block_on(behind_a_run(*kind))?;
        }
    }
    if is_wanted("idle") {
        println!("\nidle: memory (PSS) at rest and with {idle} connections that have had their greeting");
        for kind in relays {
            runtime.block_on(at_rest(kind, idle))?;
        }
    }
    Ok(())
}

fn report(table: &[(Kind, Vec<Run>)]) {
    println!("  relay      accepted/s  copies/s  reply p50 ms  p99 ms  CPU s per 1,000  peak MB   (medians)");
    for (kind, runs) in table {
        println!(
            "  {:<9} {:>11.0} {:>9.0} {:>13.1} {:>7.1} {:>16.3} {:>8.1}",
            kind.name(),
            median(runs, |run| run.accepted_per_s),
            median(runs, |run| run.copies_per_s),
            median(runs, |run| run.p50_ms),
            median(runs, |run| run.p99_ms),
            median(runs, |run| run.cpu_s_per_1000),
            median(runs, |run| run.peak_mb),
        );
    }
    if let [(_, ours), (_, theirs)] = table {
        let ratio = |value: fn(&Run) -> f64| median(ours, value) / median(theirs, value);
        println!(
            "  ours to Postfix's: accepted {:.2}, copies {:.2}, CPU {:.3} (Postfix scans and seals nothing)",
            ratio(|run| run.accepted_per_s),
            ratio(|run| run.copies_per_s),
            ratio(|run| run.cpu_s_per_1000),
        );
    }
}

fn median(runs: &[Run], value: fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

async fn through(kind: Kind, scenario: &Scenario) -> Result<Run, Failure> {
    let relay = Relay::start(kind).await?;
    let tls = if scenario.is_tls_in { Some(server::connector_that_trusts(relay.ca_pem.as_bytes())?) } else { None };
    let load = Load {
        port: relay.port,
        tls,
        sessions: scenario.sessions,
        messages: scenario.messages,
        per_connection: scenario.per_connection,
        recipients: scenario.recipients,
        domain: None,
        content: (scenario.content)(),
    };
    ready(&load).await?;
    client::send(&Load { messages: (scenario.messages / 10).clamp(1, 200), ..load.clone() }).await?;
    let copies_before = wait_until_quiet(&relay).await;

    let cpu_before = process::cpu_seconds(relay.pid());
    let begun = Instant::now();
    let times = client::send(&load).await?;
    let accepted_in = begun.elapsed();
    let copies = (times.len() * scenario.recipients) as u64;
    while relay.sink.message_count() < copies_before + copies && begun.elapsed() < Duration::from_secs(180) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let delivered_in = begun.elapsed();
    let delivered = relay.sink.message_count() - copies_before;
    let peak_mb = process::memory_mb(relay.pid());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let cpu = process::cpu_seconds(relay.pid()) - cpu_before;
    if delivered != copies || times.len() != scenario.messages {
        println!(
            "  {}: {} messages, {} accepted, {delivered} of {copies} copies delivered",
            kind.name(),
            scenario.messages,
            times.len()
        );
    }
    let mut ms: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    ms.sort_by(f64::total_cmp);
    let at =
        |share: f64| ms.get(((ms.len() as f64 * share) as usize).min(ms.len().saturating_sub(1))).copied().unwrap_or(f64::NAN);
    Ok(Run {
        accepted_per_s: times.len() as f64 / accepted_in.as_secs_f64(),
        copies_per_s: delivered as f64 / delivered_in.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        cpu_s_per_1000: cpu * 1000.0 / times.len() as f64,
        peak_mb,
    })
}

/// Ready is when the first message is taken: a scanner may still be loading.
async fn ready(load: &Load) -> Result<(), Failure> {
    let first = Load { sessions: 1, messages: 1, content: client::text(100), ..load.clone() };
    let begun = Instant::now();
    while client::send(&first).await.map_or(true, |times| times.is_empty()) {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err("the relay does not take messages".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn wait_until_quiet(relay: &Relay) -> u64 {
    let mut last = relay.sink.message_count();
    loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let now = relay.sink.message_count();
        if now == last {
            return now;
        }
        last = now;
    }
}

/// How long messages that come one by one to another domain take, from MAIL to their mail host, while a run is under way.
async fn behind_a_run(kind: Kind) -> Result<(), Failure> {
    let relay = Relay::start(kind).await?;
    let tls = Some(server::connector_that_trusts(relay.ca_pem.as_bytes())?);
    let one = Load {
        port: relay.port,
        tls,
        sessions: 1,
        messages: 1,
        per_connection: 1,
        recipients: 1,
        domain: Some(ALONE),
        content: client::text(1_000),
    };
    ready(&one).await?;
    wait_until_quiet(&relay).await;
    // One of them as it is without a run.
    let quiet = arrives(&relay, &one).await?;
    let run = Load { sessions: 3, messages: RUN / RUN_EACH, recipients: RUN_EACH, domain: None, ..one.clone() };
    let begun = Instant::now();
    let taken = client::send(&run).await?.len() * RUN_EACH;
    let accepted_in = begun.elapsed();
    let mut ms = Vec::new();
    while (relay.sink.message_count() as usize) < taken && ms.len() < ALONE_MAX {
        ms.push(arrives(&relay, &one).await?.as_secs_f64() * 1000.0);
    }
    while (relay.sink.message_count() as usize) < taken && begun.elapsed() < Duration::from_secs(300) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let delivered_in = begun.elapsed();
    ms.sort_by(f64::total_cmp);
    println!(
        "  {:<9} alone p50 {:.0} ms, longest {:.0} ms ({} messages; without a run {:.0} ms); the run: {taken} taken in {:.1} s, {} delivered in {:.1} s",
        kind.name(),
        ms.get(ms.len() / 2).copied().unwrap_or(f64::NAN),
        ms.last().copied().unwrap_or(f64::NAN),
        ms.len(),
        quiet.as_secs_f64() * 1000.0,
        accepted_in.as_secs_f64(),
        relay.sink.message_count(),
        delivered_in.as_secs_f64(),
    );
    Ok(())
}

/// Sends one message and waits until it is at its mail host.
async fn arrives(relay: &Relay, one: &Load) -> Result<Duration, Failure> {
    let before = relay.alone.message_count();
    let begun = Instant::now();
    if client::send(one).await?.is_empty() {
        return Err("a message alone was not taken".into());
    }
    while relay.alone.message_count() == before {
        if begun.elapsed() > Duration::from_secs(120) {
            return Err("a message alone did not arrive within two minutes".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(begun.elapsed())
}

async fn at_rest(kind: Kind, connections: usize) -> Result<(), Failure> {
    let relay = Relay::start(kind).await?;
    let tls = Some(server::connector_that_trusts(relay.ca_pem.as_bytes())?);
    let content = client::text(100);
    ready(&Load { port: relay.port, tls, sessions: 1, messages: 1, per_connection: 1, recipients: 1, domain: None, content })
        .await?;
    wait_until_quiet(&relay).await;
    let resting = process::memory_mb(relay.pid());
    let mut held = Vec::with_capacity(connections);
    let mut slowest = Duration::ZERO;
    for _ in 0..connections {
        match tokio::time::timeout(Duration::from_secs(5), client::idle(relay.port)).await {
            Ok(Ok((stream, greeted))) => {
                slowest = slowest.max(greeted);
                held.push(stream);
            }
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let with = process::memory_mb(relay.pid());
    println!(
        "  {:<9} {resting:.1} MB at rest; {} of {connections} greeted (slowest {:.1} ms), {with:.1} MB, {:.1} KB each",
        kind.name(),
        held.len(),
        slowest.as_secs_f64() * 1000.0,
        (with - resting) * 1024.0 / held.len().max(1) as f64
    );
    Ok(())
}
