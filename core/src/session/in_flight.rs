//! The answers that are owed to the client, in the order of its requests: the only place that
//! orders answers.

use std::time::Duration;

use bytes::Bytes;

use crate::id::{ApiKey, ApiVersion, CorrelationId};
use crate::queue::Queue;
use crate::session::refusal::Refused;
use crate::time::Instant;
use crate::wire::header::RequestHead;

/// The longest throttle that is believed. Kafka bounds that of a Produce by nothing: it is as
/// long as the quota needs for the bytes (`QuotaUtils.throttleTime`).
const THROTTLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// One owed answer.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) correlation_id: CorrelationId,
    pub(super) api: ApiKey,
    pub(super) version: ApiVersion,
    /// The size of the request's frame, with its prefix.
    pub(super) bytes: usize,
    /// When the request was whole.
    pub(super) since: Instant,
    /// Nothing for a Produce with acks=0, which never gets as far as the FIFO.
    pub(super) answer: Option<Owed>,
}

impl Slot {
    /// What a request will be owed once it is whole.
    pub(super) fn new(head: RequestHead, bytes: usize, answer: Option<Owed>) -> Self {
        Self {
            correlation_id: head.correlation_id,
            api: head.api,
            version: head.version,
            bytes,
            since: Instant::ZERO,
            answer,
        }
    }

    /// The memory that is kept until the answer is given.
    pub(super) fn held_bytes(&self) -> usize {
        self.answer.as_ref().map_or(0, Owed::held_bytes)
    }
}

/// Where the answer comes from.
#[derive(Debug)]
pub(super) enum Owed {
    /// From the broker.
    Relayed {
        /// How long the request itself lets the broker wait, on top of `answer_timeout`.
        allowance: Duration,
        /// What was refused of the request, to be told in the broker's answer.
        refused: Option<Box<Refused>>,
    },
    /// From us: a whole frame that waits for its turn.
    Local(Bytes),
}

impl Owed {
    /// The memory that is kept until the answer is given.
    fn held_bytes(&self) -> usize {
        match self {
            Self::Relayed { refused, .. } => refused.as_ref().map_or(0, |it| it.held_bytes()),
            Self::Local(frame) => frame.len(),
        }
    }
}

/// The FIFO of owed answers.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: Queue<Slot>,
    /// What the slots keep in memory besides themselves.
    held_bytes: usize,
    /// Since when the front slot has been the front: a broker answers one request after the
    /// other, so the time for an answer starts when the one before it is done.
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

    /// What answers that wait for their turn keep in memory.
    pub(super) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(super) fn push(&mut self, now: Instant, slot: Slot) {
        if self.slots.is_empty() {
            self.front_since = now;
        }
        self.held_bytes += slot.held_bytes();
        self.slots.push_back(slot);
    }

    /// The slot that the next bytes of the broker must belong to.
    ///
    /// Local slots never stand at the front for longer than it takes to flush them, so the
    /// front is the oldest request that the broker has not answered.
    pub(super) fn front(&self) -> Option<&Slot> {
        self.slots.front()
    }

    /// What the next answer of the broker has to tell besides; asked for once.
    pub(super) fn take_refused(&mut self) -> Option<Box<Refused>> {
        let refused = match &mut self.slots.front_mut()?.answer {
            Some(Owed::Relayed { refused, .. }) => refused.take(),
            Some(Owed::Local(_)) | None => None,
        }?;
        self.held_bytes = self.held_bytes.saturating_sub(refused.held_bytes());
        Some(refused)
    }

    pub(super) fn pop(&mut self, now: Instant) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(slot.held_bytes());
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

    /// Whether the next answer is ours, so that it can be given now.
    pub(super) fn is_local_next(&self) -> bool {
        matches!(
            self.front(),
            Some(Slot {
                answer: Some(Owed::Local(_)),
                ..
            })
        )
    }

    /// Takes the front slot if its answer is ours.
    pub(super) fn pop_local(&mut self, now: Instant) -> Option<(Slot, Bytes)> {
        if !self.is_local_next() {
            return None;
        }
        let mut slot = self.pop(now)?;
        match slot.answer.take() {
            Some(Owed::Local(frame)) => Some((slot, frame)),
            Some(Owed::Relayed { .. }) | None => None,
        }
    }

    /// Until when the broker's next answer must have begun, which it cannot before `since`.
    pub(super) fn deadline(&self, since: Instant, answer_timeout: Duration) -> Option<Instant> {
        match &self.front()?.answer {
            Some(Owed::Relayed { allowance, .. }) => Some(
                self.front_since
                    .max(self.muted_until)
                    .max(since)
                    .after(answer_timeout.saturating_add(*allowance)),
            ),
            Some(Owed::Local(_)) | None => None,
        }
    }

    /// The time for the next answer starts now: the connection has just opened, or the broker's
    /// bytes are not being read.
    pub(super) fn restart(&mut self, now: Instant) {
        self.front_since = now;
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.held_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(id: i32, answer: Owed) -> Slot {
        let head = RequestHead {
            api: ApiKey(3),
            version: ApiVersion(0),
            correlation_id: CorrelationId(id),
        };
        Slot::new(head, 12, Some(answer))
    }

    fn relayed(allowance: Duration) -> Owed {
        Owed::Relayed {
            allowance,
            refused: None,
        }
    }

    #[test]
    fn a_local_answer_waits_for_the_ones_before_it() {
        let mut in_flight = InFlight::default();
        let now = Instant::ZERO;
        in_flight.push(now, slot(1, relayed(Duration::ZERO)));
        in_flight.push(now, slot(2, Owed::Local(Bytes::from_static(b"two"))));
        assert!(in_flight.pop_local(now).is_none());
        assert_eq!(in_flight.pop(now).unwrap().correlation_id, CorrelationId(1));
        assert_eq!(in_flight.pop_local(now).unwrap().1, "two");
        assert!(in_flight.is_empty());
    }

    #[test]
    fn the_time_for_an_answer_starts_when_it_is_next() {
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
