//! The world as one value: recipient domains of every kind, and the practice whose gateway writes to them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_resolver::proto::rr::RecordType;
use tokio::net::TcpListener;

use super::{
    Ca, Error, Fault, Leaf, Signing, Sink, SinkSettings, StsAnswer, StsHost, Tlsa, Versions, ZoneWorld, enforce, policy,
};

/// What a recipient domain is like. The first six are the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Signed zone, TLSA 3 1 1 that matches a self-signed certificate.
    DaneGood,
    /// Unsigned zone, MTA-STS in `enforce`, all of it kept.
    StsGood,
    /// Unsigned zone, a certificate of the CA for the MX name, no policy.
    Verified,
    /// Unsigned zone, no STARTTLS.
    NoStarttls,
    /// Signed zone, TLSA that does not match a certificate that is otherwise good.
    DaneMismatch,
    /// Unsigned zone, a self-signed certificate for another name.
    BadCertificate,
    /// Signed zone, TLSA 2 0 1 for an authority that only this domain knows.
    DaneTa,
    /// Signed zone, only TLSA records that nobody can use (RFC 7672, section 2.2), self-signed certificate.
    DaneUnusable,
    /// Signed zone, the question for TLSA is answered SERVFAIL; the certificate is good.
    DaneServFail,
    /// Every signature is broken; the certificate is good.
    Bogus,
    /// A self-signed certificate for the right name.
    SelfSigned,
    /// A certificate of the CA for another name.
    WrongName,
    /// A certificate of the CA that ended yesterday.
    Expired,
    /// MTA-STS in `testing`, and the MX has no STARTTLS.
    StsTesting,
    /// MTA-STS in `enforce` that lists another host; the certificate is good.
    StsMismatch,
    /// MTA-STS in `enforce`, and the MX shows a self-signed certificate.
    StsBadCertificate,
    /// RFC 7505: takes no mail.
    NullMx,
    /// The MX has an address at which nobody listens.
    Unreachable,
}

/// One recipient domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Town {
    pub domain: String,
    pub host: String,
    pub shape: Shape,
}

/// The practice: a fixed route to its own mail server, which receives slips and reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Practice {
    pub domain: String,
    pub host: String,
    pub address: SocketAddr,
    /// The name in its certificate, which the world's CA vouches for.
    pub certificate_name: String,
}

/// Zones, authority, mail hosts and policy host. All of them stop when this is dropped.
#[derive(Debug)]
pub struct World {
    zones: ZoneWorld,
    ca: Ca,
    sts: StsHost,
    mx_port: u16,
    next_address: AtomicU32,
    sinks: Mutex<BTreeMap<String, Arc<Sink>>>,
    towns: Mutex<Vec<Town>>,
    practice: Practice,
}

impl World {
    /// The practice and the six domains of the demo.
    ///
    /// # Errors
    /// When no loopback address can be bound.
    pub async fn start() -> Result<Self, Error> {
        let world = Self::empty().await?;
        for (domain, shape) in DEMO {
            world.add(domain, shape).await?;
        }
        Ok(world)
    }

    /// The practice alone, for tests that add what they need.
    ///
    /// # Errors
    /// When no loopback address can be bound.
    pub async fn empty() -> Result<Self, Error> {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let ca = Ca::new("Wardpost demo CA")?;
        let zones = ZoneWorld::builder().signed(PRACTICE).start().await?;
        let (sts, _) = bind_next(&AtomicU32::new(u32::from(Ipv4Addr::new(127, 53, 0, 1))), 0).await?;
        let sts = StsHost::serve(sts)?;
        // A net of 254 addresses for each world, spread by process, so that worlds side by side seldom meet.
        let net = std::process::id().wrapping_mul(31).wrapping_add(WORLDS.fetch_add(1, Ordering::Relaxed)) % 0x3f_ff00;
        let next_address = AtomicU32::new(u32::from(Ipv4Addr::new(127, 64, 0, 0)) + ((net << 8) & 0x3f_ff00) + 1);
        let (listener, address) = bind_next(&next_address, 0).await?;
        let host = format!("mail.{PRACTICE}");
        let practice = Practice { domain: PRACTICE.to_owned(), host: host.clone(), address, certificate_name: host.clone() };
        let world = Self {
            zones,
            ca,
            sts,
            mx_port: address.port(),
            next_address,
            sinks: Mutex::default(),
            towns: Mutex::default(),
            practice,
        };
        let tls = Some(world.ca.leaf(&[&host])?.server_config(Versions::Both)?);
        let sink = Sink::serve(listener, SinkSettings { host: host.clone(), tls, ..SinkSettings::default() })?;
        world.zones.set(PRACTICE, "MX", &[&format!("10 {host}.")])?;
        world.zones.set(&host, "A", &[&address.ip().to_string()])?;
        world.introduce([PRACTICE, host.as_str()], sink);
        Ok(world)
    }

