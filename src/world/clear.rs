//! What may pass in clear: the dialogue of a notice, byte for byte.

use crate::escrow::{Notice, Number};
use crate::mail::{Mailbox, ParcelId, Timestamp};

/// What is fixed about every notice of one gateway.
#[derive(Clone, Debug)]
pub struct NoticeTemplate {
    /// The gateway's name in EHLO.
    pub name: String,
    pub from: Mailbox,
    pub office: String,
    /// Host of the portal as it stands in notices.
    pub host: String,
}

/// Reads everything a client sent in clear over one connection. `Ok` holds the recipients of notices in it.
///
/// Each command has to be one of a notice's, and each content has to be the template filled with a parcel, a number
/// and a date: it is written anew from what was read out of it, and compared byte for byte.
///
/// # Errors
/// The first thing that is not a notice's, without repeating it.
pub fn clear_dialogue(template: &NoticeTemplate, clear: &[u8]) -> Result<Vec<Mailbox>, String> {
    let text = std::str::from_utf8(clear).map_err(|_| "bytes that are no text".to_owned())?;
    let mut rest = text;
    let mut recipients = Vec::new();
    let mut recipient: Option<Mailbox> = None;
    while !rest.is_empty() {
        let line = take_line(&mut rest)?;
        if line == format!("EHLO {}", template.name) || ["STARTTLS", "QUIT", "RSET"].contains(&line) {
            continue;
        }
        if let Some(parameters) = line.strip_prefix(&format!("MAIL FROM:<{}>", template.from)) {
            if !parameters.split_whitespace().all(is_plain_parameter) {
                return Err("a parameter of MAIL".into());
            }
        } else if let Some(path) = line.strip_prefix("RCPT TO:<").and_then(|rest| rest.strip_suffix('>')) {
            if recipient.is_some() {
                return Err("a second recipient".into());
            }
            recipient = Some(Mailbox::parse(path).map_err(|_| "a recipient that is no mailbox".to_owned())?);
        } else if line == "DATA" {
            let to = recipient.take().ok_or("content without a recipient")?;
            let (content, after) = rest.split_once("\r\n.\r\n").ok_or("content without an end")?;
            is_notice(template, &to, &format!("{content}\r\n"))?;
            recipients.push(to);
            rest = after;
        } else if let Some(size) = line.strip_prefix("BDAT ").and_then(|rest| rest.strip_suffix(" LAST")) {
            let to = recipient.take().ok_or("content without a recipient")?;
            let size: usize = size.parse().map_err(|_| "a BDAT without size".to_owned())?;
            let (content, after) = rest.split_at_checked(size).ok_or("content that is shorter than announced")?;
            is_notice(template, &to, content)?;
            recipients.push(to);
            rest = after;
        } else {
            return Err("a command that no notice needs".into());
        }
    }
    Ok(recipients)
}

fn take_line<'t>(rest: &mut &'t str) -> Result<&'t str, String> {
    let (line, after) = rest.split_once("\r\n").ok_or("a line without an end")?;
    *rest = after;
    Ok(line)
}

