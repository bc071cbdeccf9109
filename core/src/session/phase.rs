//! What a session is about, and the only place where that changes.

use crate::session::Session;
use crate::session::closing::Closing;
use crate::session::drain::Drain;
use crate::session::finishing::Finishing;

/// What a session is about.
#[derive(Debug)]
pub(super) enum Phase {
    /// The client has not logged in where it has to.
    Authenticating,
    /// No whole frame has come yet, where nobody has to log in.
    Opening,
    /// Requests go up, responses come down.
    Ready,
    /// No further request is taken; the owed responses are still given.
    Draining(Drain),
    /// The client has ended or broken a rule, and nothing more of it is read; the requests that
    /// were read whole before still go up, and their responses are still sent.
    Finishing(Finishing),
    /// Only the last bytes are still written.
    Closing(Closing),
    /// The last effect has been given.
    Closed,
}

impl Phase {
    /// Whether a session may go on from this phase to that one. It never goes back.
    const fn leads_to(&self, next: &Self) -> bool {
        match self {
            Self::Authenticating | Self::Opening => {
                matches!(next, Self::Ready | Self::Finishing(_) | Self::Closing(_))
            }
            Self::Ready => matches!(
                next,
                Self::Draining(_) | Self::Finishing(_) | Self::Closing(_)
            ),
            Self::Draining(_) => matches!(next, Self::Finishing(_) | Self::Closing(_)),
            Self::Finishing(_) => matches!(next, Self::Closing(_)),
            Self::Closing(_) => matches!(next, Self::Closed),
            Self::Closed => false,
        }
    }

    /// How a session drains, if it does.
    pub(super) const fn drain(&self) -> Option<Drain> {
        match self {
            Self::Draining(drain) => Some(*drain),
            Self::Finishing(finishing) => finishing.drain,
            Self::Authenticating
            | Self::Opening
            | Self::Ready
            | Self::Closing(_)
            | Self::Closed => None,
        }
    }
}

impl Session {
    /// The session goes on to its next phase.
    pub(super) fn enter(&mut self, next: Phase) {
        debug_assert!(self.phase.leads_to(&next), "a phase that cannot follow");
        self.phase = next;
    }
}
