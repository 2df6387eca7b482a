//! Files inside a text: uuencoded, or base64 between the same lines (POSIX.1-2017, `uuencode`). Mail programs offer
//! them as attachments wherever they stand.

/// A file found in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Enclosed {
    pub name: String,
    pub bytes: Vec<u8>,
    /// No end, or a line that is none.
    pub is_damaged: bool,
}

/// Every file in a text, in order.
pub(super) fn files(text: &str) -> Vec<Enclosed> {
    let mut out = Vec::new();
    if !text.contains("begin") {
        return out;
    }
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((is_base64, name)) = begin(line) else { continue };
        let before = lines.clone();
        let found = if is_base64 { base64(&mut lines) } else { uu(&mut lines) };
        match found {
            Some((bytes, is_damaged)) => out.push(Enclosed { name, bytes, is_damaged }),
            // A sentence that begins so.
            None => lines = before,
        }
    }
    out
}

/// `begin 644 name`, and whether its lines are base64.
fn begin(line: &str) -> Option<(bool, String)> {
    // Quoted in a reply it is none any more.
    let (is_base64, rest) = match line.strip_prefix("begin-base64 ") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("begin ")?),
    };
    let (mode, name) = rest.trim_start().split_once(' ')?;
    let is_mode = (3..=4).contains(&mode.len()) && mode.bytes().all(|b| matches!(b, b'0'..=b'7'));
    (is_mode && !name.trim().is_empty()).then(|| (is_base64, name.trim().to_owned()))
}

/// Lines of length and groups until `end`; `None` if not even the first is one.
fn uu(lines: &mut std::str::Lines<'_>) -> Option<(Vec<u8>, bool)> {
    let mut out = Vec::new();
    let mut is_first = true;
    loop {
        let before = lines.clone();
        let Some(line) = lines.next() else { return (!is_first).then_some((out, true)) };
        if line.trim_end() == "end" {
            return Some((out, false));
        }
        if line.trim().is_empty() && !is_first {
            continue;
        }
        if !uu_line(line, &mut out) {
            *lines = before;
            return (!is_first).then_some((out, true));
        }
        is_first = false;
    }
}

fn uu_line(line: &str, out: &mut Vec<u8>) -> bool {
    let Some((first, rest)) = line.as_bytes().split_first().filter(|(first, _)| (b' '..=b'`').contains(first)) else {
        return false;
    };
    let length = usize::from(first.wrapping_sub(b' ') & 63);
    let needed = length.div_ceil(3) * 4;
    // Blanks at the end of a line get lost on the way; a checksum character may follow.
    if rest.len() > needed + 2 || !rest.iter().all(|b| (b' '..=b'`').contains(b)) {
        return false;
    }
    if rest.len() * 2 < needed {
        return false;
    }
    let six = |at: usize| rest.get(at).copied().unwrap_or(b' ').wrapping_sub(b' ') & 63;
    let start = out.len();
    for group in (0..needed).step_by(4) {
        let bits = [0, 1, 2, 3].iter().fold(0u32, |bits, step| bits << 6 | u32::from(six(group + step)));
        let [_, a, b, c] = bits.to_be_bytes();
        out.extend([a, b, c]);
    }
    out.truncate(start + length);
    true
}

/// base64 until `====`.
fn base64(lines: &mut std::str::Lines<'_>) -> Option<(Vec<u8>, bool)> {
    use ::base64::Engine as _;
    let mut encoded = String::new();
    let mut is_damaged = true;
    for line in lines.by_ref() {
        let line = line.trim();
        if line == "====" {
            is_damaged = false;
            break;
        }
        encoded.push_str(line.trim_end_matches('='));
    }
    let engine = ::base64::engine::GeneralPurpose::new(
        &::base64::alphabet::STANDARD,
        ::base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(::base64::engine::DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    match engine.decode(&encoded) {
        Ok(bytes) => Some((bytes, is_damaged)),
        Err(_) if is_damaged => None,
        Err(_) => Some((Vec::new(), true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_a_letter_are_found_and_sentences_are_not() {
        let letter = "Hello,\nbegin 644 notes.txt\n#0V%T\n`\nend\nbye\nbegin-base64 644 b.txt\nbHVwdXM=\n====\n";
        let found = files(letter);
        assert_eq!(found.len(), 2);
        for (found, (name, bytes)) in found.iter().zip([("notes.txt", &b"Cat"[..]), ("b.txt", b"lupus")]) {
            assert_eq!((found.name.as_str(), found.bytes.as_slice(), found.is_damaged), (name, bytes, false));
        }
        for sentence in ["begin 2024 with a walk\nand go on\n", "begin 644 \n", "> begin 644 a.txt\n> #0V%T\n", "begin 123 go"] {
            assert_eq!(files(sentence), [], "{sentence}");
        }
    }

    #[test]
    fn a_file_without_an_end_is_read_as_far_as_it_goes_and_damaged() {
        for letter in ["begin 644 a.txt\n#0V%T\n", "begin 644 a.txt\n#0V%T\n\nlower case words here\nend\n"] {
            let found = files(letter);
            assert_eq!(found.first().map(|f| (f.bytes.as_slice(), f.is_damaged)), Some((&b"Cat"[..], true)), "{letter}");
        }
    }
}
