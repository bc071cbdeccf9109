//! How bytes can break their schema: one variant per rule.

/// The rule that a frame broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The frame ended inside a field.
    Truncated,
    /// A length or count below what the type allows.
    NegativeLength,
    /// A length of a string, bytes, records or tagged field beyond the end of its frame.
    LengthExceedsFrame,
    /// More elements than bytes that are left.
    CountExceedsFrame,
    /// A varint of more than five bytes, or one whose value no length can have.
    Varint,
    /// Null where the schema allows none.
    NullNotAllowed,
    /// A known tagged field did not end where its size said.
    TaggedSize,
}
