//! # web: serving pages safely
//!
//! What portal, metrics and any later pages share: accept loops with limits (TLS, or plain for the metrics
//! listener), security headers on every response whatever made it, exact Host names, `__Host-` cookies, bounded
//! forms, and the check that a form came from our own page.
//!
//! Must not be here: pages, sessions, mail, the store. Nothing logs a path, query, Host, Referer or User-Agent.
//!
//! Reading order: `serve` → `site` → `headers` → `cookie`, `form` → `wire`.
//! Standards: RFC 9110, RFC 9112, RFC 6265, RFC 6797.

mod cookie;
mod form;
mod headers;
mod serve;
mod site;
mod tls;
mod wire;

pub use cookie::{clear_cookie, read_cookie, set_cookie};
pub use form::{Form, FormError, is_same_origin, read_form};
pub use headers::{DEFAULT_CSP, harden};
pub use serve::{Limits, Stop, TlsSource, serve_plain, serve_tls, source_of};
pub use site::{Peer, Site, answer};
pub use tls::server_config;
