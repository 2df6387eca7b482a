//! Moving committed pages from the write-ahead log into the database, beside the writer and not inside a commit.
//!
//! A thread of its own moves the bulk while commits go on; when it is done, the writer moves the small rest
//! between two batches, after which the log starts again at its beginning and so stays bounded.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};

use super::super::order::{Failure, Order};
use super::damage::failure;

/// Bytes written since the last checkpoint at which the next one begins.
const BEGIN_BYTES: u64 = if cfg!(test) { 256 * 1024 } else { 24 * 1024 * 1024 };
/// Bytes at which the writer no longer waits for the thread.
const LIMIT_BYTES: u64 = if cfg!(test) { 1024 * 1024 } else { 192 * 1024 * 1024 };
/// What an order writes besides bodies: a row, its index entries, the log.
const ORDER_BYTES: u64 = 24 * 1024;

pub(super) struct Checkpoints {
    written: u64,
    /// Part of `written` that the running checkpoint does not cover.
    since_begin: u64,
    is_running: bool,
    begin: Option<SyncSender<()>>,
    done: Receiver<Result<(), Failure>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(connection: Connection) -> Result<Checkpoints, super::super::Error> {
        let (begin, begun) = sync_channel::<()>(1);
        let (finish, done) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                while begun.recv().is_ok() {
                    let result = passive(&connection).map(|_| ());
                    let is_broken = result.is_err();
                    if finish.send(result).is_err() {
                        break;
                    }
                    if is_broken {
                        // Closing would try the sync again.
                        std::mem::forget(connection);
                        return;
                    }
                }
            })
            .map_err(|error| super::super::Error::Refused(format!("cannot start a thread: {error}")))?;
        Ok(Checkpoints { written: 0, since_begin: 0, is_running: false, begin: Some(begin), done, thread: Some(thread) })
    }

    /// Counts roughly what a batch wrote.
    pub(super) fn note(&mut self, orders: &[Order]) {
        for order in orders {
            let bodies = match order {
                Order::Commit { commit, .. } => {
                    let bodies = commit.bodies.iter().map(|body| body.sealed.0.len()).sum::<usize>();
                    let parcels = commit.parcels.iter().map(|parcel| parcel.body.0.len()).sum::<usize>();
                    bodies + parcels + commit.copies.len() * 8 * 1024
                }
                _ => 0,
            };
            let bytes = ORDER_BYTES + bodies as u64;
            self.written = self.written.saturating_add(bytes);
            self.since_begin = self.since_begin.saturating_add(bytes);
        }
    }

    pub(super) fn tend(&mut self, writer: &Connection) -> Result<(), Failure> {
        if self.is_running {
            let finished = if self.written > LIMIT_BYTES {
                self.done.recv().map_err(|_| stopped())?
            } else {
                match self.done.try_recv() {
                    Ok(finished) => finished,
                    Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(()),
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(stopped()),
                }
            };
            finished?;
            self.is_running = false;
            self.written = if passive(writer)? { 0 } else { self.since_begin };
            return Ok(());
        }
        if self.written > BEGIN_BYTES {
            let Some(begin) = &self.begin else { return Err(stopped()) };
            match begin.try_send(()) {
                Ok(()) => (self.is_running, self.since_begin) = (true, 0),
                Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => return Err(stopped()),
            }
        }
        Ok(())
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> Failure {
    Failure::Broken("the checkpoint thread stopped".into())
}

/// Moves what can be moved without waiting for anybody; `true` when that was all.
fn passive(connection: &Connection) -> Result<bool, Failure> {
    run(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

/// Moves everything and empties the log. Only at the start, when nobody else has the store open.
pub(super) fn truncate(connection: &Connection) -> Result<(), Failure> {
    run(connection, "PRAGMA wal_checkpoint(TRUNCATE)").map(|_| ())
}

fn run(connection: &Connection, sql: &str) -> Result<bool, Failure> {
    let counts = connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
    match counts {
        Ok((busy, pages, moved)) => Ok(busy == 0 && pages == moved),
        // No room for the database to grow: the log keeps the pages until there is some.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Ok(false),
        Err(error) if matches!(failure(&error), Failure::Damaged(_)) => Err(failure(&error)),
        // A failed sync here leaves the log as the only safe copy; trying again could count it as moved.
        Err(error) => Err(Failure::Broken(format!("checkpoint: {error}"))),
    }
}
