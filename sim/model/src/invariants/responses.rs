//! 2, 3, 8, 17 and 18: each request has one response, in its turn, and it is the right one.

use bytes::Bytes;
use doorkeeper_core::Snapshot;
use doorkeeper_core::api::keys::{API_VERSIONS, DESCRIBE_CLUSTER, FIND_COORDINATOR, METADATA};
use doorkeeper_core::id::ApiKey;

use super::{leaks, policy};
use crate::expected::{self, Fate};
use crate::watch::{Expectation, Ledger, LedgerRequest, Violation};

/// Addresses, and what is offered, belong to invariants of their own.
const fn number_of(api: ApiKey) -> u8 {
    match api {
        API_VERSIONS => 17,
        METADATA | FIND_COORDINATOR | DESCRIBE_CLUSTER => 18,
        _ => 8,
    }
}

/// The session has given its client a whole response.
pub(crate) fn given(ledger: &mut Ledger, frame: Bytes) -> Result<(), Violation> {
    leaks::no_upstream_host(&frame)?;
    // Requests without a response are done with when they have gone up.
    while ledger
        .asked
        .front()
        .is_some_and(|asked| asked.sent && !asked.fates.iter().any(Fate::is_owed))
    {
        ledger.asked.pop_front();
    }
    let at = ledger
        .asked
        .iter()
        .position(|asked| asked.fates.iter().any(Fate::is_owed));
    let Some(asked) = at.and_then(|at| ledger.asked.remove(at)) else {
        return Err(Violation::of(
            2,
            format!("{} responds to what nobody asked", ledger.id),
        ));
    };
    let id = expected::correlation_id_of(&frame);
    if id != Some(asked.head.id) {
        let what = format!(
            "{:?} was due, {id:?} was given in {}",
            asked.head, ledger.id
        );
        return Err(Violation::of(3, what));
    }
    policy::fetched(ledger, &asked, &frame)?;
    let by = ledger.response_snapshots(&asked);
    let is_right = |fate| {
        by.iter()
            .any(|snapshot| is_right(fate, &asked, &frame, snapshot))
    };
    if let Some(fate) = asked.fates.iter().find(|fate| is_right(fate)) {
        let is_renewed = ledger.snapshots.len() > 1;
        ledger.marks.note_fate(asked.head, fate, is_renewed);
        return Ok(());
    }
    if asked.response.is_none()
        && asked
            .fates
            .iter()
            .all(|fate| !matches!(fate, Fate::Local(_)))
    {
        let what = format!(
            "{:?} had a response before the broker's, in {}",
            asked.head, ledger.id
        );
        return Err(Violation::of(2, what));
    }
    let what = format!(
        "{:?} had another response than it must have, in {}",
        asked.head, ledger.id
    );
    let is_cut = asked
        .fates
        .iter()
        .any(|fate| matches!(fate, Fate::Cut { .. } | Fate::Local(_)));
    let number = if is_cut { 5 } else { number_of(asked.head.api) };
    Err(Violation::of(number, what))
}

fn is_right(fate: &Fate, asked: &LedgerRequest, given: &Bytes, snapshot: &Snapshot) -> bool {
    let denied = match fate {
        Fate::Closes => return false,
        Fate::Unclear { .. } => return true,
        Fate::Local(denial) => return expected::is_denial(asked.head, given, denial, snapshot),
        Fate::Passes { .. } => None,
        Fate::Cut { denied, .. } => Some(&**denied),
    };
    let Some(response) = asked.response.as_ref().filter(|_| asked.sent) else {
        return false;
    };
    expected::is_right(asked.head, &response.frame, given, denied, snapshot)
}

/// 3, as the client sees it: what it gets is the response that it waits for.
pub(crate) fn is_owed(owed: Expectation, frame: &Bytes) -> Result<(), Violation> {
    let got = expected::correlation_id_of(frame);
    let Expectation::Response(owed) = owed else {
        return Ok(());
    };
    if owed.is_some() && got == owed {
        return Ok(());
    }
    Err(Violation::of(
        3,
        format!("the client waits for {owed:?} and gets {got:?}"),
    ))
}
