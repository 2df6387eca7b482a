//! One attempt for one copy: evidence, plan, hosts in order, connection, proof, message.
//!
//! The evidence is asked anew for every attempt, because DNS and policies change while mail waits. A kept connection
//! saves the handshake, never the plan.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin as Pinned;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;

use super::channel::{Channel, Clear, Proven};
use super::content::Content;
use super::dialogue::{End, Failure, Step, Transaction};
use super::judge::{HopEnd, judge};
use super::pool::{Key, Pool};
use super::settings::{FixedRoute, NoticeMode, RouteProof, Settings};
use super::tally::{Failed, Tally};
use super::weather::{Shown, Weather};
use crate::audit;
use crate::escrow::Notice;
use crate::lookup::Lookup;
use crate::mail::{Domain, Reply};
use crate::policy::Lane;
use crate::queue::Outcome;
use crate::transport::tlsrpt::ResultType;
use crate::transport::{
    Authentication, Denial, DomainEvidence, Evidence, Hop, Level, MxHost, Pin, Proof, Reason, Refusal, RefusalKind, Requirement,
    Route, Security, TlsPlan, clear, hidden_policy, plan, tls_client, tlsrpt,
};

/// Where evidence comes from: `lookup` in the gateway, a table in tests.
pub trait AskWay: Send + Sync + 'static {
    fn evidence<'a>(&'a self, domain: &'a Domain) -> Pinned<Box<dyn Future<Output = DomainEvidence> + Send + 'a>>;
}

impl AskWay for Lookup {
    fn evidence<'a>(&'a self, domain: &'a Domain) -> Pinned<Box<dyn Future<Output = DomainEvidence> + Send + 'a>> {
        Box::pin(Lookup::evidence(self, domain))
    }
}

/// How an attempt ended, with what there is to record of it.
#[derive(Clone, Debug)]
pub struct Attempted {
    pub outcome: Outcome,
    pub proof: Option<audit::Proven>,
    /// The reply that decided.
    pub reply: Option<Reply>,
    /// The host that decided.
    pub host: Option<Domain>,
    /// What the domain showed of STARTTLS, if any of its hosts was reached.
    pub shown: Option<Shown>,
    /// The host that took the message was told what its sender wants to hear, and reports it from there on (RFC 3461).
    pub reports: bool,
}

impl Attempted {
    fn of(outcome: Outcome) -> Attempted {
        Attempted { outcome, proof: None, reply: None, host: None, shown: None, reports: false }
    }
}

/// Which way a copy may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Fixed route, default next hop or MX.
    Any,
    /// A fixed route of that domain, or none at all: slips and reports.
    FixedOnly,
}

/// Opens the content anew for each host that gets as far as taking it.
pub trait Contents: Send + Sync {
    fn open(&self) -> impl Future<Output = Option<Content>> + Send;
}

/// What all attempts share.
pub struct Attempts {
    pub settings: Arc<Settings>,
    pub ask: Arc<dyn AskWay>,
    pub pool: Arc<Pool>,
    pub weather: Arc<Weather>,
    pub tally: Arc<Tally>,
    pub dice: Dice,
}

/// Dice for the order of hosts that are equally good.
pub type Dice = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A host to dial, with the account of a fixed route.
pub(super) struct Dial<'a> {
    pub(super) hop: &'a Hop,
    pub(super) route: Option<&'a FixedRoute>,
}

/// A connection on which TLS is about to start.
struct Session<'a> {
    dial: &'a Dial<'a>,
    evidence: &'a DomainEvidence,
    sending: Option<IpAddr>,
    receiving: IpAddr,
}

/// What one host made of the message.
enum Hosted {
    Ended(HopEnd),
    Delivered { proof: audit::Proven, reply: Reply, reports: bool },
    Refused(audit::Proven, Reply),
    Later(Reply),
    Uncertain,
}

