//! 5, 22 and 25: what is denied takes no effect, by the policy that was there when it was read,
//! and what no client may ask never reaches a broker.

use bytes::Bytes;
use doorkeeper_core::policy::{Decision, Operation, Principal};

use crate::expected::{self, Fate, Head};
use crate::payload::payloads;
use crate::watch::{Ledger, LedgerRequest, SessionId, Violation};

/// 25: brokers take doorkeeper for one principal, which may do more than its clients. No API that
/// acts on the principals or the members of the cluster, or that brokers ask of each other, goes
/// up, nor a change of a broker's configuration; nothing here allows any of that by name.
pub(crate) fn is_for_clients(
    id: SessionId,
    head: Option<Head>,
    sent: &Bytes,
) -> Result<(), Violation> {
    /// `AlterConfigs` and `IncrementalAlterConfigs`.
    const ALTERS_CONFIGS: [i16; 2] = [33, 44];
    let Some(head) = head else { return Ok(()) };
    let is_for_clients = matches!(
        head.api.0,
        0..=3 | 8..=16 | 18..=26 | 28 | 32 | 33 | 35 | 37 | 42 | 44 | 46 | 47 | 55 | 60 | 61
            | 65 | 66 | 68 | 69 | 71 | 72 | 74..=79 | 88..=93
    );
    if !is_for_clients {
        let what = format!("{head:?} is denied and reached a broker in {id}");
        return Err(Violation::of(25, what));
    }
    if ALTERS_CONFIGS.contains(&head.api.0) && expected::names_brokers(head, sent) {
        let what = format!("{head:?} reached a broker with configs of brokers in {id}");
        return Err(Violation::of(25, what));
    }
    Ok(())
}

/// 5: whether what went up is what an older policy would have let go up.
pub(crate) fn decided_by_older(ledger: &Ledger, at: usize, sent: &Bytes) -> Result<(), Violation> {
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
            "{:?} was authorized by an older policy in {}",
            asked.head, ledger.id
        );
        return Err(Violation::of(5, what));
    }
    // Part of what is denied has gone up.
    if asked
        .fates
        .iter()
        .all(|fate| matches!(fate, Fate::Cut { .. }))
        && *sent == asked.frame
    {
        let what = format!(
            "{:?} went up with what is denied in {}",
            asked.head, ledger.id
        );
        return Err(Violation::of(5, what));
    }
    Ok(())
}

/// 22: no record of a topic reaches a client that was denied the topic when it asked.
pub(crate) fn fetched(
    ledger: &Ledger,
    asked: &LedgerRequest,
    frame: &Bytes,
) -> Result<(), Violation> {
    let snapshots = ledger.snapshots.get(asked.by.clone()).unwrap_or_default();
    let anonymous = Principal::anonymous();
    for tag in payloads(frame).unwrap_or_default() {
        let denied = snapshots.iter().all(|snapshot| {
            let decision = snapshot
                .policy
                .topic(&anonymous, Operation::Read, tag.topic.name());
            decision == Decision::Deny
        });
        if denied {
            let what = format!(
                "{tag:?} reached a client that may not read it in {}",
                ledger.id
            );
            return Err(Violation::of(22, what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::with_length;

    fn broken_rule(key: i16, version: i16, body: &[u8]) -> Option<u8> {
        let head = [
            &key.to_be_bytes()[..],
            &version.to_be_bytes(),
            &[0, 0, 0, 1],
            &[0xff; 2],
        ];
        let frame = with_length(&[&head.concat(), body].concat());
        let head = Head::of_request(&frame);
        let checked = is_for_clients(SessionId(0), head, &frame);
        checked.err().map(|violation| violation.invariant)
    }

    #[test]
    fn nobody_alters_access_or_members_of_a_cluster() {
        for key in [
            4, 7, 17, 27, 30, 31, 34, 36, 38, 43, 49, 51, 57, 64, 80, 84, 94, 200,
        ] {
            assert_eq!(broken_rule(key, 0, &[]), Some(25), "{key}");
        }
        assert_eq!(broken_rule(3, 0, &[0; 4]), None);
    }

    #[test]
    fn configs_of_brokers_are_found_beside_those_of_topics() {
        // AlterConfigs v0: resources of a type and a name, without configs.
        let resource = |kind: u8, name: u8| [kind, 0, 1, name, 0, 0, 0, 0];
        let topics = [
            &[0, 0, 0, 2][..],
            &resource(2, b'a'),
            &resource(2, b'b'),
            &[0],
        ]
        .concat();
        assert_eq!(broken_rule(33, 0, &topics), None);
        for kind in [4, 8, 99] {
            let both = [
                &[0, 0, 0, 2][..],
                &resource(2, b'a'),
                &resource(kind, b'1'),
                &[0],
            ];
            assert_eq!(broken_rule(33, 0, &both.concat()), Some(25), "{kind}");
        }
    }
}
