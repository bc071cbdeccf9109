//! The brokers: one cluster that responds as Kafka does, the hosts that it stands on, and what
//! goes wrong between its responses and the network.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::{ConnectFailure, End, Instant};

use super::channel::ReadResult;
use super::net::LinkId;
use super::{Progress, World};
use crate::environment::{BOOTSTRAP, DOORKEEPER, address};
use crate::frames::{Cutter, with_length, without_length};
use crate::script::{BrokerFault, Direction, Ordinal, Tamper};
use crate::watch::{SessionId, Violation};
use doorkeeper_kafka_model::CloseReason;
use doorkeeper_kafka_model::ConnectionId;
use doorkeeper_kafka_model::{Cluster, Output};

/// All brokers.
#[derive(Debug)]
pub(super) struct Brokers {
    pub(super) cluster: Cluster,
    hosts: Vec<Host>,
    wires: Vec<Wire>,
    /// Those that are not over.
    live: Vec<usize>,
}

/// What one broker runs on.
#[derive(Debug)]
struct Host {
    id: BrokerId,
    at: HostPort,
    moves: u32,
    /// It advertises doorkeeper's address instead of its own.
    misleads: bool,
    up: bool,
    silent: bool,
    doorkeeper: AcceptState,
    /// What happens to the next responses that go to sessions.
    tampers: VecDeque<Tamper>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptState {
    Open,
    RefusesConnections,
    Swallowing,
}

/// One connection to a broker.
#[derive(Debug)]
struct Wire {
    link: LinkId,
    connection: ConnectionId,
    host: usize,
    /// The session at the other end; discovery has none.
    session: Option<SessionId>,
    cutter: Cutter,
    outbox: VecDeque<(Instant, Bytes)>,
    /// Its peer has ended its half; its requests still get their responses.
    half_closed: bool,
    /// A size has come that no request has: nothing more is read, and what was asked for before is
    /// still gets its response.
    broken: bool,
    /// No further response is made, and this is how it ends once the outbox is empty.
    ending: Option<End>,
    over: bool,
}

impl Brokers {
    pub(super) fn new(cluster: Cluster, brokers: u8) -> Self {
        let host = |id: u8| {
            Some(Host {
                id: BrokerId(id.into()),
                at: address(id, 0)?,
                moves: 0,
                misleads: false,
                up: true,
                silent: false,
                doorkeeper: AcceptState::Open,
                tampers: VecDeque::new(),
            })
        };
        Self {
            cluster,
            hosts: (0..brokers).filter_map(host).collect(),
            wires: Vec::new(),
            live: Vec::new(),
        }
    }

    fn host_at(&self, dial: &HostPort) -> Option<usize> {
        let ready = |host: &Host| host.up && host.doorkeeper != AcceptState::RefusesConnections;
        match BOOTSTRAP.iter().position(|name| *name == dial.host()) {
            Some(0) => self.hosts.iter().position(ready),
            Some(_) => self.hosts.iter().rposition(ready),
            None => self.hosts.iter().position(|host| host.at == *dial),
        }
    }

    /// Whether an attempt to connect there neither succeeds nor fails.
    pub(super) fn swallows(&self, dial: &HostPort) -> bool {
        let host = self.host_at(dial).and_then(|at| self.hosts.get(at));
        host.is_some_and(|host| host.up && host.doorkeeper == AcceptState::Swallowing)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let live = self.live.iter().filter_map(|at| self.wires.get(*at));
        let out = live.filter(|wire| !self.is_silent(wire));
        let out = out.filter_map(|wire| wire.outbox.front().map(|(at, _)| *at));
        out.chain(self.cluster.deadline()).min()
    }

    fn is_silent(&self, wire: &Wire) -> bool {
        wire.over || self.hosts.get(wire.host).is_some_and(|host| host.silent)
    }

    /// How many brokers there are.
    pub(super) fn count(&self) -> u8 {
        u8::try_from(self.hosts.len()).unwrap_or(u8::MAX)
    }

