//! `Metadata` and `DescribeTopicPartitions`: brokers, topics, and who leads what.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response as described;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, MetadataRequest,
    MetadataResponse, TopicName,
};
use uuid::Uuid;

use super::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS, wire};
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::controller::Controller;
use crate::topics::{Partition, Topic, internal_partitions, name_is_legal};

/// `max.request.partition.size.limit`.
const PARTITIONS_DESCRIBED_MAX: usize = 2000;

/// The topics that a request asks for.
enum TopicSelection {
    All,
    Names(BTreeSet<String>),
    Ids(BTreeSet<Uuid>),
}

pub(super) fn handle(controller: &mut Controller<'_>, call: &Call) -> Result<Reply, CloseReason> {
    let request: MetadataRequest = call.decode()?;
    let version = call.head.version;
    let Some(selection) = selection(&request, version) else {
        // `MetadataRequest.getErrorResponse`: every topic of the request has the error.
        let code = ResponseError::InvalidRequest.code();
        let failed = request.topics.unwrap_or_default().into_iter().map(|topic| {
            let name = topic.name.or_else(|| Some(TopicName(wire(""))));
            topic_error(name, topic.topic_id, code)
        });
        return call.reply(&MetadataResponse::default().with_topics(failed.collect()));
    };
    let operations = if request.include_topic_authorized_operations {
        TOPIC_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let mut topics = Vec::new();
    match selection {
        TopicSelection::All => topics.extend(controller.topics.iter().map(|(name, topic)| {
            describe(controller, name, topic).with_topic_authorized_operations(operations)
        })),
        TopicSelection::Ids(ids) => {
            topics.extend(ids.iter().map(|id| match controller.topics.name_of(id) {
                Some(name) => named(controller, name).with_topic_authorized_operations(operations),
                None => topic_error(None, *id, ResponseError::UnknownTopicId.code()),
            }));
        }
        TopicSelection::Names(names) => {
            topics.extend(
                names.iter().map(|name| {
                    named(controller, name).with_topic_authorized_operations(operations)
                }),
            );
            if request.allow_auto_topic_creation && controller.limits.auto_create_topics {
                create_missing(controller, &names);
            }
        }
    }
    let brokers = controller
        .brokers
        .iter()
        .filter(|(_, broker)| broker.up)
        .map(|(id, broker)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id.0))
                .with_host(wire(broker.advertised.host()))
                .with_port(i32::from(broker.advertised.port()))
        });
    let mut response = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(wire(controller.cluster_id)))
        .with_controller_id(BrokerId(controller.brokers.any_alive()))
        .with_topics(topics);
    if request.include_cluster_authorized_operations {
        response = response.with_cluster_authorized_operations(CLUSTER_OPERATIONS);
    }
    call.reply(&response)
}

/// None if the request is illegal.
fn selection(request: &MetadataRequest, version: i16) -> Option<TopicSelection> {
    let Some(topics) = &request.topics else {
        return Some(TopicSelection::All);
    };
    if version == 0 && topics.is_empty() {
        return Some(TopicSelection::All);
    }
    if version < 12
        && topics
            .iter()
            .any(|topic| topic.name.is_none() || !topic.topic_id.is_nil())
    {
        return None;
    }
    let ids: BTreeSet<_> = topics
        .iter()
        .map(|t| t.topic_id)
        .filter(|id| !id.is_nil())
        .collect();
    if !ids.is_empty() {
        return Some(TopicSelection::Ids(ids));
    }
    let names = topics.iter().filter_map(|topic| topic.name.as_ref());
    Some(TopicSelection::Names(
        names.map(|name| name.to_string()).collect(),
    ))
}

/// Missing topics are created, but this response still calls them unknown: clients ask again
/// (`AutoTopicCreationManager`).
fn create_missing(controller: &mut Controller<'_>, names: &BTreeSet<String>) {
    for name in names {
        if controller.topics.get(name).is_none() && name_is_legal(name) {
            controller.auto_create(name);
        }
    }
}

