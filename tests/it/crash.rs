//! kill -9 in the middle of a run: every message answered 250 is afterwards delivered, in the portal or bounced.
//! Starts the real program; run with `cargo test --release --test it -- --ignored crash`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mail_send::SmtpClientBuilder;
use mail_send::smtp::message::Message as SmtpMessage;
use tokio::process::{Child, Command};
use wardpost::server;
use wardpost::world::{Step, When, World};

use crate::support::{Folder, PATIENCE, message, write_config};

const SESSIONS: usize = 10;
/// A kill after so many acknowledged messages, again and again, at so many a second.
const KILL_AFTER: usize = 25;
const EVERY: Duration = Duration::from_millis(25);

/// One of so many is asked to end (SIGTERM), as at an upgrade.
const STOP_EACH: usize = 5;
const STOP_MAX: Duration = Duration::from_secs(10);

/// `KILLS=200` makes the long run.
fn kills() -> usize {
    std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

pub struct Program {
    pub child: Child,
    config: std::path::PathBuf,
}

impl Program {
    pub async fn start(config: &Path) -> Program {
        let child = Command::new(env!("CARGO_BIN_EXE_wardpost"))
            .args(["serve", "--config"])
            .arg(config)
            .env("WARDPOST_LOG", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Program { child, config: config.to_owned() }
    }

    /// What is under way is finished or told to come again, and the program ends well and in time.
    async fn stop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = tokio::time::timeout(STOP_MAX, self.child.wait()).await.expect("it ends within ten seconds");
        assert!(ended.unwrap().success());
    }

    async fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_wardpost"))
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

pub async fn submit(port: u16, pem: &[u8], password: &str, id: usize, to: &[&str]) -> Result<(), String> {
    let connector = server::connector_that_trusts(pem).map_err(|error| error.to_string())?;
    let mut client = SmtpClientBuilder::new_with_tls_connector("localhost", port, connector)
        .implicit_tls(true)
        .credentials(("ann@practice.example", password))
        .timeout(Duration::from_secs(20))
        .connect()
        .await
        .map_err(|error| error.to_string())?;
    let text =
        message(&format!("crash-{id}@practice.example"), &to.join(", "), "Hello", &"nothing to see here. ".repeat(id % 400));
    client
        .send(SmtpMessage::new("ann@practice.example", to.to_vec(), text.into_bytes()))
        .await
        .map(|_| ())
        .map_err(|error| error.to_string())
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; .ci/run runs it in a release build"]
async fn crash_run_loses_nothing_that_was_answered_250() {
    let world = World::start().await.unwrap();
    world
        .sink("verified.example")
        .unwrap()
        .always(When::Rcpt(Some("nobody@verified.example".into())), Step::Reply("550 5.1.1 no such user".into()));
    let folder = Folder::new();
    let port = free_port();
    let config = write_config(&folder.0, &world, |text| {
        text.replace("submissions = [\"127.0.0.1:0\"]", &format!("submissions = [\"127.0.0.1:{port}\"]"))
    });
    let messages = (kills() + 1) * KILL_AFTER;
    let mut program = Program::start(&config).await;
    let chain = folder.0.join("keys").join("throw-away.pem");
    wait_for(&format!("127.0.0.1:{port}")).await;
    let password = add_user(&program).await;
    let pem = std::fs::read(&chain).unwrap();

    let acknowledged: Arc<std::sync::Mutex<BTreeMap<usize, Vec<&'static str>>>> = Arc::default();
    let next = Arc::new(AtomicUsize::new(0));
    // Forty a second, whatever was missed: clients that come again after a kill do not come all at once.
    let mut pace = tokio::time::interval(EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let pace = Arc::new(tokio::sync::Mutex::new(pace));
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..SESSIONS {
        let (acknowledged, next, pace) = (acknowledged.clone(), next.clone(), pace.clone());
        let (pem, password) = (pem.clone(), password.clone());
        sessions.spawn(async move {
            loop {
                let id = next.fetch_add(1, Ordering::SeqCst);
                if id >= messages {
                    break;
                }
                let to: Vec<&'static str> = match id % 5 {
                    0 => vec!["pat@no-tls.example"],
                    1 => vec!["nobody@verified.example"],
                    2 => vec!["pat@dane-good.example", "sam@verified.example", "lee@bad-cert.example"],
                    _ => vec!["pat@sts-good.example"],
                };
                // A client keeps what was not answered 250 and comes again.
                loop {
                    pace.lock().await.tick().await;
                    if submit(port, &pem, &password, id, &to).await.is_ok() {
                        break;
                    }
                }
                acknowledged.lock().unwrap().insert(id, to);
            }
        });
    }
    let mut kills = 0;
    let mut mark = KILL_AFTER;
    while !sessions.is_empty() {
        tokio::select! {
            _ = sessions.join_next() => {}
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                if acknowledged.lock().unwrap().len() >= mark {
                    // Not always at the same moment after an answer.
                    tokio::time::sleep(Duration::from_millis(kills as u64 * 7 % 50)).await;
                    if kills % STOP_EACH == STOP_EACH - 1 {
                        program.stop().await;
                    } else {
                        program.child.kill().await.unwrap();
                    }
                    kills += 1;
                    mark += KILL_AFTER;
                    program = Program::start(&config).await;
                }
            }
        }
    }
    assert!(kills >= self::kills() / 2, "{kills} kills");

    // Everything comes to an end.
    let settled = async {
        while !program.command(&["queue", "list", "--json"]).await.trim().is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE * 2, settled).await.expect("the queue empties");

    let mut ends: BTreeMap<(String, String), usize> = BTreeMap::new();
    // The queue id tells a message that we sent twice from one that its client sent twice.
    let mut copies: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for town in ["dane-good.example", "verified.example", "sts-good.example"] {
        for received in world.sink(town).unwrap().messages() {
            if let Some(id) = message_id(&String::from_utf8_lossy(&received.content)) {
                let recipient = received.recipients[0].address.clone();
                let queue_id = queue_id(&String::from_utf8_lossy(&received.content));
                *copies.entry((id.clone(), recipient.clone(), queue_id)).or_default() += 1;
                *ends.entry((id, recipient)).or_default() += 1;
            }
        }
    }
    for line in program.command(&["escrow", "list", "--json"]).await.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = row["message_id"].as_str().unwrap().trim_matches(['<', '>']).to_owned();
        *ends.entry((id, row["recipient"].as_str().unwrap().to_owned())).or_default() += 1;
    }
    for received in world.sink("mail.practice.example").unwrap().messages() {
        let text = String::from_utf8_lossy(&received.content).into_owned();
        if text.contains("multipart/report") && text.contains("nobody@verified.example") {
            let id = text
                .split("crash-")
                .nth(1)
                .map(|rest| format!("crash-{}", rest.split(['>', ' ']).next().unwrap_or_default()))
                .unwrap();
            *ends.entry((id, "nobody@verified.example".into())).or_default() += 1;
        }
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert_eq!(acknowledged.len(), messages);
    let mut lost = BTreeSet::new();
    let mut twice = 0;
    for (id, to) in acknowledged.iter() {
        for recipient in to {
            match ends.get(&(format!("crash-{id}@practice.example"), (*recipient).to_owned())) {
                None => {
                    lost.insert((*id, *recipient));
                }
                Some(count) => twice += count - 1,
            }
        }
    }
    let sent_twice: usize = copies.values().map(|count| count - 1).sum();
    println!(
        "{kills} kills, {messages} messages acknowledged, {} lost, {twice} came twice ({:.2} a kill): {sent_twice} because no \
         outcome was written, the rest because their client heard no 250",
        lost.len(),
        twice as f64 / kills as f64,
    );
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(twice <= 2 * kills, "{twice} came twice in {kills} kills");
    let verified = program.command(&["audit", "verify"]).await;
    assert!(!verified.is_empty());
    program.child.kill().await.unwrap();
}

/// From our own trace field.
fn queue_id(content: &str) -> String {
    let after = content.split_once(" id ").map_or("", |(_, rest)| rest);
    after.split(';').next().unwrap_or_default().to_owned()
}

fn message_id(content: &str) -> Option<String> {
    let header = content.split("\r\n\r\n").next()?;
    let line = header.lines().find(|line| line.to_lowercase().starts_with("message-id:"))?;
    let id = line.split(['<', '>']).nth(1)?;
    id.starts_with("crash-").then(|| id.to_owned())
}

pub async fn wait_for(address: &str) {
    let up = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, up).await.expect("the gateway listens");
}

/// The password goes to a file when nobody sits at a terminal.
pub async fn add_user(program: &Program) -> String {
    let printed = program.command(&["user", "add", "ann@practice.example"]).await;
    let path = printed.split("written to ").nth(1).unwrap().split(" (").next().unwrap().to_owned();
    let secret = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    let _ = std::fs::remove_file(path);
    secret
}

/// A small file system of its own, gone with the test. `None`: only root may mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0700");
        let done = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        done.is_ok_and(|status| status.success()).then(|| SmallDisk(at.to_owned()))
    }

    /// Leaves so many bytes free.
    fn fill(&self, leave: u64) {
        let free = rustix::fs::statvfs(&self.0).unwrap();
        let bytes = (free.f_bavail * free.f_frsize).saturating_sub(leave);
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(self.0.join("ballast")).unwrap();
        let block = vec![0u8; 64 * 1024];
        for _ in 0..bytes / block.len() as u64 {
            if std::io::Write::write_all(&mut file, &block).is_err() {
                break;
            }
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A disk that fills up under the running program: 452 for all new mail, what is stored goes out, the program stays
/// up, and within ten seconds of there being space again it takes mail.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a file system; .ci/run runs it as root"]
async fn crash_disk_full_refuses_new_mail_delivers_the_old_and_recovers() {
    let world = World::start().await.unwrap();
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(&folder.0.join("data"), "64m") else {
        println!("skipped: only root may mount a file system");
        return;
    };
    let port = free_port();
    let config = write_config(&folder.0, &world, |text| {
        let text = text.replace("submissions = [\"127.0.0.1:0\"]", &format!("submissions = [\"127.0.0.1:{port}\"]"));
        assert!(text.contains("[smtp]"), "{text}");
        text.replace("[smtp]", "[smtp]\nmax_message = \"1MiB\"\nmemory_in_flight = \"16MiB\"")
    });
    let mut program = Program::start(&config).await;
    wait_for(&format!("127.0.0.1:{port}")).await;
    let password = add_user(&program).await;
    let pem = std::fs::read(folder.0.join("keys").join("throw-away.pem")).unwrap();
    let send = async |id: usize, to: &str| submit(port, &pem, &password, id, &[to]).await;
    let ready = async {
        while send(0, "sam@verified.example").await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the gateway takes mail");

    let slow = world.sink("verified.example").unwrap();
    for (round, leave) in [1_000_000u64, 0].into_iter().enumerate() {
        // Some that are late: their host is busy once.
        let before = slow.message_count();
        slow.times(3, When::Rcpt(None), Step::Reply("451 4.3.0 later".into()));
        for n in 0..3 {
            send(round * 100 + n + 1, "sam@verified.example").await.unwrap();
        }
        disk.fill(leave);
        for n in 0..20 {
            let error = send(round * 100 + 50 + n, "pat@sts-good.example").await.expect_err("no space");
            assert!(error.contains("452") && error.contains("4.3.1"), "{error}");
        }
        if leave > 0 {
            tokio::time::timeout(PATIENCE * 2, slow.wait_for_messages(before + 3)).await.expect("what is stored goes out");
        }
        assert!(program.child.try_wait().unwrap().is_none(), "it stays up");
        disk.empty();
        let there_is_space = std::time::Instant::now();
        while send(round * 100 + 90, "pat@sts-good.example").await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(there_is_space.elapsed() < Duration::from_secs(10), "{:?}", there_is_space.elapsed());
        println!("{leave} bytes left: 20 of 20 refused, taken again after {:?}", there_is_space.elapsed());
        tokio::time::timeout(PATIENCE * 2, slow.wait_for_messages(before + 3)).await.expect("nothing is lost");
    }
    program.child.kill().await.unwrap();
    drop(disk);
}