    /// Whether no session has a connection to a broker.
    pub(super) fn serve_nobody(&self) -> bool {
        self.wires
            .iter()
            .all(|wire| wire.over || wire.session.is_none())
    }
}

impl World {
    /// Connects to whatever is at an address.
    pub(super) fn reach(
        &mut self,
        dial: &HostPort,
        session: Option<SessionId>,
    ) -> Result<(LinkId, BrokerId), ConnectFailure> {
        if dial.host() == DOORKEEPER.0 {
            return Err(ConnectFailure::Loop);
        }
        let at = self.brokers.host_at(dial);
        let Some((at, host)) = at.and_then(|at| Some((at, self.brokers.hosts.get(at)?))) else {
            // Nobody is at an address that a broker has left.
            return Err(ConnectFailure::Refused);
        };
        if !host.up || host.doorkeeper == AcceptState::RefusesConnections {
            return Err(ConnectFailure::Refused);
        }
        let id = host.id;
        let link = self.net.open();
        let connection = self.brokers.cluster.connected(self.now, id);
        self.brokers.live.push(self.brokers.wires.len());
        self.brokers.wires.push(Wire {
            link,
            connection,
            host: at,
            session,
            cutter: Cutter::default(),
            outbox: VecDeque::new(),
            half_closed: false,
            broken: false,
            ending: None,
            over: false,
        });
        Ok((link, id))
    }

    /// Lets brokers read, respond and write what they can now.
    pub(super) fn brokers_step(&mut self) -> Progress {
        let mut moved = false;
        let due = self.brokers.cluster.deadline();
        if due.is_some_and(|due| due <= self.now) {
            self.brokers.cluster.tick(self.now);
            moved = true;
        }
        let live = self.brokers.live.clone();
        for at in &live {
            moved |= self.wire_reads(*at)?;
        }
        while let Some(output) = self.brokers.cluster.poll() {
            moved = true;
            self.output(output)?;
        }
        for at in live {
            moved |= self.wire_writes(at);
        }
        let wires = &self.brokers.wires;
        self.brokers
            .live
            .retain(|at| wires.get(*at).is_some_and(|wire| !wire.over));
        Ok(moved)
    }

    fn wire_reads(&mut self, at: usize) -> Progress {
        let wires = &mut self.brokers.wires;
        let Some(wire) = wires.get_mut(at).filter(|it| !it.over && !it.broken) else {
            return Ok(false);
        };
        // What has begun to wait is read on when it has its response, and a client that is
        // throttled when that is over.
        let cluster = &self.brokers.cluster;
        let reads = cluster.accepts(wire.connection) && !cluster.is_muted(wire.connection);
        if !reads && wire.ending.is_none() {
            return Ok(false);
        }
        if !self.net.link(wire.link).up.is_readable(self.now) {
            return Ok(false);
        }
        let most = self.net.piece(usize::MAX, &mut self.rng);
        match self.net.link(wire.link).up.read(self.now, most) {
            ReadResult::Nothing => Ok(false),
            ReadResult::End(End::Fin)
                if self.brokers.cluster.owes(wire.connection) || !wire.outbox.is_empty() =>
            {
                wire.half_closed = true;
                Ok(true)
            }
            ReadResult::End(End::Fin | End::Reset | End::Truncated) => {
                wire.over = true;
                let (link, connection) = (wire.link, wire.connection);
                self.brokers.cluster.disconnected(self.now, connection);
                self.net
                    .close(link, Direction::Down, self.now, &mut self.rng);
                Ok(true)
            }
            ReadResult::Bytes(bytes) => {
                wire.cutter.push(&bytes);
                while let Some(frame) = wire.cutter.next_frame() {
                    if let Some(session) = wire.session {
                        self.watch.broker_got(self.now, session, &frame)?;
                    }
                    let frame = without_length(frame);
                    self.brokers
                        .cluster
                        .request(self.now, wire.connection, frame);
                }
                // `NetworkReceive`: a size that no request has closes the connection, and a broker
                // comes to it when it has responded to what came before.
                wire.broken = wire.cutter.is_broken();
                Ok(true)
            }
        }
    }

