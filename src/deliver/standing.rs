//! What a domain shows when nothing is sent to it, and when that is enough to send a parcel by mail after all.
//!
//! Whoever can forge DNS can fake one good look at a domain without a policy. So a valid certificate alone counts only
//! after a week of looks at the same hosts; DANE, MTA-STS in enforce and the administrator's pin count at once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::attempt::{AskWay, Attempts, Dial, Way};
use super::history::Seen;
use super::judge::{HopEnd, judge};
use super::weather::Shown;
use crate::mail::{Domain, Timestamp};
use crate::secret::{Role, Sealed};
use crate::transport::{DomainEvidence, Evidence, Level, Proof, Reason, RefusalKind, Requirement, Route, hidden_policy, plan};
use crate::vault::Vault;

const DAY_MS: i64 = 86_400_000;
/// Days through which a certificate alone has to be seen.
const STEADY_DAYS: i64 = 7;
/// Good looks on each of them.
const A_DAY_MIN: usize = 2;
/// Looks are kept a little longer than they are needed.
pub(super) const KEPT_MS: i64 = (STEADY_DAYS + 2) * DAY_MS;
/// Hosts of one domain that are looked at, as many as an attempt tries.
const HOSTS_MAX: usize = 16;

/// What one look at a domain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// Nobody could find out.
    Unknown,
    /// Below `verified`, or a policy is violated.
    Without,
    /// Every host that answered has a valid certificate, and nothing more is published.
    Verified,
    /// Every host that answered is proven at this level by what only the domain or the administrator can say.
    AtOnce(Level),
}

/// One look, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub found: Found,
    /// Names of the MX hosts, sorted.
    pub mx: Vec<String>,
}

/// Why a parcel may be sent by mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    AtOnce(Level),
    Steady,
}

impl Ground {
    /// The level that it takes, and that every delivery on this ground has to prove again.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Ground::AtOnce(level) => level,
            Ground::Steady => Level::Verified,
        }
    }
}

impl Check {
    /// Sealed so that a look put into the store by somebody else is none.
    #[must_use]
    pub fn sealed(&self, vault: &Vault, domain: &Domain, at: Timestamp) -> Sealed {
        // Strings and closed enums only: serialising cannot fail.
        vault.seal_small(Role::Cache, &id_of(domain, at), &serde_json::to_vec(self).unwrap_or_default())
    }

    /// `None` if it is not what was sealed for this domain and time.
    #[must_use]
    pub fn open(vault: &Vault, domain: &Domain, at: Timestamp, sealed: &Sealed) -> Option<Check> {
        let json = vault.open_small(Role::Cache, &id_of(domain, at), sealed).ok()?;
        serde_json::from_slice(json.expose()).ok()
    }
}

fn id_of(domain: &Domain, at: Timestamp) -> Vec<u8> {
    format!("check\0{domain}\0{}", at.0).into_bytes()
}

/// Whether looks, oldest first, are a ground to send by mail; the last one was made just now.
#[must_use]
pub fn ground(checks: &[(Timestamp, Check)], now: Timestamp) -> Option<Ground> {
    let (_, last) = checks.last()?;
    match last.found {
        Found::AtOnce(level) => return Some(Ground::AtOnce(level)),
        Found::Verified => {}
        Found::Unknown | Found::Without => return None,
    }
    // The unbroken run of good looks at the same hosts. One that found out nothing breaks none and counts for nothing.
    let run: Vec<Timestamp> = checks
        .iter()
        .rev()
        .take_while(|(_, check)| match check.found {
            Found::Verified | Found::AtOnce(_) => check.mx == last.mx,
            Found::Unknown => true,
            Found::Without => false,
        })
        .filter(|(at, check)| check.found != Found::Unknown && *at <= now)
        .map(|(at, _)| *at)
        .collect();
    let is_long = run.last().is_some_and(|first| now.since_ms(*first) >= STEADY_DAYS * DAY_MS);
    let is_dense =
        (0..STEADY_DAYS).all(|day| run.iter().filter(|at| now.since_ms(**at).div_euclid(DAY_MS) == day).count() >= A_DAY_MIN);
    (is_long && is_dense).then_some(Ground::Steady)
}

/// A look at a domain, with the evidence it was made under.
pub(super) struct Looked {
    pub check: Check,
    pub evidence: DomainEvidence,
    pub shown: Option<Shown>,
    pub seen: Option<Seen>,
}

