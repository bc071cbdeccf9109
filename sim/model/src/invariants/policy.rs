//! 5 and 22: what is refused takes no effect, by the policy that was there when it was read.

use bytes::Bytes;
use doorkeeper_core::policy::{Operation, Principal, Verdict};

use crate::expected::{self, Fate};
use crate::payload::payloads;
use crate::watch::{Asked, Ledger, Violation};

/// 5: whether what went up is what an older policy would have let go up.
pub(crate) fn judged_by_older(ledger: &Ledger, at: usize, sent: &Bytes) -> Result<(), Violation> {
    let Some(asked) = ledger.asked.get(at) else {
        return Ok(());
    };
    let older = ledger
        .snapshots
        .get(..*asked.by.start())
        .unwrap_or_default();
    let fits = older.iter().any(|old| {
        let fates = expected::fates(asked.head, &asked.frame, std::slice::from_ref(old));
        fates.iter().any(|fate| match fate {
            Fate::Passes { .. } => *sent == asked.frame,
            Fate::Cut { left, .. } => sent == left,
            Fate::Closes | Fate::Local(_) | Fate::Unclear { .. } => false,
        })
    });
    if fits {
        let what = format!(
            "{:?} was judged by an older policy in {}",
            asked.head, ledger.id
        );
        return Err(Violation::of(5, what));
    }
    // Part of what is refused has gone up.
    if asked
        .fates
        .iter()
        .all(|fate| matches!(fate, Fate::Cut { .. }))
        && *sent == asked.frame
    {
        let what = format!(
            "{:?} went up with what is refused in {}",
            asked.head, ledger.id
        );
        return Err(Violation::of(5, what));
    }
    Ok(())
}

/// 22: no record of a topic reaches a client that was refused it when it asked.
pub(crate) fn fetched(ledger: &Ledger, asked: &Asked, frame: &Bytes) -> Result<(), Violation> {
    let judges = ledger.snapshots.get(asked.by.clone()).unwrap_or_default();
    let anonymous = Principal::anonymous();
    for tag in payloads(frame).unwrap_or_default() {
        let refused = judges.iter().all(|shared| {
            let verdict = shared
                .policy
                .topic(&anonymous, Operation::Read, tag.topic.name());
            verdict == Verdict::Refuse
        });
        if refused {
            let what = format!(
                "{tag:?} reached a client that may not read it in {}",
                ledger.id
            );
            return Err(Violation::of(22, what));
        }
    }
    Ok(())
}
