//! One connection: requests that wait, and the one in work.

use std::collections::VecDeque;

use bytes::Bytes;
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;

use crate::codec::Head;

/// Names one connection of a cluster, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Names one request of a cluster, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId {
    pub(crate) connection: ConnectionId,
    pub(crate) number: u64,
}

/// One connection. Like Kafka's `SocketServer`, which mutes a channel until its request is
/// responses, it has at most one request in work: that is what keeps responses in order.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) broker: BrokerId,
    waiting: VecDeque<Bytes>,
    in_work: Option<(u64, Head)>,
    next_number: u64,
    /// Until when no request of it is served, if its client is throttled.
    muted_until: Option<Instant>,
}

impl Connection {
    pub(crate) const fn new(broker: BrokerId) -> Self {
        Self {
            broker,
            waiting: VecDeque::new(),
            in_work: None,
            next_number: 0,
            muted_until: None,
        }
    }

    pub(crate) fn push(&mut self, frame: Bytes) {
        self.waiting.push_back(frame);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a request waits or is in work.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_work.is_some() || !self.waiting.is_empty()
    }

    /// Its client is throttled: it is muted for so long (`SocketServer`, `ThrottledChannel`).
    pub(crate) const fn mute(&mut self, until: Instant) {
        self.muted_until = Some(until);
    }

    /// Until when it is muted, if it is.
    pub(crate) const fn muted_until(&self) -> Option<Instant> {
        self.muted_until
    }

    /// Ends a throttle whose time is over; false if there was none.
    pub(crate) fn unmute(&mut self, now: Instant) -> bool {
        let is_over = self.muted_until.is_some_and(|until| until <= now);
        if is_over {
            self.muted_until = None;
        }
        is_over
    }

    /// The next frame to serve, if nothing else is in work.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        if self.in_work.is_some() || self.muted_until.is_some() {
            None
        } else {
            self.waiting.pop_front()
        }
    }

    /// A request with this head is in work from now on.
    pub(crate) const fn begin(&mut self, head: Head) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.in_work = Some((number, head));
        number
    }

    /// The request has its response. None if another one is in work.
    pub(crate) fn finish(&mut self, number: u64) -> Option<Head> {
        let (in_work, head) = self.in_work?;
        if in_work != number {
            return None;
        }
        self.in_work = None;
        Some(head)
    }
}
