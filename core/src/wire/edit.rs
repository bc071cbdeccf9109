//! Editing a held frame: replace, cut or insert, fix counts and sizes, keep all other bytes.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::header::PREFIX_BYTES;
use crate::wire::rope::Rope;

/// Changes to a frame, by offsets in the frame as it came (length prefix included).
#[derive(Debug, Default)]
pub struct Edits {
    /// Sorted by start, never overlapping.
    changes: VecDeque<Change>,
    /// Tagged fields around changes, in the order in which they begin.
    sized: Vec<Sized>,
}

#[derive(Debug)]
struct Change {
    range: Range<usize>,
    with: Bytes,
}

/// A tagged field whose size has to follow what is changed inside.
#[derive(Debug)]
struct Sized {
    size: Range<usize>,
    content: Range<usize>,
}

impl Edits {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Puts `with` in the place of a range. A change inside a range that is replaced later
    /// vanishes with it.
    pub fn replace(&mut self, range: Range<usize>, with: impl Into<Bytes>) {
        // Nearly always changes come in the order of the frame.
        if self
            .changes
            .back()
            .is_none_or(|last| last.range.end <= range.start)
        {
            self.changes.push_back(Change {
                range,
                with: with.into(),
            });
            return;
        }
        // Those that begin inside the range: nearly always the last few, so the search and the
        // removal stay short however many there are.
        let first = self
            .changes
            .partition_point(|known| known.range.start < range.start);
        let mut at = first;
        while let Some(known) = self.changes.get(at)
            && known.range.start <= range.end
        {
            let inside = known.range.end <= range.end;
            let behind = known.range.is_empty() && known.range.start == range.end;
            if inside && !behind {
                self.changes.remove(at);
            } else {
                at += 1;
            }
        }
        // Behind what was put in at the same place.
        let at = self
            .changes
            .partition_point(|known| known.range.start <= range.start);
        let with = with.into();
        self.changes.insert(at, Change { range, with });
    }

    /// Removes a range, and all changes inside it.
    pub fn cut(&mut self, range: Range<usize>) {
        self.replace(range, Bytes::new());
    }

    /// Declares a tagged field: where its size stands and what it holds.
    pub fn sized(&mut self, size: Range<usize>, content: Range<usize>) {
        self.sized.push(Sized { size, content });
    }

    /// How much longer the frame becomes, once [`Edits::settle_sizes`] has been called.
    #[must_use]
    pub fn growth(&self) -> isize {
        self.growth_in(&(0..usize::MAX))
    }

    fn growth_in(&self, range: &Range<usize>) -> isize {
        self.changes
            .iter()
            .filter(|change| range.start <= change.range.start && change.range.end <= range.end)
            .map(|change| change.with.len().cast_signed() - change.range.len().cast_signed())
            .sum()
    }

    /// Turns what was declared by [`Edits::sized`] into changes, innermost first.
    pub fn settle_sizes(&mut self) {
        while let Some(Sized { size, content }) = self.sized.pop() {
            let growth = self.growth_in(&content);
            if growth != 0 {
                let new = content.len().saturating_add_signed(growth);
                self.replace(size, unsigned_varint(new));
            }
        }
    }

    /// Moves the frame out of `rope` up to the offset `until`, edited. Changes must lie inside
    /// what is held, and none across `until`.
    pub fn apply(&mut self, rope: &mut Rope, until: usize, mut to: impl FnMut(Bytes)) {
        while let Some(change) = self.changes.front()
            && change.range.end <= until
        {
            let Some(change) = self.changes.pop_front() else {
                break;
            };
            rope.take_to(change.range.start, &mut to);
            rope.skip(change.range.len());
            if !change.with.is_empty() {
                to(change.with);
            }
        }
        rope.take_to(until, to);
    }
}

/// The changes, with that of the length prefix which they make necessary. `frame_len` is the
/// length of the frame as it came, prefix included.
#[must_use]
pub fn lengthened(mut edits: Edits, frame_len: usize) -> Edits {
    let growth = edits.growth();
    if growth != 0 {
        let length = frame_len
            .saturating_sub(PREFIX_BYTES)
            .saturating_add_signed(growth);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        edits.replace(0..PREFIX_BYTES, length.to_be_bytes().to_vec());
    }
    edits
}

