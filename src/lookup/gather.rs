use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dns::{Answer, Dns, Found, absolute, domain_of};
use super::https::Https;
use super::memory::{Forgotten, Memory};
use super::sts_fetch::{self, policy_host};
use super::{Clock, EVIDENCE_MAX, EVIDENCE_MIN, Settings, UNKNOWN_MAX, address_of};
use crate::mail::{Domain, Timestamp};
use crate::observe::{self, Event};
use crate::transport::mta_sts::{CachedPolicy, parse_txt};
use crate::transport::{Denial, DomainEvidence, Evidence, MxHost, Pin, Security, StsMode, StsPolicy, TlsaRecord, TlsaSet, Why};

/// Hosts of one domain that are looked at, best preference first. A longer list is somebody's joke.
const MX_HOSTS_MAX: usize = 16;
const ADDRESSES_MAX: usize = 16;
const TLSA_RECORDS_MAX: usize = 64;
/// Policies held beside the memory, in case that cannot keep them.
const POLICIES_MAX: usize = 20_000;
/// What is missing is told of once a day.
const TELL_EVERY_MS: i64 = 24 * 3600 * 1000;

/// Asks everything about one domain.
pub(super) struct Gather {
    pub dns: Dns,
    pub https: Https,
    pub memory: Box<dyn Memory>,
    pub policies: Mutex<HashMap<Domain, CachedPolicy>>,
    /// When it was last told that a domain's policy cannot be asked for again.
    pub told: Mutex<HashMap<Domain, Timestamp>>,
    pub clock: Clock,
    pub settings: Settings,
}

/// How long what was gathered is good for: the shortest of all TTLs.
#[derive(Clone, Copy)]
struct Freshness {
    ttl_s: u32,
    has_unknown: bool,
}

impl Freshness {
    const LONGEST: Freshness = Freshness { ttl_s: u32::MAX, has_unknown: false };
    const UNKNOWN: Freshness = Freshness { ttl_s: u32::MAX, has_unknown: true };

    fn ttl(ttl_s: u32) -> Freshness {
        Freshness { ttl_s, has_unknown: false }
    }

    fn of(answer: &Answer) -> Freshness {
        match answer {
            Answer::Found(found) => Freshness::ttl(found.ttl_s),
            Answer::None { ttl_s, .. } => Freshness::ttl(*ttl_s),
            Answer::Unknown(_) => Freshness::UNKNOWN,
        }
    }

    fn and(self, other: Freshness) -> Freshness {
        Freshness { ttl_s: self.ttl_s.min(other.ttl_s), has_unknown: self.has_unknown || other.has_unknown }
    }

    fn duration(self) -> Duration {
        let longest = if self.has_unknown { UNKNOWN_MAX } else { EVIDENCE_MAX };
        Duration::from_secs(self.ttl_s.into()).clamp(EVIDENCE_MIN.min(longest), longest)
    }
}

/// What became of the question for the hosts.
struct Mx {
    hosts: Evidence<(Vec<MxHost>, Security)>,
    /// As in [`DomainEvidence`].
    alias_of: Option<Domain>,
    is_nonexistent: bool,
    fresh: Freshness,
}

impl Mx {
    fn of(hosts: Evidence<(Vec<MxHost>, Security)>, fresh: Freshness) -> Mx {
        Mx { hosts, alias_of: None, is_nonexistent: false, fresh }
    }

    /// No such domain, or none that takes mail.
    fn none(denial: Denial, fresh: Freshness) -> Mx {
        Mx { is_nonexistent: true, ..Mx::of(Evidence::Absent(denial), fresh) }
    }
}

