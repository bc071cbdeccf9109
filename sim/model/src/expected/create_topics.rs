//! CreateTopics: denied topics are cut, and the response says that they are denied.

use bytes::Bytes;
use doorkeeper_core::policy::{Operation, Policy};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::Head;
use super::authorized::{Cut, DenialReport, authorize};
use super::typed;

pub(super) fn cut(head: Head, frame: &Bytes, policy: &Policy) -> Cut {
    let Some((header, mut request)) = typed::request::<CreateTopicsRequest>(head, frame) else {
        return Cut::Unclear;
    };
    let mut denied = DenialReport::default();
    request.topics.retain(|topic| {
        let authorized = authorize(
            policy,
            Operation::Create,
            &topic.name,
            Uuid::nil(),
            Vec::new(),
        );
        let stays = authorized.is_none();
        denied.topics.extend(authorized);
        stays
    });
    if denied.topics.is_empty() {
        return Cut::Nothing;
    }
    if request.topics.is_empty() {
        return Cut::All(denied);
    }
    typed::request_frame(head, &header, &request)
        .map_or(Cut::Unclear, |left| Cut::Some { left, denied })
}

/// `ControllerApis.createTopics`.
pub(super) fn report(response: &mut CreateTopicsResponse, version: i16, denied: &DenialReport) {
    let entries = denied.topics.iter().map(|topic| {
        let entry = CreatableTopicResult::default()
            .with_name(TopicName(StrBytes::from_string(topic.name.clone())))
            .with_error_code(topic.code);
        if version >= 1 {
            let message = StrBytes::from_static_str("Authorization failed.");
            entry.with_error_message(Some(message))
        } else {
            entry
        }
    });
    response.topics.extend(entries);
}

/// The order of topics says nothing.
pub(super) fn sort(response: &mut CreateTopicsResponse) {
    response.topics.sort_by_key(|topic| topic.name.to_string());
}
