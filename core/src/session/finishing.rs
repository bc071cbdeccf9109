//! A client that sends nothing more, because it has ended or because it broke a rule: what it has
//! asked for by then is still done.
//!
//! A broker reads a request, answers it, and only then reads on. So it comes to an end, a reset or
//! a fault behind requests when it has answered them, long polls included; whoever has ended only
//! its own half reads the responses. `conformance/python/half_close.py` shows it of brokers.

use crate::canary::canary;
use crate::error::CloseReason;
use crate::io::End;
use crate::mark::sometimes;
use crate::session::{Backlog, Phase, Session};
use crate::time::Instant;

/// A session of which nothing is owed but responses to requests that were read whole.
#[derive(Debug)]
pub(super) struct Finishing {
    /// Why nothing more is read of the client.
    reason: CloseReason,
    /// Until when responses are waited for. Nothing when each has its own deadline only.
    pub(super) by: Option<Instant>,
    /// When a session that drains must be gone.
    pub(super) drain: Option<Instant>,
}

impl Finishing {
    pub(super) fn drain(&mut self, by: Instant) {
        self.drain = Some(self.drain.map_or(by, |drain| drain.min(by)));
    }
}

impl Session {
    /// Nothing more is read of the client for this reason; closes once nothing is owed. With a
    /// limit it is the client's fault.
    pub(super) fn finish(&mut self, now: Instant, reason: CloseReason, by: Option<Instant>) {
        let left = by.is_none();
        self.mark_finish(reason, left);
        if left && canary!(self, DropLastRequests) {
            self.upstream.egress.discard();
            self.close_now(now, reason);
            return;
        }
        if by.is_some() {
            // There are no requests behind a fault.
            self.backlog = Backlog::default();
        }
        let next = match &self.phase {
            // What the client does next does not change what it has done, but for a fault in a
            // request that has waited for room.
            Phase::Finishing(earlier) if left || earlier.by.is_some() => return,
            Phase::Finishing(earlier) => Finishing {
                reason,
                by,
                drain: earlier.drain,
            },
            Phase::Draining { by: drain } => Finishing {
                reason,
                by,
                drain: Some(*drain),
            },
            Phase::Opening | Phase::Ready | Phase::Closing(_) | Phase::Closed => Finishing {
                reason,
                by,
                drain: None,
            },
        };
        self.phase = Phase::Finishing(next);
    }

    fn mark_finish(&mut self, reason: CloseReason, left: bool) {
        let owed = !self.in_flight.is_empty();
        let half = reason == CloseReason::ClientEnded(End::Fin);
        let unsent = !self.upstream.egress.is_empty();
        sometimes!(self.marks, HalfClosedWithAnswersOwed, half && owed);
        sometimes!(self.marks, FaultWithAnswersOwed, !left && owed);
        sometimes!(self.marks, FlushedAfterClientLeft, left && unsent);
    }

    /// The client's fault is not put off any longer.
    pub(super) fn finish_expired(&mut self, now: Instant) {
        if let Phase::Finishing(finishing) = &self.phase {
            let reason = finishing.reason;
            self.close_now(now, reason);
        }
    }

    /// Closes a session that has given what it owed.
    pub(super) fn advance_finishing(&mut self, now: Instant) {
        if !self.is_finishing() || !self.backlog.bytes.is_empty() {
            return;
        }
        // What has begun never ends.
        self.client.intake.discard();
        self.pending = None;
        if self.owes_nothing() {
            self.finish_expired(now);
        }
    }
}
