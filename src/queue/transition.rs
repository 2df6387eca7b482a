use super::{CopyKind, Outcome, Schedule};
use crate::mail::Timestamp;
use crate::policy::{Action, Class};
use crate::transport::{Reason, RefusalKind};

/// A copy that a worker holds: the only state that has outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub kind: CopyKind,
    pub class: Class,
    pub received_at: Timestamp,
    /// Attempts so far, the one just made included.
    pub attempts: u32,
    /// The client asked for REQUIRETLS: what cannot leave so is returned, not put into the portal (RFC 8689,
    /// section 4.2.1), and has the time that returned mail has.
    pub require_tls: bool,
    /// For the jitter of the next wait.
    pub dice: u16,
}

/// What becomes of a claimed copy. There is no way from here to "held", and none out of a finished state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Delivered,
    /// Queued again.
    Again {
        at: Timestamp,
        reason: Reason,
    },
    /// Becomes a parcel, in one transaction with it.
    Portal(Portal),
    /// Returned with a report, or given up if it is itself a notice, slip or report.
    Bounced {
        reason: Reason,
    },
}

/// Only a client's message enters the portal; only this module makes one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portal {
    reason: Reason,
}

impl Portal {
    #[must_use]
    pub fn reason(self) -> Reason {
        self.reason
    }
}

impl Claim {
    /// `(in flight, outcome) → next`. Pure: time and schedule are passed in.
    #[must_use]
    pub fn after(self, outcome: &Outcome, schedule: &Schedule, now: Timestamp) -> Next {
        match *outcome {
            Outcome::Delivered => Next::Delivered,
            Outcome::Failed { reason } => Next::Bounced { reason },
            // The host may have the message: a parcel as well would show it twice, to whoever reads the portal.
            Outcome::Uncertain => self.again_or(schedule, now, Reason::Timeout, |_| Next::Bounced { reason: Reason::Timeout }),
            Outcome::CannotReachLevel { kind, reason } => self.fall_back(kind, reason, schedule, now, true),
            Outcome::Delayed { kind, reason } => self.fall_back(kind, reason, schedule, now, false),
        }
    }

    /// `is_settled`: every host was asked and waiting will not help.
    fn fall_back(self, kind: RefusalKind, reason: Reason, schedule: &Schedule, now: Timestamp, is_settled: bool) -> Next {
        match kind {
            // No such domain, or it leads back to us: the portal would tell nobody.
            RefusalKind::Undeliverable => Next::Bounced { reason },
            RefusalKind::CannotEncrypt | RefusalKind::CannotAuthenticate => match self.portal(reason) {
                Some(portal) if is_settled => Next::Portal(portal),
                None if is_settled && matches!(self.kind, CopyKind::Message | CopyKind::TlsReport) => Next::Bounced { reason },
                _ => self.again_or(schedule, now, reason, |claim| claim.give_up(reason)),
            },
            // An attacker on the path can cause both; patience costs him, haste would cost us.
            RefusalKind::PolicyViolated | RefusalKind::Unknown => {
                self.again_or(schedule, now, reason, |claim| claim.give_up(reason))
            }
        }
    }

    fn again_or(self, schedule: &Schedule, now: Timestamp, reason: Reason, at_the_end: impl FnOnce(Claim) -> Next) -> Next {
        let end = self.end(schedule);
        if now >= end {
            at_the_end(self)
        } else {
            Next::Again { at: schedule.next_at(self.attempts, now, end, self.dice), reason }
        }
    }

    fn give_up(self, reason: Reason) -> Next {
        self.portal(reason).map_or(Next::Bounced { reason }, Next::Portal)
    }

    fn portal(self, reason: Reason) -> Option<Portal> {
        match self.kind {
            CopyKind::Message if !self.require_tls => Some(Portal { reason }),
            CopyKind::Message | CopyKind::Notice | CopyKind::Slip | CopyKind::Report | CopyKind::TlsReport => None,
        }
    }

