//! How far the request has come that is coming in from the client.

use bytes::Bytes;

use crate::session::frame_reader::Stage;
use crate::session::in_flight::RelayedResponse;
use crate::session::request::Request;
use crate::session::whole_request::Whole;
use crate::wire::header::RequestHead;

/// What is being read of a request.
#[derive(Debug, Default)]
pub(super) enum RequestStage {
    /// The length prefix and the fixed head.
    #[default]
    Head,
    /// It is buffered until it has said what decides about it.
    Reading(Box<Request>),
    /// It is buffered to its end, because all or some of it is denied.
    Whole(Box<Whole>),
    /// The rest goes to the broker as it comes.
    Pass(PassedRequest),
    /// The rest is thrown away as it comes: doorkeeper responds itself.
    Drop(DroppedRequest),
}

/// A request that the broker gets.
#[derive(Debug)]
pub(super) struct PassedRequest {
    pub(super) head: RequestHead,
    pub(super) frame_len: usize,
    /// Bytes of the frame still to come.
    pub(super) left: usize,
    /// The response that the broker owes once the request is whole; nothing for a Produce with
    /// acks=0.
    pub(super) response: Option<RelayedResponse>,
}

/// A request that no broker gets.
#[derive(Debug)]
pub(super) struct DroppedRequest {
    pub(super) head: RequestHead,
    pub(super) frame_len: usize,
    /// Bytes of the frame still to come.
    pub(super) left: usize,
    /// The whole frame that is sent once the request is whole and it is its turn.
    pub(super) response: Bytes,
}

impl RequestStage {
    /// Whether a part of the request has gone up and the rest has not come.
    pub(super) fn is_amid_request(&self) -> bool {
        match self {
            Self::Pass(_) => true,
            Self::Reading(request) => request.is_streamed,
            Self::Head | Self::Whole(_) | Self::Drop(_) => false,
        }
    }

    /// The memory that is kept for the response to the request, until it is whole.
    pub(super) fn response_bytes(&self) -> usize {
        match self {
            Self::Pass(PassedRequest { response, .. }) => {
                response.as_ref().map_or(0, RelayedResponse::buffered_bytes)
            }
            Self::Drop(DroppedRequest { response, .. }) => response.len(),
            Self::Head | Self::Reading(_) | Self::Whole(_) => 0,
        }
    }
}

impl Stage for RequestStage {
    fn is_head(&self) -> bool {
        matches!(self, Self::Head)
    }

    fn is_buffering(&self) -> bool {
        match self {
            Self::Head | Self::Whole(_) => true,
            Self::Reading(request) => !request.is_streamed,
            Self::Pass(_) | Self::Drop(_) => false,
        }
    }

    fn kept_bytes(&self) -> usize {
        match self {
            Self::Reading(request) => request.pinned(),
            Self::Head | Self::Whole(_) | Self::Pass(_) | Self::Drop(_) => 0,
        }
    }
}
