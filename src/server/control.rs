//! The one way in for administrators' commands: a Unix socket in the data folder while the gateway runs, or the same
//! functions in the command's own process while it does not. So there is one writer of the store, always.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::access;
use super::check::Checker;
use super::{admin_api, partners, patients, proof};
use crate::audit;
use crate::config::Settings;
use crate::deliver;
use crate::mail::{CopyId, Domain, Mailbox, QueueId, Timestamp};
use crate::pipeline::OwnPatients;
use crate::queue::{CopyFacts, CopyState, pack};
use crate::secret::Role;
use crate::store::{self, Commit, CopyRow, ParcelRow, Settle, TokenRow};
use crate::tlsrpt::{Reporter, Sent};
use crate::transport;
use crate::vault::Vault;

/// Name of the socket inside the data folder (mode 0600).
pub const SOCKET: &str = "control.sock";
/// Longest request line in bytes: a list of a few hundred thousand patients. Only the folder's owner gets here.
const REQUEST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Pause after an accept that failed.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
/// Rows that one listing shows.
const ROWS_MAX: usize = 10_000;
/// When a listing of the queue was last recorded.
static LISTED_AT: AtomicI64 = AtomicI64::new(0);
const LISTED_EVERY_MS: i64 = 60_000;

/// What an administrator may ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// By queue id or Message-ID.
    AuditShow {
        message: String,
    },
    AuditExport {
        from_seq: u64,
    },
    /// Signed proof of one delivery, for somebody outside.
    AuditProof {
        message: String,
        recipient: String,
    },
    /// What would become of mail to a domain now.
    Check {
        domain: String,
    },
    QueueList {
        all: bool,
    },
    QueueRelease {
        copy: String,
        refuse: bool,
        reason: String,
    },
    EscrowList {
        all: bool,
    },
    /// A new code for the parcel of this message and recipient; the old one is void.
    EscrowCode {
        message: String,
        recipient: String,
    },
    /// What was agreed with partners.
    PartnersList,
    /// A token for programs that ask over HTTP.
    TokenAdd {
        name: String,
    },
    TokenList,
    TokenRevoke {
        name: String,
    },
    UserAdd {
        name: String,
        send_as: Vec<String>,
        bound_address: Option<String>,
    },
    UserList,
    UserRevoke {
        name: String,
    },
    /// The practice's own patients, as its program exports them.
    PatientsImport {
        csv: String,
        dry_run: bool,
    },
    PatientsStatus,
    PatientsForget,
    /// A key and a client certificate of the built-in authority, for a server that relays.
    CertIssue {
        name: String,
        send_as: Vec<String>,
        bound_address: Option<String>,
        days: u32,
        messages_per_hour: Option<u32>,
    },
    CertList,
    CertRevoke {
        name: String,
    },
    /// What has been counted for reports about TLS.
    TlsrptShow,
    /// Sends the reports of the days that are over; with `now` also of today so far.
    TlsrptSend {
        now: bool,
    },
}

/// What comes back: rows for people or programs, or a sentence saying why not.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Rows(Vec<serde_json::Value>),
    Text(String),
    /// Shown on a terminal only.
    Secret {
        label: String,
        secret: String,
    },
    /// Files that only the asker may have, by name, and a sentence about them.
    Files {
        files: Vec<(String, String)>,
        about: String,
    },
    Refused(String),
}

/// What the answers are made from.
#[derive(Clone)]
pub struct Parts {
    pub store: store::Handle,
    pub vault: Arc<Vault>,
    pub settings: Arc<Settings>,
    /// Sends reports about TLS; empty while the gateway starts, and where they are off.
    pub reports: Arc<OnceLock<Arc<Reporter>>>,
    /// The list of own patients in force.
    pub patients: Arc<OwnPatients>,
}

/// Answers one request.
pub async fn answer(parts: &Parts, request: Request, now: Timestamp) -> Answer {
    match respond(parts, request, now).await {
        Ok(answer) => answer,
        Err(why) => Answer::Refused(why),
    }
}

