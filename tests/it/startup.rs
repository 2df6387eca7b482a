//! A start with a full queue: when the banner comes, and when the first 250. And one with a store that is damaged.
//! The first runs with `cargo test --release --test it -- --ignored crash_start --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use wardpost::audit::{Event, Record};
use wardpost::config::Settings;
use wardpost::mail::{BodyId, CopyId, Domain, QueueId, Timestamp};
use wardpost::policy::Class;
use wardpost::queue::{CopyKind, CopyState};
use wardpost::secret::{Pseudonym, Sealed, Wrapped};
use wardpost::server::{self, Answer, Request};
use wardpost::store::{Commit, Handle, NewBody, NewCopy, is_empty};
use wardpost::vault::open_or_create;
use wardpost::world::World;

use super::crash::{Program, add_user, free_port, submit, wait_for};
use crate::support::{Folder, PATIENCE, message, write_config};

/// As many as a practice's server holds after a long week-end without network.
const COPIES: u32 = 100_000;
const BANNER_MAX: Duration = Duration::from_millis(500);
const FIRST_250_MAX: Duration = Duration::from_secs(5);

fn mail(n: u32, at: Timestamp) -> Commit {
    let id = |tag: u8| {
        let mut id = [tag; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        id
    };
    let mut message = [0; 10];
    message[..4].copy_from_slice(&n.to_be_bytes());
    let mut record = Record::of(Event::Decided, at);
    record.message = Some(QueueId(message).to_string());
    let copy = NewCopy {
        id: CopyId(id(1)),
        message: QueueId(message),
        kind: CopyKind::Message,
        body: BodyId(id(2)),
        recipient: Pseudonym::of(format!("recipient{n}")),
        message_id: Pseudonym::of(format!("message{n}")),
        domain: Domain::parse(&format!("town{}.example", n % 500)).unwrap(),
        class: Class::Normal,
        header: Sealed(vec![7; 900]),
        facts: Sealed(vec![7; 700]),
        wrap: Wrapped(vec![7; 150]),
        // Late ones, and a few that a crash left in flight.
        state: if n.is_multiple_of(1000) { CopyState::InFlight } else { CopyState::Queued { next_at: at.plus_secs(3600) } },
        received_at: at,
        parcel: None,
        size_bytes: 3000,
    };
    Commit {
        bodies: vec![NewBody { id: BodyId(id(2)), sealed: Arc::new(Sealed(vec![7; 3000])) }],
        copies: vec![copy],
        records: vec![record],
        ..Commit::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes 100,000 copies; .ci/run runs it in a release build"]
async fn crash_start_with_a_full_queue_is_quick() {
    let world = World::start().await.unwrap();
    let folder = Folder::new();
    let port = free_port();
    let config = write_config(&folder.0, &world, |text| {
        text.replace("submissions = [\"127.0.0.1:0\"]", &format!("submissions = [\"127.0.0.1:{port}\"]"))
    });
    let mut program = Program::start(&config).await;
    wait_for(&format!("127.0.0.1:{port}")).await;
    let password = add_user(&program).await;
    program.child.kill().await.unwrap();
    program.child.wait().await.unwrap();

    let settings = Settings::load(&config).unwrap();
    let vault = open_or_create(&settings.keys, is_empty(&settings.store.folder)).unwrap();
    let store = Handle::open(settings.store.clone(), Arc::new(vault)).unwrap();
    let at = server::now();
    for from in (0..COPIES).step_by(250) {
        let commits: Vec<_> = (from..from + 250)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.commit(mail(n, at)).await })
            })
            .collect();
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
    }
    store.close().await;
    drop(store);

    let began = Instant::now();
    let mut program = Program::start(&config).await;
    let banner = async {
        loop {
            // The submissions listener greets inside TLS; that it takes the connection is what a client waits for.
            if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                let _ = tokio::time::timeout(Duration::from_millis(1), stream.read_u8()).await;
                break began.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let banner = tokio::time::timeout(PATIENCE, banner).await.unwrap();
    let pem = std::fs::read(folder.0.join("keys").join("throw-away.pem")).unwrap();
    let first = async {
        while submit(port, &pem, &password, 1, &["sam@verified.example"]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    };
    let first = tokio::time::timeout(PATIENCE, first).await.unwrap();
    println!("{COPIES} copies: listening after {banner:?}, first 250 after {first:?}");
    program.child.kill().await.unwrap();
    assert!(first < FIRST_250_MAX, "{first:?}");
    // A debug build is given more time.
    assert!(banner < if cfg!(debug_assertions) { 4 * BANNER_MAX } else { BANNER_MAX }, "{banner:?}");
}

/// The operator's view: standard error and the exit status, of the gateway and of a command.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_stops_the_start_with_a_text_that_helps() {
    let world = World::start().await.unwrap();
    let folder = Folder::new();
    let config = write_config(&folder.0, &world, |text| text);
    let settings = Settings::load(&config).unwrap();
    let vault = open_or_create(&settings.keys, is_empty(&settings.store.folder)).unwrap();
    let store = Handle::open(settings.store.clone(), Arc::new(vault)).unwrap();
    store.commit(mail(1, server::now())).await.unwrap();
    store.close().await;
    drop(store);
    let database = settings.store.folder.join("wardpost.db");
    let sound = std::fs::read(&database).unwrap();
    let mut noise = sound.clone();
    noise[..4096].fill(0x5a);
    let cut = sound[..sound.len() / 2].to_vec();
    for (what, bytes, word) in
        [("noise", &noise, "not a database"), ("cut", &cut, "malformed"), ("nothing", &Vec::new(), "no data")]
    {
        std::fs::write(&database, bytes).unwrap();
        // To a command a file of no length is a gateway that was never started.
        let commands = if bytes.is_empty() { 1 } else { 2 };
        for command in [&["serve"][..], &["queue", "list"]].into_iter().take(commands) {
            let program = tokio::process::Command::new(env!("CARGO_BIN_EXE_wardpost"))
                .args(command)
                .arg("--config")
                .arg(&config)
                .kill_on_drop(true)
                .output();
            let output = tokio::time::timeout(PATIENCE, program).await.expect("it ends by itself").unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success(), "{what}, {command:?}: {text}");
            assert!(text.contains(word), "{what}, {command:?}: {text}");
            if !bytes.is_empty() {
                for part in
                    [&*database.to_string_lossy(), "is damaged", "copy the whole data folder", ".recover", "serve --restored"]
                {
                    assert!(text.contains(part), "{what}, {command:?}: {part}: {text}");
                }
            }
        }
        assert_eq!(std::fs::read(&database).unwrap(), *bytes, "{what}: left as it is");
    }
    std::fs::write(&database, &sound).unwrap();
    // A sound file is looked at once more and believed again.
    let marked = settings.store.folder.join("wardpost.db-damaged");
    assert!(marked.exists());
    let listed = tokio::process::Command::new(env!("CARGO_BIN_EXE_wardpost"))
        .args(["queue", "list", "--config"])
        .arg(&config)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, listed).await.expect("it ends by itself").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!marked.exists());
}

