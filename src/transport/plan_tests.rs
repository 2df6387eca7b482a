#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;

use super::*;
use crate::mail::Domain;

use Evidence::{Absent, Present, Unknown};
use Level::{Authenticated, Encrypted, Verified};
use Security::{Insecure, Secure};

type Tlsa = Evidence<TlsaSet>;

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn record(usage: u8) -> TlsaRecord {
    TlsaRecord { usage, selector: 1, matching: 1, association: vec![7; 32] }
}

fn tlsa(base: &str, usages: &[u8]) -> Tlsa {
    Present(TlsaSet { base: domain(base), records: usages.iter().map(|usage| record(*usage)).collect() })
}

fn good_tlsa() -> Tlsa {
    tlsa("mx.patient.example", &[3])
}

fn host(preference: u16, name: &str, tlsa: Tlsa) -> MxHost {
    let addresses = Present((vec!["203.0.113.5".parse::<IpAddr>().unwrap()], Secure));
    MxHost { preference, name: domain(name), addresses, tlsa }
}

fn at(address: &str) -> MxHost {
    let addresses = Present((vec![address.parse().unwrap()], Secure));
    MxHost { addresses, ..host(10, "mx.patient.example", Absent(Denial::Proven)) }
}

fn evidence(security: Security, hosts: Vec<MxHost>) -> DomainEvidence {
    DomainEvidence {
        domain: domain("patient.example"),
        alias_of: None,
        mx: Present((hosts, security)),
        sts: Absent(Denial::Proven),
        pin: None,
        starttls_seen: false,
        is_nonexistent: false,
    }
}

/// One MX host `mx.patient.example` with these TLSA records.
fn one(security: Security, tlsa: Tlsa) -> DomainEvidence {
    evidence(security, vec![host(10, "mx.patient.example", tlsa)])
}

fn none() -> Tlsa {
    Absent(Denial::Proven)
}

fn sts(mode: StsMode, mx: &[&str]) -> Evidence<StsPolicy> {
    let mx = mx.iter().map(|pattern| (*pattern).to_owned()).collect();
    Present(StsPolicy { id: "i1".into(), mode, mx, max_age_secs: 86400 })
}

fn pin(level: Level) -> Pin {
    Pin { level, hosts: vec![], certificates: vec![], ca_pem: None }
}

fn with(evidence: DomainEvidence, change: impl FnOnce(&mut DomainEvidence)) -> DomainEvidence {
    let mut evidence = evidence;
    change(&mut evidence);
    evidence
}

fn asked(level: Level) -> Requirement {
    Requirement { level, require_tls: false }
}

/// `host method level [policy]` for each hop, or kind and reason of the refusal.
fn outcome(level: Level, evidence: &DomainEvidence) -> String {
    match plan(&asked(level), evidence, 25) {
        Ok(route) => {
            let hops: Vec<String> = route.hops.iter().map(shown).collect();
            hops.join(" | ")
        }
        Err(refusal) => {
            let settled = if refusal.is_settled { " settled" } else { "" };
            format!("{:?} {}{settled}", refusal.kind, refusal.reason.as_str())
        }
    }
}

fn shown(hop: &Hop) -> String {
    let method = match &hop.plan.authentication {
        Authentication::Dane { .. } => "dane",
        Authentication::WebPki { sts: Some(_), .. } => "sts",
        Authentication::WebPki { roots: CaSet::Pinned(_), .. } => "ca",
        Authentication::WebPki { .. } => "webpki",
        Authentication::Certificate { .. } => "certificate",
        Authentication::None => "none",
    };
    let label = hop.host.as_str().split('.').next().unwrap_or_default().to_owned();
    let policy = match (hop.plan.is_policy, hop.plan.is_tls_demanded) {
        (true, _) => " policy",
        (false, true) => " tls",
        (false, false) => "",
    };
    format!("{label} {method} {}{policy}", hop.plan.gives.as_str())
}

