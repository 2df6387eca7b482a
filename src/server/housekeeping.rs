//! What happens by the clock: gauges, signed heads, holds that ran out, parcels that ended, codes that were used up.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::{Parts, now};
use crate::audit::{Event, Record};
use crate::deliver::{OpenCopy, Parcels};
use crate::escrow::{self, Occasion};
use crate::mail::Timestamp;
use crate::observe::{self, metrics};
use crate::portal::Incident;
use crate::queue::CopyState;
use crate::store::{self, Commit, ParcelChange};

/// Gauges are as fresh as this.
const GAUGES_EVERY: Duration = Duration::from_secs(5);
const HEAD_EVERY: Duration = Duration::from_secs(3600);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Rows looked at in one sweep.
const SWEEP_MAX: usize = 1000;

/// Runs until `stop`.
pub(super) async fn keep(
    parts: Parts,
    parcels: Arc<Parcels>,
    mut incidents: mpsc::Receiver<Incident>,
    mut stop: watch::Receiver<bool>,
) {
    let mut gauges = interval(GAUGES_EVERY);
    let mut heads = interval(HEAD_EVERY);
    let mut sweep = interval(SWEEP_EVERY);
    for timer in [&mut gauges, &mut heads, &mut sweep] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            _ = gauges.tick() => measure(&parts).await,
            _ = heads.tick() => sign_head(&parts).await,
            _ = sweep.tick() => {
                end_holds(&parts, &parcels).await;
                end_parcels(&parts, now()).await;
            }
            incident = incidents.recv() => match incident {
                Some(incident) => react(&parcels, incident).await,
                None => break,
            },
        }
    }
    // The last word of this run, so that a later one can show that nothing was cut off.
    sign_head(&parts).await;
}

async fn measure(parts: &Parts) {
    let Ok(depth) = parts.store.depth().await else { return };
    for (state, copies) in
        [("queued", depth.queued), ("in-flight", depth.in_flight), ("held", depth.held), ("escrowed", depth.escrowed_open)]
    {
        metrics().queue(state, i64::try_from(copies).unwrap_or(i64::MAX));
    }
    let age = depth.oldest_queued_at.map_or(0, |at| now().since_ms(at) / 1000);
    metrics().queue_oldest_age_seconds.set(age.max(0));
}

/// Signs the end of the log and keeps the head in a second place: with the keys, away from the data.
async fn sign_head(parts: &Parts) {
    // A closed store is reported where it broke.
    let Ok(head) = parts.store.sign_head(now()).await else { return };
    if let Err(error) = replace(&head_file(&parts.settings.keys), &head) {
        observe::log(&observe::Event::SettingsNote {
            what: format!("the head of the log could not be written beside the keys: {error}"),
        });
    }
}

pub(super) fn head_file(keys: &Path) -> std::path::PathBuf {
    keys.join("head.json")
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// A message that nobody released in time goes to the portal, never out.
async fn end_holds(parts: &Parts, parcels: &Parcels) {
    let Ok(rows) = parts.store.copies(true, SWEEP_MAX).await else { return };
    let limit = i64::try_from(parts.settings.release_hold_after.as_millis()).unwrap_or(i64::MAX);
    let now = now();
    for row in rows.iter().filter(|row| row.copy.state == CopyState::Held && now.since_ms(row.copy.received_at) >= limit) {
        let Ok(open) = OpenCopy::of(&parts.vault, row) else { continue };
        let Ok(Some(body)) = parts.store.body(row.copy.body).await else { continue };
        if let Err(error) = parcels.to_portal(row, &open, body, escrow::Why::Policy, now).await {
            observe::log(&observe::Event::SettingsNote {
                what: format!("a held copy could not go to the portal and is tried again: {error}"),
            });
        }
    }
}

/// Parcels that ended lose keys and content; the row stays as a fact.
async fn end_parcels(parts: &Parts, now: Timestamp) {
    let Ok(rows) = parts.store.parcels(true, SWEEP_MAX).await else { return };
    for row in rows.iter().filter(|row| escrow::effective_expiry(row.expires_at, row.first_opened_at) <= now) {
        let mut record = Record::of(Event::Expired, now);
        record.message = Some(row.message.to_string());
        record.copy = Some(row.copy.to_string());
        record.recipient = Some(row.recipient.clone());
        record.domain = Some(row.domain.to_string());
        let commit =
            Commit { parcel_changes: vec![ParcelChange::Closed(row.id, now)], records: vec![record], ..Commit::default() };
        match parts.store.commit(commit).await {
            Ok(()) | Err(store::Error::Conflict) => {}
            Err(_) => return,
        }
    }
}

async fn react(parcels: &Parcels, incident: Incident) {
    match incident {
        // Ten tries void the code, not the parcel: the sender gets a new one to pass on.
        Incident::CodeVoided(id) => {
            if parcels.reissue(id, Occasion::AfterTenTries, now()).await.is_err() {
                observe::log(&observe::Event::NoSlipRoute { parcel: id });
            }
        }
        Incident::Opened(_) | Incident::NotForReader(_) => {}
    }
}
