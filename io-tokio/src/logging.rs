//! Log lines: to standard error, as text or JSON, by a thread of its own.

mod logins;
mod other_protocols;
mod outages;
mod queue;
mod start;
mod text;
mod thinning;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::discovery::Failure;
use doorkeeper_core::error::ClientFault;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::policy::Principal;
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{Accept, CloseReason, ConnectFailure, Route, api, discovery};
use tracing::{Level, debug, enabled, error, info, trace, warn};

use self::logins::Logins;
use self::other_protocols::{SASL, advice};
use self::outages::Outages;
use self::queue::AboutClient;
use self::thinning::Thinning;
use crate::id::{ClusterId, ListenerId};
use crate::observer::{
    ClientConnection, ListenAddr, Observer, OwnAddress, Rejection, SessionEnd, Traffic,
};

pub(crate) use self::queue::DROPPED;
pub use self::start::{LevelHandle, StartError, flush, start};

/// Writes what happens to the log.
#[derive(Debug, Default)]
pub struct Logging {
    /// Failures of each cluster's discovery, by the address that was asked: the same line is not
    /// written every second of an outage, and one broker's failures do not hide another's.
    failing: Thinning<(String, HostPort)>,
    /// The outages of clusters that have sent no valid response since.
    outages: Outages,
    /// The same for invalid broker endpoints: a response that lists some is no failure.
    ignoring: Thinning<String>,
    /// What has become of the brokers of each cluster.
    brokers: Thinning<String>,
    /// Connections that each listener has rejected, by their address where the limit is one of
    /// each address, so that one does not hide the others.
    rejected: Thinning<(ListenerId, Option<ClientNetwork>)>,
    /// TLS handshakes of each listener's clients that failed, so that one address does not hide the
    /// others.
    handshakes: Thinning<(ListenerId, ClientNetwork)>,
    /// Pauses of each listener because connections came too fast.
    delayed: Thinning<ListenerId>,
    /// Logins of clients, and of doorkeeper at brokers.
    logins: Logins,
    /// Failures to accept at each of a listener's addresses.
    not_accepted: Thinning<(ListenerId, SocketAddr)>,
    /// Addresses that lead each listener's sessions back to us.
    loops: Thinning<ListenerId>,
    /// Connections of each listener that could not be moved to other threads.
    not_moved: Thinning<ListenerId>,
    /// Clients of each listener that speak another protocol.
    other_protocols: Thinning<(ListenerId, ClientNetwork)>,
}

impl Logging {
    /// Warns of a client that speaks another protocol than its listener.
    fn warn_of_other_protocol(
        &self,
        connection: &ClientConnection,
        spoke: &'static str,
        advice: &'static str,
    ) {
        let listen_addr = &connection.listen_addr;
        let from = (listen_addr.listener.clone(), connection.client.network());
        if let Some(times) = self.other_protocols.count(from, spoke) {
            warn!(
                session = connection.session,
                listener = %listen_addr.listener,
                peer = %connection.client.socket(),
                times,
                "{advice}"
            );
        }
    }

    fn discovery_failed(&self, cluster: &str, asked: &HostPort, why: Failure) {
        let place = (cluster.to_owned(), asked.clone());
        let times = self.failing.count(place, why.name());
        self.outages.failed(cluster, times.is_some());
        let is_loop = why == Failure::Connect(ConnectFailure::Loop);
        let why = why.name();
        match times {
            Some(times) if is_loop => {
                warn!(cluster, %asked, why, times, "discovery failed: {asked} {LOOP}");
            }
            Some(times) => warn!(cluster, %asked, why, times, "discovery failed"),
            None => debug!(cluster, %asked, why, "discovery failed"),
        }
    }

    /// Logs that a broker was found or has moved.
    fn broker_changed(&self, cluster: &str, id: BrokerId, was: Option<&HostPort>, at: &HostPort) {
        let what = if was.is_some() { "moved" } else { "found" };
        let kind = format!("{id} {what}");
        let Some(times) = self.brokers.count(cluster.to_owned(), kind) else {
            return;
        };
        match was {
            Some(was) => info!(cluster, broker = id.0, %was, %at, times, "broker moved"),
            None => info!(cluster, broker = id.0, %at, times, "broker found"),
        }
    }
}

