use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use super::{Authentication, CaSet, DomainEvidence, Hop, Level, Proof, Refusal, RefusalKind, Requirement, TlsPlan, Why, plan};
use super::{Reason, plan::least_level};
use crate::mail::Domain;

/// SHA-256 over every field of a [`TlsPlan`]; part of the key of the connection pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanHash(pub [u8; 32]);

impl PlanHash {
    /// Two plans have the same hash only if they are the same plan: each field is preceded by its length or number,
    /// so that no bytes can move from one field to the next.
    #[must_use]
    pub fn of(plan: &TlsPlan) -> PlanHash {
        let mut fields = Fields(Context::new(&SHA256));
        fields.bytes(b"wardpost tls plan 1");
        fields.bytes(plan.host.as_str().as_bytes());
        fields.bytes(plan.gives.as_str().as_bytes());
        fields.number(u64::from(plan.is_policy));
        fields.number(u64::from(plan.is_tls_demanded));
        match &plan.authentication {
            Authentication::Dane { records, names } => {
                fields.number(1);
                fields.number(records.len() as u64);
                for record in records {
                    fields.bytes(&[record.usage, record.selector, record.matching]);
                    fields.bytes(&record.association);
                }
                fields.names(names);
            }
            Authentication::WebPki { names, roots, sts } => {
                fields.number(2);
                fields.names(names);
                match roots {
                    CaSet::Configured => fields.number(0),
                    CaSet::Pinned(pem) => {
                        fields.number(1);
                        fields.bytes(pem);
                    }
                }
                match sts {
                    None => fields.number(0),
                    Some(id) => {
                        fields.number(1);
                        fields.bytes(id.as_bytes());
                    }
                }
            }
            Authentication::Certificate { sha256 } => {
                fields.number(3);
                fields.number(sha256.len() as u64);
                sha256.iter().for_each(|digest| fields.bytes(digest));
            }
            Authentication::None => fields.number(4),
        }
        let mut hash = [0u8; 32];
        hash.copy_from_slice(fields.0.finish().as_ref());
        PlanHash(hash)
    }
}

impl TlsPlan {
    /// See [`PlanHash::of`].
    #[must_use]
    pub fn digest(&self) -> PlanHash {
        PlanHash::of(self)
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanHash({self})")
    }
}

struct Fields(Context);

impl Fields {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn names(&mut self, names: &[Domain]) {
        self.number(names.len() as u64);
        names.iter().for_each(|name| self.bytes(name.as_str().as_bytes()));
    }
}

/// Leave to send one message for one recipient domain over a connection that was proven under one plan, now.
///
/// Proof belongs to a domain, not to a connection: a host that is authenticated for one domain is a stranger to
/// another whose MX answer may have been forged. So each message brings its own clearance, made from its own domain's
/// evidence, and a connection is used only if it was proven under exactly the same plan.
///
/// Only [`clear`] makes one; there is no other way to it:
///
/// ```
/// # use wardpost::transport::{Clearance, DomainEvidence, Hop, Refusal, Requirement, clear};
/// fn send(hop: &Hop, asked: &Requirement, evidence: &DomainEvidence) -> Result<Clearance, Refusal> {
///     clear(hop, asked, evidence)
/// }
/// ```
/// ```compile_fail,E0451
/// # use wardpost::transport::{Clearance, DomainEvidence, Hop, Refusal, Requirement, clear};
/// fn send(hop: &Hop, asked: &Requirement, evidence: &DomainEvidence) -> Result<Clearance, Refusal> {
///     Ok(Clearance { domain: evidence.domain.clone(), level: asked.level, require_tls: false, plan: hop.plan.digest() })
/// }
/// ```
///
/// It is good for one message, so it cannot be copied:
///
/// ```
/// # use wardpost::transport::Clearance;
/// fn keep(clearance: Clearance) -> Clearance { clearance }
/// ```
/// ```compile_fail,E0308
/// # use wardpost::transport::Clearance;
/// fn keep(clearance: &Clearance) -> Clearance { clearance.clone() }
/// ```
#[derive(Debug)]
pub struct Clearance {
    domain: Domain,
    level: Level,
    require_tls: bool,
    plan: PlanHash,
}

impl Clearance {
    /// Whether the connection behind `proof` may carry the message.
    #[must_use]
    pub fn admits(&self, proof: &Proof) -> bool {
        proof.plan() == self.plan && proof.level() >= self.level
    }

    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The least level that was asked, REQUIRETLS and pin included.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether the next hop has to offer REQUIRETLS and be asked for it (RFC 8689, section 4.2.1).
    #[must_use]
    pub fn requires_tls(&self) -> bool {
        self.require_tls
    }

    #[must_use]
    pub fn plan(&self) -> PlanHash {
        self.plan
    }
}

/// Judges anew, with the evidence of this moment, whether a message for `evidence.domain` may go to `hop`.
///
/// # Errors
/// The domain's [`Refusal`]; or [`RefusalKind::Unknown`] when the domain no longer leads to this hop under this very
/// plan, so that the route has to be planned again.
pub fn clear(hop: &Hop, requirement: &Requirement, evidence: &DomainEvidence) -> Result<Clearance, Refusal> {
    let route = plan::plan(requirement, evidence, hop.port)?;
    if !route.hops.iter().any(|now| now.host == hop.host && now.plan == hop.plan) {
        return Err(Refusal {
            kind: RefusalKind::Unknown,
            reason: Reason::LevelNotReachable,
            why: Some(Why::Other),
            is_settled: false,
        });
    }
    Ok(Clearance {
        domain: evidence.domain.clone(),
        level: least_level(requirement, evidence.pin.as_ref()),
        require_tls: requirement.require_tls,
        plan: hop.plan.digest(),
    })
}
