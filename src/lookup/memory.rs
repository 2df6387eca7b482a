use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::mail::{Domain, Timestamp};
use crate::secret::Role;
use crate::transport::mta_sts::CachedPolicy;
use crate::{store, vault};

pub(super) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Nobody knows what is remembered: the store did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten;

/// What `lookup` remembers over a restart.
pub trait Memory: Send + Sync + 'static {
    fn sts<'a>(&'a self, domain: &'a Domain) -> Pending<'a, Result<Option<CachedPolicy>, Forgotten>>;
    /// A policy that could not be kept still holds in this process.
    fn put_sts<'a>(&'a self, domain: &'a Domain, policy: &'a CachedPolicy) -> Pending<'a, ()>;
    /// When the domain last offered STARTTLS.
    fn starttls_seen<'a>(&'a self, domain: &'a Domain) -> Pending<'a, Result<Option<Timestamp>, Forgotten>>;
}

/// The store, with rows that only the holder of the vault can write: a policy put there by somebody else is none.
impl Memory for (store::Handle, Arc<vault::Vault>) {
    fn sts<'a>(&'a self, domain: &'a Domain) -> Pending<'a, Result<Option<CachedPolicy>, Forgotten>> {
        Box::pin(async move {
            let Some(sealed) = self.0.sts(domain).await.map_err(|_| Forgotten)? else { return Ok(None) };
            let Ok(opened) = self.1.open_small(Role::Cache, domain.as_str().as_bytes(), &sealed) else { return Ok(None) };
            Ok(serde_json::from_slice(opened.expose()).ok())
        })
    }

    fn put_sts<'a>(&'a self, domain: &'a Domain, policy: &'a CachedPolicy) -> Pending<'a, ()> {
        Box::pin(async move {
            if let Ok(json) = serde_json::to_vec(policy) {
                let sealed = self.1.seal_small(Role::Cache, domain.as_str().as_bytes(), &json);
                let _ = self.0.put_sts(domain, sealed).await;
            }
        })
    }

    fn starttls_seen<'a>(&'a self, domain: &'a Domain) -> Pending<'a, Result<Option<Timestamp>, Forgotten>> {
        Box::pin(async move { self.0.starttls_seen(domain).await.map_err(|_| Forgotten) })
    }
}

/// Remembers until the process ends; for checks from the command line and for tests.
#[derive(Default)]
pub struct InProcess {
    policies: Mutex<HashMap<Domain, CachedPolicy>>,
    starttls: Mutex<HashMap<Domain, Timestamp>>,
}

impl InProcess {
    pub fn note_starttls(&self, domain: Domain, at: Timestamp) {
        self.starttls.lock().unwrap_or_else(PoisonError::into_inner).insert(domain, at);
    }
}

impl Memory for Arc<InProcess> {
    fn sts<'a>(&'a self, domain: &'a Domain) -> Pending<'a, Result<Option<CachedPolicy>, Forgotten>> {
        let known = self.policies.lock().unwrap_or_else(PoisonError::into_inner).get(domain).cloned();
        Box::pin(async move { Ok(known) })
    }

    fn put_sts<'a>(&'a self, domain: &'a Domain, policy: &'a CachedPolicy) -> Pending<'a, ()> {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner).insert(domain.clone(), policy.clone());
        Box::pin(async {})
    }

    fn starttls_seen<'a>(&'a self, domain: &'a Domain) -> Pending<'a, Result<Option<Timestamp>, Forgotten>> {
        let known = self.starttls.lock().unwrap_or_else(PoisonError::into_inner).get(domain).copied();
        Box::pin(async move { Ok(known) })
    }
}
