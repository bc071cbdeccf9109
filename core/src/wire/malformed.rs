//! How bytes can break their frame or their schema: one variant per rule.

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
    /// Structures nested deeper than any message of Kafka.
    TooDeep,
}

impl Malformed {
    /// All rules.
    pub const ALL: &'static [Self] = &[
        Self::Truncated,
        Self::NegativeLength,
        Self::LengthExceedsFrame,
        Self::CountExceedsFrame,
        Self::Varint,
        Self::NullNotAllowed,
        Self::TaggedSize,
        Self::TooDeep,
    ];

    /// A stable name, fit for a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::NegativeLength => "negative_length",
            Self::LengthExceedsFrame => "length_exceeds_frame",
            Self::CountExceedsFrame => "count_exceeds_frame",
            Self::Varint => "varint",
            Self::NullNotAllowed => "null_not_allowed",
            Self::TaggedSize => "tagged_size",
            Self::TooDeep => "too_deep",
        }
    }
}

/// Why a length prefix is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLength {
    /// Below zero.
    Negative,
    /// Too short for a header.
    TooShort,
    /// Above the frame limit.
    TooLarge,
}
