use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Level, TlsaRecord, Why};
use crate::mail::Domain;

/// SHA-256 over every field of a [`TlsPlan`]; part of the key of the connection pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanHash(pub [u8; 32]);

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

/// The four findings of the design, and what cannot be delivered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// No STARTTLS anywhere and no policy: portal at once, notice may go.
    CannotEncrypt,
    /// TLS, but not at the level asked, and no policy: portal at once, notice over that TLS.
    CannotAuthenticate,
    /// A published policy or a recent STARTTLS is not kept: retry through the budget, then portal, no notice.
    PolicyViolated,
    /// Nobody knows: retry, then portal or bounce by class; never less protection.
    Unknown,
    /// Domain or route does not exist, or leads back to us: bounce, never the portal.
    Undeliverable,
}

/// Why a host or domain was refused: stable codes for log, metrics, reports and TLS-RPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    StarttlsNotSupported,
    StarttlsGone,
    StarttlsMissingEverywhere,
    CertificateHostMismatch,
    CertificateExpired,
    CertificateNotTrusted,
    PinMismatch,
    TlsaInvalid,
    TlsaUnusable,
    DnssecInvalid,
    DnsFailed,
    StsPolicyInvalid,
    StsHostNotListed,
    StsFetchFailed,
    TlsFailed,
    LevelNotReachable,
    RequireTlsNotOffered,
    SmtpUtf8NotOffered,
    EightBitMimeNotOffered,
    SizeExceeded,
    ConnectFailed,
    Timeout,
    GreetingRefused,
    ProtocolError,
    TemporaryReply,
    PermanentReply,
    DomainNotFound,
    NullMx,
    MxIsUs,
    AddressLiteral,
    LoopDetected,
    BudgetSpent,
}

impl Reason {
    /// The code as it stands in records, metrics and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::StarttlsNotSupported => "starttls-not-supported",
            Reason::StarttlsGone => "starttls-gone",
            Reason::StarttlsMissingEverywhere => "starttls-missing-everywhere",
            Reason::CertificateHostMismatch => "certificate-host-mismatch",
            Reason::CertificateExpired => "certificate-expired",
            Reason::CertificateNotTrusted => "certificate-not-trusted",
            Reason::PinMismatch => "pin-mismatch",
            Reason::TlsaInvalid => "tlsa-invalid",
            Reason::TlsaUnusable => "tlsa-unusable",
            Reason::DnssecInvalid => "dnssec-invalid",
            Reason::DnsFailed => "dns-failed",
            Reason::StsPolicyInvalid => "sts-policy-invalid",
            Reason::StsHostNotListed => "sts-host-not-listed",
            Reason::StsFetchFailed => "sts-fetch-failed",
            Reason::TlsFailed => "tls-failed",
            Reason::LevelNotReachable => "level-not-reachable",
            Reason::RequireTlsNotOffered => "require-tls-not-offered",
            Reason::SmtpUtf8NotOffered => "smtputf8-not-offered",
            Reason::EightBitMimeNotOffered => "8bitmime-not-offered",
            Reason::SizeExceeded => "size-exceeded",
            Reason::ConnectFailed => "connect-failed",
            Reason::Timeout => "timeout",
            Reason::GreetingRefused => "greeting-refused",
            Reason::ProtocolError => "protocol-error",
            Reason::TemporaryReply => "temporary-reply",
            Reason::PermanentReply => "permanent-reply",
            Reason::DomainNotFound => "domain-not-found",
            Reason::NullMx => "null-mx",
            Reason::MxIsUs => "mx-is-us",
            Reason::AddressLiteral => "address-literal",
            Reason::LoopDetected => "loop-detected",
            Reason::BudgetSpent => "budget-spent",
        }
    }
}

/// Why nothing may be dialled, or why every host that was dialled fell short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub reason: Reason,
    /// For [`RefusalKind::Unknown`].
    pub why: Option<Why>,
    /// Every reachable MX was asked and gave the same answer, so waiting will not help (decides "at once").
    pub is_settled: bool,
}
