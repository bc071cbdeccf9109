//! One broker: its address, whether it is up, and its fetch sessions.

use doorkeeper_core::id::HostPort;

use crate::fetch_session::FetchSessions;

/// One broker of the cluster.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) advertised: HostPort,
    pub(crate) up: bool,
    pub(crate) fetch_sessions: FetchSessions,
}

impl Broker {
    pub(crate) const fn new(advertised: HostPort) -> Self {
        Self {
            advertised,
            up: true,
            fetch_sessions: FetchSessions::new(),
        }
    }
}
