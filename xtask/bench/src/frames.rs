//! The frames of clients and of the sink, encoded once.

use anyhow::Result;
use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    FetchRequest, FetchResponse, IncrementalAlterConfigsRequest, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

/// The length prefix and what a request begins with: key, version, correlation id.
pub const REQUEST_HEAD: usize = 12;
/// The length prefix and the correlation id.
pub const RESPONSE_HEAD: usize = 8;

/// Key and version of the Produce that is sent.
pub const PRODUCE: (i16, i16) = (0, 11);
/// Key and version of the Fetch that is sent: its response may have addresses at its end.
pub const FETCH: (i16, i16) = (1, 17);
/// A Fetch whose response has no addresses.
pub const OLD_FETCH: (i16, i16) = (1, 12);
/// Key and version of the Metadata that is asked for.
pub const METADATA: (i16, i16) = (3, 12);
/// Key and version of a client's first request.
pub const API_VERSIONS: (i16, i16) = (18, 3);

/// Key and version of a request whose response is buffered to its end.
pub const DESCRIBE_CONFIGS: (i16, i16) = (32, 4);
/// Key and version of a request that is buffered to its end.
pub const ALTER_CONFIGS: (i16, i16) = (44, 1);

/// `ConfigResource.Type.TOPIC`.
const TOPIC: i8 = 2;
/// The value of each config, where there are many.
const CONFIG_BYTES: usize = 1000;

/// How many brokers the sink claims to be.
pub const BROKERS: u16 = 3;

const TOPICS: i32 = 100;
const PARTITIONS_OF_EACH: i32 = 10;

/// A request frame with any correlation id.
#[derive(Clone, Debug)]
pub struct Request {
    /// The API.
    pub key: i16,
    /// The whole frame; its correlation id is overwritten as it is sent.
    pub frame: Bytes,
}

fn request<M: Encodable + HeaderVersion>((key, version): (i16, i16), body: &M) -> Result<Request> {
    let header = RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_client_id(Some("bench".into()));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, M::header_version(version))?;
    body.encode(&mut frame, version)?;
    let frame = framed(&frame)?;
    Ok(Request { key, frame })
}

/// A response frame with any correlation id.
fn response<M: Encodable + HeaderVersion>(version: i16, body: &M) -> Result<Bytes> {
    let mut frame = BytesMut::new();
    ResponseHeader::default().encode(&mut frame, M::header_version(version))?;
    body.encode(&mut frame, version)?;
    framed(&frame)
}

fn framed(frame: &[u8]) -> Result<Bytes> {
    let mut out = BytesMut::with_capacity(frame.len() + 4);
    out.put_u32(u32::try_from(frame.len())?);
    out.extend_from_slice(frame);
    Ok(out.freeze())
}

/// The name of a topic that frames are about.
#[must_use]
pub fn topic(index: i32) -> TopicName {
    TopicName(StrBytes::from_string(format!(
        "a-topic-of-the-bench-{index}"
    )))
}

/// A Produce of one partition, acks=1.
pub fn produce(record_bytes: usize) -> Result<Request> {
    let records = Bytes::from(vec![7; record_bytes]);
    let partition = PartitionProduceData::default().with_records(Some(records));
    let data = TopicProduceData::default()
        .with_name(topic(0))
        .with_partition_data(vec![partition]);
    let body = ProduceRequest::default()
        .with_acks(1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![data]);
    request(PRODUCE, &body)
}

/// A Fetch of one partition.
pub fn fetch(version: (i16, i16)) -> Result<Request> {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let mut asked = FetchTopic::default().with_partitions(vec![partition]);
    if version == OLD_FETCH {
        asked.topic = topic(0);
    }
    let body = FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_session_epoch(-1)
        .with_topics(vec![asked]);
    request(version, &body)
}

/// A Metadata request for all topics.
pub fn metadata() -> Result<Request> {
    request(METADATA, &MetadataRequest::default().with_topics(None))
}

/// An ApiVersions request.
pub fn api_versions() -> Result<Request> {
    let body = ApiVersionsRequest::default()
        .with_client_software_name("bench".into())
        .with_client_software_version("1".into());
    request(API_VERSIONS, &body)
}

