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
fn one_name_among_colleagues_is_a_patient() {
    for (subject, body) in [
        ("INR", "Tillotson INR 4.6 today. Hold tonight and recheck Fri?"),
        ("214B", "Grzybowski fell out of bed 0310, skin tear L elbow, on Eliquis."),
        ("Kowalczyk", "Move her ORIF to Wed first case, she ate breakfast."),
        ("Baby Esposito", "Day 9, down 11% from BW. Poor latch, tight frenulum."),
    ] {
        assert!(letter(subject, body).phi.is_some(), "{subject}: {body}");
    }
}

#[test]
fn learning_teaching_licences_and_rotas_are_nobodys_illness() {
    for (subject, body) in [
        ("Certificate", "This certifies that Elsa Lindqvist took part in \"Dementia and Falls\" on April 4 and 5."),
        (
            "Speakers",
            "Your keynote on impacted canines is at nine. Honorarium $1,500. Questions to Lacey Drummond, 401-555-0192.",
        ),
        ("Your student", "Beatriz Quintanilha will join you for her clerkship in May. She would love to see joint injections."),
        ("LPN opening", "I have four years in urgent care and know asthma teaching. I can interview any day. Kiona Yellowhorse"),
        (
            "Rota",
            "         Mon      Tue      Wed      Thu      Fri\nFront    Chantal  Chantal  Gloria   Gloria   Rosa\nColpo    Rosa     -        Dana     Dana     -",
        ),
        (
            "Recredentialing",
            "Provider: Ramona Teller, FNP-BC\nDOB: 05/22/1972\nDEA: MT0000000\nSpecialty: HIV medicine\n\nPlease re-attest.",
        ),
    ] {
        let findings = letter(subject, body);
        assert!(findings.phi.is_none(), "{subject}: {body}: {:?}", findings.phi);
    }
}

/// Words that also speak of work, travel or computers must not hide what is said of somebody.
#[test]
fn words_of_other_trades_hide_nobodys_health() {
    for (subject, body) in [
        ("fyi", "Anna Baker has HIV."),
        ("fyi", "Jason Miller: COPD, call him."),
        ("fyi", "KIM: off pressors, DVT ppx"),
        ("fyi", "Robert Hale was the passenger, fractured femur."),
        ("fyi", "Appointment confirmation for Maria Lopez: colonoscopy 6/3 at 8."),
        ("fyi", "Resume for Anna Baker: metformin 500 mg twice daily"),
        ("fyi", "Nadia Castellanos has chronic pancreatitis.\n\nRegards,\nAda Quill\nSee our job posting online"),
        ("from clerkship", "Our clerkship ends today. Anna Baker: metformin 500 mg twice daily."),
        ("dea", "Dr. Tom Reed, DEA AB1234563, sends this: DOB 4/17/1962, oxycodone 5 mg."),
        ("turned", "\u{202e}txet\u{202c} and\nA n n a B a k e r h a s d i a b e t e s"),
        ("see cover letter", "Nadia Castellanos has chronic pancreatitis."),
    ] {
        let findings = letter(subject, body);
        assert!(findings.phi.is_some(), "{subject}: {body}");
    }
}

