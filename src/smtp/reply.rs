//! Replies to bytes, and a peer's bytes to a reply (RFC 5321, section 4.2; RFC 2034).

use crate::mail::{EnhancedCode, Reply};

/// Longest line of a peer's reply. RFC 5321 says 512; some servers put addresses of help pages into theirs.
pub const LINE_OCTETS_MAX: usize = 4096;
/// Most lines of a peer's reply; EHLO answers have about twenty.
pub const LINES_MAX: usize = 128;

/// Adds the reply to `out`. What is no printable ASCII becomes `?`, so that a text can never add a line of its own.
pub fn write(reply: &Reply, out: &mut Vec<u8>) {
    let code = reply.code.clamp(200, 599);
    let enhanced = reply.enhanced.map(|code| format!("{code} ")).unwrap_or_default();
    let last = reply.lines.len().saturating_sub(1);
    let none = [String::new()];
    let lines: &[String] = if reply.lines.is_empty() { &none } else { &reply.lines };
    for (at, line) in lines.iter().enumerate() {
        out.extend_from_slice(code.to_string().as_bytes());
        out.push(if at == last { b' ' } else { b'-' });
        out.extend_from_slice(enhanced.as_bytes());
        out.extend(line.chars().map(|c| if matches!(c, ' '..='~') { c as u8 } else { b'?' }));
        out.extend_from_slice(b"\r\n");
    }
}

/// Why a peer's octets are no reply: the connection is then to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    #[error("the reply is not as RFC 5321 writes it")]
    Syntax,
    #[error("a line of the reply is too long")]
    LineTooLong,
    #[error("the reply has too many lines")]
    TooManyLines,
}

/// Collects one reply of a peer, line by line.
#[derive(Default)]
pub struct ReplyReader {
    code: Option<u16>,
    enhanced: Option<EnhancedCode>,
    lines: Vec<String>,
}

impl ReplyReader {
    #[must_use]
    pub fn new() -> ReplyReader {
        ReplyReader::default()
    }

    /// Takes whole lines from the front of `input`: how many octets were used, and the reply once its last line
    /// is there. What is left belongs to the next reply (or, before TLS, to an attacker).
    ///
    /// # Errors
    /// [`ReplyFault`].
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), ReplyFault> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let Some(end) = memchr::memchr(b'\n', rest) else {
                return if rest.len() > LINE_OCTETS_MAX { Err(ReplyFault::LineTooLong) } else { Ok((used, None)) };
            };
            if end > LINE_OCTETS_MAX {
                return Err(ReplyFault::LineTooLong);
            }
            let line = rest.get(..=end).unwrap_or_default();
            used += line.len();
            if self.line(super::command::whole_line(line).map_err(|_| ReplyFault::Syntax)?)? {
                let done = std::mem::take(self);
                let reply = Reply { code: done.code.unwrap_or_default(), enhanced: done.enhanced, lines: done.lines };
                return Ok((used, Some(reply)));
            }
        }
    }

    /// One line; true for the last.
    fn line(&mut self, line: &[u8]) -> Result<bool, ReplyFault> {
        let (digits, rest) = line.split_first_chunk::<3>().ok_or(ReplyFault::Syntax)?;
        let code = match digits {
            [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
            }
            _ => return Err(ReplyFault::Syntax),
        };
        if *self.code.get_or_insert(code) != code {
            return Err(ReplyFault::Syntax);
        }
        if self.lines.len() >= LINES_MAX {
            return Err(ReplyFault::TooManyLines);
        }
        let (is_last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(ReplyFault::Syntax),
        };
        let text = String::from_utf8_lossy(text);
        match enhanced(code, &text) {
            Some((enhanced, text)) => {
                self.enhanced.get_or_insert(enhanced);
                self.lines.push(text.to_owned());
            }
            None => self.lines.push(text.into_owned()),
        }
        Ok(is_last)
    }
}

/// The enhanced code at the start of a text, if its class is that of the reply (RFC 2034, section 4).
fn enhanced(code: u16, text: &str) -> Option<(EnhancedCode, &str)> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut numbers = word.split('.');
    let mut number = |digits_max: usize| {
        let part = numbers.next()?;
        let is_number = (1..=digits_max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if is_number { part.parse::<u16>().ok() } else { None }
    };
    let (class, subject, detail) = (number(1)?, number(3)?, number(3)?);
    let class = u8::try_from(class).ok()?;
    (numbers.next().is_none() && matches!(class, 2 | 4 | 5) && u16::from(class) == code / 100)
        .then_some((EnhancedCode(class, subject, detail), rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn bytes(reply: &Reply) -> String {
        let mut out = Vec::new();
        write(reply, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reply_is_written_line_by_line_and_its_text_cannot_break_out() {
        assert_eq!(bytes(&Reply::new(250, EnhancedCode(2, 0, 0), "Ok")), "250 2.0.0 Ok\r\n");
        let many = Reply { code: 250, enhanced: None, lines: vec!["gate".into(), "SIZE 5".into()] };
        assert_eq!(bytes(&many), "250-gate\r\n250 SIZE 5\r\n");
        assert_eq!(bytes(&Reply::plain(250, "a\r\n250 b\u{e9}\0")), "250 a??250 b??\r\n");
        assert_eq!(bytes(&Reply { code: 354, enhanced: None, lines: vec![] }), "354 \r\n");
    }

    #[test]
    fn a_written_reply_reads_back_however_it_is_cut() {
        for reply in [
            Reply::new(550, EnhancedCode(5, 7, 1), "No"),
            Reply { code: 250, enhanced: Some(EnhancedCode(2, 1, 5)), lines: vec!["a".into(), "b".into(), String::new()] },
            Reply { code: 250, enhanced: None, lines: vec!["gate.example".into(), "PIPELINING".into()] },
        ] {
            let wire = [bytes(&reply).as_bytes(), b"220 next"].concat();
            for step in 1..=wire.len() {
                let (mut reader, mut pending, mut got) = (ReplyReader::new(), Vec::new(), None);
                for piece in wire.chunks(step) {
                    pending.extend_from_slice(piece);
                    if got.is_none() {
                        let (used, reply) = reader.feed(&pending).unwrap();
                        pending.drain(..used);
                        got = reply;
                    }
                }
                assert!(got.as_ref() == Some(&reply), "step {step}");
                assert_eq!(pending, b"220 next");
            }
        }
    }

    #[test]
    fn strange_replies_are_faults() {
        for wire in [
            &b"250 a\n"[..],
            b"25 a\r\n",
            b"650 a\r\n",
            b"150 a\r\n",
            b"2500 a\r\n",
            b"250-a\r\n251 b\r\n",
            b"250+a\r\n",
            b"250 a\rb\r\n",
            b"\r\n",
        ] {
            assert_eq!(ReplyReader::new().feed(wire).err(), Some(ReplyFault::Syntax), "{wire:?}");
        }
        assert_eq!(ReplyReader::new().feed(&vec![b'2'; LINE_OCTETS_MAX + 1]).err(), Some(ReplyFault::LineTooLong));
        let many = "250-x\r\n".repeat(LINES_MAX + 1);
        assert_eq!(ReplyReader::new().feed(many.as_bytes()).err(), Some(ReplyFault::TooManyLines));
        let (_, bare) = ReplyReader::new().feed(b"250\r\n").unwrap();
        assert_eq!(bare.unwrap().lines, [""]);
        let (_, other_class) = ReplyReader::new().feed(b"250 5.1.1 x\r\n").unwrap();
        assert_eq!(other_class.unwrap().enhanced, None);
    }
}
