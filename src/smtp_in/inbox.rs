use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::secret::Plaintext;
use crate::smtp::{ContentFault, ContentReader, Fed};

/// First room for a message whose size nobody declared.
const ROOM_BYTES: usize = 16 * 1024;
/// About what one read brings.
const READ_BYTES: usize = 64 * 1024;
/// Most that is reserved on a client's word alone.
const DECLARED_BYTES_MAX: usize = 1 << 20;

/// One message on its way into memory. Room is taken from the common budget before it is used; when there is none
/// the message is read to its end without being kept.
pub(super) struct Inbox {
    reader: ContentReader,
    content: Zeroizing<Vec<u8>>,
    memory: Arc<Semaphore>,
    room: Option<OwnedSemaphorePermit>,
}

impl Inbox {
    /// `None` if the budget has no room for the message now.
    pub(super) fn open(reader: ContentReader, declared: Option<u64>, memory: &Arc<Semaphore>) -> Option<Inbox> {
        let declared = usize::try_from(declared.unwrap_or(0)).unwrap_or(usize::MAX);
        if declared > memory.available_permits() {
            return None;
        }
        let mut inbox = Inbox { reader, content: Zeroizing::default(), memory: Arc::clone(memory), room: None };
        // A piece that just fits must not double the room: some is left for the size of one read.
        let room = declared.saturating_add(declared.min(READ_BYTES)).clamp(ROOM_BYTES, DECLARED_BYTES_MAX);
        (inbox.grow(room) || inbox.grow(ROOM_BYTES)).then_some(inbox)
    }

    pub(super) fn feed(&mut self, input: &[u8]) -> Fed {
        // The reader adds at most two octets of its own.
        let needed = self.content.len() + input.len() + 2;
        if needed > self.content.capacity()
            && self.reader.fault().is_none()
            && !self.grow(needed.max(self.content.capacity() * 2))
            && !self.grow(needed)
        {
            self.reader.refuse(ContentFault::NoMemory);
        }
        let fed = self.reader.feed(input, &mut self.content);
        self.release_if_refused();
        fed
    }

    pub(super) fn finish_chunks(&mut self) {
        self.reader.finish_chunks(&mut self.content);
        self.release_if_refused();
    }

    pub(super) fn fault(&self) -> Option<ContentFault> {
        self.reader.fault()
    }

    /// The whole message, and its room, which is to be kept as long as the message is in memory.
    pub(super) fn close(mut self) -> (Plaintext, Option<OwnedSemaphorePermit>) {
        (Plaintext::new(std::mem::take(&mut *self.content)), self.room.take())
    }

    /// Moves the content into a larger place; the old one is wiped, which growing a `Vec` would not do.
    fn grow(&mut self, capacity: usize) -> bool {
        let more = capacity.saturating_sub(self.content.capacity());
        let Ok(permits) = u32::try_from(more) else { return false };
        let Ok(permit) = Arc::clone(&self.memory).try_acquire_many_owned(permits) else { return false };
        match &mut self.room {
            Some(room) => room.merge(permit),
            None => self.room = Some(permit),
        }
        let mut larger = Vec::with_capacity(capacity);
        larger.extend_from_slice(&self.content);
        self.content = Zeroizing::new(larger);
        true
    }

    fn release_if_refused(&mut self) {
        if self.reader.fault().is_some() && self.room.is_some() {
            self.content = Zeroizing::default();
            self.room = None;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_as_a_message_grows_and_given_back() {
        let memory = Arc::new(Semaphore::new(100_000));
        let mut inbox = Inbox::open(ContentReader::data(1 << 20), None, &memory).unwrap();
        for _ in 0..600 {
            inbox.feed(&[&[b'x'; 78][..], b"\r\n"].concat());
        }
        assert!(inbox.feed(b".\r\n").done);
        assert!(memory.available_permits() <= 52_000);
        let (content, room) = inbox.close();
        assert_eq!(content.len(), 48_000);
        drop(room);
        assert_eq!(memory.available_permits(), 100_000);
    }

    #[test]
    fn without_memory_a_message_is_read_to_its_end_and_not_kept() {
        let memory = Arc::new(Semaphore::new(20_000));
        let mut inbox = Inbox::open(ContentReader::data(1 << 20), None, &memory).unwrap();
        for _ in 0..600 {
            inbox.feed(&[&[b'x'; 78][..], b"\r\n"].concat());
        }
        assert_eq!(inbox.fault(), Some(ContentFault::NoMemory));
        assert_eq!(memory.available_permits(), 20_000, "room of a refused message is given back at once");
        let fed = inbox.feed(b".\r\nQUIT\r\n");
        assert_eq!((fed.done, fed.consumed), (true, 3));
        assert!(Inbox::open(ContentReader::data(1 << 20), Some(20_001), &memory).is_none());
        let _room = Arc::clone(&memory).try_acquire_many_owned(10_000).unwrap();
        assert!(Inbox::open(ContentReader::data(1 << 20), None, &memory).is_none());
    }
}
