//! Who may send: accounts, and client certificates of the built-in authority. Each is made and taken away with a record
//! that stands before the change does.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use super::control::{Answer, Parts, seal_fields, text};
use crate::audit;
use crate::mail::{AddressPattern, Mailbox, Timestamp};
use crate::secret::{Role, Sealed};
use crate::smtp_in::{AUTHORITY_NAME, Issued, Shown};
use crate::store::UserRow;
use crate::vault::Vault;

/// Longest life of a client certificate: somebody has to look at it now and then.
const CERT_DAYS_MAX: u32 = 825;
/// The authority's own certificate; only ever shown, never checked.
const AUTHORITY_DAYS: i64 = 7300;
/// Its certificate and its sealed key, beside the other keys.
const AUTHORITY_CERTIFICATE: &str = "client-ca.pem";
const AUTHORITY_KEY: &str = "client-ca.sealed";

// --- accounts -------------------------------------------------------------------------------------------------------

/// 160 random bits in words of eight characters: easy to type into a copier.
#[must_use]
pub(super) fn new_password(vault: &Vault) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes: [u8; 32] = vault.random();
    // 32 letters of 5 bits each.
    let letters: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    let mut out = String::new();
    for (i, letter) in letters.chars().enumerate() {
        if i > 0 && i % 8 == 0 {
            out.push('-');
        }
        out.push(letter);
    }
    out
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_name) {
        return Err(format!("the name of {what} has 1 to 64 letters, digits, or . _ @ + -"));
    }
    Ok(())
}

/// What it may send as, and where reports go.
fn check_addresses(
    name: &str,
    send_as: Vec<String>,
    bound_address: Option<String>,
) -> Result<(Vec<String>, Option<String>), String> {
    let send_as = if send_as.is_empty() && name.contains('@') { vec![name.to_owned()] } else { send_as };
    if send_as.is_empty() {
        return Err("say which addresses it may send as: --send-as user@domain or --send-as @domain".into());
    }
    for pattern in &send_as {
        AddressPattern::parse(pattern).map_err(|error| format!("--send-as {pattern}: {error}"))?;
    }
    let bound_address = bound_address.or_else(|| send_as.iter().find(|pattern| !pattern.starts_with('@')).cloned());
    if let Some(address) = &bound_address {
        Mailbox::parse(address).map_err(|error| format!("--bound-address: {error}"))?;
    }
    Ok((send_as, bound_address))
}

pub(super) async fn user_add(
    parts: &Parts,
    name: String,
    send_as: Vec<String>,
    bound_address: Option<String>,
    now: Timestamp,
) -> Result<Answer, String> {
    check_name("a user", &name)?;
    let (send_as, bound_address) = check_addresses(&name, send_as, bound_address)?;
    if parts.store.user(&name).await.map_err(text)?.is_some_and(|user| !user.is_first) {
        return Err(format!(
            "there is already a user `{name}`; revoke it to give it a new password, or give each device a name of its own"
        ));
    }
    let password = new_password(&parts.vault);
    let (vault, secret) = (parts.vault.clone(), password.clone());
    let verifier = tokio::task::spawn_blocking(move || vault.password_verifier(secret.as_bytes())).await.map_err(text)?;
    let user = UserRow {
        name: name.clone(),
        verifier,
        may_send_as: send_as,
        bound_address,
        is_first: false,
        created_at: now,
        last_used_at: None,
        last_peer: None,
    };
    grant(parts, user, "user", now).await?;
    Ok(Answer::Secret { label: format!("password of {name}, shown once"), secret: password })
}

pub(super) async fn user_list(parts: &Parts) -> Result<Answer, String> {
    let users = parts.store.users().await.map_err(text)?;
    let rows = users
        .iter()
        .filter(|user| Issued::name_of(user).is_none())
        .map(|user| {
            serde_json::json!({
                "name": user.name,
                "may_send_as": user.may_send_as,
                "bound_address": user.bound_address,
                "first_credential": user.is_first,
                "created_at": user.created_at.to_string(),
                "last_used_at": user.last_used_at.map(|at| at.to_string()),
                "last_peer": user.last_peer,
            })
        })
        .collect();
    Ok(Answer::Rows(rows))
}

pub(super) async fn user_revoke(parts: &Parts, name: &str, now: Timestamp) -> Result<Answer, String> {
    check_name("a user", name)?;
    match revoke(parts, name, "user", now).await? {
        true => Ok(Answer::Text(format!("{name} is revoked"))),
        false => Err(format!("there is no user `{name}`; `wardpost user list` shows all")),
    }
}