impl Gather {
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.settings.deadline
    }

    /// Evidence, and how long it is good for.
    pub async fn domain(self: Arc<Self>, domain: &Domain) -> (DomainEvidence, Duration) {
        let deadline = self.deadline();
        let pin = self.settings.pins.get(domain).cloned();
        let fixed = pin.as_ref().filter(|pin| !pin.hosts.is_empty());
        let (mx, sts) = tokio::join!(self.mx(domain, fixed, deadline), self.sts(domain, deadline));
        let Mx { mut hosts, alias_of, is_nonexistent, fresh: mx_fresh } = mx;
        let (sts, sts_fresh) = sts.unwrap_or_else(|Forgotten| {
            // A policy may hold that nobody can see now. Nothing is sent past it.
            hosts = Evidence::Unknown(Why::Other);
            (Evidence::Unknown(Why::Other), Freshness::UNKNOWN)
        });
        let evidence =
            DomainEvidence { domain: domain.clone(), alias_of, mx: hosts, sts, pin, starttls_seen: false, is_nonexistent };
        (evidence, mx_fresh.and(sts_fresh).duration())
    }

    /// The hosts, and whether the domain was answered not to exist.
    async fn mx(self: &Arc<Self>, domain: &Domain, fixed: Option<&Pin>, deadline: Instant) -> Mx {
        if let Some(pin) = fixed {
            let names = pin.hosts.iter().enumerate().map(|(i, name)| (u16::try_from(i).unwrap_or(u16::MAX), name.clone()));
            let (hosts, fresh) = self.hosts(names.collect(), true, deadline).await;
            return Mx::of(Evidence::Present((hosts, Security::Insecure)), fresh);
        }
        let Some(name) = absolute(domain.as_str()) else { return Mx::none(Denial::Claimed, Freshness::LONGEST) };
        let answer = self.dns.ask(&name, RecordType::MX, deadline).await;
        let fresh = Freshness::of(&answer);
        match answer {
            Answer::Found(found) => {
                let is_secure = found.security == Security::Secure;
                let (hosts, hosts_fresh) = self.hosts(exchanges(&found.records), is_secure, deadline).await;
                let alias_of = found.alias_of.filter(|_| is_secure);
                Mx { alias_of, ..Mx::of(Evidence::Present((hosts, found.security)), fresh.and(hosts_fresh)) }
            }
            Answer::None { denial, is_nxdomain: true, .. } => Mx::none(denial, fresh),
            // RFC 5321, section 5.1: without MX records the domain itself is the host.
            Answer::None { denial, is_nxdomain: false, .. } => {
                let security = if denial == Denial::Proven { Security::Secure } else { Security::Insecure };
                let (host, host_fresh) = self.host(0, domain.clone(), security == Security::Secure, deadline).await;
                let fresh = fresh.and(host_fresh);
                match host.addresses {
                    Evidence::Absent(denial) => Mx::none(denial, fresh),
                    Evidence::Present(_) | Evidence::Unknown(_) => Mx::of(Evidence::Present((vec![host], security)), fresh),
                }
            }
            Answer::Unknown(why) => Mx::of(Evidence::Unknown(why), fresh),
        }
    }

    /// All hosts at once, in the order in which they are tried.
    async fn hosts(self: &Arc<Self>, names: Vec<(u16, Domain)>, wants_tlsa: bool, deadline: Instant) -> (Vec<MxHost>, Freshness) {
        let mut asking = JoinSet::new();
        for (place, (preference, name)) in names.into_iter().enumerate() {
            let gather = Arc::clone(self);
            asking.spawn(async move { (place, gather.host(preference, name, wants_tlsa, deadline).await) });
        }
        let mut answered = asking.join_all().await;
        answered.sort_by_key(|(place, _)| *place);
        let fresh = answered.iter().fold(Freshness::LONGEST, |fresh, (_, (_, host))| fresh.and(*host));
        (answered.into_iter().map(|(_, (host, _))| host).collect(), fresh)
    }

    async fn host(&self, preference: u16, name: Domain, wants_tlsa: bool, deadline: Instant) -> (MxHost, Freshness) {
        let unusable =
            |name, addresses, fresh| (MxHost { preference, name, addresses, tlsa: Evidence::Absent(Denial::Claimed) }, fresh);
        let is_local = name.as_str() == "localhost" || name.as_str().ends_with(".localhost");
        if is_local {
            return unusable(name, Evidence::Present((Vec::new(), Security::Insecure)), Freshness::LONGEST);
        }
        let Some(absolute_name) = absolute(name.as_str()) else {
            return unusable(name, Evidence::Absent(Denial::Claimed), Freshness::LONGEST);
        };
        let (v6, v4) = tokio::join!(
            self.dns.ask(&absolute_name, RecordType::AAAA, deadline),
            self.dns.ask(&absolute_name, RecordType::A, deadline)
        );
        let fresh = Freshness::of(&v6).and(Freshness::of(&v4));
        let addresses = self.addresses(&v6, &v4);
        let bases = if wants_tlsa { tlsa_bases(&name, &[&v6, &v4]) } else { Vec::new() };
        let (tlsa, tlsa_fresh) = match &addresses {
            Evidence::Present(_) => self.tlsa(&bases, deadline).await,
            Evidence::Absent(_) | Evidence::Unknown(_) => (Evidence::Absent(Denial::Claimed), Freshness::LONGEST),
        };
        (MxHost { preference, name, addresses, tlsa }, fresh.and(tlsa_fresh))
    }

    /// IPv6 first. Addresses of one family serve while the other cannot be asked; beside a forged answer they do so
    /// only if they are proven themselves.
    fn addresses(&self, v6: &Answer, v4: &Answer) -> Evidence<(Vec<IpAddr>, Security)> {
        let (mut all, mut security, mut why) = (Vec::new(), Security::Secure, None);
        let mut denial = Denial::Proven;
        for answer in [v6, v4] {
            match answer {
                Answer::Found(found) => {
                    all.extend(found.records.iter().filter_map(address_of).take(ADDRESSES_MAX));
                    security = security.min(found.security);
                }
                Answer::None { denial: Denial::Proven, .. } => {}
                Answer::None { denial: Denial::Claimed, .. } => denial = Denial::Claimed,
                Answer::Unknown(Why::Bogus) => why = Some(Why::Bogus),
                Answer::Unknown(other) => why = why.or(Some(*other)),
            }
        }
        match why {
            Some(Why::Bogus) if security == Security::Insecure => Evidence::Unknown(Why::Bogus),
            _ if all.iter().any(|address| self.settings.own_addresses.contains(address)) => {
                Evidence::Present((Vec::new(), security))
            }
            _ if !all.is_empty() => Evidence::Present((all, security)),
            Some(why) => Evidence::Unknown(why),
            None => Evidence::Absent(denial),
        }
    }

    /// TLSA records at the first of these names that has any (RFC 7672, section 2.2.2). A name that could not be
    /// asked is not passed over.
    async fn tlsa(&self, bases: &[Domain], deadline: Instant) -> (Evidence<TlsaSet>, Freshness) {
        let mut absent = (Evidence::Absent(Denial::Claimed), Freshness::LONGEST);
        for base in bases {
            let Some(name) = absolute(&format!("_{}._tcp.{base}", self.settings.mx_port)) else { continue };
            let answer = self.dns.ask(&name, RecordType::TLSA, deadline).await;
            let fresh = absent.1.and(Freshness::of(&answer));
            absent = match answer {
                Answer::Found(Found { records, security: Security::Secure, .. }) => {
                    let records = records.iter().filter_map(tlsa_record).take(TLSA_RECORDS_MAX).collect();
                    return (Evidence::Present(TlsaSet { base: base.clone(), records }), fresh);
                }
                Answer::Unknown(why) => return (Evidence::Unknown(why), fresh),
                Answer::Found(_) => (Evidence::Absent(Denial::Claimed), fresh),
                Answer::None { denial, .. } => (Evidence::Absent(denial), fresh),
            };
        }
        absent
    }

    /// The MTA-STS policy to obey. One that holds does so whatever the TXT record or the policy host say.
    async fn sts(&self, domain: &Domain, deadline: Instant) -> Result<(Evidence<StsPolicy>, Freshness), Forgotten> {
        let now = (self.clock)();
        let held = self.remembered(domain).await?.filter(|cached| cached.is_fresh(now));
        let Some(name) = absolute(&format!("_mta-sts.{domain}")) else {
            return Ok((Evidence::Absent(Denial::Claimed), Freshness::LONGEST));
        };
        let answer = self.dns.ask(&name, RecordType::TXT, deadline).await;
        let fresh = Freshness::of(&answer);
        let announced = match &answer {
            Answer::Found(found) => parse_txt(&texts(&found.records)),
            Answer::None { .. } | Answer::Unknown(_) => None,
        };
        let wanted = announced.filter(|id| held.as_ref().is_none_or(|held| held.policy.id != *id || held.wants_refresh(now)));
        let fetched = match &wanted {
            Some(id) => self.fetch(domain, id, deadline).await,
            None => Err(Why::Other),
        };
        let failed = fetched.as_ref().err().copied();
        let in_force = match fetched {
            Ok(policy) => {
                let (cached, is_strange) = CachedPolicy::replace(held.as_ref(), policy, now);
                self.tell(held.as_ref().and_then(|held| change(domain, &held.policy, &cached.policy, is_strange)));
                self.remember(domain, &cached).await;
                Some(cached)
            }
            Err(_) => {
                self.tell(held.as_ref().and_then(|held| self.missing(domain, held, wanted.is_some(), &answer, now)));
                held
            }
        };
        Ok(match (in_force, wanted, answer) {
            (Some(cached), wanted, _) => {
                let mut left_ms = cached.expires_at().since_ms(now);
                if let Some((_, until)) = &cached.former
                    && now < *until
                {
                    left_ms = left_ms.min(until.since_ms(now));
                }
                // Announced anew and not fetched: ask again soon.
                let is_behind = wanted.is_some_and(|id| id != cached.policy.id);
                let left = Freshness { ttl_s: u32::try_from(left_ms / 1000).unwrap_or(u32::MAX), has_unknown: is_behind };
                (Evidence::Present(cached.in_force(now)), fresh.and(left))
            }
            (None, Some(_), _) => (Evidence::Unknown(failed.unwrap_or(Why::FetchFailed)), Freshness::UNKNOWN),
            (None, None, Answer::Unknown(why)) => (Evidence::Unknown(why), fresh),
            (None, None, Answer::None { denial, .. }) => (Evidence::Absent(denial), fresh),
            // Records, but none that announces a policy.
            (None, None, Answer::Found(_)) => (Evidence::Absent(Denial::Claimed), fresh),
        })
    }

    /// What is to be told of a policy that holds although nobody can ask for it again, or nothing announces it any more:
    /// a fault at the domain, or somebody who waits for it to run out. Once a day.
    pub(super) fn missing(
        &self,
        domain: &Domain,
        held: &CachedPolicy,
        is_wanted: bool,
        answer: &Answer,
        now: Timestamp,
    ) -> Option<Event> {
        let is_gone = match answer {
            Answer::Found(found) => parse_txt(&texts(&found.records)).is_none(),
            Answer::None { .. } => true,
            // Nobody knows; the next look may.
            Answer::Unknown(_) => false,
        };
        if held.policy.mode == StsMode::None || !(is_wanted || is_gone) {
            return None;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |at: &Timestamp| now.since_ms(*at) >= TELL_EVERY_MS || now < *at;
        if told.get(domain).is_some_and(|at| !is_old(at)) {
            return None;
        }
        if told.len() >= POLICIES_MAX {
            told.retain(|_, at| !is_old(at));
        }
        if told.len() < POLICIES_MAX {
            told.insert(domain.clone(), now);
        }
        let (domain, holds_until) = (domain.clone(), held.expires_at().to_string());
        Some(match is_wanted {
            true => Event::StsFetchFails { domain, holds_until },
            false => Event::StsPolicyVanished { domain, holds_until },
        })
    }

    fn tell(&self, event: Option<Event>) {
        if let Some(event) = event.filter(|_| !self.settings.is_quiet) {
            observe::log(&event);
        }
    }

    async fn fetch(&self, domain: &Domain, id: &str, deadline: Instant) -> Result<StsPolicy, Why> {
        let host = policy_host(domain).ok_or(Why::FetchFailed)?;
        let addresses = self.all_addresses(&host, deadline).await;
        sts_fetch::fetch(&self.https, self.settings.sts_port, domain, &addresses, id, deadline).await
    }

    /// Addresses of a host that is asked over HTTPS, where its certificate is the proof and not DNSSEC.
    pub async fn all_addresses(&self, host: &Domain, deadline: Instant) -> Vec<IpAddr> {
        let Some(host) = absolute(host.as_str()) else { return Vec::new() };
        let (v6, v4) =
            tokio::join!(self.dns.ask(&host, RecordType::AAAA, deadline), self.dns.ask(&host, RecordType::A, deadline));
        [v6, v4]
            .iter()
            .filter_map(|answer| match answer {
                Answer::Found(found) => Some(found.records.iter().filter_map(address_of)),
                Answer::None { .. } | Answer::Unknown(_) => None,
            })
            .flatten()
            .collect()
    }

    pub async fn remembered(&self, domain: &Domain) -> Result<Option<CachedPolicy>, Forgotten> {
        let here = self.policies.lock().unwrap_or_else(PoisonError::into_inner).get(domain).cloned();
        match here {
            Some(cached) => Ok(Some(cached)),
            None => self.memory.sts(domain).await,
        }
    }

    async fn remember(&self, domain: &Domain, cached: &CachedPolicy) {
        {
            let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
            if policies.len() >= POLICIES_MAX {
                policies.clear();
            }
            policies.insert(domain.clone(), cached.clone());
        }
        self.memory.put_sts(domain, cached).await;
    }
}

