//! A response as a tree of fields, read by the schema.

use anyhow::{Context as _, Result, anyhow, bail};
use doorkeeper_core::wire::schema::{self, Direction, Roles};
use doorkeeper_core::wire::walk::{Step, Value as Walked, Walker};
use serde_json::{Map, Value};

/// `ApiVersions` responses have the header that every client can read.
const API_VERSIONS: i16 = 18;

enum Node {
    Struct(Map<String, Value>),
    Array(Vec<Value>),
}

/// The fields of a response with its length.
pub(super) fn read(api_key: i16, version: i16, frame: &[u8]) -> Result<Value> {
    let message = schema::message(api_key, Direction::Response).context("no such API")?;
    let flexible = message.is_flexible(version).context("no such version")?;
    // Length and correlation id; then the header's tagged fields, of which there are none.
    let head = if flexible && api_key != API_VERSIONS {
        9
    } else {
        8
    };
    let body = frame.get(head..).context("a response without a body")?;
    let walker = Walker::new(message, version, body.len(), Roles::ALL);
    let mut walker = walker.context("no such version")?;
    let mut stack = vec![Node::Struct(Map::new())];
    let mut input = body;
    loop {
        let step = walker.step(&mut input);
        match step.map_err(|malformed| anyhow!("{malformed:?}"))? {
            Step::Value(found) => {
                let bytes = body.get(found.data..found.end).unwrap_or_default();
                put(&mut stack, found.field.name, value(found.value, bytes));
            }
            Step::Array {
                field, count: None, ..
            } => {
                put(&mut stack, field.name, Value::Null);
                stack.push(Node::Array(Vec::new()));
            }
            Step::Array { .. } => stack.push(Node::Array(Vec::new())),
            Step::Element { .. } => stack.push(Node::Struct(Map::new())),
            Step::ElementEnd { field, .. } => {
                if let Some(Node::Struct(fields)) = stack.pop() {
                    put(&mut stack, field.name, Value::Object(fields));
                }
            }
            Step::ArrayEnd { field, .. } => {
                if let Some(Node::Array(items)) = stack.pop() {
                    put_array(&mut stack, field.name, items);
                }
            }
            Step::Begin { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. } => {}
            Step::Done { .. } => break,
            Step::More => bail!("the response is not whole"),
        }
    }
    match stack.pop() {
        Some(Node::Struct(fields)) if stack.is_empty() => Ok(Value::Object(fields)),
        Some(_) | None => bail!("the walk did not end where it began"),
    }
}

fn put(stack: &mut [Node], name: &str, value: Value) {
    match stack.last_mut() {
        Some(Node::Struct(fields)) => {
            fields.insert(name.to_owned(), value);
        }
        Some(Node::Array(items)) => items.push(value),
        None => {}
    }
}

/// An array that is null was put when it began.
fn put_array(stack: &mut [Node], name: &str, items: Vec<Value>) {
    match stack.last() {
        Some(Node::Struct(fields)) if fields.contains_key(name) => {}
        _ => put(stack, name, Value::Array(items)),
    }
}

fn value(walked: Walked, bytes: &[u8]) -> Value {
    match walked {
        Walked::Int(number) => number.into(),
        Walked::Float(number) => number.into(),
        Walked::Uuid(id) => uuid::Uuid::from_bytes(id).to_string().into(),
        Walked::Null => Value::Null,
        Walked::Span => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            // Records and the like.
            Err(_) => hex(bytes).into(),
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
