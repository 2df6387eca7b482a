//! What `check` says would happen is what then happens; and what was delivered can be proven to somebody else.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use wardpost::config::Settings;
use wardpost::mail::Domain;
use wardpost::server::check::{Checker, Report};
use wardpost::server::{Answer, Request};
use wardpost::transport::Level;
use wardpost::world::{Shape, World};

use crate::support::{Folder, Gateway, PATIENCE, message, write_config};

/// Every kind of domain there is.
const SHAPES: [Shape; 18] = [
    Shape::DaneGood,
    Shape::StsGood,
    Shape::Verified,
    Shape::NoStarttls,
    Shape::DaneMismatch,
    Shape::BadCertificate,
    Shape::DaneTa,
    Shape::DaneUnusable,
    Shape::DaneServFail,
    Shape::Bogus,
    Shape::SelfSigned,
    Shape::WrongName,
    Shape::Expired,
    Shape::StsTesting,
    Shape::StsMismatch,
    Shape::StsBadCertificate,
    Shape::NullMx,
    Shape::Unreachable,
];

/// A kind that is added to the world must be added above: the compiler says so here.
const fn place(shape: Shape) -> usize {
    match shape {
        Shape::DaneGood => 0,
        Shape::StsGood => 1,
        Shape::Verified => 2,
        Shape::NoStarttls => 3,
        Shape::DaneMismatch => 4,
        Shape::BadCertificate => 5,
        Shape::DaneTa => 6,
        Shape::DaneUnusable => 7,
        Shape::DaneServFail => 8,
        Shape::Bogus => 9,
        Shape::SelfSigned => 10,
        Shape::WrongName => 11,
        Shape::Expired => 12,
        Shape::StsTesting => 13,
        Shape::StsMismatch => 14,
        Shape::StsBadCertificate => 15,
        Shape::NullMx => 16,
        Shape::Unreachable => 17,
    }
}

/// A world with every shape, `d0.example` and on.
async fn every_shape() -> World {
    let world = World::empty().await.unwrap();
    for shape in SHAPES {
        world.add(&name(shape), shape).await.unwrap();
    }
    world
}

fn name(shape: Shape) -> String {
    format!("d{}.example", place(shape))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wardpost(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardpost"));
    command.args(arguments).arg("--config").arg(config).env("WARDPOST_LOG", "error").stdin(Stdio::null());
    command.output().unwrap()
}

/// Of one shape at one level: what is said beforehand, and what the records say afterwards, in the same words.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    action: String,
    reason: Option<String>,
    /// Level, method, host, TLS version, cipher, hashes of chain and plan.
    proof: Option<Value>,
}

fn said(report: &Report, level: Level) -> Fate {
    let at = report.at(level).unwrap();
    let reason = at.reason.map(|reason| reason.as_str().to_owned());
    Fate { action: at.action.clone(), reason, proof: at.proof.as_ref().map(|proof| serde_json::to_value(proof).unwrap()) }
}

fn done(records: &[Value], address: &str) -> Fate {
    let decided = records.iter().find(|row| row["event"] == "decided" && row["named"]["recipient"] == address).unwrap();
    let of = |row: &&Value| row["recipient"] == decided["recipient"];
    let is_end = |row: &&Value| ["delivered", "escrowed", "bounced"].contains(&row["event"].as_str().unwrap());
    let last = records.iter().filter(of).rfind(is_end).unwrap();
    // By copy: the recipient's notice has a fate of its own.
    let has_waited = records.iter().any(|row| row["event"] == "delayed" && row["copy"] == last["copy"]);
    let action = match (last["event"].as_str().unwrap(), has_waited) {
        ("delivered", false) => "deliver",
        ("escrowed", false) => "portal",
        ("escrowed", true) => "retry-then-portal",
        ("bounced", false) => "bounce",
        other => panic!("{address}: {other:?}"),
    };
    let proof = last.get("proof").filter(|_| action == "deliver").cloned();
    Fate { action: action.to_owned(), reason: last["reason"].as_str().map(str::to_owned), proof }
}

