//! From where on a response is buffered while it is read.
//!
//! Each reason to buffer has a field of its own, and ends by itself alone: one that comes later can
//! only buffer more. While the length that the response leaves with has not been written, nothing
//! of it goes on, whatever else is said: the length is its first four bytes.

use crate::wire::edit::{Edits, lengthened};

/// What is buffered of one response, and why.
#[derive(Debug)]
pub(super) struct BufferedPart {
    length: Length,
    /// Where a text begins that is being read, and may have to be changed.
    text: Option<usize>,
    /// Where the part behind the records begins, which is buffered to the end of the frame.
    tail: Option<usize>,
}

/// Whether the length prefix says how long the response becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// Not yet.
    Open,
    /// It does, and nothing changes it any more.
    Written {
        /// How much longer than it came the response leaves.
        growth: isize,
    },
}

impl BufferedPart {
    /// Nothing goes on before the length is written.
    pub(super) const fn whole() -> Self {
        Self {
            length: Length::Open,
            text: None,
            tail: None,
        }
    }

    /// The length stays what it was, and everything goes on that no text and no tail buffers.
    pub(super) const fn streamed() -> Self {
        Self {
            length: Length::Written { growth: 0 },
            text: None,
            tail: None,
        }
    }

    /// Writes the length that the response leaves with, if that has not been done: after it no
    /// change may make the response longer or shorter. Says how much longer it leaves.
    pub(super) fn write_length(&mut self, edits: &mut Edits, frame_len: usize) -> isize {
        match self.length {
            Length::Written { growth } => growth,
            Length::Open => {
                let growth = edits.growth();
                *edits = lengthened(std::mem::take(edits), frame_len);
                self.length = Length::Written { growth };
                growth
            }
        }
    }

    /// A text is being read.
    pub(super) fn text_begins(&mut self, at: usize) {
        self.text = Some(at);
    }

    /// It has been read and decided on.
    pub(super) fn text_ends(&mut self) {
        self.text = None;
    }

    /// All that follows is buffered.
    pub(super) fn tail_begins(&mut self, at: usize) {
        self.tail = Some(self.tail.map_or(at, |before| before.min(at)));
    }

    /// The first byte of the frame that may not go on.
    pub(super) fn begins(&self) -> usize {
        match self.length {
            Length::Open => 0,
            Length::Written { .. } => {
                let buffered = [self.text, self.tail];
                buffered.into_iter().flatten().min().unwrap_or(usize::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::PREFIX_BYTES;
    use crate::wire::rope::Rope;

    const FRAME_LEN: usize = 1000;

    /// Every call, in every order, up to a number of them.
    #[test]
    fn nothing_is_released_before_the_length_is_written() {
        const WORDS: u32 = 6;
        for order in 0..4_usize.pow(WORDS) {
            let mut buffered = BufferedPart::whole();
            let (mut tail, mut is_written) = (usize::MAX, false);
            for word in 0..WORDS {
                let at = 10 + 10 * word as usize;
                match order / 4_usize.pow(word) % 4 {
                    0 => buffered.text_begins(at),
                    1 => buffered.text_ends(),
                    2 => {
                        buffered.tail_begins(at);
                        tail = tail.min(at);
                    }
                    _ => {
                        buffered.write_length(&mut Edits::default(), FRAME_LEN);
                        is_written = true;
                    }
                }
                let begins = buffered.begins();
                assert!(is_written || begins == 0, "order {order}: sent too early");
                assert!(begins <= tail, "order {order}: the tail was released");
            }
        }
    }

    #[test]
    fn a_length_is_written_once() {
        let (mut buffered, mut edits) = (BufferedPart::whole(), Edits::default());
        edits.replace(500..500, "longer");
        assert_eq!(buffered.write_length(&mut edits, FRAME_LEN), 6);
        assert_eq!(buffered.write_length(&mut edits, FRAME_LEN), 6);
        let (mut rope, mut out) = (Rope::default(), Vec::new());
        rope.push(vec![0; FRAME_LEN].into());
        edits.apply(&mut rope, FRAME_LEN, |part| out.extend_from_slice(&part));
        let len = u32::try_from(FRAME_LEN + 6 - PREFIX_BYTES).unwrap();
        assert_eq!(out.first_chunk(), Some(&len.to_be_bytes()));
        assert_eq!(out.len(), FRAME_LEN + 6);
    }

    #[test]
    fn the_length_of_a_streamed_response_stays() {
        let (mut buffered, mut edits) = (BufferedPart::streamed(), Edits::default());
        assert_eq!(buffered.begins(), usize::MAX);
        assert_eq!(buffered.write_length(&mut edits, FRAME_LEN), 0);
        assert!(edits.is_empty());
    }
}
