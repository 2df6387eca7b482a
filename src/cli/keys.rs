//! `wardpost keys dkim`: a pair of keys for a sender domain, and the records to publish.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Ended;
use crate::mail::Domain;
use crate::message::dkim::{Signer, public_txt};
use crate::vault;

pub fn dkim(domain: &str, selector: &str, folder: &Path) -> Ended {
    let domain = Domain::parse(domain).map_err(|error| format!("`{domain}`: {error}"))?;
    // The configuration may lie elsewhere, so the path that is printed stands for itself.
    let folder = folder.canonicalize().map_err(|error| {
        format!("cannot use the folder {}: {error}; make it, or name another one with --folder", folder.display())
    })?;
    let ed25519 = vault::generate_dkim_ed25519();
    let rsa = vault::generate_dkim_rsa();
    let keys = [(selector.to_owned(), Signer::ed25519(&ed25519), &ed25519), (format!("{selector}-rsa"), Signer::rsa(&rsa), &rsa)];
    // Both or none: a run that ends half-way would leave a key that nobody publishes.
    for (selector, ..) in &keys {
        let path = path_of(&folder, &domain, selector);
        if path.exists() {
            return Err(
                format!("there is a key already in {}; give the new one another name with --selector", path.display()).into()
            );
        }
    }
    for (selector, signer, pkcs8) in keys {
        let signer = signer.map_err(|_| "the key that was just made is not usable")?;
        let name = format!("{selector}._domainkey.{domain}");
        Domain::parse(&name).map_err(|_| format!("`{selector}` is no DNS label"))?;
        let path = path_of(&folder, &domain, &selector);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        file.write_all(pem(pkcs8).as_bytes())?;
        file.sync_all()?;
        println!("# key in {}; publish:", path.display());
        println!("{name}. IN TXT {}", strings(&public_txt(&signer)));
        println!("# and configure:\n[[dkim]]\ndomain = \"{domain}\"\nselector = \"{selector}\"\nkey = \"{}\"\n", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn path_of(folder: &Path, domain: &Domain, selector: &str) -> PathBuf {
    folder.join(format!("dkim-{domain}-{selector}.key"))
}

fn pem(pkcs8: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(pkcs8);
    let lines: Vec<String> = encoded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {0}-----\n{1}\n-----END {0}-----\n", "PRIVATE KEY", lines.join("\n"))
}

/// Character-strings of at most 255 octets (RFC 1035, section 3.3).
fn strings(text: &str) -> String {
    text.as_bytes().chunks(250).map(|part| format!("\"{}\"", String::from_utf8_lossy(part))).collect::<Vec<_>>().join(" ")
}
