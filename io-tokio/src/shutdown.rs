//! The shutdown as sessions see it: drain until a deadline, then abort.

use std::sync::Arc;

use doorkeeper_core::Instant;

use crate::version_watch::{Subscription, VersionWatch};

const RUN: u64 = 0;
const ABORT: u64 = u64::MAX;

/// Drains and aborts all sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    watch: Arc<VersionWatch>,
}

/// What a session has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Go on.
    Run,
    /// Send the owed responses and end by then.
    Drain(Instant),
    /// End at once.
    Abort,
}

impl Shutdown {
    /// No new connections; the open sessions have until then.
    pub(crate) fn drain(&self, by: Instant) {
        self.watch.publish(by.as_nanos().clamp(RUN + 1, ABORT - 1));
    }

    /// All sessions end now.
    pub(crate) fn abort(&self) {
        self.watch.publish(ABORT);
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        Subscription::new(Arc::clone(&self.watch))
    }
}

impl Stage {
    /// What the number of the watch stands for.
    pub(crate) const fn from_value(value: u64) -> Self {
        match value {
            RUN => Self::Run,
            ABORT => Self::Abort,
            by => Self::Drain(Instant::from_nanos(by)),
        }
    }
}
