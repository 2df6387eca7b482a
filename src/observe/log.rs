use std::io::Write;
use std::sync::OnceLock;

use crate::mail::{CopyId, Domain, ParcelId, QueueId};

/// One thing an administrator could act on. Fields are ids, numbers, closed words, domains, file paths of ours.
#[derive(Clone, Debug)]
pub enum Event {
    Listening {
        what: &'static str,
        address: std::net::SocketAddr,
    },
    Accepted {
        message: QueueId,
        recipients: usize,
        size_bytes: u64,
    },
    RefusedInDialogue {
        message: QueueId,
        code: u16,
    },
    /// A message, notice, slip or report reached its host.
    Delivered {
        message: QueueId,
        copy: CopyId,
        kind: &'static str,
        domain: Domain,
        level: &'static str,
        host: Domain,
    },
    Deferred {
        message: QueueId,
        copy: CopyId,
        domain: Domain,
        reason: &'static str,
        attempt: u32,
    },
    Escrowed {
        message: QueueId,
        copy: CopyId,
        domain: Domain,
        reason: &'static str,
        parcel: ParcelId,
    },
    Held {
        message: QueueId,
        copy: CopyId,
    },
    Bounced {
        message: QueueId,
        copy: CopyId,
        domain: Domain,
        reason: &'static str,
    },
    AuthFailed {
        peer: std::net::IpAddr,
    },
    RelayDenied {
        peer: std::net::IpAddr,
    },
    TlsHandshakeFailed {
        peer: std::net::IpAddr,
    },
    SessionPanicked,
    /// Somewhere in the program; `at` is a file and line of the source, never what was being read.
    Panicked {
        at: String,
    },
    /// A task that has to run as long as the gateway does has ended: the gateway ends, too.
    TaskEnded {
        what: &'static str,
    },
    /// A certificate, of our own or of a client, has few days left or none.
    CertificateExpires {
        name: String,
        days: i64,
    },
    /// A client showed a certificate that is not known, or is known and has expired.
    ClientCertificateRefused {
        peer: std::net::IpAddr,
        why: &'static str,
    },
    /// A listener takes mail in clear from old devices.
    LegacyListener {
        name: String,
        address: std::net::SocketAddr,
    },
    /// An old device sent a message in clear.
    LegacyMessage {
        name: String,
        peer: std::net::IpAddr,
    },
    /// A client has used up what it may send in an hour.
    QuotaUsedUp {
        name: String,
    },
    StoreFailed {
        what: String,
    },
    /// A row of the store cannot be read and was set aside.
    RowDamaged {
        kind: &'static str,
        id: String,
        what: String,
    },
    /// The self-test of the resolver failed: until it passes, no DNS answer counts as proven.
    ResolverDoesNotValidate {
        what: String,
    },
    ResolverValidatesAgain,
    /// The second source's AD bit is not believed any more.
    SecondSourceFails {
        what: String,
    },
    OwnNetworkSuspected {
        domains: usize,
    },
    /// A domain showed more than it does now; once for each domain and day.
    DomainWorse {
        domain: Domain,
        was: &'static str,
        reason: &'static str,
    },
    /// A domain shows more than it did, or again what it did.
    DomainBetter {
        domain: Domain,
        was: &'static str,
        now: &'static str,
    },
    /// A new MTA-STS policy is in force: `hosts`, `all-hosts` (none of the old ones), `stronger`, `weaker`.
    StsPolicyChanged {
        domain: Domain,
        what: &'static str,
        was: &'static str,
        now: &'static str,
    },
    /// The policy host could not be asked, and the policy that is remembered holds until then.
    StsFetchFails {
        domain: Domain,
        holds_until: String,
    },
    /// The domain announces no policy any more while the one that is remembered holds.
    StsPolicyVanished {
        domain: Domain,
        holds_until: String,
    },
    /// An agreement with a partner is to be looked at: `near` or `passed`.
    PinReviewDue {
        domain: Domain,
        review: String,
        state: &'static str,
    },
    /// A program asked over HTTP what would become of mail to a domain.
    CheckAsked {
        token: String,
        peer: std::net::IpAddr,
        domain: Domain,
    },
    /// A parcel left by SMTP after all, or is kept for good because nobody knows whether it did.
    SentLater {
        parcel: ParcelId,
        domain: Domain,
        outcome: &'static str,
    },
    /// The self-test of the promise that nothing leaves unproven did not pass.
    CanaryFailed {
        what: String,
    },
    /// A notice could not be sent; staff must phone.
    NoticeFailed {
        parcel: ParcelId,
        reason: &'static str,
    },
    NoSlipRoute {
        parcel: ParcelId,
    },
    /// A report about TLS (RFC 8460) went, waits, or was dropped.
    TlsReport {
        domain: Domain,
        outcome: &'static str,
    },
    DkimKeyNotInDns {
        domain: Domain,
    },
    /// The list of own patients was imported or forgotten.
    PatientListChanged {
        what: &'static str,
        patients: u32,
    },
    /// There is a list of own patients, and it cannot be used: nobody of it is recognised.
    PatientListUnreadable {
        what: String,
    },
    /// A setting that only test worlds need is in force.
    TestSetting {
        key: &'static str,
    },
    TlsOptionalNetwork {
        name: String,
    },
    SettingsNote {
        what: String,
    },
    Stopping,
}

