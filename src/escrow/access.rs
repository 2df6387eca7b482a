//! Who may try a code, when, and how long a parcel lives.

use crate::mail::Timestamp;

/// Wrong tries a code survives, whatever the time between them: ten chances in 10^9.
pub const TRIES_MAX: u32 = 10;
/// After this many tries the next one has to wait.
pub const BACK_OFF_FROM: u32 = 3;
/// How long a parcel can be read, unless configured otherwise.
pub const EXPIRY_DAYS: i64 = 30;
/// A parcel that was opened stays at least this long after the first opening.
pub const READ_DAYS_MIN: i64 = 7;

const BACK_OFF_FIRST_SECS: i64 = 5;
const BACK_OFF_MAX_SECS: i64 = 300;
const DAY_SECS: i64 = 86_400;

/// What a parcel answers to somebody who wants to try a code now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A try may be counted.
    Open { tries_left: u32 },
    /// Too soon after the last wrong try.
    Wait { until: Timestamp },
    /// Ten tries were used; the code is void until the office issues another.
    Locked,
    /// Its time is over. Said only to who brings the right code.
    Expired { on: Timestamp },
    /// Taken back, or closed by the reader: the keys are gone.
    Closed,
}

/// Seconds that must lie between the last of `tries` tries and the next.
#[must_use]
pub fn back_off_secs(tries: u32) -> i64 {
    match tries.checked_sub(BACK_OFF_FROM) {
        None => 0,
        Some(doublings) => (BACK_OFF_FIRST_SECS << doublings.min(10)).min(BACK_OFF_MAX_SECS),
    }
}

/// Decides before a try is counted. `tries` and `last_try_at` are of the code in force.
#[must_use]
pub fn access(tries: u32, last_try_at: Option<Timestamp>, expires_at: Timestamp, is_closed: bool, now: Timestamp) -> Access {
    if is_closed {
        return Access::Closed;
    }
    if tries >= TRIES_MAX {
        return Access::Locked;
    }
    if let Some(last) = last_try_at {
        let until = last.plus_secs(back_off_secs(tries));
        // A clock set back must not lock anybody out for longer than the wait itself.
        if now < until && now >= last {
            return Access::Wait { until };
        }
    }
    if now >= expires_at {
        return Access::Expired { on: expires_at };
    }
    Access::Open { tries_left: TRIES_MAX - tries }
}

/// When a parcel made now ends, unless configured otherwise.
#[must_use]
pub fn default_expiry(created_at: Timestamp) -> Timestamp {
    created_at.plus_secs(EXPIRY_DAYS * DAY_SECS)
}

/// When it really ends: never sooner than seven days after it was first opened.
#[must_use]
pub fn effective_expiry(expires_at: Timestamp, first_opened_at: Option<Timestamp>) -> Timestamp {
    match first_opened_at {
        Some(opened) => expires_at.max(opened.plus_secs(READ_DAYS_MIN * DAY_SECS)),
        None => expires_at,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn access_is_decided_by_tries_time_and_state() {
        let later = NOW.plus_secs(1000);
        let ago = |secs: i64| Some(NOW.plus_secs(-secs));
        let cases = [
            ("fresh", 0, None, later, false, Access::Open { tries_left: 10 }),
            ("two wrong tries cost no wait", 2, ago(0), later, false, Access::Open { tries_left: 8 }),
            ("the third costs five seconds", 3, ago(4), later, false, Access::Wait { until: NOW.plus_secs(1) }),
            ("and then it goes on", 3, ago(5), later, false, Access::Open { tries_left: 7 }),
            ("the ninth costs five minutes", 9, ago(299), later, false, Access::Wait { until: NOW.plus_secs(1) }),
            ("ten are the end", 10, ago(1_000_000), later, false, Access::Locked),
            ("more than ten too", u32::MAX, None, later, false, Access::Locked),
            ("expired", 0, None, NOW, false, Access::Expired { on: NOW }),
            ("expired and locked shows locked", 10, None, NOW, false, Access::Locked),
            ("closed", 0, None, later, true, Access::Closed),
            ("closed and locked shows closed", 10, None, NOW, true, Access::Closed),
            ("a clock set back waits for nobody", 9, ago(-86_400), later, false, Access::Open { tries_left: 1 }),
        ];
        for (name, tries, last, expires, closed, expected) in cases {
            assert_eq!(access(tries, last, expires, closed, NOW), expected, "{name}");
        }
    }

    #[test]
    fn back_off_never_shrinks_and_is_bounded() {
        let mut before = 0;
        for tries in (0..20).chain([u32::MAX]) {
            let secs = back_off_secs(tries);
            assert!(secs >= before && secs <= BACK_OFF_MAX_SECS, "{tries}: {secs}");
            before = secs;
        }
        assert_eq!(back_off_secs(2), 0);
        assert_eq!(back_off_secs(3), 5);
    }

    #[test]
    fn a_parcel_opened_late_can_still_be_read_for_a_week() {
        let expires = default_expiry(NOW);
        assert_eq!(expires.since_ms(NOW), 30 * DAY_SECS * 1000);
        assert_eq!(effective_expiry(expires, None), expires);
        assert_eq!(effective_expiry(expires, Some(NOW)), expires);
        let late = expires.plus_secs(-DAY_SECS);
        assert_eq!(effective_expiry(expires, Some(late)), late.plus_secs(7 * DAY_SECS));
    }
}
