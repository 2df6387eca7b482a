//! The tree of zones: what is stored, how it is signed, and how one question is answered.
//!
//! One server answers for every zone from the root down, as the address a validating stub asks does: DS comes from the
//! parent side of a cut, everything else from the deepest zone, and CNAMEs are followed across zones. Another resolver in
//! front of it (unbound, say) forwards to it; the name servers in the NS records are not there to be asked.
//! Signing is done here with hickory's signer. The in-memory zone of hickory-server 0.26 seeks the proof against a wildcard
//! at the parent of the name instead of at `*` below the closest encloser, and never takes the root for one, so whether its
//! denials validate depends on the names a zone happens to hold; it can also neither break a signature nor stay silent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hickory_resolver::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, NSEC, NSEC3, RRSIG};
use hickory_resolver::proto::dnssec::{
    Algorithm, DigestType, DnssecSigner, Nsec3HashAlgorithm, PublicKey, PublicKeyBuf, SigningKey,
};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{NS, SOA, TXT};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordSet, RecordType};

use super::Error;

/// How a zone proves what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Signed, absence proven by NSEC (RFC 4034).
    Nsec,
    /// Signed, absence proven by NSEC3 (RFC 5155), no salt, no extra iterations (RFC 9276).
    Nsec3,
    /// As `Nsec3`, with so many extra rounds of hashing.
    Nsec3Rounds(u16),
    /// Bogus and costly (CVE-2023-50387): many keys with one tag, many signatures by that tag over everything but the
    /// keys, and none of them good.
    KeyTrap,
    /// An insecure delegation: the parent proves that there is no DS.
    Unsigned,
    /// Bogus: the parent has a DS, every signature ended yesterday.
    Expired,
    /// Bogus: the parent has a DS, every signature but the one over the keys was altered.
    Altered,
}

/// What happens to questions for one name instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ServFail,
    Refused,
    /// No answer ever: the stub runs into its time-out.
    Silent,
}

/// One answered question.
#[derive(Debug)]
pub struct Answer {
    pub code: ResponseCode,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    /// What a validating resolver in front of these zones would find.
    pub verdict: Verdict,
}

/// From best to worst, so that the verdict of a chain is its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Secure,
    Insecure,
    Bogus,
}

/// All zones from the root down.
pub struct Zones {
    zones: BTreeMap<Name, Zone>,
    faults: HashMap<(Name, Option<RecordType>), Fault>,
    asked: Mutex<HashMap<(Name, RecordType), usize>>,
    ttl: u32,
}

struct Zone {
    origin: Name,
    signing: Signing,
    signer: Option<DnssecSigner>,
    nodes: BTreeMap<Name, BTreeMap<RecordType, Vec<RData>>>,
    /// Signatures made so far; emptied by every change, so that a stub's cache of verdicts hits.
    signatures: Mutex<HashMap<(Name, RecordType), Record>>,
    /// The chain of denials, until the next change: a parent of hundreds has hundreds of names to hash.
    chain: Mutex<Option<Chain>>,
    ttl: u32,
}

/// Owners of NSEC or NSEC3 records in their order.
type Chain = Arc<Vec<(Name, RData)>>;

