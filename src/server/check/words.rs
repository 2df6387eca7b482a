//! The same for people: what would happen, and why, without a term that only mail administrators know where a plain
//! one will do.

use std::fmt;

use super::report::{Answered, Host, Report, Sts, Way};
use crate::deliver::{AtLevel, Probe, Via, Would};
use crate::transport::Reason;

/// What would become of a message at one level, and why.
pub(super) fn sentence(probe: &Probe, at: &AtLevel) -> String {
    let domain = &probe.domain;
    let host = at.host.as_ref().map_or_else(|| domain.to_string(), ToString::to_string);
    let why = at.reason.map(because).unwrap_or_default();
    let notice = if at.may_notify {
        "a notice by mail tells the recipient"
    } else {
        "no notice is mailed, so somebody has to tell the recipient"
    };
    match (at.would, &at.proof) {
        (Would::Deliver, Some(proof)) => {
            let how = match proof.method.as_str() {
                "dane" => "its certificate matches the TLSA record in the signed zone (DANE)",
                "mta-sts" => "the domain's MTA-STS policy names it and its certificate is valid",
                "webpki" => "its certificate is valid for its name, but the name itself comes from DNS that could be forged",
                "pin" if probe.via == Via::Domain => "it is what the administrator pinned",
                "pin" => "it is the server that the administrator named, and it proved its name",
                _ => "whoever answers there; nobody is authenticated",
            };
            let mut out = format!("would be delivered now to {host} over {} ({}): {how}", proof.tls, proof.level);
            if matches!(probe.via, Via::NextHop { .. }) {
                out.push_str("; proof ends at this next hop");
            }
            out
        }
        (Would::Deliver, None) => format!("would be delivered now to {host}"),
        (Would::Portal, _) => format!("would go to the portal at once: {why} ({host}); {notice}"),
        (Would::RetryThenPortal, _) => {
            format!("would be tried again until its time is up, and then go to the portal: {why} ({host}); {notice}")
        }
        (Would::RetryThenBounce, _) => format!("would be tried again until its time is up, and then be returned: {why} ({host})"),
        (Would::Bounce, _) => format!("would be returned to the sender: {why} ({host})"),
    }
}

