//! Parcels that nobody has read, sent by mail after all when their domain has become able.
//!
//! By the clock each domain with such parcels is looked at. If what it shows is a ground to send (see `standing`), its
//! parcels go the way of every message, one at a time: claimed in the store so that nobody opens one meanwhile, with a
//! record that its key is opened; opened through the recovery wrap; tried once; and closed, recorded and told to the
//! sender in one transaction. Whatever ends otherwise leaves the parcel as it was.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::attempt::{Attempted, Attempts, Contents, Way};
use super::content::Content;
use super::copy::{Internal, seal_internal};
use super::dialogue::{RequireTls, Transaction};
use super::finish::{ROOM_EVERY, store_failed, with_room};
use super::history::{History, Seen};
use super::settings::Settings;
use super::standing::{Check, Found, Ground, KEPT_MS, Looked, ground};
use super::weather::Shown;
use super::worker::now;
use crate::audit::{Event, Record};
use crate::escrow::{self, Arrival, Later as Needs, ParcelFacts};
use crate::mail::{Domain, Mailbox, Notify, ParcelId, Timestamp};
use crate::observe::{self, metrics};
use crate::policy::Class;
use crate::queue::{CopyKind, CopyState, Outcome};
use crate::secret::{Key, Plaintext, Sealed};
use crate::store::{self, Commit, Handle, ParcelChange, ParcelRow, Settle};
use crate::transport::{DomainEvidence, Level, Reason};
use crate::vault::Vault;

/// Domains with parcels are counted at least this often, however rarely each is looked at.
const TICK_MAX: Duration = Duration::from_secs(600);
/// A look that found out nothing is repeated after this part of the interval.
const SOONER: i64 = 12;
/// Domains looked at at once.
const LOOKS_MAX: usize = 8;
/// Parcels in a row that a domain puts off, before the rest waits for the next look.
const PUT_OFF_MAX: u32 = 3;
/// How long parcels are sent on the strength of one look; then the domain is looked at anew.
const LOOK_LIVES: Duration = Duration::from_secs(300);
/// Parcels of one domain in one go.
const PARCELS_MAX: usize = 1000;

/// What came of one parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Sent, somebody else's, or never to be tried again.
    Done,
    PutOff,
}

/// The task's parts.
pub(super) struct Later {
    pub(super) settings: Arc<Settings>,
    pub(super) store: Handle,
    pub(super) vault: Arc<Vault>,
    pub(super) attempts: Arc<Attempts>,
    pub(super) history: Arc<History>,
    /// A parcel is opened whole in memory, so they go one at a time.
    pub(super) sends: Semaphore,
}

/// Runs until `stopped`.
pub(super) async fn run(later: Arc<Later>, mut stopped: watch::Receiver<bool>) {
    let tick = later.settings.later_every.min(TICK_MAX);
    let mut ticks = interval_at(Instant::now() + tick, tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = ticks.tick() => round(&later, &stopped).await,
        }
        if *stopped.borrow() {
            return;
        }
    }
}

/// Looks at every domain whose time has come.
async fn round(later: &Arc<Later>, stopped: &watch::Receiver<bool>) {
    let domains = match later.store.domains_waiting(now()).await {
        Ok(domains) => domains,
        Err(error) => return store_failed(&error),
    };
    let mut looks = JoinSet::new();
    for domain in domains {
        while looks.len() >= LOOKS_MAX {
            note_panic(looks.join_next().await);
        }
        if *stopped.borrow() {
            break;
        }
        let (later, stopped) = (Arc::clone(later), stopped.clone());
        looks.spawn(async move {
            if let Err(error) = later.domain(&domain, &stopped).await {
                store_failed(&error);
            }
        });
    }
    while let Some(ended) = looks.join_next().await {
        note_panic(Some(ended));
    }
}

/// A look that panicked is repeated when the domain is due again.
fn note_panic(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended
        && error.is_panic()
    {
        metrics().panics.inc();
        observe::log(&observe::Event::SessionPanicked);
    }
}

