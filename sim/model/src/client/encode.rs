//! Requests as frames.

mod group;
mod share;
mod transaction;

use bytes::{BufMut, Bytes, BytesMut};
use doorkeeper_kafka_model::Cluster;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, CreateTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, FetchRequest, FindCoordinatorRequest, ListOffsetsRequest,
    MetadataRequest, ProduceRequest, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Encodable, Message, StrBytes};
use uuid::Uuid;

use super::batch::{Writer, batch};
use super::memory::Memory;
use super::sequences::Sequences;
use crate::payload::{Tag, payload};
use crate::script::{
    Acks, BatchChoice, FetchSession, Part, Producer, Request, Topic, TopicPartition, What,
};

/// What a request's bytes depend on besides the script.
#[derive(Debug)]
pub struct Context<'a> {
    /// The number of the client, which is also its `client_id`.
    pub client: u8,
    /// The correlation id.
    pub id: i32,
    /// The ids of topics.
    pub topic_id: &'a dyn TopicIds,
    /// What earlier responses said.
    pub memory: &'a Memory,
    /// A fetch session of another client.
    pub foreign_session: Option<(i32, i32)>,
    /// Counts payloads.
    pub payloads: &'a mut u32,
    /// What its producers have sent.
    pub sequences: &'a mut Sequences,
}

/// Knows the ids of topics.
pub trait TopicIds: std::fmt::Debug {
    /// The id; one that nobody has if there is no such topic.
    fn topic_id(&self, topic: Topic) -> Uuid;
}

impl TopicIds for Cluster {
    fn topic_id(&self, topic: Topic) -> Uuid {
        let known = Self::topic_id(self, topic.name());
        known.unwrap_or(Uuid::from_u128(0xdead))
    }
}

/// The frame, with its length. A version that nobody can write has an empty body.
#[must_use]
pub fn encode(request: &Request, context: &mut Context<'_>) -> Bytes {
    let v = i16::from(request.version);
    match &request.what {
        What::ApiVersions => frame(ApiKey::ApiVersions, v, context, |v| {
            let body = ApiVersionsRequest::default();
            if v < 3 {
                return body;
            }
            body.with_client_software_name(text("script"))
                .with_client_software_version(text("1"))
        }),
        What::Metadata(topics) => {
            let ids = context.topic_id;
            frame(ApiKey::Metadata, v, context, |v| {
                metadata(v, topics.as_deref(), ids)
            })
        }
        What::Produce(acks, parts) => produce(v, *acks, parts, context),
        What::Fetch(session, wait_ms, places) => {
            let session = match session {
                FetchSession::None => (0, -1),
                FetchSession::New => (0, 0),
                FetchSession::Known => context.memory.fetch_session.unwrap_or((0, 0)),
                FetchSession::Foreign => context.foreign_session.unwrap_or((77, 5)),
                FetchSession::Stale => {
                    let known = context.memory.fetch_session.unwrap_or((77, 5));
                    (known.0, known.1.saturating_add(3))
                }
            };
            let ids = context.topic_id;
            let isolation = isolation(context.client);
            frame(ApiKey::Fetch, v, context, |v| {
                fetch(v, session, *wait_ms, places, ids).with_isolation_level(isolation)
            })
        }
        What::ListOffsets(places) => list_offsets(v, places, context),
        What::FindCoordinator(groups) => find_coordinator(v, groups, context),
        What::InitProducerId(producer) => transaction::init(v, *producer, context),
        What::FindTransactions(id) => transaction::find(v, *id, context),
        What::Write(producer, turn, part) => write(v, *producer, *turn, *part, context),
        What::AddPartitions(id, places) => transaction::add_partitions(v, *id, places, context),
        What::AddOffsets(id, group) => transaction::add_offsets(v, *id, *group, context),
        What::TxnOffsetCommit(id, group, place) => {
            transaction::commit(v, *id, *group, *place, context)
        }
        What::EndTxn(id, result) => transaction::end(v, *id, *result, context),
        What::ConsumerHeartbeat(group, beat) => {
            group::consumer_heartbeat(v, *group, *beat, context)
        }
        What::Share(share) => share::request(v, share, context),
        What::CreateTopics(topics) => create_topics(v, topics, context),
        What::DescribeCluster => frame(ApiKey::DescribeCluster, v, context, |_| {
            DescribeClusterRequest::default()
        }),
        What::DescribeConfigs(broker) => describe_configs(v, *broker, context),
        What::Other(key, body) => other(i16::from(*key), v, context, body),
        What::JoinGroup(group) => group::join(v, *group, context),
        What::SyncGroup(group) => group::sync(v, *group, context),
        What::Heartbeat(group) => group::heartbeat(v, *group, context),
        What::LeaveGroup(group) => group::leave(v, *group, context),
        What::OffsetCommit(group, place) => group::commit(v, *group, *place, context),
        What::OffsetFetch(group) => group::fetch(v, *group, context),
    }
}