#[test]
fn every_state_of_the_evidence_has_its_plan_or_refusal() {
    const CANNOT: &str = "CannotAuthenticate level-not-reachable settled";
    const DANE: &str = "mx dane authenticated policy";
    const STS: &str = "mx sts authenticated policy";
    const LISTED: &[&str] = &["mx.patient.example"];
    let unknown = |why| one(Secure, Unknown(why));
    let with_sts = |evidence, sts| with(evidence, |e| e.sts = sts);
    let pinned = |evidence, pin| with(evidence, |e| e.pin = Some(pin));
    let two = |first, second| evidence(Secure, vec![host(10, "one.example", first), host(20, "two.example", second)]);
    let addresses = |addresses| {
        let bare = host(10, "mx.patient.example", none());
        evidence(Secure, vec![MxHost { addresses, ..bare }])
    };
    let rows: Vec<(&str, Level, DomainEvidence, &str)> = vec![
        // DANE
        ("usable TLSA", Authenticated, one(Secure, good_tlsa()), DANE),
        ("usable TLSA though less is asked", Encrypted, one(Secure, good_tlsa()), DANE),
        ("usable TLSA under an insecure MX answer", Authenticated, one(Insecure, good_tlsa()), CANNOT),
        ("the same at verified", Verified, one(Insecure, good_tlsa()), "mx webpki verified"),
        ("usable beside unusable", Verified, one(Secure, tlsa("mx.patient.example", &[1, 3])), DANE),
        ("only unusable", Encrypted, one(Secure, tlsa("mx.patient.example", &[0, 1])), "mx none encrypted tls"),
        ("only unusable at verified", Verified, one(Secure, tlsa("mx.patient.example", &[1])), "mx webpki verified tls"),
        ("only unusable at authenticated", Authenticated, one(Secure, tlsa("mx.patient.example", &[1])), CANNOT),
        ("bogus TLSA", Encrypted, unknown(Why::Bogus), "Unknown dnssec-invalid"),
        ("SERVFAIL on TLSA", Verified, unknown(Why::ServFail), "Unknown dns-failed"),
        ("time-out on TLSA", Authenticated, unknown(Why::Timeout), "Unknown dns-failed"),
        ("unknown TLSA under an insecure MX answer", Encrypted, one(Insecure, Unknown(Why::Timeout)), "Unknown dns-failed"),
        ("one of two hosts unknown", Verified, two(Unknown(Why::Bogus), good_tlsa()), "two dane authenticated policy"),
        ("both hosts unknown", Verified, two(Unknown(Why::Timeout), Unknown(Why::Timeout)), "Unknown dns-failed"),
        ("second host without TLSA", Verified, two(good_tlsa(), none()), "one dane authenticated policy | two webpki verified"),
        ("the same where authenticated is asked", Authenticated, two(good_tlsa(), none()), "one dane authenticated policy"),
        ("one unknown, one below the level", Authenticated, two(Unknown(Why::ServFail), none()), "Unknown dns-failed"),
        // nothing published
        ("no policy at encrypted", Encrypted, one(Secure, none()), "mx none encrypted"),
        ("no policy at verified", Verified, one(Insecure, Absent(Denial::Claimed)), "mx webpki verified"),
        ("no policy at authenticated", Authenticated, one(Insecure, none()), CANNOT),
        // MTA-STS
        ("enforce, listed", Authenticated, with_sts(one(Insecure, none()), sts(StsMode::Enforce, LISTED)), STS),
        ("enforce though less is asked", Encrypted, with_sts(one(Insecure, none()), sts(StsMode::Enforce, LISTED)), STS),
        ("enforce by wildcard", Verified, with_sts(one(Insecure, none()), sts(StsMode::Enforce, &["*.patient.example"])), STS),
        (
            "enforce, not listed",
            Encrypted,
            with_sts(one(Secure, none()), sts(StsMode::Enforce, &["other.example"])),
            "PolicyViolated sts-host-not-listed",
        ),
        (
            "one of two hosts listed",
            Verified,
            with_sts(two(none(), none()), sts(StsMode::Enforce, &["two.example"])),
            "two sts authenticated policy",
        ),
        ("testing", Authenticated, with_sts(one(Secure, none()), sts(StsMode::Testing, LISTED)), CANNOT),
        (
            "testing at verified",
            Verified,
            with_sts(one(Secure, none()), sts(StsMode::Testing, &["x.example"])),
            "mx webpki verified",
        ),
        ("mode none", Encrypted, with_sts(one(Secure, none()), sts(StsMode::None, &[])), "mx none encrypted"),
        ("fetch failed", Verified, with_sts(one(Secure, none()), Unknown(Why::FetchFailed)), "mx webpki verified"),
        (
            "fetch failed where authenticated is asked",
            Authenticated,
            with_sts(one(Secure, none()), Unknown(Why::FetchFailed)),
            "Unknown sts-fetch-failed",
        ),
        (
            "TXT unknown where authenticated is asked",
            Authenticated,
            with_sts(one(Secure, none()), Unknown(Why::ServFail)),
            "Unknown dns-failed",
        ),
        ("fetch failed at encrypted", Encrypted, with_sts(one(Secure, none()), Unknown(Why::FetchFailed)), "mx webpki verified"),
        ("TXT unknown at encrypted", Encrypted, with_sts(one(Secure, none()), Unknown(Why::Timeout)), "mx webpki verified"),
        ("TXT unknown at verified", Verified, with_sts(one(Secure, none()), Unknown(Why::ServFail)), "mx webpki verified"),
        ("TXT unknown, but DANE", Authenticated, with_sts(one(Secure, good_tlsa()), Unknown(Why::Timeout)), DANE),
        ("DANE wins over MTA-STS", Verified, with_sts(one(Secure, good_tlsa()), sts(StsMode::Enforce, &["other.example"])), DANE),
        (
            "MTA-STS does not repair an unknown TLSA",
            Verified,
            with_sts(unknown(Why::Bogus), sts(StsMode::Enforce, LISTED)),
            "Unknown dnssec-invalid",
        ),
        (
            "MTA-STS does not lift unusable TLSA",
            Authenticated,
            with_sts(one(Secure, tlsa("mx.patient.example", &[1])), sts(StsMode::Enforce, LISTED)),
            CANNOT,
        ),
        (
            "but is obeyed",
            Encrypted,
            with_sts(one(Secure, tlsa("mx.patient.example", &[1])), sts(StsMode::Enforce, LISTED)),
            "mx sts verified policy",
        ),
        (
            "a violation outranks an unknown",
            Verified,
            with_sts(two(Unknown(Why::ServFail), none()), sts(StsMode::Enforce, &["other.example"])),
            "PolicyViolated sts-host-not-listed",
        ),
        // MX
        ("MX SERVFAIL", Encrypted, with(one(Secure, none()), |e| e.mx = Unknown(Why::ServFail)), "Unknown dns-failed"),
        ("MX bogus", Encrypted, with(one(Secure, none()), |e| e.mx = Unknown(Why::Bogus)), "Unknown dnssec-invalid"),
        ("MX time-out", Encrypted, with(one(Secure, none()), |e| e.mx = Unknown(Why::Timeout)), "Unknown dns-failed"),
        (
            "resolver does not validate",
            Verified,
            with(one(Secure, none()), |e| e.mx = Unknown(Why::NotValidating)),
            "Unknown dnssec-invalid",
        ),
        ("null MX", Encrypted, evidence(Secure, vec![]), "Undeliverable null-mx settled"),
        (
            "no MX, no address",
            Encrypted,
            with(one(Secure, none()), |e| e.mx = Absent(Denial::Claimed)),
            "Undeliverable domain-not-found settled",
        ),
        ("NXDOMAIN", Encrypted, with(one(Secure, none()), |e| e.is_nonexistent = true), "Undeliverable domain-not-found settled"),
        ("localhost", Encrypted, with(one(Secure, none()), |e| e.domain = domain("localhost")), "Undeliverable mx-is-us settled"),
        (
            "below localhost",
            Encrypted,
            with(one(Secure, none()), |e| e.domain = domain("a.localhost")),
            "Undeliverable mx-is-us settled",
        ),
        (
            "an address",
            Encrypted,
            with(one(Secure, none()), |e| e.domain = domain("192.0.2.1")),
            "Undeliverable address-literal settled",
        ),
        // addresses
        ("addresses unknown", Encrypted, addresses(Unknown(Why::Timeout)), "Unknown dns-failed"),
        ("no addresses", Encrypted, addresses(Absent(Denial::Claimed)), "Undeliverable domain-not-found settled"),
        ("our own address", Encrypted, addresses(Present((vec![], Secure))), "Undeliverable mx-is-us settled"),
        ("loopback", Encrypted, evidence(Secure, vec![at("127.0.0.1")]), "Undeliverable mx-is-us settled"),
        ("private", Encrypted, evidence(Secure, vec![at("10.1.2.3")]), "Undeliverable mx-is-us settled"),
        ("mapped loopback", Encrypted, evidence(Secure, vec![at("::ffff:127.0.0.1")]), "Undeliverable mx-is-us settled"),
        ("unique local", Encrypted, evidence(Secure, vec![at("fd00::1")]), "Undeliverable mx-is-us settled"),
        ("link-local", Encrypted, evidence(Secure, vec![at("169.254.1.1")]), "Undeliverable mx-is-us settled"),
        (
            "hosts behind ourselves are left out",
            Encrypted,
            with(two(none(), none()), |e| {
                let ours = MxHost { addresses: Present((vec![], Secure)), ..host(15, "us.example", none()) };
                if let Present((hosts, _)) = &mut e.mx {
                    hosts.push(ours);
                }
            }),
            "one none encrypted",
        ),
        // pins
        ("level only", Encrypted, pinned(one(Secure, none()), pin(Verified)), "mx webpki verified"),
        ("level only, not reached", Encrypted, pinned(one(Secure, none()), pin(Authenticated)), CANNOT),
        ("level only, reached by DANE", Encrypted, pinned(one(Secure, good_tlsa()), pin(Authenticated)), DANE),
        (
            "certificate",
            Authenticated,
            pinned(one(Insecure, Unknown(Why::Bogus)), Pin { certificates: vec![[1; 32]], ..pin(Authenticated) }),
            "mx certificate authenticated policy",
        ),
        (
            "certificate at verified does not reach authenticated",
            Authenticated,
            pinned(one(Insecure, none()), Pin { certificates: vec![[1; 32]], ..pin(Verified) }),
            CANNOT,
        ),
        (
            "CA",
            Authenticated,
            pinned(one(Insecure, none()), Pin { ca_pem: Some(b"pem".to_vec()), ..pin(Authenticated) }),
            "mx ca authenticated policy",
        ),
        (
            "host at a private address",
            Authenticated,
            pinned(
                evidence(Insecure, vec![at("10.1.2.3")]),
                Pin { hosts: vec![domain("mx.patient.example")], ..pin(Authenticated) },
            ),
            "mx webpki authenticated policy",
        ),
        (
            "host with TLSA",
            Authenticated,
            pinned(one(Insecure, good_tlsa()), Pin { hosts: vec![domain("mx.patient.example")], ..pin(Authenticated) }),
            DANE,
        ),
        (
            "host with unknown TLSA",
            Verified,
            pinned(one(Insecure, Unknown(Why::Bogus)), Pin { hosts: vec![domain("mx.patient.example")], ..pin(Verified) }),
            "Unknown dnssec-invalid",
        ),
        (
            "another host",
            Verified,
            pinned(one(Secure, none()), Pin { hosts: vec![domain("other.example")], ..pin(Verified) }),
            "PolicyViolated pin-mismatch",
        ),
        (
            "CA, but MTA-STS names another host",
            Verified,
            with_sts(
                pinned(one(Insecure, none()), Pin { ca_pem: Some(b"pem".to_vec()), ..pin(Verified) }),
                sts(StsMode::Enforce, &["other.example"]),
            ),
            "PolicyViolated sts-host-not-listed",
        ),
    ];
    assert!(rows.len() >= 60);
    for (name, level, evidence, expected) in &rows {
        assert_eq!(&outcome(*level, evidence), expected, "{name}");
        // Whatever is dialled reaches what was asked, and the unknown is never dialled.
        for hop in plan(&asked(*level), evidence, 25).map(|route| route.hops).unwrap_or_default() {
            assert!(hop.plan.gives >= *level, "{name}");
        }
    }
}

