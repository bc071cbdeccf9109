//! The simulated world: brokers, doorkeepers and clients on hosts of their own, in virtual time.
//!
//! Everything follows from the seed. What hosts run is the real thing: `io_tokio::serve` for a
//! doorkeeper, `sim/host` for a broker. Nobody's panic gets lost: tasks are joined, and the
//! observer of a doorkeeper reports those that it caught.

pub mod doorkeeper;
mod failure;
pub mod faults;
pub mod kafka;
pub mod link;
mod monitored_net;
pub mod prober;
pub mod requests;
pub mod rules;
mod tasks;
pub mod trace;
pub mod watch;
pub mod workload;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::time::Instant;
use doorkeeper_host::{BrokerConfig, Clock, Handle, HostConfig};
use tokio_util::sync::CancellationToken;
use turmoil::Sim;

use crate::choppy::{Choppy, FaultRates};
use crate::kind::Kind;
use crate::net::{Hub, TurmoilNet};
use crate::splitmix64::SplitMix64;
use doorkeeper::{DoorkeeperHost, DoorkeeperParts};
use monitored_net::MonitoredNet;
use requests::Requests;
use rules::Rules;
use trace::Trace;

pub use failure::Failure;

/// What every name of a broker's host holds: no client may ever see it.
pub const CANARY: &str = "canary";

/// Where every broker listens on its host.
const BROKER_PORT: u16 = 9092;

/// How long the world is given to become quiet once it has to end.
const END_WITHIN: Duration = Duration::from_secs(60);

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything follows from it.
    pub seed: u64,
    /// Brokers 1 to this.
    pub brokers: i32,
    /// Doorkeepers in front of them.
    pub doorkeepers: usize,
    /// The network of doorkeepers, on both legs.
    pub doorkeeper_fault_rates: FaultRates,
    /// The network of clients and brokers.
    pub other_fault_rates: FaultRates,
    /// How long a segment is on its way.
    pub latency: RangeInclusive<Duration>,
    /// How many unread bytes a connection takes in either direction.
    pub window_bytes: usize,
    /// Entries of `limits` of the cluster in doorkeeper's configuration, separated by commas.
    pub cluster_limits: String,
    /// Entries of `limits` of the listener.
    pub listener_limits: String,
}

impl Config {
    /// Three brokers and one doorkeeper on a choppy network that breaks nothing.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            brokers: 3,
            doorkeepers: 1,
            doorkeeper_fault_rates: FaultRates::choppy(),
            other_fault_rates: FaultRates::choppy(),
            latency: Duration::from_millis(1)..=Duration::from_millis(20),
            window_bytes: 64 << 10,
            cluster_limits: String::new(),
            listener_limits: String::new(),
        }
    }
}

/// A world that runs.
pub struct World {
    sim: Sim<'static>,
    config: Config,
    hub: Arc<Hub>,
    trace: Trace,
    requests: Requests,
    cluster: Handle,
    doorkeepers: Vec<DoorkeeperHost>,
    /// The host that each broker is on now.
    machines: BTreeMap<BrokerId, String>,
    brokers_net: Vec<(Choppy<TurmoilNet>, TurmoilNet)>,
    clients_net: Vec<(Choppy<TurmoilNet>, TurmoilNet)>,
    stop: CancellationToken,
}

impl World {
    /// Brokers and doorkeepers, on their hosts and about to start.
    ///
    /// # Errors
    /// doorkeeper does not take the configuration.
    pub fn new(config: Config) -> Result<Self, Failure> {
        Self::traced(config, Trace::default())
    }

    /// The same, with a trace that outlives it.
    ///
    /// # Errors
    /// doorkeeper does not take the configuration.
    pub fn traced(config: Config, trace: Trace) -> Result<Self, Failure> {
        tasks::align_ids().map_err(|error| error.to_string())?;
        let mut builder = turmoil::Builder::new();
        builder
            .rng_seed(config.seed)
            .epoch(SystemTime::UNIX_EPOCH)
            .simulation_duration(Duration::from_secs(30 * 24 * 3600))
            .tick_duration(Duration::from_millis(1))
            .min_message_latency(*config.latency.start())
            .max_message_latency(*config.latency.end())
            .tcp_capacity(1 << 16)
            .enable_random_order();
        let clock: Clock = {
            let trace = trace.clone();
            Arc::new(move || Instant::ZERO.after(trace.now()))
        };
        let brokers = (1..=config.brokers).map(BrokerId);
        let brokers = brokers.map(|id| broker_config(id, &machine(id, 0)));
        let brokers: Vec<BrokerConfig> = brokers.collect::<Result<_, _>>()?;
        let cluster = Handle::new(HostConfig::new(brokers, config.seed), clock);
        let mut world = Self {
            sim: builder.build(),
            hub: Hub::new(config.window_bytes),
            requests: Requests::new(&trace),
            trace,
            cluster,
            doorkeepers: Vec::new(),
            machines: BTreeMap::new(),
            brokers_net: Vec::new(),
            clients_net: Vec::new(),
            stop: CancellationToken::new(),
            config,
        };
        world.start_controller();
        for id in (1..=world.config.brokers).map(BrokerId) {
            world.start_machine(id, &machine(id, 0));
        }
        for number in 1..=world.config.doorkeepers {
            world.add_doorkeeper(number)?;
        }
        Ok(world)
    }

