//! Against signed, unsigned and broken zones and an HTTPS host, all on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};

use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query};
use hickory_resolver::proto::rr::RecordType::{A, MX, TLSA, TXT};
use tokio::net::UdpSocket;

use super::*;
use crate::transport::{Level, Security, TlsaSet};
use crate::world::{Builder, Fault, Signing, ZoneWorld};

const PORT: u16 = 2525;

pub(super) fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

pub(super) fn settings(zones: &ZoneWorld) -> Settings {
    Settings {
        resolver: Some(zones.resolver()),
        trust_anchor: Some(zones.trust_anchor()),
        mx_port: PORT,
        allow_private_sts: true,
        deadline: Duration::from_secs(20),
        ..Settings::default()
    }
}

pub(super) fn lookup_with(settings: Settings) -> Lookup {
    Lookup::with_memory(settings, Arc::new(InProcess::default()), system_clock).unwrap()
}

fn tlsa_text() -> String {
    format!("3 1 1 {}", "ab".repeat(32))
}

/// `good.example` and its variants, each with one host `mx.<zone>` that has an address and a TLSA record.
pub(super) fn zone(builder: Builder, name: &str, signing: Signing) -> Builder {
    let host = format!("mx.{name}");
    builder.zone(name, signing).record(name, "MX", &format!("10 {host}.")).record(&host, "A", "127.0.0.9").record(
        &format!("_{PORT}._tcp.{host}"),
        "TLSA",
        &tlsa_text(),
    )
}

/// `<MX security> <address security> <TLSA>` of the only host, or what became of the MX question.
pub(super) fn shown(evidence: &DomainEvidence) -> String {
    if evidence.is_nonexistent {
        return "nonexistent".into();
    }
    match &evidence.mx {
        Evidence::Present((hosts, _)) if hosts.is_empty() => "null".into(),
        Evidence::Present((hosts, security)) => {
            let host = &hosts[0];
            let addresses = match &host.addresses {
                Evidence::Present((addresses, security)) => format!("{}x{security:?}", addresses.len()),
                Evidence::Absent(denial) => format!("{denial:?}"),
                Evidence::Unknown(why) => format!("{why:?}"),
            };
            let tlsa = match &host.tlsa {
                Evidence::Present(TlsaSet { base, records }) => format!("{}x{base}", records.len()),
                Evidence::Absent(denial) => format!("{denial:?}"),
                Evidence::Unknown(why) => format!("{why:?}"),
            };
            format!("{security:?} {addresses} {tlsa}")
        }
        Evidence::Absent(denial) => format!("{denial:?}"),
        Evidence::Unknown(why) => format!("{why:?}"),
    }
}

