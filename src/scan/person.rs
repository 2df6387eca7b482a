use std::ops::Range;

use super::dictionary::{Cue, Meaning, Scanner};
use super::page::{CueHit, Page, Shape, Word, Zone};
use super::vocabulary::{Known, NO_VALUE};

/// What a named person is to the message, as the words beside the name say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Named as patient, member or insured, or as the one who is treated.
    Patient,
    /// Says "this is ..." of themself.
    Writer,
    /// Spoken to by name.
    Reader,
    /// Nothing beside the name says more.
    Person,
    /// Employee, applicant, speaker, vendor: named for work.
    Worker,
    /// Gives care.
    Provider,
    /// Stands below the letter or in the From field.
    Sender,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub span: Range<usize>,
    pub role: Role,
    /// 0 to 100: how sure it is a name.
    pub score: u8,
    /// First and last name in lower case, for telling that two places name the same person.
    pub key: (String, String),
}

/// Names that are more often words than names need a sign beside them.
const ENOUGH: u8 = 60;

/// Up to here two words with capitals may as well be a brand.
pub(super) const UNSURE: u8 = 60;

/// Finds persons in a page, sorted by place, without overlaps.
#[must_use]
pub fn find(page: &Page<'_>, scanner: &Scanner) -> Vec<Person> {
    let mut out: Vec<Person> = Vec::new();
    let mut at = 0;
    while let Some(word) = page.words.get(at) {
        if begins_no_name(word) {
            at += 1;
            continue;
        }
        match name_at(page, scanner, at) {
            Some((count, person)) => {
                out.push(person);
                at += count;
            }
            None => at += 1,
        }
    }
    out
}

/// Numbers, and English words in small letters, as most words are.
#[inline]
fn begins_no_name(word: &Word) -> bool {
    match word.shape {
        Shape::Number => true,
        Shape::Lower => word.known.is_english() && !is_plain_first(word),
        Shape::Capital | Shape::Upper | Shape::Initial => false,
    }
}

/// A name that begins at word `at`: how many words it takes, and the person.
fn name_at(page: &Page<'_>, scanner: &Scanner, at: usize) -> Option<(usize, Person)> {
    let first = page.words.get(at)?;
    let is_capital = matches!(first.shape, Shape::Capital | Shape::Upper | Shape::Initial);
    let alone = || {
        let name = if is_capital { single(page, at) } else { in_small_letters(page, at) }?;
        Some((Before::of(page, first.start), name))
    };
    let found = if is_capital && has_company(page, at) {
        let before = Before::of(page, first.start);
        let run = run(page, at);
        reversed(page, scanner, at, &before)
            .or_else(|| full(page, scanner, &run, at, &before))
            .or_else(|| by_label(page, scanner, &run, at, &before))
            .map(|name| (before, name))
            .or_else(alone)
    } else {
        alone()
    };
    let (before, Name { count, score, key }) = found?;
    let last = page.words.get(at + count - 1)?;
    let span = first.start..last.end;
    let is_trusted = before.is_patient || before.is_reader || (score >= 90 && scanner.known(&key.1).last().is_some());
    if score < ENOUGH || is_health_term(page, &span, is_trusted) || is_organisation(page, &span) {
        return None;
    }
    let role = role(page, &span, &before);
    Some((count, Person { span, role, score, key }))
}

/// Whether a name can begin at word `at` at all: another word with a capital behind it, or something said before it.
/// Most words with a capital begin a sentence and stop here.
fn has_company(page: &Page<'_>, at: usize) -> bool {
    let (Some(first), second) = (page.words.get(at), page.words.get(at + 1)) else { return false };
    second.is_some_and(|second| second.shape != Shape::Number && second.start - first.end <= 2 && second.shape != Shape::Lower)
        || second.is_some_and(|second| second.shape == Shape::Lower && is_particle(page.slice(second.start..second.end)))
        || page
            .cues_in(first.start.saturating_sub(48)..first.start)
            .any(|hit| hit.end <= first.start && hit.end + 4 >= first.start)
        || page.lines.get(page.line_at(first.start)).is_some_and(|line| line.header.is_some())
}

fn is_particle(word: &str) -> bool {
    matches!(word, "de" | "la" | "del" | "van" | "von" | "der" | "da" | "di" | "bin" | "al")
}

struct Name {
    count: usize,
    score: u8,
    key: (String, String),
}

/// What stands right before a name.
#[derive(Default)]
struct Before {
    is_patient: bool,
    is_name_label: bool,
    is_provider: bool,
    is_reader: bool,
    is_writer: bool,
    is_honorific: bool,
    honorific_at: Option<usize>,
    is_subject: bool,
    /// "Contact ", "written by ".
    is_worker: bool,
    /// "Re: " and the like.
    is_re: bool,
    /// "Dr." itself.
    is_doctor: bool,
}

