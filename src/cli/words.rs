//! `wardpost words try FOLDER`: what own words would change, on sample mail, before they are in force.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::Ended;
use crate::config::{self, Settings};
use crate::extract::ReadAttachment;
use crate::mail::{Domain, Envelope, ForwardPath, MailParams, Mailbox, RcptParams, ReversePath};
use crate::message::{self, Message};
use crate::pipeline::{Examined, Examiner};
use crate::policy::Policy;
use crate::sandbox;
use crate::scan::{Scanner, Words, WordsFile};
use crate::secret::Plaintext;
use crate::server;

/// Invented mail of a practice, one after the other.
const SAMPLES: &str = include_str!("../../policies/samples.txt");
const BETWEEN: &str = "\n=====\n";

/// Scanner and rules with and without the words of a folder.
pub(super) struct Pair {
    pub before: (std::sync::Arc<Scanner>, Policy),
    pub after: (std::sync::Arc<Scanner>, Policy),
    pub files: Vec<WordsFile>,
}

impl Pair {
    /// The configured words stay on both sides, unless `folder` is where they lie: then they are what is tried.
    pub fn load(mut settings: Settings, folder: &Path) -> Result<Pair, server::Failure> {
        let added = config::words(folder)?;
        if added.is_empty() {
            return Err(format!(
                "there is no *.toml and no *.tsv in {}; policies/README.md shows what such a file says",
                folder.display()
            )
            .into());
        }
        let files = Words::load(&added)?.files;
        let is_same = |other: &Path| other.canonicalize().ok() == folder.canonicalize().ok();
        if settings.words_folder.as_deref().is_some_and(is_same) {
            settings.words.clear();
        }
        let load = |settings: &Settings| -> Result<_, server::Failure> {
            let scanner = server::scanner(settings)?;
            let policy = server::load_rules(settings, &scanner)?;
            Ok((scanner, policy))
        };
        let before = load(&settings)?;
        settings.words.extend(added);
        let after = load(&settings).map_err(|error| format!("with these words: {error}"))?;
        Ok(Pair { before, after, files })
    }
}

/// What became different for one message.
#[derive(Default)]
pub(super) struct Difference {
    pub newly: BTreeMap<&'static str, u32>,
    pub gone: BTreeMap<&'static str, u32>,
    /// PHI before, and after.
    pub phi: (bool, bool),
    /// What happened, and what would happen.
    pub way: Option<(String, String)>,
}

impl Difference {
    pub fn between(before: &Examined, after: &Examined) -> Difference {
        let found = |examined: &Examined| -> HashSet<(&'static str, usize, usize, usize)> {
            let hits = examined.findings.hits.iter();
            hits.map(|hit| (hit.kind.as_str(), hit.text, hit.span.start, hit.span.end)).collect()
        };
        let (old, new) = (found(before), found(after));
        let mut difference =
            Difference { phi: (before.findings.phi.is_some(), after.findings.phi.is_some()), ..Difference::default() };
        for (kind, ..) in new.difference(&old) {
            *difference.newly.entry(kind).or_default() += 1;
        }
        for (kind, ..) in old.difference(&new) {
            *difference.gone.entry(kind).or_default() += 1;
        }
        let way = |examined: &Examined| {
            let strictest = examined.decision.verdicts.iter().map(|verdict| (verdict.action, verdict.requirement.level)).max();
            strictest.map_or_else(String::new, |(action, level)| format!("{} at {}", action.as_str(), level.as_str()))
        };
        let ways = (way(before), way(after));
        difference.way = (ways.0 != ways.1).then_some(ways);
        difference
    }

    pub fn is_none(&self) -> bool {
        self.newly.is_empty() && self.gone.is_empty() && self.phi.0 == self.phi.1 && self.way.is_none()
    }

    /// In words, for one line.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        match self.phi {
            (false, true) => parts.push("newly PHI".to_owned()),
            (true, false) => parts.push("no longer PHI".to_owned()),
            _ => {}
        }
        if let Some((before, after)) = &self.way {
            parts.push(format!("{before} -> {after}"));
        }
        for (what, counts) in [("newly found", &self.newly), ("no longer found", &self.gone)] {
            if !counts.is_empty() {
                parts.push(format!("{what}: {}", listed(counts)));
            }
        }
        parts.join("; ")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "phi_before": self.phi.0,
            "phi_after": self.phi.1,
            "way_before": self.way.as_ref().map(|way| &way.0),
            "way_after": self.way.as_ref().map(|way| &way.1),
            "newly_found": self.newly,
            "no_longer_found": self.gone,
        })
    }
}

