use serde::{Deserialize, Serialize};

use super::{StsMode, StsPolicy};
use crate::mail::{Domain, Timestamp};

/// RFC 8461, section 3.2: about a year.
pub const MAX_AGE_SECS_MAX: u64 = 31_557_600;
/// RFC 8461, section 3.3: "64 kilobytes".
pub const POLICY_BYTES_MAX: usize = 64 * 1024;
/// A policy of 64 KiB could name thousands of hosts; nobody has more than a few.
const MX_PATTERNS_MAX: usize = 512;
/// How long an old policy holds beside a new one that names none of its hosts.
const OVERLAP_SECS: i64 = 24 * 3600;

/// Why a policy file is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("the policy is longer than 64 KiB")]
    TooLong,
    #[error("the policy is not plain ASCII lines of `key: value`")]
    Syntax,
    #[error("the policy's version is missing or not STSv1")]
    Version,
    #[error("the policy's mode is missing or none of enforce, testing, none")]
    Mode,
    #[error("the policy's max_age is missing or not a number of at most ten digits")]
    MaxAge,
    #[error("the policy names no mx, or one that is no host name")]
    Mx,
}

/// The `id` of the TXT record at `_mta-sts.<domain>`, or `None` where the domain has no MTA-STS.
///
/// RFC 8461, section 3.1: records that do not begin with `v=STSv1;` are discarded; if then not exactly one
/// remains, or its syntax is wrong, the domain does not implement MTA-STS.
#[must_use]
pub fn parse_txt<T: AsRef<str>>(records: &[T]) -> Option<String> {
    let mut candidates = records.iter().map(AsRef::as_ref).filter(|record| is_version_field(record));
    let record = candidates.next()?;
    if candidates.next().is_some() {
        return None;
    }
    let mut id = None;
    let mut fields = record.split(';').skip(1).peekable();
    while let Some(field) = fields.next() {
        let field = field.trim_matches([' ', '\t']);
        if field.is_empty() {
            // Only the last delimiter may have nothing after it.
            if fields.peek().is_some() {
                return None;
            }
            continue;
        }
        let (name, value) = field.split_once('=')?;
        if !is_extension_name(name) || !is_txt_value(value) {
            return None;
        }
        if name == "id" && id.is_none() {
            let is_id = (1..=32).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric());
            id = Some(is_id.then(|| value.to_owned())?);
        }
    }
    id
}

/// `v=STSv1` *WSP `;`
fn is_version_field(record: &str) -> bool {
    record.strip_prefix("v=STSv1").is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with(';'))
}

/// (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")
fn is_extension_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 32
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// 1*(%x21-3A / %x3C / %x3E-7E): no `=`, no `;`, no space.
fn is_txt_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| matches!(b, 0x21..=0x3a | 0x3c | 0x3e..=0x7e))
}

/// Parses a policy file as the HTTPS server sent it, fetched under the TXT record's `id` (RFC 8461, section 3.2).
///
/// Lines end in CRLF or LF. Unknown keys are ignored; of a key other than `mx` only the first counts.
///
/// # Errors
/// [`PolicyError`]: the caller keeps the policy it has, or has none.
pub fn parse_policy(text: &[u8], id: &str) -> Result<StsPolicy, PolicyError> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(PolicyError::TooLong);
    }
    let text = std::str::from_utf8(text).map_err(|_| PolicyError::Syntax)?;
    // Editors leave empty lines at the end. To drop the policy for them would let mail go less protected than its owner asks.
    let text = text.trim_end_matches(['\r', '\n']);
    let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(PolicyError::Syntax);
        }
        let (key, value) = line.split_once(':').ok_or(PolicyError::Syntax)?;
        let value = value.trim_matches([' ', '\t']);
        if !is_extension_name(key) || value.is_empty() {
            return Err(PolicyError::Syntax);
        }
        match key {
            "version" if version.is_none() => version = Some(value),
            "mode" if mode.is_none() => mode = Some(value),
            "max_age" if max_age.is_none() => max_age = Some(value),
            "mx" if mx.len() < MX_PATTERNS_MAX => mx.push(pattern(value).ok_or(PolicyError::Mx)?),
            "mx" => return Err(PolicyError::Mx),
            _ => {}
        }
    }
    if version != Some("STSv1") {
        return Err(PolicyError::Version);
    }
    let mode = match mode {
        Some("enforce") => StsMode::Enforce,
        Some("testing") => StsMode::Testing,
        Some("none") => StsMode::None,
        _ => return Err(PolicyError::Mode),
    };
    let max_age = max_age.filter(|digits| digits.len() <= 10 && digits.bytes().all(|b| b.is_ascii_digit()));
    let max_age_secs: u64 = max_age.and_then(|digits| digits.parse().ok()).ok_or(PolicyError::MaxAge)?;
    if mx.is_empty() && mode != StsMode::None {
        return Err(PolicyError::Mx);
    }
    Ok(StsPolicy { id: id.to_owned(), mode, mx, max_age_secs: max_age_secs.min(MAX_AGE_SECS_MAX) })
}

