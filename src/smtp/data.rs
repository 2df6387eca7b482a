//! The octets of DATA and BDAT, in and out.
//!
//! In: only CRLF.CRLF ends DATA. A bare CR, a bare LF or NUL is a fault, and the message is read to its true end
//! all the same, so that nothing inside it is ever taken for a command. Out: [`DataWriter`] cannot write one.

/// Longest line of a message, its CRLF not counted. Some senders write whole HTML pages as one line, so the
/// 1000 octets of RFC 5321, section 4.5.3.1.6 would refuse real mail.
pub const LINE_OCTETS_MAX: usize = 64 * 1024;

/// Why a message is refused although its end was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFault {
    /// A CR or LF alone, or NUL.
    BareLineEnd,
    LineTooLong,
    TooLarge,
    /// The caller has no memory for it now.
    NoMemory,
}

/// What [`ContentReader::feed`] did with its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Octets that belonged to the message or its end.
    pub consumed: usize,
    /// The end was among them.
    pub done: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    /// A dot at the start of a line.
    Dot,
    /// A dot at the start of a line, then CR.
    DotCr,
    Text,
    Cr,
}

/// Reads one message out of what the client sends.
pub struct ContentReader {
    at: At,
    /// DATA stuffs dots and ends by one; chunks do neither.
    has_dots: bool,
    size_max: u64,
    size: u64,
    line: usize,
    fault: Option<ContentFault>,
}

impl ContentReader {
    /// For DATA (RFC 5321, section 4.5.2).
    #[must_use]
    pub fn data(size_max: u64) -> ContentReader {
        ContentReader { at: At::LineStart, has_dots: true, size_max, size: 0, line: 0, fault: None }
    }

    /// For the chunks of one message (RFC 3030); line ends may be split between chunks.
    #[must_use]
    pub fn chunks(size_max: u64) -> ContentReader {
        ContentReader { has_dots: false, ..ContentReader::data(size_max) }
    }

    #[must_use]
    pub fn fault(&self) -> Option<ContentFault> {
        self.fault
    }

    /// Gives up storing for a reason of the caller's; reading goes on to the end.
    pub fn refuse(&mut self, fault: ContentFault) {
        self.fault.get_or_insert(fault);
    }

    /// Takes octets. At most `input.len() + 2` are added to `content`; after a fault it is emptied and nothing is stored.
    pub fn feed(&mut self, input: &[u8], content: &mut Vec<u8>) -> Fed {
        let mut p = 0;
        while let Some(&byte) = input.get(p) {
            match self.at {
                At::LineStart if byte == b'.' && self.has_dots => {
                    self.at = At::Dot;
                    p += 1;
                }
                At::LineStart => self.at = At::Text,
                At::Dot if byte == b'\r' => {
                    self.at = At::DotCr;
                    p += 1;
                }
                // The dot was stuffing; whatever follows is text, also `.` and LF.
                At::Dot => self.at = At::Text,
                At::DotCr if byte == b'\n' => return self.fed(p + 1, true, content),
                At::Cr if byte == b'\n' => {
                    self.store(b"\r\n", content);
                    self.line = 0;
                    self.at = At::LineStart;
                    p += 1;
                }
                At::DotCr | At::Cr => {
                    self.refuse(ContentFault::BareLineEnd);
                    self.at = At::Text;
                }
                At::Text => p = self.text(input, p, content),
            }
        }
        self.fed(p, false, content)
    }

    /// The end of the last chunk. A message that does not end with CRLF gets one: all that is kept is whole lines.
    pub fn finish_chunks(&mut self, content: &mut Vec<u8>) {
        match self.at {
            At::LineStart => {}
            At::Text => self.store(b"\r\n", content),
            At::Cr | At::Dot | At::DotCr => self.refuse(ContentFault::BareLineEnd),
        }
        self.fed(0, true, content);
    }

    /// From `start` to the next place that needs a look at what precedes it: a line end before a dot, or the end
    /// of the input. Runs of whole lines are found and copied at once.
    fn text(&mut self, input: &[u8], start: usize, content: &mut Vec<u8>) -> usize {
        let mut p = start;
        let mut line_start = start;
        let end = loop {
            let Some(found) = memchr::memchr3(b'\r', b'\n', 0, input.get(p..).unwrap_or_default()) else {
                p = input.len();
                self.at = At::Text;
                break p;
            };
            let at = p + found;
            match (input.get(at), input.get(at + 1)) {
                (Some(b'\r'), Some(b'\n')) => {
                    self.end_of_line(at - line_start);
                    p = at + 2;
                    line_start = p;
                    // Chunks know no dots, and a line that starts with none needs no look.
                    if input.get(p).is_none_or(|next| self.has_dots && *next == b'.') {
                        self.at = At::LineStart;
                        break p;
                    }
                }
                (Some(b'\r'), None) => {
                    self.line += at - line_start;
                    self.check_line();
                    self.at = At::Cr;
                    self.store(input.get(start..at).unwrap_or_default(), content);
                    return at + 1;
                }
                _ => {
                    // A bare LF is never the start of a line.
                    self.refuse(ContentFault::BareLineEnd);
                    p = at + 1;
                }
            }
        };
        self.line += end - line_start;
        self.check_line();
        self.store(input.get(start..end).unwrap_or_default(), content);
        end
    }

