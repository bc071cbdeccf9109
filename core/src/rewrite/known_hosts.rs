//! The upstream hosts that no client may see, as an index that is built once for each topology.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::id::HostPort;
use crate::rewrite::literal::literal;
use crate::topology::{DialMap, Topology};
use crate::work;

/// Bootstrap, advertised and dialled hosts of one cluster. Clones share one index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    index: Arc<Index>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Index {
    /// In lower case and sorted, so that names with a common beginning stand together.
    names: Vec<Box<str>>,
    /// Address literals, however they were written.
    literals: BTreeSet<IpAddr>,
}

/// A name with more labels is not looked for inside of a longer one. It bounds what one label of a
/// text can cost.
const LABELS_MAX: usize = 16;

impl KnownHosts {
    /// All hosts by which the cluster is known.
    #[must_use]
    pub fn new(bootstrap: &[HostPort], dial: &DialMap, topology: &Topology) -> Self {
        let named = bootstrap.iter().map(HostPort::host);
        let learned = topology.brokers().map(|(_, at)| at.host());
        let hosts = named.chain(learned).chain(dial.hosts());
        let mut names = BTreeSet::new();
        let mut literals = BTreeSet::new();
        for host in hosts {
            work::steps(1);
            let host = host.to_ascii_lowercase();
            if let Some(literal) = literal(&host) {
                literals.insert(literal);
                // An IPv4 address inside of an IPv6 one is known by its own name as well.
                names.insert(literal.to_string().into());
            }
            names.insert(host.trim_end_matches('.').into());
        }
        let names = names.into_iter().collect();
        let index = Arc::new(Index { names, literals });
        Self { index }
    }

    /// Whether this name, in lower case, is one of them.
    pub(super) fn has_name(&self, name: &[u8]) -> bool {
        let names = &self.index.names;
        names
            .binary_search_by(|known| known.as_bytes().cmp(name))
            .is_ok()
    }

    /// Whether this address is one of them.
    pub(super) fn has_literal(&self, literal: &IpAddr) -> bool {
        self.index.literals.contains(literal)
    }

    /// How long the longest of them is that `text`, in lower case, begins with, that contains a
    /// dot, and that ends where a label of `text` ends.
    pub(super) fn dotted_prefix(&self, text: &[u8]) -> Option<usize> {
        let mut names = self.index.names.as_slice();
        let (mut longest, mut end) = (None, 0);
        for (index, label) in text
            .split(|byte| *byte == b'.')
            .enumerate()
            .take(LABELS_MAX)
        {
            end += usize::from(index > 0) + label.len();
            let prefix = text.get(..end)?;
            let first = names.partition_point(|name| name.as_bytes() < prefix);
            names = names.get(first..)?;
            let count = names.partition_point(|name| name.as_bytes().starts_with(prefix));
            names = names.get(..count)?;
            let Some(shortest) = names.first() else {
                break;
            };
            if index > 0 && shortest.len() == end {
                longest = Some(end);
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(hosts: &[&str]) -> KnownHosts {
        let hosts = hosts.iter().map(|host| HostPort::new(host, 9092).unwrap());
        let hosts: Vec<HostPort> = hosts.collect();
        KnownHosts::new(&hosts, &DialMap::default(), &Topology::default())
    }

    #[test]
    fn the_longest_name_at_the_beginning_is_found() {
        let known = known(&["kafka", "a.b", "a.b.c.d", "a.bc", "A-1.b."]);
        for (text, expected) in [
            ("a.b", Some(3)),
            ("a.b.c", Some(3)),
            ("a.b.c.d.e", Some(7)),
            ("a.bc.d", Some(4)),
            ("a.bcd", None),
            ("a-1.b", Some(5)),
            ("a", None),
            ("kafka.b", None),
            ("", None),
        ] {
            assert_eq!(known.dotted_prefix(text.as_bytes()), expected, "{text}");
        }
        assert!(known.has_name(b"kafka"));
        assert!(!known.has_name(b"kafk"));
    }

    #[test]
    fn an_ipv4_address_inside_of_an_ipv6_one_is_known_by_its_own_name() {
        let known = known(&["::ffff:10.0.0.3"]);
        for text in ["10.0.0.3", "at 10.0.0.3.", "10.0.0.3.x"] {
            assert!(known.occurs_in(text.as_bytes()), "{text}");
        }
        assert!(!known.occurs_in(b"10.0.0.30"));
    }

    #[test]
    fn a_literal_is_known_however_it_is_written() {
        let known = known(&["FD00::5", "10.0.0.1", "fe80::1%eth0"]);
        for text in ["fd00:0:0:0:0:0:0:5", "::ffff:10.0.0.1", "fe80::1"] {
            let literal = literal(text).unwrap();
            assert!(known.has_literal(&literal), "{text}");
        }
        assert!(!known.has_literal(&"10.0.0.2".parse().unwrap()));
    }
}
