//! Tier 1: whole runs of a simulated world, everything drawn from one seed.
//!
//! First a time in which things go wrong, of the kinds that this seed has; then all is healed, and
//! everything that clients have begun must come to its end within a bound; then new clients come
//! through every listen address, and whoever came must be gone in the end.

mod fault_schedule;
mod tally;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use doorkeeper_core::id::BrokerId;

use crate::choppy::FaultRates;
use crate::kind::{Kind, text_of};
use crate::splitmix64::SplitMix64;
use crate::world::prober::{arrive, probe};
use crate::world::requests::TopicOutcome;
use crate::world::trace::Trace;
use crate::world::workload::{Generation, Ledger, Work, consume, produce};
use crate::world::{Config, Failure, Report, World};

use fault_schedule::FaultSchedule;
pub use tally::Tally;

/// Streams of numbers, apart from each other: a new fault does not reshuffle the work.
const NETWORK: u64 = 5 << 16;
const WORK: u64 = 6 << 16;
const FAULTS: u64 = 7 << 16;
const LATE_RUNTIME: u64 = 8 << 16;

/// How long whatever was begun may take once nothing breaks any more.
const LIVELY_WITHIN: Duration = Duration::from_secs(90);

/// How long new clients may take then.
const ARRIVED_WITHIN: Duration = Duration::from_secs(30);

const TOPIC: &str = "orders";

/// How much is done in one run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long things go wrong.
    pub fault_time: Duration,
    /// Clients that write. One more reads, and one asks for what may be denied.
    pub writers: usize,
    /// What each of them writes.
    pub records: usize,
    /// How long clients wait between two requests at most.
    pub think_max: Duration,
    /// Whether every line of what happened is kept.
    pub whole_trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fault_time: Duration::from_secs(40),
            writers: 4,
            records: 45,
            think_max: Duration::from_secs(3),
            whole_trace: false,
        }
    }
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Time, events and their hashes.
    pub report: Report,
    /// How often what happened: faults, responses to clients, and how sessions ended.
    pub counts: BTreeMap<String, u64>,
}

/// All that a seed draws before anything happens.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    config: Config,
    writers: Vec<Generation>,
    reader: Generation,
    fault_schedule: FaultSchedule,
}

impl Scenario {
    /// Draws.
    #[must_use]
    pub fn new(seed: u64, options: &Options) -> Self {
        let config = config(seed, &mut SplitMix64::new(seed, NETWORK));
        let mut work = SplitMix64::new(seed, WORK);
        let mut generation = || match work.chance(500) {
            true => Generation::Names,
            false => Generation::Ids,
        };
        Self {
            seed,
            writers: (0..options.writers).map(|_| generation()).collect(),
            reader: generation(),
            fault_schedule: FaultSchedule::new(&config, SplitMix64::new(seed, FAULTS)),
            config,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config {
            brokers,
            doorkeepers,
            doorkeeper_fault_rates,
            other_fault_rates,
            latency,
            window_bytes,
            cluster_limits,
            listener_limits,
            seed: _,
        } = &self.config;
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "brokers {brokers}, doorkeepers {doorkeepers}")?;
        let kinds: Vec<String> = self
            .fault_schedule
            .kinds()
            .map(ToString::to_string)
            .collect();
        writeln!(f, "faults {}", kinds.join(" "))?;
        writeln!(f, "latency {latency:?}, window {window_bytes} bytes")?;
        writeln!(f, "network of doorkeepers {doorkeeper_fault_rates:?}")?;
        writeln!(f, "network of others {other_fault_rates:?}")?;
        writeln!(f, "limits {cluster_limits}, {listener_limits}")?;
        writeln!(f, "writers {:?}, reader {:?}", self.writers, self.reader)
    }
}

/// Runs one seed.
///
/// # Errors
/// What must hold did not.
pub fn run(seed: u64, options: &Options) -> Result<Outcome, Failure> {
    try_seed(seed, options).0
}

