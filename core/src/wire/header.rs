//! Request and response headers: what stands at fixed places, and where the body begins.

use crate::id::{ApiKey, ApiVersion, CorrelationId};
use crate::wire::malformed::Malformed;

/// The length prefix of every frame.
pub const PREFIX_BYTES: usize = 4;

/// The part of a request header that every version has: key, version, correlation id.
pub const REQUEST_HEAD_BYTES: usize = 8;

/// The part of a response header that every version has: the correlation id.
pub const RESPONSE_HEAD_BYTES: usize = 4;

/// What the first eight bytes of a request say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The API.
    pub api: ApiKey,
    /// Its version.
    pub version: ApiVersion,
    /// The client's id for the exchange.
    pub correlation_id: CorrelationId,
}

impl RequestHead {
    /// Reads the first eight bytes.
    #[must_use]
    pub const fn read(bytes: [u8; REQUEST_HEAD_BYTES]) -> Self {
        let [k0, k1, v0, v1, c0, c1, c2, c3] = bytes;
        Self {
            api: ApiKey(i16::from_be_bytes([k0, k1])),
            version: ApiVersion(i16::from_be_bytes([v0, v1])),
            correlation_id: CorrelationId(i32::from_be_bytes([c0, c1, c2, c3])),
        }
    }
}

/// Finds where the body begins: goes over the rest of a header, byte by byte if need be.
///
/// `client_id` is a nullable string with a two-byte length in every version that has it, also
/// in the flexible header v2 (`RequestHeader.json`, `flexibleVersions: none` on that field).
#[derive(Clone, Copy, Debug)]
pub struct HeaderEnd {
    state: State,
    flexible: bool,
    left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ClientIdLength {
        got: u8,
        value: u16,
    },
    Skip {
        count: usize,
        then: Then,
    },
    TagCount {
        shift: u32,
        value: u32,
    },
    TagNumber {
        tags_after: u32,
        bytes: u8,
    },
    TagSize {
        tags_after: u32,
        shift: u32,
        value: u32,
    },
    Done,
}

/// What follows skipped bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    TagCount,
    Tags(u32),
}

impl Then {
    const fn state(self) -> State {
        match self {
            Self::TagCount => State::TagCount { shift: 0, value: 0 },
            Self::Tags(0) => State::Done,
            Self::Tags(tags) => State::TagNumber {
                tags_after: tags - 1,
                bytes: 0,
            },
        }
    }
}

impl HeaderEnd {
    /// For a request header of version 1, or 2 if flexible, of which the head has been read.
    /// `frame_left` is what the frame has behind the head.
    #[must_use]
    pub const fn of_request(flexible: bool, frame_left: usize) -> Self {
        Self {
            state: State::ClientIdLength { got: 0, value: 0 },
            flexible,
            left: frame_left,
        }
    }

    /// For a response header of version 0, or 1 if flexible, of which the head has been read.
    #[must_use]
    pub const fn of_response(flexible: bool, frame_left: usize) -> Self {
        let state = if flexible {
            State::TagCount { shift: 0, value: 0 }
        } else {
            State::Done
        };
        Self {
            state,
            flexible,
            left: frame_left,
        }
    }

    /// How many of the next bytes are content of a tagged field. Kafka has defined none for
    /// headers, so nobody knows what is in it.
    #[must_use]
    pub const fn tag_content(&self) -> usize {
        match self.state {
            State::Skip {
                count,
                then: Then::Tags(_),
            } if self.flexible => count,
            State::Skip { .. }
            | State::ClientIdLength { .. }
            | State::TagCount { .. }
            | State::TagNumber { .. }
            | State::TagSize { .. }
            | State::Done => 0,
        }
    }

