//! Once a day: read the counts, ask who wants them, send, and take away what was sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::record::{Endpoint, endpoints};
use super::report::{Range, TlsReport};
use crate::deliver::{Internal, Tally, seal_internal};
use crate::lookup::Lookup;
use crate::mail::{Domain, Mailbox, QueueId, Timestamp};
use crate::message::dkim::{self, Signer};
use crate::message::{TlsReportLetter, tls_report};
use crate::observe::{self, metrics};
use crate::policy::Class;
use crate::queue::CopyKind;
use crate::store::{self, Commit, Handle, TlsSessions};
use crate::transport::Evidence;
use crate::vault::Vault;

/// Counts go to the store this often.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// Reports that did not get through are tried again this often.
const ROUND_EVERY_S: i64 = 3600;
/// After midnight reports wait up to so long, each gateway for its own time, so that not all reporters of the world call
/// at once (RFC 8460, section 4.1).
const SPREAD_S: i64 = 4 * 3600;
/// After a start, before the first look at what is left.
const SETTLE_S: i64 = 60;
/// A report is tried for a day after the day it is about (RFC 8460, section 5.5).
const LATE_DAYS: i64 = 2;
const DAY_S: i64 = 86_400;
/// Rows that one round looks at.
const ROWS_MAX: usize = 50_000;
/// Domains at a time.
const DOMAINS_AT_A_TIME: usize = 8;

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our name: `organization-name` and submitter.
    pub organization: Domain,
    /// `contact-info`, and From of reports by mail; in an own domain.
    pub contact: Mailbox,
}

/// What became of the report to one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A host has taken it over HTTPS.
    Https,
    /// It is queued as mail.
    Queued,
    /// The domain wants none.
    NotAsked,
    /// It is tried again.
    Later,
    /// It could not go for a day.
    Dropped,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Https => "https",
            Outcome::Queued => "mail-queued",
            Outcome::NotAsked => "not-asked",
            Outcome::Later => "later",
            Outcome::Dropped => "dropped",
        }
    }
}

/// One report of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub domain: Domain,
    pub day: i64,
    pub outcome: Outcome,
}

/// Selectors and keys in force for the contact's domain.
pub type Keys = Box<dyn Fn() -> Vec<(String, Arc<Signer>)> + Send + Sync>;

/// Sends reports.
pub struct Reporter {
    settings: Settings,
    lookup: Arc<Lookup>,
    store: Handle,
    vault: Arc<Vault>,
    /// `None` in a command's own process, where nothing is counted.
    tally: Option<Arc<Tally>>,
    keys: Keys,
    /// One round at a time.
    round: tokio::sync::Mutex<()>,
}

impl Reporter {
    #[must_use]
    pub fn new(
        settings: Settings,
        lookup: Arc<Lookup>,
        store: Handle,
        vault: Arc<Vault>,
        tally: Option<Arc<Tally>>,
        keys: Keys,
    ) -> Reporter {
        Reporter { settings, lookup, store, vault, tally, keys, round: tokio::sync::Mutex::default() }
    }

    /// Runs until `stop`: writes counts down, and reports every day after midnight UTC.
    pub async fn keep(self: Arc<Self>, clock: fn() -> Timestamp, mut stop: watch::Receiver<bool>) {
        let mut flush = interval(FLUSH_EVERY);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let [a, b, c, d, ..] = self.vault.keyed_hash("tlsrpt", self.settings.organization.as_str().as_bytes());
        let spread_s = i64::from(u32::from_be_bytes([a, b, c, d])) % SPREAD_S;
        let mut next = Instant::now() + wait(clock(), spread_s, SETTLE_S);
        loop {
            tokio::select! {
                _ = stop.changed() => break,
                _ = flush.tick() => self.flush().await,
                () = sleep_until(next) => {
                    let now = clock();
                    self.send(now, today(now) - 1).await;
                    next = Instant::now() + wait(clock(), spread_s, ROUND_EVERY_S);
                }
            }
        }
    }

    async fn flush(&self) {
        if let Some(tally) = &self.tally {
            tally.flush(&self.store).await;
        }
    }

