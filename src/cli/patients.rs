//! `wardpost patients`: the list of the practice's own patients.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use super::{Ended, admin};
use crate::server::{Answer, Request};

/// Reads the export here, where its reader may, and hands it to the gateway.
pub fn import(config: Option<&Path>, file: &Path, dry_run: bool) -> Ended {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    // Programs on Windows write their code page; every byte has a letter there.
    let csv = String::from_utf8(bytes).unwrap_or_else(|error| encoding_rs::WINDOWS_1252.decode(error.as_bytes()).0.into_owned());
    admin::print(admin::ask(config, Request::PatientsImport { csv, dry_run })?, false, &[])
}

pub fn status(config: Option<&Path>, json: bool) -> Ended {
    let Answer::Rows(rows) = admin::ask(config, Request::PatientsStatus)? else { return Ok(ExitCode::FAILURE) };
    for row in &rows {
        if json {
            println!("{row}");
            continue;
        }
        let text = |key: &str| {
            row.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
        };
        println!("patients  {}", text("patients"));
        if row.get("imported_at").is_some() {
            println!("imported  {} ({} days ago)", text("imported_at"), text("age_days"));
            let fields = row.get("fields").and_then(serde_json::Value::as_object);
            let fields: Vec<String> = fields.into_iter().flatten().map(|(field, count)| format!("{field} {count}")).collect();
            println!("fields    {}", fields.join(", "));
            println!("matches   {} of {} messages since it is in force", text("matched"), text("messages"));
        }
        println!("health    {}", text("health"));
    }
    Ok(ExitCode::SUCCESS)
}

pub fn forget(config: Option<&Path>) -> Ended {
    admin::print(admin::ask(config, Request::PatientsForget)?, false, &[])
}