    /// Consumes header bytes from the front of `input`; true once the body is next.
    ///
    /// # Errors
    /// The header does not fit its frame, or breaks its types.
    #[inline]
    pub fn step(&mut self, input: &mut &[u8]) -> Result<bool, Malformed> {
        if let Some(end) = self.plain_end(input) {
            *input = input.get(end..).unwrap_or_default();
            self.left -= end;
            self.state = State::Done;
            return Ok(true);
        }
        self.step_by_bytes(input)
    }

    /// Where a header ends that is in `input` as a whole and has no tagged fields: nearly every
    /// one. Whatever else is there, or wrong, is found byte by byte.
    #[inline]
    fn plain_end(&self, input: &[u8]) -> Option<usize> {
        let tags_at = match self.state {
            State::ClientIdLength { got: 0, .. } => {
                match i16::from_be_bytes(*input.first_chunk()?) {
                    -1 => 2,
                    length => 2 + usize::try_from(length).ok()?,
                }
            }
            State::TagCount { shift: 0, .. } => 0,
            State::Done => return Some(0),
            State::ClientIdLength { .. }
            | State::Skip { .. }
            | State::TagCount { .. }
            | State::TagNumber { .. }
            | State::TagSize { .. } => return None,
        };
        let end = tags_at + usize::from(self.flexible);
        let has_no_tags = !self.flexible || input.get(tags_at) == Some(&0);
        (has_no_tags && end <= input.len().min(self.left)).then_some(end)
    }

    fn step_by_bytes(&mut self, input: &mut &[u8]) -> Result<bool, Malformed> {
        loop {
            if let State::Skip { count, then } = self.state {
                let now = count.min(input.len());
                *input = input.get(now..).unwrap_or_default();
                if count > now {
                    self.state = State::Skip {
                        count: count - now,
                        then,
                    };
                    return Ok(false);
                }
                self.state = then.state();
            }
            if self.state == State::Done {
                return Ok(true);
            }
            if self.left == 0 {
                return Err(Malformed::Truncated);
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(false);
            };
            *input = rest;
            self.left -= 1;
            self.state = self.take(byte)?;
        }
    }

    fn take(&mut self, byte: u8) -> Result<State, Malformed> {
        match self.state {
            State::ClientIdLength { got: 0, .. } => Ok(State::ClientIdLength {
                got: 1,
                value: u16::from(byte) << 8,
            }),
            State::ClientIdLength { value, .. } => {
                self.client_id(i16::from_be_bytes((value | u16::from(byte)).to_be_bytes()))
            }
            State::TagCount { shift, value } => match varint(shift, value, byte)? {
                Varint::More { shift, value } => Ok(State::TagCount { shift, value }),
                // Each tagged field takes two bytes at least.
                Varint::Whole(count) if count as usize > self.left / 2 => {
                    Err(Malformed::CountExceedsFrame)
                }
                Varint::Whole(count) => Ok(Then::Tags(count).state()),
            },
            State::TagNumber { tags_after, .. } if byte & 0x80 == 0 => Ok(State::TagSize {
                tags_after,
                shift: 0,
                value: 0,
            }),
            State::TagNumber { bytes: 4.., .. } => Err(Malformed::Varint),
            State::TagNumber { tags_after, bytes } => Ok(State::TagNumber {
                tags_after,
                bytes: bytes + 1,
            }),
            State::TagSize {
                tags_after,
                shift,
                value,
            } => match varint(shift, value, byte)? {
                Varint::More { shift, value } => Ok(State::TagSize {
                    tags_after,
                    shift,
                    value,
                }),
                Varint::Whole(size) => self.skip(size as usize, Then::Tags(tags_after)),
            },
            State::Skip { .. } | State::Done => Ok(self.state),
        }
    }

    fn client_id(&mut self, length: i16) -> Result<State, Malformed> {
        let count = match length {
            -1 => 0,
            _ => usize::try_from(length).map_err(|_| Malformed::NegativeLength)?,
        };
        self.skip(
            count,
            if self.flexible {
                Then::TagCount
            } else {
                Then::Tags(0)
            },
        )
    }

