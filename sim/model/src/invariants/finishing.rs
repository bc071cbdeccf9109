//! 2 and 4: a client that ends, is reset or breaks a rule behind requests takes none of them along.
//!
//! `conformance/python/half_close.py` holds what brokers do: they respond to what they have read,
//! and come to the end or the fault behind it.

use doorkeeper_core::CloseReason;

use crate::expected::Fate;
use crate::watch::{Ledger, LedgerRequest, Violation};

/// Whole requests that were read before their client's end or fault have gone up, and have their
/// responses.
pub(crate) fn requests_are_done(ledger: &Ledger, reason: CloseReason) -> Result<(), Violation> {
    if matches!(reason, CloseReason::ClientEnded(_)) && is_waited_for(ledger) {
        let read = ledger.asked.len().saturating_sub(ledger.facts.forgotten);
        are_done(ledger, ledger.asked.iter().take(read))
    } else if reason.is_fault_of_client() && closed_in_time(ledger) {
        let most = ledger.snapshots.iter();
        let most = most.map(|snapshot| snapshot.limits.frame_bytes_max).min();
        let is_sound = |asked: &&LedgerRequest| {
            let fits = asked.frame.len() <= most.unwrap_or(0).saturating_add(4);
            fits && !asked.fates.iter().any(Fate::may_close)
        };
        are_done(ledger, ledger.asked.iter().take_while(is_sound))
    } else {
        Ok(())
    }
}

/// Whether there was still time for all that was read before the client's end: behind a reset it is
/// limited, because nobody takes the responses.
fn is_waited_for(ledger: &Ledger) -> bool {
    let limits = ledger.snapshots.iter().map(|snapshot| &snapshot.limits);
    let response = limits.map(|it| it.request_timeout).min();
    let ended = ledger.facts.client_gone.zip(ledger.decision());
    ended.is_none_or(|(gone, decision)| decision.at < gone.after(response.unwrap_or_default()))
}

/// Whether the fault was not put off so long that responses could be missing: it was found when the
/// client was last read, or later. Behind a frame without a head nobody knows what was read, and a
/// drain forgets what waits.
fn closed_in_time(ledger: &Ledger) -> bool {
    let limits = ledger.snapshots.iter().map(|snapshot| &snapshot.limits);
    let flush = limits.map(|it| it.flush_timeout).min().unwrap_or_default();
    let Some(decision) = ledger.decision() else {
        return false;
    };
    let found = decision.facts.unread_since.unwrap_or(decision.at);
    let is_known = !ledger.facts.headless && ledger.facts.drain.is_none();
    is_known && decision.at < found.after(flush)
}

fn are_done<'a>(
    ledger: &Ledger,
    mut asked: impl Iterator<Item = &'a LedgerRequest>,
) -> Result<(), Violation> {
    let gone = ledger.facts.client_gone.is_some();
    let Some(lost) = asked.find(|asked| is_lost(asked, gone)) else {
        return Ok(());
    };
    let number = if lost.sent { 2 } else { 4 };
    let what = format!(
        "{:?} was {} when its client ended {}",
        lost.head,
        if lost.sent {
            "without a response"
        } else {
            "lost"
        },
        ledger.id
    );
    Err(Violation::of(number, what))
}

/// Whether a request had to go up and did not, or is owed a response that was not given.
fn is_lost(asked: &LedgerRequest, client_is_gone: bool) -> bool {
    let goes_up = |fate: &Fate| match fate {
        Fate::Passes { may_close, .. } => !*may_close,
        Fate::Cut { .. } => true,
        Fate::Closes | Fate::Local(_) | Fate::Unclear { .. } => false,
    };
    let must_go = !asked.sent && asked.fates.iter().all(goes_up);
    let owed = |fate: &Fate| !fate.may_close() && fate.is_owed();
    must_go || (!client_is_gone && asked.fates.iter().all(owed))
}
