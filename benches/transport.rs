//! The way out in figures: policy look-ups with a warm cache, handshakes saved by kept connections and resumption, and
//! what hanging domains cost a good one. A gateway and a mail world in this process, on loopback, with signed zones and
//! real TLS. Run with `cargo bench --bench transport`; `docs/BENCHMARKS.md` says how to read it. Nothing here asserts:
//! it prints figures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail_send::SmtpClientBuilder;
use mail_send::smtp::message::Message;
use tokio::sync::Notify;
use wardpost::audit::{Event, Record};
use wardpost::mail::Domain;
use wardpost::server::{self, Answer, Request, Running};
use wardpost::world::{Shape, Sink, Step, When, World, practice_configuration};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(300);
const USER: &str = "ann@practice.example";

struct Load {
    messages: usize,
    sessions: usize,
    hanging: usize,
    lookups: usize,
    rounds: usize,
}

fn main() -> Result<(), Failure> {
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let load = Load {
        messages: number("MESSAGES", 1000),
        sessions: number("SESSIONS", 10).max(1),
        hanging: number("HANGING", 50),
        lookups: number("LOOKUPS", 100_000),
        rounds: number("ROUNDS", 3).max(1),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(all(&load))
}

async fn all(load: &Load) -> Result<(), Failure> {
    let bed = Bed::start(0).await?;
    for (name, shape) in [("dane.example", Shape::DaneGood), ("sts.example", Shape::StsGood)] {
        bed.world.add(name, shape).await?;
    }
    for tasks in [1, 8] {
        for name in ["dane.example", "sts.example"] {
            let per_s = lookups(&bed.running, name, load.lookups, tasks).await?;
            println!("policy look-ups, warm, {name:<13} {tasks} at a time  {per_s:>9.0}/s");
        }
    }
    bed.running.stop().await;

    println!(
        "{} messages over {} sessions to one good domain, {} rounds, taken in turn",
        load.messages, load.sessions, load.rounds
    );
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..load.rounds {
        for (runs, hanging) in [(&mut alone, 0), (&mut beside, load.hanging)] {
            let run = deliveries(load, hanging).await?;
            println!(
                "round {} beside {hanging:>3} hanging domains  submission to delivery p50 {:>7.1} ms  p95 {:>7.1} ms  \
                 handshakes {:>4} of {} messages ({} resumed, {:.1} % saved)",
                round + 1,
                run.p50_ms,
                run.p95_ms,
                run.handshakes,
                load.messages,
                run.resumed,
                100.0 * (1.0 - run.handshakes as f64 / load.messages as f64)
            );
            runs.push(run.p95_ms);
        }
    }
    println!(
        "medians: p95 beside hanging domains to p95 alone {:.3} (at most 1.100 is wanted)",
        median(&mut beside) / median(&mut alone)
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Evidence about one domain again and again, as every message asks for it.
async fn lookups(running: &Running, name: &str, count: usize, tasks: usize) -> Result<f64, Failure> {
    let domain = Domain::parse(name)?;
    let lookup = running.lookup();
    lookup.evidence(&domain).await;
    let each = count / tasks;
    let begun = Instant::now();
    let ask = async || {
        for _ in 0..each {
            std::hint::black_box(lookup.evidence(&domain).await);
        }
    };
    // Side by side on this task: what waits for the store gives way to the others.
    match tasks {
        1 => ask().await,
        _ => {
            tokio::join!(ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask());
        }
    }
    Ok((each * tasks) as f64 / begun.elapsed().as_secs_f64())
}

struct Run {
    p50_ms: f64,
    p95_ms: f64,
    handshakes: u64,
    resumed: u64,
}

/// One good domain, so many that take connections and say nothing, and messages to all of them.
async fn deliveries(load: &Load, hanging: usize) -> Result<Run, Failure> {
    let bed = Bed::start(hanging).await?;
    let good = bed.world.add("good.example", Shape::DaneGood).await?;
    if hanging > 0 {
        // Two for each, so that a second one waits behind the first.
        let list: Vec<String> = (0..hanging).map(|n| format!("pat@h{n}.example")).collect();
        for id in ["h1", "h2"] {
            bed.submit(&[(id.to_owned(), list.clone())]).await?;
        }
        for sink in &bed.silent {
            tokio::time::timeout(PATIENCE, sink.wait_for_connections(1)).await?;
        }
    }
    let first = bed.last_seq().await?;
    let messages: Vec<(String, Vec<String>)> =
        (0..load.messages).map(|n| (format!("m{n}"), vec!["pat@good.example".to_owned()])).collect();
    let share = load.messages.div_ceil(load.sessions).max(1);
    let sessions: Vec<_> = messages.chunks(share).map(|messages| bed.submit(messages)).collect();
    for done in futures(sessions).await {
        done?;
    }
    tokio::time::timeout(PATIENCE, async {
        while (good.message_count() as usize) < load.messages {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await?;
    let mut ms = bed.times(first, load.messages).await?;
    ms.sort_by(f64::total_cmp);
    let at =
        |share: f64| ms.get(((ms.len() as f64 * share) as usize).min(ms.len().saturating_sub(1))).copied().unwrap_or(f64::NAN);
    let run = Run { p50_ms: at(0.5), p95_ms: at(0.95), handshakes: good.handshake_count(), resumed: good.resumed_count() };
    // What hangs is let go first, so that the end is an orderly one.
    for sink in &bed.silent {
        sink.pause().await;
    }
    bed.running.stop().await;
    Ok(run)
}

/// All of them at once, in their order.
async fn futures<F: Future<Output = Result<(), Failure>>>(all: Vec<F>) -> Vec<Result<(), Failure>> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<Result<(), Failure>>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(result) = future.as_mut().poll(context)
            {
                *done = Some(result);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A gateway with its world.
struct Bed {
    running: Running,
    world: World,
    password: String,
    silent: Vec<Arc<Sink>>,
    _scratch: Scratch,
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Bed {
    async fn start(hanging: usize) -> Result<Bed, Failure> {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let scratch = Scratch(std::env::temp_dir().join(format!("wardpost-transport-{}-{n}", std::process::id())));
        std::fs::create_dir(&scratch.0)?;
        let world = World::empty().await?;
        let mut silent = Vec::new();
        for n in 0..hanging {
            let sink = world.add(&format!("h{n}.example"), Shape::Verified).await?;
            sink.always(When::Connect, Step::Wait(Arc::new(Notify::new())));
            silent.push(sink);
        }
        // A domain's records live for an hour, as they often do: what is measured is the cache.
        world.zones().set_ttl(3600);
        let config = scratch.0.join("wardpost.toml");
        std::fs::write(&config, configuration(&scratch.0, &world)?)?;
        let mut readers = wardpost::sandbox::Settings::own()?;
        readers.program = env!("CARGO_BIN_EXE_wardpost").into();
        let running = server::start_with(server::Source::File(&config), readers).await?;
        running.until_ready().await;
        let request = Request::UserAdd { name: USER.to_owned(), send_as: vec![], bound_address: None };
        let Answer::Secret { secret: password, .. } = server::answer(running.parts(), request, server::now()).await else {
            return Err("no account was made".into());
        };
        Ok(Bed { running, world, password, silent, _scratch: scratch })
    }

    /// One session, one message after the other.
    async fn submit(&self, messages: &[(String, Vec<String>)]) -> Result<(), Failure> {
        let address = self.running.address("submissions").ok_or("no listener")?;
        let connector = server::connector_that_trusts(&self.running.own_certificate()?)?;
        let mut client = SmtpClientBuilder::new_with_tls_connector("localhost", address.port(), connector)
            .implicit_tls(true)
            .credentials((USER, self.password.as_str()))
            .timeout(PATIENCE)
            .connect()
            .await?;
        for (id, to) in messages {
            let text = format!(
                "From: Ann <{USER}>\r\nTo: {}\r\nSubject: parking places\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\
                 Message-ID: <{id}@practice.example>\r\n\r\nThe meeting about the new parking places is moved to Thursday.",
                to.join(", ")
            );
            client.send(Message::new(USER, to.iter().map(String::as_str).collect::<Vec<_>>(), text.into_bytes())).await?;
        }
        let _ = client.quit().await;
        Ok(())
    }

    async fn last_seq(&self) -> Result<u64, Failure> {
        let mut from = 1;
        loop {
            let entries = self.running.parts().store.log(from, 10_000).await?;
            match entries.last() {
                Some(last) => from = last.seq + 1,
                None => return Ok(from),
            }
        }
    }

    /// From the decision, which is kept in the same sync as the message, to the delivery: by the decision log.
    async fn times(&self, first: u64, count: usize) -> Result<Vec<f64>, Failure> {
        let begun = Instant::now();
        loop {
            let (mut decided, mut times, mut from) = (HashMap::new(), Vec::new(), first);
            loop {
                let entries = self.running.parts().store.log(from, 10_000).await?;
                let Some(last) = entries.last() else { break };
                from = last.seq + 1;
                for entry in &entries {
                    let record: Record = serde_json::from_str(&entry.chained)?;
                    let (Some(message), Some("good.example")) = (record.message.clone(), record.domain.as_deref()) else {
                        continue;
                    };
                    match record.event {
                        Event::Decided => {
                            decided.insert(message, record.at);
                        }
                        Event::Delivered => times.extend(decided.get(&message).map(|at| record.at.since_ms(*at) as f64)),
                        _ => {}
                    }
                }
            }
            if times.len() >= count || begun.elapsed() > PATIENCE {
                return Ok(times);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The practice's, without what makes tests quick: messages to hanging domains go on hanging.
fn configuration(folder: &Path, world: &World) -> std::io::Result<String> {
    let text = practice_configuration(folder, world)?;
    Ok(text
        .lines()
        .filter(|line| !["retry_after", "portal_after", "deadline"].iter().any(|key| line.starts_with(key)))
        .map(|line| format!("{line}\n"))
        .collect())
}
