//! Who connects from where: how many at once, how many within a minute, and whether anybody there is known.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Limits;

const MINUTE: Duration = Duration::from_secs(60);
/// How long an address counts as known after somebody has logged in from it.
const KNOWN: Duration = Duration::from_secs(24 * 3600);
/// Addresses without a connection that are remembered; strangers can lengthen the table.
const ENTRIES_MAX: usize = 20_000;

#[derive(Default)]
pub(super) struct Sources {
    entries: HashMap<IpAddr, Source>,
}

struct Source {
    open: usize,
    /// Connections of nobody known, less what time has forgiven since `at`.
    spent: f64,
    at: Instant,
    known_at: Option<Instant>,
}

impl Source {
    fn forgive(&mut self, per_minute: usize, now: Instant) {
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / MINUTE.as_secs_f64();
        self.spent = (self.spent - minutes * per_minute as f64).max(0.0);
        self.at = now;
    }

    fn is_known(&self, now: Instant) -> bool {
        self.known_at.is_some_and(|at| now.saturating_duration_since(at) < KNOWN)
    }
}

impl Sources {
    /// Counts one more connection, if the address may have it. Those of listed networks know no rate.
    pub(super) fn enter(&mut self, source: IpAddr, is_listed: bool, limits: &Limits, now: Instant) -> bool {
        // Whoever may hold so many at once must be able to open them.
        let per_minute = limits.connections_per_minute.max(limits.connections_per_source_max);
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&source) {
            self.forget(per_minute, now);
        }
        let entry = self.entries.entry(source).or_insert(Source { open: 0, spent: 0.0, at: now, known_at: None });
        entry.forgive(per_minute, now);
        let is_too_fast = !is_listed && entry.spent + 1.0 > per_minute as f64;
        if entry.open >= limits.connections_per_source_max || is_too_fast {
            return false;
        }
        entry.open += 1;
        if !is_listed {
            entry.spent += 1.0;
        }
        true
    }

    pub(super) fn leave(&mut self, source: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&source) {
            entry.open = entry.open.saturating_sub(1);
        }
    }

    /// Somebody known sits at one of the address's connections: it does not count against the rate.
    pub(super) fn welcome(&mut self, source: IpAddr, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&source) {
            entry.spent = (entry.spent - 1.0).max(0.0);
            entry.known_at = Some(now);
        }
    }

    pub(super) fn is_known(&self, source: IpAddr, now: Instant) -> bool {
        self.entries.get(&source).is_some_and(|entry| entry.is_known(now))
    }

    /// First those of whom nothing is left to remember, then, in a flood from everywhere, all strangers without a connection.
    fn forget(&mut self, per_minute: usize, now: Instant) {
        self.entries.retain(|_, entry| {
            entry.forgive(per_minute, now);
            entry.open > 0 || entry.spent > 0.0 || entry.is_known(now)
        });
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.retain(|_, entry| entry.open > 0 || entry.is_known(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn limits() -> Limits {
        Limits { connections_per_source_max: 2, connections_per_minute: 6, ..Limits::default() }
    }

    /// Connections that are let in when each ends at once, out of twenty.
    fn passes(sources: &mut Sources, source: IpAddr, is_listed: bool, now: Instant) -> usize {
        let mut let_in = 0;
        for _ in 0..20 {
            if sources.enter(source, is_listed, &limits(), now) {
                let_in += 1;
                sources.leave(source);
            }
        }
        let_in
    }

    #[test]
    fn strangers_have_a_rate_and_time_gives_it_back() {
        let (mut sources, start) = (Sources::default(), Instant::now());
        assert_eq!(passes(&mut sources, ONE, false, start), 6);
        assert_eq!(passes(&mut sources, OTHER, false, start), 6, "one address shuts out another");
        assert_eq!(passes(&mut sources, ONE, false, start + Duration::from_secs(5)), 0);
        assert_eq!(passes(&mut sources, ONE, false, start + Duration::from_secs(20)), 2);
        assert_eq!(passes(&mut sources, ONE, true, start), 20, "a listed network has a rate");
    }

    #[test]
    fn who_logs_in_is_not_counted_and_stays_known() {
        let (mut sources, start) = (Sources::default(), Instant::now());
        for _ in 0..50 {
            assert!(sources.enter(ONE, false, &limits(), start));
            sources.welcome(ONE, start);
            sources.leave(ONE);
        }
        assert!(sources.is_known(ONE, start + KNOWN / 2) && !sources.is_known(ONE, start + KNOWN));
        assert!(!sources.is_known(OTHER, start));
    }

    #[test]
    fn what_is_allowed_at_once_can_be_opened_at_once() {
        let limits = Limits { connections_per_source_max: 50, ..limits() };
        let (mut sources, start) = (Sources::default(), Instant::now());
        assert_eq!((0..60).filter(|_| sources.enter(ONE, false, &limits, start)).count(), 50);
    }

    #[test]
    fn a_flood_from_everywhere_does_not_lengthen_the_table() {
        let (mut sources, start) = (Sources::default(), Instant::now());
        assert!(sources.enter(ONE, false, &limits(), start));
        sources.welcome(ONE, start);
        sources.leave(ONE);
        for n in 0..3 * ENTRIES_MAX {
            let source = IpAddr::V6(std::net::Ipv6Addr::from_bits((n as u128) << 64));
            assert!(sources.enter(source, false, &limits(), start));
            sources.leave(source);
        }
        assert!(sources.entries.len() <= ENTRIES_MAX);
        assert!(sources.is_known(ONE, start), "the flood washed out who is known");
    }
}