#[test]
fn asking_more_never_gives_a_route_with_less() {
    for tlsa in [none(), good_tlsa(), tlsa("mx.patient.example", &[1]), Unknown(Why::Bogus)] {
        for security in [Secure, Insecure] {
            for sts in [
                Absent(Denial::Claimed),
                Unknown(Why::FetchFailed),
                sts(StsMode::Enforce, &["mx.patient.example"]),
                sts(StsMode::Enforce, &["x.example"]),
                sts(StsMode::Testing, &["x.example"]),
            ] {
                let evidence = with(one(security, tlsa.clone()), |e| e.sts = sts.clone());
                let gives = |level| {
                    plan(&asked(level), &evidence, 25).ok().and_then(|route| route.hops.first().map(|hop| hop.plan.gives))
                };
                let (low, middle, high) = (gives(Encrypted), gives(Verified), gives(Authenticated));
                assert!(middle.is_none() || middle >= low, "{evidence:?}");
                assert!(high.is_none() || high == Some(Authenticated), "{evidence:?}");
                assert!(low.is_some() || middle.is_none(), "{evidence:?}");
            }
        }
    }
}

#[test]
fn reference_names_are_the_tlsa_base_and_the_next_hop_for_dane_and_the_mx_name_otherwise() {
    let evidence = one(Secure, tlsa("target.example", &[2]));
    let route = plan(&asked(Verified), &evidence, 25).unwrap();
    let Authentication::Dane { names, .. } = &route.hops[0].plan.authentication else { panic!() };
    assert_eq!(names, &[domain("target.example"), domain("patient.example")]);
    // The domain is an alias itself, to one that its certificates name.
    let alias = with(one(Secure, tlsa("target.example", &[2])), |e| e.alias_of = Some(domain("clinic.example")));
    let route = plan(&asked(Level::Authenticated), &alias, 25).unwrap();
    let Authentication::Dane { names, .. } = &route.hops[0].plan.authentication else { panic!() };
    assert_eq!(names, &[domain("target.example"), domain("patient.example"), domain("clinic.example")]);
    // A pinned host that is an alias: no MX record led there, so its own name counts beside the base.
    let fixed = with(one(Insecure, tlsa("target.example", &[2])), |e| {
        e.pin = Some(Pin { hosts: vec![domain("mx.patient.example")], ..pin(Level::Authenticated) });
    });
    let route = plan(&asked(Level::Authenticated), &fixed, 25).unwrap();
    let Authentication::Dane { names, .. } = &route.hops[0].plan.authentication else { panic!() };
    assert_eq!(names, &[domain("target.example"), domain("mx.patient.example")]);
    let route = plan(&asked(Verified), &one(Secure, none()), 25).unwrap();
    let Authentication::WebPki { names, .. } = &route.hops[0].plan.authentication else { panic!() };
    assert_eq!(names, &[domain("mx.patient.example")]);
}

