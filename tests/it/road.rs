//! The main road: from a client's DATA to the recipient over proven TLS, or to the portal.

use wardpost::server::Request;
use wardpost::world::{Shape, World};

use crate::support::{Gateway, message};

const HARMLESS: &str = "the office is closed on Thursday.";

/// Y1: one mail, four recipients: good TLS, no STARTTLS, bad certificate, and content that demands the portal.
#[tokio::test(flavor = "multi_thread")]
async fn one_mail_to_four_kinds_of_recipient_goes_four_ways() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let to = ["pat@dane-good.example", "pat@no-tls.example", "pat@bad-cert.example"];
    gateway.submit(&to, &message("y1@practice.example", &to.join(", "), "Hello", HARMLESS)).await.unwrap();
    gateway
        .submit(&["pat@verified.example"], &message("y1s@practice.example", "pat@verified.example", "[secure] Hello", HARMLESS))
        .await
        .unwrap();
    gateway.settle().await;
    let mut fates = gateway.fates("y1@practice.example").await;
    fates.extend(gateway.fates("y1s@practice.example").await);
    let expected = [
        ("pat@dane-good.example", "delivered", ""),
        ("pat@no-tls.example", "escrowed", "starttls-not-supported"),
        ("pat@bad-cert.example", "escrowed", "certificate-not-trusted"),
        ("pat@verified.example", "escrowed", "policy"),
    ];
    assert_eq!(fates.len(), 4);
    for (address, event, reason) in expected {
        let fate = fates.iter().find(|fate| fate.0 == address).unwrap();
        assert_eq!((fate.1.as_str(), fate.2.as_str()), (event, reason), "{address}");
    }
    gateway.stop().await;
}

/// The recipient of a secured message gets the notice over TLS and nothing of the content.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_tagged_secure_never_reaches_a_mail_server() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    gateway
        .submit(
            &["pat@verified.example"],
            &message("tag@practice.example", "pat@verified.example", "Re: [SECURE] orchid", "the orchid is in the blue pot"),
        )
        .await
        .unwrap();
    gateway.settle().await;
    let received = gateway.world.sink("verified.example").unwrap().messages();
    assert_eq!(received.len(), 1, "one notice");
    let content = String::from_utf8(received[0].content.clone()).unwrap();
    assert!(content.contains("You have a message from Maple Street Office"));
    assert!(!content.contains("orchid") && !content.contains("ann@"), "{content}");
    gateway.stop().await;
}

/// Nobody sees another recipient; display names stay; the body is byte-identical.
#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_sees_only_himself() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let text = "From: Ann <ann@practice.example>\r\nTo: \"Pat Quill\" <pat@dane-good.example>, Sam <sam@verified.example>\r\nCc: lee@sts-good.example\r\n\
        Bcc: hidden@verified.example\r\nX-Original-To: pat@dane-good.example\r\nSubject: Hello\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <each@practice.example>\r\n\r\n\
        .a line with a dot\r\n  and odd   spacing \t\r\n\r\nend\r\n";
    let to = ["pat@dane-good.example", "sam@verified.example", "lee@sts-good.example", "hidden@verified.example"];
    gateway.submit(&to, text).await.unwrap();
    gateway.settle().await;
    let mut seen = 0;
    for town in ["dane-good.example", "verified.example", "sts-good.example"] {
        for received in gateway.world.sink(town).unwrap().messages() {
            seen += 1;
            let content = String::from_utf8(received.content.clone()).unwrap();
            let (header, body) = content.split_once("\r\n\r\n").unwrap();
            assert_eq!(received.recipients.len(), 1);
            let own = received.recipients[0].address.as_str();
            for other in to.iter().filter(|other| **other != own) {
                assert!(!header.contains(other), "{own} sees {other}");
            }
            assert!(
                !header.to_lowercase().contains("\r\nbcc:")
                    && !header.to_lowercase().contains("\r\ncc:")
                    && !header.contains("X-Original-To")
            );
            assert!(header.contains(&format!("<{own}>")) || header.contains(&format!("To: {own}")), "{header}");
            assert_eq!(header.contains("Pat Quill"), own == "pat@dane-good.example");
            assert_eq!(body, ".a line with a dot\r\n  and odd   spacing \t\r\n\r\nend\r\n");
        }
    }
    assert_eq!(seen, 4);
    gateway.stop().await;
}

