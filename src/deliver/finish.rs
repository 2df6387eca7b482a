//! From a claimed copy to what is written down of its attempt.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use tokio::time::Instant;

use super::attempt::{Attempted, Attempts, Contents, Way};
use super::bounce::{self, Finding};
use super::content::Content;
use super::copy::OpenCopy;
use super::dialogue::{RequireTls, Transaction};
use super::fallback::{self, Parcels, notice_of, record_of};
use super::history::{History, Seen};
use super::settings::{NoticeMode, Settings};
use super::weather::Shown;
use super::worker::now;
use crate::audit::{Event, Record};
use crate::escrow::Why;
use crate::mail::{BodyId, Domain, Mailbox, Notify, Reply, Timestamp};
use crate::observe::{self, metrics};
use crate::policy::Action;
use crate::queue::{Claim, CopyKind, CopyState, Next, Outcome};
use crate::secret::{Key, Role, Sealed};
use crate::store::{self, Commit, CopyRow, Handle, ParcelChange, Settle};
use crate::transport::{Reason, RefusalKind, Requirement};
use crate::vault::Vault;

/// The alarm about our own network repeats at most this often.
const ALARM_EVERY: Duration = Duration::from_secs(15 * 60);

/// How often an outcome that found the disk full is committed again.
pub(super) const ROOM_EVERY: Duration = Duration::from_secs(5);

/// Runs attempts and commits what came of them.
pub(super) struct Finish {
    settings: Arc<Settings>,
    store: Handle,
    vault: Arc<Vault>,
    parcels: Arc<Parcels>,
    attempts: Arc<Attempts>,
    history: Arc<History>,
    alarmed: Mutex<Option<Instant>>,
}

/// A body that is opened when a host takes it.
struct SealedContents<'a> {
    open: &'a OpenCopy,
    id: BodyId,
    body: Arc<Sealed>,
}

impl Contents for SealedContents<'_> {
    async fn open(&self) -> Option<Content> {
        let key: Key = self.open.body_key();
        Content::sealed(self.open.header.expose(), key, self.id, Arc::clone(&self.body)).await.ok()
    }
}

impl Finish {
    pub(super) fn new(
        settings: Arc<Settings>,
        store: Handle,
        vault: Arc<Vault>,
        parcels: Arc<Parcels>,
        attempts: Arc<Attempts>,
        history: Arc<History>,
    ) -> Finish {
        Finish { settings, store, vault, parcels, attempts, history, alarmed: Mutex::default() }
    }

    pub(super) fn parcels(&self) -> Arc<Parcels> {
        Arc::clone(&self.parcels)
    }

    /// One attempt for one claimed copy. Returns when the copy is due again, if it is.
    pub(super) async fn run(&self, row: CopyRow) -> Option<Timestamp> {
        let body = match &row.warm_body {
            Some(body) => Ok(Some(Arc::clone(body))),
            None => self.store.body(row.copy.body).await,
        };
        let body = match body {
            Ok(Some(body)) => body,
            Ok(None) => return self.unreadable(&row).await,
            Err(error) => return self.requeue_after(&row, &error.into()).await,
        };
        let Ok(open) = OpenCopy::of(&self.vault, &row) else { return self.unreadable(&row).await };
        match row.copy.kind {
            CopyKind::Message if open.facts.action == Action::Escrow => self.to_portal(&row, &open, body, Why::Policy).await,
            CopyKind::Message if open.facts.action == Action::Reject => self.refused(&row).await,
            CopyKind::Message => self.message(&row, &open, body).await,
            CopyKind::Notice => self.notice(&row, &open, &body).await,
            CopyKind::Slip | CopyKind::Report => self.internal(&row, &open, body, Way::FixedOnly).await,
            CopyKind::TlsReport => self.internal(&row, &open, body, Way::Any).await,
        }
    }

    async fn message(&self, row: &CopyRow, open: &OpenCopy, body: Arc<Sealed>) -> Option<Timestamp> {
        let Some(attempted) = self.send(row, open, Arc::clone(&body), Way::Any).await else { return self.unreadable(row).await };
        // In foul weather of our own it is not the domain that lost something.
        let is_ours = attempted.shown == Some(Shown::Gone) && self.attempts.weather.suspicion().is_some();
        let seen = Seen::of(&attempted).filter(|_| !is_ours);
        let next_at = self.message_ended(row, open, body, &attempted).await;
        // Only now: until the outcome is written, a crash would have the message sent once more.
        self.history.saw(&row.copy.domain, attempted.shown, seen, now()).await;
        next_at
    }