/// Waits for the messages alone: a notice to a host that is down goes on trying for days.
async fn until_decided(gateway: &Gateway) {
    let decided = async {
        loop {
            let rows = gateway.rows(Request::QueueList { all: false }).await;
            if rows.iter().all(|row| row["kind"] != "message") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, decided).await.expect("every message gets somewhere");
}

/// For every shape: the check before, and the fate of a real submission under the same configuration.
async fn agrees(level: &str, at: Level) {
    let gateway = Gateway::start_with(every_shape().await, |config| {
        config.replace("[transport]\n", &format!("[transport]\ndefault = \"{level}\"\nphi = \"{level}\"\n"))
    })
    .await;
    let settings = Settings::load(&gateway.config).unwrap();
    let alone = Checker::alone(&settings).unwrap();
    let mut before = Vec::new();
    for shape in SHAPES {
        before.push(alone.check(&Domain::parse(&name(shape)).unwrap()).await);
    }
    for shape in SHAPES {
        let sink = gateway.world.sink(&name(shape)).unwrap();
        assert!(sink.messages().is_empty(), "{shape:?}");
        assert!(!text(&sink.clear_bytes()).to_uppercase().contains("MAIL"), "{shape:?}");
        for connection in sink.connections() {
            assert!(connection.commands.iter().all(|line| !line.to_uppercase().starts_with("MAIL")), "{shape:?}");
        }
    }
    let to: Vec<String> = SHAPES.iter().map(|shape| format!("pat@{}", name(*shape))).collect();
    let list: Vec<&str> = to.iter().map(String::as_str).collect();
    gateway.submit(&list, &message("same@practice.example", &to.join(", "), "Hello", "the marmalade cat")).await.unwrap();
    until_decided(&gateway).await;
    let records = gateway.records("same@practice.example").await;
    for ((shape, address), report) in SHAPES.iter().zip(&to).zip(&before) {
        assert_eq!(said(report, at), done(&records, address), "{shape:?}: {report}");
        assert_eq!(report.level, at);
        // The gateway itself, with what it has learned meanwhile, says what its next delivery would do.
        let Answer::Rows(rows) = gateway.ask(Request::Check { domain: name(*shape) }).await else { panic!() };
        let after: Report = serde_json::from_value(rows[0].clone()).unwrap();
        assert_eq!((after.memory.as_str(), report.memory.as_str()), ("gateway", "none"));
        assert_eq!(said(&after, at), said(report, at), "{shape:?}");
    }
    // All three answers are among them, so the comparison has compared something.
    for action in ["deliver", "portal", "retry-then-portal", "bounce"] {
        assert!(before.iter().any(|report| report.at(at).unwrap().action == action), "{action}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_verified_every_shape_fares_as_check_says() {
    agrees("verified", Level::Verified).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_authenticated_every_shape_fares_as_check_says() {
    agrees("authenticated", Level::Authenticated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_encrypted_every_shape_fares_as_check_says() {
    agrees("encrypted", Level::Encrypted).await;
}

/// The command itself, alone, with what people and scripts read.
#[tokio::test(flavor = "multi_thread")]
async fn check_prints_one_object_a_domain_and_its_exit_status_says_whether_all_is_well() {
    let world = World::start().await.unwrap();
    let folder = Folder::new();
    let config = write_config(&folder.0, &world, |config| config);
    let book = folder.0.join("book.txt");
    std::fs::write(
        &book,
        "# address book\nPat <pat@dane-good.example>\nsam@DANE-good.example\n\nsts-good.example\nlee@no-tls.example  # by phone\n",
    )
    .unwrap();
    let bad = folder.0.join("bad.txt");
    std::fs::write(&bad, "pat@dane-good.example\nnot an address\n").unwrap();
    let run = tokio::task::spawn_blocking(move || {
        let good = wardpost(&["check", "pat@dane-good.example", "sts-good.example", "verified.example"], &config);
        let printed = text(&good.stdout);
        assert_eq!(good.status.code(), Some(0), "{printed}{}", text(&good.stderr));
        assert!(
            printed.contains("dane-good.example: PHI mail (verified) would be delivered now to mx.dane-good.example"),
            "{printed}"
        );
        assert!(printed.contains("3 1 1 ") && printed.contains(": matches"), "{printed}");
        assert!(
            printed.contains("MTA-STS        enforce, mx mx.sts-good.example") && printed.contains("fetched now"),
            "{printed}"
        );
        assert!(printed.contains("asked without the gateway's memory"), "{printed}");

        let some = wardpost(&["check", "--json", "--file", book.to_str().unwrap()], &config);
        assert_eq!(some.status.code(), Some(1), "{}", text(&some.stderr));
        let lines: Vec<Value> = text(&some.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let domains: Vec<&str> = lines.iter().map(|line| line["domain"].as_str().unwrap()).collect();
        assert_eq!(domains, ["dane-good.example", "sts-good.example", "no-tls.example"], "each once, in order");
        assert_eq!(lines[0]["status"], "deliverable");
        assert_eq!(lines[0]["mx"]["dnssec"], "secure");
        assert_eq!(lines[0]["hosts"][0]["tlsa"]["records"][0]["matches"], true);
        assert_eq!(lines[0]["hosts"][0]["tls"]["webpki"], "certificate-not-trusted");
        assert_eq!(lines[0]["hosts"][0]["tls"]["chain"][0]["names"][0], "mx.dane-good.example");
        assert_eq!(lines[1]["mta_sts"]["mode"], "enforce");
        assert_eq!(lines[1]["mta_sts"]["source"], "fetched");
        assert_eq!(lines[2]["status"], "not-deliverable");
        assert_eq!(lines[2]["hosts"][0]["starttls"], false);
        assert_eq!(lines[2]["levels"][1]["action"], "portal");
        assert_eq!(lines[2]["levels"][1]["reason"], "starttls-not-supported");
        let progress = text(&some.stderr);
        assert!(progress.contains("3 of 3: ") && !progress.contains("4 of"), "{progress}");

        let wrong = wardpost(&["check", "--json", "--file", bad.to_str().unwrap()], &config);
        assert_eq!(wrong.status.code(), Some(2));
        assert_eq!(text(&wrong.stdout).lines().count(), 1, "the good lines are asked all the same");
        assert!(text(&wrong.stderr).contains("line 2: `not an address`"), "{}", text(&wrong.stderr));
        assert_eq!(wardpost(&["check"], &config).status.code(), Some(2));
        assert_eq!(wardpost(&["check", "--file", "/nowhere/book"], &config).status.code(), Some(2));
        let none = config.with_file_name("none.toml");
        assert_eq!(wardpost(&["check", "dane-good.example"], &none).status.code(), Some(2));
        assert!(!config.with_file_name("data").exists() && !config.with_file_name("keys").exists(), "nothing is made");

        // A resolver that does not answer says nothing about a domain.
        let text_of = std::fs::read_to_string(&config).unwrap();
        let line = text_of.lines().find(|line| line.starts_with("resolver = ")).unwrap();
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let silenced = text_of.replace(line, &format!("resolver = \"{}\"", silent.local_addr().unwrap()));
        let deaf = config.with_file_name("deaf.toml");
        std::fs::write(&deaf, silenced).unwrap();
        let unheard = wardpost(&["check", "--json", "dane-good.example"], &deaf);
        assert_eq!(unheard.status.code(), Some(2), "{}", text(&unheard.stdout));
        assert!(text(&unheard.stdout).contains("\"status\":\"not-asked\""), "{}", text(&unheard.stdout));
    });
    run.await.unwrap();
    drop(world);
}

/// What the administrator fixed is shown as such.
#[tokio::test(flavor = "multi_thread")]
async fn pins_routes_and_next_hops_are_shown_as_such() {
    let world = World::start().await.unwrap();
    let folder = Folder::new();
    let pinned = write_config(&folder.0, &world, |config| {
        format!(
            "{config}\n[[pin]]\ndomain = \"verified.example\"\nhosts = [\"mx.verified.example\"]\nlevel = \"authenticated\"\n"
        )
    });
    let checker = Checker::alone(&Settings::load(&pinned).unwrap()).unwrap();
    let check = async |checker: &Checker, domain: &str| {
        serde_json::to_value(checker.check(&Domain::parse(domain).unwrap()).await).unwrap()
    };
    let pin = check(&checker, "verified.example").await;
    assert_eq!(pin["way"]["by"], "pin");
    assert_eq!(pin["pin"]["hosts"][0], "mx.verified.example");
    assert_eq!(pin["levels"][2]["proof"]["method"], "pin", "{pin}");
    let route = check(&checker, "practice.example").await;
    assert_eq!((&route["way"]["by"], &route["pin"]), (&Value::from("fixed-route"), &Value::Null));
    assert_eq!(route["status"], "deliverable");

    let practice = world.practice().clone();
    let folder = Folder::new();
    let hopped = write_config(&folder.0, &world, |config| {
        let (address, port) = (practice.address.ip(), practice.address.port());
        format!(
            "{config}\n[next_hop]\nhost = \"{}\"\naddress = \"{address}\"\nport = {port}\ncertificate_name = \"{}\"\n",
            practice.host, practice.certificate_name
        )
    });
    let checker = Checker::alone(&Settings::load(&hopped).unwrap()).unwrap();
    let hop = check(&checker, "no-tls.example").await;
    assert_eq!(hop["way"]["by"], "next-hop");
    assert!(hop["sentence"].as_str().unwrap().contains("proof ends at this next hop"), "{hop}");
    assert!(world.sink("no-tls.example").unwrap().connections().is_empty());
}

/// Whoever asks whether a message left protected gets a line that others can check, with this program or without.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_can_be_proven_to_somebody_else_and_one_changed_bit_is_found() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let to = ["pat@dane-good.example", "sam@no-tls.example", "lee@sts-good.example"];
    gateway.submit(&to, &message("proof@practice.example", &to.join(", "), "Quince", "the quince is ripe")).await.unwrap();
    gateway.settle().await;
    let sink = gateway.world.sink("dane-good.example").unwrap();
    let tls = sink.connections().into_iter().find_map(|connection| connection.tls).unwrap();
    let (config, folder) = (gateway.config.clone(), Folder::new());
    let key = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(gateway.running.parts().vault.verifying_key())
    };
    let run = tokio::task::spawn_blocking(move || {
        let (file, log) = (folder.0.join("proof.json"), folder.0.join("log.jsonl"));
        let (path, log_path) = (file.to_str().unwrap(), log.to_str().unwrap());
        let made = wardpost(&["audit", "proof", "<proof@practice.example>", "Pat@dane-good.example", "--export", path], &config);
        let printed = text(&made.stdout);
        assert!(made.status.success(), "{printed}{}", text(&made.stderr));
        let first = printed.lines().next().unwrap();
        assert!(
            first.starts_with("On ") && first.contains("was delivered to the mail server mx.dane-good.example over TLSv1."),
            "{first}"
        );
        assert!(first.contains("(DANE)") && first.contains("the level verified; authenticated was shown"), "{first}");
        assert!(printed.contains("not the mailbox behind it"), "{printed}");
        assert!(printed.contains(tls.cipher.unwrap().as_str().unwrap()) && printed.contains("log entry"), "{printed}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "it names a person");

        let exported = wardpost(&["audit", "export"], &config);
        std::fs::write(&log, &exported.stdout).unwrap();
        let alone = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_wardpost")).args(arguments).output().unwrap();
        let good = alone(&["audit", "verify-proof", path, "--key", &key, "--log", log_path]);
        assert!(good.status.success(), "{}", text(&good.stderr));
        assert!(text(&good.stdout).contains("its entries stand in the log"), "{}", text(&good.stdout));
        let python = |path: &str| Command::new("python3").args(["deploy/verify.py", "--key", &key, path]).output().unwrap();
        let has_python = crate::support::has_python();
        if has_python {
            let judged = python(path);
            assert!(judged.status.success() && text(&judged.stdout).contains("method: dane"), "{}", text(&judged.stdout));
        }

        let bytes = std::fs::read(&file).unwrap();
        for at in (0..bytes.len()).step_by(bytes.len() / 40).chain([bytes.len() - 1, bytes.len() - 6]) {
            for bit in [1, 0x20] {
                let mut bad = bytes.clone();
                bad[at] ^= bit;
                std::fs::write(&file, &bad).unwrap();
                assert!(!alone(&["audit", "verify-proof", path]).status.success(), "octet {at}");
            }
        }
        let mut bad = bytes.clone();
        bad[bytes.len() / 2] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        if has_python {
            assert!(!python(path).status.success());
            // A fault of the reader's is no finding about the file, and neither ends in a traceback.
            std::fs::write(&file, "{\"proof\":1,\"public_key\":1,\"signature\":1}\n").unwrap();
            let (odd, absent) = (python(path), python(&format!("{path}-absent")));
            assert_eq!((odd.status.code(), absent.status.code()), (Some(1), Some(2)), "{}", text(&odd.stderr));
            assert!(
                text(&odd.stdout).contains("NOT GOOD") && text(&absent.stderr).contains("cannot read"),
                "{}",
                text(&absent.stderr)
            );
        }

        // What did not leave is not proven, and the reason is said.
        let kept = wardpost(&["audit", "proof", "proof@practice.example", "sam@no-tls.example"], &config);
        assert!(!kept.status.success() && text(&kept.stderr).contains("kept in the portal"), "{}", text(&kept.stderr));
        let unknown = wardpost(&["audit", "proof", "proof@practice.example", "nobody@no-tls.example"], &config);
        assert!(!unknown.status.success() && text(&unknown.stderr).contains("no record of this message"));
        // Who asked is in the log itself.
        let shown = text(&wardpost(&["audit", "export"], &config).stdout);
        assert!(shown.contains("resolved"), "{shown}");
    });
    run.await.unwrap();
    gateway.stop().await;
}
