//! What domains showed lately, and word of it when one shows less: a sign of somebody on the path, or of a fault at
//! the domain that its owner has not seen yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Attempted;
use super::settings::Settings;
use super::weather::Shown;
use crate::mail::{Domain, Timestamp};
use crate::observe::{self, Event};
use crate::queue::Outcome;
use crate::store::{self, Handle};
use crate::transport::{Level, Reason, RefusalKind};

/// The store is told at most this often that a domain is as good as before; it has to know within 90 days.
const NOTE_EVERY: Duration = Duration::from_secs(6 * 3600);
/// Domains remembered for that.
const NOTED_MAX: usize = 50_000;
/// How long more is expected again of a domain that once showed it, as with STARTTLS.
const EXPECTED_MS: i64 = 90 * 24 * 3600 * 1000;
/// A domain that fell short is told of once a day.
const TELL_EVERY_MS: i64 = 24 * 3600 * 1000;

/// The best that a domain showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    StartTls,
    Verified,
    Authenticated,
}

impl Standing {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::StartTls => "starttls",
            Standing::Verified => "verified",
            Standing::Authenticated => "authenticated",
        }
    }

    fn parse(word: &str) -> Option<Standing> {
        [Standing::StartTls, Standing::Verified, Standing::Authenticated].into_iter().find(|standing| standing.as_str() == word)
    }
}

/// What an attempt or a look says of its domain beyond STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Proven(Level),
    /// A published policy, or what was expected of the domain, is not kept.
    Violated(Reason),
    /// TLS below what it had, and no policy that asks for more.
    Short(Reason),
}

impl Seen {
    /// What an attempt says of its domain.
    pub(super) fn of(attempted: &Attempted) -> Option<Seen> {
        match attempted.proof.as_ref().map(|proof| proof.level.as_str()) {
            Some("authenticated") => Some(Seen::Proven(Level::Authenticated)),
            Some("verified") => Some(Seen::Proven(Level::Verified)),
            Some(_) | None => Seen::of_outcome(&attempted.outcome),
        }
    }

    pub(super) fn of_outcome(outcome: &Outcome) -> Option<Seen> {
        match outcome {
            Outcome::Delayed { kind: RefusalKind::PolicyViolated, reason } => Some(Seen::Violated(*reason)),
            // The host is as good as ever; the message is not for it.
            Outcome::CannotReachLevel {
                reason:
                    Reason::SmtpUtf8NotOffered | Reason::EightBitMimeNotOffered | Reason::SizeExceeded | Reason::RequireTlsNotOffered,
                ..
            } => None,
            Outcome::CannotReachLevel { kind: RefusalKind::CannotAuthenticate, reason } => Some(Seen::Short(*reason)),
            Outcome::Delivered
            | Outcome::Uncertain
            | Outcome::Delayed { .. }
            | Outcome::CannotReachLevel { .. }
            | Outcome::Failed { .. } => None,
        }
    }
}

/// Why a domain with this standing is worse now, if it is.
#[must_use]
pub fn falls_short(was: Standing, seen: Seen) -> Option<Reason> {
    match seen {
        Seen::Violated(reason @ (Reason::StarttlsGone | Reason::StarttlsNotSupported)) => Some(reason),
        // A domain that never kept its policy did not get worse.
        Seen::Violated(reason) | Seen::Short(reason) => (was >= Standing::Verified).then_some(reason),
        Seen::Proven(Level::Authenticated) => None,
        // It was proven by a policy, and now a certificate is all there is.
        Seen::Proven(Level::Verified) => (was == Standing::Authenticated).then_some(Reason::LevelNotReachable),
        Seen::Proven(Level::Encrypted) => None,
    }
}

/// Keeps what domains showed.
pub(super) struct History {
    settings: Arc<Settings>,
    store: Handle,
    noted: Mutex<HashMap<Domain, (Standing, Instant)>>,
    /// Domains that fell short, with what they had shown: told of once more when they show it again.
    short: Mutex<HashMap<Domain, Standing>>,
}

impl History {
    pub(super) fn new(settings: Arc<Settings>, store: Handle) -> History {
        History { settings, store, noted: Mutex::default(), short: Mutex::default() }
    }

    /// Writes down what a domain showed, and tells if it is less than before.
    pub(super) async fn saw(&self, domain: &Domain, shown: Option<Shown>, seen: Option<Seen>, now: Timestamp) {
        // Where the administrator chose the host, the domain showed nothing.
        if self.settings.routes.contains_key(domain) || self.settings.default_hop.is_some() {
            return;
        }
        match self.write_down(domain, shown, seen, now).await {
            Ok(news) => news.iter().for_each(observe::log),
            Err(error) => super::finish::store_failed(&error),
        }
    }

