//! `wardpost serve`.

use std::io::IsTerminal;
use std::path::Path;

use super::{Ended, output};
use crate::config::Settings;
use crate::server;

pub fn run(config: Option<&Path>, restored: bool) -> Ended {
    let settings = match config {
        Some(path) => Settings::load(path)?,
        None => Settings::built_in()?,
    };
    server::refuse_demo_folder(&settings)?;
    let (keys, data, is_configured) = (settings.keys.clone(), settings.store.folder.clone(), settings.is_configured);
    let sender = format!("you@{}", server::first_domains(&settings).first().map_or("practice.example", String::as_str));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if restored {
        let voided = runtime.block_on(server::accept_restored(&settings))?;
        println!("The store is taken as restored; pick-up codes made void: {voided}. `wardpost escrow code` issues new ones.");
    }
    drop(settings);
    runtime.block_on(async {
        let source = config.map_or(server::Source::BuiltIn, server::Source::File);
        let mut running = server::start(source).await?;
        println!("Wardpost {} listens:", env!("CARGO_PKG_VERSION"));
        for (what, address) in running.listening() {
            let remark = match *what {
                "relay" => "SMTP with STARTTLS, for listed mail servers",
                "submission" => "SMTP with STARTTLS, for mail programs",
                "submissions" => "SMTP over TLS, for mail programs (preferred)",
                "legacy" => "SMTP WITHOUT ENCRYPTION, for one old device; replace it",
                "portal" => "HTTPS, for recipients",
                "admin" => "HTTP: /api/v1/check, for programs with a token",
                _ => "HTTP: /metrics, /health, /ready",
            };
            println!("  {what:<12} {address:<22} {remark}");
        }
        println!("Data: {}\nKeys: {}\nBack up the keys separately; without them no message can be opened.", data.display(), keys.display());
        if is_same_file_system(&keys, &data) && is_configured {
            println!("Keys and data are on one file system: a thief of the disk has both. Set keys.path to another one.");
        }
        let first = running.take_first_credential();
        if let Some((user, password)) = &first {
            println!("First credential, for trying out from this machine; it ends with the first `wardpost user add`:\n  user      {user}");
            if std::io::stdout().is_terminal() {
                output::secret("  password", password)?;
            } else {
                let path = output::secret_file(&keys, password)?;
                println!("  password  written to {}", path.display());
            }
        }
        let port = running.address("submissions").map_or(2465, |address| address.port());
        let next = match (&first, is_configured) {
            (Some((user, _)), false) => format!(
                "send a message as {sender}, for example with\n  \
                 swaks --server 127.0.0.1 --port {port} --tls-on-connect --auth PLAIN --auth-user {user} --from {sender} --to SOMEONE@ELSEWHERE\n  \
                 then ask `wardpost audit show ID` in this folder (the id is in the 250 reply). Or see everything at once: `wardpost demo`."
            ),
            (None, false) => {
                "send a message with an account. The first credential was shown at the first start; `wardpost user add you@practice.example` makes another. Or see everything at once: `wardpost demo`.".to_owned()
            }
            (Some(_), true) => {
                "make an account with `wardpost user add NAME@DOMAIN --config FILE` and point a mail program at the submissions listener, or list your mail server under [[network]].".to_owned()
            }
            (None, true) => {
                "point mail programs at the submissions listener, or list your mail server under [[network]]; `wardpost queue list --config FILE` shows what waits.".to_owned()
            }
        };
        println!("Next: {next}");
        Ok(running.until_told().await)
    })
}

fn is_same_file_system(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev(),
        _ => false,
    }
}
