#![no_main]
//! A text part in a charset that the input's first line names.

use libfuzzer_sys::fuzz_target;
use wardpost::message::parse;
use wardpost::secret::Plaintext;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len().min(16));
    let (label, text) = bytes.split_at(at);
    let head = [b"Content-Type: text/plain; charset=\"", label, b"\"\r\nSubject: =?", label, b"?Q?=FF=FE?=\r\n\r\n", text].concat();
    let message = parse(Plaintext::new(head));
    for part in message.leaves() {
        let shown = part.text(&message).unwrap_or_else(|problem| problem.text());
        assert!(shown.len() <= 4 * bytes.len() + 256);
        for field in part.header.fields() {
            let _ = field.decoded();
        }
    }
});
