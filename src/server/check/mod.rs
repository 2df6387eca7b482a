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
    Addresses, Answered, Certificate, Host, LastContact, LevelReport, Mx, Pinned, ProofShown, Report, Skipped, Status, Sts,
    StsSource, TlsRpt, TlsShown, Tlsa, TlsaShown, Way,
};

use tokio::sync::OnceCell;

use super::control::Parts;
use super::partners;
use crate::config::{Partner, Settings};
use crate::deliver::{self, Attempts};
use crate::lookup::{self, InProcess, Lookup, Memory};
use crate::mail::Domain;
use crate::store;
use crate::transport::Level;

/// Asks about domains as the gateway of these settings would.
pub struct Checker {
    lookup: Arc<Lookup>,
    deliver: Arc<deliver::Settings>,
    level: Level,
    has_memory: bool,
    partners: Vec<Partner>,
    /// Where the gateway's decision log is.
    store: Option<store::Handle>,
    /// What is wrong with the resolver, found out before the first question. The gateway tests its resolver likewise,
    /// and believes nothing while that fails.
    fault: OnceCell<Option<String>>,
    is_tested: bool,
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

    /// With memory and decision log of the gateway.
    ///
    /// # Errors
    /// As [`Checker::alone`].
    pub fn of_gateway(parts: &Parts) -> Result<Checker, lookup::Error> {
        let mut checker = Checker::with_memory(&parts.settings, (parts.store.clone(), parts.vault.clone()))?;
        checker.store = Some(parts.store.clone());
        Ok(checker)
    }

    fn with_memory(settings: &Settings, memory: impl Memory) -> Result<Checker, lookup::Error> {
        // What changes at a domain is told by deliveries, not by whoever is curious.
        let lookup = lookup::Settings { is_quiet: true, ..settings.lookup.clone() };
        Ok(Checker {
            lookup: Arc::new(Lookup::with_memory(lookup, memory, super::now)?),
            deliver: Arc::new(settings.deliver.clone()),
            level: settings.levels.phi,
            has_memory: true,
            partners: settings.partners.clone(),
            store: None,
            fault: OnceCell::new(),
            is_tested: settings.is_configured,
        })
    }

    /// Everything about one domain, asked anew.
    pub async fn check(&self, domain: &Domain) -> Report {
        let started = super::now();
        let fault = self.fault.get_or_init(|| self.fault()).await;
        self.lookup.forget(domain);
        let attempts = Attempts::alone(self.deliver.clone(), self.lookup.clone());
        let tlsrpt = format!("_smtp._tls.{domain}");
        let (probe, tlsrpt) = tokio::join!(attempts.probe(domain), self.lookup.txt(&tlsrpt));
        let fetched_at = self.lookup.policy_fetched_at(domain).await;
        let contact = match &self.store {
            Some(store) => partners::last_contact(store, domain).await,
            None => None,
        };
        let facts = report::Facts {
            at: started,
            level: self.level,
            has_memory: self.has_memory,
            policy_fetched_at: fetched_at,
            roots: &self.deliver.roots,
            review: self.partners.iter().find(|partner| partner.domain == *domain).and_then(|partner| partner.review),
            contact,
            fault: fault.as_deref(),
        };
        report::report(&probe, &tlsrpt, &facts)
    }

    /// What the self-test finds wrong. A second source that fails alone changes no answer of the first.
    async fn fault(&self) -> Option<String> {
        if !self.is_tested {
            return None;
        }
        match self.lookup.check().await {
            Ok(()) | Err(lookup::Error::SecondSourceDoesNotValidate { .. }) => None,
            Err(error) => Some(error.to_string()),
        }
    }
}
