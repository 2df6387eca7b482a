//! Who may try how often, beyond the ten tries that each code has in the store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::escrow::{Access, TRIES_MAX, access};
use crate::mail::Timestamp;
use crate::web::source_of;

/// Sources and unknown numbers remembered at once; the longest unused go first.
const REMEMBERED_MAX: usize = 20_000;
/// Burst of the whole portal before the daily rate holds.
const BURST_OF_PORTAL: f64 = 600.0;

/// Rates in memory, and the countdown of numbers that do not exist.
pub struct Limits {
    per_minute: u32,
    per_day: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sources: HashMap<IpAddr, Bucket>,
    portal: Option<Bucket>,
    unknown: HashMap<[u8; 32], Tries>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    at: Timestamp,
}

impl Bucket {
    fn take(&mut self, capacity: f64, per_ms: f64, now: Timestamp) -> bool {
        let passed = now.since_ms(self.at).max(0);
        self.left = (self.left + passed as f64 * per_ms).min(capacity);
        self.at = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

impl Limits {
    pub fn new(per_minute: u32, per_day: u32) -> Limits {
        Limits { per_minute, per_day, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this source may try now; takes one try of its share and of the portal's.
    pub fn may_try(&self, peer: IpAddr, now: Timestamp) -> bool {
        let mut state = self.state();
        let capacity = f64::from(self.per_minute);
        make_room(&mut state.sources, |bucket| bucket.at);
        let bucket = state.sources.entry(source_of(peer)).or_insert(Bucket { left: capacity, at: now });
        if !bucket.take(capacity, capacity / 60_000.0, now) {
            return false;
        }
        let per_day = f64::from(self.per_day);
        let burst = BURST_OF_PORTAL.min(per_day);
        // What the burst adds is taken off the rate, so that no day goes beyond its sum.
        let per_ms = (per_day - burst) / 86_400_000.0;
        state.portal.get_or_insert(Bucket { left: burst, at: now }).take(burst, per_ms, now)
    }

    /// What a number that does not exist answers: the same rules as one that does.
    pub fn unknown_access(&self, number: [u8; 32], now: Timestamp) -> Access {
        let tries = self.state().unknown.get(&number).copied();
        let (count, last) = tries.map_or((0, None), |tries| (tries.count, Some(tries.at)));
        access(count, last, Timestamp(i64::MAX), false, now)
    }

    /// Counts a try against a number that does not exist; returns how many there were.
    pub fn count_unknown(&self, number: [u8; 32], now: Timestamp) -> u32 {
        let mut state = self.state();
        make_room(&mut state.unknown, |tries| tries.at);
        let tries = state.unknown.entry(number).or_insert(Tries { count: 0, at: now });
        tries.count = (tries.count + 1).min(TRIES_MAX);
        tries.at = now;
        tries.count
    }
}

/// Forgets the longest unused half when full.
fn make_room<K: Copy + Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, at: impl Fn(&V) -> Timestamp) {
    if map.len() < REMEMBERED_MAX {
        return;
    }
    let mut times: Vec<Timestamp> = map.values().map(&at).collect();
    times.sort_unstable();
    let Some(middle) = times.get(times.len() / 2).copied() else { return };
    map.retain(|_, value| at(value) > middle);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn a_source_has_its_share_and_gets_it_back_with_time() {
        let limits = Limits::new(3, 1000);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((0..5).filter(|_| limits.may_try(one, NOW)).count(), 3);
        assert!(limits.may_try(other, NOW));
        assert!(!limits.may_try(one, NOW.plus_secs(19)));
        assert!(limits.may_try(one, NOW.plus_secs(40)));
    }

    #[test]
    fn one_customer_of_ipv6_is_one_source() {
        let limits = Limits::new(1, 1000);
        assert!(limits.may_try("2001:db8::1".parse().unwrap(), NOW));
        assert!(!limits.may_try("2001:db8::ffff:2".parse().unwrap(), NOW));
        assert!(limits.may_try("2001:db8:0:1::1".parse().unwrap(), NOW));
        assert!(limits.may_try("::ffff:192.0.2.1".parse().unwrap(), NOW));
        assert!(!limits.may_try("192.0.2.1".parse().unwrap(), NOW));
    }

    #[test]
    fn a_spray_from_everywhere_stays_within_the_days_sum() {
        let limits = Limits::new(10, 1000);
        let mut allowed = 0;
        for second in 0..86_400u32 {
            let peer = IpAddr::V4((0x0a00_0000 + second).into());
            allowed += u32::from(limits.may_try(peer, NOW.plus_secs(i64::from(second))));
        }
        assert!(allowed <= 1000, "{allowed}");
        assert!(allowed >= 990, "{allowed}");
    }

    #[test]
    fn an_unknown_number_counts_down_like_a_known_one() {
        let limits = Limits::new(10, 1000);
        let mut now = NOW;
        for left in (1..=10).rev() {
            assert_eq!(limits.unknown_access([1; 32], now), Access::Open { tries_left: left });
            limits.count_unknown([1; 32], now);
            now = now.plus_secs(600);
        }
        assert_eq!(limits.unknown_access([1; 32], now), Access::Locked);
        assert_eq!(limits.unknown_access([2; 32], now), Access::Open { tries_left: 10 });
    }
}