#[tokio::test]
async fn every_state_of_dns_is_seen_as_what_it_is() {
    let mut builder = ZoneWorld::builder();
    for (name, signing) in [
        ("good.example", Signing::Nsec),
        ("nsec3.example", Signing::Nsec3),
        ("plain.example", Signing::Unsigned),
        ("expired.example", Signing::Expired),
        ("altered.example", Signing::Altered),
        ("servfail.example", Signing::Nsec),
        ("mxfail.example", Signing::Nsec),
        ("refused.example", Signing::Nsec),
        ("addrfail.example", Signing::Nsec),
        ("onefamily.example", Signing::Nsec),
    ] {
        builder = zone(builder, name, signing);
    }
    let name = |host: &str| format!("_{PORT}._tcp.{host}");
    let zones = builder
        .fault(&name("mx.servfail.example"), Some(TLSA), Fault::ServFail)
        .fault("mxfail.example", Some(MX), Fault::ServFail)
        .fault("refused.example", Some(MX), Fault::Refused)
        .fault("mx.addrfail.example", None, Fault::ServFail)
        .fault("mx.onefamily.example", Some(hickory_resolver::proto::rr::RecordType::AAAA), Fault::ServFail)
        .signed("shapes.example")
        .record("none.shapes.example", "MX", "10 bare.shapes.example.")
        .record("bare.shapes.example", "A", "127.0.0.9")
        .record("null.shapes.example", "MX", "0 .")
        .record("implicit.shapes.example", "A", "127.0.0.9")
        .record(&name("implicit.shapes.example"), "TLSA", &tlsa_text())
        .record("nothing.shapes.example", "TXT", "hello")
        .record("noaddress.shapes.example", "MX", "10 nothing.shapes.example.")
        .record("alias.shapes.example", "CNAME", "good.example.")
        .record("viaalias.shapes.example", "MX", "10 mxalias.shapes.example.")
        .record("mxalias.shapes.example", "CNAME", "mx.good.example.")
        .record("own.shapes.example", "MX", "10 ownalias.shapes.example.")
        .record("ownalias.shapes.example", "CNAME", "bare.shapes.example.")
        .record(&name("ownalias.shapes.example"), "TLSA", &tlsa_text())
        .record("away.shapes.example", "MX", "10 awayalias.shapes.example.")
        .record("awayalias.shapes.example", "CNAME", "mx.plain.example.")
        .record("tlsaalias.shapes.example", "MX", "10 two.shapes.example.")
        .record("two.shapes.example", "A", "127.0.0.9")
        .record(&name("two.shapes.example"), "CNAME", &format!("{}.", name("mx.good.example")))
        .record("tlsaaway.shapes.example", "MX", "10 three.shapes.example.")
        .record("three.shapes.example", "A", "127.0.0.9")
        .record(&name("three.shapes.example"), "CNAME", &format!("{}.", name("mx.plain.example")))
        .record("tobogus.shapes.example", "MX", "10 mx.altered.example.")
        .record("tolocal.shapes.example", "MX", "10 localhost.")
        .unsigned("elsewhere.example")
        .record("elsewhere.example", "MX", "10 mx.good.example.")
        .start()
        .await
        .unwrap();
    let lookup = lookup_with(settings(&zones));
    for (domain_name, expected) in [
        ("good.example", "Secure 1xSecure 1xmx.good.example"),
        ("nsec3.example", "Secure 1xSecure 1xmx.nsec3.example"),
        ("plain.example", "Insecure 1xInsecure Claimed"),
        ("expired.example", "Bogus"),
        ("altered.example", "Bogus"),
        ("servfail.example", "Secure 1xSecure ServFail"),
        ("mxfail.example", "ServFail"),
        ("refused.example", "Other"),
        ("addrfail.example", "Secure ServFail Claimed"),
        ("onefamily.example", "Secure 1xSecure 1xmx.onefamily.example"),
        ("none.shapes.example", "Secure 1xSecure Proven"),
        ("null.shapes.example", "null"),
        ("implicit.shapes.example", "Secure 1xSecure 1ximplicit.shapes.example"),
        ("nothing.shapes.example", "nonexistent"),
        ("nobody.shapes.example", "nonexistent"),
        ("nobody.plain.example", "nonexistent"),
        ("nobody.altered.example", "Bogus"),
        ("noaddress.shapes.example", "Secure Proven Claimed"),
        ("alias.shapes.example", "Secure 1xSecure 1xmx.good.example"),
        ("viaalias.shapes.example", "Secure 1xSecure 1xmx.good.example"),
        ("own.shapes.example", "Secure 1xSecure 1xownalias.shapes.example"),
        ("away.shapes.example", "Secure 1xInsecure Proven"),
        ("tlsaalias.shapes.example", "Secure 1xSecure 1xtwo.shapes.example"),
        ("tlsaaway.shapes.example", "Secure 1xSecure Claimed"),
        ("tobogus.shapes.example", "Secure Bogus Claimed"),
        ("tolocal.shapes.example", "Secure 0xInsecure Claimed"),
        ("elsewhere.example", "Insecure 1xSecure Claimed"),
    ] {
        assert_eq!(shown(&lookup.evidence(&domain(domain_name)).await), expected, "{domain_name}");
    }
}

