//! Edits a buffered frame: replace, cut or insert, fix counts and sizes, keep all other bytes.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::header::PREFIX_BYTES;
use crate::wire::rope::Rope;
use crate::work;

/// Changes to a frame, by offsets in the frame as it came (length prefix included).
///
/// They are made in the order of a walk: one after the other, and what stands before others that
/// depend on it, like a count or a size, right behind those. However many there are, each costs
/// a few steps then.
#[derive(Debug, Default)]
pub struct Edits {
    /// Sorted by start, never overlapping.
    changes: VecDeque<Change>,
    /// How much longer they make the frame.
    growth: isize,
    /// The memory that they need.
    pinned: usize,
}

#[derive(Debug)]
struct Change {
    range: Range<usize>,
    with: Bytes,
}

impl Change {
    fn growth(&self) -> isize {
        self.with.len().cast_signed() - self.range.len().cast_signed()
    }

    const fn pinned(&self) -> usize {
        size_of::<Self>() + self.with.len()
    }
}

impl Edits {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The memory that the changes need.
    #[must_use]
    pub const fn pinned(&self) -> usize {
        self.pinned
    }

    /// Puts `with` in the place of a range. A change inside a range that is replaced later
    /// vanishes with it.
    pub fn replace(&mut self, range: Range<usize>, with: impl Into<Bytes>) {
        let with = with.into();
        let change = Change { range, with };
        work::steps(1);
        // Nearly always changes come in the order of the frame.
        let is_last = self
            .changes
            .back()
            .is_none_or(|last| last.range.end <= change.range.start);
        if is_last {
            self.count(&change);
            self.changes.push_back(change);
        } else {
            self.insert(change);
        }
    }

    fn count(&mut self, change: &Change) {
        self.growth += change.growth();
        self.pinned += change.pinned();
    }

    /// Puts a change before others, in the place of those inside its range.
    fn insert(&mut self, change: Change) {
        let Range { start, end } = change.range;
        let first = self.changes.partition_point(|it| it.range.start < start);
        // What was put in where the range ends stays behind it.
        let is_inside = |it: &Change| it.range.start < end && it.range.end <= end;
        let inside = self.changes.range(first..).take_while(|it| is_inside(it));
        let inside = inside.count();
        for gone in self.changes.drain(first..first + inside) {
            self.growth -= gone.growth();
            self.pinned = self.pinned.saturating_sub(gone.pinned());
        }
        // Behind what was put in at the same place.
        let at = self.changes.partition_point(|it| it.range.start <= start);
        work::steps(inside + at.min(self.changes.len() - at));
        self.count(&change);
        self.changes.insert(at, change);
    }

    /// Removes a range, and all changes inside it. What is cut in one piece is one change.
    pub fn cut(&mut self, range: Range<usize>) {
        if let Some(last) = self.changes.back_mut()
            && last.with.is_empty()
            && last.range.end == range.start
        {
            work::steps(1);
            self.growth -= range.len().cast_signed();
            last.range.end = range.end;
        } else {
            self.replace(range, Bytes::new());
        }
    }

    /// Lets the size of a tagged field, which stands at `size`, follow what has been changed in
    /// its content; asked for when the content has been read.
    pub fn resize(&mut self, size: Range<usize>, content: Range<usize>) {
        let first = self
            .changes
            .partition_point(|it| it.range.start < content.start);
        let inside = self.changes.range(first..);
        let growth: isize = inside
            .filter(|it| it.range.end <= content.end)
            .map(|it| {
                work::steps(1);
                it.growth()
            })
            .sum();
        if growth != 0 {
            let new = content.len().saturating_add_signed(growth);
            self.replace(size, unsigned_varint(new));
        }
    }

    /// How much longer the frame becomes.
    #[must_use]
    pub const fn growth(&self) -> isize {
        self.growth
    }

    /// Moves the frame out of `rope` up to the offset `until`, edited. Changes must lie inside
    /// the rope, and none across `until`.
    pub fn apply(&mut self, rope: &mut Rope, until: usize, mut to: impl FnMut(Bytes)) {
        while let Some(change) = self.changes.front()
            && change.range.end <= until
        {
            let Some(change) = self.changes.pop_front() else {
                break;
            };
            work::steps(1);
            self.growth -= change.growth();
            self.pinned = self.pinned.saturating_sub(change.pinned());
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

/// No longer varint is read (`ByteUtils.readUnsignedVarint`).
const VARINT_BYTES_MAX: usize = 5;

/// An unsigned varint in its shortest form.
#[must_use]
pub fn unsigned_varint(value: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(VARINT_BYTES_MAX);
    put_varint(&mut out, value);
    out.freeze()
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.put_u8(low_bits(value));
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
/// Cut to what the shorter form has room for.
#[must_use]
pub fn string(text: &[u8], compact: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + VARINT_BYTES_MAX);
    if compact {
        put_varint(&mut out, text.len() + 1);
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
        // size at 0..1 of content 1..100, in which size at 10..11 of content 11..40.
        edits.replace(20..21, vec![b'x'; 120]);
        edits.resize(10..11, 11..40);
        edits.resize(0..1, 1..100);
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
    fn what_is_cut_in_one_piece_is_one_change() {
        let mut edits = Edits::default();
        for at in 1..4 {
            edits.cut(at..at + 1);
        }
        edits.replace(4..4, "+");
        edits.cut(4..5);
        assert_eq!(edits.changes.len(), 3);
        assert_eq!(edits.growth(), -3);
        assert_eq!(edited(edits, &["abcdefg"]), "a+fg");
    }

    #[test]
    fn what_is_inside_a_later_change_is_not_counted_any_more() {
        let mut edits = Edits::default();
        edits.replace(0..1, "before");
        for at in 2..100 {
            edits.replace(at..at + 1, "longer");
        }
        edits.cut(2..100);
        assert_eq!(edits.growth(), 5 - 98);
        assert_eq!(edits.pinned(), 2 * size_of::<Change>() + 6);
        let mut rope = Rope::default();
        rope.push(vec![0; 100].into());
        edits.apply(&mut rope, 100, drop);
        assert_eq!((edits.growth(), edits.pinned()), (0, 0));
    }

    #[test]
    fn a_walk_costs_a_few_steps_for_each_change() {
        const ARRAYS: usize = 1000;
        const LEN: usize = 1000;
        let (mut edits, before) = (Edits::default(), work::taken());
        // Arrays in tagged fields, of which every element is changed, and then count and size.
        for array in 0..ARRAYS {
            let from = array * LEN;
            for at in (from + 10..from + LEN).step_by(10) {
                edits.replace(at..at + 1, "longer");
            }
            edits.replace(from + 2..from + 3, "count");
            edits.resize(from..from + 1, from + 2..from + LEN);
        }
        let frame_len = ARRAYS * LEN;
        let mut edits = lengthened(edits, frame_len);
        let mut rope = Rope::default();
        rope.push(vec![0; frame_len].into());
        edits.apply(&mut rope, frame_len, drop);
        let steps = work::taken() - before;
        let changes = (ARRAYS * (LEN / 10 + 1)) as u64;
        assert!(steps <= 8 * changes, "{steps} steps for {changes} changes");
    }

    #[test]
    fn varints_take_their_shortest_or_their_given_form() {
        assert_eq!(&*unsigned_varint(0), [0]);
        assert_eq!(&*unsigned_varint(300), [0xac, 0x02]);
        assert_eq!(&*padded_varint(3, 3).unwrap(), [0x83, 0x80, 0x00]);
        assert_eq!(padded_varint(128, 1), None);
    }
}
