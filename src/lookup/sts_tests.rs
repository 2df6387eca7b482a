//! MTA-STS over real HTTPS on loopback, and over time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicI64, Ordering};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpListener;

use super::dns::Answer;
use super::tests::{domain, lookup_with, settings, shown, zone};
use super::*;
use crate::observe::Event;
use crate::transport::{Denial, StsMode};
use crate::world::{Ca, Fault, Leaf, Signing, StsAnswer, StsHost, ZoneWorld, enforce, policy};

/// A domain with an MTA-STS host, and a clock and memory that outlive a `Lookup`.
struct StsWorld {
    zones: ZoneWorld,
    host: StsHost,
    ca: Ca,
    memory: Arc<InProcess>,
    clock: Arc<AtomicI64>,
}

const STS: &str = "sts.example";
const STS_HOST: &str = "mta-sts.sts.example";
const LISTED: &[&str] = &["mx.sts.example"];

impl StsWorld {
    async fn start(answer: StsAnswer) -> StsWorld {
        let ca = Ca::new("test authority").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = StsHost::serve(listener).unwrap();
        host.set(STS_HOST, &ca.leaf(&[STS_HOST]).unwrap(), answer).unwrap();
        let zones = zone(ZoneWorld::builder(), STS, Signing::Nsec)
            .record(STS_HOST, "A", "127.0.0.1")
            .record("_mta-sts.sts.example", "TXT", "v=STSv1; id=1;")
            .start()
            .await
            .unwrap();
        let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
        StsWorld { zones, host, ca, memory: Arc::default(), clock }
    }

    fn settings(&self) -> Settings {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.pem().as_bytes()).unwrap()).unwrap();
        Settings { sts_port: self.host.address().port(), roots: Arc::new(roots), ..settings(&self.zones) }
    }

    /// As after a restart: nothing but memory and clock is kept.
    fn lookup(&self) -> Lookup {
        let time = Arc::clone(&self.clock);
        Lookup::with_memory(self.settings(), Arc::clone(&self.memory), move || Timestamp(time.load(Ordering::SeqCst))).unwrap()
    }

    async fn sts(&self) -> String {
        shown_sts(&self.lookup().evidence(&domain(STS)).await.sts)
    }

    fn announce(&self, id: &str) {
        self.zones.set_txt("_mta-sts.sts.example", &[&format!("v=STSv1; id={id};")]).unwrap();
    }

    fn later(&self, secs: i64) {
        self.clock.fetch_add(secs * 1000, Ordering::SeqCst);
    }
}

fn shown_sts(sts: &Evidence<crate::transport::StsPolicy>) -> String {
    match sts {
        Evidence::Present(policy) => {
            let mode = match policy.mode {
                StsMode::Enforce => "enforce",
                StsMode::Testing => "testing",
                StsMode::None => "none",
            };
            format!("{} {mode} {}", policy.id, policy.mx.join(","))
        }
        Evidence::Absent(denial) => format!("{denial:?}"),
        Evidence::Unknown(why) => format!("{why:?}"),
    }
}

#[tokio::test]
async fn a_policy_is_taken_only_as_rfc_8461_asks() {
    const FAILED: &str = "FetchFailed";
    let text = enforce(LISTED);
    let world = StsWorld::start(StsAnswer::Policy(text.clone())).await;
    for (name, answer, expected) in [
        ("good", StsAnswer::Policy(text.clone()), "1 enforce mx.sts.example"),
        ("testing", StsAnswer::Policy(policy("testing", LISTED, 86400)), "1 testing mx.sts.example"),
        ("redirect", StsAnswer::Redirect(format!("https://{STS_HOST}/other")), FAILED),
        ("oversize", StsAnswer::Oversize(64 * 1024 + 1), FAILED),
        ("web page", StsAnswer::WrongType(text.clone()), FAILED),
        ("not found", StsAnswer::NotFound, FAILED),
        ("another status", StsAnswer::Status(204), FAILED),
        ("server error", StsAnswer::Status(500), FAILED),
        ("cut short", StsAnswer::Cut(text.clone()), FAILED),
        ("no policy", StsAnswer::Policy("hello\r\n".into()), "PolicyInvalid"),
    ] {
        let fresh = StsWorld { memory: Arc::default(), ..StsWorld::start(answer).await };
        assert_eq!(fresh.sts().await, expected, "{name}");
    }
    for (name, leaf) in [
        ("expired", world.ca.expired_leaf(&[STS_HOST]).unwrap()),
        ("another name", world.ca.leaf(&["www.sts.example"]).unwrap()),
        ("nobody vouches", Leaf::self_signed(&[STS_HOST]).unwrap()),
    ] {
        world.host.set(STS_HOST, &leaf, StsAnswer::Policy(text.clone())).unwrap();
        assert_eq!(world.sts().await, "PolicyHostNotTrusted", "{name}");
    }
    assert_eq!(world.host.fetches(STS_HOST), 0, "nothing was asked of a host that did not prove its name");
}

