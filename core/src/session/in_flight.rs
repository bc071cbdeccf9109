//! The responses that are owed to the client, in the order of its requests: the only place that
//! orders responses.

use std::time::Duration;

use bytes::Bytes;

use crate::id::{ApiKey, ApiVersion, CorrelationId};
use crate::queue::Queue;
use crate::session::topic_authorization::DeniedTopics;
use crate::time::Instant;
use crate::wire::header::RequestHead;

/// The longest throttle that is believed. Kafka bounds that of a Produce by nothing: it is as
/// long as the quota needs for the bytes (`QuotaUtils.throttleTime`).
const THROTTLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// One owed response.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) correlation_id: CorrelationId,
    pub(super) api: ApiKey,
    pub(super) version: ApiVersion,
    /// The size of the request's frame, with its prefix.
    pub(super) bytes: usize,
    /// When the request was whole.
    pub(super) since: Instant,
    pub(super) response: DueResponse,
}

impl Slot {
    /// What is owed to a request that is whole.
    pub(super) fn new(
        head: RequestHead,
        bytes: usize,
        since: Instant,
        response: DueResponse,
    ) -> Self {
        Self {
            correlation_id: head.correlation_id,
            api: head.api,
            version: head.version,
            bytes,
            since,
            response,
        }
    }
}

/// Where the response comes from.
#[derive(Debug)]
pub(super) enum DueResponse {
    /// From the broker.
    Relayed(RelayedResponse),
    /// From us: a whole frame that waits for its turn.
    Local(Bytes),
    /// From the broker, to a request of ours by which doorkeeper logs in again: not due to the
    /// client.
    Login,
}

impl DueResponse {
    /// The memory that is kept until the response is given.
    fn buffered_bytes(&self) -> usize {
        match self {
            Self::Relayed(relayed) => relayed.buffered_bytes(),
            Self::Local(frame) => frame.len(),
            Self::Login => 0,
        }
    }
}

/// What is known of a response that the broker owes.
#[derive(Debug)]
pub(super) struct RelayedResponse {
    /// How long the request itself lets the broker wait, on top of `request_timeout`.
    pub(super) allowance: Duration,
    /// What was denied of the request, for the broker's response to say as well.
    pub(super) denied: Option<Box<DeniedTopics>>,
}

impl RelayedResponse {
    /// The memory that is kept until the response is sent.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.denied.as_ref().map_or(0, |it| it.buffered_bytes())
    }
}

/// A response of ours whose turn has come.
#[derive(Debug)]
pub(super) struct LocalResponse {
    pub(super) api: ApiKey,
    pub(super) version: ApiVersion,
    /// When the request was whole.
    pub(super) since: Instant,
    pub(super) frame: Bytes,
}

