use super::letter::{Draft, Letter, safe_message_id};
use crate::mail::{Mailbox, Timestamp};

/// "Delivered after all": what the sender hears when a parcel nobody had read left by mail. Goes the way of slips.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub to: Mailbox,
    pub from: Mailbox,
    pub office: String,
    pub recipient: Mailbox,
    /// Message-ID of the original, for the sender's mail program to thread it.
    pub original_message_id: String,
    pub at: Timestamp,
    pub random: [u8; 16],
}

/// The letter.
#[must_use]
pub fn arrival(facts: &Arrival) -> Letter {
    let domain = facts.recipient.domain();
    let extra = safe_message_id(&facts.original_message_id).map(|id| ("In-Reply-To", id.to_owned()));
    Draft {
        from_name: &facts.office,
        from: &facts.from,
        to: &facts.to,
        subject: "Delivered after all",
        at: facts.at,
        random: facts.random,
        extra: extra.into_iter().collect(),
        paragraphs: vec![
            format!(
                "Your mail to {} waited in secure pickup and nobody had read it. The mail service of {domain} can now be \
                 reached with protection, so the message was delivered by e-mail after all.",
                facts.recipient
            ),
            "The copy in secure pickup is gone, and the code that you were given no longer works.".to_owned(),
            "You need not do anything.".to_owned(),
        ],
    }
    .finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_recipient_and_nothing_of_the_message_and_is_no_slip() {
        let mailbox = |text| Mailbox::parse(text).unwrap();
        let letter = arrival(&Arrival {
            to: mailbox("dr@practice.example"),
            from: mailbox("postmaster@practice.example"),
            office: "Maple Street Office".into(),
            recipient: mailbox("pat@patient.example"),
            original_message_id: "<1@practice.example>".into(),
            at: Timestamp(1_700_000_000_000),
            random: [7; 16],
        });
        let text = String::from_utf8(letter.bytes().expose().to_vec()).unwrap();
        assert!(text.contains("pat@patient.example") && text.contains("In-Reply-To: <1@practice.example>\r\n"), "{text}");
        assert!(!text.contains(super::super::SLIP_MARKER));
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
    }
}
