//! Makes the names equal that each way has for its own topics, groups and transactions.

use serde_json::Value;

/// Begins the part of a name that differs between the ways.
const WAY: &[u8] = b"way_";

/// Takes the part of names out in which the two ways' own resources differ.
pub(super) fn same_way(value: &Value) -> Value {
    match value {
        Value::String(text) => String::from_utf8_lossy(&same_way_bytes(text.as_bytes())).into(),
        Value::Array(elements) => elements.iter().map(same_way).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), same_way(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// `way_direct_123` and `way_behind_456` both become `way_`.
pub(super) fn same_way_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, WAY) {
        let (before, tagged) = rest.split_at(at + WAY.len());
        out.extend_from_slice(before);
        let is_tag = tagged.starts_with(b"direct_") || tagged.starts_with(b"behind_");
        rest = tagged.get(10..).filter(|_| is_tag).unwrap_or(tagged);
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_ways_become_the_same_and_others_stay() {
        for (name, expected) in [
            ("way_direct_123-topic", "way_-topic"),
            ("a way_behind_456-group", "a way_-group"),
            ("way_other_1-topic", "way_other_1-topic"),
            ("way_direct", "way_direct"),
        ] {
            assert_eq!(same_way(&name.into()), expected);
        }
    }
}
