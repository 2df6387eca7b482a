use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::runs::Runs;
use super::stations::Built;
use super::{OwnPatients, Refused};
use crate::extract::ReadAttachment;
use crate::mail::{Domain, Envelope, Principal, Timestamp};
use crate::message::dkim;
use crate::observe::{self, metrics};
use crate::policy::{Lane, Policy};
use crate::scan::Scanner;
use crate::store::{self, CopyRow, NewBody, NewCopy};
use crate::vault::Vault;

/// What the corridor needs to know of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name in Received fields.
    pub server_name: String,
    pub own_domains: Vec<Domain>,
    /// Messages read and scanned at once.
    pub scans_at_once: usize,
}

/// One DKIM key of a sender domain.
pub struct Dkim {
    pub selector: String,
    pub signer: Arc<dkim::Signer>,
}

/// Keys by sender domain; only those whose public half stands in DNS.
pub type Signers = HashMap<Domain, Vec<Dkim>>;

/// Writes the letter in which the sender of a held copy is asked; `None` where no way leads to the sender.
pub type Letter = dyn Fn(&CopyRow, &str) -> Option<(NewBody, NewCopy)> + Send + Sync;

/// A message above this size is large.
const LARGE_OCTETS: usize = 1 << 20;

/// Places at the pool for scanning.
struct Places {
    all: Arc<Semaphore>,
    /// One large message is read at a time: the words of its texts take several times its size, and small ones keep
    /// their places.
    large: Arc<Semaphore>,
}

struct Place {
    _one: OwnedSemaphorePermit,
    _alone: Option<OwnedSemaphorePermit>,
}

impl Places {
    fn new(at_once: usize) -> Places {
        Places { all: Arc::new(Semaphore::new(at_once.max(1))), large: Arc::new(Semaphore::new(1)) }
    }

    /// Waits for a place for a message of this size.
    async fn take(&self, octets: usize) -> Option<Place> {
        // First the turn of the large ones: whoever waits for it holds no place that a small one could have.
        let alone = match octets {
            0..=LARGE_OCTETS => None,
            _ => Some(Arc::clone(&self.large).acquire_owned().await.ok()?),
        };
        Some(Place { _one: Arc::clone(&self.all).acquire_owned().await.ok()?, _alone: alone })
    }
}

/// The room between the listeners and the queue.
pub struct Gate {
    pub settings: Settings,
    pub vault: Arc<Vault>,
    pub store: store::Handle,
    /// Scanner and rules, together: each rule has run its examples with this scanner. `None`: not loaded yet.
    rules: RwLock<Option<(Arc<Scanner>, Arc<Policy>)>>,
    signers: RwLock<Arc<Signers>>,
    attachments: Box<dyn ReadAttachment>,
    places: Places,
    pub patients: Arc<OwnPatients>,
    letter: Option<Box<Letter>>,
    runs: Runs,
    warm: Option<Warm>,
}

/// To the delivery workers, from memory, by lane; a full one means the store hands the copy over later.
pub struct Warm {
    pub first: mpsc::Sender<CopyRow>,
    pub bulk: mpsc::Sender<CopyRow>,
}

impl Gate {
    #[must_use]
    pub fn new(
        settings: Settings,
        vault: Arc<Vault>,
        store: store::Handle,
        attachments: Box<dyn ReadAttachment>,
        warm: Option<Warm>,
    ) -> Gate {
        let places = Places::new(settings.scans_at_once);
        Gate {
            settings,
            vault,
            store,
            rules: RwLock::new(None),
            signers: RwLock::new(Arc::new(Signers::new())),
            attachments,
            places,
            patients: Arc::default(),
            letter: None,
            runs: Runs::default(),
            warm,
        }
    }

    /// With the list of own patients that commands change, and with letters to senders of held mail.
    #[must_use]
    pub fn with(mut self, patients: Arc<OwnPatients>, letter: Box<Letter>) -> Gate {
        self.patients = patients;
        self.letter = Some(letter);
        self
    }