impl Attempts {
    /// Dials every host of a domain as an attempt would, up to the proof, and sends nothing.
    pub(super) async fn look_at(&self, domain: &Domain) -> Option<Looked> {
        let (evidence, fixed, port) = self.evidence(domain, Way::Any).await?;
        let mut mx: Vec<String> = match &evidence.mx {
            Evidence::Present((hosts, _)) => hosts.iter().map(|host| host.name.as_str().to_owned()).collect(),
            Evidence::Absent(_) | Evidence::Unknown(_) => Vec::new(),
        };
        mx.sort();
        mx.dedup();
        let looked = |found, evidence, shown, seen| Looked { check: Check { found, mx }, evidence, shown, seen };
        let requirement = Requirement { level: Level::Verified, require_tls: false };
        let Route { hops, skipped } = match plan(&requirement, &evidence, port) {
            Ok(route) => route,
            Err(refusal) => {
                let (found, seen) = match refusal.kind {
                    RefusalKind::Unknown => (Found::Unknown, None),
                    RefusalKind::PolicyViolated => (Found::Without, Some(Seen::Violated(refusal.reason))),
                    RefusalKind::CannotEncrypt | RefusalKind::CannotAuthenticate => {
                        (Found::Without, Some(Seen::Short(refusal.reason)))
                    }
                    RefusalKind::Undeliverable => (Found::Without, None),
                };
                return Some(looked(found, evidence, None, seen));
            }
        };
        let (mut proofs, mut ends) = (Vec::new(), Vec::new());
        for hop in hops.iter().take(HOSTS_MAX) {
            let Some(_slot) = self.pool.slot(&hop.host, hop.port, crate::policy::Lane::First).await else {
                ends.push(HopEnd::Silent(Reason::Timeout));
                continue;
            };
            match self.connect(&Dial { hop, route: fixed }, &evidence).await {
                Ok(channel) => {
                    proofs.push(channel.proof().clone());
                    channel.quit().await;
                }
                Err(end) => ends.push(end),
            }
        }
        let shown = shown(&proofs, &ends, evidence.starttls_seen);
        // Nobody stands for a host that was left out because nothing certain is known of it.
        let is_partly_unknown = skipped.iter().any(|(_, reason)| matches!(reason, Reason::DnssecInvalid | Reason::DnsFailed));
        let found = match found(&proofs, &ends) {
            Found::Verified | Found::AtOnce(_) if is_partly_unknown => Found::Unknown,
            found => found,
        };
        let seen = match found {
            Found::AtOnce(Level::Authenticated) => Some(Seen::Proven(Level::Authenticated)),
            Found::AtOnce(_) | Found::Verified => Some(Seen::Proven(Level::Verified)),
            Found::Without => Seen::of_outcome(&judge(evidence.starttls_seen, hidden_policy(&evidence), &skipped, &ends)),
            Found::Unknown => None,
        };
        Some(looked(found, evidence, shown, seen))
    }

    /// These attempts, with evidence that was gathered already: what is sent goes to the hosts that were looked at.
    pub(super) fn under(&self, evidence: DomainEvidence) -> Attempts {
        Attempts {
            settings: Arc::clone(&self.settings),
            ask: Arc::new(Held(evidence)),
            pool: Arc::clone(&self.pool),
            weather: Arc::clone(&self.weather),
            tally: Arc::clone(&self.tally),
            dice: Arc::clone(&self.dice),
        }
    }
}

/// Evidence about one domain. About any other it says what it says: the plan is made for the domain it names.
struct Held(DomainEvidence);

