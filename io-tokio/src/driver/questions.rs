//! The questions of one session that have no answer yet.

use std::task::{Context, Poll};

use doorkeeper_core::Answer;
use doorkeeper_core::id::Ticket;

use crate::answers::Pending;

/// The open questions, in the order in which they were asked. Core bounds their number.
#[derive(Default)]
pub(crate) struct Questions {
    open: Vec<(Ticket, Pending)>,
}

impl Questions {
    pub(crate) fn ask(&mut self, ticket: Ticket, answer: Pending) {
        self.open.push((ticket, answer));
    }

    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.open.retain(|(open, _)| *open != ticket);
    }

    /// The next answer that has been found.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Ticket, Answer)> {
        for (place, (ticket, answer)) in self.open.iter_mut().enumerate() {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                let ticket = *ticket;
                drop(self.open.remove(place));
                return Poll::Ready((ticket, answer));
            }
        }
        Poll::Pending
    }
}