#[tokio::test]
async fn silence_is_unknown_and_ends_with_the_deadline() {
    let silent_tlsa = format!("_{PORT}._tcp.mx.slow.example");
    let zones = zone(zone(ZoneWorld::builder(), "slow.example", Signing::Nsec), "dead.example", Signing::Nsec)
        .fault(&silent_tlsa, Some(TLSA), Fault::Silent)
        .fault("dead.example", Some(MX), Fault::Silent)
        .start()
        .await
        .unwrap();
    let lookup = lookup_with(Settings { deadline: Duration::from_millis(600), ..settings(&zones) });
    let (slow, dead) = (domain("slow.example"), domain("dead.example"));
    let (slow, dead) = tokio::join!(lookup.evidence(&slow), lookup.evidence(&dead));
    assert_eq!(shown(&slow), "Secure 1xSecure Timeout");
    assert_eq!(shown(&dead), "Timeout");
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let lookup = lookup_with(Settings { resolver: Some(nobody), deadline: Duration::from_millis(600), ..settings(&zones) });
    let evidence = lookup.evidence(&domain("slow.example")).await;
    assert!(matches!(evidence.mx, Evidence::Unknown(_)) && matches!(evidence.sts, Evidence::Unknown(_)));
    assert!(!evidence.is_nonexistent);
}

#[tokio::test]
async fn many_waiters_share_one_flight_and_the_answer_is_kept_for_its_ttl() {
    let zones = zone(ZoneWorld::builder(), "good.example", Signing::Nsec).start().await.unwrap();
    let lookup = Arc::new(lookup_with(settings(&zones)));
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let lookup = Arc::clone(&lookup);
        waiters.spawn(async move { lookup.evidence(&domain("good.example")).await });
    }
    let answers = waiters.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(zones.asked("good.example", MX), 1);
    assert_eq!(zones.asked(&format!("_{PORT}._tcp.mx.good.example"), TLSA), 1);

    zones.set_tlsa(PORT, "mx.good.example", &[]).unwrap();
    assert_eq!(lookup.evidence(&domain("good.example")).await, answers[0]);
}

#[tokio::test]
async fn own_addresses_lead_back_and_pins_replace_the_mx_question() {
    let zones = zone(zone(ZoneWorld::builder(), "good.example", Signing::Nsec), "pinned.example", Signing::Altered)
        .start()
        .await
        .unwrap();
    let own: IpAddr = "127.0.0.9".parse().unwrap();
    let lookup = lookup_with(Settings { own_addresses: vec![own], ..settings(&zones) });
    assert_eq!(shown(&lookup.evidence(&domain("good.example")).await), "Secure 0xSecure 1xmx.good.example");

    let pin = Pin { level: Level::Verified, hosts: vec![domain("mx.good.example")], certificates: vec![], ca_pem: None };
    let pins = HashMap::from([(domain("pinned.example"), pin.clone())]);
    let lookup = lookup_with(Settings { pins, ..settings(&zones) });
    let evidence = lookup.evidence(&domain("pinned.example")).await;
    assert_eq!(shown(&evidence), "Insecure 1xSecure 1xmx.good.example");
    assert_eq!(evidence.pin, Some(pin));
    assert_eq!(zones.asked("pinned.example", MX), 0);
}

#[tokio::test]
async fn hosts_come_by_preference() {
    let zones = ZoneWorld::builder()
        .signed("many.example")
        .record("many.example", "MX", "30 c.many.example.")
        .record("many.example", "MX", "10 b.many.example.")
        .record("many.example", "MX", "20 a.many.example.")
        .start()
        .await
        .unwrap();
    let lookup = lookup_with(settings(&zones));
    let Evidence::Present((hosts, _)) = lookup.evidence(&domain("many.example")).await.mx else { panic!() };
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["b.many.example", "a.many.example", "c.many.example"]);
}

