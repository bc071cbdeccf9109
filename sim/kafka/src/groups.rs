//! All groups of the cluster, and who coordinates which.

use std::collections::BTreeMap;

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;

use crate::consumer_group::{self, ConsumerGroup};
use crate::group::{self, Group, Offsets, Response, Step};
use crate::share_group::ShareGroup;
use crate::topics::{OFFSETS_TOPIC, Partition, Topics};
use crate::transactions::Marker;

/// A group of any kind: they share one space of ids.
#[derive(Debug)]
enum AnyGroup {
    Classic(Group),
    Consumer(ConsumerGroup),
    Share(ShareGroup),
}

impl AnyGroup {
    fn is_forgettable(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_forgettable(),
            Self::Consumer(group) => group.is_forgettable(),
            Self::Share(group) => group.is_empty(),
        }
    }

    /// Share groups commit no offsets.
    const fn offsets(&self) -> Option<&Offsets> {
        match self {
            Self::Classic(group) => Some(&group.offsets),
            Self::Consumer(group) => Some(&group.offsets),
            Self::Share(_) => None,
        }
    }

    const fn offsets_mut(&mut self) -> Option<&mut Offsets> {
        match self {
            Self::Classic(group) => Some(&mut group.offsets),
            Self::Consumer(group) => Some(&mut group.offsets),
            Self::Share(_) => None,
        }
    }
}

/// All groups by their ids.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<String, AnyGroup>);

