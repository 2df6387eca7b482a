//! One SMTP session as the client sees it (RFC 5321, section 4.1.4): who may say what, and what is answered.
//! No socket, no clock, no store.

use std::sync::Arc;

use super::auth::Mechanism;
use super::network::Caller;
use super::refusal::reply_to_line;
use super::{ListenerKind, Settings};
use crate::mail::{EnhancedCode, Envelope, ForwardPath, MailParams, Mailbox, Principal, RcptParams, Reply, ReversePath};
use crate::smtp::{Command, CommandError, Offer, Recipient, Secret, extension};

/// How a client introduced itself. Only EHLO opens extensions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Greeting {
    None,
    Helo,
    Ehlo,
}

/// Where the mail transaction stands. Each stage owns exactly what is known by then.
enum Stage {
    Idle,
    Sender(ReversePath, MailParams),
    Recipients(Envelope),
    /// At least one chunk was taken.
    Chunks(Envelope),
}

pub(super) struct Session {
    settings: Arc<Settings>,
    kind: ListenerKind,
    /// The listed network, or the device of a legacy listener.
    network: Option<Caller>,
    /// Whose certificate the client has shown.
    certificate: Option<Caller>,
    user: Option<Caller>,
    tls: Option<&'static str>,
    greeting: Greeting,
    stage: Stage,
    errors: u32,
}

/// What the connection does after the reply.
pub(super) enum Next {
    Command,
    /// The reply may be said only if nothing came in behind the command.
    StartTls,
    Auth(Mechanism, Option<Secret>),
    /// Say 354 and read to CRLF.CRLF, if there is memory.
    Data,
    /// Read this many octets and keep them.
    Chunk {
        size: u64,
        last: bool,
    },
    /// Read this many octets, keep none, then say the reply.
    SkipChunk {
        size: u64,
    },
    Close,
}

pub(super) struct Step {
    pub reply: Option<Reply>,
    pub next: Next,
    /// Somebody who may not tried to send.
    pub denied: bool,
}

impl Step {
    fn say(reply: Reply) -> Step {
        Step { reply: Some(reply), next: Next::Command, denied: false }
    }

    fn then(next: Next) -> Step {
        Step { reply: None, next, denied: false }
    }

    fn deny(reply: Reply) -> Step {
        Step { denied: true, ..Step::say(reply) }
    }
}

fn ok(subject: u16, detail: u16, text: &str) -> Reply {
    Reply::new(250, EnhancedCode(2, subject, detail), text)
}

fn sequence(text: &str) -> Reply {
    Reply::new(503, EnhancedCode(5, 5, 1), text)
}

impl Session {
    pub(super) fn new(settings: Arc<Settings>, kind: ListenerKind, network: Option<Caller>) -> Session {
        Session {
            settings,
            kind,
            network,
            certificate: None,
            user: None,
            tls: None,
            greeting: Greeting::None,
            stage: Stage::Idle,
            errors: 0,
        }
    }

    pub(super) fn greeting(&self) -> Reply {
        Reply::plain(220, format!("{} ESMTP", self.settings.name))
    }

    /// TLS has begun: nothing that was said before counts (RFC 3207, section 4.2).
    pub(super) fn tls_started(&mut self, version: &'static str) {
        self.tls = Some(version);
        self.user = None;
        self.greeting = Greeting::None;
        self.stage = Stage::Idle;
    }

    pub(super) fn certified(&mut self, caller: Caller) {
        self.certificate = Some(caller);
    }

    pub(super) fn authenticated(&mut self, user: Caller) -> Reply {
        self.user = Some(user);
        Reply::new(235, EnhancedCode(2, 7, 0), "Authenticated")
    }

    /// AUTH EXTERNAL: the holder of the certificate says who it wants to be, or nothing.
    pub(super) fn authenticated_by_certificate(&mut self, name: &str) -> Reply {
        let is_name = |caller: &&Caller| {
            let own = &caller.principal.name;
            name.is_empty() || name == own || own.strip_prefix("cert:") == Some(name)
        };
        match self.certificate.as_ref().filter(is_name).cloned() {
            Some(caller) => self.authenticated(caller),
            None => {
                self.auth_failed();
                super::auth::wrong()
            }
        }
    }

