//! What happens by the clock: gauges, signed heads, holds that ran out, parcels that ended, codes that were used up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::{Parts, continuity, now};
use crate::audit::{Event, Record};
use crate::config::files;
use crate::deliver::{self, OpenCopy, Parcels, PortalError};
use crate::escrow;
use crate::mail::{ParcelId, Timestamp};
use crate::observe::{self, metrics};
use crate::portal::Incident;
use crate::smtp_in::Issued;
use crate::store::{self, Commit, ParcelChange};
use crate::transport::Reason;

/// Gauges are as fresh as this.
const GAUGES_EVERY: Duration = Duration::from_secs(5);
const HEAD_EVERY: Duration = Duration::from_secs(3600);
const EXPIRY_EVERY: Duration = Duration::from_secs(24 * 3600);
/// A certificate that ends this soon is told of: time enough for somebody to see it and for an authority to answer.
const EXPIRY_WARNING_DAYS: i64 = 30;
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
    let mut expiry = interval(EXPIRY_EVERY);
    for timer in [&mut gauges, &mut heads, &mut sweep, &mut expiry] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            _ = gauges.tick() => measure(&parts).await,
            _ = heads.tick() => continuity::sign_head(&parts.settings, &parts.store).await,
            _ = expiry.tick() => look_at_certificates(&parts, now()).await,
            _ = sweep.tick() => {
                end_holds(&parts, &parcels).await;
                end_parcels(&parts, now()).await;
                tell_all_void(&parts, &parcels).await;
            }
            // Without a portal there are none; everything else goes on.
            Some(incident) = incidents.recv() => react(&parcels, incident).await,
        }
    }
    // The last word of this run, so that a later one can show that nothing was cut off.
    continuity::sign_head(&parts.settings, &parts.store).await;
}

async fn measure(parts: &Parts) {
    let Ok(depth) = parts.store.depth().await else { return };
    for (state, copies) in [
        ("queued", depth.queued),
        ("in-flight", depth.in_flight),
        ("held", depth.held),
        ("escrowed", depth.escrowed_open),
        ("damaged", depth.damaged),
    ] {
        metrics().queue(state, i64::try_from(copies).unwrap_or(i64::MAX));
    }
    let age = depth.oldest_queued_at.map_or(0, |at| now().since_ms(at) / 1000);
    metrics().queue_oldest_age_seconds.set(age.max(0));
}

/// Tells of the own and the issued certificates that end soon.
async fn look_at_certificates(parts: &Parts, now: Timestamp) {
    let settings = &parts.settings;
    let mut ends: Vec<(String, i64)> = Vec::new();
    for (name, pair) in [("smtp", &settings.smtp_certificate), ("portal", &settings.portal_certificate)] {
        let Some((chain, key)) = pair else { continue };
        // One that cannot be read any more is found by the next reload.
        if let Ok(identity) = files::identity(chain, key)
            && let Some(until_s) = files::valid_until(&identity)
        {
            ends.push((name.to_owned(), until_s));
        }
    }
    for row in parts.store.users().await.unwrap_or_default() {
        if let (Some(name), Some(issued)) = (Issued::name_of(&row), Issued::parse(&row.verifier)) {
            ends.push((name.to_owned(), issued.not_after_s));
        }
    }
    metrics().certificate_expires.set(ends.iter().map(|(_, until_s)| *until_s).min().unwrap_or(0));
    for (name, until_s) in ends {
        let days = (until_s - now.secs()).div_euclid(86_400);
        if days <= EXPIRY_WARNING_DAYS {
            observe::log(&observe::Event::CertificateExpires { name, days });
        }
    }
}

/// A message that nobody released in time goes to the portal, never out; one that its sender was asked about is refused.
async fn end_holds(parts: &Parts, parcels: &Parcels) {
    let limit = i64::try_from(parts.settings.release_hold_after.as_millis()).unwrap_or(i64::MAX);
    let now = now();
    let Ok(rows) = parts.store.held_since(now.plus_ms(limit.saturating_neg()), SWEEP_MAX).await else { return };
    for row in &rows {
        let Ok(open) = OpenCopy::of(&parts.vault, row) else { continue };
        if open.facts.is_asked {
            // Nobody said that it was meant so: the portal would show it to the very recipient it was held for.
            let commit = deliver::refuse(&parts.vault, &parts.settings.deliver, row, Reason::RefusedByRule, now);
            match parts.store.commit(commit).await {
                Ok(()) | Err(store::Error::Conflict) => continue,
                Err(_) => return,
            }
        }
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
    let opened = now.plus_secs(-escrow::READ_DAYS_MIN * 86_400);
    let Ok(rows) = parts.store.parcels_ended(now, opened, SWEEP_MAX).await else { return };
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
        Incident::CodeVoided(id) => tell_void(parcels, id).await,
        Incident::Opened(_) | Incident::NotForReader(_) => {}
    }
}

/// Codes that were tried out while nobody listened: before a crash, or when more happened than the channel holds.
async fn tell_all_void(parts: &Parts, parcels: &Parcels) {
    let Ok(ids) = parts.store.parcels_tried_out(SWEEP_MAX).await else { return };
    for id in ids {
        tell_void(parcels, id).await;
    }
}

/// Ten tries void the code, not the parcel: the sender is told, and may have a new one issued.
async fn tell_void(parcels: &Parcels, id: ParcelId) {
    match parcels.code_void(id, now()).await {
        Ok(true) | Err(PortalError::Store(store::Error::Refused(_)) | PortalError::NoParcel) => {}
        Ok(false) | Err(_) => observe::log(&observe::Event::NoSlipRoute { parcel: id }),
    }
}
