//! `Produce`: batches into logs.

use std::collections::BTreeMap;

use bytes::Bytes;
use doorkeeper_core::id::BrokerId as CoreBrokerId;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};

use super::wire;
use crate::batch::{self, Header};
use crate::brokers::Brokers;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::log::AppendInfo;
use crate::topics::Topics;
use crate::transaction::Producer;
use crate::transaction_coordinator::TransactionCoordinator;

/// From this version on topics are named by id.
const BY_ID: i16 = 13;
/// From this version on a batch adds its partition to the transaction (KIP-890).
const ADDS_PARTITIONS: i16 = 12;
/// From this version on clients know `TRANSACTION_ABORTABLE`.
const ABORTABLE: i16 = 11;
/// From this version on the response of a wrong leader names the right one (KIP-951).
const LEADER_HINTS: i16 = 10;

pub(super) fn handle(
    coordinator: &mut TransactionCoordinator<'_>,
    brokers: &Brokers,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: ProduceRequest = call.decode()?;
    let mut endpoints = BTreeMap::new();
    let mut failed = false;
    let mut responses = Vec::<TopicProduceResponse>::new();
    let denied = names_no_transaction(&request);
    for topic in &request.topic_data {
        let (name, mut response) = name_of(coordinator.topics, call, topic);
        for data in &topic.partition_data {
            let result = if denied {
                Err(ResponseError::TransactionalIdAuthorizationFailed)
            } else {
                append(coordinator, call, &request, name.as_deref(), data)
            };
            failed |= result.is_err();
            let mut partition = partition_response(data.index, result);
            if partition.error_code == ResponseError::NotLeaderOrFollower.code() {
                let hint = hint(
                    coordinator.topics,
                    brokers,
                    call,
                    name.as_deref(),
                    data.index,
                    &mut endpoints,
                );
                partition.current_leader = hint.unwrap_or_default();
            }
            response.partition_responses.push(partition);
        }
        // A topic that is named twice is in the response once.
        let same = responses
            .iter_mut()
            .find(|it| (&it.name, it.topic_id) == (&response.name, response.topic_id));
        match same {
            Some(known) => known
                .partition_responses
                .append(&mut response.partition_responses),
            None => responses.push(response),
        }
    }
    if request.acks == 0 {
        return if failed {
            Err(CloseReason::ProduceWithoutAcksFailed)
        } else {
            Ok(Reply::Nothing)
        };
    }
    let mut response = ProduceResponse::default().with_responses(responses);
    if !endpoints.is_empty() {
        response = response.with_node_endpoints(endpoints.into_values().collect());
    }
    call.reply(&response)
}

/// `KafkaApis.handleProduceRequest`: transactional records must come with a transactional id.
fn names_no_transaction(request: &ProduceRequest) -> bool {
    let partitions = request
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data);
    let mut records = partitions.filter_map(|data| data.records.as_ref());
    request.transactional_id.is_none() && records.any(|records| batch::is_transactional(records))
}

fn name_of(
    topics: &Topics,
    call: &Call,
    topic: &TopicProduceData,
) -> (Option<String>, TopicProduceResponse) {
    let response = TopicProduceResponse::default();
    if call.head.version >= BY_ID {
        let name = topics.name_of(&topic.topic_id).map(str::to_owned);
        (name, response.with_topic_id(topic.topic_id))
    } else {
        (
            Some(topic.name.to_string()),
            response.with_name(topic.name.clone()),
        )
    }
}

/// `KafkaApis.handleProduceRequest`, then `ReplicaManager.appendRecords`.
fn append(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
    request: &ProduceRequest,
    name: Option<&str>,
    data: &PartitionProduceData,
) -> Result<AppendInfo, ResponseError> {
    let name = name.ok_or(ResponseError::UnknownTopicId)?;
    let bytes_max = coordinator.limits.message_bytes_max;
    let topic = coordinator
        .topics
        .get_mut(name)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let min_in_sync = topic.min_in_sync();
    let topic_is_internal = topic.internal;
    let partition = topic
        .partition_mut(data.index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let no_records = Bytes::new();
    let records = data.records.as_ref().unwrap_or(&no_records);
    let valid = batch::validate(records, call.head.version, bytes_max);
    if !matches!(request.acks, -1..=1) {
        return Err(ResponseError::InvalidRequiredAcks);
    }
    if topic_is_internal {
        return Err(ResponseError::InvalidTopicException);
    }
    partition.check(call.broker, None, true)?;
    let enough = request.acks != -1 || partition.in_sync.len() >= min_in_sync;
    let begins =
        |header: &Header| header.is_transactional() && !partition.log.has_transaction(header);
    if let Ok((header, _)) = &valid
        && begins(header)
    {
        let id = request
            .transactional_id
            .as_ref()
            .map_or("", |id| id.as_str());
        let producer = Producer {
            id: header.producer_id,
            epoch: header.producer_epoch,
        };
        let place = (name.to_owned(), data.index);
        let adds = call.head.version >= ADDS_PARTITIONS;
        let joined = coordinator.join(id, producer, place, adds);
        joined.map_err(|error| as_produce_error(error, call.head.version))?;
    }
    if !enough {
        return Err(ResponseError::NotEnoughReplicas);
    }
    let (header, batch) = valid?;
    let partition = coordinator.topics.partition_mut(name, data.index);
    let partition = partition.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let appended = partition
        .log
        .append(partition.leader_epoch, &header, &batch)?;
    *coordinator.logs_changed = true;
    Ok(appended)
}

/// An error that a client of that version knows (`AddPartitionsToTxnManager`,
/// `ReplicaManager.handleProduceAppend`).
fn as_produce_error(error: ResponseError, version: i16) -> ResponseError {
    let tells_to_wait = error == ResponseError::ConcurrentTransactions && version < ADDS_PARTITIONS;
    if error == ResponseError::TransactionAbortable && version < ABORTABLE {
        ResponseError::InvalidTxnState
    } else if tells_to_wait || error == ResponseError::CoordinatorNotAvailable {
        // Older clients repeat for this one, and not for the others.
        ResponseError::NotEnoughReplicas
    } else {
        error
    }
}

fn partition_response(
    index: i32,
    result: Result<AppendInfo, ResponseError>,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(index)
        .with_log_append_time_ms(-1);
    match result {
        Ok(at) => response
            .with_base_offset(at.base_offset)
            .with_log_start_offset(at.log_start_offset),
        Err(error) => response
            .with_error_code(error.code())
            .with_base_offset(-1)
            .with_log_start_offset(-1),
    }
}

/// Who leads instead, and where that broker is.
fn hint(
    topics: &Topics,
    brokers: &Brokers,
    call: &Call,
    name: Option<&str>,
    index: i32,
    endpoints: &mut BTreeMap<CoreBrokerId, NodeEndpoint>,
) -> Option<LeaderIdAndEpoch> {
    if call.head.version < LEADER_HINTS {
        return None;
    }
    let partition = topics.partition(name?, index)?;
    if let Some(leader) = partition.leader
        && let Some(broker) = brokers.up(leader)
    {
        let endpoint = NodeEndpoint::default()
            .with_node_id(BrokerId(leader.0))
            .with_host(wire(broker.advertised.host()))
            .with_port(i32::from(broker.advertised.port()));
        endpoints.insert(leader, endpoint);
    }
    let hint = LeaderIdAndEpoch::default()
        .with_leader_id(BrokerId(partition.leader.map_or(-1, |id| id.0)))
        .with_leader_epoch(partition.leader_epoch);
    Some(hint)
}
