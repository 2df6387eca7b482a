//! Large sealed bodies as files of their own: temporary file (0600), sync, rename, sync of the folder, and only
//! then the row that names it. So a row always has its file, and a file without a row is left from a crash.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::mail::{BodyId, ParcelId};
use crate::secret::Sealed;

/// Folder of the bodies, and where incomplete ones are set aside.
#[derive(Clone, Debug)]
pub(super) struct Bodies {
    folder: PathBuf,
    aside: PathBuf,
    pub(super) faults: Faults,
}

/// A body written and synced under a temporary name; removed again if nobody takes it over.
#[derive(Debug)]
pub struct Written {
    pub(super) name: String,
    temporary: PathBuf,
}

impl Drop for Written {
    fn drop(&mut self) {
        // Gone already when it was given its name; otherwise the next start removes what this cannot.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

pub(super) fn name_of_body(id: BodyId) -> String {
    format!("b{id}")
}

pub(super) fn name_of_parcel(id: ParcelId) -> String {
    format!("p{id}")
}

const TEMPORARY: &str = ".tmp";

impl Bodies {
    pub(super) fn open(data: &Path) -> io::Result<Bodies> {
        let bodies = Bodies { folder: data.join("bodies"), aside: data.join("set-aside"), faults: Faults::default() };
        for folder in [&bodies.folder, &bodies.aside] {
            match std::fs::DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(bodies)
    }

    /// Writes and syncs under a temporary name. May run beside the writer.
    pub(super) fn write(&self, name: String, sealed: &Sealed) -> io::Result<Written> {
        let written = Written { temporary: self.folder.join(format!("{name}{TEMPORARY}")), name };
        self.faults.step()?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written.temporary)?;
        self.faults.step()?;
        file.write_all(&sealed.0)?;
        self.faults.step()?;
        file.sync_all()?;
        Ok(written)
    }

    /// Whether a file has this name already: renaming onto it would destroy another's body.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        std::fs::symlink_metadata(self.folder.join(name)).is_ok()
    }

    /// Gives all written files their names and syncs the folder once.
    pub(super) fn name(&self, files: &mut dyn Iterator<Item = &Written>) -> io::Result<()> {
        let mut any = false;
        for file in files {
            any = true;
            self.faults.step()?;
            std::fs::rename(&file.temporary, self.folder.join(&file.name))?;
        }
        if any {
            self.faults.step()?;
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Removes a body nobody refers to any more. A failure leaves a file that the next start removes.
    pub(super) fn remove(&self, name: &str) {
        let _ = std::fs::remove_file(self.folder.join(name));
    }

    /// Reads a body back; `None` if it is missing or has another size than its row says.
    pub(super) fn read(&self, name: &str, size_bytes: u64) -> io::Result<Option<Sealed>> {
        match std::fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok((bytes.len() as u64 == size_bytes).then_some(Sealed(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn is_complete(&self, name: &str, size_bytes: u64) -> bool {
        std::fs::symlink_metadata(self.folder.join(name)).is_ok_and(|found| found.is_file() && found.len() == size_bytes)
    }

    /// Removes what a crash left: temporary files, and files that no row names. Returns how many.
    pub(super) fn sweep(&self, is_named: &dyn Fn(&str) -> bool) -> io::Result<usize> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if !name.to_str().is_some_and(is_named) {
                std::fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Keeps an incomplete file for whoever looks into it.
    pub(super) fn set_aside(&self, name: &str) {
        let _ = std::fs::rename(self.folder.join(name), self.aside.join(name));
    }

    pub(super) fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(&self.folder).ok()?;
        found.f_bavail.checked_mul(found.f_frsize)
    }
}

/// Lets tests fail the n-th step on the disk; empty in the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// Steps until one fails; 0: none does.
    #[cfg(test)]
    pub(super) left: std::sync::Arc<std::sync::atomic::AtomicI64>,
}

impl Faults {
    #[cfg(test)]
    pub(super) fn step(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let before = self.left.fetch_update(SeqCst, SeqCst, |left| (left > 0).then_some(left - 1));
        if before == Ok(1) { Err(io::Error::other("injected fault")) } else { Ok(()) }
    }
    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    pub(super) fn step(&self) -> io::Result<()> {
        Ok(())
    }
}
