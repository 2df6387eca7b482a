#![no_main]
//! Lines of a client: commands, paths, parameters. An address that is taken is in the line as it was written.

use libfuzzer_sys::fuzz_target;
use wardpost::mail::{AddressPattern, Mailbox};
use wardpost::smtp::command::{self, Command};
use wardpost::smtp::Recipient;

fuzz_target!(|bytes: &[u8]| {
    for line in [bytes.to_vec(), [bytes, b"\r\n"].concat(), [b"MAIL FROM:<", bytes, b">\r\n"].concat(), [b"RCPT TO:<", bytes, b">\r\n"].concat()] {
        match command::parse(&line) {
            Ok(Command::Mail { from, .. }) => {
                if let Some(mailbox) = from.mailbox() {
                    stands_in(&line, mailbox);
                }
            }
            Ok(Command::Rcpt { to: Recipient::Mailbox(mailbox), .. }) => {
                assert!(!mailbox.local().as_str().contains(['%', '!']));
                stands_in(&line, &mailbox);
            }
            Ok(_) => assert!(line.ends_with(b"\r\n") && line.len() <= command::line_octets_max(&line)),
            Err(_) => {}
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = AddressPattern::parse(text);
        if let Ok(mailbox) = Mailbox::parse(text) {
            assert_eq!(Mailbox::parse(&mailbox.to_string()).map(|again| again.to_string()), Ok(mailbox.to_string()));
        }
    }
});

fn stands_in(line: &[u8], mailbox: &Mailbox) {
    let local = mailbox.local().as_str().as_bytes();
    assert!(line.windows(local.len().max(1)).any(|part| part == local));
    assert!(local.len() <= 64 && mailbox.to_string().len() <= 254);
}
