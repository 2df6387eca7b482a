use super::super::tests::{Book, user_row};
use super::*;

fn credentials(name: &str, password: &str) -> Credentials {
    Credentials { name: name.into(), password: zeroize::Zeroizing::new(password.as_bytes().to_vec()) }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn login(guard: &Guard<Arc<Book>>, name: &str, password: &str, peer: &str) -> Login {
    guard.check(credentials(name, password), address(peer)).await
}

fn guard() -> (Guard<Arc<Book>>, Arc<Book>) {
    let book = Arc::new(Book::default());
    book.put(user_row("ann", "right"));
    book.put(user_row("bob", "other"));
    (Guard::new(Arc::clone(&book)), book)
}

#[tokio::test]
async fn known_and_unknown_accounts_cost_the_same_work() {
    let (guard, book) = guard();
    let mut work = Vec::new();
    for (name, password) in [("ann", "wrong"), ("nobody", "wrong"), ("nobody", "right")] {
        let before = book.checks();
        assert_eq!(login(&guard, name, password, "192.0.2.1").await, Login::Wrong);
        work.push(book.checks() - before);
    }
    assert_eq!(work, [1, 1, 1]);
}

#[tokio::test]
async fn a_right_password_is_remembered_until_it_is_changed_or_revoked() {
    let (guard, book) = guard();
    for _ in 0..5 {
        assert!(matches!(login(&guard, "ann", "right", "192.0.2.1").await, Login::Welcome(_)));
    }
    assert_eq!(book.checks(), 1);
    assert_eq!(login(&guard, "bob", "right", "192.0.2.1").await, Login::Wrong, "remembered for ann only");
    book.put(user_row("ann", "new"));
    assert_eq!(login(&guard, "ann", "right", "192.0.2.1").await, Login::Wrong);
    assert!(matches!(login(&guard, "ann", "new", "192.0.2.1").await, Login::Welcome(_)));
    book.remove("ann");
    assert_eq!(login(&guard, "ann", "new", "192.0.2.1").await, Login::Wrong);
}

#[tokio::test]
async fn ten_failures_in_a_row_brake_one_account_from_one_address_only() {
    let (guard, book) = guard();
    for at in 0..10 {
        assert_eq!(login(&guard, "ann", &format!("guess {at}"), "192.0.2.1").await, Login::Wrong);
    }
    let checks = book.checks();
    assert_eq!(login(&guard, "ann", "guess", "192.0.2.1").await, Login::Braked);
    assert_eq!(login(&guard, "ann", "right", "192.0.2.1").await, Login::Braked, "a braked guess is not looked at");
    assert_eq!(book.checks(), checks);
    assert!(matches!(login(&guard, "ann", "right", "192.0.2.2").await, Login::Welcome(_)), "the owner elsewhere");
    assert!(matches!(login(&guard, "bob", "other", "192.0.2.1").await, Login::Welcome(_)), "the neighbour");
    assert_eq!(login(&guard, "ann", "right", "192.0.2.1").await, Login::Braked, "remembering opens no way round");
}

#[tokio::test]
async fn a_success_ends_the_streak() {
    let (guard, _) = guard();
    for at in 0..9 {
        login(&guard, "ann", &format!("guess {at}"), "192.0.2.1").await;
    }
    assert!(matches!(login(&guard, "ann", "right", "192.0.2.1").await, Login::Welcome(_)));
    for at in 0..9 {
        assert_eq!(login(&guard, "ann", &format!("guess {at}"), "192.0.2.1").await, Login::Wrong);
    }
}

#[tokio::test]
async fn one_address_has_twenty_tries_a_minute_over_all_accounts() {
    let (guard, book) = guard();
    let mut wrong = 0;
    for at in 0..40 {
        match login(&guard, &format!("user {at}"), "guess", "2001:db8::1").await {
            Login::Wrong => wrong += 1,
            other => assert_eq!(other, Login::Braked),
        }
    }
    assert_eq!((wrong, book.checks()), (20, 20));
    assert_eq!(login(&guard, "x", "guess", "2001:db8::ffff:1").await, Login::Braked, "the same /64");
    assert_eq!(login(&guard, "x", "guess", "2001:db8:0:1::1").await, Login::Wrong);
}

#[tokio::test]
async fn many_sessions_with_one_credential_cost_one_check_and_guesses_at_once_count_each() {
    let (guard, book) = guard();
    let guard = Arc::new(guard);
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let guard = Arc::clone(&guard);
        sessions.spawn(async move { login(&guard, "ann", "right", "192.0.2.1").await });
    }
    while let Some(done) = sessions.join_next().await {
        assert!(matches!(done.unwrap(), Login::Welcome(_)));
    }
    assert_eq!(book.checks(), 1);
    for at in 0..30 {
        let guard = Arc::clone(&guard);
        sessions.spawn(async move { login(&guard, "bob", &format!("guess {at}"), "192.0.2.1").await });
    }
    let mut wrong = 0;
    while let Some(done) = sessions.join_next().await {
        wrong += usize::from(done.unwrap() == Login::Wrong);
    }
    assert_eq!((wrong, book.checks()), (10, 11));
    assert!(lock(&guard.flights).is_empty());
}

