use crate::mail::Timestamp;
use crate::policy::Class;

/// Longest time between two attempts: a host that is back is found within this.
pub const STEP_MAX_S: i64 = 3600;

/// When a copy is tried again, and for how long. Times are seconds.
///
/// Lanes: the urgent class has its own budget here, and the store hands urgent copies out first. Within a class
/// copies come in the order in which they are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Time from acceptance after which a message goes to the portal instead of waiting on.
    pub normal_budget_s: i64,
    pub urgent_budget_s: i64,
    /// Waits after the first, second, ... attempt; the last one repeats.
    pub steps_s: Vec<i64>,
    /// Time after which a notice, slip or report is given up (RFC 5321, section 4.5.4.1: four to five days for
    /// mail; a notice that has not arrived after three is worth a phone call).
    pub notice_give_up_s: i64,
    pub give_up_s: i64,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            normal_budget_s: 60 * 60,
            urgent_budget_s: 10 * 60,
            steps_s: vec![30, 60, 120, 300, 600, 900],
            notice_give_up_s: 3 * 86_400,
            give_up_s: 5 * 86_400,
        }
    }
}

impl Schedule {
    /// The end of a message's time budget.
    #[must_use]
    pub fn budget_end(&self, class: Class, received_at: Timestamp) -> Timestamp {
        received_at.plus_secs(match class {
            Class::Urgent => self.urgent_budget_s,
            Class::Normal => self.normal_budget_s,
        })
    }

    /// When to try again after `attempts` attempts: a step later, but never past `end`, so that a budget ends with
    /// an attempt and is kept to the second.
    #[must_use]
    pub fn next_at(&self, attempts: u32, now: Timestamp, end: Timestamp) -> Timestamp {
        let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let step = self.steps_s.get(index).or(self.steps_s.last()).copied().unwrap_or(STEP_MAX_S);
        now.plus_secs(step.clamp(1, STEP_MAX_S)).min(end).max(now)
    }
}
