//! The store when the disk fails under it: the n-th write, sync, creation, rename or removal fails, for n = 1, 2, 3 ...
//! until none does. A library loaded before libc does that to a child process (`tests/faults/shim.c`), so SQLite and
//! our own files meet it alike; the parent opens what is left, as the next start would. At the end, a disk that is slow.
//!
//! Not covered: what a disk does to bytes that it reported as synced, and memory-mapped pages (SQLite's index of the
//! write-ahead log, which every start builds anew).

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use wardpost::audit::{Event, Record};
use wardpost::mail::{BodyId, CopyId, Domain, ParcelId, QueueId, Timestamp};
use wardpost::policy::Class;
use wardpost::queue::{CopyKind, CopyState};
use wardpost::secret::{Pseudonym, Sealed, Wrapped};
use wardpost::store::{CodeWrap, Commit, Error, Handle, NewBody, NewCopy, NewParcel, ParcelChange, Settings, Settle, is_empty};
use wardpost::vault::open_or_create;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use wardpost::world::World;

use super::crash::{free_port, wait_for};
use crate::support::{Folder, PATIENCE, message, write_config};

/// Bodies above this are files.
const FILE_BYTES: usize = 2000;
const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// How the shim ends a process whose power it cut.
const CUT: i32 = 77;
/// More operations than any scenario makes: a loop that gets here does not end.
const OPERATIONS_MAX: i64 = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// One operation fails; a failed sync loses its pages.
    Error = 1,
    /// From there on nothing grows.
    Full = 3,
    /// What was not synced is lost, and the process is gone.
    Cut,
    /// Every sync takes its time.
    Slow,
}

/// The numbers that the shim shares.
struct Control(std::fs::File);

const COUNT: u64 = 0;
const NTH: u64 = 1;
const MODE: u64 = 2;
const SEED: u64 = 3;
const FIRED: u64 = 4;
const WANTED: u64 = 5;

impl Control {
    fn open(path: &Path) -> Control {
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.set_len(48).unwrap();
        Control(file)
    }
    fn get(&self, at: u64) -> i64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, at * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }
    fn set(&self, at: u64, value: i64) {
        self.0.write_all_at(&value.to_ne_bytes(), at * 8).unwrap();
    }
}

/// The shim, built once for all tests. `None`: this machine has no C compiler, though the build needed one.
fn shim() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let library = std::env::temp_dir().join(format!("wardpost-faults-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/shim.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let done = Command::new(compiler).args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([source, "-ldl"]).status();
        assert!(done.is_ok_and(|status| status.success()), "the C compiler that built SQLite builds this too");
        library
    });
    built.clone()
}

/// One run's folder: data, keys, control file.
struct Place {
    root: Folder,
}

impl Place {
    fn new() -> Place {
        Place { root: Folder::new() }
    }
    fn data(&self) -> PathBuf {
        self.root.0.join("data")
    }
    fn open(&self) -> Result<Handle, Error> {
        open(&self.root.0)
    }
    /// Runs a child in which operation `nth` fails; its answers, and whether anything failed.
    fn run(&self, scenario: &str, mode: Mode, nth: i64, seed: i64) -> (BTreeMap<String, String>, bool) {
        let path = self.root.0.join("control");
        let control = Control::open(&path);
        for (at, value) in [(COUNT, 0), (NTH, 0), (MODE, mode as i64), (SEED, seed), (FIRED, 0), (WANTED, nth)] {
            control.set(at, value);
        }
        if scenario == "start" {
            control.set(NTH, nth);
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "faults::a_child", "--nocapture", "--test-threads=1"])
            .env("LD_PRELOAD", shim())
            .env("FAULTS_FOLDER", self.data())
            .env("FAULTS_CONTROL", &path)
            .env("FAULTS_ROOT", &self.root.0)
            .env("FAULTS_SCENARIO", scenario)
            .env("WARDPOST_LOG", "off")
            .output()
            .unwrap();
        let has_fired = control.get(FIRED) != 0;
        let what =
            || format!("{mode:?} {nth}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let is_cut = output.status.code() == Some(CUT);
        assert!(output.status.success() || (is_cut && mode == Mode::Cut), "{}", what());
        assert!(control.get(COUNT) > 0, "the shim is not at work: {}", what());
        let answers = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.split_once("answer: ").and_then(|(_, line)| line.split_once(' ')))
            .map(|(step, answer)| (step.to_owned(), answer.to_owned()))
            .collect();
        (answers, has_fired)
    }
}

