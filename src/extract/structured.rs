//! Formats for machines, as lines a person could read: HL7 v2, FHIR and other JSON, calendars, contact cards. XML is in `xml`.

/// HL7 v2 (pipes): each field of the segments about people and findings gets its label; all others follow as they are.
#[must_use]
pub fn hl7(text: &str) -> String {
    if super::x12::is_x12(text.trim_start()) {
        return super::x12::text(text.trim_start());
    }
    let mut out = String::with_capacity(text.len() * 2);
    // On a line between systems a message stands between a vertical tab and a file separator (MLLP).
    for segment in text.split(['\r', '\n', '\u{b}', '\u{1c}']).map(str::trim).filter(|segment| !segment.is_empty()) {
        let fields: Vec<&str> = segment.split('|').collect();
        let field = |n: usize| fields.get(n).copied().unwrap_or_default();
        let part = |n: usize, component: usize| field(n).split('^').nth(component).unwrap_or_default();
        let person = |n: usize| format!("{} {}", part(n, 1), part(n, 0)).trim().to_owned();
        let mut line = |label: &str, value: &str| {
            if !value.trim().is_empty() {
                out.push_str(label);
                out.push_str(": ");
                out.push_str(value.trim());
                out.push('\n');
            }
        };
        match field(0) {
            "PID" => {
                line("MRN", part(3, 0));
                line("Patient", &title(&person(5)));
                line("DOB", field(7));
                line("Address", &part(11, 0).to_owned().replace('^', " "));
                line("City", &format!("{}, {} {}", part(11, 2), part(11, 3), part(11, 4)));
                line("Phone", part(13, 0));
                line("Account", part(18, 0));
                line("SSN", field(19));
            }
            "NK1" => line("Next of kin", &title(&person(2))),
            "IN1" => {
                line("Insurance", part(4, 0));
                line("Member ID", part(36, 0));
                line("Insured", &title(&person(16)));
            }
            "PV1" => {
                line("Attending physician", &title(&format!("{} {}", part(7, 2), part(7, 1))));
                line("Visit number", part(19, 0));
            }
            "DG1" => line("Diagnosis", &format!("{} {}", part(3, 0), part(3, 1))),
            "PR1" => line("Procedure", &format!("{} {}", part(3, 0), part(3, 1))),
            "OBX" => line(
                "Test",
                &format!(
                    "{} {} {}",
                    if part(3, 1).is_empty() { part(3, 0) } else { part(3, 1) },
                    field(5).replace('^', " "),
                    part(6, 0)
                ),
            ),
            "OBR" => line("Test", part(4, 1)),
            "RXA" | "RXE" | "RXO" => line("Medication", &format!("{} {}", part(2, 1), part(5, 1))),
            "AL1" => line("Allergy", part(3, 1)),
            _ => {}
        }
        out.push_str(&segment.replace(['|', '^'], " "));
        out.push('\n');
    }
    out
}

/// Names in HL7 are often in capitals: `BAKER` reads as `Baker`.
pub(super) fn title(name: &str) -> String {
    name.split(' ')
        .map(|word| match word.chars().next() {
            Some(first) if word.len() > 1 && word.chars().all(|c| !c.is_lowercase()) => {
                first.to_string() + &word.get(first.len_utf8()..).unwrap_or_default().to_lowercase()
            }
            _ => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// JSON as `key: value` lines, several values one behind the other too. A FHIR name (`given`, `family`) becomes one line, a FHIR
/// quantity one value with its unit.
#[must_use]
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    while let Some(Ok(value)) = values.next() {
        walk(&value, "", "", &mut out);
    }
    // What is left is cut off, or none: read as it is, its escapes undone.
    let rest = text.get(values.byte_offset()..).unwrap_or_default();
    out.push_str(&unescaped(rest));
    out
}

/// `\u0041` and its like as the characters they stand for.
fn unescaped(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        if !before.is_empty() {
            out.push_str(&String::from_utf16_lossy(&std::mem::take(&mut units)));
            out.push_str(before);
        }
        let unit = after.strip_prefix('u').and_then(|after| u16::from_str_radix(after.get(..4)?, 16).ok());
        rest = match unit {
            Some(unit) => {
                units.push(unit);
                after.get(5..).unwrap_or_default()
            }
            None => {
                out.push_str(&String::from_utf16_lossy(&std::mem::take(&mut units)));
                out.push(' ');
                after.strip_prefix(['n', 'r', 't']).unwrap_or(after)
            }
        };
    }
    out + &String::from_utf16_lossy(&units) + rest
}

fn walk(value: &serde_json::Value, key: &str, resource: &str, out: &mut String) {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            let resource = object.get("resourceType").and_then(Value::as_str).unwrap_or(resource);
            let joined = |value: &Value| match value {
                Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
                other => other.as_str().unwrap_or_default().to_owned(),
            };
            if let (Some(given), Some(family)) = (object.get("given"), object.get("family")) {
                let label = if matches!(resource, "Practitioner" | "PractitionerRole") { "Provider" } else { "Patient" };
                out.push_str(&format!("{label}: {} {}\n", joined(given), joined(family)));
            }
            if let (Some(number), Some(unit)) =
                (object.get("value").filter(|v| v.is_number()), object.get("unit").and_then(Value::as_str))
            {
                if out.ends_with('\n') {
                    out.pop();
                }
                out.push_str(&format!(" {number} {unit}\n"));
            }
            for (key, value) in object {
                walk(value, key, resource, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, key, resource, out)),
        Value::Null => {}
        Value::String(text) => {
            // "birthDate" reads as "birth Date".
            let mut spoken = String::new();
            for c in key.chars() {
                if c.is_ascii_uppercase() {
                    spoken.push(' ');
                }
                spoken.push(if c == '_' { ' ' } else { c.to_ascii_lowercase() });
            }
            out.push_str(&format!("{spoken}: {}\n", super::xml::page_or(text)));
        }
        Value::Bool(_) => {}
        Value::Number(number) => out.push_str(&format!("{key}: {number}\n")),
    }
}

