//! An attacker between the gateway and DNS. He may keep mail from leaving, and nothing else: no answer of a signed zone
//! becomes "there is none", or another answer.

use std::net::Ipv4Addr;
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode::{FormErr, NXDomain, NoError, Refused, ServFail};
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::RecordType::{A, CNAME, DNSKEY, DS, MX, SOA, TLSA, TXT};
use hickory_resolver::proto::rr::rdata::MX as Exchange;
use wardpost::server::Request;
use wardpost::world::{Attack, Leaf, Mitm, Signing, SinkSettings, StsAnswer, Versions, World, enforce};

use crate::support::{Gateway, PATIENCE, message};
use crate::zoo::short_phases;

const WORD: &str = "marmalade";

/// Where the record is seen all the same: no attack, or one on what the proof of a record that exists does not need. (A
/// key that DS names by its digest is that key, whether or not the set of keys is signed.)
const UNNOTICED: &[&str] = &["honest", "late", "no-denials", "no-soa", "cname-empty", "bad-dnskey"];

/// Each attack by a name that fits into a domain. The zone is `NAME.example`, its host `mx.NAME.example`.
fn attacks(evil: Ipv4Addr) -> Vec<(&'static str, Box<dyn Fn(&str) -> Vec<Attack>>)> {
    let unsigned = || "unsigned.example".to_owned();
    let elsewhere = || RData::MX(Exchange::new(1, "mx.evil.example.".parse().unwrap()));
    let address = move || RData::A(evil.into());
    let one = |attack: Attack| Box::new(move |_: &str| vec![attack.clone()]) as Box<dyn Fn(&str) -> Vec<Attack>>;
    vec![
        ("no-signatures", one(Attack::NoSignatures)),
        ("no-dnssec", one(Attack::NoDnssec)),
        ("no-denials", one(Attack::NoDenials)),
        ("no-ds", one(Attack::Empty(DS))),
        ("no-ds-soa", one(Attack::EmptyWithSoa(DS))),
        ("no-ds-name", one(Attack::NxDomainWithSoa(DS))),
        ("no-ds-foreign", one(Attack::ForeignSoa(DS, unsigned()))),
        ("ds-servfail", one(Attack::Fails(DS, ServFail))),
        ("ds-silent", one(Attack::Silent(DS))),
        ("no-ds-no-dnssec", Box::new(|_| vec![Attack::NoDnssec, Attack::Empty(DS)])),
        ("no-dnskey", one(Attack::Empty(DNSKEY))),
        ("dnskey-servfail", one(Attack::Fails(DNSKEY, ServFail))),
        ("no-soa", one(Attack::Empty(SOA))),
        ("bad-tlsa", one(Attack::BadSignatures(TLSA))),
        ("bad-mx", one(Attack::BadSignatures(MX))),
        ("bad-a", one(Attack::BadSignatures(A))),
        ("bad-dnskey", one(Attack::BadSignatures(DNSKEY))),
        ("bad-ds", one(Attack::BadSignatures(DS))),
        ("tlsa-empty", one(Attack::Empty(TLSA))),
        ("tlsa-empty-soa", one(Attack::EmptyWithSoa(TLSA))),
        ("tlsa-nxdomain", one(Attack::Fails(TLSA, NXDomain))),
        ("tlsa-nxdomain-soa", one(Attack::NxDomainWithSoa(TLSA))),
        ("tlsa-foreign", one(Attack::ForeignSoa(TLSA, unsigned()))),
        ("tlsa-foreign-nx", one(Attack::ForeignNxDomain(TLSA, unsigned()))),
        ("tlsa-servfail", one(Attack::Fails(TLSA, ServFail))),
        ("tlsa-refused", one(Attack::Fails(TLSA, Refused))),
        ("tlsa-formerr", one(Attack::Fails(TLSA, FormErr))),
        ("tlsa-silent", one(Attack::Silent(TLSA))),
        ("tlsa-late", one(Attack::Late(TLSA, Duration::from_secs(30)))),
        ("tlsa-cut", one(Attack::Truncated(TLSA))),
        ("tlsa-alias", one(Attack::Alias(TLSA, "keys.unsigned.example".into()))),
        // Denials that are true, of other names and types.
        ("tlsa-replay", Box::new(|zone| vec![Attack::ReplayedDenial(TLSA, NoError, format!("mx.{zone}"))])),
        ("tlsa-replay-nx", Box::new(|zone| vec![Attack::ReplayedDenial(TLSA, NXDomain, format!("nobody.{zone}"))])),
        ("tlsa-replay-apex", Box::new(|zone| vec![Attack::ReplayedDenial(TLSA, NoError, zone.to_owned())])),
        ("mx-replay", Box::new(|zone| vec![Attack::ReplayedDenial(MX, NoError, format!("mx.{zone}"))])),
        ("mx-replay-nx", Box::new(|zone| vec![Attack::ReplayedDenial(MX, NXDomain, format!("nobody.{zone}"))])),
        ("mx-empty", one(Attack::Empty(MX))),
        ("mx-empty-soa", one(Attack::EmptyWithSoa(MX))),
        ("mx-nxdomain", one(Attack::Fails(MX, NXDomain))),
        ("mx-nxdomain-soa", one(Attack::NxDomainWithSoa(MX))),
        ("mx-foreign", one(Attack::ForeignSoa(MX, unsigned()))),
        ("mx-foreign-nx", one(Attack::ForeignNxDomain(MX, unsigned()))),
        ("mx-servfail", one(Attack::Fails(MX, ServFail))),
        ("mx-silent", one(Attack::Silent(MX))),
        ("mx-cut", one(Attack::Truncated(MX))),
        ("mx-forged", one(Attack::Replaced(MX, vec![elsewhere()]))),
        ("mx-forged-sig", one(Attack::ReplacedUnderSignature(MX, vec![elsewhere()]))),
        ("mx-forged-bare", Box::new(move |_| vec![Attack::NoDnssec, Attack::Replaced(MX, vec![elsewhere()])])),
        ("mx-alias", one(Attack::Alias(MX, "unsigned.example".into()))),
        ("cname-empty", one(Attack::Empty(CNAME))),
        ("a-empty", one(Attack::Empty(A))),
        ("a-nxdomain-soa", one(Attack::NxDomainWithSoa(A))),
        ("a-foreign", one(Attack::ForeignSoa(A, unsigned()))),
        ("a-servfail", one(Attack::Fails(A, ServFail))),
        ("a-silent", one(Attack::Silent(A))),
        ("a-forged", one(Attack::Replaced(A, vec![address()]))),
        ("a-forged-sig", one(Attack::ReplacedUnderSignature(A, vec![address()]))),
        ("a-alias", one(Attack::Alias(A, "mx.unsigned.example".into()))),
        (
            "all-empty-foreign",
            Box::new(move |_| [MX, A, TLSA, DS, DNSKEY].map(|kind| Attack::ForeignSoa(kind, unsigned())).into()),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attacker_on_the_way_to_dns_can_delay_and_nothing_else() {
    let world = World::empty().await.unwrap();
    let mitm = Mitm::before(world.resolver()).await.unwrap();
    let zones = world.zones();
    // Where he would like to have the mail: everything good, for whoever believes him.
    let mut tempting = Vec::new();
    for name in ["unsigned", "evil"] {
        let (domain, host) = (format!("{name}.example"), format!("mx.{name}.example"));
        zones.add_zone(&domain, Signing::Unsigned).unwrap();
        zones.set(&domain, "MX", &[&format!("10 {host}.")]).unwrap();
        let tls = Some(world.ca().leaf(&[&host]).unwrap().server_config(Versions::Both).unwrap());
        tempting.push(world.add_host(&host, SinkSettings { host: host.clone(), tls, ..SinkSettings::default() }).await.unwrap());
    }
    let evil = match tempting[1].address().ip() {
        std::net::IpAddr::V4(v4) => v4,
        other => panic!("{other}"),
    };
    zones.set("keys.unsigned.example", "TLSA", &[&format!("3 1 1 {}", "ab".repeat(32))]).unwrap();
    let mut recipients = Vec::new();
    for (label, signing) in [("", Signing::Nsec), ("3", Signing::Nsec3)] {
        for (name, attack) in attacks(evil) {
            let (domain, host) = (format!("{name}{label}.example"), format!("mx.{name}{label}.example"));
            zones.add_zone(&domain, signing).unwrap();
            zones.set(&domain, "MX", &[&format!("10 {host}.")]).unwrap();
            // The TLSA record does not match, though the certificate is good: who is talked out of it delivers.
            let leaf = world.ca().leaf(&[&host]).unwrap();
            let tls = Some(leaf.server_config(Versions::Both).unwrap());
            world.add_host(&host, SinkSettings { host: host.clone(), tls, ..SinkSettings::default() }).await.unwrap();
            world.set_tlsa(&host, &[leaf.tlsa_mismatch(3, 1, 1).unwrap()]).unwrap();
            attack(&domain).into_iter().for_each(|attack| mitm.set(&domain, attack).unwrap());
            recipients.push(format!("pat@{domain}"));
        }
    }
    // MTA-STS in a signed zone: who believes that there is none delivers to a stranger.
    for (name, attack) in [
        ("sts-empty", Attack::Empty(TXT)),
        ("sts-nxdomain-soa", Attack::NxDomainWithSoa(TXT)),
        ("sts-foreign", Attack::ForeignSoa(TXT, "unsigned.example".into())),
        ("sts-servfail", Attack::Fails(TXT, ServFail)),
        ("sts-silent", Attack::Silent(TXT)),
    ] {
        let (domain, host) = (format!("{name}.example"), format!("mx.{name}.example"));
        zones.add_zone(&domain, Signing::Nsec3).unwrap();
        zones.set(&domain, "MX", &[&format!("10 {host}.")]).unwrap();
        let tls = Some(Leaf::self_signed(&[&host]).unwrap().server_config(Versions::Both).unwrap());
        world.add_host(&host, SinkSettings { host: host.clone(), tls, ..SinkSettings::default() }).await.unwrap();
        world.set_sts(&domain, StsAnswer::Policy(enforce(&[&host]))).unwrap();
        mitm.set(&format!("_mta-sts.{domain}"), attack).unwrap();
        recipients.push(format!("pat@{domain}"));
    }
    // Without an attack, and with a truth that comes late, the record is seen and not matched.
    for (name, attack) in [("honest", None), ("late", Some(Attack::Late(TLSA, Duration::from_millis(300))))] {
        let (domain, host) = (format!("{name}.example"), format!("mx.{name}.example"));
        zones.add_zone(&domain, Signing::Nsec).unwrap();
        zones.set(&domain, "MX", &[&format!("10 {host}.")]).unwrap();
        let leaf = world.ca().leaf(&[&host]).unwrap();
        let tls = Some(leaf.server_config(Versions::Both).unwrap());
        world.add_host(&host, SinkSettings { host: host.clone(), tls, ..SinkSettings::default() }).await.unwrap();
        world.set_tlsa(&host, &[leaf.tlsa_mismatch(3, 1, 1).unwrap()]).unwrap();
        attack.into_iter().for_each(|attack| mitm.set(&domain, attack).unwrap());
        recipients.push(format!("pat@{domain}"));
    }

    // The least that a practice can ask for: TLS with whomever. Only what is published asks for more.
    let before = world.resolver().to_string();
    let change = |config: String| {
        config
            .replace(&before, &mitm.address().to_string())
            .replace("[transport]\n", "[transport]\ndefault = \"encrypted\"\n")
            .replace("deadline = \"2s\"", "deadline = \"4s\"")
            .replace("retry_after = [\"250ms\", \"500ms\"]", "retry_after = [\"1s\", \"30s\"]\nworkers = 16")
            .replace("portal_after = \"1500ms\"", "portal_after = \"10s\"")
    };
    let gateway = Gateway::start_meant(world, change, |settings| {
        short_phases(settings);
        // Nobody has to be told a code.
        settings.deliver.routes.clear();
    })
    .await;
    let to: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let text = message("attack@practice.example", "undisclosed-recipients:;", "Hello", &format!("the {WORD} cat"));
    gateway.submit(&to, &text).await.unwrap();
    let quiet = async {
        loop {
            let rows = gateway.rows(Request::QueueList { all: false }).await;
            if rows.iter().all(|row| row["kind"] == "report" && row["attempts"].as_u64().unwrap_or(0) > 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(3 * PATIENCE, quiet).await.expect("everything settles");

    let mut wrong = Vec::new();
    for (recipient, event, reason) in gateway.fates("attack@practice.example").await {
        let name = recipient.trim_start_matches("pat@").trim_end_matches(".example").trim_end_matches('3');
        let expected: &[&str] = if UNNOTICED.contains(&name) { &["tlsa-invalid"] } else { &["dnssec-invalid", "dns-failed"] };
        if event != "escrowed" || !expected.contains(&reason.as_str()) {
            wrong.push(format!("{recipient}: {event} {reason}, want {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for sink in gateway.world.hosts() {
        assert_eq!(sink.message_count(), 0, "{}", sink.host());
        assert!(!String::from_utf8_lossy(&sink.clear_bytes()).contains('@'), "{}", sink.host());
    }
    let records = gateway.records("attack@practice.example").await;
    assert!(records.iter().all(|row| row["event"] != "notice-sent"));
    gateway.stop().await;
}
