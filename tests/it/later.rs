//! Parcels that leave by mail after all, and those that must not.

use serde_json::Value;
use wardpost::deliver::{Check, Found};
use wardpost::mail::{Domain, Timestamp};
use wardpost::server::{self, Request};
use wardpost::store::ParcelRow;
use wardpost::world::{Leaf, Shape, Sink, Step, Versions, When, World};

use crate::pickup::{browser, decoded, slip};
use crate::support::{Gateway, message};

const HOUR_MS: i64 = 3_600_000;
const SECRET: &str = "the persimmon is ripe";
const PHI: &str = "Patient Marisol Quintero, DOB 04/12/1961, MRN 00482913: type 2 diabetes mellitus, metformin 500 mg";

/// Looks at its domains all the time.
async fn start(world: World) -> Gateway {
    Gateway::start_with(world, |config| config.replace("[portal]\n", "[portal]\ndeliver_later_check = \"50ms\"\n")).await
}

async fn parcel(gateway: &Gateway, recipient: &str) -> ParcelRow {
    let rows = gateway.rows(Request::EscrowList { all: false }).await;
    let row = rows.iter().find(|row| row["recipient"] == recipient).expect("a parcel");
    let id = wardpost::mail::ParcelId::parse(row["parcel"].as_str().unwrap()).unwrap();
    gateway.running.parts().store.parcel(id).await.unwrap().unwrap()
}

async fn row_of(gateway: &Gateway, row: &ParcelRow) -> ParcelRow {
    gateway.running.parts().store.parcel(row.id).await.unwrap().unwrap()
}

async fn events(gateway: &Gateway, id: &str) -> Vec<String> {
    gateway.records(id).await.iter().map(|row| row["event"].as_str().unwrap().to_owned()).collect()
}

/// Messages that a host got with this text.
fn with_text(sink: &Sink, text: &str) -> usize {
    sink.messages().iter().filter(|message| String::from_utf8_lossy(&message.content).contains(text)).count()
}

/// Waits for so many parcels whose slips have arrived. A notice may still wait for its domain.
async fn wait_for_parcels(gateway: &Gateway, count: usize) {
    let office = gateway.world.sink("mail.practice.example").unwrap();
    tokio::time::timeout(crate::support::PATIENCE, office.wait_for_messages(count as u64)).await.unwrap();
}

