//! The canary: proves by the clock that nothing of a message reaches a host that proves nothing.
//!
//! Receivers on loopback stand for what goes wrong in the world: no TLS, a certificate that nobody vouches for, a TLSA
//! record that does not match. A message of chance words is sent to each on the way that every message takes, with
//! evidence made for it, and then everything the receiver was told is searched. One more receiver is good, so that a
//! canary that could not find its words anywhere is noticed too.

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Failure, Parts, now};
use crate::deliver::{
    AskWay, Attempts, Content, Contents, RequireTls, Settings, Tally, Transaction, Way, pool::Pool, weather::Weather,
};
use crate::mail::{Domain, Mailbox, Notify};
use crate::observe::{self, Event, metrics};
use crate::queue::Outcome;
use crate::secret::Plaintext;
use crate::transport::{Denial, DomainEvidence, Evidence, Level, MxHost, Requirement, Security, TlsaRecord, TlsaSet};
use crate::world::{Leaf, Sink, SinkSettings, Versions};

const EVERY: Duration = Duration::from_secs(3600);
/// Everything happens on this machine; a run that takes longer has failed.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Runs at once and then until `stop`.
pub(super) async fn keep(parts: Parts, mut stop: watch::Receiver<bool>) {
    loop {
        let words = words(&parts);
        let run = tokio::time::timeout(TIME_MAX, prove(&parts.settings.deliver, &RECEIVERS, &words));
        let result = tokio::select! {
            _ = stop.changed() => break,
            result = run => result.unwrap_or_else(|_| Err(Problem::CouldNotRun("it took too long".to_owned()))),
        };
        match result {
            Ok(()) => metrics().canary_last_proved.set(now().0 / 1000),
            Err(problem) => observe::log(&Event::CanaryFailed { what: problem.to_string() }),
        }
        tokio::select! {
            _ = stop.changed() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Words that nothing else ever says.
fn words(parts: &Parts) -> String {
    let dice: [u8; 16] = parts.vault.random();
    dice.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a receiver shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    NoTls,
    BadCertificate,
    BrokenTlsa,
    /// A TLSA record that matches.
    Proof,
}

/// One receiver, the least level the message asks for, and whether it may get it.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    shows: Shows,
    level: Level,
    may_get_it: bool,
}

/// Where nothing may arrive is asked at the lowest level at which that is promised.
const RECEIVERS: [Receiver; 4] = [
    Receiver { shows: Shows::NoTls, level: Level::Encrypted, may_get_it: false },
    Receiver { shows: Shows::BadCertificate, level: Level::Verified, may_get_it: false },
    Receiver { shows: Shows::BrokenTlsa, level: Level::Encrypted, may_get_it: false },
    Receiver { shows: Shows::Proof, level: Level::Authenticated, may_get_it: true },
];

/// Why nothing was proven. Read by an administrator.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("content reached a receiver with {}; stop the gateway and report this", said(*.0))]
    Arrived(Shows),
    #[error("the address of a recipient was said in clear to a receiver with {}; stop the gateway and report this", said(*.0))]
    AddressInClear(Shows),
    #[error("the good receiver did not get its message, so that nothing is proven: {0}")]
    GoodMissed(String),
    #[error("the receiver with {} was not even asked, so that nothing is proven: {outcome}", said(*shows))]
    NotAsked { shows: Shows, outcome: String },
    #[error("the self-test could not run: {0}")]
    CouldNotRun(String),
}

fn said(shows: Shows) -> &'static str {
    match shows {
        Shows::NoTls => "no TLS",
        Shows::BadCertificate => "a bad certificate",
        Shows::BrokenTlsa => "a broken TLSA record",
        Shows::Proof => "a good TLSA record",
    }
}