    /// When waiting ends.
    #[must_use]
    pub fn end(self, schedule: &Schedule) -> Timestamp {
        match self.kind {
            CopyKind::Message if self.require_tls => self.received_at.plus_ms(schedule.give_up_ms),
            CopyKind::Message => schedule.budget_end(self.class, self.received_at),
            CopyKind::Notice => self.received_at.plus_ms(schedule.notice_give_up_ms),
            CopyKind::Slip | CopyKind::Report => self.received_at.plus_ms(schedule.give_up_ms),
            CopyKind::TlsReport => self.received_at.plus_ms(schedule.give_up_ms.min(TLS_REPORT_GIVE_UP_MS)),
        }
    }
}

/// A report about TLS is news for a day (RFC 8460, section 5.3).
const TLS_REPORT_GIVE_UP_MS: i64 = 86_400_000;

/// What a person decides about a held copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Release,
    Refuse,
    /// Nobody decided in time.
    TimeUp,
}

/// Where a held copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterHold {
    Queued,
    Portal,
    Refused,
}

/// `(held, judgement) → where`. `after_hold` is the strictest of what policy wanted besides the hold: a release
/// does that and never less. Without a decision the copy goes to the portal, where it can still be recalled.
#[must_use]
pub fn after_hold(judgement: Judgement, after_hold: Action) -> AfterHold {
    match (judgement, after_hold) {
        (Judgement::Refuse, _) | (Judgement::Release | Judgement::TimeUp, Action::Reject) => AfterHold::Refused,
        (Judgement::Release, Action::Deliver) => AfterHold::Queued,
        (Judgement::Release, Action::Escrow | Action::Hold) | (Judgement::TimeUp, _) => AfterHold::Portal,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);
    const KINDS: [CopyKind; 5] = [CopyKind::Message, CopyKind::Notice, CopyKind::Slip, CopyKind::Report, CopyKind::TlsReport];
    const REFUSALS: [RefusalKind; 5] = [
        RefusalKind::CannotEncrypt,
        RefusalKind::CannotAuthenticate,
        RefusalKind::PolicyViolated,
        RefusalKind::Unknown,
        RefusalKind::Undeliverable,
    ];

    fn outcomes() -> Vec<Outcome> {
        let reason = Reason::TlsFailed;
        let mut all = vec![Outcome::Delivered, Outcome::Uncertain, Outcome::Failed { reason }];
        for kind in REFUSALS {
            all.push(Outcome::Delayed { kind, reason });
            all.push(Outcome::CannotReachLevel { kind, reason });
        }
        all
    }

    /// Every kind, class, outcome and a spread of attempts and times.
    fn for_all(mut holds: impl FnMut(Claim, &Outcome, Timestamp, Next)) {
        let schedule = Schedule::default();
        for kind in KINDS {
            for class in [Class::Urgent, Class::Normal] {
                for attempts in [0, 1, 2, 5, 6, 7, 100, u32::MAX] {
                    for after_s in [-86_400, -1, 0, 1, 599, 600, 3599, 3600, 3601, 259_200, 432_000, i64::MAX / 2000] {
                        let now = START.plus_secs(after_s);
                        for (require_tls, dice) in [(false, 0), (false, DICE_EVEN), (true, u16::MAX)] {
                            let claim = Claim { kind, class, received_at: START, attempts, require_tls, dice };
                            for outcome in outcomes() {
                                holds(claim, &outcome, now, claim.after(&outcome, &schedule, now));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_table_of_a_message_in_flight() {
        let reason = Reason::StarttlsNotSupported;
        let (early, late) = (START.plus_secs(60), START.plus_secs(3600));
        let again = Next::Again { at: early.plus_secs(30), reason };
        let portal = Next::Portal(Portal { reason });
        let bounced = Next::Bounced { reason };
        let cases = [
            // outcome                                                                     early    after the budget
            (Outcome::Delivered, Next::Delivered, Next::Delivered),
            (Outcome::Failed { reason }, bounced, bounced),
            (Outcome::CannotReachLevel { kind: RefusalKind::CannotEncrypt, reason }, portal, portal),
            (Outcome::CannotReachLevel { kind: RefusalKind::CannotAuthenticate, reason }, portal, portal),
            (Outcome::CannotReachLevel { kind: RefusalKind::PolicyViolated, reason }, again, portal),
            (Outcome::CannotReachLevel { kind: RefusalKind::Unknown, reason }, again, portal),
            (Outcome::CannotReachLevel { kind: RefusalKind::Undeliverable, reason }, bounced, bounced),
            (Outcome::Delayed { kind: RefusalKind::CannotEncrypt, reason }, again, portal),
            (Outcome::Delayed { kind: RefusalKind::CannotAuthenticate, reason }, again, portal),
            (Outcome::Delayed { kind: RefusalKind::PolicyViolated, reason }, again, portal),
            (Outcome::Delayed { kind: RefusalKind::Unknown, reason }, again, portal),
            (Outcome::Delayed { kind: RefusalKind::Undeliverable, reason }, bounced, bounced),
        ];
        let claim = Claim {
            kind: CopyKind::Message,
            class: Class::Normal,
            received_at: START,
            attempts: 1,
            require_tls: false,
            dice: DICE_EVEN,
        };
        let schedule = Schedule::default();
        for (outcome, at_first, at_last) in cases {
            assert_eq!(claim.after(&outcome, &schedule, early), at_first, "{outcome:?} early");
            assert_eq!(claim.after(&outcome, &schedule, late), at_last, "{outcome:?} late");
        }
        let uncertain = claim.after(&Outcome::Uncertain, &schedule, early);
        assert_eq!(uncertain, Next::Again { at: early.plus_secs(30), reason: Reason::Timeout });
        assert_eq!(claim.after(&Outcome::Uncertain, &schedule, late), Next::Bounced { reason: Reason::Timeout });
    }

    #[test]
    fn only_a_message_enters_the_portal_and_never_one_that_may_have_arrived() {
        for_all(|claim, outcome, _, next| {
            if matches!(next, Next::Portal(_)) {
                assert_eq!(claim.kind, CopyKind::Message);
                assert!(!claim.require_tls);
                assert_ne!(*outcome, Outcome::Uncertain);
            }
        });
    }

    #[test]
    fn only_a_delivery_counts_as_delivered() {
        for_all(|_, outcome, _, next| assert_eq!(next == Next::Delivered, *outcome == Outcome::Delivered));
    }

    #[test]
    fn waiting_ends_and_each_wait_is_ahead_and_bounded() {
        let schedule = Schedule::default();
        for_all(|claim, _, now, next| {
            if let Next::Again { at, .. } = next {
                assert!(now < claim.end(&schedule), "waits past its end");
                assert!(at >= now && at <= now.plus_ms(STEP_MAX_MS) && at <= claim.end(&schedule));
            }
        });
    }

    #[test]
    fn a_copy_that_never_gets_through_ends_after_few_attempts_exactly_at_its_budget() {
        let schedule = Schedule::default();
        let outcome = Outcome::Delayed { kind: RefusalKind::Unknown, reason: Reason::ConnectFailed };
        for (class, budget_s, attempts_expected) in [(Class::Normal, 3600, 9), (Class::Urgent, 600, 6)] {
            let mut claim =
                Claim { kind: CopyKind::Message, class, received_at: START, attempts: 1, require_tls: false, dice: DICE_EVEN };
            let mut now = START;
            let mut waits = Vec::new();
            while let Next::Again { at, .. } = claim.after(&outcome, &schedule, now) {
                waits.push(at.since_ms(now) / 1000);
                (now, claim.attempts) = (at, claim.attempts + 1);
                assert!(claim.attempts < 50);
            }
            assert_eq!(now, START.plus_secs(budget_s), "{waits:?}");
            assert_eq!(claim.attempts, attempts_expected, "{waits:?}");
            assert!(matches!(claim.after(&outcome, &schedule, now), Next::Portal(_)));
        }
    }

    #[test]
    fn a_longer_wait_never_makes_the_outcome_laxer() {
        let rank = |next: Next| match next {
            Next::Delivered => 0,
            Next::Again { .. } => 1,
            Next::Portal(_) | Next::Bounced { .. } => 2,
        };
        let schedule = Schedule::default();
        for_all(|claim, outcome, now, next| {
            let later = claim.after(outcome, &schedule, now.plus_secs(86_400 * 30));
            assert!(rank(later) >= rank(next));
        });
    }

    #[test]
    fn a_release_never_does_less_than_policy_wanted_and_nobody_forgets_a_held_copy() {
        for (judgement, wanted, expected) in [
            (Judgement::Release, Action::Deliver, AfterHold::Queued),
            (Judgement::Release, Action::Escrow, AfterHold::Portal),
            (Judgement::Release, Action::Hold, AfterHold::Portal),
            (Judgement::Release, Action::Reject, AfterHold::Refused),
            (Judgement::Refuse, Action::Deliver, AfterHold::Refused),
            (Judgement::Refuse, Action::Reject, AfterHold::Refused),
            (Judgement::TimeUp, Action::Deliver, AfterHold::Portal),
            (Judgement::TimeUp, Action::Escrow, AfterHold::Portal),
            (Judgement::TimeUp, Action::Reject, AfterHold::Refused),
        ] {
            assert_eq!(after_hold(judgement, wanted), expected, "{judgement:?} {wanted:?}");
        }
    }

    #[test]
    fn odd_schedules_still_wait_forward() {
        for steps_ms in [vec![], vec![0], vec![-5], vec![i64::MAX]] {
            let schedule = Schedule { steps_ms, ..Schedule::default() };
            let end = START.plus_ms(10 * STEP_MAX_MS);
            let at = schedule.next_at(3, START, end, DICE_EVEN);
            assert!(at > START && at <= START.plus_ms(STEP_MAX_MS));
        }
    }

    #[test]
    fn what_asked_for_requiretls_is_returned_where_others_go_to_the_portal() {
        let schedule = Schedule::default();
        let claim = Claim {
            kind: CopyKind::Message,
            class: Class::Normal,
            received_at: START,
            attempts: 1,
            require_tls: true,
            dice: DICE_EVEN,
        };
        let reason = Reason::RequireTlsNotOffered;
        let settled = Outcome::CannotReachLevel { kind: RefusalKind::CannotAuthenticate, reason };
        assert_eq!(claim.after(&settled, &schedule, START), Next::Bounced { reason });
        let unknown = Outcome::Delayed { kind: RefusalKind::Unknown, reason: Reason::ConnectFailed };
        // It has days, not the hour after which others go to the portal.
        let late = START.plus_ms(schedule.normal_budget_ms + 1);
        assert!(matches!(claim.after(&unknown, &schedule, late), Next::Again { .. }));
        let end = START.plus_ms(schedule.give_up_ms);
        assert_eq!(claim.after(&unknown, &schedule, end), Next::Bounced { reason: Reason::ConnectFailed });
    }

    #[test]
    fn waits_differ_by_a_tenth_at_most_as_the_dice_fall() {
        let schedule = Schedule { steps_ms: vec![100_000], ..Schedule::default() };
        let far = START.plus_ms(STEP_MAX_MS);
        let wait = |dice| schedule.next_at(1, START, far, dice).since_ms(START);
        assert_eq!((wait(0), wait(DICE_EVEN)), (90_000, 100_000));
        assert!((109_990..=110_000).contains(&wait(u16::MAX)), "{}", wait(u16::MAX));
        assert!((0..=u16::MAX).step_by(251).map(wait).is_sorted());
        // Whatever the dice say, a budget is kept to the moment.
        assert_eq!(schedule.next_at(1, START, START.plus_ms(5), u16::MAX), START.plus_ms(5));
    }

    use super::super::schedule::{DICE_EVEN, STEP_MAX_MS};
}