    /// Adds a recipient domain with its zone, its host `mx.DOMAIN` and its policies.
    ///
    /// # Errors
    /// When the zone exists or no address can be bound.
    pub async fn add(&self, domain: &str, shape: Shape) -> Result<Arc<Sink>, Error> {
        let host = format!("mx.{domain}");
        let names = [host.as_str()];
        self.zones.add_zone(domain, shape.signing())?;
        let exchange = if shape == Shape::NullMx { "0 .".to_owned() } else { format!("10 {host}.") };
        self.zones.set(domain, "MX", &[&exchange])?;
        let tls = match shape {
            Shape::NoStarttls | Shape::StsTesting | Shape::NullMx | Shape::Unreachable => None,
            Shape::DaneGood => {
                let leaf = Leaf::self_signed(&names)?;
                self.set_tlsa(&host, &[leaf.tlsa(3, 1, 1)?])?;
                Some(leaf)
            }
            Shape::DaneMismatch => {
                let leaf = self.ca.leaf(&names)?;
                self.set_tlsa(&host, &[leaf.tlsa_mismatch(3, 1, 1)?])?;
                Some(leaf)
            }
            Shape::DaneTa => {
                let leaf = Ca::new("An authority of its own")?.leaf_with_anchor(&names)?;
                self.set_tlsa(&host, &[leaf.tlsa(2, 0, 1)?])?;
                Some(leaf)
            }
            Shape::DaneUnusable => {
                let leaf = Leaf::self_signed(&names)?;
                let private = Tlsa { usage: 3, selector: 1, matching: 255, association: vec![0; 32] };
                self.set_tlsa(&host, &[leaf.tlsa(1, 1, 1)?, private])?;
                Some(leaf)
            }
            Shape::DaneServFail => {
                let owner = format!("_{}._tcp.{host}", self.mx_port);
                self.zones.fault(&owner, Some(RecordType::TLSA), Some(Fault::ServFail))?;
                Some(self.ca.leaf(&names)?)
            }
            Shape::StsGood | Shape::StsMismatch | Shape::Verified | Shape::Bogus => Some(self.ca.leaf(&names)?),
            Shape::BadCertificate => Some(Leaf::self_signed(&["elsewhere.example"])?),
            Shape::SelfSigned | Shape::StsBadCertificate => Some(Leaf::self_signed(&names)?),
            Shape::WrongName => Some(self.ca.leaf(&["elsewhere.example"])?),
            Shape::Expired => Some(self.ca.expired_leaf(&names)?),
        };
        match shape {
            Shape::StsGood | Shape::StsBadCertificate => self.set_sts(domain, StsAnswer::Policy(enforce(&names)))?,
            Shape::StsMismatch => self.set_sts(domain, StsAnswer::Policy(enforce(&["mx.elsewhere.example"])))?,
            Shape::StsTesting => self.set_sts(domain, StsAnswer::Policy(policy("testing", &names, 86_400)))?,
            Shape::DaneGood
            | Shape::Verified
            | Shape::NoStarttls
            | Shape::DaneMismatch
            | Shape::BadCertificate
            | Shape::DaneTa
            | Shape::DaneUnusable
            | Shape::DaneServFail
            | Shape::Bogus
            | Shape::SelfSigned
            | Shape::WrongName
            | Shape::Expired
            | Shape::NullMx
            | Shape::Unreachable => {}
        }
        let tls = tls.map(|leaf| leaf.server_config(Versions::Both)).transpose()?;
        let sink = self.add_host(&host, SinkSettings { host: host.clone(), tls, ..SinkSettings::default() }).await?;
        if shape == Shape::Unreachable {
            self.zones.set(&host, "A", &[&self.silent_address().await?.to_string()])?;
        }
        locked(&self.sinks).insert(domain.to_owned(), Arc::clone(&sink));
        locked(&self.towns).push(Town { domain: domain.to_owned(), host, shape });
        Ok(sink)
    }

