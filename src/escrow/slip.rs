use super::letter::{Draft, Letter, SLIP_MARKER, one_line, safe_message_id};
use super::{Code, Number, long_date};
use crate::mail::{Mailbox, Timestamp};
use crate::transport::{Reason, RefusalKind};

/// Why the message waits in the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The way to the recipient's mail service.
    Transport { kind: RefusalKind, reason: Reason },
    /// The office's own rules, or the sender's wish.
    Policy,
}

/// What made this slip necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The message has just gone to the portal.
    First,
    /// Somebody asked for a new code; the old one is void.
    NewCode,
    /// Ten wrong codes were typed: the code is void, and this slip brings no other. Whoever types codes at the portal
    /// must not be able to have new ones issued, or ten tries would be ten tries a quarter of an hour.
    AfterTenTries,
}

/// All that a slip says. It goes only over a fixed route to the authenticated submitter's own address.
#[derive(Clone, Debug)]
pub struct SlipFacts {
    pub to: Mailbox,
    pub from: Mailbox,
    pub office: String,
    pub recipient: Mailbox,
    pub why: Why,
    pub occasion: Occasion,
    /// How often the way was tried, and when last.
    pub attempts: u32,
    pub last_attempt_at: Timestamp,
    /// `None` where the code is void and no new one was asked for.
    pub code: Option<Code>,
    pub number: Number,
    /// How a new code is asked for: a queue id.
    pub reference: String,
    /// Host of the portal as people type it.
    pub host: String,
    /// Whether a notice goes to the recipient by e-mail.
    pub is_notice_mailed: bool,
    pub until: Timestamp,
    /// Message-ID of the original, for the sender's mail program to thread it.
    pub original_message_id: String,
    pub at: Timestamp,
    pub random: [u8; 16],
}

/// The letter that brings the code to the sender.
#[must_use]
pub fn slip(facts: &SlipFacts) -> Letter {
    let host = one_line(&facts.host);
    let recipient = &facts.recipient;
    let opening = match facts.occasion {
        Occasion::First => format!("Your mail to {recipient} waits in secure pickup."),
        Occasion::NewCode => format!("Here is the new code for your mail to {recipient}. The old code no longer works."),
        Occasion::AfterTenTries => format!(
            "A wrong code was typed ten times for your mail to {recipient}, so the code no longer works. The message is \
             safe, and nobody can open it now."
        ),
    };
    let mut extra = vec![(SLIP_MARKER, "1".to_owned())];
    if let Some(id) = safe_message_id(&facts.original_message_id) {
        extra.insert(0, ("In-Reply-To", id.to_owned()));
    }
    let notice = if facts.is_notice_mailed {
        "They also get a short notice by e-mail that a message waits. It names neither you nor the subject, and not the code."
    } else {
        "No notice is mailed to them: please phone or write."
    };
    let reason = format!("Reason: {}{}", reason_sentence(facts.why, facts.recipient.domain().as_str()), checked(facts));
    let until = format!("The message can be read until {}.", long_date(facts.until));
    let (subject, paragraphs) = match &facts.code {
        Some(code) => (
            "Secure pickup: please pass on a code",
            vec![
                opening,
                reason,
                format!("Please give them this code: {code}"),
                "By phone or in person, not by e-mail or text.".to_owned(),
                format!("Say: go to {host}, type number {} and the code.", facts.number),
                notice.to_owned(),
                until,
            ],
        ),
        None => (
            "Secure pickup: a code no longer works",
            vec![
                opening,
                format!(
                    "Once you are sure that you speak to the right person, ask whoever looks after the mail gateway for a new \
                     code, and name the reference {}.",
                    one_line(&facts.reference)
                ),
                until,
            ],
        ),
    };
    Draft {
        from_name: &facts.office,
        from: &facts.from,
        to: &facts.to,
        subject,
        at: facts.at,
        random: facts.random,
        extra,
        paragraphs,
    }
    .finish()
}

fn checked(facts: &SlipFacts) -> String {
    match facts.why {
        Why::Transport { .. } if facts.attempts > 0 => {
            let (_, _, _, hour, minute, _) = facts.last_attempt_at.civil();
            let times = if facts.attempts == 1 { "once".to_owned() } else { format!("{} times", facts.attempts) };
            format!(" (checked {times}, last {} {hour:02}:{minute:02} UTC).", long_date(facts.last_attempt_at))
        }
        Why::Transport { .. } | Why::Policy => ".".to_owned(),
    }
}

