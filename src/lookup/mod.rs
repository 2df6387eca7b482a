//! # lookup: the outside world's answers
//!
//! Gathers a [`DomainEvidence`]: MX records, addresses and TLSA records with what DNSSEC proved of each, and the
//! MTA-STS policy. A question that failed is answered `Unknown`, never "there is none".
//!
//! Must not be here: any decision about what may be sent where (`transport`), and an AD bit believed from beyond
//! this machine.
//!
//! Reading order: this file → `dns` → `gather` → `https` → `sts_fetch` → `memory` → `second`.

mod dns;
mod gather;
mod https;
mod memory;
mod second;
mod sts_fetch;
#[cfg(test)]
mod sts_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_resolver::proto::rr::{RData, RecordType};
use rustls::RootCertStore;
use tokio::time::Instant;

use self::dns::{Answer, Dns, absolute};
use self::gather::Gather;
use self::https::Https;
use crate::mail::{Domain, Timestamp};
use crate::transport::{Denial, DomainEvidence, Evidence, Pin, Why};
use crate::{store, vault};

pub use https::HttpsFailure;
pub use memory::{Forgotten, InProcess, Memory};

/// How long evidence is believed at most, whatever its TTL.
const EVIDENCE_MAX: Duration = Duration::from_secs(3600);
/// And at least, so that a burst of mail to one domain asks once.
const EVIDENCE_MIN: Duration = Duration::from_secs(5);
/// Something is unknown: ask again soon.
const UNKNOWN_MAX: Duration = Duration::from_secs(5);
/// How long a host may take to accept what is posted to it.
pub const POST_MAX: Duration = Duration::from_secs(30);
/// Domains remembered at once.
const DOMAINS_MAX: usize = 20_000;
/// How long a STARTTLS once seen is expected again.
const STARTTLS_SEEN_SECS: i64 = 90 * 24 * 3600;

/// How the outside is asked.
#[derive(Clone)]
pub struct Settings {
    /// `None`: the system's resolvers. Their answers are validated here; they need not be trusted.
    pub resolver: Option<SocketAddr>,
    /// DNSKEY records as text; `None`: the root's keys.
    pub trust_anchor: Option<String>,
    /// A validating resolver on loopback whose AD bit may overrule a known weakness of ours (see `second`).
    pub second_source: Option<SocketAddr>,
    /// Names the TLSA records: `_PORT._tcp`.
    pub mx_port: u16,
    pub sts_port: u16,
    pub roots: Arc<RootCertStore>,
    pub pins: HashMap<Domain, Pin>,
    /// Test worlds have their policy hosts on loopback.
    pub allow_private_sts: bool,
    /// Addresses that lead back to us.
    pub own_addresses: Vec<IpAddr>,
    /// For all that is asked about one domain together.
    pub deadline: Duration,
    /// A name whose signatures are known to be broken, for the self-test.
    pub bogus_name: Option<Domain>,
    /// Whether changes of policies are told of; not by whoever only looks.
    pub is_quiet: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            resolver: None,
            trust_anchor: None,
            second_source: None,
            mx_port: 25,
            sts_port: 443,
            roots: Arc::new(RootCertStore::empty()),
            pins: HashMap::new(),
            allow_private_sts: false,
            own_addresses: Vec::new(),
            deadline: Duration::from_secs(30),
            bogus_name: None,
            is_quiet: false,
        }
    }
}

/// Why the outside cannot be asked. Read by an administrator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the DNSSEC trust anchor is not a list of DNSKEY records; give the root's keys as `. IN DNSKEY 257 3 8 ...`")]
    TrustAnchor,
    #[error("the system names no DNS resolver; set dns.resolver to the address of one")]
    NoSystemResolver,
    #[error("the threads for DNS could not be started")]
    Threads,
    #[error("TLS could not be set up")]
    Tls,
    #[error(
        "the second DNSSEC source {address} is not on this machine, so its answers could be forged on the way; \
         run a validating resolver on loopback or leave dns.second_source out"
    )]
    SecondSourceNotLoopback { address: SocketAddr },
    #[error(
        "DNSSEC does not work through the resolver {address}: it passes no signatures on, or the clock or trust anchor is wrong; \
         point dns.resolver at a resolver that answers DNSSEC queries"
    )]
    ResolverDoesNotValidate { address: String },
    #[error("the resolver {address} does not answer; check dns.resolver and the firewall")]
    ResolverSilent { address: String },
    #[error("{name} has broken signatures and was answered as if it had good ones; do not send mail until this is explained")]
    BogusAccepted { name: Domain },
    #[error("the second DNSSEC source {address} does not validate; it may be a forwarder: leave dns.second_source out")]
    SecondSourceDoesNotValidate { address: SocketAddr },
}

