use super::Picture;

/// A picture's facts. The hash recognises a logo seen before.
pub(super) fn picture(bytes: &[u8]) -> Picture {
    Picture { size_bytes: bytes.len(), pixels: pixels(bytes), sha256: sha256(bytes), is_document: false }
}

/// Pages without text.
pub(super) fn pages(bytes: &[u8]) -> Picture {
    Picture { size_bytes: bytes.len(), pixels: None, sha256: sha256(bytes), is_document: true }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

fn pixels(bytes: &[u8]) -> Option<u64> {
    let big = |at: usize, n: usize| Some(bytes.get(at..at + n)?.iter().fold(0u64, |v, b| v << 8 | u64::from(*b)));
    let little = |at: usize, n: usize| Some(bytes.get(at..at + n)?.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b)));
    if bytes.starts_with(b"\x89PNG") {
        return big(16, 4)?.checked_mul(big(20, 4)?);
    }
    if bytes.starts_with(b"GIF8") {
        return little(6, 2)?.checked_mul(little(8, 2)?);
    }
    if bytes.starts_with(b"BM") {
        return little(18, 4)?.checked_mul(little(22, 4)?);
    }
    if bytes.starts_with(b"\xff\xd8") {
        return jpeg(bytes);
    }
    None
}

/// Walks the segments of a JPEG to its frame header (ITU T.81, B.2.2).
fn jpeg(bytes: &[u8]) -> Option<u64> {
    let mut at = 2;
    for _ in 0..256 {
        let [marker, kind, high, low] = *bytes.get(at..at + 4)? else { return None };
        if marker != 0xff {
            return None;
        }
        let is_frame = matches!(kind, 0xc0..=0xcf) && !matches!(kind, 0xc4 | 0xc8 | 0xcc);
        if is_frame {
            let side = |at: usize| Some(u64::from(*bytes.get(at)?) << 8 | u64::from(*bytes.get(at + 1)?));
            return side(at + 5)?.checked_mul(side(at + 7)?);
        }
        at += 2 + (usize::from(high) << 8 | usize::from(low)).max(2);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_common_pictures_is_read_from_their_heads() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 4, 0, 0, 0, 2, 0]);
        assert_eq!(picture(&png).pixels, Some(1024 * 512));
        assert_eq!(picture(b"GIF89a\x10\0\x20\0").pixels, Some(16 * 32));
        assert_eq!(picture(b"\xff\xd8\xff\xe0\0\x04..\xff\xc0\0\x11\x08\x01\0\x02\0").pixels, Some(256 * 512));
        assert_eq!(picture(b"\xff\xd8\xff").pixels, None);
    }
}
