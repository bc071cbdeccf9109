//! Serves listeners: binds, accepts, and keeps one task a session.

mod accept;
mod connection_stage;
mod tls_handshake;

pub use crate::plan::{Bind, Cluster, Context, Listener, Plan};
pub use crate::readiness::Readiness;
pub use crate::snapshots::Reload;

use std::collections::BTreeSet;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use doorkeeper_core::Observation;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Net;
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::discovery::{DiscoveredListener, Discovering};
use crate::driver::SessionContext;
use crate::id::ListenerId;
use crate::limits::{ConnectionLimiter, ProcessConnections};
use crate::observer::ListenAddr;
use crate::own_addresses::OwnAddresses;
use crate::process::ProcessContext;
use crate::serve::accept::Accepting;
use crate::serve::connection_stage::ConnectionStage;
use crate::shutdown::Shutdown;
use crate::silent::SilentConnections;
use crate::snapshots::Snapshots;
use crate::tls::listener::Handshakes;

/// How many hints of sessions may wait for a cluster's discovery; more are dropped.
const HINTS_MAX: usize = 64;

/// How long sessions whose time is over may take to notice, before and after they are dropped.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// What a task that never ends returns.
type Never = std::convert::Infallible;

/// Why serving could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// These addresses cannot be bound.
    #[error("{}", in_words(.0))]
    Bind(Vec<CannotBind>),
    /// A listener names a cluster that the plan does not have.
    #[error("listener {listener}: the plan has no such cluster")]
    NoCluster {
        /// The listener's name.
        listener: ListenerId,
    },
    /// A listener of the plan was not bound.
    #[error("listener {listener}: it is not bound")]
    NotBound {
        /// The listener's name.
        listener: ListenerId,
    },
    /// A task that must not end has panicked; the open sessions were drained.
    #[error("accepting connections failed: {0}")]
    Accepting(JoinError),
    /// So has another one.
    #[error("discovery failed: {0}")]
    Discovering(JoinError),
}

/// An address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener}: cannot bind {at}: {source}")]
pub struct CannotBind {
    /// The listener's name.
    pub listener: ListenerId,
    /// The address.
    pub at: SocketAddr,
    /// Why.
    pub source: io::Error,
}

fn in_words(all: &[CannotBind]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// Binds every address of the plan and serves until [`Context::stop`] or [`Context::kill`] is
/// cancelled and the sessions are gone.
///
/// On `stop` no more connections are accepted, and open sessions send the responses that they owe
/// within [`Plan::drain_timeout`]; what is left then, or on `kill`, is dropped.
///
/// # Errors
/// Nothing is served unless every address can be bound.
pub async fn serve<N: Net>(net: N, plan: Plan, context: Context) -> Result<(), ServeError> {
    let bound = bind(&net, &plan).await?;
    serve_bound(net, plan, bound, context).await
}

/// The addresses of a plan, bound. Dropping it frees them.
pub struct Bound<N: Net> {
    listeners: Vec<BoundListener<N>>,
}

/// What there is of one listener before anybody is let in.
struct BoundListener<N: Net> {
    id: ListenerId,
    listen_addrs: BoundAddresses<N>,
    snapshots: Arc<Snapshots>,
}

impl<N: Net> Bound<N> {
    /// What changes the configuration of a listener, before anybody is let in and as long as it is
    /// served.
    #[must_use]
    pub fn reload(&self, listener: &ListenerId) -> Option<Reload> {
        let bound = self.listeners.iter().find(|it| it.id == *listener)?;
        Some(Reload::new(Arc::clone(&bound.snapshots)))
    }
}

impl<N: Net> fmt::Debug for Bound<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listen_addrs = self.listeners.iter().flat_map(|bound| &bound.listen_addrs);
        f.debug_set()
            .entries(listen_addrs.map(|(listen_addr, _)| listen_addr.at))
            .finish()
    }
}

