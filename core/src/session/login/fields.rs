//! The fields of a request that a client sends within its login.

use bytes::Bytes;

use crate::api::row;
use crate::wire::body_walk::{BodyWalk, REQUEST_HEAD_END};
use crate::wire::header::RequestHead;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{Role, Roles};
use crate::wire::walk::{Step, Value};

/// The one field of that role in a whole request.
pub(super) fn field(head: RequestHead, frame: &Bytes, role: Role) -> Result<&[u8], Malformed> {
    let mut found = None;
    walk_request(head, frame, role, &mut |bytes| found = bytes)?;
    found.ok_or(Malformed::Truncated)
}

/// Hands out the texts and bytes of that role in a whole request; nothing for one that is null.
pub(super) fn walk_request<'a>(
    head: RequestHead,
    frame: &'a Bytes,
    role: Role,
    take: &mut dyn FnMut(Option<&'a [u8]>),
) -> Result<(), Malformed> {
    let row = row(head.api).ok_or(Malformed::Truncated)?;
    let roles = Roles::of(&[role]);
    let walk = BodyWalk::of_request(row.entry, head.version, roles, frame.len());
    let body = frame.get(REQUEST_HEAD_END..).unwrap_or_default();
    walk.whole(body, &mut |step| {
        if let Step::Value(value) = step {
            let is_there = value.value == Value::Span;
            take(frame.get(value.data..value.end).filter(|_| is_there));
        }
    })
}
