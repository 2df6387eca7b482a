//! Pages of the database and frames of its log that are not what was written: nothing is taken for absent, nothing is
//! added to it, and whoever looks is told what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::sync::Arc;

use super::tests::{NOW, QUEUED, World, mail, settle};
use super::*;
use crate::vault;

const PAGE: usize = 8192;
const WAL_HEADER: usize = 32;
const FRAME: usize = 24 + PAGE;
/// As many as make trees of more than one level.
const MAILS: u8 = 90;

impl World {
    fn database(&self) -> std::path::PathBuf {
        self.folder.join("wardpost.db")
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.join("wardpost.db-wal")
    }

    fn mark(&self) -> std::path::PathBuf {
        self.folder.join("wardpost.db-damaged")
    }

    fn refusal(&self) -> Error {
        match Handle::open(self.settings(), Arc::clone(&self.vault)) {
            Err(error) => error,
            Ok(_) => panic!("opened"),
        }
    }
}

/// A closed store with mail in it, and the bytes of its database.
async fn full() -> (World, Vec<u8>) {
    let world = World::new();
    let store = world.open();
    for n in 1..=MAILS {
        store.commit(mail(n, 900, QUEUED)).await.unwrap();
    }
    store.close().await;
    let bytes = std::fs::read(world.database()).unwrap();
    assert_eq!(bytes.len() % PAGE, 0);
    (world, bytes)
}

/// The pages of the tree under a root, the root first; `true`: an inner page.
fn tree(bytes: &[u8], root: usize) -> Vec<(usize, bool)> {
    let page = &bytes[(root - 1) * PAGE..root * PAGE];
    let number = |at: usize, length: usize| page[at..at + length].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if page[0] == 0x0d || page[0] == 0x0a {
        return vec![(root, false)];
    }
    let children = (0..number(3, 2)).map(|n| number(number(12 + 2 * n, 2), 4)).chain([number(8, 4)]);
    [(root, true)].into_iter().chain(children.flat_map(|child| tree(bytes, child))).collect()
}

fn root_of(world: &World, name: &str) -> usize {
    let db = rusqlite::Connection::open(world.database()).unwrap();
    db.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get::<_, i64>(0)).unwrap() as usize
}

fn with_page(bytes: &[u8], page: usize, byte: u8) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    damaged[(page - 1) * PAGE..page * PAGE].fill(byte);
    damaged
}