/// A reason as half a sentence.
#[must_use]
pub fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::StarttlsNotSupported => "the mail server offers no encryption (STARTTLS)",
        Reason::StarttlsGone => {
            "the mail server offered encryption within the last 90 days and offers none now, as if somebody had removed it"
        }
        Reason::StarttlsMissingEverywhere => "encryption is missing for many domains at once, so our own network is suspected",
        Reason::CertificateHostMismatch => "the certificate is for another name",
        Reason::CertificateExpired => "the certificate is out of date",
        Reason::CertificateNotTrusted => "no trusted authority vouches for the certificate",
        Reason::PinMismatch => "the server is not what the administrator pinned",
        Reason::TlsaInvalid => "the certificate does not match the TLSA record, which the domain's policy (DANE) demands",
        Reason::TlsaUnusable => "no TLSA record is usable",
        Reason::DnssecInvalid => "the DNS answers are signed wrongly (DNSSEC), so they may be forged",
        Reason::DnsFailed => "the DNS question was not answered, and \"could not find out\" is not \"there is none\"",
        Reason::StsPolicyInvalid => "the MTA-STS policy is not valid",
        Reason::StsHostNotListed => "the domain's MTA-STS policy does not list the mail server",
        Reason::StsFetchFailed => "the domain announces an MTA-STS policy that could not be fetched",
        Reason::TlsFailed => "the encrypted connection did not come about",
        Reason::LevelNotReachable => {
            "the domain publishes nothing that proves its mail server at this level (no DANE, no MTA-STS)"
        }
        Reason::RequireTlsNotOffered => "the mail server does not offer REQUIRETLS",
        Reason::SmtpUtf8NotOffered => "the mail server does not take addresses beyond ASCII",
        Reason::EightBitMimeNotOffered => "the mail server does not take 8-bit content",
        Reason::SizeExceeded => "the mail server does not take messages of this size",
        Reason::ConnectFailed => "the mail server cannot be reached",
        Reason::Timeout => "the mail server did not answer in time",
        Reason::GreetingRefused => "the mail server refused to talk to us",
        Reason::ProtocolError => "the mail server broke the dialogue off",
        Reason::TemporaryReply => "the mail server asked to come back later",
        Reason::PermanentReply => "the mail server refused for good",
        Reason::DomainNotFound => "the domain does not exist or has no mail server",
        Reason::NullMx => "the domain says that it takes no mail",
        Reason::MxIsUs => "the domain's mail server leads back to us or into a private network",
        Reason::AddressLiteral => "this is an address, no domain",
        Reason::LoopDetected => "the mail would go round in a circle",
        Reason::BudgetSpent => "there are too many hosts to try them all",
        Reason::RefusedByRule => "a rule says no",
        Reason::RefusedByOffice => "a person said no",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: PHI mail ({}) {}", self.domain, self.level.as_str(), self.sentence)?;
        for level in &self.levels {
            writeln!(f, "  {:<14} {}", level.level.as_str(), level.sentence)?;
            for skipped in &level.skipped {
                let tried = if skipped.dialled { "tried" } else { "not dialled" };
                writeln!(f, "  {:<14}   {} {tried}: {}", "", skipped.host, because(skipped.reason))?;
            }
        }
        if let Some(fault) = &self.resolver_fault {
            writeln!(f, "  RESOLVER       {fault}; until then nothing from DNS is believed and deliveries wait")?;
        }
        self.way(f)?;
        if let Some(contact) = &self.last_contact {
            let proof = &contact.proof;
            writeln!(
                f,
                "  last contact   {}, {} over {} {} ({} by {}), chain {}, log entry {}",
                contact.at, proof.host, proof.tls, proof.cipher, proof.level, proof.method, proof.chain_sha256, contact.seq
            )?;
        } else if self.pin.is_some() && self.memory == "gateway" {
            writeln!(f, "  last contact   none in the decision log yet")?;
        }
        for host in &self.hosts {
            host.lines(f)?;
        }
        writeln!(f, "  MTA-STS        {}", self.mta_sts)?;
        let reports = match (&self.tlsrpt.record, self.tlsrpt.answered.state.as_str()) {
            (Some(record), _) if self.tlsrpt.rua.is_empty() => format!("{record} (names nobody to whom reports could go)"),
            (Some(record), _) => record.clone(),
            (None, "unknown") => "could not be looked up".to_owned(),
            (None, _) => "none".to_owned(),
        };
        writeln!(f, "  TLS reports    {reports}")?;
        if self.memory == "none" {
            writeln!(
                f,
                "  note           asked without the gateway's memory: a policy it has cached, or encryption it has seen, is not known here"
            )?;
        }
        Ok(())
    }
}

impl Report {
    fn way(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::FixedRoute { host, port } => writeln!(f, "  route          fixed by the configuration: {host} port {port}")?,
            Way::NextHop { host, port } => {
                writeln!(f, "  next hop       all mail goes to {host} port {port}; proof ends there")?;
            }
            Way::Pin => writeln!(f, "  hosts          pinned by the configuration; MX records are not asked")?,
            Way::Mx => {
                let missing = if self.mx.does_not_exist { "; the domain does not exist or has no mail server" } else { "" };
                writeln!(f, "  MX             {}{missing}", self.mx.answered)?;
            }
        }
        if let Some(pin) = &self.pin {
            let what = match (pin.certificate_sha256.is_empty(), pin.has_ca) {
                (false, _) => "certificate",
                (true, true) => "authority",
                (true, false) if pin.hosts.is_empty() => "level alone",
                (true, false) => "hosts",
            };
            let review = match (&pin.review, pin.review_state.as_str()) {
                (None, _) => "no review date".to_owned(),
                (Some(day), "passed") => format!("its review was due on {day}: ask the partner whether it still holds"),
                (Some(day), "near") => format!("its review is due on {day}, soon"),
                (Some(day), _) => format!("review on {day}"),
            };
            writeln!(f, "  pin            at least {}, by {what}; {review}", pin.level.as_str())?;
        }
        Ok(())
    }
}

