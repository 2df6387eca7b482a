#![no_main]
//! Header sections: fields, folded and encoded words, addresses, and DKIM's view of them.

use libfuzzer_sys::fuzz_target;
use wardpost::message::parse;
use wardpost::secret::Plaintext;

fuzz_target!(|bytes: &[u8]| {
    let message = parse(Plaintext::new([bytes, b"\r\n\r\nx\r\n"].concat()));
    for field in message.header().fields() {
        // No character of a header stands for many.
        assert!(field.decoded().len() <= 8 * bytes.len() + 64);
        let _ = field.unfolded();
        for found in field.mailboxes() {
            assert!(found.mailbox.local().as_str().len() <= 64);
        }
        let _ = field.addresses();
    }
});
