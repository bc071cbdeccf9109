//! What goes wrong in a run, and when it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use doorkeeper_core::id::BrokerId;

use crate::dice::Dice;
use crate::world::faults::Crash;
use crate::world::{Failure, World};

/// The longest pause between two faults.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// The partitions of the topic, as the model creates it.
const PARTITIONS: u64 = 3;

/// The broker that never moves.
const STAYS: BrokerId = BrokerId(1);

/// The broker that joins.
const JOINS: BrokerId = BrokerId(4);

/// One kind of trouble. About half of them exist in any one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    CrashProcess,
    CrashPower,
    Move,
    Join,
    Lead,
    Hold,
    Mute,
    Drain,
    Bounce,
}

const KINDS: [Kind; 9] = [
    Kind::CrashProcess,
    Kind::CrashPower,
    Kind::Move,
    Kind::Join,
    Kind::Lead,
    Kind::Hold,
    Kind::Mute,
    Kind::Drain,
    Kind::Bounce,
];

/// What is wrong with a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Down,
    Held,
    Mute,
}

/// The trouble of one run.
#[derive(Debug)]
pub(super) struct Trouble {
    dice: Dice,
    kinds: Vec<Kind>,
    brokers: Vec<BrokerId>,
    doors: u64,
    wrong: BTreeMap<BrokerId, Wrong>,
    counts: BTreeMap<String, u64>,
}

impl Trouble {
    pub(super) fn new(world: &World, mut dice: Dice) -> Self {
        let kinds = KINDS.into_iter().filter(|_| dice.chance(500)).collect();
        Self {
            kinds,
            brokers: world.brokers(),
            doors: world.doors().len() as u64,
            wrong: BTreeMap::new(),
            counts: BTreeMap::new(),
            dice,
        }
    }

    /// How long until the next thing happens.
    pub(super) fn pause(&mut self) -> Duration {
        Duration::from_millis(1) + self.dice.duration(PAUSE_MAX)
    }

    /// Makes something go wrong, or ends what is.
    pub(super) fn happen(&mut self, world: &mut World, topic: &str) -> Result<(), Failure> {
        let (kinds, brokers) = (self.kinds.len() as u64, self.brokers.len() as u64);
        let (kind, broker, door) = (self.draw(kinds), self.draw(brokers), self.draw(self.doors));
        let chosen = (self.kinds.get(kind), self.brokers.get(broker));
        let (Some(&kind), Some(&id)) = chosen else {
            return Ok(());
        };
        if let Some(wrong) = self.wrong.remove(&id) {
            return self.right(world, id, wrong);
        }
        *self.counts.entry(format!("{kind:?}")).or_default() += 1;
        match kind {
            Kind::CrashProcess | Kind::Move => self.down(world, id, Crash::Process),
            Kind::CrashPower => self.down(world, id, Crash::Power),
            Kind::Join if !self.brokers.contains(&JOINS) => {
                self.brokers.push(JOINS);
                world.move_broker(JOINS)?;
            }
            Kind::Join | Kind::Lead => {
                let partition = i32::try_from(self.dice.below(PARTITIONS)).unwrap_or(0);
                world.move_leader(topic, partition, id);
            }
            Kind::Hold => {
                world.hold_broker(id);
                self.wrong.insert(id, Wrong::Held);
            }
            Kind::Mute => {
                world.mute_broker(id);
                self.wrong.insert(id, Wrong::Mute);
            }
            Kind::Drain => {
                // Started again at once: it serves as soon as it has stopped.
                world.drain_door(door);
                world.start_door(door);
            }
            Kind::Bounce => world.bounce_door(door),
        }
        Ok(())
    }

    fn draw(&mut self, bound: u64) -> usize {
        usize::try_from(self.dice.below(bound)).unwrap_or(0)
    }

    fn down(&mut self, world: &mut World, id: BrokerId, how: Crash) {
        world.crash_broker(id, how);
        self.wrong.insert(id, Wrong::Down);
    }

    fn right(&mut self, world: &mut World, id: BrokerId, wrong: Wrong) -> Result<(), Failure> {
        // One of the bootstrap list stays where it is, as somebody must who starts doorkeeper anew.
        let may_move = self.kinds.contains(&Kind::Move) && id != STAYS;
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
    }

    pub(super) fn into_counts(self) -> BTreeMap<String, u64> {
        self.counts
    }
}
