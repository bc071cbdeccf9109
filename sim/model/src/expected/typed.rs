//! Bodies as values, once the walker has found nothing wrong with them.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use doorkeeper_core::api::keys::{API_VERSIONS, INIT_PRODUCER_ID};
use doorkeeper_core::wire::header::{
    HeaderEnd, PREFIX_BYTES, REQUEST_HEAD_BYTES, RESPONSE_HEAD_BYTES,
};
use doorkeeper_core::wire::schema::{self, Direction, Message, Role, Roles};
use doorkeeper_core::wire::walk::{Step, Value, Walker};
use kafka_protocol::messages::{ApiKey, InitProducerIdRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::Head;

/// What one walk of a request finds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestSummary {
    /// Header and body follow their schemas.
    pub(super) is_sound: bool,
    /// It speaks as a replica.
    pub(super) is_replica: bool,
    pub(super) acks: Option<i64>,
    /// What kind of coordinator it asks for.
    pub(super) key_type: Option<i64>,
    /// How many resources it has, and how many of these are brokers or the log levels of one.
    pub(super) resources: usize,
    pub(super) brokers: usize,
    /// How long the broker may wait.
    wait_ms: i64,
}

/// Looks at a request with its length.
pub(super) fn look(head: Head, frame: &Bytes) -> RequestSummary {
    let mut look = RequestSummary::default();
    let Some(message) = schema::message(head.api.0, Direction::Request) else {
        return look;
    };
    // A header need not be one that kafka-protocol takes: Kafka replaces what is no UTF-8.
    let flexible = message.is_flexible(head.version).unwrap_or(false);
    let mut body = frame
        .get(PREFIX_BYTES + REQUEST_HEAD_BYTES..)
        .unwrap_or_default();
    if HeaderEnd::of_request(flexible, body.len()).step(&mut body) != Ok(true) {
        return look;
    }
    let walked = walk(message, head.version, body, Roles::ALL, |role, value| {
        if role == Role::Acks {
            look.acks = Some(value);
        } else if role == Role::ReplicaId {
            look.is_replica |= value >= 0;
        } else if role == Role::KeyType {
            look.key_type = Some(value);
        } else if role == Role::ResourceType {
            look.resources += 1;
            // `ConfigResource.Type`: whatever is no topic, group or client-metrics resource.
            look.brokers += usize::from(!matches!(value, 2 | 16 | 32));
        } else if role == Role::WaitMs {
            look.wait_ms = look.wait_ms.max(value);
        }
    });
    look.is_sound = walked;
    look
}

/// Whether a request that alters configs names a broker, or what may be one.
pub(crate) fn names_brokers(head: Head, frame: &Bytes) -> bool {
    look(head, frame).brokers > 0
}

/// How long a request at least lets the broker wait, besides the time that each response has: what
/// requests before it have said is not counted.
pub(crate) fn granted(head: Head, frame: &Bytes) -> Duration {
    /// A longer one is not read for it.
    const READ_BYTES_MAX: usize = 64 * 1024;
    /// No request is granted more.
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let look = look(head, frame);
    let waits = look.is_sound
        && frame.len() <= READ_BYTES_MAX
        // Without a transactional id the broker does not wait.
        && (head.api != INIT_PRODUCER_ID || is_transactional(head, frame));
    let ms = u64::try_from(look.wait_ms).unwrap_or(0).min(DAY_MS);
    Duration::from_millis(if waits { ms } else { 0 })
}

fn is_transactional(head: Head, frame: &Bytes) -> bool {
    let body = request::<InitProducerIdRequest>(head, frame);
    body.is_some_and(|(_, body)| body.transactional_id.is_some())
}

/// For how long a whole response says that its client is throttled.
pub(crate) fn throttle(head: Head, frame: &Bytes) -> Duration {
    let ms = |version| {
        let message = schema::message(head.api.0, Direction::Response)?;
        let mut body = frame.get(PREFIX_BYTES + RESPONSE_HEAD_BYTES..)?;
        // That of ApiVersions has no tags, for clients that do not know the version (KIP-511).
        let flexible = head.api != API_VERSIONS && message.is_flexible(version)?;
        if HeaderEnd::of_response(flexible, body.len()).step(&mut body) != Ok(true) {
            return None;
        }
        let mut throttle = 0;
        let is_sound = walk(message, version, body, Roles::ALL, |role, value| {
            if role == Role::ThrottleTime {
                throttle = value;
            }
        });
        is_sound.then(|| u64::try_from(throttle).unwrap_or(0))
    };
    Duration::from_millis(ms(head.version).unwrap_or(0))
}

