//! DKIM keys in force: those whose public half stands in DNS. A signature that nobody can check does harm.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::DkimKey;
use crate::lookup::Lookup;
use crate::observe::{self, Event};
use crate::pipeline::{Dkim, Gate, Signers};
use crate::transport::Evidence;

/// DNS is asked again after this time: a record published or withdrawn later counts without a restart.
const AGAIN: Duration = Duration::from_secs(600);

/// What DNS says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    Yes,
    No,
    /// DNS could not be asked.
    Unknown,
}

/// Asks for the record of one key.
pub async fn published(lookup: &Lookup, key: &DkimKey) -> Published {
    let wanted = crate::message::dkim::public_txt(&key.signer);
    match lookup.txt(&name(key)).await {
        Evidence::Present(texts) if texts.iter().any(|text| is_same_key(text, &wanted)) => Published::Yes,
        Evidence::Present(_) | Evidence::Absent(_) => Published::No,
        Evidence::Unknown(_) => Published::Unknown,
    }
}

/// Where the record of a key belongs.
#[must_use]
pub fn name(key: &DkimKey) -> String {
    format!("{}._domainkey.{}", key.selector, key.domain)
}

/// The keys that sign. One that DNS could not be asked about stays as it was `before`.
pub(super) async fn signers(keys: &[DkimKey], lookup: &Arc<Lookup>, before: &Signers, is_first: bool) -> Signers {
    let mut asked = JoinSet::new();
    for (place, key) in keys.iter().cloned().enumerate() {
        let lookup = lookup.clone();
        asked.spawn(async move { (place, published(&lookup, &key).await, key) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, ..)| *place);
    let mut signers = Signers::new();
    for (_, answer, key) in answers {
        let was_in_force = before.get(&key.domain).is_some_and(|keys| keys.iter().any(|before| before.selector == key.selector));
        match answer {
            Published::Yes => {}
            Published::Unknown if was_in_force => {}
            Published::No => {
                if is_first || was_in_force {
                    observe::log(&Event::DkimKeyNotInDns { domain: key.domain });
                }
                continue;
            }
            Published::Unknown => {
                if is_first {
                    observe::log(&Event::SettingsNote {
                        what: format!(
                            "DNS could not be asked for {}: mail leaves without this signature until it can",
                            name(&key)
                        ),
                    });
                }
                continue;
            }
        }
        signers.entry(key.domain).or_default().push(Dkim { selector: key.selector, signer: key.signer });
    }
    signers
}

/// Asks again by the clock. `keys` are those of the configuration in force; a reload has asked for its own already.
pub(super) async fn keep(
    gate: Arc<Gate>,
    mut keys: watch::Receiver<Vec<DkimKey>>,
    lookup: Arc<Lookup>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            changed = keys.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(AGAIN) => {
                let now = keys.borrow_and_update().clone();
                let signers = signers(&now, &lookup, &gate.signers(), false).await;
                // A reload in the meantime knows better.
                if keys.has_changed().is_ok_and(|has| !has) {
                    gate.set_signers(signers);
                }
            }
        }
    }
}

/// Compares the `p=` tags; white space in them means nothing (RFC 6376, section 3.6.1).
fn is_same_key(text: &str, wanted: &str) -> bool {
    let p = |text: &str| {
        text.split(';').find_map(|tag| {
            tag.trim().strip_prefix("p=").map(|value| value.chars().filter(|c| !c.is_whitespace()).collect::<String>())
        })
    };
    p(text).is_some() && p(text) == p(wanted)
}
