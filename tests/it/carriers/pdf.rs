//! PDF: every way a page's text is written, and what stands beside the pages.

use std::io::Write;

use super::Takes::{Any, Ascii, Line};
use super::{Carrier, carrier};
use crate::disguise::attached;

/// Objects numbered from 1; the first is the catalog. With a table of where they are, unless `is_packed`: then all but
/// streams stand in an object stream, and the table is a stream too (PDF 1.5).
pub struct Pdf {
    objects: Vec<Vec<u8>>,
}

const PAGE_FONT: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

fn stream(dictionary: &str, content: &[u8]) -> Vec<u8> {
    [format!("<< {dictionary} /Length {} >>\nstream\n", content.len()).as_bytes(), content, b"\nendstream"].concat()
}

fn flate(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

impl Pdf {
    /// One page with `content`, shown in `font`; `page` and `catalog` are further entries.
    pub fn of(content: Vec<u8>, font: &str, page: &str, catalog: &str) -> Pdf {
        Pdf {
            objects: vec![
                format!("<< /Type /Catalog /Pages 2 0 R {catalog} >>").into_bytes(),
                b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
                format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> /XObject << /X1 6 0 R >> >> {page} >>").into_bytes(),
                content,
                font.as_bytes().to_vec(),
            ],
        }
    }

    /// A page that says hello, and more objects, of which the first is number 6.
    pub fn hello(page: &str, catalog: &str, more: Vec<Vec<u8>>) -> Pdf {
        let mut out = Pdf::of(stream("", b"BT /F1 12 Tf 72 700 Td (See below) Tj ET"), PAGE_FONT, page, catalog);
        out.objects.extend(more);
        out
    }

    fn with(mut self, more: Vec<Vec<u8>>) -> Pdf {
        self.objects.extend(more);
        self
    }

    pub fn file(&self, trailer: &str) -> Vec<u8> {
        let mut out = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
        let mut places = Vec::new();
        for (number, object) in (1..).zip(&self.objects) {
            places.push(out.len());
            out.extend(format!("{number} 0 obj\n").bytes());
            out.extend(object);
            out.extend(b"\nendobj\n");
        }
        let start = out.len();
        out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", places.len() + 1).bytes());
        for place in &places {
            out.extend(format!("{place:010} 00000 n \n").bytes());
        }
        out.extend(
            format!("trailer\n<< /Size {} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n", places.len() + 1).bytes(),
        );
        out
    }

    fn packed(&self) -> Vec<u8> {
        let is_stream = |object: &[u8]| object.windows(7).any(|seven| seven == b"\nstream");
        let mut out = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n".to_vec();
        let (mut head, mut body, mut entries) = (String::new(), Vec::new(), vec![[0u32, 0, 0]; self.objects.len() + 3]);
        let (holder, table) = (self.objects.len() + 1, self.objects.len() + 2);
        let mut inside = 0;
        for (number, object) in (1usize..).zip(&self.objects) {
            if is_stream(object) {
                entries[number] = [1, out.len() as u32, 0];
                out.extend(format!("{number} 0 obj\n").bytes());
                out.extend(object);
                out.extend(b"\nendobj\n");
            } else {
                head.push_str(&format!("{number} {} ", body.len()));
                body.extend(object);
                body.push(b' ');
                entries[number] = [2, holder as u32, inside];
                inside += 1;
            }
        }
        entries[holder] = [1, out.len() as u32, 0];
        let content = flate(&[head.as_bytes(), &body].concat());
        out.extend(format!("{holder} 0 obj\n").bytes());
        out.extend(stream(&format!("/Type /ObjStm /N {inside} /First {} /Filter /FlateDecode", head.len()), &content));
        out.extend(b"\nendobj\n");
        let start = out.len();
        entries[table] = [1, start as u32, 0];
        let rows: Vec<u8> = entries
            .iter()
            .flat_map(|[kind, place, index]| [&[*kind as u8][..], &place.to_be_bytes(), &(*index as u16).to_be_bytes()].concat())
            .collect();
        out.extend(format!("{table} 0 obj\n").bytes());
        out.extend(stream(
            &format!("/Type /XRef /Size {} /W [1 4 2] /Root 1 0 R /Filter /FlateDecode", entries.len()),
            &flate(&rows),
        ));
        out.extend(format!("\nendobj\nstartxref\n{start}\n%%EOF\n").bytes());
        out
    }
}

fn sent(file: Vec<u8>) -> Vec<u8> {
    attached("a.pdf", "application/pdf", &file)
}

fn literal(text: &str) -> String {
    format!("({})", text.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)"))
}

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    format!("<{}>", bytes.into_iter().map(|b| format!("{b:02X}")).collect::<String>())
}