fn open(root: &Path) -> Result<Handle, Error> {
    let data = root.join("data");
    let vault = open_or_create(&root.join("keys"), is_empty(&data)).unwrap();
    let store = Handle::open(Settings { folder: data, body_file_bytes: FILE_BYTES }, Arc::new(vault))?;
    store.keep_free(0);
    Ok(store)
}

// --- what the child does ----------------------------------------------------------------------------------------------

fn size(n: u8) -> usize {
    if n.is_multiple_of(2) { FILE_BYTES * 3 } else { 700 }
}

fn copy(n: u8, kind: CopyKind, state: CopyState) -> NewCopy {
    NewCopy {
        id: CopyId([n; 16]),
        message: QueueId([n; 10]),
        kind,
        body: BodyId([n; 16]),
        recipient: Pseudonym::of(format!("recipient{n}")),
        message_id: Pseudonym::of(format!("message-id{n}")),
        domain: Domain::parse("clinic.example").unwrap(),
        class: Class::Normal,
        header: Sealed(vec![n; 300]),
        facts: Sealed(vec![n; 100]),
        wrap: Wrapped(vec![n; 120]),
        state,
        received_at: NOW,
        parcel: None,
        size_bytes: 1000,
    }
}

fn mail(n: u8, kind: CopyKind, state: CopyState) -> Commit {
    Commit {
        bodies: vec![NewBody { id: BodyId([n; 16]), sealed: Arc::new(Sealed(vec![n; size(n)])) }],
        copies: vec![copy(n, kind, state)],
        records: vec![Record::of(Event::Decided, NOW)],
        ..Commit::default()
    }
}

fn settle(n: u8, generation: u64, to: CopyState) -> Commit {
    let settle = Settle { copy: CopyId([n; 16]), generation, to, at: NOW, reason: None };
    Commit { settles: vec![settle], records: vec![Record::of(Event::Delivered, NOW)], ..Commit::default() }
}

fn parcel(n: u8) -> NewParcel {
    NewParcel {
        id: ParcelId([n; 16]),
        number_hash: [n; 32],
        copy: CopyId([n; 16]),
        message: QueueId([n; 10]),
        recipient: Pseudonym::of("r".into()),
        message_id: Pseudonym::of("m".into()),
        domain: Domain::parse("clinic.example").unwrap(),
        body: Sealed(vec![n; size(n)]),
        header: Sealed(vec![n; 50]),
        facts: Sealed(vec![n; 60]),
        code: Some(CodeWrap { salt: [n; 16], wrap: Wrapped(vec![n; 80]), spoken_hash: [n; 32] }),
        recovery: Wrapped(vec![n; 70]),
        reason: "starttls-not-supported".into(),
        later_level: None,
        created_at: NOW,
        expires_at: NOW.plus_secs(86_400),
        size_bytes: 99,
    }
}

const QUEUED: CopyState = CopyState::Queued { next_at: NOW };
const LATER: CopyState = CopyState::Queued { next_at: Timestamp(NOW.0 + 60_000) };

/// The steps after the first five messages were accepted and claimed: (name, the copy it needs, what it commits).
fn outcomes() -> Vec<(&'static str, u8, Commit)> {
    let with = |mut commit: Commit, more: Commit| {
        commit.bodies.extend(more.bodies);
        commit.copies.extend(more.copies);
        commit
    };
    let mut escrow = with(settle(2, 1, CopyState::Escrowed(ParcelId([2; 16]))), mail(12, CopyKind::Notice, LATER));
    escrow.parcels.push(parcel(2));
    vec![
        ("deliver-1", 1, settle(1, 1, CopyState::Delivered)),
        ("delay-3", 3, settle(3, 1, LATER)),
        ("escrow-2", 2, escrow),
        ("bounce-4", 4, with(settle(4, 1, CopyState::Bounced), mail(14, CopyKind::Report, LATER))),
        ("release-5", 5, settle(5, 0, LATER)),
        ("close-2", 2, Commit { parcel_changes: vec![ParcelChange::Closed(ParcelId([2; 16]), NOW)], ..Commit::default() }),
    ]
}

