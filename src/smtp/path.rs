//! Paths and parameters of MAIL and RCPT (RFC 5321, section 4.1.2; RFC 3461, section 4; RFC 1870, 4954, 6531, 8689).

use super::CommandError;
use crate::mail::{AddressError, BodyKind, MailParams, Mailbox, Notify, RcptParams, Ret};

/// Longest address: a path has 256 octets with its brackets (RFC 5321, section 4.5.3.1.3).
const ADDRESS_OCTETS_MAX: usize = 254;
/// Longest ENVID (RFC 3461, section 4.4).
const ENVID_OCTETS_MAX: usize = 100;
/// Longest ORCPT (RFC 3461, section 4.2).
const ORCPT_OCTETS_MAX: usize = 500;
/// Longest number in SIZE (RFC 1870, section 3).
const SIZE_DIGITS_MAX: usize = 20;

/// Splits `FROM:<path> params` into what stands between the brackets and the parameters behind them.
/// One space before the bracket is let through: Outlook and many devices write it.
pub(super) fn split<'l>(rest: &'l [u8], keyword: &[u8]) -> Result<(&'l str, &'l str), CommandError> {
    let (start, after) = rest.split_at_checked(keyword.len()).ok_or(CommandError::Argument)?;
    if !start.eq_ignore_ascii_case(keyword) {
        return Err(CommandError::Argument);
    }
    let text = std::str::from_utf8(after).map_err(|_| CommandError::Argument)?;
    let inner = text.strip_prefix(' ').unwrap_or(text).strip_prefix('<').ok_or(CommandError::Argument)?;
    let (path, behind) = inner.split_at_checked(closing_bracket(inner)?).ok_or(CommandError::Argument)?;
    match behind.strip_prefix('>') {
        Some("") => Ok((path, "")),
        Some(params) => Ok((path, params.strip_prefix(' ').ok_or(CommandError::Argument)?)),
        None => Err(CommandError::Argument),
    }
}

/// Where the bracket closes: quotes and escapes may hold others.
fn closing_bracket(text: &str) -> Result<usize, CommandError> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Ok(at),
            _ => {}
        }
    }
    Err(CommandError::Argument)
}

/// The address in a path. Stricter than [`Mailbox::parse`], which also reads what DNS and people write.
pub(super) fn mailbox(written: &str) -> Result<Mailbox, AddressError> {
    if written.ends_with('.') {
        return Err(AddressError::TrailingDot);
    }
    let mailbox = Mailbox::parse(written)?;
    // A-labels are longer than what was written, and the next hop sees them.
    let octets = mailbox.local().as_str().len() + 1 + mailbox.domain().as_str().len();
    if written.len().max(octets) > ADDRESS_OCTETS_MAX {
        return Err(AddressError::Length);
    }
    Ok(mailbox)
}

/// Keyword in upper case and value of each parameter.
fn each(params: &str) -> impl Iterator<Item = Result<(String, Option<&str>), CommandError>> {
    let mut words = params.split(' ');
    if params.is_empty() {
        words.next();
    }
    words.map(|word| {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let is_keyword = keyword.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_keyword {
            return Err(CommandError::Argument);
        }
        let is_value = |value: &str| !value.is_empty() && value.bytes().all(|b| matches!(b, b'!'..=b'<' | b'>'..=b'~' | 128..));
        if value.is_some_and(|value| !is_value(value)) {
            return Err(CommandError::ParameterValue);
        }
        Ok((keyword.to_ascii_uppercase(), value))
    })
}

