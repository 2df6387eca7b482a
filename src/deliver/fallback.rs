//! When the way is not open: a copy becomes a parcel in the portal.
//!
//! Everything that makes a parcel becomes true in one transaction: parcel, wraps, the slip with the code, the notice,
//! the record, and the copy's end in the queue. A crash before it leaves the copy queued, after it the parcel whole.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::bounce::{self, Finding};
use super::copy::{Internal, OpenCopy, seal_internal};
use super::settings::{NoticeMode, Settings};
use crate::audit::{Event, Record};
use crate::escrow::{self, Code, Notice, Number, Occasion, ParcelFacts, SlipFacts, Why};
use crate::mail::{Mailbox, ParcelId, Timestamp};
use crate::message;
use crate::observe;
use crate::policy::Action;
use crate::queue::{CopyKind, CopyState, pack};
use crate::secret::{OpenError, Plaintext, Sealed};
use crate::store::{self, CodeWrap, Commit, CopyRow, Handle, NewParcel, ParcelChange, ParcelRow, Settle};
use crate::transport::{Level, RefusalKind};
use crate::vault::Vault;

/// Argon2 at a time: 64 MiB each.
const CODES_AT_A_TIME: usize = 2;

/// Makes parcels and issues codes.
pub struct Parcels {
    settings: Arc<Settings>,
    store: Handle,
    vault: Arc<Vault>,
    codes: Semaphore,
}

/// Why a copy could not become a parcel, or a parcel get a code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("sealed bytes do not open: {0}")]
    Open(#[from] OpenError),
    #[error("the parcel is closed or does not exist")]
    NoParcel,
    #[error("an address in the sealed facts is not one")]
    Facts,
    #[error("the worker for keys ended early")]
    Worker,
}

/// A new code, and whether a slip takes it to the sender.
#[derive(Debug)]
pub struct Reissued {
    pub code: Code,
    pub number: String,
    pub slip_to: Option<Mailbox>,
}

/// The fields of a notice as they wait in the queue. The letter is made from them when it is sent, so that nothing
/// but the template can leave in a notice's name.
#[derive(Serialize, Deserialize)]
struct NoticeFields {
    recipient: String,
    from: String,
    office: String,
    host: String,
    locator: String,
    number: String,
    until: Timestamp,
    at: Timestamp,
    random: [u8; 16],
}

/// Issues a new code for a parcel through its recovery wrap. Takes most of a second: call it where blocking is meant.
/// The caller has recorded that it does so.
///
/// # Errors
/// [`OpenError`] if the recovery wrap is not this vault's.
pub fn issue_code(vault: &Vault, parcel: &ParcelRow) -> Result<(Code, CodeWrap), OpenError> {
    let key = vault.unwrap_recovery(parcel.id, &parcel.recovery)?;
    Ok(new_code(vault, parcel.id, &key))
}

fn new_code(vault: &Vault, parcel: ParcelId, key: &crate::secret::Key) -> (Code, CodeWrap) {
    let code = Code::from_random(vault.random());
    let salt: [u8; 16] = vault.random();
    let code_key = vault.code_key(code.digits(), &salt, parcel);
    let wrap = vault.wrap_with_code(&code_key, parcel, key);
    let spoken_hash = vault.keyed_hash(escrow::SPOKEN_HASH, code.digits().as_bytes());
    (code, CodeWrap { salt, wrap, spoken_hash })
}

impl Parcels {
    #[must_use]
    pub fn new(settings: Arc<Settings>, store: Handle, vault: Arc<Vault>) -> Parcels {
        Parcels { settings, store, vault, codes: Semaphore::new(CODES_AT_A_TIME) }
    }

