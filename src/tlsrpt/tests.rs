use std::io::Write as _;

use mail_auth::report::tlsrpt::{PolicyType, ResultType, TlsReport as Parsed};

use super::reporter::wait;
use super::*;
use crate::mail::{Domain, Mailbox, Timestamp};
use crate::message::{TlsReportLetter, tls_report};
use crate::store::TlsSessions;

fn shown(records: &[&str]) -> String {
    let all: Vec<String> = endpoints(records)
        .into_iter()
        .map(|endpoint| match endpoint {
            Endpoint::Https { host, port, path } => format!("{host} {port} {path}"),
            Endpoint::Mail(mailbox) => mailbox.to_string(),
        })
        .collect();
    all.join(" | ")
}

#[test]
fn a_domain_is_asked_where_it_wants_its_reports_and_nowhere_else() {
    let many = format!("v=TLSRPTv1; rua={}", ["mailto:a@x.example"; 9].join(","));
    let long = format!("v=TLSRPTv1; rua=https://x.example/{}", "a".repeat(2000));
    for (records, expected) in [
        (vec!["v=TLSRPTv1;rua=mailto:reports@x.example"], "reports@x.example"),
        (vec!["v=TLSRPTv1; rua=https://reports.x.example/v1/tlsrpt"], "reports.x.example 443 /v1/tlsrpt"),
        (vec!["v=TLSRPTv1; rua=mailto:a@x.example,https://r.x.example:8443/?k=1"], "a@x.example | r.x.example 8443 /?k=1"),
        (
            vec!["v=TLSRPTv1 ; ext=1; rua= HTTPS://r.x.example , MAILTO:a%21b@x.example?subject=x ;"],
            "r.x.example 443 / | a!b@x.example",
        ),
        // Not exactly one record, or another version.
        (vec!["v=TLSRPTv1; rua=mailto:a@x.example", "v=TLSRPTv1; rua=mailto:b@x.example"], ""),
        (vec!["v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@x.example"], "a@x.example"),
        (vec!["v=TLSRPTv2; rua=mailto:a@x.example"], ""),
        (vec!["v=TLSRPTv10; rua=mailto:a@x.example"], ""),
        (vec!["v=TLSRPTv1; ruf=mailto:a@x.example"], ""),
        (vec![], ""),
        // Nothing in clear, nobody's password, no addresses, no line of its own.
        (vec!["v=TLSRPTv1; rua=http://r.x.example/"], ""),
        (vec!["v=TLSRPTv1; rua=ftp://r.x.example/,mailto:a@x.example"], "a@x.example"),
        (vec!["v=TLSRPTv1; rua=https://user:pw@r.x.example/"], ""),
        (vec!["v=TLSRPTv1; rua=https://127.0.0.1/"], ""),
        (vec!["v=TLSRPTv1; rua=https://[::1]/"], ""),
        (vec!["v=TLSRPTv1; rua=https://r.x.example:0/"], ""),
        (vec!["v=TLSRPTv1; rua=https://r.x.example/a b"], ""),
        (vec!["v=TLSRPTv1; rua=mailto:a@x.example%0d%0aBcc:b@x.example"], ""),
        (vec!["v=TLSRPTv1; rua=mailto:a%4"], ""),
        (vec![long.as_str()], ""),
        (vec![many.as_str()], "a@x.example | a@x.example | a@x.example | a@x.example"),
    ] {
        assert_eq!(shown(&records), expected, "{records:?}");
    }
}

const DAY: i64 = 20_781;

fn counts() -> Vec<(TlsSessions, i64)> {
    let sts = r#"{"policy-type":"sts","policy-string":["version: STSv1","mode: enforce","mx: *.x.example","max_age: 86400"],"policy-domain":"x.example","mx-host":["*.x.example"]}"#;
    let tlsa = r#"{"policy-type":"tlsa","policy-string":["3 1 1 ab"],"policy-domain":"mx.x.example"}"#;
    let sessions = |policy: &str, result: &str| TlsSessions {
        day: DAY,
        domain: Domain::parse("x.example").unwrap(),
        policy: policy.to_owned(),
        result: result.to_owned(),
        host: if result.is_empty() { String::new() } else { "mx.x.example".to_owned() },
        sending_ip: if result.is_empty() { String::new() } else { "192.0.2.1".to_owned() },
        receiving_ip: if result == "certificate-expired" { "2001:db8::1".to_owned() } else { String::new() },
        reason: result.to_owned(),
    };
    vec![
        (sessions(sts, ""), 5326),
        (sessions(sts, "certificate-expired"), 100),
        (sessions(sts, "starttls-not-supported"), 3),
        (sessions(tlsa, ""), 1),
    ]
}

fn report() -> TlsReport {
    let range = Range::of_day(DAY, Timestamp::from_secs((DAY + 1) * 86_400));
    let (name, contact) = (Domain::parse("gw.practice.example").unwrap(), Mailbox::parse("it@practice.example").unwrap());
    TlsReport::of(&name, &contact, &Domain::parse("x.example").unwrap(), range, &counts())
}