async fn respond(parts: &Parts, request: Request, now: Timestamp) -> Result<Answer, String> {
    match request {
        Request::AuditShow { message } => audit_show(parts, &message, now).await,
        Request::AuditExport { from_seq } => audit_export(parts, from_seq, now).await,
        Request::AuditProof { message, recipient } => proof::proof(parts, &message, &recipient, now).await,
        Request::Check { domain } => check(parts, &domain).await,
        Request::QueueList { all } => queue_list(parts, all).await,
        Request::QueueRelease { copy, refuse, reason } => release(parts, &copy, refuse, &reason, now).await,
        Request::EscrowList { all } => escrow_list(parts, all).await,
        Request::EscrowCode { message, recipient } => escrow_code(parts, &message, &recipient, now).await,
        Request::PartnersList => Ok(Answer::Rows(partners::list(parts, now).await)),
        Request::TokenAdd { name } => token_add(parts, name, now).await,
        Request::TokenList => token_list(parts).await,
        Request::TokenRevoke { name } => match parts.store.remove_token(&name).await.map_err(text)? {
            true => Ok(Answer::Text(format!("{name} is revoked"))),
            false => Err(format!("there is no token `{name}`; `wardpost token list` shows all")),
        },
        Request::PatientsImport { csv, dry_run } => {
            let parts = parts.clone();
            let work = move || patients::import(&parts, &csv, dry_run, now);
            tokio::task::spawn_blocking(work).await.map_err(text)?.map(Answer::Text)
        }
        Request::PatientsStatus => Ok(Answer::Rows(vec![patients::status(parts, now)?])),
        Request::PatientsForget => patients::forget(parts).map(Answer::Text),
        Request::UserAdd { name, send_as, bound_address } => access::user_add(parts, name, send_as, bound_address, now).await,
        Request::UserList => access::user_list(parts).await,
        Request::UserRevoke { name } => access::user_revoke(parts, &name, now).await,
        Request::CertIssue { name, send_as, bound_address, days, messages_per_hour } => {
            let wanted = access::Wanted { name, send_as, bound_address, days, messages_per_hour };
            access::cert_issue(parts, wanted, now).await
        }
        Request::CertList => access::cert_list(parts, now).await,
        Request::CertRevoke { name } => access::cert_revoke(parts, &name, now).await,
        Request::TlsrptShow => tlsrpt_show(parts).await,
        Request::TlsrptSend { now: today_too } => tlsrpt_send(parts, today_too, now).await,
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

// --- the record -----------------------------------------------------------------------------------------------------

/// All copies of a message, found by queue id or Message-ID.
pub(super) async fn copies(parts: &Parts, message: &str) -> Result<Vec<CopyRow>, String> {
    let message = message.trim();
    if let Ok(id) = QueueId::parse(message) {
        return parts.store.copies_of(id).await.map_err(text);
    }
    let id = message.trim_start_matches('<').trim_end_matches('>');
    let pseudonym = parts.vault.pseudonym("message-id", id);
    parts.store.copies_by_message_id(pseudonym).await.map_err(text)
}

async fn audit_show(parts: &Parts, message: &str, now: Timestamp) -> Result<Answer, String> {
    let mut ids: Vec<QueueId> = copies(parts, message).await?.iter().map(|row| row.copy.message).collect();
    if let Ok(id) = QueueId::parse(message.trim()) {
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    let mut rows = Vec::new();
    let mut opened = 0u32;
    for id in &ids {
        for entry in parts.store.log_of(*id).await.map_err(text)? {
            let record: audit::Record = serde_json::from_slice(&entry.bytes)
                .map_err(|_| format!("entry {} of the log cannot be read; run `wardpost audit verify`", entry.seq))?;
            let mut row = serde_json::to_value(&record).map_err(text)?;
            if let Some(fields) = row.as_object_mut() {
                fields.insert("seq".into(), entry.seq.into());
                if let Some(named) = open_sealed(parts, &record) {
                    fields.remove("sealed");
                    fields.insert("named".into(), named);
                    opened += 1;
                }
            }
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return Err("no record of this message; give its queue id (from the 250 reply) or its Message-ID".into());
    }
    // Who opened sealed fields is part of the record.
    if opened > 0 {
        let mut record = audit::Record::of(audit::Event::Resolved, now);
        record.message = ids.first().map(ToString::to_string);
        parts.store.append(vec![record]).await.map_err(text)?;
    }
    Ok(Answer::Rows(rows))
}

fn open_sealed(parts: &Parts, record: &audit::Record) -> Option<serde_json::Value> {
    use base64::Engine as _;
    let sealed = base64::engine::general_purpose::STANDARD.decode(record.sealed.as_deref()?).ok()?;
    let id = record.copy.clone().or_else(|| record.message.clone()).unwrap_or_default();
    let plain = parts.vault.open_small(Role::Record, id.as_bytes(), &crate::secret::Sealed(sealed)).ok()?;
    serde_json::from_slice(plain.expose()).ok()
}

async fn audit_export(parts: &Parts, from_seq: u64, now: Timestamp) -> Result<Answer, String> {
    let mut out = Vec::new();
    parts
        .store
        .export(&parts.vault, from_seq.max(1), now, |piece| {
            out.extend_from_slice(piece.as_bytes());
            Ok(())
        })
        .await
        .map_err(text)?;
    String::from_utf8(out).map(Answer::Text).map_err(text)
}

/// As a delivery of this gateway would find it, its memory included.
async fn check(parts: &Parts, domain: &str) -> Result<Answer, String> {
    let domain = Domain::parse(domain.trim()).map_err(text)?;
    let checker = Checker::of_gateway(parts).map_err(text)?;
    let report = checker.check(&domain).await;
    Ok(Answer::Rows(vec![serde_json::to_value(&report).map_err(text)?]))
}

// --- the queue ------------------------------------------------------------------------------------------------------

fn facts_of(parts: &Parts, row: &CopyRow) -> Option<CopyFacts> {
    let keys = parts.vault.unwrap(row.copy.id.as_bytes(), &row.copy.wrap).ok()?;
    pack::open_facts(keys.get(1)?, row.copy.id, row.copy.body, &row.copy.facts).ok()
}

fn copy_row(parts: &Parts, row: &CopyRow) -> serde_json::Value {
    let facts = facts_of(parts, row);
    let next_at = match row.copy.state {
        CopyState::Queued { next_at } => Some(next_at.to_string()),
        CopyState::InFlight
        | CopyState::Held
        | CopyState::Delivered
        | CopyState::Escrowed(_)
        | CopyState::Bounced
        | CopyState::Refused => None,
    };
    serde_json::json!({
        "id": row.copy.message.to_string(),
        "copy": row.copy.id.to_string(),
        "kind": row.copy.kind,
        "state": row.copy.state.as_str(),
        "message_id": facts.as_ref().map(|facts| facts.message_id.clone()),
        "recipient": facts.as_ref().map(|facts| facts.recipient.clone()),
        "recipient_pseudonym": row.copy.recipient,
        "domain": row.copy.domain.as_str(),
        "class": row.copy.class,
        "size_bytes": row.copy.size_bytes,
        "received_at": row.copy.received_at.to_string(),
        "changed_at": row.changed_at.to_string(),
        "attempts": row.attempts,
        "next_at": next_at,
        "reason": row.last_reason.clone().or_else(|| facts.filter(|_| row.copy.state == CopyState::Held)?.held_by),
    })
}

async fn queue_list(parts: &Parts, all: bool) -> Result<Answer, String> {
    let rows = parts.store.copies(!all, ROWS_MAX).await.map_err(text)?;
    let mut rows: Vec<serde_json::Value> = rows.iter().map(|row| copy_row(parts, row)).collect();
    for row in parts.store.damaged().await.map_err(text)? {
        rows.push(serde_json::json!({ "copy": row.name(), "kind": row.kind, "state": "damaged", "reason": row.what }));
    }
    // That somebody was shown whom mail is for stands in the record; a listing that repeats itself, once a minute.
    let now = crate::server::now();
    if rows.iter().any(|row| row.get("recipient").is_some_and(|recipient| !recipient.is_null())) {
        let last = LISTED_AT.load(Ordering::Relaxed);
        if now.0.saturating_sub(last) >= LISTED_EVERY_MS
            && LISTED_AT.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let mut record = audit::Record::of(audit::Event::Resolved, now);
            record.reason = Some("queue-listed".to_owned());
            parts.store.append(vec![record]).await.map_err(text)?;
        }
    }
    Ok(Answer::Rows(rows))
}

/// A release does what the strictest matched action other than hold says, never less.
async fn release(parts: &Parts, copy: &str, refuse: bool, reason: &str, now: Timestamp) -> Result<Answer, String> {
    if reason.trim().is_empty() {
        return Err("say why with --reason TEXT; it stands in the record".into());
    }
    let id = CopyId::parse(copy.trim()).map_err(|_| "give the copy's id as `wardpost queue list` shows it".to_owned())?;
    let row = parts.store.copy(id).await.map_err(text)?.ok_or("there is no such copy")?;
    if row.copy.state != CopyState::Held {
        return Err(format!("this copy is not held; it is {}", row.copy.state.as_str()));
    }
    let mut commit = if refuse {
        deliver::refuse(&parts.vault, &parts.settings.deliver, &row, transport::Reason::RefusedByOffice, now)
    } else {
        let to = CopyState::Queued { next_at: now };
        let settle = Settle { copy: id, generation: row.generation, to, at: now, reason: Some("released".into()) };
        Commit { settles: vec![settle], ..Commit::default() }
    };
    let mut record = audit::Record::of(audit::Event::Released, now);
    record.message = Some(row.copy.message.to_string());
    record.copy = Some(id.to_string());
    record.action = Some(if refuse { "refuse" } else { "release" }.into());
    record.sealed = Some(seal_fields(&parts.vault, &id.to_string(), &serde_json::json!({ "reason": reason })));
    commit.records.push(record);
    let is_told = !commit.copies.is_empty();
    parts.store.commit(commit).await.map_err(text)?;
    Ok(Answer::Text(match (refuse, is_told) {
        (true, true) => "refused; the sender is told".into(),
        (true, false) => "refused; no mail tells the sender (no [[route]] leads there, or none was wanted): tell them".into(),
        (false, _) => "released".into(),
    }))
}

/// Seals fields of a record that name people or texts.
#[must_use]
pub fn seal_fields(vault: &Vault, id: &str, fields: &serde_json::Value) -> String {
    use base64::Engine as _;
    let sealed = vault.seal_small(Role::Record, id.as_bytes(), fields.to_string().as_bytes());
    base64::engine::general_purpose::STANDARD.encode(&sealed.0)
}

// --- the portal -----------------------------------------------------------------------------------------------------

fn parcel_state(row: &ParcelRow, now: Timestamp) -> &'static str {
    if row.delivered_at.is_some() {
        "delivered"
    } else if row.is_closed {
        "closed"
    } else if row.expires_at <= now {
        "expired"
    } else if row.first_opened_at.is_some() {
        "opened"
    } else if row.tries >= crate::escrow::TRIES_MAX {
        "code-void"
    } else if row.code.is_none() {
        "needs-code"
    } else {
        "waiting"
    }
}

fn parcel_facts(parts: &Parts, row: &ParcelRow) -> Option<crate::escrow::ParcelFacts> {
    let key = parts.vault.unwrap_recovery(row.id, &row.recovery).ok()?;
    crate::escrow::open_facts(&key, row.id, &row.facts).ok()
}

async fn escrow_list(parts: &Parts, all: bool) -> Result<Answer, String> {
    let now = crate::server::now();
    let rows = parts.store.parcels(!all, ROWS_MAX).await.map_err(text)?;
    // Whom parcels are for is read through their recovery wraps, so it stands in the record that somebody looked.
    if rows.iter().any(|row| !row.is_closed) {
        let mut record = audit::Record::of(audit::Event::Resolved, now);
        record.reason = Some("parcels-listed".to_owned());
        parts.store.append(vec![record]).await.map_err(text)?;
    }
    let rows = rows
        .iter()
        .map(|row| {
            let facts = parcel_facts(parts, row);
            serde_json::json!({
                "parcel": row.id.to_string(),
                "id": row.message.to_string(),
                "message_id": facts.as_ref().map(|facts| facts.message_id.clone()),
                "recipient": facts.as_ref().map(|facts| facts.recipient.clone()),
                "number": facts.as_ref().map(|facts| facts.number.clone()),
                "domain": row.domain.as_str(),
                "state": parcel_state(row, now),
                "reason": row.reason,
                "tries": row.tries,
                "created_at": row.created_at.to_string(),
                "expires_at": row.expires_at.to_string(),
                "opened_at": row.first_opened_at.map(|at| at.to_string()),
                "notice_sent_at": row.notice_sent_at.map(|at| at.to_string()),
                "notice_failed": row.notice_failed,
            })
        })
        .collect();
    Ok(Answer::Rows(rows))
}

async fn escrow_code(parts: &Parts, message: &str, recipient: &str, now: Timestamp) -> Result<Answer, String> {
    let mailbox = Mailbox::parse(recipient.trim()).map_err(text)?;
    let wanted = parts.vault.pseudonym("mailbox", &mailbox.folded());
    let copies = copies(parts, message).await?;
    let parcels = parts.store.parcels(true, ROWS_MAX).await.map_err(text)?;
    let row = parcels
        .into_iter()
        .find(|row| row.recipient == wanted && copies.iter().any(|copy| copy.copy.id == row.copy))
        .ok_or("no open parcel of this message for this recipient; `wardpost escrow list` shows all")?;
    // It stands in the record before the recovery wrap is opened.
    let mut record = audit::Record::of(audit::Event::CodeIssued, now);
    record.message = Some(row.message.to_string());
    record.copy = Some(row.copy.to_string());
    record.recipient = Some(row.recipient.clone());
    record.domain = Some(row.domain.to_string());
    parts.store.append(vec![record]).await.map_err(text)?;
    let (vault, parcel) = (parts.vault.clone(), row.clone());
    let issued = tokio::task::spawn_blocking(move || deliver::issue_code(&vault, &parcel)).await.map_err(text)?;
    let (code, wrap) = issued.map_err(text)?;
    let commit = Commit { parcel_changes: vec![store::ParcelChange::Code(row.id, wrap)], ..Commit::default() };
    parts.store.commit(commit).await.map_err(text)?;
    Ok(Answer::Secret { label: "code, to be told by phone or in person, never by e-mail".into(), secret: code.to_string() })
}

// --- programs that ask over HTTP -----------------------------------------------------------------------------------

async fn token_add(parts: &Parts, name: String, now: Timestamp) -> Result<Answer, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_name) {
        return Err("a token's name has 1 to 64 letters, digits, or . _ @ + -".into());
    }
    if parts.store.tokens().await.map_err(text)?.iter().any(|token| token.name == name) {
        return Err(format!("there is already a token `{name}`; revoke it first to make a new one"));
    }
    let secret = access::new_password(&parts.vault);
    let hash = admin_api::hash_of(&parts.vault, &secret);
    let token = TokenRow { name: name.clone(), hash, created_at: now, last_used_at: None, last_peer: None };
    parts.store.put_token(token).await.map_err(text)?;
    Ok(Answer::Secret { label: format!("token of {name}, shown once"), secret })
}

