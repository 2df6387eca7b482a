//! Compressed RTF of Outlook (MS-OXRTFCP).

use super::UnreadableWhy;
use super::little::Little;

/// What the dictionary holds at first (section 2.1.2.1).
const FIRST: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor \
MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
const WINDOW: usize = 4096;
const COMPRESSED: u32 = 0x7546_5a4c;
const PLAIN: u32 = 0x414c_454d;

/// The RTF inside, at most `limit` bytes. Declared sizes are upper bounds only.
pub(super) fn unpack(bytes: &[u8], limit: u64) -> Result<Vec<u8>, UnreadableWhy> {
    let mut input = Little(bytes);
    let head = (|| Some((input.u32()?, input.size()?, input.u32()?, input.u32()?)))();
    let Some((_, raw_size, kind, _)) = head else { return Err(UnreadableWhy::Damaged) };
    if raw_size as u64 > limit {
        return Err(UnreadableWhy::TooLarge);
    }
    match kind {
        PLAIN => Ok(input.take(raw_size).ok_or(UnreadableWhy::Damaged)?.to_vec()),
        COMPRESSED => decompress(input, raw_size).ok_or(UnreadableWhy::Damaged),
        _ => Err(UnreadableWhy::UnknownFormat),
    }
}

fn decompress(mut input: Little<'_>, raw_size: usize) -> Option<Vec<u8>> {
    let mut window = [0u8; WINDOW];
    window.get_mut(..FIRST.len())?.copy_from_slice(FIRST);
    let mut write = FIRST.len();
    // A reference of two bytes stands for 17 at most, so a declared size is no reason to allocate more.
    let mut out = Vec::with_capacity(raw_size.min(input.0.len().saturating_mul(9)));
    let put = |byte: u8, out: &mut Vec<u8>, window: &mut [u8; WINDOW], write: &mut usize| {
        if let Some(place) = window.get_mut(*write) {
            *place = byte;
        }
        *write = (*write + 1) % WINDOW;
        out.push(byte);
    };
    while out.len() < raw_size {
        let control = input.u8()?;
        for bit in 0..8 {
            if control >> bit & 1 == 0 {
                if out.len() == raw_size {
                    return Some(out);
                }
                put(input.u8()?, &mut out, &mut window, &mut write);
                continue;
            }
            let token = usize::from(u16::from_be_bytes(input.take(2)?.try_into().ok()?));
            let from = token >> 4;
            if from == write {
                // The end marker; writers count the size with or without a last zero.
                return (out.len() + 1 >= raw_size).then_some(out);
            }
            for step in 0..(token & 0xf) + 2 {
                let byte = window.get((from + step) % WINDOW).copied()?;
                put(byte, &mut out, &mut window, &mut write);
            }
            if out.len() > raw_size {
                return None;
            }
        }
    }
    Some(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The two examples of the specification (MS-OXRTFCP, sections 4.1 and 4.2).
    #[test]
    fn the_examples_of_the_specification_unpack() {
        assert_eq!(FIRST.len(), 207);
        let simple = b"\x2d\0\0\0\x2b\0\0\0\x4c\x5a\x46\x75\xf1\xc5\xc7\xa7\x03\0\x0a\0\x72\x63\x70\x67\x31\x32\x35\x42\x32\x0a\
            \xf3\x20\x68\x65\x6c\x09\0\x20\x62\x77\x05\xb0\x6c\x64\x7d\x0a\x80\x0f\xa0";
        assert_eq!(unpack(simple, 1000).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        let overlapping =
            b"\x1a\0\0\0\x1c\0\0\0\x4c\x5a\x46\x75\xe2\xd4\x4b\x51\x41\0\x04\x20\x57\x58\x59\x5a\x0d\x6e\x7d\x01\x0e\xb0";
        assert_eq!(unpack(overlapping, 1000).unwrap(), b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
    }

    #[test]
    fn what_is_cut_or_lies_about_its_size_is_damaged() {
        let simple = b"\x2d\0\0\0\x2b\0\0\0\x4c\x5a\x46\x75\xf1\xc5\xc7\xa7\x03\0\x0a\0\x72\x63\x70\x67\x31\x32\x35\x42\x32\x0a\
            \xf3\x20\x68\x65\x6c\x09\0\x20\x62\x77\x05\xb0\x6c\x64\x7d\x0a\x80\x0f\xa0";
        for end in 0..simple.len() - 4 {
            assert_eq!(unpack(&simple[..end], 1000), Err(UnreadableWhy::Damaged), "{end}");
        }
        let mut huge = simple.to_vec();
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(unpack(&huge, 1 << 20), Err(UnreadableWhy::TooLarge));
        assert_eq!(unpack(&huge, 1 << 40), Err(UnreadableWhy::Damaged));
    }
}
