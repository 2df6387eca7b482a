//! What a session with a mail host tells the domain that published a policy (RFC 8460). Pure.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Authentication, Route};
use super::{DomainEvidence, Evidence, Hop, MxHost, Reason, Security, StsMode, StsPolicy, TlsaSet, Why, mta_sts};
use crate::mail::Domain;

/// RFC 8460, section 4.4: `policy-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    Tlsa,
    Sts,
    NoPolicyFound,
}

/// The policy a session was held to, as the object `policy` of a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppliedPolicy {
    pub policy_type: PolicyType,
    /// The TLSA records, or the lines of the MTA-STS policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_string: Vec<String>,
    /// The recipient's domain; for DANE the TLSA base domain (RFC 8460, section 1.1).
    pub policy_domain: String,
    /// The patterns of the MTA-STS policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mx_host: Vec<String>,
}

/// RFC 8460, section 4.3: `result-type`. `dane-required` is not among them: what we demand beyond a published policy
/// depends on what is in a message, and a report must not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultType {
    StarttlsNotSupported,
    CertificateHostMismatch,
    CertificateExpired,
    CertificateNotTrusted,
    ValidationFailure,
    TlsaInvalid,
    DnssecInvalid,
    StsPolicyFetchError,
    StsPolicyInvalid,
    StsWebpkiInvalid,
}

impl ResultType {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ResultType::StarttlsNotSupported => "starttls-not-supported",
            ResultType::CertificateHostMismatch => "certificate-host-mismatch",
            ResultType::CertificateExpired => "certificate-expired",
            ResultType::CertificateNotTrusted => "certificate-not-trusted",
            ResultType::ValidationFailure => "validation-failure",
            ResultType::TlsaInvalid => "tlsa-invalid",
            ResultType::DnssecInvalid => "dnssec-invalid",
            ResultType::StsPolicyFetchError => "sts-policy-fetch-error",
            ResultType::StsPolicyInvalid => "sts-policy-invalid",
            ResultType::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }

    /// What a session that ended for this reason counts as.
    #[must_use]
    pub fn of(reason: Reason) -> ResultType {
        match reason {
            Reason::StarttlsNotSupported | Reason::StarttlsGone | Reason::StarttlsMissingEverywhere => {
                ResultType::StarttlsNotSupported
            }
            Reason::CertificateHostMismatch => ResultType::CertificateHostMismatch,
            Reason::CertificateExpired => ResultType::CertificateExpired,
            Reason::CertificateNotTrusted => ResultType::CertificateNotTrusted,
            Reason::TlsaInvalid | Reason::TlsaUnusable => ResultType::TlsaInvalid,
            Reason::DnssecInvalid => ResultType::DnssecInvalid,
            Reason::StsFetchFailed => ResultType::StsPolicyFetchError,
            Reason::StsPolicyInvalid => ResultType::StsPolicyInvalid,
            Reason::PinMismatch
            | Reason::DnsFailed
            | Reason::StsHostNotListed
            | Reason::TlsFailed
            | Reason::LevelNotReachable
            | Reason::RequireTlsNotOffered
            | Reason::SmtpUtf8NotOffered
            | Reason::EightBitMimeNotOffered
            | Reason::SizeExceeded
            | Reason::ConnectFailed
            | Reason::Timeout
            | Reason::GreetingRefused
            | Reason::ProtocolError
            | Reason::TemporaryReply
            | Reason::PermanentReply
            | Reason::DomainNotFound
            | Reason::NullMx
            | Reason::MxIsUs
            | Reason::AddressLiteral
            | Reason::LoopDetected
            | Reason::BudgetSpent
            | Reason::RefusedByRule
            | Reason::RefusedByOffice => ResultType::ValidationFailure,
        }
    }
}

/// A session that did not come to a handshake because of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    pub policy: AppliedPolicy,
    pub result: ResultType,
    pub reason: Reason,
    pub host: Option<Domain>,
}

