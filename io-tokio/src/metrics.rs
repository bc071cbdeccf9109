//! Metrics in the OpenMetrics text format. Labels come from configuration and tables only,
//! never from a peer.

mod logins;
mod reloads;

pub use self::reloads::{ReloadOutcome, Reloads};

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::error::UpstreamFault;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{Accept, CloseReason, ConnectFailure, Leg, api, discovery};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use self::logins::Logins;
use crate::id::{ClusterId, ListenerId};
use crate::logging::DROPPED;
use crate::observer::{
    ClientConnection, Direction, ListenAddr, Observer, Rejection, SessionEnd, Traffic,
};
use crate::recorder::Counts;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    listener: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    listener: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handshake {
    listener: String,
    leg: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Moved {
    listener: String,
    leg: &'static str,
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    listener: String,
    api: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Edited {
    listener: String,
    how: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cluster {
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

type Latency = Family<Asked, Histogram, fn() -> Histogram>;

/// Counts what happens.
pub struct Metrics {
    registry: Registry,
    families: Families,
    /// Those that are or were served; replaced when a reload adds one.
    listeners: ArcSwap<BTreeMap<ListenerId, Arc<Handles>>>,
    closed: Family<Why, Counter>,
    rejected: Family<Why, Counter>,
    handshake_failures: Family<Handshake, Counter>,
    logins: Logins,
    requests: Family<Asked, Counter>,
    latency: Latency,
    discovered: Family<Cluster, Gauge>,
    refreshed: Family<Cluster, Gauge>,
    failures: Family<Cluster, Counter>,
    panics: Family<Cluster, Counter>,
    recordings: Counts,
    reloads: Reloads,
}

/// What is counted of the requests of one API.
struct OfApi {
    requests: Counter,
    latency: Histogram,
}

/// What is counted often, looked up once.
struct Handles {
    name: String,
    open: Gauge,
    opened: Counter,
    accept_delayed: Counter,
    accept_failed: Counter,
    /// By leg (client, upstream) and direction (in, out).
    bytes: [[Counter; 2]; 2],
    local: Counter,
    rewritten: Counter,
    dropped: Counter,
    blanked: Counter,
    withheld: Counter,
    upstream_connected: Counter,
    upstream_failed: Counter,
    unaddressed: Gauge,
    /// By the key of the API; made when a client first uses it, so that the page shows no others.
    apis: [OnceLock<OfApi>; API_KEYS],
}

/// More than Kafka has; of those above nothing is offered.
const API_KEYS: usize = 128;

/// From half a millisecond to a long poll.
const LATENCY_SECONDS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0,
];

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What is counted for each listener.
struct Families {
    open: Family<Of, Gauge>,
    opened: Family<Of, Counter>,
    accept_delayed: Family<Of, Counter>,
    accept_failed: Family<Of, Counter>,
    bytes: Family<Moved, Counter>,
    local: Family<Of, Counter>,
    addresses: Family<Edited, Counter>,
    withheld: Family<Of, Counter>,
    upstream_connected: Family<Of, Counter>,
    upstream_failed: Family<Of, Counter>,
    unaddressed: Family<Of, Gauge>,
}

/// A metric under its name.
fn register<M: Metric + Clone + Default>(r: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    r.register(name, help, metric.clone());
    metric
}

impl Families {
    fn new(r: &mut Registry) -> Self {
        Self {
            open: register(r, "connections", "Client connections that are open"),
            opened: register(r, "connections_opened", "Client connections accepted"),
            accept_delayed: register(
                r,
                "accept_delays",
                "Pauses because connections came too fast",
            ),
            accept_failed: register(r, "accept_failures", "Failures to accept"),
            bytes: register(r, "bytes", "Bytes moved, by leg and direction"),
            local: register(
                r,
                "responses_local",
                "Responses that doorkeeper sent itself",
            ),
            addresses: register(r, "addresses", "Addresses in responses, by what was done"),
            withheld: register(
                r,
                "responses_withheld",
                "Responses with possible addresses that could not be read",
            ),
            upstream_connected: register(r, "upstream_connections", "Connections to brokers"),
            upstream_failed: register(
                r,
                "upstream_connection_failures",
                "Attempts to connect to a broker that failed",
            ),
            unaddressed: register(
                r,
                "brokers_without_address",
                "Brokers that are up and that the listener has no address for",
            ),
        }
    }

    fn handles(&self, name: String) -> Handles {
        let of = Of {
            listener: name.clone(),
        };
        let moved = |leg: Leg, direction| {
            let moved = Moved {
                listener: name.clone(),
                leg: leg.name(),
                direction,
            };
            self.bytes.get_or_create(&moved).clone()
        };
        let how = |how| {
            self.addresses
                .get_or_create(&Edited {
                    listener: name.clone(),
                    how,
                })
                .clone()
        };
        Handles {
            open: self.open.get_or_create(&of).clone(),
            opened: self.opened.get_or_create(&of).clone(),
            accept_delayed: self.accept_delayed.get_or_create(&of).clone(),
            accept_failed: self.accept_failed.get_or_create(&of).clone(),
            bytes: [Leg::Client, Leg::Upstream]
                .map(|leg| ["in", "out"].map(|direction| moved(leg, direction))),
            local: self.local.get_or_create(&of).clone(),
            rewritten: how("rewritten"),
            dropped: how("dropped"),
            blanked: how("blanked"),
            withheld: self.withheld.get_or_create(&of).clone(),
            upstream_connected: self.upstream_connected.get_or_create(&of).clone(),
            upstream_failed: self.upstream_failed.get_or_create(&of).clone(),
            unaddressed: self.unaddressed.get_or_create(&of).clone(),
            apis: [const { OnceLock::new() }; API_KEYS],
            name,
        }
    }
}

impl Metrics {
    /// For these listeners.
    #[must_use]
    pub fn new(listeners: impl IntoIterator<Item = ListenerId>) -> Self {
        let mut registry = Registry::with_prefix("doorkeeper");
        let r = &mut registry;
        let build: Family<Build, Gauge> = register(r, "build_info", "The version that runs");
        build
            .get_or_create(&Build {
                version: env!("CARGO_PKG_VERSION"),
            })
            .set(1);
        let dropped = "Lines of the log that nobody will read";
        r.register("log_lines_dropped", dropped, DROPPED.clone());
        let recordings = Counts::default();
        let help = "Recordings of sessions, by what became of them";
        r.register("recordings", help, recordings.family());
        let families = Families::new(r);
        let latency: Latency = Family::new_with_constructor(|| Histogram::new(LATENCY_SECONDS));
        r.register(
            "response_latency_seconds",
            "From the end of a request to the end of its response",
            latency.clone(),
        );
        let handles = listeners.into_iter().map(|it| {
            let handles = Arc::new(families.handles(it.to_string()));
            (it, handles)
        });
        let listeners = handles.collect();
        Self {
            families,
            listeners: ArcSwap::from_pointee(listeners),
            closed: register(r, "sessions_closed", "Sessions that ended, by reason"),
            rejected: register(
                r,
                "connections_rejected",
                "Connections closed without a session",
            ),
            handshake_failures: register(
                r,
                "tls_handshake_failures",
                "TLS handshakes that failed, by leg and reason",
            ),
            logins: Logins::new(r),
            requests: register(r, "requests", "Requests read whole, by API"),
            latency,
            discovered: register(r, "cluster_brokers", "Brokers known of a cluster"),
            refreshed: register(
                r,
                "cluster_refreshed_timestamp_seconds",
                "When the topology was last confirmed",
            ),
            failures: register(r, "discovery_failures", "Attempts of discovery that failed"),
            panics: register(
                r,
                "discovery_panics",
                "Panics that ended an attempt of discovery",
            ),
            recordings,
            reloads: Reloads::new(r),
            registry,
        }
    }

    /// The counts of recordings.
    #[must_use]
    pub fn recordings(&self) -> Counts {
        self.recordings.clone()
    }

    /// The counts of reloads.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        self.reloads.clone()
    }

    /// The text that a scraper gets.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn of_api<'a>(&self, of: &'a Handles, key: ApiKey) -> Option<&'a OfApi> {
        let place = of.apis.get(usize::try_from(key.0).ok()?)?;
        Some(place.get_or_init(|| {
            let asked = Asked {
                listener: of.name.clone(),
                api: api::name(key),
            };
            OfApi {
                requests: self.requests.get_or_create(&asked).clone(),
                latency: self.latency.get_or_create(&asked).clone(),
            }
        }))
    }

    fn of(&self, listen_addr: &ListenAddr) -> Option<Arc<Handles>> {
        self.of_listener(&listen_addr.listener)
    }

    fn of_listener(&self, listener: &ListenerId) -> Option<Arc<Handles>> {
        self.listeners.load().get(listener).cloned()
    }

    fn count_handshake(&self, listen_addr: &ListenAddr, leg: Leg, failure: TlsFailure) {
        if let Some(of) = self.of(listen_addr) {
            let handshake = Handshake {
                listener: of.name.clone(),
                leg: leg.name(),
                reason: failure.name(),
            };
            self.handshake_failures.get_or_create(&handshake).inc();
        }
    }
}

/// Whether a session ended because a response could not be read, so that nobody knows what is in
/// it.
fn is_withheld(ended: SessionEnd) -> bool {
    matches!(
        ended,
        SessionEnd::Closed(
            CloseReason::Upstream(UpstreamFault::Malformed(..))
                // Too large to be buffered until it has been read.
                | CloseReason::BufferLimit(Leg::Upstream)
        )
    )
}

impl Observer for Metrics {
    fn listening(&self, listen_addr: &ListenAddr) {
        if self.of(listen_addr).is_some() {
            return;
        }
        let id = &listen_addr.listener;
        let handles = Arc::new(self.families.handles(id.to_string()));
        let mut all = BTreeMap::clone(&self.listeners.load());
        all.insert(id.clone(), handles);
        self.listeners.store(Arc::new(all));
    }

    fn listener_removed(&self, listener: &ListenerId) {
        // Counts stay, as counts do. What is not true any more goes.
        if let Some(of) = self.of_listener(listener) {
            of.unaddressed.set(0);
        }
    }

    fn cluster_removed(&self, cluster: &ClusterId) {
        let of = Cluster {
            cluster: cluster.to_string(),
        };
        self.discovered.remove(&of);
        self.refreshed.remove(&of);
    }

    fn session_opened(&self, connection: &ClientConnection, _: &Accept) {
        if let Some(of) = self.of(&connection.listen_addr) {
            of.open.inc();
            of.opened.inc();
        }
    }

    fn session_closed(
        &self,
        connection: &ClientConnection,
        ended: SessionEnd,
        _: Traffic,
        _: Duration,
    ) {
        if let Some(of) = self.of(&connection.listen_addr) {
            of.open.dec();
            if is_withheld(ended) {
                of.withheld.inc();
            }
            let listener = of.name.clone();
            let reason = ended.name();
            let why = Why { listener, reason };
            self.closed.get_or_create(&why).inc();
        }
    }

    fn session_event(&self, connection: &ClientConnection, event: &Event) {
        let listeners = self.listeners.load();
        let Some(of) = listeners.get(&connection.listen_addr.listener) else {
            return;
        };
        match event {
            Event::UpstreamConnected { .. } => {
                of.upstream_connected.inc();
            }
            Event::UpstreamAttemptFailed { why, .. } => {
                of.upstream_failed.inc();
                if let ConnectFailure::Tls(failure) = *why {
                    self.count_handshake(&connection.listen_addr, Leg::Upstream, failure);
                }
            }
            Event::Request { api, .. } => {
                if let Some(of) = self.of_api(of, *api) {
                    of.requests.inc();
                }
            }
            Event::Response {
                api,
                latency,
                local,
                ..
            } => {
                if *local {
                    of.local.inc();
                }
                if let Some(of) = self.of_api(of, *api) {
                    of.latency.observe(latency.as_secs_f64());
                }
            }
            Event::Rewrote(rewrites) => {
                of.rewritten.inc_by(rewrites.rewritten.into());
                of.dropped.inc_by(rewrites.dropped.into());
                of.blanked.inc_by(rewrites.blanked.into());
            }
            Event::LoginSucceeded { .. }
            | Event::LoginFailed { .. }
            | Event::UpstreamLoggedIn { .. }
            | Event::UpstreamLoginFailed { .. } => self.logins.count(&of.name, event),
            // doorkeeper sends a response itself, which is counted as that.
            Event::SaslWithoutLogin => {}
        }
    }

    fn bytes(&self, connection: &ClientConnection, leg: Leg, direction: Direction, bytes: usize) {
        let listeners = self.listeners.load();
        let Some(of) = listeners.get(&connection.listen_addr.listener) else {
            return;
        };
        let [client, upstream] = &of.bytes;
        let [inward, outward] = match leg {
            Leg::Client => client,
            Leg::Upstream => upstream,
        };
        let counter = match direction {
            Direction::In => inward,
            Direction::Out => outward,
        };
        counter.inc_by(bytes as u64);
    }

    fn connection_rejected(&self, listen_addr: &ListenAddr, _: ClientAddress, why: Rejection) {
        if let Some(of) = self.of(listen_addr) {
            let why = Why {
                listener: of.name.clone(),
                reason: why.name(),
            };
            self.rejected.get_or_create(&why).inc();
        }
    }

    fn tls_handshake_failed(&self, connection: &ClientConnection, failure: TlsFailure) {
        self.count_handshake(&connection.listen_addr, Leg::Client, failure);
    }

    fn accept_delayed(&self, listen_addr: &ListenAddr, _: Duration) {
        if let Some(of) = self.of(listen_addr) {
            of.accept_delayed.inc();
        }
    }

    fn accept_failed(&self, listen_addr: &ListenAddr, _: &io::Error, _: Duration) {
        if let Some(of) = self.of(listen_addr) {
            of.accept_failed.inc();
        }
    }

    fn discovery_event(&self, cluster: &ClusterId, event: &discovery::Event) {
        let of = Cluster {
            cluster: cluster.to_string(),
        };
        match event {
            discovery::Event::Refreshed { .. } => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
                self.refreshed.get_or_create(&of).set(now);
            }
            discovery::Event::Failed { .. } | discovery::Event::Ignored { .. } => {
                self.failures.get_or_create(&of).inc();
            }
        }
    }

    fn topology_published(&self, cluster: &ClusterId, _: &Topology, topology: &Topology) {
        let brokers = topology.brokers().count();
        let of = Cluster {
            cluster: cluster.to_string(),
        };
        self.discovered
            .get_or_create(&of)
            .set(i64::try_from(brokers).unwrap_or(i64::MAX));
    }

    fn brokers_unaddressed(&self, listener: &ListenerId, brokers: usize) {
        if let Some(of) = self.of_listener(listener) {
            let brokers = i64::try_from(brokers).unwrap_or(i64::MAX);
            of.unaddressed.set(brokers);
        }
    }

    fn discovery_panicked(&self, cluster: &ClusterId) {
        let of = Cluster {
            cluster: cluster.to_string(),
        };
        self.panics.get_or_create(&of).inc();
    }
}

