//! Tier 1: whole runs of a simulated world, everything drawn from one seed.
//!
//! First a time in which things go wrong, of the kinds that this seed has; then all is healed; then
//! everything that clients have begun must come to its end within a bound.

mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::choppy::Habits;
use crate::dice::Dice;
use crate::world::workload::{Generation, Ledger, Work, consume, produce};
use crate::world::{Config, Failure, Report, World};
use trouble::Trouble;

/// Streams of numbers, apart from each other: a new fault does not reshuffle the work.
const NETWORK: u64 = 5 << 16;
const WORK: u64 = 6 << 16;
const FAULTS: u64 = 7 << 16;

/// How long whatever was begun may take once nothing breaks any more.
const LIVELY_WITHIN: Duration = Duration::from_secs(90);

const TOPIC: &str = "orders";

/// How much is done in one run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long things go wrong.
    pub trouble: Duration,
    /// Clients that write; one more reads.
    pub writers: usize,
    /// What each of them writes.
    pub records: usize,
    /// How long clients wait between two requests at most.
    pub think_max: Duration,
    /// Whether a failure tells the whole trace.
    pub whole_trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trouble: Duration::from_secs(45),
            writers: 5,
            records: 60,
            think_max: Duration::from_secs(3),
            whole_trace: false,
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Time, events and their hashes.
    pub report: Report,
    /// How often what happened: faults, and how sessions ended.
    pub counts: BTreeMap<String, u64>,
}

/// Runs one seed.
///
/// # Errors
/// What must hold did not.
pub fn run(seed: u64, options: &Options) -> Result<Outcome, Failure> {
    let mut network = Dice::new(seed, NETWORK);
    let mut work = Dice::new(seed, WORK);
    let mut world = World::new(config(seed, &mut network))?;
    if options.whole_trace {
        world.trace().keep_all();
    }
    let ledger = Ledger::default();
    start_clients(&mut world, options, &mut work, &ledger);
    let mut trouble = Trouble::new(&world, Dice::new(seed, FAULTS));
    while world.now() < options.trouble {
        world.run_for(trouble.pause())?;
        trouble.happen(&mut world, TOPIC)?;
    }
    trouble.end(&mut world);
    world.heal();
    world.finish(LIVELY_WITHIN)?;
    ledger
        .compare(options.writers * options.records)
        .map_err(|why| world.failed(&why))?;
    let mut counts = trouble.into_counts();
    for closed in world.doors().iter().flat_map(|door| door.watch().closed()) {
        *counts.entry(closed.ended.name().to_owned()).or_default() += 1;
    }
    let report = world.end()?;
    Ok(Outcome { report, counts })
}

fn config(seed: u64, dice: &mut Dice) -> Config {
    let door_habits = Habits::drawn(dice);
    let other_habits = Habits::drawn(dice);
    Config {
        doors: if dice.chance(500) { 2 } else { 1 },
        door_habits,
        other_habits,
        latency: Duration::from_millis(1)..=Duration::from_millis(2 + dice.below(30)),
        window_bytes: 1 << (11 + dice.below(8)),
        cluster_limits: format!(
            "connect_within: {}s, answer_within: {}s",
            2 + dice.below(4),
            4 + dice.below(6)
        ),
        listener_limits: format!(
            "in_flight_max: {}, write_stall_within: {}s, frame_stall_within: {}s, idle: {}s",
            dice.size(1000),
            5 + dice.below(10),
            5 + dice.below(10),
            10 + dice.below(50)
        ),
        ..Config::new(seed)
    }
}

fn start_clients(world: &mut World, options: &Options, dice: &mut Dice, ledger: &Ledger) {
    let work = |records, dice: &mut Dice| Work {
        topic: TOPIC.to_owned(),
        records,
        generation: if dice.chance(500) {
            Generation::Names
        } else {
            Generation::Ids
        },
        think_max: options.think_max,
        ledger: ledger.clone(),
    };
    for number in 0..options.writers {
        let work = work(options.records, dice);
        world.client(&format!("writer-{number}"), |parts| produce(parts, work));
    }
    let work = work(options.writers * options.records, dice);
    world.client("reader", |parts| consume(parts, work));
}
