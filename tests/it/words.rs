//! Own words, and explanations, with the real program.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Folder, message};

fn wardpost(folder: &Folder, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wardpost"))
        .args(arguments)
        .current_dir(&folder.0)
        .env("WARDPOST_LOG", "error")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const WORDS: &str = r#"version = "3"
owner = "Ann Baker"

[[pattern]]
kind = "mrn"
pattern = '\bMSO-\d{6}\b'
hits = ["order MSO-204417"]
misses = ["order MSO-2044"]

[[allow]]
why = "the practice's own phone"
words = ["(804) 555-0100"]

[[term]]
kind = "condition"
words = ["journal club"]
"#;

#[test]
fn own_words_show_what_they_would_change() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("words")).unwrap();
    std::fs::write(folder.0.join("words/own.toml"), WORDS).unwrap();
    let tried = wardpost(&folder, &["words", "try", "words"]);
    let shown = text(&tried.stdout);
    assert!(tried.status.success(), "{}", text(&tried.stderr));
    assert!(shown.contains("own.toml: version 3, Ann Baker: 1 terms, 1 patterns, 1 allowed"), "{shown}");
    assert!(shown.contains("newly found: ") && shown.contains("mrn 1") && shown.contains("diagnosis 1"), "{shown}");
    assert!(shown.contains("no longer found: phone"), "{shown}");

    std::fs::create_dir(folder.0.join("mail")).unwrap();
    let letter = message("1@practice.example", "lab@elsewhere.example", "Order", "Anna Baker, MSO-204417: diabetes.");
    std::fs::write(folder.0.join("mail/1.eml"), letter).unwrap();
    std::fs::write(folder.0.join("mail/2.eml"), message("2@practice.example", "lab@elsewhere.example", "Hi", "Lunch?")).unwrap();
    let tried = wardpost(&folder, &["words", "try", "words", "--mail", "mail", "--json"]);
    let rows: Vec<Value> = text(&tried.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((&rows[0]["message"], &rows[0]["newly_found"]["mrn"]), (&"1.eml".into(), &1.into()));
    assert_eq!((&rows[1]["messages"], &rows[1]["changed"]), (&2.into(), &1.into()));

    // In the configuration they count, and a mistake is named with its line.
    std::fs::write(folder.0.join("wardpost.toml"), "[policy]\nwords = \"words\"\n").unwrap();
    let checked = text(&wardpost(&folder, &["check-config", "--config", "wardpost.toml"]).stdout);
    assert!(checked.contains("own words: own.toml (version 3, Ann Baker)"), "{checked}");
    std::fs::write(folder.0.join("words/own.toml"), WORDS.replace("MSO-2044\"]", "MSO-204499\"]")).unwrap();
    let checked = text(&wardpost(&folder, &["check-config", "--config", "wardpost.toml"]).stdout);
    assert!(checked.contains("own.toml, line 8:"), "{checked}");
}

#[test]
fn an_explanation_says_why_and_what_would_change_it_and_shows_nobody() {
    let folder = Folder::new();
    let body = "Patient: Marisol Quintero\r\nDOB: 04/12/1961\r\nMRN: 00482913\r\nDiagnosis: type 2 diabetes mellitus (E11.9)\r\n";
    std::fs::write(folder.0.join("phi.eml"), message("1@practice.example", "lab@elsewhere.example", "[secure] results", body))
        .unwrap();
    let run = |more: &[&str]| {
        let mut arguments = vec!["explain", "phi.eml", "--offline"];
        arguments.extend(more);
        let output = wardpost(&folder, &arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let shown = run(&[]);
    for part in ["rule phi:", "rule secure-tag:", "escrow at verified", "without the subject: deliver"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown}");
    let json: Value = serde_json::from_str(&run(&["--json", "--to", "a@one.example", "b@two.example"])).unwrap();
    assert_eq!(json["phi"], true);
    assert_eq!(json["recipients"][1]["to"], "b@two.example");
    assert_eq!(json["recipients"][0]["action"], "escrow");
    let found = json["findings"].as_array().unwrap();
    let mrn = found.iter().find(|found| found["kind"] == "mrn").unwrap();
    assert_eq!((mrn["line"].as_u64(), mrn["place"].as_str()), (Some(3), Some("the letter")));
    for shown in [shown, json.to_string()] {
        for word in ["Marisol", "Quintero", "04/12", "00482913", "E11", "diabetes"] {
            assert!(!shown.contains(word), "{word}: {shown}");
        }
    }
    assert!(run(&["--reveal"]).contains("00482913"));

    // Without a subject tag, the identifiers alone decide.
    let config = "[transport]\nphi = \"authenticated\"\n";
    std::fs::write(folder.0.join("wardpost.toml"), config).unwrap();
    std::fs::write(
        folder.0.join("phi.eml"),
        message(
            "2@practice.example",
            "lab@elsewhere.example",
            "results",
            "Your refill for MRN 00482913 is ready: metformin 500 mg.",
        ),
    )
    .unwrap();
    let json: Value = serde_json::from_str(&run(&["--json", "--config", "wardpost.toml"])).unwrap();
    let recipient = &json["recipients"][0];
    assert_eq!((&recipient["action"], &recipient["level"]), (&"deliver".into(), &"authenticated".into()), "{json}");
    let without = recipient["without"].as_array().unwrap();
    assert!(
        without
            .iter()
            .any(|without| without["what"] == "the record number in line 1 of the letter" && without["level"] == "verified"),
        "{json}"
    );
}
