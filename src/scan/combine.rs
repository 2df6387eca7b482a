//! Whether a person and a statement on health belong together: the half of the work that patterns cannot do.
//!
//! Anchors say who ([`Anchor`]), statements say what about health or care ([`Statement`]), and how they stand to each other
//! says whether the one is about the other. The three numbers are added; [`PHI`] is enough.

use std::ops::Range;

use super::dictionary::{Cue, Meaning};
use super::findings::{Combination, Kind, Reason};
use super::identifier::Hit;
use super::lexicon::Hash;
use super::page::{Page, Zone};
use super::person::{Person, Role, UNSURE, date_follows};
use crate::extract::{HeaderField, Place};
use crate::message::PartPath;

/// From this sum on, person and health belong together. A bare name and a plain health term need to stand near each other;
/// a patient by label needs them in the same message only; a weak word never does with a bare name.
pub(super) const PHI: u32 = 72;

/// What a score is told as at most.
const SCORE_MAX: u32 = 100;

/// More than a label says: the practice itself says that this is a patient.
const OWN_PATIENT: i32 = 44;

/// What the address of a private writer is worth as "who" for what they say of themself or their family.
const OWN_WRITER: i32 = 32;

/// How far behind a name "he" and "she" still mean whom it names, in bytes.
const REFERS_MAX: usize = 900;

/// From this density on a sentence is a statement on health, and from that on a sure one.
const DENSE: u32 = 4;
const VERY_DENSE: u32 = 7;

/// What somebody named for their work is worth.
const WORKER: i32 = 8;

/// What each further statement adds, and all of them at most.
const COMPANY: i32 = 3;
const COMPANY_MAX: i32 = 9;

/// Most anchors and statements that are compared in one text; a register has thousands, and a few decide.
const COMPARED_MAX: usize = 400;

/// Something that says who.
#[derive(Clone, Debug)]
struct Anchor {
    at: Range<usize>,
    sentence: usize,
    line: usize,
    strength: i32,
    reason: Reason,
}

/// Something that says what about health, care or its payment.
#[derive(Clone, Debug)]
struct Statement {
    at: Range<usize>,
    sentence: usize,
    line: usize,
    strength: i32,
    reason: Reason,
    /// Which words it is made of: said twice, it is one.
    word: u64,
    /// The reader is spoken to in its sentence ...
    to_reader: bool,
    /// ... or the writer speaks of themself ...
    of_writer: bool,
    /// ... or of their own body, care or family ...
    own: bool,
    /// ... or of him or her.
    of_third: bool,
}

/// What one text gives to the decision.
pub(super) struct Sheet {
    /// Number of the text: two readings of one text are one.
    text: usize,
    place: Place,
    anchors: Vec<Anchor>,
    statements: Vec<Statement>,
    /// Lines that are records: cells or fields side by side.
    records: Vec<bool>,
    /// The writer's own family or body is spoken of.
    has_family: bool,
}

/// What the header section says about the reader.
pub(super) struct Circumstances {
    /// The one recipient has a personal address and a name.
    pub personal_reader: bool,
    /// Somebody from outside the reader's house writes under an address of their own.
    pub private_writer: bool,
    /// A list, a newsletter, an advertisement.
    pub is_bulk: bool,
    /// Somebody asks for work, learns, teaches or is licensed: what they can do is nobody's illness.
    pub is_application: bool,
    /// As above, less surely.
    pub is_work: bool,
}

impl Sheet {
    pub(super) fn of(text: usize, place: Place, page: &Page<'_>, persons: &[Person], hits: &[Hit]) -> Sheet {
        let records = page.lines.iter().map(|line| line.separator.is_some()).collect();
        let mut sheet = Sheet {
            text,
            place,
            anchors: anchors(page, persons, hits),
            statements: statements(page, persons, hits),
            records,
            has_family: page.holds(Cue::OwnBody),
        };
        sheet.anchors.truncate(COMPARED_MAX);
        if sheet.statements.len() > COMPARED_MAX {
            sheet.statements.truncate(COMPARED_MAX);
        }
        sheet
    }
}

impl Sheet {
    /// Somebody of the practice's own list: as sure as an anchor gets.
    pub(super) fn own_patient(&mut self, page: &Page<'_>, at: Range<usize>) {
        let (sentence, line) = (page.sentence_at(at.start), page.line_at(at.start));
        self.anchors.push(Anchor { at, sentence, line, strength: OWN_PATIENT, reason: Reason::OwnPatient });
    }

