//! What a hostile client, reader or thief tries, against a whole gateway.

use std::path::Path;

use wardpost::config::Settings;
use wardpost::server::{self, Answer, Request};
use wardpost::world::World;

use crate::support::{Gateway, message};

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
        "The bank: ann@practice.example;",
        "ann@practice.example, boss@bank.example",
    ] {
        let refused = gateway.submit(&["pat@verified.example"], &with_from(from)).await;
        assert!(refused.is_err(), "{from}");
    }
    gateway.submit(&["pat@verified.example"], &with_from("\"Ann, nurse\" <ann@practice.example>")).await.unwrap();
    gateway.stop().await;
}

/// Whoever puts yesterday's data folder back gets no tries back, and no silence about what was cut off.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_store_is_refused_until_its_codes_are_void() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let letter = message("old@practice.example", "pat@no-tls.example", "About your visit", "hello");
    gateway.submit(&["pat@no-tls.example"], &letter).await.unwrap();
    gateway.settle().await;
    let stopped = gateway.stop_and_keep().await;
    let settings = Settings::load(&stopped.config).unwrap();
    let (data, copy) = (settings.store.folder.clone(), settings.store.folder.with_extension("backup"));
    copy_folder(&data, &copy);

    let list = || server::ask(Some(&stopped.config), Request::EscrowList { all: false });
    let Answer::Rows(rows) = list().await.unwrap() else { panic!("no list") };
    assert_eq!(rows[0]["state"], "waiting");
    server::ask(Some(&stopped.config), Request::AuditShow { message: "old@practice.example".into() }).await.unwrap();
    stopped.try_start().await.unwrap().stop().await;

    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&copy, &data).unwrap();
    let refused = list().await.unwrap_err().to_string();
    assert!(refused.contains("--restored"), "{refused}");
    assert!(stopped.try_start().await.is_err(), "an old store was served");

    assert_eq!(server::accept_restored(&settings).await.unwrap(), 1);
    let Answer::Rows(rows) = list().await.unwrap() else { panic!("no list") };
    assert_eq!(rows[0]["state"], "needs-code", "the old code still opens the parcel");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A stricter level in the file is in force after a reload, and the record's policy version does not say more than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_makes_phi_strict_makes_it_strict() {
    const PHI: &str =
        "Patient: Marisol Quintero\r\nDOB: 04/12/1961\r\nMRN: 00482913\r\nDiagnosis: type 2 diabetes mellitus (E11.9).";
    let mut gateway = Gateway::start(World::start().await.unwrap()).await;
    let to = "pat@verified.example";
    gateway.submit(&[to], &message("r1@practice.example", to, "Results", PHI)).await.unwrap();
    let text = std::fs::read_to_string(&gateway.config).unwrap();
    let strict = if text.contains("[transport]\n") {
        text.replace("[transport]\n", "[transport]\nphi = \"authenticated\"\n")
    } else {
        format!("{text}\n[transport]\nphi = \"authenticated\"\n")
    };
    std::fs::write(&gateway.config, strict).unwrap();
    gateway.running.reload().await.unwrap();
    gateway.submit(&[to], &message("r2@practice.example", to, "Results", PHI)).await.unwrap();
    gateway.settle().await;
    assert_eq!(gateway.fates("r1@practice.example").await[0].1, "delivered");
    assert_eq!(gateway.fates("r2@practice.example").await[0].1, "escrowed");
    let policy = |rows: Vec<serde_json::Value>| rows[0]["policy"].as_str().unwrap().to_owned();
    assert_ne!(policy(gateway.records("r1@practice.example").await), policy(gateway.records("r2@practice.example").await));
    gateway.stop().await;
}