impl Before {
    fn of(page: &Page<'_>, at: usize) -> Before {
        let mut before = Before::default();
        before.look(page, at);
        // "Dear Mr. Baker", "Patient: Mrs. Baker": what stands before the honorific counts for the name.
        if let Some(honorific) = before.honorific_at {
            before.look(page, honorific);
        }
        for cue in page.column(at) {
            match cue {
                Cue::LabelPatient | Cue::LabelMember => before.is_patient = true,
                Cue::LabelName => before.is_name_label = true,
                Cue::ProviderBefore => before.is_provider = true,
                _ => {}
            }
        }
        before.is_patient |= is_patient_segment(page, at);
        // "Patient Name: Dr ..." is a patient; a column "Referring physician" is none.
        if before.is_patient {
            before.is_provider &= before.is_doctor;
        }
        before
    }

    fn look(&mut self, page: &Page<'_>, at: usize) {
        let before = self;
        for hit in page.cues_in(at.saturating_sub(48)..at).filter(|hit| hit.end <= at) {
            let gap = page.slice(hit.end..at);
            // A label: "Patient: ", "Patient - ", "patient ", or the cell before.
            let touches = gap.len() <= 4
                && gap.bytes().all(|b| matches!(b, b' ' | b':' | b'-' | b'\t' | b'#' | b'.' | b'(' | b'"' | b'\n' | b'|' | b'='));
            let is_next_line = gap.contains('\n') && !gap.contains(':');
            if !touches || gap.contains("\n\n") {
                continue;
            }
            match hit.cue {
                Cue::LabelPatient => before.is_patient = true,
                // "Board member Anna Baker" is no patient; "Member: Anna Baker" is.
                Cue::LabelMember if gap.contains([':', '\t']) && !is_next_line => before.is_patient = true,
                Cue::LabelName if !gap.is_empty() && gap.contains([':', '\t']) => before.is_name_label = true,
                Cue::ProviderBefore if !is_next_line => {
                    before.is_provider = true;
                    before.is_doctor |= matches!(page.slice(hit.start..hit.end), "Dr" | "Dr." | "DR" | "DR." | "Doctor");
                }
                Cue::Greeting if !is_next_line => before.is_reader = true,
                Cue::SelfNamed => before.is_writer = true,
                Cue::Honorific => {
                    before.is_honorific = true;
                    before.honorific_at = Some(hit.start);
                }
                Cue::SubjectOfCare | Cue::Kin => before.is_subject = true,
                // "my daughter Brielle"
                Cue::OwnBody if gap == " " => before.is_subject = true,
                Cue::WorkerBefore if !is_next_line => before.is_worker = true,
                Cue::LabelRe => before.is_re = true,
                _ => {}
            }
        }
    }

    fn is_strong(&self) -> bool {
        self.is_patient || self.is_name_label || self.is_provider || self.is_reader || self.is_writer || self.is_honorific
    }
}

/// A line of HL7 v2 or X12 that says who the patient is.
fn is_patient_segment(page: &Page<'_>, at: usize) -> bool {
    page.lines.get(page.line_at(at)).is_some_and(|line| {
        let text = page.slice(line.start..line.end);
        ["PID|", "NM1*QC*", "NM1*IL*"].iter().any(|segment| text.starts_with(segment))
    })
}

/// Capitalised words that follow each other with nothing but blanks, line wraps and stops of initials between.
fn run(page: &Page<'_>, at: usize) -> Vec<Word> {
    let mut out: Vec<Word> = Vec::new();
    for word in page.words.get(at..).unwrap_or_default().iter().take(5) {
        let follows = match out.last() {
            None => true,
            Some(last) => match page.slice(last.end..word.start) {
                " " => true,
                // A wrapped line, not the next short line of a list: long, or the text goes on behind the name.
                "\n" => {
                    let line = page.line_at(last.start);
                    let goes_on = page
                        .words
                        .get(at + out.len() + 1)
                        .is_some_and(|next| next.shape == Shape::Lower && page.slice(word.end..next.start) == " ");
                    page.lines.get(line).is_some_and(|line| line.end - line.start > 40 || (goes_on && line.start < last.start))
                }
                ". " | "." => last.shape == Shape::Initial,
                _ => false,
            },
        };
        let lower = page.slice(word.start..word.end);
        let is_particle = !out.is_empty() && is_particle(lower);
        if !follows || !(matches!(word.shape, Shape::Capital | Shape::Upper | Shape::Initial) || is_particle) {
            break;
        }
        out.push(*word);
    }
    out
}

fn lower(page: &Page<'_>, word: &Word) -> String {
    page.slice(word.start..word.end).to_ascii_lowercase()
}

/// Value of a name in a list; double names by their parts, apostrophes left out.
fn tier(page: &Page<'_>, scanner: &Scanner, list: fn(Known) -> Option<u8>, word: &Word) -> Option<u8> {
    list(word.known).or_else(|| {
        let text = page.slice(word.start..word.end);
        if word.is_plain || !text.contains(['\'', '-']) {
            return None;
        }
        let plain: String = text.chars().filter(|c| *c != '\'').collect();
        let of = |word: &str| list(scanner.known(word));
        if plain.contains('-') {
            plain.split('-').map(of).collect::<Option<Vec<u8>>>().and_then(|tiers| tiers.into_iter().max())
        } else {
            of(&plain)
        }
    })
}