#[test]
fn requiretls_asks_at_least_a_verified_peer_and_stands_in_the_clearance() {
    let requirement = Requirement { level: Encrypted, require_tls: true };
    let evidence = one(Secure, none());
    let route = plan(&requirement, &evidence, 25).unwrap();
    assert_eq!(shown(&route.hops[0]), "mx webpki verified");
    let clearance = clear(&route.hops[0], &requirement, &evidence).unwrap();
    assert!(clearance.requires_tls());
    assert_eq!(clearance.level(), Verified);
    let weak = plan(&asked(Encrypted), &evidence, 25).unwrap();
    assert!(clear(&weak.hops[0], &requirement, &evidence).is_err());
}

#[test]
fn requiretls_goes_only_where_dnssec_mta_sts_or_a_pin_vouches_for_the_host() {
    let asked = Requirement { level: Encrypted, require_tls: true };
    let result = |evidence: &DomainEvidence| match plan(&asked, evidence, 25) {
        Ok(route) => route.hops.iter().map(shown).collect::<Vec<_>>().join(" | "),
        Err(refusal) => format!("{:?} {}", refusal.kind, refusal.reason.as_str()),
    };
    let with_sts = |sts| with(one(Insecure, none()), |e| e.sts = sts);
    let listed: &[&str] = &["mx.patient.example"];
    for (evidence, expected) in [
        (one(Insecure, none()), "CannotAuthenticate level-not-reachable"),
        (one(Secure, none()), "mx webpki verified"),
        (one(Secure, good_tlsa()), "mx dane authenticated policy"),
        (with_sts(sts(StsMode::Enforce, listed)), "mx sts authenticated policy"),
        (with_sts(sts(StsMode::Testing, listed)), "CannotAuthenticate level-not-reachable"),
        (with_sts(sts(StsMode::Enforce, &["other.example"])), "PolicyViolated sts-host-not-listed"),
        (with_sts(Unknown(Why::FetchFailed)), "Unknown sts-fetch-failed"),
        (with_sts(Unknown(Why::PolicyInvalid)), "Unknown sts-policy-invalid"),
        (
            with(one(Insecure, none()), |e| e.pin = Some(Pin { certificates: vec![[1; 32]], ..pin(Verified) })),
            "mx certificate verified policy",
        ),
    ] {
        assert_eq!(result(&evidence), expected, "{evidence:?}");
    }
}

