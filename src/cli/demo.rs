//! The gateway with a small mail world on loopback: what an admin sees before anything is installed.
//!
//! The folder is temporary and marked `demo`, so that `serve` refuses it; anchor, authority and ports exist only in
//! this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_send::SmtpClientBuilder;
use mail_send::smtp::message::Message as SmtpMessage;

use super::{Ended, output};
use crate::server::{self, Answer, Request, Running};
use crate::world::{NoticeTemplate, Shape, World, clear_dialogue, practice_configuration};

/// How long `--once` waits for every line to settle. The budgets of the demo are a second or two.
const SETTLE_MAX: Duration = Duration::from_secs(60);

type Failure = server::Failure;

pub fn run(once: bool) -> Ended {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(demo(once))
}

async fn demo(once: bool) -> Ended {
    let folder = Folder::new()?;
    let world = World::start().await?;
    let config = folder.path.join("wardpost.toml");
    std::fs::write(&config, practice_configuration(&folder.path, &world)?)?;
    let running = server::start(server::Source::File(&config)).await?;
    println!("A gateway and a mail world are running on this machine alone. Configuration: {}", config.display());
    for (what, address) in running.listening() {
        println!("  {what:<12} {address}");
    }
    let account = account(&running).await?;
    running.until_ready().await;

    let sent = send_samples(&running, &world, &account).await?;
    let lines = settle(&running, &sent).await?;
    let problems = report(&running, &world, &lines)?;
    for problem in &problems {
        println!("NOT AS IT MUST BE: {problem}");
    }
    if once {
        let ended = running.stop().await;
        println!("{}", if problems.is_empty() { "every line is as it must be" } else { "the demo failed" });
        return Ok(if problems.is_empty() { ended } else { ExitCode::FAILURE });
    }
    invite(&running, &world, &account, &config, &lines)?;
    Ok(running.until_told().await)
}

/// A temporary folder of our own that goes when the demo ends.
struct Folder {
    path: std::path::PathBuf,
}

