//! The end of a session: the last bytes, then one reason, last of all.

use crate::canary::canary;
use crate::error::{CloseReason, Wait};
use crate::io::{Effect, End, Leg};
use crate::mark::sometimes;
use crate::session::{Connection, LegState, Phase, Session};
use crate::time::Instant;

/// A session that only writes what is left.
#[derive(Debug)]
pub(super) struct Closing {
    reason: CloseReason,
    /// When the last bytes must be out.
    pub(super) by: Instant,
    /// Which legs have been told to finish.
    finished: [bool; 2],
    /// Whether the client's end is waited for. To drop a connection on which something has come
    /// that was not read resets it (RFC 2525 section 2.17), and takes the last answers along.
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

impl LegState {
    /// Nobody will read what was due to this peer.
    pub(super) fn egress_is_dead(&mut self, how: End) {
        match how {
            // The peer may still read. A client that only ended its half is treated as Kafka
            // treats it all the same: its answers are dropped when the session closes.
            End::Fin => {}
            End::Reset => self.egress.discard(),
        }
    }
}

impl Session {
    /// Ends the session for this reason, unless it is ending already.
    pub(super) fn close(&mut self, now: Instant, reason: CloseReason) {
        if !self.is_relaying() {
            return;
        }
        let left = matches!(reason, CloseReason::ClientEnded(_));
        let dialling = matches!(self.connection, Connection::Trying { .. });
        sometimes!(self.marks, ConnectCancelled, left && dialling);
        self.client.intake.discard();
        self.upstream.intake.discard();
        self.in_flight.clear();
        self.backlog.clear();
        if self.drops_client_bytes(reason) {
            self.client.egress.discard();
        }
        if self.drops_upstream_bytes(reason) || canary!(self, DropLastRequests) {
            self.upstream.egress.discard();
        }
        self.connection.wait_no_longer();
        sometimes!(
            self.marks,
            FlushedAfterClientLeft,
            left && !self.upstream.egress.is_empty()
        );
        let flushed = now.after(self.shared.limits.flush_timeout);
        let by = match self.phase {
            Phase::Draining { by } => by.min(flushed),
            Phase::Opening | Phase::Ready | Phase::Closing(_) | Phase::Closed => flushed,
        };
        self.phase = Phase::Closing(Closing {
            reason,
            by,
            finished: [false, false],
            lingers: self.answers_may_be_on_their_way(reason),
        });
    }

    /// Whether the client could lose answers by being dropped.
    fn answers_may_be_on_their_way(&self, reason: CloseReason) -> bool {
        let may_read = match reason {
            CloseReason::ClientEnded(_)
            | CloseReason::TimedOut(
                Wait::FirstFrame | Wait::Idle | Wait::Frame(Leg::Client) | Wait::Write(Leg::Client),
            ) => false,
            CloseReason::Client(_)
            | CloseReason::UpstreamEnded(_)
            | CloseReason::Upstream(_)
            | CloseReason::Unreachable(_)
            | CloseReason::BrokerUnknown(_)
            | CloseReason::HoldLimit(_)
            | CloseReason::HoldRefused
            | CloseReason::TimedOut(
                Wait::Frame(Leg::Upstream)
                | Wait::Topology
                | Wait::Answer
                | Wait::Write(Leg::Upstream)
                | Wait::Question,
            )
            | CloseReason::Drained
            | CloseReason::DrainExpired
            | CloseReason::Bug(_) => true,
        };
        may_read && (self.timers.client_was_written_to() || !self.client.egress.is_empty())
    }

    /// A client's end drops the answers that are owed to it, as in Kafka.
    fn drops_client_bytes(&self, reason: CloseReason) -> bool {
        matches!(
            reason,
            CloseReason::ClientEnded(_) | CloseReason::TimedOut(Wait::Write(Leg::Client))
        )
    }

    /// Whole requests that were read still go up: an unanswered Produce (acks=0) must not be
    /// lost because its client has left. There must be somebody to take them, or soon be.
    fn drops_upstream_bytes(&self, reason: CloseReason) -> bool {
        let somebody = match self.connection {
            Connection::Open => true,
            Connection::Trying { .. } => {
                reason == CloseReason::ClientEnded(End::Fin) && self.unanswered_waits
            }
            Connection::Unneeded | Connection::Waiting { .. } => false,
        };
        !somebody
            || matches!(
                reason,
                CloseReason::UpstreamEnded(_)
                    | CloseReason::Upstream(_)
                    | CloseReason::TimedOut(Wait::Write(Leg::Upstream) | Wait::Answer)
            )
    }

    /// Finishes each leg once it is empty, then gives the reason.
    pub(super) fn advance_closing(&mut self, now: Instant) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        let expired = now >= closing.by;
        let legs = [(Leg::Client, &self.client), (Leg::Upstream, &self.upstream)];
        let mut all_out = !closing.lingers;
        for ((leg, state), finished) in legs.into_iter().zip(&mut closing.finished) {
            let exists = match leg {
                Leg::Client => true,
                Leg::Upstream => matches!(self.connection, Connection::Open),
            };
            if !state.egress.is_empty() {
                all_out = false;
            } else if exists && !*finished && !canary!(self, ForgetFinish) {
                *finished = true;
                self.effects.push_back(Effect::Finish(leg));
            }
        }
        if all_out || expired {
            let reason = closing.reason;
            self.client.egress.discard();
            self.upstream.egress.discard();
            self.effects.push_back(Effect::Close(reason));
            if canary!(self, CloseTwice) {
                self.effects.push_back(Effect::Close(reason));
            }
            self.phase = Phase::Closed;
        }
    }
}
