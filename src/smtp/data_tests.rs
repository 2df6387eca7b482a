use super::*;

/// Reads `wire` in pieces of `step`: (content, fault, octets left over), or `None` if no end was found.
fn read(wire: &[u8], step: usize, size_max: u64) -> Option<(Vec<u8>, Option<ContentFault>, usize)> {
    let mut reader = ContentReader::data(size_max);
    let mut content = Vec::new();
    let mut taken = 0;
    for piece in wire.chunks(step) {
        let before = content.len();
        let fed = reader.feed(piece, &mut content);
        assert!(content.len() <= before + piece.len() + 2);
        taken += fed.consumed;
        if fed.done {
            return Some((content, reader.fault(), wire.len() - taken));
        }
        assert_eq!(fed.consumed, piece.len());
    }
    None
}

/// The law, written as plainly as possible: the message ends at the first CRLF.CRLF, or at once.
fn reference(wire: &[u8]) -> Option<(Vec<u8>, bool, usize)> {
    let mut framed = b"\r\n".to_vec();
    framed.extend_from_slice(wire);
    let end = framed.windows(5).position(|w| w == b"\r\n.\r\n")?;
    let body = &framed[..end + 2];
    let (mut out, mut bare) = (Vec::new(), false);
    for (at, byte) in body.iter().enumerate() {
        let starts = |text: &[u8]| body[..at].ends_with(text);
        match byte {
            b'\r' => bare |= body.get(at + 1) != Some(&b'\n'),
            b'\n' => bare |= !starts(b"\r"),
            0 => bare = true,
            b'.' if starts(b"\r\n") => continue,
            _ => {}
        }
        out.push(*byte);
    }
    Some((out[2..].to_vec(), bare, framed.len() - (end + 5)))
}

/// Forms in which a second message was smuggled through well-known servers, and their relatives.
const SMUGGLING: &[&[u8]] = &[
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r.\n",
    b"\n.\r",
    b"\r\n.\r\r\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\n\n.\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r.\r\n",
    b"\n.\n\n",
    b"\r\n.\n\r\n",
    b"\n\r.\n\r",
    b"\n\r\n.\n",
    b"\r\n.\r\x00\n",
    b"\r\n.\n.\r\n",
    b"\x00\r\n.\n",
    b"\r\r.\r\r",
];

