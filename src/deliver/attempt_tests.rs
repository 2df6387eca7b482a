use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Contents, Way};
use super::content::Content;
use super::dialogue::RequireTls;
use super::settings::{Login, NoticeMode, RouteProof};
use super::testing::{Text, VERIFIED, World, address, domain, evidence, host, mailbox, text, to, with_sts, with_tlsa};
use super::weather::Shown;
use crate::escrow::{Notice, Number};
use crate::mail::{BodyId, ParcelId, Timestamp};
use crate::queue::Outcome;
use crate::secret::{Key, Nonce, Sealed};
use crate::transport::{DomainEvidence, Evidence, Level, Reason, RefusalKind, Requirement};
use crate::world::{Leaf, Offers, Step, When};

const CONTENT: &[u8] = b"From: dr@practice.example\r\nSubject: results\r\n\r\nAll is well.\r\n.\r\n..\r\nBye\r\n";

fn delayed(kind: RefusalKind, reason: Reason) -> Outcome {
    Outcome::Delayed { kind, reason }
}

fn settled(kind: RefusalKind, reason: Reason) -> Outcome {
    Outcome::CannotReachLevel { kind, reason }
}

/// One attempt to `pat@patient.example`.
async fn try_once(world: &World) -> super::Attempted {
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    world.attempts().deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &text(), None).await
}

#[tokio::test]
async fn a_message_arrives_byte_for_byte_whatever_the_host_offers() {
    let world = World::of(1).await;
    world.table.set(evidence("patient.example", &[0]));
    let all = Offers::default();
    let cases = [
        all,
        Offers { chunking: false, ..all },
        Offers { pipelining: false, ..all },
        Offers { chunking: false, pipelining: false, ..all },
        Offers { dsn: false, size: None, eight_bit_mime: false, smtp_utf8: false, ..all },
    ];
    for (n, offers) in cases.into_iter().enumerate() {
        world.sinks[0].set_offers(offers);
        let attempted = try_once(&world).await;
        assert_eq!(attempted.outcome, Outcome::Delivered, "{offers:?}");
        let proof = attempted.proof.unwrap();
        assert_eq!((proof.level.as_str(), proof.method.as_str(), proof.host), ("verified", "webpki", host(0)));
        let received = world.sinks[0].messages();
        assert_eq!(received.len(), n + 1);
        assert_eq!(received[n].content, CONTENT, "{offers:?}");
        assert_eq!(received[n].from, "dr@practice.example");
        assert_eq!(received[n].recipients[0].address, "pat@patient.example");
        let parameters = &received[n].mail_parameters;
        assert_eq!(parameters.contains("RET=HDRS") && parameters.contains("ENVID=e1"), offers.dsn, "{parameters}");
    }
    // Nothing but the way into TLS was ever said in clear.
    let clear = String::from_utf8(world.sinks[0].clear_bytes()).unwrap();
    assert_eq!(clear.replace("EHLO gw.practice.example\r\nSTARTTLS\r\n", ""), "");
}

#[tokio::test]
async fn unusable_tlsa_records_ask_for_tls_and_for_nothing_more() {
    let world = World::of(1).await;
    let strange = Leaf::self_signed(&[&host(0)]).unwrap();
    let mut unusable = with_tlsa(evidence("patient.example", &[0]), &strange);
    if let Evidence::Present((hosts, _)) = &mut unusable.mx
        && let Evidence::Present(tlsa) = &mut hosts[0].tlsa
    {
        tlsa.records[0].usage = 1;
    }
    world.table.set(unusable);
    world.set_leaf(0, &strange);
    let cannot = settled(RefusalKind::CannotAuthenticate, Reason::CertificateNotTrusted);
    assert_eq!(try_once(&world).await.outcome, cannot);
    world.sinks[0].set_tls(None);
    let violated = delayed(RefusalKind::PolicyViolated, Reason::StarttlsNotSupported);
    assert_eq!(try_once(&world).await.outcome, violated);
    assert_eq!(world.sinks[0].message_count(), 0);
}