    /// What has been counted and not yet reported.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn counts(&self) -> Result<Vec<(TlsSessions, i64)>, store::Error> {
        self.flush().await;
        self.store.tls_sessions(i64::MAX, ROWS_MAX).await
    }

    /// Reports everything up to and including now, whatever the time of day.
    pub async fn send_now(self: &Arc<Self>, now: Timestamp) -> Vec<Sent> {
        self.send(now, today(now)).await
    }

    /// Reports the days that are over, whatever the time of day.
    pub async fn send_due(self: &Arc<Self>, now: Timestamp) -> Vec<Sent> {
        self.send(now, today(now) - 1).await
    }

    async fn send(self: &Arc<Self>, now: Timestamp, through_day: i64) -> Vec<Sent> {
        let _alone = self.round.lock().await;
        self.flush().await;
        let rows = match self.store.tls_sessions(through_day, ROWS_MAX).await {
            Ok(rows) => rows,
            Err(error) => {
                observe::log(&observe::Event::StoreFailed { what: error.to_string() });
                return Vec::new();
            }
        };
        let mut groups: BTreeMap<(i64, Domain), Vec<(TlsSessions, i64)>> = BTreeMap::new();
        for row in rows {
            groups.entry((row.0.day, row.0.domain.clone())).or_default().push(row);
        }
        let places = Arc::new(Semaphore::new(DOMAINS_AT_A_TIME));
        let mut sending = JoinSet::new();
        for ((day, domain), counts) in groups {
            let (reporter, places) = (Arc::clone(self), Arc::clone(&places));
            sending.spawn(async move {
                // The semaphore is never closed.
                let _place = places.acquire_owned().await;
                let outcome = reporter.one(&domain, day, counts, now).await;
                Sent { domain, day, outcome }
            });
        }
        let mut sent = sending.join_all().await;
        sent.sort_by(|a, b| (a.day, &a.domain).cmp(&(b.day, &b.domain)));
        sent
    }

    /// One domain's report of one day.
    async fn one(&self, domain: &Domain, day: i64, counts: Vec<(TlsSessions, i64)>, now: Timestamp) -> Outcome {
        let mut commit = Commit::default();
        let tried = match self.lookup.txt(&format!("_smtp._tls.{domain}")).await {
            Evidence::Present(texts) => match endpoints(&texts) {
                wanted if wanted.is_empty() => Outcome::NotAsked,
                wanted => self.send_to(&wanted, domain, Range::of_day(day, now), &counts, now, &mut commit).await,
            },
            Evidence::Absent(_) => Outcome::NotAsked,
            Evidence::Unknown(_) => Outcome::Later,
        };
        let is_over = now.secs() >= (day + LATE_DAYS) * DAY_S;
        let outcome = if tried == Outcome::Later && is_over { Outcome::Dropped } else { tried };
        match outcome {
            Outcome::Https => metrics().tls_report("https"),
            Outcome::NotAsked => metrics().tls_report("not-asked"),
            Outcome::Dropped => metrics().tls_report("dropped"),
            // The delivery counts it; or it is not over.
            Outcome::Queued | Outcome::Later => {}
        }
        if outcome != Outcome::NotAsked {
            observe::log(&observe::Event::TlsReport { domain: domain.clone(), outcome: outcome.as_str() });
        }
        if outcome != Outcome::Later {
            commit.tls_sessions = counts.into_iter().map(|(sessions, count)| (sessions, -count)).collect();
            if let Err(error) = self.store.commit(commit).await {
                observe::log(&observe::Event::StoreFailed { what: error.to_string() });
            }
        }
        outcome
    }

    /// To every place that the domain names; it is done when one has it.
    async fn send_to(
        &self,
        wanted: &[Endpoint],
        domain: &Domain,
        range: Range,
        counts: &[(TlsSessions, i64)],
        now: Timestamp,
        commit: &mut Commit,
    ) -> Outcome {
        let report = TlsReport::of(&self.settings.organization, &self.settings.contact, domain, range, counts);
        let Ok(gzip) = report.gzip() else { return Outcome::Later };
        let mut outcome = Outcome::Later;
        for endpoint in wanted {
            match endpoint {
                Endpoint::Https { host, port, path } => {
                    let posted = self.lookup.post(host, *port, path, "application/tlsrpt+gzip", gzip.clone()).await;
                    if posted.is_ok() {
                        outcome = Outcome::Https;
                    }
                }
                Endpoint::Mail(to) => {
                    self.queue(to, domain, &report, range, &gzip, now, commit);
                    if outcome == Outcome::Later {
                        outcome = Outcome::Queued;
                    }
                }
            }
        }
        outcome
    }

    /// As a copy of our own in the queue: at least `verified`, and whatever the receiving domain's policy asks.
    #[allow(clippy::too_many_arguments)] // one letter's facts
    fn queue(
        &self,
        to: &Mailbox,
        domain: &Domain,
        report: &TlsReport,
        range: Range,
        gzip: &[u8],
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let dice: [u8; 16] = self.vault.random();
        let word: String = dice.iter().map(|byte| format!("{byte:02x}")).collect();
        let message_id = format!("<{word}@{}>", self.settings.organization);
        let (mut header, body) = tls_report(&TlsReportLetter {
            from: &self.settings.contact,
            to,
            domain: domain.as_str(),
            submitter: self.settings.organization.as_str(),
            report_id: report.id(),
            message_id: &message_id,
            boundary: &word,
            start: range.start,
            end: range.end,
            now,
            gzip,
        });
        let hash = dkim::body_hash(&body);
        for (selector, signer) in (self.keys)() {
            let signature = dkim::sign(&signer, self.settings.contact.domain(), &selector, &header, &hash, now);
            header.splice(0..0, signature);
        }
        let internal = Internal {
            kind: CopyKind::TlsReport,
            to,
            reverse_path: None,
            message: QueueId::new(now, self.vault.random()),
            message_id: &message_id,
            class: Class::Normal,
            parcel: None,
            require_tls: false,
            at: now,
            next_at: now,
        };
        let (body, copy) = seal_internal(&self.vault, &internal, &header, &body);
        commit.bodies.push(body);
        commit.copies.push(copy);
    }
}

fn today(now: Timestamp) -> i64 {
    now.secs().div_euclid(DAY_S)
}

/// Until the next round: not before this gateway's time of the night, else after `usual_s`.
pub(super) fn wait(now: Timestamp, spread_s: i64, usual_s: i64) -> Duration {
    let of_day_s = now.secs().rem_euclid(DAY_S);
    let wait_s = if of_day_s < spread_s { spread_s - of_day_s } else { usual_s };
    Duration::from_secs(u64::try_from(wait_s).unwrap_or(0))
}
