//! An attacker between a validating stub and the zones: UDP and TCP on one loopback port, passing every question on and
//! changing the answers about the names he was set on.
//!
//! He has no keys. What he can do is to leave records out, to claim others without a signature (or with one of another
//! name), to fail, to wait, and to say nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::zones::name;
use super::{Error, bind_pair};

/// What is done to answers about a name and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Every RRSIG is left out.
    NoSignatures,
    /// RRSIG, NSEC, NSEC3, DS and DNSKEY are left out: the zone looks unsigned.
    NoDnssec,
    /// Signatures over records of this type have a bit turned.
    BadSignatures(RecordType),
    /// NSEC and NSEC3 are left out: absence without proof.
    NoDenials,
    /// Answers to questions for this type are empty, without a word in the authority section.
    Empty(RecordType),
    /// The same, but the zone's own SOA record stands there, with its signature.
    EmptyWithSoa(RecordType),
    /// The name does not exist, with the zone's own SOA record and signature.
    NxDomainWithSoa(RecordType),
    /// Empty, with the SOA record of this zone, which is not signed.
    ForeignSoa(RecordType, String),
    /// NXDOMAIN with the same.
    ForeignNxDomain(RecordType, String),
    /// Empty or NXDOMAIN, with the denials that prove the absence of another name of the same zone.
    ReplayedDenial(RecordType, ResponseCode, String),
    /// A failure instead of an answer.
    Fails(RecordType, ResponseCode),
    /// Nothing at all.
    Silent(RecordType),
    /// The answer, but late.
    Late(RecordType, Duration),
    /// Truncated over UDP, and the connection closed over TCP.
    Truncated(RecordType),
    /// Other records, unsigned, with AD set as if somebody had looked.
    Replaced(RecordType, Vec<RData>),
    /// Other records, with the signature of the true ones.
    ReplacedUnderSignature(RecordType, Vec<RData>),
    /// The name is an alias, says an unsigned record, of this one.
    Alias(RecordType, String),
}

/// The attacker. He stops when this is dropped.
pub struct Mitm {
    address: SocketAddr,
    set: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    upstream: SocketAddr,
    attacks: Mutex<Vec<(Name, Attack)>>,
}

/// What is sent back.
enum Reply {
    Message(Box<Message>),
    Truncated(Box<Message>),
    Nothing,
}