#[tokio::test]
async fn a_proven_host_that_is_busy_inside_tls_breaks_no_policy() {
    let world = World::of(1).await;
    let leaf = world.ca.leaf(&[&host(0)]).unwrap();
    world.set_leaf(0, &leaf);
    world.table.set(with_tlsa(evidence("patient.example", &[0]), &leaf));
    for (step, reason) in [
        (Step::Reply("421 4.3.2 busy".into()), Reason::TemporaryReply),
        (Step::Reply("550 5.7.1 no".into()), Reason::GreetingRefused),
        (Step::Drop, Reason::ProtocolError),
    ] {
        world.sinks[0].clear_script();
        world.sinks[0].always(When::EhloInside, step.clone());
        assert_eq!(try_once(&world).await.outcome, delayed(RefusalKind::Unknown, reason), "{step:?}");
    }
}

/// A body that is opened chunk by chunk.
struct Large(BodyId, Arc<Sealed>);

impl Contents for Large {
    async fn open(&self) -> Option<Content> {
        Content::sealed(b"A: b\r\n", Key::of([5; 32]), self.0, Arc::clone(&self.1)).await.ok()
    }
}

#[tokio::test]
async fn a_large_message_is_sent_in_chunks_and_stays_whole() {
    let world = World::of(1).await;
    world.table.set(evidence("patient.example", &[0]));
    let line = [&[b'x'; 76][..], b"\r\n"].concat();
    let body = line.repeat(20_000);
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    let id = BodyId([9; 16]);
    let sealed = Arc::new(crate::queue::pack::seal_body(&Key::of([5; 32]), Nonce([1; 7]), id, &body));
    for chunking in [true, false] {
        world.sinks[0].set_offers(Offers { chunking, ..Offers::default() });
        let contents = Large(id, Arc::clone(&sealed));
        let attempted = world.attempts().deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &contents, None).await;
        assert_eq!(attempted.outcome, Outcome::Delivered);
    }
    for received in world.sinks[0].messages() {
        assert!(received.content == [&b"A: b\r\n\r\n"[..], &body].concat());
    }
    assert!(world.sinks[0].connections()[0].commands.iter().filter(|line| line.starts_with("BDAT")).count() > 1);
}

#[tokio::test]
async fn a_bare_line_end_never_leaves() {
    let world = World::of(1).await;
    world.table.set(evidence("patient.example", &[0]));
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    for chunking in [true, false] {
        world.sinks[0].set_offers(Offers { chunking, ..Offers::default() });
        for smuggled in [&b"x\n.\r\nMAIL FROM:<a@b>\r\n"[..], b"x\r\n.\rMAIL\r\n", b"x\0\r\n"] {
            let contents = Text(b"A: b\r\n".to_vec(), smuggled.to_vec());
            let attempted = world.attempts().deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &contents, None).await;
            assert_eq!(attempted.outcome, delayed(RefusalKind::Unknown, Reason::ProtocolError));
        }
    }
    assert_eq!(world.sinks[0].message_count(), 0);
}