fn say(step: &str, result: &Result<(), Error>) -> bool {
    let answer = match result {
        Ok(()) => "kept".to_owned(),
        Err(Error::Full) => "full".to_owned(),
        Err(Error::Closed) => "closed".to_owned(),
        Err(other) => format!("refused {other}"),
    };
    println!("\nanswer: {step} {answer}");
    result.is_ok()
}

/// Not a test: what a child of the tests below runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of the other tests"]
async fn a_child() {
    let Some(root) = std::env::var_os("FAULTS_ROOT").map(PathBuf::from) else { return };
    let control = Control::open(&root.join("control"));
    let opened = open(&root);
    if std::env::var("FAULTS_SCENARIO").as_deref() == Ok("start") {
        say("start", &opened.as_ref().map(|_| ()).map_err(|error| Error::Refused(error.to_string())));
        if let Ok(store) = opened {
            store.close().await;
        }
        return;
    }
    let store = opened.unwrap();
    control.set(COUNT, 0);
    control.set(NTH, control.get(WANTED));
    work(&store).await;
    if control.get(MODE) == Mode::Full as i64 {
        // There is space again.
        control.set(NTH, 0);
        say("accept-7", &store.commit(mail(7, CopyKind::Message, QUEUED)).await);
        say("accept-8", &store.commit(mail(8, CopyKind::Message, QUEUED)).await);
    }
    store.close().await;
}

async fn work(store: &Handle) {
    let accept = async |n: u8, state| {
        let result = store.commit(mail(n, CopyKind::Message, state)).await;
        say(&format!("accept-{n}"), &result).then_some(n)
    };
    let (one, two) = (accept(1, QUEUED).await, accept(2, QUEUED).await);
    let (three, four, five) = tokio::join!(accept(3, QUEUED), accept(4, QUEUED), accept(5, CopyState::Held));
    let there: Vec<u8> = [one, two, three, four, five].into_iter().flatten().collect();
    let claimed = store.claim(NOW, 10).await;
    say("claim", &claimed.as_ref().map(|_| ()).map_err(again));
    let mut claimed = claimed.unwrap_or_default();
    claimed.retain(|row| there.contains(&row.copy.id.0[0]));
    let mut done = Vec::new();
    for (step, n, commit) in outcomes() {
        let is_ready = match step {
            "release-5" => there.contains(&5),
            "close-2" => done.contains(&"escrow-2"),
            _ => claimed.iter().any(|row| row.copy.id.0[0] == n),
        };
        if is_ready && say(step, &store.commit(commit).await) {
            done.push(step);
        }
    }
    say("head", &store.sign_head(NOW).await.map(|_| ()));
    let clinic = Domain::parse("clinic.example").unwrap();
    say("look", &store.note_check(&clinic, NOW, Sealed(vec![1; 40]), Timestamp(0)).await);
    say("void", &store.void_codes().await.map(|_| ()));
}

fn again(error: &Error) -> Error {
    match error {
        Error::Full => Error::Full,
        Error::Closed => Error::Closed,
        other => Error::Refused(other.to_string()),
    }
}

// --- what has to hold afterwards --------------------------------------------------------------------------------------

