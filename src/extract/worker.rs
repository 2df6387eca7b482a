//! Frames between the gateway and the child that reads documents. Pure: bytes to values and back.
//!
//! A request is `version, format, depth: u8, parts: u32, bytes: u64, length: u64`, then the file. A reply is
//! `length: u64`, then its body. All numbers are big-endian. The child is not trusted: every number of a reply is checked.

use super::{AttachmentText, Format, Fuel, Picture, TextKind, UnreadableWhy};

const VERSION: u8 = 1;
/// Length of a request's head.
pub const REQUEST_HEAD: usize = 23;
/// Length of a reply's head.
pub const REPLY_HEAD: usize = 8;
/// Largest reply that is read: texts can be as long as the fuel, and a little for the rest.
pub const REPLY_MAX: u64 = 256 << 20;

/// A reply or request that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame is not one of this version")]
pub struct FrameError;

/// The head of a request; the file follows it.
#[must_use]
pub fn request_head(format: Format, fuel: Fuel, length: usize) -> [u8; REQUEST_HEAD] {
    let mut out = [0; REQUEST_HEAD];
    let number = Format::ALL.iter().position(|f| *f == format).unwrap_or_default();
    let parts = [
        &[VERSION][..],
        &[u8::try_from(number).unwrap_or_default()],
        &[fuel.depth],
        &fuel.parts.to_be_bytes(),
        &fuel.bytes.to_be_bytes(),
        &(length as u64).to_be_bytes(),
    ]
    .concat();
    out.copy_from_slice(&parts);
    out
}

/// Reads a request's head: format, fuel and the length of the file.
///
/// # Errors
/// [`FrameError`] for another version or an unknown format.
pub fn parse_request_head(head: &[u8; REQUEST_HEAD]) -> Result<(Format, Fuel, u64), FrameError> {
    let mut frame = Frame(head);
    if frame.byte()? != VERSION {
        return Err(FrameError);
    }
    let format = *Format::ALL.get(usize::from(frame.byte()?)).ok_or(FrameError)?;
    let depth = frame.byte()?;
    let fuel = Fuel { depth, parts: frame.u32()?, bytes: frame.u64()? };
    Ok((format, fuel, frame.u64()?))
}

/// A whole reply, head included.
#[must_use]
pub fn reply(text: &AttachmentText) -> Vec<u8> {
    let mut out = vec![0; REPLY_HEAD];
    let fuel = text.fuel_left.unwrap_or(Fuel { bytes: 0, parts: 0, depth: 0 });
    out.push(fuel.depth);
    out.extend(fuel.parts.to_be_bytes());
    out.extend(fuel.bytes.to_be_bytes());
    count(&mut out, text.unreadable.len());
    for why in &text.unreadable {
        let number = UnreadableWhy::ALL.iter().position(|w| w == why).unwrap_or_default();
        out.push(u8::try_from(number).unwrap_or_default());
    }
    count(&mut out, text.images.len());
    for picture in &text.images {
        out.extend((picture.size_bytes as u64).to_be_bytes());
        out.extend(picture.pixels.map_or(u64::MAX, |pixels| pixels.min(u64::MAX - 1)).to_be_bytes());
        out.extend(picture.sha256);
        out.push(u8::from(picture.is_document));
    }
    count(&mut out, text.texts.len());
    for (kind, content) in &text.texts {
        out.push(u8::from(*kind == TextKind::Name));
        out.extend((content.len() as u64).to_be_bytes());
        out.extend(content.as_bytes());
    }
    let length = (out.len() - REPLY_HEAD) as u64;
    if let Some(head) = out.get_mut(..REPLY_HEAD) {
        head.copy_from_slice(&length.to_be_bytes());
    }
    out
}

/// Reads a reply's body.
///
/// # Errors
/// [`FrameError`] if it is cut, too long, or holds what this version does not know.
pub fn parse_reply(body: &[u8]) -> Result<AttachmentText, FrameError> {
    let mut frame = Frame(body);
    let depth = frame.byte()?;
    let fuel = Fuel { depth, parts: frame.u32()?, bytes: frame.u64()? };
    let mut out = AttachmentText { fuel_left: Some(fuel), ..AttachmentText::default() };
    for _ in 0..frame.u32()? {
        out.unreadable.push(*UnreadableWhy::ALL.get(usize::from(frame.byte()?)).ok_or(FrameError)?);
    }
    for _ in 0..frame.u32()? {
        let size_bytes = usize::try_from(frame.u64()?).map_err(|_| FrameError)?;
        let pixels = Some(frame.u64()?).filter(|pixels| *pixels != u64::MAX);
        let sha256 = frame.take(32)?.try_into().map_err(|_| FrameError)?;
        out.images.push(Picture { size_bytes, pixels, sha256, is_document: frame.byte()? == 1 });
    }
    for _ in 0..frame.u32()? {
        let kind = if frame.byte()? == 1 { TextKind::Name } else { TextKind::Content };
        let length = usize::try_from(frame.u64()?).map_err(|_| FrameError)?;
        out.texts.push((kind, String::from_utf8_lossy(frame.take(length)?).into_owned()));
    }
    if frame.0.is_empty() { Ok(out) } else { Err(FrameError) }
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

/// Bytes not read yet.
struct Frame<'a>(&'a [u8]);

impl<'a> Frame<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FrameError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, FrameError> {
        self.take(1)?.first().copied().ok_or(FrameError)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().map_err(|_| FrameError)?))
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().map_err(|_| FrameError)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn sample() -> AttachmentText {
        AttachmentText {
            texts: vec![(TextKind::Name, "a.txt".into()), (TextKind::Content, "grün".into())],
            unreadable: vec![UnreadableWhy::Encrypted, UnreadableWhy::Damaged],
            images: vec![Picture { size_bytes: 7, pixels: None, sha256: [3; 32], is_document: true }],
            fuel_left: Some(Fuel { bytes: 9, parts: 8, depth: 7 }),
        }
    }

    #[test]
    fn frames_come_back_as_they_went() {
        for format in Format::ALL {
            let fuel = Fuel { bytes: 1 << 40, parts: 70_000, depth: 3 };
            assert_eq!(parse_request_head(&request_head(format, fuel, 12)), Ok((format, fuel, 12)));
        }
        let frame = reply(&sample());
        let (head, body) = frame.split_at(REPLY_HEAD);
        assert_eq!(u64::from_be_bytes(head.try_into().unwrap()), body.len() as u64);
        assert_eq!(parse_reply(body).unwrap(), sample());
    }

    #[test]
    fn a_reply_that_is_cut_or_longer_is_refused() {
        let frame = reply(&sample());
        let body = &frame[REPLY_HEAD..];
        for end in 0..body.len() {
            assert_eq!(parse_reply(&body[..end]), Err(FrameError), "{end}");
        }
        assert_eq!(parse_reply(&[body, &[0]].concat()), Err(FrameError));
        assert_eq!(parse_reply(&[0xff; 64]), Err(FrameError));
    }
}
