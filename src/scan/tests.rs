use super::*;
use crate::extract::{Fuel, InProcess, read};
use crate::message::parse;
use crate::secret::Plaintext;

fn scanned(message: &str) -> Findings {
    let message = parse(Plaintext::new(message.replace('\n', "\r\n").into_bytes()));
    let extracted = read(&message, &InProcess, Fuel::default());
    scan(Scanner::shared(), &message, &extracted)
}

fn letter(subject: &str, body: &str) -> Findings {
    scanned(&format!(
        "From: Ada Quill <ada.quill@practice.example>\nTo: Tom Reed <tom.reed@other.example>\nSubject: {subject}\n\n{body}\n"
    ))
}

#[test]
fn a_person_and_their_health_are_found_together() {
    for (subject, body) in [
        (
            "Consult",
            "Would you see Mrs. Eleanor Whitcomb next week? She has had chest pain on exertion for a month and her ECG is abnormal.",
        ),
        ("Records", "Please send over the MRI of Gerald Pomeroy (MRN 4471209) before Monday."),
        ("RE: refill", "Pt: Nadia Castellanos\nDOB: 4/17/1962\nRx: metformin 500 mg, 90 days"),
        (
            "question",
            "Dear Mr. Okonkwo,\n\nYour PSA came back at 9.2 and the urologist recommends a biopsy.\n\nSincerely,\nDr. Ada Quill",
        ),
        ("Schedule", "Tomorrow:\n9:00 Barbara Lindqvist - colonoscopy\n9:45 Walter Haines - hernia repair"),
        (
            "Claim",
            "Member ID W334918820, date of service 03/02/2025, ICD-10 E11.65, CPT 99214. Patient is disputing the $240.00 copay.",
        ),
        ("Bethany Ostrowski miscarriage", "Please call the family."),
        ("coverage", "Subscriber: Luis Ferreira\nPolicy number: 8817263345\nThe insurer denied the knee replacement."),
        ("note", "Hi Tom, Raymond Kowalczyk relapsed last night and was admitted with alcohol withdrawal."),
        ("Allergy", "Harold Nakamura, date of birth June 3, 1949, is allergic to penicillin."),
        ("", "My name is Corinne Abernathy, born 02/14/1980. I have been throwing up since I started the new pills."),
        ("list", "Patient\tDOB\tResult\nAbernathy, Corinne\t02/14/1980\tHIV positive\nFerreira, Luis\t11/30/1955\tnegative"),
        ("transport", "Vincent Delgado needs a wheelchair van on Friday for dialysis."),
        ("PHI?", "SSN 405-19-0261 was treated for syphilis."),
    ] {
        let findings = letter(subject, body);
        assert!(findings.phi.is_some(), "{subject}: {body}");
    }
}

#[test]
fn health_without_a_person_or_a_person_without_health_is_not() {
    for (subject, body) in [
        ("Guideline", "Adults with type 2 diabetes should have an eye exam every year. Start metformin unless contraindicated."),
        ("Grand rounds", "Dr. Eleanor Whitcomb will speak on heart failure in the auditorium at noon."),
        (
            "Welcome",
            "Please welcome Gerald Pomeroy, RN, who joins the oncology team on Monday. He comes from the Diabetes Center in Dayton, OH 45402.",
        ),
        ("Lunch", "Nadia, can we move lunch to Tuesday? Regards, Ada"),
        ("Invoice", "Invoice 44712 for Walter Haines, Haines Plumbing, $890.00. Account 77120934."),
        ("Payroll", "Direct deposit form for our new receptionist Barbara Lindqvist, SSN 405-19-0261, DOB 04/17/1992."),
        ("Coding", "Reminder to coders: E11.65 requires documentation of hyperglycemia. CPT 99214 needs a time statement."),
        ("Recall", "Valsartan 80 mg lots are recalled because of an impurity. Return stock to the wholesaler."),
        ("Parking", "The lot behind the Heart Hospital is closed on Friday. Questions to Luis Ferreira, 415-822-3224."),
        ("Newsletter", "Five tips against migraine: drink water, sleep well, rest your eyes. Unsubscribe at any time."),
        ("Case", "Case for discussion: a woman in her forties with fever and a new murmur. What would you order next?"),
        (
            "Drill",
            "The fire drill is at 10:00. Leave by the east stairs.\n\nThanks,\nRaymond Kowalczyk\nFacilities Manager | Practice | 415-822-3224",
        ),
        ("Trip", "Harold Nakamura arrives on 06/03/2025 with flight 212; hotel confirmation 88123345."),
        ("CV", "Resume of Corinne Abernathy, 12 Old Mill Road, Parma, MI 49269. Experience: three years at an asthma clinic."),
        ("virus", "Our mail server had a virus. Bethany Ostrowski is restoring the backup now."),
    ] {
        let findings = letter(subject, body);
        assert!(findings.phi.is_none(), "{subject}: {body}: {:?}", findings.phi);
    }
}

