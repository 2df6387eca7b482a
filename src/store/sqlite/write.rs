//! Writing: one order each, inside the batch's transaction.

use rusqlite::{Params, params};

use super::super::bodies::{name_of_body, name_of_parcel};
use super::super::order::{Answer, Failure, Order};
use super::super::{Commit, CopyRow, Damaged, Error, NewCopy, NewParcel, ParcelChange, Settle, TlsSessions, UserRow};
use super::damage::failure;
use super::read::{COPY, class_number, classes, copy_row, damage, kind_word};
use super::{Batch, SqliteStore};
use crate::audit::{Event, Record, commit, sign_head};
use crate::mail::{BodyId, ParcelId, QueueId, Timestamp};
use crate::observe;
use crate::policy::Lane;
use crate::queue::CopyState;

/// Wrong or unfinished tries after which a code opens nothing any more.
pub(super) const TRIES_MAX: u32 = 10;
/// Whoever typed a code so lately may be about to read.
const TRIED_LATELY_MS: i64 = 60_000;
/// A clock that goes back by less than this is ordinary correction.
const CLOCK_BACK_MS: i64 = 2000;

/// Why an order was not carried out.
pub(super) enum Stop {
    /// This order alone; the batch goes on.
    Refused(Error),
    /// The batch, and perhaps the store.
    Failed(Failure),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => {
                Stop::Refused(Error::Refused("an id or number is in the store already".into()))
            }
            _ => Stop::Failed(failure(&error)),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Failed(Failure::Broken(error.to_string()))
    }
}

fn refused<T>(what: &str) -> Result<T, Stop> {
    Err(Stop::Refused(Error::Refused(what.into())))
}