type Slot = Arc<tokio::sync::Mutex<Option<(DomainEvidence, Instant)>>>;
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Asks, remembers for as long as the answers allow, and lets many waiters share one flight.
pub struct Lookup {
    gather: Arc<Gather>,
    slots: Mutex<HashMap<Domain, Slot>>,
    /// The last self-test passed, or none was made yet.
    is_trusted: AtomicBool,
}

impl Lookup {
    /// # Errors
    /// [`Error`] if the settings cannot work.
    pub fn new(settings: Settings, store: store::Handle, vault: Arc<vault::Vault>) -> Result<Lookup, Error> {
        Lookup::with_memory(settings, (store, vault), system_clock)
    }

    /// With another memory and clock.
    ///
    /// # Errors
    /// As [`Lookup::new`].
    pub fn with_memory(
        settings: Settings,
        memory: impl Memory,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Lookup, Error> {
        let gather = Gather {
            dns: Dns::new(&settings)?,
            https: Https::new(&settings)?,
            memory: Box::new(memory),
            policies: Mutex::default(),
            told: Mutex::default(),
            clock: Arc::new(clock),
            settings,
        };
        Ok(Lookup { gather: Arc::new(gather), slots: Mutex::default(), is_trusted: AtomicBool::new(true) })
    }

    /// Everything about the way to one domain, as fresh as its TTLs ask.
    pub async fn evidence(&self, domain: &Domain) -> DomainEvidence {
        let slot = self.slot(domain);
        let mut held = slot.lock().await;
        let known = held.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(evidence, _)| evidence.clone());
        let mut evidence = match known {
            Some(evidence) => evidence,
            None => {
                let (evidence, fresh_for) = Arc::clone(&self.gather).domain(domain).await;
                *held = Some((evidence.clone(), Instant::now() + fresh_for));
                evidence
            }
        };
        drop(held);
        // Seen perhaps a minute ago by a delivery, so never from the cache.
        evidence.starttls_seen = self.starttls_seen(domain).await;
        // Asked now, not when the answers came: what a resolver said before its fault was found counts no more.
        if !self.is_trusted.load(Ordering::Acquire) {
            doubt(&mut evidence);
        }
        evidence
    }

