//! A world of a few hosts for the tests of this room: real TLS on loopback, evidence from a table.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::RootCertStore;
use tokio::net::TcpListener;

use super::attempt::{AskWay, Attempts, Contents};
use super::content::Content;
use super::dialogue::{RequireTls, Timeouts, Transaction};
use super::pool::Pool;
use super::settings::{FixedRoute, RouteProof, Settings};
use super::tally::Tally;
use super::weather::Weather;
use crate::mail::{Domain, Mailbox, Notify};
use crate::secret::Plaintext;
use crate::transport::{
    Denial, DomainEvidence, Evidence, Level, MxHost, Requirement, Security, StsMode, StsPolicy, TlsaRecord, TlsaSet,
};
use crate::world::{Ca, Leaf, Sink, SinkSettings, Versions};

pub const VERIFIED: Requirement = Requirement { level: Level::Verified, require_tls: false };

pub fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

/// Evidence by domain; what is not in it is unknown.
#[derive(Default)]
pub struct Table(Mutex<HashMap<Domain, DomainEvidence>>);

impl Table {
    pub fn set(&self, evidence: DomainEvidence) {
        self.0.lock().unwrap().insert(evidence.domain.clone(), evidence);
    }
}

impl AskWay for Table {
    fn evidence<'a>(&'a self, domain: &'a Domain) -> Pin<Box<dyn Future<Output = DomainEvidence> + Send + 'a>> {
        let found = self.0.lock().unwrap().get(domain).cloned();
        Box::pin(async move {
            found.unwrap_or_else(|| DomainEvidence {
                domain: domain.clone(),
                alias_of: None,
                mx: Evidence::Unknown(crate::transport::Why::ServFail),
                sts: Evidence::Absent(Denial::Claimed),
                pin: None,
                starttls_seen: false,
                is_nonexistent: false,
            })
        })
    }
}

pub struct World {
    pub ca: Ca,
    pub table: Arc<Table>,
    pub port: u16,
    pub sinks: Vec<Sink>,
    pub tally: Arc<Tally>,
    pub settings: Settings,
}

impl World {
    /// So many hosts, `mx1.patient.example` and on, all good, on one port of 127.0.0.1, 127.0.0.2 and on.
    pub async fn of(hosts: usize) -> World {
        let ca = Ca::new("test").unwrap();
        let (listeners, port) = loop {
            let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = first.local_addr().unwrap().port();
            let mut listeners = vec![first];
            for n in 1..hosts {
                if let Ok(listener) = TcpListener::bind((address(n), port)).await {
                    listeners.push(listener);
                }
            }
            if listeners.len() == hosts {
                break (listeners, port);
            }
        };
        let sinks = listeners
            .into_iter()
            .enumerate()
            .map(|(n, listener)| {
                let tls = Some(ca.leaf(&[&host(n)]).unwrap().server_config(Versions::default()).unwrap());
                Sink::serve(listener, SinkSettings { host: host(n), tls, ..SinkSettings::default() }).unwrap()
            })
            .collect();
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let mut settings = Settings::new(domain("gw.practice.example"), Arc::new(roots));
        settings.mx_port = port;
        settings.weather = None;
        settings.timeouts = Timeouts {
            greeting: Duration::from_secs(20),
            hello: Duration::from_secs(20),
            mail: Duration::from_secs(20),
            rcpt: Duration::from_secs(20),
            ..Timeouts::default()
        };
        World { ca, table: Arc::default(), port, sinks, tally: Arc::new(Tally::new(true, true)), settings }
    }

    pub fn attempts(&self) -> Attempts {
        Attempts {
            settings: Arc::new(self.settings.clone()),
            ask: Arc::<Table>::clone(&self.table),
            pool: Arc::new(Pool::new(self.settings.pool.clone())),
            weather: Arc::new(Weather::new(self.settings.weather)),
            tally: Arc::clone(&self.tally),
            dice: Arc::new(|| 1),
        }
    }

    /// A route to host `n` for slips and reports.
    pub fn fixed(&self, n: usize) -> FixedRoute {
        FixedRoute {
            host: address(n).to_string(),
            port: self.port,
            proof: RouteProof::Name { name: domain(&host(n)), ca_pem: None },
            login: None,
        }
    }

    pub fn set_leaf(&self, n: usize, leaf: &Leaf) {
        self.sinks[n].set_tls(Some(leaf.server_config(Versions::default()).unwrap()));
    }
}

pub fn host(n: usize) -> String {
    format!("mx{}.patient.example", n + 1)
}

pub fn address(n: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + n as u8))
}

/// A domain whose MX records name these hosts, in an unsigned zone.
pub fn evidence(of: &str, hosts: &[usize]) -> DomainEvidence {
    let hosts = hosts
        .iter()
        .enumerate()
        .map(|(preference, n)| MxHost {
            preference: preference as u16,
            name: domain(&host(*n)),
            addresses: Evidence::Present((vec![address(*n)], Security::Insecure)),
            tlsa: Evidence::Absent(Denial::Claimed),
        })
        .collect();
    DomainEvidence {
        domain: domain(of),
        alias_of: None,
        mx: Evidence::Present((hosts, Security::Insecure)),
        sts: Evidence::Absent(Denial::Claimed),
        pin: None,
        starttls_seen: false,
        is_nonexistent: false,
    }
}

/// The same in a signed zone, with this TLSA record at every host.
pub fn with_tlsa(mut evidence: DomainEvidence, leaf: &Leaf) -> DomainEvidence {
    let tlsa = leaf.tlsa(3, 1, 1).unwrap();
    let record =
        TlsaRecord { usage: tlsa.usage, selector: tlsa.selector, matching: tlsa.matching, association: tlsa.association };
    if let Evidence::Present((hosts, security)) = &mut evidence.mx {
        *security = Security::Secure;
        for host in hosts {
            if let Evidence::Present((_, security)) = &mut host.addresses {
                *security = Security::Secure;
            }
            host.tlsa = Evidence::Present(TlsaSet { base: host.name.clone(), records: vec![record.clone()] });
        }
    }
    evidence
}

pub fn with_sts(mut evidence: DomainEvidence, mx: &str) -> DomainEvidence {
    evidence.sts = Evidence::Present(StsPolicy {
        id: "1".to_owned(),
        mode: StsMode::Enforce,
        mx: vec![mx.to_owned()],
        max_age_secs: 86_400,
    });
    evidence
}

pub fn to<'a>(recipient: &'a Mailbox, from: &'a Mailbox) -> Transaction<'a> {
    Transaction {
        lane: crate::policy::Lane::First,
        reverse_path: Some(from),
        recipient,
        smtputf8: false,
        require_tls: RequireTls::No,
        notify: Notify::default(),
        orcpt: None,
        envid: "e1",
    }
}

/// Content in memory, opened as often as it is asked for.
pub struct Text(pub Vec<u8>, pub Vec<u8>);

impl Contents for Text {
    async fn open(&self) -> Option<Content> {
        Some(Content::whole(&self.0, Plaintext::new(self.1.clone())))
    }
}

pub fn text() -> Text {
    Text(b"From: dr@practice.example\r\nSubject: results\r\n".to_vec(), b"All is well.\r\n.\r\n..\r\nBye\r\n".to_vec())
}