impl Folder {
    fn new() -> std::io::Result<Folder> {
        for attempt in 0..1000u32 {
            let path = std::env::temp_dir().join(format!("wardpost-demo-{}-{attempt}", std::process::id()));
            match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path) {
                Ok(()) => {
                    // The mark comes before anything else, so that `serve` can never take the folder for its own.
                    std::fs::create_dir(path.join("data"))?;
                    std::fs::write(path.join("data").join(server::DEMO_MARK), "made by `wardpost demo`\n")?;
                    return Ok(Folder { path });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(std::io::Error::other("no free name for a temporary folder"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The account that sends the samples.
struct Account {
    name: String,
    password: String,
}

async fn account(running: &Running) -> Result<Account, Failure> {
    let name = "ann@practice.example".to_owned();
    let request = Request::UserAdd { name: name.clone(), send_as: vec![], bound_address: None };
    match server::answer(running.parts(), request, server::now()).await {
        Answer::Secret { secret, .. } => Ok(Account { name, password: secret }),
        Answer::Refused(why) => Err(why.into()),
        Answer::Rows(_) | Answer::Text(_) | Answer::Files { .. } => Err("no password came back".into()),
    }
}

// --- the samples ----------------------------------------------------------------------------------------------------

/// One sample: its Message-ID and what it is for.
struct Sent {
    message_id: String,
    what: &'static str,
}

const SUBJECT_RESULT: &str = "Your results";
const BODY_PHI: &str = "Dear Mrs Quintero,\r\n\r\nPatient: Marisol Quintero\r\nDOB: 04/12/1961\r\nMRN: 00482913\r\n\r\nYour HbA1c of 8.4 % confirms type 2 diabetes mellitus (E11.9).\r\nPlease start metformin 500 mg twice daily.\r\n\r\nMaple Street Office\r\n";
const BODY_HARMLESS: &str =
    "Hello,\r\n\r\nthe office is closed on Thursday. We are back on Friday at eight.\r\n\r\nMaple Street Office\r\n";
const CSV_PHI: &str = "Patient,DOB,MRN,Diagnosis,ICD-10\r\nDarnell Whitcombe,03/07/1974,00519284,essential hypertension,I10\r\nMarisol Quintero,04/12/1961,00482913,type 2 diabetes mellitus,E11.9\r\n";

async fn send_samples(running: &Running, world: &World, account: &Account) -> Result<Vec<Sent>, Failure> {
    let town =
        |shape: Shape| world.towns().into_iter().find(|town| town.shape == shape).map(|town| town.domain).unwrap_or_default();
    let six = [Shape::DaneGood, Shape::StsGood, Shape::Verified, Shape::NoStarttls, Shape::DaneMismatch, Shape::BadCertificate];
    let patients = ["marisol", "darnell", "ines", "pavel", "odette", "tomas"];
    let mut eight: Vec<String> = six.iter().zip(patients).map(|(shape, name)| format!("{name}@{}", town(*shape))).collect();
    eight.push(format!("rosa@{}", town(Shape::DaneGood)));
    eight.push(format!("henk@{}", town(Shape::NoStarttls)));
    let all: Vec<&str> = eight.iter().map(String::as_str).collect();

    let mut sent = Vec::new();
    for (i, what) in
        ["eight recipients in To and Cc", "PHI in the body", "PHI in an attachment only", "harmless"].into_iter().enumerate()
    {
        let message_id = format!("sample-{}-{}@practice.example", i + 1, server::now().0);
        let message = MessageBuilder::new().from(("Ann at Maple Street", account.name.as_str())).message_id(message_id.clone());
        let (to, message) = match i {
            0 => {
                let (to, cc) = all.split_at(5);
                (all.clone(), message.to(list(to)).cc(list(cc)).subject("Opening hours").text_body(BODY_HARMLESS))
            }
            1 => (vec![all[1], all[3]], message.to(list(&[all[1], all[3]])).subject(SUBJECT_RESULT).text_body(BODY_PHI)),
            2 => {
                let message = message.to(list(&[all[0]])).subject("The list").text_body("See the attached list.\r\n");
                (vec![all[0]], message.attachment("text/csv", "list.csv", CSV_PHI))
            }
            _ => (vec![all[2]], message.to(list(&[all[2]])).subject("Thursday").text_body(BODY_HARMLESS)),
        };
        let bytes = message.write_to_vec()?;
        submit(running, account, &to, bytes).await?;
        sent.push(Sent { message_id, what });
    }
    Ok(sent)
}

fn list<'a>(addresses: &[&'a str]) -> Address<'a> {
    Address::new_list(
        addresses
            .iter()
            .map(|address| {
                let name = address.split('@').next().unwrap_or_default();
                Address::new_address(Some(format!("{} Demo", name[..1].to_uppercase() + &name[1..])), *address)
            })
            .collect(),
    )
}

/// Submits over implicit TLS with AUTH, by an ordinary client library.
async fn submit(running: &Running, account: &Account, to: &[&str], bytes: Vec<u8>) -> Result<(), Failure> {
    let address = running.address("submissions").ok_or("no submissions listener")?;
    let connector = server::connector_that_trusts(&running.own_certificate()?)?;
    let mut client = SmtpClientBuilder::new_with_tls_connector("localhost", address.port(), connector)
        .implicit_tls(true)
        .credentials((account.name.as_str(), account.password.as_str()))
        .timeout(Duration::from_secs(30))
        .connect()
        .await?;
    client.send(SmtpMessage::new(account.name.as_str(), to.to_vec(), bytes)).await?;
    let _ = client.quit().await;
    Ok(())
}

// --- where everything is --------------------------------------------------------------------------------------------

/// One recipient of one sample, as the log has it.
struct Line {
    what: &'static str,
    message: String,
    recipient: String,
    domain: String,
    found: String,
    rule: String,
    proof: String,
    reason: String,
    /// `delivered`, `escrowed`, ...
    state: String,
}

/// Waits until no copy of the samples is under way, then reads the log.
async fn settle(running: &Running, sent: &[Sent]) -> Result<Vec<Line>, Failure> {
    let waiting = async {
        loop {
            let Answer::Rows(rows) = server::answer(running.parts(), Request::QueueList { all: false }, server::now()).await
            else {
                break;
            };
            if rows.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(SETTLE_MAX, waiting).await.is_err() {
        println!("some copies are still under way after {} s", SETTLE_MAX.as_secs());
    }
    let mut lines = Vec::new();
    for sample in sent {
        let request = Request::AuditShow { message: sample.message_id.clone() };
        let Answer::Rows(rows) = server::answer(running.parts(), request, server::now()).await else {
            return Err(format!("no record of the sample `{}`", sample.what).into());
        };
        lines.extend(lines_of(sample, &rows));
    }
    Ok(lines)
}

/// Folds the records of one message into one line a recipient.
fn lines_of(sample: &Sent, rows: &[serde_json::Value]) -> Vec<Line> {
    let text =
        |row: &serde_json::Value, key: &str| row.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    // In the order in which the recipients were decided about, which is that of the envelope.
    let mut lines: Vec<(String, Line)> = Vec::new();
    for row in rows {
        let recipient = text(row, "recipient");
        match text(row, "event").as_str() {
            "decided" | "refused" => {
                let kinds = row
                    .get("findings")
                    .and_then(serde_json::Value::as_array)
                    .map(|kinds| kinds.iter().map(|kind| text(kind, "kind")).collect::<Vec<_>>().join(","));
                let rules = row
                    .get("rules")
                    .and_then(serde_json::Value::as_array)
                    .map(|rules| rules.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(","));
                lines.push((
                    recipient,
                    Line {
                        what: sample.what,
                        message: text(row, "message"),
                        recipient: row
                            .pointer("/named/recipient")
                            .and_then(serde_json::Value::as_str)
                            .unwrap_or_default()
                            .to_owned(),
                        domain: text(row, "domain"),
                        found: kinds.unwrap_or_else(|| "-".into()),
                        rule: rules.filter(|rules| !rules.is_empty()).unwrap_or_else(|| "(no rule matched)".into()),
                        proof: "-".into(),
                        reason: String::new(),
                        state: text(row, "action"),
                    },
                ));
            }
            event @ ("delivered" | "escrowed" | "bounced" | "delayed") => {
                if let Some((_, line)) = lines.iter_mut().find(|(known, _)| *known == recipient) {
                    line.state = event.to_owned();
                    line.reason = text(row, "reason");
                    if let Some(proof) = row.get("proof") {
                        line.proof = format!("{} ({}, {})", text(proof, "level"), text(proof, "method"), text(proof, "tls"));
                    }
                }
            }
            _ => {}
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Prints the table and says what is not as it must be.
fn report(running: &Running, world: &World, lines: &[Line]) -> Result<Vec<String>, Failure> {
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let place = match line.state.as_str() {
                "escrowed" => format!("portal: {}", line.reason),
                "delivered" => "delivered".to_owned(),
                other => format!("{other} {}", line.reason),
            };
            vec![line.what.into(), line.recipient.clone(), line.found.clone(), line.rule.clone(), line.proof.clone(), place]
        })
        .collect();
    println!();
    output::table(&mut std::io::stdout().lock(), &["sample", "recipient", "found", "rule", "proof shown", "where it is"], &rows)?;
    println!();
    let mut problems = Vec::new();
    if lines.len() != 12 {
        problems.push(format!("{} lines instead of 12", lines.len()));
    }
    let shapes: BTreeMap<String, Shape> = world.towns().into_iter().map(|town| (town.domain, town.shape)).collect();
    for line in lines {
        let wanted = match shapes.get(&line.domain) {
            Some(Shape::DaneGood | Shape::StsGood | Shape::Verified) => "delivered",
            _ => "escrowed",
        };
        if line.state != wanted {
            problems.push(format!("{} to {} is {} and not {wanted}", line.message, line.domain, line.state));
        }
        let method = match shapes.get(&line.domain) {
            Some(Shape::DaneGood) => "(dane,",
            Some(Shape::StsGood) => "(mta-sts,",
            Some(Shape::Verified) => "(webpki,",
            _ => "-",
        };
        if !line.proof.contains(method) {
            problems.push(format!("{} shows the proof {} and not {method}", line.domain, line.proof));
        }
        let is_about_phi = line.what.starts_with("PHI");
        if is_about_phi != line.rule.split(',').any(|rule| rule == "phi") {
            problems.push(format!("`{}` was decided by {}", line.what, line.rule));
        }
    }
    problems.extend(nobody_sees_another(world, lines));
    problems.extend(clear_is_notice_only(running, world, lines)?);
    Ok(problems)
}

/// Every delivered copy names its own recipient and no other of the samples.
fn nobody_sees_another(world: &World, lines: &[Line]) -> Vec<String> {
    let everyone: Vec<&str> = lines.iter().map(|line| line.recipient.as_str()).collect();
    let mut problems = Vec::new();
    for town in world.towns() {
        let Some(sink) = world.sink(&town.domain) else { continue };
        for message in sink.messages() {
            let own: Vec<&str> = message.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
            let content = String::from_utf8_lossy(&message.content).to_lowercase();
            if own.len() != 1 {
                problems.push(format!("a message to {} had {} recipients", town.domain, own.len()));
            }
            if let Some(other) =
                everyone.iter().find(|address| !own.contains(address) && content.contains(&address.to_lowercase()))
            {
                problems.push(format!(
                    "{} saw another recipient at {}",
                    town.domain,
                    other.split('@').nth(1).unwrap_or_default()
                ));
            }
        }
    }
    problems
}

/// What left in clear is the dialogue of a notice, byte for byte, to the recipient of a parcel, and only where there
/// is no TLS.
fn clear_is_notice_only(running: &Running, world: &World, lines: &[Line]) -> Result<Vec<String>, Failure> {
    let settings = &running.parts().settings;
    let template = NoticeTemplate {
        name: settings.server_name.as_str().to_owned(),
        from: settings.deliver.portal.notice_address.clone().ok_or("the demo has a notice address")?,
        office: settings.deliver.portal.office.clone(),
        host: settings.deliver.portal.host.clone(),
    };
    let mut problems = Vec::new();
    for town in world.towns() {
        let Some(sink) = world.sink(&town.domain) else { continue };
        let mut noticed = Vec::new();
        for connection in sink.connections() {
            match clear_dialogue(&template, &connection.clear) {
                Ok(recipients) => noticed.extend(recipients.iter().map(ToString::to_string)),
                Err(what) => problems.push(format!("{} heard in clear: {what}", town.domain)),
            }
        }
        if !noticed.is_empty() && town.shape != Shape::NoStarttls {
            problems.push(format!("a notice went in clear to {}, which has TLS", town.domain));
        }
        if town.shape == Shape::NoStarttls {
            let mut expected: Vec<String> =
                lines.iter().filter(|line| line.domain == town.domain).map(|line| line.recipient.clone()).collect();
            expected.sort();
            noticed.sort();
            if noticed != expected {
                problems.push(format!("{} notices reached {} instead of {}", noticed.len(), town.domain, expected.len()));
            }
        }
    }
    Ok(problems)
}

/// The portal, a link and the code to try.
fn invite(running: &Running, world: &World, account: &Account, config: &Path, lines: &[Line]) -> Result<(), Failure> {
    let practice = world.practice();
    let slips = world.sink(&practice.host).map(|sink| sink.messages()).unwrap_or_default();
    let slip = slips
        .iter()
        .map(|message| String::from_utf8_lossy(&message.content).into_owned())
        .find(|text| text.contains("X-Wardpost-Slip"));
    println!("The portal is open at {} (its certificate is throw-away: let the browser go on).", running.public_url());
    if let Some(slip) = slip {
        println!("This is the slip that the sender got; number and code stand in it:\n");
        for line in slip.lines().skip_while(|line| !line.trim().is_empty()).skip(1) {
            println!("    {line}");
        }
        if let Some(link) = link_beside(world, &slip) {
            println!("\nThe recipient's notice has the number, too, and this link:\n    {link}");
        }
    }
    println!(
        "\nSend more: account {}, port {} (TLS) or {} (STARTTLS).",
        account.name,
        running.address("submissions").map_or(0, |a| a.port()),
        running.address("submission").map_or(0, |a| a.port())
    );
    output::secret("Its password", &account.password)?;
    let message = lines.first().map_or("MESSAGE", |line| line.message.as_str());
    println!("Ask why: wardpost audit show {message} --config {}", config.display());
    println!("The domains:");
    for town in world.towns() {
        println!("  {:<22} {}", town.domain, town.shape.title());
    }
    println!("Ctrl-C ends it and removes everything.");
    Ok(())
}

/// The link in the notice that carries the same message number as the slip.
fn link_beside(world: &World, slip: &str) -> Option<String> {
    let number = slip.split_once("type number ")?.1.split_whitespace().next()?.to_owned();
    let notices = world.towns().into_iter().filter_map(|town| world.sink(&town.domain)).flat_map(|sink| sink.messages());
    notices
        .map(|message| String::from_utf8_lossy(&message.content).into_owned())
        .find(|text| text.contains(&number))
        .and_then(|text| text.split_whitespace().find(|word| word.starts_with("https://")).map(str::to_owned))
}
