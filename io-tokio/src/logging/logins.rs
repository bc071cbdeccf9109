//! Lines about logins, of clients and of doorkeeper at brokers.

use std::time::Duration;

use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::event::Event;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::failure::LoginFailure;
use tracing::{debug, info, warn};

use super::ms;
use super::thinning::Thinning;
use crate::id::ListenerId;
use crate::observer::ClientConnection;

/// Writes about logins.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// Those that failed, so that one address does not hide the others.
    failed: Thinning<(ListenerId, ClientNetwork)>,
}

impl Logins {
    /// Logs an event of a login; others are nothing to it.
    pub(super) fn log(&self, connection: &ClientConnection, event: &Event) {
        let session = connection.session;
        match event {
            Event::LoginSucceeded {
                mechanism,
                principal,
                lifetime,
                again,
            } => logged_in(session, *mechanism, principal, *lifetime, *again),
            Event::LoginFailed { mechanism, why } => self.failed(connection, *mechanism, *why),
            Event::UpstreamLoggedIn { lifetime, again } => debug!(
                session,
                lifetime_ms = lifetime.map(ms),
                again,
                "logged in to the broker"
            ),
            Event::UpstreamLoginFailed { why } => {
                debug!(session, reason = why.name(), "not logged in to the broker");
            }
            Event::UpstreamConnected { .. }
            | Event::UpstreamAttemptFailed { .. }
            | Event::Request { .. }
            | Event::Response { .. }
            | Event::Rewrote(_)
            | Event::SaslWithoutLogin => {}
        }
    }

    fn failed(
        &self,
        connection: &ClientConnection,
        mechanism: Option<Mechanism>,
        why: LoginFailure,
    ) {
        let mechanism = mechanism.map_or("", Mechanism::name);
        let (session, peer) = (connection.session, connection.client.socket());
        let listener = &connection.listen_addr.listener;
        let reason = why.name();
        debug!(session, mechanism, reason, "login failed");
        let place = (listener.clone(), connection.client.network());
        if let Some(times) = self.failed.count(place, reason) {
            warn!(%listener, %peer, mechanism, reason, times, "logins failed");
        }
    }
}

fn logged_in(
    session: u64,
    mechanism: Mechanism,
    principal: &Principal,
    lifetime: Option<Duration>,
    again: bool,
) {
    let (mechanism, principal) = (mechanism.name(), principal.as_str());
    let lifetime_ms = lifetime.map(ms);
    if again {
        debug!(
            session,
            principal, mechanism, lifetime_ms, "logged in again"
        );
    } else {
        info!(session, principal, mechanism, lifetime_ms, "logged in");
    }
}