impl Groups {
    /// The classic group of that id.
    pub(crate) fn get(&self, id: &str) -> Option<&Group> {
        match self.0.get(id)? {
            AnyGroup::Classic(group) => Some(group),
            AnyGroup::Consumer(_) | AnyGroup::Share(_) => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Group> {
        match self.0.get_mut(id)? {
            AnyGroup::Classic(group) => Some(group),
            AnyGroup::Consumer(_) | AnyGroup::Share(_) => None,
        }
    }

    /// The consumer group of that id.
    pub(crate) fn consumer(&self, id: &str) -> Option<&ConsumerGroup> {
        match self.0.get(id)? {
            AnyGroup::Consumer(group) => Some(group),
            AnyGroup::Classic(_) | AnyGroup::Share(_) => None,
        }
    }

    pub(crate) fn consumer_mut(&mut self, id: &str) -> Option<&mut ConsumerGroup> {
        match self.0.get_mut(id)? {
            AnyGroup::Consumer(group) => Some(group),
            AnyGroup::Classic(_) | AnyGroup::Share(_) => None,
        }
    }

    /// The share group of that id.
    pub(crate) fn share(&self, id: &str) -> Option<&ShareGroup> {
        match self.0.get(id)? {
            AnyGroup::Share(group) => Some(group),
            AnyGroup::Classic(_) | AnyGroup::Consumer(_) => None,
        }
    }

    pub(crate) fn share_mut(&mut self, id: &str) -> Option<&mut ShareGroup> {
        match self.0.get_mut(id)? {
            AnyGroup::Share(group) => Some(group),
            AnyGroup::Classic(_) | AnyGroup::Consumer(_) => None,
        }
    }

    /// Whether there is a group of that id, of whatever kind.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// What a group of any kind has committed.
    pub(crate) fn offsets(&self, id: &str) -> Option<&Offsets> {
        self.0.get(id).and_then(AnyGroup::offsets)
    }

    pub(crate) fn offsets_mut(&mut self, id: &str) -> Option<&mut Offsets> {
        self.0.get_mut(id).and_then(AnyGroup::offsets_mut)
    }

    /// The classic group, made if it is not there, or in the place of a consumer group without
    /// members.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` if there are too many groups, `INCONSISTENT_GROUP_PROTOCOL` if
    /// members use the other protocol.
    pub(crate) fn get_or_create(
        &mut self,
        id: &str,
        groups_max: usize,
    ) -> Result<&mut Group, ResponseError> {
        self.make_room(id, groups_max)?;
        let known = self
            .0
            .entry(id.to_owned())
            .or_insert_with(|| AnyGroup::Classic(Group::new()));
        if let AnyGroup::Consumer(group) = known
            && group.state() == consumer_group::State::Empty
        {
            let offsets = std::mem::take(&mut group.offsets);
            *known = AnyGroup::Classic(Group::with_offsets(offsets));
        }
        match known {
            AnyGroup::Classic(group) => Ok(group),
            AnyGroup::Consumer(_) | AnyGroup::Share(_) => {
                Err(ResponseError::InconsistentGroupProtocol)
            }
        }
    }

    /// The consumer group, made if it is not there, or in the place of a classic group without
    /// members (`GroupMetadataManager.getOrMaybeCreateConsumerGroup`).
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` if there are too many groups, `GROUP_ID_NOT_FOUND` if members
    /// use the classic protocol.
    pub(crate) fn consumer_or_create(
        &mut self,
        id: &str,
        groups_max: usize,
    ) -> Result<&mut ConsumerGroup, ResponseError> {
        self.make_room(id, groups_max)?;
        let known = self
            .0
            .entry(id.to_owned())
            .or_insert_with(|| AnyGroup::Consumer(ConsumerGroup::default()));
        if let AnyGroup::Classic(group) = known
            && group.state() == group::State::Empty
        {
            let offsets = std::mem::take(&mut group.offsets);
            *known = AnyGroup::Consumer(ConsumerGroup::with_offsets(offsets));
        }
        match known {
            AnyGroup::Consumer(group) => Ok(group),
            AnyGroup::Classic(_) | AnyGroup::Share(_) => Err(ResponseError::GroupIdNotFound),
        }
    }

    /// The share group, made if it is not there (`getOrMaybeCreatePersistedShareGroup`).
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` if there are too many groups, `GROUP_ID_NOT_FOUND` if it is one
    /// of another kind.
    pub(crate) fn share_or_create(
        &mut self,
        id: &str,
        groups_max: usize,
    ) -> Result<&mut ShareGroup, ResponseError> {
        self.make_room(id, groups_max)?;
        let new = || AnyGroup::Share(ShareGroup::default());
        match self.0.entry(id.to_owned()).or_insert_with(new) {
            AnyGroup::Share(group) => Ok(group),
            AnyGroup::Classic(_) | AnyGroup::Consumer(_) => Err(ResponseError::GroupIdNotFound),
        }
    }

    /// Forgets what nobody needs if there are too many.
    fn make_room(&mut self, id: &str, groups_max: usize) -> Result<(), ResponseError> {
        if self.0.contains_key(id) {
            return Ok(());
        }
        if self.0.len() >= groups_max {
            self.0.retain(|_, group| !group.is_forgettable());
        }
        if self.0.len() >= groups_max {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// The classic groups.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.0.iter().filter_map(|(id, known)| match known {
            AnyGroup::Classic(group) => Some((id.as_str(), group)),
            AnyGroup::Consumer(_) | AnyGroup::Share(_) => None,
        })
    }

    /// The consumer groups.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = (&str, &ConsumerGroup)> {
        self.0.iter().filter_map(|(id, known)| match known {
            AnyGroup::Consumer(group) => Some((id.as_str(), group)),
            AnyGroup::Classic(_) | AnyGroup::Share(_) => None,
        })
    }

