use std::sync::OnceLock;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Every metric of the program. Labels are closed words of ours: an address or a domain cannot become one,
/// because each label parameter is `&'static str`.
pub struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    rules: IntCounterVec,
    findings: IntCounterVec,
    deliveries: IntCounterVec,
    refusals: IntCounterVec,
    escrowed: IntCounterVec,
    tls: IntCounterVec,
    sessions: IntCounterVec,
    replies: IntCounterVec,
    portal: IntCounterVec,
    events: IntCounterVec,
    tls_reports: IntCounterVec,
    queue: IntGaugeVec,
    pin_reviews: IntGaugeVec,
    api: IntCounterVec,
    pub connections_open: IntGauge,
    pub queue_oldest_age_seconds: IntGauge,
    pub scan_seconds: Histogram,
    pub accept_seconds: Histogram,
    pub commit_batch: Histogram,
    pub panics: super::Panics,
    /// Failures that no sender was told of: about a report, or without a way to the sender.
    pub unreported: IntCounter,
    pub messages_accepted: IntCounter,
    pub headers_dropped: IntCounter,
    /// Messages of old devices that came in clear over a legacy listener.
    pub legacy_messages: IntCounter,
    /// Seconds since 1970; 0: there is none.
    pub certificate_expires: IntGauge,
    /// Seconds since 1970; 0 until the first proof.
    pub canary_last_proved: IntGauge,
    pub resolver_validates: IntGauge,
    patients_listed: IntGauge,
    patients_imported: IntGauge,
}

static METRICS: OnceLock<Metrics> = OnceLock::new();

/// The process's metrics.
pub fn metrics() -> &'static Metrics {
    METRICS.get_or_init(Metrics::new)
}

