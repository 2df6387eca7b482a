//! One message to recipients in every kind of domain at once: what became of each, and what every host heard.

pub mod animals;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use wardpost::config::Settings;
use wardpost::deliver::Timeouts;
use wardpost::mail::Mailbox;
use wardpost::server::Request;
use wardpost::world::{NoticeTemplate, World, clear_dialogue};

use crate::support::{Gateway, PATIENCE, message};
use animals::{Animal, Notice, Zoo};

/// A word of the content. Whoever hears it heard the message.
const WORD: &str = "marmalade";
/// And one that only the subject has.
const SUBJECT_WORD: &str = "orchid";

/// Phases that hang are over soon; the rest is as in any gateway.
pub fn short_phases(settings: &mut Settings) {
    let short = Duration::from_secs(2);
    settings.deliver.timeouts = Timeouts {
        greeting: short,
        hello: short,
        tls: short,
        mail: short,
        rcpt: short,
        data_start: short,
        data_end: short,
        ..settings.deliver.timeouts
    };
}

/// The gateway's configuration: a second DNSSEC source for what a wildcard proves, and time enough for two hundred
/// domains on a busy machine. Few attempts at a time, so that none runs into a time-out for want of a processor.
fn roomy(config: &str, second: &str) -> String {
    let mut out = config.replace("[dns]\n", &format!("[dns]\nsecond_source = \"{second}\"\n"));
    for (before, after) in [
        ("deadline = \"2s\"", "deadline = \"4s\""),
        ("retry_after = [\"250ms\", \"500ms\"]", "retry_after = [\"1s\", \"30s\"]\nworkers = 16"),
        ("portal_after = \"1500ms\"", "portal_after = \"15s\""),
        ("portal_after_urgent = \"1s\"", "portal_after_urgent = \"15s\""),
    ] {
        assert!(out.contains(before), "{before}");
        out = out.replace(before, after);
    }
    out
}

/// Whether the sender hears of parcels and bounces. A slip needs a code, and a code most of a second.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    TheSender,
    Nobody,
}

struct Visit {
    gateway: Gateway,
    animals: Vec<Animal>,
    records: Vec<Value>,
}