    fn output(&mut self, output: Output) -> Result<(), Violation> {
        let (connection, bytes) = match output {
            Output::Frame { connection, bytes } => (connection, Some(bytes)),
            Output::Close { connection, reason } => {
                if let CloseReason::ResponseNotEncodable { .. } = reason {
                    return Err(Violation::of_the_model(&reason.to_string()));
                }
                (connection, None)
            }
        };
        let wires = &mut self.brokers.wires;
        let Some(wire) = wires.iter_mut().find(|wire| wire.connection == connection) else {
            return Ok(());
        };
        let Some(body) = bytes else {
            wire.ending.get_or_insert(End::Fin);
            return Ok(());
        };
        if wire.ending.is_some() {
            return Ok(());
        }
        let frame = with_length(&body);
        let host = self.brokers.hosts.get_mut(wire.host);
        let tamper = host.and_then(|host| match wire.session {
            Some(_) => host.tampers.pop_front(),
            None => None,
        });
        if let (Some(session), Some(tamper)) = (wire.session, tamper) {
            self.watch.tampered(self.now, session, tamper);
        }
        wire.respond(self.now, frame, tamper);
        Ok(())
    }

    fn wire_writes(&mut self, at: usize) -> bool {
        let Some(wire) = self.brokers.wires.get(at).filter(|wire| !wire.over) else {
            return false;
        };
        let idle = wire.outbox.front().is_none_or(|(due, _)| *due > self.now);
        let is_done = !self.brokers.cluster.owes(wire.connection);
        let has_responded = (wire.half_closed || wire.broken) && is_done;
        let ends = wire.outbox.is_empty() && (wire.ending.is_some() || has_responded);
        if self.brokers.is_silent(wire) || (idle && !ends) {
            return false;
        }
        let (now, arrival) = (self.now, self.net.arrival(self.now, &mut self.rng));
        let Some(wire) = self.brokers.wires.get_mut(at) else {
            return false;
        };
        let pipe = &mut self.net.link(wire.link).down;
        let mut moved = false;
        while let Some((due, bytes)) = wire.outbox.front_mut()
            && *due <= now
        {
            match pipe.write(arrival, bytes) {
                Ok(0) => break,
                Ok(count) => {
                    moved = true;
                    let _ = bytes.split_to(count);
                    if bytes.is_empty() {
                        wire.outbox.pop_front();
                    }
                }
                Err(_) => {
                    wire.outbox.clear();
                    moved = true;
                }
            }
        }
        let by_itself = if wire.broken { End::Reset } else { End::Fin };
        let ending = wire.ending.or_else(|| has_responded.then_some(by_itself));
        if let (true, Some(how)) = (wire.outbox.is_empty(), ending) {
            wire.over = true;
            let (link, connection) = (wire.link, wire.connection);
            self.brokers.cluster.disconnected(now, connection);
            match how {
                End::Reset => self.net.link(link).reset(arrival),
                End::Fin | End::Truncated => {
                    self.net.link(link).down.finish_as(arrival, how);
                    self.net.close(link, Direction::Down, now, &mut self.rng);
                }
            }
            moved = true;
        }
        moved
    }

    /// Something happens to a broker.
    pub(super) fn broker_fault(&mut self, broker: Ordinal, fault: &BrokerFault) {
        let (now, count) = (self.now, self.brokers.count());
        let at = usize::from(broker.0.checked_rem(count).unwrap_or(0));
        let Some(host) = self.brokers.hosts.get_mut(at) else {
            return;
        };
        match fault {
            BrokerFault::Crash => self.crash(at),
            BrokerFault::Restart => {
                host.up = true;
                self.brokers.cluster.start_broker(now, host.id);
            }
            BrokerFault::Move => self.move_host(at),
            BrokerFault::Silence => host.silent = true,
            BrokerFault::Speak => host.silent = false,
            BrokerFault::Refuse => host.doorkeeper = AcceptState::RefusesConnections,
            BrokerFault::BlackHole => host.doorkeeper = AcceptState::Swallowing,
            BrokerFault::Accept => host.doorkeeper = AcceptState::Open,
            BrokerFault::Versions(key, last) => {
                let (key, last) = (i16::from(*key), i16::from(*last));
                self.brokers.cluster.serve_up_to(host.id, key, last);
            }
            BrokerFault::Next(tamper) => host.tampers.push_back(*tamper),
            BrokerFault::AdvertiseDoorkeeper => self.advertise_doorkeeper(at),
            BrokerFault::Throttle(ms) => {
                let throttle = Duration::from_millis(u64::from(*ms));
                self.brokers.cluster.throttle(host.id, throttle);
            }
        }
    }

