//! How far the response has come that is coming in from the broker.

use crate::session::frame_reader::Stage;
use crate::session::response::Response;

/// What is being read of a response.
#[derive(Debug, Default)]
pub(super) enum ResponseStage {
    /// The length prefix and the fixed head.
    #[default]
    Head,
    /// It is buffered, or passes while it is read, because it may have to be edited.
    Reading(Box<Response>),
    /// The rest goes to the client as it comes.
    Pass(PassedResponse),
}

/// A response of which nothing is edited any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassedResponse {
    /// Bytes of the frame still to come.
    pub(super) left: usize,
    /// The size that the frame leaves with.
    pub(super) bytes: usize,
}

impl Stage for ResponseStage {
    fn is_head(&self) -> bool {
        matches!(self, Self::Head)
    }

    fn is_buffering(&self) -> bool {
        match self {
            Self::Head => true,
            Self::Reading(response) => !response.is_streamed(),
            Self::Pass(_) => false,
        }
    }

    fn kept_bytes(&self) -> usize {
        match self {
            Self::Reading(response) => response.buffered_bytes(),
            Self::Head | Self::Pass(_) => 0,
        }
    }
}
