//! A message as a value: what a reader made of it, in a form in which two readers can be compared.

use std::collections::BTreeMap;

/// Fields that have another name in later releases of Kafka, and the one they had.
const RENAMED: &[(&str, &str)] = &[("generationidormemberepoch", "generationid")];

/// A value in a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum MessageValue {
    Null,
    /// A number or a flag.
    Int(i64),
    Float(f64),
    Uuid([u8; 16]),
    /// A string, bytes or records.
    Bytes(Vec<u8>),
    List(Vec<Self>),
    /// By the plain names of the fields.
    Struct(BTreeMap<String, Self>),
}

impl MessageValue {
    /// Whether `other` says the same, and maybe more: it knows fields of all versions.
    pub(super) fn is_in(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Struct(fields), Self::Struct(others)) => fields.iter().all(|(name, value)| {
                let older = RENAMED.iter().find(|(now, _)| now == name);
                let other = others.get(name).or_else(|| others.get(older?.1));
                other.is_some_and(|other| value.is_in(other))
            }),
            (Self::List(items), Self::List(others)) => {
                items.len() == others.len()
                    && items
                        .iter()
                        .zip(others)
                        .all(|(item, other)| item.is_in(other))
            }
            (Self::Float(one), Self::Float(other)) => {
                one.total_cmp(other).is_eq() || (one.is_nan() && other.is_nan())
            }
            _ => self == other,
        }
    }
}

/// A name of a field without what languages differ in: `ThrottleTimeMs` and `throttle_time_ms`.
pub(super) fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| *letter != '_');
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}