    /// The share groups.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (&str, &ShareGroup)> {
        self.0.iter().filter_map(|(id, known)| match known {
            AnyGroup::Share(group) => Some((id.as_str(), group)),
            AnyGroup::Classic(_) | AnyGroup::Consumer(_) => None,
        })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.0.values().filter_map(|known| match known {
            AnyGroup::Classic(group) => group.deadline(),
            AnyGroup::Consumer(group) => group.deadline(),
            AnyGroup::Share(group) => group.deadline(),
        });
        deadlines.min()
    }

    /// Ends what has lasted too long in classic groups.
    pub(crate) fn tick(&mut self, step: &mut Step<'_>) {
        for known in self.0.values_mut() {
            if let AnyGroup::Classic(group) = known
                && group.deadline().is_some_and(|at| at <= step.now)
            {
                group.tick(step);
            }
        }
    }

    /// The same in consumer and share groups.
    pub(crate) fn tick_modern(&mut self, now: Instant, topics: &Topics) {
        for known in self.0.values_mut() {
            match known {
                AnyGroup::Classic(_) => {}
                AnyGroup::Consumer(group) => group.tick(now, topics),
                AnyGroup::Share(group) => group.tick(now),
            }
        }
    }

    /// Partition `partition` of the offsets topic has another leader.
    pub(crate) fn coordinator_moved(
        &mut self,
        partition: usize,
        partitions: usize,
        responses: &mut Vec<Response>,
    ) {
        for (id, known) in &mut self.0 {
            if let AnyGroup::Classic(group) = known
                && partition_of(id, partitions) == partition
            {
                group.coordinator_moved(responses);
            }
        }
    }

    /// A transaction has ended, with offsets of the groups in one partition of the offsets topic.
    pub(crate) fn end_transaction(&mut self, number: i32, partitions: usize, marker: &Marker) {
        for (id, known) in &mut self.0 {
            if i32::try_from(partition_of(id, partitions)) == Ok(number) {
                let (producer, outcome) = (marker.producer, marker.outcome);
                if let Some(offsets) = known.offsets_mut() {
                    offsets.end_transaction(producer.id, outcome);
                }
            }
        }
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for offsets in self.0.values_mut().filter_map(AnyGroup::offsets_mut) {
            offsets.forget_topic(topic);
        }
    }

    /// The offsets topic is gone, and all groups with it.
    pub(crate) fn forget_all(&mut self, responses: &mut Vec<Response>) {
        for known in self.0.values_mut() {
            if let AnyGroup::Classic(group) = known {
                group.coordinator_moved(responses);
            }
        }
        self.0.clear();
    }
}

/// The broker that coordinates a group: the leader of its partition of the offsets topic.
pub(crate) fn coordinator(topics: &Topics, group: &str) -> Option<BrokerId> {
    leader_for(topics, OFFSETS_TOPIC, group)
}

/// The partition of the offsets topic that keeps a group.
pub(crate) fn partition_for(topics: &Topics, group: &str) -> Option<i32> {
    let partitions = topics.get(OFFSETS_TOPIC)?.partitions.len();
    i32::try_from(partition_of(group, partitions)).ok()
}

/// The leader of the partition of an internal topic that keeps an id.
pub(crate) fn leader_for(topics: &Topics, topic: &str, id: &str) -> Option<BrokerId> {
    partition(topics, topic, id)?.leader
}

/// The epoch of that leader, if there is one.
pub(crate) fn epoch_for(topics: &Topics, topic: &str, id: &str) -> Option<i32> {
    let partition = partition(topics, topic, id)?;
    partition.leader.map(|_| partition.leader_epoch)
}

fn partition<'a>(topics: &'a Topics, topic: &str, id: &str) -> Option<&'a Partition> {
    let partitions = &topics.get(topic)?.partitions;
    partitions.get(partition_of(id, partitions.len()))
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
    fn a_full_registry_forgets_a_group_that_nobody_needs() {
        let mut groups = Groups::default();
        assert!(groups.get_or_create("a", 1).is_ok());
        assert!(groups.get_or_create("b", 1).is_ok());
        assert!(groups.get("a").is_none());
    }

    #[test]
    fn a_group_without_members_changes_its_protocol_and_keeps_its_offsets() {
        let mut groups = Groups::default();
        let committed = group::OffsetAndMetadata {
            offset: 7,
            leader_epoch: -1,
            metadata: String::new(),
        };
        let classic = groups.get_or_create("g", 1).unwrap();
        classic.offsets.commit("t", 0, committed.clone());
        let consumer = groups.consumer_or_create("g", 1).unwrap();
        assert_eq!(consumer.offsets.get("t", 0), Some(&committed));
        assert!(groups.get("g").is_none() && groups.consumer("g").is_some());
        let classic = groups.get_or_create("g", 1).unwrap();
        assert_eq!(classic.offsets.get("t", 0), Some(&committed));
    }
}
