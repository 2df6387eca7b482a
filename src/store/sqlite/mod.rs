//! SQLite: write-ahead log, synchronous=FULL, one writer. A batch is one transaction and one sync. If an order in it is
//! refused, the batch is carried out anew with a savepoint for each, so that the refused one leaves no trace and harms no
//! other.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::bodies::{Bodies, Written, name_of_body, name_of_parcel};
use super::order::{Failure, Order, Outcome, Read, Store};
use super::{Answer, Error};
use crate::audit::End;
use crate::mail::{BodyId, ParcelId};
use crate::observe;
use crate::queue::CopyKind;
use crate::vault::Vault;

mod checkpoint;
mod damage;
mod read;
pub(super) mod write;

use checkpoint::Checkpoints;
use damage::{failure, file_of, unusable};
use read::{SqliteReader, uint};

/// Name of the database file in the data folder.
pub(super) const FILE: &str = "wardpost.db";
/// The version of the tables that this program reads and writes.
pub(super) const SCHEMA: i64 = 8;
const START: &str = include_str!("../migrations/0001_start.sql");
/// What later versions changed, in order. Each is applied once, all that are missing in one transaction.
const CHANGES: &[(i64, &str)] = &[
    (3, include_str!("../migrations/0003_later.sql")),
    (4, include_str!("../migrations/0004_tls_sessions.sql")),
    (5, include_str!("../migrations/0005_aside.sql")),
    (8, include_str!("../migrations/0008_contacts.sql")),
];

/// Pages of 8 KiB: a copy's row fits into one, a usual body into two.
const PAGE_BYTES: i64 = 8192;

pub(super) struct SqliteStore {
    connection: Connection,
    bodies: Bodies,
    vault: Arc<Vault>,
    /// End of the decision log as of the last commit.
    end: End,
    /// Latest time a claim was made for; a clock that went back is noticed by it.
    last_claim_at: i64,
    free_bytes_min: Arc<std::sync::atomic::AtomicU64>,
    body_file_bytes: usize,
    checkpoints: Checkpoints,
}

impl SqliteStore {
    /// Opens or creates the database in a locked folder and recovers what a crash left.
    pub(super) fn open(
        folder: &Path,
        bodies: Bodies,
        vault: Arc<Vault>,
        body_file_bytes: usize,
        free_bytes_min: Arc<std::sync::atomic::AtomicU64>,
    ) -> Result<SqliteStore, Error> {
        let path = folder.join(FILE);
        damage::check_log_file(&path)?;
        let mut connection = connect(&path, true).map_err(|error| unusable(&path, &error))?;
        damage::look_again(&connection)?;
        prepare(&mut connection, &vault)?;
        let end = check_log(&connection)?;
        let checkpoints = Checkpoints::start(connect(&path, false).map_err(|error| unusable(&path, &error))?)?;
        let mut store =
            SqliteStore { connection, bodies, vault, end, last_claim_at: i64::MIN, free_bytes_min, body_file_bytes, checkpoints };
        store.recover()?;
        Ok(store)
    }

    /// Another connection that only reads.
    pub(super) fn reader(folder: &Path, bodies: Bodies) -> Result<Box<dyn Read>, Error> {
        let path = folder.join(FILE);
        let connection = connect(&path, false).map_err(|error| unusable(&path, &error))?;
        connection.pragma_update(None, "query_only", true).map_err(|error| unusable(&path, &error))?;
        Ok(Box::new(SqliteReader { connection, bodies, damaged: Vec::new() }))
    }

