//! Where the brokers are: for us, and for clients.
//!
//! Both directions are functions: broker id to our advertised address (from configuration and
//! the id alone, so that every replica of doorkeeper gives the same one), and broker id to the
//! address at which the cluster says that broker is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::broker_versions::BrokerVersions;
use crate::id::{BrokerId, HostPort};

/// What discovery has learned of one cluster. Knowledge only grows or moves: Kafka lists just
/// the brokers that are up, so one that is absent is down, not gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Shared by snapshots that differ in the rest.
    brokers: Arc<BTreeMap<BrokerId, HostPort>>,
    cluster_id: Option<Box<str>>,
    avoided: BTreeSet<HostPort>,
    /// What the broker at an address can do, where that was asked.
    versions: Arc<BTreeMap<HostPort, Arc<BrokerVersions>>>,
}

impl Topology {
    /// Whether nothing has been learned yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.brokers.is_empty()
    }

    /// How many brokers have been learned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.brokers.len()
    }

    /// The cluster's own address of a broker.
    #[must_use]
    pub fn upstream(&self, broker: BrokerId) -> Option<&HostPort> {
        self.brokers.get(&broker)
    }

    /// All brokers ever seen, in the order of their ids.
    pub fn brokers(&self) -> impl Iterator<Item = (BrokerId, &HostPort)> + Clone {
        self.brokers.iter().map(|(id, at)| (*id, at))
    }

    /// The cluster id, once a response has given it.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Whether another topology has the same brokers at the same addresses.
    #[must_use]
    pub fn has_brokers_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.brokers, &other.brokers) || self.brokers == other.brokers
    }

    /// The addresses to try after all others: attempts to connect there have lately timed out, or
    /// led back to doorkeeper.
    pub fn avoided(&self) -> impl Iterator<Item = &HostPort> {
        self.avoided.iter()
    }

    /// Whether an address is tried after all others.
    #[must_use]
    pub fn is_avoided(&self, address: &HostPort) -> bool {
        self.avoided.contains(address)
    }

    /// This knowledge with other addresses to try last. Nothing if they are the same.
    #[must_use]
    pub fn avoiding(&self, addresses: BTreeSet<HostPort>) -> Option<Self> {
        (addresses != self.avoided).then(|| Self {
            avoided: addresses,
            ..self.clone()
        })
    }

    /// What the broker at that address can do, if that was asked.
    #[must_use]
    pub fn versions_at(&self, address: &HostPort) -> Option<&Arc<BrokerVersions>> {
        self.versions.get(address)
    }

    /// What each broker can do of those that were asked; before any was, what was said at an
    /// address of the configuration.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<BrokerVersions>> {
        let mut brokers = self
            .brokers
            .values()
            .filter_map(|address| self.versions_at(address))
            .peekable();
        let is_known = brokers.peek().is_some();
        let others = self.versions.values().filter(move |_| !is_known);
        brokers.chain(others)
    }

    /// All that was said of what brokers can do, and at which address.
    pub fn versions_by_address(&self) -> impl Iterator<Item = (&HostPort, &Arc<BrokerVersions>)> {
        self.versions.iter()
    }

    /// This knowledge with what the broker at an address can do, or without it if it is to be asked
    /// again. Nothing if it is the same.
    #[must_use]
    pub fn with_versions(
        &self,
        address: &HostPort,
        versions: Option<&Arc<BrokerVersions>>,
    ) -> Option<Self> {
        if self.versions_at(address) == versions {
            return None;
        }
        let mut next = self.clone();
        let all = Arc::make_mut(&mut next.versions);
        // Nothing else would ever take out the address of a broker that has moved.
        let addresses: BTreeSet<&HostPort> = self.brokers.values().collect();
        all.retain(|it, _| addresses.contains(it));
        match versions {
            Some(versions) => all.insert(address.clone(), Arc::clone(versions)),
            None => all.remove(address),
        };
        Some(next)
    }

    /// This knowledge with that of a newer response. Nothing if it is the same.
    #[must_use]
    pub fn merged(&self, seen: &[(BrokerId, HostPort)], cluster_id: Option<&str>) -> Option<Self> {
        let mut next = self.clone();
        for (id, at) in seen {
            // Sentinels (-1 and below) stand for "no broker" and never become one.
            if id.0 >= 0 && self.upstream(*id) != Some(at) {
                Arc::make_mut(&mut next.brokers).insert(*id, at.clone());
            }
        }
        if let Some(cluster_id) = cluster_id {
            next.cluster_id = Some(cluster_id.into());
        }
        (next != *self).then_some(next)
    }
}

/// Where clients find each broker: by configuration and broker id alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdvertisedAddresses {
    /// Broker `n` is at port `base + n` of one host.
    Ports {
        /// The host that clients dial.
        host: Box<str>,
        /// The port of broker 0.
        base: u16,
        /// The broker ids that have a port.
        ids: Vec<RangeInclusive<i32>>,
    },
    /// Each broker has an address of its own.
    Explicit(BTreeMap<BrokerId, HostPort>),
}

impl AdvertisedAddresses {
    /// Our address for a broker, if the configuration gives it one.
    #[must_use]
    pub fn address(&self, broker: BrokerId) -> Option<HostPort> {
        match self {
            Self::Ports { host, base, ids } => {
                HostPort::new(host, port_of(*base, ids, broker)?).ok()
            }
            Self::Explicit(addresses) => addresses.get(&broker).cloned(),
        }
    }

