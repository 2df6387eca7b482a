//! Proof of one delivery, from the log of this gateway.

use super::control::{Answer, Parts, copies};
use crate::audit::{self, Event, ProofEntry, Record};
use crate::mail::{Mailbox, QueueId, Timestamp};
use crate::store::{self, LogEntry};
use crate::transport::Reason;

/// The signed line, or a sentence saying why there is none.
pub(super) async fn proof(parts: &Parts, message: &str, recipient: &str, now: Timestamp) -> Result<Answer, String> {
    let mailbox = Mailbox::parse(recipient.trim()).map_err(|error| error.to_string())?;
    let whose = parts.vault.pseudonym("mailbox", &mailbox.folded());
    let mut ids: Vec<QueueId> = copies(parts, message).await?.iter().map(|row| row.copy.message).collect();
    ids.extend(QueueId::parse(message.trim()));
    ids.sort();
    ids.dedup();
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for id in ids {
        let mut decided = None;
        for entry in parts.store.log_of(id).await.map_err(|error| error.to_string())? {
            if entry.pseudonyms.recipient.as_ref() != Some(&whose) {
                continue;
            }
            let record: Record = serde_json::from_str(&entry.chained)
                .map_err(|_| format!("entry {} of the log cannot be read; run `wardpost audit verify`", entry.seq))?;
            match record.event {
                Event::Decided => {
                    decided = Some(entry);
                    others.push(record);
                }
                Event::Delivered => found.push((id, decided.take(), entry)),
                _ => others.push(record),
            }
        }
    }
    let (id, decided, delivered) = match found.len() {
        1 => found.remove(0),
        0 => return Err(not_delivered(&others, &mailbox)),
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

/// Where the message is instead, from the records of it for one recipient, oldest first.
fn not_delivered(records: &[Record], recipient: &Mailbox) -> String {
    let last = |event: Event| records.iter().rfind(|record| record.event == event);
    let Some(newest) = records.last() else {
        return format!("no record of this message for {recipient}; give its queue id or Message-ID, and the address as sent");
    };
    if let Some(kept) = last(Event::Escrowed) {
        // What was tried since is the parcel's own copy; notices that are late are other copies.
        let later: Vec<&Record> = records
            .iter()
            .skip_while(|record| !std::ptr::eq(*record, kept))
            .filter(|record| record.event == Event::Delayed && record.copy == kept.copy)
            .collect();
        let mut out =
            format!("the message was not delivered to a mail server of {recipient}: it is kept in the portal since {}", kept.at);
        if let Some(tried) = later.last() {
            let (count, reason) = (later.len(), tried.reason.as_deref().unwrap_or("unknown"));
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            out.push_str(&format!("; sending it by mail after all was tried {times}, last at {} ({reason})", tried.at));
            if reason == Reason::Timeout.as_str() {
                out.push_str(", and the host did not say whether it has it");
            } else {
                out.push_str(", without success");
            }
        }
        out.push_str(match last(Event::Opened) {
            Some(_) => "; it was opened there: `wardpost audit show` tells when",
            None => "; `wardpost audit show` tells whether it was opened there",
        });
        return out;
    }
    if let Some(end) = records.iter().rfind(|record| matches!(record.event, Event::Bounced | Event::Refused)) {
        let reason = end.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        return format!("the message was not delivered to {recipient}: it was returned to the sender at {}{reason}", end.at);
    }
    match last(Event::Delayed) {
        Some(tried) => format!(
            "the message has not been delivered to {recipient} yet; the last try, at {}, ended with {}",
            tried.at,
            tried.reason.as_deref().unwrap_or("no reason")
        ),
        None => format!("the message has not been delivered to {recipient} yet; the newest record of it is of {}", newest.at),
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_instead_of_a_proof_is_where_the_message_is() {
        use Event::{Bounced, Decided, Delayed, Escrowed, NoticeSent, Opened, RecoveryOpened};
        /// When, what, of which copy, why.
        type Row = (i64, Event, &'static str, &'static str);
        /// Records, what is said of them, words that are not.
        type Case<'c> = (&'c [Row], &'c str, &'c [&'c str]);
        let record = |(secs, event, copy, reason): &Row| {
            let mut record = Record::of(*event, Timestamp::from_secs(*secs));
            record.copy = Some((*copy).to_owned());
            record.reason = Some((*reason).to_owned());
            record
        };
        let decided = (1, Decided, "m", "");
        let kept = (3, Escrowed, "m", "starttls-not-supported");
        let cases: &[Case<'_>] = &[
            (&[], "no record of this message", &["portal"]),
            (&[decided], "has not been delivered to p@a.example yet", &["portal", "returned"]),
            (&[decided, (2, Delayed, "m", "timeout")], "ended with timeout", &["portal", "returned"]),
            (&[decided, (2, Bounced, "m", "null-mx")], "returned to the sender at 1970-01-01T00:00:02.000Z (null-mx)", &["yet"]),
            (
                &[decided, (2, Delayed, "m", "dns-failed"), kept],
                "kept in the portal since 1970-01-01T00:00:03.000Z;",
                &["yet", "tried"],
            ),
            // Its notice is late; that says nothing of the message.
            (&[decided, kept, (4, Delayed, "n", "connect-failed")], "kept in the portal", &["yet", "tried"]),
            (
                &[decided, kept, (4, NoticeSent, "n", ""), (5, Opened, "m", "")],
                "it was opened there",
                &["yet", "tried", "whether"],
            ),
            (
                &[decided, kept, (4, RecoveryOpened, "m", ""), (5, Delayed, "m", "tlsa-invalid")],
                "tried once, last at 1970-01-01T00:00:05.000Z (tlsa-invalid), without success",
                &["yet"],
            ),
            (
                &[decided, kept, (5, Delayed, "m", "tlsa-invalid"), (6, Delayed, "m", "timeout")],
                "tried 2 times, last at 1970-01-01T00:00:06.000Z (timeout), and the host did not say whether it has it",
                &["yet", "success"],
            ),
        ];
        let recipient = Mailbox::parse("p@a.example").unwrap();
        for (records, expected, never) in cases {
            let records: Vec<Record> = records.iter().map(record).collect();
            let said = not_delivered(&records, &recipient);
            assert!(said.contains(expected), "{said}");
            for word in *never {
                assert!(!said.contains(word), "{word}: {said}");
            }
        }
    }
}
