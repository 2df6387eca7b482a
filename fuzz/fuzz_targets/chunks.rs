#![no_main]
//! The octets of BDAT: however they are cut into chunks, the message is the same, and nothing but whole lines is kept.

use libfuzzer_sys::fuzz_target;
use wardpost::smtp::ContentReader;
use wardpost::smtp::data::is_whole_lines;

fn read(wire: &[u8], step: usize) -> (Vec<u8>, bool) {
    let (mut reader, mut content) = (ContentReader::chunks(1 << 20), Vec::new());
    for piece in wire.chunks(step) {
        assert_eq!(reader.feed(piece, &mut content).consumed, piece.len(), "a chunk has no end of its own");
    }
    reader.finish_chunks(&mut content);
    (content, reader.fault().is_some())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, wire)) = bytes.split_first() else { return };
    let whole = read(wire, wire.len().max(1));
    assert_eq!(whole, read(wire, usize::from(*first).max(1)));
    let (content, is_refused) = whole;
    assert!(is_refused || content.is_empty() || is_whole_lines(&content));
    assert!(!is_refused || content.is_empty(), "what is refused is wiped");
});