impl Later {
    /// One domain: a look if it is due, and its parcels if that is a ground.
    async fn domain(self: &Arc<Self>, domain: &Domain, stopped: &watch::Receiver<bool>) -> Result<(), store::Error> {
        let mut checks = self.checks(domain, now()).await?;
        if !is_due(checks.last(), now(), self.settings.later_every) {
            return Ok(());
        }
        let (mut tried, mut put_off) = (HashSet::new(), 0);
        loop {
            let Some(looked) = self.attempts.look_at(domain).await else { return Ok(()) };
            let (at, since) = (now(), Instant::now());
            self.note(domain, &looked, at).await?;
            checks.push((at, looked.check));
            let Some(ground) = ground(&checks, at) else { return Ok(()) };
            let rows = self.store.parcels_waiting(domain, at, PARCELS_MAX).await?;
            let meets = |row: &ParcelRow| level_of(row.later_level.as_deref()).is_some_and(|level| level <= ground.level());
            let mut left = rows.into_iter().filter(|row| meets(row) && !tried.contains(&row.id)).collect::<Vec<_>>().into_iter();
            let evidence = Arc::new(looked.evidence);
            loop {
                if *stopped.borrow() || put_off >= PUT_OFF_MAX {
                    return Ok(());
                }
                if since.elapsed() > LOOK_LIVES {
                    break;
                }
                let Some(row) = left.next() else { return Ok(()) };
                let _one = self.sends.acquire().await.map_err(|_| store::Error::Closed)?;
                tried.insert(row.id);
                put_off = if self.send(row, ground, &evidence).await? == Sent::PutOff { put_off + 1 } else { 0 };
            }
        }
    }

    async fn note(&self, domain: &Domain, looked: &Looked, at: Timestamp) -> Result<(), store::Error> {
        // Looked at because they lack something, such domains would make every network look ill. One that has lost
        // what it had is a sign all the same.
        if let Some(shown @ (Shown::StartTls | Shown::Gone)) = looked.shown {
            self.attempts.weather.note(domain, shown);
        }
        let is_ours = looked.shown == Some(Shown::Gone) && self.attempts.weather.suspicion().is_some();
        self.history.saw(domain, looked.shown, looked.seen.filter(|_| !is_ours), at).await;
        let sealed = looked.check.sealed(&self.vault, domain, at);
        self.store.note_check(domain, at, sealed, at.plus_ms(-KEPT_MS)).await
    }

    async fn checks(&self, domain: &Domain, at: Timestamp) -> Result<Vec<(Timestamp, Check)>, store::Error> {
        let sealed = self.store.checks(domain, at.plus_ms(-KEPT_MS)).await?;
        let opened = |(at, sealed): (Timestamp, Sealed)| Some((at, Check::open(&self.vault, domain, at, &sealed)?));
        Ok(sealed.into_iter().filter_map(opened).collect())
    }

    /// Claims one parcel, tries it once, and writes down what came of it.
    async fn send(
        self: &Arc<Self>,
        row: ParcelRow,
        ground: Ground,
        evidence: &Arc<DomainEvidence>,
    ) -> Result<Sent, store::Error> {
        let at = now();
        let mut record = record_of(&row, Event::RecoveryOpened, at);
        record.reason = Some("deliver-later".to_owned());
        let claim =
            Commit { parcel_changes: vec![ParcelChange::Sending(row.id, at)], records: vec![record], ..Commit::default() };
        match self.store.commit(claim).await {
            Ok(()) => {}
            // Opened, being opened, or ended since it was listed.
            Err(store::Error::Conflict) => return Ok(Sent::Done),
            Err(error) => return Err(error),
        }
        // From here on the key may be opened. A task of its own: whatever goes wrong in it, the claim must end, or
        // nobody could read the parcel.
        let work = tokio::spawn({
            let (later, row, evidence) = (Arc::clone(self), row.clone(), Arc::clone(evidence));
            async move { later.send_claimed(&row, ground, &evidence).await }
        });
        match work.await {
            Ok(Ok(sent)) => Ok(sent),
            // It may have left already, so it is not tried again.
            Ok(Err(error)) => {
                self.stays(&row, None, Reason::ProtocolError, false).await?;
                Err(error)
            }
            Err(_) => {
                metrics().panics.inc();
                observe::log(&observe::Event::SessionPanicked);
                self.stays(&row, None, Reason::ProtocolError, false).await
            }
        }
    }