impl Attempts {
    /// Tries to deliver one message to one recipient.
    pub async fn deliver(
        &self,
        requirement: &Requirement,
        way: Way,
        transaction: &Transaction<'_>,
        contents: &impl Contents,
        prefer: Option<&Domain>,
    ) -> Attempted {
        let domain = transaction.recipient.domain();
        let Some((evidence, fixed, port)) = self.evidence(domain, way).await else {
            return Attempted::of(Outcome::Delayed { kind: RefusalKind::Unknown, reason: Reason::LevelNotReachable });
        };
        let planned = route_of(requirement, &evidence, port, prefer, (self.dice)());
        if fixed.is_none() {
            self.note_missed(&evidence, planned.as_ref().ok());
        }
        let route = match planned {
            Ok(route) => route,
            Err(outcome) => return Attempted::of(outcome),
        };
        let (mut ends, mut shown, mut later) = (Vec::new(), None, None);
        for hop in &route.hops {
            let dial = Dial { hop, route: fixed };
            let end = self.one_host(&dial, requirement, &evidence, transaction, contents).await;
            if let Some(now) = shown_by(&end) {
                shown = Some(if shown == Some(Shown::StartTls) { Shown::StartTls } else { now });
            }
            let host = Some(hop.host.clone());
            match end {
                Hosted::Delivered { proof, reply, reports } => {
                    self.note(domain, &evidence, shown);
                    let (proof, reply) = (Some(proof), Some(reply));
                    return Attempted { outcome: Outcome::Delivered, proof, reply, host, shown, reports };
                }
                Hosted::Refused(proof, reply) => {
                    self.note(domain, &evidence, shown);
                    let outcome = Outcome::Failed { reason: Reason::PermanentReply };
                    return Attempted { outcome, proof: Some(proof), reply: Some(reply), host, shown, reports: false };
                }
                Hosted::Uncertain => {
                    self.note(domain, &evidence, shown);
                    return Attempted { host, shown, ..Attempted::of(Outcome::Uncertain) };
                }
                Hosted::Later(reply) => {
                    ends.push(HopEnd::Later(Reason::TemporaryReply));
                    later.get_or_insert((reply, host));
                }
                Hosted::Ended(end) => ends.push(end),
            }
        }
        let shown = self.note(domain, &evidence, shown);
        let outcome = judge(evidence.starttls_seen, hidden_policy(&evidence), &route.skipped, &ends);
        let (reply, host) = later.map_or((None, None), |(reply, host)| (Some(reply), host));
        let host = host.or_else(|| route.hops.first().map(|hop| hop.host.clone()));
        Attempted { outcome, proof: None, reply, host, shown, reports: false }
    }

    /// Tries to send a notice: over a proven channel, else over TLS to whoever it is, else in clear where
    /// `may_be_clear` and the domain offers nothing better. Never past a published policy.
    pub async fn notify(&self, notice: &Notice, mode: NoticeMode, may_be_clear: bool) -> Attempted {
        let domain = notice.recipient.domain();
        let Some((evidence, fixed, port)) = self.evidence(domain, Way::Any).await else {
            return Attempted::of(Outcome::Delayed { kind: RefusalKind::Unknown, reason: Reason::LevelNotReachable });
        };
        // What a message would need at least: whether more is published is for the plan to say.
        let requirement = Requirement { level: Level::Verified, require_tls: false };
        let Route { hops, skipped } = match route_of(&requirement, &evidence, port, None, (self.dice)()) {
            Ok(route) => route,
            Err(outcome) => return Attempted::of(outcome),
        };
        let judged = |ends: &[HopEnd]| judge(evidence.starttls_seen, hidden_policy(&evidence), &skipped, ends);
        let (mut ends, mut shown) = (Vec::new(), None);
        for hop in &hops {
            let end = self.notify_proven(&Dial { hop, route: fixed }, &evidence, notice).await;
            if let Some(now) = shown_by(&end) {
                shown = Some(if shown == Some(Shown::StartTls) { Shown::StartTls } else { now });
            }
            match ended(end, &hop.host, shown) {
                Ok(attempted) => return attempted,
                Err(end) => ends.push(end),
            }
        }
        let shown = self.note(domain, &evidence, shown);
        // Less than a proven host only where a message would go to the portal at once: every host was asked, and none
        // of them, nor one that nobody could ask, has a policy in the way.
        let mut outcome = judged(&ends);
        if let Outcome::CannotReachLevel { kind, .. } = outcome {
            let is_clear_allowed = kind == RefusalKind::CannotEncrypt && mode == NoticeMode::Plain && may_be_clear;
            for (hop, before) in hops.iter().zip(&mut ends) {
                let end = match before {
                    HopEnd::Short { .. } => self.notify_unproven(hop, notice).await,
                    HopEnd::NoStartTls { .. } if is_clear_allowed => self.notify_in_clear(hop, notice).await,
                    HopEnd::NoStartTls { .. }
                    | HopEnd::Silent(_)
                    | HopEnd::TlsBroken { .. }
                    | HopEnd::Lacks(_)
                    | HopEnd::Later(_) => continue,
                };
                match ended(end, &hop.host, shown) {
                    Ok(attempted) => return attempted,
                    Err(end) => *before = end,
                }
            }
            outcome = judged(&ends);
        }
        let mut attempted = Attempted::of(outcome);
        attempted.shown = shown;
        attempted
    }