    async fn message_ended(&self, row: &CopyRow, open: &OpenCopy, body: Arc<Sealed>, attempted: &Attempted) -> Option<Timestamp> {
        let is_uncertain = attempted.outcome == Outcome::Uncertain;
        let may_have = may_have(row, attempted);
        match self.next(row, open, &attempted.outcome) {
            Next::Delivered => self.delivered(row, open, attempted).await,
            Next::Again { at, reason } => {
                let outcome = if is_uncertain { "uncertain" } else { "delayed" };
                self.late(row, open, attempted, reason, outcome, at).await
            }
            Next::Bounced { reason } => {
                let uncertain = is_uncertain.then_some(Finding::Uncertain { host: may_have.map(Domain::as_str) });
                self.bounced(row, open, attempted, reason, uncertain).await
            }
            Next::Portal(portal) => match may_have {
                // What may have arrived is not put into the portal as if it had not.
                Some(host) => {
                    let uncertain = Finding::Uncertain { host: Some(host.as_str()) };
                    self.bounced(row, open, attempted, portal.reason(), Some(uncertain)).await
                }
                None => self.out_of_reach(row, open, body, attempted, portal.reason()).await,
            },
        }
    }

    /// The portal, unless it looks as if our own network made the whole world unable.
    async fn out_of_reach(
        &self,
        row: &CopyRow,
        open: &OpenCopy,
        body: Arc<Sealed>,
        attempted: &Attempted,
        reason: Reason,
    ) -> Option<Timestamp> {
        if let Some(domains) = self.attempts.weather.suspicion() {
            self.alarm(domains);
            let next_at = self.later(row);
            return self.late(row, open, attempted, Reason::StarttlsMissingEverywhere, "delayed", next_at).await;
        }
        let kind = match attempted.outcome {
            Outcome::Delayed { kind, .. } | Outcome::CannotReachLevel { kind, .. } => kind,
            Outcome::Delivered | Outcome::Uncertain | Outcome::Failed { .. } => RefusalKind::Unknown,
        };
        self.to_portal(row, open, body, Why::Transport { kind, reason }).await
    }

    async fn notice(&self, row: &CopyRow, open: &OpenCopy, body: &Sealed) -> Option<Timestamp> {
        let Ok(notice) = notice_of(open, row, body) else { return self.unreadable(row).await };
        let suspicion = self.attempts.weather.suspicion();
        let clear_at = row.copy.received_at.plus_ms(self.settings.portal.notice_wait.as_millis() as i64);
        let is_due = now() >= clear_at;
        let may_be_clear = is_due && suspicion.is_none();
        let attempted = self.attempts.notify(&notice, self.settings.portal.notice, may_be_clear).await;
        let would_be_clear = Outcome::CannotReachLevel { kind: RefusalKind::CannotEncrypt, reason: Reason::StarttlsNotSupported };
        if attempted.outcome == would_be_clear && !may_be_clear && self.settings.portal.notice == NoticeMode::Plain {
            // It would have gone in clear, and must not yet.
            if let Some(domains) = suspicion {
                self.alarm(domains);
            }
            let next_at = if is_due { self.later(row) } else { clear_at };
            return self.delayed(row, &attempted, Reason::StarttlsNotSupported, "delayed", next_at).await;
        }
        if let Outcome::CannotReachLevel { reason, .. } = attempted.outcome {
            return self.gave_up(row, &attempted, reason).await;
        }
        self.end_internal(row, open, &attempted).await
    }

    /// Slips and reports: a fixed route or none; reports about TLS as a message would go. Never the portal, never
    /// another report.
    async fn internal(&self, row: &CopyRow, open: &OpenCopy, body: Arc<Sealed>, way: Way) -> Option<Timestamp> {
        let Some(attempted) = self.send(row, open, body, way).await else { return self.unreadable(row).await };
        self.end_internal(row, open, &attempted).await
    }

