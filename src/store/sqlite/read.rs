//! Reading: rows back into values. A row that does not parse is an error of that row, never a panic.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::super::bodies::{Bodies, name_of_body, name_of_parcel};
use super::super::order::Read;
use super::super::{CodeWrap, CopyRow, Damaged, Depth, Error, LogEntry, NewCopy, ParcelRow, TlsSessions, TokenRow, UserRow};
use super::damage::{file_of, unusable};
use super::write::TRIES_MAX;
use crate::audit::{Pseudonyms, Record, reveal};
use crate::mail::{BodyId, CopyId, Domain, ParcelId, QueueId, Timestamp};
use crate::observe;
use crate::policy::{Class, Lane};
use crate::queue::{CopyKind, CopyState};
use crate::secret::{Pseudonym, Sealed, Wrapped};

pub(super) struct SqliteReader {
    pub(super) connection: Connection,
    pub(super) bodies: Bodies,
    /// Found since they were asked for last.
    pub(super) damaged: Vec<Damaged>,
}

pub(super) const COPY: &str = "id, message, kind, class, state, next_at, attempts, generation, last_reason, received_at, \
     changed_at, size_bytes, domain, recipient, message_id, parcel, escrowed_as, body, wrap, facts, header, delay_told, \
     uncertain_host";
const PARCEL: &str = "id, copy_id, message, recipient, message_id, domain, reason, created_at, expires_at, first_opened_at, \
     is_closed, notice_sent_at, notice_failed, size_bytes, tries, last_try_at, code_salt, code_wrap, spoken_hash, recovery, facts, \
     later_level, delivered_at";
/// Parcels that may be sent by mail after all.
const WAITING: &str = "is_closed = 0 AND first_opened_at IS NULL AND later_level IS NOT NULL";
const USER: &str = "name, verifier, may_send_as, bound_address, is_first, created_at, last_used_at, last_peer";

impl Read for SqliteReader {
    fn body(&mut self, id: BodyId) -> Result<Option<Sealed>, Error> {
        let found: Option<(u64, Option<Vec<u8>>)> =
            self.one("SELECT size_bytes, sealed FROM bodies WHERE id = ?1", [id.as_bytes()], |row| {
                Ok((uint(row, 0)?, row.get(1)?))
            })?;
        found.map(|(size_bytes, sealed)| self.content(sealed, &name_of_body(id), size_bytes)).transpose()
    }

    fn copy(&mut self, id: CopyId) -> Result<Option<CopyRow>, Error> {
        self.one(&format!("SELECT {COPY} FROM copies WHERE id = ?1"), [id.as_bytes()], copy_row)
    }

    fn copies_of(&mut self, message: QueueId) -> Result<Vec<CopyRow>, Error> {
        let sql = format!("SELECT {COPY} FROM copies WHERE message = ?1 ORDER BY received_at, id");
        self.readable("copy", &sql, [message.as_bytes()], copy_row)
    }

    fn copies_by_message_id(&mut self, id: &Pseudonym) -> Result<Vec<CopyRow>, Error> {
        let sql = format!("SELECT {COPY} FROM copies WHERE message_id = ?1 ORDER BY received_at, id");
        self.readable("copy", &sql, [id.as_str()], copy_row)
    }

    fn copies(&mut self, open_only: bool, max: usize) -> Result<Vec<CopyRow>, Error> {
        let which = if open_only { "WHERE is_open = 1" } else { "" };
        let sql = format!("SELECT {COPY} FROM copies {which} ORDER BY received_at DESC, id LIMIT ?1");
        self.readable("copy", &sql, [limit(max)], copy_row)
    }

    fn held_since(&mut self, at: Timestamp, max: usize) -> Result<Vec<CopyRow>, Error> {
        let sql = format!(
            "SELECT {COPY} FROM copies WHERE is_open = 1 AND state = 'held' AND received_at <= ?1 ORDER BY received_at, id LIMIT ?2"
        );
        self.readable("copy", &sql, [at.0, limit(max)], copy_row)
    }

