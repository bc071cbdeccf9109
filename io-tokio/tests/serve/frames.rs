//! Frames, as clients and brokers send them.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, FetchRequest, FetchResponse, GroupId, HeartbeatRequest,
    HeartbeatResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
    RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use tokio::io::{AsyncRead, AsyncReadExt as _};

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;
pub const METADATA: i16 = 3;
pub const JOIN_GROUP: i16 = 11;
pub const HEARTBEAT: i16 = 12;
pub const API_VERSIONS: i16 = 18;

/// What discovery calls itself in its requests.
const DISCOVERY: &[u8] = b"doorkeeper";

/// A request frame as a client sends it.
pub fn request<M: Encodable + HeaderVersion>(key: i16, version: i16, id: i32, body: &M) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some("test".into()));
    let mut out = BytesMut::new();
    header.encode(&mut out, M::header_version(version)).unwrap();
    body.encode(&mut out, version).unwrap();
    framed(&out)
}

/// A response frame as a broker sends it.
pub fn response<M: Encodable + HeaderVersion>(version: i16, id: i32, body: &M) -> Vec<u8> {
    let mut out = BytesMut::new();
    ResponseHeader::default()
        .with_correlation_id(id)
        .encode(&mut out, M::header_version(version))
        .unwrap();
    body.encode(&mut out, version).unwrap();
    framed(&out)
}

pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(bytes.len().try_into().unwrap());
    frame.extend_from_slice(bytes);
    frame.to_vec()
}

/// The response in a whole frame with its length: the correlation id and the body.
pub fn decoded<M: Decodable + HeaderVersion>(version: i16, frame: &[u8]) -> (i32, M) {
    let mut frame = Bytes::copy_from_slice(&frame[4..]);
    let header = ResponseHeader::decode(&mut frame, M::header_version(version)).unwrap();
    let body = M::decode(&mut frame, version).unwrap();
    assert!(frame.is_empty(), "bytes behind the body");
    (header.correlation_id, body)
}

/// The next whole frame with its length, or nothing if the peer has ended before its first byte.
pub async fn next_frame(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).await.ok()?;
    let length = i32::from_be_bytes(frame[..4].try_into().unwrap());
    frame.resize(4 + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut frame[4..]).await.ok()?;
    Some(frame)
}

/// The head of a request that came to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub api: i16,
    pub version: i16,
    pub id: i32,
    pub by_discovery: bool,
}

impl Asked {
    pub fn read(frame: &[u8]) -> Self {
        let short = |at: usize| i16::from_be_bytes(frame[at..at + 2].try_into().unwrap());
        let name_len = usize::try_from(short(12)).unwrap();
        Self {
            api: short(4),
            version: short(6),
            id: i32::from_be_bytes(frame[8..12].try_into().unwrap()),
            by_discovery: &frame[14..14 + name_len] == DISCOVERY,
        }
    }
}

pub fn heartbeat(id: i32) -> Vec<u8> {
    let body = HeartbeatRequest::default().with_group_id(GroupId("g".into()));
    request(HEARTBEAT, 4, id, &body)
}

pub fn heartbeat_response(id: i32) -> Vec<u8> {
    response(4, id, &HeartbeatResponse::default())
}

/// A Fetch whose response may take the broker this long.
pub fn fetch(id: i32, max_wait_ms: i32) -> Vec<u8> {
    let body = FetchRequest::default().with_max_wait_ms(max_wait_ms);
    request(FETCH, 12, id, &body)
}

pub fn fetch_response(id: i32) -> Vec<u8> {
    response(12, id, &FetchResponse::default())
}

/// A response to a Fetch that is about as long as its records.
pub fn fetched(version: i16, id: i32, records: Bytes) -> Vec<u8> {
    let partition = PartitionData::default().with_records(Some(records));
    let topic = FetchableTopicResponse::default()
        .with_topic(TopicName("t".into()))
        .with_partitions(vec![partition]);
    let body = FetchResponse::default().with_responses(vec![topic]);
    response(version, id, &body)
}

/// A Produce with so many bytes of records.
pub fn produce(id: i32, records: usize) -> Vec<u8> {
    produce_with(1, id, records)
}

/// One that gets no response.
pub fn produce_without_response(id: i32, records: usize) -> Vec<u8> {
    produce_with(0, id, records)
}

fn produce_with(acks: i16, id: i32, records: usize) -> Vec<u8> {
    let partition = PartitionProduceData::default().with_records(Some(vec![7; records].into()));
    let topic = TopicProduceData::default()
        .with_name(TopicName("t".into()))
        .with_partition_data(vec![partition]);
    let body = ProduceRequest::default()
        .with_acks(acks)
        .with_topic_data(vec![topic]);
    request(PRODUCE, 9, id, &body)
}

pub fn produced(id: i32) -> Vec<u8> {
    response(9, id, &ProduceResponse::default())
}

pub fn metadata(id: i32) -> Vec<u8> {
    request(METADATA, 12, id, &MetadataRequest::default())
}

/// One line of a Metadata response.
pub type Listed = (i32, String, i32);

pub fn metadata_response(version: i16, id: i32, cluster: &str, brokers: &[Listed]) -> Vec<u8> {
    let broker = |(id, host, port): &Listed| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(*id))
            .with_host(host.clone().into())
            .with_port(*port)
    };
    let body = MetadataResponse::default()
        .with_brokers(brokers.iter().map(broker).collect())
        .with_cluster_id((version >= 2).then(|| cluster.to_owned().into()));
    response(version, id, &body)
}

/// The versions of a broker of today, as far as the tests go.
pub fn api_versions_response(version: i16, id: i32) -> Vec<u8> {
    let offers = |(key, last): &(i16, i16)| {
        ApiVersion::default()
            .with_api_key(*key)
            .with_max_version(*last)
    };
    let offered = [
        (FETCH, 17),
        (METADATA, 13),
        (HEARTBEAT, 4),
        (API_VERSIONS, 4),
    ];
    let body = ApiVersionsResponse::default().with_api_keys(offered.iter().map(offers).collect());
    response(version, id, &body)
}
