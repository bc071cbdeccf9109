//! One step of a member towards its target: `CurrentAssignmentBuilder`.
//!
//! A partition has one owner at a time: first the old owner gives it up and says so, then the new
//! one gets it.

use super::member::{Member, Partitions, State};

/// The member after the next step; None if it has to wait.
pub(super) fn reconciled(
    member: &Member,
    target_epoch: i32,
    target: &Partitions,
    owned: Option<&Partitions>,
    owned_by_others: &Partitions,
) -> Option<Member> {
    // Who does not say what it owns may own all of it.
    let owns_any_of =
        |partitions: &Partitions| owned.is_none_or(|owned| !owned.is_disjoint(partitions));
    if member.state == State::UnrevokedPartitions && owns_any_of(&member.pending_revocation) {
        return None;
    }
    let mut next = member.clone();
    let kept: Partitions = member.assigned.intersection(target).copied().collect();
    let revoked: Partitions = member.assigned.difference(&kept).copied().collect();
    let (unreleased, free): (Partitions, Partitions) = target
        .difference(&kept)
        .partition(|partition| owned_by_others.contains(*partition));
    next.assigned = kept;
    if !revoked.is_empty() && owns_any_of(&revoked) {
        next.state = State::UnrevokedPartitions;
        next.pending_revocation = revoked;
        next.set_epoch(member.epoch);
        return Some(next);
    }
    next.assigned.extend(free);
    next.pending_revocation.clear();
    next.state = if unreleased.is_empty() {
        State::Stable
    } else {
        State::UnreleasedPartitions
    };
    next.set_epoch(target_epoch);
    Some(next)
}
