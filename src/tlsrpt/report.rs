//! A report as RFC 8460, section 4.4, writes it.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Serialize;

use crate::mail::{Domain, Mailbox, Timestamp};
use crate::store::TlsSessions;

/// From when to when sessions were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Range {
    /// A whole day in UTC, or as much of it as has passed.
    #[must_use]
    pub fn of_day(day: i64, now: Timestamp) -> Range {
        let start = Timestamp::from_secs(day.saturating_mul(86_400));
        Range { start, end: start.plus_secs(86_399).min(now) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TlsReport {
    organization_name: String,
    date_range: DateRange,
    contact_info: String,
    report_id: String,
    policies: Vec<Policy>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DateRange {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Policy {
    policy: serde_json::Value,
    summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<Failure>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    total_successful_session_count: i64,
    total_failure_session_count: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    result_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sending_mta_ip: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    receiving_mx_hostname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    receiving_ip: String,
    failed_session_count: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    failure_reason_code: String,
}

impl TlsReport {
    /// The report of one day to one domain. The same counts make the same report with the same id, so that one that
    /// comes twice is known for it.
    #[must_use]
    pub fn of(
        organization: &Domain,
        contact: &Mailbox,
        domain: &Domain,
        range: Range,
        counts: &[(TlsSessions, i64)],
    ) -> TlsReport {
        let mut policies: BTreeMap<&str, Policy> = BTreeMap::new();
        for (sessions, count) in counts {
            let policy = policies.entry(&sessions.policy).or_insert_with(|| Policy {
                // Written by us; a row that was tampered with must not stop the others.
                policy: serde_json::from_str(&sessions.policy).unwrap_or(serde_json::Value::Null),
                summary: Summary::default(),
                failure_details: Vec::new(),
            });
            if sessions.result.is_empty() {
                policy.summary.total_successful_session_count += count;
                continue;
            }
            policy.summary.total_failure_session_count += count;
            policy.failure_details.push(Failure {
                result_type: sessions.result.clone(),
                sending_mta_ip: sessions.sending_ip.clone(),
                receiving_mx_hostname: sessions.host.clone(),
                receiving_ip: sessions.receiving_ip.clone(),
                failed_session_count: *count,
                failure_reason_code: sessions.reason.clone(),
            });
        }
        TlsReport {
            organization_name: organization.to_string(),
            date_range: DateRange { start_datetime: rfc3339(range.start), end_datetime: rfc3339(range.end) },
            contact_info: contact.to_string(),
            report_id: format!("{}.{}.{domain}@{organization}", range.start.secs(), range.end.secs()),
            policies: policies.into_values().collect(),
        }
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.report_id
    }

    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As it is sent: `application/tlsrpt+gzip`.
    ///
    /// # Errors
    /// Never in memory; the encoder's interface says so.
    pub fn gzip(&self) -> std::io::Result<Vec<u8>> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&self.json())?;
        encoder.finish()
    }
}

/// `2026-11-24T00:00:00Z`.
fn rfc3339(at: Timestamp) -> String {
    let (y, mo, d, h, mi, s) = at.civil();
    format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}Z")
}
