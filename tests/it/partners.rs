//! Agreements with partners, and programs of the practice that ask over HTTP.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wardpost::config::Settings;
use wardpost::server::{Answer, Request};
use wardpost::world::World;

use crate::support::{Folder, Gateway, message, write_config};

fn pinned(config: String) -> String {
    format!(
        "{config}\n[admin]\nlisten = \"127.0.0.1:0\"\n[[pin]]\ndomain = \"verified.example\"\n\
         hosts = [\"mx.verified.example\"]\nlevel = \"authenticated\"\nreview = \"2020-06-30\"\n\
         [[pin]]\ndomain = \"dane-good.example\"\nhosts = [\"mx.dane-good.example\"]\nlevel = \"verified\"\nreview = \"2999-01-01\"\n"
    )
}

struct Reply {
    status: u16,
    head: String,
    body: Value,
}

/// One request as a program sends it.
async fn get(gateway: &Gateway, target: &str, authorization: Option<&str>) -> Reply {
    let address = gateway.running.address("admin").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap_or_default() }
}

async fn new_token(gateway: &Gateway, name: &str) -> String {
    match gateway.ask(Request::TokenAdd { name: name.to_owned() }).await {
        Answer::Secret { secret, .. } => secret,
        other => panic!("{other:?}"),
    }
}

/// Without the review date an agreement outlives the people who made it; without the contact nobody knows that it holds.
#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_is_listed_with_its_review_and_its_last_proof_and_mail_goes_on() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), pinned).await;
    let list = gateway.rows(Request::PartnersList).await;
    let domains: Vec<&str> = list.iter().map(|row| row["domain"].as_str().unwrap()).collect();
    assert_eq!(domains, ["dane-good.example", "verified.example"]);
    assert_eq!((&list[0]["review_state"], &list[1]["review_state"]), (&Value::from("later"), &Value::from("passed")));
    assert_eq!(list[1]["last_contact"], Value::Null);
    assert_eq!(list[1]["hosts"][0], "mx.verified.example");

    let to = "pat@verified.example";
    gateway.submit(&[to], &message("one@practice.example", to, "Hello", "the marmalade cat")).await.unwrap();
    gateway.settle().await;
    assert_eq!(gateway.fates("one@practice.example").await[0].1, "delivered", "a review that is due stops nothing");

    let row = gateway.rows(Request::PartnersList).await.remove(1);
    let delivered = gateway.records("one@practice.example").await.into_iter().find(|row| row["event"] == "delivered").unwrap();
    assert_eq!(row["log_entry"], delivered["seq"]);
    for (key, field) in
        [("host", "host"), ("tls", "tls"), ("cipher", "cipher"), ("chain_sha256", "chain_sha256"), ("method", "method")]
    {
        assert_eq!(row[key], delivered["proof"][field], "{key}");
    }
    assert_eq!(row["method"], "pin");

    let Answer::Rows(rows) = gateway.ask(Request::Check { domain: "verified.example".into() }).await else { panic!() };
    assert_eq!(rows[0]["pin"]["review"], "2020-06-30");
    assert_eq!(rows[0]["pin"]["review_state"], "passed");
    assert_eq!(rows[0]["last_contact"]["seq"], delivered["seq"]);
    assert_eq!(rows[0]["last_contact"]["proof"], delivered["proof"]);
    let report: wardpost::server::check::Report = serde_json::from_value(rows[0].clone()).unwrap();
    let printed = report.to_string();
    assert!(printed.contains("its review was due on 2020-06-30"), "{printed}");
    let chain = delivered["proof"]["chain_sha256"].as_str().unwrap();
    assert!(printed.contains("last contact") && printed.contains(chain), "{printed}");
    assert!(printed.contains("REQUIRETLS   not offered"), "{printed}");

    // The contact is of the log, so it is known after a restart, and to nobody else's domain.
    let gateway = gateway.restart(|_| ()).await;
    let list = gateway.rows(Request::PartnersList).await;
    assert_eq!((&list[1]["log_entry"], &list[0]["log_entry"]), (&delivered["seq"], &Value::Null));
    gateway.stop().await;
}

