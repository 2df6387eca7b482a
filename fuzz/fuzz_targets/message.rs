#![no_main]
//! A whole message: MIME, charsets, every format, in this process.

mod own;

use libfuzzer_sys::fuzz_target;
use wardpost::extract::{Fuel, InProcess, read};
use wardpost::message::parse;
use wardpost::secret::Plaintext;

const FUEL: Fuel = Fuel { bytes: 4 << 20, parts: 200, depth: 4 };

fuzz_target!(init: own::watch(), |bytes: &[u8]| {
    let message = parse(Plaintext::new(bytes.to_vec()));
    let read = read(&message, &InProcess, FUEL);
    assert!(read.images.len() <= bytes.len());
});