#[tokio::test]
async fn what_a_host_shows_decides_where_the_copy_goes() {
    use RefusalKind::{CannotAuthenticate, CannotEncrypt, PolicyViolated};
    let world = World::of(1).await;
    let good = world.ca.leaf(&[&host(0)]).unwrap();
    let other_name = world.ca.leaf(&["mx.other.example"]).unwrap();
    let expired = world.ca.expired_leaf(&[&host(0)]).unwrap();
    let strange = Leaf::self_signed(&[&host(0)]).unwrap();
    let plain = evidence("patient.example", &[0]);
    let dane = with_tlsa(plain.clone(), &good);
    let sts = with_sts(plain.clone(), &host(0));
    let mut seen = plain.clone();
    seen.starttls_seen = true;
    let cases = [
        ("good", Some(&good), &plain, Outcome::Delivered),
        ("good, DANE", Some(&good), &dane, Outcome::Delivered),
        ("good, MTA-STS", Some(&good), &sts, Outcome::Delivered),
        ("no STARTTLS", None, &plain, settled(CannotEncrypt, Reason::StarttlsNotSupported)),
        ("no STARTTLS any more", None, &seen, delayed(PolicyViolated, Reason::StarttlsGone)),
        ("no STARTTLS, DANE", None, &dane, delayed(PolicyViolated, Reason::StarttlsNotSupported)),
        ("other name", Some(&other_name), &plain, settled(CannotAuthenticate, Reason::CertificateHostMismatch)),
        ("expired", Some(&expired), &plain, settled(CannotAuthenticate, Reason::CertificateExpired)),
        ("self-signed", Some(&strange), &plain, settled(CannotAuthenticate, Reason::CertificateNotTrusted)),
        ("TLSA of another key", Some(&other_name), &dane, delayed(PolicyViolated, Reason::TlsaInvalid)),
        ("self-signed, MTA-STS", Some(&strange), &sts, delayed(PolicyViolated, Reason::CertificateNotTrusted)),
    ];
    for (name, leaf, evidence, expected) in cases {
        match leaf {
            Some(leaf) => world.set_leaf(0, leaf),
            None => world.sinks[0].set_tls(None),
        }
        world.table.set(evidence.clone());
        let before = world.sinks[0].message_count();
        let attempted = try_once(&world).await;
        assert_eq!(attempted.outcome, expected, "{name}");
        let is_delivered = expected == Outcome::Delivered;
        assert_eq!(world.sinks[0].message_count() - before, u64::from(is_delivered), "{name}");
        assert_eq!(attempted.proof.is_some(), is_delivered, "{name}");
        let shown = match (leaf, evidence.starttls_seen) {
            (Some(_), _) => Shown::StartTls,
            (None, true) => Shown::Gone,
            (None, false) => Shown::Missing,
        };
        assert_eq!(attempted.shown, Some(shown), "{name}");
    }
}

#[tokio::test]
async fn the_next_host_is_tried_and_one_refusal_for_good_ends_it() {
    let world = World::of(2).await;
    world.table.set(evidence("patient.example", &[0, 1]));
    let reset = |world: &World| world.sinks.iter().for_each(crate::world::Sink::clear_script);

    world.set_leaf(0, &Leaf::self_signed(&[&host(0)]).unwrap());
    assert_eq!(try_once(&world).await.outcome, Outcome::Delivered, "a host below the level is skipped");
    assert_eq!((world.sinks[0].message_count(), world.sinks[1].message_count()), (0, 1));
    world.set_leaf(0, &world.ca.leaf(&[&host(0)]).unwrap());

    world.sinks[0].always(When::Rcpt(None), Step::Reply("451 4.3.0 later".into()));
    assert_eq!(try_once(&world).await.outcome, Outcome::Delivered, "a busy host is passed over");
    assert_eq!(world.sinks[1].message_count(), 2);

    world.sinks[1].always(When::Mail, Step::Reply("421 4.3.2 closing".into()));
    let attempted = try_once(&world).await;
    assert_eq!(attempted.outcome, delayed(RefusalKind::Unknown, Reason::TemporaryReply));
    assert_eq!(attempted.reply.unwrap().code, 451);

    reset(&world);
    world.sinks[0].always(When::Rcpt(None), Step::Reply("550 5.1.1 nobody".into()));
    let attempted = try_once(&world).await;
    assert_eq!(attempted.outcome, Outcome::Failed { reason: Reason::PermanentReply });
    assert_eq!(attempted.reply.unwrap().code, 550);
    assert_eq!(world.sinks[1].message_count(), 2, "a refusal for good is not asked of the next host");

    reset(&world);
    world.sinks[0].always(When::Connect, Step::Reply("554 no service".into()));
    assert_eq!(try_once(&world).await.outcome, Outcome::Delivered, "a host that greets with 554 is no answer");
    assert_eq!(world.sinks[1].message_count(), 3);

    reset(&world);
    world.sinks[0].always(When::Content(None), Step::KeepAndDrop);
    let attempted = try_once(&world).await;
    assert_eq!(attempted.outcome, Outcome::Uncertain, "the host may have it, so no other is asked");
    assert_eq!(attempted.host, Some(domain(&host(0))));
    assert_eq!(world.sinks[1].message_count(), 3);
}