/// As [`serve`], with what [`bind`] gave for the same plan.
///
/// # Errors
/// A task that must not end has panicked.
pub async fn serve_bound<N: Net>(
    net: N,
    plan: Plan,
    mut bound: Bound<N>,
    context: Context,
) -> Result<(), ServeError> {
    let listen_addrs = bound.listeners.iter().flat_map(|bound| &bound.listen_addrs);
    let process = ProcessContext {
        net,
        own: OwnAddresses::new(listen_addrs.map(|(listen_addr, _)| listen_addr.at)),
        clock: Clock::start(),
        observer: context.observer,
        seed: context.seed,
        recorder: context.recorder,
        bulk: context.bulk,
        ready: context.ready,
        shutdown: Shutdown::default(),
        handshakes: Handshakes::default(),
        budgets: Arc::new(Budgets::new(plan.buffered_bytes_max)),
    };
    let server = Server {
        process: Arc::new(process),
        stop: context.stop,
        kill: context.kill,
        connections: ProcessConnections::new(plan.connections_max),
        sessions: TaskTracker::new(),
        session_ids: Arc::default(),
    };
    let mut clusters: Vec<_> = plan.clusters.into_iter().map(Upstream::new).collect();
    let mut beating = JoinSet::new();
    beating.spawn(server.process.clock.clone().beat());
    let mut accepting = JoinSet::new();
    for listener in plan.listeners {
        let mut all = clusters.iter_mut();
        let Some(upstream) = all.find(|it| it.cluster.id == listener.cluster) else {
            let listener = listener.id;
            return Err(ServeError::NoCluster { listener });
        };
        let Some(at) = bound.listeners.iter().position(|it| it.id == listener.id) else {
            let listener = listener.id;
            return Err(ServeError::NotBound { listener });
        };
        let bound = bound.listeners.remove(at);
        server.open(listener, bound, upstream, &mut accepting);
    }
    server.process.ready.bound();
    let mut discovering = JoinSet::new();
    for upstream in clusters {
        discovering.spawn(server.discovering(upstream).run());
    }

    let failed = server.until_stopped(&mut accepting, &mut discovering).await;
    server.process.ready.draining();
    accepting.shutdown().await;
    server.drain(plan.drain_timeout).await;
    discovering.shutdown().await;
    beating.shutdown().await;
    failed.map_or(Ok(()), Err)
}

/// The bound addresses of one listener.
type BoundAddresses<N> = Vec<(Arc<ListenAddr>, <N as Net>::Listener)>;

/// Binds every address of the plan. No connection is accepted yet.
///
/// # Errors
/// [`ServeError::Bind`] with all that cannot be bound.
pub async fn bind<N: Net>(net: &N, plan: &Plan) -> Result<Bound<N>, ServeError> {
    let mut listeners = Vec::with_capacity(plan.listeners.len());
    let mut failed = Vec::new();
    for listener in &plan.listeners {
        let mut listen_addrs = Vec::with_capacity(listener.binds.len());
        for bind in &listener.binds {
            let listen_addr = ListenAddr {
                listener: listener.id.clone(),
                at: bind.at,
                route: bind.route,
            };
            match net.bind(bind.at).await {
                Ok(bound) => listen_addrs.push((Arc::new(listen_addr), bound)),
                Err(source) => failed.push(CannotBind {
                    listener: listen_addr.listener,
                    at: listen_addr.at,
                    source,
                }),
            }
        }
        let snapshots = Arc::new(Snapshots::new(listener.snapshot.clone()));
        listeners.push(BoundListener {
            id: listener.id.clone(),
            listen_addrs,
            snapshots,
        });
    }
    if failed.is_empty() {
        Ok(Bound { listeners })
    } else {
        Err(ServeError::Bind(failed))
    }
}

/// How one of these tasks has ended, if one has.
fn failed(tasks: &mut JoinSet<Never>, cx: &mut TaskContext<'_>) -> Option<JoinError> {
    match tasks.poll_join_next(cx) {
        Poll::Ready(Some(Err(error))) => Some(error),
        Poll::Ready(Some(Ok(never))) => match never {},
        Poll::Ready(None) | Poll::Pending => None,
    }
}