/// What is wrong with an address that leads back, and what to do.
const LOOP: &str = "leads back to doorkeeper itself: let the brokers advertise addresses of their \
                    own (advertised.listeners), or say in dial of the cluster where to connect \
                    instead";

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether this happens with every frame.
const fn is_of_a_frame(event: &Event) -> bool {
    match event {
        Event::Request { .. } | Event::Response { .. } | Event::Rewrote(_) => true,
        Event::UpstreamConnected { .. }
        | Event::UpstreamAttemptFailed { .. }
        | Event::LoginSucceeded { .. }
        | Event::UpstreamLoggedIn { .. }
        | Event::UpstreamLoginFailed { .. }
        | Event::LoginFailed { .. }
        | Event::SaslWithoutLogin => false,
    }
}

/// The broker that clients reach through an address, or nothing for the bootstrap.
const fn broker(route: Route) -> Option<i32> {
    match route {
        Route::Bootstrap => None,
        Route::Broker(id) => Some(id.0),
    }
}

impl Observer for Logging {
    fn listening(&self, listen_addr: &ListenAddr) {
        let ListenAddr { listener, at, .. } = listen_addr;
        info!(%listener, %at, broker = broker(listen_addr.route), "listening");
    }

    fn listening_ended(&self, listen_addr: &ListenAddr) {
        let ListenAddr { listener, at, .. } = listen_addr;
        info!(%listener, %at, broker = broker(listen_addr.route), "no longer listening");
    }

    fn session_opened(&self, connection: &ClientConnection, accept: &Accept) {
        let _about = AboutClient::from(connection.client);
        let listen_addr = &connection.listen_addr;
        let tls = accept.tls.as_deref();
        info!(
            session = connection.session,
            listener = %listen_addr.listener,
            broker = broker(listen_addr.route),
            peer = %connection.client.socket(),
            proxy = connection.client.proxy().map(tracing::field::display),
            tls = tls.map(|it| it.version.name()),
            cipher_suite = tls.map(|it| &*it.cipher_suite),
            server_name = tls.and_then(|it| it.server_name.as_deref()),
            principal = accept.principal.as_ref().map(Principal::as_str),
            "session opened"
        );
    }

    fn session_event(&self, connection: &ClientConnection, event: &Event) {
        // What happens with every frame has lines only at the level TRACE.
        let _about = (!is_of_a_frame(event) || enabled!(Level::TRACE))
            .then(|| AboutClient::from(connection.client));
        let session = connection.session;
        match event {
            Event::UpstreamConnected { name, attempts } => {
                debug!(session, at = %name, attempts, "connected to a broker");
            }
            Event::UpstreamAttemptFailed { name, why } => {
                debug!(session, at = %name, why = why.name(), "cannot connect to a broker");
                let listen_addr = &connection.listen_addr;
                if *why == ConnectFailure::Loop
                    && let Some(times) = self
                        .loops
                        .count(listen_addr.listener.clone(), name.to_string())
                {
                    warn!(listener = %listen_addr.listener, at = %name, times, "{name} {LOOP}");
                }
            }
            Event::Request {
                api,
                version,
                bytes,
            } => trace!(
                session,
                api = api::name(*api),
                version = version.0,
                bytes,
                "request"
            ),
            Event::Response {
                api,
                version,
                bytes,
                latency,
                local,
            } => trace!(
                session,
                api = api::name(*api),
                version = version.0,
                bytes,
                latency_ms = ms(*latency),
                local,
                "response"
            ),
            Event::Rewrote(rewrites) => trace!(
                session,
                rewritten = rewrites.rewritten,
                dropped = rewrites.dropped,
                blanked = rewrites.blanked,
                "addresses"
            ),
            Event::LoginSucceeded { .. }
            | Event::LoginFailed { .. }
            | Event::UpstreamLoggedIn { .. }
            | Event::UpstreamLoginFailed { .. } => self.logins.log(connection, event),
            Event::SaslWithoutLogin => self.warn_of_other_protocol(connection, "sasl", SASL),
        }
    }

