//! What would become of a message to a domain now, at each level of proof: the way of an attempt up to and including
//! the proof, and never a MAIL command.
//!
//! Evidence, route, dialling, proof, clearance, judgement and the step after it are the functions that real deliveries
//! call, so the two cannot disagree about the same moment. What is shown beside that (chains, offers) decides nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::attempt::{AskWay, Attempts, Dial, now, proven, route_of, unproven_plan};
use super::channel::TlsShown;
use super::dialogue::Offers;
use super::fallback::may_notify;
use super::judge::{HopEnd, judge};
use super::pool::Pool;
use super::settings::{FixedRoute, Settings};
use super::tally::Tally;
use super::weather::Weather;
use super::worker;
use crate::audit;
use crate::escrow::Why;
use crate::mail::Domain;
use crate::policy::Class;
use crate::queue::{Claim, CopyKind, DICE_EVEN, Next, Outcome};
use crate::transport::{DomainEvidence, Hop, Level, PlanHash, Proof, Reason, RefusalKind, Requirement, clear, tls_client};

/// Everything a probe found.
#[derive(Clone, Debug)]
pub struct Probe {
    pub domain: Domain,
    pub via: Via,
    pub port: u16,
    pub evidence: DomainEvidence,
    /// Hosts that were dialled, in the order in which they were first tried.
    pub seen: Vec<Seen>,
    /// From weak to strong.
    pub levels: Vec<AtLevel>,
}

/// Who chose the hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// The domain's own MX records, or the hosts of a pin.
    Domain,
    /// A fixed route of the domain, to this host.
    FixedRoute { host: String, port: u16 },
    /// The default next hop: the proof ends there.
    NextHop { host: String, port: u16 },
}

/// What one host showed.
#[derive(Clone, Debug)]
pub struct Seen {
    pub host: Domain,
    pub address: Option<SocketAddr>,
    /// `None`: it did not get as far as an answer to EHLO.
    pub starttls: Option<bool>,
    /// Inside TLS.
    pub offers: Option<Offers>,
    pub tls: Option<TlsShown>,
    /// Why there is less to show.
    pub failure: Option<Reason>,
}

/// What came of one host at one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub host: Domain,
    pub end: Result<audit::Proven, HopEnd>,
}

/// What would become of a message that asks for this level.
#[derive(Clone, Debug)]
pub struct AtLevel {
    pub level: Level,
    pub outcome: Outcome,
    pub would: Would,
    pub reason: Option<Reason>,
    /// Whether a mailed notice may tell of the parcel, where there is one.
    pub may_notify: bool,
    /// The host that would get it, or the first that was tried.
    pub host: Option<Domain>,
    pub proof: Option<audit::Proven>,
    pub tried: Vec<Tried>,
    /// Hosts that are not dialled at all.
    pub skipped: Vec<(Domain, Reason)>,
}

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Would {
    Deliver,
    /// Kept in the portal at once.
    Portal,
    /// Tried again through the time budget, then kept in the portal.
    RetryThenPortal,
    RetryThenBounce,
    /// Returned to the sender at once.
    Bounce,
}

impl Would {
    /// Stable word for scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Would::Deliver => "deliver",
            Would::Portal => "portal",
            Would::RetryThenPortal => "retry-then-portal",
            Would::RetryThenBounce => "retry-then-bounce",
            Would::Bounce => "bounce",
        }
    }
}

const LEVELS: [Level; 3] = [Level::Encrypted, Level::Verified, Level::Authenticated];

impl Attempts {
    /// Attempts with connections and memories of their own, which disturb no delivery.
    #[must_use]
    pub fn alone(settings: Arc<Settings>, ask: Arc<dyn AskWay>) -> Attempts {
        let pool = Arc::new(Pool::new(settings.pool.clone()));
        let (weather, tally) = (Arc::new(Weather::new(None)), Arc::new(Tally::new(false, false)));
        Attempts { settings, ask, pool, weather, tally, dice: Arc::new(|| 0) }
    }

