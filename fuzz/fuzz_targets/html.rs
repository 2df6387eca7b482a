#![no_main]
//! HTML as a part or a file.

use libfuzzer_sys::fuzz_target;
use wardpost::extract::{Format, Fuel, InProcess, ReadAttachment, UnreadableWhy};

/// Little fuel, so that one run is short and limits are met often.
const FUEL: Fuel = Fuel { bytes: 4 << 20, parts: 200, depth: 4 };

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Html] {
        let read = InProcess.read(format, bytes, FUEL);
        assert!(!read.unreadable.contains(&UnreadableWhy::Crashed));
        assert!(read.texts.iter().map(|(_, text)| text.len() as u64).sum::<u64>() <= 4 * FUEL.bytes + 4 * bytes.len() as u64);
    }
});
