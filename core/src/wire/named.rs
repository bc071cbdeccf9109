//! What a whole request names, one thing after the other, for a response that has to name it again.

use bytes::Bytes;

use crate::wire::malformed::Malformed;
use crate::wire::schema::{Message, Role, Roles};
use crate::wire::walk::{Found, Step, Value, Walker};

/// One thing that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A number: of a producer, of a partition, or the type of a resource.
    Number(Role, i64),
    /// A name.
    Text(Role, Bytes),
    /// A name that is null.
    Null(Role),
    /// The next element of an array of structures that has no role of its own, by the array's name.
    Element(&'static str),
}

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

/// A walk over one body.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    body: &'a Bytes,
    rest: &'a [u8],
    walker: Option<Walker>,
    failed: Option<Malformed>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(message: &'static Message, version: i16, body: &'a Bytes) -> Self {
        Self {
            body,
            rest: body,
            walker: Walker::new(message, version, body.len(), NAMES),
            failed: None,
        }
    }

    /// Reads what was left unread.
    ///
    /// # Errors
    /// The body does not follow its schema; what was named before that may be anything.
    pub(crate) fn finish(mut self) -> Result<(), Malformed> {
        while self.next().is_some() {}
        self.failed.map_or(Ok(()), Err)
    }

    fn named(&self, found: &Found) -> Option<Named> {
        match found.value {
            _ if found.role == Role::Plain => None,
            Value::Int(int) => Some(Named::Number(found.role, int)),
            Value::Span => {
                let whole = found.data <= found.end && found.end <= self.body.len();
                whole.then(|| Named::Text(found.role, self.body.slice(found.data..found.end)))
            }
            Value::Null => Some(Named::Null(found.role)),
            Value::Float(_) | Value::Uuid(_) => None,
        }
    }

    fn fail(&mut self, why: Malformed) -> Option<Named> {
        self.failed = Some(why);
        self.walker = None;
        None
    }
}

impl Iterator for Names<'_> {
    type Item = Named;

    fn next(&mut self) -> Option<Named> {
        loop {
            let step = match self.walker.as_mut()?.step(&mut self.rest) {
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
                    self.walker = None;
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
