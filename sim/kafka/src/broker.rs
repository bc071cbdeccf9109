//! One broker: its address, whether it is up, and its sessions.

use std::collections::BTreeMap;
use std::time::Duration;

use doorkeeper_core::id::HostPort;

use crate::fetch_session::FetchSessions;
use crate::share_session::ShareSessions;

/// One broker of the cluster.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) advertised: HostPort,
    pub(crate) up: bool,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) share_sessions: ShareSessions,
    /// The last versions of APIs that it serves, where they are not those of the newest release.
    pub(crate) versions: BTreeMap<i16, i16>,
    /// For how long each response throttles its client.
    pub(crate) throttle: Duration,
}

impl Broker {
    pub(crate) const fn new(advertised: HostPort) -> Self {
        Self {
            advertised,
            up: true,
            fetch_sessions: FetchSessions::new(),
            share_sessions: ShareSessions::new(),
            versions: BTreeMap::new(),
            throttle: Duration::ZERO,
        }
    }
}
