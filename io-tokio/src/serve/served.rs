//! All that is served now, and how it becomes what another plan says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use doorkeeper_core::{Observation, Snapshot};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::TaskTracker;

use crate::Net;
use crate::connection_rate::ConnectionBuckets;
use crate::discovery::{Discovering, DiscoverySettings};
use crate::driver::{ClusterContext, SessionContext};
use crate::https::HttpsClient;
use crate::id::{ClusterId, ListenerId};
use crate::limits::{ConnectionLimiter, ProcessConnections};
use crate::login::tokens::Tokens;
use crate::observer::ListenAddr;
use crate::plan::{Cluster, Listener, Plan};
use crate::process::ProcessContext;
use crate::serve::accept::{Accepting, Destination};
use crate::serve::changed_trust::ChangedTrust;
use crate::serve::changes::{Changes, of_client_tls, of_listener, of_upstream_tls};
use crate::serve::connection_stage::{ConnectionStage, StageSettings};
use crate::serve::{Never, ServeError, Sockets, bind_all};
use crate::silent::SilentConnections;
use crate::snapshots::Snapshots;

/// How many hints of sessions may wait for a cluster's discovery; more are dropped.
const HINTS_MAX: usize = 64;

/// All that is served, by the names that the configuration has for it.
pub(super) struct Served<N: Net> {
    pub(super) process: Arc<ProcessContext<N>>,
    pub(super) accepting: JoinSet<Never>,
    pub(super) discovering: JoinSet<Never>,
    pub(super) sessions: TaskTracker,
    pub(super) drain_timeout: Duration,
    /// What is served.
    plan: Plan,
    connections: Arc<ProcessConnections>,
    session_ids: Arc<AtomicU64>,
    /// Of listeners that are not served yet.
    snapshots: BTreeMap<ListenerId, Arc<Snapshots>>,
    clusters: BTreeMap<ClusterId, ServedCluster>,
    listeners: BTreeMap<ListenerId, ServedListener<N>>,
    addresses: BTreeMap<SocketAddr, ServedAddress<N>>,
}

struct ServedCluster {
    context: Arc<ClusterContext>,
    discovery: DiscoveryTask,
}

/// The discovery of a cluster.
enum DiscoveryTask {
    /// It begins once the listeners of the cluster are there.
    Due(mpsc::Receiver<Observation>),
    Runs {
        settings: mpsc::UnboundedSender<DiscoverySettings>,
        task: AbortHandle,
    },
}

struct ServedListener<N> {
    context: Arc<SessionContext<N>>,
    stage: Arc<ConnectionStage<N>>,
}

struct ServedAddress<N> {
    destination: Arc<ArcSwap<Destination<N>>>,
    /// What sessions that come in here go by.
    context: Arc<SessionContext<N>>,
    task: AbortHandle,
}

/// Whether the parts of a plan fit each other.
pub(super) fn check(plan: &Plan) -> Result<(), ServeError> {
    let clusters: BTreeSet<&ClusterId> = plan.clusters.iter().map(|it| &it.id).collect();
    let mut listeners = plan.listeners.iter();
    match listeners.find(|it| !clusters.contains(&it.cluster)) {
        Some(listener) => Err(ServeError::NoCluster {
            listener: listener.id.clone(),
        }),
        None => Ok(()),
    }
}

/// Whether every address of a plan is bound.
pub(super) fn check_bound<S>(
    plan: &Plan,
    sockets: &BTreeMap<SocketAddr, S>,
) -> Result<(), ServeError> {
    let is_bound = |it: &Listener| it.binds.iter().all(|bind| sockets.contains_key(&bind.at));
    match plan.listeners.iter().find(|it| !is_bound(it)) {
        Some(listener) => Err(ServeError::NotBound {
            listener: listener.id.clone(),
        }),
        None => Ok(()),
    }
}

