//! The gateway as an office sets it up: listed mail servers, groups, fixed ways, restarts, reloads.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use wardpost::server::Request;
use wardpost::world::{SinkSettings, Step, StsAnswer, Versions, When, World};

use crate::support::{Folder, Gateway, PATIENCE, message, write_config};

const HARMLESS: &str = "the office is closed on Thursday.";

/// One reply, all its lines.
async fn reply(stream: &mut BufReader<impl AsyncRead + Unpin>) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap() == 0 {
            return all;
        }
        all.push_str(&line);
        if line.as_bytes().get(3) == Some(&b' ') {
            return all;
        }
    }
}

async fn say(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>, line: &str) -> String {
    stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    reply(stream).await
}

/// A mail server at `from` that relays without a password: STARTTLS, then one message. The reply that ended it.
async fn relay(gateway: &Gateway, from: &str, sender: &str, header_from: &str, id: &str, with_tls: bool) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut clear = BufReader::new(socket.connect(gateway.running.address("relay").unwrap()).await.unwrap());
    reply(&mut clear).await;
    say(&mut clear, "EHLO exchange.practice.example").await;
    if !with_tls {
        return say(&mut clear, &format!("MAIL FROM:<{sender}>")).await;
    }
    assert!(say(&mut clear, "STARTTLS").await.starts_with("220"));
    let connector = wardpost::server::connector_that_trusts(&gateway.running.own_certificate().unwrap()).unwrap();
    let tls = connector.connect("localhost".try_into().unwrap(), clear.into_inner()).await.unwrap();
    let mut tls = BufReader::new(tls);
    say(&mut tls, "EHLO exchange.practice.example").await;
    let text = message(id, "pat@verified.example", "Hello", HARMLESS).replace("ann@practice.example", header_from);
    for line in [format!("MAIL FROM:<{sender}>"), "RCPT TO:<pat@verified.example>".to_owned(), "DATA".to_owned()] {
        let answer = say(&mut tls, &line).await;
        if !answer.starts_with(['2', '3']) {
            return answer;
        }
    }
    say(&mut tls, &format!("{text}.")).await
}

/// A listed network is bound to its sender domains, in envelope and header; loopback is nothing special.
#[tokio::test(flavor = "multi_thread")]
async fn a_listed_mail_server_sends_for_its_domains_only_and_an_unlisted_one_not_at_all() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), |config| {
        config
            + "[[network]]\nname = \"exchange\"\naddresses = [\"127.0.0.9/32\"]\nsender_domains = [\"practice.example\"]\nbound_address = \"office@practice.example\"\n"
    })
    .await;
    let (own, other) = ("bea@practice.example", "bea@elsewhere.example");
    let cases = [
        ("listed, own domain", "127.0.0.9", own, own, true, "250"),
        ("listed, another domain in the envelope", "127.0.0.9", other, other, true, "550"),
        ("listed, another domain in the header", "127.0.0.9", own, other, true, "550"),
        ("listed, without TLS", "127.0.0.9", own, own, false, "530"),
        ("unlisted neighbour on loopback", "127.0.0.10", own, own, true, "550"),
        ("loopback itself", "127.0.0.1", own, own, true, "550"),
    ];
    for (i, (what, from, sender, header_from, with_tls, expected)) in cases.into_iter().enumerate() {
        let answer = relay(&gateway, from, sender, header_from, &format!("net-{i}@practice.example"), with_tls).await;
        assert!(answer.starts_with(expected), "{what}: {answer}");
    }
    gateway.settle().await;
    assert_eq!(gateway.fates("net-0@practice.example").await[0].1, "delivered");
    assert_eq!(gateway.world.sink("verified.example").unwrap().message_count(), 1);
    gateway.stop().await;
}

