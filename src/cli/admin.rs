//! Commands that ask the running gateway, or open its store while it does not run.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use super::{Ended, output};
use crate::server::{self, Answer, Request};

pub(super) fn ask(config: Option<&Path>, request: Request) -> Result<Answer, server::Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(server::ask(config, request))?;
    match answer {
        Answer::Refused(why) => Err(why.into()),
        other => Ok(other),
    }
}

pub(super) fn print(answer: Answer, json: bool, columns: &[&str]) -> Ended {
    match answer {
        Answer::Rows(rows) => output::rows(&rows, json, columns)?,
        Answer::Text(text) => println!("{}", text.trim_end_matches('\n')),
        Answer::Secret { label, secret } => output::secret(&label, &secret)?,
        Answer::Files { .. } => return Err("this answer is of another version".into()),
        Answer::Refused(why) => return Err(why.into()),
    }
    Ok(ExitCode::SUCCESS)
}

pub fn audit_show(config: Option<&Path>, message: String, json: bool) -> Ended {
    let Answer::Rows(rows) = ask(config, Request::AuditShow { message })? else { return Ok(ExitCode::FAILURE) };
    if json {
        output::rows(&rows, true, &[])?;
        return Ok(ExitCode::SUCCESS);
    }
    // Only the first record of a recipient names him; the others carry his pseudonym.
    let named = |row: &serde_json::Value| {
        let pair = (row.get("recipient")?.as_str()?, row.pointer("/named/recipient")?.as_str()?);
        Some((pair.0.to_owned(), pair.1.to_owned()))
    };
    let names: HashMap<String, String> = rows.iter().filter_map(named).collect();
    for row in &rows {
        println!("{}", sentence(row, &names));
    }
    Ok(ExitCode::SUCCESS)
}

/// One record as a line for people: when, what, to whom, why.
fn sentence(row: &serde_json::Value, names: &HashMap<String, String>) -> String {
    let text = |key: &str| row.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let recipient = text("recipient");
    let recipient = names.get(&recipient).cloned().unwrap_or(recipient);
    let at =
        row.get("at").and_then(serde_json::Value::as_i64).map(|ms| crate::mail::Timestamp(ms).to_string()).unwrap_or_default();
    let mut out = format!("{:>6}  {at}  {:<12}", row.get("seq").and_then(serde_json::Value::as_u64).unwrap_or(0), text("event"));
    for (label, value) in [
        ("to", recipient),
        ("domain", text("domain")),
        ("action", text("action")),
        ("level", text("required")),
        ("reason", text("reason")),
    ] {
        if !value.is_empty() {
            out.push_str(&format!("  {label} {value}"));
        }
    }
    let list = |key: &str, item: &dyn Fn(&serde_json::Value) -> String| {
        row.get(key)
            .and_then(serde_json::Value::as_array)
            .map(|items| items.iter().map(item).collect::<Vec<_>>().join(", "))
            .unwrap_or_default()
    };
    let plain = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let counted = |value: &serde_json::Value| {
        let kind = value.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default();
        match value.get("count").and_then(serde_json::Value::as_u64) {
            Some(1) | None => kind.to_owned(),
            Some(count) => format!("{kind} x{count}"),
        }
    };
    for (label, value) in
        [("rules", list("rules", &plain)), ("found", list("findings", &counted)), ("unreadable", list("unreadable", &plain))]
    {
        if !value.is_empty() {
            out.push_str(&format!("  {label} [{value}]"));
        }
    }
    if text("event") == "decided" && list("rules", &plain).is_empty() {
        out.push_str("  no rule matched");
    }
    if let Some(proof) = row.get("proof") {
        let part = |key: &str| proof.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        let over = [part("tls"), part("cipher")].iter().filter(|word| !word.is_empty()).fold(String::new(), |mut over, word| {
            over.push_str(if over.is_empty() { " over " } else { " " });
            over.push_str(word);
            over
        });
        // A notice, which carries nothing of the message, may go where nothing was proven.
        out.push_str(&match (part("level"), part("method")) {
            ("clear", _) => format!("  no proof, in clear to {}", part("host")),
            (level, "none") => format!("  no proof, {level} to {}{over}", part("host")),
            (level, method) => format!("  proof {level} by {method} at {}{over}", part("host")),
        });
    }
    out
}

pub fn audit_export(config: Option<&Path>, from_seq: u64) -> Ended {
    print(ask(config, Request::AuditExport { from_seq })?, false, &[])
}

