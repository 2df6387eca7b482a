#![no_main]
//! The octets of DATA against the law written as plainly as possible, and back out again. The first octet says how the
//! stream is cut.

use libfuzzer_sys::fuzz_target;
use wardpost::smtp::{ContentFault, ContentReader, DataWriter};

/// The message ends at the first CRLF.CRLF, or at once; a CR or LF alone, or NUL, is a fault.
fn law(wire: &[u8]) -> Option<(Vec<u8>, bool, usize)> {
    let framed = [b"\r\n", wire].concat();
    let end = framed.windows(5).position(|w| w == b"\r\n.\r\n")?;
    let body = &framed[..end + 2];
    let (mut out, mut bare) = (Vec::new(), false);
    for (at, byte) in body.iter().enumerate() {
        let starts = |text: &[u8]| body[..at].ends_with(text);
        match byte {
            b'\r' => bare |= body.get(at + 1) != Some(&b'\n'),
            b'\n' => bare |= !starts(b"\r"),
            0 => bare = true,
            b'.' if starts(b"\r\n") => continue,
            _ => {}
        }
        out.push(*byte);
    }
    Some((out[2..].to_vec(), bare, framed.len() - (end + 5)))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, wire)) = bytes.split_first() else { return };
    let step = usize::from(*first).max(1);
    let mut reader = ContentReader::data(1 << 20);
    let (mut content, mut taken, mut done) = (Vec::new(), 0, false);
    for piece in wire.chunks(step) {
        let fed = reader.feed(piece, &mut content);
        taken += fed.consumed;
        done = fed.done;
        if done {
            break;
        }
        assert_eq!(fed.consumed, piece.len());
    }
    match law(wire) {
        None => assert!(!done),
        Some((expected, bare, left)) => {
            assert!(done && wire.len() - taken == left);
            match reader.fault() {
                Some(ContentFault::BareLineEnd) => assert!(bare),
                Some(_) => {}
                None => {
                    assert!(!bare && content == expected);
                    let (mut writer, mut out) = (DataWriter::new(), Vec::new());
                    for piece in content.chunks(step) {
                        writer.push(piece, &mut out).expect("whole lines");
                    }
                    writer.finish(&mut out).expect("whole lines");
                    assert_eq!(law(&out), Some((content, false, 0)), "what goes out reads back as what came in");
                }
            }
        }
    }
});