    /// Turns a claimed copy into a parcel. `attempts` and `why` are what the slip and the record say.
    ///
    /// # Errors
    /// [`store::Error::Conflict`] if the copy was claimed anew or settled in the meantime: it is somebody else's then.
    pub async fn to_portal(
        &self,
        row: &CopyRow,
        open: &OpenCopy,
        body: Arc<Sealed>,
        why: Why,
        now: Timestamp,
    ) -> Result<ParcelId, Error> {
        let copy = &row.copy;
        let recipient = Mailbox::parse(&open.facts.recipient).map_err(|_| Error::Facts)?;
        let slip_to = self.slip_address(open.facts.slip_to.as_deref(), &recipient);
        let (kind, reason) = match why {
            Why::Transport { kind, reason } => (Some(kind), Some(reason)),
            Why::Policy => (None, None),
        };
        let id = ParcelId(self.vault.random());
        let number = Number::from_random(self.vault.random());
        let until = now.plus_secs(self.settings.portal.keep_days.saturating_mul(86_400));
        let (sender_name, sender) = from_of(&open.header, &open.facts.reverse_path);
        let facts = ParcelFacts {
            recipient: recipient.to_string(),
            sender_name,
            sender,
            subject: open.facts.subject.clone(),
            message_id: open.facts.message_id.clone(),
            number: number.to_string(),
            slip_to: slip_to.as_ref().map(Mailbox::to_string),
            received_at: copy.received_at,
            kind,
            reason,
            // What policy wants in the portal stays there, whatever the way becomes.
            later: (open.facts.action == Action::Deliver && reason.is_some()).then(|| escrow::Later {
                reverse_path: open.facts.reverse_path.clone(),
                smtputf8: open.facts.smtputf8,
                requirement: open.facts.requirement,
                notify: open.facts.notify,
                orcpt: open.facts.orcpt.clone(),
            }),
        };
        let later_level = facts.later.as_ref().map(|later| {
            // TLS with whoever it is was never a reason to send by mail what waits in safety.
            later.requirement.level.max(Level::Verified).as_str().to_owned()
        });
        // Key derivation and sealing of a whole body are long work; without a slip nobody could be told a code.
        let permit = self.codes.acquire().await.map_err(|_| Error::Worker)?;
        let (vault, body_key, body_id) = (Arc::clone(&self.vault), open.body_key(), copy.body);
        let header = Plaintext::new(open.header.expose().to_vec());
        let with_code = slip_to.is_some();
        let (sealed, code, recovery) = tokio::task::spawn_blocking(move || {
            let plain = pack::open_body(&body_key, body_id, &body)?;
            let key = vault.new_key();
            let nonces = [vault.nonce(), vault.nonce(), vault.nonce()];
            let sealed = escrow::seal_parcel(&key, nonces, id, header.expose(), plain.expose(), &facts);
            let code = with_code.then(|| new_code(&vault, id, &key));
            Ok::<_, OpenError>((sealed, code, vault.wrap_recovery(id, &key)))
        })
        .await
        .map_err(|_| Error::Worker)??;
        drop(permit);

        let mut commit = Commit::default();
        let is_notice_mailed = self.add_notice(&mut commit, row, &recipient, id, number, why, until, now);
        let (code, wrap) = code.map_or((None, None), |(code, wrap)| (Some(code), Some(wrap)));
        if let (Some(to), Some(code)) = (&slip_to, code) {
            let attempts = row.attempts;
            let slip = Slip { to, recipient: &recipient, why, occasion: Occasion::First, code: Some(code), number, attempts };
            self.add_slip(&mut commit, row.copy.message, &open.facts.message_id, id, slip, is_notice_mailed, until, now);
        }
        let reason_word = reason.map_or("policy", crate::transport::Reason::as_str);
        commit.parcels.push(NewParcel {
            id,
            number_hash: self.vault.keyed_hash(escrow::NUMBER_HASH, number.as_bytes()),
            copy: copy.id,
            message: copy.message,
            recipient: copy.recipient.clone(),
            message_id: copy.message_id.clone(),
            domain: copy.domain.clone(),
            body: sealed.body,
            header: sealed.header,
            facts: sealed.facts,
            code: wrap,
            recovery,
            reason: reason_word.to_owned(),
            later_level,
            created_at: now,
            expires_at: until,
            size_bytes: copy.size_bytes,
        });
        commit.settles.push(Settle {
            copy: copy.id,
            generation: row.generation,
            to: CopyState::Escrowed(id),
            at: now,
            reason: Some(reason_word.to_owned()),
        });
        let finding = Finding::InPortal { has_slip: slip_to.is_some() };
        if let Some((body, copy)) = bounce::report(&self.vault, &self.settings, row, open, finding, now) {
            commit.bodies.push(body);
            commit.copies.push(copy);
        }
        let mut record = record_of(row, Event::Escrowed, now);
        record.action = Some(open.facts.action.as_str().to_owned());
        record.required = Some(open.facts.requirement.level.as_str().to_owned());
        record.rules.clone_from(&open.facts.rules);
        record.reason = Some(reason_word.to_owned());
        commit.records.push(record);
        self.store.commit(commit).await?;

        observe::metrics().escrow(reason.map_or("policy", crate::transport::Reason::as_str));
        observe::log(&observe::Event::Escrowed {
            message: copy.message,
            copy: copy.id,
            domain: copy.domain.clone(),
            reason: reason.map_or("policy", crate::transport::Reason::as_str),
            parcel: id,
        });
        if slip_to.is_none() {
            observe::log(&observe::Event::NoSlipRoute { parcel: id });
        }
        Ok(id)
    }

