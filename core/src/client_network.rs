//! The address of a client as limits count it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many leading bits of an IPv6 address name a network: one customer is given at least so
/// much (RFC 6177), and chooses all other bits itself (RFC 4862, RFC 8981).
const IPV6_PREFIX_BITS: u32 = 64;

/// Whom limits by client address count as one client: an IPv4 address, or the /64 network of an
/// IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientNetwork {
    /// One IPv4 address. A client of a dual-stack socket, whose address is mapped into IPv6, is
    /// the same client.
    V4(Ipv4Addr),
    /// The IPv6 network, all bits behind the first 64 cleared.
    V6(Ipv6Addr),
}

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let mask = u128::MAX << (u128::BITS - IPV6_PREFIX_BITS);
                Self::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(network) => write!(f, "{network}/{IPV6_PREFIX_BITS}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> String {
        ClientNetwork::from(address.parse::<IpAddr>().unwrap()).to_string()
    }

    #[test]
    fn an_ipv4_address_counts_for_itself_also_where_it_is_mapped() {
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn an_ipv6_address_counts_by_its_64_bit_prefix() {
        let one = "2001:db8:0:1::/64";
        assert_eq!(network("2001:db8:0:1::5"), one);
        assert_eq!(network("2001:db8:0:1:ffff:ffff:ffff:ffff"), one);
        assert_ne!(network("2001:db8:0:2::5"), one);
    }
}
