//! The frame that is coming in on one path, and how far it has been forwarded.

use std::time::Duration;

use crate::error::{BadLength, ClientFault, OtherProtocol};
use crate::session::pace::FramePace;
use crate::time::Instant;
use crate::wire::framer::{self, Framer};
use crate::wire::header::PREFIX_BYTES;
use crate::wire::rope::Rope;

/// What is being read of a frame: requests and responses each have stages of their own.
pub(super) trait Stage: Default {
    /// Whether no more than the head of the frame is being read.
    fn is_head(&self) -> bool;

    /// Whether what comes is buffered until the frame says more.
    fn is_buffering(&self) -> bool;

    /// The memory that is kept of what has been read, besides the frame.
    fn kept_bytes(&self) -> usize;
}

/// What has come of the current frame, and what is to become of the rest.
#[derive(Debug, Default)]
pub(super) struct FrameReader<S> {
    /// Bytes of the current frame that have not moved on, from its length prefix on.
    pub(super) buffered: Rope,
    pub(super) stage: S,
    /// How the current frame moves; nothing between frames.
    pub(super) pace: Option<FramePace>,
    /// Since when nothing is read because there is no room to buffer it.
    pub(super) paused_since: Option<Instant>,
}

impl<S: Stage> FrameReader<S> {
    /// After a chunk: what is still buffered must not keep a large chunk alive.
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
        self.buffered.pinned() + self.stage.kept_bytes()
    }

    /// When the frame that is coming in counts as stalled, if one is.
    pub(super) fn deadline(&self, stall: Duration) -> Option<Instant> {
        let pace = self.pace.as_ref()?;
        Some(if self.stage.is_buffering() {
            pace.deadline_of_buffered(stall)
        } else {
            pace.deadline(stall)
        })
    }

    /// Whether nothing has come of the next frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.stage.is_head() && self.buffered.is_empty()
    }

    /// Nothing is read at the moment, for no fault of the peer: its time starts anew.
    pub(super) fn excuse(&mut self, now: Instant) {
        if self.pace.is_some() {
            self.pace = Some(FramePace::new(now));
        }
    }

    /// The length of a client's frame with its prefix, once that is there.
    #[inline(always)]
    pub(super) fn client_frame_len(
        &self,
        chunk: &[u8],
        framer: Framer,
    ) -> Result<Option<usize>, ClientFault> {
        framer.frame_len(&self.buffered, chunk).map_err(|why| {
            let first = framer::peek::<PREFIX_BYTES>(&self.buffered, chunk, 0);
            match (why, first.and_then(OtherProtocol::of)) {
                (BadLength::TooLarge, Some(other)) => ClientFault::Speaks(other),
                (_, Some(_) | None) => ClientFault::FrameLength(why),
            }
        })
    }

    /// The frame has ended, and the next may begin in the same chunk; or what has come of it is
    /// dropped.
    pub(super) fn clear(&mut self) {
        self.buffered.clear();
        self.stage = S::default();
        self.pace = None;
    }
}
