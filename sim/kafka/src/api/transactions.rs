//! `AddPartitionsToTxn`, `AddOffsetsToTxn`, `EndTxn` and `DescribeTransactions`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    EndTxnRequest, EndTxnResponse, ProducerId, TopicName,
};

use super::init_producer_id::next_id;
use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::groups::partition_for;
use crate::topics::OFFSETS_TOPIC;
use crate::transaction::{Outcome, Producer, Transaction};
use crate::transaction_coordinator::{TransactionCoordinator, check_coordinator};
use crate::transactions::millis_of;

/// From this version on brokers add partitions of several transactions, or ask for them.
const OF_BROKERS: i16 = 4;
/// From this version on each transaction has an epoch of its own (KIP-890).
const BUMPS: i16 = 5;
/// From this version on clients know `PRODUCER_FENCED`.
const KNOWS_FENCED: i16 = 2;

/// Older clients know an error that means about the same.
pub(super) fn readable(error: ResponseError, version: i16, knows_fenced: i16) -> ResponseError {
    if error == ResponseError::ProducerFenced && version < knows_fenced {
        ResponseError::InvalidProducerEpoch
    } else {
        error
    }
}

pub(super) fn add_partitions(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: AddPartitionsToTxnRequest = call.decode()?;
    let response = AddPartitionsToTxnResponse::default();
    if call.head.version >= OF_BROKERS {
        let results = request.transactions.iter().map(|transaction| {
            AddPartitionsToTxnResult::default()
                .with_transactional_id(transaction.transactional_id.clone())
                .with_topic_results(add_to_one(coordinator, call, transaction))
        });
        let results = results.collect();
        return call.reply(&response.with_results_by_transaction(results));
    }
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(request.v3_and_below_transactional_id)
        .with_producer_id(request.v3_and_below_producer_id)
        .with_producer_epoch(request.v3_and_below_producer_epoch)
        .with_topics(request.v3_and_below_topics);
    let results = add_to_one(coordinator, call, &transaction);
    call.reply(&response.with_results_by_topic_v3_and_below(results))
}

/// All partitions are added, or none (`KafkaApis.handleAddPartitionsToTxnRequest`).
fn add_to_one(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let id = &transaction.transactional_id;
    let producer = Producer {
        id: transaction.producer_id.0,
        epoch: transaction.producer_epoch,
    };
    let is_there = |topic: &str, index| coordinator.topics.partition(topic, index).is_some();
    let mut places = transaction.topics.iter().flat_map(places_of);
    if !places.all(|(topic, index)| is_there(&topic, index)) {
        return results(transaction, |(topic, index)| {
            Err(if is_there(topic, *index) {
                ResponseError::OperationNotAttempted
            } else {
                ResponseError::UnknownTopicOrPartition
            })
        });
    }
    let places = transaction.topics.iter().flat_map(places_of);
    let now = coordinator.now;
    let known = check_coordinator(coordinator.topics, call.broker, id).and_then(|()| {
        let known = coordinator.transactions.get_mut(id);
        known.ok_or(ResponseError::InvalidProducerIdMapping)
    });
    let known = match known {
        Ok(known) => known,
        Err(error) => return results(transaction, |_| Err(error)),
    };
    if transaction.verify_only {
        return results(transaction, |place| known.verify(producer, place));
    }
    let added = known.add(now, producer, places);
    let added = added.map_err(|error| readable(error, call.head.version, KNOWS_FENCED));
    results(transaction, |_| added)
}

fn places_of(topic: &AddPartitionsToTxnTopic) -> impl Iterator<Item = (String, i32)> {
    let indexes = topic.partitions.iter();
    indexes.map(|index| (topic.name.to_string(), *index))
}

