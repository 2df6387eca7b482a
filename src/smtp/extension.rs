//! The extensions we offer, from one table, and those a peer offers.

use crate::mail::Reply;

/// What the EHLO answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    pub in_tls: bool,
    /// A certificate is there, so STARTTLS can be kept.
    pub can_start_tls: bool,
    pub is_authenticated: bool,
    /// The client has shown a certificate that is known.
    pub has_certificate: bool,
    pub message_bytes_max: u64,
}

/// When an extension is offered.
type When = fn(&Offer) -> bool;

/// Keyword, and when it is offered. A keyword stands here only if the session keeps what it promises.
const TABLE: &[(&str, When)] = &[
    ("PIPELINING", |_| true),
    ("SIZE", |_| true),
    // Behind TLS it would be a promise that cannot be kept (RFC 3207, section 4.2).
    ("STARTTLS", |offer| !offer.in_tls && offer.can_start_tls),
    // In clear it would invite clients to send their password (RFC 4954, section 4).
    ("AUTH PLAIN LOGIN", |offer| offer.in_tls && !offer.is_authenticated && !offer.has_certificate),
    ("AUTH PLAIN LOGIN EXTERNAL", |offer| offer.in_tls && !offer.is_authenticated && offer.has_certificate),
    ("REQUIRETLS", |offer| offer.in_tls),
    ("ENHANCEDSTATUSCODES", |_| true),
    ("8BITMIME", |_| true),
    ("SMTPUTF8", |_| true),
    ("DSN", |_| true),
    ("CHUNKING", |_| true),
];

/// The answer to EHLO.
#[must_use]
pub fn ehlo_reply(host: &str, offer: &Offer) -> Reply {
    let offered = TABLE.iter().filter(|(_, when)| when(offer)).map(|(keyword, _)| match *keyword {
        "SIZE" => format!("SIZE {}", offer.message_bytes_max),
        keyword => keyword.to_owned(),
    });
    Reply { code: 250, enhanced: None, lines: std::iter::once(host.to_owned()).chain(offered).collect() }
}

/// What a peer offered in its answer to EHLO. Only the one inside TLS counts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Offered {
    pub starttls: bool,
    pub pipelining: bool,
    pub chunking: bool,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub dsn: bool,
    pub require_tls: bool,
    pub enhanced_codes: bool,
    /// SIZE was offered; `Some(0)` means no fixed limit (RFC 1870, section 4).
    pub size_bytes: Option<u64>,
    /// Mechanisms of AUTH in upper case.
    pub auth: Vec<String>,
}

impl Offered {
    /// Reads the lines of an EHLO answer; the first is the peer's name.
    #[must_use]
    pub fn of(reply: &Reply) -> Offered {
        let mut offered = Offered::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace().map(str::to_ascii_uppercase);
            match words.next().as_deref() {
                Some("STARTTLS") => offered.starttls = true,
                Some("PIPELINING") => offered.pipelining = true,
                Some("CHUNKING") => offered.chunking = true,
                Some("8BITMIME") => offered.eight_bit_mime = true,
                Some("SMTPUTF8") => offered.smtputf8 = true,
                Some("DSN") => offered.dsn = true,
                Some("REQUIRETLS") => offered.require_tls = true,
                Some("ENHANCEDSTATUSCODES") => offered.enhanced_codes = true,
                Some("SIZE") => offered.size_bytes = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                Some("AUTH") => offered.auth.extend(words),
                _ => {}
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(in_tls: bool, is_authenticated: bool) -> Offered {
        let offer = Offer { in_tls, can_start_tls: true, is_authenticated, has_certificate: false, message_bytes_max: 1000 };
        Offered::of(&ehlo_reply("gate.example", &offer))
    }

    #[test]
    fn each_state_is_offered_what_it_may_use() {
        let clear = offered(false, false);
        assert!(clear.starttls && clear.auth.is_empty() && !clear.require_tls);
        let tls = offered(true, false);
        assert!(!tls.starttls && tls.require_tls);
        assert_eq!(tls.auth, ["PLAIN", "LOGIN"]);
        assert!(offered(true, true).auth.is_empty());
        for offered in [clear, tls] {
            assert!(offered.pipelining && offered.chunking && offered.eight_bit_mime && offered.smtputf8);
            assert!(offered.dsn && offered.enhanced_codes);
            assert_eq!(offered.size_bytes, Some(1000));
        }
    }
}
