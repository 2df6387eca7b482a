//! `wardpost scan FILE ...`: what the scanner sees in message files. Nothing is sent, stored or logged.
//!
//! Texts of hits are printed here and nowhere else: the files are the caller's own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use crate::extract::{self, Extracted, Fuel, HeaderField, InProcess, Place, ReadAttachment};
use crate::message;
use crate::scan::{self, Findings, Leg, Scanner};
use crate::secret::Plaintext;

/// Scans each file and prints what was found: with `json` one object a line, else a few lines for people.
/// A file that cannot be read is reported, the others are done; the exit code then says so.
#[must_use]
pub fn run(files: &[PathBuf], json: bool) -> ExitCode {
    run_with(files, json, &InProcess, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}

/// As [`run`], with the reader of attachments and the outputs given.
pub fn run_with(
    files: &[PathBuf],
    json: bool,
    attachments: &dyn ReadAttachment,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> ExitCode {
    let scanner = Scanner::shared();
    let mut failed = false;
    for file in files {
        let result = std::fs::read(file).map(|content| {
            let begun = Instant::now();
            let message = message::parse(Plaintext::new(content));
            let extracted = extract::read(&message, attachments, Fuel::default());
            let findings = scan::scan(scanner, &message, &extracted);
            let ms = begun.elapsed().as_secs_f64() * 1_000.0;
            if json { as_json(file, &extracted, &findings, ms) } else { as_text(file, &extracted, &findings, ms) }
        });
        let written = match result {
            Ok(text) => writeln!(out, "{text}"),
            Err(error) => {
                failed = true;
                writeln!(errors, "cannot read {}: {error}", file.display())
            }
        };
        if written.is_err() {
            // Nobody reads on: a closed pipe.
            return ExitCode::FAILURE;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// One word for the message, for comparing with labelled sets.
fn label(extracted: &Extracted, findings: &Findings) -> &'static str {
    // Every message has addresses; they make it nothing yet.
    let is_address = |text: usize| {
        extracted
            .texts
            .get(text)
            .is_some_and(|text| matches!(text.place, Place::Header(_, field) if field != HeaderField::Subject))
    };
    let certain = |leg| findings.hits.iter().any(|hit| hit.kind.leg() == leg && hit.score >= 60 && !is_address(hit.text));
    if findings.phi.is_some() {
        "phi"
    } else if !findings.unreadable.is_empty()
        || findings.limits_exceeded
        || findings.images.iter().any(|image| !image.inline && image.may_be_page())
    {
        "unscannable"
    } else if certain(Leg::Identifier) {
        "identifiers_only"
    } else if certain(Leg::Health) {
        "health_only"
    } else {
        "none"
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

fn as_json(file: &Path, extracted: &Extracted, findings: &Findings, ms: f64) -> String {
    let hits: Vec<serde_json::Value> = findings
        .hits
        .iter()
        .filter_map(|hit| {
            let text = extracted.texts.get(hit.text)?;
            Some(serde_json::json!({
                "type": hit.kind.as_str(),
                "text": text.content.get(hit.span.clone()).unwrap_or_default(),
                "part": place(&text.place),
            }))
        })
        .collect();
    let mut object = serde_json::json!({ "file": name(file), "label": label(extracted, findings), "hits": hits, "ms": (ms * 1_000.0).round() / 1_000.0 });
    if let Some(map) = object.as_object_mut() {
        if let Some(phi) = &findings.phi {
            let reasons: Vec<&str> = phi.reasons.iter().map(|reason| reason.as_str()).collect();
            map.insert("score".into(), phi.score.into());
            map.insert("reasons".into(), reasons.into());
        }
        if !findings.unreadable.is_empty() {
            let why: Vec<String> = findings.unreadable.iter().map(|u| format!("{} {}", u.part, u.why.as_str())).collect();
            map.insert("unreadable".into(), why.into());
        }
    }
    object.to_string()
}

fn as_text(file: &Path, extracted: &Extracted, findings: &Findings, ms: f64) -> String {
    let mut out = format!("{}: {} ({ms:.1} ms)", name(file), label(extracted, findings));
    if let Some(phi) = &findings.phi {
        let reasons: Vec<&str> = phi.reasons.iter().map(|reason| reason.as_str()).collect();
        out.push_str(&format!("\n  because: {} ({})", reasons.join(", "), phi.score));
    }
    for unreadable in &findings.unreadable {
        out.push_str(&format!("\n  part {} could not be read: {}", unreadable.part, unreadable.why.as_str()));
    }
    for hit in &findings.hits {
        if let Some(text) = extracted.texts.get(hit.text) {
            let shown = text.content.get(hit.span.clone()).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
            out.push_str(&format!("\n  {:<12} {:<14} {shown}", hit.kind.as_str(), place(&text.place)));
        }
    }
    out
}

fn place(place: &Place) -> String {
    match place {
        Place::Header(part, field) => format!("header:{field:?}:{part}"),
        Place::Body(part) => format!("body:{part}"),
        Place::FileName(part) => format!("filename:{part}"),
        Place::Attachment(part) => format!("attachment:{part}"),
        Place::Gap => "gap".to_owned(),
    }
}
