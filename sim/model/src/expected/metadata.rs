//! Metadata: refused topics are told as refused where they were asked for by name, and left out
//! where all were asked for.

use bytes::Bytes;
use doorkeeper_core::policy::{Operation, Policy};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Head;
use super::authorized::{Cut, Refused, judge, refuses};
use super::typed;

pub(super) fn cut(head: Head, frame: &Bytes, policy: &Policy) -> Cut {
    let Some((header, mut request)) = typed::request::<MetadataRequest>(head, frame) else {
        return Cut::Unclear;
    };
    let mut refused = Refused::default();
    let asks_for_all = match &mut request.topics {
        None => true,
        Some(topics) if topics.is_empty() => head.version == 0,
        Some(topics) => {
            topics.retain(|topic| {
                let name = topic.name.as_ref().map_or("", |name| name.as_str());
                let what = Operation::Describe;
                let judged = judge(policy, what, name, topic.topic_id, Vec::new());
                let stays = judged.is_none();
                refused.topics.extend(judged);
                stays
            });
            // In version 0 no topics stand for all of them.
            refused.filter_all = topics.is_empty();
            false
        }
    };
    if refused.topics.is_empty() && !asks_for_all {
        return Cut::Nothing;
    }
    refused.filter = Some(policy.clone());
    typed::request_frame(head, &header, &request)
        .map_or(Cut::Unclear, |left| Cut::Some { left, refused })
}

pub(super) fn tell(response: &mut MetadataResponse, version: i16, refused: &Refused) {
    if let Some(policy) = &refused.filter {
        response.topics.retain(|topic| {
            let name = topic.name.as_ref().map_or("", |name| name.as_str());
            !refused.filter_all && !refuses(policy, Operation::Describe, name)
        });
    }
    // `KafkaApis.handleTopicMetadataRequest`: what was asked for by name has no id, what was
    // asked for by id has no name; no partitions.
    let entries = refused.topics.iter().map(|topic| {
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
