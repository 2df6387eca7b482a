use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
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
    second: Option<Second>,
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
        let resolver = builder.with_trust_anchor(Arc::new(anchors)).build().map_err(|_| Error::NoSystemResolver)?;
        let second = settings.second_source.map(|address| Second::new(address, options_timeout(settings))).transpose()?;
        Ok(Dns { resolver, second })
    }

    /// Asks for records of one type, through aliases.
    pub async fn ask(&self, name: &Name, kind: RecordType, deadline: Instant) -> Answer {
        let answer = match timeout_at(deadline, self.resolver.lookup(name.clone(), kind)).await {
            Ok(Ok(lookup)) => found(name, kind, lookup.answers()),
            Ok(Err(error)) => none_or_unknown(error),
            Err(_) => Answer::Unknown(Why::Timeout),
        };
        if let (Answer::Unknown(Why::Bogus), Some(second)) = (&answer, &self.second)
            && let Ok(Some(found)) = timeout_at(deadline, second.ask(name, kind)).await
        {
            return Answer::Found(found);
        }
        answer
    }

    pub fn second(&self) -> Option<&Second> {
        self.second.as_ref()
    }
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
        // A denial that could be proven insecure only: opt-out, or more iterations than anybody should check.
        NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. }) => Answer::None {
            denial: Denial::Claimed,
            is_nxdomain: response.response_code == ResponseCode::NXDomain,
            ttl_s: NEGATIVE_TTL_S,
        },
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