    async fn end_internal(&self, row: &CopyRow, open: &OpenCopy, attempted: &Attempted) -> Option<Timestamp> {
        match self.next(row, open, &attempted.outcome) {
            Next::Delivered => self.delivered(row, open, attempted).await,
            Next::Again { at, reason } => self.delayed(row, attempted, reason, "delayed", at).await,
            Next::Bounced { reason } => self.gave_up(row, attempted, reason).await,
            Next::Portal(portal) => self.gave_up(row, attempted, portal.reason()).await,
        }
    }

    async fn send(&self, row: &CopyRow, open: &OpenCopy, body: Arc<Sealed>, way: Way) -> Option<Attempted> {
        let facts = &open.facts;
        let recipient = Mailbox::parse(&facts.recipient).ok()?;
        let reverse_path = match facts.reverse_path.as_str() {
            "" => None,
            text => Some(Mailbox::parse(text).ok()?),
        };
        let dice: [u8; 10] = self.vault.random();
        let envid: String = dice.iter().map(|byte| format!("{byte:02x}")).collect();
        let notify = facts.notify;
        let is_message = facts.kind == CopyKind::Message;
        let require_tls = match (facts.requirement.require_tls, is_message) {
            (true, true) => RequireTls::Yes,
            (true, false) => RequireTls::IfOffered,
            (false, _) => RequireTls::No,
        };
        let requirement = Requirement { require_tls: require_tls == RequireTls::Yes, ..facts.requirement };
        let transaction = Transaction {
            lane: row.copy.class.lane(),
            reverse_path: reverse_path.as_ref(),
            recipient: &recipient,
            smtputf8: facts.smtputf8,
            require_tls,
            // RFC 3461, section 5.2.1: who offers DSN is told what the sender wants to hear, and is then the one to say it.
            notify: Notify { never: notify.never || !(notify.success || notify.failure || notify.delay), ..notify },
            orcpt: facts.orcpt.as_deref(),
            envid: &envid,
        };
        let contents = SealedContents { open, id: row.copy.body, body };
        let prefer = row.uncertain_host.as_ref();
        Some(self.attempts.deliver(&requirement, way, &transaction, &contents, prefer).await)
    }

    async fn delivered(&self, row: &CopyRow, open: &OpenCopy, attempted: &Attempted) -> Option<Timestamp> {
        let at = now();
        let event = match row.copy.kind {
            CopyKind::Message => Event::Delivered,
            CopyKind::Notice => Event::NoticeSent,
            CopyKind::Slip => Event::SlipSent,
            CopyKind::Report | CopyKind::TlsReport => Event::ReportSent,
        };
        let mut record = self.record(row, event, attempted, None, at);
        record.action = Some(open.facts.action.as_str().to_owned());
        record.required = Some(open.facts.requirement.level.as_str().to_owned());
        let mut commit = settled(row, CopyState::Delivered, at, None);
        if let (CopyKind::Notice, Some(parcel)) = (row.copy.kind, row.copy.parcel) {
            commit.parcel_changes.push(ParcelChange::NoticeSent(parcel, at));
        }
        if let (Some(reply), Some(host), false) = (&attempted.reply, &attempted.host, attempted.reports) {
            let finding = Finding::Relayed { reply, host: host.as_str() };
            if let Some((body, copy)) = bounce::report(&self.vault, &self.settings, row, open, finding, at) {
                commit.bodies.push(body);
                commit.copies.push(copy);
            }
        }
        commit.records.push(record);
        if row.copy.kind == CopyKind::TlsReport {
            metrics().tls_report("mail");
        }
        let level = level_word(attempted.proof.as_ref().map_or("", |proof| proof.level.as_str()));
        metrics().delivery(kind_word(row.copy.kind), "delivered", level);
        if let Some(host) = &attempted.host {
            observe::log(&observe::Event::Delivered {
                message: row.copy.message,
                copy: row.copy.id,
                kind: kind_word(row.copy.kind),
                domain: row.copy.domain.clone(),
                level,
                host: host.clone(),
            });
        }
        self.commit(commit).await;
        None
    }

