//! Several observers as one: each gets all that happens, in the order in which they are listed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{Accept, Leg, discovery};

use crate::id::{ClusterId, ListenerId};
use crate::observer::{
    ClientConnection, Direction, ListenAddr, Observer, OwnAddress, Rejection, SessionEnd, Traffic,
};

/// Observers that know nothing of each other.
pub struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    /// The first gets everything before the second, and so on.
    #[must_use]
    pub fn new(all: impl IntoIterator<Item = Arc<dyn Observer>>) -> Self {
        Self(all.into_iter().collect())
    }

    fn each(&self, tell: impl Fn(&dyn Observer)) {
        for observer in &self.0 {
            tell(&**observer);
        }
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}

impl Observer for Observers {
    fn listening(&self, listen_addr: &ListenAddr) {
        self.each(|it| it.listening(listen_addr));
    }

    fn listening_ended(&self, listen_addr: &ListenAddr) {
        self.each(|it| it.listening_ended(listen_addr));
    }

    fn listener_removed(&self, listener: &ListenerId) {
        self.each(|it| it.listener_removed(listener));
    }

    fn cluster_removed(&self, cluster: &ClusterId) {
        self.each(|it| it.cluster_removed(cluster));
    }

    fn session_opened(&self, connection: &ClientConnection, accept: &Accept) {
        self.each(|it| it.session_opened(connection, accept));
    }

    fn session_event(&self, connection: &ClientConnection, event: &Event) {
        self.each(|it| it.session_event(connection, event));
    }

    fn bytes(&self, connection: &ClientConnection, leg: Leg, direction: Direction, bytes: usize) {
        self.each(|it| it.bytes(connection, leg, direction, bytes));
    }

    fn session_closed(
        &self,
        connection: &ClientConnection,
        ended: SessionEnd,
        sent: Traffic,
        lasted: Duration,
    ) {
        self.each(|it| it.session_closed(connection, ended, sent, lasted));
    }

    fn connection_rejected(&self, listen_addr: &ListenAddr, client: ClientAddress, why: Rejection) {
        self.each(|it| it.connection_rejected(listen_addr, client, why));
    }

    fn tls_handshake_failed(&self, connection: &ClientConnection, failure: TlsFailure) {
        self.each(|it| it.tls_handshake_failed(connection, failure));
    }

    fn accept_delayed(&self, listen_addr: &ListenAddr, pause: Duration) {
        self.each(|it| it.accept_delayed(listen_addr, pause));
    }

    fn accept_failed(&self, listen_addr: &ListenAddr, error: &io::Error, pause: Duration) {
        self.each(|it| it.accept_failed(listen_addr, error, pause));
    }

    fn discovery_event(&self, cluster: &ClusterId, event: &discovery::Event) {
        self.each(|it| it.discovery_event(cluster, event));
    }

    fn topology_published(&self, cluster: &ClusterId, before: &Topology, topology: &Topology) {
        self.each(|it| it.topology_published(cluster, before, topology));
    }

    fn broker_at_own_address(
        &self,
        cluster: &ClusterId,
        id: BrokerId,
        at: &HostPort,
        how: OwnAddress,
    ) {
        self.each(|it| it.broker_at_own_address(cluster, id, at, how));
    }

    fn broker_unaddressed(&self, listener: &ListenerId, broker: BrokerId) {
        self.each(|it| it.broker_unaddressed(listener, broker));
    }

    fn brokers_unaddressed(&self, listener: &ListenerId, brokers: usize) {
        self.each(|it| it.brokers_unaddressed(listener, brokers));
    }

    fn discovery_panicked(&self, cluster: &ClusterId) {
        self.each(|it| it.discovery_panicked(cluster));
    }

    fn draining(&self, sessions: usize, within: Duration) {
        self.each(|it| it.draining(sessions, within));
    }
}