/// Opens what is left and holds it against the answers that were given.
async fn check(place: &Place, answers: &BTreeMap<String, String>, what: &str) {
    let store = place.open().unwrap_or_else(|error| panic!("{what}: the next start refuses: {error}"));
    let answer = |step: &str| answers.get(step).map(String::as_str);
    // Kept is there, full is not there, anything else is either, and whole.
    let fits = |step: &str, is_there: bool| match answer(step) {
        Some("kept") => assert!(is_there, "{what}: {step} was answered and is lost; {answers:?}"),
        Some("full") => assert!(!is_there, "{what}: {step} was refused and is there; {answers:?}"),
        Some("closed") | None => {}
        Some(other) => panic!("{what}: {step}: {other}"),
    };
    let mut records = 0;
    let mut needed = Vec::new();
    for n in [1, 2, 3, 4, 5, 7, 8, 12, 14u8] {
        let row = store.copy(CopyId([n; 16])).await.unwrap();
        let is_there = row.is_some();
        match n {
            12 => fits("escrow-2", is_there),
            14 => fits("bounce-4", is_there),
            _ => fits(&format!("accept-{n}"), is_there),
        }
        let Some(row) = row else { continue };
        records += u64::from(n < 12);
        let state = row.copy.state;
        let step = outcomes().into_iter().find(|(_, of, commit)| *of == n && !commit.settles.is_empty());
        if let Some((step, _, commit)) = step {
            let is_settled = state == commit.settles[0].to;
            fits(step, is_settled);
            records += u64::from(is_settled);
            let is_waiting = matches!((n, state), (5, CopyState::Held) | (_, CopyState::Queued { .. }));
            assert!(is_settled || is_waiting, "{what}: copy {n} is {state:?}");
        }
        let body = store.body(BodyId([n; 16])).await.unwrap();
        assert_eq!(body.is_some(), !state.is_terminal(), "{what}: copy {n} is {state:?} and its body");
        if let Some(body) = body {
            assert_eq!(body.0, vec![n; size(n)], "{what}");
            needed.push(n);
        }
        assert_eq!(row.copy.wrap.0.is_empty(), state.is_terminal(), "{what}");
    }
    // In the portal, or still a copy, and never both or neither.
    let parcel = store.parcel(ParcelId([2; 16])).await.unwrap();
    let copy = store.copy(CopyId([2; 16])).await.unwrap();
    let is_escrowed = copy.is_some_and(|row| matches!(row.copy.state, CopyState::Escrowed(_)));
    assert_eq!(parcel.is_some(), is_escrowed, "{what}");
    if let Some(parcel) = parcel {
        fits("close-2", parcel.is_closed);
        let content = store.parcel_content(ParcelId([2; 16])).await.unwrap();
        assert_eq!(content.is_some(), !parcel.is_closed, "{what}");
    }
    assert_eq!(store.log(1, 100).await.unwrap().len() as u64, records, "{what}: one record for each deed");
    fits("head", !store.heads().await.unwrap().is_empty());
    // Nothing stray, and it works again.
    let files = std::fs::read_dir(place.data().join("bodies")).unwrap().count();
    let parcels = usize::from(store.parcel_content(ParcelId([2; 16])).await.unwrap().is_some());
    assert_eq!(files, needed.iter().filter(|n| n.is_multiple_of(2)).count() + parcels, "{what}");
    for n in [20, 21] {
        store.commit(mail(n, CopyKind::Message, QUEUED)).await.unwrap();
    }
    store.close().await;
}

