//! Counters for Prometheus. Labels come from the configuration and from fixed sets alone.

use std::net::SocketAddr;
use std::time::Duration;

use doorkeeper_core::event::Event;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::wire::schema;
use doorkeeper_core::{Leg, discovery};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::logging::Logging;
use crate::observer::{Door, Ended, Observer, Refusal, Traffic, Visitor};

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;

/// Counts what happens, and passes it on to the log.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    log: Logging,
    open: Family<Labels, Gauge>,
    closed: Counters,
    refused: Counters,
    bytes: Counters,
    requests: Counters,
    addresses: Counters,
    discoveries: Counters,
    brokers: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("doorkeeper"),
            log: Logging,
            open: Family::default(),
            closed: Family::default(),
            refused: Family::default(),
            bytes: Family::default(),
            requests: Family::default(),
            addresses: Family::default(),
            discoveries: Family::default(),
            brokers: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "connections_open",
            "Open client connections",
            metrics.open.clone(),
        );
        registry.register(
            "sessions_closed",
            "Sessions by reason",
            metrics.closed.clone(),
        );
        registry.register(
            "accept_refused",
            "Turned away at accept",
            metrics.refused.clone(),
        );
        registry.register(
            "traffic_bytes",
            "Bytes of closed sessions",
            metrics.bytes.clone(),
        );
        registry.register("requests", "Requests by API", metrics.requests.clone());
        registry.register(
            "addresses",
            "Addresses in answers",
            metrics.addresses.clone(),
        );
        registry.register(
            "discoveries",
            "Attempts at discovery",
            metrics.discoveries.clone(),
        );
        registry.register(
            "brokers_known",
            "Brokers ever seen",
            metrics.brokers.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// All of them, in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn listener(door: &Door) -> Labels {
    vec![("listener", door.name.to_string())]
}

fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

impl Observer for Metrics {
    fn listening(&self, door: &Door) {
        self.log.listening(door);
    }

    fn session_opened(&self, visitor: &Visitor) {
        self.log.session_opened(visitor);
        self.open.get_or_create(&listener(&visitor.door)).inc();
    }

    fn session_event(&self, visitor: &Visitor, event: &Event) {
        self.log.session_event(visitor, event);
        let labels = listener(&visitor.door);
        match event {
            Event::Request { api, .. } => {
                let name = schema::api(api.0).map_or("unknown", |api| api.name);
                self.requests
                    .get_or_create(&with(labels, "api", name))
                    .inc();
            }
            Event::Rewrote(edits) => {
                for (what, count) in [
                    ("rewritten", edits.rewritten),
                    ("dropped", edits.dropped),
                    ("blanked", edits.blanked),
                ] {
                    let labels = with(labels.clone(), "edit", what);
                    self.addresses.get_or_create(&labels).inc_by(count.into());
                }
            }
            Event::UpstreamConnected { .. }
            | Event::UpstreamAttemptFailed { .. }
            | Event::Answered { .. } => {}
        }
    }

    fn session_closed(&self, visitor: &Visitor, ended: Ended, sent: Traffic, lasted: Duration) {
        self.log.session_closed(visitor, ended, sent, lasted);
        let labels = listener(&visitor.door);
        self.open.get_or_create(&labels).dec();
        let reason = with(labels.clone(), "reason", ended.name());
        self.closed.get_or_create(&reason).inc();
        for (leg, direction, bytes) in [
            (Leg::Client, "in", sent.client_in),
            (Leg::Client, "out", sent.client_out),
            (Leg::Upstream, "in", sent.upstream_in),
            (Leg::Upstream, "out", sent.upstream_out),
        ] {
            let labels = with(labels.clone(), "leg", leg.name());
            let labels = with(labels, "direction", direction);
            self.bytes.get_or_create(&labels).inc_by(bytes);
        }
    }

    fn accept_refused(&self, door: &Door, peer: SocketAddr, why: Refusal) {
        self.log.accept_refused(door, peer, why);
        let labels = with(listener(door), "why", why.name());
        self.refused.get_or_create(&labels).inc();
    }

    fn accept_failed(&self, door: &Door, error: &std::io::Error, pause: Duration) {
        self.log.accept_failed(door, error, pause);
    }

    fn discovery_event(&self, cluster: &str, event: &discovery::Event) {
        self.log.discovery_event(cluster, event);
        let result = match event {
            discovery::Event::Refreshed { .. } => "refreshed",
            discovery::Event::Failed { .. } => "failed",
            discovery::Event::Ignored { .. } => "ignored",
        };
        let labels = vec![
            ("cluster", cluster.to_owned()),
            ("result", result.to_owned()),
        ];
        self.discoveries.get_or_create(&labels).inc();
    }

    fn topology_published(&self, cluster: &str, topology: &Topology) {
        self.log.topology_published(cluster, topology);
        let known = i64::try_from(topology.brokers().count()).unwrap_or(i64::MAX);
        let labels = vec![("cluster", cluster.to_owned())];
        self.brokers.get_or_create(&labels).set(known);
    }

    fn discovery_panicked(&self, cluster: &str) {
        self.log.discovery_panicked(cluster);
    }

    fn draining(&self, sessions: usize, within: Duration) {
        self.log.draining(sessions, within);
    }
}
