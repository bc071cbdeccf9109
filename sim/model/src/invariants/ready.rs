//! 1: no connection is opened for a client that has not asked for anything.

use doorkeeper_core::Leg;

use crate::watch::{Ledger, Violation};

/// More than somebody who only knocks would send: from here on a large request counts as one.
pub(super) const LARGE_BYTES: usize = 64 * 1024;

/// Upstream is dialled at the first whole frame, or in the middle of a large one.
pub(crate) fn asked_first(ledger: &Ledger) -> Result<(), Violation> {
    let high = ledger
        .newest()
        .map_or(0, |shared| shared.limits.egress_high_bytes);
    let large = ledger.rest_of(Leg::Client).len() >= LARGE_BYTES.min(high);
    if ledger.requests > 0 || large {
        return Ok(());
    }
    Err(Violation::of(1, format!("{} dials for nothing", ledger.id)))
}
