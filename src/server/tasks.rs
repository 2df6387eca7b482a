//! Tasks that run as long as the gateway does. One that ends before takes the gateway with it: a process without a
//! listener looks alive and does nothing, and the supervisor restarts one that ends.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::observe::{self, Event};

/// Why the gateway cannot go on, once it cannot.
pub(super) type Broken = Arc<watch::Sender<Option<String>>>;

pub(super) struct Tasks {
    running: JoinSet<()>,
    broken: Broken,
    stopped: watch::Receiver<bool>,
}

impl Tasks {
    pub(super) fn new(broken: Broken, stopped: watch::Receiver<bool>) -> Tasks {
        Tasks { running: JoinSet::new(), broken, stopped }
    }

    /// Runs `task` until the gateway stops; ending earlier, by itself or by a panic, ends the gateway.
    pub(super) fn keep(&mut self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (broken, stopped) = (Arc::clone(&self.broken), self.stopped.clone());
        self.running.spawn(async move {
            // A set of its own: it ends with this task, and tells an end from a panic.
            let mut inner = JoinSet::new();
            inner.spawn(task);
            let _ = inner.join_next().await;
            // An end of the sender is a stop, too.
            if !*stopped.borrow() && stopped.has_changed().is_ok() {
                observe::log(&Event::TaskEnded { what });
                broken.send_replace(Some(format!("{what} has ended; this is a bug, please report it")));
            }
        });
    }

    /// Runs something that has an end.
    pub(super) fn once(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(task);
    }

    pub(super) async fn all_ended(&mut self) {
        while self.running.join_next().await.is_some() {}
    }

    pub(super) fn abort_all(&mut self) {
        self.running.abort_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn tasks() -> (Tasks, watch::Receiver<Option<String>>, watch::Sender<bool>) {
        let (broken, seen) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        (Tasks::new(Arc::new(broken), stopped), seen, stop)
    }

    #[tokio::test]
    async fn a_task_that_panics_or_ends_is_noticed() {
        for panics in [true, false] {
            let (mut tasks, mut seen, _stop) = tasks();
            tasks.keep("on-purpose", async move { assert!(!panics, "on purpose") });
            let why = seen.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            assert!(why.starts_with("on-purpose has ended"), "{why}");
        }
    }

    #[tokio::test]
    async fn ending_after_the_stop_is_as_it_should_be() {
        let (mut tasks, seen, stop) = tasks();
        let mut stopped = stop.subscribe();
        tasks.keep("on-purpose", async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        stop.send(true).unwrap();
        tasks.all_ended().await;
        assert!(seen.borrow().is_none());
    }
}
