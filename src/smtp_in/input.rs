//! What a connection reads into, and how fast it must fill.

use std::time::{Duration, Instant};

use zeroize::{Zeroize, Zeroizing};

use super::Settings;

/// Read buffer of a connection that has said little yet.
const BUFFER_BYTES: usize = 2 * 1024;

/// Whether a client sends its message fast enough, window by window.
pub(super) struct Pace {
    window: Duration,
    bytes_min: u64,
    since: Instant,
    bytes: u64,
    /// The server stops: the message has only the grace that is left.
    pub(super) is_stopping: bool,
}

impl Pace {
    pub(super) fn new(settings: &Settings) -> Pace {
        let limits = &settings.limits;
        Pace { window: limits.rate_window, bytes_min: limits.rate_bytes_min, since: Instant::now(), bytes: 0, is_stopping: false }
    }

    pub(super) fn left(&self) -> Duration {
        self.window.saturating_sub(self.since.elapsed())
    }

    pub(super) fn took(&mut self, octets: usize) {
        self.bytes = self.bytes.saturating_add(octets as u64);
    }

    pub(super) fn holds(&self) -> bool {
        self.bytes >= self.bytes_min
    }

    pub(super) fn next_window(&mut self) {
        self.since = Instant::now();
        self.bytes = 0;
    }
}

/// The one read buffer: small for a client that says little, larger while it sends. Wiped on drop and when it moves.
pub(super) struct Input {
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    /// The last read took all the space there was, so more is likely to be waiting.
    was_filled: bool,
}

impl Input {
    pub(super) fn new() -> Input {
        Input { buffer: Zeroizing::default(), start: 0, end: 0, was_filled: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn front(&self, octets: usize) -> &[u8] {
        self.pending().get(..octets).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, octets: usize) {
        self.start = (self.start + octets).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    pub(super) fn filled(&mut self, octets: usize) {
        self.end = (self.end + octets).min(self.buffer.len());
        self.was_filled = self.end == self.buffer.len();
    }

    pub(super) fn is_large(&self) -> bool {
        self.buffer.len() > BUFFER_BYTES && self.is_empty()
    }

    /// Wipes what is left of earlier messages and gives the room back.
    pub(super) fn rest(&mut self) {
        if self.is_empty() {
            *self = Input::new();
        }
    }

    /// Where the next octets go. A buffer that the last read filled is doubled, up to `bytes_max`, or further if a
    /// line that began in it needs it; one left over from a large message is given back.
    pub(super) fn space(&mut self, bytes_max: usize) -> &mut [u8] {
        let pending = self.end - self.start;
        let length = self.buffer.len();
        let wanted = if length == 0 {
            BUFFER_BYTES
        } else if pending >= length || (self.was_filled && length < bytes_max) {
            (length * 2).min(bytes_max.max(pending * 2))
        } else if length > bytes_max && pending <= bytes_max / 2 {
            bytes_max
        } else {
            length
        };
        if wanted != length {
            let mut moved = vec![0; wanted];
            if let (Some(to), Some(from)) = (moved.get_mut(..pending), self.buffer.get(self.start..self.end)) {
                to.copy_from_slice(from);
            }
            self.buffer.zeroize();
            self.buffer = Zeroizing::new(moved);
            (self.start, self.end) = (0, pending);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, pending);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// Puts the octets in, as reads would.
    fn read(input: &mut Input, octets: &[u8], bytes_max: usize) {
        let mut rest = octets;
        while !rest.is_empty() {
            let space = input.space(bytes_max);
            assert!(!space.is_empty(), "no space left");
            let now = space.len().min(rest.len());
            space[..now].copy_from_slice(&rest[..now]);
            input.filled(now);
            rest = &rest[now..];
        }
    }

    #[test]
    fn octets_come_out_as_they_went_in_while_the_buffer_moves() {
        let octets: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        let (mut input, mut got) = (Input::new(), Vec::new());
        for (at, piece) in octets.chunks(777).enumerate() {
            read(&mut input, piece, 16 * 1024);
            let taken = input.pending().len() * (at % 4) / 3;
            got.extend_from_slice(input.front(taken));
            input.consume(taken);
        }
        got.extend_from_slice(input.pending());
        assert!(got == octets);
    }

    #[test]
    fn the_buffer_is_small_at_first_grows_with_use_and_is_given_back() {
        let mut input = Input::new();
        assert_eq!(input.buffer.len(), 0);
        read(&mut input, b"NOOP\r\n", 16 * 1024);
        assert_eq!(input.buffer.len(), BUFFER_BYTES);
        read(&mut input, &[b'x'; 60_000], 64 * 1024);
        assert_eq!(input.buffer.len(), 64 * 1024);
        input.consume(usize::MAX);
        assert_eq!(input.space(16 * 1024).len(), 16 * 1024);
        assert!(input.is_large());
        input.rest();
        assert!(!input.is_large() && input.space(16 * 1024).len() == BUFFER_BYTES);
    }
}