fn listed(counts: &BTreeMap<&'static str, u32>) -> String {
    counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

/// The recipients as the header section names them, for mail that has no envelope.
pub(super) fn envelope_of(message: &Message) -> Envelope {
    let header = message.header();
    let named = ["To", "Cc", "Bcc"].iter().flat_map(|name| header.all(name)).flat_map(message::Field::mailboxes);
    let mut to: Vec<Mailbox> = named.map(|named| named.mailbox).collect();
    if to.is_empty() {
        to.extend(Mailbox::parse("someone@elsewhere.example").ok());
    }
    let to = to.into_iter().map(|mailbox| ForwardPath { mailbox, params: RcptParams::default() }).collect();
    Envelope { from: ReversePath::Null, params: MailParams::default(), to }
}

pub fn try_out(config: Option<&Path>, folder: &Path, mail: Option<&Path>, json: bool) -> Ended {
    let settings = Settings::load_or_built_in(config)?;
    let own = settings.own_domains.clone();
    let samples = match mail {
        Some(folder) => letters(folder)?,
        None => SAMPLES
            .split(BETWEEN)
            .zip(1..)
            .map(|(text, n)| (format!("sample-{n:02}"), text.replace('\n', "\r\n").into_bytes()))
            .collect(),
    };
    let pair = Pair::load(settings, folder)?;
    let mut out = std::io::stdout().lock();
    let readers = sandbox::Pool::start(sandbox::Settings::own()?)?;
    report(&pair, &own, samples, &readers, json, &mut out)?;
    Ok(ExitCode::SUCCESS)
}

/// Every `.eml` below a folder.
fn letters(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, server::Failure> {
    let mut out = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = std::fs::read_dir(&next).map_err(|error| format!("cannot read {}: {error}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("eml")) {
                let bytes = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                out.push((path.strip_prefix(folder).unwrap_or(&path).display().to_string(), bytes));
            }
        }
    }
    if out.is_empty() {
        return Err(format!("there is no .eml file in {}", folder.display()).into());
    }
    out.sort();
    Ok(out)
}

fn report(
    pair: &Pair,
    own_domains: &[Domain],
    samples: Vec<(String, Vec<u8>)>,
    attachments: &dyn ReadAttachment,
    json: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    // Own patients would be the same on both sides.
    let [before, after] =
        [&pair.before, &pair.after].map(|(scanner, rules)| Examiner { scanner, rules, patients: None, attachments, own_domains });
    if !json {
        for file in &pair.files {
            writeln!(
                out,
                "{}: version {}, {}: {} terms, {} patterns, {} allowed",
                file.name, file.version, file.owner, file.terms, file.patterns, file.allowed
            )?;
        }
    }
    let (mut total, mut changed, mut newly_phi, mut no_longer_phi, mut other_way) = (0, 0, 0, 0, 0);
    let (mut newly, mut gone): (BTreeMap<&str, u32>, BTreeMap<&str, u32>) = Default::default();
    for (name, bytes) in samples {
        total += 1;
        let message = message::parse(Plaintext::new(bytes));
        let envelope = envelope_of(&message);
        let old = before.examine(&message, &envelope);
        let difference = Difference::between(&old, &after.examine(&message, &envelope));
        if difference.is_none() {
            continue;
        }
        changed += 1;
        newly_phi += u32::from(difference.phi == (false, true));
        no_longer_phi += u32::from(difference.phi == (true, false));
        other_way += u32::from(difference.way.is_some());
        for (sum, counts) in [(&mut newly, &difference.newly), (&mut gone, &difference.gone)] {
            for (kind, count) in counts {
                *sum.entry(kind).or_default() += count;
            }
        }
        if json {
            let mut row = difference.json();
            if let Some(fields) = row.as_object_mut() {
                fields.insert("message".into(), name.into());
            }
            writeln!(out, "{row}")?;
        } else {
            writeln!(out, "  {name}: {}", difference.text())?;
        }
    }
    if json {
        let sum = serde_json::json!({
            "messages": total, "changed": changed, "newly_phi": newly_phi, "no_longer_phi": no_longer_phi,
            "other_way": other_way, "newly_found": newly, "no_longer_found": gone,
        });
        return writeln!(out, "{sum}");
    }
    let count = |counts: &BTreeMap<&str, u32>| {
        if counts.is_empty() {
            "nothing".to_owned()
        } else {
            counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
        }
    };
    writeln!(
        out,
        "{total} messages, {changed} change: {newly_phi} newly PHI, {no_longer_phi} no longer PHI, {other_way} go another way"
    )?;
    writeln!(out, "newly found: {}", count(&newly))?;
    writeln!(out, "no longer found: {}", count(&gone))
}
