use std::collections::HashSet;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::{connect, trusting, verifying};
use super::dns::look;
use crate::world::{Shape, StsAnswer, Tlsa, Versions, World, enforce};

const EVERY: [Shape; 18] = [
    Shape::DaneGood,
    Shape::StsGood,
    Shape::Verified,
    Shape::NoStarttls,
    Shape::DaneMismatch,
    Shape::BadCertificate,
    Shape::DaneTa,
    Shape::DaneUnusable,
    Shape::DaneServFail,
    Shape::Bogus,
    Shape::SelfSigned,
    Shape::WrongName,
    Shape::Expired,
    Shape::StsTesting,
    Shape::StsMismatch,
    Shape::StsBadCertificate,
    Shape::NullMx,
    Shape::Unreachable,
];

#[tokio::test]
async fn every_host_has_its_own_address_at_one_port() {
    // In a task of its own: a demo shares the world between threads.
    let world = tokio::spawn(World::start()).await.unwrap().unwrap();
    let towns = world.towns();
    assert_eq!(towns.iter().map(|town| town.shape).collect::<Vec<_>>(), EVERY[..6]);
    let mut addresses = HashSet::from([world.practice().address.ip()]);
    for town in towns {
        let sink = world.sink(&town.domain).unwrap();
        assert_eq!(sink.address().port(), world.mx_port());
        assert!(sink.address().ip().is_loopback() && addresses.insert(sink.address().ip()));
        assert_eq!(world.sink(&town.host).unwrap().address(), sink.address());
    }
    assert!(world.sink("nobody.example").is_none());
    assert!(world.add("verified.example", Shape::Verified).await.is_err());
}

/// Whether the CA's certificate for the name is shown, and the certificates, if there is a handshake at all.
async fn handshake(world: &World, domain: &str, host: &str) -> Option<(bool, Vec<Vec<u8>>)> {
    let sink = world.sink(domain).unwrap();
    let mut client = connect(sink.address()).await;
    if !client.ask("EHLO x").await.unwrap().1.contains("STARTTLS") {
        return None;
    }
    let client = connect(sink.address()).await.start_tls(host, trusting(Versions::Both)).await.unwrap();
    let chain = client.stream.get_ref().get_ref().1.peer_certificates().unwrap();
    let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
    let config = verifying(&world.ca_pem(), Versions::Both);
    let is_valid = connect(sink.address()).await.start_tls(host, config).await.is_ok();
    Some((is_valid, chain))
}

#[tokio::test]
async fn every_shape_shows_the_certificate_it_names() {
    let world = World::empty().await.unwrap();
    for (at, shape) in EVERY.into_iter().enumerate() {
        let domain = format!("d{at}.example");
        world.add(&domain, shape).await.unwrap();
        let expected = match shape {
            Shape::NoStarttls | Shape::StsTesting | Shape::NullMx | Shape::Unreachable => None,
            Shape::StsGood | Shape::Verified | Shape::DaneMismatch | Shape::DaneServFail | Shape::Bogus | Shape::StsMismatch => {
                Some((true, 1))
            }
            Shape::DaneTa => Some((false, 2)),
            Shape::DaneGood
            | Shape::BadCertificate
            | Shape::DaneUnusable
            | Shape::SelfSigned
            | Shape::WrongName
            | Shape::Expired
            | Shape::StsBadCertificate => Some((false, 1)),
        };
        let shown = handshake(&world, &domain, &format!("mx.{domain}")).await;
        assert_eq!(shown.map(|(is_valid, chain)| (is_valid, chain.len())), expected, "{shape:?}");
    }
    let practice = world.practice();
    let (is_valid, _) = handshake(&world, &practice.domain, &practice.certificate_name).await.unwrap();
    assert!(is_valid);
}

