use serde::{Deserialize, Serialize};

use super::Why;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// A rule of the practice says that this must not leave.
    RefusedByRule,
    /// A person of the practice said so.
    RefusedByOffice,
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
            Reason::RefusedByRule => "refused-by-rule",
            Reason::RefusedByOffice => "refused-by-office",
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
