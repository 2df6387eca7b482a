#![no_main]
//! What strangers publish: MTA-STS policies and records, TLSRPT records, TLSA records.

use libfuzzer_sys::fuzz_target;
use wardpost::mail::Domain;
use wardpost::tlsrpt::{chosen, endpoints};
use wardpost::transport::mta_sts::{MAX_AGE_SECS_MAX, host_matches, parse_policy, parse_txt};
use wardpost::transport::{StsMode, TlsaRecord, dane};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(policy) = parse_policy(bytes, "1") {
        assert!(policy.max_age_secs <= MAX_AGE_SECS_MAX);
        assert!(policy.mode == StsMode::None || !policy.mx.is_empty());
        for pattern in &policy.mx {
            let host = Domain::parse(pattern.trim_start_matches("*.")).expect("a pattern is a host name");
            assert_eq!(host_matches(pattern, &host), !pattern.starts_with("*."));
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let records: Vec<&str> = text.split('\n').collect();
    if let Some(id) = parse_txt(&records) {
        assert!((1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
    for endpoint in endpoints(&records) {
        assert!(chosen(&records).is_some());
        // What is read is written so that it reads the same.
        let written = endpoint.to_string();
        assert_eq!(endpoints(&[format!("v=TLSRPTv1; rua={written}")]).first(), Some(&endpoint), "{written}");
    }
    let tlsa: Vec<TlsaRecord> = bytes
        .chunks(40)
        .filter_map(|chunk| {
            let [usage, selector, matching, association @ ..] = chunk else { return None };
            Some(TlsaRecord { usage: usage % 5, selector: selector % 3, matching: matching % 4, association: association.to_vec() })
        })
        .collect();
    for record in dane::effective(&tlsa) {
        assert!(dane::usable(&record) && tlsa.contains(&record));
        let _ = (dane::matches(&record, bytes), dane::carried_certificate(&record), dane::carried_key(&record));
    }
});