impl Mitm {
    /// Stands in front of a server and passes everything on until [`Mitm::set`].
    ///
    /// # Errors
    /// When no loopback address can be bound.
    pub async fn before(upstream: SocketAddr) -> Result<Self, Error> {
        let (udp, tcp, address) = bind_pair(Ipv4Addr::LOCALHOST).await?;
        let set = Arc::new(State { upstream, attacks: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(Arc::new(udp), Arc::clone(&set)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&set)));
        Ok(Self { address, set, _tasks: tasks })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an attack on a name and everything below it.
    ///
    /// # Errors
    /// When the name is not one.
    pub fn set(&self, suffix: &str, attack: Attack) -> Result<(), Error> {
        self.set.attacks.lock().unwrap_or_else(PoisonError::into_inner).push((name(suffix)?, attack));
        Ok(())
    }

    /// Ends all attacks.
    pub fn clear(&self) {
        self.set.attacks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl std::fmt::Debug for Mitm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mitm").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, state: Arc<State>) {
    let mut buffer = vec![0; 4096];
    let mut answers = JoinSet::new();
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let Some(query) = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok()) else { continue };
        let (socket, state) = (Arc::clone(&socket), Arc::clone(&state));
        answers.spawn(async move {
            let room = query.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload().clamp(512, 1232)));
            let reply = match state.reply(&query).await {
                Some(Reply::Message(reply)) => *reply,
                Some(Reply::Truncated(reply)) => reply.truncate(),
                Some(Reply::Nothing) | None => return,
            };
            let Ok(mut bytes) = reply.to_vec() else { return };
            if bytes.len() > room {
                let Ok(short) = reply.truncate().to_vec() else { return };
                bytes = short;
            }
            let _ = socket.send_to(&bytes, peer).await;
        });
        while answers.try_join_next().is_some() {}
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            while let Some(query) = read(&mut stream).await {
                match state.reply(&query).await {
                    Some(Reply::Message(reply)) => {
                        if write(&mut stream, &reply).await.is_none() {
                            return;
                        }
                    }
                    Some(Reply::Nothing) => {}
                    Some(Reply::Truncated(_)) | None => return,
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn read(stream: &mut TcpStream) -> Option<Message> {
    let length = stream.read_u16().await.ok()?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.ok()?;
    Message::from_vec(&bytes).ok()
}

async fn write(stream: &mut TcpStream, message: &Message) -> Option<()> {
    let bytes = message.to_vec().ok()?;
    let mut framed = u16::try_from(bytes.len()).ok()?.to_be_bytes().to_vec();
    framed.extend(bytes);
    stream.write_all(&framed).await.ok()
}

impl State {
    /// The true answer, changed.
    async fn reply(&self, query: &Message) -> Option<Reply> {
        let [question] = query.queries.as_slice() else { return None };
        let mut reply = self.ask(query).await?;
        let attacks = self.attacks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (_, attack) in attacks.iter().filter(|(suffix, _)| suffix.zone_of(question.name())) {
            match self.change(attack, question, reply).await? {
                Reply::Message(changed) => reply = *changed,
                end @ (Reply::Truncated(_) | Reply::Nothing) => return Some(end),
            }
        }
        reply.metadata.id = query.metadata.id;
        Some(Reply::Message(Box::new(reply)))
    }

    async fn change(&self, attack: &Attack, question: &Query, mut reply: Message) -> Option<Reply> {
        let is_for = |kind: &RecordType| question.query_type() == *kind;
        match attack {
            Attack::NoSignatures => reply.keep(|record| record.record_type() != RecordType::RRSIG),
            Attack::NoDnssec => {
                // What remains of a question for one of them is an empty answer.
                reply.keep(|record| {
                    !matches!(
                        record.record_type(),
                        RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3 | RecordType::DS | RecordType::DNSKEY
                    )
                });
            }
            Attack::BadSignatures(kind) => reply.each(|record| break_signature(record, *kind)),
            Attack::NoDenials => {
                let is_denial = |record: &Record| match &record.data {
                    RData::DNSSEC(DNSSECRData::NSEC(_) | DNSSECRData::NSEC3(_)) => true,
                    RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
                        matches!(signature.input().type_covered, RecordType::NSEC | RecordType::NSEC3)
                    }
                    _ => false,
                };
                reply.keep(|record| !is_denial(record));
            }
            Attack::Empty(kind) if is_for(kind) => reply.become_denial(ResponseCode::NoError, Vec::new()),
            Attack::EmptyWithSoa(kind) if is_for(kind) => {
                let soa = self.soa_above(question.name()).await?;
                reply.become_denial(ResponseCode::NoError, soa);
            }
            Attack::NxDomainWithSoa(kind) if is_for(kind) => {
                let soa = self.soa_above(question.name()).await?;
                reply.become_denial(ResponseCode::NXDomain, soa);
            }
            Attack::ForeignSoa(kind, zone) if is_for(kind) => {
                let soa = self.soa_above(&name(zone).ok()?).await?;
                reply.become_denial(ResponseCode::NoError, soa);
            }
            Attack::ForeignNxDomain(kind, zone) if is_for(kind) => {
                let soa = self.soa_above(&name(zone).ok()?).await?;
                reply.become_denial(ResponseCode::NXDomain, soa);
            }
            Attack::ReplayedDenial(kind, code, other) if is_for(kind) => {
                let denial = self.ask(&question_for(name(other).ok()?, *kind)).await?;
                reply.become_denial(*code, denial.authorities);
            }
            Attack::Fails(kind, code) if is_for(kind) => reply.become_denial(*code, Vec::new()),
            Attack::Silent(kind) if is_for(kind) => return Some(Reply::Nothing),
            Attack::Late(kind, delay) if is_for(kind) => tokio::time::sleep(*delay).await,
            Attack::Truncated(kind) if is_for(kind) => return Some(Reply::Truncated(Box::new(reply))),
            Attack::Replaced(kind, records) if is_for(kind) => {
                reply.replace(question.name(), records, Vec::new());
            }
            Attack::ReplacedUnderSignature(kind, records) if is_for(kind) => {
                let signatures =
                    reply.answers.iter().filter(|record| record.record_type() == RecordType::RRSIG).cloned().collect();
                reply.replace(question.name(), records, signatures);
            }
            Attack::Alias(kind, target) if is_for(kind) => {
                let target = name(target).ok()?;
                let found = self.ask(&question_for(target.clone(), *kind)).await?;
                reply.replace(question.name(), &[RData::CNAME(CNAME(target))], found.answers);
            }
            Attack::Empty(_)
            | Attack::EmptyWithSoa(_)
            | Attack::NxDomainWithSoa(_)
            | Attack::ForeignSoa(..)
            | Attack::ForeignNxDomain(..)
            | Attack::ReplayedDenial(..)
            | Attack::Fails(..)
            | Attack::Silent(_)
            | Attack::Late(..)
            | Attack::Truncated(_)
            | Attack::Replaced(..)
            | Attack::ReplacedUnderSignature(..)
            | Attack::Alias(..) => {}
        }
        Some(Reply::Message(Box::new(reply)))
    }

    /// The SOA record, with its signature, of the zone that holds a name.
    async fn soa_above(&self, owner: &Name) -> Option<Vec<Record>> {
        let mut owner = owner.clone();
        loop {
            let found = self.ask(&question_for(owner.clone(), RecordType::SOA)).await?;
            if found.answers.iter().any(|record| record.record_type() == RecordType::SOA) {
                return Some(found.answers);
            }
            if owner.is_root() {
                return None;
            }
            owner = owner.base_name();
        }
    }

    /// By TCP, so that nothing is cut off.
    async fn ask(&self, query: &Message) -> Option<Message> {
        let mut stream = TcpStream::connect(self.upstream).await.ok()?;
        write(&mut stream, query).await?;
        read(&mut stream).await
    }
}

fn question_for(owner: Name, kind: RecordType) -> Message {
    let mut query = Message::new(0, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(owner, kind));
    query.metadata.recursion_desired = true;
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true);
    query.set_edns(edns);
    query
}

