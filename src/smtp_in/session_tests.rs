use super::super::{Network, Quota};
use super::*;
use crate::mail::{AddressPattern, PrincipalKind};
use crate::smtp::command;

fn user() -> Principal {
    Principal {
        name: "ann".into(),
        kind: PrincipalKind::User,
        may_send_as: vec![AddressPattern::parse("@practice.example").unwrap()],
        bound_address: None,
        tenancy: vec![],
    }
}

fn network(tls_optional: bool) -> Network {
    Network {
        name: "scanner".into(),
        addresses: vec![],
        may_send_as: vec![AddressPattern::parse("scan@practice.example").unwrap()],
        bound_address: None,
        tls_optional,
        quota: Quota::default(),
        tenancy: vec![],
    }
}

fn session(kind: ListenerKind, network: Option<&Network>) -> Session {
    let settings = Settings { max_recipients: 3, max_message_bytes: 1000, ..Settings::default() };
    Session::new(Arc::new(settings), kind, network.map(Network::caller))
}

/// Says the lines; the codes of the replies, 0 where the connection answers.
fn codes(session: &mut Session, lines: &[&str]) -> Vec<u16> {
    lines
        .iter()
        .map(|line| session.on(command::parse(format!("{line}\r\n").as_bytes())).reply.map_or(0, |reply| reply.code))
        .collect()
}

fn inside(kind: ListenerKind) -> Session {
    let mut session = session(kind, None);
    session.tls_started("TLSv1.3");
    assert_eq!(codes(&mut session, &["EHLO x"]), [250]);
    let _ = session.authenticated(Caller::of(user(), Quota::default()));
    session
}

#[test]
fn nobody_sends_before_tls_and_authentication() {
    for (kind, denied) in [(ListenerKind::Relay, 550), (ListenerKind::Submission, 530), (ListenerKind::Submissions, 530)] {
        let mut session = session(kind, None);
        assert_eq!(codes(&mut session, &["MAIL FROM:<a@practice.example>"]), [503]);
        let clear =
            ["EHLO x", "MAIL FROM:<a@practice.example>", "MAIL FROM:<>", "RCPT TO:<b@x.example>", "DATA", "AUTH PLAIN AA=="];
        assert_eq!(codes(&mut session, &clear), [250, 530, 530, 503, 503, 538]);
        session.tls_started("TLSv1.3");
        assert_eq!(codes(&mut session, &["MAIL FROM:<>", "AUTH PLAIN AA=="]), [503, 503], "EHLO again");
        let tls = ["EHLO x", "MAIL FROM:<a@practice.example>", "MAIL FROM:<>", "RCPT TO:<b@x.example>", "BDAT 3 LAST", "DATA"];
        assert_eq!(codes(&mut session, &tls), [250, denied, denied, 503, 503, 503], "{kind:?}");
        assert!(session.finish().is_none());
    }
}

#[test]
fn a_listed_network_sends_as_itself_and_in_clear_only_if_the_list_says_so() {
    let (strict, lax) = (network(false), network(true));
    let mut session = session(ListenerKind::Relay, Some(&strict));
    assert_eq!(codes(&mut session, &["HELO x", "MAIL FROM:<scan@practice.example>"]), [250, 530]);
    session.tls_started("TLSv1.2");
    assert_eq!(codes(&mut session, &["HELO x", "MAIL FROM:<scan@practice.example>", "RCPT TO:<b@x.example>"]), [250, 250, 250]);
    let (principal, envelope) = session.finish().unwrap();
    assert_eq!((principal.kind, envelope.to.len()), (PrincipalKind::Network, 1));

    let mut session = self::session(ListenerKind::Relay, Some(&lax));
    let lines = ["HELO x", "MAIL FROM:<ann@practice.example>", "MAIL FROM:<scan@practice.example>", "RSET", "MAIL FROM:<>"];
    assert_eq!(codes(&mut session, &lines), [250, 550, 250, 250, 250]);
}

#[test]
fn the_sender_must_be_the_users_or_null() {
    let mut session = inside(ListenerKind::Submission);
    let lines = [
        "MAIL FROM:<boss@other.example>",
        "MAIL FROM:<x@sub.practice.example>",
        "MAIL FROM:<ANN@Practice.Example>",
        "MAIL FROM:<ann@practice.example>",
        "RSET",
        "MAIL FROM:<>",
    ];
    assert_eq!(codes(&mut session, &lines), [550, 550, 250, 503, 250, 250]);
}

#[test]
fn a_transaction_has_an_order() {
    let mut session = inside(ListenerKind::Submission);
    let lines = [
        ("RCPT TO:<b@x.example>", 503),
        ("DATA", 503),
        ("BDAT 3", 503),
        ("MAIL FROM:<>", 250),
        ("DATA", 554),
        ("BDAT 3", 554),
        ("AUTH PLAIN AA==", 503),
        ("RCPT TO:<b@x.example>", 250),
        ("RCPT TO:<B@X.example>", 250),
        ("RCPT TO:<b@X.example>", 250),
        ("RCPT TO:<c@x.example>", 250),
        ("RCPT TO:<d@x.example>", 452),
        ("NOOP", 250),
        ("HELP", 214),
        ("VRFY b", 252),
        ("EXPN all", 502),
        ("STARTTLS", 503),
        ("DATA", 0),
    ];
    for (line, code) in lines {
        assert_eq!(codes(&mut session, &[line]), [code], "{line}");
    }
    let (_, envelope) = session.finish().unwrap();
    let to: Vec<String> = envelope.to.iter().map(|to| to.mailbox.to_string()).collect();
    assert_eq!(to, ["b@x.example", "B@X.example", "c@x.example"], "the same mailbox once, byte for byte");
    assert_eq!(codes(&mut session, &["DATA", "RCPT TO:<b@x.example>"]), [503, 503], "over is over");
}