/// Members of a group see each other, and nobody else; others see only themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_keeps_its_common_header() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), |config| {
        config
            + "[[group]]\nname = \"care-team\"\nmembers = [\"@verified.example\", \"lee@sts-good.example\"]\n\
               [[group]]\nname = \"lab\"\nmembers = [\"lab@dane-good.example\"]\n"
    })
    .await;
    let text = message("group@practice.example", "Sam <sam@verified.example>, pat@dane-good.example", "Hello", HARMLESS)
        .replace("\r\nSubject", "\r\nCc: lee@sts-good.example, lab@dane-good.example, max@sts-good.example\r\nSubject");
    let everyone = [
        "sam@verified.example",
        "pat@dane-good.example",
        "lee@sts-good.example",
        "lab@dane-good.example",
        "max@sts-good.example",
        "hidden@verified.example",
    ];
    gateway.submit(&everyone, &text).await.unwrap();
    gateway.settle().await;
    let team = ["sam@verified.example", "lee@sts-good.example"];
    let mut seen = 0;
    for town in ["verified.example", "dane-good.example", "sts-good.example"] {
        for received in gateway.world.sink(town).unwrap().messages() {
            seen += 1;
            let content = String::from_utf8(received.content).unwrap();
            let header = content.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ");
            let own = received.recipients[0].address.as_str();
            // A blind copy to a member stays blind for the others, and shows its reader the team.
            let expected: Vec<&str> = match own {
                "sam@verified.example" | "lee@sts-good.example" | "hidden@verified.example" => team.to_vec(),
                alone => vec![alone],
            };
            for address in everyone {
                assert_eq!(header.contains(address), expected.contains(&address), "{own} and {address}: {header}");
            }
            assert_eq!(header.contains("\r\nCc: lee@sts-good.example"), expected == team, "{own}: {header}");
        }
    }
    assert_eq!(seen, 6);
    gateway.stop().await;
}

/// A default next hop takes all mail, after proving itself; one that cannot gets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_default_next_hop_proves_itself_or_gets_nothing() {
    for (name_in_certificate, event) in [("smtp.provider.example", "delivered"), ("smtp.elsewhere.example", "escrowed")] {
        let world = World::start().await.unwrap();
        world.zones().add_zone("provider.example", wardpost::world::Signing::Unsigned).unwrap();
        let tls = world.ca().leaf(&[name_in_certificate]).unwrap().server_config(Versions::Both).unwrap();
        let settings = SinkSettings { host: "smtp.provider.example".into(), tls: Some(tls), ..SinkSettings::default() };
        let provider = world.add_host("smtp.provider.example", settings).await.unwrap();
        let (ip, port) = (provider.address().ip(), provider.address().port());
        let hop = format!("[next_hop]\nhost = \"smtp.provider.example\"\naddress = \"{ip}\"\nport = {port}\n");
        let gateway = Gateway::start_with(world, |config| config + &hop).await;
        let to = ["pat@no-tls.example", "sam@verified.example"];
        gateway.submit(&to, &message("hop@practice.example", &to.join(", "), "Hello", HARMLESS)).await.unwrap();
        gateway.settle().await;
        for fate in gateway.fates("hop@practice.example").await {
            assert_eq!(fate.1, event, "{}: {}", fate.0, fate.2);
        }
        let has_content =
            provider.messages().iter().any(|message| String::from_utf8_lossy(&message.content).contains("Thursday"));
        assert_eq!(has_content, event == "delivered");
        for town in ["no-tls.example", "verified.example"] {
            assert_eq!(gateway.world.sink(town).unwrap().connection_count(), 0, "{town} was asked directly");
        }
        // Slips still take the route of the own domain.
        let slips = gateway.world.sink("mail.practice.example").unwrap().message_count();
        assert_eq!(slips, if event == "delivered" { 0 } else { 2 });
        gateway.stop().await;
    }
}

