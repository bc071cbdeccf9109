//! Checks a configuration for contradictions and makes the plan of what to serve.

mod binds;
mod descriptors;
mod dial;
mod identity;
mod limits;
mod listener;
mod localhost;
mod oauth;
mod sasl;
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use doorkeeper_core::discovery;
use doorkeeper_core::id::HostPort;
use doorkeeper_core::topology::DialMap;

use self::binds::{Binds, Owner};
use super::RouteTarget;
use super::load::Loaded;
use super::near_miss::near_miss;
use super::problem::{Problem, Problems, Severity};
use super::schema::{Cluster, Config};
use super::tree::Path;
use crate::plan::{self, Plan};

/// The longest response that discovery reads: it asks for no topics, and ten thousand brokers fit.
const DISCOVERY_FRAME_BYTES_MAX: usize = 4 << 20;
/// The shortest time between two requests of discovery, however many hints come.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// A discovery that waits longer for one broker asks the next one too late for its sessions.
const DISCOVERY_REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// A configuration after its compilation.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What to serve.
    pub plan: Plan,
    /// Where each broker will be reachable, by listener in the order of the plan.
    pub reach: Vec<Vec<Reach>>,
    /// What is probably not meant.
    pub warnings: Problems,
}

/// One address that clients can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether it leads to the bootstrap brokers or to one broker.
    pub target: RouteTarget,
    /// Where doorkeeper listens.
    pub bind: SocketAddr,
    /// What clients connect to.
    pub advertised: HostPort,
}

/// Makes the plan.
///
/// # Errors
/// Everything that does not fit its shape or contradicts itself, warnings included.
pub fn compile(loaded: &Loaded) -> Result<Compiled, Problems> {
    let mut compiler = Compiler {
        loaded,
        problems: loaded.problems.clone(),
        binds: Binds::default(),
    };
    let (plan, reach) = compiler.plan(&loaded.config);
    let problems = Problems::new(&loaded.file, compiler.problems);
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Compiled {
        plan,
        reach,
        warnings: problems,
    })
}

struct Compiler<'a> {
    loaded: &'a Loaded,
    problems: Vec<Problem>,
    binds: Binds,
}

