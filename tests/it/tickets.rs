//! TLS tickets skip the verifier. A change of what is published, or of what the host shows, is noticed all the same.

use std::sync::Arc;
use std::time::Duration;

use wardpost::mail::Domain;
use wardpost::world::{Leaf, Signing, Sink, SinkSettings, StsAnswer, Versions, World, enforce};

use crate::support::{Gateway, message};

/// A gateway that keeps tickets but no connections, so that each message makes a handshake of its own.
async fn gateway(world: World) -> Gateway {
    world.zones().set_ttl(0);
    Gateway::start_meant(world, |config| config, |settings| settings.deliver.pool.idle_max = Duration::ZERO).await
}

/// Sends one message after the evidence has run out, and says what became of it.
async fn send(gateway: &Gateway, domain: &str, number: u32) -> String {
    gateway.running.lookup().forget(&Domain::parse(domain).unwrap());
    let (id, to) = (format!("{number}@{domain}"), format!("pat@{domain}"));
    gateway.submit(&[&to], &message(&id, &to, "Hello", "the marmalade cat")).await.unwrap();
    gateway.settle().await;
    let fates = gateway.fates(&id).await;
    format!("{} {}", fates[0].1, fates[0].2).trim_end().to_owned()
}

/// Two messages: the second by a ticket of the first.
async fn warm_up(gateway: &Gateway, domain: &str, sink: &Sink) {
    for number in 1..=2 {
        assert_eq!(send(gateway, domain, number).await, "delivered");
    }
    assert_eq!((sink.handshake_count(), sink.resumed_count()), (2, 1), "a live ticket");
}

async fn host(world: &World, domain: &str, signing: Signing, leaf: &Leaf) -> Arc<Sink> {
    let host = format!("mx.{domain}");
    world.zones().add_zone(domain, signing).unwrap();
    world.zones().set(domain, "MX", &[&format!("10 {host}.")]).unwrap();
    let tls = Some(leaf.server_config(Versions::Both).unwrap());
    world.add_host(&host, SinkSettings { host: host.clone(), tls, ..SinkSettings::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tlsa_record_that_changes_is_noticed_despite_a_live_ticket() {
    let world = World::empty().await.unwrap();
    let (domain, name) = ("dane.example", "mx.dane.example");
    let leaf = Leaf::self_signed(&[name]).unwrap();
    let sink = host(&world, domain, Signing::Nsec, &leaf).await;
    world.set_tlsa(name, &[leaf.tlsa(3, 1, 1).unwrap()]).unwrap();
    let gateway = gateway(world).await;
    warm_up(&gateway, domain, &sink).await;

    // The zone names another key; the host goes on with the old one and would take the ticket.
    let next = Leaf::self_signed(&[name]).unwrap();
    gateway.world.set_tlsa(name, &[next.tlsa(3, 1, 1).unwrap()]).unwrap();
    assert_eq!(send(&gateway, domain, 3).await, "escrowed tlsa-invalid");
    assert_eq!((sink.message_count(), sink.resumed_count()), (2, 1));

    // The host follows.
    sink.set_tls(Some(next.server_config(Versions::Both).unwrap()));
    assert_eq!(send(&gateway, domain, 4).await, "delivered");
    assert_eq!((sink.message_count(), sink.resumed_count()), (3, 1));

    // The records go, signed: what is left is a certificate that nobody vouches for.
    gateway.world.set_tlsa(name, &[]).unwrap();
    assert_eq!(send(&gateway, domain, 5).await, "escrowed certificate-not-trusted");
    assert_eq!((sink.message_count(), sink.resumed_count()), (4, 1), "one notice, to a stranger, and nothing resumed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_is_noticed_despite_a_live_ticket() {
    let world = World::empty().await.unwrap();
    let (domain, name) = ("sts.example", "mx.sts.example");
    let sink = host(&world, domain, Signing::Unsigned, &world.ca().leaf(&[name]).unwrap()).await;
    world.set_sts(domain, StsAnswer::Policy(enforce(&[name]))).unwrap();
    let gateway = gateway(world).await;
    warm_up(&gateway, domain, &sink).await;

    // The same hosts under a new id: fetched anew, obeyed, and a plan of its own.
    gateway.world.set_sts(domain, StsAnswer::Policy(enforce(&[name, "mx2.sts.example"]))).unwrap();
    assert_eq!(send(&gateway, domain, 3).await, "delivered");
    assert_eq!((gateway.world.sts().fetches("mta-sts.sts.example"), sink.resumed_count()), (2, 1));

    // The policy goes away, or cannot be fetched: it was promised for a day.
    gateway.world.sts().answer("mta-sts.sts.example", StsAnswer::NotFound);
    gateway.world.zones().set_txt("_mta-sts.sts.example", &["v=STSv1; id=gone;"]).unwrap();
    assert_eq!(send(&gateway, domain, 4).await, "delivered");
    gateway.world.zones().set_txt("_mta-sts.sts.example", &[]).unwrap();
    assert_eq!(send(&gateway, domain, 5).await, "delivered");
    let proofs = gateway.records("5@sts.example").await;
    assert!(proofs.iter().any(|row| row["proof"]["method"] == "mta-sts"), "{proofs:?}");

    // The host is no longer listed.
    let before = sink.message_count();
    gateway.world.set_sts(domain, StsAnswer::Policy(enforce(&["mx2.sts.example"]))).unwrap();
    assert_eq!(send(&gateway, domain, 6).await, "escrowed sts-host-not-listed");
    assert_eq!(sink.message_count(), before);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_is_noticed_despite_a_live_ticket() {
    let world = World::empty().await.unwrap();
    let (domain, name) = ("cert.example", "mx.cert.example");
    let sink = host(&world, domain, Signing::Unsigned, &world.ca().leaf(&[name]).unwrap()).await;
    let strange = Leaf::self_signed(&[name]).unwrap();
    let other_name = world.ca().leaf(&["mx.elsewhere.example"]).unwrap();
    let expired = world.ca().expired_leaf(&[name]).unwrap();
    let gateway = gateway(world).await;
    warm_up(&gateway, domain, &sink).await;
    for (number, leaf, reason) in [
        (3, strange, "certificate-not-trusted"),
        (4, other_name, "certificate-host-mismatch"),
        (5, expired, "certificate-expired"),
    ] {
        sink.set_tls(Some(leaf.server_config(Versions::Both).unwrap()));
        assert_eq!(send(&gateway, domain, number).await, format!("escrowed {reason}"));
    }
    let contents =
        sink.messages().iter().filter(|message| String::from_utf8_lossy(&message.content).contains("marmalade")).count();
    assert_eq!((contents, sink.resumed_count()), (2, 1));
    gateway.stop().await;
}
