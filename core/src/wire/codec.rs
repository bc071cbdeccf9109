//! Encodes what doorkeeper itself says. The only place that names kafka-protocol: bytes of peers
//! are never given to it.

pub(crate) mod denial;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsResponse, FetchResponse, MetadataRequest, ProduceResponse,
    RequestHeader, ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest, SaslHandshakeResponse, TopicName,
};
use kafka_protocol::protocol::{Encodable, Request as _, StrBytes};
use uuid::Uuid;

use crate::id::{ApiKey, ApiVersion, CorrelationId};
use crate::wire::edit;
use crate::wire::header::{PREFIX_BYTES, RequestHead};
use crate::wire::schema;

/// What our own requests call themselves.
const CLIENT_ID: &str = "doorkeeper";

/// A message that cannot be encoded in the version that was asked for: a bug of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotEncodable;

/// An ApiVersions request. Every broker knows version 0.
pub(crate) fn api_versions(version: ApiVersion, id: CorrelationId) -> Result<Bytes, NotEncodable> {
    let head = RequestHead {
        api: ApiKey(ApiVersionsRequest::KEY),
        version,
        correlation_id: id,
    };
    let mut body = ApiVersionsRequest::default();
    if version.0 >= 3 {
        body.client_software_name = StrBytes::from_static_str(CLIENT_ID);
        body.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
    }
    request(head, &body)
}

/// A Metadata request for the brokers alone.
pub(crate) fn brokers(version: ApiVersion, id: CorrelationId) -> Result<Bytes, NotEncodable> {
    let head = RequestHead {
        api: ApiKey(MetadataRequest::KEY),
        version,
        correlation_id: id,
    };
    let mut body = MetadataRequest::default().with_topics(Some(Vec::new()));
    body.allow_auto_topic_creation = false;
    request(head, &body)
}

/// A SaslHandshake request, behind which tokens are requests of SaslAuthenticate.
pub(crate) fn sasl_handshake_request(
    mechanism: &'static str,
    id: CorrelationId,
) -> Result<(RequestHead, Bytes), NotEncodable> {
    let head = RequestHead {
        api: ApiKey(SaslHandshakeRequest::KEY),
        version: ApiVersion(1),
        correlation_id: id,
    };
    let mechanism = StrBytes::from_static_str(mechanism);
    let body = SaslHandshakeRequest::default().with_mechanism(mechanism);
    Ok((head, request(head, &body)?))
}

/// A SaslAuthenticate request, in the first version whose response says how long the login holds.
pub(crate) fn sasl_authenticate_request(
    token: &[u8],
    id: CorrelationId,
) -> Result<(RequestHead, Bytes), NotEncodable> {
    let head = RequestHead {
        api: ApiKey(SaslAuthenticateRequest::KEY),
        version: ApiVersion(1),
        correlation_id: id,
    };
    let token = Bytes::copy_from_slice(token);
    let body = SaslAuthenticateRequest::default().with_auth_bytes(token);
    Ok((head, request(head, &body)?))
}

fn request(head: RequestHead, body: &impl Encodable) -> Result<Bytes, NotEncodable> {
    let header = RequestHeader::default()
        .with_request_api_key(head.api.0)
        .with_request_api_version(head.version.0)
        .with_correlation_id(head.correlation_id.0)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    let entry = schema::api(head.api.0).ok_or(NotEncodable)?;
    let is_flexible = entry.request.is_flexible(head.version.0);
    let header_version = if is_flexible == Some(true) { 2 } else { 1 };
    header
        .encode(&mut frame, header_version)
        .map_err(|_| NotEncodable)?;
    body.encode(&mut frame, head.version.0)
        .map_err(|_| NotEncodable)?;
    framed(frame)
}

/// The API whose response names a denied topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicEntry {
    Produce,
    Fetch,
    Metadata,
    CreateTopics,
}

/// A denied topic of a request, as the response has to name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeniedTopic {
    /// Its name, where the request names it.
    pub(crate) name: String,
    /// Its id, where the request has ids instead.
    pub(crate) id: [u8; 16],
    /// `Errors.TOPIC_AUTHORIZATION_FAILED` or `Errors.UNKNOWN_TOPIC_ID`.
    pub(crate) error_code: i16,
}

