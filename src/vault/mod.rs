//! # vault: keys: made, loaded, used, destroyed
//!
//! The one room that holds the master key, the host secret of the portal, the reissue key, the pepper, the
//! signing key of the log and the key of pseudonyms. Others hand in what to wrap and get back what may be stored.
//!
//! Must not be here: mail, the store.
//!
//! Reading order: [`open_or_create`] → [`Vault`] → `files`.

use std::path::{Path, PathBuf};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{hmac, rsa};
use zeroize::Zeroizing;

use crate::mail::ParcelId;
use crate::secret::{Context, Key, Nonce, OpenError, Plaintext, Pseudonym, Role, Sealed, Wrapped, open, seal};

mod files;
use files::{Name, Secret};

/// Random bytes before every wrap and small sealed thing: the salt of the key that sealed it.
const SALT_BYTES: usize = 32;
const KEY_BYTES: usize = 32;

/// Cost of a pick-up code: nine digits are few, so each guess has to be dear (RFC 9106, section 4, second choice).
const CODE_MEMORY_KIB: u32 = 64 * 1024;
const CODE_PASSES: u32 = 3;
/// Cost of a credential: generated ones have 160 bits, so this only slows what people choose (OWASP's minimum).
const PASSWORD_MEMORY_KIB: u32 = 19 * 1024;
const PASSWORD_PASSES: u32 = 2;

/// Why there are no keys to work with. Read by an administrator at the start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the key folder {} is missing or empty but there is data; restore the keys from their backup: without them \
             no message can be opened", keys.display())]
    KeysMissing { keys: PathBuf },
    #[error("there are keys in {} but no data; mount or restore the data folder, or move the keys away to start anew",
            keys.display())]
    DataMissing { keys: PathBuf },
    #[error("there is already something in {}; keys are never overwritten", path.display())]
    Exists { path: PathBuf },
    #[error("{} is missing; restore it from the backup of the keys", path.display())]
    Missing { path: PathBuf },
    #[error("{} is a link; keys are read only from the place itself", path.display())]
    Link { path: PathBuf },
    #[error("{} belongs to user {owner}, not to the user {own} that runs Wardpost; correct it with chown", path.display())]
    ForeignOwner { path: PathBuf, owner: u32, own: u32 },
    #[error("{} can be read by others (mode {mode:04o}); correct it with chmod go=", path.display())]
    NotPrivate { path: PathBuf, mode: u32 },
    #[error("{} is no key of this kind and version; restore it from the backup of the keys", path.display())]
    Damaged { path: PathBuf },
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}", path.display())]
    Unwritable { path: PathBuf, source: std::io::Error },
}

/// Loads the keys, or makes them at the very first start: only when neither data nor keys are there. Anything else
/// would seal new mail under keys that the old cannot be opened with, or start a second log beside a lost one.
///
/// Keys that no store has named yet count as new: a first start that was killed can be repeated.
///
/// # Errors
/// [`Error`] says what is missing or readable by others.
pub fn open_or_create(keys: &Path, data_is_empty: bool) -> Result<Vault, Error> {
    match (files::state(keys)?, data_is_empty) {
        (files::State::Nothing, true) => Vault::create(keys),
        (files::State::Nothing, false) => Err(Error::KeysMissing { keys: keys.to_owned() }),
        (files::State::Keys, false) => Vault::load(keys),
        (files::State::Keys, true) if keys.join(files::UNUSED).exists() => Vault::load(keys),
        (files::State::Keys, true) => Err(Error::DataMissing { keys: keys.to_owned() }),
    }
}

