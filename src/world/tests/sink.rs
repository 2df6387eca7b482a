use std::sync::Arc;

use rustls::ProtocolVersion;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::client::{connect, trusting, verifying};
use crate::world::{Ca, Leaf, Offers, Recipient, Sink, SinkSettings, Step, Versions, When};

async fn sink(settings: SinkSettings) -> Sink {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Sink::serve(listener, SinkSettings { host: "mx.test".to_owned(), ..settings }).unwrap()
}

async fn secure(versions: Versions) -> (Sink, Ca) {
    let ca = Ca::new("test").unwrap();
    let tls = Some(ca.leaf(&["mx.test"]).unwrap().server_config(versions).unwrap());
    (sink(SinkSettings { tls, ..SinkSettings::default() }).await, ca)
}

#[tokio::test]
async fn a_message_over_tls_leaves_only_the_greeting_in_clear() {
    for (versions, expected) in [(Versions::Only12, ProtocolVersion::TLSv1_2), (Versions::Only13, ProtocolVersion::TLSv1_3)] {
        let (sink, ca) = secure(versions).await;
        let client = connect(sink.address()).await;
        let mut client = client.start_tls("mx.test", verifying(&ca.pem(), Versions::Both)).await.unwrap();
        let content = "Subject: x\r\n\r\n..dots\r\n\r\nend\r\n";
        assert_eq!(client.send("a@practice.example", "b@mx.test", content).await, Some(250));
        assert_eq!(client.code("QUIT").await, 221);
        sink.wait_for_silence().await;

        assert_eq!(sink.clear_bytes(), b"EHLO gateway.example\r\nSTARTTLS\r\n");
        let [message] = sink.messages().try_into().unwrap();
        assert_eq!(message.content, b"Subject: x\r\n\r\n.dots\r\n\r\nend\r\n");
        assert_eq!((message.from.as_str(), message.recipients[0].address.as_str()), ("a@practice.example", "b@mx.test"));
        let tls = message.tls.unwrap();
        assert_eq!((tls.version, tls.resumed, tls.sni.as_deref()), (Some(expected), false, Some("mx.test")));
        let commands = &sink.connections()[0].commands;
        assert_eq!(commands.last().unwrap(), "QUIT");
        assert_eq!((sink.connection_count(), sink.handshake_count(), sink.message_count()), (1, 1, 1));
    }
}

#[tokio::test]
async fn a_second_connection_resumes_and_a_new_certificate_ends_that() {
    for versions in [Versions::Only12, Versions::Only13] {
        let (sink, ca) = secure(versions).await;
        let config = verifying(&ca.pem(), versions);
        for resumed in [0, 1] {
            let mut client = connect(sink.address()).await.start_tls("mx.test", Arc::clone(&config)).await.unwrap();
            assert_eq!(client.code("QUIT").await, 221);
            assert_eq!(client.reply().await, None);
            assert_eq!(sink.resumed_count(), resumed, "{versions:?}");
        }
        sink.set_tls(Some(Leaf::self_signed(&["mx.test"]).unwrap().server_config(versions).unwrap()));
        let client = connect(sink.address()).await;
        assert!(client.start_tls("mx.test", Arc::clone(&config)).await.is_err());
        sink.wait_for_silence().await;
        assert!(sink.connections()[2].handshake_failed);
        assert_eq!((sink.handshake_count(), sink.resumed_count()), (2, 1));
    }
}

