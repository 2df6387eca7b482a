use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::second::Second;
use super::{Error, Settings};
use crate::mail::Domain;
use crate::transport::{Denial, Security, Why};

/// How long an absence without a usable SOA record is believed.
const NEGATIVE_TTL_S: u32 = 60;
/// One question to one server, before it is asked again.
const TRY: Duration = Duration::from_secs(3);
const TRIES: usize = 2;
/// Aliases followed in one answer (the resolver itself stops at eight).
const ALIASES_MAX: usize = 12;
/// Two, so that one hostile zone does not stop every other question.
const THREADS_COUNT: usize = 2;
/// Rounds of hashing in a denial by NSEC3 (RFC 9276, section 3.2): beyond the first number it proves nothing, so the
/// name counts as unsigned; beyond the second the answer is bogus. Nothing is hashed in either case.
const NSEC3_INSECURE_ABOVE: u16 = 50;
const NSEC3_BOGUS_ABOVE: u16 = 500;

/// What is known after one question.
#[derive(Debug)]
pub(super) enum Answer {
    Found(Found),
    None {
        denial: Denial,
        /// The name itself does not exist.
        is_nxdomain: bool,
        ttl_s: u32,
    },
    Unknown(Why),
}

/// Records at the end of a chain of aliases.
#[derive(Debug)]
pub(super) struct Found {
    pub records: Vec<RData>,
    /// The weakest link: aliases and records all have to be proven.
    pub security: Security,
    pub ttl_s: u32,
    /// Where the records were found, when that is not where they were asked for.
    pub alias_of: Option<Domain>,
    /// The name asked for lies in a signed zone, though its alias may lead out of it.
    pub is_start_secure: bool,
}

/// A validating stub resolver. Every answer has been checked against the trust anchor here, not elsewhere.
pub(super) struct Dns {
    resolver: TokioResolver,
    /// Where answers are validated, see [`threads`].
    threads: Handle,
    second: Option<Second>,
    believes_second: AtomicBool,
}

impl Dns {
    pub fn new(settings: &Settings) -> Result<Dns, Error> {
        let config = match settings.resolver {
            Some(address) => ResolverConfig::from_parts(None, Vec::new(), vec![name_server(address)]),
            None => {
                let (system, _) = hickory_resolver::system_conf::read_system_conf().map_err(|_| Error::NoSystemResolver)?;
                ResolverConfig::from_parts(None, Vec::new(), system.name_servers().to_vec())
            }
        };
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        // Answers from the hosts file have no proof, and search domains are no part of a mail domain.
        options.use_hosts_file = ResolveHosts::Never;
        options.preserve_intermediates = true;
        options.timeout = TRY.min(settings.deadline / 2);
        options.attempts = TRIES;
        options.positive_max_ttl = Some(Duration::from_secs(3600));
        let anchors = match &settings.trust_anchor {
            Some(text) => text.parse::<TrustAnchors>().map_err(|_| Error::TrustAnchor)?,
            None => TrustAnchors::default(),
        };
        if anchors.is_empty() {
            return Err(Error::TrustAnchor);
        }
        let resolver = builder
            .with_trust_anchor(Arc::new(anchors))
            .nsec3_iteration_limits(Some(NSEC3_INSECURE_ABOVE), Some(NSEC3_BOGUS_ABOVE))
            .build()
            .map_err(|_| Error::NoSystemResolver)?;
        let second = settings.second_source.map(|address| Second::new(address, options_timeout(settings))).transpose()?;
        Ok(Dns { resolver, threads: threads()?, second, believes_second: AtomicBool::new(true) })
    }

    /// Asks for records of one type, through aliases.
    pub async fn ask(&self, name: &Name, kind: RecordType, deadline: Instant) -> Answer {
        let mut answer = self.ask_whole(name, kind, deadline).await;
        if matches!(answer, Answer::Unknown(Why::Bogus)) {
            answer = self.ask_stepwise(name, kind, deadline).await;
        }
        if let (Answer::Unknown(Why::Bogus), Some(second)) = (&answer, &self.second)
            && self.believes_second.load(Ordering::Acquire)
            && let Ok(Some(found)) = timeout_at(deadline, second.ask(name, kind)).await
        {
            return Answer::Found(found);
        }
        answer
    }