    fn next_due(&mut self, lane: Lane) -> Result<Option<Timestamp>, Error> {
        let sql = "SELECT CAST(min(next_at) AS INTEGER) FROM copies WHERE is_open = 1 AND state = 'queued' AND class = ?1";
        let mut earliest: Option<i64> = None;
        for class in classes(lane) {
            let found: Option<Option<i64>> = self.one(sql, [*class], |row| row.get(0))?;
            earliest = match (earliest, found.flatten()) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok(earliest.map(Timestamp))
    }

    fn depth(&mut self) -> Result<Depth, Error> {
        // The casts: a damaged row has its place in no count, and must not stop one.
        let sql =
            "SELECT CAST(state AS TEXT), count(*), CAST(min(received_at) AS INTEGER) FROM copies WHERE is_open = 1 GROUP BY 1";
        let rows: Vec<(String, u64, i64)> = self.many(sql, [], |row| Ok((row.get(0)?, uint(row, 1)?, row.get(2)?)))?;
        let mut depth = Depth::default();
        for (state, count, oldest) in rows {
            match state.as_str() {
                "queued" => (depth.queued, depth.oldest_queued_at) = (count, Some(Timestamp(oldest))),
                "in-flight" => depth.in_flight = count,
                "held" => depth.held = count,
                _ => {}
            }
        }
        depth.damaged = self.one("SELECT count(*) FROM damaged", [], |row| uint(row, 0))?.unwrap_or_default();
        depth.escrowed_open =
            self.one("SELECT count(*) FROM parcels WHERE is_closed = 0", [], |row| uint(row, 0))?.unwrap_or_default();
        Ok(depth)
    }

    fn parcel(&mut self, id: ParcelId) -> Result<Option<ParcelRow>, Error> {
        self.one(&format!("SELECT {PARCEL} FROM parcels WHERE id = ?1"), [id.as_bytes()], parcel_row)
    }

    fn parcel_by_number(&mut self, number_hash: [u8; 32]) -> Result<Option<ParcelRow>, Error> {
        self.one(&format!("SELECT {PARCEL} FROM parcels WHERE number_hash = ?1"), [&number_hash[..]], parcel_row)
    }

    fn parcels(&mut self, open_only: bool, max: usize) -> Result<Vec<ParcelRow>, Error> {
        let which = if open_only { "WHERE is_closed = 0" } else { "" };
        let sql = format!("SELECT {PARCEL} FROM parcels {which} ORDER BY created_at DESC, id LIMIT ?1");
        self.readable("parcel", &sql, [limit(max)], parcel_row)
    }

    fn parcels_ended(&mut self, expired: Timestamp, opened: Timestamp, max: usize) -> Result<Vec<ParcelRow>, Error> {
        let sql = format!(
            "SELECT {PARCEL} FROM parcels WHERE is_closed = 0 AND expires_at <= ?1 \
             AND (first_opened_at IS NULL OR first_opened_at <= ?2) ORDER BY expires_at, id LIMIT ?3"
        );
        self.readable("parcel", &sql, [expired.0, opened.0, limit(max)], parcel_row)
    }

    fn parcels_tried_out(&mut self, max: usize) -> Result<Vec<ParcelId>, Error> {
        let sql = "SELECT id FROM parcels WHERE is_closed = 0 AND code_salt IS NOT NULL AND tries >= ?1 LIMIT ?2";
        self.many(sql, [i64::from(TRIES_MAX), limit(max)], |row| Ok(ParcelId(row.get::<_, Bytes<16>>(0)?.0)))
    }

    fn parcel_content(&mut self, id: ParcelId) -> Result<Option<(Sealed, Sealed)>, Error> {
        let sql = "SELECT size_bytes, header, sealed FROM parcel_content WHERE parcel = ?1";
        let found: Option<(u64, Vec<u8>, Option<Vec<u8>>)> =
            self.one(sql, [id.as_bytes()], |row| Ok((uint(row, 0)?, row.get(1)?, row.get(2)?)))?;
        let Some((size_bytes, header, sealed)) = found else { return Ok(None) };
        Ok(Some((Sealed(header), self.content(sealed, &name_of_parcel(id), size_bytes)?)))
    }

    fn domains_waiting(&mut self, now: Timestamp) -> Result<Vec<Domain>, Error> {
        let sql = format!("SELECT DISTINCT domain FROM parcels WHERE {WAITING} AND expires_at > ?1");
        self.many(&sql, [now.0], |row| domain(row, 0))
    }

    fn parcels_waiting(&mut self, domain: &Domain, now: Timestamp, max: usize) -> Result<Vec<ParcelRow>, Error> {
        let sql = format!(
            "SELECT {PARCEL} FROM parcels WHERE {WAITING} AND domain = ?1 AND expires_at > ?2 ORDER BY created_at, id LIMIT ?3"
        );
        self.readable("parcel", &sql, rusqlite::params![domain.as_str(), now.0, limit(max)], parcel_row)
    }

    fn checks(&mut self, domain: &Domain, since: Timestamp) -> Result<Vec<(Timestamp, Sealed)>, Error> {
        let sql = "SELECT at, sealed FROM domain_checks WHERE domain = ?1 AND at >= ?2 ORDER BY at";
        self.many(sql, rusqlite::params![domain.as_str(), since.0], |row| Ok((Timestamp(row.get(0)?), Sealed(row.get(1)?))))
    }

    fn standing(&mut self, domain: &Domain) -> Result<Option<(String, Timestamp)>, Error> {
        let sql = "SELECT standing, seen_at FROM domains WHERE domain = ?1";
        self.one(sql, [domain.as_str()], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))
    }

