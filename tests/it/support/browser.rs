//! What a browser sends, without one: HTTPS requests with cookies, forms with the fields that the page has.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Browser {
    connector: tokio_rustls::TlsConnector,
    host: String,
    pub cookies: BTreeMap<String, String>,
}

pub struct Page {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// (action, fields) of every form of the page.
    pub fn forms(&self) -> Vec<(String, Vec<(String, String)>)> {
        let text = self.text();
        text.split("<form")
            .skip(1)
            .map(|form| {
                let form = form.split("</form>").next().unwrap_or_default();
                let fields = form
                    .split("<input")
                    .skip(1)
                    .map(|input| (attribute(input, "name"), attribute(input, "value")))
                    .filter(|(name, _)| !name.is_empty())
                    .collect();
                (attribute(form, "action"), fields)
            })
            .collect()
    }

    pub fn links(&self) -> Vec<String> {
        let text = self.text();
        ["href=\"", "src=\""]
            .iter()
            .flat_map(|start| {
                text.split(start).skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
            })
            .collect()
    }
}

fn attribute(text: &str, name: &str) -> String {
    let tag = text.split('>').next().unwrap_or_default();
    tag.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

impl Browser {
    /// A browser that accepts the portal's certificate, whatever it is.
    pub fn new(public_url: &str, certificate_pem: &[u8]) -> Browser {
        let connector = wardpost::server::connector_that_trusts(certificate_pem).unwrap();
        Browser { connector, host: public_url.trim_start_matches("https://").to_owned(), cookies: BTreeMap::new() }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, None).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Page {
        let body = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&");
        self.send("POST", path, Some(body)).await
    }

    /// Follows one redirect, as browsers do.
    pub async fn post_and_follow(&mut self, path: &str, fields: &[(String, String)]) -> Page {
        let page = self.post(path, fields).await;
        match page.header("location").map(str::to_owned) {
            Some(place) if (300..400).contains(&page.status) => self.get(&place).await,
            _ => page,
        }
    }

    /// Types number (if asked) and code into the form of a page.
    pub async fn type_code(&mut self, page: &Page, number: &str, code: &str) -> Page {
        let (action, mut fields) = page.forms().into_iter().find(|(action, _)| action == "/open").expect("a form for the code");
        for (name, value) in &mut fields {
            match name.as_str() {
                "number" => *value = number.to_owned(),
                "code" => *value = code.to_owned(),
                _ => {}
            }
        }
        self.post_and_follow(&action, &fields).await
    }

    async fn send(&mut self, method: &str, path: &str, body: Option<String>) -> Page {
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let port = self.host.rsplit(':').next().unwrap();
        let socket = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
        let mut tls = self.connector.connect(name, socket).await.unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host);
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        if let Some(body) = &body {
            request.push_str(&format!(
                "Origin: https://{}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                self.host,
                body.len()
            ));
        }
        request.push_str("\r\n");
        request.push_str(body.as_deref().unwrap_or_default());
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tls.read_to_end(&mut answer).await;
        self.read(&answer)
    }

    fn read(&mut self, answer: &[u8]) -> Page {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a header section");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (_, cookie) in headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (pair, _) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name)
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned())
            };
        }
        let mut body = answer[end + 4..].to_vec();
        if headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked") {
            body = unchunk(&body);
        }
        Page { status, headers, body }
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        out.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    out
}