impl Host {
    fn lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  host           {} (preference {})", self.host, self.preference)?;
        writeln!(f, "    addresses    {} ({})", list(&self.addresses.list), self.addresses.answered)?;
        if self.tlsa.records.is_empty() {
            writeln!(f, "    TLSA         {}", self.tlsa.answered)?;
        }
        for record in &self.tlsa.records {
            let matches = match record.matches {
                _ if !record.usable => "not usable",
                Some(true) => "matches",
                Some(false) => "does NOT match what the host shows",
                None => "not compared: the host showed no certificate",
            };
            let (usage, selector, matching) = (record.usage, record.selector, record.matching);
            writeln!(f, "    TLSA         {usage} {selector} {matching} {}: {matches}", record.association)?;
        }
        let starttls = match (self.starttls, self.failure) {
            (Some(true), _) => "offered".to_owned(),
            (Some(false), _) => "not offered".to_owned(),
            (None, Some(reason)) => format!("not known: {}", because(reason)),
            (None, None) => "not known: the host was not dialled".to_owned(),
        };
        writeln!(f, "    STARTTLS     {starttls}")?;
        if let Some(is_offered) = self.requiretls {
            writeln!(f, "    REQUIRETLS   {}", if is_offered { "offered" } else { "not offered" })?;
        }
        let Some(tls) = &self.tls else { return Ok(()) };
        writeln!(f, "    TLS          {} {}", tls.version, tls.cipher)?;
        for (n, certificate) in tls.chain.iter().enumerate() {
            let by = if certificate.self_issued { "itself".to_owned() } else { certificate.issuer.clone() };
            let names = if n == 0 { format!(", for {}", list(&certificate.names)) } else { String::new() };
            writeln!(
                f,
                "    certificate  {} issued by {by}, valid {} to {}{names}",
                certificate.subject, certificate.not_before, certificate.not_after
            )?;
        }
        let name = if tls.name_matches { "the name matches" } else { "the name does NOT match" };
        match tls.webpki.as_str() {
            "valid" => writeln!(f, "    WebPKI       valid, {name}"),
            reason => writeln!(f, "    WebPKI       not valid: {reason}; {name}"),
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dnssec = match self.dnssec.as_deref() {
            Some("secure") => ", proven by DNSSEC",
            Some(_) => ", not signed",
            None => "",
        };
        match (self.state.as_str(), self.why) {
            ("present", _) => write!(f, "found{dnssec}"),
            ("absent", _) => write!(f, "none{dnssec}"),
            (_, Some(why)) => {
                let why = serde_json::to_value(why).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
                write!(f, "unknown ({why})")
            }
            (_, None) => write!(f, "unknown"),
        }
    }
}

impl fmt::Display for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(id), Some(mode), Some(max_age)) = (&self.id, self.mode, self.max_age_secs) else {
            return write!(f, "{}", self.answered);
        };
        let mode = match mode {
            crate::transport::StsMode::Enforce => "enforce",
            crate::transport::StsMode::Testing => "testing (asks for reports only)",
            crate::transport::StsMode::None => "none (withdrawn)",
        };
        write!(f, "{mode}, mx {}, id {id}, max_age {max_age} s", list(&self.mx))?;
        match (self.source, &self.fetched_at) {
            (Some(super::StsSource::Fetched), _) => write!(f, ", fetched now"),
            (Some(super::StsSource::Cache), Some(at)) => write!(f, ", from the cache (fetched {at})"),
            (Some(super::StsSource::Cache), None) | (None, _) => Ok(()),
        }
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
