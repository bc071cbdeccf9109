//! The addresses that doorkeeper listens at: a connection to one of them would make it a client of
//! itself, and each of its sessions would open the next.
//!
//! What is decided here is certain: an address literal before it is dialled, and the two ends of a
//! connection afterwards, whatever its name was. A name alone says nothing, because the same one
//! may lead clients to doorkeeper and doorkeeper to the broker.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use doorkeeper_core::id::HostPort;
use doorkeeper_net::Ends;

/// Every bound address of the process that clients come in at. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnAddresses(Arc<ArcSwap<Vec<SocketAddr>>>);

impl OwnAddresses {
    pub(crate) fn new(bound: impl IntoIterator<Item = SocketAddr>) -> Self {
        let own = Self::default();
        own.replace(bound);
        own
    }

    /// These are all from now on.
    pub(crate) fn replace(&self, bound: impl IntoIterator<Item = SocketAddr>) {
        // An IPv4 address may be written as an IPv6 one.
        let canonical = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
        let bound = bound.into_iter().map(canonical).collect();
        self.0.store(Arc::new(bound));
    }

    /// Whether this is one of them, as far as that is known without a connection.
    pub(crate) fn contains(&self, address: &HostPort) -> bool {
        let ip = address.host().parse::<IpAddr>();
        ip.is_ok_and(|ip| self.contains_resolved(SocketAddr::new(ip, address.port())))
    }

    /// The same of an address that a name was looked up to.
    pub(crate) fn contains_resolved(&self, at: SocketAddr) -> bool {
        self.any(at.port(), |own| leads_to(own, at.ip()))
    }

    /// Whether a connection that was dialled leads to one of them.
    pub(crate) fn is_loop(&self, Ends { local, peer }: Ends) -> bool {
        let (from, to) = (local.ip().to_canonical(), peer.ip().to_canonical());
        // Linux takes the destination as the source where the destination is local.
        let is_local = |own: IpAddr| is_unspecified_for(own, to) && from == to;
        self.any(peer.port(), |own| leads_to(own, to) || is_local(own))
    }

    /// Whether this is so of any of them with this port.
    fn any(&self, port: u16, is_it: impl Fn(IpAddr) -> bool) -> bool {
        let all = self.0.load();
        all.iter().any(|own| own.port() == port && is_it(own.ip()))
    }
}

/// Whether a connection to an address leads to a socket that listens at `own`.
pub(crate) fn leads_to(own: IpAddr, target: IpAddr) -> bool {
    let target = target.to_canonical();
    own == target || (is_unspecified_for(own, target) && target.is_loopback())
}

/// `::` takes v4 addresses as well where the system is set up as usual.
fn is_unspecified_for(own: IpAddr, target: IpAddr) -> bool {
    own.is_unspecified() && (own.is_ipv6() || target.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(all: &[&str]) -> OwnAddresses {
        OwnAddresses::new(all.iter().map(|at| at.parse().unwrap()))
    }

    #[test]
    fn a_literal_is_our_own_where_somebody_listens_there() {
        for (bound, address, is_own) in [
            ("127.0.0.1:9092", "127.0.0.1:9092", true),
            ("127.0.0.1:9092", "127.0.0.1:9093", false),
            ("127.0.0.1:9092", "127.0.0.2:9092", false),
            ("0.0.0.0:9092", "127.0.0.1:9092", true),
            ("0.0.0.0:9092", "[::1]:9092", false),
            ("[::]:9092", "127.0.0.1:9092", true),
            ("[::]:9092", "[::1]:9092", true),
            ("[::ffff:10.0.0.7]:9092", "10.0.0.7:9092", true),
            ("10.0.0.7:9092", "[::ffff:10.0.0.7]:9092", true),
            ("[::ffff:0.0.0.0]:9092", "127.0.0.1:9092", true),
            ("[::ffff:0.0.0.0]:9092", "[::1]:9092", false),
            // Whose it is shows once it is dialled.
            ("0.0.0.0:9092", "10.0.0.7:9092", false),
            ("127.0.0.1:9092", "localhost:9092", false),
        ] {
            let found = own(&[bound]).contains(&address.parse().unwrap());
            assert_eq!(found, is_own, "{bound} {address}");
        }
    }

    #[test]
    fn a_connection_to_ourselves_shows_by_its_ends() {
        for (bound, local, peer, is_own) in [
            ("0.0.0.0:9092", "10.0.0.7:50000", "10.0.0.7:9092", true),
            ("0.0.0.0:9092", "10.0.0.7:50000", "10.0.0.8:9092", false),
            ("0.0.0.0:9092", "10.0.0.7:50000", "10.0.0.7:9093", false),
            ("10.0.0.7:9092", "10.0.0.7:50000", "10.0.0.7:9092", true),
            ("10.0.0.7:9092", "127.0.0.1:50000", "127.0.0.1:9092", false),
            ("0.0.0.0:9092", "127.0.0.1:50000", "127.0.0.2:9092", true),
            ("0.0.0.0:9092", "[::1]:50000", "[::1]:9092", false),
            ("[::]:9092", "[fe80::1]:50000", "[fe80::1]:9092", true),
            (
                "10.0.0.7:9092",
                "[::ffff:10.0.0.7]:50000",
                "[::ffff:10.0.0.7]:9092",
                true,
            ),
            (
                "[::ffff:10.0.0.7]:9092",
                "10.0.0.7:50000",
                "10.0.0.7:9092",
                true,
            ),
        ] {
            let ends = Ends {
                local: local.parse().unwrap(),
                peer: peer.parse().unwrap(),
            };
            assert_eq!(own(&[bound]).is_loop(ends), is_own, "{bound} {peer}");
        }
    }
}