#[tokio::test]
async fn a_policy_host_that_hangs_ends_with_the_deadline() {
    let world = StsWorld::start(StsAnswer::Hang).await;
    let settings = Settings { deadline: Duration::from_millis(800), ..world.settings() };
    let evidence = lookup_with(settings).evidence(&domain(STS)).await;
    assert_eq!(shown_sts(&evidence.sts), "FetchFailed");
    assert_eq!(shown(&evidence), "Secure 1xSecure 1xmx.sts.example");
}

#[tokio::test]
async fn a_policy_host_on_private_addresses_is_not_reached() {
    let world = StsWorld::start(StsAnswer::Policy(enforce(LISTED))).await;
    let private = lookup_with(Settings { allow_private_sts: false, ..world.settings() });
    assert_eq!(shown_sts(&private.evidence(&domain(STS)).await.sts), "FetchFailed");
    let own = lookup_with(Settings { own_addresses: vec!["127.0.0.1".parse().unwrap()], ..world.settings() });
    assert_eq!(shown_sts(&own.evidence(&domain(STS)).await.sts), "FetchFailed");
    assert_eq!(world.host.fetches(STS_HOST), 0);
}

#[tokio::test]
async fn a_domain_without_a_policy_and_one_that_cannot_be_asked_differ() {
    let world = StsWorld::start(StsAnswer::Policy(enforce(LISTED))).await;
    world.zones.set_txt("_mta-sts.sts.example", &["v=spf1 -all"]).unwrap();
    assert_eq!(world.sts().await, "Claimed");
    world.zones.set_txt("_mta-sts.sts.example", &["v=STSv1; id=1;", "v=STSv1; id=2;"]).unwrap();
    assert_eq!(world.sts().await, "Claimed");
    world.zones.set_txt("_mta-sts.sts.example", &[]).unwrap();
    assert_eq!(world.sts().await, "Proven");
    world.zones.fault("_mta-sts.sts.example", None, Some(Fault::ServFail)).unwrap();
    assert_eq!(world.sts().await, "ServFail");
    assert_eq!(world.host.fetches(STS_HOST), 0);
}

#[tokio::test]
async fn an_unexpired_policy_outlives_an_attack_and_a_restart() {
    let held = "1 enforce mx.sts.example";
    let world = StsWorld::start(StsAnswer::Policy(policy("enforce", LISTED, 1000))).await;
    assert_eq!(world.sts().await, held);
    // The TXT record is gone, cannot be asked, or announces what cannot be fetched.
    world.zones.set_txt("_mta-sts.sts.example", &[]).unwrap();
    assert_eq!(world.sts().await, held);
    world.zones.fault("_mta-sts.sts.example", None, Some(Fault::ServFail)).unwrap();
    assert_eq!(world.sts().await, held);
    world.zones.fault("_mta-sts.sts.example", None, None).unwrap();
    world.announce("2");
    world.host.answer(STS_HOST, StsAnswer::NotFound);
    assert_eq!(world.sts().await, held);
    assert_eq!(world.host.fetches(STS_HOST), 2);
    // One lookup that keeps running holds it as well.
    let lookup = world.lookup();
    assert_eq!(shown_sts(&lookup.evidence(&domain(STS)).await.sts), held);
    world.later(999);
    assert_eq!(world.sts().await, held);
    world.later(1);
    assert_eq!(world.sts().await, "FetchFailed");
}

#[tokio::test]
async fn a_new_id_brings_the_new_policy_and_the_same_id_asks_nothing() {
    let world = StsWorld::start(StsAnswer::Policy(enforce(LISTED))).await;
    assert_eq!(world.sts().await, "1 enforce mx.sts.example");
    world.host.answer(STS_HOST, StsAnswer::Policy(enforce(&["mx.sts.example", "new.example"])));
    assert_eq!(world.sts().await, "1 enforce mx.sts.example");
    assert_eq!(world.host.fetches(STS_HOST), 1);
    world.announce("2");
    assert_eq!(world.sts().await, "2 enforce mx.sts.example,new.example");
    assert_eq!(world.host.fetches(STS_HOST), 2);
    // A policy that names strangers only does not turn the mail round at once.
    world.announce("3");
    world.host.answer(STS_HOST, StsAnswer::Policy(enforce(&["mx.evil.test"])));
    assert_eq!(world.sts().await, "3 enforce ");
    world.later(86_400);
    assert_eq!(world.sts().await, "3 enforce mx.evil.test");
    // And a domain may leave.
    world.announce("4");
    world.host.answer(STS_HOST, StsAnswer::Policy(policy("none", &[], 86_400)));
    assert_eq!(world.sts().await, "4 none ");
}

