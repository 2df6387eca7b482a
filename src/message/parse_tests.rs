use super::{Message, ProblemKind as K, TransferEncoding, parse};
use crate::secret::Plaintext;

fn read(text: &str) -> Message {
    parse(Plaintext::new(text.replace('\n', "\r\n").into_bytes()))
}

/// Kinds of problems, in order.
fn kinds(message: &Message) -> Vec<K> {
    message.problems().iter().map(|problem| problem.kind).collect()
}

/// Every byte belongs to exactly one header section, leaf, gap or delimiter.
pub(super) fn assert_every_byte_has_its_place(message: &Message) {
    let mut spans: Vec<std::ops::Range<usize>> = message.gaps();
    spans.extend_from_slice(message.structure());
    for part in message.parts() {
        spans.push(part.header.range());
        if part.children.is_empty() {
            spans.push(part.raw.clone());
        }
    }
    spans.retain(|span| !span.is_empty());
    spans.sort_by_key(|span| span.start);
    let mut at = 0;
    for span in spans {
        assert_eq!(span.start, at, "a byte without place, or with two");
        at = span.end;
    }
    assert_eq!(at, message.raw().len());
}

const MIXED: &str = "From: a@x.example
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"outer\"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=utf-8

text
--inner
Content-Type: text/html
Content-Transfer-Encoding: quoted-printable

<b>te=
xt</b>
--inner--
between
--outer
Content-Type: message/rfc822

From: b@y.example
Content-Type: multipart/mixed; boundary=third

--third

nested
--third
Content-Type: application/pdf; name=\"a.pdf\"
Content-Disposition: attachment; filename*=utf-8''R%C3%B6ntgen.pdf
Content-Transfer-Encoding: base64
Content-ID: <id@x>

JVBERg==
--third--
--outer--
epilogue
";

#[test]
fn a_message_reads_into_a_tree_and_loses_no_byte() {
    let message = read(MIXED);
    assert_eq!(kinds(&message), []);
    let seen: Vec<(String, &str, String)> = message
        .leaves()
        .iter()
        .map(|part| {
            let decoded = part.decode(&message).unwrap();
            (part.path.to_string(), part.media_type.as_str(), String::from_utf8_lossy(&decoded).into_owned())
        })
        .collect();
    let expected = [
        ("1.1.1", "text/plain", "text"),
        ("1.1.2", "text/html", "<b>text</b>"),
        ("1.2.1.1", "text/plain", "nested"),
        ("1.2.1.2", "application/pdf", "%PDF"),
    ];
    assert_eq!(seen, expected.map(|(path, kind, text)| (path.to_owned(), kind, text.to_owned())));
    let pdf = message.leaves()[3];
    assert_eq!(pdf.file_name.as_deref(), Some("Röntgen.pdf"));
    assert_eq!(pdf.content_id.as_deref(), Some("id@x"));
    assert_eq!((pdf.disposition.as_deref(), pdf.encoding), (Some("attachment"), TransferEncoding::Base64));
    assert!(pdf.is_attachment() && !message.leaves()[0].is_attachment());
    assert!(message.root().children[1].children[0].nested);
    let gaps: Vec<String> =
        message.gaps().into_iter().map(|gap| String::from_utf8_lossy(&message.raw()[gap]).trim().to_owned()).collect();
    assert_eq!(gaps.iter().filter(|gap| !gap.is_empty()).collect::<Vec<_>>(), ["preamble", "between", "epilogue"]);
    assert_every_byte_has_its_place(&message);
}

#[test]
fn the_header_section_keeps_order_and_bytes() {
    let message = read("To : a@x.example\nX-A: 1\nSubject: one\n\ttwo =?utf-8?Q?=C3=BC?=\nx-a: 2\n\nbody\n");
    let names: Vec<&str> = message.header().fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["To", "X-A", "Subject", "x-a"]);
    assert_eq!(message.header().all("X-A").map(|field| field.value()).collect::<Vec<_>>(), [b"1", b"2"]);
    let subject = message.header().first("subject").unwrap();
    assert_eq!(subject.raw, b"Subject: one\r\n\ttwo =?utf-8?Q?=C3=BC?=\r\n");
    assert_eq!(subject.decoded(), "one\ttwo ü");
    assert_eq!(message.body(), b"body\r\n");
    assert_eq!(kinds(&message), []);
}

