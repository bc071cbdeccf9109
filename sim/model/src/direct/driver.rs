//! doorkeeper: sessions of core, and the one thing that each of their drivers does next.

use std::sync::Arc;

use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::{
    Accept, BufferedBytes, ConnectFailure, Effect, End, Input, Instant, Leg, Route, Session,
    Snapshot, Target,
};

use super::buffers::{self, BufferNotices};
use super::channel::ReadResult;
use super::net::LinkId;
use super::{Progress, World};
use crate::environment::session_seed;
use crate::invariants::work::Work;
use crate::script::{Direction, Ordinal};
use crate::watch::{SessionId, Violation};

/// One session and what its driver knows.
#[derive(Debug)]
pub(super) struct ClientSession {
    pub(super) id: SessionId,
    session: Session,
    pub(super) client: LinkId,
    pub(super) upstream: Upstream,
    /// The epoch of the snapshot that it has.
    epoch: u64,
    /// It drains.
    draining: bool,
    finished: [bool; 2],
    network: ClientNetwork,
    /// The notices that it is due of what sessions together buffer.
    pub(super) notices: BufferNotices,
    pub(super) closed: bool,
    work: Work,
}

/// The leg towards a broker.
#[derive(Debug)]
pub(super) enum Upstream {
    Absent,
    Dialling {
        target: Target,
        ready: Instant,
        lost: bool,
    },
    Open {
        link: LinkId,
    },
}

/// What a driver can do now.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(Leg),
    Read(Leg),
    Connect,
    Refresh,
    Drain,
    Held,
    Tick,
}

impl ClientSession {
    pub(super) const fn network(&self) -> ClientNetwork {
        self.network
    }

    /// What it buffers that is counted; nothing once it is gone.
    pub(super) fn buffered_bytes(&self) -> BufferedBytes {
        if self.closed {
            BufferedBytes::default()
        } else {
            self.session.buffered_bytes()
        }
    }

