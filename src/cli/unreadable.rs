//! What a person is told about a part that could not be read: what it is, and what to do.

use crate::extract::{Unreadable, UnreadableWhy};
use crate::message::Message;

/// Formats that nobody here reads, by their first bytes.
const UNKNOWN: [(&[u8], usize, &str); 18] = [
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive"),
    (b"Rar!\x1a\x07", 0, "a RAR archive"),
    (b"\xfd7zXZ\0", 0, "an xz archive"),
    (b"BZh", 0, "a bzip2 archive"),
    (b"\x28\xb5\x2f\xfd", 0, "a Zstandard archive"),
    (b"MSCF", 0, "a cabinet archive"),
    (b"MZ", 0, "a Windows program"),
    (b"\x7fELF", 0, "a program"),
    (b"DICM", 128, "a DICOM image"),
    (b"ID3", 0, "a sound recording"),
    (b"OggS", 0, "a sound recording"),
    (b"fLaC", 0, "a sound recording"),
    (b"WAVE", 8, "a sound recording"),
    (b"ftypheic", 4, "a HEIC photo"),
    (b"ftyp", 4, "a film or sound recording"),
    (b"\x1aE\xdf\xa3", 0, "a film"),
    (b"SQLite format 3\0", 0, "a database file"),
    (b"!BDN", 0, "an Outlook data file"),
];

fn name_of(bytes: &[u8]) -> Option<&'static str> {
    let has = |magic: &[u8], at: usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    UNKNOWN.iter().find(|(magic, at, _)| has(magic, *at)).map(|(.., name)| *name)
}

/// "part 1.2: unknown-format: a 7z archive, which ...": the place, the reason in the word of the log, and the way out.
pub(super) fn sentence(message: &Message, unreadable: &Unreadable) -> String {
    let part = message.parts().into_iter().find(|part| part.path == unreadable.part);
    let name = part.and_then(|part| part.decode(message).ok()).and_then(|bytes| name_of(&bytes));
    let what = match (unreadable.why, name) {
        (UnreadableWhy::UnknownFormat, Some(name)) => {
            format!("{name}, which is not read; send a ZIP, PDF, Office or text file instead, or let it go to the portal")
        }
        (why, _) => advice(why).to_owned(),
    };
    format!("part {}: {}: {what}", unreadable.part, unreadable.why.as_str())
}

fn advice(why: UnreadableWhy) -> &'static str {
    match why {
        UnreadableWhy::Encrypted => {
            "it is locked or sealed; send it without the password, since it is encrypted on its way anyhow"
        }
        UnreadableWhy::Damaged => "it is cut short or not what it says it is; open it, save it anew and attach that",
        UnreadableWhy::UnknownFormat => {
            "no reader knows this format; send a ZIP, PDF, Office or text file instead, or let it go to the portal"
        }
        UnreadableWhy::TooDeep => "archives lie in archives; send what is inside without them",
        UnreadableWhy::TooLarge => "it holds more text than is read of one message; send it in several messages",
        UnreadableWhy::Timeout => "its reader took too long; save it as PDF and attach that",
        UnreadableWhy::Crashed => "its reader broke off; save it as PDF and attach that, and report the file's kind",
        UnreadableWhy::MimeProblem => "programs would not agree on what this part says; send it from another program",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::message::{self, PartPath};
    use crate::secret::Plaintext;

    #[test]
    fn a_format_is_named_and_a_way_out_given() {
        let mail = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nUmFyIRoHAQAAAA==\r\n";
        let message = message::parse(Plaintext::new(mail.to_vec()));
        let unreadable = Unreadable { part: message.root().path.clone(), why: UnreadableWhy::UnknownFormat };
        let said = sentence(&message, &unreadable);
        assert!(said.contains("unknown-format: a RAR archive") && said.contains("send a ZIP"), "{said}");
        // A part inside an archive has no bytes of its own here.
        let inside = Unreadable { part: PartPath::root().child(9), why: UnreadableWhy::UnknownFormat };
        assert!(sentence(&message, &inside).contains("no reader knows this format"));
    }

    #[test]
    fn every_reason_comes_with_an_action() {
        for why in UnreadableWhy::ALL {
            assert!(["send", "save"].iter().any(|action| advice(why).contains(action)), "{why:?}");
        }
    }
}