// --- client certificates --------------------------------------------------------------------------------------------

/// What a client certificate is to be.
pub(super) struct Wanted {
    pub name: String,
    pub send_as: Vec<String>,
    pub bound_address: Option<String>,
    pub days: u32,
    pub messages_per_hour: Option<u32>,
}

pub(super) async fn cert_issue(parts: &Parts, wanted: Wanted, now: Timestamp) -> Result<Answer, String> {
    let Wanted { name, send_as, bound_address, days, messages_per_hour } = wanted;
    check_name("a certificate", &name)?;
    if !(1..=CERT_DAYS_MAX).contains(&days) {
        return Err(format!("--days: a certificate lives 1 to {CERT_DAYS_MAX} days"));
    }
    if messages_per_hour == Some(0) {
        return Err("--messages-per-hour 0 would let nothing through".into());
    }
    let (send_as, bound_address) = check_addresses(&name, send_as, bound_address)?;
    let row_name = Issued::row_name(&name);
    if parts.store.user(&row_name).await.map_err(text)?.is_some() {
        return Err(format!(
            "there is already a certificate `{name}`; give the new one another name, and revoke the old one when the new one is in use"
        ));
    }
    let (vault, keys, named) = (parts.vault.clone(), parts.settings.keys.clone(), name.clone());
    let made = tokio::task::spawn_blocking(move || issue(&vault, &keys, &named, days, now)).await.map_err(text)??;
    let issued = Issued { sha256: made.shown.sha256, not_after_s: made.shown.not_after_s, messages_per_hour };
    let row = UserRow {
        name: row_name,
        verifier: issued.to_string(),
        may_send_as: send_as,
        bound_address,
        is_first: false,
        created_at: now,
        last_used_at: None,
        last_peer: None,
    };
    grant(parts, row, "certificate", now).await?;
    let until = Timestamp::from_secs(issued.not_after_s);
    let mut about = format!("valid until {until}; the key is nowhere else, and no second copy can be had");
    if made.is_first {
        about.push_str(
            "\nthis is the first one: reload the gateway (systemctl reload wardpost), so that its listeners ask for certificates",
        );
    }
    Ok(Answer::Files { files: vec![(format!("{name}.pem"), made.chain), (format!("{name}.key"), made.key)], about })
}

pub(super) async fn cert_list(parts: &Parts, now: Timestamp) -> Result<Answer, String> {
    let rows = parts.store.users().await.map_err(text)?;
    let rows = rows
        .iter()
        .filter_map(|row| {
            let (name, issued) = (Issued::name_of(row)?, Issued::parse(&row.verifier)?);
            let days = (issued.not_after_s - now.secs()).div_euclid(86_400);
            Some(serde_json::json!({
                "name": name,
                "may_send_as": row.may_send_as,
                "bound_address": row.bound_address,
                "messages_per_hour": issued.messages_per_hour,
                "created_at": row.created_at.to_string(),
                "valid_until": Timestamp::from_secs(issued.not_after_s).to_string(),
                "days_left": days,
                "last_used_at": row.last_used_at.map(|at| at.to_string()),
                "last_peer": row.last_peer,
            }))
        })
        .collect();
    Ok(Answer::Rows(rows))
}

pub(super) async fn cert_revoke(parts: &Parts, name: &str, now: Timestamp) -> Result<Answer, String> {
    match revoke(parts, &Issued::row_name(name), "certificate", now).await? {
        true => Ok(Answer::Text(format!("{name} is revoked"))),
        false => Err(format!("there is no certificate `{name}`; `wardpost certs list` shows all")),
    }
}

/// Whether any client certificate may come: then the listeners ask for them.
pub(super) fn has_authority(keys: &Path) -> bool {
    keys.join(AUTHORITY_CERTIFICATE).exists()
}

struct Made {
    chain: String,
    key: String,
    shown: Shown,
    is_first: bool,
}

fn issue(vault: &Vault, keys: &Path, name: &str, days: u32, now: Timestamp) -> Result<Made, String> {
    let is_first = !has_authority(keys);
    let (authority, certificate) = authority(vault, keys, now)?;
    let mut params = params(name, now, i64::from(days)).map_err(text)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(text)?;
    let made = params.signed_by(&key, &authority).map_err(text)?;
    let shown = Shown::of(made.der()).ok_or("the certificate that was just made cannot be read")?;
    Ok(Made { chain: format!("{}{certificate}", made.pem()), key: key.serialize_pem(), shown, is_first })
}

