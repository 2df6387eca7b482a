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
mod pieces;
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
use pieces::{Piece, Pieces};

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
    let findings = Findings {
        unreadable: extracted.unreadable.clone(),
        images: extracted.images.clone(),
        limits_exceeded: extracted.limits_exceeded,
        ..Findings::default()
    };
    let (whole, large) = by_size(extracted);
    let text = |index: usize| extracted.texts.get(index);
    let firsts: Vec<(usize, Normal<'_>)> =
        whole.iter().filter_map(|index| Some((*index, normal::normalise(&text(*index)?.content)))).collect();
    let seconds: Vec<(usize, Normal<'_>)> = firsts
        .iter()
        .filter_map(|(index, first)| Some((*index, &text(*index)?.content, first)))
        .flat_map(|(index, content, first)| second::readings(content, first, scanner).map(move |under| (index, under)))
        .collect();
    let readings: Vec<Reading<'_>> = Reading::all(firsts, &seconds);
    let mut read: Vec<Read<'_>> = readings.iter().map(|reading| look(scanner, &reading.normal.text, true)).collect();
    let place = |index: usize| readings.get(index).and_then(|reading| text(reading.text)).map(|text| &text.place);
    let mut known = Known::of(message, &place, &mut read);
    read.iter_mut().for_each(|(_, persons, _)| known.settle(persons));
    let circumstances = circumstances(message, &read);
    let is_address = |index: usize| {
        matches!(place(index), Some(Place::Header(_, HeaderField::From | HeaderField::To | HeaderField::Cc | HeaderField::Other)))
    };
    let mut own = patients.map(|patients| own_patient::find(patients, &read, is_address)).unwrap_or_default();
    let mut book = Book { findings, seen: HashSet::new(), sheets: Vec::new() };
    for (index, read) in read.iter_mut().enumerate() {
        let (Some(reading), Some(place)) = (readings.get(index), place(index)) else { continue };
        let own = own.extract_if(.., |patient| patient.text == index).collect();
        book.enter(reading, place, read, own, !is_address(index));
    }
    drop(read);
    for index in large {
        let Some(text) = text(index) else { continue };
        read_in_pieces(scanner, patients, (index, text), &mut known, &mut book);
    }
    let Book { mut findings, sheets, .. } = book;
    findings.nearest = combine::combine(&sheets, &circumstances);
    findings.phi = findings.nearest.clone().filter(|nearest| nearest.score >= combine::PHI);
    findings.hits.truncate(FINDINGS_MAX);
    findings
}

/// A text taken apart, who is named in it, and what numbers it holds.
type Read<'t> = (Page<'t>, Vec<Person>, Vec<Hit>);

fn look<'t>(scanner: &Scanner, text: &'t str, is_last: bool) -> Read<'t> {
    let mut page = Page::of_piece(text, scanner, is_last);
    leave_out_allowed(&mut page);
    let persons = person::find(&page, scanner);
    let mut hits = identifier::find(&page, scanner);
    words::find(&scanner.patterns, &page, &mut hits);
    (page, persons, hits)
}

/// The numbers of the texts that are read as one, and of those that are read in pieces.
fn by_size(extracted: &Extracted) -> (Vec<usize>, Vec<usize>) {
    let mut total = 0usize;
    (0..extracted.texts.len()).partition(|index| {
        let size = extracted.texts.get(*index).map_or(0, |text| text.content.len());
        let is_whole = size <= pieces::WHOLE_MAX && total + size <= pieces::WHOLE_TOTAL_MAX;
        total += if is_whole { size } else { 0 };
        is_whole
    })
}

