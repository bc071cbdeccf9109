//! What a script has done to brokers, and to the connections that they have.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use doorkeeper_core::id::HostPort;
use doorkeeper_model::environment::{BOOTSTRAP, address};
use doorkeeper_model::script::{BrokerFault, Direction, Ending, NetFault, Tamper};
use tokio::sync::watch;

/// All of it. Clones are the same rig.
#[derive(Clone, Debug)]
pub(super) struct Rig(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    brokers: Vec<Broker>,
    wires: Vec<Wire>,
}

/// One broker, by its id.
#[derive(Debug)]
struct Broker {
    moves: u32,
    doorkeeper: AcceptState,
    silent: bool,
    crashing: bool,
    /// What happens to the next responses that go to sessions.
    tampers: VecDeque<Tamper>,
    /// Whether it should run, and whether it listens.
    wanted: watch::Sender<bool>,
    listening: watch::Sender<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptState {
    Open,
    RefusesConnections,
    Swallowing,
}

/// One connection of a broker.
#[derive(Debug)]
struct Wire {
    broker: usize,
    /// The client whose session it belongs to; discovery has none.
    client: Option<u8>,
    up: Lane,
    down: Lane,
}

/// One direction of it.
#[derive(Debug, Default)]
struct Lane {
    held: bool,
    /// After so many bytes more it ends.
    cut: Option<(usize, Ending)>,
    waker: Option<Waker>,
}

/// Names one connection of a broker for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct WireId(usize);

/// Whom one reaches at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// This broker, if it listens.
    Broker(usize),
    /// Nobody: the attempt is refused.
    Nobody,
    /// Somebody who never responds.
    Silence,
}

impl Lane {
    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    fn release(&mut self) {
        self.held = false;
        self.wake();
    }
}

impl Broker {
    fn new() -> Self {
        Self {
            moves: 0,
            doorkeeper: AcceptState::Open,
            silent: false,
            crashing: false,
            tampers: VecDeque::new(),
            wanted: watch::Sender::new(true),
            listening: watch::Sender::new(false),
        }
    }

    fn is_ready(&self) -> bool {
        *self.wanted.borrow() && self.doorkeeper != AcceptState::RefusesConnections
    }
}

impl State {
    fn find(&self, dial: &HostPort) -> Option<usize> {
        let brokers = &self.brokers;
        match BOOTSTRAP.iter().position(|name| *name == dial.host()) {
            Some(0) => brokers.iter().position(Broker::is_ready),
            Some(_) => brokers.iter().rposition(Broker::is_ready),
            None => {
                let ids = (0..=u8::MAX).zip(brokers);
                let mut ids = ids.map(|(id, broker)| address(id, broker.moves));
                ids.position(|at| at.as_ref() == Some(dial))
            }
        }
    }

    /// Lets the connections of a broker go on.
    fn wake(&mut self, broker: usize) {
        let wires = self.wires.iter_mut().filter(|wire| wire.broker == broker);
        wires.for_each(|wire| wire.down.wake());
    }
}