/// The authority and its certificate, made at the first use. Only its key is kept, sealed.
fn authority(vault: &Vault, keys: &Path, now: Timestamp) -> Result<(Issuer<'static, KeyPair>, String), String> {
    let (certificate_path, key_path) = (keys.join(AUTHORITY_CERTIFICATE), keys.join(AUTHORITY_KEY));
    let mut params = params(AUTHORITY_NAME, now, AUTHORITY_DAYS).map_err(text)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    if has_authority(keys) {
        let read = |path: &Path| std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
        let certificate = String::from_utf8(read(&certificate_path)?).map_err(text)?;
        let pkcs8 = vault.open_small(Role::Authority, AUTHORITY_NAME.as_bytes(), &Sealed(read(&key_path)?)).map_err(|_| {
            format!("{} does not open with these keys; restore it from the backup of the keys", key_path.display())
        })?;
        let key = KeyPair::try_from(pkcs8.expose()).map_err(text)?;
        return Ok((Issuer::new(params, key), certificate));
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(text)?;
    let certificate = params.self_signed(&key).map_err(text)?.pem();
    let pkcs8 = zeroize::Zeroizing::new(key.serialize_der());
    let sealed = vault.seal_small(Role::Authority, AUTHORITY_NAME.as_bytes(), &pkcs8);
    // The certificate last: it says that the key is there.
    for (path, bytes) in [(&key_path, &sealed.0[..]), (&certificate_path, certificate.as_bytes())] {
        write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok((Issuer::new(params, key), certificate))
}

fn params(name: &str, now: Timestamp, days: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Clocks of devices go wrong by minutes.
    let start = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(now.secs() - 3600).unwrap_or(0));
    params.not_before = start.into();
    params.not_after = (start + std::time::Duration::from_secs(u64::try_from(days * 86_400 + 3600).unwrap_or(0))).into();
    Ok(params)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

// --- both -----------------------------------------------------------------------------------------------------------

async fn grant(parts: &Parts, row: UserRow, what: &str, now: Timestamp) -> Result<(), String> {
    let fields = serde_json::json!({ "name": row.name, "may_send_as": row.may_send_as, "bound_address": row.bound_address });
    append(parts, audit::Event::AccessGranted, (&row.name, what), &fields, now).await?;
    parts.store.put_user(row).await.map_err(text)
}

async fn revoke(parts: &Parts, name: &str, what: &str, now: Timestamp) -> Result<bool, String> {
    if parts.store.user(name).await.map_err(text)?.is_none() {
        return Ok(false);
    }
    append(parts, audit::Event::AccessRevoked, (name, what), &serde_json::json!({ "name": name }), now).await?;
    parts.store.remove_user(name).await.map_err(text)
}

async fn append(
    parts: &Parts,
    event: audit::Event,
    (name, what): (&str, &str),
    fields: &serde_json::Value,
    now: Timestamp,
) -> Result<(), String> {
    let mut record = audit::Record::of(event, now);
    record.principal = Some(parts.vault.pseudonym("principal", name));
    record.action = Some(what.to_owned());
    record.sealed = Some(seal_fields(&parts.vault, "", fields));
    parts.store.append(vec![record]).await.map_err(text)
}

/// A credential for trying out, made at the very first start: as long as nobody ever was given or refused anything. It
/// dies with the first `user add`, and never comes back when all accounts are revoked.
pub(super) async fn first_credential(
    domains: &[String],
    store: &crate::store::Handle,
    vault: &Arc<Vault>,
    now: Timestamp,
) -> Result<Option<(String, String)>, super::Failure> {
    if !store.users().await?.is_empty() || !store.log(1, 1).await?.is_empty() {
        return Ok(None);
    }
    let password = new_password(vault);
    let (hasher, secret) = (vault.clone(), password.clone());
    let verifier = tokio::task::spawn_blocking(move || hasher.password_verifier(secret.as_bytes())).await?;
    let user = UserRow {
        name: FIRST_USER.into(),
        verifier,
        may_send_as: domains.iter().map(|domain| format!("@{domain}")).collect(),
        bound_address: None,
        is_first: true,
        created_at: now,
        last_used_at: None,
        last_peer: None,
    };
    store.put_user(user).await?;
    Ok(Some((FIRST_USER.into(), password)))
}

/// Name of the credential that a first start makes.
const FIRST_USER: &str = "first";