#[tokio::test]
async fn one_connection_carries_many_messages_and_a_new_plan_never_meets_it() {
    let world = World::of(1).await;
    let leaf = world.ca.leaf(&[&host(0)]).unwrap();
    world.set_leaf(0, &leaf);
    world.table.set(evidence("patient.example", &[0]));
    let attempts = world.attempts();
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    for _ in 0..5 {
        let attempted = attempts.deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &text(), None).await;
        assert_eq!(attempted.outcome, Outcome::Delivered);
    }
    assert_eq!((world.sinks[0].message_count(), world.sinks[0].connection_count()), (5, 1));

    // A TLSA record of another key appears: the connection proven by its certificate alone is not good any more.
    world.table.set(with_tlsa(evidence("patient.example", &[0]), &Leaf::self_signed(&["x.example"]).unwrap()));
    let attempted = attempts.deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &text(), None).await;
    assert_eq!(attempted.outcome, delayed(RefusalKind::PolicyViolated, Reason::TlsaInvalid));
    assert_eq!((world.sinks[0].message_count(), world.sinks[0].connection_count()), (5, 2));

    // And a right one: proven anew, not found in the pool.
    world.table.set(with_tlsa(evidence("patient.example", &[0]), &leaf));
    let attempted = attempts.deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &text(), None).await;
    assert_eq!(attempted.outcome, Outcome::Delivered);
    assert_eq!(attempted.proof.unwrap().method, "dane");
    assert_eq!((world.sinks[0].message_count(), world.sinks[0].connection_count()), (6, 3));
}

