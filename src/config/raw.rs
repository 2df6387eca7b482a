//! The configuration file as it is typed. Nothing is interpreted here; `settings` says what it means.

use std::path::PathBuf;

use serde::Deserialize;

use super::units::{Bytes, Span};

/// The whole file. An empty one is valid: every key has a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    pub server: Server,
    pub data: Data,
    pub keys: Keys,
    pub smtp: Smtp,
    pub network: Vec<Network>,
    pub client_certificate: Vec<ClientCertificate>,
    pub legacy: Vec<Legacy>,
    pub dns: Dns,
    pub transport: Transport,
    pub pin: Vec<Pin>,
    pub route: Vec<NextHop>,
    pub next_hop: Option<NextHop>,
    pub queue: Queue,
    pub policy: Policy,
    pub scan: Scan,
    pub group: Vec<Group>,
    pub dkim: Vec<Dkim>,
    pub portal: Portal,
    pub metrics: Metrics,
    pub admin: Admin,
    pub tlsrpt: Tlsrpt,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub name: Option<String>,
    pub own_domains: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scan {
    pub ocr: Ocr,
}

/// Whether an installed `tesseract` reads the text on pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ocr {
    #[default]
    Auto,
    Off,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    pub path: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    pub path: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    pub relay: Option<Vec<String>>,
    pub submission: Option<Vec<String>>,
    pub submissions: Option<Vec<String>>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub max_message: Option<Bytes>,
    pub max_recipients: Option<usize>,
    pub memory_in_flight: Option<Bytes>,
    pub max_connections: Option<usize>,
    pub max_connections_per_client: Option<usize>,
    pub connections_per_minute: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub name: String,
    pub addresses: Vec<String>,
    pub sender_domains: Vec<String>,
    #[serde(default)]
    pub bound_address: Option<String>,
    #[serde(default)]
    pub tls: NetworkTls,
    #[serde(default)]
    pub max_message: Option<Bytes>,
    #[serde(default)]
    pub max_recipients: Option<usize>,
    #[serde(default)]
    pub messages_per_hour: Option<u32>,
    #[serde(default)]
    pub tenants: Vec<String>,
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// A mail server that is known by its own certificate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    pub name: String,
    pub sha256: Vec<String>,
    pub sender_domains: Vec<String>,
    #[serde(default)]
    pub bound_address: Option<String>,
    #[serde(default)]
    pub max_message: Option<Bytes>,
    #[serde(default)]
    pub max_recipients: Option<usize>,
    #[serde(default)]
    pub messages_per_hour: Option<u32>,
}

/// A listener in clear for devices without TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Legacy {
    pub name: String,
    pub listen: String,
    pub addresses: Vec<String>,
    pub sender: String,
    pub recipients: Vec<String>,
    #[serde(default)]
    pub max_message: Option<Bytes>,
    #[serde(default)]
    pub max_recipients: Option<usize>,
    #[serde(default)]
    pub messages_per_hour: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkTls {
    #[default]
    Required,
    Optional,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    pub resolver: Option<String>,
    pub trust_anchor: Option<PathBuf>,
    pub second_source: Option<String>,
    pub deadline: Option<Span>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transport {
    pub default: Option<crate::transport::Level>,
    pub phi: Option<crate::transport::Level>,
    pub ca_bundle: Option<PathBuf>,
    pub mx_port: Option<u16>,
    pub sts_port: Option<u16>,
    pub sts_private_addresses: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub domain: String,
    pub level: crate::transport::Level,
    #[serde(default)]
    pub hosts: Vec<String>,
    #[serde(default)]
    pub ca: Option<PathBuf>,
    #[serde(default)]
    pub certificate_sha256: Vec<String>,
    /// When somebody is to ask the partner whether all of this still holds.
    #[serde(default)]
    pub review: Option<String>,
}

/// A host that is dialled instead of the MX. Must prove itself by certificate name or pin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextHop {
    /// Domains that take this route; only in `[[route]]`.
    #[serde(default)]
    pub domains: Vec<String>,
    pub host: String,
    #[serde(default)]
    pub address: Option<String>,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub certificate_name: Option<String>,
    #[serde(default)]
    pub certificate_sha256: Vec<String>,
    #[serde(default)]
    pub ca: Option<PathBuf>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    pub retry_after: Option<Vec<Span>>,
    pub portal_after: Option<Span>,
    pub portal_after_urgent: Option<Span>,
    pub give_up_after: Option<Span>,
    pub delay_report_after: Option<Span>,
    pub release_hold_to_portal_after: Option<Span>,
    pub workers: Option<usize>,
    pub connections_per_host: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    pub files: Vec<PathBuf>,
    pub dictionaries: Vec<PathBuf>,
    pub words: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: String,
    pub members: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    pub domain: String,
    pub selector: String,
    pub key: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeMode {
    /// Over TLS where offered, else in clear: a neutral text.
    #[default]
    Plain,
    /// Only over TLS, whoever the peer is.
    TlsOnly,
    /// Never: the practice phones or writes.
    None,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Portal {
    pub listen: Option<Vec<String>>,
    pub public_url: Option<String>,
    pub office: Option<String>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub notice: NoticeMode,
    pub notice_address: Option<String>,
    pub notice_delay: Option<Span>,
    pub expires_after: Option<Span>,
    pub deliver_later_check: Option<Span>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    pub listen: Option<String>,
    pub hosts: Vec<String>,
    pub bearer_token_file: Option<PathBuf>,
}

/// The HTTP interface for the practice's own programs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    pub listen: Option<String>,
    pub hosts: Vec<String>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tlsrpt {
    pub enabled: Option<bool>,
    pub contact: Option<String>,
}
