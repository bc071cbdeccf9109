//! The newest snapshot of everything reloadable of one listener, and word that it has changed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use doorkeeper_core::Shared;
use doorkeeper_core::topology::Topology;

use crate::driver::bell::Bell;

/// The sessions of a listener compare epochs before each client read, and only those whose
/// machine asks for it are woken by a change.
pub(crate) struct Snapshots {
    newest: ArcSwap<Shared>,
    epoch: Arc<Bell>,
}

impl Snapshots {
    pub(crate) fn new(first: Shared) -> Self {
        let epoch = Arc::new(Bell::default());
        epoch.ring(first.epoch);
        Self {
            newest: ArcSwap::from_pointee(first),
            epoch,
        }
    }

    pub(crate) fn newest(&self) -> Arc<Shared> {
        self.newest.load_full()
    }

    /// Rings with the newest epoch.
    pub(crate) fn epoch(&self) -> Arc<Bell> {
        Arc::clone(&self.epoch)
    }

    /// Lays a topology over the newest snapshot. Called by the listener's discovery alone.
    pub(crate) fn learn(&self, topology: &Arc<Topology>) {
        let next = self.newest.load().with_topology(Arc::clone(topology));
        let epoch = next.epoch;
        self.newest.store(Arc::new(next));
        self.epoch.ring(epoch);
    }
}
