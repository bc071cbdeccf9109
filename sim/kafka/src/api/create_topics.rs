//! `CreateTopics`.

use std::collections::{BTreeMap, BTreeSet};

use doorkeeper_core::id::BrokerId;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use uuid::Uuid;

use super::{configs, wire};
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::controller::Controller;
use crate::topics::{Layout, NewTopic, name_is_legal};

/// An error: which and why, in Kafka's words where clients show them.
pub(super) type ErrorWithMessage = (ResponseError, String);

pub(super) fn handle(controller: &mut Controller<'_>, call: &Call) -> Result<Reply, CloseReason> {
    let request: CreateTopicsRequest = call.decode()?;
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<_> = request
        .topics
        .iter()
        .map(|topic| &topic.name)
        .filter(|name| !seen.insert(*name))
        .collect();
    let mut results = Vec::new();
    for topic in &request.topics {
        let response = CreatableTopicResult::default().with_name(topic.name.clone());
        let created = if repeated.contains(&topic.name) {
            Err((
                ResponseError::InvalidRequest,
                "Duplicate topic name.".to_owned(),
            ))
        } else {
            create(controller, topic, request.validate_only)
        };
        results.push(match created {
            Ok(created) => response
                .with_topic_id(created.id)
                .with_error_message(None)
                .with_num_partitions(created.partitions)
                .with_replication_factor(created.replicas)
                .with_configs(Some(created.configs)),
            Err((error, message)) => response
                .with_error_code(error.code())
                .with_error_message(Some(wire(&message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        });
    }
    call.reply(&CreateTopicsResponse::default().with_topics(results))
}

struct CreatedTopic {
    id: Uuid,
    partitions: i32,
    replicas: i16,
    configs: Vec<CreatableTopicConfigs>,
}

/// `ReplicationControlManager.createTopic`.
fn create(
    controller: &mut Controller<'_>,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatedTopic, ErrorWithMessage> {
    let name = topic.name.as_str();
    if !name_is_legal(name) {
        let message = format!("Topic name is invalid: '{name}'");
        return Err((ResponseError::InvalidTopicException, message));
    }
    if controller.topics.get(name).is_some() {
        let message = format!("Topic '{name}' already exists.");
        return Err((ResponseError::TopicAlreadyExists, message));
    }
    // Metric names cannot distinguish them.
    let flat = name.replace('.', "_");
    if let Some((other, _)) = controller
        .topics
        .iter()
        .find(|(n, _)| n.replace('.', "_") == flat)
    {
        let message = format!("Topic '{name}' collides with existing topic: {other}");
        return Err((ResponseError::InvalidTopicException, message));
    }
    let layout = layout(controller, topic)?;
    let configs = configs_of(topic)?;
    if !controller
        .topics
        .has_room_for(layout.partitions(), controller.limits)
    {
        let message = "Excessively large number of partitions per request.".to_owned();
        return Err((ResponseError::PolicyViolation, message));
    }
    let mut created = CreatedTopic {
        id: Uuid::nil(),
        partitions: i32::try_from(layout.partitions()).unwrap_or(-1),
        replicas: i16::try_from(layout.replicas()).unwrap_or(-1),
        configs: configs::creatable(&configs, controller.limits),
    };
    if !validate_only {
        created.id = controller.rng.uuid();
        let alive = controller.brokers.alive();
        let new = NewTopic {
            name,
            id: created.id,
            layout,
            configs,
        };
        controller.topics.create(new, &alive, controller.limits);
    }
    Ok(created)
}

fn layout(controller: &Controller<'_>, topic: &CreatableTopic) -> Result<Layout, ErrorWithMessage> {
    if !topic.assignments.is_empty() {
        return assigned(controller, topic);
    }
    let partitions = match topic.num_partitions {
        -1 => controller.limits.default_partitions,
        count if count < 1 => {
            let message = "Number of partitions was set to an invalid non-positive value.";
            return Err((ResponseError::InvalidPartitions, message.to_owned()));
        }
        // More than any limit: the room is checked next.
        count => u16::try_from(count).unwrap_or(u16::MAX),
    };
    let alive = controller.brokers.alive().len();
    let replicas = match topic.replication_factor {
        -1 => usize::from(controller.limits.default_replication_factor).min(alive),
        count => usize::try_from(count).unwrap_or(0),
    };
    if replicas == 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err((ResponseError::InvalidReplicationFactor, message.to_owned()));
    }
    if replicas > alive {
        let message = format!(
            "Unable to replicate the partition {replicas} time(s): The target replication factor \
             of {replicas} cannot be reached because only {alive} broker(s) are registered."
        );
        return Err((ResponseError::InvalidReplicationFactor, message));
    }
    Ok(Layout::Spread {
        partitions,
        replicas,
    })
}

/// Partitions that say where they want to be: numbered from 0, all with as many replicas.
fn assigned(
    controller: &Controller<'_>,
    topic: &CreatableTopic,
) -> Result<Layout, ErrorWithMessage> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let message = "A manual partition assignment was specified, but numPartitions or \
                       replicationFactor was not set to -1.";
        return Err((ResponseError::InvalidRequest, message.to_owned()));
    }
    let bad = |message: &str| (ResponseError::InvalidReplicaAssignment, message.to_owned());
    let mut given = BTreeMap::new();
    for assignment in &topic.assignments {
        let replicas: Vec<BrokerId> = assignment
            .broker_ids
            .iter()
            .map(|id| BrokerId(id.0))
            .collect();
        let distinct: BTreeSet<_> = replicas.iter().collect();
        if replicas.is_empty() || distinct.len() != replicas.len() {
            return Err(bad(
                "The manual partition assignment has no or repeated replicas.",
            ));
        }
        if !replicas
            .iter()
            .all(|id| controller.brokers.get(*id).is_some())
        {
            return Err(bad(
                "The manual partition assignment names an unknown broker.",
            ));
        }
        if given.insert(assignment.partition_index, replicas).is_some() {
            return Err(bad(
                "Found multiple manual partition assignments for a partition.",
            ));
        }
    }
    let numbered = (0_i32..)
        .zip(given.keys())
        .all(|(expected, index)| expected == *index);
    let given: Vec<_> = given.into_values().collect();
    let factor = given.first().map_or(0, Vec::len);
    if !numbered || given.iter().any(|replicas| replicas.len() != factor) {
        return Err(bad(
            "Partitions should be a consecutive 0-based integer sequence.",
        ));
    }
    Ok(Layout::Given(given))
}

fn configs_of(topic: &CreatableTopic) -> Result<BTreeMap<String, String>, ErrorWithMessage> {
    let mut all = BTreeMap::new();
    for config in &topic.configs {
        let name = config.name.to_string();
        if !configs::is_topic_config(&name) {
            let message = format!("Unknown topic config name: {name}");
            return Err((ResponseError::InvalidConfig, message));
        }
        let Some(value) = &config.value else {
            let message = format!("Null value not supported for topic configs: {name}");
            return Err((ResponseError::InvalidConfig, message));
        };
        all.insert(name, value.to_string());
    }
    Ok(all)
}
