//! Plans against real handshakes, in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::{ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::*;
use crate::mail::Domain;

const DAY: Duration = Duration::from_secs(86_400);
const HOST: &str = "mx.patient.example";
const DOMAIN: &str = "patient.example";
const NONE: [TlsaRecord; 0] = [];

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// Name, plan and peer, method proven or reason.
type Row = (&'static str, (TlsPlan, Peer), Result<&'static str, Reason>);

struct Peer {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(name: &str, days_left: i64) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let now = std::time::SystemTime::now();
    params.not_before = (now - 30 * DAY).into();
    let off = DAY * u32::try_from(days_left.unsigned_abs()).unwrap();
    params.not_after = (if days_left < 0 { now - off } else { now + off }).into();
    params
}

/// A certificate by `issuer`, which is sent along.
fn issued(issuer: &Issuer, name: &str, days_left: i64) -> Peer {
    let key = KeyPair::generate().unwrap();
    let certificate = params(name, days_left).signed_by(&key, issuer).unwrap();
    Peer { chain: vec![certificate.der().clone(), issuer.der().clone()], key: key.serialize_der().into() }
}

fn self_signed(name: &str, days_left: i64) -> Peer {
    let key = KeyPair::generate().unwrap();
    let certificate = params(name, days_left).self_signed(&key).unwrap();
    Peer { chain: vec![certificate.der().clone()], key: key.serialize_der().into() }
}

impl Peer {
    fn without_authority(mut self) -> Peer {
        self.chain.truncate(1);
        self
    }

    fn server(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), PrivateKeyDer::Pkcs8(self.key.clone_key()))
            .unwrap();
        config.session_storage = rustls::server::ServerSessionMemoryCache::new(32);
        Arc::new(config)
    }
}

fn record(usage: u8, selector: u8, matching: u8, certificate: &[u8]) -> TlsaRecord {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let selected = if selector == 0 { certificate } else { parsed.tbs_certificate.subject_pki.raw };
    let association = match matching {
        0 => selected.to_vec(),
        1 => digest(&SHA256, selected).as_ref().to_vec(),
        _ => digest(&SHA512, selected).as_ref().to_vec(),
    };
    TlsaRecord { usage, selector, matching, association }
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn plan_of(authentication: Authentication, gives: Level) -> TlsPlan {
    TlsPlan { host: domain(HOST), authentication, gives, is_policy: false, is_tls_demanded: false }
}

fn dane(records: impl Into<Vec<TlsaRecord>>) -> TlsPlan {
    let names = vec![domain(HOST), domain(DOMAIN)];
    plan_of(Authentication::Dane { records: records.into(), names }, Level::Authenticated)
}

fn web(roots: CaSet) -> TlsPlan {
    plan_of(Authentication::WebPki { names: vec![domain(HOST)], roots, sts: None }, Level::Verified)
}

fn pinned(certificate: &[u8]) -> TlsPlan {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, certificate).as_ref());
    plan_of(Authentication::Certificate { sha256: vec![sha256] }, Level::Authenticated)
}

fn roots_with(issuer: &Issuer) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    Arc::new(roots)
}

fn client(plan: &TlsPlan, roots: &Arc<RootCertStore>) -> TlsClient {
    tls_client(plan, roots, UnixTime::now()).unwrap()
}

/// Runs a handshake to its end, tickets included.
fn handshake(client: &TlsClient, server: &Arc<ServerConfig>) -> Result<ClientConnection, Reason> {
    let mut ours = ClientConnection::new(Arc::clone(&client.config), client.server_name.clone()).unwrap();
    let mut theirs = ServerConnection::new(Arc::clone(server)).unwrap();
    // Something said inside, so that the tickets that follow the handshake are read as well.
    theirs.writer().write_all(b"220 hello\r\n").unwrap();
    for _ in 0..20 {
        let mut wire = Vec::new();
        while ours.wants_write() {
            ours.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            theirs.read_tls(&mut wire).unwrap();
            let _ = theirs.process_new_packets();
        }
        let mut wire = Vec::new();
        while theirs.wants_write() {
            theirs.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            ours.read_tls(&mut wire).unwrap();
            ours.process_new_packets().map_err(|error| TlsClient::reason_of(&error))?;
        }
    }
    assert!(!ours.is_handshaking());
    let mut said = Vec::new();
    let _ = ours.reader().read_to_end(&mut said);
    assert_eq!(said, b"220 hello\r\n");
    Ok(ours)
}

