#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::mail::Timestamp;
use crate::secret::Pseudonym;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn signer() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn sign(bytes: &[u8]) -> Vec<u8> {
    signer().sign(bytes).as_ref().to_vec()
}

fn key() -> Vec<u8> {
    signer().public_key().as_ref().to_vec()
}

fn record(n: u64) -> Record {
    let mut record = Record::of(if n.is_multiple_of(3) { Event::Delivered } else { Event::Decided }, NOW.plus_secs(n as i64));
    record.message = Some(format!("message-{n}"));
    record.recipient = Some(Pseudonym::of(format!("recipient-{}", n % 5)));
    record.message_id = n.is_multiple_of(2).then(|| Pseudonym::of(format!("id-{n}")));
    record.domain = Some("klinik-münchen.example".into());
    record.rules = vec!["ssn".into(), "\"quoted\"\\".into()];
    record
}

fn salt(seq: u64) -> [u8; 32] {
    std::array::from_fn(|i| (seq as u8).wrapping_add(i as u8))
}

/// A log of `size` entries and its head.
fn log(size: u64) -> (Vec<Entry>, String) {
    let mut end = End::EMPTY;
    let mut entries = Vec::new();
    for seq in 1..=size {
        let (chained, pseudonyms) = commit(record(seq), &salt(seq));
        end = end.then(chained.as_bytes());
        entries.push(Entry { seq, chained, pseudonyms, hash: end.hash });
    }
    (entries, sign_head(end, None, NOW, &key(), sign))
}

fn rekey(field: &'static str, pseudonym: &Pseudonym) -> Pseudonym {
    Pseudonym::of(format!("export-1-{field}-{}", pseudonym.as_str().len()))
}

fn export(size: u64) -> String {
    let (entries, head) = log(size);
    export_lines("x", &BEFORE_THE_FIRST, &entries, &head, NOW, rekey, sign)
}

/// Small and repeatable; the same mutations on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// One way of tampering: a flipped bit, or a line deleted, repeated, moved, or the end cut off.
fn tampered(text: &str, dice: &mut Dice) -> Vec<u8> {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let n = lines.len();
    match dice.below(6) {
        0 => drop(lines.remove(dice.below(n))),
        1 => {
            let at = dice.below(n);
            lines.insert(dice.below(n), lines[at]);
        }
        2 => {
            let (a, b) = (dice.below(n), dice.below(n - 1));
            lines.swap(a, if b >= a { b + 1 } else { b });
        }
        3 => return text.as_bytes()[..dice.below(text.len())].to_vec(),
        _ => {
            let mut bytes = text.as_bytes().to_vec();
            bytes[dice.below(text.len())] ^= 1 << dice.below(8);
            return bytes;
        }
    }
    lines.concat().into_bytes()
}

fn is_good(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| verify_export(text, Some(&key())).is_good())
}

#[test]
fn an_export_verifies_and_a_thousand_mutations_do_not() {
    let text = export(40);
    let report = verify_export(&text, Some(&key()));
    assert!(report.is_good(), "{report}");
    assert_eq!((report.from, report.to, report.head.unwrap().size), (1, 40, 40));
    let mut dice = Dice(0x5eed);
    let mut tried = 0;
    while tried < 1000 {
        let bytes = tampered(&text, &mut dice);
        if bytes != text.as_bytes() {
            assert!(!is_good(&bytes), "mutation {tried}");
            tried += 1;
        }
    }
}

