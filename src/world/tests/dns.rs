//! Every state of security as hickory's validating stub sees it, and as a validating resolver says it.

use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequestOptions, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use crate::world::{Fault, Leaf, Signing, ZoneWorld};

#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Secure(usize),
    Insecure(usize),
    NoneSecure(ResponseCode),
    NoneInsecure(ResponseCode),
    Bogus,
    Failed,
}

pub fn stub(world: &ZoneWorld) -> TokioResolver {
    let mut server = NameServerConfig::udp_and_tcp(world.resolver().ip());
    for connection in &mut server.connections {
        connection.port = world.resolver().port();
    }
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
    options.cache_size = 0;
    options.timeout = Duration::from_secs(5);
    options.attempts = 1;
    let anchors: TrustAnchors = world.trust_anchor().parse().unwrap();
    builder.with_trust_anchor(Arc::new(anchors)).build().unwrap()
}

pub async fn look(stub: &TokioResolver, name: &str, kind: RecordType) -> Seen {
    match stub.lookup(name, kind).await {
        Ok(lookup) => {
            let relevant = || lookup.answers().iter().filter(|r| [kind, RecordType::CNAME].contains(&r.record_type()));
            match relevant().map(|record| record.proof).min() {
                Some(Proof::Secure) => Seen::Secure(relevant().count()),
                Some(Proof::Insecure) => Seen::Insecure(relevant().count()),
                _ => Seen::Bogus,
            }
        }
        Err(NetError::Dns(DnsError::DnssecBogus)) => Seen::Bogus,
        Err(NetError::Dns(DnsError::Nsec { proof: Proof::Insecure, response, .. })) => {
            Seen::NoneInsecure(response.metadata.response_code)
        }
        Err(NetError::Dns(DnsError::Nsec { .. })) => Seen::Bogus,
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            match none.authorities.iter().flat_map(|records| records.iter()).map(|record| record.proof).min() {
                Some(Proof::Secure) => Seen::NoneSecure(none.response_code),
                Some(Proof::Insecure) => Seen::NoneInsecure(none.response_code),
                _ => Seen::Bogus,
            }
        }
        Err(_) => Seen::Failed,
    }
}

/// The same zone under each way of signing.
async fn zones() -> ZoneWorld {
    let mut builder = ZoneWorld::builder();
    for (label, signing) in [
        ("nsec", Signing::Nsec),
        ("nsec3", Signing::Nsec3),
        ("plain", Signing::Unsigned),
        ("expired", Signing::Expired),
        ("altered", Signing::Altered),
    ] {
        for zone in [format!("{label}.example."), format!("{label}.below.test.")] {
            builder = builder.zone(&zone, signing);
            let host = format!("mx.{zone}");
            builder = builder
                .record(&zone, "MX", &format!("10 {host}"))
                .record(&host, "A", "127.0.0.9")
                .record(&format!("_2525._tcp.{host}"), "TLSA", &format!("3 1 1 {}", "ab".repeat(32)))
                .record(&format!("alias.{zone}"), "CNAME", &host)
                .record(&format!("away.{zone}"), "CNAME", "mx.plain.example.")
                .record(&format!("*.wild.{zone}"), "TXT", "anything");
        }
    }
    builder.start().await.unwrap()
}

