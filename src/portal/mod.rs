//! # portal: the recipient's pages
//!
//! A person types the number of a message and the code they got from the office, and reads the message. Everything
//! mailed to them so far opens nothing: the link is a locator, the code went another way.
//!
//! What holds here: GET and HEAD change nothing. A try is counted, committed and synced before the costly key
//! derivation starts. An unknown number looks and costs like a known one. Opened keys live in this process's memory
//! only. HTML of a message is sanitised and stands in a frame without scripts, forms and remote loads; attachments
//! are downloads.
//!
//! Must not be here: issuing codes, mail, staff's pages, any host name but our own.
//!
//! Reading order: `settings` → `routes` → `unlock` → `session`, `limits` → `reading` → `html`, `weight`, `download` → `pages`, `lang`.
//! Standards: OWASP ASVS 5.0 level 2, RFC 6266, RFC 8187, RFC 6265.

mod download;
mod html;
mod lang;
mod limits;
mod pages;
mod reading;
mod routes;
mod session;
mod settings;
mod unlock;
mod weight;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::http::Method;
use tokio::sync::Semaphore;

use crate::audit::{Event, Record};
use crate::mail::Timestamp;
use crate::store::{Handle, ParcelRow};
use crate::vault::Vault;
use crate::web::Site;

pub use settings::{Clock, Incident, Settings, system_clock};

/// Posted forms hold a number, a code and a token.
const BODY_BYTES_MAX: usize = 8 * 1024;
/// Messages opened and decoded at the same time; each may take a few times its size in memory.
const READERS: usize = 4;
/// HTML sanitised at the same time; a place is held until the work ends, even if nobody waits any more.
const RENDERERS: usize = 4;

/// The portal. Cheap to clone; all clones share sessions and limits.
#[derive(Clone)]
pub struct Portal(Arc<Inner>);

struct Inner {
    settings: Settings,
    store: Handle,
    vault: Arc<Vault>,
    sessions: session::Sessions,
    limits: limits::Limits,
    derivations: unlock::Derivations,
    readers: Arc<Semaphore>,
    renderers: Arc<Semaphore>,
    style: pages::Style,
}

impl Portal {
    #[must_use]
    pub fn new(settings: Settings, store: Handle, vault: Arc<Vault>) -> Portal {
        Portal(Arc::new(Inner {
            sessions: session::Sessions::new(settings.idle_secs, settings.total_secs),
            limits: limits::Limits::new(settings.tries_per_minute, settings.tries_per_day),
            derivations: unlock::Derivations::new(),
            readers: Arc::new(Semaphore::new(READERS)),
            renderers: Arc::new(Semaphore::new(RENDERERS)),
            style: pages::Style::new(),
            settings,
            store,
            vault,
        }))
    }

    /// All routes, without a listener.
    pub fn router(&self) -> axum::Router {
        routes::router(self.0.clone())
    }

    /// What the listener must check before any page is asked.
    #[must_use]
    pub fn site(&self) -> Site {
        Site {
            hosts: vec![self.0.settings.host().to_ascii_lowercase()],
            methods: &[Method::GET, Method::HEAD, Method::POST],
            body_bytes_max: BODY_BYTES_MAX,
            is_tls: true,
        }
    }

    /// Ends every session of this process: all open messages have to be opened again with their code.
    pub fn end_sessions(&self) {
        self.0.sessions.end_all();
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        (self.settings.clock)()
    }

    /// A record about one parcel.
    fn record(&self, event: Event, row: &ParcelRow, reason: Option<&str>) -> Record {
        Record {
            message: Some(row.message.to_string()),
            copy: Some(row.copy.to_string()),
            message_id: Some(row.message_id.clone()),
            recipient: Some(row.recipient.clone()),
            domain: Some(row.domain.to_string()),
            reason: reason.map(str::to_owned),
            ..Record::of(event, self.now())
        }
    }

    /// Tells whoever listens. The record is what counts: a full channel loses nothing that is not written down.
    fn tell(&self, incident: Incident) {
        if let Some(incidents) = &self.settings.incidents {
            let _ = incidents.try_send(incident);
        }
    }
}