/// Handshake and proof under a plan.
fn attempt(plan: &TlsPlan, roots: &Arc<RootCertStore>, peer: &Peer) -> Result<Proof, Reason> {
    let client = client(plan, roots);
    handshake(&client, &peer.server(rustls::ALL_VERSIONS)).and_then(|connection| client.prove(&connection))
}

#[test]
fn each_plan_takes_its_peer_and_names_the_reason_for_every_other() {
    use Reason::{CertificateExpired, CertificateHostMismatch, CertificateNotTrusted, PinMismatch, TlsaInvalid};
    let (ours, other) = (authority(), authority());
    let roots = roots_with(&ours);
    let good = || issued(&ours, HOST, 30);
    let peers = |peer: Peer, plan: &dyn Fn(&Peer) -> TlsPlan| (plan(&peer), peer);
    let ca = |selector, matching| dane([record(2, selector, matching, ours.der())]);
    let leaf = |selector, matching| move |peer: &Peer| dane([record(3, selector, matching, &peer.chain[0])]);
    let turned = |mut record: TlsaRecord| {
        record.association[0] ^= 1;
        record
    };
    let pem = ours.pem().into_bytes();
    let rows: Vec<Row> = vec![
        // DANE-EE
        ("3 1 1", peers(good(), &leaf(1, 1)), Ok("dane")),
        ("3 0 1", peers(good(), &leaf(0, 1)), Ok("dane")),
        ("3 1 2", peers(good(), &leaf(1, 2)), Ok("dane")),
        ("3 0 0", peers(good(), &leaf(0, 0)), Ok("dane")),
        ("3 1 0", peers(good(), &leaf(1, 0)), Ok("dane")),
        ("3 1 1, self-signed", peers(self_signed(HOST, 30), &leaf(1, 1)), Ok("dane")),
        ("3 1 1, another name", peers(self_signed("nobody.test", 30), &leaf(1, 1)), Ok("dane")),
        ("3 1 1, expired", peers(self_signed(HOST, -1), &leaf(1, 1)), Ok("dane")),
        ("3 1 1, one bit off", peers(good(), &|peer| dane([turned(record(3, 1, 1, &peer.chain[0]))])), Err(TlsaInvalid)),
        ("3 1 1 of the authority", peers(good(), &|_| dane([record(3, 1, 1, ours.der())])), Err(TlsaInvalid)),
        (
            "rollover: one of two",
            peers(good(), &|peer| dane([record(3, 1, 1, ours.der()), record(3, 1, 1, &peer.chain[0])])),
            Ok("dane"),
        ),
        // DANE-TA
        ("2 0 1", (ca(0, 1), good()), Ok("dane")),
        ("2 1 1", (ca(1, 1), good()), Ok("dane")),
        ("2 1 2", (ca(1, 2), good()), Ok("dane")),
        ("2 0 0", (ca(0, 0), good()), Ok("dane")),
        ("2 0 1, next-hop domain in the certificate", (ca(0, 1), issued(&ours, DOMAIN, 30)), Ok("dane")),
        ("2 0 1, another name", (ca(0, 1), issued(&ours, "nobody.test", 30)), Err(CertificateHostMismatch)),
        ("2 0 1, expired", (ca(0, 1), issued(&ours, HOST, -1)), Err(CertificateExpired)),
        ("2 0 1, authority not sent", (ca(0, 1), good().without_authority()), Err(TlsaInvalid)),
        ("2 0 0, authority not sent", (ca(0, 0), good().without_authority()), Ok("dane")),
        ("2 1 0, authority not sent", (ca(1, 0), good().without_authority()), Ok("dane")),
        (
            "2 1 0, authority not sent, another name",
            (ca(1, 0), issued(&ours, "nobody.test", 30).without_authority()),
            Err(CertificateHostMismatch),
        ),
        ("2 1 0 of another authority", (ca(1, 0), issued(&other, HOST, 30)), Err(TlsaInvalid)),
        ("2 0 1 of another authority", (ca(0, 1), issued(&other, HOST, 30)), Err(TlsaInvalid)),
        ("2 1 1 of the leaf itself", peers(good(), &|peer| dane([record(2, 1, 1, &peer.chain[0])])), Err(TlsaInvalid)),
        (
            "authority sent that signed nothing",
            (ca(0, 1), {
                let mut peer = issued(&other, HOST, 30);
                peer.chain = vec![peer.chain[0].clone(), ours.der().clone()];
                peer
            }),
            Err(TlsaInvalid),
        ),
        (
            "3 1 1 wrong, 2 0 1 right",
            (dane([turned(record(3, 1, 1, ours.der())), record(2, 0, 1, ours.der())]), good()),
            Ok("dane"),
        ),
        ("no records", (dane(NONE), good()), Err(TlsaInvalid)),
        // WebPKI
        ("webpki", (web(CaSet::Configured), good()), Ok("webpki")),
        ("webpki, authority not sent", (web(CaSet::Configured), good().without_authority()), Ok("webpki")),
        ("webpki wildcard", (web(CaSet::Configured), issued(&ours, "*.patient.example", 30)), Ok("webpki")),
        ("webpki, another name", (web(CaSet::Configured), issued(&ours, "nobody.test", 30)), Err(CertificateHostMismatch)),
        (
            "webpki, wildcard two labels up",
            (web(CaSet::Configured), issued(&ours, "*.example", 30)),
            Err(CertificateHostMismatch),
        ),
        ("webpki, expired", (web(CaSet::Configured), issued(&ours, HOST, -1)), Err(CertificateExpired)),
        ("webpki, self-signed", (web(CaSet::Configured), self_signed(HOST, 30)), Err(CertificateNotTrusted)),
        ("webpki, another authority", (web(CaSet::Configured), issued(&other, HOST, 30)), Err(CertificateNotTrusted)),
        // pins
        ("pinned CA", (web(CaSet::Pinned(pem.clone())), good()), Ok("pin")),
        ("pinned CA, another", (web(CaSet::Pinned(pem.clone())), issued(&other, HOST, 30)), Err(CertificateNotTrusted)),
        ("pinned CA, another name", (web(CaSet::Pinned(pem)), issued(&ours, "nobody.test", 30)), Err(CertificateHostMismatch)),
        ("pinned certificate", peers(self_signed("nobody.test", 30), &|peer| pinned(&peer.chain[0])), Ok("pin")),
        ("pinned certificate, another", (pinned(ours.der()), good()), Err(PinMismatch)),
        // whoever it is
        ("none", (plan_of(Authentication::None, Level::Encrypted), self_signed("nobody.test", -1)), Ok("none")),
    ];
    assert!(rows.len() >= 40);
    for (name, (plan, peer), expected) in &rows {
        let proof = attempt(plan, &roots, peer);
        assert_eq!(proof.as_ref().map(Proof::method).map_err(|reason| *reason), *expected, "{name}");
        if let Ok(proof) = proof {
            assert_eq!((proof.level(), proof.plan(), proof.host()), (plan.gives, plan.digest(), &plan.host), "{name}");
            assert_eq!(proof.tls(), "TLSv1.3");
            assert!(proof.cipher().starts_with("TLS13_"), "{}", proof.cipher());
        }
    }
}

