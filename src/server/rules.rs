//! Scanner and rules, loaded together: every rule runs its own examples with the scanner in force.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Failure, patients};
use crate::config::Settings;
use crate::extract;
use crate::mail::{Envelope, ForwardPath, MailParams, Mailbox, RcptParams, ReversePath};
use crate::message;
use crate::pipeline;
use crate::policy::{self, Example, ExampleAttachment, LoadError, Made, MessageFacts, Policy};
use crate::scan::{self, Scanner, Words};
use crate::secret::Plaintext;

/// The built-in dictionaries, the practice's own, and its own words; rows add up.
///
/// # Errors
/// With file, line and reason.
pub fn scanner(settings: &Settings) -> Result<Arc<Scanner>, Failure> {
    let words = Words::load(&settings.words)?;
    let mut files: Vec<(&str, &str)> = Scanner::shipped().collect();
    // A dictionary is known by its file name; its folder does not matter.
    files.extend(settings.dictionaries.iter().map(|(name, text)| (name.rsplit('/').next().unwrap_or(name), text.as_str())));
    Ok(Scanner::load_with(&files, &words).map(Arc::new)?)
}

/// Loads the rule files and runs their examples.
///
/// # Errors
/// [`LoadError`] with file, rule and way out.
pub fn load_rules(settings: &Settings, scanner: &Scanner) -> Result<Policy, LoadError> {
    let version = version(settings);
    let known: Vec<&'static str> = scan::Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let mut policy = policy::load(&settings.policies, settings.levels, &known, version, &|example| examine(scanner, example))?;
    policy.groups.clone_from(&settings.groups);
    Ok(policy)
}

/// What the rules in force are, as 16 hexadecimal digits: files, own dictionaries, named levels, and the version of
/// the program, whose scanner is part of the decision.
fn version(settings: &Settings) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for (name, text) in settings.policies.iter().chain(&settings.dictionaries).chain(&settings.words) {
        for part in [name, text] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
    }
    context.update(format!("{:?} {}", settings.levels, env!("CARGO_PKG_VERSION")).as_bytes());
    // A world made for tests is never taken for the real one in a record.
    for note in &settings.notes {
        context.update(format!("{note:?}").as_bytes());
    }
    context.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Turns an example into a message and the message into facts, with the real parser and scanner.
///
/// # Errors
/// What is wrong with the example.
pub fn examine(scanner: &Scanner, example: &Example) -> Result<MessageFacts, String> {
    let to = example.to.as_deref().unwrap_or("someone@elsewhere.example");
    let recipients = std::iter::once(to)
        .chain(example.also_to.iter().map(String::as_str))
        .map(|text| {
            Ok(ForwardPath { mailbox: Mailbox::parse(text).map_err(|error| error.to_string())?, params: RcptParams::default() })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let envelope = Envelope { from: ReversePath::Null, params: MailParams::default(), to: recipients };
    let message = message::parse(Plaintext::new(written(example, to)?));
    let text = extract::read(&message, &extract::InProcess, extract::Fuel::default());
    let patients = patients::of_example(&example.patients)?;
    let findings = scan::scan_with(scanner, patients.as_ref(), &message, &text);
    let mut facts = pipeline::facts(&message, &text, &findings, &envelope);
    if let Some(patients) = &patients {
        facts.other_patient = pipeline::other_patients(patients, &findings, &envelope, |_| false);
    }
    Ok(facts)
}

fn written(example: &Example, to: &str) -> Result<Vec<u8>, String> {
    let mut out = String::new();
    let body = example.body.replace("\r\n", "\n").replace('\n', "\r\n");
    let encoded = |text: &str| base64_lines(text.as_bytes());
    let _ = write!(out, "From: desk@practice.example\r\nTo: {to}\r\nMIME-Version: 1.0\r\n");
    if !example.subject.is_empty() {
        if !example.subject.is_ascii() || example.subject.contains(['\r', '\n']) {
            return Err("the subject has to be one line of ASCII".into());
        }
        let _ = write!(out, "Subject: {}\r\n", example.subject);
    }
    let text_part =
        format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}", encoded(&body));
    match &example.attachment {
        None => out.push_str(&text_part),
        Some(attachment) => {
            if attachment.name.contains(['"', '\\', '\r', '\n']) || !attachment.name.is_ascii() {
                return Err("the attachment's name has to be plain ASCII".into());
            }
            let _ = write!(
                out,
                "Content-Type: multipart/mixed; boundary=\"example\"\r\n\r\n--example\r\n{text_part}\r\n--example\r\n{}\r\n--example--\r\n",
                attached(attachment)?
            );
        }
    }
    Ok(out.into_bytes())
}

fn attached(attachment: &ExampleAttachment) -> Result<String, String> {
    let content = match (&attachment.text, &attachment.base64, attachment.made) {
        (Some(text), None, None) => base64_lines(text.as_bytes()),
        (None, Some(encoded), None) => encoded.clone(),
        (None, None, Some(Made::TooDeep)) => return Ok(format!("Content-Type: message/rfc822\r\n\r\n{}", too_deep())),
        _ => return Err("an attachment needs exactly one of text, base64, made".into()),
    };
    let media_type = match attachment.name.rsplit('.').next() {
        Some("txt" | "csv") => "text/plain; charset=utf-8",
        Some("ics") => "text/calendar; charset=utf-8",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    };
    Ok(format!(
        "Content-Type: {media_type}\r\nContent-Disposition: attachment; filename=\"{}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{content}",
        attachment.name
    ))
}

fn too_deep() -> String {
    "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n".repeat(message::DEPTH_MAX + 10) + "end\r\n"
}

fn base64_lines(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    encoded.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}
