//! The immutable snapshot of everything reloadable that sessions of one listener share.

use std::sync::Arc;

use crate::api::{OfferedApi, OfferedApis};
use crate::id::{ApiKey, HostPort};
use crate::limits::Limits;
use crate::policy::{Decision, Policy};
use crate::rewrite::{Addresses, KnownHosts};
use crate::sasl::login::LoginSettings;
use crate::topology::{AdvertisedAddresses, DialMap, Topology};

/// What the sessions of one listener go by. Replaced whole, never changed.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts the snapshots of this listener.
    pub epoch: u64,
    /// What a session may cost.
    pub limits: Limits,
    /// Who may do what.
    pub policy: Policy,
    /// How clients log in, where they have to.
    pub login: Option<Arc<LoginSettings>>,
    /// Whether brokers want doorkeeper to log in before the first request of a connection.
    pub upstream_login: bool,
    /// The APIs that clients are offered.
    pub offered: OfferedApis,
    /// Where the configuration says that the cluster can be found, in the order to try.
    pub bootstrap: Vec<HostPort>,
    /// Where to connect instead of what a name says.
    pub dial: DialMap,
    /// Where clients find each broker.
    pub advertised: AdvertisedAddresses,
    /// Where the brokers are, as learned; the same for all listeners of a cluster.
    pub topology: Arc<Topology>,
    /// The upstream host names that no client may see.
    pub known_hosts: KnownHosts,
}

impl Snapshot {
    /// The API as clients of this listener may use it.
    pub(crate) fn offered(&self, api: ApiKey) -> Option<OfferedApi> {
        match self.policy.api(api) {
            Decision::Allow => self.offered.get(api),
            Decision::Deny => None,
        }
    }

    pub(crate) fn addresses(&self) -> Addresses<'_> {
        Addresses {
            advertised: &self.advertised,
            topology: &self.topology,
        }
    }

    /// The next snapshot, with what discovery has learned.
    #[must_use]
    pub fn with_topology(&self, topology: Arc<Topology>) -> Self {
        // Which addresses are tried last changes often, and no host with it.
        let known_hosts = if self.topology.has_brokers_of(&topology) {
            self.known_hosts.clone()
        } else {
            KnownHosts::new(&self.bootstrap, &self.dial, &topology)
        };
        self.followed_by(topology, known_hosts)
    }

    /// The next snapshot where anything that is configured may have changed, with what discovery
    /// has learned.
    #[must_use]
    pub fn reconfigured(&self, topology: Arc<Topology>) -> Self {
        let known_hosts = KnownHosts::new(&self.bootstrap, &self.dial, &topology);
        self.followed_by(topology, known_hosts)
    }

    fn followed_by(&self, topology: Arc<Topology>, known_hosts: KnownHosts) -> Self {
        Self {
            epoch: self.epoch + 1,
            topology,
            known_hosts,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BrokerId;
    use crate::work;

    fn at(text: &str) -> HostPort {
        text.parse().unwrap()
    }

    fn snapshot(brokers: i32) -> Snapshot {
        let seen: Vec<(BrokerId, HostPort)> = (0..brokers)
            .map(|id| (BrokerId(id), at(&format!("b{id}.test:9092"))))
            .collect();
        let first = Snapshot {
            epoch: 0,
            limits: Limits::default(),
            policy: Policy::allow_all(),
            login: None,
            upstream_login: false,
            offered: OfferedApis::default(),
            bootstrap: vec![at("boot.test:9092")],
            dial: DialMap::default(),
            advertised: AdvertisedAddresses::Explicit([].into()),
            topology: Arc::default(),
            known_hosts: KnownHosts::default(),
        };
        let topology = Topology::default().merged(&seen, None).unwrap();
        first.reconfigured(topology.into())
    }

    /// How many steps it takes to make the next snapshot.
    fn steps(snapshot: &Snapshot, topology: Topology) -> (u64, Snapshot) {
        let before = work::taken();
        let next = snapshot.with_topology(topology.into());
        (work::taken() - before, next)
    }

    #[test]
    fn other_addresses_to_try_last_are_no_other_hosts() {
        let snapshot = snapshot(1000);
        let avoiding = snapshot.topology.avoiding([at("b7.test:9092")].into());
        let (taken, next) = steps(&snapshot, avoiding.unwrap());
        assert_eq!(taken, 0);
        assert_eq!((next.epoch, &next.known_hosts), (2, &snapshot.known_hosts));
        assert!(next.topology.is_avoided(&at("b7.test:9092")));
    }

    #[test]
    fn a_broker_that_moved_is_known_by_its_new_host_alone() {
        let snapshot = snapshot(2);
        let moved = snapshot
            .topology
            .merged(&[(BrokerId(1), at("new.test:1"))], None);
        let (_, next) = steps(&snapshot, moved.unwrap());
        let text = |host: &str| next.known_hosts.occurs_in(format!("see {host}").as_bytes());
        assert!(text("new.test") && text("boot.test") && !text("b1.test"));
    }

    #[test]
    fn what_is_configured_is_known_although_no_broker_has_moved() {
        let mut snapshot = snapshot(2);
        snapshot.bootstrap = vec![at("other.test:1")];
        let topology = Arc::clone(&snapshot.topology);
        let next = snapshot.reconfigured(topology);
        assert!(next.known_hosts.occurs_in(b"see other.test"));
    }
}