/// Names of today's children, chart words together, and she is whom the text named.
#[test]
fn what_no_single_word_says_is_found_together() {
    for (subject, body) in [
        ("fyi", "Note on Brielle Sorensen. The fascia was closed with a running chromic suture."),
        ("fyi", "Aiden Okafor came in today. She has been limping, her left knee gave out."),
        ("fyi", "Zoey Kowalczyk - the ureter was dilated and the stent removed."),
    ] {
        let findings = letter(subject, body);
        assert!(findings.phi.is_some(), "{subject}: {body}");
    }
    for (subject, body) in [
        ("application", "My resume is attached. Skilled in EKG and phlebotomy. Brielle Sorensen"),
        ("minutes", "Brielle Sorensen of the Heart and Vascular Center sends the minutes."),
    ] {
        let findings = letter(subject, body);
        assert!(findings.phi.is_none(), "{subject}: {body}");
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

// --- own patients ----------------------------------------------------------------------------------------------------

/// A list with an unkeyed hash: what counts here is who is recognised.
fn list(csv: &str) -> crate::patients::Patients {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let hasher = std::sync::Arc::new(|field: crate::patients::Field, form: &str| {
        let mut hasher = DefaultHasher::new();
        (field, form).hash(&mut hasher);
        hasher.finish()
    });
    let mut builder = crate::patients::Builder::new(hasher);
    crate::patients::read(csv).unwrap().rows.iter().for_each(|row| builder.add(row));
    builder.finish(crate::mail::Timestamp(0))
}

fn with_list(patients: &crate::patients::Patients, body: &str) -> Findings {
    let text = format!("From: desk@practice.example\r\nTo: someone@elsewhere.example\r\nSubject: x\r\n\r\n{body}\r\n");
    let message = crate::message::parse(crate::secret::Plaintext::new(text.into_bytes()));
    let extracted = crate::extract::read(&message, &crate::extract::InProcess, crate::extract::Fuel::default());
    scan_with(Scanner::shared(), Some(patients), &message, &extracted)
}

#[test]
fn own_patients_are_recognised_however_they_are_written() {
    let patients = list(
        "last,first,dob,mrn,member id,ssn,phone,email,address\n\
         Xiangyu,Qorvelle,04/12/1961,00482913,XJK204859913,405-19-0261,804-555-0142,qorvelle@mail.example,12 Maple St\n\
         Baker,Anna,1970-05-06,55661,,,,,\n",
    );
    for (body, expected) in [
        ("Qorvelle Xiangyu, born April 12, 1961", Some(RecognisedBy::NameAndBirth)),
        ("XIANGYU, QORVELLE M.  DOB 4/12/61", Some(RecognisedBy::NameAndBirth)),
        ("qorvelle xiangyu (12 Apr 1961)", Some(RecognisedBy::NameAndBirth)),
        ("the chart 482913 is closed", Some(RecognisedBy::Number)),
        ("member ID XJK-204859913", Some(RecognisedBy::Number)),
        ("SSN 405 19 0261", Some(RecognisedBy::Number)),
        ("call Qorvelle Xiangyu at (804) 555-0142", Some(RecognisedBy::NameAndContact)),
        ("Qorvelle Xiangyu, 12 Maple Street", Some(RecognisedBy::NameAndContact)),
        ("born 04/12/1961, call 804.555.0142", Some(RecognisedBy::BirthAndContact)),
        // A name is not enough, nor a day, nor a phone, nor a number that anybody may have.
        ("Qorvelle Xiangyu sends regards", None),
        ("on 04/12/1961", None),
        ("call (804) 555-0142", None),
        ("room 55661", None),
        ("Anna Baker, born 04/12/1961", None),
        ("Anna Baker has MRN: 55661", Some(RecognisedBy::Number)),
        ("Qorvelle Baker, born April 12, 1961", None),
    ] {
        let found = with_list(&patients, body);
        assert_eq!(found.patients.first().map(|patient| patient.by), expected, "{body}");
    }
}

#[test]
fn an_own_patient_raises_the_score_and_repeats_count_once() {
    let patients = list("last,first,dob\nXiangyu,Qorvelle,04/12/1961\n");
    let body = "Qorvelle Xiangyu, born April 12, 1961, has diabetes. Qorvelle Xiangyu has diabetes.";
    let known = with_list(&patients, body);
    let unknown = with_list(&list("mrn\n99887766\n"), body);
    let score = |findings: &Findings| findings.nearest.as_ref().map_or(0, |nearest| nearest.score);
    assert!(known.phi.is_some() && known.phi.as_ref().unwrap().reasons.contains(&Reason::OwnPatient), "{:?}", known.phi);
    assert!(score(&known) > score(&unknown) || score(&unknown) == 100, "{:?}", unknown.nearest);
    let diabetes: Vec<bool> = known.hits.iter().filter(|hit| hit.kind == Kind::Diagnosis).map(|hit| hit.is_repeated).collect();
    assert_eq!(diabetes, [false, true]);
    assert_eq!(known.hits.iter().filter(|hit| hit.kind == Kind::OwnPatient).count(), 1);
}

#[test]
fn own_words_find_and_allow() {
    let text = "version = \"1\"\nowner = \"a\"\n[[pattern]]\nkind = \"mrn\"\npattern = '\\bQQ\\d{3}\\b'\nhits = [\"QQ123\"]\nmisses = [\"QQ12\"]\n[[allow]]\nwords = [\"(804) 555-0100\", \"Heart Failure House\"]\n";
    let words = Words::load(&[("a.toml".into(), text.into())]).unwrap();
    let shipped: Vec<(&str, &str)> = Scanner::shipped().collect();
    let scanner = Scanner::load_with(&shipped, &words).unwrap();
    let body = "QQ123 at Heart Failure House, phone 804.555.0100";
    let text = format!("From: desk@practice.example\r\nSubject: x\r\n\r\n{body}\r\n");
    let message = crate::message::parse(crate::secret::Plaintext::new(text.into_bytes()));
    let extracted = crate::extract::read(&message, &crate::extract::InProcess, crate::extract::Fuel::default());
    let found = |scanner: &Scanner, kind| scan(scanner, &message, &extracted).has(kind);
    let shared = Scanner::shared();
    assert!(found(&scanner, Kind::Mrn) && !found(shared, Kind::Mrn));
    assert!(found(shared, Kind::Phone) && !found(&scanner, Kind::Phone));
    assert!(found(shared, Kind::Diagnosis) && !found(&scanner, Kind::Diagnosis));
}

/// What is found in a text, as (kind, words), and the score.
type Told = (Vec<(Kind, String)>, u32);

fn told(findings: &Findings, text: &str) -> Told {
    let mut hits: Vec<(Kind, String)> = findings
        .hits
        .iter()
        .map(|hit| (hit.kind, text.get(hit.span.clone()).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    hits.sort();
    (hits, findings.nearest.as_ref().map_or(0, |nearest| nearest.score))
}

fn attachment(content: &str) -> Extracted {
    let place = Place::Attachment(crate::message::PartPath::root());
    let mut extracted = Extracted::default();
    extracted.texts.push(crate::extract::Text { place, content: content.to_owned() });
    extracted
}

fn as_one(content: &str) -> Told {
    let message = parse(Plaintext::new(b"Subject:\r\n\r\n".to_vec()));
    told(&scan(Scanner::shared(), &message, &attachment(content)), content)
}

fn in_pieces(content: &str) -> Told {
    let mut known = Known { own: HashSet::new(), providers: HashSet::new() };
    let mut book = Book { findings: Findings::default(), seen: HashSet::new(), sheets: Vec::new() };
    let extracted = attachment(content);
    read_in_pieces(Scanner::shared(), None, (0, &extracted.texts[0]), &mut known, &mut book);
    let nobody =
        Circumstances { personal_reader: false, private_writer: false, is_bulk: false, is_application: false, is_work: false };
    book.findings.nearest = combine::combine(&book.sheets, &nobody);
    told(&book.findings, content)
}

#[test]
fn wherever_a_large_text_is_cut_the_same_is_found() {
    let line = "The printer was mended and the window was cleaned by the people on the hill before noon.\n";
    for statement in [
        "The call that came this morning on the telephone was about Anna\nBaker, who has diabetes and takes metformin 500 mg.\n",
        "Patient: Walter Haines\nDOB: 4/17/1962\nMRN: 4471209\nDiagnosis: prostate cancer\n",
        "Gerald Pomeroy came in this morning with his brother. They waited for an hour.\nHe was told that he has hepatitis C.\n",
        "Dear Mr. Okonkwo,\n\nYour PSA came back at 9.2 and the urologist recommends a biopsy.\n\nSincerely,\nDr. Ada Quill\n",
    ] {
        for before in (30..50).map(|lines| line.repeat(lines)).flat_map(|text| [text.clone(), format!("{text}A few words.\n")]) {
            let text = format!("{before}{statement}{}", line.repeat(60));
            let (pieces, one) = (in_pieces(&text), as_one(&text));
            assert_eq!(pieces.0, one.0, "{} bytes before {statement}: {pieces:?} {one:?}", before.len());
            assert!(
                pieces.1 >= combine::PHI && one.1 >= combine::PHI,
                "{} bytes before {statement}: {pieces:?} {one:?}",
                before.len()
            );
        }
    }
}

#[test]
fn a_table_keeps_its_header_however_long_it_is() {
    let mut text = String::from("Patient\tBorn\tChart\tResult\n");
    for row in 0..900 {
        text += &format!("Walter Haines\t0{}/1{}/1962\t44{row:05}\tHIV positive\n", row % 9 + 1, row % 9);
    }
    assert!(text.len() > 8 * 4096);
    let (one, pieces) = (as_one(&text), in_pieces(&text));
    let count = |told: &Told| told.0.iter().filter(|(kind, _)| matches!(kind, Kind::Mrn | Kind::Dob)).count();
    assert_eq!(count(&one), 1800);
    assert_eq!(pieces, one);
}

/// What is kept of a text does not grow with what its words take.
#[test]
fn a_large_text_is_read_in_pieces() {
    let line = "Anna Baker has diabetes. ";
    let text = line.repeat(2 * pieces::WHOLE_MAX / line.len());
    let (whole, large) = by_size(&attachment(&text));
    assert_eq!((whole.len(), large.len()), (0, 1));
    let message = parse(Plaintext::new(b"Subject:\r\n\r\n".to_vec()));
    let findings = scan(Scanner::shared(), &message, &attachment(&text));
    assert!(findings.phi.is_some());
    let names = findings.hits.iter().filter(|hit| hit.kind == Kind::Name).count();
    assert_eq!(names, text.len() / line.len());
}
