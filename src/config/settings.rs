//! The configuration as it is meant: every file read, every address parsed, the settings that each room owns.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::files::{self, beside};
use super::raw::{self, NetworkTls, Raw};
use super::{Error, NoticeMode};
use crate::deliver::{self, FixedRoute, RouteProof};
use crate::lookup;
use crate::mail::{AddressPattern, Domain, Mailbox, Tenancy, Timestamp};
use crate::observe::Event;
use crate::pipeline;
use crate::policy::{Group, NamedLevels};
use crate::portal;
use crate::smtp_in::{self, ListenerKind};
use crate::store;
use crate::tlsrpt;
use crate::transport::{Level, Pin};

/// Everything the program was told, checked as far as one file at a time can be.
pub struct Settings {
    /// Whether a file was named; without one the built-in defaults are for trying out.
    pub is_configured: bool,
    pub server_name: Domain,
    pub own_domains: Vec<Domain>,
    pub keys: PathBuf,
    pub store: store::Settings,
    pub listeners: Vec<(ListenerKind, SocketAddr)>,
    pub smtp_in: Arc<smtp_in::Settings>,
    /// Listeners in clear for old devices.
    pub legacy: Vec<Arc<smtp_in::Legacy>>,
    /// Chain and key files; `None`: throw-away.
    pub smtp_certificate: Option<(PathBuf, PathBuf)>,
    pub lookup: lookup::Settings,
    pub deliver: deliver::Settings,
    pub gate: pipeline::Settings,
    pub levels: NamedLevels,
    pub groups: Vec<Group>,
    /// Name and text of the rule files.
    pub policies: Vec<(String, String)>,
    /// Name and text of own dictionaries.
    pub dictionaries: Vec<(String, String)>,
    /// Name and text of the files of own words.
    pub words: Vec<(String, String)>,
    /// Their folder.
    pub words_folder: Option<PathBuf>,
    /// Whether an installed `tesseract` reads the text on pictures.
    pub ocr: super::Ocr,
    pub dkim: Vec<DkimKey>,
    pub portal: portal::Settings,
    pub portal_listen: Vec<SocketAddr>,
    pub portal_certificate: Option<(PathBuf, PathBuf)>,
    pub metrics_listen: SocketAddr,
    pub metrics_hosts: Vec<String>,
    pub metrics_token: Option<Zeroizing<String>>,
    /// `None`: nothing is answered over HTTP.
    pub admin: Option<Admin>,
    /// What was agreed with partners, by domain.
    pub partners: Vec<Partner>,
    pub release_hold_after: Duration,
    /// Who reports about TLS; `None`: nobody does, and nothing is counted.
    pub tlsrpt: Option<tlsrpt::Settings>,
    /// What deserves a line in the log at every start.
    pub notes: Vec<Event>,
}

/// The HTTP interface for the practice's own programs.
#[derive(Clone, Debug)]
pub struct Admin {
    pub listen: SocketAddr,
    pub hosts: Vec<String>,
    /// Chain and key files; always there beyond loopback.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// One `[[pin]]`, with what is not for the transport to know.
#[derive(Clone, Debug)]
pub struct Partner {
    pub domain: Domain,
    pub pin: Pin,
    /// The day on which somebody is to ask whether the agreement still holds.
    pub review: Option<Timestamp>,
}

/// One key of a sender domain, PKCS#8.
#[derive(Clone)]
pub struct DkimKey {
    pub domain: Domain,
    pub selector: String,
    pub signer: Arc<crate::message::dkim::Signer>,
}

/// Other people's servers are not looked at more often.
const LATER_EVERY_MIN: Duration = Duration::from_secs(600);

/// The rules as shipped.
pub const DEFAULT_POLICY: &str = include_str!("../../policies/default.toml");

impl Settings {
    /// What runs without a configuration file: everything on loopback.
    ///
    /// # Errors
    /// [`Error`] if a default cannot be (no current folder).
    pub fn built_in() -> Result<Settings, Error> {
        let folder = std::env::current_dir().map_err(|source| Error::Unreadable { path: PathBuf::from("."), source })?;
        let mut settings = Settings::of(Raw::default(), &folder)?;
        settings.is_configured = false;
        Ok(settings)
    }

    /// Reads a configuration file and every file it names.
    ///
    /// # Errors
    /// [`Error`] with the place, the problem and the way out.
    pub fn load(path: &Path) -> Result<Settings, Error> {
        let text = files::read_text(path)?;
        let raw = super::parse(&path.display().to_string(), &text)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(|source| Error::Unreadable { path: folder.to_owned(), source })?;
        Settings::of(raw, &folder)
    }

    /// The named file, or what runs without one.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_or_built_in(path: Option<&Path>) -> Result<Settings, Error> {
        path.map_or_else(Settings::built_in, Settings::load)
    }

