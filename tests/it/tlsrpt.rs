//! Reports about TLS (RFC 8460), REQUIRETLS (RFC 8689), and the header field that must lower nothing.

use mail_auth::report::tlsrpt::{PolicyType, ResultType, TlsReport};
use wardpost::server::Request;
use wardpost::world::{Shape, StsAnswer, World};

use crate::support::{Gateway, message};

const HARMLESS: &str = "the office is closed on Thursday.";

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

/// (outcome of each domain) of one round now.
async fn send(gateway: &Gateway) -> Vec<(String, String)> {
    let rows = gateway.rows(Request::TlsrptSend { now: true }).await;
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "domain"), text(row, "outcome"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_hear_by_https_or_by_mail_how_tls_with_them_went() {
    let world = World::empty().await.unwrap();
    for (domain, shape) in [
        ("good.example", Shape::DaneGood),
        ("bad.example", Shape::StsBadCertificate),
        ("none.example", Shape::NoStarttls),
        ("quiet.example", Shape::Verified),
    ] {
        world.add(domain, shape).await.unwrap();
    }
    let uri = world.add_report_host("good.example", StsAnswer::Policy(String::new())).unwrap();
    world.set_tlsrpt("good.example", &uri).unwrap();
    // By mail to a domain that proves itself, and to one that does not.
    world.set_tlsrpt("bad.example", "mailto:tls@good.example").unwrap();
    world.set_tlsrpt("none.example", "mailto:tls@none.example").unwrap();
    let gateway = Gateway::start(world).await;
    let to = ["pat@good.example", "pat@bad.example", "pat@none.example", "pat@quiet.example"];
    gateway.submit(&to, &message("t1@practice.example", &to.join(", "), "Hello", HARMLESS)).await.unwrap();
    gateway.settle().await;

    let rows = gateway.rows(Request::TlsrptShow).await;
    let of = |domain: &str| rows.iter().filter(|row| row["domain"] == domain).collect::<Vec<_>>();
    assert_eq!((of("good.example").len(), &of("good.example")[0]["result"]), (1, &"success".into()));
    assert_eq!(of("none.example")[0]["result"], "starttls-not-supported");
    assert_eq!(of("bad.example")[0]["policy_type"], "sts");

    let names = ["bad.example", "good.example", "none.example", "quiet.example"];
    let outcomes = ["mail-queued", "https", "mail-queued", "not-asked"];
    let expected: Vec<_> = names.iter().zip(outcomes).map(|(name, outcome)| ((*name).to_owned(), outcome.to_owned())).collect();
    assert_eq!(send(&gateway).await, expected);

    let posts = gateway.world.sts().posts("reports.good.example");
    assert_eq!(posts.len(), 1);
    assert_eq!((posts[0].path.as_str(), posts[0].content_type.as_str()), ("/tlsrpt", "application/tlsrpt+gzip"));
    let report = TlsReport::parse_json(&gunzip(&posts[0].body)).unwrap();
    let [policy] = report.policies.as_slice() else { panic!("{report:?}") };
    assert_eq!((policy.policy.policy_type, policy.policy.policy_domain.as_str()), (PolicyType::Tlsa, "mx.good.example"));
    assert!(policy.policy.policy_string[0].starts_with("3 1 1 "));
    assert_eq!((policy.summary.total_success, policy.summary.total_failure), (1, 0));

    // The mail to the domain that proves itself arrives there, over TLS, and parses.
    let sink = gateway.world.sink("good.example").unwrap();
    let letters = loop {
        let letters: Vec<_> =
            sink.messages().into_iter().filter(|letter| letter.recipients[0].address == "tls@good.example").collect();
        if !letters.is_empty() {
            break letters;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((letters.len(), letters[0].from.as_str(), letters[0].tls.is_some()), (1, "", true));
    let report = TlsReport::parse_rfc5322(&letters[0].content, 1 << 20).unwrap();
    let [policy] = report.policies.as_slice() else { panic!("{report:?}") };
    assert_eq!(
        (policy.policy.policy_type, policy.policy.mx_host.as_slice()),
        (PolicyType::Sts, &["mx.bad.example".to_owned()][..])
    );
    assert_eq!(policy.summary.total_success, 0);
    let failure = &policy.failure_details[0];
    assert_eq!(failure.result_type, ResultType::CertificateNotTrusted);
    assert_eq!(failure.receiving_mx_hostname.as_deref(), Some("mx.bad.example"));
    assert!(failure.sending_mta_ip.is_some() && failure.receiving_ip.is_some());
    assert_eq!(failure.failed_session_count, policy.summary.total_failure);

    // The other is never sent in clear and never becomes a parcel: it is dropped.
    gateway.settle().await;
    let all = gateway.rows(Request::QueueList { all: true }).await;
    let dropped: Vec<_> = all.iter().filter(|row| row["kind"] == "tls-report" && row["domain"] == "none.example").collect();
    assert_eq!((dropped.len(), &dropped[0]["state"]), (1, &"bounced".into()));
    let clear = String::from_utf8_lossy(&gateway.world.clear_bytes()).into_owned();
    assert!(!clear.contains("TLS-Report") && !clear.contains("tls@none.example"));
    // What was reported is gone; what the reports' own sessions showed remains.
    assert!(gateway.rows(Request::TlsrptShow).await.iter().all(|row| row["domain"] != "bad.example"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_does_not_get_through_stays_until_it_does() {
    let world = World::empty().await.unwrap();
    world.add("good.example", Shape::DaneGood).await.unwrap();
    let uri = world.add_report_host("good.example", StsAnswer::Status(500)).unwrap();
    world.set_tlsrpt("good.example", &uri).unwrap();
    let gateway = Gateway::start(world).await;
    gateway.submit(&["pat@good.example"], &message("t2@practice.example", "pat@good.example", "Hello", HARMLESS)).await.unwrap();
    gateway.settle().await;
    let host = "reports.good.example";
    let later = [("good.example".to_owned(), "later".to_owned())];
    for (refused, posts) in [
        (StsAnswer::Status(500), 1),
        // Redirects are not followed, not even to the same host.
        (StsAnswer::Redirect(format!("https://{host}/elsewhere")), 2),
    ] {
        gateway.world.sts().answer(host, refused);
        assert_eq!(send(&gateway).await, later);
        assert_eq!(gateway.world.sts().posts(host).len(), posts);
    }
    // A host without a certificate of a known authority is not given anything.
    let strange = wardpost::world::Leaf::self_signed(&[host]).unwrap();
    gateway.world.sts().set(host, &strange, StsAnswer::Policy(String::new())).unwrap();
    assert_eq!(send(&gateway).await, later);
    assert_eq!(gateway.world.sts().posts(host).len(), 2);
    gateway.world.add_report_host("good.example", StsAnswer::Policy(String::new())).unwrap();
    assert_eq!(send(&gateway).await, [("good.example".to_owned(), "https".to_owned())]);
    assert_eq!(send(&gateway).await, []);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_can_be_turned_off() {
    let gateway = Gateway::start_with(World::empty().await.unwrap(), |config| config + "[tlsrpt]\nenabled = false\n").await;
    let answer = gateway.ask(Request::TlsrptShow).await;
    assert!(matches!(&answer, wardpost::server::Answer::Refused(why) if why.contains("tlsrpt.enabled")), "{answer:?}");
    gateway.stop().await;
}

/// RFC 8689 lets a sender say `TLS-Required: No`; here it neither lowers anything nor travels on.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_field_that_asks_for_less_tls_is_ignored_and_dropped() {
    let world = World::empty().await.unwrap();
    for (domain, shape) in
        [("none.example", Shape::NoStarttls), ("mismatch.example", Shape::DaneMismatch), ("good.example", Shape::DaneGood)]
    {
        world.add(domain, shape).await.unwrap();
    }
    let gateway = Gateway::start(world).await;
    let to = ["pat@none.example", "pat@mismatch.example", "pat@good.example"];
    let text = message("t3@practice.example", &to.join(", "), "Hello", "the tangerine kite");
    gateway.submit(&to, &format!("TLS-Required: No\r\n{text}")).await.unwrap();
    gateway.settle().await;
    let fates = gateway.fates("t3@practice.example").await;
    let fate = |address: &str| fates.iter().find(|fate| fate.0 == address).unwrap().1.clone();
    assert_eq!(to.map(fate), ["escrowed", "escrowed", "delivered"]);
    for domain in ["none.example", "mismatch.example"] {
        let sink = gateway.world.sink(domain).unwrap();
        assert!(sink.messages().iter().all(|message| !String::from_utf8_lossy(&message.content).contains("tangerine")));
    }
    let received = gateway.world.sink("good.example").unwrap().messages();
    assert!(!String::from_utf8_lossy(&received[0].content).to_lowercase().contains("tls-required"));
    gateway.stop().await;
}