async fn token_list(parts: &Parts) -> Result<Answer, String> {
    let tokens = parts.store.tokens().await.map_err(text)?;
    let row = |token: &TokenRow| {
        serde_json::json!({
            "name": token.name,
            "created_at": token.created_at.to_string(),
            "last_used_at": token.last_used_at.map(|at| at.to_string()),
            "last_peer": token.last_peer,
        })
    };
    Ok(Answer::Rows(tokens.iter().map(row).collect()))
}

// --- reports about TLS ----------------------------------------------------------------------------------------------

fn reporter(parts: &Parts) -> Result<&Arc<Reporter>, String> {
    match (parts.reports.get(), &parts.settings.tlsrpt) {
        (Some(reporter), _) => Ok(reporter),
        (None, Some(_)) => Err("the gateway is starting; ask again in a moment".into()),
        (None, None) => Err("reports about TLS are off; set server.name and server.own_domains, or tlsrpt.enabled = true".into()),
    }
}

fn day_text(day: i64) -> String {
    let (year, month, day, ..) = Timestamp::from_secs(day.saturating_mul(86_400)).civil();
    format!("{year:04}-{month:02}-{day:02}")
}

async fn tlsrpt_show(parts: &Parts) -> Result<Answer, String> {
    let counts = reporter(parts)?.counts().await.map_err(text)?;
    let rows = counts
        .iter()
        .map(|(sessions, count)| {
            let policy: serde_json::Value = serde_json::from_str(&sessions.policy).unwrap_or_default();
            serde_json::json!({
                "day": day_text(sessions.day),
                "domain": sessions.domain.as_str(),
                "policy_type": policy.get("policy-type"),
                "policy_domain": policy.get("policy-domain"),
                "result": if sessions.result.is_empty() { "success" } else { sessions.result.as_str() },
                "host": sessions.host,
                "sending_ip": sessions.sending_ip,
                "receiving_ip": sessions.receiving_ip,
                "reason": sessions.reason,
                "sessions": count,
            })
        })
        .collect();
    Ok(Answer::Rows(rows))
}

