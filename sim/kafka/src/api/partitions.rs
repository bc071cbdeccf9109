//! `CreatePartitions`, `DeleteRecords` and `ListPartitionReassignments`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::create_topics::ErrorWithMessage;
use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::controller::Controller;
use crate::topics::Topics;

pub(super) fn create(controller: &mut Controller<'_>, call: &Call) -> Result<Reply, CloseReason> {
    let request: CreatePartitionsRequest = call.decode()?;
    let mut results = Vec::new();
    for topic in &request.topics {
        let result = grow(controller, topic, request.validate_only);
        let response = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        results.push(match result {
            Ok(()) => response,
            Err((error, message)) => response
                .with_error_code(error.code())
                .with_error_message(Some(wire(&message))),
        });
    }
    call.reply(&CreatePartitionsResponse::default().with_results(results))
}

/// `ReplicationControlManager.createPartitions`; where the new ones go is not for the client.
fn grow(
    controller: &mut Controller<'_>,
    wanted: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), ErrorWithMessage> {
    let unknown = || {
        let message = "This server does not host this topic-partition.".to_owned();
        (ResponseError::UnknownTopicOrPartition, message)
    };
    let have = controller
        .topics
        .get(&wanted.name)
        .ok_or_else(unknown)?
        .partitions
        .len();
    let count = usize::try_from(wanted.count).unwrap_or(0);
    if count <= have {
        let message = format!(
            "The topic {} currently has {have} partition(s); {} would not be an increase.",
            wanted.name.as_str(),
            wanted.count
        );
        return Err((ResponseError::InvalidPartitions, message));
    }
    if wanted.assignments.is_some() {
        let message = "The model places new partitions itself.".to_owned();
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    let fits = controller
        .topics
        .has_room_for(count - have, controller.limits);
    let (Ok(count), true) = (u16::try_from(count), fits) else {
        let message = "Excessively large number of partitions per request.".to_owned();
        return Err((ResponseError::PolicyViolation, message));
    };
    if !validate_only {
        let alive = controller.brokers.alive();
        controller
            .topics
            .grow(&wanted.name, count, &alive, controller.limits);
    }
    Ok(())
}

pub(super) fn delete_records(topics: &mut Topics, call: &Call) -> Result<Reply, CloseReason> {
    let request: DeleteRecordsRequest = call.decode()?;
    let mut results = Vec::new();
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|wanted| {
            let deleted = delete_before(
                topics,
                call,
                &topic.name,
                wanted.partition_index,
                wanted.offset,
            );
            DeleteRecordsPartitionResult::default()
                .with_partition_index(wanted.partition_index)
                .with_error_code(super::code(&deleted))
                .with_low_watermark(deleted.unwrap_or(-1))
        });
        let partitions = partitions.collect();
        let response = DeleteRecordsTopicResult::default().with_name(topic.name.clone());
        results.push(response.with_partitions(partitions));
    }
    call.reply(&DeleteRecordsResponse::default().with_topics(results))
}

fn delete_before(
    topics: &mut Topics,
    call: &Call,
    topic: &str,
    index: i32,
    offset: i64,
) -> Result<i64, ResponseError> {
    let topic = topics
        .get_mut(topic)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    if topic.internal {
        return Err(ResponseError::InvalidTopicException);
    }
    let partition = topic
        .partition_mut(index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    partition.check(call.broker, None, true)?;
    partition.log.delete_before(offset)
}

/// Nothing is ever being reassigned.
pub(super) fn list_reassignments(call: &Call) -> Result<Reply, CloseReason> {
    let _: ListPartitionReassignmentsRequest = call.decode()?;
    let response = ListPartitionReassignmentsResponse::default().with_error_message(None);
    call.reply(&response)
}