#[tokio::test]
async fn what_follows_starttls_in_clear_is_recorded_and_never_obeyed() {
    let (sink, _) = secure(Versions::Both).await;
    let mut client = connect(sink.address()).await;
    client.write(b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@x>\r\n").await;
    assert_eq!(client.reply().await.unwrap().0, 250);
    assert_eq!(client.reply().await.unwrap().0, 220);
    assert_eq!(client.reply().await, None);
    sink.wait_for_silence().await;
    assert!(sink.clear_bytes().ends_with(b"STARTTLS\r\nMAIL FROM:<evil@x>\r\n"));
    assert_eq!(sink.handshake_count(), 0);
}

#[tokio::test]
async fn only_what_is_offered_is_taken() {
    let all = Offers { require_tls: true, ..Offers::default() };
    let none = Offers {
        pipelining: false,
        eight_bit_mime: false,
        smtp_utf8: false,
        chunking: false,
        dsn: false,
        enhanced_codes: false,
        require_tls: false,
        size: None,
    };
    let parameters = ["SIZE=10", "BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=q", "REQUIRETLS"];
    for (offers, code) in [(all, 250), (none, 555)] {
        let (sink, _) = secure(Versions::Both).await;
        sink.set_offers(offers);
        let mut client = connect(sink.address()).await.start_tls("mx.test", trusting(Versions::Both)).await.unwrap();
        let greeting = client.ask("EHLO x").await.unwrap().1;
        assert_eq!(greeting.lines().count(), if code == 250 { 9 } else { 1 }, "{greeting}");
        for parameter in parameters {
            assert_eq!(client.code("RSET").await, 250);
            assert_eq!(client.code(&format!("MAIL FROM:<> {parameter}")).await, code, "{parameter}");
        }
        assert_eq!(client.code("RSET").await, 250);
        assert_eq!(client.code("MAIL FROM:<>").await, 250);
        assert_eq!(client.code("RCPT TO:<a@b> NOTIFY=NEVER ORCPT=rfc822;a@b").await, code);
    }
    // RFC 8689, section 2: not before TLS.
    let (sink, _) = secure(Versions::Both).await;
    sink.set_offers(all);
    let mut client = connect(sink.address()).await;
    assert!(!client.ask("EHLO x").await.unwrap().1.contains("REQUIRETLS"));
    assert_eq!(client.code("MAIL FROM:<> REQUIRETLS").await, 555);
    assert_eq!(client.code("MAIL FROM:<> SIZE=99999999999").await, 552);
    // Without STARTTLS it is neither offered nor taken.
    sink.set_tls(None);
    let mut client = connect(sink.address()).await;
    assert!(!client.ask("EHLO x").await.unwrap().1.contains("STARTTLS"));
    assert_eq!(client.code("STARTTLS").await, 502);
}

#[tokio::test]
async fn a_pipelined_group_and_chunks_make_whole_messages() {
    let sink = sink(SinkSettings::default()).await;
    let mut client = connect(sink.address()).await;
    assert_eq!(client.code("EHLO x").await, 250);
    client
        .write(b"MAIL FROM:<\"a>b\"@x> SIZE=3\r\nRCPT TO:<one@y>\r\nRCPT TO:<two@y> NOTIFY=NEVER\r\nBDAT 4\r\nab\r\nBDAT 3 LAST\r\n\n\r.RSET\r\n")
        .await;
    for _ in 0..6 {
        assert_eq!(client.reply().await.unwrap().0, 250);
    }
    client.write(b"MAIL FROM:<>\r\nRCPT TO:<three@y>\r\nDATA\r\n").await;
    for code in [250, 250, 354] {
        assert_eq!(client.reply().await.unwrap().0, code);
    }
    // Only CRLF.CRLF ends the content (RFC 5321, section 4.1.1.4).
    client.write(b".\n\n.\r\nx\r.\r\n\r\n.\r\n").await;
    assert_eq!(client.reply().await.unwrap().0, 250);
    client.write(b"MAIL FROM:<>\r\nRCPT TO:<four@y>\r\nDATA\r\n").await;
    for code in [250, 250, 354] {
        assert_eq!(client.reply().await.unwrap().0, code);
    }
    assert_eq!(client.code(".").await, 250);

    let [chunked, plain, empty] = sink.messages().try_into().unwrap();
    assert_eq!((chunked.from.as_str(), chunked.mail_parameters.as_str()), ("\"a>b\"@x", "SIZE=3"));
    let two = Recipient { address: "two@y".to_owned(), parameters: "NOTIFY=NEVER".to_owned() };
    assert_eq!((chunked.recipients.len(), &chunked.recipients[1]), (2, &two));
    assert_eq!((chunked.content.as_slice(), chunked.tls), (b"ab\r\n\n\r.".as_slice(), None));
    assert_eq!(plain.content, b"\n\n.\r\nx\r.\r\n\r\n");
    assert_eq!(empty.content, b"");
    assert!(sink.clear_bytes().windows(7).any(|bytes| bytes == b"ab\r\nBDA"));
    assert_eq!((sink.message_count(), sink.recipient_count(), sink.octet_count()), (3, 4, 7 + 12));
}

#[tokio::test]
async fn bad_sequences_and_too_much_are_refused() {
    let sink = sink(SinkSettings { offers: Offers { size: Some(10), ..Offers::default() }, ..SinkSettings::default() }).await;
    let mut client = connect(sink.address()).await;
    for (line, code) in [
        ("MAIL FROM:<a@b>", 503),
        ("EHLO", 501),
        ("EHLO x", 250),
        ("RCPT TO:<a@b>", 503),
        ("DATA", 503),
        ("MAIL FROM:a@b", 501),
        ("MAIL FROM:<a@b>x", 501),
        ("MAIL FROM:<a@b>", 250),
        ("MAIL FROM:<a@b>", 503),
        ("DATA", 554),
        ("RCPT TO:<>", 501),
        ("RCPT TO:<a@b>", 250),
        ("NOSUCH", 500),
        ("DATA", 354),
        ("far too long\r\n.", 552),
        ("MAIL FROM:<a@b>", 250),
        ("BDAT 2\r\nx", 503),
        ("RCPT TO:<a@b>", 250),
        ("BDAT 12 LAST\r\n0123456789", 552),
        ("RCPT TO:<a@b>", 503),
    ] {
        // "BDAT 2" is followed by "x" and the CR of the line end; its LF is a line of its own.
        assert_eq!(client.code(line).await, code, "{line}");
        if line.starts_with("BDAT 2") {
            assert_eq!(client.reply().await.unwrap().0, 500);
        }
    }
    assert_eq!(client.ask("BDAT x").await.unwrap().0, 501);
    assert_eq!(client.reply().await, None);
    assert_eq!(sink.message_count(), 0);
}

#[tokio::test]
async fn the_script_answers_drops_and_waits() {
    let sink = sink(SinkSettings::default()).await;
    sink.always(When::Rcpt(Some("Gone@y".to_owned())), Step::Reply("550 5.1.1 no such user".to_owned()));
    sink.times(1, When::Content(Some("later@y".to_owned())), Step::Reply("451 4.3.0 later".to_owned()));
    let mut client = connect(sink.address()).await;
    assert_eq!(client.code("EHLO x").await, 250);
    assert_eq!(client.code("MAIL FROM:<>").await, 250);
    assert_eq!(client.code("RCPT TO:<gone@y>").await, 550);
    assert_eq!(client.code("DATA").await, 554);
    assert_eq!(client.code("RSET").await, 250);
    assert_eq!(client.send("", "later@y", "").await, Some(451));
    assert_eq!(sink.message_count(), 0);
    assert_eq!(client.send("", "later@y", "").await, Some(250));
    assert_eq!(sink.message_count(), 1);

    sink.times(1, When::Content(None), Step::KeepAndDrop);
    assert_eq!(client.send("", "unsure@y", "").await, None);
    assert_eq!(sink.message_count(), 2);

    let gate = Arc::new(Notify::new());
    sink.times(1, When::Content(None), Step::Wait(Arc::clone(&gate)));
    sink.times(1, When::Mail, Step::Reply("421 4.3.2 going down".to_owned()));
    let mut client = connect(sink.address()).await;
    assert_eq!(client.code("EHLO x").await, 250);
    assert_eq!(client.code("MAIL FROM:<>").await, 421);
    assert_eq!(client.reply().await, None);
    let mut client = connect(sink.address()).await;
    assert_eq!(client.code("EHLO x").await, 250);
    gate.notify_one();
    assert_eq!(client.send("", "patient@y", "").await, Some(250));
    assert_eq!(sink.wait_for_messages(3).await.len(), 3);

    sink.clear_script();
    sink.times(1, When::Connect, Step::Drop);
    let mut raw = super::client::Client {
        stream: tokio::io::BufReader::new(tokio::net::TcpStream::connect(sink.address()).await.unwrap()),
    };
    assert_eq!(raw.reply().await, None);
    sink.wait_for_connections(4).await;
}

#[tokio::test]
async fn a_handshake_can_be_cut_off_or_talked_into() {
    let (sink, ca) = secure(Versions::Both).await;
    let config = || verifying(&ca.pem(), Versions::Both);
    sink.times(1, When::Handshake, Step::Drop);
    assert!(connect(sink.address()).await.start_tls("mx.test", config()).await.is_err());
    sink.times(1, When::StartTls, Step::Reply("454 4.7.0 not now".to_owned()));
    let mut client = connect(sink.address()).await;
    assert_eq!(client.code("EHLO x").await, 250);
    assert_eq!(client.code("STARTTLS").await, 454);
    assert_eq!(client.code("NOOP").await, 250);
    sink.times(1, When::Handshake, Step::Reply("250 slipped in".to_owned()));
    assert_eq!(client.code("STARTTLS").await, 220);
    assert_eq!(client.reply().await.unwrap(), (250, "250 slipped in\r\n".to_owned()));
    assert!(connect(sink.address()).await.start_tls("mx.test", config()).await.is_ok());
}

#[tokio::test]
async fn a_host_goes_down_and_comes_back_at_its_address() {
    let sink = sink(SinkSettings::default()).await;
    let mut client = connect(sink.address()).await;
    sink.pause().await;
    assert_eq!(client.reply().await, None);
    let refused = tokio::net::TcpStream::connect(sink.address()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    sink.resume().await.unwrap();
    let mut client = connect(sink.address()).await;
    assert_eq!(client.code("EHLO x").await, 250);
    assert_eq!(sink.connection_count(), 2);
}

#[tokio::test]
async fn a_counting_sink_keeps_nothing() {
    let sink = sink(SinkSettings { only_count: true, ..SinkSettings::default() }).await;
    let mut client = connect(sink.address()).await;
    assert_eq!(client.code("EHLO x").await, 250);
    assert_eq!(client.send("", "a@y", "12345\r\n").await, Some(250));
    assert_eq!((sink.message_count(), sink.octet_count()), (1, 7));
    assert!(sink.messages().is_empty() && sink.connections().is_empty());
}