/// All keys of this host. They leave the process only as files of the key folder.
pub struct Vault {
    folder: Option<PathBuf>,
    master: Key,
    host_secret: Secret,
    reissue: Key,
    pepper: Secret,
    signing: Ed25519KeyPair,
    pseudonyms: hmac::Key,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Vault {
    /// Makes all keys in a new folder (0700, files 0600, O_EXCL, synced with the folder).
    ///
    /// # Errors
    /// [`Error::Exists`] if anything is there, [`Error::Unwritable`] if it cannot be written.
    pub fn create(folder: &Path) -> Result<Vault, Error> {
        let secrets = files::create(folder, || Zeroizing::new(draw()))?;
        Vault::of(Some(folder.to_owned()), &secrets).ok_or(Error::Damaged { path: folder.to_owned() })
    }

    /// Loads them; refuses links, foreign owners and modes others can read.
    ///
    /// # Errors
    /// [`Error`] names the file and what is wrong with it.
    pub fn load(folder: &Path) -> Result<Vault, Error> {
        let secrets = files::load(folder)?;
        Vault::of(Some(folder.to_owned()), &secrets).ok_or(Error::Damaged { path: folder.to_owned() })
    }

    /// A vault that lives in memory only, for tests.
    #[must_use]
    pub fn ephemeral() -> Vault {
        let secrets: Vec<Secret> = Name::ALL.iter().map(|_| Zeroizing::new(draw())).collect();
        match Vault::of(None, &secrets) {
            Some(vault) => vault,
            None => unreachable!("32 random bytes are an Ed25519 seed"),
        }
    }

    fn of(folder: Option<PathBuf>, secrets: &[Secret]) -> Option<Vault> {
        let [master, host_secret, reissue, pepper, signing, pseudonyms] = secrets else { return None };
        Some(Vault {
            folder,
            master: Key::of(**master),
            host_secret: host_secret.clone(),
            reissue: Key::of(**reissue),
            pepper: pepper.clone(),
            signing: Ed25519KeyPair::from_seed_unchecked(&signing[..]).ok()?,
            pseudonyms: hmac::Key::new(hmac::HMAC_SHA256, &pseudonyms[..]),
        })
    }

    /// Notes that a store now depends on these keys; from here on keys without data are refused.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn mark_used(&self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let marker = folder.join(files::UNUSED);
        match std::fs::remove_file(&marker) {
            Ok(()) => files::sync_folder(folder),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::Unwritable { path: marker, source }),
        }
    }

    /// Kept in the store, so that a wrong key folder is found at the start and not at the first message.
    #[must_use]
    pub fn check_value(&self) -> [u8; 32] {
        let all =
            [&b"keys"[..], &self.keyed_hash("check", b""), &self.host_secret[..], self.reissue.expose_key(), &self.pepper[..]];
        let all = Zeroizing::new(all.concat());
        *self.master.derive(&all, "check value").expose_key()
    }

    /// Fresh random bytes from the operating system.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        draw()
    }
    #[must_use]
    pub fn new_key(&self) -> Key {
        Key::of(self.random())
    }
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        Nonce(self.random())
    }

    /// Wraps keys under HKDF(master key, 256 random bits of salt kept in the wrap), bound to `id`.
    #[must_use]
    pub fn wrap(&self, id: &[u8], keys: &[&Key]) -> Wrapped {
        Wrapped(self.seal_salted(&self.master, "wrap", Context { role: Role::Wrap, id }, &join(keys)))
    }

    /// # Errors
    /// [`OpenError`] if it was not wrapped by this vault for this id.
    pub fn unwrap(&self, id: &[u8], wrapped: &Wrapped) -> Result<Vec<Key>, OpenError> {
        part(&open_salted(&self.master, "wrap", Context { role: Role::Wrap, id }, &wrapped.0)?)
    }

    /// Recovery wrap of a parcel's key under the reissue key: for a new code, passkeys, later delivery and
    /// break-glass, each of which commits its record before it opens this.
    #[must_use]
    pub fn wrap_recovery(&self, parcel: ParcelId, key: &Key) -> Wrapped {
        let context = Context { role: Role::Wrap, id: parcel.as_bytes() };
        Wrapped(self.seal_salted(&self.reissue, "recovery", context, &join(&[key])))
    }

    /// # Errors
    /// [`OpenError`] if it was not wrapped by this vault for this parcel.
    pub fn unwrap_recovery(&self, parcel: ParcelId, wrapped: &Wrapped) -> Result<Key, OpenError> {
        let context = Context { role: Role::Wrap, id: parcel.as_bytes() };
        only(part(&open_salted(&self.reissue, "recovery", context, &wrapped.0)?)?)
    }

    /// Argon2id(code digits, salt, 64 MiB, t=3, p=1, pepper), then HKDF with the host secret and the parcel's id:
    /// the key that wraps the parcel's key. Takes most of a second: call it on the pool for passwords.
    #[must_use]
    pub fn code_key(&self, code_digits: &str, salt: &[u8; 16], parcel: ParcelId) -> Key {
        let mut stretched = Zeroizing::new([0u8; KEY_BYTES]);
        let hashed =
            self.argon2(CODE_MEMORY_KIB, CODE_PASSES).hash_password_into(code_digits.as_bytes(), salt, &mut stretched[..]);
        // Argon2 refuses only lengths: ours are constants, and no code has 4 GiB.
        assert!(hashed.is_ok(), "Argon2 takes a 16-byte salt and gives 32 bytes");
        let host_and_parcel = Zeroizing::new([&self.host_secret[..], parcel.as_bytes()].concat());
        Key::of(*stretched).derive(&host_and_parcel, "code")
    }

    #[must_use]
    pub fn wrap_with_code(&self, code_key: &Key, parcel: ParcelId, key: &Key) -> Wrapped {
        let context = Context { role: Role::Wrap, id: parcel.as_bytes() };
        Wrapped(self.seal_salted(code_key, "code wrap", context, &join(&[key])))
    }

    /// # Errors
    /// [`OpenError`]: it was the wrong code, or another parcel's.
    pub fn unwrap_with_code(&self, code_key: &Key, parcel: ParcelId, wrapped: &Wrapped) -> Result<Key, OpenError> {
        let context = Context { role: Role::Wrap, id: parcel.as_bytes() };
        only(part(&open_salted(code_key, "code wrap", context, &wrapped.0)?)?)
    }

    /// Seals a small thing (STS cache row, record's fields) under a key of its own derived from the master key.
    #[must_use]
    pub fn seal_small(&self, role: Role, id: &[u8], plain: &[u8]) -> Sealed {
        Sealed(self.seal_salted(&self.master, "small", Context { role, id }, plain))
    }

    /// # Errors
    /// [`OpenError`] if it was not sealed by this vault for this role and id.
    pub fn open_small(&self, role: Role, id: &[u8], sealed: &Sealed) -> Result<Plaintext, OpenError> {
        open_salted(&self.master, "small", Context { role, id }, &sealed.0)
    }

    fn seal_salted(&self, key: &Key, purpose: &str, context: Context<'_>, plain: &[u8]) -> Vec<u8> {
        let salt: [u8; SALT_BYTES] = draw();
        let sealed = seal(&key.derive(&salt, purpose), self.nonce(), context, plain);
        [&salt[..], &sealed.0].concat()
    }

    /// Keyed pseudonym; `kind` keeps e.g. mailboxes and Message-IDs apart.
    #[must_use]
    pub fn pseudonym(&self, kind: &str, value: &str) -> Pseudonym {
        pseudonym_of(&self.mac("pseudonym", kind, value.as_bytes()))
    }

    /// The pseudonym's stand-in in one export of the log: two exports cannot be laid side by side.
    #[must_use]
    pub fn export_pseudonym(&self, export: &str, field: &str, pseudonym: &Pseudonym) -> Pseudonym {
        let value = format!("{export}/{field}/{pseudonym}");
        pseudonym_of(&self.mac("export", field, value.as_bytes()))
    }

    /// HMAC-SHA-256 under the key of pseudonyms, for lookups (message numbers, spoken codes).
    #[must_use]
    pub fn keyed_hash(&self, kind: &str, value: &[u8]) -> [u8; 32] {
        self.mac("hash", kind, value)
    }

    /// Length-prefixed, so that no kind and value run into another's.
    fn mac(&self, use_: &str, kind: &str, value: &[u8]) -> [u8; 32] {
        let mut mac = hmac::Context::with_key(&self.pseudonyms);
        for part in [use_.as_bytes(), kind.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.update(value);
        let mut out = [0u8; 32];
        out.copy_from_slice(mac.sign().as_ref());
        out
    }

    /// Ed25519 over a head of the decision log.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.signing.sign(bytes).as_ref().to_vec()
    }

    /// Raw 32-byte Ed25519 public key.
    #[must_use]
    pub fn verifying_key(&self) -> Vec<u8> {
        self.signing.public_key().as_ref().to_vec()
    }

    /// Verifies an Argon2id PHC string of a credential, at the cost that the string names.
    #[must_use]
    pub fn check_password(&self, verifier: &str, password: &[u8]) -> bool {
        let Ok(parsed) = PasswordHash::new(verifier) else { return false };
        self.argon2(PASSWORD_MEMORY_KIB, PASSWORD_PASSES).verify_password(password, &parsed).is_ok()
    }

    /// Argon2id PHC string (19 MiB, t=2), peppered: a stolen store alone allows no guessing.
    #[must_use]
    pub fn password_verifier(&self, password: &[u8]) -> String {
        let hashed = SaltString::encode_b64(&self.random::<16>()).ok().and_then(|salt| {
            Some(self.argon2(PASSWORD_MEMORY_KIB, PASSWORD_PASSES).hash_password(password, &salt).ok()?.to_string())
        });
        match hashed {
            Some(verifier) => verifier,
            None => unreachable!("the salt has 16 bytes and the cost is a constant"),
        }
    }

    fn argon2(&self, memory_kib: u32, passes: u32) -> Argon2<'_> {
        let made = Params::new(memory_kib, passes, 1, Some(KEY_BYTES))
            .and_then(|params| Argon2::new_with_secret(&self.pepper[..], Algorithm::Argon2id, Version::V0x13, params));
        match made {
            Ok(argon2) => argon2,
            Err(_) => unreachable!("the cost is a constant and the pepper has 32 bytes"),
        }
    }
}