/// No English word, and long enough to be somebody's name.
fn is_strange(page: &Page<'_>, scanner: &Scanner, word: &Word) -> bool {
    let text = page.slice(word.start..word.end);
    text.len() >= 3
        && !word.known.is_english()
        && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'\'' || b == b'-')
        && !(text.ends_with(['s', 'S']) && scanner.known(text.trim_end_matches(['s', 'S'])).is_english())
        && !word.known.is_icd()
}

/// "First Last", "First M. Last", "J. Last" after a sign, "First Middle Last".
fn full(page: &Page<'_>, scanner: &Scanner, run: &[Word], at: usize, before: &Before) -> Option<Name> {
    let first = run.first()?;
    let known_first = tier(page, scanner, Known::first, first);
    // Names from everywhere: a word that is no English word counts as a first name before a known last name.
    let is_foreign = first.shape != Shape::Initial && known_first.is_none();
    let first_tier = match known_first {
        // "D. Kowalczyk": the stop says that the letter stands for a name.
        _ if first.shape == Shape::Initial => {
            let is_short_for_name = run.get(1).is_some_and(|next| page.slice(first.end..next.start) == ". ");
            (before.is_strong() || is_short_for_name).then_some(30)?
        }
        Some(tier) => tier,
        None if is_strange(page, scanner, first) || tier(page, scanner, Known::last, first).is_some_and(|t| t == NO_VALUE) => {
            NO_VALUE
        }
        // "Care plan for Juniper ...": a word may be a first name where a name is due.
        None if before.is_patient || before.is_subject || before.is_reader || before.is_honorific => 30,
        None => return None,
    };
    let mut best: Option<Name> = None;
    for count in 2..=run.len().min(4) {
        let last = run.get(count - 1)?;
        if last.shape == Shape::Initial {
            continue;
        }
        // ... and behind a known first name as a last name.
        let known_last = tier(page, scanner, Known::last, last);
        let is_unknown_last = known_last.is_none();
        let last_tier = match known_last {
            Some(tier) => tier,
            None if !is_foreign && is_strange(page, scanner, last) => NO_VALUE,
            None => continue,
        };
        if page.cues_in(last.start..last.start + 1).any(|hit| hit.cue == Cue::Facility && hit.end >= last.end) {
            continue;
        }
        let middles = run.get(1..count - 1)?;
        let is_middle = |word: &Word| {
            word.shape == Shape::Initial
                || word.shape == Shape::Lower
                || [Known::first, Known::last].iter().any(|list| tier(page, scanner, *list, word).is_some_and(|t| t > 35))
        };
        if !middles.iter().all(is_middle) {
            continue;
        }
        let mut score = sureness(first_tier, last_tier);
        if is_foreign || is_unknown_last {
            // Two words like these are also brands and places.
            let is_shouted = first.shape == Shape::Upper || last.shape == Shape::Upper;
            score = match (is_foreign, is_unknown_last) {
                _ if last_tier < NO_VALUE || is_shouted => 20,
                // A first name that is no word, before something that is neither word nor place.
                (false, _) if first_tier == NO_VALUE => 66,
                // Neither is a word; the first may be a name from anywhere.
                (true, false) if is_strange(page, scanner, first) => UNSURE,
                _ => 45,
            };
        }
        if first.shape == Shape::Upper && last.shape == Shape::Upper && (first_tier < NO_VALUE || last_tier < NO_VALUE) {
            score = score.saturating_sub(25);
        }
        if first.shape != last.shape && (first.shape == Shape::Upper) {
            score = score.saturating_sub(20);
        }
        if middles.iter().any(|word| word.shape == Shape::Initial) {
            score += 15;
        }
        // In the middle of a longer run of capitals it may be a heading or an organisation.
        let is_run_on = run.len() > count && middles.is_empty() && run.get(count).is_some_and(|w| w.shape != Shape::Initial);
        if is_run_on {
            score = score.saturating_sub(15);
        }
        // "4532 Ricardo Course" is a street.
        let number = at
            .checked_sub(1)
            .and_then(|i| page.words.get(i))
            .filter(|w| w.shape == Shape::Number && page.slice(w.end..first.start) == " ");
        let is_time = number.is_some_and(|w| page.slice(0..w.start).ends_with(':'));
        if number
            .is_some_and(|w| !is_time && w.end - w.start >= 2 && page.slice(w.start..w.end).bytes().all(|b| b.is_ascii_digit()))
            && !before.is_strong()
        {
            let is_room =
                number.is_some_and(|w| page.cues_in(w.start.saturating_sub(6)..w.start).any(|hit| hit.cue == Cue::SubjectOfCare));
            if !is_room {
                score = score.saturating_sub(if score >= 90 { 20 } else { 40 });
            }
        }
        let previous = at.checked_sub(1).and_then(|i| page.words.get(i));
        // "Moving Anna Baker": the first word of a sentence has its capital from there.
        let begins = |w: &Word| {
            let sentence = page.sentence_span(page.sentence_at(w.start));
            page.slice(sentence.start..w.start).bytes().all(|b| !b.is_ascii_alphanumeric())
                && w.known.is_english()
                && tier(page, scanner, Known::first, w).is_none()
        };
        if previous.is_some_and(|w| {
            w.shape == Shape::Capital
                && page.slice(w.end..first.start) == " "
                && !before.is_strong()
                && !before.is_subject
                && !begins(w)
        }) {
            score = score.saturating_sub(10);
        }
        if before.is_strong() || before.is_subject {
            score = score.saturating_add(30);
        }
        if has_sign_after(page, last.end) {
            score = score.saturating_add(30);
        }
        let starts_text = page.cell(first.start).start == first.start || before.is_re;
        if starts_text && (is_foreign || is_unknown_last) {
            score = score.saturating_add(15);
        }
        let score = score.min(99);
        if best.as_ref().is_none_or(|name| score >= name.score) {
            best = Some(Name { count, score, key: (lower(page, first), lower(page, last)) });
        }
    }
    best
}

