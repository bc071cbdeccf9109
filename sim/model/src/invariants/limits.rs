//! 9: what is buffered, due and owed stays inside the limits.

use doorkeeper_core::{Leg, Session};

use crate::watch::{Ledger, Violation};

/// A session reads on only where there is room for what it reads.
pub(crate) fn reads_within_marks(ledger: &Ledger, session: &Session) -> Result<(), Violation> {
    let Some(snapshot) = ledger.newest() else {
        return Ok(());
    };
    let (limits, demand, id) = (&snapshot.limits, session.demand(), ledger.id);
    let full = |leg| session.egress(leg).pinned() >= limits.egress_high_bytes;
    if demand.read_upstream && full(Leg::Client) {
        let what = format!("{id} reads its broker, though its client takes nothing");
        return Err(Violation::of(9, what));
    }
    // What is read of a client at the end is thrown away.
    if session.is_closing() {
        return Ok(());
    }
    let is_read = [
        (Leg::Client, demand.read_client),
        (Leg::Upstream, demand.read_upstream),
    ];
    for (leg, is_read) in is_read {
        if is_read && ledger.facts.buffer_paused(leg).is_some() {
            let what = format!("{id} reads its {} leg without room for it", leg.name());
            return Err(Violation::of(9, what));
        }
    }
    if demand.read_client && full(Leg::Upstream) {
        let what = format!("{id} reads its client, though its broker takes nothing");
        return Err(Violation::of(9, what));
    }
    if demand.read_client && ledger.owed >= limits.in_flight_max {
        let what = format!("{id} reads on with {} responses owed", ledger.owed);
        return Err(Violation::of(9, what));
    }
    Ok(())
}

/// Once everything has gone up, no broker is read on for a client that has reset.
pub(crate) fn reads_for_somebody(ledger: &Ledger, session: &Session) -> Result<(), Violation> {
    let marks = ledger.snapshots.iter();
    let mark = marks
        .map(|snapshot| snapshot.limits.egress_high_bytes)
        .max();
    let sent = ledger.facts.sent_to_nobody;
    let is_too_much = sent > mark.unwrap_or(0);
    // The beginning of a request may wait in the session for room, as whole ones do.
    let has_sent_all = ledger.asked.iter().all(|asked| asked.sent)
        && ledger.rest_of(Leg::Client).is_empty()
        && session.egress(Leg::Upstream).is_empty();
    if is_too_much && has_sent_all && session.demand().read_upstream {
        let what = format!("{} reads on for nobody, after {sent} bytes", ledger.id);
        return Err(Violation::of(9, what));
    }
    Ok(())
}

/// No more is buffered than the limit allows, and what came in the last piece.
pub(crate) fn buffers_within_limit(ledger: &Ledger, session: &Session) -> Result<(), Violation> {
    // A reload may have made the limit smaller than what is buffered already.
    let limits = ledger.snapshots.iter().map(|snapshot| {
        [
            snapshot.limits.request_buffer_bytes_max,
            snapshot.limits.response_buffer_bytes_max,
        ]
    });
    let limit = limits.reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])]);
    let [requests, responses] = limit.unwrap_or_default();
    for (leg, limit) in [(Leg::Client, requests), (Leg::Upstream, responses)] {
        let limit = limit.saturating_add(ledger.facts.chunk_max);
        let buffered = session.buffered(leg);
        if buffered > limit {
            let what = format!(
                "{} buffers {buffered} bytes, {limit} are allowed",
                ledger.id
            );
            return Err(Violation::of(9, what));
        }
    }
    Ok(())
}
