use std::net::IpAddr;

use axum::Router;
use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::Limited;
use hyper::body::Incoming;
use tower_service::Service;

use super::headers::harden;
use crate::observe::{Event, log, metrics};

/// Longest path and query that is looked at; ours are below 100.
const TARGET_BYTES_MAX: usize = 1024;

/// Address of the client, put into the extensions of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// What a listener answers to, before any page is asked.
#[derive(Clone, Debug)]
pub struct Site {
    /// Exact Host values, lower case, with the port unless it is the scheme's own. Anything else is another site
    /// (DNS rebinding, virtual-host tricks).
    pub hosts: Vec<String>,
    pub methods: &'static [Method],
    pub body_bytes_max: usize,
    pub is_tls: bool,
}

impl Site {
    /// The host as sent, if it is one of ours. An absolute request target has to name it too (RFC 9112, section 3.2.2).
    fn is_ours<B>(&self, request: &Request<B>) -> bool {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let is_listed = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        host.to_str().is_ok_and(is_listed) && request.uri().authority().is_none_or(|authority| is_listed(authority.as_str()))
    }
}

/// Answers one request: limits, then the router, then the headers that every response has. A page that panics becomes
/// a 500 and takes nothing else down.
pub async fn answer(site: &Site, mut router: Router, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
    let is_head = request.method() == Method::HEAD;
    let mut response = match refuse(site, &request) {
        Some(status) => plain(status),
        None => {
            let limit = site.body_bytes_max;
            let mut request = request.map(|body| Body::new(Limited::new(body, limit)));
            request.extensions_mut().insert(Peer(peer));
            // A task of its own: a panic ends the task, and a client that leaves does not stop a try half-way.
            match tokio::spawn(async move { router.call(request).await }).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => {
                    metrics().panics.inc();
                    log(&Event::SessionPanicked);
                    plain(StatusCode::INTERNAL_SERVER_ERROR)
                }
            }
        }
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && !response.headers().contains_key(header::ALLOW) {
        let allow = site.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        if let Ok(allow) = HeaderValue::from_str(&allow) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    harden(response.headers_mut(), site.is_tls);
    if is_head {
        let length = response.headers().get(header::CONTENT_LENGTH).cloned();
        *response.body_mut() = Body::empty();
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
    }
    response
}

fn refuse<B>(site: &Site, request: &Request<B>) -> Option<StatusCode> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if !request.headers().contains_key(header::HOST) {
        Some(StatusCode::BAD_REQUEST)
    } else if !site.is_ours(request) {
        Some(StatusCode::MISDIRECTED_REQUEST)
    } else if !site.methods.contains(request.method()) {
        Some(StatusCode::METHOD_NOT_ALLOWED)
    } else if target > TARGET_BYTES_MAX {
        Some(StatusCode::URI_TOO_LONG)
    } else if length > site.body_bytes_max {
        Some(StatusCode::PAYLOAD_TOO_LARGE)
    } else {
        None
    }
}

/// An error before any page was asked: its reason phrase and nothing else.
fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{}\n", status.canonical_reason().unwrap_or("error"))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