#[tokio::test]
async fn the_second_source_turns_bogus_into_proven_for_wildcards_and_for_nothing_else() {
    let zones = zone(ZoneWorld::builder(), "altered.example", Signing::Altered)
        .signed("wild.example")
        .record("wild.example", "MX", "10 mx.wild.example.")
        .record("mx.wild.example", "A", "127.0.0.9")
        .record("*._tcp.mx.wild.example", "TLSA", &tlsa_text())
        .start()
        .await
        .unwrap();
    let alone = lookup_with(settings(&zones));
    assert_eq!(shown(&alone.evidence(&domain("wild.example")).await), "Secure 1xSecure Bogus");
    let both = lookup_with(Settings { second_source: Some(zones.ad_resolver()), ..settings(&zones) });
    assert_eq!(shown(&both.evidence(&domain("wild.example")).await), "Secure 1xSecure 1xmx.wild.example");
    assert_eq!(shown(&both.evidence(&domain("altered.example")).await), "Bogus");
    assert_eq!(shown(&both.evidence(&domain("nobody.altered.example")).await), "Bogus");
    // One that does not set the bit changes nothing, and is found out.
    let deaf = lookup_with(Settings { second_source: Some(zones.resolver()), ..settings(&zones) });
    assert_eq!(shown(&deaf.evidence(&domain("wild.example")).await), "Secure 1xSecure Bogus");
    assert!(matches!(deaf.self_test().await, Err(Error::SecondSourceDoesNotValidate { .. })));
    both.self_test().await.unwrap();
    let away = Settings { second_source: Some("192.0.2.1:53".parse().unwrap()), ..settings(&zones) };
    let refused = Lookup::with_memory(away, Arc::new(InProcess::default()), system_clock);
    assert!(matches!(refused.err(), Some(Error::SecondSourceNotLoopback { .. })));
}

#[tokio::test]
async fn the_self_test_finds_a_way_on_which_dnssec_does_not_work() {
    let zones = zone(zone(ZoneWorld::builder(), "altered.example", Signing::Altered), "good.example", Signing::Nsec)
        .start()
        .await
        .unwrap();
    let bogus = |name| Settings { bogus_name: Some(domain(name)), ..settings(&zones) };
    lookup_with(bogus("mx.altered.example")).self_test().await.unwrap();
    let accepted = lookup_with(bogus("mx.good.example")).self_test().await;
    assert!(matches!(accepted, Err(Error::BogusAccepted { .. })));

    let other = ZoneWorld::builder().start().await.unwrap();
    let wrong = Settings { trust_anchor: Some(other.trust_anchor()), ..settings(&zones) };
    assert!(matches!(lookup_with(wrong).self_test().await, Err(Error::ResolverDoesNotValidate { .. })));
    for text in ["", "nonsense", ". IN A 127.0.0.1"] {
        let settings = Settings { trust_anchor: Some(text.into()), ..settings(&zones) };
        let refused = Lookup::with_memory(settings, Arc::new(InProcess::default()), system_clock);
        assert!(matches!(refused.err(), Some(Error::TrustAnchor)), "{text:?}");
    }
}

