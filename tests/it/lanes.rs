//! A run of 9,000 recipients and messages that come alone: how long those are on their way.
//! Run with `cargo test --release --test it -- --ignored lanes --nocapture`.

use std::time::{Duration, Instant};

use wardpost::world::World;

use crate::support::{Gateway, PATIENCE, message};

/// Recipients of the run, a thousand a message.
const RUN: usize = 9000;
const SINGLES: u64 = 10;
const ON_ITS_WAY_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "sends 9,000 copies and looks at the clock; .ci/run runs it in a release build"]
async fn a_run_of_nine_thousand_delays_no_message_by_a_second() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let began = Instant::now();
    for run in 0..RUN / 1000 {
        let to: Vec<String> = (0..1000).map(|n| format!("p{run}-{n}@verified.example")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let text = message(&format!("run-{run}@practice.example"), "list:;", "Opening hours", "We are closed on Friday.");
        gateway.submit(&to, &text).await.unwrap();
    }
    println!("the run of {RUN} was taken in {:?}", began.elapsed());
    let (many, one) = (gateway.world.sink("verified.example").unwrap(), gateway.world.sink("dane-good.example").unwrap());
    let mut waits = Vec::new();
    for n in 1..=SINGLES {
        let text = message(&format!("one-{n}@practice.example"), "pat@dane-good.example", "Result", "It is all well.");
        let left = RUN as u64 - many.message_count();
        assert!(left > 0, "the run is over already: it delays nothing");
        let sent = Instant::now();
        gateway.submit(&["pat@dane-good.example"], &text).await.unwrap();
        tokio::time::timeout(PATIENCE, one.wait_for_messages(n)).await.unwrap();
        waits.push(sent.elapsed());
    }
    waits.sort();
    println!(
        "from MAIL to the next host with the run in the queue: median {:?}, longest {:?}",
        waits[waits.len() / 2],
        waits[waits.len() - 1]
    );
    assert!(waits.iter().all(|wait| *wait < ON_ITS_WAY_WITHIN), "{waits:?}");
    tokio::time::timeout(PATIENCE * 3, many.wait_for_messages(RUN as u64)).await.expect("the run arrives too");
    println!("the whole run arrived within {:?}", began.elapsed());
}
