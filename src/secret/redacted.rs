/// A stable stand-in for an address or name: a keyed hash that only the holder of the vault can recompute.
///
/// Made by `vault::Vault::pseudonym`. Two mentions of one mailbox carry the same pseudonym, so a log can be
/// followed without naming anybody.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Pseudonym(String);

impl Pseudonym {
    /// Wraps an already computed pseudonym (16 lower-case base32 characters).
    #[must_use]
    pub fn of(text: String) -> Pseudonym {
        Pseudonym(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pseudonym({})", self.0)
    }
}