/// How sure two words are a name when nothing stands beside them; rare English words are names more often.
fn sureness(first: u8, last: u8) -> u8 {
    match (first, last) {
        (0..=35, 0..=35) => 30,
        (0..=35, _) => 60,
        (_, 0..=20) => 66,
        (_, 21..=35) => 72,
        _ => 90,
    }
}

/// A birth date, credential or record number right behind.
fn has_sign_after(page: &Page<'_>, at: usize) -> bool {
    page.cues_in(at..at + 6).any(|hit| matches!(hit.cue, Cue::LabelDob | Cue::LabelMrn | Cue::Credential | Cue::SubjectOfCare))
        || date_follows(page, at)
        || sex_follows(page, at).is_some_and(|behind| date_follows(page, behind))
}

/// ", F, 03/22/1976": where the sign of the sex right behind a name ends.
fn sex_follows(page: &Page<'_>, at: usize) -> Option<usize> {
    let rest = page.slice(at..(at + 4).min(page.text.len()));
    [", F,", ", M,", ", F ", ", M ", " F, ", " M, "].contains(&rest).then_some(at + 3)
}

/// ", 03/28/1945", " (born 1945-...": a date right behind a name reads as the birth date.
#[must_use]
pub fn date_follows(page: &Page<'_>, at: usize) -> bool {
    let rest = page.text.as_bytes().get(at..).unwrap_or_default();
    let digits = rest.iter().take(8).position(u8::is_ascii_digit);
    let Some(digits) = digits else { return false };
    let gap = rest.get(..digits).unwrap_or_default();
    // Day, month or year first; three digits begin a telephone number.
    let first = rest.get(digits..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let looks_like_date = matches!(first, 1 | 2 | 4)
        && rest.get(digits..).unwrap_or_default().iter().take(10).filter(|b| matches!(b, b'/' | b'-' | b'.')).count() == 2
        && rest.get(digits..).unwrap_or_default().iter().take(6).all(|b| b.is_ascii_digit() || matches!(b, b'/' | b'-' | b'.'));
    gap.iter().all(|b| matches!(b, b' ' | b',' | b'(' | b'|' | b'\t' | b';')) && looks_like_date
}

/// "Last, First M": at the start of a line or cell or after a label, or when both words are hardly anything else.
fn reversed(page: &Page<'_>, scanner: &Scanner, at: usize, before: &Before) -> Option<Name> {
    let last = page.words.get(at)?;
    let first = page.words.get(at + 1)?;
    if !matches!(last.shape, Shape::Capital | Shape::Upper)
        || !matches!(first.shape, Shape::Capital | Shape::Upper)
        || !matches!(page.slice(last.end..first.start), ", " | "^" | "*")
    {
        return None;
    }
    // "PID|...||BAKER^ANNA^M", "NM1*QC*1*BAKER*ANNA": a field of HL7 or X12 in a letter.
    let is_field = matches!(page.slice(last.end..first.start), "^" | "*");
    if page.slice(last.end..first.start) == "*" && !is_patient_segment(page, last.start) {
        return None;
    }
    let either = |known: Option<u8>, word: &Word| known.or_else(|| is_strange(page, scanner, word).then_some(NO_VALUE));
    let (known_last, known_first) = (tier(page, scanner, Known::last, last), tier(page, scanner, Known::first, first));
    if known_last.is_none() && known_first.is_none() {
        return None;
    }
    let last_tier = either(known_last, last)?;
    let first_tier = either(known_first.or(tier(page, scanner, Known::last, first)), first)?;
    let starts_cell = page.cell(last.start).start == last.start
        || page.slice(0..last.start).trim_end_matches([' ', '"', '>']).ends_with([':', '|', '\n', '\t', '(', '-', ';']);
    // A comma also separates items: what follows must not go on as a name of its own.
    let third = page.words.get(at + 2).filter(|word| page.slice(first.end..word.start) == " " && word.shape == Shape::Capital);
    let goes_on = third.is_some_and(|word| tier(page, scanner, Known::last, word).is_some_and(|t| t == NO_VALUE));
    let room = at
        .checked_sub(1)
        .and_then(|i| page.words.get(i))
        .is_some_and(|w| w.shape == Shape::Number && page.slice(w.end..last.start) == " ");
    let mut score = if known_last.is_none() || known_first.is_none() { 60 } else { sureness(first_tier, last_tier) };
    if !(starts_cell || before.is_strong() || before.is_subject || room) {
        // "on Svensson, Astrid": what is said is about one person.
        let is_about = matches!(word_before(page, at), "on" | "for" | "re" | "about" | "with")
            && is_plain_last(last)
            && is_plain_first(first);
        let is_headed = page.slice(first.end..(first.end + 2).min(page.text.len())) == ": ";
        score = score.saturating_sub(if is_about || (is_headed && !last.known.is_english()) { 20 } else { 35 });
    }
    if goes_on {
        score = score.saturating_sub(30);
    }
    if before.is_strong() || is_field || has_sign_after(page, first.end) {
        score = score.saturating_add(30);
    }
    let initial =
        page.words.get(at + 2).is_some_and(|word| word.shape == Shape::Initial && page.slice(first.end..word.start) == " ");
    Some(Name { count: if initial { 3 } else { 2 }, score: score.min(99), key: (lower(page, first), lower(page, last)) })
}

/// Names that the lists do not know, or single ones: a label, greeting or honorific before says it is a name.
fn by_label(page: &Page<'_>, scanner: &Scanner, run: &[Word], at: usize, before: &Before) -> Option<Name> {
    let first = run.first()?;
    let is_labelled_field = before.is_patient || before.is_name_label;
    if !(is_labelled_field || before.is_honorific || before.is_reader || before.is_provider || before.is_writer)
        || first.shape == Shape::Initial
    {
        return None;
    }
    let known = |word: &Word| {
        tier(page, scanner, Known::first, word).is_some_and(|t| t > 20)
            || tier(page, scanner, Known::last, word).is_some_and(|t| t > 20)
    };
    // Words that are labels or terms themselves end the name.
    let is_free = |word: &Word| {
        !page
            .cues_in(word.start..word.start + 1)
            .any(|hit| hit.end >= word.end && !matches!(hit.cue, Cue::Allow | Cue::Credential))
    };
    let words: Vec<&Word> = run.iter().take(3).take_while(|word| is_free(word)).collect();
    let count = words.len();
    let after = page.slice(words.last()?.end..(words.last()?.end + 1).min(page.text.len()));
    let ends_field = after.is_empty() || after.starts_with(['\n', ',', '\t', ':', ';', '|', '(', ')', '.', '!', '-']);
    let is_name = match count {
        0 => return None,
        // "Dear Jason," "Mrs. Okafor" "Dr. Curry"
        1 => {
            known(first) && before.is_provider
                || (before.is_reader && ends_field && first.shape == Shape::Capital && may_be_called(page, scanner, first))
                || ((before.is_honorific || before.is_doctor) && first.shape == Shape::Capital)
        }
        _ => {
            words.iter().any(|word| known(word) || is_strange(page, scanner, word))
                && (ends_field || is_labelled_field || before.is_honorific)
        }
    };
    if !is_name {
        return None;
    }
    let key = match count {
        1 if before.is_reader => (lower(page, first), String::new()),
        1 => (String::new(), lower(page, first)),
        _ => (lower(page, first), lower(page, words.last()?)),
    };
    let _ = at;
    Some(Name { count, score: if count == 1 { 65 } else { 75 }, key })
}

/// A word behind a greeting that is somebody's first name: one of the lists, or no English word at all.
fn may_be_called(page: &Page<'_>, scanner: &Scanner, word: &Word) -> bool {
    tier(page, scanner, Known::first, word).is_some()
        || tier(page, scanner, Known::last, word).is_some_and(|tier| tier > 20)
        || is_strange(page, scanner, word)
}

/// A first name that is no English word.
fn is_plain_first(word: &Word) -> bool {
    word.known.is_plain_first()
}

/// A last name that is neither an English word nor part of a name of an illness.
fn is_plain_last(word: &Word) -> bool {
    word.known.last() == Some(NO_VALUE) && !word.known.is_english() && !word.known.is_icd()
}

/// "71f", "52M", "8yo": age and sex as notes have them.
fn is_age(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (1..=3).contains(&(text.len() - rest.len()))
        && ["f", "m", "yo", "yof", "yom", "y", "mo"].iter().any(|sign| sign.eq_ignore_ascii_case(rest))
}

/// The word before a place, if one blank parts them.
fn word_before<'a>(page: &Page<'a>, at: usize) -> &'a str {
    let Some(index) = at.checked_sub(1) else { return "" };
    match (page.words.get(index), page.words.get(at)) {
        (Some(before), Some(word)) if matches!(page.slice(before.end..word.start), " " | ". " | ", ") => page.word_text(index),
        _ => "",
    }
}

