//! How a parcel is sealed: three ciphertexts, each under a key of its own derived from the parcel's key and bound to
//! the parcel's id and its role, so that none can be put in place of another or into another parcel.

use serde::{Deserialize, Serialize};

use crate::mail::{Notify, ParcelId, Timestamp};
use crate::secret::{Context, Key, Nonce, OpenError, Plaintext, Role, Sealed, open, seal};
use crate::transport::{Reason, RefusalKind, Requirement};

/// What a parcel tells of itself once it is open; sealed under the parcel's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelFacts {
    pub recipient: String,
    /// Display name of the header From, decoded.
    pub sender_name: Option<String>,
    /// Address of the header From.
    pub sender: String,
    pub subject: String,
    /// The Message-ID field's value, brackets included.
    pub message_id: String,
    /// As [`super::Number`] prints it.
    pub number: String,
    /// Where a slip about this parcel may go: the bound address of the submitter. `None`: nobody can be told.
    pub slip_to: Option<String>,
    pub received_at: Timestamp,
    /// Why it is here; `None` when the policy asked for the portal.
    pub kind: Option<RefusalKind>,
    pub reason: Option<Reason>,
    /// What it takes to send it by mail after all; `None`: it stays here.
    #[serde(default)]
    pub later: Option<Later>,
}

/// What a message needs on its way that its content does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// As it goes into MAIL FROM; empty for the null reverse-path.
    pub reverse_path: String,
    pub smtputf8: bool,
    pub requirement: Requirement,
    pub notify: Notify,
    pub orcpt: Option<String>,
}

/// What goes into the store for one parcel.
#[derive(Clone, Debug)]
pub struct SealedParcel {
    pub header: Sealed,
    pub body: Sealed,
    pub facts: Sealed,
}

/// Seals header section, body and facts under `key`, which must be fresh: made for this parcel and never used before.
#[must_use]
pub fn seal_parcel(key: &Key, nonces: [Nonce; 3], id: ParcelId, header: &[u8], body: &[u8], facts: &ParcelFacts) -> SealedParcel {
    let [for_header, for_body, for_facts] = nonces;
    // Strings, numbers and closed enums only: serialising cannot fail.
    let json = Plaintext::new(serde_json::to_vec(facts).unwrap_or_default());
    SealedParcel {
        header: seal(&key_for(key, id, Role::ParcelHeader), for_header, context(&id, Role::ParcelHeader), header),
        body: seal(&key_for(key, id, Role::ParcelBody), for_body, context(&id, Role::ParcelBody), body),
        facts: seal(&key_for(key, id, Role::ParcelFacts), for_facts, context(&id, Role::ParcelFacts), json.expose()),
    }
}

/// # Errors
/// [`OpenError`] if it is not the header section that was sealed for this parcel under this key.
pub fn open_header(key: &Key, id: ParcelId, sealed: &Sealed) -> Result<Plaintext, OpenError> {
    open(&key_for(key, id, Role::ParcelHeader), context(&id, Role::ParcelHeader), &sealed.0)
}

/// # Errors
/// As [`open_header`], for the body.
pub fn open_body(key: &Key, id: ParcelId, sealed: &Sealed) -> Result<Plaintext, OpenError> {
    open(&key_for(key, id, Role::ParcelBody), context(&id, Role::ParcelBody), &sealed.0)
}

/// # Errors
/// As [`open_header`]; [`OpenError::Format`] if the facts are of a version this program does not read.
pub fn open_facts(key: &Key, id: ParcelId, sealed: &Sealed) -> Result<ParcelFacts, OpenError> {
    let json = open(&key_for(key, id, Role::ParcelFacts), context(&id, Role::ParcelFacts), &sealed.0)?;
    serde_json::from_slice(json.expose()).map_err(|_| OpenError::Format)
}

/// One key for each ciphertext: the parcel's own key never seals anything itself.
fn key_for(key: &Key, id: ParcelId, role: Role) -> Key {
    let purpose = match role {
        Role::ParcelHeader => "parcel header section",
        Role::ParcelBody => "parcel body",
        _ => "parcel facts",
    };
    key.derive(id.as_bytes(), purpose)
}

fn context(id: &ParcelId, role: Role) -> Context<'_> {
    Context { role, id: id.as_bytes() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn facts() -> ParcelFacts {
        ParcelFacts {
            recipient: "pat@patient.example".into(),
            sender_name: Some("Dr. Grün".into()),
            sender: "gruen@practice.example".into(),
            subject: "Your results".into(),
            message_id: "<1@practice.example>".into(),
            number: "R4TM-9KQ2".into(),
            slip_to: Some("gruen@practice.example".into()),
            received_at: Timestamp(1_700_000_000_000),
            kind: Some(RefusalKind::CannotEncrypt),
            reason: Some(Reason::StarttlsNotSupported),
            later: Some(Later {
                reverse_path: "gruen@practice.example".into(),
                smtputf8: false,
                requirement: Requirement { level: crate::transport::Level::Verified, require_tls: false },
                notify: Notify::default(),
                orcpt: None,
            }),
        }
    }

    #[test]
    fn a_sealed_parcel_opens_with_its_key_and_id_only() {
        let (key, id) = (Key::of([3; 32]), ParcelId([4; 16]));
        let nonces = [Nonce([1; 7]), Nonce([2; 7]), Nonce([3; 7])];
        let sealed = seal_parcel(&key, nonces, id, b"Subject: x\r\n", b"body", &facts());
        assert_eq!(open_header(&key, id, &sealed.header).unwrap().expose(), b"Subject: x\r\n");
        assert_eq!(open_body(&key, id, &sealed.body).unwrap().expose(), b"body");
        assert_eq!(open_facts(&key, id, &sealed.facts).unwrap(), facts());
        assert!(open_body(&Key::of([5; 32]), id, &sealed.body).is_err());
        assert!(open_body(&key, ParcelId([5; 16]), &sealed.body).is_err());
        assert!(open_body(&key, id, &sealed.header).is_err());
        assert!(open_header(&key, id, &sealed.facts).is_err());
        assert!(!sealed.facts.0.windows(7).any(|window| window == b"results"));
    }
}
