//! Office documents, in every place they keep text.

use std::io::Write;

use super::Takes::{Any, Ascii, Line};
use super::{Carrier, carrier};
use crate::disguise::{attached, escaped, html, map, zipped};

const W: &str = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"";

fn run(text: &str) -> String {
    text.split('\n').map(|line| format!("<w:p><w:r><w:t xml:space=\"preserve\">{}</w:t></w:r></w:p>", escaped(line))).collect()
}

/// A Word document whose body holds `body`, with other members.
fn docx(body: &str, members: &[(&str, String)]) -> Vec<u8> {
    let document = format!("<?xml version=\"1.0\"?><w:document {W}><w:body>{body}</w:body></w:document>");
    let mut all = vec![("[Content_Types].xml", "<Types/>".to_owned()), ("word/document.xml", document)];
    all.extend(members.iter().map(|(name, content)| (*name, content.clone())));
    attached("a.docx", "application/octet-stream", &zipped(&all))
}

fn beside(member: &'static str, root: &str, body: &str) -> Vec<u8> {
    docx(&run("See below"), &[(member, format!("<w:{root} {W}>{body}</w:{root}>"))])
}

fn slide(text: &str) -> String {
    let paragraphs: String = text.split('\n').map(|line| format!("<a:p><a:r><a:t>{}</a:t></a:r></a:p>", escaped(line))).collect();
    format!("<p:sld xmlns:p=\"p\" xmlns:a=\"a\"><p:txBody>{paragraphs}</p:txBody></p:sld>")
}

fn pptx(first: &str, members: &[(&str, String)]) -> Vec<u8> {
    let mut all = vec![("ppt/presentation.xml", "<p:presentation/>".to_owned()), ("ppt/slides/slide1.xml", first.to_owned())];
    all.extend(members.iter().map(|(name, content)| (*name, content.clone())));
    attached("a.pptx", "application/octet-stream", &zipped(&all))
}