/// The same under a running gateway: no 250 any more, an event that names the file, exit status 1, no start on what is
/// left; and with the pages back everything that was answered is there.
#[tokio::test(flavor = "multi_thread")]
async fn damage_under_a_running_gateway_ends_it_and_takes_no_mail() {
    let world = World::start().await.unwrap();
    let folder = Folder::new();
    let port = free_port();
    let config = write_config(&folder.0, &world, |text| {
        let network = "[[network]]\nname = \"n\"\naddresses = [\"127.0.0.1\"]\nsender_domains = [\"practice.example\"]\ntls = \"optional\"\n";
        text.replace("relay = [\"127.0.0.1:0\"]", &format!("relay = [\"127.0.0.1:{port}\"]")) + network
    });
    let serve = || {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_wardpost"));
        command.args(["serve", "--config"]).arg(&config).env("WARDPOST_LOG", "error").kill_on_drop(true);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut program = serve();
    wait_for(&format!("127.0.0.1:{port}")).await;
    let sent = async {
        // 451 until the scanner is loaded.
        while in_clear(port, "kept@practice.example").await.ok().is_none_or(|reply| !reply.starts_with("250 ")) {}
    };
    tokio::time::timeout(PATIENCE, sent).await.unwrap();
    program.kill().await.unwrap();

    // The start moves everything into the database.
    let program = serve();
    wait_for(&format!("127.0.0.1:{port}")).await;
    let database = folder.0.join("data").join("wardpost.db");
    let sound = std::fs::read(&database).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&database).unwrap();
    for page in 1..sound.len() / 8192 {
        std::os::unix::fs::FileExt::write_all_at(&file, &[0; 8192], page as u64 * 8192).unwrap();
    }
    let mut ended = tokio::spawn(program.wait_with_output());
    let mut taken = 1;
    let output = loop {
        tokio::select! {
            output = &mut ended => break output.unwrap().unwrap(),
            // What the start has read already is still in memory, so some may be taken; they are in the log.
            reply = in_clear(port, "late@practice.example") => {
                let reply = reply.unwrap_or_default();
                assert!(reply.is_empty() || reply.starts_with(['2', '4']), "{reply}");
                taken += usize::from(reply.starts_with('2'));
            }
        }
    };
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("store-failed") && text.contains("wardpost.db is damaged"), "{text}");
    let again = tokio::time::timeout(PATIENCE, serve().wait_with_output()).await.expect("it does not serve").unwrap();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is damaged"));

    std::fs::write(&database, &sound).unwrap();
    let mut kept = 0;
    for id in ["kept@practice.example", "late@practice.example"] {
        let request = Request::AuditShow { message: id.into() };
        // Refused: there is no such message.
        if let Answer::Rows(rows) = server::ask(Some(&config), request).await.unwrap() {
            kept += rows.iter().filter(|row| row["event"] == "decided").count();
        }
    }
    println!("{taken} messages answered 250, {kept} kept");
    assert!(kept >= taken, "{taken} answered 250, {kept} kept");
}

/// Sends one message to a listed network's listener; the reply to its content, or to what was refused before.
async fn in_clear(port: u16, id: &str) -> std::io::Result<String> {
    let mut stream = BufReader::new(tokio::net::TcpStream::connect(("127.0.0.1", port)).await?);
    let text = message(id, "pat@verified.example", "Hello", "nothing to see here");
    let mut reply = String::new();
    stream.read_line(&mut reply).await?;
    let (mail, rcpt) = ("MAIL FROM:<ann@practice.example>\r\n", "RCPT TO:<pat@verified.example>\r\n");
    for step in ["HELO x\r\n", mail, rcpt, "DATA\r\n", &format!("{text}\r\n.\r\n")] {
        stream.write_all(step.as_bytes()).await?;
        reply.clear();
        stream.read_line(&mut reply).await?;
        if !reply.starts_with(['2', '3']) {
            break;
        }
    }
    Ok(reply)
}
