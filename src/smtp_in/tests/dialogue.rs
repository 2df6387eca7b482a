//! What is said, what is kept, and what never may be taken for a command.

use super::*;

#[tokio::test]
async fn a_mail_program_sends_over_starttls_and_250_names_what_is_kept() {
    let world = World::new(Limits::default());
    let mut client = world.ann().await;
    client.ask("MAIL FROM:<ann@practice.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x1", 250).await;
    client.ask("RCPT TO:<\"quo ted\"@Clinic.Example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;q@c.example", 250).await;
    client.ask("RCPT TO: <b@x.example>", 250).await;
    client.ask("DATA", 354).await;
    client.send(b"Subject: x\r\n\r\n..dot\r\nlatin \xfc\r\n.\r\n").await;
    let kept = client.expect(250).await;
    assert_eq!(kept, format!("250 2.0.0 Kept as {}\r\n", QueueId([1; 10])));
    client.ask("QUIT", 221).await;
    assert_eq!(client.end().await, End::Quit);

    let taken = world.desk.taken();
    assert_eq!(taken.len(), 1);
    let message = &taken[0];
    assert_eq!(message.content, b"Subject: x\r\n\r\n.dot\r\nlatin \xfc\r\n");
    assert_eq!(message.tls, Some("TLSv1.3"));
    assert_eq!(message.principal.name, "ann");
    assert_eq!(message.principal.bound_address.as_ref().unwrap().to_string(), "ann@practice.example");
    let to: Vec<String> = message.envelope.to.iter().map(|to| to.mailbox.to_string()).collect();
    assert_eq!(to, ["\"quo ted\"@Clinic.Example", "b@x.example"]);
    assert_eq!(message.envelope.params.envid.as_deref(), Some("x1"));
    assert!(message.envelope.to[0].params.notify.success);
}

#[tokio::test]
async fn implicit_tls_works_with_both_versions() {
    let world = World::new(Limits::default());
    for (version, name) in [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")] {
        let client = world.connect(ListenerKind::Submissions, "198.51.100.7");
        let mut client = world.handshake(client, &[version]).await.unwrap();
        client.expect(220).await;
        let ehlo = client.ask("EHLO pc", 250).await;
        assert!(ehlo.contains("AUTH PLAIN LOGIN") && !ehlo.contains("STARTTLS"), "{ehlo}");
        client.ask(&format!("AUTH PLAIN {}", STANDARD.encode("\0ann\0right")), 235).await;
        client.send("MAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n").await;
        for code in [250, 250, 354] {
            client.expect(code).await;
        }
        client.send(".\r\n").await;
        client.expect(250).await;
        let taken = world.desk.taken();
        assert_eq!((taken[0].tls, taken[0].content.len()), (Some(name), 0));
        assert!(taken[0].envelope.from.mailbox().is_none(), "the null sender");
    }
}

#[tokio::test]
async fn nothing_said_in_clear_behind_starttls_crosses_into_tls() {
    let world = World::new(Limits::default());
    for injected in ["NOOP\r\n", "EHLO x\r\nMAIL FROM:<ann@practice.example>\r\nRCPT TO:<v@x.example>\r\n", "R", "\r\n"] {
        let mut client = world.connect(ListenerKind::Relay, "192.0.2.1");
        client.expect(220).await;
        client.ask("EHLO x", 250).await;
        client.send(format!("STARTTLS\r\n{injected}")).await;
        client.expect(554).await;
        assert_eq!(client.end().await, End::Injection, "{injected:?}");
    }
    // What comes later meets the handshake, not the dialogue.
    let mut client = world.connect(ListenerKind::Relay, "192.0.2.1");
    client.expect(220).await;
    client.ask("EHLO x", 250).await;
    client.ask("STARTTLS", 220).await;
    client.send("MAIL FROM:<ann@practice.example>\r\nRCPT TO:<v@x.example>\r\n").await;
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"2") && !rest.windows(4).any(|w| w == b"250 "), "answered in clear");
    assert_eq!(client.session.take().unwrap().await.unwrap(), End::TlsFailed);
}