    /// Issues a new code: recorded first, then made, then put in force together with the slip that tells it.
    ///
    /// # Errors
    /// [`Error::NoParcel`] for a closed or unknown one.
    pub async fn reissue(&self, id: ParcelId, occasion: Occasion, now: Timestamp) -> Result<Reissued, Error> {
        let parcel = self.store.parcel(id).await?.filter(|parcel| !parcel.is_closed).ok_or(Error::NoParcel)?;
        let mut record = Record::of(Event::CodeIssued, now);
        record.message = Some(parcel.message.to_string());
        record.copy = Some(parcel.copy.to_string());
        record.message_id = Some(parcel.message_id.clone());
        record.recipient = Some(parcel.recipient.clone());
        record.domain = Some(parcel.domain.as_str().to_owned());
        self.store.append(vec![record]).await?;

        let permit = self.codes.acquire().await.map_err(|_| Error::Worker)?;
        let (vault, sealed) = (Arc::clone(&self.vault), parcel.clone());
        let (facts, code, wrap) = tokio::task::spawn_blocking(move || {
            let key = vault.unwrap_recovery(sealed.id, &sealed.recovery)?;
            let facts = escrow::open_facts(&key, sealed.id, &sealed.facts)?;
            let (code, wrap) = new_code(&vault, sealed.id, &key);
            Ok::<_, OpenError>((facts, code, wrap))
        })
        .await
        .map_err(|_| Error::Worker)??;
        drop(permit);

        let recipient = Mailbox::parse(&facts.recipient).map_err(|_| Error::Facts)?;
        let number = Number::parse(&facts.number).map_err(|_| Error::Facts)?;
        let slip_to = self.slip_address(facts.slip_to.as_deref(), &recipient);
        let why = match (facts.kind, facts.reason) {
            (Some(kind), Some(reason)) => Why::Transport { kind, reason },
            _ => Why::Policy,
        };
        let mut commit = Commit::default();
        if let Some(to) = &slip_to {
            let slip = Slip { to, recipient: &recipient, why, occasion, code: Some(code.clone()), number, attempts: 0 };
            let is_mailed = parcel.notice_sent_at.is_some();
            let until = escrow::effective_expiry(parcel.expires_at, parcel.first_opened_at);
            self.add_slip(&mut commit, parcel.message, &facts.message_id, id, slip, is_mailed, until, now);
        }
        commit.parcel_changes.push(ParcelChange::Code(id, wrap));
        self.store.commit(commit).await?;
        Ok(Reissued { code, number: facts.number, slip_to })
    }

