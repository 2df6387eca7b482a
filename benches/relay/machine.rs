//! What the machine can do without a relay, measured in the same run: no relay can be faster than these.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wardpost::extract::{self, Fuel, InProcess};
use wardpost::message::{self, dkim};
use wardpost::secret::Plaintext;
use wardpost::world::{Ca, Sink, SinkSettings, Versions};
use wardpost::{scan, server};

use super::client::{self, Load};
use super::{Failure, process};

const FOR: Duration = Duration::from_secs(2);

pub async fn limits() -> Result<(), Failure> {
    let (alone, shared) = tokio::task::spawn_blocking(|| Ok::<_, Failure>((syncs(1)?, syncs(64)?))).await??;
    println!("machine: 12 KB appended to one log and synced: {alone:.0}/s by one writer, {shared:.0}/s by 64 that share syncs");
    println!("machine: TLS 1.3 handshakes (P-256), both ends on one core: {:.0}/s", handshakes()?);
    let ca = Ca::new("Benchmark CA")?;
    let leaf = ca.leaf(&["localhost"])?;
    for (name, per_connection) in [("one connection a session", usize::MAX), ("a connection for each message", 1)] {
        let tls = Some(leaf.server_config(Versions::Both)?);
        let settings = SinkSettings { host: "sink.example".into(), tls, only_count: true, ..SinkSettings::default() };
        let sink = Sink::serve(tokio::net::TcpListener::bind("127.0.0.1:0").await?, settings)?;
        let load = Load {
            port: sink.address().port(),
            tls: Some(server::connector_that_trusts(ca.pem().as_bytes())?),
            sessions: 50,
            messages: if per_connection == 1 { 1_000 } else { 10_000 },
            per_connection,
            recipients: 1,
            domain: None,
            content: client::text(10_000),
        };
        let begun = Instant::now();
        let sent = client::send(&load).await?.len();
        println!(
            "machine: no relay, load straight to the sink over TLS, {name}: {:.0}/s",
            sent as f64 / begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// Records of 12 KB appended by so many writers, each waiting until its own is on the disk; one sync serves all before it.
fn syncs(writers: usize) -> Result<f64, Failure> {
    struct Log {
        file: File,
        written: u64,
        synced: u64,
        is_syncing: bool,
        total: u64,
    }
    let path = std::env::temp_dir().join(format!("wardpost-bench-{}-log", std::process::id()));
    let log = Log { file: File::create(&path)?, written: 0, synced: 0, is_syncing: false, total: 0 };
    let shared = Arc::new((Mutex::new(log), Condvar::new()));
    let until = Instant::now() + FOR;
    let write = |shared: &(Mutex<Log>, Condvar)| -> std::io::Result<()> {
        let (log, changed) = shared;
        while Instant::now() < until {
            let mut held = log.lock().unwrap_or_else(PoisonError::into_inner);
            held.file.write_all(&[b'x'; 12_288])?;
            held.written += 1;
            let mine = held.written;
            while held.synced < mine {
                if held.is_syncing {
                    held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                held.is_syncing = true;
                let (file, through) = (held.file.try_clone()?, held.written);
                drop(held);
                file.sync_data()?;
                held = log.lock().unwrap_or_else(PoisonError::into_inner);
                (held.synced, held.is_syncing) = (through, false);
                changed.notify_all();
            }
            held.total += 1;
        }
        Ok(())
    };
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(|| write(&shared))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| std::io::Error::other("a writer failed"))?)
    })?;
    let total = shared.0.lock().unwrap_or_else(PoisonError::into_inner).total;
    std::fs::remove_file(&path)?;
    Ok(total as f64 / begun.elapsed().as_secs_f64())
}

/// Client and server in this thread, without a network.
fn handshakes() -> Result<f64, Failure> {
    let ca = Ca::new("Benchmark CA")?;
    let server_config = ca.leaf(&["localhost"])?.server_config(Versions::Both)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone())?;
    let mut client_config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client_config.resumption = rustls::client::Resumption::disabled();
    let client_config = Arc::new(client_config);
    let (begun, mut count) = (Instant::now(), 0u64);
    while begun.elapsed() < FOR {
        let mut client = rustls::ClientConnection::new(Arc::clone(&client_config), "localhost".try_into()?)?;
        let mut server = rustls::ServerConnection::new(Arc::clone(&server_config))?;
        let mut wire = Vec::new();
        while client.is_handshaking() || server.is_handshaking() {
            client.write_tls(&mut wire)?;
            server.read_tls(&mut std::mem::take(&mut wire).as_slice())?;
            server.process_new_packets()?;
            server.write_tls(&mut wire)?;
            let mut coming = std::mem::take(&mut wire);
            let mut rest = coming.as_slice();
            while !rest.is_empty() {
                client.read_tls(&mut rest.by_ref())?;
                client.process_new_packets()?;
            }
            coming.clear();
        }
        count += 1;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// What single stations cost for a message of 10 KB, in this process: CPU seconds per 1,000.
pub fn stations() -> Result<(), Failure> {
    let scanner = scan::Scanner::shared();
    let raw = format!("From: ann@bench.example\r\nTo: pat@d1.example\r\nSubject: note\r\n{}", client::text(10_000));
    let per_1000 = |work: &mut dyn FnMut()| {
        work();
        let before = process::cpu_of_self();
        for _ in 0..1_000 {
            work();
        }
        process::cpu_of_self() - before
    };
    let parsed = per_1000(&mut || drop(message::parse(Plaintext::new(raw.clone().into_bytes()))));
    let read = message::parse(Plaintext::new(raw.clone().into_bytes()));
    let extracted = extract::read(&read, &InProcess, Fuel::default());
    let extracting = per_1000(&mut || drop(extract::read(&read, &InProcess, Fuel::default())));
    let scanning = per_1000(&mut || drop(scan::scan(scanner, &read, &extracted)));
    println!("stations, CPU s per 1,000 messages of 10 KB: parse {parsed:.3}, read {extracting:.3}, scan {scanning:.3}");
    let hash = dkim::body_hash(read.body());
    let domain = wardpost::mail::Domain::parse("bench.example")?;
    let at = wardpost::mail::Timestamp(1_790_000_000_000);
    let pkcs8 = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
        .map_err(|_| "no Ed25519 key")?;
    let ed25519 = dkim::Signer::ed25519(pkcs8.as_ref()).map_err(|_| "the Ed25519 key is refused")?;
    let rsa = {
        use aws_lc_rs::encoding::AsDer as _;
        let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).map_err(|_| "no RSA key")?;
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().map_err(|_| "no RSA key")?;
        dkim::Signer::rsa(der.as_ref()).map_err(|_| "the RSA key is refused")?
    };
    let (head, body) = raw.split_at(raw.len() - read.body().len());
    let hashing = per_1000(&mut || {
        std::hint::black_box(dkim::body_hash(body.as_bytes()));
    });
    let signing = |signer: &dkim::Signer| per_1000(&mut || drop(dkim::sign(signer, &domain, "s1", head.as_bytes(), &hash, at)));
    println!(
        "stations, DKIM, CPU s per 1,000: body hash {hashing:.3} (once a message), Ed25519 {:.3}, RSA-2048 {:.3} (once a copy)",
        signing(&ed25519),
        signing(&rsa)
    );
    Ok(())
}
