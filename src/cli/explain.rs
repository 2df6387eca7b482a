//! `wardpost explain FILE`: what the gateway would see in a message, what it would find, what the rules would do for each
//! recipient, and what would change that. Reads, searches and judges with the corridor's own examiner.
//!
//! Excerpts are masked: an explanation may be read by people who may not read the message.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::Ended;
use super::words::{Difference, Pair, envelope_of};
use crate::config::Settings;
use crate::extract::{Extracted, HeaderField, Place, Text};
use crate::mail::{Domain, Envelope, ForwardPath, MailParams, Mailbox, RcptParams, ReversePath};
use crate::message::{self, Message};
use crate::pipeline::{self, Examined, Examiner};
use crate::policy::{Action, OtherPatient, Verdict};
use crate::sandbox;
use crate::scan::{Finding, Kind, Leg, Scanner};
use crate::secret::Plaintext;
use crate::server::check::{Checker, Report};
use crate::server::{self, Answer, Request};
use crate::transport::Level;

/// How the command was called.
pub struct Asked<'a> {
    pub files: &'a [PathBuf],
    pub from: Option<&'a str>,
    pub to: &'a [String],
    /// Folder of own words that are not in force yet.
    pub with: Option<&'a Path>,
    pub offline: bool,
    pub json: bool,
    pub reveal: bool,
}

/// Characters of the surroundings on each side of a finding.
const AROUND: usize = 36;
/// Findings that are taken away one by one; a register has thousands.
const SINGLES_MAX: usize = 24;
/// Above this much text nothing is taken away one by one: each costs a scan.
const SINGLES_BYTES_MAX: usize = 512 * 1024;
/// Findings that people are shown; programs get all.
const SHOWN_MAX: usize = 60;

/// Everything about one message, in the names that `--json` prints.
#[derive(Debug, Serialize)]
pub struct Explained {
    pub file: String,
    /// Why the dialogue would refuse it, whatever is in it.
    pub refused: Option<String>,
    pub policy: String,
    pub texts: Vec<SeenText>,
    pub unreadable: Vec<String>,
    pub pictures: usize,
    pub phi: bool,
    /// 0 to 100.
    pub score: u32,
    pub reasons: Vec<&'static str>,
    pub own_patients: String,
    pub findings: Vec<Found>,
    pub recipients: Vec<Recipient>,
    /// What the words of `--with` would change.
    pub with_words: Option<serde_json::Value>,
    #[serde(skip)]
    with_text: String,
}

#[derive(Debug, Serialize)]
pub struct SeenText {
    pub place: String,
    pub characters: usize,
}

#[derive(Debug, Serialize)]
pub struct Found {
    pub kind: &'static str,
    pub place: String,
    pub line: usize,
    pub score: u8,
    pub reason: &'static str,
    pub excerpt: String,
    /// The same words stand at so many places.
    pub times: u32,
}

#[derive(Debug, Serialize)]
pub struct Recipient {
    pub to: String,
    pub action: &'static str,
    pub level: &'static str,
    /// What a release would do.
    pub after_hold: Option<&'static str>,
    pub rules: Vec<Because>,
    /// What is known of the way now; `None` with `--offline`, and where nothing would be sent.
    pub route: Option<String>,
    /// Single changes after which less would be asked.
    pub without: Vec<Without>,
}

#[derive(Debug, Serialize)]
pub struct Because {
    pub rule: String,
    pub why: String,
}

#[derive(Debug, Serialize)]
pub struct Without {
    pub what: String,
    pub action: &'static str,
    pub level: &'static str,
}

