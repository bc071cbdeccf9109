//! What is counted of logins, of clients and of doorkeeper at brokers.

use doorkeeper_core::event::Event;
use doorkeeper_core::sasl::Mechanism;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::register;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    listener: String,
    mechanism: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailedLogin {
    listener: String,
    /// Empty where the client chose none that is offered.
    mechanism: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLogin {
    listener: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailedUpstreamLogin {
    listener: String,
    reason: &'static str,
}

/// Counts logins.
pub(super) struct Logins {
    succeeded: Family<Login, Counter>,
    failed: Family<FailedLogin, Counter>,
    upstream_succeeded: Family<UpstreamLogin, Counter>,
    upstream_failed: Family<FailedUpstreamLogin, Counter>,
}

impl Logins {
    pub(super) fn new(r: &mut Registry) -> Self {
        Self {
            succeeded: register(
                r,
                "logins",
                "Logins of clients that succeeded, by mechanism",
            ),
            failed: register(
                r,
                "login_failures",
                "Logins of clients that failed, by mechanism and reason",
            ),
            upstream_succeeded: register(
                r,
                "upstream_logins",
                "Logins of doorkeeper at brokers that succeeded",
            ),
            upstream_failed: register(
                r,
                "upstream_login_failures",
                "Logins of doorkeeper at brokers that failed, by reason",
            ),
        }
    }

    /// Counts an event of a login; others are nothing to it.
    pub(super) fn count(&self, listener: &str, event: &Event) {
        let listener = listener.to_owned();
        match event {
            Event::LoginSucceeded { mechanism, .. } => {
                let mechanism = mechanism.name();
                let login = Login {
                    listener,
                    mechanism,
                };
                self.succeeded.get_or_create(&login).inc();
            }
            Event::LoginFailed { mechanism, why } => {
                let failed = FailedLogin {
                    listener,
                    mechanism: mechanism.map_or("", Mechanism::name),
                    reason: why.name(),
                };
                self.failed.get_or_create(&failed).inc();
            }
            Event::UpstreamLoggedIn { .. } => {
                let login = UpstreamLogin { listener };
                self.upstream_succeeded.get_or_create(&login).inc();
            }
            Event::UpstreamLoginFailed { why } => {
                let reason = why.name();
                let failed = FailedUpstreamLogin { listener, reason };
                self.upstream_failed.get_or_create(&failed).inc();
            }
            Event::UpstreamConnected { .. }
            | Event::UpstreamAttemptFailed { .. }
            | Event::Request { .. }
            | Event::Response { .. }
            | Event::Rewrote(_)
            | Event::SaslWithoutLogin => {}
        }
    }
}