    fn crash(&mut self, at: usize) {
        let Some(host) = self.brokers.hosts.get_mut(at) else {
            return;
        };
        host.up = false;
        self.brokers.cluster.stop_broker(self.now, host.id);
        let arrival = self.net.arrival(self.now, &mut self.rng);
        for wire in &mut self.brokers.wires {
            if wire.host == at && !wire.over {
                wire.over = true;
                self.net.link(wire.link).reset(arrival);
            }
        }
    }

    fn move_host(&mut self, at: usize) {
        let Some(host) = self.brokers.hosts.get_mut(at) else {
            return;
        };
        host.moves += 1;
        host.up = true;
        host.misleads = false;
        let moved = u8::try_from(host.id.0)
            .ok()
            .and_then(|id| address(id, host.moves));
        if let Some(address) = moved {
            host.at = address.clone();
            self.brokers.cluster.advertise(self.now, host.id, address);
        }
        self.brokers.cluster.start_broker(self.now, host.id);
    }

    /// It stays where it was, and advertises doorkeeper's address.
    fn advertise_doorkeeper(&mut self, at: usize) {
        let Some(host) = self.brokers.hosts.get_mut(at) else {
            return;
        };
        let (doorkeeper, base) = DOORKEEPER;
        let port = u16::try_from(host.id.0).map(|id| base + id);
        if let Some(address) = port
            .ok()
            .and_then(|port| HostPort::new(doorkeeper, port).ok())
        {
            host.misleads = true;
            self.brokers.cluster.advertise(self.now, host.id, address);
        }
    }

    /// All brokers are well again.
    pub(super) fn heal_brokers(&mut self) {
        for at in 0..self.brokers.hosts.len() {
            if self.brokers.hosts.get(at).is_some_and(|host| host.misleads) {
                self.move_host(at);
            }
        }
        for host in &mut self.brokers.hosts {
            host.silent = false;
            host.doorkeeper = AcceptState::Open;
            host.tampers.clear();
            self.brokers.cluster.throttle(host.id, Duration::ZERO);
            if !host.up {
                host.up = true;
                self.brokers.cluster.start_broker(self.now, host.id);
            }
        }
    }
}

impl Wire {
    /// Sends a response, or what becomes of it.
    fn respond(&mut self, now: Instant, frame: Bytes, tamper: Option<Tamper>) {
        let behind = self.outbox.back().map_or(now, |(at, _)| (*at).max(now));
        let mut changed = BytesMut::from(&*frame);
        match tamper {
            None => self.outbox.push_back((behind, frame)),
            Some(Tamper::WrongId) => {
                if let Some(byte) = changed.get_mut(4) {
                    *byte ^= 0x40;
                }
                self.outbox.push_back((behind, changed.freeze()));
            }
            Some(Tamper::Extra) => {
                self.outbox.push_back((behind, frame.clone()));
                self.outbox.push_back((behind, frame));
            }
            Some(Tamper::Missing) => {}
            Some(Tamper::Negative) => {
                if let Some(byte) = changed.first_mut() {
                    *byte = 0xff;
                }
                self.outbox.push_back((behind, changed.freeze()));
            }
            Some(Tamper::Huge) => {
                if let Some(byte) = changed.first_mut() {
                    *byte = 0x7f;
                }
                self.outbox.push_back((behind, changed.freeze()));
            }
            Some(Tamper::Cut(at, how)) => {
                let at = usize::from(at).min(frame.len());
                self.outbox.push_back((behind, frame.slice(..at)));
                self.ending = Some(how.into());
            }
            Some(Tamper::Late(tenths)) => {
                let late = now.after(Duration::from_millis(u64::from(tenths) * 100));
                self.outbox.push_back((behind.max(late), frame));
            }
        }
        self.outbox.retain(|(_, bytes)| !bytes.is_empty());
    }
}