/// Explains each file.
pub fn run(config: Option<&Path>, asked: &Asked<'_>) -> Ended {
    let settings = Settings::load_or_built_in(config)?;
    let scanner = server::scanner(&settings)?;
    let rules = server::load_rules(&settings, &scanner)?;
    let patients = server::kept_patients(&settings);
    let pair = asked
        .with
        .map(|folder| Settings::load_or_built_in(config).map_err(Into::into).and_then(|settings| Pair::load(settings, folder)))
        .transpose()?;
    let readers = sandbox::Pool::start(sandbox::Settings::own()?)?;
    let (patients, note) = match &patients {
        Ok(Some(list)) => (Some(list), format!("{} on the list", list.count())),
        Ok(None) => (None, "no list".to_owned()),
        Err(error) => (None, format!("not looked at: {error}")),
    };
    let mut routes = Routes::new(&settings, asked.offline)?;
    let paint = Paint::of_terminal();
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for file in asked.files {
        let content = match std::fs::read(file) {
            Ok(content) => content,
            Err(error) => {
                eprintln!("wardpost: cannot read {}: {error}", file.display());
                code = ExitCode::FAILURE;
                continue;
            }
        };
        let message = message::parse(Plaintext::new(content));
        let envelope = envelope(&message, asked)?;
        let with =
            |scanner, rules| Examiner { scanner, rules, patients, attachments: &readers, own_domains: &settings.own_domains };
        let desk = Desk { examiner: with(&*scanner, &rules) };
        let (mut explained, examined) = desk.explain(&message, &envelope, asked.reveal);
        explained.file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        explained.own_patients.clone_from(&note);
        for (recipient, to) in explained.recipients.iter_mut().zip(&envelope.to) {
            if recipient.action != Action::Reject.as_str() {
                recipient.route = routes.of(to.mailbox.domain(), recipient.level);
            }
        }
        if let Some(pair) = &pair {
            let after = with(&*pair.after.0, &pair.after.1).examine(&message, &envelope);
            let difference = Difference::between(&examined, &after);
            explained.with_words = Some(difference.json());
            explained.with_text = if difference.is_none() { "nothing would change".into() } else { difference.text() };
        }
        if asked.json {
            writeln!(out, "{}", serde_json::to_string(&explained)?)?;
        } else {
            print(&mut out, &explained, paint)?;
        }
    }
    Ok(code)
}

fn envelope(message: &Message, asked: &Asked<'_>) -> Result<Envelope, server::Failure> {
    let mut envelope = envelope_of(message);
    let mailbox = |text: &str| Mailbox::parse(text).map_err(|error| format!("`{text}`: {error}"));
    if !asked.to.is_empty() {
        envelope.to = asked
            .to
            .iter()
            .map(|text| Ok(ForwardPath { mailbox: mailbox(text)?, params: RcptParams::default() }))
            .collect::<Result<_, String>>()?;
    }
    if let Some(from) = asked.from {
        envelope.from = ReversePath::Mailbox(mailbox(from)?);
    }
    envelope.params = MailParams::default();
    Ok(envelope)
}

/// Explains what an examiner does.
struct Desk<'a> {
    examiner: Examiner<'a>,
}