    fn live_codes(&mut self) -> Result<Vec<[u8; 32]>, Error> {
        let sql = "SELECT spoken_hash FROM parcels WHERE spoken_hash IS NOT NULL AND is_closed = 0";
        self.many(sql, [], |row| Ok(row.get::<_, Bytes<32>>(0)?.0))
    }

    fn is_live_code(&mut self, spoken_hash: [u8; 32]) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM parcels WHERE spoken_hash = ?1 AND is_closed = 0 LIMIT 1";
        Ok(self.one(sql, [&spoken_hash[..]], |_| Ok(()))?.is_some())
    }

    fn user(&mut self, name: &str) -> Result<Option<UserRow>, Error> {
        self.one(&format!("SELECT {USER} FROM users WHERE name = ?1"), [name], user_row)
    }

    fn users(&mut self) -> Result<Vec<UserRow>, Error> {
        self.readable("user", &format!("SELECT {USER} FROM users ORDER BY name"), [], user_row)
    }

    fn tokens(&mut self) -> Result<Vec<TokenRow>, Error> {
        let sql = "SELECT name, hash, created_at, last_used_at, last_peer FROM tokens ORDER BY name";
        self.many(sql, [], |row| {
            Ok(TokenRow {
                name: row.get(0)?,
                hash: row.get::<_, Bytes<32>>(1)?.0,
                created_at: Timestamp(row.get(2)?),
                last_used_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
                last_peer: row.get(4)?,
            })
        })
    }

    fn contact(&mut self, domain: &Domain) -> Result<Option<LogEntry>, Error> {
        let sql = "SELECT log.seq, chained, hash, message_id, principal, recipient FROM contacts \
                   JOIN log ON log.seq = contacts.seq WHERE domain = ?1";
        self.one(sql, [domain.as_str()], log_entry)
    }

    fn sts(&mut self, domain: &Domain) -> Result<Option<Sealed>, Error> {
        self.one("SELECT sealed FROM sts WHERE domain = ?1", [domain.as_str()], |row| Ok(Sealed(row.get(0)?)))
    }

    fn starttls_seen(&mut self, domain: &Domain) -> Result<Option<Timestamp>, Error> {
        self.one("SELECT seen_at FROM starttls WHERE domain = ?1", [domain.as_str()], |row| Ok(Timestamp(row.get(0)?)))
    }

    fn tls_sessions(&mut self, through_day: i64, max: usize) -> Result<Vec<(TlsSessions, i64)>, Error> {
        let sql = "SELECT day, domain, policy, result, host, sending_ip, receiving_ip, reason, sessions FROM tls_sessions \
                   WHERE day <= ?1 ORDER BY day, domain, policy, result, host, sending_ip, receiving_ip, reason LIMIT ?2";
        self.many(sql, rusqlite::params![through_day, limit(max)], |row| {
            let sessions = TlsSessions {
                day: row.get(0)?,
                domain: domain(row, 1)?,
                policy: row.get(2)?,
                result: row.get(3)?,
                host: row.get(4)?,
                sending_ip: row.get(5)?,
                receiving_ip: row.get(6)?,
                reason: row.get(7)?,
            };
            Ok((sessions, row.get(8)?))
        })
    }

    fn log(&mut self, from_seq: u64, max: usize) -> Result<Vec<LogEntry>, Error> {
        let sql = "SELECT seq, chained, hash, message_id, principal, recipient FROM log WHERE seq >= ?1 ORDER BY seq LIMIT ?2";
        self.many(sql, [i64::try_from(from_seq).unwrap_or(i64::MAX), limit(max)], log_entry)
    }

    fn log_of(&mut self, message: QueueId) -> Result<Vec<LogEntry>, Error> {
        let sql = "SELECT seq, chained, hash, message_id, principal, recipient FROM log WHERE message = ?1 ORDER BY seq";
        self.many(sql, [message.as_bytes()], log_entry)
    }

    fn heads(&mut self) -> Result<Vec<String>, Error> {
        self.many("SELECT signed FROM heads ORDER BY number", [], |row| row.get(0))
    }

    fn damaged(&mut self) -> Result<Vec<Damaged>, Error> {
        self.many("SELECT kind, id, what FROM damaged ORDER BY found_at, id", [], |row| {
            let kind = match row.get_ref(0)?.as_str()? {
                "copy" => "copy",
                "parcel" => "parcel",
                _ => "user",
            };
            Ok(Damaged { kind, id: row.get(1)?, what: row.get(2)? })
        })
    }

    fn take_damaged(&mut self) -> Vec<Damaged> {
        std::mem::take(&mut self.damaged)
    }
}

