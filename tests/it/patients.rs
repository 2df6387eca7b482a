//! Own patients: the list, and mail to the wrong one.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use wardpost::server::{Answer, Request};
use wardpost::world::World;

use crate::pickup::decoded;
use crate::support::{Folder, Gateway, message};

/// Two households: the Quinteros share a phone.
const LIST: &str = "Last Name,First Name,DOB,MRN,E-mail,Phone\n\
    Quintero,Marisol,04/12/1961,00482913,pat@verified.example,(804) 555-0142\n\
    Quintero,Luis,01/22/2015,00482914,,804-555-0142\n\
    Whitcombe,Darnell,3/7/1974,00517720,sam@dane-good.example,804-555-0177\n";

const OF_WHITCOMBE: &str = "Darnell Whitcombe, born 7 March 1974: hemoglobin A1c 8.9 %, type 2 diabetes.";

async fn import(gateway: &Gateway, csv: &str, dry_run: bool) -> Answer {
    gateway.ask(Request::PatientsImport { csv: csv.to_owned(), dry_run }).await
}

fn office(gateway: &Gateway) -> String {
    let letters = gateway.world.sink("mail.practice.example").unwrap().messages();
    letters.iter().map(|letter| decoded(&letter.content)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_to_one_patient_about_another_waits_and_the_sender_is_asked() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let to = "pat@verified.example";
    gateway.submit(&[to], &message("before@practice.example", to, "Results", OF_WHITCOMBE)).await.unwrap();
    assert!(matches!(import(&gateway, LIST, false).await, Answer::Text(_)));
    let cases = [
        // what it shows, id, recipient, body, whether it is held
        ("the neighbour's results", "wrong", to, OF_WHITCOMBE, true),
        ("by the number alone", "number", to, "Your file: record number 517720.", true),
        ("her own", "own", to, "Marisol Quintero, born 12 April 1961: hemoglobin A1c 8.9 %, type 2 diabetes.", false),
        ("her son's", "son", to, "Luis Quintero, born 22 January 2015, is due for his measles booster.", false),
        ("a name alone", "name", to, "Darnell Whitcombe sends his regards.", false),
        ("to a colleague who is no patient", "colleague", "lab@dane-good.example", OF_WHITCOMBE, false),
    ];
    for (_, id, to, body, _) in cases {
        gateway.submit(&[to], &message(&format!("{id}@practice.example"), to, "Results", body)).await.unwrap();
    }
    gateway.settle().await;
    for (what, id, _, _, is_held) in cases {
        let fates = gateway.fates(&format!("{id}@practice.example")).await;
        assert_eq!(fates[0].1 == "decided", is_held, "{what}: {fates:?}");
    }
    // Without the list nobody knew.
    assert_eq!(gateway.fates("before@practice.example").await[0].1, "delivered");
    let waiting = gateway.rows(Request::QueueList { all: false }).await;
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    assert!(waiting.iter().all(|row| row["reason"] == "wrong-patient"), "{waiting:?}");
    let letters = office(&gateway);
    assert_eq!(letters.matches("identifies another one, so it waits").count(), 2, "{letters}");
    assert!(!letters.contains("Whitcombe") && !letters.contains("517720") && !letters.contains("diabetes"), "{letters}");

    // One was meant so, the other was not.
    let copy = |id: &str| {
        let row = waiting.iter().find(|row| row["message_id"] == format!("<{id}@practice.example>")).unwrap();
        row["copy"].as_str().unwrap().to_owned()
    };
    for (id, refuse) in [("wrong", true), ("number", false)] {
        let request = Request::QueueRelease { copy: copy(id), refuse, reason: "asked Ann".into() };
        assert!(matches!(gateway.ask(request).await, Answer::Text(_)));
    }
    gateway.settle().await;
    assert_eq!(gateway.fates("wrong@practice.example").await[0].2, "refused-by-office");
    assert_eq!(gateway.fates("number@practice.example").await[0].1, "delivered");
    let status = &gateway.rows(Request::PatientsStatus).await[0];
    assert_eq!((&status["patients"], &status["health"]), (&3.into(), &"good".into()), "{status}");
    assert!(status["matched"].as_u64() >= Some(5) && status["messages"] == 6, "{status}");

    // Forgotten is forgotten.
    assert!(matches!(gateway.ask(Request::PatientsForget).await, Answer::Text(_)));
    gateway.submit(&[to], &message("after@practice.example", to, "Results", OF_WHITCOMBE)).await.unwrap();
    gateway.settle().await;
    assert_eq!(gateway.fates("after@practice.example").await[0].1, "delivered");
    gateway.stop().await;
}

/// The portal would show it to the very patient it was held for.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_answered_is_refused_and_never_finds_it_in_the_portal() {
    let gateway = Gateway::start_with(World::start().await.unwrap(), |config| {
        config.replace("portal_after = ", "release_hold_to_portal_after = \"1ms\"\nportal_after = ")
    })
    .await;
    import(&gateway, LIST, false).await;
    let to = "pat@verified.example";
    gateway.submit(&[to], &message("silent@practice.example", to, "Results", OF_WHITCOMBE)).await.unwrap();
    // The sweep of the start finds it.
    let gateway = gateway.restart(|_| ()).await;
    gateway.until("the hold ends", || async { gateway.fates("silent@practice.example").await[0].1 == "bounced" }).await;
    assert_eq!(gateway.fates("silent@practice.example").await[0].2, "refused-by-rule");
    assert!(gateway.rows(Request::EscrowList { all: true }).await.is_empty());
    assert_eq!(gateway.world.sink("verified.example").unwrap().message_count(), 0);
    gateway.settle().await;
    let letters = office(&gateway);
    assert!(letters.contains("nobody released it in time") && !letters.contains("must not leave"), "{letters}");
    gateway.stop().await;
}

