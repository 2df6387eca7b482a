//! # scan: texts to findings
//!
//! [`scan`] finds identifiers, names and health terms in every text of a message and decides whether a person and a
//! statement on that person's health come together. Findings hold kinds and places, never text.
//!
//! Must not be here: reading files or attachments (`extract`), what to do about a finding (`policy`), a list of phrases
//! that some set of messages happens to use: words are in the dictionaries for what they mean.
//!
//! Reading order: `findings` → `normal` → `second` with `reversed` → `lexicon` → `vocabulary` → `dictionary` → `page` → `identifier` → `person` → `combine`.

mod body;
mod combine;
mod dictionary;
mod findings;
mod identifier;
mod lexicon;
mod normal;
mod own_patient;
mod page;
mod person;
mod reversed;
mod second;
mod vocabulary;
mod words;

use std::collections::HashSet;
use std::ops::Range;

pub use dictionary::{Cue, LoadError, Meaning, Scanner};
pub use findings::{Combination, Finding, Findings, Kind, Leg, OwnPatient, Reason, RecognisedBy};
pub use words::{Words, WordsError, WordsFile};

use crate::extract::{Extracted, HeaderField, Place};
use crate::message::Message;
use crate::patients::Patients;
use combine::{Circumstances, Sheet};
use identifier::Hit;
use normal::Normal;
use page::{Page, Shape, Zone};
use person::{Person, Role};

/// Most findings kept of one message; the rest changes nothing for anybody.
const FINDINGS_MAX: usize = 50_000;

/// One pass over all texts. Pure.
#[must_use]
pub fn scan(scanner: &Scanner, message: &Message, extracted: &Extracted) -> Findings {
    scan_with(scanner, None, message, extracted)
}

