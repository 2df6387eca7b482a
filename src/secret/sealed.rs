//! AES-256-GCM in the STREAM construction: 64 KiB chunks, a counter and a last-chunk flag in the nonce, and
//! the purpose of the bytes as associated data, so that no chunk can be moved, dropped or passed off as another's.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as GcmNonce, UnboundKey};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use super::Plaintext;

/// Readable bytes in one chunk. Each chunk grows by a 16-byte tag when sealed.
pub const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
const PREFIX_BYTES: usize = 7;
const FORMAT: u8 = 1;
/// Format byte and nonce prefix before the first chunk.
const HEAD_BYTES: usize = 1 + PREFIX_BYTES;

/// A 256-bit key, wiped on drop. Seals exactly one ciphertext: derive another for the next.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    #[must_use]
    pub fn of(bytes: [u8; 32]) -> Key {
        Key(Zeroizing::new(bytes))
    }

    /// A key for one purpose, by HKDF-SHA-256 (RFC 5869) from this one.
    #[must_use]
    pub fn derive(&self, salt: &[u8], purpose: &str) -> Key {
        let mut out = [0u8; 32];
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&self.0[..]);
        let info = [purpose.as_bytes()];
        // A 32-byte output is always within HKDF's limit of 255 blocks, so neither step can fail.
        if let Ok(okm) = prk.expand(&info, hkdf::HKDF_SHA256) {
            let filled = okm.fill(&mut out);
            assert!(filled.is_ok(), "HKDF fills 32 bytes");
        } else {
            unreachable!("HKDF expands to 32 bytes");
        }
        Key::of(out)
    }

    /// The raw key, for wrapping it under another. Listed in `tests/it/tidy.rs` like `expose`.
    #[must_use]
    pub fn expose_key(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Seven random bytes that open every ciphertext; drawn anew for each.
#[derive(Clone, Copy)]
pub struct Nonce(pub [u8; PREFIX_BYTES]);

/// What sealed bytes are for. Bound into the ciphertext, so that a header section never opens as a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Body,
    Header,
    Facts,
    Wrap,
    ParcelBody,
    ParcelHeader,
    ParcelFacts,
    Slip,
    Record,
    Cache,
    Patients,
    Authority,
}

impl Role {
    fn tag(self) -> u8 {
        match self {
            Role::Body => 1,
            Role::Header => 2,
            Role::Facts => 3,
            Role::Wrap => 4,
            Role::ParcelBody => 5,
            Role::ParcelHeader => 6,
            Role::ParcelFacts => 7,
            Role::Slip => 8,
            Role::Record => 9,
            Role::Cache => 10,
            Role::Patients => 20,
            Role::Authority => 11,
        }
    }
}

/// Role and id that a ciphertext belongs to (associated data: format version, role, id).
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub role: Role,
    pub id: &'a [u8],
}

impl Context<'_> {
    fn associated(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + self.id.len());
        out.push(FORMAT);
        out.push(self.role.tag());
        out.extend_from_slice(self.id);
        out
    }
}

/// Ciphertext that may be written to disk: format byte, nonce prefix, chunks with their tags.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// One or more keys wrapped under a key derived from the vault's master key with a salt of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrapped(pub Vec<u8>);

impl std::fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wrapped({} bytes)", self.0.len())
    }
}

/// Why sealed bytes did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the sealed bytes are of an unknown format or too short")]
    Format,
    #[error("the sealed bytes were changed, cut, or belong to another key or purpose")]
    NotAuthentic,
}

/// Seals `plain` under `key`. The key must not have sealed anything before.
#[must_use]
pub fn seal(key: &Key, nonce: Nonce, context: Context<'_>, plain: &[u8]) -> Sealed {
    let cipher = cipher(key);
    let associated = context.associated();
    let chunks = plain.len().div_ceil(CHUNK_BYTES).max(1);
    let mut out = Vec::with_capacity(HEAD_BYTES + plain.len() + chunks * TAG_BYTES);
    out.push(FORMAT);
    out.extend_from_slice(&nonce.0);
    for index in 0..chunks {
        let from = index * CHUNK_BYTES;
        let to = plain.len().min(from + CHUNK_BYTES);
        let start = out.len();
        out.extend_from_slice(&plain[from..to]);
        let n = chunk_nonce(nonce, index as u32, index + 1 == chunks);
        let tag = cipher.seal_in_place_separate_tag(n, Aad::from(&associated), &mut out[start..]);
        match tag {
            Ok(tag) => out.extend_from_slice(tag.as_ref()),
            // AES-GCM refuses only inputs of 64 GiB; a chunk is 64 KiB.
            Err(_) => unreachable!("a chunk is within the cipher's limit"),
        }
    }
    Sealed(out)
}

/// Opens the whole of `sealed`.
///
/// # Errors
/// [`OpenError`] if a single bit differs, a chunk is missing or moved, or key or context are others'.
pub fn open(key: &Key, context: Context<'_>, sealed: &[u8]) -> Result<Plaintext, OpenError> {
    let mut out = Vec::with_capacity(sealed.len());
    open_stream(key, context, sealed, |chunk| out.extend_from_slice(chunk))?;
    Ok(Plaintext::new(out))
}

