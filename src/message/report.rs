//! Reports to the sender: multipart/report (RFC 6522) with a delivery status (RFC 3464).
//!
//! Nothing of the message's content is in them, and no text of a remote server that was not masked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Header, compose};
use crate::mail::{EnhancedCode, Mailbox, Timestamp};

/// What became of a recipient's copy (RFC 3464, section 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    Failed,
    Delayed,
    Delivered,
    /// Given to a server that does not report deliveries.
    Relayed,
    /// Kept in the portal, which reports none either.
    InPortal,
}

impl ReportKind {
    fn action(self) -> &'static str {
        match self {
            ReportKind::Failed => "failed",
            ReportKind::Delayed => "delayed",
            ReportKind::Delivered => "delivered",
            ReportKind::Relayed | ReportKind::InPortal => "relayed",
        }
    }

    fn headline(self) -> &'static str {
        match self {
            ReportKind::Failed => "Not sent",
            ReportKind::Delayed => "Not sent yet",
            ReportKind::Delivered => "Delivered",
            ReportKind::Relayed => "Passed on",
            ReportKind::InPortal => "Waiting in the portal",
        }
    }
}

/// One recipient in a report.
pub struct ReportedRecipient<'a> {
    pub kind: ReportKind,
    pub recipient: &'a Mailbox,
    /// `ORCPT` as the client wrote it (RFC 3461, section 4.2).
    pub orcpt: Option<&'a str>,
    pub status: EnhancedCode,
    /// One sentence for people: why.
    pub why: &'a str,
    /// One sentence for people: what they can do.
    pub action: &'a str,
    /// The remote server's answer, already through [`mask_reply_text`].
    pub diagnostic: Option<&'a str>,
    /// The remote server's name.
    pub remote_mta: Option<&'a str>,
    /// When it was last tried, if it was (RFC 3464, section 2.3.7).
    pub tried_at: Option<Timestamp>,
    /// For a delay: when trying ends (RFC 3464, section 2.3.9).
    pub retry_until: Option<Timestamp>,
}

/// A report to be written. Its reverse-path is null (RFC 3461, section 6.1): that is the sending side's matter.
pub struct Report<'a> {
    /// Neutral address of the house.
    pub from: &'a Mailbox,
    pub from_name: Option<&'a str>,
    pub to: &'a Mailbox,
    pub reporting_mta: &'a str,
    /// Of the report itself, with angle brackets.
    pub message_id: &'a str,
    /// Drawn by the caller: letters and digits.
    pub boundary: &'a str,
    pub now: Timestamp,
    /// When the message came in.
    pub arrival: Timestamp,
    /// `ENVID` as the client wrote it (RFC 3461, section 4.4).
    pub envid: Option<&'a str>,
    /// Our reference for the message.
    pub reference: &'a str,
    pub recipients: &'a [ReportedRecipient<'a>],
    /// Header section of the message reported on.
    pub original: Option<&'a Header>,
}

