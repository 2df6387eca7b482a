#![no_main]
//! Text to findings: places that exist, on whole characters.

use libfuzzer_sys::fuzz_target;
use wardpost::extract::{Fuel, InProcess, read};
use wardpost::message::parse;
use wardpost::scan::{Scanner, scan};
use wardpost::secret::Plaintext;

fuzz_target!(|bytes: &[u8]| {
    let head = b"From: anna@practice.test\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
    let message = parse(Plaintext::new([head, bytes].concat()));
    let extracted = read(&message, &InProcess, Fuel { bytes: 4 << 20, parts: 200, depth: 4 });
    let findings = scan(Scanner::shared(), &message, &extracted);
    for hit in &findings.hits {
        let text = extracted.texts.get(hit.text).expect("the text of a finding");
        assert!(text.content.get(hit.span.clone()).is_some());
    }
});
