//! Workbooks: in cells, and in everything that no cell shows.

use super::Takes::{Any, Ascii, Line};
use super::{Carrier, carrier};
use crate::disguise::{attached, escaped, zipped};

pub fn carriers() -> Vec<Carrier> {
    vec![
        carrier("Excel, shared strings", Line, |t| {
            xlsx(
                "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c></row>",
                "",
                &[(
                    "xl/sharedStrings.xml",
                    format!(
                        "<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" count=\"1\"><si><t>{}</t></si></sst>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel, shared strings with faces", Line, |t| {
            let runs: String = t
                .chars()
                .map(|c| format!("<r><rPr><b/></rPr><t xml:space=\"preserve\">{}</t></r>", escaped(&c.to_string())))
                .collect();
            xlsx(
                "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c></row>",
                "",
                &[(
                    "xl/sharedStrings.xml",
                    format!(
                        "<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" count=\"1\"><si>{runs}</si></sst>"
                    ),
                )],
            )
        }),
        carrier("Excel, string no cell shows", Line, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/sharedStrings.xml",
                    format!(
                        "<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" count=\"1\"><si><t>{}</t></si></sst>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel, inline strings", Any, |t| xlsx(&row(1, &[t]), "", &[])),
        carrier("Excel, columns with a header, numbers", Ascii, columns),
        carrier("Excel, one word a cell", Ascii, |t| xlsx(&row(1, &t.split(' ').collect::<Vec<_>>()), "", &[])),
        carrier("Excel, formula", Line, |t| {
            xlsx(&format!("<row r=\"1\"><c r=\"A1\" t=\"str\"><f>\"x\"</f><v>{}</v></c></row>", escaped(t)), "", &[])
        }),
        carrier("Excel, text in a formula only", Line, |t| {
            xlsx(&format!("<row r=\"1\"><c r=\"A1\"><f>IF(B1,\"{}\",1)</f><v>1</v></c></row>", escaped(t)), "", &[])
        }),
        carrier("Excel, header of the page", Line, |t| {
            xlsx(
                &row(1, &["See below"]),
                &format!("<headerFooter><oddHeader>&amp;L{}</oddHeader></headerFooter>", escaped(t)),
                &[],
            )
        }),
        carrier("Excel, hint of a cell", Line, |t| {
            xlsx(
                &row(1, &["See below"]),
                &format!("<dataValidations><dataValidation prompt=\"{}\" sqref=\"A1\"/></dataValidations>", escaped(t)),
                &[],
            )
        }),
        carrier("Excel, comment", Any, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/comments1.xml",
                    format!(
                        "<comments><commentList><comment ref=\"A1\"><text><r><t>{}</t></r></text></comment></commentList></comments>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel, threaded comment", Any, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/threadedComments/threadedComment1.xml",
                    format!(
                        "<ThreadedComments><threadedComment ref=\"A1\"><text>{}</text></threadedComment></ThreadedComments>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel, comment in another folder", Any, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/comments/comment1.xml",
                    format!(
                        "<comments><commentList><comment ref=\"A1\"><text><t>{}</t></text></comment></commentList></comments>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel, text box", Any, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/drawings/drawing1.xml",
                    format!(
                        "<xdr:wsDr xmlns:xdr=\"x\" xmlns:a=\"a\"><xdr:sp><xdr:txBody>{}</xdr:txBody></xdr:sp></xdr:wsDr>",
                        t.split('\n')
                            .map(|line| format!("<a:p><a:r><a:t>{}</a:t></a:r></a:p>", escaped(line)))
                            .collect::<String>()
                    ),
                )],
            )
        }),
        carrier("Excel, chart", Line, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/charts/chart1.xml",
                    format!(
                        "<c:chartSpace xmlns:c=\"c\"><c:cat><c:strRef><c:strCache><c:pt idx=\"0\"><c:v>{}</c:v></c:pt></c:strCache></c:strRef></c:cat></c:chartSpace>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel, rows kept behind a pivot table", Line, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/pivotCache/pivotCacheDefinition1.xml",
                    format!(
                        "<pivotCacheDefinition><cacheFields><cacheField name=\"Note\"><sharedItems><s v=\"{}\"/></sharedItems></cacheField></cacheFields></pivotCacheDefinition>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel, records behind a pivot table", Line, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/pivotCache/pivotCacheRecords1.xml",
                    format!("<pivotCacheRecords><r><s v=\"{}\"/></r></pivotCacheRecords>", escaped(t)),
                )],
            )
        }),
        carrier("Excel, kept of another workbook", Line, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "xl/externalLinks/externalLink1.xml",
                    format!(
                        "<externalLink><externalBook><sheetDataSet><sheetData><row><cell r=\"A1\" t=\"str\"><v>{}</v></cell></row></sheetData></sheetDataSet></externalBook></externalLink>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel, property of its own", Line, |t| {
            xlsx(
                &row(1, &["See below"]),
                "",
                &[(
                    "docProps/custom.xml",
                    format!(
                        "<Properties><property name=\"Note\"><vt:lpwstr xmlns:vt=\"v\">{}</vt:lpwstr></property></Properties>",
                        escaped(t)
                    ),
                )],
            )
        }),
        carrier("Excel as one XML file", Any, |t| {
            attached("a.xls", "application/octet-stream", format!("<?xml version=\"1.0\"?><Workbook xmlns:ss=\"s\"><Worksheet><Table><Row><Cell><Data ss:Type=\"String\">{}</Data></Cell></Row></Table></Worksheet></Workbook>", escaped(t)).as_bytes())
        }),
        carrier("Excel as a page", Any, |t| {
            attached(
                "a.xls",
                "application/vnd.ms-excel",
                format!(
                    "<html xmlns:x=\"urn:schemas-microsoft-com:office:excel\"><table><tr><td>{}</td></tr></table></html>",
                    escaped(t)
                )
                .as_bytes(),
            )
        }),
    ]
}

/// A workbook of one sheet; `cells` is what stands in `sheetData`.
fn xlsx(cells: &str, behind: &str, members: &[(&str, String)]) -> Vec<u8> {
    let ns = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"";
    let rels = "http://schemas.openxmlformats.org/package/2006/relationships";
    let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let mut all = vec![
        ("[Content_Types].xml", "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>".to_owned()),
        (
            "_rels/.rels",
            format!(
                "<Relationships xmlns=\"{rels}\"><Relationship Id=\"r1\" Type=\"{kind}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!("<workbook {ns}><sheets><sheet name=\"Sheet1\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "<Relationships xmlns=\"{rels}\"><Relationship Id=\"r1\" Type=\"{kind}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"r2\" Type=\"{kind}/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>"
            ),
        ),
        ("xl/worksheets/sheet1.xml", format!("<worksheet {ns}><sheetData>{cells}</sheetData>{behind}</worksheet>")),
    ];
    if !members.iter().any(|(name, _)| *name == "xl/sharedStrings.xml") {
        all.push(("xl/sharedStrings.xml", format!("<sst {ns}/>")));
    }
    all.extend(members.iter().map(|(name, content)| (*name, content.clone())));
    attached("a.xlsx", "application/octet-stream", &zipped(&all))
}

fn inline(at: &str, text: &str) -> String {
    format!("<c r=\"{at}\" t=\"inlineStr\"><is><t>{}</t></is></c>", escaped(text))
}

fn row(number: u32, cells: &[&str]) -> String {
    let cells: String = cells.iter().zip('A'..).map(|(text, column)| inline(&format!("{column}{number}"), text)).collect();
    format!("<row r=\"{number}\">{cells}</row>")
}

/// Person in one column and finding in another, below a header; numbers as numbers.
fn columns(statement: &str) -> Vec<u8> {
    let at = STATEMENT_PARTS.iter().position(|(whole, ..)| *whole == statement);
    let Some((_, kind, who, what)) = at.and_then(|at| STATEMENT_PARTS.get(at)) else {
        return xlsx(&row(1, &[statement]), "", &[]);
    };
    let number = if who.bytes().all(|b| b.is_ascii_digit()) {
        format!("<row r=\"2\"><c r=\"A2\"><v>{who}</v></c>{}</row>", inline("B2", what))
    } else {
        row(2, &[who, what])
    };
    xlsx(&format!("{}{number}", row(1, &[kind, "Diagnosis"])), "", &[])
}

const STATEMENT_PARTS: [(&str, &str, &str, &str); 10] = [
    ("Patient Eleanor Whitcomb has diabetes", "Patient", "Whitcomb, Eleanor", "diabetes"),
    ("Gerald Pomeroy, DOB 04/17/1962, takes metformin 500 mg", "Name", "Gerald Pomeroy", "takes metformin 500 mg"),
    ("SSN 405-19-0261 was treated for syphilis", "SSN", "405190261", "syphilis"),
    ("Nadia Castellanos tested positive for hepatitis C", "Client", "Nadia Castellanos", "hepatitis C"),
    ("MRN 4471209 admitted with pneumonia", "MRN", "4471209", "pneumonia"),
    ("Patient: Walter Haines, diagnosis: prostate cancer", "Pt name", "HAINES, WALTER", "prostate cancer"),
    ("Mrs. Ostrowski had a miscarriage, date of birth 02/14/1980", "Patient", "Mrs. Ostrowski", "miscarriage"),
    ("Member ID W334918820 was denied dialysis", "Member ID", "W334918820", "dialysis"),
    ("Harold Nakamura was admitted with alcohol withdrawal", "Patient Name", "Harold Nakamura", "alcohol withdrawal"),
    ("Patient Vincent Delgado needs chemotherapy", "Last, first", "Delgado, Vincent", "chemotherapy"),
];