/// What is to be told of a policy that says something else than the one before. An `id` alone says nothing.
fn change(domain: &Domain, was: &StsPolicy, now: &StsPolicy, is_strange: bool) -> Option<Event> {
    let strength = |policy: &StsPolicy| match policy.mode {
        StsMode::None => 0,
        StsMode::Testing => 1,
        StsMode::Enforce => 2,
    };
    let sorted = |policy: &StsPolicy| {
        let mut mx = policy.mx.clone();
        mx.sort();
        mx
    };
    let what = match strength(now).cmp(&strength(was)) {
        Ordering::Less => "weaker",
        Ordering::Equal | Ordering::Greater if is_strange => "all-hosts",
        Ordering::Greater => "stronger",
        Ordering::Equal if sorted(now) != sorted(was) => "hosts",
        Ordering::Equal => return None,
    };
    Some(Event::StsPolicyChanged { domain: domain.clone(), what, was: was.mode.as_str(), now: now.mode.as_str() })
}

/// MX hosts by preference; among equals in an order of chance (RFC 5321, section 5.1). A single `.` is a null MX and
/// gives none; beside other hosts, or for names no host has, it is passed over.
fn exchanges(records: &[RData]) -> Vec<(u16, Domain)> {
    let mut hosts: Vec<(u16, [u8; 4], Domain)> = records
        .iter()
        .filter_map(|record| match record {
            RData::MX(mx) if !mx.exchange.is_root() => Some((mx.preference, chance(), domain_of(&mx.exchange)?)),
            _ => None,
        })
        .collect();
    hosts.sort();
    hosts.truncate(MX_HOSTS_MAX);
    hosts.into_iter().map(|(preference, _, name)| (preference, name)).collect()
}

