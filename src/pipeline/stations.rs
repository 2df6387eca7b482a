//! The stations of the corridor in detail.

use std::sync::{Arc, OnceLock};

use super::Refused;
use super::gate::{Gate, Letter};
use crate::audit::{self, Event, FindingCount};
use crate::escrow;
use crate::extract::{Extracted, Place};
use crate::mail::{BodyId, CopyId, Domain, Envelope, Mailbox, Principal, QueueId, Tenancy, Timestamp};
use crate::message::{self, Message, dkim};
use crate::observe::metrics;
use crate::patients::{self, Patients};
use crate::policy::{Action, Class, Decision, Lane, MessageFacts, OtherPatient, Policy, Verdict};
use crate::queue::{CopyFacts, CopyKind, CopyState, pack};
use crate::scan::{Findings, Leg, OwnPatient};
use crate::secret::{Key, Pseudonym, Role, Sealed};
use crate::store::{Commit, CopyRow, NewBody, NewCopy};

/// More Received fields than this are a loop (RFC 5321, section 6.3).
const RECEIVED_MAX: usize = 50;
/// A message may pass this gateway so often, e.g. by a forwarding rule of the practice's server.
const HOPS_MAX: u32 = 3;
use crate::message::HOP_FIELD;
/// Inline pictures below this are taken for logos.
const LOGO_BYTES_MAX: usize = 100 * 1024;

/// Refuses what could hide content or recipients from one reader and show it to another.
pub(super) fn is_well_formed(message: &Message) -> Result<(), Refused> {
    match message.problems().iter().find_map(message::Problem::refuses) {
        Some(what) => Err(Refused::HeaderInvalid { what }),
        None => Ok(()),
    }
}

/// From (exactly one field, one mailbox) and Sender belong to the principal.
pub(super) fn is_from_its_sender(message: &Message, principal: &Principal) -> Result<(), Refused> {
    let mut from = message.header().all("From");
    let (Some(field), None) = (from.next(), from.next()) else {
        return Err(Refused::HeaderInvalid { what: "exactly one From field is needed" });
    };
    let senders: Vec<_> = message.header().all("Sender").collect();
    if senders.len() > 1 {
        return Err(Refused::HeaderInvalid { what: "more than one Sender field" });
    }
    for field in std::iter::once(field).chain(senders) {
        // The field leaves as it was written: an entry that only other readers take for an address would be the author
        // they show.
        let list = field.addresses();
        let ([only], 0) = (list.mailboxes.as_slice(), list.broken) else {
            return Err(Refused::HeaderInvalid { what: "From and Sender need exactly one mailbox" });
        };
        if only.group.is_some() {
            return Err(Refused::HeaderInvalid { what: "From and Sender name a person, not a group" });
        }
        if !principal.may_send_as(&only.mailbox) {
            return Err(Refused::FromNotAllowed);
        }
    }
    Ok(())
}

/// Each message from a mail service that many customers share shows whose it is, exactly once. The fields never leave:
/// the rewrite knows none of them.
pub(super) fn is_from_its_tenant(message: &Message, principal: &Principal) -> Result<(), Refused> {
    let only = |name: &str| {
        let mut fields = message.header().all(name);
        match (fields.next(), fields.next()) {
            (Some(field), None) => Some(field.decoded().trim().to_owned()),
            _ => None,
        }
    };
    let is_one_of = |name: &str, allowed: &[String]| {
        only(name).is_some_and(|value| allowed.iter().any(|own| own.eq_ignore_ascii_case(&value)))
    };
    let is_shown = principal.tenancy.iter().all(|tenancy| match tenancy {
        Tenancy::MicrosoftTenant(ids) => is_one_of("X-MS-Exchange-CrossTenant-Id", ids),
        Tenancy::OriginatorOrg(domains) => is_one_of("X-OriginatorOrg", domains),
        // Hashes are compared: how long that takes says nothing of the token.
        Tenancy::Token(hash) => only("X-Wardpost-Token").is_some_and(|value| token_hash(&value) == *hash),
    });
    if is_shown { Ok(()) } else { Err(Refused::ForeignTenant) }
}

