//! `OffsetCommit` and `OffsetFetch`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::config::Limits;
use crate::group::{OffsetAndMetadata, Offsets};
use crate::group_coordinator::{GroupCoordinator, check_coordinator};
use crate::topics::Topics;

/// From this version on a commit to a group that is not there says so.
const GROUP_NOT_FOUND: i16 = 9;
/// From this version on several groups are asked about at once (KIP-709).
const MANY_GROUPS: i16 = 8;

pub(super) fn commit(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: OffsetCommitRequest = call.decode()?;
    let allowed = check_commit(coordinator, call, &request);
    let mut topics = Vec::new();
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|partition| {
            let result = allowed
                .and_then(|()| commit_one(coordinator, &request.group_id, &topic.name, partition));
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(super::code(&result))
        });
        let partitions = partitions.collect();
        let response = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
        topics.push(response.with_partitions(partitions));
    }
    call.reply(&OffsetCommitResponse::default().with_topics(topics))
}

/// `OffsetMetadataManager.validateOffsetCommit`.
fn check_commit(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
    request: &OffsetCommitRequest,
) -> Result<(), ResponseError> {
    let group_id = request.group_id.to_string();
    check_coordinator(coordinator.topics, call.broker, &group_id)?;
    let generation = request.generation_id_or_member_epoch;
    if let Some(group) = coordinator.groups.consumer(&group_id) {
        let version = Some(call.head.version);
        return group.check_offset_commit(&request.member_id, generation, version);
    }
    if coordinator.groups.get(&group_id).is_none() {
        if generation >= 0 {
            return Err(if call.head.version >= GROUP_NOT_FOUND {
                ResponseError::GroupIdNotFound
            } else {
                ResponseError::IllegalGeneration
            });
        }
        // Somebody keeps offsets without being a member.
        let made = coordinator
            .groups
            .get_or_create(&group_id, coordinator.limits.groups_max);
        made?;
    }
    let instance = request.group_instance_id.as_ref().map(ToString::to_string);
    let checked = coordinator.step_group(&group_id, |group, step| {
        group.check_offset_commit(
            step.now,
            &request.member_id,
            instance.as_deref(),
            generation,
        )
    });
    checked.unwrap_or(Err(ResponseError::UnknownMemberId))
}

fn commit_one(
    coordinator: &mut GroupCoordinator<'_>,
    group: &str,
    topic: &str,
    partition: &OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    let index = partition.partition_index;
    let committed = OffsetAndMetadata {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata(partition.committed_metadata.as_deref()),
    };
    check_committed(
        coordinator.topics,
        coordinator.limits,
        topic,
        index,
        &committed,
    )?;
    if let Some(offsets) = coordinator.groups.offsets_mut(group) {
        offsets.commit(topic, index, committed);
    }
    Ok(())
}

pub(super) fn metadata(metadata: Option<&str>) -> String {
    metadata.unwrap_or_default().to_owned()
}

