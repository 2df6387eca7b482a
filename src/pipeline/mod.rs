//! # pipeline: the corridor
//!
//! Every station of a message in order, from [`Submission`] to the queue. Detail lives in `stations`.
//!
//! Must not be here: transport (checked at every attempt, because DNS changes while mail waits), sockets.

mod examine;
mod gate;
mod own;
mod runs;
mod stations;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

pub use examine::{Examined, Examiner, refusal};
pub use gate::{Dkim, Gate, Letter, Settings, Signers, Warm};
pub use own::OwnPatients;
pub use stations::{facts, other_patients, token_hash};

use crate::message;
use crate::observe::metrics;
use crate::policy;
use stations::Built;

use crate::mail::{Envelope, Principal, QueueId, Timestamp};
use crate::secret::Plaintext;

/// A message as a client handed it over (RFC 6409), complete and framed, not yet read.
#[derive(Debug)]
pub struct Submission {
    pub envelope: Envelope,
    pub principal: Principal,
    pub peer: IpAddr,
    /// `TLSv1.3` or `TLSv1.2`; `None` only for a listed network with `tls = "optional"` and for a legacy
    /// listener.
    pub tls: Option<&'static str>,
    pub content: Plaintext,
    pub received_at: Timestamp,
}

/// The message is on stable storage; 250 may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub message: QueueId,
}

/// Why a submission was not taken. `smtp_in` turns it into a reply in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Every recipient was refused by policy.
    Policy { message: QueueId },
    /// From or Sender is not the principal's.
    FromNotAllowed,
    /// Another customer of the same mail service, or nobody can tell whose it is.
    ForeignTenant,
    /// The header section breaks RFC 5322 in a way that could hide content or recipients.
    HeaderInvalid { what: &'static str },
    /// Another recipient's address stands in the finished header section.
    RecipientInHeader,
    /// A pick-up code or slip was about to leave by e-mail.
    CodeInMail,
    /// Too many Received fields, or our own hop field: a loop.
    Loop,
    /// The scanner is not ready yet.
    NotReady,
    /// Memory for messages in flight is used up.
    Busy,
    /// Free space is too small.
    DiskFull,
    /// The store failed; nothing was kept.
    StoreFailed,
}

/// The only door into the gateway.
pub trait Door: Send + Sync + 'static {
    /// Takes responsibility for the message, or says why not.
    fn accept(&self, submission: Submission) -> impl Future<Output = Result<Accepted, Refused>> + Send;

    /// Whether a message of this size would find space now. Asked before its content is read.
    fn has_space(&self, octets: u64) -> bool;
}

impl Door for Arc<Gate> {
    async fn accept(&self, submission: Submission) -> Result<Accepted, Refused> {
        let octets = submission.content.len();
        let mut built = self.clone().on_the_pool(octets, move |gate| read_and_decide(gate, submission)).await?;
        gate::search_for_codes(self, std::mem::take(&mut built.spoken)).await?;
        let (message, refused) = (built.message, built.refused.take());
        self.keep(built).await?;
        match refused {
            Some(refused) => Err(refused),
            None => Ok(Accepted { message }),
        }
    }

    fn has_space(&self, octets: u64) -> bool {
        self.store.has_space(octets)
    }
}

/// From bytes to everything that has to be kept. Pure but for dice and keys; runs on the pool for scanning.
fn read_and_decide(gate: &Gate, submission: Submission) -> Result<Built, Refused> {
    let (scanner, rules) = gate.in_force().ok_or(Refused::NotReady)?;
    let Submission { envelope, principal, content, received_at, tls, peer: _ } = submission;

    let message = message::parse(content);
    stations::is_well_formed(&message)?;
    stations::is_from_its_sender(&message, &principal)?;
    stations::is_from_its_tenant(&message, &principal)?;
    stations::is_no_loop(gate, &message)?;

    let patients = gate.patients.in_force();
    let examiner = Examiner {
        scanner: &scanner,
        rules: &rules,
        patients: patients.as_deref(),
        attachments: gate.attachments(),
        own_domains: &gate.settings.own_domains,
    };
    let timer = metrics().scan_seconds.start_timer();
    let Examined { text, findings, facts, decision } = examiner.examine(&message, &envelope);
    timer.observe_duration();

    stations::is_no_slip(gate, &message, &text, &envelope)?;
    stations::count(&decision, &findings);
    if patients.is_some() {
        gate.patients.count(!findings.patients.is_empty(), received_at);
    }

    let is_run = gate.is_run(&principal, &envelope, received_at);
    let arrival = stations::Arrival { gate, envelope: &envelope, principal: &principal, received_at, tls, is_run };
    let mut built = Built::new(gate, &arrival, &message, &facts, &decision);
    if decision.rejects_all() {
        return Ok(built.refuse());
    }
    built.spoken = stations::spoken_codes(gate, &text, &envelope);
    // The texts take as much room as the sealed body that comes next.
    drop(text);
    for outgoing in policy::split(&decision) {
        let body = built.seal_body(gate, &message);
        for verdict in outgoing.verdicts {
            built.seal_copy(&arrival, &message, &rules, body.clone(), verdict)?;
        }
    }
    Ok(built)
}
