//! A start with a full queue: when the banner comes, and when the first 250. And one with a store that is damaged.
//! The first runs with `cargo test --release --test it -- --ignored crash_start --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use wardpost::audit::{Event, Record};
use wardpost::config::Settings;
use wardpost::mail::{BodyId, CopyId, Domain, QueueId, Timestamp};
use wardpost::policy::Class;
use wardpost::queue::{CopyKind, CopyState};
use wardpost::secret::{Pseudonym, Sealed, Wrapped};
use wardpost::server;
use wardpost::store::{Commit, Handle, NewBody, NewCopy, is_empty};
use wardpost::vault::open_or_create;
use wardpost::world::World;

use super::crash::{Program, add_user, free_port, submit, wait_for};
use crate::support::{Folder, PATIENCE, write_config};

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
    let mut program = Program::start(&config).await;
    let marked = settings.store.folder.join("wardpost.db-damaged");
    let whole = async {
        while marked.exists() {
            assert!(program.child.try_wait().unwrap().is_none(), "it serves again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.unwrap();
    program.child.kill().await.unwrap();
}
