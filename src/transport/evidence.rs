use std::net::IpAddr;

use crate::mail::Domain;

/// An answer from the outside world. The third value is never folded into the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence<T> {
    Present(T),
    Absent(Denial),
    /// SERVFAIL, bogus, time-out, unreachable: nobody knows.
    Unknown(Why),
}

/// How sure an absence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Denied by signed records (RFC 4035, section 5.4).
    Proven,
    /// The zone is unsigned: anybody on the path may have said so.
    Claimed,
}

/// Why nothing is known. Closed, so that it can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// DNSSEC validation failed.
    Bogus,
    ServFail,
    Timeout,
    /// The resolver does not validate, so its answers prove nothing.
    NotValidating,
    /// The policy host could not be reached or answered otherwise than RFC 8461 asks.
    FetchFailed,
    /// The policy host's certificate is not good for its name.
    PolicyHostNotTrusted,
    /// The policy host answered with what is no policy.
    PolicyInvalid,
    Other,
}

/// Whether DNSSEC proved an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    Insecure,
    Secure,
}

/// One TLSA record as it stands in the zone (RFC 6698, section 2.1), not yet judged.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TlsaRecord {
    pub usage: u8,
    pub selector: u8,
    pub matching: u8,
    pub association: Vec<u8>,
}

/// The secure TLSA answer for one MX host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsaSet {
    /// The name at which the records were found, without `_port._tcp.`: the CNAME-expanded MX name when every
    /// step was secure, else the MX name (RFC 7672, section 2.2.2).
    pub base: Domain,
    pub records: Vec<TlsaRecord>,
}

/// One MX host with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxHost {
    pub preference: u16,
    /// As written in the MX record; the domain itself for an implicit MX (RFC 5321, section 5.1).
    pub name: Domain,
    /// IPv6 first. `Security` says whether the address answer (CNAMEs included) was proven.
    /// Empty `Present`: one of the addresses is ours, so mail sent there would come back.
    pub addresses: Evidence<(Vec<IpAddr>, Security)>,
    /// `Present` only when proven by DNSSEC: an insecure TLSA answer is `Absent(Claimed)`.
    /// Not looked up, and `Absent(Claimed)`, where the MX answer or the host's own name is insecure (RFC 7672,
    /// section 2.2.2).
    pub tlsa: Evidence<TlsaSet>,
}

/// RFC 8461, section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StsMode {
    Enforce,
    Testing,
    None,
}

impl StsMode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StsMode::Enforce => "enforce",
            StsMode::Testing => "testing",
            StsMode::None => "none",
        }
    }
}

/// A parsed MTA-STS policy (RFC 8461, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StsPolicy {
    /// The `id` of the TXT record under which it was fetched.
    pub id: String,
    pub mode: StsMode,
    /// `mail.example.com` or `*.example.com`, lower case.
    pub mx: Vec<String>,
    pub max_age_secs: u64,
}

/// A domain pinned by the administrator: fixed hosts, or a fixed CA or certificate. With none of them only the level
/// is asked, and the domain's own evidence has to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What every message to the domain has to reach, and what a handshake under the pin gives; at least `verified`.
    pub level: super::Level,
    /// Empty: the MX records are used, and the CA or certificate is what is fixed.
    pub hosts: Vec<Domain>,
    /// SHA-256 of the certificate's DER; any of them may match. Empty: not pinned by certificate.
    pub certificates: Vec<[u8; 32]>,
    /// PEM of the only CAs accepted; `None`: the configured bundle.
    pub ca_pem: Option<Vec<u8>>,
}

/// All that is known about the way to one recipient domain, gathered before anything is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainEvidence {
    pub domain: Domain,
    /// Where the domain's own name leads as an alias, every step of it proven; certificates may name that too
    /// (RFC 7672, section 3.2.2).
    pub alias_of: Option<Domain>,
    /// Sorted by preference. Empty `Present` is a null MX (RFC 7505).
    pub mx: Evidence<(Vec<MxHost>, Security)>,
    pub sts: Evidence<StsPolicy>,
    pub pin: Option<Pin>,
    /// The domain offered STARTTLS within the last 90 days.
    pub starttls_seen: bool,
    /// The name itself does not exist (NXDOMAIN) or has neither MX nor addresses: bounce, never the portal.
    pub is_nonexistent: bool,
}