#[test]
fn a_peer_without_the_key_of_its_certificate_is_nobody_under_any_plan() {
    let ours = authority();
    let (good, thief) = (issued(&ours, HOST, 30), self_signed(HOST, 30));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(thief.key.clone_key())).unwrap();
    let certified = Arc::new(rustls::sign::CertifiedKey::new(good.chain.clone(), key));
    let server = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    let server = Arc::new(server);
    for plan in [
        dane([record(3, 1, 1, &good.chain[0])]),
        dane([record(2, 0, 1, ours.der())]),
        web(CaSet::Configured),
        pinned(&good.chain[0]),
        plan_of(Authentication::None, Level::Encrypted),
    ] {
        assert!(handshake(&client(&plan, &roots_with(&ours)), &server).is_err(), "{plan:?}");
    }
}

#[test]
fn both_versions_resume_and_the_stored_chain_is_judged_again() {
    let ours = authority();
    let peer = issued(&ours, HOST, 30);
    for (version, name) in [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")] {
        let server = peer.server(&[version]);
        let client = client(&web(CaSet::Configured), &roots_with(&ours));
        let first = handshake(&client, &server).unwrap();
        assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
        let second = handshake(&client, &server).unwrap();
        assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed), "{name}");
        let (one, two) = (client.prove(&first).unwrap(), client.prove(&second).unwrap());
        assert_eq!(one, two);
        assert_eq!(one.tls(), name);
    }
}