/// One cluster while its listeners are being opened.
struct Upstream {
    cluster: Cluster,
    hints: mpsc::Sender<Observation>,
    hinted: mpsc::Receiver<Observation>,
    listeners: Vec<DiscoveredListener>,
}

impl Upstream {
    fn new(cluster: Cluster) -> Self {
        let (hints, hinted) = mpsc::channel(HINTS_MAX);
        Self {
            cluster,
            hints,
            hinted,
            listeners: Vec::new(),
        }
    }
}

/// What all listeners and clusters of one process have in common.
struct Server<N> {
    process: Arc<ProcessContext<N>>,
    stop: CancellationToken,
    kill: CancellationToken,
    connections: Arc<ProcessConnections>,
    sessions: TaskTracker,
    session_ids: Arc<AtomicU64>,
}

impl<N: Net> Server<N> {
    /// Starts to accept at all addresses of a listener.
    fn open(
        &self,
        listener: Listener,
        bound: BoundListener<N>,
        upstream: &mut Upstream,
        accepting: &mut JoinSet<Never>,
    ) {
        let context = Arc::new(SessionContext {
            process: Arc::clone(&self.process),
            snapshots: bound.snapshots,
            upstream_tls: upstream.cluster.tls.clone(),
            hints: upstream.hints.clone(),
        });
        upstream.listeners.push(DiscoveredListener {
            id: listener.id,
            snapshots: Arc::clone(&context.snapshots),
            unaddressed: BTreeSet::new(),
        });
        let stage = Arc::new(ConnectionStage {
            context,
            tls: listener.tls,
            handshake_timeout: listener.handshake_timeout,
            limiter: ConnectionLimiter::new(listener.limits, Arc::clone(&self.connections)),
            silent: SilentConnections::new(listener.silent),
            sessions: self.sessions.clone(),
            session_ids: Arc::clone(&self.session_ids),
        });
        for (listen_addr, socket) in bound.listen_addrs {
            self.process.observer.listening(&listen_addr);
            let accept = Accepting {
                net: self.process.net.clone(),
                observer: Arc::clone(&self.process.observer),
                listen_addr,
                stage: Arc::clone(&stage),
            };
            accepting.spawn(accept.run(socket));
        }
    }

    fn discovering(&self, upstream: Upstream) -> Discovering<N> {
        Discovering {
            process: Arc::clone(&self.process),
            cluster: upstream.cluster,
            hints: upstream.hinted,
            listeners: upstream.listeners,
            published: Arc::default(),
        }
    }

    /// Waits until serving has to stop, or a task fails that never should.
    async fn until_stopped(
        &self,
        accepting: &mut JoinSet<Never>,
        discovering: &mut JoinSet<Never>,
    ) -> Option<ServeError> {
        let mut stop = pin!(self.stop.cancelled());
        let mut kill = pin!(self.kill.cancelled());
        poll_fn(|cx| {
            if stop.as_mut().poll(cx).is_ready() || kill.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if let Some(error) = failed(accepting, cx) {
                return Poll::Ready(Some(ServeError::Accepting(error)));
            }
            if let Some(error) = failed(discovering, cx) {
                return Poll::Ready(Some(ServeError::Discovering(error)));
            }
            Poll::Pending
        })
        .await
    }

    /// Lets the open sessions give their owed responses, and ends those that are left.
    async fn drain(&self, within: Duration) {
        self.sessions.close();
        self.process.observer.draining(self.sessions.len(), within);
        let by = self.process.clock.now().after(within);
        self.process.shutdown.drain(by);
        {
            // Each closes by itself when its time is over, and says so.
            let gone = self
                .process
                .clock
                .until(by.after(ABORT_GRACE), self.sessions.wait());
            let (mut gone, mut kill) = (pin!(gone), pin!(self.kill.cancelled()));
            poll_fn(|cx| match kill.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => gone.as_mut().poll(cx).map(|_| ()),
            })
            .await;
        }
        self.process.shutdown.abort();
        // A session that does not even notice that is dropped with the runtime.
        let by = self.process.clock.now().after(ABORT_GRACE);
        let _ = self.process.clock.until(by, self.sessions.wait()).await;
    }
}