impl Desk<'_> {
    /// All but the route and what own words would change.
    fn explain(&self, message: &Message, envelope: &Envelope, reveal: bool) -> (Explained, Examined) {
        let examined = self.examiner.examine(message, envelope);
        let findings = &examined.findings;
        let without = self.without(message, envelope, &examined);
        let recipients =
            examined.decision.verdicts.iter().zip(&envelope.to).zip(without).map(|((verdict, to), without)| Recipient {
                to: to.mailbox.to_string(),
                action: verdict.action.as_str(),
                level: verdict.requirement.level.as_str(),
                after_hold: (verdict.action == Action::Hold).then(|| verdict.after_hold.as_str()),
                rules: self.because(verdict),
                route: None,
                without,
            });
        let explained = Explained {
            file: String::new(),
            refused: pipeline::refusal(message).map(str::to_owned),
            policy: examined.decision.policy_version.clone(),
            texts: examined
                .text
                .texts
                .iter()
                .map(|text| SeenText { place: place(&text.place), characters: text.content.chars().count() })
                .collect(),
            unreadable: findings.unreadable.iter().map(|unreadable| super::unreadable::sentence(message, unreadable)).collect(),
            pictures: findings.images.len(),
            phi: findings.phi.is_some(),
            score: examined.facts.score,
            reasons: findings.nearest.iter().flat_map(|nearest| &nearest.reasons).map(|reason| reason.as_str()).collect(),
            own_patients: String::new(),
            findings: self.found(&examined, reveal),
            recipients: recipients.collect(),
            with_words: None,
            with_text: String::new(),
        };
        (explained, examined)
    }

    fn because(&self, verdict: &Verdict) -> Vec<Because> {
        let rule = |id: &String| self.examiner.rules.rules.iter().find(|rule| rule.id == *id);
        verdict.rules.iter().filter_map(rule).map(|rule| Because { rule: rule.id.clone(), why: rule.why.clone() }).collect()
    }

    fn found(&self, examined: &Examined, reveal: bool) -> Vec<Found> {
        let mut out: Vec<Found> = Vec::new();
        let mut known: HashMap<(Kind, String), usize> = HashMap::new();
        for hit in &examined.findings.hits {
            let Some(text) = examined.text.texts.get(hit.text) else { continue };
            let words = words(text, hit);
            if let Some(found) = known.get(&(hit.kind, words.clone())).and_then(|at| out.get_mut(*at)) {
                found.times += 1;
                continue;
            }
            known.insert((hit.kind, words), out.len());
            out.push(Found {
                kind: hit.kind.as_str(),
                place: place(&text.place),
                line: line(text, hit.span.start),
                score: hit.score,
                reason: reason(examined, hit),
                excerpt: excerpt(self.examiner.scanner, text, hit, &examined.findings.hits, reveal),
                times: 1,
            });
        }
        out
    }

    /// For each recipient the smallest changes found after which less would be asked.
    fn without(&self, message: &Message, envelope: &Envelope, examined: &Examined) -> Vec<Vec<Without>> {
        let verdicts = &examined.decision.verdicts;
        let mut out: Vec<Vec<Without>> = verdicts.iter().map(|_| Vec::new()).collect();
        let is_least =
            |verdict: &Verdict| verdict.action == Action::Deliver && verdict.requirement.level <= self.examiner.rules.level;
        if verdicts.iter().all(is_least) {
            return out;
        }
        let size: usize = examined.text.texts.iter().map(|text| text.content.len()).sum();
        let singles = if size <= SINGLES_BYTES_MAX { singles(examined) } else { Vec::new() };
        for (step, changes) in [singles, groups(message, examined)].into_iter().enumerate() {
            for change in changes {
                let judged = self.examiner.judge(message, envelope, change.apply(&examined.text));
                let mut facts = judged.facts;
                if change.drops_subject {
                    facts.subject.clear();
                }
                if change.drops_other_patient {
                    facts.other_patient.clear();
                }
                let decision = crate::policy::decide(self.examiner.rules, envelope, &facts);
                for ((list, now), then) in out.iter_mut().zip(verdicts).zip(&decision.verdicts) {
                    let less = (then.action, then.requirement.level) < (now.action, now.requirement.level)
                        && then.action <= now.action
                        && then.requirement.level <= now.requirement.level;
                    // What one finding changes needs no group.
                    if less && (step == 0 || list.is_empty() || change.is_own_kind) {
                        list.push(Without {
                            what: change.what.clone(),
                            action: then.action.as_str(),
                            level: then.requirement.level.as_str(),
                        });
                    }
                }
            }
        }
        out
    }
}

/// One thing that could be otherwise.
#[derive(Default)]
struct Change {
    what: String,
    blank: Vec<(usize, Range<usize>)>,
    /// A part with all that is in it.
    part: Option<message::PartPath>,
    drops_subject: bool,
    drops_other_patient: bool,
    /// Of another kind than findings, so worth saying beside them.
    is_own_kind: bool,
}

