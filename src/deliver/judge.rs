//! What an attempt over several hosts amounts to. Pure, so that the table can be read and tested.

use crate::mail::Domain;
use crate::queue::Outcome;
use crate::transport::{Reason, RefusalKind};

/// How the dialogue with one host ended, when it did not take or refuse the message for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopEnd {
    /// Nobody there who speaks SMTP with us now.
    Silent(Reason),
    /// It answered EHLO and offers no STARTTLS.
    NoStartTls { is_policy: bool },
    /// It completed a handshake, or broke it off over its certificate, and does not reach the level asked.
    Short { reason: Reason, is_policy: bool },
    /// STARTTLS was offered, and no handshake came about.
    TlsBroken { is_policy: bool },
    /// Proven, but it cannot take this message as it is.
    Lacks(Reason),
    /// Proven, and it asked to come back later, or the dialogue broke off before the content was whole.
    Later(Reason),
}

/// Judges a whole attempt.
///
/// To the portal at once only when every host that could be reached was asked, and each either answered EHLO without
/// STARTTLS or showed less than the level, and no policy is violated. Everything else waits.
///
/// `hidden`: why nobody knows whether there is an MTA-STS policy. Who could hide it could take STARTTLS away as well.
#[must_use]
pub fn judge(starttls_seen: bool, hidden: Option<Reason>, skipped: &[(Domain, Reason)], ends: &[HopEnd]) -> Outcome {
    use RefusalKind::{CannotAuthenticate, CannotEncrypt, PolicyViolated, Unknown};
    let delayed = |kind, reason| Outcome::Delayed { kind, reason };
    for end in ends {
        match end {
            HopEnd::NoStartTls { is_policy: true } => return delayed(PolicyViolated, Reason::StarttlsNotSupported),
            HopEnd::Short { reason, is_policy: true } => return delayed(PolicyViolated, *reason),
            HopEnd::TlsBroken { is_policy: true } => return delayed(PolicyViolated, Reason::TlsFailed),
            HopEnd::Silent(_)
            | HopEnd::NoStartTls { .. }
            | HopEnd::Short { .. }
            | HopEnd::TlsBroken { .. }
            | HopEnd::Lacks(_)
            | HopEnd::Later(_) => {}
        }
    }
    if let Some(reason) = ends.iter().find_map(|end| if let HopEnd::Later(reason) = end { Some(*reason) } else { None }) {
        return delayed(Unknown, reason);
    }
    if let Some(reason) = ends.iter().find_map(|end| if let HopEnd::Lacks(reason) = end { Some(*reason) } else { None }) {
        // Waiting will not give the host another extension. The peer is proven, so the notice may go over it.
        return Outcome::CannotReachLevel { kind: CannotAuthenticate, reason };
    }
    let falls_short = |end: &HopEnd| match end {
        HopEnd::NoStartTls { .. } | HopEnd::Short { .. } | HopEnd::TlsBroken { .. } => true,
        HopEnd::Silent(_) | HopEnd::Lacks(_) | HopEnd::Later(_) => false,
    };
    if let Some(reason) = hidden.filter(|_| ends.iter().any(falls_short)) {
        return delayed(Unknown, reason);
    }
    if ends.iter().any(|end| matches!(end, HopEnd::TlsBroken { .. })) {
        return delayed(CannotEncrypt, Reason::TlsFailed);
    }
    let short = ends.iter().find_map(|end| if let HopEnd::Short { reason, .. } = end { Some(*reason) } else { None });
    let is_without = ends.iter().any(|end| matches!(end, HopEnd::NoStartTls { .. }));
    if short.is_none() && is_without && starttls_seen {
        return delayed(PolicyViolated, Reason::StarttlsGone);
    }
    if short.is_some() || is_without {
        // A host that was left out because nothing certain is known of it was not asked.
        if let Some((_, reason)) = skipped.iter().find(|(_, reason)| is_unasked(*reason)) {
            return delayed(Unknown, *reason);
        }
        return match short {
            Some(reason) => Outcome::CannotReachLevel { kind: CannotAuthenticate, reason },
            None => Outcome::CannotReachLevel { kind: CannotEncrypt, reason: Reason::StarttlsNotSupported },
        };
    }
    let silent = ends.iter().find_map(|end| if let HopEnd::Silent(reason) = end { Some(*reason) } else { None });
    let skipped = skipped.first().map(|(_, reason)| *reason);
    delayed(Unknown, silent.or(skipped).unwrap_or(Reason::ConnectFailed))
}

