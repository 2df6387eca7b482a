use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Denial, DomainEvidence, Evidence, Level, MxHost, Pin, Reason, Refusal, RefusalKind, Requirement, Security, StsMode,
    StsPolicy, TlsaRecord, Why, dane, mta_sts,
};
use crate::mail::Domain;

/// Which roots a certificate may chain to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CaSet {
    /// The system's bundle, or the one the configuration names.
    Configured,
    /// PEM of a pinned CA.
    Pinned(Vec<u8>),
}

/// How the peer has to prove who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// RFC 7672: usable records only; `names` are the reference identifiers for usage 2.
    Dane { records: Vec<TlsaRecord>, names: Vec<Domain> },
    /// WebPKI chain and one of the names. `sts` is the id of the MTA-STS policy in force, if one demands this.
    WebPki { names: Vec<Domain>, roots: CaSet, sts: Option<String> },
    /// The end-entity certificate is one of these (SHA-256 of the DER).
    Certificate { sha256: Vec<[u8; 32]> },
    /// TLS, whoever it is (level `encrypted`; RFC 7672, section 2.2: all TLSA records unusable).
    None,
}

/// What a handshake with one host must show. Made before dialling, never changed after.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsPlan {
    /// Host as written in the MX record, the SNI (RFC 7672, section 8.1; RFC 8461, section 4.1).
    pub host: Domain,
    pub authentication: Authentication,
    /// The level that a handshake under this plan proves.
    pub gives: Level,
    /// A published policy demands this plan: failing it is a violation, not an inability.
    pub is_policy: bool,
    /// A published policy demands TLS, with whomever: only to have none is a violation.
    pub is_tls_demanded: bool,
}

/// One host that may be dialled for one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub preference: u16,
    pub host: Domain,
    /// IPv6 first.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub plan: TlsPlan,
}

/// Hosts in the order in which they are tried, and why others were skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub hops: Vec<Hop>,
    pub skipped: Vec<(Domain, Reason)>,
}

impl Route {
    /// Shuffles hosts of equal preference (RFC 5321, section 5.1: "the sender-SMTP MUST randomize them"), so that many
    /// messages spread over all of them. Preferences stay in order. Same dice, same order.
    pub fn spread(&mut self, dice: u64) {
        let mut state = dice;
        for equals in self.hops.chunk_by_mut(|a, b| a.preference == b.preference) {
            for last in (1..equals.len()).rev() {
                // SplitMix64: the order needs to be even, not secret.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^= mixed >> 31;
                let place = usize::try_from(mixed % (last as u64 + 1)).unwrap_or(last);
                equals.swap(last, place);
            }
        }
    }
}

/// Where mail goes between servers (RFC 5321, section 4.5.4.2). On any other port all servers are a test world's.
const SMTP_PORT: u16 = 25;

