//! Requests that were read with others and that there is no room for yet.

use bytes::{Bytes, BytesMut};

use crate::work;

/// The rest of one read, from the beginning of a frame on.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) bytes: Bytes,
    /// The memory that the bytes keep alive: all of the chunk that they came in.
    pub(super) pinned: usize,
}

impl Backlog {
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The rest of a chunk; a small one must not keep a large buffer alive.
    pub(super) fn of(rest: Bytes, chunk_len: usize) -> Self {
        if rest.len().saturating_mul(4) < chunk_len {
            work::copied(rest.len());
            let bytes = Bytes::copy_from_slice(&rest);
            let pinned = bytes.len();
            Self { bytes, pinned }
        } else {
            Self {
                bytes: rest,
                pinned: chunk_len,
            }
        }
    }

    /// These with more behind them. A buffer that nobody else has grows as a vector does: what is
    /// there is not copied again with each piece that comes.
    pub(super) fn followed_by(self, more: &[u8]) -> Self {
        let mut bytes = self.bytes.try_into_mut().unwrap_or_else(|shared| {
            work::copied(shared.len());
            BytesMut::from(&*shared)
        });
        work::copied(more.len());
        bytes.extend_from_slice(more);
        let pinned = bytes.capacity();
        let bytes = bytes.freeze();
        Self { bytes, pinned }
    }
}
