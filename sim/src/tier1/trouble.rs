//! What goes wrong in a run, and when it is over.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use doorkeeper_core::id::BrokerId;

use crate::dice::Dice;
use crate::world::faults::Crash;
use crate::world::rules::{Rules, Small};
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

/// One kind of trouble. About half of them exist in any one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With a broker.
    Broker(OfBroker),
    /// With a doorkeeper.
    ListenAddr(OfDoorkeeper),
}

/// What happens to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfBroker {
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
pub(super) enum OfDoorkeeper {
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

pub(super) const KINDS: [Kind; 12] = [
    Kind::Broker(OfBroker::CrashProcess),
    Kind::Broker(OfBroker::CrashPower),
    Kind::Broker(OfBroker::Move),
    Kind::Broker(OfBroker::Join),
    Kind::Broker(OfBroker::Lead),
    Kind::Broker(OfBroker::Hold),
    Kind::Broker(OfBroker::Mute),
    Kind::ListenAddr(OfDoorkeeper::Drain),
    Kind::ListenAddr(OfDoorkeeper::Stop),
    Kind::ListenAddr(OfDoorkeeper::Bounce),
    Kind::ListenAddr(OfDoorkeeper::Reload),
    Kind::ListenAddr(OfDoorkeeper::Storm),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(kind) => write!(f, "{kind:?}"),
            Self::ListenAddr(kind) => write!(f, "{kind:?}"),
        }
    }
}

/// What is wrong with a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Down,
    Held,
    Mute,
}

/// The trouble of one run.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    dice: Dice,
    kinds: Vec<Kind>,
    brokers: Vec<BrokerId>,
    doorkeepers: u64,
    wrong: BTreeMap<BrokerId, Wrong>,
    /// The doorkeepers that have stopped.
    stopped: Vec<usize>,
    counts: BTreeMap<String, u64>,
}

impl Trouble {
    pub(super) fn new(config: &Config, mut dice: Dice) -> Self {
        let kinds = KINDS.into_iter().filter(|_| dice.chance(500)).collect();
        Self {
            kinds,
            brokers: (1..=config.brokers).map(BrokerId).collect(),
            doorkeepers: config.doorkeepers as u64,
            wrong: BTreeMap::new(),
            stopped: Vec::new(),
            counts: BTreeMap::new(),
            dice,
        }
    }

    /// The kinds that there are in this run.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }

    /// How long until the next thing happens.
    pub(super) fn pause(&mut self) -> Duration {
        Duration::from_millis(1) + self.dice.duration(PAUSE_MAX)
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
            Kind::ListenAddr(kind) => self.trouble_doorkeeper(world, kind, doorkeeper),
            Kind::Broker(kind) => self.trouble_broker(world, kind, id, topic),
        }
    }

    fn trouble_broker(
        &mut self,
        world: &mut World,
        kind: OfBroker,
        id: BrokerId,
        topic: &str,
    ) -> Result<(), Failure> {
        if let Some(wrong) = self.wrong.remove(&id) {
            return self.right(world, id, wrong);
        }
        self.count(Kind::Broker(kind));
        match kind {
            OfBroker::CrashProcess | OfBroker::Move => self.down(world, id, Crash::Process),
            OfBroker::CrashPower => self.down(world, id, Crash::Power),
            OfBroker::Join => {
                let new = JOIN.into_iter().find(|id| !self.brokers.contains(id));
                if let Some(new) = new {
                    self.brokers.push(new);
                    world.move_broker(new)?;
                }
            }
            OfBroker::Lead => {
                let partition = i32::try_from(self.dice.below(PARTITIONS)).unwrap_or(0);
                world.move_leader(topic, partition, id);
            }
            OfBroker::Hold => {
                world.hold_broker(id);
                self.wrong.insert(id, Wrong::Held);
            }
            OfBroker::Mute => {
                world.mute_broker(id);
                self.wrong.insert(id, Wrong::Mute);
            }
        }
        Ok(())
    }

    fn trouble_doorkeeper(
        &mut self,
        world: &mut World,
        kind: OfDoorkeeper,
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
        self.count(Kind::ListenAddr(kind));
        match kind {
            OfDoorkeeper::Drain => {
                // Started again at once: it serves as soon as it has stopped.
                world.drain_doorkeeper(doorkeeper);
                world.start_doorkeeper(doorkeeper);
            }
            OfDoorkeeper::Stop => {
                world.drain_doorkeeper(doorkeeper);
                self.stopped.push(doorkeeper);
            }
            OfDoorkeeper::Bounce => world.bounce_doorkeeper(doorkeeper),
            OfDoorkeeper::Reload => world.reload_doorkeeper(doorkeeper, &self.rules()),
            OfDoorkeeper::Storm => {
                for _ in 0..=self.dice.below(STORM_MAX) {
                    world.reload_doorkeeper(doorkeeper, &self.rules());
                    world.run_for(self.dice.duration(STORM_PAUSE_MAX))?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: Kind) {
        *self.counts.entry(kind.to_string()).or_default() += 1;
    }

    fn draw(&mut self, bound: u64) -> usize {
        usize::try_from(self.dice.below(bound)).unwrap_or(0)
    }

    fn rules(&mut self) -> Rules {
        let embargo = self.dice.chance(500);
        let mut some = |permille, least: u64, range| {
            let (exists, drawn) = (self.dice.chance(permille), self.dice.below(range));
            let value = usize::try_from(least + drawn).unwrap_or(usize::MAX);
            exists.then_some(value)
        };
        let small = Small {
            frame_bytes_max: some(250, 1 << 12, 1 << 18),
            request_buffer_bytes_max: some(250, 1 << 10, 1 << 17),
            egress_high_bytes: some(400, 1, 1 << 14),
            in_flight_max: some(400, 1, 3),
        };
        Rules { embargo, small }
    }

    fn down(&mut self, world: &mut World, id: BrokerId, how: Crash) {
        world.crash_broker(id, how);
        self.wrong.insert(id, Wrong::Down);
    }

    fn right(&mut self, world: &mut World, id: BrokerId, wrong: Wrong) -> Result<(), Failure> {
        // One of the bootstrap list stays where it is, as somebody must who starts doorkeeper anew.
        let may_move = self.kinds.contains(&Kind::Broker(OfBroker::Move)) && id != STAYS;
        let moves = self.dice.chance(500) && may_move;
        match wrong {
            Wrong::Down if moves => world.move_broker(id)?,
            Wrong::Down => world.restart_broker(id),
            Wrong::Held => world.release_broker(id),
            Wrong::Mute => world.unmute_broker(id),
        }
        Ok(())
    }

    /// Ends all that is wrong.
    pub(super) fn end(&mut self, world: &mut World) {
        for (id, wrong) in std::mem::take(&mut self.wrong) {
            match wrong {
                Wrong::Down => world.restart_broker(id),
                Wrong::Held => world.release_broker(id),
                Wrong::Mute => world.unmute_broker(id),
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