#[tokio::test]
async fn each_way_of_signing_is_seen_as_what_it_is() {
    use ResponseCode::{NXDomain, NoError};
    let world = zones().await;
    let stub = stub(&world);
    for parent in ["example.", "below.test."] {
        for signed in ["nsec", "nsec3"] {
            let zone = format!("{signed}.{parent}");
            let cases = [
                (zone.clone(), RecordType::MX, Seen::Secure(1)),
                (format!("mx.{zone}"), RecordType::A, Seen::Secure(1)),
                (format!("_2525._tcp.mx.{zone}"), RecordType::TLSA, Seen::Secure(1)),
                (format!("alias.{zone}"), RecordType::A, Seen::Secure(2)),
                (format!("away.{zone}"), RecordType::A, Seen::Insecure(2)),
                (format!("mx.{zone}"), RecordType::AAAA, Seen::NoneSecure(NoError)),
                (format!("_25._tcp.mx.{zone}"), RecordType::TLSA, Seen::NoneSecure(NXDomain)),
                (format!("_tcp.mx.{zone}"), RecordType::TLSA, Seen::NoneSecure(NoError)),
                (format!("_25._tcp.alias.{zone}"), RecordType::TLSA, Seen::NoneSecure(NXDomain)),
                (format!("nobody.{zone}"), RecordType::MX, Seen::NoneSecure(NXDomain)),
                (format!("aaa.{zone}"), RecordType::MX, Seen::NoneSecure(NXDomain)),
                (format!("a.b.c.zzz.{zone}"), RecordType::MX, Seen::NoneSecure(NXDomain)),
                (format!("x.wild.{zone}"), RecordType::MX, Seen::NoneSecure(NoError)),
                (zone.clone(), RecordType::TXT, Seen::NoneSecure(NoError)),
            ];
            for (name, kind, expected) in cases {
                assert_eq!(look(&stub, &name, kind).await, expected, "{name} {kind}");
            }
        }
        let zone = format!("plain.{parent}");
        for (name, kind, expected) in [
            (zone.clone(), RecordType::MX, Seen::Insecure(1)),
            (format!("mx.{zone}"), RecordType::A, Seen::Insecure(1)),
            (format!("_2525._tcp.mx.{zone}"), RecordType::TLSA, Seen::Insecure(1)),
            (format!("mx.{zone}"), RecordType::AAAA, Seen::NoneInsecure(NoError)),
            (format!("nobody.{zone}"), RecordType::MX, Seen::NoneInsecure(NXDomain)),
        ] {
            assert_eq!(look(&stub, &name, kind).await, expected, "{name} {kind}");
        }
        for bogus in ["expired", "altered"] {
            let zone = format!("{bogus}.{parent}");
            for (name, kind) in [
                (zone.clone(), RecordType::MX),
                (format!("mx.{zone}"), RecordType::A),
                (format!("_2525._tcp.mx.{zone}"), RecordType::TLSA),
                (format!("_25._tcp.mx.{zone}"), RecordType::TLSA),
                (format!("mx.{zone}"), RecordType::AAAA),
                (format!("nobody.{zone}"), RecordType::MX),
            ] {
                assert_eq!(look(&stub, &name, kind).await, Seen::Bogus, "{name} {kind}");
            }
        }
    }
    assert_eq!(look(&stub, "nobody.example.", RecordType::MX).await, Seen::NoneSecure(NXDomain));
    assert_eq!(look(&stub, "nowhere.", RecordType::MX).await, Seen::NoneSecure(NXDomain));
}

#[tokio::test]
async fn wildcards_hold_under_nsec3_and_are_the_known_false_bogus_under_nsec() {
    let world = zones().await;
    let stub = stub(&world);
    assert_eq!(look(&stub, "x.wild.nsec3.example.", RecordType::TXT).await, Seen::Secure(1));
    // hickory refuses positive answers from a wildcard that NSEC proves; a second source is asked for exactly these.
    assert_eq!(look(&stub, "x.wild.nsec.example.", RecordType::TXT).await, Seen::Bogus);
    assert_eq!(ad(&world, "x.wild.nsec.example.", RecordType::TXT).await, (ResponseCode::NoError, true, 1));
}

#[tokio::test]
async fn another_anchor_makes_everything_bogus() {
    let (world, other) = (zones().await, zones().await);
    let mut server = NameServerConfig::udp_and_tcp(world.resolver().ip());
    server.connections.iter_mut().for_each(|connection| connection.port = world.resolver().port());
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().use_hosts_file = ResolveHosts::Never;
    let anchors: TrustAnchors = other.trust_anchor().parse().unwrap();
    let stub = builder.with_trust_anchor(Arc::new(anchors)).build().unwrap();
    assert_eq!(look(&stub, "nsec.example.", RecordType::MX).await, Seen::Bogus);
}

