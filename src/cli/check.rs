//! `wardpost check`: what is known of the way to domains, and what would become of mail to them now.
//!
//! While the gateway runs it is asked, because it remembers policies and who offered encryption before; otherwise this
//! process asks by itself, without store and keys.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::Ended;
use crate::config::Settings;
use crate::mail::{Domain, Mailbox};
use crate::server::check::{Checker, Report, Status};
use crate::server::{self, Answer, Request};

/// Domains under way at a time: enough to be quick, few enough to look like no scan of the world.
const AT_ONCE: usize = 16;
/// Asked for something that is no domain, or nothing could be asked.
const COULD_NOT_ASK: u8 = 2;
const NOT_ALL: u8 = 1;

/// Runs the command; whatever keeps it from asking ends with 2.
pub fn run(config: Option<&Path>, names: &[String], file: Option<&Path>, json: bool) -> Ended {
    match all(config, names, file, json) {
        Ok(code) => Ok(code),
        Err(error) => {
            super::complain(error.as_ref());
            Ok(ExitCode::from(COULD_NOT_ASK))
        }
    }
}

fn all(config: Option<&Path>, names: &[String], file: Option<&Path>, json: bool) -> Ended {
    let settings = match config {
        Some(path) => Settings::load(path)?,
        None => Settings::built_in()?,
    };
    let mut asked = Asked::default();
    for name in names {
        asked.add(name, None);
    }
    if let Some(path) = file {
        let text = read(path)?;
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                asked.add(line, Some(n + 1));
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let worst = runtime.block_on(ask(Arc::new(settings), asked.domains, json, file.is_some()))?;
    let status = if asked.has_bad { Some(Status::NotAsked) } else { worst };
    Ok(match status {
        Some(Status::Deliverable) => ExitCode::SUCCESS,
        Some(Status::NotDeliverable) => ExitCode::from(NOT_ALL),
        Some(Status::NotAsked) | None => ExitCode::from(COULD_NOT_ASK),
    })
}

fn read(path: &Path) -> Result<String, server::Failure> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    Ok(std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?)
}

/// Each domain once, in the order in which they came.
#[derive(Default)]
struct Asked {
    domains: Vec<Domain>,
    known: HashSet<Domain>,
    has_bad: bool,
}

impl Asked {
    fn add(&mut self, name: &str, line: Option<usize>) {
        match domain_of(name) {
            Some(domain) => {
                if self.known.insert(domain.clone()) {
                    self.domains.push(domain);
                }
            }
            None => {
                self.has_bad = true;
                let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                eprintln!("wardpost: {place}`{}` is neither a domain nor an address", crate::transport::printable(name));
            }
        }
    }
}

/// The domain of `DOMAIN`, `user@DOMAIN`, or `Name <user@DOMAIN>`.
fn domain_of(text: &str) -> Option<Domain> {
    let text = text.trim().trim_end_matches([',', ';']);
    let text = match text.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>')?,
        None => text,
    };
    if text.contains('@') {
        return Mailbox::parse(text.strip_prefix("mailto:").unwrap_or(text)).ok().map(|mailbox| mailbox.domain().clone());
    }
    Domain::parse(text).ok()
}

/// Asks about all of them, and prints in their order; returns the worst status.
async fn ask(
    settings: Arc<Settings>,
    domains: Vec<Domain>,
    json: bool,
    shows_progress: bool,
) -> Result<Option<Status>, server::Failure> {
    let alone = Arc::new(Checker::alone(&settings)?);
    let (turns, done, total) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(AtomicUsize::new(0)), domains.len());
    let asking: Vec<_> = domains
        .into_iter()
        .map(|domain| {
            let (settings, alone, turns, done) = (settings.clone(), alone.clone(), turns.clone(), done.clone());
            tokio::spawn(async move {
                let _turn = turns.acquire_owned().await;
                let report = one(&settings, &alone, &domain).await;
                let n = done.fetch_add(1, Ordering::Relaxed) + 1;
                if shows_progress {
                    eprintln!("{n} of {total}: {domain}");
                }
                report
            })
        })
        .collect();
    let mut worst = None;
    for (n, report) in asking.into_iter().enumerate() {
        let report = report.await?;
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            if n > 0 {
                println!();
            }
            print!("{report}");
        }
        worst = worst.max(Some(report.status));
    }
    Ok(worst)
}

/// Through the running gateway if there is one that knows the question, else by this process.
async fn one(settings: &Settings, alone: &Checker, domain: &Domain) -> Report {
    let request = Request::Check { domain: domain.to_string() };
    if let Some(Ok(Answer::Rows(rows))) = server::ask_running(settings, &request).await
        && let Some(Ok(report)) = rows.into_iter().next().map(serde_json::from_value)
    {
        return report;
    }
    alone.check(domain).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_found_in_whatever_an_address_book_holds() {
        let cases = [
            ("example.com", Some("example.com")),
            ("Pat@Example.COM", Some("example.com")),
            ("\"Quill, Pat\" <pat@example.com>,", Some("example.com")),
            ("mailto:pat@example.com", Some("example.com")),
            ("Pat Quill", None),
            ("pat@", None),
            ("<pat@example.com", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(domain_of(text).as_ref().map(Domain::as_str), expected, "{text}");
        }
    }
}
