//! Reports to senders (RFC 3461, 3464, 6522, 6533), from MAIL and RCPT to the letter that arrives, read by a parser that
//! is not ours.

use std::io::Write as _;
use std::process::Stdio;

use mail_send::SmtpClientBuilder;
use mail_send::smtp::message::{Address, Message, Parameters};
use serde_json::{Value, json};
use wardpost::server;
use wardpost::world::{Offers, Step, When, World};

use crate::support::{Gateway, PATIENCE, has_python, message};

const SENDER: &str = "ann@practice.example";
const ID: &str = "r1@practice.example";

fn with<'a>(address: &'a str, parameters: &[(&'a str, &'a str)]) -> Address<'a> {
    let added = parameters.iter().fold(Parameters::new(), |mut all, one| {
        all.add(*one);
        all
    });
    Address { email: address.into(), parameters: added }
}

/// Submits one message with these parameters; what the recipient's host saw of them, and the reports that came back.
async fn sent(gateway: &Gateway, to: &str, mail: &[(&str, &str)], rcpt: &[(&str, &str)]) -> Vec<Value> {
    let address = gateway.running.address("submissions").unwrap();
    let connector = server::connector_that_trusts(&gateway.running.own_certificate().unwrap()).unwrap();
    let mut client = SmtpClientBuilder::new_with_tls_connector("localhost", address.port(), connector)
        .implicit_tls(true)
        .credentials((gateway.user.as_str(), gateway.password.as_str()))
        .timeout(PATIENCE)
        .connect()
        .await
        .unwrap();
    let text = message(ID, to, "Biopsy of Jane Roe", "the office is closed on Thursday.");
    let own = gateway.world.sink("mail.practice.example").unwrap();
    let before = own.messages().len();
    let envelope = Message { mail_from: with(SENDER, mail), rcpt_to: vec![with(to, rcpt)], body: text.into_bytes().into() };
    client.send(envelope).await.unwrap();
    gateway.settle().await;
    let is_report = |content: &[u8]| String::from_utf8_lossy(content).contains("multipart/report");
    let came: Vec<_> = own.messages().into_iter().skip(before).filter(|one| is_report(&one.content)).collect();
    for one in &came {
        assert_eq!(one.from, "", "a report has the null reverse-path");
        assert_eq!(one.recipients[0].address, SENDER);
    }
    came.iter().map(|one| read(&one.content)).collect()
}

fn read(report: &[u8]) -> Value {
    let mut child = std::process::Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/report.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(report).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(report));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = String::from_utf8_lossy(report);
    for secret in ["Biopsy", "Jane", "Roe", "Thursday"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(report.is_ascii() && text.split("\r\n").all(|line| line.len() <= 998 && !line.contains('\n')));
    read
}

/// What every report has, whatever it says.
fn is_sound(report: &Value) {
    assert_eq!(report["defects"], json!([]));
    assert_eq!(report["type"], "multipart/report");
    assert_eq!(report["report_type"], "delivery-status");
    assert_eq!(report["kinds"], json!(["text/plain", "message/delivery-status", "text/rfc822-headers"]));
    let head = &report["head"];
    assert_eq!(head["to"], SENDER);
    assert_eq!(head["auto-submitted"], "auto-replied");
    assert_eq!(head["in-reply-to"], format!("<{ID}>"));
    assert_eq!(head["references"], format!("<{ID}>"));
    assert!(head["from"].as_str().unwrap().contains("postmaster@") && head["message-id"] != head["in-reply-to"]);
    let original = ["Date: Tue, 24 Nov 2026 10:00:00 +0000", "From: ann@practice.example", "Message-ID: <r1@practice.example>"];
    assert_eq!(report["original"], json!([original[0], original[1], original[2], "Subject: (not shown)"]));
    assert!(report["message"]["reporting-mta"].as_str().unwrap().starts_with("dns; "));
    assert!(report["message"]["arrival-date"].as_str().unwrap().ends_with("+0000"));
    assert_eq!(report["words"].as_str().unwrap().matches("What you can do: ").count(), 1, "one thing to do");
}