/// The hosts that may be dialled for a domain, each with what its handshake has to show, or why there is none.
///
/// A published policy is obeyed whatever level is asked; on top of that each host has to reach the level. Hosts that
/// cannot are left out, not the whole domain.
///
/// | what is known | plan |
/// |---|---|
/// | pin | the pin's certificate, CA or hosts; gives the pin's level |
/// | MX secure, usable TLSA | DANE, authenticated; MTA-STS is not asked (RFC 8461, section 2) |
/// | MX secure, TLSA but none usable | TLS is mandatory, so to have none is a violation; WebPKI where `verified` is asked |
/// | TLSA unknown | the host is not used |
/// | MTA-STS enforce | host listed, WebPKI, authenticated; else the host is not used |
/// | none of these | WebPKI, verified; or TLS alone where only `encrypted` is asked |
/// | REQUIRETLS asked | of the above only what DNSSEC on the MX answer, MTA-STS in enforce or a pin vouches for |
///
/// Where the MX answer is insecure, TLSA records of the host it names are not used: whoever forged the answer chose
/// the host, so they prove nothing about the domain. Such a host needs a WebPKI certificate and is never more than
/// verified, unless MTA-STS lists it.
///
/// An MTA-STS policy that could not be fetched although announced is none (RFC 8461, section 3.3), so mail goes on, but
/// to nobody less than a verified host: whoever keeps the policy from us must not get more than it would have given
/// him. Where `authenticated` is asked it is unknown, and the mail waits. The same holds where the record that would
/// announce a policy could not be asked for. What then falls short is no inability (see [`hidden_policy`]).
///
/// # Errors
/// [`Refusal`] when no host is left.
pub fn plan(requirement: &Requirement, evidence: &DomainEvidence, mx_port: u16) -> Result<Route, Refusal> {
    if is_no_mail_domain(&evidence.domain) {
        return Err(undeliverable(Reason::AddressLiteral));
    }
    if is_local_name(&evidence.domain) && mx_port == SMTP_PORT {
        return Err(undeliverable(Reason::MxIsUs));
    }
    if evidence.is_nonexistent {
        return Err(undeliverable(Reason::DomainNotFound));
    }
    let (hosts, mx_security) = match &evidence.mx {
        Evidence::Present((hosts, _)) if hosts.is_empty() => return Err(undeliverable(Reason::NullMx)),
        Evidence::Present((hosts, security)) => (hosts, *security),
        Evidence::Absent(Denial::Proven | Denial::Claimed) => return Err(undeliverable(Reason::DomainNotFound)),
        Evidence::Unknown(why) => return Err(Skip::Unknown(dns_reason(*why), *why).refusal()),
    };
    let level = least_level(requirement, evidence.pin.as_ref());
    let asked = Asked { level, require_tls: requirement.require_tls, evidence, mx_security, mx_port };
    // Hosts at or behind our own preference would send the mail round in a circle (RFC 5321, section 5.1).
    let own_preference = hosts.iter().filter(|host| is_us(host)).map(|host| host.preference).min();
    let mut route = Route { hops: Vec::new(), skipped: Vec::new() };
    let mut worst: Option<Skip> = None;
    for host in hosts {
        let judged = match own_preference {
            Some(own) if host.preference >= own => Err(Skip::Unroutable(Reason::MxIsUs)),
            _ => asked.hop(host),
        };
        match judged {
            Ok(hop) => route.hops.push(hop),
            Err(skip) => {
                route.skipped.push((host.name.clone(), skip.reason()));
                worst = Some(worst.map_or(skip, |before| before.max(skip)));
            }
        }
    }
    route.hops.sort_by_key(|hop| hop.preference);
    match worst {
        Some(skip) if route.hops.is_empty() => Err(skip.refusal()),
        _ => Ok(route),
    }
}

/// Why nobody knows whether the domain has an MTA-STS policy, if so. A host that shows less than the level may then
/// only seem to be allowed to.
#[must_use]
pub fn hidden_policy(evidence: &DomainEvidence) -> Option<Reason> {
    match evidence.sts {
        Evidence::Unknown(why) => Some(sts_reason(why)),
        Evidence::Present(_) | Evidence::Absent(Denial::Proven | Denial::Claimed) => None,
    }
}

/// The level a copy has to reach: what policy asks, what the administrator's pin asks, and at least a verified peer
/// for REQUIRETLS (RFC 8689, section 4.2.1, step 4). A header field `TLS-Required: No` is not looked at anywhere: it is
/// typed by a sender, and nothing a sender types lowers protection.
pub(super) fn least_level(requirement: &Requirement, pin: Option<&Pin>) -> Level {
    let for_requiretls = if requirement.require_tls { Level::Verified } else { Level::Encrypted };
    let for_pin = pin.map_or(Level::Encrypted, |pin| pin.level.max(Level::Verified));
    requirement.level.max(for_requiretls).max(for_pin)
}

