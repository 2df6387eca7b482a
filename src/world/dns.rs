//! The sockets in front of the zones: UDP and TCP on one loopback port, and a second pair that says what it validated.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, RwLock};

use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::zones::{Fault, Signing, Verdict, Zones, txt};
use super::{Error, Tlsa, bind_pair};

/// The zones with their servers. They stop when this is dropped.
pub struct ZoneWorld {
    zones: Arc<RwLock<Zones>>,
    resolver: SocketAddr,
    ad_resolver: SocketAddr,
    _tasks: JoinSet<()>,
}

/// What is to be served, before it is served.
#[derive(Debug, Default)]
pub struct Builder {
    ttl: Option<u32>,
    zones: Vec<(String, Signing)>,
    records: Vec<(String, String, String)>,
    faults: Vec<(String, Option<RecordType>, Fault)>,
}

/// Who speaks: an authoritative server that leaves validation to the stub, or a resolver that validated and sets AD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    Plain,
    Validating,
}

impl Builder {
    /// Seconds that every record lives; 60 if not said.
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = Some(seconds);
        self
    }

    #[must_use]
    pub fn zone(mut self, origin: &str, signing: Signing) -> Self {
        self.zones.push((origin.to_owned(), signing));
        self
    }

    #[must_use]
    pub fn signed(self, origin: &str) -> Self {
        self.zone(origin, Signing::Nsec)
    }

    #[must_use]
    pub fn unsigned(self, origin: &str) -> Self {
        self.zone(origin, Signing::Unsigned)
    }

    #[must_use]
    pub fn bogus(self, origin: &str) -> Self {
        self.zone(origin, Signing::Altered)
    }

    /// One more record, in presentation format; a TXT record is its bare text.
    #[must_use]
    pub fn record(mut self, owner: &str, kind: &str, value: &str) -> Self {
        self.records.push((owner.to_owned(), kind.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn fault(mut self, owner: &str, kind: Option<RecordType>, fault: Fault) -> Self {
        self.faults.push((owner.to_owned(), kind, fault));
        self
    }

    /// # Errors
    /// When a name or record cannot be read, or no socket can be bound.
    pub async fn start(self) -> Result<ZoneWorld, Error> {
        let mut zones = Zones::new(self.ttl.unwrap_or(60))?;
        for (origin, signing) in &self.zones {
            zones.add(origin, *signing)?;
        }
        let mut sets: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for (owner, kind, value) in &self.records {
            match sets.iter_mut().find(|(o, k, _)| o == owner && k == kind) {
                Some((_, _, values)) => values.push(value),
                None => sets.push((owner, kind, vec![value])),
            }
        }
        for (owner, kind, values) in sets {
            zones.set_text(owner, kind, &values)?;
        }
        for (owner, kind, fault) in self.faults {
            zones.fault(&owner, kind, Some(fault))?;
        }
        ZoneWorld::serve(zones).await
    }
}

impl ZoneWorld {
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    async fn serve(zones: Zones) -> Result<Self, Error> {
        let zones = Arc::new(RwLock::new(zones));
        let mut tasks = JoinSet::new();
        let mut addresses = Vec::new();
        for voice in [Voice::Plain, Voice::Validating] {
            let (udp, tcp, address) = bind_pair(Ipv4Addr::LOCALHOST).await?;
            tasks.spawn(serve_udp(Arc::new(udp), Arc::clone(&zones), voice));
            tasks.spawn(serve_tcp(tcp, Arc::clone(&zones), voice));
            addresses.push(address);
        }
        match addresses.as_slice() {
            [resolver, ad_resolver] => Ok(Self { zones, resolver: *resolver, ad_resolver: *ad_resolver, _tasks: tasks }),
            _ => Err(Error::NoZone),
        }
    }

    /// Where a validating stub asks.
    #[must_use]
    pub fn resolver(&self) -> SocketAddr {
        self.resolver
    }

    /// A resolver that validates itself: AD on what is secure, SERVFAIL on what is bogus.
    #[must_use]
    pub fn ad_resolver(&self) -> SocketAddr {
        self.ad_resolver
    }

    #[must_use]
    pub fn trust_anchor(&self) -> String {
        self.read().trust_anchor()
    }

    /// # Errors
    /// When the name is not one, or the zone exists.
    pub fn add_zone(&self, origin: &str, signing: Signing) -> Result<(), Error> {
        self.write().add(origin, signing)
    }

    /// Signs a zone otherwise from now on.
    ///
    /// # Errors
    /// When there is no such zone, or the change is one between signed and unsigned.
    pub fn resign(&self, origin: &str, signing: Signing) -> Result<(), Error> {
        self.write().resign(origin, signing)
    }

    /// Replaces a record set (`set("good.example.", "MX", &["10 mx.good.example."])`); an empty one removes it.
    ///
    /// # Errors
    /// When a name or record cannot be read, or no zone holds the name.
    pub fn set(&self, owner: &str, kind: &str, records: &[&str]) -> Result<(), Error> {
        self.write().set_text(owner, kind, records)
    }

    /// # Errors
    /// As [`ZoneWorld::set`].
    pub fn set_txt(&self, owner: &str, texts: &[&str]) -> Result<(), Error> {
        self.write().set(owner, RecordType::TXT, texts.iter().map(|text| RData::TXT(txt(text))).collect())
    }

    /// Replaces the TLSA records of a host at a port; none removes them.
    ///
    /// # Errors
    /// As [`ZoneWorld::set`].
    pub fn set_tlsa(&self, port: u16, host: &str, records: &[Tlsa]) -> Result<(), Error> {
        let owner = format!("_{port}._tcp.{host}");
        self.write().set(&owner, RecordType::TLSA, records.iter().map(Tlsa::to_rdata).collect())
    }

    /// From now on, questions for this name (of one type, or of all) meet this fault; `None` ends it.
    ///
    /// # Errors
    /// When the name is not one.
    pub fn fault(&self, owner: &str, kind: Option<RecordType>, fault: Option<Fault>) -> Result<(), Error> {
        self.write().fault(owner, kind, fault)
    }

    /// Every record, and every absence, lives so long from now on.
    pub fn set_ttl(&self, seconds: u32) {
        self.write().set_ttl(seconds);
    }

    /// How often a question was asked, both servers together.
    #[must_use]
    pub fn asked(&self, owner: &str, kind: RecordType) -> usize {
        self.read().asked(owner, kind)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Zones> {
        self.zones.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Zones> {
        self.zones.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ZoneWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZoneWorld").field("resolver", &self.resolver).field("zones", &*self.read()).finish()
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, zones: Arc<RwLock<Zones>>, voice: Voice) {
    let mut buffer = vec![0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let Some(query) = buffer.get(..length) else { continue };
        let Some((reply, room)) = reply(query, &zones, voice) else { continue };
        let Ok(mut bytes) = reply.to_vec() else { continue };
        if bytes.len() > usize::from(room) {
            let Ok(short) = reply.truncate().to_vec() else { continue };
            bytes = short;
        }
        // A stub that went away is no reason to stop serving the others.
        let _ = socket.send_to(&bytes, peer).await;
    }
}

async fn serve_tcp(listener: TcpListener, zones: Arc<RwLock<Zones>>, voice: Voice) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve_stream(stream, Arc::clone(&zones), voice));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_stream(mut stream: TcpStream, zones: Arc<RwLock<Zones>>, voice: Voice) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some((reply, _)) = reply(&query, &zones, voice) else { continue };
        let Ok(bytes) = reply.to_vec() else { continue };
        let Ok(length) = u16::try_from(bytes.len()) else { continue };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(bytes);
        stream.write_all(&framed).await?;
    }
}

/// The answer and how long it may be over UDP, or `None` where nothing is to be said.
fn reply(query: &[u8], zones: &RwLock<Zones>, voice: Voice) -> Option<(Message, u16)> {
    let query = Message::from_vec(query).ok()?;
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = voice == Voice::Plain;
    reply.metadata.checking_disabled = query.metadata.checking_disabled;
    let asked = query.edns.as_ref();
    let dnssec = asked.is_some_and(|edns| edns.flags().dnssec_ok);
    let room = asked.map_or(512, |edns| edns.max_payload().clamp(512, UDP_MAX));
    if asked.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX);
        edns.set_dnssec_ok(dnssec);
        reply.set_edns(edns);
    }
    let [question] = query.queries.as_slice() else {
        reply.metadata.response_code = ResponseCode::FormErr;
        return Some((reply, room));
    };
    reply.add_query(question.clone());
    if query.metadata.op_code != OpCode::Query {
        reply.metadata.response_code = ResponseCode::NotImp;
        return Some((reply, room));
    }
    let zones = zones.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    match zones.fault_for(question.name(), question.query_type()) {
        Some(Fault::Silent) => return None,
        Some(Fault::ServFail) => {
            reply.metadata.response_code = ResponseCode::ServFail;
            return Some((reply, room));
        }
        Some(Fault::Refused) => {
            reply.metadata.response_code = ResponseCode::Refused;
            return Some((reply, room));
        }
        None => {}
    }
    match zones.answer(question.name(), question.query_type(), dnssec) {
        Ok(answer) if voice == Voice::Validating && answer.verdict == Verdict::Bogus => {
            reply.metadata.response_code = ResponseCode::ServFail;
        }
        Ok(answer) => {
            reply.metadata.response_code = answer.code;
            reply.metadata.authentic_data =
                voice == Voice::Validating && answer.verdict == Verdict::Secure && (dnssec || query.metadata.authentic_data);
            reply.add_answers(answer.answers);
            reply.add_authorities(answer.authorities);
        }
        Err(_) => reply.metadata.response_code = ResponseCode::ServFail,
    }
    Some((reply, room))
}

/// What fits in one datagram everywhere (DNS flag day 2020); the rest goes over TCP.
const UDP_MAX: u16 = 1232;