impl Visit {
    /// Sends one message to all and waits until each has its fate and each notice was tried.
    async fn pay(subject: &str, told: Told, change: impl Fn(String) -> String) -> Visit {
        let world = World::empty().await.unwrap();
        let animals = Zoo::of(&world).await.animals;
        let second = world.zones().ad_resolver().to_string();
        let adjust = |settings: &mut Settings| {
            short_phases(settings);
            if told == Told::Nobody {
                settings.deliver.routes.clear();
            }
        };
        let gateway = Gateway::start_meant(world, |config| change(roomy(&config, &second)), adjust).await;
        let to: Vec<&str> = animals.iter().map(|animal| animal.recipient.as_str()).collect();
        let text = message("zoo@practice.example", "undisclosed-recipients:;", subject, &format!("the {WORD} cat"));
        gateway.submit(&to, &text).await.unwrap();
        let quiet = async {
            loop {
                let rows = gateway.rows(Request::QueueList { all: false }).await;
                let is_tried = |row: &Value| {
                    row["kind"] != "message" && row["state"] == "queued" && row["attempts"].as_u64().unwrap_or(0) > 0
                };
                if rows.iter().all(is_tried) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(3 * PATIENCE, quiet).await.expect("everything settles");
        let records = gateway.records("zoo@practice.example").await;
        Visit { gateway, animals, records }
    }

    /// What became of a recipient, as the animals' table writes it.
    fn fate(&self, pseudonym: &Value) -> (String, Option<&Value>) {
        let ends = ["delivered", "escrowed", "bounced"];
        let last = self
            .records
            .iter()
            .rfind(|row| row["recipient"] == *pseudonym && ends.contains(&row["event"].as_str().unwrap_or_default()));
        let Some(last) = last else { return ("nothing".to_owned(), None) };
        let event = last["event"].as_str().unwrap();
        let detail = if event == "delivered" { &last["proof"]["level"] } else { &last["reason"] };
        (format!("{event} {}", detail.as_str().unwrap_or("without a reason")), Some(last))
    }

    /// Recipient addresses by pseudonym.
    fn pseudonyms(&self) -> BTreeMap<String, Value> {
        let decided = self.records.iter().filter(|row| row["event"] == "decided");
        decided.map(|row| (row["named"]["recipient"].as_str().unwrap().to_owned(), row["recipient"].clone())).collect()
    }

    /// Every recipient has the fate that its domain deserves.
    fn assert_fates(&self, want: impl Fn(&Animal) -> &str) {
        let pseudonyms = self.pseudonyms();
        let mut wrong = Vec::new();
        for animal in &self.animals {
            let (fate, last) = self.fate(&pseudonyms[&animal.recipient]);
            let want = want(animal);
            if fate != want {
                let delays: Vec<&str> = self
                    .records
                    .iter()
                    .filter(|row| row["recipient"] == pseudonyms[&animal.recipient] && row["event"] == "delayed")
                    .filter_map(|row| row["reason"].as_str())
                    .collect();
                wrong.push(format!("{}: {fate}, want {want} (delayed: {delays:?})", animal.recipient));
            } else if let Some(last) = last.filter(|last| last["event"] == "delivered") {
                assert_eq!(last["proof"]["host"], animal.at_name(), "{}", animal.recipient);
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), self.animals.len(), wrong.join("\n"));
    }

    /// At every host: no content in clear, none but where it belongs, and nothing in clear but notices to these.
    fn assert_hosts(&self, wants: impl Fn(&Animal) -> &str, may_be_told_in_clear: impl Fn(&Animal) -> bool) {
        let template = NoticeTemplate {
            name: "gateway.practice.example".into(),
            from: Mailbox::parse("notice@practice.example").unwrap(),
            office: "Maple Street Office".into(),
            host: self.gateway.running.public_url().trim_start_matches("https://").to_owned(),
        };
        let mut told_in_clear = Vec::new();
        let mut received: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for sink in self.gateway.world.hosts() {
            let host = sink.host();
            for connection in sink.connections() {
                let clear = String::from_utf8_lossy(&connection.clear).into_owned();
                assert!(!clear.contains(WORD) && !clear.contains(SUBJECT_WORD), "{host} heard the message in clear: {clear}");
                let told = clear_dialogue(&template, &connection.clear)
                    .unwrap_or_else(|what| panic!("{host} heard {what} in clear: {clear}"));
                told_in_clear.extend(told.iter().map(ToString::to_string));
            }
            for message in sink.messages().iter().filter(|_| host != "mail.practice.example") {
                let content = String::from_utf8_lossy(&message.content);
                assert_eq!(message.recipients.len(), 1, "{host}");
                let recipient = message.recipients[0].address.clone();
                if content.contains(WORD) || content.contains(SUBJECT_WORD) {
                    assert!(message.tls.is_some(), "{host} has the message in clear");
                    received.entry(recipient).or_default().push(host.clone());
                }
            }
        }
        for animal in &self.animals {
            let hosts = received.remove(&animal.recipient).unwrap_or_default();
            let expected = if wants(animal).starts_with("delivered") { vec![animal.at.clone()] } else { vec![] };
            assert_eq!(hosts, expected, "who has the message to {}", animal.recipient);
            let told = told_in_clear.iter().filter(|told| **told == animal.recipient).count();
            assert!(told == 0 || may_be_told_in_clear(animal), "{} was told in clear", animal.recipient);
        }
        assert!(received.is_empty(), "{received:?}");
        let known: Vec<&str> = self.animals.iter().map(|animal| animal.recipient.as_str()).collect();
        assert!(told_in_clear.iter().all(|told| known.contains(&told.as_str())));
    }

    /// How each recipient was told of the parcel.
    fn assert_notices(&self, want: impl Fn(&Animal) -> Notice) {
        let pseudonyms = self.pseudonyms();
        let mut wrong = Vec::new();
        for animal in &self.animals {
            let sent = self
                .records
                .iter()
                .find(|row| row["event"] == "notice-sent" && row["recipient"] == pseudonyms[&animal.recipient]);
            let told = match sent.map(|row| row["proof"]["level"].as_str().unwrap_or_default()) {
                None => Notice::No,
                Some("clear") => Notice::Clear,
                Some(_) => Notice::Tls,
            };
            if told != want(animal) {
                wrong.push(format!("{}: {told:?}, want {:?}", animal.recipient, want(animal)));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

impl Animal {
    /// The name under which the host is proven: that of the MX record.
    fn at_name(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.at)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_domain_gets_what_it_can_prove_and_no_more() {
    let visit = Visit::pay(SUBJECT_WORD, Told::TheSender, |config| config).await;
    assert!(visit.animals.len() >= 60, "{}", visit.animals.len());
    visit.assert_fates(|animal| animal.want);
    visit.assert_hosts(|animal| animal.want, |animal| animal.notice == Notice::Clear);
    visit.assert_notices(|animal| animal.notice);
    visit.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_notices_off_not_one_address_is_said_in_clear() {
    let visit =
        Visit::pay(SUBJECT_WORD, Told::Nobody, |config| config.replace("[portal]\n", "[portal]\nnotice = \"none\"\n")).await;
    visit.assert_fates(|animal| animal.want);
    visit.assert_hosts(|animal| animal.want, |_| false);
    visit.assert_notices(|_| Notice::No);
    for sink in visit.gateway.world.hosts() {
        let clear = String::from_utf8_lossy(&sink.clear_bytes()).into_owned();
        assert!(!clear.contains('@') && !clear.contains("RCPT"), "{clear}");
    }
    visit.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_more_is_asked_only_hosts_that_nobody_can_swap_get_mail() {
    let visit = Visit::pay(SUBJECT_WORD, Told::Nobody, |config| {
        config.replace("[transport]\n", "[transport]\ndefault = \"authenticated\"\n")
    })
    .await;
    visit.assert_fates(|animal| animal.strict);
    visit.assert_hosts(|animal| animal.strict, |animal| animal.notice == Notice::Clear);
    visit.gateway.stop().await;
}

/// A message that goes to the portal by its sender's wish meets every domain with its notice alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_never_passes_a_policy_that_a_message_would_not() {
    let visit = Visit::pay(&format!("[secure] {SUBJECT_WORD}"), Told::Nobody, |config| config).await;
    visit.assert_fates(|_| "escrowed policy");
    visit.assert_hosts(|_| "escrowed policy", |animal| animal.notice == Notice::Clear);
    visit.assert_notices(|animal| match animal.want {
        // A notice is as welcome as the message would have been.
        "delivered authenticated" | "delivered verified" => Notice::Tls,
        _ => animal.notice,
    });
    visit.gateway.stop().await;
}
