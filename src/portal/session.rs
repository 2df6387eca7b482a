//! Who has opened what. Keys of opened parcels live here and nowhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mail::{ParcelId, Timestamp};
use crate::secret::Key;

/// Sessions at once; beyond it the longest unused ends.
const SESSIONS_MAX: usize = 4096;
/// A clock set back by more than this ends a session rather than prolonging it.
const CLOCK_SLACK_MS: i64 = 60_000;

/// One opened parcel in one browser.
#[derive(Clone)]
pub struct Session {
    pub parcel: ParcelId,
    pub key: Arc<Key>,
    /// Stands in the URLs of frame and files, so that one session's URLs mean nothing in another. No secret.
    pub view: String,
    opened_at: Timestamp,
    used_at: Timestamp,
}

/// All sessions, by the keyed hash of the cookie's value.
pub struct Sessions {
    idle_ms: i64,
    total_ms: i64,
    open: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    pub fn new(idle_secs: i64, total_secs: i64) -> Sessions {
        Sessions { idle_ms: idle_secs.saturating_mul(1000), total_ms: total_secs.saturating_mul(1000), open: Mutex::default() }
    }

    fn open_sessions(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session. Any other of the same parcel ends: a code is open in one browser at a time.
    pub fn begin(&self, id: [u8; 32], parcel: ParcelId, key: Key, view: String, now: Timestamp) {
        let mut open = self.open_sessions();
        open.retain(|_, session| session.parcel != parcel && self.lives(session, now));
        if open.len() >= SESSIONS_MAX
            && let Some(oldest) = open.iter().min_by_key(|(_, session)| session.used_at).map(|(id, _)| *id)
        {
            open.remove(&oldest);
        }
        open.insert(id, Session { parcel, key: Arc::new(key), view, opened_at: now, used_at: now });
    }

    /// The session, if it lives; counts as use.
    pub fn find(&self, id: [u8; 32], now: Timestamp) -> Option<Session> {
        let mut open = self.open_sessions();
        let session = open.get_mut(&id)?;
        if !self.lives(session, now) {
            open.remove(&id);
            return None;
        }
        session.used_at = now;
        Some(session.clone())
    }

    pub fn end(&self, id: [u8; 32]) {
        self.open_sessions().remove(&id);
    }

    /// Ends every session of a parcel: it was closed.
    pub fn end_parcel(&self, parcel: ParcelId) {
        self.open_sessions().retain(|_, session| session.parcel != parcel);
    }

    pub fn end_all(&self) {
        self.open_sessions().clear();
    }

    fn lives(&self, session: &Session, now: Timestamp) -> bool {
        let unused = now.since_ms(session.used_at);
        unused < self.idle_ms && unused > -CLOCK_SLACK_MS && now.since_ms(session.opened_at) < self.total_ms
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn sessions() -> Sessions {
        let sessions = Sessions::new(900, 8 * 3600);
        sessions.begin([1; 32], ParcelId([1; 16]), Key::of([1; 32]), "v".into(), NOW);
        sessions
    }

    #[test]
    fn a_session_ends_after_quarter_of_an_hour_without_use() {
        let sessions = sessions();
        assert!(sessions.find([1; 32], NOW.plus_secs(899)).is_some());
        assert!(sessions.find([1; 32], NOW.plus_secs(899 + 899)).is_some());
        assert!(sessions.find([1; 32], NOW.plus_secs(899 + 899 + 900)).is_none());
        assert!(sessions.find([1; 32], NOW.plus_secs(899 + 899)).is_none(), "what has ended stays ended");
        assert!(sessions.find([2; 32], NOW).is_none());
    }

    #[test]
    fn a_session_ends_after_eight_hours_however_it_is_used() {
        let sessions = sessions();
        let last = (0..).map(|i| i * 600).take_while(|secs| sessions.find([1; 32], NOW.plus_secs(*secs)).is_some()).last();
        assert_eq!(last, Some(8 * 3600 - 600));
    }

    #[test]
    fn a_code_is_open_in_one_browser_at_a_time() {
        let sessions = sessions();
        sessions.begin([3; 32], ParcelId([2; 16]), Key::of([2; 32]), "w".into(), NOW);
        sessions.begin([2; 32], ParcelId([1; 16]), Key::of([1; 32]), "x".into(), NOW);
        assert!(sessions.find([1; 32], NOW).is_none());
        assert!(sessions.find([2; 32], NOW).is_some());
        assert!(sessions.find([3; 32], NOW).is_some());
        sessions.end_parcel(ParcelId([1; 16]));
        assert!(sessions.find([2; 32], NOW).is_none());
        sessions.end([3; 32]);
        assert!(sessions.find([3; 32], NOW).is_none());
    }

    #[test]
    fn a_clock_set_back_does_not_prolong_a_session() {
        assert!(sessions().find([1; 32], NOW.plus_secs(-3600)).is_none());
        assert!(sessions().find([1; 32], NOW.plus_secs(-1)).is_some());
    }
}