    /// Returns what is to be told.
    async fn write_down(
        &self,
        domain: &Domain,
        shown: Option<Shown>,
        seen: Option<Seen>,
        now: Timestamp,
    ) -> Result<Vec<Event>, store::Error> {
        let mut news = Vec::new();
        let standing = match seen {
            Some(Seen::Proven(Level::Authenticated)) => Some(Standing::Authenticated),
            Some(Seen::Proven(Level::Verified)) => Some(Standing::Verified),
            Some(Seen::Proven(Level::Encrypted) | Seen::Violated(_) | Seen::Short(_)) | None => {
                (shown == Some(Shown::StartTls)).then_some(Standing::StartTls)
            }
        };
        let is_news = match seen {
            Some(Seen::Violated(_) | Seen::Short(_)) => true,
            Some(Seen::Proven(_)) | None => standing.is_some_and(|standing| !self.is_noted(domain, standing)),
        };
        let recovered = standing.and_then(|standing| self.recovered(domain, standing));
        if let (Some(_), Some(standing)) = (recovered, standing) {
            news.push(Event::DomainBetter { domain: domain.clone(), was: "worse", now: standing.as_str() });
        }
        if !is_news {
            return Ok(news);
        }
        let was = self.store.standing(domain).await?;
        let was = was.filter(|(_, at)| now.since_ms(*at) < EXPECTED_MS).and_then(|(word, _)| Standing::parse(&word));
        if let (Some(was), Some(seen)) = (was, seen)
            && let Some(reason) = falls_short(was, seen)
            && self.store.note_alarm(domain, now, TELL_EVERY_MS).await?
        {
            news.push(Event::DomainWorse { domain: domain.clone(), was: was.as_str(), reason: reason.as_str() });
            self.fell_short(domain, was);
        }
        if let (Some(was), Some(standing), None) = (was, standing, recovered)
            && standing > was
        {
            news.push(Event::DomainBetter { domain: domain.clone(), was: was.as_str(), now: standing.as_str() });
        }
        let Some(standing) = standing.filter(|standing| !self.is_noted(domain, *standing)) else { return Ok(news) };
        self.store.note_starttls(domain, now).await?;
        // STARTTLS alone takes nothing back: the message may have asked for no more.
        let is_kept = standing == Standing::StartTls && was.is_some_and(|was| was > Standing::StartTls);
        if !is_kept {
            self.store.note_standing(domain, standing.as_str(), now).await?;
        }
        let mut noted = self.noted();
        if noted.len() >= NOTED_MAX {
            noted.clear();
        }
        noted.insert(domain.clone(), (standing, Instant::now()));
        Ok(news)
    }

    fn fell_short(&self, domain: &Domain, was: Standing) {
        let mut short = self.short.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if short.len() < NOTED_MAX {
            short.insert(domain.clone(), was);
        }
    }

    /// What the domain had shown before it fell short, now that it shows as much.
    fn recovered(&self, domain: &Domain, standing: Standing) -> Option<Standing> {
        let mut short = self.short.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if short.get(domain).is_some_and(|was| standing >= *was) { short.remove(domain) } else { None }
    }

    fn is_noted(&self, domain: &Domain, standing: Standing) -> bool {
        self.noted().get(domain).is_some_and(|(noted, at)| *noted == standing && at.elapsed() < NOTE_EVERY)
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, HashMap<Domain, (Standing, Instant)>> {
        self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_worse_only_than_it_was() {
        use Standing::{Authenticated, StartTls, Verified};
        let cases = [
            (StartTls, Seen::Violated(Reason::StarttlsGone), true),
            (StartTls, Seen::Violated(Reason::TlsaInvalid), false),
            (StartTls, Seen::Short(Reason::CertificateExpired), false),
            (Verified, Seen::Violated(Reason::StarttlsGone), true),
            (Verified, Seen::Violated(Reason::TlsaInvalid), true),
            (Verified, Seen::Short(Reason::CertificateExpired), true),
            (Verified, Seen::Proven(Level::Verified), false),
            (Authenticated, Seen::Proven(Level::Verified), true),
            (Authenticated, Seen::Proven(Level::Authenticated), false),
            (Authenticated, Seen::Proven(Level::Encrypted), false),
            (Authenticated, Seen::Short(Reason::LevelNotReachable), true),
        ];
        for (was, seen, is_worse) in cases {
            assert_eq!(falls_short(was, seen).is_some(), is_worse, "{was:?} {seen:?}");
        }
    }
    #[tokio::test]
    async fn what_a_domain_gains_and_wins_back_is_told_once_and_a_first_sight_never() {
        use crate::vault::Vault;
        let folder = std::env::temp_dir().join(format!("wardpost-history-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let store_settings = store::Settings { folder: folder.clone(), body_file_bytes: 1024 };
        let store = Handle::open(store_settings, Arc::new(Vault::ephemeral())).unwrap();
        let name = Domain::parse("gateway.example").unwrap();
        let settings = Settings::new(name, Arc::new(rustls::RootCertStore::empty()));
        let history = History::new(Arc::new(settings), store.clone());
        let domain = Domain::parse("p.example").unwrap();
        let proven = |level| Some(Seen::Proven(level));
        let steps: [(Option<Seen>, &[&str]); 8] = [
            (proven(Level::Verified), &[]),
            (proven(Level::Authenticated), &["domain-better domain=p.example was=verified now=authenticated"]),
            (proven(Level::Authenticated), &[]),
            (Some(Seen::Violated(Reason::TlsaInvalid)), &["domain-worse domain=p.example was=authenticated reason=tlsa-invalid"]),
            (Some(Seen::Violated(Reason::TlsaInvalid)), &[]),
            // Less than it had is no recovery.
            (proven(Level::Verified), &[]),
            (proven(Level::Authenticated), &["domain-better domain=p.example was=worse now=authenticated"]),
            (proven(Level::Authenticated), &[]),
        ];
        for (n, (seen, expected)) in steps.into_iter().enumerate() {
            let at = Timestamp::from_secs(1_700_000_000 + n as i64 * 60);
            let news = history.write_down(&domain, Some(Shown::StartTls), seen, at).await.unwrap();
            assert_eq!(news.iter().map(Event::text).collect::<Vec<_>>(), expected, "step {n}");
        }
        store.close().await;
        let _ = std::fs::remove_dir_all(&folder);
    }
}
