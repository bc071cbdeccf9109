//! Reads a response to a request of our own, which is there as a whole.

use crate::id::{ApiKey, ApiVersion};
use crate::wire::body_walk::BodyWalk;
use crate::wire::header::HeaderEnd;
use crate::wire::malformed::Malformed;
use crate::wire::schema::{self, Roles};
use crate::wire::walk::{FieldValue, Step};

/// Gives every field of interest of a body, whose header has no more than a correlation id.
pub(crate) fn response_fields(
    api: ApiKey,
    version: ApiVersion,
    body: &[u8],
    interest: Roles,
    take: &mut dyn FnMut(&FieldValue),
) -> Result<(), Malformed> {
    let edition = schema::api(api.0).and_then(|entry| entry.response.edition(version.0));
    let header = HeaderEnd::of_response(false, body.len());
    let walk = BodyWalk::new(edition, version.0, interest, header, 0, body.len());
    walk.whole(body, &mut |step| {
        if let Step::Value(found) = step {
            take(found);
        }
    })
}