#[tokio::test]
async fn many_waiters_fetch_a_policy_once() {
    let world = StsWorld::start(StsAnswer::Policy(enforce(LISTED))).await;
    let lookup = Arc::new(world.lookup());
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let lookup = Arc::clone(&lookup);
        waiters.spawn(async move { shown_sts(&lookup.evidence(&domain(STS)).await.sts) });
    }
    assert!(waiters.join_all().await.iter().all(|sts| sts == "1 enforce mx.sts.example"));
    assert_eq!(world.host.fetches(STS_HOST), 1);
}

#[tokio::test]
async fn a_policy_lives_in_the_store_and_only_under_its_own_name_and_vault() {
    static COUNT: AtomicI64 = AtomicI64::new(0);
    let n = COUNT.fetch_add(1, Ordering::SeqCst);
    let folder = std::env::temp_dir().join(format!("wardpost-lookup-{}-{n}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let held = "1 enforce mx.sts.example";
    let world = StsWorld::start(StsAnswer::Policy(enforce(LISTED))).await;
    let vault = Arc::new(vault::Vault::ephemeral());
    let open = || {
        let settings = store::Settings { folder: folder.clone(), body_file_bytes: 128 * 1024 };
        store::Handle::open(settings, Arc::clone(&vault)).unwrap()
    };
    let sts = async |store: &store::Handle, vault: &Arc<vault::Vault>| {
        let lookup = Lookup::new(world.settings(), store.clone(), Arc::clone(vault)).unwrap();
        shown_sts(&lookup.evidence(&domain(STS)).await.sts)
    };
    let before = open();
    assert_eq!(sts(&before, &vault).await, held);
    before.close().await;
    drop(before);

    let after = open();
    world.host.answer(STS_HOST, StsAnswer::NotFound);
    world.zones.set_txt("_mta-sts.sts.example", &[]).unwrap();
    assert_eq!(sts(&after, &vault).await, held);
    // Another vault did not write it.
    assert_eq!(sts(&after, &Arc::new(vault::Vault::ephemeral())).await, "Proven");
    // A row put under another name, or made up, is none.
    let row = after.sts(&domain(STS)).await.unwrap().unwrap();
    after.put_sts(&domain("other.example"), row.clone()).await.unwrap();
    let memory = (after.clone(), Arc::clone(&vault));
    assert_eq!(memory.sts(&domain("other.example")).await, Ok(None));
    assert!(memory.sts(&domain(STS)).await.unwrap().is_some());
    let made_up = crate::secret::Sealed(b"{}".to_vec());
    after.put_sts(&domain(STS), made_up).await.unwrap();
    assert_eq!(memory.sts(&domain(STS)).await, Ok(None));
    // STARTTLS noted by a delivery is seen.
    let now = system_clock();
    after.note_starttls(&domain(STS), now).await.unwrap();
    let lookup = Lookup::new(world.settings(), after.clone(), Arc::clone(&vault)).unwrap();
    assert!(lookup.evidence(&domain(STS)).await.starttls_seen);
    after.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_policy_that_cannot_be_asked_for_again_is_told_of_once_a_day() {
    let world = StsWorld::start(StsAnswer::Policy(policy("enforce", LISTED, 7 * 86_400))).await;
    assert_eq!(world.sts().await, "1 enforce mx.sts.example");
    let lookup = world.lookup();
    let (name, other) = (domain(STS), domain("other.example"));
    let held = lookup.gather.remembered(&name).await.ok().flatten().unwrap();
    let mut none = held.clone();
    none.policy.mode = StsMode::None;
    let gone = Answer::None { denial: Denial::Claimed, is_nxdomain: true, ttl_s: 60 };
    let silent = Answer::Unknown(Why::Timeout);
    let told = |of: &Domain, held, is_wanted, answer| {
        lookup.gather.missing(of, held, is_wanted, answer, Timestamp(world.clock.load(Ordering::SeqCst))).map(|event| match event
        {
            Event::StsFetchFails { .. } => "fetch fails",
            Event::StsPolicyVanished { .. } => "vanished",
            _ => "something else",
        })
    };
    assert_eq!(told(&name, &held, false, &silent), None, "nobody knows");
    assert_eq!(told(&name, &none, false, &gone), None, "a domain that left as it should");
    assert_eq!(told(&name, &held, true, &gone), Some("fetch fails"));
    assert_eq!(told(&name, &held, true, &gone), None);
    assert_eq!(told(&other, &held, false, &gone), Some("vanished"), "another domain has its own day");
    world.later(24 * 3600 - 1);
    assert_eq!(told(&name, &held, false, &gone), None);
    world.later(1);
    assert_eq!(told(&name, &held, false, &gone), Some("vanished"));
    world.later(-7 * 86_400);
    assert_eq!(told(&name, &held, false, &gone), Some("vanished"), "a clock set back silences nobody");
}