/// An ApiVersions request with another version in its head.
pub fn api_versions_of_version(version: i16) -> Result<Request> {
    let Request { key, frame } = api_versions()?;
    let mut frame = frame.to_vec();
    if let Some(at) = frame.get_mut(6..8) {
        at.copy_from_slice(&version.to_be_bytes());
    }
    Ok(Request {
        key,
        frame: frame.into(),
    })
}

/// An IncrementalAlterConfigs of a topic with so many bytes of values.
pub fn alter_configs(bytes: usize) -> Result<Request> {
    let value = StrBytes::from_string("x".repeat(CONFIG_BYTES));
    let config = AlterableConfig::default()
        .with_name("a.config".into())
        .with_value(Some(value));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(topic(0).0)
        .with_configs(vec![config; bytes / CONFIG_BYTES]);
    let body = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    request(ALTER_CONFIGS, &body)
}

/// A DescribeConfigs of a topic.
pub fn describe_configs() -> Result<Request> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(topic(0).0);
    let body = DescribeConfigsRequest::default().with_resources(vec![resource]);
    request(DESCRIBE_CONFIGS, &body)
}

/// The response to a DescribeConfigs with so many bytes of values.
pub fn configs(bytes: usize) -> Result<Bytes> {
    let value = StrBytes::from_string("x".repeat(CONFIG_BYTES));
    let config = DescribeConfigsResourceResult::default()
        .with_name("a.config".into())
        .with_value(Some(value));
    let result = DescribeConfigsResult::default()
        .with_resource_type(TOPIC)
        .with_resource_name(topic(0).0)
        .with_configs(vec![config; bytes / CONFIG_BYTES]);
    let body = DescribeConfigsResponse::default().with_results(vec![result]);
    response(DESCRIBE_CONFIGS.1, &body)
}

/// The response to a Produce.
pub fn produced() -> Result<Bytes> {
    let partition = PartitionProduceResponse::default().with_base_offset(7);
    let topic = TopicProduceResponse::default()
        .with_name(topic(0))
        .with_partition_responses(vec![partition]);
    let body = ProduceResponse::default().with_responses(vec![topic]);
    response(PRODUCE.1, &body)
}

/// The response to a Fetch.
pub fn fetched(version: (i16, i16), record_bytes: usize) -> Result<Bytes> {
    let records = Bytes::from(vec![7; record_bytes]);
    let partition = PartitionData::default().with_records(Some(records));
    let mut got = FetchableTopicResponse::default().with_partitions(vec![partition]);
    if version == OLD_FETCH {
        got.topic = topic(0);
    }
    let body = FetchResponse::default().with_responses(vec![got]);
    response(version.1, &body)
}

/// The response to a Metadata request: brokers at consecutive ports, 1,000 partitions.
pub fn described(version: i16, first_port: u16) -> Result<Bytes> {
    let brokers = (0..BROKERS).map(|id| {
        MetadataResponseBroker::default()
            .with_node_id(i32::from(id).into())
            .with_host("127.0.0.1".into())
            .with_port((first_port + id).into())
    });
    let replicas: Vec<_> = (0..BROKERS).map(|id| i32::from(id).into()).collect();
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id((index % i32::from(BROKERS)).into())
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(replicas.clone())
    };
    let topics = (0..TOPICS).map(|index| {
        MetadataResponseTopic::default()
            .with_name(Some(topic(index)))
            .with_partitions((0..PARTITIONS_OF_EACH).map(partition).collect())
    });
    let body = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(Some("bench".into()))
        .with_topics(topics.collect());
    response(version, &body)
}

/// The APIs, with their last versions, of every scenario.
pub const APIS: &[(i16, i16)] = &[(0, 13), (1, 17), (3, 12), (18, 4)];
/// Those that are buffered to their end.
pub const HELD_APIS: &[(i16, i16)] = &[DESCRIBE_CONFIGS, ALTER_CONFIGS];

/// The response to an ApiVersions request.
pub fn ranges(version: i16, apis: impl IntoIterator<Item = (i16, i16)>) -> Result<Bytes> {
    let range = |(key, max)| {
        ApiVersion::default()
            .with_api_key(key)
            .with_max_version(max)
    };
    let keys = apis.into_iter().map(range).collect();
    response(version, &ApiVersionsResponse::default().with_api_keys(keys))
}