/// A pin raises what a domain proves, and refuses a host that is not the agreed one.
#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_domain_is_authenticated_or_refused() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), |config| {
        config.replace("[transport]\n", "[transport]\nphi = \"authenticated\"\n")
            + "[[pin]]\ndomain = \"verified.example\"\nlevel = \"authenticated\"\nhosts = [\"mx.verified.example\"]\n"
            + &format!(
                "[[pin]]\ndomain = \"sts-good.example\"\nlevel = \"authenticated\"\ncertificate_sha256 = [\"{}\"]\n",
                "00".repeat(32)
            )
    })
    .await;
    let to = ["pat@verified.example", "sam@sts-good.example"];
    gateway.submit(&to, &message("pin@practice.example", &to.join(", "), "Hello", HARMLESS)).await.unwrap();
    let phi = "Patient: Marisol Quintero\r\nDOB: 04/12/1961\r\nMRN: 00482913\r\nDiagnosis: type 2 diabetes mellitus (E11.9)";
    gateway.submit(&to[..1], &message("pinphi@practice.example", to[0], "Results", phi)).await.unwrap();
    gateway.settle().await;
    let mut fates = gateway.fates("pin@practice.example").await;
    fates.sort();
    assert_eq!((fates[0].0.as_str(), fates[0].1.as_str()), (to[0], "delivered"), "{fates:?}");
    assert_eq!((fates[1].1.as_str(), fates[1].2.as_str()), ("escrowed", "pin-mismatch"), "{fates:?}");
    let records = gateway.records("pinphi@practice.example").await;
    let proof = &records.iter().find(|row| row["event"] == "delivered").expect("PHI went to the pinned host")["proof"];
    assert_eq!(proof["level"], "authenticated");
    gateway.stop().await;
}

/// What was accepted before a stop is delivered after the next start, without a second message.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_picks_up_where_it_stopped() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), |config| {
        config.replace("portal_after = \"1500ms\"", "portal_after = \"60m\"")
    })
    .await;
    let sink = gateway.world.sink("verified.example").unwrap();
    sink.always(When::Rcpt(Some("late@verified.example".into())), Step::Reply("451 4.3.0 later".into()));
    let to = ["late@verified.example", "soon@verified.example"];
    gateway.submit(&to, &message("again@practice.example", &to.join(", "), "Hello", HARMLESS)).await.unwrap();
    sink.wait_for_messages(1).await;
    let deferred = async {
        while !gateway.records("again@practice.example").await.iter().any(|row| row["event"] == "delayed") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, deferred).await.expect("the copy is deferred");
    let gateway = gateway.restart(|world| world.sink("verified.example").unwrap().clear_script()).await;
    gateway.settle().await;
    let fates = gateway.fates("again@practice.example").await;
    assert!(fates.iter().all(|fate| fate.1 == "delivered"), "{fates:?}");
    assert_eq!(gateway.world.sink("verified.example").unwrap().recipient_count(), 2);
    gateway.stop().await;
}

/// An MTA-STS policy holds over a restart, whatever an attacker makes of DNS and policy host in the meantime.
#[tokio::test(flavor = "multi_thread")]
async fn an_mta_sts_policy_survives_a_restart() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let to = "pat@sts-good.example";
    gateway.submit(&[to], &message("sts1@practice.example", to, "Hello", HARMLESS)).await.unwrap();
    gateway.settle().await;
    assert_eq!(gateway.fates("sts1@practice.example").await[0].1, "delivered");
    let gateway = gateway
        .restart(|world| {
            world.zones().set_txt("_mta-sts.sts-good.example", &[]).unwrap();
            world.sts().answer("mta-sts.sts-good.example", StsAnswer::NotFound);
        })
        .await;
    gateway.submit(&[to], &message("sts2@practice.example", to, "Hello", HARMLESS)).await.unwrap();
    gateway.settle().await;
    let records = gateway.records("sts2@practice.example").await;
    let delivered = records.iter().find(|row| row["event"] == "delivered").expect("delivered");
    assert_eq!(delivered["proof"]["method"], "mta-sts");
    // STARTTLS gone: with the policy in memory this is a violation, and not a byte of a notice goes out.
    let gateway = gateway.restart(|world| world.sink("sts-good.example").unwrap().set_tls(None)).await;
    gateway.submit(&[to], &message("sts3@practice.example", to, "Hello", HARMLESS)).await.unwrap();
    gateway.settle().await;
    assert_eq!(gateway.fates("sts3@practice.example").await[0].1, "escrowed");
    assert_eq!(gateway.world.sink("sts-good.example").unwrap().message_count(), 2, "no notice");
    gateway.stop().await;
}