/// Reads a large text a piece after the other, and keeps of each what it tells.
fn read_in_pieces(
    scanner: &Scanner,
    patients: Option<&Patients>,
    (index, text): (usize, &crate::extract::Text),
    known: &mut Known,
    book: &mut Book,
) {
    let mut pieces = Pieces::of(&text.content);
    while let Some(piece) = pieces.next() {
        let normal = normal::normalise(&piece.text);
        let seconds: Vec<Normal<'_>> = second::readings(&piece.text, &normal, scanner).collect();
        let reading = Reading { text: index, normal, under: None, piece: Some(&piece) };
        let mut read = look(scanner, &reading.normal.text, piece.is_last);
        pieces.goes_on(&read.0);
        known.note(&read.1);
        known.settle(&mut read.1);
        // Some of a register decide, as in a text that is read as one.
        let patients = patients.filter(|_| book.findings.patients.len() <= own_patient::FOUND_MAX);
        let own =
            patients.map(|patients| own_patient::find(patients, std::slice::from_ref(&read), |_| false)).unwrap_or_default();
        book.enter(&reading, &text.place, &mut read, own, true);
        drop(read);
        for under in &seconds {
            let normal = normal::normalise(&under.text);
            let reading = Reading { text: index, normal, under: Some(under), piece: Some(&piece) };
            let mut read = look(scanner, &reading.normal.text, piece.is_last);
            known.settle(&mut read.1);
            book.enter(&reading, &text.place, &mut read, Vec::new(), true);
        }
    }
}

/// What has been found so far.
struct Book {
    findings: Findings,
    /// Identical findings count once.
    seen: HashSet<(Kind, u64)>,
    sheets: Vec<Sheet>,
}

impl Book {
    /// Writes down what a reading tells; `counts`: it may name somebody's health, as an address does not.
    fn enter(&mut self, reading: &Reading<'_>, place: &Place, read: &mut Read<'_>, own: Vec<OwnPatient>, counts: bool) {
        let (page, persons, hits) = read;
        hits.retain(|hit| {
            page.zone_at(hit.span.start) == Zone::Body
                || !matches!(hit.kind, Kind::Phone | Kind::Fax | Kind::Email | Kind::Address | Kind::Url)
        });
        persons
            .retain(|person| !page.cues_in(person.span.clone()).any(|hit| hit.cue == Cue::Allow && hit.end >= person.span.end));
        hits.retain(|hit| !page.cues_in(hit.span.clone()).any(|cue| cue.cue == Cue::Allow));
        report(&mut self.findings, reading, page, persons, hits, &mut self.seen);
        let mut sheet = Sheet::of(reading.text, place.clone(), page, persons, hits);
        for mut patient in own {
            sheet.own_patient(page, patient.span.clone());
            (patient.text, patient.span) = (reading.text, reading.original(&patient.span));
            let is_told = self.findings.patients.iter().any(|told| (told.number, told.text) == (patient.number, patient.text));
            if reading.piece.is_some() && is_told {
                continue;
            }
            let (kind, score) = (Kind::OwnPatient, patient.by.score());
            let is_repeated = !self.seen.insert((kind, u64::from(patient.number)));
            self.findings.hits.push(Finding { kind, text: reading.text, span: patient.span.clone(), score, is_repeated });
            self.findings.patients.push(patient);
        }
        if counts {
            self.sheets.push(sheet);
        }
    }
}

/// A text as it is read: most have one reading.
struct Reading<'t> {
    /// Number of the text.
    text: usize,
    normal: Normal<'t>,
    /// What a second reading is of: the text with its words told apart or joined.
    under: Option<&'t Normal<'t>>,
    /// The part of the text that it is of, if it is too large to be read as one.
    piece: Option<&'t Piece>,
}