    /// Evidence for the way to a domain: its fixed route's, the default next hop's, or its own.
    pub(super) async fn evidence(&self, domain: &Domain, way: Way) -> Option<(DomainEvidence, Option<&FixedRoute>, u16)> {
        let settings = &self.settings;
        let fixed = match way {
            Way::Any => settings.fixed(domain),
            Way::FixedOnly => Some(settings.routes.get(domain)?),
        };
        Some(self.evidence_by(domain, fixed).await)
    }

    pub(super) async fn evidence_by<'a>(
        &self,
        domain: &Domain,
        fixed: Option<&'a FixedRoute>,
    ) -> (DomainEvidence, Option<&'a FixedRoute>, u16) {
        match fixed {
            Some(route) => (fixed_evidence(domain, route).await, Some(route), route.port),
            None => (self.ask.evidence(domain).await, None, self.settings.mx_port),
        }
    }

    /// Tells our own weather what a domain showed, and returns it.
    fn note(&self, domain: &Domain, evidence: &DomainEvidence, shown: Option<Shown>) -> Option<Shown> {
        let shown = match shown? {
            Shown::StartTls => Shown::StartTls,
            Shown::Missing | Shown::Gone if evidence.starttls_seen => Shown::Gone,
            Shown::Missing | Shown::Gone => Shown::Missing,
        };
        self.weather.note(domain, shown);
        Some(shown)
    }

    async fn one_host(
        &self,
        dial: &Dial<'_>,
        requirement: &Requirement,
        evidence: &DomainEvidence,
        transaction: &Transaction<'_>,
        contents: &impl Contents,
    ) -> Hosted {
        let hop = dial.hop;
        let Some(_slot) = self.pool.slot(&hop.host, hop.port, transaction.lane).await else {
            return Hosted::Ended(HopEnd::Silent(Reason::Timeout));
        };
        let key = key_of(dial);
        // A kept connection may have died while it waited; the message then goes over a new one.
        for is_new in [false, true] {
            let channel = if is_new {
                match self.connect(dial, evidence).await {
                    Ok(channel) => channel,
                    Err(end) => return Hosted::Ended(end),
                }
            } else {
                match self.pool.take(&key).await {
                    Some(channel) => channel,
                    None => continue,
                }
            };
            let mut channel = channel;
            let Ok(clearance) = clear(hop, requirement, evidence) else {
                self.pool.park(key, channel).await;
                return Hosted::Ended(HopEnd::Short { reason: Reason::LevelNotReachable, is_policy: hop.plan.is_policy });
            };
            let Some(content) = contents.open().await else {
                self.pool.park(key, channel).await;
                return Hosted::Ended(HopEnd::Later(Reason::ProtocolError));
            };
            let sent = channel.send_message(&clearance, transaction, content).await;
            let proof = proven(channel.proof());
            match sent {
                Ok(end) => {
                    let reports = channel.offers().dsn;
                    self.pool.park(key, channel).await;
                    return hosted(end, proof, reports);
                }
                Err(Failure::Unanswered) => return Hosted::Uncertain,
                Err(Failure::Lacks(reason)) => {
                    self.pool.park(key, channel).await;
                    return Hosted::Ended(HopEnd::Lacks(reason));
                }
                Err(Failure::NotAdmitted) => {
                    return Hosted::Ended(HopEnd::Short { reason: Reason::LevelNotReachable, is_policy: hop.plan.is_policy });
                }
                Err(Failure::Broken | Failure::Timeout) if !is_new => {}
                Err(failure) => return Hosted::Ended(HopEnd::Later(failure.reason())),
            }
        }
        Hosted::Ended(HopEnd::Later(Reason::ProtocolError))
    }

    /// A new proven connection to a host, trying its addresses in order.
    pub(super) async fn connect(&self, dial: &Dial<'_>, evidence: &DomainEvidence) -> Result<Channel<Proven>, HopEnd> {
        let hop = dial.hop;
        let hash = hop.plan.digest();
        let tls = self
            .pool
            .tls(hash, || tls_client(&hop.plan, &self.settings.roots, now()))
            .map_err(|reason| HopEnd::Short { reason, is_policy: hop.plan.is_policy })?;
        let channel = self.open(hop).await?;
        let session = Session { dial, evidence, sending: channel.local(), receiving: channel.address().ip() };
        if !channel.offers().starttls {
            channel.quit().await;
            self.count(&session, Some(Reason::StarttlsNotSupported));
            return Err(HopEnd::NoStartTls { is_policy: hop.plan.is_tls_demanded });
        }
        let name = self.settings.name.as_str();
        let upgraded = channel.start_tls(&tls, name).await;
        let failed = upgraded.as_ref().err().filter(|failure| !matches!(failure, Failure::Inside(_)));
        self.count(&session, failed.map(Failure::reason));
        let mut channel = upgraded.map_err(|failure| tls_end(&failure, &hop.plan))?;
        if let Some(login) = dial.route.and_then(|route| route.login.as_ref()) {
            channel.log_in(&login.user, &login.password).await.map_err(|failure| HopEnd::Later(failure.reason()))?;
        }
        Ok(channel)
    }

    /// Counts a session for the report to the domain. Fixed routes are agreed on, not published, and are not reported.
    fn count(&self, session: &Session<'_>, failed: Option<Reason>) {
        let Session { dial, evidence, sending, receiving } = session;
        let Some(policy) = tlsrpt::applied(evidence, dial.hop).filter(|_| dial.route.is_none()) else { return };
        let failed =
            failed.or_else(|| tlsrpt::is_unlisted(evidence, &policy, &dial.hop.host).then_some(Reason::StsHostNotListed));
        let failed = failed.map(|reason| Failed {
            result: ResultType::of(reason),
            reason,
            host: Some(&dial.hop.host),
            sending: *sending,
            receiving: Some(*receiving),
        });
        self.tally.note(&evidence.domain, &policy, failed, super::worker::now());
    }

    /// Counts what a policy kept from being dialled.
    fn note_missed(&self, evidence: &DomainEvidence, route: Option<&Route>) {
        for missed in tlsrpt::missed(evidence, route) {
            let failed = Failed {
                result: missed.result,
                reason: missed.reason,
                host: missed.host.as_ref(),
                sending: None,
                receiving: None,
            };
            self.tally.note(&evidence.domain, &missed.policy, Some(failed), super::worker::now());
        }
    }

    /// The first address of a host that answers EHLO. IPv6 comes first.
    pub(super) async fn open(&self, hop: &Hop) -> Result<Channel<Clear>, HopEnd> {
        let mut last = Reason::ConnectFailed;
        for ip in &hop.addresses {
            let address = SocketAddr::new(*ip, hop.port);
            if let Some(reason) = self.pool.is_dead(address) {
                last = reason;
                continue;
            }
            let from = self.settings.dial_from.iter().copied().find(|from| from.is_ipv4() == ip.is_ipv4());
            match Channel::open(address, from, self.settings.name.as_str(), self.settings.timeouts).await {
                Ok(channel) => {
                    self.pool.note_alive(address);
                    return Ok(channel);
                }
                Err(failure) => {
                    last = failure.reason();
                    self.pool.note_dead(address, last);
                }
            }
        }
        Err(HopEnd::Silent(last))
    }

    async fn notify_proven(&self, dial: &Dial<'_>, evidence: &DomainEvidence, notice: &Notice) -> Hosted {
        let Some(_slot) = self.pool.slot(&dial.hop.host, dial.hop.port, Lane::First).await else {
            return Hosted::Ended(HopEnd::Silent(Reason::Timeout));
        };
        match self.connect(dial, evidence).await {
            Ok(mut channel) => {
                let proof = proven(channel.proof());
                let sent = channel.send_notice(notice).await;
                channel.quit().await;
                notified(sent, proof)
            }
            Err(end) => Hosted::Ended(end),
        }
    }

    async fn notify_unproven(&self, hop: &Hop, notice: &Notice) -> Hosted {
        let Some(_slot) = self.pool.slot(&hop.host, hop.port, Lane::First).await else {
            return Hosted::Ended(HopEnd::Silent(Reason::Timeout));
        };
        let unproven = unproven_plan(&hop.host);
        let tls = match tls_client(&unproven, &self.settings.roots, now()) {
            Ok(tls) => tls,
            Err(reason) => return Hosted::Ended(HopEnd::Short { reason, is_policy: false }),
        };
        let channel = match self.open(hop).await {
            Ok(channel) => channel,
            Err(end) => return Hosted::Ended(end),
        };
        match channel.start_tls_unproven(&tls, self.settings.name.as_str()).await {
            Ok(mut channel) => {
                let sent = channel.send_notice(notice).await;
                channel.quit().await;
                notified(sent, unproven_way(&hop.host, "encrypted"))
            }
            Err(failure) => Hosted::Ended(tls_end(&failure, &unproven)),
        }
    }

    async fn notify_in_clear(&self, hop: &Hop, notice: &Notice) -> Hosted {
        let Some(_slot) = self.pool.slot(&hop.host, hop.port, Lane::First).await else {
            return Hosted::Ended(HopEnd::Silent(Reason::Timeout));
        };
        let mut channel = match self.open(hop).await {
            Ok(channel) => channel,
            Err(end) => return Hosted::Ended(end),
        };
        if channel.offers().starttls {
            // It offers now what it did not a moment ago: the next attempt takes it up.
            return Hosted::Ended(HopEnd::Later(Reason::ProtocolError));
        }
        let sent = channel.send_notice(notice).await;
        channel.quit().await;
        notified(sent, unproven_way(&hop.host, "clear"))
    }
}