    /// Gives the typed keys their meaning; relative paths start at `base`.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn of(raw: Raw, base: &Path) -> Result<Settings, Error> {
        let server_name = domain("server.name", raw.server.name.as_deref().unwrap_or("localhost"))?;
        let own_domains =
            raw.server.own_domains.iter().map(|own| domain("server.own_domains", own)).collect::<Result<Vec<_>, _>>()?;
        let data = beside(base, raw.data.path.as_deref().unwrap_or(Path::new("wardpost-data")));
        let keys = match raw.keys.path.as_deref() {
            Some(path) => beside(base, path),
            None => data.with_file_name("wardpost-keys"),
        };
        // A backup of the data must never hold the keys as well.
        if keys.starts_with(&data) || data.starts_with(&keys) {
            return Err(Error::value(
                "keys.path",
                keys.display().to_string(),
                format!("and data.path ({}) lie one inside the other; keep keys and data apart", data.display()),
            ));
        }
        let roots = match &raw.transport.ca_bundle {
            Some(path) => files::roots(&beside(base, path))?,
            None => files::system_roots(),
        };
        let mut notes = Vec::new();
        let listeners = listeners(&raw.smtp)?;
        let lookup = lookup_settings(&raw, base, &roots, &listeners, &mut notes)?;
        let levels = NamedLevels {
            default: raw.transport.default.unwrap_or(Level::Verified),
            phi: raw.transport.phi.unwrap_or(Level::Verified),
        };
        let portal = portal_settings(&raw.portal)?;
        let mut deliver = deliver_settings(&raw, base, &server_name, &own_domains, &roots, lookup.resolver, &portal)?;
        let tlsrpt = tlsrpt_settings(&raw, &server_name, &own_domains)?;
        deliver.tls_reports = tlsrpt.is_some();
        let metrics_listen = address("metrics.listen", raw.metrics.listen.as_deref().unwrap_or("127.0.0.1:9465"))?;
        let metrics_token = match &raw.metrics.bearer_token_file {
            Some(path) => Some(Zeroizing::new(files::read_secret(&beside(base, path))?)),
            None => None,
        };
        if !metrics_listen.ip().is_loopback() && metrics_token.is_none() {
            return Err(Error::value(
                "metrics.listen",
                metrics_listen.to_string(),
                "is not loopback; set metrics.bearer_token_file, or listen on 127.0.0.1",
            ));
        }
        are_named_once(&raw)?;
        for network in raw.network.iter().filter(|network| network.tls == NetworkTls::Optional) {
            notes.push(Event::TlsOptionalNetwork { name: network.name.clone() });
        }
        Ok(Settings {
            is_configured: true,
            keys,
            store: store::Settings { folder: data, body_file_bytes: 128 * 1024 },
            listeners,
            legacy: raw.legacy.iter().map(|raw| legacy(raw).map(Arc::new)).collect::<Result<Vec<_>, _>>()?,
            smtp_in: Arc::new(smtp_in_settings(&raw, base, &server_name, &own_domains)?),
            smtp_certificate: pair("smtp", raw.smtp.certificate.as_deref(), raw.smtp.key.as_deref(), base)?,
            gate: pipeline::Settings {
                server_name: server_name.as_str().to_owned(),
                own_domains: own_domains.clone(),
                scans_at_once: std::thread::available_parallelism().map_or(2, usize::from),
            },
            lookup,
            deliver,
            levels,
            groups: raw.group.iter().map(group).collect::<Result<Vec<_>, _>>()?,
            policies: policies(&raw.policy.files, base)?,
            dictionaries: named_texts(&raw.policy.dictionaries, base)?,
            words: raw.policy.words.as_deref().map(|folder| words(&beside(base, folder))).transpose()?.unwrap_or_default(),
            words_folder: raw.policy.words.as_deref().map(|folder| beside(base, folder)),
            ocr: raw.scan.ocr,
            dkim: raw.dkim.iter().map(|dkim| dkim_key(dkim, base)).collect::<Result<Vec<_>, _>>()?,
            portal_listen: addresses("portal.listen", raw.portal.listen.as_deref(), "127.0.0.1:8443")?,
            portal_certificate: pair("portal", raw.portal.certificate.as_deref(), raw.portal.key.as_deref(), base)?,
            portal,
            admin: admin(&raw.admin, base)?,
            partners: partners(&raw.pin, base)?,
            metrics_listen,
            metrics_hosts: raw.metrics.hosts.clone(),
            metrics_token,
            release_hold_after: raw.queue.release_hold_to_portal_after.map_or(Duration::from_secs(72 * 3600), |span| span.0),
            tlsrpt,
            notes,
            server_name,
            own_domains,
        })
    }
}

// --- one key at a time ----------------------------------------------------------------------------------------------

fn domain(key: &str, text: &str) -> Result<Domain, Error> {
    Domain::parse(text).map_err(|error| Error::value(key, text, error.to_string()))
}