    fn session_closed(
        &self,
        connection: &ClientConnection,
        ended: SessionEnd,
        sent: Traffic,
        lasted: Duration,
    ) {
        let _about = AboutClient::from(connection.client);
        let listen_addr = &connection.listen_addr;
        let reason = ended.name();
        let detail = match ended {
            SessionEnd::Closed(reason) => Some(reason.to_string()),
            SessionEnd::SilentLimit
            | SessionEnd::Aborted
            | SessionEnd::NotMoved
            | SessionEnd::Panic => None,
        };
        let detail = detail.filter(|detail| detail != reason);
        info!(
            session = connection.session,
            listener = %listen_addr.listener,
            broker = broker(listen_addr.route),
            peer = %connection.client.socket(),
            reason,
            detail,
            client_in_bytes = sent.client_in,
            client_out_bytes = sent.client_out,
            upstream_in_bytes = sent.upstream_in,
            upstream_out_bytes = sent.upstream_out,
            lasted_ms = ms(lasted),
            "session closed"
        );
        if let SessionEnd::Closed(CloseReason::Client(ClientFault::Speaks(other))) = ended {
            self.warn_of_other_protocol(connection, reason, advice(other));
        }
        if ended == SessionEnd::NotMoved
            && let Some(times) = self.not_moved.count(listen_addr.listener.clone(), reason)
        {
            let listener = &listen_addr.listener;
            warn!(%listener, times, "connections could not be moved to other threads: \
                fs.epoll.max_user_watches is reached, or there is no memory");
        }
        let is_internal_error = matches!(
            ended,
            SessionEnd::Panic | SessionEnd::Closed(CloseReason::Bug(_))
        );
        if is_internal_error {
            error!(
                session = connection.session,
                "session ended by an internal error"
            );
        }
    }

    fn connection_rejected(&self, listen_addr: &ListenAddr, client: ClientAddress, why: Rejection) {
        let _about = AboutClient::from(client);
        let (peer, network) = (client.socket(), client.network());
        let of_address = why.is_of_one_address().then_some(network);
        let is_probe = why == Rejection::ProxyClosed;
        let (why, proxy) = (why.name(), client.proxy().map(tracing::field::display));
        let listener = &listen_addr.listener;
        debug!(%listener, %peer, proxy, why, "connection rejected");
        if is_probe {
            return;
        }
        if let Some(times) = self.rejected.count((listener.clone(), of_address), why) {
            warn!(%listener, %peer, proxy, %network, why, times, "connections rejected");
        }
    }

    fn tls_handshake_failed(&self, connection: &ClientConnection, failure: TlsFailure) {
        let peer = connection.client.socket();
        let _about = AboutClient::from(connection.client);
        let listener = &connection.listen_addr.listener;
        let reason = failure.name();
        debug!(%listener, %peer, reason, "TLS handshake failed");
        // A probe that connects and leaves is no failure that anybody has to look at.
        if failure == TlsFailure::Closed {
            return;
        }
        let place = (listener.clone(), connection.client.network());
        if let Some(times) = self.handshakes.count(place, reason) {
            warn!(%listener, %peer, reason, times, "TLS handshakes failed");
        }
    }

    fn accept_delayed(&self, listen_addr: &ListenAddr, pause: Duration) {
        let listener = &listen_addr.listener;
        if let Some(times) = self.delayed.count(listener.clone(), "accept_delayed") {
            warn!(%listener, pause_ms = ms(pause), times, "connections come too fast");
        }
    }

    fn accept_failed(&self, listen_addr: &ListenAddr, error: &io::Error, pause: Duration) {
        let (place, kind) = (
            (listen_addr.listener.clone(), listen_addr.at),
            error.to_string(),
        );
        if let Some(times) = self.not_accepted.count(place, kind) {
            let listener = &listen_addr.listener;
            warn!(%listener, %error, pause_ms = ms(pause), times, "cannot accept");
        }
    }

