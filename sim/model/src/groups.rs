//! All groups of the cluster, and who coordinates which.

use std::collections::BTreeMap;

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;

use crate::group::{Answer, Group, Step};
use crate::topics::{OFFSETS_TOPIC, Topics};

/// All groups by their ids.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<String, Group>);

impl Groups {
    pub(crate) fn get(&self, id: &str) -> Option<&Group> {
        self.0.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Group> {
        self.0.get_mut(id)
    }

    /// The group, made if it is not there. None if there are too many.
    pub(crate) fn get_or_create(&mut self, id: &str, groups_max: usize) -> Option<&mut Group> {
        if !self.0.contains_key(id) {
            if self.0.len() >= groups_max {
                self.0.retain(|_, group| !group.is_forgettable());
            }
            if self.0.len() >= groups_max {
                return None;
            }
            self.0.insert(id.to_owned(), Group::new());
        }
        self.0.get_mut(id)
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.0.iter().map(|(id, group)| (id.as_str(), group))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(Group::deadline).min()
    }

    pub(crate) fn tick(&mut self, step: &mut Step<'_>) {
        for group in self.0.values_mut() {
            if group.deadline().is_some_and(|at| at <= step.now) {
                group.tick(step);
            }
        }
    }

    /// Partition `partition` of the offsets topic has another leader.
    pub(crate) fn coordinator_moved(
        &mut self,
        partition: usize,
        partitions: usize,
        answers: &mut Vec<Answer>,
    ) {
        for (id, group) in &mut self.0 {
            if partition_of(id, partitions) == partition {
                group.coordinator_moved(answers);
            }
        }
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for group in self.0.values_mut() {
            group.offsets.forget_topic(topic);
        }
    }

    /// The offsets topic is gone, and all groups with it.
    pub(crate) fn forget_all(&mut self, answers: &mut Vec<Answer>) {
        for group in self.0.values_mut() {
            group.coordinator_moved(answers);
        }
        self.0.clear();
    }
}

/// The broker that coordinates a group: the leader of its partition of the offsets topic.
pub(crate) fn coordinator(topics: &Topics, group: &str) -> Option<BrokerId> {
    let partitions = &topics.get(OFFSETS_TOPIC)?.partitions;
    partitions
        .get(partition_of(group, partitions.len()))?
        .leader
}

/// `Utils.abs(group.hashCode()) % partitions`, over UTF-16 as Java hashes strings.
fn partition_of(group: &str, partitions: usize) -> usize {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    let positive = hash.checked_abs().unwrap_or(0);
    usize::try_from(positive)
        .unwrap_or(0)
        .checked_rem(partitions)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hash_as_java_strings_do() {
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE, which Kafka takes as 0.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        // "hello".hashCode() == 99162322.
        assert_eq!(partition_of("hello", 50), 22);
        assert_eq!(partition_of("", 50), 0);
    }

    #[test]
    fn a_full_house_forgets_what_nobody_needs() {
        let mut groups = Groups::default();
        assert!(groups.get_or_create("a", 1).is_some());
        assert!(groups.get_or_create("b", 1).is_some());
        assert!(groups.get("a").is_none());
    }
}