/// Whether an offset may be kept.
pub(super) fn check_committed(
    topics: &Topics,
    limits: &Limits,
    topic: &str,
    index: i32,
    committed: &OffsetAndMetadata,
) -> Result<(), ResponseError> {
    if topics.partition(topic, index).is_none() {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    if committed.metadata.len() > limits.offset_metadata_bytes_max {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(())
}

/// Topics with the partitions asked for; None for all that were committed.
type RequestedOffsets = Option<Vec<(String, Vec<i32>)>>;
/// Topics with what was committed for each partition.
type CommittedOffsets = Vec<(String, Vec<(i32, Option<OffsetAndMetadata>)>)>;

pub(super) fn fetch(coordinator: &GroupCoordinator<'_>, call: &Call) -> Result<Reply, CloseReason> {
    let request: OffsetFetchRequest = call.decode()?;
    if call.head.version >= MANY_GROUPS {
        let groups = request.groups.into_iter().map(|group| {
            let topics = group.topics.map(|topics| {
                topics
                    .into_iter()
                    .map(|t| (t.name.to_string(), t.partition_indexes))
                    .collect()
            });
            let member = group.member_id.as_deref();
            let allowed = check_fetch(coordinator, &group.group_id, member, group.member_epoch);
            let response = match allowed {
                Ok(()) => fetch_group(
                    coordinator,
                    call,
                    &group.group_id,
                    topics,
                    request.require_stable,
                ),
                Err(error) => OffsetFetchResponseGroup::default().with_error_code(error.code()),
            };
            response.with_group_id(group.group_id.clone())
        });
        return call.reply(&OffsetFetchResponse::default().with_groups(groups.collect()));
    }
    // Version 1 cannot ask for everything: there an empty list is an empty list.
    let topics = request.topics.map(|topics| {
        topics
            .into_iter()
            .map(|t| (t.name.to_string(), t.partition_indexes))
            .collect()
    });
    let stable = request.require_stable;
    let group = fetch_group(coordinator, call, &request.group_id, topics.clone(), stable);
    let error = group.error_code;
    let mut response = OffsetFetchResponse::default().with_topics(single(group));
    if call.head.version >= 2 {
        response = response.with_error_code(error);
    } else if error != 0 {
        // Version 1 has no place for an error but with every partition.
        response = response.with_topics(stamped(topics, error));
    }
    call.reply(&response)
}

/// `OffsetMetadataManager.validateOffsetFetch`: only consumer groups ask who fetches.
fn check_fetch(
    coordinator: &GroupCoordinator<'_>,
    id: &str,
    member_id: Option<&str>,
    member_epoch: i32,
) -> Result<(), ResponseError> {
    let group = coordinator.groups.consumer(id);
    group.map_or(Ok(()), |group| {
        group.check_offset_fetch(member_id, member_epoch)
    })
}

fn fetch_group(
    coordinator: &GroupCoordinator<'_>,
    call: &Call,
    id: &str,
    asked: RequestedOffsets,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default();
    if let Err(error) = check_coordinator(coordinator.topics, call.broker, id) {
        return response.with_error_code(error.code());
    }
    // A group that is not there has committed nothing.
    let nothing = Offsets::new();
    let offsets = coordinator.groups.offsets(id).unwrap_or(&nothing);
    let found = find(offsets, asked);
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, committed)| {
            let response = OffsetFetchResponsePartitions::default().with_partition_index(index);
            let unstable = require_stable && offsets.is_unstable(&name, index);
            match committed {
                _ if unstable => response
                    .with_error_code(ResponseError::UnstableOffsetCommit.code())
                    .with_committed_offset(-1)
                    .with_committed_leader_epoch(-1)
                    .with_metadata(Some(wire(""))),
                Some(at) => response
                    .with_committed_offset(at.offset)
                    .with_committed_leader_epoch(at.leader_epoch)
                    .with_metadata(Some(wire(&at.metadata))),
                None => response
                    .with_committed_offset(-1)
                    .with_committed_leader_epoch(-1)
                    .with_metadata(Some(wire(""))),
            }
        });
        OffsetFetchResponseTopics::default()
            .with_name(TopicName(wire(&name)))
            .with_partitions(partitions.collect())
    });
    response.with_topics(topics.collect())
}

fn find(offsets: &Offsets, asked: RequestedOffsets) -> CommittedOffsets {
    match asked {
        Some(topics) => {
            let one = |(name, indexes): (String, Vec<i32>)| {
                let found = indexes
                    .into_iter()
                    .map(|i| (i, offsets.get(&name, i).cloned()));
                let found = found.collect();
                (name, found)
            };
            topics.into_iter().map(one).collect()
        }
        None => {
            let all = offsets.iter().map(|(name, partitions)| {
                let known = partitions
                    .iter()
                    .map(|(i, at)| (*i, Some(at.clone())))
                    .collect();
                (name.to_owned(), known)
            });
            all.collect()
        }
    }
}

/// The response for one group in versions before [`MANY_GROUPS`].
fn single(group: OffsetFetchResponseGroup) -> Vec<OffsetFetchResponseTopic> {
    let topics = group.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(partition.committed_leader_epoch)
                .with_metadata(partition.metadata)
        });
        let partitions = partitions.collect();
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    topics.collect()
}

fn stamped(asked: RequestedOffsets, error: i16) -> Vec<OffsetFetchResponseTopic> {
    let topics = asked
        .unwrap_or_default()
        .into_iter()
        .map(|(name, indexes)| {
            let partitions = indexes.into_iter().map(|index| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(-1)
                    .with_metadata(Some(wire("")))
                    .with_error_code(error)
            });
            OffsetFetchResponseTopic::default()
                .with_name(TopicName(wire(&name)))
                .with_partitions(partitions.collect())
        });
    topics.collect()
}