#[test]
fn a_footer_or_signature_makes_nothing_protected() {
    let footer = "CONFIDENTIALITY NOTICE: This e-mail may contain protected health information about a patient and is intended only for the addressee.";
    let findings = letter(
        "Toner",
        &format!(
            "We are out of toner.\n\nBest regards,\nEleanor Whitcomb, RN\nHeart and Asthma Clinic\n415-822-3224\n\n{footer}"
        ),
    );
    assert_eq!(findings.phi, None);
    assert!(!findings.has(Kind::Phone), "the sender's own number is no finding");
}

#[test]
fn disguises_are_read_as_they_look() {
    for body in [
        "Patient Eleanor Whitcomb has dia\u{200b}betes.",
        "Patient Eleanor Whitcomb has di\u{430}b\u{435}t\u{435}s.",
        "Patient Eleanor\u{a0}Whitcomb has dia\u{ad}betes.",
        "Patient ELEANOR WHITCOMB has DIABETES.",
    ] {
        let text = format!(
            "From: a@practice.example\nTo: b@other.example\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}\n"
        );
        assert!(scanned(&text).phi.is_some(), "{body}");
    }
    let html = "From: a@practice.example\nTo: b@other.example\nMIME-Version: 1.0\nContent-Type: text/html; charset=us-ascii\n\n\
        <p>Patient Elea<b>nor</b> Whit<!-- x -->comb has dia<span>be</span>t&#101;s.</p>\n";
    assert!(scanned(html).phi.is_some());
}

#[test]
fn findings_point_at_the_words_in_the_original() {
    let body = "Patient  Eleanor Whitcomb,\u{200b} DOB 4/17/1962, has dia\u{200b}betes.";
    let text = format!(
        "From: a@practice.example\nTo: b@other.example\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}\n"
    );
    let message = parse(Plaintext::new(text.replace('\n', "\r\n").into_bytes()));
    let extracted = read(&message, &InProcess, Fuel::default());
    let findings = scan(Scanner::shared(), &message, &extracted);
    let shown = |kind: Kind| {
        let hit = findings.hits.iter().find(|hit| hit.kind == kind).unwrap_or_else(|| panic!("{kind:?}"));
        extracted.texts[hit.text].content[hit.span.clone()].to_owned()
    };
    assert_eq!(shown(Kind::Name), "Eleanor Whitcomb");
    assert_eq!(shown(Kind::Dob), "4/17/1962");
    assert_eq!(shown(Kind::Diagnosis), "dia\u{200b}betes");
}

#[test]
fn kinds_have_distinct_names() {
    let names: HashSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
}

#[test]
fn an_allow_entry_hides_own_staff_and_numbers() {
    let mut files: Vec<(&str, &str)> = Scanner::shipped().collect();
    files.push(("cues.tsv", "allow\teleanor whitcomb\nallow\t415-822-3224"));
    let scanner = Scanner::load(&files).unwrap();
    let text =
        "From: a@practice.example\nTo: b@other.example\nSubject: x\n\nEleanor Whitcomb has the flu list. Call 415-822-3224.\n";
    let message = parse(Plaintext::new(text.replace('\n', "\r\n").into_bytes()));
    let extracted = read(&message, &InProcess, Fuel::default());
    let findings = scan(&scanner, &message, &extracted);
    assert!(findings.phi.is_none() && !findings.has(Kind::Name) && !findings.has(Kind::Phone));
}
