//! Who may send without a password: holders of certificates, devices behind a fence, tenants of a shared mail service.
//! And that nobody may for longer than he was allowed to.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use wardpost::observe::metrics;
use wardpost::server::{Answer, Request};
use wardpost::world::{Leaf, Shape, World};

use crate::support::{Folder, Gateway, message};

const TO: &str = "pat@verified.example";

async fn world() -> World {
    let world = World::empty().await.unwrap();
    world.add("verified.example", Shape::Verified).await.unwrap();
    world
}

/// A server or device that speaks SMTP, and reads each reply before it goes on.
struct Peer<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// The next reply, all its lines.
    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            let octets = self.stream.read_line(&mut line).await.unwrap_or(0);
            reply.push_str(&line);
            if octets == 0 || line.as_bytes().get(3) == Some(&b' ') {
                return reply;
            }
        }
    }

    async fn ask(&mut self, line: &str) -> String {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
        self.reply().await
    }

    async fn expect(&mut self, line: &str, start: &str) {
        let reply = self.ask(line).await;
        assert!(reply.starts_with(start), "{line}: {reply} instead of {start}");
    }

    /// Sends a message; the answer to what was last asked.
    async fn send(&mut self, from: &str, to: &str, text: &str) -> String {
        for (line, start) in [(format!("MAIL FROM:<{from}>"), "250"), (format!("RCPT TO:<{to}>"), "250"), ("DATA".into(), "354")]
        {
            let reply = self.ask(&line).await;
            if !reply.starts_with(start) {
                let _ = self.ask("RSET").await;
                return reply;
            }
        }
        self.ask(&format!("{text}.")).await
    }
}

async fn in_clear(gateway: &Gateway, listener: &str) -> Peer<TcpStream> {
    let stream = TcpStream::connect(gateway.running.address(listener).unwrap()).await.unwrap();
    let mut peer = Peer { stream: BufReader::new(stream) };
    assert!(peer.reply().await.starts_with("220"));
    peer
}

/// Chain and key, PEM.
type Identity = (String, String);

async fn over_starttls(gateway: &Gateway, listener: &str, identity: Option<&Identity>) -> Peer<TlsStream<TcpStream>> {
    let mut clear = in_clear(gateway, listener).await;
    clear.expect("EHLO mail.practice.example", "250").await;
    clear.expect("STARTTLS", "220").await;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&gateway.running.own_certificate().unwrap()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), clear.stream.into_inner()).await.unwrap();
    Peer { stream: BufReader::new(stream) }
}

async fn issue(gateway: &Gateway, name: &str, messages_per_hour: Option<u32>) -> Identity {
    let request = Request::CertIssue {
        name: name.into(),
        send_as: vec!["@practice.example".into()],
        bound_address: Some("office@practice.example".into()),
        days: 397,
        messages_per_hour,
    };
    let Answer::Files { mut files, .. } = gateway.ask(request).await else { panic!("no certificate") };
    assert_eq!(files.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>(), [format!("{name}.pem"), format!("{name}.key")]);
    let key = files.pop().unwrap().1;
    (files.pop().unwrap().1, key)
}

fn mail(id: &str) -> String {
    message(id, TO, "Hello", "the quince")
}

