//! A database file that does not say any more what was written into it: noticed, named, and not forgotten at the next start.
//!
//! SQLite checks its pages' structure, and by checksums the write-ahead log: where a frame of the log does not check it
//! takes the log to end there, as after a power cut, and says nothing. So a damaged log would lose commits that were
//! answered; [`check_log_file`] tells the two apart.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::super::Error;
use super::super::order::Failure;
use super::FILE;

/// Stands beside the database from when damage was met until a start has found every page in order.
pub(super) const MARK: &str = "wardpost.db-damaged";
/// What the write-ahead log begins with; the last bit says in which order its checksums read words.
const LOG_MAGIC: u32 = 0x377f_0682;
const LOG_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Found by one look; more would not help anybody.
const FINDINGS_MAX: u32 = 3;

/// Why the database of this file cannot be used, with a way out.
pub(super) fn unusable(file: &Path, error: &rusqlite::Error) -> Error {
    if is_damage(error) {
        return met(file, &error.to_string());
    }
    let way_out = match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "; the gateway's user has to be able to write wardpost.db and the data folder: look at owner, mode and mount"
        }
        Some(ErrorCode::DiskFull) => "; the disk of the data folder is full: make room",
        _ => "",
    };
    Error::Refused(format!("cannot use the store {}: {error}{way_out}", file.display()))
}

/// What an error means for the writer.
pub(super) fn failure(error: &rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Failure::Full,
        _ if is_damage(error) => Failure::Damaged(error.to_string()),
        _ => Failure::Broken(error.to_string()),
    }
}

/// A failure of the writer with its file named.
pub(super) fn told(connection: &Connection, failed: Failure) -> Failure {
    match failed {
        Failure::Damaged(what) => Failure::Damaged(met(&file_of(connection), &what).to_string()),
        other @ (Failure::Full | Failure::Broken(_)) => other,
    }
}

/// As [`told`], where the start fails by it.
pub(super) fn at_start(connection: &Connection, failed: Failure) -> Error {
    match failed {
        Failure::Full => Error::Full,
        Failure::Damaged(what) => met(&file_of(connection), &what),
        Failure::Broken(what) => Error::Refused(what),
    }
}

/// The database of a connection.
pub(super) fn file_of(connection: &Connection) -> PathBuf {
    connection.path().map_or_else(|| PathBuf::from(FILE), PathBuf::from)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Damage was met: the next start is to look at every page before it believes one.
fn met(file: &Path, what: &str) -> Error {
    // The disk is not to be trusted; without the mark the next start finds the damage when it comes by it again.
    let _ = std::fs::write(file.with_file_name(MARK), format!("{what}\n"));
    Error::Damaged { file: file.to_owned(), what: what.to_owned() }
}

/// Looks at every page and every index if damage was met before; forgets the mark if all is well.
pub(super) fn look_again(connection: &Connection) -> Result<(), Error> {
    let file = file_of(connection);
    let mark = file.with_file_name(MARK);
    if !mark.exists() {
        return Ok(());
    }
    let refused = |error: rusqlite::Error| unusable(&file, &error);
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})")).map_err(refused)?;
    let found = statement.query_map([], |row| row.get::<_, String>(0)).and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>);
    let found = found.map_err(refused)?.join(" ").replace('\n', " ");
    if found == "ok" {
        std::fs::remove_file(&mark).map_err(|error| Error::Refused(format!("cannot remove {}: {error}", mark.display())))?;
        return Ok(());
    }
    Err(met(&file, &found))
}