    /// The anchors that speak for the text towards others: the strongest bare one and the strongest other one.
    fn spokesmen(&self) -> impl Iterator<Item = &Anchor> {
        let strongest =
            |bare: bool| self.anchors.iter().filter(|anchor| anchor.is_bare() == bare).max_by_key(|anchor| anchor.strength);
        [strongest(true), strongest(false)].into_iter().flatten()
    }
}

impl Sheet {
    /// What several statements in a short text add to each: no single one says much, together they are of somebody.
    fn company(&self) -> i32 {
        let mut words: Vec<u64> = self.statements.iter().map(|statement| statement.word).collect();
        words.sort_unstable();
        words.dedup();
        let others = i32::try_from(words.len()).unwrap_or(0) - 1;
        (others * COMPANY).clamp(0, COMPANY_MAX)
    }
}

impl Anchor {
    /// Named, and no more.
    fn is_bare(&self) -> bool {
        matches!(self.reason, Reason::PersonNamed | Reason::ReaderByName | Reason::WriterAboutSelf)
    }
}

fn anchors(page: &Page<'_>, persons: &[Person], hits: &[Hit]) -> Vec<Anchor> {
    let mut out = Vec::new();
    let mut add = |at: Range<usize>, strength: i32, reason| {
        out.push(Anchor { sentence: page.sentence_at(at.start), line: page.line_at(at.start), at, strength, reason });
    };
    // "Max, neuter; Luna, dental": a patient with one name may be an animal.
    let is_animal = page.cues.iter().any(|hit| hit.cue == Cue::Animal);
    let is_clinical = is_clinical(page);
    for hit in page.cues.iter().filter(|hit| hit.cue == Cue::YourFamily) {
        add(hit.start..hit.end, 18, Reason::PersonNamed);
    }
    for person in persons {
        if is_animal && person.score <= UNSURE {
            continue;
        }
        let is_beside = has_identifier_beside(page, &person.span, hits);
        let (strength, reason) = match person.role {
            // One word that may be a name, spoken of as a patient.
            Role::Patient if person.score <= UNSURE && !is_beside => (32, Reason::PatientLabel),
            Role::Patient => (40, Reason::PatientLabel),
            // Who writes with name and birth date writes as a patient.
            Role::Writer if is_beside => (40, Reason::WriterAboutSelf),
            Role::Writer => (35, Reason::WriterAboutSelf),
            Role::Reader => (30, Reason::ReaderByName),
            Role::Person if is_beside => (38, Reason::NameWithIdentifier),
            // Who may be a brand must have the illness in the same sentence.
            Role::Person if person.score <= UNSURE => (if is_clinical { 22 } else { 18 }, Reason::PersonNamed),
            // Two words that are names and little else, where nothing is said in general.
            Role::Person
                if person.score >= 90 && !page.has_cue(page.sentence_span(page.sentence_at(person.span.start)), Cue::General) =>
            {
                (30, Reason::PersonNamed)
            }
            Role::Person if is_clinical => (30, Reason::PersonNamed),
            Role::Person => (25, Reason::PersonNamed),
            Role::Worker => (WORKER, Reason::PersonNamed),
            Role::Provider | Role::Sender => continue,
        };
        add(person.span.clone(), strength, reason);
    }
    for hit in hits {
        let strength = match hit.kind {
            Kind::Mrn | Kind::Mbi | Kind::Medicaid | Kind::HealthPlan if hit.score >= 80 => 35,
            Kind::Mrn => 28,
            Kind::Ssn => 30,
            Kind::Dob => 28,
            Kind::Account | Kind::License | Kind::Device => 18,
            _ => continue,
        };
        let sentence = page.sentence_span(page.sentence_at(hit.span.start));
        let is_work = page.has_cue(sentence, Cue::StaffRole) || page.has_cue(page.cell(hit.span.start), Cue::Example);
        add(hit.span.clone(), if is_work { strength - 22 } else { strength }, Reason::RecordNumber);
    }
    out.sort_unstable_by_key(|anchor| anchor.at.start);
    out
}

/// Written the way notes are: two signs of clinical shorthand at two places.
fn is_clinical(page: &Page<'_>) -> bool {
    page.cues.iter().filter(|hit| hit.cue == Cue::Shorthand).nth(1).is_some()
}

