//! Printing: tables for people, JSON lines for programs, secrets only where nobody else reads along.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde_json::Value;

/// JSON lines, or a table of the named columns.
pub fn rows(rows: &[Value], json: bool, columns: &[&str]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        for row in rows {
            writeln!(out, "{row}")?;
        }
        return Ok(());
    }
    let cell = |row: &Value, column: &str| match row.get(column) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let table: Vec<Vec<String>> = rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
    self::table(&mut out, columns, &table)
}

/// Columns padded to their widest cell.
pub fn table(out: &mut impl Write, columns: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    let width = |i: usize| {
        rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).chain([columns[i].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |out: &mut dyn Write, cells: &[&str]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(out, columns)?;
    for row in rows {
        line(out, &row.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Shows a secret on a terminal; otherwise writes it to a new file only the owner can read and names the file.
pub fn secret(label: &str, secret: &str) -> std::io::Result<()> {
    if std::io::stdout().is_terminal() {
        println!("{label}: {secret}");
        return Ok(());
    }
    let path = secret_file(&std::env::temp_dir(), secret)?;
    println!("{label}: written to {} (readable by you alone; delete it when it is kept elsewhere)", path.display());
    Ok(())
}

/// A new file with mode 0600 that holds the secret.
pub fn secret_file(folder: &std::path::Path, secret: &str) -> std::io::Result<PathBuf> {
    for attempt in 0..1000u32 {
        let path = folder.join(format!("wardpost-secret-{}-{attempt}", std::process::id()));
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                writeln!(file, "{secret}")?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::other("no free file name for the secret"))
}

/// Writes a file that only its owner can read, in place of what was there.
pub fn private_file(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