/// Whether a host that the plan left out could have been a way if more were known.
fn is_unasked(reason: Reason) -> bool {
    match reason {
        Reason::LevelNotReachable | Reason::MxIsUs | Reason::NullMx | Reason::AddressLiteral | Reason::DomainNotFound => false,
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
        | Reason::LoopDetected
        | Reason::RefusedByRule
        | Reason::RefusedByOffice
        | Reason::BudgetSpent => true,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use RefusalKind::{CannotAuthenticate, CannotEncrypt, PolicyViolated, Unknown};

    #[test]
    fn an_attempt_is_settled_only_when_everybody_was_asked_and_no_policy_is_violated() {
        let without = HopEnd::NoStartTls { is_policy: false };
        let short = HopEnd::Short { reason: Reason::CertificateExpired, is_policy: false };
        let silent = HopEnd::Silent(Reason::ConnectFailed);
        let later = HopEnd::Later(Reason::TemporaryReply);
        let bogus = vec![(Domain::parse("mx9.example").unwrap(), Reason::DnssecInvalid)];
        let unreachable = vec![(Domain::parse("mx9.example").unwrap(), Reason::LevelNotReachable)];
        let delayed = |kind, reason| Outcome::Delayed { kind, reason };
        let settled = |kind, reason| Outcome::CannotReachLevel { kind, reason };
        type Case<'a> = (&'a str, bool, &'a [(Domain, Reason)], Vec<HopEnd>, Outcome);
        let cases: Vec<Case<'_>> = vec![
            ("no STARTTLS anywhere", false, &[], vec![without, without], settled(CannotEncrypt, Reason::StarttlsNotSupported)),
            (
                "the other does not answer",
                false,
                &[],
                vec![silent, without],
                settled(CannotEncrypt, Reason::StarttlsNotSupported),
            ),
            ("it had STARTTLS lately", true, &[], vec![without], delayed(PolicyViolated, Reason::StarttlsGone)),
            ("it has it still, badly", true, &[], vec![without, short], settled(CannotAuthenticate, Reason::CertificateExpired)),
            ("certificate not good enough", false, &[], vec![short], settled(CannotAuthenticate, Reason::CertificateExpired)),
            ("one host was not asked", false, &bogus, vec![without], delayed(Unknown, Reason::DnssecInvalid)),
            ("one could not help", false, &unreachable, vec![without], settled(CannotEncrypt, Reason::StarttlsNotSupported)),
            ("a good host is busy", false, &[], vec![short, later], delayed(Unknown, Reason::TemporaryReply)),
            ("nobody answers", false, &[], vec![silent, silent], delayed(Unknown, Reason::ConnectFailed)),
            ("nobody to ask", false, &[], vec![], delayed(Unknown, Reason::ConnectFailed)),
            (
                "a policy asks for TLS that is not there",
                false,
                &[],
                vec![later, HopEnd::NoStartTls { is_policy: true }],
                delayed(PolicyViolated, Reason::StarttlsNotSupported),
            ),
            (
                "TLSA mismatch on one, nothing on the other",
                false,
                &[],
                vec![silent, HopEnd::Short { reason: Reason::TlsaInvalid, is_policy: true }],
                delayed(PolicyViolated, Reason::TlsaInvalid),
            ),
            (
                "TLS that breaks may heal",
                false,
                &[],
                vec![HopEnd::TlsBroken { is_policy: false }, without],
                delayed(CannotEncrypt, Reason::TlsFailed),
            ),
            (
                "too large for it",
                false,
                &[],
                vec![HopEnd::Lacks(Reason::SizeExceeded), silent],
                settled(CannotAuthenticate, Reason::SizeExceeded),
            ),
        ];
        for (name, seen, skipped, ends, expected) in cases {
            assert_eq!(judge(seen, None, skipped, &ends), expected, "{name}");
        }
    }

    #[test]
    fn behind_a_policy_that_could_not_be_asked_for_nobody_is_unable() {
        let hidden = Some(Reason::StsFetchFailed);
        let waits = Outcome::Delayed { kind: Unknown, reason: Reason::StsFetchFailed };
        let expired = Reason::CertificateExpired;
        for end in [
            HopEnd::NoStartTls { is_policy: false },
            HopEnd::Short { reason: expired, is_policy: false },
            HopEnd::TlsBroken { is_policy: false },
        ] {
            assert_eq!(judge(false, hidden, &[], &[end]), waits, "{end:?}");
            assert_eq!(judge(true, hidden, &[], &[HopEnd::Silent(Reason::Timeout), end]), waits, "{end:?}");
        }
        // A violation stays one, and a host that is proven says what it lacks.
        let violated = judge(false, hidden, &[], &[HopEnd::Short { reason: expired, is_policy: true }]);
        assert_eq!(violated, Outcome::Delayed { kind: PolicyViolated, reason: expired });
        let lacks = judge(false, hidden, &[], &[HopEnd::Lacks(Reason::SizeExceeded)]);
        assert_eq!(lacks, Outcome::CannotReachLevel { kind: CannotAuthenticate, reason: Reason::SizeExceeded });
    }
}
