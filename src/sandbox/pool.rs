//! The parent: keeps a few children ready, gives each one document and a deadline.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use super::{Protection, WORKER_ARGUMENT};
use crate::extract::worker::{self, REPLY_HEAD, REPLY_MAX};
use crate::extract::{AttachmentText, Format, Fuel, ReadAttachment, UnreadableWhy};

#[derive(Clone, Debug)]
pub struct Settings {
    /// The program to start, and its arguments: our own as [`WORKER_ARGUMENT`].
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Documents read at the same time; a further one waits.
    pub children: usize,
    /// Wall time for one document.
    pub deadline: Duration,
    /// A `tesseract` that reads the text on pictures.
    pub ocr: Option<PathBuf>,
}

impl Settings {
    /// Our own program, as many children as processors (at least two), ten seconds a document.
    ///
    /// # Errors
    /// If the system does not tell where the program is.
    pub fn own() -> io::Result<Settings> {
        let children = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        Ok(Settings {
            program: std::env::current_exe()?,
            arguments: vec![WORKER_ARGUMENT.to_owned()],
            children,
            deadline: Duration::from_secs(10),
            ocr: None,
        })
    }
}

/// Children that wait for a document. Dropping the pool ends them.
pub struct Pool {
    settings: Settings,
    protection: Protection,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    ready: Vec<Worker>,
    busy: usize,
}

/// A child that said hello.
struct Worker {
    child: Reaped,
    input: ChildStdin,
    output: ChildStdout,
    protection: Protection,
}

/// A child that is dropped is ended and waited for, so none stays behind.
pub(super) struct Reaped(pub(super) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does `work`; if that takes longer than `deadline`, kills the child, which ends the work: its pipes close.
/// Says whether it came to that.
pub(super) fn under_deadline<T>(child: &mut Reaped, deadline: Duration, work: impl FnOnce() -> T) -> (bool, T) {
    let timed_out = &AtomicBool::new(false);
    let (done, waiting) = mpsc::channel::<()>();
    let result = std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
                timed_out.store(true, Ordering::Relaxed);
                let _ = child.0.kill();
            }
        });
        let result = work();
        drop(done);
        result
    });
    (timed_out.load(Ordering::Relaxed), result)
}

impl Pool {
    /// Starts the first child and learns which walls this kernel gives.
    ///
    /// # Errors
    /// If no child can be started or it does not say hello within the deadline.
    pub fn start(settings: Settings) -> io::Result<Pool> {
        let first = Worker::start(&settings)?;
        let protection = first.protection;
        let state = Mutex::new(State { ready: vec![first], busy: 0 });
        Ok(Pool { settings, protection, state, freed: Condvar::new() })
    }

    /// The walls around the children. Where one is missing, say so at start: limits on memory, CPU and files remain.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.protection
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is two counters that are right after every statement, so a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot.
    fn slot(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while state.busy >= self.settings.children.max(1) {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy += 1;
        state
    }

    /// Waits for a slot, then takes a child that is ready or starts one.
    fn take(&self) -> io::Result<Worker> {
        let mut state = self.slot();
        let ready = state.ready.pop();
        drop(state);
        match ready {
            Some(worker) => Ok(worker),
            None => Worker::start(&self.settings).inspect_err(|_| self.release(None)),
        }
    }

    fn release(&self, next: Option<Worker>) {
        let mut state = self.state();
        state.busy = state.busy.saturating_sub(1);
        state.ready.extend(next);
        drop(state);
        self.freed.notify_one();
    }
}

impl ReadAttachment for Pool {
    fn read(&self, format: Format, bytes: &[u8], fuel: Fuel) -> AttachmentText {
        let Ok(worker) = self.take() else { return AttachmentText::unreadable(UnreadableWhy::Crashed) };
        let mut text = worker.read(format, bytes, fuel, self.settings.deadline);
        // The child's word on the fuel it left is not trusted further than that it is less.
        text.fuel_left = text.fuel_left.map(|left| Fuel {
            bytes: left.bytes.min(fuel.bytes),
            parts: left.parts.min(fuel.parts),
            depth: fuel.depth,
        });
        // The next child starts now, so that the next document does not wait for it.
        self.release(Worker::start(&self.settings).ok());
        text
    }

