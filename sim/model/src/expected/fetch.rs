//! Fetch: denied topics are cut, no session is granted, and the response has an error for each of
//! their partitions.

use bytes::Bytes;
use doorkeeper_core::policy::{Operation, Policy};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Head;
use super::authorized::{Cut, DenialReport, DeniedTopic, authorize};
use super::typed;

/// The first version with fetch sessions (KIP-227).
const SESSIONS: i16 = 7;

pub(super) fn cut(head: Head, frame: &Bytes, policy: &Policy) -> Cut {
    let Some((header, mut request)) = typed::request::<FetchRequest>(head, frame) else {
        return Cut::Unclear;
    };
    if head.version >= SESSIONS {
        if request.session_epoch > 0 {
            return Cut::NoSession;
        }
        request.session_id = 0;
        request.session_epoch = -1;
    }
    let mut denied = DenialReport::default();
    request.topics.retain(|topic| {
        let partitions = topic.partitions.iter().map(|p| p.partition).collect();
        let authorized = authorize(
            policy,
            Operation::Read,
            &topic.topic,
            topic.topic_id,
            partitions,
        );
        let stays = authorized.is_none();
        denied.topics.extend(authorized);
        stays
    });
    if request.topics.is_empty() && !denied.topics.is_empty() {
        return Cut::All(denied);
    }
    typed::request_frame(head, &header, &request)
        .map_or(Cut::Unclear, |left| Cut::Some { left, denied })
}

pub(super) fn report(response: &mut FetchResponse, version: i16, denied: &DenialReport) {
    if response.error_code != 0 {
        // A response that is an error as a whole lists no topics.
        return;
    }
    let entries = denied.topics.iter().map(|topic| entry(topic, version));
    response.responses.extend(entries);
}

/// `FetchResponse.partitionResponse`: no watermark, no records.
fn entry(topic: &DeniedTopic, version: i16) -> FetchableTopicResponse {
    let partition = |index: &i32| {
        PartitionData::default()
            .with_partition_index(*index)
            .with_error_code(topic.code)
            .with_high_watermark(-1)
            .with_records(Some(Bytes::new()))
    };
    let entry = FetchableTopicResponse::default()
        .with_partitions(topic.partitions.iter().map(partition).collect());
    if version >= 13 {
        entry.with_topic_id(topic.id)
    } else {
        entry.with_topic(TopicName(StrBytes::from_string(topic.name.clone())))
    }
}

/// The order of topics says nothing, and there is no difference between no records and none.
pub(super) fn sort(response: &mut FetchResponse) {
    for topic in &mut response.responses {
        for partition in &mut topic.partitions {
            partition.records.get_or_insert_default();
        }
    }
    response.responses.sort_by_key(|topic| {
        let partitions: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).collect();
        (topic.topic.to_string(), topic.topic_id, partitions)
    });
}