#[test]
fn two_pins_of_one_domain_and_a_review_that_is_no_day_are_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::start()).unwrap();
    let folder = Folder::new();
    for (change, expected) in [
        (
            Box::new(|config: String| pinned(config).replace("2020-06-30", "30.6.2020")) as Box<dyn Fn(String) -> String>,
            "pin.review of `verified.example`",
        ),
        (Box::new(|config: String| pinned(config).replace("\"dane-good.example\"", "\"verified.example\"")), "has two pins"),
        (
            Box::new(|config: String| {
                pinned(config).replace("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"0.0.0.0:0\"")
            }),
            "admin.listen",
        ),
    ] {
        let config = write_config(&folder.0, &world, change);
        let Err(error) = Settings::load(&config) else { panic!("{expected}") };
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Whoever may ask learns where the practice's mail goes, so nobody else may.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_what_check_says_to_whoever_shows_a_token_and_to_nobody_else() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), pinned).await;
    let question = "/api/v1/check?domain=dane-good.example";
    for shown in [None, Some("Bearer "), Some("Bearer wrong"), Some("Basic YTpi")] {
        let reply = get(&gateway, question, shown).await;
        assert_eq!(reply.status, 401, "{shown:?}");
        assert!(reply.head.contains("www-authenticate: bearer"), "{}", reply.head);
        assert_eq!(reply.body.get("domain"), None);
    }
    let token = new_token(&gateway, "intake").await;
    let bearer = format!("Bearer {token}");
    let reply = get(&gateway, question, Some(&bearer)).await;
    assert_eq!((reply.status, &reply.body["domain"]), (200, &Value::from("dane-good.example")), "{}", reply.head);
    assert!(reply.head.contains("content-type: application/json") && reply.head.contains("cache-control: no-store"));
    let Answer::Rows(rows) = gateway.ask(Request::Check { domain: "dane-good.example".into() }).await else { panic!() };
    let without_time = |value: &Value| {
        let mut value = value.clone();
        value.as_object_mut().unwrap().remove("at");
        value
    };
    assert_eq!(without_time(&reply.body), without_time(&rows[0]));

    for (target, status) in [("/api/v1/check", 400), ("/api/v1/check?domain=not%20a%20domain", 400), ("/api/v1/other", 404)] {
        assert_eq!(get(&gateway, target, Some(&bearer)).await.status, status, "{target}");
    }
    // Who asked stands in the log, once for the one question that was answered.
    let Answer::Text(export) = gateway.ask(Request::AuditExport { from_seq: 1 }).await else { panic!() };
    let asked: Vec<Value> = export
        .lines()
        .filter(|line| line.contains("\\\"asked\\\"") || line.contains("\"asked\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(asked.len(), 1, "{export}");
    assert!(asked[0].to_string().contains("dane-good.example") && !asked[0].to_string().contains("intake"), "{asked:?}");
    let tokens = gateway.rows(Request::TokenList).await;
    assert_eq!((&tokens[0]["name"], &tokens[0]["last_peer"]), (&Value::from("intake"), &Value::from("127.0.0.1")));
    assert!(!serde_json::to_string(&tokens).unwrap().contains(&token));

    assert!(matches!(gateway.ask(Request::TokenAdd { name: "intake".into() }).await, Answer::Refused(_)));
    assert!(matches!(gateway.ask(Request::TokenRevoke { name: "intake".into() }).await, Answer::Text(_)));
    assert_eq!(get(&gateway, question, Some(&bearer)).await.status, 401);
    gateway.stop().await;
}

/// A program that runs wild must not make the gateway dial the world.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_asks_too_often_is_told_to_wait_and_others_are_not() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), pinned).await;
    let (wild, calm) = (new_token(&gateway, "wild").await, new_token(&gateway, "calm").await);
    let bearer = format!("Bearer {wild}");
    let mut last = 0;
    for _ in 0..200 {
        let reply = get(&gateway, "/api/v1/check?domain=nothing.invalid", Some(&bearer)).await;
        last = reply.status;
        if last != 200 {
            assert!(reply.head.contains("retry-after: "), "{}", reply.head);
            break;
        }
    }
    assert_eq!(last, 429);
    let reply = get(&gateway, "/api/v1/check?domain=nothing.invalid", Some(&format!("Bearer {calm}"))).await;
    assert_eq!(reply.status, 200);
    gateway.stop().await;
}

/// While the resolver is at fault deliveries wait, whatever it answers; so nothing else may be promised.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_resolver_that_fails_its_test_check_says_that_mail_waits() {
    let world = World::start().await.unwrap();
    let folder = Folder::new();
    // The zones answer, but not below this anchor: another world's.
    let other = World::empty().await.unwrap();
    let config = write_config(&folder.0, &world, |config| config);
    std::fs::write(folder.0.join("root.key"), other.trust_anchor()).unwrap();
    let settings = Settings::load(&config).unwrap();
    let checker = wardpost::server::check::Checker::alone(&settings).unwrap();
    for name in ["verified.example", "dane-good.example"] {
        let report = checker.check(&wardpost::mail::Domain::parse(name).unwrap()).await;
        assert!(report.resolver_fault.is_some(), "{report}");
        assert_eq!(report.status, wardpost::server::check::Status::NotAsked, "{report}");
        assert!(report.to_string().contains("deliveries wait"), "{report}");
        for level in &report.levels {
            assert_eq!(level.action, "retry-then-portal", "{report}");
        }
    }
}