/// Runs a scenario with the n-th operation failing until none fails; several at a time.
async fn for_every_operation(scenario: &'static str, mode: Mode, seed: i64, prepare: fn(&Place)) -> i64 {
    let mut nth = 1;
    loop {
        let runs: Vec<_> = (nth..nth + 4)
            .map(|nth| {
                tokio::task::spawn_blocking(move || {
                    let place = Place::new();
                    prepare(&place);
                    // The two lowest bits choose what else is lost, the others which pages.
                    let seed = if seed & 2 == 0 { seed } else { (seed & 3) + ((seed >> 2) * 1000 + nth) * 4 };
                    let (answers, has_fired) = place.run(scenario, mode, nth, seed);
                    (place, answers, has_fired)
                })
            })
            .collect();
        let mut is_over = false;
        for (run, nth) in runs.into_iter().zip(nth..) {
            let (place, mut answers, has_fired) = run.await.unwrap();
            let what = format!("{scenario}, {mode:?}, operation {nth}");
            if mode == Mode::Full && scenario == "work" {
                assert!(!answers.values().any(|answer| answer == "closed"), "{what}: a full disk closes nothing: {answers:?}");
                for step in ["accept-7", "accept-8"] {
                    assert_eq!(answers.get(step).map(String::as_str), Some("kept"), "{what}: there is space again");
                }
            }
            if scenario == "start" {
                // That the start failed is no answer about mail.
                answers.remove("start").filter(|answer| answer == "kept" || has_fired).unwrap_or_else(|| assert_cut(mode, &what));
                answers.extend(BEFORE.iter().map(|step| ((*step).to_owned(), "kept".to_owned())));
            }
            if !has_fired {
                assert!(answers.values().all(|answer| answer == "kept"), "{what}: {answers:?}");
                is_over = true;
            }
            check(&place, &answers, &what).await;
        }
        if is_over {
            println!("{scenario}, {mode:?}: {nth} operations and less than four more");
            return nth;
        }
        nth += 4;
        assert!(nth < OPERATIONS_MAX, "it does not end");
    }
}

/// An empty store, made without faults.
fn empty(place: &Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { place.open().unwrap().close().await });
}

fn assert_cut(mode: Mode, what: &str) -> String {
    assert_eq!(mode, Mode::Cut, "{what}: no answer");
    String::new()
}

/// What a store has answered that a crash then ends.
const BEFORE: &[&str] = &["accept-1", "accept-2", "accept-3", "accept-4", "accept-5", "deliver-1", "escrow-2"];

