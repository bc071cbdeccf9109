//! A quick scan of a body that is there as a whole: whether anything in it is of interest at all.
//!
//! Most responses that may contain addresses contain none. To find that out takes a fraction of a
//! walk, which yields what stands where and goes on wherever the bytes are cut. Where there is
//! anything of interest, or anything wrong, the body is walked.

use super::schema::{Edition, Field, Kind, Role, Roles, Struct};
use crate::work;

/// What a quick scan yields of a body in which nothing is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bare {
    /// Its [`Role::ThrottleTime`], in milliseconds; 0 where it has none.
    pub throttle_ms: i32,
}

/// That `body` follows its schema, and of the fields whose role is in `interest` has only some
/// that are null or empty, and no tagged ones.
///
/// A walk over such a body ends without a fault, whatever it asks for of this interest.
#[must_use]
pub fn bare(edition: &Edition, version: i16, body: &[u8], interest: Roles) -> Option<Bare> {
    let mut quick_scan = QuickScan {
        rest: body,
        version,
        flexible: edition.flexible.contains(version),
        interest,
        throttle_ms: 0,
    };
    quick_scan.structure(edition.body)?;
    Some(Bare {
        throttle_ms: quick_scan.throttle_ms,
    })
}

/// What has not been looked at yet. Every step is `None` when there is something of interest, or
/// something wrong.
struct QuickScan<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    interest: Roles,
    throttle_ms: i32,
}

impl QuickScan<'_> {
    /// Structures are nested as deep as the tables have them, which is not deep.
    fn structure(&mut self, inner: &Struct) -> Option<()> {
        work::steps(1);
        for field in inner.fields {
            let is_in_line =
                field.versions.contains(self.version) && field.tag_in(self.version).is_none();
            if is_in_line {
                self.field(field)?;
            }
        }
        if self.flexible {
            self.tagged(inner)?;
        }
        Some(())
    }

    fn field(&mut self, field: &Field) -> Option<()> {
        let wanted = self.interest.contains(field.role);
        let nullable = field.nullable.contains(self.version);
        match field.kind {
            Kind::String | Kind::Bytes | Kind::Records => {
                let len = self.length(matches!(field.kind, Kind::String), nullable)?;
                if wanted && len > 0 {
                    return None;
                }
                self.skip(len)
            }
            Kind::Array(element) => {
                let count = self.length(false, nullable)?;
                if wanted && count > 0 {
                    return None;
                }
                self.elements(element, count)
            }
            // The result contains it: nobody has to walk for it.
            Kind::Int32 if field.role == Role::ThrottleTime => {
                self.throttle_ms = i32::from_be_bytes(self.bytes()?);
                Some(())
            }
            // A structure, or a value that is never empty.
            _ if wanted => None,
            Kind::Struct(inner) => {
                let is_null = nullable && self.byte()?.cast_signed() < 0;
                if is_null {
                    Some(())
                } else {
                    self.structure(inner)
                }
            }
            Kind::Bool
            | Kind::Int8
            | Kind::Int16
            | Kind::Uint16
            | Kind::Int32
            | Kind::Uint32
            | Kind::Int64
            | Kind::Float64
            | Kind::Uuid => self.skip(field.kind.fixed_len()?),
        }
    }

    /// No element is shorter than a byte, so that a count cannot lie for long.
    fn elements(&mut self, element: &Kind, count: u32) -> Option<()> {
        match element {
            Kind::Struct(inner) => (0..count).try_for_each(|_| self.structure(inner)),
            Kind::String | Kind::Bytes | Kind::Records => (0..count).try_for_each(|_| {
                let len = self.length(matches!(element, Kind::String), false)?;
                self.skip(len)
            }),
            // The tables have none (a test checks this).
            Kind::Array(_) => None,
            Kind::Bool
            | Kind::Int8
            | Kind::Int16
            | Kind::Uint16
            | Kind::Int32
            | Kind::Uint32
            | Kind::Int64
            | Kind::Float64
            | Kind::Uuid => self.skip(count.checked_mul(element.fixed_len()?)?),
        }
    }

    fn tagged(&mut self, inner: &Struct) -> Option<()> {
        for _ in 0..self.varint()? {
            work::steps(1);
            let number = self.varint()?;
            let size = self.varint()?;
            let is_wanted = |field: &Field| {
                field.tag_in(self.version) == Some(number)
                    && field.versions.contains(self.version)
                    && field.roles().intersects(self.interest)
            };
            if inner.fields.iter().any(is_wanted) {
                return None;
            }
            self.skip(size)?;
        }
        Some(())
    }

    /// A length or count; 0 for null, where that is allowed.
    fn length(&mut self, is_short: bool, nullable: bool) -> Option<u32> {
        work::steps(1);
        let len = if self.flexible {
            self.varint()?.checked_sub(1)
        } else {
            let len = if is_short {
                i16::from_be_bytes(self.bytes()?).into()
            } else {
                i32::from_be_bytes(self.bytes()?)
            };
            if len < -1 {
                return None;
            }
            u32::try_from(len).ok()
        };
        len.or(if nullable { Some(0) } else { None })
    }

    fn varint(&mut self) -> Option<u32> {
        let first = self.byte()?;
        if first < 0x80 {
            return Some(first.into());
        }
        let mut value = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let byte = self.byte()?;
            if shift == 28 && byte > 0x07 {
                return None;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn skip(&mut self, len: u32) -> Option<()> {
        self.rest = self.rest.get(len as usize..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::schema;

    /// A Produce response of version 11: one topic without partitions, and how long the client is
    /// throttled.
    const THROTTLED: &[u8] = &[2, 2, b't', 1, 0, 0, 0, 0x3a, 0x98, 0];

    #[test]
    fn a_throttle_time_is_found_also_where_it_is_of_interest() {
        let produced = schema::api(0).unwrap().response.edition(11).unwrap();
        let interest = Roles::of(&[Role::ThrottleTime, Role::Host]);
        for interest in [interest, Roles::of(&[Role::Host])] {
            let bare = bare(produced, 11, THROTTLED, interest);
            assert_eq!(
                bare,
                Some(Bare {
                    throttle_ms: 15_000
                })
            );
        }
        let interest = Roles::of(&[Role::Topics]);
        assert_eq!(bare(produced, 11, THROTTLED, interest), None);
    }
}
