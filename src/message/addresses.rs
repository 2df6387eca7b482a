//! Address lists of From, To, Cc and their like (RFC 5322, section 3.4), as mail in the wild writes them.

use super::words;
use crate::mail::Mailbox;

/// A mailbox with its display name and the group it stands in.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedMailbox {
    pub name: Option<String>,
    pub mailbox: Mailbox,
    pub group: Option<String>,
}

impl std::fmt::Debug for NamedMailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Named{:?}", self.mailbox)
    }
}

/// Every member repeats its group's name, so a long one is cut.
const GROUP_NAME_CHARS_MAX: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressList {
    pub mailboxes: Vec<NamedMailbox>,
    /// Entries that are no mailbox.
    pub broken: usize,
}

/// What was read of the entry at hand.
#[derive(Default)]
struct Entry {
    /// As written, quotes included: an address without angle brackets.
    literal: String,
    /// Quotes undone: a display name.
    shown: String,
    angle: Option<String>,
    comment: Option<String>,
    /// A bracket or comment that never closes, or words behind the brackets: readers disagree about who is named.
    is_ambiguous: bool,
}

pub(super) fn parse(value: &str) -> AddressList {
    let mut list = AddressList::default();
    let mut group: Option<String> = None;
    let mut entry = Entry::default();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                entry.is_ambiguous |= entry.angle.is_some();
                entry.literal.push('"');
                quoted(&mut chars, &mut entry.literal, Some(&mut entry.shown));
            }
            '(' => {
                let (text, is_closed) = comment(&mut chars);
                entry.is_ambiguous |= !is_closed;
                entry.comment.get_or_insert(text);
            }
            '<' => {
                let (text, is_closed) = angle(&mut chars);
                entry.is_ambiguous |= !is_closed;
                if entry.angle.replace(text).is_some() {
                    list.broken += 1;
                }
            }
            ',' => end(std::mem::take(&mut entry), &group, &mut list),
            ';' => {
                end(std::mem::take(&mut entry), &group, &mut list);
                group = None;
            }
            ':' => {
                if group.is_some() || entry.angle.is_some() {
                    list.broken += 1;
                }
                group = Some(words::decode(entry.shown.trim()).text.chars().take(GROUP_NAME_CHARS_MAX).collect());
                entry = Entry::default();
            }
            c => {
                entry.is_ambiguous |= entry.angle.is_some() && !c.is_whitespace();
                entry.literal.push(c);
                entry.shown.push(c);
            }
        }
    }
    end(entry, &group, &mut list);
    list
}

/// Behind an opening quote: `literal` gets the text as written and the closing quote, `shown` the text meant.
fn quoted(chars: &mut std::str::Chars<'_>, literal: &mut String, mut shown: Option<&mut String>) {
    while let Some(c) = chars.next() {
        literal.push(c);
        let meant = match c {
            '"' => return,
            '\\' => {
                let Some(escaped) = chars.next() else { return };
                literal.push(escaped);
                escaped
            }
            other => other,
        };
        if let Some(shown) = shown.as_deref_mut() {
            shown.push(meant);
        }
    }
}

/// Text, and whether it closes.
fn comment(chars: &mut std::str::Chars<'_>) -> (String, bool) {
    let (mut text, mut depth) = (String::new(), 1usize);
    while let Some(c) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => {
                text.extend(chars.next());
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            return (text, true);
        }
        text.push(c);
    }
    (text, false)
}

/// Text, and whether it closes.
fn angle(chars: &mut std::str::Chars<'_>) -> (String, bool) {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '>' => return (text, true),
            '"' => {
                text.push('"');
                quoted(chars, &mut text, None);
            }
            c => text.push(c),
        }
    }
    (text, false)
}

fn end(entry: Entry, group: &Option<String>, list: &mut AddressList) {
    list.broken += usize::from(entry.is_ambiguous);
    let comment = entry.comment.as_deref().map(|text| words::decode(text.trim()).text);
    let (address, name) = match &entry.angle {
        // A source route in front of the address is dropped (RFC 5322, section 4.4).
        Some(angle) => {
            let address = if angle.trim_start().starts_with('@') { angle.split_once(':').map_or("", |(_, a)| a) } else { angle };
            (address, Some(words::decode(entry.shown.trim()).text).filter(|name| !name.is_empty()).or(comment))
        }
        None => (entry.literal.as_str(), comment),
    };
    let address = address.trim();
    if address.is_empty() && entry.angle.is_none() {
        list.broken += usize::from(entry.comment.is_some());
        return;
    }
    let parsed = Mailbox::parse(address).or_else(|e| {
        // White space around dots and the @ (RFC 5322, section 4.4) is no part of an unquoted address.
        if address.contains('"') { Err(e) } else { Mailbox::parse(&address.split_whitespace().collect::<String>()) }
    });
    match parsed {
        Ok(mailbox) => list.mailboxes.push(NamedMailbox { name, mailbox, group: group.clone() }),
        Err(_) => list.broken += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_lists_read_as_mail_in_the_wild_writes_them() {
        // Display name, address, group.
        type Shown<'a> = (Option<&'a str>, &'a str, Option<&'a str>);
        let cases: &[(&str, &[Shown<'_>], usize)] = &[
            ("a@b.example", &[(None, "a@b.example", None)], 0),
            ("Ann <a@b.example>, <c@d.example>", &[(Some("Ann"), "a@b.example", None), (None, "c@d.example", None)], 0),
            ("\"Doe, \\\"J\\\" John\" <a@b.example>", &[(Some("Doe, \"J\" John"), "a@b.example", None)], 0),
            ("a@b.example (Ann (the) Nurse)", &[(Some("Ann (the) Nurse"), "a@b.example", None)], 0),
            ("=?utf-8?Q?M=C3=BCller=2C_A?= <a@b.example>", &[(Some("Müller, A"), "a@b.example", None)], 0),
            ("\"q, r\"@b.example", &[(None, "\"q, r\"@b.example", None)], 0),
            (
                "team: a@b.example, B <b@b.example>;, c@d.example",
                &[(None, "a@b.example", Some("team")), (Some("B"), "b@b.example", Some("team")), (None, "c@d.example", None)],
                0,
            ),
            ("undisclosed-recipients:;", &[], 0),
            ("<@relay.example,@x.example:a@b.example>", &[(None, "a@b.example", None)], 0),
            ("a @ b . example; c@d.example", &[(None, "a@b.example", None), (None, "c@d.example", None)], 0),
            ("Ann, a@b.example, <>", &[(None, "a@b.example", None)], 2),
            ("\"never closed <a@b.example>", &[], 1),
            ("<a@b.example", &[(None, "a@b.example", None)], 1),
            ("a@b.example (c@d.example", &[(Some("c@d.example"), "a@b.example", None)], 1),
            ("<a@b.example> c@d.example", &[(Some("c@d.example"), "a@b.example", None)], 1),
            ("<a@b.example> (c)", &[(Some("c"), "a@b.example", None)], 0),
            ("", &[], 0),
        ];
        for (text, expected, broken) in cases {
            let list = parse(text);
            let found: Vec<_> =
                list.mailboxes.iter().map(|m| (m.name.as_deref(), m.mailbox.to_string(), m.group.as_deref())).collect();
            let expected: Vec<_> = expected.iter().map(|(n, a, g)| (*n, (*a).to_owned(), *g)).collect();
            assert_eq!((found, list.broken), (expected, *broken), "{text}");
        }
    }
}