    /// Forgets what is cached in this process, for the next question to ask anew. Policies in force stay.
    pub fn forget(&self, domain: &Domain) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(domain);
    }

    /// When the MTA-STS policy that is remembered for a domain was fetched, for people who ask where it comes from.
    pub async fn policy_fetched_at(&self, domain: &Domain) -> Option<Timestamp> {
        self.gather.remembered(domain).await.ok().flatten().map(|cached| cached.fetched_at)
    }

    /// The texts at one name, character-strings joined (for the keys of DKIM).
    pub async fn txt(&self, name: &str) -> Evidence<Vec<String>> {
        let Some(name) = absolute(name) else { return Evidence::Absent(Denial::Claimed) };
        match self.gather.dns.ask(&name, RecordType::TXT, self.gather.deadline()).await {
            Answer::Found(found) => Evidence::Present(gather::texts(&found.records)),
            Answer::None { denial, .. } => Evidence::Absent(denial),
            Answer::Unknown(why) => Evidence::Unknown(why),
        }
    }

    /// Makes the self-test and draws the consequence: while it fails, what DNS says is unknown, cached or not. If only
    /// the second source fails, only its word counts no more.
    ///
    /// # Errors
    /// As [`Lookup::self_test`].
    pub async fn check(&self) -> Result<(), Error> {
        let mut result = self.self_test().await;
        if matches!(result, Err(Error::ResolverSilent { .. })) {
            // One lost packet is no fault.
            result = self.self_test().await;
        }
        let is_second_alone = matches!(result, Err(Error::SecondSourceDoesNotValidate { .. }));
        self.gather.dns.believe_second(!is_second_alone);
        self.is_trusted.store(result.is_ok() || is_second_alone, Ordering::Release);
        result
    }

    /// Hands something over by HTTPS POST to a host that a stranger has named: verified certificate, public addresses
    /// only (but in test worlds), no redirects, within [`POST_MAX`].
    ///
    /// # Errors
    /// [`HttpsFailure`] if the host did not answer 2xx.
    pub async fn post(
        &self,
        host: &Domain,
        port: u16,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), HttpsFailure> {
        let deadline = Instant::now() + POST_MAX;
        let addresses = self.gather.all_addresses(host, deadline).await;
        let https = &self.gather.https;
        let posted = async {
            let stream = https.open(&addresses, port, host).await?;
            let authority = if port == 443 { host.to_string() } else { format!("{host}:{port}") };
            https.post(stream, &authority, path, content_type, body).await
        };
        tokio::time::timeout_at(deadline, posted).await.unwrap_or(Err(HttpsFailure::Unreachable))
    }

    /// Whether DNSSEC works on this way: the trust anchor's own keys
    /// and what they sign validate, a broken name does not. Asks with empty
    /// caches, so that the answers are of this moment.
    ///
    /// # Errors
    /// [`Error`] with what to do about it.
    pub async fn self_test(&self) -> Result<(), Error> {
        let gather = &self.gather;
        let dns = Dns::new(&gather.settings)?;
        let address = gather.settings.resolver.map_or_else(|| "of the system".to_owned(), |address| address.to_string());
        let zone = anchored_zone(gather.settings.trust_anchor.as_deref());
        let zone = absolute(&zone).ok_or(Error::TrustAnchor)?;
        // The keys alone do not do: they are believed because they are the anchor's, with or without a signature.
        for kind in [RecordType::DNSKEY, RecordType::SOA] {
            match dns.ask(&zone, kind, gather.deadline()).await {
                Answer::Found(found) if found.security == crate::transport::Security::Secure => {}
                Answer::Unknown(Why::Timeout | Why::Other) => return Err(Error::ResolverSilent { address }),
                Answer::Found(_) | Answer::None { .. } | Answer::Unknown(_) => {
                    return Err(Error::ResolverDoesNotValidate { address });
                }
            }
        }
        if let Some(name) = &gather.settings.bogus_name
            && let Some(broken) = absolute(name.as_str())
            && let Answer::Found(_) = dns.ask(&broken, RecordType::A, gather.deadline()).await
        {
            return Err(Error::BogusAccepted { name: name.clone() });
        }
        if let Some(second) = dns.second() {
            let refuse = || Error::SecondSourceDoesNotValidate { address: second.address() };
            if !second.validates(&zone, RecordType::SOA).await.unwrap_or(false) {
                return Err(refuse());
            }
            let broken = gather.settings.bogus_name.as_ref().and_then(|name| absolute(name.as_str()));
            if let Some(broken) = broken
                && second.validates(&broken, RecordType::A).await.unwrap_or(false)
            {
                return Err(refuse());
            }
        }
        Ok(())
    }

    async fn starttls_seen(&self, domain: &Domain) -> bool {
        let now = (self.gather.clock)();
        match self.gather.memory.starttls_seen(domain).await {
            Ok(seen) => seen.is_some_and(|at| now.since_ms(at) < STARTTLS_SEEN_SECS * 1000),
            // Nobody knows: expect it.
            Err(Forgotten) => true,
        }
    }

    fn slot(&self, domain: &Domain) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= DOMAINS_MAX && !slots.contains_key(domain) {
            let now = Instant::now();
            slots.retain(|_, slot| match slot.try_lock() {
                Ok(held) => held.as_ref().is_some_and(|(_, until)| now < *until),
                // Somebody asks right now.
                Err(_) => true,
            });
            if slots.len() >= DOMAINS_MAX {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(domain.clone()).or_default())
    }
}

/// Takes back whatever rests on DNS. Hosts that the administrator fixed stay, without their TLSA records.
fn doubt(evidence: &mut DomainEvidence) {
    let is_fixed = evidence.pin.as_ref().is_some_and(|pin| !pin.hosts.is_empty());
    match &mut evidence.mx {
        Evidence::Present((hosts, _)) if is_fixed => {
            hosts.iter_mut().for_each(|host| host.tlsa = Evidence::Unknown(Why::NotValidating));
        }
        mx => *mx = Evidence::Unknown(Why::NotValidating),
    }
    // A domain that is said not to exist is reported to the sender; nobody may say so now.
    evidence.is_nonexistent = false;
}

/// The owner of the first key of the anchor.
fn anchored_zone(anchor: Option<&str>) -> String {
    let line =
        anchor.into_iter().flat_map(str::lines).find(|line| !line.trim().is_empty() && !line.trim_start().starts_with(';'));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or(".").to_owned()
}

fn system_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// IPv6 first, as the addresses of a host are tried.
fn address_of(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}