impl Compiler<'_> {
    fn plan(&mut self, config: &Config) -> (Plan, Vec<Vec<Reach>>) {
        let root = Path::default();
        let unread = &self.loaded.unread;
        for (kind, is_none) in [
            (
                "clusters",
                config.clusters.is_empty() && !unread.some_cluster(),
            ),
            (
                "listeners",
                config.listeners.is_empty() && !unread.some_listener(),
            ),
        ] {
            if is_none {
                self.error(&root.key(kind), "there is none: at least one is needed");
            }
        }
        if let Some(admin) = &config.admin {
            let owner = Owner::new(&root.keys(&["admin", "bind"]), "admin");
            self.binds.add(admin.bind.0, owner);
            self.warn_of_open_admin(admin.bind.0);
        }
        let dials: Vec<DialMap> = config
            .clusters
            .iter()
            .map(|(name, cluster)| self.dial_map(&root.keys(&["clusters", name]), cluster))
            .collect();
        let mut listeners = Vec::new();
        let mut reach = Vec::new();
        for (name, listener) in &config.listeners {
            let path = root.keys(&["listeners", name]);
            self.name(&path, name);
            let addresses = self.listen_addresses(&path, listener);
            self.check_sasl(&path, listener);
            self.check_limits(&path, &listener.limits, config.buffered_bytes_max);
            self.check_proxies(&path, listener);
            if let Some(cluster) = self.cluster_of(&path, config, &listener.cluster) {
                let (place, cluster) = cluster;
                let dial = dials.get(place).cloned().unwrap_or_default();
                listeners.push(listener::planned(name, listener, cluster, dial, &addresses));
            }
            reach.push(addresses);
        }
        for (name, cluster) in &self.loaded.unread.listeners {
            if let Some(wanted) = cluster {
                self.cluster_of(&root.keys(&["listeners", name]), config, wanted);
            }
        }
        let overlaps = self.binds.overlaps();
        for (path, message) in overlaps {
            self.error(&path, message);
        }
        let clusters = config.clusters.iter().zip(dials);
        let clusters = clusters
            .map(|((name, cluster), dial)| self.cluster(config, name, cluster, dial))
            .collect();
        let plan = Plan {
            clusters,
            listeners,
            drain_timeout: config.drain_timeout.0,
            buffered_bytes_max: usize::try_from(config.buffered_bytes_max.0).unwrap_or(usize::MAX),
            connections_max: usize::MAX,
        };
        (plan, reach)
    }

    fn cluster(
        &mut self,
        config: &Config,
        name: &str,
        cluster: &Cluster,
        dial: DialMap,
    ) -> plan::Cluster {
        let path = Path::default().keys(&["clusters", name]);
        self.name(&path, name);
        let mut listeners = config.listeners.values();
        let logs_in = listeners.any(|it| it.cluster == name && it.sasl.is_some());
        let is_used = config.listeners.values().any(|it| it.cluster == name);
        if !is_used && !self.loaded.unread.some_listener() {
            self.warning(&path, "no listener uses this cluster");
        }
        let bootstrap: Vec<HostPort> = cluster.bootstrap.iter().map(|it| it.0.clone()).collect();
        self.loops(&path, cluster, &dial);
        self.check_identity(&path, cluster);
        let mut seen = BTreeSet::new();
        for (i, at) in bootstrap.iter().enumerate() {
            if !seen.insert(at) {
                let path = path.key("bootstrap").index(i);
                self.warning(&path, format!("{at} is listed twice"));
            }
        }
        let limits = &cluster.limits;
        if limits.connect_backoff_min > limits.connect_backoff_max {
            let message = format!(
                "must not be more than connect_backoff_max ({})",
                limits.connect_backoff_max
            );
            self.error(&path.keys(&["limits", "connect_backoff_min"]), message);
        }
        plan::Cluster {
            id: name.into(),
            tls: None,
            identities: None,
            sends_proxy_header: cluster.proxy_protocol.is_some(),
            discovery: discovery::Config {
                bootstrap,
                dial,
                refresh_interval: cluster.refresh_every.0,
                refresh_interval_min: REFRESH_INTERVAL_MIN.min(cluster.refresh_every.0),
                connect_timeout: limits.connect_timeout.0,
                request_timeout: limits.request_timeout.0.min(DISCOVERY_REQUEST_TIMEOUT_MAX),
                backoff_min: limits.connect_backoff_min.0,
                backoff_max: limits.connect_backoff_max.0,
                frame_bytes_max: DISCOVERY_FRAME_BYTES_MAX,
                learns_versions: logs_in,
                logs_in: cluster.identity.is_some(),
            },
        }
    }

    fn cluster_of<'c>(
        &mut self,
        path: &Path,
        config: &'c Config,
        wanted: &str,
    ) -> Option<(usize, &'c Cluster)> {
        let place = config.clusters.keys().position(|name| name == wanted);
        let unread = &self.loaded.unread;
        let Some(place) = place else {
            if unread.all_clusters || unread.clusters.contains(wanted) {
                return None;
            }
            let names = || {
                config
                    .clusters
                    .keys()
                    .chain(&unread.clusters)
                    .map(String::as_str)
            };
            let message = match near_miss(wanted, names()) {
                Some(meant) => format!("no cluster {wanted:?}; did you mean {meant}?"),
                None => {
                    let known: Vec<_> = names().collect();
                    format!("no cluster {wanted:?}; there are: {}", known.join(", "))
                }
            };
            self.error(&path.key("cluster"), message);
            return None;
        };
        config.clusters.get(wanted).map(|cluster| (place, cluster))
    }

    /// A name becomes a label of metrics and a field of logs.
    fn name(&mut self, path: &Path, name: &str) {
        const BYTES_MAX: usize = 64;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > BYTES_MAX || !name.bytes().all(legal) {
            let message =
                format!("a name is 1 to {BYTES_MAX} letters, digits, dots, dashes and underscores");
            self.error(path, message);
        }
    }

    fn warn_of_open_admin(&mut self, at: SocketAddr) {
        if !at.ip().is_loopback() {
            let path = Path::default().keys(&["admin", "bind"]);
            self.warning(
                &path,
                "anyone who can reach this address can read the metrics",
            );
        }
    }

    fn error(&mut self, path: &Path, message: impl Into<String>) {
        self.problem(Severity::Error, path, message.into());
    }

    fn warning(&mut self, path: &Path, message: impl Into<String>) {
        self.problem(Severity::Warning, path, message.into());
    }

    fn problem(&mut self, severity: Severity, path: &Path, message: String) {
        self.problems.push(Problem {
            severity,
            at: self.loaded.tree.position_of(path),
            path: path.clone(),
            message,
        });
    }
}