pub(super) fn mail_params(params: &str) -> Result<MailParams, CommandError> {
    let mut out = MailParams::default();
    let mut has_body = false;
    for param in each(params) {
        let (keyword, value) = param?;
        match (keyword.as_str(), value) {
            ("SIZE", Some(value)) => set(&mut out.size_bytes, size(value))?,
            ("BODY", Some(value)) if !has_body => {
                has_body = true;
                out.body = match value.to_ascii_uppercase().as_str() {
                    "7BIT" => BodyKind::SevenBit,
                    "8BITMIME" => BodyKind::EightBitMime,
                    _ => return Err(CommandError::ParameterValue),
                };
            }
            ("SMTPUTF8", None) => flag(&mut out.smtputf8)?,
            ("REQUIRETLS", None) => flag(&mut out.require_tls)?,
            ("RET", Some(value)) => {
                let ret = match value.to_ascii_uppercase().as_str() {
                    "FULL" => Some(Ret::Full),
                    "HDRS" => Some(Ret::Headers),
                    _ => None,
                };
                set(&mut out.ret, ret)?;
            }
            ("ENVID", Some(value)) => {
                set(&mut out.envid, (value.len() <= ENVID_OCTETS_MAX && is_xtext(value)).then(|| value.to_owned()))?;
            }
            ("AUTH", Some(value)) => set(&mut out.auth, (value == "<>" || is_xtext(value)).then(|| value.to_owned()))?,
            ("SIZE" | "BODY" | "SMTPUTF8" | "REQUIRETLS" | "RET" | "ENVID" | "AUTH", _) => {
                return Err(CommandError::ParameterValue);
            }
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    Ok(out)
}

pub(super) fn rcpt_params(params: &str) -> Result<RcptParams, CommandError> {
    let (mut seen_notify, mut orcpt) = (None, None);
    for param in each(params) {
        let (keyword, value) = param?;
        match (keyword.as_str(), value) {
            ("NOTIFY", Some(value)) => set(&mut seen_notify, notify(value))?,
            ("ORCPT", Some(value)) => set(&mut orcpt, is_orcpt(value).then(|| value.to_owned()))?,
            ("NOTIFY" | "ORCPT", None) => return Err(CommandError::ParameterValue),
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    Ok(RcptParams { notify: seen_notify.unwrap_or_default(), orcpt })
}

/// A value that is valid and stands once.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), CommandError> {
    if slot.is_some() || value.is_none() {
        return Err(CommandError::ParameterValue);
    }
    *slot = value;
    Ok(())
}

fn flag(slot: &mut bool) -> Result<(), CommandError> {
    if std::mem::replace(slot, true) { Err(CommandError::ParameterValue) } else { Ok(()) }
}

/// A number too large to count is larger than any limit.
fn size(value: &str) -> Option<u64> {
    let is_number = value.len() <= SIZE_DIGITS_MAX && value.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| value.parse().unwrap_or(u64::MAX))
}

fn notify(value: &str) -> Option<Notify> {
    let none = Notify { never: false, success: false, failure: false, delay: false };
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify { never: true, ..none });
    }
    let mut out = none;
    for word in value.split(',') {
        let slot = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut out.success,
            "FAILURE" => &mut out.failure,
            "DELAY" => &mut out.delay,
            _ => return None,
        };
        if std::mem::replace(slot, true) {
            return None;
        }
    }
    Some(out)
}

/// `addr-type ";" xtext`; RFC 6533 lets the address be UTF-8.
fn is_orcpt(value: &str) -> bool {
    let Some((kind, address)) = value.split_once(';') else { return false };
    let is_kind = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    value.len() <= ORCPT_OCTETS_MAX
        && is_kind
        && !address.is_empty()
        && (is_xtext(address) || (kind.eq_ignore_ascii_case("utf-8") && !address.contains(['=', ' '])))
}

/// RFC 3461, section 4: printable ASCII but `+` and `=`, and `+` with two upper-case hexadecimal digits.
fn is_xtext(value: &str) -> bool {
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => {
                let is_hex = |b: Option<u8>| matches!(b, Some(b'0'..=b'9' | b'A'..=b'F'));
                if !(is_hex(bytes.next()) && is_hex(bytes.next())) {
                    return false;
                }
            }
            b'!'..=b'<' | b'>'..=b'~' => {}
            _ => return false,
        }
    }
    true
}