#[tokio::test]
async fn starttls_forgets_what_was_said_before() {
    let world = World::new(Limits::default());
    let mut client = world.scanner().await;
    client.ask("MAIL FROM:<scan@practice.example>", 250).await;
    client.ask("RCPT TO:<v@x.example>", 250).await;
    client.ask("STARTTLS", 220).await;
    let mut client = world.start_tls(client).await;
    client.ask("DATA", 503).await;
    client.ask("RCPT TO:<v@x.example>", 503).await;
    client.ask("MAIL FROM:<scan@practice.example>", 503).await;
    client.ask("EHLO x", 250).await;
    client.ask("STARTTLS", 503).await;
    client.ask("MAIL FROM:<scan@practice.example>", 250).await;
}

#[tokio::test]
async fn every_form_of_auth_works_inside_tls_only() {
    let world = World::new(Limits::default());
    let b64 = |text: &str| STANDARD.encode(text);
    let plain = b64("\0ann\0right");
    let forms: &[(&str, &[&str], u16)] = &[
        ("AUTH PLAIN", &["*"], 501),
        ("AUTH LOGIN", &["*"], 501),
        ("AUTH PLAIN =", &[], 501),
        ("AUTH CRAM-MD5", &[], 504),
        ("AUTH PLAIN", &[&plain], 235),
        ("auth plain", &[&plain], 235),
        ("AUTH LOGIN", &[&b64("ann"), &b64("right")], 235),
        (&format!("AUTH LOGIN {}", b64("ann")), &[&b64("right")], 235),
        (&format!("AUTH PLAIN {}", b64("\0ann\0wrong")), &[], 535),
        (&format!("AUTH PLAIN {}", b64("\0nobody\0right")), &[], 535),
    ];
    for (first, answers, code) in forms {
        let mut client = world.mail_program().await;
        client.send(format!("{first}\r\n")).await;
        for answer in *answers {
            client.expect(334).await;
            client.send(format!("{answer}\r\n")).await;
        }
        client.expect(*code).await;
        if *code == 235 {
            client.ask(&format!("AUTH PLAIN {plain}"), 503).await;
            let ehlo = client.ask("EHLO pc", 250).await;
            assert!(!ehlo.contains("AUTH"), "{ehlo}");
            client.ask("MAIL FROM:<ann@practice.example>", 250).await;
        } else {
            client.ask("MAIL FROM:<ann@practice.example>", 530).await;
        }
    }
    let mut clear = world.scanner().await;
    clear.ask(&format!("AUTH PLAIN {plain}"), 538).await;
    clear.ask("AUTH LOGIN", 538).await;
}