/// What is kept of a token that a mail service writes into our messages.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()).as_ref());
    out
}

pub(super) fn is_no_loop(gate: &Gate, message: &Message) -> Result<(), Refused> {
    if message.header().all("Received").count() > RECEIVED_MAX || hops(gate, message) >= HOPS_MAX {
        return Err(Refused::Loop);
    }
    Ok(())
}

/// How often this gateway has passed the message already; a field that is not ours counts nothing.
fn hops(gate: &Gate, message: &Message) -> u32 {
    message
        .header()
        .all(HOP_FIELD)
        .filter_map(|field| {
            let value = field.decoded();
            let (count, mark) = value.trim().split_once(' ')?;
            let count: u32 = count.parse().ok()?;
            (mark == hop_mark(gate, count)).then_some(count)
        })
        .max()
        .unwrap_or(0)
}

fn hop_mark(gate: &Gate, count: u32) -> String {
    hex(&gate.vault.keyed_hash("hop", &count.to_be_bytes())[..10])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the rules may ask about.
#[must_use]
pub fn facts(message: &Message, text: &Extracted, findings: &Findings, envelope: &Envelope) -> MessageFacts {
    let mut facts = MessageFacts {
        phi_score: findings.phi.as_ref().map(|phi| phi.score),
        score: findings.nearest.as_ref().map_or(0, |nearest| nearest.score),
        unreadable: findings.unreadable.iter().map(|unreadable| unreadable.why.as_str()).collect(),
        limits_exceeded: findings.limits_exceeded,
        has_picture: findings.images.iter().any(|image| !is_logo(image)),
        has_scanned_page: findings.images.iter().any(|image| !is_logo(image) && image.may_be_page()),
        subject: message.header().first("Subject").map(message::Field::decoded).unwrap_or_default(),
        recipients: envelope.to.len(),
        ..MessageFacts::default()
    };
    // A header section in raw UTF-8 is read alike by all only where SMTPUTF8 was promised (RFC 6532).
    let is_ambiguous =
        |problem: &message::Problem| problem.kind.makes_unreadable_without_smtputf8() && !problem.makes_unreadable();
    if !envelope.params.smtputf8 && message.problems().iter().any(is_ambiguous) {
        facts.unreadable.push(crate::extract::UnreadableWhy::MimeProblem.as_str());
    }
    for hit in findings.hits.iter().filter(|hit| !hit.is_repeated) {
        *facts.found.entry(hit.kind.as_str()).or_insert(0) += 1;
    }
    facts.recipients_inside = recipients_inside(message, text, envelope);
    facts
}

/// For each recipient: whether a patient of the list would get what identifies another one. People of the own domains
/// are not meant: who works for the practice may be its patient, too.
#[must_use]
pub fn other_patients(
    patients: &Patients,
    findings: &Findings,
    envelope: &Envelope,
    is_own: impl Fn(&Domain) -> bool,
) -> Vec<OtherPatient> {
    let of = |mailbox: &Mailbox| -> OtherPatient {
        let known = patients::email(&mailbox.folded()).map_or(&[][..], |form| patients.owners(patients::Field::Email, &form));
        if known.is_empty() || is_own(mailbox.domain()) {
            return OtherPatient::None;
        }
        let toward = |found: &OwnPatient| {
            if known.contains(&found.number) {
                OtherPatient::None
            } else if known.iter().any(|reader| patients.are_one_household(*reader, found.number)) {
                OtherPatient::OfHousehold
            } else {
                OtherPatient::Stranger
            }
        };
        findings.patients.iter().map(toward).max().unwrap_or_default()
    };
    envelope.to.iter().map(|to| of(&to.mailbox)).collect()
}

/// Inline by `cid:` and small: what signatures carry.
fn is_logo(image: &crate::extract::Image) -> bool {
    image.inline && image.size_bytes < LOGO_BYTES_MAX
}

/// Whether one recipient could learn of another from calendar parts, contact cards, Outlook's envelopes or nested
/// messages.
fn recipients_inside(message: &Message, text: &Extracted, envelope: &Envelope) -> bool {
    if envelope.to.len() < 2 {
        return false;
    }
    let all: Vec<Mailbox> = envelope.to.iter().map(|to| to.mailbox.clone()).collect();
    let raw: Vec<String> =
        message.parts().into_iter().filter(|part| is_list_of_people(part)).map(|part| raw_text(message, part)).collect();
    let texts = text.texts.iter().filter(|text| may_name_others(message, &text.place)).map(|text| text.content.as_str());
    let mut inside = texts.chain(raw.iter().map(String::as_str));
    message::other_recipients_inside(message, &[], &mut inside, &all).parts
}

/// Nested messages have header sections of their own, signed ones repeat the outer; calendar parts are texts.
fn may_name_others(message: &Message, place: &Place) -> bool {
    match place {
        Place::Header(path, _) => *path != message::PartPath::root(),
        Place::Body(path) | Place::Attachment(path) => part_at(message.root(), path).is_some_and(is_list_of_people),
        Place::FileName(_) | Place::Gap => false,
    }
}

/// Calendar parts, contact cards, whole messages and Outlook's winmail.dat, by type or by the name that opens them.
fn is_list_of_people(part: &message::Part) -> bool {
    const TYPES: [&str; 8] = [
        "text/calendar",
        "application/ics",
        "text/vcard",
        "text/x-vcard",
        "text/directory",
        "application/ms-tnef",
        "application/vnd.ms-tnef",
        "application/vnd.ms-outlook",
    ];
    const ENDINGS: [&str; 6] = [".ics", ".vcs", ".vcf", ".eml", ".msg", "winmail.dat"];
    let name = part.file_name.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
    part.children.is_empty() && (TYPES.contains(&part.media_type.as_str()) || ENDINGS.iter().any(|ending| name.ends_with(ending)))
}

/// What can be read of a part without knowing its format: its bytes as letters, UTF-16 run together.
fn raw_text(message: &Message, part: &message::Part) -> String {
    let bytes = match part.decode(message) {
        Ok(bytes) => bytes.into_owned(),
        Err(problem) => problem.recovered,
    };
    bytes.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
}

fn part_at<'p>(part: &'p message::Part, path: &message::PartPath) -> Option<&'p message::Part> {
    if part.path == *path {
        return Some(part);
    }
    part.children.iter().find_map(|child| part_at(child, path))
}