    /// Walks the way to a domain at each level, as a delivery would, and sends nothing.
    pub async fn probe(&self, domain: &Domain) -> Probe {
        let settings = &self.settings;
        let via = match (settings.routes.get(domain), &settings.default_hop) {
            (Some(route), _) => Via::FixedRoute { host: route.host.clone(), port: route.port },
            (None, Some(route)) => Via::NextHop { host: route.host.clone(), port: route.port },
            (None, None) => Via::Domain,
        };
        let mut walk = Walk { attempts: self, proofs: HashMap::new(), seen: Vec::new() };
        let (evidence, fixed, port) = self.evidence_by(domain, settings.fixed(domain)).await;
        let mut levels = Vec::new();
        for level in LEVELS {
            levels.push(walk.at(level, &evidence, fixed, port).await);
        }
        let seen = walk.seen;
        self.pool.close().await;
        Probe { domain: domain.clone(), via, port, evidence, seen, levels }
    }

    /// What the host shows to somebody who asks for no proof.
    async fn look(&self, hop: &Hop) -> Result<(SocketAddr, Offers, TlsShown), Reason> {
        let tls = tls_client(&unproven_plan(&hop.host), &self.settings.roots, now())?;
        let channel = self.open(hop).await.map_err(|_| Reason::ConnectFailed)?;
        let name = self.settings.name.as_str();
        let channel = channel.start_tls_unproven(&tls, name).await.map_err(|failure| failure.reason())?;
        let shown = (channel.address(), channel.offers(), channel.tls_shown());
        channel.quit().await;
        Ok(shown)
    }
}

/// One probe under way. A host is dialled once for each plan, however many levels share it.
struct Walk<'a> {
    attempts: &'a Attempts,
    proofs: HashMap<(Domain, PlanHash), Result<Proof, HopEnd>>,
    seen: Vec<Seen>,
}