#[tokio::test]
async fn while_the_self_test_fails_nothing_from_dns_is_believed_not_even_what_is_remembered() {
    let zones = zone(zone(ZoneWorld::builder(), "good.example", Signing::Nsec), "pinned.example", Signing::Altered)
        .start()
        .await
        .unwrap();
    let pin = |certificates| Pin { level: Level::Verified, hosts: vec![domain("mx.good.example")], certificates, ca_pem: None };
    let pins = HashMap::from([(domain("pinned.example"), pin(vec![[1; 32]]))]);
    let lookup = lookup_with(Settings { pins, ..settings(&zones) });
    let (good, nobody, pinned) = (domain("good.example"), domain("nobody.good.example"), domain("pinned.example"));
    let secure = "Secure 1xSecure 1xmx.good.example";
    assert_eq!(shown(&lookup.evidence(&good).await), secure);
    assert!(lookup.evidence(&nobody).await.is_nonexistent);
    lookup.check().await.unwrap();

    zones.resign(".", Signing::Expired).unwrap();
    assert!(matches!(lookup.check().await, Err(Error::ResolverDoesNotValidate { .. })));
    assert_eq!(shown(&lookup.evidence(&good).await), "NotValidating");
    assert_eq!(shown(&lookup.evidence(&nobody).await), "NotValidating");
    // Hosts that the administrator fixed stay, for their certificate is fixed too.
    assert_eq!(shown(&lookup.evidence(&pinned).await), "Insecure 1xSecure NotValidating");

    zones.resign(".", Signing::Nsec).unwrap();
    lookup.check().await.unwrap();
    assert_eq!(shown(&lookup.evidence(&good).await), secure);
}

#[tokio::test]
async fn a_second_source_that_does_not_validate_loses_its_word_and_no_more() {
    let zones = zone(ZoneWorld::builder(), "good.example", Signing::Nsec)
        .signed("wild.example")
        .record("wild.example", "MX", "10 mx.wild.example.")
        .record("mx.wild.example", "A", "127.0.0.9")
        .record("*._tcp.mx.wild.example", "TLSA", &tlsa_text())
        .start()
        .await
        .unwrap();
    let forwarder = Settings { second_source: Some(zones.ad_resolver()), ..settings(&zones) };
    let lookup = lookup_with(Settings { bogus_name: Some(domain("mx.good.example")), ..forwarder.clone() });
    // Takes the place of a name that must not validate and does, for the first source: nothing is believed.
    assert!(matches!(lookup.check().await, Err(Error::BogusAccepted { .. })));
    assert_eq!(shown(&lookup.evidence(&domain("good.example")).await), "NotValidating");

    let deaf = lookup_with(Settings { second_source: Some(zones.resolver()), ..forwarder });
    assert!(matches!(deaf.check().await, Err(Error::SecondSourceDoesNotValidate { .. })));
    assert_eq!(shown(&deaf.evidence(&domain("good.example")).await), "Secure 1xSecure 1xmx.good.example");
    assert_eq!(shown(&deaf.evidence(&domain("wild.example")).await), "Secure 1xSecure Bogus");
}

#[tokio::test]
async fn texts_are_joined_and_failures_are_not_absences() {
    let long = "k".repeat(600);
    let zones = ZoneWorld::builder()
        .signed("good.example")
        .fault("broken.good.example", Some(TXT), Fault::ServFail)
        .start()
        .await
        .unwrap();
    zones.set_txt("s._domainkey.good.example", &[&long]).unwrap();
    let lookup = lookup_with(settings(&zones));
    assert_eq!(lookup.txt("s._domainkey.good.example").await, Evidence::Present(vec![long]));
    assert_eq!(lookup.txt("none._domainkey.good.example").await, Evidence::Absent(Denial::Proven));
    assert_eq!(lookup.txt("broken.good.example").await, Evidence::Unknown(Why::ServFail));
}

#[tokio::test]
async fn starttls_is_expected_for_ninety_days() {
    let zones = zone(ZoneWorld::builder(), "good.example", Signing::Nsec).start().await.unwrap();
    let memory = Arc::new(InProcess::default());
    let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
    let time = Arc::clone(&clock);
    let now = move || Timestamp(time.load(Ordering::SeqCst));
    let lookup = Lookup::with_memory(settings(&zones), Arc::clone(&memory), now).unwrap();
    let good = domain("good.example");
    assert!(!lookup.evidence(&good).await.starttls_seen);
    memory.note_starttls(good.clone(), Timestamp(1_700_000_000_000));
    assert!(lookup.evidence(&good).await.starttls_seen, "though the rest is cached");
    clock.fetch_add(90 * 86_400_000 - 1, Ordering::SeqCst);
    assert!(lookup.evidence(&good).await.starttls_seen);
    clock.fetch_add(1, Ordering::SeqCst);
    assert!(!lookup.evidence(&good).await.starttls_seen);
}