/// `["*."] Domain`, lower case, A-labels.
fn pattern(value: &str) -> Option<String> {
    let (prefix, host) = match value.strip_prefix("*.") {
        Some(host) => ("*.", host),
        None => ("", value),
    };
    let host = Domain::parse(host).ok()?;
    Some(format!("{prefix}{host}"))
}

/// Whether an MX name is one of the policy's (RFC 8461, section 4.1): literally, or under a wildcard that stands
/// for exactly one leftmost label.
#[must_use]
pub fn host_matches(pattern: &str, host: &Domain) -> bool {
    let host = host.as_str();
    match pattern.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => host.eq_ignore_ascii_case(pattern),
    }
}

/// A policy as it is kept, also over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedPolicy {
    pub policy: StsPolicy,
    pub fetched_at: Timestamp,
    /// A policy that was replaced by one naming none of its hosts: holds beside it for a while, so that whoever
    /// takes over the policy host once cannot turn the mail round at once.
    pub former: Option<(StsPolicy, Timestamp)>,
}

impl CachedPolicy {
    /// Whether the policy still holds, whatever the TXT record or a new fetch says (RFC 8461, section 5.1).
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.expires_at()
    }

    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        let secs = self.policy.max_age_secs.min(MAX_AGE_SECS_MAX);
        self.fetched_at.plus_secs(i64::try_from(secs).unwrap_or(0))
    }

    /// Whether to fetch again although the id is the same: once a day, or after half of a shorter life, so that an
    /// outage of the policy host does not end in an expired policy (RFC 8461, section 3.3).
    #[must_use]
    pub fn wants_refresh(&self, now: Timestamp) -> bool {
        let half_ms = self.expires_at().since_ms(self.fetched_at) / 2;
        now.since_ms(self.fetched_at) >= half_ms.min(24 * 3600 * 1000)
    }

    /// The cache entry after a validated fetch. `true` beside it: the new policy shares no host with the one that
    /// still held, so an administrator should look.
    #[must_use]
    pub fn replace(old: Option<&CachedPolicy>, new: StsPolicy, now: Timestamp) -> (CachedPolicy, bool) {
        let held = old.filter(|old| old.is_fresh(now));
        let is_strange = held.is_some_and(|old| is_enforced(&old.policy) && !shares_a_host(&old.policy, &new));
        let former = match held {
            Some(old) if is_strange => Some((old.policy.clone(), now.plus_secs(OVERLAP_SECS).min(old.expires_at()))),
            Some(old) => old.former.clone().filter(|(_, until)| now < *until),
            None => None,
        };
        (CachedPolicy { policy: new, fetched_at: now, former }, is_strange)
    }

    /// The policy to obey now. While a former one holds too, a host has to be named by both.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> StsPolicy {
        match &self.former {
            Some((former, until)) if now < *until => {
                let pairs = self.policy.mx.iter().flat_map(|new| former.mx.iter().map(move |old| (new, old)));
                let mx = pairs.filter_map(|(new, old)| narrower(new, old)).map(str::to_owned).collect();
                StsPolicy { mode: StsMode::Enforce, mx, ..self.policy.clone() }
            }
            _ => self.policy.clone(),
        }
    }
}

fn is_enforced(policy: &StsPolicy) -> bool {
    policy.mode == StsMode::Enforce
}

fn shares_a_host(a: &StsPolicy, b: &StsPolicy) -> bool {
    // Leaving MTA-STS by way of mode `none` is what RFC 8461, section 2.2, asks of a domain, and names no host.
    b.mode == StsMode::None || a.mx.iter().any(|one| b.mx.iter().any(|other| narrower(one, other).is_some()))
}