#[tokio::test]
async fn guessing_ends_the_session() {
    let world = World::new(Limits::default());
    let mut client = world.mail_program().await;
    for guess in 0..5 {
        client.ask(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0ann\0guess {guess}"))), 535).await;
    }
    client.expect(421).await;
    assert_eq!(client.end().await, End::TooManyErrors);
    assert_eq!((world.book.checks(), world.book.uses.load(Ordering::SeqCst)), (5, 0));
}

#[tokio::test]
async fn strangers_relay_nothing() {
    let world = World::new(Limits::default());
    for kind in [ListenerKind::Relay, ListenerKind::Submission] {
        for peer in ["127.0.0.1", "::1", "203.0.113.9", "::ffff:203.0.113.9"] {
            let mut client = world.connect(kind, peer);
            client.expect(220).await;
            client.ask("EHLO x", 250).await;
            client.ask("MAIL FROM:<ann@practice.example>", 530).await;
            client.ask("STARTTLS", 220).await;
            let mut client = world.start_tls(client).await;
            client.ask("EHLO x", 250).await;
            for from in ["<ann@practice.example>", "<>", "<postmaster@gate.example>"] {
                client.ask(&format!("MAIL FROM:{from}"), if kind == ListenerKind::Relay { 550 } else { 530 }).await;
                client.ask("RCPT TO:<b@x.example>", 503).await;
                client.ask("DATA", 503).await;
            }
        }
    }
    assert!(world.desk.taken().is_empty());
}

#[tokio::test]
async fn commands_in_one_go_are_answered_in_one_go() {
    let world = World::new(Limits::default());
    let mut client = world.scanner().await;
    let mut batch = String::from("MAIL FROM:<scan@practice.example>\r\n");
    for at in 0..100 {
        batch.push_str(&format!("RCPT TO:<r{at}@x.example>\r\n"));
    }
    batch.push_str("RCPT TO:<bad address>\r\nDATA\r\n");
    client.send(batch).await;
    for _ in 0..101 {
        client.expect(250).await;
    }
    client.expect(501).await;
    client.expect(354).await;
    assert!(client.input.is_empty());
    client.send("one\r\n.\r\nMAIL FROM:<scan@practice.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\ntwo\r\n.\r\nQUIT\r\n").await;
    for code in [250, 250, 250, 354, 250, 221] {
        client.expect(code).await;
    }
    assert_eq!(client.end().await, End::Quit);
    let taken = world.desk.taken();
    assert_eq!(
        taken.iter().map(|t| (t.envelope.to.len(), &t.content[..])).collect::<Vec<_>>(),
        [(100, &b"one\r\n"[..]), (1, &b"two\r\n"[..])]
    );
}

/// Forms that other servers took for the end of a message.
const SMUGGLING: [&[u8]; 20] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r.\n",
    b"\n.\r",
    b"\r\n.\r\r\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\n\n.\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r.\r\n",
    b"\n.\n\n",
    b"\r\n.\n\r\n",
    b"\n\r.\n\r",
    b"\r\n.\r\x00\n",
    b"\r\n.\n.\r\n",
    b"\r\r.\r\r",
];

#[tokio::test]
async fn no_smuggled_message_is_taken_whatever_the_pieces() {
    let world = World::new(Limits { session: Duration::from_secs(3600), ..Limits::default() });
    for form in SMUGGLING {
        let mut client = world.scanner().await;
        let mut wire = b"Subject: one\r\n\r\nfirst".to_vec();
        wire.extend_from_slice(form);
        wire.extend_from_slice(b"MAIL FROM:<scan@practice.example>\r\nRCPT TO:<v@x.example>\r\nDATA\r\ntwo\r\n.\r\nNOOP\r\n");
        for step in 1..=wire.len() {
            client.send("MAIL FROM:<scan@practice.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n").await;
            for code in [250, 250, 354] {
                client.expect(code).await;
            }
            for piece in wire.chunks(step) {
                client.send(piece).await;
                tokio::task::yield_now().await;
            }
            let refused = client.expect(550).await;
            assert!(refused.starts_with("550 5.6.11 "), "{form:?} step {step}: {refused}");
            client.expect(250).await;
        }
        client.ask("QUIT", 221).await;
        assert_eq!(client.end().await, End::Quit);
    }
    assert!(world.desk.taken().is_empty());
}

