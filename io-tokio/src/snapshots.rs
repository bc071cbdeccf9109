//! The newest snapshot of everything reloadable of one listener, and word that it has changed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use doorkeeper_core::Snapshot;
use doorkeeper_core::topology::Topology;

use crate::version_watch::VersionWatch;

/// The sessions of a listener compare epochs before each client read, and only those whose
/// machine asks for it are woken by a change.
pub(crate) struct Snapshots {
    newest: ArcSwap<Snapshot>,
    epoch: Arc<VersionWatch>,
    /// Locked by whoever writes, so that epochs are published in order. Sessions only read.
    writer: Mutex<()>,
}

impl Snapshots {
    pub(crate) fn new(first: Snapshot) -> Self {
        let epoch = Arc::new(VersionWatch::default());
        epoch.publish(first.epoch);
        Self {
            newest: ArcSwap::from_pointee(first),
            epoch,
            writer: Mutex::default(),
        }
    }

    pub(crate) fn newest(&self) -> Arc<Snapshot> {
        self.newest.load_full()
    }

    /// Publishes the newest epoch.
    pub(crate) fn epoch(&self) -> Arc<VersionWatch> {
        Arc::clone(&self.epoch)
    }

    /// Lays a topology over the newest snapshot.
    pub(crate) fn learn(&self, topology: &Arc<Topology>) {
        self.replace(|newest| newest.with_topology(Arc::clone(topology)));
    }

    /// Lays what is configured over the newest snapshot. What discovery has learned stays, and so
    /// does the count of the snapshots.
    pub(crate) fn configure(&self, configured: &Snapshot) {
        self.replace(|newest| {
            let topology = Arc::clone(&newest.topology);
            let epoch = newest.epoch;
            Snapshot {
                epoch,
                ..configured.clone()
            }
            .reconfigured(topology)
        });
    }

    fn replace(&self, next: impl FnOnce(&Snapshot) -> Snapshot) {
        // Nothing that a panic could leave half done is behind this lock.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&self.newest.load());
        let epoch = next.epoch;
        self.newest.store(Arc::new(next));
        self.epoch.publish(epoch);
    }
}

/// Changes what the sessions of one listener go by while they are open. Clones change the same.
#[derive(Clone)]
pub struct Reload(Arc<Snapshots>);

impl Reload {
    pub(crate) const fn new(snapshots: Arc<Snapshots>) -> Self {
        Self(snapshots)
    }

    /// Lets `change` lay what is configured over the newest snapshot. What discovery has learned
    /// stays, and so does the count of the snapshots. All that is read after this goes by it.
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut next = Snapshot::clone(&self.0.newest());
        change(&mut next);
        self.0.configure(&next);
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epoch = self.0.newest.load().epoch;
        f.debug_struct("Reload").field("epoch", &epoch).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorkeeper_core::api::OfferedApis;
    use doorkeeper_core::id::{BrokerId, HostPort};
    use doorkeeper_core::limits::Limits;
    use doorkeeper_core::policy::{Policy, Principal};
    use doorkeeper_core::rewrite::KnownHosts;
    use doorkeeper_core::topology::{AdvertisedAddresses, DialMap};

    fn first() -> Snapshot {
        Snapshot {
            epoch: 0,
            limits: Limits::default(),
            policy: Policy::allow_all(),
            login: None,
            upstream_login: false,
            offered: OfferedApis::default(),
            bootstrap: Vec::new(),
            dial: DialMap::default(),
            advertised: AdvertisedAddresses::Ports {
                host: "proxy.test".into(),
                base: 9001,
                ids: vec![0..=5],
            },
            topology: Arc::default(),
            known_hosts: KnownHosts::default(),
        }
    }

    #[test]
    fn a_reload_keeps_what_was_learned_and_counts_on() {
        let snapshots = Arc::new(Snapshots::new(first()));
        let at = HostPort::new("b1.test", 9092).unwrap();
        let learned = Topology::default().merged(&[(BrokerId(1), at)], None);
        let learned = Arc::new(learned.unwrap());
        snapshots.learn(&learned);
        let denying = Policy::allow_all().deny_topic(&Principal::anonymous(), "secret");
        Reload::new(Arc::clone(&snapshots)).change(|snapshot| {
            snapshot.policy = denying.clone();
            // Neither is configured: a change of them is none.
            snapshot.epoch = 77;
            snapshot.topology = Arc::default();
        });
        let newest = snapshots.newest();
        assert_eq!((newest.epoch, snapshots.epoch().value()), (2, 2));
        assert_eq!(newest.policy, denying);
        assert_eq!(newest.topology, learned);
        snapshots.learn(&Arc::default());
        assert_eq!(snapshots.newest().policy, denying);
    }
}