impl SqliteStore {
    pub(super) fn carry_out_one(&self, order: &Order, batch: &mut Batch) -> Result<Answer, Stop> {
        self.bodies.faults.step()?;
        match order {
            Order::Commit { commit, .. } => self.commit(commit, batch),
            Order::Claim { lane, now, max } => self.claim(*lane, *now, *max),
            Order::CountTry { parcel, at } => self.count_try(*parcel, *at),
            Order::GiveBackTry { parcel } => {
                let sql = "UPDATE parcels SET tries = max(tries - 1, 0), last_try_at = NULL WHERE id = ?1";
                self.run_with(sql, [parcel.as_bytes()])?;
                Ok(Answer::Done)
            }
            Order::VoidCodes => {
                // What was sent by mail since the backup was made is not to be sent again.
                self.run_with("UPDATE parcels SET later_level = NULL WHERE later_level IS NOT NULL", [])?;
                let sql = "UPDATE parcels SET code_salt = NULL, code_wrap = NULL, spoken_hash = NULL WHERE code_salt IS NOT NULL";
                Ok(Answer::Voided(self.run_with(sql, [])? as u64))
            }
            Order::PutUser(user) => self.put_user(user),
            Order::RemoveUser { name } => Ok(Answer::Removed(self.run_with("DELETE FROM users WHERE name = ?1", [name])? > 0)),
            Order::NoteUse { name, at, peer } => {
                self.run_with("UPDATE users SET last_used_at = ?2, last_peer = ?3 WHERE name = ?1", params![name, at.0, peer])?;
                Ok(Answer::Done)
            }
            Order::PutToken(token) => {
                let sql = "INSERT INTO tokens (name, hash, created_at) VALUES (?1, ?2, ?3)";
                self.run_with(sql, params![token.name, token.hash, token.created_at.0])?;
                Ok(Answer::Done)
            }
            Order::RemoveToken { name } => Ok(Answer::Removed(self.run_with("DELETE FROM tokens WHERE name = ?1", [name])? > 0)),
            Order::NoteTokenUse { name, at, peer } => {
                self.run_with("UPDATE tokens SET last_used_at = ?2, last_peer = ?3 WHERE name = ?1", params![name, at.0, peer])?;
                Ok(Answer::Done)
            }
            Order::PutSts { domain, policy } => {
                let sql = "INSERT INTO sts (domain, sealed) VALUES (?1, ?2) ON CONFLICT (domain) DO UPDATE SET sealed = excluded.sealed";
                self.run_with(sql, params![domain.as_str(), policy.0])?;
                Ok(Answer::Done)
            }
            Order::NoteStarttls { domain, at } => {
                let sql = "INSERT INTO starttls (domain, seen_at) VALUES (?1, ?2) \
                           ON CONFLICT (domain) DO UPDATE SET seen_at = excluded.seen_at";
                self.run_with(sql, params![domain.as_str(), at.0])?;
                Ok(Answer::Done)
            }
            Order::NoteCheck { domain, at, sealed, keep_from } => {
                self.run_with("DELETE FROM domain_checks WHERE domain = ?1 AND at < ?2", params![domain.as_str(), keep_from.0])?;
                let sql = "INSERT INTO domain_checks (domain, at, sealed) VALUES (?1, ?2, ?3) \
                           ON CONFLICT (domain, at) DO UPDATE SET sealed = excluded.sealed";
                self.run_with(sql, params![domain.as_str(), at.0, sealed.0])?;
                Ok(Answer::Done)
            }
            Order::NoteStanding { domain, standing, at } => {
                let sql = "INSERT INTO domains (domain, standing, seen_at) VALUES (?1, ?2, ?3) ON CONFLICT (domain) \
                           DO UPDATE SET standing = excluded.standing, seen_at = excluded.seen_at";
                self.run_with(sql, params![domain.as_str(), standing, at.0])?;
                Ok(Answer::Done)
            }
            Order::NoteAlarm { domain, at, every_ms } => {
                let sql = "UPDATE domains SET alarmed_at = ?2 \
                           WHERE domain = ?1 AND (alarmed_at IS NULL OR alarmed_at <= ?2 - ?3 OR alarmed_at > ?2)";
                Ok(Answer::Alarm(self.run_with(sql, params![domain.as_str(), at.0, every_ms])? > 0))
            }
            Order::SignHead { at } => self.sign_head(*at, batch),
            Order::SetAside { rows, at } => {
                rows.iter().try_for_each(|row| self.set_aside(row, *at))?;
                Ok(Answer::Done)
            }
        }
    }

    fn commit(&self, commit: &Commit, batch: &mut Batch) -> Result<Answer, Stop> {
        for body in &commit.bodies {
            // A body whose copies are all finished already would only be deleted again.
            let is_used = commit.copies.iter().any(|copy| copy.body == body.id && !copy.state.is_terminal());
            let is_file = body.sealed.0.len() > self.body_file_bytes;
            if !is_used {
                if is_file {
                    batch.unused.push(name_of_body(body.id));
                }
                continue;
            }
            let sealed = (!is_file).then_some(&body.sealed.0);
            let sql = "INSERT INTO bodies (id, size_bytes, sealed) VALUES (?1, ?2, ?3)";
            self.run_with(sql, params![body.id.as_bytes(), body.sealed.0.len() as i64, sealed])?;
        }
        for copy in &commit.copies {
            let comes_along = commit.bodies.iter().any(|body| body.id == copy.body);
            if !copy.state.is_terminal() && !comes_along && !self.has_body(copy.body)? {
                return refused("a copy refers to a body that is not in the store");
            }
            self.insert_copy(copy)?;
            batch.has_queued |= matches!(copy.state, CopyState::Queued { .. });
        }
        for parcel in &commit.parcels {
            self.insert_parcel(parcel)?;
        }
        for settle in &commit.settles {
            self.settle(settle, batch)?;
        }
        for (copy, host) in &commit.uncertain {
            self.run_with("UPDATE copies SET uncertain_host = ?2 WHERE id = ?1", params![copy.as_bytes(), host.as_str()])?;
        }
        for change in &commit.parcel_changes {
            self.change_parcel(change, batch)?;
        }
        for record in &commit.records {
            self.append(record, batch)?;
        }
        for copy in &commit.delay_told {
            self.run_with("UPDATE copies SET delay_told = 1 WHERE id = ?1", [copy.as_bytes()])?;
        }
        for (sessions, count) in &commit.tls_sessions {
            self.count_tls_sessions(sessions, *count)?;
        }
        Ok(Answer::Done)
    }

