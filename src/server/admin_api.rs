//! The HTTP interface for programs of the practice: what `wardpost check` says, for whoever shows a token.
//!
//! Each question dials other people's mail servers, so it is bounded: few at a time, few a minute for each token. Who
//! asked for what is logged and recorded.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::check::Checker;
use super::control::Parts;
use crate::audit;
use crate::config::Admin;
use crate::mail::{Domain, Timestamp};
use crate::observe::{self, Event, metrics};
use crate::store::TokenRow;
use crate::vault::Vault;
use crate::web::{Limits, Peer, Site};

/// Questions under way at a time.
const AT_ONCE: usize = 8;
/// Questions that wait for a place beside them.
const WAITING_MAX: usize = 24;
/// Questions of one token in a row, and how soon it may ask one more.
const IN_A_ROW: u32 = 60;
const ONE_MORE_AFTER: Duration = Duration::from_secs(1);
/// Hosts that keep callers waiting keep a question waiting; no longer than this.
const ANSWER_MAX: Duration = Duration::from_secs(10 * 60);

/// Under which tokens are hashed.
const TOKEN_KIND: &str = "admin token";

/// What is kept of a token.
pub(super) fn hash_of(vault: &Vault, token: &str) -> [u8; 32] {
    vault.keyed_hash(TOKEN_KIND, token.as_bytes())
}

/// A connection that waits for an answer shows no byte meanwhile.
pub(super) fn limits() -> Limits {
    Limits { connections_max: 128, idle_timeout: ANSWER_MAX + Duration::from_secs(60), ..Limits::default() }
}

#[derive(Clone)]
struct Api {
    parts: Parts,
    places: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    rates: Arc<Mutex<HashMap<String, Rate>>>,
}

/// Site and pages of the listener at `address`.
pub(super) fn site(settings: &Admin, address: SocketAddr, parts: Parts) -> (Site, Router) {
    let mut hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
    hosts.extend(settings.hosts.iter().map(|host| host.to_ascii_lowercase()));
    let api = Api {
        parts,
        places: Arc::new(Semaphore::new(AT_ONCE)),
        queue: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)),
        rates: Arc::default(),
    };
    let router = Router::new().route("/api/v1/check", get(check)).with_state(api);
    let site = Site { hosts, methods: &[Method::GET], body_bytes_max: 0, is_tls: settings.certificate.is_some() };
    (site, router)
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    domain: String,
}

async fn check(
    State(api): State<Api>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Query(question): Query<Question>,
) -> Response {
    let token = match api.token(&headers).await {
        Ok(Some(token)) => token,
        Ok(None) => {
            observe::log(&Event::AuthFailed { peer });
            metrics().api("refused");
            let mut response = problem(StatusCode::UNAUTHORIZED, "show a token of `wardpost token add` as Authorization: Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        Err(unavailable) => return unavailable,
    };
    let Ok(domain) = Domain::parse(question.domain.trim()) else {
        metrics().api("wrong");
        return problem(StatusCode::BAD_REQUEST, "give one domain: ?domain=example.com");
    };
    if let Err(wait) = api.take_turn(&token.name, Instant::now()) {
        metrics().api("too-many");
        return later(StatusCode::TOO_MANY_REQUESTS, "this token asks too often", wait);
    }
    let Ok(_queued) = api.queue.try_acquire() else {
        metrics().api("busy");
        return later(StatusCode::SERVICE_UNAVAILABLE, "too many questions are under way", Duration::from_secs(5));
    };
    if let Err(unavailable) = api.record(&token, peer, &domain, super::now()).await {
        return unavailable;
    }
    let asking = async {
        let _place = api.places.acquire().await.ok()?;
        let checker = Checker::of_gateway(&api.parts).ok()?;
        serde_json::to_string(&checker.check(&domain).await).ok()
    };
    match tokio::time::timeout(ANSWER_MAX, asking).await {
        Ok(Some(report)) => {
            metrics().api("answered");
            ([(header::CONTENT_TYPE, "application/json")], report).into_response()
        }
        Ok(None) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the check could not be made"),
        Err(_) => problem(StatusCode::GATEWAY_TIMEOUT, "the domain's mail servers keep callers waiting for too long"),
    }
}

impl Api {
    /// Whose token the request shows. Every token is compared, each in constant time.
    async fn token(&self, headers: &HeaderMap) -> Result<Option<TokenRow>, Response> {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(shown) = shown.and_then(|value| value.strip_prefix("Bearer ")) else { return Ok(None) };
        let shown = hash_of(&self.parts.vault, shown.trim());
        let tokens = self.parts.store.tokens().await.map_err(|_| unavailable())?;
        let is_shown = |token: &TokenRow| verify_slices_are_equal(&token.hash, &shown).is_ok();
        Ok(tokens.into_iter().fold(None, |found, token| if is_shown(&token) { Some(token) } else { found }))
    }

    fn take_turn(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        // Names are the administrator's, so there are few.
        rates.entry(name.to_owned()).or_insert(Rate { free_at: now }).take(now)
    }

    /// Who asked stands in log and record before anybody is dialled.
    async fn record(&self, token: &TokenRow, peer: std::net::IpAddr, domain: &Domain, now: Timestamp) -> Result<(), Response> {
        let mut record = audit::Record::of(audit::Event::Asked, now);
        record.principal = Some(self.parts.vault.pseudonym("token", &token.name));
        record.domain = Some(domain.to_string());
        self.parts.store.append(vec![record]).await.map_err(|_| unavailable())?;
        self.parts.store.note_token_use(&token.name, now, peer.to_string()).await.map_err(|_| unavailable())?;
        observe::log(&Event::CheckAsked { token: token.name.clone(), peer, domain: domain.clone() });
        Ok(())
    }
}

/// So many questions at once, then one after the other (a leaky bucket, kept as the moment when it is empty).
struct Rate {
    free_at: Instant,
}

impl Rate {
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let free_at = self.free_at.max(now);
        let ahead = free_at.duration_since(now);
        let most = ONE_MORE_AFTER * (IN_A_ROW - 1);
        if ahead > most {
            return Err(ahead - most);
        }
        self.free_at = free_at + ONE_MORE_AFTER;
        Ok(())
    }
}

fn problem(status: StatusCode, error: &str) -> Response {
    let body = serde_json::json!({ "error": error }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn later(status: StatusCode, error: &str, wait: Duration) -> Response {
    let mut response = problem(status, error);
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    if let Ok(value) = HeaderValue::from_str(&secs.max(1).to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn unavailable() -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_asks_sixty_times_in_a_row_and_then_once_a_second() {
        let now = Instant::now();
        let mut rate = Rate { free_at: now };
        for n in 0..60 {
            assert_eq!(rate.take(now), Ok(()), "{n}");
        }
        assert_eq!(rate.take(now), Err(Duration::from_secs(1)));
        assert_eq!(rate.take(now + Duration::from_secs(1)), Ok(()));
        assert_eq!(rate.take(now + Duration::from_secs(1)), Err(Duration::from_secs(1)));
        // A minute of silence gives all of them back, and no more.
        let next = now + Duration::from_secs(600);
        for n in 0..60 {
            assert_eq!(rate.take(next), Ok(()), "{n}");
        }
        assert!(rate.take(next).is_err());
    }
}
