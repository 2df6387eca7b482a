#![no_main]
//! Replies of a peer, in pieces: the same reply whatever the pieces, and what it offers.

use libfuzzer_sys::fuzz_target;
use wardpost::smtp::{Offered, ReplyReader};

fuzz_target!(|bytes: &[u8]| {
    let whole = ReplyReader::new().feed(bytes);
    if let Ok((used, Some(reply))) = &whole {
        assert!(*used <= bytes.len() && (200..600).contains(&reply.code));
        let _ = Offered::of(reply);
    }
    let (mut reader, mut kept) = (ReplyReader::new(), Vec::new());
    for byte in bytes {
        kept.push(*byte);
        match reader.feed(&kept) {
            Ok((used, None)) => {
                kept.drain(..used);
            }
            Ok((_, Some(reply))) => {
                if let Ok((_, Some(other))) = &whole {
                    assert_eq!(&reply, other);
                }
                break;
            }
            Err(_) => break,
        }
    }
});
