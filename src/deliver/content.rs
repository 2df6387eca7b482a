//! Content on its way out: opened piece by piece, lawful lines only.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::mail::BodyId;
use crate::secret::{Context, Key, OpenError, Plaintext, Role, Sealed, open, open_stream};

/// Sealed bodies up to this size are opened whole; larger ones chunk by chunk on a blocking thread.
const WHOLE_OCTETS_MAX: usize = 256 * 1024;

/// Header section, blank line and body of one copy, ready to be written once.
pub struct Content {
    pub size_bytes: u64,
    /// Any octet above 127, so that 8BITMIME is needed.
    pub is_eight_bit: bool,
    pub has_eight_bit_header: bool,
    front: Option<Plaintext>,
    body: Source,
}

enum Source {
    Whole(Option<Plaintext>),
    Chunks(mpsc::Receiver<Result<Plaintext, OpenError>>),
}

impl Content {
    /// Content that is in memory already. `header` is the header section without the blank line.
    #[must_use]
    pub fn whole(header: &[u8], body: Plaintext) -> Content {
        let front = front(header);
        Content {
            size_bytes: (front.len() + body.len()) as u64,
            is_eight_bit: !header.is_ascii() || !body.expose().is_ascii(),
            has_eight_bit_header: !header.is_ascii(),
            front: Some(front),
            body: Source::Whole(Some(body)),
        }
    }

    /// Content whose body is still sealed. At most a few chunks are readable at a time.
    ///
    /// # Errors
    /// [`OpenError`] if the body is not the one that this key sealed.
    pub async fn sealed(header: &[u8], key: Key, id: BodyId, sealed: Arc<Sealed>) -> Result<Content, OpenError> {
        if sealed.0.len() <= WHOLE_OCTETS_MAX {
            let body = open(&key, Context { role: Role::Body, id: id.as_bytes() }, &sealed.0)?;
            return Ok(Content::whole(header, body));
        }
        // A first pass finds the size, whether 8BITMIME is needed, and that all of it is authentic.
        let first = Arc::clone(&sealed);
        let (key, size, is_eight_bit) = tokio::task::spawn_blocking(move || {
            let (mut size, mut is_eight_bit) = (0u64, false);
            open_stream(&key, Context { role: Role::Body, id: id.as_bytes() }, &first.0, |chunk| {
                size += chunk.len() as u64;
                is_eight_bit |= !chunk.is_ascii();
            })
            .map(|()| (key, size, is_eight_bit))
        })
        .await
        .map_err(|_| OpenError::Format)??;
        let (sender, chunks) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            let mut is_wanted = true;
            let end = open_stream(&key, Context { role: Role::Body, id: id.as_bytes() }, &sealed.0, |chunk| {
                is_wanted = is_wanted && sender.blocking_send(Ok(Plaintext::new(chunk.to_vec()))).is_ok();
            });
            if let Err(error) = end {
                // Nobody listens any more only if the attempt is over.
                let _ = sender.blocking_send(Err(error));
            }
        });
        let front = front(header);
        Ok(Content {
            size_bytes: front.len() as u64 + size,
            is_eight_bit: is_eight_bit || !header.is_ascii(),
            has_eight_bit_header: !header.is_ascii(),
            front: Some(front),
            body: Source::Chunks(chunks),
        })
    }

    pub(super) async fn next(&mut self) -> Option<Result<Plaintext, OpenError>> {
        if let Some(front) = self.front.take() {
            return Some(Ok(front));
        }
        match &mut self.body {
            Source::Whole(body) => body.take().map(Ok),
            Source::Chunks(chunks) => chunks.recv().await,
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes)", self.size_bytes)
    }
}

fn front(header: &[u8]) -> Plaintext {
    let mut front = Vec::with_capacity(header.len() + 2);
    front.extend_from_slice(header);
    front.extend_from_slice(b"\r\n");
    Plaintext::new(front)
}

/// A bare CR or LF, or a NUL: what two servers may read differently (SMTP smuggling, CVE-2023-51764 and others).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unlawful;

/// Checks that CR and LF stand only together, over pieces of any size (RFC 5321, section 2.3.8). For chunks, which
/// leave as they are; what goes by DATA is checked where its dots are stuffed.
#[derive(Debug, Default)]
pub struct LineLaw {
    after_cr: bool,
}

impl LineLaw {
    /// # Errors
    /// [`Unlawful`] at the first octet that breaks the law.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), Unlawful> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if self.after_cr {
                if *first != b'\n' {
                    return Err(Unlawful);
                }
                self.after_cr = false;
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let Some(at) = memchr::memchr3(b'\r', b'\n', 0, rest) else { return Ok(()) };
            if rest.get(at) != Some(&b'\r') {
                return Err(Unlawful);
            }
            self.after_cr = true;
            rest = rest.get(at + 1..).unwrap_or_default();
        }
        Ok(())
    }

    /// # Errors
    /// [`Unlawful`] if the content ended in a CR.
    pub fn end(&self) -> Result<(), Unlawful> {
        if self.after_cr { Err(Unlawful) } else { Ok(()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn checked(pieces: &[&[u8]]) -> Result<(), Unlawful> {
        let mut law = LineLaw::default();
        pieces.iter().try_for_each(|piece| law.check(piece))?;
        law.end()
    }

    #[test]
    fn no_bare_line_end_or_nul_ever_leaves_in_a_chunk_however_it_is_cut() {
        let cases: &[(&[u8], bool)] = &[
            (b"a\r\n.\r\n\r\nb", true),
            (b"", true),
            (b"a\nb\r\n", false),
            (b"a\rb\r\n", false),
            (b"\n.\r\n", false),
            (b"\r\r\n", false),
            (b"a\0\r\n", false),
            (b"\r\0", false),
            (b"a\r", false),
        ];
        for (input, is_lawful) in cases {
            for cut in 0..=input.len() {
                let (a, b) = input.split_at(cut);
                assert_eq!(checked(&[a, b]).is_ok(), *is_lawful, "{input:?} cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn a_large_body_comes_out_in_chunks_and_is_the_one_that_went_in() {
        let id = BodyId([3; 16]);
        let body: Vec<u8> = (0..700_000u32)
            .map(|i| {
                if i % 80 == 78 {
                    b'\r'
                } else if i % 80 == 79 {
                    b'\n'
                } else {
                    b'x'
                }
            })
            .collect();
        let sealed = crate::queue::pack::seal_body(&Key::of([5; 32]), crate::secret::Nonce([1; 7]), id, &body);
        let mut content = Content::sealed(b"A: b\r\n", Key::of([5; 32]), id, Arc::new(sealed.clone())).await.unwrap();
        assert_eq!(content.size_bytes, 8 + body.len() as u64);
        assert!(!content.is_eight_bit);
        let mut out = Vec::new();
        while let Some(piece) = content.next().await {
            out.extend_from_slice(piece.unwrap().expose());
        }
        assert_eq!(out[..8], *b"A: b\r\n\r\n");
        assert_eq!(out[8..], body[..]);
        let mut cut = sealed;
        cut.0.truncate(400_000);
        assert!(Content::sealed(b"A: b\r\n", Key::of([5; 32]), id, Arc::new(cut)).await.is_err());
    }
}
