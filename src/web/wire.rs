use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A connection that ends when nothing moves for a while, and whose library-made error responses carry the security
/// headers like all others.
///
/// The HTTP library answers an unreadable request itself (400, 414, 431) with nothing but a length. Such a response is the
/// first write after a read, is short, and has none of our headers; it gets them here.
pub(super) struct Wire<S> {
    inner: S,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    headers: Vec<u8>,
    /// No write since the last read.
    is_fresh: bool,
    /// A completed response that is not yet with the peer.
    pending: Vec<u8>,
}

/// Status line, date, length and connection: the whole of a response made by the library.
const BARE_RESPONSE_BYTES_MAX: usize = 256;

impl<S> Wire<S> {
    pub fn new(inner: S, idle: Duration, headers: Vec<u8>) -> Wire<S> {
        Wire { inner, idle, deadline: Box::pin(tokio::time::sleep(idle)), headers, is_fresh: true, pending: Vec::new() }
    }

    fn moved(&mut self) {
        let next = Instant::now() + self.idle;
        self.deadline.as_mut().reset(next);
    }

    /// Turns "not yet" into an error once the deadline has passed.
    fn waits<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            match Pin::new(&mut self.inner).poll_write(context, &self.pending) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.pending.drain(..written);
                    self.moved();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.waits(context),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The same response with our headers before its empty line, if it is one the library made on its own.
fn completed(bytes: &[u8], headers: &[u8]) -> Option<Vec<u8>> {
    let front = bytes.strip_suffix(b"\r\n")?;
    let is_bare = bytes.len() <= BARE_RESPONSE_BYTES_MAX
        && bytes.starts_with(b"HTTP/1.")
        && bytes.get(9) == Some(&b'4')
        && front.ends_with(b"\r\n")
        && !bytes.to_ascii_lowercase().windows(15).any(|window| window == b"x-content-type-");
    is_bare.then(|| [front, headers, b"\r\n"].concat())
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.is_fresh = true;
                self.moved();
                Poll::Ready(result)
            }
            Poll::Pending => self.waits(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.drain(context))?;
        if self.is_fresh
            && let Some(response) = completed(bytes, &self.headers)
        {
            self.is_fresh = false;
            self.pending = response;
            return match self.drain(context) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                // Taken over: the rest leaves with the next write, flush or shutdown.
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
            };
        }
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Ready(result) => {
                self.is_fresh = false;
                self.moved();
                Poll::Ready(result)
            }
            Poll::Pending => self.waits(context),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(context))?;
        match Pin::new(&mut self.inner).poll_flush(context) {
            Poll::Pending => self.waits(context),
            done => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(context))?;
        match Pin::new(&mut self.inner).poll_shutdown(context) {
            Poll::Pending => self.waits(context),
            done => done,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_error_response_is_completed() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let done = completed(bare, b"a: b\r\n").unwrap();
        assert!(done.ends_with(b"content-length: 0\r\na: b\r\n\r\n"));
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\nX-Content-Type-Options: nosniff\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"",
            b"\r\n",
            b"text\r\n\r\n",
        ] {
            assert!(completed(other, b"a: b\r\n").is_none());
        }
    }
}
