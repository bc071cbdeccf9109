//! Who reads what in a share group: `SimpleAssignor`.
//!
//! Every partition has a reader, every member something to read, and the load is even; where that
//! allows it, a member keeps what it had. Ties may be broken otherwise than Kafka breaks them.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::consumer_group::Partitions;

/// A member and the topics that it wants.
pub(super) type Subscription<'a> = (&'a str, BTreeSet<Uuid>);

/// The partitions of each member. `topics` says how many partitions there are.
pub(super) fn assign(
    members: &[Subscription<'_>],
    topics: &BTreeMap<Uuid, usize>,
    had: &BTreeMap<String, Partitions>,
) -> BTreeMap<String, Partitions> {
    let mut given: BTreeMap<String, Partitions> = members
        .iter()
        .map(|(id, _)| ((*id).to_owned(), Partitions::new()))
        .collect();
    let mut readers = BTreeMap::<(Uuid, i32), usize>::new();
    let is_new = |id: &str, place: &(Uuid, i32)| had.get(id).is_none_or(|had| !had.contains(place));
    let all = topics.iter().flat_map(|(topic, count)| {
        let count = i32::try_from(*count).unwrap_or(i32::MAX);
        (0..count).map(|partition| (*topic, partition))
    });
    for place in all {
        let wants = members
            .iter()
            .filter(|(_, topics)| topics.contains(&place.0));
        let load = |id: &str| given.get(id).map_or(0, BTreeSet::len);
        let reader = wants.min_by_key(|(id, _)| (load(id), is_new(id, &place)));
        if let Some(reader) = reader.and_then(|(id, _)| given.get_mut(*id)) {
            reader.insert(place);
            readers.insert(place, 1);
        }
    }
    // More members than partitions: the others read along.
    for (id, wants) in members {
        let Some(idle) = given.get_mut(*id).filter(|given| given.is_empty()) else {
            continue;
        };
        let places = readers
            .iter_mut()
            .filter(|(place, _)| wants.contains(&place.0));
        let least = places.min_by_key(|(place, count)| (**count, is_new(id, place)));
        if let Some((place, count)) = least {
            *count += 1;
            idle.insert(*place);
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(1);

    fn assigned(ids: &[&str], partitions: usize) -> BTreeMap<String, Vec<i32>> {
        let members: Vec<Subscription<'_>> = ids
            .iter()
            .map(|id| (*id, BTreeSet::from([TOPIC])))
            .collect();
        let topics = BTreeMap::from([(TOPIC, partitions)]);
        let given = assign(&members, &topics, &BTreeMap::new());
        let numbers = |places: Partitions| places.into_iter().map(|(_, index)| index).collect();
        given
            .into_iter()
            .map(|(id, places)| (id, numbers(places)))
            .collect()
    }

    #[test]
    fn partitions_are_dealt_out_evenly() {
        let given = assigned(&["a", "b"], 3);
        assert_eq!(
            (given["a"].as_slice(), given["b"].as_slice()),
            (&[0, 2][..], &[1][..])
        );
    }

    #[test]
    fn more_members_than_partitions_read_together() {
        let given = assigned(&["a", "b", "c", "d"], 2);
        let all: Vec<i32> = given.values().flatten().copied().collect();
        assert_eq!(all, [0, 1, 0, 1]);
    }

    #[test]
    fn a_member_gets_only_what_it_wants_and_keeps_what_it_had() {
        let other = Uuid::from_u128(2);
        let both = BTreeSet::from([TOPIC, other]);
        let members = [("a", both), ("b", BTreeSet::from([TOPIC]))];
        let topics = BTreeMap::from([(TOPIC, 2), (other, 1)]);
        let had = BTreeMap::from([("b".to_owned(), Partitions::from([(TOPIC, 0)]))]);
        let given = assign(&members, &topics, &had);
        assert_eq!(given["b"], Partitions::from([(TOPIC, 0)]));
        assert_eq!(given["a"], Partitions::from([(TOPIC, 1), (other, 0)]));
    }
}
