//! Dialogues to the letter of the RFCs: what a client says, and the reply that must come, line by line.

use super::*;

/// Says each line and expects the start of its reply; lines of `None` are only read for.
async fn dialogue<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, lines: &[(&str, &str)]) {
    for (line, start) in lines {
        client.send(format!("{line}\r\n")).await;
        let reply = client.reply().await.unwrap_or_else(|| panic!("closed after {line}"));
        assert!(reply.starts_with(start), "{line}: {reply} instead of {start}");
    }
}

const FROM: &str = "MAIL FROM:<ann@practice.example>";

#[tokio::test]
async fn addresses_that_ask_for_a_relay_are_refused_in_every_form() {
    let world = World::new(Limits::default());
    let mut client = world.ann().await;
    client.ask(FROM, 250).await;
    // Each refusal weighs; a reset of the count is a new session.
    for (n, to) in [
        "<@a.example:b@c.example>",
        "<@a.example,@b.example:c@d.example>",
        "<b%c.example@practice.example>",
        "<c.example!b@practice.example>",
        "<\"b%c.example\"@practice.example>",
        "<\"c.example!b\"@practice.example>",
        "<b@[127.0.0.1]>",
        "<b@[IPv6:::1]>",
        "<b@127.0.0.1>",
        "<b@c.example@practice.example>",
        "<\"b@c.example\">",
        "<b>",
        "<>",
        "<@practice.example>",
        "<b@>",
        "b@c.example",
        "<b@c.example",
        "<b@c..example>",
        "<b..b@c.example>",
        "<.b@c.example>",
        "<b b@c.example>",
        "<b@c.example>x",
        "<b@c_.example,d@e.example>",
        "<b@c.example> NOTIFY=NEVER,SUCCESS",
        "<b@c.example> ORCPT=rfc822",
        "<b@c.example> ORCPT=rfc822;a+4",
        "<b@c.example> X=Y",
    ]
    .iter()
    .enumerate()
    {
        if n % 15 == 14 {
            client = world.ann().await;
            client.ask(FROM, 250).await;
        }
        client.send(format!("RCPT TO:{to}\r\n")).await;
        let reply = client.reply().await.unwrap();
        assert!(reply.starts_with("50") || reply.starts_with("55"), "{to}: {reply}");
    }
    client.ask("DATA", 554).await;
    assert!(world.desk.taken().is_empty());
}

#[tokio::test]
async fn lengths_are_as_the_rfc_says() {
    let world = World::new(Limits::default());
    let mut client = world.ann().await;
    let label = "d".repeat(60);
    // 64 octets before the @, 255 behind it, 256 with brackets (RFC 5321, section 4.5.3.1).
    let domain = |octets: usize| format!("{}.example", format!("{label}.{label}.{label}.{label}.{label}").split_at(octets - 8).0);
    client.ask(FROM, 250).await;
    client.ask(&format!("RCPT TO:<{}@x.example>", "l".repeat(64)), 250).await;
    client.send(format!("RCPT TO:<{}@x.example>\r\n", "l".repeat(65))).await;
    assert!(client.reply().await.unwrap().starts_with("501 5.1.3"));
    client.ask(&format!("RCPT TO:<l@{}>", domain(250)), 250).await;
    client.send(format!("RCPT TO:<l@{}>\r\n", domain(256))).await;
    assert!(client.reply().await.unwrap().starts_with("501 5.1.3"));
    client.send(format!("RCPT TO:<{}@{}>\r\n", "l".repeat(60), domain(195))).await;
    assert_eq!(client.reply().await.unwrap(), "501 5.1.3 The recipient's address is too long\r\n");
    client.send("RCPT TO:<l@x.example.>\r\n").await;
    assert_eq!(client.reply().await.unwrap(), "501 5.1.3 No dot may end the recipient's address\r\n");
    for line in [format!("NOOP {}", "x".repeat(600)), format!("EHLO {}", "x".repeat(600)), format!("QUIT{}", " ".repeat(600))] {
        client.ask(&line, 500).await;
    }
    client.ask("NOOP", 250).await;
}

