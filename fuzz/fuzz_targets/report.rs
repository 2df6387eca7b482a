#![no_main]
//! Reports to senders, with what a remote server said and what a client wrote: no line of either becomes a header field.

use libfuzzer_sys::fuzz_target;
use wardpost::mail::{EnhancedCode, Mailbox, Timestamp};
use wardpost::message::{Report, ReportKind, ReportedRecipient, mask_reply_text, parse, report};
use wardpost::secret::Plaintext;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let diagnostic = mask_reply_text(550, None, &lines);
    let original = parse(Plaintext::new([bytes, b"\r\n\r\n"].concat()));
    let (house, sender) = (Mailbox::parse("post@practice.test").unwrap(), Mailbox::parse("anna@practice.test").unwrap());
    let recipient = ReportedRecipient {
        kind: ReportKind::Failed,
        recipient: &sender,
        orcpt: Some(&text),
        status: EnhancedCode(5, 1, 1),
        why: "It was refused.",
        action: "Call.",
        diagnostic: Some(&diagnostic),
        remote_mta: Some("mx.example"),
        tried_at: None,
        retry_until: None,
    };
    let letter = report(&Report {
        from: &house,
        from_name: Some("Practice"),
        to: &sender,
        reporting_mta: "gate.practice.test",
        message_id: "<1@practice.test>",
        boundary: "boundary0123456789",
        now: Timestamp::from_secs(1_700_000_000),
        arrival: Timestamp::from_secs(1_700_000_000),
        envid: Some(&text),
        reference: "R1",
        recipients: &[recipient],
        original: Some(original.header()),
    });
    let read = parse(Plaintext::new(letter.clone()));
    assert_eq!(read.header().all("To").count(), 1);
    assert!(read.header().all("Bcc").next().is_none());
    assert_eq!(read.leaves().len(), 3, "{}", String::from_utf8_lossy(&letter));
    // Whole lines, none of them longer than SMTP carries.
    assert!(letter.split_inclusive(|byte| *byte == b'\n').all(|line| line.ends_with(b"\r\n") && line.len() <= 1000));
});
