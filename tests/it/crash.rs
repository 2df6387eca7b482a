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

const MESSAGES: usize = 500;
const SESSIONS: usize = 10;
/// A kill after so many acknowledged messages, again and again.
const KILL_AFTER: usize = 60;

struct Program {
    child: Child,
    config: std::path::PathBuf,
}

impl Program {
    async fn start(config: &Path) -> Program {
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

async fn submit(port: u16, pem: &[u8], password: &str, id: usize, to: &[&str]) -> Result<(), String> {
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

fn free_port() -> u16 {
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
    let mut program = Program::start(&config).await;
    let chain = folder.0.join("keys").join("throw-away.pem");
    wait_for(&format!("127.0.0.1:{port}")).await;
    let password = add_user(&program).await;
    let pem = std::fs::read(&chain).unwrap();

    let acknowledged: Arc<std::sync::Mutex<BTreeMap<usize, Vec<&'static str>>>> = Arc::default();
    let next = Arc::new(AtomicUsize::new(0));
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..SESSIONS {
        let (acknowledged, next, pem, password) = (acknowledged.clone(), next.clone(), pem.clone(), password.clone());
        sessions.spawn(async move {
            loop {
                let id = next.fetch_add(1, Ordering::SeqCst);
                if id >= MESSAGES {
                    break;
                }
                let to: Vec<&'static str> = match id % 5 {
                    0 => vec!["pat@no-tls.example"],
                    1 => vec!["nobody@verified.example"],
                    2 => vec!["pat@dane-good.example", "sam@verified.example", "lee@bad-cert.example"],
                    _ => vec!["pat@sts-good.example"],
                };
                // A client keeps what was not answered 250 and comes again.
                while submit(port, &pem, &password, id, &to).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
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
                    program.child.kill().await.unwrap();
                    kills += 1;
                    mark += KILL_AFTER;
                    program = Program::start(&config).await;
                }
            }
        }
    }
    assert!(kills >= 5, "{kills} kills");

    // Everything comes to an end.
    let settled = async {
        while !program.command(&["queue", "list", "--json"]).await.trim().is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE * 2, settled).await.expect("the queue empties");

    let mut ends: BTreeMap<(String, String), usize> = BTreeMap::new();
    for town in ["dane-good.example", "verified.example", "sts-good.example"] {
        for received in world.sink(town).unwrap().messages() {
            if let Some(id) = message_id(&String::from_utf8_lossy(&received.content)) {
                *ends.entry((id, received.recipients[0].address.clone())).or_default() += 1;
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
    assert_eq!(acknowledged.len(), MESSAGES);
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
    println!("{kills} kills, {MESSAGES} messages acknowledged, {} lost, {twice} came twice", lost.len());
    assert!(lost.is_empty(), "lost: {lost:?}");
    let verified = program.command(&["audit", "verify"]).await;
    assert!(!verified.is_empty());
    program.child.kill().await.unwrap();
}

fn message_id(content: &str) -> Option<String> {
    let header = content.split("\r\n\r\n").next()?;
    let line = header.lines().find(|line| line.to_lowercase().starts_with("message-id:"))?;
    let id = line.split(['<', '>']).nth(1)?;
    id.starts_with("crash-").then(|| id.to_owned())
}

async fn wait_for(address: &str) {
    let up = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, up).await.expect("the gateway listens");
}

/// The password goes to a file when nobody sits at a terminal.
async fn add_user(program: &Program) -> String {
    let printed = program.command(&["user", "add", "ann@practice.example"]).await;
    let path = printed.split("written to ").nth(1).unwrap().split(" (").next().unwrap().to_owned();
    let secret = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    let _ = std::fs::remove_file(path);
    secret
}
