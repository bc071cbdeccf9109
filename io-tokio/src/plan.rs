//! What to serve, as the configuration says, and what it needs from the process around it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::id::Seed;
use doorkeeper_core::{Route, Snapshot, discovery};
use tokio_util::sync::CancellationToken;

use crate::bulk::Bulk;
use crate::connection_rate::ConnectionRates;
use crate::id::{ClusterId, ListenerId};
use crate::limits::ListenerLimits;
use crate::login::Logins;
use crate::login::identities::Identities;
use crate::net::ATTEMPTS_MAX;
use crate::observer::Observer;
use crate::proxy_protocol::ProxyProtocol;
use crate::readiness::Readiness;
use crate::recorder::Recorder;
use crate::silent::SilentLimits;
use crate::tls::server::ServerTls;
use crate::tls::upstream::UpstreamTls;

/// Everything that one process serves.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The upstreams.
    pub clusters: Vec<Cluster>,
    /// Where clients come in.
    pub listeners: Vec<Listener>,
    /// How long open sessions may take to give their owed responses once doorkeeper stops.
    pub drain_timeout: Duration,
    /// How many bytes of requests all sessions together may buffer, and as many again of responses.
    pub buffered_bytes_max: usize,
    /// How many connections there may be, all listeners together: what the file descriptors of
    /// the process allow ([`Plan::connections_within`]).
    pub connections_max: usize,
}

/// The descriptors of one connection: the client's, and those of the attempts to reach the broker,
/// of which the first that opens stays.
const DESCRIPTORS_PER_CONNECTION: usize = 1 + ATTEMPTS_MAX;

/// What is kept for all else: the runtime, the log, the recorder, the admin listener's
/// connections, and what libraries open for a moment.
const DESCRIPTORS_KEPT: usize = 64;

impl Plan {
    /// The connections that all listeners together would take.
    #[must_use]
    pub fn connections(&self) -> usize {
        let limits = self.listeners.iter().map(|it| it.limits.connections);
        limits.fold(0, usize::saturating_add)
    }

    /// How many file descriptors are open when every listener has all connections that it may.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let of_connections = self
            .connections()
            .saturating_mul(DESCRIPTORS_PER_CONNECTION);
        of_connections.saturating_add(self.descriptors_besides(DESCRIPTORS_KEPT))
    }

    /// How many connections may be open at once in a process that may open so many file
    /// descriptors, so that some are left for discovery, the admin listener, the log and the
    /// recorder. No limit if that is more than the listeners take.
    #[must_use]
    pub fn connections_within(&self, descriptors: usize) -> usize {
        if self.descriptors() <= descriptors {
            return usize::MAX;
        }
        // Of very few, a part is kept: with none for clients nothing would be served.
        let besides = self.descriptors_besides(DESCRIPTORS_KEPT.min(descriptors / 2));
        descriptors.saturating_sub(besides) / DESCRIPTORS_PER_CONNECTION
    }

    /// The attempts of discovery for each cluster, the listening sockets, and what is kept.
    fn descriptors_besides(&self, kept: usize) -> usize {
        let binds = self.listeners.iter().map(|it| it.binds.len());
        let listening = binds.fold(0, usize::saturating_add);
        listening
            .saturating_add(self.clusters.len().saturating_mul(ATTEMPTS_MAX))
            .saturating_add(kept)
    }
}

/// One upstream.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name in the configuration.
    pub id: ClusterId,
    /// TLS towards its brokers.
    pub tls: Option<UpstreamTls>,
    /// As whom doorkeeper logs in at its brokers, where discovery and snapshots say that it does.
    pub identities: Option<Arc<Identities>>,
    /// Whether each connection to its brokers begins with a PROXY header of version 2.
    pub sends_proxy_header: bool,
    /// What its discovery goes by.
    pub discovery: discovery::Config,
}

/// One set of addresses that clients connect to.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name in the configuration.
    pub id: ListenerId,
    /// Its upstream.
    pub cluster: ClusterId,
    /// TLS towards its clients.
    pub tls: Option<ServerTls>,
    /// What clients log in with, where the snapshot says that they have to.
    pub logins: Option<Arc<Logins>>,
    /// How long a client may take for its TLS handshake, from accept.
    pub handshake_timeout: Duration,
    /// Whose PROXY headers it takes, if any.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How fast it takes connections.
    pub rates: ConnectionRates,
    /// Its addresses.
    pub binds: Vec<Bind>,
    /// What its sessions go by at first: epoch 0 and an empty topology.
    pub snapshot: Snapshot,
    /// How many connections it takes.
    pub limits: ListenerLimits,
    /// How many of them may have sent no whole request.
    pub silent: SilentLimits,
}

/// One address of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The address.
    pub at: SocketAddr,
    /// The bootstrap brokers or the broker that a client reaches through it.
    pub route: Route,
}

/// What serving needs from the process around it.
#[derive(Clone)]
pub struct Context {
    /// Gets what happens.
    pub observer: Arc<dyn Observer>,
    /// Entropy for each session and each discovery.
    pub seed: Arc<dyn Fn() -> Seed + Send + Sync>,
    /// Records what sessions see, if anybody wants that.
    pub recorder: Option<Recorder>,
    /// Threads for sessions that forward much at a time; without, all share the runtime of `serve`.
    pub bulk: Option<Bulk>,
    /// What `/readyz` shows.
    pub ready: Arc<Readiness>,
    /// Stop in order (the first SIGTERM).
    pub stop: CancellationToken,
    /// Stop now (the second one).
    pub kill: CancellationToken,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
