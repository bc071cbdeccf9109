//! Drives the discovery of one cluster and publishes the topology that it learns.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use doorkeeper_core::Observation;
use doorkeeper_core::discovery::{self, Discovery, Effect, Input};
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::topology::Topology;
use tokio::sync::mpsc;

use crate::clock::Timer;
use crate::dial::Dial;
use crate::id::ListenerId;
use crate::observer::{Observer, OwnAddress};
use crate::plan::Cluster;
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
    pub(crate) process: Arc<ProcessContext<N>>,
    pub(crate) cluster: Cluster,
    pub(crate) hints: mpsc::Receiver<Observation>,
    /// The cluster's listeners.
    pub(crate) listeners: Vec<DiscoveredListener>,
    /// What was published last: it outlives a panic.
    pub(crate) published: Arc<Topology>,
}

/// A listener that goes by what discovery learns.
pub(crate) struct DiscoveredListener {
    pub(crate) id: ListenerId,
    pub(crate) snapshots: Arc<Snapshots>,
    /// The brokers without an address here that have been reported.
    pub(crate) unaddressed: BTreeSet<BrokerId>,
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
    /// Never ends: after a panic it begins afresh, and what was published stays.
    pub(crate) async fn run(mut self) -> Infallible {
        loop {
            let mut driver = Driver::new(&mut self);
            poll_fn(|cx| {
                catch_unwind(AssertUnwindSafe(|| driver.poll(cx))).unwrap_or(Poll::Ready(()))
            })
            .await;
            drop(driver);
            self.process.observer.discovery_panicked(&self.cluster.id);
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
        let before = std::mem::replace(&mut self.published, Arc::clone(topology));
        self.process.ready.discovered(&self.cluster.id);
        let id = &self.cluster.id;
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
        let dial = self.cluster.discovery.dial.resolve(at);
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
        self.process
            .observer
            .discovery_event(&self.cluster.id, event);
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
    timer: Timer,
    now: doorkeeper_core::Instant,
    task: &'a mut Discovering<N>,
}

/// Whether anything moved. Discovery has no end of its own.
type Moved = bool;

impl<'a, N: Net> Driver<'a, N> {
    fn new(task: &'a mut Discovering<N>) -> Self {
        let now = task.process.clock.now();
        let config = task.cluster.discovery.clone();
        let known = Arc::clone(&task.published);
        Self {
            machine: Discovery::knowing(now, config, (task.process.seed)(), known),
            connection: Dial::Absent,
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
        self.write(cx) | self.read(cx) | self.connect(cx) | self.listen(cx) | self.tick(cx)
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

    fn listen(&mut self, cx: &mut Context<'_>) -> Moved {
        match self.task.hints.poll_recv(cx) {
            Poll::Ready(Some(observation)) => self.handle_input(Input::Observed(observation)),
            // All listeners are closed: doorkeeper is stopping.
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
                    let tls = self.task.cluster.tls.as_ref();
                    self.connection = Dial::to(net, own, clock, tls, target);
                }
                Effect::Disconnect => self.connection = Dial::Absent,
                Effect::Publish(topology) => self.task.publish(&topology),
                Effect::Report(event) => self.task.report(&event),
            }
        }
    }
}