impl AskWay for Held {
    fn evidence<'a>(&'a self, _: &'a Domain) -> std::pin::Pin<Box<dyn std::future::Future<Output = DomainEvidence> + Send + 'a>> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

/// The weakest host that answered stands for the domain: a message may go to any of them.
fn found(proofs: &[Proof], ends: &[HopEnd]) -> Found {
    let is_short = |end: &HopEnd| match end {
        HopEnd::NoStartTls { .. } | HopEnd::Short { .. } | HopEnd::TlsBroken { .. } => true,
        HopEnd::Silent(_) | HopEnd::Lacks(_) | HopEnd::Later(_) => false,
    };
    if ends.iter().any(is_short) {
        return Found::Without;
    }
    let counts_at_once = |proof: &Proof| proof.level() == Level::Authenticated || proof.method() == "pin";
    match proofs.iter().map(Proof::level).min() {
        None => Found::Unknown,
        Some(Level::Encrypted) => Found::Without,
        Some(level) if proofs.iter().all(counts_at_once) => Found::AtOnce(level),
        Some(Level::Verified | Level::Authenticated) => Found::Verified,
    }
}

fn shown(proofs: &[Proof], ends: &[HopEnd], starttls_seen: bool) -> Option<Shown> {
    let has_it = |end: &HopEnd| match end {
        HopEnd::Short { .. } | HopEnd::TlsBroken { .. } | HopEnd::Lacks(_) | HopEnd::Later(_) => true,
        HopEnd::Silent(_) | HopEnd::NoStartTls { .. } => false,
    };
    if !proofs.is_empty() || ends.iter().any(has_it) {
        return Some(Shown::StartTls);
    }
    let is_without = ends.iter().any(|end| matches!(end, HopEnd::NoStartTls { .. }));
    is_without.then_some(if starttls_seen { Shown::Gone } else { Shown::Missing })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const HOUR_MS: i64 = 3_600_000;

    fn check(found: Found, mx: &str) -> Check {
        Check { found, mx: vec![mx.to_owned()] }
    }

    /// A good look every so many hours, `hours` long, the last one now.
    fn looks(every: i64, hours: i64) -> Vec<(Timestamp, Check)> {
        (0..=hours / every).rev().map(|n| (NOW.plus_ms(-n * every * HOUR_MS), check(Found::Verified, "mx"))).collect()
    }

    #[test]
    fn a_certificate_alone_counts_after_a_week_of_two_looks_a_day_at_the_same_hosts() {
        assert_eq!(ground(&looks(12, 168), NOW), Some(Ground::Steady));
        assert_eq!(ground(&looks(6, 168), NOW), Some(Ground::Steady));
        // Intervals are a little longer than they are set.
        let late: Vec<_> = looks(12, 168)
            .into_iter()
            .enumerate()
            .map(|(n, (at, check))| (at.plus_ms(-(14 - n as i64) * 20 * 60_000), check))
            .collect();
        assert_eq!(ground(&late, NOW), Some(Ground::Steady));

        let none: [(&str, Vec<(Timestamp, Check)>); 8] = [
            ("nothing at all", vec![]),
            ("one look", looks(12, 0)),
            ("six and a half days", looks(12, 156)),
            ("once a day", looks(24, 240)),
            (
                "a day without",
                looks(12, 240).into_iter().filter(|(at, _)| !(3 * 24..4 * 24).contains(&(NOW.since_ms(*at) / HOUR_MS))).collect(),
            ),
            (
                "many on the first and the last day",
                looks(1, 192).into_iter().filter(|(at, _)| !(24..160).contains(&(NOW.since_ms(*at) / HOUR_MS))).collect(),
            ),
            ("the hosts changed in between", with(looks(12, 240), 72, check(Found::Verified, "other"))),
            ("it was worse in between", with(looks(12, 240), 72, check(Found::Without, "mx"))),
        ];
        for (name, looks) in none {
            assert_eq!(ground(&looks, NOW), None, "{name}");
        }
        // Not to find out is no proof, but breaks nothing where enough others are.
        assert_eq!(ground(&with(looks(6, 192), 72, check(Found::Unknown, "mx")), NOW), Some(Ground::Steady));
        assert_eq!(ground(&with(looks(12, 192), 72, check(Found::Unknown, "mx")), NOW), None);
        // Looks from a clock that was ahead do not count.
        let ahead: Vec<_> = looks(12, 168).into_iter().map(|(at, check)| (at.plus_ms(DAY_MS * 30), check)).collect();
        assert_eq!(ground(&ahead, NOW), None);
    }

    /// Replaces the look so many hours ago.
    fn with(mut looks: Vec<(Timestamp, Check)>, hours_ago: i64, check: Check) -> Vec<(Timestamp, Check)> {
        let at = NOW.plus_ms(-hours_ago * HOUR_MS);
        looks.iter_mut().find(|(then, _)| *then == at).unwrap().1 = check;
        looks
    }

    #[test]
    fn a_policy_or_pin_counts_at_once_and_only_the_last_look_decides() {
        let at_once = check(Found::AtOnce(Level::Authenticated), "mx");
        let mut looks = vec![(NOW.plus_ms(-HOUR_MS), check(Found::Without, "mx")), (NOW, at_once.clone())];
        assert_eq!(ground(&looks, NOW), Some(Ground::AtOnce(Level::Authenticated)));
        looks.push((NOW, check(Found::Verified, "mx")));
        assert_eq!(ground(&looks, NOW), None);
        assert_eq!(ground(&[(NOW, at_once), (NOW, check(Found::Unknown, "mx"))], NOW), None);
    }

    #[test]
    fn a_look_that_somebody_else_wrote_is_none() {
        let (vault, domain, at) = (Vault::ephemeral(), Domain::parse("a.example").unwrap(), NOW);
        let check = check(Found::AtOnce(Level::Authenticated), "mx.a.example");
        let sealed = check.sealed(&vault, &domain, at);
        assert_eq!(Check::open(&vault, &domain, at, &sealed), Some(check));
        assert_eq!(Check::open(&vault, &Domain::parse("b.example").unwrap(), at, &sealed), None);
        assert_eq!(Check::open(&vault, &domain, at.plus_ms(1), &sealed), None);
        assert_eq!(Check::open(&Vault::ephemeral(), &domain, at, &sealed), None);
    }
}