    async fn send_claimed(&self, row: &ParcelRow, ground: Ground, evidence: &DomainEvidence) -> Result<Sent, store::Error> {
        let Some((facts, needs, contents)) = self.open(row).await? else {
            return self.stays(row, None, Reason::LevelNotReachable, false).await;
        };
        let mut requirement = needs.requirement;
        if requirement.level > ground.level() {
            return self.stays(row, None, Reason::LevelNotReachable, true).await;
        }
        requirement.level = ground.level();
        let Some(attempted) = self.attempt(&facts, &needs, &requirement, &contents, evidence).await else {
            return self.stays(row, None, Reason::LevelNotReachable, false).await;
        };
        drop(contents);
        self.history.saw(&row.domain, attempted.shown, Seen::of(&attempted), now()).await;
        match attempted.outcome {
            Outcome::Delivered => self.delivered(row, &facts, &needs, &attempted).await,
            // It may have arrived. It can still be read here, and is never sent a second time.
            Outcome::Uncertain => self.stays(row, Some(&attempted), Reason::Timeout, false).await,
            Outcome::Failed { reason } => self.stays(row, Some(&attempted), reason, false).await,
            Outcome::Delayed { reason, .. } | Outcome::CannotReachLevel { reason, .. } => {
                self.stays(row, Some(&attempted), reason, true).await
            }
        }
    }

    async fn open(&self, row: &ParcelRow) -> Result<Option<(ParcelFacts, Needs, Parcel)>, store::Error> {
        let Some((header, body)) = self.store.parcel_content(row.id).await? else { return Ok(None) };
        let opened = || {
            let key = self.vault.unwrap_recovery(row.id, &row.recovery)?;
            let facts = escrow::open_facts(&key, row.id, &row.facts)?;
            let header = escrow::open_header(&key, row.id, &header)?;
            Ok::<_, crate::secret::OpenError>((facts, header, key))
        };
        let Ok((facts, header, key)) = opened() else {
            observe::log(&observe::Event::StoreFailed { what: format!("parcel {} does not open", row.id) });
            return Ok(None);
        };
        let Some(needs) = facts.later.clone() else { return Ok(None) };
        Ok(Some((facts, needs, Parcel { key, id: row.id, header, body: Arc::new(body) })))
    }

    /// One attempt as every message has it, at the level of the ground. `None` if an address in the facts is none.
    async fn attempt(
        &self,
        facts: &ParcelFacts,
        needs: &Needs,
        requirement: &crate::transport::Requirement,
        contents: &Parcel,
        evidence: &DomainEvidence,
    ) -> Option<Attempted> {
        let recipient = Mailbox::parse(&facts.recipient).ok()?;
        let reverse_path = match needs.reverse_path.as_str() {
            "" => None,
            text => Some(Mailbox::parse(text).ok()?),
        };
        let dice: [u8; 10] = self.vault.random();
        let envid: String = dice.iter().map(|byte| format!("{byte:02x}")).collect();
        let notify = needs.notify;
        let transaction = Transaction {
            lane: crate::policy::Lane::Bulk,
            reverse_path: reverse_path.as_ref(),
            recipient: &recipient,
            smtputf8: needs.smtputf8,
            require_tls: if requirement.require_tls { RequireTls::Yes } else { RequireTls::No },
            // That it went to the portal was told where that was asked for, and a letter tells of its delivery.
            notify: Notify { success: false, never: notify.never || !(notify.failure || notify.delay), ..notify },
            orcpt: needs.orcpt.as_deref(),
            envid: &envid,
        };
        let attempts = self.attempts.under(evidence.clone());
        Some(attempts.deliver(requirement, Way::Any, &transaction, contents, None).await)
    }

