#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A folder of its own for one test, gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wardpost-vault-{}-{n}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const PARCEL: ParcelId = ParcelId([3; 16]);

#[test]
fn keys_made_once_load_again_and_open_what_they_sealed() {
    let folder = Folder::new();
    let made = Vault::create(&folder.keys()).unwrap();
    let key = made.new_key();
    let (wrap, recovery) = (made.wrap(b"copy", &[&key, &key]), made.wrap_recovery(PARCEL, &key));
    let small = made.seal_small(Role::Cache, b"d", b"policy");

    let loaded = Vault::load(&folder.keys()).unwrap();
    let keys = loaded.unwrap(b"copy", &wrap).unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|k| k.expose_key() == key.expose_key()));
    assert_eq!(loaded.unwrap_recovery(PARCEL, &recovery).unwrap().expose_key(), key.expose_key());
    assert_eq!(loaded.open_small(Role::Cache, b"d", &small).unwrap().expose(), b"policy");
    assert_eq!(loaded.check_value(), made.check_value());
    assert_eq!(loaded.verifying_key(), made.verifying_key());
    assert_eq!(loaded.pseudonym("mailbox", "a@b.c"), made.pseudonym("mailbox", "a@b.c"));
    assert!(matches!(Vault::create(&folder.keys()), Err(Error::Exists { .. })));
}

#[test]
fn nothing_opens_for_another_id_role_purpose_or_vault() {
    let (vault, other) = (Vault::ephemeral(), Vault::ephemeral());
    let key = vault.new_key();
    let wrap = vault.wrap(b"copy", &[&key]);
    assert!(vault.unwrap(b"copz", &wrap).is_err());
    assert!(other.unwrap(b"copy", &wrap).is_err());
    assert!(vault.unwrap_recovery(PARCEL, &vault.wrap(PARCEL.as_bytes(), &[&key])).is_err(), "master is not reissue");
    assert!(vault.unwrap_recovery(ParcelId([4; 16]), &vault.wrap_recovery(PARCEL, &key)).is_err());
    let small = vault.seal_small(Role::Cache, b"d", b"x");
    assert!(vault.open_small(Role::Record, b"d", &small).is_err());
    assert!(vault.unwrap(b"copy", &Wrapped(vec![1; 20])).is_err());
    assert_ne!(vault.wrap(b"copy", &[&key]), wrap, "each wrap has its own salt");
}

#[test]
fn a_code_opens_its_parcel_and_no_other_and_needs_the_pepper_and_the_host() {
    let folder = Folder::new();
    let vault = Vault::create(&folder.keys()).unwrap();
    let (key, salt) = (vault.new_key(), [9; 16]);
    let right = vault.code_key("482903157", &salt, PARCEL);
    let wrap = vault.wrap_with_code(&right, PARCEL, &key);
    assert_eq!(vault.unwrap_with_code(&right, PARCEL, &wrap).unwrap().expose_key(), key.expose_key());
    assert!(vault.unwrap_with_code(&vault.code_key("482903158", &salt, PARCEL), PARCEL, &wrap).is_err());
    assert!(vault.unwrap_with_code(&right, ParcelId([4; 16]), &wrap).is_err());
    for name in ["pepper", "host-secret"] {
        let path = folder.keys().join(format!("{name}.key"));
        let kept = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("wardpost-key 1 {name}\n{}=\n", "A".repeat(43))).unwrap();
        let changed = Vault::load(&folder.keys()).unwrap();
        assert_ne!(changed.code_key("482903157", &salt, PARCEL).expose_key(), right.expose_key(), "{name}");
        assert_ne!(changed.check_value(), vault.check_value(), "{name}");
        std::fs::write(&path, kept).unwrap();
    }
}

#[test]
fn the_key_folder_is_private_and_stays_so() {
    let folder = Folder::new();
    let keys = folder.keys();
    Vault::create(&keys).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&keys), 0o700);
    for entry in std::fs::read_dir(&keys).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "nothing unfinished is left");

    let chmod = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let master = keys.join("master.key");
    for (path, bad, good) in [(&keys, 0o750, 0o700), (&keys, 0o701, 0o700), (&master, 0o640, 0o600), (&master, 0o604, 0o600)] {
        chmod(path, bad);
        assert!(matches!(Vault::load(&keys), Err(Error::NotPrivate { .. })), "{bad:o}");
        chmod(path, good);
        Vault::load(&keys).unwrap();
    }
}

