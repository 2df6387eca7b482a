//! Counts how TLS sessions went, in memory; now and then all counts go to the store in one commit.
//!
//! A crash loses the counts of a minute: they are statistics, and no delivery waits for them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::mail::{Domain, Timestamp};
use crate::store::{Commit, Handle, TlsSessions};
use crate::transport::tlsrpt::{AppliedPolicy, ResultType};
use crate::transport::{Reason, is_public};

/// Kinds of session held between two flushes; more of them are not counted.
const KINDS_MAX: usize = 20_000;

/// How a session failed, and between which hosts.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    pub result: ResultType,
    pub reason: Reason,
    pub host: Option<&'a Domain>,
    pub sending: Option<IpAddr>,
    pub receiving: Option<IpAddr>,
}

/// The counts since the last flush.
pub struct Tally {
    is_on: bool,
    /// In test worlds everything is on loopback. Elsewhere an address of our own network means nothing outside of it.
    shows_private: bool,
    counts: Mutex<HashMap<TlsSessions, i64>>,
}

impl Tally {
    #[must_use]
    pub fn new(is_on: bool, shows_private: bool) -> Tally {
        Tally { is_on, shows_private, counts: Mutex::default() }
    }

    /// One session with a host of `domain`; `failed` is `None` if the handshake satisfied the policy.
    pub fn note(&self, domain: &Domain, policy: &AppliedPolicy, failed: Option<Failed<'_>>, at: Timestamp) {
        if !self.is_on {
            return;
        }
        let address = |address: Option<IpAddr>| {
            let shown = address.filter(|address| self.shows_private || is_public(*address));
            shown.map(|address| address.to_string()).unwrap_or_default()
        };
        let sessions = TlsSessions {
            day: at.secs().div_euclid(86_400),
            domain: domain.clone(),
            policy: serde_json::to_string(policy).unwrap_or_default(),
            result: failed.map_or("", |failed| failed.result.as_str()).to_owned(),
            host: failed.and_then(|failed| failed.host).map(Domain::to_string).unwrap_or_default(),
            sending_ip: address(failed.and_then(|failed| failed.sending)),
            receiving_ip: address(failed.and_then(|failed| failed.receiving)),
            reason: failed.map_or("", |failed| failed.reason.as_str()).to_owned(),
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() < KINDS_MAX || counts.contains_key(&sessions) {
            *counts.entry(sessions).or_insert(0) += 1;
        }
    }

    /// Writes what has been counted, in one commit.
    pub async fn flush(&self, store: &Handle) {
        let taken = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.is_empty() {
            return;
        }
        let tls_sessions: Vec<(TlsSessions, i64)> = taken.into_iter().collect();
        if let Err(error) = store.commit(Commit { tls_sessions: tls_sessions.clone(), ..Commit::default() }).await {
            super::finish::store_failed(&error);
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            for (sessions, count) in tls_sessions {
                *counts.entry(sessions).or_insert(0) += count;
            }
        }
    }
}
