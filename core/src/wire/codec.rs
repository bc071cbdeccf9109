//! Encodes what doorkeeper itself says. The only file that names kafka-protocol: bytes of peers
//! are never given to it.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsResponse, FetchResponse, MetadataRequest, ProduceResponse,
    RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use uuid::Uuid;

use crate::id::{ApiKey, ApiVersion, CorrelationId};
use crate::wire::header::{PREFIX_BYTES, RequestHead};
use crate::wire::schema;

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;

/// What our own requests call themselves.
const CLIENT_ID: &str = "doorkeeper";

/// A message that cannot be encoded in the version that was asked for: a bug of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotEncodable;

/// An ApiVersions request of version 0, which every broker knows.
pub(crate) fn api_versions(id: CorrelationId) -> Result<Bytes, NotEncodable> {
    let head = RequestHead {
        api: ApiKey(18),
        version: ApiVersion(0),
        correlation_id: id,
    };
    request(head, &ApiVersionsRequest::default())
}

/// A Metadata request for the brokers alone.
pub(crate) fn brokers(version: ApiVersion, id: CorrelationId) -> Result<Bytes, NotEncodable> {
    let head = RequestHead {
        api: ApiKey(3),
        version,
        correlation_id: id,
    };
    let mut body = MetadataRequest::default().with_topics(Some(Vec::new()));
    body.allow_auto_topic_creation = false;
    request(head, &body)
}

fn request(head: RequestHead, body: &impl Encodable) -> Result<Bytes, NotEncodable> {
    let header = RequestHeader::default()
        .with_request_api_key(head.api.0)
        .with_request_api_version(head.version.0)
        .with_correlation_id(head.correlation_id.0)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    // Header version 1: the requests above are sent in versions that are not flexible.
    header.encode(&mut frame, 1).map_err(|_| NotEncodable)?;
    body.encode(&mut frame, head.version.0)
        .map_err(|_| NotEncodable)?;
    framed(frame)
}

/// A topic of a request that was refused, as the answer has to name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedTopic {
    /// Its name, where the request names it.
    pub(crate) name: String,
    /// Its id, where the request has ids instead.
    pub(crate) id: [u8; 16],
    /// The partitions that the request has of it.
    pub(crate) partitions: Vec<i32>,
    /// `Errors.TOPIC_AUTHORIZATION_FAILED` or `Errors.UNKNOWN_TOPIC_ID`.
    pub(crate) error_code: i16,
}

/// The entry for a refused topic among the topics of an answer.
pub(crate) fn refused_topic(
    api: ApiKey,
    version: ApiVersion,
    topic: &RefusedTopic,
) -> Result<Bytes, NotEncodable> {
    let mut out = BytesMut::new();
    let v = version.0;
    let encoded = match api.0 {
        PRODUCE => produced(topic, v).encode(&mut out, v),
        FETCH => fetched(topic, v).encode(&mut out, v),
        METADATA => described(topic, v).encode(&mut out, v),
        CREATE_TOPICS => created(topic, v).encode(&mut out, v),
        _ => return Err(NotEncodable),
    };
    encoded.map_err(|_| NotEncodable)?;
    Ok(out.freeze())
}

/// The whole answer to a request of which every topic was refused.
pub(crate) fn refusal(head: RequestHead, topics: &[RefusedTopic]) -> Result<Bytes, NotEncodable> {
    let v = head.version.0;
    let mut out = BytesMut::new();
    out.put_u32(0);
    let flexible = schema::api(head.api.0).and_then(|e| e.response.is_flexible(v));
    ResponseHeader::default()
        .with_correlation_id(head.correlation_id.0)
        .encode(&mut out, i16::from(flexible.unwrap_or(false)))
        .map_err(|_| NotEncodable)?;
    let encoded = match head.api.0 {
        PRODUCE => ProduceResponse::default()
            .with_responses(topics.iter().map(|topic| produced(topic, v)).collect())
            .encode(&mut out, v),
        FETCH => FetchResponse::default()
            .with_responses(topics.iter().map(|topic| fetched(topic, v)).collect())
            .encode(&mut out, v),
        CREATE_TOPICS => CreateTopicsResponse::default()
            .with_topics(topics.iter().map(|topic| created(topic, v)).collect())
            .encode(&mut out, v),
        _ => return Err(NotEncodable),
    };
    encoded.map_err(|_| NotEncodable)?;
    framed(out)
}

