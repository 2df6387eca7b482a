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

/// Who else got it is not told by an invitation, a contact card or Outlook's envelope, whatever they call themselves.
#[tokio::test(flavor = "multi_thread")]
async fn other_recipients_in_parts_that_list_people_hold_the_message() {
    use base64::Engine as _;
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let to = ["pat@verified.example", "sam@dane-good.example"];
    let utf16 = "\0x\0sam@dane-good.example\0".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let parts: [(&str, &str, &[u8]); 6] = [
        (
            "application/octet-stream",
            "invite.ics",
            b"BEGIN:VCALENDAR\r\nATTENDEE:mailto:sam@dane-good.example\r\nEND:VCALENDAR\r\n",
        ),
        ("text/plain", "card.vcf", b"BEGIN:VCARD\r\nEMAIL:sam@dane-good.example\r\nEND:VCARD\r\n"),
        ("application/octet-stream", "first.eml", b"From: a@b.example\r\nCc: Sam <sam@dane-good.example>\r\n\r\nhi\r\n"),
        ("application/ms-tnef", "winmail.dat", b"\x78\x9f\x3e\x22\x01\x02\x03sam@dane-good.example\x00\x00"),
        ("application/octet-stream", "WINMAIL.DAT", &utf16),
        ("message/rfc822", "x", b"From: a@b.example\r\nTo: sam@dane-good.example\r\n\r\nhi\r\n"),
    ];
    for (n, (kind, name, bytes)) in parts.iter().enumerate() {
        let id = format!("i{n}@practice.example");
        let (encoding, body) = if *kind == "message/rfc822" {
            ("7bit", String::from_utf8(bytes.to_vec()).unwrap())
        } else {
            ("base64", base64::engine::general_purpose::STANDARD.encode(bytes))
        };
        let letter = format!(
            "From: ann@practice.example\r\nTo: {}\r\nSubject: x\r\nMessage-ID: <{id}>\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
             --b\r\nContent-Type: {kind}; name=\"{name}\"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n--b--\r\n",
            to.join(", ")
        );
        gateway.submit(&to, &letter).await.unwrap();
        let records = gateway.records(&id).await;
        let rules = records[0]["rules"].as_array().unwrap();
        assert!(rules.iter().any(|rule| rule == "recipients-inside"), "{name}: {rules:?}");
        assert_eq!(records[0]["action"], "hold", "{name}");
    }
    gateway.stop().await;
}
