use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use axum::routing::{get, post};

use super::download::disposition;
use super::lang::{EN, Texts, fill};
use super::pages::{Asked, Frame, Shown, Style, frame_document, html_response};
use super::reading::{self, Opened};
use super::session::Session;
use super::unlock::{Unlocked, Which};
use super::{Incident, Inner};
use crate::audit::Event;
use crate::escrow::{Code, Number, effective_expiry};
use crate::mail::{ParcelId, Timestamp};
use crate::store::{Commit, ParcelChange, ParcelRow};
use crate::web::{Form, FormError, Peer, clear_cookie, is_same_origin, read_cookie, read_form, set_cookie};

const SESSION_COOKIE: &str = "wardpost-session";
/// Binds a form to the browser that was shown it, before there is a session.
const FORM_COOKIE: &str = "wardpost-form";
/// HTML that takes longer to sanitise is shown as text.
const RENDER_TIME: Duration = Duration::from_secs(2);

type Page = Response<Body>;
type App = State<Arc<Inner>>;
/// Pieces of a path; what is no text is a page that does not exist.
type Segments<T> = Result<Path<T>, PathRejection>;

pub(super) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/", get(start))
        .route("/m/{locator}", get(linked))
        .route("/open", post(open))
        .route("/message", get(message))
        .route("/message/{view}/frame", get(frame))
        .route("/message/{view}/file/{index}", get(file))
        .route("/message/{view}/whole", get(whole))
        .route("/leave", post(leave))
        .route("/not-for-me", post(not_for_me))
        .route("/closed", get(closed))
        .route("/static/{file}", get(style))
        .fallback(missing)
        .with_state(inner)
}

async fn start(State(app): App, headers: HeaderMap) -> Page {
    app.code_page(&headers, StatusCode::OK, &Asked::Number(""), None)
}

/// Changes nothing and looks up nothing: robots that open every link learn that there is a page.
async fn linked(State(app): App, Path(locator): Path<String>, headers: HeaderMap) -> Page {
    match ParcelId::parse(&locator) {
        Ok(id) => app.code_page(&headers, StatusCode::OK, &Asked::Locator(&id.to_string()), None),
        Err(_) => app.not_found(),
    }
}

async fn open(State(app): App, Extension(Peer(peer)): Extension<Peer>, request: Request) -> Page {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let form = match read_form(&headers, body).await {
        Ok(form) => form,
        Err(error) => return app.bad_form(error),
    };
    let cookie = read_cookie(&headers, FORM_COOKIE).unwrap_or_default();
    if !is_same_origin(&headers, &app.settings.origin()) || cookie.is_empty() || !app.is_token(&form, "form", &cookie) {
        return app.says(StatusCode::FORBIDDEN, EN.form_title, EN.form_old, true);
    }
    let typed: String = form.field("number").chars().take(16).collect();
    let (asked, which) = match (ParcelId::parse(form.field("parcel")), Number::parse(&typed)) {
        (Ok(id), _) => (Asked::Locator(form.field("parcel")), Which::Locator(id)),
        (Err(_), Ok(number)) => (Asked::Number(&typed), Which::Number(number)),
        (Err(_), Err(_)) => {
            let asked = Asked::Number(&typed);
            return app.code_page(&headers, StatusCode::UNPROCESSABLE_ENTITY, &asked, Some(EN.number_incomplete));
        }
    };
    let Ok(code) = Code::parse(form.field("code")) else {
        return app.code_page(&headers, StatusCode::UNPROCESSABLE_ENTITY, &asked, Some(EN.code_incomplete));
    };
    if !app.limits.may_try(peer, app.now()) {
        return app.busy();
    }
    match app.unlock(which, code).await {
        Unlocked::Open { row, key } => app.begin_session(&headers, &row, key),
        Unlocked::Expired { on } => app.expired(on),
        Unlocked::Wrong { tries_left } => {
            let alert = match tries_left {
                1 => EN.wrong_code_last.to_owned(),
                left => fill(EN.wrong_code, "n", &left.to_string()),
            };
            app.code_page(&headers, StatusCode::FORBIDDEN, &asked, Some(&alert))
        }
        Unlocked::Locked => app.says(StatusCode::FORBIDDEN, EN.locked_title, EN.locked, false),
        Unlocked::Wait { secs } => {
            let text = fill(EN.wait, "n", &secs.to_string());
            retry_after(app.says(StatusCode::TOO_MANY_REQUESTS, EN.wait_title, &text, true), secs)
        }
        Unlocked::Busy => app.busy(),
        Unlocked::Failed => app.failed(),
    }
}