/// Writes the entry for a denied topic among the topics of a response; `partitions` are those that
/// [`denied_partition`] has written.
pub(crate) fn denied_topic(
    entry: TopicEntry,
    head: RequestHead,
    topic: DeniedTopic,
    partitions: (usize, &[u8]),
    out: &mut BytesMut,
) -> Result<(), NotEncodable> {
    let v = head.version.0;
    let (_, encoded_partitions) = partitions;
    out.reserve(64 + topic.name.len() + encoded_partitions.len());
    let encoded = match entry {
        TopicEntry::Produce => produced(topic, v).encode(out, v),
        TopicEntry::Fetch => fetched(topic, v).encode(out, v),
        TopicEntry::Metadata => {
            return described(topic, v).encode(out, v).map_err(|_| NotEncodable);
        }
        TopicEntry::CreateTopics => {
            return created(topic, v).encode(out, v).map_err(|_| NotEncodable);
        }
    };
    encoded.map_err(|_| NotEncodable)?;
    fill(out, is_flexible(head.api, v), 0, partitions)
}

/// Writes the entry for one partition of a denied topic, if the response names partitions.
pub(crate) fn denied_partition(
    entry: TopicEntry,
    version: ApiVersion,
    index: i32,
    error_code: i16,
    out: &mut BytesMut,
) -> Result<(), NotEncodable> {
    let v = version.0;
    out.reserve(64);
    let encoded = match entry {
        TopicEntry::Produce => produced_partition(index, error_code).encode(out, v),
        TopicEntry::Fetch => fetched_partition(index, error_code).encode(out, v),
        TopicEntry::Metadata | TopicEntry::CreateTopics => return Ok(()),
    };
    encoded.map_err(|_| NotEncodable)
}

/// The whole response to a request of which every topic was denied: so many entries, as
/// [`denied_topic`] has written them.
pub(crate) fn denial_of_topics(
    entry: TopicEntry,
    head: RequestHead,
    count: usize,
    entries: &[u8],
) -> Result<Bytes, NotEncodable> {
    let v = head.version.0;
    let flexible = is_flexible(head.api, v);
    let mut out = begin_response(head, entries.len().saturating_add(64))?;
    let encoded = match entry {
        TopicEntry::Produce => ProduceResponse::default().encode(&mut out, v),
        TopicEntry::Fetch => FetchResponse::default().encode(&mut out, v),
        TopicEntry::CreateTopics => CreateTopicsResponse::default().encode(&mut out, v),
        // Those that are left are asked of the broker, be it none.
        TopicEntry::Metadata => return Err(NotEncodable),
    };
    encoded.map_err(|_| NotEncodable)?;
    // Behind the topics of a Produce stands the throttle time.
    let behind = if entry == TopicEntry::Produce && v >= 1 {
        4
    } else {
        0
    };
    fill(&mut out, flexible, behind, (count, entries))?;
    framed(out)
}

/// Puts elements into the array that is the last but one in `out`, and empty so far: behind it
/// stand `behind` bytes, and the count of tagged fields where there are any.
fn fill(
    out: &mut BytesMut,
    flexible: bool,
    behind: usize,
    (count, elements): (usize, &[u8]),
) -> Result<(), NotEncodable> {
    if count == 0 {
        return Ok(());
    }
    let (count_len, tags_len) = if flexible { (1, 1) } else { (4, 0) };
    let mut last = [0; 8];
    let last = last.get_mut(..behind + tags_len).ok_or(NotEncodable)?;
    let end = out.len().checked_sub(last.len()).ok_or(NotEncodable)?;
    last.copy_from_slice(out.get(end..).unwrap_or_default());
    out.truncate(end.checked_sub(count_len).ok_or(NotEncodable)?);
    out.reserve(elements.len().saturating_add(16));
    out.extend_from_slice(&edit::count(count, flexible));
    out.extend_from_slice(elements);
    out.extend_from_slice(last);
    Ok(())
}

/// The response to SaslHandshake: an error, and the mechanisms that are offered.
pub(crate) fn sasl_handshake<'a>(
    head: RequestHead,
    error_code: i16,
    mechanisms: impl IntoIterator<Item = &'a str>,
) -> Result<Bytes, NotEncodable> {
    let mechanisms = mechanisms.into_iter();
    let mut out = begin_response(head, 64)?;
    SaslHandshakeResponse::default()
        .with_error_code(error_code)
        .with_mechanisms(mechanisms.map(|it| it.to_owned().into()).collect())
        .encode(&mut out, head.version.0)
        .map_err(|_| NotEncodable)?;
    framed(out)
}

