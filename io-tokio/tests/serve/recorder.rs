//! Remembers what the adapter reports to its observer, and counts it as the product does.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{Accept, Leg, discovery};
use doorkeeper_io_tokio::id::{ClusterId, ListenerId};
use doorkeeper_io_tokio::metrics::Metrics;
use doorkeeper_io_tokio::observer::{
    ClientConnection, Direction, ListenAddr, Observer, OwnAddress, Rejection, SessionEnd, Traffic,
};
use doorkeeper_io_tokio::recorder::Counts;
use tokio::sync::Notify;

/// How long in the tests' time anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    SessionOpened(SocketAddr),
    Event(SocketAddr, Event),
    Closed(SocketAddr, &'static str, Duration),
    Rejected(SocketAddr, &'static str),
    HandshakeFailed(SocketAddr, TlsFailure),
    AcceptFailed(String, Duration),
    Discovery(String, discovery::Event),
    Published(String, Vec<(i32, String)>),
    Unaddressed(String, i32),
    AtOwnAddress(i32, String, OwnAddress),
    DiscoveryPanicked(String),
    Draining(usize, Duration),
}

pub struct Recorder {
    seen: Mutex<Vec<Seen>>,
    accepts: Mutex<Vec<Accept>>,
    news: Notify,
    metrics: Metrics,
    panics: AtomicBool,
    in_bulk: AtomicUsize,
}

impl Recorder {
    pub fn new(listeners: impl IntoIterator<Item = ListenerId>) -> Self {
        Self {
            seen: Mutex::default(),
            accepts: Mutex::default(),
            news: Notify::new(),
            metrics: Metrics::new(listeners),
            panics: AtomicBool::new(false),
            in_bulk: AtomicUsize::new(0),
        }
    }

    /// The next refresh of discovery panics.
    pub fn panic_at_refresh(&self) {
        self.panics.store(true, Ordering::Relaxed);
    }

    /// Where what becomes of recordings is counted.
    pub fn recordings(&self) -> Counts {
        self.metrics.recordings()
    }

    /// How many bytes were moved on the threads for bulk.
    pub fn bytes_in_bulk(&self) -> usize {
        self.in_bulk.load(Ordering::Relaxed)
    }

    fn push(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
        self.news.notify_waiters();
    }

    /// What was known of the client of each session at its beginning.
    pub fn accepts(&self) -> Vec<Accept> {
        self.accepts.lock().unwrap().clone()
    }

    pub fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The value of a sample on the metrics page, 0 if it is not there.
    pub fn sample(&self, sample: &str) -> u64 {
        let page = self.metrics.text();
        let mut values = page.lines().filter_map(|line| line.strip_prefix(sample));
        values
            .next()
            .map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Waits until what has been seen says it.
    pub async fn until<T>(&self, what: &str, mut says: impl FnMut(&[Seen]) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let mut news = std::pin::pin!(self.news.notified());
                news.as_mut().enable();
                if let Some(said) = says(&self.all()) {
                    return said;
                }
                news.await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(said) => said,
            Err(_) => panic!("{what} was never seen: {:#?}", self.all()),
        }
    }

    /// Why the session of a client was closed, once it is.
    pub async fn closed(&self, client: SocketAddr) -> &'static str {
        self.end_of(client).await.0
    }

    /// How long the session of a client lasted, once it is closed.
    pub async fn lasted(&self, client: SocketAddr) -> Duration {
        self.end_of(client).await.1
    }

    async fn end_of(&self, client: SocketAddr) -> (&'static str, Duration) {
        self.until("a close", |all| {
            all.iter().find_map(|seen| match seen {
                Seen::Closed(peer, reason, lasted) if *peer == client => Some((*reason, *lasted)),
                _ => None,
            })
        })
        .await
    }

    /// The events of a client's session, without those of other sessions.
    pub fn events(&self, client: SocketAddr) -> Vec<Event> {
        let of_it = |seen: &Seen| match seen {
            Seen::Event(peer, event) if *peer == client => Some(event.clone()),
            _ => None,
        };
        self.all().iter().filter_map(of_it).collect()
    }

    /// How many sessions ended for each reason.
    pub fn reasons(&self) -> BTreeMap<&'static str, usize> {
        let mut reasons = BTreeMap::new();
        for seen in self.all() {
            if let Seen::Closed(_, reason, ..) = seen {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        reasons
    }

    /// Every session is opened once and closed once, its events in between.
    pub fn assert_in_order(&self) {
        let mut open = Vec::new();
        for seen in self.all() {
            match seen {
                Seen::SessionOpened(peer) => {
                    assert!(!open.contains(&peer), "{peer} is open already");
                    open.push(peer);
                }
                Seen::Event(peer, event) => assert!(open.contains(&peer), "{peer}: {event:?}"),
                Seen::Closed(peer, reason, ..) => {
                    assert!(open.contains(&peer), "{peer}: {reason}");
                    open.retain(|other| *other != peer);
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "still open: {open:?}");
    }
}

impl Observer for Recorder {
    fn session_opened(&self, connection: &ClientConnection, accept: &Accept) {
        self.metrics.session_opened(connection, accept);
        self.accepts.lock().unwrap().push(accept.clone());
        self.push(Seen::SessionOpened(connection.client.socket()));
    }

    fn session_event(&self, connection: &ClientConnection, event: &Event) {
        self.metrics.session_event(connection, event);
        self.push(Seen::Event(connection.client.socket(), event.clone()));
    }

    fn bytes(&self, connection: &ClientConnection, leg: Leg, direction: Direction, bytes: usize) {
        self.metrics.bytes(connection, leg, direction, bytes);
        let thread = std::thread::current();
        if thread.name() == Some("doorkeeper-bulk") {
            self.in_bulk.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn session_closed(
        &self,
        connection: &ClientConnection,
        ended: SessionEnd,
        moved: Traffic,
        lasted: Duration,
    ) {
        self.metrics
            .session_closed(connection, ended, moved, lasted);
        self.push(Seen::Closed(
            connection.client.socket(),
            ended.name(),
            lasted,
        ));
    }

    fn connection_rejected(&self, listen_addr: &ListenAddr, client: ClientAddress, why: Rejection) {
        self.metrics.connection_rejected(listen_addr, client, why);
        self.push(Seen::Rejected(client.socket(), why.name()));
    }

    fn tls_handshake_failed(&self, connection: &ClientConnection, failure: TlsFailure) {
        self.metrics.tls_handshake_failed(connection, failure);
        self.push(Seen::HandshakeFailed(connection.client.socket(), failure));
    }

    fn accept_delayed(&self, listen_addr: &ListenAddr, pause: Duration) {
        self.metrics.accept_delayed(listen_addr, pause);
    }

    fn accept_failed(&self, listen_addr: &ListenAddr, error: &io::Error, pause: Duration) {
        self.metrics.accept_failed(listen_addr, error, pause);
        self.push(Seen::AcceptFailed(error.to_string(), pause));
    }

    fn discovery_event(&self, cluster: &ClusterId, event: &discovery::Event) {
        let is_refreshed = matches!(event, discovery::Event::Refreshed { .. });
        if is_refreshed && self.panics.swap(false, Ordering::Relaxed) {
            panic!("as was asked");
        }
        self.metrics.discovery_event(cluster, event);
        self.push(Seen::Discovery(cluster.to_string(), event.clone()));
    }

    fn topology_published(&self, cluster: &ClusterId, before: &Topology, topology: &Topology) {
        self.metrics.topology_published(cluster, before, topology);
        let brokers = topology.brokers().map(|(id, at)| (id.0, at.to_string()));
        self.push(Seen::Published(cluster.to_string(), brokers.collect()));
    }

    fn broker_unaddressed(&self, listener: &ListenerId, broker: BrokerId) {
        self.metrics.broker_unaddressed(listener, broker);
        self.push(Seen::Unaddressed(listener.to_string(), broker.0));
    }

    fn brokers_unaddressed(&self, listener: &ListenerId, brokers: usize) {
        self.metrics.brokers_unaddressed(listener, brokers);
    }

    fn broker_at_own_address(
        &self,
        cluster: &ClusterId,
        id: BrokerId,
        at: &HostPort,
        how: OwnAddress,
    ) {
        let metrics = &self.metrics;
        metrics.broker_at_own_address(cluster, id, at, how);
        self.push(Seen::AtOwnAddress(id.0, at.to_string(), how));
    }

    fn discovery_panicked(&self, cluster: &ClusterId) {
        self.metrics.discovery_panicked(cluster);
        self.push(Seen::DiscoveryPanicked(cluster.to_string()));
    }

    fn draining(&self, sessions: usize, within: Duration) {
        self.metrics.draining(sessions, within);
        self.push(Seen::Draining(sessions, within));
    }
}
