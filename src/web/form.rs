use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderMap};
use http_body_util::{BodyExt, Limited};
use zeroize::Zeroizing;

/// Our forms hold a number, a code and a token.
const FORM_BYTES_MAX: usize = 4 * 1024;
const FIELDS_MAX: usize = 16;
/// A browser sends a form at once; who takes longer holds a connection on purpose.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Fields of a form, each at most once. Values are wiped on drop: one of them is a code.
pub struct Form(Vec<(String, Zeroizing<String>)>);

/// Why a form was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    /// Not `application/x-www-form-urlencoded`, broken escapes, a field twice.
    Malformed,
    TooLarge,
    TooSlow,
}

impl Form {
    /// The field's value; empty if the form has none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    fn parse(bytes: &[u8]) -> Result<Form, FormError> {
        let mut fields: Vec<(String, Zeroizing<String>)> = Vec::new();
        for pair in bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let (key, value) = pair.split_at(at);
            let key = decode(key)?;
            let value = Zeroizing::new(decode(value.get(1..).unwrap_or_default())?);
            if fields.len() == FIELDS_MAX || fields.iter().any(|(other, _)| *other == key) {
                return Err(FormError::Malformed);
            }
            fields.push((key, value));
        }
        Ok(Form(fields))
    }
}

/// Reads a posted form within bounds of size, fields and time.
///
/// # Errors
/// [`FormError`]; nothing of the form is kept then.
pub async fn read_form(headers: &HeaderMap, body: Body) -> Result<Form, FormError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(FormError::Malformed);
    }
    let read = tokio::time::timeout(READ_TIMEOUT, Limited::new(body, FORM_BYTES_MAX).collect()).await;
    match read {
        Ok(Ok(collected)) => Form::parse(&collected.to_bytes()),
        Ok(Err(_)) => Err(FormError::TooLarge),
        Err(_) => Err(FormError::TooSlow),
    }
}

/// Whether a form came from a page of `origin`. Every browser sends `Origin` with a POST; under our `no-referrer`
/// policy it is `null`, so then `Sec-Fetch-Site` decides, and in browsers too old for that the token alone (which is
/// asked for in every case).
#[must_use]
pub fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_site_own = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    match text("origin") {
        Some("null") => is_site_own,
        Some(sent) => sent.eq_ignore_ascii_case(origin) && is_site_own,
        None => text("sec-fetch-site") == Some("same-origin"),
    }
}

fn decode(bytes: &[u8]) -> Result<String, FormError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (rest.next().and_then(hex), rest.next().and_then(hex));
                high.zip(low).map(|(high, low)| high << 4 | low).ok_or(FormError::Malformed)?
            }
            other => *other,
        });
    }
    String::from_utf8(out).map_err(|_| FormError::Malformed)
}

fn hex(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn forms_are_read_strictly() {
        let form = Form::parse(b"number=R4TM-9KQ2&code=482+903%20157&empty=").unwrap();
        assert_eq!(form.field("number"), "R4TM-9KQ2");
        assert_eq!(form.field("code"), "482 903 157");
        assert_eq!(form.field("empty"), "");
        assert_eq!(form.field("absent"), "");
        for bad in [&b"code=%4"[..], b"code=%zz", b"code=%ff", b"code=1&code=2", b"code=1&co%64e=2"] {
            assert!(Form::parse(bad).is_err(), "{bad:?}");
        }
        let many = (0..40).map(|i| format!("f{i}=1")).collect::<Vec<_>>().join("&");
        assert!(Form::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn only_our_own_pages_may_post() {
        let check = |origin: Option<&str>, site: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert("origin", HeaderValue::from_str(origin).unwrap());
            }
            if let Some(site) = site {
                headers.insert("sec-fetch-site", HeaderValue::from_str(site).unwrap());
            }
            is_same_origin(&headers, "https://portal.example")
        };
        for (origin, site, expected) in [
            (Some("https://portal.example"), None, true),
            (Some("https://portal.example"), Some("same-origin"), true),
            (Some("null"), Some("same-origin"), true),
            (Some("null"), None, true),
            (None, Some("same-origin"), true),
            (None, None, false),
            (Some("null"), Some("cross-site"), false),
            (Some("null"), Some("same-site"), false),
            (Some("https://evil.example"), None, false),
            (Some("https://evil.example"), Some("same-origin"), false),
            (Some("https://portal.example"), Some("cross-site"), false),
            (Some("https://portal.example.evil.example"), None, false),
            (Some("http://portal.example"), None, false),
            (None, Some("none"), false),
        ] {
            assert_eq!(check(origin, site), expected, "{origin:?} {site:?}");
        }
    }
}
