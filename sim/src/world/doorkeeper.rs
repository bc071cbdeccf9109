//! One doorkeeper of the simulation: `io_tokio::serve` itself, on a host of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorkeeper_core::id::{BrokerId, HostPort, Seed};
use doorkeeper_io_tokio::config;
use doorkeeper_io_tokio::serve::{self, Context, Plan, Readiness, Reload, ServeError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rules::Rules;
use super::trace::Trace;
use super::watch::Watch;
use crate::choppy::Choppy;
use crate::net::TurmoilNet;
use crate::splitmix64::SplitMix64;

/// The port of the bootstrap address; broker n is at this plus n.
const PORT: u16 = 19092;
/// The brokers that clients can be led to.
const BROKER_IDS: &str = "1-9";

/// A doorkeeper's host. Clones are the same one.
#[derive(Clone, Debug)]
pub struct DoorkeeperHost(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    net: Choppy<TurmoilNet>,
    sockets: TurmoilNet,
    plan: Plan,
    watch: Arc<Watch>,
    trace: Trace,
    seed: u64,
    /// Counts the seeds that were asked for.
    seeds: AtomicU64,
    /// How to stop the process that runs now.
    stop: Mutex<CancellationToken>,
    running: Mutex<Option<Arc<Readiness>>>,
    /// Whether a process is to run: the last word counts, however many came before it.
    wanted: AtomicBool,
    again: Notify,
    /// What the configuration says now, also for the next start.
    rules: Mutex<Rules>,
    /// The reload of the process that runs now.
    reload: Mutex<Option<Reload>>,
}

/// What a doorkeeper is made of.
pub(super) struct DoorkeeperParts<'a> {
    pub(super) name: &'a str,
    pub(super) bootstrap: &'a [HostPort],
    /// Lines of configuration, in the order: of the cluster, of the listener.
    pub(super) cluster_limits: &'a str,
    pub(super) listener_limits: &'a str,
    pub(super) net: Choppy<TurmoilNet>,
    pub(super) sockets: TurmoilNet,
    pub(super) trace: Trace,
    pub(super) seed: u64,
}

impl DoorkeeperHost {
    pub(super) fn new(parts: DoorkeeperParts<'_>) -> Result<Self, String> {
        let file = file(&parts);
        let loaded = config::parse(parts.name, &file, HashMap::new());
        let loaded = loaded.map_err(|problems| problems.to_string())?;
        let compiled = config::compile(&loaded).map_err(|problems| problems.to_string())?;
        Ok(Self(Arc::new(Inner {
            name: parts.name.to_owned(),
            net: parts.net,
            sockets: parts.sockets,
            plan: compiled.plan,
            watch: Arc::new(Watch::new(parts.name, parts.trace.clone())),
            trace: parts.trace,
            seed: parts.seed,
            seeds: AtomicU64::new(0),
            stop: Mutex::default(),
            running: Mutex::default(),
            wanted: AtomicBool::new(true),
            again: Notify::new(),
            rules: Mutex::default(),
            reload: Mutex::default(),
        })))
    }

