//! From a seed to a script.
//!
//! Each seed draws first which kinds of faults and actions there are at all, about half of them,
//! and how often they come: a run in which everything happens a little shows less than many in
//! which a few things happen a lot. Settings, work, dialogues and faults are drawn from streams
//! of their own, so that a new kind of one of them does not give old seeds others of the rest.

mod dialogues;
mod faults;
mod setting;
mod work;

use std::fmt;

use doorkeeper_kafka_model::Rng;
use doorkeeper_model::script::{Client, ListenAddr, Ordinal, Request, Script, Step, Wait, What};

pub use dialogues::Dialogue;
pub use faults::Fault;
pub use work::Action;

/// What a seed has drawn.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// The seed.
    pub seed: u64,
    /// How many clients there are.
    pub clients: u8,
    /// How many things they do.
    pub actions: usize,
    /// What they do, each with its weight.
    pub work: Vec<(Action, u64)>,
    /// What they say that takes several requests, each with its weight.
    pub dialogues: Vec<(Dialogue, u64)>,
    /// What goes wrong, each with its weight.
    pub faults: Vec<(Fault, u64)>,
    /// After so many actions, on average, something goes wrong.
    pub calm: u64,
    /// The largest value that is produced.
    pub value_bytes_max: u32,
}

/// The streams of one seed.
const SETTING: u64 = 10;
const WORK: u64 = 11;
const FAULTS: u64 = 12;
const DIALOGUES: u64 = 13;

/// After so many actions, on average, a dialogue begins.
const ACTIONS_PER_DIALOGUE: u64 = 4;

impl Swarm {
    /// Draws.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, SETTING);
        let clients = 1 + small(&mut rng, 4);
        let actions = 4 + number(&mut rng, 24) as usize;
        let calm = 1 + rng.below(8);
        let value_bytes_max = match rng.below(6) {
            0 => 70_000,
            1 => 5_000,
            _ => 300,
        };
        let mut work = Rng::stream(seed, WORK);
        let mut faults = Rng::stream(seed, FAULTS);
        let mut dialogues = Rng::stream(seed, DIALOGUES);
        Self {
            seed,
            clients,
            actions,
            work: drawn(&mut work, Action::ALL, &[Action::Send, Action::Wait]),
            dialogues: drawn(&mut dialogues, Dialogue::ALL, &[]),
            faults: drawn(&mut faults, Fault::ALL, &[]),
            calm,
            value_bytes_max,
        }
    }

    /// The script of this seed.
    #[must_use]
    pub fn script(&self) -> Script {
        let mut work = Rng::stream(self.seed, WORK ^ 0xff);
        let mut dialogues = Rng::stream(self.seed, DIALOGUES ^ 0xff);
        let mut faults = Rng::stream(self.seed, FAULTS ^ 0xff);
        let setting = setting::draw(self, &mut Rng::stream(self.seed, SETTING ^ 0xff));
        let mut steps = Vec::new();
        for client in 0..self.clients {
            steps.push(work::connect(client, &mut work));
        }
        for _ in 0..self.actions {
            steps.extend(work::action(self, &mut work));
            if !self.dialogues.is_empty() && dialogues.one_in(ACTIONS_PER_DIALOGUE) {
                steps.extend(dialogues::dialogue(self, &mut dialogues));
            }
            if !self.faults.is_empty() && faults.one_in(self.calm) {
                steps.extend(faults::fault(self, &mut faults));
            }
        }
        steps.push(Step::Heal);
        steps.push(Step::Wait(Wait::All));
        probe(setting.brokers.min(setting.advertised), &mut steps);
        Script { setting, steps }
    }
}

/// Once all is well, a new client gets its responses through every listen address.
fn probe(doorkeepers: u8, steps: &mut Vec<Step>) {
    let who = Ordinal(Ordinal::MAX - 1);
    let ask = Request {
        version: 8,
        what: What::Metadata(None),
    };
    for doorkeeper in 0..doorkeepers {
        let through = if doorkeeper == 0 {
            ListenAddr::Bootstrap
        } else {
            ListenAddr::Broker(Ordinal(doorkeeper))
        };
        steps.push(Step::Client(who, Client::Connect(through)));
        steps.push(Step::Client(who, Client::Send(ask.clone())));
        steps.push(Step::Client(who, Client::Wait));
    }
}

/// Some of these, each with a weight; the needed ones always.
fn drawn<T: Copy + PartialEq>(rng: &mut Rng, all: &[T], needed: &[T]) -> Vec<(T, u64)> {
    let mut out = Vec::new();
    for one in all {
        let (is_on, weight) = (rng.one_in(2), 1 + rng.below(8));
        if is_on || needed.contains(one) {
            out.push((*one, weight));
        }
    }
    out
}

/// One of these, by weight.
fn weighted<T: Copy>(rng: &mut Rng, all: &[(T, u64)]) -> Option<T> {
    let total = all.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.below(total);
    for (one, weight) in all {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return Some(*one),
        }
    }
    None
}

/// A small number below `bound`.
fn number(rng: &mut Rng, bound: u32) -> u32 {
    u32::try_from(rng.below(bound.into())).unwrap_or(0)
}

fn small(rng: &mut Rng, bound: u8) -> u8 {
    u8::try_from(rng.below(bound.into())).unwrap_or(0)
}

impl fmt::Display for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "clients {}, actions {}", self.clients, self.actions)?;
        writeln!(f, "work {:?}", self.work)?;
        writeln!(f, "dialogues {:?}", self.dialogues)?;
        writeln!(f, "faults {:?}, one in {} actions", self.faults, self.calm)?;
        writeln!(f, "values up to {} bytes", self.value_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same() {
        for seed in 0..50 {
            let script = Swarm::draw(seed).script();
            assert_eq!(script, Swarm::draw(seed).script());
            assert_eq!(script.to_string().parse(), Ok(script));
        }
    }

    fn steps(swarm: &Swarm, these: impl Fn(&Step) -> bool) -> Vec<Step> {
        let all = swarm.script().steps.into_iter();
        all.filter(these).collect()
    }

    #[test]
    fn other_faults_do_not_change_the_work() {
        let clients_do = |swarm: &Swarm| steps(swarm, |step| matches!(step, Step::Client(..)));
        let mut fewer = 0;
        for seed in 0..50 {
            let swarm = Swarm::draw(seed);
            let calm = Swarm {
                faults: Vec::new(),
                ..swarm.clone()
            };
            fewer += usize::from(calm.script().steps.len() < swarm.script().steps.len());
            assert_eq!(clients_do(&calm), clients_do(&swarm));
        }
        assert!(fewer > 10, "faults there must be");
    }

    #[test]
    fn dialogues_come_between_and_change_nothing_else() {
        let is_part_of = |fewer: &[Step], more: &[Step]| {
            let mut more = more.iter();
            fewer.iter().all(|step| more.any(|other| other == step))
        };
        let mut fewer = 0;
        for seed in 0..50 {
            let swarm = Swarm::draw(seed);
            let silent = Swarm {
                dialogues: Vec::new(),
                ..swarm.clone()
            };
            let (with, without) = (swarm.script().steps, silent.script().steps);
            fewer += usize::from(without.len() < with.len());
            assert!(is_part_of(&without, &with), "{seed}");
            assert_eq!(swarm.script().setting, silent.script().setting);
        }
        assert!(fewer > 10, "dialogues there must be");
    }
}
