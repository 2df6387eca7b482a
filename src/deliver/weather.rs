//! Whether our own network takes STARTTLS away.
//!
//! A box on our own path that strips STARTTLS makes the whole world look unable to encrypt. Before a plain notice goes
//! out or messages go to the portal in numbers, this is asked. Proven deliveries never depend on it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::mail::Domain;

/// When our own network is suspected.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a contact counts.
    pub window: Duration,
    /// So many domains that had STARTTLS before and have none now.
    pub gone_min: usize,
    /// Or this share of the domains contacted has none, when at least [`Settings::contacted_min`] were.
    pub missing_percent: usize,
    pub contacted_min: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { window: Duration::from_secs(15 * 60), gone_min: 3, missing_percent: 30, contacted_min: 10 }
    }
}

/// What a contact with a domain showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    StartTls,
    Missing,
    /// Missing, and it was there within 90 days.
    Gone,
}

/// The contacts of the last minutes. `None` as settings: never suspects (worlds made of a few domains).
pub struct Weather {
    settings: Option<Settings>,
    contacts: Mutex<HashMap<Domain, (Instant, Shown)>>,
}

/// Domains remembered at a time.
const DOMAINS_MAX: usize = 10_000;

impl Weather {
    #[must_use]
    pub fn new(settings: Option<Settings>) -> Weather {
        Weather { settings, contacts: Mutex::new(HashMap::new()) }
    }

    pub fn note(&self, domain: &Domain, shown: Shown) {
        self.note_at(Instant::now(), domain, shown);
    }

    fn note_at(&self, now: Instant, domain: &Domain, shown: Shown) {
        let Some(settings) = self.settings else { return };
        let mut contacts = self.contacts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if contacts.len() >= DOMAINS_MAX {
            contacts.retain(|_, (at, _)| now.duration_since(*at) < settings.window);
        }
        if contacts.len() < DOMAINS_MAX {
            contacts.insert(domain.clone(), (now, shown));
        }
    }

    /// How many domains miss STARTTLS now, if they are so many that our own network must be suspected.
    #[must_use]
    pub fn suspicion(&self) -> Option<usize> {
        self.suspicion_at(Instant::now())
    }

    fn suspicion_at(&self, now: Instant) -> Option<usize> {
        let settings = self.settings?;
        let mut contacts = self.contacts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        contacts.retain(|_, (at, _)| now.duration_since(*at) < settings.window);
        let gone = contacts.values().filter(|(_, shown)| *shown == Shown::Gone).count();
        let missing = contacts.values().filter(|(_, shown)| *shown != Shown::StartTls).count();
        let is_many = contacts.len() >= settings.contacted_min && missing * 100 >= contacts.len() * settings.missing_percent;
        (gone >= settings.gone_min || is_many).then_some(missing)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn domain(n: usize) -> Domain {
        Domain::parse(&format!("d{n}.example")).unwrap()
    }

    #[test]
    fn three_that_lost_it_are_enough_and_are_forgotten_after_a_while() {
        let weather = Weather::new(Some(Settings::default()));
        for n in 0..2 {
            weather.note(&domain(n), Shown::Gone);
            weather.note(&domain(n), Shown::Gone);
        }
        assert_eq!(weather.suspicion(), None);
        weather.note(&domain(2), Shown::Gone);
        assert_eq!(weather.suspicion(), Some(3));
        assert_eq!(weather.suspicion_at(Instant::now() + Duration::from_secs(15 * 60)), None);
    }

    #[test]
    fn a_third_of_many_is_enough_but_not_of_few() {
        let weather = Weather::new(Some(Settings::default()));
        for n in 0..3 {
            weather.note(&domain(n), Shown::Missing);
        }
        assert_eq!(weather.suspicion(), None);
        for n in 3..10 {
            weather.note(&domain(n), Shown::StartTls);
        }
        assert_eq!(weather.suspicion(), Some(3));
        weather.note(&domain(10), Shown::StartTls);
        assert_eq!(weather.suspicion(), None);
        let never = Weather::new(None);
        for n in 0..20 {
            never.note(&domain(n), Shown::Gone);
        }
        assert_eq!(never.suspicion(), None);
    }
}