/// The answer to an incremental Fetch whose session is not known here.
pub(crate) fn no_fetch_session(head: RequestHead) -> Result<Bytes, NotEncodable> {
    const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
    let v = head.version.0;
    let mut out = BytesMut::new();
    out.put_u32(0);
    ResponseHeader::default()
        .with_correlation_id(head.correlation_id.0)
        .encode(&mut out, i16::from(v >= 12))
        .map_err(|_| NotEncodable)?;
    FetchResponse::default()
        .with_error_code(FETCH_SESSION_ID_NOT_FOUND)
        .encode(&mut out, v)
        .map_err(|_| NotEncodable)?;
    framed(out)
}

/// `ProduceResponse.PartitionResponse(Errors)`: no offset, no time.
fn produced(topic: &RefusedTopic, version: i16) -> TopicProduceResponse {
    let partition = |index: &i32| {
        PartitionProduceResponse::default()
            .with_index(*index)
            .with_error_code(topic.error_code)
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
    };
    let out = TopicProduceResponse::default()
        .with_partition_responses(topic.partitions.iter().map(partition).collect());
    if version >= 13 {
        out.with_topic_id(Uuid::from_bytes(topic.id))
    } else {
        out.with_name(TopicName(topic.name.clone().into()))
    }
}

/// `FetchResponse.partitionResponse`: no watermark, empty records.
fn fetched(topic: &RefusedTopic, version: i16) -> FetchableTopicResponse {
    let partition = |index: &i32| {
        PartitionData::default()
            .with_partition_index(*index)
            .with_error_code(topic.error_code)
            .with_high_watermark(-1)
            .with_records(Some(Bytes::new()))
    };
    let out = FetchableTopicResponse::default()
        .with_partitions(topic.partitions.iter().map(partition).collect());
    if version >= 13 {
        out.with_topic_id(Uuid::from_bytes(topic.id))
    } else {
        out.with_topic(TopicName(topic.name.clone().into()))
    }
}

/// `KafkaApis.handleTopicMetadataRequest`: a topic that was asked for by name has no id, one that
/// was asked for by id has no name (an empty one where there is no null yet); no partitions.
fn described(topic: &RefusedTopic, version: i16) -> MetadataResponseTopic {
    let by_id = topic.id != [0; 16];
    let name = (!by_id || version < 12).then(|| TopicName(topic.name.clone().into()));
    let out = MetadataResponseTopic::default()
        .with_error_code(topic.error_code)
        .with_name(name);
    if version >= 10 {
        out.with_topic_id(Uuid::from_bytes(topic.id))
    } else {
        out
    }
}

/// `ControllerApis.createTopics`.
fn created(topic: &RefusedTopic, version: i16) -> CreatableTopicResult {
    let out = CreatableTopicResult::default()
        .with_name(TopicName(topic.name.clone().into()))
        .with_error_code(topic.error_code);
    if version >= 1 {
        out.with_error_message(Some(StrBytes::from_static_str("Authorization failed.")))
    } else {
        out
    }
}

fn framed(mut frame: BytesMut) -> Result<Bytes, NotEncodable> {
    let length = u32::try_from(frame.len() - PREFIX_BYTES).map_err(|_| NotEncodable)?;
    let (prefix, _) = frame.split_first_chunk_mut().ok_or(NotEncodable)?;
    *prefix = length.to_be_bytes();
    Ok(frame.freeze())
}
