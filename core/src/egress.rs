//! What one leg has yet to write: a rope of slices for one vectored write.

use bytes::{Buf, Bytes};

use crate::queue::Queue;
use crate::work;

/// The bytes due to one peer, in order. Only [`crate::Input::Wrote`] makes it shorter.
#[derive(Debug, Default)]
pub struct Egress {
    slices: Queue<Slice>,
    bytes: usize,
    pinned: usize,
    /// How many slices at the end are small.
    small: usize,
    /// Bytes that came since the chunk began.
    fresh: usize,
}

/// A slice of fewer bytes is small,
const SMALL_BYTES: usize = 1024;
/// and so many of them in a row become one: what comes in single bytes must not cost a slice for
/// each.
const SMALL_MAX: usize = 16;

#[derive(Debug)]
struct Slice {
    bytes: Bytes,
    /// The memory that goes when this slice goes; the last slice of a buffer takes it along.
    pinned: usize,
}

/// More was written than there was: the driver broke the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

impl Egress {
    /// Nothing is due.
    pub(crate) const fn new() -> Self {
        Self {
            slices: Queue::new(),
            bytes: 0,
            pinned: 0,
            small: 0,
            fresh: 0,
        }
    }

    /// How many bytes are due.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is due.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// How much memory the bytes keep alive; what the water marks look at.
    #[must_use]
    pub const fn pinned(&self) -> usize {
        self.pinned
    }

    /// The bytes due, front first, in slices for a vectored write.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.slices.iter().map(|slice| &*slice.bytes)
    }

    /// Adds bytes; what they pin is settled at the end of the chunk they came in.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            work::steps(1);
            let pinned = bytes.len();
            self.bytes += pinned;
            self.fresh += pinned;
            self.pinned += pinned;
            self.small = if pinned < SMALL_BYTES {
                self.small + 1
            } else {
                0
            };
            self.slices.push_back(Slice { bytes, pinned });
            if self.small == SMALL_MAX {
                self.join_small();
            }
        }
    }

    fn join_small(&mut self) {
        let small = self.slices.take_last(self.small);
        let (mut joined, mut pinned) = (Vec::new(), 0);
        for slice in small {
            work::copied(slice.bytes.len());
            joined.extend_from_slice(&slice.bytes);
            pinned += slice.pinned;
        }
        self.small = usize::from(joined.len() < SMALL_BYTES);
        let bytes = joined.into();
        self.slices.push_back(Slice { bytes, pinned });
    }

    /// A chunk begins, of which slices may be pushed.
    pub(crate) const fn begin_chunk(&mut self) {
        self.fresh = 0;
    }

    /// Settles what the slices since [`Egress::begin_chunk`] pin, which are all that is left here
    /// of a chunk of `chunk_len` bytes: less than a quarter of it is copied, so that it does not
    /// keep a large buffer alive; otherwise the last slice is charged with the rest of the buffer.
    pub(crate) fn settle(&mut self, chunk_len: usize) {
        let kept = self.fresh;
        if kept == 0 || kept >= chunk_len {
            return;
        }
        if kept.saturating_mul(4) < chunk_len {
            let mut left = kept;
            for slice in self.slices.iter_mut().rev() {
                if left == 0 {
                    break;
                }
                work::copied(slice.bytes.len());
                left = left.saturating_sub(slice.bytes.len());
                slice.bytes = Bytes::copy_from_slice(&slice.bytes);
            }
        } else if let Some(last) = self.slices.back_mut() {
            last.pinned += chunk_len - kept;
            self.pinned += chunk_len - kept;
        }
    }

    pub(crate) fn wrote(&mut self, mut count: usize) -> Result<(), Overrun> {
        self.bytes = self.bytes.checked_sub(count).ok_or(Overrun)?;
        while count > 0 {
            work::steps(1);
            let front = self.slices.front_mut().ok_or(Overrun)?;
            if front.bytes.len() > count {
                front.bytes.advance(count);
                break;
            }
            count -= front.bytes.len();
            self.pinned = self.pinned.saturating_sub(front.pinned);
            self.slices.pop_front();
            self.small = self.small.min(self.slices.len());
        }
        if self.slices.is_empty() {
            self.pinned = 0;
            self.small = 0;
        }
        Ok(())
    }

    /// Drops what was never written.
    pub(crate) fn discard(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(parts: &[&'static str]) -> Egress {
        let mut egress = Egress::default();
        for part in parts {
            egress.push(Bytes::from_static(part.as_bytes()));
        }
        egress
    }

    #[test]
    fn partial_writes_end_at_any_byte() {
        for cut in 0..=7 {
            let mut egress = rope(&["ab", "", "cde", "fg"]);
            egress.wrote(cut).unwrap();
            let rest: Vec<u8> = egress.slices().flatten().copied().collect();
            assert_eq!(rest, "abcdefg".as_bytes()[cut..]);
            assert_eq!(egress.len(), 7 - cut);
        }
    }

    #[test]
    fn the_last_slice_is_charged_with_the_rest_of_its_buffer() {
        let mut egress = rope(&["older"]);
        let chunk = Bytes::from(vec![0; 100]);
        egress.begin_chunk();
        egress.push(chunk.slice(10..30));
        egress.push(chunk.slice(40..60));
        egress.settle(100);
        assert_eq!(egress.pinned(), 105);
        egress.wrote(25).unwrap();
        assert_eq!(egress.pinned(), 80);
        egress.wrote(20).unwrap();
        assert_eq!(egress.pinned(), 0);
    }

    #[test]
    fn little_of_a_large_buffer_is_copied() {
        let mut egress = Egress::default();
        let chunk = Bytes::from(vec![7; 1000]);
        egress.begin_chunk();
        egress.push(chunk.slice(10..100));
        egress.settle(1000);
        assert!(chunk.is_unique());
        assert_eq!(egress.pinned(), 90);
        assert_eq!(
            egress.slices().flatten().copied().collect::<Vec<_>>(),
            [7; 90]
        );
    }

    #[test]
    fn what_comes_in_single_bytes_does_not_cost_a_slice_for_each() {
        let mut egress = Egress::default();
        let sent: Vec<u8> = (0..50_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut taken: Vec<u8> = Vec::new();
        for (n, byte) in sent.iter().enumerate() {
            egress.push(Bytes::copy_from_slice(&[*byte]));
            if n % 7 == 0 {
                taken.extend(egress.slices().flatten().take(3));
                egress.wrote(3.min(egress.len())).unwrap();
            }
        }
        assert!(egress.slices().count() < 100, "{}", egress.slices().count());
        assert!(egress.pinned() < egress.len() + 2 * SMALL_BYTES);
        taken.extend(egress.slices().flatten());
        assert_eq!(taken, sent);
    }

    #[test]
    fn writing_more_than_there_is_is_noticed() {
        assert_eq!(rope(&["ab"]).wrote(3), Err(Overrun));
    }
}