fn chance() -> [u8; 4] {
    let mut dice = [0; 4];
    // Without dice the order is that of the names, which serves as well.
    let _ = rand::fill(&mut dice);
    dice
}

/// Where TLSA records may be: at the end of an alias every step of which is proven, and at the name itself where that
/// lies in a signed zone (RFC 7672, section 2.2.2). Nowhere in an unsigned zone, whose servers often answer wrongly.
fn tlsa_bases(name: &Domain, answers: &[&Answer]) -> Vec<Domain> {
    let mut bases = Vec::new();
    for answer in answers {
        if let Answer::Found(found) = answer {
            let target = found.alias_of.clone().filter(|_| found.security == Security::Secure);
            let start = found.is_start_secure.then(|| name.clone());
            bases.extend(target.into_iter().chain(start));
        }
    }
    let mut once = Vec::new();
    bases.retain(|base| {
        let is_new = !once.contains(base);
        once.push(base.clone());
        is_new
    });
    bases
}

fn tlsa_record(data: &RData) -> Option<TlsaRecord> {
    let RData::TLSA(tlsa) = data else { return None };
    Some(TlsaRecord {
        usage: tlsa.cert_usage.into(),
        selector: tlsa.selector.into(),
        matching: tlsa.matching.into(),
        association: tlsa.cert_data.clone(),
    })
}

