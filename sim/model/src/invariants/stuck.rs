//! 10: an open session always waits for something that can come; and nothing is ever a bug.

use doorkeeper_core::{CloseReason, Leg, Session};

use crate::watch::Violation;

/// An open session has a deadline, reads something, or has bytes to write.
pub(crate) fn waits_for_something(session: &Session) -> Result<(), Violation> {
    let demand = session.demand();
    let due = !session.egress(Leg::Client).is_empty() || !session.egress(Leg::Upstream).is_empty();
    if demand.deadline.is_some() || demand.read_client || demand.read_upstream || due {
        return Ok(());
    }
    let mut stuck = Violation::of(10, "an open session waits for nothing");
    stuck.stuck = true;
    Err(stuck)
}

/// The session has found no broken rule of its own.
pub(crate) fn no_bug(reason: CloseReason) -> Result<(), Violation> {
    if let CloseReason::Bug(rule) = reason {
        return Err(Violation::of(10, format!("a bug: {rule}")));
    }
    Ok(())
}
