//! Serves listeners: binds, accepts, and keeps one task a session.

mod accept;
mod changed_trust;
mod changes;
mod connection_stage;
mod reloader;
mod served;
mod tls_handshake;

pub use self::changes::Changes;
pub use self::reloader::{ReloadError, Reloader};
pub use crate::plan::{Bind, Cluster, Context, Listener, Plan};
pub use crate::readiness::Readiness;
pub use crate::snapshots::Reload;

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::reloader::{Request, Requests};
use self::served::Served;
use crate::Net;
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::id::ListenerId;
use crate::login::{PasswordChecks, TokenChecks, Verifiers};
use crate::open_sessions::OpenSessions;
use crate::own_addresses::OwnAddresses;
use crate::process::ProcessContext;
use crate::shutdown::Shutdown;
use crate::snapshots::Snapshots;
use crate::tls::listener::Handshakes;

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
    sockets: Sockets<N>,
    snapshots: BTreeMap<ListenerId, Arc<Snapshots>>,
    requests: Requests,
}

/// Bound addresses.
type Sockets<N> = BTreeMap<SocketAddr, <N as Net>::Listener>;

impl<N: Net> Bound<N> {
    /// What changes the sessions of a listener go by, before anybody is let in and as long as it
    /// is served. The next plan of [`Self::reloader`] replaces it.
    #[must_use]
    pub fn reload(&self, listener: &ListenerId) -> Option<Reload> {
        let snapshots = self.snapshots.get(listener)?;
        Some(Reload::new(Arc::clone(snapshots)))
    }

    /// What gives whoever serves another plan.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.requests.reloader()
    }
}

impl<N: Net> fmt::Debug for Bound<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sockets.keys()).finish()
    }
}

/// As [`serve`], with what [`bind`] gave for the same plan.
///
/// # Errors
/// A task that must not end has panicked.
pub async fn serve_bound<N: Net>(
    net: N,
    plan: Plan,
    bound: Bound<N>,
    context: Context,
) -> Result<(), ServeError> {
    let verifiers = Verifiers {
        passwords: PasswordChecks::new(Arc::clone(&context.seed)),
        tokens: TokenChecks::new(),
    };
    let process = ProcessContext {
        verifiers,
        net,
        own: OwnAddresses::new(bound.sockets.keys().copied()),
        clock: Clock::start(),
        observer: context.observer,
        seed: context.seed,
        recorder: context.recorder,
        bulk: context.bulk,
        ready: context.ready,
        shutdown: Shutdown::default(),
        open_sessions: OpenSessions::default(),
        handshakes: Handshakes::default(),
        budgets: Arc::new(Budgets::new(plan.buffered_bytes_max)),
    };
    served::check(&plan)?;
    served::check_bound(&plan, &bound.sockets)?;
    let mut served = Served::new(Arc::new(process), bound.snapshots);
    served.serve(plan, bound.sockets);
    let server = Server {
        process: Arc::clone(&served.process),
        stop: context.stop,
        kill: context.kill,
    };
    let mut beating = JoinSet::new();
    beating.spawn(server.process.clock.clone().beat());
    server.process.ready.bound();

    let failed = server.until_stopped(&mut served, bound.requests).await;
    server.process.ready.draining();
    served.accepting.shutdown().await;
    server.drain(&served).await;
    served.discovering.shutdown().await;
    beating.shutdown().await;
    failed.map_or(Ok(()), Err)
}

/// Binds every address of the plan. No connection is accepted yet.
///
/// # Errors
/// [`ServeError::Bind`] with all that cannot be bound.
pub async fn bind<N: Net>(net: &N, plan: &Plan) -> Result<Bound<N>, ServeError> {
    let sockets = bind_all(net, plan, |_| true).await?;
    let listeners = plan.listeners.iter();
    Ok(Bound {
        sockets,
        snapshots: listeners
            .map(|it| (it.id.clone(), Arc::new(Snapshots::new(it.snapshot.clone()))))
            .collect(),
        requests: Requests::default(),
    })
}

