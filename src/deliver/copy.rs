//! Copies between the store and memory: opened for one attempt, or made by us and sealed.

use std::sync::Arc;

use crate::mail::{BodyId, BodyKind, CopyId, Mailbox, Notify, ParcelId, QueueId, Timestamp};
use crate::policy::{Action, Class};
use crate::queue::{CopyFacts, CopyKind, CopyState, pack};
use crate::secret::{Key, OpenError, Plaintext};
use crate::store::{CopyRow, NewBody, NewCopy};
use crate::transport::{Level, Requirement};
use crate::vault::Vault;

/// A copy whose facts and header section can be read. The body stays sealed until a host takes it.
pub struct OpenCopy {
    pub facts: CopyFacts,
    pub header: Plaintext,
    body_key: Key,
}

impl OpenCopy {
    /// Opens what the queue's wrap gives: body key, then copy key, wrapped for the copy's id.
    ///
    /// # Errors
    /// [`OpenError`] if the vault or the row is another's, or a bit is changed.
    pub fn of(vault: &Vault, row: &CopyRow) -> Result<OpenCopy, OpenError> {
        let copy = &row.copy;
        let mut keys = vault.unwrap(copy.id.as_bytes(), &copy.wrap)?.into_iter();
        let (Some(body_key), Some(copy_key), None) = (keys.next(), keys.next(), keys.next()) else {
            return Err(OpenError::Format);
        };
        let facts = pack::open_facts(&copy_key, copy.id, copy.body, &copy.facts)?;
        let header = pack::open_header(&copy_key, copy.id, copy.body, &copy.header)?;
        Ok(OpenCopy { facts, header, body_key })
    }

    /// The key again, for one more opening of the body.
    #[must_use]
    pub fn body_key(&self) -> Key {
        Key::of(*self.body_key.expose_key())
    }
}

/// What a copy of our own making is about.
pub struct Internal<'a> {
    pub kind: CopyKind,
    pub to: &'a Mailbox,
    /// `None`: the null reverse-path, as reports have (RFC 3464, section 2).
    pub reverse_path: Option<&'a Mailbox>,
    /// The message that it speaks of.
    pub message: QueueId,
    pub message_id: &'a str,
    pub class: Class,
    pub parcel: Option<ParcelId>,
    /// The message that it speaks of asked for REQUIRETLS.
    pub require_tls: bool,
    pub at: Timestamp,
    pub next_at: Timestamp,
}

/// Seals a slip, notice or report into a copy of the queue, under keys of its own.
#[must_use]
pub fn seal_internal(vault: &Vault, internal: &Internal<'_>, header: &[u8], body: &[u8]) -> (NewBody, NewCopy) {
    let (id, body_id) = (CopyId::new(internal.at, vault.random()), BodyId(vault.random()));
    let (body_key, copy_key) = (vault.new_key(), vault.new_key());
    let facts = CopyFacts {
        kind: internal.kind,
        recipient: internal.to.to_string(),
        reverse_path: internal.reverse_path.map(Mailbox::to_string).unwrap_or_default(),
        principal: String::new(),
        report_to: None,
        slip_to: None,
        message_id: internal.message_id.to_owned(),
        subject: String::new(),
        body: BodyKind::SevenBit,
        smtputf8: internal.to.needs_smtputf8(),
        requirement: Requirement { level: Level::Verified, require_tls: internal.require_tls },
        action: Action::Deliver,
        class: internal.class,
        rules: Vec::new(),
        held_by: None,
        is_asked: false,
        notify: Notify { never: true, success: false, failure: false, delay: false },
        orcpt: None,
        ret: None,
        envid: None,
        parcel: internal.parcel.map(|parcel| parcel.to_string()),
    };
    let body_sealed = pack::seal_body(&body_key, vault.nonce(), body_id, body);
    let copy = NewCopy {
        id,
        message: internal.message,
        kind: internal.kind,
        body: body_id,
        recipient: vault.pseudonym("mailbox", &internal.to.folded()),
        message_id: vault.pseudonym("message-id", internal.message_id),
        domain: internal.to.domain().clone(),
        class: internal.class,
        header: pack::seal_header(&copy_key, vault.nonce(), id, body_id, header),
        facts: pack::seal_facts(&copy_key, vault.nonce(), id, body_id, &facts),
        wrap: vault.wrap(id.as_bytes(), &[&body_key, &copy_key]),
        state: CopyState::Queued { next_at: internal.next_at },
        received_at: internal.at,
        parcel: internal.parcel,
        size_bytes: (header.len() + 2 + body.len()) as u64,
    };
    (NewBody { id: body_id, sealed: Arc::new(body_sealed) }, copy)
}
