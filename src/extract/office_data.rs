//! What office files keep behind their pages: attributes with words, values of forms, addresses of links, rows kept behind
//! tables, strings of formulas. Each comes as a line of its own.

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::office::{declares_entities, reference, unescaped};

/// Attributes that hold words for people: what stands for a picture, WordArt, hints and choices of forms, field codes, values of
/// OpenDocument's fields, headings of columns.
const TELLING: [&str; 19] = [
    "descr",
    "title",
    "string",
    "displayText",
    "instr",
    "prompt",
    "promptTitle",
    "error",
    "errorTitle",
    "string-value",
    "formula",
    "alt",
    "description",
    "help",
    "tooltip",
    "statusText",
    "helpText",
    "caption",
    "initials",
];

/// Elements whose `val`, `v`, `name` or `Target` is such a text.
const VALUED: [(&str, &str); 10] = [
    ("default", "val"),
    ("docVar", "val"),
    ("alias", "val"),
    ("tag", "val"),
    ("listEntry", "val"),
    ("s", "v"),
    ("d", "v"),
    ("cacheField", "name"),
    ("tableColumn", "name"),
    ("Relationship", "Target"),
];

/// The words among an element's attributes.
pub(super) fn attributes(start: &BytesStart<'_>, out: &mut String) {
    let name = start.local_name();
    let is_inside = || start.attributes().flatten().all(|attribute| attribute.key.local_name().as_ref() != "TargetMode");
    // Relations inside the file are paths.
    if name.as_ref() == "Relationship" && is_inside() {
        return;
    }
    for attribute in start.attributes().with_checks(false).flatten() {
        let key = attribute.key.local_name();
        let key = key.as_ref();
        if TELLING.contains(&key) || VALUED.contains(&(name.as_ref(), key)) {
            let value = attribute_text(&attribute);
            if value.contains(char::is_alphabetic) || name.as_ref() == "d" {
                out.push_str(value.trim());
                out.push('\n');
            }
        }
    }
}

/// An attribute's value, references undone.
pub(super) fn attribute_text(attribute: &quick_xml::events::attributes::Attribute<'_>) -> String {
    let value = &*attribute.value;
    if value.contains('&') { super::html::decoded(value) } else { value.to_owned() }
}

/// Elements of sheets that are read cell by cell elsewhere.
const CELLS: [&str; 2] = ["v", "is"];

/// Every word of a part that no page shows as it is. `None` where it has entities of its own.
pub(super) fn text(content: &[u8]) -> Option<String> {
    let text = super::format::decode(content);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = false;
    let mut out = String::new();
    let mut line = String::new();
    let mut is_sheet = false;
    // Inside a cell's value, or a string with several faces.
    let (mut in_cell, mut in_string) = (0usize, false);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                attributes(&start, &mut out);
                let name = start.local_name();
                is_sheet |= name.as_ref() == "worksheet";
                in_string |= name.as_ref() == "si";
                in_cell += usize::from(is_sheet && CELLS.contains(&name.as_ref()));
            }
            Event::Empty(empty) => attributes(&empty, &mut out),
            Event::Text(inner) if in_cell == 0 => line.push_str(&unescaped(&inner)),
            Event::CData(inner) if in_cell == 0 => line.push_str(&inner),
            Event::GeneralRef(inner) if in_cell == 0 => line.push_str(&reference(&inner)),
            Event::End(end) => {
                let name = end.local_name();
                if is_sheet && CELLS.contains(&name.as_ref()) {
                    in_cell = in_cell.saturating_sub(1);
                }
                in_string &= name.as_ref() != "si";
                if !in_string {
                    if line.contains(char::is_alphabetic) {
                        out.push_str(&shown(&line));
                        out.push('\n');
                    }
                    line.clear();
                }
            }
            Event::Eof => return Some(out),
            Event::DocType(declared) if declares_entities(&declared) => return None,
            _ => {}
        }
    }
}

/// Headers of a printed sheet begin each of their three parts with a sign: `&L`, `&C`, `&R`.
fn shown(line: &str) -> String {
    let line = line.trim();
    match line.strip_prefix('&').filter(|rest| rest.starts_with(['L', 'C', 'R'])) {
        Some(rest) => [" ", rest.get(1..).unwrap_or_default()].concat().replace("&C", "\n").replace("&R", "\n").trim().to_owned(),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_pages_is_read_and_paths_and_cells_are_not() {
        for (xml, expected) in [
            ("<r><s v=\"lupus &amp; more\"/><n v=\"5\"/></r>", "lupus & more\n"),
            ("<worksheet><c><f>IF(A1,\"lupus\",1)</f><v>lupus</v></c></worksheet>", "IF(A1,\"lupus\",1)\n"),
            ("<headerFooter><oddHeader>&amp;Llupus&amp;R2</oddHeader></headerFooter>", "lupus\n2\n"),
            ("<Relationships><Relationship Target=\"a.xml\"/></Relationships>", ""),
            ("<R><Relationship Target=\"mailto:lupus\" TargetMode=\"External\"/></R>", "mailto:lupus\n"),
            ("<sst><si><r><t>lu</t></r><r><t>pus</t></r></si></sst>", "lupus\n"),
        ] {
            assert_eq!(text(xml.as_bytes()).as_deref(), Some(expected), "{xml}");
        }
        assert_eq!(text(b"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), None);
    }
}
