//! What a session reports for logs and metrics.

use std::time::Duration;

use crate::id::{ApiKey, ApiVersion, HostPort};
use crate::io::ConnectFailure;

/// Something worth counting or logging. Never holds a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The upstream leg is open.
    UpstreamConnected {
        /// The address as the cluster names it.
        name: HostPort,
        /// How many attempts it took.
        attempts: u32,
    },
    /// One attempt to open it failed; another may follow.
    UpstreamAttemptFailed {
        /// The address as the cluster names it.
        name: HostPort,
        /// Why.
        why: ConnectFailure,
    },
    /// A request was read whole and sent on, answered or refused.
    Request {
        /// The API.
        api: ApiKey,
        /// Its version.
        version: ApiVersion,
        /// The size of the frame, with its length prefix.
        bytes: usize,
    },
    /// An answer has been handed to the client's egress whole.
    Answered {
        /// The API.
        api: ApiKey,
        /// Its version.
        version: ApiVersion,
        /// The size of the frame, with its length prefix.
        bytes: usize,
        /// From the end of the request to the end of the answer.
        latency: Duration,
        /// Whether core answered instead of the broker.
        local: bool,
    },
    /// Addresses in an answer were edited.
    Rewrote(Rewrites),
}

/// How many addresses an answer carried, by what was done to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrites {
    /// Replaced by our own.
    pub rewritten: u32,
    /// Removed, because they have no address of ours.
    pub dropped: u32,
    /// Texts and values in which an upstream host was made unreadable.
    pub blanked: u32,
}

impl Rewrites {
    /// Whether nothing was edited.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.rewritten == 0 && self.dropped == 0 && self.blanked == 0
    }
}
