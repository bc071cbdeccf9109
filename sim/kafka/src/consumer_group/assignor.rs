//! Who shall have which partition: the assignors of the coordinator.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Partitions;

/// An assignor of the coordinator. The first is the default, as in `group.consumer.assignors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Assignor {
    /// Each member gets about as many, and keeps what it can: `UniformAssignor`.
    Uniform,
    /// Each member gets a range of each topic: `RangeAssignor`.
    Range,
}

impl Assignor {
    pub(crate) const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Gives every partition of the topics that somebody wants to one who wants it.
    pub(super) fn assign(
        self,
        candidates: &[Candidate<'_>],
        counts: &BTreeMap<Uuid, usize>,
    ) -> BTreeMap<String, Partitions> {
        match self {
            Self::Range => range(candidates, counts),
            Self::Uniform => {
                let mut wants = candidates.iter().map(|candidate| &candidate.wants);
                let first = wants.next();
                if wants.all(|other| Some(other) == first) {
                    uniform(candidates, counts)
                } else {
                    balanced(candidates, counts)
                }
            }
        }
    }
}

/// A member, as far as an assignment depends on it.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a str,
    pub(super) instance_id: Option<&'a str>,
    /// The topics that it subscribes to and that are there.
    pub(super) wants: BTreeSet<Uuid>,
    /// What it should have until now.
    pub(super) had: Partitions,
}

impl Candidate<'_> {
    fn may_have(&self, (topic, number): (Uuid, i32), counts: &BTreeMap<Uuid, usize>) -> bool {
        let count = counts.get(&topic).copied().unwrap_or(0);
        let is_there = usize::try_from(number).is_ok_and(|number| number < count);
        is_there && self.wants.contains(&topic)
    }
}

fn all_of(topic: Uuid, count: usize) -> impl Iterator<Item = (Uuid, i32)> {
    (0..i32::try_from(count).unwrap_or(i32::MAX)).map(move |number| (topic, number))
}

