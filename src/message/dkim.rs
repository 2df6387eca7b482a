//! DKIM signatures (RFC 6376, RFC 8463): relaxed/relaxed, one body hash for all copies of a body.
//!
//! There is no `l=`: it would let anybody append to a signed message. The fields that decide what a reader shows
//! are signed once more than they occur, so that none can be added.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::header::{self, Of};
use crate::mail::{Domain, Timestamp};

/// Signed as often as they occur, and once more.
const OVERSIGNED: [&str; 9] =
    ["From", "To", "Cc", "Subject", "Date", "Reply-To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
/// Signed as often as they occur.
const SIGNED: [&str; 5] = ["Sender", "Message-ID", "In-Reply-To", "References", "List-Unsubscribe"];

/// A private key that signs, and has done so once.
pub struct Signer {
    algorithm: Algorithm,
    public_txt: String,
}

enum Algorithm {
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.algorithm())
    }
}

/// The key is no PKCS #8 private key of its kind, or too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the DKIM key is no PKCS #8 private key of its kind, or too short; RSA keys need 2048 bits or more")]
pub struct KeyRejected;

impl Signer {
    /// # Errors
    /// [`KeyRejected`].
    pub fn ed25519(pkcs8_der: &[u8]) -> Result<Signer, KeyRejected> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8_der).map_err(|_| KeyRejected)?;
        let public_txt = format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(pair.public_key().as_ref()));
        Signer { algorithm: Algorithm::Ed25519(pair), public_txt }.proven()
    }

    /// # Errors
    /// [`KeyRejected`].
    pub fn rsa(pkcs8_der: &[u8]) -> Result<Signer, KeyRejected> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8_der).map_err(|_| KeyRejected)?;
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| KeyRejected)?;
        let public_txt = format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(der.as_ref()));
        Signer { algorithm: Algorithm::Rsa(pair), public_txt }.proven()
    }

    /// A key that signs once signs always.
    fn proven(self) -> Result<Signer, KeyRejected> {
        if self.signature(b"").is_some() { Ok(self) } else { Err(KeyRejected) }
    }

    /// The `a=` tag.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Ed25519(_) => "ed25519-sha256",
            Algorithm::Rsa(_) => "rsa-sha256",
        }
    }

    fn signature(&self, signed: &[u8]) -> Option<Vec<u8>> {
        match &self.algorithm {
            // RFC 8463, section 3: the SHA-256 of the header fields is what PureEdDSA signs.
            Algorithm::Ed25519(pair) => {
                let hash = digest::digest(&digest::SHA256, signed);
                Some(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
            Algorithm::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                // PKCS #1 v1.5 is deterministic: the interface asks for dice and does not throw them.
                let unused = aws_lc_rs::rand::SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &unused, signed, &mut out).ok()?;
                Some(out)
            }
        }
    }
}

/// The TXT record that belongs at `SELECTOR._domainkey.DOMAIN`.
#[must_use]
pub fn public_txt(signer: &Signer) -> String {
    signer.public_txt.clone()
}

/// SHA-256 of the body in relaxed canonical form (RFC 6376, section 3.4.4). The body is the same in all copies.
#[must_use]
pub fn body_hash(body: &[u8]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    // Empty lines count only if a line with text follows.
    let mut empty_lines = 0usize;
    let mut canonical = Vec::new();
    for line in body.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n").map_or(line, |l| l.strip_suffix(b"\r").unwrap_or(l));
        let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
        let text = text.get(..end).unwrap_or_default();
        if text.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            hash.update(b"\r\n");
        }
        relaxed(text, &mut canonical);
        canonical.extend_from_slice(b"\r\n");
        hash.update(&canonical);
        canonical.clear();
    }
    let mut out = [0; 32];
    out.copy_from_slice(hash.finish().as_ref());
    out
}

/// Runs of blanks and tabs become one blank.
fn relaxed(text: &[u8], out: &mut Vec<u8>) {
    // Most lines have no such runs.
    if memchr::memchr(b'\t', text).is_none() && memchr::memmem::find(text, b"  ").is_none() {
        return out.extend_from_slice(text);
    }
    let mut was_blank = false;
    for byte in text {
        let is_blank = matches!(byte, b' ' | b'\t');
        if !is_blank {
            out.push(*byte);
        } else if !was_blank {
            out.push(b' ');
        }
        was_blank = is_blank;
    }
}

/// A field in relaxed canonical form (RFC 6376, section 3.4.2), without its line end.
fn relaxed_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.to_ascii_lowercase().into_bytes());
    out.push(b':');
    let unfolded: Vec<u8> = value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    relaxed(unfolded.trim_ascii(), out);
}

