//! Other implementations over the same zones and hosts: unbound's verdict on DNSSEC, Postfix' on DANE, that of
//! postfix-mta-sts-resolver on MTA-STS.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use wardpost::lookup::{InProcess, Lookup, Settings};
use wardpost::mail::{Domain, Timestamp};
use wardpost::transport::{Denial, DomainEvidence, Evidence, Security, StsPolicy, Why};
use wardpost::world::World;

use crate::support::Folder;
use crate::zoo::animals::{Dane, Zoo};

/// Needs root, unbound, postfix and, for MTA-STS, pip with a registry: `cargo test --test it -- --ignored judge`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, unbound and posttls-finger"]
async fn judge_unbound_and_postfix_find_what_we_find() {
    let world = World::empty().await.unwrap();
    let animals = Zoo::of(&world).await.animals;
    let lookup = lookup(&world);
    let mut questions: Vec<Value> = Vec::new();
    let mut policies: BTreeMap<String, Value> = BTreeMap::new();
    for animal in &animals {
        let (_, domain) = animal.recipient.split_once('@').unwrap();
        let evidence = lookup.evidence(&Domain::parse(domain).unwrap()).await;
        policies.insert(domain.to_owned(), policy(domain, &evidence.sts));
        for (name, kind, ours) in verdicts(&evidence, world.mx_port()) {
            let question = json!({ "name": name, "type": kind, "ours": ours });
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
    }
    assert!(questions.len() > 200, "{}", questions.len());
    let judged: Vec<Value> = animals
        .iter()
        .filter_map(|animal| {
            let (_, domain) = animal.recipient.split_once('@')?;
            let dane = match animal.dane? {
                Dane::Verified => "verified",
                Dane::Violated => "violated",
                Dane::Unknown => "unknown",
                Dane::None => "none",
            };
            Some(json!({ "domain": domain, "dane": dane }))
        })
        .collect();
    let folder = Folder::new();
    let ca = folder.0.join("ca.pem");
    std::fs::write(&ca, world.ca_pem()).unwrap();
    let file = folder.0.join("world.json");
    let text = json!({
        "resolver": world.resolver().to_string(),
        "anchor": world.trust_anchor(),
        "ca": ca,
        "mx_port": world.mx_port(),
        "questions": questions,
        "animals": judged,
        "policies": policies.into_values().collect::<Vec<Value>>(),
        "sts_port": world.sts_port(),
        "sts_venv": concat!(env!("CARGO_TARGET_TMPDIR"), "/sts-client"),
    });
    std::fs::write(&file, text.to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/judges.py");
    let run = tokio::task::spawn_blocking(move || Command::new("python3").arg(script).arg(file).status().unwrap());
    assert!(run.await.unwrap().success(), "the judges disagree");
}

/// What a client of RFC 8461 that has never seen the domain has to find: a policy, none, or that it cannot be had.
fn policy(domain: &str, sts: &Evidence<StsPolicy>) -> Value {
    match sts {
        Evidence::Present(StsPolicy { id, mode, mx, max_age_secs }) => {
            let mut mx = mx.clone();
            mx.sort();
            json!({ "domain": domain, "verdict": "policy", "id": id, "mode": mode, "mx": mx, "max_age": max_age_secs })
        }
        Evidence::Absent(_) => json!({ "domain": domain, "verdict": "none" }),
        Evidence::Unknown(_) => json!({ "domain": domain, "verdict": "error" }),
    }
}

fn lookup(world: &World) -> Lookup {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(world.ca_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let settings = Settings {
        resolver: Some(world.resolver()),
        trust_anchor: Some(world.trust_anchor()),
        second_source: Some(world.zones().ad_resolver()),
        mx_port: world.mx_port(),
        sts_port: world.sts_port(),
        roots: Arc::new(roots),
        allow_private_sts: true,
        deadline: Duration::from_secs(4),
        ..Settings::default()
    };
    let now = || Timestamp::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64);
    Lookup::with_memory(settings, Arc::new(InProcess::default()), now).unwrap()
}

/// What a validating resolver has to say to each question that our evidence answers. Time-outs are left out: they would
/// take another resolver a minute each.
fn verdicts(evidence: &DomainEvidence, port: u16) -> Vec<(String, &'static str, &'static str)> {
    let domain = evidence.domain.to_string();
    let mut out = Vec::new();
    let of = |security: Security| if security == Security::Secure { "secure" } else { "insecure" };
    match &evidence.mx {
        Evidence::Present((hosts, security)) => {
            out.push((domain, "MX", of(*security)));
            for host in hosts {
                let name = host.name.to_string();
                match &host.addresses {
                    Evidence::Present((addresses, security)) if !addresses.is_empty() => out.push((name, "A", of(*security))),
                    Evidence::Unknown(Why::Bogus | Why::ServFail) => out.push((name, "A", "fails")),
                    Evidence::Present(_) | Evidence::Absent(_) | Evidence::Unknown(_) => {}
                }
                let owner = |base: &Domain| format!("_{port}._tcp.{base}");
                match &host.tlsa {
                    Evidence::Present(tlsa) => out.push((owner(&tlsa.base), "TLSA", "secure")),
                    Evidence::Absent(Denial::Proven) => out.push((owner(&host.name), "TLSA", "secure")),
                    Evidence::Unknown(Why::Bogus | Why::ServFail) => out.push((owner(&host.name), "TLSA", "fails")),
                    Evidence::Absent(Denial::Claimed) | Evidence::Unknown(_) => {}
                }
            }
        }
        Evidence::Absent(Denial::Proven) => out.push((domain, "MX", "secure")),
        Evidence::Absent(Denial::Claimed) => out.push((domain, "MX", "insecure")),
        Evidence::Unknown(Why::Bogus | Why::ServFail) => out.push((domain, "MX", "fails")),
        Evidence::Unknown(_) => {}
    }
    out
}