#[test]
fn no_smuggled_end_splits_a_message_however_it_is_cut() {
    for form in SMUGGLING {
        let mut wire = b"Subject: one\r\n\r\nfirst".to_vec();
        wire.extend_from_slice(form);
        wire.extend_from_slice(b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@x.example>\r\nDATA\r\nsecond\r\n.\r\nNOOP\r\n");
        let left = b"NOOP\r\n".len();
        for step in 1..=wire.len() {
            let (content, fault, rest) = read(&wire, step, 1000).unwrap();
            assert_eq!(rest, left, "{form:?} step {step}");
            assert_eq!(fault, Some(ContentFault::BareLineEnd), "{form:?} step {step}");
            assert!(content.is_empty(), "{form:?}: refused octets were kept");
        }
    }
}

#[test]
fn the_reader_agrees_with_the_law_on_every_short_stream() {
    // All streams of up to eight of the octets that matter, then a true end.
    let alphabet = [b'\r', b'\n', b'.', b'a', 0];
    let mut stack: Vec<Vec<u8>> = vec![vec![]];
    while let Some(stream) = stack.pop() {
        for tail in [&b""[..], b"\r\n.\r\nQ"] {
            let mut wire = stream.clone();
            wire.extend_from_slice(tail);
            let expected = reference(&wire);
            for step in [1, 2, 3, wire.len().max(1)] {
                let got = read(&wire, step, 1000);
                match (&expected, got) {
                    (None, None) => {}
                    (Some((content, bare, left)), Some((got, fault, got_left))) => {
                        assert_eq!(fault.is_some(), *bare, "{wire:?} step {step}");
                        assert_eq!(*left, got_left, "{wire:?} step {step}");
                        if !bare {
                            assert_eq!(*content, got, "{wire:?} step {step}");
                        }
                    }
                    (expected, got) => panic!("{wire:?} step {step}: {expected:?} and {got:?}"),
                }
            }
        }
        if stream.len() < 6 {
            stack.extend(alphabet.iter().map(|b| [&stream[..], &[*b]].concat()));
        }
    }
}

#[test]
fn honest_messages_arrive_unchanged() {
    for (wire, expected) in [
        (&b".\r\n"[..], &b""[..]),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b".a\r\n...\r\n.\r\n", b"a\r\n..\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"umlaut \xfc\xff\r\n.\r\n", b"umlaut \xfc\xff\r\n"),
    ] {
        for step in 1..=wire.len() {
            assert_eq!(read(wire, step, 1000), Some((expected.to_vec(), None, 0)), "{wire:?} step {step}");
        }
    }
}

#[test]
fn limits_hold_and_the_end_is_still_found() {
    let long = [vec![b'x'; LINE_OCTETS_MAX + 1], b"\r\n.\r\nNOOP\r\n".to_vec()].concat();
    let fits = [vec![b'x'; LINE_OCTETS_MAX], b"\r\n.\r\n".to_vec()].concat();
    for step in [1, 1000, 65_537, long.len()] {
        assert_eq!(read(&long, step, 1 << 20).unwrap().1, Some(ContentFault::LineTooLong), "step {step}");
        assert_eq!(read(&fits, step, 1 << 20).unwrap().1, None, "step {step}");
    }
    for (wire, fault) in [(&b"12345678\r\n.\r\n"[..], None), (b"123456789\r\n.\r\n", Some(ContentFault::TooLarge))] {
        for step in 1..=wire.len() {
            let (content, got, left) = read(wire, step, 10).unwrap();
            assert_eq!((got, left), (fault, 0), "step {step}");
            assert_eq!(content.is_empty(), fault.is_some());
        }
    }
}

#[test]
fn chunks_obey_the_same_line_end_law() {
    let chunked = |pieces: &[&[u8]]| {
        let mut reader = ContentReader::chunks(1000);
        let mut content = Vec::new();
        for piece in pieces {
            assert_eq!(reader.feed(piece, &mut content), Fed { consumed: piece.len(), done: false });
        }
        reader.finish_chunks(&mut content);
        (content, reader.fault())
    };
    assert_eq!(chunked(&[b"a\r\n.\r\nb\r\n"]), (b"a\r\n.\r\nb\r\n".to_vec(), None), "dots mean nothing in chunks");
    assert_eq!(chunked(&[b".\r", b"\n..", b"b\r\n"]), (b".\r\n..b\r\n".to_vec(), None));
    assert_eq!(chunked(&[b"a"]), (b"a\r\n".to_vec(), None));
    assert_eq!(chunked(&[]), (vec![], None));
    for bad in [&[&b"a\r"[..]][..], &[b"a\r", b"b\r\n"], &[b"a\n"], &[b"\n"], &[b"a\0"], &[b"a\r\n.\n"], &[b"\r\n.\r", b"\r\n"]] {
        assert_eq!(chunked(bad), (vec![], Some(ContentFault::BareLineEnd)), "{bad:?}");
    }
}

fn write(content: &[u8], step: usize) -> Result<Vec<u8>, BareLineEnd> {
    let mut writer = DataWriter::new();
    let mut out = Vec::new();
    for piece in content.chunks(step) {
        writer.push(piece, &mut out)?;
    }
    writer.finish(&mut out)?;
    Ok(out)
}

#[test]
fn what_is_written_reads_back_and_never_ends_early() {
    let alphabet: [&[u8]; 4] = [b"\r\n", b".", b"a", b"bc"];
    let mut stack: Vec<(Vec<u8>, usize)> = vec![(vec![], 0)];
    while let Some((content, depth)) = stack.pop() {
        for step in [1, 2, 3, content.len().max(1)] {
            let wire = write(&content, step).unwrap();
            let mut expected = content.clone();
            if !(content.is_empty() || content.ends_with(b"\r\n")) {
                expected.extend_from_slice(b"\r\n");
            }
            assert_eq!(read(&wire, wire.len(), 1000), Some((expected, None, 0)), "{content:?} step {step}");
        }
        if depth < 6 {
            stack.extend(alphabet.iter().map(|word| ([&content[..], word].concat(), depth + 1)));
        }
    }
}

#[test]
fn bare_line_ends_cannot_be_written() {
    for content in [&b"a\nb"[..], b"a\rb", b"a\r", b"\n", b"a\r\r\n", b"a\0b", b"\r\n.\n", b"\r\n.\r"] {
        for step in 1..=content.len() {
            assert_eq!(write(content, step), Err(BareLineEnd), "{content:?} step {step}");
        }
        assert!(!is_whole_lines(content), "{content:?}");
    }
    assert!(is_whole_lines(b"a\r\n.\r\n"));
    assert!(!is_whole_lines(b"a"));
}

/// A seeded walk through long streams of the octets that matter, cut anywhere: the same end and content as the law's.
#[test]
fn the_reader_agrees_with_the_law_on_long_streams_cut_anywhere() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    const PIECES: [&[u8]; 12] =
        [b"\r\n", b".", b"\r", b"\n", b"\0", b"a", b"..", b"\r\n.", b".\r\n", b"text of a line", b"\r\n..x\r\n", b" "];
    let (mut ended, mut faulty) = (0, 0);
    for _ in 0..20_000 {
        let mut wire = Vec::new();
        for _ in 0..next() % 40 {
            wire.extend_from_slice(PIECES[(next() % 12) as usize]);
        }
        if next() % 2 == 0 {
            wire.extend_from_slice(b"\r\n.\r\nMAIL FROM:<a@b.example>\r\n");
        }
        let step = 1 + (next() % 17) as usize;
        match (read(&wire, step, 1 << 20), reference(&wire)) {
            (None, None) => {}
            (Some((content, fault, left)), Some((expected, bare, expected_left))) => {
                ended += 1;
                assert_eq!(left, expected_left, "{wire:?} in {step}");
                assert_eq!(fault.is_some(), bare, "{wire:?} in {step}");
                if bare {
                    faulty += 1;
                    assert!(content.is_empty());
                } else {
                    assert_eq!(content, expected, "{wire:?} in {step}");
                }
            }
            (got, expected) => panic!("{wire:?} in {step}: {got:?}, not {expected:?}"),
        }
    }
    assert!(ended > 10_000 && faulty > 5_000 && faulty < ended, "{ended} {faulty}");
}