/// The hosts that are tried for a domain, in order, or what becomes of the message because there is none.
pub(super) fn route_of(
    requirement: &Requirement,
    evidence: &DomainEvidence,
    port: u16,
    prefer: Option<&Domain>,
    dice: u64,
) -> Result<Route, Outcome> {
    let mut route = plan(requirement, evidence, port).map_err(|refusal| outcome_of(&refusal))?;
    route.spread(dice);
    if let Some(host) = prefer {
        // The host that may have the message already is asked first: it can tell a copy by its Message-ID.
        route.hops.sort_by_key(|hop| hop.host != *host);
    }
    cut_short(&mut route);
    Ok(route)
}

/// Leaves the first hosts and addresses of a domain that names a flood of them. What was left out was not asked, so
/// the domain is not judged by the rest alone.
fn cut_short(route: &mut Route) {
    if let Some(first) = route.hops.get(HOSTS_MAX) {
        route.skipped.push((first.host.clone(), Reason::BudgetSpent));
        route.hops.truncate(HOSTS_MAX);
    }
    route.hops.iter_mut().for_each(|hop| hop.addresses.truncate(ADDRESSES_MAX));
}

/// Hosts of one domain that are tried in one attempt; large providers name about five.
const HOSTS_MAX: usize = 16;
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;

