//! XML as lines a person could read: `element: text`, attributes too, names of people in one line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::office::{reference, unescaped};
use super::office_data::attribute_text;

/// Kinds of element whose words are gathered; more is no text laid out word by word.
const KINDS_MAX: usize = 64;
/// So many words of one kind are a text.
const WORDS_MIN: usize = 4;

/// XML as `element: text` lines with the attributes' values. Broken XML is still text: it follows as it is.
#[must_use]
pub fn text(text: &str) -> String {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut lines = Lines { out: String::with_capacity(text.len()), ..Lines::default() };
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                lines.close();
                lines.element(&start);
                lines.begin(start.local_name().as_ref());
            }
            Ok(Event::Empty(start)) => {
                lines.close();
                lines.element(&start);
            }
            Ok(Event::End(_)) => {
                lines.close();
                lines.end();
            }
            Ok(Event::Text(inner)) => lines.held.push_str(&unescaped(&inner)),
            Ok(Event::CData(inner)) => lines.held.push_str(&inner),
            Ok(Event::GeneralRef(inner)) => lines.held.push_str(&reference(&inner)),
            Ok(Event::Comment(inner)) => lines.line("", &inner),
            Ok(Event::Eof) => return lines.finish(),
            Ok(_) => {}
            Err(_) => return lines.finish() + text,
        }
    }
}

#[derive(Default)]
struct Lines {
    out: String,
    /// Names of the elements around.
    open: Vec<String>,
    /// Text not written yet: references come as pieces of their own.
    held: String,
    given: String,
    family: String,
    /// Words that stand alone, by the kind of element or attribute: text laid out word by word.
    words: BTreeMap<String, Vec<String>>,
}

impl Lines {
    fn element(&mut self, start: &BytesStart<'_>) {
        let name = start.local_name().as_ref().to_owned();
        // Without a look for doubles, which costs the square.
        for attribute in start.attributes().with_checks(false).flatten() {
            let key = attribute.key.local_name();
            let value = attribute_text(&attribute);
            if key.as_ref() == "value" {
                self.value(&name, &value);
            } else {
                self.value(key.as_ref(), &value);
            }
        }
    }

    fn begin(&mut self, name: &str) {
        if name.eq_ignore_ascii_case("name") {
            (self.given, self.family) = (String::new(), String::new());
        }
        self.open.push(name.to_owned());
    }

    /// Writes what is held as the text of the element it stands in.
    fn close(&mut self) {
        let held = std::mem::take(&mut self.held);
        if !held.trim().is_empty() {
            let name = self.open.last().cloned().unwrap_or_default();
            self.value(&name, held.trim());
        }
    }

    fn value(&mut self, name: &str, value: &str) {
        match name {
            "given" => push_word(&mut self.given, value),
            "family" => push_word(&mut self.family, value),
            _ => {}
        }
        let is_word = !value.contains(char::is_whitespace) && value.len() <= 40 && value.contains(char::is_alphanumeric);
        if is_word && (self.words.len() < KINDS_MAX || self.words.contains_key(name)) {
            self.words.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        let label = match name {
            // "birthTime" of HL7 v3 and "birthDate" of FHIR.
            "birthTime" | "birthDate" => "birth date",
            other => other,
        };
        let label = label.to_owned();
        self.line(&label, &page_or(value));
    }

    fn line(&mut self, label: &str, value: &str) {
        if label.is_empty() {
            self.out.push_str(value);
        } else {
            self.out.push_str(&format!("{label}: {value}"));
        }
        self.out.push('\n');
    }

    /// The end of an element: of a name, its parts in one line.
    fn end(&mut self) {
        let name = self.open.pop().unwrap_or_default();
        if !name.eq_ignore_ascii_case("name") || self.given.is_empty() || self.family.is_empty() {
            return;
        }
        let whole = format!("{} {}", std::mem::take(&mut self.given), std::mem::take(&mut self.family));
        let label = self.whose();
        self.line(label, &super::structured::title(&whole));
    }

    /// Whose name it is, by the elements around (C-CDA and FHIR).
    fn whose(&self) -> &'static str {
        for name in self.open.iter().rev().take(8) {
            match name.as_str() {
                "patient" | "Patient" | "patientRole" | "recordTarget" | "subject" => return "Patient",
                "assignedPerson" | "assignedAuthor" | "assignedEntity" | "Practitioner" => return "Provider",
                _ => {}
            }
        }
        "Name"
    }

    fn finish(mut self) -> String {
        self.close();
        let words = std::mem::take(&mut self.words);
        for (name, words) in words.into_iter().filter(|(_, words)| words.len() >= WORDS_MIN) {
            let letters = words.iter().filter(|word| word.contains(char::is_alphabetic)).count();
            if letters * 2 > words.len() {
                self.line(&name, &words.join(" "));
            }
        }
        self.out
    }
}

fn push_word(out: &mut String, word: &str) {
    if !out.is_empty() {
        out.push(' ');
    }
    out.push_str(word);
}

/// A text that is a page itself, as feeds and records hold them: its text.
pub(super) fn page_or(text: &str) -> Cow<'_, str> {
    let is_page = text.contains("</") || ["<br", "<p>", "<div", "<td"].iter().any(|tag| text.contains(tag));
    if is_page { super::html::text(text).shown.into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_like_forms() {
        for (xml, line) in [
            ("<a><diagnosis code='E11.9'>Max &amp; Co</diagnosis></a>", "code: E11.9\n"),
            ("<a><diagnosis code='E11.9'>Max &amp; Co</diagnosis></a>", "diagnosis: Max & Co\n"),
            ("<patient><name><given>ANNA</given><family>BAKER</family></name></patient>", "Patient: Anna Baker\n"),
            ("<patient><birthTime value='19600102'/></patient>", "birth date: 19600102\n"),
            ("<a note='&#108;upus'/>", "note: lupus\n"),
            ("<a>&lt;p&gt;lu&lt;b&gt;pus&lt;/b&gt;&lt;/p&gt;</a>", "a: lupus\n"),
            ("<l><w>she</w><w>has</w><w>lupus</w><w>now</w></l>", "w: she has lupus now\n"),
            ("<a>broken <b", "broken <b"),
        ] {
            assert!(text(xml).contains(line), "{xml}: {}", text(xml));
        }
    }
}
