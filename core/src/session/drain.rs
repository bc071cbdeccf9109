//! A session that takes no further request: until when, why, and what it closes for then.

use crate::error::CloseReason;
use crate::time::Instant;

/// A session that drains.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// When it must be gone.
    pub(super) by: Instant,
    pub(super) why: DrainReason,
}

/// Why a session drains.
#[derive(Clone, Copy, Debug)]
pub(super) enum DrainReason {
    /// doorkeeper stops.
    Stop,
    ListenerRemoved,
}

impl DrainReason {
    /// All owed responses have been given.
    pub(super) const fn done(self) -> CloseReason {
        match self {
            Self::Stop => CloseReason::Drained,
            Self::ListenerRemoved => CloseReason::ListenerRemoved,
        }
    }

    /// The time for them ran out.
    pub(super) const fn expired(self) -> CloseReason {
        match self {
            Self::Stop => CloseReason::DrainExpired,
            Self::ListenerRemoved => CloseReason::ListenerRemovedExpired,
        }
    }
}

impl Drain {
    /// There is no more time than until then.
    pub(super) fn limit(&mut self, by: Instant) {
        self.by = self.by.min(by);
    }
}
