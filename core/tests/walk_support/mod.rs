//! What the tests of the walker share: recorded frames, and a walk as a list.
#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::fs;
use std::path::Path;

use doorkeeper_core::wire::malformed::Malformed;
use doorkeeper_core::wire::schema::{APIS, Api, Message, Role, Roles};
use doorkeeper_core::wire::walk::{FieldValue, Step, Value, Walker};

/// One body that Kafka's own classes have written.
pub(crate) struct Frame {
    pub(crate) message: &'static Message,
    pub(crate) version: i16,
    pub(crate) filling: String,
    pub(crate) body: Vec<u8>,
    pub(crate) json: serde_json::Value,
}

impl Frame {
    pub(crate) fn name(&self) -> String {
        format!("{} v{} {}", self.message.name, self.version, self.filling)
    }

    /// A request with this body, without its length.
    pub(crate) fn request(&self, api: &Api, correlation_id: i32) -> Vec<u8> {
        let mut out = [api.key.to_be_bytes(), self.version.to_be_bytes()].concat();
        out.extend(correlation_id.to_be_bytes());
        // No client id, and no tagged fields.
        out.extend((-1_i16).to_be_bytes());
        if api.request.is_flexible(self.version).unwrap() {
            out.push(0);
        }
        out.extend(&self.body);
        out
    }
}

/// Every message of the tables.
pub(crate) fn messages() -> impl Iterator<Item = &'static Message> {
    APIS.iter().flat_map(|api| [api.request, api.response])
}

/// All recorded frames.
pub(crate) fn frames() -> Vec<Frame> {
    messages().flat_map(frames_of).collect()
}

/// The recorded frames of one message.
pub(crate) fn frames_of(message: &'static Message) -> Vec<Frame> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/frames");
    let path = root.join(format!("{}.txt", message.name));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let frames = lines.map(|line| {
        let columns: Vec<&str> = line.splitn(4, '\t').collect();
        let [version, filling, hex, json] = columns[..] else {
            panic!("{path:?}: {line}")
        };
        Frame {
            message,
            version: version.parse().unwrap(),
            filling: filling.to_owned(),
            body: from_hex(hex),
            json: serde_json::from_str(json).unwrap(),
        }
    });
    frames.collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// A step with nothing but what can be compared: the field's name and role, and the places.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Begin(&'static str, usize),
    Value(&'static str, Role, [usize; 3], Value),
    Array(&'static str, Role, usize, usize, Option<u32>),
    Element(&'static str, Role, u32, usize),
    ElementEnd(&'static str, Role, u32, usize),
    ArrayEnd(&'static str, Role, usize),
    Tags(usize, usize, u32),
    Tagged(&'static str, [usize; 4]),
    TaggedEnd(&'static str, usize),
    Done(usize),
}

impl Seen {
    fn from(step: Step) -> Option<Self> {
        Some(match step {
            Step::More => return None,
            Step::Begin { field, at } => Self::Begin(field.name, at),
            Step::Value(FieldValue {
                field,
                role,
                start,
                data,
                end,
                value,
            }) => Self::Value(field.name, role, [start, data, end], value),
            Step::Array {
                field,
                start,
                end,
                count,
                ..
            } => Self::Array(field.name, field.role, start, end, count),
            Step::Element { field, index, at } => Self::Element(field.name, field.role, index, at),
            Step::ElementEnd { field, index, at } => {
                Self::ElementEnd(field.name, field.role, index, at)
            }
            Step::ArrayEnd { field, at } => Self::ArrayEnd(field.name, field.role, at),
            Step::Tags { at, end, count } => Self::Tags(at, end, count),
            Step::Tagged {
                field,
                at,
                size_start,
                content,
                end,
            } => Self::Tagged(field.name, [at, size_start, content, end]),
            Step::TaggedEnd { field, at } => Self::TaggedEnd(field.name, at),
            Step::Done { at } => Self::Done(at),
        })
    }

    /// The role of what this is about, where it is about a field's value.
    pub(crate) fn role(&self) -> Option<Role> {
        match self {
            Self::Value(_, role, ..)
            | Self::Array(_, role, ..)
            | Self::Element(_, role, ..)
            | Self::ElementEnd(_, role, ..)
            | Self::ArrayEnd(_, role, _) => Some(*role),
            Self::Begin(..) | Self::Tags(..) | Self::Tagged(..) | Self::TaggedEnd(..) => None,
            Self::Done(_) => None,
        }
    }
}

/// Walks a whole body that arrives in the given chunks, to its end.
pub(crate) fn walk_chunks<'a>(
    message: &'static Message,
    version: i16,
    body_len: usize,
    interest: Roles,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Seen>, Malformed> {
    let mut walker = Walker::new(message, version, body_len, interest).unwrap();
    let mut seen = Vec::new();
    let mut before = 0;
    // A body of no bytes has no chunks, and must be stepped nevertheless.
    for chunk in chunks.into_iter().chain([&[][..]]) {
        let mut input = chunk;
        loop {
            let step = walker.step(&mut input)?;
            assert_eq!(
                walker.offset(),
                before + chunk.len() - input.len(),
                "consumed bytes"
            );
            if let Step::More = step {
                assert!(
                    input.is_empty(),
                    "more is asked for only when all is used up"
                );
                break;
            }
            seen.extend(Seen::from(step));
            if let Step::Done { .. } = step {
                return Ok(seen);
            }
        }
        before += chunk.len();
    }
    Ok(seen)
}

/// Walks a whole body in one piece.
pub(crate) fn walk(
    message: &'static Message,
    version: i16,
    body: &[u8],
    interest: Roles,
) -> Result<Vec<Seen>, Malformed> {
    walk_chunks(message, version, body.len(), interest, [body])
}

/// Base64 without padding, in either alphabet.
pub(crate) fn base64(bytes: &[u8], is_url: bool) -> String {
    let mut alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".to_vec();
    if is_url {
        alphabet[62..].copy_from_slice(b"-_");
    }
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = 0_u32;
        for at in 0..3 {
            word = word << 8 | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..=chunk.len() {
            text.push(char::from(alphabet[(word >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}
