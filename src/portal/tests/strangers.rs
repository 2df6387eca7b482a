//! What somebody without the code can learn or do.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;

use super::world::{Browser, Made, World, wrong};
use crate::audit::Event;
use crate::escrow::{Code, Number};
use crate::mail::ParcelId;
use crate::portal::Incident;
use crate::store::{Commit, ParcelChange};

const MESSAGE: &[u8] =
    b"From: Dr. Gruen <gruen@practice.example>\r\nTo: pat@patient.example\r\nSubject: Your biopsy\r\n\r\nAll is well.\r\n";

async fn made(world: &World) -> Made {
    world.parcel(MESSAGE).await
}

/// What a page shows, without what differs in every page.
fn seen(text: &str, name: &str) -> String {
    text.replace(name, "NAME")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_number_looks_and_costs_like_a_known_one_until_both_are_locked() {
    let world = World::new().await;
    let known = made(&world).await;
    let unknown = Number::from_random(world.vault.random());
    let mut pages = Vec::new();
    let mut derivations = Vec::new();
    for number in [known.number, unknown] {
        let mut browser = Browser { world: &world, cookies: [("__Host-wardpost-form".to_owned(), "ab".repeat(16))].into() };
        let before = world.portal.0.derivations.done.load(Ordering::SeqCst);
        let mut seen_here = Vec::new();
        for _ in 0..11 {
            // Longer than any pause between tries.
            world.pass_secs(400);
            let answer = browser.try_code(&number.to_string(), &wrong(&known.code)).await;
            assert!(!answer.text().contains("biopsy"));
            seen_here.push((answer.status, seen(&answer.text(), &number.to_string())));
        }
        derivations.push(world.portal.0.derivations.done.load(Ordering::SeqCst) - before);
        pages.push(seen_here);
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!(derivations, [10, 10]);
    for (index, (status, page)) in pages[0].iter().enumerate() {
        assert_eq!(*status, StatusCode::FORBIDDEN);
        let expected = match index {
            0..=7 => format!("{} tries left", 9 - index),
            8 => "1 try left".to_owned(),
            _ => "For your safety this message is locked".to_owned(),
        };
        assert!(page.contains(&expected), "try {index}: {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_wrong_codes_void_even_the_right_one_and_are_written_down() {
    let mut world = World::new().await;
    let made = made(&world).await;
    {
        let mut browser = world.browser();
        for _ in 0..10 {
            world.pass_secs(400);
            browser.try_code(&made.number.to_string(), &wrong(&made.code)).await;
        }
        world.pass_secs(86_400);
        let answer = browser.try_code(&made.number.to_string(), &made.code.to_string()).await;
        assert!(answer.text().contains("locked"));
    }
    let void = Commit { parcel_changes: vec![ParcelChange::CodeVoid(made.id)], ..Commit::default() };
    world.store.commit(void).await.unwrap();
    let number = made.number.to_string();
    let answer = world.browser().try_code(&number, &wrong(&made.code)).await;
    assert!(answer.text().contains("locked"), "an unknown number stays locked, so a known one must");
    let events = world.events().await;
    assert_eq!(events.iter().filter(|event| **event == Event::TryFailed).count(), 10);
    assert_eq!(events.last(), Some(&Event::CodeVoided));
    assert!(!events.contains(&Event::Opened));
    assert_eq!(world.incidents.try_recv(), Ok(Incident::CodeVoided(made.id)));
    assert!(world.incidents.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_three_wrong_codes_there_is_a_pause_that_costs_no_try() {
    let world = World::new().await;
    let made = made(&world).await;
    let mut browser = world.browser();
    for _ in 0..3 {
        browser.try_code(&made.number.to_string(), &wrong(&made.code)).await;
    }
    let answer = browser.try_code(&made.number.to_string(), &made.code.to_string()).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(world.row(made.id).await.tries, 3);
    world.pass_secs(6);
    assert!(browser.open(&made).await.text().contains("Your biopsy"));
    assert_eq!(world.row(made.id).await.tries, 3, "a right code gives back its own try and no other");
    assert!(browser.open(&made).await.text().contains("Your biopsy"), "and makes nobody wait who has the code");
    assert_eq!(world.row(made.id).await.tries, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_the_same_page_whether_its_message_exists_or_not() {
    let world = World::new().await;
    let made = made(&world).await;
    let unknown = ParcelId(world.vault.random());
    let mut browser = world.browser();
    browser.get("/").await;
    let mut pages = Vec::new();
    for id in [made.id, unknown] {
        let page = browser.get(&format!("/m/{id}")).await;
        assert_eq!(page.status, StatusCode::OK);
        let tried =
            browser.post("/open", &[("token", &page.token()), ("parcel", &id.to_string()), ("code", &wrong(&made.code))]).await;
        pages.push((seen(&page.text(), &id.to_string()), tried.status, seen(&tried.text(), &id.to_string())));
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!(browser.get("/m/not-a-locator").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_changes_nothing() {
    let world = World::new().await;
    let made = made(&world).await;
    let before = format!("{:?}", world.row(made.id).await);
    let events = world.events().await;
    let mut browser = world.browser();
    for path in ["/", &format!("/m/{}", made.id), "/message", "/closed", "/open", "/leave", "/not-for-me", "/message/0/whole"] {
        for method in ["GET", "HEAD"] {
            browser.send(method, path, &[], "").await;
        }
    }
    assert_eq!(format!("{:?}", world.row(made.id).await), before);
    assert_eq!(world.events().await, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_from_elsewhere_tries_nothing() {
    let world = World::new().await;
    let made = made(&world).await;
    let mut browser = world.browser();
    let token = browser.get("/").await.token();
    let form = |token: &str| format!("token={token}&number={}&code={}", made.number, made.code.digits());
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let own = ("origin", super::world::ORIGIN);
    let cases = [
        ("no origin", vec![kind], form(&token)),
        ("foreign origin", vec![kind, ("origin", "https://evil.example")], form(&token)),
        ("foreign site", vec![kind, ("origin", "null"), ("sec-fetch-site", "cross-site")], form(&token)),
        ("no token", vec![kind, own], format!("number={}&code={}", made.number, made.code.digits())),
        ("empty token", vec![kind, own], form("")),
        ("wrong token", vec![kind, own], form(&"0".repeat(64))),
        ("another kind", vec![("content-type", "text/plain"), own], form(&token)),
    ];
    for (name, headers, body) in &cases {
        let answer = browser.send("POST", "/open", headers, body).await;
        assert!(matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST), "{name}: {}", answer.status);
    }
    let mut other = world.browser();
    other.get("/").await;
    let answer =
        other.post("/open", &[("token", &token), ("number", &made.number.to_string()), ("code", made.code.digits())]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "a token of another browser");
    assert_eq!(world.row(made.id).await.tries, 0);
    let answer = browser.send("POST", "/open", &[kind, own], &form(&token)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "the twin of all these, from our own page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_tries_too_fast_has_to_wait_and_others_do_not_lose_tries() {
    let world = World::with(|settings| settings.tries_per_minute = 2).await;
    let made = made(&world).await;
    let mut browser = world.browser();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let number = Number::from_random(world.vault.random()).to_string();
        statuses.push(browser.try_code(&number, "123456789").await.status);
    }
    let (wrong, wait) = (StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(statuses, [wrong, wrong, wait, wait]);
    assert_eq!(world.row(made.id).await.tries, 0);
    world.pass_secs(60);
    assert!(browser.open(&made).await.text().contains("Your biopsy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_of_the_finger_in_length_costs_no_try() {
    let world = World::new().await;
    let made = made(&world).await;
    let mut browser = world.browser();
    for (number, code) in
        [(made.number.to_string(), "12345678"), (made.number.to_string(), "1234567890"), ("R4TM".to_owned(), "123456789")]
    {
        assert_eq!(browser.try_code(&number, code).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let answer = browser.try_code("\"><script>alert(1)</script>", "123").await;
    assert!(!answer.text().contains("<script>"));
    assert_eq!(world.row(made.id).await.tries, 0);
    let code = Code::parse(&made.code.to_string()).unwrap();
    let typed = format!(" {} ", made.number.to_string().to_lowercase().replace('-', " "));
    let answer = browser.try_code(&typed, &code.digits().chars().map(|c| format!("{c}-")).collect::<String>()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "spaces, case and dashes do not matter");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_tries_at_once_are_sent_away_without_counting() {
    let world = World::new().await;
    let made = made(&world).await;
    let places = world.portal.0.derivations.take_all();
    let mut browser = world.browser();
    let answer = browser.try_code(&made.number.to_string(), &wrong(&made.code)).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.row(made.id).await.tries, 0);
    drop(places);
    assert!(browser.open(&made).await.text().contains("Your biopsy"));
}