#[tokio::test]
async fn records_faults_and_signatures_change_while_it_runs() {
    let world = zones().await;
    let stub = stub(&world);
    let owner = "_2525._tcp.mx.nsec.example.";
    let leaf = Leaf::self_signed(&["mx.nsec.example"]).unwrap();
    let records = [leaf.tlsa(3, 1, 1).unwrap(), leaf.tlsa(3, 0, 1).unwrap(), leaf.tlsa(3, 1, 2).unwrap()];
    world.set_tlsa(2525, "mx.nsec.example", &records).unwrap();
    let lookup = stub.lookup(owner, RecordType::TLSA).await.unwrap();
    let served: Vec<Vec<u8>> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::TLSA(tlsa) => Some(tlsa.cert_data.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(served.len(), 3);
    assert!(records.iter().all(|record| served.contains(&record.association)));

    world.set_tlsa(2525, "mx.nsec.example", &[]).unwrap();
    assert_eq!(look(&stub, owner, RecordType::TLSA).await, Seen::NoneSecure(ResponseCode::NXDomain));

    world.fault(owner, Some(RecordType::TLSA), Some(Fault::ServFail)).unwrap();
    assert_eq!(look(&stub, owner, RecordType::TLSA).await, Seen::Failed);
    world.fault(owner, Some(RecordType::TLSA), None).unwrap();

    let long = "v=DKIM1; k=rsa; p=".to_owned() + &"A".repeat(2000);
    world.set_txt("s._domainkey.nsec.example", &[&long]).unwrap();
    assert_eq!(look(&stub, "s._domainkey.nsec.example.", RecordType::TXT).await, Seen::Secure(1), "over TCP");

    world.resign("nsec.example", Signing::Altered).unwrap();
    assert_eq!(look(&stub, "nsec.example.", RecordType::MX).await, Seen::Bogus);
    world.resign("nsec.example", Signing::Nsec).unwrap();
    assert_eq!(look(&stub, "s._domainkey.nsec.example.", RecordType::TXT).await, Seen::Secure(1));
    world.add_zone("late.example", Signing::Nsec3).unwrap();
    world.set("late.example", "MX", &["0 ."]).unwrap();
    assert_eq!(look(&stub, "late.example.", RecordType::MX).await, Seen::Secure(1));
    assert!(world.asked("late.example", RecordType::MX) >= 1);
}

#[tokio::test]
async fn a_silent_name_gets_no_answer_while_others_do() {
    let world = zones().await;
    world.fault("mx.nsec.example", None, Some(Fault::Silent)).unwrap();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for (id, name) in [(1, "mx.nsec.example."), (2, "nsec.example.")] {
        let mut query = Message::new(id, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::MX));
        socket.send_to(&query.to_vec().unwrap(), world.resolver()).await.unwrap();
    }
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).await.unwrap();
    // Questions are answered in their order, so the first one has none.
    let reply = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!((reply.metadata.id, reply.answers.len()), (2, 1));
}

#[tokio::test]
async fn a_time_to_live_holds_for_records_and_for_absence() {
    let world = zones().await;
    world.set_ttl(7);
    let stub = stub(&world);
    let found = stub.lookup("nsec.example.", RecordType::MX).await.unwrap();
    assert!(found.answers().iter().all(|record| record.ttl == 7));
    let Err(NetError::Dns(DnsError::NoRecordsFound(none))) = stub.lookup("nobody.nsec.example.", RecordType::MX).await else {
        panic!("a name that is not there");
    };
    let denial = none.authorities.unwrap();
    assert!(!denial.is_empty() && denial.iter().all(|record| record.ttl == 7));
}

/// What the second server says: code, AD, number of answers of the type.
async fn ad(world: &ZoneWorld, name: &str, kind: RecordType) -> (ResponseCode, bool, usize) {
    use hickory_resolver::net::client::Client;
    use hickory_resolver::net::tcp::TcpClientStream;
    use hickory_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _};
    let (stream, sender) = TcpClientStream::new(world.ad_resolver(), None, None, TokioRuntimeProvider::default());
    let patience = Duration::from_secs(5);
    let (client, background) = Client::<TokioRuntimeProvider>::with_timeout(stream.await.unwrap(), sender, patience);
    let background = tokio::spawn(background);
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.edns_set_dnssec_ok = true;
    let query = Query::query(Name::from_ascii(name).unwrap(), kind);
    let reply = client.lookup(query, options).first_answer().await.unwrap();
    background.abort();
    let answers = reply.answers.iter().filter(|record| record.record_type() == kind).count();
    (reply.metadata.response_code, reply.metadata.authentic_data, answers)
}

#[tokio::test]
async fn the_validating_server_sets_ad_and_hides_what_is_bogus() {
    use ResponseCode::{NXDomain, NoError, ServFail};
    let world = zones().await;
    for (name, kind, expected) in [
        ("nsec.example.", RecordType::MX, (NoError, true, 1)),
        ("nsec3.below.test.", RecordType::MX, (NoError, true, 1)),
        ("nobody.nsec.example.", RecordType::MX, (NXDomain, true, 0)),
        ("plain.example.", RecordType::MX, (NoError, false, 1)),
        ("away.nsec.example.", RecordType::A, (NoError, false, 1)),
        ("altered.example.", RecordType::MX, (ServFail, false, 0)),
        ("expired.example.", RecordType::MX, (ServFail, false, 0)),
    ] {
        assert_eq!(ad(&world, name, kind).await, expected, "{name} {kind}");
    }
}
