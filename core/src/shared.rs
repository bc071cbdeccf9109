//! The immutable snapshot of everything reloadable that sessions of one listener share.

use std::sync::Arc;

use crate::api::{Offered, Row};
use crate::id::{ApiKey, HostPort};
use crate::limits::Limits;
use crate::policy::{Policy, Verdict};
use crate::rewrite::{Addresses, KnownHosts};
use crate::topology::{Advertised, DialMap, Topology};

/// What the sessions of one listener go by. Replaced whole, never changed.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Counts the snapshots of this listener.
    pub epoch: u64,
    /// What a session may cost.
    pub limits: Limits,
    /// Who may do what.
    pub policy: Policy,
    /// The APIs that clients are offered.
    pub offered: Offered,
    /// Where the configuration says that the cluster can be found, in the order to try.
    pub bootstrap: Vec<HostPort>,
    /// Where to connect instead of what a name says.
    pub dial: DialMap,
    /// Where clients find each broker.
    pub advertised: Advertised,
    /// Where the brokers are, as learned; the same for all listeners of a cluster.
    pub topology: Arc<Topology>,
    /// The upstream host names that no client may see.
    pub known_hosts: KnownHosts,
}

impl Shared {
    /// The API as clients of this listener may use it.
    pub(crate) fn row(&self, api: ApiKey) -> Option<Row> {
        match self.policy.api(api) {
            Verdict::Allow => self.offered.row(api),
            Verdict::Refuse => None,
        }
    }

    pub(crate) fn addresses(&self) -> Addresses<'_> {
        Addresses {
            advertised: &self.advertised,
            topology: &self.topology,
            known_hosts: &self.known_hosts,
        }
    }

    /// The next snapshot, with what discovery has learned.
    #[must_use]
    pub fn with_topology(&self, topology: Arc<Topology>) -> Self {
        let known_hosts = KnownHosts::new(&self.bootstrap, &self.dial, &topology);
        Self {
            epoch: self.epoch + 1,
            topology,
            known_hosts,
            ..self.clone()
        }
    }
}