impl<N: Net> Served<N> {
    /// Nothing yet. Listeners with one of these names go by its snapshots.
    pub(super) fn new(
        process: Arc<ProcessContext<N>>,
        snapshots: BTreeMap<ListenerId, Arc<Snapshots>>,
    ) -> Self {
        Self {
            process,
            accepting: JoinSet::new(),
            discovering: JoinSet::new(),
            sessions: TaskTracker::new(),
            drain_timeout: Duration::ZERO,
            plan: Plan {
                clusters: Vec::new(),
                listeners: Vec::new(),
                drain_timeout: Duration::ZERO,
                buffered_bytes_max: 0,
                connections_max: 0,
            },
            connections: ProcessConnections::new(0),
            session_ids: Arc::default(),
            snapshots,
            clusters: BTreeMap::new(),
            listeners: BTreeMap::new(),
            addresses: BTreeMap::new(),
        }
    }

    /// Serves all of a plan, or goes on as before.
    ///
    /// All that may fail comes first: what follows changes one thing after the other, and nothing
    /// of it can fail.
    pub(super) async fn reload(&mut self, plan: Plan) -> Result<Changes, ServeError> {
        check(&plan)?;
        let changes = Changes::between(&self.plan, &plan);
        if !changes.is_empty() {
            let is_new = |at: SocketAddr| !self.addresses.contains_key(&at);
            let sockets = bind_all(&self.process.net, &plan, is_new).await?;
            let trust = ChangedTrust::between(&self.plan, &plan);
            self.serve(plan, sockets);
            trust.end_sessions(&self.process.open_sessions).await;
        }
        Ok(changes)
    }

    /// Serves a plan; these addresses of it are new.
    pub(super) fn serve(&mut self, plan: Plan, sockets: Sockets<N>) {
        let binds = plan.listeners.iter().flat_map(|it| &it.binds);
        self.process.own.replace(binds.map(|bind| bind.at));
        self.connections.set_max(plan.connections_max);
        self.drain_timeout = plan.drain_timeout;
        for cluster in &plan.clusters {
            self.provide_cluster(cluster);
        }
        let client = HttpsClient {
            net: self.process.net.clone(),
            own: self.process.own.clone(),
            clock: self.process.clock.clone(),
        };
        let tokens = &self.process.verifiers.tokens;
        tokens.fetch(&client, tokens_of(&plan));
        for listener in &plan.listeners {
            self.serve_listener(listener);
        }
        self.accept_at(&plan, sockets);
        for cluster in &plan.clusters {
            self.discover(cluster, &plan);
        }
        self.remove_others(&plan);
        self.plan = plan;
        self.end_unserved();
    }

    /// There is a context of this cluster, with its newest settings.
    fn provide_cluster(&mut self, cluster: &Cluster) {
        let tls = || cluster.tls.clone().map(Arc::new);
        if let Some(served) = self.clusters.get(&cluster.id) {
            served.context.identities.store(cluster.identities.clone());
            let sends_proxy_header = &served.context.sends_proxy_header;
            sends_proxy_header.store(cluster.sends_proxy_header, Ordering::Relaxed);
            if self.redials(cluster) {
                served.context.tls.store(tls());
            }
            return;
        }
        let (hints, hinted) = mpsc::channel(HINTS_MAX);
        let context = ClusterContext {
            id: cluster.id.clone(),
            tls: ArcSwapOption::new(tls()),
            identities: ArcSwapOption::new(cluster.identities.clone()),
            sends_proxy_header: cluster.sends_proxy_header.into(),
            hints,
        };
        let served = ServedCluster {
            context: Arc::new(context),
            discovery: DiscoveryTask::Due(hinted),
        };
        self.clusters.insert(cluster.id.clone(), served);
    }

    /// Whether brokers are to be dialled with other TLS than before.
    fn redials(&self, cluster: &Cluster) -> bool {
        let before = self.plan.clusters.iter().find(|it| it.id == cluster.id);
        before.is_some_and(|before| !of_upstream_tls(before, cluster).is_empty())
    }