/// The size of a notice says nothing about the message it speaks of.
fn is_plain_parameter(parameter: &str) -> bool {
    parameter == "BODY=7BIT" || parameter.strip_prefix("SIZE=").is_some_and(|size| size.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_notice(template: &NoticeTemplate, to: &Mailbox, content: &str) -> Result<(), String> {
    let between = |before: &str, after: &str| {
        let (_, rest) = content.split_once(before)?;
        rest.split_once(after).map(|(found, _)| found)
    };
    let read = || {
        let locator = ParcelId::parse(between("/m/", "\r\n")?).ok()?;
        let words: Vec<&str> = content.split_whitespace().collect();
        // With its dash: "ordinary" would do as eight characters, too.
        let number =
            words.iter().map(|word| word.trim_end_matches('.')).find(|word| word.find('-') == Some(4) && word.len() == 9)?;
        let number = Number::parse(number).ok()?;
        let at = date(between("Date: ", "\r\n")?)?;
        let random = hex(between("Message-ID: <", "@")?)?;
        Some((locator, number, at, random))
    };
    let (locator, number, at, random) = read().ok_or("content that is no notice")?;
    // The last day is a promise about time alone: one of the next 400.
    let is_same = (0..400).any(|days| {
        let notice = Notice {
            recipient: to.clone(),
            from: template.from.clone(),
            office: template.office.clone(),
            host: template.host.clone(),
            locator,
            number,
            until: at.plus_secs(days * 86_400),
            at,
            random,
        };
        notice.letter().bytes().expose() == content.as_bytes()
    });
    if is_same { Ok(()) } else { Err("content that is not exactly a notice".into()) }
}

/// Reads `Tue, 14 Nov 2023 22:13:20 +0000` back.
fn date(text: &str) -> Option<Timestamp> {
    let mut words = text.split_whitespace().skip(1);
    let day: u32 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let year: i64 = words.next()?.parse().ok()?;
    // The day is found by printing candidates: one calendar is enough.
    let first = (year - 1970) * 365 * 86_400;
    let clock = words.next()?;
    let mut numbers = clock.split(':').map(|number| number.parse::<i64>().ok());
    let of_day = numbers.next()?? * 3600 + numbers.next()?? * 60 + numbers.next()??;
    (0..400 + (year - 1970) / 4)
        .map(|days| Timestamp::from_secs(first + days * 86_400 + of_day))
        .find(|at| at.rfc5322().contains(&format!(", {day} {month} {year} ")))
}

fn hex(text: &str) -> Option<[u8; 16]> {
    let mut out = [0u8; 16];
    if text.len() != 32 {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn template() -> NoticeTemplate {
        NoticeTemplate {
            name: "gw.practice.example".into(),
            from: Mailbox::parse("notice@practice.example").unwrap(),
            office: "Maple Street Office".into(),
            host: "localhost:8443".into(),
        }
    }

    fn dialogue() -> String {
        let template = template();
        let at = Timestamp::from_secs(1_700_000_000);
        let notice = Notice {
            recipient: Mailbox::parse("pat@no-tls.example").unwrap(),
            from: template.from,
            office: template.office,
            host: template.host,
            locator: ParcelId([7; 16]),
            number: Number::from_random([3; 5]),
            until: at.plus_secs(30 * 86_400),
            at,
            random: [9; 16],
        };
        let bytes = notice.letter().bytes();
        let content = std::str::from_utf8(bytes.expose()).unwrap();
        format!(
            "EHLO gw.practice.example\r\nMAIL FROM:<notice@practice.example> SIZE=900\r\nRCPT TO:<pat@no-tls.example>\r\nDATA\r\n{content}.\r\nQUIT\r\n"
        )
    }

    #[test]
    fn the_dialogue_of_a_notice_passes() {
        assert_eq!(
            clear_dialogue(&template(), dialogue().as_bytes()).unwrap(),
            vec![Mailbox::parse("pat@no-tls.example").unwrap()]
        );
        assert_eq!(clear_dialogue(&template(), b"EHLO gw.practice.example\r\nQUIT\r\n").unwrap(), vec![]);
    }

    #[test]
    fn anything_else_in_clear_is_named() {
        let good = dialogue();
        for (what, bad) in [
            ("a word more", good.replace("private message", "private message on diabetes")),
            ("another subject", good.replace("Subject: You have", "Subject: Re: results. You have")),
            ("an identifier", good.replace(" SIZE=900", " SIZE=900 ENVID=abc")),
            ("a sender", good.replace("MAIL FROM:<notice@", "MAIL FROM:<ann@")),
            ("a second recipient", good.replace("DATA\r\n", "RCPT TO:<other@no-tls.example>\r\nDATA\r\n")),
            ("a field", good.replace("Auto-Submitted", "X-Original-Id: 7\r\nAuto-Submitted")),
            ("another name", good.replace("EHLO gw.", "EHLO exchange-01.internal.")),
        ] {
            assert_ne!(bad, good, "{what}");
            assert!(clear_dialogue(&template(), bad.as_bytes()).is_err(), "{what}");
        }
    }
}