/// Writes the report: plain words, then the part for programs, then a few header fields of the original.
#[must_use]
pub fn report(report: &Report<'_>) -> Vec<u8> {
    let mut out = head(report);
    let boundary = report.boundary;
    out.extend_from_slice(b"\r\n");
    part(&mut out, boundary, "Content-Type: text/plain; charset=utf-8", &words(report));
    part(&mut out, boundary, "Content-Type: message/delivery-status", &status(report));
    part(&mut out, boundary, "Content-Type: text/rfc822-headers", &original(report.original));
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

fn head(report: &Report<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let strongest = report.recipients.iter().map(|r| r.kind).find(|kind| *kind == ReportKind::Failed);
    let headline = strongest.or(report.recipients.first().map(|r| r.kind)).map_or("Report", ReportKind::headline);
    compose::field(&mut out, "From", &compose::mailbox(report.from_name, report.from));
    compose::field(&mut out, "To", &report.to.to_string());
    compose::field(&mut out, "Subject", &format!("{headline}: your message (reference {})", report.reference));
    compose::field(&mut out, "Date", &report.now.rfc5322());
    compose::field(&mut out, "Message-ID", report.message_id);
    if let Some(id) = report.original.and_then(original_id) {
        compose::field(&mut out, "In-Reply-To", &id);
        compose::field(&mut out, "References", &id);
    }
    compose::field(&mut out, "Auto-Submitted", "auto-replied");
    compose::field(&mut out, "MIME-Version", "1.0");
    let kind = format!("multipart/report; report-type=delivery-status; boundary=\"{}\"", report.boundary);
    compose::field(&mut out, "Content-Type", &kind);
    out
}

/// The original's Message-ID, if it is one (RFC 5322, section 3.6.4).
fn original_id(header: &Header) -> Option<String> {
    let id = header.first("Message-ID")?.unfolded();
    let is_id = id.len() <= 250
        && id.starts_with('<')
        && id.ends_with('>')
        && id.contains('@')
        && id.bytes().all(|b| (b'!'..=b'~').contains(&b));
    is_id.then_some(id)
}

/// One part; text beyond ASCII travels as base64, so that the report needs no 8BITMIME.
fn part(out: &mut Vec<u8>, boundary: &str, content_type: &str, text: &str) {
    out.extend_from_slice(format!("--{boundary}\r\n{content_type}\r\n").as_bytes());
    if text.is_ascii() {
        out.extend_from_slice(format!("\r\n{text}\r\n").as_bytes());
        return;
    }
    out.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
    for line in STANDARD.encode(text).as_bytes().chunks(76) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn words(report: &Report<'_>) -> String {
    let mut out = String::new();
    for recipient in report.recipients {
        let (why, action) = (sentence(recipient.why), sentence(recipient.action));
        out.push_str(&format!("{}: {}.\r\n", recipient.kind.headline(), recipient.recipient));
        if !why.is_empty() {
            out.push_str(&format!("Why: {why}\r\n"));
        }
        if !action.is_empty() {
            out.push_str(&format!("What you can do: {action}\r\n"));
        }
        out.push_str("\r\n");
    }
    out.push_str(&format!("Nothing was sent unprotected.\r\nReference {}.\r\n", report.reference));
    out
}

/// One line that ends like a sentence.
fn sentence(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim().trim_end_matches('.');
    if line.is_empty() || line.ends_with(['!', '?']) { line.to_owned() } else { format!("{line}.") }
}

fn status(report: &Report<'_>) -> String {
    let mut out = Vec::new();
    compose::field(&mut out, "Reporting-MTA", &format!("dns; {}", printable(report.reporting_mta)));
    if let Some(envid) = report.envid {
        compose::field(&mut out, "Original-Envelope-Id", &xtext(envid));
    }
    compose::field(&mut out, "Arrival-Date", &report.arrival.rfc5322());
    for recipient in report.recipients {
        out.extend_from_slice(b"\r\n");
        // RFC 3464, section 2.3: the original recipient stands first.
        if let Some((kind, address)) = recipient.orcpt.and_then(|orcpt| orcpt.split_once(';')) {
            let is_utf8 = kind.trim().eq_ignore_ascii_case("utf-8");
            let address = if is_utf8 { printable(address) } else { xtext(address) };
            compose::field(&mut out, "Original-Recipient", &format!("{}; {address}", printable(kind)));
        }
        compose::field(&mut out, "Final-Recipient", &typed_address(recipient.recipient));
        compose::field(&mut out, "Action", recipient.kind.action());
        compose::field(&mut out, "Status", &recipient.status.to_string());
        if let Some(remote) = recipient.remote_mta {
            compose::field(&mut out, "Remote-MTA", &format!("dns; {}", printable(remote)));
        }
        if let Some(diagnostic) = recipient.diagnostic {
            compose::field(&mut out, "Diagnostic-Code", &format!("smtp; {}", printable(diagnostic)));
        }
        if let Some(at) = recipient.tried_at {
            compose::field(&mut out, "Last-Attempt-Date", &at.rfc5322());
        }
        if let Some(until) = recipient.retry_until {
            compose::field(&mut out, "Will-Retry-Until", &until.rfc5322());
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `rfc822; address`, or the all-ASCII form of `utf-8; address` (RFC 6533, section 3).
fn typed_address(mailbox: &Mailbox) -> String {
    let address = mailbox.to_string();
    if address.is_ascii() {
        return format!("rfc822; {address}");
    }
    let mut out = String::from("utf-8; ");
    for c in address.chars() {
        if c.is_ascii() && c != '\\' && c != '+' && c != '=' {
            out.push(c)
        } else {
            out.push_str(&format!("\\x{{{:X}}}", u32::from(c)))
        }
    }
    out
}

/// xtext undone (RFC 3461, section 4), as far as printable ASCII comes out of it.
fn xtext(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('+') {
        out.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                out.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push('+');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    printable(&out)
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c)).take(TEXT_MAX).collect()
}

/// The few fields by which a person finds the message again. The subject is not repeated: it names patients.
fn original(header: Option<&Header>) -> String {
    let mut out = Vec::new();
    let Some(header) = header else { return "Subject: (not shown)\r\n".to_owned() };
    if let Some(date) = header.first("Date").map(|field| field.unfolded()) {
        compose::field(&mut out, "Date", &printable(&date));
    }
    for named in header.first("From").map(super::Field::mailboxes).unwrap_or_default() {
        // The address alone: it is the reader's own.
        compose::field(&mut out, "From", &printable(&named.mailbox.to_string()));
    }
    if let Some(id) = original_id(header) {
        compose::field(&mut out, "Message-ID", &id);
    }
    compose::field(&mut out, "Subject", "(not shown)");
    String::from_utf8_lossy(&out).into_owned()
}

/// Longest masked text: a reply of several lines needs no more to be understood.
const TEXT_MAX: usize = 400;

/// A remote server's reply as people and logs may see it: code, enhanced code, printable ASCII in which addresses
/// and groups of digits are masked. Servers repeat addresses, names of files and subjects in their replies.
#[must_use]
pub fn mask_reply_text(code: u16, enhanced: Option<EnhancedCode>, lines: &[String]) -> String {
    let mut out = match enhanced {
        Some(enhanced) => format!("{code} {enhanced}"),
        None => code.to_string(),
    };
    for word in lines.iter().flat_map(|line| line.split(|c: char| c.is_whitespace() || c.is_control())) {
        if word.is_empty() {
            continue;
        }
        if out.len() >= TEXT_MAX {
            out.push_str(" ...");
            break;
        }
        out.push(' ');
        masked_word(word, &mut out);
    }
    out
}

/// One word: an address inside it becomes `[address]`, two or more digits in a row become `#`.
fn masked_word(word: &str, out: &mut String) {
    let lower = word.to_ascii_lowercase();
    if word.contains(['@', '\u{ff20}']) || lower.contains("%40") || lower.contains("=40") || lower.contains("&#64") {
        out.push_str("[address]");
        return;
    }
    let mut digits = 0usize;
    let mut last = None;
    for c in word.chars().take(WORD_MAX) {
        if c.is_numeric() {
            digits += 1;
            last = Some(c);
            continue;
        }
        end_digits(&mut digits, last, out);
        out.push(if c.is_ascii_graphic() { c } else { '?' });
    }
    end_digits(&mut digits, last, out);
}

/// Longest word repeated from a reply.
const WORD_MAX: usize = 80;

fn end_digits(digits: &mut usize, last: Option<char>, out: &mut String) {
    match (std::mem::take(digits), last) {
        (0, _) | (_, None) => {}
        (1, Some(digit)) if digit.is_ascii() => out.push(digit),
        _ => out.push('#'),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::secret::Plaintext;

    fn written(recipient: &str, orcpt: Option<&str>, kind: ReportKind) -> String {
        let original = parse(Plaintext::new(
            b"From: Doc <doc@x.example>\r\nSubject: Biopsy of Jane Roe\r\nMessage-ID: <42@x.example>\r\nDate: Tue, 24 Nov 2026 09:00:00 +0000\r\nTo: jane@y.example\r\n\r\nJane's biopsy\r\n".to_vec(),
        ));
        let recipient = Mailbox::parse(recipient).unwrap();
        let diagnostic = mask_reply_text(550, Some(EnhancedCode(5, 1, 1)), &["<jane@y.example>: no such user 12345".to_owned()]);
        let bytes = report(&Report {
            from: &Mailbox::parse("postmaster@x.example").unwrap(),
            from_name: Some("Mail gateway"),
            to: &Mailbox::parse("doc@x.example").unwrap(),
            reporting_mta: "gw.x.example",
            message_id: "<r1@gw.x.example>",
            boundary: "b0undary",
            now: Timestamp::from_secs(1_700_000_000),
            arrival: Timestamp::from_secs(1_699_999_000),
            envid: Some("QQ+2B314"),
            reference: "7k2q9",
            recipients: &[ReportedRecipient {
                kind,
                recipient: &recipient,
                orcpt,
                status: EnhancedCode(5, 1, 1),
                why: "the address does not exist",
                action: "Check the address and send again.",
                diagnostic: Some(&diagnostic),
                remote_mta: Some("mx.y.example"),
                tried_at: Some(Timestamp::from_secs(1_700_000_000)),
                retry_until: None,
            }],
            original: Some(original.header()),
        });
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_report_says_it_in_words_first_and_for_programs_second() {
        let text = written("jane@y.example", Some("rfc822;Jane+2Bx@y.example"), ReportKind::Failed);
        let message = parse(Plaintext::new(text.clone().into_bytes()));
        assert_eq!(message.problems(), []);
        let kinds: Vec<&str> = message.leaves().iter().map(|part| part.media_type.as_str()).collect();
        assert_eq!(kinds, ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
        let words = message.leaves()[0].text(&message).unwrap();
        assert_eq!(
            words.replace("\r\n", "|"),
            "Not sent: jane@y.example.|Why: the address does not exist.|What you can do: Check the address and send again.||\
             Nothing was sent unprotected.|Reference 7k2q9.|"
        );
        let status = message.leaves()[1].text(&message).unwrap();
        for line in [
            "Reporting-MTA: dns; gw.x.example\r\n",
            "Original-Envelope-Id: QQ+314\r\n",
            "Original-Recipient: rfc822; Jane+x@y.example\r\nFinal-Recipient: rfc822; jane@y.example\r\nAction: failed\r\nStatus: 5.1.1\r\n",
            "Remote-MTA: dns; mx.y.example\r\n",
            "Diagnostic-Code: smtp; 550 5.1.1 [address] no such user #\r\nLast-Attempt-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
        ] {
            assert!(status.contains(line), "{line} in {status}");
        }
        assert_eq!(message.header().first("In-Reply-To").unwrap().value(), b"<42@x.example>");
        assert_eq!(message.header().first("Auto-Submitted").unwrap().value(), b"auto-replied");
    }

    #[test]
    fn a_report_repeats_neither_subject_nor_content_nor_other_names() {
        let text = written("jane@y.example", None, ReportKind::Failed);
        for secret in ["Biopsy", "biopsy", "Roe", "12345"] {
            assert!(!text.contains(secret), "{secret}");
        }
        assert!(text.contains("Subject: (not shown)"));
    }

    #[test]
    fn addresses_beyond_ascii_leave_the_report_ascii() {
        let text = written("jürgen@bücher.example", None, ReportKind::Delayed);
        assert!(text.is_ascii());
        assert!(text.contains("Final-Recipient: utf-8; j\\x{FC}rgen@"), "{text}");
        let message = parse(Plaintext::new(text.into_bytes()));
        assert_eq!(message.problems(), []);
        assert!(message.leaves()[0].text(&message).unwrap().starts_with("Not sent yet: jürgen@"));
    }

    #[test]
    fn replies_are_masked_whatever_a_server_repeats() {
        for (line, expected) in [
            ("no such user <ann@x.example>", "550 no such user [address]"),
            ("SSN 123-45-6789 in subject", "550 SSN #-#-# in subject"),
            ("see http://x.example/?q=ann%40y", "550 see [address]"),
            ("line 1 of 2", "550 line 1 of 2"),
            ("Grüße\u{7} \u{661}\u{662}", "550 Gr??e #"),
            ("a\r\nb", "550 a b"),
        ] {
            assert_eq!(mask_reply_text(550, None, &[line.to_owned()]), expected);
        }
        assert!(mask_reply_text(451, Some(EnhancedCode(4, 7, 1)), &vec!["word ".repeat(100); 50]).len() < 500);
    }
}
