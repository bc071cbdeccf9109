//! What sessions together may buffer: the budgets of core, and the notices for each session.

use std::collections::VecDeque;
use std::net::IpAddr;

use doorkeeper_core::buffer_budget::{BufferBudget, BufferDecision};
use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::limits::UNCOUNTED_BUFFER_BYTES;
use doorkeeper_core::{BufferedBytes, Input, Leg};

use super::World;
use crate::script::Ordinal;
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

    /// Counts what a session buffers, and gives the notices that any session is due.
    fn count(
        &mut self,
        session: u64,
        of: ClientNetwork,
        buffered: BufferedBytes,
    ) -> Vec<(u64, Leg, BufferDecision)> {
        let both = [
            (Leg::Client, &mut self.requests, buffered.requests),
            (Leg::Upstream, &mut self.responses, buffered.responses),
        ];
        let mut all = Vec::new();
        for (leg, budget, bytes) in both {
            // What is never counted is more than most scripts ever buffer.
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

/// The notices that one session has had, and those that are due.
#[derive(Debug, Default)]
pub(super) struct BufferNotices {
    is_paused: [bool; 2],
    is_rejected: [bool; 2],
    pub(super) due: VecDeque<Input>,
}

impl BufferNotices {
    /// A session gets no notice of what it knows already.
    fn decided(&mut self, leg: Leg, decision: BufferDecision) {
        let at = match leg {
            Leg::Client => 0,
            Leg::Upstream => 1,
        };
        let (Some(paused), Some(rejected)) =
            (self.is_paused.get_mut(at), self.is_rejected.get_mut(at))
        else {
            return;
        };
        let input = match decision {
            BufferDecision::Granted if *paused => Input::BufferResumed(leg),
            BufferDecision::Waits if !*paused => Input::BufferPaused(leg),
            BufferDecision::Rejected if !*rejected => Input::BufferRejected,
            BufferDecision::Granted | BufferDecision::Waits | BufferDecision::Rejected => return,
        };
        *paused = decision == BufferDecision::Waits;
        *rejected = decision == BufferDecision::Rejected;
        self.due.push_back(input);
    }
}

impl World {
    /// A session buffers more now, or less; others may go on, or have to give back.
    pub(super) fn count_buffered(&mut self, at: usize) {
        let (Some(budgets), Some(session)) = (&mut self.budgets, self.sessions.get(at)) else {
            return;
        };
        let notices = budgets.count(at as u64, session.network(), session.buffered_bytes());
        for (session, leg, decision) in notices {
            let other = usize::try_from(session).ok();
            if let Some(other) = other.and_then(|other| self.sessions.get_mut(other)) {
                other.notices.decided(leg, decision);
            }
        }
    }

    /// Gives a session the next notice of the budgets that is due.
    pub(super) fn report_buffered(&mut self, at: usize) -> Result<(), Violation> {
        let session = self.sessions.get_mut(at);
        match session.and_then(|session| session.notices.due.pop_front()) {
            Some(input) => self.hand_in(at, input),
            None => Ok(()),
        }
    }
}

/// Each client has an address of its own, which its connections share.
pub(super) fn network(client: Ordinal) -> ClientNetwork {
    IpAddr::from([192, 0, 2, client.0]).into()
}