#[test]
fn without_any_signature_the_chain_alone_finds_changed_moved_and_missing_entries() {
    let (entries, head) = log(30);
    // Whoever can sign exports, but not heads anew, gains nothing: the entries must hash up to the head.
    let seal = |entries: &[Entry]| {
        let text = export_lines("x", &BEFORE_THE_FIRST, entries, &head, NOW, rekey, sign);
        verify_export(&text, Some(&key())).problems
    };
    assert!(seal(&entries).is_empty());
    let mut changed = entries.clone();
    changed[10].chained = changed[10].chained.replace("ssn", "mrn");
    assert_eq!(seal(&changed), [Problem::Hash { seq: 11 }]);
    let mut swapped = entries.clone();
    swapped.swap(3, 4);
    assert_eq!(seal(&swapped), [Problem::Sequence { line: 5, expected: 4, found: 5 }]);
    assert_eq!(seal(&entries[..29]), [Problem::NotTheEnd { head: 30, last: 29 }]);
    assert_eq!(seal(&entries[1..]), [Problem::Hash { seq: 2 }], "the start still says what came before");
    let mut rechained = entries.clone();
    let mut end = End::EMPTY;
    for entry in &mut rechained {
        entry.chained = entry.chained.replace("ssn", "mrn");
        end = end.then(entry.chained.as_bytes());
        entry.hash = end.hash;
    }
    assert_eq!(seal(&rechained), [Problem::NotTheHeadsEntry]);
}

#[test]
fn a_part_of_the_log_verifies_as_a_part() {
    let (entries, head) = log(20);
    let text = export_lines("x", &entries[9].hash, &entries[10..], &head, NOW, rekey, sign);
    let report = verify_export(&text, Some(&key()));
    assert!(report.is_good(), "{report}");
    assert_eq!((report.from, report.to), (11, 20));
    assert!(report.to_string().contains("entries before 11 are not in this file"));
    let empty = export_lines("x", &BEFORE_THE_FIRST, &[], &log(0).1, NOW, rekey, sign);
    assert!(verify_export(&empty, None).is_good());
}

#[test]
fn another_key_and_a_head_that_was_kept_elsewhere_are_compared() {
    let text = export(20);
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let report = verify_export(&text, Some(other.public_key().as_ref()));
    assert!(matches!(report.problems[..], [Problem::OtherKey { .. }]));
    for size in [0, 1, 12, 20] {
        assert!(verify_export_and_head(&text, None, Some(&log(size).1)).is_good(), "{size}");
    }
    // The log was rewritten after the head had been taken away.
    let elsewhere = sign_head(End { size: 12, hash: [9; 32] }, None, NOW, &key(), sign);
    assert_eq!(verify_export_and_head(&text, None, Some(&elsewhere)).problems, [Problem::NotTheHeldHead]);
    let later = sign_head(End { size: 21, hash: [9; 32] }, None, NOW, &key(), sign);
    assert_eq!(verify_export_and_head(&text, None, Some(&later)).problems, [Problem::NotTheHeldHead]);
    let forged = sign_head(End { size: 12, hash: [9; 32] }, None, NOW, &key(), |_| vec![0; 64]);
    assert_eq!(verify_export_and_head(&text, None, Some(&forged)).problems, [Problem::HeldHead]);
}

#[test]
fn heads_name_the_head_before_them() {
    let first = sign_head(End::EMPTY, None, NOW, &key(), sign);
    let second = sign_head(End { size: 1, hash: [1; 32] }, Some(&first), NOW, &key(), sign);
    let (head, signed_by) = open_head(&second).unwrap();
    assert_eq!(signed_by, key());
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, first.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(head.previous_head, hash);
    assert_eq!(open_head(&first).unwrap().0.previous_head, "0".repeat(64));
}

#[test]
fn chained_bytes_hold_commitments_that_open_one_by_one() {
    let record = record(2);
    let (chained, pseudonyms) = commit(record.clone(), &salt(2));
    assert!(!chained.contains("recipient-2") && !chained.contains("id-2"));
    let parsed: Record = serde_json::from_str(&chained).unwrap();
    let recipient = pseudonyms.recipient.clone().unwrap();
    let opened = commitment(&field_salt(&salt(2), "recipient"), "recipient", &recipient);
    assert_eq!(parsed.recipient.as_ref().unwrap().as_str(), opened);
    assert_ne!(commitment(&field_salt(&salt(3), "recipient"), "recipient", &recipient), opened, "same person, other entry");
    assert_eq!(serde_json::from_str::<Record>(&reveal(parsed, &pseudonyms)).unwrap(), record);
    assert!(commit(Record::of(Event::Started, NOW), &salt(1)).1.is_empty());
}

