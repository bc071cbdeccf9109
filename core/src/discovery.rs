//! The second machine: learns where the brokers of one cluster are, and keeps it fresh.
//!
//! It asks one broker at a time over a connection of its own: the brokers it knows and the
//! bootstrap list in turn, with a growing pause after failures.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::id::{BrokerId, HostPort};
use crate::io::{ConnectFailure, End, Observation, Target};
use crate::time::Instant;
use crate::topology::{DialMap, Topology};

/// What discovery goes by.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the configuration says that the cluster can be found.
    pub bootstrap: Vec<HostPort>,
    /// Where to connect instead of what a name says.
    pub dial: DialMap,
    /// How often to ask when nothing hints at a change.
    pub refresh_interval: Duration,
    /// The shortest time between two questions, however many hints come.
    pub refresh_interval_min: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long one answer may take.
    pub answer_timeout: Duration,
    /// The first pause after a failure; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause after a failure.
    pub backoff_max: Duration,
    /// The longest answer.
    pub frame_bytes_max: usize,
}

/// Everything that can happen to discovery.
#[derive(Clone, Debug)]
pub enum Input {
    /// Bytes arrived.
    Bytes(Bytes),
    /// This many bytes of the egress were taken by the socket.
    Wrote(usize),
    /// The connection ended.
    Ended(End),
    /// The connection is open.
    Connected,
    /// It could not be opened.
    ConnectFailed(ConnectFailure),
    /// A session noticed something.
    Observed(Observation),
    /// The deadline has come.
    Tick,
}

/// Everything that discovery can ask of its driver.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open the connection. At most one exists or is under way.
    Connect(Target),
    /// Drop the connection, or the attempt at one.
    Disconnect,
    /// The topology is known, or has changed.
    Publish(Arc<Topology>),
    /// Something to log or count.
    Report(Event),
}

/// What discovery reports for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A broker gave a whole, sensible answer.
    Refreshed {
        /// How many brokers the answer listed.
        brokers: usize,
    },
    /// One attempt came to nothing; another follows.
    Failed {
        /// Whom it asked.
        asked: HostPort,
        /// Why it came to nothing.
        why: Failure,
    },
    /// An answer listed a broker whose id or address makes no sense; that broker was ignored.
    Ignored {
        /// The id, as given.
        broker: BrokerId,
    },
}

/// Why one attempt came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect(ConnectFailure),
    /// The broker ended the connection.
    Ended(End),
    /// No whole answer in time.
    TimedOut,
    /// The answer cannot be read, or answers something else.
    BadAnswer,
    /// The answer is well-formed and says that the broker cannot tell.
    ErrorAnswer,
}

/// What the driver should do until the next input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Read the connection, if there is one.
    pub read: bool,
    /// When to hand in [`Input::Tick`].
    pub deadline: Option<Instant>,
}
