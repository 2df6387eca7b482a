use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::site::{Site, answer};
use super::wire::Wire;
use crate::observe::{Event, log, metrics};

/// Becomes `true` (or loses its sender) when the program ends.
pub type Stop = watch::Receiver<bool>;
/// The TLS configuration in force; a reload sends a new one, and running connections keep theirs.
pub type TlsSource = watch::Receiver<Arc<rustls::ServerConfig>>;

/// Bounds of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_max: usize,
    pub connections_per_source_max: usize,
    pub handshake_timeout: Duration,
    /// For a whole request head, and between two requests.
    pub header_timeout: Duration,
    /// Without a byte in either direction.
    pub idle_timeout: Duration,
    /// A connection ends after this in any case; large downloads over slow lines fit.
    pub lifetime: Duration,
    /// For connections still busy when the program ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 512,
            connections_per_source_max: 32,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            lifetime: Duration::from_secs(30 * 60),
            drain: Duration::from_secs(5),
        }
    }
}

/// Request heads above this are answered 431.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause after an accept that failed (out of descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` over TLS until `stop`.
pub async fn serve_tls(listener: TcpListener, tls: TlsSource, site: Site, limits: Limits, router: Router, stop: Stop) {
    let site = Site { is_tls: true, ..site };
    serve(listener, Some(tls), site, limits, router, stop).await;
}

/// Serves `router` without TLS until `stop`: for the metrics listener on loopback, never for pages with content.
pub async fn serve_plain(listener: TcpListener, site: Site, limits: Limits, router: Router, stop: Stop) {
    let site = Site { is_tls: false, ..site };
    serve(listener, None, site, limits, router, stop).await;
}

async fn serve(listener: TcpListener, tls: Option<TlsSource>, site: Site, limits: Limits, router: Router, mut stop: Stop) {
    let site = Arc::new(site);
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let sources = Arc::new(Sources::default());
    let mut running = JoinSet::new();
    while !*stop.borrow() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // An ended sender means the program ends.
            changed = stop.changed() => if changed.is_err() { break } else { continue },
            Some(_) = running.join_next() => continue,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Over the limit the connection is closed at once: a queue would let strangers wait in front of everybody.
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let Some(visit) = sources.enter(peer.ip(), limits.connections_per_source_max) else { continue };
        let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone()));
        running.spawn(connection(
            stream,
            acceptor,
            site.clone(),
            limits,
            router.clone(),
            peer.ip(),
            stop.clone(),
            (place, visit),
        ));
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.drain, async { while running.join_next().await.is_some() {} }).await;
    running.shutdown().await;
}

#[allow(clippy::too_many_arguments)]
async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    site: Arc<Site>,
    limits: Limits,
    router: Router,
    peer: IpAddr,
    stop: Stop,
    _held: (OwnedSemaphorePermit, Visit),
) {
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => talk(stream, site, limits, router, peer, stop).await,
        Some(acceptor) => match tokio::time::timeout(limits.handshake_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let version = match stream.get_ref().1.protocol_version() {
                    Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
                    _ => "TLSv1.2",
                };
                metrics().tls("portal", version);
                talk(stream, site, limits, router, peer, stop).await;
            }
            Ok(Err(_)) | Err(_) => log(&Event::TlsHandshakeFailed { peer }),
        },
    }
}