/// A server with an issued certificate relays from anywhere, as its own domains only, until it is revoked.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ours_relays_until_it_is_revoked() {
    let mut gateway = Gateway::start(world().await).await;
    let identity = issue(&gateway, "exchange", Some(3)).await;
    // The first one: from now on the listeners ask.
    gateway.running.reload().await.unwrap();

    let mut stranger = over_starttls(&gateway, "relay", None).await;
    let ehlo = stranger.ask("EHLO x").await;
    assert!(!ehlo.contains("EXTERNAL"), "{ehlo}");
    stranger.expect("AUTH EXTERNAL =", "504").await;
    stranger.expect("MAIL FROM:<ann@practice.example>", "550 5.7.1").await;

    // As relay permission, without a word.
    let mut server = over_starttls(&gateway, "relay", Some(&identity)).await;
    let ehlo = server.ask("EHLO x").await;
    assert!(ehlo.contains("AUTH PLAIN LOGIN EXTERNAL"), "{ehlo}");
    let answer = server.send("ann@practice.example", TO, &mail("relay@practice.example")).await;
    assert!(answer.starts_with("250"), "{answer}");
    let answer = server.send("ann@other.example", TO, &mail("other@practice.example")).await;
    assert!(answer.starts_with("550 5.7.1"), "{answer}");

    // As SASL EXTERNAL, with and without a name, and never under another's.
    for (line, start) in
        [("AUTH EXTERNAL =", "235"), ("AUTH EXTERNAL ZXhjaGFuZ2U=", "235"), ("AUTH EXTERNAL YW5uQHByYWN0aWNlLmV4YW1wbGU=", "535")]
    {
        let mut server = over_starttls(&gateway, "submission", Some(&identity)).await;
        server.expect("EHLO x", "250").await;
        server.expect(line, start).await;
    }
    let mut server = over_starttls(&gateway, "submission", Some(&identity)).await;
    server.expect("EHLO x", "250").await;
    server.expect("AUTH EXTERNAL", "334").await;
    server.expect("", "235").await;
    let answer = server.send("ann@practice.example", TO, &mail("external@practice.example")).await;
    assert!(answer.starts_with("250"), "{answer}");
    gateway.settle().await;
    for id in ["relay@practice.example", "external@practice.example"] {
        assert_eq!(gateway.fates(id).await[0].1, "delivered", "{id}");
    }

    // Its hour is used up with the third.
    let answer = server.send("ann@practice.example", TO, &mail("third@practice.example")).await;
    assert!(answer.starts_with("250"), "{answer}");
    let answer = server.send("ann@practice.example", TO, &mail("fourth@practice.example")).await;
    assert!(answer.starts_with("451 4.7.1"), "{answer}");

    let rows = gateway.rows(Request::CertList).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["name"], "exchange");
    assert!((396..=397).contains(&rows[0]["days_left"].as_i64().unwrap()), "{rows:?}");
    assert!(rows[0]["last_peer"].is_string() && rows[0]["last_used_at"].is_string(), "{rows:?}");
    assert_eq!(gateway.rows(Request::UserList).await.len(), 1, "a certificate is no user");
    // A second one of that name could be anybody's, and its row is no account.
    let again = gateway
        .ask(Request::CertIssue {
            name: "exchange".into(),
            send_as: vec!["@practice.example".into()],
            bound_address: None,
            days: 1,
            messages_per_hour: None,
        })
        .await;
    assert!(matches!(again, Answer::Refused(_)), "{again:?}");

    // Somebody else's certificate under the same name gives nothing.
    let forged = Leaf::self_signed(&["exchange"]).unwrap();
    let mut forger = over_starttls(&gateway, "relay", Some(&(forged.chain_pem(), forged.key_pem()))).await;
    forger.expect("EHLO x", "250").await;
    forger.expect("MAIL FROM:<ann@practice.example>", "550 5.7.1").await;

    assert!(matches!(gateway.ask(Request::CertRevoke { name: "exchange".into() }).await, Answer::Text(_)));
    let mut server = over_starttls(&gateway, "relay", Some(&identity)).await;
    server.expect("EHLO x", "250").await;
    server.expect("MAIL FROM:<ann@practice.example>", "550 5.7.1").await;
    gateway.stop().await;
}

/// A certificate that the configuration names, by itself or by its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_certificate_relays_and_another_does_not() {
    let (pinned, by_key, foreign) = (
        Leaf::self_signed(&["mail.clinic.example"]).unwrap(),
        Leaf::self_signed(&["mail2.clinic.example"]).unwrap(),
        Leaf::self_signed(&["mail.clinic.example"]).unwrap(),
    );
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let section = format!(
        "[[client_certificate]]\nname = \"clinic\"\nsha256 = [\"{}\", \"{}\"]\nsender_domains = [\"practice.example\"]\n",
        hex(&pinned.sha256().unwrap()),
        hex(&by_key.tlsa(3, 1, 1).unwrap().association),
    );
    let gateway = Gateway::start_with(world().await, |config| format!("{config}{section}")).await;
    for (leaf, start) in [(&pinned, "250"), (&by_key, "250"), (&foreign, "550 5.7.1")] {
        let mut server = over_starttls(&gateway, "relay", Some(&(leaf.chain_pem(), leaf.key_pem()))).await;
        server.expect("EHLO x", "250").await;
        server.expect("MAIL FROM:<ann@practice.example>", start).await;
    }
    gateway.stop().await;
}

