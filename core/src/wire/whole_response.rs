//! Reads a response to a request of our own, which is there as a whole.

use crate::id::{ApiKey, ApiVersion};
use crate::wire::header::HeaderEnd;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{self, Roles};
use crate::wire::walk::{FieldValue, Step, Walker};

/// Gives every field of interest of a body, whose header has no more than a correlation id.
pub(crate) fn response_fields(
    api: ApiKey,
    version: ApiVersion,
    body: &[u8],
    interest: Roles,
    mut take: impl FnMut(&FieldValue),
) -> Result<(), Malformed> {
    let message = schema::api(api.0)
        .map(|entry| entry.response)
        .ok_or(Malformed::Truncated)?;
    let mut input = body;
    HeaderEnd::of_response(false, body.len()).step(&mut input)?;
    let mut walker =
        Walker::new(message, version.0, body.len(), interest).ok_or(Malformed::Truncated)?;
    loop {
        match walker.step(&mut input)? {
            Step::Value(found) => take(&found),
            Step::Done { .. } => return Ok(()),
            Step::More => return Err(Malformed::Truncated),
            Step::Begin { .. }
            | Step::Array { .. }
            | Step::Element { .. }
            | Step::ElementEnd { .. }
            | Step::ArrayEnd { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. } => {}
        }
    }
}