fn walk(
    message: &'static Message,
    version: i16,
    body: &[u8],
    roles: Roles,
    mut found: impl FnMut(Role, i64),
) -> bool {
    let Some(mut walker) = Walker::new(message, version, body.len(), roles) else {
        return false;
    };
    let mut rest = body;
    loop {
        match walker.step(&mut rest) {
            Ok(Step::Done { .. }) => return true,
            Ok(Step::More) | Err(_) => return false,
            Ok(Step::Value(value)) => {
                if let Value::Int(int) = value.value {
                    found(value.role, int);
                }
            }
            Ok(_) => {}
        }
    }
}

/// All error codes of a response with its length, if it follows its schema.
pub(super) fn errors(head: Head, frame: &Bytes) -> Option<Vec<i64>> {
    let message = schema::message(head.api.0, Direction::Response)?;
    let mut body = frame.get(PREFIX_BYTES + RESPONSE_HEAD_BYTES..)?;
    let flexible = message.is_flexible(head.version)?;
    if HeaderEnd::of_response(flexible, body.len()).step(&mut body) != Ok(true) {
        return None;
    }
    let mut codes = Vec::new();
    let is_sound = walk(message, head.version, body, Roles::ALL, |role, value| {
        if role == Role::ErrorCode {
            codes.push(value);
        }
    });
    is_sound.then_some(codes)
}

/// Header and body of a request with its length.
fn request_header(head: Head, frame: &Bytes) -> Option<(RequestHeader, Bytes)> {
    let api = ApiKey::try_from(head.api.0).ok()?;
    let version = api.request_header_version(head.version);
    let mut rest = frame.slice(4.min(frame.len())..);
    // A header has one string and at most tagged fields: nothing is reserved by a count of theirs
    // that is larger than the frame.
    if version >= 2 && !tags_are_few(&rest) {
        return None;
    }
    let header = RequestHeader::decode(&mut rest, version).ok()?;
    Some((header, rest))
}

/// Whether the tagged fields behind the client id are none.
fn tags_are_few(header: &[u8]) -> bool {
    let length = header.get(8..10).and_then(|two| two.try_into().ok());
    let length = length.map_or(-1, i16::from_be_bytes);
    let tags = 10 + usize::try_from(length).unwrap_or(0);
    header.get(tags) == Some(&0)
}

/// The body of a request with its length, if encoding it gives the same bytes again.
pub(crate) fn request<T: Decodable + Encodable>(
    head: Head,
    frame: &Bytes,
) -> Option<(RequestHeader, T)> {
    let (header, mut body) = request_header(head, frame)?;
    let message = schema::message(head.api.0, Direction::Request)?;
    if !walk(message, head.version, &body, Roles::ALL, |_, _| {}) {
        return None;
    }
    let value = T::decode(&mut body, head.version).ok()?;
    let again = request_frame(head, &header, &value)?;
    (again == frame).then_some((header, value))
}

/// A request as its header and body encode it.
pub(super) fn request_frame<T: Encodable>(
    head: Head,
    header: &RequestHeader,
    body: &T,
) -> Option<Bytes> {
    let api = ApiKey::try_from(head.api.0).ok()?;
    let mut out = BytesMut::new();
    header
        .encode(&mut out, api.request_header_version(head.version))
        .ok()?;
    body.encode(&mut out, head.version).ok()?;
    Some(crate::frames::with_length(&out))
}

/// The body of a response with its length, if it is one and there is nothing behind it.
pub(crate) fn response<T: Decodable + HeaderVersion>(head: Head, frame: &Bytes) -> Option<T> {
    let mut rest = frame.slice(4.min(frame.len())..);
    let header = T::header_version(head.version);
    if header >= 1 && rest.get(4) != Some(&0) {
        return None;
    }
    ResponseHeader::decode(&mut rest, header).ok()?;
    let message = schema::message(head.api.0, Direction::Response)?;
    if !walk(message, head.version, &rest, Roles::ALL, |_, _| {}) {
        return None;
    }
    let value = T::decode(&mut rest, head.version).ok()?;
    (!rest.has_remaining()).then_some(value)
}