pub(super) fn count(decision: &Decision, findings: &Findings) {
    for verdict in &decision.verdicts {
        metrics().decision(verdict.action.as_str(), verdict.requirement.level.as_str());
        for rule in &verdict.rules {
            metrics().rule(closed_rule(rule));
        }
    }
    let has = |leg: Leg| findings.hits.iter().any(|hit| hit.kind.leg() == leg);
    let found = [
        ("phi", findings.phi.is_some()),
        ("identifier", has(Leg::Identifier)),
        ("health", has(Leg::Health)),
        ("payment", has(Leg::Payment)),
        ("unreadable", !findings.unreadable.is_empty() || findings.limits_exceeded),
        ("image", !findings.images.is_empty()),
        ("own-patient", !findings.patients.is_empty()),
    ];
    for (name, _) in found.iter().filter(|(_, is_found)| *is_found) {
        metrics().finding(name);
    }
    if found.iter().all(|(_, is_found)| !is_found) {
        metrics().finding("nothing");
    }
}

/// Rules of the practice may be named after anything, so their names do not become labels.
fn closed_rule(id: &str) -> &'static str {
    const SHIPPED: [&str; 8] =
        ["phi", "secure-tag", "unreadable", "limits", "picture", "scanned-page", "recipients-inside", "wrong-patient"];
    SHIPPED.into_iter().find(|rule| *rule == id).unwrap_or("custom")
}

