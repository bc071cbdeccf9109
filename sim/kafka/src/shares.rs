//! All partitions that share groups read: `SharePartitionManager`, without its sessions.

use std::collections::BTreeMap;

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::config::Limits;
use crate::share_partition::{AcknowledgedOffsets, SharePartition};
use crate::share_session::{Reader, TopicIdPartition};
use crate::topics::{Partition, Topics};

/// What each group knows of each partition that it reads.
#[derive(Debug, Default)]
pub(crate) struct Shares(BTreeMap<(String, TopicIdPartition), SharePartition>);

impl Shares {
    /// What a group knows of a partition, if the leader has read it for the group.
    pub(crate) fn get(&self, group: &str, place: TopicIdPartition) -> Option<&SharePartition> {
        self.0.get(&(group.to_owned(), place))
    }

    pub(crate) fn get_mut(
        &mut self,
        group: &str,
        place: TopicIdPartition,
    ) -> Option<&mut SharePartition> {
        self.0.get_mut(&(group.to_owned(), place))
    }

    /// The leader of a partition begins to read it for a group, or goes on after the leader before.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` if there are too many of them.
    pub(crate) fn open(
        &mut self,
        group: &str,
        place: TopicIdPartition,
        partition: &Partition,
        limits: &Limits,
    ) -> Result<(), ResponseError> {
        let key = (group.to_owned(), place);
        if self.0.len() >= limits.share_partitions_max && !self.0.contains_key(&key) {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let (epoch, log) = (partition.leader_epoch, &partition.log);
        let begins = || SharePartition::at(log.end_offset(), epoch);
        let known = self.0.entry(key).or_insert_with(begins);
        known.moved_to(epoch);
        known.log_starts_at(log.start_offset());
        Ok(())
    }

    /// `SharePartitionManager.acknowledge`: a broker knows of what it has read as the leader.
    pub(crate) fn acknowledge(
        &mut self,
        broker: BrokerId,
        reader: &Reader,
        place: TopicIdPartition,
        batches: &[AcknowledgedOffsets],
        topics: &Topics,
        limits: &Limits,
    ) -> Result<(), ResponseError> {
        let unknown = ResponseError::UnknownTopicOrPartition;
        let name = topics.name_of(&place.0);
        let name = name.ok_or(ResponseError::UnknownTopicId)?;
        let partition = topics.partition(name, place.1).ok_or(unknown)?;
        let known = self.get_mut(&reader.group, place);
        let known = known.filter(|known| {
            partition.leader == Some(broker) && known.leader_epoch() == partition.leader_epoch
        });
        let known = known.ok_or(unknown)?;
        known.acknowledge(&reader.member, batches, limits)
    }

    /// A session has ended: its reader gives back what it has of these partitions.
    pub(crate) fn release(
        &mut self,
        reader: &Reader,
        places: impl Iterator<Item = TopicIdPartition>,
        limits: &Limits,
    ) {
        for place in places {
            if let Some(known) = self.get_mut(&reader.group, place) {
                known.release(&reader.member, limits);
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(SharePartition::deadline).min()
    }

    /// Who had records too long has them no more. Whether there were any.
    pub(crate) fn tick(&mut self, now: Instant, limits: &Limits) -> bool {
        let ended = self.0.values_mut().map(|known| known.tick(now, limits));
        ended.fold(false, |any, ended| any | ended)
    }

    pub(crate) fn forget_topic(&mut self, id: Uuid) {
        self.0.retain(|(_, place), _| place.0 != id);
    }

    pub(crate) fn forget_group(&mut self, group: &str) {
        self.0.retain(|(known, _), _| known != group);
    }
}