fn metadata(v: i16, topics: Option<&[Topic]>, ids: &dyn TopicIds) -> MetadataRequest {
    let by_id = v >= 12;
    let asked = topics.map(|topics| {
        let topic = |topic: &Topic| match by_id && *topic == Topic::Audit {
            true => MetadataRequestTopic::default()
                .with_name(None)
                .with_topic_id(ids.topic_id(*topic)),
            false => MetadataRequestTopic::default().with_name(Some(topic_name(*topic))),
        };
        topics.iter().map(topic).collect()
    });
    let all = if v == 0 { Some(Vec::new()) } else { None };
    MetadataRequest::default().with_topics(asked.or(all))
}

fn produce(v: i16, acks: Acks, parts: &[Part], context: &mut Context<'_>) -> Bytes {
    let mut topics = Vec::<TopicProduceData>::new();
    for part in parts {
        let tag = Tag {
            client: context.client,
            topic: part.place.topic,
            number: *context.payloads,
        };
        *context.payloads += 1;
        let value = payload(tag, part.bytes as usize);
        let data = PartitionProduceData::default()
            .with_index(i32::from(part.place.partition))
            .with_records(Some(batch(&value, Writer::NOBODY)));
        let topic = TopicProduceData::default();
        let topic = match v {
            13.. => topic.with_topic_id(context.topic_id.topic_id(part.place.topic)),
            _ => topic.with_name(topic_name(part.place.topic)),
        };
        topics.push(topic.with_partition_data(vec![data]));
    }
    let acks = match acks {
        Acks::All => -1,
        Acks::None => 0,
        Acks::Leader => 1,
    };
    frame(ApiKey::Produce, v, context, |_| {
        ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(1000)
            .with_topic_data(topics)
    })
}

/// A batch of a producer with sequence numbers.
fn write(
    v: i16,
    producer: Producer,
    turn: BatchChoice,
    part: Part,
    context: &mut Context<'_>,
) -> Bytes {
    let known = context.memory.producers.get(&producer).copied();
    let (client, place, payloads) = (context.client, part.place, &mut *context.payloads);
    let transactional_id = transaction::id_of(producer);
    let value = || {
        let tag = Tag {
            client,
            topic: place.topic,
            number: *payloads,
        };
        *payloads += 1;
        payload(tag, part.bytes as usize)
    };
    let identity = known.unwrap_or((-1, -1));
    let is_transactional = transactional_id.is_some();
    let records = context
        .sequences
        .take(identity, is_transactional, place, turn, value);
    let data = PartitionProduceData::default()
        .with_index(i32::from(place.partition))
        .with_records(Some(records));
    let topic = TopicProduceData::default().with_partition_data(vec![data]);
    let topic = match v {
        13.. => topic.with_topic_id(context.topic_id.topic_id(place.topic)),
        _ => topic.with_name(topic_name(place.topic)),
    };
    frame(ApiKey::Produce, v, context, |_| {
        ProduceRequest::default()
            .with_transactional_id(transactional_id)
            .with_acks(-1)
            .with_timeout_ms(1000)
            .with_topic_data(vec![topic])
    })
}

/// Some clients read only what is committed.
const fn isolation(client: u8) -> i8 {
    if client % 4 == 3 { 1 } else { 0 }
}

