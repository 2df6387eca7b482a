use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use crate::mail::{ParcelId, Timestamp};

/// Where the portal takes its time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What happened at the portal that staff or sender should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// A right code was typed.
    Opened(ParcelId),
    /// Ten wrong codes: the sender should hear of it.
    CodeVoided(ParcelId),
    /// The reader says the message is not for them; it is closed.
    NotForReader(ParcelId),
}

/// How the portal behaves. `portal.*` in the configuration.
#[derive(Clone)]
pub struct Settings {
    /// `https://portal.practice.example`, with the port where it is not 443, without a slash at the end.
    pub public_url: String,
    /// Neutral name of the office, as it stands in notices.
    pub office: String,
    /// Session without use.
    pub idle_secs: i64,
    /// Session in all.
    pub total_secs: i64,
    /// Tries of one source address, whatever the message.
    pub tries_per_minute: u32,
    /// Tries at the whole portal: a spray over many messages stays below a chance of 10^-4 a day.
    pub tries_per_day: u32,
    pub incidents: Option<mpsc::Sender<Incident>>,
    pub clock: Clock,
}

impl Settings {
    #[must_use]
    pub fn new(public_url: &str, office: &str) -> Settings {
        Settings {
            public_url: public_url.trim_end_matches('/').to_owned(),
            office: office.to_owned(),
            idle_secs: 15 * 60,
            total_secs: 8 * 3600,
            tries_per_minute: 15,
            tries_per_day: 100_000,
            incidents: None,
            clock: system_clock(),
        }
    }

    /// Host and port of the public URL: what people type and what browsers send.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.public_url.strip_prefix("https://").unwrap_or(&self.public_url);
        let host = rest.split('/').next().unwrap_or_default();
        host.strip_suffix(":443").unwrap_or(host)
    }

    /// The origin that browsers send with forms.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("https://{}", self.host().to_ascii_lowercase())
    }
}

/// The system's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}
