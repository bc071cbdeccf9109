//! What one leg has yet to write: a rope of slices for one vectored write.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// The bytes due to one peer, in order. Only [`crate::Input::Wrote`] makes it shorter.
#[derive(Debug, Default)]
pub struct Egress {
    slices: VecDeque<Slice>,
    bytes: usize,
    pinned: usize,
}

#[derive(Debug)]
struct Slice {
    bytes: Bytes,
    /// The memory that goes when this slice goes: a buffer is charged to its last slice.
    pinned: usize,
}

/// More was written than there was: the driver broke the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

impl Egress {
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

    /// Adds bytes whose going will free `pinned` bytes of memory.
    pub(crate) fn push(&mut self, bytes: Bytes, pinned: usize) {
        if bytes.is_empty() {
            if let Some(last) = self.slices.back_mut() {
                last.pinned += pinned;
                self.pinned += pinned;
            }
            return;
        }
        self.bytes += bytes.len();
        self.pinned += pinned;
        self.slices.push_back(Slice { bytes, pinned });
    }

    pub(crate) fn wrote(&mut self, mut count: usize) -> Result<(), Overrun> {
        self.bytes = self.bytes.checked_sub(count).ok_or(Overrun)?;
        while count > 0 {
            let front = self.slices.front_mut().ok_or(Overrun)?;
            if front.bytes.len() > count {
                front.bytes.advance(count);
                break;
            }
            count -= front.bytes.len();
            self.pinned = self.pinned.saturating_sub(front.pinned);
            self.slices.pop_front();
        }
        if self.slices.is_empty() {
            // An idle leg keeps no memory for the bursts that it once had.
            self.slices = VecDeque::new();
            self.pinned = 0;
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
            egress.push(Bytes::from_static(part.as_bytes()), part.len());
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
    fn pinned_memory_goes_with_the_last_slice_of_its_buffer() {
        let mut egress = Egress::default();
        egress.push(Bytes::from_static(b"head"), 0);
        egress.push(Bytes::from_static(b"tail"), 4096);
        egress.wrote(4).unwrap();
        assert_eq!(egress.pinned(), 4096);
        egress.wrote(4).unwrap();
        assert_eq!(egress.pinned(), 0);
    }

    #[test]
    fn writing_more_than_there_is_is_noticed() {
        assert_eq!(rope(&["ab"]).wrote(3), Err(Overrun));
    }
}
