//! The one cluster that all tasks share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorkeeper_core::time::Instant;
use doorkeeper_kafka_model::{Cluster, ClusterConfig, ConnectionId, Output};
use tokio::sync::Notify;

use crate::outbox::Outbox;
use crate::{Clock, HostConfig};

/// The cluster, and where its responses go.
#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    outboxes: BTreeMap<ConnectionId, Arc<Outbox>>,
}

/// The cluster behind a lock that is never held across an await.
pub(crate) struct SharedCluster {
    inner: Mutex<Inner>,
    clock: Clock,
    /// The next deadline may have come nearer.
    timer: Notify,
    config: HostConfig,
}

impl fmt::Debug for SharedCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCluster").finish_non_exhaustive()
    }
}

impl SharedCluster {
    pub(crate) fn new(config: HostConfig, clock: Clock) -> Self {
        let brokers = config
            .brokers
            .iter()
            .map(|b| (b.id, b.advertised.clone()))
            .collect();
        let (seed, limits) = (config.seed, config.limits.clone());
        let cluster = Cluster::new(ClusterConfig {
            brokers,
            seed,
            limits,
        });
        Self {
            inner: Mutex::new(Inner {
                cluster,
                outboxes: BTreeMap::new(),
            }),
            clock,
            timer: Notify::new(),
            config,
        }
    }

    pub(crate) const fn frame_bytes_max(&self) -> usize {
        self.config.frame_bytes_max
    }

    pub(crate) const fn connections_max(&self) -> usize {
        self.config.connections_max
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Lets `act` do something to the cluster and hands out the responses.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Cluster, Instant) -> R) -> R {
        self.act(|cluster, _, now| act(cluster, now))
    }

    fn act<R>(
        &self,
        act: impl FnOnce(&mut Cluster, &mut BTreeMap<ConnectionId, Arc<Outbox>>, Instant) -> R,
    ) -> R {
        let now = self.now();
        let mut inner = self.lock();
        let Inner { cluster, outboxes } = &mut *inner;
        let before = cluster.deadline();
        let result = act(cluster, outboxes, now);
        while let Some(output) = cluster.poll() {
            match output {
                Output::Frame { connection, bytes } => {
                    if let Some(outbox) = outboxes.get(&connection) {
                        outbox.push(bytes);
                    }
                }
                Output::Close { connection, reason } => {
                    if let Some(outbox) = outboxes.remove(&connection) {
                        outbox.close(reason);
                    }
                }
            }
        }
        let nearer = match (before, cluster.deadline()) {
            (Some(before), Some(after)) => after < before,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        drop(inner);
        if nearer {
            self.timer.notify_one();
        }
        result
    }

    /// A client has come.
    pub(crate) fn connected(
        &self,
        broker: doorkeeper_core::id::BrokerId,
    ) -> (ConnectionId, Arc<Outbox>) {
        self.act(|cluster, outboxes, now| {
            let id = cluster.connected(now, broker);
            let outbox = Arc::new(Outbox::default());
            outboxes.insert(id, Arc::clone(&outbox));
            (id, outbox)
        })
    }

    /// A client has gone.
    pub(crate) fn disconnected(&self, id: ConnectionId) {
        self.act(|cluster, outboxes, now| {
            outboxes.remove(&id);
            cluster.disconnected(now, id);
        });
    }

    /// Whether the next request of a connection may be read now.
    pub(crate) fn has_room(&self, id: ConnectionId, outbox: &Outbox) -> bool {
        outbox.unsent_bytes() < self.config.unsent_bytes_max && self.lock().cluster.accepts(id)
    }

    /// Whether a connection has requests without a response, or responses that are not written.
    pub(crate) fn owes(&self, id: ConnectionId, outbox: &Outbox) -> bool {
        outbox.unsent_bytes() > 0 || self.lock().cluster.owes(id)
    }

    /// Calls the cluster back at its deadlines, for ever.
    pub(crate) async fn keep_time(&self) {
        loop {
            let news = self.timer.notified();
            let deadline = self.lock().cluster.deadline();
            let Some(deadline) = deadline else {
                news.await;
                continue;
            };
            // Relative, because the clock need not be this runtime's.
            let left = deadline.since(self.now());
            if tokio::time::timeout(left, news).await.is_err() {
                self.with(Cluster::tick);
            }
        }
    }
}