impl SqliteReader {
    fn unreadable(&self, error: &rusqlite::Error) -> Error {
        unusable(&file_of(&self.connection), error)
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        of: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| self.unreadable(&error))?;
        statement.query_row(params, of).optional().map_err(|error| self.unreadable(&error))
    }

    fn many<T>(&self, sql: &str, params: impl Params, of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>, Error> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| self.unreadable(&error))?;
        let rows = statement.query_map(params, of).map_err(|error| self.unreadable(&error))?;
        rows.collect::<rusqlite::Result<Vec<T>>>().map_err(|error| self.unreadable(&error))
    }

    /// As [`SqliteReader::many`]; a row that does not parse is passed over and noted, so that it hides no other.
    fn readable<T>(
        &mut self,
        kind: &'static str,
        sql: &str,
        params: impl Params,
        of: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| self.unreadable(&error))?;
        let mut rows = statement.query(params).map_err(|error| self.unreadable(&error))?;
        let mut read = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unreadable(&error))? {
            match of(row) {
                Ok(value) => read.push(value),
                Err(error) => {
                    self.damaged.push(damage(kind, row, &error).ok_or_else(|| unusable(&file_of(&self.connection), &error))?)
                }
            }
        }
        Ok(read)
    }

    fn content(&self, sealed: Option<Vec<u8>>, name: &str, size_bytes: u64) -> Result<Sealed, Error> {
        if let Some(sealed) = sealed {
            return Ok(Sealed(sealed));
        }
        match self.bodies.read(name, size_bytes) {
            Ok(Some(sealed)) => Ok(sealed),
            Ok(None) => {
                observe::log(&observe::Event::StoreFailed { what: format!("bodies/{name} is missing or incomplete") });
                Err(Error::Refused(format!("bodies/{name} is missing or incomplete")))
            }
            Err(error) => Err(Error::Refused(format!("cannot read bodies/{name}: {error}"))),
        }
    }
}

