//! Key files: made once, in a folder nobody else can read, and read back only if that is still so.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Error;

/// One key, one file: they can be backed up, moved to a hardware store or destroyed one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Master,
    HostSecret,
    Reissue,
    Pepper,
    Signing,
    Pseudonyms,
}

impl Name {
    pub(super) const ALL: [Name; 6] =
        [Name::Master, Name::HostSecret, Name::Reissue, Name::Pepper, Name::Signing, Name::Pseudonyms];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Name::Master => "master",
            Name::HostSecret => "host-secret",
            Name::Reissue => "reissue",
            Name::Pepper => "pepper",
            Name::Signing => "signing",
            Name::Pseudonyms => "pseudonyms",
        }
    }

    fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.key", self.as_str()))
    }
}

/// Lies beside the keys until a store names them; see [`super::open_or_create`].
pub(super) const UNUSED: &str = "not-yet-used";

/// First word of each file, and the version of what follows.
const FORMAT: &str = "wardpost-key 1";

pub(super) type Secret = Zeroizing<[u8; 32]>;

/// Makes the folder with all keys. It appears under its name whole or not at all; an empty folder that is there
/// already (a mount point) is filled instead.
pub(super) fn create(folder: &Path, mut draw: impl FnMut() -> Secret) -> Result<Vec<Secret>, Error> {
    let parent = match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(Error::Exists { path: folder.to_owned() }),
    };
    if state(folder)? == State::Keys {
        return Err(Error::Exists { path: folder.to_owned() });
    }
    let secrets: Vec<Secret> = Name::ALL.iter().map(|_| draw()).collect();
    if std::fs::symlink_metadata(folder).is_ok() {
        check_folder(folder)?;
        fill(folder, &secrets)?;
        return Ok(secrets);
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unfinished = parent.join(format!(".{name}.unfinished-{}", std::process::id()));
    let made = std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&unfinished)
        .map_err(|source| Error::Unwritable { path: unfinished.clone(), source })
        .and_then(|()| fill(&unfinished, &secrets))
        .and_then(|()| {
            std::fs::rename(&unfinished, folder).map_err(|source| Error::Unwritable { path: folder.to_owned(), source })
        })
        .and_then(|()| sync_folder(parent));
    if made.is_err() {
        // Nothing was ever sealed under these; what cannot be removed is found by its name.
        let _ = std::fs::remove_dir_all(&unfinished);
    }
    made.map(|()| secrets)
}

fn fill(folder: &Path, secrets: &[Secret]) -> Result<(), Error> {
    for (name, secret) in Name::ALL.iter().zip(secrets) {
        let text = Zeroizing::new(format!("{FORMAT} {}\n{}\n", name.as_str(), STANDARD.encode(&secret[..])));
        write_new(&name.path(folder), text.as_bytes())?;
    }
    write_new(&folder.join(UNUSED), b"These keys have sealed nothing yet. Wardpost removes this file at the first start.\n")?;
    sync_folder(folder)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let unwritable = |source| Error::Unwritable { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
    file.write_all(bytes).map_err(unwritable)?;
    file.sync_all().map_err(unwritable)
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|source| Error::Unwritable { path: folder.to_owned(), source })
}

/// What lies in the key folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No folder, or an empty one.
    Nothing,
    Keys,
}

pub(super) fn state(folder: &Path) -> Result<State, Error> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(if entries.next().is_some() { State::Keys } else { State::Nothing }),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(State::Nothing),
        Err(source) => Err(Error::Unreadable { path: folder.to_owned(), source }),
    }
}

/// Reads all keys, in the order of [`Name::ALL`].
pub(super) fn load(folder: &Path) -> Result<Vec<Secret>, Error> {
    check_folder(folder)?;
    Name::ALL.iter().map(|name| load_one(folder, *name)).collect()
}

fn load_one(folder: &Path, name: Name) -> Result<Secret, Error> {
    let path = name.path(folder);
    // O_NOFOLLOW: a link planted here would let somebody else choose the key.
    let mut file =
        OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32).open(&path).map_err(|source| {
            match source.kind() {
                std::io::ErrorKind::NotFound => Error::Missing { path: path.clone() },
                _ if std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) => Error::Link { path: path.clone() },
                _ => Error::Unreadable { path: path.clone(), source },
            }
        })?;
    let metadata = file.metadata().map_err(|source| Error::Unreadable { path: path.clone(), source })?;
    if !metadata.is_file() {
        return Err(Error::Damaged { path });
    }
    check_private(&path, &metadata)?;
    let mut text = Zeroizing::new(String::with_capacity(256));
    // A key file has about 70 bytes; whatever is longer is none.
    (&mut file).take(256).read_to_string(&mut text).map_err(|source| Error::Unreadable { path: path.clone(), source })?;
    parse(&text, name).ok_or(Error::Damaged { path })
}

fn parse(text: &str, name: Name) -> Option<Secret> {
    let rest = text.strip_prefix(FORMAT)?.strip_prefix(' ')?.strip_prefix(name.as_str())?.strip_prefix('\n')?;
    let bytes = Zeroizing::new(STANDARD.decode(rest.strip_suffix('\n')?).ok()?);
    let mut secret = Zeroizing::new([0u8; 32]);
    if bytes.len() != secret.len() {
        return None;
    }
    secret.copy_from_slice(&bytes);
    Some(secret)
}

fn check_folder(folder: &Path) -> Result<(), Error> {
    let metadata = std::fs::symlink_metadata(folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { path: folder.to_owned() },
        _ => Error::Unreadable { path: folder.to_owned(), source },
    })?;
    if metadata.is_symlink() {
        return Err(Error::Link { path: folder.to_owned() });
    }
    if !metadata.is_dir() {
        return Err(Error::Damaged { path: folder.to_owned() });
    }
    check_private(folder, &metadata)
}

fn check_private(path: &Path, metadata: &std::fs::Metadata) -> Result<(), Error> {
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return Err(Error::ForeignOwner { path: path.to_owned(), owner: metadata.uid(), own });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::NotPrivate { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}
