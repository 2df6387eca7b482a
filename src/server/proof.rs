//! Proof of one delivery, from the log of this gateway.

use super::control::{Answer, Parts, copies};
use crate::audit::{self, Event, ProofEntry, Record};
use crate::mail::{Mailbox, QueueId, Timestamp};
use crate::store::{self, LogEntry};

/// The signed line, or a sentence saying why there is none.
pub(super) async fn proof(parts: &Parts, message: &str, recipient: &str, now: Timestamp) -> Result<Answer, String> {
    let mailbox = Mailbox::parse(recipient.trim()).map_err(|error| error.to_string())?;
    let whose = parts.vault.pseudonym("mailbox", &mailbox.folded());
    let mut ids: Vec<QueueId> = copies(parts, message).await?.iter().map(|row| row.copy.message).collect();
    ids.extend(QueueId::parse(message.trim()));
    ids.sort();
    ids.dedup();
    let (mut found, mut last_seen) = (Vec::new(), None);
    for id in ids {
        let mut decided = None;
        for entry in parts.store.log_of(id).await.map_err(|error| error.to_string())? {
            if entry.pseudonyms.recipient.as_ref() != Some(&whose) {
                continue;
            }
            let record: Record = serde_json::from_str(&entry.chained)
                .map_err(|_| format!("entry {} of the log cannot be read; run `wardpost audit verify`", entry.seq))?;
            match record.event {
                Event::Decided => decided = Some(entry),
                Event::Delivered => found.push((id, decided.take(), entry)),
                _ => last_seen = Some(record),
            }
        }
    }
    let (id, decided, delivered) = match found.len() {
        1 => found.remove(0),
        0 => return Err(not_delivered(last_seen.as_ref(), &mailbox)),
        _ => {
            let ids: Vec<String> = found.iter().map(|(id, ..)| id.to_string()).collect();
            return Err(format!("more than one message fits; name one of {}", ids.join(", ")));
        }
    };
    let mut entries = Vec::new();
    for entry in decided.into_iter().chain([delivered]) {
        entries.push(proof_entry(parts, entry, &whose).await?);
    }
    let key = parts.vault.verifying_key();
    let statement = audit::statement(&mailbox.to_string(), entries, now, &key)
        .ok_or("the record of this delivery holds no proof; run `wardpost audit show`")?;
    // Who asked for it in clear is part of the record.
    let mut record = Record::of(Event::Resolved, now);
    record.message = Some(id.to_string());
    record.recipient = Some(whose);
    parts.store.append(vec![record]).await.map_err(|error| error.to_string())?;
    Ok(Answer::Text(audit::sign_proof(&statement, &key, |bytes| parts.vault.sign(bytes))))
}

fn not_delivered(last: Option<&Record>, recipient: &Mailbox) -> String {
    match last.map(|record| record.event) {
        None => format!("no record of this message for {recipient}; give its queue id or Message-ID, and the address as sent"),
        Some(Event::Bounced | Event::Refused) => format!("the message was not delivered to {recipient}: it was returned"),
        Some(Event::Delayed | Event::Decided) => format!("the message has not been delivered to {recipient} yet"),
        Some(_) => format!(
            "the message was not delivered to a mail server of {recipient}: it was kept in the portal; \
             `wardpost audit show` tells whether it was opened there"
        ),
    }
}

async fn proof_entry(parts: &Parts, entry: LogEntry, whose: &crate::secret::Pseudonym) -> Result<ProofEntry, String> {
    let previous = match entry.seq.checked_sub(1) {
        None | Some(0) => audit::BEFORE_THE_FIRST,
        Some(before) => match parts.store.log(before, 1).await.map_err(|error| error.to_string())?.first() {
            Some(found) if found.seq == before => found.hash,
            _ => return Err(format!("the log has no entry {before}; run `wardpost audit verify`")),
        },
    };
    Ok(ProofEntry {
        seq: entry.seq,
        previous_hash: hex(&previous),
        hash: hex(&entry.hash),
        recipient_salt: hex(&store::field_salt(&parts.vault, entry.seq, "recipient")),
        recipient_pseudonym: whose.clone(),
        record: entry.chained,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
