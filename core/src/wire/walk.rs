//! The walker: reads a message body by its schema, wherever the bytes are cut, and yields the
//! fields that somebody asked for.
//!
//! It allocates nothing, copies nothing but half-read numbers, and never recurses: what it
//! remembers is a stack of fixed size, because Kafka's messages are nested to a known depth.
//! Every length and count is a claim and is compared with what is left of the frame before
//! anything else is done with it. What is not of interest is skipped by length where its length
//! is known; `records` always are.

mod frame;
mod read;
mod tags;

use std::ops::Range;

use super::malformed::Malformed;
use super::schema::{Edition, Field, Kind, Message, Role, Roles, Struct};
use crate::work;
#[cfg(test)]
pub(crate) use frame::DEPTH_MAX;
use frame::{Frame, Horizon, Stack};
use read::Reader;

/// What the walker yields. All places are offsets in the frame, if the walker knows where in it the
/// body stands, else in the body.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The input is used up and the walk is not over.
    More,
    /// A string, bytes or array of interest begins at `at`, and nothing of it is consumed yet: a
    /// caller that may have to change it buffers from here. For tagged fields, whose number comes
    /// after a count that would have to change too, `at` is where all of the structure's tagged
    /// fields begin and `field` the first of interest that may be among them.
    Begin {
        /// What begins.
        field: &'static Field,
        /// Where.
        at: usize,
    },
    /// A field of interest that has one value is wholly read: a number, a string, bytes, an
    /// element of an array of these, or a structure that is null.
    Value(FieldValue),
    /// The count of an array of interest is read.
    Array {
        /// The array.
        field: &'static Field,
        /// Where the count begins.
        start: usize,
        /// Where the count ends and the first element begins.
        end: usize,
        /// The number of elements; `None` for null.
        count: Option<u32>,
        /// Whether the count is a varint of the number plus one, or else four bytes.
        compact: bool,
    },
    /// A structure begins: the next element of an array of interest, or (as number 0) a field of
    /// interest that is a structure itself.
    Element {
        /// The array, or the structure.
        field: &'static Field,
        /// The number of the element.
        index: u32,
        /// Where it begins.
        at: usize,
    },
    /// The structure ends.
    ElementEnd {
        /// As in the [`Step::Element`] before.
        field: &'static Field,
        /// As in the [`Step::Element`] before.
        index: u32,
        /// Where it ends.
        at: usize,
    },
    /// An array of interest ends: follows each [`Step::Array`], null or not.
    ArrayEnd {
        /// The array.
        field: &'static Field,
        /// Where it ends.
        at: usize,
    },
    /// The count of the tagged fields of a structure that may have some of interest is read.
    Tags {
        /// Where the count begins.
        at: usize,
        /// Where it ends.
        end: usize,
        /// The number of tagged fields, known and unknown.
        count: u32,
    },
    /// The number and size of a tagged field that is or contains something of interest are read.
    Tagged {
        /// The field.
        field: &'static Field,
        /// Where its number begins.
        at: usize,
        /// Where its size begins.
        size_start: usize,
        /// Where its content begins.
        content: usize,
        /// Where its content ends.
        end: usize,
    },
    /// The tagged field ends.
    TaggedEnd {
        /// As in the [`Step::Tagged`] before.
        field: &'static Field,
        /// Where it ends.
        at: usize,
    },
    /// Nothing of interest can follow: the rest of the frame is opaque, and neither read nor
    /// checked. Also the end of the body, behind which more bytes may legally stand.
    Done {
        /// Where the walk ended.
        at: usize,
    },
}

/// One value of interest.
#[derive(Clone, Copy, Debug)]
pub struct FieldValue {
    /// The field; for an element of an array, the array.
    pub field: &'static Field,
    /// What it means: the field's role.
    pub role: Role,
    /// Where it begins, with its length.
    pub start: usize,
    /// Where its content begins.
    pub data: usize,
    /// Where it ends.
    pub end: usize,
    /// Its value.
    pub value: Value,
}

/// A value, as far as the walker keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Any number or flag but a float; a flag is 0 or 1.
    Int(i64),
    /// A float.
    Float(f64),
    /// A UUID.
    Uuid([u8; 16]),
    /// The content of a string, bytes or records: `data..end` of what the caller buffers.
    Span,
    /// Null.
    Null,
}

/// A walk over one body.
#[derive(Clone, Debug)]
pub struct Walker {
    reader: Reader,
    stack: Stack,
    state: State,
    /// Elements that are left of an array that is not one of structures, while inside of it.
    leaf: Option<u32>,
    interest: Roles,
    version: i16,
    flexible: bool,
}

