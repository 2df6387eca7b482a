//! `wardpost check-config`: as far as a start would go, and a little further; nothing is changed.

use std::net::ToSocketAddrs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::Ended;
use crate::config::{Ocr, Settings, files};
use crate::scan::Words;
use crate::server;

/// What the check found, in order.
#[derive(Default)]
struct Findings {
    problems: usize,
}

impl Findings {
    fn good(&self, text: &str) {
        println!("  ok    {text}");
    }
    fn note(&self, text: &str) {
        println!("  note  {text}");
    }
    fn problem(&mut self, text: &str) {
        self.problems += 1;
        println!("  WRONG {}", text.trim_end().replace('\n', "\n        "));
    }
}

pub fn run(config: Option<&Path>) -> Ended {
    let settings = match config {
        Some(path) => Settings::load(path)?,
        None => Settings::built_in()?,
    };
    let mut found = Findings::default();
    found.good("every key is known and every file it names can be read");
    for note in &settings.notes {
        found.note(&note.text());
    }
    if let Err(error) = server::refuse_demo_folder(&settings) {
        found.problem(&error.to_string());
    }
    folders(&settings, &mut found);
    certificates(&settings, &mut found);
    admin_certificate(&settings, &mut found);
    listeners(&settings, &mut found);
    rules(&settings, &mut found);
    routes(&settings, &mut found);
    partners(&settings, &mut found);
    pictures(&settings, &found);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(resolver(&settings, &mut found));
    if settings.levels.phi < crate::transport::Level::Authenticated {
        found.note("PHI leaves at `verified`, which does not withstand forged DNS; transport.phi = \"authenticated\" does");
    }
    if settings.deliver.default_hop.is_some() {
        found.note("with a next_hop, proof ends at that host");
    }
    println!(
        "{}",
        if found.problems == 0 {
            "the gateway will start with this configuration"
        } else {
            "the gateway would not work with this configuration"
        }
    );
    Ok(if found.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The start makes keys only where neither keys nor store are, and never opens a store without its keys.
fn folders(settings: &Settings, found: &mut Findings) {
    let (keys, data) = (&settings.keys, &settings.store.folder);
    let has_keys = std::fs::read_dir(keys).is_ok_and(|mut entries| entries.next().is_some());
    match (has_keys, !crate::store::is_empty(data)) {
        (true, true) => found.good(&format!("keys and data are in {} and {}", keys.display(), data.display())),
        (false, false) => found.note(&format!("the first start makes keys in {} and data in {}", keys.display(), data.display())),
        (false, true) => found.problem(&format!(
            "there is mail in {}, but the keys that open it are not in {}; restore them from the backup",
            data.display(),
            keys.display()
        )),
        (true, false) => found.note(&format!(
            "there are keys in {}, but no mail in {}; if there should be, restore it from the backup or correct data.path",
            keys.display(),
            data.display()
        )),
    }
}

/// Whether text on pictures will be read.
fn pictures(settings: &Settings, found: &Findings) {
    match (settings.ocr, crate::sandbox::tesseract()) {
        (Ocr::Off, _) => found.note("text on pictures is not read: scan.ocr is \"off\""),
        (Ocr::Auto, Some(program)) => found.good(&format!("text on pictures is read by {}", program.display())),
        (Ocr::Auto, None) => {
            found.note("text on pictures is not read: there is no tesseract in /usr/bin or /usr/local/bin");
        }
    }
}

fn certificates(settings: &Settings, found: &mut Findings) {
    let portal_host = settings.portal.host().split(':').next().unwrap_or_default().to_ascii_lowercase();
    for (what, pair, host) in [
        ("smtp", &settings.smtp_certificate, settings.server_name.as_str()),
        ("portal", &settings.portal_certificate, portal_host.as_str()),
    ] {
        let Some((chain, key)) = pair else {
            found.note(&format!("{what}: no certificate is configured; a throw-away one is made, which clients do not trust"));
            continue;
        };
        let identity = match files::identity(chain, key) {
            Ok(identity) => identity,
            Err(error) => {
                found.problem(&error.to_string());
                continue;
            }
        };
        match files::names(chain, &identity) {
            Ok(names) if files::covers(&names, host) => found.good(&format!("{what}: the certificate is for {host}")),
            Ok(names) => found.problem(&format!(
                "{what}: the certificate in {} is for {}, not for `{host}`; request one for `{host}` or change the name",
                chain.display(),
                names.join(", ")
            )),
            Err(error) => found.problem(&error.to_string()),
        }
        let left = files::valid_until(&identity).map(|until| (until - server::now().secs()) / 86_400);
        match left {
            Some(days) if days < 0 => found.problem(&format!("{what}: the certificate in {} has expired", chain.display())),
            Some(days) if days < 14 => found.note(&format!("{what}: the certificate expires in {days} days")),
            _ => {}
        }
        let config = crate::web::server_config(identity.chain, identity.key);
        if let Err(error) = config {
            found.problem(&format!("{what}: {} and {} do not belong together ({error})", chain.display(), key.display()));
        }
    }
}

/// Programs of the practice choose the name by which they ask, so only whether it can be served is looked at.
fn admin_certificate(settings: &Settings, found: &mut Findings) {
    let Some((chain, key)) = settings.admin.as_ref().and_then(|admin| admin.certificate.as_ref()) else { return };
    let served = files::identity(chain, key).map_err(|error| error.to_string()).and_then(|identity| {
        crate::web::server_config(identity.chain, identity.key)
            .map_err(|error| format!("admin: {} and {} do not belong together ({error})", chain.display(), key.display()))
    });
    match served {
        Ok(_) => found.good("admin: certificate and key belong together"),
        Err(error) => found.problem(&error),
    }
}

fn listeners(settings: &Settings, found: &mut Findings) {
    let all = settings.listeners.iter().map(|(kind, address)| (kind.as_str(), *address));
    let legacy = settings.legacy.iter().map(|fence| ("legacy", fence.listen));
    for (_, address) in legacy.clone() {
        found.note(&format!(
            "legacy: {address} takes mail WITHOUT ENCRYPTION: whoever listens in that network reads it; replace the device"
        ));
    }
    let all = all
        .chain(legacy)
        .chain(settings.portal_listen.iter().map(|address| ("portal", *address)))
        .chain([("metrics", settings.metrics_listen)])
        .chain(settings.admin.iter().map(|admin| ("admin", admin.listen)));
    for (what, address) in all {
        match std::net::TcpListener::bind(address) {
            Ok(_) => found.good(&format!("{what}: {address} can be listened on")),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                found.note(&format!("{what}: {address} is in use; by the running gateway, if this is its configuration"))
            }
            Err(error) => found.problem(&format!("{what}: {address} cannot be listened on: {error}")),
        }
    }
}

fn rules(settings: &Settings, found: &mut Findings) {
    let scanner = match server::scanner(settings) {
        Ok(scanner) => scanner,
        Err(error) => return found.problem(&error.to_string()),
    };
    for file in Words::load(&settings.words).map(|words| words.files).unwrap_or_default() {
        found.good(&format!(
            "own words: {} (version {}, {}): {} terms, {} patterns, {} allowed",
            file.name, file.version, file.owner, file.terms, file.patterns, file.allowed
        ));
    }
    match server::load_rules(settings, &scanner) {
        Ok(policy) => found.good(&format!("{} rules keep their examples (policy {})", policy.rules.len(), policy.version)),
        Err(error) => found.problem(&error.to_string()),
    }
}

fn routes(settings: &Settings, found: &mut Findings) {
    for own in &settings.own_domains {
        if !settings.deliver.routes.contains_key(own) {
            found.note(&format!("{own} has no [[route]]: its people get no slips and no reports by mail"));
        }
    }
    for (domain, route) in &settings.deliver.routes {
        match (route.host.as_str(), route.port).to_socket_addrs() {
            Ok(addresses) if addresses.len() > 0 => found.good(&format!("the route of {domain} leads to {}", route.host)),
            Ok(_) | Err(_) => found.problem(&format!("the route of {domain} leads to {}, which has no address", route.host)),
        }
    }
}

/// A review that is due is no reason to stop mail: it is somebody's task.
fn partners(settings: &Settings, found: &mut Findings) {
    for partner in &settings.partners {
        let (domain, day) = (&partner.domain, partner.review.map(crate::mail::Timestamp::date).unwrap_or_default());
        match server::Review::of(partner.review, server::now()) {
            server::Review::Later => found.good(&format!("the pin of {domain} is to be reviewed on {day}")),
            server::Review::Near => found.note(&format!("the pin of {domain} is to be reviewed on {day}, soon: ask the partner")),
            server::Review::Passed => found.note(&format!(
                "the review of the pin of {domain} was due on {day}: ask the partner whether hosts and keys still hold, then set a new date"
            )),
            server::Review::None => found.note(&format!("the pin of {domain} has no review date; set pin.review")),
        }
    }
}

/// Asks the resolver as the start does, without touching the store.
async fn resolver(settings: &Settings, found: &mut Findings) {
    let lookup = match crate::lookup::Lookup::with_memory(
        settings.lookup.clone(),
        std::sync::Arc::new(crate::lookup::InProcess::default()),
        server::now,
    ) {
        Ok(lookup) => lookup,
        Err(error) => return found.problem(&error.to_string()),
    };
    match tokio::time::timeout(Duration::from_secs(30), lookup.self_test()).await {
        Ok(Ok(())) => found.good("the resolver passes DNSSEC on, and answers validate"),
        Ok(Err(error)) if settings.is_configured => found.problem(&error.to_string()),
        Ok(Err(error)) => found.note(&error.to_string()),
        Err(_) => found.problem("the resolver did not answer within 30 s"),
    }
    for key in &settings.dkim {
        let name = server::dkim_name(key);
        match server::published(&lookup, key).await {
            server::Published::Yes => found.good(&format!("DKIM: {name} has the key")),
            server::Published::No => found.note(&format!(
                "DKIM: {name} does not have this key, so mail leaves without this signature; publish `{}`",
                crate::message::dkim::public_txt(&key.signer)
            )),
            server::Published::Unknown => found.note(&format!("DKIM: DNS could not be asked for {name}")),
        }
    }
}