impl Zones {
    /// A signed root and nothing else.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(ttl: u32) -> Result<Self, Error> {
        let root = Zone::new(Name::root(), Signing::Nsec, ttl)?;
        Ok(Self { zones: BTreeMap::from([(Name::root(), root)]), faults: HashMap::new(), asked: Mutex::default(), ttl })
    }

    /// The root key in the form hickory's `TrustAnchors` parses.
    #[must_use]
    pub fn trust_anchor(&self) -> String {
        let root = self.zones.get(&Name::root()).and_then(|zone| zone.signer.as_ref());
        root.map(|signer| format!(". IN DNSKEY {}\n", signer.dnskey())).unwrap_or_default()
    }

    /// Adds a zone, with signed parents where there are none yet, and its delegation in the parent.
    ///
    /// # Errors
    /// When the name is not one, or the zone exists.
    pub fn add(&mut self, origin: &str, signing: Signing) -> Result<(), Error> {
        let origin = name(origin)?;
        if self.zones.contains_key(&origin) {
            return Err(Error::ZoneExists(origin.to_ascii()));
        }
        self.delegate(origin, signing)
    }

    fn delegate(&mut self, origin: Name, signing: Signing) -> Result<(), Error> {
        let parent = origin.base_name();
        if !self.zones.contains_key(&parent) && parent.num_labels() == 1 {
            self.delegate(parent.clone(), Signing::Nsec3)?;
        }
        let zone = Zone::new(origin.clone(), signing, self.ttl)?;
        let ds = zone.ds()?;
        let servers = zone.nodes.get(&origin).and_then(|node| node.get(&RecordType::NS)).cloned().unwrap_or_default();
        let parent = self.zone_of(&parent).ok_or(Error::NoZone)?.origin.clone();
        let parent = self.zones.get_mut(&parent).ok_or(Error::NoZone)?;
        parent.set(origin.clone(), RecordType::NS, servers);
        parent.set(origin.clone(), RecordType::DS, ds.into_iter().collect());
        self.zones.insert(origin, zone);
        Ok(())
    }

    /// Replaces a record set; an empty one removes it.
    ///
    /// # Errors
    /// When the name is not one or no zone holds it.
    pub fn set(&mut self, owner: &str, kind: RecordType, records: Vec<RData>) -> Result<(), Error> {
        let owner = name(owner)?;
        let origin = self.zone_of(&owner).ok_or(Error::NoZone)?.origin.clone();
        self.zones.get_mut(&origin).ok_or(Error::NoZone)?.set(owner, kind, records);
        Ok(())
    }

    /// Replaces a record set by records in presentation format (`"MX"`, `["10 mx.good.example."]`).
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn set_text(&mut self, owner: &str, kind: &str, records: &[&str]) -> Result<(), Error> {
        let kind = RecordType::from_str(kind).map_err(|_| Error::Record(kind.to_owned()))?;
        let parsed = records
            .iter()
            .map(|record| match kind {
                RecordType::TXT => Ok(RData::TXT(txt(record))),
                _ => RData::try_from_str(kind, record).map_err(|_| Error::Record((*record).to_owned())),
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.set(owner, kind, parsed)
    }

    /// From now on, questions for `owner` (of one type, or of all) meet this fault; `None` ends it.
    ///
    /// # Errors
    /// When the name is not one.
    pub fn fault(&mut self, owner: &str, kind: Option<RecordType>, fault: Option<Fault>) -> Result<(), Error> {
        let key = (name(owner)?, kind);
        match fault {
            Some(fault) => self.faults.insert(key, fault),
            None => self.faults.remove(&key),
        };
        Ok(())
    }

    /// Signs a zone otherwise: a good one turns bogus and back. The keys stay.
    ///
    /// # Errors
    /// When there is no such zone, or the change is one between signed and unsigned.
    pub fn resign(&mut self, origin: &str, signing: Signing) -> Result<(), Error> {
        let zone = self.zones.get_mut(&name(origin)?).ok_or(Error::NoZone)?;
        if (zone.signing == Signing::Unsigned) != (signing == Signing::Unsigned) {
            return Err(Error::Signing("a zone is signed or unsigned for good"));
        }
        zone.signing = signing;
        zone.changed();
        Ok(())
    }

    /// Every record lives so long from now on.
    pub fn set_ttl(&mut self, seconds: u32) {
        self.ttl = seconds;
        for zone in self.zones.values_mut() {
            zone.ttl = seconds;
            zone.changed();
        }
    }

    /// How often a question was asked.
    #[must_use]
    pub fn asked(&self, owner: &str, kind: RecordType) -> usize {
        let Ok(owner) = name(owner) else { return 0 };
        locked(&self.asked).get(&(owner, kind)).copied().unwrap_or(0)
    }

    /// The fault that a question meets.
    #[must_use]
    pub fn fault_for(&self, owner: &Name, kind: RecordType) -> Option<Fault> {
        let owner = owner.to_lowercase();
        self.faults.get(&(owner.clone(), Some(kind))).or_else(|| self.faults.get(&(owner, None))).copied()
    }

    /// Answers one question.
    ///
    /// # Errors
    /// When a signature cannot be made.
    pub fn answer(&self, owner: &Name, kind: RecordType, dnssec: bool) -> Result<Answer, Error> {
        let mut owner = owner.to_lowercase();
        owner.set_fqdn(true);
        *locked(&self.asked).entry((owner.clone(), kind)).or_insert(0) += 1;
        let mut answer =
            Answer { code: ResponseCode::NoError, answers: Vec::new(), authorities: Vec::new(), verdict: Verdict::Secure };
        for _ in 0..CNAMES_MAX {
            let zone = match kind {
                RecordType::DS if !owner.is_root() => self.zone_of(&owner.base_name()),
                _ => self.zone_of(&owner),
            }
            .ok_or(Error::NoZone)?;
            answer.verdict = answer.verdict.max(self.verdict(zone));
            let found = zone.find(&owner, kind);
            let (source, wanted) = match &found {
                Found::Records(source) => (source.clone(), kind),
                Found::Alias(source) => (source.clone(), RecordType::CNAME),
                Found::NoData { .. } => {
                    answer.authorities.extend(zone.denial(&owner, &found, dnssec)?);
                    break;
                }
                Found::NoName { .. } => {
                    answer.code = ResponseCode::NXDomain;
                    answer.authorities.extend(zone.denial(&owner, &found, dnssec)?);
                    break;
                }
            };
            answer.answers.extend(zone.expanded(&source, &owner, wanted, dnssec)?);
            if source != owner {
                answer.authorities.extend(zone.wildcard_proof(&owner, dnssec)?);
            }
            let target = match found {
                Found::Alias(_) => zone.alias(&source),
                _ => None,
            };
            match target {
                Some(target) => owner = target.to_lowercase(),
                None => break,
            }
        }
        Ok(answer)
    }

    fn zone_of(&self, owner: &Name) -> Option<&Zone> {
        let mut candidate = owner.clone();
        loop {
            if let Some(zone) = self.zones.get(&candidate) {
                return Some(zone);
            }
            if candidate.is_root() {
                return None;
            }
            candidate = candidate.base_name();
        }
    }

    fn verdict(&self, zone: &Zone) -> Verdict {
        let mut verdict = Verdict::Secure;
        let chain = self.zones.values().filter(|above| above.origin.zone_of(&zone.origin)); // the root first
        for link in chain {
            match link.signing {
                Signing::Nsec | Signing::Nsec3 => {}
                Signing::Nsec3Rounds(_) | Signing::Unsigned => return verdict.max(Verdict::Insecure),
                Signing::Expired | Signing::Altered | Signing::KeyTrap => verdict = Verdict::Bogus,
            }
        }
        verdict
    }
}

/// What a zone has for a question.
enum Found {
    /// Records of the type asked, at this owner (a wildcard, perhaps).
    Records(Name),
    Alias(Name),
    /// The name exists, or a wildcard answers for it, but not with this type.
    NoData {
        wildcard: Option<Name>,
    },
    NoName {
        wildcard: Name,
    },
}

impl Zone {
    fn new(origin: Name, signing: Signing, ttl: u32) -> Result<Self, Error> {
        let signer = match signing {
            Signing::Unsigned => None,
            Signing::Nsec | Signing::Nsec3 | Signing::Nsec3Rounds(_) | Signing::KeyTrap | Signing::Expired | Signing::Altered => {
                let pkcs8 = EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256)?;
                let key = EcdsaSigningKey::from_pkcs8(&pkcs8, Algorithm::ECDSAP256SHA256)?;
                let dnskey = DNSKEY::from_key(&key.to_public_key()?);
                Some(DnssecSigner::new(dnskey, Box::new(key), origin.clone(), VALIDITY))
            }
        };
        let server = origin.prepend_label("ns")?;
        let soa = SOA::new(server.clone(), origin.prepend_label("hostmaster")?, 1, 3600, 600, 86_400, ttl);
        let mut zone = Self {
            origin: origin.clone(),
            signing,
            signer,
            nodes: BTreeMap::new(),
            signatures: Mutex::default(),
            chain: Mutex::default(),
            ttl,
        };
        zone.set(origin.clone(), RecordType::SOA, vec![RData::SOA(soa)]);
        zone.set(origin.clone(), RecordType::NS, vec![RData::NS(NS(server.clone()))]);
        zone.set(server, RecordType::A, vec![RData::A(std::net::Ipv4Addr::LOCALHOST.into())]);
        if let Some(signer) = &zone.signer {
            let mut keys = vec![signer.to_dnskey()];
            if signing == Signing::KeyTrap {
                keys.extend(colliding(&keys[0]));
            }
            let keys = keys.into_iter().map(|key| RData::DNSSEC(DNSSECRData::DNSKEY(key))).collect();
            zone.set(origin, RecordType::DNSKEY, keys);
        }
        Ok(zone)
    }

    fn ds(&self) -> Result<Option<RData>, Error> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let key = signer.dnskey();
        let digest = key.to_digest(&self.origin, DigestType::SHA256)?;
        let ds = DS::new(key.calculate_key_tag()?, Algorithm::ECDSAP256SHA256, DigestType::SHA256, digest.as_ref().to_vec());
        Ok(Some(RData::DNSSEC(DNSSECRData::DS(ds))))
    }

    fn set(&mut self, owner: Name, kind: RecordType, records: Vec<RData>) {
        let node = self.nodes.entry(owner.clone()).or_default();
        if records.is_empty() {
            node.remove(&kind);
        } else {
            node.insert(kind, records);
        }
        if node.is_empty() {
            self.nodes.remove(&owner);
        }
        self.changed();
    }

    fn changed(&mut self) {
        locked(&self.signatures).clear();
        *locked(&self.chain) = None;
    }

    fn find(&self, owner: &Name, kind: RecordType) -> Found {
        let at = |source: &Name| {
            let node = self.nodes.get(source)?;
            Some(if node.contains_key(&kind) {
                Found::Records(source.clone())
            } else if node.contains_key(&RecordType::CNAME) {
                Found::Alias(source.clone())
            } else {
                Found::NoData { wildcard: (source != owner).then(|| source.clone()) }
            })
        };
        if let Some(found) = at(owner) {
            return found;
        }
        if self.exists(owner) {
            return Found::NoData { wildcard: None };
        }
        let wildcard = self.wildcard_for(owner);
        at(&wildcard).unwrap_or(Found::NoName { wildcard })
    }

    /// A name exists when it, or anything below it, has records (RFC 4592, section 2.2.2).
    fn exists(&self, owner: &Name) -> bool {
        // In canonical order (RFC 4034, section 6.1) what is below a name follows it at once.
        self.nodes.range(owner.clone()..).next().is_some_and(|(node, _)| owner.zone_of(node))
    }

    fn closest_encloser(&self, owner: &Name) -> Name {
        let mut candidate = owner.base_name();
        while candidate != self.origin && !candidate.is_root() && !self.exists(&candidate) {
            candidate = candidate.base_name();
        }
        candidate
    }

    /// One label below the closest encloser, towards the name.
    fn next_closer(&self, owner: &Name) -> Name {
        owner.trim_to(usize::from(self.closest_encloser(owner).num_labels()) + 1)
    }

    fn wildcard_for(&self, owner: &Name) -> Name {
        self.closest_encloser(owner).prepend_label("*").unwrap_or_else(|_| owner.clone())
    }

    fn alias(&self, source: &Name) -> Option<Name> {
        match self.nodes.get(source)?.get(&RecordType::CNAME)?.first()? {
            RData::CNAME(target) => Some(target.0.clone()),
            _ => None,
        }
    }

    /// A record set with its signature, given to the name that was asked.
    fn expanded(&self, source: &Name, owner: &Name, kind: RecordType, dnssec: bool) -> Result<Vec<Record>, Error> {
        let data = self.nodes.get(source).and_then(|node| node.get(&kind)).cloned().unwrap_or_default();
        let mut records = self.signed(source, kind, data, dnssec)?;
        if source != owner {
            for record in &mut records {
                record.name = owner.clone();
            }
        }
        Ok(records)
    }

    fn signed(&self, owner: &Name, kind: RecordType, data: Vec<RData>, dnssec: bool) -> Result<Vec<Record>, Error> {
        let mut set = RecordSet::with_ttl(owner.clone(), kind, self.ttl);
        for record in data {
            set.add_rdata(record);
        }
        let mut records: Vec<Record> = set.records_without_rrsigs().cloned().collect();
        let Some(signer) = self.signer.as_ref().filter(|_| dnssec) else { return Ok(records) };
        // At a cut the parent signs DS and the denial, never the child's NS (RFC 4035, section 2.2).
        if kind == RecordType::NS && *owner != self.origin {
            return Ok(records);
        }
        if self.signing == Signing::KeyTrap && kind != RecordType::DNSKEY {
            let good = RRSIG::from_rrset(&set, DNSClass::IN, (SystemTime::now() - Duration::from_secs(3600)).into(), signer)?;
            for n in 0..TRAP_SIGNATURES {
                let mut bytes = good.sig().to_vec();
                if let Some(byte) = bytes.iter_mut().rev().nth(n / 255) {
                    *byte ^= u8::try_from(n % 255 + 1).unwrap_or(1);
                }
                let signature = RRSIG::from_sig(good.input().clone(), bytes);
                records.push(Record::from_rdata(owner.clone(), self.ttl, RData::DNSSEC(DNSSECRData::RRSIG(signature))));
            }
            return Ok(records);
        }
        let mut signatures = locked(&self.signatures);
        if let Some(signature) = signatures.get(&(owner.clone(), kind)) {
            records.push(signature.clone());
            return Ok(records);
        }
        let back = match self.signing {
            Signing::Expired => VALIDITY + Duration::from_secs(86_400),
            Signing::Nsec
            | Signing::Nsec3
            | Signing::Nsec3Rounds(_)
            | Signing::KeyTrap
            | Signing::Unsigned
            | Signing::Altered => Duration::from_secs(3600),
        };
        let mut signature = RRSIG::from_rrset(&set, DNSClass::IN, (SystemTime::now() - back).into(), signer)?;
        if self.signing == Signing::Altered && kind != RecordType::DNSKEY {
            let mut bytes = signature.sig().to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            signature = RRSIG::from_sig(signature.input().clone(), bytes);
        }
        let signature = Record::from_rdata(owner.clone(), self.ttl, RData::DNSSEC(DNSSECRData::RRSIG(signature)));
        signatures.insert((owner.clone(), kind), signature.clone());
        records.push(signature);
        Ok(records)
    }

    /// SOA and the proof that there is nothing (RFC 4035, section 3.1.3; RFC 5155, section 7.2).
    fn denial(&self, owner: &Name, found: &Found, dnssec: bool) -> Result<Vec<Record>, Error> {
        let mut records = self.expanded(&self.origin, &self.origin, RecordType::SOA, dnssec)?;
        if !dnssec || self.signer.is_none() {
            return Ok(records);
        }
        let by_hash = self.rounds().is_some();
        let mut names: Vec<Name> = Vec::new();
        match found {
            Found::NoData { wildcard: None } => names.push(owner.clone()),
            Found::NoData { wildcard: Some(wildcard) } | Found::NoName { wildcard } => {
                names.push(wildcard.clone());
                if by_hash {
                    names.extend([self.closest_encloser(owner), self.next_closer(owner)]);
                } else {
                    names.push(owner.clone());
                }
            }
            Found::Records(_) | Found::Alias(_) => {}
        }
        records.extend(self.proofs(&names)?);
        Ok(records)
    }

    /// That nothing closer than the wildcard exists (RFC 4035, section 3.1.3.3; RFC 5155, section 7.2.6).
    fn wildcard_proof(&self, owner: &Name, dnssec: bool) -> Result<Vec<Record>, Error> {
        if !dnssec || self.signer.is_none() {
            return Ok(Vec::new());
        }
        self.proofs(&[self.next_closer(owner)])
    }

    /// Extra rounds of hashing where absence is proven by NSEC3.
    fn rounds(&self) -> Option<u16> {
        match self.signing {
            Signing::Nsec3 => Some(0),
            Signing::Nsec3Rounds(rounds) => Some(rounds),
            Signing::Nsec | Signing::KeyTrap | Signing::Unsigned | Signing::Expired | Signing::Altered => None,
        }
    }

    /// The records that match or cover each of the names, once each.
    fn proofs(&self, names: &[Name]) -> Result<Vec<Record>, Error> {
        let chain = self.chain()?;
        let mut chosen: BTreeSet<usize> = BTreeSet::new();
        for denied in names {
            let key = match self.rounds() {
                Some(rounds) => hashed(denied, &self.origin, rounds)?.1,
                None => denied.clone(),
            };
            // The last owner at or before the name; before the first one, the last link of the ring covers it.
            let at = chain.iter().rposition(|(owner, _)| *owner <= key).unwrap_or(chain.len().saturating_sub(1));
            chosen.insert(at);
        }
        let mut records = Vec::new();
        for (owner, link) in chosen.iter().filter_map(|at| chain.get(*at)) {
            let kind = link.record_type();
            records.extend(self.signed(owner, kind, vec![link.clone()], true)?);
        }
        Ok(records)
    }

    fn chain(&self) -> Result<Chain, Error> {
        let mut kept = locked(&self.chain);
        if let Some(chain) = &*kept {
            return Ok(Arc::clone(chain));
        }
        let made = Arc::new(match self.rounds() {
            Some(rounds) => self.nsec3_chain(rounds)?,
            None => self.nsec_chain(),
        });
        *kept = Some(Arc::clone(&made));
        Ok(made)
    }

    fn nsec_chain(&self) -> Vec<(Name, RData)> {
        let owners: Vec<&Name> = self.nodes.keys().collect();
        let next = owners.iter().skip(1).copied().chain([&self.origin]);
        owners
            .iter()
            .zip(next)
            .map(|(owner, next)| {
                let nsec = NSEC::new_cover_self(next.clone(), self.types(owner));
                ((*owner).clone(), RData::DNSSEC(DNSSECRData::NSEC(nsec)))
            })
            .collect()
    }

    fn nsec3_chain(&self, rounds: u16) -> Result<Vec<(Name, RData)>, Error> {
        let mut owners: BTreeSet<Name> = self.nodes.keys().cloned().collect();
        for owner in self.nodes.keys() {
            let mut above = owner.base_name();
            while self.origin.zone_of(&above) && owners.insert(above.clone()) {
                above = above.base_name();
            }
        }
        let mut links = owners
            .iter()
            .map(|owner| hashed(owner, &self.origin, rounds).map(|(hash, at)| (at, hash, owner.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        links.sort();
        let next: Vec<Vec<u8>> = links.iter().skip(1).chain(links.first()).map(|(_, hash, _)| hash.clone()).collect();
        Ok(links
            .into_iter()
            .zip(next)
            .map(|((at, _, owner), next)| {
                let mut types = self.types(&owner);
                let is_unsigned_cut = types.iter().all(|kind| *kind == RecordType::NS);
                if !is_unsigned_cut {
                    types.push(RecordType::RRSIG);
                }
                let nsec3 = NSEC3::new(Nsec3HashAlgorithm::SHA1, false, rounds, Vec::new(), next, types);
                (at, RData::DNSSEC(DNSSECRData::NSEC3(nsec3)))
            })
            .collect())
    }

    fn types(&self, owner: &Name) -> Vec<RecordType> {
        self.nodes.get(owner).map(|node| node.keys().copied().collect()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Zones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.zones.keys().map(Name::to_ascii)).finish()
    }
}

/// A name as a key: lower case and absolute.
pub(super) fn name(text: &str) -> Result<Name, Error> {
    let mut name = Name::from_ascii(text).map_err(|_| Error::Name(text.to_owned()))?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

/// A text as character strings of at most 255 octets (RFC 1035, section 3.3.14).
pub(super) fn txt(text: &str) -> TXT {
    TXT::from_bytes(text.as_bytes().chunks(255).collect())
}

fn hashed(owner: &Name, origin: &Name, rounds: u16) -> Result<(Vec<u8>, Name), Error> {
    let hash = Nsec3HashAlgorithm::SHA1.hash(&[], owner, rounds)?.as_ref().to_vec();
    let at = origin.prepend_label(base32hex(&hash))?;
    Ok((hash, at))
}

/// Base32 with the extended hex alphabet, lower case, without padding (RFC 5155, section 1.3). SHA-1 needs no padding.
fn base32hex(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut out = String::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let digit = usize::try_from((held >> bits) & 31).unwrap_or(0);
            out.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
        }
        held &= (1 << bits) - 1;
    }
    out
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Keys with the same tag as this one: a tag is a sum of pairs of octets (RFC 4034, appendix B), in whatever order.
fn colliding(key: &DNSKEY) -> Vec<DNSKEY> {
    let octets = key.public_key().public_bytes();
    let pairs = octets.len() / 2;
    let swaps = (0..pairs).flat_map(|a| (a + 1..pairs).map(move |b| (a, b)));
    swaps
        .take(TRAP_KEYS)
        .map(|(a, b)| {
            let mut swapped = octets.to_vec();
            for place in 0..2 {
                swapped.swap(2 * a + place, 2 * b + place);
            }
            DNSKEY::with_flags(key.flags(), PublicKeyBuf::new(swapped, key.public_key().algorithm()))
        })
        .collect()
}

/// Enough that trying each key with each signature would be felt, and few enough for one answer over TCP.
const TRAP_KEYS: usize = 300;
const TRAP_SIGNATURES: usize = 300;
/// How long a signature holds.
const VALIDITY: Duration = Duration::from_secs(14 * 86_400);
/// A chain longer than this is a loop.
const CNAMES_MAX: usize = 8;
