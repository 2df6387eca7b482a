use serde::{Deserialize, Serialize};

/// Levels of proof for the way out, from weak to strong. Two demands combine by `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// TLS 1.2 or later, peer not authenticated.
    Encrypted,
    /// And a valid certificate for the MX host name.
    Verified,
    /// And a next hop that an attacker on the path cannot swap: DANE, MTA-STS in enforce, or a pin.
    Authenticated,
}

impl Level {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Encrypted => "encrypted",
            Level::Verified => "verified",
            Level::Authenticated => "authenticated",
        }
    }
}

/// Least proof demanded for one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    pub level: Level,
    /// REQUIRETLS (RFC 8689) was asked for by the client.
    pub require_tls: bool,
}