/// A birth date, record or insurance number in the same line or shortly behind the name.
fn has_identifier_beside(page: &Page<'_>, span: &Range<usize>, hits: &[Hit]) -> bool {
    let line = page.lines.get(page.line_at(span.start)).map_or(0..0, |line| line.start..line.end);
    let (from, to) = (line.start.max(span.start.saturating_sub(200)), line.end.min(span.end + 200).max(span.end + 90));
    let first = hits.partition_point(|hit| hit.span.end <= from);
    date_follows(page, span.end)
        || hits
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(|hit| hit.span.start < to)
            .any(|hit| matches!(hit.kind, Kind::Dob | Kind::Mrn | Kind::Ssn | Kind::Mbi | Kind::HealthPlan | Kind::Medicaid))
}

/// What a sentence says about all statements in it.
#[derive(Clone, Copy, Default)]
struct Tone {
    general: bool,
    conditional: bool,
    to_reader: bool,
    of_writer: bool,
    own: bool,
    of_third: bool,
    payment: bool,
    terms: u32,
    /// How clinical its words are, all together: no single one of them says much.
    density: u32,
    /// Where the first and the last of them stand.
    dense: (usize, usize),
    /// Which words were counted, a bit each: a word that comes again says no more.
    counted: u64,
}

impl Tone {
    fn thicken(&mut self, by: u32, at: Range<usize>, text: &str) {
        let bit = 1 << (Hash::of(text.as_bytes()).spread() % 64);
        if self.counted & bit != 0 {
            return;
        }
        self.counted |= bit;
        if self.density == 0 {
            self.dense = (at.start, at.end);
        }
        self.density += by;
        self.dense = (self.dense.0.min(at.start), self.dense.1.max(at.end));
    }
}

