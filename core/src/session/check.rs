//! What must hold after every input, whatever it was. Checked where assertions are on: in tests,
//! under a fuzzer and in simulation. A broken rule ends the session as any other bug of ours does.

use crate::connection::Leg;
use crate::error::CloseReason;
use crate::session::in_flight::DueResponse;
use crate::session::{Phase, Session};
use crate::time::Instant;

impl Session {
    /// Closes the session if a rule of our own is broken.
    pub(super) fn check(&mut self, now: Instant) {
        if !cfg!(debug_assertions) {
            return;
        }
        if let Some(rule) = self.broken_rule() {
            self.close(now, CloseReason::Bug(rule));
            self.advance_closing(now);
        }
    }

    fn broken_rule(&self) -> Option<&'static str> {
        let rules = [
            (self.is_stuck(), "an open session waits for nothing"),
            (
                self.buffers_a_response(),
                "a response that is due was not given",
            ),
            (self.outlives_its_end(), "a closed session buffers bytes"),
            (self.miscounts(), "an egress does not know its length"),
        ];
        rules
            .into_iter()
            .find(|(broken, _)| *broken)
            .map(|(_, rule)| rule)
    }

    /// An open session has a deadline, reads something, has bytes to write, or is being connected.
    fn is_stuck(&self) -> bool {
        let demand = self.demand();
        let moves = demand.read_client
            || demand.read_upstream
            || demand.deadline.is_some()
            || self.upstream.is_dialing()
            || !self.client.egress.is_empty()
            || !self.upstream.egress().is_empty();
        !matches!(self.phase, Phase::Closed) && !moves
    }

    /// A response of ours is given as soon as no other is due before it.
    fn buffers_a_response(&self) -> bool {
        let front = self.in_flight.front().map(|slot| &slot.response);
        self.is_relaying() && matches!(front, Some(DueResponse::Local(_)))
    }

    fn outlives_its_end(&self) -> bool {
        let buffers = !self.in_flight.is_empty()
            || !self.requests.buffered.is_empty()
            || !self.responses.buffered.is_empty();
        matches!(self.phase, Phase::Closing(_) | Phase::Closed) && buffers
    }

    fn miscounts(&self) -> bool {
        [Leg::Client, Leg::Upstream].into_iter().any(|leg| {
            let egress = self.egress(leg);
            egress.is_empty() != egress.slices().next().is_none() || egress.len() > egress.pinned()
        })
    }
}