/// What comes next; always about the top of the stack and its current field.
#[derive(Clone, Copy, Debug)]
enum State {
    /// An element begins.
    Open,
    /// The next field that stands in line.
    Field,
    /// The byte that says whether a structure is null.
    Mark,
    /// A value of fixed length and of interest.
    Scalar,
    /// A length or count that began at `start`.
    Length { start: u32 },
    /// The content of a value of interest, which is being passed over.
    Content { start: u32, data: u32, null: bool },
    /// The next element of an array that is not one of structures.
    Leaf,
    /// An array of interest ends.
    ArrayClose,
    /// The tagged fields begin.
    TagsOpen,
    /// Their count.
    TagCount { at: u32 },
    /// The next tagged field.
    Tag,
    /// Its number.
    TagNumber { at: u32 },
    /// Its size.
    TagSize {
        at: u32,
        number: u32,
        size_start: u32,
    },
    /// The content of a tagged field of interest.
    TagOpen,
    /// The end of a tagged field that was read.
    TagClose,
    /// An element ends.
    Close,
    /// Nothing more to yield.
    Finished,
    /// A rule was broken.
    Failed(Malformed),
}

impl Walker {
    /// A walk over a body of `body_len` bytes that yields the fields whose role is in `interest`.
    ///
    /// A walk with [`Role::Plain`] in its interest, as [`Roles::ALL`] has it, goes to the end of
    /// the body and checks it all; any other ends as soon as nothing of interest can follow.
    ///
    /// `None` when the version is not in the table, or the length is not one of a frame.
    pub fn new(
        message: &'static Message,
        version: i16,
        body_len: usize,
        interest: Roles,
    ) -> Option<Self> {
        Self::of(message.edition(version)?, version, 0..body_len, interest)
    }

    /// The same, of a version that the edition has, for a body at this place in its frame.
    pub(crate) fn of(
        edition: &'static Edition,
        version: i16,
        place: Range<usize>,
        interest: Roles,
    ) -> Option<Self> {
        let end = i32::try_from(place.end).ok()?.unsigned_abs();
        let begin = u32::try_from(place.start).ok()?;
        Some(Self {
            reader: Reader::new(begin, end),
            stack: Stack::new(edition.body, Horizon::new(edition.body, version, interest)),
            state: State::Field,
            leaf: None,
            interest,
            version,
            flexible: edition.flexible.contains(version),
        })
    }

    /// Up to where the body, or its frame, is consumed.
    pub fn offset(&self) -> usize {
        self.reader.pos() as usize
    }

    /// How many of the next bytes are passed over unread: the rest of the content of a string,
    /// bytes, records or an unknown tagged field.
    pub fn passes_over(&self) -> usize {
        self.reader.to_skip() as usize
    }