/// A text string outside pages: UTF-16 with its mark.
fn wide(text: &str) -> String {
    hex(std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_be_bytes))
}

fn shown(operators: &str) -> Vec<u8> {
    stream("", format!("BT /F1 12 Tf 72 700 Td {operators} ET").as_bytes())
}

fn page(content: Vec<u8>) -> Vec<u8> {
    sent(Pdf::of(content, PAGE_FONT, "", "").file(""))
}

/// Glyphs numbered in the order they first occur, and what stands for what in a CMap.
fn mapped(text: &str, is_ranged: bool) -> (Vec<u16>, String) {
    let mut letters: Vec<char> = Vec::new();
    let mut glyphs = Vec::new();
    for c in text.chars() {
        let at = letters.iter().position(|known| *known == c).unwrap_or_else(|| {
            letters.push(c);
            letters.len() - 1
        });
        glyphs.push(at as u16 + 3);
    }
    let unicode = |c: char| hex(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
    let rows: String = (3u16..)
        .zip(&letters)
        .map(|(glyph, c)| {
            let glyph = hex(glyph.to_be_bytes());
            if is_ranged { format!("{glyph} {glyph} {}\n", unicode(*c)) } else { format!("{glyph} {}\n", unicode(*c)) }
        })
        .collect();
    let (count, kind) = (letters.len(), if is_ranged { "bfrange" } else { "bfchar" });
    let map = format!(
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def\n1 begincodespacerange <0000> <FFFF> endcodespacerange\n{count} begin{kind}\n{rows}end{kind}\nendcmap CMapName currentdict /CMap defineresource pop end end"
    );
    (glyphs, map)
}

/// A subset font of two-byte glyphs, as writers embed it, with or without its map.
fn composite(text: &str, is_ranged: bool, has_map: bool) -> Vec<u8> {
    let (glyphs, map) = mapped(text, is_ranged);
    let map_entry = if has_map { "/ToUnicode 9 0 R" } else { "" };
    let font = format!(
        "<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+Calibri /Encoding /Identity-H /DescendantFonts [7 0 R] {map_entry} >>"
    );
    let content = shown(&format!("{} Tj", hex(glyphs.iter().flat_map(|glyph| glyph.to_be_bytes()))));
    let descendant = "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+Calibri /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor 8 0 R /DW 500 >>";
    let descriptor = "<< /Type /FontDescriptor /FontName /ABCDEF+Calibri /Flags 4 /FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>";
    Pdf::of(content, &font, "", "")
        .with(vec![
            b"null".to_vec(),
            descendant.into(),
            descriptor.into(),
            stream("/Filter /FlateDecode", &flate(map.as_bytes())),
        ])
        .file("")
}

/// A page of glyphs that nothing gives a letter: a person reads it, a program cannot.
pub fn without_a_map(text: &str) -> Vec<u8> {
    composite(text, false, false)
}

/// One-byte glyphs by a list of differences.
fn differences(text: &str) -> Vec<u8> {
    let mut letters: Vec<char> = Vec::new();
    let codes: Vec<u8> = text
        .chars()
        .map(|c| {
            letters.iter().position(|known| *known == c).unwrap_or_else(|| {
                letters.push(c);
                letters.len() - 1
            }) as u8
                + 1
        })
        .collect();
    let names: String = letters
        .iter()
        .map(|c| match c {
            ' ' => "/space ".to_owned(),
            ',' => "/comma ".to_owned(),
            ':' => "/colon ".to_owned(),
            '.' => "/period ".to_owned(),
            '/' => "/slash ".to_owned(),
            '-' => "/hyphen ".to_owned(),
            '0'..='9' => format!(
                "/{} ",
                ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
                    [c.to_digit(10).unwrap() as usize]
            ),
            c => format!("/{c} "),
        })
        .collect();
    let widths = "500 ".repeat(letters.len());
    let font = format!(
        "<< /Type /Font /Subtype /Type1 /BaseFont /ABCDEF+F /FirstChar 1 /LastChar {} /Widths [{widths}] /Encoding << /Type /Encoding /Differences [1 {names}] >> >>",
        letters.len()
    );
    Pdf::of(shown(&format!("{} Tj", hex(codes))), &font, "", "").file("")
}

fn ascii85(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for four in bytes.chunks(4) {
        let mut value = [0, 1, 2, 3].iter().fold(0u32, |value, at| value << 8 | u32::from(four.get(*at).copied().unwrap_or(0)));
        let mut five = [0u8; 5];
        for digit in five.iter_mut().rev() {
            *digit = (value % 85) as u8 + b'!';
            value /= 85;
        }
        out.extend(&five[..four.len() + 1]);
    }
    out.extend(b"~>");
    out
}

/// Each word or letter at a place of its own, as layout programs write them.
fn placed(pieces: impl Iterator<Item = String>, step: usize, advance: impl Fn(&str) -> usize) -> Vec<u8> {
    let mut at = 72;
    let mut out = String::new();
    for piece in pieces {
        if piece != " " {
            out.push_str(&format!("1 0 0 1 {at} 700 Tm {} Tj ", literal(&piece)));
        }
        at += advance(&piece) + step;
    }
    shown(&out)
}

/// Advance in Helvetica at 12 points, near enough.
fn width(c: char) -> f64 {
    let units = match c {
        'i' | 'j' | 'l' => 222,
        'f' | 't' | ' ' | ',' | '.' | ':' | '/' => 278,
        'r' | '-' => 333,
        'k' | 'c' | 's' | 'v' | 'x' | 'y' | 'z' => 500,
        'm' | 'M' => 833,
        'w' | 'C' | 'D' | 'H' | 'N' | 'R' | 'U' => 722,
        'W' => 944,
        'A' | 'B' | 'E' | 'P' | 'S' => 667,
        'G' | 'O' => 778,
        'F' => 611,
        'I' => 278,
        _ => 556,
    };
    f64::from(units) * 12.0 / 1000.0
}

fn letters_placed(text: &str) -> Vec<u8> {
    let mut x = 72.0;
    let mut out = String::new();
    for c in text.chars() {
        if c != ' ' {
            out.push_str(&format!("1 0 0 1 {x:.2} 700 Tm {} Tj ", literal(&c.to_string())));
        }
        x += width(c);
    }
    shown(&out)
}

pub fn carriers() -> Vec<Carrier> {
    let mut all = on_pages();
    all.extend(beside_pages());
    all
}

fn on_pages() -> Vec<Carrier> {
    vec![
        carrier("strings in brackets", Ascii, |t| page(shown(&format!("{} Tj", literal(t))))),
        carrier("octal escapes", Ascii, |t| {
            page(shown(&format!("({}) Tj", t.bytes().map(|b| format!("\\{b:03o}")).collect::<String>())))
        }),
        carrier("hex strings", Ascii, |t| page(shown(&format!("{} Tj", hex(t.bytes()))))),
        carrier("kerned pieces", Ascii, |t| {
            let pieces: String = t
                .chars()
                .collect::<Vec<_>>()
                .chunks(2)
                .map(|two| format!("{} -15 ", literal(&two.iter().collect::<String>())))
                .collect();
            page(shown(&format!("[{pieces}] TJ")))
        }),
        carrier("gaps in place of blanks", Ascii, |t| {
            let pieces: String = t.split(' ').map(|word| format!("{} -300 ", literal(word))).collect();
            page(shown(&format!("[{pieces}] TJ")))
        }),
        carrier("a word at a time", Ascii, |t| {
            page(placed(t.split(' ').map(str::to_owned), 4, |word| word.chars().map(width).sum::<f64>() as usize))
        }),
        carrier("a letter at a time", Ascii, |t| page(letters_placed(t))),
        carrier("several lines", Ascii, |t| {
            page(shown(
                &t.split(' ')
                    .collect::<Vec<_>>()
                    .chunks(3)
                    .map(|line| format!("{} Tj 0 -14 Td ", literal(&line.join(" "))))
                    .collect::<String>(),
            ))
        }),
        carrier("quotes for the next line", Ascii, |t| {
            page(shown(&format!("14 TL (See below) Tj {} ' 0 0 (Bye) \"", literal(t))))
        }),
        carrier("packed (Flate)", Ascii, |t| {
            page(stream("/Filter /FlateDecode", &flate(format!("BT /F1 12 Tf 72 700 Td {} Tj ET", literal(t)).as_bytes())))
        }),
        carrier("ASCII 85 around Flate", Ascii, |t| {
            page(stream(
                "/Filter [/ASCII85Decode /FlateDecode]",
                &ascii85(&flate(format!("BT /F1 12 Tf 72 700 Td {} Tj ET", literal(t)).as_bytes())),
            ))
        }),
        carrier("ASCII hex", Ascii, |t| {
            page(stream(
                "/Filter /ASCIIHexDecode",
                format!("{}>", hex(format!("BT /F1 12 Tf 72 700 Td {} Tj ET", literal(t)).bytes()).trim_matches(['<', '>']))
                    .as_bytes(),
            ))
        }),
        carrier("run lengths", Ascii, |t| {
            let content = format!("BT /F1 12 Tf 72 700 Td {} Tj ET", literal(t));
            let mut packed: Vec<u8> =
                content.as_bytes().chunks(100).flat_map(|run| [&[run.len() as u8 - 1], run].concat()).collect();
            packed.push(128);
            page(stream("/Filter /RunLengthDecode", &packed))
        }),
        carrier("object streams", Ascii, |t| sent(Pdf::of(shown(&format!("{} Tj", literal(t))), PAGE_FONT, "", "").packed())),
        carrier("two-byte font, map of characters", Line, |t| sent(composite(t, false, true))),
        carrier("two-byte font, map of ranges", Line, |t| sent(composite(t, true, true))),
        carrier("font with differences", Ascii, |t| sent(differences(t))),
        carrier("Mac encoding", Ascii, |t| {
            sent(
                Pdf::of(
                    shown(&format!("{} Tj", hex(t.bytes().map(|b| if b == b' ' { 0xca } else { b })))),
                    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /MacRomanEncoding >>",
                    "",
                    "",
                )
                .file(""),
            )
        }),
        carrier("font without an encoding", Ascii, |t| {
            sent(
                Pdf::of(shown(&format!("{} Tj", literal(t))), "<< /Type /Font /Subtype /TrueType /BaseFont /Arial >>", "", "")
                    .file(""),
            )
        }),
        carrier("invisible, below a scan", Ascii, |t| page(shown(&format!("3 Tr {} Tj", literal(t))))),
        carrier("form inside a page", Ascii, |t| {
            let form = stream(
                "/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /Font << /F1 5 0 R >> >>",
                format!("BT /F1 12 Tf 72 600 Td {} Tj ET", literal(t)).as_bytes(),
            );
            sent(Pdf::of(stream("", b"/X1 Do"), PAGE_FONT, "", "").with(vec![form]).file(""))
        }),
        carrier("contents in pieces", Ascii, |t| {
            let mut pdf = Pdf::of(b"[6 0 R 7 0 R]".to_vec(), PAGE_FONT, "", "");
            let whole = format!("BT /F1 12 Tf 72 700 Td {} Tj ET", literal(t));
            let (first, second) = whole.split_at(23);
            pdf.objects.extend([stream("", first.as_bytes()), stream("", second.as_bytes())]);
            sent(pdf.file(""))
        }),
        carrier("second page", Ascii, |t| {
            let mut pdf = Pdf::hello("", "", vec![b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 7 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_vec(), shown(&format!("{} Tj", literal(t)))]);
            pdf.objects[1] = b"<< /Type /Pages /Kids [3 0 R 6 0 R] /Count 2 >>".to_vec();
            sent(pdf.file(""))
        }),
        carrier("behind other bytes", Ascii, |t| {
            sent(
                [b"\r\n\r\nrubbish\r\n".to_vec(), Pdf::of(shown(&format!("{} Tj", literal(t))), PAGE_FONT, "", "").file("")]
                    .concat(),
            )
        }),
    ]
}

fn beside_pages() -> Vec<Carrier> {
    vec![
        carrier("field of a form", Line, |t| {
            sent(
                Pdf::hello(
                    "/Annots [6 0 R]",
                    "/AcroForm << /Fields [6 0 R] >>",
                    vec![format!("<< /Type /Annot /Subtype /Widget /FT /Tx /T (Notes) /V {} /Rect [0 0 9 9] >>", wide(t)).into()],
                )
                .file(""),
            )
        }),
        carrier("choice of a form", Line, |t| {
            sent(
                Pdf::hello(
                    "/Annots [6 0 R]",
                    "/AcroForm << /Fields [6 0 R] >>",
                    vec![
                        format!("<< /Type /Annot /Subtype /Widget /FT /Ch /T (Notes) /Opt [(x) {}] /Rect [0 0 9 9] >>", wide(t))
                            .into(),
                    ],
                )
                .file(""),
            )
        }),
        carrier("preset of a form", Line, |t| {
            sent(
                Pdf::hello(
                    "/Annots [6 0 R]",
                    "/AcroForm << /Fields [6 0 R] >>",
                    vec![
                        format!("<< /Type /Annot /Subtype /Widget /FT /Tx /T (Notes) /DV {} /Rect [0 0 9 9] >>", wide(t)).into(),
                    ],
                )
                .file(""),
            )
        }),
        carrier("how a field looks", Ascii, |t| {
            sent(
                Pdf::hello(
                    "/Annots [6 0 R]",
                    "",
                    vec![
                        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (Notes) /AP << /N 7 0 R >> /Rect [0 0 9 9] >>".to_vec(),
                        stream(
                            "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F1 5 0 R >> >>",
                            format!("/Tx BMC BT /F1 12 Tf 2 2 Td {} Tj ET EMC", literal(t)).as_bytes(),
                        ),
                    ],
                )
                .file(""),
            )
        }),
        carrier("form of two levels, XFA", Any, |t| {
            sent(
                Pdf::hello(
                    "",
                    "/AcroForm << /Fields [] /XFA [(datasets) 6 0 R] >>",
                    vec![stream(
                        "",
                        format!(
                            "<xfa:datasets xmlns:xfa=\"x\"><xfa:data><note>{}</note></xfa:data></xfa:datasets>",
                            crate::disguise::escaped(t)
                        )
                        .as_bytes(),
                    )],
                )
                .file(""),
            )
        }),
        carrier("note", Line, |t| {
            sent(
                Pdf::hello(
                    "/Annots [6 0 R]",
                    "",
                    vec![format!("<< /Type /Annot /Subtype /Text /Contents {} /Rect [0 0 9 9] >>", wide(t)).into()],
                )
                .file(""),
            )
        }),
        carrier("note, rich text", Line, |t| {
            sent(
                Pdf::hello(
                    "/Annots [6 0 R]",
                    "",
                    vec![
                        format!(
                            "<< /Type /Annot /Subtype /FreeText /RC {} /Rect [0 0 9 9] >>",
                            wide(&format!(
                                "<?xml version=\"1.0\"?><body><p>{}</p></body>",
                                crate::disguise::insert(&crate::disguise::escaped(t), "</span><span>")
                            ))
                        )
                        .into(),
                    ],
                )
                .file(""),
            )
        }),
        carrier("stamp, as it looks", Ascii, |t| {
            sent(Pdf::hello("/Annots [6 0 R]", "", vec![
            b"<< /Type /Annot /Subtype /FreeText /AP << /N 7 0 R >> /Rect [0 0 9 9] >>".to_vec(),
            stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F1 5 0 R >> >> /Filter /FlateDecode", &flate(format!("BT /F1 12 Tf 2 2 Td {} Tj ET", literal(t)).as_bytes())),
        ]).file(""))
        }),
        carrier("bookmark", Line, |t| {
            sent(
                Pdf::hello(
                    "",
                    "/Outlines 6 0 R",
                    vec![
                        b"<< /Type /Outlines /First 7 0 R /Last 7 0 R /Count 1 >>".to_vec(),
                        format!("<< /Title {} /Parent 6 0 R >>", wide(t)).into(),
                    ],
                )
                .file(""),
            )
        }),
        carrier("title of the document", Line, |t| {
            sent(Pdf::hello("", "", vec![format!("<< /Title {} >>", wide(t)).into()]).file("/Info 6 0 R"))
        }),
        carrier("XMP", Line, |t| {
            sent(Pdf::hello("", "/Metadata 6 0 R", vec![stream("/Type /Metadata /Subtype /XML", format!("<?xpacket begin=\"\"?><x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><dc:description xmlns:dc=\"d\"><rdf:li xmlns:rdf=\"r\">{}</rdf:li></dc:description></x:xmpmeta>", crate::disguise::escaped(t)).as_bytes())]).file(""))
        }),
        carrier("address of a link", Ascii, |t| {
            sent(Pdf::hello("/Annots [6 0 R]", "", vec![format!("<< /Type /Annot /Subtype /Link /A << /S /URI /URI (mailto:b@other.example?body={}) >> /Rect [0 0 9 9] >>", t.replace(' ', "%20")).into()]).file(""))
        }),
        carrier("script", Ascii, |t| {
            sent(
                Pdf::hello(
                    "",
                    "/OpenAction << /S /JavaScript /JS 6 0 R >>",
                    vec![stream("", format!("app.alert(\"{t}\");").as_bytes())],
                )
                .file(""),
            )
        }),
        carrier("stands for a picture", Line, |t| {
            sent(
                Pdf::hello(
                    "",
                    "/StructTreeRoot << /Type /StructTreeRoot /K 6 0 R >>",
                    vec![format!("<< /Type /StructElem /S /Figure /Alt {} >>", wide(t)).into()],
                )
                .file(""),
            )
        }),
        carrier("attached file", Any, |t| {
            sent(
                Pdf::hello(
                    "",
                    "/Names << /EmbeddedFiles << /Names [(a) 6 0 R] >> >>",
                    vec![
                        b"<< /Type /Filespec /F (a.txt) /UF (a.txt) /EF << /F 7 0 R >> >>".to_vec(),
                        stream("/Type /EmbeddedFile", t.as_bytes()),
                    ],
                )
                .file(""),
            )
        }),
        carrier("form, in object streams", Line, |t| {
            sent(
                Pdf::hello(
                    "/Annots [6 0 R]",
                    "/AcroForm << /Fields [6 0 R] >>",
                    vec![format!("<< /Type /Annot /Subtype /Widget /FT /Tx /T (Notes) /V {} /Rect [0 0 9 9] >>", wide(t)).into()],
                )
                .packed(),
            )
        }),
    ]
}