    fn count_tls_sessions(&self, of: &TlsSessions, count: i64) -> Result<(), Stop> {
        let key = [of.domain.as_str(), &of.policy, &of.result, &of.host, &of.sending_ip, &of.receiving_ip, &of.reason];
        let [domain, policy, result, host, sending_ip, receiving_ip, reason] = key;
        let sql = "INSERT INTO tls_sessions (day, domain, policy, result, host, sending_ip, receiving_ip, reason, sessions) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                   ON CONFLICT (day, domain, policy, result, host, sending_ip, receiving_ip, reason) \
                   DO UPDATE SET sessions = sessions + excluded.sessions";
        self.run_with(sql, params![of.day, domain, policy, result, host, sending_ip, receiving_ip, reason, count])?;
        if count < 0 {
            let sql = "DELETE FROM tls_sessions WHERE day = ?1 AND domain = ?2 AND sessions <= 0";
            self.run_with(sql, params![of.day, domain])?;
        }
        Ok(())
    }

    fn has_body(&self, id: BodyId) -> Result<bool, Stop> {
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM bodies WHERE id = ?1")?;
        Ok(statement.exists([id.as_bytes()])?)
    }

    fn insert_copy(&self, copy: &NewCopy) -> Result<(), Stop> {
        let is_open = !copy.state.is_terminal();
        // A copy committed in flight was claimed by whoever commits it: attempt and generation 1.
        let claims = i64::from(copy.state == CopyState::InFlight);
        let (next_at, escrowed_as) = state_columns(copy.state);
        let sql = "INSERT INTO copies (id, message, kind, class, state, is_open, next_at, attempts, generation, received_at, \
                   changed_at, size_bytes, domain, recipient, message_id, parcel, escrowed_as, body, wrap, facts, header) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
        self.run_with(
            sql,
            params![
                copy.id.as_bytes(),
                copy.message.as_bytes(),
                kind_word(copy.kind),
                class_number(copy.class),
                copy.state.as_str(),
                is_open,
                next_at,
                claims,
                copy.received_at.0,
                i64::try_from(copy.size_bytes).unwrap_or(i64::MAX),
                copy.domain.as_str(),
                copy.recipient.as_str(),
                copy.message_id.as_str(),
                copy.parcel.as_ref().map(ParcelId::as_bytes),
                escrowed_as.as_ref().map(ParcelId::as_bytes),
                is_open.then(|| copy.body.as_bytes()),
                is_open.then_some(&copy.wrap.0),
                is_open.then_some(&copy.facts.0),
                is_open.then_some(&copy.header.0),
            ],
        )?;
        Ok(())
    }

    fn insert_parcel(&self, parcel: &NewParcel) -> Result<(), Stop> {
        let sql = "INSERT INTO parcels (id, number_hash, copy_id, message, recipient, message_id, domain, reason, created_at, \
                   expires_at, is_closed, notice_failed, size_bytes, tries, code_salt, code_wrap, spoken_hash, recovery, facts, \
                   later_level) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0, ?11, 0, ?12, ?13, ?14, ?15, ?16, ?17)";
        let code = parcel.code.as_ref();
        self.run_with(
            sql,
            params![
                parcel.id.as_bytes(),
                parcel.number_hash,
                parcel.copy.as_bytes(),
                parcel.message.as_bytes(),
                parcel.recipient.as_str(),
                parcel.message_id.as_str(),
                parcel.domain.as_str(),
                parcel.reason,
                parcel.created_at.0,
                parcel.expires_at.0,
                i64::try_from(parcel.size_bytes).unwrap_or(i64::MAX),
                code.map(|code| code.salt),
                code.map(|code| &code.wrap.0),
                code.map(|code| code.spoken_hash),
                parcel.recovery.0,
                parcel.facts.0,
                parcel.later_level,
            ],
        )?;
        let sealed = (parcel.body.0.len() <= self.body_file_bytes).then_some(&parcel.body.0);
        let sql = "INSERT INTO parcel_content (parcel, size_bytes, header, sealed) VALUES (?1, ?2, ?3, ?4)";
        self.run_with(sql, params![parcel.id.as_bytes(), parcel.body.0.len() as i64, parcel.header.0, sealed])?;
        Ok(())
    }