fn is_way_out(error: &Error) {
    let text = error.to_string();
    for part in ["wardpost.db is damaged", "stop the gateway", "copy the whole data folder", ".recover", "backup", "--restored"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\n') && !text.contains("Sqlite"), "{text}");
}

/// Every page of the file in turn is lost: whatever is asked about mail that is there is answered rightly or not at all.
#[tokio::test]
async fn no_lost_page_makes_mail_absent() {
    let (world, bytes) = full().await;
    let (mut refused, mut met, mut unnoticed) = (0, 0, 0);
    for page in 1..=bytes.len() / PAGE {
        std::fs::write(world.database(), with_page(&bytes, page, if page % 2 == 0 { 0 } else { 0x5a })).unwrap();
        let _ = std::fs::remove_file(world.mark());
        let store = match Handle::open(world.settings(), Arc::clone(&world.vault)) {
            Ok(store) => store,
            Err(error @ Error::Damaged { .. }) => {
                is_way_out(&error);
                refused += 1;
                continue;
            }
            Err(other) => panic!("page {page}: {other}"),
        };
        let mut damage = None;
        for n in 1..=MAILS {
            let seen = match store.copy(CopyId([n; 16])).await {
                Ok(copy) => copy.map(|row| row.copy.header.0.clone()),
                Err(error) => {
                    damage = Some(error);
                    break;
                }
            };
            assert_eq!(seen, Some(vec![n; 300]), "page {page}, copy {n}");
            let body = match store.body(BodyId([n; 16])).await {
                Ok(body) => body.map(|body| body.0.clone()),
                Err(error) => {
                    damage = Some(error);
                    break;
                }
            };
            assert_eq!(body, Some(vec![n; 900]), "page {page}, body {n}");
        }
        let Some(damage) = damage else {
            unnoticed += 1;
            store.close().await;
            continue;
        };
        assert!(matches!(damage, Error::Damaged { .. }), "page {page}: {damage}");
        is_way_out(&damage);
        // As after a failed sync: nothing is taken, and the process is told to end.
        store.failed().await;
        assert!(!store.takes_mail(), "page {page}");
        assert!(matches!(store.commit(mail(200, 10, QUEUED)).await, Err(Error::Closed)), "page {page}");
        drop(store);
        // Not even a start that comes by none of it goes on.
        is_way_out(&world.as_after_a_crash().refusal());
        met += 1;
    }
    println!("{refused} refused at the start, {met} met by a reader, {unnoticed} never asked for");
    // Pages of the first kind: header, log, index of what is open. Of the second: copies, bodies, their keys.
    assert!(refused > 4 && met > 20, "{refused} {met} {unnoticed}");
}

#[tokio::test]
async fn a_writer_that_meets_damage_answers_nothing_and_a_repaired_file_is_believed_again() {
    let (first, bytes) = full().await;
    let copies = tree(&bytes, root_of(&first, "copies"));
    assert!(copies[0].1, "a tree of more than one level");
    let leaf = copies.iter().find(|(_, is_inner)| !is_inner).unwrap().0;
    let index = tree(&bytes, root_of(&first, "copies_message_id"))[0].0;
    for page in [copies[0].0, leaf, index] {
        let world = first.as_after_a_crash();
        let store = world.open();
        // Under the running gateway.
        std::fs::write(world.database(), with_page(&bytes, page, 0)).unwrap();
        let answer = if page == index {
            store.commit(mail(201, 10, QUEUED)).await
        } else {
            store.claim(NOW.plus_secs(500), 250).await.map(|_| ())
        };
        assert!(matches!(answer, Err(Error::Closed)), "page {page}: {answer:?}");
        store.failed().await;
        assert!(matches!(store.commit(mail(202, 10, QUEUED)).await, Err(Error::Closed)), "page {page}");
        assert!(matches!(store.commit(settle(1, 1, CopyState::Delivered)).await, Err(Error::Closed)), "page {page}");
        drop(store);
        // What the operator finds and mends.
        let left = world.as_after_a_crash();
        is_way_out(&left.refusal());
        std::fs::write(left.database(), &bytes).unwrap();
        let store = left.open();
        assert_eq!(store.copies(true, 500).await.unwrap().len(), usize::from(MAILS), "nothing new was kept");
        assert!(!left.mark().exists());
        store.close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_or_cut_short_is_named() {
    let (world, bytes) = full().await;
    let files = [
        vec![0x5a; 4096],
        b"SQLite format 3\0 and then something else entirely".repeat(400),
        with_page(&bytes, 1, 0),
        bytes[..bytes.len() / 2 / PAGE * PAGE].to_vec(),
        bytes[..PAGE + 100].to_vec(),
        bytes[..100].to_vec(),
    ];
    for (n, file) in files.iter().enumerate() {
        std::fs::write(world.database(), file).unwrap();
        let _ = std::fs::remove_file(world.mark());
        let error = world.refusal();
        assert!(matches!(error, Error::Damaged { .. }), "{n}: {error}");
        is_way_out(&error);
        assert_eq!(std::fs::read(world.database()).unwrap(), *file, "{n}: left as it is, for whoever rescues it");
    }
}

/// A bug in one look at the store is no end of all looks.
#[tokio::test]
async fn a_reader_that_panics_is_lent_again() {
    let (world, _) = full().await;
    let store = world.open();
    for _ in 0..10 {
        let read = store.read(|_| -> Result<(), Error> { panic!("on purpose") }).await;
        assert!(matches!(read, Err(Error::Closed)));
    }
    assert_eq!(store.copies(true, 500).await.unwrap().len(), usize::from(MAILS));
    store.close().await;
    assert!(matches!(store.depth().await, Err(Error::Closed)));
}

/// Whoever gives up a read leaves its connection busy; the next one waits for it.
#[tokio::test]
async fn reads_that_nobody_waits_for_fail_no_others() {
    let world = World::new();
    let store = world.open();
    let (begun, mut began) = tokio::sync::mpsc::unbounded_channel();
    let mut held = Vec::new();
    for _ in 0..4 {
        let (hold, wait) = std::sync::mpsc::channel::<()>();
        held.push(hold);
        let (store, begun) = (store.clone(), begun.clone());
        let given_up = tokio::spawn(async move {
            let slow = move |_: &mut dyn Read| {
                begun.send(()).unwrap();
                // Until the other end is gone.
                let _ = wait.recv();
                Ok(())
            };
            store.read(slow).await
        });
        began.recv().await.unwrap();
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
    }
    let mut next = Box::pin(store.depth());
    assert!(at_once(next.as_mut()).is_none(), "all connections are busy");
    drop(held);
    next.await.unwrap();
    store.close().await;
}

/// What a future gives without waiting.
fn at_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// To SQLite a file of no length is a new database.
#[test]
fn a_file_cut_to_nothing_is_no_first_start() {
    let folder = World::new().folder.clone();
    std::fs::create_dir(&folder).unwrap();
    let keys = folder.join("keys");
    let data = World { folder: folder.join("data"), vault: Arc::new(vault::open_or_create(&keys, true).unwrap()) };
    assert!(is_empty(&data.folder));
    // A first start that was killed between the file and the tables is repeated.
    std::fs::create_dir(&data.folder).unwrap();
    std::fs::set_permissions(&data.folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(data.database(), b"").unwrap();
    vault::open_or_create(&keys, is_empty(&data.folder)).unwrap();
    let store = data.open();
    assert!(!is_empty(&data.folder));
    drop(store);
    drop(data.open());
    std::fs::write(data.database(), b"").unwrap();
    let _ = std::fs::remove_file(data.log());
    assert!(is_empty(&data.folder));
    let error = vault::open_or_create(&keys, is_empty(&data.folder)).err().unwrap();
    assert!(matches!(error, vault::Error::DataMissing { .. }), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// A store as the power left it: everything is in the log, one commit behind the other.
async fn unmoved() -> (World, Vec<u8>) {
    let world = World::new();
    let store = world.open();
    for n in 1..=5 {
        store.commit(mail(n, 900, QUEUED)).await.unwrap();
    }
    let crashed = world.as_after_a_crash();
    let log = std::fs::read(crashed.log()).unwrap();
    store.close().await;
    (crashed, log)
}

/// Where the frames of a log begin, and which end a commit.
fn frames(log: &[u8]) -> Vec<(usize, bool)> {
    let starts = (WAL_HEADER..log.len()).step_by(FRAME);
    let frames: Vec<_> = starts.map(|at| (at, log[at + 4..at + 8] != [0; 4])).collect();
    assert_eq!(WAL_HEADER + frames.len() * FRAME, log.len());
    assert!(frames.len() > 8 && frames.iter().filter(|(_, is_end)| *is_end).count() >= 5, "{}", frames.len());
    frames
}

#[tokio::test]
async fn a_damaged_log_is_not_taken_for_a_short_one() {
    let (world, log) = unmoved().await;
    let frames = frames(&log);
    let flipped = |at: usize| {
        let mut damaged = log.clone();
        damaged[at] ^= 1;
        damaged
    };
    let third_last = frames.iter().rev().filter(|(_, is_end)| *is_end).nth(2).unwrap().0;
    let cases = [
        ("a header of noise", [&[0x5a; WAL_HEADER][..], &log[WAL_HEADER..]].concat(), "header does not check"),
        ("a bit of the header", flipped(17), "header does not check"),
        ("noise", vec![0x5a; log.len()], "header does not check"),
        ("a bit of the first page", flipped(WAL_HEADER + 24 + 100), "frame 1 does not check"),
        ("a salt of the first frame", flipped(WAL_HEADER + 9), "frame 1 does not check"),
        ("a bit of a page in the middle", flipped(third_last + 24 + 4000), "does not check"),
    ];
    for (what, damaged, why) in cases {
        std::fs::write(world.log(), &damaged).unwrap();
        let error = world.refusal();
        let text = error.to_string();
        assert!(matches!(error, Error::DamagedLog { .. }), "{what}: {text}");
        for part in
            ["wardpost.db-wal is damaged", why, "copy the whole data folder", "backup", "--restored", "move only this file"]
        {
            assert!(text.contains(part), "{what}: {part}: {text}");
        }
        assert_eq!(std::fs::read(world.log()).unwrap(), damaged, "{what}: left as it is");
    }
    std::fs::write(world.log(), &log).unwrap();
    let store = world.open();
    assert_eq!(store.copies(true, 10).await.unwrap().len(), 5, "none of this has touched the database");
}

#[tokio::test]
async fn what_a_power_cut_leaves_of_the_log_is_no_damage() {
    type Cut = fn(&[u8]) -> Vec<u8>;
    // How the last commit came out; all before it was synced.
    let cuts: [(&str, Cut); 3] = [
        ("its last frame cut", |log| log[..log.len() - FRAME + 100].to_vec()),
        ("its last page half written", |log| {
            let mut log = log.to_vec();
            let half = log.len() - PAGE / 2;
            log[half..].fill(0);
            log
        }),
        ("its first frame missing", |log| {
            let ends: Vec<usize> = frames(log).into_iter().filter(|(_, is_end)| *is_end).map(|(at, _)| at + FRAME).collect();
            let [.., before, end] = ends[..] else { panic!("two commits") };
            assert!(end - before > FRAME, "the last commit has more than one frame");
            let mut log = log.to_vec();
            log[before..before + FRAME].fill(0);
            log
        }),
    ];
    for (what, cut) in cuts {
        let (world, log) = unmoved().await;
        std::fs::write(world.log(), cut(&log)).unwrap();
        assert_eq!(world.open().copies(true, 10).await.unwrap().len(), 4, "{what}");
    }
    // A log that was just begun: all before it is in the database.
    let (_, log) = unmoved().await;
    for begun in [&b""[..], &log[..12], &[0; WAL_HEADER], &log[..WAL_HEADER], &[&[0; WAL_HEADER][..], &[7; 20]].concat()] {
        let (world, _) = unmoved().await;
        world.open().close().await;
        std::fs::write(world.log(), begun).unwrap();
        assert_eq!(world.open().copies(true, 10).await.unwrap().len(), 5, "{} octets", begun.len());
    }
}