/// Two codes for one parcel, and what the commands print for programs.
#[tokio::test(flavor = "multi_thread")]
async fn listings_name_message_recipient_and_state() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), |config| {
        config.replace("portal_after = \"1500ms\"", "portal_after = \"60m\"")
    })
    .await;
    let sink = gateway.world.sink("verified.example").unwrap();
    sink.always(When::Mail, Step::Reply("451 4.3.0 later".into()));
    let to = ["pat@no-tls.example", "sam@verified.example"];
    gateway.submit(&to, &message("list@practice.example", &to.join(", "), "Hello", HARMLESS)).await.unwrap();
    let parked = async {
        while gateway.rows(Request::EscrowList { all: false }).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, parked).await.expect("one parcel");
    let parcels = gateway.rows(Request::EscrowList { all: false }).await;
    assert_eq!(parcels[0]["message_id"], "<list@practice.example>");
    assert_eq!((parcels[0]["recipient"].as_str(), parcels[0]["state"].as_str()), (Some(to[0]), Some("waiting")));
    let rows = gateway.rows(Request::QueueList { all: false }).await;
    let waits = rows.iter().find(|row| row["kind"] == "message").unwrap();
    assert_eq!(waits["recipient"], to[1]);
    assert_eq!(waits["message_id"], "<list@practice.example>");
    assert!(["queued", "in-flight"].contains(&waits["state"].as_str().unwrap()), "{waits}");
    gateway.stop().await;
}

// --- the real program, reloaded -------------------------------------------------------------------------------------

/// What the listener shows of itself: the SHA-256 of its certificate is enough to tell two apart.
async fn shown_certificate(port: u16, ca: &[u8]) -> Vec<u8> {
    let connector = wardpost::server::connector_that_trusts(ca).unwrap();
    let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut tls = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
    let certificate = tls.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let _ = tls.read_u8().await;
    certificate
}