/// A copier without TLS: one sender, few recipients, little in an hour, counted; nothing else passes the fence.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_device_sends_through_its_fence_and_nothing_else_does() {
    let section = "[[legacy]]\nname = \"copier\"\nlisten = \"127.0.0.1:0\"\naddresses = [\"127.0.0.1\"]\n\
         sender = \"copier@practice.example\"\nrecipients = [\"@verified.example\"]\nmax_message = \"4KiB\"\n\
         max_recipients = 2\nmessages_per_hour = 2\n";
    let gateway = Gateway::start_with(world().await, |config| format!("{config}{section}")).await;
    let before = metrics().legacy_messages.get();
    let mut copier = in_clear(&gateway, "legacy").await;
    let ehlo = copier.ask("EHLO copier").await;
    assert!(!ehlo.contains("STARTTLS") && !ehlo.contains("AUTH") && ehlo.contains("SIZE 4096"), "{ehlo}");
    copier.expect("STARTTLS", "502").await;
    copier.expect("AUTH PLAIN AGFubgByaWdodA==", "538").await;
    for (from, to, start) in [
        ("ann@practice.example", TO, "550 5.7.1"),
        ("", TO, "550 5.7.1"),
        ("copier@practice.example", "pat@other.example", "550 5.7.1"),
        ("copier@practice.example", "postmaster", "550 5.7.1"),
    ] {
        let answer = copier.send(from, to, "x\r\n").await;
        assert!(answer.starts_with(start), "{from} {to}: {answer}");
    }
    copier.expect("MAIL FROM:<copier@practice.example> SIZE=4097", "552").await;
    copier.expect("MAIL FROM:<copier@practice.example>", "250").await;
    for (to, start) in [("a", "250"), ("b", "250"), ("c", "452 4.5.3")] {
        copier.expect(&format!("RCPT TO:<{to}@verified.example>"), start).await;
    }
    copier.expect("RSET", "250").await;
    // The author must be the device, too.
    let answer = copier.send("copier@practice.example", TO, &mail("forged@practice.example")).await;
    assert!(answer.starts_with("550 5.7.1"), "{answer}");
    let scan = mail("scan@practice.example").replace("Ann <ann@practice.example>", "copier@practice.example");
    let answer = copier.send("copier@practice.example", TO, &scan).await;
    assert!(answer.starts_with("250"), "{answer}");
    let answer = copier.send("copier@practice.example", TO, &scan).await;
    assert!(answer.starts_with("451 4.7.1"), "{answer}");
    assert_eq!(metrics().legacy_messages.get() - before, 2);
    gateway.settle().await;
    assert_eq!(gateway.fates("scan@practice.example").await[0].1, "delivered");
    gateway.stop().await;
}

/// Everybody at a shared mail service has its addresses; only messages that show whose they are pass.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_tenants_of_a_shared_service_are_refused() {
    const OURS: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let folder = Folder::new();
    let token = folder.0.join("token");
    std::fs::write(&token, "correct-horse-battery-staple\n").unwrap();
    let network = |rest: &str| {
        format!("[[network]]\nname = \"cloud\"\naddresses = [\"127.0.0.1\"]\nsender_domains = [\"practice.example\"]\n{rest}\n")
    };
    let id = |value: &str| format!("X-MS-Exchange-CrossTenant-Id: {value}\r\n");
    let org = |value: &str| format!("X-OriginatorOrg: {value}\r\n");
    let tenants = format!("tenants = [\"{}\", \"practice.example\"]", OURS.to_uppercase());
    let by_token = format!("token_file = \"{}\"", token.display());
    let cases: Vec<(&str, Vec<(String, &str)>)> = vec![
        (
            &tenants,
            vec![
                (id(OURS) + &org("Practice.Example"), "250"),
                (id("00000000-86f1-41af-91ab-2d7cd011db47") + &org("practice.example"), "550 5.7.1"),
                (id(OURS) + &org("evil.example"), "550 5.7.1"),
                (id(OURS), "550 5.7.1"),
                (id(OURS) + &id(OURS) + &org("practice.example"), "550 5.7.1"),
                (id(&format!("{OURS}, x")) + &org("practice.example"), "550 5.7.1"),
                (String::new(), "550 5.7.1"),
            ],
        ),
        (
            &by_token,
            vec![
                ("X-Wardpost-Token: correct-horse-battery-staple\r\n".into(), "250"),
                ("X-Wardpost-Token: correct-horse-battery-stapl\r\n".into(), "550 5.7.1"),
                (id(OURS), "550 5.7.1"),
            ],
        ),
    ];
    for (rest, messages) in cases {
        let gateway = Gateway::start_with(world().await, |config| format!("{config}{}", network(rest))).await;
        let mut cloud = over_starttls(&gateway, "relay", None).await;
        cloud.expect("EHLO x", "250").await;
        for (n, (fields, start)) in messages.iter().enumerate() {
            let text = format!("{fields}{}", mail(&format!("t{n}@practice.example")));
            let answer = cloud.send("ann@practice.example", TO, &text).await;
            assert!(answer.starts_with(start), "{fields}: {answer}");
        }
        gateway.settle().await;
        let sink = gateway.world.sink("verified.example").unwrap();
        assert_eq!(sink.message_count(), 1);
        let sent = String::from_utf8_lossy(&sink.messages()[0].content).into_owned();
        assert!(!sent.contains("battery") && !sent.contains(OURS), "{sent}");
        gateway.stop().await;
    }
}