    /// The claim's generation decides: whoever claimed the copy last, or found it unclaimed, may settle it.
    fn settle(&self, settle: &Settle, batch: &mut Batch) -> Result<(), Stop> {
        let (next_at, escrowed_as) = state_columns(settle.to);
        if !settle.to.is_terminal() {
            let sql = "UPDATE copies SET state = ?3, next_at = ?4, last_reason = coalesce(?5, last_reason), changed_at = ?6 \
                       WHERE id = ?1 AND generation = ?2 AND is_open = 1";
            let generation = i64::try_from(settle.generation).unwrap_or(i64::MAX);
            let id = settle.copy.as_bytes();
            let changed = self.run_with(sql, params![id, generation, settle.to.as_str(), next_at, settle.reason, settle.at.0])?;
            batch.has_queued |= matches!(settle.to, CopyState::Queued { .. });
            return if changed == 1 { Ok(()) } else { Err(Stop::Refused(Error::Conflict)) };
        }
        let body: Option<Vec<u8>> = {
            let sql = "SELECT body FROM copies WHERE id = ?1 AND generation = ?2 AND is_open = 1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let generation = i64::try_from(settle.generation).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![settle.copy.as_bytes(), generation])?;
            match rows.next()? {
                Some(row) => row.get(0)?,
                None => return Err(Stop::Refused(Error::Conflict)),
            }
        };
        // Without its wrap the copy can never be opened again: this is the erasure.
        let sql = "UPDATE copies SET state = ?2, is_open = 0, next_at = NULL, escrowed_as = ?3, \
                   last_reason = coalesce(?4, last_reason), changed_at = ?5, uncertain_host = NULL, body = NULL, wrap = NULL, facts = NULL, header = NULL \
                   WHERE id = ?1";
        let escrowed_as = escrowed_as.as_ref().map(ParcelId::as_bytes);
        self.run_with(sql, params![settle.copy.as_bytes(), settle.to.as_str(), escrowed_as, settle.reason, settle.at.0])?;
        match body.and_then(|body| <[u8; 16]>::try_from(body).ok()) {
            Some(body) => self.drop_body_if_unused(BodyId(body), batch),
            None => Ok(()),
        }
    }

    fn drop_body_if_unused(&self, id: BodyId, batch: &mut Batch) -> Result<(), Stop> {
        let sql = "DELETE FROM bodies WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM copies WHERE body = ?1) \
                   RETURNING sealed IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([id.as_bytes()])?;
        if let Some(row) = rows.next()?
            && row.get::<_, bool>(0)?
        {
            batch.unused.push(name_of_body(id));
        }
        Ok(())
    }