fn results(
    transaction: &AddPartitionsToTxnTransaction,
    result: impl Fn(&(String, i32)) -> Result<(), ResponseError>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = transaction.topics.iter().map(|topic| {
        let partitions = places_of(topic).map(|place| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(place.1)
                .with_partition_error_code(super::code(&result(&place)))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    topics.collect()
}

/// The partition of the offsets topic that keeps the group is added.
pub(super) fn add_offsets(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: AddOffsetsToTxnRequest = call.decode()?;
    let producer = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let id = &request.transactional_id;
    let added = check_coordinator(coordinator.topics, call.broker, id).and_then(|()| {
        let unavailable = ResponseError::CoordinatorNotAvailable;
        let number = partition_for(coordinator.topics, &request.group_id).ok_or(unavailable)?;
        let known = coordinator.transactions.get_mut(id);
        let known = known.ok_or(ResponseError::InvalidProducerIdMapping)?;
        known.add(
            coordinator.now,
            producer,
            [(OFFSETS_TOPIC.to_owned(), number)],
        )
    });
    let added = added.map_err(|error| readable(error, call.head.version, KNOWS_FENCED));
    call.reply(&AddOffsetsToTxnResponse::default().with_error_code(super::code(&added)))
}

pub(super) fn end(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: EndTxnRequest = call.decode()?;
    let bumps = call.head.version >= BUMPS;
    let ended = end_one(coordinator, call, &request, bumps);
    coordinator.finish();
    let response = EndTxnResponse::default();
    let producer = match ended {
        Ok(()) => {
            let known = coordinator.transactions.get_mut(&request.transactional_id);
            known.map(|known| known.producer())
        }
        Err(_) => None,
    };
    let ended = ended.map_err(|error| readable(error, call.head.version, KNOWS_FENCED));
    let response = response.with_error_code(super::code(&ended));
    call.reply(&match producer.filter(|_| bumps) {
        Some(producer) => response
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch),
        None => response
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    })
}

fn end_one(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
    request: &EndTxnRequest,
    bumps: bool,
) -> Result<(), ResponseError> {
    check_coordinator(coordinator.topics, call.broker, &request.transactional_id)?;
    let producer = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let outcome = if request.committed {
        Outcome::Commit
    } else {
        Outcome::Abort
    };
    let next = &mut *coordinator.next_producer_id;
    let known = coordinator
        .transactions
        .get_mut(&request.transactional_id)
        .ok_or(ResponseError::InvalidProducerIdMapping)?;
    if bumps {
        known.end_with_bump(producer, outcome, || next_id(next))
    } else {
        known.end(producer, outcome)
    }
}

pub(super) fn describe(
    coordinator: &TransactionCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: DescribeTransactionsRequest = call.decode()?;
    let states = request.transactional_ids.into_iter().map(|id| {
        let known = check_coordinator(coordinator.topics, call.broker, &id).and_then(|()| {
            let known = coordinator.transactions.get(&id);
            known.ok_or(ResponseError::TransactionalIdNotFound)
        });
        let state = match known {
            Ok(known) => described(known),
            Err(error) => TransactionState::default().with_error_code(error.code()),
        };
        state.with_transactional_id(id)
    });
    let states = states.collect();
    call.reply(&DescribeTransactionsResponse::default().with_transaction_states(states))
}

/// `TransactionCoordinator.handleDescribeTransactions`.
fn described(known: &Transaction) -> TransactionState {
    let mut topics = Vec::<TopicData>::new();
    for (topic, index) in known.partitions() {
        match topics.last_mut().filter(|last| *last.topic == **topic) {
            Some(last) => last.partitions.push(*index),
            None => topics.push(
                TopicData::default()
                    .with_topic(TopicName(wire(topic)))
                    .with_partitions(vec![*index]),
            ),
        }
    }
    let timeout = i32::try_from(known.timeout().as_millis()).unwrap_or(i32::MAX);
    let producer = known.producer();
    TransactionState::default()
        .with_transaction_state(wire(known.state_name()))
        .with_transaction_timeout_ms(timeout)
        .with_transaction_start_time_ms(known.started().map_or(-1, millis_of))
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
        .with_topics(topics)
}
