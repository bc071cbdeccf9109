//! Encodes what doorkeeper itself says. The only file that names kafka-protocol: bytes of peers
//! are never given to it.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest, RequestHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::id::{ApiKey, ApiVersion, CorrelationId};
use crate::wire::header::{PREFIX_BYTES, RequestHead};

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
    let length = u32::try_from(frame.len() - PREFIX_BYTES).map_err(|_| NotEncodable)?;
    let (prefix, _) = frame.split_first_chunk_mut().ok_or(NotEncodable)?;
    *prefix = length.to_be_bytes();
    Ok(frame.freeze())
}