fn mailbox(key: &str, text: &str) -> Result<Mailbox, Error> {
    Mailbox::parse(text).map_err(|error| Error::value(key, text, error.to_string()))
}

fn address(key: &str, text: &str) -> Result<SocketAddr, Error> {
    text.parse()
        .map_err(|_| Error::value(key, text, "is no address with a port; write for example \"127.0.0.1:2525\" or \"[::1]:2525\""))
}

fn addresses(key: &str, typed: Option<&[String]>, default: &str) -> Result<Vec<SocketAddr>, Error> {
    match typed {
        Some(list) => list.iter().map(|text| address(key, text)).collect(),
        None => Ok(vec![address(key, default)?]),
    }
}

fn pair(section: &str, chain: Option<&Path>, key: Option<&Path>, base: &Path) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    match (chain, key) {
        (Some(chain), Some(key)) => Ok(Some((beside(base, chain), beside(base, key)))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::value(format!("{section}.key"), "", "is missing beside the certificate")),
        (None, Some(_)) => Err(Error::value(format!("{section}.certificate"), "", "is missing beside the key")),
    }
}

fn fingerprint(key: &str, text: &str) -> Result<[u8; 32], Error> {
    let digits: String = text.chars().filter(|c| !":. ".contains(*c)).collect();
    let problem = || {
        Error::value(
            key,
            text,
            "is no SHA-256 of a certificate; expected 64 hexadecimal digits (openssl x509 -fingerprint -sha256)",
        )
    };
    if digits.len() != 64 {
        return Err(problem());
    }
    let mut out = [0u8; 32];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = digits.get(2 * i..2 * i + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).ok_or_else(problem)?;
    }
    Ok(out)
}

fn listeners(smtp: &raw::Smtp) -> Result<Vec<(ListenerKind, SocketAddr)>, Error> {
    let mut out = Vec::new();
    for (kind, key, typed, default) in [
        (ListenerKind::Relay, "smtp.relay", &smtp.relay, "127.0.0.1:2525"),
        (ListenerKind::Submission, "smtp.submission", &smtp.submission, "127.0.0.1:2587"),
        (ListenerKind::Submissions, "smtp.submissions", &smtp.submissions, "127.0.0.1:2465"),
    ] {
        out.extend(addresses(key, typed.as_deref(), default)?.into_iter().map(|address| (kind, address)));
    }
    Ok(out)
}

fn smtp_in_settings(raw: &Raw, base: &Path, name: &Domain, own: &[Domain]) -> Result<smtp_in::Settings, Error> {
    let mut settings = smtp_in::Settings { name: name.clone(), ..smtp_in::Settings::default() };
    settings.postmaster = own.first().and_then(|own| Mailbox::parse(&format!("postmaster@{own}")).ok());
    if let Some(size) = raw.smtp.max_message {
        settings.max_message_bytes = size.0;
    }
    if let Some(count) = raw.smtp.max_recipients {
        settings.max_recipients = count;
    }
    if let Some(size) = raw.smtp.memory_in_flight {
        settings.memory_in_flight_bytes = usize::try_from(size.0).unwrap_or(usize::MAX);
    }
    if (settings.memory_in_flight_bytes as u64) < settings.max_message_bytes {
        return Err(Error::value(
            "smtp.memory_in_flight",
            settings.memory_in_flight_bytes.to_string(),
            "is smaller than smtp.max_message, so the largest message could never be taken",
        ));
    }
    settings.limits.connections_max = raw.smtp.max_connections.unwrap_or(20_000);
    settings.limits.connections_per_source_max = raw.smtp.max_connections_per_client.unwrap_or(300);
    if let Some(count) = raw.smtp.connections_per_minute {
        settings.limits.connections_per_minute = count;
    }
    for network in &raw.network {
        settings.networks.push(self::network(network, base)?);
    }
    for pin in &raw.client_certificate {
        settings.pinned.push(client_certificate(pin)?);
    }
    Ok(settings)
}

fn network(raw: &raw::Network, base: &Path) -> Result<smtp_in::Network, Error> {
    let key = |field: &str| format!("network.{field} of `{}`", raw.name);
    let tenancy = tenancy(raw, base)?;
    if !tenancy.is_empty() && raw.tls == NetworkTls::Optional {
        return Err(Error::value(key("tls"), "optional", "is not for mail that comes over the internet; leave it out"));
    }
    let addresses = senders(&key("addresses"), &raw.addresses, !tenancy.is_empty())?;
    if addresses.is_empty() || raw.sender_domains.is_empty() {
        return Err(Error::value(key("sender_domains"), "", "a network needs addresses and the sender domains it is bound to"));
    }
    Ok(smtp_in::Network {
        name: raw.name.clone(),
        addresses,
        may_send_as: own_senders(&key("sender_domains"), &raw.sender_domains)?,
        bound_address: raw.bound_address.as_deref().map(|text| mailbox(&key("bound_address"), text)).transpose()?,
        tls_optional: raw.tls == NetworkTls::Optional,
        quota: quota(&key(""), raw.max_message, raw.max_recipients, raw.messages_per_hour)?,
        tenancy,
    })
}