    /// Whether a message waits behind those that come one by one.
    pub(super) fn is_run(&self, principal: &Principal, envelope: &Envelope, at: Timestamp) -> bool {
        let sender = self.vault.pseudonym("sender", &format!("{}\0{}", principal.name, envelope.from));
        self.runs.note(sender, envelope.to.len(), at)
    }

    /// Puts scanner and rules in force; messages under way keep theirs. Until the first ones are here, every submission
    /// is answered 451.
    pub fn set_rules(&self, scanner: Arc<Scanner>, policy: Arc<Policy>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Some((scanner, policy));
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.in_force().is_some()
    }

    pub(super) fn in_force(&self) -> Option<(Arc<Scanner>, Arc<Policy>)> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn attachments(&self) -> &dyn ReadAttachment {
        self.attachments.as_ref()
    }

    #[must_use]
    pub fn signers(&self) -> Arc<Signers> {
        self.signers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_signers(&self, signers: Signers) {
        *self.signers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(signers);
    }

    #[must_use]
    pub fn is_own(&self, domain: &Domain) -> bool {
        self.settings.own_domains.iter().any(|own| own == domain)
    }

    /// Runs long work on a message of this size off the event loop, a bounded number at a time.
    pub(super) async fn on_the_pool<T: Send + 'static>(
        self: Arc<Self>,
        octets: usize,
        work: impl FnOnce(&Gate) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let _place = self.places.take(octets).await.ok_or(Refused::NotReady)?;
        let done =
            tokio::task::spawn_blocking(move || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&self)))).await;
        match done {
            Ok(Ok(result)) => result,
            // A panic costs this one message its attempt; the client keeps it and comes again.
            Ok(Err(_)) | Err(_) => {
                metrics().panics.inc();
                observe::log(&observe::Event::SessionPanicked);
                Err(Refused::StoreFailed)
            }
        }
    }

    /// Makes everything true at once, synced, then hands what may go now to the workers from memory.
    pub(super) async fn keep(&self, mut built: Built) -> Result<(), Refused> {
        let mut warm = Vec::new();
        for (lane, sender) in self.warm.iter().flat_map(|warm| [(Lane::First, &warm.first), (Lane::Bulk, &warm.bulk)]) {
            if let Ok(permits) = sender.try_reserve_many(built.due_now(lane)) {
                warm.extend(permits.zip(built.hand_over(lane)));
            }
        }
        let held = built.held();
        if let Some(letter) = &self.letter {
            built.ask_sender(letter);
        }
        self.store.commit(std::mem::take(&mut built.commit)).await.map_err(|error| match error {
            store::Error::Full => Refused::DiskFull,
            other => {
                observe::log(&observe::Event::StoreFailed { what: other.to_string() });
                Refused::StoreFailed
            }
        })?;
        for (message, copy) in held {
            observe::log(&observe::Event::Held { message, copy });
        }
        for (permit, row) in warm {
            permit.send(row);
        }
        Ok(())
    }
}

/// "Never send the code by e-mail": a live code on its way to anyone outside is refused.
pub(super) async fn search_for_codes(gate: &Gate, spoken: Vec<[u8; 32]>) -> Result<(), Refused> {
    if spoken.is_empty() {
        return Ok(());
    }
    match gate.store.is_any_live_code(spoken).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(Refused::CodeInMail),
        Err(_) => Err(Refused::StoreFailed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    async fn is_taken_at_once(places: &Places, octets: usize) -> Option<Place> {
        tokio::select! {
            biased;
            place = places.take(octets) => place,
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn large_messages_wait_for_one_another_and_keep_no_place_from_small_ones() {
        let places = Places::new(2);
        let first = is_taken_at_once(&places, LARGE_OCTETS + 1).await.unwrap();
        assert!(is_taken_at_once(&places, LARGE_OCTETS + 1).await.is_none());
        let small = is_taken_at_once(&places, LARGE_OCTETS).await.unwrap();
        assert!(is_taken_at_once(&places, 1).await.is_none(), "both places are taken");
        drop(small);
        assert!(is_taken_at_once(&places, LARGE_OCTETS + 1).await.is_none());
        drop(first);
        assert!(is_taken_at_once(&places, LARGE_OCTETS + 1).await.is_some());
    }
}
