//! The model's brokers served over any network: `doorkeeper quickstart` without a Kafka, and the
//! upstream of simulations.
//!
//! [`Host::bind`] takes the listeners, [`Host::serve`] responds until its token stops it and joins
//! all of its tasks. [`Handle`] changes the cluster meanwhile.
//!
//! Where each broker has a machine of its own, as in simulations, [`Handle::new`] makes the cluster
//! and each machine calls [`Handle::serve_broker`].

#![warn(missing_docs)]

mod connection;
mod frames;
mod outbox;
mod shared;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::time::Instant;
use doorkeeper_kafka_model::{Cluster, Limits};
use doorkeeper_net::Net;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::shared::SharedCluster;

/// How long a listener rests when the network says that it cannot accept now.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// One broker: where it listens, and the address that it advertises.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// The node id.
    pub id: BrokerId,
    /// Where it listens.
    pub bind: SocketAddr,
    /// Where it says that it is.
    pub advertised: HostPort,
}

/// What is served.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The brokers.
    pub brokers: Vec<BrokerConfig>,
    /// The seed of all ids.
    pub seed: u64,
    /// The limits of the cluster.
    pub limits: Limits,
    /// The longest frame that a client may send; a longer one closes its connection.
    pub frame_bytes_max: usize,
    /// Responses that wait for a client that does not read, in bytes, before no more of its
    /// requests are read.
    pub unsent_bytes_max: usize,
    /// Connections of one broker; further ones are closed at once.
    pub connections_max: usize,
}

impl HostConfig {
    /// The brokers with limits that suit a laptop.
    #[must_use]
    pub fn new(brokers: Vec<BrokerConfig>, seed: u64) -> Self {
        Self {
            brokers,
            seed,
            limits: Limits::default(),
            frame_bytes_max: 16 << 20,
            unsent_bytes_max: 1 << 20,
            connections_max: 1000,
        }
    }
}

/// Brokers whose listeners are bound and not yet served.
#[derive(Debug)]
pub struct Host<N: Net> {
    net: N,
    listeners: Vec<(BrokerId, N::Listener)>,
    shared: Arc<SharedCluster>,
}

/// Tells how long a cluster has existed.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Changes the cluster while it is served.
#[derive(Clone, Debug)]
pub struct Handle(Arc<SharedCluster>);

impl Handle {
    /// A cluster that nobody serves yet. Where its brokers should listen is for
    /// [`Handle::serve_broker`] to say.
    #[must_use]
    pub fn new(config: HostConfig, clock: Clock) -> Self {
        Self(Arc::new(SharedCluster::new(config, clock)))
    }

    /// Serves one broker until `stop` is cancelled, then closes its connections and joins all
    /// tasks. [`Handle::keep_time`] must run somewhere meanwhile.
    ///
    /// # Errors
    /// The address cannot be bound, or a task panicked.
    pub async fn serve_broker<N: Net>(
        &self,
        net: N,
        broker: BrokerId,
        at: SocketAddr,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let listener = net.bind(at).await?;
        let shared = Arc::clone(&self.0);
        let served = accept(net, broker, listener, shared, stop).await;
        served.map_err(io::Error::other)
    }

    /// Lets time pass for the cluster until `stop` is cancelled. Once for all brokers.
    pub async fn keep_time(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.0.keep_time()).await;
    }

    /// Lets `act` change the cluster, and does what comes of it.
    pub fn with<R>(&self, act: impl FnOnce(&mut Cluster, Instant) -> R) -> R {
        self.0.with(act)
    }
}

impl<N: Net> Host<N> {
    /// Takes all listeners. Time begins here.
    ///
    /// # Errors
    /// The first listener that cannot be bound.
    pub async fn bind(net: N, config: HostConfig) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for broker in &config.brokers {
            listeners.push((broker.id, net.bind(broker.bind).await?));
        }
        Ok(Self::bound(net, config, listeners))
    }

    /// Takes listeners that are bound already, one for each broker: whoever lets the system choose
    /// the ports has to ask for them before the brokers can advertise them. Time begins here.
    #[must_use]
    pub fn bound(net: N, config: HostConfig, listeners: Vec<(BrokerId, N::Listener)>) -> Self {
        let origin = tokio::time::Instant::now();
        let clock: Clock = Arc::new(move || Instant::ZERO.after(origin.elapsed()));
        Self {
            net,
            listeners,
            shared: Arc::new(SharedCluster::new(config, clock)),
        }
    }

    /// A handle to the cluster.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Serves until `stop` is cancelled, then closes all connections and joins all tasks.
    ///
    /// # Errors
    /// The first task that panicked. The others were joined all the same.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), JoinError> {
        let mut tasks = JoinSet::new();
        for (broker, listener) in self.listeners {
            let (net, shared) = (self.net.clone(), Arc::clone(&self.shared));
            tasks.spawn(accept(net, broker, listener, shared, stop.clone()));
        }
        let cluster = Handle(self.shared);
        tasks.spawn(async move {
            cluster.keep_time(stop).await;
            Ok(())
        });
        join(tasks).await
    }
}

/// Joins everything; the first panic wins.
async fn join(mut tasks: JoinSet<Result<(), JoinError>>) -> Result<(), JoinError> {
    let mut result = Ok(());
    while let Some(joined) = tasks.join_next().await {
        let joined = joined.and_then(|inner| inner);
        result = result.and(joined);
    }
    result
}

/// Accepts one broker's connections until `stop`, then joins them.
async fn accept<N: Net>(
    net: N,
    broker: BrokerId,
    mut listener: N::Listener,
    shared: Arc<SharedCluster>,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    let mut tasks = JoinSet::new();
    let mut result = Ok(());
    while let Some(accepted) = stop.run_until_cancelled(net.accept(&mut listener)).await {
        while let Some(joined) = tasks.try_join_next() {
            let joined = joined.and_then(|inner| inner);
            result = result.and(joined);
        }
        match accepted {
            Ok(_) if tasks.len() >= shared.connections_max() => {
                tracing::debug!(%broker, "too many connections");
            }
            Ok((stream, peer)) => {
                tracing::debug!(%broker, %peer, "connected");
                let connection = connection::run(stream, broker, Arc::clone(&shared), stop.clone());
                tasks.spawn(async move {
                    connection.await;
                    Ok(())
                });
            }
            Err(error) => {
                tracing::warn!(%broker, %error, "cannot accept");
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_BACKOFF))
                    .await;
            }
        }
    }
    drop(listener);
    result.and(join(tasks).await)
}
