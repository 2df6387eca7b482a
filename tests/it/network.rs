//! What the gateway makes of a world that gets worse, by its own fault or by the world's.

use std::sync::Arc;
use std::time::Duration;

use wardpost::deliver::weather;
use wardpost::mail::Domain;
use wardpost::observe::metrics;
use wardpost::server::{self, Request};
use wardpost::world::{Shape, Versions, World};

use crate::support::{Gateway, message};

const DAY_MS: i64 = 24 * 3_600_000;

/// Somebody on our own path takes STARTTLS away from twelve domains: nothing is put away, no notice leaves, it is told;
/// what is proven goes on; and when STARTTLS is back everything arrives.
#[tokio::test(flavor = "multi_thread")]
async fn when_starttls_vanishes_everywhere_nothing_is_put_away_until_it_is_back() {
    let world = World::empty().await.unwrap();
    let names: Vec<String> = (0..12).map(|n| format!("d{n}.example")).collect();
    for name in &names {
        world.add(name, Shape::Verified).await.unwrap();
    }
    world.add("steady.example", Shape::DaneGood).await.unwrap();
    world.add("never.example", Shape::NoStarttls).await.unwrap();
    let gateway = Gateway::start_meant(
        world,
        |config| config,
        |settings| {
            settings.deliver.weather = Some(weather::Settings::default());
            // A kept connection would hide what new ones meet.
            settings.deliver.pool.idle_max = Duration::ZERO;
        },
    )
    .await;
    let to: Vec<String> = names.iter().map(|name| format!("pat@{name}")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    gateway.submit(&to, &message("before@practice.example", "undisclosed:;", "Hello", "the quince")).await.unwrap();
    gateway.settle().await;
    let sinks: Vec<_> = names.iter().map(|name| gateway.world.sink(name).unwrap()).collect();
    assert!(sinks.iter().all(|sink| sink.message_count() == 1));
    let alarms = metrics().events_of("own-network-suspected", "error");

    sinks.iter().for_each(|sink| sink.set_tls(None));
    gateway.submit(&to, &message("during@practice.example", "undisclosed:;", "Hello", "the medlar")).await.unwrap();
    let are_held_back = |rows: &[serde_json::Value], count: usize| {
        rows.iter().filter(|row| row["reason"] == "starttls-missing-everywhere").count() == count
    };
    gateway
        .until("all twelve are held back past their budget", || async {
            are_held_back(&gateway.rows(Request::QueueList { all: false }).await, 12)
        })
        .await;
    // A domain of which nobody knew anything is held back too; one that proves itself is not.
    let never = message("never@practice.example", "pat@never.example", "Hello", "the medlar");
    gateway.submit(&["pat@never.example"], &never).await.unwrap();
    let steady = message("steady@practice.example", "pat@steady.example", "Hello", "the medlar");
    gateway.submit(&["pat@steady.example"], &steady).await.unwrap();
    gateway
        .until("the thirteenth is held back", || async {
            are_held_back(&gateway.rows(Request::QueueList { all: false }).await, 13)
        })
        .await;
    let proven = gateway.world.sink("steady.example").unwrap();
    tokio::time::timeout(crate::support::PATIENCE, proven.wait_for_messages(1)).await.unwrap();
    assert!(gateway.rows(Request::EscrowList { all: true }).await.is_empty(), "a parcel");
    assert!(gateway.rows(Request::QueueList { all: true }).await.iter().all(|row| row["kind"] != "notice"), "a notice");
    let clear = gateway.world.clear_bytes();
    assert!(!String::from_utf8_lossy(&clear).contains("MAIL FROM"), "something was said in clear");
    assert!(metrics().events_of("own-network-suspected", "error") > alarms);

    for (sink, name) in sinks.iter().zip(&names) {
        let leaf = gateway.world.ca().leaf(&[&format!("mx.{name}")]).unwrap();
        sink.set_tls(Some(leaf.server_config(Versions::Both).unwrap()));
    }
    gateway.settle().await;
    for fate in gateway.fates("during@practice.example").await {
        assert_eq!(fate.1, "delivered", "{fate:?}");
    }
    assert!(sinks.iter().all(|sink| sink.message_count() == 2));
    // The weather is fine again, so the one that never could goes to the portal as usual.
    assert_eq!(gateway.fates("never@practice.example").await[0].1, "escrowed");
    gateway.stop().await;
}

/// A domain that shows less than it did is told of once a day; one that never showed more is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_gets_worse_is_told_of_once_a_day() {
    let world = World::empty().await.unwrap();
    for (name, shape) in [
        ("gone.example", Shape::Verified),
        ("expired.example", Shape::Verified),
        ("broken.example", Shape::DaneGood),
        ("fine.example", Shape::DaneGood),
        ("always.example", Shape::DaneMismatch),
    ] {
        world.add(name, shape).await.unwrap();
    }
    let gateway = Gateway::start_meant(world, |config| config, |settings| settings.deliver.pool.idle_max = Duration::ZERO).await;
    let names = ["gone.example", "expired.example", "broken.example", "fine.example", "always.example"];
    let to = names.map(|name| format!("pat@{name}"));
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let store = &gateway.running.parts().store;
    let standing = async |name: &str| store.standing(&Domain::parse(name).unwrap()).await.unwrap().map(|(word, _)| word);
    gateway.submit(&to, &message("w1@practice.example", "undisclosed:;", "Hello", "the quince")).await.unwrap();
    gateway.settle().await;
    for (name, expected) in names.iter().zip(["verified", "verified", "authenticated", "authenticated", "starttls"]) {
        assert_eq!(standing(name).await.as_deref(), Some(expected), "{name}");
    }
    gateway.world.sink("gone.example").unwrap().set_tls(None);
    let expired = gateway.world.ca().expired_leaf(&["mx.expired.example"]).unwrap();
    gateway.world.sink("expired.example").unwrap().set_tls(Some(expired.server_config(Versions::Both).unwrap()));
    let other = gateway.world.ca().leaf(&["mx.broken.example"]).unwrap();
    gateway.world.sink("broken.example").unwrap().set_tls(Some(other.server_config(Versions::Both).unwrap()));
    gateway.submit(&to, &message("w2@practice.example", "undisclosed:;", "Hello", "the quince")).await.unwrap();
    gateway.settle().await;
    // Whoever asks again within the day is told that it was told already.
    for (name, was_told) in names.iter().zip([true, true, true, false, false]) {
        let domain = Domain::parse(name).unwrap();
        let rings = store.note_alarm(&domain, server::now(), DAY_MS).await.unwrap();
        assert_eq!(rings, !was_told, "{name}");
    }
    gateway.stop().await;
}

/// Every gateway proves at its start that nothing leaves for a host that proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_canary_sings_at_the_start() {
    let gateway = Gateway::start(World::empty().await.unwrap()).await;
    let metrics = Arc::new(metrics());
    gateway.until("the canary", || async { metrics.canary_last_proved.get() > 1_700_000_000 }).await;
    assert_eq!(metrics.events_of("canary-failed", "error"), 0);
    gateway.stop().await;
}