/// The FIFO of owed responses.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: Queue<Slot>,
    /// What the slots keep in memory besides themselves.
    buffered_bytes: usize,
    /// Since when the front slot has been the front: a broker serves one request after the
    /// other, so the time for a response starts when the one before it is done.
    front_since: Instant,
    /// For how many milliseconds the response that is coming in says that the client is throttled.
    announced_ms: i32,
    /// Until when the broker reads no requests of this connection, as its responses have said.
    muted_until: Instant,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What responses that wait for their turn keep in memory.
    pub(super) const fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    #[inline(always)]
    pub(super) fn push(&mut self, now: Instant, slot: Slot) {
        if self.slots.is_empty() {
            self.front_since = now;
        }
        self.buffered_bytes += slot.response.buffered_bytes();
        self.slots.push_back(slot);
    }

    /// The slot that the next bytes of the broker must belong to.
    ///
    /// Local slots never stand at the front for longer than it takes to flush them, so the
    /// front is the oldest request that the broker has not responded to.
    pub(super) fn front(&self) -> Option<&Slot> {
        self.slots.front()
    }

    /// The denied topics that join the next response of the broker; asked for once.
    pub(super) fn take_denied(&mut self) -> Option<Box<DeniedTopics>> {
        let denied = match &mut self.slots.front_mut()?.response {
            DueResponse::Relayed(relayed) => relayed.denied.take(),
            DueResponse::Local(_) | DueResponse::Login => None,
        }?;
        self.buffered_bytes = self.buffered_bytes.saturating_sub(denied.buffered_bytes());
        Some(denied)
    }

    pub(super) fn pop(&mut self, now: Instant) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        self.buffered_bytes = self
            .buffered_bytes
            .saturating_sub(slot.response.buffered_bytes());
        self.front_since = now;
        if self.announced_ms > 0 {
            self.mute(now);
        }
        Some(slot)
    }

    /// The broker reads nothing from now on, for as long as its response has said.
    #[cold]
    fn mute(&mut self, now: Instant) {
        let ms = std::mem::take(&mut self.announced_ms).unsigned_abs();
        let muted = Duration::from_millis(ms.into()).min(THROTTLE_MAX);
        self.muted_until = self.muted_until.max(now.after(muted));
    }

    /// The response that is coming in says for how long the client is throttled. Kafka sends it at
    /// once, and reads nothing from the connection for so long (KIP-219,
    /// `ClientQuotaManager.throttle`).
    pub(super) fn announce_throttle(&mut self, ms: i32) {
        self.announced_ms = self.announced_ms.max(ms);
    }

    /// Until when the broker may read nothing; in the past unless it throttles.
    pub(super) const fn muted_until(&self) -> Instant {
        self.muted_until
    }

    /// Whether the next response of the broker belongs to a login of doorkeeper's.
    pub(super) fn is_login_next(&self) -> bool {
        matches!(
            self.front(),
            Some(Slot {
                response: DueResponse::Login,
                ..
            })
        )
    }

    /// Whether the next response is ours, so that it can be given now.
    pub(super) fn is_local_next(&self) -> bool {
        matches!(
            self.front(),
            Some(Slot {
                response: DueResponse::Local(_),
                ..
            })
        )
    }

    /// Takes the front slot if its response is ours.
    pub(super) fn pop_local(&mut self, now: Instant) -> Option<LocalResponse> {
        if !self.is_local_next() {
            return None;
        }
        let Slot {
            api,
            version,
            since,
            response,
            ..
        } = self.pop(now)?;
        match response {
            DueResponse::Local(frame) => Some(LocalResponse {
                api,
                version,
                since,
                frame,
            }),
            DueResponse::Relayed(_) | DueResponse::Login => None,
        }
    }

    /// Until when the broker's next response must have begun, which it cannot before `since`.
    pub(super) fn deadline(&self, since: Instant, request_timeout: Duration) -> Option<Instant> {
        let allowance = match &self.front()?.response {
            DueResponse::Relayed(relayed) => relayed.allowance,
            DueResponse::Login => Duration::ZERO,
            DueResponse::Local(_) => return None,
        };
        let begins = self.front_since.max(self.muted_until).max(since);
        Some(begins.after(request_timeout.saturating_add(allowance)))
    }

    /// The time for the next response starts now: the connection has just opened, or the broker's
    /// bytes are not being read.
    pub(super) fn restart(&mut self, now: Instant) {
        self.front_since = now;
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.buffered_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(id: i32, response: DueResponse) -> Slot {
        let head = RequestHead {
            api: ApiKey(3),
            version: ApiVersion(0),
            correlation_id: CorrelationId(id),
        };
        Slot::new(head, 12, Instant::ZERO, response)
    }

    fn relayed(allowance: Duration) -> DueResponse {
        DueResponse::Relayed(RelayedResponse {
            allowance,
            denied: None,
        })
    }

    #[test]
    fn a_local_response_waits_for_those_before_it() {
        let mut in_flight = InFlight::default();
        let now = Instant::ZERO;
        in_flight.push(now, slot(1, relayed(Duration::ZERO)));
        in_flight.push(now, slot(2, DueResponse::Local(Bytes::from_static(b"two"))));
        assert!(in_flight.pop_local(now).is_none());
        assert_eq!(in_flight.pop(now).unwrap().correlation_id, CorrelationId(1));
        assert_eq!(in_flight.pop_local(now).unwrap().frame, "two");
        assert!(in_flight.is_empty());
    }

    #[test]
    fn the_time_for_a_response_starts_when_it_is_next() {
        let second = Duration::from_secs(1);
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let mut in_flight = InFlight::default();
        in_flight.push(at(0), slot(1, relayed(30 * second)));
        in_flight.push(at(0), slot(2, relayed(Duration::ZERO)));
        assert_eq!(in_flight.deadline(Instant::ZERO, 10 * second), Some(at(40)));
        in_flight.pop(at(35));
        assert_eq!(in_flight.deadline(Instant::ZERO, 10 * second), Some(at(45)));
    }
}
