use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::settings::NoticeMode;
use super::testing::{World, domain, evidence, host, mailbox, with_tlsa};
use super::worker::now;
use super::{Deliver, Running, issue_code, weather};
use crate::audit::{Event, Record};
use crate::escrow::{self, Code, Occasion};
use crate::mail::{BodyId, BodyKind, CopyId, Notify, ParcelId, QueueId};
use crate::policy::{Action, Class};
use crate::queue::{CopyFacts, CopyKind, CopyState, Schedule, pack};
use crate::store::{self, Commit, CopyRow, Handle, NewBody, NewCopy, ParcelRow};
use crate::transport::{Level, Requirement};
use crate::vault::Vault;
use crate::world::{Leaf, Offers, Received, Step, When};

const HEADER: &[u8] = b"From: Dr. Grey <dr@practice.example>\r\nTo: pat@patient.example\r\n\
    Subject: your biopsy\r\nMessage-ID: <1@practice.example>\r\n";
const BODY: &[u8] = b"The biopsy shows nothing bad.\r\n";

/// A gateway's store and keys around a world: host 0 is the patient's, host 1 the practice's own server.
struct Office {
    world: World,
    vault: Arc<Vault>,
    store: Handle,
    folder: PathBuf,
}

impl Office {
    async fn new() -> Office {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("wardpost-deliver-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let vault = Arc::new(Vault::ephemeral());
        let settings = store::Settings { folder: folder.clone(), body_file_bytes: 256 * 1024 };
        let store = Handle::open(settings, Arc::clone(&vault)).unwrap();
        let mut world = World::of(2).await;
        let own = world.fixed(1);
        world.settings.routes.insert(domain("practice.example"), own);
        world.settings.portal.notice_address = Some(mailbox("notices@practice.example"));
        world.settings.portal.notice_wait = Duration::ZERO;
        world.settings.portal.host = "portal.practice.example".into();
        world.settings.schedule = Schedule { steps_ms: vec![5], normal_budget_ms: 0, ..Schedule::default() };
        world.table.set(evidence("patient.example", &[0]));
        Office { world, vault, store, folder }
    }

    fn start(&self) -> Running {
        let ask = Arc::<super::testing::Table>::clone(&self.world.table);
        Deliver::start(self.world.settings.clone(), ask, self.store.clone(), Arc::clone(&self.vault))
    }

    fn facts(&self, recipient: &str) -> CopyFacts {
        CopyFacts {
            kind: CopyKind::Message,
            recipient: recipient.into(),
            reverse_path: "dr@practice.example".into(),
            principal: "dr".into(),
            report_to: Some("dr@practice.example".into()),
            slip_to: Some("grey@practice.example".into()),
            message_id: "<1@practice.example>".into(),
            subject: "your biopsy".into(),
            body: BodyKind::SevenBit,
            smtputf8: false,
            requirement: Requirement { level: Level::Verified, require_tls: false },
            action: Action::Deliver,
            class: Class::Normal,
            rules: vec!["phi".into()],
            held_by: None,
            is_asked: false,
            notify: Notify::default(),
            orcpt: None,
            ret: None,
            envid: None,
            parcel: None,
        }
    }

    fn copy(&self, facts: &CopyFacts, state: CopyState) -> (NewBody, NewCopy) {
        let vault = &self.vault;
        let (id, body_id) = (CopyId(vault.random()), BodyId(vault.random()));
        let (body_key, copy_key) = (vault.new_key(), vault.new_key());
        let recipient = mailbox(&facts.recipient);
        let copy = NewCopy {
            id,
            message: QueueId(vault.random()),
            kind: facts.kind,
            body: body_id,
            recipient: vault.pseudonym("mailbox", &recipient.folded()),
            message_id: vault.pseudonym("message-id", &facts.message_id),
            domain: recipient.domain().clone(),
            class: facts.class,
            header: pack::seal_header(&copy_key, vault.nonce(), id, body_id, HEADER),
            facts: pack::seal_facts(&copy_key, vault.nonce(), id, body_id, facts),
            wrap: vault.wrap(id.as_bytes(), &[&body_key, &copy_key]),
            state,
            received_at: now(),
            parcel: None,
            size_bytes: (HEADER.len() + 2 + BODY.len()) as u64,
        };
        let sealed = Arc::new(pack::seal_body(&body_key, vault.nonce(), body_id, BODY));
        (NewBody { id: body_id, sealed }, copy)
    }

    /// Queues a copy for now.
    async fn queue(&self, facts: &CopyFacts) -> NewCopy {
        let (body, copy) = self.copy(facts, CopyState::Queued { next_at: now() });
        self.store.commit(Commit { bodies: vec![body], copies: vec![copy.clone()], ..Commit::default() }).await.unwrap();
        copy
    }

    async fn state(&self, copy: &NewCopy) -> CopyState {
        self.store.copy(copy.id).await.unwrap().unwrap().copy.state
    }

    async fn parcel(&self, copy: &NewCopy) -> ParcelRow {
        match self.state(copy).await {
            CopyState::Escrowed(id) => self.store.parcel(id).await.unwrap().unwrap(),
            other => panic!("in the portal, not {other:?}"),
        }
    }

    async fn records(&self, copy: &NewCopy) -> Vec<Record> {
        let entries = self.store.log_of(copy.message).await.unwrap();
        entries.iter().map(|entry| serde_json::from_slice(&entry.bytes).unwrap()).collect()
    }

    async fn events(&self, copy: &NewCopy) -> Vec<Event> {
        self.records(copy).await.iter().map(|record| record.event).collect()
    }

    async fn wait(&self, host: usize, messages: u64) -> Vec<Received> {
        within(self.world.sinks[host].wait_for_messages(messages)).await
    }

    /// Whether this code opens the parcel and shows what was sent.
    async fn opens_with(&self, parcel: &ParcelRow, code: &Code) -> bool {
        let wrap = parcel.code.as_ref().unwrap();
        let code_key = self.vault.code_key(code.digits(), &wrap.salt, parcel.id);
        let Ok(key) = self.vault.unwrap_with_code(&code_key, parcel.id, &wrap.wrap) else { return false };
        let (header, body) = self.store.parcel_content(parcel.id).await.unwrap().unwrap();
        let header = escrow::open_header(&key, parcel.id, &header).unwrap();
        let body = escrow::open_body(&key, parcel.id, &body).unwrap();
        header.expose() == HEADER && body.expose() == BODY
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A hang becomes a failure.
async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("in time")
}

fn code_in(slip: &Received) -> Code {
    let text = String::from_utf8(slip.content.clone()).unwrap();
    let line = text.lines().find(|line| line.contains("give them this code")).unwrap();
    Code::parse(line.rsplit_once(": ").unwrap().1).unwrap()
}

/// No word of the message, its sender or its subject.
fn says_nothing(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    ["biopsy", "grey", "dr@", "<1@practice"].iter().all(|word| !text.contains(word))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_is_told_once_that_a_message_is_late_and_only_if_he_wants_to_know() {
    let mut office = Office::new().await;
    office.world.settings.schedule =
        Schedule { steps_ms: vec![5], normal_budget_ms: i64::MAX / 4, delay_report_ms: 0, ..Schedule::default() };
    office.world.sinks[0].always(When::Rcpt(None), Step::Reply("451 4.3.0 later".into()));
    let wanted = office.queue(&office.facts("pat@patient.example")).await;
    let mut silent = office.facts("sam@patient.example");
    silent.notify.delay = false;
    let silent = office.queue(&silent).await;
    let running = office.start();
    for copy in [&wanted, &silent] {
        within(async {
            while office.events(copy).await.iter().filter(|event| **event == Event::Delayed).count() < 4 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    running.stop().await;
    assert!(office.store.copy(wanted.id).await.unwrap().unwrap().delay_told);
    // A start forgets nothing of it.
    let running = office.start();
    within(async {
        while office.events(&wanted).await.iter().filter(|event| **event == Event::Delayed).count() < 8 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.stop().await;
    let reports = office.world.sinks[1].messages();
    assert_eq!(reports.len(), 1);
    let report = String::from_utf8(reports[0].content.clone()).unwrap();
    for line in ["Action: delayed\r\n", "Status: 4.3.0\r\n", "Will-Retry-Until: ", "pat@patient.example"] {
        assert!(report.contains(line), "{line} in {report}");
    }
    assert!(!report.to_lowercase().contains("biopsy"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_requiretls_is_returned_and_its_report_asks_for_the_same() {
    let office = Office::new().await;
    let mut facts = office.facts("pat@patient.example");
    facts.requirement.require_tls = true;
    office.world.sinks[1].set_offers(crate::world::Offers { require_tls: true, ..Default::default() });
    let running = office.start();
    // Nothing vouches for the next hop; then one is vouched for and does not promise.
    for (sts, status, reports) in [(false, "5.7.10", 1), (true, "5.7.30", 2)] {
        let plain = evidence("patient.example", &[0]);
        office.world.table.set(if sts { super::testing::with_sts(plain, &host(0)) } else { plain });
        let copy = office.queue(&facts).await;
        let report = office.wait(1, reports).await.pop().unwrap();
        let text = String::from_utf8(report.content).unwrap();
        assert!(text.contains(&format!("Status: {status}\r\n")), "{text}");
        assert!(report.mail_parameters.contains(" REQUIRETLS"), "{}", report.mail_parameters);
        assert_eq!(office.state(&copy).await, CopyState::Bounced);
    }
    running.stop().await;
    // A report is redacted, so a server without the promise gets it too.
    let running = office.start();
    office.world.sinks[1].set_offers(crate::world::Offers::default());
    office.queue(&facts).await;
    assert!(!office.wait(1, 3).await[2].mail_parameters.contains("REQUIRETLS"));
    assert_eq!(office.world.sinks[0].message_count(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_and_warm_copies_are_delivered_and_recorded_with_their_proof() {
    let office = Office::new().await;
    office.world.sinks[0].set_offers(Offers { dsn: false, ..Offers::default() });
    let queued = office.queue(&office.facts("pat@patient.example")).await;
    let running = office.start();
    let mut facts = office.facts("sam@patient.example");
    facts.notify.success = true;
    let (body, warm) = office.copy(&facts, CopyState::InFlight);
    let permit = running.warm(crate::policy::Lane::First).reserve_owned().await.unwrap();
    let warm_body = Some(Arc::clone(&body.sealed));
    office.store.commit(Commit { bodies: vec![body], copies: vec![warm.clone()], ..Commit::default() }).await.unwrap();
    permit.send(CopyRow {
        copy: warm.clone(),
        attempts: 1,
        generation: 1,
        last_reason: None,
        delay_told: false,
        changed_at: now(),
        uncertain_host: None,
        warm_body,
    });
    let received = office.wait(0, 2).await;
    assert!(received.iter().all(|one| one.content == [HEADER, b"\r\n", BODY].concat()));
    let report = office.wait(1, 1).await;
    within(running.stop()).await;
    for copy in [&queued, &warm] {
        assert_eq!(office.state(copy).await, CopyState::Delivered);
        let records = office.records(copy).await;
        let delivered = records.iter().find(|record| record.event == Event::Delivered).unwrap();
        assert_eq!(delivered.proof.as_ref().unwrap().host, host(0));
        assert_eq!((delivered.attempt, delivered.required.as_deref()), (Some(1), Some("verified")));
    }
    assert_eq!((report[0].from.as_str(), report[0].recipients[0].address.as_str()), ("", "dr@practice.example"));
    let text = String::from_utf8_lossy(&report[0].content).into_owned();
    assert!(text.contains("Action: relayed") && !text.contains("shows nothing bad"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_domain_cannot_encrypt_the_message_is_kept_the_sender_gets_the_code_and_the_recipient_a_notice() {
    let office = Office::new().await;
    office.world.sinks[0].set_tls(None);
    let copy = office.queue(&office.facts("pat@patient.example")).await;
    let running = office.start();
    let slip = office.wait(1, 1).await.remove(0);
    let notice = office.wait(0, 1).await.remove(0);
    within(running.stop()).await;

    let parcel = office.parcel(&copy).await;
    assert_eq!(parcel.reason, "starttls-not-supported");
    assert!(parcel.notice_sent_at.is_some() && !parcel.notice_failed);
    let code = code_in(&slip);
    assert!(office.opens_with(&parcel, &code).await);
    assert_eq!((slip.from.as_str(), slip.recipients[0].address.as_str()), ("", "grey@practice.example"));
    assert!(slip.tls.is_some());
    assert!(office.store.is_live_code(office.vault.keyed_hash(escrow::SPOKEN_HASH, code.digits().as_bytes())).await.unwrap());

    assert!(notice.tls.is_none());
    assert!(says_nothing(&office.world.sinks[0].clear_bytes()), "nothing of the message may be said in clear");
    let text = String::from_utf8(notice.content).unwrap();
    assert!(!text.contains(&code.to_string()) && !text.contains(code.digits()));
    let number = text.split("message number ").nth(1).unwrap().split('.').next().unwrap().to_owned();
    let number = escrow::Number::parse(&number).unwrap();
    let hash = office.vault.keyed_hash(escrow::NUMBER_HASH, number.as_bytes());
    assert_eq!(office.store.parcel_by_number(hash).await.unwrap().unwrap().id, parcel.id);
    let mut events = office.events(&copy).await;
    assert_eq!(events.remove(0), Event::Escrowed);
    assert!(events.contains(&Event::SlipSent) && events.contains(&Event::NoticeSent), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_a_violated_policy_goes_no_notice_and_not_one_address() {
    let office = Office::new().await;
    let other = Leaf::self_signed(&["x.example"]).unwrap();
    office.world.table.set(with_tlsa(evidence("patient.example", &[0]), &other));
    let copy = office.queue(&office.facts("pat@patient.example")).await;
    let running = office.start();
    let slip = office.wait(1, 1).await.remove(0);
    within(running.stop()).await;
    let parcel = office.parcel(&copy).await;
    assert_eq!((parcel.reason.as_str(), parcel.notice_sent_at), ("tlsa-invalid", None));
    assert!(office.opens_with(&parcel, &code_in(&slip)).await);
    assert!(String::from_utf8_lossy(&slip.content).contains("please phone or write"));
    assert_eq!(office.store.copies_of(copy.message).await.unwrap().len(), 2, "the message and the slip, no notice");
    assert_eq!(office.world.sinks[0].message_count(), 0);
    let clear = String::from_utf8(office.world.sinks[0].clear_bytes()).unwrap();
    assert!(!clear.contains('@'), "{clear}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_policy_sends_to_the_portal_never_dials_for_the_message_and_its_notice_goes_over_tls() {
    let office = Office::new().await;
    let mut facts = office.facts("pat@patient.example");
    facts.action = Action::Escrow;
    let copy = office.queue(&facts).await;
    let running = office.start();
    let notice = office.wait(0, 1).await.remove(0);
    office.wait(1, 1).await;
    within(running.stop()).await;
    assert_eq!(office.parcel(&copy).await.reason, "policy");
    assert!(notice.tls.is_some() && says_nothing(&notice.content));
    assert_eq!(notice.from, "notices@practice.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_to_tell_the_sender_no_code_exists_until_somebody_asks_for_one() {
    let mut office = Office::new().await;
    office.world.settings.portal.notice = NoticeMode::None;
    let running = office.start();
    // Nobody to tell; a bound address outside; and the recipient's own.
    for (n, slip_to) in [None, Some("grey@outside.example"), Some("pat@practice.example")].into_iter().enumerate() {
        let mut facts = office.facts("pat@practice.example");
        facts.action = Action::Escrow;
        facts.slip_to = slip_to.map(str::to_owned);
        let copy = office.queue(&facts).await;
        let parcel = within(async {
            loop {
                match office.state(&copy).await {
                    CopyState::Escrowed(id) => break office.store.parcel(id).await.unwrap().unwrap(),
                    _ => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        assert!(parcel.code.is_none(), "{slip_to:?}");
        assert_eq!(office.store.copies_of(copy.message).await.unwrap().len(), 1, "{slip_to:?}");
        let (code, wrap) = issue_code(&office.vault, &parcel).unwrap();
        let parcel = ParcelRow { code: Some(wrap), ..parcel };
        assert!(office.opens_with(&parcel, &code).await, "{n}");
    }
    within(running.stop()).await;
    assert_eq!(office.world.sinks[1].connection_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_code_is_recorded_voids_the_old_one_and_reaches_the_sender() {
    let office = Office::new().await;
    let mut facts = office.facts("pat@patient.example");
    facts.action = Action::Escrow;
    let copy = office.queue(&facts).await;
    let running = office.start();
    let first = code_in(&office.wait(1, 1).await[0]);
    let id = office.parcel(&copy).await.id;
    let reissued = running.parcels().reissue(id, Occasion::NewCode, now()).await.unwrap();
    assert_eq!(reissued.slip_to, Some(mailbox("grey@practice.example")));
    let slips = office.wait(1, 2).await;
    within(running.stop()).await;
    let second = code_in(&slips[1]);
    assert_eq!(second, reissued.code);
    let parcel = office.parcel(&copy).await;
    assert!(office.opens_with(&parcel, &second).await);
    assert!(second == first || !office.opens_with(&parcel, &first).await);
    assert!(office.events(&copy).await.contains(&Event::CodeIssued));
    let unknown = office.start();
    assert!(unknown.parcels().reissue(ParcelId([0; 16]), Occasion::NewCode, now()).await.is_err());
    within(unknown.stop()).await;
}

/// Whoever types wrong codes causes one letter for each code, and never a new code.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_tried_out_is_gone_the_sender_is_told_once_and_no_new_one_is_made() {
    let office = Office::new().await;
    let mut facts = office.facts("pat@patient.example");
    facts.action = Action::Escrow;
    let copy = office.queue(&facts).await;
    let running = office.start();
    let first = code_in(&office.wait(1, 1).await[0]);
    let id = office.parcel(&copy).await.id;
    assert!(office.store.parcels_tried_out(9).await.unwrap().is_empty());
    assert!(running.parcels().code_void(id, now()).await.is_err(), "a live code was voided");
    while office.store.count_try(id, now()).await.unwrap().is_some() {}
    assert_eq!(office.store.parcels_tried_out(9).await.unwrap(), [id]);
    assert!(running.parcels().code_void(id, now()).await.unwrap());
    let slips = office.wait(1, 2).await;
    assert!(running.parcels().code_void(id, now()).await.is_err(), "told twice");
    assert!(office.store.parcels_tried_out(9).await.unwrap().is_empty());
    within(running.stop()).await;
    assert_eq!(office.world.sinks[1].message_count(), 2);
    let text = String::from_utf8_lossy(&slips[1].content).into_owned();
    assert!(text.contains("no longer works") && text.contains("X-Wardpost-Slip") && !text.contains(&first.to_string()), "{text}");
    assert!(escrow::spoken_forms(&text.split("\r\n\r\n").skip(1).collect::<String>()).is_empty(), "{text}");
    let parcel = office.parcel(&copy).await;
    assert!(parcel.code.is_none() && parcel.tries == 10);
    assert!(!office.events(&copy).await.contains(&Event::CodeIssued));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_is_reported_and_a_report_on_a_report_is_not() {
    let office = Office::new().await;
    office.world.sinks[0].always(When::Rcpt(None), Step::Reply("550 5.1.1 pat@patient.example unknown".into()));
    let copy = office.queue(&office.facts("pat@patient.example")).await;
    let mut silent = office.facts("sam@patient.example");
    silent.reverse_path = String::new();
    let silent = office.queue(&silent).await;
    let mut never = office.facts("kim@patient.example");
    never.notify = Notify { never: true, success: false, failure: false, delay: false };
    let never = office.queue(&never).await;
    let running = office.start();
    let report = office.wait(1, 1).await.remove(0);
    within(office.world.sinks[0].wait_for_connections(1)).await;
    within(running.stop()).await;
    assert_eq!(office.world.sinks[1].message_count(), 1);
    let text = String::from_utf8_lossy(&report.content).into_owned();
    assert!(text.contains("Action: failed") && text.contains("Status: 5.1.1") && !text.contains("shows nothing"), "{text}");
    for copy in [&copy, &silent, &never] {
        assert_eq!(office.state(copy).await, CopyState::Bounced);
        let record = office.records(copy).await.into_iter().find(|record| record.event == Event::Bounced).unwrap();
        assert_eq!(record.reason.as_deref(), Some("permanent-reply"));
        let json = serde_json::to_string(&record).unwrap();
        assert!(record.sealed.is_some() && !json.contains("unknown"), "the host's words stand sealed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_host_is_asked_again_and_an_unanswered_one_first() {
    let mut office = Office::new().await;
    office.world.settings.schedule.normal_budget_ms = 600_000;
    office.world.table.set(evidence("patient.example", &[1, 0]));
    office.world.sinks[1].times(1, When::Rcpt(None), Step::Reply("451 4.7.1 greylisted".into()));
    office.world.sinks[0].times(1, When::Content(None), Step::KeepAndDrop);
    let copy = office.queue(&office.facts("pat@patient.example")).await;
    let running = office.start();
    office.wait(0, 2).await;
    within(running.stop()).await;
    assert_eq!(office.state(&copy).await, CopyState::Delivered);
    assert_eq!(office.world.sinks[1].message_count(), 0, "another host would make a second copy certain");
    let records = office.records(&copy).await;
    let told: Vec<_> = records.iter().map(|record| (record.event, record.attempt)).collect();
    assert_eq!(told, [(Event::Delayed, Some(1)), (Event::Delivered, Some(2))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_our_own_network_is_suspected_nothing_is_put_away_and_no_notice_leaves() {
    let mut office = Office::new().await;
    office.world.settings.weather = Some(weather::Settings { contacted_min: 1, ..weather::Settings::default() });
    office.world.settings.schedule.steps_ms = vec![3_600_000];
    office.world.sinks[0].set_tls(None);
    let copy = office.queue(&office.facts("pat@patient.example")).await;
    let running = office.start();
    within(office.world.sinks[0].wait_for_connections(1)).await;
    within(running.stop()).await;
    let row = office.store.copy(copy.id).await.unwrap().unwrap();
    assert!(matches!(row.copy.state, CopyState::Queued { .. }), "{:?}", row.copy.state);
    assert_eq!(row.last_reason.as_deref(), Some("starttls-missing-everywhere"));
    assert!(office.store.parcels(false, 10).await.unwrap().is_empty());
    assert_eq!((office.world.sinks[0].message_count(), office.world.sinks[1].message_count()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_hangs_keeps_nobody_else_waiting() {
    let mut office = Office::new().await;
    office.world.settings.attempts_max = 1;
    office.world.settings.slow_after = Duration::from_millis(20);
    office.world.sinks[0].always(When::Connect, Step::Wait(Arc::default()));
    office.world.table.set(evidence("other.example", &[1]));
    for _ in 0..5 {
        office.queue(&office.facts("pat@patient.example")).await;
    }
    let good = office.queue(&office.facts("sam@other.example")).await;
    let running = office.start();
    office.wait(1, 1).await;
    within(async {
        while office.state(&good).await != CopyState::Delivered {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The five are still waiting for their host.
    assert_eq!(office.store.depth().await.unwrap().in_flight, 5);
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cuts_short_what_hangs_before_the_store_closes_and_nothing_is_lost() {
    let mut office = Office::new().await;
    office.world.settings.stop_within = Duration::from_millis(50);
    office.world.settings.slow_after = Duration::from_millis(5);
    office.world.settings.slow_max = 2;
    office.world.settings.schedule.normal_budget_ms = i64::MAX / 4;
    let host = Arc::default();
    office.world.sinks[0].always(When::Connect, Step::Wait(Arc::clone(&host)));
    let mut copies = Vec::new();
    for _ in 0..6 {
        copies.push(office.queue(&office.facts("pat@patient.example")).await);
    }
    let running = office.start();
    within(async {
        while office.store.depth().await.unwrap().in_flight < 6 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let shared = Arc::downgrade(&running.shared);
    within(running.stop()).await;
    // Nothing of the attempts is left that could find the store closed.
    within(async {
        while shared.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for copy in &copies {
        assert_eq!(office.state(copy).await, CopyState::InFlight);
    }
    // The next start claims them anew, and the host is well again.
    office.store.close().await;
    let settings = store::Settings { folder: office.folder.clone(), body_file_bytes: 256 * 1024 };
    office.store = Handle::open(settings, Arc::clone(&office.vault)).unwrap();
    office.world.sinks[0].clear_script();
    let running = office.start();
    office.wait(0, 6).await;
    within(running.stop()).await;
    for copy in &copies {
        assert_eq!(office.state(copy).await, CopyState::Delivered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_does_not_open_is_held_for_a_person() {
    let office = Office::new().await;
    let (body, mut copy) = office.copy(&office.facts("pat@patient.example"), CopyState::Queued { next_at: now() });
    copy.wrap = office.vault.wrap(b"another", &[&office.vault.new_key(), &office.vault.new_key()]);
    office.store.commit(Commit { bodies: vec![body], copies: vec![copy.clone()], ..Commit::default() }).await.unwrap();
    let running = office.start();
    within(async {
        while office.state(&copy).await != CopyState::Held {
            tokio::task::yield_now().await;
        }
    })
    .await;
    within(running.stop()).await;
    assert_eq!(office.world.sinks[0].connection_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_arrived_never_becomes_a_parcel_even_after_a_restart() {
    let mut office = Office::new().await;
    office.world.settings.schedule = Schedule { steps_ms: vec![3_600_000], normal_budget_ms: 600_000, ..Schedule::default() };
    office.world.sinks[0].times(1, When::Content(None), Step::KeepAndDrop);
    let copy = office.queue(&office.facts("pat@patient.example")).await;
    let running = office.start();
    office.wait(0, 1).await;
    within(running.stop()).await;
    let row = office.store.copy(copy.id).await.unwrap().unwrap();
    assert!(matches!(row.copy.state, CopyState::Queued { .. }), "{:?}", row.copy.state);
    // Another process, the same host without TLS, and no time left.
    office.world.sinks[0].set_tls(None);
    office.world.settings.schedule = Schedule { steps_ms: vec![5], normal_budget_ms: 0, ..Schedule::default() };
    let to = CopyState::Queued { next_at: now() };
    let due = store::Settle { copy: copy.id, generation: row.generation, to, at: now(), reason: None };
    office.store.commit(Commit { settles: vec![due], ..Commit::default() }).await.unwrap();
    let running = office.start();
    let report = office.wait(1, 1).await.remove(0);
    within(running.stop()).await;
    assert_eq!(office.state(&copy).await, CopyState::Bounced);
    assert!(String::from_utf8(report.content).unwrap().contains("may or may not have arrived"));
    assert!(office.store.parcels(false, 10).await.unwrap().is_empty());
}

/// However many wait, a message that comes alone waits only for those that are under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_many_keeps_no_single_message_waiting() {
    const RUN: u64 = 600;
    const AT_ONCE: usize = 4;
    let mut office = Office::new().await;
    office.world.settings.attempts_max = AT_ONCE;
    let mut run = Commit::default();
    for n in 0..RUN {
        let mut facts = office.facts(&format!("p{n}@patient.example"));
        facts.class = Class::Bulk;
        let (body, copy) = office.copy(&facts, CopyState::Queued { next_at: now() });
        run.bodies.push(body);
        run.copies.push(copy);
    }
    office.store.commit(run).await.unwrap();
    let running = office.start();
    office.wait(0, 20).await;
    office.queue(&office.facts("single@patient.example")).await;
    let before = office.world.sinks[0].message_count();
    let all = office.wait(0, RUN + 1).await;
    let at = all.iter().position(|message| message.recipients[0].address == "single@patient.example").unwrap() as u64;
    // Those under way, those begun while the store was asked, and one claim.
    assert!(at <= before + 6 * AT_ONCE as u64, "{at} came before it, {before} when it was queued");
    within(running.stop()).await;
}
