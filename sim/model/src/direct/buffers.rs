//! What sessions together may hold: the budgets of core, and what each session has to be told.

use std::collections::VecDeque;
use std::net::IpAddr;

use doorkeeper_core::buffer_budget::{BufferBudget, BufferDecision};
use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::limits::UNCOUNTED_BUFFER_BYTES;
use doorkeeper_core::{BufferedBytes, Input, Leg};

use super::World;
use crate::script::Numbered;
use crate::watch::Violation;

/// The budgets of requests and of responses.
#[derive(Debug)]
pub(super) struct Budgets {
    requests: BufferBudget,
    responses: BufferBudget,
}

impl Budgets {
    /// Of so many bytes each.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            requests: BufferBudget::new(bytes_max),
            responses: BufferBudget::new(bytes_max),
        }
    }

    /// Counts what a session holds, and gives everything that any session is to be told.
    fn count(
        &mut self,
        session: u64,
        of: ClientNetwork,
        held: BufferedBytes,
    ) -> Vec<(u64, Leg, BufferDecision)> {
        let both = [
            (Leg::Client, &mut self.requests, held.requests),
            (Leg::Upstream, &mut self.responses, held.responses),
        ];
        let mut all = Vec::new();
        for (leg, budget, bytes) in both {
            // What is never counted is more than most scripts ever hold.
            let bytes = if bytes > 0 {
                bytes + UNCOUNTED_BUFFER_BYTES
            } else {
                0
            };
            all.push((session, leg, budget.set(session, of, bytes)));
            while let Some((other, decision)) = budget.next_change() {
                all.push((other, leg, decision));
            }
        }
        all
    }
}

/// What one session has been told, and is still to be told.
#[derive(Debug, Default)]
pub(super) struct Told {
    is_paused: [bool; 2],
    is_refused: [bool; 2],
    pub(super) due: VecDeque<Input>,
}

impl Told {
    /// What a session knows already is not told again.
    fn decided(&mut self, leg: Leg, decision: BufferDecision) {
        let at = match leg {
            Leg::Client => 0,
            Leg::Upstream => 1,
        };
        let (Some(paused), Some(refused)) =
            (self.is_paused.get_mut(at), self.is_refused.get_mut(at))
        else {
            return;
        };
        let input = match decision {
            BufferDecision::Granted if *paused => Input::BufferResumed(leg),
            BufferDecision::Waits if !*paused => Input::BufferPaused(leg),
            BufferDecision::Rejected if !*refused => Input::BufferRejected,
            BufferDecision::Granted | BufferDecision::Waits | BufferDecision::Rejected => return,
        };
        *paused = decision == BufferDecision::Waits;
        *refused = decision == BufferDecision::Rejected;
        self.due.push_back(input);
    }
}

impl World {
    /// A session holds more now, or less; others may go on, or have to give back.
    pub(super) fn count_buffered(&mut self, at: usize) {
        let (Some(budgets), Some(session)) = (&mut self.budgets, self.sessions.get(at)) else {
            return;
        };
        let told = budgets.count(at as u64, session.network(), session.buffered_bytes());
        for (session, leg, decision) in told {
            let other = usize::try_from(session).ok();
            if let Some(other) = other.and_then(|other| self.sessions.get_mut(other)) {
                other.told.decided(leg, decision);
            }
        }
    }

    /// Tells a session the next thing that it is to be told of the budgets.
    pub(super) fn report_buffered(&mut self, at: usize) -> Result<(), Violation> {
        let session = self.sessions.get_mut(at);
        match session.and_then(|session| session.told.due.pop_front()) {
            Some(input) => self.hand_in(at, input),
            None => Ok(()),
        }
    }
}

/// Each client has an address of its own, which its connections share.
pub(super) fn network(client: Numbered) -> ClientNetwork {
    IpAddr::from([192, 0, 2, client.0]).into()
}
