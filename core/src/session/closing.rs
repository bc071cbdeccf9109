//! The end of a session: the last bytes, then one reason, last of all.

use crate::connection::{End, Leg};
use crate::error::{CloseReason, Wait};
use crate::io::Effect;
use crate::mutation::mutation;
use crate::session::{Backlog, ClientLeg, Connection, Phase, Session};
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
            End::Reset => {
                self.ended = Some(how);
                self.egress.discard();
            }
        }
    }

    /// Nobody reads what is due to the client.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self.ended, Some(End::Reset))
    }
}

/// What is still done once there is a reason to close.
#[derive(Clone, Copy, Debug)]
struct Last {
    requests: Requests,
    /// What is due to the client: responses, and the beginning of one that passed as it came.
    client: Due,
    /// What is due to the broker.
    broker: Due,
    /// Whether the client could lose the last responses by being dropped: it may still send.
    may_send: bool,
}

/// What becomes of requests that were read whole.
#[derive(Clone, Copy, Debug)]
enum Requests {
    /// Each is sent up and gets its response, which has the deadline that it always has.
    AwaitResponses,
    /// The same, as far as `flush_timeout` reaches.
    AwaitUntilFlushed,
    /// Each is sent up, and its response read, as far as one `request_timeout` reaches for all:
    /// nobody takes them.
    AwaitForNobody,
    /// No response is waited for any more.
    Forget,
}

/// What becomes of bytes that have not been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// They are written, as far as `flush_timeout` reaches.
    Given,
    Dropped,
}

impl Last {
    const fn of(reason: CloseReason) -> Self {
        use Due::{Dropped, Given};
        use Requests::{AwaitForNobody, AwaitResponses, AwaitUntilFlushed, Forget};
        let (requests, client, broker, may_send) = match reason {
            CloseReason::ClientEnded(End::Fin) => (AwaitResponses, Given, Given, false),
            CloseReason::ClientEnded(End::Reset) => (AwaitForNobody, Dropped, Given, false),
            CloseReason::Client(_)
            | CloseReason::BufferLimit(Leg::Client)
            | CloseReason::TimedOut(Wait::Buffer(Leg::Client) | Wait::Frame(Leg::Client)) => {
                (AwaitUntilFlushed, Given, Given, true)
            }
            // Nothing is owed.
            CloseReason::TimedOut(Wait::Idle) => (Forget, Given, Given, false),
            CloseReason::TimedOut(Wait::Write(Leg::Client)) => {
                (Forget, Dropped, Given, false)
            }
            // The broker sends no more responses, or those that follow cannot be given in turn.
            CloseReason::UpstreamEnded(_)
            | CloseReason::Upstream(_)
            | CloseReason::Unreachable(_)
            | CloseReason::BrokerUnknown(_)
            | CloseReason::TimedOut(
                Wait::Topology | Wait::Response | Wait::FirstResponse | Wait::Write(Leg::Upstream),
            ) => {
                (Forget, Given, Dropped, true)
            }
            CloseReason::BufferLimit(Leg::Upstream)
            | CloseReason::TimedOut(
                Wait::Frame(Leg::Upstream) | Wait::Buffer(Leg::Upstream),
            )
            // There is no room to buffer more.
            | CloseReason::BufferRejected
            | CloseReason::Drained
            | CloseReason::DrainExpired
            | CloseReason::Bug(_) => (Forget, Given, Given, true),
        };
        Self {
            requests,
            client,
            broker,
            may_send,
        }
    }
}

impl Session {
    /// Ends the session for this reason, unless it is ending already; what is owed to the client
    /// is given first where it can be.
    pub(super) fn close(&mut self, now: Instant, reason: CloseReason) {
        if !self.is_relaying() {
            return;
        }
        match Last::of(reason).requests {
            Requests::AwaitResponses if !mutation!(self, DropLastResponses) => {
                self.finish(now, reason, None);
            }
            Requests::AwaitUntilFlushed if !mutation!(self, FaultDropsResponses) => {
                let by = now.after(self.snapshot.limits.flush_timeout);
                self.finish(now, reason, Some(by));
            }
            Requests::AwaitForNobody if !mutation!(self, DropLastResponses) => {
                let by = now.after(self.snapshot.limits.request_timeout);
                self.finish(now, reason, Some(by));
            }
            Requests::AwaitResponses
            | Requests::AwaitUntilFlushed
            | Requests::AwaitForNobody
            | Requests::Forget => {
                self.close_now(now, reason);
            }
        }
    }

    /// No response is waited for any more: only what is due already is still written.
    pub(super) fn close_now(&mut self, now: Instant, reason: CloseReason) {
        let last = Last::of(reason);
        let flushed = now.after(self.snapshot.limits.flush_timeout);
        let drain = match &self.phase {
            Phase::Draining { by } => Some(*by),
            Phase::Finishing(finishing) => finishing.drain,
            Phase::Opening | Phase::Ready | Phase::Closing(_) | Phase::Closed => None,
        };
        self.requests.clear();
        self.responses.clear();
        self.in_flight.clear();
        self.backlog = Backlog::default();
        // A session that was rejected must not keep what it buffers until somebody takes it.
        if reason == CloseReason::BufferRejected {
            self.drop_buffered();
        }
        if last.client == Due::Dropped {
            self.client.egress.discard();
        }
        // There must be somebody to take it.
        if last.broker == Due::Dropped || !matches!(self.connection, Connection::Open) {
            self.upstream_egress.discard();
        }
        self.connection.wait_no_longer();
        // To drop a client that was never written to takes no response along.
        let had_response = self.timers.client_was_written_to() || !self.client.egress.is_empty();
        self.phase = Phase::Closing(Closing {
            reason,
            by: drain.map_or(flushed, |by| by.min(flushed)),
            finished: [false, false],
            lingers: last.may_send && had_response && self.client.ended.is_none(),
        });
    }

    /// Finishes each leg once it is empty, then gives the reason.
    pub(super) fn advance_closing(&mut self, now: Instant) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        let expired = now >= closing.by;
        let legs = [
            (Leg::Client, &self.client.egress),
            (Leg::Upstream, &self.upstream_egress),
        ];
        let mut all_out = !closing.lingers;
        for ((leg, egress), finished) in legs.into_iter().zip(&mut closing.finished) {
            let exists = match leg {
                Leg::Client => true,
                Leg::Upstream => matches!(self.connection, Connection::Open),
            };
            if !egress.is_empty() {
                all_out = false;
            } else if exists && !*finished && !mutation!(self, ForgetFinish) {
                *finished = true;
                self.effects.push_back(Effect::Finish(leg));
            }
        }
        if all_out || expired {
            let reason = closing.reason;
            self.client.egress.discard();
            self.upstream_egress.discard();
            self.effects.push_back(Effect::Close(reason));
            if mutation!(self, CloseTwice) {
                self.effects.push_back(Effect::Close(reason));
            }
            self.phase = Phase::Closed;
        }
    }
}
