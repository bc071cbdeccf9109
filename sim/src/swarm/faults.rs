//! What goes wrong.

use doorkeeper_kafka_model::Rng;
use doorkeeper_model::script::{
    BrokerFault, Direction, Ending, NetFault, NetLeg, Ordinal, ProcessFault, Step, Tamper, Topic,
    TopicPartition, Wait,
};

use super::{Swarm, number, setting, small, weighted};

/// A kind of thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A broker stops, and perhaps starts again.
    Crash,
    /// A broker moves to another address.
    Move,
    /// A broker says nothing for a while.
    Silence,
    /// A broker refuses connections for a while.
    Refuse,
    /// Connections to a broker neither succeed nor fail for a while.
    BlackHole,
    /// A broker is of an older release.
    Versions,
    /// Another replica leads.
    Leader,
    /// A response is wrong.
    WrongId,
    /// A response comes twice.
    Extra,
    /// A response does not come.
    Missing,
    /// A response has no legal length.
    Length,
    /// A response stops in the middle.
    CutResponse,
    /// A response is late.
    Late,
    /// Bytes are held up.
    Hold,
    /// Few bytes are on the way.
    Window,
    /// A connection ends at some byte.
    Cut,
    /// The configuration changes.
    Reload,
    /// The configuration changes again and again.
    Storm,
    /// doorkeeper stops.
    Drain,
    /// A broker advertises doorkeeper's address for a while.
    AdvertiseDoorkeeper,
    /// A broker throttles its clients for a while.
    Throttle,
}

impl Fault {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Crash,
        Self::Move,
        Self::Silence,
        Self::Refuse,
        Self::BlackHole,
        Self::Versions,
        Self::Leader,
        Self::WrongId,
        Self::Extra,
        Self::Missing,
        Self::Length,
        Self::CutResponse,
        Self::Late,
        Self::Hold,
        Self::Window,
        Self::Cut,
        Self::Reload,
        Self::Storm,
        Self::Drain,
        Self::AdvertiseDoorkeeper,
        Self::Throttle,
    ];
}

/// What goes wrong next.
pub(super) fn fault(swarm: &Swarm, rng: &mut Rng) -> Vec<Step> {
    let Some(fault) = weighted(rng, &swarm.faults) else {
        return Vec::new();
    };
    let broker = Ordinal(small(rng, 4));
    let to = |what| vec![Step::Broker(broker, what)];
    let next = |tamper| to(BrokerFault::Next(tamper));
    // What is over again after a while, more often than not.
    let mut passing = |begin, end| {
        let mut steps = to(begin);
        if !rng.one_in(3) {
            let ms = u16::try_from(rng.below(3000)).unwrap_or(0);
            steps.push(Step::Wait(Wait::Millis(ms)));
            steps.push(Step::Broker(broker, end));
        }
        steps
    };
    match fault {
        Fault::Crash => passing(BrokerFault::Crash, BrokerFault::Restart),
        Fault::Silence => passing(BrokerFault::Silence, BrokerFault::Speak),
        Fault::Refuse => passing(BrokerFault::Refuse, BrokerFault::Accept),
        Fault::BlackHole => passing(BrokerFault::BlackHole, BrokerFault::Accept),
        Fault::AdvertiseDoorkeeper => passing(BrokerFault::AdvertiseDoorkeeper, BrokerFault::Move),
        Fault::Move => to(BrokerFault::Move),
        Fault::Versions => {
            let key = small(rng, 20);
            to(BrokerFault::Versions(key, small(rng, 9)))
        }
        Fault::Leader => {
            let place = TopicPartition {
                topic: if rng.one_in(2) {
                    Topic::Orders
                } else {
                    Topic::Audit
                },
                partition: small(rng, 2),
            };
            vec![Step::Leader(place, broker)]
        }
        Fault::WrongId => next(Tamper::WrongId),
        Fault::Extra => next(Tamper::Extra),
        Fault::Missing => next(Tamper::Missing),
        Fault::Length if rng.one_in(2) => next(Tamper::Negative),
        Fault::Length => next(Tamper::Huge),
        Fault::CutResponse => {
            let at = small(rng, 255);
            next(Tamper::Cut(at, ending(rng)))
        }
        Fault::Late => next(Tamper::Late(small(rng, 60))),
        Fault::Hold => net(swarm, rng, hold),
        Fault::Window => net(swarm, rng, window),
        Fault::Cut => net(swarm, rng, cut),
        Fault::Reload => vec![reload(rng)],
        Fault::Storm => {
            let count = 2 + rng.below(6);
            let reloads = (0..count).flat_map(|_| [reload(rng), pause(rng)]);
            reloads.collect()
        }
        Fault::Drain if rng.one_in(2) => drain(broker, rng),
        Fault::Throttle => throttle(broker, rng),
        Fault::Drain => Vec::new(),
    }
}

