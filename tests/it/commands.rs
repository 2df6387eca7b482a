//! The commands as an administrator and an auditor use them, with the real program.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use wardpost::world::World;

use crate::support::{Folder, Gateway, message};

fn wardpost(arguments: &[&str], config: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardpost"));
    command.args(arguments).env("WARDPOST_LOG", "error").stdin(Stdio::null());
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn demo_once_ends_well() {
    let output = wardpost(&["demo", "--once"], None);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", text(&output.stderr));
    assert!(printed.contains("every line is as it must be"), "{printed}");
    assert_eq!(printed.lines().filter(|line| line.contains("eight recipients in To and Cc")).count(), 8, "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_explains_and_proves_itself() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let to = ["pat@dane-good.example", "sam@no-tls.example"];
    gateway.submit(&to, &message("log@practice.example", &to.join(", "), "Quince", "the quince is ripe")).await.unwrap();
    gateway.settle().await;
    let config = gateway.config.clone();
    let folder = Folder::new();
    let export = folder.0.join("log.jsonl");
    let run = tokio::task::spawn_blocking(move || {
        // The gateway runs: the commands ask it.
        let shown = wardpost(&["audit", "show", "log@practice.example"], Some(&config));
        let shown = text(&shown.stdout);
        assert!(shown.contains("pat@dane-good.example") && shown.contains("authenticated by dane"), "{shown}");
        assert!(shown.contains("sam@no-tls.example") && shown.contains("starttls-not-supported"), "{shown}");
        let listed = text(&wardpost(&["escrow", "list", "--json"], Some(&config)).stdout);
        assert!(listed.contains("\"message_id\":\"<log@practice.example>\""), "{listed}");

        let exported = wardpost(&["audit", "export"], Some(&config));
        assert!(exported.status.success());
        for word in ["quince", "Quince", "pat@", "sam@", "ann@"] {
            assert!(!text(&exported.stdout).contains(word), "the export names {word}");
        }
        std::fs::write(&export, &exported.stdout).unwrap();
        let verified = wardpost(&["audit", "verify", export.to_str().unwrap()], None);
        assert!(verified.status.success(), "{}", text(&verified.stderr));
        let store = wardpost(&["audit", "verify"], Some(&config));
        assert!(store.status.success(), "{}", text(&store.stderr));
        assert!(!text(&store.stdout).contains("no head kept elsewhere was compared"), "{}", text(&store.stdout));
        // One changed bit, anywhere that is not white space, is found.
        let good = exported.stdout;
        for at in (0..good.len()).step_by(good.len() / 25).filter(|at| !good[*at].is_ascii_whitespace()) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&export, &bad).unwrap();
            assert!(!wardpost(&["audit", "verify", export.to_str().unwrap()], None).status.success(), "bit at {at}");
        }
    });
    run.await.unwrap();
    gateway.stop().await;
}

#[test]
fn a_bad_configuration_names_place_problem_and_way_out() {
    let folder = Folder::new();
    let config = folder.0.join("wardpost.toml");
    for (content, expected) in [
        ("[smtp]\nlisten = []\n", "line 2"),
        ("[transport]\nmx_port = 2525\n", "test worlds"),
        ("[[network]]\nname = \"n\"\naddresses = [\"10.0.0.0/8\"]\nsender_domains = [\"practice.example\"]\n", "wider than /24"),
        ("[metrics]\nlisten = \"0.0.0.0:9465\"\n", "bearer_token_file"),
        ("[portal]\nnotice_address = \"n@elsewhere.example\"\n", "own_domains"),
        ("[policy]\nfiles = [\"missing.toml\"]\n", "missing.toml"),
    ] {
        std::fs::write(&config, content).unwrap();
        for verb in ["check-config", "serve"] {
            let output = wardpost(&[verb], Some(&config));
            assert!(!output.status.success(), "{content}");
            assert!(text(&output.stderr).contains(expected), "{content}: {}", text(&output.stderr));
        }
    }
    assert!(!folder.0.join("wardpost-data").exists(), "a refused start leaves nothing behind");
}

#[test]
fn a_rule_that_breaks_its_example_is_refused_by_check_config() {
    let folder = Folder::new();
    std::fs::write(
        folder.0.join("rules.toml"),
        "[[rule]]\nid = \"r\"\nwhy = \"w\"\nwhen = { found = [\"ssn\"] }\nthen = \"hold\"\n[[rule.must_hit]]\nbody = \"no number here\"\n[[rule.must_miss]]\nbody = \"x\"\n",
    )
    .unwrap();
    let config = folder.0.join("wardpost.toml");
    std::fs::write(&config, "[policy]\nfiles = [\"rules.toml\"]\n").unwrap();
    let output = wardpost(&["check-config"], Some(&config));
    assert!(!output.status.success());
    assert!(text(&output.stdout).contains("rule `r` does not match its must_hit example number 1"), "{}", text(&output.stdout));
}

#[test]
fn scan_prints_one_line_a_file_and_names_a_missing_one() {
    let folder = Folder::new();
    let phi = folder.0.join("phi.eml");
    std::fs::write(
        &phi,
        message(
            "s@x.example",
            "b@y.example",
            "Results",
            "Patient: Marisol Quintero\r\nDOB: 04/12/1961\r\nMRN: 00482913\r\nDiagnosis: type 2 diabetes mellitus (E11.9)",
        ),
    )
    .unwrap();
    let plain = folder.0.join("plain.eml");
    std::fs::write(&plain, message("p@x.example", "b@y.example", "Lunch", "Lunch is at noon.")).unwrap();
    let missing = folder.0.join("missing.eml");
    let output = wardpost(&["scan", "--json", phi.to_str().unwrap(), missing.to_str().unwrap(), plain.to_str().unwrap()], None);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("missing.eml"));
    let lines: Vec<serde_json::Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["label"], "phi");
    assert_eq!(lines[1]["label"], "none");
    assert!(lines[0]["hits"].as_array().unwrap().iter().any(|hit| hit["text"] == "04/12/1961"), "{}", lines[0]);
}
