use zeroize::Zeroizing;

/// Message bytes a person could read. Wiped on drop; prints only its size.
///
/// No `Clone`, no `Display`, no `Deref`, no serde: leaving this type is always spelled `expose`.
/// Wiping is hygiene and no promise: `docs/TRUST.md` names the copies that TLS and the allocator make.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes the bytes over; the caller keeps no copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Plaintext {
        Plaintext(Zeroizing::new(bytes))
    }

    /// The readable bytes. Each place that spells this is listed in `tests/it/tidy.rs`.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_the_size_and_nothing_else() {
        let secret = Plaintext::new(b"Subject: your biopsy".to_vec());
        assert_eq!(format!("{secret:?}"), "Plaintext(20 bytes)");
    }
}