/// A new Ed25519 key for DKIM (RFC 8463), PKCS #8.
#[must_use]
pub fn generate_dkim_ed25519() -> Zeroizing<Vec<u8>> {
    match Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()) {
        Ok(document) => Zeroizing::new(document.as_ref().to_vec()),
        Err(_) => unreachable!("the random source of the operating system does not fail"),
    }
}

/// A new RSA-2048 key for DKIM (RFC 8301), PKCS #8. Takes a good part of a second.
#[must_use]
pub fn generate_dkim_rsa() -> Zeroizing<Vec<u8>> {
    let made = rsa::KeyPair::generate(rsa::KeySize::Rsa2048)
        .and_then(|pair| AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).map(|der| Zeroizing::new(der.as_ref().to_vec())));
    match made {
        Ok(pkcs8) => pkcs8,
        Err(_) => unreachable!("the random source of the operating system does not fail"),
    }
}

/// The first 80 bits as 16 lower-case characters of base32 (RFC 4648).
fn pseudonym_of(hash: &[u8; 32]) -> Pseudonym {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(16);
    for group in hash[..10].chunks(5) {
        let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for index in (0..8).rev() {
            text.push(char::from(ALPHABET[(bits >> (5 * index) & 31) as usize]));
        }
    }
    Pseudonym::of(text)
}

