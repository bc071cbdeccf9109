//! `DeleteTopics`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use uuid::Uuid;

use super::wire;
use crate::close::CloseReason;
use crate::cluster::Cluster;
use crate::codec::{Call, Reply};

/// From this version on topics may be named by id.
const BY_ID: i16 = 6;

pub(super) fn handle(cluster: &mut Cluster, call: &Call) -> Result<Reply, CloseReason> {
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
        let result = delete(cluster, name.as_ref(), id);
        let response = DeletableTopicResult::default().with_error_code(super::code(&result));
        match result {
            Ok((name, id)) => response
                .with_name(Some(TopicName(wire(&name))))
                .with_topic_id(id),
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
    cluster: &mut Cluster,
    name: Option<&TopicName>,
    id: Uuid,
) -> Result<(String, Uuid), ResponseError> {
    let name = match (name, id.is_nil()) {
        (Some(name), true) => name.to_string(),
        (None, false) => cluster
            .topics
            .name_of(&id)
            .map(str::to_owned)
            .ok_or(ResponseError::UnknownTopicId)?,
        // Both or neither.
        (Some(_), false) | (None, true) => return Err(ResponseError::InvalidRequest),
    };
    let topic = cluster
        .topics
        .delete(&name)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    cluster.shares.forget_topic(topic.id);
    cluster.topic_deleted(&name);
    Ok((name, topic.id))
}