/// The policy under which a hop is dialled. `None` where the administrator's pin decides: that is an agreement of two
/// parties and nothing the domain has published.
#[must_use]
pub fn applied(evidence: &DomainEvidence, hop: &Hop) -> Option<AppliedPolicy> {
    if evidence.pin.is_some() {
        return None;
    }
    if let Evidence::Present((hosts, Security::Secure)) = &evidence.mx
        && let Some(Evidence::Present(set)) = hosts.iter().find(|host| host.name == hop.host).map(|host| &host.tlsa)
    {
        return Some(tlsa(set));
    }
    // A policy in testing is reported on as if it were enforced (RFC 8461, section 5.1), where the handshake asks for
    // what it asks for.
    let is_judged = matches!(hop.plan.authentication, Authentication::WebPki { .. });
    match &evidence.sts {
        Evidence::Present(policy) if policy.mode != StsMode::None && is_judged => Some(sts(&evidence.domain, policy)),
        Evidence::Present(_) | Evidence::Absent(_) | Evidence::Unknown(_) => Some(AppliedPolicy {
            policy_type: PolicyType::NoPolicyFound,
            policy_string: Vec::new(),
            policy_domain: evidence.domain.to_string(),
            mx_host: Vec::new(),
        }),
    }
}

/// Whether an MTA-STS policy in testing would have forbidden this host, though it is dialled.
#[must_use]
pub fn is_unlisted(evidence: &DomainEvidence, policy: &AppliedPolicy, host: &Domain) -> bool {
    let is_listed = |policy: &StsPolicy| policy.mx.iter().any(|pattern| mta_sts::host_matches(pattern, host));
    policy.policy_type == PolicyType::Sts
        && matches!(&evidence.sts, Evidence::Present(policy) if policy.mode == StsMode::Testing && !is_listed(policy))
}

/// What went wrong before anything was dialled: a policy announced and not to be had, answers that DNSSEC refutes, hosts
/// that the policy does not list.
#[must_use]
pub fn missed(evidence: &DomainEvidence, route: Option<&Route>) -> Vec<Missed> {
    let mut out = Vec::new();
    if evidence.pin.is_some() {
        return out;
    }
    let bare = |policy_type, domain: &Domain| AppliedPolicy {
        policy_type,
        policy_string: Vec::new(),
        policy_domain: domain.to_string(),
        mx_host: Vec::new(),
    };
    let failed_sts = match evidence.sts {
        Evidence::Unknown(Why::FetchFailed) => Some((ResultType::StsPolicyFetchError, Reason::StsFetchFailed)),
        Evidence::Unknown(Why::PolicyHostNotTrusted) => Some((ResultType::StsWebpkiInvalid, Reason::StsFetchFailed)),
        Evidence::Unknown(Why::PolicyInvalid) => Some((ResultType::StsPolicyInvalid, Reason::StsPolicyInvalid)),
        Evidence::Unknown(Why::Bogus | Why::NotValidating | Why::ServFail | Why::Timeout | Why::Other)
        | Evidence::Present(_)
        | Evidence::Absent(_) => None,
    };
    if let Some((result, reason)) = failed_sts {
        out.push(Missed { policy: bare(PolicyType::Sts, &evidence.domain), result, reason, host: None });
    }
    let (result, reason) = (ResultType::DnssecInvalid, Reason::DnssecInvalid);
    let hosts: &[MxHost] = match &evidence.mx {
        Evidence::Present((hosts, _)) => hosts,
        Evidence::Unknown(Why::Bogus) => {
            out.push(Missed { policy: bare(PolicyType::Tlsa, &evidence.domain), result, reason, host: None });
            &[]
        }
        Evidence::Absent(_) | Evidence::Unknown(_) => &[],
    };
    for host in hosts.iter().filter(|host| matches!(host.tlsa, Evidence::Unknown(Why::Bogus))) {
        out.push(Missed { policy: bare(PolicyType::Tlsa, &host.name), result, reason, host: Some(host.name.clone()) });
    }
    if let Evidence::Present(policy) = &evidence.sts
        && policy.mode == StsMode::Enforce
    {
        let is_dialled = |name: &Domain| route.is_some_and(|route| route.hops.iter().any(|hop| hop.host == *name));
        for host in hosts.iter().filter(|host| matches!(host.tlsa, Evidence::Absent(_)) && !is_dialled(&host.name)) {
            if !policy.mx.iter().any(|pattern| mta_sts::host_matches(pattern, &host.name)) {
                out.push(Missed {
                    policy: sts(&evidence.domain, policy),
                    result: ResultType::ValidationFailure,
                    reason: Reason::StsHostNotListed,
                    host: Some(host.name.clone()),
                });
            }
        }
    }
    out
}