    /// Whether the configuration gives a broker an address.
    #[must_use]
    pub fn has(&self, broker: BrokerId) -> bool {
        match self {
            Self::Ports { base, ids, .. } => port_of(*base, ids, broker).is_some(),
            Self::Explicit(addresses) => addresses.contains_key(&broker),
        }
    }
}

/// The port of a broker, if it has one.
fn port_of(base: u16, ids: &[RangeInclusive<i32>], broker: BrokerId) -> Option<u16> {
    if !ids.iter().any(|range| range.contains(&broker.0)) {
        return None;
    }
    u16::try_from(i32::from(base).checked_add(broker.0)?).ok()
}

/// One rule of `dial`: which upstream names it is for, and where to connect instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialRule {
    /// The host, or a pattern with one `*`.
    pub host: Box<str>,
    /// The port, or any.
    pub port: Option<u16>,
    /// The host to dial instead.
    pub to_host: Box<str>,
    /// The port to dial instead, or the same.
    pub to_port: Option<u16>,
}

impl DialRule {
    fn matches(&self, name: &HostPort) -> bool {
        let host_matches = match self.host.split_once('*') {
            None => self.host.eq_ignore_ascii_case(name.host()),
            Some((head, tail)) => {
                let host = name.host().to_ascii_lowercase();
                host.len() >= head.len() + tail.len()
                    && host.starts_with(&head.to_ascii_lowercase())
                    && host.ends_with(&tail.to_ascii_lowercase())
            }
        };
        host_matches && self.port.is_none_or(|port| port == name.port())
    }

    /// How much the rule says: a whole address, then a whole host, then the longer pattern.
    fn rank(&self) -> (bool, bool, usize) {
        (
            !self.host.contains('*'),
            self.port.is_some(),
            self.host.len(),
        )
    }
}

/// Where to connect instead of the address that the cluster gives. The most specific rule wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialMap {
    rules: Vec<DialRule>,
}

impl DialMap {
    /// Takes the rules in any order.
    #[must_use]
    pub fn new(mut rules: Vec<DialRule>) -> Self {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.rank()));
        Self { rules }
    }

    /// The rules, the most specific first.
    #[must_use]
    pub fn rules(&self) -> &[DialRule] {
        &self.rules
    }

    /// The hosts that rules lead to.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.to_host)
    }

    /// Where to connect for this name.
    #[must_use]
    pub fn resolve(&self, name: &HostPort) -> HostPort {
        self.rules
            .iter()
            .find(|rule| rule.matches(name))
            .and_then(|rule| {
                HostPort::new(&rule.to_host, rule.to_port.unwrap_or_else(|| name.port())).ok()
            })
            .unwrap_or_else(|| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> HostPort {
        text.parse().unwrap()
    }

    #[test]
    fn a_broker_that_is_absent_keeps_its_last_address() {
        let both = [(BrokerId(1), at("a:1")), (BrokerId(2), at("b:2"))];
        let first = Topology::default().merged(&both, Some("c")).unwrap();
        assert_eq!(first.merged(&[(BrokerId(1), at("a:1"))], None), None);
        let moved = first.merged(&[(BrokerId(1), at("n:9"))], None).unwrap();
        assert_eq!(moved.upstream(BrokerId(1)), Some(&at("n:9")));
        assert_eq!(moved.upstream(BrokerId(2)), Some(&at("b:2")));
        assert_eq!(moved.cluster_id(), Some("c"));
    }

    #[test]
    fn sentinels_never_become_brokers() {
        assert_eq!(
            Topology::default().merged(&[(BrokerId(-1), at("a:1"))], None),
            None
        );
    }

    #[test]
    fn ports_follow_from_the_broker_id_alone() {
        let ports = AdvertisedAddresses::Ports {
            host: "kafka.example.com".into(),
            base: 19093,
            ids: vec![0..=9],
        };
        assert_eq!(
            ports.address(BrokerId(3)),
            Some(at("kafka.example.com:19096"))
        );
        assert_eq!(ports.address(BrokerId(10)), None);
        assert_eq!(ports.address(BrokerId(-1)), None);
        let high = AdvertisedAddresses::Ports {
            host: "h".into(),
            base: 65530,
            ids: vec![0..=9],
        };
        assert_eq!(high.address(BrokerId(9)), None);
    }

    #[test]
    fn the_most_specific_dial_rule_wins() {
        let rule = |host: &str, port, to_host: &str, to_port| DialRule {
            host: host.into(),
            port,
            to_host: to_host.into(),
            to_port,
        };
        let map = DialMap::new(vec![
            rule("*", None, "10.0.0.1", None),
            rule("kafka-*.internal", None, "10.0.0.7", None),
            rule("kafka-1.internal", Some(9093), "127.0.0.1", Some(19093)),
        ]);
        assert_eq!(
            map.resolve(&at("kafka-1.internal:9093")),
            at("127.0.0.1:19093")
        );
        assert_eq!(
            map.resolve(&at("KAFKA-1.internal:9094")),
            at("10.0.0.7:9094")
        );
        assert_eq!(map.resolve(&at("other:1")), at("10.0.0.1:1"));
        assert_eq!(DialMap::default().resolve(&at("other:1")), at("other:1"));
    }
}