fn named(controller: &Controller<'_>, name: &str) -> MetadataResponseTopic {
    match controller.topics.get(name) {
        Some(topic) => describe(controller, name, topic),
        None => {
            let error = if name_is_legal(name) {
                ResponseError::UnknownTopicOrPartition
            } else {
                ResponseError::InvalidTopicException
            };
            topic_error(Some(TopicName(wire(name))), Uuid::nil(), error.code())
                .with_is_internal(internal_partitions(name).is_some())
        }
    }
}

fn topic_error(name: Option<TopicName>, id: Uuid, code: i16) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_name(name)
        .with_topic_id(id)
        .with_error_code(code)
}

fn describe(controller: &Controller<'_>, name: &str, topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0_i32..).zip(&topic.partitions).map(|(index, partition)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(leader_code(partition))
            .with_leader_id(BrokerId(partition.leader.map_or(-1, |id| id.0)))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(partition.replicas.iter().map(|id| BrokerId(id.0)).collect())
            .with_isr_nodes(partition.in_sync.iter().map(|id| BrokerId(id.0)).collect())
            .with_offline_replicas(offline(controller, partition))
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(wire(name))))
        .with_topic_id(topic.id)
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
}

fn leader_code(partition: &Partition) -> i16 {
    if partition.leader.is_some() {
        0
    } else {
        ResponseError::LeaderNotAvailable.code()
    }
}

fn offline(controller: &Controller<'_>, partition: &Partition) -> Vec<BrokerId> {
    let down = partition
        .replicas
        .iter()
        .filter(|id| controller.brokers.up(**id).is_none());
    down.map(|id| BrokerId(id.0)).collect()
}

/// `DescribeTopicPartitions` (KIP-966): topics in order of their names, cut off at a limit.
pub(super) fn describe_topic_partitions(
    controller: &Controller<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: DescribeTopicPartitionsRequest = call.decode()?;
    let cursor = request.cursor.as_ref();
    let from = cursor
        .map(|cursor| cursor.topic_name.to_string())
        .unwrap_or_default();
    let names: BTreeSet<String> = if request.topics.is_empty() {
        controller
            .topics
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect()
    } else {
        request
            .topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    };
    let selection = usize::try_from(request.response_partition_limit)
        .unwrap_or(1)
        .max(1);
    let mut left = selection.min(PARTITIONS_DESCRIBED_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| *name >= from) {
        let first = cursor.filter(|cursor| *cursor.topic_name == *name);
        let first = first.map_or(0, |cursor| {
            usize::try_from(cursor.partition_index).unwrap_or(0)
        });
        let (topic, next) = describe_from(controller, &name, first, left);
        left = left.saturating_sub(topic.partitions.len());
        response.topics.push(topic);
        if let Some(partition) = next {
            let cursor = described::Cursor::default()
                .with_topic_name(TopicName(wire(&name)))
                .with_partition_index(partition);
            response.next_cursor = Some(cursor);
            break;
        }
    }
    call.reply(&response)
}

/// A topic from partition `first` on, and the partition to go on with if not all fit.
fn describe_from(
    controller: &Controller<'_>,
    name: &str,
    first: usize,
    count_max: usize,
) -> (described::DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let plain = named(controller, name);
    let response = described::DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(plain.error_code)
        .with_name(plain.name)
        .with_topic_id(plain.topic_id)
        .with_is_internal(plain.is_internal)
        .with_topic_authorized_operations(TOPIC_OPERATIONS);
    let next = plain
        .partitions
        .get(first.saturating_add(count_max))
        .map(|p| p.partition_index);
    let partitions = plain
        .partitions
        .into_iter()
        .skip(first)
        .take(count_max)
        .map(|p| {
            described::DescribeTopicPartitionsResponsePartition::default()
                .with_error_code(p.error_code)
                .with_partition_index(p.partition_index)
                .with_leader_id(p.leader_id)
                .with_leader_epoch(p.leader_epoch)
                .with_replica_nodes(p.replica_nodes)
                .with_isr_nodes(p.isr_nodes)
                .with_eligible_leader_replicas(Some(Vec::new()))
                .with_last_known_elr(Some(Vec::new()))
                .with_offline_replicas(p.offline_replicas)
        });
    (response.with_partitions(partitions.collect()), next)
}