impl Rig {
    /// So many brokers, which should run.
    pub(super) fn new(brokers: u8) -> Self {
        Self(Arc::new(Mutex::new(State {
            brokers: (0..brokers).map(|_| Broker::new()).collect(),
            wires: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broker<R>(&self, broker: usize, act: impl FnOnce(&mut Broker) -> R) -> Option<R> {
        self.state().brokers.get_mut(broker).map(act)
    }

    fn wire<R>(&self, id: WireId, act: impl FnOnce(&mut Wire) -> R) -> Option<R> {
        self.state().wires.get_mut(id.0).map(act)
    }

    /// How many brokers there are.
    pub(super) fn count(&self) -> usize {
        self.state().brokers.len()
    }

    /// Whom one reaches at an address now.
    pub(super) fn reach(&self, dial: &HostPort) -> Destination {
        let state = self.state();
        let found = state.find(dial);
        match found.and_then(|at| Some((at, state.brokers.get(at)?))) {
            None => Destination::Nobody,
            Some((at, broker)) => match broker.doorkeeper {
                AcceptState::RefusesConnections => Destination::Nobody,
                AcceptState::Swallowing if *broker.wanted.borrow() => Destination::Silence,
                AcceptState::Swallowing | AcceptState::Open => Destination::Broker(at),
            },
        }
    }

    /// Something happens to a broker's host: all but what needs its cluster.
    pub(super) fn fault(&self, broker: usize, fault: &BrokerFault) {
        let mut state = self.state();
        let Some(known) = state.brokers.get_mut(broker) else {
            return;
        };
        match fault {
            BrokerFault::Crash => {
                known.crashing = true;
                known.wanted.send_replace(false);
            }
            BrokerFault::Restart => {
                known.wanted.send_replace(true);
            }
            BrokerFault::Move => {
                known.moves += 1;
                known.wanted.send_replace(true);
            }
            BrokerFault::Silence => known.silent = true,
            BrokerFault::Speak => {
                known.silent = false;
                state.wake(broker);
            }
            BrokerFault::Refuse => known.doorkeeper = AcceptState::RefusesConnections,
            BrokerFault::BlackHole => known.doorkeeper = AcceptState::Swallowing,
            BrokerFault::Accept => known.doorkeeper = AcceptState::Open,
            BrokerFault::Next(tamper) => known.tampers.push_back(*tamper),
            // Scripts that have it are not played on networks.
            BrokerFault::AdvertiseDoorkeeper => {}
            // That is for the cluster.
            BrokerFault::Versions(..) | BrokerFault::Throttle(_) => {}
        }
    }

    /// The address of a broker now.
    pub(super) fn address(&self, broker: usize) -> Option<HostPort> {
        let moves = self.broker(broker, |broker| broker.moves)?;
        address(u8::try_from(broker).ok()?, moves)
    }

    /// Tells whether a broker should run.
    pub(super) fn wanted(&self, broker: usize) -> Option<watch::Receiver<bool>> {
        self.broker(broker, |broker| broker.wanted.subscribe())
    }

    /// Tells whether a broker listens.
    pub(super) fn listening(&self, broker: usize) -> Option<watch::Receiver<bool>> {
        self.broker(broker, |broker| broker.listening.subscribe())
    }

    /// A broker has begun to listen, or has stopped and has no connection any more.
    pub(super) fn listens(&self, broker: usize, does: bool) {
        self.broker(broker, |broker| {
            broker.crashing &= does;
            broker.listening.send_replace(does)
        });
    }

    /// Whether the connections of a broker are cut rather than closed.
    pub(super) fn is_crashing(&self, id: WireId) -> bool {
        let state = self.state();
        let wire = state.wires.get(id.0);
        let broker = wire.and_then(|wire| state.brokers.get(wire.broker));
        broker.is_some_and(|broker| broker.crashing)
    }

    /// Somebody has connected to a broker.
    pub(super) fn connected(&self, broker: usize) -> WireId {
        let mut state = self.state();
        state.wires.push(Wire {
            broker,
            client: None,
            up: Lane::default(),
            down: Lane::default(),
        });
        WireId(state.wires.len() - 1)
    }

    /// A connection belongs to the session of this client.
    pub(super) fn belongs(&self, id: WireId, client: u8) {
        self.wire(id, |wire| wire.client = Some(client));
    }

    /// What happens to the next response of a connection.
    pub(super) fn tamper(&self, id: WireId) -> Option<Tamper> {
        let mut state = self.state();
        let wire = state.wires.get(id.0)?;
        let (broker, _client) = (wire.broker, wire.client?);
        state.brokers.get_mut(broker)?.tampers.pop_front()
    }

    /// Whether nothing moves on a lane; it is tried again once something does.
    pub(super) fn is_buffered(&self, id: WireId, way: Direction, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        let State { brokers, wires } = &mut *state;
        let Some(wire) = wires.get_mut(id.0) else {
            return false;
        };
        let silent = brokers.get(wire.broker).is_some_and(|it| it.silent);
        let (lane, silent) = match way {
            Direction::Up => (&mut wire.up, false),
            Direction::Down => (&mut wire.down, silent),
        };
        lane.waker = Some(cx.waker().clone());
        lane.held || silent
    }

    /// How many bytes a broker may still write on a connection, and how it ends then.
    pub(super) fn cut(&self, id: WireId) -> Option<(usize, Ending)> {
        self.wire(id, |wire| wire.down.cut)?
    }

    /// A broker has written so many bytes.
    pub(super) fn wrote(&self, id: WireId, bytes: usize) {
        self.wire(id, |wire| {
            if let Some((left, _)) = &mut wire.down.cut {
                *left = left.saturating_sub(bytes);
            }
        });
    }

    /// Something happens to the upstream leg of a client's newest session.
    pub(super) fn net_fault(&self, client: u8, way: Direction, fault: NetFault) {
        let mut state = self.state();
        let mut of_client = state.wires.iter_mut().rev();
        let Some(wire) = of_client.find(|wire| wire.client == Some(client)) else {
            return;
        };
        let lane = match way {
            Direction::Up => &mut wire.up,
            Direction::Down => &mut wire.down,
        };
        match fault {
            NetFault::Hold => lane.held = true,
            NetFault::Release => lane.release(),
            NetFault::Cut(bytes, how) => lane.cut = Some((bytes.into(), how)),
            // An error before anything is played.
            NetFault::Window(_) => {}
        }
    }

    /// All faults end. Gives the brokers that were down.
    pub(super) fn heal(&self) -> Vec<usize> {
        let mut state = self.state();
        let mut down = Vec::new();
        for (id, broker) in state.brokers.iter_mut().enumerate() {
            broker.silent = false;
            broker.doorkeeper = AcceptState::Open;
            broker.tampers.clear();
            if !broker.wanted.send_replace(true) {
                down.push(id);
            }
        }
        for wire in &mut state.wires {
            wire.down.cut = None;
            wire.up.release();
            wire.down.release();
        }
        down
    }
}