#[cfg(test)]
mod tests {
    use doorkeeper_core::error::ClientFault;
    use doorkeeper_core::id::{ApiKey, ApiVersion};
    use doorkeeper_core::rewrite::Rewrites;
    use doorkeeper_core::wire::malformed::Malformed;
    use doorkeeper_core::{Instant, Route};

    use std::net::SocketAddr;

    use super::*;

    fn connection() -> ClientConnection {
        let at = SocketAddr::from(([127, 0, 0, 1], 9092));
        ClientConnection {
            session: 1,
            listen_addr: Arc::new(ListenAddr {
                listener: "front".into(),
                at,
                route: Route::Bootstrap,
            }),
            client: ClientAddress::Direct(at),
        }
    }

    #[track_caller]
    fn shows(metrics: &Metrics, line: &str) {
        let text = metrics.text();
        assert!(
            text.lines().any(|it| it == line),
            "{line} is not in\n{text}"
        );
    }

    #[test]
    fn addresses_are_counted_by_what_was_done_to_them() {
        let metrics = Metrics::new(["front".into()]);
        let rewrites = Rewrites {
            rewritten: 3,
            dropped: 1,
            blanked: 2,
        };
        for _ in 0..2 {
            metrics.session_event(&connection(), &Event::Rewrote(rewrites));
        }
        for (how, count) in [("rewritten", 6), ("dropped", 2), ("blanked", 4)] {
            let series = format!("doorkeeper_addresses_total{{listener=\"front\",how=\"{how}\"}}");
            shows(&metrics, &format!("{series} {count}"));
        }
    }

    #[test]
    fn a_response_that_cannot_be_read_or_buffered_is_counted_as_withheld() {
        let metrics = Metrics::new(["front".into()]);
        let withheld = "doorkeeper_responses_withheld_total{listener=\"front\"}";
        let close = |reason| {
            let (connection, traffic) = (connection(), Traffic::default());
            let accept = Accept::new(Instant::ZERO, connection.client.socket(), Route::Bootstrap);
            metrics.session_opened(&connection, &accept);
            metrics.session_closed(
                &connection,
                SessionEnd::Closed(reason),
                traffic,
                Duration::ZERO,
            );
        };
        let (api, version) = (ApiKey(3), ApiVersion(12));
        close(CloseReason::BufferLimit(Leg::Client));
        close(ClientFault::Malformed(api, version, Malformed::Truncated).into());
        shows(&metrics, &format!("{withheld} 0"));
        close(UpstreamFault::Malformed(api, version, Malformed::Truncated).into());
        close(CloseReason::BufferLimit(Leg::Upstream));
        shows(&metrics, &format!("{withheld} 2"));
    }
}
