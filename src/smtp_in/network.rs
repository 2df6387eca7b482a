use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use std::net::SocketAddr;

use crate::mail::{AddressPattern, Mailbox, Principal, PrincipalKind, Tenancy};

/// A block of addresses, `192.0.2.0/24` or `2001:db8::/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    #[error("this is not an address or block such as 192.0.2.0/24 or 2001:db8::/64")]
    Syntax,
    #[error("the address has bits set behind its prefix; write the first address of the block")]
    HostBits,
}

impl Cidr {
    /// Parses an address or a block. Host bits behind the prefix are refused: they show that one was meant and the other written.
    ///
    /// # Errors
    /// [`CidrError`].
    pub fn parse(text: &str) -> Result<Cidr, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Syntax)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| CidrError::Syntax)?,
            Some(_) => return Err(CidrError::Syntax),
        };
        if prefix > bits {
            return Err(CidrError::Syntax);
        }
        if mask(address, prefix) != address {
            return Err(CidrError::HostBits);
        }
        Ok(Cidr { address, prefix })
    }

    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the address lies in the block; an IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && mask(address, self.prefix) == self.address
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The address with all bits behind the prefix zero.
fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & keep))
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & keep))
        }
    }
}

/// Whom limits count: one IPv4 address, or one IPv6 /64, which is what one household or practice gets.
pub(super) fn source_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        v6 @ IpAddr::V6(_) => mask(v6, 64),
    }
}

/// How much one caller may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Messages taken within any hour; beyond it 451.
    pub messages_per_hour: Option<u32>,
    /// Recipients of one message; beyond it 452.
    pub recipients_max: Option<usize>,
    pub message_bytes_max: Option<u64>,
}

/// Somebody who may send, and within which bounds.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Principal,
    pub quota: Quota,
    /// May send in clear.
    pub tls_optional: bool,
    /// Whom it may write to; `None`: everybody.
    pub may_send_to: Option<Vec<AddressPattern>>,
}

impl Caller {
    #[must_use]
    pub fn of(principal: Principal, quota: Quota) -> Caller {
        Caller { principal, quota, tls_optional: false, may_send_to: None }
    }

    pub(super) fn may_send_to(&self, mailbox: &Mailbox) -> bool {
        self.may_send_to.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(mailbox)))
    }
}

/// A listener of its own for devices that speak no TLS, and the fence around it: one sender, few recipients.
#[derive(Clone, Debug)]
pub struct Legacy {
    pub name: String,
    pub listen: SocketAddr,
    pub addresses: Vec<Cidr>,
    pub sender: Mailbox,
    pub recipients: Vec<AddressPattern>,
    pub quota: Quota,
}

impl Legacy {
    /// Who a peer is, if it is one of the devices.
    pub(super) fn caller(&self, peer: IpAddr) -> Option<Caller> {
        self.addresses.iter().any(|block| block.contains(peer)).then(|| Caller {
            principal: Principal {
                name: self.name.clone(),
                kind: PrincipalKind::Network,
                may_send_as: vec![AddressPattern::Mailbox(self.sender.clone())],
                bound_address: Some(self.sender.clone()),
                tenancy: Vec::new(),
            },
            quota: self.quota,
            tls_optional: true,
            may_send_to: Some(self.recipients.clone()),
        })
    }
}

/// A network whose hosts may send without a password.
#[derive(Clone, Debug)]
pub struct Network {
    pub name: String,
    pub addresses: Vec<Cidr>,
    pub may_send_as: Vec<AddressPattern>,
    /// Where slips and reports for this network go.
    pub bound_address: Option<Mailbox>,
    /// Devices that know no TLS may send in clear. Warned about at every start.
    pub tls_optional: bool,
    pub quota: Quota,
    pub tenancy: Vec<Tenancy>,
}

impl Network {
    /// The listed network a peer belongs to: the narrowest block wins.
    #[must_use]
    pub fn of(networks: &[Network], peer: IpAddr) -> Option<&Network> {
        let width = |network: &&Network| network.addresses.iter().filter(|c| c.contains(peer)).map(Cidr::prefix).max();
        networks.iter().filter(|network| width(network).is_some()).max_by_key(width)
    }

    pub(super) fn caller(&self) -> Caller {
        Caller {
            principal: Principal {
                name: self.name.clone(),
                kind: PrincipalKind::Network,
                may_send_as: self.may_send_as.clone(),
                bound_address: self.bound_address.clone(),
                tenancy: self.tenancy.clone(),
            },
            quota: self.quota,
            tls_optional: self.tls_optional,
            may_send_to: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        for (block, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/64", "2001:db8::ffff:1", true),
            ("2001:db8::/64", "2001:db8:0:1::1", false),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
        ] {
            assert_eq!(Cidr::parse(block).unwrap().contains(address.parse().unwrap()), expected, "{block} {address}");
        }
        for text in ["", "192.0.2.0/33", "192.0.2/24", "192.0.2.0/", "192.0.2.0/+4", "::/129", "a/8", "192.0.2.0/24/1"] {
            assert_eq!(Cidr::parse(text), Err(CidrError::Syntax), "{text}");
        }
        assert_eq!(Cidr::parse("192.0.2.1/24"), Err(CidrError::HostBits));
    }

    #[test]
    fn the_narrowest_network_wins_and_nobody_is_listed_by_default() {
        let network = |name: &str, block: &str| Network {
            name: name.into(),
            addresses: vec![Cidr::parse(block).unwrap()],
            may_send_as: vec![],
            bound_address: None,
            tls_optional: false,
            quota: Quota::default(),
            tenancy: vec![],
        };
        let networks = [network("wide", "10.0.0.0/8"), network("narrow", "10.1.2.0/24"), network("other", "10.1.0.0/16")];
        let name = |peer: &str| Network::of(&networks, peer.parse().unwrap()).map(|n| n.name.as_str());
        assert_eq!(name("10.1.2.3"), Some("narrow"));
        assert_eq!(name("10.1.3.3"), Some("other"));
        assert_eq!(name("10.9.9.9"), Some("wide"));
        assert_eq!(name("11.0.0.1"), None);
        assert!(Network::of(&[], "127.0.0.1".parse().unwrap()).is_none());
    }
}