/// SIGHUP with the real program: certificate and rules are replaced; a bad file changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_certificate_and_rules_and_refuses_a_bad_file() {
    let world = World::start().await.unwrap();
    let folder = Folder::new();
    let identity = |names: &[&str]| {
        let leaf = world.ca().leaf(names).unwrap();
        std::fs::write(folder.0.join("smtp.pem"), leaf.chain_pem()).unwrap();
        std::fs::write(folder.0.join("smtp.key"), leaf.key_pem()).unwrap();
        leaf.der().unwrap().to_vec()
    };
    let rules = |word: &str, hit: &str| {
        let text = format!(
            "[[rule]]\nid = \"word\"\nwhy = \"a test\"\nwhen = {{ subject_contains = \"{word}\" }}\nthen = \"reject\"\n\
             [[rule.must_hit]]\nsubject = \"{hit}\"\nbody = \"x\"\n[[rule.must_miss]]\nsubject = \"Lunch\"\nbody = \"x\"\n"
        );
        std::fs::write(folder.0.join("rules.toml"), text).unwrap();
    };
    let first = identity(&["localhost"]);
    rules("marmalade", "marmalade");
    let config = write_config(&folder.0, &world, |text| {
        text.replace("[smtp]\n", "[smtp]\ncertificate = \"smtp.pem\"\nkey = \"smtp.key\"\n")
            + "[policy]\nfiles = [\"rules.toml\"]\n"
    });
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_wardpost"))
        .args(["serve", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut port = 0;
    let mut said = Vec::new();
    while let Some(line) = printed.next_line().await.unwrap() {
        let last = line.starts_with("Next: ");
        if let Some(rest) = line.trim().strip_prefix("submissions") {
            port = rest.split_whitespace().next().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        }
        said.push(line);
        if last {
            break;
        }
    }
    // A practice's first credential sends for the practice.
    let said = said.join("\n");
    assert!(said.contains("First credential") && said.contains("Back up the keys separately"), "{said}");
    let password = said.split("written to ").nth(1).unwrap().lines().next().unwrap();
    let password = std::fs::read_to_string(password).unwrap().trim().to_owned();
    let ca = world.ca_pem().into_bytes();
    let submit = async |subject: &str, id: &str| {
        // 451 until the rules are loaded: a client keeps the message and comes again.
        loop {
            let connector = wardpost::server::connector_that_trusts(&ca).unwrap();
            let mut client = mail_send::SmtpClientBuilder::new_with_tls_connector("localhost", port, connector)
                .implicit_tls(true)
                .credentials(("first", password.as_str()))
                .timeout(PATIENCE)
                .connect()
                .await
                .unwrap();
            let text = message(id, "pat@verified.example", subject, HARMLESS).into_bytes();
            let sent = client
                .send(mail_send::smtp::message::Message::new("ann@practice.example", vec!["pat@verified.example"], text))
                .await;
            match sent {
                Err(error) if error.to_string().contains("451") => tokio::task::yield_now().await,
                Err(error) => return Err(error.to_string()),
                Ok(_) => return Ok(()),
            }
        }
    };
    let hangup = || {
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    };
    assert_eq!(shown_certificate(port, &ca).await, first);
    assert!(submit("marmalade", "r1@practice.example").await.is_err());
    submit("orchid", "r2@practice.example").await.unwrap();

    // A session that is open across all of it, from its greeting to its goodbye.
    let connector = wardpost::server::connector_that_trusts(&ca).unwrap();
    let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut open = BufReader::new(connector.connect("localhost".try_into().unwrap(), socket).await.unwrap()).lines();
    assert!(open.next_line().await.unwrap().unwrap().starts_with("220 "));

    let second = identity(&["localhost", "gateway.practice.example"]);
    rules("orchid", "orchid");
    hangup();
    wait_for(&mut log, "the configuration was read again").await;
    assert_eq!(shown_certificate(port, &ca).await, second);
    assert!(submit("orchid", "r3@practice.example").await.is_err());
    submit("marmalade", "r4@practice.example").await.unwrap();

    // A rule that breaks its own example, beside a certificate that would be good.
    identity(&["localhost", "third.practice.example"]);
    rules("marmalade", "something else");
    hangup();
    let line = wait_for(&mut log, "the reload was refused").await;
    assert!(line.contains("must_hit"), "{line}");
    assert_eq!(shown_certificate(port, &ca).await, second);
    assert!(submit("orchid", "r5@practice.example").await.is_err());
    submit("marmalade", "r6@practice.example").await.unwrap();

    // No reload has cut it.
    open.get_mut().get_mut().write_all(b"NOOP\r\n").await.unwrap();
    assert!(open.next_line().await.unwrap().unwrap().starts_with("250 "));

    // SIGTERM: it ends as asked, and says so.
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    wait_for(&mut log, "stopping").await;
    assert!(open.next_line().await.unwrap().unwrap().starts_with("421 4.3.2 "));
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert!(status.success(), "{status}");
}

async fn wait_for(log: &mut tokio::io::Lines<BufReader<tokio::process::ChildStderr>>, word: &str) -> String {
    let wait = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains(word) {
                return line;
            }
        }
        panic!("the log ended before `{word}`")
    };
    tokio::time::timeout(PATIENCE, wait).await.expect(word)
}

/// Commands in a folder without a gateway, and a start that cannot listen, leave the folder as it was.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_where_nothing_runs() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = folder.0.join("wardpost.toml");
    std::fs::write(&config, format!("[portal]\nlisten = [\"{}\"]\n", taken.local_addr().unwrap())).unwrap();
    for (arguments, expected) in [
        (vec!["queue", "list"], "no gateway's data"),
        (vec!["user", "add", "ann@practice.example"], "no gateway's data"),
        (vec!["audit", "verify"], "no gateway's data"),
        (vec!["serve"], "cannot listen on"),
    ] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_wardpost"))
            .args(&arguments)
            .arg("--config")
            .arg(&config)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["wardpost.toml"]);
}
