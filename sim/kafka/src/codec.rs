//! Frames to messages and back. Everything that came over the wire is read here.

use std::ops::Range;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::wire::schema::{self, Direction, Role, Roles};
use doorkeeper_core::wire::walk::{Step, Walker};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::api;
use crate::close::CloseReason;
use crate::connection::RequestId;

/// The longest response that its 4-byte length can announce.
const FRAME_BYTES_MAX: usize = 0x7fff_ffff;

/// What of a request its response depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
}

/// One request, read up to its body.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: RequestId,
    pub(crate) broker: BrokerId,
    pub(crate) head: Head,
    pub(crate) client_id: String,
    pub(crate) body: Bytes,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It has a response now.
    Frame(Bytes),
    /// It has no response.
    Nothing,
    /// It has a response later.
    Parked,
}

/// Reads the header of a frame: head, client id, body. `last` says where a broker serves less than
/// the newest release.
pub(crate) fn read_header(
    frame: Bytes,
    last: &dyn Fn(i16) -> Option<i16>,
) -> Result<(Head, String, Bytes), CloseReason> {
    let mut start = frame.as_ref();
    let mut int16 = || {
        start
            .try_get_i16()
            .map_err(|_| CloseReason::MalformedHeader)
    };
    let (api_key, mut version) = (int16()?, int16()?);
    let api = ApiKey::try_from(api_key).map_err(|()| CloseReason::UnknownApi { api_key })?;
    let row = api::row(api).ok_or(CloseReason::UnknownApi { api_key })?;
    let mut body = frame;
    let served = row.serves(version) && last(api_key).is_none_or(|last| version <= last);
    let header_version = if served {
        api.request_header_version(version)
    } else if api == ApiKey::ApiVersions {
        // `RequestContext.parseRequest`: the response has version 0, whatever the rest looks like.
        version = api::UNSUPPORTED_API_VERSIONS;
        1
    } else {
        return Err(CloseReason::UnsupportedVersion {
            api_key,
            api_version: version,
        });
    };
    let header = RequestHeader::decode(&mut body, header_version)
        .map_err(|_| CloseReason::MalformedHeader)?;
    let head = Head {
        api,
        version,
        correlation_id: header.correlation_id,
    };
    let client_id = header
        .client_id
        .map(|id| id.to_string())
        .unwrap_or_default();
    Ok((head, client_id, body))
}

/// Walks the whole body by its schema. Only then may it be decoded: the decoder reserves memory by
/// the counts that it reads, and the walker compares them with what is there.
fn check(head: Head, body: &[u8]) -> Result<(), String> {
    let message = schema::message(head.api as i16, Direction::Request);
    let walker = message.and_then(|m| Walker::new(m, head.version, body.len(), Roles::ALL));
    let mut walker = walker.ok_or("no schema")?;
    let mut rest = body;
    loop {
        match walker.step(&mut rest) {
            Ok(Step::Done { .. }) => return Ok(()),
            Ok(Step::More) => return Err("truncated".to_owned()),
            Ok(_) => {}
            Err(malformed) => return Err(format!("{malformed:?}")),
        }
    }
}

impl Call {
    /// The body as a message.
    pub(crate) fn decode<T: Decodable>(&self) -> Result<T, CloseReason> {
        let malformed = |what: String| CloseReason::MalformedBody {
            api_key: self.head.api as i16,
            api_version: self.head.version,
            what,
        };
        check(self.head, &self.body).map_err(malformed)?;
        let mut body = self.body.clone();
        T::decode(&mut body, self.head.version).map_err(|error| malformed(error.to_string()))
    }

    /// The response to this call.
    pub(crate) fn reply(&self, response: &impl Encodable) -> Result<Reply, CloseReason> {
        self.head.frame(response).map(Reply::Frame)
    }
}

impl Head {
    /// The frame of a response, without its length.
    pub(crate) fn frame(&self, response: &impl Encodable) -> Result<Bytes, CloseReason> {
        self.frame_of_version(self.version, response)
    }

    /// The same in another version than the request's.
    pub(crate) fn frame_of_version(
        &self,
        version: i16,
        response: &impl Encodable,
    ) -> Result<Bytes, CloseReason> {
        let failed = |what: String| CloseReason::ResponseNotEncodable {
            api_key: self.api as i16,
            api_version: version,
            what,
        };
        let size = response
            .compute_size(version)
            .map_err(|error| failed(error.to_string()))?;
        if size > FRAME_BYTES_MAX - 5 {
            return Err(failed(format!("{size} bytes are more than a frame holds")));
        }
        let mut frame = BytesMut::with_capacity(size + 5);
        frame.put_i32(self.correlation_id);
        if self.api.response_header_version(version) >= 1 {
            // No tagged fields.
            frame.put_u8(0);
        }
        response
            .encode(&mut frame, version)
            .map_err(|error| failed(error.to_string()))?;
        Ok(frame.freeze())
    }

    /// The same frame of a response, saying for how long its client is throttled, if responses of
    /// its version say that.
    pub(crate) fn throttling(&self, throttle: Duration, frame: Bytes) -> Bytes {
        if throttle.is_zero() {
            return frame;
        }
        let ms = i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX);
        let mut frame = BytesMut::from(frame);
        let place = self.throttle_place(&frame);
        if let Some(place) = place.and_then(|place| frame.get_mut(place)) {
            place.copy_from_slice(&ms.to_be_bytes());
        }
        frame.freeze()
    }

    fn throttle_place(&self, frame: &[u8]) -> Option<Range<usize>> {
        let header = if self.api.response_header_version(self.version) >= 1 {
            5
        } else {
            4
        };
        let body = frame.get(header..)?;
        let message = schema::message(self.api as i16, Direction::Response)?;
        let interest = Roles::of(&[Role::ThrottleTime]);
        let mut walker = Walker::new(message, self.version, body.len(), interest)?;
        let mut rest = body;
        loop {
            match walker.step(&mut rest) {
                Ok(Step::Value(found)) if found.role == Role::ThrottleTime => {
                    return Some(header + found.data..header + found.end);
                }
                Ok(Step::Done { .. } | Step::More) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