/// Months and days are first names too.
fn is_of_calendar(word: &str) -> bool {
    const WORDS: [&str; 38] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "oct",
        "nov",
        "dec",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
        "easter",
    ];
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// "DEA: ", "MRN ": a label in capitals is nobody.
fn is_label_here(page: &Page<'_>, word: &Word) -> bool {
    word.shape == Shape::Upper
        && page.cues_in(word.start..word.start + 1).any(|hit| hit.end >= word.end && super::page::is_label(hit.cue))
}

/// Persons called by one name: "Tyler threw up", "Ngozi A.", "Petrakis: off pressors", "Fong, W.". Such a name is no more than
/// a hint; who acts ("Carla ordered ...") or is thanked, asked or copied is taken for a colleague.
fn single(page: &Page<'_>, at: usize) -> Option<Name> {
    let word = page.words.get(at)?;
    if word.shape == Shape::Initial || is_of_calendar(page.word_text(at)) || is_label_here(page, word) {
        return None;
    }
    let next = page.words.get(at + 1);
    let gap = next.map_or("", |next| page.slice(word.end..next.start));
    let line = page.lines.get(page.line_at(word.start))?;
    let starts_line = word.start == line.start;
    let name = |count, key: String| Some(Name { count, score: UNSURE, key: (key, String::new()) });
    let is_first = is_plain_first(word);
    let initial = next.is_some_and(|next| {
        next.shape == Shape::Initial && (gap == " " || gap == ", ") && next.end - next.start == 1 && page.word_text(at + 1) != "I"
    });
    if initial && gap == " " && is_first {
        return name(2, lower(page, word));
    }
    let before = word_before(page, at);
    let is_last = || is_plain_last(word);
    if initial && gap == ", " && (starts_line || is_age(before)) && is_last() {
        return name(2, lower(page, word));
    }
    // A place in a list of patients: the line or the bed begins with the name, and a sign or number goes on.
    let is_bed =
        page.words.get(at.wrapping_sub(1)).is_some_and(|w| w.shape == Shape::Number && w.start.saturating_sub(line.start) <= 8);
    let is_entry = (starts_line || is_bed)
        && (gap.starts_with(": ")
            || gap.starts_with(" - ")
            || next.is_some_and(|n| matches!(gap, " " | ", ") && n.shape == Shape::Number));
    // "Tillotson INR 4.6 today", "Grzybowski fell out of bed": who opens a sentence with what a patient has is one.
    let opens = starts_line || page.sentence_span(page.sentence_at(word.start)).start == word.start;
    if opens && gap == " " && word.shape == Shape::Capital && is_last() && next.is_some_and(|next| begins_finding(page, next)) {
        return name(1, lower(page, word));
    }
    if (is_entry || before == "about" || is_age(before)) && (is_last() || (is_first && is_entry)) {
        return name(1, lower(page, word));
    }
    if !is_first || word.shape != Shape::Capital {
        return None;
    }
    // "Warren, great talking with you": the first word of a letter greets.
    if opens_letter(page, word.start) && gap.starts_with(", ") && page.holds(Cue::You) {
        return name(1, lower(page, word));
    }
    let is_follower = matches!(next.map(|next| next.shape), Some(Shape::Capital | Shape::Upper)) && gap == " ";
    let ends_line = line.end.saturating_sub(word.end) <= 1;
    let is_called = starts_line && (gap.starts_with(',') || ends_line);
    let acts = gap == " "
        && matches!(
            page.word_text(at + 1),
            "will" | "can" | "could" | "would" | "ordered" | "sent" | "called" | "wrote" | "covers" | "covered" | "asked" | "and"
                | "leads" | "teaches" | "has" if page.word_text(at + 1) != "has" || page.word_text(at + 2) == "the"
        );
    let is_colleague = matches!(
        before,
        "by" | "from"
            | "thanks"
            | "Thanks"
            | "cc"
            | "ask"
            | "Ask"
            | "tell"
            | "Tell"
            | "see"
            | "contact"
            | "Contact"
            | "St"
            | "San"
            | "Santa"
            | "and"
            | "in"
    );
    if is_follower || is_called || acts || is_colleague {
        return None;
    }
    name(1, lower(page, word))
}