fn own_senders(key: &str, domains: &[String]) -> Result<Vec<AddressPattern>, Error> {
    domains.iter().map(|text| Ok(AddressPattern::Domain(domain(key, text)?))).collect()
}

/// Zero would stop the client without saying so.
fn quota(
    key: &str,
    max_message: Option<super::units::Bytes>,
    recipients_max: Option<usize>,
    messages_per_hour: Option<u32>,
) -> Result<smtp_in::Quota, Error> {
    if recipients_max == Some(0) || messages_per_hour == Some(0) || max_message.as_ref().is_some_and(|size| size.0 == 0) {
        return Err(Error::value(key, "0", "lets nothing through; remove the section instead"));
    }
    Ok(smtp_in::Quota { messages_per_hour, recipients_max, message_bytes_max: max_message.map(|size| size.0) })
}

/// Addresses of machines that may send without a password. Ranges that a provider shares among its customers only where
/// each message shows whose it is.
fn senders(key: &str, addresses: &[String], shows_tenant: bool) -> Result<Vec<smtp_in::Cidr>, Error> {
    let check = |text: &String| {
        let cidr = smtp_in::Cidr::parse(text).map_err(|error| Error::value(key, text.clone(), error.to_string()))?;
        let provider = provider_of(&cidr);
        if provider.is_some() && shows_tenant {
            return Ok(cidr);
        }
        let widest = if cidr.address().is_ipv4() { 24 } else { 64 };
        if cidr.prefix() < widest {
            return Err(Error::value(
                key,
                text.clone(),
                format!("is wider than /{widest}: an address alone would let too many in; list the servers one by one"),
            ));
        }
        if let Some(provider) = provider {
            return Err(Error::value(
                key,
                text.clone(),
                format!(
                    "belongs to {provider}, whose other customers send from there, too; say with `tenants` or `token_file` \
                     how your mail is told from theirs, or use a certificate or accounts"
                ),
            ));
        }
        let is_whole = cidr.prefix() == if cidr.address().is_ipv4() { 32 } else { 128 };
        if !is_whole && !is_private(cidr.address()) {
            return Err(Error::value(
                key,
                text.clone(),
                "is a range of public addresses, and who has which of them changes; list the servers one by one",
            ));
        }
        Ok(cidr)
    };
    addresses.iter().map(check).collect()
}

/// Shortest token: nobody guesses 128 bits, and 22 characters of base64 hold them.
const TOKEN_CHARS_MIN: usize = 22;

fn tenancy(raw: &raw::Network, base: &Path) -> Result<Vec<Tenancy>, Error> {
    let key = format!("network.tenants of `{}`", raw.name);
    let (mut ids, mut domains) = (Vec::new(), Vec::new());
    for text in &raw.tenants {
        let lower = text.trim().to_ascii_lowercase();
        if is_guid(&lower) {
            ids.push(lower);
        } else if Domain::parse(&lower).is_ok() {
            domains.push(lower);
        } else {
            return Err(Error::value(
                key,
                text.clone(),
                "is neither a tenant's id such as 00000000-0000-0000-0000-000000000000 nor its domain",
            ));
        }
    }
    let mut tenancy = Vec::new();
    if !ids.is_empty() {
        tenancy.push(Tenancy::MicrosoftTenant(ids));
    }
    if !domains.is_empty() {
        tenancy.push(Tenancy::OriginatorOrg(domains));
    }
    if let Some(path) = &raw.token_file {
        let path = beside(base, path);
        let token = Zeroizing::new(files::read_secret(&path)?);
        if token.chars().count() < TOKEN_CHARS_MIN || !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::file(
                &path,
                format!("is too easy to guess; write {TOKEN_CHARS_MIN} characters or more, as from `openssl rand -hex 20`"),
            ));
        }
        tenancy.push(Tenancy::Token(pipeline::token_hash(&token)));
    }
    Ok(tenancy)
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn client_certificate(raw: &raw::ClientCertificate) -> Result<smtp_in::Pinned, Error> {
    let key = |field: &str| format!("client_certificate.{field} of `{}`", raw.name);
    if raw.sha256.is_empty() || raw.sender_domains.is_empty() {
        return Err(Error::value(key("sha256"), "", "a certificate needs its SHA-256 and the sender domains it is bound to"));
    }
    Ok(smtp_in::Pinned {
        name: raw.name.clone(),
        sha256: raw.sha256.iter().map(|text| fingerprint(&key("sha256"), text)).collect::<Result<Vec<_>, _>>()?,
        may_send_as: own_senders(&key("sender_domains"), &raw.sender_domains)?,
        bound_address: raw.bound_address.as_deref().map(|text| mailbox(&key("bound_address"), text)).transpose()?,
        quota: quota(&key(""), raw.max_message, raw.max_recipients, raw.messages_per_hour)?,
    })
}