/// Who should look, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The life of a message.
    Info,
    /// Someone should look this week.
    Warn,
    /// Someone should look now.
    Error,
}

impl Event {
    /// Fixed name of the event, as it stands in the log and in `docs/OPERATIONS.md`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Event::Listening { .. } => "listening",
            Event::Accepted { .. } => "accepted",
            Event::RefusedInDialogue { .. } => "refused",
            Event::Delivered { .. } => "delivered",
            Event::Deferred { .. } => "deferred",
            Event::Escrowed { .. } => "escrowed",
            Event::Held { .. } => "held",
            Event::Bounced { .. } => "bounced",
            Event::AuthFailed { .. } => "auth-failed",
            Event::RelayDenied { .. } => "relay-denied",
            Event::TlsHandshakeFailed { .. } => "tls-handshake-failed",
            Event::SessionPanicked => "session-panicked",
            Event::Panicked { .. } => "panicked",
            Event::TaskEnded { .. } => "task-ended",
            Event::CertificateExpires { .. } => "certificate-expires",
            Event::ClientCertificateRefused { .. } => "client-certificate-refused",
            Event::LegacyListener { .. } => "legacy-listener",
            Event::LegacyMessage { .. } => "legacy-message",
            Event::QuotaUsedUp { .. } => "quota-used-up",
            Event::StoreFailed { .. } => "store-failed",
            Event::RowDamaged { .. } => "row-damaged",
            Event::ResolverDoesNotValidate { .. } => "resolver-does-not-validate",
            Event::ResolverValidatesAgain => "resolver-validates-again",
            Event::SecondSourceFails { .. } => "second-source-fails",
            Event::DomainWorse { .. } => "domain-worse",
            Event::DomainBetter { .. } => "domain-better",
            Event::StsPolicyChanged { .. } => "sts-policy-changed",
            Event::StsFetchFails { .. } => "sts-fetch-fails",
            Event::StsPolicyVanished { .. } => "sts-policy-vanished",
            Event::PinReviewDue { .. } => "pin-review-due",
            Event::CheckAsked { .. } => "check-asked",
            Event::SentLater { .. } => "sent-later",
            Event::CanaryFailed { .. } => "canary-failed",
            Event::OwnNetworkSuspected { .. } => "own-network-suspected",
            Event::NoticeFailed { .. } => "notice-failed",
            Event::NoSlipRoute { .. } => "no-slip-route",
            Event::TlsReport { .. } => "tls-report",
            Event::DkimKeyNotInDns { .. } => "dkim-key-not-in-dns",
            Event::PatientListChanged { .. } => "patient-list-changed",
            Event::PatientListUnreadable { .. } => "patient-list-unreadable",
            Event::TestSetting { .. } => "test-setting",
            Event::TlsOptionalNetwork { .. } => "tls-optional-network",
            Event::SettingsNote { .. } => "settings-note",
            Event::Stopping => "stopping",
        }
    }

    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Event::Listening { .. }
            | Event::Accepted { .. }
            | Event::RefusedInDialogue { .. }
            | Event::Delivered { .. }
            | Event::Deferred { .. }
            | Event::Escrowed { .. }
            | Event::Held { .. }
            | Event::Bounced { .. }
            | Event::AuthFailed { .. }
            | Event::RelayDenied { .. }
            | Event::TlsHandshakeFailed { .. }
            | Event::SentLater { .. }
            | Event::DomainBetter { .. }
            | Event::CheckAsked { .. }
            | Event::StsPolicyChanged { what: "hosts" | "stronger", .. }
            | Event::ClientCertificateRefused { .. }
            | Event::LegacyMessage { .. }
            | Event::TlsReport { .. }
            | Event::PatientListChanged { .. }
            | Event::Stopping => Severity::Info,
            Event::NoticeFailed { .. }
            | Event::ResolverValidatesAgain
            | Event::SecondSourceFails { .. }
            | Event::DomainWorse { .. }
            | Event::StsPolicyChanged { .. }
            | Event::StsFetchFails { .. }
            | Event::StsPolicyVanished { .. }
            | Event::PinReviewDue { .. }
            | Event::NoSlipRoute { .. }
            | Event::DkimKeyNotInDns { .. }
            | Event::TestSetting { .. }
            | Event::TlsOptionalNetwork { .. }
            | Event::LegacyListener { .. }
            | Event::CertificateExpires { .. }
            | Event::QuotaUsedUp { .. }
            | Event::SettingsNote { .. } => Severity::Warn,
            Event::SessionPanicked
            | Event::Panicked { .. }
            | Event::TaskEnded { .. }
            | Event::StoreFailed { .. }
            | Event::PatientListUnreadable { .. }
            | Event::RowDamaged { .. }
            | Event::ResolverDoesNotValidate { .. }
            | Event::CanaryFailed { .. }
            | Event::OwnNetworkSuspected { .. } => Severity::Error,
        }
    }

    /// Name and fields, as the line in the log has them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut line = self.name().to_owned();
        for (key, value) in self.fields() {
            line.push(' ');
            line.push_str(key);
            line.push('=');
            // Control characters and spaces would let a value look like a field or a line of its own.
            if value.chars().all(|c| !c.is_control() && c != ' ' && c != '"') {
                line.push_str(&value);
            } else {
                line.push_str(&format!("{value:?}"));
            }
        }
        line
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Event::Listening { what, address } => vec![("what", (*what).into()), ("address", address.to_string())],
            Event::Accepted { message, recipients, size_bytes } => {
                vec![
                    ("message", message.to_string()),
                    ("recipients", recipients.to_string()),
                    ("size_bytes", size_bytes.to_string()),
                ]
            }
            Event::RefusedInDialogue { message, code } => vec![("message", message.to_string()), ("code", code.to_string())],
            Event::Delivered { message, copy, kind, domain, level, host } => vec![
                ("message", message.to_string()),
                ("copy", copy.to_string()),
                ("kind", (*kind).into()),
                ("domain", domain.to_string()),
                ("level", (*level).into()),
                ("host", host.to_string()),
            ],
            Event::Deferred { message, copy, domain, reason, attempt } => vec![
                ("message", message.to_string()),
                ("copy", copy.to_string()),
                ("domain", domain.to_string()),
                ("reason", (*reason).into()),
                ("attempt", attempt.to_string()),
            ],
            Event::Escrowed { message, copy, domain, reason, parcel } => vec![
                ("message", message.to_string()),
                ("copy", copy.to_string()),
                ("domain", domain.to_string()),
                ("reason", (*reason).into()),
                ("parcel", parcel.to_string()),
            ],
            Event::Held { message, copy } => vec![("message", message.to_string()), ("copy", copy.to_string())],
            Event::Bounced { message, copy, domain, reason } => vec![
                ("message", message.to_string()),
                ("copy", copy.to_string()),
                ("domain", domain.to_string()),
                ("reason", (*reason).into()),
            ],
            Event::AuthFailed { peer } | Event::RelayDenied { peer } | Event::TlsHandshakeFailed { peer } => {
                vec![("peer", peer.to_string())]
            }
            Event::SessionPanicked | Event::Stopping | Event::ResolverValidatesAgain => vec![],
            Event::StoreFailed { what }
            | Event::SettingsNote { what }
            | Event::ResolverDoesNotValidate { what }
            | Event::SecondSourceFails { what }
            | Event::CanaryFailed { what } => vec![("what", what.clone())],
            Event::RowDamaged { kind, id, what } => {
                vec![("kind", (*kind).into()), ("id", id.clone()), ("what", what.clone())]
            }
            Event::DomainWorse { domain, was, reason } => {
                vec![("domain", domain.to_string()), ("was", (*was).into()), ("reason", (*reason).into())]
            }
            Event::DomainBetter { domain, was, now } => {
                vec![("domain", domain.to_string()), ("was", (*was).into()), ("now", (*now).into())]
            }
            Event::StsPolicyChanged { domain, what, was, now } => {
                vec![("domain", domain.to_string()), ("what", (*what).into()), ("was", (*was).into()), ("now", (*now).into())]
            }
            Event::StsFetchFails { domain, holds_until } | Event::StsPolicyVanished { domain, holds_until } => {
                vec![("domain", domain.to_string()), ("holds_until", holds_until.clone())]
            }
            Event::PinReviewDue { domain, review, state } => {
                vec![("domain", domain.to_string()), ("review", review.clone()), ("state", (*state).into())]
            }
            Event::CheckAsked { token, peer, domain } => {
                vec![("token", token.clone()), ("peer", peer.to_string()), ("domain", domain.to_string())]
            }
            Event::SentLater { parcel, domain, outcome } => {
                vec![("parcel", parcel.to_string()), ("domain", domain.to_string()), ("outcome", (*outcome).into())]
            }
            Event::OwnNetworkSuspected { domains } => vec![("domains", domains.to_string())],
            Event::NoticeFailed { parcel, reason } => vec![("parcel", parcel.to_string()), ("reason", (*reason).into())],
            Event::NoSlipRoute { parcel } => vec![("parcel", parcel.to_string())],
            Event::TlsReport { domain, outcome } => vec![("domain", domain.to_string()), ("outcome", (*outcome).into())],
            Event::DkimKeyNotInDns { domain } => vec![("domain", domain.to_string())],
            Event::PatientListChanged { what, patients } => {
                vec![("what", (*what).into()), ("patients", patients.to_string())]
            }
            Event::PatientListUnreadable { what } => vec![("what", what.clone())],
            Event::TestSetting { key } => vec![("key", (*key).into())],
            Event::TlsOptionalNetwork { name } | Event::QuotaUsedUp { name } => vec![("name", name.clone())],
            Event::Panicked { at } => vec![("at", at.clone())],
            Event::TaskEnded { what } => vec![("what", (*what).into())],
            Event::CertificateExpires { name, days } => vec![("name", name.clone()), ("days", days.to_string())],
            Event::ClientCertificateRefused { peer, why } => vec![("peer", peer.to_string()), ("why", (*why).into())],
            Event::LegacyListener { name, address } => vec![("name", name.clone()), ("address", address.to_string())],
            Event::LegacyMessage { name, peer } => vec![("name", name.clone()), ("peer", peer.to_string())],
        }
    }
}

static LEAST: OnceLock<Severity> = OnceLock::new();

/// Writes one line to standard error: time is left to the supervisor's journal, which has it already.
pub fn log(event: &Event) {
    let severity = event.severity();
    let word = match severity {
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Error => "error",
    };
    super::metrics().event(event.name(), word);
    if severity < *LEAST.get_or_init(least_from_environment) {
        return;
    }
    let line = format!("{word} {}\n", event.text());
    // A closed standard error must not end the gateway.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// `WARDPOST_LOG=info|warn|error`; `info` without it.
fn least_from_environment() -> Severity {
    match std::env::var("WARDPOST_LOG").as_deref() {
        Ok("error") => Severity::Error,
        Ok("warn") => Severity::Warn,
        _ => Severity::Info,
    }
}
