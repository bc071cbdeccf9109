//! The limits of one session, and what all sessions share. Every one is finite by default.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What one session may cost, and how long each party may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request, without its length prefix (`socket.request.max.bytes`).
    pub frame_bytes_max: usize,
    /// The longest response, without its length prefix. Kafka has no limit for responses; a
    /// longer one is taken for a length that means nothing.
    pub response_bytes_max: usize,
    /// How much of one request may be buffered until the decision on it.
    pub request_buffer_bytes_max: usize,
    /// How much of one response may be buffered until it is edited. Responses of large clusters are
    /// longer than any request that has to be buffered.
    pub response_buffer_bytes_max: usize,
    /// Once an egress has this much to write, the other leg is not read until it drains.
    pub egress_high_bytes: usize,
    /// How many responses may be owed before the client is not read any further.
    pub in_flight_max: usize,
    /// How long a frame that has begun may take to arrive whole while it makes no progress.
    pub frame_stall_timeout: Duration,
    /// How long a leg may wait for room in what sessions together may buffer, before its session is
    /// closed.
    pub buffer_timeout: Duration,
    /// How long nothing at all may happen on a session that owes nothing.
    pub idle_timeout: Duration,
    /// From the wish for an upstream connection until it is open, all attempts included; and from
    /// the first request that the upstream has taken on it until the first response begins.
    pub connect_timeout: Duration,
    /// The first pause after a failed attempt; it doubles with each further one.
    pub connect_backoff_min: Duration,
    /// The longest pause between two attempts.
    pub connect_backoff_max: Duration,
    /// How long an upstream may take to respond, on top of the wait that the request itself
    /// allows (`MaxWaitMs`, `TimeoutMs`, `RebalanceTimeoutMs`, `TransactionTimeoutMs`), and on top
    /// of what its last response has announced (`ThrottleTimeMs`).
    pub request_timeout: Duration,
    /// How long a peer may take no bytes that are due to it.
    pub write_stall_timeout: Duration,
    /// How long the last bytes may take once the session is closing.
    pub flush_timeout: Duration,
}

/// So little is never counted: requests and responses of everyday size are buffered even while
/// other sessions have used up the budget.
pub const UNCOUNTED_BUFFER_BYTES: usize = 64 * KIB;

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 100 * MIB,
            response_bytes_max: 1024 * MIB,
            request_buffer_bytes_max: 16 * MIB,
            response_buffer_bytes_max: 64 * MIB,
            egress_high_bytes: 128 * KIB,
            in_flight_max: 1000,
            frame_stall_timeout: Duration::from_secs(30),
            buffer_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(10),
            connect_backoff_min: Duration::from_millis(50),
            connect_backoff_max: Duration::from_secs(1),
            request_timeout: Duration::from_secs(60),
            // As long as Kafka's `connections.max.idle.ms` lets such a connection be: some clients
            // do not read while the application is busy with a batch.
            write_stall_timeout: Duration::from_secs(600),
            flush_timeout: Duration::from_secs(5),
        }
    }
}
