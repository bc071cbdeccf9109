//! Log lines: to standard error, as text or JSON, by a thread of its own.

mod queue;
mod text;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::BTreeMap;
use std::env::{self, VarError};
use std::io;
use std::net::SocketAddr;
use std::panic;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::topology::Topology;
use doorkeeper_core::{CloseReason, Route, api, discovery};
use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use self::queue::{Lines, STDERR};
use self::text::{Fields, Rfc3339};
use crate::config::schema::{Log, LogFormat};
use crate::observer::{Door, Ended, Observer, Refusal, Traffic, Visitor};

pub(crate) use self::queue::DROPPED;

/// How long the last lines may take when the process ends.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is to be logged cannot be read.
    #[error("{source_name}: {filter:?} is no log filter, like info or debug,hyper=warn: {why}")]
    Filter {
        /// Where it was given.
        source_name: &'static str,
        /// What was given.
        filter: String,
        /// What is wrong with it.
        why: ParseError,
    },
    /// The variable holds no text.
    #[error("RUST_LOG: no log filter, because it is not UTF-8")]
    NotUtf8,
    /// The system gives no thread, or the log was started before.
    #[error("cannot start the log: {0}")]
    System(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts to log. `filter` comes before `RUST_LOG`, and that before the configuration; an empty
/// one counts as none. Panics are logged as well.
///
/// # Errors
/// The filter cannot be read, or logging has been started before.
pub fn start(log: &Log, filter: Option<&str>) -> Result<(), StartError> {
    let filter = chosen(log, filter)?;
    queue::start(&STDERR, io::stderr()).map_err(|error| StartError::System(error.into()))?;
    // What cannot be formatted is not told on standard error: that would block, or panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lines(&STDERR))
        .with_ansi(false)
        .with_timer(Rfc3339)
        .log_internal_errors(false);
    match log.format {
        LogFormat::Text => builder.fmt_fields(Fields).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }?;
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => error!(%panic, %backtrace, "a bug"),
            BacktraceStatus::Unsupported | BacktraceStatus::Disabled | _ => {
                error!(%panic, "a bug");
            }
        }
    }));
    Ok(())
}

/// Waits until what has been logged is written. Not for long: whoever should read it may not.
pub fn flush() {
    STDERR.flush(FLUSH_WITHIN);
}

fn chosen(log: &Log, argument: Option<&str>) -> Result<EnvFilter, StartError> {
    let variable = match env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) => Some(filter),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => return Err(StartError::NotUtf8),
    };
    let given = [
        ("--log", argument),
        (EnvFilter::DEFAULT_ENV, variable.as_deref()),
    ];
    let given = given
        .into_iter()
        .filter_map(|(source_name, filter)| Some((source_name, filter?)))
        .find(|(_, filter)| !filter.trim().is_empty());
    let Some((source_name, filter)) = given else {
        return Ok(EnvFilter::new(log.level.name()));
    };
    EnvFilter::try_new(filter).map_err(|why| StartError::Filter {
        source_name,
        filter: filter.to_owned(),
        why,
    })
}

/// Writes what happens to the log.
#[derive(Debug, Default)]
pub struct Logging {
    /// The last failure of each cluster's discovery and how often it has come: the same line is
    /// not written every second of an outage.
    failing: Mutex<Repeated<String>>,
    /// The same for brokers that make no sense: an answer that lists some is no failure.
    ignoring: Mutex<Repeated<String>>,
    /// How many connections each listener has refused, by reason.
    refused: Mutex<Repeated<(usize, &'static str)>>,
}

/// What was last said of each, and how often it would have had to be said.
type Repeated<K> = BTreeMap<K, (String, u64)>;

/// How often it has happened by now, if that deserves a line: something new does, then every power
/// of two of it.
fn deserves_a_line<K: Ord>(of: &Mutex<Repeated<K>>, key: K, what: String) -> Option<u64> {
    let mut all = of.lock().unwrap_or_else(PoisonError::into_inner);
    let (last, count) = all.entry(key).or_default();
    if *last != what {
        (*last, *count) = (what, 0);
    }
    *count += 1;
    count.is_power_of_two().then_some(*count)
}

impl Logging {
    /// How often discovery had failed in the same way, if it has failed.
    fn is_well(&self, cluster: &str) -> Option<u64> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.remove(cluster).map(|(_, count)| count)
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
        let session = visitor.session;
        match event {
            Event::UpstreamConnected { name, attempts } => {
                debug!(session, at = %name, attempts, "connected to a broker");
            }
            Event::UpstreamAttemptFailed { name, why } => {
                debug!(session, at = %name, ?why, "cannot connect to a broker");
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
            Event::Answered {
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
                "answered"
            ),
            Event::Rewrote(rewrites) => trace!(
                session,
                rewritten = rewrites.rewritten,
                dropped = rewrites.dropped,
                blanked = rewrites.blanked,
                "addresses"
            ),
        }
    }

