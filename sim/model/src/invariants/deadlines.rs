//! 14: a client that never asks for anything is gone by its deadline, and so is the session of one
//! that has reset.

use std::time::Duration;

use doorkeeper_core::{Instant, Leg};

use super::ready::is_large;
use crate::watch::{Ledger, Violation};

/// What the bytes of a frame that is not large can earn it, at 8 KiB a second.
const EARNED_MAX: Duration = Duration::from_secs(8);

/// Without a whole first frame a session is closed in time: a frame may begin as late as an idle
/// connection lasts, and then must go on.
pub(crate) fn first_frame(ledger: &Ledger, now: Instant) -> Result<(), Violation> {
    let Some(shared) = ledger.newest() else {
        return Ok(());
    };
    let limits = &shared.limits;
    let begun = ledger.opened.after(limits.idle_timeout);
    let by = if ledger.rest_of(Leg::Client).is_empty() {
        begun
    } else {
        begun.after(limits.frame_stall_timeout).after(EARNED_MAX)
    };
    let large = is_large(ledger);
    // A session that is closing still has the time for its last bytes.
    let by = by.after(limits.flush_timeout);
    if now > by && ledger.requests == 0 && !large {
        let what = format!("{} is open and has not asked for anything", ledger.id);
        return Err(Violation::of(14, what));
    }
    Ok(())
}

/// Nobody takes the responses: however long the requests let the broker wait, they have one limit.
pub(crate) fn gone_client(ledger: &Ledger, now: Instant) -> Result<(), Violation> {
    let limits = || ledger.snapshots.iter().map(|shared| &shared.limits);
    let answer = limits().map(|it| it.answer_timeout).max();
    let flush = limits().map(|it| it.flush_timeout).max();
    let Some(gone) = ledger.facts.client_gone else {
        return Ok(());
    };
    let by = gone.after(answer.unwrap_or_default() + flush.unwrap_or_default());
    if now > by && ledger.closed.is_none() {
        let what = format!("{} is open, and its client has reset", ledger.id);
        return Err(Violation::of(14, what));
    }
    Ok(())
}