#[tokio::test]
async fn every_shape_is_in_dns_what_it_names() {
    use super::dns::Seen::{Bogus, Failed, Insecure, NoneInsecure, NoneSecure, Secure};
    use hickory_resolver::proto::op::ResponseCode::{NXDomain, NoError};
    use hickory_resolver::proto::rr::RecordType;
    let world = World::empty().await.unwrap();
    let stub = super::dns::stub(world.zones());
    for (at, shape) in EVERY.into_iter().enumerate() {
        let domain = format!("d{at}.example");
        world.add(&domain, shape).await.unwrap();
        // MX, address and TLSA of the host, TXT of MTA-STS.
        let expected = match shape {
            Shape::DaneGood | Shape::DaneMismatch | Shape::DaneTa => [Secure(1), Secure(1), Secure(1), NoneSecure(NXDomain)],
            Shape::DaneUnusable => [Secure(1), Secure(1), Secure(2), NoneSecure(NXDomain)],
            Shape::DaneServFail => [Secure(1), Secure(1), Failed, NoneSecure(NXDomain)],
            Shape::Bogus => [Bogus, Bogus, Bogus, Bogus],
            Shape::NullMx => [Secure(1), Secure(1), NoneSecure(NXDomain), NoneSecure(NXDomain)],
            Shape::StsGood | Shape::StsTesting | Shape::StsMismatch | Shape::StsBadCertificate => {
                [Insecure(1), Insecure(1), NoneInsecure(NXDomain), Insecure(1)]
            }
            Shape::Verified
            | Shape::NoStarttls
            | Shape::BadCertificate
            | Shape::SelfSigned
            | Shape::WrongName
            | Shape::Expired
            | Shape::Unreachable => [Insecure(1), Insecure(1), NoneInsecure(NXDomain), NoneInsecure(NXDomain)],
        };
        let questions = [
            (format!("{domain}."), RecordType::MX),
            (format!("mx.{domain}."), RecordType::A),
            (format!("_{}._tcp.mx.{domain}.", world.mx_port()), RecordType::TLSA),
            (format!("_mta-sts.{domain}."), RecordType::TXT),
        ];
        for ((name, kind), expected) in questions.into_iter().zip(expected) {
            assert_eq!(look(&stub, &name, kind).await, expected, "{shape:?} {name} {kind}");
        }
    }
    assert_eq!(look(&stub, "mail.practice.example.", RecordType::A).await, Secure(1));
    assert_eq!(look(&stub, "practice.example.", RecordType::AAAA).await, NoneSecure(NoError));
}

#[tokio::test]
async fn nobody_listens_where_a_host_is_unreachable() {
    let world = World::empty().await.unwrap();
    world.add("away.example", Shape::Unreachable).await.unwrap();
    let stub = super::dns::stub(world.zones());
    let found = stub.lookup("mx.away.example.", hickory_resolver::proto::rr::RecordType::A).await.unwrap();
    let address = found.answers().iter().find_map(|record| record.data.ip_addr()).unwrap();
    let refused = TcpStream::connect((address, world.mx_port())).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn tlsa_records_are_those_of_the_certificates() {
    use aws_lc_rs::digest::{SHA256, SHA512, digest};
    use x509_parser::prelude::FromDer as _;
    let world = World::empty().await.unwrap();
    let leaf = world.ca().leaf_with_anchor(&["mx.x.example"]).unwrap();
    let spki = |der: &[u8]| {
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(der).unwrap();
        parsed.tbs_certificate.subject_pki.raw.to_vec()
    };
    let (end, authority) = (leaf.chain()[0].to_vec(), leaf.chain()[1].to_vec());
    for ((usage, selector, matching), expected) in [
        ((3, 1, 1), digest(&SHA256, &spki(&end)).as_ref().to_vec()),
        ((3, 0, 1), digest(&SHA256, &end).as_ref().to_vec()),
        ((3, 1, 2), digest(&SHA512, &spki(&end)).as_ref().to_vec()),
        ((3, 1, 0), spki(&end)),
        ((1, 0, 1), digest(&SHA256, &end).as_ref().to_vec()),
        ((2, 0, 1), digest(&SHA256, &authority).as_ref().to_vec()),
        ((2, 1, 1), digest(&SHA256, &spki(&authority)).as_ref().to_vec()),
    ] {
        let record = leaf.tlsa(usage, selector, matching).unwrap();
        assert_eq!(record, Tlsa { usage, selector, matching, association: expected });
        assert_ne!(leaf.tlsa_mismatch(usage, selector, matching).unwrap(), record);
    }
    assert!(leaf.tlsa(3, 2, 1).is_err() && leaf.tlsa(3, 1, 3).is_err());
}

/// Status, content type and body as a plain HTTPS client gets them.
async fn fetch(world: &World, host: &str) -> Result<(u16, String, Bytes), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(world.sts().address()).await?;
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(verifying(&world.ca_pem(), Versions::Both)).connect(name, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("/.well-known/mta-sts.txt").header("host", host).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let media_type = response.headers()["content-type"].to_str()?.to_owned();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, media_type, body))
}

