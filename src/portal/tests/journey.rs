//! A reader's way through the portal, and what other sessions see of it.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::world::{Made, World, wrong};
use crate::audit::Event;
use crate::portal::Incident;
use crate::store::{Commit, ParcelChange};

const PLAIN: &[u8] = b"From: a@practice.example\r\nTo: pat@patient.example\r\nSubject: Your <biopsy>\r\n\r\nAll is well.\r\n<script>alert(1)</script>\r\n";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\nnot much of a picture";

fn rich() -> Vec<u8> {
    let picture = STANDARD.encode(PNG);
    format!(
        "From: a@practice.example\r\nTo: pat@patient.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=mix\r\n\r\n\
         --mix\r\nContent-Type: multipart/related; boundary=rel\r\n\r\n\
         --rel\r\nContent-Type: multipart/alternative; boundary=alt\r\n\r\n\
         --alt\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain words\r\n\
         --alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
         <p>rich <b>words</b></p><script>alert(1)</script><img src=\"cid:logo@x\"><img src=\"https://track.example/x.gif\">\
         <a href=\"https://help.example/\">help</a>\r\n\
         --alt--\r\n\
         --rel\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <logo@x>\r\n\r\n{picture}\r\n\
         --rel--\r\n\
         --mix\r\nContent-Type: text/html; name=\"r=?=\"\r\nContent-Disposition: attachment; filename=\"../../re\\\"port.html\"\r\n\r\n\
         <script>alert(2)</script>\r\n\
         --mix--\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_opens_reads_and_leaves() {
    let mut world = World::new().await;
    let made = world.parcel(PLAIN).await;
    {
        let mut browser = world.browser();
        let page = browser.open(&made).await;
        assert_eq!(page.status, StatusCode::OK);
        let text = page.text();
        assert!(text.contains("Your &lt;biopsy&gt;") && text.contains("All is well.") && text.contains("gruen@practice.example"));
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !text.contains("<script"));
        assert!(text.contains("14 November 2023, 22:13 UTC") && text.contains("14 December 2023"));
        let whole = browser.get(&format!("/message/{}/whole", page.view())).await;
        assert_eq!(&whole.bytes[..], PLAIN);
        let cookie = browser.cookies.clone();
        let left = browser.post("/leave", &[("token", &page.token())]).await;
        assert_eq!(left.status, StatusCode::OK);
        assert!(!browser.cookies.contains_key("__Host-wardpost-session"));
        browser.cookies = cookie;
        assert!(browser.get("/message").await.text().contains("We closed your message"), "leaving ends it on the server");
        assert!(browser.open(&made).await.text().contains("All is well."), "the code stays valid for its message");
    }
    let row = world.row(made.id).await;
    assert_eq!(row.first_opened_at, Some(super::world::NOW));
    assert_eq!(world.events().await, [Event::Opened, Event::AttachmentTaken, Event::Opened]);
    assert_eq!(world.incidents.try_recv(), Ok(Incident::Opened(made.id)));
    let records = world.records().await;
    assert_eq!(records[0].message, Some(row.message.to_string()));
    assert_eq!(records[0].recipient, Some(row.recipient));
    assert!(!serde_json::to_string(&records).unwrap().contains("biopsy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn html_stands_in_a_sandbox_and_files_are_downloads() {
    let world = World::new().await;
    let made = world.parcel(&rich()).await;
    let mut browser = world.browser();
    let page = browser.open(&made).await;
    let text = page.text();
    assert!(text.contains("Grüße") && !text.contains("plain words") && !text.contains("rich"));
    assert!(
        text.contains("sandbox=\"\"")
            && text.contains("href=\"https://help.example/\" target=\"_blank\" rel=\"noopener noreferrer nofollow\"")
    );
    let view = page.view();

    let frame = browser.get(&format!("/message/{view}/frame")).await;
    let policy = frame.header("content-security-policy");
    assert!(policy.starts_with("sandbox; default-src 'none'; img-src data:;"), "{policy}");
    assert!(!policy.contains("allow-") && !policy.contains("unsafe"));
    let html = frame.text();
    assert!(html.contains("<p>rich <b>words</b></p>"));
    assert!(html.contains(&format!("src=\"data:image/png;base64,{}\"", STANDARD.encode(PNG))));
    assert!(!html.contains("script") && !html.contains("track.example") && !html.contains("href"));

    let file = browser.get(&format!("/message/{view}/file/2")).await;
    assert_eq!(file.text().trim(), "<script>alert(2)</script>");
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"re_port.html\"");
    assert!(file.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    let taken = world.events().await.iter().filter(|event| **event == Event::AttachmentTaken).count();
    let head = browser.send("HEAD", &format!("/message/{view}/file/2"), &[], "").await;
    assert_eq!((head.status, head.bytes.len()), (StatusCode::OK, 0));
    assert_eq!(world.events().await.iter().filter(|event| **event == Event::AttachmentTaken).count(), taken);
    for index in ["0", "3", "99999999999999999999", "x"] {
        let answer = browser.get(&format!("/message/{view}/file/{index}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn html_too_deep_is_shown_as_text_with_the_whole_message_offered() {
    let world = World::new().await;
    let deep = format!("{}deep words{}", "<div>".repeat(2000), "</div>".repeat(2000));
    let message = format!("From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n{deep}\r\n");
    let made = world.parcel(message.as_bytes()).await;
    let mut browser = world.browser();
    let page = browser.open(&made).await;
    assert!(
        page.text().contains("deep words") && page.text().contains("shown as plain text") && !page.text().contains("<iframe")
    );
    assert_eq!(browser.get(&format!("/message/{}/frame", page.view())).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get(&format!("/message/{}/whole", page.view())).await.bytes, message.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_session_sees_nothing_of_this_one() {
    let world = World::new().await;
    let (one, two): (Made, Made) = (world.parcel(&rich()).await, world.parcel(PLAIN).await);
    let (mut first, mut second, mut nobody) = (world.browser(), world.browser(), world.browser());
    let view = first.open(&one).await.view();
    second.open(&two).await;
    let never = "0123456789abcdef";
    for end in ["frame", "file/1", "whole"] {
        assert_eq!(first.get(&format!("/message/{view}/{end}")).await.status, StatusCode::OK);
        let mut answers = Vec::new();
        let (strange, absent) = (format!("/message/{view}/{end}"), format!("/message/{never}/{end}"));
        for mut answer in
            [second.get(&strange).await, second.get(&absent).await, nobody.get(&strange).await, first.get(&absent).await]
        {
            answer.headers.remove("date");
            answers.push((answer.status, format!("{:?}", answer.headers), answer.bytes));
        }
        assert_eq!(answers[0].0, StatusCode::NOT_FOUND);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{end}");
    }
    let page = second.get("/message").await;
    let answer = first.post("/leave", &[("token", &page.token())]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "a token of another session");
    assert_eq!(first.get("/message").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_time_and_when_the_code_is_used_elsewhere() {
    let world = World::new().await;
    let made = world.parcel(PLAIN).await;
    let (mut first, mut second) = (world.browser(), world.browser());
    first.open(&made).await;
    world.pass_secs(14 * 60);
    assert_eq!(first.get("/message").await.status, StatusCode::OK);
    world.pass_secs(15 * 60);
    assert!(first.get("/message").await.text().contains("We closed your message"));
    first.open(&made).await;
    let before = first.cookies.get("__Host-wardpost-session").cloned();
    second.open(&made).await;
    assert_eq!(first.get("/message").await.status, StatusCode::FORBIDDEN);
    first.open(&made).await;
    assert_ne!(first.cookies.get("__Host-wardpost-session").cloned(), before, "a new session has a new cookie");
    let other = first.send("GET", "/message", &[("user-agent", "another browser")], "").await;
    assert_eq!(other.status, StatusCode::FORBIDDEN, "a cookie taken to another browser");
    assert_eq!(first.get("/message").await.status, StatusCode::OK);
    world.portal.end_sessions();
    assert_eq!(first.get("/message").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_somebody_else_is_closed_for_good() {
    let mut world = World::new().await;
    let made = world.parcel(PLAIN).await;
    {
        let mut browser = world.browser();
        let page = browser.open(&made).await;
        let done = browser.post("/not-for-me", &[("token", &page.token())]).await;
        assert!(done.text().contains("You need do nothing more"));
        assert_eq!(browser.get("/message").await.status, StatusCode::FORBIDDEN);
        let again = browser.try_code(&made.number.to_string(), &made.code.to_string()).await;
        assert!(again.text().contains("That code does not fit"));
    }
    assert!(world.row(made.id).await.is_closed);
    assert!(world.store.parcel_content(made.id).await.unwrap().is_none());
    let records = world.records().await;
    assert!(records.iter().any(|record| record.event == Event::Recalled && record.reason.as_deref() == Some("not-for-reader")));
    assert_eq!(world.incidents.try_recv(), Ok(Incident::Opened(made.id)));
    assert_eq!(world.incidents.try_recv(), Ok(Incident::NotForReader(made.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_taken_back_says_so_to_its_reader_only() {
    let world = World::new().await;
    let made = world.parcel(PLAIN).await;
    let mut browser = world.browser();
    let view = browser.open(&made).await.view();
    let closed = Commit { parcel_changes: vec![ParcelChange::Closed(made.id, world.now())], ..Commit::default() };
    world.store.commit(closed).await.unwrap();
    assert!(browser.get("/message").await.text().contains("took this message back"));
    assert_eq!(browser.get(&format!("/message/{view}/whole")).await.status, StatusCode::NOT_FOUND);
    let mut stranger = world.browser();
    let answer = stranger.try_code(&made.number.to_string(), &wrong(&made.code)).await;
    assert!(answer.text().contains("9 tries left"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_message_says_so_only_to_the_right_code() {
    let world = World::new().await;
    let (unread, read) = (world.parcel(PLAIN).await, world.parcel(PLAIN).await);
    let mut browser = world.browser();
    world.pass_secs(29 * 86_400);
    browser.open(&read).await;
    world.pass_secs(2 * 86_400);
    let answer = browser.try_code(&unread.number.to_string(), &wrong(&unread.code)).await;
    assert!(answer.text().contains("9 tries left"));
    let answer = browser.try_code(&unread.number.to_string(), &unread.code.to_string()).await;
    assert!(answer.text().contains("This message ended on 14 December 2023"));
    assert_eq!(answer.status, StatusCode::GONE);
    assert!(world.row(unread.id).await.first_opened_at.is_none());
    assert!(browser.open(&read).await.text().contains("All is well."), "seven days from the first reading");
    world.pass_secs(5 * 86_400);
    let answer = browser.try_code(&read.number.to_string(), &read.code.to_string()).await;
    assert_eq!(answer.status, StatusCode::GONE);
}
