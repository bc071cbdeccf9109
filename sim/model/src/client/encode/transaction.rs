//! Requests of transactional producers.

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiKey, EndTxnRequest,
    FindCoordinatorRequest, GroupId, InitProducerIdRequest, ProducerId, TransactionalId,
    TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::{Context, frame, group_name, topic_name};
use crate::script::{Producer, TopicPartition, TransactionResult};

/// Keys of FindCoordinator are transactional ids.
const TRANSACTION: i8 = 1;

fn transactional_id(id: u8) -> TransactionalId {
    TransactionalId(StrBytes::from_string(format!("t{id}")))
}

pub(super) fn id_of(producer: Producer) -> Option<TransactionalId> {
    match producer {
        Producer::Idempotent => None,
        Producer::Transactional(id) => Some(transactional_id(id)),
    }
}

/// The producer id and epoch that the client has, if it has any.
fn identity(id: u8, context: &Context<'_>) -> (ProducerId, i16) {
    let known = context.memory.producers.get(&Producer::Transactional(id));
    let (id, epoch) = known.copied().unwrap_or((-1, -1));
    (ProducerId(id), epoch)
}

pub(super) fn init(v: i16, producer: Producer, context: &Context<'_>) -> Bytes {
    frame(ApiKey::InitProducerId, v, context, |v| {
        let body = InitProducerIdRequest::default()
            .with_transactional_id(id_of(producer))
            .with_transaction_timeout_ms(1000);
        // From version 3 on a producer may say who it was.
        match v {
            3.. => body
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
            _ => body,
        }
    })
}

pub(super) fn find(v: i16, id: u8, context: &Context<'_>) -> Bytes {
    frame(ApiKey::FindCoordinator, v, context, |v| {
        let key = transactional_id(id).0;
        let body = FindCoordinatorRequest::default();
        match v {
            4.. => body
                .with_key_type(TRANSACTION)
                .with_coordinator_keys(vec![key]),
            1.. => body.with_key_type(TRANSACTION).with_key(key),
            _ => body.with_key(key),
        }
    })
}

pub(super) fn add_partitions(
    v: i16,
    id: u8,
    places: &[TopicPartition],
    context: &Context<'_>,
) -> Bytes {
    frame(ApiKey::AddPartitionsToTxn, v, context, |v| {
        let (producer_id, epoch) = identity(id, context);
        let topics = places.iter().map(|place| {
            AddPartitionsToTxnTopic::default()
                .with_name(topic_name(place.topic))
                .with_partitions(vec![i32::from(place.partition)])
        });
        let topics = topics.collect();
        let body = AddPartitionsToTxnRequest::default();
        if v < 4 {
            return body
                .with_v3_and_below_transactional_id(transactional_id(id))
                .with_v3_and_below_producer_id(producer_id)
                .with_v3_and_below_producer_epoch(epoch)
                .with_v3_and_below_topics(topics);
        }
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(transactional_id(id))
            .with_producer_id(producer_id)
            .with_producer_epoch(epoch)
            .with_topics(topics);
        body.with_transactions(vec![transaction])
    })
}

pub(super) fn add_offsets(v: i16, id: u8, group: u8, context: &Context<'_>) -> Bytes {
    frame(ApiKey::AddOffsetsToTxn, v, context, |_| {
        let (producer_id, epoch) = identity(id, context);
        AddOffsetsToTxnRequest::default()
            .with_transactional_id(transactional_id(id))
            .with_producer_id(producer_id)
            .with_producer_epoch(epoch)
            .with_group_id(GroupId(group_name(group)))
    })
}

pub(super) fn commit(
    v: i16,
    id: u8,
    group: u8,
    place: TopicPartition,
    context: &Context<'_>,
) -> Bytes {
    frame(ApiKey::TxnOffsetCommit, v, context, |v| {
        let (producer_id, epoch) = identity(id, context);
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(i32::from(place.partition))
            .with_committed_offset(1);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(place.topic))
            .with_partitions(vec![partition]);
        let body = TxnOffsetCommitRequest::default()
            .with_transactional_id(transactional_id(id))
            .with_group_id(GroupId(group_name(group)))
            .with_producer_id(producer_id)
            .with_producer_epoch(epoch)
            .with_topics(vec![topic]);
        let known = context.memory.members.get(&group).cloned();
        match known {
            Some((member, generation)) if v >= 3 => body
                .with_member_id(StrBytes::from_string(member))
                .with_generation_id(generation),
            Some(_) | None => body,
        }
    })
}

pub(super) fn end(v: i16, id: u8, result: TransactionResult, context: &Context<'_>) -> Bytes {
    frame(ApiKey::EndTxn, v, context, |_| {
        let (producer_id, epoch) = identity(id, context);
        EndTxnRequest::default()
            .with_transactional_id(transactional_id(id))
            .with_producer_id(producer_id)
            .with_producer_epoch(epoch)
            .with_committed(result == TransactionResult::Commit)
    })
}
