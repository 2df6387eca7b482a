//! What every store has to keep, told through [`Handle`]; and what a crash or fault at any step may leave.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::bodies::Bodies;
use super::sqlite::SqliteStore;
use super::*;
use crate::audit::Event;
use crate::mail::Timestamp;
use crate::policy::Lane;
use crate::vault::Vault;

/// Bodies above this are files in these tests.
const FILE_BYTES: usize = 1000;

/// A data folder of its own for one test, gone when the test ends.
pub(super) struct World {
    pub(super) folder: PathBuf,
    pub(super) vault: Arc<Vault>,
}

impl World {
    pub(super) fn new() -> World {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("wardpost-store-{}-{n}", std::process::id()));
        World { folder, vault: Arc::new(Vault::ephemeral()) }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings { folder: self.folder.clone(), body_file_bytes: FILE_BYTES }
    }

    pub(super) fn open(&self) -> Handle {
        Handle::open(self.settings(), Arc::clone(&self.vault)).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.join("bodies"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The folder as another machine would find it after the power went now.
    pub(super) fn as_after_a_crash(&self) -> World {
        let copy = World { folder: World::new().folder.clone(), vault: Arc::clone(&self.vault) };
        copy_folder(&self.folder, &copy.folder);
        copy
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            match std::fs::copy(entry.path(), target) {
                Ok(_) => {}
                // A half-made file that its writer has just taken away: a crash may leave it or not.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn copy(n: u8, state: CopyState) -> NewCopy {
    NewCopy {
        id: CopyId([n; 16]),
        message: QueueId([n; 10]),
        kind: CopyKind::Message,
        body: BodyId([n; 16]),
        recipient: Pseudonym::of(format!("recipient{n:07}")),
        message_id: Pseudonym::of(format!("message-id{n:06}")),
        domain: Domain::parse("clinic.example").unwrap(),
        class: Class::Normal,
        header: Sealed(vec![n; 300]),
        facts: Sealed(vec![n; 100]),
        wrap: Wrapped(vec![n; 120]),
        state,
        received_at: NOW.plus_secs(i64::from(n)),
        parcel: None,
        size_bytes: 1234,
    }
}

fn body(n: u8, size: usize) -> NewBody {
    NewBody { id: BodyId([n; 16]), sealed: Arc::new(Sealed(vec![n; size])) }
}

pub(super) fn mail(n: u8, size: usize, state: CopyState) -> Commit {
    let mut record = Record::of(Event::Decided, NOW);
    record.message = Some(QueueId([n; 10]).to_string());
    record.recipient = Some(Pseudonym::of(format!("recipient{n:07}")));
    Commit { bodies: vec![body(n, size)], copies: vec![copy(n, state)], records: vec![record], ..Commit::default() }
}

pub(super) fn settle(n: u8, generation: u64, to: CopyState) -> Commit {
    let settle = Settle { copy: CopyId([n; 16]), generation, to, at: NOW.plus_secs(900), reason: Some("timeout".into()) };
    Commit { settles: vec![settle], records: vec![Record::of(Event::Delivered, NOW)], ..Commit::default() }
}

fn parcel(n: u8, size: usize) -> NewParcel {
    NewParcel {
        later_level: Some("verified".into()),
        id: ParcelId([n; 16]),
        number_hash: [n; 32],
        copy: CopyId([n; 16]),
        message: QueueId([n; 10]),
        recipient: Pseudonym::of("r".into()),
        message_id: Pseudonym::of("m".into()),
        domain: Domain::parse("clinic.example").unwrap(),
        body: Sealed(vec![n; size]),
        header: Sealed(vec![n; 50]),
        facts: Sealed(vec![n; 60]),
        code: Some(code(n)),
        recovery: Wrapped(vec![n; 70]),
        reason: "starttls-not-supported".into(),
        created_at: NOW,
        expires_at: NOW.plus_secs(86_400 * 30),
        size_bytes: 99,
    }
}

fn code(n: u8) -> CodeWrap {
    CodeWrap { salt: [n; 16], wrap: Wrapped(vec![n; 80]), spoken_hash: [n; 32] }
}

pub(super) const QUEUED: CopyState = CopyState::Queued { next_at: NOW };

#[tokio::test]
async fn a_committed_copy_is_claimed_once_and_settled_by_its_generation_only() {
    let world = World::new();
    let store = world.open();
    store.commit(mail(1, 500, QUEUED)).await.unwrap();
    assert_eq!(store.next_due(Lane::First).await.unwrap(), Some(NOW));
    assert!(store.claim(NOW.plus_ms(-1), 10).await.unwrap().is_empty(), "not due yet");
    let claimed = store.claim(NOW, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let row = &claimed[0];
    assert_eq!((row.generation, row.attempts, row.copy.state), (1, 1, CopyState::InFlight));
    assert_eq!((&row.copy.header, &row.copy.wrap), (&Sealed(vec![1; 300]), &Wrapped(vec![1; 120])));
    assert!(store.claim(NOW, 10).await.unwrap().is_empty(), "claimed already");
    assert_eq!(*store.body(row.copy.body).await.unwrap().unwrap(), Sealed(vec![1; 500]));

    assert!(matches!(store.commit(settle(1, 0, CopyState::Delivered)).await, Err(Error::Conflict)));
    let later = CopyState::Queued { next_at: NOW.plus_secs(30) };
    store.commit(settle(1, 1, later)).await.unwrap();
    let row = store.copy(CopyId([1; 16])).await.unwrap().unwrap();
    assert_eq!((row.copy.state, row.last_reason.as_deref()), (later, Some("timeout")));
    assert_eq!(store.claim(NOW.plus_secs(30), 10).await.unwrap()[0].generation, 2);
    assert!(matches!(store.commit(settle(1, 1, CopyState::Delivered)).await, Err(Error::Conflict)), "an old claim");
    store.commit(settle(1, 2, CopyState::Delivered)).await.unwrap();
    assert!(matches!(store.commit(settle(1, 2, CopyState::Bounced)).await, Err(Error::Conflict)), "finished is finished");
}

#[tokio::test]
async fn a_finished_copy_keeps_its_row_and_loses_keys_header_facts_and_the_unshared_body() {
    let world = World::new();
    let store = world.open();
    for size in [500, FILE_BYTES + 1] {
        let n = if size == 500 { 1 } else { 3 };
        let mut two = mail(n, size, CopyState::InFlight);
        two.copies.push(NewCopy { body: BodyId([n; 16]), message: QueueId([n; 10]), ..copy(n + 1, CopyState::Held) });
        store.commit(two).await.unwrap();
        assert_eq!(world.files().len(), usize::from(size > FILE_BYTES));
        store.commit(settle(n, 1, CopyState::Delivered)).await.unwrap();
        let row = store.copy(CopyId([n; 16])).await.unwrap().unwrap();
        assert_eq!((row.copy.state, row.copy.size_bytes), (CopyState::Delivered, 1234));
        assert!(row.copy.header.0.is_empty() && row.copy.wrap.0.is_empty() && row.copy.facts.0.is_empty());
        assert!(store.body(BodyId([n; 16])).await.unwrap().is_some(), "the held copy still needs it");
        store.commit(settle(n + 1, 0, CopyState::Refused)).await.unwrap();
        assert!(store.body(BodyId([n; 16])).await.unwrap().is_none());
        assert_eq!(world.files().len(), 0);
        assert_eq!(store.copies_of(QueueId([n; 10])).await.unwrap().len(), 2);
    }
    assert_eq!(store.copies(true, 10).await.unwrap().len(), 0);
    let listed = store.copies(false, 3).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.copy.id.0[0]).collect::<Vec<_>>(), [4, 3, 2], "newest first");
    assert_eq!(store.copies_by_message_id(Pseudonym::of("message-id000003".into())).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_commit_leaves_nothing_and_does_not_hurt_its_neighbours() {
    let world = World::new();
    let store = world.open();
    store.commit(mail(1, 500, CopyState::Held)).await.unwrap();
    // One batch: the orders are handed over before the writer can have taken the first.
    let mut both_wrong = mail(2, FILE_BYTES + 1, QUEUED);
    both_wrong.settles.push(Settle { copy: CopyId([1; 16]), generation: 7, to: CopyState::Held, at: NOW, reason: None });
    let twice = mail(1, 500, QUEUED);
    let missing = Commit { copies: vec![copy(5, QUEUED)], ..Commit::default() };
    let (a, b, c, d, e) = tokio::join!(
        store.commit(mail(3, 500, QUEUED)),
        store.commit(both_wrong),
        store.commit(twice),
        store.commit(missing),
        store.commit(mail(4, 500, QUEUED)),
    );
    assert!(a.is_ok() && e.is_ok());
    assert!(matches!(b, Err(Error::Conflict)));
    assert!(matches!(c, Err(Error::Refused(_))) && matches!(d, Err(Error::Refused(_))));
    assert!(store.copy(CopyId([2; 16])).await.unwrap().is_none());
    assert!(world.files().is_empty());
    // An id that is there already must not cost the body that has it.
    store.commit(mail(6, FILE_BYTES + 1, QUEUED)).await.unwrap();
    let again = Commit { copies: vec![NewCopy { body: BodyId([6; 16]), ..copy(7, QUEUED) }], ..mail(6, FILE_BYTES + 1, QUEUED) };
    assert!(matches!(store.commit(again).await, Err(Error::Refused(_))));
    assert_eq!(store.body(BodyId([6; 16])).await.unwrap().unwrap().0.len(), FILE_BYTES + 1);
    let log = store.log(1, 100).await.unwrap();
    assert_eq!(log.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4], "no gap where one was refused");
    store.close().await;
    world.open().close().await;
}

#[tokio::test]
async fn of_several_commits_with_one_id_one_is_kept_whole_and_retries_harm_nothing() {
    let world = World::new();
    let store = world.open();
    for round in 0..30 {
        let other = |n: u8| {
            let mut same_body = mail(n, FILE_BYTES + usize::from(n), QUEUED);
            same_body.bodies[0].id = BodyId([round; 16]);
            same_body.copies[0].body = BodyId([round; 16]);
            same_body.copies[0].id = CopyId(std::array::from_fn(|i| if i == 0 { n } else { round }));
            store.commit(same_body)
        };
        let (a, b, c) = tokio::join!(other(101), other(102), other(103));
        let kept: Vec<u8> = [(101, a), (102, b), (103, c)].into_iter().filter(|(_, r)| r.is_ok()).map(|(n, _)| n).collect();
        assert_eq!(kept.len(), 1, "round {round}");
        assert!(matches!(other(104).await, Err(Error::Refused(_))));
        let body = store.body(BodyId([round; 16])).await.unwrap().unwrap();
        assert_eq!(body.0.len(), FILE_BYTES + usize::from(kept[0]));
        // Refused, and at once again with the same id: the first one's clean-up must not touch the second's file.
        let mut moved = Commit { parcels: vec![parcel(round, FILE_BYTES + 1)], ..Commit::default() };
        moved.settles.push(Settle { copy: CopyId([200; 16]), generation: 9, to: CopyState::Held, at: NOW, reason: None });
        assert!(matches!(store.commit(moved.clone()).await, Err(Error::Conflict)));
        moved.settles.clear();
        store.commit(moved).await.unwrap();
    }
    assert_eq!(world.files().iter().filter(|name| !name.ends_with(".tmp")).count(), 60);
}

#[tokio::test]
async fn many_callers_share_batches_and_all_find_their_mail_after_a_crash() {
    let world = World::new();
    let store = world.open();
    let tasks: Vec<_> = (0..200u8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(mail(n, if n % 10 == 0 { FILE_BYTES + 1 } else { 400 }, QUEUED)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let crashed = world.as_after_a_crash();
    let store = crashed.open();
    assert_eq!(store.depth().await.unwrap().queued, 200);
    for n in 0..200u8 {
        let size = if n % 10 == 0 { FILE_BYTES + 1 } else { 400 };
        assert_eq!(store.body(BodyId([n; 16])).await.unwrap().unwrap().0, vec![n; size]);
    }
    assert_eq!(store.log(1, 1000).await.unwrap().len(), 200);
}

#[tokio::test]
async fn after_a_crash_what_was_in_flight_is_queued_with_its_generation() {
    let world = World::new();
    let store = world.open();
    store.commit(mail(1, 500, CopyState::InFlight)).await.unwrap();
    store.commit(mail(2, 500, QUEUED)).await.unwrap();
    store.commit(mail(3, 500, CopyState::Held)).await.unwrap();
    store.claim(NOW, 10).await.unwrap();
    let crashed = world.as_after_a_crash();
    let store = crashed.open();
    let depth = store.depth().await.unwrap();
    assert_eq!((depth.queued, depth.in_flight, depth.held), (2, 0, 1));
    let claimed = store.claim(Timestamp(1), 10).await.unwrap();
    assert_eq!(claimed.iter().map(|row| row.generation).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn a_start_removes_files_without_a_row_and_sets_aside_rows_without_a_file() {
    let world = World::new();
    let store = world.open();
    for n in [1, 2, 3] {
        store.commit(mail(n, FILE_BYTES + 1, QUEUED)).await.unwrap();
    }
    store.close().await;
    let names = world.files();
    assert_eq!(names.len(), 3);
    let bodies = world.folder.join("bodies");
    std::fs::write(bodies.join("bstray"), b"x").unwrap();
    std::fs::write(bodies.join("b3.tmp"), b"x").unwrap();
    std::fs::remove_file(bodies.join(&names[0])).unwrap();
    std::fs::write(bodies.join(&names[1]), b"cut").unwrap();
    let store = world.open();
    assert_eq!(world.files(), names[2..]);
    assert_eq!(std::fs::read_dir(world.folder.join("set-aside")).unwrap().count(), 1);
    let depth = store.depth().await.unwrap();
    assert_eq!((depth.queued, depth.held), (1, 2));
    let held = store.copy(CopyId([1; 16])).await.unwrap().unwrap();
    assert_eq!(held.last_reason.as_deref(), Some("body-incomplete"));
    assert!(matches!(store.body(BodyId([1; 16])).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn a_parcel_takes_the_copys_place_and_loses_everything_when_closed() {
    let world = World::new();
    let store = world.open();
    for (n, size) in [(1u8, 500), (2, FILE_BYTES + 1)] {
        store.commit(mail(n, size, CopyState::InFlight)).await.unwrap();
        let mut moved = settle(n, 1, CopyState::Escrowed(ParcelId([n; 16])));
        moved.parcels.push(parcel(n, size));
        let mut stale = moved.clone();
        stale.settles[0].generation = 9;
        assert!(matches!(store.commit(stale).await, Err(Error::Conflict)));
        assert!(store.parcel(ParcelId([n; 16])).await.unwrap().is_none());
        store.commit(moved).await.unwrap();
        let row = store.copy(CopyId([n; 16])).await.unwrap().unwrap();
        assert_eq!(row.copy.state, CopyState::Escrowed(ParcelId([n; 16])));
        assert!(row.copy.wrap.0.is_empty());
        assert_eq!(world.files().len(), usize::from(size > FILE_BYTES));
        let (header, body) = store.parcel_content(ParcelId([n; 16])).await.unwrap().unwrap();
        assert_eq!((header, body), (Sealed(vec![n; 50]), Sealed(vec![n; size])));
        let found = store.parcel_by_number([n; 32]).await.unwrap().unwrap();
        assert_eq!((found.id, found.is_closed, found.tries), (ParcelId([n; 16]), false, 0));
        assert!(store.is_live_code([n; 32]).await.unwrap());

        let change = |change| Commit { parcel_changes: vec![change], ..Commit::default() };
        let id = ParcelId([n; 16]);
        store.commit(change(ParcelChange::NoticeFailed(id))).await.unwrap();
        assert!(store.parcel(id).await.unwrap().unwrap().notice_failed);
        store.commit(change(ParcelChange::NoticeSent(id, NOW))).await.unwrap();
        store.commit(change(ParcelChange::Opened(id, NOW.plus_secs(1)))).await.unwrap();
        store.commit(change(ParcelChange::Opened(id, NOW.plus_secs(2)))).await.unwrap();
        let found = store.parcel(id).await.unwrap().unwrap();
        assert_eq!((found.notice_sent_at, found.notice_failed), (Some(NOW), false));
        assert_eq!(found.first_opened_at, Some(NOW.plus_secs(1)), "the first opening stays");
        store.commit(change(ParcelChange::Closed(id, NOW))).await.unwrap();
        let found = store.parcel(id).await.unwrap().unwrap();
        assert!(found.is_closed && found.code.is_none() && found.recovery.0.is_empty() && found.facts.0.is_empty());
        assert!(store.parcel_content(id).await.unwrap().is_none() && !store.is_live_code([n; 32]).await.unwrap());
        assert!(matches!(store.commit(change(ParcelChange::Closed(id, NOW))).await, Err(Error::Refused(_))));
        assert!(world.files().is_empty());
    }
    assert_eq!(store.parcels(true, 10).await.unwrap().len(), 0);
    assert_eq!(store.parcels(false, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_folder_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.open().close().await;
    for (mode, is_fine) in [(0o777, false), (0o770, false), (0o702, false), (0o755, true), (0o700, true)] {
        std::fs::set_permissions(&world.folder, std::fs::Permissions::from_mode(mode)).unwrap();
        let opened = Handle::open(world.settings(), Arc::clone(&world.vault));
        assert_eq!(opened.is_ok(), is_fine, "{mode:o}");
        if let Ok(store) = opened {
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_parcel_is_read_or_sent_and_never_both() {
    let world = World::new();
    let store = world.open();
    let change = |change| Commit { parcel_changes: vec![change], ..Commit::default() };
    let is_conflict = |result| matches!(result, Err(Error::Conflict));
    for n in 1..=7u8 {
        let size = if n % 2 == 0 { FILE_BYTES + 1 } else { 500 };
        store.commit(mail(n, size, CopyState::InFlight)).await.unwrap();
        let mut moved = settle(n, 1, CopyState::Escrowed(ParcelId([n; 16])));
        moved.parcels.push(NewParcel { later_level: (n != 7).then(|| "verified".into()), ..parcel(n, size) });
        store.commit(moved).await.unwrap();
    }
    let id = |n: u8| ParcelId([n; 16]);
    let clinic = Domain::parse("clinic.example").unwrap();
    store.commit(change(ParcelChange::Opened(id(1), NOW))).await.unwrap();
    store.count_try(id(2), NOW.plus_secs(-59)).await.unwrap();
    store.commit(change(ParcelChange::Closed(id(3), NOW))).await.unwrap();
    // Opened, tried a moment ago, closed, without leave to go, and at its end.
    for (n, at) in [(1, NOW), (2, NOW), (3, NOW), (7, NOW), (4, NOW.plus_secs(86_400 * 30))] {
        assert!(is_conflict(store.commit(change(ParcelChange::Sending(id(n), at))).await), "{n}");
    }
    assert_eq!(store.domains_waiting(NOW).await.unwrap(), std::slice::from_ref(&clinic));
    assert!(store.domains_waiting(NOW.plus_secs(86_400 * 30)).await.unwrap().is_empty());
    let waiting = |now| {
        let (store, clinic) = (store.clone(), clinic.clone());
        async move { store.parcels_waiting(&clinic, now, 10).await.unwrap().iter().map(|row| row.id.0[0]).collect::<Vec<_>>() }
    };
    assert_eq!(waiting(NOW).await, [2, 4, 5, 6]);

    // While one is being sent nobody opens, closes or sends it; what it is to stay for is said once.
    for n in [4, 5, 6] {
        store.commit(change(ParcelChange::Sending(id(n), NOW))).await.unwrap();
        for other in [ParcelChange::Sending(id(n), NOW), ParcelChange::Opened(id(n), NOW), ParcelChange::Closed(id(n), NOW)] {
            assert!(is_conflict(store.commit(change(other)).await));
        }
    }
    // A crash in the middle leaves all of them as they were.
    let crashed = world.as_after_a_crash().open();
    for n in [4, 5, 6] {
        crashed.commit(change(ParcelChange::Sending(id(n), NOW))).await.unwrap();
    }
    store.commit(change(ParcelChange::Stays { parcel: id(5), again: true })).await.unwrap();
    store.commit(change(ParcelChange::Stays { parcel: id(6), again: false })).await.unwrap();
    store.commit(change(ParcelChange::Delivered(id(4), NOW))).await.unwrap();
    assert_eq!(waiting(NOW).await, [2, 5]);
    let sent = store.parcel(id(4)).await.unwrap().unwrap();
    assert!(sent.is_closed && sent.delivered_at == Some(NOW) && sent.recovery.0.is_empty() && sent.facts.0.is_empty());
    assert!(store.parcel_content(id(4)).await.unwrap().is_none() && !store.is_live_code([4; 32]).await.unwrap());
    assert_eq!(world.files().len(), 2, "the sent parcel's file is gone: {:?}", world.files());
    store.commit(change(ParcelChange::Opened(id(6), NOW))).await.unwrap();
}

#[tokio::test]
async fn what_domains_showed_is_kept_and_their_alarm_rings_once_a_day() {
    let world = World::new();
    let store = world.open();
    let (domain, other) = (Domain::parse("a.example").unwrap(), Domain::parse("b.example").unwrap());
    for n in 0..3u8 {
        let at = NOW.plus_secs(i64::from(n));
        store.note_check(&domain, at, Sealed(vec![n]), NOW.plus_secs(1)).await.unwrap();
    }
    let checks = store.checks(&domain, Timestamp(0)).await.unwrap();
    assert_eq!(checks, [(NOW.plus_secs(1), Sealed(vec![1])), (NOW.plus_secs(2), Sealed(vec![2]))]);
    assert!(store.checks(&other, Timestamp(0)).await.unwrap().is_empty());

    assert!(!store.note_alarm(&domain, NOW, 1000).await.unwrap(), "nothing was expected of it");
    store.note_standing(&domain, "verified", NOW).await.unwrap();
    for (ms, rings) in [(0, true), (0, false), (999, false), (1000, true), (1001, false), (-5000, true)] {
        assert_eq!(store.note_alarm(&domain, NOW.plus_ms(ms), 1000).await.unwrap(), rings, "{ms}");
    }
    assert_eq!(store.standing(&domain).await.unwrap(), Some(("verified".to_owned(), NOW)));
}

/// A store of the first version keeps what it has, and its parcels stay where they are.
#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date() {
    let world = World::new();
    std::fs::create_dir(&world.folder).unwrap();
    let old = rusqlite::Connection::open(world.folder.join("wardpost.db")).unwrap();
    old.execute_batch(include_str!("migrations/0001_start.sql")).unwrap();
    old.execute("INSERT INTO meta (name, value) VALUES ('key-check', ?1)", [&world.vault.check_value()[..]]).unwrap();
    old.execute("INSERT INTO starttls (domain, seen_at) VALUES ('a.example', 77)", []).unwrap();
    let parcel = "INSERT INTO parcels (id, number_hash, copy_id, message, recipient, message_id, domain, reason, created_at, \
                  expires_at, is_closed, notice_failed, size_bytes, tries) \
                  VALUES (?1, ?1, ?1, ?2, 'r', 'm', 'a.example', 'timeout', 1, 9, 0, 0, 1, 0)";
    old.execute(parcel, rusqlite::params![[1u8; 16], [1u8; 10]]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    for _ in 0..2 {
        let store = world.open();
        let standing = store.standing(&Domain::parse("a.example").unwrap()).await.unwrap();
        assert_eq!(standing, Some(("starttls".to_owned(), Timestamp(77))));
        assert_eq!(store.parcel(ParcelId([1; 16])).await.unwrap().unwrap().later_level, None);
        assert!(store.domains_waiting(Timestamp(0)).await.unwrap().is_empty());
        store.close().await;
    }
}

#[tokio::test]
async fn what_has_run_out_is_found_behind_any_number_of_newer_rows() {
    let world = World::new();
    let store = world.open();
    for n in 1..=9 {
        let mut commit = mail(n, 10, if n == 1 { CopyState::Held } else { QUEUED });
        commit.copies[0].received_at = NOW.plus_secs(i64::from(n));
        store.commit(commit).await.unwrap();
    }
    let held = store.held_since(NOW.plus_secs(1), 3).await.unwrap();
    assert_eq!(held.iter().map(|row| row.copy.received_at).collect::<Vec<_>>(), [NOW.plus_secs(1)]);
    assert!(store.held_since(NOW, 3).await.unwrap().is_empty());

    let ends = |n: u8| NOW.plus_secs(100 * i64::from(n));
    for n in 1..=4 {
        let mut new = parcel(n, 10);
        (new.created_at, new.expires_at) = (NOW.plus_secs(i64::from(n)), ends(n));
        store.commit(Commit { parcels: vec![new], ..Commit::default() }).await.unwrap();
    }
    let opened = ParcelChange::Opened(ParcelId([2; 16]), NOW.plus_secs(50));
    store.commit(Commit { parcel_changes: vec![opened], ..Commit::default() }).await.unwrap();
    let ended = async |expired, opened, max| {
        let rows = store.parcels_ended(expired, opened, max).await.unwrap();
        rows.iter().map(|row| row.id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(ended(ends(3), NOW, 2).await, [1, 3], "the opened one stays, the newest waits");
    assert_eq!(ended(ends(3), NOW.plus_secs(50), 2).await, [1, 2]);
    assert_eq!(ended(NOW, NOW, 9).await, [0u8; 0]);
}

#[tokio::test]
async fn ten_tries_void_a_code_and_only_a_new_code_resets_them() {
    let world = World::new();
    let store = world.open();
    let id = ParcelId([1; 16]);
    assert_eq!(store.count_try(id, NOW).await.unwrap(), None, "unknown parcel");
    store.commit(Commit { parcels: vec![parcel(1, 10)], ..Commit::default() }).await.unwrap();
    // All at once: the count is one conditional update, so no two tries get the same number.
    let tasks: Vec<_> = (0..15)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.count_try(id, NOW).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.extend(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=10).collect::<Vec<u32>>());
    let crashed = world.as_after_a_crash();
    let again = crashed.open();
    assert_eq!(again.count_try(id, NOW).await.unwrap(), None, "a restart gives no tries back");
    again.commit(Commit { parcel_changes: vec![ParcelChange::Code(id, code(2))], ..Commit::default() }).await.unwrap();
    assert_eq!(again.count_try(id, NOW).await.unwrap(), Some(1));
    assert!(again.is_live_code([2; 32]).await.unwrap() && !again.is_live_code([1; 32]).await.unwrap());
    assert_eq!(again.count_try(id, NOW).await.unwrap(), Some(2));
    for many in [0, 1000] {
        let mut hashes: Vec<[u8; 32]> = (0..many).map(|n: u16| [n.to_be_bytes()[1] | 0x80; 32]).collect();
        assert!(!again.is_any_live_code(hashes.clone()).await.unwrap());
        hashes.push([2; 32]);
        assert!(again.is_any_live_code(hashes).await.unwrap());
    }
    again.give_back_try(id).await.unwrap();
    assert_eq!(again.count_try(id, NOW).await.unwrap(), Some(2), "one was right, the wrong one before it stays");
    assert_eq!(again.void_codes().await.unwrap(), 1);
    assert_eq!(again.count_try(id, NOW).await.unwrap(), None);
}

#[tokio::test]
async fn urgent_copies_are_claimed_first_and_a_clock_set_back_delays_nothing() {
    let world = World::new();
    let store = world.open();
    store.commit(mail(1, 10, QUEUED)).await.unwrap();
    let mut urgent = mail(2, 10, QUEUED);
    urgent.copies[0].class = Class::Urgent;
    store.commit(urgent).await.unwrap();
    let first = store.claim(NOW, 1).await.unwrap();
    assert_eq!(first[0].copy.id, CopyId([2; 16]));
    store.commit(settle(2, 1, CopyState::Queued { next_at: NOW.plus_secs(60) })).await.unwrap();
    let ten_days = 10 * 86_400;
    assert_eq!(store.claim(NOW.plus_secs(-ten_days), 9).await.unwrap().len(), 1, "was due already");
    assert_eq!(store.next_due(Lane::First).await.unwrap(), Some(NOW.plus_secs(60 - ten_days)), "still in a minute");
}

#[tokio::test]
async fn users_policies_and_sightings_are_kept() {
    let world = World::new();
    let store = world.open();
    let user = |name: &str, is_first| UserRow {
        name: name.into(),
        verifier: "$argon2id$".into(),
        may_send_as: vec!["a@b.example".into(), "@b.example".into()],
        bound_address: Some("a@b.example".into()),
        is_first,
        created_at: NOW,
        last_used_at: None,
        last_peer: None,
    };
    store.put_user(user("first", true)).await.unwrap();
    store.put_user(user("scanner", false)).await.unwrap();
    assert!(store.user("first").await.unwrap().is_none(), "the first credential dies with the first user");
    store.note_use("scanner", NOW, "192.0.2.1".into()).await.unwrap();
    let found = store.user("scanner").await.unwrap().unwrap();
    assert_eq!((found.may_send_as.len(), found.last_used_at, found.last_peer.as_deref()), (2, Some(NOW), Some("192.0.2.1")));
    assert!(matches!(store.put_user(user("", false)).await, Err(Error::Refused(_))));
    assert!(store.remove_user("scanner").await.unwrap() && !store.remove_user("scanner").await.unwrap());
    assert!(store.users().await.unwrap().is_empty());

    let domain = Domain::parse("B.example").unwrap();
    assert!(store.sts(&domain).await.unwrap().is_none() && store.starttls_seen(&domain).await.unwrap().is_none());
    for n in [1, 2] {
        store.put_sts(&domain, Sealed(vec![n])).await.unwrap();
        store.note_starttls(&domain, NOW.plus_secs(i64::from(n))).await.unwrap();
    }
    assert_eq!(store.sts(&domain).await.unwrap(), Some(Sealed(vec![2])));
    assert_eq!(store.starttls_seen(&domain).await.unwrap(), Some(NOW.plus_secs(2)));
}

#[tokio::test]
async fn a_second_start_is_told_who_holds_the_folder() {
    let world = World::new();
    let store = world.open();
    let second = Handle::open_within(&world.settings(), Arc::clone(&world.vault), std::time::Duration::ZERO);
    let Err(Error::Refused(text)) = second else { panic!("opened twice") };
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    store.close().await;
    assert!(matches!(store.append(vec![]).await, Err(Error::Closed)));
    world.open().close().await;
}

#[tokio::test]
async fn the_wrong_keys_a_later_version_and_a_shortened_log_are_refused_at_the_start() {
    let world = World::new();
    let store = world.open();
    store.append(vec![Record::of(Event::Started, NOW), Record::of(Event::Started, NOW)]).await.unwrap();
    let head = store.sign_head(NOW).await.unwrap();
    assert_eq!(store.heads().await.unwrap(), [head]);
    store.close().await;
    let refusal = |vault: Arc<Vault>| match Handle::open(world.settings(), vault) {
        Err(Error::Refused(text)) => text,
        _ => panic!("opened"),
    };
    assert!(refusal(Arc::new(Vault::ephemeral())).contains("not the keys of this store"));
    let tamper = |sql: &str| {
        let db = rusqlite::Connection::open(world.folder.join(sqlite::FILE)).unwrap();
        db.execute_batch(sql).unwrap();
    };
    tamper("UPDATE log SET chained = replace(chained, 'started', 'decided') WHERE seq = 2");
    assert!(refusal(Arc::clone(&world.vault)).contains("does not match its hash"));
    tamper("UPDATE log SET chained = replace(chained, 'decided', 'started') WHERE seq = 2");
    world.open().close().await;
    tamper("CREATE TABLE kept AS SELECT * FROM log WHERE seq = 2; DELETE FROM log WHERE seq = 2");
    assert!(refusal(Arc::clone(&world.vault)).contains("shorter than its last signed head"));
    tamper("INSERT INTO log SELECT * FROM kept; UPDATE log SET seq = 5 WHERE seq = 1");
    assert!(refusal(Arc::clone(&world.vault)).contains("entries are missing"));
    tamper("UPDATE log SET seq = 1 WHERE seq = 5; PRAGMA user_version = 99");
    assert!(refusal(Arc::clone(&world.vault)).contains("later version"));
    tamper(&format!("PRAGMA user_version = {}", sqlite::SCHEMA));
    world.open().close().await;
}

#[tokio::test]
async fn a_store_of_the_third_version_is_brought_up_with_its_mail() {
    let world = World::new();
    let store = world.open();
    store.commit(mail(1, 10, QUEUED)).await.unwrap();
    store.close().await;
    // As the third version wrote it.
    rusqlite::Connection::open(world.folder.join(sqlite::FILE))
        .unwrap()
        .execute_batch(
            "DROP TABLE contacts; DROP TABLE tokens; DROP TABLE tls_sessions; ALTER TABLE copies DROP COLUMN delay_told; \
             DROP TABLE damaged; ALTER TABLE copies DROP COLUMN uncertain_host; PRAGMA user_version = 3",
        )
        .unwrap();
    for _ in 0..2 {
        let store = world.open();
        let row = store.copy(CopyId([1; 16])).await.unwrap().unwrap();
        assert!(!row.delay_told);
        assert_eq!(store.tls_sessions(i64::MAX, 10).await.unwrap(), []);
        store.close().await;
    }
}

#[tokio::test]
async fn tls_sessions_add_up_and_only_what_was_reported_goes() {
    let world = World::new();
    let store = world.open();
    let sessions = |day, domain: &str, result: &str| TlsSessions {
        day,
        domain: Domain::parse(domain).unwrap(),
        policy: "{}".into(),
        result: result.into(),
        host: String::new(),
        sending_ip: String::new(),
        receiving_ip: String::new(),
        reason: String::new(),
    };
    let count = |tls_sessions: Vec<(TlsSessions, i64)>| store.commit(Commit { tls_sessions, ..Commit::default() });
    let (good, bad) = (sessions(7, "a.example", ""), sessions(7, "a.example", "certificate-expired"));
    let next_day = sessions(8, "a.example", "");
    count(vec![(good.clone(), 3), (bad.clone(), 1), (next_day.clone(), 5)]).await.unwrap();
    count(vec![(good.clone(), 2)]).await.unwrap();
    let through = |day| store.tls_sessions(day, 100);
    assert_eq!(through(6).await.unwrap(), []);
    assert_eq!(through(7).await.unwrap(), [(good.clone(), 5), (bad.clone(), 1)]);
    // One more came while the report was on its way: it is not lost.
    count(vec![(good.clone(), 1)]).await.unwrap();
    count(vec![(good.clone(), -5), (bad.clone(), -1)]).await.unwrap();
    store.close().await;
    let store = world.open();
    assert_eq!(store.tls_sessions(8, 100).await.unwrap(), [(good, 1), (next_day, 5)]);
}

#[tokio::test]
async fn the_write_ahead_log_stays_bounded_while_mail_keeps_coming() {
    let world = World::new();
    let store = world.open();
    let mut written = 0;
    for round in 0..40u8 {
        let tasks: Vec<_> = (0..50u8)
            .map(|n| {
                let (store, mut mail) = (store.clone(), mail(n, 900, QUEUED));
                let id = |tag: u8| std::array::from_fn(|i| [tag, round, n][i % 3]);
                (mail.bodies[0].id, mail.copies[0].body) = (BodyId(id(1)), BodyId(id(1)));
                mail.copies[0].id = CopyId(id(2));
                tokio::spawn(async move { store.commit(mail).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
            written += 1;
        }
    }
    assert_eq!(store.depth().await.unwrap().queued, written);
    let size = |name: &str| std::fs::metadata(world.folder.join(name)).unwrap().len();
    let (log, database) = (size("wardpost.db-wal"), size("wardpost.db"));
    assert!(database > 2 * 1024 * 1024, "pages move into the database: {database}");
    assert!(log < 12 * 1024 * 1024, "{log}");
}

#[tokio::test]
async fn too_little_space_refuses_new_mail_and_lets_outcomes_through() {
    let world = World::new();
    let store = world.open();
    store.commit(mail(1, 500, CopyState::InFlight)).await.unwrap();
    store.keep_free(u64::MAX);
    assert!(!store.takes_mail());
    for size in [500, FILE_BYTES + 1] {
        assert!(matches!(store.commit(mail(2, size, QUEUED)).await, Err(Error::Full)));
    }
    store.commit(settle(1, 1, CopyState::Delivered)).await.unwrap();
    store.keep_free(0);
    assert!(store.takes_mail());
    store.commit(mail(2, FILE_BYTES + 1, QUEUED)).await.unwrap();
    assert_eq!(world.files().len(), 1);
}

/// Fails the n-th step on the disk, for every n until none fails. Whatever was answered with success is there after
/// a restart, whole; whatever failed is there whole or not at all; and a failed store takes nothing more.
#[tokio::test]
async fn a_fault_at_any_step_loses_nothing_that_was_answered() {
    let mut faults = 0;
    for nth in 1.. {
        let world = World::new();
        let lock = std::fs::File::create(world.as_empty().join("test-lock")).unwrap();
        let bodies = Bodies::open(&world.folder).unwrap();
        std::fs::File::create(world.folder.join(sqlite::FILE)).unwrap();
        let free = Arc::new(AtomicU64::new(0));
        let vault = Arc::clone(&world.vault);
        let store = SqliteStore::open(&world.folder, bodies.clone(), vault, FILE_BYTES, Arc::clone(&free)).unwrap();
        let steps = bodies.faults.clone();
        let handle = Handle::start(Box::new(store), Vec::new(), bodies, FILE_BYTES, free, lock).unwrap();
        steps.left.store(nth, Ordering::SeqCst);
        let mut kept = Vec::new();
        let mut failed = false;
        for n in 1..=6u8 {
            let size = if n % 2 == 0 { FILE_BYTES + 1 } else { 300 };
            match handle.commit(mail(n, size, QUEUED)).await {
                Ok(()) => {
                    assert!(!failed, "fault {nth}: a failed store took mail");
                    kept.push(n);
                }
                Err(Error::Closed) => failed = true,
                Err(other) => panic!("fault {nth}: {other}"),
            }
        }
        if failed {
            handle.failed().await;
        }
        let crashed = world.as_after_a_crash();
        let again = crashed.open();
        for n in 1..=6u8 {
            let size = if n % 2 == 0 { FILE_BYTES + 1 } else { 300 };
            let row = again.copy(CopyId([n; 16])).await.unwrap();
            assert_eq!(row.is_some(), kept.contains(&n), "fault {nth}, mail {n}");
            if row.is_some() {
                assert_eq!(again.body(BodyId([n; 16])).await.unwrap().unwrap().0, vec![n; size]);
            }
        }
        assert_eq!(again.log(1, 100).await.unwrap().len(), kept.len(), "fault {nth}");
        let files = kept.iter().filter(|n| *n % 2 == 0).count();
        assert_eq!(crashed.files().len(), files, "fault {nth}: nothing stray");
        if !failed {
            break;
        }
        faults += 1;
    }
    assert!(faults > 20, "only {faults} steps could fail");
}

impl World {
    pub(super) fn as_empty(&self) -> &Path {
        std::fs::create_dir(&self.folder).unwrap();
        &self.folder
    }
}

/// A row that does not read stops neither its neighbours nor the start, and nothing of it is thrown away.
#[tokio::test]
async fn damaged_rows_go_aside_and_are_told_of() {
    let world = World::new();
    let store = world.open();
    for n in 1..=6 {
        let state = if n > 4 { CopyState::Held } else { QUEUED };
        store.commit(mail(n, FILE_BYTES + 1, state)).await.unwrap();
    }
    for n in 1..=2 {
        store.commit(Commit { parcels: vec![parcel(n, 10)], ..Commit::default() }).await.unwrap();
    }
    for name in ["ann", "bob"] {
        let user = UserRow {
            name: name.into(),
            verifier: "$argon2id$".into(),
            may_send_as: vec![],
            bound_address: None,
            is_first: false,
            created_at: NOW,
            last_used_at: None,
            last_peer: None,
        };
        store.put_user(user).await.unwrap();
    }
    store.close().await;
    let db = rusqlite::Connection::open(world.folder.join(sqlite::FILE)).unwrap();
    for (column, value, n) in [("class", "'x'", 1), ("domain", "'-bad..'", 2), ("size_bytes", "-5", 5)] {
        db.execute(&format!("UPDATE copies SET {column} = {value} WHERE id = ?1"), [[n as u8; 16]]).unwrap();
    }
    db.execute("UPDATE copies SET state = 'queue' WHERE id = ?1", [[3u8; 16]]).unwrap();
    db.execute("UPDATE parcels SET domain = '' WHERE id = ?1", [[1u8; 16]]).unwrap();
    db.execute("UPDATE users SET created_at = 'never' WHERE name = 'ann'", []).unwrap();
    db.execute("UPDATE bodies SET size_bytes = 'large' WHERE id = ?1", [[6u8; 16]]).unwrap();
    drop(db);
    for _ in 0..2 {
        let store = world.open();
        let due = store.claim(NOW, 10).await.unwrap();
        assert_eq!(due.iter().map(|row| row.copy.id.0[0]).collect::<Vec<_>>(), [4], "the others are still served");
        let listed = store.copies(true, 10).await.unwrap();
        assert_eq!(listed.iter().map(|row| row.copy.id.0[0]).collect::<Vec<_>>(), [6, 4]);
        assert_eq!(listed[0].last_reason.as_deref(), Some("body-incomplete"));
        assert_eq!(store.parcels(true, 10).await.unwrap().len(), 1);
        assert_eq!(store.users().await.unwrap().len(), 1);
        store.next_due(Lane::First).await.unwrap();
        // What the listings found is set aside behind them, and before this.
        store.append(vec![]).await.unwrap();
        let mut aside: Vec<_> = store.damaged().await.unwrap().into_iter().map(|row| (row.kind, row.id[0])).collect();
        aside.sort_unstable();
        assert_eq!(aside, [("copy", 1), ("copy", 2), ("copy", 3), ("copy", 5), ("parcel", 1), ("user", b'a')]);
        assert_eq!(store.depth().await.unwrap().damaged, 6);
        // Their bodies stay, for whoever repairs the row.
        assert_eq!(world.files().len(), 5, "all but the one that was incomplete");
        store.commit(settle(4, due[0].generation, QUEUED)).await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_run_is_claimed_apart_and_an_uncertain_host_outlives_the_restart() {
    let world = World::new();
    let store = world.open();
    let mut bulk = mail(1, 10, QUEUED);
    bulk.copies[0].class = Class::Bulk;
    store.commit(bulk).await.unwrap();
    assert!(store.claim(NOW, 10).await.unwrap().is_empty());
    assert_eq!(store.next_due(Lane::First).await.unwrap(), None);
    assert_eq!(store.next_due(Lane::Bulk).await.unwrap(), Some(NOW));
    let claimed = store.claim_of(Lane::Bulk, NOW, 10).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].copy.class, claimed[0].uncertain_host.clone()), (1, Class::Bulk, None));
    let host = Domain::parse("mx.clinic.example").unwrap();
    let mut again = settle(1, 1, QUEUED);
    again.uncertain.push((CopyId([1; 16]), host.clone()));
    store.commit(again).await.unwrap();
    let crashed = world.as_after_a_crash();
    let store = crashed.open();
    assert_eq!(store.claim_of(Lane::Bulk, NOW, 10).await.unwrap()[0].uncertain_host, Some(host));
}

#[tokio::test]
async fn a_restored_store_sends_no_parcel_again() {
    let world = World::new();
    let store = world.open();
    store.commit(Commit { parcels: vec![parcel(1, 10)], ..Commit::default() }).await.unwrap();
    assert_eq!(store.domains_waiting(NOW).await.unwrap().len(), 1);
    assert_eq!(store.void_codes().await.unwrap(), 1);
    assert!(store.domains_waiting(NOW).await.unwrap().is_empty(), "it may have been sent since the backup");
    assert_eq!(store.parcel(ParcelId([1; 16])).await.unwrap().unwrap().later_level, None);
}