/// An OpenDocument file: its kind must be the first member, stored.
fn open_document(kind: &str, members: &[(&str, String)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("mimetype", stored).unwrap();
    writer.write_all(format!("application/vnd.oasis.opendocument.{kind}").as_bytes()).unwrap();
    for (name, content) in members {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    attached("a.odt", "application/octet-stream", &writer.finish().unwrap().into_inner())
}

fn odf(body: &str) -> String {
    format!(
        "<office:document-content xmlns:office=\"o\" xmlns:text=\"t\" xmlns:table=\"tb\"><office:body><office:text>{body}</office:text></office:body></office:document-content>"
    )
}

fn paragraphs(text: &str) -> String {
    text.split('\n').map(|line| format!("<text:p>{}</text:p>", escaped(line))).collect()
}

fn letters(text: &str) -> String {
    let runs = map(text, |c| {
        if c == '\n' {
            "<w:r><w:br/></w:r>".into()
        } else {
            format!("<w:r><w:rPr><w:b/></w:rPr><w:t xml:space=\"preserve\">{}</w:t></w:r>", escaped(&c.to_string()))
        }
    });
    format!("<w:p>{runs}</w:p>")
}

pub fn carriers() -> Vec<Carrier> {
    let mut all = word();
    all.extend(super::sheets::carriers());
    all.extend(slides());
    all.extend(open());
    all
}

fn word() -> Vec<Carrier> {
    vec![
        carrier("Word, header", Any, |t| beside("word/header1.xml", "hdr", &run(t))),
        carrier("Word, footer", Any, |t| beside("word/footer2.xml", "ftr", &run(t))),
        carrier("Word, comment", Any, |t| {
            beside("word/comments.xml", "comments", &format!("<w:comment w:id=\"0\">{}</w:comment>", run(t)))
        }),
        carrier("Word, footnote", Any, |t| {
            beside("word/footnotes.xml", "footnotes", &format!("<w:footnote w:id=\"2\">{}</w:footnote>", run(t)))
        }),
        carrier("Word, endnote", Any, |t| {
            beside("word/endnotes.xml", "endnotes", &format!("<w:endnote w:id=\"2\">{}</w:endnote>", run(t)))
        }),
        carrier("Word, text box", Any, |t| {
            docx(
                &format!(
                    "<w:p><w:r><mc:AlternateContent xmlns:mc=\"m\"><mc:Choice><w:drawing><wps:txbx xmlns:wps=\"s\"><w:txbxContent>{}</w:txbxContent></wps:txbx></w:drawing></mc:Choice></mc:AlternateContent></w:r></w:p>",
                    run(t)
                ),
                &[],
            )
        }),
        carrier("Word, deleted with changes kept", Any, |t| {
            docx(
                &format!(
                    "<w:p><w:del w:author=\"A\">{}</w:del></w:p>",
                    t.split('\n')
                        .map(|line| format!(
                            "<w:r><w:delText xml:space=\"preserve\">{}</w:delText></w:r><w:r><w:br/></w:r>",
                            escaped(line)
                        ))
                        .collect::<String>()
                ),
                &[],
            )
        }),
        carrier("Word, every letter a run", Any, |t| docx(&letters(t), &[])),
        carrier("Word, hidden text", Any, |t| docx(&run(t).replace("<w:r>", "<w:r><w:rPr><w:vanish/></w:rPr>"), &[])),
        carrier("Word, alternative text of a picture", Line, |t| {
            docx(
                &format!(
                    "<w:p><w:r><w:drawing><wp:docPr xmlns:wp=\"p\" id=\"1\" name=\"Picture 1\" descr=\"{}\"/></w:drawing></w:r></w:p>",
                    escaped(t)
                ),
                &[],
            )
        }),
        carrier("Word, WordArt", Line, |t| {
            docx(
                &format!(
                    "<w:p><w:r><w:pict><v:shape xmlns:v=\"v\"><v:textpath string=\"{}\"/></v:shape></w:pict></w:r></w:p>",
                    escaped(t)
                ),
                &[],
            )
        }),
        carrier("Word, field code", Line, |t| {
            docx(&format!("<w:p><w:r><w:instrText> QUOTE \"{}\" </w:instrText></w:r></w:p>", escaped(t)), &[])
        }),
        carrier("Word, simple field", Line, |t| {
            docx(&format!("<w:p><w:fldSimple w:instr=\" COMMENTS &quot;{}&quot; \"/></w:p>", escaped(t)), &[])
        }),
        carrier("Word, choice of a form", Line, |t| {
            docx(
                &format!(
                    "<w:sdt><w:sdtPr><w:dropDownList><w:listItem w:displayText=\"{}\" w:value=\"1\"/></w:dropDownList></w:sdtPr></w:sdt>{}",
                    escaped(t),
                    run("See below")
                ),
                &[],
            )
        }),
        carrier("Word, form field of old", Line, |t| {
            docx(
                &format!(
                    "<w:p><w:r><w:fldChar w:fldCharType=\"begin\"><w:ffData><w:textInput><w:default w:val=\"{}\"/></w:textInput></w:ffData></w:fldChar></w:r></w:p>{}",
                    escaped(t),
                    run("See below")
                ),
                &[],
            )
        }),
        carrier("Word, data behind the form", Line, |t| {
            docx(&run("See below"), &[("customXml/item1.xml", format!("<?xml version=\"1.0\"?><note>{}</note>", escaped(t)))])
        }),
        carrier("Word, building block", Any, |t| beside("word/glossary/document.xml", "glossaryDocument", &run(t))),
        carrier("Word, document variable", Line, |t| {
            beside(
                "word/settings.xml",
                "settings",
                &format!("<w:docVars><w:docVar w:name=\"n\" w:val=\"{}\"/></w:docVars>", escaped(t)),
            )
        }),
        carrier("Word, mail merge in a page kept whole", Any, |t| docx(&run("See below"), &[("word/afchunk.htm", html(t))])),
        carrier("Word, document inside", Any, |t| {
            let inner = zipped(&[
                ("[Content_Types].xml", "<Types/>".into()),
                ("word/document.xml", format!("<w:document {W}><w:body>{}</w:body></w:document>", run(t))),
            ]);
            let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            for (name, content) in [
                ("word/document.xml", format!("<w:document {W}>{}</w:document>", run("See below")).into_bytes()),
                ("word/embeddings/a.docx", inner),
            ] {
                writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
                writer.write_all(&content).unwrap();
            }
            attached("a.docx", "application/octet-stream", &writer.finish().unwrap().into_inner())
        }),
        carrier("Word, title of the document", Line, |t| {
            docx(
                &run("See below"),
                &[(
                    "docProps/core.xml",
                    format!(
                        "<cp:coreProperties xmlns:cp=\"c\" xmlns:dc=\"d\"><dc:title>{}</dc:title></cp:coreProperties>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Word, property of its own", Line, |t| {
            docx(
                &run("See below"),
                &[(
                    "docProps/custom.xml",
                    format!(
                        "<Properties><property name=\"Note\"><vt:lpwstr xmlns:vt=\"v\">{}</vt:lpwstr></property></Properties>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Word, address of a link", Ascii, |t| {
            docx(
                &run("See below"),
                &[(
                    "word/_rels/document.xml.rels",
                    format!(
                        "<Relationships><Relationship Id=\"r1\" Type=\"hyperlink\" Target=\"mailto:b@other.example?body={}\" TargetMode=\"External\"/></Relationships>",
                        t.replace(' ', "%20")
                    ),
                )],
            )
        }),
        carrier("Word, main part of another name", Any, |t| {
            let document = format!("<?xml version=\"1.0\"?><w:document {W}><w:body>{}</w:body></w:document>", run(t));
            attached(
                "a.docx",
                "application/octet-stream",
                &zipped(&[("[Content_Types].xml", "<Types/>".into()), ("word/document2.xml", document)]),
            )
        }),
        carrier("Word as one XML file", Any, |t| {
            attached(
                "a.xml",
                "application/octet-stream",
                format!("<?xml version=\"1.0\"?><w:wordDocument {W}><w:body>{}</w:body></w:wordDocument>", letters(t)).as_bytes(),
            )
        }),
        carrier("Word, in UTF-16", Any, |t| {
            let document =
                format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?><w:document {W}><w:body>{}</w:body></w:document>", run(t));
            let wide: Vec<u8> = std::iter::once(0xfeff).chain(document.encode_utf16()).flat_map(u16::to_le_bytes).collect();
            let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            writer.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(&wide).unwrap();
            attached("a.docx", "application/octet-stream", &writer.finish().unwrap().into_inner())
        }),
    ]
}

fn slides() -> Vec<Carrier> {
    vec![
        carrier("PowerPoint, slide", Any, |t| pptx(&slide(t), &[])),
        carrier("PowerPoint, speaker's notes", Any, |t| {
            pptx(&slide("See below"), &[("ppt/notesSlides/notesSlide1.xml", slide(t))])
        }),
        carrier("PowerPoint, comment", Any, |t| {
            pptx(
                &slide("See below"),
                &[(
                    "ppt/comments/comment1.xml",
                    format!("<p:cmLst xmlns:p=\"p\"><p:cm><p:text>{}</p:text></p:cm></p:cmLst>", escaped(t)),
                )],
            )
        }),
        carrier("PowerPoint, modern comment", Any, |t| {
            pptx(&slide("See below"), &[("ppt/comments/modernComment_100_0.xml", slide(t))])
        }),
        carrier("PowerPoint, master", Any, |t| pptx(&slide("See below"), &[("ppt/slideMasters/slideMaster1.xml", slide(t))])),
        carrier("PowerPoint, layout", Any, |t| pptx(&slide("See below"), &[("ppt/slideLayouts/slideLayout1.xml", slide(t))])),
        carrier("PowerPoint, alternative text", Line, |t| {
            pptx(
                &slide("See below")
                    .replace("<p:txBody>", &format!("<p:cNvPr id=\"1\" name=\"x\" descr=\"{}\"/><p:txBody>", escaped(t))),
                &[],
            )
        }),
        carrier("PowerPoint, table, one word a cell", Ascii, |t| {
            pptx(
                &slide("See below").replace(
                    "<p:txBody>",
                    &format!(
                        "<a:tbl><a:tr>{}</a:tr></a:tbl><p:txBody>",
                        t.split(' ')
                            .map(|word| format!("<a:tc><a:txBody><a:p><a:r><a:t>{word}</a:t></a:r></a:p></a:txBody></a:tc>"))
                            .collect::<String>()
                    ),
                ),
                &[],
            )
        }),
        carrier("PowerPoint, diagram", Any, |t| pptx(&slide("See below"), &[("ppt/diagrams/data1.xml", slide(t))])),
        carrier("PowerPoint, chart", Line, |t| {
            pptx(
                &slide("See below"),
                &[(
                    "ppt/charts/chart1.xml",
                    format!(
                        "<c:chartSpace xmlns:c=\"c\"><c:strCache><c:pt><c:v>{}</c:v></c:pt></c:strCache></c:chartSpace>",
                        escaped(t)
                    ),
                )],
            )
        }),
    ]
}

fn open() -> Vec<Carrier> {
    vec![
        carrier("OpenDocument text", Any, |t| open_document("text", &[("content.xml", odf(&paragraphs(t)))])),
        carrier("OpenDocument, header of the page", Any, |t| {
            open_document(
                "text",
                &[
                    ("content.xml", odf(&paragraphs("See below"))),
                    ("styles.xml", odf(&format!("<style:header>{}</style:header>", paragraphs(t)))),
                ],
            )
        }),
        carrier("OpenDocument, comment", Any, |t| {
            open_document(
                "text",
                &[(
                    "content.xml",
                    odf(&format!("<text:p>See below<office:annotation>{}</office:annotation></text:p>", paragraphs(t))),
                )],
            )
        }),
        carrier("OpenDocument, deleted with changes kept", Any, |t| {
            open_document(
                "text",
                &[(
                    "content.xml",
                    odf(&format!(
                        "<text:tracked-changes><text:changed-region><text:deletion>{}</text:deletion></text:changed-region></text:tracked-changes>{}",
                        paragraphs(t),
                        paragraphs("See below")
                    )),
                )],
            )
        }),
        carrier("OpenDocument, footnote", Any, |t| {
            open_document(
                "text",
                &[(
                    "content.xml",
                    odf(&format!(
                        "<text:p>See below<text:note><text:note-body>{}</text:note-body></text:note></text:p>",
                        paragraphs(t)
                    )),
                )],
            )
        }),
        carrier("OpenDocument, field", Line, |t| {
            open_document(
                "text",
                &[(
                    "content.xml",
                    odf(&format!(
                        "<text:p>See below<text:variable-set text:formula=\"ooow:x\" office:string-value=\"{}\"/></text:p>",
                        escaped(t)
                    )),
                )],
            )
        }),
        carrier("OpenDocument, alternative text", Any, |t| {
            open_document(
                "text",
                &[(
                    "content.xml",
                    odf(&format!(
                        "<text:p>See below<draw:frame xmlns:draw=\"d\"><svg:desc xmlns:svg=\"s\">{}</svg:desc></draw:frame></text:p>",
                        escaped(t)
                    )),
                )],
            )
        }),
        carrier("OpenDocument sheet", Ascii, |t| {
            open_document(
                "spreadsheet",
                &[(
                    "content.xml",
                    odf(&format!(
                        "<table:table><table:table-row>{}</table:table-row></table:table>",
                        t.split(' ')
                            .map(|word| format!("<table:table-cell>{}</table:table-cell>", paragraphs(word)))
                            .collect::<String>()
                    )),
                )],
            )
        }),
        carrier("OpenDocument sheet, comment", Any, |t| {
            open_document(
                "spreadsheet",
                &[(
                    "content.xml",
                    odf(&format!(
                        "<table:table><table:table-row><table:table-cell><office:annotation>{}</office:annotation><text:p>1</text:p></table:table-cell></table:table-row></table:table>",
                        paragraphs(t)
                    )),
                )],
            )
        }),
        carrier("OpenDocument slides, notes", Any, |t| {
            open_document(
                "presentation",
                &[(
                    "content.xml",
                    odf(&format!(
                        "<draw:page xmlns:draw=\"d\"><presentation:notes xmlns:presentation=\"p\">{}</presentation:notes></draw:page>",
                        paragraphs(t)
                    )),
                )],
            )
        }),
        carrier("OpenDocument, object inside", Any, |t| {
            open_document(
                "text",
                &[("content.xml", odf(&paragraphs("See below"))), ("Object 1/content.xml", odf(&paragraphs(t)))],
            )
        }),
        carrier("OpenDocument as one XML file", Any, |t| {
            attached(
                "a.fodt",
                "application/octet-stream",
                format!("<?xml version=\"1.0\"?>{}", odf(&paragraphs(t)).replace("document-content", "document")).as_bytes(),
            )
        }),
        carrier("EPUB", Any, |t| {
            attached(
                "a.epub",
                "application/epub+zip",
                &zipped(&[("mimetype", "application/epub+zip".into()), ("OEBPS/1.xhtml", html(t))]),
            )
        }),
        carrier("XPS", Line, |t| {
            attached(
                "a.oxps",
                "application/oxps",
                &zipped(&[(
                    "Documents/1/Pages/1.fpage",
                    format!("<FixedPage xmlns=\"x\"><Glyphs UnicodeString=\"{}\"/></FixedPage>", escaped(t)),
                )]),
            )
        }),
        carrier("XPS, one word a run", Line, |t| {
            attached(
                "a.oxps",
                "application/oxps",
                &zipped(&[(
                    "Documents/1/Pages/1.fpage",
                    format!(
                        "<FixedPage xmlns=\"x\">{}</FixedPage>",
                        t.split(' ')
                            .map(|word| format!(
                                "<Glyphs OriginX=\"10.1\" OriginY=\"20\" FontUri=\"/Resources/F.odttf\" UnicodeString=\"{}\"/>\n",
                                escaped(word)
                            ))
                            .collect::<String>()
                    ),
                )]),
            )
        }),
        carrier("Visio", Any, |t| {
            attached(
                "a.vsdx",
                "application/octet-stream",
                &zipped(&[(
                    "visio/pages/page1.xml",
                    format!(
                        "<?xml version=\"1.0\"?><PageContents><Shapes><Shape><Text><cp IX=\"0\"/>{}</Text></Shape></Shapes></PageContents>",
                        escaped(t)
                    ),
                )]),
            )
        }),
    ]
}