/// Why one host is left out; the order says which of several reasons stands for the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Skip {
    /// No address, or one that leads back to us.
    Unroutable(Reason),
    BelowLevel,
    Unknown(Reason, Why),
    Violated(Reason),
}

impl Skip {
    fn reason(self) -> Reason {
        match self {
            Skip::Unroutable(reason) | Skip::Unknown(reason, _) | Skip::Violated(reason) => reason,
            Skip::BelowLevel => Reason::LevelNotReachable,
        }
    }

    fn refusal(self) -> Refusal {
        let (kind, why, is_settled) = match self {
            Skip::Unroutable(_) => (RefusalKind::Undeliverable, None, true),
            Skip::BelowLevel => (RefusalKind::CannotAuthenticate, None, true),
            Skip::Unknown(_, why) => (RefusalKind::Unknown, Some(why), false),
            Skip::Violated(_) => (RefusalKind::PolicyViolated, None, false),
        };
        Refusal { kind, reason: self.reason(), why, is_settled }
    }
}

fn undeliverable(reason: Reason) -> Refusal {
    Skip::Unroutable(reason).refusal()
}

fn dns_reason(why: Why) -> Reason {
    match why {
        Why::Bogus | Why::NotValidating => Reason::DnssecInvalid,
        Why::ServFail | Why::Timeout | Why::FetchFailed | Why::PolicyHostNotTrusted | Why::PolicyInvalid | Why::Other => {
            Reason::DnsFailed
        }
    }
}

/// Why an announced MTA-STS policy is not known.
fn sts_reason(why: Why) -> Reason {
    match why {
        Why::FetchFailed | Why::PolicyHostNotTrusted => Reason::StsFetchFailed,
        Why::PolicyInvalid => Reason::StsPolicyInvalid,
        Why::Bogus | Why::NotValidating | Why::ServFail | Why::Timeout | Why::Other => dns_reason(why),
    }
}

/// What is asked of every host of one domain.
struct Asked<'e> {
    level: Level,
    require_tls: bool,
    evidence: &'e DomainEvidence,
    mx_security: Security,
    mx_port: u16,
}