    /// A message that waits on. Its sender is told so once, when it has waited for long enough to matter.
    async fn late(
        &self,
        row: &CopyRow,
        open: &OpenCopy,
        attempted: &Attempted,
        reason: Reason,
        outcome: &'static str,
        next_at: Timestamp,
    ) -> Option<Timestamp> {
        let mut told = Commit::default();
        let at = now();
        let is_late = at.since_ms(row.copy.received_at) >= self.settings.schedule.delay_report_ms;
        if is_late && !row.delay_told {
            let until = self.claim(row, open).end(&self.settings.schedule);
            let host = attempted.host.as_ref().map(Domain::as_str);
            let finding = Finding::Delayed { reason, reply: attempted.reply.as_ref(), host, until };
            if let Some((body, copy)) = bounce::report(&self.vault, &self.settings, row, open, finding, at) {
                told.bodies.push(body);
                told.copies.push(copy);
                told.delay_told.push(row.copy.id);
            }
        }
        self.wait(row, attempted, reason, outcome, next_at, told).await
    }

    async fn delayed(
        &self,
        row: &CopyRow,
        attempted: &Attempted,
        reason: Reason,
        outcome: &'static str,
        next_at: Timestamp,
    ) -> Option<Timestamp> {
        self.wait(row, attempted, reason, outcome, next_at, Commit::default()).await
    }

    /// Puts a copy back, together with what else is to be committed.
    async fn wait(
        &self,
        row: &CopyRow,
        attempted: &Attempted,
        reason: Reason,
        outcome: &'static str,
        next_at: Timestamp,
        with: Commit,
    ) -> Option<Timestamp> {
        let at = now();
        let mut commit = settled(row, CopyState::Queued { next_at }, at, Some(reason));
        (commit.bodies, commit.copies, commit.delay_told) = (with.bodies, with.copies, with.delay_told);
        if let (Outcome::Uncertain, Some(host)) = (&attempted.outcome, &attempted.host) {
            // Kept with the state: after a restart too it is asked first, and the copy never becomes a parcel.
            commit.uncertain.push((row.copy.id, host.clone()));
        }
        commit.records.push(self.record(row, Event::Delayed, attempted, Some(reason), at));
        metrics().delivery(kind_word(row.copy.kind), outcome, "none");
        metrics().refusal(reason.as_str());
        observe::log(&observe::Event::Deferred {
            message: row.copy.message,
            copy: row.copy.id,
            domain: row.copy.domain.clone(),
            reason: reason.as_str(),
            attempt: row.attempts.max(1),
        });
        self.commit(commit).await;
        Some(next_at)
    }

    async fn bounced(
        &self,
        row: &CopyRow,
        open: &OpenCopy,
        attempted: &Attempted,
        reason: Reason,
        finding: Option<Finding<'_>>,
    ) -> Option<Timestamp> {
        let at = now();
        let mut commit = settled(row, CopyState::Bounced, at, Some(reason));
        commit.records.push(self.record(row, Event::Bounced, attempted, Some(reason), at));
        let host = attempted.host.as_ref().map(Domain::as_str);
        let finding = finding.unwrap_or(Finding::Failed { reason, reply: attempted.reply.as_ref(), host });
        if let Some((body, copy)) = bounce::report(&self.vault, &self.settings, row, open, finding, at) {
            commit.bodies.push(body);
            commit.copies.push(copy);
        }
        self.count_end(row, reason);
        self.commit(commit).await;
        None
    }

    /// A copy that a rule refused while others were served: the sender is told, the content goes.
    async fn refused(&self, row: &CopyRow) -> Option<Timestamp> {
        let commit = refuse(&self.vault, &self.settings, row, Reason::RefusedByRule, now());
        self.count_end(row, Reason::RefusedByRule);
        self.commit(commit).await;
        None
    }

    /// A notice, slip or report that cannot be delivered ends in the record; it is never escrowed or reported on.
    async fn gave_up(&self, row: &CopyRow, attempted: &Attempted, reason: Reason) -> Option<Timestamp> {
        let at = now();
        let mut commit = settled(row, CopyState::Bounced, at, Some(reason));
        let event = match row.copy.kind {
            CopyKind::Notice => Event::NoticeFailed,
            CopyKind::Message | CopyKind::Slip | CopyKind::Report | CopyKind::TlsReport => Event::Bounced,
        };
        commit.records.push(self.record(row, event, attempted, Some(reason), at));
        if let (CopyKind::Notice, Some(parcel)) = (row.copy.kind, row.copy.parcel) {
            commit.parcel_changes.push(ParcelChange::NoticeFailed(parcel));
            observe::log(&observe::Event::NoticeFailed { parcel, reason: reason.as_str() });
        }
        match row.copy.kind {
            CopyKind::TlsReport => metrics().tls_report("dropped"),
            CopyKind::Report => metrics().unreported.inc(),
            CopyKind::Message | CopyKind::Notice | CopyKind::Slip => {}
        }
        self.count_end(row, reason);
        self.commit(commit).await;
        None
    }