    /// One question, whatever comes with the answer.
    async fn ask_whole(&self, name: &Name, kind: RecordType, deadline: Instant) -> Answer {
        let (resolver, asked) = (self.resolver.clone(), name.clone());
        let mut work = JoinSet::new();
        let look = async move {
            match resolver.lookup(asked.clone(), kind).await {
                Ok(lookup) => found(&asked, kind, lookup.answers()),
                Err(error) => none_or_unknown(error),
            }
        };
        work.spawn_on(look, &self.threads);
        match timeout_at(deadline, work.join_next()).await {
            Ok(Some(Ok(answer))) => answer,
            // It panicked, or its threads could not be had.
            Ok(Some(Err(_)) | None) => Answer::Unknown(Why::Other),
            // With the set the work ends too, at its next pause.
            Err(_) => Answer::Unknown(Why::Timeout),
        }
    }

    /// One question for each step of an alias. The validator takes an alias that arrives together with the denial of
    /// its target for bogus; asked one by one, each step is validated on its own and nothing is believed unproven.
    async fn ask_stepwise(&self, name: &Name, kind: RecordType, deadline: Instant) -> Answer {
        let mut owner = name.clone();
        let (mut security, mut ttl_so_far, mut is_start_secure) = (Security::Secure, u32::MAX, None);
        for _ in 0..ALIASES_MAX {
            let Answer::Found(step) = self.ask_whole(&owner, RecordType::CNAME, deadline).await else { break };
            let Some(RData::CNAME(CNAME(target))) = step.records.into_iter().next() else { break };
            owner = target;
            security = security.min(step.security);
            ttl_so_far = ttl_so_far.min(step.ttl_s);
            let is_start_secure = *is_start_secure.get_or_insert(step.security == Security::Secure);
            match self.ask_whole(&owner, kind, deadline).await {
                Answer::Unknown(Why::Bogus) => {}
                Answer::Unknown(why) => return Answer::Unknown(why),
                Answer::None { denial, is_nxdomain, ttl_s } => {
                    let denial = if security == Security::Secure { denial } else { Denial::Claimed };
                    return Answer::None { denial, is_nxdomain, ttl_s: ttl_s.min(ttl_so_far) };
                }
                Answer::Found(found) => {
                    return Answer::Found(Found {
                        security: found.security.min(security),
                        ttl_s: found.ttl_s.min(ttl_so_far),
                        alias_of: found.alias_of.or_else(|| domain_of(&owner)),
                        is_start_secure,
                        records: found.records,
                    });
                }
            }
        }
        Answer::Unknown(Why::Bogus)
    }

    pub fn believe_second(&self, is_believed: bool) {
        self.believes_second.store(is_believed, Ordering::Release);
    }

    pub fn second(&self) -> Option<&Second> {
        self.second.as_ref()
    }
}

/// Threads of their own for all questions of the process. A zone can be made so that validating one answer keeps a
/// processor busy (KeyTrap, CVE-2023-50387; CVE-2023-50868); the validator caps signatures and keys with one tag that it
/// tries, and what is left of the work holds up other questions at most, never a session or a delivery. The asker's
/// deadline runs on his own thread, so it holds whatever happens here.
fn threads() -> Result<Handle, Error> {
    static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();
    let made = THREADS.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(THREADS_COUNT).thread_name("wardpost-dns").enable_all().build().ok()
    });
    made.as_ref().map(|runtime| runtime.handle().clone()).ok_or(Error::Threads)
}

fn options_timeout(settings: &Settings) -> Duration {
    TRY.min(settings.deadline)
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// The absolute name, so that no search domain is tried.
pub(super) fn absolute(name: &str) -> Option<Name> {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).ok()
}

pub(super) fn domain_of(name: &Name) -> Option<Domain> {
    Domain::parse(&name.to_ascii()).ok()
}

/// Follows the aliases from `name` through the records of one answer. Records of other owners are not looked at: a
/// validly signed record of somebody else's proves nothing here.
pub(super) fn found(name: &Name, kind: RecordType, answers: &[Record]) -> Answer {
    let mut owner = name.clone();
    let mut security = Security::Secure;
    let mut is_start_secure = None;
    let mut ttl_s = u32::MAX;
    for _ in 0..ALIASES_MAX {
        let here: Vec<&Record> = answers.iter().filter(|record| record.name == owner && record.record_type() == kind).collect();
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(CNAME(target)) if record.name == owner => Some((record, target)),
            _ => None,
        });
        let links = if here.is_empty() { alias.iter().map(|(record, _)| *record).collect() } else { here.clone() };
        for record in &links {
            match record.proof {
                Proof::Secure => {}
                Proof::Insecure => security = Security::Insecure,
                // Also the default of records that nobody looked at.
                Proof::Bogus | Proof::Indeterminate => return Answer::Unknown(Why::Bogus),
            }
            ttl_s = ttl_s.min(record.ttl);
        }
        let is_start_secure = *is_start_secure.get_or_insert(security == Security::Secure);
        if !here.is_empty() {
            let records = here.iter().map(|record| record.data.clone()).collect();
            let alias_of = if owner == *name { None } else { domain_of(&owner) };
            return Answer::Found(Found { records, security, ttl_s, alias_of, is_start_secure });
        }
        match alias {
            Some((_, target)) => owner = target.clone(),
            None => break,
        }
    }
    // The server said something, but nothing that answers the question.
    Answer::Unknown(Why::Other)
}