    fn session_closed(&self, visitor: &Visitor, ended: Ended, sent: Traffic, lasted: Duration) {
        let door = &visitor.door;
        let reason = ended.name();
        let detail = match ended {
            Ended::Closed(reason) => Some(reason.to_string()),
            Ended::Aborted | Ended::Panicked => None,
        };
        let detail = detail.filter(|detail| detail != reason);
        info!(
            session = visitor.session,
            listener = %door.name,
            broker = broker(door.route),
            peer = %visitor.peer,
            reason,
            detail,
            client_in_bytes = sent.client_in,
            client_out_bytes = sent.client_out,
            upstream_in_bytes = sent.upstream_in,
            upstream_out_bytes = sent.upstream_out,
            lasted_ms = ms(lasted),
            "session closed"
        );
        let is_bug = matches!(ended, Ended::Panicked | Ended::Closed(CloseReason::Bug(_)));
        if is_bug {
            error!(session = visitor.session, "a bug ended this session");
        }
    }

    fn accept_refused(&self, door: &Door, peer: SocketAddr, why: Refusal) {
        let why = why.name();
        debug!(listener = %door.name, %peer, why, "connection refused");
        let key = (door.listener, why);
        if let Some(times) = deserves_a_line(&self.refused, key, String::new()) {
            let network = ClientNetwork::from(peer.ip());
            warn!(listener = %door.name, %peer, %network, why, times, "connections are refused");
        }
    }

    fn accept_failed(&self, door: &Door, error: &io::Error, pause: Duration) {
        warn!(listener = %door.name, %error, pause_ms = ms(pause), "cannot accept");
    }

    fn discovery_event(&self, cluster: &str, event: &discovery::Event) {
        match event {
            discovery::Event::Refreshed { brokers } => {
                if let Some(failures) = self.is_well(cluster) {
                    info!(cluster, brokers, failures, "discovery works again");
                }
                debug!(cluster, brokers, "brokers listed");
            }
            discovery::Event::Failed { asked, why } => {
                let (key, what) = (cluster.to_owned(), format!("{why:?}"));
                if let Some(times) = deserves_a_line(&self.failing, key, what) {
                    warn!(cluster, %asked, ?why, times, "discovery failed");
                }
            }
            discovery::Event::Ignored { broker, brokers } => {
                let (key, what) = (cluster.to_owned(), broker.to_string());
                if deserves_a_line(&self.ignoring, key, what).is_some() {
                    warn!(cluster, first = %broker, brokers, "brokers that make no sense");
                }
            }
        }
    }

    fn topology_published(&self, cluster: &str, topology: &Topology) {
        for (id, at) in topology.brokers() {
            info!(cluster, broker = id.0, %at, "broker found");
        }
    }

    fn broker_unaddressed(&self, listener: &Arc<str>, _: usize, broker: BrokerId) {
        warn!(
            %listener,
            broker = broker.0,
            "listener {listener} has no address for broker {broker}: add it to broker_ids, or to \
             route.explicit; until then clients do not see it"
        );
    }

    fn discovery_panicked(&self, cluster: &str) {
        error!(cluster, "a bug ended discovery; it starts afresh");
    }

    fn draining(&self, sessions: usize, within: Duration) {
        info!(sessions, within_ms = ms(within), "draining");
    }
}