    fn count_end(&self, row: &CopyRow, reason: Reason) {
        metrics().delivery(kind_word(row.copy.kind), "failed", "none");
        metrics().refusal(reason.as_str());
        observe::log(&observe::Event::Bounced {
            message: row.copy.message,
            copy: row.copy.id,
            domain: row.copy.domain.clone(),
            reason: reason.as_str(),
        });
    }

    async fn to_portal(&self, row: &CopyRow, open: &OpenCopy, body: Arc<Sealed>, why: Why) -> Option<Timestamp> {
        match self.parcels.to_portal(row, open, body, why, now()).await {
            Ok(_) => {
                metrics().delivery("message", "escrowed", "none");
                None
            }
            // Claimed anew or settled by somebody else: it is theirs.
            Err(fallback::Error::Store(store::Error::Conflict)) => None,
            Err(fallback::Error::Open(_) | fallback::Error::Facts) => self.unreadable(row).await,
            Err(error) => self.requeue_after(row, &error).await,
        }
    }

    /// The copy cannot be opened: it is set aside for a person, with an alarm, and never dropped.
    async fn unreadable(&self, row: &CopyRow) -> Option<Timestamp> {
        let at = now();
        let mut commit = settled(row, CopyState::Held, at, None);
        let mut record = record_of(row, Event::Delayed, at);
        record.reason = Some("cannot-open".to_owned());
        commit.records.push(record);
        observe::log(&observe::Event::StoreFailed { what: format!("copy {} does not open and is held", row.copy.id) });
        observe::log(&observe::Event::Held { message: row.copy.message, copy: row.copy.id });
        self.commit(commit).await;
        None
    }

    async fn requeue_after(&self, row: &CopyRow, error: &fallback::Error) -> Option<Timestamp> {
        match error {
            fallback::Error::Store(error) => store_failed(error),
            other => observe::log(&observe::Event::StoreFailed { what: other.to_string() }),
        }
        let at = now();
        let next_at = self.later(row);
        self.commit(settled(row, CopyState::Queued { next_at }, at, None)).await;
        Some(next_at)
    }

    async fn commit(&self, commit: Commit) {
        match with_room(ROOM_EVERY, || self.store.commit(commit.clone())).await {
            // A conflict says that the copy is somebody else's by now.
            Ok(()) | Err(store::Error::Conflict) => {}
            // The copy stays in flight and is claimed again at the next start.
            Err(error) => store_failed(&error),
        }
    }

    fn record(&self, row: &CopyRow, event: Event, attempted: &Attempted, reason: Option<Reason>, at: Timestamp) -> Record {
        let mut record = record_of(row, event, at);
        record.reason = reason.map(|reason| reason.as_str().to_owned());
        record.proof.clone_from(&attempted.proof);
        record.sealed = attempted.reply.as_ref().map(|reply| self.seal_reply(row, reply));
        record
    }

