//! Blanks the addresses at the end of a streamed response, whose length has already been sent.
//!
//! Nothing may become longer or shorter. Endpoints that cannot be edited in place are made
//! unreadable in a way that every decoder accepts, and clients then refresh their metadata:
//! a tagged field gets a number that nobody knows, and a plain array becomes empty, the rest of
//! it one unknown tagged field of zeros.

use std::ops::Range;

use bytes::BytesMut;

use crate::rewrite::Outcome;
use crate::wire::edit;
use crate::wire::malformed::Malformed;
use crate::wire::rope::Rope;
use crate::wire::schema::Role;
use crate::wire::walk::Step;

/// A tag number that no message uses, and that fits one byte.
const UNUSED_TAG: usize = 127;

/// Blanks the endpoints behind the records of a Fetch or ShareFetch response.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Where the plain array of endpoints begins, if it has any.
    array_at: Option<usize>,
    /// Where it ends, and the tagged fields of the body begin.
    tags_at: Option<usize>,
    in_tagged: bool,
}

impl Tail {
    /// Takes in one step of the walk.
    pub(crate) fn step(&mut self, step: &Step, out: &mut Outcome) {
        match step {
            Step::Tagged {
                field,
                at,
                size_start,
                content,
                end,
            } if field.role == Role::Endpoints => {
                self.in_tagged = true;
                let number = *at..*size_start;
                if let Some(unused) = edit::padded_varint(UNUSED_TAG, number.len()) {
                    out.edits.replace(number, unused);
                }
                let content = *content..*end;
                out.edits.replace(content.clone(), vec![0; content.len()]);
            }
            Step::Array {
                field,
                start,
                count: Some(count @ 1..),
                ..
            } if field.role == Role::Endpoints => {
                out.rewrites.dropped = out.rewrites.dropped.saturating_add(*count);
                if !self.in_tagged {
                    self.array_at = Some(*start);
                }
            }
            Step::ArrayEnd { field, at } if field.role == Role::Endpoints => {
                if self.array_at.is_some() {
                    self.tags_at = Some(*at);
                }
            }
            Step::More
            | Step::Begin { .. }
            | Step::Value(_)
            | Step::Array { .. }
            | Step::Element { .. }
            | Step::ElementEnd { .. }
            | Step::ArrayEnd { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. }
            | Step::Done { .. } => {}
        }
    }

    /// Whether the frame must be buffered to its end for [`Tail::finish`].
    pub(crate) fn needs_end(&self) -> bool {
        self.array_at.is_some()
    }

    /// Empties the array, once the whole frame is there.
    pub(crate) fn finish(&mut self, frame: &Rope, out: &mut Outcome) -> Result<(), Malformed> {
        let (Some(from), Some(tags_at)) = (self.array_at.take(), self.tags_at) else {
            return Ok(());
        };
        let (mut tags, mut at) = (0_usize, tags_at);
        for shift in (0..35).step_by(7) {
            let mut byte = [0];
            if !frame.read(at, &mut byte) {
                return Err(Malformed::Truncated);
            }
            let [byte] = byte;
            at += 1;
            tags |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                empty_array(from..at, tags, out);
                return Ok(());
            }
        }
        Err(Malformed::Varint)
    }
}

/// Fills `region`, an array with elements and the count of `tags` behind it, with an empty
/// array, one tagged field more, and zeros in that field.
fn empty_array(region: Range<usize>, tags: usize, out: &mut Outcome) {
    let mut head = BytesMut::new();
    head.extend_from_slice(&edit::count(0, true));
    head.extend_from_slice(&edit::unsigned_varint(tags + 1));
    head.extend_from_slice(&edit::unsigned_varint(UNUSED_TAG));
    let left = region.len().saturating_sub(head.len());
    // The size may be over-long, so that every length can be hit: where one byte more for it
    // would leave one byte less than it can name.
    let size = (1..=5).find_map(|bytes| {
        let content = left.checked_sub(bytes)?;
        edit::padded_varint(content, bytes).map(|size| (size, content))
    });
    if let Some((size, content)) = size {
        head.extend_from_slice(&size);
        head.resize(head.len() + content, 0);
        out.edits.replace(region, head.freeze());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_array_has_the_length_that_was_sent() {
        for len in 4..=400 {
            let mut out = Outcome::default();
            empty_array(0..len, 2, &mut out);
            let mut rope = Rope::default();
            rope.push(vec![0xee; len].into());
            let mut bytes = Vec::new();
            out.edits
                .apply(&mut rope, len, |part| bytes.extend_from_slice(&part));
            assert_eq!(bytes.len(), len);
            assert_eq!(
                &bytes[..3],
                [1, 3, 127],
                "an empty array, three tagged fields, the first"
            );
            let (mut size, mut at) = (0, 3);
            loop {
                size |= usize::from(bytes[at] & 0x7f) << (7 * (at - 3));
                at += 1;
                if bytes[at - 1] < 0x80 {
                    break;
                }
            }
            assert_eq!(at + size, len);
            assert!(bytes[at..].iter().all(|byte| *byte == 0));
        }
    }
}