/// What an old device may send, unless its section says otherwise.
const LEGACY_MESSAGE_BYTES_MAX: u64 = 25 << 20;
const LEGACY_RECIPIENTS_MAX: usize = 10;
const LEGACY_MESSAGES_PER_HOUR: u32 = 60;

fn legacy(raw: &raw::Legacy) -> Result<smtp_in::Legacy, Error> {
    let key = |field: &str| format!("legacy.{field} of `{}`", raw.name);
    let listen = address(&key("listen"), &raw.listen)?;
    if !is_private(listen.ip()) {
        return Err(Error::value(
            key("listen"),
            raw.listen.clone(),
            "is not a private address: what comes in here is not encrypted and must not cross the internet; \
             write this machine's address in the network of the device",
        ));
    }
    let addresses = senders(&key("addresses"), &raw.addresses, false)?;
    if let Some(public) = addresses.iter().find(|block| !is_private(block.address())) {
        return Err(Error::value(
            key("addresses"),
            public.to_string(),
            "is not a private address: passwordless mail in clear is for devices in the same building only",
        ));
    }
    let recipients = raw
        .recipients
        .iter()
        .map(|text| AddressPattern::parse(text).map_err(|error| Error::value(key("recipients"), text.clone(), error.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    if addresses.is_empty() || recipients.is_empty() {
        return Err(Error::value(
            key("recipients"),
            "",
            "a legacy listener needs the devices' addresses and whom they may write to",
        ));
    }
    let mut quota = quota(&key(""), raw.max_message, raw.max_recipients, raw.messages_per_hour)?;
    quota.message_bytes_max.get_or_insert(LEGACY_MESSAGE_BYTES_MAX);
    quota.recipients_max.get_or_insert(LEGACY_RECIPIENTS_MAX);
    quota.messages_per_hour.get_or_insert(LEGACY_MESSAGES_PER_HOUR);
    let sender = mailbox(&key("sender"), &raw.sender)?;
    Ok(smtp_in::Legacy { name: raw.name.clone(), listen, addresses, sender, recipients, quota })
}

/// Quotas and records go by name.
fn are_named_once(raw: &Raw) -> Result<(), Error> {
    let names = raw.network.iter().map(|network| &network.name);
    let names =
        names.chain(raw.client_certificate.iter().map(|pin| &pin.name)).chain(raw.legacy.iter().map(|legacy| &legacy.name));
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() || name.contains(':') || !seen.insert(name) {
            return Err(Error::value(
                "name",
                name.clone(),
                "of a [[network]], [[client_certificate]] or [[legacy]] is empty, has a colon, or stands twice",
            ));
        }
    }
    Ok(())
}

/// Outbound ranges that providers publish for all their customers together.
const SHARED_BY_CUSTOMERS: [(&str, &str); 17] = [
    ("Microsoft 365", "40.92.0.0/15"),
    ("Microsoft 365", "40.107.0.0/16"),
    ("Microsoft 365", "52.100.0.0/14"),
    ("Microsoft 365", "104.47.0.0/17"),
    ("Microsoft 365", "2a01:111:f400::/48"),
    ("Microsoft 365", "2a01:111:f403::/48"),
    ("Google", "35.190.247.0/24"),
    ("Google", "64.233.160.0/19"),
    ("Google", "66.102.0.0/20"),
    ("Google", "66.249.80.0/20"),
    ("Google", "72.14.192.0/18"),
    ("Google", "74.125.0.0/16"),
    ("Google", "108.177.8.0/21"),
    ("Google", "173.194.0.0/16"),
    ("Google", "209.85.128.0/17"),
    ("Google", "216.58.192.0/19"),
    ("Google", "216.239.32.0/19"),
];

fn provider_of(block: &smtp_in::Cidr) -> Option<&'static str> {
    SHARED_BY_CUSTOMERS
        .iter()
        .find(|(_, range)| {
            smtp_in::Cidr::parse(range).is_ok_and(|range| range.contains(block.address()) && range.prefix() <= block.prefix())
        })
        .map(|(provider, _)| *provider)
}

/// Addresses that are not routed on the internet: RFC 1918, RFC 4193, loopback, link-local.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

fn lookup_settings(
    raw: &Raw,
    base: &Path,
    roots: &Arc<RootCertStore>,
    listeners: &[(ListenerKind, SocketAddr)],
    notes: &mut Vec<Event>,
) -> Result<lookup::Settings, Error> {
    let resolver = match raw.dns.resolver.as_deref() {
        None | Some("system") => None,
        Some(text) => Some(address("dns.resolver", text)?),
    };
    let is_test_world = resolver.is_some_and(|resolver| resolver.ip().is_loopback());
    let tests: [(&'static str, bool); 4] = [
        ("transport.mx_port", raw.transport.mx_port.is_some_and(|port| port != 25)),
        ("transport.sts_port", raw.transport.sts_port.is_some_and(|port| port != 443)),
        ("transport.sts_private_addresses", raw.transport.sts_private_addresses == Some(true)),
        ("dns.trust_anchor", raw.dns.trust_anchor.is_some()),
    ];
    for (key, is_set) in tests {
        if is_set && !is_test_world {
            return Err(Error::value(key, "", "is for test worlds only and needs dns.resolver on loopback"));
        }
        if is_set {
            notes.push(Event::TestSetting { key });
        }
    }
    if raw.transport.ca_bundle.is_some() {
        notes.push(Event::TestSetting { key: "transport.ca_bundle" });
    }
    let mut pins = HashMap::new();
    for pin in &raw.pin {
        let (domain, pin) = self::pin(pin, base)?;
        pins.insert(domain, pin);
    }
    Ok(lookup::Settings {
        resolver,
        trust_anchor: raw.dns.trust_anchor.as_deref().map(|path| files::read_text(&beside(base, path))).transpose()?,
        second_source: raw.dns.second_source.as_deref().map(|text| address("dns.second_source", text)).transpose()?,
        mx_port: raw.transport.mx_port.unwrap_or(25),
        sts_port: raw.transport.sts_port.unwrap_or(443),
        roots: roots.clone(),
        pins,
        allow_private_sts: raw.transport.sts_private_addresses.unwrap_or(false),
        own_addresses: listeners.iter().map(|(_, address)| address.ip()).filter(|ip| !ip.is_unspecified()).collect(),
        deadline: raw.dns.deadline.map_or(Duration::from_secs(15), |span| span.0),
        ..lookup::Settings::default()
    })
}

fn admin(raw: &raw::Admin, base: &Path) -> Result<Option<Admin>, Error> {
    let Some(listen) = raw.listen.as_deref() else { return Ok(None) };
    let listen = address("admin.listen", listen)?;
    let certificate = pair("admin", raw.certificate.as_deref(), raw.key.as_deref(), base)?;
    if !listen.ip().is_loopback() && certificate.is_none() {
        return Err(Error::value(
            "admin.listen",
            listen.to_string(),
            "is not loopback, and tokens must not cross a network in clear; set admin.certificate and admin.key, or listen on 127.0.0.1",
        ));
    }
    Ok(Some(Admin { listen, hosts: raw.hosts.clone(), certificate }))
}

fn partners(raw: &[raw::Pin], base: &Path) -> Result<Vec<Partner>, Error> {
    let mut partners: Vec<Partner> = Vec::new();
    for typed in raw {
        let (domain, pin) = self::pin(typed, base)?;
        if partners.iter().any(|partner| partner.domain == domain) {
            return Err(Error::value("pin.domain", domain.to_string(), "has two pins; keep one of them"));
        }
        let review = typed.review.as_deref().map(|text| {
            let problem =
                || Error::value(format!("pin.review of `{domain}`"), text, "is no date; write for example \"2027-06-30\"");
            Timestamp::of_date(text).ok_or_else(problem)
        });
        partners.push(Partner { review: review.transpose()?, domain, pin });
    }
    partners.sort_by(|a, b| a.domain.cmp(&b.domain));
    Ok(partners)
}

fn pin(raw: &raw::Pin, base: &Path) -> Result<(Domain, Pin), Error> {
    let key = |field: &str| format!("pin.{field} of `{}`", raw.domain);
    let name = domain("pin.domain", &raw.domain)?;
    if raw.hosts.is_empty() && raw.ca.is_none() && raw.certificate_sha256.is_empty() {
        return Err(Error::value(key("hosts"), "", "a pin fixes hosts, a CA or a certificate; name at least one"));
    }
    let pin = Pin {
        level: raw.level,
        hosts: raw.hosts.iter().map(|host| domain(&key("hosts"), host)).collect::<Result<Vec<_>, _>>()?,
        certificates: raw
            .certificate_sha256
            .iter()
            .map(|text| fingerprint(&key("certificate_sha256"), text))
            .collect::<Result<Vec<_>, _>>()?,
        ca_pem: raw
            .ca
            .as_deref()
            .map(|path| files::roots(&beside(base, path)).and_then(|_| files::read(&beside(base, path))))
            .transpose()?,
    };
    Ok((name, pin))
}

fn deliver_settings(
    raw: &Raw,
    base: &Path,
    name: &Domain,
    own: &[Domain],
    roots: &Arc<RootCertStore>,
    resolver: Option<SocketAddr>,
    portal: &portal::Settings,
) -> Result<deliver::Settings, Error> {
    let mut settings = deliver::Settings::new(name.clone(), roots.clone());
    settings.mx_port = raw.transport.mx_port.unwrap_or(25);
    for route in &raw.route {
        let hop = fixed_route("route", route, base)?;
        if route.domains.is_empty() {
            return Err(Error::value("route.domains", "", "is missing; name the domains that take this route"));
        }
        for text in &route.domains {
            settings.routes.insert(domain("route.domains", text)?, hop.clone());
        }
    }
    settings.default_hop = raw.next_hop.as_ref().map(|hop| fixed_route("next_hop", hop, base)).transpose()?;
    let ms = |span: super::Span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
    if let Some(spans) = &raw.queue.retry_after {
        if spans.is_empty() || spans.iter().any(|span| span.0.is_zero()) {
            return Err(Error::value("queue.retry_after", "", "needs at least one time above zero"));
        }
        settings.schedule.steps_ms = spans.iter().copied().map(ms).collect();
    }
    if let Some(span) = raw.queue.portal_after {
        settings.schedule.normal_budget_ms = ms(span);
    }
    if let Some(span) = raw.queue.portal_after_urgent {
        settings.schedule.urgent_budget_ms = ms(span);
    }
    if let Some(span) = raw.queue.give_up_after {
        settings.schedule.give_up_ms = ms(span);
        settings.schedule.notice_give_up_ms = settings.schedule.notice_give_up_ms.min(ms(span));
    }
    if let Some(span) = raw.queue.delay_report_after {
        settings.schedule.delay_report_ms = ms(span);
    }
    if let Some(count) = raw.queue.workers {
        settings.attempts_max = count.max(1);
    }
    if let Some(count) = raw.queue.connections_per_host {
        settings.pool.per_host_max = count.max(1);
    }
    let notice_address = raw.portal.notice_address.as_deref().map(|text| mailbox("portal.notice_address", text)).transpose()?;
    if let Some(address) = notice_address.as_ref().filter(|address| !own.contains(address.domain())) {
        return Err(Error::value(
            "portal.notice_address",
            format!("...@{}", address.domain()),
            "is in no domain of server.own_domains",
        ));
    }
    settings.portal = deliver::Portal {
        host: portal.host().to_owned(),
        office: portal.office.clone(),
        notice: match raw.portal.notice {
            NoticeMode::Plain => deliver::NoticeMode::Plain,
            NoticeMode::TlsOnly => deliver::NoticeMode::TlsOnly,
            NoticeMode::None => deliver::NoticeMode::None,
        },
        notice_address,
        notice_wait: raw.portal.notice_delay.map_or(Duration::from_secs(15 * 60), |span| span.0),
        keep_days: raw.portal.expires_after.map_or(crate::escrow::EXPIRY_DAYS, |span| (span.0.as_secs() / 86_400).max(1) as i64),
        postmaster: own.first().and_then(|own| Mailbox::parse(&format!("postmaster@{own}")).ok()),
    };
    let is_test_world = resolver.is_some_and(|resolver| resolver.ip().is_loopback()) && settings.mx_port != 25;
    if let Some(span) = raw.portal.deliver_later_check {
        if span.0.is_zero() || (span.0 < LATER_EVERY_MIN && !is_test_world) {
            return Err(Error::value(
                "portal.deliver_later_check",
                format!("{}s", span.0.as_secs()),
                "asks other people's servers too often; write for example \"12h\", at least \"10m\"",
            ));
        }
        settings.later_every = span.0;
    }
    // A world of a handful of test domains looks like a broken network: a third of it has no STARTTLS.
    if is_test_world {
        settings.weather = None;
    }
    Ok(settings)
}

/// On where the gateway has a name and a domain to speak for.
fn tlsrpt_settings(raw: &Raw, name: &Domain, own: &[Domain]) -> Result<Option<tlsrpt::Settings>, Error> {
    let has_name = raw.server.name.is_some() && !own.is_empty();
    if !raw.tlsrpt.enabled.unwrap_or(has_name) {
        return Ok(None);
    }
    if !has_name {
        return Err(Error::value(
            "tlsrpt.enabled",
            "true",
            "needs server.name and server.own_domains: a report says who sends it",
        ));
    }
    let contact = match (&raw.tlsrpt.contact, own.first()) {
        (Some(text), _) => mailbox("tlsrpt.contact", text)?,
        (None, Some(own)) => mailbox("tlsrpt.contact", &format!("postmaster@{own}"))?,
        (None, None) => return Ok(None),
    };
    if !own.contains(contact.domain()) {
        let shown = format!("...@{}", contact.domain());
        return Err(Error::value("tlsrpt.contact", shown, "is in no domain of server.own_domains"));
    }
    Ok(Some(tlsrpt::Settings { organization: name.clone(), contact }))
}

fn fixed_route(section: &str, raw: &raw::NextHop, base: &Path) -> Result<FixedRoute, Error> {
    let key = |field: &str| format!("{section}.{field} of `{}`", raw.host);
    let name = domain(&key("certificate_name"), raw.certificate_name.as_deref().unwrap_or(&raw.host))?;
    let sha256 =
        raw.certificate_sha256.iter().map(|text| fingerprint(&key("certificate_sha256"), text)).collect::<Result<Vec<_>, _>>()?;
    let proof = if sha256.is_empty() {
        let ca_pem = raw
            .ca
            .as_deref()
            .map(|path| files::roots(&beside(base, path)).and_then(|_| files::read(&beside(base, path))))
            .transpose()?;
        RouteProof::Name { name, ca_pem }
    } else {
        RouteProof::Certificate { name, sha256 }
    };
    if let Some(address) = &raw.address {
        address.parse::<IpAddr>().map_err(|_| Error::value(key("address"), address.clone(), "is no IP address"))?;
    }
    let login = match (&raw.user, &raw.password_file) {
        (Some(user), Some(path)) => {
            Some(deliver::Login { user: user.clone(), password: Zeroizing::new(files::read_secret(&beside(base, path))?) })
        }
        (None, None) => None,
        (Some(_), None) => return Err(Error::value(key("password_file"), "", "is missing beside user")),
        (None, Some(_)) => return Err(Error::value(key("user"), "", "is missing beside password_file")),
    };
    Ok(FixedRoute { host: raw.address.clone().unwrap_or_else(|| raw.host.clone()), port: raw.port.unwrap_or(25), proof, login })
}

fn portal_settings(raw: &raw::Portal) -> Result<portal::Settings, Error> {
    let url = raw.public_url.as_deref().unwrap_or("https://localhost:8443");
    let is_url = url
        .strip_prefix("https://")
        .is_some_and(|rest| !rest.trim_end_matches('/').is_empty() && !rest.trim_end_matches('/').contains('/'));
    if !is_url {
        return Err(Error::value("portal.public_url", url, "must be https://HOST or https://HOST:PORT, without a path"));
    }
    Ok(portal::Settings::new(url, raw.office.as_deref().unwrap_or("Your doctor's office")))
}

fn group(raw: &raw::Group) -> Result<Group, Error> {
    let key = format!("group.members of `{}`", raw.name);
    let members = raw
        .members
        .iter()
        .map(|text| AddressPattern::parse(text).map_err(|error| Error::value(key.clone(), text.clone(), error.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Group { name: raw.name.clone(), members })
}

fn dkim_key(raw: &raw::Dkim, base: &Path) -> Result<DkimKey, Error> {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    let path = beside(base, &raw.key);
    let domain = domain("dkim.domain", &raw.domain)?;
    if Domain::parse(&format!("{}._domainkey.{domain}", raw.selector)).is_err() {
        return Err(Error::value("dkim.selector", raw.selector.clone(), "is no DNS label"));
    }
    let pem = files::read(&path)?;
    let key =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| Error::file(&path, format!("is no PEM private key ({error})")))?;
    let PrivateKeyDer::Pkcs8(pkcs8) = key else {
        return Err(Error::file(
            &path,
            "is not PKCS#8; make one with `wardpost keys dkim DOMAIN`, or convert it with openssl pkcs8 -topk8 -nocrypt",
        ));
    };
    let bytes = pkcs8.secret_pkcs8_der();
    let signer = crate::message::dkim::Signer::ed25519(bytes)
        .or_else(|_| crate::message::dkim::Signer::rsa(bytes))
        .map_err(|_| Error::file(&path, "is neither an Ed25519 nor an RSA key of 2048 bits and more"))?;
    Ok(DkimKey { domain, selector: raw.selector.clone(), signer: Arc::new(signer) })
}

fn policies(files: &[PathBuf], base: &Path) -> Result<Vec<(String, String)>, Error> {
    if files.is_empty() {
        return Ok(vec![("policies/default.toml".to_owned(), DEFAULT_POLICY.to_owned())]);
    }
    named_texts(files, base)
}

/// The files of own words in a folder, `*.toml` and `*.tsv`, in the order of their names.
///
/// # Errors
/// [`Error`] if the folder or one of them cannot be read.
pub fn words(folder: &Path) -> Result<Vec<(String, String)>, Error> {
    let unreadable = |source| Error::Unreadable { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.extension().is_some_and(|ending| ending == "toml" || ending == "tsv") {
            paths.push(path);
        }
    }
    paths.sort();
    // They begin with the folder already.
    named_texts(&paths, Path::new(""))
}

fn named_texts(files: &[PathBuf], base: &Path) -> Result<Vec<(String, String)>, Error> {
    files.iter().map(|path| Ok((path.display().to_string(), files::read_text(&beside(base, path))?))).collect()
}
