//! What an administrator may set about deliveries. Every default can stay as it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::dialogue::Timeouts;
use super::{pool, weather};
use crate::mail::{Domain, Mailbox};
use crate::queue::Schedule;

/// Settings of the room.
#[derive(Clone)]
pub struct Settings {
    /// Our name in EHLO and in reports. Should resolve to the address that we dial from.
    pub name: Domain,
    /// Addresses to dial from, at most one of each family; empty: the system chooses.
    pub dial_from: Vec<IpAddr>,
    /// Port of mail hosts found by MX; other than 25 only in test worlds.
    pub mx_port: u16,
    /// Certificate authorities that are trusted.
    pub roots: Arc<RootCertStore>,
    /// How long each phase of a dialogue may take (RFC 5321, section 4.5.3.2).
    pub timeouts: Timeouts,
    /// How connections are kept.
    pub pool: pool::Settings,
    /// Fixed next hops of own domains and partners. Slips and reports go only by these.
    pub routes: HashMap<Domain, FixedRoute>,
    /// Takes the place of MX delivery, where port 25 is blocked. Proof then ends at this host.
    pub default_hop: Option<FixedRoute>,
    /// Attempts at a time. One that takes long does not count against it, up to `slow_max` of those.
    pub attempts_max: usize,
    pub slow_max: usize,
    /// When an attempt counts as slow.
    pub slow_after: Duration,
    /// How long a stop waits for attempts under way; a supervisor's patience has to be longer.
    pub stop_within: Duration,
    /// Attempts at a time for one recipient domain.
    pub per_domain_max: usize,
    /// Copies handed over from memory that wait for an attempt.
    pub warm_max: usize,
    /// When a copy is tried again, and when it goes to the portal.
    pub schedule: Schedule,
    pub portal: Portal,
    /// How often a domain with unread parcels is looked at, so that they may be sent by mail after all.
    pub later_every: Duration,
    /// When our own network is suspected; `None` in worlds of a few domains.
    pub weather: Option<weather::Settings>,
    /// Whether TLS sessions are counted for the reports of RFC 8460.
    pub tls_reports: bool,
}

/// How recipients hear that a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeMode {
    /// A neutral notice, in clear where the domain cannot encrypt.
    Plain,
    /// Only over TLS.
    TlsOnly,
    /// The office phones or writes.
    None,
}

/// What parcels, notices and slips say of us.
#[derive(Clone, Debug)]
pub struct Portal {
    /// As people type it, with the port where it is not 443.
    pub host: String,
    /// Neutral name of the office.
    pub office: String,
    pub notice: NoticeMode,
    /// From and reverse-path of notices, in an own domain; without it no notice goes out.
    pub notice_address: Option<Mailbox>,
    /// How long a notice in clear waits, so that a fault of our own network shows before it leaves.
    pub notice_wait: Duration,
    /// How long a parcel can be read.
    pub keep_days: i64,
    /// From of slips and reports; defaults to `postmaster` at our name.
    pub postmaster: Option<Mailbox>,
}

impl Default for Portal {
    fn default() -> Portal {
        Portal {
            host: "localhost:8443".to_owned(),
            office: "the office".to_owned(),
            notice: NoticeMode::Plain,
            notice_address: None,
            notice_wait: Duration::from_secs(15 * 60),
            keep_days: crate::escrow::EXPIRY_DAYS,
            postmaster: None,
        }
    }
}

/// A host named by the administrator. There is no unproven one, loopback included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedRoute {
    /// Name or address to dial.
    pub host: String,
    pub port: u16,
    pub proof: RouteProof,
    /// AUTH PLAIN after the proof.
    pub login: Option<Login>,
}

/// How the host of a fixed route proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteProof {
    /// A certificate for this name, from the configured authorities or the one pinned (PEM).
    Name { name: Domain, ca_pem: Option<Vec<u8>> },
    /// One of these certificates (SHA-256 of the DER); the name is sent as SNI.
    Certificate { name: Domain, sha256: Vec<[u8; 32]> },
}

impl RouteProof {
    #[must_use]
    pub fn name(&self) -> &Domain {
        match self {
            RouteProof::Name { name, .. } | RouteProof::Certificate { name, .. } => name,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: Zeroizing<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(..)")
    }
}

impl Settings {
    /// Defaults around what has none: our name and whom we trust.
    #[must_use]
    pub fn new(name: Domain, roots: Arc<RootCertStore>) -> Settings {
        Settings {
            name,
            dial_from: Vec::new(),
            mx_port: 25,
            roots,
            timeouts: Timeouts::default(),
            pool: pool::Settings::default(),
            routes: HashMap::new(),
            default_hop: None,
            attempts_max: 200,
            slow_max: 400,
            slow_after: Duration::from_secs(5),
            stop_within: Duration::from_secs(8),
            per_domain_max: 100,
            warm_max: 256,
            schedule: Schedule::default(),
            portal: Portal::default(),
            later_every: Duration::from_secs(12 * 3600),
            weather: Some(weather::Settings::default()),
            tls_reports: false,
        }
    }

    /// The host that the administrator chose for a domain, if any: its route, or the default next hop.
    #[must_use]
    pub fn fixed(&self, domain: &Domain) -> Option<&FixedRoute> {
        self.routes.get(domain).or(self.default_hop.as_ref())
    }

    /// From of slips and reports.
    #[must_use]
    pub fn postmaster(&self) -> Option<Mailbox> {
        let default = || Mailbox::parse(&format!("postmaster@{}", self.name)).ok();
        self.portal.postmaster.clone().or_else(default)
    }
}