    /// The parcel is closed, the delivery recorded with its proof, and the sender told, all at once.
    async fn delivered(
        &self,
        row: &ParcelRow,
        facts: &ParcelFacts,
        needs: &Needs,
        attempted: &Attempted,
    ) -> Result<Sent, store::Error> {
        let at = now();
        loop {
            let mut commit = Commit { parcel_changes: vec![ParcelChange::Delivered(row.id, at)], ..Commit::default() };
            // What still waits to speak of the parcel has nothing to say any more.
            for copy in self.store.copies_of(row.message).await? {
                let is_of_it = copy.copy.parcel == Some(row.id) && matches!(copy.copy.kind, CopyKind::Notice | CopyKind::Slip);
                if is_of_it && matches!(copy.copy.state, CopyState::Queued { .. }) {
                    commit.settles.push(Settle {
                        copy: copy.copy.id,
                        generation: copy.generation,
                        to: CopyState::Bounced,
                        at,
                        reason: Some("delivered-later".to_owned()),
                    });
                }
            }
            let mut record = record_of(row, Event::Delivered, at);
            record.reason = Some("delivered-later".to_owned());
            record.required = Some(needs.requirement.level.as_str().to_owned());
            record.proof.clone_from(&attempted.proof);
            commit.records.push(record);
            self.add_letter(&mut commit, row, facts, needs, at);
            match with_room(ROOM_EVERY, || self.store.commit(commit.clone())).await {
                Ok(()) => break,
                // A notice or slip is just being sent: it is left out the next time round.
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        let level = attempted.proof.as_ref().map_or("", |proof| proof.level.as_str());
        metrics().delivery("parcel", "delivered", super::finish::level_word(level));
        self.tell(row, "delivered");
        Ok(Sent::Done)
    }

    fn add_letter(&self, commit: &mut Commit, row: &ParcelRow, facts: &ParcelFacts, needs: &Needs, at: Timestamp) {
        let Some(recipient) = Mailbox::parse(&facts.recipient).ok() else { return };
        let to = facts.slip_to.as_deref().and_then(|text| Mailbox::parse(text).ok());
        let to = to.filter(|to| self.settings.routes.contains_key(to.domain()) && to.folded() != recipient.folded());
        let (Some(to), Some(from)) = (to, self.settings.postmaster()) else { return };
        let letter = escrow::arrival(&Arrival {
            to: to.clone(),
            from,
            office: self.settings.portal.office.clone(),
            recipient,
            original_message_id: facts.message_id.clone(),
            at,
            random: self.vault.random(),
        });
        let internal = Internal {
            kind: CopyKind::Report,
            to: &to,
            reverse_path: None,
            message: row.message,
            message_id: &facts.message_id,
            class: Class::Normal,
            parcel: Some(row.id),
            require_tls: needs.requirement.require_tls,
            at,
            next_at: at,
        };
        let (body, copy) = seal_internal(&self.vault, &internal, letter.header.expose(), letter.body.expose());
        commit.bodies.push(body);
        commit.copies.push(copy);
    }

    async fn stays(
        &self,
        row: &ParcelRow,
        attempted: Option<&Attempted>,
        reason: Reason,
        again: bool,
    ) -> Result<Sent, store::Error> {
        let mut record = record_of(row, Event::Delayed, now());
        record.reason = Some(reason.as_str().to_owned());
        record.proof = attempted.and_then(|attempted| attempted.proof.clone());
        let changes = vec![ParcelChange::Stays { parcel: row.id, again }];
        let commit = Commit { parcel_changes: changes, records: vec![record], ..Commit::default() };
        with_room(ROOM_EVERY, || self.store.commit(commit.clone())).await?;
        metrics().delivery("parcel", if again { "delayed" } else { "failed" }, "none");
        metrics().refusal(reason.as_str());
        if !again {
            self.tell(row, if reason == Reason::Timeout { "uncertain" } else { "stays" });
        }
        Ok(if again { Sent::PutOff } else { Sent::Done })
    }

    fn tell(&self, row: &ParcelRow, outcome: &'static str) {
        observe::log(&observe::Event::SentLater { parcel: row.id, domain: row.domain.clone(), outcome });
    }
}

/// Whether a domain is to be looked at again.
fn is_due(last: Option<&(Timestamp, Check)>, now: Timestamp, every: Duration) -> bool {
    let Some((at, check)) = last else { return true };
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let wait_ms = if check.found == Found::Unknown { every_ms / SOONER } else { every_ms };
    let since_ms = now.since_ms(*at);
    // A look in the future was made before the clock was set back.
    since_ms >= wait_ms || since_ms < 0
}

fn level_of(word: Option<&str>) -> Option<Level> {
    [Level::Encrypted, Level::Verified, Level::Authenticated].into_iter().find(|level| Some(level.as_str()) == word)
}

fn record_of(row: &ParcelRow, event: Event, at: Timestamp) -> Record {
    let mut record = Record::of(event, at);
    record.message = Some(row.message.to_string());
    record.copy = Some(row.copy.to_string());
    record.message_id = Some(row.message_id.clone());
    record.recipient = Some(row.recipient.clone());
    record.domain = Some(row.domain.as_str().to_owned());
    record
}

/// A parcel whose body is opened when a host takes it.
struct Parcel {
    key: Key,
    id: ParcelId,
    header: Plaintext,
    body: Arc<Sealed>,
}

impl Contents for Parcel {
    async fn open(&self) -> Option<Content> {
        let (key, id, body) = (Key::of(*self.key.expose_key()), self.id, Arc::clone(&self.body));
        let body = tokio::task::spawn_blocking(move || escrow::open_body(&key, id, &body)).await.ok()?.ok()?;
        Some(Content::whole(self.header.expose(), body))
    }
}