    fn serve_listener(&mut self, listener: &Listener) {
        let Some(cluster) = self.clusters.get(&listener.cluster) else {
            return;
        };
        let cluster = Arc::clone(&cluster.context);
        let before = self.plan.listeners.iter().find(|it| it.id == listener.id);
        let (Some(before), Some(served)) = (before, self.listeners.get_mut(&listener.id)) else {
            let snapshots = self.snapshots.remove(&listener.id);
            let snapshots =
                snapshots.unwrap_or_else(|| Arc::new(Snapshots::new(listener.snapshot.clone())));
            let context = Arc::new(SessionContext {
                process: Arc::clone(&self.process),
                snapshots,
                logins: ArcSwapOption::new(listener.logins.clone()),
                cluster,
            });
            let stage = ConnectionStage {
                settings: ArcSwap::from_pointee(StageSettings {
                    context: Arc::clone(&context),
                    listener: listener.clone(),
                }),
                limiter: ConnectionLimiter::new(listener.limits, Arc::clone(&self.connections)),
                buckets: ConnectionBuckets::default(),
                silent: SilentConnections::new(listener.silent),
                sessions: self.sessions.clone(),
                session_ids: Arc::clone(&self.session_ids),
            };
            let stage = Arc::new(stage);
            let served = ServedListener { context, stage };
            self.listeners.insert(listener.id.clone(), served);
            return;
        };
        if before.cluster != listener.cluster {
            served.context = Arc::new(SessionContext {
                process: Arc::clone(&self.process),
                snapshots: Arc::new(Snapshots::new(listener.snapshot.clone())),
                logins: ArcSwapOption::new(listener.logins.clone()),
                cluster,
            });
        } else {
            // First, as sessions ask for them as soon as they have to log in.
            served.context.logins.store(listener.logins.clone());
            if !is_configured_alike(&before.snapshot, &listener.snapshot) {
                served.context.snapshots.configure(&listener.snapshot);
            }
        }
        if !of_listener(before, listener).is_empty() {
            served.configure_stage(listener.clone());
        }
    }

    /// Accepts at every address of the plan. One that is bound already stays so, whatever it is
    /// for from now on.
    fn accept_at(&mut self, plan: &Plan, mut sockets: Sockets<N>) {
        for listener in &plan.listeners {
            let Some(served) = self.listeners.get(&listener.id) else {
                continue;
            };
            for bind in &listener.binds {
                let listen_addr = ListenAddr {
                    listener: listener.id.clone(),
                    at: bind.at,
                    route: bind.route,
                };
                let bound = self.addresses.get_mut(&bind.at);
                if let Some(bound) = &bound
                    && *bound.destination.load().listen_addr == listen_addr
                    && Arc::ptr_eq(&bound.context, &served.context)
                {
                    continue;
                }
                self.process.observer.listening(&listen_addr);
                let listen_addr = Arc::new(listen_addr);
                self.process.open_sessions.serve_also(&listen_addr);
                let destination = Arc::new(Destination {
                    listen_addr,
                    stage: Arc::clone(&served.stage),
                });
                if let Some(bound) = bound {
                    bound.destination.store(destination);
                    bound.context = Arc::clone(&served.context);
                } else if let Some(socket) = sockets.remove(&bind.at) {
                    let destination = Arc::new(ArcSwap::new(destination));
                    let accepting = Accepting {
                        net: self.process.net.clone(),
                        observer: Arc::clone(&self.process.observer),
                        destination: Arc::clone(&destination),
                    };
                    let address = ServedAddress {
                        destination,
                        context: Arc::clone(&served.context),
                        task: self.accepting.spawn(accepting.run(socket)),
                    };
                    self.addresses.insert(bind.at, address);
                }
            }
        }
    }