#[tokio::test]
async fn a_login_may_fail_be_cancelled_and_be_tried_again() {
    let world = World::new(Limits::default());
    let b64 = |text: &str| STANDARD.encode(text);
    let mut client = world.mail_program().await;
    let (ann, wrong, right) = (b64("ann"), b64("wrong"), b64("right"));
    dialogue(
        &mut client,
        &[
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            (&ann, "334 UGFzc3dvcmQ6"),
            (&wrong, "535 5.7.8"),
            ("AUTH LOGIN", "334"),
            ("*", "501"),
            (FROM, "530"),
            ("AUTH EXTERNAL =", "504"),
            ("AUTH XOAUTH2 dXNlcj0=", "504"),
            // Outlook's form: the user in the first line.
            (&format!("AUTH LOGIN {ann}"), "334 UGFzc3dvcmQ6"),
            (&right, "235 2.7.0"),
            ("AUTH LOGIN", "503"),
            (FROM, "250 2.1.0"),
            ("AUTH LOGIN", "503"),
        ],
    )
    .await;
    // A MAIL that is pipelined behind a failed login finds nobody.
    let mut client = world.mail_program().await;
    client.send(format!("AUTH PLAIN {}\r\n{FROM}\r\nRCPT TO:<b@x.example>\r\nDATA\r\n", b64("\0ann\0wrong"))).await;
    for code in [535, 530, 503, 503] {
        client.expect(code).await;
    }
}

#[tokio::test]
async fn chunks_that_fail_take_their_message_with_them() {
    let world = World::new(Limits::default());
    let mut client = world.ann().await;
    // A chunk before MAIL and before RCPT: read past, refused, nothing of it heard.
    client.send("BDAT 6\r\nNOOP\r\n").await;
    client.expect(503).await;
    client.send(format!("{FROM}\r\nBDAT 6 LAST\r\nNOOP\r\nRCPT TO:<b@x.example>\r\n")).await;
    for code in [250, 554, 250] {
        client.expect(code).await;
    }
    // A bare LF in the first chunk: the rest is read past and refused.
    client.send("BDAT 3\r\na\nbBDAT 4 LAST\r\nxx\r\nNOOP\r\n").await;
    for code in [550, 503, 250] {
        client.expect(code).await;
    }
    client
        .send(format!("{FROM}\r\nRCPT TO:<b@x.example>\r\nBDAT 4\r\nab\r\nDATA\r\nRCPT TO:<c@x.example>\r\nBDAT 0 LAST\r\n"))
        .await;
    for code in [250, 250, 250, 503, 503, 250] {
        client.expect(code).await;
    }
    let taken = world.desk.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].content.as_slice(), taken[0].envelope.to.len()), (&b"ab\r\n"[..], 1));
    // A size nobody can count: nobody knows where the next command starts.
    client.ask("BDAT 99999999999", 501).await;
    assert_eq!(client.end().await, End::Unframed);
}

#[tokio::test]
async fn the_small_commands_say_what_they_must_in_every_state() {
    let world = World::new(Limits::default());
    let mut client = world.connect(ListenerKind::Submission, "198.51.100.7");
    client.expect(220).await;
    dialogue(
        &mut client,
        &[
            ("NOOP", "250 2.0.0"),
            ("RSET", "250 2.0.0"),
            ("HELP", "214 2.0.0"),
            ("VRFY ann", "252 2.5.2"),
            ("EXPN staff", "502"),
            (FROM, "503"),
            ("RCPT TO:<b@x.example>", "503"),
            ("DATA", "503"),
            ("TURN", "500"),
            ("ETRN x.example", "500"),
            ("HELO pc", "250 gate.example"),
            ("STARTTLS", "503"),
            ("AUTH PLAIN", "538"),
            (FROM, "530 5.7.0"),
            ("EHLO pc", "250"),
            ("QUIT", "221 2.0.0"),
        ],
    )
    .await;
    assert_eq!(client.end().await, End::Quit);
}

#[tokio::test]
async fn a_certificate_that_nobody_knows_is_no_permission() {
    let world = World::new(Limits::default());
    let mut client = world.mail_program().await;
    client.ask("AUTH EXTERNAL =", 504).await;
    // The row of an issued certificate is no account, whatever the password, and costs what any other costs.
    let issued = Issued { sha256: [1; 32], not_after_s: i64::MAX, messages_per_hour: None };
    let row = UserRow { verifier: issued.to_string(), ..user_row(&Issued::row_name("exchange"), "") };
    world.book.put(row);
    let before = world.book.checks();
    let text = STANDARD.encode(format!("\0cert:exchange\0{issued}"));
    client.ask(&format!("AUTH PLAIN {text}"), 535).await;
    assert_eq!(world.book.checks(), before + 1);
}

#[tokio::test]
async fn a_revoked_account_sends_nothing_more_in_a_session_that_is_open() {
    let world = World::new(Limits::default());
    let mut client = world.ann().await;
    world.book.remove("ann");
    client.ask(FROM, 530).await;
    client.ask("RCPT TO:<b@x.example>", 503).await;
}
