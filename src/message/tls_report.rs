//! The letter that carries a report about TLS (RFC 8460, section 5.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::compose;
use crate::mail::{Mailbox, Timestamp};

/// A report about TLS by mail.
pub struct TlsReportLetter<'a> {
    pub from: &'a Mailbox,
    pub to: &'a Mailbox,
    /// Domain that is reported on.
    pub domain: &'a str,
    /// Our name.
    pub submitter: &'a str,
    pub report_id: &'a str,
    /// With angle brackets.
    pub message_id: &'a str,
    /// Drawn by the caller: letters and digits.
    pub boundary: &'a str,
    pub start: Timestamp,
    pub end: Timestamp,
    pub now: Timestamp,
    /// The report, compressed.
    pub gzip: &'a [u8],
}

/// Header section and body, 7-bit.
#[must_use]
pub fn tls_report(letter: &TlsReportLetter<'_>) -> (Vec<u8>, Vec<u8>) {
    let TlsReportLetter { domain, submitter, report_id, boundary, .. } = letter;
    let mut header = Vec::new();
    compose::field(&mut header, "From", &letter.from.to_string());
    compose::field(&mut header, "To", &letter.to.to_string());
    compose::field(&mut header, "Subject", &format!("Report Domain: {domain} Submitter: {submitter} Report-ID: <{report_id}>"));
    compose::field(&mut header, "Date", &letter.now.rfc5322());
    compose::field(&mut header, "Message-ID", letter.message_id);
    compose::field(&mut header, "TLS-Report-Domain", domain);
    compose::field(&mut header, "TLS-Report-Submitter", submitter);
    compose::field(&mut header, "Auto-Submitted", "auto-generated");
    compose::field(&mut header, "MIME-Version", "1.0");
    compose::field(&mut header, "Content-Type", &format!("multipart/report; report-type=\"tlsrpt\"; boundary=\"{boundary}\""));
    let (start, end) = (letter.start.secs(), letter.end.secs());
    let mut body = format!(
        "--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         This is a report about TLS from {submitter} to {domain}.\r\nIt says how connections to its mail hosts went; RFC 8460 \
         explains it.\r\n\r\n\
         --{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment;\r\n filename=\"{submitter}!{domain}!{start}!{end}.json.gz\"\r\n\r\n"
    )
    .into_bytes();
    for line in STANDARD.encode(letter.gzip).as_bytes().chunks(76) {
        body.extend_from_slice(line);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (header, body)
}