    /// The account or certificate was revoked meanwhile.
    pub(super) fn forget_caller(&mut self) {
        self.user = None;
        self.certificate = None;
        self.stage = Stage::Idle;
    }

    /// A password that did not hold weighs as much as several slips of the tongue.
    pub(super) fn auth_failed(&mut self) {
        self.errors = self.errors.saturating_add(4);
    }

    pub(super) fn has_too_many_errors(&self) -> bool {
        self.errors >= self.settings.limits.errors_max
    }

    pub(super) fn tls(&self) -> Option<&'static str> {
        self.tls
    }

    /// The size the client declared for the message.
    pub(super) fn declared_bytes(&self) -> Option<u64> {
        match &self.stage {
            Stage::Idle => None,
            Stage::Sender(_, params) => params.size_bytes,
            Stage::Recipients(envelope) | Stage::Chunks(envelope) => envelope.params.size_bytes,
        }
    }

    pub(super) fn is_in_chunks(&self) -> bool {
        matches!(self.stage, Stage::Chunks(_))
    }

    /// Ends the transaction: who sends what to whom, once the content is there.
    pub(super) fn finish(&mut self) -> Option<(Principal, Envelope)> {
        let principal = self.caller()?.principal.clone();
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Recipients(envelope) | Stage::Chunks(envelope) => Some((principal, envelope)),
            Stage::Idle | Stage::Sender(..) => None,
        }
    }

    /// One line in, one reply and the next action out.
    #[must_use]
    pub(super) fn on(&mut self, command: Result<Command, CommandError>) -> Step {
        let step = match command {
            Ok(command) => self.on_command(command),
            Err(error) => {
                let next = match error {
                    // Where the chunk ends, or what a browser sends next, is the other side's choice; and what stands
                    // behind a bare LF may be a command that somebody smuggled into an argument.
                    CommandError::BareLineEnd | CommandError::ChunkUnframed | CommandError::Http => Next::Close,
                    _ => Next::Command,
                };
                Step { reply: Some(reply_to_line(error)), next, denied: false }
            }
        };
        if step.reply.as_ref().is_some_and(|reply| reply.code >= 500) {
            self.errors = self.errors.saturating_add(1);
        }
        step
    }

    fn on_command(&mut self, command: Command) -> Step {
        match command {
            Command::Ehlo => {
                self.greeting = Greeting::Ehlo;
                self.stage = Stage::Idle;
                let offer = Offer {
                    in_tls: self.tls.is_some(),
                    can_start_tls: self.kind != ListenerKind::Legacy,
                    is_authenticated: self.user.is_some(),
                    has_certificate: self.certificate.is_some(),
                    message_bytes_max: self.message_bytes_max(),
                };
                Step::say(extension::ehlo_reply(self.settings.name.as_str(), &offer))
            }
            Command::Helo => {
                self.greeting = Greeting::Helo;
                self.stage = Stage::Idle;
                Step::say(Reply::plain(250, self.settings.name.as_str()))
            }
            Command::StartTls => self.on_start_tls(),
            Command::Auth { mechanism, initial } => self.on_auth(&mechanism, initial),
            Command::Mail { from, params, has_params } => self.on_mail(from, params, has_params),
            Command::Rcpt { to, params, has_params } => Step::say(self.on_rcpt(to, params, has_params)),
            Command::Data => match &self.stage {
                Stage::Recipients(_) => Step::then(Next::Data),
                Stage::Sender(..) => Step::say(Reply::new(554, EnhancedCode(5, 5, 1), "No valid recipients")),
                Stage::Chunks(_) => Step::say(sequence("A message in chunks ends with BDAT LAST")),
                Stage::Idle => Step::say(sequence("MAIL first")),
            },
            Command::Bdat { size, last } => self.on_bdat(size, last),
            Command::BdatWrong { size } => {
                self.stage = Stage::Idle;
                Step { reply: Some(reply_to_line(CommandError::Argument)), next: Next::SkipChunk { size }, denied: false }
            }
            Command::Rset => {
                self.stage = Stage::Idle;
                Step::say(ok(0, 0, "Ok"))
            }
            Command::Noop => Step::say(ok(0, 0, "Ok")),
            Command::Help => Step::say(Reply::new(214, EnhancedCode(2, 0, 0), "See RFC 5321")),
            // Whether an address exists is nobody's business (RFC 5321, section 7.3).
            Command::Vrfy => Step::say(Reply::new(252, EnhancedCode(2, 5, 2), "Send some mail and see")),
            Command::Expn => Step::say(Reply::new(502, EnhancedCode(5, 5, 1), "Not offered")),
            Command::Quit => {
                Step { reply: Some(Reply::new(221, EnhancedCode(2, 0, 0), "Bye")), next: Next::Close, denied: false }
            }
        }
    }

    fn on_start_tls(&mut self) -> Step {
        if self.kind == ListenerKind::Legacy {
            return Step::say(Reply::new(502, EnhancedCode(5, 5, 1), "Not offered"));
        }
        if self.tls.is_some() {
            return Step::say(sequence("TLS is in use already"));
        }
        if self.greeting != Greeting::Ehlo {
            return Step::say(sequence("EHLO first"));
        }
        Step { reply: Some(Reply::new(220, EnhancedCode(2, 0, 0), "Ready for TLS")), next: Next::StartTls, denied: false }
    }

    fn on_auth(&mut self, mechanism: &str, initial: Option<Secret>) -> Step {
        if self.tls.is_none() {
            return Step::say(Reply::new(538, EnhancedCode(5, 7, 11), "Passwords are taken only inside TLS"));
        }
        if self.greeting != Greeting::Ehlo {
            return Step::say(sequence("EHLO first"));
        }
        if self.user.is_some() || !matches!(self.stage, Stage::Idle) {
            return Step::say(sequence("Not now"));
        }
        match Mechanism::parse(mechanism) {
            Some(Mechanism::External) if self.certificate.is_none() => {
                Step::say(Reply::new(504, EnhancedCode(5, 5, 4), "Mechanism not offered"))
            }
            Some(mechanism) => Step::then(Next::Auth(mechanism, initial)),
            None => Step::say(Reply::new(504, EnhancedCode(5, 5, 4), "Mechanism not offered")),
        }
    }

    fn on_mail(&mut self, from: ReversePath, params: MailParams, has_params: bool) -> Step {
        if self.greeting == Greeting::None {
            return Step::say(sequence("EHLO first"));
        }
        if !matches!(self.stage, Stage::Idle) {
            return Step::say(sequence("A message is under way already"));
        }
        // Devices without TLS, listed by the administrator, are the one exception.
        if self.tls.is_none() && !self.network.as_ref().is_some_and(|network| network.tls_optional) {
            return Step::say(Reply::new(530, EnhancedCode(5, 7, 0), "Must issue a STARTTLS command first"));
        }
        let Some(caller) = self.caller() else {
            return Step::deny(match self.kind {
                ListenerKind::Relay | ListenerKind::Legacy => {
                    Reply::new(550, EnhancedCode(5, 7, 1), "Relaying denied; authenticate first")
                }
                ListenerKind::Submission | ListenerKind::Submissions => {
                    Reply::new(530, EnhancedCode(5, 7, 0), "Authentication required")
                }
            });
        };
        if (has_params && self.greeting != Greeting::Ehlo) || (params.require_tls && self.tls.is_none()) {
            return Step::say(reply_to_line(CommandError::UnknownParameter));
        }
        if params.size_bytes.is_some_and(|size| size > self.message_bytes_max()) {
            return Step::say(Reply::new(552, EnhancedCode(5, 3, 4), "The message is too large"));
        }
        if let Some(mailbox) = from.mailbox() {
            if !params.smtputf8 && !is_ascii(mailbox) {
                return Step::say(needs_smtputf8());
            }
            if !caller.principal.may_send_as(mailbox) {
                return Step::deny(Reply::new(550, EnhancedCode(5, 7, 1), "You may not send as this sender"));
            }
        } else if caller.may_send_to.is_some() {
            // Behind a fence only devices sit, and no device reports on other people's mail.
            return Step::deny(Reply::new(550, EnhancedCode(5, 7, 1), "You may not send as this sender"));
        }
        self.stage = Stage::Sender(from, params);
        Step::say(ok(1, 0, "Sender ok"))
    }

    fn on_rcpt(&mut self, to: Recipient, params: RcptParams, has_params: bool) -> Reply {
        let (count, smtputf8) = match &self.stage {
            Stage::Sender(_, params) => (0, params.smtputf8),
            Stage::Recipients(envelope) => (envelope.to.len(), envelope.params.smtputf8),
            Stage::Idle => return sequence("MAIL first"),
            Stage::Chunks(_) => return sequence("The content has begun already"),
        };
        if has_params && self.greeting != Greeting::Ehlo {
            return reply_to_line(CommandError::UnknownParameter);
        }
        let recipients_max = self.caller().and_then(|caller| caller.quota.recipients_max).unwrap_or(usize::MAX);
        if count >= self.settings.max_recipients.min(recipients_max) {
            return Reply::new(452, EnhancedCode(4, 5, 3), "Too many recipients");
        }
        let mailbox = match to {
            Recipient::Mailbox(mailbox) => mailbox,
            Recipient::Postmaster => match self.postmaster() {
                Some(mailbox) => mailbox,
                None => return Reply::new(550, EnhancedCode(5, 1, 1), "No such recipient"),
            },
        };
        if !smtputf8 && !is_ascii(&mailbox) {
            return needs_smtputf8();
        }
        if !self.caller().is_some_and(|caller| caller.may_send_to(&mailbox)) {
            return Reply::new(550, EnhancedCode(5, 7, 1), "You may not send to this recipient");
        }
        let recipient = ForwardPath { mailbox, params };
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Sender(from, params) => Stage::Recipients(Envelope { from, params, to: vec![recipient] }),
            Stage::Recipients(mut envelope) => {
                // Named twice, a mailbox still gets one copy.
                if !envelope.to.iter().any(|known| known.mailbox == recipient.mailbox) {
                    envelope.to.push(recipient);
                }
                Stage::Recipients(envelope)
            }
            stage @ (Stage::Idle | Stage::Chunks(_)) => stage,
        };
        ok(1, 5, "Recipient ok")
    }

    fn on_bdat(&mut self, size: u64, last: bool) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Recipients(envelope) | Stage::Chunks(envelope) => {
                self.stage = Stage::Chunks(envelope);
                Step::then(Next::Chunk { size, last })
            }
            // The octets follow whatever the answer is (RFC 3030, section 2).
            stage @ Stage::Sender(..) => {
                self.stage = stage;
                let reply = Reply::new(554, EnhancedCode(5, 5, 1), "No valid recipients");
                Step { reply: Some(reply), next: Next::SkipChunk { size }, denied: false }
            }
            Stage::Idle => Step { reply: Some(sequence("MAIL first")), next: Next::SkipChunk { size }, denied: false },
        }
    }

    /// A user's own name goes before a machine's certificate, and both before the network it sits in.
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.user.as_ref().or(self.certificate.as_ref()).or(self.network.as_ref())
    }

    /// Largest message of this caller.
    pub(super) fn message_bytes_max(&self) -> u64 {
        let own = self.caller().and_then(|caller| caller.quota.message_bytes_max).unwrap_or(u64::MAX);
        self.settings.max_message_bytes.min(own)
    }

    fn postmaster(&self) -> Option<Mailbox> {
        let settings = &self.settings;
        settings.postmaster.clone().or_else(|| Mailbox::parse(&format!("postmaster@{}", settings.name)).ok())
    }
}

fn is_ascii(mailbox: &Mailbox) -> bool {
    !mailbox.needs_smtputf8() && mailbox.domain().written().is_ascii()
}

fn needs_smtputf8() -> Reply {
    Reply::new(553, EnhancedCode(5, 6, 7), "This address needs SMTPUTF8")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
#[path = "session_tests.rs"]
mod tests;