#[test]
fn chunks_and_data_do_not_mix() {
    let mut session = inside(ListenerKind::Submission);
    let lines =
        ["MAIL FROM:<>", "RCPT TO:<b@x.example>", "BDAT 3", "DATA", "RCPT TO:<c@x.example>", "MAIL FROM:<>", "BDAT 0 LAST"];
    assert_eq!(codes(&mut session, &lines), [250, 250, 0, 503, 503, 503, 0]);
    assert!(session.is_in_chunks() && session.finish().is_some() && !session.is_in_chunks());
    assert_eq!(codes(&mut session, &["MAIL FROM:<>", "RCPT TO:<b@x.example>", "BDAT 3 X", "DATA"]), [250, 250, 501, 503]);
    let step = session.on(command::parse(b"BDAT 9999999999999\r\n"));
    assert!(matches!(step.next, Next::Close));
    let step = session.on(command::parse(b"BDAT 17 LAST\r\n"));
    assert!(matches!(step.next, Next::SkipChunk { size: 17 }), "the octets follow all the same");
}

#[test]
fn ehlo_and_rset_end_a_transaction() {
    for word in ["EHLO x", "HELO x", "RSET"] {
        let mut session = inside(ListenerKind::Submission);
        assert_eq!(codes(&mut session, &["MAIL FROM:<>", "RCPT TO:<b@x.example>", word, "DATA"]), [250, 250, 250, 503]);
    }
}

#[test]
fn parameters_need_ehlo_tls_or_smtputf8_as_their_rfcs_say() {
    let lax = network(true);
    let mut session = session(ListenerKind::Relay, Some(&lax));
    let mail = "MAIL FROM:<scan@practice.example>";
    assert_eq!(codes(&mut session, &["HELO x", &format!("{mail} SIZE=10"), "EHLO x"]), [250, 555, 250]);
    assert_eq!(
        codes(&mut session, &[&format!("{mail} REQUIRETLS"), &format!("{mail} SIZE=1001"), &format!("{mail} SIZE=1000")]),
        [555, 552, 250]
    );
    assert_eq!(session.declared_bytes(), Some(1000));

    let mut session = inside(ListenerKind::Submission);
    let lines = [
        "MAIL FROM:<é@practice.example>",
        "MAIL FROM:<> REQUIRETLS",
        "RCPT TO:<用户@x.example>",
        "RCPT TO:<a@bücher.example>",
        "RSET",
        "MAIL FROM:<é@practice.example> SMTPUTF8",
        "RCPT TO:<用户@x.example>",
        "RCPT TO:<a@bücher.example> NOTIFY=NEVER",
    ];
    assert_eq!(codes(&mut session, &lines), [553, 250, 553, 553, 250, 250, 250, 250]);
}

#[test]
fn postmaster_without_domain_is_ours() {
    let mut session = inside(ListenerKind::Submission);
    assert_eq!(codes(&mut session, &["MAIL FROM:<>", "RCPT TO:<Postmaster>"]), [250, 250]);
    assert_eq!(session.finish().unwrap().1.to[0].mailbox.to_string(), "postmaster@localhost");
}

#[test]
fn starttls_needs_ehlo_and_forgets_everything() {
    let lax = network(true);
    let mut session = session(ListenerKind::Relay, Some(&lax));
    assert_eq!(
        codes(&mut session, &["STARTTLS", "HELO x", "STARTTLS", "EHLO x", "MAIL FROM:<>", "RCPT TO:<a@x.example>"]),
        [503, 250, 503, 250, 250, 250]
    );
    assert!(matches!(session.on(command::parse(b"STARTTLS\r\n")).next, Next::StartTls));
    session.tls_started("TLSv1.3");
    assert!(session.finish().is_none(), "a recipient named in clear must not count");
    assert_eq!(codes(&mut session, &["RCPT TO:<a@x.example>", "DATA", "MAIL FROM:<>"]), [503, 503, 503]);
    let ehlo = session.on(command::parse(b"EHLO x\r\n")).reply.unwrap().lines.join(" ");
    assert!(!ehlo.contains("STARTTLS") && ehlo.contains("AUTH PLAIN LOGIN"), "{ehlo}");
}

#[test]
fn too_many_errors_end_the_session() {
    let mut session = session(ListenerKind::Submission, None);
    for _ in 0..19 {
        assert_eq!(codes(&mut session, &["FOO"]), [500]);
    }
    assert!(!session.has_too_many_errors());
    assert_eq!(codes(&mut session, &["NOOP"]), [250]);
    assert!(!session.has_too_many_errors());
    assert_eq!(codes(&mut session, &["FOO"]), [500]);
    assert!(session.has_too_many_errors());
}