#[tokio::test]
async fn the_policy_host_answers_well_and_badly() {
    let world = World::start().await.unwrap();
    let host = "mta-sts.sts-good.example";
    let (status, media_type, body) = fetch(&world, host).await.unwrap();
    let expected = "version: STSv1\r\nmode: enforce\r\nmx: mx.sts-good.example\r\nmax_age: 86400\r\n";
    assert_eq!((status, media_type.as_str(), &body[..]), (200, "text/plain", expected.as_bytes()));

    let text = enforce(&["*.sts-good.example"]);
    for (answer, expected) in [
        (StsAnswer::Redirect("https://elsewhere.example/".to_owned()), (301, "text/plain", 0)),
        (StsAnswer::Oversize(70_000), (200, "text/plain", 70_000)),
        (StsAnswer::WrongType(text.clone()), (200, "text/html", text.len())),
        (StsAnswer::NotFound, (404, "text/plain", 10)),
        (StsAnswer::Status(500), (500, "text/plain", 0)),
    ] {
        world.sts().answer(host, answer.clone());
        let (status, media_type, body) = fetch(&world, host).await.unwrap();
        assert_eq!((status, media_type.as_str(), body.len()), expected, "{answer:?}");
    }
    world.sts().answer(host, StsAnswer::Cut(text));
    assert!(fetch(&world, host).await.is_err());
    assert_eq!(world.sts().fetches(host), 7);
    assert!(fetch(&world, "mta-sts.verified.example").await.is_err(), "no certificate for a host without a policy");

    // Nothing comes until the client has had enough, and then nothing comes either.
    world.sts().answer(host, StsAnswer::Hang);
    let stream = TcpStream::connect(world.sts().address()).await.unwrap();
    let name = ServerName::try_from(host).unwrap();
    let config = verifying(&world.ca_pem(), Versions::Both);
    let mut stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    let request = format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!((answer.len(), world.sts().fetches(host)), (0, 8));

    let bad = crate::world::Leaf::self_signed(&[host]).unwrap();
    world.sts().set(host, &bad, StsAnswer::NotFound).unwrap();
    assert!(fetch(&world, host).await.is_err(), "a policy host proves who it is");
}

#[tokio::test]
async fn clear_bytes_are_those_of_all_hosts() {
    let world = World::start().await.unwrap();
    for domain in ["no-tls.example", "verified.example"] {
        let mut client = connect(world.sink(domain).unwrap().address()).await;
        assert_eq!(client.code(&format!("EHLO to.{domain}")).await, 250);
    }
    let clear = String::from_utf8(world.clear_bytes()).unwrap();
    assert_eq!(clear.len(), "EHLO to.no-tls.example\r\nEHLO to.verified.example\r\n".len());
    assert!(clear.contains("EHLO to.no-tls.example\r\n") && clear.contains("EHLO to.verified.example\r\n"));
}