    fn change_parcel(&self, change: &ParcelChange, batch: &mut Batch) -> Result<(), Stop> {
        let changed = match change {
            ParcelChange::Code(id, code) => self.run_with(
                "UPDATE parcels SET code_salt = ?2, code_wrap = ?3, spoken_hash = ?4, tries = 0, last_try_at = NULL \
                 WHERE id = ?1 AND is_closed = 0",
                params![id.as_bytes(), code.salt, code.wrap.0, code.spoken_hash],
            )?,
            // The tries stay: to a stranger the parcel goes on looking locked.
            ParcelChange::CodeVoid(id) => self.run_with(
                "UPDATE parcels SET code_salt = NULL, code_wrap = NULL, spoken_hash = NULL \
                 WHERE id = ?1 AND is_closed = 0 AND code_salt IS NOT NULL AND tries >= ?2",
                params![id.as_bytes(), TRIES_MAX],
            )?,
            ParcelChange::Opened(id, at) => {
                let sql = "UPDATE parcels SET first_opened_at = coalesce(first_opened_at, ?2) \
                           WHERE id = ?1 AND is_closed = 0 AND sending_at IS NULL";
                let changed = self.run_with(sql, params![id.as_bytes(), at.0])?;
                self.free_parcel(*id, changed)?
            }
            ParcelChange::NoticeSent(id, at) => self.run_with(
                "UPDATE parcels SET notice_sent_at = ?2, notice_failed = 0 WHERE id = ?1",
                params![id.as_bytes(), at.0],
            )?,
            ParcelChange::NoticeFailed(id) => {
                self.run_with("UPDATE parcels SET notice_failed = 1 WHERE id = ?1", [id.as_bytes()])?
            }
            ParcelChange::Closed(id, at) => {
                let sql = "UPDATE parcels SET is_closed = 1, closed_at = ?2, code_salt = NULL, code_wrap = NULL, spoken_hash = NULL, \
                           recovery = NULL, facts = NULL WHERE id = ?1 AND is_closed = 0 AND sending_at IS NULL";
                let changed = self.run_with(sql, params![id.as_bytes(), at.0])?;
                let changed = self.free_parcel(*id, changed)?;
                self.drop_parcel_content(*id, batch)?;
                changed
            }
            ParcelChange::Sending(id, at) => {
                // A try that the clock puts far ahead was made before it was set back.
                let sql = "UPDATE parcels SET sending_at = ?2 WHERE id = ?1 AND is_closed = 0 AND first_opened_at IS NULL \
                           AND expires_at > ?2 AND sending_at IS NULL AND later_level IS NOT NULL \
                           AND (last_try_at IS NULL OR last_try_at <= ?2 - ?3 OR last_try_at > ?2 + ?3)";
                if self.run_with(sql, params![id.as_bytes(), at.0, TRIED_LATELY_MS])? == 0 {
                    return Err(Stop::Refused(Error::Conflict));
                }
                1
            }
            ParcelChange::Stays { parcel, again } => {
                let sql = "UPDATE parcels SET sending_at = NULL, later_level = CASE WHEN ?2 THEN later_level END WHERE id = ?1";
                self.run_with(sql, params![parcel.as_bytes(), again])?
            }
            ParcelChange::Delivered(id, at) => {
                let sql = "UPDATE parcels SET is_closed = 1, closed_at = coalesce(closed_at, ?2), delivered_at = ?2, sending_at = NULL, \
                           code_salt = NULL, code_wrap = NULL, spoken_hash = NULL, recovery = NULL, facts = NULL WHERE id = ?1";
                let changed = self.run_with(sql, params![id.as_bytes(), at.0])?;
                self.drop_parcel_content(*id, batch)?;
                changed
            }
        };
        if changed == 1 { Ok(()) } else { refused("there is no such open parcel") }
    }

    /// A parcel that is being sent is open and yet not to be changed.
    fn free_parcel(&self, id: ParcelId, changed: usize) -> Result<usize, Stop> {
        let sql = "SELECT 1 FROM parcels WHERE id = ?1 AND is_closed = 0";
        let is_sent_now = changed == 0 && self.connection.prepare_cached(sql)?.exists([id.as_bytes()])?;
        if is_sent_now { Err(Stop::Refused(Error::Conflict)) } else { Ok(changed) }
    }