    fn recognise(&self, picture: &[u8]) -> Option<String> {
        let tesseract = self.settings.ocr.as_deref()?;
        drop(self.slot());
        let text = super::ocr::recognise(&self.settings.program, tesseract, picture);
        self.release(None);
        text
    }
}

impl Worker {
    fn start(settings: &Settings) -> io::Result<Worker> {
        let child = Command::new(&settings.program)
            .args(&settings.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut child = Reaped(child);
        let missing = || io::Error::other("the child has no pipes");
        let input = child.0.stdin.take().ok_or_else(missing)?;
        let mut output = child.0.stdout.take().ok_or_else(missing)?;
        let mut hello = [0];
        let (timed_out, said) = under_deadline(&mut child, settings.deadline, || output.read_exact(&mut hello));
        said?;
        let protection = Protection::from_byte(hello[0]).filter(|_| !timed_out);
        let protection = protection.ok_or_else(|| io::Error::other("the program is no reader of documents"))?;
        Ok(Worker { child, input, output, protection })
    }

    /// Hands one document over; the child is ended afterwards in any case.
    fn read(self, format: Format, bytes: &[u8], fuel: Fuel, deadline: Duration) -> AttachmentText {
        let Worker { mut child, mut input, mut output, .. } = self;
        let (timed_out, reply) = under_deadline(&mut child, deadline, || {
            std::thread::scope(|scope| {
                // Writing stands beside reading: a child that answers before it has read all must not block us.
                scope.spawn(move || {
                    let head = worker::request_head(format, fuel, bytes.len());
                    // A child that ends early is seen by the reader.
                    let _ = input.write_all(&head).and_then(|()| input.write_all(bytes)).and_then(|()| input.flush());
                });
                reply(&mut output)
            })
        });
        drop(child);
        match (timed_out, reply) {
            (true, _) => AttachmentText::unreadable(UnreadableWhy::Timeout),
            (false, Ok(text)) => text,
            (false, Err(_)) => AttachmentText::unreadable(UnreadableWhy::Crashed),
        }
    }
}

fn reply(output: &mut ChildStdout) -> io::Result<AttachmentText> {
    let mut head = [0; REPLY_HEAD];
    output.read_exact(&mut head)?;
    let length = u64::from_be_bytes(head);
    if length > REPLY_MAX {
        return Err(io::Error::other("the reply is too long"));
    }
    let mut body = Vec::new();
    output.take(length).read_to_end(&mut body)?;
    worker::parse_reply(&body).map_err(io::Error::other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// A pool whose children are a shell script that says hello first.
    fn pool(script: &str, deadline_ms: u64) -> Pool {
        let script = format!("printf '\\200'; {script}");
        let settings = Settings {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script],
            children: 1,
            deadline: Duration::from_millis(deadline_ms),
            ocr: None,
        };
        Pool::start(settings).unwrap()
    }

    fn why(pool: &Pool, bytes: &[u8]) -> Vec<UnreadableWhy> {
        pool.read(Format::Pdf, bytes, Fuel::default()).unreadable
    }

    #[test]
    fn a_child_that_crashes_makes_the_document_unreadable_and_the_next_one_is_read_by_another() {
        let pool = pool("exit 1", 10_000);
        assert_eq!(why(&pool, b"x"), [UnreadableWhy::Crashed]);
        assert_eq!(why(&pool, &vec![0; 1 << 20]), [UnreadableWhy::Crashed]);
    }

    #[test]
    fn a_child_that_does_not_answer_is_killed() {
        let pool = pool("exec sleep 1000", 300);
        assert_eq!(why(&pool, b"x"), [UnreadableWhy::Timeout]);
        // One that neither reads nor answers cannot hold up the writer either.
        assert_eq!(why(&pool, &vec![0; 1 << 20]), [UnreadableWhy::Timeout]);
    }

    #[test]
    fn a_reply_that_is_no_frame_is_a_crash() {
        for script in [
            "printf '\\377\\377\\377\\377\\377\\377\\377\\377'",
            "printf '\\0\\0\\0\\0\\0\\0\\0\\2ab'",
            "echo hello world, hello",
        ] {
            assert_eq!(why(&pool(script, 10_000), b"x"), [UnreadableWhy::Crashed], "{script}");
        }
    }

    #[test]
    fn a_program_that_is_no_reader_is_refused_at_start() {
        for (program, argument) in [("/bin/false", ""), ("/bin/echo", "hello"), ("/nonexistent/program", "")] {
            let settings = Settings {
                program: program.into(),
                arguments: vec![argument.into()],
                children: 1,
                deadline: Duration::from_secs(10),
                ocr: None,
            };
            assert!(Pool::start(settings).is_err(), "{program}");
        }
    }
}