    fn skip(&mut self, count: usize, then: Then) -> Result<State, Malformed> {
        self.left = self
            .left
            .checked_sub(count)
            .ok_or(Malformed::LengthExceedsFrame)?;
        Ok(State::Skip { count, then })
    }
}

enum Varint {
    More { shift: u32, value: u32 },
    Whole(u32),
}

/// One more byte of an unsigned varint (`ByteUtils.readUnsignedVarint`: five bytes at most).
fn varint(shift: u32, value: u32, byte: u8) -> Result<Varint, Malformed> {
    let value = value | (u32::from(byte & 0x7f) << shift);
    if byte & 0x80 != 0 {
        return if shift >= 28 {
            Err(Malformed::Varint)
        } else {
            Ok(Varint::More {
                shift: shift + 7,
                value,
            })
        };
    }
    if (shift == 28 && byte > 0x07) || value > i32::MAX as u32 {
        return Err(Malformed::Varint);
    }
    Ok(Varint::Whole(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps over the header in chunks of `chunk` bytes; how many bytes it took.
    fn end(mut end: HeaderEnd, bytes: &[u8], chunk: usize) -> Result<Option<usize>, Malformed> {
        let mut taken = 0;
        for part in bytes.chunks(chunk) {
            let mut input = part;
            let done = end.step(&mut input)?;
            taken += part.len() - input.len();
            if done {
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    fn request(flexible: bool, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let whole = end(
            HeaderEnd::of_request(flexible, bytes.len()),
            bytes,
            bytes.len(),
        );
        let dripped = end(HeaderEnd::of_request(flexible, bytes.len()), bytes, 1);
        // A body that is next may be noticed with the byte before it or with its own.
        assert_eq!(whole, dripped);
        whole
    }

    #[test]
    fn the_body_begins_behind_client_id_and_tags() {
        assert_eq!(request(false, b"\x00\x02idBODY"), Ok(Some(4)));
        assert_eq!(request(false, b"\xff\xffBODY"), Ok(Some(2)));
        assert_eq!(request(true, b"\x00\x02id\x00BODY"), Ok(Some(5)));
        assert_eq!(
            request(true, b"\xff\xff\x02\x63\x03abc\x80\x01\x00BODY"),
            Ok(Some(11))
        );
    }

    #[test]
    fn an_empty_body_is_found_at_the_end() {
        let mut header = HeaderEnd::of_response(true, 1);
        assert_eq!(header.step(&mut &b"\x00"[..]), Ok(true));
        let mut header = HeaderEnd::of_response(false, 0);
        assert_eq!(header.step(&mut &b""[..]), Ok(true));
    }

    #[test]
    fn claims_beyond_the_frame_are_named() {
        assert_eq!(
            request(false, b"\x7f\xffab"),
            Err(Malformed::LengthExceedsFrame)
        );
        assert_eq!(
            request(false, b"\x80\x00ab"),
            Err(Malformed::NegativeLength)
        );
        assert_eq!(request(false, b"\x00"), Err(Malformed::Truncated));
        assert_eq!(
            request(true, b"\xff\xff\x7fabcd"),
            Err(Malformed::CountExceedsFrame)
        );
        assert_eq!(
            request(true, b"\xff\xff\x01\x00\x7fabc"),
            Err(Malformed::LengthExceedsFrame)
        );
        assert_eq!(
            request(true, b"\xff\xff\x80\x80\x80\x80\x80\x01"),
            Err(Malformed::Varint)
        );
        assert_eq!(
            request(true, b"\xff\xff\x01\x80\x80\x80\x80\x80\x01\x00"),
            Err(Malformed::Varint)
        );
    }

    #[test]
    fn a_frame_that_ends_inside_the_header_is_truncated() {
        let mut header = HeaderEnd::of_request(true, 2);
        assert_eq!(
            header.step(&mut &b"\xff\xff\x00"[..]),
            Err(Malformed::Truncated)
        );
    }
}