    /// Adds one more mail host with its address record; its zone must be there.
    ///
    /// # Errors
    /// When the name is taken, no zone holds it, or no address can be bound.
    pub async fn add_host(&self, host: &str, settings: SinkSettings) -> Result<Arc<Sink>, Error> {
        if locked(&self.sinks).contains_key(host) {
            return Err(Error::HostExists(host.to_owned()));
        }
        let (listener, address) = bind_next(&self.next_address, self.mx_port).await?;
        self.zones.set(host, "A", &[&address.ip().to_string()])?;
        Ok(self.introduce([host], Sink::serve(listener, settings)?))
    }

    /// Replaces the TLSA records of a host, at the port that is dialled.
    ///
    /// # Errors
    /// When no zone holds the name.
    pub fn set_tlsa(&self, host: &str, records: &[Tlsa]) -> Result<(), Error> {
        self.zones.set_tlsa(self.mx_port, host, records)
    }

    /// Publishes an MTA-STS record with a new id for a domain, and a policy host that gives this answer.
    ///
    /// # Errors
    /// When no zone holds the name.
    pub fn set_sts(&self, domain: &str, answer: StsAnswer) -> Result<(), Error> {
        static IDS: AtomicU32 = AtomicU32::new(1);
        let host = format!("mta-sts.{domain}");
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        self.zones.set_txt(&format!("_mta-sts.{domain}"), &[&format!("v=STSv1; id={id};")])?;
        self.zones.set(&host, "A", &[&self.sts.address().ip().to_string()])?;
        self.sts.set(&host, &self.ca.leaf(&[&host])?, answer)
    }

    /// Publishes where a domain wants its reports about TLS (RFC 8460, section 3).
    ///
    /// # Errors
    /// When no zone holds the name.
    pub fn set_tlsrpt(&self, domain: &str, rua: &str) -> Result<(), Error> {
        self.zones.set_txt(&format!("_smtp._tls.{domain}"), &[&format!("v=TLSRPTv1; rua={rua}")])
    }

    /// An HTTPS host `reports.DOMAIN` with a good certificate that takes what is posted to it; gives its URI.
    ///
    /// # Errors
    /// When no zone holds the name.
    pub fn add_report_host(&self, domain: &str, answer: StsAnswer) -> Result<String, Error> {
        let host = format!("reports.{domain}");
        self.zones.set(&host, "A", &[&self.sts.address().ip().to_string()])?;
        self.sts.set(&host, &self.ca.leaf(&[&host])?, answer)?;
        Ok(format!("https://{host}:{}/tlsrpt", self.sts_port()))
    }

    #[must_use]
    pub fn zones(&self) -> &ZoneWorld {
        &self.zones
    }

    #[must_use]
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    #[must_use]
    pub fn sts(&self) -> &StsHost {
        &self.sts
    }

    /// Where the validating stub asks.
    #[must_use]
    pub fn resolver(&self) -> SocketAddr {
        self.zones.resolver()
    }

    /// The text of the trust anchor file.
    #[must_use]
    pub fn trust_anchor(&self) -> String {
        self.zones.trust_anchor()
    }

    /// The bundle that vouches for the good certificates, policy hosts and the practice's server included.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    #[must_use]
    pub fn mx_port(&self) -> u16 {
        self.mx_port
    }

    #[must_use]
    pub fn sts_port(&self) -> u16 {
        self.sts.address().port()
    }

    #[must_use]
    pub fn practice(&self) -> &Practice {
        &self.practice
    }

    /// The recipient domains in the order in which they came.
    #[must_use]
    pub fn towns(&self) -> Vec<Town> {
        locked(&self.towns).clone()
    }

    /// The host of a domain, or the host of this name.
    #[must_use]
    pub fn sink(&self, name: &str) -> Option<Arc<Sink>> {
        locked(&self.sinks).get(name).cloned()
    }