/// Keyed hashes of every nine-digit group in the message, to be compared with live codes. Mail that stays in the
/// practice may say the code: staff tell each other.
pub(super) fn spoken_codes(gate: &Gate, text: &Extracted, envelope: &Envelope) -> Vec<[u8; 32]> {
    if envelope.to.iter().all(|to| gate.is_own(to.mailbox.domain())) {
        return Vec::new();
    }
    let codes = escrow::spoken_in(text.texts.iter().map(|text| text.content.as_str()));
    let mut spoken: Vec<[u8; 32]> =
        codes.iter().map(|code| gate.vault.keyed_hash(escrow::SPOKEN_HASH, code.digits().as_bytes())).collect();
    spoken.sort_unstable();
    spoken.dedup();
    spoken
}

/// A slip carries a code; forwarded to anyone outside it would be the one mail that opens the portal.
pub(super) fn is_no_slip(gate: &Gate, message: &Message, text: &Extracted, envelope: &Envelope) -> Result<(), Refused> {
    if envelope.to.iter().all(|to| gate.is_own(to.mailbox.domain())) {
        return Ok(());
    }
    let is_marked = message.header().first(escrow::SLIP_MARKER).is_some()
        || text.texts.iter().any(|text| text.content.contains(escrow::SLIP_MARKER));
    if is_marked { Err(Refused::CodeInMail) } else { Ok(()) }
}

/// How the message came in.
pub(super) struct Arrival<'a> {
    pub gate: &'a Gate,
    pub envelope: &'a Envelope,
    pub principal: &'a Principal,
    pub received_at: Timestamp,
    pub tls: Option<&'static str>,
    /// Part of a run of many.
    pub is_run: bool,
}

impl Arrival<'_> {
    /// What a rule calls urgent stays urgent; anything else in a run waits behind what comes one by one.
    fn class(&self, verdict: &Verdict) -> Class {
        if self.is_run { verdict.class.in_a_run() } else { verdict.class }
    }
}

/// Everything that has to be kept for one submission.
pub(super) struct Built {
    pub message: QueueId,
    received_at: Timestamp,
    pub commit: Commit,
    pub refused: Option<Refused>,
    pub spoken: Vec<[u8; 32]>,
    /// What the sender is asked about copies that are held.
    asks: Vec<(CopyId, String)>,
    message_id: String,
    message_id_pseudonym: Pseudonym,
    subject: String,
    received: String,
    hop: String,
    own_body: Option<Arc<Sealed>>,
    /// Automaton of all recipients' addresses, built for the first of several copies.
    look: Option<message::LastLook>,
}

/// One sealed body with what each copy needs of it.
#[derive(Clone)]
pub(super) struct SealedBody {
    id: BodyId,
    key: Arc<Key>,
    /// For DKIM: made once for all copies, by the first that is signed.
    hash: Arc<OnceLock<[u8; 32]>>,
}