pub fn audit_verify(config: Option<&Path>, file: Option<&Path>, head: Option<&Path>, key: Option<&str>) -> Ended {
    use base64::Engine as _;
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let key = key.map(|text| base64::engine::general_purpose::STANDARD.decode(text.trim())).transpose();
    let key = key.map_err(|_| "--key: this is no base64; copy `public_key` from a head.json that you trust")?;
    let mut head = head.map(read).transpose()?;
    if file.is_none() && head.is_none() {
        // Read before the log: it must speak of no more than what is exported next.
        head = std::fs::read(server::kept_head(config)?).ok();
    }
    let export = match file {
        Some(path) => read(path)?,
        None => match ask(config, Request::AuditExport { from_seq: 1 })? {
            Answer::Text(text) => text.into_bytes(),
            Answer::Rows(_) | Answer::Secret { .. } | Answer::Files { .. } | Answer::Refused(_) => return Ok(ExitCode::FAILURE),
        },
    };
    // A changed bit may leave no text behind; what is odd then fits no hash and no signature.
    let (export, head) = (String::from_utf8_lossy(&export), head.as_deref().map(String::from_utf8_lossy));
    let report = crate::audit::verify_export_and_head(&export, key.as_deref(), head.as_deref());
    println!("{}", report.to_string().trim_end());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub fn audit_proof(config: Option<&Path>, message: String, recipient: String, export: Option<&Path>) -> Ended {
    let Answer::Text(text) = ask(config, Request::AuditProof { message, recipient })? else { return Ok(ExitCode::FAILURE) };
    // What is printed is what an outsider's check finds in it.
    print!("{}", crate::audit::verify_proof(&text, None)?);
    if let Some(path) = export {
        output::private_file(path, &text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

pub fn verify_proof(file: &Path, key: Option<&str>, log: Option<&Path>) -> Ended {
    use base64::Engine as _;
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let key = key.map(|key| base64::engine::general_purpose::STANDARD.decode(key.trim())).transpose();
    let key = key.map_err(|_| "--key is no base64")?;
    let statement = crate::audit::verify_proof(&read(file)?, key.as_deref()).map_err(|problem| format!("NOT GOOD: {problem}"))?;
    if let Some(log) = log {
        let export = read(log)?;
        let report = crate::audit::verify_export(&export, key.as_deref());
        if !report.is_good() {
            return Err(format!("the log: {report}").trim_end().to_owned().into());
        }
        if report.head.is_none_or(|head| head.key_id != statement.key_id) {
            return Err("NOT GOOD: the log is signed by another key than the proof".into());
        }
        statement.is_in(&export).map_err(|problem| format!("NOT GOOD: {problem}"))?;
    }
    println!("good: this is as the gateway signed it");
    println!();
    print!("{statement}");
    println!();
    if key.is_none() {
        println!("the key was not compared: give the one you know, or anybody may have signed this");
    }
    match log {
        Some(_) => println!("its entries stand in the log"),
        None => println!("no export of the log was compared"),
    }
    Ok(ExitCode::SUCCESS)
}

const QUEUE_COLUMNS: [&str; 8] = ["id", "copy", "kind", "state", "recipient", "attempts", "next_at", "reason"];
const ESCROW_COLUMNS: [&str; 7] = ["id", "recipient", "number", "state", "reason", "created_at", "expires_at"];
const USER_COLUMNS: [&str; 6] = ["name", "may_send_as", "bound_address", "first_credential", "last_used_at", "last_peer"];

pub fn queue_list(config: Option<&Path>, json: bool, all: bool) -> Ended {
    print(ask(config, Request::QueueList { all })?, json, &QUEUE_COLUMNS)
}

pub fn queue_release(config: Option<&Path>, copy: String, reason: String, refuse: bool) -> Ended {
    print(ask(config, Request::QueueRelease { copy, refuse, reason })?, false, &[])
}

pub fn escrow_list(config: Option<&Path>, json: bool, all: bool) -> Ended {
    print(ask(config, Request::EscrowList { all })?, json, &ESCROW_COLUMNS)
}

pub fn escrow_code(config: Option<&Path>, message: String, recipient: String) -> Ended {
    print(ask(config, Request::EscrowCode { message, recipient })?, false, &[])
}

pub fn user_add(config: Option<&Path>, name: String, send_as: Vec<String>, bound_address: Option<String>) -> Ended {
    print(ask(config, Request::UserAdd { name, send_as, bound_address })?, false, &[])
}

pub fn user_list(config: Option<&Path>, json: bool) -> Ended {
    print(ask(config, Request::UserList)?, json, &USER_COLUMNS)
}

pub fn user_revoke(config: Option<&Path>, name: String) -> Ended {
    print(ask(config, Request::UserRevoke { name })?, false, &[])
}

pub fn partners_list(config: Option<&Path>, json: bool) -> Ended {
    let columns = ["domain", "level", "hosts", "review", "review_state", "last_contact", "host", "tls", "method", "chain_sha256"];
    print(ask(config, Request::PartnersList)?, json, &columns)
}

pub fn token_add(config: Option<&Path>, name: String) -> Ended {
    print(ask(config, Request::TokenAdd { name })?, false, &[])
}

pub fn token_list(config: Option<&Path>, json: bool) -> Ended {
    print(ask(config, Request::TokenList)?, json, &["name", "created_at", "last_used_at", "last_peer"])
}

pub fn token_revoke(config: Option<&Path>, name: String) -> Ended {
    print(ask(config, Request::TokenRevoke { name })?, false, &[])
}

const CERT_COLUMNS: [&str; 7] = ["name", "may_send_as", "bound_address", "valid_until", "days_left", "last_used_at", "last_peer"];

/// What `certs issue` was asked for.
pub struct CertWanted {
    pub name: String,
    pub send_as: Vec<String>,
    pub bound_address: Option<String>,
    pub days: u32,
    pub messages_per_hour: Option<u32>,
}

/// Certificate and key go into new files that only their owner can read.
pub fn cert_issue(config: Option<&Path>, wanted: CertWanted, folder: &Path) -> Ended {
    // Before anything is issued: what could not be written would be lost.
    for ending in ["pem", "key"] {
        let path = folder.join(format!("{}.{ending}", wanted.name));
        if path.exists() {
            return Err(format!("{} is there already; choose another --folder or name", path.display()).into());
        }
    }
    if !folder.is_dir() {
        return Err(format!("{} is no folder", folder.display()).into());
    }
    let CertWanted { name, send_as, bound_address, days, messages_per_hour } = wanted;
    let request = Request::CertIssue { name: name.clone(), send_as, bound_address, days, messages_per_hour };
    let Answer::Files { files, about } = ask(config, request)? else { return Ok(ExitCode::FAILURE) };
    for (file, text) in &files {
        let path = folder.join(file);
        output::private_file(&path, text).map_err(|error| {
            format!("cannot write {}: {error}; revoke it with `wardpost certs revoke {name}` and issue it again", path.display())
        })?;
        println!("written to {}", path.display());
    }
    println!("{about}");
    Ok(ExitCode::SUCCESS)
}

pub fn cert_list(config: Option<&Path>, json: bool) -> Ended {
    print(ask(config, Request::CertList)?, json, &CERT_COLUMNS)
}

pub fn cert_revoke(config: Option<&Path>, name: String) -> Ended {
    print(ask(config, Request::CertRevoke { name })?, false, &[])
}

const TLSRPT_COLUMNS: [&str; 7] = ["day", "domain", "policy_type", "result", "host", "reason", "sessions"];
const TLSRPT_SENT_COLUMNS: [&str; 3] = ["day", "domain", "outcome"];

pub fn tlsrpt_show(config: Option<&Path>, json: bool) -> Ended {
    print(ask(config, Request::TlsrptShow)?, json, &TLSRPT_COLUMNS)
}

pub fn tlsrpt_send(config: Option<&Path>, now: bool, json: bool) -> Ended {
    print(ask(config, Request::TlsrptSend { now })?, json, &TLSRPT_SENT_COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn what_proved_nothing_is_not_called_a_proof() {
        let said = |level: &str, method: &str, tls: &str| {
            let proof = serde_json::json!({ "level": level, "method": method, "host": "mx.x.example", "tls": tls, "cipher": "" });
            sentence(&serde_json::json!({ "seq": 1, "event": "notice-sent", "proof": proof }), &Default::default())
        };
        assert!(said("clear", "none", "").ends_with("  no proof, in clear to mx.x.example"));
        assert!(said("encrypted", "none", "").ends_with("  no proof, encrypted to mx.x.example"));
        assert!(said("authenticated", "dane", "TLSv1.3").ends_with("  proof authenticated by dane at mx.x.example over TLSv1.3"));
    }
}