#[tokio::test]
async fn another_domain_at_the_same_host_brings_its_own_evidence() {
    let world = World::of(1).await;
    let leaf = world.ca.leaf(&[&host(0)]).unwrap();
    world.set_leaf(0, &leaf);
    world.table.set(with_tlsa(evidence("patient.example", &[0]), &leaf));
    // Its MX answer is not secure, and whoever forged it may have named a host that is good for somebody else.
    world.table.set(evidence("forged.example", &[0]));
    let attempts = world.attempts();
    let asked = Requirement { level: Level::Authenticated, require_tls: false };
    let dr = mailbox("dr@practice.example");
    let attempted = attempts.deliver(&asked, Way::Any, &to(&mailbox("pat@patient.example"), &dr), &text(), None).await;
    assert_eq!(attempted.outcome, Outcome::Delivered);
    let attempted = attempts.deliver(&asked, Way::Any, &to(&mailbox("pat@forged.example"), &dr), &text(), None).await;
    assert_eq!(attempted.outcome, settled(RefusalKind::CannotAuthenticate, Reason::LevelNotReachable));
    assert_eq!(world.sinks[0].message_count(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_nothing_and_one_out_of_step_is_not_used() {
    let world = World::of(1).await;
    world.table.set(evidence("patient.example", &[0]));
    let attempts = world.attempts();
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    for step in [Step::Drop, Step::Reply("250 2.0.0 ok\r\n421 4.3.2 closing".into()), Step::Reply("451 4.3.0 no".into())] {
        let before = world.sinks[0].connection_count();
        world.sinks[0].clear_script();
        world.sinks[0].times(1, When::Rset, step.clone());
        for _ in 0..2 {
            let attempted = attempts.deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &text(), None).await;
            assert_eq!(attempted.outcome, Outcome::Delivered, "{step:?}");
        }
        assert!(world.sinks[0].connection_count() > before, "{step:?}");
    }
    assert_eq!(world.sinks[0].message_count(), 6);
}

#[tokio::test]
async fn what_a_host_lacks_sends_the_message_to_the_next_and_then_to_the_portal() {
    let world = World::of(2).await;
    world.table.set(evidence("patient.example", &[0, 1]));
    let none = Offers { eight_bit_mime: false, smtp_utf8: false, size: Some(10), ..Offers::default() };
    let (pat, dr, utf8) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"), mailbox("ümit@patient.example"));
    let eight_bit = Text(b"A: b\r\n".to_vec(), "Grüße\r\n".as_bytes().to_vec());
    let large = text();
    let small = Text(b"A: b\r\n".to_vec(), b"x\r\n".to_vec());
    let sized = Offers { size: None, ..none };
    let asked = Requirement { level: Level::Verified, require_tls: true };
    let cases = [
        ("8-bit content", sized, VERIFIED, &pat, &eight_bit, Reason::EightBitMimeNotOffered),
        ("an address beyond ASCII", sized, VERIFIED, &utf8, &small, Reason::SmtpUtf8NotOffered),
        ("too large", none, VERIFIED, &pat, &large, Reason::SizeExceeded),
        ("REQUIRETLS", sized, asked, &pat, &small, Reason::RequireTlsNotOffered),
    ];
    // REQUIRETLS asks for a next hop that is vouched for; the others do not mind.
    world.table.set(with_sts(evidence("patient.example", &[0, 1]), "*.patient.example"));
    for (name, lacking, requirement, recipient, contents, reason) in cases {
        let mut transaction = to(recipient, &dr);
        transaction.require_tls = if requirement.require_tls { RequireTls::Yes } else { RequireTls::No };
        world.sinks.iter().for_each(|sink| sink.set_offers(lacking));
        let attempted = world.attempts().deliver(&requirement, Way::Any, &transaction, contents, None).await;
        assert_eq!(attempted.outcome, settled(RefusalKind::CannotAuthenticate, reason), "{name}");
        world.sinks[1].set_offers(Offers { require_tls: true, ..Offers::default() });
        let attempted = world.attempts().deliver(&requirement, Way::Any, &transaction, contents, None).await;
        assert_eq!(attempted.outcome, Outcome::Delivered, "{name}");
    }
    let received = world.sinks[1].messages();
    assert!(received[0].mail_parameters.contains("BODY=8BITMIME"));
    assert!(received[1].mail_parameters.contains("SMTPUTF8"));
    assert!(received[3].mail_parameters.contains("REQUIRETLS"));
    assert_eq!(world.sinks[0].message_count(), 0);
}

#[tokio::test]
async fn requiretls_asks_for_a_next_hop_that_dnssec_or_mta_sts_vouches_for_and_for_the_hosts_promise() {
    let world = World::of(2).await;
    let leaf = world.ca.leaf(&[&host(0)]).unwrap();
    world.set_leaf(0, &leaf);
    let plain = evidence("patient.example", &[0]);
    let mut signed = plain.clone();
    if let crate::transport::Evidence::Present((_, security)) = &mut signed.mx {
        *security = crate::transport::Security::Secure;
    }
    let offers = Offers { require_tls: true, ..Offers::default() };
    let not_vouched = settled(RefusalKind::CannotAuthenticate, Reason::LevelNotReachable);
    let not_offered = settled(RefusalKind::CannotAuthenticate, Reason::RequireTlsNotOffered);
    let cases = [
        ("any MX answer may be forged", plain.clone(), offers, not_vouched),
        ("a secure MX answer", signed.clone(), offers, Outcome::Delivered),
        ("DANE", with_tlsa(plain.clone(), &leaf), offers, Outcome::Delivered),
        ("MTA-STS", with_sts(plain.clone(), &host(0)), offers, Outcome::Delivered),
        ("no promise", with_sts(plain.clone(), &host(0)), Offers::default(), not_offered),
    ];
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    let asked = Requirement { level: Level::Encrypted, require_tls: true };
    for (name, evidence, offers, expected) in cases {
        world.table.set(evidence);
        world.sinks[0].set_offers(offers);
        let before = world.sinks[0].message_count();
        let transaction = super::Transaction { require_tls: RequireTls::Yes, ..to(&pat, &dr) };
        let attempted = world.attempts().deliver(&asked, Way::Any, &transaction, &text(), None).await;
        assert_eq!(attempted.outcome, expected, "{name}");
        let sent = &world.sinks[0].messages()[usize::try_from(before).unwrap()..];
        assert_eq!(sent.len(), usize::from(expected == Outcome::Delivered), "{name}");
        assert!(sent.iter().all(|received| received.mail_parameters.contains(" REQUIRETLS")), "{name}");
    }
    // A transaction that forgot to ask is not admitted.
    world.sinks[0].set_offers(offers);
    world.table.set(signed);
    let attempted = world.attempts().deliver(&asked, Way::Any, &to(&pat, &dr), &text(), None).await;
    assert_eq!(attempted.outcome, settled(RefusalKind::CannotAuthenticate, Reason::LevelNotReachable));
}

#[tokio::test]
async fn hosts_of_equal_preference_share_the_mail_and_a_lower_one_gets_none() {
    let world = World::of(3).await;
    let mut equal = evidence("patient.example", &[0, 1, 2]);
    if let crate::transport::Evidence::Present((hosts, _)) = &mut equal.mx {
        (hosts[0].preference, hosts[1].preference, hosts[2].preference) = (10, 10, 20);
    }
    world.table.set(equal);
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    for dice in 0..16 {
        let mut attempts = world.attempts();
        attempts.dice = Arc::new(move || dice);
        let attempted = attempts.deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &text(), None).await;
        assert_eq!(attempted.outcome, Outcome::Delivered);
    }
    let counts: Vec<u64> = world.sinks.iter().map(crate::world::Sink::message_count).collect();
    assert!(counts[0] > 3 && counts[1] > 3 && counts[2] == 0, "{counts:?}");
}

#[tokio::test]
async fn a_fixed_route_asks_for_its_proof_on_loopback_too() {
    let mut world = World::of(1).await;
    let fixed = world.fixed(0);
    world.settings.routes.insert(domain("practice.example"), fixed);
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    let send = |world: &World| {
        let attempts = world.attempts();
        let (to_dr, from) = (dr.clone(), pat.clone());
        async move { attempts.deliver(&VERIFIED, Way::FixedOnly, &to(&to_dr, &from), &text(), None).await }
    };
    assert_eq!(send(&world).await.outcome, Outcome::Delivered);

    world.set_leaf(0, &Leaf::self_signed(&[&host(0)]).unwrap());
    let attempted = send(&world).await;
    assert_eq!(attempted.outcome, delayed(RefusalKind::PolicyViolated, Reason::CertificateNotTrusted));

    let pinned = Leaf::self_signed(&["anything.example"]).unwrap();
    world.set_leaf(0, &pinned);
    let mut fixed = world.fixed(0);
    fixed.proof = RouteProof::Certificate { name: domain(&host(0)), sha256: vec![pinned.sha256().unwrap()] };
    world.settings.routes.insert(domain("practice.example"), fixed);
    assert_eq!(send(&world).await.outcome, Outcome::Delivered);
    world.sinks[0].set_tls(None);
    assert_eq!(send(&world).await.outcome, delayed(RefusalKind::PolicyViolated, Reason::StarttlsNotSupported));

    let elsewhere = world.attempts().deliver(&VERIFIED, Way::FixedOnly, &to(&pat, &dr), &text(), None).await;
    assert_eq!(elsewhere.outcome, delayed(RefusalKind::Unknown, Reason::LevelNotReachable), "no route, no way");
    assert_eq!(world.sinks[0].message_count(), 2);
}

#[tokio::test]
async fn a_password_is_offered_only_to_a_proven_default_hop_that_asks() {
    let mut world = World::of(1).await;
    let mut hop = world.fixed(0);
    hop.login = Some(Login { user: "gw".into(), password: zeroize::Zeroizing::new("secret".into()) });
    world.settings.default_hop = Some(hop);
    // This host offers no AUTH: nothing is sent, and no password either.
    let attempted = try_once(&world).await;
    assert!(matches!(attempted.outcome, Outcome::Delayed { .. }), "{:?}", attempted.outcome);
    assert!(world.sinks[0].connections().iter().flat_map(|c| c.commands.clone()).all(|line| !line.starts_with("AUTH")));
    assert_eq!(world.sinks[0].message_count(), 0);
}

#[tokio::test]
async fn a_host_that_hangs_is_given_up_and_left_alone_for_a_while() {
    let mut world = World::of(2).await;
    world.settings.timeouts.greeting = Duration::from_millis(50);
    world.table.set(evidence("patient.example", &[0, 1]));
    world.sinks[0].always(When::Connect, Step::Wait(Arc::default()));
    let attempts = world.attempts();
    let (pat, dr) = (mailbox("pat@patient.example"), mailbox("dr@practice.example"));
    for _ in 0..3 {
        let attempted = attempts.deliver(&VERIFIED, Way::Any, &to(&pat, &dr), &text(), None).await;
        assert_eq!(attempted.outcome, Outcome::Delivered);
    }
    assert_eq!(world.sinks[0].connection_count(), 1);
    assert!(attempts.pool.is_dead(std::net::SocketAddr::new(address(0), world.port)).is_some());
}

#[tokio::test]
async fn a_flood_of_hosts_is_cut_and_then_not_judged_by_those_that_were_asked() {
    let world = World::of(1).await;
    world.sinks[0].set_tls(None);
    world.table.set(evidence("patient.example", &[0; 40]));
    let attempted = try_once(&world).await;
    assert_eq!(attempted.outcome, delayed(RefusalKind::Unknown, Reason::BudgetSpent));
    assert_eq!(world.sinks[0].connection_count(), 16);
}

fn notice() -> Notice {
    Notice {
        recipient: mailbox("pat@patient.example"),
        from: mailbox("notices@practice.example"),
        office: "Maple Street Office".into(),
        host: "portal.practice.example".into(),
        locator: ParcelId([7; 16]),
        number: Number::parse("R4TM-9KQ2").unwrap(),
        until: Timestamp::from_secs(1_702_592_000),
        at: Timestamp::from_secs(1_700_000_000),
        random: [0xab; 16],
    }
}

#[tokio::test]
async fn the_clear_dialogue_of_a_notice_is_exactly_these_bytes() {
    let world = World::of(1).await;
    world.sinks[0].set_tls(None);
    world.sinks[0].set_offers(Offers { pipelining: false, ..Offers::default() });
    world.table.set(evidence("patient.example", &[0]));
    let attempts = world.attempts();
    for (mode, may_be_clear) in [(NoticeMode::Plain, false), (NoticeMode::TlsOnly, true)] {
        let attempted = attempts.notify(&notice(), mode, may_be_clear).await;
        assert_eq!(attempted.outcome, settled(RefusalKind::CannotEncrypt, Reason::StarttlsNotSupported));
    }
    world.sinks[0].wait_for_silence().await;
    let before = world.sinks[0].clear_bytes();
    assert_eq!(String::from_utf8(before.clone()).unwrap().replace("EHLO gw.practice.example\r\nQUIT\r\n", ""), "");

    assert_eq!(attempts.notify(&notice(), NoticeMode::Plain, true).await.outcome, Outcome::Delivered);
    world.sinks[0].wait_for_silence().await;
    let clear = world.sinks[0].clear_bytes();
    let letter = notice().letter().bytes();
    let expected = [
        // The first connection finds that there is no STARTTLS.
        &b"EHLO gw.practice.example\r\nQUIT\r\n"[..],
        b"EHLO gw.practice.example\r\nMAIL FROM:<notices@practice.example>\r\nRCPT TO:<pat@patient.example>\r\nDATA\r\n",
        letter.expose(),
        b".\r\nQUIT\r\n",
    ]
    .concat();
    assert_eq!(String::from_utf8_lossy(&clear[before.len()..]), String::from_utf8_lossy(&expected));
}

#[tokio::test]
async fn a_notice_takes_the_best_way_there_is_and_none_past_a_policy() {
    let world = World::of(1).await;
    let good = world.ca.leaf(&[&host(0)]).unwrap();
    let strange = Leaf::self_signed(&[&host(0)]).unwrap();
    let plain = evidence("patient.example", &[0]);
    let dane = with_tlsa(plain.clone(), &good);
    let mut seen = plain.clone();
    seen.starttls_seen = true;
    let violated = |reason| delayed(RefusalKind::PolicyViolated, reason);
    let cases = [
        ("proven", Some(&good), &plain, Outcome::Delivered, "verified"),
        ("proven by DANE", Some(&good), &dane, Outcome::Delivered, "authenticated"),
        ("TLS to a stranger", Some(&strange), &plain, Outcome::Delivered, "encrypted"),
        ("clear", None, &plain, Outcome::Delivered, "clear"),
        ("it had STARTTLS", None, &seen, violated(Reason::StarttlsGone), ""),
        ("TLSA mismatch", Some(&strange), &dane, violated(Reason::TlsaInvalid), ""),
        ("DANE and no STARTTLS", None, &dane, violated(Reason::StarttlsNotSupported), ""),
    ];
    for (name, leaf, evidence, expected, level) in cases {
        match leaf {
            Some(leaf) => world.set_leaf(0, leaf),
            None => world.sinks[0].set_tls(None),
        }
        world.table.set(evidence.clone());
        let before = world.sinks[0].messages().len();
        let attempted = world.attempts().notify(&notice(), NoticeMode::Plain, true).await;
        assert_eq!(attempted.outcome, expected, "{name}");
        assert_eq!(attempted.proof.map_or(String::new(), |proof| proof.level), level, "{name}");
        let after = world.sinks[0].messages();
        assert_eq!(after.len() - before, usize::from(!level.is_empty()), "{name}");
        if let Some(last) = after.get(before) {
            assert_eq!(last.content, notice().letter().bytes().expose(), "{name}");
            assert_eq!((last.mail_parameters.as_str(), last.tls.is_some()), ("", level != "clear"), "{name}");
        }
    }
}

#[tokio::test]
async fn what_another_host_of_the_domain_shows_or_hides_keeps_a_notice_back() {
    let world = World::of(2).await;
    let (good, strange) = (world.ca.leaf(&[&host(1)]).unwrap(), Leaf::self_signed(&[&host(1)]).unwrap());
    let unknown = |mut evidence: DomainEvidence| {
        if let Evidence::Present((hosts, _)) = &mut evidence.mx {
            hosts[1].tlsa = Evidence::Unknown(crate::transport::Why::ServFail);
        }
        evidence
    };
    let dane = |evidence: DomainEvidence| {
        let mut both = with_tlsa(evidence.clone(), &good);
        let (Evidence::Present((first, _)), Evidence::Present((hosts, _))) = (&evidence.mx, &mut both.mx) else { panic!() };
        hosts[0].tlsa = first[0].tlsa.clone();
        both
    };
    let plain = |order: &[usize]| evidence("patient.example", order);
    // The first host has no STARTTLS; the second shows `strange`, if anything.
    let cases = [
        ("nobody knows about the second", unknown(plain(&[0, 1])), delayed(RefusalKind::Unknown, Reason::DnsFailed), ""),
        ("it breaks its policy", dane(plain(&[0, 1])), delayed(RefusalKind::PolicyViolated, Reason::TlsaInvalid), ""),
        ("it has TLS, whoever it is", plain(&[0, 1]), Outcome::Delivered, "encrypted"),
    ];
    world.sinks[0].set_tls(None);
    world.set_leaf(1, &strange);
    for (name, evidence, expected, level) in cases {
        world.table.set(evidence);
        let attempted = world.attempts().notify(&notice(), NoticeMode::Plain, true).await;
        assert_eq!(attempted.outcome, expected, "{name}");
        assert_eq!(attempted.proof.map_or(String::new(), |proof| proof.level), level, "{name}");
        assert_eq!(world.sinks[0].message_count(), 0, "{name}");
        world.sinks[0].wait_for_silence().await;
        assert!(!String::from_utf8(world.sinks[0].clear_bytes()).unwrap().contains("pat@"), "{name}");
    }
}
