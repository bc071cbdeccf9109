//! What the adapter reports, for logs and metrics: one trait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::proxy_protocol;
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{Accept, CloseReason, Leg, Route, discovery};

use crate::id::{ClusterId, ListenerId};

/// One bound address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    /// The listener.
    pub listener: ListenerId,
    /// The bound address.
    pub at: SocketAddr,
    /// The bootstrap brokers or the broker that a client reaches through it.
    pub route: Route,
}

/// One client connection.
#[derive(Clone, Debug)]
pub struct ClientConnection {
    /// Counts the sessions of this process, from 1.
    pub session: u64,
    /// The address that it was accepted at.
    pub listen_addr: Arc<ListenAddr>,
    /// Where it comes from.
    pub client: ClientAddress,
}

/// Which way bytes went on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Read from the peer.
    In,
    /// Written to the peer.
    Out,
}

/// How many bytes a session moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Read from the client.
    pub client_in: u64,
    /// Written to the client.
    pub client_out: u64,
    /// Read from the broker.
    pub upstream_in: u64,
    /// Written to the broker.
    pub upstream_out: u64,
}

impl Traffic {
    /// Read from both.
    pub(crate) const fn read(self) -> u64 {
        self.client_in + self.upstream_in
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Core closed it.
    Closed(CloseReason),
    /// It had sent no whole request, there were too many such connections, and it was the oldest
    /// of the address with most of them.
    SilentLimit,
    /// The process had to end at once: a second signal, or the drain time ran out.
    Aborted,
    /// The system did not take its sockets to the threads for bulk.
    NotMoved,
    /// The code of the session panicked. Must never happen; ends one session only.
    Panic,
}

impl SessionEnd {
    /// A label for metrics: from a small fixed set.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed(reason) => reason.name(),
            Self::SilentLimit => "silent_limit",
            Self::Aborted => "aborted",
            Self::NotMoved => "not_moved",
            Self::Panic => "panic",
        }
    }

    /// The names of all ends that are not core's, each with what has happened: they follow
    /// [`CloseReason::MEANINGS`] in the documentation.
    pub const MEANINGS: &[(&str, &str)] = &[
        (
            Self::SilentLimit.name(),
            "The client had sent no whole request, and gave way to another such connection \
             (`silent_connections`, `silent_connections_per_address`)",
        ),
        (
            Self::Aborted.name(),
            "doorkeeper had to end at once: a second signal, or sessions that outlasted the drain",
        ),
        (
            Self::NotMoved.name(),
            "The connection forwarded much, and the system did not let other threads take it over \
             (`fs.epoll.max_user_watches` is reached, or there is no memory)",
        ),
        (
            Self::Panic.name(),
            "The code of the session panicked; it ended, nothing else",
        ),
    ];
}

/// Why a connection was closed before it had a session, other than for its TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The listener has as many connections as it may.
    Connections,
    /// The client's address has as many connections as it may.
    ConnectionsPerAddress,
    /// The process has as many connections as its file descriptors allow, or the client's address
    /// has as many of them as are left for all others.
    FileDescriptors,
    /// The client's address opens connections faster than it may.
    ConnectionRatePerAddress,
    /// There were too many connections without a whole request, and this one, whose proxy had not
    /// said yet whose it is, gave way to another.
    SilentLimit,
    /// The listener takes connections of its proxies alone, and the peer is none of them.
    PeerNotTrusted,
    /// The proxy closed the connection before the first byte of a header.
    ProxyClosed,
    /// The proxy closed it within the header.
    ProxyTruncated,
    /// The header did not come in time.
    ProxyTimedOut,
    /// What the proxy sent is no header.
    ProxyHeader(proxy_protocol::Invalid),
}

impl Rejection {
    /// A label for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::FileDescriptors => "file_descriptors",
            Self::ConnectionRatePerAddress => "connection_rate_per_address",
            Self::SilentLimit => "silent_limit",
            Self::PeerNotTrusted => "peer_not_trusted",
            Self::ProxyClosed => "proxy_closed",
            Self::ProxyTruncated => "proxy_truncated",
            Self::ProxyTimedOut => "proxy_timed_out",
            Self::ProxyHeader(invalid) => invalid.name(),
        }
    }

    /// Whether this is of one client address, or of the proxy in front of it, so that it must not
    /// hide what happens to others.
    pub(crate) const fn is_of_one_address(self) -> bool {
        match self {
            Self::Connections => false,
            Self::ConnectionsPerAddress
            | Self::FileDescriptors
            | Self::ConnectionRatePerAddress
            | Self::SilentLimit
            | Self::PeerNotTrusted
            | Self::ProxyClosed
            | Self::ProxyTruncated
            | Self::ProxyTimedOut
            | Self::ProxyHeader(_) => true,
        }
    }
}

