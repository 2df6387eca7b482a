//! What every response has, whoever made it.

use axum::http::StatusCode;

use super::world::{Answer, HOST, World, wrong};

const MESSAGE: &[u8] =
    b"From: a@practice.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n";

const EVERYWHERE: &[(&str, &str)] = &[
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

fn check(name: &str, answer: &Answer) {
    for (header, value) in EVERYWHERE {
        assert_eq!(answer.header(header), *value, "{name}: {header}");
    }
    assert!(answer.header("permissions-policy").contains("camera=()"), "{name}");
    let policy = answer.header("content-security-policy");
    for part in ["default-src 'none'", "base-uri 'none'", "frame-ancestors", "form-action"] {
        assert!(policy.contains(part), "{name}: {policy}");
    }
    for part in ["unsafe", "script-src", "http:", "*", "allow-"] {
        assert!(!policy.contains(part), "{name}: {policy}");
    }
    assert!(!answer.headers.contains_key("server"), "{name}");
    assert!(answer.bytes.len() <= 100_000, "{name}");
    for cookie in answer.headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        for part in ["__Host-", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(cookie.contains(part), "{name}: {cookie}");
        }
        assert!(!cookie.contains("Domain"), "{name}");
    }
    let text = answer.text();
    for part in ["<script", "javascript:", " onclick", "style=\"", "http://"] {
        assert!(!text.contains(part), "{name}: {part}");
    }
    if answer.header("content-type").starts_with("text/html") {
        assert!(text.is_empty() || text.starts_with("<!DOCTYPE html>"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_carries_the_headers() {
    let world = World::new().await;
    let made = world.parcel(MESSAGE).await;
    let mut browser = world.browser();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let origin = ("origin", super::world::ORIGIN);

    let page = browser.get("/").await;
    check("front page", &page);
    assert_eq!(page.status, StatusCode::OK);
    let sheet = page.between("rel=\"stylesheet\" href=\"", "\"");
    let style = browser.get(&sheet).await;
    check("style sheet", &style);
    assert_eq!((style.status, style.header("content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
    let many = (0..30).map(|i| format!("a{i}=1")).collect::<Vec<_>>().join("&");
    for (method, path, headers, body, status) in [
        ("GET", format!("/m/{}", made.id), vec![], "", 200),
        ("GET", "/m/nothing".into(), vec![], "", 404),
        ("GET", "/nothing".into(), vec![], "", 404),
        ("GET", "/favicon.ico".into(), vec![], "", 404),
        ("GET", "/static/other.css".into(), vec![], "", 404),
        ("GET", "/message/x/file/%ff".into(), vec![], "", 404),
        ("GET", "/closed".into(), vec![], "", 200),
        ("GET", "/message".into(), vec![], "", 403),
        ("GET", format!("/{}", "x".repeat(2000)), vec![], "", 414),
        ("GET", "/".into(), vec![("host", "evil.example")], "", 421),
        ("GET", "/".into(), vec![("host", "portal.practice.example:8443")], "", 421),
        ("HEAD", "/".into(), vec![], "", 200),
        ("GET", "/open".into(), vec![], "", 405),
        ("POST", "/".into(), vec![form, origin], "", 405),
        ("PUT", "/".into(), vec![], "", 405),
        ("OPTIONS", "/open".into(), vec![], "", 405),
        ("TRACE", "/".into(), vec![], "", 405),
        ("POST", "/open".into(), vec![form, origin], "code=1", 403),
        ("POST", "/open".into(), vec![form, origin], "code=%zz", 400),
        ("POST", "/open".into(), vec![form, origin], &many, 400),
        ("POST", "/open".into(), vec![form, origin], &"x".repeat(9000), 413),
        ("POST", "/open".into(), vec![form, origin], &"x".repeat(5000), 413),
        ("POST", "/leave".into(), vec![form, origin], "token=1", 403),
        ("POST", "/not-for-me".into(), vec![form, origin], "token=1", 403),
    ] {
        let answer = browser.send(method, &path, &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        check(&format!("{method} {path} {status}"), &answer);
    }

    let number = made.number.to_string();
    check("wrong code", &browser.try_code(&number, &wrong(&made.code)).await);
    check("short code", &browser.try_code(&number, "1").await);
    let token = browser.get("/").await.token();
    let opened = browser.post("/open", &[("token", &token), ("number", &number), ("code", made.code.digits())]).await;
    check("right code", &opened);
    let message = browser.get("/message").await;
    check("message", &message);
    for end in ["frame", "whole", "file/1"] {
        check(end, &browser.get(&format!("/message/{}/{end}", message.view())).await);
    }
    assert_eq!(browser.get(&format!("/message/{}/frame", message.view())).await.header("x-frame-options"), "SAMEORIGIN");
    check("left", &browser.post("/leave", &[("token", &message.token())]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn even_what_is_no_request_gets_the_headers() {
    let world = World::new().await;
    let big = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n", "A: b\r\n".repeat(500));
    for (name, request, status) in [
        ("garbage", "GARBAGE\r\n\r\n", "400"),
        ("bad version", "GET / HTTP/9.9\r\n\r\n", "400"),
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "400"),
        ("two hosts", &format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"), "421"),
        (
            "another absolute target",
            &format!("GET http://evil.example/ HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
            "421",
        ),
        ("two lengths", &format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"), "400"),
        ("a long header", &big, "431"),
        ("many headers", &many, "431"),
    ] {
        let answer = world.raw(request.as_bytes()).await.to_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{name}: {answer}");
        for (header, value) in EVERYWHERE {
            assert!(answer.contains(&format!("\r\n{header}: {}\r\n", value.to_lowercase())), "{name}: {header}");
        }
        assert_eq!(answer.matches("x-content-type-options").count(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_can_be_used_with_a_keyboard_and_a_screen_reader() {
    let world = World::new().await;
    let made = world.parcel(MESSAGE).await;
    let mut browser = world.browser();
    let page = browser.get("/").await.text();
    for part in [
        "<html lang=\"en\">",
        "name=\"viewport\"",
        "<label for=\"number\">",
        "id=\"number\"",
        "<label for=\"code\">",
        "id=\"code\"",
        "inputmode=\"numeric\"",
        "aria-describedby=\"code-hint\"",
        "id=\"code-hint\"",
        "<main>",
        "<h1>",
        "We never send the code by e-mail",
        "Call the number on your appointment card",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let wrong = browser.try_code(&made.number.to_string(), &wrong(&made.code)).await.text();
    assert!(wrong.contains("role=\"alert\"") && wrong.contains("aria-describedby=\"alert code-hint\""));
    let message = browser.open(&made).await.text();
    assert!(message.contains("<iframe title=\"Message\"") && message.contains("url=/closed"));
}