/// Every kind of recipient domain ends where it must, and content is seen only where the level was proven.
#[tokio::test(flavor = "multi_thread")]
async fn every_shape_of_domain_takes_the_expected_way() {
    let world = World::empty().await.unwrap();
    let shapes = [
        (Shape::DaneGood, "delivered"),
        (Shape::DaneTa, "delivered"),
        (Shape::StsGood, "delivered"),
        (Shape::Verified, "delivered"),
        (Shape::NoStarttls, "escrowed"),
        (Shape::DaneMismatch, "escrowed"),
        (Shape::DaneServFail, "escrowed"),
        (Shape::Bogus, "escrowed"),
        (Shape::SelfSigned, "escrowed"),
        (Shape::WrongName, "escrowed"),
        (Shape::Expired, "escrowed"),
        (Shape::BadCertificate, "escrowed"),
        (Shape::StsTesting, "escrowed"),
        (Shape::StsMismatch, "escrowed"),
        (Shape::StsBadCertificate, "escrowed"),
        (Shape::Unreachable, "escrowed"),
        (Shape::NullMx, "bounced"),
    ];
    for (i, (shape, _)) in shapes.iter().enumerate() {
        world.add(&format!("d{i}.example"), *shape).await.unwrap();
    }
    let gateway = Gateway::start(world).await;
    let to: Vec<String> = (0..shapes.len()).map(|i| format!("pat@d{i}.example")).collect();
    let list: Vec<&str> = to.iter().map(String::as_str).collect();
    gateway.submit(&list, &message("zoo@practice.example", &to.join(", "), "Hello", "the marmalade cat")).await.unwrap();
    gateway.settle().await;
    let fates = gateway.fates("zoo@practice.example").await;
    for (i, (shape, event)) in shapes.iter().enumerate() {
        let fate = fates.iter().find(|fate| fate.0 == to[i]).unwrap();
        assert_eq!(fate.1, *event, "{shape:?}: {}", fate.2);
        let sink = gateway.world.sink(&format!("d{i}.example")).unwrap();
        let has_content = sink.messages().iter().any(|message| String::from_utf8_lossy(&message.content).contains("marmalade"));
        assert_eq!(has_content, *event == "delivered", "{shape:?}");
        assert!(!String::from_utf8_lossy(&sink.clear_bytes()).contains("marmalade"), "{shape:?}");
    }
    // A policy that is violated, or a question nobody could answer, is no reason to write in clear or to a wrong host.
    for (i, (shape, _)) in shapes.iter().enumerate() {
        if [Shape::DaneMismatch, Shape::DaneServFail, Shape::Bogus, Shape::StsMismatch, Shape::StsBadCertificate].contains(shape)
        {
            assert!(gateway.world.sink(&format!("d{i}.example")).unwrap().messages().is_empty(), "{shape:?} got a notice");
        }
    }
    gateway.stop().await;
}

/// The sender is told in a sentence when a recipient does not exist, without the content.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_recipient_is_reported_to_the_sender_without_content() {
    use wardpost::world::{Step, When};
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let sink = gateway.world.sink("verified.example").unwrap();
    sink.always(When::Rcpt(Some("nobody@verified.example".into())), Step::Reply("550 5.1.1 no such user".into()));
    gateway
        .submit(
            &["nobody@verified.example"],
            &message("no@practice.example", "nobody@verified.example", "Your biopsy", "the walnut result"),
        )
        .await
        .unwrap();
    gateway.settle().await;
    let fates = gateway.fates("no@practice.example").await;
    assert_eq!(fates[0].1, "bounced");
    let reports = gateway.world.sink("mail.practice.example").unwrap().messages();
    assert_eq!(reports.len(), 1);
    let report = String::from_utf8(reports[0].content.clone()).unwrap();
    assert_eq!(reports[0].from, "", "null reverse-path");
    assert!(
        report.contains("multipart/report") && report.contains("nobody@verified.example") && report.contains("5.1.1"),
        "{report}"
    );
    assert!(!report.contains("walnut") && !report.contains("biopsy"), "{report}");
    gateway.stop().await;
}