/// Sends to each receiver and looks at what it was told.
async fn prove(settings: &Settings, receivers: &[Receiver], words: &str) -> Result<(), Problem> {
    for receiver in receivers {
        let (sink, evidence) =
            listen(receiver.shows).await.map_err(|error| Problem::CouldNotRun(format!("no receiver on loopback: {error}")))?;
        let outcome = send(settings, receiver, &sink, evidence, words).await?;
        let outcome = format!("{outcome:?}");
        let was_asked = sink.connection_count() > 0;
        let told = told(&sink);
        let has_words = told.iter().any(|bytes| holds(bytes, words.as_bytes()));
        let is_said_in_clear = holds(&sink.clear_bytes(), RECIPIENT.as_bytes());
        match receiver.may_get_it {
            _ if !was_asked => return Err(Problem::NotAsked { shows: receiver.shows, outcome }),
            _ if is_said_in_clear => return Err(Problem::AddressInClear(receiver.shows)),
            false if has_words || sink.message_count() > 0 => return Err(Problem::Arrived(receiver.shows)),
            true if !has_words => return Err(Problem::GoodMissed(outcome)),
            true | false => {}
        }
    }
    Ok(())
}

const DOMAIN: &str = "canary.invalid";
const HOST: &str = "mx.canary.invalid";
const RECIPIENT: &str = "nobody@canary.invalid";

