#![no_main]
//! The configuration file: settings or an error that says where.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = wardpost::config::parse("wardpost.toml", text) {
        assert!(!error.to_string().is_empty());
    }
});