/// PHI in an attachment alone is found, and an encrypted archive is never clean.
#[tokio::test(flavor = "multi_thread")]
async fn phi_in_an_attachment_is_found_and_unreadable_goes_to_the_portal() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let with = |id: &str, name: &str, kind: &str, content: &[u8]| {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(content);
        format!(
            "From: ann@practice.example\r\nTo: pat@verified.example\r\nSubject: list\r\nMessage-ID: <{id}>\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee attached\r\n--b\r\nContent-Type: {kind}; name=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{encoded}\r\n--b--\r\n"
        )
    };
    let csv = b"Patient,DOB,MRN,Diagnosis\r\nMarisol Quintero,04/12/1961,00482913,type 2 diabetes mellitus\r\n";
    gateway.submit(&["pat@verified.example"], &with("csv@practice.example", "list.csv", "text/csv", csv)).await.unwrap();
    gateway
        .submit(
            &["pat@verified.example"],
            &with(
                "bin@practice.example",
                "list.dat",
                "application/octet-stream",
                &[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 9, 9, 0xfe, 0xba],
            ),
        )
        .await
        .unwrap();
    gateway.settle().await;
    let records = gateway.records("csv@practice.example").await;
    assert!(records[0]["rules"].as_array().unwrap().iter().any(|rule| rule == "phi"), "{}", records[0]);
    assert_eq!(gateway.fates("csv@practice.example").await[0].1, "delivered");
    let records = gateway.records("bin@practice.example").await;
    assert!(records[0]["rules"].as_array().unwrap().iter().any(|rule| rule == "unreadable"), "{}", records[0]);
    assert_eq!(gateway.fates("bin@practice.example").await[0].1, "escrowed");
    gateway.stop().await;
}

/// A held message does not move until a person says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_message_waits_for_a_person() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), |config| {
        std::fs::write(
            std::path::Path::new(config.lines().next().map(|_| std::env::temp_dir()).unwrap().as_path()).join(format!("wardpost-hold-{}.toml", std::process::id())),
            "[[rule]]\nid = \"hold\"\nwhy = \"test\"\nwhen = { subject_contains = \"please hold\" }\nthen = \"hold\"\n[[rule.must_hit]]\nsubject = \"please hold\"\n[[rule.must_miss]]\nsubject = \"go\"\n",
        )
        .unwrap();
        format!("{config}\n[policy]\nfiles = [\"{}\"]\n", std::env::temp_dir().join(format!("wardpost-hold-{}.toml", std::process::id())).display())
    })
    .await;
    let _ = std::fs::remove_file(std::env::temp_dir().join(format!("wardpost-hold-{}.toml", std::process::id())));
    for id in ["h1", "h2"] {
        gateway
            .submit(
                &["pat@verified.example"],
                &message(&format!("{id}@practice.example"), "pat@verified.example", "please hold", HARMLESS),
            )
            .await
            .unwrap();
    }
    gateway.settle().await;
    let held = gateway.rows(Request::QueueList { all: false }).await;
    assert_eq!(held.len(), 2);
    assert!(gateway.world.sink("verified.example").unwrap().messages().is_empty());
    for (i, refuse) in [(0, false), (1, true)] {
        let copy = held[i]["copy"].as_str().unwrap().to_owned();
        let answer = gateway.ask(Request::QueueRelease { copy, refuse, reason: "seen".into() }).await;
        assert!(matches!(answer, wardpost::server::Answer::Text(_)), "{answer:?}");
    }
    gateway.settle().await;
    assert_eq!(gateway.world.sink("verified.example").unwrap().messages().len(), 1);
    gateway.stop().await;
}
