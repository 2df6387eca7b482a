use std::net::IpAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use tokio::time::{Instant, timeout_at};

use super::https::{Exchange, Https, HttpsFailure};
use crate::mail::Domain;
use crate::transport::mta_sts::{POLICY_BYTES_MAX, parse_policy};
use crate::transport::{StsPolicy, Why};

/// RFC 8461, section 3.3: "a timeout of one minute".
pub(super) const FETCH_MAX: Duration = Duration::from_secs(60);

/// Fetches the policy of `domain` from one of the addresses of its policy host, as RFC 8461, section 3.3, asks: one
/// certificate for that host, no redirects, 64 KiB, plain text.
///
/// # Errors
/// [`Why`]: the host could not be asked, did not prove its name, or gave what is no policy.
pub(super) async fn fetch(
    https: &Https,
    port: u16,
    domain: &Domain,
    addresses: &[IpAddr],
    id: &str,
    deadline: Instant,
) -> Result<StsPolicy, Why> {
    let host = policy_host(domain).ok_or(Why::FetchFailed)?;
    let deadline = deadline.min(Instant::now() + FETCH_MAX);
    let stream =
        timeout_at(deadline, https.open(addresses, port, &host)).await.map_err(|_| Why::FetchFailed)?.map_err(|failure| {
            match failure {
                HttpsFailure::NotTrusted => Why::PolicyHostNotTrusted,
                HttpsFailure::Unreachable | HttpsFailure::Refused(_) => Why::FetchFailed,
            }
        })?;
    let get = async {
        let answered = https.get(stream, &host, "/.well-known/mta-sts.txt").await?;
        let Exchange { response, connection: _connection } = answered;
        let (head, body) = response.into_parts();
        // Redirects too: RFC 8461, section 3.3, forbids to follow them.
        if head.status != StatusCode::OK || !is_plain_text(head.headers.get(CONTENT_TYPE)?.as_bytes()) {
            return None;
        }
        Some(Limited::new(body, POLICY_BYTES_MAX).collect().await.ok()?.to_bytes())
    };
    let body: Bytes = timeout_at(deadline, get).await.ok().flatten().ok_or(Why::FetchFailed)?;
    parse_policy(&body, id).map_err(|_| Why::PolicyInvalid)
}

pub(super) fn policy_host(domain: &Domain) -> Option<Domain> {
    Domain::parse(&format!("mta-sts.{domain}")).ok()
}

/// `text/plain`, whatever its parameters (RFC 8461, section 3.2).
fn is_plain_text(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|b| *b == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"text/plain")
}
