//! The portal as recipients and eavesdroppers meet it.

use std::collections::BTreeSet;

use wardpost::server::{Answer, Request};
use wardpost::world::World;

use crate::support::browser::{Browser, Page};
use crate::support::{Gateway, message};

const SECRET: &str = "the kumquat result is in";

async fn browser(gateway: &Gateway) -> Browser {
    Browser::new(gateway.running.public_url(), &gateway.running.own_certificate().unwrap())
}

/// Everything that was ever mailed to the recipient's server, in clear or not.
fn mailed(gateway: &Gateway, domain: &str) -> String {
    let sink = gateway.world.sink(domain).unwrap();
    let mut all = String::from_utf8_lossy(&sink.clear_bytes()).into_owned();
    for message in sink.messages() {
        all.push_str(&String::from_utf8_lossy(&message.content));
    }
    all
}

/// The slip the sender got: (number, code).
fn slip(gateway: &Gateway, recipient: &str) -> (String, String) {
    let slips = gateway.world.sink("mail.practice.example").unwrap().messages();
    let slip = slips
        .iter()
        .rev()
        .map(|message| decoded(&message.content))
        .find(|text| text.contains("X-Wardpost-Slip") && text.contains(recipient))
        .expect("a slip");
    let words: Vec<&str> =
        slip.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-')).collect();
    let number = words.iter().find(|word| word.len() == 9 && word.find('-') == Some(4)).expect("a number").to_string();
    let is_group = |word: &&str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
    let code = words.windows(3).find(|three| three.iter().all(is_group)).expect("a code").concat();
    (number, code)
}

fn decoded(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content).into_owned();
    match text.split_once("\r\n\r\n") {
        Some((header, body)) if header.to_lowercase().contains("content-transfer-encoding: base64") => {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap();
            format!("{header}\r\n\r\n{}", String::from_utf8_lossy(&bytes))
        }
        _ => text,
    }
}

async fn send(gateway: &Gateway, id: &str, to: &str) {
    gateway.submit(&[to], &message(id, to, "About your visit", SECRET)).await.unwrap();
    gateway.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_link_and_code_the_message_is_read_and_the_sender_alone_had_the_code() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    send(&gateway, "p1@practice.example", "pat@no-tls.example").await;
    let notice = mailed(&gateway, "no-tls.example");
    let (number, code) = slip(&gateway, "pat@no-tls.example");
    assert!(notice.contains(&number) && !notice.replace([' ', '-'], "").contains(&code));
    let link = notice.split("https://").nth(1).unwrap().split_whitespace().next().unwrap();
    let path = &link[link.find('/').unwrap()..];

    // By the link from the notice.
    let mut reader = browser(&gateway).await;
    let page = reader.get(path).await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("visit") && !page.text().contains("ann@"));
    let page = reader.type_code(&page, "", &code).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("About your visit") && page.text().contains("ann@practice.example"), "{}", page.text());
    let mut shown = page.text();
    for link in page.links().iter().filter(|link| link.contains("/frame")) {
        shown.push_str(&reader.get(link).await.text());
    }
    assert!(shown.contains("kumquat"), "{shown}");

    // By typing the address, the number, the code with spaces.
    let mut other = browser(&gateway).await;
    let page = other.get("/").await;
    let spaced = format!("{} {} {}", &code[..3], &code[3..6], &code[6..]);
    assert_eq!(other.type_code(&page, &number.to_lowercase(), &spaced).await.status, 200);

    // It stands in the log who opened what; the list tells the state.
    let events: Vec<String> =
        gateway.records("p1@practice.example").await.iter().map(|row| row["event"].as_str().unwrap().to_owned()).collect();
    assert!(events.contains(&"opened".to_owned()), "{events:?}");
    let rows = gateway.rows(Request::EscrowList { all: false }).await;
    assert_eq!((rows[0]["state"].as_str(), rows[0]["recipient"].as_str()), (Some("opened"), Some("pat@no-tls.example")));
    assert_eq!(rows[0]["message_id"], "<p1@practice.example>");
    gateway.stop().await;
}