    /// What a host said may name people: it stands sealed in the record.
    fn seal_reply(&self, row: &CopyRow, reply: &Reply) -> String {
        let text = serde_json::json!({ "code": reply.code, "reply": reply.lines.join("\n") }).to_string();
        let sealed = self.vault.seal_small(Role::Record, row.copy.id.to_string().as_bytes(), text.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(&sealed.0)
    }

    fn next(&self, row: &CopyRow, open: &OpenCopy, outcome: &Outcome) -> Next {
        self.claim(row, open).after(outcome, &self.settings.schedule, now())
    }

    fn claim(&self, row: &CopyRow, open: &OpenCopy) -> Claim {
        Claim {
            kind: row.copy.kind,
            class: row.copy.class,
            received_at: row.copy.received_at,
            attempts: row.attempts.max(1),
            require_tls: open.facts.requirement.require_tls,
            dice: self.dice(),
        }
    }

    fn dice(&self) -> u16 {
        u16::from_be_bytes(self.vault.random())
    }

    /// A step later, whatever the budget.
    fn later(&self, row: &CopyRow) -> Timestamp {
        self.settings.schedule.next_at(row.attempts.max(1), now(), Timestamp(i64::MAX), self.dice())
    }

    fn alarm(&self, domains: usize) {
        let mut alarmed = self.alarmed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if alarmed.is_none_or(|at| at.elapsed() >= ALARM_EVERY) {
            *alarmed = Some(Instant::now());
            observe::log(&observe::Event::OwnNetworkSuspected { domains });
        }
    }
}

/// Tells of a failure of the store. That it is closed is told once, where it broke; whatever finds it so has nothing
/// to add, and the copy is claimed again at the next start.
pub(super) fn store_failed(error: &store::Error) {
    if !matches!(error, store::Error::Closed) {
        observe::log(&observe::Event::StoreFailed { what: error.to_string() });
    }
}

/// Commits again and again while the disk is full. An outcome that is not written would leave its copy in flight, and
/// nobody claims that until the next start.
pub(super) async fn with_room<F: Future<Output = Result<(), store::Error>>>(
    every: Duration,
    mut commit: impl FnMut() -> F,
) -> Result<(), store::Error> {
    let mut is_logged = false;
    loop {
        match commit().await {
            Err(store::Error::Full) => {}
            ended => return ended,
        }
        if !std::mem::replace(&mut is_logged, true) {
            observe::log(&observe::Event::StoreFailed { what: store::Error::Full.to_string() });
        }
        tokio::time::sleep(every).await;
    }
}

/// Ends a copy that must not leave, with a report to its sender.
#[must_use]
pub fn refuse(vault: &Vault, settings: &Settings, row: &CopyRow, reason: Reason, at: Timestamp) -> Commit {
    let mut commit = settled(row, CopyState::Refused, at, Some(reason));
    let mut record = record_of(row, Event::Bounced, at);
    record.reason = Some(reason.as_str().to_owned());
    commit.records.push(record);
    if let Ok(open) = OpenCopy::of(vault, row)
        && let finding =
            if open.facts.is_asked && reason == Reason::RefusedByRule { Finding::Unanswered } else { Finding::Refused { reason } }
        && let Some((body, copy)) = bounce::report(vault, settings, row, &open, finding, at)
    {
        commit.bodies.push(body);
        commit.copies.push(copy);
    }
    commit
}

/// The host that may have the message: it did not answer the final dot, now or in an earlier attempt.
fn may_have<'a>(row: &'a CopyRow, attempted: &'a Attempted) -> Option<&'a Domain> {
    let now = attempted.host.as_ref().filter(|_| attempted.outcome == Outcome::Uncertain);
    now.or(row.uncertain_host.as_ref())
}

fn settled(row: &CopyRow, to: CopyState, at: Timestamp, reason: Option<Reason>) -> Commit {
    let reason = reason.map(|reason| reason.as_str().to_owned());
    let settle = Settle { copy: row.copy.id, generation: row.generation, to, at, reason };
    Commit { settles: vec![settle], ..Commit::default() }
}

fn kind_word(kind: CopyKind) -> &'static str {
    match kind {
        CopyKind::Message => "message",
        CopyKind::Notice => "notice",
        CopyKind::Slip => "slip",
        CopyKind::Report => "report",
        CopyKind::TlsReport => "tls-report",
    }
}

pub(super) fn level_word(level: &str) -> &'static str {
    match level {
        "authenticated" => "authenticated",
        "verified" => "verified",
        "encrypted" => "encrypted",
        "clear" => "clear",
        _ => "none",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_outcome_waits_for_room_and_for_nothing_else() {
        let mut answers = vec![Ok(()), Err(store::Error::Full), Err(store::Error::Full)];
        with_room(Duration::ZERO, || std::future::ready(answers.pop().unwrap())).await.unwrap();
        assert!(answers.is_empty());
        let mut answers = vec![Err(store::Error::Closed), Err(store::Error::Full)];
        let ended = with_room(Duration::ZERO, || std::future::ready(answers.pop().unwrap())).await;
        assert!(matches!(ended, Err(store::Error::Closed)));
        let ended = with_room(Duration::ZERO, || std::future::ready(Err(store::Error::Conflict))).await;
        assert!(matches!(ended, Err(store::Error::Conflict)));
    }
}