async fn tlsrpt_send(parts: &Parts, today_too: bool, now: Timestamp) -> Result<Answer, String> {
    let reporter = reporter(parts)?;
    let sent = if today_too { reporter.send_now(now).await } else { reporter.send_due(now).await };
    let row = |sent: &Sent| {
        serde_json::json!({
            "day": day_text(sent.day),
            "domain": sent.domain.as_str(),
            "outcome": sent.outcome.as_str(),
        })
    };
    Ok(Answer::Rows(sent.iter().map(row).collect()))
}

// --- the socket -----------------------------------------------------------------------------------------------------

/// Opens the socket in the data folder. The folder is 0700, so only its owner gets here.
///
/// # Errors
/// If the socket cannot be made.
pub(super) fn bind(folder: &Path) -> std::io::Result<UnixListener> {
    let path = folder.join(SOCKET);
    // The store's lock is held, so a socket that lies here is a dead one.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Answers commands until `stop`, then takes the socket away.
pub(super) async fn serve(listener: UnixListener, parts: Parts, mut stop: tokio::sync::watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let parts = parts.clone();
                tokio::spawn(async move { serve_one(&parts, socket).await });
            }
            // The system has no more files or memory: there will be some again, and until then nothing spins.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    let _ = std::fs::remove_file(parts.settings.store.folder.join(SOCKET));
}

async fn serve_one(parts: &Parts, socket: tokio::net::UnixStream) -> std::io::Result<()> {
    let (read, mut write) = socket.into_split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => answer(parts, request, crate::server::now()).await,
        Err(_) => Answer::Refused("this command is of another version than the running gateway; restart the gateway".into()),
    };
    write.write_all(&serde_json::to_vec(&reply).unwrap_or_default()).await?;
    write.shutdown().await
}

/// Asks the running gateway; `None` if none listens in this data folder.
pub async fn ask(folder: &Path, request: &Request) -> Option<std::io::Result<Answer>> {
    let mut socket = tokio::net::UnixStream::connect(folder.join(SOCKET)).await.ok()?;
    Some(
        async {
            let mut line = serde_json::to_vec(request).map_err(std::io::Error::other)?;
            line.push(b'\n');
            socket.write_all(&line).await?;
            let mut reply = Vec::new();
            socket.read_to_end(&mut reply).await?;
            serde_json::from_slice(&reply).map_err(std::io::Error::other)
        }
        .await,
    )
}