impl Change {
    fn apply(&self, text: &Extracted) -> Extracted {
        let is_of = |path: &message::PartPath| self.part.as_ref() == Some(path);
        let texts = text.texts.iter().enumerate().filter(|(_, text)| match &text.place {
            Place::Header(_, field) => !(self.drops_subject && *field == HeaderField::Subject),
            Place::FileName(path) | Place::Attachment(path) => !is_of(path),
            Place::Body(path) => !is_of(path),
            Place::Gap => true,
        });
        let blanked = |(index, text): (usize, &Text)| {
            let mut content = text.content.clone();
            for (_, span) in self.blank.iter().filter(|(of, _)| *of == index) {
                if let Some(words) = content.get(span.clone()) {
                    content.replace_range(span.clone(), &" ".repeat(words.len()));
                }
            }
            Text { place: text.place.clone(), content }
        };
        let mut out = Extracted::default();
        out.texts.extend(texts.map(blanked));
        out.unreadable.extend(text.unreadable.iter().filter(|unreadable| !is_of(&unreadable.part)).cloned());
        out.images.extend(text.images.iter().filter(|image| !is_of(&image.part)).cloned());
        out.limits_exceeded = text.limits_exceeded && !text.unreadable.iter().any(|unreadable| is_of(&unreadable.part));
        out
    }
}

/// Each finding that says who or what, with every place where the same words stand.
fn singles(examined: &Examined) -> Vec<Change> {
    let mut changes: Vec<((Kind, String), Change)> = Vec::new();
    for hit in &examined.findings.hits {
        let Some(text) = examined.text.texts.get(hit.text) else { continue };
        if !matches!(hit.kind.leg(), Leg::Identifier | Leg::Health | Leg::Payment) || is_address(&text.place) {
            continue;
        }
        let key = (hit.kind, words(text, hit));
        let place = (hit.text, hit.span.clone());
        let count = changes.len();
        match changes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, change)) => change.blank.push(place),
            None if count < SINGLES_MAX => {
                let what =
                    format!("the {} in line {} of {}", name(hit.kind), line(text, hit.span.start), self::place(&text.place));
                changes.push((key, Change { what, blank: vec![place], ..Change::default() }));
            }
            None => {}
        }
    }
    changes.into_iter().map(|(_, change)| change).collect()
}

/// All that says who, all that says what, each attachment, the subject, the other patient.
fn groups(message: &Message, examined: &Examined) -> Vec<Change> {
    let mut changes = Vec::new();
    for (leg, what) in [(Leg::Identifier, "what says who it is about"), (Leg::Health, "what says something about health")] {
        let hits = examined.findings.hits.iter().filter(|hit| hit.kind.leg() == leg);
        let hits = hits.filter(|hit| examined.text.texts.get(hit.text).is_some_and(|text| !is_address(&text.place)));
        let (mut kinds, mut blank) = (BTreeSet::new(), Vec::new());
        for hit in hits {
            kinds.insert(name(hit.kind));
            blank.push((hit.text, hit.span.clone()));
        }
        if !blank.is_empty() {
            let kinds: Vec<&str> = kinds.into_iter().collect();
            changes.push(Change { what: format!("{what} ({})", kinds.join(", ")), blank, ..Change::default() });
        }
    }
    for part in message.parts().into_iter().filter(|part| part.children.is_empty()) {
        let is_attached = examined
            .text
            .texts
            .iter()
            .any(|text| matches!(&text.place, Place::Attachment(path) | Place::FileName(path) if *path == part.path))
            || examined.findings.unreadable.iter().any(|unreadable| unreadable.part == part.path)
            || examined.findings.images.iter().any(|image| image.part == part.path);
        if is_attached {
            let what = format!("the attachment in part {}", part.path);
            changes.push(Change { what, part: Some(part.path.clone()), is_own_kind: true, ..Change::default() });
        }
    }
    if !examined.facts.subject.trim().is_empty() {
        changes.push(Change { what: "the subject".into(), drops_subject: true, is_own_kind: true, ..Change::default() });
    }
    if examined.facts.other_patient.iter().any(|other| *other != OtherPatient::None) {
        changes.push(Change {
            what: "what identifies another patient".into(),
            drops_other_patient: true,
            is_own_kind: true,
            ..Change::default()
        });
    }
    changes
}

fn is_address(place: &Place) -> bool {
    matches!(place, Place::Header(_, HeaderField::From | HeaderField::To | HeaderField::Cc | HeaderField::Other))
}