    /// After ten wrong tries: the code's wrap goes, and the sender is told in the same transaction. No new code is made:
    /// a person asks for one. Says whether there was anybody to tell.
    ///
    /// # Errors
    /// [`Error::NoParcel`] for a closed or unknown one; [`Error::Store`] if a new code was issued meanwhile.
    pub async fn code_void(&self, id: ParcelId, now: Timestamp) -> Result<bool, Error> {
        let parcel = self.store.parcel(id).await?.filter(|parcel| !parcel.is_closed).ok_or(Error::NoParcel)?;
        let mut record = Record::of(Event::Resolved, now);
        record.message = Some(parcel.message.to_string());
        record.copy = Some(parcel.copy.to_string());
        record.recipient = Some(parcel.recipient.clone());
        record.reason = Some("code-voided".to_owned());
        self.store.append(vec![record]).await?;

        let key = self.vault.unwrap_recovery(parcel.id, &parcel.recovery)?;
        let facts = escrow::open_facts(&key, parcel.id, &parcel.facts)?;
        let recipient = Mailbox::parse(&facts.recipient).map_err(|_| Error::Facts)?;
        let number = Number::parse(&facts.number).map_err(|_| Error::Facts)?;
        let slip_to = self.slip_address(facts.slip_to.as_deref(), &recipient);
        let mut commit = Commit { parcel_changes: vec![ParcelChange::CodeVoid(id)], ..Commit::default() };
        if let Some(to) = &slip_to {
            let occasion = Occasion::AfterTenTries;
            let slip = Slip { to, recipient: &recipient, why: Why::Policy, occasion, code: None, number, attempts: 0 };
            let until = escrow::effective_expiry(parcel.expires_at, parcel.first_opened_at);
            self.add_slip(&mut commit, parcel.message, &facts.message_id, id, slip, false, until, now);
        }
        self.store.commit(commit).await?;
        Ok(slip_to.is_some())
    }

    /// Where a slip may go: the submitter's bound address, in a domain with a fixed route of ours, and never the
    /// person whom the parcel is for.
    #[must_use]
    pub fn slip_address(&self, bound: Option<&str>, recipient: &Mailbox) -> Option<Mailbox> {
        let to = Mailbox::parse(bound?).ok()?;
        let is_eligible = self.settings.routes.contains_key(to.domain()) && to.folded() != recipient.folded();
        is_eligible.then_some(to)
    }

    /// Adds the notice if one may go; says whether.
    #[allow(clippy::too_many_arguments)]
    fn add_notice(
        &self,
        commit: &mut Commit,
        row: &CopyRow,
        recipient: &Mailbox,
        id: ParcelId,
        number: Number,
        why: Why,
        until: Timestamp,
        now: Timestamp,
    ) -> bool {
        let portal = &self.settings.portal;
        let Some(from) = portal.notice_address.as_ref().filter(|_| may_notify(portal.notice, why)) else { return false };
        let fields = NoticeFields {
            recipient: recipient.to_string(),
            from: from.to_string(),
            office: portal.office.clone(),
            host: portal.host.clone(),
            locator: id.to_string(),
            number: number.to_string(),
            until,
            at: now,
            random: self.vault.random(),
        };
        // Strings and numbers only: serialising cannot fail.
        let json = Plaintext::new(serde_json::to_vec(&fields).unwrap_or_default());
        let is_clear = matches!(why, Why::Transport { kind: RefusalKind::CannotEncrypt, .. });
        let wait = if is_clear { self.settings.portal.notice_wait.as_millis() as i64 } else { 0 };
        let internal = Internal {
            kind: CopyKind::Notice,
            to: recipient,
            reverse_path: Some(from),
            message: row.copy.message,
            // Nothing of the original: the notice has a random id of its own.
            message_id: "",
            class: row.copy.class,
            parcel: Some(id),
            require_tls: false,
            at: now,
            next_at: now.plus_ms(wait),
        };
        let (body, copy) = seal_internal(&self.vault, &internal, b"", json.expose());
        commit.bodies.push(body);
        commit.copies.push(copy);
        true
    }

    #[allow(clippy::too_many_arguments)]
    fn add_slip(
        &self,
        commit: &mut Commit,
        message: crate::mail::QueueId,
        message_id: &str,
        parcel: ParcelId,
        slip: Slip<'_>,
        is_notice_mailed: bool,
        until: Timestamp,
        now: Timestamp,
    ) {
        let Some(from) = self.settings.postmaster() else { return };
        let letter = escrow::slip(&SlipFacts {
            to: slip.to.clone(),
            from,
            office: self.settings.portal.office.clone(),
            recipient: slip.recipient.clone(),
            why: slip.why,
            occasion: slip.occasion,
            attempts: slip.attempts,
            last_attempt_at: now,
            code: slip.code,
            number: slip.number,
            reference: message.to_string(),
            host: self.settings.portal.host.clone(),
            is_notice_mailed,
            until,
            original_message_id: message_id.to_owned(),
            at: now,
            random: self.vault.random(),
        });
        let internal = Internal {
            kind: CopyKind::Slip,
            to: slip.to,
            reverse_path: None,
            message,
            message_id,
            class: crate::policy::Class::Urgent,
            parcel: Some(parcel),
            require_tls: false,
            at: now,
            next_at: now,
        };
        let (body, copy) = seal_internal(&self.vault, &internal, letter.header.expose(), letter.body.expose());
        commit.bodies.push(body);
        commit.copies.push(copy);
    }
}

