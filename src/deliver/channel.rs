//! A connection to a mail host, typed by what is known of the peer.
//!
//! | type | peer | may carry |
//! |---|---|---|
//! | [`Channel<Clear>`] | anybody | a notice |
//! | [`Channel<Encrypted>`] | TLS, but nobody knows with whom | a notice |
//! | [`Channel<Proven>`] | shown to be whom the TLS plan demands | a message, for a domain whose clearance admits the proof |
//!
//! A message over a proven channel:
//!
//! ```
//! use wardpost::deliver::{Channel, Content, Proven, Transaction};
//! use wardpost::transport::Clearance;
//! async fn send(channel: &mut Channel<Proven>, clearance: &Clearance, to: &Transaction<'_>, content: Content) {
//!     let _ = channel.send_message(clearance, to, content).await;
//! }
//! ```
//!
//! The same over a clear one, or over TLS to a stranger, is no program:
//!
//! ```compile_fail,E0599
//! use wardpost::deliver::{Channel, Clear, Content, Transaction};
//! use wardpost::transport::Clearance;
//! async fn send(channel: &mut Channel<Clear>, clearance: &Clearance, to: &Transaction<'_>, content: Content) {
//!     let _ = channel.send_message(clearance, to, content).await;
//! }
//! ```
//!
//! ```compile_fail,E0599
//! use wardpost::deliver::{Channel, Content, Encrypted, Transaction};
//! use wardpost::transport::Clearance;
//! async fn send(channel: &mut Channel<Encrypted>, clearance: &Clearance, to: &Transaction<'_>, content: Content) {
//!     let _ = channel.send_message(clearance, to, content).await;
//! }
//! ```
//!
//! Nor is one without a clearance:
//!
//! ```compile_fail,E0308
//! use wardpost::deliver::{Channel, Content, Proven, Transaction};
//! async fn send(channel: &mut Channel<Proven>, to: &Transaction<'_>, content: Content) {
//!     let _ = channel.send_message((), to, content).await;
//! }
//! ```
//!
//! A notice may go over a clear channel, a message's content in its place may not:
//!
//! ```
//! use wardpost::deliver::{Channel, Clear};
//! use wardpost::escrow::Notice;
//! async fn send(channel: &mut Channel<Clear>, notice: &Notice) {
//!     let _ = channel.send_notice(notice).await;
//! }
//! ```
//!
//! ```compile_fail,E0308
//! use wardpost::deliver::{Channel, Clear, Content};
//! use wardpost::escrow::Notice;
//! async fn send(channel: &mut Channel<Clear>, notice: &Content) {
//!     let _ = channel.send_notice(notice).await;
//! }
//! ```

use std::net::{IpAddr, SocketAddr};

use mail_send::SmtpClient;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::content::Content;
use super::dialogue::{Dialogue, End, Failure, Offers, RequireTls, Timeouts, Transaction};
use crate::escrow::Notice;
use crate::mail::Domain;
use crate::observe::metrics;
use crate::transport::{Clearance, Proof, Reason, TlsClient};

/// Bytes may be read and changed on the way.
#[derive(Debug)]
pub struct Clear(());

/// TLS whose peer was not proven: whoever sits on the path may hold the other end.
#[derive(Debug)]
pub struct Encrypted(());

/// The peer has shown what its TLS plan demands.
#[derive(Debug)]
pub struct Proven(Proof);

/// What a channel's peer has shown.
pub trait Security: sealed::Security {}
impl Security for Clear {}
impl Security for Encrypted {}
impl Security for Proven {}

mod sealed {
    use tokio::io::{AsyncRead, AsyncWrite};

    pub trait Security {
        type Stream: AsyncRead + AsyncWrite + Unpin + Send;
    }
    impl Security for super::Clear {
        type Stream = tokio::net::TcpStream;
    }
    impl Security for super::Encrypted {
        type Stream = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;
    }
    impl Security for super::Proven {
        type Stream = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;
    }
}

/// An SMTP session with a mail host, after EHLO.
pub struct Channel<S: Security> {
    dialogue: Dialogue<S::Stream>,
    security: S,
    address: SocketAddr,
    local: Option<IpAddr>,
    messages: u32,
}