/// The response to SaslAuthenticate with a token for the client, and for how many milliseconds its
/// login holds; 0 for no limit.
pub(crate) fn sasl_authenticated(
    head: RequestHead,
    token: Bytes,
    session_lifetime_ms: i64,
) -> Result<Bytes, NotEncodable> {
    let mut response = SaslAuthenticateResponse::default().with_auth_bytes(token);
    if head.version.0 >= 1 {
        response = response.with_session_lifetime_ms(session_lifetime_ms);
    }
    let mut out = begin_response(head, 64)?;
    response
        .encode(&mut out, head.version.0)
        .map_err(|_| NotEncodable)?;
    framed(out)
}

/// The response to SaslAuthenticate when the login has failed.
pub(crate) fn sasl_failed(
    head: RequestHead,
    error_code: i16,
    text: String,
) -> Result<Bytes, NotEncodable> {
    let mut out = begin_response(head, 64)?;
    SaslAuthenticateResponse::default()
        .with_error_code(error_code)
        .with_error_message(Some(text.into()))
        .encode(&mut out, head.version.0)
        .map_err(|_| NotEncodable)?;
    framed(out)
}

fn is_flexible(api: ApiKey, version: i16) -> bool {
    schema::api(api.0)
        .and_then(|entry| entry.response.is_flexible(version))
        .unwrap_or(false)
}

/// The response to an incremental Fetch whose session is not known here.
pub(crate) fn no_fetch_session(head: RequestHead) -> Result<Bytes, NotEncodable> {
    const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
    let v = head.version.0;
    let mut out = begin_response(head, 64)?;
    FetchResponse::default()
        .with_error_code(FETCH_SESSION_ID_NOT_FOUND)
        .encode(&mut out, v)
        .map_err(|_| NotEncodable)?;
    framed(out)
}

/// A frame with a response's header, of an API whose response header may be flexible.
fn begin_response(head: RequestHead, capacity: usize) -> Result<BytesMut, NotEncodable> {
    let mut out = BytesMut::with_capacity(capacity);
    out.put_u32(0);
    let flexible = is_flexible(head.api, head.version.0);
    ResponseHeader::default()
        .with_correlation_id(head.correlation_id.0)
        .encode(&mut out, i16::from(flexible))
        .map_err(|_| NotEncodable)?;
    Ok(out)
}

fn produced(topic: DeniedTopic, version: i16) -> TopicProduceResponse {
    let out = TopicProduceResponse::default();
    if version >= 13 {
        out.with_topic_id(Uuid::from_bytes(topic.id))
    } else {
        out.with_name(TopicName(topic.name.into()))
    }
}

/// `ProduceResponse.PartitionResponse(Errors)`: no offset, no time.
fn produced_partition(index: i32, error_code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(error_code)
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
}

fn fetched(topic: DeniedTopic, version: i16) -> FetchableTopicResponse {
    let out = FetchableTopicResponse::default();
    if version >= 13 {
        out.with_topic_id(Uuid::from_bytes(topic.id))
    } else {
        out.with_topic(TopicName(topic.name.into()))
    }
}

/// `FetchResponse.partitionResponse`: no watermark, empty records.
fn fetched_partition(index: i32, error_code: i16) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error_code)
        .with_high_watermark(-1)
        .with_records(Some(Bytes::new()))
}

/// `KafkaApis.handleTopicMetadataRequest`: a topic that was asked for by name has no id, one that
/// was asked for by id has no name (an empty one where there is no null yet); no partitions.
fn described(topic: DeniedTopic, version: i16) -> MetadataResponseTopic {
    let by_id = topic.id != [0; 16];
    let name = (!by_id || version < 12).then(|| TopicName(topic.name.into()));
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
fn created(topic: DeniedTopic, version: i16) -> CreatableTopicResult {
    let out = CreatableTopicResult::default()
        .with_name(TopicName(topic.name.into()))
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
    Ok(exact(frame))
}

/// The bytes, without much room behind them: they may have to wait, and are counted by their
/// length then.
pub(crate) fn exact(bytes: BytesMut) -> Bytes {
    const SPARE_BYTES_MAX: usize = 1024;
    if bytes.capacity() - bytes.len() > SPARE_BYTES_MAX {
        Bytes::copy_from_slice(&bytes)
    } else {
        bytes.freeze()
    }
}