/// How the address that a cluster gives for a broker is doorkeeper's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnAddress {
    /// doorkeeper listens there: a connection to it leads back.
    Bound,
    /// A listener advertises the same for this broker: a connection to it leads back, unless the
    /// name leads doorkeeper elsewhere than its clients.
    Advertised,
}

impl OwnAddress {
    /// The name that logs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Advertised => "advertised",
        }
    }
}

/// Gets what happens. Called on the data path: every method must be quick and must not block.
///
/// Each session is opened once and closed once, and in between its events and bytes come in
/// order.
pub trait Observer: Send + Sync + 'static {
    /// An address has been bound.
    fn listening(&self, _listen_addr: &ListenAddr) {}
    /// An address is not listened at any more, because a reload has removed it.
    fn listening_ended(&self, _listen_addr: &ListenAddr) {}
    /// A reload has removed a listener; sessions of it may still be open.
    fn listener_removed(&self, _listener: &ListenerId) {}
    /// A reload has removed a cluster.
    fn cluster_removed(&self, _cluster: &ClusterId) {}
    /// The session of a client begins, of which this is known.
    fn session_opened(&self, _connection: &ClientConnection, _accept: &Accept) {}
    /// The session reports something.
    fn session_event(&self, _connection: &ClientConnection, _event: &Event) {}
    /// Bytes were read or written on a leg. Called for every read and write.
    fn bytes(
        &self,
        _connection: &ClientConnection,
        _leg: Leg,
        _direction: Direction,
        _bytes: usize,
    ) {
    }
    /// The session is over and both its connections are closed.
    fn session_closed(
        &self,
        _connection: &ClientConnection,
        _ended: SessionEnd,
        _traffic: Traffic,
        _lasted: Duration,
    ) {
    }
    /// A connection was closed before it had a session, because of a limit or for want of a valid
    /// PROXY header. Where no header has been read, `client` is the peer of the socket.
    fn connection_rejected(
        &self,
        _listen_addr: &ListenAddr,
        _client: ClientAddress,
        _why: Rejection,
    ) {
    }
    /// The TLS handshake of a client failed: it gets no session.
    fn tls_handshake_failed(&self, _connection: &ClientConnection, _failure: TlsFailure) {}

    /// All connections together come faster than they may: the next one is accepted after the
    /// pause.
    fn accept_delayed(&self, _listen_addr: &ListenAddr, _pause: Duration) {}
    /// Accepting failed (no descriptor left, say); it is tried again after the pause.
    fn accept_failed(&self, _listen_addr: &ListenAddr, _error: &io::Error, _pause: Duration) {}
    /// Discovery reports something.
    fn discovery_event(&self, _cluster: &ClusterId, _event: &discovery::Event) {}
    /// The topology of a cluster is known, or has changed from what was published before.
    fn topology_published(&self, _cluster: &ClusterId, _before: &Topology, _topology: &Topology) {}
    /// The cluster gives an address for a broker, new or changed, that is doorkeeper's own.
    fn broker_at_own_address(
        &self,
        _: &ClusterId,
        _id: BrokerId,
        _at: &HostPort,
        _how: OwnAddress,
    ) {
    }
    /// The cluster has a broker for which this listener has no address: clients do not see it.
    /// Reported once for each.
    fn broker_unaddressed(&self, _listener: &ListenerId, _broker: BrokerId) {}
    /// How many of the brokers that are up this listener has no address for. Reported after every
    /// refresh.
    fn brokers_unaddressed(&self, _listener: &ListenerId, _brokers: usize) {}
    /// Discovery panicked. Must never happen; it starts afresh after a pause.
    fn discovery_panicked(&self, _cluster: &ClusterId) {}
    /// doorkeeper stops: it accepts no more connections, and the open sessions have this long.
    fn draining(&self, _sessions: usize, _within: Duration) {}
}

/// Ignores everything.
impl Observer for () {}