fn fetch(
    v: i16,
    (id, epoch): (i32, i32),
    wait_ms: u16,
    places: &[TopicPartition],
    ids: &dyn TopicIds,
) -> FetchRequest {
    let topics = places.iter().map(|place| {
        let partition = FetchPartition::default()
            .with_partition(i32::from(place.partition))
            .with_current_leader_epoch(known_epoch(v, *place))
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_partitions(vec![partition]);
        match v {
            13.. => topic.with_topic_id(ids.topic_id(place.topic)),
            _ => topic.with_topic(topic_name(place.topic)),
        }
    });
    let body = FetchRequest::default()
        .with_max_wait_ms(i32::from(wait_ms))
        .with_min_bytes(1)
        .with_max_bytes(1 << 22)
        .with_topics(topics.collect());
    if v < 7 {
        return body;
    }
    body.with_session_id(id).with_session_epoch(epoch)
}

fn list_offsets(v: i16, places: &[TopicPartition], context: &Context<'_>) -> Bytes {
    frame(ApiKey::ListOffsets, v, context, |_| {
        let topics = places.iter().map(|place| {
            let partition = ListOffsetsPartition::default()
                .with_partition_index(i32::from(place.partition))
                .with_timestamp(-1);
            ListOffsetsTopic::default()
                .with_name(topic_name(place.topic))
                .with_partitions(vec![partition])
        });
        ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(topics.collect())
    })
}

fn find_coordinator(v: i16, groups: &[u8], context: &Context<'_>) -> Bytes {
    frame(ApiKey::FindCoordinator, v, context, |v| {
        let body = FindCoordinatorRequest::default();
        let keys: Vec<StrBytes> = groups.iter().map(|group| group_name(*group)).collect();
        match (v, keys.first()) {
            (4.., _) => body.with_coordinator_keys(keys),
            (_, Some(key)) => body.with_key(key.clone()),
            (_, None) => body,
        }
    })
}

fn create_topics(v: i16, topics: &[Topic], context: &Context<'_>) -> Bytes {
    frame(ApiKey::CreateTopics, v, context, |_| {
        let topics = topics.iter().map(|topic| {
            CreatableTopic::default()
                .with_name(topic_name(*topic))
                .with_num_partitions(1)
                .with_replication_factor(1)
        });
        CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(1000)
    })
}

fn describe_configs(v: i16, broker: u8, context: &Context<'_>) -> Bytes {
    frame(ApiKey::DescribeConfigs, v, context, |_| {
        const BROKER: i8 = 4;
        let resource = DescribeConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name(StrBytes::from_string(broker.to_string()))
            .with_configuration_keys(None);
        DescribeConfigsRequest::default()
            .with_resources(vec![resource])
            .with_include_synonyms(true)
    })
}

/// Of odd partitions clients know the first leader epoch, and never learn of another: what they
/// fetch after a change of leaders gets a hint (KIP-951).
const fn known_epoch(v: i16, place: TopicPartition) -> i32 {
    if v >= 9 && place.partition % 2 == 1 {
        0
    } else {
        -1
    }
}

/// A frame whose header says `v`; its body is of the nearest version that can be written.
fn frame<T: Encodable + Message>(
    key: ApiKey,
    v: i16,
    context: &Context<'_>,
    body: impl FnOnce(i16) -> T,
) -> Bytes {
    let versions = T::VERSIONS;
    let nearest = v.clamp(versions.min, versions.max);
    let mut out = BytesMut::new();
    // A message that its version cannot encode leaves half a body, which is what some clients send.
    let _ = body(nearest).encode(&mut out, nearest);
    headed(
        key as i16,
        v,
        key.request_header_version(nearest),
        context,
        &out,
    )
}

fn other(key: i16, v: i16, context: &Context<'_>, body: &[u8]) -> Bytes {
    let header = ApiKey::try_from(key).map_or(1, |known| known.request_header_version(v));
    headed(key, v, header, context, body)
}

fn headed(key: i16, v: i16, header: i16, context: &Context<'_>, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32(0);
    let head = RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(v)
        .with_correlation_id(context.id)
        .with_client_id(Some(StrBytes::from_string(format!("c{}", context.client))));
    let _ = head.encode(&mut out, header);
    out.put_slice(body);
    let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
    if let Some((prefix, _)) = out.split_first_chunk_mut() {
        *prefix = length.to_be_bytes();
    }
    out.freeze()
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic_name(topic: Topic) -> TopicName {
    TopicName(text(topic.name()))
}

fn group_name(group: u8) -> StrBytes {
    StrBytes::from_string(format!("g{group}"))
}