impl Metrics {
    #[allow(clippy::expect_used)] // names and labels are constants; a test registers them all
    fn new() -> Metrics {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels).expect("constant names");
            registry.register(Box::new(metric.clone())).expect("each name once");
            metric
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help).expect("constant names");
            registry.register(Box::new(metric.clone())).expect("each name once");
            metric
        };
        let counter = |name: &str, help: &str| {
            let metric = IntCounter::new(name, help).expect("constant names");
            registry.register(Box::new(metric.clone())).expect("each name once");
            metric
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)).expect("constant names");
            registry.register(Box::new(metric.clone())).expect("each name once");
            metric
        };
        let seconds = vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let queue = IntGaugeVec::new(Opts::new("wardpost_queue_copies", "Copies in the store that are not finished"), &["state"])
            .expect("constant names");
        registry.register(Box::new(queue.clone())).expect("each name once");
        let pin_reviews = IntGaugeVec::new(
            Opts::new("wardpost_pin_reviews", "Agreements with partners by the state of their review"),
            &["state"],
        )
        .expect("constant names");
        registry.register(Box::new(pin_reviews.clone())).expect("each name once");
        let build = IntGaugeVec::new(Opts::new("wardpost_build_info", "Version of the running program"), &["version"])
            .expect("constant names");
        registry.register(Box::new(build.clone())).expect("each name once");
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Metrics {
            decisions: counters("wardpost_policy_decisions_total", "Decisions, one for each recipient", &["action", "level"]),
            rules: counters(
                "wardpost_policy_rule_matches_total",
                "How often a rule of the shipped policy matched; own rules count as custom",
                &["rule"],
            ),
            findings: counters("wardpost_scan_messages_total", "Messages by what the scan found", &["finding"]),
            deliveries: counters("wardpost_deliver_copies_total", "Finished delivery attempts", &["kind", "outcome", "level"]),
            refusals: counters("wardpost_deliver_refusals_total", "Attempts that ended without delivery, by reason", &["reason"]),
            escrowed: counters("wardpost_escrow_parcels_total", "Copies that went to the portal, by reason", &["reason"]),
            tls: counters("wardpost_tls_handshakes_total", "TLS handshakes by side and version", &["side", "version"]),
            sessions: counters(
                "wardpost_smtp_sessions_total",
                "SMTP sessions by listener and how they ended",
                &["listener", "end"],
            ),
            replies: counters(
                "wardpost_smtp_replies_total",
                "Replies to clients by first digit and command",
                &["command", "class"],
            ),
            portal: counters("wardpost_portal_events_total", "What happened at the portal", &["event"]),
            events: counters(
                "wardpost_log_events_total",
                "Log events by name and severity, written or not",
                &["event", "severity"],
            ),
            canary_last_proved: gauge(
                "wardpost_canary_last_proved_timestamp_seconds",
                "When the self-test last proved that nothing leaves for a host that proves nothing",
            ),
            resolver_validates: gauge("wardpost_lookup_resolver_validates", "Whether the last self-test of the resolver passed"),
            patients_listed: gauge("wardpost_patients_listed", "Patients on the practice's own list"),
            patients_imported: gauge(
                "wardpost_patients_imported_timestamp_seconds",
                "When the list of own patients was imported; 0: there is none",
            ),
            pin_reviews,
            api: counters(
                "wardpost_api_requests_total",
                "Requests of programs over HTTP, by how they were answered",
                &["answer"],
            ),
            tls_reports: counters(
                "wardpost_tlsrpt_reports_total",
                "Reports about TLS (RFC 8460) by how they ended",
                &["outcome"],
            ),
            queue,
            connections_open: gauge("wardpost_smtp_connections_open", "Open client connections"),
            queue_oldest_age_seconds: gauge("wardpost_queue_oldest_age_seconds", "Age of the oldest queued copy"),
            scan_seconds: histogram("wardpost_scan_seconds", "Time to read and scan one message", seconds.clone()),
            accept_seconds: histogram("wardpost_accept_seconds", "Time from the end of the message to the final reply", seconds),
            commit_batch: histogram(
                "wardpost_store_commit_batch",
                "Commits written in one transaction",
                vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
            ),
            panics: super::Panics(counter("wardpost_panics_total", "Panics; must be 0")),
            unreported: counter("wardpost_unreported_failures_total", "Failures that no sender could be told of"),
            messages_accepted: counter("wardpost_smtp_messages_accepted_total", "Messages answered 250 after the sync"),
            legacy_messages: counter("wardpost_smtp_legacy_messages_total", "Messages that came in clear over a legacy listener"),
            certificate_expires: gauge(
                "wardpost_certificate_expires_timestamp_seconds",
                "When the first of the own and the issued client certificates expires",
            ),
            headers_dropped: counter("wardpost_message_header_fields_dropped_total", "Header fields that the rewrite left out"),
            registry,
        }
    }

    pub fn decision(&self, action: &'static str, level: &'static str) {
        self.decisions.with_label_values(&[action, level]).inc();
    }
    pub fn rule(&self, rule: &'static str) {
        self.rules.with_label_values(&[rule]).inc();
    }
    pub fn patients(&self, listed: i64, imported_at_secs: i64) {
        self.patients_listed.set(listed);
        self.patients_imported.set(imported_at_secs);
    }
    /// `identifier`, `health`, `payment`, `phi`, `own-patient`, `unreadable`, `image` or `nothing`.
    pub fn finding(&self, finding: &'static str) {
        self.findings.with_label_values(&[finding]).inc();
    }
    pub fn delivery(&self, kind: &'static str, outcome: &'static str, level: &'static str) {
        self.deliveries.with_label_values(&[kind, outcome, level]).inc();
    }
    pub fn refusal(&self, reason: &'static str) {
        self.refusals.with_label_values(&[reason]).inc();
    }
    pub fn escrow(&self, reason: &'static str) {
        self.escrowed.with_label_values(&[reason]).inc();
    }
    pub fn tls(&self, side: &'static str, version: &'static str) {
        self.tls.with_label_values(&[side, version]).inc();
    }
    pub fn session(&self, listener: &'static str, end: &'static str) {
        self.sessions.with_label_values(&[listener, end]).inc();
    }
    pub fn reply(&self, command: &'static str, class: &'static str) {
        self.replies.with_label_values(&[command, class]).inc();
    }
    pub fn portal(&self, event: &'static str) {
        self.portal.with_label_values(&[event]).inc();
    }
    /// `https`, `mail`, `not-asked` or `dropped`.
    pub fn tls_report(&self, outcome: &'static str) {
        self.tls_reports.with_label_values(&[outcome]).inc();
    }
    pub fn event(&self, event: &'static str, severity: &'static str) {
        self.events.with_label_values(&[event, severity]).inc();
    }
    /// How often an event was logged in this process.
    #[must_use]
    pub fn events_of(&self, event: &'static str, severity: &'static str) -> u64 {
        self.events.with_label_values(&[event, severity]).get()
    }
    /// `passed`, `near`, `later` or `none`.
    pub fn pin_reviews(&self, state: &'static str, pins: i64) {
        self.pin_reviews.with_label_values(&[state]).set(pins);
    }
    /// `answered`, `refused` (no token), `wrong` (no domain), `busy` or `too-many`.
    pub fn api(&self, answer: &'static str) {
        self.api.with_label_values(&[answer]).inc();
    }
    pub fn queue(&self, state: &'static str, copies: i64) {
        self.queue.with_label_values(&[state]).set(copies);
    }

    /// The Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = Vec::new();
        // Writing into memory fails only for inconsistent families, which registration has excluded.
        if TextEncoder::new().encode(&self.registry.gather(), &mut out).is_err() {
            return String::new();
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_register_and_carry_the_prefix() {
        let metrics = Metrics::new();
        metrics.decision("deliver", "verified");
        let text = metrics.render();
        assert!(text.contains("wardpost_build_info{version="));
        assert!(text.contains("wardpost_policy_decisions_total{action=\"deliver\",level=\"verified\"} 1"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("wardpost_"), "{line}");
        }
    }
}
