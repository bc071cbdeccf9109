//! A client of which nothing more is read, because it has ended or because it broke a rule: the
//! requests that it sent before still get their responses.
//!
//! A broker reads a request, sends its response, and only then reads on. So it sees an end or a
//! fault behind requests after it has sent their responses, long polls included; a client that has
//! ended only its own half reads the responses. Behind a reset it serves the request that it has
//! read, and those that follow as long as no write of a response fails.
//! `conformance/python/half_close.py` shows it of brokers. What was read here before a reset goes
//! up, so that no more is lost than without us; but nobody takes the responses, and so neither time
//! nor bytes for them are without a limit.

use crate::error::CloseReason;
use crate::mutation::mutation;
use crate::session::drain::Drain;
use crate::session::{Backlog, Phase, Session};
use crate::time::Instant;

/// A session that owes responses only to requests that were read whole.
#[derive(Debug)]
pub(super) struct Finishing {
    /// Why nothing more is read of the client.
    reason: CloseReason,
    /// Until when responses are waited for. Nothing when each has its own deadline only.
    pub(super) by: Option<Instant>,
    /// How much has been read of responses that nobody takes, because the client has reset.
    read_for_nobody: usize,
    /// How the session drains, if it does.
    pub(super) drain: Option<Drain>,
}

impl Finishing {
    pub(super) fn drain(&mut self, drain: Drain) {
        self.drain.get_or_insert(drain).limit(drain.by);
    }

    /// Responses are not waited for any longer than until then.
    fn limit(&mut self, by: Option<Instant>) {
        self.by = self.by.into_iter().chain(by).min();
    }

    /// So much of a response has come for a client that has reset.
    pub(super) fn read_for_nobody(&mut self, bytes: usize) {
        self.read_for_nobody = self.read_for_nobody.saturating_add(bytes);
    }
}

impl Session {
    /// Nothing more is read of the client for this reason; closes once nothing is owed, or at the
    /// limit.
    pub(super) fn finish(&mut self, reason: CloseReason, by: Option<Instant>) {
        // A client that goes amid its login, be it with its half only, wants no verdict, and
        // whoever evaluates tokens has others to serve.
        self.end_login();
        let left = matches!(reason, CloseReason::ClientEnded(_));
        if !left {
            // There are no requests behind a fault.
            self.backlog = Backlog::default();
        }
        if let Phase::Finishing(earlier) = &mut self.phase {
            earlier.limit(by);
            // What the client does next does not change what it has done, but for a fault in a
            // request that has waited for room.
            if !left && matches!(earlier.reason, CloseReason::ClientEnded(_)) {
                earlier.reason = reason;
            }
            return;
        }
        self.enter(Phase::Finishing(Finishing {
            reason,
            by,
            read_for_nobody: 0,
            drain: self.phase.drain(),
        }));
    }

    /// The end is not put off any longer.
    pub(super) fn finish_expired(&mut self, now: Instant) {
        if let Phase::Finishing(finishing) = &self.phase {
            let reason = finishing.reason;
            self.close_now(now, reason);
        }
    }

    /// Closes a session that has given what it owed.
    pub(super) fn advance_finishing(&mut self, now: Instant) {
        if !self.is_finishing() || !self.backlog.is_empty() {
            return;
        }
        // What has begun never ends.
        self.requests.clear();
        if self.owes_nothing() || self.reads_for_nobody() {
            self.finish_expired(now);
        }
    }

    /// Whether the broker has been sent everything, and only sends what nobody takes. It was read
    /// so far because a broker that cannot get rid of a response does not read the next request.
    fn reads_for_nobody(&self) -> bool {
        let Phase::Finishing(finishing) = &self.phase else {
            return false;
        };
        finishing.read_for_nobody > self.snapshot.limits.egress_high_bytes
            && !mutation!(self, ReadForNobody)
            && self.upstream.is_open()
            && self.upstream.requests.is_empty()
    }
}
