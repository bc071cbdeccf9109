//! Where a walk stands: one frame for each structure that it is inside of.

use crate::wire::malformed::Malformed;
use crate::wire::schema::{Field, Roles, Struct};

/// How deep structures may be nested; a test of the tables checks that this is enough.
pub(crate) const DEPTH_MAX: usize = 8;

/// One structure, or the array whose elements they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Its fields.
    pub(super) inner: &'static Struct,
    /// The number of the current element.
    pub(super) index: u32,
    /// The number of elements; 1 for a structure by itself.
    pub(super) count: u32,
    /// The tagged fields of the current element that are left.
    pub(super) tags: u32,
    /// Where the frame ends, while a tagged field has narrowed it.
    pub(super) outer_limit: u32,
    /// The number of the current field.
    pub(super) next: u8,
    /// Whether the current field is a tagged one.
    pub(super) in_tags: bool,
    /// Whether some tagged field of this structure is of interest.
    pub(super) tags_wanted: bool,
    /// Whether this is an array.
    pub(super) is_array: bool,
    /// Whether beginning and end of each element are yielded.
    pub(super) wanted: bool,
    /// Whether something of interest can follow behind the last element.
    pub(super) after: bool,
    /// Where in each element what is of interest ends.
    pub(super) horizon: Horizon,
}

/// Which fields of a structure are or contain something of interest, as far as it takes to know
/// whether any is still ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// The number behind the last one that stands in line.
    pub(super) in_line: u8,
    /// Whether a tagged one is.
    pub(super) tagged: bool,
}

impl Horizon {
    pub(super) fn new(inner: &Struct, version: i16, interest: Roles) -> Self {
        let mut horizon = Self {
            in_line: 0,
            tagged: false,
        };
        for (behind, field) in (1..).zip(inner.fields) {
            if !field.versions.contains(version) || !field.roles().intersects(interest) {
                continue;
            }
            if field.tag_in(version).is_some() {
                horizon.tagged = true;
            } else {
                horizon.in_line = behind;
            }
        }
        horizon
    }
}

impl Frame {
    pub(super) const fn new(inner: &'static Struct, count: u32, horizon: Horizon) -> Self {
        Self {
            inner,
            index: 0,
            count,
            tags: 0,
            outer_limit: 0,
            next: 0,
            in_tags: false,
            tags_wanted: false,
            is_array: false,
            wanted: false,
            after: false,
            horizon,
        }
    }
}

/// The frames, the top apart.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    /// The innermost structure.
    pub(super) top: Frame,
    below: [Frame; DEPTH_MAX - 1],
    depth: u8,
}

impl Stack {
    pub(super) const fn new(body: &'static Struct, horizon: Horizon) -> Self {
        let root = Frame::new(body, 1, horizon);
        Self {
            top: root,
            below: [root; DEPTH_MAX - 1],
            depth: 0,
        }
    }

    pub(super) fn push(&mut self, frame: Frame) -> Result<(), Malformed> {
        let slot = self
            .below
            .get_mut(usize::from(self.depth))
            .ok_or(Malformed::TooDeep)?;
        *slot = self.top;
        self.top = frame;
        self.depth += 1;
        Ok(())
    }

    /// Goes back up; the root stays.
    pub(super) fn pop(&mut self) {
        if let Some(frame) = self.above() {
            self.top = *frame;
            self.depth -= 1;
        }
    }

    /// The current field of the top.
    pub(super) fn current(&self) -> Option<&'static Field> {
        self.top.inner.fields.get(usize::from(self.top.next))
    }

    /// The field that the top is the structure, or the elements, of; none for the body.
    pub(super) fn field_above(&self) -> Option<&'static Field> {
        let frame = self.above()?;
        frame.inner.fields.get(usize::from(frame.next))
    }

    fn above(&self) -> Option<&Frame> {
        self.below.get(usize::from(self.depth.checked_sub(1)?))
    }
}