    pub(super) fn link(&self, leg: Leg) -> Option<LinkId> {
        match (leg, &self.upstream) {
            (Leg::Client, _) => Some(self.client),
            (Leg::Upstream, Upstream::Open { link }) => Some(*link),
            (Leg::Upstream, Upstream::Absent | Upstream::Dialling { .. }) => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let dialled = match &self.upstream {
            Upstream::Dialling { ready, .. } => Some(*ready),
            Upstream::Absent | Upstream::Open { .. } => None,
        };
        let due = self.session.demand().deadline;
        due.into_iter()
            .chain(dialled)
            .min()
            .filter(|_| !self.closed)
    }
}

const fn index(leg: Leg) -> usize {
    match leg {
        Leg::Client => 0,
        Leg::Upstream => 1,
    }
}

/// Which way bytes leave doorkeeper on a leg.
pub(super) const fn outwards(leg: Leg) -> Direction {
    match leg {
        Leg::Client => Direction::Down,
        Leg::Upstream => Direction::Up,
    }
}

const fn inwards(leg: Leg) -> Direction {
    match leg {
        Leg::Client => Direction::Up,
        Leg::Upstream => Direction::Down,
    }
}

impl World {
    /// A client has connected to a listen address.
    pub(super) fn accept(&mut self, client: Ordinal, route: Route) -> (SessionId, LinkId) {
        let id = SessionId(self.sessions.len());
        let link = self.net.open();
        let seed = session_seed(self.seed, id.0);
        #[cfg_attr(
            not(doorkeeper_mutants),
            expect(unused_mut, reason = "for a planted bug")
        )]
        let mut accept = Accept::new(self.now, ([192, 0, 2, client.0], 5000).into(), route);
        #[cfg(doorkeeper_mutants)]
        {
            accept.mutation = self.mutation_inside();
        }
        let session = Session::new(accept, Arc::clone(&self.snapshot), seed);
        self.watch
            .opened(self.now, id, client, route, &self.snapshot);
        self.open.push(id.0);
        self.sessions.push(ClientSession {
            id,
            session,
            client: link,
            upstream: Upstream::Absent,
            epoch: self.snapshot.epoch,
            draining: false,
            finished: [false; 2],
            network: buffers::network(client),
            notices: BufferNotices::default(),
            closed: false,
            work: Work::default(),
        });
        (id, link)
    }

    /// Does one of the things that the driver of a session may do now.
    pub(super) fn session_step(&mut self, at: usize) -> Progress {
        let acts = self.acts(at);
        let choice = usize::try_from(self.rng.below(acts.len() as u64)).unwrap_or(0);
        let Some(act) = acts.get(choice) else {
            return Ok(false);
        };
        match *act {
            Act::Write(leg) => self.write(at, leg)?,
            Act::Read(leg) => self.read(at, leg)?,
            Act::Connect => self.connect(at)?,
            Act::Refresh => self.refresh(at)?,
            Act::Drain => {
                let by = self.drain.unwrap_or(self.now);
                if let Some(session) = self.sessions.get_mut(at) {
                    session.draining = true;
                }
                self.hand_in(at, Input::Drain { by })?;
            }
            Act::Held => self.report_buffered(at)?,
            Act::Tick => self.hand_in(at, Input::Tick)?,
        }
        Ok(true)
    }

    fn acts(&mut self, at: usize) -> Vec<Act> {
        let mut acts = Vec::new();
        let Some(session) = self.sessions.get(at).filter(|session| !session.closed) else {
            return acts;
        };
        let (now, demand) = (self.now, session.session.demand());
        for leg in [Leg::Client, Leg::Upstream] {
            let Some(link) = session.link(leg) else {
                continue;
            };
            let link = self.net.link(link);
            let out = link.way(outwards(leg));
            let due = !session.session.egress(leg).is_empty();
            if due && (out.room() > 0 || out.is_broken()) {
                acts.push(Act::Write(leg));
            }
            let reads = match leg {
                Leg::Client => demand.read_client,
                Leg::Upstream => demand.read_upstream,
            };
            if reads && link.way(inwards(leg)).is_readable(now) {
                acts.push(Act::Read(leg));
            }
        }
        match session.upstream {
            Upstream::Dialling { ready, .. } if ready <= now => acts.push(Act::Connect),
            Upstream::Dialling { .. } | Upstream::Absent | Upstream::Open { .. } => {}
        }
        if demand.snapshot && session.epoch != self.snapshot.epoch {
            acts.push(Act::Refresh);
        }
        if self.drain.is_some() && !session.draining {
            acts.push(Act::Drain);
        }
        if !session.notices.due.is_empty() {
            acts.push(Act::Held);
        }
        if demand.deadline.is_some_and(|deadline| deadline <= now) {
            acts.push(Act::Tick);
        }
        acts
    }

    fn write(&mut self, at: usize, leg: Leg) -> Result<(), Violation> {
        let Some(session) = self.sessions.get(at) else {
            return Ok(());
        };
        let Some(link) = session.link(leg) else {
            return Ok(());
        };
        let egress = session.session.egress(leg);
        let arrival = self.net.arrival(self.now, &mut self.rng);
        let count = self.net.piece(egress.len(), &mut self.rng);
        let mut bytes = Vec::with_capacity(count);
        for slice in egress.slices() {
            let left = count - bytes.len();
            bytes.extend_from_slice(slice.get(..left.min(slice.len())).unwrap_or_default());
            if bytes.len() == count {
                break;
            }
        }
        let id = session.id;
        #[cfg(doorkeeper_mutants)]
        if self.mutant_write(id, link, leg, arrival, &mut bytes)? {
            return self.hand_in(at, Input::Wrote { leg, bytes: count });
        }
        match self
            .net
            .link(link)
            .way(outwards(leg))
            .write(arrival, &bytes)
        {
            Ok(count) => {
                bytes.truncate(count);
                self.watch.wrote(self.now, id, leg, &bytes)?;
                self.hand_in(at, Input::Wrote { leg, bytes: count })
            }
            Err(_) => self.hand_in(
                at,
                Input::Ended {
                    leg,
                    how: End::Reset,
                },
            ),
        }
    }

    fn read(&mut self, at: usize, leg: Leg) -> Result<(), Violation> {
        // What is read next is authorized by the newest snapshot there is.
        let stale = self
            .sessions
            .get(at)
            .is_some_and(|session| session.epoch != self.snapshot.epoch);
        if leg == Leg::Client && stale {
            self.refresh(at)?;
        }
        let Some(link) = self.sessions.get(at).and_then(|session| session.link(leg)) else {
            return Ok(());
        };
        let most = self.net.piece(usize::MAX, &mut self.rng);
        match self.net.link(link).way(inwards(leg)).read(self.now, most) {
            ReadResult::Bytes(bytes) => self.hand_in(at, Input::Bytes { leg, bytes }),
            ReadResult::End(how) => self.hand_in(at, Input::Ended { leg, how }),
            ReadResult::Nothing => Ok(()),
        }
    }

    fn refresh(&mut self, at: usize) -> Result<(), Violation> {
        let newest = Arc::clone(&self.snapshot);
        if let Some(session) = self.sessions.get_mut(at) {
            session.epoch = newest.epoch;
        }
        self.hand_in(at, Input::Snapshot(newest))
    }

    fn connect(&mut self, at: usize) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(at) else {
            return Ok(());
        };
        let upstream = std::mem::replace(&mut session.upstream, Upstream::Absent);
        let Upstream::Dialling { target, lost, .. } = upstream else {
            return Ok(());
        };
        let id = session.id;
        let reached = if lost {
            Err(ConnectFailure::TimedOut)
        } else {
            self.reach(&target.dial, Some(id))
        };
        match reached {
            Ok((link, broker)) => {
                if let Some(session) = self.sessions.get_mut(at) {
                    session.upstream = Upstream::Open { link };
                }
                self.watch.reached(self.now, id, broker)?;
                self.hand_in(at, Input::Connected)
            }
            Err(why) => self.hand_in(at, Input::ConnectFailed(why)),
        }
    }

    /// Hands one input in, and does all that the session asks for in return.
    pub(super) fn hand_in(&mut self, at: usize, input: Input) -> Result<(), Violation> {
        let now = self.now;
        let Some(id) = self.sessions.get(at).map(|session| session.id) else {
            return Ok(());
        };
        self.watch.input(now, id, &input)?;
        #[cfg(doorkeeper_mutants)]
        let Some(input) = self.mutant_input(id, input) else {
            return Ok(());
        };
        let Some(session) = self.sessions.get_mut(at) else {
            return Ok(());
        };
        session
            .work
            .handle(now, &mut session.session, input)
            .map_err(|what| Violation::of(24, format!("{id}: {what}")))?;
        while let Some(effect) = self
            .sessions
            .get_mut(at)
            .and_then(|session| session.session.poll())
        {
            #[cfg(doorkeeper_mutants)]
            let Some(effect) = self.mutant_effect(now, id, effect)? else {
                continue;
            };
            self.watch.effect(now, id, &effect)?;
            self.carry_out(at, effect);
        }
        self.count_buffered(at);
        match self.sessions.get(at) {
            Some(session) => self.watch.state(now, id, &session.session),
            None => Ok(()),
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Connect(target) => {
                let arrival = self.net.arrival(self.now, &mut self.rng);
                let lost = self.brokers.swallows(&target.dial);
                let ready = if lost {
                    self.now.after(target.within)
                } else {
                    arrival
                };
                if let Some(session) = self.sessions.get_mut(at) {
                    session.upstream = Upstream::Dialling {
                        target,
                        ready,
                        lost,
                    };
                }
            }
            // Nobody has to log in here.
            Effect::Evaluate(_) | Effect::RequestToken(_) => {}
            Effect::Learn(observation) => self.asking.hint(observation),
            Effect::Finish(leg) => {
                let arrival = self.net.arrival(self.now, &mut self.rng);
                let Some(session) = self.sessions.get_mut(at) else {
                    return;
                };
                if let Some(finished) = session.finished.get_mut(index(leg)) {
                    *finished = true;
                }
                if let Some(link) = session.link(leg) {
                    self.net.link(link).way(outwards(leg)).finish(arrival);
                }
            }
            Effect::Close(_) => {
                let Some(session) = self.sessions.get_mut(at) else {
                    return;
                };
                session.closed = true;
                self.open.retain(|open| *open != at);
                let legs = [session.link(Leg::Client), session.link(Leg::Upstream)];
                session.upstream = Upstream::Absent;
                for (leg, link) in [Leg::Client, Leg::Upstream].into_iter().zip(legs) {
                    if let Some(link) = link {
                        self.net.close(link, outwards(leg), self.now, &mut self.rng);
                    }
                }
            }
            Effect::Report(_) => {}
        }
    }

    /// The next snapshot is there for all sessions.
    pub(super) fn publish(&mut self, next: Snapshot) {
        self.snapshot = Arc::new(next);
        self.watch.published(self.now, &self.snapshot);
    }
}

/// Where bytes of doorkeeper go first.
pub(super) fn route(broker: Option<u8>) -> Route {
    broker.map_or(Route::Bootstrap, |id| Route::Broker(BrokerId(id.into())))
}