#[test]
fn a_ticket_made_under_one_plan_is_worth_nothing_under_another() {
    let ours = authority();
    let roots = roots_with(&ours);
    let peer = issued(&ours, HOST, 30);
    let server = peer.server(rustls::ALL_VERSIONS);
    let matching = dane([record(3, 1, 1, &peer.chain[0])]);
    let before = client(&matching, &roots);
    handshake(&before, &server).unwrap();
    let resumed = handshake(&before, &server).unwrap();
    assert_eq!(resumed.handshake_kind(), Some(HandshakeKind::Resumed));

    // The zone now names another key: a new plan, a new client, a full handshake, and a no.
    let changed = client(&dane([record(3, 1, 1, ours.der())]), &roots);
    assert_ne!(changed.hash(), before.hash());
    assert_eq!(handshake(&changed, &server).err(), Some(Reason::TlsaInvalid));
    // Nor does the connection resumed under the old plan prove anything under the new one.
    assert_eq!(changed.prove(&resumed).err(), Some(Reason::TlsaInvalid));
    // The plan came back: its proof is as good as before, but a new client knows no ticket.
    let again = client(&matching, &roots);
    assert_eq!(handshake(&again, &server).unwrap().handshake_kind(), Some(HandshakeKind::Full));
}

#[test]
fn a_certificate_that_expired_since_the_ticket_was_made_proves_nothing() {
    let ours = authority();
    let roots = roots_with(&ours);
    let peer = issued(&ours, HOST, 30);
    let today = client(&web(CaSet::Configured), &roots);
    let connection = handshake(&today, &peer.server(rustls::ALL_VERSIONS)).unwrap();
    assert!(today.prove(&connection).is_ok());
    let later = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + 40 * DAY);
    let later = tls_client(&web(CaSet::Configured), &roots, later).unwrap();
    assert_eq!(later.prove(&connection).err(), Some(Reason::CertificateExpired));
    assert_eq!(handshake(&later, &peer.server(rustls::ALL_VERSIONS)).err(), Some(Reason::CertificateExpired));
    // A plan made in the past is judged by the clock of today.
    let expired = issued(&ours, HOST, -1);
    let earlier = tls_client(&web(CaSet::Configured), &roots, UnixTime::since_unix_epoch(DAY)).unwrap();
    assert_eq!(handshake(&earlier, &expired.server(rustls::ALL_VERSIONS)).err(), Some(Reason::CertificateExpired));
}

