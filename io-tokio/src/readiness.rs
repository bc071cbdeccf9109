//! Whether every port is bound and every cluster has been discovered.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::id::ClusterId;

/// What `/readyz` shows. Written by [`crate::serve::serve`] alone.
///
/// It waits for the clusters that the process started with. One that a reload adds is not among
/// them: whoever is ready stays so, whatever becomes of the newcomer.
#[derive(Debug)]
pub struct Readiness {
    bound: AtomicBool,
    draining: AtomicBool,
    /// Those of which nothing has been learned yet.
    undiscovered: Mutex<BTreeSet<ClusterId>>,
    changed: Notify,
}

impl Readiness {
    /// Nothing is ready yet.
    #[must_use]
    pub fn new(clusters: impl IntoIterator<Item = ClusterId>) -> Self {
        Self {
            bound: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            undiscovered: Mutex::new(clusters.into_iter().collect()),
            changed: Notify::new(),
        }
    }

    /// Whether clients can be served: all ports bound, all clusters discovered, not stopping.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_bound() && !self.is_draining() && self.undiscovered().is_empty()
    }

    /// Waits until clients can be served.
    pub async fn until_ready(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // What changes after this is not missed.
            changed.as_mut().enable();
            if self.is_ready() {
                return;
            }
            changed.await;
        }
    }

    /// Whether every port is bound.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.bound.load(Ordering::Acquire)
    }

    /// Whether doorkeeper is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The clusters of which nothing has been learned yet.
    #[must_use]
    pub fn undiscovered(&self) -> Vec<ClusterId> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<ClusterId>> {
        // The set is whole between any two statements.
        self.undiscovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bound(&self) {
        self.bound.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn discovered(&self, cluster: &ClusterId) {
        self.no_longer_awaits(cluster);
    }

    /// The configuration does not have it any more.
    pub(crate) fn removed(&self, cluster: &ClusterId) {
        self.no_longer_awaits(cluster);
    }

    fn no_longer_awaits(&self, cluster: &ClusterId) {
        if self.lock().remove(cluster) {
            self.changed.notify_waiters();
        }
    }
}
