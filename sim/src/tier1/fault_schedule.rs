//! What goes wrong in a run, and when it is over.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use doorkeeper_core::id::BrokerId;

use crate::splitmix64::SplitMix64;
use crate::world::faults::Crash;
use crate::world::rules::{Rules, SmallLimits};
use crate::world::{Config, Failure, World};

/// The longest pause between two faults.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// The longest pause between two reloads of a storm.
const STORM_PAUSE_MAX: Duration = Duration::from_millis(40);

/// How many reloads a storm has at most.
const STORM_MAX: u64 = 12;

/// The partitions of the topic, as the model creates it.
const PARTITIONS: u64 = 3;

/// The broker that never moves.
const STAYS: BrokerId = BrokerId(1);

/// The brokers that join.
const JOIN: [BrokerId; 2] = [BrokerId(4), BrokerId(5)];

/// One kind of fault. About half of them exist in any one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// With a broker.
    Broker(BrokerFaultKind),
    /// With a doorkeeper.
    Doorkeeper(DoorkeeperFaultKind),
}

/// What happens to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokerFaultKind {
    /// Its process dies.
    CrashProcess,
    /// Its machine loses its power.
    CrashPower,
    /// It goes down, and may come back somewhere else.
    Move,
    /// Another one joins.
    Join,
    /// It leads a partition from now on.
    Lead,
    /// Nothing passes between it and everybody else for a while.
    Hold,
    /// It hears, and is not heard.
    Mute,
}

/// What happens to a doorkeeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DoorkeeperFaultKind {
    /// It stops in order and starts at once.
    Drain,
    /// It stops in order, and starts some time later.
    Stop,
    /// Its process dies and starts at once.
    Bounce,
    /// It reads its configuration again.
    Reload,
    /// It does so again and again.
    Storm,
}

pub(super) const KINDS: [FaultKind; 12] = [
    FaultKind::Broker(BrokerFaultKind::CrashProcess),
    FaultKind::Broker(BrokerFaultKind::CrashPower),
    FaultKind::Broker(BrokerFaultKind::Move),
    FaultKind::Broker(BrokerFaultKind::Join),
    FaultKind::Broker(BrokerFaultKind::Lead),
    FaultKind::Broker(BrokerFaultKind::Hold),
    FaultKind::Broker(BrokerFaultKind::Mute),
    FaultKind::Doorkeeper(DoorkeeperFaultKind::Drain),
    FaultKind::Doorkeeper(DoorkeeperFaultKind::Stop),
    FaultKind::Doorkeeper(DoorkeeperFaultKind::Bounce),
    FaultKind::Doorkeeper(DoorkeeperFaultKind::Reload),
    FaultKind::Doorkeeper(DoorkeeperFaultKind::Storm),
];

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(kind) => write!(f, "{kind:?}"),
            Self::Doorkeeper(kind) => write!(f, "{kind:?}"),
        }
    }
}

/// What is wrong with a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BrokerFault {
    Down,
    Held,
    Mute,
}

/// The faults of one run.
#[derive(Clone, Debug)]
pub(super) struct FaultSchedule {
    rng: SplitMix64,
    kinds: Vec<FaultKind>,
    brokers: Vec<BrokerId>,
    doorkeepers: u64,
    wrong: BTreeMap<BrokerId, BrokerFault>,
    /// The doorkeepers that have stopped.
    stopped: Vec<usize>,
    counts: BTreeMap<String, u64>,
}

impl FaultSchedule {
    pub(super) fn new(config: &Config, mut rng: SplitMix64) -> Self {
        let kinds = KINDS.into_iter().filter(|_| rng.chance(500)).collect();
        Self {
            kinds,
            brokers: (1..=config.brokers).map(BrokerId).collect(),
            doorkeepers: config.doorkeepers as u64,
            wrong: BTreeMap::new(),
            stopped: Vec::new(),
            counts: BTreeMap::new(),
            rng,
        }
    }

