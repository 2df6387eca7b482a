//! Certificates for a first try: self-made, in the key folder, made once.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Error;

/// Chain and key files, made if they are not there.
///
/// # Errors
/// [`Error::Unreadable`] if the folder cannot be written, [`Error::File`] if no certificate could be made.
pub fn certificate(folder: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), Error> {
    let (chain, key) = (folder.join("throw-away.pem"), folder.join("throw-away.key"));
    if chain.exists() && key.exists() {
        return Ok((chain, key));
    }
    let made = rcgen::generate_simple_self_signed(names.to_vec())
        .map_err(|error| Error::file(&chain, format!("could not be made ({error})")))?;
    write_new(&key, made.signing_key.serialize_pem().as_bytes())?;
    write_new(&chain, made.cert.pem().as_bytes())?;
    Ok((chain, key))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    // One of the two may lie here from a start that was cut short.
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(error)),
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(unreadable)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(unreadable)
}
