//! The end of a session: the last bytes, then one reason, last of all.

use crate::connection::{End, Leg};
use crate::error::{CloseReason, Due, Requests, Revocation};
use crate::io::Effect;
use crate::mutation::mutation;
use crate::session::{Backlog, ClientLeg, Phase, Session};
use crate::time::Instant;

/// A session that only writes what is left.
#[derive(Debug)]
pub(super) struct Closing {
    reason: CloseReason,
    /// When the last bytes must be out.
    pub(super) by: Instant,
    /// For which legs a `Finish` has been given.
    finished: [bool; 2],
    /// Whether the client's end is waited for. To drop a connection on which something has come
    /// that was not read resets it (RFC 2525 section 2.17), and takes the last responses along.
    lingers: bool,
}

impl Closing {
    /// Whether what the client still sends is to be read, and thrown away.
    pub(super) const fn lingers(&self) -> bool {
        self.lingers
    }

    pub(super) const fn client_ended(&mut self) {
        self.lingers = false;
    }
}

impl ClientLeg {
    pub(super) fn note_end(&mut self, how: End) {
        match how {
            // The client may still read.
            End::Fin => {
                self.ended.get_or_insert(how);
            }
            End::Reset | End::Truncated => {
                self.ended = Some(how);
                self.egress.discard();
            }
        }
    }

    /// Nobody reads what is due to the client.
    pub(super) fn is_gone(&self) -> bool {
        self.ended.is_some_and(|how| !how.is_of_one_half())
    }
}

impl Session {
    /// Ends the session for this reason, unless it is ending already; what is owed to the client
    /// is given first where it can be.
    pub(super) fn close(&mut self, now: Instant, reason: CloseReason) {
        if !self.is_relaying() {
            return;
        }
        match reason.ending().requests {
            Requests::AwaitResponses => self.finish(reason, None),
            Requests::AwaitUntilFlushed if !mutation!(self, FaultDropsResponses) => {
                let by = now.after(self.snapshot.limits.flush_timeout);
                self.finish(reason, Some(by));
            }
            Requests::AwaitForNobody => {
                let by = now.after(self.snapshot.limits.request_timeout);
                self.finish(reason, Some(by));
            }
            Requests::AwaitUntilFlushed | Requests::Forget => self.close_now(now, reason),
        }
    }

    /// No response is waited for any more: only what is due already is still written.
    pub(super) fn close_now(&mut self, now: Instant, reason: CloseReason) {
        let ending = reason.ending();
        let flushed = now.after(self.snapshot.limits.flush_timeout);
        let drain = self.phase.drain();
        self.requests.clear();
        self.responses.clear();
        self.in_flight.clear();
        self.backlog = Backlog::default();
        // A session that was rejected must not keep what it buffers until somebody takes it.
        if reason == CloseReason::BufferRejected {
            self.drop_buffered();
        }
        if ending.client == Due::Dropped {
            self.client.egress.discard();
        }
        // There must be somebody to take it.
        if ending.broker == Due::Dropped || !self.upstream.is_open() {
            self.upstream.requests.discard();
        }
        self.upstream.wait_no_longer();
        // To drop a client that was never written to takes no response along.
        let had_response = self.timers.client_was_written_to() || !self.client.egress.is_empty();
        let closing = Closing {
            reason,
            by: drain.map_or(flushed, |drain| drain.by.min(flushed)),
            finished: [false, false],
            lingers: ending.may_send && had_response && self.client.ended.is_none(),
        };
        self.enter(Phase::Closing(closing));
    }

    /// Ends the session at once, also one that still writes its last bytes: nobody may have them.
    pub(super) fn revoke(&mut self, now: Instant, why: Revocation) {
        self.close(now, CloseReason::Revoked(why));
        if let Phase::Closing(closing) = &mut self.phase {
            closing.by = now;
            self.client.egress.discard();
            self.upstream.requests.discard();
        }
    }

    /// Finishes each leg once it is empty, then gives the reason.
    pub(super) fn advance_closing(&mut self, now: Instant) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        let expired = now >= closing.by;
        let legs = [
            (Leg::Client, &self.client.egress),
            (Leg::Upstream, self.upstream.egress()),
        ];
        let mut all_out = !closing.lingers;
        for ((leg, egress), finished) in legs.into_iter().zip(&mut closing.finished) {
            let exists = match leg {
                Leg::Client => true,
                Leg::Upstream => self.upstream.is_open(),
            };
            if !egress.is_empty() {
                all_out = false;
            } else if exists && !*finished {
                *finished = true;
                self.effects.push_back(Effect::Finish(leg));
            }
        }
        if all_out || expired {
            let reason = closing.reason;
            self.client.egress.discard();
            self.upstream.requests.discard();
            self.effects.push_back(Effect::Close(reason));
            self.enter(Phase::Closed);
        }
    }
}