/// An unsigned varint in its shortest form.
#[must_use]
pub fn unsigned_varint(value: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(5);
    let mut value = value;
    while value >= 0x80 {
        out.put_u8(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.put_u8(low_bits(value));
    out.freeze()
}

/// An unsigned varint of exactly `bytes` bytes, over-long if need be; nothing if it is too
/// large for them.
#[must_use]
pub fn padded_varint(value: usize, bytes: usize) -> Option<Bytes> {
    let mut out = BytesMut::with_capacity(bytes);
    let mut value = value;
    for index in 0..bytes {
        let more = if index + 1 < bytes { 0x80 } else { 0 };
        out.put_u8(low_bits(value) | more);
        value >>= 7;
    }
    (value == 0).then(|| out.freeze())
}

#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
const fn low_bits(value: usize) -> u8 {
    (value & 0x7f) as u8
}

/// A string as the schema writes it: compact (length + 1 as a varint) or with a 2-byte length.
/// Cut to what the shorter form can hold.
#[must_use]
pub fn string(text: &[u8], compact: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + 5);
    if compact {
        out.extend_from_slice(&unsigned_varint(text.len() + 1));
        out.extend_from_slice(text);
    } else {
        let (length, text) = match i16::try_from(text.len()) {
            Ok(length) => (length, text),
            Err(_) => (i16::MAX, text.get(..i16::MAX as usize).unwrap_or_default()),
        };
        out.put_i16(length);
        out.extend_from_slice(text);
    }
    out.freeze()
}

/// Null in the place of a nullable string.
#[must_use]
pub const fn null_string(compact: bool) -> Bytes {
    if compact {
        Bytes::from_static(&[0])
    } else {
        Bytes::from_static(&[0xff, 0xff])
    }
}

/// The count of an array as the schema writes it.
#[must_use]
pub fn count(elements: usize, compact: bool) -> Bytes {
    if compact {
        unsigned_varint(elements + 1)
    } else {
        let count = i32::try_from(elements).unwrap_or(i32::MAX);
        Bytes::copy_from_slice(&count.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(mut edits: Edits, parts: &[&'static str]) -> String {
        let mut rope = Rope::default();
        for part in parts {
            rope.push(Bytes::from_static(part.as_bytes()));
        }
        let mut out = Vec::new();
        let end = rope.end();
        edits.apply(&mut rope, end, |part| out.extend_from_slice(&part));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn all_other_bytes_stay_wherever_the_slices_end() {
        for cut in 0..=10 {
            let (head, tail) = "0123456789".split_at(cut);
            let mut edits = Edits::default();
            edits.replace(7..9, "xyz");
            edits.cut(1..3);
            edits.replace(5..5, "+");
            assert_eq!(edits.growth(), 0);
            assert_eq!(edited(edits, &[head, tail]), "034+56xyz9");
        }
    }

    #[test]
    fn cutting_an_element_takes_its_changes_along() {
        let mut edits = Edits::default();
        edits.replace(2..3, "long");
        edits.replace(4..4, "ins");
        edits.cut(1..5);
        edits.replace(5..6, "F");
        assert_eq!(edited(edits, &["abcdefg"]), "aFg");
    }

    #[test]
    fn sizes_follow_inside_out() {
        let mut edits = Edits::default();
        // size at 0..1 of content 1..200, in which size at 10..11 of content 11..40.
        edits.sized(0..1, 1..100);
        edits.sized(10..11, 11..40);
        edits.replace(20..21, vec![b'x'; 120]);
        edits.settle_sizes();
        // The inner size needs two bytes now, so the outer content grows by 119 + 1.
        assert_eq!(edits.growth(), 119 + 1 + 1);
        let changes: Vec<(Range<usize>, Vec<u8>)> = edits
            .changes
            .iter()
            .map(|c| (c.range.clone(), c.with.to_vec()))
            .collect();
        assert_eq!(changes[0], (0..1, unsigned_varint(99 + 120).to_vec()));
        assert_eq!(changes[1], (10..11, unsigned_varint(29 + 119).to_vec()));
    }

    #[test]
    fn varints_take_their_shortest_or_their_given_form() {
        assert_eq!(&*unsigned_varint(0), [0]);
        assert_eq!(&*unsigned_varint(300), [0xac, 0x02]);
        assert_eq!(&*padded_varint(3, 3).unwrap(), [0x83, 0x80, 0x00]);
        assert_eq!(padded_varint(128, 1), None);
    }
}