#[test]
fn ordinary_mail_is_readable_however_old_its_mailer() {
    for text in [
        "",
        "\n",
        "\nbody only",
        "Subject: x",
        "Subject: x\n\n",
        "Subject: x\n\nGrüße",
        "Subject: x\nContent-Type: text/plain; charset=us-ascii\nContent-Transfer-Encoding: 7BIT\n\nGrüße",
        "Subject: x\nContent-Type: text/plain; charset=unknown-8bit\n\nGrüße",
        "Content-Type: text\n\nx",
        "MIME-Version: 1.0\nMIME-Version: 1.0\n\nx",
        "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nnot closed",
        "Content-Type: multipart/mixed; boundary=a\n\n",
        "Content-Type: multipart/mixed; boundary=a\n\n--a  \n\nblank behind the boundary\n--a-- \n",
        "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nFrom b@y Mon Jan 1\nTo: c@z\n\nx\n--a--",
        "Content-Type: multipart/digest; boundary=a\n\n--a\n\nTo: c@z\n\nx\n--a--",
    ] {
        let message = read(text);
        let unreadable: Vec<_> = message.problems().iter().filter(|problem| problem.makes_unreadable()).collect();
        assert!(unreadable.is_empty(), "{text:?} {unreadable:?}");
        assert!(message.leaves().iter().all(|part| part.text(&message).is_ok()), "{text:?}");
        assert_every_byte_has_its_place(&message);
    }
}

#[test]
fn what_two_readers_could_understand_differently_is_unreadable() {
    let multipart = |headers: &str, body: &str| format!("{headers}\n\n{body}");
    let cases = [
        // what is tried                    message                                                        problem
        ("two types", "Content-Type: text/plain\nContent-Type: text/html\n\nx".to_owned(), K::DuplicateField),
        ("the same type twice", "Content-Type: text/plain\nContent-Type: text/plain\n\nx".to_owned(), K::DuplicateField),
        (
            "two encodings",
            "Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\nx".to_owned(),
            K::DuplicateField,
        ),
        ("two dispositions", "Content-Disposition: inline\nContent-Disposition: attachment\n\nx".to_owned(), K::DuplicateField),
        ("two versions", "MIME-Version: 1.0\nMIME-Version: 2.0\n\nx".to_owned(), K::DuplicateField),
        ("a blank before the colon", "Content-Type : text/html\n\nx".to_owned(), K::FieldNameOdd),
        ("two charsets", "Content-Type: text/plain; charset=utf-8; charset=utf-16\n\nx".to_owned(), K::ParameterConflict),
        (
            "a boundary in pieces",
            multipart("Content-Type: multipart/mixed; boundary*0=a; boundary*1=b", "--ab\n\nx\n--ab--"),
            K::ParameterConflict,
        ),
        ("no boundary", multipart("Content-Type: multipart/mixed", "x"), K::BoundaryMissing),
        ("no semicolon", multipart("Content-Type: multipart/mixed boundary=a", "--a\n\nx\n--a--"), K::BoundaryMissing),
        ("an empty boundary", multipart("Content-Type: multipart/mixed; boundary=\"\"", "--\n\nx\n----"), K::BoundaryInvalid),
        (
            "an over-long boundary",
            multipart(&format!("Content-Type: multipart/mixed; boundary={}", "a".repeat(71)), "x"),
            K::BoundaryInvalid,
        ),
        (
            "an escaped boundary",
            multipart("Content-Type: multipart/mixed; boundary=\"a\\b\"", "--ab\n\nx\n--ab--"),
            K::BoundaryInvalid,
        ),
        (
            "a boundary that is not there",
            multipart("Content-Type: multipart/mixed; boundary=a", "--b\n\nx\n--b--"),
            K::BoundaryNeverUsed,
        ),
        (
            "a boundary inside a line",
            multipart("Content-Type: multipart/mixed; boundary=a-1", "--a-1\n\nx --a-1\n--a-1--"),
            K::BoundaryOffLineStart,
        ),
        (
            "a line that goes on behind the boundary",
            multipart("Content-Type: multipart/mixed; boundary=a", "--a\n\nx\n--ab\n\ny\n--a--"),
            K::BoundaryAmbiguous,
        ),
        (
            "a boundary that begins another",
            multipart(
                "Content-Type: multipart/mixed; boundary=ab",
                "--ab\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n--ab--",
            ),
            K::BoundaryAmbiguous,
        ),
        (
            "a part behind the end",
            multipart("Content-Type: multipart/mixed; boundary=a", "--a\n\nx\n--a--\n--a\n\ny\n--a--"),
            K::DelimiterAfterClose,
        ),
        (
            "a part without header section",
            multipart("Content-Type: multipart/mixed; boundary=a", "--a\nx\n--a--"),
            K::PartHeaderBroken,
        ),
        (
            "an encoded multipart",
            multipart("Content-Type: multipart/mixed; boundary=a\nContent-Transfer-Encoding: base64", "LS1h"),
            K::CompositeEncoded,
        ),
        (
            "an encoded message",
            multipart("Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable", "To: x=40y"),
            K::CompositeEncoded,
        ),
        ("a fragment", multipart("Content-Type: message/partial; id=x; number=1", "x"), K::PartialMessage),
        ("an unknown encoding", "Content-Transfer-Encoding: x-uuencode\n\nx".to_owned(), K::TransferEncodingUnknown),
        ("an encoding and more", "Content-Transfer-Encoding: base64 (really)\n\nx".to_owned(), K::TransferEncodingUnknown),
        ("an unknown charset in a header", "Subject: =?utf-7?Q?+AGE-?=\n\nx".to_owned(), K::EncodedWordUnreadable),
    ];
    for (name, text, kind) in cases {
        let message = read(&text);
        assert!(kinds(&message).contains(&kind), "{name}: {:?}", message.problems());
        assert!(message.problems().iter().any(|problem| problem.makes_unreadable()), "{name}");
        assert_every_byte_has_its_place(&message);
    }
}

