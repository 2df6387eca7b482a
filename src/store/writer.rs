//! The one thread that writes. It blocks for the first job, takes all that wait, has them written in one
//! transaction with one sync, and then answers each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::Error;
use super::order::{Answer, Failure, Order, Store};
use crate::observe;

/// Most orders in one transaction: bounds how long the first of them waits.
const BATCH_MAX: usize = 256;

/// How long a batch waits for more orders where the one before had company. Each batch writes the same few pages at the end
/// of the tables and syncs; with it there are a third as many syncs and half as many bytes. PostgreSQL calls it `commit_delay`.
const COMPANY_DELAY: Duration = Duration::from_millis(2);

/// Orders of the last batch that are company (`commit_siblings`). Whoever sends alone never waits.
const COMPANY: usize = 4;

pub(super) enum Job {
    Order(Order, oneshot::Sender<Result<Answer, Error>>),
    /// A file could not be written or synced beside the writer.
    Broken(String),
    Close(oneshot::Sender<()>),
}

/// What writer and handles both see.
pub(super) struct Shared {
    pub(super) is_closed: AtomicBool,
    pub(super) failed: watch::Sender<bool>,
    pub(super) due: Arc<Notify>,
}

impl Shared {
    pub(super) fn fail(&self, what: &str) {
        self.is_closed.store(true, Ordering::SeqCst);
        if !self.failed.send_replace(true) {
            observe::log(&observe::Event::StoreFailed { what: what.to_owned() });
        }
    }
}

/// Tells of a writer that panics: without one every commit is refused, and nobody would know why.
struct Watch<'s>(&'s Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the thread that writes has panicked; this is a bug, please report it");
        }
    }
}

/// Runs until closed, abandoned by all handles, or failed. `lock` is held for as long as the store may write.
pub(super) fn run(mut store: Box<dyn Store>, mut jobs: mpsc::Receiver<Job>, shared: &Shared, lock: std::fs::File) {
    let _watch = Watch(shared);
    let mut last = 0;
    while let Some(first) = jobs.blocking_recv() {
        if last >= COMPANY && matches!(first, Job::Order(..)) {
            std::thread::sleep(COMPANY_DELAY);
        }
        let mut orders = Vec::new();
        let mut waiting = Vec::new();
        let mut end = None;
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Order(order, answer) => {
                    orders.push(order);
                    waiting.push(answer);
                }
                Job::Broken(what) => {
                    end = Some(Err(what));
                    break;
                }
                Job::Close(answer) => {
                    end = Some(Ok(answer));
                    break;
                }
            }
            if orders.len() < BATCH_MAX {
                next = jobs.try_recv().ok();
            }
        }
        last = orders.len();
        if let Some(Err(what)) = end {
            return fail(store, waiting, jobs, shared, &what);
        }
        if !orders.is_empty() {
            observe::metrics().commit_batch.observe(orders.len() as f64);
            match store.carry_out(&orders) {
                Ok(outcome) => {
                    for (answer, to) in outcome.answers.into_iter().zip(waiting) {
                        // Whoever asked may have gone; what was ordered is done all the same.
                        let _ = to.send(answer);
                    }
                    if outcome.has_queued {
                        shared.due.notify_one();
                    }
                }
                Err(Failure::Full) => waiting.into_iter().for_each(|to| drop(to.send(Err(Error::Full)))),
                Err(Failure::Broken(what) | Failure::Damaged(what)) => return fail(store, waiting, jobs, shared, &what),
            }
            drop(orders);
            if let Err(failed) = store.tend() {
                let what = match failed {
                    Failure::Full => "the disk is full".to_owned(),
                    Failure::Broken(what) | Failure::Damaged(what) => what,
                };
                return fail(store, Vec::new(), jobs, shared, &what);
            }
        }
        if let Some(Ok(answer)) = end {
            shared.is_closed.store(true, Ordering::SeqCst);
            jobs.close();
            drop(store);
            drop(lock);
            refuse_the_rest(jobs);
            let _ = answer.send(());
            return;
        }
    }
    shared.is_closed.store(true, Ordering::SeqCst);
    drop(store);
    drop(lock);
}

/// A failed write or sync leaves unknown what is on the disk. Nothing more is written, and the files are not even
/// closed in order, because closing would sync again and might seem to succeed. The next start reads anew.
fn fail(
    store: Box<dyn Store>,
    waiting: Vec<oneshot::Sender<Result<Answer, Error>>>,
    mut jobs: mpsc::Receiver<Job>,
    shared: &Shared,
    what: &str,
) {
    shared.fail(what);
    std::mem::forget(store);
    for to in waiting {
        let _ = to.send(Err(Error::Closed));
    }
    jobs.close();
    refuse_the_rest(jobs);
}

fn refuse_the_rest(mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        match job {
            Job::Order(_, to) => drop(to.send(Err(Error::Closed))),
            Job::Close(to) => drop(to.send(())),
            Job::Broken(_) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::Handle;
    use super::super::bodies::Bodies;
    use super::super::order::Outcome;
    use super::super::tests::{QUEUED, World, mail};
    use super::*;

    /// As any bug would, at the second commit.
    struct Panics(u32);

    impl Store for Panics {
        fn carry_out(&mut self, orders: &[Order]) -> Result<Outcome, Failure> {
            self.0 += 1;
            assert!(self.0 < 2, "on purpose");
            Ok(Outcome { answers: orders.iter().map(|_| Ok(Answer::Done)).collect(), has_queued: false })
        }

        fn tend(&mut self) -> Result<(), Failure> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_writer_that_panics_is_a_store_that_failed() {
        let world = World::new();
        let bodies = Bodies::open(world.as_empty()).unwrap();
        let lock = std::fs::File::create(world.folder.join("lock")).unwrap();
        let store = Handle::start(Box::new(Panics(0)), Vec::new(), bodies, 1000, Arc::default(), lock).unwrap();
        store.commit(mail(1, 10, QUEUED)).await.unwrap();
        assert!(matches!(store.commit(mail(2, 10, QUEUED)).await, Err(Error::Closed)));
        store.failed().await;
        assert!(!store.takes_mail());
        assert!(matches!(store.commit(mail(3, 10, QUEUED)).await, Err(Error::Closed)));
    }
}
