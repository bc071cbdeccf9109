//! Metadata: denied topics are reported as denied where they were asked for by name, and left out
//! where all were asked for.

use bytes::Bytes;
use doorkeeper_core::policy::{Operation, Policy};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Head;
use super::authorized::{Cut, DenialReport, authorize, denies};
use super::typed;

pub(super) fn cut(head: Head, frame: &Bytes, policy: &Policy) -> Cut {
    let Some((header, mut request)) = typed::request::<MetadataRequest>(head, frame) else {
        return Cut::Unclear;
    };
    let mut denied = DenialReport::default();
    let asks_for_all = match &mut request.topics {
        None => true,
        Some(topics) if topics.is_empty() => head.version == 0,
        Some(topics) => {
            topics.retain(|topic| {
                let name = topic.name.as_ref().map_or("", |name| name.as_str());
                let what = Operation::Describe;
                let authorized = authorize(policy, what, name, topic.topic_id, Vec::new());
                let stays = authorized.is_none();
                denied.topics.extend(authorized);
                stays
            });
            // In version 0 no topics stand for all of them.
            denied.filter_all = topics.is_empty();
            false
        }
    };
    if denied.topics.is_empty() && !asks_for_all {
        return Cut::Nothing;
    }
    denied.filter = Some(policy.clone());
    typed::request_frame(head, &header, &request)
        .map_or(Cut::Unclear, |left| Cut::Some { left, denied })
}

pub(super) fn report(response: &mut MetadataResponse, version: i16, denied: &DenialReport) {
    if let Some(policy) = &denied.filter {
        response.topics.retain(|topic| {
            let name = topic.name.as_ref().map_or("", |name| name.as_str());
            !denied.filter_all && !denies(policy, Operation::Describe, name)
        });
    }
    // `KafkaApis.handleTopicMetadataRequest`: what was asked for by name has no id, what was
    // asked for by id has no name; no partitions.
    let entries = denied.topics.iter().map(|topic| {
        let named = topic.id.is_nil() || version < 12;
        let name = TopicName(StrBytes::from_string(topic.name.clone()));
        MetadataResponseTopic::default()
            .with_error_code(topic.code)
            .with_topic_id(topic.id)
            .with_name(named.then_some(name))
    });
    response.topics.extend(entries);
}

/// The order of topics says nothing.
pub(super) fn sort(response: &mut MetadataResponse) {
    response.topics.sort_by_key(|topic| {
        let name = topic.name.as_ref().map(|name| name.to_string());
        (name, topic.topic_id)
    });
}