#[tokio::test]
async fn the_queue_for_slots_is_bounded() {
    let (guard, book) = guard();
    let places: Vec<_> = std::iter::from_fn(|| Place::take(&guard.waiting)).collect();
    assert_eq!(places.len(), SLOTS + WAITING_MAX);
    assert_eq!(login(&guard, "ann", "right", "192.0.2.1").await, Login::Busy);
    drop(places);
    assert!(matches!(login(&guard, "ann", "right", "192.0.2.1").await, Login::Welcome(_)));
    book.fail(true);
    assert_eq!(login(&guard, "ann", "right", "192.0.2.1").await, Login::Busy);
}

#[tokio::test]
async fn the_first_credential_works_on_the_machine_itself_only() {
    let (guard, book) = guard();
    book.put(UserRow { is_first: true, ..user_row("first", "right") });
    assert!(matches!(login(&guard, "first", "right", "127.0.0.1").await, Login::Welcome(_)));
    assert!(matches!(login(&guard, "first", "right", "::1").await, Login::Welcome(_)));
    assert_eq!(login(&guard, "first", "right", "192.0.2.1").await, Login::Wrong);
    assert_eq!(login(&guard, "first", "right", "::ffff:192.0.2.1").await, Login::Wrong);
}

#[test]
fn brakes_and_memories_end() {
    let (mut ledger, start, source) = (Ledger::default(), Instant::now(), address("192.0.2.1"));
    for _ in 0..10 {
        assert!(ledger.take_try([1; 32], source, start));
    }
    assert!(!ledger.take_try([1; 32], source, start + BRAKE - Duration::from_secs(1)));
    assert!(ledger.take_try([1; 32], source, start + BRAKE));
    assert!(ledger.take_try([1; 32], source, start + BRAKE), "the streak began anew");
    ledger.remember([3; 32], start);
    assert!(ledger.is_remembered(&[3; 32], start + MEMORY - Duration::from_secs(1)));
    assert!(!ledger.is_remembered(&[3; 32], start + MEMORY));
}

#[test]
fn the_tables_are_bounded() {
    let (mut ledger, start) = (Ledger::default(), Instant::now());
    for at in 0..(ENTRIES_MAX as u32 + 10) {
        let mut tag = [0; 32];
        tag[..4].copy_from_slice(&at.to_be_bytes());
        assert!(ledger.take_try(tag, IpAddr::V4(at.into()), start));
        ledger.remember(tag, start);
    }
    assert!(ledger.streaks.len() <= ENTRIES_MAX && ledger.tries.len() <= ENTRIES_MAX && ledger.right.len() <= ENTRIES_MAX);
}
