//! Which messages are part of a run: many at once from one sender. They wait behind messages one by one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::mail::Timestamp;
use crate::secret::Pseudonym;

/// A message to more recipients than this is a run by itself: a letter to a whole practice is not.
const RECIPIENTS_MAX: usize = 20;
/// Messages of one sender within [`WINDOW_MS`] after which the rest are a run: more than people and laboratory systems
/// send one by one.
const MESSAGES_MAX: u32 = 120;
const WINDOW_MS: i64 = 60_000;
/// Senders remembered; beyond it, those whose window is over are forgotten.
const SENDERS_MAX: usize = 4096;

/// Counts what each sender sent lately.
#[derive(Default)]
pub(super) struct Runs(Mutex<HashMap<Pseudonym, (Timestamp, u32)>>);

impl Runs {
    /// Counts one message and says whether it is part of a run.
    pub(super) fn note(&self, sender: Pseudonym, recipients: usize, at: Timestamp) -> bool {
        if recipients > RECIPIENTS_MAX {
            // Counted for itself: a letter to many does not make a result that follows it wait.
            return true;
        }
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Timestamp| !(0..WINDOW_MS).contains(&at.since_ms(since));
        if senders.len() >= SENDERS_MAX {
            senders.retain(|_, (since, _)| !is_over(*since));
        }
        let (since, count) = senders.entry(sender).or_insert((at, 0));
        if is_over(*since) {
            // Who was in a run a moment ago stays in it until a window was quiet.
            let was_run = *count > MESSAGES_MAX && at.since_ms(*since) < 2 * WINDOW_MS && at.since_ms(*since) >= 0;
            (*since, *count) = (at, if was_run { MESSAGES_MAX } else { 0 });
        }
        *count = count.saturating_add(1);
        *count > MESSAGES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn a_run_is_many_recipients_or_many_messages_of_one_sender() {
        let runs = Runs::default();
        let (ann, lab) = (Pseudonym::of("ann".into()), Pseudonym::of("lab".into()));
        assert!(!runs.note(ann.clone(), RECIPIENTS_MAX, START));
        for _ in 0..9 {
            assert!(runs.note(ann.clone(), 1000, START));
        }
        assert!(!runs.note(ann.clone(), 1, START), "what follows a letter to many is a message like any");
        for n in 0..MESSAGES_MAX - 2 {
            assert!(!runs.note(ann.clone(), 1, START.plus_ms(i64::from(n))));
        }
        assert!(runs.note(ann.clone(), 1, START.plus_secs(1)));
        assert!(!runs.note(lab, 1, START.plus_secs(1)), "another sender");
        assert!(runs.note(ann.clone(), 1, START.plus_secs(61)), "the run goes on");
        assert!(!runs.note(ann.clone(), 1, START.plus_secs(61 + 121)), "and is over");
        assert!(!runs.note(ann, 1, START.plus_secs(-9999)), "a clock set back");
    }
}