async fn message(State(app): App, headers: HeaderMap) -> Page {
    let Some((token, session)) = app.session(&headers) else {
        return app.says(StatusCode::FORBIDDEN, EN.closed_title, EN.closed, true);
    };
    let (row, opened) = match app.open_parcel(&session).await {
        Ok(found) => found,
        Err(page) => return page,
    };
    let (view, form_token) = (session.view.clone(), app.token("session", &token));
    let until = effective_expiry(row.expires_at, row.first_opened_at);
    let render = {
        let (app, opened) = (app.clone(), opened.clone());
        let (view, form_token) = (view.clone(), form_token.clone());
        move || {
            let layout = opened.layout(EN.unnamed_file);
            let links = opened.clean_html(&layout).links;
            app.message_page(&opened, &layout, &links, &view, &form_token, until)
        }
    };
    if let Some(page) = app.in_time(render).await {
        return page;
    }
    let reduced = {
        let app = app.clone();
        move || {
            let mut layout = opened.layout(EN.unnamed_file);
            layout.reduce();
            app.message_page(&opened, &layout, &[], &view, &form_token, until)
        }
    };
    match app.at_leisure(reduced).await {
        Some(page) => page,
        None => app.failed(),
    }
}

/// The HTML of the message, for the sandboxed frame of the message page.
async fn frame(State(app): App, Path(view): Path<String>, headers: HeaderMap) -> Page {
    let Some(session) = app.session_of_view(&headers, &view) else { return app.not_found() };
    let Ok((_, opened)) = app.open_parcel(&session).await else { return app.not_found() };
    let render = move || {
        let layout = opened.layout(EN.unnamed_file);
        layout.has_html().then(|| frame_document(&EN, &opened.clean_html(&layout).html))
    };
    let Some(Some(document)) = app.in_time(render).await else { return app.not_found() };
    let mut page = html_response(StatusCode::OK, document);
    set(&mut page, header::CONTENT_SECURITY_POLICY, &app.style.frame_policy);
    set(&mut page, header::X_FRAME_OPTIONS, "SAMEORIGIN");
    page
}

async fn file(State(app): App, method: Method, path: Segments<(String, String)>, headers: HeaderMap) -> Page {
    let Ok(Path((view, index))) = path else { return app.not_found() };
    let Some(session) = app.session_of_view(&headers, &view) else { return app.not_found() };
    let Ok((row, opened)) = app.open_parcel(&session).await else { return app.not_found() };
    let take = move || {
        let layout = opened.layout(EN.unnamed_file);
        let index = index.parse::<usize>().ok()?.checked_sub(1)?;
        let file = layout.files.get(index)?;
        // What can be recovered is better than nothing; it is a download in any case.
        let bytes = match file.part.decode(&opened.message) {
            Ok(bytes) => bytes.into_owned(),
            Err(problem) => problem.recovered,
        };
        Some((file.name.clone(), bytes))
    };
    let Some(Some((name, bytes))) = app.at_leisure(take).await else { return app.not_found() };
    app.hand_out(&method, &row, "attachment", &name, bytes).await
}

async fn whole(State(app): App, method: Method, Path(view): Path<String>, headers: HeaderMap) -> Page {
    let Some(session) = app.session_of_view(&headers, &view) else { return app.not_found() };
    let Ok((row, opened)) = app.open_parcel(&session).await else { return app.not_found() };
    let bytes = opened.message.raw().to_vec();
    app.hand_out(&method, &row, "whole-message", "message.eml", bytes).await
}

async fn leave(State(app): App, request: Request) -> Page {
    let headers = request.headers().clone();
    let (token, _) = match app.posted(request).await {
        Ok(found) => found,
        Err(page) => return page,
    };
    app.sessions.end(app.session_id(&token, &headers));
    app.left(EN.left_title, EN.left)
}

async fn not_for_me(State(app): App, request: Request) -> Page {
    let (_, session) = match app.posted(request).await {
        Ok(found) => found,
        Err(page) => return page,
    };
    let row = match app.store.parcel(session.parcel).await {
        Ok(Some(row)) => row,
        Ok(None) => return app.not_found(),
        Err(_) => return app.failed(),
    };
    let now = app.now();
    let commit = Commit {
        parcel_changes: vec![ParcelChange::Closed(row.id, now)],
        records: vec![app.record(Event::Recalled, &row, Some("not-for-reader"))],
        ..Commit::default()
    };
    if app.store.commit(commit).await.is_err() {
        return app.failed();
    }
    app.sessions.end_parcel(row.id);
    app.tell(Incident::NotForReader(row.id));
    app.left(EN.not_for_me_title, EN.not_for_me_done)
}