impl Asked<'_> {
    fn hop(&self, host: &MxHost) -> Result<Hop, Skip> {
        let addresses = self.addresses(host)?;
        let plan = self.tls_plan(host)?;
        if self.require_tls {
            self.vouched_for()?;
        }
        if plan.gives < self.level {
            return Err(Skip::BelowLevel);
        }
        Ok(Hop { preference: host.preference, host: host.name.clone(), addresses, port: self.mx_port, plan })
    }

    /// REQUIRETLS: the name of the next hop comes from a secure MX answer, or MTA-STS has validated it (RFC 8689,
    /// section 4.2.1, step 2). A pin is the administrator's word for it.
    fn vouched_for(&self) -> Result<(), Skip> {
        if self.mx_security == Security::Secure || self.evidence.pin.is_some() || self.enforced().is_some() {
            return Ok(());
        }
        match self.evidence.sts {
            Evidence::Unknown(why) => Err(Skip::Unknown(sts_reason(why), why)),
            Evidence::Present(_) | Evidence::Absent(Denial::Proven | Denial::Claimed) => Err(Skip::BelowLevel),
        }
    }

    fn addresses(&self, host: &MxHost) -> Result<Vec<IpAddr>, Skip> {
        let found = match &host.addresses {
            Evidence::Present((addresses, _)) => addresses,
            Evidence::Absent(Denial::Proven | Denial::Claimed) => return Err(Skip::Unroutable(Reason::DomainNotFound)),
            Evidence::Unknown(why) => return Err(Skip::Unknown(dns_reason(*why), *why)),
        };
        let is_fixed = self.evidence.pin.as_ref().is_some_and(|pin| pin.hosts.contains(&host.name));
        let may_be_private = is_fixed || self.mx_port != SMTP_PORT;
        let usable: Vec<IpAddr> = found.iter().copied().filter(|address| may_be_private || is_public(*address)).collect();
        if usable.is_empty() { Err(Skip::Unroutable(Reason::MxIsUs)) } else { Ok(usable) }
    }

    fn tls_plan(&self, host: &MxHost) -> Result<TlsPlan, Skip> {
        if let Some(pin) = &self.evidence.pin
            && let Some(plan) = self.pinned(pin, host)?
        {
            return Ok(plan);
        }
        match (&host.tlsa, self.mx_security) {
            // Also under an insecure MX answer: an attack on the look-up must not choose the host's plan.
            (Evidence::Unknown(why), _) => Err(Skip::Unknown(dns_reason(*why), *why)),
            (Evidence::Present(tlsa), Security::Secure) => {
                let records = dane::effective(&tlsa.records);
                if records.is_empty() {
                    return self.mandatory(host);
                }
                // RFC 7672, section 3.2.2: the TLSA base domain; as the MX answer is secure the next-hop domain; and
                // where that is an alias, what it leads to.
                let next_hop = [Some(&self.evidence.domain), self.evidence.alias_of.as_ref()];
                let names = names_of(&tlsa.base, next_hop.into_iter().flatten());
                let authentication = Authentication::Dane { records, names };
                Ok(TlsPlan {
                    host: host.name.clone(),
                    authentication,
                    gives: Level::Authenticated,
                    is_policy: true,
                    is_tls_demanded: true,
                })
            }
            (Evidence::Present(_), Security::Insecure) | (Evidence::Absent(Denial::Proven | Denial::Claimed), _) => {
                self.without_dane(host)
            }
        }
    }

    /// RFC 7672, section 2.2: records exist and none is usable, so TLS is mandatory and DANE says no more. An
    /// enforced MTA-STS policy is obeyed here too, but lifts nothing: what DANE began, MTA-STS does not complete.
    fn mandatory(&self, host: &MxHost) -> Result<TlsPlan, Skip> {
        let plan = self.without_dane(host)?;
        Ok(TlsPlan { gives: plan.gives.min(Level::Verified), is_tls_demanded: true, ..plan })
    }

    fn without_dane(&self, host: &MxHost) -> Result<TlsPlan, Skip> {
        if let Some(policy) = self.enforced() {
            if !policy.mx.iter().any(|pattern| mta_sts::host_matches(pattern, &host.name)) {
                return Err(Skip::Violated(Reason::StsHostNotListed));
            }
            let authentication = web_pki(host, CaSet::Configured, Some(policy.id.clone()));
            return Ok(TlsPlan {
                host: host.name.clone(),
                authentication,
                gives: Level::Authenticated,
                is_policy: true,
                is_tls_demanded: true,
            });
        }
        let mut least = self.level;
        if let Evidence::Unknown(why) = self.evidence.sts {
            if self.level == Level::Authenticated {
                return Err(Skip::Unknown(sts_reason(why), why));
            }
            least = Level::Verified;
        }
        let (authentication, gives) = match least {
            Level::Encrypted => (Authentication::None, Level::Encrypted),
            Level::Verified | Level::Authenticated => (web_pki(host, CaSet::Configured, None), Level::Verified),
        };
        Ok(TlsPlan { host: host.name.clone(), authentication, gives, is_policy: false, is_tls_demanded: false })
    }

    fn enforced(&self) -> Option<&StsPolicy> {
        match &self.evidence.sts {
            Evidence::Present(policy) if policy.mode == StsMode::Enforce => Some(policy),
            // A policy in testing asks for reports only (RFC 8461, section 5).
            Evidence::Present(_) | Evidence::Absent(Denial::Proven | Denial::Claimed) | Evidence::Unknown(_) => None,
        }
    }

    /// The plan of a pinned domain; `None` where the pin fixes no more than the level to reach.
    fn pinned(&self, pin: &Pin, host: &MxHost) -> Result<Option<TlsPlan>, Skip> {
        let has_key = !pin.certificates.is_empty() || pin.ca_pem.is_some();
        if pin.hosts.is_empty() && !has_key {
            return Ok(None);
        }
        if !pin.hosts.is_empty() && !pin.hosts.contains(&host.name) {
            return Err(Skip::Violated(Reason::PinMismatch));
        }
        // The administrator says which key; only if he says which host alone are its TLSA records left to obey.
        let authentication = if !pin.certificates.is_empty() {
            let mut sha256 = pin.certificates.clone();
            sha256.sort_unstable();
            sha256.dedup();
            Authentication::Certificate { sha256 }
        } else if let Some(pem) = &pin.ca_pem {
            web_pki(host, CaSet::Pinned(pem.clone()), None)
        } else {
            match &host.tlsa {
                Evidence::Unknown(why) => return Err(Skip::Unknown(dns_reason(*why), *why)),
                Evidence::Present(tlsa) if !dane::effective(&tlsa.records).is_empty() => {
                    Authentication::Dane { records: dane::effective(&tlsa.records), names: names_of(&tlsa.base, [&host.name]) }
                }
                Evidence::Present(_) | Evidence::Absent(Denial::Proven | Denial::Claimed) => {
                    web_pki(host, CaSet::Configured, None)
                }
            }
        };
        // Where MX records choose the host, a policy of the domain about hosts holds beside the pin.
        if pin.hosts.is_empty()
            && let Some(policy) = self.enforced()
            && !policy.mx.iter().any(|pattern| mta_sts::host_matches(pattern, &host.name))
        {
            return Err(Skip::Violated(Reason::StsHostNotListed));
        }
        let gives = pin.level.max(Level::Verified);
        Ok(Some(TlsPlan { host: host.name.clone(), authentication, gives, is_policy: true, is_tls_demanded: true }))
    }
}