/// Each response throttles its client, for a moment or for longer than anything may take.
fn throttle(broker: Ordinal, rng: &mut Rng) -> Vec<Step> {
    let longest = if rng.one_in(2) { 300 } else { 20_000 };
    let ms = u16::try_from(1 + number(rng, longest)).unwrap_or(u16::MAX);
    let mut steps = vec![Step::Broker(broker, BrokerFault::Throttle(ms))];
    // Until all is healed, more often than not: it shows in what comes behind a response.
    if rng.one_in(3) {
        let ms = u16::try_from(rng.below(3000)).unwrap_or(0);
        steps.push(Step::Wait(Wait::Millis(ms)));
        steps.push(Step::Broker(broker, BrokerFault::Throttle(0)));
    }
    steps
}

/// doorkeeper stops, and whoever is owed a response of this broker then has it to come. Nothing
/// comes after it, so it must be rare.
fn drain(broker: Ordinal, rng: &mut Rng) -> Vec<Step> {
    let tenths = small(rng, 80);
    let late = BrokerFault::Next(Tamper::Late(small(rng, 30)));
    vec![
        Step::Broker(broker, late),
        pause(rng),
        Step::Process(ProcessFault::Drain(tenths)),
        pause(rng),
    ]
}

fn ending(rng: &mut Rng) -> Ending {
    if rng.one_in(2) {
        Ending::Fin
    } else {
        Ending::Reset
    }
}

fn pause(rng: &mut Rng) -> Step {
    let ms = number(rng, 30);
    Step::Wait(Wait::Millis(u16::try_from(ms).unwrap_or(0)))
}

fn reload(rng: &mut Rng) -> Step {
    let (policy, limits) = (setting::policy(rng), setting::limits(rng));
    Step::Process(ProcessFault::Reload(policy, limits))
}

/// Something happens to one direction of one leg.
fn net(swarm: &Swarm, rng: &mut Rng, what: fn(&mut Rng) -> Vec<NetFault>) -> Vec<Step> {
    let client = Ordinal(small(rng, swarm.clients));
    let leg = if rng.one_in(2) {
        NetLeg::Client
    } else {
        NetLeg::Upstream
    };
    let way = if rng.one_in(2) {
        Direction::Up
    } else {
        Direction::Down
    };
    let mut steps = Vec::new();
    for fault in what(rng) {
        if !steps.is_empty() {
            steps.push(pause(rng));
        }
        steps.push(Step::Net(client, leg, way, fault));
    }
    steps
}

fn hold(rng: &mut Rng) -> Vec<NetFault> {
    let mut faults = vec![NetFault::Hold];
    if rng.one_in(2) {
        faults.push(NetFault::Release);
    }
    faults
}

fn window(rng: &mut Rng) -> Vec<NetFault> {
    vec![NetFault::Window(1 + small(rng, 40))]
}

fn cut(rng: &mut Rng) -> Vec<NetFault> {
    let at = match rng.below(3) {
        0 => number(rng, 20),
        1 => number(rng, 400),
        _ => number(rng, 8000),
    };
    let at = u16::try_from(at).unwrap_or(0);
    vec![NetFault::Cut(at, ending(rng))]
}