/// Refuses a write-ahead log with more missing than a power cut can take from it.
///
/// A cut can spoil what was not synced: the header of a log that holds nothing yet, or the frames of the last commit.
/// Where the header does not check and frames follow, or several commits stand behind a frame that does not check, bytes
/// are wrong that had been synced.
pub(super) fn check_log_file(database: &Path) -> Result<(), Error> {
    let name = format!("{}-wal", database.file_name().unwrap_or_default().to_string_lossy());
    let path = database.with_file_name(name);
    let what = match File::open(&path).and_then(|file| read_log(&mut BufReader::with_capacity(1 << 20, file))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::Refused(format!("cannot read {}: {error}", path.display()))),
        Ok(Log::Sound) => return Ok(()),
        Ok(Log::NoHeader) => "its header does not check, so that none of the commits in it can be read".to_owned(),
        Ok(Log::Hole { frame, commits }) => {
            format!("frame {frame} does not check, and {commits} commits that were synced stand behind it")
        }
    };
    Err(Error::DamagedLog { file: path, what })
}

#[derive(Debug, PartialEq, Eq)]
enum Log {
    Sound,
    NoHeader,
    Hole { frame: u64, commits: u64 },
}

/// Reads a log as SQLite's recovery does, and beyond where that stops.
fn read_log(file: &mut impl Read) -> io::Result<Log> {
    let mut header = [0; LOG_HEADER_BYTES];
    if !fill(file, &mut header)? {
        return Ok(Log::Sound);
    }
    let word = |bytes: &[u8], n: usize| {
        bytes.get(4 * n..4 * n + 4).and_then(|word| <[u8; 4]>::try_from(word).ok()).map_or(0, u32::from_be_bytes)
    };
    let (magic, page_bytes) = (word(&header, 0), word(&header, 2));
    let sum = Sum { is_big_endian: magic & 1 == 1, now: (0, 0) }.with(header.get(..24).unwrap_or_default());
    let is_page = page_bytes.is_power_of_two() && (512..=65_536).contains(&page_bytes);
    if magic & !1 != LOG_MAGIC || !is_page || sum.now != (word(&header, 6), word(&header, 7)) {
        // Its header is synced before the first frame is written.
        return Ok(if fill(file, &mut [0; FRAME_HEADER_BYTES])? { Log::NoHeader } else { Log::Sound });
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes as usize];
    let (mut sum, mut number, mut hole, mut commits) = (sum, 0u64, None, 0);
    while fill(file, &mut frame)? {
        number += 1;
        let is_ours = (word(&frame, 2), word(&frame, 3)) == (word(&header, 4), word(&header, 5));
        if hole.is_none() {
            let (head, page) = (frame.get(..8).unwrap_or_default(), frame.get(FRAME_HEADER_BYTES..).unwrap_or_default());
            sum = sum.with(head).with(page);
            if !is_ours || word(&frame, 0) == 0 || sum.now != (word(&frame, 4), word(&frame, 5)) {
                hole = Some(number);
            }
        }
        // The size of the database stands in the last frame of each commit. Frames of an earlier round have other salts.
        commits += u64::from(hole.is_some() && is_ours && word(&frame, 1) != 0);
    }
    // One may be the commit that a power cut interrupted.
    Ok(match hole {
        Some(frame) if commits > 1 => Log::Hole { frame, commits },
        _ => Log::Sound,
    })
}

/// Fills the whole buffer; `false`: the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The running checksum of the log (SQLite's file format, section 4.2).
#[derive(Clone, Copy)]
struct Sum {
    is_big_endian: bool,
    now: (u32, u32),
}

impl Sum {
    fn with(self, bytes: &[u8]) -> Sum {
        let read = |word: &[u8]| match <[u8; 4]>::try_from(word) {
            Ok(word) if self.is_big_endian => u32::from_be_bytes(word),
            Ok(word) => u32::from_le_bytes(word),
            Err(_) => 0,
        };
        let mut now = self.now;
        for pair in bytes.chunks_exact(8) {
            let (first, second) = pair.split_at(4);
            now.0 = now.0.wrapping_add(read(first)).wrapping_add(now.1);
            now.1 = now.1.wrapping_add(read(second)).wrapping_add(now.0);
        }
        Sum { now, ..self }
    }
}
