#![no_main]
//! Archives, and what is inside them.

mod own;

use libfuzzer_sys::fuzz_target;
use wardpost::extract::{Format, Fuel, InProcess, ReadAttachment};

/// Little fuel, so that one run is short and limits are met often.
const FUEL: Fuel = Fuel { bytes: 4 << 20, parts: 200, depth: 4 };

fuzz_target!(init: own::watch(), |bytes: &[u8]| {
    for format in [Format::Zip, Format::Gzip, Format::Tar] {
        let read = InProcess.read(format, bytes, FUEL);
        assert!(read.texts.iter().map(|(_, text)| text.len() as u64).sum::<u64>() <= 4 * FUEL.bytes + 4 * bytes.len() as u64);
    }
});