fn tlsa(set: &TlsaSet) -> AppliedPolicy {
    let mut records: Vec<String> = set
        .records
        .iter()
        .map(|record| {
            let mut text = format!("{} {} {} ", record.usage, record.selector, record.matching);
            for byte in &record.association {
                // Writing into a string does not fail.
                let _ = write!(text, "{byte:02x}");
            }
            text
        })
        .collect();
    // The same set is the same policy, in whatever order DNS gives it.
    records.sort();
    AppliedPolicy {
        policy_type: PolicyType::Tlsa,
        policy_string: records,
        policy_domain: set.base.to_string(),
        mx_host: Vec::new(),
    }
}

fn sts(domain: &Domain, policy: &StsPolicy) -> AppliedPolicy {
    let mode = match policy.mode {
        StsMode::Enforce => "enforce",
        StsMode::Testing => "testing",
        StsMode::None => "none",
    };
    let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
    lines.extend(policy.mx.iter().map(|pattern| format!("mx: {pattern}")));
    lines.push(format!("max_age: {}", policy.max_age_secs));
    AppliedPolicy {
        policy_type: PolicyType::Sts,
        policy_string: lines,
        policy_domain: domain.to_string(),
        mx_host: policy.mx.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::{Denial, Level, Pin, Requirement, TlsaRecord, plan};
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn evidence(security: Security, tlsa: Evidence<TlsaSet>) -> DomainEvidence {
        let addresses = Evidence::Present((vec!["203.0.113.5".parse().unwrap()], security));
        let host = MxHost { preference: 10, name: domain("mx.x.example"), addresses, tlsa };
        DomainEvidence {
            domain: domain("x.example"),
            alias_of: None,
            mx: Evidence::Present((vec![host], security)),
            sts: Evidence::Absent(Denial::Claimed),
            pin: None,
            starttls_seen: false,
            is_nonexistent: false,
        }
    }

    fn tlsa(usages: &[u8]) -> Evidence<TlsaSet> {
        let record = |usage: &u8| TlsaRecord { usage: *usage, selector: 1, matching: 1, association: vec![0xab; 32] };
        Evidence::Present(TlsaSet { base: domain("base.example"), records: usages.iter().map(record).collect() })
    }

    fn with_sts(sts: Evidence<StsPolicy>) -> DomainEvidence {
        DomainEvidence { sts, ..evidence(Security::Insecure, Evidence::Absent(Denial::Claimed)) }
    }

    fn sts(mode: StsMode, mx: &str) -> Evidence<StsPolicy> {
        Evidence::Present(StsPolicy { id: "1".into(), mode, mx: vec![mx.into()], max_age_secs: 100 })
    }

    /// `policy domain` of the session, `unlisted` if so, then what was missed.
    fn shown(evidence: &DomainEvidence) -> String {
        let route = plan(&Requirement { level: Level::Verified, require_tls: false }, evidence, 25);
        let mut out = Vec::new();
        if let Some(hop) = route.as_ref().ok().and_then(|route| route.hops.first()) {
            out.push(match applied(evidence, hop) {
                None => "not counted".to_owned(),
                Some(policy) => {
                    let unlisted = if is_unlisted(evidence, &policy, &hop.host) { " unlisted" } else { "" };
                    format!("{:?} {}{unlisted}", policy.policy_type, policy.policy_domain)
                }
            });
        }
        for missed in missed(evidence, route.as_ref().ok()) {
            let host = missed.host.map(|host| format!(" {host}")).unwrap_or_default();
            let policy = missed.policy;
            out.push(format!("{} {:?} {}{host}", missed.result.as_str(), policy.policy_type, policy.policy_domain));
        }
        out.join(", ")
    }

    #[test]
    fn each_state_of_the_evidence_is_counted_under_the_policy_that_was_applied() {
        use Evidence::{Absent, Unknown};
        let none = || Absent(Denial::Claimed);
        let listed = "mx.x.example";
        let pinned = Pin { level: Level::Verified, hosts: vec![], certificates: vec![[1; 32]], ca_pem: None };
        for (name, evidence, expected) in [
            ("nothing published", evidence(Security::Insecure, none()), "NoPolicyFound x.example"),
            ("DANE", evidence(Security::Secure, tlsa(&[3])), "Tlsa base.example"),
            ("DANE, nothing usable", evidence(Security::Secure, tlsa(&[1])), "Tlsa base.example"),
            (
                "DANE and MTA-STS",
                DomainEvidence { sts: sts(StsMode::Enforce, listed), ..evidence(Security::Secure, tlsa(&[3])) },
                "Tlsa base.example",
            ),
            ("TLSA under an insecure MX answer", evidence(Security::Insecure, tlsa(&[3])), "NoPolicyFound x.example"),
            ("MTA-STS", with_sts(sts(StsMode::Enforce, listed)), "Sts x.example"),
            ("MTA-STS in testing", with_sts(sts(StsMode::Testing, listed)), "Sts x.example"),
            ("the same, host not listed", with_sts(sts(StsMode::Testing, "other.example")), "Sts x.example unlisted"),
            ("MTA-STS none", with_sts(sts(StsMode::None, listed)), "NoPolicyFound x.example"),
            (
                "host not listed",
                with_sts(sts(StsMode::Enforce, "other.example")),
                "validation-failure Sts x.example mx.x.example",
            ),
            (
                "fetch failed",
                with_sts(Unknown(Why::FetchFailed)),
                "NoPolicyFound x.example, sts-policy-fetch-error Sts x.example",
            ),
            (
                "no policy there",
                with_sts(Unknown(Why::PolicyInvalid)),
                "NoPolicyFound x.example, sts-policy-invalid Sts x.example",
            ),
            (
                "not trusted",
                with_sts(Unknown(Why::PolicyHostNotTrusted)),
                "NoPolicyFound x.example, sts-webpki-invalid Sts x.example",
            ),
            ("TXT not known", with_sts(Unknown(Why::Timeout)), "NoPolicyFound x.example"),
            ("TLSA bogus", evidence(Security::Secure, Unknown(Why::Bogus)), "dnssec-invalid Tlsa mx.x.example mx.x.example"),
            ("TLSA not known", evidence(Security::Secure, Unknown(Why::ServFail)), ""),
            (
                "MX bogus",
                DomainEvidence { mx: Unknown(Why::Bogus), ..evidence(Security::Secure, none()) },
                "dnssec-invalid Tlsa x.example",
            ),
            ("a pin", DomainEvidence { pin: Some(pinned), ..evidence(Security::Insecure, none()) }, "not counted"),
        ] {
            assert_eq!(shown(&evidence), expected, "{name}");
        }
    }

    #[test]
    fn a_policy_reads_as_it_was_published_whatever_the_order_of_records() {
        let of = |usages| {
            let evidence = evidence(Security::Secure, tlsa(usages));
            let route = plan(&Requirement { level: Level::Verified, require_tls: false }, &evidence, 25).unwrap();
            applied(&evidence, &route.hops[0]).unwrap()
        };
        assert_eq!(of(&[3, 2]), of(&[2, 3]));
        assert_eq!(of(&[3]).policy_string, [format!("3 1 1 {}", "ab".repeat(32))]);
        let evidence = with_sts(sts(StsMode::Enforce, "*.x.example"));
        let route = plan(&Requirement { level: Level::Verified, require_tls: false }, &evidence, 25).unwrap();
        let policy = serde_json::to_value(applied(&evidence, &route.hops[0]).unwrap()).unwrap();
        let expected = serde_json::json!({
            "policy-type": "sts",
            "policy-string": ["version: STSv1", "mode: enforce", "mx: *.x.example", "max_age: 100"],
            "policy-domain": "x.example",
            "mx-host": ["*.x.example"],
        });
        assert_eq!(policy, expected);
    }
}
