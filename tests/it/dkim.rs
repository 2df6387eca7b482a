//! Messages leave with two DKIM signatures that another implementation verifies, with the keys that `wardpost keys`
//! made and the records that it printed.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};
use wardpost::world::World;

use crate::support::{Folder, Gateway, message};

/// Answers from memory: the verifier never asks the network.
struct Cache<K, V>(HashMap<K, V>);

impl<K: Hash + Eq, V: Clone> ResolverCache<K, V> for Cache<K, V> {
    fn get<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get(name).cloned()
    }
    fn remove<Q: Hash + Eq + ?Sized>(&self, _name: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        None
    }
    fn insert(&self, _key: K, _value: V, _valid_until: Instant) {}
}

/// (algorithm, selector, whether it verifies) of each signature.
async fn signatures(content: &[u8], records: &[(String, String)]) -> Vec<(String, String, bool)> {
    let known = records
        .iter()
        .map(|(name, text)| (format!("{name}.").into_boxed_str(), Txt::from(DomainKey::parse(text.as_bytes()).unwrap())));
    let cache = Cache(known.collect());
    let (mx, v4, v6, ptr) = (Cache(HashMap::new()), Cache(HashMap::new()), Cache(HashMap::new()), Cache(HashMap::new()));
    let verifier = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()).unwrap();
    let read = AuthenticatedMessage::parse(content).unwrap();
    let parameters = Parameters {
        params: &read,
        cache_txt: Some(&cache),
        cache_mx: Some(&mx),
        cache_ptr: Some(&ptr),
        cache_ipv4: Some(&v4),
        cache_ipv6: Some(&v6),
    };
    let outputs = verifier.verify_dkim(parameters).await;
    outputs
        .iter()
        .map(|output| {
            let signature = output.signature().unwrap();
            (format!("{:?}", signature.a), signature.s.to_string(), *output.result() == DkimResult::Pass)
        })
        .collect()
}

/// Runs `wardpost keys dkim` and reads what it prints: records to publish, lines to configure.
fn make_keys(folder: &Folder, domain: &str) -> (Vec<(String, String)>, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_wardpost"))
        .args(["keys", "dkim", domain, "--folder"])
        .arg(&folder.0)
        .output()
        .unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let records = printed
        .lines()
        .filter_map(|line| line.split_once(". IN TXT "))
        .map(|(name, strings)| (name.to_owned(), strings.split('"').skip(1).step_by(2).collect::<String>()))
        .collect();
    let configuration = printed
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains(" IN TXT "))
        .map(|line| format!("{line}\n"))
        .collect();
    (records, configuration)
}

#[test]
fn keys_that_are_there_are_never_overwritten_and_no_half_pair_is_made() {
    let folder = Folder::new();
    let run = |folder: &std::path::Path| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_wardpost"))
            .args(["keys", "dkim", "practice.example", "--folder"])
            .arg(folder)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    std::fs::write(folder.0.join("dkim-practice.example-wp1-rsa.key"), "mine").unwrap();
    let (code, printed, error) = run(&folder.0);
    assert!(code == Some(1) && printed.is_empty() && error.contains("wp1-rsa.key") && error.contains("--selector"), "{error}");
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
    let (code, _, error) = run(&folder.0.join("none"));
    assert!(code == Some(1) && error.contains("--folder"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_carries_two_signatures_that_verify_and_only_with_published_keys() {
    let keys = Folder::new();
    let (records, configuration) = make_keys(&keys, "practice.example");
    assert_eq!(records.len(), 2);
    let world = World::start().await.unwrap();
    // The RSA key waits for its record.
    world.zones().set_txt(&records[0].0, &[&records[0].1]).unwrap();
    let gateway = Gateway::start_with(world, |config| config + &configuration).await;
    let to = ["pat@dane-good.example", "sam@verified.example"];
    let signed_by_sender = message("d1@practice.example", &to.join(", "), "Hello", "a line  with   spaces \r\n\r\n.end\r\n\r\n");
    let broken =
        format!("DKIM-Signature: v=1; a=rsa-sha256; d=practice.example; s=old; h=from:to; bh=AAAA; b=AAAA\r\n{signed_by_sender}");
    gateway.submit(&to, &broken).await.unwrap();
    gateway.settle().await;
    for town in ["dane-good.example", "verified.example"] {
        let content = gateway.world.sink(town).unwrap().messages().remove(0).content;
        let found = signatures(&content, &records).await;
        assert_eq!(found, [("Ed25519Sha256".to_owned(), "wp1".to_owned(), true)], "{}", String::from_utf8_lossy(&content));
    }

    // Published and read again: both sign from the next start on.
    let second = records[1].clone();
    let gateway = gateway.restart(|world| world.zones().set_txt(&second.0, &[&second.1]).unwrap()).await;
    gateway
        .submit(&["lee@sts-good.example"], &message("d2@practice.example", "lee@sts-good.example", "Hello", "text"))
        .await
        .unwrap();
    gateway.settle().await;
    let content = gateway.world.sink("sts-good.example").unwrap().messages().remove(0).content;
    let mut found = signatures(&content, &records).await;
    found.sort();
    assert_eq!(
        found,
        [("Ed25519Sha256".to_owned(), "wp1".to_owned(), true), ("RsaSha256".to_owned(), "wp1-rsa".to_owned(), true)],
        "{}",
        String::from_utf8_lossy(&content)
    );
    // A changed recipient, subject or word breaks both.
    let text = String::from_utf8(content).unwrap();
    for (from, to) in [("lee@sts", "leo@sts"), ("Subject: Hello", "Subject: Hullo"), ("\r\n\r\ntext", "\r\n\r\ntexts")] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let found = signatures(changed.as_bytes(), &records).await;
        assert!(found.iter().all(|(.., is_good)| !is_good), "{from}: {found:?}");
    }
    // A second subject above the first is no way round the signature.
    let found = signatures(format!("Subject: another\r\n{text}").as_bytes(), &records).await;
    assert!(found.iter().all(|(.., is_good)| !is_good), "{found:?}");
    gateway.stop().await;
}