    /// The kinds that there are in this run.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &FaultKind> {
        self.kinds.iter()
    }

    /// How long until the next thing happens.
    pub(super) fn pause(&mut self) -> Duration {
        Duration::from_millis(1) + self.rng.duration(PAUSE_MAX)
    }

    /// Makes something go wrong, or ends what is.
    pub(super) fn happen(&mut self, world: &mut World, topic: &str) -> Result<(), Failure> {
        let (kinds, brokers) = (self.kinds.len() as u64, self.brokers.len() as u64);
        let (kind, broker, doorkeeper) = (
            self.draw(kinds),
            self.draw(brokers),
            self.draw(self.doorkeepers),
        );
        let chosen = (self.kinds.get(kind), self.brokers.get(broker));
        let (Some(&kind), Some(&id)) = chosen else {
            return Ok(());
        };
        match kind {
            FaultKind::Doorkeeper(kind) => self.doorkeeper_fault(world, kind, doorkeeper),
            FaultKind::Broker(kind) => self.broker_fault(world, kind, id, topic),
        }
    }

    fn broker_fault(
        &mut self,
        world: &mut World,
        kind: BrokerFaultKind,
        id: BrokerId,
        topic: &str,
    ) -> Result<(), Failure> {
        if let Some(wrong) = self.wrong.remove(&id) {
            return self.right(world, id, wrong);
        }
        self.count(FaultKind::Broker(kind));
        match kind {
            BrokerFaultKind::CrashProcess | BrokerFaultKind::Move => {
                self.down(world, id, Crash::Process)
            }
            BrokerFaultKind::CrashPower => self.down(world, id, Crash::Power),
            BrokerFaultKind::Join => {
                let new = JOIN.into_iter().find(|id| !self.brokers.contains(id));
                if let Some(new) = new {
                    self.brokers.push(new);
                    world.move_broker(new)?;
                }
            }
            BrokerFaultKind::Lead => {
                let partition = i32::try_from(self.rng.below(PARTITIONS)).unwrap_or(0);
                world.move_leader(topic, partition, id);
            }
            BrokerFaultKind::Hold => {
                world.hold_broker(id);
                self.wrong.insert(id, BrokerFault::Held);
            }
            BrokerFaultKind::Mute => {
                world.mute_broker(id);
                self.wrong.insert(id, BrokerFault::Mute);
            }
        }
        Ok(())
    }

    fn doorkeeper_fault(
        &mut self,
        world: &mut World,
        kind: DoorkeeperFaultKind,
        doorkeeper: usize,
    ) -> Result<(), Failure> {
        if let Some(at) = self
            .stopped
            .iter()
            .position(|stopped| *stopped == doorkeeper)
        {
            self.stopped.swap_remove(at);
            world.start_doorkeeper(doorkeeper);
            return Ok(());
        }
        self.count(FaultKind::Doorkeeper(kind));
        match kind {
            DoorkeeperFaultKind::Drain => {
                // Started again at once: it serves as soon as it has stopped.
                world.drain_doorkeeper(doorkeeper);
                world.start_doorkeeper(doorkeeper);
            }
            DoorkeeperFaultKind::Stop => {
                world.drain_doorkeeper(doorkeeper);
                self.stopped.push(doorkeeper);
            }
            DoorkeeperFaultKind::Bounce => world.bounce_doorkeeper(doorkeeper),
            DoorkeeperFaultKind::Reload => world.reload_doorkeeper(doorkeeper, &self.rules()),
            DoorkeeperFaultKind::Storm => {
                for _ in 0..=self.rng.below(STORM_MAX) {
                    world.reload_doorkeeper(doorkeeper, &self.rules());
                    world.run_for(self.rng.duration(STORM_PAUSE_MAX))?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: FaultKind) {
        *self.counts.entry(kind.to_string()).or_default() += 1;
    }

    fn draw(&mut self, bound: u64) -> usize {
        usize::try_from(self.rng.below(bound)).unwrap_or(0)
    }

    fn rules(&mut self) -> Rules {
        let embargo = self.rng.chance(500);
        let mut some = |permille, least: u64, range| {
            let (exists, drawn) = (self.rng.chance(permille), self.rng.below(range));
            let value = usize::try_from(least + drawn).unwrap_or(usize::MAX);
            exists.then_some(value)
        };
        let small = SmallLimits {
            frame_bytes_max: some(250, 1 << 12, 1 << 18),
            request_buffer_bytes_max: some(250, 1 << 10, 1 << 17),
            egress_high_bytes: some(400, 1, 1 << 14),
            in_flight_max: some(400, 1, 3),
        };
        Rules { embargo, small }
    }

    fn down(&mut self, world: &mut World, id: BrokerId, how: Crash) {
        world.crash_broker(id, how);
        self.wrong.insert(id, BrokerFault::Down);
    }

    fn right(
        &mut self,
        world: &mut World,
        id: BrokerId,
        wrong: BrokerFault,
    ) -> Result<(), Failure> {
        // One of the bootstrap list stays where it is, so that doorkeeper can start anew.
        let may_move = self
            .kinds
            .contains(&FaultKind::Broker(BrokerFaultKind::Move))
            && id != STAYS;
        let moves = self.rng.chance(500) && may_move;
        match wrong {
            BrokerFault::Down if moves => world.move_broker(id)?,
            BrokerFault::Down => world.restart_broker(id),
            BrokerFault::Held => world.release_broker(id),
            BrokerFault::Mute => world.unmute_broker(id),
        }
        Ok(())
    }

    /// Ends all that is wrong.
    pub(super) fn end(&mut self, world: &mut World) {
        for (id, wrong) in std::mem::take(&mut self.wrong) {
            match wrong {
                BrokerFault::Down => world.restart_broker(id),
                BrokerFault::Held => world.release_broker(id),
                BrokerFault::Mute => world.unmute_broker(id),
            }
        }
        for doorkeeper in std::mem::take(&mut self.stopped) {
            world.start_doorkeeper(doorkeeper);
        }
    }

    pub(super) fn into_counts(self) -> BTreeMap<String, u64> {
        self.counts
    }
}
