//! The frame that is coming in on one leg, and how far it has been forwarded.

use std::time::Duration;

use crate::session::denial::Whole;
use crate::session::pace::FramePace;
use crate::session::request::Request;
use crate::session::response::Response;
use crate::time::Instant;
use crate::wire::rope::Rope;

/// What has come of the current frame, and what is to become of the rest.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    /// Bytes of the current frame that have not moved on, from its length prefix on.
    pub(super) buffered: Rope,
    pub(super) stage: Stage,
    /// How the current frame moves; nothing between frames.
    pub(super) pace: Option<FramePace>,
}

/// What is being read of the current frame.
#[derive(Debug, Default)]
pub(super) enum Stage {
    /// The length prefix and the fixed head.
    #[default]
    Head,
    /// A request is buffered until the fields have been read that decide about it.
    Request(Box<Request>),
    /// A request is buffered to its end, because all or some of it is denied.
    Whole(Box<Whole>),
    /// A response is buffered or streamed, because it may contain addresses.
    Response(Box<Response>),
    /// This many bytes go on as they come.
    Pass {
        /// Bytes of the frame still to come.
        left: usize,
    },
    /// This many bytes are thrown away as they come: the request has been denied.
    Drop {
        /// Bytes of the frame still to come.
        left: usize,
    },
}

impl FrameReader {
    /// After a chunk: what is still buffered must not keep a large buffer alive.
    pub(super) fn settle(&mut self, now: Instant, chunk_len: usize) {
        self.buffered.settle(chunk_len);
        if self.is_between_frames() {
            self.pace = None;
        } else {
            let pace = self.pace.get_or_insert_with(|| FramePace::new(now));
            pace.moved(now, chunk_len);
        }
    }

    /// How much memory is kept alive by what is buffered, and by what has been read of it.
    pub(super) fn pinned(&self) -> usize {
        if self.buffered.is_empty() {
            return 0;
        }
        let kept = match &self.stage {
            Stage::Request(request) => request.pinned(),
            Stage::Response(response) => response.buffered_bytes(),
            Stage::Head | Stage::Whole(_) | Stage::Pass { .. } | Stage::Drop { .. } => 0,
        };
        self.buffered.pinned() + kept
    }

    /// When the frame that is coming in counts as stalled, if one is.
    pub(super) fn deadline(&self, stall: Duration) -> Option<Instant> {
        let pace = self.pace.as_ref()?;
        let is_buffered = match &self.stage {
            Stage::Head | Stage::Whole(_) => true,
            Stage::Request(request) => !request.is_streamed,
            Stage::Response(response) => !response.is_streamed(),
            Stage::Pass { .. } | Stage::Drop { .. } => false,
        };
        Some(if is_buffered {
            pace.deadline_of_buffered(stall)
        } else {
            pace.deadline(stall)
        })
    }

    /// Whether nothing has come of the next frame.
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self.stage, Stage::Head) && self.buffered.is_empty()
    }

    /// Nothing is read at the moment, for no fault of the peer: its time starts anew.
    pub(super) fn excuse(&mut self, now: Instant) {
        if self.pace.is_some() {
            self.pace = Some(FramePace::new(now));
        }
    }

    /// A frame has ended, and the next may begin in the same chunk.
    pub(super) fn frame_done(&mut self) {
        self.buffered.clear();
        self.stage = Stage::Head;
        self.pace = None;
    }

    /// Drops what is buffered.
    pub(super) fn discard(&mut self) {
        *self = Self::default();
    }
}
