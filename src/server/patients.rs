//! The list of own patients: imported from an export of the practice's program, kept sealed in the data folder, put in
//! force without a restart.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Parts;
use crate::config::Settings;
use crate::mail::Timestamp;
use crate::observe::{self, Event, metrics};
use crate::patients::{self, Builder, Field, Hasher, Patients};
use crate::policy::ExamplePatient;
use crate::secret::{Role, Sealed};
use crate::vault::Vault;

/// Name of the sealed list in the data folder.
const FILE: &str = "patients.sealed";
/// A list older than this misses who came since.
const OLD_DAYS: i64 = 35;
/// So many messages without one of its patients, and the list is suspected to be in other forms than the mail.
const SILENT_MESSAGES: u64 = 500;

/// The hashes of the list, under the vault's key.
fn hasher(vault: &Arc<Vault>) -> Hasher {
    let vault = vault.clone();
    Arc::new(move |field: Field, form: &str| {
        let hash = vault.keyed_hash("patient", format!("{} {form}", field.as_str()).as_bytes());
        hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    })
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The kept list; `None` if there is none.
fn load(vault: &Arc<Vault>, folder: &Path) -> Result<Option<Patients>, String> {
    let sealed = match std::fs::read(path(folder)) {
        Ok(bytes) => Sealed(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", path(folder).display())),
    };
    let plain = vault
        .open_small(Role::Patients, FILE.as_bytes(), &sealed)
        .map_err(|_| format!("{} does not open with these keys; import the list again", path(folder).display()))?;
    Patients::from_bytes(plain.expose(), hasher(vault)).map(Some).map_err(|error| error.to_string())
}

/// The kept list, for a command that looks at mail beside the gateway; needs its keys.
///
/// # Errors
/// If keys or list cannot be read.
pub fn kept_patients(settings: &Settings) -> Result<Option<Patients>, String> {
    if !path(&settings.store.folder).exists() {
        return Ok(None);
    }
    let vault = Vault::load(&settings.keys).map_err(|error| error.to_string())?;
    load(&Arc::new(vault), &settings.store.folder)
}

/// Puts the kept list in force at the start. Mail goes on without one that cannot be opened, and the log says so.
pub(super) fn start(parts: &Parts) {
    match load(&parts.vault, &parts.settings.store.folder) {
        Ok(list) => in_force(parts, list),
        Err(what) => observe::log(&Event::PatientListUnreadable { what }),
    }
}

fn in_force(parts: &Parts, list: Option<Patients>) {
    metrics().patients(
        list.as_ref().map_or(0, |list| i64::from(list.count())),
        list.as_ref().map_or(0, |list| list.imported_at.secs()),
    );
    parts.patients.replace(list);
}

/// Reads an export, and keeps it as hashes if this is no dry run.
pub(super) fn import(parts: &Parts, csv: &str, dry_run: bool, now: Timestamp) -> Result<String, String> {
    let table = patients::read(csv).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        format!("nothing was imported:\n{}", lines.join("\n"))
    })?;
    let mut builder = Builder::new(hasher(&parts.vault));
    table.rows.iter().for_each(|row| builder.add(row));
    let too_little = builder.too_little;
    let list = builder.finish(now);
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    for (header, meaning) in &table.columns {
        line(format!("column `{header}`: {meaning}"));
    }
    if !table.ignored.is_empty() {
        line(format!("columns without use here: {}", table.ignored.join(", ")));
    }
    if too_little > 0 {
        line(format!(
            "lines by which nobody can be recognised, left out: {too_little} (a name needs a birth date, phone, e-mail or address; or give a record number)"
        ));
    }
    if list.count() == 0 {
        return Err(format!("{out}no line of this file can be used"));
    }
    let having: Vec<String> =
        list.having().filter(|(_, count)| *count > 0).map(|(field, count)| format!("{} {count}", field.as_str())).collect();
    line(format!("{} patients on {} lines: {}", list.count(), table.rows.len(), having.join(", ")));
    if dry_run {
        line("nothing was changed: this was a dry run".into());
        return Ok(out);
    }
    let sealed = parts.vault.seal_small(Role::Patients, FILE.as_bytes(), &list.to_bytes());
    keep(&parts.settings.store.folder, &sealed.0).map_err(|error| format!("the list could not be written: {error}"))?;
    observe::log(&Event::PatientListChanged { what: "imported", patients: list.count() });
    in_force(parts, Some(list));
    line("imported, in force from now on; no value of it is kept in clear".into());
    Ok(out)
}

