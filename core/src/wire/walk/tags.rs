//! Tagged fields (KIP-482): a count, then number, size and content of each. Unknown ones, and
//! known ones without interest, are skipped by size; order and repetition do not matter.

use super::{State, Step, Walker};
use crate::wire::malformed::Malformed;
use crate::wire::schema::Field;

/// The shortest tagged field: one byte of number and one of size.
const TAGGED_LEN_MIN: u32 = 2;

impl Walker {
    /// The tagged fields of the current structure that this version knows and somebody asked for.
    fn tags_of_interest(&self) -> impl Iterator<Item = (u8, u32, &'static Field)> {
        let (version, interest) = (self.version, self.interest);
        (0..)
            .zip(self.stack.top.inner.fields)
            .filter_map(move |(at, field)| {
                let number = field.tag_in(version)?;
                let present = field.versions.contains(version);
                (present && field.roles().intersects(interest)).then_some((at, number, field))
            })
    }

    pub(super) fn tags_open(&mut self) -> Option<Step> {
        self.state = State::TagCount {
            at: self.reader.pos(),
        };
        let first = if self.stack.top.horizon.tagged {
            self.tags_of_interest().next()
        } else {
            None
        };
        self.stack.top.tags_wanted = first.is_some();
        first.map(|(_, _, field)| Step::Begin {
            field,
            at: self.offset(),
        })
    }

    pub(super) fn tag_count(
        &mut self,
        at: u32,
        input: &mut &[u8],
    ) -> Result<Option<Step>, Malformed> {
        let Some(count) = self.reader.varint(input)? else {
            return Ok(Some(Step::More));
        };
        if count > self.reader.left() / TAGGED_LEN_MIN {
            return Err(self.reader.beyond(Malformed::CountExceedsFrame));
        }
        self.stack.top.tags = count;
        self.stack.top.in_tags = true;
        self.state = State::Tag;
        let (at, end) = (at as usize, self.offset());
        Ok(self
            .stack
            .top
            .tags_wanted
            .then_some(Step::Tags { at, end, count }))
    }

    pub(super) fn tag(&mut self) {
        self.state = match self.stack.top.tags.checked_sub(1) {
            Some(left) => {
                self.stack.top.tags = left;
                State::TagNumber {
                    at: self.reader.pos(),
                }
            }
            None => State::Close,
        };
    }

    pub(super) fn tag_number(
        &mut self,
        at: u32,
        input: &mut &[u8],
    ) -> Result<Option<Step>, Malformed> {
        let Some(number) = self.reader.varint(input)? else {
            return Ok(Some(Step::More));
        };
        self.state = State::TagSize {
            at,
            number,
            size_start: self.reader.pos(),
        };
        Ok(None)
    }

    pub(super) fn tag_size(
        &mut self,
        at: u32,
        number: u32,
        size_start: u32,
        input: &mut &[u8],
    ) -> Result<Option<Step>, Malformed> {
        let Some(size) = self.reader.varint(input)? else {
            return Ok(Some(Step::More));
        };
        let known = self
            .tags_of_interest()
            .find(|(_, known, _)| *known == number);
        let Some((next, _, field)) = known else {
            self.reader
                .skip(size.into(), Malformed::LengthExceedsFrame)?;
            self.state = State::Tag;
            return Ok(None);
        };
        self.stack.top.next = next;
        self.stack.top.outer_limit = self.reader.narrow(size)?;
        self.state = State::TagOpen;
        let content = self.offset();
        Ok(Some(Step::Tagged {
            field,
            at: at as usize,
            size_start: size_start as usize,
            content,
            end: content + size as usize,
        }))
    }

    pub(super) fn tag_open(&mut self) -> Result<Option<Step>, Malformed> {
        match self.stack.current() {
            Some(field) => self.begin(field),
            None => Ok(None),
        }
    }

    pub(super) fn tag_close(&mut self) -> Result<Option<Step>, Malformed> {
        self.reader.widen(self.stack.top.outer_limit)?;
        self.state = State::Tag;
        let at = self.offset();
        Ok(self
            .stack
            .current()
            .map(|field| Step::TaggedEnd { field, at }))
    }
}