    fn end_of_line(&mut self, octets: usize) {
        self.line += octets;
        self.check_line();
        self.line = 0;
    }

    fn check_line(&mut self) {
        if self.line > LINE_OCTETS_MAX {
            self.refuse(ContentFault::LineTooLong);
        }
    }

    fn store(&mut self, octets: &[u8], content: &mut Vec<u8>) {
        self.size = self.size.saturating_add(octets.len() as u64);
        if self.size > self.size_max {
            self.refuse(ContentFault::TooLarge);
        }
        if self.fault.is_none() {
            content.extend_from_slice(octets);
        }
    }

    fn fed(&self, consumed: usize, done: bool, content: &mut Vec<u8>) -> Fed {
        if self.fault.is_some() && !content.is_empty() {
            // What was read may be somebody's findings: it is wiped, not only forgotten.
            zeroize::Zeroize::zeroize(content);
        }
        Fed { consumed, done }
    }
}

/// The content has a bare CR, a bare LF or NUL and must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has a CR or LF alone, or NUL")]
pub struct BareLineEnd;

/// Writes a message for DATA, piece by piece: stuffs dots and ends with CRLF.CRLF.
pub struct DataWriter {
    at: At,
}

impl Default for DataWriter {
    fn default() -> DataWriter {
        DataWriter::new()
    }
}

impl DataWriter {
    #[must_use]
    pub fn new() -> DataWriter {
        DataWriter { at: At::LineStart }
    }

    /// Adds the piece to `out`, dots stuffed. Pieces may be split anywhere.
    ///
    /// # Errors
    /// [`BareLineEnd`]: then what was added is to be thrown away and the connection to be closed, never ended with a dot.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        let mut rest = piece;
        out.reserve(piece.len() + piece.len() / 64 + 2);
        while let Some(&first) = rest.first() {
            match self.at {
                At::Cr if first == b'\n' => {
                    out.extend_from_slice(b"\r\n");
                    rest = rest.get(1..).unwrap_or_default();
                    self.at = At::LineStart;
                    continue;
                }
                At::Cr | At::DotCr => return Err(BareLineEnd),
                At::LineStart if first == b'.' => out.push(b'.'),
                At::LineStart | At::Dot | At::Text => {}
            }
            let mut p = 0;
            self.at = loop {
                let Some(found) = memchr::memchr3(b'\r', b'\n', 0, rest.get(p..).unwrap_or_default()) else {
                    p = rest.len();
                    break At::Text;
                };
                let at = p + found;
                match (rest.get(at), rest.get(at + 1)) {
                    (Some(b'\r'), Some(b'\n')) => {
                        p = at + 2;
                        if rest.get(p).is_none_or(|next| *next == b'.') {
                            break At::LineStart;
                        }
                    }
                    (Some(b'\r'), None) => {
                        // Kept back until the LF is there.
                        out.extend_from_slice(rest.get(..at).unwrap_or_default());
                        self.at = At::Cr;
                        return Ok(());
                    }
                    _ => return Err(BareLineEnd),
                }
            };
            let (run, behind) = rest.split_at_checked(p).unwrap_or((rest, &[]));
            out.extend_from_slice(run);
            rest = behind;
        }
        Ok(())
    }

    /// Ends the message: `.CRLF`, with a CRLF before it only if the last line has none.
    ///
    /// # Errors
    /// [`BareLineEnd`] if the content ends with a bare CR.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        match self.at {
            At::LineStart => out.extend_from_slice(b".\r\n"),
            At::Text | At::Dot => out.extend_from_slice(b"\r\n.\r\n"),
            At::Cr | At::DotCr => return Err(BareLineEnd),
        }
        Ok(())
    }
}

/// Whether content may be sent in chunks as it is: every CR and LF is part of a CRLF, there is no NUL, and the
/// last line is ended.
#[must_use]
pub fn is_whole_lines(content: &[u8]) -> bool {
    let mut writer = DataWriter::new();
    let mut scratch = Vec::new();
    content.chunks(64 * 1024).all(|piece| {
        scratch.clear();
        writer.push(piece, &mut scratch).is_ok()
    }) && writer.at == At::LineStart
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
#[path = "data_tests.rs"]
mod tests;
