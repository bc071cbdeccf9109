//! Drives the discovery of one cluster and publishes the topology that it learns.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use doorkeeper_core::discovery::{self, Discovery, Effect, Input};
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::proxy_protocol::Header;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{Instant, Observation};
use tokio::sync::mpsc;

use crate::clock::Timer;
use crate::dial::Dial;
use crate::driver::ClusterContext;
use crate::id::{ClusterId, ListenerId};
use crate::login::BrokerLogin;
use crate::observer::{Observer, OwnAddress};
use crate::process::ProcessContext;
use crate::snapshots::Snapshots;
use crate::stream::{Arrived, Fit};
use crate::{Interest, Net};

/// How often discovery may go round before it lets others have the thread.
const ROUNDS_MAX: usize = 32;

/// The pause after a panic, which must never happen.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// The discovery of one cluster, and the listeners that go by it.
pub(crate) struct Discovering<N> {
    process: Arc<ProcessContext<N>>,
    id: ClusterId,
    context: Arc<ClusterContext>,
    config: discovery::Config,
    hints: mpsc::Receiver<Observation>,
    settings: mpsc::UnboundedReceiver<DiscoverySettings>,
    /// The cluster's listeners.
    listeners: Vec<DiscoveredListener>,
    /// What was published last: it outlives a panic.
    published: Arc<Topology>,
    /// What is known of the cluster: what was published, unless that is of another cluster.
    known: Arc<Topology>,
}

/// What discovery goes by from now on.
pub(crate) struct DiscoverySettings {
    pub(crate) config: discovery::Config,
    /// All listeners of the cluster.
    pub(crate) listeners: Vec<(ListenerId, Arc<Snapshots>)>,
    /// TLS towards the brokers has changed.
    pub(crate) redials: bool,
}

/// A listener that goes by what discovery learns.
struct DiscoveredListener {
    id: ListenerId,
    snapshots: Arc<Snapshots>,
    /// The brokers without an address here that have been reported.
    unaddressed: BTreeSet<BrokerId>,
}

impl DiscoveredListener {
    /// Counts the brokers without an address among those that are up, and reports each once.
    fn report_unaddressed(&mut self, listed: &[BrokerId], observer: &dyn Observer) {
        let advertised = &self.snapshots.newest().advertised;
        let without: BTreeSet<BrokerId> = listed
            .iter()
            .copied()
            .filter(|broker| !advertised.has(*broker))
            .collect();
        observer.brokers_unaddressed(&self.id, without.len());
        for broker in without {
            if self.unaddressed.insert(broker) {
                observer.broker_unaddressed(&self.id, broker);
            }
        }
    }
}

impl<N: Net> Discovering<N> {
    /// Knows nothing yet.
    pub(crate) fn new(
        process: Arc<ProcessContext<N>>,
        id: ClusterId,
        context: Arc<ClusterContext>,
        hints: mpsc::Receiver<Observation>,
        first: DiscoverySettings,
        settings: mpsc::UnboundedReceiver<DiscoverySettings>,
    ) -> Self {
        let mut discovering = Self {
            process,
            id,
            context,
            config: first.config.clone(),
            hints,
            settings,
            listeners: Vec::new(),
            published: Arc::default(),
            known: Arc::default(),
        };
        discovering.configure(first);
        discovering
    }

    /// Goes by other settings, and says whether the machine has to begin again.
    ///
    /// A cluster whose bootstrap list has nothing in common with the one before may be another
    /// one: what is published stays until its brokers have said where they are, and is then
    /// replaced, not extended.
    fn configure(&mut self, settings: DiscoverySettings) -> bool {
        let before = std::mem::replace(&mut self.config, settings.config);
        let bootstrap = &self.config.bootstrap;
        if !bootstrap.iter().any(|at| before.bootstrap.contains(at)) {
            self.known = Arc::default();
        }
        let mut listeners = std::mem::take(&mut self.listeners);
        let listeners = settings.listeners.into_iter().map(|(id, snapshots)| {
            let is_same = |it: &DiscoveredListener| Arc::ptr_eq(&it.snapshots, &snapshots);
            if let Some(at) = listeners.iter().position(is_same) {
                return listeners.swap_remove(at);
            }
            if !self.published.is_empty() {
                snapshots.learn(&self.published);
            }
            DiscoveredListener {
                id,
                snapshots,
                unaddressed: BTreeSet::new(),
            }
        });
        self.listeners = listeners.collect();
        settings.redials || before != self.config
    }