/// Changes to whole messages.
trait Change {
    fn keep(&mut self, is_kept: impl Fn(&Record) -> bool);
    fn each(&mut self, change: impl Fn(&mut Record));
    fn become_denial(&mut self, code: ResponseCode, authorities: Vec<Record>);
    fn replace(&mut self, owner: &Name, records: &[RData], more: Vec<Record>);
}

impl Change for Message {
    fn keep(&mut self, is_kept: impl Fn(&Record) -> bool) {
        self.answers.retain(&is_kept);
        self.authorities.retain(&is_kept);
        self.additionals.retain(&is_kept);
    }

    fn each(&mut self, change: impl Fn(&mut Record)) {
        self.answers.iter_mut().chain(&mut self.authorities).chain(&mut self.additionals).for_each(change);
    }

    fn become_denial(&mut self, code: ResponseCode, authorities: Vec<Record>) {
        self.metadata.response_code = code;
        self.answers.clear();
        self.authorities = authorities;
        self.additionals.clear();
    }

    fn replace(&mut self, owner: &Name, records: &[RData], more: Vec<Record>) {
        self.metadata.response_code = ResponseCode::NoError;
        self.metadata.authentic_data = true;
        self.answers = records.iter().map(|data| Record::from_rdata(owner.clone(), 60, data.clone())).collect();
        self.answers.extend(more);
        self.authorities.clear();
    }
}

fn break_signature(record: &mut Record, kind: RecordType) {
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { return };
    if signature.input().type_covered != kind {
        return;
    }
    let mut bytes = signature.sig().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    record.data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(signature.input().clone(), bytes)));
}
