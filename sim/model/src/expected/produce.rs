//! Produce: denied topics are cut, and the response has an error for each of their partitions.

use bytes::Bytes;
use doorkeeper_core::policy::{Operation, Policy};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Head;
use super::authorized::{Cut, DenialReport, DeniedTopic, authorize};
use super::typed;

pub(super) fn cut(head: Head, frame: &Bytes, policy: &Policy) -> Cut {
    let Some((header, mut request)) = typed::request::<ProduceRequest>(head, frame) else {
        return Cut::Unclear;
    };
    let mut denied = DenialReport::default();
    request.topic_data.retain(|topic| {
        let partitions = topic.partition_data.iter().map(|data| data.index).collect();
        let authorized = authorize(
            policy,
            Operation::Write,
            &topic.name,
            topic.topic_id,
            partitions,
        );
        let stays = authorized.is_none();
        denied.topics.extend(authorized);
        stays
    });
    if denied.topics.is_empty() {
        return Cut::Nothing;
    }
    if request.topic_data.is_empty() {
        return Cut::All(denied);
    }
    typed::request_frame(head, &header, &request)
        .map_or(Cut::Unclear, |left| Cut::Some { left, denied })
}

/// The response of the broker, with what was denied.
pub(super) fn report(response: &mut ProduceResponse, denied: &DenialReport) {
    response.responses.extend(denied.topics.iter().map(entry));
}

fn entry(topic: &DeniedTopic) -> TopicProduceResponse {
    // `PartitionResponse` with an error: no offset, no time.
    let partition = |index: &i32| {
        PartitionProduceResponse::default()
            .with_index(*index)
            .with_error_code(topic.code)
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
    };
    TopicProduceResponse::default()
        .with_name(TopicName(StrBytes::from_string(topic.name.clone())))
        .with_topic_id(topic.id)
        .with_partition_responses(topic.partitions.iter().map(partition).collect())
}

/// The order of topics says nothing.
pub(super) fn sort(response: &mut ProduceResponse) {
    response.responses.sort_by_key(|topic| {
        let partitions: Vec<i32> = topic.partition_responses.iter().map(|p| p.index).collect();
        (topic.name.to_string(), topic.topic_id, partitions)
    });
}