/// Nobody can say what was remembered.
struct Broken;

impl Memory for Broken {
    fn sts<'a>(
        &'a self,
        _: &'a Domain,
    ) -> memory::Pending<'a, Result<Option<crate::transport::mta_sts::CachedPolicy>, Forgotten>> {
        Box::pin(async { Err(Forgotten) })
    }
    fn put_sts<'a>(&'a self, _: &'a Domain, _: &'a crate::transport::mta_sts::CachedPolicy) -> memory::Pending<'a, ()> {
        Box::pin(async {})
    }
    fn starttls_seen<'a>(&'a self, _: &'a Domain) -> memory::Pending<'a, Result<Option<Timestamp>, Forgotten>> {
        Box::pin(async { Err(Forgotten) })
    }
}

#[tokio::test]
async fn a_memory_that_fails_leaves_nothing_to_be_sent() {
    let zones = zone(ZoneWorld::builder(), "good.example", Signing::Nsec).start().await.unwrap();
    let lookup = Lookup::with_memory(settings(&zones), Broken, system_clock).unwrap();
    let evidence = lookup.evidence(&domain("good.example")).await;
    assert_eq!(evidence.mx, Evidence::Unknown(Why::Other));
    assert!(evidence.starttls_seen);
    assert!(zones.asked("good.example", A) == 0);
}

/// An attacker between us and the resolver, who changes the answers about one name.
async fn attacked(
    resolver: SocketAddr,
    owner: String,
    change: impl Fn(&mut Message) + Send + 'static,
) -> (SocketAddr, tokio::task::JoinSet<()>) {
    let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = ours.local_addr().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = vec![0; 65_535];
        loop {
            let (length, client) = ours.recv_from(&mut buffer).await.unwrap();
            let about = Message::from_vec(&buffer[..length]).unwrap();
            let onward = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            onward.send_to(&buffer[..length], resolver).await.unwrap();
            let length = onward.recv(&mut buffer).await.unwrap();
            let mut reply = Message::from_vec(&buffer[..length]).unwrap();
            let query = &about.queries[0];
            if query.query_type() == TLSA && query.name().to_ascii().trim_end_matches('.') == owner {
                change(&mut reply);
            }
            ours.send_to(&reply.to_vec().unwrap(), client).await.unwrap();
        }
    });
    (at, tasks)
}

/// The authority section of the denial of one name.
async fn denial(resolver: SocketAddr, name: &str) -> Vec<hickory_resolver::proto::rr::Record> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(absolute(name).unwrap(), TLSA));
    let mut edns = hickory_resolver::proto::op::Edns::new();
    edns.set_dnssec_ok(true).set_max_payload(4096);
    query.edns = Some(edns);
    socket.send_to(&query.to_vec().unwrap(), resolver).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap().authorities
}