    fn discovery_event(&self, cluster: &ClusterId, event: &discovery::Event) {
        let cluster = cluster.name();
        match event {
            discovery::Event::Refreshed { brokers } => {
                let brokers = brokers.len();
                if let Some(failures) = self.outages.end(cluster) {
                    info!(cluster, brokers, failures, "discovery works again");
                }
                debug!(cluster, brokers, "brokers listed");
            }
            discovery::Event::Failed { asked, why } => {
                self.discovery_failed(cluster, asked, *why);
            }
            discovery::Event::Ignored { broker, brokers } => {
                let (place, kind) = (cluster.to_owned(), broker.to_string());
                if let Some(times) = self.ignoring.count(place, kind) {
                    warn!(cluster, first = %broker, brokers, times, "invalid broker endpoints");
                }
            }
        }
    }

    fn topology_published(&self, cluster: &ClusterId, before: &Topology, topology: &Topology) {
        let cluster = cluster.name();
        let mut changed = 0;
        for (id, at) in topology.brokers() {
            let was = before.upstream(id);
            if was != Some(at) {
                changed += 1;
                self.broker_changed(cluster, id, was, at);
            }
        }
        let (brokers, tried_last) = (topology.len(), topology.avoided().count());
        debug!(cluster, brokers, changed, tried_last, "topology published");
    }

    fn broker_at_own_address(
        &self,
        cluster: &ClusterId,
        id: BrokerId,
        at: &HostPort,
        how: OwnAddress,
    ) {
        let cluster = cluster.name();
        let (place, kind) = (cluster.to_owned(), format!("{id} {}", how.name()));
        let Some(times) = self.brokers.count(place, kind) else {
            return;
        };
        let broker = id.0;
        match how {
            OwnAddress::Bound => warn!(cluster, broker, %at, times, "{at} {LOOP}"),
            OwnAddress::Advertised => warn!(
                cluster,
                broker,
                %at,
                times,
                "{at} is what doorkeeper advertises for this broker: unless the name leads \
                 elsewhere here than for clients, it {LOOP}"
            ),
        }
    }

    fn broker_unaddressed(&self, listener: &ListenerId, broker: BrokerId) {
        warn!(
            %listener,
            broker = broker.0,
            "listener {listener} has no address for broker {broker}: add it to broker_ids, or to \
             route.explicit; until then clients do not see it"
        );
    }

    fn discovery_panicked(&self, cluster: &ClusterId) {
        let cluster = cluster.name();
        error!(
            cluster,
            "discovery ended by an internal error and starts again"
        );
    }