    /// What was in flight is queued for now, with its generation kept; bodies and rows are matched.
    fn recover(&mut self) -> Result<(), Error> {
        let path = file_of(&self.connection);
        let refused = |error: rusqlite::Error| unusable(&path, &error);
        let transaction = self.connection.unchecked_transaction().map_err(refused)?;
        // Next attempt at 0: due whatever the clock says.
        transaction
            .execute("UPDATE copies SET state = 'queued', next_at = 0 WHERE is_open = 1 AND state = 'in-flight'", [])
            .map_err(refused)?;
        transaction.execute("UPDATE parcels SET sending_at = NULL WHERE sending_at IS NOT NULL", []).map_err(refused)?;
        transaction
            .execute(
                "DELETE FROM bodies WHERE id IN \
                 (SELECT id FROM bodies WHERE NOT EXISTS (SELECT 1 FROM copies WHERE body = bodies.id))",
                [],
            )
            .map_err(refused)?;
        let mut named = HashSet::new();
        let mut incomplete = Vec::new();
        let rows = rows_of(&transaction, "SELECT id, size_bytes FROM bodies WHERE sealed IS NULL")?;
        for (id, size_bytes) in rows {
            let Ok(id) = <[u8; 16]>::try_from(id) else { continue };
            let name = name_of_body(BodyId(id));
            if !self.bodies.is_complete(&name, size_bytes) {
                transaction
                    .execute(
                        "UPDATE copies SET state = 'held', next_at = NULL, last_reason = 'body-incomplete' \
                         WHERE body = ?1 AND is_open = 1",
                        [&id[..]],
                    )
                    .map_err(refused)?;
                incomplete.push(name.clone());
            }
            named.insert(name);
        }
        let rows = rows_of(&transaction, "SELECT parcel, size_bytes FROM parcel_content WHERE sealed IS NULL")?;
        for (id, size_bytes) in rows {
            let Ok(id) = <[u8; 16]>::try_from(id) else { continue };
            let name = name_of_parcel(ParcelId(id));
            if !self.bodies.is_complete(&name, size_bytes) {
                incomplete.push(name.clone());
            }
            named.insert(name);
        }
        transaction.commit().map_err(refused)?;
        for name in incomplete {
            self.bodies.set_aside(&name);
            observe::log(&observe::Event::StoreFailed {
                what: format!("bodies/{name} is missing or incomplete; its copies are held, what is left lies in set-aside/"),
            });
        }
        self.bodies
            .sweep(&|name| named.contains(name))
            .map_err(|error| Error::Refused(format!("cannot clean the folder of bodies: {error}")))?;
        Ok(())
    }

    /// Whether there is room for the new mail of a batch beside what is kept free. Bodies in files are written already;
    /// any other goes into the log first and into the database later.
    fn has_room(&self, orders: &[Order]) -> bool {
        let bodies = orders.iter().filter(|order| brings_mail(order)).flat_map(|order| match order {
            Order::Commit { commit, .. } => commit.bodies.as_slice(),
            _ => &[],
        });
        let small = bodies.map(|body| body.sealed.0.len()).filter(|size| *size <= self.body_file_bytes);
        let coming = small.fold(0u64, |sum, size| sum.saturating_add(2 * size as u64));
        let least = self.free_bytes_min.load(std::sync::atomic::Ordering::Relaxed).saturating_add(coming);
        self.bodies.free_bytes().is_none_or(|free| free >= least)
    }

    /// One transaction over the chosen orders; `None` in the answers: not chosen.
    fn transact(&mut self, orders: &[Order], is_chosen: &dyn Fn(usize) -> bool) -> Result<Batch, Failure> {
        // Savepoints cost a copy of every page that an order changes, and hardly an order is refused.
        for apart in [false, true] {
            if let Some(batch) = self.try_transact(orders, is_chosen, apart)? {
                return Ok(batch);
            }
        }
        Err(Failure::Broken("an order was refused outside of its savepoint".into()))
    }

    /// As [`SqliteStore::transact`]; `apart`: with a savepoint for each order, so that a refused one leaves no trace.
    /// `None`: one was refused without, and nothing is done.
    fn try_transact(
        &mut self,
        orders: &[Order],
        is_chosen: &dyn Fn(usize) -> bool,
        apart: bool,
    ) -> Result<Option<Batch>, Failure> {
        self.run("BEGIN IMMEDIATE")?;
        let mut batch = Batch { answers: Vec::with_capacity(orders.len()), unused: Vec::new(), has_queued: false, end: self.end };
        for (n, order) in orders.iter().enumerate() {
            if !is_chosen(n) {
                batch.answers.push(None);
                continue;
            }
            let (end, unused, has_queued) = (batch.end, batch.unused.len(), batch.has_queued);
            if apart {
                self.run("SAVEPOINT one")?;
            }
            match self.carry_out_one(order, &mut batch) {
                Ok(answer) => {
                    if apart {
                        self.run("RELEASE one")?;
                    }
                    batch.answers.push(Some(Ok(answer)));
                }
                Err(write::Stop::Refused(_)) if !apart => {
                    self.roll_back()?;
                    return Ok(None);
                }
                Err(write::Stop::Refused(error)) => {
                    self.run("ROLLBACK TO one")?;
                    self.run("RELEASE one")?;
                    batch.unused.truncate(unused);
                    (batch.end, batch.has_queued) = (end, has_queued);
                    // Files that were written for it have no row now.
                    if let Order::Commit { files, .. } = order {
                        batch.unused.extend(files.iter().map(|file| file.name.clone()));
                    }
                    batch.answers.push(Some(Err(error)));
                }
                Err(write::Stop::Failed(failed)) => return Err(failed),
            }
        }
        self.bodies.faults.step().map_err(|error| Failure::Broken(error.to_string()))?;
        self.run("COMMIT")?;
        Ok(Some(batch))
    }