/// Success, failure, and nothing at all; by what the client asked for and what the next host offers.
#[tokio::test(flavor = "multi_thread")]
async fn each_sender_hears_what_he_asked_for_and_in_the_words_of_the_rfc() {
    if !has_python() {
        return;
    }
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let town = gateway.world.sink("verified.example").unwrap();
    let nobody = When::Rcpt(Some("nobody@verified.example".into()));
    town.always(nobody, Step::Reply("550 5.1.1 <nobody@verified.example> unknown".into()));
    let full = [("RET", "FULL"), ("ENVID", "QQ+2B314")];
    let orcpt = ("ORCPT", "rfc822;Pat+2BJones@old.example");
    let success = ("NOTIFY", "SUCCESS");

    // Refused for good.
    let reports = sent(&gateway, "nobody@verified.example", &full, &[("NOTIFY", "FAILURE,DELAY"), orcpt]).await;
    assert_eq!(reports.len(), 1);
    let report = &reports[0];
    is_sound(report);
    assert_eq!(report["message"]["original-envelope-id"], "QQ+314", "the client's own, decoded");
    assert_eq!(report["fields"][0], json!(["reporting-mta", "original-envelope-id", "arrival-date"]));
    let recipient = &report["recipients"][0];
    assert_eq!(report["recipients"].as_array().unwrap().len(), 1);
    for (field, value) in [
        ("original-recipient", "rfc822; Pat+Jones@old.example"),
        ("final-recipient", "rfc822; nobody@verified.example"),
        ("action", "failed"),
        ("status", "5.1.1"),
        ("diagnostic-code", "smtp; 550 5.1.1 [address] unknown"),
    ] {
        assert_eq!(recipient[field], value, "{field}");
    }
    assert!(recipient["remote-mta"].as_str().unwrap().starts_with("dns; "));
    assert!(recipient["last-attempt-date"].is_string() && recipient["will-retry-until"].is_null());
    assert!(report["words"].as_str().unwrap().starts_with("Not sent: nobody@verified.example."));
    assert!(report["head"]["subject"].as_str().unwrap().starts_with("Not sent: your message"));

    // Asked for silence, or for something else.
    for notify in ["NEVER", "SUCCESS", "DELAY"] {
        assert_eq!(sent(&gateway, "nobody@verified.example", &full, &[("NOTIFY", notify)]).await.len(), 0, "{notify}");
    }

    // A host that offers DSN is told, with an id of our own and without the content, and reports by itself.
    assert_eq!(sent(&gateway, "pat@verified.example", &full, &[success, orcpt]).await.len(), 0);
    let taken = town.messages().pop().unwrap();
    assert!(taken.mail_parameters.contains("RET=HDRS") && !taken.mail_parameters.contains("314"), "{}", taken.mail_parameters);
    assert_eq!(taken.recipients[0].parameters, "NOTIFY=SUCCESS ORCPT=rfc822;Pat+2BJones@old.example");

    // One that does not: relayed, and nothing of it is said unless asked.
    let plain = gateway.world.sink("sts-good.example").unwrap();
    plain.set_offers(Offers { dsn: false, ..Offers::default() });
    assert_eq!(sent(&gateway, "pat@sts-good.example", &full, &[]).await.len(), 0);
    assert_eq!(plain.messages().pop().unwrap().recipients[0].parameters, "");
    let reports = sent(&gateway, "pat@sts-good.example", &[], &[success]).await;
    assert_eq!(reports.len(), 1);
    is_sound(&reports[0]);
    let recipient = &reports[0]["recipients"][0];
    assert_eq!(
        (&recipient["action"], &recipient["final-recipient"]),
        (&json!("relayed"), &json!("rfc822; pat@sts-good.example"))
    );
    assert!(recipient["status"].as_str().unwrap().starts_with("2.") && recipient["original-recipient"].is_null());
    assert!(reports[0]["message"]["original-envelope-id"].is_null());

    // The portal reports no reading: what goes there is relayed, too, and the code stays in its own letter.
    let reports = sent(&gateway, "pat@no-tls.example", &[], &[success]).await;
    assert_eq!(reports.len(), 1);
    is_sound(&reports[0]);
    assert_eq!(reports[0]["recipients"][0]["action"], "relayed");
    assert!(reports[0]["recipients"][0]["remote-mta"].is_null());
    let words = reports[0]["words"].as_str().unwrap();
    assert!(words.starts_with("Waiting in the portal: pat@no-tls.example."), "{words}");
    assert!(!words.chars().filter(|c| *c != ' ').collect::<Vec<_>>().windows(6).any(|six| six.iter().all(char::is_ascii_digit)));
    assert_eq!(sent(&gateway, "pat@no-tls.example", &[], &[("NOTIFY", "NEVER")]).await.len(), 0);
    gateway.stop().await;
}