/// What two patterns both stand for, which is always one of the two.
fn narrower<'p>(a: &'p str, b: &'p str) -> Option<&'p str> {
    let covers = |wide: &str, narrow: &str| Domain::parse(narrow).is_ok_and(|host| host_matches(wide, &host));
    if a == b || covers(b, a) { Some(a) } else { covers(a, b).then_some(b) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_well_formed_txt_record_gives_an_id() {
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("plain", &["v=STSv1; id=20160831085700Z;"], Some("20160831085700Z")),
            ("no last semicolon", &["v=STSv1; id=a1"], Some("a1")),
            ("spaces", &["v=STSv1 ;  id=a1 ; "], Some("a1")),
            ("other records beside it", &["v=spf1 -all", "v=STSv1; id=a1;"], Some("a1")),
            ("an extension", &["v=STSv1; id=a1; x-y.z=1"], Some("a1")),
            ("none", &[], None),
            ("two", &["v=STSv1; id=a1;", "v=STSv1; id=a2;"], None),
            ("two of which one is broken", &["v=STSv1; id=a1;", "v=STSv1; id=;"], None),
            ("another version", &["v=STSv2; id=a1;"], None),
            ("a longer version", &["v=STSv12; id=a1;"], None),
            ("version in lower case", &["v=stsv1; id=a1;"], None),
            ("version not first", &["id=a1; v=STSv1;"], None),
            ("no id", &["v=STSv1;"], None),
            ("empty id", &["v=STSv1; id=;"], None),
            ("id with a hyphen", &["v=STSv1; id=a-1;"], None),
            ("id of 32", &["v=STSv1; id=01234567890123456789012345678901;"], Some("01234567890123456789012345678901")),
            ("id of 33", &["v=STSv1; id=012345678901234567890123456789012;"], None),
            ("first id counts", &["v=STSv1; id=a1; id=a2;"], Some("a1")),
            ("field without =", &["v=STSv1; id=a1; nonsense"], None),
            ("two semicolons", &["v=STSv1;; id=a1"], None),
        ];
        for (name, records, expected) in cases {
            assert_eq!(parse_txt(records).as_deref(), *expected, "{name}");
        }
    }

    #[test]
    fn policies_are_read_strictly_and_unknown_keys_ignored() {
        let good = |mode, mx: &[&str], max_age_secs| {
            Ok(StsPolicy { id: "i1".into(), mode, mx: mx.iter().map(|m| (*m).to_owned()).collect(), max_age_secs })
        };
        let enforce = |mx: &[&str]| good(StsMode::Enforce, mx, 86400);
        let cases: Vec<(&str, &str, Result<StsPolicy, PolicyError>)> = vec![
            ("LF", "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 86400\n", enforce(&["a.example"])),
            ("CRLF", "version: STSv1\r\nmode: enforce\r\nmx: a.example\r\nmax_age: 86400\r\n", enforce(&["a.example"])),
            ("no last line end", "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 86400", enforce(&["a.example"])),
            ("no space", "version:STSv1\nmode:enforce\nmx:a.example\nmax_age:86400", enforce(&["a.example"])),
            ("space at the end", "version: STSv1 \nmode: enforce\t\nmx: a.example  \nmax_age: 86400 ", enforce(&["a.example"])),
            ("any order", "max_age: 86400\nmx: a.example\nmode: enforce\nversion: STSv1", enforce(&["a.example"])),
            ("unknown key", "version: STSv1\nmode: enforce\nx-1: y z\nmx: a.example\nmax_age: 86400", enforce(&["a.example"])),
            (
                "several hosts, upper case",
                "version: STSv1\nmode: enforce\nmx: A.example\nmx: *.B.example\nmax_age: 86400",
                enforce(&["a.example", "*.b.example"]),
            ),
            (
                "first mode counts",
                "version: STSv1\nmode: enforce\nmode: none\nmx: a.example\nmax_age: 86400",
                enforce(&["a.example"]),
            ),
            ("testing", "version: STSv1\nmode: testing\nmx: a.example\nmax_age: 1", good(StsMode::Testing, &["a.example"], 1)),
            ("none without mx", "version: STSv1\nmode: none\nmax_age: 86400", good(StsMode::None, &[], 86400)),
            (
                "max_age is capped",
                "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 9999999999",
                good(StsMode::Enforce, &["a.example"], MAX_AGE_SECS_MAX),
            ),
            ("max_age 0", "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 0", good(StsMode::Enforce, &["a.example"], 0)),
            ("eleven digits", "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 00000000001", Err(PolicyError::MaxAge)),
            ("negative", "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1", Err(PolicyError::MaxAge)),
            ("plus sign", "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: +1", Err(PolicyError::MaxAge)),
            ("no max_age", "version: STSv1\nmode: enforce\nmx: a.example", Err(PolicyError::MaxAge)),
            ("no version", "mode: enforce\nmx: a.example\nmax_age: 1", Err(PolicyError::Version)),
            ("version 2", "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1", Err(PolicyError::Version)),
            ("no mode", "version: STSv1\nmx: a.example\nmax_age: 1", Err(PolicyError::Mode)),
            ("mode in upper case", "version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1", Err(PolicyError::Mode)),
            ("no mx", "version: STSv1\nmode: enforce\nmax_age: 1", Err(PolicyError::Mx)),
            ("testing without mx", "version: STSv1\nmode: testing\nmax_age: 1", Err(PolicyError::Mx)),
            ("wildcard inside", "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1", Err(PolicyError::Mx)),
            ("bare wildcard", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1", Err(PolicyError::Mx)),
            ("two wildcards", "version: STSv1\nmode: enforce\nmx: *.*.example\nmax_age: 1", Err(PolicyError::Mx)),
            (
                "several hosts on a line",
                "version: STSv1\nmode: enforce\nmx: a.example, b.example\nmax_age: 1",
                Err(PolicyError::Mx),
            ),
            ("address", "version: STSv1\nmode: enforce\nmx: [192.0.2.1]\nmax_age: 1", Err(PolicyError::Mx)),
            ("empty line", "version: STSv1\n\nmode: enforce\nmx: a.example\nmax_age: 1", Err(PolicyError::Syntax)),
            (
                "line without colon",
                "version: STSv1\nnonsense\nmode: enforce\nmx: a.example\nmax_age: 1",
                Err(PolicyError::Syntax),
            ),
            ("key without value", "version: STSv1\nmode:\nmx: a.example\nmax_age: 1", Err(PolicyError::Syntax)),
            ("space before the key", " version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1", Err(PolicyError::Syntax)),
            ("NUL", "version: STSv1\0\nmode: enforce\nmx: a.example\nmax_age: 1", Err(PolicyError::Syntax)),
            ("CR alone", "version: STSv1\rmode: enforce\nmx: a.example\nmax_age: 1", Err(PolicyError::Syntax)),
            ("web page", "<html><body>hello</body></html>", Err(PolicyError::Syntax)),
            ("nothing", "", Err(PolicyError::Syntax)),
        ];
        for (name, text, expected) in cases {
            assert_eq!(parse_policy(text.as_bytes(), "i1"), expected, "{name}");
        }
        let ends = parse_policy(b"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1\r\n\r\n\n", "i1").unwrap();
        assert_eq!(ends.mode, StsMode::Enforce, "empty lines at the end");
        let long = format!("version: STSv1\nmode: none\nmax_age: 1\nx: {}", "y".repeat(POLICY_BYTES_MAX));
        assert_eq!(parse_policy(long.as_bytes(), "i1"), Err(PolicyError::TooLong));
        assert_eq!(parse_policy(b"version: STSv1\nmode: none\nx: \xff\nmax_age: 1", "i1"), Err(PolicyError::Syntax));
    }

    #[test]
    fn a_wildcard_stands_for_exactly_one_leftmost_label() {
        for (pattern, host, expected) in [
            ("mx.example", "mx.example", true),
            ("mx.example", "MX.example", true),
            ("mx.example", "a.mx.example", false),
            ("*.example", "mx.example", true),
            ("*.example", "a.mx.example", false),
            ("*.example", "example", false),
            ("*.mx.example", "a.mx.example", true),
            ("*.mx.example", "evilmx.example", false),
            ("mx.example", "mx.example.evil.test", false),
        ] {
            assert_eq!(host_matches(pattern, &Domain::parse(host).unwrap()), expected, "{pattern} {host}");
        }
    }

    fn policy(id: &str, mx: &[&str]) -> StsPolicy {
        let mx = mx.iter().map(|m| (*m).to_owned()).collect();
        StsPolicy { id: id.into(), mode: StsMode::Enforce, mx, max_age_secs: 7 * 86400 }
    }

    #[test]
    fn a_cached_policy_holds_until_its_age_and_no_longer() {
        let at = Timestamp::from_secs(1_000_000);
        let (cached, _) = CachedPolicy::replace(None, policy("1", &["a.example"]), at);
        assert!(cached.is_fresh(at) && cached.is_fresh(at.plus_secs(7 * 86400 - 1)));
        assert!(!cached.is_fresh(at.plus_secs(7 * 86400)));
        assert!(!cached.wants_refresh(at.plus_secs(86399)) && cached.wants_refresh(at.plus_secs(86400)));
    }

    #[test]
    fn a_policy_that_names_only_other_hosts_raises_an_alarm_and_both_hold_for_a_day() {
        let at = Timestamp::from_secs(1_000_000);
        let (old, alarm) = CachedPolicy::replace(None, policy("1", &["a.example", "*.b.example"]), at);
        assert!(!alarm);
        let (next, alarm) = CachedPolicy::replace(Some(&old), policy("2", &["c.b.example", "new.example"]), at);
        assert!(!alarm, "c.b.example is under the old wildcard");
        assert_eq!(next.in_force(at).mx, ["c.b.example", "new.example"]);

        let (strange, alarm) = CachedPolicy::replace(Some(&old), policy("3", &["evil.test"]), at);
        assert!(alarm);
        assert!(strange.in_force(at.plus_secs(86399)).mx.is_empty());
        assert_eq!(strange.in_force(at.plus_secs(86400)).mx, ["evil.test"]);
        // Fetching again neither ends nor renews the time in which both hold.
        let (again, alarm) = CachedPolicy::replace(Some(&strange), policy("4", &["evil.test"]), at.plus_secs(3600));
        assert!(!alarm);
        assert_eq!(again.former, strange.former);
    }
}