fn key_of(dial: &Dial<'_>) -> Key {
    Key {
        host: dial.hop.host.clone(),
        port: dial.hop.port,
        plan: dial.hop.plan.digest(),
        account: dial.route.and_then(|route| route.login.as_ref()).map(|login| login.user.clone()),
    }
}

fn hosted(end: End, proof: audit::Proven, reports: bool) -> Hosted {
    match end {
        End::Accepted(reply) => Hosted::Delivered { proof, reply, reports },
        End::Refused { reply, .. } if reply.code / 100 == 5 => Hosted::Refused(proof, reply),
        End::Refused { reply, step: Step::Mail | Step::Rcpt | Step::Content } => Hosted::Later(reply),
    }
}

fn notified(sent: Result<End, Failure>, proof: audit::Proven) -> Hosted {
    match sent {
        Ok(end) => hosted(end, proof, false),
        Err(Failure::Unanswered) => Hosted::Uncertain,
        Err(Failure::Lacks(reason)) => Hosted::Ended(HopEnd::Lacks(reason)),
        Err(failure) => Hosted::Ended(HopEnd::Later(failure.reason())),
    }
}

/// The attempt, if this host decided it, or what it was instead.
fn ended(end: Hosted, host: &Domain, shown: Option<Shown>) -> Result<Attempted, HopEnd> {
    let (outcome, proof, reply) = match end {
        Hosted::Delivered { proof, reply, .. } => (Outcome::Delivered, Some(proof), Some(reply)),
        Hosted::Refused(proof, reply) => (Outcome::Failed { reason: Reason::PermanentReply }, Some(proof), Some(reply)),
        Hosted::Uncertain => (Outcome::Uncertain, None, None),
        Hosted::Later(_) => return Err(HopEnd::Later(Reason::TemporaryReply)),
        Hosted::Ended(end) => return Err(end),
    };
    Ok(Attempted { outcome, proof, reply, host: Some(host.clone()), shown, reports: false })
}

