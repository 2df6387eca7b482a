//! The pages as HTML. They work without JavaScript, on small screens, with a keyboard and a screen reader.

use aws_lc_rs::digest;
use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::download::size_text;
use super::lang::{Texts, fill};
use super::reading::{Block, Layout};
use crate::escrow::{ParcelFacts, long_date};
use crate::mail::Timestamp;

const STYLE: &str = include_str!("style.css");
/// Style of a message's own frame, allowed there by its hash.
const FRAME_STYLE: &str = "body{margin:.75rem;font:1.0625rem/1.5 system-ui,sans-serif;color:#17212b;background:#fff;overflow-wrap:anywhere}\
                           img{max-width:100%;height:auto}table{max-width:100%;border-collapse:collapse}td,th{padding:.125rem .375rem;vertical-align:top}\
                           blockquote{margin:0 0 0 .5rem;padding-left:.75rem;border-left:3px solid #d5dce2}pre{white-space:pre-wrap}";

/// The style sheet with its address, and the policy of the frame.
pub struct Style {
    /// Name of the style sheet: changes with its content.
    pub file: String,
    pub frame_policy: String,
}

impl Style {
    pub fn new() -> Style {
        let hash = digest::digest(&digest::SHA256, STYLE.as_bytes());
        let name: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let frame = STANDARD.encode(digest::digest(&digest::SHA256, FRAME_STYLE.as_bytes()));
        Style {
            file: format!("{name}.css"),
            // `frame-ancestors 'self'`: only our own page may hold the frame. No script, form, font, remote picture or style.
            frame_policy: format!(
                "sandbox; default-src 'none'; img-src data:; style-src 'sha256-{frame}'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'self'"
            ),
        }
    }

    pub fn sheet() -> &'static str {
        STYLE
    }
}

/// What every page needs.
pub struct Frame<'a> {
    pub texts: &'static Texts,
    pub office: &'a str,
    pub style_file: &'a str,
}