/// One sentence for the sender, without its full stop.
fn reason_sentence(why: Why, domain: &str) -> String {
    let (kind, reason) = match why {
        Why::Policy => return "your office's rules ask for secure pickup for this message".to_owned(),
        Why::Transport { kind, reason } => (kind, reason),
    };
    let special = match reason {
        Reason::StarttlsNotSupported => Some("does not accept encrypted mail"),
        Reason::StarttlsGone => Some("accepted encrypted mail before and does not now"),
        Reason::CertificateExpired => Some("has mail servers whose certificate has expired"),
        Reason::CertificateHostMismatch => Some("has mail servers whose certificate carries another name"),
        Reason::CertificateNotTrusted | Reason::PinMismatch => Some("has mail servers whose certificate cannot be trusted"),
        Reason::TlsaInvalid => Some("has mail servers that do not match what the domain publishes about them"),
        Reason::StsPolicyInvalid | Reason::StsHostNotListed | Reason::StsFetchFailed => {
            Some("has mail servers that do not keep the domain's own security policy")
        }
        Reason::RequireTlsNotOffered => Some("does not promise to keep mail encrypted all the way"),
        Reason::SmtpUtf8NotOffered => Some("does not accept addresses with letters such as \u{fc} or \u{f1}"),
        Reason::EightBitMimeNotOffered => Some("does not accept mail of this form"),
        Reason::SizeExceeded => Some("does not accept mail of this size"),
        Reason::RefusedByRule
        | Reason::RefusedByOffice
        | Reason::StarttlsMissingEverywhere
        | Reason::TlsaUnusable
        | Reason::DnssecInvalid
        | Reason::DnsFailed
        | Reason::TlsFailed
        | Reason::LevelNotReachable
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
        | Reason::BudgetSpent => None,
    };
    let general = match kind {
        RefusalKind::CannotEncrypt => "does not accept encrypted mail",
        RefusalKind::CannotAuthenticate => "has mail servers that cannot prove who they are",
        RefusalKind::PolicyViolated => "has mail servers that do not keep what the domain publishes about them",
        RefusalKind::Unknown => "could not be reached safely in time",
        RefusalKind::Undeliverable => "cannot be delivered to",
    };
    format!("{domain} {}", special.unwrap_or(general))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn facts() -> SlipFacts {
        SlipFacts {
            to: Mailbox::parse("gruen@practice.example").unwrap(),
            from: Mailbox::parse("notices@practice.example").unwrap(),
            office: "Maple Street Office".into(),
            recipient: Mailbox::parse("pat@patient.example").unwrap(),
            why: Why::Transport { kind: RefusalKind::CannotEncrypt, reason: Reason::StarttlsNotSupported },
            occasion: Occasion::First,
            attempts: 2,
            last_attempt_at: Timestamp::from_secs(1_700_000_000),
            code: Some(Code::parse("482903157").unwrap()),
            number: Number::parse("R4TM-9KQ2").unwrap(),
            reference: "nj5nwd835t9v1jjg".into(),
            host: "portal.practice.example".into(),
            is_notice_mailed: true,
            until: Timestamp::from_secs(1_702_592_000),
            original_message_id: "<1@practice.example>".into(),
            at: Timestamp::from_secs(1_700_000_000),
            random: [0xab; 16],
        }
    }

    #[test]
    fn a_slip_is_exactly_these_bytes() {
        let expected = "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
            From: \"Maple Street Office\" <notices@practice.example>\r\n\
            To: gruen@practice.example\r\n\
            Message-ID: <abababababababababababababababab@practice.example>\r\n\
            Subject: Secure pickup: please pass on a code\r\n\
            In-Reply-To: <1@practice.example>\r\n\
            X-Wardpost-Slip: 1\r\n\
            Auto-Submitted: auto-generated\r\n\
            MIME-Version: 1.0\r\n\
            Content-Type: text/plain; charset=us-ascii\r\n\
            Content-Transfer-Encoding: 7bit\r\n\
            \r\n\
            Your mail to pat@patient.example waits in secure pickup.\r\n\
            \r\n\
            Reason: patient.example does not accept encrypted mail (checked 2 times,\r\n\
            last 14 November 2023 22:13 UTC).\r\n\
            \r\n\
            Please give them this code: 482 903 157\r\n\
            \r\n\
            By phone or in person, not by e-mail or text.\r\n\
            \r\n\
            Say: go to portal.practice.example, type number R4TM-9KQ2 and the code.\r\n\
            \r\n\
            They also get a short notice by e-mail that a message waits. It names\r\n\
            neither you nor the subject, and not the code.\r\n\
            \r\n\
            The message can be read until 14 December 2023.\r\n";
        let bytes = slip(&facts()).bytes();
        assert_eq!(std::str::from_utf8(bytes.expose()).unwrap(), expected);
    }

    #[test]
    fn the_code_in_a_slip_is_found_by_the_search_of_outgoing_mail() {
        let bytes = slip(&facts()).bytes();
        let text = std::str::from_utf8(bytes.expose()).unwrap();
        assert!(super::super::spoken_forms(text).iter().any(|code| code.digits() == "482903157"));
    }

    #[test]
    fn a_hostile_message_id_adds_no_field() {
        for id in ["<a>\r\nBcc: <x@y>", "<a b>", "a@b", "<>", "<a><b>", "<ü@x>"] {
            let mut facts = facts();
            facts.original_message_id = id.into();
            let bytes = slip(&facts).bytes();
            let text = std::str::from_utf8(bytes.expose()).unwrap();
            assert!(!text.contains("Bcc") && !text.contains("In-Reply-To"), "{id}");
        }
    }

    #[test]
    fn each_reason_and_occasion_has_a_sentence_of_its_own() {
        let text = |why, occasion| {
            let mut facts = facts();
            (facts.why, facts.occasion) = (why, occasion);
            String::from_utf8(slip(&facts).bytes().expose().to_vec()).unwrap().replace("\r\n", " ")
        };
        let transport = |kind, reason| Why::Transport { kind, reason };
        assert!(text(Why::Policy, Occasion::First).contains("your office's rules"));
        assert!(text(transport(RefusalKind::Unknown, Reason::Timeout), Occasion::First).contains("could not be reached safely"));
        assert!(text(transport(RefusalKind::PolicyViolated, Reason::TlsaInvalid), Occasion::First).contains("do not match"));
        assert!(text(Why::Policy, Occasion::AfterTenTries).contains("ten times"));
        let mut void = facts();
        (void.occasion, void.code) = (Occasion::AfterTenTries, None);
        let void = String::from_utf8(slip(&void).bytes().expose().to_vec()).unwrap();
        assert!(void.contains("nj5nwd835t9v1jjg") && !void.contains("give them this code") && !void.contains("R4TM"), "{void}");
        assert!(text(Why::Policy, Occasion::NewCode).contains("The old code no longer works"));
    }
}