#[test]
fn header_sections_that_could_hide_a_recipient_are_refused() {
    for (text, kind) in [
        ("To: a@x\nTo: b@x\n\n", K::SeveralTo),
        ("Cc: a@x\ncc : b@x\n\n", K::SeveralCc),
        ("From: a@x\nFrom: b@x\n\n", K::SeveralFrom),
        ("Subject: a\nSubject: b\n\n", K::SeveralSubject),
        ("Sender: a@x\nSender: b@x\n\n", K::SeveralSender),
        ("To: a@x\nno field here\n\n", K::LineIsNoField),
        (" continued nothing\nTo: a@x\n\n", K::LineIsNoField),
        ("To: a@x\n: no name\n\n", K::LineIsNoField),
        ("From a@x Mon Jan 1\nTo: a@x\n\n", K::LineIsNoField),
        ("To: a@x\n \t\nBcc: b@x\n\n", K::FoldedEmptyLine),
    ] {
        let message = read(text);
        assert!(kinds(&message).contains(&kind), "{text:?}: {:?}", message.problems());
        assert!(message.problems().iter().any(|problem| problem.refuses().is_some()), "{text:?}");
    }
}

#[test]
fn bytes_beyond_ascii_in_a_header_need_smtputf8() {
    let utf8 = read("Subject: Grüße\n\n");
    assert_eq!(kinds(&utf8), [K::Utf8Header]);
    assert!(!utf8.problems()[0].makes_unreadable());
    assert!(K::Utf8Header.makes_unreadable_without_smtputf8());
    let latin = parse(Plaintext::new(b"Subject: Gr\xfc\xdfe\r\n\r\n".to_vec()));
    assert_eq!(kinds(&latin), [K::EightBitHeader]);
    assert!(latin.problems()[0].makes_unreadable());
    assert_eq!(latin.header().first("Subject").unwrap().decoded(), "Grüße");
}