#[test]
fn level_encrypted_does_not_resume_and_nothing_sends_early_data() {
    let peer = self_signed(HOST, 30);
    let server = peer.server(rustls::ALL_VERSIONS);
    let open = client(&plan_of(Authentication::None, Level::Encrypted), &Arc::new(RootCertStore::empty()));
    for _ in 0..2 {
        assert_eq!(handshake(&open, &server).unwrap().handshake_kind(), Some(HandshakeKind::Full));
    }
    let strict = client(&dane([record(3, 1, 1, &peer.chain[0])]), &Arc::new(RootCertStore::empty()));
    assert!(!open.config.enable_early_data && !strict.config.enable_early_data);
}

#[test]
fn a_proof_admits_messages_of_its_own_plan_and_level_only() {
    let peer = self_signed(HOST, 30);
    let evidence = |records: Vec<TlsaRecord>| DomainEvidence {
        domain: domain(DOMAIN),
        alias_of: None,
        mx: Evidence::Present((
            vec![MxHost {
                preference: 10,
                name: domain(HOST),
                addresses: Evidence::Present((vec!["203.0.113.9".parse().unwrap()], Security::Secure)),
                tlsa: Evidence::Present(TlsaSet { base: domain(HOST), records }),
            }],
            Security::Secure,
        )),
        sts: Evidence::Absent(Denial::Proven),
        pin: None,
        starttls_seen: false,
        is_nonexistent: false,
    };
    let asked = Requirement { level: Level::Authenticated, require_tls: false };
    let now = evidence(vec![record(3, 1, 1, &peer.chain[0])]);
    let hop = plan(&asked, &now, 25).unwrap().hops.remove(0);
    let proof = attempt(&hop.plan, &Arc::new(RootCertStore::empty()), &peer).unwrap();
    assert!(clear(&hop, &asked, &now).unwrap().admits(&proof));

    // A second record appears: another plan, so the old connection carries nothing more.
    let more = evidence(vec![record(3, 1, 1, &peer.chain[0]), record(3, 0, 1, &peer.chain[0])]);
    let next = plan(&asked, &more, 25).unwrap().hops.remove(0);
    assert!(!clear(&next, &asked, &more).unwrap().admits(&proof));
    // Another domain with the same host has its own reference names, so its own plan.
    let mut other = now.clone();
    other.domain = domain("other.example");
    let its = plan(&asked, &other, 25).unwrap().hops.remove(0);
    assert!(!clear(&its, &asked, &other).unwrap().admits(&proof));
}

#[test]
fn without_roots_or_with_a_name_tls_cannot_say_there_is_no_client() {
    let none = Arc::new(RootCertStore::empty());
    let now = UnixTime::now();
    assert_eq!(tls_client(&web(CaSet::Configured), &none, now).err(), Some(Reason::CertificateNotTrusted));
    assert_eq!(tls_client(&web(CaSet::Pinned(b"nonsense".to_vec())), &none, now).err(), Some(Reason::CertificateNotTrusted));
    let unfinished = client(&plan_of(Authentication::None, Level::Encrypted), &none);
    let connection = ClientConnection::new(Arc::clone(&unfinished.config), unfinished.server_name.clone()).unwrap();
    assert_eq!(unfinished.prove(&connection).err(), Some(Reason::TlsFailed));
}

#[test]
fn sni_is_the_first_reference_name() {
    let names = vec![domain("target.example"), domain(DOMAIN)];
    let alias = plan_of(Authentication::Dane { records: vec![], names }, Level::Authenticated);
    let none = Arc::new(RootCertStore::empty());
    assert_eq!(client(&alias, &none).server_name.to_str(), "target.example");
    let open = plan_of(Authentication::None, Level::Encrypted);
    assert_eq!(client(&open, &none).server_name.to_str(), HOST);
}
