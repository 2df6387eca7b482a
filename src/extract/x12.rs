//! X12, what claims and payments travel in (HIPAA transactions 834 to 837): who stands in NM1, what for in HI and SV1.

/// Length of the segment that tells the signs between elements and behind segments.
const HEAD: usize = 106;

/// Whether a text begins as an interchange does.
pub(super) fn is_x12(text: &str) -> bool {
    separators(text).is_some()
}

/// Between elements, inside them, and behind segments.
fn separators(text: &str) -> Option<(char, char, char)> {
    let bytes = text.as_bytes();
    if let [b'S', b'T', element, kind @ ..] = bytes
        && element.is_ascii_punctuation()
        && KINDS.iter().any(|known| kind.starts_with(known))
        && text.contains('~')
    {
        // A transaction cut out of its envelope: the usual signs.
        return Some((char::from(*element), ':', '~'));
    }
    if !bytes.starts_with(b"ISA") {
        return None;
    }
    let sign = |at: usize| bytes.get(at).filter(|b| b.is_ascii() && !b.is_ascii_alphanumeric()).map(|b| char::from(*b));
    Some((sign(3)?, sign(HEAD - 2)?, sign(HEAD - 1)?))
}

/// Transactions of eligibility, claims, their status, referrals, enrolment and payment.
const KINDS: [&[u8]; 8] = [b"270", b"271", b"276", b"277", b"278", b"834", b"835", b"837"];

/// Lines with labels for the segments about people and their care; all segments follow as they are.
pub(super) fn text(text: &str) -> String {
    let Some((element, component, end)) = separators(text) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len() * 2);
    for segment in text.split(end).map(str::trim).filter(|segment| !segment.is_empty()) {
        let fields: Vec<&str> = segment.split(element).collect();
        said(&fields, component, &mut out);
        out.push_str(&segment.replace([element, component], " "));
        out.push('\n');
    }
    out
}

fn said(fields: &[&str], component: char, out: &mut String) {
    let field = |n: usize| fields.get(n).copied().unwrap_or_default().trim();
    let mut line = |label: &str, value: &str| {
        if !value.trim().is_empty() {
            out.push_str(&format!("{label}: {}\n", value.trim()));
        }
    };
    match field(0) {
        "NM1" => {
            line(role(field(1)), &super::structured::title(&format!("{} {}", field(4), field(3))));
            match field(8) {
                "MI" => line("Member ID", field(9)),
                "34" | "SY" => line("SSN", field(9)),
                _ => {}
            }
        }
        "DMG" => line("DOB", field(2)),
        "REF" if field(1) == "SY" => line("SSN", field(2)),
        "REF" if field(1) == "EA" => line("MRN", field(2)),
        "N3" => line("Address", field(1)),
        "HI" => fields.iter().skip(1).for_each(|code| {
            let mut parts = code.split(component);
            if let (Some(kind), Some(code)) = (parts.next(), parts.next()) {
                let label = if kind.starts_with(['A', 'B']) && !kind.starts_with("BR") { "Diagnosis" } else { "Procedure" };
                line(label, &dotted(code));
            }
        }),
        "SV1" | "SV2" | "SVC" => {
            let code = fields.iter().skip(1).find_map(|field| field.strip_prefix("HC"));
            line("Procedure code CPT", code.unwrap_or_default().split(component).nth(1).unwrap_or_default());
        }
        _ => {}
    }
}

/// Who a name is: the insured and the patient, or one of those who treat, bill and pay.
fn role(code: &str) -> &'static str {
    match code {
        "IL" | "QC" | "74" | "03" => "Patient",
        "71" | "72" | "77" | "82" | "85" | "DN" | "DK" | "DQ" | "P3" => "Provider",
        "PR" => "Payer",
        _ => "Name",
    }
}

/// Codes come without their dot: `E119` is E11.9.
fn dotted(code: &str) -> String {
    match code.split_at_checked(3) {
        Some((head, rest)) if !rest.is_empty() && code.starts_with(|c: char| c.is_ascii_uppercase()) => format!("{head}.{rest}"),
        _ => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_reads_like_a_form() {
        let head = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260101*1200*^*00501*000000001*0*P*:~";
        let read = text(&format!("{head}NM1*IL*1*BAKER*ANNA****MI*W33~DMG*D8*19600102*F~HI*ABK:E119*ABF:I10~NM1*82*1*LEE*KIM~"));
        for line in [
            "Patient: Anna Baker\n",
            "Member ID: W33\n",
            "DOB: 19600102\n",
            "Diagnosis: E11.9\n",
            "Diagnosis: I10\n",
            "Provider: Kim Lee\n",
        ] {
            assert!(read.contains(line), "{line:?} in {read}");
        }
        assert!(is_x12("ST*837*0001*005010X222A1~NM1*IL*1*RUTLEDGE*CLARENCE~"));
        for other in ["ST*LOUIS*~", "ISA", "ISA is a name", "", &head[..60]] {
            assert!(!is_x12(other), "{other}");
        }
    }
}
