use axum::http::HeaderMap;
use axum::http::header::{self, HeaderName, HeaderValue};

/// What a page of ours may load: its own style sheet, pictures and frames, and nothing from anybody else.
pub const DEFAULT_CSP: &str = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; \
                               frame-ancestors 'none'; base-uri 'none'";

/// Headers of every response. One that a page has set itself (a stricter policy for a frame) stays.
const ALWAYS: [(HeaderName, &str); 9] = [
    (header::CONTENT_SECURITY_POLICY, DEFAULT_CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), fullscreen=(), geolocation=(), \
         gyroscope=(), microphone=(), midi=(), payment=(), usb=()",
    ),
    // Neither crawlers nor archives have anything to seek here.
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow, noarchive"),
];

/// One year, subdomains too (ASVS 5.0, 3.4.1). Only over TLS: elsewhere it must not be sent (RFC 6797, section 7.2).
const HSTS: &str = "max-age=31536000; includeSubDomains";

/// Adds what is missing.
pub fn harden(headers: &mut HeaderMap, is_tls: bool) {
    for (name, value) in &ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
}

/// The same headers as lines, for responses that the HTTP library writes without asking anybody.
pub(super) fn lines(is_tls: bool) -> Vec<u8> {
    let mut headers = HeaderMap::new();
    harden(&mut headers, is_tls);
    let mut out = Vec::new();
    for (name, value) in &headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_stricter_policy_of_a_page_stays_and_the_rest_is_added() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        harden(&mut headers, true);
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "sandbox");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
        let mut headers = HeaderMap::new();
        harden(&mut headers, false);
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }
}
