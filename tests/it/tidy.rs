//! What a reviewer would check by hand: who imports whom, what pure rooms may name, where secrets are exposed,
//! and that documents list what the code has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Room, what it may import. Rooms of the first block decide: they touch neither socket, file, clock nor dice.
const PURE: &[(&str, &str)] = &[
    ("secret", ""),
    ("mail", "secret"),
    ("smtp", "mail"),
    ("message", "mail secret"),
    ("extract", "message mail secret"),
    ("patients", "mail"),
    ("scan", "extract message mail patients secret"),
    ("transport", "mail secret"),
    ("policy", "mail message scan transport"),
    ("queue", "mail policy secret transport"),
    ("escrow", "mail message policy secret transport"),
    ("audit", "mail policy scan transport secret"),
];
const DOING: &[(&str, &str)] = &[
    ("vault", "secret mail"),
    ("observe", "mail"),
    ("sandbox", "extract secret observe"),
    ("lookup", "mail transport observe secret store vault"),
    ("store", "queue escrow audit policy mail secret observe vault"),
    ("web", "mail observe"),
    (
        "pipeline",
        "secret mail smtp message extract patients scan transport policy queue escrow audit vault observe sandbox lookup store",
    ),
    ("smtp_in", "smtp mail secret pipeline observe vault store"),
    ("deliver", "smtp mail secret message transport policy queue escrow audit lookup store vault observe"),
    ("tlsrpt", "mail message policy queue transport lookup store vault observe deliver"),
    ("portal", "escrow mail message secret store vault web audit queue observe"),
];
/// May import anything below.
const PROGRAM: &[&str] = &["config", "server", "cli", "world"];

/// The two words by which readable bytes and raw keys leave their types, and the files that may spell them.
const EXPOSE: &[&str] = &[
    "src/secret/",
    "src/vault/",
    "src/message/",
    "src/queue/pack.rs",
    "src/escrow/",
    "src/pipeline/",
    "src/deliver/",
    "src/portal/",
    "src/store/",
    "src/lookup/",
    "src/server/control.rs",
    "src/server/patients.rs",
    "src/server/access.rs",
    "src/smtp_in/",
    "src/cli/",
    "src/extract/",
    "src/scan/",
    "src/world/clear.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// Source without its test modules and comments: what is compiled into the program.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let until_tests = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    until_tests.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || name == "testing.rs"
        || path.components().any(|part| part.as_os_str() == "tests")
}

fn rooms() -> Vec<(String, Vec<PathBuf>)> {
    let mut rooms = Vec::new();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            rooms.push((name, rust_files(&path).into_iter().filter(|file| !is_test_file(file)).collect()));
        }
    }
    rooms.sort();
    rooms
}