/// Whole or not at all, and on the disk before anybody says so.
fn keep(folder: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = folder.join(format!("{FILE}.unfinished"));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path(folder))?;
    std::fs::File::open(folder)?.sync_all()
}

pub(super) fn forget(parts: &Parts) -> Result<String, String> {
    match std::fs::remove_file(path(&parts.settings.store.folder)) {
        Ok(()) => {
            in_force(parts, None);
            observe::log(&Event::PatientListChanged { what: "forgotten", patients: 0 });
            Ok("the list is gone, here and in memory; copies in backups of the data folder stay sealed".into())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("there is no list of patients".into()),
        Err(error) => Err(format!("the list could not be removed: {error}")),
    }
}

/// Count, age, and how well the list fits the mail.
pub(super) fn status(parts: &Parts, now: Timestamp) -> Result<serde_json::Value, String> {
    let list = match parts.patients.in_force() {
        Some(list) => Some(list),
        // The command's own process has not loaded it.
        None => load(&parts.vault, &parts.settings.store.folder)?.map(Arc::new),
    };
    let Some(list) = list else {
        return Ok(serde_json::json!({ "patients": 0, "health": "no list; `wardpost patients import FILE.csv` makes one" }));
    };
    let (messages, matched, last) = parts.patients.health();
    let age_days = now.since_ms(list.imported_at).max(0) / 86_400_000;
    let thin = list.having().any(|(field, count)| field == Field::Birth && count * 2 < list.count())
        && list.having().any(|(field, count)| field == Field::Mrn && count * 2 < list.count());
    let health = if age_days > OLD_DAYS {
        "old: patients who came since are not on it; import a fresh export"
    } else if messages >= SILENT_MESSAGES && matched == 0 {
        "silent: no message named anybody of the list; are its numbers and names written as in the mail?"
    } else if thin {
        "thin: fewer than half have a birth date, and fewer than half a record number; names alone recognise nobody"
    } else {
        "good"
    };
    let fields: serde_json::Map<String, serde_json::Value> =
        list.having().map(|(field, count)| (field.as_str().to_owned(), count.into())).collect();
    Ok(serde_json::json!({
        "patients": list.count(),
        "imported_at": list.imported_at.to_string(),
        "age_days": age_days,
        "fields": fields,
        "memory_bytes": list.memory_bytes(),
        "messages": messages,
        "matched": matched,
        "last_matched_at": last.map(|at| at.to_string()),
        "health": health,
    }))
}

/// The list of a rule's example, with a key of its own.
pub(super) fn of_example(rows: &[ExamplePatient]) -> Result<Option<Patients>, String> {
    if rows.is_empty() {
        return Ok(None);
    }
    let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
    let mut csv = "name,dob,mrn,email,phone\n".to_owned();
    for row in rows {
        let cells: Vec<String> = [&row.name, &row.dob, &row.mrn, &row.email, &row.phone].into_iter().map(quoted).collect();
        csv.push_str(&cells.join(","));
        csv.push('\n');
    }
    let table = patients::read(&csv)
        .map_err(|problems| problems.first().map_or_else(String::new, |problem| format!("patients: {problem}")))?;
    let mut builder = Builder::new(hasher(&Arc::new(Vault::ephemeral())));
    table.rows.iter().for_each(|row| builder.add(row));
    Ok(Some(builder.finish(Timestamp(0))))
}