impl<'t> Reading<'t> {
    fn all(firsts: Vec<(usize, Normal<'t>)>, seconds: &'t [(usize, Normal<'t>)]) -> Vec<Reading<'t>> {
        let first = firsts.into_iter().map(|(text, normal)| Reading { text, normal, under: None, piece: None });
        let second = seconds.iter().map(|(text, under)| Reading {
            text: *text,
            normal: normal::normalise(&under.text),
            under: Some(under),
            piece: None,
        });
        first.chain(second).collect()
    }

    /// The span in the text as it is in the message.
    fn original(&self, span: &Range<usize>) -> Range<usize> {
        let span = self.read_from(span);
        self.piece.map_or(span.clone(), |piece| piece.original(&span))
    }

    /// The span in the text, or piece of it, that was read.
    fn read_from(&self, span: &Range<usize>) -> Range<usize> {
        let span = self.normal.original(span);
        self.under.map_or(span.clone(), |under| under.original(&span))
    }

    /// Whether the piece before told of it.
    fn is_told(&self, span: &Range<usize>) -> bool {
        self.piece.is_some_and(|piece| self.read_from(span).end <= piece.told)
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

/// Who is the sender or a provider at one place is it at the others, unless named as the patient there.
struct Known {
    own: HashSet<(String, String)>,
    providers: HashSet<(String, String)>,
}

impl Known {
    fn of<'p>(message: &Message, place: &impl Fn(usize) -> Option<&'p Place>, read: &mut [Read<'_>]) -> Known {
        let mut known = Known { own: HashSet::new(), providers: HashSet::new() };
        for (index, (page, persons, _)) in read.iter_mut().enumerate() {
            if persons.is_empty() && matches!(place(index), Some(Place::Header(_, HeaderField::Subject))) {
                persons.extend(person::whole(page));
            }
            if matches!(place(index), Some(Place::Header(_, HeaderField::From))) {
                persons.iter_mut().for_each(|person| person.role = Role::Sender);
            }
            known.note(persons);
        }
        // Addresses such as anna.baker@ name their owner too.
        for from in message.header().all("From").flat_map(crate::message::Field::mailboxes) {
            let local = from.mailbox.local().as_str().to_ascii_lowercase();
            if let Some((first, last)) = local.split_once(['.', '_']) {
                known.own.insert((first.to_owned(), last.to_owned()));
            }
        }
        known
    }

    fn note(&mut self, persons: &[Person]) {
        for person in persons {
            match person.role {
                Role::Sender => self.own.insert(person.key.clone()),
                Role::Provider => self.providers.insert(person.key.clone()),
                _ => false,
            };
        }
    }

    fn settle(&self, persons: &mut [Person]) {
        for person in persons.iter_mut().filter(|person| matches!(person.role, Role::Person | Role::Reader)) {
            if self.own.contains(&person.key) {
                person.role = Role::Sender;
            } else if self.providers.contains(&person.key) {
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

fn circumstances(message: &Message, read: &[Read<'_>]) -> Circumstances {
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
    // "We are hiring" below every letter of a practice says nothing of this one.
    let is_application = read.iter().any(|(page, ..)| {
        page.holds(Cue::Application)
            && page.cues.iter().any(|hit| hit.cue == Cue::Application && page.zone_at(hit.start) == Zone::Body)
    });
    let is_work = is_application || speaks_of_work(read);
    Circumstances { personal_reader, private_writer, is_bulk, is_application, is_work }
}

/// Three words of working life, and nobody named as a patient.
fn speaks_of_work(read: &[Read<'_>]) -> bool {
    let words = read.iter().flat_map(|(page, ..)| page.cues.iter().filter(|hit| hit.cue == Cue::StaffRole)).take(3).count();
    words == 3
        && !read.iter().any(|(page, persons, _)| {
            persons.iter().any(|person| person.role == Role::Patient)
                || [Cue::LabelPatient, Cue::LabelMrn, Cue::LabelPlan].into_iter().any(|label| page.holds(label))
        })
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
        Some(_) => {
            // Those of pieces before are far away, and there may be very many.
            let from = reading.piece.map_or(0, Piece::start);
            let hits = findings.hits.iter().filter(|hit| hit.text == text && hit.span.end >= from);
            hits.map(|hit| (hit.kind, hit.span.start)).collect()
        }
        None => HashSet::new(),
    };
    let mut add = |kind, span: &Range<usize>, score| {
        if findings.hits.len() >= FINDINGS_MAX || reading.is_told(span) {
            return;
        }
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