    /// Serves, over and over: after each drain the host stays, with nobody listening, until the
    /// process is started again.
    pub(super) async fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        self.0.wanted.store(true, Ordering::Relaxed);
        loop {
            let (context, ready) = self.context();
            *self.running() = Some(ready);
            let served = self.serve(context).await;
            let name = &self.0.name;
            self.0.trace.event(format_args!("{name} served {served:?}"));
            served?;
            *self.running() = None;
            while !self.0.wanted.load(Ordering::Relaxed) {
                self.0.again.notified().await;
            }
        }
    }

    async fn serve(&self, context: Context) -> Result<(), ServeError> {
        let plan = self.0.plan.clone();
        let bound = serve::bind(&self.0.net, &plan).await?;
        *lock(&self.0.reload) = plan.listeners.first().and_then(|it| bound.reload(&it.id));
        // A process that starts reads the configuration as it is now.
        self.0.lay_over();
        serve::serve_bound(self.0.net.clone(), plan, bound, context).await
    }

    fn context(&self) -> (Context, Arc<Readiness>) {
        let stop = CancellationToken::new();
        *self.stop() = stop.clone();
        let clusters = self.0.plan.clusters.iter();
        let ready = Arc::new(Readiness::new(clusters.map(|it| it.id.clone())));
        let inside = Arc::clone(&self.0);
        let context = Context {
            observer: Arc::clone(&self.0.watch) as Arc<_>,
            seed: Arc::new(move || inside.next_seed()),
            recorder: None,
            bulk: None,
            ready: Arc::clone(&ready),
            stop,
            kill: CancellationToken::new(),
        };
        (context, ready)
    }

    fn stop(&self) -> MutexGuard<'_, CancellationToken> {
        lock(&self.0.stop)
    }

    fn running(&self) -> MutexGuard<'_, Option<Arc<Readiness>>> {
        lock(&self.0.running)
    }

    /// The configuration changes, and the running process reloads it.
    pub(super) fn reload(&self, rules: &Rules) {
        *lock(&self.0.rules) = rules.clone();
        self.0.lay_over();
    }

    /// Stops in order.
    pub(super) fn drain(&self) {
        self.0.wanted.store(false, Ordering::Relaxed);
        self.stop().cancel();
    }

    /// Starts again after a drain.
    pub(super) fn start(&self) {
        self.0.wanted.store(true, Ordering::Relaxed);
        self.0.again.notify_one();
    }

    pub(super) fn crashed(&self) {
        self.0.watch.crashed();
        *self.running() = None;
    }

    /// Whether the process runs; after a drain it no longer does.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running().is_some()
    }

    /// Whether clients can be served.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.running()
            .as_ref()
            .is_some_and(|ready| ready.is_ready())
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it has reported of itself.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// The connections that it holds.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.0.sockets.sockets()
    }

    pub(super) fn heal(&self) {
        self.0.net.heal();
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn lay_over(&self) {
        let rules = lock(&self.rules).clone();
        let (reload, listener) = (lock(&self.reload), self.plan.listeners.first());
        if let (Some(reload), Some(listener)) = (&*reload, listener) {
            reload.change(|snapshot| rules.lay_over(snapshot, &listener.snapshot.limits));
        }
    }

    fn next_seed(&self) -> Seed {
        let mut rng = SplitMix64::new(self.seed, self.seeds.fetch_add(1, Ordering::Relaxed));
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&rng.next().to_be_bytes());
        }
        Seed(seed)
    }
}

/// Where clients find a broker at a doorkeeper, and the bootstrap address without a broker.
///
/// # Errors
/// The host is no host name.
pub fn address(doorkeeper: &str, broker: Option<BrokerId>) -> Result<HostPort, String> {
    let port = i32::from(PORT) + broker.map_or(0, |id| id.0);
    let port = u16::try_from(port).map_err(|error| error.to_string())?;
    HostPort::new(doorkeeper, port).map_err(|error| error.to_string())
}

/// The configuration, as a user would write it.
fn file(parts: &DoorkeeperParts<'_>) -> String {
    let bootstrap: Vec<String> = parts.bootstrap.iter().map(HostPort::to_string).collect();
    format!(
        "drain_timeout: 10s\n\
         clusters:\n  main:\n    bootstrap: [{}]\n    refresh_every: 30s\n    limits: {{ {} }}\n\
         listeners:\n  public:\n    cluster: main\n    bind: 0.0.0.0\n    insecure: allow\n    \
         advertised_host: {}\n    limits: {{ {} }}\n    route:\n      \
         ports: {{ bootstrap: {PORT}, brokers: {PORT}, broker_ids: {BROKER_IDS} }}\n",
        bootstrap.join(", "),
        parts.cluster_limits,
        parts.name,
        parts.listener_limits,
    )
}
