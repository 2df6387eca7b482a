//! How a gateway is told of the world.

use std::path::Path;

use super::World;

/// The text of a configuration like a practice's, with the world's resolver, anchor, authority and ports.
///
/// # Errors
/// When the files beside it cannot be written.
pub fn practice_configuration(folder: &Path, world: &World) -> std::io::Result<String> {
    std::fs::write(folder.join("root.key"), world.trust_anchor())?;
    std::fs::write(folder.join("ca.pem"), world.ca_pem())?;
    let practice = world.practice();
    let portal_port = free_port()?;
    Ok(format!(
        r#"[server]
name = "gateway.practice.example"
own_domains = ["{domain}"]
[data]
path = "data"
[keys]
path = "keys"
[smtp]
relay = ["127.0.0.1:0"]
submission = ["127.0.0.1:0"]
submissions = ["127.0.0.1:0"]
[dns]
resolver = "{resolver}"
trust_anchor = "root.key"
deadline = "2s"
[transport]
ca_bundle = "ca.pem"
mx_port = {mx_port}
sts_port = {sts_port}
sts_private_addresses = true
[[route]]
domains = ["{domain}"]
host = "{host}"
address = "{address}"
port = {port}
certificate_name = "{name}"
[queue]
retry_after = ["250ms", "500ms"]
portal_after = "1500ms"
portal_after_urgent = "1s"
[portal]
listen = ["127.0.0.1:{portal_port}"]
public_url = "https://localhost:{portal_port}"
office = "Maple Street Office"
notice_address = "notice@{domain}"
notice_delay = "0s"
[metrics]
listen = "127.0.0.1:0"
"#,
        domain = practice.domain,
        resolver = world.resolver(),
        mx_port = world.mx_port(),
        sts_port = world.sts_port(),
        host = practice.host,
        address = practice.address.ip(),
        port = practice.address.port(),
        name = practice.certificate_name,
    ))
}

/// The portal's address stands in links, so its port has to be known before the start.
fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