    fn run(&self, sql: &str) -> Result<(), Failure> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(|e| failure(&e))?;
        Ok(())
    }

    /// Back to before the batch: after a refused order, or a full disk, when SQLite has written nothing that counts.
    fn roll_back(&self) -> Result<(), Failure> {
        if self.connection.is_autocommit() { Ok(()) } else { self.run("ROLLBACK") }
    }

    /// As [`SqliteStore::transact`]; a full disk refuses new mail and lets everything else through if it can.
    fn transact_or_refuse(&mut self, orders: &[Order], clashes: &[bool], has_room: bool) -> Result<Batch, Failure> {
        let is_free = |n: usize| clashes.get(n) == Some(&false);
        if has_room {
            match self.transact(orders, &is_free) {
                Err(Failure::Full) => self.roll_back()?,
                other => return other,
            }
        }
        match self.transact(orders, &|n| is_free(n) && !orders.get(n).is_some_and(brings_mail)) {
            Err(Failure::Full) => {
                self.roll_back()?;
                Err(Failure::Full)
            }
            other => other,
        }
    }
}

/// What one transaction did.
struct Batch {
    answers: Vec<Option<Result<Answer, Error>>>,
    /// Files that no row names once this is committed.
    unused: Vec<String>,
    has_queued: bool,
    end: End,
}

impl Store for SqliteStore {
    fn carry_out(&mut self, orders: &[Order]) -> Result<Outcome, Failure> {
        self.carry_out_all(orders).map_err(|failed| damage::told(&self.connection, failed))
    }

    fn tend(&mut self) -> Result<(), Failure> {
        self.checkpoints.tend(&self.connection).map_err(|failed| damage::told(&self.connection, failed))
    }
}

impl SqliteStore {
    fn carry_out_all(&mut self, orders: &[Order]) -> Result<Outcome, Failure> {
        for order in orders {
            if let Order::Claim { now, .. } = order {
                self.follow_clock(*now)?;
            }
        }
        let has_room = !orders.iter().any(brings_mail) || self.has_room(orders);
        // Renaming onto a name that is taken, on the disk or by an earlier order, would destroy another's body.
        let mut names = HashSet::new();
        let clashes: Vec<bool> = orders
            .iter()
            .map(|order| {
                let is_new = |file: &Written| names.insert(file.name.clone()) && !self.bodies.is_taken(&file.name);
                !files_of(order).iter().all(is_new)
            })
            .collect();
        let is_named = |n: usize, order: &Order| clashes.get(n) == Some(&false) && (has_room || !brings_mail(order));
        let named = || orders.iter().enumerate().filter(|(n, order)| is_named(*n, order)).flat_map(|(_, order)| files_of(order));
        let result = match self.bodies.name(&mut named()) {
            Ok(()) => self.transact_or_refuse(orders, &clashes, has_room),
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Err(Failure::Full),
            Err(error) => Err(Failure::Broken(format!("cannot name a body's file: {error}"))),
        };
        if result.as_ref().is_err_and(|failed| *failed == Failure::Full) {
            named().for_each(|file| self.bodies.remove(&file.name));
        }
        let batch = result?;
        self.end = batch.end;
        for name in &batch.unused {
            self.bodies.remove(name);
        }
        let mut answers = Vec::with_capacity(orders.len());
        for (n, (answer, order)) in batch.answers.into_iter().zip(orders).enumerate() {
            answers.push(match answer {
                Some(answer) => answer,
                None if clashes.get(n) == Some(&false) => {
                    if is_named(n, order) {
                        files_of(order).iter().for_each(|file| self.bodies.remove(&file.name));
                    }
                    Err(Error::Full)
                }
                None => Err(Error::Refused("a body of this id is in the store already".into())),
            });
        }
        self.checkpoints.note(orders);
        Ok(Outcome { answers, has_queued: batch.has_queued })
    }
}

/// Only new mail is refused when space runs out; what was accepted goes on its way.
fn brings_mail(order: &Order) -> bool {
    match order {
        Order::Commit { commit, .. } => {
            commit.settles.is_empty() && commit.copies.iter().any(|copy| copy.kind == CopyKind::Message)
        }
        _ => false,
    }
}

fn files_of(order: &Order) -> &[Written] {
    match order {
        Order::Commit { files, .. } => files,
        _ => &[],
    }
}

fn connect(path: &Path, is_writer: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(96);
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    // A page whose cells overlap or leave it is damage when it is read, not when somebody comes by the cell.
    connection.pragma_update(None, "cell_size_check", true)?;
    // Temporary tables and sorts never reach the disk.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if is_writer {
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        // Sealed bytes need no overwriting: without its wrap a deleted copy is noise.
        connection.pragma_update(None, "secure_delete", false)?;
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(rusqlite::Error::InvalidQuery);
        }
        connection.pragma_update(None, "cache_size", -64 * 1024)?;
    } else {
        connection.pragma_update(None, "cache_size", -4 * 1024)?;
    }
    // Every commit syncs the log before it returns; NORMAL would lose the last ones with the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints are made by `checkpoint`, not inside somebody's commit.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// Creates the tables in a new store and brings those of an earlier version up to this one; checks version and keys.
