use axum::http::header::{self, HeaderMap, HeaderValue};

/// A cookie that lives as long as the browser's session. The `__Host-` prefix makes browsers refuse it without
/// `Secure`, with `Domain`, or for another path, so no sibling host can plant one. `Lax`, so that the session
/// survives a link from a mail program.
///
/// `None` if name or value hold anything but letters, digits, `-` and `_`.
#[must_use]
pub fn set_cookie(name: &str, value: &str) -> Option<HeaderValue> {
    if !is_token(name) || !is_token(value) {
        return None;
    }
    HeaderValue::from_str(&format!("__Host-{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax")).ok()
}

/// Tells the browser to forget the cookie.
#[must_use]
pub fn clear_cookie(name: &str) -> Option<HeaderValue> {
    if !is_token(name) {
        return None;
    }
    HeaderValue::from_str(&format!("__Host-{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")).ok()
}

/// The cookie's value; `None` if it is absent, odd, or sent twice with different values.
#[must_use]
pub fn read_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found: Option<&str> = None;
    for line in headers.get_all(header::COOKIE) {
        for pair in line.to_str().ok()?.split(';') {
            let Some((key, value)) = pair.trim().split_once('=') else { continue };
            if key.strip_prefix("__Host-") != Some(name) {
                continue;
            }
            match found {
                Some(first) if first != value => return None,
                _ => found = Some(value),
            }
        }
    }
    found.filter(|value| !value.is_empty() && is_token(value)).map(str::to_owned)
}

/// Cookies of ours are short words; anything else was not set by us.
fn is_token(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_bound_to_the_host_and_hidden_from_scripts() {
        assert_eq!(set_cookie("s", "abc").unwrap(), "__Host-s=abc; Path=/; Secure; HttpOnly; SameSite=Lax");
        assert!(set_cookie("s", "a;b").is_none());
        assert!(set_cookie("s", "a\r\nb").is_none());
        assert!(clear_cookie("s").unwrap().to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn a_cookie_is_read_only_when_it_is_plainly_ours() {
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_str(line).unwrap());
            }
            read_cookie(&headers, "s")
        };
        assert_eq!(read(&["a=b; __Host-s=abc; c=d"]).as_deref(), Some("abc"));
        assert_eq!(read(&["a=b", "__Host-s=abc"]).as_deref(), Some("abc"));
        assert_eq!(read(&["__Host-s=abc; __Host-s=abc"]).as_deref(), Some("abc"));
        for lines in [&["s=abc"][..], &["__Host-s=abc; __Host-s=x"], &["__Host-s="], &["__Host-s=a%20b"], &["__Host-ss=abc"], &[]]
        {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }
}
