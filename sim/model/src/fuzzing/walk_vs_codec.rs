//! The walker against kafka-protocol, a reader that others wrote: of whatever the walker accepts it
//! must read the same fields with the same values, to the same end; and what is cut off before
//! that end both must reject.
//!
//! The decoder is given only what the walker has accepted, or less of it: it reserves memory by
//! counts that it has not checked. What it rejects besides is known, see `differs_knowingly`.

use std::collections::BTreeMap;

use bytes::Bytes;
use doorkeeper_core::wire::malformed::Malformed;
use doorkeeper_core::wire::schema::{Direction, Field, Kind, Message, Roles};
use doorkeeper_core::wire::walk::{Step, Value, Walker};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

use super::canonical::canonical;
use super::message;
use super::value::{MessageValue, plain};

/// Input: API, version, flags, where to cut in 255ths; the body.
pub fn walk_vs_codec(data: &[u8]) {
    let Some((&[api, version, flags, cut], body)) = data.split_first_chunk() else {
        return;
    };
    let Some((message, version)) = message::named(api, version, flags) else {
        return;
    };
    let Some(decoder) = Decoder::of(message, version) else {
        return;
    };
    let Some(Ok(walked)) = walk(message, version, body) else {
        return;
    };
    if !walked.is_marked_plainly {
        return;
    }
    match decoder.decode(body) {
        Ok((decoded, end)) => {
            assert_eq!(
                walked.end, end,
                "{} v{version} ends elsewhere",
                message.name
            );
            assert!(
                walked.value.is_in(&decoded),
                "{} v{version} is read otherwise:\n{:?}\n{decoded:?}",
                message.name,
                walked.value
            );
        }
        Err(why) => assert!(
            differs_knowingly(&why, walked.is_text),
            "{} v{version} is rejected by the other: {why}",
            message.name
        ),
    }
    let shorter = walked.end.saturating_sub(1) * usize::from(cut) / 255;
    let Some(shorter) = body.get(..shorter).filter(|_| walked.end > 0) else {
        return;
    };
    assert!(
        !matches!(walk(message, version, shorter), Some(Ok(_))),
        "{} v{version} ends before its end",
        message.name
    );
    assert!(
        decoder.decode(shorter).is_err(),
        "{} v{version} ends before its end for the other",
        message.name
    );
}

/// What the other rejects and doorkeeper forwards. Strings are not looked into, and a tagged field
/// that is known in other versions only is one that nobody knows. A few versions it lists and does
/// not read.
fn differs_knowingly(why: &str, is_text: bool) -> bool {
    let other_version = why.contains("Tag ") && why.contains(" is not valid for version ");
    !is_text || other_version || why.contains("specified version not supported")
}

/// The other reader of one message in one version.
struct Decoder {
    api: ApiKey,
    direction: Direction,
    version: i16,
}

impl Decoder {
    /// `None` if it does not know the message in that version.
    fn of(message: &Message, version: i16) -> Option<Self> {
        let api = ApiKey::try_from(message.api_key).ok()?;
        let known = api.valid_versions();
        (known.min <= version && version <= known.max).then_some(Self {
            api,
            direction: message.direction,
            version,
        })
    }

    /// What it reads, and where that ends; or why it reads nothing.
    fn decode(&self, body: &[u8]) -> Result<(MessageValue, usize), String> {
        let mut rest = Bytes::copy_from_slice(body);
        let text = match self.direction {
            Direction::Request => {
                let request = RequestKind::decode(self.api, &mut rest, self.version);
                format!("{:?}", request.map_err(|why| format!("{why:#}"))?)
            }
            Direction::Response => {
                let response = ResponseKind::decode(self.api, &mut rest, self.version);
                format!("{:?}", response.map_err(|why| format!("{why:#}"))?)
            }
        };
        let value = canonical(&text).ok_or_else(|| format!("not understood: {text}"))?;
        Ok((value, body.len() - rest.len()))
    }
}

/// What the walker reads.
struct WalkResult {
    value: MessageValue,
    /// Where it ends.
    end: usize,
    /// Every string is UTF-8.
    is_text: bool,
    /// Before every structure that could be null stands a 1. Kafka takes any number that is not
    /// negative for a structure that is there, and the other reader for one that is not.
    is_marked_plainly: bool,
}

/// `None` when the bytes run out first.
fn walk(
    message: &'static Message,
    version: i16,
    body: &[u8],
) -> Option<Result<WalkResult, Malformed>> {
    let mut walker = Walker::new(message, version, body.len(), Roles::ALL)?;
    let mut input = body;
    let mut open = vec![MessageValue::Struct(BTreeMap::new())];
    let (mut is_text, mut is_marked_plainly) = (true, true);
    loop {
        let step = match walker.step(&mut input) {
            Ok(step) => step,
            Err(malformed) => return Some(Err(malformed)),
        };
        match step {
            Step::More => return None,
            Step::Done { at: end } => {
                let value = open.pop()?;
                return Some(Ok(WalkResult {
                    value,
                    end,
                    is_text,
                    is_marked_plainly,
                }));
            }
            Step::Value(found) => {
                let value = match found.value {
                    Value::Int(value) => MessageValue::Int(value),
                    Value::Float(value) => MessageValue::Float(value),
                    Value::Uuid(value) => MessageValue::Uuid(value),
                    Value::Null => MessageValue::Null,
                    Value::Span => {
                        let bytes = body.get(found.data..found.end).unwrap_or_default();
                        is_text &= !is_string(found.field) || std::str::from_utf8(bytes).is_ok();
                        MessageValue::Bytes(bytes.to_vec())
                    }
                };
                put(&mut open, found.field.name, value);
            }
            Step::Array { count, .. } => open.push(match count {
                Some(_) => MessageValue::List(Vec::new()),
                None => MessageValue::Null,
            }),
            Step::Element { field, at, .. } => {
                let has_mark =
                    matches!(field.kind, Kind::Struct(_)) && field.nullable.contains(version);
                is_marked_plainly &= !has_mark || body.get(at.wrapping_sub(1)) == Some(&1);
                open.push(MessageValue::Struct(BTreeMap::new()));
            }
            Step::ElementEnd { field, .. } | Step::ArrayEnd { field, .. } => {
                let value = open.pop()?;
                put(&mut open, field.name, value);
            }
            Step::Begin { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. } => {}
        }
    }
}

const fn is_string(field: &Field) -> bool {
    matches!(field.kind, Kind::String | Kind::Array(Kind::String))
}

/// Puts a value into the array or structure that is open.
fn put(open: &mut [MessageValue], name: &str, value: MessageValue) {
    match open.last_mut() {
        Some(MessageValue::List(items)) => items.push(value),
        Some(MessageValue::Struct(fields)) => {
            fields.insert(plain(name), value);
        }
        Some(
            MessageValue::Null
            | MessageValue::Int(_)
            | MessageValue::Float(_)
            | MessageValue::Uuid(_)
            | MessageValue::Bytes(_),
        )
        | None => {}
    }
}
