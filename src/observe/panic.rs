//! Panics: counted wherever they happen and told by place. Their text is left out, because it may quote what was being
//! read: a slice cut within a character prints the whole string.

use std::panic::{Location, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::IntCounter;

use super::{Event, log, metrics};

static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// The counter of panics. Where the process watches them all, one that is caught is not counted a second time.
pub struct Panics(pub(super) IntCounter);

impl Panics {
    /// Notes one that was caught.
    pub fn inc(&self) {
        if !IS_WATCHED.load(Ordering::Relaxed) {
            self.0.inc();
        }
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// From here on every panic of the process is counted and logged. Only a test program keeps its text, too.
pub fn watch_panics(keeps_text: bool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            metrics().panics.0.inc();
            let at = if keeps_text && is_on_purpose(info) { "on-purpose".to_owned() } else { place(info.location()) };
            log(&Event::Panicked { at });
            if keeps_text {
                before(info);
            }
        }));
        IS_WATCHED.store(true, Ordering::Relaxed);
    });
}

fn place(location: Option<&Location<'_>>) -> String {
    location.map_or_else(|| "unknown".to_owned(), |location| format!("{}:{}", location.file(), location.line()))
}

/// Tests that need a panic say so in its text.
fn is_on_purpose(info: &PanicHookInfo<'_>) -> bool {
    info.payload_as_str().is_some_and(|text| text.contains("on purpose"))
}