    fn draining(&self, sessions: usize, within: Duration) {
        info!(sessions, within_ms = ms(within), "draining");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorkeeper_core::{End, Instant};
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    /// Lines of the log, each with the client that it is about.
    type Logged = Vec<(Option<ClientNetwork>, String)>;

    struct Sink(Arc<Mutex<Logged>>);

    impl Write for Sink {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(line).into_owned();
            self.0.lock().unwrap().push((queue::client(), text));
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged from this level on.
    fn logged(level: Level, act: impl FnOnce(&Logging)) -> Logged {
        let logged = Arc::new(Mutex::new(Logged::new()));
        let sink = Arc::clone(&logged);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        tracing::subscriber::with_default(subscriber, || act(&Logging::default()));
        std::mem::take(&mut *logged.lock().unwrap())
    }

    fn listen_addr() -> ListenAddr {
        ListenAddr {
            listener: "local".into(),
            at: ([127, 0, 0, 1], 9000).into(),
            route: Route::Bootstrap,
        }
    }

    fn client(address: u8) -> ClientAddress {
        ClientAddress::Direct(([10, 0, 0, address], 1000).into())
    }

    #[test]
    fn rejections_of_one_address_do_not_hide_those_of_another() {
        for why in [Rejection::ConnectionsPerAddress, Rejection::FileDescriptors] {
            let logged = logged(Level::WARN, |logging| {
                for _ in 0..3 {
                    logging.connection_rejected(&listen_addr(), client(1), why);
                }
                logging.connection_rejected(&listen_addr(), client(2), why);
            });
            let of = |peer: &str| {
                logged
                    .iter()
                    .filter(|(_, line)| line.contains(peer))
                    .count()
            };
            assert_eq!((of("10.0.0.1"), of("10.0.0.2")), (2, 1), "{logged:?}");
        }
        let logged = logged(Level::WARN, |logging| {
            for address in 1..=4 {
                logging.connection_rejected(
                    &listen_addr(),
                    client(address),
                    Rejection::Connections,
                );
            }
        });
        assert_eq!(logged.len(), 3, "one limit of all: {logged:?}");
    }

    /// A load balancer looks every few seconds whether anybody listens.
    #[test]
    fn a_probe_that_connects_and_leaves_is_no_warning() {
        let connection = ClientConnection {
            session: 1,
            listen_addr: Arc::new(listen_addr()),
            client: client(1),
        };
        let quiet = logged(Level::INFO, |logging| {
            logging.connection_rejected(&listen_addr(), client(1), Rejection::ProxyClosed);
            logging.tls_handshake_failed(&connection, TlsFailure::Closed);
        });
        assert!(quiet.is_empty(), "{quiet:?}");
        // Without TLS or a header it is a session, with its two lines.
        let quiet = logged(Level::WARN, |logging| {
            let accept = Accept::new(Instant::ZERO, client(1).socket(), Route::Bootstrap);
            logging.session_opened(&connection, &accept);
            let ended = SessionEnd::Closed(CloseReason::ClientEnded(End::Fin));
            logging.session_closed(&connection, ended, Traffic::default(), Duration::ZERO);
        });
        assert!(quiet.is_empty(), "{quiet:?}");
        let logged = logged(Level::WARN, |logging| {
            logging.connection_rejected(&listen_addr(), client(1), Rejection::ProxyTruncated);
            logging.tls_handshake_failed(&connection, TlsFailure::TimedOut);
        });
        assert_eq!(logged.len(), 2, "{logged:?}");
    }

    #[test]
    fn failures_of_one_broker_do_not_hide_those_of_another() {
        let logged = logged(Level::WARN, |logging| {
            for asked in [
                "b1.test:9092",
                "b1.test:9092",
                "b1.test:9092",
                "b2.test:9092",
            ] {
                let asked = asked.parse().unwrap();
                let why = Failure::Connect(ConnectFailure::TimedOut);
                logging.discovery_event(&"main".into(), &discovery::Event::Failed { asked, why });
            }
        });
        let of = |asked: &str| {
            logged
                .iter()
                .filter(|(_, line)| line.contains(asked))
                .count()
        };
        assert_eq!((of("b1.test"), of("b2.test")), (2, 1), "{logged:?}");
        assert!(
            logged[0].1.contains("why=\"connect_timed_out\""),
            "{logged:?}"
        );
    }

    /// Whatever else is logged: a flood of them must not use up the room of other clients.
    #[test]
    fn lines_about_a_client_are_about_it_at_every_level() {
        for level in [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            let logged = logged(level, |logging| {
                let connection = ClientConnection {
                    session: 1,
                    listen_addr: Arc::new(listen_addr()),
                    client: client(1),
                };
                logging.session_event(&connection, &Event::SaslWithoutLogin);
                let attempt = Event::UpstreamAttemptFailed {
                    name: "b1.test:9092".parse().unwrap(),
                    why: ConnectFailure::Loop,
                };
                logging.session_event(&connection, &attempt);
                let ended = SessionEnd::NotMoved;
                logging.session_closed(&connection, ended, Traffic::default(), Duration::ZERO);
                logging.connection_rejected(&listen_addr(), client(1), Rejection::Connections);
            });
            assert!(logged.len() >= 4, "{logged:?}");
            let of_client = Some(client(1).network());
            assert!(
                logged.iter().all(|(about, _)| *about == of_client),
                "{logged:?}"
            );
        }
        assert_eq!(queue::client(), None);
    }
}
