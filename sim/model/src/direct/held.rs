//! What sessions together may hold: the budgets of core, and what each session has to be told.

use std::collections::VecDeque;
use std::net::IpAddr;

use doorkeeper_core::client_network::ClientNetwork;
use doorkeeper_core::held_budget::{HeldBudget, HoldDecision};
use doorkeeper_core::limits::HOLD_ALWAYS_BYTES;
use doorkeeper_core::{HeldBytes, Input, Leg};

use super::World;
use crate::script::Numbered;
use crate::watch::Violation;

/// The budgets of requests and of responses.
#[derive(Debug)]
pub(super) struct Budgets {
    requests: HeldBudget,
    responses: HeldBudget,
}

impl Budgets {
    /// Of so many bytes each.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            requests: HeldBudget::new(bytes_max),
            responses: HeldBudget::new(bytes_max),
        }
    }

    /// Counts what a session holds, and gives everything that any session is to be told.
    fn count(
        &mut self,
        session: u64,
        of: ClientNetwork,
        held: HeldBytes,
    ) -> Vec<(u64, Leg, HoldDecision)> {
        let both = [
            (Leg::Client, &mut self.requests, held.requests),
            (Leg::Upstream, &mut self.responses, held.responses),
        ];
        let mut all = Vec::new();
        for (leg, budget, bytes) in both {
            // What is never counted is more than most scripts ever hold.
            let bytes = if bytes > 0 {
                bytes + HOLD_ALWAYS_BYTES
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
    fn decided(&mut self, leg: Leg, decision: HoldDecision) {
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
            HoldDecision::Granted if *paused => Input::HoldResumed(leg),
            HoldDecision::Waits if !*paused => Input::HoldPaused(leg),
            HoldDecision::Refused if !*refused => Input::HoldRefused,
            HoldDecision::Granted | HoldDecision::Waits | HoldDecision::Refused => return,
        };
        *paused = decision == HoldDecision::Waits;
        *refused = decision == HoldDecision::Refused;
        self.due.push_back(input);
    }
}

impl World {
    /// A session holds more now, or less; others may go on, or have to give back.
    pub(super) fn count_held(&mut self, at: usize) {
        let (Some(budgets), Some(guest)) = (&mut self.budgets, self.guests.get(at)) else {
            return;
        };
        let told = budgets.count(at as u64, guest.network(), guest.held_bytes());
        for (session, leg, decision) in told {
            let other = usize::try_from(session).ok();
            if let Some(other) = other.and_then(|other| self.guests.get_mut(other)) {
                other.told.decided(leg, decision);
            }
        }
    }

    /// Tells a session the next thing that it is to be told of the budgets.
    pub(super) fn tell_held(&mut self, at: usize) -> Result<(), Violation> {
        let guest = self.guests.get_mut(at);
        match guest.and_then(|guest| guest.told.due.pop_front()) {
            Some(input) => self.hand_in(at, input),
            None => Ok(()),
        }
    }
}

/// Each client has an address of its own, which its connections share.
pub(super) fn network(client: Numbered) -> ClientNetwork {
    IpAddr::from([192, 0, 2, client.0]).into()
}
