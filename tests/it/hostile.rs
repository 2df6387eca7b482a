//! What a hostile client, reader or thief tries, against a whole gateway.

use wardpost::world::World;

use crate::support::Gateway;

fn with_from(from: &str) -> String {
    format!("From: {from}\r\nTo: pat@verified.example\r\nSubject: x\r\nMessage-ID: <f@practice.example>\r\n\r\nhello\r\n")
}

/// From leaves as it was written, so every reader must find the same one author in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_author_that_only_other_readers_see_is_refused() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    for from in [
        "ann@practice.example, <boss@bank.example",
        "ann@practice.example, boss@bank@example",
        "<boss@bank.example> <ann@practice.example>",
        "<@bank.example:ann@practice.example>, \"boss",
        "boss@bank.example",
        "ann@practice.example, boss@bank.example",
    ] {
        let refused = gateway.submit(&["pat@verified.example"], &with_from(from)).await;
        assert!(refused.is_err(), "{from}");
    }
    gateway.submit(&["pat@verified.example"], &with_from("\"Ann, nurse\" <ann@practice.example>")).await.unwrap();
    gateway.stop().await;
}
