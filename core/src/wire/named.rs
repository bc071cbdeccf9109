//! What a request names, for a response that has to repeat it.

use bytes::Bytes;

use crate::wire::schema::Role;

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
