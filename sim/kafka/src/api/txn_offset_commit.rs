//! `TxnOffsetCommit`: offsets that count once their transaction is committed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::group_offsets::{check_committed, metadata};
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::group::OffsetAndMetadata;
use crate::group_coordinator::check_coordinator;
use crate::groups::partition_for;
use crate::topics::OFFSETS_TOPIC;
use crate::transaction::Producer;
use crate::transaction_coordinator::TransactionCoordinator;

/// From this version on a commit adds its group to the transaction (KIP-890).
const ADDS_GROUPS: i16 = 5;
/// From this version on clients know `TRANSACTION_ABORTABLE`.
const ABORTABLE: i16 = 4;

pub(super) fn handle(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: TxnOffsetCommitRequest = call.decode()?;
    let mut places = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (&topic.name, partition.partition_index))
    });
    // Nothing is asked of the coordinators for what is not there.
    let any_is_there =
        places.any(|(topic, index)| coordinator.topics.partition(topic, index).is_some());
    let allowed = if any_is_there {
        check(coordinator, call, &request)
    } else {
        Ok(())
    };
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let kept = keep(coordinator, &request, &topic.name, partition, allowed);
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(super::code(&kept))
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions)
    });
    let topics = topics.collect();
    call.reply(&TxnOffsetCommitResponse::default().with_topics(topics))
}

/// `GroupCoordinatorService.commitTransactionalOffsets`, then
/// `OffsetMetadataManager.validateTransactionalOffsetCommit`.
fn check(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
    request: &TxnOffsetCommitRequest,
) -> Result<(), ResponseError> {
    let id = &request.group_id;
    check_coordinator(coordinator.topics, call.broker, id)?;
    let unavailable = ResponseError::CoordinatorNotAvailable;
    let number = partition_for(coordinator.topics, id).ok_or(unavailable)?;
    let producer = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let version = call.head.version;
    let place = (OFFSETS_TOPIC.to_owned(), number);
    let adds = version >= ADDS_GROUPS;
    let joined = coordinator.join(&request.transactional_id, producer, place, adds);
    joined.map_err(|error| {
        if error == ResponseError::TransactionAbortable && version < ABORTABLE {
            ResponseError::InvalidTxnState
        } else if error == ResponseError::ConcurrentTransactions && !adds {
            unavailable
        } else {
            error
        }
    })?;
    let (member, generation) = (&request.member_id, request.generation_id);
    let instance = request.group_instance_id.as_deref();
    if let Some(group) = coordinator.groups.consumer(id) {
        return group.check_offset_commit(member, generation, None);
    }
    if let Some(group) = coordinator.groups.get(id) {
        return group.check_offset_commit_in_transaction(member, instance, generation);
    }
    if generation >= 0 {
        return Err(ResponseError::IllegalGeneration);
    }
    // Somebody keeps offsets without being a member.
    let groups_max = coordinator.limits.groups_max;
    coordinator.groups.get_or_create(id, groups_max).map(|_| ())
}

fn keep(
    coordinator: &mut TransactionCoordinator<'_>,
    request: &TxnOffsetCommitRequest,
    topic: &str,
    partition: &TxnOffsetCommitRequestPartition,
    allowed: Result<(), ResponseError>,
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
    allowed?;
    if let Some(offsets) = coordinator.groups.offsets_mut(&request.group_id) {
        offsets.commit_pending(request.producer_id.0, topic, index, committed);
    }
    Ok(())
}
