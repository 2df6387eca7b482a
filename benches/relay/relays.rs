//! The relays that stand side by side: this program and, where it is installed, a stock Postfix.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use wardpost::world::{Ca, Sink, SinkSettings, Versions};

use super::Failure;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Wardpost,
    Postfix,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Wardpost => "wardpost",
            Kind::Postfix => "postfix",
        }
    }

    pub fn is_installed(self) -> bool {
        self == Kind::Wardpost || Path::new("/usr/sbin/postfix").exists()
    }
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running relay with its sink.
pub struct Relay {
    kind: Kind,
    child: Child,
    scratch: Scratch,
    pub ca_pem: String,
    pub sink: Sink,
    /// Takes what goes to [`ALONE`].
    pub alone: Sink,
    pub port: u16,
}

/// A domain with a mail host of its own.
pub const ALONE: &str = "alone.example";

impl Relay {
    pub async fn start(kind: Kind) -> Result<Relay, Failure> {
        let ca = Ca::new("Benchmark CA")?;
        let leaf = ca.leaf(&["localhost", "sink.example"])?;
        let path = std::env::temp_dir().join(format!("wardpost-bench-{}-{}", std::process::id(), kind.name()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path)?;
        let scratch = Scratch(path);
        for (file, text) in [("ca.pem", ca.pem()), ("cert.pem", leaf.chain_pem()), ("key.pem", leaf.key_pem())] {
            std::fs::write(scratch.0.join(file), text)?;
        }
        let settings = || -> Result<SinkSettings, Failure> {
            let tls = Some(leaf.server_config(Versions::Both)?);
            Ok(SinkSettings { host: "sink.example".into(), tls, only_count: true, ..SinkSettings::default() })
        };
        let sink = Sink::serve(tokio::net::TcpListener::bind("127.0.0.1:0").await?, settings()?)?;
        let alone = Sink::serve(tokio::net::TcpListener::bind("127.0.0.1:0").await?, settings()?)?;
        let sinks = (sink.address().port(), alone.address().port());
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = match kind {
            Kind::Wardpost => wardpost(&scratch.0, port, sinks)?,
            Kind::Postfix => postfix(&scratch.0, port, sinks)?,
        };
        Ok(Relay { kind, child, scratch, ca_pem: ca.pem(), sink, alone, port })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut stop = match self.kind {
            Kind::Wardpost => Command::new("kill"),
            Kind::Postfix => Command::new("postfix"),
        };
        match self.kind {
            Kind::Wardpost => stop.arg(self.child.id().to_string()),
            Kind::Postfix => stop.arg("-c").arg(self.scratch.0.join("conf")).arg("stop"),
        };
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

fn wardpost(folder: &Path, port: u16, (sink, alone): (u16, u16)) -> Result<Child, Failure> {
    let configuration = format!(
        "[server]\nname = \"localhost\"\nown_domains = [\"bench.example\"]\n\
         [smtp]\nrelay = [\"127.0.0.1:{port}\"]\nsubmission = []\nsubmissions = []\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
         max_connections_per_client = 20000\n\
         [[network]]\nname = \"bench\"\naddresses = [\"127.0.0.1/32\"]\nsender_domains = [\"bench.example\"]\ntls = \"optional\"\n\
         [transport]\nca_bundle = \"ca.pem\"\n\
         [next_hop]\nhost = \"sink.example\"\naddress = \"127.0.0.1\"\nport = {sink}\ncertificate_name = \"sink.example\"\n\
         [[route]]\ndomains = [\"{ALONE}\"]\nhost = \"sink.example\"\naddress = \"127.0.0.1\"\nport = {alone}\ncertificate_name = \"sink.example\"\n\
         [portal]\nlisten = [\"127.0.0.1:0\"]\n[metrics]\nlisten = \"127.0.0.1:0\"\n"
    );
    std::fs::write(folder.join("wardpost.toml"), configuration)?;
    let program = std::env::var_os("WARDPOST_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_wardpost").into());
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(folder.join("wardpost.toml"));
    Ok(command.env("WARDPOST_LOG", "error").stdout(Stdio::null()).spawn()?)
}

fn postfix(folder: &Path, port: u16, (sink, alone): (u16, u16)) -> Result<Child, Failure> {
    for name in ["conf", "queue", "data"] {
        std::fs::create_dir(folder.join(name))?;
    }
    Command::new("sh").args(["-c", "chmod 755 . conf queue; chown postfix data"]).current_dir(folder).status()?;
    let path = folder.display();
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {path}/queue\ncommand_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
         data_directory = {path}/data\nmail_owner = postfix\nsetgid_group = postdrop\nmaillog_file = {path}/maillog\nmaillog_file_prefixes = /tmp, /var\n\
         myhostname = localhost\nmydestination =\nlocal_recipient_maps =\nmynetworks = 127.0.0.0/8\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_peername_lookup = no\nsmtp_dns_support_level = disabled\nrelayhost = [127.0.0.1]:{sink}\n\
         transport_maps = inline:{{ {{ {ALONE} = smtp:[127.0.0.1]:{alone} }} }}\nalias_maps =\nmessage_size_limit = 104857600\nmailbox_size_limit = 0\ndefault_destination_recipient_limit = 1\n\
         smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {path}/key.pem, {path}/cert.pem\nsmtp_tls_security_level = encrypt\nsmtp_tls_CAfile = {path}/ca.pem\n"
    );
    std::fs::write(folder.join("conf/main.cf"), main)?;
    std::fs::write(folder.join("conf/master.cf"), MASTER.replace("PORT", &port.to_string()))?;
    let mut command = Command::new("postfix");
    command.arg("-c").arg(folder.join("conf")).arg("start-fg");
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

const MASTER: &str = "127.0.0.1:PORT inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\nsmtp unix - - n - - smtp\nrelay unix - - n - - smtp\n\
showq unix n - n - - showq\nerror unix - - n - - error\nretry unix - - n - - error\ndiscard unix - - n - - discard\nanvil unix - - n - 1 anvil\n\
scache unix - - n - 1 scache\ntlsproxy unix - - n - 0 tlsproxy\npostlog unix-dgram n - n - 1 postlogd\n";
