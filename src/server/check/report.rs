//! The answer as values with stable names: what `--json` prints, one object a domain.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde::{Deserialize, Serialize};

use super::super::partners::{Contact, Review};
use super::words;
use crate::deliver::{AtLevel, HopEnd, Probe, Seen, Via, Would};
use crate::mail::Timestamp;
use crate::tlsrpt;
use crate::transport::{
    self, Denial, Evidence, Level, MxHost, Reason, Security, StsMode, TlsaRecord, TlsaSet, Why, dane, printable,
};

/// All about one domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub domain: String,
    pub at: String,
    pub status: Status,
    /// The level that the configuration asks for PHI mail; `status` and `sentence` are about it.
    pub level: Level,
    pub sentence: String,
    pub way: Way,
    /// `gateway`: with the policies and the STARTTLS the gateway remembers. `none`: asked without that memory.
    pub memory: String,
    /// What is wrong with our resolver, so that nothing from DNS is believed and mail waits.
    pub resolver_fault: Option<String>,
    pub starttls_seen: bool,
    pub pin: Option<Pinned>,
    /// The last delivery to the domain whose host proved itself, from the decision log.
    pub last_contact: Option<LastContact>,
    pub mx: Mx,
    pub hosts: Vec<Host>,
    pub mta_sts: Sts,
    pub tlsrpt: TlsRpt,
    pub levels: Vec<LevelReport>,
}

/// What the exit status is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Deliverable,
    NotDeliverable,
    /// Our resolver gave no answer, so nothing is said about the domain.
    NotAsked,
}

/// Who chose the hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Way {
    Mx,
    /// The hosts of a `[[pin]]`.
    Pin,
    /// A `[[route]]`.
    FixedRoute {
        host: String,
        port: u16,
    },
    /// `[next_hop]`: proof ends there.
    NextHop {
        host: String,
        port: u16,
    },
}

