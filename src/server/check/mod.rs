//! What is known of the way to a domain, and what would become of a message to it now: for administrators, on the
//! command line, over the control socket, or wherever else it is asked.
//!
//! The probe is `deliver`'s own; here it is put together with what only people want to see, and into words.
//!
//! Reading order: this file → `report` → `words`.

mod report;
mod words;

use std::sync::Arc;

pub use report::{
    Addresses, Answered, Certificate, Host, LevelReport, Mx, Pinned, ProofShown, Report, Skipped, Status, Sts, StsSource, TlsRpt,
    TlsShown, Tlsa, TlsaShown, Way,
};

use crate::config::Settings;
use crate::deliver::{self, Attempts};
use crate::lookup::{self, InProcess, Lookup, Memory};
use crate::mail::Domain;
use crate::transport::Level;

/// Asks about domains as the gateway of these settings would.
pub struct Checker {
    lookup: Arc<Lookup>,
    deliver: Arc<deliver::Settings>,
    level: Level,
    has_memory: bool,
}

impl Checker {
    /// Without the gateway's memory: no policy is cached from earlier, and no domain has shown STARTTLS before. Needs
    /// neither store nor keys.
    ///
    /// # Errors
    /// [`lookup::Error`] if the settings cannot work.
    pub fn alone(settings: &Settings) -> Result<Checker, lookup::Error> {
        let mut checker = Checker::with_memory(settings, Arc::new(InProcess::default()))?;
        checker.has_memory = false;
        Ok(checker)
    }

    /// With the memory of the gateway.
    ///
    /// # Errors
    /// As [`Checker::alone`].
    pub fn with_memory(settings: &Settings, memory: impl Memory) -> Result<Checker, lookup::Error> {
        let lookup = Arc::new(Lookup::with_memory(settings.lookup.clone(), memory, super::now)?);
        Ok(Checker { lookup, deliver: Arc::new(settings.deliver.clone()), level: settings.levels.phi, has_memory: true })
    }

    /// Everything about one domain, asked anew.
    pub async fn check(&self, domain: &Domain) -> Report {
        let started = super::now();
        self.lookup.forget(domain);
        let attempts = Attempts::alone(self.deliver.clone(), self.lookup.clone());
        let tlsrpt = format!("_smtp._tls.{domain}");
        let (probe, tlsrpt) = tokio::join!(attempts.probe(domain), self.lookup.txt(&tlsrpt));
        let fetched_at = self.lookup.policy_fetched_at(domain).await;
        let facts = report::Facts {
            at: started,
            level: self.level,
            has_memory: self.has_memory,
            policy_fetched_at: fetched_at,
            roots: &self.deliver.roots,
        };
        report::report(&probe, &tlsrpt, &facts)
    }
}