#[test]
fn equal_hosts_are_shuffled_by_the_dice_and_preferences_stay_in_order() {
    let names = ["a.example", "b.example", "c.example", "d.example"];
    let hosts = names.iter().map(|name| host(if *name == "d.example" { 5 } else { 10 }, name, none())).collect();
    let route = plan(&asked(Verified), &evidence(Secure, hosts), 25).unwrap();
    let mut orders = std::collections::BTreeMap::<String, u32>::new();
    for dice in 0..6000 {
        let mut spread = route.clone();
        spread.spread(dice);
        let order: String = spread.hops.iter().filter_map(|hop| hop.host.as_str().chars().next()).collect();
        *orders.entry(order).or_default() += 1;
        let mut again = route.clone();
        again.spread(dice);
        assert_eq!(again, spread);
    }
    // All six orders of the three equals behind the better one, each about as often.
    assert_eq!(orders.len(), 6, "{orders:?}");
    assert!(orders.iter().all(|(order, times)| order.starts_with('d') && (800..1200).contains(times)), "{orders:?}");
}

#[test]
fn a_hop_is_cleared_only_while_the_evidence_still_leads_to_it() {
    let evidence = one(Secure, good_tlsa());
    let route = plan(&asked(Authenticated), &evidence, 25).unwrap();
    let hop = &route.hops[0];
    assert_eq!(clear(hop, &asked(Authenticated), &evidence).unwrap().domain().as_str(), "patient.example");
    let kind = |evidence: &DomainEvidence| clear(hop, &asked(Authenticated), evidence).unwrap_err().kind;
    // The records changed, or cannot be seen any more, or the answer is no longer proven.
    let changed = one(Secure, tlsa("mx.patient.example", &[2]));
    assert_eq!(kind(&changed), RefusalKind::Unknown);
    assert_eq!(kind(&one(Secure, Unknown(Why::Bogus))), RefusalKind::Unknown);
    assert_eq!(kind(&one(Insecure, good_tlsa())), RefusalKind::CannotAuthenticate);
    // Another domain whose forged MX answer names the same host gets nothing from it.
    let forged = with(one(Insecure, good_tlsa()), |e| e.domain = domain("other.example"));
    assert_eq!(kind(&forged), RefusalKind::CannotAuthenticate);
    assert!(clear(hop, &asked(Verified), &forged).is_err());
}