fn statements(page: &Page<'_>, persons: &[Person], hits: &[Hit]) -> Vec<Statement> {
    let clinical = is_clinical(page);
    let mut tones = vec![Tone::default(); page.sentences.len()];
    for hit in &page.cues {
        let Some(tone) = tones.get_mut(page.sentence_at(hit.start)) else { continue };
        match hit.cue {
            // "sleep study" is a test, not a study.
            Cue::General | Cue::Bulk => tone.general |= !is_inside_term(page, hit.start),
            Cue::Conditional => tone.conditional = true,
            Cue::You => tone.to_reader = true,
            Cue::FirstPerson => tone.of_writer = true,
            Cue::OwnBody => (tone.of_writer, tone.own) = (true, true),
            Cue::Pronoun => tone.of_third = true,
            Cue::Payment => tone.payment = true,
            Cue::ChartWord | Cue::CareHint | Cue::Body | Cue::BadState if !is_place(page, hit.start, hit.end) => {
                let by = if hit.cue == Cue::ChartWord { 2 } else { 1 };
                tone.thicken(by, hit.start..hit.end, page.slice(hit.start..hit.end));
            }
            _ => {}
        }
    }
    for term in page.terms.iter().filter(|term| !matches!(term.meaning, Meaning::Insurer | Meaning::Specialty)) {
        if let Some(tone) = tones.get_mut(page.sentence_at(term.start)) {
            tone.terms += 1;
            // "Heart and Vascular Center"
            if !is_place(page, term.start, term.end) {
                tone.thicken(2, term.start..term.end, page.slice(term.start..term.end));
            }
        }
    }
    // A patient named in the sentence makes it about them, however general its words.
    for person in persons.iter().filter(|person| matches!(person.role, Role::Patient | Role::Person | Role::Writer)) {
        if let Some(tone) = tones.get_mut(page.sentence_at(person.span.start))
            && (person.role != Role::Person || has_identifier_beside(page, &person.span, hits))
        {
            tone.general = false;
            tone.conditional = false;
        }
    }
    let mut out = Vec::new();
    let mut add = |at: Range<usize>, strength: i32, reason| {
        let sentence = page.sentence_at(at.start);
        let mut tone = tones.get(sentence).copied().unwrap_or_default();
        // "Can you send my Synthroid": what is called one's own is, whatever the sentence asks.
        if strength >= 20 && reason != Reason::CareWords && is_called_own(page, at.start) {
            (tone.own, tone.of_writer, tone.conditional) = (true, true, false);
        }
        let doubt = if tone.general { 22 } else { 0 } + if tone.conditional { 14 } else { 0 };
        if strength > doubt && page.zone_at(at.start) == Zone::Body {
            let word = Hash::of(page.slice(at.clone()).as_bytes()).spread();
            out.push(Statement {
                sentence,
                line: page.line_at(at.start),
                at,
                strength: strength - doubt,
                reason,
                word,
                to_reader: tone.to_reader && !tone.conditional && !tone.general,
                of_writer: tone.of_writer && !tone.conditional,
                own: tone.own && !tone.general,
                of_third: tone.of_third && !tone.general,
            });
        }
    };
    for term in &page.terms {
        let is_name = is_in_name(persons, term.start, term.end);
        if is_name || is_in_address(hits, term.start, term.end) || is_place(page, term.start, term.end) {
            continue;
        }
        let span = term.start..term.end;
        let tone = tones.get(page.sentence_at(term.start)).copied().unwrap_or_default();
        let weak = if tone.terms > 1 || clinical { 20 } else { 12 };
        let fact = is_labelled(page, term.start);
        let (base, reason) = match term.meaning {
            Meaning::Condition(2) => (30, Reason::HealthTerm),
            Meaning::Symptom(2) => (26, Reason::HealthTerm),
            Meaning::Drug(2) if has_dose(page, term.end) => (38, Reason::ClinicalFact),
            Meaning::Drug(2) => (30, Reason::HealthTerm),
            Meaning::Procedure(2) => (28, Reason::HealthTerm),
            // "$19.25/hr"
            Meaning::Lab(_) if is_unit(page, term.start) => continue,
            Meaning::Lab(_) if value_follows(hits, term.end) => (40, Reason::ClinicalFact),
            // "Testosterone cyp 200 mg": a test by name, a drug by its dose.
            Meaning::Lab(_) if has_dose(page, term.end) => (30, Reason::HealthTerm),
            Meaning::Lab(2) => (22, Reason::HealthTerm),
            Meaning::Condition(_) | Meaning::Symptom(_) | Meaning::Drug(_) | Meaning::Procedure(_) | Meaning::Lab(_) => {
                (weak, Reason::HealthTerm)
            }
            Meaning::Insurer => (if tone.payment { 16 } else { 10 }, Reason::PaymentForCare),
            Meaning::Specialty | Meaning::Cue(_) => continue,
        };
        if fact && reason == Reason::HealthTerm {
            add(span, base + 8, Reason::ClinicalFact);
        } else {
            add(span, base, reason);
        }
    }
    // "Skin was closed with running chromic suture": a sentence of chart words says what was done, whatever it was.
    for tone in tones.iter().filter(|tone| tone.density >= DENSE) {
        let strength = if tone.density >= VERY_DENSE { 30 } else { 25 };
        add(tone.dense.0..tone.dense.1, strength, Reason::HealthTerm);
    }
    for (span, strength) in super::body::complaints(page) {
        add(span, strength, Reason::HealthTerm);
    }
    for hit in hits {
        let (strength, reason) = match hit.kind {
            Kind::Icd10 | Kind::Icd9 | Kind::Pcs => (40, Reason::ClinicalFact),
            Kind::LabValue => (22, Reason::ClinicalFact),
            Kind::Cpt | Kind::Hcpcs => (26, Reason::ClinicalFact),
            Kind::Ndc | Kind::Loinc => (20, Reason::ClinicalFact),
            _ => continue,
        };
        add(hit.span.clone(), strength, reason);
    }
    for hit in &page.cues {
        let (strength, reason) = match hit.cue {
            Cue::CareStrong => (20, Reason::CareWords),
            Cue::Care => (12, Reason::CareWords),
            Cue::Shorthand if clinical => (14, Reason::CareWords),
            _ => continue,
        };
        if !is_place(page, hit.start, hit.end) {
            add(hit.start..hit.end, strength, reason);
        }
    }
    if out.len() > COMPARED_MAX {
        out.sort_unstable_by_key(|statement| (std::cmp::Reverse(statement.strength), statement.at.start));
        out.truncate(COMPARED_MAX);
    }
    out.sort_unstable_by_key(|statement| (statement.at.start, std::cmp::Reverse(statement.strength)));
    out
}

