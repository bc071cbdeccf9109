//! Numbers and lengths, wherever the bytes are cut, and the rule that nothing is read behind the
//! end.

use super::Value;
use crate::wire::malformed::Malformed;
use crate::wire::schema::Kind;

/// Consumes bytes and knows how many there are.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pos: u32,
    end: u32,
    /// Where the innermost tagged field ends, else `end`; never below `pos`.
    limit: u32,
    /// Bytes that are to be passed over before anything else.
    skip: u32,
    /// The varint that is half-read.
    varint: u32,
    /// The bytes of the number that is half-read.
    have: u8,
    partial: [u8; 16],
}

impl Reader {
    /// For bytes from `pos` to `end`.
    pub(super) const fn new(pos: u32, end: u32) -> Self {
        Self {
            pos,
            end,
            limit: end,
            skip: 0,
            varint: 0,
            have: 0,
            partial: [0; 16],
        }
    }

    pub(super) const fn pos(&self) -> u32 {
        self.pos
    }

    /// What is left of the frame, or of the innermost tagged field.
    pub(super) const fn left(&self) -> u32 {
        self.limit - self.pos
    }

    /// Narrows the frame to its next `len` bytes, and returns where it ended before.
    pub(super) fn narrow(&mut self, len: u32) -> Result<u32, Malformed> {
        if len > self.left() {
            return Err(self.beyond(Malformed::LengthExceedsFrame));
        }
        let outer = self.limit;
        self.limit = self.pos + len;
        Ok(outer)
    }

    /// Ends what [`Reader::narrow`] began.
    pub(super) fn widen(&mut self, outer: u32) -> Result<(), Malformed> {
        if self.left() > 0 {
            return Err(Malformed::TaggedSize);
        }
        self.limit = outer;
        Ok(())
    }

    /// The rule that is broken by reading behind the end.
    pub(super) const fn beyond(&self, rule: Malformed) -> Malformed {
        if self.limit < self.end {
            Malformed::TaggedSize
        } else {
            rule
        }
    }

    /// Lets [`Reader::pass`] pass over `len` bytes, if there are that many.
    pub(super) fn skip(&mut self, len: u64, rule: Malformed) -> Result<(), Malformed> {
        match u32::try_from(len) {
            Ok(len) if len <= self.left() => {
                self.skip = len;
                Ok(())
            }
            _ => Err(self.beyond(rule)),
        }
    }

    /// What [`Reader::pass`] has yet to pass over.
    pub(super) const fn to_skip(&self) -> u32 {
        self.skip
    }

    /// Passes over what is to be skipped; false when the input ends before.
    pub(super) fn pass(&mut self, input: &mut &[u8]) -> bool {
        if self.skip > 0 {
            let here = u32::try_from(input.len())
                .unwrap_or(u32::MAX)
                .min(self.skip);
            *input = input.split_at(here as usize).1;
            self.pos += here;
            self.skip -= here;
        }
        self.skip == 0
    }

    /// A number of `N` bytes; `None` when the input ends before.
    pub(super) fn fixed<const N: usize>(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<[u8; N]>, Malformed> {
        let missing = N.saturating_sub(usize::from(self.have));
        if missing > self.left() as usize {
            return Err(self.beyond(Malformed::Truncated));
        }
        if self.have == 0
            && let Some((bytes, rest)) = input.split_first_chunk::<N>()
        {
            *input = rest;
            self.pos = self
                .pos
                .saturating_add(u32::try_from(N).unwrap_or(u32::MAX));
            return Ok(Some(*bytes));
        }
        let (now, rest) = input.split_at(missing.min(input.len()));
        *input = rest;
        for (byte, slot) in now
            .iter()
            .zip(self.partial.iter_mut().skip(self.have.into()))
        {
            *slot = *byte;
            self.have += 1;
            self.pos += 1;
        }
        if now.len() < missing {
            return Ok(None);
        }
        self.have = 0;
        Ok(self.partial.first_chunk::<N>().copied())
    }

    /// A varint of at most five bytes whose value a length can have.
    pub(super) fn varint(&mut self, input: &mut &[u8]) -> Result<Option<u32>, Malformed> {
        loop {
            if self.left() == 0 {
                return Err(self.beyond(Malformed::Truncated));
            }
            let Some((byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            self.pos += 1;
            // The fifth byte has the bits from 28 on: three of them fit, and none may follow.
            if self.have == 4 && *byte > 0x07 {
                return Err(Malformed::Varint);
            }
            self.varint |= u32::from(byte & 0x7f) << (7 * self.have);
            self.have += 1;
            if *byte < 0x80 {
                self.have = 0;
                return Ok(Some(std::mem::take(&mut self.varint)));
            }
        }
    }

    /// A compact length or count, `Some(None)` for null.
    pub(super) fn compact_len(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<Option<u32>>, Malformed> {
        Ok(self.varint(input)?.map(|plus_one| plus_one.checked_sub(1)))
    }

    /// A length or count of two or four bytes, `Some(None)` for null.
    pub(super) fn classic_len(
        &mut self,
        is_short: bool,
        input: &mut &[u8],
    ) -> Result<Option<Option<u32>>, Malformed> {
        let len = if is_short {
            self.fixed(input)?
                .map(|bytes| i32::from(i16::from_be_bytes(bytes)))
        } else {
            self.fixed(input)?.map(i32::from_be_bytes)
        };
        match len {
            None => Ok(None),
            Some(-1) => Ok(Some(None)),
            Some(len) => match u32::try_from(len) {
                Ok(len) => Ok(Some(Some(len))),
                Err(_) => Err(Malformed::NegativeLength),
            },
        }
    }

    /// A value of fixed length.
    pub(super) fn scalar(
        &mut self,
        kind: &Kind,
        input: &mut &[u8],
    ) -> Result<Option<Value>, Malformed> {
        let int = match kind {
            Kind::Bool => self.fixed(input)?.map(|[byte]| i64::from(byte != 0)),
            Kind::Int8 => self
                .fixed(input)?
                .map(|bytes| i8::from_be_bytes(bytes).into()),
            Kind::Int16 => self
                .fixed(input)?
                .map(|bytes| i16::from_be_bytes(bytes).into()),
            Kind::Uint16 => self
                .fixed(input)?
                .map(|bytes| u16::from_be_bytes(bytes).into()),
            Kind::Int32 => self
                .fixed(input)?
                .map(|bytes| i32::from_be_bytes(bytes).into()),
            Kind::Uint32 => self
                .fixed(input)?
                .map(|bytes| u32::from_be_bytes(bytes).into()),
            Kind::Int64 => self.fixed(input)?.map(i64::from_be_bytes),
            Kind::Float64 => {
                return Ok(self
                    .fixed(input)?
                    .map(|bytes| Value::Float(f64::from_be_bytes(bytes))));
            }
            Kind::Uuid => return Ok(self.fixed(input)?.map(Value::Uuid)),
            // These have a length of their own and are never read here.
            Kind::String | Kind::Bytes | Kind::Records | Kind::Struct(_) | Kind::Array(_) => {
                return Ok(Some(Value::Null));
            }
        };
        Ok(int.map(Value::Int))
    }
}