/// A test with its value, or a complaint that begins with a verb: what only a patient has right behind a name.
fn begins_finding(page: &Page<'_>, next: &Word) -> bool {
    page.terms_in(next.start..next.end).any(|term| {
        let has_value = || page.slice(term.end..(term.end + 4).min(page.text.len())).bytes().any(|b| b.is_ascii_digit());
        term.start == next.start
            && match term.meaning {
                Meaning::Lab(_) => has_value(),
                Meaning::Symptom(2) => next.shape == Shape::Lower,
                _ => false,
            }
    })
}

/// A subject that is a name and nothing else: whom the letter is about.
pub(super) fn whole(page: &Page<'_>) -> Option<Person> {
    let mut words = page.words.as_slice();
    while let Some((first, rest)) = words.split_first()
        && ["re", "fw", "fwd"].iter().any(|sign| sign.eq_ignore_ascii_case(page.slice(first.start..first.end)))
    {
        words = rest;
    }
    let is_baby = words.first().is_some_and(|word| page.slice(word.start..word.end).eq_ignore_ascii_case("baby"));
    let names = if is_baby { words.get(1..)? } else { words };
    let (first, last) = (names.first()?, names.last()?);
    let is_name =
        |word: &Word| matches!(word.shape, Shape::Capital | Shape::Upper) && (is_plain_first(word) || is_plain_last(word));
    let is_only_name = names.len() <= 2 && names.iter().all(is_name) && page.slice(last.end..page.text.len()).trim().is_empty();
    is_only_name.then(|| Person {
        span: first.start..last.end,
        role: if is_baby { Role::Patient } else { Role::Person },
        score: 66,
        key: if names.len() == 1 { (String::new(), lower(page, last)) } else { (lower(page, first), lower(page, last)) },
    })
}

