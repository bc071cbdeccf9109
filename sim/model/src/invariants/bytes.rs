//! 4 and 16: what goes up is what the client has sent, once, whole, and in its order.
//! `produced.rs` has what of 16 is about records.

use bytes::Bytes;

use super::policy;
use crate::expected::{Fate, Head};
use crate::payload::payloads;
use crate::watch::{Ledger, Violation};

/// The session has sent a whole request to its broker.
pub(crate) fn sent(ledger: &mut Ledger, frame: Bytes) -> Result<(), Violation> {
    let id = ledger.id;
    let head = Head::of_request(&frame);
    policy::is_for_clients(id, head, &frame)?;
    for at in 0..ledger.asked.len() {
        let Some(asked) = ledger.asked.get_mut(at).filter(|asked| !asked.sent) else {
            continue;
        };
        if asked
            .fates
            .iter()
            .any(|fate| goes_up_as(fate, asked.head, &asked.frame, &frame))
        {
            asked.sent = true;
            let head = asked.head;
            asked
                .fates
                .retain(|fate| goes_up_as(fate, head, &asked.frame, &frame));
            if let Some(fate) = asked.fates.first() {
                let is_renewed = ledger.snapshots.len() > 1;
                ledger.marks.note_fate(head, fate, is_renewed);
            }
            // The bytes are not needed any more.
            asked.frame.truncate(0);
            if asked.fates.iter().any(Fate::is_owed) {
                ledger.facts.first_sent.get_or_insert(ledger.now);
            }
            return Ok(());
        }
        if asked
            .fates
            .iter()
            .any(|fate| matches!(fate, Fate::Local(_)))
        {
            asked.fates.retain(|fate| matches!(fate, Fate::Local(_)));
            continue;
        }
        policy::decided_by_older(ledger, at, &frame)?;
        let what = match ledger.asked.get(at) {
            Some(asked) => format!("{:?} was due, {head:?} went up changed in {id}", asked.head),
            None => String::new(),
        };
        return Err(Violation::of(4, what));
    }
    Err(Violation::of(
        16,
        format!("{head:?} went up once too often in {id}"),
    ))
}

fn goes_up_as(fate: &Fate, head: Head, frame: &Bytes, sent: &Bytes) -> bool {
    match fate {
        Fate::Closes | Fate::Local(_) => false,
        Fate::Passes { .. } => frame == sent,
        Fate::Cut { left, .. } => left == sent,
        Fate::Unclear { .. } => Head::of_request(sent) == Some(head),
    }
}

/// 4: payloads come whole to the client.
pub(crate) fn intact(frame: &Bytes) -> Result<(), Violation> {
    match payloads(frame) {
        Ok(_) => Ok(()),
        Err(tag) => Err(Violation::of(
            4,
            format!("{tag:?} reached a client changed"),
        )),
    }
}