    /// Discovery of the cluster goes by its newest settings and listeners.
    fn discover(&mut self, cluster: &Cluster, plan: &Plan) {
        let redials = self.redials(cluster);
        let Some(served) = self.clusters.get_mut(&cluster.id) else {
            return;
        };
        let of_it = plan.listeners.iter().filter(|it| it.cluster == cluster.id);
        let listeners = of_it.filter_map(|it| {
            let context = &self.listeners.get(&it.id)?.context;
            Some((it.id.clone(), Arc::clone(&context.snapshots)))
        });
        let settings = DiscoverySettings {
            config: cluster.discovery.clone(),
            listeners: listeners.collect(),
            redials,
        };
        match &mut served.discovery {
            // Its end would have ended everything.
            DiscoveryTask::Runs { settings: to, .. } => drop(to.send(settings)),
            DiscoveryTask::Due(hinted) => {
                let (_, none) = mpsc::channel(1);
                let hinted = std::mem::replace(hinted, none);
                let (to, from) = mpsc::unbounded_channel();
                let discovering = Discovering::new(
                    Arc::clone(&self.process),
                    cluster.id.clone(),
                    Arc::clone(&served.context),
                    hinted,
                    settings,
                    from,
                );
                served.discovery = DiscoveryTask::Runs {
                    settings: to,
                    task: self.discovering.spawn(discovering.run()),
                };
            }
        }
    }

    /// Ends what is not in the plan.
    fn remove_others(&mut self, plan: &Plan) {
        let tokens = &self.process.verifiers.tokens;
        tokens.fetch_no_others(tokens_of(plan));
        let observer = &self.process.observer;
        let binds = plan.listeners.iter().flat_map(|it| &it.binds);
        let binds: BTreeSet<SocketAddr> = binds.map(|bind| bind.at).collect();
        self.addresses.retain(|at, address| {
            let stays = binds.contains(at);
            if !stays {
                address.task.abort();
                observer.listening_ended(&address.destination.load().listen_addr);
            }
            stays
        });
        let listeners: BTreeSet<&ListenerId> = plan.listeners.iter().map(|it| &it.id).collect();
        self.listeners.retain(|id, _| {
            let stays = listeners.contains(id);
            if !stays {
                observer.listener_removed(id);
            }
            stays
        });
        let clusters: BTreeSet<&ClusterId> = plan.clusters.iter().map(|it| &it.id).collect();
        self.clusters.retain(|id, cluster| {
            let stays = clusters.contains(id);
            if !stays {
                if let DiscoveryTask::Runs { task, .. } = &cluster.discovery {
                    task.abort();
                }
                self.process.ready.removed(id);
                observer.cluster_removed(id);
            }
            stays
        });
    }

    /// Ends the sessions of addresses that are not served any more.
    fn end_unserved(&self) {
        let served = self.addresses.values();
        let served = served.map(|it| Arc::clone(&it.destination.load().listen_addr));
        let open_sessions = &self.process.open_sessions;
        open_sessions.serve(served);
        let by = self.process.clock.now().after(self.drain_timeout);
        open_sessions.end_unserved(by);
    }
}

/// What the bearer tokens of all listeners are verified by.
fn tokens_of(plan: &Plan) -> impl Iterator<Item = &Tokens> {
    let logins = plan.listeners.iter().filter_map(|it| it.logins.as_ref());
    logins.filter_map(|it| it.tokens.as_deref())
}

impl<N: Net> ServedListener<N> {
    /// Connections that are accepted from now on go by this. TLS that is the same stays what it
    /// is, with the sessions that clients may resume.
    fn configure_stage(&self, mut listener: Listener) {
        let before = self.stage.settings.load();
        if of_client_tls(&before.listener, &listener).is_empty() {
            listener.tls.clone_from(&before.listener.tls);
        }
        self.stage.configure(StageSettings {
            context: Arc::clone(&self.context),
            listener,
        });
    }
}

/// Whether what is configured of two snapshots is the same.
fn is_configured_alike(old: &Snapshot, new: &Snapshot) -> bool {
    let Snapshot {
        epoch: _,
        limits,
        policy,
        login,
        upstream_login,
        offered,
        bootstrap,
        dial,
        advertised,
        topology: _,
        known_hosts: _,
    } = new;
    (
        limits,
        policy,
        login,
        upstream_login,
        offered,
        bootstrap,
        dial,
        advertised,
    ) == (
        &old.limits,
        &old.policy,
        &old.login,
        &old.upstream_login,
        &old.offered,
        &old.bootstrap,
        &old.dial,
        &old.advertised,
    )
}