/// A message that comes back to us again and again is stopped, whoever brings it.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_through_another_server_ends() {
    let section = "[[network]]\nname = \"cloud\"\naddresses = [\"127.0.0.1\"]\nsender_domains = [\"practice.example\"]\n";
    let gateway = Gateway::start_with(world().await, |config| format!("{config}{section}")).await;
    let sink = gateway.world.sink("verified.example").unwrap();
    let mut cloud = over_starttls(&gateway, "relay", None).await;
    cloud.expect("EHLO x", "250").await;
    let mut text = mail("loop@practice.example");
    let mut passed = 0;
    loop {
        let answer = cloud.send("ann@practice.example", TO, &text).await;
        if !answer.starts_with("250") {
            assert!(answer.starts_with("554 5.4.6"), "{answer}");
            break;
        }
        passed += 1;
        assert!(passed < 10, "it goes round for ever");
        gateway.settle().await;
        text = String::from_utf8(sink.messages().last().unwrap().content.clone()).unwrap();
    }
    assert_eq!(passed, 3);
    let many =
        format!("{}{}", "Received: from a by b; Tue, 24 Nov 2026 10:00:00 +0000\r\n".repeat(51), mail("far@practice.example"));
    let answer = cloud.send("ann@practice.example", TO, &many).await;
    assert!(answer.starts_with("554 5.4.6"), "{answer}");
    gateway.stop().await;
}

/// Accounts come and go with a record; a session that is open does not outlive its account; and no account at all does
/// not bring the first credential back.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_account_is_gone_for_good() {
    let gateway = Gateway::start(world().await).await;
    let request =
        |name: &str| Request::UserAdd { name: name.into(), send_as: vec!["ann@practice.example".into()], bound_address: None };
    let Answer::Secret { secret, .. } = gateway.ask(request("ann-phone")).await else { panic!("no password") };
    let mut phone = over_starttls(&gateway, "submission", None).await;
    phone.expect("EHLO phone", "250").await;
    use base64::Engine as _;
    let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0ann-phone\0{secret}"));
    phone.expect(&format!("AUTH PLAIN {plain}"), "235").await;
    assert!(matches!(gateway.ask(Request::UserRevoke { name: "ann-phone".into() }).await, Answer::Text(_)));
    assert!(matches!(gateway.ask(Request::UserRevoke { name: "ann-phone".into() }).await, Answer::Refused(_)));
    phone.expect("MAIL FROM:<ann@practice.example>", "530 5.7.0").await;
    phone.expect(&format!("AUTH PLAIN {plain}"), "535").await;
    assert!(matches!(gateway.ask(Request::UserRevoke { name: gateway.user.clone() }).await, Answer::Text(_)));

    let Answer::Text(export) = gateway.ask(Request::AuditExport { from_seq: 1 }).await else { panic!("no export") };
    let count = |event: &str| export.matches(&format!("\"event\":\"{event}\"")).count();
    let count = |event: &str| count(event).max(export.matches(&format!("\\\"event\\\":\\\"{event}\\\"")).count());
    assert_eq!((count("access-granted"), count("access-revoked")), (2, 2), "{export}");
    assert!(!export.contains("ann-phone"), "a name in the export");

    let mut gateway = gateway.restart(|_| ()).await;
    assert!(gateway.running.take_first_credential().is_none(), "the first credential is back");
    assert!(gateway.rows(Request::UserList).await.is_empty());
    gateway.stop().await;
}