fn wardpost(arguments: &[&str], config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wardpost"))
        .args(arguments)
        .args(["--config", config.to_str().unwrap()])
        .env("WARDPOST_LOG", "error")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_kept_sealed_and_survives_a_restart() {
    let gateway = Gateway::start(World::start().await.unwrap()).await;
    let folder = Folder::new();
    let (good, bad) = (folder.0.join("good.csv"), folder.0.join("bad.csv"));
    std::fs::write(&good, LIST).unwrap();
    std::fs::write(&bad, LIST.replace("3/7/1974", "yesterday")).unwrap();
    let config = gateway.config.clone();
    let run = tokio::task::spawn_blocking(move || {
        let refused = wardpost(&["patients", "import", bad.to_str().unwrap()], &config);
        let error = text(&refused.stderr);
        assert!(!refused.status.success() && error.contains("line 4, column `DOB`") && !error.contains("Whitcombe"), "{error}");
        let dry = wardpost(&["patients", "import", good.to_str().unwrap(), "--dry-run"], &config);
        assert!(
            text(&dry.stdout).contains("3 patients on 3 lines") && text(&dry.stdout).contains("dry run"),
            "{}",
            text(&dry.stdout)
        );
        assert!(text(&wardpost(&["patients", "status"], &config).stdout).contains("patients  0"));
        assert!(wardpost(&["patients", "import", good.to_str().unwrap()], &config).status.success());
        let status = text(&wardpost(&["patients", "status"], &config).stdout);
        assert!(
            status.contains("patients  3") && status.contains("birth-date 3") && status.contains("health    good"),
            "{status}"
        );
        // Nothing of it stands anywhere in clear.
        let data = config.parent().unwrap().join("data");
        let kept = std::fs::read(data.join("patients.sealed")).unwrap();
        for word in ["quintero", "Quintero", "00482913", "482913", "8045550142", "19610412", "verified.example"] {
            assert!(!kept.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
    });
    run.await.unwrap();
    let gateway = gateway.restart(|_| ()).await;
    let to = "pat@verified.example";
    gateway.submit(&[to], &message("again@practice.example", to, "Results", OF_WHITCOMBE)).await.unwrap();
    gateway.settle().await;
    assert_eq!(gateway.rows(Request::QueueList { all: false }).await.len(), 1);
    // Damage is said, and mail goes on.
    std::fs::write(gateway.config.parent().unwrap().join("data/patients.sealed"), b"damaged").unwrap();
    let before = ::wardpost::observe::metrics().events_of("patient-list-unreadable", "error");
    let gateway = gateway.restart(|_| ()).await;
    assert_eq!(::wardpost::observe::metrics().events_of("patient-list-unreadable", "error"), before + 1);
    gateway.submit(&[to], &message("blind@practice.example", to, "Results", OF_WHITCOMBE)).await.unwrap();
    gateway.settle().await;
    assert_eq!(gateway.fates("blind@practice.example").await[0].1, "delivered");
    gateway.stop().await;
}