#[tokio::test]
async fn nobody_on_the_path_takes_tlsa_records_away() {
    use hickory_resolver::proto::op::ResponseCode;
    use hickory_resolver::proto::rr::RecordType::{NSEC, RRSIG, SOA};
    let zones = zone(zone(ZoneWorld::builder(), "good.example", Signing::Nsec), "plain.example", Signing::Unsigned)
        .start()
        .await
        .unwrap();
    let owner = format!("_{PORT}._tcp.mx.good.example");
    let foreign = denial(zones.resolver(), "nobody.plain.example").await;
    let own = denial(zones.resolver(), "nobody.good.example").await;
    assert!(foreign.iter().any(|record| record.record_type() == SOA) && own.iter().any(|record| record.record_type() == NSEC));
    type Change = Box<dyn Fn(&mut Message) + Send>;
    let emptied = |code, authorities: Vec<hickory_resolver::proto::rr::Record>| -> Change {
        Box::new(move |reply| {
            reply.metadata.response_code = code;
            reply.answers.clear();
            reply.authorities = authorities.clone();
        })
    };
    let forged = |owner: &str| {
        use hickory_resolver::proto::rr::rdata::SOA;
        let soa = SOA::new(absolute("ns.example").unwrap(), absolute("h.example").unwrap(), 1, 2, 3, 4, 5);
        vec![hickory_resolver::proto::rr::Record::from_rdata(absolute(owner).unwrap(), 60, RData::SOA(soa))]
    };
    let attacks: Vec<(&str, Change)> = vec![
        ("a denial made up at the name", emptied(ResponseCode::NoError, forged(&owner))),
        ("a denial made up at the host", emptied(ResponseCode::NoError, forged("mx.good.example"))),
        ("a denial made up at the zone", emptied(ResponseCode::NXDomain, forged("good.example"))),
        ("a denial made up above the zone", emptied(ResponseCode::NXDomain, forged("example"))),
        ("a denial made up at the root", emptied(ResponseCode::NoError, forged("."))),
        ("nothing at all", emptied(ResponseCode::NoError, vec![])),
        ("no such name", emptied(ResponseCode::NXDomain, vec![])),
        ("the denial of an unsigned zone", emptied(ResponseCode::NoError, foreign.clone())),
        ("the same as NXDOMAIN", emptied(ResponseCode::NXDomain, foreign)),
        ("the denial of another name", emptied(ResponseCode::NoError, own)),
        ("SERVFAIL", emptied(ResponseCode::ServFail, vec![])),
        ("signatures stripped", Box::new(|reply| reply.answers.retain(|record| record.record_type() != RRSIG))),
        (
            "another key",
            Box::new(|reply| {
                for record in &mut reply.answers {
                    if let RData::TLSA(tlsa) = &mut record.data {
                        tlsa.cert_data[0] ^= 1;
                    }
                }
            }),
        ),
    ];
    for (name, change) in attacks {
        let (at, _tasks) = attacked(zones.resolver(), owner.clone(), change).await;
        let lookup = lookup_with(Settings { resolver: Some(at), deadline: Duration::from_secs(5), ..settings(&zones) });
        let evidence = lookup.evidence(&domain("good.example")).await;
        let Evidence::Present((hosts, Security::Secure)) = &evidence.mx else { panic!("{name}: {}", shown(&evidence)) };
        assert!(matches!(hosts[0].tlsa, Evidence::Unknown(_)), "{name}: {}", shown(&evidence));
    }
    let (at, _tasks) = attacked(zones.resolver(), owner, |_| {}).await;
    let untouched = lookup_with(Settings { resolver: Some(at), ..settings(&zones) });
    assert_eq!(shown(&untouched.evidence(&domain("good.example")).await), "Secure 1xSecure 1xmx.good.example");
}

/// The parent's records at the cut seem to cover all names below it (RFC 6840, section 4.1; RFC 5155, section 8.9).
#[tokio::test]
async fn a_parents_denials_take_nothing_away_below_its_cut() {
    use hickory_resolver::proto::op::ResponseCode;
    use hickory_resolver::proto::rr::RecordType::{NSEC, NSEC3};
    for (signing, kind) in [(Signing::Nsec, NSEC), (Signing::Nsec3, NSEC3)] {
        let builder = ZoneWorld::builder().zone("parent.example", signing);
        let zones = zone(builder, "good.parent.example", Signing::Nsec).start().await.unwrap();
        // Every such record of the parent, gathered from the denials of many names.
        let mut parents: Vec<hickory_resolver::proto::rr::Record> = Vec::new();
        for n in 0..40 {
            for record in denial(zones.resolver(), &format!("nobody{n}.parent.example")).await {
                if !parents.contains(&record) {
                    parents.push(record);
                }
            }
        }
        assert!(parents.iter().filter(|record| record.record_type() == kind).count() >= 2, "{signing:?}");
        let owner = format!("_{PORT}._tcp.mx.good.parent.example");
        for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
            let authorities = parents.clone();
            let change = move |reply: &mut Message| {
                reply.metadata.response_code = code;
                reply.answers.clear();
                reply.authorities = authorities.clone();
            };
            let (at, _tasks) = attacked(zones.resolver(), owner.clone(), change).await;
            let lookup = lookup_with(Settings { resolver: Some(at), deadline: Duration::from_secs(5), ..settings(&zones) });
            let evidence = lookup.evidence(&domain("good.parent.example")).await;
            let Evidence::Present((hosts, Security::Secure)) = &evidence.mx else { panic!("{code}: {}", shown(&evidence)) };
            assert!(matches!(hosts[0].tlsa, Evidence::Unknown(_)), "{signing:?} {code}: {}", shown(&evidence));
        }
    }
}