#[test]
fn plans_that_differ_in_any_field_have_different_hashes() {
    let names = vec![domain("mx.example")];
    let base = TlsPlan {
        host: domain("mx.example"),
        authentication: Authentication::Dane { records: vec![record(3)], names: names.clone() },
        gives: Authenticated,
        is_policy: true,
        is_tls_demanded: true,
    };
    let auth = |authentication| TlsPlan { authentication, ..base.clone() };
    let web = |names: &[&str], roots, sts: Option<&str>| {
        let names = names.iter().map(|name| domain(name)).collect();
        auth(Authentication::WebPki { names, roots, sts: sts.map(str::to_owned) })
    };
    let dane = |records: Vec<TlsaRecord>| auth(Authentication::Dane { records, names: names.clone() });
    let with_bytes = |usage, association: &[u8]| TlsaRecord { association: association.to_vec(), ..record(usage) };
    let plans = [
        base.clone(),
        TlsPlan { host: domain("my.example"), ..base.clone() },
        TlsPlan { gives: Verified, ..base.clone() },
        TlsPlan { is_policy: false, ..base.clone() },
        TlsPlan { is_tls_demanded: false, ..base.clone() },
        dane(vec![record(2)]),
        dane(vec![record(3), record(3)]),
        dane(vec![with_bytes(3, &[7; 31])]),
        dane(vec![with_bytes(3, b"ab"), with_bytes(3, b"c")]),
        dane(vec![with_bytes(3, b"a"), with_bytes(3, b"bc")]),
        auth(Authentication::Dane { records: vec![record(3)], names: vec![domain("a.example")] }),
        web(&["mx.example"], CaSet::Configured, None),
        web(&["mx.example"], CaSet::Configured, Some("")),
        web(&["mx.example"], CaSet::Configured, Some("1")),
        web(&["mx.example"], CaSet::Pinned(vec![]), None),
        web(&["mx.example"], CaSet::Pinned(vec![1]), None),
        web(&["mx.example", "b.example"], CaSet::Configured, None),
        auth(Authentication::Certificate { sha256: vec![[1; 32]] }),
        auth(Authentication::Certificate { sha256: vec![[1; 32], [2; 32]] }),
        auth(Authentication::None),
    ];
    for (i, one) in plans.iter().enumerate() {
        for (j, other) in plans.iter().enumerate() {
            assert_eq!(one.digest() == other.digest(), i == j, "{one:?} {other:?}");
        }
    }
}

#[test]
fn the_plan_does_not_depend_on_the_order_of_the_records() {
    let set = |usages| plan(&asked(Verified), &one(Secure, tlsa("mx.patient.example", usages)), 25).unwrap().hops.remove(0).plan;
    assert_eq!(set(&[2, 3]).digest(), set(&[3, 2, 1]).digest());
}

#[test]
fn on_a_test_port_loopback_is_a_host_like_any() {
    let evidence = evidence(Secure, vec![at("127.9.9.9")]);
    assert_eq!(plan(&asked(Encrypted), &evidence, 2526).unwrap().hops[0].port, 2526);
}