/// Names of rooms that a text imports: `crate::room` and the grouped form `crate::{room, other}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + 7..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' => word.clear(),
                    c if depth == 0 && (c.is_alphanumeric() || c == '_') => {
                        word.push(c);
                        found.insert(word.clone());
                    }
                    ':' => word.push(':'),
                    _ => {}
                }
            }
        } else {
            found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

#[test]
fn every_room_imports_only_what_the_list_allows() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        PURE.iter().chain(DOING).map(|(room, list)| (*room, list.split_whitespace().collect())).collect();
    let rooms = rooms();
    let names: BTreeSet<String> = rooms.iter().map(|(name, _)| name.clone()).collect();
    let mut wrong = Vec::new();
    for (room, files) in &rooms {
        if PROGRAM.contains(&room.as_str()) {
            continue;
        }
        let Some(list) = allowed.get(room.as_str()) else {
            wrong.push(format!("src/{room} is in no list of tests/it/tidy.rs"));
            continue;
        };
        for file in files {
            for import in imports(&code_of(file)) {
                if names.contains(&import) && import != *room && !list.contains(import.as_str()) {
                    wrong.push(format!("{}: {room} may not import {import}", file.strip_prefix(root()).unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_import_list_has_no_circle() {
    let list: BTreeMap<&str, Vec<&str>> =
        PURE.iter().chain(DOING).map(|(room, list)| (*room, list.split_whitespace().collect())).collect();
    fn visit<'a>(room: &'a str, list: &BTreeMap<&'a str, Vec<&'a str>>, path: &mut Vec<&'a str>) {
        assert!(!path.contains(&room), "circle: {path:?} → {room}");
        path.push(room);
        for next in list.get(room).into_iter().flatten() {
            visit(next, list, path);
        }
        path.pop();
    }
    for room in list.keys() {
        visit(room, &list, &mut Vec::new());
    }
}

#[test]
fn rooms_that_decide_touch_neither_socket_file_clock_nor_dice() {
    let forbidden = [
        "tokio",
        "std::fs",
        "std::thread",
        "std::process",
        "std::env",
        "TcpStream",
        "UdpSocket",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "SystemRandom",
        "rand::fill",
    ];
    let mut wrong = Vec::new();
    for (room, files) in rooms().iter().filter(|(room, _)| PURE.iter().any(|(pure, _)| pure == room)) {
        for file in files {
            let code = code_of(file);
            for word in forbidden {
                // RSA signing asks for a source that PKCS #1 v1.5 does not use: the signature is the same with any.
                let is_unused = word == "SystemRandom" && file.ends_with("src/message/dkim.rs");
                if code.contains(word) && !is_unused {
                    wrong.push(format!("{}: {room} names {word}", file.strip_prefix(root()).unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn readable_bytes_are_exposed_in_listed_places_only() {
    let mut wrong = Vec::new();
    for (_, files) in rooms() {
        for file in files {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            let code = code_of(&file);
            if (code.contains(".expose()") || code.contains(".expose_key()"))
                && !EXPOSE.iter().any(|place| name.starts_with(place))
            {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "these files expose readable bytes and are not listed: {wrong:?}");
}

#[test]
fn no_text_cites_what_is_not_in_the_repository() {
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")).into_iter().chain(rust_files(&root().join("tests"))) {
        if file.ends_with("tidy.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for word in [
            "threats.md",
            "decisions.md",
            "escrow.md",
            "detection.md",
            "robustness.md",
            "features.md",
            "style.md",
            "dependencies.md",
        ] {
            if text.contains(word) {
                wrong.push(format!("{}: {word}", file.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_log_event_that_asks_for_action_is_explained_in_operations() {
    let log = std::fs::read_to_string(root().join("src/observe/log.rs")).unwrap();
    let operations = std::fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let names: Vec<&str> = log
        .split("=> \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !["info", "warn", "error"].contains(name))
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(operations.contains(&format!("`{name}`")), "docs/OPERATIONS.md does not explain the event `{name}`");
    }
}

#[test]
fn every_reason_is_explained_in_operations() {
    let code = std::fs::read_to_string(root().join("src/transport/refusal.rs")).unwrap();
    let operations = std::fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let table = operations.split("## Reasons").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let explained: BTreeSet<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|rest| rest.split('`').next()).collect();
    let reasons: BTreeSet<&str> = code.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(reasons.len() > 30, "{reasons:?}");
    let missing: Vec<_> = reasons.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md does not explain {missing:?}");
    // Words that are reasons and no refusals.
    let others = BTreeSet::from(["policy", "released", "cannot-open", "body-incomplete", "unknown-number"]);
    let unknown: Vec<_> = explained.iter().filter(|word| !reasons.contains(*word) && !others.contains(*word)).collect();
    assert!(unknown.is_empty(), "docs/OPERATIONS.md explains {unknown:?}, which no code gives");
}

#[test]
fn every_metric_is_listed_in_operations() {
    let metrics = std::fs::read_to_string(root().join("src/observe/metrics.rs")).unwrap();
    let operations = std::fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let names: BTreeSet<&str> = metrics
        .split('"')
        .filter(|word| word.starts_with("wardpost_") && word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "wardpost_") {
        assert!(operations.contains(&format!("`{name}`")), "docs/OPERATIONS.md does not list `{name}`");
    }
}

#[test]
fn every_room_has_a_line_in_the_map_and_in_the_architecture() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let architecture = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for (room, _) in rooms() {
        assert!(map.contains(&format!("pub mod {room};")), "src/lib.rs has no line for {room}");
        assert!(architecture.contains(&format!("`{room}`")), "docs/ARCHITECTURE.md does not name the room {room}");
    }
}

#[test]
fn every_dependency_has_its_purpose_in_the_list() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let list = std::fs::read_to_string(root().join("docs/DEPENDENCIES.md")).unwrap();
    let words: BTreeSet<&str> = list.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').collect();
    let mut names = Vec::new();
    for section in ["[dependencies]", "[dev-dependencies]"] {
        let (_, rest) = manifest.split_once(&format!("\n{section}\n")).unwrap();
        let body = rest.split("\n[").next().unwrap();
        names.extend(body.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name));
    }
    assert!(names.len() > 40, "{names:?}");
    let missing: Vec<&&str> = names.iter().filter(|name| !words.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/DEPENDENCIES.md does not say what these are for: {missing:?}");
}

#[test]
fn the_list_of_changes_says_each_thing_once() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        assert!(seen.insert(line), "CHANGELOG.md says this twice: {line}");
        assert!(!["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| line.starts_with(mark)), "{line}");
    }
}

#[test]
fn one_crypto_library_and_no_ring() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let names: Vec<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("name = \"")).map(|rest| rest.trim_end_matches('"')).collect();
    assert!(!names.contains(&"openssl-sys"));
    assert_eq!(names.iter().filter(|name| **name == "aws-lc-sys").count(), 1);
    // ring may stand in the lock file for targets and features that are not ours; nothing of ours may build it.
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-i", "ring", "-e", "normal"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&tree.stdout).trim().is_empty(), "{}", String::from_utf8_lossy(&tree.stdout));
}