/// A store that a crash ended: a log that nobody moved into the database, copies in flight, a stray file.
fn crashed(place: &Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = place.open().unwrap();
        for n in 1..=5 {
            let state = if n == 5 { CopyState::Held } else { QUEUED };
            store.commit(mail(n, CopyKind::Message, state)).await.unwrap();
        }
        store.claim(NOW, 10).await.unwrap();
        for (_, _, commit) in outcomes().into_iter().filter(|(step, _, _)| BEFORE.contains(step)) {
            store.commit(commit).await.unwrap();
        }
        let left = place.root.0.join("left");
        copy_folder(&place.data(), &left);
        store.close().await;
        std::fs::remove_dir_all(place.data()).unwrap();
        std::fs::rename(left, place.data()).unwrap();
        std::fs::write(place.data().join("bodies").join("b-stray"), b"x").unwrap();
    });
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_crash_may_fail_at_any_operation_and_the_next_one_finds_everything() {
    for (mode, seed) in [(Mode::Error, 0), (Mode::Full, 0), (Mode::Cut, 3)] {
        let operations = for_every_operation("start", mode, seed, crashed).await;
        assert!(operations > 8, "only {operations} operations could fail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_any_operation_loses_nothing_that_was_answered() {
    let operations = for_every_operation("work", Mode::Error, 0, empty).await;
    assert!(operations > 40, "only {operations} operations could fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_any_operation_is_answered_as_full_and_is_over_when_there_is_space() {
    let operations = for_every_operation("work", Mode::Full, 0, empty).await;
    assert!(operations > 30, "only {operations} operations could fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_operation_loses_nothing_that_was_answered() {
    let operations = for_every_operation("work", Mode::Cut, 0, empty).await;
    assert!(operations > 40, "only {operations} operations could be cut");
}

/// With names lost that no folder's sync covers, and any part of the unsynced pages on the disk all the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; .ci/run runs it"]
async fn crash_cuts_with_any_part_of_the_unsynced_pages_kept_lose_nothing() {
    for seed in [1, 2, 3, 7, 11, 15] {
        for_every_operation("work", Mode::Cut, seed, empty).await;
    }
}

// --- the whole gateway on a slow disk ---------------------------------------------------------------------------------

/// Clients that send at the same time, and how many of them are let in at once.
const CLIENTS: usize = 80;
const PLACES: usize = 60;
/// Messages of each.
const EACH: usize = 3;
const SYNC_MS: i64 = 200;

/// Every sync of the data folder takes 200 ms, one after the other. A sync for each message would mean five messages a
/// second; those that wait together are synced together. Whoever finds no place is told to come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_makes_messages_wait_together_and_loses_none() {
    let world = World::start().await.unwrap();
    let sink = world.sink("verified.example").unwrap();
    let folder = Folder::new();
    let port = free_port();
    let config = write_config(&folder.0, &world, |text| {
        let text = text.replace(
            "relay = [\"127.0.0.1:0\"]",
            &format!("relay = [\"127.0.0.1:{port}\"]\nmax_connections_per_client = {PLACES}"),
        );
        text + "[[network]]\nname = \"n\"\naddresses = [\"127.0.0.1\"]\nsender_domains = [\"practice.example\"]\ntls = \"optional\"\n"
    });
    let path = folder.0.join("control");
    let control = Control::open(&path);
    control.set(MODE, Mode::Slow as i64);
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_wardpost"))
        .args(["serve", "--config"])
        .arg(&config)
        .env("LD_PRELOAD", shim())
        .env("FAULTS_FOLDER", folder.0.join("data"))
        .env("FAULTS_CONTROL", &path)
        .env("WARDPOST_LOG", "error")
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    wait_for(&format!("127.0.0.1:{port}")).await;
    // A first message shows that everything is loaded.
    let mut kept = one_session(port, 0, 1).await;
    control.set(SEED, SYNC_MS);
    let before = control.get(FIRED);
    assert!(before > 0, "the shim is not at work");
    let clients: Vec<_> = (1..=CLIENTS).map(|client| tokio::spawn(one_session(port, client, EACH))).collect();
    for client in clients {
        kept.extend(tokio::time::timeout(PATIENCE, client).await.expect("a slow disk stops nobody for ever").unwrap());
    }
    let syncs = control.get(FIRED) - before;
    control.set(SEED, 0);
    let messages = CLIENTS * EACH;
    println!("{messages} messages of {CLIENTS} clients, {syncs} syncs");
    assert_eq!(kept.len(), messages + 1);
    // Of what is delivered meanwhile, too: claims and outcomes share the same syncs.
    assert!(syncs > 0 && (syncs as usize) * 4 < messages, "{syncs} syncs for {messages} messages");
    let arrived = tokio::time::timeout(PATIENCE, sink.wait_for_messages(kept.len() as u64)).await.expect("all of them arrive");
    let all: String = arrived.iter().map(|received| String::from_utf8_lossy(&received.content).into_owned()).collect();
    for id in &kept {
        assert!(all.contains(&format!("<{id}>")), "{id} was answered 250 and did not arrive");
    }
    program.kill().await.unwrap();
}

/// Sends so many messages over one connection; their ids, each answered 250. Refused for now, it comes again.
async fn one_session(port: u16, client: usize, count: usize) -> Vec<String> {
    let mut kept = Vec::new();
    'again: while kept.len() < count {
        let mut stream = BufReader::new(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        let mut reply = String::new();
        if stream.read_line(&mut reply).await.unwrap() == 0 || !reply.starts_with("220 ") {
            assert!(reply.is_empty() || reply.starts_with("421 "), "{reply}");
            continue;
        }
        while kept.len() < count {
            let id = format!("slow-{client}-{}@practice.example", kept.len());
            let text = message(&id, "pat@verified.example", "Hello", "nothing to see here");
            let (mail, rcpt) = ("MAIL FROM:<ann@practice.example>\r\n", "RCPT TO:<pat@verified.example>\r\n");
            for step in ["HELO x\r\n", mail, rcpt, "DATA\r\n", &format!("{text}\r\n.\r\n")] {
                stream.write_all(step.as_bytes()).await.unwrap();
                reply.clear();
                let octets = stream.read_line(&mut reply).await.unwrap();
                let code = if step == "DATA\r\n" { "354 " } else { "250 " };
                if octets == 0 || !reply.starts_with(code) {
                    assert!(reply.starts_with("421 ") || reply.starts_with("45"), "{step}: {reply}");
                    continue 'again;
                }
            }
            kept.push(id);
        }
    }
    kept
}