/// iCalendar and vCard: folded lines joined (RFC 5545, section 3.1), backslashes undone, values of people's fields alone.
#[must_use]
pub fn folded_lines(text: &str) -> String {
    let mut joined = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    if joined.to_ascii_uppercase().contains("QUOTED-PRINTABLE") {
        // vCard 2.1: a soft break ends the line with a sign.
        joined = joined.replace("=\n", "");
    }
    let mut out = String::with_capacity(joined.len());
    for line in joined.lines() {
        let (name, value) = name_and_value(line);
        let value = if name.to_ascii_uppercase().contains("QUOTED-PRINTABLE") {
            std::borrow::Cow::Owned(super::format::decode(&super::held::signed_hex(value, b'=')))
        } else {
            value.into()
        };
        let value = value.as_ref();
        let field = name.split(';').next().unwrap_or_default().to_ascii_uppercase();
        let label = match field.as_str() {
            "BEGIN" | "END" | "VERSION" | "PRODID" | "METHOD" | "UID" | "DTSTAMP" | "SEQUENCE" | "TRANSP" | "CLASS"
            | "PRIORITY" => continue,
            "SUMMARY" | "DESCRIPTION" | "LOCATION" | "COMMENT" | "FN" | "NOTE" | "TITLE" | "X-ALT-DESC" => "",
            "BDAY" => "birth date: ",
            "TEL" => "phone: ",
            "ADR" => "address: ",
            _ => "",
        };
        let mut shown = String::with_capacity(value.len());
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n' | 'N') => shown.push('\n'),
                    Some(other) => shown.push(other),
                    None => {}
                },
                ';' if matches!(field.as_str(), "ADR" | "N" | "ORG") => shown.push_str(", "),
                other => shown.push(other),
            }
        }
        // Parameters hold names too: ATTENDEE;CN="Anna Baker".
        if let Some((_, cn)) = name.split_once("CN=") {
            out.push_str(cn.split([';', ':']).next().unwrap_or_default().trim_matches('"'));
            out.push(' ');
        }
        if let Some((_, address)) = name.split_once("ALTREP=") {
            out.push_str(address.trim_matches('"'));
            out.push('\n');
        }
        let shown = if field == "X-ALT-DESC" { super::html::text(&shown).shown } else { shown };
        out.push_str(label);
        out.push_str(&shown);
        out.push('\n');
    }
    out
}

/// What stands before and behind the first colon outside quotes.
fn name_and_value(line: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let colon = line.bytes().position(|b| {
        is_quoted ^= b == b'"';
        b == b':' && !is_quoted
    });
    colon.and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?))).or_else(|| line.split_once(':')).unwrap_or(("", line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_formats_read_like_forms() {
        let message = hl7(
            "MSH|^~\\&|LAB\rPID|1||00123^^^X||BAKER^ANNA^M||19510216|F|||1 Main St^^Parma^MI^49269\rOBX|1|NM|2160-0^Creatinine^LN||5.9|mg/dL",
        );
        for line in ["MRN: 00123\n", "Patient: Anna Baker\n", "DOB: 19510216\n", "Test: Creatinine 5.9 mg/dL\n"] {
            assert!(message.contains(line), "{line:?} in {message:?}");
        }
        let fhir =
            json(r#"{"resourceType":"Patient","name":[{"family":"Baker","given":["Anna","M"]}],"birthDate":"1951-02-16"}"#);
        assert!(fhir.contains("Patient: Anna M Baker\n") && fhir.contains("birth date: 1951-02-16\n"), "{fhir}");
        assert!(json(r#"{"valueQuantity":{"value":5.9,"unit":"mg/dL"}}"#).contains("5.9 mg/dL"));
        assert!(folded_lines("BEGIN:VEVENT\r\nSUMMARY:frac\r\n ture\\, sequela\r\n").contains("fracture, sequela\n"));
    }
}