/// Makes a complete `DKIM-Signature` field, to stand above `header`, the finished header section of one copy.
/// Empty if the key does not sign, which [`Signer`] rules out: then the copy leaves unsigned.
#[must_use]
pub fn sign(signer: &Signer, domain: &Domain, selector: &str, header: &[u8], body_hash: &[u8; 32], now: Timestamp) -> Vec<u8> {
    let mut fields_left = usize::MAX;
    let (section, _) = header::split(header, 0..header.len(), Of::Message, &mut fields_left);
    let mut signed = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (name, extra) in OVERSIGNED.iter().map(|name| (*name, 1)).chain(SIGNED.iter().map(|name| (*name, 0))) {
        let fields: Vec<_> = section.all(name).collect();
        // Several fields of a name are taken from the bottom up (section 5.4.2).
        for field in fields.iter().rev() {
            relaxed_field(name, field.value(), &mut signed);
            signed.extend_from_slice(b"\r\n");
        }
        names.extend(std::iter::repeat_n(name, fields.len() + extra));
    }
    let mut field = format!(
        "DKIM-Signature: v=1; a={}; c=relaxed/relaxed; d={};\r\n s={selector}; t={};\r\n h=",
        signer.algorithm(),
        domain.as_str(),
        now.secs()
    );
    let mut column = 3;
    for (position, name) in names.iter().enumerate() {
        if column + name.len() + 1 > 76 {
            field.push_str("\r\n  ");
            column = 2;
        }
        field.push_str(name);
        field.push(if position + 1 == names.len() { ';' } else { ':' });
        column += name.len() + 1;
    }
    field.push_str(&format!("\r\n bh={};\r\n b=", STANDARD.encode(body_hash)));
    let value = field.split_once(':').map_or("", |(_, value)| value);
    relaxed_field("DKIM-Signature", value.as_bytes(), &mut signed);
    let Some(signature) = signer.signature(&signed) else { return Vec::new() };
    let signature = STANDARD.encode(signature);
    let mut out = field.into_bytes();
    for (position, line) in signature.as_bytes().chunks(72).enumerate() {
        if position > 0 {
            out.extend_from_slice(b"\r\n  ");
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::borrow::Borrow;
    use std::collections::HashMap;
    use std::future::Future;
    use std::hash::Hash;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Instant;

    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use mail_auth::common::parse::TxtRecordParser;
    use mail_auth::common::verify::DomainKey;
    use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
    use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};

    use super::super::{Audience, RewriteFacts, parse, rewrite};
    use super::*;
    use crate::mail::Mailbox;
    use crate::secret::Plaintext;

    /// Answers from memory: the verifier never asks the network.
    struct Cache<K, V>(HashMap<K, V>);

    impl<K: Hash + Eq, V: Clone> ResolverCache<K, V> for Cache<K, V> {
        fn get<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<V>
        where
            K: Borrow<Q>,
        {
            self.0.get(name).cloned()
        }
        fn remove<Q: Hash + Eq + ?Sized>(&self, _name: &Q) -> Option<V>
        where
            K: Borrow<Q>,
        {
            None
        }
        fn insert(&self, _key: K, _value: V, _valid_until: Instant) {}
    }

    /// An independent verifier's result for a signed message, the key record given.
    fn verify(message: &[u8], txt: &str) -> Vec<DkimResult> {
        let record = Txt::from(DomainKey::parse(txt.as_bytes()).unwrap());
        let cache = Cache(HashMap::from([("sel._domainkey.x.example.".into(), record)]));
        let (mx, v4, v6, ptr) = (Cache(HashMap::new()), Cache(HashMap::new()), Cache(HashMap::new()), Cache(HashMap::new()));
        let verifier = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()).unwrap();
        let read = AuthenticatedMessage::parse(message).unwrap();
        let parameters = Parameters {
            params: &read,
            cache_txt: Some(&cache),
            cache_mx: Some(&mx),
            cache_ptr: Some(&ptr),
            cache_ipv4: Some(&v4),
            cache_ipv6: Some(&v6),
        };
        let mut outcome = pin!(verifier.verify_dkim(parameters));
        match outcome.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outputs) => outputs.iter().map(|output| output.result().clone()).collect(),
            Poll::Pending => panic!("the verifier asked for a key that was not given"),
        }
    }

    fn ed25519() -> Signer {
        let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        der.extend_from_slice(&[7; 32]);
        Signer::ed25519(&der).unwrap()
    }

    fn rsa() -> Signer {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        Signer::rsa(der.as_ref()).unwrap()
    }

    const HEADER: &str = "From: Doc  <doc@x.example>\r\nTO: p@y.example\r\nSubject: folded\r\n\t line  two \r\nDate: Tue, 24 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@x.example>\r\n";
    const BODIES: [&str; 8] = [
        "",
        "\r\n",
        "\r\n\r\n",
        "text",
        "text\r\n",
        "a  b \t c \r\n\r\n\r\n",
        "\r\n\r\n x\r\n\r\n.\r\n",
        " \r\nGr\u{fc}\u{df}e\t\r\n",
    ];

    fn signed(signer: &Signer, header: &str, body: &str) -> Vec<u8> {
        let domain = Domain::parse("X.example").unwrap();
        let now = Timestamp::from_secs(1_700_000_000);
        let mut out = sign(signer, &domain, "sel", header.as_bytes(), &body_hash(body.as_bytes()), now);
        out.extend_from_slice(format!("{header}\r\n{body}").as_bytes());
        out
    }

    #[test]
    fn an_independent_verifier_accepts_both_algorithms_and_every_shape_of_body() {
        for signer in [ed25519(), rsa()] {
            let txt = public_txt(&signer);
            for body in BODIES {
                let message = signed(&signer, HEADER, body);
                assert!(message.split(|b| *b == b'\n').take(9).all(|line| line.len() <= 80));
                assert_eq!(verify(&message, &txt), [DkimResult::Pass], "{} {body:?}", signer.algorithm());
            }
        }
    }

    #[test]
    fn a_changed_byte_or_an_added_field_breaks_the_signature() {
        let signer = ed25519();
        let txt = public_txt(&signer);
        let message = String::from_utf8(signed(&signer, HEADER, "text\r\n")).unwrap();
        for (from, to) in [
            ("\r\n\r\ntext", "\r\n\r\ntexts"),
            ("Subject: folded", "Subject: golded"),
            ("\r\nFrom:", "\r\nFrom: evil@z.example\r\nFrom:"),
            ("\r\nFrom:", "\r\nCc: evil@z.example\r\nFrom:"),
            ("\r\nFrom:", "\r\nReply-To: evil@z.example\r\nFrom:"),
            ("\r\nFrom:", "\r\nContent-Type: text/html\r\nFrom:"),
        ] {
            let changed = message.replacen(from, to, 1);
            assert_ne!(changed, message);
            assert_ne!(verify(changed.as_bytes(), &txt), [DkimResult::Pass], "{from:?} became {to:?}");
        }
    }

    #[test]
    fn a_copy_that_crossed_the_rewrite_is_signed_as_it_leaves() {
        let original = b"Received: from inside\r\nDKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=old; b=AAAA\r\nFrom: =?utf-8?Q?D=C3=B6c?= <doc@x.example>\r\nTo: p@y.example, \"Roe, Jane\" <jane@z.example>\r\nBcc: q@y.example\r\nSubject: S\r\nContent-Type: text/plain\r\n\r\nbody  text \r\n\r\n";
        let message = parse(Plaintext::new(original.to_vec()));
        let recipient = Mailbox::parse("jane@z.example").unwrap();
        let facts = RewriteFacts {
            audience: Audience { recipient: &recipient, group: None },
            all_recipients: std::slice::from_ref(&recipient),
            own_addresses: &|_| false,
            received: "by gw.x.example; Tue, 24 Nov 2026 09:00:00 +0000",
            hop: "h0p",
            date: "Tue, 24 Nov 2026 09:00:00 +0000",
            message_id: "<m@gw.x.example>",
        };
        let copy = rewrite(&message, &facts).unwrap();
        let domain = Domain::parse("x.example").unwrap();
        for signer in [ed25519(), rsa()] {
            let mut bytes =
                sign(&signer, &domain, "sel", &copy.header, &body_hash(message.body()), Timestamp::from_secs(1_700_000_000));
            bytes.extend_from_slice(&copy.header);
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(message.body());
            assert_eq!(verify(&bytes, &public_txt(&signer)), [DkimResult::Pass]);
        }
    }

    #[test]
    fn the_empty_body_has_the_hash_the_standard_gives() {
        // RFC 6376, section 3.4.4.
        assert_eq!(STANDARD.encode(body_hash(b"")), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(body_hash(b"\r\n \t\r\n"), body_hash(b""));
    }

    #[test]
    fn white_space_counts_only_where_the_standard_says() {
        // Blanks go before empty lines do. The independent verifier reads these two cases otherwise, so they are
        // checked against the text of section 3.4.
        assert_eq!(body_hash(b"x \r\n \t\r\n\r\n"), body_hash(b"x\r\n"));
        assert_ne!(body_hash(b"x\r\n \r\ny\r\n"), body_hash(b"x\r\ny\r\n"));
        let mut out = Vec::new();
        relaxed_field("SUBJect", b"AbC\r\n\t D  E ", &mut out);
        assert_eq!(out, b"subject:AbC D E");
    }

    #[test]
    fn a_key_of_the_wrong_kind_is_rejected() {
        assert_eq!(Signer::rsa(b"no key").err(), Some(KeyRejected));
        assert_eq!(Signer::ed25519(&[0x30, 0]).err(), Some(KeyRejected));
    }
}
