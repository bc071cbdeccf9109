//! What to serve, as the configuration says, and what it needs from the process around it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::id::Seed;
use doorkeeper_core::{Route, Shared, discovery};
use tokio_util::sync::CancellationToken;

use super::Readiness;
use crate::answers::Answers;
use crate::bulk::Bulk;
use crate::limits::ListenerLimits;
use crate::observer::Observer;
use crate::recorder::Recorder;

/// Everything that one process serves.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The upstreams.
    pub clusters: Vec<Cluster>,
    /// Where clients come in.
    pub listeners: Vec<Listener>,
    /// How long open sessions may take to give their owed answers once doorkeeper stops.
    pub drain_timeout: Duration,
    /// What all sessions together may hold back of requests, and as much again of responses.
    pub held_bytes_max: usize,
}

/// One upstream.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What its discovery goes by.
    pub discovery: discovery::Config,
}

/// One way in.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its upstream, by the place in [`Plan::clusters`].
    pub cluster: usize,
    /// Its addresses.
    pub binds: Vec<Bind>,
    /// What its sessions go by at first: epoch 0 and an empty topology.
    pub shared: Shared,
    /// How many connections it takes.
    pub limits: ListenerLimits,
}

/// One address of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The address.
    pub at: SocketAddr,
    /// Whom a client reaches through it.
    pub route: Route,
}

/// What serving needs from the process around it.
#[derive(Clone)]
pub struct Context {
    /// Is told what happens.
    pub observer: Arc<dyn Observer>,
    /// Answers the questions of sessions.
    pub answers: Arc<dyn Answers>,
    /// Entropy for each session and each discovery.
    pub seed: Arc<dyn Fn() -> Seed + Send + Sync>,
    /// Records what sessions see, if anybody wants that.
    pub recorder: Option<Recorder>,
    /// Threads for sessions that carry much at a time; without, all share the runtime of `serve`.
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