async fn talk<S>(stream: S, site: Arc<Site>, limits: Limits, router: Router, peer: IpAddr, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wire = Wire::new(stream, limits.idle_timeout, super::headers::lines(site.is_tls));
    let service = service_fn(move |request| {
        let (site, router) = (site.clone(), router.clone());
        async move { Ok::<_, Infallible>(answer(&site, router, request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(wire), service);
    tokio::pin!(connection);
    let end = tokio::time::sleep(limits.lifetime);
    tokio::pin!(end);
    let mut is_ending = *stop.borrow();
    if is_ending {
        connection.as_mut().graceful_shutdown();
    }
    loop {
        tokio::select! {
            // Errors here are the client's: resets, time-outs, broken requests. There is nobody to tell.
            _ = connection.as_mut() => return,
            () = &mut end => return,
            _ = stop.changed(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Open connections by source; IPv6 counts by /64, which is one customer.
#[derive(Default)]
struct Sources(Mutex<HashMap<IpAddr, usize>>);

/// One connection's place; given back on drop.
struct Visit(Arc<Sources>, IpAddr);

impl Sources {
    fn enter(self: &Arc<Sources>, peer: IpAddr, max: usize) -> Option<Visit> {
        let source = source_of(peer);
        let mut open = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = open.entry(source).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Visit(self.clone(), source))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut open = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.1);
            }
        }
    }
}

/// The address that limits count by.
#[must_use]
pub fn source_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !(u128::from(u64::MAX))).into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use axum::http::Method;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Listening {
        address: std::net::SocketAddr,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    }

    async fn listen(limits: Limits) -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let site = Site { hosts: vec!["metrics.local:9465".into()], methods: &[Method::GET], body_bytes_max: 0, is_tls: false };
        let router = Router::new()
            .route("/metrics", get(|| async { "up 1\n" }))
            .route("/broken", get(|| async { if true { panic!("a page that is broken on purpose") } else { "" } }));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve_plain(listener, site, limits, router, stopped));
        Listening { address, stop, task }
    }

    impl Listening {
        async fn ask(&self, request: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            read(&mut stream).await
        }
    }

    async fn read(stream: &mut TcpStream) -> String {
        let mut out = Vec::new();
        // A reset after the answer is an end too.
        let _ = stream.read_to_end(&mut out).await;
        String::from_utf8_lossy(&out).into_owned()
    }

    fn request(method: &str, path: &str, host: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    }

    #[tokio::test]
    async fn metrics_answer_get_under_their_exact_name_only() {
        let listening = listen(Limits::default()).await;
        let own = "metrics.local:9465";
        for (method, path, host, status) in [
            ("GET", "/metrics", own, "200"),
            ("GET", "/metrics", "METRICS.local:9465", "200"),
            ("GET", "/metrics", "metrics.local", "421"),
            ("GET", "/metrics", "127.0.0.1:9465", "421"),
            ("GET", "/metrics", "evil.example", "421"),
            ("HEAD", "/metrics", own, "405"),
            ("POST", "/metrics", own, "405"),
            ("DELETE", "/metrics", own, "405"),
            ("GET", "/other", own, "404"),
        ] {
            let answer = listening.ask(&request(method, path, host)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path} {host}: {answer}");
            assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
            assert!(!answer.contains("strict-transport-security"), "never without TLS");
        }
    }

    #[tokio::test]
    async fn a_page_that_panics_is_a_500_and_the_next_is_answered() {
        let listening = listen(Limits::default()).await;
        let before = metrics().panics.get();
        assert!(listening.ask(&request("GET", "/broken", "metrics.local:9465")).await.starts_with("HTTP/1.1 500 "));
        assert!(metrics().panics.get() > before);
        assert!(listening.ask(&request("GET", "/metrics", "metrics.local:9465")).await.ends_with("up 1\n"));
    }

    #[tokio::test]
    async fn a_source_has_a_bounded_number_of_connections_and_gets_places_back() {
        let listening = listen(Limits { connections_per_source_max: 2, ..Limits::default() }).await;
        // An answer on each shows that it was taken.
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(listening.address).await.unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: metrics.local:9465\r\n\r\n").await.unwrap();
            let mut first = [0u8; 12];
            stream.read_exact(&mut first).await.unwrap();
            held.push(stream);
        }
        assert_eq!(listening.ask(&request("GET", "/metrics", "metrics.local:9465")).await, "");
        held.clear();
        // The server sees the ends in its own time; asking again is the only way to know.
        while listening.ask(&request("GET", "/metrics", "metrics.local:9465")).await.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn slow_and_silent_clients_are_sent_away() {
        let short = Duration::from_millis(30);
        let listening = listen(Limits { header_timeout: short, ..Limits::default() }).await;
        let mut slow = TcpStream::connect(listening.address).await.unwrap();
        slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: m").await.unwrap();
        read(&mut slow).await;
        let listening = listen(Limits { idle_timeout: short, ..Limits::default() }).await;
        let mut silent = TcpStream::connect(listening.address).await.unwrap();
        assert_eq!(read(&mut silent).await, "");
    }

    #[tokio::test]
    async fn stopping_ends_the_listener_and_idle_connections() {
        let listening = listen(Limits::default()).await;
        let mut open = TcpStream::connect(listening.address).await.unwrap();
        open.write_all(b"GET /metrics HTTP/1.1\r\nHost: metrics.local:9465\r\n\r\n").await.unwrap();
        let mut first = [0u8; 12];
        open.read_exact(&mut first).await.unwrap();
        listening.stop.send(true).unwrap();
        listening.task.await.unwrap();
        assert!(read(&mut open).await.ends_with("up 1\n"));
        assert!(TcpStream::connect(listening.address).await.is_err());
    }
}
