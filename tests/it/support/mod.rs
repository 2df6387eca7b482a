//! A gateway in this process, a mail world around it, and a mail program in front of it.

pub mod browser;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mail_send::SmtpClientBuilder;
use mail_send::smtp::message::Message as SmtpMessage;
use serde_json::Value;
use wardpost::server::{self, Answer, Request, Running};
use wardpost::world::{World, practice_configuration};

/// Longest wait for anything; a run that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wardpost-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Gateway {
    pub running: Running,
    pub world: World,
    pub config: PathBuf,
    pub user: String,
    pub password: String,
    /// Goes last.
    _folder: Folder,
}

/// Writes the configuration of the world, changed by `change`.
pub fn write_config(folder: &Path, world: &World, change: impl Fn(String) -> String) -> PathBuf {
    let config = folder.join("wardpost.toml");
    std::fs::write(&config, change(practice_configuration(folder, world).unwrap())).unwrap();
    config
}

async fn start(config: &Path) -> Running {
    wardpost::observe::watch_panics(true);
    let mut readers = wardpost::sandbox::Settings::own().unwrap();
    readers.program = env!("CARGO_BIN_EXE_wardpost").into();
    let running = server::start_with(server::Source::File(config), readers).await.unwrap();
    running.until_ready().await;
    running
}

impl Gateway {
    pub async fn start(world: World) -> Gateway {
        Gateway::start_with(world, |config| config).await
    }

    pub async fn start_with(world: World, change: impl Fn(String) -> String) -> Gateway {
        Gateway::start_meant(world, change, |_| ()).await
    }

    /// With settings changed that have no key in the file, such as time-outs.
    pub async fn start_meant(
        world: World,
        change: impl Fn(String) -> String,
        adjust: impl FnOnce(&mut wardpost::config::Settings),
    ) -> Gateway {
        wardpost::observe::watch_panics(true);
        let folder = Folder::new();
        let config = write_config(&folder.0, &world, change);
        let mut readers = wardpost::sandbox::Settings::own().unwrap();
        readers.program = env!("CARGO_BIN_EXE_wardpost").into();
        let mut settings = wardpost::config::Settings::load(&config).unwrap();
        adjust(&mut settings);
        let running = server::start_meant(settings, Some(&config), readers).await.unwrap();
        running.until_ready().await;
        let user = "ann@practice.example".to_owned();
        let request = Request::UserAdd { name: user.clone(), send_as: vec![], bound_address: None };
        let Answer::Secret { secret: password, .. } = server::answer(running.parts(), request, server::now()).await else {
            panic!("no password")
        };
        Gateway { running, world, config, user, password, _folder: folder }
    }

    /// Submits over implicit TLS; the reply's text on success.
    pub async fn submit(&self, to: &[&str], message: &str) -> Result<(), String> {
        let address = self.running.address("submissions").unwrap();
        let connector = server::connector_that_trusts(&self.running.own_certificate().unwrap()).unwrap();
        let mut client = SmtpClientBuilder::new_with_tls_connector("localhost", address.port(), connector)
            .implicit_tls(true)
            .credentials((self.user.as_str(), self.password.as_str()))
            .timeout(PATIENCE)
            .connect()
            .await
            .map_err(|error| error.to_string())?;
        // This client always adds a line end of its own before the final dot.
        let ended = message.strip_suffix("\r\n").unwrap_or(message);
        let sent = client.send(SmtpMessage::new(self.user.as_str(), to.to_vec(), ended.as_bytes().to_vec())).await;
        let _ = client.quit().await;
        sent.map(|_| ()).map_err(|error| error.to_string())
    }

    pub async fn ask(&self, request: Request) -> Answer {
        server::answer(self.running.parts(), request, server::now()).await
    }

    pub async fn rows(&self, request: Request) -> Vec<Value> {
        match self.ask(request).await {
            Answer::Rows(rows) => rows,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until nothing is under way any more.
    pub async fn settle(&self) {
        let quiet = async {
            loop {
                let rows = self.rows(Request::QueueList { all: false }).await;
                if rows.iter().all(|row| row["state"] == "held") {
                    break;
                }
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, quiet).await.expect("everything settles");
    }

    /// Waits until `is_so` of the gateway, looking again and again.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut is_so: impl FnMut() -> F) {
        let seen = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never came: {what}"));
    }

    /// Records of a message, oldest first.
    pub async fn records(&self, message_id: &str) -> Vec<Value> {
        self.rows(Request::AuditShow { message: message_id.to_owned() }).await
    }

    /// What became of each recipient: (address, event of the last record that says where it is, reason).
    pub async fn fates(&self, message_id: &str) -> Vec<(String, String, String)> {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let records = self.records(message_id).await;
        let mut fates = Vec::new();
        for decided in records.iter().filter(|row| row["event"] == "decided" || row["event"] == "refused") {
            let recipient = text(decided, "recipient");
            let last = records
                .iter()
                .rfind(|row| {
                    row["recipient"] == recipient.as_str()
                        && ["delivered", "escrowed", "bounced", "decided", "refused"]
                            .contains(&row["event"].as_str().unwrap_or_default())
                })
                .unwrap();
            let address = decided["named"]["recipient"].as_str().unwrap_or_default().to_owned();
            fates.push((address, text(last, "event"), text(last, "reason")));
        }
        fates
    }

    /// Stops and starts again with what is on the disk.
    pub async fn restart(self, between: impl FnOnce(&World)) -> Gateway {
        let Gateway { running, world, config, user, password, _folder } = self;
        running.stop().await;
        between(&world);
        let running = start(&config).await;
        Gateway { running, world, config, user, password, _folder }
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }

    /// Stops the gateway; its world, folders and configuration stay for another start.
    pub async fn stop_and_keep(self) -> Stopped {
        let Gateway { running, world, config, _folder, .. } = self;
        running.stop().await;
        Stopped { config, _world: world, _folder }
    }
}

/// What is left of a gateway that was stopped.
pub struct Stopped {
    pub config: PathBuf,
    _world: World,
    _folder: Folder,
}

impl Stopped {
    pub async fn try_start(&self) -> Result<Running, server::Failure> {
        let mut readers = wardpost::sandbox::Settings::own().unwrap();
        readers.program = env!("CARGO_BIN_EXE_wardpost").into();
        server::start_with(server::Source::File(&self.config), readers).await
    }
}

/// A message with the usual fields.
pub fn message(id: &str, to: &str, subject: &str, body: &str) -> String {
    format!(
        "From: Ann <ann@practice.example>\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{id}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
    )
}

/// Whether the checkers that are not ours can run: a machine with no more than a Rust toolchain and a C compiler goes
/// without them. `.ci/run` installs Python.
pub fn has_python() -> bool {
    let is_there = std::process::Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("skipped: python3 is not installed");
    }
    is_there
}