/// How an upgrade to TLS failed.
fn tls_end(failure: &Failure, plan: &TlsPlan) -> HopEnd {
    let is_policy = plan.is_tls_demanded;
    match failure {
        Failure::Tls(Reason::TlsFailed) => HopEnd::TlsBroken { is_policy },
        Failure::Tls(reason) => HopEnd::Short { reason: *reason, is_policy: plan.is_policy },
        Failure::NoStartTls => HopEnd::NoStartTls { is_policy },
        // The peer is who it should be and has no time for us.
        Failure::Inside(failure) => HopEnd::Later(failure.reason()),
        // Offered and then refused or never finished: it may be better in a while, and is no proof of inability.
        Failure::Connect
        | Failure::Timeout
        | Failure::Broken
        | Failure::Unfitting(_)
        | Failure::NotAdmitted
        | Failure::Lacks(_)
        | Failure::Unanswered
        | Failure::Content => HopEnd::TlsBroken { is_policy },
    }
}

fn shown_by(end: &Hosted) -> Option<Shown> {
    match end {
        Hosted::Ended(HopEnd::NoStartTls { .. }) => Some(Shown::Missing),
        Hosted::Ended(HopEnd::Silent(_)) => None,
        Hosted::Ended(HopEnd::Short { .. } | HopEnd::TlsBroken { .. } | HopEnd::Lacks(_) | HopEnd::Later(_))
        | Hosted::Delivered { .. }
        | Hosted::Refused(..)
        | Hosted::Later(_)
        | Hosted::Uncertain => Some(Shown::StartTls),
    }
}

fn outcome_of(refusal: &Refusal) -> Outcome {
    let (kind, reason) = (refusal.kind, refusal.reason);
    match kind {
        RefusalKind::Undeliverable => Outcome::Failed { reason },
        RefusalKind::CannotEncrypt | RefusalKind::CannotAuthenticate if refusal.is_settled => {
            Outcome::CannotReachLevel { kind, reason }
        }
        RefusalKind::CannotEncrypt | RefusalKind::CannotAuthenticate | RefusalKind::PolicyViolated | RefusalKind::Unknown => {
            Outcome::Delayed { kind, reason }
        }
    }
}

/// The evidence of a fixed route: the administrator's word, as a pin. Where the host is dialled is not part of the
/// proof, so the system's resolver may say it.
async fn fixed_evidence(domain: &Domain, route: &FixedRoute) -> DomainEvidence {
    let addresses: Vec<IpAddr> = match route.host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) => match tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host((route.host.as_str(), route.port))).await {
            Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
            _ => Vec::new(),
        },
    };
    let addresses = if addresses.is_empty() {
        Evidence::Unknown(crate::transport::Why::Timeout)
    } else {
        Evidence::Present((addresses, Security::Secure))
    };
    let name = route.proof.name().clone();
    let (certificates, ca_pem) = match &route.proof {
        RouteProof::Name { ca_pem, .. } => (Vec::new(), ca_pem.clone()),
        RouteProof::Certificate { sha256, .. } => (sha256.clone(), None),
    };
    let host = MxHost { preference: 0, name: name.clone(), addresses, tlsa: Evidence::Absent(Denial::Claimed) };
    DomainEvidence {
        domain: domain.clone(),
        alias_of: None,
        mx: Evidence::Present((vec![host], Security::Secure)),
        sts: Evidence::Absent(Denial::Claimed),
        pin: Some(Pin { level: Level::Authenticated, hosts: vec![name], certificates, ca_pem }),
        starttls_seen: false,
        is_nonexistent: false,
    }
}

const RESOLVE_WITHIN: Duration = Duration::from_secs(10);

/// What a proof looks like in the record.
pub(super) fn proven(proof: &Proof) -> audit::Proven {
    audit::Proven {
        level: proof.level().as_str().to_owned(),
        method: proof.method().to_owned(),
        host: proof.host().as_str().to_owned(),
        tls: proof.tls().to_owned(),
        cipher: proof.cipher().to_owned(),
        chain_sha256: hex(&proof.chain_sha256()),
        plan_sha256: hex(&proof.plan().0),
    }
}

/// TLS with whoever it is.
pub(super) fn unproven_plan(host: &Domain) -> TlsPlan {
    TlsPlan {
        host: host.clone(),
        authentication: Authentication::None,
        gives: Level::Encrypted,
        is_policy: false,
        is_tls_demanded: false,
    }
}

/// How a notice went that no proof covers.
fn unproven_way(host: &Domain, level: &str) -> audit::Proven {
    audit::Proven {
        level: level.to_owned(),
        method: "none".to_owned(),
        host: host.as_str().to_owned(),
        tls: String::new(),
        cipher: String::new(),
        chain_sha256: String::new(),
        plan_sha256: String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
