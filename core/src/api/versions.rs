//! The ranges of versions in an ApiVersions response, cut to what our table has.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::offered::OfferedApi;
use crate::id::ApiKey;
use crate::wire::edit::{self, Edits};
use crate::wire::header::{PREFIX_BYTES, RequestHead};
use crate::wire::schema::{Role, Versions};
use crate::wire::walk::{FieldValue, Step, Value};

/// `Errors.UNSUPPORTED_VERSION`.
pub(crate) const UNSUPPORTED_VERSION: i16 = 35;

/// Edits one ApiVersions response while it is walked. Features are left alone: clients decide on
/// transactions by them.
#[derive(Debug)]
pub(crate) struct ApiRanges {
    compact: bool,
    count_at: Range<usize>,
    count: usize,
    dropped: usize,
    /// What is listed besides.
    added: Vec<OfferedApi>,
    element: Option<Element>,
}

#[derive(Debug)]
struct Element {
    from: usize,
    key: Option<i64>,
    min: Option<(Range<usize>, i64)>,
    max: Option<(Range<usize>, i64)>,
}

impl ApiRanges {
    pub(crate) fn new(compact: bool) -> Self {
        Self::adding(compact, Vec::new())
    }

    /// The same, with these at the end: a broker need not have them.
    pub(crate) fn adding(compact: bool, added: Vec<OfferedApi>) -> Self {
        Self {
            compact,
            count_at: 0..0,
            count: 0,
            dropped: 0,
            added,
            element: None,
        }
    }

    /// Takes in one step of the walk.
    pub(crate) fn step(
        &mut self,
        step: &Step,
        row: impl Fn(ApiKey) -> Option<OfferedApi>,
        edits: &mut Edits,
    ) {
        match step {
            Step::Array {
                field,
                start,
                end,
                count,
                ..
            } if field.role == Role::ApiKeys => {
                self.count_at = *start..*end;
                self.count = count.map_or(0, |count| count as usize);
            }
            Step::Element { field, at, .. } if field.role == Role::ApiKeys => {
                self.element = Some(Element {
                    from: *at,
                    key: None,
                    min: None,
                    max: None,
                });
            }
            Step::Value(found) => self.found(found),
            Step::ElementEnd { field, at, .. } if field.role == Role::ApiKeys => {
                self.settle(*at, row, edits);
            }
            Step::ArrayEnd { field, at, .. } if field.role == Role::ApiKeys => {
                self.end(*at, edits);
            }
            Step::More
            | Step::Begin { .. }
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

    /// All elements have been read.
    fn end(&self, at: usize, edits: &mut Edits) {
        if self.dropped > 0 || !self.added.is_empty() {
            let left = self.count.saturating_sub(self.dropped) + self.added.len();
            edits.replace(self.count_at.clone(), edit::count(left, self.compact));
        }
        let mut elements = BytesMut::new();
        for OfferedApi { row, versions, .. } in &self.added {
            elements.put_i16(row.key.0);
            elements.put_i16(versions.first);
            elements.put_i16(versions.last);
            if self.compact {
                // No tagged fields.
                elements.put_u8(0);
            }
        }
        if !elements.is_empty() {
            edits.replace(at..at, elements.freeze());
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a walk yields just the roles that were asked for"
    )]
    fn found(&mut self, found: &FieldValue) {
        // Features have ranges of their own, outside the array.
        let (Some(element), Value::Int(int)) = (&mut self.element, &found.value) else {
            return;
        };
        let at = found.start..found.end;
        match found.field.role {
            Role::ApiKey => element.key = Some(*int),
            Role::MinVersion => element.min = Some((at, *int)),
            Role::MaxVersion => element.max = Some((at, *int)),
            _ => {}
        }
    }

    fn settle(
        &mut self,
        end: usize,
        row_of: impl Fn(ApiKey) -> Option<OfferedApi>,
        edits: &mut Edits,
    ) {
        let Some(Element {
            from,
            key: Some(key),
            min: Some(min),
            max: Some(max),
        }) = self.element.take()
        else {
            return;
        };
        let row = i16::try_from(key).ok().and_then(|key| row_of(ApiKey(key)));
        let common = row.map(|row| {
            (
                i64::from(row.versions.first).max(min.1),
                i64::from(row.versions.last).min(max.1),
            )
        });
        match common {
            Some((first, last)) if first <= last => {
                set(edits, min, first);
                set(edits, max, last);
            }
            Some(_) | None => {
                edits.cut(from..end);
                self.dropped += 1;
            }
        }
    }
}

fn set(edits: &mut Edits, (at, was): (Range<usize>, i64), now: i64) {
    if was != now
        && let Ok(now) = i16::try_from(now)
    {
        edits.replace(at, now.to_be_bytes().to_vec());
    }
}

/// The response to an ApiVersions request with an error and nothing else, in one of the versions
/// 0 to 4 (`ApiVersionsRequest.getErrorResponse`).
pub(crate) fn failed(head: RequestHead, error_code: i16) -> Bytes {
    const LEN_MAX: usize = PREFIX_BYTES + 4 + 2 + 4 + 4;
    let version = head.version.0;
    let mut frame = BytesMut::with_capacity(LEN_MAX);
    // The count is compact from version 3 on, the throttle time there from version 1 on.
    let len: u8 = match version {
        0 => 4 + 2 + 4,
        1 | 2 => 4 + 2 + 4 + 4,
        _ => 4 + 2 + 1 + 4 + 1,
    };
    frame.put_u32(len.into());
    frame.put_i32(head.correlation_id.0);
    frame.put_i16(error_code);
    frame.put_slice(&edit::count(0, version >= 3));
    if version >= 1 {
        frame.put_i32(0);
    }
    if version >= 3 {
        // No tagged fields.
        frame.put_u8(0);
    }
    frame.freeze()
}

/// The response to an ApiVersions request of a version that is not in our tables: a body of version
/// 0 with error 35 and the range of this one API (`ApiVersionsResponse`, KIP-511).
pub(crate) fn unsupported(head: RequestHead, versions: Versions) -> Bytes {
    // The correlation id, the error code and a count, then a key and two versions.
    const LEN: u8 = 4 + 2 + 4 + 3 * 2;
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + usize::from(LEN));
    frame.put_u32(LEN.into());
    frame.put_i32(head.correlation_id.0);
    frame.put_i16(UNSUPPORTED_VERSION);
    frame.put_i32(1);
    frame.put_i16(head.api.0);
    frame.put_i16(versions.first);
    frame.put_i16(versions.last);
    frame.freeze()
}
