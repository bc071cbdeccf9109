//! One direction of a connection: bytes on their way, bytes that have arrived, and the end.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use doorkeeper_core::{End, Instant};

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct ByteChannel {
    transit: VecDeque<(Instant, Bytes)>,
    inbox: VecDeque<Bytes>,
    /// Bytes in transit and in the inbox.
    filled: usize,
    /// How many may be there.
    pub(super) window: usize,
    /// Nothing arrives while it is held.
    pub(super) held: bool,
    /// The end, behind all bytes if it is in order.
    end: Option<(Instant, End)>,
    /// The reader knows of the end.
    end_reported: bool,
    /// After so many bytes more the connection ends.
    cut: Option<(usize, End)>,
    /// Bytes that are written vanish.
    deaf: bool,
    /// Bytes keep their order, however their travel times vary.
    last_at: Instant,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadResult {
    Bytes(Bytes),
    End(End),
    Nothing,
}

/// The peer is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BrokenPipe;

impl ByteChannel {
    pub(super) fn new(window: usize) -> Self {
        Self {
            transit: VecDeque::new(),
            inbox: VecDeque::new(),
            filled: 0,
            window: window.max(1),
            held: false,
            end: None,
            end_reported: false,
            cut: None,
            deaf: false,
            last_at: Instant::ZERO,
        }
    }

    /// How many bytes a writer can get rid of.
    pub(super) fn room(&self) -> usize {
        if self.deaf {
            usize::MAX
        } else {
            self.window.saturating_sub(self.filled)
        }
    }

    /// Whether a write would fail.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.end, Some((_, End::Reset)))
    }

    /// Takes as many bytes as there is room for. They arrive at `at`, or after those before them.
    pub(super) fn write(&mut self, at: Instant, bytes: &[u8]) -> Result<usize, BrokenPipe> {
        if self.is_broken() {
            return Err(BrokenPipe);
        }
        let count = bytes.len().min(self.room());
        let mut taken = bytes.get(..count).unwrap_or_default();
        if self.deaf || self.end.is_some() {
            return Ok(count);
        }
        let at = at.max(self.last_at);
        self.last_at = at;
        if let Some((left, how)) = &mut self.cut {
            let (left_now, how) = (*left, *how);
            *left = left.saturating_sub(count);
            if left_now <= count {
                taken = taken.get(..left_now).unwrap_or_default();
                self.put(at, taken);
                self.end = Some((at, how));
                self.deaf = true;
                return Ok(count);
            }
        }
        self.put(at, taken);
        Ok(count)
    }

    fn put(&mut self, at: Instant, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.filled += bytes.len();
            self.transit.push_back((at, Bytes::copy_from_slice(bytes)));
        }
    }

    /// No more bytes will be written.
    pub(super) fn finish(&mut self, at: Instant) {
        self.finish_as(at, End::Fin);
    }

    /// No more bytes will be written, and the reader learns of the end as this.
    pub(super) fn finish_as(&mut self, at: Instant, how: End) {
        if self.end.is_none() {
            self.end = Some((at.max(self.last_at), how));
        }
    }

    /// The connection is reset: what was on its way is lost.
    pub(super) fn reset(&mut self, at: Instant) {
        self.transit.clear();
        self.inbox.clear();
        self.filled = 0;
        self.deaf = true;
        self.held = false;
        self.end = Some((at, End::Reset));
    }

    /// After so many bytes more the connection ends.
    pub(super) fn cut_after(&mut self, bytes: usize, how: End) {
        self.cut = Some((bytes, how));
    }

    /// No fault is left on it. What was cut stays cut.
    pub(super) fn heal(&mut self, window: usize) {
        self.held = false;
        self.window = window.max(1);
        self.cut = None;
    }

    /// Moves what has arrived to the inbox.
    pub(super) fn arrive(&mut self, now: Instant) {
        while !self.held
            && let Some((at, _)) = self.transit.front()
            && *at <= now
            && let Some((_, bytes)) = self.transit.pop_front()
        {
            self.inbox.push_back(bytes);
        }
    }

    /// When something arrives next.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let end = self.end.filter(|_| !self.end_reported).map(|(at, _)| at);
        let bytes = self.transit.front().map(|(at, _)| *at);
        bytes.or(end).filter(|_| !self.held)
    }

    /// Whether [`ByteChannel::read`] would give something.
    pub(super) fn is_readable(&self, now: Instant) -> bool {
        !self.inbox.is_empty() || self.end_has_come(now)
    }

    fn end_has_come(&self, now: Instant) -> bool {
        let is_due = self.end.is_some_and(|(at, _)| at <= now);
        is_due && !self.end_reported && !self.held && self.transit.is_empty()
    }

    /// Takes at most `max` bytes that have arrived, or the end behind them.
    pub(super) fn read(&mut self, now: Instant, max: usize) -> ReadResult {
        let Some(front) = self.inbox.front_mut() else {
            if self.end_has_come(now)
                && let Some((_, how)) = self.end
            {
                self.end_reported = true;
                return ReadResult::End(how);
            }
            return ReadResult::Nothing;
        };
        let bytes = if front.len() > max {
            let part = front.slice(..max);
            front.advance(max);
            part
        } else {
            let whole = std::mem::take(front);
            self.inbox.pop_front();
            whole
        };
        self.filled = self.filled.saturating_sub(bytes.len());
        ReadResult::Bytes(Bytes::copy_from_slice(&bytes))
    }

    /// Whether bytes have arrived that nobody has read.
    pub(super) fn has_unread(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Whether the reader knows of the end.
    pub(super) const fn is_over(&self) -> bool {
        self.end_reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn bytes_arrive_in_order_and_the_end_comes_last() {
        let mut pipe = ByteChannel::new(10);
        assert_eq!(pipe.write(at(5), b"abcdef"), Ok(6));
        assert_eq!(pipe.write(at(3), b"ghijkl"), Ok(4));
        pipe.finish(at(1));
        assert_eq!(pipe.next_at(), Some(at(5)));
        pipe.arrive(at(5));
        assert_eq!(pipe.read(at(5), 4), ReadResult::Bytes("abcd".into()));
        assert_eq!(pipe.room(), 4);
        assert_eq!(pipe.read(at(5), 9), ReadResult::Bytes("ef".into()));
        assert_eq!(pipe.read(at(5), 9), ReadResult::Bytes("ghij".into()));
        assert_eq!(pipe.read(at(5), 9), ReadResult::End(End::Fin));
        assert_eq!(pipe.read(at(5), 9), ReadResult::Nothing);
    }

    #[test]
    fn a_cut_ends_the_connection_at_that_byte() {
        let mut pipe = ByteChannel::new(100);
        pipe.cut_after(3, End::Reset);
        assert_eq!(pipe.write(at(1), b"ab"), Ok(2));
        assert_eq!(pipe.write(at(1), b"cdef"), Ok(4));
        assert_eq!(pipe.write(at(1), b"g"), Err(BrokenPipe));
        pipe.arrive(at(1));
        assert_eq!(pipe.read(at(1), 9), ReadResult::Bytes("ab".into()));
        assert_eq!(pipe.read(at(1), 9), ReadResult::Bytes("c".into()));
        assert_eq!(pipe.read(at(1), 9), ReadResult::End(End::Reset));
    }
}
