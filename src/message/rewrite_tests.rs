use super::parse_tests::assert_every_byte_has_its_place;
use super::{Audience, LastLook, Message, RewriteFacts, RewriteRefusal, Rewritten, parse, rewrite};
use crate::mail::Mailbox;
use crate::secret::Plaintext;

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn read(text: &str) -> Message {
    parse(Plaintext::new(text.replace('\n', "\r\n").into_bytes()))
}

fn copy_for(message: &Message, recipient: &str, group: Option<&[Mailbox]>) -> Result<Rewritten, RewriteRefusal> {
    let recipient = mailbox(recipient);
    rewrite(
        message,
        &RewriteFacts {
            audience: Audience { recipient: &recipient, group },
            all_recipients: std::slice::from_ref(&recipient),
            own_addresses: &|address| address.domain().as_str() == "own.example",
            received: "by gw.own.example; Tue, 24 Nov 2026 09:00:00 +0000",
            hop: "k3y",
            date: "Tue, 24 Nov 2026 09:00:00 +0000",
            message_id: "<made@gw.own.example>",
        },
    )
}

/// The copy's header section with `\n` for line ends, without the two fields of ours in front.
fn shown(message: &Message, recipient: &str, group: Option<&[Mailbox]>) -> String {
    let copy = copy_for(message, recipient, group).unwrap();
    let text = String::from_utf8(copy.header).unwrap();
    let ours = "Received: by gw.own.example; Tue, 24 Nov 2026 09:00:00 +0000\r\nX-Wardpost-Hop: k3y\r\n";
    text.strip_prefix(ours).unwrap().replace("\r\n", "\n")
}

#[test]
fn only_fields_known_to_be_harmless_leave() {
    let message = read(
        "Received: from pc (192.0.2.9) by inside for <p@y.example>
Delivered-To: q@z.example
X-Original-To: q@z.example
Resent-To: q@z.example
DKIM-Signature: v=1; b=old
ARC-Seal: i=1
Authentication-Results: inside
X-Wardpost-Hop: forged
From: \"Dr. Doc\"  <doc@own.example>
Sender: desk@own.example
To: Pat <p@y.example>, q@z.example
Cc: r@z.example
Bcc: s@z.example
Subject: folded
\t line
Thread-Topic: q@z.example
X-MS-Exchange-Organization-Recipients: q@z.example
Reply-To: desk@own.example
Disposition-Notification-To: spy@z.example
In-Reply-To: <1@y>
References: <0@y>
\t<1@y>
MIME-Version: 1.0
Content-Type: text/plain;
\tcharset=utf-8
Content-Language: en
Auto-Submitted: no
Importance: high
X-Priority: 1
List-Unsubscribe: <https://own.example/u>
Date: Mon, 23 Nov 2026 09:00:00 +0000
Message-ID: <2@own.example>

body
",
    );
    assert_eq!(
        shown(&message, "p@y.example", None),
        "From: \"Dr. Doc\"  <doc@own.example>
Sender: desk@own.example
To: Pat <p@y.example>
Subject: folded
\t line
Reply-To: desk@own.example
In-Reply-To: <1@y>
References: <0@y>
\t<1@y>
MIME-Version: 1.0
Content-Type: text/plain;
\tcharset=utf-8
Content-Language: en
Auto-Submitted: no
Importance: high
List-Unsubscribe: <https://own.example/u>
Date: Mon, 23 Nov 2026 09:00:00 +0000
Message-ID: <2@own.example>
"
    );
    // To and Cc do not count: they were written anew.
    assert_eq!(copy_for(&message, "p@y.example", None).unwrap().dropped, 13);
}

#[test]
fn each_recipient_sees_itself_alone() {
    let message = read(
        "From: d@own.example\nTo: =?utf-8?Q?P=C3=A4t?= <p@y.example>, \"q@z.example\" <q@z.example>\nCc: team: Roe <R@Z.example>;\nBcc: s@z.example\nDate: x\nMessage-ID: <1@x>\n\n",
    );
    for (recipient, to) in [
        ("p@y.example", "To: =?utf-8?B?UMOkdA==?= <p@y.example>"),
        ("P@Y.example", "To: =?utf-8?B?UMOkdA==?= <p@y.example>"),
        ("q@z.example", "To: q@z.example"),
        ("r@z.example", "To: Roe <R@Z.example>"),
        ("s@z.example", "To: s@z.example"),
        ("t@never-named.example", "To: t@never-named.example"),
    ] {
        assert_eq!(shown(&message, recipient, None), format!("From: d@own.example\n{to}\nDate: x\nMessage-ID: <1@x>\n"));
    }
}

