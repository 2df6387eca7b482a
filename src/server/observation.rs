//! The listener for metrics and health: GET only, exact Host, its own socket.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::config::Settings;
use crate::observe::metrics;
use crate::pipeline::Gate;
use crate::store;
use crate::web::Site;

#[derive(Clone)]
struct Seen {
    gate: Arc<Gate>,
    store: store::Handle,
    token_hash: Option<[u8; 32]>,
}

/// Site and pages of the metrics listener at `address`.
pub(super) fn site(settings: &Settings, address: SocketAddr, gate: Arc<Gate>, store: store::Handle) -> (Site, Router) {
    let mut hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
    hosts.extend(settings.metrics_hosts.iter().map(|host| host.to_ascii_lowercase()));
    let seen = Seen { gate, store, token_hash: settings.metrics_token.as_ref().map(|token| hash(token.as_bytes())) };
    let router = Router::new()
        .route("/metrics", get(render))
        .route("/ready", get(ready))
        .route_layer(middleware::from_fn_with_state(seen.clone(), has_token))
        .route("/health", get(|| async { "ok\n" }))
        .with_state(seen);
    let site = Site { hosts, methods: &[Method::GET, Method::HEAD], body_bytes_max: 0, is_tls: false };
    (site, router)
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0u8; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Compares hashes, so that time tells nothing about the token.
async fn has_token(State(seen): State<Seen>, request: Request, next: Next) -> Response {
    if let Some(wanted) = seen.token_hash {
        let shown = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        if shown.map(|token| hash(token.as_bytes())) != Some(wanted) {
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response();
        }
    }
    next.run(request).await
}

async fn render() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics().render()).into_response()
}

async fn ready(State(seen): State<Seen>) -> Response {
    if !seen.gate.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "loading\n").into_response();
    }
    if seen.store.depth().await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "store\n").into_response();
    }
    if !seen.store.takes_mail() {
        return (StatusCode::SERVICE_UNAVAILABLE, "disk\n").into_response();
    }
    "ready\n".into_response()
}