fn prepare(connection: &mut Connection, vault: &Vault) -> Result<(), Error> {
    let path = file_of(connection);
    let refused = |error: rusqlite::Error| unusable(&path, &error);
    // Writes everything again that an earlier run may have failed to sync: pages the kernel counts as clean are not
    // necessarily on the disk after a failed sync.
    checkpoint::truncate(connection).map_err(|failed| damage::at_start(connection, failed))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refused)?;
    if version > SCHEMA {
        return Err(Error::Refused(format!(
            "the store was written by a later version (tables {version}, this program knows {SCHEMA}); install that version again"
        )));
    }
    if version == 0 {
        let transaction = connection.transaction().map_err(refused)?;
        transaction.execute_batch(START).map_err(refused)?;
        transaction
            .execute("INSERT INTO meta (name, value) VALUES ('key-check', ?1)", [&vault.check_value()[..]])
            .map_err(refused)?;
        transaction.pragma_update(None, "user_version", 1).map_err(refused)?;
        transaction.commit().map_err(refused)?;
    }
    let check: Option<Vec<u8>> = connection
        .query_row("SELECT value FROM meta WHERE name = 'key-check'", [], |row| row.get(0))
        .optional()
        .map_err(refused)?;
    if check.as_deref() != Some(&vault.check_value()[..]) {
        return Err(Error::Refused("these are not the keys of this store; point keys.path at the right folder".into()));
    }
    if version < SCHEMA {
        let transaction = connection.transaction().map_err(refused)?;
        for (_, change) in CHANGES.iter().filter(|(number, _)| *number > version) {
            transaction.execute_batch(change).map_err(refused)?;
        }
        transaction.pragma_update(None, "user_version", SCHEMA).map_err(refused)?;
        transaction.commit().map_err(refused)?;
    }
    vault.mark_used().map_err(|error| Error::Refused(error.to_string()))
}

/// The log must reach at least to the last signed head and carry its hash there; the last entry must hash rightly.
fn check_log(connection: &Connection) -> Result<End, Error> {
    let path = file_of(connection);
    let refused = |error: rusqlite::Error| unusable(&path, &error);
    let hash_at = |seq: u64| {
        connection
            .query_row("SELECT hash, chained FROM log WHERE seq = ?1", [i64::try_from(seq).unwrap_or(i64::MAX)], |row| {
                Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, String>(1)?))
            })
            .optional()
            .map_err(refused)
    };
    let (size, rows): (u64, u64) = connection
        .query_row("SELECT coalesce(max(seq), 0), count(*) FROM log", [], |row| Ok((uint(row, 0)?, uint(row, 1)?)))
        .map_err(refused)?;
    let damaged =
        |what: &str| Err(Error::Refused(format!("the decision log is damaged: {what}; restore the store from its backup")));
    if size != rows {
        return damaged("entries are missing");
    }
    let mut end = End::EMPTY;
    if let Some((hash, chained)) = hash_at(size)? {
        let before = match size.checked_sub(1).filter(|before| *before > 0) {
            Some(before) => hash_at(before)?.map_or(End::EMPTY.hash, |(hash, _)| hash),
            None => End::EMPTY.hash,
        };
        end = End { size: size.saturating_sub(1), hash: before }.then(chained.as_bytes());
        if end.hash != hash {
            return damaged("the last entry does not match its hash");
        }
    }
    let head: Option<(u64, [u8; 32])> = connection
        .query_row("SELECT size, last_hash FROM heads ORDER BY number DESC LIMIT 1", [], |row| Ok((uint(row, 0)?, row.get(1)?)))
        .optional()
        .map_err(refused)?;
    match head {
        Some((head_size, _)) if head_size > size => damaged("it is shorter than its last signed head"),
        Some((head_size, last)) if head_size > 0 && hash_at(head_size)?.is_none_or(|(hash, _)| hash != last) => {
            damaged("it does not match its last signed head")
        }
        _ => Ok(end),
    }
}

/// Ids and sizes. A size that is none fits no file, so that its row counts as incomplete and stops nothing.
fn rows_of(connection: &Connection, sql: &str) -> Result<Vec<(Vec<u8>, u64)>, Error> {
    let path = file_of(connection);
    let refused = |error: rusqlite::Error| unusable(&path, &error);
    let mut statement = connection.prepare(sql).map_err(refused)?;
    let rows = statement
        .query_map([], |row| Ok((row.get_ref(0)?.as_bytes().unwrap_or_default().to_vec(), uint(row, 1).unwrap_or(u64::MAX))))
        .map_err(refused)?;
    rows.collect::<rusqlite::Result<_>>().map_err(refused)
}