/// Runs one seed; a panic is a failure like any other. What happened is there whatever came of it.
pub fn try_seed(seed: u64, options: &Options) -> (Result<Outcome, Failure>, Trace) {
    let trace = Trace::default();
    if options.whole_trace {
        trace.keep_all();
    }
    let drawn = Scenario::new(seed, options);
    let ran = catch_unwind(AssertUnwindSafe(|| drawn.run(options, trace.clone())));
    let ran = ran.unwrap_or_else(|panic| {
        let text = text_of(&*panic);
        Err(Failure::new(&trace, Kind::Crash, 10, text))
    });
    (ran, trace)
}

impl Scenario {
    fn run(self, options: &Options, trace: Trace) -> Result<Outcome, Failure> {
        let mut world = World::traced(self.config.clone(), trace)?;
        let ledger = Ledger::default();
        self.start_clients(&mut world, options, &ledger);
        let mut fault_schedule = self.fault_schedule;
        while world.now() < options.fault_time {
            world.run_for(fault_schedule.pause())?;
            fault_schedule.happen(&mut world, TOPIC)?;
        }
        fault_schedule.end(&mut world);
        world.heal();
        world.finish(LIVELY_WITHIN)?;
        ledger
            .compare(options.writers * options.records)
            .map_err(|why| world.failed(Kind::Wrong, 4, why))?;
        new_clients(&mut world);
        world.finish(ARRIVED_WITHIN)?;
        let mut counts = fault_schedule.into_counts();
        for closed in world
            .doorkeepers()
            .iter()
            .flat_map(|doorkeeper| doorkeeper.watch().closed())
        {
            *counts.entry(closed.ended.name().to_owned()).or_default() += 1;
        }
        for outcome in TopicOutcome::ALL {
            counts.insert(outcome.name().to_owned(), world.requests().count(outcome));
        }
        let report = world.end()?;
        Ok(Outcome { report, counts })
    }

    fn start_clients(&self, world: &mut World, options: &Options, ledger: &Ledger) {
        let work = |generation, records| Work {
            topic: TOPIC.to_owned(),
            records,
            generation,
            think_max: options.think_max,
            ledger: ledger.clone(),
        };
        for (number, generation) in self.writers.iter().enumerate() {
            let work = work(*generation, options.records);
            world.client(&format!("writer-{number}"), |parts| produce(parts, work));
        }
        let work = work(self.reader, options.writers * options.records);
        world.client("reader", |parts| consume(parts, work));
        let until = options.fault_time;
        world.client("prober", |parts| probe(parts, until));
    }
}

/// Through every address of every doorkeeper.
fn new_clients(world: &mut World) {
    let brokers: Vec<BrokerId> = world.brokers();
    for doorkeeper in 0..world.doorkeepers().len() {
        let addresses = brokers.iter().copied().map(Some);
        for broker in addresses.chain([None]) {
            let address = broker.map_or_else(|| "bootstrap".to_owned(), |id| id.to_string());
            let name = format!("late-{doorkeeper}-{address}");
            world.client_of(doorkeeper, &name, |parts| arrive(parts, broker));
        }
    }
}

fn config(seed: u64, rng: &mut SplitMix64) -> Config {
    let doorkeeper_fault_rates = FaultRates::drawn(rng);
    let doorkeeper_fault_rates =
        doorkeeper_fault_rates.with_late_runtime(&mut SplitMix64::new(seed, LATE_RUNTIME));
    let other_fault_rates = FaultRates::drawn(rng);
    Config {
        doorkeepers: if rng.chance(500) { 2 } else { 1 },
        doorkeeper_fault_rates,
        other_fault_rates,
        latency: Duration::from_millis(1)..=Duration::from_millis(2 + rng.below(30)),
        window_bytes: 1 << (11 + rng.below(8)),
        cluster_limits: format!(
            "connect_timeout: {}s, request_timeout: {}s",
            2 + rng.below(4),
            4 + rng.below(6)
        ),
        listener_limits: format!(
            "in_flight_max: {}, write_stall_timeout: {}s, frame_stall_timeout: {}s, \
             idle_timeout: {}s",
            rng.size(1000),
            5 + rng.below(10),
            5 + rng.below(10),
            10 + rng.below(50)
        ),
        ..Config::new(seed)
    }
}
