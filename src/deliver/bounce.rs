//! Reports to the sender about one copy: failed, late, or passed on where that was asked for.
//!
//! They go to the submitter's bound address over a fixed route, with the null reverse-path, and carry nothing of the
//! message but a few masked fields, also where `RET=FULL` asked for all of it: a report crosses more servers than the
//! message did, and RFC 3461, section 4.3, leaves a server free to return less. Where no such way exists, the record
//! tells of the failure, and a metric counts it.
//!
//! A delivery is reported only where the next host does not offer to (RFC 3461, section 5.2.2). So is a parcel: the
//! portal reports no reading, and a message that goes where nobody reports is `relayed` (RFC 3464, section 2.3.3).

use super::copy::{Internal, OpenCopy, seal_internal};
use super::settings::Settings;
use crate::mail::{EnhancedCode, Mailbox, Reply, Timestamp};
use crate::message::{self, Report, ReportKind, ReportedRecipient};
use crate::observe::metrics;
use crate::queue::CopyKind;
use crate::secret::Plaintext;
use crate::store::{CopyRow, NewBody, NewCopy};
use crate::transport::Reason;
use crate::vault::Vault;

/// What there is to report.
#[derive(Clone, Copy, Debug)]
pub enum Finding<'a> {
    /// Refused for good, by the host's reply or before anything was dialled.
    Failed { reason: Reason, reply: Option<&'a Reply>, host: Option<&'a str> },
    /// The host may have it and never said so.
    Uncertain { host: Option<&'a str> },
    /// A rule or a person of the practice said no.
    Refused { reason: Reason },
    /// The sender was asked, and nobody released the copy in time.
    Unanswered,
    /// Still waiting, and tried again until then.
    Delayed { reason: Reason, reply: Option<&'a Reply>, host: Option<&'a str>, until: Timestamp },
    /// Waits for a person, and the sender is asked this.
    Held { ask: &'a str },
    /// Accepted by the next host.
    Relayed { reply: &'a Reply, host: &'a str },
    /// It has become a parcel; a letter of its own has the code, or nobody has it yet.
    InPortal { has_slip: bool },
}

/// The report as a copy of the queue; `None` if nobody asked for it or there is no way to tell.
#[must_use]
pub fn report(
    vault: &Vault,
    settings: &Settings,
    row: &CopyRow,
    open: &OpenCopy,
    finding: Finding<'_>,
    now: Timestamp,
) -> Option<(NewBody, NewCopy)> {
    let facts = &open.facts;
    let is_asked = match finding {
        Finding::Failed { .. }
        | Finding::Uncertain { .. }
        | Finding::Refused { .. }
        | Finding::Unanswered
        | Finding::Held { .. } => facts.notify.failure,
        Finding::Delayed { .. } => facts.notify.delay,
        Finding::Relayed { .. } | Finding::InPortal { .. } => facts.notify.success,
    };
    if !is_asked || facts.notify.never || facts.kind != CopyKind::Message {
        return None;
    }
    let made = written(vault, settings, row, open, finding, now);
    let is_end =
        matches!(finding, Finding::Failed { .. } | Finding::Uncertain { .. } | Finding::Refused { .. } | Finding::Unanswered);
    if made.is_none() && is_end {
        metrics().unreported.inc();
    }
    made
}

fn written(
    vault: &Vault,
    settings: &Settings,
    row: &CopyRow,
    open: &OpenCopy,
    finding: Finding<'_>,
    now: Timestamp,
) -> Option<(NewBody, NewCopy)> {
    let facts = &open.facts;
    // A message with the null reverse-path is a report itself, and nobody reports on reports (RFC 5321, section 4.5.5).
    if facts.reverse_path.is_empty() {
        return None;
    }
    let to = Mailbox::parse(facts.report_to.as_deref()?).ok().filter(|to| settings.routes.contains_key(to.domain()))?;
    let recipient = Mailbox::parse(&facts.recipient).ok()?;
    let from = settings.postmaster()?;
    let (kind, status, why, action, reply, host) = words(finding, facts.requirement.require_tls);
    let (tried_at, retry_until) = match finding {
        Finding::Delayed { until, .. } => (Some(now), Some(until)),
        Finding::Failed { .. } | Finding::Uncertain { .. } | Finding::Relayed { .. } => (Some(now), None),
        Finding::Refused { .. } | Finding::Unanswered | Finding::Held { .. } | Finding::InPortal { .. } => (None, None),
    };
    let diagnostic = reply.map(|reply| message::mask_reply_text(reply.code, reply.enhanced, &reply.lines));
    let dice: [u8; 16] = vault.random();
    let word: String = dice.iter().map(|byte| format!("{byte:02x}")).collect();
    let message_id = format!("<{word}@{}>", settings.name);
    let mut header = open.header.expose().to_vec();
    header.extend_from_slice(b"\r\n");
    let original = message::parse(Plaintext::new(header));
    let text = message::report(&Report {
        from: &from,
        from_name: Some(&settings.portal.office),
        to: &to,
        reporting_mta: settings.name.as_str(),
        message_id: &message_id,
        boundary: &word,
        now,
        arrival: row.copy.received_at,
        envid: facts.envid.as_deref(),
        reference: &row.copy.message.to_string(),
        recipients: &[ReportedRecipient {
            kind,
            recipient: &recipient,
            orcpt: facts.orcpt.as_deref(),
            status,
            why,
            action,
            diagnostic: diagnostic.as_deref(),
            remote_mta: host,
            tried_at,
            retry_until,
        }],
        original: Some(original.header()),
    });
    let text = Plaintext::new(text);
    let blank = text.expose().windows(4).position(|four| four == b"\r\n\r\n")?;
    let (header, body) = (text.expose().get(..blank + 2)?, text.expose().get(blank + 4..)?);
    let internal = Internal {
        kind: CopyKind::Report,
        to: &to,
        reverse_path: None,
        message: row.copy.message,
        message_id: &facts.message_id,
        class: row.copy.class,
        parcel: None,
        // RFC 8689, section 5: what is reported of such a message travels as it did.
        require_tls: facts.requirement.require_tls,
        at: now,
        next_at: now,
    };
    Some(seal_internal(vault, &internal, header, body))
}

/// The letter in which the sender of a held copy is asked. It goes where reports go.
#[must_use]
pub fn ask_sender(vault: &Vault, settings: &Settings, row: &CopyRow, ask: &str) -> Option<(NewBody, NewCopy)> {
    let open = OpenCopy::of(vault, row).ok()?;
    report(vault, settings, row, &open, Finding::Held { ask }, row.copy.received_at)
}

type Words<'a> = (ReportKind, EnhancedCode, &'a str, &'static str, Option<&'a Reply>, Option<&'a str>);

fn words(finding: Finding<'_>, require_tls: bool) -> Words<'_> {
    match finding {
        Finding::Delayed { reason, reply, host, .. } => (
            ReportKind::Delayed,
            reply.and_then(|reply| reply.enhanced).filter(|code| code.0 == 4).unwrap_or(late_status(reason)),
            "The recipient's mail service could not be reached in a protected way so far.",
            "Nothing needs to be done: it is tried again.",
            reply,
            host,
        ),
        Finding::Held { ask } => (
            ReportKind::Delayed,
            EnhancedCode(4, 7, 1),
            ask,
            "If it was meant so, ask the person who looks after the mail gateway to release it, and name the reference; if not, do nothing: it is not sent.",
            None,
            None,
        ),
        Finding::Relayed { reply, host } => (
            ReportKind::Relayed,
            reply.enhanced.filter(|code| code.0 == 2).unwrap_or(EnhancedCode(2, 0, 0)),
            "The recipient's mail service has taken the message over a protected connection.",
            "Nothing needs to be done.",
            Some(reply),
            Some(host),
        ),
        Finding::InPortal { has_slip } => (
            ReportKind::InPortal,
            EnhancedCode(2, 0, 0),
            "No protected way leads to the recipient's mail service, or a rule keeps such mail here: the recipient reads it in the portal of the practice.",
            if has_slip {
                "Please give the recipient the code that you get in a letter of its own."
            } else {
                "Please ask the person who looks after the mail gateway for the recipient's code."
            },
            None,
            None,
        ),
        Finding::Refused { reason } => {
            let (status, why, action) = failure(reason, require_tls);
            (ReportKind::Failed, status, why, action, None, None)
        }
        Finding::Unanswered => (
            ReportKind::Failed,
            EnhancedCode(5, 7, 1),
            "You were asked whether this message was meant for this recipient, and nobody released it in time.",
            "If it was meant so, please send it again and have it released by the person who looks after the mail gateway.",
            None,
            None,
        ),
        Finding::Uncertain { host } => (
            ReportKind::Failed,
            EnhancedCode(5, 4, 7),
            "The recipient's mail service took the whole message and then did not confirm it, so it may or may not have arrived.",
            "Please ask the recipient before you send it again.",
            None,
            host,
        ),
        Finding::Failed { reason, reply, host } => {
            let (status, why, action) = failure(reason, require_tls);
            let status = reply.and_then(|reply| reply.enhanced).filter(|code| code.0 == 5).unwrap_or(status);
            (ReportKind::Failed, status, why, action, reply, host)
        }
    }
}

/// Status of a copy that waits (RFC 3463): the network, or what TLS did not prove.
fn late_status(reason: Reason) -> EnhancedCode {
    match reason {
        Reason::ConnectFailed | Reason::Timeout | Reason::GreetingRefused => EnhancedCode(4, 4, 1),
        Reason::DnsFailed => EnhancedCode(4, 4, 3),
        Reason::StarttlsNotSupported
        | Reason::StarttlsGone
        | Reason::StarttlsMissingEverywhere
        | Reason::CertificateHostMismatch
        | Reason::CertificateExpired
        | Reason::CertificateNotTrusted
        | Reason::PinMismatch
        | Reason::TlsaInvalid
        | Reason::TlsaUnusable
        | Reason::DnssecInvalid
        | Reason::StsPolicyInvalid
        | Reason::StsHostNotListed
        | Reason::StsFetchFailed
        | Reason::TlsFailed
        | Reason::LevelNotReachable
        | Reason::RequireTlsNotOffered => EnhancedCode(4, 7, 10),
        Reason::SmtpUtf8NotOffered
        | Reason::EightBitMimeNotOffered
        | Reason::SizeExceeded
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
        | Reason::RefusedByOffice => EnhancedCode(4, 4, 0),
    }
}

/// Status (RFC 3463; for REQUIRETLS RFC 8689, section 4.2.1), why, and what to do.
fn failure(reason: Reason, require_tls: bool) -> (EnhancedCode, &'static str, &'static str) {
    match reason {
        Reason::DomainNotFound => (
            EnhancedCode(5, 1, 2),
            "The part of the address after the @ does not exist or takes no mail.",
            "Please check the address and send the message again.",
        ),
        Reason::RefusedByRule => (
            EnhancedCode(5, 7, 1),
            "A rule of the practice says that this message must not leave.",
            "Please ask the person who looks after the mail gateway, and name the reference.",
        ),
        Reason::RefusedByOffice => (
            EnhancedCode(5, 7, 1),
            "The message was held, and the person who looked at it did not let it leave.",
            "Please ask the person who looks after the mail gateway, and name the reference.",
        ),
        Reason::NullMx => (
            EnhancedCode(5, 1, 10),
            "The domain says that it takes no mail at all.",
            "Please check the address, or reach the person in another way.",
        ),
        Reason::MxIsUs | Reason::LoopDetected | Reason::AddressLiteral => (
            EnhancedCode(5, 4, 6),
            "The way to the recipient's domain leads back to where the message came from.",
            "Please tell whoever looks after your mail.",
        ),
        Reason::PermanentReply => (
            EnhancedCode(5, 0, 0),
            "The recipient's mail service has refused the message.",
            "Please check the address; if it is right, reach the person in another way.",
        ),
        Reason::SizeExceeded => (
            EnhancedCode(5, 3, 4),
            "The message is larger than the recipient's mail service takes.",
            "Please send it in smaller parts.",
        ),
        Reason::StarttlsNotSupported
        | Reason::StarttlsGone
        | Reason::StarttlsMissingEverywhere
        | Reason::CertificateHostMismatch
        | Reason::CertificateExpired
        | Reason::CertificateNotTrusted
        | Reason::PinMismatch
        | Reason::TlsaInvalid
        | Reason::TlsaUnusable
        | Reason::DnssecInvalid
        | Reason::DnsFailed
        | Reason::StsPolicyInvalid
        | Reason::StsHostNotListed
        | Reason::StsFetchFailed
        | Reason::TlsFailed
        | Reason::LevelNotReachable
            if require_tls =>
        {
            (
                EnhancedCode(5, 7, 10),
                "The message was to travel only over connections that prove themselves, and no such way leads to the recipient's mail service.",
                "Please reach the person in another way, or send it without the option that demands protection on the whole way (REQUIRETLS).",
            )
        }
        Reason::RequireTlsNotOffered => (
            EnhancedCode(5, 7, 30),
            "The message was to travel only to servers that promise to protect it on the whole way, and the recipient's mail service does not.",
            "Please reach the person in another way, or send it without the option that demands this promise (REQUIRETLS).",
        ),
        Reason::StarttlsNotSupported
        | Reason::StarttlsGone
        | Reason::StarttlsMissingEverywhere
        | Reason::CertificateHostMismatch
        | Reason::CertificateExpired
        | Reason::CertificateNotTrusted
        | Reason::PinMismatch
        | Reason::TlsaInvalid
        | Reason::TlsaUnusable
        | Reason::DnssecInvalid
        | Reason::DnsFailed
        | Reason::StsPolicyInvalid
        | Reason::StsHostNotListed
        | Reason::StsFetchFailed
        | Reason::TlsFailed
        | Reason::LevelNotReachable
        | Reason::SmtpUtf8NotOffered
        | Reason::EightBitMimeNotOffered
        | Reason::ConnectFailed
        | Reason::Timeout
        | Reason::GreetingRefused
        | Reason::ProtocolError
        | Reason::TemporaryReply
        | Reason::BudgetSpent => (
            EnhancedCode(5, 4, 7),
            "The recipient's mail service could not be reached in a protected way in time.",
            "Please reach the person in another way.",
        ),
    }
}