/// Waits for so many looks at a domain from now on.
async fn wait_for_looks(gateway: &Gateway, domain: &str, count: usize) {
    let (store, domain, from) = (&gateway.running.parts().store, Domain::parse(domain).unwrap(), server::now());
    gateway.until("looks", || async { store.checks(&domain, from).await.unwrap().len() >= count }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_parcel_is_sent_when_its_domain_is_proven_and_no_other() {
    let world = World::empty().await.unwrap();
    let sink = world.add("able.example", Shape::DaneGood).await.unwrap();
    let leaf = Leaf::self_signed(&["mx.able.example"]).unwrap();
    world.set_tlsa("mx.able.example", &[leaf.tlsa(3, 1, 1).unwrap()]).unwrap();
    sink.set_tls(None);
    let gateway = start(world).await;
    let (opened, kept, unread) = ("sam@able.example", "lee@able.example", "pat@able.example");
    gateway.submit(&[opened], &message("o@practice.example", opened, "Hello", SECRET)).await.unwrap();
    gateway.submit(&[kept], &message("k@practice.example", kept, "[secure] Hello", SECRET)).await.unwrap();
    wait_for_parcels(&gateway, 2).await;
    gateway.submit(&[unread], &message("u@practice.example", unread, "Hello", SECRET)).await.unwrap();
    wait_for_parcels(&gateway, 3).await;
    let (number, code) = slip(&gateway, opened);
    let mut reader = browser(&gateway).await;
    let page = reader.get("/").await;
    assert_eq!(reader.type_code(&page, &number, &code).await.status, 200);
    let rows = [parcel(&gateway, opened).await, parcel(&gateway, kept).await, parcel(&gateway, unread).await];
    assert_eq!(rows[0].later_level.as_deref(), Some("verified"));
    assert_eq!((rows[1].later_level.as_deref(), rows[1].reason.as_str()), (None, "policy"));
    let (number, code) = slip(&gateway, unread);
    wait_for_looks(&gateway, "able.example", 2).await;
    assert_eq!(sink.message_count(), 0, "nothing leaves while the domain is not able");

    sink.set_tls(Some(leaf.server_config(Versions::Both).unwrap()));
    gateway.until("the parcel is sent", || async { row_of(&gateway, &rows[2]).await.delivered_at.is_some() }).await;
    gateway.settle().await;
    assert_eq!(with_text(&sink, "persimmon"), 1);
    let messages = sink.messages();
    let received = messages.iter().find(|message| message.recipients[0].address == unread).unwrap();
    assert!(received.tls.is_some() && received.from == "ann@practice.example");
    let content = String::from_utf8_lossy(&received.content).into_owned();
    assert!(content.contains("u@practice.example") && content.contains(SECRET));
    assert!(!String::from_utf8_lossy(&sink.clear_bytes()).contains("pat@"));

    // Recorded before the key was opened, and with its proof.
    let records = gateway.records("u@practice.example").await;
    let at = |event: &str| records.iter().position(|row| row["event"] == event).unwrap();
    assert!(at("escrowed") < at("recovery-opened") && at("recovery-opened") < at("delivered"));
    let delivered: &Value = &records[at("delivered")];
    assert_eq!(
        (delivered["proof"]["level"].as_str(), delivered["proof"]["method"].as_str()),
        (Some("authenticated"), Some("dane"))
    );
    assert_eq!(delivered["reason"], "delivered-later");

    // The sender is told once; number and code open nothing any more.
    let letters: Vec<String> = gateway
        .world
        .sink("mail.practice.example")
        .unwrap()
        .messages()
        .iter()
        .map(|message| decoded(&message.content))
        .filter(|text| text.contains("Subject: Delivered after all"))
        .collect();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].contains(unread) && letters[0].contains("<u@practice.example>") && !letters[0].contains("persimmon"));
    let mut late = browser(&gateway).await;
    let page = late.get("/").await;
    assert!(!late.type_code(&page, &number, &code).await.text().contains("ann@"));
    let row = row_of(&gateway, &rows[2]).await;
    assert!(row.is_closed && row.recovery.0.is_empty() && row.facts.0.is_empty());
    let listed = gateway.rows(Request::EscrowList { all: true }).await;
    let states: Vec<&str> = rows
        .iter()
        .map(|row| listed.iter().find(|one| one["parcel"] == row.id.to_string().as_str()).unwrap()["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["opened", "waiting", "delivered"]);

    // What was opened, and what policy wants in the portal, was not even touched.
    for id in ["o@practice.example", "k@practice.example"] {
        assert!(!events(&gateway, id).await.contains(&"recovery-opened".to_owned()));
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_alone_counts_after_a_week_at_the_same_hosts_and_never_for_more() {
    let world = World::empty().await.unwrap();
    let sink = world.add("fresh.example", Shape::Verified).await.unwrap();
    let leaf = world.ca().leaf(&["mx.fresh.example"]).unwrap();
    sink.set_tls(None);
    let gateway = Gateway::start_with(world, |config| {
        config
            .replace("[portal]\n", "[portal]\ndeliver_later_check = \"50ms\"\n")
            .replace("[transport]\n", "[transport]\nphi = \"authenticated\"\n")
    })
    .await;
    let (strict, usual) = ("sam@fresh.example", "pat@fresh.example");
    gateway.submit(&[strict], &message("s@practice.example", strict, "Hello", PHI)).await.unwrap();
    gateway.settle().await;
    gateway.submit(&[usual], &message("n@practice.example", usual, "Hello", SECRET)).await.unwrap();
    gateway.settle().await;
    let rows = [parcel(&gateway, strict).await, parcel(&gateway, usual).await];
    assert_eq!(rows.clone().map(|row| row.later_level.unwrap()), ["authenticated", "verified"]);

    // Able now, but for the first time.
    sink.set_tls(Some(leaf.server_config(Versions::Both).unwrap()));
    wait_for_looks(&gateway, "fresh.example", 3).await;
    // A week of good looks at another host does not help.
    let domain = Domain::parse("fresh.example").unwrap();
    let (store, vault) = (&gateway.running.parts().store, &gateway.running.parts().vault);
    let now = server::now();
    // The looks of today from before it was able are taken out, for they break every run.
    let check = Check { found: Found::Unknown, mx: vec![] };
    store.note_check(&domain, now, check.sealed(vault, &domain, now), now).await.unwrap();
    let past: Vec<Timestamp> = (1..=15).map(|n| now.plus_ms(-n * 12 * HOUR_MS)).collect();
    for (host, is_enough) in [("mx.elsewhere.example", false), ("mx.fresh.example", true)] {
        let check = Check { found: Found::Verified, mx: vec![host.to_owned()] };
        for at in &past {
            let sealed = check.sealed(vault, &domain, *at);
            store.note_check(&domain, *at, sealed, Timestamp(0)).await.unwrap();
        }
        if is_enough {
            gateway.until("the parcel is sent", || async { row_of(&gateway, &rows[1]).await.delivered_at.is_some() }).await;
        } else {
            wait_for_looks(&gateway, "fresh.example", 3).await;
            assert_eq!(with_text(&sink, "persimmon"), 0);
        }
    }
    gateway.settle().await;
    assert_eq!(with_text(&sink, "persimmon"), 1);
    let records = gateway.records("n@practice.example").await;
    let delivered = records.iter().find(|row| row["event"] == "delivered").unwrap();
    assert_eq!((delivered["proof"]["level"].as_str(), delivered["proof"]["method"].as_str()), (Some("verified"), Some("webpki")));
    // What asks for more than a certificate was not touched.
    assert_eq!(with_text(&sink, "Marisol"), 0);
    assert!(!events(&gateway, "s@practice.example").await.contains(&"recovery-opened".to_owned()));
    gateway.stop().await;
}

/// Nobody knows whether it arrived: it can be read here, and is never sent a second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_may_have_arrived_stays_and_is_not_sent_again() {
    let world = World::empty().await.unwrap();
    let sink = world.add("odd.example", Shape::DaneGood).await.unwrap();
    let leaf = Leaf::self_signed(&["mx.odd.example"]).unwrap();
    world.set_tlsa("mx.odd.example", &[leaf.tlsa(3, 1, 1).unwrap()]).unwrap();
    sink.set_tls(None);
    let gateway = start(world).await;
    for (to, id) in [
        ("pat@odd.example", "a@practice.example"),
        ("nobody@odd.example", "b@practice.example"),
        ("busy@odd.example", "c@practice.example"),
    ] {
        gateway.submit(&[to], &message(id, to, "Hello", SECRET)).await.unwrap();
    }
    gateway.settle().await;
    let rows = [
        parcel(&gateway, "pat@odd.example").await,
        parcel(&gateway, "nobody@odd.example").await,
        parcel(&gateway, "busy@odd.example").await,
    ];
    sink.always(When::Content(Some("pat@odd.example".into())), Step::KeepAndDrop);
    sink.always(When::Rcpt(Some("nobody@odd.example".into())), Step::Reply("550 5.1.1 no such user".into()));
    sink.times(2, When::Rcpt(Some("busy@odd.example".into())), Step::Reply("451 4.3.0 later".into()));
    sink.set_tls(Some(leaf.server_config(Versions::Both).unwrap()));
    // The one that was only put off goes when its host is ready; by then the others have long had their turn.
    gateway.until("the busy one is sent", || async { row_of(&gateway, &rows[2]).await.delivered_at.is_some() }).await;
    for row in &rows[..2] {
        let row = row_of(&gateway, row).await;
        assert!(!row.is_closed && row.later_level.is_none() && row.delivered_at.is_none());
    }
    for (id, reason) in [("a@practice.example", "timeout"), ("b@practice.example", "permanent-reply")] {
        let records = gateway.records(id).await;
        assert_eq!(records.iter().filter(|row| row["event"] == "recovery-opened").count(), 1, "{id}");
        assert_eq!(records.iter().rfind(|row| row["event"] == "delayed").unwrap()["reason"], reason);
    }
    let (number, code) = slip(&gateway, "pat@odd.example");
    let mut reader = browser(&gateway).await;
    let page = reader.get("/").await;
    assert_eq!(reader.type_code(&page, &number, &code).await.status, 200);
    gateway.stop().await;
}

/// While a parcel is on its way the right code opens nothing and costs no try.
#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_on_its_way_cannot_be_opened() {
    let world = World::empty().await.unwrap();
    let sink = world.add("slow.example", Shape::DaneGood).await.unwrap();
    let leaf = Leaf::self_signed(&["mx.slow.example"]).unwrap();
    world.set_tlsa("mx.slow.example", &[leaf.tlsa(3, 1, 1).unwrap()]).unwrap();
    sink.set_tls(None);
    let gateway = start(world).await;
    let to = "pat@slow.example";
    gateway.submit(&[to], &message("w@practice.example", to, "Hello", SECRET)).await.unwrap();
    gateway.settle().await;
    let row = parcel(&gateway, to).await;
    let (number, code) = slip(&gateway, to);
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    sink.always(When::Content(None), Step::Wait(go.clone()));
    sink.set_tls(Some(leaf.server_config(Versions::Both).unwrap()));
    gateway
        .until("it is on its way", || async {
            events(&gateway, "w@practice.example").await.contains(&"recovery-opened".to_owned())
        })
        .await;
    let mut reader = browser(&gateway).await;
    let page = reader.get("/").await;
    let answer = reader.type_code(&page, &number, &code).await;
    assert!(answer.status != 200 && !answer.text().contains("ann@"), "{}", answer.text());
    let now = row_of(&gateway, &row).await;
    assert_eq!((now.first_opened_at, now.tries, now.is_closed), (None, 0, false));
    go.notify_one();
    gateway.until("it is sent", || async { row_of(&gateway, &row).await.delivered_at.is_some() }).await;
    assert!(!events(&gateway, "w@practice.example").await.contains(&"opened".to_owned()));
    gateway.stop().await;
}
