//! The reports of a doorkeeper, written to the trace and held against the rules.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::event::Event;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{Accept, CloseReason, Leg, discovery};
use doorkeeper_io_tokio::id::ClusterId;
use doorkeeper_io_tokio::observer::{
    ClientConnection, Direction, ListenAddr, Observer, Rejection, SessionEnd, Traffic,
};

use super::trace::Trace;

/// A session that is over.
#[derive(Clone, Debug)]
pub struct ClosedSession {
    /// When, since the simulation began.
    pub at: Duration,
    /// How.
    pub ended: SessionEnd,
    /// What it moved.
    pub traffic: Traffic,
    /// How long it lasted.
    pub lasted: Duration,
}

/// The observer of one doorkeeper.
#[derive(Debug)]
pub struct Watch {
    name: String,
    trace: Trace,
    seen: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes from the client of each open session.
    open: BTreeMap<u64, u64>,
    closed: Vec<ClosedSession>,
    topologies: usize,
    accept_failures: usize,
}

impl Watch {
    pub(super) fn new(name: &str, trace: Trace) -> Self {
        Self {
            name: name.to_owned(),
            trace,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, State> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.seen().open.len()
    }

    /// The sessions that are over, in the order in which they ended.
    #[must_use]
    pub fn closed(&self) -> Vec<ClosedSession> {
        self.seen().closed.clone()
    }

    /// How often discovery has published something.
    #[must_use]
    pub fn topologies(&self) -> usize {
        self.seen().topologies
    }

    /// How often accepting failed.
    #[must_use]
    pub fn accept_failures(&self) -> usize {
        self.seen().accept_failures
    }

    /// The process is gone, and its sessions with it: none of them reports its end.
    pub(super) fn crashed(&self) {
        self.seen().open.clear();
    }
}

impl Observer for Watch {
    fn session_opened(&self, connection: &ClientConnection, _: &Accept) {
        let (name, session) = (&self.name, connection.session);
        let (peer, route) = (connection.client.socket(), connection.listen_addr.route);
        self.trace
            .event(format_args!("{name} s{session} opened {peer} {route:?}"));
        if self.seen().open.insert(session, 0).is_some() {
            self.trace
                .violation(13, format_args!("{name} s{session} was opened twice"));
        }
    }

    fn session_event(&self, connection: &ClientConnection, event: &Event) {
        let (name, session) = (&self.name, connection.session);
        self.trace
            .event(format_args!("{name} s{session} {event:?}"));
    }

    fn bytes(&self, connection: &ClientConnection, leg: Leg, direction: Direction, bytes: usize) {
        let (name, session, leg) = (&self.name, connection.session, leg.name());
        self.trace.event(format_args!(
            "{name} s{session} {leg} {direction:?} {bytes}"
        ));
        let mut seen = self.seen();
        match seen.open.get_mut(&session) {
            Some(from_client) if leg == Leg::Client.name() && direction == Direction::In => {
                *from_client += bytes as u64;
            }
            Some(_) => {}
            None => {
                drop(seen);
                self.trace.violation(
                    13,
                    format_args!("{name} s{session} moved bytes while not open"),
                );
            }
        }
    }

    fn session_closed(
        &self,
        connection: &ClientConnection,
        ended: SessionEnd,
        traffic: Traffic,
        lasted: Duration,
    ) {
        let (name, session) = (&self.name, connection.session);
        self.trace.event(format_args!(
            "{name} s{session} closed {ended:?} {traffic:?} {lasted:?}"
        ));
        let mut seen = self.seen();
        let read = seen.open.remove(&session);
        let at = self.trace.now();
        seen.closed.push(ClosedSession {
            at,
            ended,
            traffic,
            lasted,
        });
        drop(seen);
        if read != Some(traffic.client_in) {
            self.trace.violation(
                13,
                format_args!(
                    "{name} s{session} counts {} bytes of its client, {read:?} were reported",
                    traffic.client_in
                ),
            );
        }
        match ended {
            SessionEnd::Panic => self.trace.panicked(format_args!("{name} s{session}")),
            SessionEnd::Closed(CloseReason::Bug(bug)) => self.trace.violation(
                10,
                format_args!("{name} s{session} ended by a bug: {bug:?}"),
            ),
            SessionEnd::Closed(_)
            | SessionEnd::SilentLimit
            | SessionEnd::Aborted
            | SessionEnd::NotMoved => {}
        }
    }

    fn connection_rejected(&self, listen_addr: &ListenAddr, client: ClientAddress, why: Rejection) {
        let (name, at) = (&self.name, listen_addr.at);
        self.trace.event(format_args!(
            "{name} {at} turned {} away: {why:?}",
            client.socket()
        ));
    }

    fn accept_failed(&self, listen_addr: &ListenAddr, error: &io::Error, pause: Duration) {
        let (name, at) = (&self.name, listen_addr.at);
        self.trace.event(format_args!(
            "{name} {at} cannot accept: {:?}, pause {pause:?}",
            error.kind()
        ));
        self.seen().accept_failures += 1;
    }

    fn discovery_event(&self, _cluster: &ClusterId, event: &discovery::Event) {
        let name = &self.name;
        self.trace.event(format_args!("{name} discovery {event:?}"));
    }

    fn topology_published(&self, _cluster: &ClusterId, _before: &Topology, topology: &Topology) {
        let name = &self.name;
        self.trace
            .event(format_args!("{name} published {topology:?}"));
        self.seen().topologies += 1;
    }

    fn discovery_panicked(&self, _cluster: &ClusterId) {
        let name = &self.name;
        self.trace.panicked(format_args!("{name}: discovery"));
    }

    fn draining(&self, sessions: usize, within: Duration) {
        let name = &self.name;
        self.trace.event(format_args!(
            "{name} drains {sessions} sessions within {within:?}"
        ));
    }
}
