//! 14: a client that never asks for anything is gone by its deadline.

use doorkeeper_core::Instant;

use super::ready::is_large;
use crate::watch::{Ledger, Violation};

/// Without a whole first frame a session is closed in time.
pub(crate) fn first_frame(ledger: &Ledger, now: Instant) -> Result<(), Violation> {
    let Some(shared) = ledger.newest() else {
        return Ok(());
    };
    let by = ledger.opened.after(shared.limits.first_frame_timeout);
    let large = is_large(ledger);
    // A session that is closing still has the time for its last bytes.
    let by = by.after(shared.limits.flush_timeout);
    if now > by && ledger.requests == 0 && !large {
        let what = format!("{} is open and has not asked for anything", ledger.id);
        return Err(Violation::of(14, what));
    }
    Ok(())
}
