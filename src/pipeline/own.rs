use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::mail::Timestamp;
use crate::patients::Patients;

/// The list of own patients in force, and how well it fits the mail that passes.
#[derive(Default)]
pub struct OwnPatients {
    list: RwLock<Option<Arc<Patients>>>,
    messages: AtomicU64,
    matched: AtomicU64,
    last_matched_at: AtomicI64,
}

impl OwnPatients {
    /// Messages under way keep the list they began with.
    pub fn replace(&self, list: Option<Patients>) {
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list.map(Arc::new);
        self.messages.store(0, Ordering::Relaxed);
        self.matched.store(0, Ordering::Relaxed);
    }

    #[must_use]
    pub fn in_force(&self) -> Option<Arc<Patients>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count(&self, has_matched: bool, at: Timestamp) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        if has_matched {
            self.matched.fetch_add(1, Ordering::Relaxed);
            self.last_matched_at.store(at.0, Ordering::Relaxed);
        }
    }

    /// Messages since the list came into force, those with one of its patients, and when the last of them came.
    #[must_use]
    pub fn health(&self) -> (u64, u64, Option<Timestamp>) {
        let matched = self.matched.load(Ordering::Relaxed);
        let last = (matched > 0).then(|| Timestamp(self.last_matched_at.load(Ordering::Relaxed)));
        (self.messages.load(Ordering::Relaxed), matched, last)
    }
}
