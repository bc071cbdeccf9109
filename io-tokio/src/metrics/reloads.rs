//! What is counted of reloads, and what of the configuration is known.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register;
use crate::id::{ClusterId, ListenerId};
use crate::plan::Plan;
use crate::tls::server::ServerTls;
use crate::tls::upstream::UpstreamTls;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfListener {
    listener: String,
    certificate: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCluster {
    cluster: String,
}

/// What became of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// What is served has changed.
    Changed,
    /// What is served is what the files say already.
    Unchanged,
    /// The files, or what they ask for, cannot be used: nothing has changed.
    Failed,
}

impl ReloadOutcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Changed, Self::Unchanged, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// Counts reloads. Clones count the same.
#[derive(Clone, Debug)]
pub struct Reloads {
    outcomes: Family<Outcome, Counter>,
    succeeded: Gauge,
    failed: Gauge,
    in_force: Gauge,
    listener_certificates: Family<OfListener, Gauge>,
    cluster_certificates: Family<OfCluster, Gauge>,
}

impl Reloads {
    pub(super) fn new(r: &mut Registry) -> Self {
        let reloads = Self {
            outcomes: register(r, "reloads", "Reloads of the configuration, by outcome"),
            succeeded: register(
                r,
                "config_loaded_timestamp_seconds",
                "When the files were last found to be usable",
            ),
            failed: register(
                r,
                "reload_failed_timestamp_seconds",
                "When a reload last failed",
            ),
            in_force: register(
                r,
                "config_in_force",
                "Whether what is served is what the files said when they were last read",
            ),
            listener_certificates: register(
                r,
                "listener_certificate_expiry_timestamp_seconds",
                "When a certificate that clients are shown expires",
            ),
            cluster_certificates: register(
                r,
                "cluster_certificate_expiry_timestamp_seconds",
                "When the certificate that brokers are shown expires",
            ),
        };
        for outcome in ReloadOutcome::ALL {
            reloads.of(outcome);
        }
        reloads.succeeded.set(now());
        reloads.in_force.set(1);
        reloads
    }

    fn of(&self, outcome: ReloadOutcome) -> Counter {
        let outcome = Outcome {
            outcome: outcome.name(),
        };
        self.outcomes.get_or_create(&outcome).clone()
    }

    /// A reload is over.
    pub fn ended(&self, outcome: ReloadOutcome) {
        self.of(outcome).inc();
        match outcome {
            ReloadOutcome::Changed | ReloadOutcome::Unchanged => {
                self.succeeded.set(now());
                self.in_force.set(1);
            }
            ReloadOutcome::Failed => {
                self.failed.set(now());
                self.in_force.set(0);
            }
        }
    }

    /// This is served.
    pub fn serves(&self, plan: &Plan) {
        self.listener_certificates.clear();
        self.cluster_certificates.clear();
        for listener in &plan.listeners {
            let expiries = listener.tls.iter().flat_map(ServerTls::expiries);
            for (certificate, expiry) in expiries.enumerate() {
                self.listener_certificate(&listener.id, certificate, expiry);
            }
        }
        for cluster in &plan.clusters {
            if let Some(expiry) = cluster.tls.as_ref().and_then(UpstreamTls::expiry) {
                self.cluster_certificate(&cluster.id, expiry);
            }
        }
    }

    /// When one of a listener's certificates expires, in seconds since 1970.
    pub fn listener_certificate(&self, listener: &ListenerId, certificate: usize, expiry: i64) {
        let of = OfListener {
            listener: listener.to_string(),
            certificate,
        };
        self.listener_certificates.get_or_create(&of).set(expiry);
    }

    /// When a cluster's certificate expires, in seconds since 1970.
    pub fn cluster_certificate(&self, cluster: &ClusterId, expiry: i64) {
        let of = OfCluster {
            cluster: cluster.to_string(),
        };
        self.cluster_certificates.get_or_create(&of).set(expiry);
    }
}

fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
