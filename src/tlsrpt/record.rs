//! The TXT record by which a domain asks for reports (RFC 8460, section 3).

use std::fmt;

use crate::mail::{Domain, Mailbox};

/// Where a report is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Https { host: Domain, port: u16, path: String },
    Mail(Mailbox),
}

/// Places that one record may name; more of them would make us send for a stranger.
const ENDPOINTS_MAX: usize = 4;
/// Longest URI.
const URI_BYTES_MAX: usize = 1000;

/// As a URI.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Https { host, port: 443, path } => write!(f, "https://{host}{path}"),
            Endpoint::Https { host, port, path } => write!(f, "https://{host}:{port}{path}"),
            Endpoint::Mail(mailbox) => write!(f, "mailto:{mailbox}"),
        }
    }
}

/// The one record that counts: of those that begin with the version there must be no second.
#[must_use]
pub fn chosen<T: AsRef<str>>(records: &[T]) -> Option<&str> {
    let mut candidates = records.iter().map(AsRef::as_ref).filter(|record| {
        record.strip_prefix("v=TLSRPTv1").is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with(';'))
    });
    candidates.next().filter(|_| candidates.next().is_none())
}

/// The endpoints of the records at `_smtp._tls.DOMAIN`; none where the domain does not ask for reports.
///
/// Records that do not begin with `v=TLSRPTv1;` are discarded; if then not exactly one remains, or it has no `rua`, the
/// domain asks for none. URIs of other schemes are passed over.
#[must_use]
pub fn endpoints<T: AsRef<str>>(records: &[T]) -> Vec<Endpoint> {
    let Some(record) = chosen(records) else { return Vec::new() };
    let rua = record.split(';').skip(1).find_map(|field| {
        let (name, value) = field.split_once('=')?;
        (name.trim() == "rua").then_some(value)
    });
    rua.into_iter().flat_map(|value| value.split(',')).filter_map(|uri| endpoint(uri.trim())).take(ENDPOINTS_MAX).collect()
}

fn endpoint(uri: &str) -> Option<Endpoint> {
    if uri.len() > URI_BYTES_MAX || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("mailto") {
        // Header fields behind a question mark are not the domain's to set.
        let address = rest.split('?').next().unwrap_or_default();
        return Mailbox::parse(&percent_decoded(address)?).ok().map(Endpoint::Mail);
    }
    if !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let rest = rest.strip_prefix("//")?;
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = (rest.get(..end)?, rest.get(end..)?);
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
        None => (authority, 443),
    };
    // A name, so that a certificate can stand for it; no user, no address.
    let host = Domain::parse(host).ok().filter(|host| host.as_str().parse::<std::net::IpAddr>().is_err())?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Some(Endpoint::Https { host, port, path })
}

/// RFC 3986, section 2.1; commas, exclamation marks and semicolons come so (RFC 8460, section 3).
fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.extend_from_slice(before.as_bytes());
        out.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
        rest = after.get(2..)?;
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).ok()
}