impl<S: Security> Channel<S> {
    /// What the peer offered in the last EHLO; for TLS channels, the one inside TLS.
    #[must_use]
    pub fn offers(&self) -> Offers {
        self.dialogue.offers
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that we dialled from.
    #[must_use]
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// Sends the fixed text of a notice, and nothing else: neutral reverse-path, one recipient, no parameters.
    ///
    /// # Errors
    /// [`Failure`] if the dialogue broke off.
    pub async fn send_notice(&mut self, notice: &Notice) -> Result<End, Failure> {
        let letter = notice.letter();
        let content = Content::whole(letter.header.expose(), letter.body);
        self.dialogue.transact_plain(&notice.from, &notice.recipient, content).await
    }

    /// Ends the session without waiting.
    pub async fn quit(self) {
        self.dialogue.quit().await;
    }
}

impl<S: Security> std::fmt::Debug for Channel<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Channel({})", self.address)
    }
}

impl Channel<Clear> {
    /// Connects, waits for the greeting and says EHLO.
    ///
    /// # Errors
    /// [`Failure`] if there is no SMTP server that wants to talk.
    pub async fn open(
        address: SocketAddr,
        from: Option<IpAddr>,
        name: &str,
        timeouts: Timeouts,
    ) -> Result<Channel<Clear>, Failure> {
        let client = match from.filter(|from| from.is_ipv4() == address.is_ipv4()) {
            Some(from) => SmtpClient::connect_using(from, address, timeouts.connect).await,
            None => SmtpClient::connect(address, timeouts.connect).await,
        }
        .map_err(|error| match error {
            mail_send::Error::Timeout => Failure::Timeout,
            _ => Failure::Connect,
        })?;
        // Commands are written whole; waiting for more of them only delays the reply.
        client.stream.set_nodelay(true).map_err(|_| Failure::Connect)?;
        let local = client.stream.local_addr().ok().map(|address| address.ip());
        let mut dialogue = Dialogue::over(client, timeouts);
        dialogue.greeting().await?;
        dialogue.hello(name).await?;
        Ok(Channel { dialogue, security: Clear(()), address, local, messages: 0 })
    }

    /// Upgrades to TLS and has the peer prove itself under the plan of `tls`; asks for the offers anew, because those
    /// made in clear may be anybody's.
    ///
    /// # Errors
    /// [`Failure::NoStartTls`], [`Failure::Tls`] with the reason, [`Failure::Inside`] once the peer was proven, or
    /// another failure of the dialogue.
    pub async fn start_tls(self, tls: &TlsClient, name: &str) -> Result<Channel<Proven>, Failure> {
        let (address, local) = (self.address, self.local);
        let dialogue = self.upgrade(tls).await?;
        let proof = tls.prove(dialogue.client().tls_connection()).map_err(Failure::Tls)?;
        let mut channel = Channel { dialogue, security: Proven(proof), address, local, messages: 0 };
        channel.dialogue.hello(name).await.map_err(|failure| Failure::Inside(Box::new(failure)))?;
        Ok(channel)
    }

    /// Upgrades to TLS for a notice: better than clear, but nobody is proven, whatever the handshake showed.
    ///
    /// # Errors
    /// As [`Channel::start_tls`].
    pub async fn start_tls_unproven(self, tls: &TlsClient, name: &str) -> Result<Channel<Encrypted>, Failure> {
        let (address, local) = (self.address, self.local);
        let dialogue = self.upgrade(tls).await?;
        let mut channel = Channel { dialogue, security: Encrypted(()), address, local, messages: 0 };
        channel.dialogue.hello(name).await.map_err(|failure| Failure::Inside(Box::new(failure)))?;
        Ok(channel)
    }

