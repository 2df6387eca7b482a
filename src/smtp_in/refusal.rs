//! Everything a client reads when it is refused, in one place. The sentences are neutral: no rule, no path, nothing
//! the client sent; a reference where somebody can look it up.

use crate::mail::{AddressError, EnhancedCode, Reply};
use crate::pipeline::Refused;
use crate::smtp::{CommandError, ContentFault};

/// The reply to a message the gateway did not take.
#[must_use]
pub fn reply_for(refused: &Refused) -> Reply {
    let (code, enhanced, text) = match refused {
        Refused::Policy { message } => {
            let text = format!("This message needs approval by the practice (ref {message})");
            return Reply::new(550, EnhancedCode(5, 7, 1), text);
        }
        Refused::HeaderInvalid { what } => {
            return Reply::new(550, EnhancedCode(5, 6, 0), format!("The header section is not valid: {what}"));
        }
        Refused::FromNotAllowed => (550, EnhancedCode(5, 7, 1), "You may not send as the author named in From or Sender"),
        Refused::ForeignTenant => {
            (550, EnhancedCode(5, 7, 1), "This message does not show that it comes from a customer of this gateway")
        }
        Refused::RecipientInHeader => {
            (550, EnhancedCode(5, 7, 1), "Another recipient's address would be shown by the header section")
        }
        Refused::CodeInMail => {
            (550, EnhancedCode(5, 7, 1), "A pick-up code must not be sent by e-mail; please tell it by phone or in person")
        }
        Refused::Loop => (554, EnhancedCode(5, 4, 6), "This message came round in a loop"),
        Refused::NotReady => (451, EnhancedCode(4, 3, 2), "The gateway is starting; please try again"),
        Refused::Busy => (452, EnhancedCode(4, 3, 1), "Too many messages at once; please try again"),
        Refused::DiskFull => (452, EnhancedCode(4, 3, 1), "Not enough storage; please try again later"),
        Refused::StoreFailed => (451, EnhancedCode(4, 3, 0), "The message could not be kept; please try again"),
    };
    Reply::new(code, enhanced, text)
}

/// The reply to content that was read to its end and not kept.
pub(super) fn reply_to_content(fault: ContentFault) -> Reply {
    let (code, enhanced, text) = match fault {
        ContentFault::BareLineEnd => (550, EnhancedCode(5, 6, 11), "The message has a CR or LF alone, or NUL"),
        ContentFault::LineTooLong => (550, EnhancedCode(5, 6, 0), "The message has a line longer than 64 KiB"),
        ContentFault::TooLarge => (552, EnhancedCode(5, 3, 4), "The message is too large"),
        ContentFault::NoMemory => return reply_for(&Refused::Busy),
    };
    Reply::new(code, enhanced, text)
}

/// The reply to a line that is no command.
pub(super) fn reply_to_line(error: CommandError) -> Reply {
    let (code, enhanced, text) = match error {
        CommandError::BareLineEnd => (500, EnhancedCode(5, 5, 2), "Lines end with CRLF and have no other CR, LF or NUL"),
        CommandError::TooLong => (500, EnhancedCode(5, 5, 2), "Line too long"),
        CommandError::Unknown => (500, EnhancedCode(5, 5, 1), "Command not recognised"),
        CommandError::Http => (554, EnhancedCode(5, 5, 1), "This is a mail server"),
        CommandError::Argument => (501, EnhancedCode(5, 5, 4), "Syntax error in the arguments"),
        CommandError::Sender(AddressError::TrailingDot) => (501, EnhancedCode(5, 1, 7), "No dot may end the sender's address"),
        CommandError::Recipient(AddressError::TrailingDot) => {
            (501, EnhancedCode(5, 1, 3), "No dot may end the recipient's address")
        }
        CommandError::Sender(AddressError::Length) => (501, EnhancedCode(5, 1, 7), "The sender's address is too long"),
        CommandError::Recipient(AddressError::Length) => (501, EnhancedCode(5, 1, 3), "The recipient's address is too long"),
        CommandError::Sender(_) => (501, EnhancedCode(5, 1, 7), "The sender's address is not valid"),
        CommandError::Recipient(AddressError::SourceRoute | AddressError::AddressLiteral) => {
            (553, EnhancedCode(5, 1, 3), "Routes and address literals are not accepted")
        }
        CommandError::Recipient(_) => (501, EnhancedCode(5, 1, 3), "The recipient's address is not valid"),
        CommandError::Route => (553, EnhancedCode(5, 1, 3), "Routes through other hosts are not accepted"),
        CommandError::UnknownParameter => (555, EnhancedCode(5, 5, 4), "Parameter not recognised"),
        CommandError::ParameterValue => (501, EnhancedCode(5, 5, 4), "The value of a parameter is not valid"),
        CommandError::ChunkUnframed => (501, EnhancedCode(5, 5, 4), "The size of the chunk is not valid"),
    };
    Reply::new(code, enhanced, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::QueueId;

    #[test]
    fn codes_say_whether_trying_again_helps() {
        for (refused, code, enhanced) in [
            (Refused::Policy { message: QueueId([7; 10]) }, 550, EnhancedCode(5, 7, 1)),
            (Refused::FromNotAllowed, 550, EnhancedCode(5, 7, 1)),
            (Refused::ForeignTenant, 550, EnhancedCode(5, 7, 1)),
            (Refused::HeaderInvalid { what: "two From fields" }, 550, EnhancedCode(5, 6, 0)),
            (Refused::RecipientInHeader, 550, EnhancedCode(5, 7, 1)),
            (Refused::CodeInMail, 550, EnhancedCode(5, 7, 1)),
            (Refused::Loop, 554, EnhancedCode(5, 4, 6)),
            (Refused::NotReady, 451, EnhancedCode(4, 3, 2)),
            (Refused::Busy, 452, EnhancedCode(4, 3, 1)),
            (Refused::DiskFull, 452, EnhancedCode(4, 3, 1)),
            (Refused::StoreFailed, 451, EnhancedCode(4, 3, 0)),
        ] {
            let reply = reply_for(&refused);
            assert_eq!((reply.code, reply.enhanced), (code, Some(enhanced)), "{refused:?}");
        }
        let reply = reply_for(&Refused::Policy { message: QueueId([7; 10]) });
        assert!(reply.lines.concat().contains(&QueueId([7; 10]).to_string()), "no reference");
    }
}