#[test]
fn a_name_that_shows_an_address_does_not_leave() {
    for (from, leaves) in [
        ("\"ceo@other.example\" <ann@own.example>", "From: ann@own.example\n"),
        ("=?utf-8?B?Y2VvQG90aGVyLmV4YW1wbGU=?= <ann@own.example>", "From: ann@own.example\n"),
        ("ann@own.example (ceo@other.example)", "From: ann@own.example\n"),
        ("Ann Baker\n <ann@own.example>", "From: Ann Baker\n <ann@own.example>\n"),
    ] {
        let text =
            format!("From: {from}\nSender: {from}\nReply-To: {from}\nTo: a@x.example\nDate: d\nMessage-ID: <m@x>\n\nhello\n");
        let header = shown(&read(&text), "a@x.example", None);
        for name in ["From", "Sender", "Reply-To"] {
            assert!(header.contains(&leaves.replacen("From", name, 1)), "{from}: {header}");
        }
        assert!(!header.contains("ceo@") && !header.contains("Y2Vv"), "{header}");
    }
}

#[test]
fn a_group_sees_its_members_and_nobody_else() {
    let message = read(
        "From: d@own.example\nCc: b@own.example, p@y.example\nTo: Ann <a@own.example>, q@z.example\nBcc: c@own.example\nDate: x\nMessage-ID: <1@x>\n\n",
    );
    let group = ["a@own.example", "b@own.example", "c@own.example"].map(mailbox);
    let both = "From: d@own.example\nTo: Ann <a@own.example>\nCc: b@own.example\nDate: x\nMessage-ID: <1@x>\n";
    for member in ["a@own.example", "b@own.example", "c@own.example"] {
        assert_eq!(shown(&message, member, Some(&group)), both);
    }
    // A group of which nobody is named: a blind copy shows its reader alone.
    let group = ["c@own.example"].map(mailbox);
    assert!(shown(&message, "c@own.example", Some(&group)).contains("\nTo: c@own.example\n"));
}

#[test]
fn what_is_missing_is_added_and_what_is_double_leaves_once() {
    let message = read("From: d@own.example\nSubject: s\n\n");
    assert_eq!(
        shown(&message, "p@y.example", None),
        "From: d@own.example\nSubject: s\nTo: p@y.example\nDate: Tue, 24 Nov 2026 09:00:00 +0000\nMessage-ID: <made@gw.own.example>\n"
    );
    let message = read("From: d@own.example\nDate: one\nDate: two\nMessage-ID: <1@x>\nMessage-ID: <q=z.example@x>\n\n");
    assert_eq!(shown(&message, "p@y.example", None), "From: d@own.example\nDate: one\nMessage-ID: <1@x>\nTo: p@y.example\n");
    // The last field ends even if the message did not.
    let message = parse(Plaintext::new(b"Date: x\r\nMessage-ID: <1@x>\r\nSubject: cut".to_vec()));
    assert!(shown(&message, "p@y.example", None).starts_with("Date: x\nMessage-ID: <1@x>\nSubject: cut\nTo:"));
}

#[test]
fn replies_and_receipts_go_to_the_house_or_nowhere() {
    for (value, is_kept) in [
        ("desk@own.example", true),
        ("Desk <desk@own.example>, lab@OWN.example", true),
        ("desk@own.example, spy@z.example", false),
        ("spy@z.example", false),
        ("desk@own.example, not an address", false),
        ("", false),
    ] {
        for name in ["Reply-To", "Disposition-Notification-To"] {
            let message = read(&format!("From: d@own.example\n{name}: {value}\n\n"));
            assert_eq!(shown(&message, "p@y.example", None).contains(name), is_kept, "{name}: {value}");
        }
    }
}

#[test]
fn an_ambiguous_header_section_is_refused() {
    for (text, what) in [
        ("To: a@x\nTo: b@x\n\n", "more than one To field"),
        ("To: a@x\nTo : b@x\n\n", "more than one To field"),
        ("From: a@x\nFrom: b@x\n\n", "more than one From field"),
        ("Subject: a\nno field\n\n", "a line in the header section is no field"),
        ("Subject: a\n \nBcc: b@x\n\n", "an empty folded line in the header section"),
    ] {
        assert_eq!(copy_for(&read(text), "p@y.example", None), Err(RewriteRefusal { what }), "{text:?}");
    }
}

/// A small generator of numbers, the same in every run (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// An address list in one of the forms that occur.
fn address_field(dice: &mut Dice, people: &[String]) -> String {
    let entries: Vec<String> = (0..dice.below(5))
        .map(|_| {
            let address = &people[dice.below(people.len())];
            match dice.below(8) {
                0 => address.clone(),
                1 => format!("<{address}>"),
                2 => format!("\"{address}\" <{address}>"),
                3 => format!("Some, Body <{address}>"),
                4 => format!("=?utf-8?Q?J=C3=BCrgen?=\n\t<{address}>"),
                5 => format!("grp: {address}, x <{address}>;"),
                6 => format!("{address} (comment {address})"),
                _ => format!("\"un,balanced <{address}>"),
            }
        })
        .collect();
    entries.join(", ")
}