struct Slip<'a> {
    to: &'a Mailbox,
    recipient: &'a Mailbox,
    why: Why,
    occasion: Occasion,
    code: Option<Code>,
    number: Number,
    attempts: u32,
}

/// Whether a notice may be mailed. A domain whose published policy is violated, or of which nothing certain is known,
/// gets none: the policy says that nothing at all is to be delivered there, and the violation may be an attack.
#[must_use]
pub fn may_notify(mode: NoticeMode, why: Why) -> bool {
    match (mode, why) {
        (NoticeMode::None, _) => false,
        (NoticeMode::Plain | NoticeMode::TlsOnly, Why::Policy) => true,
        (mode, Why::Transport { kind, .. }) => match kind {
            RefusalKind::CannotEncrypt => mode == NoticeMode::Plain,
            RefusalKind::CannotAuthenticate => true,
            RefusalKind::PolicyViolated | RefusalKind::Unknown | RefusalKind::Undeliverable => false,
        },
    }
}

/// The notice that a queued copy stands for.
///
/// # Errors
/// [`Error`] if the copy is no notice of ours.
pub fn notice_of(open: &OpenCopy, row: &CopyRow, body: &Sealed) -> Result<Notice, Error> {
    let json = pack::open_body(&open.body_key(), row.copy.body, body)?;
    let fields: NoticeFields = serde_json::from_slice(json.expose()).map_err(|_| Error::Facts)?;
    Ok(Notice {
        recipient: Mailbox::parse(&fields.recipient).map_err(|_| Error::Facts)?,
        from: Mailbox::parse(&fields.from).map_err(|_| Error::Facts)?,
        office: fields.office,
        host: fields.host,
        locator: ParcelId::parse(&fields.locator).map_err(|_| Error::Facts)?,
        number: Number::parse(&fields.number).map_err(|_| Error::Facts)?,
        until: fields.until,
        at: fields.at,
        random: fields.random,
    })
}

/// A record with everything that a row says of its copy.
#[must_use]
pub fn record_of(row: &CopyRow, event: Event, at: Timestamp) -> Record {
    let mut record = Record::of(event, at);
    record.message = Some(row.copy.message.to_string());
    record.copy = Some(row.copy.id.to_string());
    record.message_id = Some(row.copy.message_id.clone());
    record.recipient = Some(row.copy.recipient.clone());
    record.domain = Some(row.copy.domain.as_str().to_owned());
    record.attempt = Some(row.attempts.max(1));
    record
}

/// Display name and address of the From field; the reverse-path where there is none to read.
fn from_of(header: &Plaintext, reverse_path: &str) -> (Option<String>, String) {
    let mut bytes = header.expose().to_vec();
    bytes.extend_from_slice(b"\r\n");
    let message = message::parse(Plaintext::new(bytes));
    let from = message.header().first("From").and_then(|field| field.mailboxes().into_iter().next());
    match from {
        Some(from) => (from.name, from.mailbox.to_string()),
        None => (None, reverse_path.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::transport::Reason;

    #[test]
    fn a_notice_never_goes_where_a_policy_is_violated_or_nothing_is_known() {
        let why = |kind| Why::Transport { kind, reason: Reason::TlsFailed };
        let cases = [
            (Why::Policy, [true, true, false]),
            (why(RefusalKind::CannotEncrypt), [true, false, false]),
            (why(RefusalKind::CannotAuthenticate), [true, true, false]),
            (why(RefusalKind::PolicyViolated), [false, false, false]),
            (why(RefusalKind::Unknown), [false, false, false]),
            (why(RefusalKind::Undeliverable), [false, false, false]),
        ];
        for (why, expected) in cases {
            let got = [NoticeMode::Plain, NoticeMode::TlsOnly, NoticeMode::None].map(|mode| may_notify(mode, why));
            assert_eq!(got, expected, "{why:?}");
        }
    }
}