/// The TLSA base domain first, because it is the SNI too; each name once.
fn names_of<'d>(base: &Domain, others: impl IntoIterator<Item = &'d Domain>) -> Vec<Domain> {
    let mut names = vec![base.clone()];
    for other in others {
        if !names.contains(other) {
            names.push(other.clone());
        }
    }
    names
}

/// The reference name is the MX name as it is written, never the target of an alias (RFC 8461, section 4.1).
fn web_pki(host: &MxHost, roots: CaSet, sts: Option<String>) -> Authentication {
    Authentication::WebPki { names: vec![host.name.clone()], roots, sts }
}

/// `lookup` empties the address list of a host whose address is one of ours.
fn is_us(host: &MxHost) -> bool {
    matches!(&host.addresses, Evidence::Present((addresses, _)) if addresses.is_empty())
}

/// An IPv4 address without brackets reads like a domain.
fn is_no_mail_domain(domain: &Domain) -> bool {
    domain.as_str().parse::<IpAddr>().is_ok()
}

/// RFC 6761, section 6.3.
fn is_local_name(domain: &Domain) -> bool {
    domain.as_str() == "localhost" || domain.as_str().ends_with(".localhost")
}

/// Whether mail for strangers may be sent there: not to this machine, and not into a network of one's own
/// (RFC 6890), which an MX record of anybody's may name.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public_v4(v4),
            // What a translator or relay would turn into IPv4 again (RFC 6052, RFC 3056).
            None if let Some(v4) = embedded_v4(v6) => is_public_v4(v4),
            None => {
                let is_unique_local = v6.segments()[0] & 0xfe00 == 0xfc00;
                let is_link_local = v6.segments()[0] & 0xffc0 == 0xfe80;
                !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || is_unique_local || is_link_local)
            }
        },
    }
}

/// The address inside 64:ff9b::/96 or 2002::/16.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
    let is_benchmark = v4.octets()[0] == 198 && v4.octets()[1] & 0xfe == 18;
    let is_reserved = v4.octets()[0] >= 240;
    !(v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.octets()[0] == 0
        || is_shared
        || is_benchmark
        || is_reserved)
}