    async fn upgrade(mut self, tls: &TlsClient) -> Result<Dialogue<TlsStream<TcpStream>>, Failure> {
        if !self.dialogue.offers.starttls {
            return Err(Failure::NoStartTls);
        }
        let timeouts = self.dialogue.timeouts;
        let reply = self.dialogue.command("STARTTLS\r\n", timeouts.hello).await?;
        self.dialogue.expect(reply, 220)?;
        let mut client = self.dialogue.into_client()?;
        client.timeout = timeouts.tls;
        let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
        let client = client.into_tls(&connector, &tls.server_name.to_str()).await.map_err(|error| match error {
            mail_send::Error::Tls(error) => Failure::Tls(TlsClient::reason_of(&error)),
            mail_send::Error::Timeout => Failure::Timeout,
            _ => Failure::Tls(Reason::TlsFailed),
        })?;
        let version = match client.tls_connection().protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => return Err(Failure::Tls(Reason::TlsFailed)),
        };
        metrics().tls("out", version);
        Ok(Dialogue::over(client, timeouts))
    }
}

/// What a handshake showed, for people who ask why. It proves nothing.
#[derive(Clone, Debug)]
pub struct TlsShown {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    pub cipher: &'static str,
    /// As presented, the host's own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
}

impl<S: Security + sealed::Security<Stream = TlsStream<TcpStream>>> Channel<S> {
    pub(super) fn tls_shown(&self) -> TlsShown {
        let connection = self.dialogue.client().tls_connection();
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let cipher = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unnamed");
        let chain = connection.peer_certificates().unwrap_or_default().iter().map(|one| one.clone().into_owned()).collect();
        TlsShown { version, cipher, chain }
    }
}

impl Channel<Proven> {
    #[must_use]
    pub fn proof(&self) -> &Proof {
        &self.security.0
    }

    /// Sends one message to one recipient, if the clearance for that recipient's domain admits this channel's proof.
    ///
    /// # Errors
    /// [`Failure::NotAdmitted`] before a single byte if the proof is not the one asked for;
    /// [`Failure::Lacks`] if the host cannot take this message as it is; [`Failure::Unanswered`] if it may have it.
    pub async fn send_message(
        &mut self,
        clearance: &Clearance,
        transaction: &Transaction<'_>,
        content: Content,
    ) -> Result<End, Failure> {
        let is_short = clearance.requires_tls() && transaction.require_tls != RequireTls::Yes;
        if is_short || !self.may_carry(clearance, transaction.recipient.domain()) {
            return Err(Failure::NotAdmitted);
        }
        self.messages += 1;
        self.dialogue.transact(transaction, content).await
    }

    /// Whether a message for `domain` may go over this channel.
    pub(super) fn may_carry(&self, clearance: &Clearance, domain: &Domain) -> bool {
        clearance.admits(&self.security.0) && clearance.domain() == domain
    }

    /// Logs in with AUTH PLAIN (RFC 4616), which is safe only here: inside TLS, with a proven peer.
    ///
    /// # Errors
    /// [`Failure::Unfitting`] if it is not offered or refused.
    pub async fn log_in(&mut self, user: &str, password: &str) -> Result<(), Failure> {
        use base64::Engine as _;
        if !self.dialogue.offers.auth_plain {
            return Err(Failure::Unfitting(crate::mail::Reply::plain(504, "AUTH PLAIN is not offered")));
        }
        let plain = zeroize::Zeroizing::new(format!("\0{user}\0{password}"));
        let coded = zeroize::Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(plain.as_bytes()));
        let line = zeroize::Zeroizing::new(format!("AUTH PLAIN {}\r\n", coded.as_str()));
        let within = self.dialogue.timeouts.hello;
        let reply = self.dialogue.command(&line, within).await?;
        self.dialogue.expect(reply, 235)
    }

    /// How many messages this connection has carried.
    #[must_use]
    pub fn messages(&self) -> u32 {
        self.messages
    }

    /// Whether another transaction may start here.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.dialogue.is_reusable()
    }

    /// Asks for a clean state before the connection is laid aside, so that the answer is there when it is needed.
    ///
    /// # Errors
    /// [`Failure`] if the connection is gone.
    pub(super) async fn ask_reset(&mut self) -> Result<(), Failure> {
        self.dialogue.ask_reset().await
    }

    /// Whether the peer has confirmed the clean state and said nothing more.
    pub(super) async fn is_reset(&mut self) -> bool {
        self.dialogue.is_reset().await
    }
}