#[test]
fn exports_name_people_differently_and_hash_alike() {
    let (entries, head) = log(4);
    let with = |word: &'static str| {
        export_lines(
            "x",
            &BEFORE_THE_FIRST,
            &entries,
            &head,
            NOW,
            |_, p| Pseudonym::of(format!("{word}{}", p.as_str().len())),
            sign,
        )
    };
    let (one, two) = (with("one"), with("two"));
    assert!(!one.contains("recipient-1") && one.contains("one11") && !two.contains("one11"));
    assert!(verify_export(&one, None).is_good() && verify_export(&two, None).is_good());
}

/// Two entries about one recipient, and the signed proof of the delivery.
fn proof_of(change: impl Fn(&mut Statement)) -> String {
    let mut end = End::EMPTY;
    let mut entries = Vec::new();
    for (seq, event) in [(1, Event::Decided), (2, Event::Delivered)] {
        let mut one = record(seq);
        (one.event, one.message, one.recipient) = (event, Some("m1".into()), Some(Pseudonym::of("pat".into())));
        one.required = Some("verified".into());
        one.proof = (event == Event::Delivered).then(|| Proven {
            level: "authenticated".into(),
            method: "dane".into(),
            host: "mx.klinik-münchen.example".into(),
            tls: "TLSv1.3".into(),
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
            chain_sha256: "ab".repeat(32),
            plan_sha256: "cd".repeat(32),
        });
        let (chained, _) = commit(one, &salt(seq));
        let previous = end.hash;
        end = end.then(chained.as_bytes());
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        entries.push(ProofEntry {
            seq,
            previous_hash: hex(&previous),
            record: chained,
            hash: hex(&end.hash),
            recipient_salt: hex(&field_salt(&salt(seq), "recipient")),
            recipient_pseudonym: Pseudonym::of("pat".into()),
        });
    }
    let mut made = statement("pat@klinik-münchen.example", entries, NOW, &key()).unwrap();
    change(&mut made);
    sign_proof(&made, &key(), sign)
}

#[test]
fn a_proof_verifies_and_any_flipped_bit_is_found() {
    let good = proof_of(|_| {});
    let stated = verify_proof(&good, Some(&key())).unwrap();
    assert_eq!((stated.shown.method.as_str(), stated.entries.len()), ("dane", 2));
    assert_eq!(verify_proof(&good, Some(&[1; 32])).unwrap_err().to_string().split(' ').next(), Some("it"));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone().into_bytes();
            bad[at] ^= 1 << bit;
            let is_found = String::from_utf8(bad).map_or(true, |bad| verify_proof(&bad, None).is_err());
            assert!(is_found, "bit {bit} of octet {at}");
        }
    }
}

/// What the gateway itself would have to do to say more than its log: every such statement falls, signed or not.
#[test]
fn a_statement_that_is_not_what_the_entries_say_is_refused_whoever_signed_it() {
    type Change = fn(&mut Statement);
    let cases: &[(&str, Change)] = &[
        ("another level", |stated| stated.shown.level = "verified".into()),
        ("another host", |stated| stated.shown.host = "mx.elsewhere.example".into()),
        ("another requirement", |stated| stated.required = "encrypted".into()),
        ("another time", |stated| stated.delivered_at = NOW),
        ("another sentence", |stated| stated.sentence = "All is well.".into()),
        ("no limits", |stated| stated.limits.clear()),
        ("another message", |stated| stated.message = "m2".into()),
        ("another key", |stated| stated.key_id = "0".repeat(16)),
        ("the delivery left out", |stated| drop(stated.entries.pop())),
        ("nothing at all", |stated| stated.entries.clear()),
        ("another place in the log", |stated| stated.entries[1].seq = 3),
        ("another entry before", |stated| stated.entries[1].previous_hash = "0".repeat(64)),
        ("another person", |stated| stated.entries[1].recipient_pseudonym = Pseudonym::of("lee".into())),
        ("another salt", |stated| stated.entries[0].recipient_salt = "0".repeat(64)),
        ("changed bytes", |stated| stated.entries[1].record = stated.entries[1].record.replace("dane", "pin")),
    ];
    for (name, change) in cases {
        assert!(verify_proof(&proof_of(change), None).is_err(), "{name}");
    }
}
