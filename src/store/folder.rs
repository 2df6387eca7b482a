//! The data folder: ours alone, locked while it is open, and made at the first start.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Error;
use super::sqlite::FILE;

/// Whether a data folder holds no store yet, or one cut to nothing; [`crate::vault::open_or_create`] wants to know.
#[must_use]
pub fn is_empty(folder: &Path) -> bool {
    let is_nothing = |name: &str| std::fs::metadata(folder.join(name)).is_ok_and(|found| found.len() == 0);
    let is_absent = |name: &str| !folder.join(name).exists();
    let log = format!("{FILE}-wal");
    // A first start that was killed may have left everything in the log.
    is_absent(FILE) || (is_nothing(FILE) && (is_absent(&log) || is_nothing(&log)))
}

pub(super) fn open_folder(folder: &Path, wait: Duration) -> Result<File, Error> {
    let failed = |error: std::io::Error| unwritable(folder, &error);
    if !folder.exists() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        if let Some(parent) = folder.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
    }
    // Whoever may write here could put another store or another control socket in place of ours.
    let found = std::fs::metadata(folder).map_err(failed)?;
    if found.permissions().mode() & 0o022 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Refused(format!(
            "the data folder {} belongs to another user or can be written by others; correct it with chown and chmod go-w",
            folder.display()
        )));
    }
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("lock"))
        .map_err(failed)?;
    take(&mut lock, folder, wait)?;
    lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
    // SQLite gives its other files the mode of this one.
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(FILE)).map_err(failed)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    drop(file);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(lock)
}

fn take(lock: &mut File, folder: &Path, wait: Duration) -> Result<(), Error> {
    let until = Instant::now() + wait;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Whatever is read only completes the text.
                let _ = lock.take(20).read_to_string(&mut holder);
                return Err(Error::Refused(format!(
                    "the data folder {} is in use by process {}; stop that first",
                    folder.display(),
                    holder.trim()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(folder, &error)),
        }
    }
}

pub(super) fn unwritable(folder: &Path, error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    let way_out = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; the gateway's user has to be able to write there: look at owner, mode and mount, or run the command as that user"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        _ => "",
    };
    Error::Refused(format!("cannot use the data folder {}: {error}{way_out}", folder.display()))
}