/// Binds those addresses of the plan that are wanted.
async fn bind_all<N: Net>(
    net: &N,
    plan: &Plan,
    is_wanted: impl Fn(SocketAddr) -> bool,
) -> Result<Sockets<N>, ServeError> {
    let mut sockets = BTreeMap::new();
    let mut failed = Vec::new();
    for listener in &plan.listeners {
        for bind in listener.binds.iter().filter(|bind| is_wanted(bind.at)) {
            match net.bind(bind.at).await {
                Ok(socket) => {
                    sockets.insert(bind.at, socket);
                }
                Err(source) => failed.push(CannotBind {
                    listener: listener.id.clone(),
                    at: bind.at,
                    source,
                }),
            }
        }
    }
    if failed.is_empty() {
        Ok(sockets)
    } else {
        Err(ServeError::Bind(failed))
    }
}

/// How one of these tasks has failed, if one has. Those that a reload ends have not.
fn failed(tasks: &mut JoinSet<Never>, cx: &mut TaskContext<'_>) -> Option<JoinError> {
    loop {
        match tasks.poll_join_next(cx) {
            Poll::Ready(Some(Err(error))) if error.is_cancelled() => {}
            Poll::Ready(Some(Err(error))) => return Some(error),
            Poll::Ready(Some(Ok(never))) => match never {},
            Poll::Ready(None) | Poll::Pending => return None,
        }
    }
}

/// What serving waits for.
enum Event {
    Stop(Option<ServeError>),
    Reload(Box<Request>),
}

/// What ends all that is served.
struct Server<N> {
    process: Arc<ProcessContext<N>>,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl<N: Net> Server<N> {
    /// Reloads until serving has to stop, or a task fails that never should.
    async fn until_stopped(
        &self,
        served: &mut Served<N>,
        mut requests: Requests,
    ) -> Option<ServeError> {
        loop {
            match self.next(served, &mut requests).await {
                Event::Stop(failed) => return failed,
                Event::Reload(request) => {
                    // It may take long: to bind addresses, and to verify certificates, which goes
                    // on when nobody waits for it.
                    if self.stops_before(request.answer(served)).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Whether serving has to stop before that is done.
    async fn stops_before(&self, doing: impl Future<Output = ()>) -> bool {
        let (mut stop, mut kill) = (pin!(self.stop.cancelled()), pin!(self.kill.cancelled()));
        let mut doing = pin!(doing);
        poll_fn(|cx| {
            if stop.as_mut().poll(cx).is_ready() || kill.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            doing.as_mut().poll(cx).map(|()| false)
        })
        .await
    }

    async fn next(&self, served: &mut Served<N>, requests: &mut Requests) -> Event {
        let mut stop = pin!(self.stop.cancelled());
        let mut kill = pin!(self.kill.cancelled());
        poll_fn(|cx| {
            if stop.as_mut().poll(cx).is_ready() || kill.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Stop(None));
            }
            if let Some(error) = failed(&mut served.accepting, cx) {
                return Poll::Ready(Event::Stop(Some(ServeError::Accepting(error))));
            }
            if let Some(error) = failed(&mut served.discovering, cx) {
                return Poll::Ready(Event::Stop(Some(ServeError::Discovering(error))));
            }
            requests.poll(cx).map(Event::Reload)
        })
        .await
    }

    /// Lets the open sessions give their owed responses, and ends those that are left.
    async fn drain(&self, served: &Served<N>) {
        let (sessions, within) = (&served.sessions, served.drain_timeout);
        sessions.close();
        self.process.observer.draining(sessions.len(), within);
        let by = self.process.clock.now().after(within);
        self.process.shutdown.drain(by);
        {
            // Each closes by itself when its time is over, and says so.
            let gone = self
                .process
                .clock
                .until(by.after(ABORT_GRACE), sessions.wait());
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
        let _ = self.process.clock.until(by, sessions.wait()).await;
    }
}
