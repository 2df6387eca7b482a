//! Whether the resolver still validates, asked by the clock. What follows from it is `lookup`'s.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::lookup::{Error, Lookup};
use crate::observe::{self, Event, metrics};

const EVERY: Duration = Duration::from_secs(3600);
/// While the test fails mail waits, so the end of the fault is looked for more often.
const EVERY_WHILE_FAILING: Duration = Duration::from_secs(10);

/// Tests at once and then until `stop`.
pub(super) async fn watch(lookup: Arc<Lookup>, mut stop: watch::Receiver<bool>) {
    let mut before = Verdict::Passed;
    loop {
        let verdict = Verdict::of(&lookup.check().await);
        for event in verdict.news(&before) {
            observe::log(&event);
        }
        let wait = if verdict == Verdict::Passed { EVERY } else { EVERY_WHILE_FAILING };
        before = verdict;
        tokio::select! {
            _ = stop.changed() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// What one test showed, with the words for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed(String),
    SecondFailed(String),
}

impl Verdict {
    fn of(result: &Result<(), Error>) -> Verdict {
        let verdict = match result {
            Ok(()) => Verdict::Passed,
            Err(error @ Error::SecondSourceDoesNotValidate { .. }) => Verdict::SecondFailed(error.to_string()),
            Err(error) => Verdict::Failed(error.to_string()),
        };
        metrics().resolver_validates.set(i64::from(!matches!(verdict, Verdict::Failed(_))));
        verdict
    }

    /// What to log: a fault when it begins or changes, its end once.
    fn news(&self, before: &Verdict) -> Vec<Event> {
        match self {
            same if same == before => vec![],
            Verdict::Passed => vec![Event::ResolverValidatesAgain],
            Verdict::Failed(what) => vec![Event::ResolverDoesNotValidate { what: what.clone() }],
            Verdict::SecondFailed(what) => {
                let mut news = vec![Event::SecondSourceFails { what: what.clone() }];
                if matches!(before, Verdict::Failed(_)) {
                    news.push(Event::ResolverValidatesAgain);
                }
                news
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_when_it_begins_and_when_it_ends_and_not_in_between() {
        let (ok, failed, second) = (Verdict::Passed, Verdict::Failed("x".to_owned()), Verdict::SecondFailed("y".to_owned()));
        let cases = [
            (&ok, &ok, vec![]),
            (&ok, &failed, vec!["resolver-does-not-validate"]),
            (&failed, &failed, vec![]),
            (&failed, &ok, vec!["resolver-validates-again"]),
            (&ok, &second, vec!["second-source-fails"]),
            (&failed, &second, vec!["second-source-fails", "resolver-validates-again"]),
        ];
        for (before, now, expected) in cases {
            let names: Vec<&str> = now.news(before).iter().map(Event::name).collect();
            assert_eq!(names, expected, "{before:?} {now:?}");
        }
    }
}
