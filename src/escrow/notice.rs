use super::letter::{Draft, Letter, one_line};
use super::{Number, long_date};
use crate::mail::{Mailbox, ParcelId, Timestamp};

/// "You have a message": the one letter that may go where content may not.
///
/// Its fields are closed. Nothing here can hold a subject, a sender, a file name or a Message-ID of the original, so
/// whoever reads every notice learns that the office has a message for this address, and nothing more.
#[derive(Clone, Debug)]
pub struct Notice {
    pub recipient: Mailbox,
    /// The neutral address that notices come from (`portal.notice_address`).
    pub from: Mailbox,
    /// Neutral name of the office: no specialty, no person.
    pub office: String,
    /// Host of the portal as people type it, with the port where it is not 443.
    pub host: String,
    /// The parcel, as it stands in the link: a locator and no secret.
    pub locator: ParcelId,
    pub number: Number,
    pub until: Timestamp,
    pub at: Timestamp,
    /// Fresh dice for the Message-ID.
    pub random: [u8; 16],
}

impl Notice {
    /// The link to the code page of this parcel.
    #[must_use]
    pub fn link(&self) -> String {
        format!("https://{}/m/{}", one_line(&self.host), self.locator)
    }

    /// The finished letter.
    #[must_use]
    pub fn letter(&self) -> Letter {
        let office = one_line(&self.office);
        let host = one_line(&self.host);
        Draft {
            from_name: &office,
            from: &self.from,
            to: &self.recipient,
            subject: &format!("You have a message from {office}"),
            at: self.at,
            random: self.random,
            extra: Vec::new(),
            paragraphs: vec![
                format!(
                    "{office} has a private message for you. We keep it on our own server instead of sending it by ordinary \
                     e-mail, so that it stays private."
                ),
                format!(
                    "1. Go to {host} - you can type this address yourself - and type the message number {}. Or use this link:",
                    self.number
                ),
                self.link(),
                "2. Enter the 9-digit code you got from the office (by phone, on paper or on your card).".to_owned(),
                "We never send the code by e-mail, and we never ask for your password or payment here.".to_owned(),
                "No code? Call the number on your appointment card.".to_owned(),
                format!("The message can be read until {}.", long_date(self.until)),
            ],
        }
        .finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice {
            recipient: Mailbox::parse("pat@patient.example").unwrap(),
            from: Mailbox::parse("notices@practice.example").unwrap(),
            office: "Maple Street Office".into(),
            host: "portal.practice.example".into(),
            locator: ParcelId([0; 16]),
            number: Number::parse("R4TM-9KQ2").unwrap(),
            until: Timestamp::from_secs(1_702_592_000),
            at: Timestamp::from_secs(1_700_000_000),
            random: [0xab; 16],
        }
    }

    #[test]
    fn a_notice_is_exactly_these_bytes() {
        let expected = "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
            From: \"Maple Street Office\" <notices@practice.example>\r\n\
            To: pat@patient.example\r\n\
            Message-ID: <abababababababababababababababab@practice.example>\r\n\
            Subject: You have a message from Maple Street Office\r\n\
            Auto-Submitted: auto-generated\r\n\
            MIME-Version: 1.0\r\n\
            Content-Type: text/plain; charset=us-ascii\r\n\
            Content-Transfer-Encoding: 7bit\r\n\
            \r\n\
            Maple Street Office has a private message for you. We keep it on our own\r\n\
            server instead of sending it by ordinary e-mail, so that it stays\r\n\
            private.\r\n\
            \r\n\
            1. Go to portal.practice.example - you can type this address yourself -\r\n\
            and type the message number R4TM-9KQ2. Or use this link:\r\n\
            \r\n\
            https://portal.practice.example/m/00000000000000000000000000\r\n\
            \r\n\
            2. Enter the 9-digit code you got from the office (by phone, on paper or\r\n\
            on your card).\r\n\
            \r\n\
            We never send the code by e-mail, and we never ask for your password or\r\n\
            payment here.\r\n\
            \r\n\
            No code? Call the number on your appointment card.\r\n\
            \r\n\
            The message can be read until 14 December 2023.\r\n";
        let bytes = notice().letter().bytes();
        assert_eq!(std::str::from_utf8(bytes.expose()).unwrap(), expected);
    }

    #[test]
    fn a_name_beyond_ascii_or_with_line_breaks_stays_in_its_field() {
        let mut notice = notice();
        notice.office =
            "Praxis Grün\r\nBcc: x@evil.example\u{202e} \"Straße\" und ein sehr langer Name, der gefaltet werden muss".into();
        let bytes = notice.letter().bytes();
        let text = std::str::from_utf8(bytes.expose()).unwrap();
        assert!(text.is_ascii());
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!header.to_lowercase().contains("\r\nbcc:"));
        assert!(header.contains("charset=utf-8") && header.contains("base64"));
        assert!(text.split("\r\n").all(|line| line.len() <= 78));
        assert!(!body.contains("\r\n\r\n"));
    }
}
