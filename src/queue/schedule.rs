use crate::mail::Timestamp;
use crate::policy::Class;

/// Longest time between two attempts: a host that is back is found within this.
pub const STEP_MAX_MS: i64 = 3_600_000;

/// Dice that leave a step as it is.
pub const DICE_EVEN: u16 = 0x8000;

/// When a copy is tried again, and for how long. Times are milliseconds.
///
/// Lanes: the urgent class has its own budget here, and the store hands urgent copies out first. Within a class
/// copies come in the order in which they are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Time from acceptance after which a message goes to the portal instead of waiting on.
    pub normal_budget_ms: i64,
    pub urgent_budget_ms: i64,
    /// Waits after the first, second, ... attempt; the last one repeats.
    pub steps_ms: Vec<i64>,
    /// Time after which a notice, slip or report is given up (RFC 5321, section 4.5.4.1: four to five days for
    /// mail; a notice that has not arrived after three is worth a phone call).
    pub notice_give_up_ms: i64,
    pub give_up_ms: i64,
    /// Time after which the sender of a message that still waits is told so, once (RFC 3461, section 4.1).
    pub delay_report_ms: i64,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            normal_budget_ms: 60 * 60_000,
            urgent_budget_ms: 10 * 60_000,
            steps_ms: vec![30_000, 60_000, 120_000, 300_000, 600_000, 900_000],
            notice_give_up_ms: 3 * 86_400_000,
            give_up_ms: 5 * 86_400_000,
            delay_report_ms: 4 * 3_600_000,
        }
    }
}

impl Schedule {
    /// The end of a message's time budget.
    #[must_use]
    pub fn budget_end(&self, class: Class, received_at: Timestamp) -> Timestamp {
        received_at.plus_ms(match class {
            Class::Urgent => self.urgent_budget_ms,
            Class::Normal | Class::Bulk => self.normal_budget_ms,
        })
    }

    /// When to try again after `attempts` attempts: a step later, but never past `end`, so that a budget ends with
    /// an attempt and is kept to the moment. The step is up to a tenth longer or shorter, as `dice` fall
    /// ([`DICE_EVEN`]: neither), so that copies that failed together do not come back together.
    #[must_use]
    pub fn next_at(&self, attempts: u32, now: Timestamp, end: Timestamp, dice: u16) -> Timestamp {
        let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let step = self.steps_ms.get(index).or(self.steps_ms.last()).copied().unwrap_or(STEP_MAX_MS).clamp(1, STEP_MAX_MS);
        let jitter = step * (i64::from(dice) - i64::from(DICE_EVEN)) / (i64::from(DICE_EVEN) * 10);
        now.plus_ms((step + jitter).clamp(1, STEP_MAX_MS)).min(end).max(now)
    }
}