impl Built {
    /// Starts with one record for each recipient: what was decided, and why.
    pub(super) fn new(gate: &Gate, arrival: &Arrival<'_>, message: &Message, facts: &MessageFacts, decision: &Decision) -> Built {
        let id = QueueId::new(arrival.received_at, gate.vault.random());
        let message_id = message
            .header()
            .first("Message-ID")
            .map(|field| field.decoded().trim().to_owned())
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| format!("<{id}@{}>", gate.settings.server_name));
        let bare_id = message_id.trim_start_matches('<').trim_end_matches('>');
        let message_id_pseudonym = gate.vault.pseudonym("message-id", bare_id);
        let mut built = Built {
            message: id,
            received_at: arrival.received_at,
            commit: Commit::default(),
            refused: None,
            spoken: Vec::new(),
            asks: Vec::new(),
            received: received_field(gate, id, arrival),
            hop: {
                let count = hops(gate, message) + 1;
                format!("{count} {}", hop_mark(gate, count))
            },
            subject: facts.subject.clone(),
            message_id,
            message_id_pseudonym,
            own_body: None,
            look: None,
        };
        for verdict in &decision.verdicts {
            let record = built.decided(gate, arrival, facts, decision, verdict);
            built.commit.records.push(record);
        }
        built
    }

    fn decided(
        &self,
        gate: &Gate,
        arrival: &Arrival<'_>,
        facts: &MessageFacts,
        decision: &Decision,
        verdict: &Verdict,
    ) -> audit::Record {
        let mut record = audit::Record::of(
            if verdict.action == Action::Reject { Event::Refused } else { Event::Decided },
            arrival.received_at,
        );
        record.message = Some(self.message.to_string());
        record.message_id = Some(self.message_id_pseudonym.clone());
        record.principal = Some(gate.vault.pseudonym("principal", &arrival.principal.name));
        record.action = Some(verdict.action.as_str().into());
        record.required = Some(verdict.requirement.level.as_str().into());
        record.rules = verdict.rules.clone();
        record.findings = facts.found.iter().map(|(kind, count)| FindingCount { kind: (*kind).into(), count: *count }).collect();
        record.unreadable = facts.unreadable.iter().map(|why| (*why).into()).collect();
        record.policy = Some(decision.policy_version.clone());
        if let Some(to) = arrival.envelope.to.get(verdict.recipient) {
            record.recipient = Some(gate.vault.pseudonym("mailbox", &to.mailbox.folded()));
            record.domain = Some(to.mailbox.domain().to_string());
            let named = serde_json::json!({ "recipient": to.mailbox.to_string(), "message_id": self.message_id, "principal": arrival.principal.name });
            let sealed = gate.vault.seal_small(Role::Record, self.message.to_string().as_bytes(), named.to_string().as_bytes());
            record.sealed = Some(base64(&sealed.0));
        }
        record
    }

    /// Nothing is kept but the records; the client hears it in the dialogue.
    pub(super) fn refuse(mut self) -> Built {
        self.refused = Some(Refused::Policy { message: self.message });
        self
    }

    /// Seals the body once for all copies of one set of edits.
    pub(super) fn seal_body(&mut self, gate: &Gate, message: &Message) -> SealedBody {
        let (id, key) = (BodyId(gate.vault.random()), gate.vault.new_key());
        let sealed = Arc::new(pack::seal_body(&key, gate.vault.nonce(), id, message.body()));
        self.commit.bodies.push(NewBody { id, sealed: sealed.clone() });
        self.own_body = Some(sealed);
        SealedBody { id, key: Arc::new(key), hash: Arc::default() }
    }

    /// Rewrites, signs and seals the header section for one recipient.
    pub(super) fn seal_copy(
        &mut self,
        arrival: &Arrival<'_>,
        message: &Message,
        rules: &Policy,
        body: SealedBody,
        verdict: &Verdict,
    ) -> Result<(), Refused> {
        let (gate, envelope) = (arrival.gate, arrival.envelope);
        let Some(to) = envelope.to.get(verdict.recipient) else { return Ok(()) };
        let header = self.header(arrival, message, rules, &body, verdict, &to.mailbox)?;
        let facts = CopyFacts {
            kind: CopyKind::Message,
            recipient: to.mailbox.to_string(),
            reverse_path: envelope.from.to_string(),
            principal: arrival.principal.name.clone(),
            report_to: arrival
                .envelope
                .from
                .mailbox()
                .filter(|from| arrival.principal.may_send_as(from) && gate.is_own(from.domain()))
                .map(ToString::to_string),
            slip_to: arrival
                .principal
                .bound_address
                .as_ref()
                .filter(|bound| gate.is_own(bound.domain()))
                .map(ToString::to_string),
            message_id: self.message_id.clone(),
            subject: self.subject.clone(),
            body: envelope.params.body,
            smtputf8: envelope.params.smtputf8,
            requirement: verdict.requirement,
            action: if verdict.action == Action::Hold { verdict.after_hold } else { verdict.action },
            class: arrival.class(verdict),
            rules: verdict.rules.clone(),
            held_by: verdict.held_by.as_ref().map(|held| held.rule.clone()),
            is_asked: verdict.held_by.as_ref().is_some_and(|held| held.ask.is_some()),
            notify: to.params.notify,
            orcpt: to.params.orcpt.clone(),
            ret: envelope.params.ret,
            envid: envelope.params.envid.clone(),
            parcel: None,
        };
        let (id, key) = (CopyId::new(self.received_at, gate.vault.random()), gate.vault.new_key());
        if let Some(ask) = verdict.held_by.as_ref().and_then(|held| held.ask.clone()) {
            self.asks.push((id, ask));
        }
        self.commit.copies.push(NewCopy {
            id,
            message: self.message,
            kind: CopyKind::Message,
            body: body.id,
            recipient: gate.vault.pseudonym("mailbox", &to.mailbox.folded()),
            message_id: self.message_id_pseudonym.clone(),
            domain: to.mailbox.domain().clone(),
            class: arrival.class(verdict),
            header: pack::seal_header(&key, gate.vault.nonce(), id, body.id, &header),
            facts: pack::seal_facts(&key, gate.vault.nonce(), id, body.id, &facts),
            wrap: gate.vault.wrap(id.as_bytes(), &[&body.key, &key]),
            state: if verdict.action == Action::Hold {
                CopyState::Held
            } else {
                CopyState::Queued { next_at: arrival.received_at }
            },
            received_at: arrival.received_at,
            parcel: None,
            size_bytes: (header.len() + 2 + message.body().len()) as u64,
        });
        Ok(())
    }

    /// The header section as this recipient sees it, signed.
    fn header(
        &mut self,
        arrival: &Arrival<'_>,
        message: &Message,
        rules: &Policy,
        body: &SealedBody,
        verdict: &Verdict,
        recipient: &Mailbox,
    ) -> Result<Vec<u8>, Refused> {
        let gate = arrival.gate;
        let all: Vec<Mailbox> = arrival.envelope.to.iter().map(|to| to.mailbox.clone()).collect();
        let group: Option<Vec<Mailbox>> =
            verdict.group().and_then(|name| rules.groups.iter().find(|group| group.name == name)).map(|group| {
                let is_member = |mailbox: &Mailbox| group.members.iter().any(|member| member.matches(mailbox));
                all.iter().filter(|mailbox| is_member(mailbox)).cloned().collect()
            });
        let rewritten = message::rewrite(
            message,
            &message::RewriteFacts {
                audience: message::Audience { recipient, group: group.as_deref() },
                all_recipients: &all,
                own_addresses: &|mailbox| arrival.principal.may_send_as(mailbox),
                received: &self.received,
                hop: &self.hop,
                message_id: &self.message_id,
                date: &arrival.received_at.rfc5322(),
            },
        )
        .map_err(|refusal| Refused::HeaderInvalid { what: refusal.what })?;
        self.is_blind_to_others(message, &rewritten.header, verdict, &all, group.as_deref())?;
        metrics().headers_dropped.inc_by(rewritten.dropped as u64);
        let mut header = rewritten.header;
        let from = message.header().first("From").map(message::Field::mailboxes).unwrap_or_default();
        let signers = gate.signers();
        let keys = from.first().and_then(|from| signers.get(from.mailbox.domain()).map(|keys| (from.mailbox.domain(), keys)));
        if let Some((domain, keys)) = keys {
            let hash = body.hash.get_or_init(|| dkim::body_hash(message.body()));
            for key in keys {
                let signature = dkim::sign(&key.signer, domain, &key.selector, &header, hash, arrival.received_at);
                header.splice(0..0, signature);
            }
        }
        Ok(header)
    }

    /// The last look at a finished header section: nobody else's address stands in it.
    fn is_blind_to_others(
        &mut self,
        message: &Message,
        header: &[u8],
        verdict: &Verdict,
        all: &[Mailbox],
        group: Option<&[Mailbox]>,
    ) -> Result<(), Refused> {
        if all.len() < 2 {
            return Ok(());
        }
        let senders: Vec<String> = ["From", "Sender"]
            .iter()
            .flat_map(|name| message.header().all(name))
            .flat_map(message::Field::mailboxes)
            .map(|named| named.mailbox.folded())
            .collect();
        let look = self.look.get_or_insert_with(|| message::LastLook::for_recipients(all));
        let own = all.get(verdict.recipient).map(Mailbox::folded);
        let is_other = |index: &usize| {
            all.get(*index).is_some_and(|mailbox| {
                let folded = mailbox.folded();
                let is_member = group.is_some_and(|group| group.iter().any(|member| member.folded() == folded));
                Some(&folded) != own.as_ref() && !senders.contains(&folded) && !is_member
            })
        };
        if look.found_in_header(header).iter().any(is_other) { Err(Refused::RecipientInHeader) } else { Ok(()) }
    }

    /// Copies that may go at once.
    pub(super) fn due_now(&self, lane: Lane) -> usize {
        self.commit.copies.iter().filter(|copy| is_due(copy, lane)).count()
    }

    /// Puts a letter to the sender beside each copy that a rule asks about; both become true together. Where no way leads
    /// to the sender, the copy is held all the same.
    pub(super) fn ask_sender(&mut self, letter: &Letter) {
        for (id, ask) in std::mem::take(&mut self.asks) {
            let held = self.commit.copies.iter().find(|copy| copy.id == id).map(row_of);
            if let Some((body, copy)) = held.and_then(|row| letter(&row, &ask)) {
                self.commit.bodies.push(body);
                self.commit.copies.push(copy);
            }
        }
    }

    /// Copies that wait for a person.
    pub(super) fn held(&self) -> Vec<(QueueId, CopyId)> {
        let held = self.commit.copies.iter().filter(|copy| copy.state == CopyState::Held);
        held.map(|copy| (copy.message, copy.id)).collect()
    }

    /// Marks the copies that go to the workers from memory as claimed, and gives the rows to hand over.
    pub(super) fn hand_over(&mut self, lane: Lane) -> Vec<CopyRow> {
        let body = self.own_body.clone();
        self.commit
            .copies
            .iter_mut()
            .filter(|copy| is_due(copy, lane))
            .map(|copy| {
                copy.state = CopyState::InFlight;
                CopyRow {
                    copy: copy.clone(),
                    attempts: 1,
                    generation: 1,
                    last_reason: None,
                    delay_told: false,
                    changed_at: copy.received_at,
                    uncertain_host: None,
                    warm_body: body.clone(),
                }
            })
            .collect()
    }
}

/// A copy as the store would give it back.
fn row_of(copy: &NewCopy) -> CopyRow {
    CopyRow {
        copy: copy.clone(),
        attempts: 0,
        generation: 0,
        last_reason: None,
        delay_told: false,
        uncertain_host: None,
        changed_at: copy.received_at,
        warm_body: None,
    }
}

fn is_due(copy: &NewCopy, lane: Lane) -> bool {
    matches!(copy.state, CopyState::Queued { .. }) && copy.class.lane() == lane
}

/// One trace field of ours, without `for` and without internal names or addresses (RFC 5321, section 4.4).
fn received_field(gate: &Gate, id: QueueId, arrival: &Arrival<'_>) -> String {
    let with = match (arrival.tls, arrival.envelope.params.smtputf8) {
        (Some(_), false) => "ESMTPSA",
        (Some(_), true) => "UTF8SMTPSA",
        (None, false) => "ESMTP",
        (None, true) => "UTF8SMTP",
    };
    format!("by {} with {with} id {id}; {}", gate.settings.server_name, arrival.received_at.rfc5322())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