/// "my " right before, or as its first word.
fn is_called_own(page: &Page<'_>, at: usize) -> bool {
    page.slice(at.saturating_sub(4)..at).trim_start().eq_ignore_ascii_case("my ")
        || page.slice(at..(at + 3).min(page.text.len())).eq_ignore_ascii_case("my ")
}

/// Whether a span overlaps a person's name.
pub(super) fn is_in_name(persons: &[Person], start: usize, end: usize) -> bool {
    let from = persons.partition_point(|person| person.span.end <= start);
    persons.get(from).is_some_and(|person| person.span.start < end)
}

/// Part of a postal or mail address or a link: "Danbury, CT 06810" is no scan.
pub(super) fn is_in_address(hits: &[Hit], start: usize, end: usize) -> bool {
    let from = hits.partition_point(|hit| hit.span.end <= start);
    hits.get(from).is_some_and(|hit| hit.span.start < end && matches!(hit.kind, Kind::Address | Kind::Email | Kind::Url))
}

fn is_inside_term(page: &Page<'_>, at: usize) -> bool {
    let next = page.terms.partition_point(|term| term.start <= at);
    next.checked_sub(1).and_then(|index| page.terms.get(index)).is_some_and(|term| term.end > at)
}

/// "Diabetes Institute", "hypertension congress", "Society for Asthma": a place or event, nobody's illness.
fn is_place(page: &Page<'_>, start: usize, end: usize) -> bool {
    if !page.holds(Cue::Facility) {
        return false;
    }
    let is_joining = |between: &str| {
        between.len() <= 28
            && !between.contains(['.', ',', ';', ':', '\n', '\t', '(', ')', '/'])
            && between.split(' ').filter(|word| !word.is_empty()).all(|word| {
                matches!(word, "and" | "&" | "of" | "for" | "the" | "on") || word.starts_with(|c: char| c.is_ascii_uppercase())
            })
    };
    let is_written_big = || page.slice(start..end).starts_with(|c: char| c.is_ascii_uppercase());
    let behind = page.facilities_in(end..end + 32).any(|hit| {
        let between = page.slice(end..hit.start);
        let is_big = page.slice(hit.start..hit.end).starts_with(|c: char| c.is_ascii_uppercase());
        between == " " || (is_joining(between) && (is_big || is_written_big()))
    });
    let before = page.facilities_in(start.saturating_sub(28)..start).any(|hit| {
        let between = page.slice(hit.end.min(start)..start);
        hit.end <= start
            && matches!(between.trim(), "of" | "for" | "on" | "for the" | "of the")
            && page.slice(hit.start..hit.end).starts_with(|c: char| c.is_ascii_uppercase())
    });
    behind || before
}

/// A field or column of clinical content: "Diagnosis: ", "diagnosed with ".
fn is_labelled(page: &Page<'_>, at: usize) -> bool {
    page.holds(Cue::HealthLabel)
        && (page.cues_in(at.saturating_sub(32)..at).any(|hit| hit.cue == Cue::HealthLabel && hit.end <= at && at - hit.end <= 3)
            || page.column(at).any(|cue| cue == Cue::HealthLabel))
}

/// "50 mg", "2 tablets" shortly behind a drug.
fn has_dose(page: &Page<'_>, at: usize) -> bool {
    let rest = page.slice(at..(at + 24).min(page.text.len())).to_ascii_lowercase();
    let digits = rest.find(|c: char| c.is_ascii_digit());
    digits.is_some_and(|from| from <= 8)
        && ["mg", "mcg", " g ", "ml", "unit", "iu", "%", "tab", "cap", "puff"]
            .iter()
            .any(|unit| rest.get(digits.unwrap_or(0)..).is_some_and(|rest| rest.contains(unit)))
}

/// Behind a stroke: what an amount is for.
fn is_unit(page: &Page<'_>, at: usize) -> bool {
    page.slice(at.saturating_sub(1)..at) == "/"
}

fn value_follows(hits: &[Hit], at: usize) -> bool {
    let from = hits.partition_point(|hit| hit.span.start < at);
    hits.get(from..).unwrap_or_default().iter().take_while(|hit| hit.span.start <= at + 26).any(|hit| hit.kind == Kind::LabValue)
}