async fn closed(State(app): App) -> Page {
    app.says(StatusCode::OK, EN.closed_title, EN.closed, true)
}

async fn style(State(app): App, Path(file): Path<String>) -> Page {
    if file != app.style.file {
        return app.not_found();
    }
    let mut response = Response::new(Body::from(Style::sheet()));
    set(&mut response, header::CONTENT_TYPE, "text/css; charset=utf-8");
    response
}

async fn missing(State(app): App) -> Page {
    app.not_found()
}

impl Inner {
    fn texts() -> &'static Texts {
        &EN
    }

    fn page_frame(&self) -> Frame<'_> {
        Frame { texts: Self::texts(), office: &self.settings.office, style_file: &self.style.file }
    }

    fn says(&self, status: StatusCode, title: &str, text: &str, link: bool) -> Page {
        self.page_frame().says(status, title, text, link)
    }

    fn not_found(&self) -> Page {
        self.says(StatusCode::NOT_FOUND, EN.missing_title, EN.missing, false)
    }

    fn failed(&self) -> Page {
        self.says(StatusCode::SERVICE_UNAVAILABLE, EN.failed_title, EN.failed, true)
    }

    fn busy(&self) -> Page {
        retry_after(self.says(StatusCode::TOO_MANY_REQUESTS, EN.busy_title, EN.busy, true), 60)
    }

    fn expired(&self, on: Timestamp) -> Page {
        let text = fill(EN.expired, "date", &crate::escrow::long_date(on));
        self.says(StatusCode::GONE, EN.expired_title, &text, false)
    }

    fn bad_form(&self, error: FormError) -> Page {
        let status = match error {
            FormError::Malformed => StatusCode::BAD_REQUEST,
            FormError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            FormError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        };
        self.says(status, EN.form_title, EN.form_old, true)
    }

    /// The code page, with a form bound to this browser.
    fn code_page(&self, headers: &HeaderMap, status: StatusCode, asked: &Asked<'_>, alert: Option<&str>) -> Page {
        let known = read_cookie(headers, FORM_COOKIE);
        let is_new = known.is_none();
        let cookie = known.unwrap_or_else(|| hex(&self.vault.random::<16>()));
        let mut page = self.page_frame().code(status, asked, &self.token("form", &cookie), alert);
        if is_new && let Some(value) = set_cookie(FORM_COOKIE, &cookie) {
            page.headers_mut().append(header::SET_COOKIE, value);
        }
        page
    }

    /// What a form must bring back: a keyed hash of the cookie it belongs to.
    fn token(&self, kind: &str, cookie: &str) -> String {
        hex(&self.vault.keyed_hash(&format!("portal {kind} token"), cookie.as_bytes()))
    }

    fn is_token(&self, form: &Form, kind: &str, cookie: &str) -> bool {
        verify_slices_are_equal(form.field("token").as_bytes(), self.token(kind, cookie).as_bytes()).is_ok()
    }

    /// Name of a session in memory: a keyed hash of cookie and browser, so that a cookie taken to another browser is
    /// worth nothing there.
    fn session_id(&self, token: &str, headers: &HeaderMap) -> [u8; 32] {
        let browser = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
        self.vault.keyed_hash("portal session", &[token.as_bytes(), b"\0", browser].concat())
    }

    fn session(&self, headers: &HeaderMap) -> Option<(String, Session)> {
        let token = read_cookie(headers, SESSION_COOKIE)?;
        let session = self.sessions.find(self.session_id(&token, headers), self.now())?;
        Some((token, session))
    }

    /// The session, if `view` is of it. Another session's addresses look like addresses that never were.
    fn session_of_view(&self, headers: &HeaderMap, view: &str) -> Option<Session> {
        self.session(headers).map(|(_, session)| session).filter(|session| session.view == view)
    }

    /// Starts a session under a new cookie; one that the browser brought along ends.
    fn begin_session(&self, headers: &HeaderMap, row: &ParcelRow, key: crate::secret::Key) -> Page {
        if let Some(before) = read_cookie(headers, SESSION_COOKIE) {
            self.sessions.end(self.session_id(&before, headers));
        }
        let token = hex(&self.vault.random::<32>());
        self.sessions.begin(self.session_id(&token, headers), row.id, key, hex(&self.vault.random::<8>()), self.now());
        let mut page = Response::new(Body::empty());
        *page.status_mut() = StatusCode::SEE_OTHER;
        set(&mut page, header::LOCATION, "/message");
        if let Some(cookie) = set_cookie(SESSION_COOKIE, &token) {
            page.headers_mut().append(header::SET_COOKIE, cookie);
        }
        page
    }

    /// Row and content of the session's parcel, or the page that says why not.
    async fn open_parcel(&self, session: &Session) -> Result<(ParcelRow, Arc<Opened>), Page> {
        let row = match self.store.parcel(session.parcel).await {
            Ok(Some(row)) if !row.is_closed => row,
            Ok(_) => {
                self.sessions.end_parcel(session.parcel);
                return Err(self.says(StatusCode::GONE, EN.taken_back_title, EN.taken_back, false));
            }
            Err(_) => return Err(self.failed()),
        };
        let ends = effective_expiry(row.expires_at, row.first_opened_at);
        if self.now() >= ends {
            self.sessions.end_parcel(session.parcel);
            return Err(self.expired(ends));
        }
        let Ok(Some((header, body))) = self.store.parcel_content(session.parcel).await else { return Err(self.failed()) };
        let (key, id, facts) = (session.key.clone(), row.id, row.facts.clone());
        let opened = self.at_leisure(move || reading::open(&key, id, &facts, &header, &body)).await;
        match opened {
            Some(Ok(opened)) => Ok((row, Arc::new(opened))),
            Some(Err(_)) | None => Err(self.failed()),
        }
    }

    fn message_page(
        &self,
        opened: &Opened,
        layout: &reading::Layout<'_>,
        links: &[String],
        view: &str,
        token: &str,
        until: Timestamp,
    ) -> Page {
        let files: Vec<(String, usize)> =
            layout.files.iter().map(|file| (file.name.clone(), file.size(&opened.message))).collect();
        self.page_frame().message(&Shown {
            facts: &opened.facts,
            until,
            layout,
            files: &files,
            links,
            view,
            token,
            refresh_secs: self.settings.idle_secs,
        })
    }

    /// Runs foreign HTML through the sanitiser away from the event loop. `None`: too slow, no place, or it failed.
    async fn in_time<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let renderers = self.renderers.clone();
        let task = async move {
            let place = renderers.acquire_owned().await.ok()?;
            let task = tokio::task::spawn_blocking(move || {
                let _place = place;
                work()
            });
            task.await.ok()
        };
        tokio::time::timeout(RENDER_TIME, task).await.ok()?
    }

    /// Work on a whole message, away from the event loop.
    async fn at_leisure<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = self.readers.clone().acquire_owned().await.ok()?;
        let task = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        task.await.ok()
    }

    /// A file, after the record of it is written. HEAD tells the same and hands out nothing, so it leaves no record.
    async fn hand_out(&self, method: &Method, row: &ParcelRow, what: &'static str, name: &str, bytes: Vec<u8>) -> Page {
        if *method != Method::HEAD && self.store.append(vec![self.record(Event::AttachmentTaken, row, Some(what))]).await.is_err()
        {
            return self.failed();
        }
        let length = bytes.len();
        let mut page = Response::new(Body::from(bytes));
        set(&mut page, header::CONTENT_TYPE, "application/octet-stream");
        set(&mut page, header::CONTENT_LENGTH, &length.to_string());
        set(&mut page, header::CONTENT_DISPOSITION, &disposition(name));
        set(
            &mut page,
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        );
        page
    }

    /// A form of an open session: its origin, its token and its session are right, or the page that says no.
    async fn posted(&self, request: Request) -> Result<(String, Session), Page> {
        let (parts, body) = request.into_parts();
        let form = read_form(&parts.headers, body).await.map_err(|error| self.bad_form(error))?;
        let forbidden = || self.says(StatusCode::FORBIDDEN, EN.form_title, EN.form_old, true);
        if !is_same_origin(&parts.headers, &self.settings.origin()) {
            return Err(forbidden());
        }
        let (token, session) = self.session(&parts.headers).ok_or_else(forbidden)?;
        if self.is_token(&form, "session", &token) { Ok((token, session)) } else { Err(forbidden()) }
    }

    /// After leaving: the cookie goes, and the browser forgets what it kept of the pages.
    fn left(&self, title: &str, text: &str) -> Page {
        let mut page = self.says(StatusCode::OK, title, text, false);
        if let Some(cookie) = clear_cookie(SESSION_COOKIE) {
            page.headers_mut().append(header::SET_COOKIE, cookie);
        }
        set(&mut page, HeaderName::from_static("clear-site-data"), "\"cache\", \"storage\"");
        page
    }
}

fn set(page: &mut Page, name: HeaderName, value: &str) {
    // Every value is ASCII of ours; a name of a file went through `disposition`.
    if let Ok(value) = HeaderValue::from_str(value) {
        page.headers_mut().insert(name, value);
    }
}

fn retry_after(mut page: Page, secs: i64) -> Page {
    set(&mut page, header::RETRY_AFTER, &secs.to_string());
    page
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