    /// Consumes from the front of `input`, until there is something to yield.
    ///
    /// The same error is returned again when a failed walk is continued.
    pub fn step(&mut self, input: &mut &[u8]) -> Result<Step, Malformed> {
        let result = self.advance(input);
        if let Err(malformed) = result {
            self.state = State::Failed(malformed);
        }
        result
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Step, Malformed> {
        loop {
            work::steps(1);
            if !self.reader.pass(input) {
                return Ok(Step::More);
            }
            let step = match self.state {
                State::Open => self.open(),
                State::Field => self.field()?,
                State::Mark => self.mark(input)?,
                State::Scalar => self.scalar(input)?,
                State::Length { start } => self.length(start, input)?,
                State::Content { start, data, null } => self.content(start, data, null),
                State::Leaf => self.leaf()?,
                State::ArrayClose => self.array_close(),
                State::TagsOpen => self.tags_open(),
                State::TagCount { at } => self.tag_count(at, input)?,
                State::Tag => {
                    self.tag();
                    None
                }
                State::TagNumber { at } => self.tag_number(at, input)?,
                State::TagSize {
                    at,
                    number,
                    size_start,
                } => self.tag_size(at, number, size_start, input)?,
                State::TagOpen => self.tag_open()?,
                State::TagClose => self.tag_close()?,
                State::Close => self.close(),
                State::Finished => Some(Step::Done { at: self.offset() }),
                State::Failed(malformed) => return Err(malformed),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    fn open(&mut self) -> Option<Step> {
        self.stack.top.next = 0;
        self.stack.top.in_tags = false;
        self.state = State::Field;
        let Frame { wanted, index, .. } = self.stack.top;
        let field = self.stack.field_above().filter(|_| wanted)?;
        Some(Step::Element {
            field,
            index,
            at: self.offset(),
        })
    }

    fn close(&mut self) -> Option<Step> {
        let Frame {
            wanted,
            index,
            count,
            is_array,
            ..
        } = self.stack.top;
        let at = self.offset();
        let Some(field) = self.stack.field_above() else {
            self.state = State::Finished;
            return None;
        };
        if index + 1 < count {
            self.stack.top.index = index + 1;
            self.state = State::Open;
        } else {
            self.stack.pop();
            if wanted && is_array {
                self.state = State::ArrayClose
            } else {
                self.item_done()
            }
        }
        wanted.then_some(Step::ElementEnd { field, index, at })
    }

    fn field(&mut self) -> Result<Option<Step>, Malformed> {
        if self.nothing_follows() {
            self.state = State::Finished;
            return Ok(None);
        }
        loop {
            let Some(field) = self.stack.current() else {
                self.state = if self.flexible {
                    State::TagsOpen
                } else {
                    State::Close
                };
                return Ok(None);
            };
            if field.versions.contains(self.version) && field.tag_in(self.version).is_none() {
                return self.begin(field);
            }
            self.stack.top.next += 1;
        }
    }

    /// Turns to the current field of the top of the stack.
    fn begin(&mut self, field: &'static Field) -> Result<Option<Step>, Malformed> {
        let wanted = self.interest.contains(field.role);
        match field.kind {
            Kind::Struct(inner) => {
                if field.nullable.contains(self.version) {
                    self.state = State::Mark;
                } else {
                    self.enter(inner, 1, false, wanted)?;
                }
            }
            Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_) => {
                self.state = State::Length {
                    start: self.reader.pos(),
                };
                return Ok(wanted.then_some(Step::Begin {
                    field,
                    at: self.offset(),
                }));
            }
            Kind::Bool
            | Kind::Int8
            | Kind::Int16
            | Kind::Uint16
            | Kind::Int32
            | Kind::Uint32
            | Kind::Int64
            | Kind::Float64
            | Kind::Uuid => {
                if wanted {
                    self.state = State::Scalar;
                } else {
                    let len = field.kind.fixed_len().unwrap_or(0);
                    self.reader.skip(u64::from(len), Malformed::Truncated)?;
                    self.item_done();
                }
            }
        }
        Ok(None)
    }

    /// Goes on behind the current item.
    fn item_done(&mut self) {
        self.state = if self.leaf.is_some() {
            State::Leaf
        } else if self.stack.top.in_tags {
            State::TagClose
        } else {
            self.stack.top.next += 1;
            State::Field
        };
    }

    /// Goes down into `count` structures of the current field.
    fn enter(
        &mut self,
        inner: &'static Struct,
        count: u32,
        is_array: bool,
        wanted: bool,
    ) -> Result<(), Malformed> {
        let top = self.stack.top;
        // Behind a tagged field comes its end, which is yielded whenever it was entered.
        let after = top.in_tags || self.follows(top.next.saturating_add(1));
        let horizon = Horizon::new(inner, self.version, self.interest);
        self.stack.push(Frame {
            is_array,
            wanted,
            after,
            ..Frame::new(inner, count, horizon)
        })?;
        self.state = State::Open;
        Ok(())
    }

    /// Whether nothing of interest can come any more.
    fn nothing_follows(&self) -> bool {
        // A caller that asks for everything wants to know where the body ends, too.
        !self.interest.contains(Role::Plain) && !self.follows(self.stack.top.next)
    }

    /// Whether something of interest can come from field number `next` of the current element on.
    fn follows(&self, next: u8) -> bool {
        let top = &self.stack.top;
        let more_elements = || {
            // The count was read, so this is exact; index < count.
            top.count - top.index > 1 && top.inner.roles.intersects(self.interest)
        };
        let Horizon { in_line, tagged } = top.horizon;
        tagged || next < in_line || top.after || top.wanted || more_elements()
    }

    fn mark(&mut self, input: &mut &[u8]) -> Result<Option<Step>, Malformed> {
        let Some([mark]) = self.reader.fixed::<1>(input)? else {
            return Ok(Some(Step::More));
        };
        let Some(field) = self.stack.current() else {
            return Ok(None);
        };
        let wanted = self.interest.contains(field.role);
        // Kafka takes any negative number for null here and any other for a structure.
        if let (Kind::Struct(inner), 0..=0x7f) = (field.kind, mark) {
            self.enter(inner, 1, false, wanted)?;
            return Ok(None);
        }
        self.item_done();
        let end = self.reader.pos();
        Ok(wanted.then(|| found(field, end - 1, end, end, Value::Null)))
    }

    fn scalar(&mut self, input: &mut &[u8]) -> Result<Option<Step>, Malformed> {
        let Some((field, kind)) = self.item() else {
            return Ok(None);
        };
        let Some(value) = self.reader.scalar(kind, input)? else {
            return Ok(Some(Step::More));
        };
        self.item_done();
        let end = self.reader.pos();
        let start = end - kind.fixed_len().unwrap_or(0);
        Ok(Some(found(field, start, start, end, value)))
    }

    fn length(&mut self, start: u32, input: &mut &[u8]) -> Result<Option<Step>, Malformed> {
        let Some((field, kind)) = self.item() else {
            return Ok(None);
        };
        let len = if self.flexible {
            self.reader.compact_len(input)?
        } else {
            self.reader
                .classic_len(matches!(kind, Kind::String), input)?
        };
        let Some(len) = len else {
            return Ok(Some(Step::More));
        };
        // Elements of an array are never null, whatever the array may be.
        let nullable = self.leaf.is_none() && field.nullable.contains(self.version);
        if len.is_none() && !nullable {
            return Err(Malformed::NullNotAllowed);
        }
        if let Kind::Array(element) = kind {
            return self.array(field, element, start, len);
        }
        self.reader
            .skip(u64::from(len.unwrap_or(0)), Malformed::LengthExceedsFrame)?;
        if self.interest.contains(field.role) {
            self.state = State::Content {
                start,
                data: self.reader.pos(),
                null: len.is_none(),
            };
        } else {
            self.item_done();
        }
        Ok(None)
    }

    fn content(&mut self, start: u32, data: u32, null: bool) -> Option<Step> {
        let (field, _) = self.item()?;
        self.item_done();
        let value = if null { Value::Null } else { Value::Span };
        Some(found(field, start, data, self.reader.pos(), value))
    }

    fn array(
        &mut self,
        field: &'static Field,
        element: &'static Kind,
        start: u32,
        len: Option<u32>,
    ) -> Result<Option<Step>, Malformed> {
        let count = len.unwrap_or(0);
        // No element is shorter than a byte (a test of the tables checks this).
        if count > self.reader.left() {
            return Err(self.reader.beyond(Malformed::CountExceedsFrame));
        }
        let wanted = self.interest.contains(field.role);
        let end = self.offset();
        if !field.roles().intersects(self.interest)
            && let Some(len) = self.fixed_len(element)
        {
            let all = u64::from(count) * len;
            self.reader.skip(all, Malformed::CountExceedsFrame)?;
            self.item_done();
        } else if let Kind::Struct(inner) = element
            && count > 0
        {
            self.enter(inner, count, true, wanted)?;
        } else {
            self.leaf = Some(count);
            self.state = State::Leaf;
        }
        let (start, compact) = (start as usize, self.flexible);
        Ok(wanted.then_some(Step::Array {
            field,
            start,
            end,
            count: len,
            compact,
        }))
    }

    /// The length of a kind, where this version gives all its values the same.
    fn fixed_len(&self, kind: &Kind) -> Option<u64> {
        let Kind::Struct(inner) = kind else {
            return kind.fixed_len().map(u64::from);
        };
        if self.flexible {
            // Every structure of a flexible version may have tagged fields.
            return None;
        }
        let present = inner
            .fields
            .iter()
            .filter(|field| field.versions.contains(self.version));
        present
            .map(|field| field.kind.fixed_len().map(u64::from))
            .sum()
    }

    /// The next element of an array that is not one of structures.
    fn leaf(&mut self) -> Result<Option<Step>, Malformed> {
        let Some((field, kind)) = self.item() else {
            return Ok(None);
        };
        let wanted = self.interest.contains(field.role);
        let Some(left @ 1..) = self.leaf else {
            self.leaf = None;
            if wanted {
                self.state = State::ArrayClose
            } else {
                self.item_done()
            }
            return Ok(None);
        };
        self.leaf = Some(left - 1);
        self.state = match kind {
            Kind::String | Kind::Bytes | Kind::Records => State::Length {
                start: self.reader.pos(),
            },
            // The tables have no arrays of arrays (a test checks this), and structures are frames.
            Kind::Array(_) | Kind::Struct(_) => return Err(Malformed::TooDeep),
            Kind::Bool
            | Kind::Int8
            | Kind::Int16
            | Kind::Uint16
            | Kind::Int32
            | Kind::Uint32
            | Kind::Int64
            | Kind::Float64
            | Kind::Uuid => State::Scalar,
        };
        Ok(None)
    }

    fn array_close(&mut self) -> Option<Step> {
        let field = self.stack.current()?;
        self.item_done();
        Some(Step::ArrayEnd {
            field,
            at: self.offset(),
        })
    }

    /// The current field, and the kind of what is being read of it.
    fn item(&self) -> Option<(&'static Field, &'static Kind)> {
        let field = self.stack.current()?;
        if let (Kind::Array(element), Some(_)) = (field.kind, self.leaf) {
            return Some((field, element));
        }
        Some((field, &field.kind))
    }
}

fn found(field: &'static Field, start: u32, data: u32, end: u32, value: Value) -> Step {
    let (start, data, end) = (start as usize, data as usize, end as usize);
    Step::Value(FieldValue {
        field,
        role: field.role,
        start,
        data,
        end,
        value,
    })
}

#[cfg(test)]
mod tests;