/// What is wrong with a row whose key is its first column; `None`: the store itself failed, not the row.
pub(super) fn damage(kind: &'static str, row: &Row<'_>, error: &rusqlite::Error) -> Option<Damaged> {
    if matches!(error, rusqlite::Error::SqliteFailure(..)) {
        return None;
    }
    let id = row.get_ref(0).ok()?.as_bytes().ok()?.to_vec();
    Some(Damaged { kind, id, what: error.to_string() })
}

fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

const URGENT: i64 = 0;
const NORMAL: i64 = 1;

const BULK: i64 = 2;

/// The classes of a lane, in the order in which they are claimed.
pub(super) fn classes(lane: Lane) -> &'static [i64] {
    match lane {
        Lane::First => &[URGENT, NORMAL],
        Lane::Bulk => &[BULK],
    }
}

pub(super) fn class_number(class: Class) -> i64 {
    match class {
        Class::Urgent => URGENT,
        Class::Normal => NORMAL,
        Class::Bulk => BULK,
    }
}

pub(super) fn kind_word(kind: CopyKind) -> &'static str {
    match kind {
        CopyKind::Message => "message",
        CopyKind::Notice => "notice",
        CopyKind::Slip => "slip",
        CopyKind::Report => "report",
        CopyKind::TlsReport => "tls-report",
    }
}

/// An id of fixed length from a column.
struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> FromSql for Bytes<N> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Bytes<N>> {
        <[u8; N]>::try_from(value.as_blob()?).map(Bytes).map_err(|_| FromSqlError::InvalidType)
    }
}

/// A count or size; negative ones are none.
pub(super) fn uint(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| unknown_word())
}

/// Anything a column says in words or numbers that is not in this program's vocabulary.
fn unknown_word() -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(FromSqlError::InvalidType))
}

pub(super) fn copy_row(row: &Row<'_>) -> rusqlite::Result<CopyRow> {
    let kind = match row.get_ref(2)?.as_str()? {
        "message" => CopyKind::Message,
        "notice" => CopyKind::Notice,
        "slip" => CopyKind::Slip,
        "report" => CopyKind::Report,
        "tls-report" => CopyKind::TlsReport,
        _ => return Err(unknown_word()),
    };
    let class = match row.get::<_, i64>(3)? {
        URGENT => Class::Urgent,
        NORMAL => Class::Normal,
        BULK => Class::Bulk,
        _ => return Err(unknown_word()),
    };
    let state = match row.get_ref(4)?.as_str()? {
        "queued" => CopyState::Queued { next_at: Timestamp(row.get::<_, Option<i64>>(5)?.unwrap_or_default()) },
        "in-flight" => CopyState::InFlight,
        "held" => CopyState::Held,
        "delivered" => CopyState::Delivered,
        "escrowed" => CopyState::Escrowed(ParcelId(row.get::<_, Bytes<16>>(16)?.0)),
        "bounced" => CopyState::Bounced,
        "refused" => CopyState::Refused,
        _ => return Err(unknown_word()),
    };
    Ok(CopyRow {
        copy: NewCopy {
            id: CopyId(row.get::<_, Bytes<16>>(0)?.0),
            message: QueueId(row.get::<_, Bytes<10>>(1)?.0),
            kind,
            // A finished copy has no body any more; no body has this id.
            body: BodyId(row.get::<_, Option<Bytes<16>>>(17)?.map_or([0; 16], |id| id.0)),
            recipient: Pseudonym::of(row.get(13)?),
            message_id: Pseudonym::of(row.get(14)?),
            domain: domain(row, 12)?,
            class,
            header: Sealed(row.get::<_, Option<Vec<u8>>>(20)?.unwrap_or_default()),
            facts: Sealed(row.get::<_, Option<Vec<u8>>>(19)?.unwrap_or_default()),
            wrap: Wrapped(row.get::<_, Option<Vec<u8>>>(18)?.unwrap_or_default()),
            state,
            received_at: Timestamp(row.get(9)?),
            parcel: row.get::<_, Option<Bytes<16>>>(15)?.map(|id| ParcelId(id.0)),
            size_bytes: uint(row, 11)?,
        },
        attempts: row.get(6)?,
        generation: uint(row, 7)?,
        last_reason: row.get(8)?,
        changed_at: Timestamp(row.get(10)?),
        delay_told: row.get(21)?,
        uncertain_host: match row.get_ref(22)?.as_str_or_null()? {
            Some(host) => Some(Domain::parse(host).map_err(|_| unknown_word())?),
            None => None,
        },
        warm_body: None,
    })
}