/// Opens `sealed` chunk by chunk; `each` sees at most [`CHUNK_BYTES`] at a time, in order.
///
/// Chunks are authentic when `each` sees them; that none is missing at the end is known only on `Ok`.
///
/// # Errors
/// As [`open`].
pub fn open_stream(key: &Key, context: Context<'_>, sealed: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), OpenError> {
    let (head, mut rest) = sealed.split_at_checked(HEAD_BYTES).ok_or(OpenError::Format)?;
    if head[0] != FORMAT || rest.len() < TAG_BYTES {
        return Err(OpenError::Format);
    }
    let mut prefix = [0u8; PREFIX_BYTES];
    prefix.copy_from_slice(&head[1..]);
    let cipher = cipher(key);
    let associated = context.associated();
    let mut buffer = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
    let mut index = 0u32;
    loop {
        let take = rest.len().min(CHUNK_BYTES + TAG_BYTES);
        let (chunk, after) = rest.split_at(take);
        if chunk.len() < TAG_BYTES {
            return Err(OpenError::NotAuthentic);
        }
        buffer.clear();
        buffer.extend_from_slice(chunk);
        let n = chunk_nonce(Nonce(prefix), index, after.is_empty());
        let plain = cipher.open_in_place(n, Aad::from(&associated), &mut buffer).map_err(|_| OpenError::NotAuthentic)?;
        each(plain);
        if after.is_empty() {
            return Ok(());
        }
        rest = after;
        index = index.checked_add(1).ok_or(OpenError::Format)?;
    }
}

fn cipher(key: &Key) -> LessSafeKey {
    match UnboundKey::new(&AES_256_GCM, &key.0[..]) {
        Ok(key) => LessSafeKey::new(key),
        Err(_) => unreachable!("the key has the length of AES-256"),
    }
}

fn chunk_nonce(prefix: Nonce, index: u32, last: bool) -> GcmNonce {
    let mut bytes = [0u8; 12];
    bytes[..PREFIX_BYTES].copy_from_slice(&prefix.0);
    bytes[PREFIX_BYTES..11].copy_from_slice(&index.to_be_bytes());
    bytes[11] = u8::from(last);
    GcmNonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::of([7; 32])
    }
    const BODY: Context<'static> = Context { role: Role::Body, id: b"id" };

    #[test]
    fn what_was_sealed_opens_at_every_size_around_a_chunk() {
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let sealed = seal(&key(), Nonce([1; 7]), BODY, &plain);
            let opened = open(&key(), BODY, &sealed.0).unwrap();
            assert_eq!(opened.expose(), &plain[..], "{size} bytes");
        }
    }

    #[test]
    fn a_changed_cut_or_reordered_ciphertext_does_not_open() {
        let plain = vec![9u8; 2 * CHUNK_BYTES + 10];
        let sealed = seal(&key(), Nonce([1; 7]), BODY, &plain).0;
        for at in [0, 1, 8, 100, CHUNK_BYTES + 20, sealed.len() - 1] {
            let mut copy = sealed.clone();
            copy[at] ^= 1;
            assert!(open(&key(), BODY, &copy).is_err(), "bit at {at}");
        }
        for keep in [0, 7, 8, 20, 8 + CHUNK_BYTES + 16, sealed.len() - 1] {
            assert!(open(&key(), BODY, &sealed[..keep]).is_err(), "cut to {keep}");
        }
        let mut swapped = sealed[..8].to_vec();
        let chunk = CHUNK_BYTES + 16;
        swapped.extend_from_slice(&sealed[8 + chunk..8 + 2 * chunk]);
        swapped.extend_from_slice(&sealed[8..8 + chunk]);
        swapped.extend_from_slice(&sealed[8 + 2 * chunk..]);
        assert!(open(&key(), BODY, &swapped).is_err());
    }

    #[test]
    fn a_header_never_opens_as_a_body_nor_for_another_id() {
        let sealed = seal(&key(), Nonce([1; 7]), Context { role: Role::Header, id: b"id" }, b"x");
        assert!(open(&key(), BODY, &sealed.0).is_err());
        let sealed = seal(&key(), Nonce([1; 7]), Context { role: Role::Body, id: b"other" }, b"x");
        assert!(open(&key(), BODY, &sealed.0).is_err());
        assert!(open(&Key::of([8; 32]), Context { role: Role::Body, id: b"other" }, &sealed.0).is_err());
    }

    #[test]
    fn derived_keys_differ_by_salt_and_purpose() {
        let a = key().derive(b"s", "a");
        assert_ne!(a.expose_key(), key().derive(b"s", "b").expose_key());
        assert_ne!(a.expose_key(), key().derive(b"t", "a").expose_key());
        assert_eq!(a.expose_key(), key().derive(b"s", "a").expose_key());
    }
}
