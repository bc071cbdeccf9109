//! Bytes that are buffered: slices in the order they came, readable by offset.

use std::ops::Range;

use bytes::Bytes;

use crate::queue::Queue;
use crate::work;

/// The buffered part of one frame. Offsets are those of the frame, from its length prefix on, also
/// when the front of the frame has already moved on.
#[derive(Debug, Default)]
pub struct Rope {
    slices: Queue<Slice>,
    len: usize,
    pinned: usize,
    /// The offset in the frame of the first byte that is buffered.
    origin: usize,
}

#[derive(Debug)]
struct Slice {
    /// The offset in the frame of its first byte: a place is found without looking at the slices
    /// before or behind it, however many there are.
    at: usize,
    bytes: Bytes,
    /// The memory that is freed with this slice: its bytes, and where it is what is left of a
    /// chunk, all of the chunk.
    pinned: usize,
}

impl Rope {
    /// How many bytes are buffered.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// How much memory the buffered bytes keep alive.
    #[must_use]
    pub const fn pinned(&self) -> usize {
        self.pinned
    }

    /// The offset in the frame behind the last byte that is buffered.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.origin + self.len
    }

    /// Whether nothing is buffered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes at the end.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            work::steps(1);
            let at = self.end();
            let pinned = bytes.len();
            self.len += pinned;
            self.pinned += pinned;
            self.slices.push_back(Slice { at, bytes, pinned });
        }
    }

    /// Copies `into.len()` bytes from `at` on; false if they are not all there.
    #[must_use]
    pub fn read(&self, at: usize, into: &mut [u8]) -> bool {
        if at < self.origin {
            return false;
        }
        let mut index = self.locate(at);
        let mut done = 0;
        while let Some(slice) = self.slices.get(index)
            && let Some(room) = into.get_mut(done..)
            && !room.is_empty()
        {
            let skip = (at + done).saturating_sub(slice.at);
            let rest = slice.bytes.get(skip..).unwrap_or_default();
            let count = rest.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..count), rest.get(..count)) {
                to.copy_from_slice(from);
            }
            work::copied(count);
            done += count;
            index += 1;
        }
        done == into.len()
    }

    /// The number of the slice in which the byte at this offset of the frame stands. Most of what
    /// is read stands where the walk is, and that is in the newest slice.
    fn locate(&self, at: usize) -> usize {
        let count = self.slices.len();
        if self.slices.back().is_some_and(|newest| newest.at <= at) {
            return count.saturating_sub(1);
        }
        let before = self.slices.partition_point(|slice| {
            work::steps(1);
            slice.at <= at
        });
        before.saturating_sub(1)
    }

    /// A copy of a range; shorter where less is buffered. Ranges come from a walker, which has
    /// checked them against bytes that arrived.
    #[must_use]
    pub fn copy(&self, range: Range<usize>) -> Vec<u8> {
        let end = range.end.min(self.end());
        let mut out = vec![0; end.saturating_sub(range.start)];
        let whole = self.read(range.start, &mut out);
        debug_assert!(whole, "the range was cut to what is buffered");
        out
    }

    /// Takes up to `count` bytes from the front, slice by slice.
    pub fn take(&mut self, mut count: usize, mut to: impl FnMut(Bytes)) {
        while count > 0 {
            let Some(front) = self.slices.front_mut() else {
                break;
            };
            work::steps(1);
            let part = if front.bytes.len() > count {
                front.at += count;
                front.bytes.split_to(count)
            } else {
                let whole = std::mem::take(&mut front.bytes);
                self.pinned -= front.pinned;
                self.slices.pop_front();
                whole
            };
            count -= part.len();
            self.len -= part.len();
            self.origin += part.len();
            to(part);
        }
    }

    /// Takes everything up to an offset in the frame.
    pub fn take_to(&mut self, offset: usize, to: impl FnMut(Bytes)) {
        self.take(offset.saturating_sub(self.origin), to);
    }

    /// Drops bytes from the front.
    pub fn skip(&mut self, count: usize) {
        self.take(count, drop);
    }

    /// Drops everything, and is ready for the next frame.
    pub fn clear(&mut self) {
        self.slices.clear();
        (self.len, self.pinned, self.origin) = (0, 0, 0);
    }

    /// After a chunk: copies what is buffered of it if that is less than a quarter, so that a small
    /// remainder does not keep a large buffer alive; else it is charged with all of the chunk.
    ///
    /// Only the last slice can be of that chunk: whatever was buffered before it is older, and was
    /// settled when it came.
    pub fn settle(&mut self, chunk_len: usize) {
        if let Some(last) = self.slices.back_mut() {
            let had = last.pinned;
            if last.bytes.len().saturating_mul(4) < chunk_len {
                work::copied(last.bytes.len());
                last.bytes = Bytes::copy_from_slice(&last.bytes);
                last.pinned = last.bytes.len();
            } else {
                last.pinned = had.max(chunk_len);
            }
            self.pinned = self.pinned - had + last.pinned;
        }
        self.join_small();
    }

    /// A frame that drips in byte by byte must not cost a slice for each byte.
    fn join_small(&mut self) {
        const SMALL: usize = 1024;
        if self.slices.len() < 2 {
            return;
        }
        let tail = self
            .slices
            .iter()
            .rev()
            .take_while(|slice| slice.bytes.len() < SMALL)
            .count();
        if tail < 16 {
            return;
        }
        let small = self.slices.take_last(tail);
        let at = small.first().map_or(self.origin, |first| first.at);
        let mut joined = Vec::with_capacity(small.iter().map(|slice| slice.bytes.len()).sum());
        for slice in &small {
            work::copied(slice.bytes.len());
            joined.extend_from_slice(&slice.bytes);
            self.pinned -= slice.pinned;
        }
        let pinned = joined.len();
        self.pinned += pinned;
        let bytes = joined.into();
        self.slices.push_back(Slice { at, bytes, pinned });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(parts: &[&'static [u8]]) -> Rope {
        let mut rope = Rope::default();
        for part in parts {
            rope.push(Bytes::from_static(part));
        }
        rope
    }

    #[test]
    fn ranges_are_read_across_slices() {
        let rope = rope(&[b"ab", b"", b"cde", b"f"]);
        for start in 0..=6 {
            for end in start..=6 {
                assert_eq!(rope.copy(start..end), &b"abcdef"[start..end]);
            }
        }
        assert!(!rope.read(4, &mut [0; 3]));
    }

    #[test]
    fn taking_keeps_order_at_every_cut() {
        for cut in 0..=6 {
            let mut rope = rope(&[b"ab", b"cde", b"f"]);
            let mut out = Vec::new();
            rope.take(cut, |part| out.extend_from_slice(&part));
            assert_eq!(out, &b"abcdef"[..cut]);
            assert_eq!(rope.copy(cut..9), &b"abcdef"[cut..]);
            assert_eq!(rope.end(), 6);
            assert!(
                cut == 0 || !rope.read(0, &mut [0]),
                "what has moved on is not buffered"
            );
        }
    }

    #[test]
    fn a_small_remainder_leaves_its_buffer() {
        let buffer = Bytes::from(vec![7; 4096]);
        let mut rope = Rope::default();
        rope.push(buffer.slice(4000..4010));
        rope.settle(4096);
        assert!(buffer.is_unique(), "the remainder was copied");
        assert_eq!(rope.copy(0..10), [7; 10]);
    }

    #[test]
    fn what_is_left_of_a_large_buffer_counts_as_all_of_it() {
        let buffer = Bytes::from(vec![7; 4096]);
        let mut rope = Rope::default();
        rope.push(buffer.slice(..4096));
        rope.settle(4096);
        rope.push(buffer.slice(2000..));
        rope.settle(4096);
        assert_eq!((rope.len(), rope.pinned()), (4096 + 2096, 2 * 4096));
        rope.take(4096, drop);
        assert_eq!(rope.pinned(), 4096);
        rope.take(2000, drop);
        assert_eq!(rope.pinned(), 4096, "96 bytes keep the buffer");
        rope.take(96, drop);
        assert_eq!(rope.pinned(), 0);
        for _ in 0..200 {
            rope.push(buffer.slice(..7));
            rope.settle(4096);
        }
        assert_eq!(rope.pinned(), rope.len(), "small remainders were copied");
    }

    #[test]
    fn a_place_is_found_without_a_look_at_all_slices() {
        const SLICES: usize = 10_000;
        let mut rope = Rope::default();
        for _ in 0..SLICES {
            rope.push(Bytes::from_static(&[7; 8]));
        }
        rope.skip(4);
        let before = work::taken();
        for at in 4..SLICES * 8 {
            assert!(rope.read(at, &mut [0]));
        }
        let steps = work::taken() - before;
        assert!(steps <= 20 * SLICES as u64 * 8, "{steps} steps");
    }

    #[test]
    fn a_dripping_frame_does_not_cost_a_slice_a_byte() {
        let mut rope = Rope::default();
        for byte in 0..200u8 {
            rope.push(Bytes::copy_from_slice(&[byte]));
            rope.settle(1);
        }
        assert!(rope.slices.len() < 32);
        assert_eq!(rope.copy(0..200), (0..200).collect::<Vec<u8>>());
    }
}