    fn drop_parcel_content(&self, id: ParcelId, batch: &mut Batch) -> Result<(), Stop> {
        let sql = "DELETE FROM parcel_content WHERE parcel = ?1 RETURNING sealed IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([id.as_bytes()])?;
        if let Some(row) = rows.next()?
            && row.get::<_, bool>(0)?
        {
            batch.unused.push(name_of_parcel(id));
        }
        Ok(())
    }

    fn append(&self, record: &Record, batch: &mut Batch) -> Result<(), Stop> {
        let seq = batch.end.size.saturating_add(1);
        let message = record.message.as_deref().and_then(|text| QueueId::parse(text).ok());
        let salt = self.vault.keyed_hash(SALT_KIND, &seq.to_be_bytes());
        let (chained, pseudonyms) = commit(record.clone(), &salt);
        batch.end = batch.end.then(chained.as_bytes());
        let text = |pseudonym: &Option<crate::secret::Pseudonym>| pseudonym.as_ref().map(|p| p.as_str().to_owned());
        let sql = "INSERT INTO log (seq, message, chained, hash, message_id, principal, recipient) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.run_with(
            sql,
            params![
                i64::try_from(seq).unwrap_or(i64::MAX),
                message.as_ref().map(QueueId::as_bytes),
                chained,
                batch.end.hash,
                text(&pseudonyms.message_id),
                text(&pseudonyms.principal),
                text(&pseudonyms.recipient),
            ],
        )?;
        if let (Event::Delivered, Some(domain), Some(_)) = (record.event, &record.domain, &record.proof) {
            let sql = "INSERT INTO contacts (domain, seq) VALUES (?1, ?2) ON CONFLICT (domain) DO UPDATE SET seq = excluded.seq";
            self.run_with(sql, params![domain, i64::try_from(seq).unwrap_or(i64::MAX)])?;
        }
        Ok(())
    }

    fn claim(&self, lane: Lane, now: Timestamp, max: usize) -> Result<Answer, Stop> {
        let sql = format!(
            "UPDATE copies SET state = 'in-flight', next_at = NULL, attempts = attempts + 1, generation = generation + 1, \
             changed_at = ?1 WHERE id IN (SELECT id FROM copies WHERE is_open = 1 AND state = 'queued' AND class = ?2 \
             AND next_at <= ?1 ORDER BY next_at, received_at LIMIT ?3) RETURNING {COPY}"
        );
        let mut claimed: Vec<CopyRow> = Vec::new();
        let mut damaged = Vec::new();
        for class in classes(lane) {
            let left = i64::try_from(max.saturating_sub(claimed.len())).unwrap_or(i64::MAX);
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![now.0, class, left])?;
            while let Some(row) = rows.next()? {
                match copy_row(row) {
                    Ok(row) => claimed.push(row),
                    Err(error) => damaged.push(damage("copy", row, &error).ok_or(error)?),
                }
            }
        }
        damaged.iter().try_for_each(|row| self.set_aside(row, now))?;
        claimed.sort_by_key(|row| (class_number(row.copy.class), row.copy.received_at, row.copy.id));
        Ok(Answer::Claimed(claimed))
    }

    /// From here on nothing asks for this row; it and its body stay for whoever looks into it.
    fn set_aside(&self, row: &Damaged, at: Timestamp) -> Result<(), Stop> {
        let sql = "INSERT INTO damaged (kind, id, what, found_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let is_new = self.run_with(sql, params![row.kind, row.id, row.what, at.0])? > 0;
        match row.kind {
            "copy" => self.run_with("UPDATE copies SET is_open = 2 WHERE CAST(id AS BLOB) = ?1", [&row.id])?,
            "parcel" => self.run_with("UPDATE parcels SET is_closed = 2 WHERE CAST(id AS BLOB) = ?1", [&row.id])?,
            _ => 0,
        };
        if is_new {
            observe::log(&observe::Event::RowDamaged { kind: row.kind, id: row.name(), what: row.what.clone() });
        }
        Ok(())
    }

    /// A clock that went back would leave copies waiting for a time that is far again.
    pub(super) fn follow_clock(&mut self, now: Timestamp) -> Result<(), Failure> {
        let back = self.last_claim_at.saturating_sub(now.0);
        if self.last_claim_at != i64::MIN && back > CLOCK_BACK_MS {
            let sql = "UPDATE copies SET next_at = next_at - ?1 WHERE is_open = 1 AND state = 'queued' AND next_at > ?2";
            let mut statement = self.connection.prepare_cached(sql).map_err(|error| failure(&error))?;
            statement.execute([back, now.0]).map_err(|error| failure(&error))?;
        }
        self.last_claim_at = now.0;
        Ok(())
    }

    fn count_try(&self, parcel: ParcelId, at: Timestamp) -> Result<Answer, Stop> {
        let sql = "UPDATE parcels SET tries = tries + 1, last_try_at = ?2 \
                   WHERE id = ?1 AND is_closed = 0 AND code_salt IS NOT NULL AND tries < ?3 RETURNING tries";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![parcel.as_bytes(), at.0, TRIES_MAX])?;
        match rows.next()? {
            Some(row) => Ok(Answer::Try(Some(row.get(0)?))),
            None => Ok(Answer::Try(None)),
        }
    }

    fn put_user(&self, user: &UserRow) -> Result<Answer, Stop> {
        if user.name.is_empty() || user.may_send_as.iter().any(|pattern| pattern.contains(',')) {
            return refused("a user needs a name, and patterns without commas");
        }
        if !user.is_first {
            self.run_with("DELETE FROM users WHERE is_first = 1", [])?;
        }
        let sql = "INSERT INTO users (name, verifier, may_send_as, bound_address, is_first, created_at, last_used_at, last_peer) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (name) DO UPDATE SET verifier = excluded.verifier, \
                   may_send_as = excluded.may_send_as, bound_address = excluded.bound_address, is_first = excluded.is_first, \
                   created_at = excluded.created_at, last_used_at = excluded.last_used_at, last_peer = excluded.last_peer";
        self.run_with(
            sql,
            params![
                user.name,
                user.verifier,
                user.may_send_as.join(","),
                user.bound_address,
                user.is_first,
                user.created_at.0,
                user.last_used_at.map(|at| at.0),
                user.last_peer,
            ],
        )?;
        Ok(Answer::Done)
    }

    fn sign_head(&self, at: Timestamp, batch: &Batch) -> Result<Answer, Stop> {
        let (number, previous): (i64, Option<String>) = {
            let mut statement =
                self.connection.prepare_cached("SELECT number, signed FROM heads ORDER BY number DESC LIMIT 1")?;
            let mut rows = statement.query([])?;
            match rows.next()? {
                Some(row) => (row.get(0)?, Some(row.get(1)?)),
                None => (0, None),
            }
        };
        let public_key = self.vault.verifying_key();
        let signed = sign_head(batch.end, previous.as_deref(), at, &public_key, |bytes| self.vault.sign(bytes));
        let size = i64::try_from(batch.end.size).unwrap_or(i64::MAX);
        let sql = "INSERT INTO heads (number, size, last_hash, signed) VALUES (?1, ?2, ?3, ?4)";
        self.run_with(sql, params![number.saturating_add(1), size, batch.end.hash, signed])?;
        Ok(Answer::Head(signed))
    }

    fn run_with(&self, sql: &str, params: impl Params) -> Result<usize, Stop> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }
}

/// Kind under which the vault gives the secret salt of an entry of the log.
pub(crate) const SALT_KIND: &str = "audit entry salt";

fn state_columns(state: CopyState) -> (Option<i64>, Option<ParcelId>) {
    match state {
        CopyState::Queued { next_at } => (Some(next_at.0), None),
        CopyState::Escrowed(parcel) => (None, Some(parcel)),
        CopyState::InFlight | CopyState::Held | CopyState::Delivered | CopyState::Bounced | CopyState::Refused => (None, None),
    }
}