#[test]
fn links_damage_and_missing_files_are_refused_by_name() {
    let folder = Folder::new();
    let keys = folder.keys();
    Vault::create(&keys).unwrap();
    let (signing, aside) = (keys.join("signing.key"), folder.0.join("aside.key"));
    std::fs::rename(&signing, &aside).unwrap();
    assert!(matches!(Vault::load(&keys), Err(Error::Missing { path }) if path == signing));
    symlink(&aside, &signing).unwrap();
    assert!(matches!(Vault::load(&keys), Err(Error::Link { path }) if path == signing));
    std::fs::remove_file(&signing).unwrap();
    std::fs::copy(keys.join("master.key"), &signing).unwrap();
    assert!(matches!(Vault::load(&keys), Err(Error::Damaged { path }) if path == signing), "another key in its place");
    let whole = std::fs::read(&aside).unwrap();
    for cut in [0, 5, whole.len() - 2] {
        std::fs::write(&signing, &whole[..cut]).unwrap();
        assert!(matches!(Vault::load(&keys), Err(Error::Damaged { .. })), "cut to {cut}");
    }
    std::fs::write(&signing, whole).unwrap();
    Vault::load(&keys).unwrap();
    let link = folder.0.join("link");
    symlink(&keys, &link).unwrap();
    assert!(matches!(Vault::load(&link), Err(Error::Link { .. })));
}

#[test]
fn keys_are_made_only_when_there_is_neither_key_nor_data() {
    let folder = Folder::new();
    let keys = folder.keys();
    assert!(matches!(open_or_create(&keys, false), Err(Error::KeysMissing { .. })));
    assert!(!keys.exists());
    let first = open_or_create(&keys, true).unwrap();
    // A first start killed before the store named the keys is simply repeated.
    assert_eq!(open_or_create(&keys, true).unwrap().check_value(), first.check_value());
    first.mark_used().unwrap();
    first.mark_used().unwrap();
    assert!(matches!(open_or_create(&keys, true), Err(Error::DataMissing { .. })));
    assert_eq!(open_or_create(&keys, false).unwrap().check_value(), first.check_value());
}

#[test]
fn an_empty_private_folder_is_filled_and_an_open_one_refused() {
    let folder = Folder::new();
    let keys = folder.keys();
    std::fs::create_dir(&keys).unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(open_or_create(&keys, true), Err(Error::NotPrivate { .. })));
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o700)).unwrap();
    open_or_create(&keys, true).unwrap();
    Vault::load(&keys).unwrap();
}

#[test]
fn pseudonyms_have_a_fixed_form_and_keep_kinds_apart() {
    let vault = Vault::ephemeral();
    let text = vault.pseudonym("mailbox", "a@b.c").as_str().to_owned();
    assert_eq!(text.len(), 16);
    assert!(text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)), "{text}");
    assert_ne!(vault.pseudonym("mailbox", "a@b.c"), vault.pseudonym("message-id", "a@b.c"));
    assert_ne!(vault.pseudonym("ab", "c"), vault.pseudonym("a", "bc"));
    assert_ne!(Vault::ephemeral().pseudonym("mailbox", "a@b.c").as_str(), text);
    assert_eq!(pseudonym_of(&[0xff; 32]).as_str(), "7777777777777777");
}

#[test]
fn a_password_is_checked_against_its_peppered_verifier() {
    let vault = Vault::ephemeral();
    let verifier = vault.password_verifier(b"correct horse");
    assert!(verifier.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{verifier}");
    assert!(vault.check_password(&verifier, b"correct horse"));
    assert!(!vault.check_password(&verifier, b"correct horsf"));
    assert!(!Vault::ephemeral().check_password(&verifier, b"correct horse"), "another pepper");
    assert!(!vault.check_password("no PHC string", b"correct horse"));
}

#[test]
fn signatures_verify_under_the_published_key_and_dkim_keys_load() {
    let vault = Vault::ephemeral();
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, vault.verifying_key());
    public.verify(b"head", &vault.sign(b"head")).unwrap();
    assert!(public.verify(b"heae", &vault.sign(b"head")).is_err());
    Ed25519KeyPair::from_pkcs8(&generate_dkim_ed25519()).unwrap();
    let rsa = rsa::KeyPair::from_pkcs8(&generate_dkim_rsa()).unwrap();
    assert_eq!(rsa.public_modulus_len(), 256);
}