/// A receiver, and what DNS would say of the way to it.
async fn listen(shows: Shows) -> Result<(Sink, DomainEvidence), Failure> {
    let leaf = match shows {
        Shows::NoTls => None,
        Shows::BadCertificate | Shows::BrokenTlsa | Shows::Proof => Some(Leaf::self_signed(&[HOST])?),
    };
    let record = match (&leaf, shows) {
        (Some(leaf), Shows::Proof) => Some(leaf.tlsa(3, 1, 1)?),
        (Some(leaf), Shows::BrokenTlsa) => Some(leaf.tlsa_mismatch(3, 1, 1)?),
        (_, Shows::NoTls | Shows::BadCertificate | Shows::BrokenTlsa | Shows::Proof) => None,
    };
    let (domain, host) = (Domain::parse(DOMAIN)?, Domain::parse(HOST)?);
    let security = if record.is_some() { Security::Secure } else { Security::Insecure };
    let tlsa = record.map_or(Evidence::Absent(Denial::Claimed), |tlsa| {
        let record =
            TlsaRecord { usage: tlsa.usage, selector: tlsa.selector, matching: tlsa.matching, association: tlsa.association };
        Evidence::Present(TlsaSet { base: host.clone(), records: vec![record] })
    });
    let addresses = Evidence::Present((vec![Ipv4Addr::LOCALHOST.into()], security));
    let evidence = DomainEvidence {
        domain,
        alias_of: None,
        mx: Evidence::Present((vec![MxHost { preference: 0, name: host, addresses, tlsa }], security)),
        sts: Evidence::Absent(Denial::Claimed),
        pin: None,
        starttls_seen: false,
        is_nonexistent: false,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let tls = leaf.map(|leaf| leaf.server_config(Versions::Both)).transpose()?;
    Ok((Sink::serve(listener, SinkSettings { host: HOST.to_owned(), tls, ..SinkSettings::default() })?, evidence))
}

/// One attempt by the code that sends everything else, with the gateway's own settings but for the port.
async fn send(
    settings: &Settings,
    receiver: &Receiver,
    sink: &Sink,
    evidence: DomainEvidence,
    words: &str,
) -> Result<Outcome, Problem> {
    let mut settings = settings.clone();
    settings.mx_port = sink.address().port();
    // A fixed way would lead elsewhere, an address of ours may not reach loopback, and the canary is no weather.
    settings.routes.clear();
    settings.default_hop = None;
    settings.dial_from.clear();
    settings.weather = None;
    let attempts = Attempts {
        ask: Arc::new(Made(evidence)),
        pool: Arc::new(Pool::new(settings.pool.clone())),
        weather: Arc::new(Weather::new(None)),
        // Its receivers are no domains that anybody reports to.
        tally: Arc::new(Tally::new(false, false)),
        dice: Arc::new(|| 0),
        settings: Arc::new(settings),
    };
    let mailbox = |text: &str| Mailbox::parse(text).map_err(|error| Problem::CouldNotRun(error.to_string()));
    let (recipient, sender) = (mailbox(RECIPIENT)?, mailbox("canary@canary.invalid")?);
    let transaction = Transaction {
        lane: crate::policy::Lane::First,
        reverse_path: Some(&sender),
        recipient: &recipient,
        smtputf8: false,
        require_tls: RequireTls::No,
        notify: Notify::default(),
        orcpt: None,
        envid: words,
    };
    let requirement = Requirement { level: receiver.level, require_tls: false };
    let text = Text(words.to_owned());
    let attempted = attempts.deliver(&requirement, Way::Any, &transaction, &text, None).await;
    // What is on its way arrives before it is looked for.
    attempts.pool.close().await;
    sink.wait_for_silence().await;
    Ok(attempted.outcome)
}

/// Evidence made for one receiver.
struct Made(DomainEvidence);

impl AskWay for Made {
    fn evidence<'a>(&'a self, _: &'a Domain) -> Pin<Box<dyn Future<Output = DomainEvidence> + Send + 'a>> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

struct Text(String);

impl Contents for Text {
    async fn open(&self) -> Option<Content> {
        let header = format!("From: canary@canary.invalid\r\nSubject: {}\r\n", self.0);
        Some(Content::whole(header.as_bytes(), Plaintext::new(format!("{}\r\n", self.0).into_bytes())))
    }
}

/// Everything that a receiver was told: in clear, inside TLS, and the messages it kept.
fn told(sink: &Sink) -> Vec<Vec<u8>> {
    let mut told = vec![sink.clear_bytes()];
    told.extend(sink.messages().into_iter().map(|message| message.content));
    told.extend(
        sink.connections().iter().flat_map(|connection| connection.commands.iter().map(|line| line.clone().into_bytes())),
    );
    told
}

fn holds(bytes: &[u8], words: &[u8]) -> bool {
    memchr::memmem::find(bytes, words).is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rustls::RootCertStore;

    use super::*;

    fn settings() -> Settings {
        Settings::new(Domain::parse("gw.practice.example").unwrap(), Arc::new(RootCertStore::empty()))
    }

    fn with_roots(leaf: &Leaf) -> Settings {
        let mut roots = RootCertStore::empty();
        roots.add(leaf.der().unwrap().clone()).unwrap();
        Settings::new(Domain::parse("gw.practice.example").unwrap(), Arc::new(roots))
    }

    #[tokio::test]
    async fn it_proves_that_nothing_arrives_and_would_see_what_does() {
        let settings = with_roots(&Leaf::self_signed(&["elsewhere.example"]).unwrap());
        prove(&settings, &RECEIVERS, "chance-words").await.unwrap();
        // A receiver that gets the message although it must not, for its proof is good.
        let receiver = Receiver { shows: Shows::Proof, level: Level::Verified, may_get_it: false };
        assert!(matches!(prove(&settings, &[receiver], "chance-words").await, Err(Problem::Arrived(Shows::Proof))));
        // One that takes any certificate, as level `encrypted` does.
        let receiver = Receiver { shows: Shows::BadCertificate, level: Level::Encrypted, may_get_it: false };
        assert!(matches!(prove(&settings, &[receiver], "chance-words").await, Err(Problem::Arrived(Shows::BadCertificate))));
        // A way on which nothing arrives anywhere proves nothing.
        let receiver = Receiver { shows: Shows::BrokenTlsa, level: Level::Verified, may_get_it: true };
        assert!(matches!(prove(&settings, &[receiver], "chance-words").await, Err(Problem::GoodMissed(_))));
    }

    #[tokio::test]
    async fn a_receiver_that_was_not_asked_proves_nothing() {
        // Without any root no plan for a certificate can be carried out.
        let receiver = Receiver { shows: Shows::BadCertificate, level: Level::Verified, may_get_it: false };
        let result = prove(&settings(), &[receiver], "chance-words").await;
        assert!(matches!(result, Err(Problem::NotAsked { shows: Shows::BadCertificate, .. })), "{result:?}");
    }
}