fn generated(dice: &mut Dice, people: &[String]) -> String {
    let mut text = String::from("From: Doc <doc@own.example>\n");
    for name in ["To", "Cc", "Bcc", "Reply-To", "Resent-To", "Delivered-To", "X-Original-To", "Apparently-To", "Thread-Index"] {
        if dice.below(3) > 0 {
            let name = if dice.below(6) == 0 { name.to_uppercase() } else { name.to_owned() };
            text.push_str(&format!("{name}{}: {}\n", dice.one_of(&["", "", " "]), address_field(dice, people)));
        }
    }
    for field in ["Subject: s\n  t", "Date: d", "Message-ID: <m@x>", "X-Y: z", "MIME-Version: 1.0", "Content-Type: text/html"] {
        if dice.below(2) > 0 {
            text.push_str(field);
            text.push('\n');
        }
    }
    text.push('\n');
    for _ in 0..dice.below(6) {
        text.push_str(dice.one_of(&["text\n", "\n", "To: x@y\n", ".\n", "Grüße  \n", "--b\n", "no end"]));
    }
    text
}

#[test]
fn no_copy_shows_anybody_elses_address_and_every_body_is_the_same() {
    let people: Vec<String> =
        ["ann@x.example", "bob@x.example", "ann@y.example", "\"q q\"@x.example", "li.wei@bücher.example", "b@x.example"]
            .map(str::to_owned)
            .to_vec();
    let recipients: Vec<Mailbox> = people.iter().map(|text| mailbox(text)).collect();
    let look = LastLook::for_recipients(&recipients);
    let mut dice = Dice(0x5eed);
    for round in 0..1_000 {
        let message = read(&generated(&mut dice, &people));
        let at = dice.below(recipients.len());
        let member = dice.below(recipients.len());
        let group = [recipients[at].clone(), recipients[member].clone()];
        for (group, allowed) in [(None, vec![at]), (Some(&group[..]), vec![at, member])] {
            let copy = copy_for(&message, &people[at], group).unwrap();
            for found in look.found_in_header(&copy.header) {
                assert!(allowed.contains(&found), "round {round}: {}", String::from_utf8_lossy(&copy.header));
            }
            // The copy reads back: the same body, the same kept fields, and rewriting it again changes nothing.
            let bytes = [&copy.header[..], b"\r\n", message.body()].concat();
            let again = parse(Plaintext::new(bytes));
            assert_eq!(again.body(), message.body(), "round {round}");
            assert_every_byte_has_its_place(&again);
            for field in again.header().fields().iter().skip(2) {
                let is_ours = field.is("To") || field.is("Cc") || field.is("Date") || field.is("Message-ID");
                assert!(is_ours || message.header().fields().iter().any(|f| f.raw == field.raw), "round {round}: {}", field.name);
            }
            let second = copy_for(&again, &people[at], group).unwrap();
            assert_eq!(second.header, copy.header, "round {round}");
        }
    }
}

#[test]
fn no_bytes_whatever_lose_their_place_or_end_the_reader() {
    let seed = "From: a@x\nSubject: =?utf-8?B?w7w=?=\nContent-Type: multipart/mixed; boundary=\"b\"\n\np\n--b\nContent-Type: multipart/alternative; boundary*0=\"c\"\n\n--c\n\nt\n--c--\n--b\nContent-Type: message/rfc822\n\nTo: x@y, (z) <q@r>\n\nn\n--b\nContent-Type: text/plain; charset=utf-16; name*=utf-8''%C3%BC\nContent-Transfer-Encoding: base64\n\naGk=\n--b\nContent-Transfer-Encoding: quoted-printable\n\n=C3=\n=BC\n--b--\ne\n".replace('\n', "\r\n").into_bytes();
    let bits: [&[u8]; 16] =
        [b"\r\n", b"\n", b"\r", b"\0", b"--b", b"--b--", b"--c", b"=?", b"?=", b"\"", b"(", b";", b":", b"\xff", b" ", b"="];
    let mut dice = Dice(0xf00d);
    for _ in 0..4_000 {
        let mut bytes = seed.clone();
        for _ in 0..1 + dice.below(4) {
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => bytes[at] = dice.below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => {
                    let end = (at + dice.below(40)).min(bytes.len());
                    bytes.drain(at..end);
                    bytes.push(b'x');
                }
                _ => {
                    let bit = bits[dice.below(bits.len())];
                    bytes.splice(at..at, bit.iter().copied());
                }
            }
        }
        let message = parse(Plaintext::new(bytes));
        assert_every_byte_has_its_place(&message);
        for part in message.parts() {
            let _ = part.text(&message).map_err(|problem| problem.text());
            for field in part.header.fields() {
                let _ = (field.decoded(), field.mailboxes());
            }
        }
        if let Ok(copy) = copy_for(&message, "p@y.example", None) {
            assert!(copy.header.ends_with(b"\n"));
        }
    }
}