fn open_salted(key: &Key, purpose: &str, context: Context<'_>, bytes: &[u8]) -> Result<Plaintext, OpenError> {
    let (salt, sealed) = bytes.split_at_checked(SALT_BYTES).ok_or(OpenError::Format)?;
    open(&key.derive(salt, purpose), context, sealed)
}

fn join(keys: &[&Key]) -> Zeroizing<Vec<u8>> {
    let mut all = Zeroizing::new(Vec::with_capacity(keys.len() * KEY_BYTES));
    for key in keys {
        all.extend_from_slice(key.expose_key());
    }
    all
}

fn part(keys: &Plaintext) -> Result<Vec<Key>, OpenError> {
    let (keys, rest) = keys.expose().as_chunks::<KEY_BYTES>();
    if rest.is_empty() { Ok(keys.iter().map(|key| Key::of(*key)).collect()) } else { Err(OpenError::Format) }
}

fn only(mut keys: Vec<Key>) -> Result<Key, OpenError> {
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        _ => Err(OpenError::Format),
    }
}

fn draw<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    let drawn = aws_lc_rs::rand::fill(&mut bytes);
    // Without random bytes no key may be made; going on would be worse than stopping.
    assert!(drawn.is_ok(), "the random source of the operating system gives bytes");
    bytes
}

#[cfg(test)]
mod tests;