fn parcel_row(row: &Row<'_>) -> rusqlite::Result<ParcelRow> {
    let code =
        match (row.get::<_, Option<Bytes<16>>>(16)?, row.get::<_, Option<Vec<u8>>>(17)?, row.get::<_, Option<Bytes<32>>>(18)?) {
            (Some(salt), Some(wrap), Some(spoken)) => Some(CodeWrap { salt: salt.0, wrap: Wrapped(wrap), spoken_hash: spoken.0 }),
            _ => None,
        };
    Ok(ParcelRow {
        id: ParcelId(row.get::<_, Bytes<16>>(0)?.0),
        copy: CopyId(row.get::<_, Bytes<16>>(1)?.0),
        message: QueueId(row.get::<_, Bytes<10>>(2)?.0),
        recipient: Pseudonym::of(row.get(3)?),
        message_id: Pseudonym::of(row.get(4)?),
        domain: domain(row, 5)?,
        facts: Sealed(row.get::<_, Option<Vec<u8>>>(20)?.unwrap_or_default()),
        code,
        recovery: Wrapped(row.get::<_, Option<Vec<u8>>>(19)?.unwrap_or_default()),
        tries: row.get(14)?,
        last_try_at: row.get::<_, Option<i64>>(15)?.map(Timestamp),
        reason: row.get(6)?,
        created_at: Timestamp(row.get(7)?),
        expires_at: Timestamp(row.get(8)?),
        first_opened_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
        is_closed: row.get(10)?,
        notice_sent_at: row.get::<_, Option<i64>>(11)?.map(Timestamp),
        notice_failed: row.get(12)?,
        size_bytes: uint(row, 13)?,
        later_level: row.get(21)?,
        delivered_at: row.get::<_, Option<i64>>(22)?.map(Timestamp),
    })
}

fn user_row(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    let may_send_as: String = row.get(2)?;
    Ok(UserRow {
        name: row.get(0)?,
        verifier: row.get(1)?,
        may_send_as: may_send_as.split(',').filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect(),
        bound_address: row.get(3)?,
        is_first: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
        last_used_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
        last_peer: row.get(7)?,
    })
}

fn log_entry(row: &Row<'_>) -> rusqlite::Result<LogEntry> {
    let chained: String = row.get(1)?;
    let pseudonym = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.map(Pseudonym::of));
    let pseudonyms = Pseudonyms { message_id: pseudonym(3)?, principal: pseudonym(4)?, recipient: pseudonym(5)? };
    let bytes = match serde_json::from_str::<Record>(&chained) {
        Ok(record) => reveal(record, &pseudonyms).into_bytes(),
        // Of a later version: shown as it was chained.
        Err(_) => chained.clone().into_bytes(),
    };
    Ok(LogEntry { seq: uint(row, 0)?, bytes, hash: row.get::<_, Bytes<32>>(2)?.0, chained, pseudonyms })
}

fn domain(row: &Row<'_>, column: usize) -> rusqlite::Result<Domain> {
    Domain::parse(row.get_ref(column)?.as_str()?).map_err(|_| unknown_word())
}