    /// Every host once.
    #[must_use]
    pub fn hosts(&self) -> Vec<Arc<Sink>> {
        let hosts: BTreeMap<SocketAddr, Arc<Sink>> =
            locked(&self.sinks).values().map(|sink| (sink.address(), Arc::clone(sink))).collect();
        hosts.into_values().collect()
    }

    /// Every byte that any host received without TLS.
    #[must_use]
    pub fn clear_bytes(&self) -> Vec<u8> {
        self.hosts().iter().flat_map(|sink| sink.clear_bytes()).collect()
    }

    /// An address of this world at which nobody listens on the port that all hosts share.
    ///
    /// # Errors
    /// When no loopback address can be bound.
    pub async fn silent_address(&self) -> Result<IpAddr, Error> {
        let (listener, address) = bind_next(&self.next_address, self.mx_port).await?;
        drop(listener);
        Ok(address.ip())
    }

    fn introduce<'n>(&self, names: impl IntoIterator<Item = &'n str>, sink: Sink) -> Arc<Sink> {
        let sink = Arc::new(sink);
        let mut sinks = locked(&self.sinks);
        for name in names {
            sinks.insert(name.to_owned(), Arc::clone(&sink));
        }
        sink
    }
}

impl Shape {
    fn signing(self) -> Signing {
        match self {
            Shape::DaneGood | Shape::DaneMismatch | Shape::DaneTa | Shape::DaneServFail => Signing::Nsec,
            Shape::DaneUnusable | Shape::NullMx => Signing::Nsec3,
            Shape::Bogus => Signing::Altered,
            Shape::StsGood
            | Shape::Verified
            | Shape::NoStarttls
            | Shape::BadCertificate
            | Shape::SelfSigned
            | Shape::WrongName
            | Shape::Expired
            | Shape::StsTesting
            | Shape::StsMismatch
            | Shape::StsBadCertificate
            | Shape::Unreachable => Signing::Unsigned,
        }
    }

    /// One line for a person who watches the demo.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Shape::DaneGood => "DANE: TLSA record in a signed zone matches",
            Shape::StsGood => "MTA-STS in enforce, kept",
            Shape::Verified => "valid certificate, no policy",
            Shape::NoStarttls => "no STARTTLS",
            Shape::DaneMismatch => "DANE: TLSA record does not match",
            Shape::BadCertificate => "self-signed certificate for another name",
            Shape::DaneTa => "DANE: authority named in TLSA",
            Shape::DaneUnusable => "DANE: only unusable TLSA records",
            Shape::DaneServFail => "TLSA cannot be looked up",
            Shape::Bogus => "DNSSEC signatures broken",
            Shape::SelfSigned => "self-signed certificate",
            Shape::WrongName => "certificate for another name",
            Shape::Expired => "expired certificate",
            Shape::StsTesting => "MTA-STS in testing, no STARTTLS",
            Shape::StsMismatch => "MTA-STS in enforce lists another host",
            Shape::StsBadCertificate => "MTA-STS in enforce, self-signed certificate",
            Shape::NullMx => "takes no mail",
            Shape::Unreachable => "host does not answer",
        }
    }
}

/// A listener on the next address that is free at this port (any port for 0).
async fn bind_next(next: &AtomicU32, port: u16) -> Result<(TcpListener, SocketAddr), Error> {
    let mut last = None;
    for _ in 0..BIND_TRIES {
        let address = IpAddr::V4(Ipv4Addr::from(next.fetch_add(1, Ordering::Relaxed)));
        match TcpListener::bind((address, port)).await {
            Ok(listener) => {
                let address = listener.local_addr()?;
                return Ok((listener, address));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or(Error::NoZone, Error::Bind))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const PRACTICE: &str = "practice.example";
const DEMO: [(&str, Shape); 6] = [
    ("dane-good.example", Shape::DaneGood),
    ("sts-good.example", Shape::StsGood),
    ("verified.example", Shape::Verified),
    ("no-tls.example", Shape::NoStarttls),
    ("dane-wrong.example", Shape::DaneMismatch),
    ("bad-cert.example", Shape::BadCertificate),
];
/// Addresses tried before giving up: a busy port on all of these means that loopback itself is the trouble.
const BIND_TRIES: usize = 64;