fn none_or_unknown(error: NetError) -> Answer {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => absent(&none),
        NetError::Dns(DnsError::DnssecBogus) => Answer::Unknown(Why::Bogus),
        // A denial that could be proven insecure only: opt-out, or more iterations than anybody should check. Like every
        // other it counts from the name's own zone.
        NetError::Dns(DnsError::Nsec { query, response, proof: Proof::Insecure, .. })
            if response.authorities.iter().all(|record| is_within(query.name(), record)) =>
        {
            let is_nxdomain = response.response_code == ResponseCode::NXDomain;
            Answer::None { denial: Denial::Claimed, is_nxdomain, ttl_s: NEGATIVE_TTL_S }
        }
        NetError::Dns(DnsError::Nsec { .. }) => Answer::Unknown(Why::Bogus),
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => Answer::Unknown(Why::ServFail),
        NetError::Timeout => Answer::Unknown(Why::Timeout),
        _ => Answer::Unknown(Why::Other),
    }
}

fn absent(none: &NoRecords) -> Answer {
    // SERVFAIL, REFUSED and their like carry no records either, and deny nothing.
    let is_nxdomain = match none.response_code {
        ResponseCode::NXDomain => true,
        ResponseCode::NoError => false,
        ResponseCode::ServFail => return Answer::Unknown(Why::ServFail),
        _ => return Answer::Unknown(Why::Other),
    };
    let authorities: Vec<&Record> = none.authorities.iter().flat_map(|records| records.iter()).collect();
    let denial = match authorities.iter().map(|record| record.proof).min() {
        Some(Proof::Secure) => Denial::Proven,
        // The records of an unsigned zone deny names within it only. Without this the SOA record of any unsigned zone
        // would take the records of a signed one away.
        Some(Proof::Insecure) if authorities.iter().all(|record| is_within(none.query.name(), record)) => Denial::Claimed,
        // The validator proved the name insecure, and the server added nothing.
        None => Denial::Claimed,
        Some(Proof::Insecure | Proof::Bogus | Proof::Indeterminate) => return Answer::Unknown(Why::Bogus),
    };
    let ttl_s = none.soa.as_ref().map_or(NEGATIVE_TTL_S, |soa| soa.ttl.min(soa.data.minimum));
    Answer::None { denial, is_nxdomain, ttl_s }
}

