//! 1: no connection is opened for a client that has not asked for anything, or is not served on,
//! nor a second one to ourselves.

use doorkeeper_core::{ConnectFailure, Leg, Route};

use crate::watch::{Ledger, Violation};

/// More than somebody who only knocks would send: from here on a large request counts as one.
const LARGE_BYTES: usize = 64 * 1024;

/// Upstream is dialled at the first whole frame, or in the middle of a large one, and not by a
/// session that only writes what is left.
pub(crate) fn asked_first(ledger: &Ledger) -> Result<(), Violation> {
    let asked = ledger.requests > 0 || is_large(ledger);
    if !asked || ledger.is_closing() {
        return Err(Violation::of(1, format!("{} dials for nothing", ledger.id)));
    }
    // Where any broker will do, each address is a new one; one that leads back is not tried again.
    let came_back = ledger.facts.failed.contains(&ConnectFailure::Loop);
    if came_back && matches!(ledger.route, Route::Broker(_)) {
        let what = format!("{} dials doorkeeper again", ledger.id);
        return Err(Violation::of(1, what));
    }
    Ok(())
}

/// Whether so much of a first request has come that it counts as one.
pub(super) fn is_large(ledger: &Ledger) -> bool {
    let marks = ledger
        .snapshots
        .iter()
        .map(|snapshot| snapshot.limits.egress_high_bytes);
    let least = marks.chain([LARGE_BYTES]).min().unwrap_or(0);
    ledger.rest_of(Leg::Client).len() >= least
}