fn is_what_was_counted(parsed: &Parsed) {
    assert_eq!(parsed.organization_name.as_deref(), Some("gw.practice.example"));
    assert_eq!(parsed.contact_info.as_deref(), Some("it@practice.example"));
    assert_eq!(parsed.date_range.start_datetime.to_timestamp(), DAY * 86_400);
    assert_eq!(parsed.date_range.end_datetime.to_timestamp(), DAY * 86_400 + 86_399);
    let [sts, tlsa] = parsed.policies.as_slice() else { panic!("{parsed:?}") };
    assert_eq!((sts.policy.policy_type, tlsa.policy.policy_type), (PolicyType::Sts, PolicyType::Tlsa));
    assert_eq!((sts.summary.total_success, sts.summary.total_failure), (5326, 103));
    assert_eq!((tlsa.summary.total_success, tlsa.summary.total_failure), (1, 0));
    assert_eq!((sts.policy.policy_string.len(), sts.policy.mx_host.as_slice()), (4, &["*.x.example".to_owned()][..]));
    let [expired, missing] = sts.failure_details.as_slice() else { panic!("{sts:?}") };
    assert_eq!((expired.result_type, expired.failed_session_count), (ResultType::CertificateExpired, 100));
    assert_eq!((missing.result_type, missing.failed_session_count), (ResultType::StartTlsNotSupported, 3));
    assert_eq!(expired.sending_mta_ip, "192.0.2.1".parse().ok());
    assert_eq!(expired.receiving_ip, "2001:db8::1".parse().ok());
    assert_eq!(expired.receiving_mx_hostname.as_deref(), Some("mx.x.example"));
    assert_eq!((missing.receiving_ip, tlsa.failure_details.len()), (None, 0));
}

#[test]
fn another_programs_parser_reads_what_was_counted_from_json_and_from_the_letter() {
    is_what_was_counted(&Parsed::parse_json(&report().json()).unwrap());
    let text = String::from_utf8(report().json()).unwrap();
    assert!(text.contains(r#""date-range":{"start-datetime":"2026-11-24T00:00:00Z","end-datetime":"2026-11-24T23:59:59Z"}"#));
    let (from, to) = (Mailbox::parse("it@practice.example").unwrap(), Mailbox::parse("tls@x.example").unwrap());
    let (header, body) = tls_report(&TlsReportLetter {
        from: &from,
        to: &to,
        domain: "x.example",
        submitter: "gw.practice.example",
        report_id: report().id(),
        message_id: "<1@gw.practice.example>",
        boundary: "b0",
        start: Timestamp::from_secs(DAY * 86_400),
        end: Timestamp::from_secs(DAY * 86_400 + 86_399),
        now: Timestamp::from_secs((DAY + 1) * 86_400),
        gzip: &report().gzip().unwrap(),
    });
    let letter = [&header[..], b"\r\n", &body].concat();
    is_what_was_counted(&Parsed::parse_rfc5322(&letter, 1 << 20).unwrap());
    let letter = String::from_utf8(letter).unwrap();
    for line in [
        "Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=\"b0\"\r\n",
        "TLS-Report-Domain: x.example\r\n",
        "TLS-Report-Submitter: gw.practice.example\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Content-Type: application/tlsrpt+gzip\r\n",
        &format!("filename=\"gw.practice.example!x.example!{}!{}.json.gz\"", DAY * 86_400, DAY * 86_400 + 86_399),
    ] {
        assert!(letter.contains(line), "{line} in {letter}");
    }
    let subject = letter.replace("\r\n ", " ");
    assert!(subject.contains("Subject: Report Domain: x.example Submitter: gw.practice.example Report-ID: <"), "{subject}");
    assert!(letter.lines().all(|line| line.len() <= 200 && line.is_ascii()));
}

#[test]
fn the_same_counts_make_the_same_report_and_a_day_so_far_ends_now() {
    assert_eq!(report().json(), report().json());
    let noon = Timestamp::from_secs(DAY * 86_400 + 43_200);
    assert_eq!(Range::of_day(DAY, noon).end, noon);
    let mut plain = Vec::new();
    let mut decoder = flate2::write::GzDecoder::new(&mut plain);
    decoder.write_all(&report().gzip().unwrap()).unwrap();
    decoder.finish().unwrap();
    assert_eq!(plain, report().json());
}

#[test]
fn reports_wait_for_their_own_time_of_the_night() {
    let at = |hour: i64| Timestamp::from_secs(DAY * 86_400 + hour * 3600);
    assert_eq!(wait(at(0), 7200, 3600).as_secs(), 7200);
    assert_eq!(wait(at(1), 7200, 3600).as_secs(), 3600);
    assert_eq!(wait(at(2), 7200, 3600).as_secs(), 3600);
    assert_eq!(wait(at(23), 7200, 60).as_secs(), 60);
}
