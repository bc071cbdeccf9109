//! Whether every port is bound and every cluster has been discovered.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::id::ClusterId;

/// What `/readyz` shows. Written by [`crate::serve::serve`] alone.
#[derive(Debug)]
pub struct Readiness {
    bound: AtomicBool,
    draining: AtomicBool,
    clusters: Vec<(ClusterId, AtomicBool)>,
    changed: Notify,
}

impl Readiness {
    /// Nothing is ready yet.
    #[must_use]
    pub fn new(clusters: impl IntoIterator<Item = ClusterId>) -> Self {
        let unknown = |name| (name, AtomicBool::new(false));
        Self {
            bound: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            clusters: clusters.into_iter().map(unknown).collect(),
            changed: Notify::new(),
        }
    }

    /// Whether clients can be served: all ports bound, all clusters discovered, not stopping.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_bound() && !self.is_draining() && self.undiscovered().next().is_none()
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
    pub fn undiscovered(&self) -> impl Iterator<Item = &str> {
        let unknown = |(_, known): &&(ClusterId, AtomicBool)| !known.load(Ordering::Acquire);
        self.clusters
            .iter()
            .filter(unknown)
            .map(|(id, _)| id.name())
    }

    pub(crate) fn bound(&self) {
        self.bound.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn discovered(&self, cluster: &ClusterId) {
        if let Some((_, known)) = self.clusters.iter().find(|(id, _)| id == cluster) {
            known.store(true, Ordering::Release);
            self.changed.notify_waiters();
        }
    }
}
