use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;

use super::{Message, header};
use crate::mail::Mailbox;

/// Whether another recipient's address stands in a finished copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    pub header: bool,
    pub parts: bool,
}

/// The last look at what leaves: finds addresses of a message's recipients in texts. Built once for all copies.
pub struct LastLook {
    /// `None` if the automaton could not be built: then everything counts as a hit.
    automaton: Option<AhoCorasick>,
    /// For each pattern, which recipient it stands for.
    owners: Vec<usize>,
    recipients: usize,
    is_ascii: bool,
}

impl LastLook {
    /// Spellings of one address that a reader or a link would understand: with A-labels or as written, with a
    /// quoted local part, and with the @ percent-encoded.
    #[must_use]
    pub fn for_recipients(recipients: &[Mailbox]) -> LastLook {
        let mut patterns: Vec<String> = Vec::new();
        let mut owners = Vec::new();
        for (owner, mailbox) in recipients.iter().enumerate() {
            let local = mailbox.local().as_str().to_lowercase();
            let written = mailbox.domain().written().to_lowercase();
            let ascii = mailbox.domain().as_str();
            let mut spellings = BTreeSet::new();
            for domain in [ascii, written.as_str()] {
                spellings.insert(format!("{local}@{domain}"));
                spellings.insert(format!("{local}%40{domain}"));
                if !local.starts_with('"') {
                    spellings.insert(format!("\"{local}\"@{domain}"));
                }
            }
            owners.extend(std::iter::repeat_n(owner, spellings.len()));
            patterns.extend(spellings);
        }
        let is_ascii = patterns.iter().all(|pattern| pattern.is_ascii());
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(&patterns).ok();
        LastLook { automaton, owners, recipients: recipients.len(), is_ascii }
    }

    /// Indices of the recipients whose address stands in `text`.
    #[must_use]
    pub fn found_in(&self, text: &str) -> BTreeSet<usize> {
        let Some(automaton) = &self.automaton else { return (0..self.recipients).collect() };
        let lowered;
        let text = if self.is_ascii || text.is_ascii() {
            text
        } else {
            lowered = text.to_lowercase();
            &lowered
        };
        // Overlapping, since one address may be the end of another.
        automaton
            .find_overlapping_iter(text)
            .filter(|hit| stands_alone(text, hit.start(), hit.end()))
            .filter_map(|hit| self.owners.get(hit.pattern().as_usize()).copied())
            .collect()
    }

    /// As [`Self::found_in`] for a finished header section: as it stands, unfolded, and with encoded words decoded.
    #[must_use]
    pub fn found_in_header(&self, section: &[u8]) -> BTreeSet<usize> {
        let mut fields_left = usize::MAX;
        let (read, _) = header::split(section, 0..section.len(), header::Of::Message, &mut fields_left);
        let mut found = BTreeSet::new();
        for field in read.fields() {
            let unfolded = field.unfolded();
            found.extend(self.found_in(&unfolded));
            found.extend(self.found_in(&field.decoded()));
            // White space around the @ is allowed (RFC 5322, section 4.4).
            let closed: String = unfolded.split_whitespace().collect::<Vec<_>>().join(" ").replace(" @", "@").replace("@ ", "@");
            found.extend(self.found_in(&closed));
        }
        found
    }
}

/// Whether the match is a whole address and not the end or beginning of another one.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).and_then(|t| t.chars().next_back());
    let mut after = text.get(end..).unwrap_or_default().chars();
    let continues_before = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'));
    let continues_after = match after.next() {
        Some('.') => after.next().is_some_and(char::is_alphanumeric),
        Some(c) => c.is_alphanumeric() || c == '-' || c == '_',
        None => false,
    };
    !continues_before && !continues_after
}

/// Searches a finished copy for the addresses of `others`. Whoever stands in From or Sender is not "other": people
/// send copies to themselves, and their address is in their signature.
pub fn other_recipients_inside(
    message: &Message,
    header: &[u8],
    decoded_texts: &mut dyn Iterator<Item = &str>,
    others: &[Mailbox],
) -> Inside {
    let senders = senders(message);
    let others: Vec<Mailbox> = others.iter().filter(|other| !senders.contains(&other.folded())).cloned().collect();
    if others.is_empty() {
        return Inside::default();
    }
    let look = LastLook::for_recipients(&others);
    let parts = std::iter::from_fn(|| decoded_texts.next()).any(|text| !look.found_in(text).is_empty());
    Inside { header: !look.found_in_header(header).is_empty(), parts }
}

/// Folded addresses of From and Sender.
fn senders(message: &Message) -> BTreeSet<String> {
    ["From", "Sender"]
        .iter()
        .flat_map(|name| message.header().all(name))
        .flat_map(super::Field::mailboxes)
        .map(|named| named.mailbox.folded())
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::secret::Plaintext;

    fn mailboxes(list: &[&str]) -> Vec<Mailbox> {
        list.iter().map(|text| Mailbox::parse(text).unwrap()).collect()
    }

    #[test]
    fn every_spelling_of_an_address_is_found_and_its_neighbours_are_not() {
        let look = LastLook::for_recipients(&mailboxes(&["ann@x.example", "o'hara@bücher.example", "jürgen@y.example"]));
        for (text, expected) in [
            ("write to Ann@X.Example.", &[0][..]),
            ("<a href=mailto:ann%40x.example>", &[0]),
            ("\"ann\"@x.example", &[0]),
            ("bounce=ann@x.example", &[0]),
            ("O'Hara@BÜCHER.example, o'hara@xn--bcher-kva.example", &[1]),
            ("JÜRGEN@y.example", &[2]),
            ("joann@x.example ann@x.example.org ann@x.example-clinic.org first.ann@x.example", &[]),
            ("ann at x.example", &[]),
        ] {
            assert_eq!(look.found_in(text).into_iter().collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn encoding_and_folding_hide_nothing_in_a_header() {
        let look = LastLook::for_recipients(&mailboxes(&["ann@x.example"]));
        for section in [
            "Subject: for ann@x.example\r\n",
            "Subject: =?utf-8?B?Zm9yIGFubkB4LmV4YW1wbGU=?=\r\n",
            "Subject: =?utf-8?Q?for_ann=40x.exa?=\r\n =?utf-8?Q?mple?=\r\n",
            "References: <1@y> ann@\r\n x.example\r\n",
        ] {
            assert_eq!(look.found_in_header(section.as_bytes()).len(), 1, "{section}");
        }
        assert!(look.found_in_header(b"Subject: for ann\r\nX: x.example\r\n").is_empty());
    }

    #[test]
    fn a_sender_who_copies_himself_is_not_another_recipient() {
        let message =
            parse(Plaintext::new(b"From: Doc <Doc@x.example>\r\nTo: p@y.example\r\n\r\nDoc doc@x.example\r\n".to_vec()));
        let others = mailboxes(&["doc@x.example"]);
        let inside =
            other_recipients_inside(&message, b"From: Doc <Doc@x.example>\r\n", &mut ["doc@x.example"].into_iter(), &others);
        assert_eq!(inside, Inside { header: false, parts: false });
        let others = mailboxes(&["doc@x.example", "q@y.example"]);
        let inside = other_recipients_inside(&message, b"Subject: q@y.example\r\n", &mut ["nobody"].into_iter(), &others);
        assert_eq!(inside, Inside { header: true, parts: false });
        let inside = other_recipients_inside(&message, b"Subject: x\r\n", &mut ["a", "(q@y.example)"].into_iter(), &others);
        assert_eq!(inside, Inside { header: false, parts: true });
    }
}