/// As [`scan`], with the practice's own patients.
#[must_use]
pub fn scan_with(scanner: &Scanner, patients: Option<&Patients>, message: &Message, extracted: &Extracted) -> Findings {
    let mut findings = Findings {
        unreadable: extracted.unreadable.clone(),
        images: extracted.images.clone(),
        limits_exceeded: extracted.limits_exceeded,
        ..Findings::default()
    };
    let firsts: Vec<Normal<'_>> = extracted.texts.iter().map(|text| normal::normalise(&text.content)).collect();
    let seconds: Vec<(usize, Normal<'_>)> = extracted
        .texts
        .iter()
        .zip(&firsts)
        .enumerate()
        .filter_map(|(index, (text, first))| Some((index, second::reading(&text.content, first, scanner)?)))
        .collect();
    let readings: Vec<Reading<'_>> = Reading::all(firsts, &seconds);
    let mut read: Vec<(Page<'_>, Vec<Person>, Vec<Hit>)> = readings
        .iter()
        .map(|reading| {
            let mut page = Page::of(&reading.normal.text, scanner);
            leave_out_allowed(&mut page);
            let persons = person::find(&page, scanner);
            let mut hits = identifier::find(&page, scanner);
            words::find(&scanner.patterns, &page, &mut hits);
            (page, persons, hits)
        })
        .collect();
    let place = |index: usize| readings.get(index).and_then(|reading| extracted.texts.get(reading.text)).map(|text| &text.place);
    settle_roles(message, &place, &mut read);
    let circumstances = circumstances(message, &read);
    let is_address = |index: usize| {
        matches!(place(index), Some(Place::Header(_, HeaderField::From | HeaderField::To | HeaderField::Cc | HeaderField::Other)))
    };
    findings.patients = patients.map(|patients| own_patient::find(patients, &read, is_address)).unwrap_or_default();
    let mut seen = HashSet::new();
    let mut sheets = Vec::new();
    for (index, (page, persons, hits)) in read.iter_mut().enumerate() {
        let (Some(reading), Some(place)) = (readings.get(index), place(index)) else { continue };
        hits.retain(|hit| {
            page.zone_at(hit.span.start) == Zone::Body
                || !matches!(hit.kind, Kind::Phone | Kind::Fax | Kind::Email | Kind::Address | Kind::Url)
        });
        persons
            .retain(|person| !page.cues_in(person.span.clone()).any(|hit| hit.cue == Cue::Allow && hit.end >= person.span.end));
        hits.retain(|hit| !page.cues_in(hit.span.clone()).any(|cue| cue.cue == Cue::Allow));
        report(&mut findings, reading, page, persons, hits, &mut seen);
        let mut sheet = Sheet::of(reading.text, place.clone(), page, persons, hits);
        for patient in findings.patients.iter_mut().filter(|patient| patient.text == index) {
            sheet.own_patient(page, patient.span.clone());
            patient.span = reading.original(&patient.span);
            let (kind, score) = (Kind::OwnPatient, patient.by.score());
            let is_repeated = !seen.insert((kind, u64::from(patient.number)));
            findings.hits.push(Finding { kind, text: reading.text, span: patient.span.clone(), score, is_repeated });
        }
        if !is_address(index) {
            sheets.push(sheet);
        }
    }
    for patient in &mut findings.patients {
        patient.text = readings.get(patient.text).map_or(patient.text, |reading| reading.text);
    }
    findings.nearest = combine::combine(&sheets, &circumstances);
    findings.phi = findings.nearest.clone().filter(|nearest| nearest.score >= combine::PHI);
    findings.hits.truncate(FINDINGS_MAX);
    findings
}

/// A text as it is read: most have one reading.
struct Reading<'t> {
    /// Number of the text.
    text: usize,
    normal: Normal<'t>,
    /// What a second reading is of: the text with its words told apart or joined.
    under: Option<&'t Normal<'t>>,
}

impl<'t> Reading<'t> {
    fn all(firsts: Vec<Normal<'t>>, seconds: &'t [(usize, Normal<'t>)]) -> Vec<Reading<'t>> {
        let first = firsts.into_iter().enumerate().map(|(text, normal)| Reading { text, normal, under: None });
        let second = seconds.iter().map(|(text, under)| Reading {
            text: *text,
            normal: normal::normalise(&under.text),
            under: Some(under),
        });
        first.chain(second).collect()
    }

    /// The span in the text as it is in the message.
    fn original(&self, span: &Range<usize>) -> Range<usize> {
        let span = self.normal.original(span);
        self.under.map_or(span.clone(), |under| under.original(&span))
    }
}

/// Health terms inside of what a practice allows, such as its own name, say nothing about anybody.
fn leave_out_allowed(page: &mut Page<'_>) {
    let allowed: Vec<Range<usize>> = page.cues.iter().filter(|hit| hit.cue == Cue::Allow).map(|hit| hit.start..hit.end).collect();
    if !allowed.is_empty() {
        page.terms.retain(|term| {
            let behind = allowed.partition_point(|span| span.start <= term.start);
            !allowed.get(..behind).unwrap_or_default().iter().rev().take(8).any(|span| span.end >= term.end)
        });
    }
}

/// A person who is the sender or a provider at one place is it at the others, unless named as the patient there.
fn settle_roles<'p>(
    message: &Message,
    place: &impl Fn(usize) -> Option<&'p Place>,
    read: &mut [(Page<'_>, Vec<Person>, Vec<Hit>)],
) {
    let mut own: HashSet<(String, String)> = HashSet::new();
    let mut providers: HashSet<(String, String)> = HashSet::new();
    for (index, (_, persons, _)) in read.iter_mut().enumerate() {
        let is_from = matches!(place(index), Some(Place::Header(_, HeaderField::From)));
        for person in persons.iter_mut() {
            if is_from {
                person.role = Role::Sender;
            }
            match person.role {
                Role::Sender => own.insert(person.key.clone()),
                Role::Provider => providers.insert(person.key.clone()),
                _ => false,
            };
        }
    }
    // Addresses such as anna.baker@ name their owner too.
    for from in message.header().all("From").flat_map(crate::message::Field::mailboxes) {
        let local = from.mailbox.local().as_str().to_ascii_lowercase();
        if let Some((first, last)) = local.split_once(['.', '_']) {
            own.insert((first.to_owned(), last.to_owned()));
        }
    }
    for (_, persons, _) in read.iter_mut() {
        for person in persons.iter_mut().filter(|person| matches!(person.role, Role::Person | Role::Reader)) {
            if own.contains(&person.key) {
                person.role = Role::Sender;
            } else if providers.contains(&person.key) {
                person.role = Role::Provider;
            }
        }
    }
}

/// Domains where people have their private mail.
const PERSONAL_DOMAINS: [&str; 24] = [
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "hotmail.com",
    "outlook.com",
    "live.com",
    "msn.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "aol.com",
    "comcast.net",
    "verizon.net",
    "att.net",
    "sbcglobal.net",
    "bellsouth.net",
    "cox.net",
    "charter.net",
    "earthlink.net",
    "protonmail.com",
    "proton.me",
    "gmx.com",
    "ymail.com",
    "mail.com",
];

/// Mailboxes that are nobody's own.
const ROLES: [&str; 16] = [
    "info",
    "office",
    "sales",
    "support",
    "admin",
    "contact",
    "billing",
    "list",
    "news",
    "newsletter",
    "marketing",
    "noreply",
    "no-reply",
    "events",
    "editor",
    "hello",
];

fn circumstances(message: &Message, read: &[(Page<'_>, Vec<Person>, Vec<Hit>)]) -> Circumstances {
    let header = message.header();
    let is_list = ["List-Id", "List-Unsubscribe", "List-Post", "Mailing-List"].iter().any(|name| header.first(name).is_some())
        || header
            .first("Precedence")
            .is_some_and(|field| matches!(field.decoded().trim().to_ascii_lowercase().as_str(), "bulk" | "list" | "junk"));
    let is_bulk = is_list || read.iter().any(|(page, ..)| page.cues.iter().any(|hit| hit.cue == Cue::Bulk));
    let readers: Vec<_> = header.all("To").chain(header.all("Cc")).flat_map(crate::message::Field::mailboxes).collect();
    let personal_reader = match &readers[..] {
        [only] => {
            // A role such as "info" has no letters of a name beside it.
            let is_role = ROLES.iter().any(|role| only.mailbox.local().as_str().eq_ignore_ascii_case(role));
            !is_role && PERSONAL_DOMAINS.contains(&only.mailbox.domain().as_str())
        }
        _ => false,
    };
    let private_writer = header.all("From").flat_map(crate::message::Field::mailboxes).next().is_some_and(|from| {
        let is_role = ROLES.iter().any(|role| from.mailbox.local().as_str().eq_ignore_ascii_case(role));
        !is_role && !readers.is_empty() && readers.iter().all(|reader| reader.mailbox.domain() != from.mailbox.domain())
    });
    let is_application = read.iter().any(|(page, ..)| page.holds(Cue::Application));
    Circumstances { personal_reader, private_writer, is_bulk, is_application }
}

/// What an identical finding has in common: its kind and its words, whatever their case and white space.
fn words_of(kind: Kind, text: &str) -> (Kind, u64) {
    let start = lexicon::Hash::START;
    let hash = text.split_ascii_whitespace().fold(start, |hash, word| word.bytes().fold(hash.byte(b' '), lexicon::Hash::byte));
    (kind, hash.spread())
}

/// Writes down what was found in one text; what two readings of it share, once.
fn report(
    findings: &mut Findings,
    reading: &Reading<'_>,
    page: &Page<'_>,
    persons: &[Person],
    hits: &[Hit],
    seen: &mut HashSet<(Kind, u64)>,
) {
    let text = reading.text;
    let known: HashSet<(Kind, usize)> = match reading.under {
        Some(_) => findings.hits.iter().filter(|hit| hit.text == text).map(|hit| (hit.kind, hit.span.start)).collect(),
        None => HashSet::new(),
    };
    let mut add = |kind, span: &Range<usize>, score| {
        let original = reading.original(span);
        if !known.contains(&(kind, original.start)) {
            let is_repeated = !seen.insert(words_of(kind, page.slice(span.clone())));
            findings.hits.push(Finding { kind, text, span: original, score, is_repeated });
        }
    };
    for person in persons {
        let kind = if matches!(person.role, Role::Provider | Role::Sender) { Kind::Provider } else { Kind::Name };
        add(kind, &person.span, person.score);
    }
    for hit in hits {
        add(hit.kind, &hit.span, hit.score);
    }
    for term in page.terms.iter().filter(|term| page.zone_at(term.start) == Zone::Body) {
        let (kind, score) = match term.meaning {
            Meaning::Condition(weight) => (Kind::Diagnosis, weight * 40),
            Meaning::Symptom(weight) => (Kind::Symptom, weight * 40),
            Meaning::Drug(weight) => (Kind::Medication, weight * 40),
            Meaning::Lab(weight) => (Kind::Lab, weight * 40),
            Meaning::Procedure(weight) => (Kind::Procedure, weight * 40),
            Meaning::Insurer => (Kind::Insurer, 60),
            Meaning::Specialty => (Kind::Specialty, 40),
            Meaning::Cue(_) => continue,
        };
        let is_phrase = matches!(kind, Kind::Diagnosis | Kind::Procedure)
            || (kind == Kind::Lab && page.slice(term.start..term.end).contains(' '));
        let span = if is_phrase { phrase(page, term.start..term.end) } else { term.start..term.end };
        if !combine::is_in_name(persons, term.start, term.end) && !combine::is_in_address(hits, term.start, term.end) {
            add(kind, &span, score);
        }
    }
}

/// Widens a diagnosis over the words that ICD-10-CM uses around it: "Other fracture of lower end of right tibia, sequela".
fn phrase(page: &Page<'_>, span: Range<usize>) -> Range<usize> {
    const WORDS_MAX: usize = 24;
    const SMALL: [&str; 21] = [
        "of", "the", "and", "or", "with", "to", "in", "by", "for", "on", "at", "as", "is", "not", "from", "be", "a", "an", "was",
        "has", "now",
    ];
    let is_icd = |index: usize| page.words.get(index).is_some_and(|word| word.shape != Shape::Number && word.known.is_icd());
    // Small words join but do not begin or end a phrase.
    let is_small = |index: usize| {
        let word = page.word_text(index);
        word.len() <= 4 && SMALL.iter().any(|small| small.eq_ignore_ascii_case(word))
    };
    let joins = |gap: &str| matches!(gap, " " | ", " | "\n" | ",\n" | " [" | "] " | " (" | "-" | "/" | "; " | "], " | "), ");
    let first = page.words.partition_point(|word| word.end <= span.start);
    let last = page.words.partition_point(|word| word.start < span.end).saturating_sub(1);
    let (mut from, mut to) = (first, last);
    let (mut at, mut gap_ok) = (first, true);
    while gap_ok && at > 0 && first - at < WORDS_MAX && is_icd(at - 1) {
        gap_ok = page
            .words
            .get(at)
            .zip(page.words.get(at - 1))
            .is_some_and(|(this, before)| joins(page.slice(before.end..this.start)));
        if gap_ok {
            at -= 1;
            if !is_small(at) {
                from = at;
            }
        }
    }
    let mut at = last;
    while at - last < WORDS_MAX
        && is_icd(at + 1)
        && page.words.get(at).zip(page.words.get(at + 1)).is_some_and(|(this, next)| joins(page.slice(this.end..next.start)))
    {
        at += 1;
        if !is_small(at) {
            to = at;
        }
    }
    let start = page.words.get(from).map_or(span.start, |word| word.start.min(span.start));
    let end = page.words.get(to).map_or(span.end, |word| word.end.max(span.end));
    start..end
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
