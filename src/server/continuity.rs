//! Whether this store is the one that was served last. The head of the log kept beside the keys says how far it had
//! come: an older store is a restored backup, or somebody put it there to get the tries of its codes back.

use std::path::{Path, PathBuf};

use super::{Failure, now, start};
use crate::audit::{Event, Record, open_head};
use crate::config::Settings;
use crate::observe;
use crate::store;
use crate::vault::Vault;

/// The last signed head, kept in the key folder: away from the data it speaks of.
pub(super) const HEAD: &str = "head.json";

/// Where the kept head lies.
///
/// # Errors
/// If the configuration is bad.
pub fn kept_head(config: Option<&Path>) -> Result<PathBuf, Failure> {
    let settings = match config {
        Some(path) => Settings::load(path)?,
        None => Settings::built_in()?,
    };
    Ok(settings.keys.join(HEAD))
}

/// Refuses a store that does not contain what the kept head speaks of.
///
/// # Errors
/// If the store is older or another one, or the kept head is not this gateway's.
pub(super) async fn check(keys: &Path, store: &store::Handle, vault: &Vault) -> Result<(), Failure> {
    let path = keys.join(HEAD);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
    };
    let head = match open_head(text.trim_end()) {
        Ok((head, key)) if key == vault.verifying_key() => head,
        _ => return Err(format!("{} is no head of this gateway; restore it from the backup of the keys", path.display()).into()),
    };
    if head.size == 0 {
        return Ok(());
    }
    let hex = |hash: &[u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let is_there =
        store.log(head.size, 1).await?.first().is_some_and(|entry| entry.seq == head.size && hex(&entry.hash) == head.last_hash);
    if is_there {
        return Ok(());
    }
    Err(format!(
        "the store does not contain entry {} of the decision log, which the head in {} speaks of: it is an older or another \
         store. If you restored a backup, start once with `wardpost serve --restored`: it voids every pick-up code and records that",
        head.size,
        path.display()
    )
    .into())
}

/// Accepts a store from a backup: tries made since would be given back, so every code is void.
///
/// # Errors
/// If store or keys cannot be opened or written.
pub async fn accept_restored(settings: &Settings) -> Result<u64, Failure> {
    let (vault, store) = start::open_any(settings)?;
    let voided = store.void_codes().await?;
    let mut record = Record::of(Event::CodeVoided, now());
    record.reason = Some("restored-from-backup".to_owned());
    store.append(vec![record]).await?;
    sign_head(settings, &store).await;
    store.close().await;
    // Held until the store is written.
    drop(vault);
    Ok(voided)
}

/// Signs the end of the log and keeps the head with the keys.
pub(super) async fn sign_head(settings: &Settings, store: &store::Handle) {
    // A closed store is reported where it broke.
    let Ok(head) = store.sign_head(now()).await else { return };
    if let Err(error) = replace(&settings.keys.join(HEAD), &head) {
        observe::log(&observe::Event::SettingsNote {
            what: format!("the head of the log could not be written beside the keys: {error}"),
        });
    }
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