#[test]
fn a_body_that_cannot_be_decoded_one_way_gives_what_there_is_to_the_scanner() {
    let broken = read("Content-Transfer-Encoding: base64\n\nU1NO*IDEyMw==\n");
    let problem = broken.leaves()[0].text(&broken).unwrap_err();
    assert_eq!((problem.kind, problem.text()), (K::Base64Broken, "SSN 123".to_owned()));
    let unknown = read("Content-Type: text/plain; charset=utf-7\n\nSSN 123\n");
    let problem = unknown.leaves()[0].text(&unknown).unwrap_err();
    assert_eq!((problem.kind, problem.text()), (K::CharsetUnknown, "SSN 123\r\n".to_owned()));
    let ascii = read("Content-Type: text/plain; charset=us-ascii\n\nGrüße\n");
    assert_eq!(kinds(&ascii), [K::EightBitInAscii]);
    assert_eq!(ascii.leaves()[0].text(&ascii).unwrap(), "Grüße\r\n");
}

#[test]
fn a_mailing_lists_footer_behind_base64_is_no_problem() {
    let message = read("Content-Transfer-Encoding: base64\n\naGVsbG8=\n\n____\nTo leave the list, write to us.\n");
    assert!(message.leaves()[0].text(&message).unwrap().starts_with("hello"));
}

/// A multipart around each level: the deepest that is read, and one more.
fn nested(levels: usize) -> String {
    let mut text = String::from("From: a@x\n");
    for level in 0..levels {
        text.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}x\n\n--b{level}x\n"));
    }
    text.push_str("\nSSN\n");
    text
}

#[test]
fn depth_is_limited_and_what_lies_deeper_is_unreadable() {
    let fits = read(&nested(super::DEPTH_MAX));
    assert!(!fits.problems().iter().any(|problem| problem.makes_unreadable()), "{:?}", fits.problems());
    for levels in [super::DEPTH_MAX + 1, 20_000] {
        let message = read(&nested(levels));
        assert!(kinds(&message).contains(&K::TooDeep));
        assert!(K::TooDeep.makes_unreadable() && K::TooDeep.exceeds_limits());
        assert!(message.parts().len() <= super::DEPTH_MAX + 1);
        assert_every_byte_has_its_place(&message);
    }
}

#[test]
fn nested_messages_are_limited_alike() {
    let message = read(&format!("{}To: a@x\n\nx", "Content-Type: message/rfc822\n\n".repeat(20_000)));
    assert!(kinds(&message).contains(&K::TooDeep));
    assert_every_byte_has_its_place(&message);
}

#[test]
fn parts_are_limited_and_the_rest_is_a_gap() {
    let message = read(&format!("Content-Type: multipart/mixed; boundary=a\n\n{}--a--\n", "--a\n\nx\n".repeat(100_000)));
    assert_eq!(kinds(&message).iter().filter(|kind| kind.makes_unreadable()).collect::<Vec<_>>(), [&K::TooManyParts]);
    assert_eq!(message.parts().len(), super::PARTS_MAX);
    assert_every_byte_has_its_place(&message);
    let fits =
        read(&format!("Content-Type: multipart/mixed; boundary=a\n\n{}--a--\n", "--a\n\nx\n".repeat(super::PARTS_MAX - 1)));
    assert_eq!(kinds(&fits), []);
}

#[test]
fn fields_are_limited_over_all_parts() {
    let message = read(&format!("{}\nbody", "X: y\n".repeat(super::FIELDS_MAX + 1)));
    assert_eq!(kinds(&message), [K::TooManyFields]);
    assert_eq!(message.header().fields().len(), super::FIELDS_MAX);
    assert_eq!(message.body(), b"body");
    assert!(message.problems()[0].refuses().is_some());
}

#[test]
fn a_header_line_of_a_mebibyte_is_read_in_one_pass() {
    for filler in ["x", "=?", "=?utf-8?Q?", "\"", "(", "<", "a@b.example,", "; a=b", "; a*0=b", "\t"] {
        let line = filler.repeat((1 << 20) / filler.len());
        let message = read(&format!("To: {line}\nContent-Type: multipart/mixed; boundary=a{line}\n\nx"));
        assert!(message.header().first("To").unwrap().mailboxes().len() <= line.len() / 12);
        assert_eq!(message.header().fields().len(), 2);
        assert_every_byte_has_its_place(&message);
    }
}
