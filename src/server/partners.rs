//! What was agreed with partners: when it is to be looked at again, and when their host last proved itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::control::Parts;
use crate::audit::{Proven, Record};
use crate::config::Partner;
use crate::mail::{Domain, Timestamp};
use crate::observe::{self, Event, metrics};
use crate::store;

/// How long before its date a review is announced: time to reach somebody at the partner's.
const NEAR_DAYS: i64 = 30;
const DAY_SECS: i64 = 86_400;
/// A review that is due is told of once a day; the clock is looked at more often, because machines sleep.
const EVERY: Duration = Duration::from_secs(3600);

/// Where an agreement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// Nobody has said when to look again.
    None,
    Later,
    Near,
    /// The day has come, or gone by.
    Passed,
}

impl Review {
    #[must_use]
    pub fn of(review: Option<Timestamp>, now: Timestamp) -> Review {
        match review {
            None => Review::None,
            Some(at) if now >= at => Review::Passed,
            Some(at) if now >= at.plus_secs(-NEAR_DAYS * DAY_SECS) => Review::Near,
            Some(_) => Review::Later,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Review::None => "none",
            Review::Later => "later",
            Review::Near => "near",
            Review::Passed => "passed",
        }
    }
}

/// Tells of reviews that are due, until `stop`. Deliveries go on whatever their state.
pub(super) async fn watch(partners: Arc<crate::config::Settings>, mut stop: watch::Receiver<bool>) {
    let mut told = HashSet::new();
    loop {
        for event in due(&partners.partners, super::now(), &mut told) {
            observe::log(&event);
        }
        tokio::select! {
            _ = stop.changed() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// What is to be told now, once for each domain and day; sets the gauges.
fn due(partners: &[Partner], now: Timestamp, told: &mut HashSet<(Domain, String)>) -> Vec<Event> {
    let today = now.date();
    told.retain(|(_, day)| *day == today);
    let state = |partner: &Partner| Review::of(partner.review, now);
    for kind in [Review::None, Review::Later, Review::Near, Review::Passed] {
        let count = partners.iter().filter(|partner| state(partner) == kind).count();
        metrics().pin_reviews(kind.as_str(), i64::try_from(count).unwrap_or(i64::MAX));
    }
    let is_due = |partner: &&Partner| matches!(state(partner), Review::Near | Review::Passed);
    let news = partners.iter().filter(is_due).filter(|partner| told.insert((partner.domain.clone(), today.clone())));
    news.map(|partner| Event::PinReviewDue {
        domain: partner.domain.clone(),
        review: partner.review.map(Timestamp::date).unwrap_or_default(),
        state: state(partner).as_str(),
    })
    .collect()
}

/// A delivery that proved its host, with its place in the decision log.
#[derive(Clone, Debug)]
pub struct Contact {
    pub seq: u64,
    pub at: Timestamp,
    pub proof: Proven,
}

/// The last delivery to a domain whose host proved itself; `None` if there is none, or its entry cannot be read.
pub(super) async fn last_contact(store: &store::Handle, domain: &Domain) -> Option<Contact> {
    let entry = store.contact(domain).await.ok()??;
    let record: Record = serde_json::from_str(&entry.chained).ok()?;
    Some(Contact { seq: entry.seq, at: record.at, proof: record.proof? })
}

/// All agreements, one row each.
pub(super) async fn list(parts: &Parts, now: Timestamp) -> Vec<serde_json::Value> {
    let mut rows = Vec::new();
    for partner in &parts.settings.partners {
        let (pin, review) = (&partner.pin, Review::of(partner.review, now));
        let contact = last_contact(&parts.store, &partner.domain).await;
        let hex = |bytes: &[u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        rows.push(serde_json::json!({
            "domain": partner.domain.as_str(),
            "level": pin.level.as_str(),
            "hosts": pin.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "ca": pin.ca_pem.is_some(),
            "certificate_sha256": pin.certificates.iter().map(hex).collect::<Vec<_>>(),
            "review": partner.review.map(Timestamp::date),
            "review_state": review.as_str(),
            "last_contact": contact.as_ref().map(|contact| contact.at.to_string()),
            "host": contact.as_ref().map(|contact| contact.proof.host.clone()),
            "tls": contact.as_ref().map(|contact| contact.proof.tls.clone()),
            "cipher": contact.as_ref().map(|contact| contact.proof.cipher.clone()),
            "proof_level": contact.as_ref().map(|contact| contact.proof.level.clone()),
            "method": contact.as_ref().map(|contact| contact.proof.method.clone()),
            "chain_sha256": contact.as_ref().map(|contact| contact.proof.chain_sha256.clone()),
            "log_entry": contact.as_ref().map(|contact| contact.seq),
        }));
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::transport::{Level, Pin};

    fn partner(name: &str, review: Option<&str>) -> Partner {
        let pin = Pin { level: Level::Authenticated, hosts: vec![], certificates: vec![[7; 32]], ca_pem: None };
        Partner { domain: Domain::parse(name).unwrap(), pin, review: review.map(|text| Timestamp::of_date(text).unwrap()) }
    }

    #[test]
    fn a_review_is_near_for_thirty_days_and_passed_from_its_first_moment() {
        let at = |text: &str| Timestamp::of_date(text).unwrap();
        let review = Some(at("2027-06-30"));
        for (now, expected) in [
            (at("2027-05-30"), "later"),
            (at("2027-05-31"), "near"),
            (at("2027-06-30").plus_ms(-1), "near"),
            (at("2027-06-30"), "passed"),
            (at("2030-01-01"), "passed"),
        ] {
            assert_eq!(Review::of(review, now).as_str(), expected, "{now}");
        }
        assert_eq!(Review::of(None, at("2030-01-01")), Review::None);
    }

    #[test]
    fn a_due_review_is_told_once_a_day_and_one_that_is_far_never() {
        let partners =
            [partner("a.example", Some("2027-06-30")), partner("b.example", Some("2029-01-01")), partner("c.example", None)];
        let mut told = HashSet::new();
        let noon = Timestamp::of_date("2027-06-20").unwrap().plus_secs(43_200);
        let texts = |events: Vec<Event>| events.iter().map(Event::text).collect::<Vec<_>>();
        let news = texts(due(&partners, noon, &mut told));
        assert_eq!(news, ["pin-review-due domain=a.example review=2027-06-30 state=near"]);
        assert_eq!(texts(due(&partners, noon.plus_secs(3600), &mut told)), Vec::<String>::new());
        let later = texts(due(&partners, noon.plus_secs(11 * 86_400), &mut told));
        assert_eq!(later, ["pin-review-due domain=a.example review=2027-06-30 state=passed"]);
    }
}
