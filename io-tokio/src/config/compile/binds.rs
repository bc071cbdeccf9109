//! Which part of the configuration listens where, and where two of them want the same port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::super::tree::Path;
use crate::own_addresses::leads_to;

/// The part of the configuration that needs an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// Where the configuration says so.
    path: Path,
    /// In words, for the other one's error.
    what: String,
}

impl Owner {
    pub(super) fn new(path: &Path, what: impl Into<String>) -> Self {
        Self {
            path: path.clone(),
            what: what.into(),
        }
    }
}

/// Every address of this process.
#[derive(Debug, Default)]
pub(super) struct Binds {
    by_port: BTreeMap<u16, Vec<(IpAddr, Owner)>>,
}

impl Binds {
    pub(super) fn add(&mut self, at: SocketAddr, owner: Owner) {
        self.by_port
            .entry(at.port())
            .or_default()
            .push((at.ip(), owner));
    }

    /// The first overlap of each pair of places, at the later one: ranges overlap in many ports.
    pub(super) fn overlaps(&self) -> Vec<(Path, String)> {
        let mut reported = BTreeSet::new();
        let mut found = Vec::new();
        for (port, wanted) in &self.by_port {
            for (i, (ip, owner)) in wanted.iter().enumerate() {
                for (other_ip, other) in wanted.iter().take(i) {
                    let pair = (owner.path.clone(), other.path.clone());
                    if overlap(*ip, *other_ip) && reported.insert(pair) {
                        let message = format!(
                            "{} needs port {port}, which {} needs as well",
                            owner.what, other.what
                        );
                        found.push((owner.path.clone(), message));
                    }
                }
            }
        }
        found
    }

    /// What listens where `host:port` leads, as far as that is known without a resolver.
    pub(super) fn at(&self, host: &str, port: u16) -> Option<&str> {
        let wanted = self.by_port.get(&port)?;
        let leads_to = |ip: IpAddr| match host.parse::<IpAddr>() {
            Ok(target) => leads_to(ip, target),
            Err(_) => {
                host.eq_ignore_ascii_case("localhost") && (ip.is_loopback() || ip.is_unspecified())
            }
        };
        let found = wanted.iter().find(|(ip, _)| leads_to(*ip));
        found.map(|(_, owner)| owner.what.as_str())
    }
}

/// `::` takes the v4 addresses as well where the system is set up as usual.
fn overlap(a: IpAddr, b: IpAddr) -> bool {
    let covers = |a: IpAddr, b: IpAddr| match a {
        IpAddr::V4(v4) => v4.is_unspecified() && b.is_ipv4(),
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    a == b || covers(a, b) || covers(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_addresses_cover_the_others() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (a, b, overlaps) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "127.0.0.2", true),
            ("0.0.0.0", "::1", false),
            ("::", "10.0.0.1", true),
            ("::", "0.0.0.0", true),
            ("::1", "::1", true),
        ] {
            assert_eq!(overlap(ip(a), ip(b)), overlaps, "{a} {b}");
            assert_eq!(overlap(ip(b), ip(a)), overlaps, "{b} {a}");
        }
    }
}