impl Walk<'_> {
    async fn at(&mut self, level: Level, evidence: &DomainEvidence, fixed: Option<&FixedRoute>, port: u16) -> AtLevel {
        let requirement = Requirement { level, require_tls: false };
        let route = match route_of(&requirement, evidence, port, None, (self.attempts.dice)()) {
            Ok(route) => route,
            Err(outcome) => return self.judged(level, outcome, Vec::new(), Vec::new()),
        };
        let mut tried = Vec::new();
        for hop in &route.hops {
            let end = match self.prove(&Dial { hop, route: fixed }, evidence).await {
                // The clearance that a message would need is asked for here too.
                Ok(proof) => match clear(hop, &requirement, evidence) {
                    Ok(clearance) if clearance.admits(&proof) => Ok(proven(&proof)),
                    Ok(_) | Err(_) => Err(HopEnd::Short { reason: Reason::LevelNotReachable, is_policy: hop.plan.is_policy }),
                },
                Err(end) => Err(end),
            };
            tried.push(Tried { host: hop.host.clone(), end });
        }
        // A delivery ends at the first host that proves itself; what the others show is not judged then.
        let outcome = if tried.iter().any(|tried| tried.end.is_ok()) {
            Outcome::Delivered
        } else {
            let ends: Vec<HopEnd> = tried.iter().filter_map(|tried| tried.end.clone().err()).collect();
            judge(evidence.starttls_seen, crate::transport::hidden_policy(evidence), &route.skipped, &ends)
        };
        self.judged(level, outcome, tried, route.skipped)
    }

    /// Dials as a delivery does. What the host showed is noted on the way.
    async fn prove(&mut self, dial: &Dial<'_>, evidence: &DomainEvidence) -> Result<Proof, HopEnd> {
        let hop = dial.hop;
        let key = (hop.host.clone(), hop.plan.digest());
        if let Some(known) = self.proofs.get(&key) {
            return known.clone();
        }
        let proved = match self.attempts.connect(dial, evidence).await {
            Ok(channel) => {
                let seen = Seen {
                    host: hop.host.clone(),
                    address: Some(channel.address()),
                    starttls: Some(true),
                    offers: Some(channel.offers()),
                    tls: Some(channel.tls_shown()),
                    failure: None,
                };
                let proof = channel.proof().clone();
                channel.quit().await;
                self.note(seen);
                Ok(proof)
            }
            Err(end) => {
                if !self.seen.iter().any(|seen| seen.host == hop.host && seen.tls.is_some()) {
                    let seen = self.without_proof(hop, &end).await;
                    self.note(seen);
                }
                Err(end)
            }
        };
        self.proofs.insert(key, proved.clone());
        proved
    }

    async fn without_proof(&self, hop: &Hop, end: &HopEnd) -> Seen {
        let mut seen = Seen { host: hop.host.clone(), address: None, starttls: None, offers: None, tls: None, failure: None };
        match end {
            HopEnd::Silent(reason) => seen.failure = Some(*reason),
            HopEnd::NoStartTls { .. } => seen.starttls = Some(false),
            HopEnd::Short { .. } | HopEnd::TlsBroken { .. } | HopEnd::Lacks(_) | HopEnd::Later(_) => {
                seen.starttls = Some(true);
                match self.attempts.look(hop).await {
                    Ok((address, offers, tls)) => {
                        (seen.address, seen.offers, seen.tls) = (Some(address), Some(offers), Some(tls));
                    }
                    Err(reason) => seen.failure = Some(reason),
                }
            }
        }
        seen
    }

    /// Keeps the fuller account of a host.
    fn note(&mut self, new: Seen) {
        match self.seen.iter_mut().find(|seen| seen.host == new.host) {
            Some(known) if known.tls.is_none() => *known = new,
            Some(_) => {}
            None => self.seen.push(new),
        }
    }

    fn judged(&self, level: Level, outcome: Outcome, tried: Vec<Tried>, skipped: Vec<(Domain, Reason)>) -> AtLevel {
        let settings = &self.attempts.settings;
        let at = worker::now();
        let claim = Claim {
            kind: CopyKind::Message,
            class: Class::Normal,
            received_at: at,
            attempts: 1,
            require_tls: false,
            dice: DICE_EVEN,
        };
        let (would, reason) = match claim.after(&outcome, &settings.schedule, at) {
            Next::Delivered => (Would::Deliver, None),
            Next::Portal(portal) => (Would::Portal, Some(portal.reason())),
            Next::Bounced { reason } => (Would::Bounce, Some(reason)),
            Next::Again { reason, .. } => match claim.after(&outcome, &settings.schedule, claim.end(&settings.schedule)) {
                Next::Portal(_) => (Would::RetryThenPortal, Some(reason)),
                Next::Delivered | Next::Again { .. } | Next::Bounced { .. } => (Would::RetryThenBounce, Some(reason)),
            },
        };
        let kind = match outcome {
            Outcome::Delayed { kind, .. } | Outcome::CannotReachLevel { kind, .. } => kind,
            Outcome::Delivered | Outcome::Uncertain | Outcome::Failed { .. } => RefusalKind::Unknown,
        };
        let is_kept = matches!(would, Would::Portal | Would::RetryThenPortal);
        let why = Why::Transport { kind, reason: reason.unwrap_or(Reason::LevelNotReachable) };
        let good = tried.iter().find(|tried| tried.end.is_ok());
        AtLevel {
            level,
            may_notify: is_kept && settings.portal.notice_address.is_some() && may_notify(settings.portal.notice, why),
            would,
            reason,
            host: good.or(tried.first()).map(|tried| tried.host.clone()),
            proof: good.and_then(|tried| tried.end.clone().ok()),
            outcome,
            tried,
            skipped,
        }
    }
}