/// Denials (NSEC, NSEC3) stand beside the name, everything else at or above it.
fn is_within(name: &Name, record: &Record) -> bool {
    let zone = match record.record_type() {
        RecordType::SOA | RecordType::NS | RecordType::DS => record.name.clone(),
        _ => record.name.base_name(),
    };
    zone.zone_of(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use hickory_resolver::proto::op::Query;
    use hickory_resolver::proto::rr::rdata::{A, SOA};

    use super::*;

    /// Validation that does not come back is somebody else's zone, and must not become everybody's wait.
    #[tokio::test]
    async fn threads_that_never_come_back_cost_the_asker_his_deadline_and_nothing_else() {
        let busy = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, is_held) = tokio::sync::oneshot::channel();
        busy.spawn(async move {
            let _ = started.send(());
            // As a validator that computes does, without a pause.
            let _ = held.recv();
        });
        is_held.await.unwrap();
        let mut dns = Dns::new(&Settings { resolver: Some("127.0.0.1:9".parse().unwrap()), ..Settings::default() }).unwrap();
        dns.threads = busy.handle().clone();
        let answer = dns.ask(&name("mx.example"), RecordType::A, Instant::now() + Duration::from_millis(20)).await;
        assert!(matches!(answer, Answer::Unknown(Why::Timeout)), "{answer:?}");
        drop(release);
        busy.shutdown_background();
    }

    fn name(text: &str) -> Name {
        absolute(text).unwrap()
    }

    fn a_record(owner: &str, proof: Proof) -> Record {
        let mut record = Record::from_rdata(name(owner), 60, RData::A(A::new(192, 0, 2, 1)));
        record.proof = proof;
        record
    }

    fn alias(owner: &str, target: &str, proof: Proof) -> Record {
        let mut record = Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))));
        record.proof = proof;
        record
    }

    /// `security alias` of what was found, or why nothing is known.
    fn shown(answers: &[Record]) -> String {
        match found(&name("mx.example"), RecordType::A, answers) {
            Answer::Found(found) => {
                let alias = found.alias_of.map(|domain| domain.to_string()).unwrap_or_default();
                format!("{}x{:?} {alias}", found.records.len(), found.security).trim_end().to_owned()
            }
            Answer::None { denial, .. } => format!("{denial:?}"),
            Answer::Unknown(why) => format!("{why:?}"),
        }
    }

    #[test]
    fn only_records_of_the_chain_count_and_the_weakest_link_decides() {
        use Proof::{Bogus, Indeterminate, Insecure, Secure};
        for (answers, expected) in [
            (vec![a_record("mx.example", Secure)], "1xSecure"),
            (vec![a_record("MX.example", Insecure)], "1xInsecure"),
            (vec![a_record("mx.example", Secure), a_record("mx.example", Insecure)], "2xInsecure"),
            (vec![a_record("mx.example", Bogus)], "Bogus"),
            (vec![a_record("mx.example", Indeterminate)], "Bogus"),
            // Signed well, but by and for somebody else.
            (vec![a_record("other.example", Secure)], "Other"),
            (vec![a_record("other.example", Bogus), a_record("mx.example", Secure)], "1xSecure"),
            (vec![alias("mx.example", "a.test", Secure), a_record("a.test", Secure)], "1xSecure a.test"),
            (vec![alias("mx.example", "a.test", Insecure), a_record("a.test", Secure)], "1xInsecure a.test"),
            (vec![alias("mx.example", "a.test", Secure), a_record("a.test", Insecure)], "1xInsecure a.test"),
            (vec![alias("mx.example", "a.test", Bogus), a_record("a.test", Secure)], "Bogus"),
            (vec![alias("mx.example", "a.test", Secure), a_record("b.test", Secure)], "Other"),
            (vec![alias("mx.example", "mx.example", Secure)], "Other"),
            (vec![], "Other"),
        ] {
            assert_eq!(shown(&answers), expected, "{answers:?}");
        }
    }

    fn denied(code: ResponseCode, soa_owner: Option<&str>, proof: Proof) -> String {
        let mut none = NoRecords::new(Query::query(name("_25._tcp.mx.signed.example"), RecordType::TLSA), code);
        none.authorities = soa_owner.map(|owner| {
            let soa = SOA::new(name("ns.example"), name("h.example"), 1, 2, 3, 4, 5);
            let mut record = Record::from_rdata(name(owner), 60, RData::SOA(soa));
            record.proof = proof;
            vec![record].into()
        });
        match absent(&none) {
            Answer::None { denial, is_nxdomain, .. } => format!("{denial:?} {is_nxdomain}"),
            Answer::Unknown(why) => format!("{why:?}"),
            Answer::Found(_) => "found".into(),
        }
    }

    #[test]
    fn a_denial_counts_only_from_the_zone_of_the_name_and_failures_deny_nothing() {
        use Proof::{Bogus, Indeterminate, Insecure, Secure};
        use ResponseCode::{NXDomain, NoError, Refused, ServFail};
        for (code, owner, proof, expected) in [
            (NoError, Some("signed.example"), Secure, "Proven false"),
            (NXDomain, Some("signed.example"), Secure, "Proven true"),
            (NoError, Some("signed.example"), Insecure, "Claimed false"),
            (NoError, Some("_25._tcp.mx.signed.example"), Insecure, "Claimed false"),
            (NoError, None, Insecure, "Claimed false"),
            // The SOA record of an unsigned zone elsewhere, to take the TLSA records of a signed one away.
            (NoError, Some("unsigned.test"), Insecure, "Bogus"),
            (NXDomain, Some("unsigned.test"), Insecure, "Bogus"),
            (NoError, Some("signed.example"), Bogus, "Bogus"),
            (NoError, Some("signed.example"), Indeterminate, "Bogus"),
            (ServFail, None, Insecure, "ServFail"),
            (Refused, Some("signed.example"), Secure, "Other"),
        ] {
            assert_eq!(denied(code, owner, proof), expected, "{code} {owner:?} {proof:?}");
        }
    }
}