/// With every byte that was ever mailed to the recipient, nothing can be read, set or reset.
#[tokio::test(flavor = "multi_thread")]
async fn all_mailed_bytes_together_open_nothing() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    send(&gateway, "t1@practice.example", "pat@no-tls.example").await;
    send(&gateway, "t2@practice.example", "pat@no-tls.example").await;
    gateway
        .submit(&["pat@no-tls.example"], &message("t3@practice.example", "pat@no-tls.example", "[secure] zucchini", SECRET))
        .await
        .unwrap();
    gateway.settle().await;
    let transcript = mailed(&gateway, "no-tls.example");
    assert!(
        !transcript.contains("kumquat")
            && !transcript.contains("About your visit")
            && !transcript.contains("ann@practice.example")
    );

    // All words, and all digits run together, as secrets to try; all links to follow.
    let words: BTreeSet<String> = transcript
        .split(|c: char| c.is_whitespace() || "<>\"=:/@.".contains(c))
        .filter(|word| word.len() > 2)
        .map(str::to_owned)
        .collect();
    let digits: String = transcript.chars().filter(char::is_ascii_digit).collect();
    let mut codes: BTreeSet<String> =
        words.iter().filter(|word| word.len() == 9 && word.bytes().all(|byte| byte.is_ascii_digit())).cloned().collect();
    codes.extend((0..digits.len().saturating_sub(8)).step_by(digits.len() / 4).map(|at| digits[at..at + 9].to_owned()));
    let numbers: Vec<String> = words.iter().filter(|word| word.len() == 9 && word.find('-') == Some(4)).cloned().collect();
    assert_eq!(numbers.len(), 3, "{numbers:?}");
    let links: BTreeSet<String> = transcript
        .split("https://")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .filter_map(|link| link.find('/').map(|at| link[at..].to_owned()))
        .collect();
    assert_eq!(links.len(), 3);
    let mut to_visit: Vec<String> = links.into_iter().collect();
    to_visit.extend(
        ["/", "/message", "/reset", "/register", "/forgot", "/password", "/account", "/login", "/admin", "/metrics"]
            .map(str::to_owned),
    );
    to_visit.extend(words.iter().filter(|word| word.len() > 20).map(|word| format!("/m/{word}")));

    let mut agent = browser(&gateway).await;
    let mut visited = BTreeSet::new();
    let mut forms = Vec::new();
    while let Some(path) = to_visit.pop() {
        if !path.starts_with('/') || !visited.insert(path.clone()) || visited.len() > 200 {
            continue;
        }
        let page = agent.get(&path).await;
        shows_nothing(&page, &path);
        to_visit.extend(page.links());
        forms.extend(page.forms());
    }
    assert!(forms.iter().any(|(action, _)| action == "/open"));
    for (action, fields) in forms.iter().filter(|(action, _)| action != "/open") {
        shows_nothing(&agent.post(action, fields).await, action);
    }
    for (number, code) in numbers.iter().zip(codes.iter()) {
        let page = agent.get("/").await;
        shows_nothing(&agent.type_code(&page, number, code).await, "/open");
    }
    for path in ["/leave", "/not-for-me", "/message", "/reset"] {
        shows_nothing(&agent.post(path, &[("number".into(), numbers[0].clone())]).await, path);
    }
    assert!(!agent.cookies.keys().any(|name| name.contains("session")), "{:?}", agent.cookies.keys());

    // Nothing was opened, closed or locked by it: the code still works.
    let (number, code) = slip(&gateway, "pat@no-tls.example");
    let mut reader = browser(&gateway).await;
    let page = reader.get("/").await;
    assert_eq!(reader.type_code(&page, &number, &code).await.status, 200);
    gateway.stop().await;
}

fn shows_nothing(page: &Page, at: &str) {
    let text = page.text();
    for word in ["kumquat", "About your visit", "ann@", "zucchini"] {
        assert!(!text.contains(word), "{at} shows `{word}`");
    }
}

/// "Never send the code by e-mail": not the code, not the slip, however wrapped.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_never_leaves_by_mail_to_the_outside() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    send(&gateway, "c1@practice.example", "pat@no-tls.example").await;
    let (_, code) = slip(&gateway, "pat@no-tls.example");
    let spaced = format!("{} {}-{}", &code[..3], &code[3..6], &code[6..]);
    let refused = gateway
        .submit(
            &["pat@verified.example"],
            &message("c2@practice.example", "pat@verified.example", "code", &format!("Your code is {spaced}.")),
        )
        .await;
    assert!(refused.is_err(), "the code left by e-mail");
    let slips = gateway.world.sink("mail.practice.example").unwrap().messages();
    let slip = String::from_utf8_lossy(
        &slips.iter().find(|message| String::from_utf8_lossy(&message.content).contains("X-Wardpost-Slip")).unwrap().content,
    )
    .into_owned();
    let forwarded = format!(
        "From: ann@practice.example\r\nTo: pat@verified.example\r\nSubject: Fwd\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n{slip}"
    );
    assert!(gateway.submit(&["pat@verified.example"], &forwarded).await.is_err(), "the slip left by e-mail");
    // Other numbers may.
    gateway
        .submit(
            &["pat@verified.example"],
            &message("c3@practice.example", "pat@verified.example", "call", "call 555 123 4567 or 000 000 000"),
        )
        .await
        .unwrap();
    gateway.stop().await;
}