    fn machine(&self, now: Instant) -> Discovery {
        let known = Arc::clone(&self.known);
        Discovery::knowing(now, self.config.clone(), (self.process.seed)(), known)
    }

    /// Never ends: after a panic it begins afresh, and what was published stays.
    pub(crate) async fn run(mut self) -> Infallible {
        loop {
            let mut driver = Driver::new(&mut self);
            poll_fn(|cx| {
                catch_unwind(AssertUnwindSafe(|| driver.poll(cx))).unwrap_or(Poll::Ready(()))
            })
            .await;
            drop(driver);
            self.process.observer.discovery_panicked(&self.id);
            tokio::time::sleep(PAUSE_AFTER_PANIC).await;
        }
    }

    fn publish(&mut self, topology: &Arc<Topology>) {
        for listener in &mut self.listeners {
            listener.snapshots.learn(topology);
            // As many are kept as there are brokers.
            let is_known = |broker: &BrokerId| topology.upstream(*broker).is_some();
            listener.unaddressed.retain(is_known);
        }
        self.known = Arc::clone(topology);
        let before = std::mem::replace(&mut self.published, Arc::clone(topology));
        self.process.ready.discovered(&self.id);
        let id = &self.id;
        self.process
            .observer
            .topology_published(id, &before, topology);
        for (broker, at) in topology.brokers() {
            if before.upstream(broker) != Some(at)
                && let Some(how) = self.is_our_own(broker, at)
            {
                self.process
                    .observer
                    .broker_at_own_address(id, broker, at, how);
            }
        }
    }

    /// Whether an address of a broker is one of ours: a cluster whose `advertised.listeners`
    /// are doorkeeper's addresses gives them to doorkeeper as well.
    fn is_our_own(&self, broker: BrokerId, at: &HostPort) -> Option<OwnAddress> {
        let dial = self.config.dial.resolve(at);
        if self.process.own.contains(&dial) {
            return Some(OwnAddress::Bound);
        }
        let mut all = self.listeners.iter();
        let is_advertised = all.any(|listener| {
            let advertised = &listener.snapshots.newest().advertised;
            advertised.address(broker).as_ref() == Some(&dial)
        });
        is_advertised.then_some(OwnAddress::Advertised)
    }

    fn report(&mut self, event: &discovery::Event) {
        self.process.observer.discovery_event(&self.id, event);
        if let discovery::Event::Refreshed { brokers } = event {
            for listener in &mut self.listeners {
                listener.report_unaddressed(brokers, &*self.process.observer);
            }
        }
    }
}

struct Driver<'a, N: Net> {
    machine: Discovery,
    connection: Dial<N::Stream>,
    /// Where brokers want one.
    login: BrokerLogin,
    timer: Timer,
    now: Instant,
    task: &'a mut Discovering<N>,
}

/// Whether anything moved. Discovery has no end of its own.
type Moved = bool;