/// Names without capitals, as in chat and dictation: two words that are names and nothing else, or one behind an honorific,
/// an age or a relation.
fn in_small_letters(page: &Page<'_>, at: usize) -> Option<Name> {
    let word = page.words.get(at)?;
    // Most words are English and nobody's name.
    if word.shape != Shape::Lower || (word.known.is_english() && !is_plain_first(word) && !is_plain_last(word)) {
        return None;
    }
    if word.end - word.start < 3 {
        return None;
    }
    let before = word_before(page, at);
    let next = page.words.get(at + 1);
    if is_plain_first(word) {
        if let Some(next) = next.filter(|next| page.slice(word.end..next.start) == " ") {
            let is_initial = next.end - next.start == 1
                && page.slice(next.end..(next.end + 1).min(page.text.len())) == "."
                && page.word_text(at + 1).bytes().all(|b| b.is_ascii_alphabetic());
            if is_initial {
                return Some(Name { count: 2, score: UNSURE, key: (lower(page, word), String::new()) });
            }
            if next.shape == Shape::Lower && is_plain_last(next) {
                return Some(Name { count: 2, score: 66, key: (lower(page, word), lower(page, next)) });
            }
        }
        let is_relation = page
            .cues_in(word.start.saturating_sub(24)..word.start)
            .any(|hit| hit.cue == Cue::OwnBody && hit.end + 1 == word.start);
        if is_relation {
            return Some(Name { count: 1, score: UNSURE, key: (lower(page, word), String::new()) });
        }
    }
    let is_due = page
        .cues_in(word.start.saturating_sub(24)..word.start)
        .any(|hit| matches!(hit.cue, Cue::SubjectOfCare | Cue::Kin | Cue::LabelPatient) && hit.end + 1 == word.start);
    if is_due && (is_plain_first(word) || is_plain_last(word)) && !is_health_term(page, &(word.start..word.end), false) {
        return Some(Name { count: 1, score: UNSURE, key: (String::new(), lower(page, word)) });
    }
    let is_titled = matches!(before, "mr" | "mrs" | "ms" | "miss" | "sra" | "sr" | "Mr" | "Mrs" | "Ms");
    if (is_titled && !word.known.is_english()) || (is_age(before) && is_plain_last(word)) {
        return Some(Name { count: 1, score: 65, key: (String::new(), lower(page, word)) });
    }
    // "lindqvist, per, 52m"
    let after = next.filter(|next| page.slice(word.end..next.start) == ", ")?;
    let age = page.words.get(at + 2).filter(|age| age.shape == Shape::Number && page.slice(after.end..age.start) == ", ")?;
    (is_age(page.slice(age.start..age.end)) && is_plain_last(word)).then(|| Name {
        count: 2,
        score: 70,
        key: (lower(page, after), lower(page, word)),
    })
}

/// "crown for Anna Baker", "biopsia de Ximena Larios", "Marcus D's viral load": a test or illness that is somebody's.
fn has_own_term(page: &Page<'_>, span: &Range<usize>) -> bool {
    let is_health = |meaning| !matches!(meaning, Meaning::Insurer | Meaning::Specialty | Meaning::Cue(_));
    let from = page.slice(page.sentence_span(page.sentence_at(span.start)).start..span.start).trim_end();
    let link = from.rsplit(' ').next().unwrap_or_default();
    if matches!(link, "for" | "of" | "de" | "on" | "para" | "For") {
        let end = span.start.saturating_sub(1 + link.len() + 1);
        if page.terms_in(end.saturating_sub(1)..end).any(|term| term.end == end && is_health(term.meaning)) {
            return true;
        }
    }
    if page.slice(span.end..(span.end + 2).min(page.text.len())) != "'s" {
        return false;
    }
    page.terms_in(span.end + 2..(span.end + 20).min(page.text.len()))
        .next()
        .is_some_and(|term| is_health(term.meaning) && !page.slice(span.end..term.start).contains(['.', ',', '\n', ';']))
}