/// How a question was answered: `present`, `absent` or `unknown`; `secure` where DNSSEC proved it; why nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub state: String,
    pub dnssec: Option<String>,
    pub why: Option<Why>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pinned {
    pub level: Level,
    pub hosts: Vec<String>,
    pub certificate_sha256: Vec<String>,
    pub has_ca: bool,
    /// Day on which the agreement is to be looked at.
    pub review: Option<String>,
    /// `none`, `later`, `near` or `passed`.
    pub review_state: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastContact {
    pub at: String,
    /// Entry of the decision log.
    pub seq: u64,
    pub proof: ProofShown,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mx {
    #[serde(flatten)]
    pub answered: Answered,
    pub does_not_exist: bool,
}

/// One host: what DNS says of it, and what it showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    pub host: String,
    pub preference: u16,
    pub addresses: Addresses,
    pub tlsa: Tlsa,
    /// Whether it was dialled. Where it was not, `levels` say why.
    pub dialled: bool,
    pub address: Option<String>,
    /// `None`: it did not answer, or was not dialled.
    pub starttls: Option<bool>,
    pub requiretls: Option<bool>,
    pub tls: Option<TlsShown>,
    /// Why there is less to show.
    pub failure: Option<Reason>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    #[serde(flatten)]
    pub answered: Answered,
    pub list: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tlsa {
    #[serde(flatten)]
    pub answered: Answered,
    /// Name of the records, without `_port._tcp.`.
    pub base: Option<String>,
    pub records: Vec<TlsaShown>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TlsaShown {
    pub usage: u8,
    pub selector: u8,
    pub matching: u8,
    /// Hexadecimal; long ones are cut.
    pub association: String,
    pub usable: bool,
    /// Whether it names a certificate that the host showed; `None` if it showed none.
    pub matches: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TlsShown {
    pub version: String,
    pub cipher: String,
    pub chain: Vec<Certificate>,
    /// Whether the first certificate is for the host's name.
    pub name_matches: bool,
    /// `valid`, or the reason why the trusted authorities do not vouch for chain and name.
    pub webpki: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    pub names: Vec<String>,
    pub not_before: String,
    pub not_after: String,
    pub sha256: String,
    pub self_issued: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sts {
    #[serde(flatten)]
    pub answered: Answered,
    pub id: Option<String>,
    pub mode: Option<StsMode>,
    pub mx: Vec<String>,
    pub max_age_secs: Option<u64>,
    pub source: Option<StsSource>,
    pub fetched_at: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StsSource {
    /// Fetched for this check.
    Fetched,
    /// Fetched earlier, and still in force.
    Cache,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TlsRpt {
    #[serde(flatten)]
    pub answered: Answered,
    pub record: Option<String>,
    pub rua: Vec<String>,
}

/// What would become of a message that asks for one level.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LevelReport {
    pub level: Level,
    /// `deliver`, `portal`, `retry-then-portal`, `retry-then-bounce` or `bounce`.
    pub action: String,
    pub reason: Option<Reason>,
    /// Whether a mailed notice would tell the recipient of the parcel.
    pub notice: bool,
    pub host: Option<String>,
    pub proof: Option<ProofShown>,
    /// Hosts that were not dialled at this level, or did not prove themselves.
    pub skipped: Vec<Skipped>,
    pub sentence: String,
}

/// As it would stand in the record of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofShown {
    pub level: String,
    pub method: String,
    pub host: String,
    pub tls: String,
    pub cipher: String,
    pub chain_sha256: String,
    pub plan_sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub host: String,
    pub reason: Reason,
    pub dialled: bool,
}

impl Report {
    /// What is said about one level.
    #[must_use]
    pub fn at(&self, level: Level) -> Option<&LevelReport> {
        self.levels.iter().find(|report| report.level == level)
    }
}

/// What a report is made from beside the probe.
pub(super) struct Facts<'a> {
    pub at: Timestamp,
    pub level: Level,
    pub has_memory: bool,
    pub policy_fetched_at: Option<Timestamp>,
    pub roots: &'a Arc<RootCertStore>,
    pub review: Option<Timestamp>,
    pub contact: Option<Contact>,
    pub fault: Option<&'a str>,
}

pub(super) fn report(probe: &Probe, tlsrpt: &Evidence<Vec<String>>, facts: &Facts<'_>) -> Report {
    let evidence = &probe.evidence;
    let levels: Vec<LevelReport> = probe.levels.iter().map(|at| level_report(probe, at)).collect();
    let way = match &probe.via {
        Via::FixedRoute { host, port } => Way::FixedRoute { host: host.clone(), port: *port },
        Via::NextHop { host, port } => Way::NextHop { host: host.clone(), port: *port },
        Via::Domain if evidence.pin.as_ref().is_some_and(|pin| !pin.hosts.is_empty()) => Way::Pin,
        Via::Domain => Way::Mx,
    };
    let asked = levels.iter().find(|report| report.level == facts.level);
    let is_unheard = |why: &Why| matches!(why, Why::Timeout | Why::NotValidating | Why::Other);
    let is_unheard = match &evidence.mx {
        Evidence::Unknown(why) => is_unheard(why),
        Evidence::Present((hosts, _)) => {
            let is_lost = |host: &MxHost| matches!(&host.addresses, Evidence::Unknown(why) if is_unheard(why));
            !hosts.is_empty() && hosts.iter().all(is_lost)
        }
        Evidence::Absent(_) => false,
    };
    let status = match asked.map(|asked| asked.action.as_str()) {
        Some(action) if action == Would::Deliver.as_str() => Status::Deliverable,
        _ if is_unheard => Status::NotAsked,
        _ => Status::NotDeliverable,
    };
    let hosts = match &evidence.mx {
        Evidence::Present((hosts, _)) => hosts.iter().map(|host| host_shown(host, probe, facts)).collect(),
        Evidence::Absent(_) | Evidence::Unknown(_) => Vec::new(),
    };
    Report {
        domain: probe.domain.to_string(),
        at: facts.at.to_string(),
        status,
        level: facts.level,
        sentence: asked.map(|asked| asked.sentence.clone()).unwrap_or_default(),
        way,
        memory: if facts.has_memory { "gateway" } else { "none" }.to_owned(),
        resolver_fault: facts.fault.map(str::to_owned),
        starttls_seen: evidence.starttls_seen,
        // The evidence of a fixed route is a pin too; it stands under `way` already.
        pin: evidence.pin.as_ref().filter(|_| probe.via == Via::Domain).map(|pin| Pinned {
            level: pin.level,
            hosts: pin.hosts.iter().map(ToString::to_string).collect(),
            certificate_sha256: pin.certificates.iter().map(|sha256| hex(sha256)).collect(),
            has_ca: pin.ca_pem.is_some(),
            review: facts.review.map(Timestamp::date),
            review_state: Review::of(facts.review, facts.at).as_str().to_owned(),
        }),
        last_contact: facts.contact.as_ref().map(|contact| LastContact {
            at: contact.at.to_string(),
            seq: contact.seq,
            proof: proof_shown(contact.proof.clone()),
        }),
        mx: Mx { answered: answered(&evidence.mx, |(_, security)| Some(*security)), does_not_exist: evidence.is_nonexistent },
        hosts,
        mta_sts: sts(probe, facts),
        tlsrpt: tls_rpt(tlsrpt),
        levels,
    }
}

fn answered<T>(evidence: &Evidence<T>, security: impl Fn(&T) -> Option<Security>) -> Answered {
    let word = |is_secure| Some(if is_secure { "secure" } else { "insecure" }.to_owned());
    let (state, dnssec, why) = match evidence {
        Evidence::Present(found) => ("present", security(found).and_then(|found| word(found == Security::Secure)), None),
        Evidence::Absent(denial) => ("absent", word(*denial == Denial::Proven), None),
        Evidence::Unknown(why) => ("unknown", None, Some(*why)),
    };
    Answered { state: state.to_owned(), dnssec, why }
}

fn host_shown(host: &MxHost, probe: &Probe, facts: &Facts<'_>) -> Host {
    let seen = probe.seen.iter().find(|seen| seen.host == host.name);
    let list = match &host.addresses {
        Evidence::Present((addresses, _)) => addresses.iter().map(ToString::to_string).collect(),
        Evidence::Absent(_) | Evidence::Unknown(_) => Vec::new(),
    };
    Host {
        host: host.name.to_string(),
        preference: host.preference,
        addresses: Addresses { answered: answered(&host.addresses, |(_, security)| Some(*security)), list },
        tlsa: tlsa(&host.tlsa, seen),
        dialled: seen.is_some(),
        address: seen.and_then(|seen| seen.address).map(|address| address.to_string()),
        starttls: seen.and_then(|seen| seen.starttls),
        requiretls: seen.and_then(|seen| seen.offers).map(|offers| offers.require_tls),
        tls: seen.and_then(|seen| tls(host, seen, facts)),
        failure: seen.and_then(|seen| seen.failure),
    }
}

fn tls(host: &MxHost, seen: &Seen, facts: &Facts<'_>) -> Option<TlsShown> {
    let shown = seen.tls.as_ref()?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(facts.at.secs()).unwrap_or(0)));
    let webpki = match transport::web_pki(&shown.chain, &host.name, facts.roots, now) {
        Ok(()) => "valid",
        Err(reason) => reason.as_str(),
    };
    Some(TlsShown {
        version: shown.version.to_owned(),
        cipher: shown.cipher.to_owned(),
        chain: shown.chain.iter().filter_map(certificate).collect(),
        name_matches: shown.chain.first().is_some_and(|first| transport::is_named(first, &host.name)),
        webpki: webpki.to_owned(),
    })
}

fn certificate(der: &CertificateDer<'_>) -> Option<Certificate> {
    let read = transport::Certificate::read(der)?;
    Some(Certificate {
        self_issued: read.is_self_issued(),
        subject: read.subject,
        issuer: read.issuer,
        names: read.names,
        not_before: read.not_before.to_string(),
        not_after: read.not_after.to_string(),
        sha256: hex(&read.sha256),
    })
}

fn tlsa(evidence: &Evidence<TlsaSet>, seen: Option<&Seen>) -> Tlsa {
    // Only proven records are ever present.
    let answered = answered(evidence, |_| Some(Security::Secure));
    let chain = seen.and_then(|seen| seen.tls.as_ref()).map(|tls| tls.chain.as_slice());
    let (base, records) = match evidence {
        Evidence::Present(set) => {
            (Some(set.base.to_string()), set.records.iter().map(|record| tlsa_shown(record, chain)).collect())
        }
        Evidence::Absent(_) | Evidence::Unknown(_) => (None, Vec::new()),
    };
    Tlsa { answered, base, records }
}

fn tlsa_shown(record: &TlsaRecord, chain: Option<&[CertificateDer<'_>]>) -> TlsaShown {
    let matches = |chain: &[CertificateDer<'_>]| match record.usage {
        dane::END_ENTITY => chain.first().is_some_and(|first| dane::matches(record, first)),
        _ => chain.iter().any(|certificate| dane::matches(record, certificate)),
    };
    TlsaShown {
        usage: record.usage,
        selector: record.selector,
        matching: record.matching,
        association: hex(record.association.get(..ASSOCIATION_OCTETS_MAX).unwrap_or(&record.association)),
        usable: dane::usable(record),
        matches: chain.map(matches),
    }
}

/// A whole certificate in a record is not read by anybody.
const ASSOCIATION_OCTETS_MAX: usize = 64;

fn sts(probe: &Probe, facts: &Facts<'_>) -> Sts {
    // The policy itself came over HTTPS; DNSSEC says nothing about it.
    let answered = answered(&probe.evidence.sts, |_| None);
    let policy = match &probe.evidence.sts {
        Evidence::Present(policy) => Some(policy),
        Evidence::Absent(_) | Evidence::Unknown(_) => None,
    };
    let fetched_at = facts.policy_fetched_at.filter(|_| policy.is_some());
    Sts {
        answered,
        id: policy.map(|policy| policy.id.clone()),
        mode: policy.map(|policy| policy.mode),
        mx: policy.map(|policy| policy.mx.clone()).unwrap_or_default(),
        max_age_secs: policy.map(|policy| policy.max_age_secs),
        source: fetched_at.map(|at| if at >= facts.at { StsSource::Fetched } else { StsSource::Cache }),
        fetched_at: fetched_at.map(|at| at.to_string()),
    }
}

/// As reports would go (RFC 8460, section 3): to the endpoints of the one record that counts.
fn tls_rpt(texts: &Evidence<Vec<String>>) -> TlsRpt {
    let mut answered = answered(texts, |_| None);
    let found: &[String] = match texts {
        Evidence::Present(texts) => texts,
        Evidence::Absent(_) | Evidence::Unknown(_) => &[],
    };
    let record = tlsrpt::chosen(found).map(printable);
    if matches!(texts, Evidence::Present(_)) && record.is_none() {
        "absent".clone_into(&mut answered.state);
    }
    let rua = tlsrpt::endpoints(found).iter().map(ToString::to_string).collect();
    TlsRpt { answered, record, rua }
}

fn level_report(probe: &Probe, at: &AtLevel) -> LevelReport {
    let failed = at.tried.iter().filter_map(|tried| {
        let end = tried.end.as_ref().err()?;
        Some(Skipped { host: tried.host.to_string(), reason: reason_of(end), dialled: true })
    });
    let left_out = at.skipped.iter().map(|(host, reason)| Skipped { host: host.to_string(), reason: *reason, dialled: false });
    LevelReport {
        level: at.level,
        action: at.would.as_str().to_owned(),
        reason: at.reason,
        notice: at.may_notify,
        host: at.host.as_ref().map(ToString::to_string),
        proof: at.proof.clone().map(proof_shown),
        skipped: failed.chain(left_out).collect(),
        sentence: words::sentence(probe, at),
    }
}

fn proof_shown(proof: crate::audit::Proven) -> ProofShown {
    ProofShown {
        level: proof.level,
        method: proof.method,
        host: proof.host,
        tls: proof.tls,
        cipher: proof.cipher,
        chain_sha256: proof.chain_sha256,
        plan_sha256: proof.plan_sha256,
    }
}

fn reason_of(end: &HopEnd) -> Reason {
    match end {
        HopEnd::Silent(reason) | HopEnd::Short { reason, .. } | HopEnd::Lacks(reason) | HopEnd::Later(reason) => *reason,
        HopEnd::NoStartTls { .. } => Reason::StarttlsNotSupported,
        HopEnd::TlsBroken { .. } => Reason::TlsFailed,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