    /// The host on which time passes for the cluster.
    fn start_controller(&mut self) {
        let (cluster, stop) = (self.cluster.clone(), self.stop.clone());
        self.sim.host("controller", move || {
            let (cluster, stop) = (cluster.clone(), stop.clone());
            async move {
                cluster.keep_time(stop).await;
                Ok(())
            }
        });
    }

    fn start_machine(&mut self, id: BrokerId, name: &str) {
        let (net, sockets) = self.net(self.brokers_net.len() as u64 + (1 << 16));
        self.brokers_net.push((net.clone(), sockets));
        self.machines.insert(id, name.to_owned());
        let (cluster, stop) = (self.cluster.clone(), self.stop.clone());
        let net = MonitoredNet::new(net, id, self.requests.clone());
        self.sim.host(name, move || {
            let (cluster, net, stop) = (cluster.clone(), net.clone(), stop.clone());
            let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, BROKER_PORT));
            async move { Ok(cluster.serve_broker(net, id, at, stop).await?) }
        });
    }

    fn net(&self, stream: u64) -> (Choppy<TurmoilNet>, TurmoilNet) {
        self.net_with(stream, self.config.other_fault_rates)
    }

    fn net_with(&self, stream: u64, fault_rates: FaultRates) -> (Choppy<TurmoilNet>, TurmoilNet) {
        let inner = TurmoilNet::new(&self.hub);
        let seed = SplitMix64::new(self.config.seed, stream).next();
        (Choppy::new(inner.clone(), seed, fault_rates), inner)
    }

    fn add_doorkeeper(&mut self, number: usize) -> Result<(), Failure> {
        let (net, sockets) = self.net_with(number as u64, self.config.doorkeeper_fault_rates);
        let bootstrap = (1..=self.config.brokers).map(BrokerId);
        let bootstrap = bootstrap.map(|id| host_port(&machine(id, 0)));
        let bootstrap: Vec<HostPort> = bootstrap.collect::<Result<_, _>>()?;
        let doorkeeper = DoorkeeperHost::new(DoorkeeperParts {
            name: &format!("door-{number}"),
            bootstrap: &bootstrap,
            cluster_limits: &self.config.cluster_limits,
            listener_limits: &self.config.listener_limits,
            net,
            sockets,
            trace: self.trace.clone(),
            seed: SplitMix64::new(self.config.seed, (2 << 16) + number as u64).next(),
        })?;
        self.requests.ruled(doorkeeper.name(), &Rules::default());
        let host = doorkeeper.clone();
        self.sim.host(doorkeeper.name(), move || host.clone().run());
        self.doorkeepers.push(doorkeeper);
        Ok(())
    }

    /// Lets a client run on a host of its own, with the doorkeeper of its number at its side.
    pub fn client<F>(&mut self, name: &str, act: impl FnOnce(ClientParts) -> F)
    where
        F: Future<Output = Result<(), String>> + 'static,
    {
        let doorkeeper = self.clients_net.len() % self.doorkeepers.len().max(1);
        self.client_of(doorkeeper, name, act);
    }

    /// The same, with the doorkeeper of this number.
    pub fn client_of<F>(
        &mut self,
        doorkeeper: usize,
        name: &str,
        act: impl FnOnce(ClientParts) -> F,
    ) where
        F: Future<Output = Result<(), String>> + 'static,
    {
        let number = self.clients_net.len();
        let (net, sockets) = self.net(number as u64 + (3 << 16));
        self.clients_net.push((net.clone(), sockets));
        let doing = act(ClientParts {
            name: name.to_owned(),
            net,
            doorkeeper: self
                .doorkeepers
                .get(doorkeeper)
                .map_or("", DoorkeeperHost::name)
                .to_owned(),
            trace: self.trace.clone(),
            requests: self.requests.clone(),
            rng: SplitMix64::new(self.config.seed, number as u64 + (4 << 16)),
        });
        self.sim.client(name, async move { Ok(doing.await?) });
    }

    /// The cluster behind it all.
    #[must_use]
    pub const fn cluster(&self) -> &Handle {
        &self.cluster
    }

    /// What clients have asked.
    #[must_use]
    pub const fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The doorkeepers.
    #[must_use]
    pub fn doorkeepers(&self) -> &[DoorkeeperHost] {
        &self.doorkeepers
    }

    /// The first doorkeeper.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    #[expect(clippy::expect_used, reason = "tests are about a world that has one")]
    pub fn doorkeeper(&self) -> &DoorkeeperHost {
        self.doorkeepers.first().expect("a world with a doorkeeper")
    }

    /// The brokers that there are.
    #[must_use]
    pub fn brokers(&self) -> Vec<BrokerId> {
        self.machines.keys().copied().collect()
    }

    /// How long the world has existed.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Who leads a partition, if anyone.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<BrokerId> {
        self.cluster
            .with(|cluster, _| cluster.leader(topic, partition))
    }

    /// What happened.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Goes on until all clients have come to their end.
    ///
    /// # Errors
    /// One of them failed, something happened that must not, or they took too long.
    pub fn finish(&mut self, within: Duration) -> Result<(), Failure> {
        let end = self.sim.elapsed() + within;
        while !self.step()? {
            if self.sim.elapsed() > end {
                let what = "clients have not come to their end in time";
                return Err(self.failed(Kind::Stuck, 11, what));
            }
        }
        Ok(())
    }

    /// Goes on for some time.
    ///
    /// # Errors
    /// A client failed, or something happened that must not.
    pub fn run_for(&mut self, how_long: Duration) -> Result<(), Failure> {
        let end = self.sim.elapsed() + how_long;
        while self.sim.elapsed() < end {
            self.step()?;
        }
        Ok(())
    }

    /// Goes on until something is so.
    ///
    /// # Errors
    /// A client failed, something happened that must not, or it took too long.
    pub fn run_until(
        &mut self,
        what: &str,
        within: Duration,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> Result<(), Failure> {
        let end = self.sim.elapsed() + within;
        while !is_so(self) {
            self.step()?;
            if self.sim.elapsed() > end {
                let what = format!("waited in vain until {what}");
                return Err(self.failed(Kind::Stuck, 11, what));
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<bool, Failure> {
        let stepped = self.sim.step();
        self.trace.set_now(self.sim.elapsed());
        // What was seen says more than how somebody ended because of it.
        if let Some((kind, violation)) = self.trace.first_violation() {
            return Err(self.failed(kind, violation.invariant, violation.what));
        }
        stepped.map_err(|error| self.failed(Kind::Wrong, 0, error.to_string()))
    }

    /// A failure, with what led to it.
    #[must_use]
    pub fn failed(&self, kind: Kind, invariant: u8, what: impl Into<String>) -> Failure {
        Failure::new(&self.trace, kind, invariant, what)
    }

    /// Ends everything in order and holds what is left against nothing.
    ///
    /// # Errors
    /// Something did not end, or happened that must not.
    pub fn end(mut self) -> Result<Report, Failure> {
        for doorkeeper in &self.doorkeepers {
            doorkeeper.drain();
        }
        self.run_until("all doorkeepers have stopped", END_WITHIN, |world| {
            world
                .doorkeepers
                .iter()
                .all(|doorkeeper| !doorkeeper.is_running())
        })?;
        for doorkeeper in &self.doorkeepers {
            let (open, sockets) = (doorkeeper.watch().open(), doorkeeper.sockets());
            if open != 0 || sockets != 0 {
                let left = format!(
                    "{} holds {open} sessions, {sockets} sockets",
                    doorkeeper.name()
                );
                return Err(self.failed(Kind::Wrong, 12, left));
            }
        }
        let elapsed = self.sim.elapsed();
        self.stop.cancel();
        let quiet = |world: &Self| {
            let nets = world.brokers_net.iter().chain(&world.clients_net);
            nets.map(|(_, sockets)| sockets.sockets()).sum::<usize>() == 0
        };
        self.run_until("no socket is left", END_WITHIN, quiet)?;
        Ok(Report {
            seed: self.config.seed,
            elapsed,
            events: self.trace.events(),
            hash: self.trace.hash(),
            hashes: self.trace.hashes(),
        })
    }
}

/// What a client is made of.
#[derive(Debug)]
pub struct ClientParts {
    /// Its name, which is its host's as well.
    pub name: String,
    /// Its network.
    pub net: Choppy<TurmoilNet>,
    /// The name of its doorkeeper's host.
    pub doorkeeper: String,
    /// Where it writes what happened to it.
    pub trace: Trace,
    /// Where it writes what it has asked.
    pub requests: Requests,
    /// Its own randomness.
    pub rng: SplitMix64,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How much virtual time passed.
    pub elapsed: Duration,
    /// How much happened.
    pub events: u64,
    /// The hash of it.
    pub hash: u64,
    /// The hash after each thousand events.
    pub hashes: Vec<u64>,
}

/// The name of a broker's host; it gets another one with each move.
fn machine(id: BrokerId, moves: u32) -> String {
    format!("b{id}-{moves}.{CANARY}.internal")
}

fn host_port(machine: &str) -> Result<HostPort, Failure> {
    HostPort::new(machine, BROKER_PORT).map_err(|error| error.to_string().into())
}

fn broker_config(id: BrokerId, machine: &str) -> Result<BrokerConfig, Failure> {
    Ok(BrokerConfig {
        id,
        bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, BROKER_PORT)),
        advertised: host_port(machine)?,
    })
}
