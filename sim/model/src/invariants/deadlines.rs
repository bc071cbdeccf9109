//! 14: a client that never asks for anything is gone by its deadline, and so is the session of one
//! that has reset.

use std::time::Duration;

use doorkeeper_core::limits::Limits;
use doorkeeper_core::{Instant, Leg};

use super::ready::is_large;
use crate::watch::{Decision, Ledger, Violation};

/// A frame that has begun may take so many nanoseconds longer for each byte of it: 8 KiB a second.
const NANOS_A_BYTE: u64 = 1_000_000_000 / (8 * 1024) + 1;

/// Without a whole first frame a session is closed in time: a frame may begin as late as an idle
/// connection lasts, and then must go on. Only its last bytes may take longer.
pub(crate) fn first_frame(ledger: &Ledger, now: Instant) -> Result<(), Violation> {
    let is_read = ledger.facts.unread_since.is_none() || ledger.is_closing();
    if ledger.requests > 0 || is_large(ledger) || !is_read {
        return Ok(());
    }
    let longest = |limit: fn(&Limits) -> Duration| {
        let limits = ledger
            .snapshots
            .iter()
            .map(|snapshot| limit(&snapshot.limits));
        limits.max().unwrap_or_default()
    };
    let quiet = ledger.facts.last_bytes.unwrap_or(ledger.opened);
    let idle = quiet.after(longest(|limits| limits.idle_timeout));
    let by = ledger.facts.request_began.map_or(idle, |began| {
        let carried = ledger.rest_of(Leg::Client).len() as u64;
        let earned = Duration::from_nanos(carried.saturating_mul(NANOS_A_BYTE));
        let stall = longest(|limits| limits.frame_stall_timeout);
        idle.min(began.after(stall).after(earned))
    });
    let flush = longest(|limits| limits.flush_timeout);
    let is_late = match ledger.decision().filter(|_| ledger.is_closing()) {
        Some(Decision { at, .. }) => at > by || now > at.after(flush),
        None => now > by,
    };
    if is_late {
        let what = format!("{} is open and has not asked for anything", ledger.id);
        return Err(Violation::of(14, what));
    }
    Ok(())
}

/// Nobody takes the responses: however long the requests let the broker wait, they have one limit.
pub(crate) fn gone_client(ledger: &Ledger, now: Instant) -> Result<(), Violation> {
    let limits = || ledger.snapshots.iter().map(|snapshot| &snapshot.limits);
    let response = limits().map(|it| it.request_timeout).max();
    let flush = limits().map(|it| it.flush_timeout).max();
    let Some(gone) = ledger.facts.client_gone else {
        return Ok(());
    };
    let by = gone.after(response.unwrap_or_default() + flush.unwrap_or_default());
    if now > by && ledger.closed.is_none() {
        let what = format!("{} is open, and its client has reset", ledger.id);
        return Err(Violation::of(14, what));
    }
    Ok(())
}
