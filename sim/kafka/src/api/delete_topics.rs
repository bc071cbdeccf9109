//! `DeleteTopics`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use uuid::Uuid;

use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::topics::Topics;

/// From this version on topics may be named by id.
const BY_ID: i16 = 6;

/// Deletes topics; `deleted` gets the name and the id of each.
pub(super) fn handle(
    topics: &mut Topics,
    call: &Call,
    deleted: &mut Vec<(String, Uuid)>,
) -> Result<Reply, CloseReason> {
    let request: DeleteTopicsRequest = call.decode()?;
    let wanted: Vec<(Option<TopicName>, Uuid)> = if call.head.version >= BY_ID {
        request
            .topics
            .into_iter()
            .map(|topic| (topic.name, topic.topic_id))
            .collect()
    } else {
        request
            .topic_names
            .into_iter()
            .map(|name| (Some(name), Uuid::nil()))
            .collect()
    };
    let results = wanted.into_iter().map(|(name, id)| {
        let result = delete(topics, name.as_ref(), id);
        let response = DeletableTopicResult::default().with_error_code(super::code(&result));
        match result {
            Ok((name, id)) => {
                let response = response
                    .with_name(Some(TopicName(wire(&name))))
                    .with_topic_id(id);
                deleted.push((name, id));
                response
            }
            Err(error) => response
                .with_name(name)
                .with_topic_id(id)
                .with_error_message(Some(wire(&error.to_string()))),
        }
    });
    let results = results.collect();
    call.reply(&DeleteTopicsResponse::default().with_responses(results))
}

fn delete(
    topics: &mut Topics,
    name: Option<&TopicName>,
    id: Uuid,
) -> Result<(String, Uuid), ResponseError> {
    let name = match (name, id.is_nil()) {
        (Some(name), true) => name.to_string(),
        (None, false) => topics
            .name_of(&id)
            .map(str::to_owned)
            .ok_or(ResponseError::UnknownTopicId)?,
        // Both or neither.
        (Some(_), false) | (None, true) => return Err(ResponseError::InvalidRequest),
    };
    let topic = topics
        .delete(&name)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    Ok((name, topic.id))
}
