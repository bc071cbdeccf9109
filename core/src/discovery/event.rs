//! What discovery reports, and why an attempt of it failed.

use crate::connection::{ConnectFailure, End};
use crate::id::{BrokerId, HostPort};

/// What discovery reports for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A broker sent a whole response that makes sense.
    Refreshed {
        /// The brokers that the response listed: those that are up.
        brokers: Vec<BrokerId>,
    },
    /// One attempt failed; another follows.
    Failed {
        /// Whom it asked.
        asked: HostPort,
        /// Why it failed.
        why: Failure,
    },
    /// A response listed brokers whose ids or addresses make no sense, or more of them than any
    /// cluster has; those brokers were ignored.
    Ignored {
        /// The id of the first of them, as given.
        broker: BrokerId,
        /// How many there were.
        brokers: usize,
    },
}

/// Why one attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect(ConnectFailure),
    /// The broker ended the connection.
    Ended(End),
    /// No whole response in time.
    TimedOut,
    /// The response cannot be read, or belongs to another request.
    BadResponse,
    /// The response is well-formed and names no broker.
    ErrorResponse,
    /// A learned address belongs to another cluster by now.
    OtherCluster,
}

impl Failure {
    /// The name that logs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect(ConnectFailure::TimedOut) => "connect_timed_out",
            Self::Connect(why) => why.name(),
            Self::Ended(End::Fin) => "closed",
            Self::Ended(End::Reset) => "reset",
            Self::Ended(End::Truncated) => "truncated",
            Self::TimedOut => "request_timeout",
            Self::BadResponse => "bad_response",
            Self::ErrorResponse => "error_response",
            Self::OtherCluster => "other_cluster",
        }
    }

    /// Whether others should be asked first for a while: this one costs time, or is ourselves.
    pub(super) const fn is_to_be_avoided(self) -> bool {
        match self {
            Self::Connect(why) => why.is_to_be_avoided(),
            Self::TimedOut => true,
            Self::Ended(_) | Self::BadResponse | Self::ErrorResponse | Self::OtherCluster => false,
        }
    }
}