/// Every partition of the topics that somebody wants.
fn wanted(candidates: &[Candidate<'_>], counts: &BTreeMap<Uuid, usize>) -> Partitions {
    let topics: BTreeSet<Uuid> = candidates.iter().flat_map(|c| &c.wants).copied().collect();
    let counted = topics.iter().filter_map(|id| counts.get_key_value(id));
    counted
        .flat_map(|(id, count)| all_of(*id, *count))
        .collect()
}

/// `UniformHomogeneousAssignmentBuilder`: all members want the same.
fn uniform(
    candidates: &[Candidate<'_>],
    counts: &BTreeMap<Uuid, usize>,
) -> BTreeMap<String, Partitions> {
    let mut free = wanted(candidates, counts);
    let members = candidates.len().max(1);
    let (quota, extra) = (free.len() / members, free.len() % members);
    let quota_of = |at: usize| quota + usize::from(at < extra);
    let mut targets = BTreeMap::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let had = candidate.had.iter().copied();
        let kept = had.filter(|partition| candidate.may_have(*partition, counts));
        let kept: Partitions = kept.take(quota_of(at)).collect();
        free = &free - &kept;
        targets.insert(candidate.id.to_owned(), kept);
    }
    let mut free = free.into_iter();
    for (at, candidate) in candidates.iter().enumerate() {
        if let Some(target) = targets.get_mut(candidate.id) {
            let missing = quota_of(at).saturating_sub(target.len());
            target.extend(free.by_ref().take(missing));
        }
    }
    targets
}

/// Members want different topics. Like `UniformHeterogeneousAssignmentBuilder` it ends where nobody
/// has two more than somebody who would take one of them; ties may be broken in another way.
fn balanced(
    candidates: &[Candidate<'_>],
    counts: &BTreeMap<Uuid, usize>,
) -> BTreeMap<String, Partitions> {
    let mut free = wanted(candidates, counts);
    let mut held: Vec<Partitions> = Vec::new();
    for candidate in candidates {
        let had = candidate.had.iter().copied();
        let kept = had.filter(|one| candidate.may_have(*one, counts) && free.contains(one));
        let kept: Partitions = kept.collect();
        free = &free - &kept;
        held.push(kept);
    }
    for partition in free {
        let takers = candidates.iter().zip(&mut held);
        let takers = takers.filter(|(candidate, _)| candidate.may_have(partition, counts));
        if let Some((_, least)) = takers.min_by_key(|(_, held)| held.len()) {
            least.insert(partition);
        }
    }
    while let Some((from, to, partition)) = uneven(candidates, counts, &held) {
        if let Some(from) = held.get_mut(from) {
            from.remove(&partition);
        }
        if let Some(to) = held.get_mut(to) {
            to.insert(partition);
        }
    }
    let ids = candidates.iter().map(|candidate| candidate.id.to_owned());
    ids.zip(held).collect()
}

/// A partition that one member has too much, and another too little.
fn uneven(
    candidates: &[Candidate<'_>],
    counts: &BTreeMap<Uuid, usize>,
    held: &[Partitions],
) -> Option<(usize, usize, (Uuid, i32))> {
    held.iter().enumerate().find_map(|(from, rich)| {
        let takers = candidates.iter().zip(held).enumerate();
        let poor = takers.filter(|(_, (_, poor))| poor.len() + 1 < rich.len());
        let mut poor = poor.map(|(to, (candidate, _))| (to, candidate));
        poor.find_map(|(to, candidate)| {
            let takes = |partition: &&(Uuid, i32)| candidate.may_have(**partition, counts);
            let partition = rich.iter().find(takes)?;
            Some((from, to, *partition))
        })
    })
}

/// `RangeAssignor`: of each topic each of its members gets the next few; static members are first.
fn range(
    candidates: &[Candidate<'_>],
    counts: &BTreeMap<Uuid, usize>,
) -> BTreeMap<String, Partitions> {
    let mut sorted: Vec<_> = candidates.iter().collect();
    sorted.sort_by_key(|c| (c.instance_id.is_none(), c.instance_id, c.id));
    let none = |candidate: &Candidate<'_>| (candidate.id.to_owned(), Partitions::new());
    let mut targets: BTreeMap<_, _> = candidates.iter().map(none).collect();
    for (topic, count) in counts {
        let takers: Vec<_> = sorted.iter().filter(|c| c.wants.contains(topic)).collect();
        let members = takers.len().max(1);
        let (quota, extra) = (count / members, count % members);
        let mut left = all_of(*topic, *count);
        for (at, candidate) in takers.into_iter().enumerate() {
            let share = left.by_ref().take(quota + usize::from(at < extra));
            targets
                .entry(candidate.id.to_owned())
                .or_default()
                .extend(share);
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Uuid = Uuid::from_u128(1);
    const U: Uuid = Uuid::from_u128(2);

    fn candidate<'a>(id: &'a str, wants: &[Uuid], had: &[(Uuid, i32)]) -> Candidate<'a> {
        Candidate {
            id,
            instance_id: None,
            wants: wants.iter().copied().collect(),
            had: had.iter().copied().collect(),
        }
    }

    fn assigned(
        assignor: Assignor,
        candidates: &[Candidate<'_>],
        counts: &[(Uuid, usize)],
    ) -> Vec<Vec<(Uuid, i32)>> {
        let targets = assignor.assign(candidates, &counts.iter().copied().collect());
        targets
            .into_values()
            .map(|t| t.into_iter().collect())
            .collect()
    }

    #[test]
    fn uniform_keeps_what_fits_and_spreads_the_rest() {
        let both = [
            candidate("a", &[T], &[(T, 0), (T, 1), (T, 2)]),
            candidate("b", &[T], &[]),
        ];
        let targets = assigned(Assignor::Uniform, &both, &[(T, 4)]);
        assert_eq!(targets, [vec![(T, 0), (T, 1)], vec![(T, 2), (T, 3)]]);
        // A topic that was deleted is not kept.
        let targets = assigned(Assignor::Uniform, &both, &[]);
        assert_eq!(targets, [vec![], vec![]]);
    }

    #[test]
    fn members_with_other_wishes_get_only_what_they_want_and_no_two_more() {
        let both = [
            candidate("a", &[T, U], &[(T, 0), (T, 1), (U, 0)]),
            candidate("b", &[T], &[]),
        ];
        let targets = assigned(Assignor::Uniform, &both, &[(T, 2), (U, 1)]);
        assert_eq!(targets, [vec![(T, 1), (U, 0)], vec![(T, 0)]]);
    }

    #[test]
    fn ranges_of_static_members_come_first() {
        let mut both = [candidate("a", &[T, U], &[]), candidate("b", &[T], &[])];
        let counts = [(T, 3), (U, 1)];
        let ranges = assigned(Assignor::Range, &both, &counts);
        assert_eq!(ranges, [vec![(T, 0), (T, 1), (U, 0)], vec![(T, 2)]]);
        both[1].instance_id = Some("i");
        let ranges = assigned(Assignor::Range, &both, &counts);
        assert_eq!(ranges, [vec![(T, 2), (U, 0)], vec![(T, 0), (T, 1)]]);
    }
}
