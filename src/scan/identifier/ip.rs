//! IP addresses that are not private ones.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\b(?:[0-9A-Fa-f]{1,4}:){3,7}[0-9A-Fa-f]{1,4}\b",
    worth: |s| s.dots >= 3 || s.colons >= 3,
    check,
    hits: &[("access from 200.72.204.104.", Kind::Ip), ("c46:7c01:7d86:4a72:c37a:1046:ffed:f3cb", Kind::Ip)],
    misses: &[("from 192.168.1.4", Kind::Ip), ("version 1.2.3.4.5", Kind::Ip), ("300.1.2.3", Kind::Ip)],
};

fn check(c: &Candidate<'_>) -> Option<(Kind, u8)> {
    if c.text().contains(':') {
        let address: std::net::Ipv6Addr = c.text().parse().ok()?;
        return (!address.is_loopback()).then_some((Kind::Ip, 80));
    }
    let address: std::net::Ipv4Addr = c.text().parse().ok()?;
    let is_ordinary = !(address.is_private() || address.is_loopback() || address.is_link_local() || address.is_unspecified());
    (c.stands_alone() && is_ordinary && address.octets().first().is_some_and(|first| *first > 0)).then_some((Kind::Ip, 80))
}
