//! A sending client as small as it can be, with rustls.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::Versions;
use crate::world::ca::provider;

pub struct Client<S> {
    pub stream: BufReader<S>,
}

pub async fn connect(address: SocketAddr) -> Client<TcpStream> {
    let mut client = Client { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) };
    let (code, _) = client.reply().await.unwrap();
    assert_eq!(code, 220);
    client
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Code and text of the next reply; `None` when the connection has ended.
    pub async fn reply(&mut self) -> Option<(u16, String)> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            assert!(line.ends_with("\r\n"), "{line:?}");
            text.push_str(&line);
            if line.as_bytes()[3] == b' ' {
                return Some((line[..3].parse().unwrap(), text));
            }
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
        self.stream.get_mut().flush().await.unwrap();
    }

    pub async fn ask(&mut self, line: &str) -> Option<(u16, String)> {
        self.write(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    pub async fn code(&mut self, line: &str) -> u16 {
        self.ask(line).await.unwrap().0
    }

    pub async fn send(&mut self, from: &str, to: &str, content: &str) -> Option<u16> {
        assert_eq!(self.code(&format!("MAIL FROM:<{from}>")).await, 250);
        assert_eq!(self.code(&format!("RCPT TO:<{to}>")).await, 250);
        assert_eq!(self.code("DATA").await, 354);
        self.write(content.as_bytes()).await;
        Some(self.ask(".").await?.0)
    }
}

impl Client<TcpStream> {
    pub async fn start_tls(mut self, name: &str, config: Arc<ClientConfig>) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        assert!(self.ask("EHLO gateway.example").await.unwrap().1.contains("STARTTLS"));
        assert_eq!(self.code("STARTTLS").await, 220);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(config).connect(name, self.stream.into_inner()).await?;
        let mut client = Client { stream: BufReader::new(stream) };
        assert!(!client.ask("EHLO gateway.example").await.unwrap().1.contains("STARTTLS"));
        Ok(client)
    }
}

/// The certificate must chain to this bundle and hold the name.
pub fn verifying(ca_pem: &str, versions: Versions) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions.as_slice()).unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Whoever it is; the test looks at the certificate itself.
pub fn trusting(versions: Versions) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions.as_slice()).unwrap();
    Arc::new(config.dangerous().with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth())
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
