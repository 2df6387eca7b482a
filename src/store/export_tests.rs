//! A log as the store kept it, exported, and judged by both verifiers: ours and `deploy/verify.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::audit::{Event, FindingCount, open_head, verify_export, verify_export_and_head};
use crate::vault::Vault;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/verify.py");

struct World {
    folder: PathBuf,
    vault: Arc<Vault>,
    store: Handle,
}

impl World {
    fn new() -> World {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("wardpost-export-{}-{n}", std::process::id()));
        let vault = Arc::new(Vault::ephemeral());
        let settings = Settings { folder: folder.clone(), body_file_bytes: 1000 };
        let store = Handle::open(settings, Arc::clone(&vault)).unwrap();
        World { folder, vault, store }
    }

    async fn append(&self, count: u64) {
        let records = (0..count).map(|n| {
            let mut record = Record::of(Event::Decided, NOW.plus_secs(n as i64));
            record.message = Some(QueueId([n as u8; 10]).to_string());
            record.recipient = Some(self.vault.pseudonym("mailbox", "anna@klinik.example"));
            record.domain = Some("klinik.example".into());
            record.findings = vec![FindingCount { kind: "ssn \"ü\\".into(), count: 2 }];
            record
        });
        self.store.append(records.collect()).await.unwrap();
    }

    async fn export(&self, from: u64) -> String {
        let mut text = String::new();
        let sink = |part: &str| {
            text.push_str(part);
            Ok(())
        };
        self.store.export(&self.vault, from, NOW, sink).await.unwrap();
        text
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn an_export_of_the_store_verifies_whole_and_in_part() {
    let world = World::new();
    assert!(verify_export(&world.export(1).await, Some(&world.vault.verifying_key())).is_good(), "empty");
    world.append(600).await;
    let held = world.store.sign_head(NOW).await.unwrap();
    world.append(3).await;
    let whole = world.export(1).await;
    let report = verify_export_and_head(&whole, Some(&world.vault.verifying_key()), Some(&held));
    assert!(report.is_good(), "{report}");
    assert_eq!((report.from, report.to), (1, 603));
    let report = verify_export(&world.export(602).await, Some(&world.vault.verifying_key()));
    assert!(report.is_good() && (report.from, report.to) == (602, 603), "{report}");
    assert!(world.store.export(&world.vault, 700, NOW, |_| Ok(())).await.is_err());
    assert!(world.store.export(&world.vault, 1, NOW, |_| Err(std::io::Error::other("full"))).await.is_err());

    let anna = world.vault.pseudonym("mailbox", "anna@klinik.example");
    assert!(!whole.contains(anna.as_str()), "the stored pseudonym does not leave");
    let id = whole.split('"').nth(7).unwrap();
    let here = world.vault.export_pseudonym(id, "recipient", &anna);
    assert_eq!(whole.matches(here.as_str()).count(), 603, "whoever holds the keys can resolve it");
    assert!(!world.export(1).await.contains(here.as_str()), "the next export names her otherwise");
    let shown = world.store.log_of(QueueId([2; 10])).await.unwrap();
    let record: Record = serde_json::from_slice(&shown[0].bytes).unwrap();
    assert_eq!((record.recipient, shown.len()), (Some(anna), 4));
    let (last, _) = open_head(world.store.heads().await.unwrap().last().unwrap()).unwrap();
    assert_eq!(last.size, 603);
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

/// Runs `deploy/verify.py` once over many exports.
fn python(folder: &Path, files: &[Vec<u8>], key: &[u8]) -> Vec<bool> {
    for (n, bytes) in files.iter().enumerate() {
        std::fs::write(folder.join(n.to_string()), bytes).unwrap();
    }
    let over_all = "import sys, importlib.util as u\n\
                    sys.dont_write_bytecode = True\n\
                    s = u.spec_from_file_location('verify', sys.argv[1])\n\
                    v = u.module_from_spec(s)\n\
                    s.loader.exec_module(v)\n\
                    for n in range(int(sys.argv[3])):\n\
                    \x20   try:\n\
                    \x20       v.verify(open(sys.argv[2] + '/' + str(n), 'rb').read(), bytes.fromhex(sys.argv[4]))\n\
                    \x20       print('good')\n\
                    \x20   except v.Wrong:\n\
                    \x20       print('wrong')\n";
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new("python3");
    let output = command.args(["-I", "-c", over_all, SCRIPT]).arg(folder).args([files.len().to_string(), key]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "good").collect()
}

#[tokio::test]
async fn both_verifiers_agree_on_good_and_tampered_exports() {
    let world = World::new();
    world.append(12).await;
    let (text, key) = (world.export(1).await, world.vault.verifying_key());
    let mut files = vec![text.clone().into_bytes(), world.export(5).await.into_bytes()];
    let mut dice = Dice(0xf00d);
    while files.len() < 120 {
        let mut bytes = text.as_bytes().to_vec();
        match dice.below(4) {
            0 => bytes.truncate(dice.below(text.len())),
            1 => {
                let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                lines.remove(dice.below(lines.len()));
                bytes = lines.concat().into_bytes();
            }
            2 => {
                let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                let at = dice.below(lines.len() - 1);
                lines.swap(at, at + 1);
                bytes = lines.concat().into_bytes();
            }
            _ => bytes[dice.below(text.len())] ^= 1 << dice.below(8),
        }
        files.push(bytes);
    }
    // Rightly sealed by the holder of the key, wrongly chained: only the chain itself can tell.
    let entries = world.store.log(1, 100).await.unwrap();
    let head = world.store.sign_head(NOW).await.unwrap();
    let forge = |with: &dyn Fn(&LogEntry) -> Option<String>| {
        let (mut export, mut text) = crate::audit::Export::start("x", 1, &crate::audit::BEFORE_THE_FIRST, NOW);
        for entry in &entries {
            if let Some(chained) = with(entry) {
                text += &export.entry(entry.seq, &chained, entry.pseudonyms.clone(), &entry.hash);
            }
        }
        (text + &export.finish(&head, |bytes| world.vault.sign(bytes))).into_bytes()
    };
    files.push(forge(&|entry| (entry.seq < 12).then(|| entry.chained.clone())));
    files.push(forge(&|entry| (entry.seq != 4).then(|| entry.chained.clone())));
    files.push(forge(&|entry| Some(entry.chained.replace("\"count\":2", "\"count\":1"))));
    let folder = world.folder.join("exports");
    std::fs::create_dir(&folder).unwrap();
    let verdicts = python(&folder, &files, &key);
    assert_eq!(verdicts.len(), files.len());
    for (n, (verdict, bytes)) in verdicts.iter().zip(&files).enumerate() {
        let ours = std::str::from_utf8(bytes).is_ok_and(|text| verify_export(text, Some(&key)).is_good());
        assert_eq!((*verdict, ours), (n < 2, n < 2), "file {n}");
    }
}

#[tokio::test]
async fn the_python_verifier_runs_as_a_command() {
    let world = World::new();
    world.append(3).await;
    let head = world.store.sign_head(NOW).await.unwrap();
    world.append(2).await;
    let (file, head_file) = (world.folder.join("export"), world.folder.join("head"));
    std::fs::write(&file, world.export(1).await).unwrap();
    std::fs::write(&head_file, &head).unwrap();
    let run = |arguments: &[&std::ffi::OsStr]| -> Output {
        Command::new("python3").args(["-I", SCRIPT]).args(arguments).output().unwrap()
    };
    let good = run(&["--head".as_ref(), head_file.as_ref(), file.as_ref()]);
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stdout));
    assert!(String::from_utf8_lossy(&good.stdout).starts_with("good: entries 1 to 5"));
    // The same number of entries, but not the same entries.
    let other = World::new();
    other.append(3).await;
    std::fs::write(&head_file, other.store.sign_head(NOW).await.unwrap()).unwrap();
    assert_eq!(run(&["--head".as_ref(), head_file.as_ref(), file.as_ref()]).status.code(), Some(1));
    assert_eq!(run(&[]).status.code(), Some(2));
}