/// The strongest pair of a person and a statement in the message; [`PHI`] says whether it is enough.
pub(super) fn combine(sheets: &[Sheet], circumstances: &Circumstances) -> Option<Combination> {
    let mut best: Option<(i32, [Reason; 3])> = None;
    let least = std::cell::Cell::new(i32::MIN);
    let mut take = |score: i32, reasons: [Reason; 3]| {
        if score > least.get() || best.is_none() {
            least.set(score);
            best = Some((score, reasons));
        }
    };
    // What goes to many tells news of people more often than it speaks of a patient.
    let doubt = |anchor: &Anchor| match anchor.reason {
        Reason::PersonNamed if circumstances.is_bulk => 20,
        Reason::ReaderByName | Reason::NameWithIdentifier if circumstances.is_bulk => 15,
        Reason::PatientLabel if circumstances.is_bulk && anchor.strength < 40 => 15,
        _ => 0,
    };
    // Of work, courses and licences illnesses are spoken of in general; a dose, a value, a code is somebody's.
    let doubt = |anchor: &Anchor, statement: &Statement| {
        let of_work = match (anchor.reason, statement.reason) {
            (_, Reason::ClinicalFact) => 0,
            (Reason::PersonNamed | Reason::NameWithIdentifier | Reason::RecordNumber | Reason::WriterAboutSelf, _)
                if circumstances.is_application =>
            {
                26
            }
            (Reason::PersonNamed | Reason::NameWithIdentifier | Reason::RecordNumber, _) if circumstances.is_work => 20,
            _ => 0,
        };
        doubt(anchor).max(of_work)
    };
    let has_family = sheets.iter().any(|sheet| sheet.has_family);
    let strongest: Vec<(&Statement, &Sheet)> = sheets
        .iter()
        .filter_map(|sheet| {
            sheet.statements.iter().max_by_key(|statement| statement.strength).map(|statement| (statement, sheet))
        })
        .collect();
    for sheet in sheets {
        let company = if circumstances.is_bulk || circumstances.is_work { 0 } else { sheet.company() };
        for anchor in &sheet.anchors {
            // Who is named for their work, or only greeted, gains nothing by it.
            let gain = if anchor.strength > WORKER && anchor.reason != Reason::ReaderByName { company } else { 0 };
            for statement in &sheet.statements {
                let doubt = doubt(anchor, statement) - gain;
                // Most pairs are too weak however they stand to each other.
                if anchor.strength - doubt + statement.strength + LINK_MAX <= least.get() {
                    continue;
                }
                let (link, how) = inside(sheet, anchor, statement);
                take(anchor.strength - doubt + statement.strength + link, [anchor.reason, statement.reason, how]);
            }
        }
        for anchor in sheet.spokesmen() {
            for (strongest, other) in strongest.iter().filter(|(_, other)| other.text != sheet.text) {
                let doubt = doubt(anchor, strongest);
                let (link, how) = across(sheet, other, anchor, strongest);
                take(anchor.strength - doubt + strongest.strength + link, [anchor.reason, strongest.reason, how]);
            }
        }
        let writes_of_self = circumstances.private_writer && !circumstances.is_bulk && !circumstances.is_application;
        if writes_of_self {
            for statement in sheet.statements.iter().filter(|statement| statement.own) {
                take(OWN_WRITER + statement.strength + 28, [Reason::WriterAboutSelf, statement.reason, Reason::SameSentence]);
            }
        }
        if writes_of_self {
            let of_family = has_family && sheet.anchors.iter().all(|anchor| anchor.strength < 40);
            for statement in sheet.statements.iter().filter(|statement| statement.strength >= 20) {
                if (statement.of_third && of_family) || statement.of_writer {
                    take(OWN_WRITER + statement.strength + 18, [Reason::WriterAboutSelf, statement.reason, Reason::SameText]);
                }
            }
        }
        if circumstances.personal_reader && !circumstances.is_bulk {
            for statement in sheet.statements.iter().filter(|statement| statement.to_reader && statement.strength >= 20) {
                take(25 + statement.strength + 25, [Reason::ReaderByAddress, statement.reason, Reason::SameSentence]);
            }
        }
    }
    if circumstances.personal_reader
        && !circumstances.is_bulk
        && !sheets.iter().any(|sheet| sheet.anchors.iter().any(|anchor| anchor.strength >= 25))
    {
        // A letter to one private person, nobody else named, that states an illness and speaks of care.
        for sheet in sheets.iter().filter(|sheet| matches!(sheet.place, Place::Body(_))) {
            let has_care =
                sheet.statements.iter().any(|statement| statement.reason == Reason::CareWords && statement.strength >= 20);
            let health =
                sheet.statements.iter().filter(|statement| statement.strength >= 28).map(|statement| statement.strength).max();
            if let Some(strength) = health.filter(|_| has_care) {
                take(25 + strength + 18, [Reason::ReaderByAddress, Reason::HealthTerm, Reason::SameText]);
            }
        }
    }
    let (score, reasons) = best.filter(|(score, _)| *score > 0)?;
    Some(Combination { score: score.unsigned_abs().min(SCORE_MAX), reasons: reasons.to_vec() })
}

