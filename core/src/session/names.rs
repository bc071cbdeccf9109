//! The names in a whole request, one after the other, for a response that has to repeat them.

use bytes::Bytes;

use crate::id::ApiVersion;
use crate::wire::body_walk::{BodyWalk, REQUEST_HEAD_END};
use crate::wire::malformed::Malformed;
use crate::wire::named::Named;
use crate::wire::schema::{Api, Role, Roles};
use crate::wire::walk::{FieldValue, Step, Value};

/// What a denial may have to name.
const NAMES: Roles = Roles::of(&[
    Role::ProducerId,
    Role::TopicName,
    Role::Partitions,
    Role::PartitionIndex,
    Role::ResourceType,
    Role::ResourceName,
    Role::Principal,
    Role::QuotaEntity,
    // The type of a quota's entity.
    Role::Opaque,
    Role::CoordinatorKey,
    // For the elements of arrays.
    Role::Plain,
]);

/// A walk over one whole request.
#[derive(Debug)]
pub(super) struct Names<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
    /// Nothing once it is over.
    walk: Option<BodyWalk>,
    failed: Option<Malformed>,
}

impl<'a> Names<'a> {
    pub(super) fn new(entry: &Api, version: ApiVersion, frame: &'a Bytes) -> Self {
        Self {
            frame,
            rest: frame.get(REQUEST_HEAD_END..).unwrap_or_default(),
            walk: Some(BodyWalk::of_request(entry, version, NAMES, frame.len())),
            failed: None,
        }
    }

    /// Reads what was left unread.
    ///
    /// # Errors
    /// The body does not follow its schema; what was named before that may be anything.
    pub(super) fn finish(mut self) -> Result<(), Malformed> {
        while self.next().is_some() {}
        self.failed.map_or(Ok(()), Err)
    }

    fn named(&self, found: &FieldValue) -> Option<Named> {
        match found.value {
            _ if found.role == Role::Plain => None,
            Value::Int(int) => Some(Named::Number(found.role, int)),
            Value::Span => {
                let name = self.frame.get(found.data..found.end)?;
                Some(Named::Text(found.role, self.frame.slice_ref(name)))
            }
            Value::Null => Some(Named::Null(found.role)),
            Value::Float(_) | Value::Uuid(_) => None,
        }
    }

    fn fail(&mut self, why: Malformed) -> Option<Named> {
        self.failed = Some(why);
        self.walk = None;
        None
    }
}

impl Iterator for Names<'_> {
    type Item = Named;

    fn next(&mut self) -> Option<Named> {
        loop {
            let step = match self.walk.as_mut()?.step(&mut self.rest) {
                Ok(step) => step,
                Err(why) => return self.fail(why),
            };
            match step {
                Step::Value(found) => {
                    if let Some(named) = self.named(&found) {
                        return Some(named);
                    }
                }
                Step::Element { field, .. } if field.role == Role::Plain => {
                    return Some(Named::Element(field.name));
                }
                Step::More => return self.fail(Malformed::Truncated),
                Step::Done { .. } => {
                    self.walk = None;
                    return None;
                }
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
}
