//! Whether somebody of the practice's own list is in the texts.
//!
//! A record, member or social security number is enough by itself where its kind is known or chance does not meet such
//! a number. A name never is: it needs the birth date, phone, e-mail, address or a number of the same person. The list
//! is asked for names only when something else has pointed at somebody, and only where words look like a name.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::dictionary::Cue;
use super::findings::{Kind, OwnPatient, RecognisedBy};
use super::identifier::Hit;
use super::page::{Page, Shape, Word, Zone};
use super::person::{Person, Role};
use crate::patients::{Field, Order, Patients, address, birth, email, name, number, phone, ssn};

/// Values, and pairs of words, that are looked up for one message: more are a register, and some of it decides.
const LOOKUPS_MAX: usize = 20_000;
/// A name in lower case counts this near to what points at its bearer.
const NEAR: usize = 200;
/// Words between first and last name.
const BETWEEN_MAX: usize = 2;
/// Most patients told of in one message.
pub(super) const FOUND_MAX: usize = 1_000;

/// What points at one patient.
#[derive(Default)]
struct Signs {
    number: Option<(usize, Range<usize>)>,
    birth: Option<(usize, Range<usize>)>,
    contact: Option<(usize, Range<usize>)>,
    names: Vec<(usize, Range<usize>)>,
}

