//! Log lines: to standard error, as text or JSON.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use doorkeeper_core::event::Event;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{CloseReason, Route, discovery};
use tracing::{debug, error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::config::schema::{Log, LogFormat};
use crate::observer::{Door, Ended, Observer, Refusal, Traffic, Visitor};

/// Starts to log. `filter` comes before `RUST_LOG`, and that before the configuration.
///
/// # Errors
/// The filter cannot be read, or logging has been started before.
pub fn start(
    log: &Log,
    filter: Option<&str>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = match filter.or(variable.as_deref()) {
        Some(filter) => EnvFilter::try_new(filter)?,
        None => EnvFilter::new(log.level.name()),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
}

/// Writes what happens to the log.
#[derive(Debug, Default)]
pub struct Logging {
    /// The last failure of each cluster's discovery and how often it has come: the same line is
    /// not written every second of an outage.
    failing: Mutex<BTreeMap<String, (String, u64)>>,
}

impl Logging {
    /// Whether this failure deserves a line: a new one does, then every power of two of it.
    fn deserves_a_line(&self, cluster: &str, why: String) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, count) = failing.entry(cluster.to_owned()).or_default();
        if *last != why {
            (*last, *count) = (why, 0);
        }
        *count += 1;
        count.is_power_of_two()
    }

    fn is_well(&self, cluster: &str) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.remove(cluster);
    }
}

/// The broker that a door leads to, or nothing for the bootstrap.
const fn broker(route: Route) -> Option<i32> {
    match route {
        Route::Bootstrap => None,
        Route::Broker(id) => Some(id.0),
    }
}

impl Observer for Logging {
    fn listening(&self, door: &Door) {
        info!(listener = %door.name, at = %door.at, broker = broker(door.route), "listening");
    }

    fn session_opened(&self, visitor: &Visitor) {
        let door = &visitor.door;
        info!(
            session = visitor.session,
            listener = %door.name,
            broker = broker(door.route),
            peer = %visitor.peer,
            "session opened"
        );
    }

    fn session_event(&self, visitor: &Visitor, event: &Event) {
        debug!(session = visitor.session, ?event, "session event");
    }

    fn session_closed(&self, visitor: &Visitor, ended: Ended, sent: Traffic, lasted: Duration) {
        let door = &visitor.door;
        let detail = match ended {
            Ended::Closed(reason) => reason.to_string(),
            Ended::Aborted | Ended::Panicked => String::new(),
        };
        info!(
            session = visitor.session,
            listener = %door.name,
            broker = broker(door.route),
            peer = %visitor.peer,
            reason = ended.name(),
            detail,
            client_in_bytes = sent.client_in,
            client_out_bytes = sent.client_out,
            upstream_in_bytes = sent.upstream_in,
            upstream_out_bytes = sent.upstream_out,
            lasted = ?lasted,
            "session closed"
        );
        let is_bug = matches!(ended, Ended::Panicked | Ended::Closed(CloseReason::Bug(_)));
        if is_bug {
            error!(session = visitor.session, "a bug ended this session");
        }
    }

    fn accept_refused(&self, door: &Door, peer: SocketAddr, why: Refusal) {
        debug!(listener = %door.name, %peer, why = why.name(), "connection refused");
    }

    fn accept_failed(&self, door: &Door, error: &io::Error, pause: Duration) {
        warn!(listener = %door.name, %error, ?pause, "cannot accept");
    }

    fn discovery_event(&self, cluster: &str, event: &discovery::Event) {
        match event {
            discovery::Event::Refreshed { brokers } => {
                self.is_well(cluster);
                debug!(cluster, brokers, "brokers listed");
            }
            discovery::Event::Failed { asked, why } => {
                if self.deserves_a_line(cluster, format!("{why:?}")) {
                    warn!(cluster, %asked, ?why, "discovery failed");
                }
            }
            discovery::Event::Ignored { broker, brokers } => {
                if self.deserves_a_line(cluster, format!("ignored {broker}")) {
                    warn!(cluster, first = %broker, brokers, "brokers that make no sense");
                }
            }
        }
    }

    fn topology_published(&self, cluster: &str, topology: &Topology) {
        for (id, at) in topology.brokers() {
            info!(cluster, broker = %id, %at, "broker found");
        }
    }

    fn discovery_panicked(&self, cluster: &str) {
        error!(cluster, "a bug ended discovery; it starts afresh");
    }

    fn draining(&self, sessions: usize, within: Duration) {
        info!(sessions, ?within, "draining");
    }
}