/// A name that is (part of) a term of a health dictionary is the term: eponyms, brands, clinics.
fn is_health_term(page: &Page<'_>, span: &Range<usize>, is_trusted: bool) -> bool {
    let from = page.terms.partition_point(|term| term.end <= span.start);
    page.terms.get(from..).unwrap_or_default().iter().take_while(|term| term.start < span.end).any(|term| {
        let sticks_out = term.start < span.start || term.end > span.end;
        let is_half = page.slice(term.start..term.end).contains(' ') || term.end - term.start >= span.end - span.start;
        match term.meaning {
            Meaning::Condition(w) | Meaning::Symptom(w) | Meaning::Drug(w) | Meaning::Lab(w) | Meaning::Procedure(w) => {
                if is_trusted {
                    sticks_out
                } else {
                    sticks_out || is_half || w == 2
                }
            }
            Meaning::Insurer | Meaning::Specialty => sticks_out || is_half,
            Meaning::Cue(_) => false,
        }
    })
}

/// "Johnson Family Medicine", "Anna Baker Clinic", "Martin Luther University": what follows makes it no person.
fn is_organisation(page: &Page<'_>, span: &Range<usize>) -> bool {
    let starts_with_capital = |hit: &CueHit| page.slice(hit.start..hit.end).starts_with(|c: char| c.is_ascii_uppercase());
    page.cues_in(span.end..span.end + 2)
        .any(|hit| hit.cue == Cue::Facility && page.slice(span.end..hit.start) == " " && starts_with_capital(hit))
        || page
            .terms
            .get(page.terms.partition_point(|term| term.start < span.end)..)
            .and_then(|rest| rest.first())
            .is_some_and(|term| matches!(term.meaning, Meaning::Specialty) && page.slice(span.end..term.start) == " ")
}

fn role(page: &Page<'_>, span: &Range<usize>, before: &Before) -> Role {
    if page.zone_at(span.start) != Zone::Body {
        return Role::Sender;
    }
    if before.is_provider || has_credential(page, span.end) {
        return Role::Provider;
    }
    if before.is_patient {
        return Role::Patient;
    }
    if before.is_worker {
        return Role::Worker;
    }
    if before.is_writer {
        return Role::Writer;
    }
    let sentence = page.sentence_span(page.sentence_at(span.start));
    if (page.has_cue(sentence.clone(), Cue::StaffRole) || page.is_roster()) && !before.is_subject {
        return Role::Worker;
    }
    // "Mr. Deverell, your new vials": not "Anna Baker, 56, has".
    let is_called = page.holds(Cue::You)
        && opens_letter(page, before.honorific_at.unwrap_or(span.start))
        && (before.is_honorific || !page.slice(span.clone()).contains(' '))
        && page.slice(span.end..span.end + 1) == ",";
    if before.is_reader || is_called {
        return Role::Reader;
    }
    let is_treated = before.is_subject
        || is_labelled_re(page, span.start)
        || page.cues_in(span.end..span.end + 3).any(|hit| hit.cue == Cue::SubjectOfCare)
        || has_age_beside(page, span)
        || has_own_term(page, span);
    if is_treated { Role::Patient } else { Role::Person }
}

/// Nothing but white space stands before.
fn opens_letter(page: &Page<'_>, at: usize) -> bool {
    at < 8 && page.slice(0..at).trim().is_empty()
}

/// "71f Duplessis", "Lindqvist, Per, 52m".
fn has_age_beside(page: &Page<'_>, span: &Range<usize>) -> bool {
    let next = page.words.partition_point(|word| word.start < span.end);
    let beside = |index: Option<usize>, gap: fn(&Range<usize>, &Word) -> Range<usize>| {
        index.and_then(|index| page.words.get(index)).is_some_and(|word| {
            word.shape == Shape::Number
                && matches!(page.slice(gap(span, word)), " " | ", " | " (")
                && is_age(page.slice(word.start..word.end))
        })
    };
    let first = page.words.partition_point(|word| word.start < span.start);
    beside(Some(next), |span, word| span.end..word.start) || beside(first.checked_sub(1), |span, word| word.end..span.start)
}

/// "Re: Anna Baker" at the start of a line.
fn is_labelled_re(page: &Page<'_>, at: usize) -> bool {
    page.cues_in(at.saturating_sub(14)..at).any(|hit| {
        hit.cue == Cue::LabelRe
            && page.slice(hit.end..at).trim() == ":"
            && page.lines.get(page.line_at(at)).is_some_and(|line| line.start + 2 >= hit.start)
    })
}

/// ", MD" or " NP" right behind, written as a credential (capitals or with stops).
fn has_credential(page: &Page<'_>, at: usize) -> bool {
    page.cues_in(at..at + 3).any(|hit| {
        let text = page.slice(hit.start..hit.end);
        hit.cue == Cue::Credential
            && page.slice(at..hit.start).bytes().all(|b| matches!(b, b' ' | b','))
            && text.bytes().filter(u8::is_ascii_uppercase).count() >= 1
            && (text.len() > 3 || !text.bytes().any(|b| b.is_ascii_lowercase()))
            && !is_measured(page, hit.end)
    })
}

/// "OD -4.25": a value follows, so the letters before it are an eye and no degree.
fn is_measured(page: &Page<'_>, at: usize) -> bool {
    let rest = page.slice(at..(at + 4).min(page.text.len()));
    rest.starts_with([' ', ':']) && rest.trim_start_matches([' ', ':', '+', '-']).starts_with(|c: char| c.is_ascii_digit())
}