/// Everybody of the list who can be recognised, once in each text that names them.
pub(super) fn find(
    patients: &Patients,
    read: &[(Page<'_>, Vec<Person>, Vec<Hit>)],
    is_address: impl Fn(usize) -> bool,
) -> Vec<OwnPatient> {
    let mut signs: BTreeMap<u32, Signs> = BTreeMap::new();
    let mut near: Vec<Vec<usize>> = vec![Vec::new(); read.len()];
    let mut left = LOOKUPS_MAX;
    let texts = || read.iter().enumerate().filter(|(index, _)| !is_address(*index));
    for (text, (page, _, hits)) in texts() {
        for hit in hits {
            let Some(rest) = left.checked_sub(1) else { break };
            left = rest;
            by_hit(patients, page, text, hit, &mut signs);
        }
        for token in numbers(page, hits) {
            let Some(rest) = left.checked_sub(1) else { break };
            left = rest;
            by_number(patients, page, text, &token, None, &mut signs);
        }
    }
    if signs.is_empty() {
        return Vec::new();
    }
    for place in signs.values().flat_map(|signs| [&signs.number, &signs.birth, &signs.contact]).flatten() {
        if let Some(places) = near.get_mut(place.0) {
            places.push(place.1.start);
        }
    }
    let mut left = LOOKUPS_MAX;
    for (text, (page, persons, _)) in texts() {
        let mut places = near.get(text).cloned().unwrap_or_default();
        places.sort_unstable();
        by_names(patients, page, persons, text, &places, &mut left, &mut signs);
    }
    let mut out = Vec::new();
    for (number, signs) in signs {
        let by = match (&signs.number, signs.names.is_empty(), &signs.birth, &signs.contact) {
            (_, false, Some(_), _) => RecognisedBy::NameAndBirth,
            (Some(_), ..) => RecognisedBy::Number,
            (None, false, None, Some(_)) => RecognisedBy::NameAndContact,
            (None, true, Some(_), Some(_)) => RecognisedBy::BirthAndContact,
            (None, ..) => continue,
        };
        // The name is the best place to show; each text tells of them once.
        let mut told = HashSet::new();
        let places = signs.names.iter().chain(&signs.number).chain(&signs.birth);
        for (text, span) in places.filter(|(text, _)| told.insert(*text)) {
            out.push(OwnPatient { number, by, text: *text, span: span.clone() });
        }
        if out.len() > FOUND_MAX {
            break;
        }
    }
    out.sort_by_key(|found| (found.text, found.span.start));
    out
}

fn by_hit(patients: &Patients, page: &Page<'_>, text: usize, hit: &Hit, signs: &mut BTreeMap<u32, Signs>) {
    let words = page.slice(hit.span.clone());
    let place = || (text, hit.span.clone());
    let is_body = page.zone_at(hit.span.start) == Zone::Body;
    let mut contact = |field: Field, form: Option<String>| {
        for owner in form.iter().flat_map(|form| patients.owners(field, form)) {
            signs.entry(*owner).or_default().contact.get_or_insert_with(place);
        }
    };
    match hit.kind {
        Kind::Dob | Kind::Date => {
            for form in birth(words, Order::Either) {
                for owner in patients.owners(Field::Birth, &form) {
                    signs.entry(*owner).or_default().birth.get_or_insert_with(place);
                }
            }
        }
        // Who sends a letter writes below it how to be reached.
        Kind::Phone | Kind::Fax if is_body => contact(Field::Phone, phone(words)),
        Kind::Email if is_body => contact(Field::Email, email(words)),
        Kind::Address if is_body => contact(Field::Address, address(words)),
        Kind::Ssn | Kind::Mrn | Kind::HealthPlan | Kind::Medicaid | Kind::Mbi | Kind::Account => {
            by_number(patients, page, text, &hit.span, Some(hit.kind), signs);
        }
        _ => {}
    }
}

/// A number that is said to be a record number, or so, is one; another has to be telling, or only supports a name.
fn by_number(
    patients: &Patients,
    page: &Page<'_>,
    text: usize,
    span: &Range<usize>,
    said: Option<Kind>,
    signs: &mut BTreeMap<u32, Signs>,
) {
    let words = page.slice(span.clone());
    let mut point = |owners: &[u32], is_enough: bool| {
        for owner in owners {
            let signs = signs.entry(*owner).or_default();
            let sign = if is_enough { &mut signs.number } else { &mut signs.contact };
            sign.get_or_insert_with(|| (text, span.clone()));
        }
    };
    if let Some(form) = ssn(words) {
        point(patients.owners(Field::Ssn, &form), said == Some(Kind::Ssn) || patients.is_telling(&form));
    }
    for form in number(words) {
        let is_enough = (said.is_some() && said != Some(Kind::Ssn)) || patients.is_telling(&form);
        for field in [Field::Mrn, Field::Member] {
            point(patients.owners(field, &form), is_enough);
        }
    }
}

/// Runs of letters, digits and hyphens with five digits and more that no detector has taken.
fn numbers(page: &Page<'_>, hits: &[Hit]) -> Vec<Range<usize>> {
    const LONGEST: usize = 28;
    let bytes = page.text.as_bytes();
    let joins = |at: usize| bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-');
    let mut out: Vec<Range<usize>> = Vec::new();
    for word in page.words.iter().filter(|word| word.shape == Shape::Number) {
        if out.last().is_some_and(|last| last.end > word.start) {
            continue;
        }
        let (mut start, mut end) = (word.start, word.end);
        while start > 0 && joins(start - 1) && word.start - start < LONGEST {
            start -= 1;
        }
        while joins(end) && end - start < LONGEST {
            end += 1;
        }
        let digits = page.slice(start..end).bytes().filter(u8::is_ascii_digit).count();
        let first = hits.partition_point(|hit| hit.span.end <= start);
        let is_taken = hits.get(first).is_some_and(|hit| hit.span.start < end);
        if digits >= 5 && !is_taken {
            out.push(start..end);
        }
    }
    out
}

/// Pairs of words that are the name of somebody who was pointed at.
fn by_names(
    patients: &Patients,
    page: &Page<'_>,
    persons: &[Person],
    text: usize,
    near: &[usize],
    left: &mut usize,
    signs: &mut BTreeMap<u32, Signs>,
) {
    let is_near = |at: usize| {
        let first = near.partition_point(|place| place + NEAR < at);
        near.get(first).is_some_and(|place| *place <= at + NEAR)
    };
    let may_name = |word: &Word| match word.shape {
        Shape::Capital | Shape::Upper => true,
        Shape::Lower => is_near(word.start),
        Shape::Initial | Shape::Number => false,
    };
    // A provider or the sender may be a patient, too; named as the one, they are not meant as the other.
    let is_other = |span: &Range<usize>| {
        if page.cues_in(span.clone()).any(|hit| hit.cue == Cue::Allow && hit.end >= span.end) {
            return true;
        }
        let first = persons.partition_point(|person| person.span.end <= span.start);
        persons
            .get(first)
            .is_some_and(|person| person.span.start < span.end && matches!(person.role, Role::Provider | Role::Sender))
    };
    for (at, one) in page.words.iter().enumerate() {
        if !may_name(one) || page.zone_at(one.start) == Zone::Footer {
            continue;
        }
        for other in page.words.iter().skip(at + 1).take(BETWEEN_MAX + 1) {
            let span = one.start..other.end;
            let gap = page.slice(one.end..other.start);
            if gap.len() > 24 || gap.contains("\n\n") || gap.contains(['.', ';', ':', '?', '!']) && !gap.contains(". ") {
                break;
            }
            if !may_name(other) {
                continue;
            }
            let words = (page.slice(one.start..one.end), page.slice(other.start..other.end));
            for form in [name(words.0, words.1), name(words.1, words.0)].into_iter().flatten() {
                let Some(rest) = left.checked_sub(1) else { return };
                *left = rest;
                for owner in patients.owners(Field::Name, &form) {
                    if let Some(signs) = signs.get_mut(owner)
                        && !is_other(&span)
                    {
                        signs.names.push((text, span.clone()));
                    }
                }
            }
        }
    }
}