/// Character-strings joined; octets beyond UTF-8 replaced.
pub(super) fn texts(records: &[RData]) -> Vec<String> {
    records
        .iter()
        .filter_map(|record| match record {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_policy_is_told_by_what_changed_and_a_new_id_alone_is_not() {
        let policy = |id: &str, mode, mx: &[&str]| StsPolicy {
            id: id.into(),
            mode,
            mx: mx.iter().map(|mx| (*mx).to_owned()).collect(),
            max_age_secs: 86_400,
        };
        let domain = Domain::parse("p.example").unwrap();
        let was = policy("1", StsMode::Enforce, &["a.example", "b.example"]);
        let testing = policy("1", StsMode::Testing, &["a.example"]);
        let cases = [
            (&was, policy("2", StsMode::Enforce, &["b.example", "a.example"]), false, None),
            (&was, policy("2", StsMode::Enforce, &["a.example"]), false, Some(("hosts", "info"))),
            (&was, policy("2", StsMode::Enforce, &["evil.test"]), true, Some(("all-hosts", "warn"))),
            (&was, policy("2", StsMode::Testing, &["evil.test"]), true, Some(("weaker", "warn"))),
            (&was, policy("2", StsMode::None, &[]), false, Some(("weaker", "warn"))),
            (&testing, policy("2", StsMode::Enforce, &["a.example"]), false, Some(("stronger", "info"))),
        ];
        for (was, now, is_strange, expected) in cases {
            let event = change(&domain, was, &now, is_strange);
            let told = event.map(|event| {
                let severity = if event.severity() == observe::Severity::Info { "info" } else { "warn" };
                let text = event.text();
                (text.split("what=").nth(1).unwrap().split(' ').next().unwrap().to_owned(), severity)
            });
            assert_eq!(told, expected.map(|(what, severity)| (what.to_owned(), severity)), "{now:?}");
        }
    }

    #[test]
    fn evidence_lives_as_long_as_its_shortest_answer_and_the_unknown_hardly_at_all() {
        let secs = |fresh: Freshness| fresh.duration().as_secs();
        assert_eq!(secs(Freshness::ttl(300)), 300);
        assert_eq!(secs(Freshness::ttl(300).and(Freshness::ttl(60))), 60);
        assert_eq!(secs(Freshness::ttl(0)), 5);
        assert_eq!(secs(Freshness::ttl(86_400)), 3600);
        assert_eq!(secs(Freshness::LONGEST), 3600);
        assert_eq!(secs(Freshness::ttl(300).and(Freshness::UNKNOWN)), 5);
    }
}
