use std::collections::HashSet;

use super::{Field, Header, Message, NamedMailbox, compose};
use crate::mail::Mailbox;

/// Who reads this copy: one recipient, and the group whose members may see each other.
#[derive(Clone, Copy)]
pub struct Audience<'a> {
    pub recipient: &'a Mailbox,
    /// Members of a configured group (care team, own domains) the recipient belongs to.
    pub group: Option<&'a [Mailbox]>,
}

/// What the caller knows: the clock, keys and addresses of the house are not here.
#[derive(Clone, Copy)]
pub struct RewriteFacts<'a> {
    pub audience: Audience<'a>,
    /// Every recipient of the envelope; for the last look ([`super::LastLook`]), the rewrite itself names nobody of them.
    pub all_recipients: &'a [Mailbox],
    /// Whether replies and receipts may go to this address.
    pub own_addresses: &'a dyn Fn(&Mailbox) -> bool,
    /// Body of our Received field: without `for` and without internal names.
    pub received: &'a str,
    /// Value of our keyed hop field, by which we know our own mail again.
    pub hop: &'a str,
    /// Date and Message-ID (with angle brackets) for a message that came without.
    pub date: &'a str,
    pub message_id: &'a str,
}

/// One recipient's header section.
#[derive(Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// Up to and with the line end of the last field; the empty line is not in it.
    pub header: Vec<u8>,
    /// Fields of the original that do not leave.
    pub dropped: usize,
}

impl std::fmt::Debug for Rewritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rewritten({} bytes, {} dropped)", self.header.len(), self.dropped)
    }
}

/// The header section breaks RFC 5322 in a way that could hide content or recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header section cannot be rewritten safely: {what}")]
pub struct RewriteRefusal {
    /// In words for the peer.
    pub what: &'static str,
}

/// Name of the field by which a gateway finds its own mail coming back.
pub const HOP_FIELD: &str = "X-Wardpost-Hop";

/// What becomes of a field of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    /// Leaves; a display name in it that holds an address does not.
    KeepNamed,
    /// RFC 5322, section 3.6, allows one; a reader may take any, so only the first leaves.
    KeepFirst,
    /// Leaves if every mailbox in it is our own.
    KeepIfOwn,
    /// Written anew.
    Recipients,
    Drop,
}

/// An allow-list: what is not known to be harmless does not leave. Many mailers repeat recipients in fields of
/// their own (Resent-*, X-Original-To, Delivered-To, Thread-*, X-MS-Exchange-*).
fn fate(name: &str) -> Fate {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "from" | "sender" => Fate::KeepNamed,
        "subject" | "mime-version" => Fate::Keep,
        "date" | "message-id" | "in-reply-to" | "references" | "auto-submitted" | "importance" | "list-unsubscribe" => {
            Fate::KeepFirst
        }
        "reply-to" | "disposition-notification-to" => Fate::KeepIfOwn,
        "to" | "cc" => Fate::Recipients,
        other if other.starts_with("content-") => Fate::Keep,
        _ => Fate::Drop,
    }
}

/// Makes one recipient's header section from an allow-list of the original's fields. Kept fields are kept byte for
/// byte, but for display names that hold an address; the body is not looked at. Bcc never leaves, Cc only inside a group.
///
/// # Errors
/// [`RewriteRefusal`] where readers could disagree on which field counts.
pub fn rewrite(message: &Message, facts: &RewriteFacts<'_>) -> Result<Rewritten, RewriteRefusal> {
    if let Some(what) = message.problems().iter().find_map(super::Problem::refuses) {
        return Err(RewriteRefusal { what });
    }
    let header = message.header();
    let mut out = Rewritten { header: Vec::new(), dropped: 0 };
    compose::field(&mut out.header, "Received", facts.received);
    compose::field(&mut out.header, HOP_FIELD, facts.hop);
    let mut recipients = Some(recipient_fields(header, facts));
    let mut kept: HashSet<String> = HashSet::new();
    for field in header.fields() {
        let is_kept = match fate(&field.name) {
            Fate::Keep => true,
            Fate::KeepNamed if claims_an_address(field) => {
                write_without_claims(&mut out.header, field);
                continue;
            }
            Fate::KeepNamed => true,
            Fate::KeepFirst => kept.insert(field.name.to_ascii_lowercase()),
            Fate::KeepIfOwn => {
                let list = field.addresses();
                let is_own = list.broken == 0
                    && !list.mailboxes.is_empty()
                    && list.mailboxes.iter().all(|named| (facts.own_addresses)(&named.mailbox));
                let is_kept = is_own && kept.insert(field.name.to_ascii_lowercase());
                if is_kept && claims_an_address(field) {
                    write_without_claims(&mut out.header, field);
                    continue;
                }
                is_kept
            }
            Fate::Recipients => {
                out.header.extend(recipients.take().unwrap_or_default());
                continue;
            }
            Fate::Drop => false,
        };
        if is_kept {
            out.header.extend_from_slice(&field.raw);
            if !field.raw.ends_with(b"\n") {
                out.header.extend_from_slice(b"\r\n");
            }
        } else {
            out.dropped += 1;
        }
    }
    out.header.extend(recipients.take().unwrap_or_default());
    if !kept.contains("date") {
        compose::field(&mut out.header, "Date", facts.date);
    }
    if !kept.contains("message-id") {
        compose::field(&mut out.header, "Message-ID", facts.message_id);
    }
    Ok(out)
}

/// "The Director <director@clinic.example>" as the name of somebody else: many programs show the name alone.
fn claims_an_address(field: &Field) -> bool {
    field.mailboxes().iter().any(|named| named.name.as_deref().is_some_and(compose::holds_address))
}

/// The field's mailboxes, names that hold an address left out.
fn write_without_claims(out: &mut Vec<u8>, field: &Field) {
    let entries: Vec<String> = field.mailboxes().iter().map(|n| compose::mailbox(n.name.as_deref(), &n.mailbox)).collect();
    compose::field(out, &field.name, &entries.join(", "));
}

/// To, and Cc inside a group, as this recipient may see them.
fn recipient_fields(header: &Header, facts: &RewriteFacts<'_>) -> Vec<u8> {
    let to = header.first("To").map(super::Field::mailboxes).unwrap_or_default();
    let cc = header.first("Cc").map(super::Field::mailboxes).unwrap_or_default();
    let mut out = Vec::new();
    let own = facts.audience.recipient.folded();
    if let Some(group) = facts.audience.group {
        let members: HashSet<String> = group.iter().map(Mailbox::folded).collect();
        for (name, list) in [("To", &to), ("Cc", &cc)] {
            let shown: Vec<&NamedMailbox> = list.iter().filter(|named| members.contains(&named.mailbox.folded())).collect();
            if !shown.is_empty() {
                let entries: Vec<String> = shown.iter().map(|n| compose::mailbox(n.name.as_deref(), &n.mailbox)).collect();
                compose::field(&mut out, name, &entries.join(", "));
            }
        }
    }
    if out.is_empty() {
        // The address as the original wrote it, with its display name; for a blind copy as the envelope has it.
        let named = to.iter().chain(&cc).find(|named| named.mailbox.folded() == own);
        let entry = match named {
            Some(named) => compose::mailbox(named.name.as_deref(), &named.mailbox),
            None => facts.audience.recipient.to_string(),
        };
        compose::field(&mut out, "To", &entry);
    }
    out
}
