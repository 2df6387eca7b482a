//! # world: a small mail world on loopback, in one process
//!
//! DNS zones signed from a private root, a certificate authority, receiving mail hosts and an MTA-STS policy host:
//! real protocols on real sockets, made for `wardpost demo` and for tests. Every mail host has an address of its own
//! (127.x.y.z) and all share one port, so the TLSA name is `_PORT._tcp.host` for the port that is dialled.
//! Keys, anchor and ports are made at the start and exist only in this process.
//!
//! Must not be here: anything that decides about a message or a way out. Nothing below `server` and `cli` imports this room.
//!
//! Reading order: `ca` → `zones` → `dns` → `mitm` → `sink` → `sts_host` → `town`.

mod ca;
mod clear;
mod dns;
mod mitm;
mod practice;
mod sink;
mod smtp;
mod sts_host;
mod town;
mod zones;

pub use ca::{Ca, Leaf, Tlsa, Versions};
pub use clear::{NoticeTemplate, clear_dialogue};
pub use dns::{Builder, ZoneWorld};
pub use mitm::{Attack, Mitm};
pub use practice::practice_configuration;
pub use sink::{Connection, Offers, Received, Recipient, Sink, SinkSettings, Step, TlsFacts, When};
pub use sts_host::{Posted, StsAnswer, StsHost, enforce, policy};
pub use town::{Practice, Shape, Town, World};
pub use zones::{Answer, Fault, Signing, Verdict, Zones};

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::TLSA;
use tokio::net::{TcpListener, UdpSocket};

/// Why the world could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a domain name")]
    Name(String),
    #[error("`{0}` is not a record that can be served")]
    Record(String),
    #[error("the zone `{0}` exists already")]
    ZoneExists(String),
    #[error("no zone holds this name")]
    NoZone,
    #[error("{0}")]
    Signing(&'static str),
    #[error("a certificate could not be made: {0}")]
    Certificate(&'static str),
    #[error("a certificate could not be made")]
    Rcgen(#[from] rcgen::Error),
    #[error("a certificate could not be used")]
    Tls(#[from] rustls::Error),
    #[error("a zone could not be signed")]
    Dns(#[from] hickory_resolver::proto::ProtoError),
    #[error("a zone key could not be made")]
    DnsKey(#[from] hickory_resolver::proto::dnssec::DnsSecError),
    #[error("the host `{0}` exists already")]
    HostExists(String),
    #[error("no loopback address could be bound")]
    Bind(#[from] std::io::Error),
}

impl Tlsa {
    pub(super) fn to_rdata(&self) -> RData {
        RData::TLSA(TLSA::new(self.usage.into(), self.selector.into(), self.matching.into(), self.association.clone()))
    }
}

/// UDP and TCP on the same free port.
async fn bind_pair(address: Ipv4Addr) -> Result<(UdpSocket, TcpListener, SocketAddr), Error> {
    let mut last = None;
    for _ in 0..BIND_TRIES {
        let udp = UdpSocket::bind((address, 0)).await?;
        let at = SocketAddr::new(IpAddr::V4(address), udp.local_addr()?.port());
        match TcpListener::bind(at).await {
            Ok(tcp) => return Ok((udp, tcp, at)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or(Error::NoZone, Error::Bind))
}

/// Somebody else may hold the same number for TCP; so many times in a row nobody does.
const BIND_TRIES: usize = 32;

#[cfg(test)]
mod tests;