/// CVE-2023-50387: without bounds 300 keys would be tried with each of 300 signatures of each record set.
#[tokio::test]
async fn a_zone_of_colliding_keys_ends_unknown_after_a_bounded_number_of_questions() {
    let zones = zone(zone(ZoneWorld::builder(), "trap.example", Signing::KeyTrap), "good.example", Signing::Nsec);
    let zones = zones.start().await.unwrap();
    let lookup = lookup_with(settings(&zones));
    let (trap, good) = (domain("trap.example"), domain("good.example"));
    let (trapped, fine) = tokio::join!(lookup.evidence(&trap), lookup.evidence(&good));
    assert_eq!(shown(&trapped), "Bogus");
    assert_eq!(shown(&fine), "Secure 1xSecure 1xmx.good.example");
    // Each signature that is looked at asks for the keys of its signer; the others are not looked at.
    let asked = zones.asked("trap.example", hickory_resolver::proto::rr::RecordType::DNSKEY);
    assert!((1..=300).contains(&asked), "{asked}");
}

/// RFC 9276, section 3.2.
#[tokio::test]
async fn denials_with_many_rounds_prove_nothing_and_with_very_many_they_are_bogus() {
    let mut builder = ZoneWorld::builder();
    for rounds in [0, 50, 51, 500, 501] {
        let name = format!("r{rounds}.example");
        builder = builder.zone(&name, Signing::Nsec3Rounds(rounds)).record(&name, "MX", &format!("10 mx.{name}."));
        builder = builder.record(&format!("mx.{name}"), "A", "127.0.0.9");
    }
    let zones = builder.start().await.unwrap();
    let lookup = lookup_with(settings(&zones));
    for (rounds, expected) in [
        (0, "Secure 1xSecure Proven"),
        (50, "Secure 1xSecure Proven"),
        (51, "Secure 1xSecure Claimed"),
        (500, "Secure 1xSecure Claimed"),
        (501, "Secure 1xSecure Bogus"),
    ] {
        let evidence = lookup.evidence(&domain(&format!("r{rounds}.example"))).await;
        assert_eq!(shown(&evidence), expected, "{rounds} rounds");
    }
}

#[tokio::test]
async fn a_domain_that_is_an_alias_is_known_by_both_names_only_if_every_step_is_proven() {
    let zones = zone(zone(ZoneWorld::builder(), "good.example", Signing::Nsec), "plain.example", Signing::Unsigned)
        .signed("shapes.example")
        .record("alias.shapes.example", "CNAME", "good.example.")
        .record("away.shapes.example", "CNAME", "plain.example.")
        .start()
        .await
        .unwrap();
    let lookup = lookup_with(settings(&zones));
    for (name, expected) in
        [("good.example", None), ("alias.shapes.example", Some("good.example")), ("away.shapes.example", None)]
    {
        let evidence = lookup.evidence(&domain(name)).await;
        assert!(matches!(evidence.mx, Evidence::Present(_)), "{name}");
        assert_eq!(evidence.alias_of.as_ref().map(Domain::as_str), expected, "{name}");
    }
}