/// What the code page asks for.
pub enum Asked<'a> {
    /// Number and code; the number as it was typed before.
    Number(&'a str),
    /// Only the code: the link named the message.
    Locator(&'a str),
}

impl Frame<'_> {
    fn page(&self, status: StatusCode, title: &str, refresh: Option<(i64, &str)>, main: &Markup) -> Response<Body> {
        let markup = html! {
            (DOCTYPE)
            html lang=(self.texts.tag) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="format-detection" content="telephone=no";
                    @if let Some((secs, to)) = refresh {
                        meta http-equiv="refresh" content={ (secs) ";url=" (to) };
                    }
                    title { (title) " - " (self.texts.title) }
                    link rel="stylesheet" href={ "/static/" (self.style_file) };
                }
                body {
                    header { (self.office) }
                    main { (main) }
                    footer { p { (self.texts.never_ask) } }
                }
            }
        };
        html_response(status, markup.into_string())
    }

    /// A page that says one thing.
    pub fn says(&self, status: StatusCode, title: &str, text: &str, link: bool) -> Response<Body> {
        self.page(
            status,
            title,
            None,
            &html! {
                h1 { (title) }
                p { (text) }
                @if link { p { a href="/" { (self.texts.enter_again) } } }
            },
        )
    }

    /// Where a code is typed. `alert` is what was wrong with the last try.
    pub fn code(&self, status: StatusCode, asked: &Asked<'_>, token: &str, alert: Option<&str>) -> Response<Body> {
        let texts = self.texts;
        let described = |hint: &'static str| if alert.is_some() { format!("alert {hint}") } else { hint.to_owned() };
        self.page(
            status,
            texts.enter_title,
            None,
            &html! {
                h1 { (texts.enter_title) }
                @if let Some(alert) = alert {
                    p.alert #alert role="alert" { (alert) }
                    p { (texts.may_have_ended) }
                }
                p { (fill(texts.enter_lead, "office", self.office)) }
                form method="post" action="/open" {
                    input type="hidden" name="token" value=(token);
                    @match asked {
                        Asked::Number(typed) => {
                            label for="number" { (texts.number_label) }
                            p.hint #number-hint { (texts.number_hint) }
                            input #number type="text" name="number" value=(typed) required maxlength="16" autocomplete="off"
                                autocapitalize="characters" spellcheck="false" aria-describedby=(described("number-hint"));
                        }
                        Asked::Locator(locator) => { input type="hidden" name="parcel" value=(locator); }
                    }
                    label for="code" { (texts.code_label) }
                    p.hint #code-hint { (texts.code_hint) }
                    input #code type="text" name="code" required maxlength="24" inputmode="numeric" autocomplete="off"
                        spellcheck="false" aria-describedby=(described("code-hint"));
                    button type="submit" { (texts.open_button) }
                }
                h2 { (texts.no_code.split('?').next().unwrap_or_default()) "?" }
                p { (texts.no_code.split_once("? ").map_or(texts.no_code, |(_, rest)| rest)) }
            },
        )
    }

    /// The message itself.
    pub fn message(&self, shown: &Shown<'_>) -> Response<Body> {
        let texts = self.texts;
        let facts = shown.facts;
        let subject = if facts.subject.trim().is_empty() { texts.no_subject } else { facts.subject.trim() };
        self.page(
            StatusCode::OK,
            texts.message_label,
            Some((shown.refresh_secs, "/closed")),
            &html! {
                h1 dir="auto" { (subject) }
                dl {
                    dt { (texts.from_label) }
                    dd dir="auto" {
                        @if let Some(name) = &facts.sender_name { (name) " " }
                        "<" (facts.sender) ">"
                    }
                    dt { (texts.date_label) } dd { (date_time(facts.received_at)) }
                    dt { (texts.until_label) } dd { (long_date(shown.until)) }
                }
                @if shown.layout.is_reduced || shown.layout.is_cut { p.alert { (texts.shown_as_text) } }
                @if shown.layout.has_html() {
                    iframe title=(texts.message_label) src={ "/message/" (shown.view) "/frame" } sandbox="" referrerpolicy="no-referrer" {}
                    p { a href={ "/message/" (shown.view) "/frame" } target="_blank" rel="noopener noreferrer" { (texts.frame_link) } }
                }
                @for block in &shown.layout.blocks {
                    @if let Block::Text(text) = block { div.text dir="auto" { (text) } }
                }
                @if shown.layout.blocks.is_empty() { p { (texts.nothing_shown) } }
                @if !shown.links.is_empty() {
                    h2 { (texts.links_title) }
                    p.hint { (texts.links_hint) }
                    ul { @for link in shown.links { li { a href=(link) target="_blank" rel="noopener noreferrer nofollow" { (link) } } } }
                }
                h2 { (texts.files_title) }
                p.hint { (texts.files_hint) }
                ul {
                    @for (index, (name, bytes)) in shown.files.iter().enumerate() {
                        li { a href={ "/message/" (shown.view) "/file/" (index + 1) } { (name) } " (" (size_text(*bytes)) ")" }
                    }
                    li { a href={ "/message/" (shown.view) "/whole" } { (texts.whole_message) } }
                }
                p { (fill(texts.stay_hint, "n", &(shown.refresh_secs / 60).to_string())) " " a href="/message" { (texts.stay_link) } }
                form method="post" action="/leave" {
                    input type="hidden" name="token" value=(shown.token);
                    button type="submit" { (texts.leave_button) }
                }
                details {
                    summary { (texts.not_for_me) }
                    p { (texts.not_for_me_ask) }
                    form method="post" action="/not-for-me" {
                        input type="hidden" name="token" value=(shown.token);
                        button.quiet type="submit" { (texts.not_for_me_button) }
                    }
                }
                p { (texts.emergency) }
            },
        )
    }
}

/// All that the message page shows.
pub struct Shown<'a> {
    pub facts: &'a ParcelFacts,
    pub until: Timestamp,
    pub layout: &'a Layout<'a>,
    pub files: &'a [(String, usize)],
    pub links: &'a [String],
    pub view: &'a str,
    pub token: &'a str,
    pub refresh_secs: i64,
}

/// The document inside the frame: sanitised HTML and one style of ours.
pub fn frame_document(texts: &Texts, clean: &str) -> String {
    html! {
        (DOCTYPE)
        html dir="auto" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (texts.message_label) }
                style { (PreEscaped(FRAME_STYLE)) }
            }
            body { (PreEscaped(clean)) }
        }
    }
    .into_string()
}

pub fn html_response(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn date_time(at: Timestamp) -> String {
    let (.., hour, minute, _) = at.civil();
    format!("{}, {hour:02}:{minute:02} UTC", long_date(at))
}