/// The most that [`inside`] gives.
const LINK_MAX: i32 = 42;

/// How a person and a statement in one text stand to each other.
fn inside(sheet: &Sheet, anchor: &Anchor, statement: &Statement) -> (i32, Reason) {
    let overlaps = anchor.at.start < statement.at.end && statement.at.start < anchor.at.end;
    if overlaps {
        return (-100, Reason::SameText);
    }
    let distance = if anchor.at.end <= statement.at.start {
        statement.at.start - anchor.at.end
    } else {
        anchor.at.start.saturating_sub(statement.at.end)
    };
    // An employee whose illness is spoken of is somebody's patient.
    let refers =
        statement.of_third && anchor.strength <= WORKER && statement.strength >= 26 && statement.reason != Reason::CareWords;
    if anchor.reason == Reason::PersonNamed && refers && anchor.at.end <= statement.at.start && distance <= REFERS_MAX {
        return (LINK_MAX, Reason::Nearby);
    }
    match anchor.reason {
        // The reader's or writer's own health is spoken of as "your" and "my".
        Reason::ReaderByName => return if statement.to_reader { (26, Reason::SameSentence) } else { (8, Reason::SameText) },
        Reason::WriterAboutSelf if statement.of_writer => return (28, Reason::SameSentence),
        _ => {}
    }
    if anchor.line == statement.line && sheet.records.get(anchor.line) == Some(&true) {
        (30, Reason::SameRecord)
    } else if anchor.sentence == statement.sentence && anchor.at.end <= statement.at.start && distance <= 3 {
        // "Anna Baker's biopsy", "Anna Baker: asthma".
        (34, Reason::SameSentence)
    } else if anchor.sentence == statement.sentence {
        (30, Reason::SameSentence)
    } else if statement.of_third && anchor.at.end <= statement.at.start && distance <= REFERS_MAX {
        // "Anna Baker came in. She ...": he and she are whoever was named.
        (if distance <= 300 { 28 } else { 23 }, Reason::Nearby)
    } else if anchor.reason == Reason::PersonNamed && anchor.strength > 25 {
        // However sure the name is: what stands in another sentence is about somebody else as easily.
        (if distance <= 300 { 17 } else { 9 }, Reason::Nearby)
    } else if anchor.reason == Reason::NameWithIdentifier && statement.reason == Reason::CareWords && statement.strength < 20 {
        // "Coverage", "visit": words of care that other trades use.
        (12, Reason::Nearby)
    } else if distance <= 300 {
        (22, Reason::Nearby)
    } else {
        (14, Reason::SameText)
    }
}

/// How far apart two texts of one message are.
fn across(anchor_sheet: &Sheet, other: &Sheet, anchor: &Anchor, statement: &Statement) -> (i32, Reason) {
    let part = |place: &Place| -> Option<PartPath> {
        match place {
            Place::Header(part, _) | Place::Body(part) | Place::FileName(part) | Place::Attachment(part) => Some(part.clone()),
            Place::Gap => None,
        }
    };
    let is_subject = |place: &Place| matches!(place, Place::Header(_, HeaderField::Subject));
    let is_bare = anchor.is_bare();
    if is_subject(&anchor_sheet.place) || is_subject(&other.place) {
        // A subject is about what follows, and "she" is whom it names.
        let refers = is_subject(&anchor_sheet.place) && statement.of_third;
        return (
            if refers {
                25
            } else if is_bare {
                18
            } else {
                20
            },
            Reason::SameText,
        );
    }
    if part(&anchor_sheet.place) == part(&other.place) && part(&other.place).is_some() {
        return (14, Reason::SameText);
    }
    (if is_bare { 4 } else { 9 }, Reason::OtherText)
}