fn words(text: &Text, hit: &Finding) -> String {
    text.content.get(hit.span.clone()).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn line(text: &Text, at: usize) -> usize {
    text.content.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

/// In words; file names are left out, because they name people, too.
fn place(place: &Place) -> String {
    let part =
        |path: &message::PartPath| if *path == message::PartPath::root() { String::new() } else { format!(" (part {path})") };
    match place {
        Place::Header(path, field) => {
            let field = match field {
                HeaderField::Subject => "subject",
                HeaderField::From => "From field",
                HeaderField::To => "To field",
                HeaderField::Cc => "Cc field",
                HeaderField::Other => "header",
            };
            format!("the {field}{}", part(path))
        }
        Place::Body(path) => format!("the letter{}", part(path)),
        Place::FileName(path) => format!("a file name{}", part(path)),
        Place::Attachment(path) => format!("the attachment{}", part(path)),
        Place::Gap => "what stands between the parts".to_owned(),
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::OwnPatient => "own patient",
        Kind::Dob => "birth date",
        Kind::Ssn => "social security number",
        Kind::Mrn => "record number",
        Kind::Mbi => "Medicare number",
        Kind::HealthPlan => "member number",
        Kind::Medicaid => "Medicaid number",
        Kind::CreditCard => "card number",
        Kind::Icd10 | Kind::Icd9 => "diagnosis code",
        Kind::Cpt | Kind::Hcpcs | Kind::Pcs => "procedure code",
        Kind::Ndc => "drug code",
        Kind::Lab => "lab test",
        Kind::LabValue => "lab value",
        Kind::Loinc => "lab code",
        Kind::Name
        | Kind::Provider
        | Kind::Date
        | Kind::Phone
        | Kind::Fax
        | Kind::Email
        | Kind::Address
        | Kind::Account
        | Kind::License
        | Kind::Vin
        | Kind::Device
        | Kind::Url
        | Kind::Ip
        | Kind::Iban
        | Kind::Routing
        | Kind::Npi
        | Kind::Dea
        | Kind::Diagnosis
        | Kind::Symptom
        | Kind::Procedure
        | Kind::Medication
        | Kind::Amount
        | Kind::Insurer
        | Kind::Specialty => kind.as_str(),
    }
}

/// Why it was taken for this kind.
fn reason(examined: &Examined, hit: &Finding) -> &'static str {
    if hit.kind == Kind::OwnPatient {
        let own = examined.findings.patients.iter().find(|own| own.text == hit.text && own.span == hit.span);
        return own.map_or("on the list of own patients", |own| match own.by.as_str() {
            "number" => "on the list of own patients: number",
            "name-and-birth-date" => "on the list of own patients: name and birth date",
            "name-and-contact" => "on the list of own patients: name and contact",
            _ => "on the list of own patients: birth date and contact",
        });
    }
    match hit.kind {
        Kind::Name => "words of the shape and lists of names",
        Kind::Provider => "a name with a title of care, or the sender's",
        Kind::Dob => "a date with a word of birth beside or above it",
        Kind::Date => "the shape of a date",
        Kind::Phone | Kind::Fax => "a number of the North American plan",
        Kind::Email | Kind::Url | Kind::Ip => "its shape",
        Kind::Address => "a house number and street, or a city with its ZIP",
        Kind::Ssn => "area, group and serial as issued",
        Kind::Mrn | Kind::HealthPlan | Kind::Medicaid | Kind::Account | Kind::License | Kind::Device => {
            "the label before it, or the column above it"
        }
        Kind::Mbi => "the classes of its eleven places",
        Kind::Vin | Kind::CreditCard | Kind::Iban | Kind::Routing | Kind::Npi | Kind::Dea | Kind::Loinc => "its check digit",
        Kind::Icd10 | Kind::Hcpcs => "a code that exists",
        Kind::Cpt | Kind::Ndc | Kind::Icd9 | Kind::Pcs => "its shape and the label before it",
        Kind::Diagnosis | Kind::Symptom | Kind::Procedure | Kind::Medication | Kind::Lab => "a term of the dictionaries",
        Kind::LabValue => "a number with a unit",
        Kind::Amount => "a sum of money",
        Kind::Insurer => "the name of an insurer",
        Kind::Specialty => "the name of a field of medicine",
        Kind::OwnPatient => "on the list of own patients",
    }
}

/// What stands around a finding. Findings are their kind and length class, digits are `#`, and of the other words only
/// plain ones that are nobody's name are shown.
fn excerpt(scanner: &Scanner, text: &Text, hit: &Finding, hits: &[Finding], reveal: bool) -> String {
    let content = text.content.as_str();
    let boundary = |mut at: usize| {
        while !content.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let before = content.get(..hit.span.start).unwrap_or_default();
    let after = content.get(hit.span.end..).unwrap_or_default();
    let from = boundary(hit.span.start.saturating_sub(AROUND)).max(before.rfind('\n').map_or(0, |at| at + 1));
    let to = boundary((hit.span.end + AROUND).min(content.len())).min(hit.span.end + after.find('\n').unwrap_or(after.len()));
    let around = |range: Range<usize>| content.get(range).unwrap_or_default().to_owned();
    if reveal {
        let shown = format!("{}[{}]{}", around(from..hit.span.start), around(hit.span.clone()), around(hit.span.end..to));
        return shown.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    // Spans of all findings in reach, the one that is explained before others that overlap it.
    let mut spans: Vec<(Range<usize>, Kind)> = vec![(hit.span.clone(), hit.kind)];
    for other in hits.iter().filter(|other| other.text == hit.text && other.span.start < to && other.span.end > from) {
        if spans.iter().all(|(span, _)| other.span.end <= span.start || other.span.start >= span.end) {
            spans.push((other.span.clone(), other.kind));
        } else if other.span.start < hit.span.start || other.span.end > hit.span.end {
            // What is left of an overlapping one is masked as a word.
            spans.push((other.span.clone(), other.kind));
        }
    }
    spans.sort_by_key(|(span, _)| span.start);
    let mut out = String::new();
    let mut at = from;
    for (span, kind) in spans {
        if span.start > at {
            out.push_str(&plain(scanner, &around(at..span.start)));
        }
        if span.end > at {
            let length = content.get(span.clone()).unwrap_or_default().chars().count();
            let class = match length {
                0..=5 => "short",
                6..=12 => "medium",
                _ => "long",
            };
            out.push_str(&if span == hit.span {
                format!("[{}, {class}]", kind.as_str())
            } else {
                format!("[{}]", kind.as_str())
            });
            at = span.end;
        }
    }
    if at < to {
        out.push_str(&plain(scanner, &around(at..to)));
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Surroundings without anything that could say who.
fn plain(scanner: &Scanner, text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let end = |word: &mut String, out: &mut String| {
        if word.is_empty() {
            return;
        }
        let is_label = ["mrn", "dob", "ssn", "id", "no", "dx", "rx", "pt", "re", "tel", "fax", "name", "patient", "icd"]
            .iter()
            .any(|label| word.eq_ignore_ascii_case(label));
        if is_label || scanner.is_plain_word(word) {
            out.push_str(word);
        } else if word.chars().all(|c| c.is_ascii_digit()) {
            out.push_str(&"#".repeat(word.len().min(4)));
        } else {
            out.push('\u{2026}');
        }
        word.clear();
    };
    for c in text.chars() {
        if c.is_alphanumeric() || c == '\'' {
            word.push(c);
        } else {
            end(&mut word, &mut out);
            out.push(if c.is_control() { ' ' } else { c });
        }
    }
    end(&mut word, &mut out);
    out
}

/// The ways to domains, each asked once: the running gateway if there is one, else this process.
struct Routes<'a> {
    settings: &'a Settings,
    runtime: Option<tokio::runtime::Runtime>,
    known: BTreeMap<Domain, Option<Report>>,
}

impl<'a> Routes<'a> {
    fn new(settings: &'a Settings, offline: bool) -> std::io::Result<Routes<'a>> {
        let runtime = if offline { None } else { Some(tokio::runtime::Builder::new_multi_thread().enable_all().build()?) };
        Ok(Routes { settings, runtime, known: BTreeMap::new() })
    }

    fn of(&mut self, domain: &Domain, level: &str) -> Option<String> {
        let runtime = self.runtime.as_ref()?;
        let settings = self.settings;
        let report = self.known.entry(domain.clone()).or_insert_with(|| runtime.block_on(ask(settings, domain)));
        let Some(report) = report else { return Some("could not be asked".into()) };
        let of = |wanted: Level| report.levels.iter().find(|known| known.level == wanted);
        let level =
            [Level::Encrypted, Level::Verified, Level::Authenticated].into_iter().find(|known| known.as_str() == level)?;
        Some(of(level).map_or_else(|| report.sentence.clone(), |level| level.sentence.clone()))
    }
}

async fn ask(settings: &Settings, domain: &Domain) -> Option<Report> {
    let request = Request::Check { domain: domain.to_string() };
    if let Some(Ok(Answer::Rows(rows))) = server::ask_running(settings, &request).await {
        return rows.into_iter().next().and_then(|row| serde_json::from_value(row).ok());
    }
    Some(Checker::alone(settings).ok()?.check(domain).await)
}

/// Colours for a terminal; none for a file, a pipe, or where NO_COLOR is set.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn of_terminal() -> Paint {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint(std::io::stdout().is_terminal() && !is_unwanted)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
    /// Green, yellow, red by how strict it is.
    fn action(self, action: &str) -> String {
        let code = match action {
            "deliver" => "32",
            "escrow" => "33",
            _ => "31",
        };
        self.with(code, action)
    }
    fn kind(self, text: &str) -> String {
        self.with("36", text)
    }
}

fn print(out: &mut dyn Write, explained: &Explained, paint: Paint) -> std::io::Result<()> {
    writeln!(out, "{}  {}", paint.bold(&explained.file), paint.dim(&format!("policy {}", explained.policy)))?;
    if let Some(why) = &explained.refused {
        writeln!(out, "  refused in the dialogue, whatever is in it: {why}")?;
    }
    writeln!(out, "{}", paint.bold("seen"))?;
    for text in &explained.texts {
        writeln!(out, "  {}, {} characters", text.place, text.characters)?;
    }
    for unreadable in &explained.unreadable {
        writeln!(out, "  {}", paint.with("31", &format!("could not be read: {unreadable}")))?;
    }
    if explained.pictures > 0 {
        writeln!(out, "  pictures: {}", explained.pictures)?;
    }
    writeln!(out, "  own patients: {}", explained.own_patients)?;
    writeln!(out, "{}", paint.bold("found"))?;
    let verdict = if explained.phi { paint.with("31", "PHI") } else { paint.with("32", "no PHI") };
    writeln!(out, "  {verdict}, score {} of 100{}", explained.score, because(&explained.reasons))?;
    for found in explained.findings.iter().take(SHOWN_MAX) {
        let times = if found.times > 1 { format!(", {} times", found.times) } else { String::new() };
        writeln!(
            out,
            "  {}  {}, line {}{times}  {}",
            paint.kind(&format!("{:<12}", found.kind)),
            found.place,
            found.line,
            paint.dim(&format!("score {}: {}", found.score, found.reason))
        )?;
        writeln!(out, "                {}", found.excerpt)?;
    }
    if explained.findings.len() > SHOWN_MAX {
        writeln!(out, "  and {} more; --json shows all", explained.findings.len() - SHOWN_MAX)?;
    }
    for recipient in &explained.recipients {
        writeln!(out, "{} {}", paint.bold("to"), paint.bold(&recipient.to))?;
        let release = recipient.after_hold.map(|after| format!(", after a release {after}")).unwrap_or_default();
        writeln!(out, "  {} at {} or better{release}", paint.action(recipient.action), recipient.level)?;
        for because in &recipient.rules {
            writeln!(out, "  rule {}: {}", because.rule, because.why)?;
        }
        if recipient.rules.is_empty() {
            writeln!(out, "  no rule matched")?;
        }
        if let Some(route) = &recipient.route {
            writeln!(out, "  way now: {route}")?;
        }
        for without in &recipient.without {
            writeln!(out, "  without {}: {} at {}", without.what, paint.action(without.action), without.level)?;
        }
    }
    if explained.with_words.is_some() {
        writeln!(out, "{} {}", paint.bold("with the words of --with:"), explained.with_text)?;
    }
    Ok(())
}

fn because(reasons: &[&str]) -> String {
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}