impl<'a, N: Net> Driver<'a, N> {
    fn new(task: &'a mut Discovering<N>) -> Self {
        let now = task.process.clock.now();
        Self {
            machine: task.machine(now),
            connection: Dial::Absent,
            login: BrokerLogin::default(),
            timer: Timer::new(task.process.clock.clone()),
            now,
            task,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // It may have something to ask for before anything has happened.
        self.perform_effects();
        for _ in 0..ROUNDS_MAX {
            if !self.round(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One look at everything, in an order that never changes.
    fn round(&mut self, cx: &mut Context<'_>) -> Moved {
        self.now = self.task.process.clock.now();
        self.reconfigure(cx)
            | self.write(cx)
            | self.read(cx)
            | self.connect(cx)
            | self.log_in(cx)
            | self.listen(cx)
            | self.tick(cx)
    }

    fn reconfigure(&mut self, cx: &mut Context<'_>) -> Moved {
        let Poll::Ready(Some(settings)) = self.task.settings.poll_recv(cx) else {
            return false;
        };
        if self.task.configure(settings) {
            self.connection = Dial::Absent;
            self.login = BrokerLogin::default();
            self.machine = self.task.machine(self.now);
            self.perform_effects();
        }
        true
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Moved {
        let egress = self.machine.egress();
        match self
            .connection
            .stream()
            .map(|stream| stream.poll_write(cx, egress.slices()))
        {
            None | Some(Poll::Pending) => false,
            Some(Poll::Ready(Ok(bytes))) => self.handle_input(Input::Wrote(bytes)),
            Some(Poll::Ready(Err(how))) => self.handle_input(Input::Ended(how)),
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Moved {
        if !self.machine.demand().read {
            return false;
        }
        match self
            .connection
            .stream()
            .map(|stream| stream.poll_read(cx, Fit::Loose))
        {
            None | Some(Poll::Pending) => false,
            Some(Poll::Ready(Arrived::Bytes(bytes))) => self.handle_input(Input::Bytes(bytes)),
            Some(Poll::Ready(Arrived::End(how))) => self.handle_input(Input::Ended(how)),
        }
    }

    fn connect(&mut self, cx: &mut Context<'_>) -> Moved {
        match self.connection.poll_open(cx) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => self.handle_input(Input::Connected),
            Poll::Ready(Err(failure)) => self.handle_input(Input::ConnectFailed(failure)),
        }
    }

    fn log_in(&mut self, cx: &mut Context<'_>) -> Moved {
        match self.login.poll(cx) {
            Poll::Pending => false,
            Poll::Ready(reply) => self.handle_input(Input::Token(reply)),
        }
    }

    fn listen(&mut self, cx: &mut Context<'_>) -> Moved {
        match self.task.hints.poll_recv(cx) {
            Poll::Ready(Some(observation)) => self.handle_input(Input::Observed(observation)),
            // The cluster is removed, or doorkeeper is stopping.
            Poll::Ready(None) | Poll::Pending => false,
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Moved {
        let demand = self.machine.demand();
        let interest = Interest {
            read: demand.read,
            write: !self.machine.egress().is_empty(),
        };
        let (stream, net) = (self.connection.stream(), &self.task.process.net);
        let is_ready = || stream.is_some_and(|stream| stream.is_ready(net, interest));
        match self.timer.poll(cx, self.now, demand.deadline, is_ready) {
            Poll::Pending => false,
            Poll::Ready(()) => {
                self.now = self.task.process.clock.now();
                self.handle_input(Input::Tick)
            }
        }
    }

    fn handle_input(&mut self, input: Input) -> Moved {
        self.machine.handle(self.now, input);
        self.perform_effects();
        true
    }

    fn perform_effects(&mut self) {
        while let Some(effect) = self.machine.poll() {
            match effect {
                Effect::Connect(target) => {
                    let ProcessContext {
                        net, own, clock, ..
                    } = &*self.task.process;
                    let cluster = &self.task.context;
                    // It connects for itself.
                    let header = cluster.sends_proxy_header().then_some(Header::NoClient);
                    let tls = cluster.tls.load_full();
                    self.connection = Dial::to(net, own, clock, header, tls, target);
                }
                Effect::Disconnect => {
                    self.connection = Dial::Absent;
                    self.login = BrokerLogin::default();
                }
                Effect::RequestToken(request) => {
                    let identities = self.task.context.identities.load_full();
                    let seed = &self.task.process.seed;
                    self.login.request(request, identities, || seed());
                }
                Effect::Publish(topology) => self.task.publish(&topology),
                Effect::Report(event) => self.task.report(&event),
            }
        }
    }
}