#[tokio::test]
async fn chunks_are_counted_octet_by_octet() {
    let world = World::new(Limits::default());
    let mut client = world.scanner().await;
    let start = "MAIL FROM:<scan@practice.example>\r\nRCPT TO:<b@x.example>\r\n";
    // All in one go, a line end split between chunks, a dot line that means nothing.
    client.send(format!("{start}BDAT 2\r\na\rBDAT 4\r\n\n.\r\nBDAT 0\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")).await;
    for code in [250, 250, 250, 250, 250, 250, 250] {
        client.expect(code).await;
    }
    assert_eq!(world.desk.taken()[0].content, b"a\r\n.\r\nQUIT\r\n");
    // No final line end: it gets one.
    client.send(format!("{start}BDAT 1 LAST\r\nx")).await;
    for code in [250, 250, 250] {
        client.expect(code).await;
    }
    assert_eq!(world.desk.taken()[0].content, b"x\r\n");
    // A bare line end in any chunk; chunks on their way are read past, the session goes on.
    client.send(format!("{start}BDAT 3\r\na\nbBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")).await;
    for code in [250, 250, 550, 503, 503, 250] {
        client.expect(code).await;
    }
    client.send(format!("{start}BDAT 2 LAST\r\na\r")).await;
    for code in [250, 250, 550] {
        client.expect(code).await;
    }
    // Without a transaction, or with a line that is wrong behind the size: the octets are never commands.
    client.send("BDAT 6 LAST\r\nQUIT\r\nBDAT 6 MORE\r\nQUIT\r\nMAIL FROM:<>\r\nBDAT 6\r\nQUIT\r\nNOOP\r\n").await;
    for code in [503, 501, 250, 554, 250] {
        client.expect(code).await;
    }
    // RSET drops the chunks so far; DATA and BDAT do not mix.
    client.send(format!("RSET\r\n{start}BDAT 3\r\na\r\nDATA\r\nRSET\r\n{start}DATA\r\n")).await;
    for code in [250, 250, 250, 250, 503, 250, 250, 250, 354] {
        client.expect(code).await;
    }
    client.send("b\r\n.\r\n").await;
    client.expect(250).await;
    let taken = world.desk.taken();
    assert_eq!((taken.len(), &taken[0].content[..]), (1, &b"b\r\n"[..]));
    // A size nobody can count: the end cannot be found, so the session ends.
    client.send(format!("{start}BDAT 99999999999999999999999 LAST\r\nQUIT\r\n")).await;
    for code in [250, 250, 501] {
        client.expect(code).await;
    }
    client.end().await;
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reference_and_the_session_goes_on() {
    let world = World::new(Limits::default());
    let mut client = world.scanner().await;
    world.desk.answers.lock().unwrap().extend([Refused::Policy { message: QueueId([9; 10]) }, Refused::StoreFailed]);
    for answer in
        [format!("550 5.7.1 This message needs approval by the practice (ref {})", QueueId([9; 10])), "451 4.3.0".into()]
    {
        client.ask("MAIL FROM:<scan@practice.example>", 250).await;
        client.ask("RCPT TO:<b@x.example>", 250).await;
        client.ask("DATA", 354).await;
        client.send("x\r\n.\r\n").await;
        let reply = client.reply().await.unwrap();
        assert!(reply.starts_with(&answer), "{reply}");
    }
    client.ask("NOOP", 250).await;
}

#[tokio::test]
async fn a_new_certificate_serves_new_sessions_and_cuts_none() {
    let mut world = World::new(Limits::default());
    let mut before = world.ann().await;
    let (new, config) = certificate();
    world.tls.replace(TlsConfigs { programs: Arc::clone(&config), servers: config });
    let old = std::mem::replace(&mut world.certificate, new);
    before.ask("NOOP", 250).await;
    world.mail_program().await;
    world.certificate = old;
    let client = world.connect(ListenerKind::Submissions, "198.51.100.7");
    assert!(world.handshake(client, &[&rustls::version::TLS13]).await.is_err(), "the old certificate is still served");
}

#[tokio::test]
async fn lines_that_do_not_end_with_crlf_are_no_commands() {
    let world = World::new(Limits::default());
    // What follows may be what somebody smuggled into an argument: nothing of it is heard.
    for line in ["NOOP\n", "NO\rOP\r\n", "NOOP\0\r\n", "MAIL FROM:<scan@practice.example>\nNOOP\r\n", "\n"] {
        let mut client = world.scanner().await;
        client.send(format!("{line}NOOP\r\nQUIT\r\n")).await;
        client.expect(500).await;
        assert_eq!(client.end().await, End::Unframed, "{line:?}");
    }
    let mut client = world.mail_program().await;
    client.send("AUTH LOGIN\r\nYW5u\nNOOP\r\n").await;
    client.expect(334).await;
    client.expect(501).await;
    assert_eq!(client.end().await, End::Unframed);
    let mut client = world.scanner().await;
    client.send("POST / HTTP/1.1\r\nMAIL FROM:<scan@practice.example>\r\n").await;
    client.expect(554).await;
    client.end().await;
}