/// However a code is written or wrapped, it does not leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_in_any_wrapping_stays_here() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    send(&gateway, "w1@practice.example", "pat@no-tls.example").await;
    let (_, code) = slip(&gateway, "pat@no-tls.example");
    let (a, b, c) = (&code[..3], &code[3..6], &code[6..]);
    let to = "pat@verified.example";
    let base64 = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let part = |fields: &str, body: &str| {
        format!(
            "From: ann@practice.example\r\nTo: {to}\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
             --b\r\n{fields}\r\n\r\n{body}\r\n--b--\r\n"
        )
    };
    let decoys: String =
        (0..3000u32).map(|n| format!("a {:09} b {:012}\r\n", 100_000_000 + n * 7, u64::from(n) * 7919)).collect();
    let letters = [
        ("subject", message("v@practice.example", to, &format!("code {a} {b} {c}"), "hello")),
        ("subject encoded", message("v@practice.example", to, &format!("=?utf-8?B?{}?=", base64(&code)), "hello")),
        ("quoted", message("v@practice.example", to, "Re", &format!("> Please give them this code: {a}\r\n> {b} {c}"))),
        ("html", part("Content-Type: text/html", &format!("<p>{a}<b>{b}</b><i>&nbsp;</i>{c}</p>"))),
        ("html entities", part("Content-Type: text/html", &code.bytes().map(|d| format!("&#{d};")).collect::<String>())),
        ("base64", part("Content-Type: text/plain\r\nContent-Transfer-Encoding: base64", &base64(&format!("code {code}")))),
        (
            "attachment",
            part(
                "Content-Type: text/csv; name=x.csv\r\nContent-Disposition: attachment; filename=x.csv\r\nContent-Transfer-Encoding: base64",
                &base64(&format!("name,code\r\npat,{a}-{b}-{c}\r\n")),
            ),
        ),
        ("file name", part(&format!("Content-Type: text/plain; name=\"{a} {b} {c}.txt\""), "hello")),
        ("nested", part("Content-Type: message/rfc822", &format!("Subject: code {code}\r\n\r\nhello"))),
        ("calendar", part("Content-Type: text/calendar", &format!("BEGIN:VCALENDAR\r\nSUMMARY:{a} {b} {c}\r\nEND:VCALENDAR"))),
        (
            "full width",
            message(
                "v@practice.example",
                to,
                "x",
                &code.chars().map(|d| char::from_u32(d as u32 + 0xfee0).unwrap()).collect::<String>(),
            ),
        ),
        ("behind many numbers", part("Content-Type: text/plain", &format!("{decoys}code {code}"))),
        (
            "preamble",
            part("Content-Type: text/plain", "hello").replace("\r\n\r\n--b\r\n", &format!("\r\n\r\ncode {code}\r\n--b\r\n")),
        ),
        (
            "another field",
            message("v@practice.example", to, "x", "hello")
                .replace("MIME-Version", &format!("Content-Language: {code}\r\nMIME-Version")),
        ),
        ("display name", message("v@practice.example", &format!("\"{a} {b} {c}\" <{to}>"), "x", "hello")),
    ];
    let mut left = Vec::new();
    for (name, letter) in &letters {
        match gateway.submit(&[to], letter).await {
            Ok(()) => left.push(*name),
            Err(error) => assert!(error.contains("pick-up code"), "{name}: {error}"),
        }
    }
    assert!(left.is_empty(), "the code left by e-mail: {left:?}");
    gateway.stop().await;
}

/// A new code voids the old one, and it is recorded who asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_code_voids_the_old_one() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    send(&gateway, "n1@practice.example", "pat@no-tls.example").await;
    let (number, old) = slip(&gateway, "pat@no-tls.example");
    let request = Request::EscrowCode { message: "n1@practice.example".into(), recipient: "pat@no-tls.example".into() };
    let Answer::Secret { secret: new, .. } = gateway.ask(request).await else { panic!("no code") };
    let new: String = new.chars().filter(char::is_ascii_digit).collect();
    assert_ne!(old, new);
    let mut reader = browser(&gateway).await;
    let page = reader.get("/").await;
    assert_eq!(reader.type_code(&page, &number, &old).await.status, 403);
    let page = reader.get("/").await;
    assert_eq!(reader.type_code(&page, &number, &new).await.status, 200);
    let events: Vec<String> =
        gateway.records("n1@practice.example").await.iter().map(|row| row["event"].as_str().unwrap().to_owned()).collect();
    assert!(events.contains(&"code-issued".to_owned()) && events.contains(&"try-failed".to_owned()), "{events:?}");
    gateway.stop().await;
}
